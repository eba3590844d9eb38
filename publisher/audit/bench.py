"""One period's rows in memory, and the engine's tables with and without some of them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from publisher.definitions.vintage import vintages_of
from publisher.duck import connect
from publisher.engine.aggregate import bound_and_aggregate
from publisher.engine.candidates import candidates
from publisher.engine.guard import guarded
from publisher.engine.input import BoundedInput, RecordSource
from publisher.records.reader import raw
from publisher.records.secrets import derive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.definitions.period import Period
    from publisher.engine.guard import RecordQuery
    from publisher.stages import BoundedAggregate
    from publisher.workspace import DatasetFile, Workspace

KEYS = 50
"""How many of the keys to be discovered are in a bench's tables; the others are under Other."""


@dataclass(frozen=True)
class Neighbor:
    """One unit in one window [start, end): what is removed."""

    unit: object = field(repr=False)
    start: date
    end: date


@dataclass(frozen=True)
class Bench:
    """Rows in the table `landed`; `vintages` is how many draws count them together."""

    connection: DuckDBPyConnection
    dataset: DatasetFile
    period: Period
    query: RecordQuery
    ordering: int
    vintages: int

    @property
    def people(self) -> bool:
        """Whether units are people, accounts or parcels."""
        return self.dataset.source.definition.privacy.unit != "record"

    @property
    def unit(self) -> str:
        """The column of the privacy unit."""
        return "_unit" if self.people else "_record"

    @property
    def windows(self) -> tuple[tuple[date, date], ...]:
        """The parts of the period that are in one window each; every record is in one of them."""
        if not self.people:
            return ((self.period.start, self.period.end),)
        window = self.dataset.source.definition.privacy.window
        return tuple(
            (max(each.start, self.period.start), min(each.end, self.period.end)) for each in self.period.cut(window)
        )

    def records(self, where: str = "true", *values: object, rows: str = "landed", vintage: int = 1) -> RecordSource:
        """Some of the rows, as a draw of that vintage reads them."""
        late = f" AND _vintage <= {vintage}" if self.vintages > 1 else ""
        sql = f"SELECT * FROM {rows} WHERE ({where}){late}"
        return RecordSource(sql, values, self.query, vintage)

    def aggregate(self, where: str = "true", *values: object, rows: str = "landed") -> BoundedAggregate:
        """The exact bounded tables of all vintages one after another: distances are those of all draws."""
        import numpy as np

        made = [
            bound_and_aggregate(
                self.connection,
                self.records(where, *values, rows=rows, vintage=1 + number),
                self.dataset,
                self.period,
                self.ordering,
            )
            for number in range(self.vintages)
        ]
        if len(made) == 1:
            return made[0]
        tables = {name: np.concatenate([each.tables[name] for each in made]) for name in made[0].tables}
        return replace(made[0], tables=tables)

    def without(self, neighbor: Neighbor) -> BoundedAggregate:
        """The tables without one unit in one window."""
        return self.aggregate(*self._away(neighbor))

    def candidates(self, neighbor: Neighbor | None = None) -> dict[str, int]:
        """How many units have each key to be discovered; exact, in memory only."""
        where = self._away(neighbor) if neighbor is not None else ("true",)
        grid = self.dataset.grid(self.period)
        rows = BoundedInput(self.connection, self.dataset, grid, self.period, self.records(*where))
        return candidates(rows, self.ordering)

    def neighbors(self, where: str, order: str, most: int) -> list[Neighbor]:
        """Units in one window each whose rows meet a condition; `order` may use `unit`, `number` and aggregates."""
        cases = " ".join(f"WHEN _event < TIMESTAMP '{end}' THEN {n}" for n, (_, end) in enumerate(self.windows))
        query = (
            f"SELECT unit, number FROM (SELECT {self.unit} AS unit, CASE {cases} END AS number, * FROM landed) "
            f"WHERE unit IS NOT NULL AND ({where}) GROUP BY unit, number ORDER BY {order}, hash(unit), number "
            f"LIMIT {most}"
        )
        return [Neighbor(unit, *self.windows[number]) for unit, number in self.connection.execute(query).fetchall()]

    def _away(self, neighbor: Neighbor) -> tuple[Any, ...]:
        where = f"NOT ({self.unit} IS NOT DISTINCT FROM ? AND _event >= ? AND _event < ?)"
        return where, neighbor.unit, neighbor.start, neighbor.end


@contextmanager
def bench_of(workspace: Workspace, dataset: DatasetFile, period: Period, spill: Path) -> Iterator[Bench]:
    """The landed records of the period in memory; `spill` takes what does not fit. Raises SourceError if unreadable."""
    source = dataset.source
    late = source.definition.late
    last = vintages_of(late, period)[-1] if late is not None else None
    # A run may be at work with copies of its own.
    copies = workspace.copies and workspace.copies.at(spill / "copies")
    landed = raw(source, workspace.private, period.start, period.end, vintage=last, copies=copies)
    key = int.from_bytes(derive(workspace.private, f"ordering:{source.name}")[:8])
    vintages = last.number if last is not None and late is not None and late.policy == "increment" else 1
    with connect(workspace.settings.engine, spill) as connection:
        select = landed.sql if copies is None else copies.brought(landed.sql)
        connection.execute(f"CREATE TEMP TABLE landed AS {select}", landed.parameters)
        if copies is not None:
            copies.remove()
        bench = Bench(connection, dataset, period, guarded(source), key, vintages)
        if dataset.definition.discovered is not None:
            counts = bench.candidates()
            common = sorted(counts, key=lambda name: (-counts[name], name))[:KEYS]
            bench = replace(bench, dataset=dataset.discovering(tuple(sorted(common))))
        yield bench
