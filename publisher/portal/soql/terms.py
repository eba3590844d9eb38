"""Typed pieces of SQL, and how to convert one to the type of another."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from publisher.portal.base.kinds import GEOMETRIES, TIMES, Kind, plain_text, point_of_location, storage
from publisher.portal.base.problems import malformed, position, semantic
from publisher.portal.base.watch import go_on
from publisher.portal.soql.geometry import read_literal

CELL = 2000
"""The most characters in a text that a query makes longer."""
ROOM = 250_000
"""The most characters, in the worst case, in all lengthened texts of one row."""
MOST_PARTS = 10_000
"""The most parts of a query, besides one for each of its characters. Those that a name stands for count at each use."""
LONGEST_SQL = 250_000
"""The most characters in the SQL of a query. DuckDB copies the arguments of NULLIF and of macros, and plans nested ones
for hours. So the compiler writes neither of them, and everything that is repeated counts toward this length."""

_NAME = re.compile(r"\$(v\d+)")
_ZONED = re.compile(r":.*([Zz]|[-+]\d\d(:?\d\d)?)\s*$")
_PLAIN_LENGTH = {Kind.NUMBER: 64, Kind.CHECKBOX: 5, Kind.FLOATING: 30, Kind.FIXED: 30}


@dataclass(frozen=True, slots=True)
class Term:
    """An expression in DuckDB's SQL, with its type and what it depends on."""

    sql: str
    kind: Kind | None
    """None is the type of NULL, which fits every other type."""
    text: str | None = None
    """For a string literal: its text, which can still become a number or a date."""
    bare: str | None = None
    """The name of a column that it uses outside of any aggregate or group."""
    aggregate: bool = False
    window: bool = False
    varies: bool = False
    """False if it is the same for every row."""
    inexact: bool = False
    """True if it is a number stored as a double, rounded to 15 digits."""
    longest: int | None = None
    """The most characters of a text, if known."""
    place: tuple[int, int] | None = None
    """The line and character of the query where it begins."""


@dataclass(slots=True)
class Values:
    """The values that a query binds; equal values share a name so that equal expressions have equal SQL."""

    names: dict[tuple[type, Any], str] = field(default_factory=dict)
    """The name of each value."""
    _room: int = ROOM
    parts: int = MOST_PARTS
    """How many more parts the query may have."""
    text: str = ""
    """The text of the query, which errors show."""
    momentary: bool = False
    """True if one of them is the time of the query."""

    def at(self, place: tuple[int, int] | None) -> dict[str, Any]:
        """A place in the query, as Socrata's errors give it."""
        return {"position": position(self.text, *place)} if place else {}

    def mismatch(self, where: str, term: Term) -> Exception:
        """400: an expression of this type is not allowed here."""
        name, called = term.kind.value if term.kind else "null", _called(where)
        message = f"Type mismatch for {called}, is {name}"
        return semantic("type-mismatch", message, function=called, type=name, **self.at(term.place))

    def step(self) -> None:
        """Count one more part of the query: names that stand for names double it with each. Raises SodaError."""
        go_on()
        self.parts -= 1
        if self.parts < 0:
            raise malformed("…", 1, 1, "the query is too large when its parts are combined")

    def bind(self, value: Any) -> str:
        """The SQL of a placeholder for the value."""
        return "$" + self.names.setdefault((type(value), value), f"v{len(self.names)}")

    def bind_list(self, terms: list[Term]) -> str | None:
        """The SQL of a list of bound terms: planned in no time, where thousands of values take DuckDB long. None for
        numbers that would lose digits, as those of a list get one type."""
        known = {f"${name}": value for (_, value), name in self.names.items()}
        values = tuple(known[term.sql] for term in terms)
        if any(isinstance(value, Decimal) and not _narrow(value) for value in values):
            return None
        return f"(SELECT unnest({self.bind(values)}))"

    def used(self, sql: str) -> dict[str, Any]:
        """The values that the SQL uses, by name; a literal that became a number is not bound as text."""
        named = set(_NAME.findall(sql))
        listed = {name: value for (_, value), name in self.names.items() if name in named}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in listed.items()}

    def literal(self, text: str) -> Term:
        """A string literal."""
        return Term(self.bind(text), Kind.TEXT, text=text, longest=len(text))

    def number(self, text: str, place: tuple[int, int] | None = None) -> Term:
        """A number literal. Raises SodaError type-mismatch."""
        value = exact_number(text)
        if value is None:
            message = "A number here has more than 38 digits"
            raise semantic("type-mismatch", message, type="number", **self.at(place))
        return Term(self.bind(value), Kind.NUMBER)

    def fitted(self, term: Term, kinds: frozenset[Kind], where: str) -> Term:
        """Convert the term to one of these types. Raises SodaError type-mismatch."""
        if term.kind is None:
            (kind,) = kinds if len(kinds) == 1 else (None,)
            return Term(f"(NULL::{storage(kind)})", kind, longest=0, place=term.place) if kind else term
        if term.kind in kinds and (term.text is None or Kind.TEXT in kinds):
            return term
        if term.kind is Kind.LOCATION and Kind.POINT in kinds:
            return pointed(term)
        if term.kind is Kind.URL and kinds >= {Kind.TEXT, Kind.NUMBER}:  # whatever can be compared
            return address(term)
        if term.text is not None:
            found = _read(term.text, kinds, self.at(term.place))
            if found is not None:
                kind, value = found
                return Term(self.bind(value), kind, place=term.place)
        raise self.mismatch(where, term)

    def agreed(self, terms: list[Term], where: str) -> tuple[list[Term], Kind | None]:
        """Convert the terms to one type: that of the first term that is neither NULL nor a string literal."""
        typed = [term for term in terms if term.kind is not None]
        fixed = next((term.kind for term in typed if term.text is None), None)
        kind = fixed or next((term.kind for term in typed), None)
        if kind is None:
            return terms, None
        allowed = TIMES if kind in TIMES else frozenset({kind})
        return [self.fitted(term, allowed, where) for term in terms], kind

    def lengthened(self, sql: str, longest: int, *terms: Term) -> Term:
        """A text that is longer than its parts. DuckDB does not count memory for texts, so they are counted here."""
        self._room -= longest
        if self._room < 0:
            raise semantic(
                "text-too-long", f"The texts that this query makes could be longer than {ROOM} characters in one row"
            )
        return replace(combined(sql, Kind.TEXT, *terms), longest=longest)


