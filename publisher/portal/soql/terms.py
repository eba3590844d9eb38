"""Typed pieces of SQL, and how one is fitted to another's type."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from publisher.portal.base.kinds import GEOMETRIES, TIMES, Kind, plain_text, storage
from publisher.portal.base.problems import malformed, semantic
from publisher.portal.soql.geometry import read_literal

CELL = 2000
"""Characters that a text may have where a query makes longer ones of it."""
ROOM = 250_000
"""Characters that the lengthened texts of one row may take, at worst, in all."""
LONGEST_SQL = 250_000
"""Characters that the SQL of a query may have. DuckDB copies what stands in NULLIF and in a macro more than once, and
plans a nest of them for hours: so neither is written, and all that is repeated shows in this length."""

_NAME = re.compile(r"\$(v\d+)")
_ZONED = re.compile(r":.*([Zz]|[-+]\d\d(:?\d\d)?)\s*$")
_PLAIN_LENGTH = {Kind.NUMBER: 64, Kind.CHECKBOX: 5, Kind.FLOATING: 30, Kind.FIXED: 30}


@dataclass(frozen=True, slots=True)
class Term:
    """An expression in DuckDB's SQL with its type and what it depends on."""

    sql: str
    kind: Kind | None
    """None is the type of NULL, which fits every other"""
    text: str | None = None
    """of a string literal: its text, still free to become a number or a date"""
    bare: str | None = None
    """the name of a column that it uses outside every aggregate and group"""
    aggregate: bool = False
    window: bool = False
    varies: bool = False
    """False where it is the same for every row"""
    inexact: bool = False
    """True where a number is a double, rounded to 15 digits"""
    longest: int | None = None
    """characters that a text has at most, where that is known"""


@dataclass(slots=True)
class Values:
    """The values that a query binds; equal values share a name, so that equal expressions have equal SQL."""

    _names: dict[tuple[type, Any], str] = field(default_factory=dict)
    _room: int = ROOM
    momentary: bool = False
    """True where one of them is the time of the question"""

    def bind(self, value: Any) -> str:
        """The SQL that stands for the value."""
        return "$" + self._names.setdefault((type(value), value), f"v{len(self._names)}")

    def used(self, sql: str) -> dict[str, Any]:
        """The values by name that the SQL mentions; a literal that became a number is not there as a text."""
        named = set(_NAME.findall(sql))
        return {name: value for (_, value), name in self._names.items() if name in named}

    def literal(self, text: str) -> Term:
        """A string literal."""
        return Term(self.bind(text), Kind.TEXT, text=text, longest=len(text))

    def number(self, text: str) -> Term:
        """A number literal."""
        value = exact_number(text)
        if value is None:
            raise semantic("type-mismatch", "A number here has more than 38 digits", type="number")
        return Term(self.bind(value), Kind.NUMBER)

    def fitted(self, term: Term, kinds: frozenset[Kind], where: str) -> Term:
        """The term as one of these kinds. Errors: SodaError type-mismatch."""
        if term.kind is None:
            (kind,) = kinds if len(kinds) == 1 else (None,)
            return Term(f"(NULL::{storage(kind)})", kind, longest=0) if kind else term
        if term.kind in kinds and (term.text is None or Kind.TEXT in kinds):
            return term
        if term.text is not None:
            found = _read(term.text, kinds)
            if found is not None:
                kind, value = found
                return Term(self.bind(value), kind)
        raise mismatch(where, term.kind)

    def agreed(self, terms: list[Term], where: str) -> tuple[list[Term], Kind | None]:
        """The terms as one kind, that of the first which is neither NULL nor a string literal."""
        typed = [term for term in terms if term.kind is not None]
        fixed = next((term.kind for term in typed if term.text is None), None)
        kind = fixed or next((term.kind for term in typed), None)
        if kind is None:
            return terms, None
        allowed = TIMES if kind in TIMES else frozenset({kind})
        return [self.fitted(term, allowed, where) for term in terms], kind

    def lengthened(self, sql: str, longest: int, *terms: Term) -> Term:
        """A text made longer than those it is made of. DuckDB counts no memory for texts, so they are counted here."""
        self._room -= longest
        if self._room < 0:
            raise semantic("text-too-long", f"The texts of this query could grow beyond {ROOM} characters in a row")
        return replace(combined(sql, Kind.TEXT, *terms), longest=longest)


def as_text(term: Term) -> Term:
    """The term as the text that shows it, of known length."""
    if term.kind is None:
        return Term("NULL::VARCHAR", Kind.TEXT, longest=0)
    text = replace(term, sql=text_of(term.kind, term.sql), kind=Kind.TEXT, inexact=False)
    return bounded(replace(text, longest=term.longest or _PLAIN_LENGTH.get(term.kind)))


def text_of(kind: Kind, sql: str) -> str:
    """SQL for the text that shows a value."""
    if kind is not Kind.NUMBER:
        return plain_text(kind, sql)
    return f"regexp_replace({sql}::VARCHAR, '(\\.[0-9]*[1-9])0+$|\\.0*$', '\\1')"


def bounded(term: Term) -> Term:
    """A text of known length: one that may have any is stopped when it has more than `CELL` characters."""
    if term.longest is not None:
        return term
    stop = f"error('a text here has more than {CELL} characters')"
    return replace(term, sql=f"(CASE WHEN length({term.sql}) > {CELL} THEN {stop} ELSE {term.sql} END)", longest=CELL)


def mismatch(where: str, kind: Kind | None) -> Exception:
    """400: an expression of this kind has no place here."""
    name = kind.value if kind else "null"
    return semantic("type-mismatch", f"Type mismatch for {where}, is {name}", function=where, type=name)


def combined(sql: str, kind: Kind | None, *terms: Term) -> Term:
    """A term made of others: it depends on what they depend on, and a text is as long as the longest of them."""
    if len(sql) > LONGEST_SQL:
        raise malformed("…", 1, 1, "the query is too large when its parts are put together")
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
    )


def rounded(sql: str, *terms: Term) -> Term:
    """A number that only a double can hold: 15 digits of it, so that none shows that binary has no tenths.

    What is no number or endless is null: its letters are taken away, so that it cannot be read back.
    """
    exact = f"TRY_CAST(translate(printf('%.15g', ({sql})::DOUBLE), 'naif', '') AS DOUBLE)"
    return replace(combined(exact, Kind.NUMBER, *terms), inexact=True)


def closed(term: Term) -> Term:
    """The term as a group or an aggregate's result: no longer dependent on single rows."""
    return replace(term, bare=None)


def exact_number(text: str) -> Decimal | None:
    """The number that a text is, if it is one of at most 38 digits."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value.adjusted()) > 38:
        return None
    plain = Decimal(format(value, "f"))
    digits, exponent = len(plain.as_tuple().digits), -int(plain.as_tuple().exponent)
    return plain if max(digits, exponent) <= 38 else None


def _read(text: str, kinds: frozenset[Kind]) -> tuple[Kind, Any] | None:
    """A string literal as the first of these kinds that it can be."""
    zoned = {Kind.FLOATING} if _ZONED.search(text) is None else {Kind.FIXED}
    for kind in sorted(kinds - GEOMETRIES.keys(), key=lambda kind: (kind in TIMES and kind not in zoned, kind)):
        value = _read_plain(text, kind)
        if value is not None:
            return kind, value
    if kinds.isdisjoint(GEOMETRIES):
        return None
    shape = read_literal(text)
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
