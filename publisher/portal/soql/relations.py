"""Relations with typed columns, and scopes, which decide what column a name refers to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.portal.base.kinds import Kind
from publisher.portal.base.problems import semantic
from publisher.portal.base.sql import quoted
from publisher.portal.soql.terms import Term

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = ":version"
"""A system column that no row stores and `:*` leaves out, as it follows from others."""
PLACE = ":place"
"""The hidden column that numbers the rows of a relation in order."""


@dataclass(frozen=True, slots=True)
class Field:
    """The type of a column; `inexact` numbers are doubles."""

    kind: Kind
    inexact: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows that can follow FROM."""

    sql: str
    """a relation's name, or a SELECT in parentheses"""
    fields: Mapping[str, Field]
    placed: bool
    """True if the column `:place` has the order of the rows, in which they also come."""
    ordered: bool = False
    """True if the query asked for that order."""


@dataclass(frozen=True, slots=True)
class FromItem:
    """A relation under an internal alias; `name` is its name in the query."""

    relation: Relation
    alias: str
    name: str | None = None

    def column(self, name: str) -> Term | None:
        """The column with this name, or None; an exact match comes before a match in lower case."""
        if name.lower() == VERSION:
            return self._version()
        known = name if name in self.relation.fields else name.lower()
        found = self.relation.fields.get(known)
        if found is None:
            return None
        sql = f"{self.alias}.{quoted(known)}"
        return Term(sql, found.kind, bare=known, varies=True, inexact=found.inexact)

    def _version(self) -> Term | None:
        """What changes with each write of a row; only where the row's own columns are there."""
        if not {":id", ":updated_at"} <= self.relation.fields.keys():
            return None
        written = f'md5({self.alias}.":id" || \' \' || {self.alias}.":updated_at"::VARCHAR)'
        parts = " || ".join((f"'rv-' || substr({written}, 1, 4)", f"'.' || substr({written}, 5, 4)"))
        sql = f"({parts} || '~' || substr({written}, 9, 4))"
        return Term(sql, Kind.TEXT, bare=VERSION, varies=True, longest=17)

    @property
    def order(self) -> list[str]:
        """SQL for a complete order of the rows."""
        names = [PLACE] if self.relation.placed else list(self.relation.fields)
        return [f"{self.alias}.{quoted(name)}" for name in names]


@dataclass(slots=True)
class Scope:
    """The relations that an expression can refer to: the first without an alias, the joined ones with theirs."""

    sources: list[FromItem]
    outer: tuple[FromItem, ...] = ()
    """The scope around a LATERAL subquery."""

    def column(self, name: str, table: str | None = None) -> Term | None:
        """The column for a name, or None. Raises SodaError for an unknown alias."""
        if table is not None:
            found = self.named(table)
            if found is None:
                raise semantic("no-such-table", f"No such table: @{table}", table=table)
            return self._seen(found, name)
        first = self.sources[0].column(name)
        if first is not None:
            return first
        joined = [term for source in self.sources[1:] if (term := source.column(name))]
        return joined[0] if len(joined) == 1 else None

    def named(self, table: str) -> FromItem | None:
        """The relation with this alias."""
        return next((source for source in (*self.sources, *self.outer) if source.name == table.lower()), None)

    def _seen(self, source: FromItem, name: str) -> Term | None:
        term = source.column(name)
        if term is None or source not in self.outer:
            return term
        return Term(term.sql, term.kind, varies=True, inexact=term.inexact)