def _narrow(value: Decimal) -> bool:
    """Whether a number has at most 18 digits before and 18 after its point."""
    return value.adjusted() < 18 and int(value.as_tuple().exponent) >= -18


def address(term: Term) -> Term:
    """Of a URL the address, as a text, by which it is compared; any other term as it is."""
    if term.kind is not Kind.URL:
        return term
    return combined(f"json_extract_string({term.sql}, '$.url')", Kind.TEXT, term)


def pointed(term: Term) -> Term:
    """The point of a location."""
    return combined(point_of_location(term.sql), Kind.POINT, term)


def as_text(term: Term) -> Term:
    """The term as text of known length."""
    if term.kind is None:
        return Term("NULL::VARCHAR", Kind.TEXT, longest=0)
    text = replace(term, sql=text_of(term.kind, term.sql), kind=Kind.TEXT, inexact=False)
    return bounded(replace(text, longest=term.longest or _PLAIN_LENGTH.get(term.kind)))


def text_of(kind: Kind, sql: str) -> str:
    """SQL for a value as text."""
    if kind is not Kind.NUMBER:
        return plain_text(kind, sql)
    return f"regexp_replace({sql}::VARCHAR, '(\\.[0-9]*[1-9])0+$|\\.0*$', '\\1')"


def bounded(term: Term) -> Term:
    """A text of known length; if the length is not known, the query stops at more than `CELL` characters."""
    if term.longest is not None:
        return term
    stop = f"error('a text here has more than {CELL} characters')"
    return replace(term, sql=f"(CASE WHEN length({term.sql}) > {CELL} THEN {stop} ELSE {term.sql} END)", longest=CELL)


def _called(where: str) -> str:
    """A function or operator by Socrata's name: operators are named by their sign, as in `op$=`, but for some."""
    if where in ("IN", "BETWEEN", "LIKE"):
        return f"#{where}"
    return f"op${where.lower()}" if where in ("AND", "OR", "NOT") or not re.match("[A-Za-z:]", where) else where


def combined(sql: str, kind: Kind | None, *terms: Term) -> Term:
    """A term made from others: it begins with the first, depends on what they depend on, and a text is as long as the
    longest of them."""
    if len(sql) > LONGEST_SQL:
        raise malformed("…", 1, 1, "the query is too large when its parts are combined")
    lengths = [term.longest for term in terms if term.kind is Kind.TEXT]
    return Term(
        sql,
        kind,
        bare=next((term.bare for term in terms if term.bare), None),
        aggregate=any(term.aggregate for term in terms),
        window=any(term.window for term in terms),
        varies=any(term.varies for term in terms),
        inexact=kind is Kind.NUMBER and any(term.inexact for term in terms),
        longest=max((n for n in lengths if n is not None), default=0)
        if kind is Kind.TEXT and None not in lengths
        else None,
        place=terms[0].place if terms else None,
    )


def rounded(sql: str, *terms: Term) -> Term:
    """A number that only a double can hold, with 15 digits so that binary rounding does not show.

    NaN and infinity become null: their letters are removed, so that they cannot be read back.
    """
    exact = f"TRY_CAST(translate(printf('%.15g', ({sql})::DOUBLE), 'naif', '') AS DOUBLE)"
    return replace(combined(exact, Kind.NUMBER, *terms), inexact=True)


def closed(term: Term) -> Term:
    """The term as a group or an aggregate's result, which no longer depends on single rows."""
    return replace(term, bare=None)


def exact_number(text: str) -> Decimal | None:
    """The number in a text, or None if it is not a number of at most 38 digits."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value.adjusted()) > 38:
        return None
    plain = Decimal(format(value, "f"))
    digits, exponent = len(plain.as_tuple().digits), -int(plain.as_tuple().exponent)
    return plain if max(digits, exponent) <= 38 else None


def _read(text: str, kinds: frozenset[Kind], at: dict[str, Any]) -> tuple[Kind, Any] | None:
    """Convert a string literal to the first of these types that it can have; `at` is its place, for an error."""
    zoned = {Kind.FLOATING} if _ZONED.search(text) is None else {Kind.FIXED}
    for kind in sorted(kinds - GEOMETRIES.keys(), key=lambda kind: (kind in TIMES and kind not in zoned, kind)):
        value = _read_plain(text, kind)
        if value is not None:
            return kind, value
    if kinds.isdisjoint(GEOMETRIES):
        return None
    shape = read_literal(text, at)
    return shape if shape is not None and shape[0] in kinds else None


def _read_plain(text: str, kind: Kind) -> Any:
    if kind is Kind.NUMBER:
        return exact_number(text.strip()) if text.strip() else None
    if kind is Kind.CHECKBOX:
        return {"true": True, "false": False, "1": True, "0": False}.get(text.strip().lower())
    if kind in TIMES:
        return _instant(text)
    return None


def _instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
