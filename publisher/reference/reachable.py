"""Which keys a record can have, as far as public files decide it: the places of boundaries, and the lookups and texts
in a SELECT. Never from records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.engine import reading
from publisher.errors import DefinitionError, SourceError
from publisher.reference.boundaries import read_places

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.workspace import DatasetFile, SourceFile


@dataclass(frozen=True)
class Reachable:
    """The keys that a record can have, and what decides it."""

    keys: frozenset[str]
    origin: str


def reachable(dataset: DatasetFile, column: str, data: Path) -> Reachable | None:
    """The keys that records can have in a key column; None where only records decide, or a file is not there."""
    place = dataset.source.definition.places.get(column)
    if place is None:
        return _selected(dataset.source, column)
    if place.boundaries is None:
        return None
    try:
        places = read_places(data / place.boundaries.path, place.boundaries.path)
        places.check(place.boundaries.key)
    except (SourceError, DefinitionError):
        return None  # `publisher check --data` says what is wrong with it
    return Reachable(places.keys(place.boundaries.key), f"a polygon of {place.boundaries.path}")


def _selected(source: SourceFile, column: str) -> Reachable | None:
    """The values of a column of the SELECT that has passed the guard."""
    (statement,) = reading.parsed(source.sql)
    found = next((each for each in statement.expressions if each.alias_or_name == column), None)
    if found is None:
        return None
    tables = {join.this.alias_or_name: join.this.name for join in statement.args.get("joins") or []}
    values = _Values(source, tables)
    keys = values.of(found.unalias())
    return Reachable(keys, f"a value of {values.origin(source)}") if keys is not None else None


class _Values:
    """What an expression can give, where lookups and texts alone decide it."""

    def __init__(self, source: SourceFile, tables: dict[str, str]) -> None:
        self._source, self._tables = source, tables
        self._used: dict[str, None] = {}

    def origin(self, source: SourceFile) -> str:
        """The files that decide."""
        name = source.origin.name.removesuffix(".toml") + ".sql"
        return " or ".join((*(f"datasets/keysets/{each}.csv" for each in self._used), name))

    def of(self, node: Any) -> frozenset[str] | None:
        """Every text that the expression can give; None if records decide it."""
        from sqlglot import exp

        if isinstance(node, exp.Null | exp.Literal):
            return frozenset([str(node.this)] if isinstance(node, exp.Literal) else ())
        if isinstance(node, exp.Paren):
            return self.of(node.this)
        if isinstance(node, exp.Column):
            return self._column(node.table, node.name)
        if isinstance(node, exp.Case):
            return self._any([*(each.args["true"] for each in node.args["ifs"]), node.args.get("default")])
        known = isinstance(node, exp.Anonymous) and node.name.lower() in ("coalesce", "ifnull")
        return self._any(node.expressions) if known else None

    def _any(self, nodes: list[Any]) -> frozenset[str] | None:
        found = [self.of(node) for node in nodes if node is not None]
        known = [each for each in found if each is not None]
        return frozenset().union(*known) if len(known) == len(found) else None

    def _column(self, table: str, name: str) -> frozenset[str] | None:
        named = [self._tables[table]] if table in self._tables else [] if table else list(self._tables.values())
        for each in named:
            lookup = self._source.lookups[each]
            if name in lookup.columns:
                self._used[each] = None
                return frozenset(row[lookup.columns.index(name)] for row in lookup.rows) - {""}
        return None
