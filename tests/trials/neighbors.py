"""The exact bounded tables of landed rows, and how far those of two neighbors are apart as parts of the sensitivity."""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from publisher.definitions.settings import EngineSettings
from publisher.duck import connect
from publisher.engine.aggregate import bound_and_aggregate
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource
from publisher.privacy.sensitivity import sensitivity_of
from publisher.records.reader import raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.definitions import period as civil
    from publisher.definitions.dataset import Measure
    from publisher.workspace import DatasetFile

PERIODS = {
    "alicante-water": "2016-07",
    "boston-closed-within-a-week": "2015-03",
    "boston-days-to-close": "2015-03",
    "boston-requests": "2015-02",
    "seattle-energy": "2016",
    "seattle-energy-city": "2016",
    "stlouis-closed-within-a-week": "2018-01",
    "stlouis-days-to-close": "2018-01",
    "stlouis-neighborhood-requests": "2018-01",
    "stlouis-requests": "2018-W03",
    "syracuse-permit-kinds": "2013-Q3",
    "syracuse-permits": "2013-Q3",
}
"""Of each shipped dataset, the period that is looked at."""
LIMITS = EngineSettings(memory="1GB", threads=2)
ORDERING = random.Random(4).getrandbits(64)


@dataclass(frozen=True)
class Bench:
    """The landed rows of one period in memory, and their exact bounded tables."""

    connection: Any
    dataset: DatasetFile
    period: civil.Period
    unit: str
    """The column of the privacy unit."""
    ordering: int = ORDERING

    def tables(self, rows: str = "SELECT * FROM landed", *values: object) -> dict[str, Any]:
        """The exact bounded tables of those rows."""
        records = RecordSource(rows, values, guarded(self.dataset.source))
        return bound_and_aggregate(self.connection, records, self.dataset, self.period, self.ordering).tables

    def without(self, unit: object) -> dict[str, Any]:
        """The tables without that unit's rows, all of which lie in one window."""
        return self.tables(f"SELECT * FROM landed WHERE {self.unit} IS DISTINCT FROM ?", unit)

    def units(self, where: str = "true", order: str = "hash(unit)", most: int = 200) -> list[Any]:
        """The units whose rows meet a condition."""
        query = (
            f"SELECT {self.unit} AS unit FROM landed WHERE {self.unit} IS NOT NULL AND {where} "
            f"GROUP BY unit ORDER BY {order} LIMIT {most}"
        )
        return [row[0] for row in self.connection.execute(query).fetchall()]


@dataclass
class Farthest:
    """The greatest distance of one measure's neighboring tables, as a part of its sensitivity."""

    level: str
    measure: Measure
    groups: int
    each: int
    l1: float = 0.0
    l2_squared: float = 0.0

    @property
    def table(self) -> tuple[str, str]:
        """The level and the measure."""
        return self.level, self.measure.name

    def see(self, before: Any, after: Any) -> None:
        """Looks at two neighbors; in Python's integers, which do not overflow."""
        differences = [int(value) for value in before[self.table] - after[self.table] if value]
        self.l1 = max(self.l1, sum(map(abs, differences)) / (self.groups * self.each))
        self.l2_squared = max(self.l2_squared, sum(d * d for d in differences) / (self.groups * self.each**2))


def farthest_of(dataset: DatasetFile) -> list[Farthest]:
    """By the table of sensitivities: Δ₁ = k·c and Δ₂² = k·c², with 1 for units and the greatest total for sums; in a
    coarser table all k cells may be one."""
    bounds = dataset.definition.bounds
    found = []
    for level in (*(rollup.name for rollup in dataset.definition.rollups), ""):
        for measure in dataset.definition.measured:
            each = {"sum": 0, "count_units": 1}.get(measure.kind, bounds.max_per_group)
            each = each or max(abs(clamp) for clamp in measure.clamps)
            groups = bounds.max_groups
            if level and measure.kind != "count_units":
                groups, each = 1, groups * each
            declared = sensitivity_of(measure, bounds, coarser=bool(level))
            assert (declared.l1, declared.l2_squared) == (groups * each, groups * each**2)
            found.append(Farthest(level, measure, groups, each))
    return found


@contextmanager
def bench_of(dataset: DatasetFile, period: civil.Period, private: Path) -> Iterator[Bench]:
    landed = raw(dataset.source, private, period.start, period.end)
    unit = "_record" if dataset.source.definition.privacy.unit == "record" else "_unit"
    with connect(LIMITS, private / "tmp") as connection:
        connection.execute(f"CREATE TEMP TABLE landed AS {landed.sql}", landed.parameters)
        everything = raw(dataset.source, private, date(1900, 1, 1), date(2199, 1, 1))
        connection.execute(
            f"CREATE TEMP TABLE several AS SELECT {unit} AS unit FROM ({everything.sql}) GROUP BY unit "
            "HAVING count(DISTINCT year(_event)) > 2 OR count(DISTINCT date_trunc('month', _event)) > 6",
            everything.parameters,
        )
        yield Bench(connection, dataset, period, unit)
