"""Typed pieces of SQL, and how one is fitted to another's type."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from publisher.portal.kinds import TIMES, Kind, storage
from publisher.portal.problems import semantic

_NAME = re.compile(r"\$(v\d+)")


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

    @property
    def constant(self) -> bool:
        """True where it is the same for every row; columns are always written with their relation."""
        return not self.aggregate and "rows." not in self.sql


@dataclass(slots=True)
class Values:
    """The values that a query binds; equal values share a name, so that equal expressions have equal SQL."""

    _names: dict[tuple[type, Any], str] = field(default_factory=dict)

    def bind(self, value: Any) -> str:
        """The SQL that stands for the value."""
        return "$" + self._names.setdefault((type(value), value), f"v{len(self._names)}")

    def used(self, sql: str) -> dict[str, Any]:
        """The values by name that the SQL mentions; a literal that became a number is not there as a text."""
        named = set(_NAME.findall(sql))
        return {name: value for (_, value), name in self._names.items() if name in named}

    def literal(self, text: str) -> Term:
        """A string literal."""
        return Term(self.bind(text), Kind.TEXT, text=text)

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
            return Term(f"(NULL::{storage(kind)})", kind) if kind else term
        if term.kind in kinds and (term.text is None or Kind.TEXT in kinds):
            return term
        if term.text is not None:
            for kind in sorted(kinds):
                value = _read(term.text, kind)
                if value is not None:
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


def mismatch(where: str, kind: Kind | None) -> Exception:
    """400: an expression of this kind has no place here."""
    name = kind.value if kind else "null"
    return semantic("type-mismatch", f"Type mismatch for {where}, is {name}", function=where, type=name)


def combined(sql: str, kind: Kind | None, *terms: Term) -> Term:
    """A term made of others: it depends on what they depend on."""
    bare = next((term.bare for term in terms if term.bare), None)
    return Term(sql, kind, bare=bare, aggregate=any(term.aggregate for term in terms))


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


def _read(text: str, kind: Kind) -> Any:
    if kind is Kind.NUMBER:
        return exact_number(text.strip()) if text.strip() else None
    if kind is Kind.CHECKBOX:
        return {"true": True, "false": False}.get(text.strip().lower())
    if kind in TIMES:
        return _instant(text)
    return None


def _instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
