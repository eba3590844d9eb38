"""Neighbors on the real records: with and without one unit's window, the exact bounded tables differ by no more than
the declared sensitivity, and some neighbor attains it.

No message shows an exact value: what is compared are distances as parts of the sensitivity.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from apart import ROOT

from publisher.definitions import period as civil
from publisher.definitions.settings import EngineSettings
from publisher.duck import connect
from publisher.engine.aggregate import bound_and_aggregate
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource
from publisher.privacy.sensitivity import sensitivity_of
from publisher.records.landing import land
from publisher.records.reader import raw
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from publisher.definitions.dataset import Measure
    from publisher.workspace import DatasetFile

PERIODS = {
    "alicante-water": "2016-07",
    "boston-days-to-close": "2015-03",
    "boston-requests": "2015-02",
    "seattle-energy": "2016",
    "stlouis-days-to-close": "2018-01",
    "stlouis-requests": "2018-W03",
    "syracuse-permits": "2013-Q3",
}
"""Of each shipped dataset, the period that is looked at."""
IN_TESTS = ("alicante-water", "stlouis-days-to-close", "syracuse-permits")
"""Accounts of a month, records, and applicants with several cells: every kind of unit, on the smallest datasets."""

UNITS = 200
"""So many neighbors of each dataset; the meters have fewer accounts than that, and all are taken."""

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

    def tables(self, rows: str = "SELECT * FROM landed", *values: object) -> dict[str, Any]:
        """The exact bounded tables of those rows."""
        records = RecordSource(rows, values, guarded(self.dataset.source))
        return bound_and_aggregate(self.connection, records, self.dataset, self.period, ORDERING).tables

    def without(self, unit: object) -> dict[str, Any]:
        """The tables without that unit's rows, all of which lie in one window."""
        return self.tables(f"SELECT * FROM landed WHERE {self.unit} IS DISTINCT FROM ?", unit)

    def units(self, where: str = "true", order: str = "hash(unit)", most: int = UNITS) -> list[Any]:
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


def _farthest(dataset: DatasetFile) -> list[Farthest]:
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
def _bench(dataset: DatasetFile, period: civil.Period, private: Path) -> Iterator[Bench]:
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


@pytest.fixture
def private(real: Path, tmp_path: Path, name: str) -> Path:
    """Where the records of the dataset's source have been landed."""
    source = find_workspace(ROOT).dataset(name).source
    land(source, data=real, private=tmp_path / "private", engine=LIMITS, received=date(2026, 1, 2))
    return tmp_path / "private"


def _chosen(bench: Bench) -> Iterable[Any]:
    """The heaviest units, those in several windows, anonymous ones, and as many others as there is room for."""
    chosen = dict.fromkeys(bench.units(order="count(*) DESC, hash(unit)", most=60))
    if bench.unit == "_unit":
        chosen |= dict.fromkeys(bench.units("_unit IN (FROM several)", most=60))
        chosen |= dict.fromkeys(bench.units("_unit = _record", most=20))
    for unit in bench.units(most=2 * UNITS):
        if len(chosen) < UNITS:
            chosen[unit] = None
    return chosen


@pytest.mark.parametrize(
    "name",
    [
        *IN_TESTS,
        *(
            pytest.param(name, marks=pytest.mark.evidence("neighbors among the real records of every shipped dataset"))
            for name in PERIODS
            if name not in IN_TESTS
        ),
    ],
)
def test_no_neighbor_is_farther_than_declared(private: Path, name: str) -> None:
    """With and without each of 200 real units: within Δ₁ and Δ₂ always, and at both of them at least once. Other
    datasets have no other kind of unit: they are evidence."""
    dataset = find_workspace(ROOT).dataset(name)
    farthest = _farthest(dataset)
    with _bench(dataset, civil.parse(PERIODS[name]), private) as bench:
        whole = bench.tables()
        chosen = list(_chosen(bench))
        for unit in chosen:
            fewer = bench.without(unit)
            for each in farthest:
                each.see(whole, fewer)
    for each in farthest:
        assert each.l1 <= 1, each.measure.name
        assert each.l2_squared <= 1, each.measure.name
        assert each.l1 == each.l2_squared == 1, f"{each.measure.name}: no unit attains the sensitivity"


@pytest.mark.parametrize("name", ["syracuse-permits"])
def test_anonymous_records_are_units_of_their_own(private: Path, name: str) -> None:
    """Every permit without an applicant: taking it away moves the tables within the sensitivity of one unit."""
    dataset = find_workspace(ROOT).dataset(name)
    farthest = _farthest(dataset)
    for period in _quarters_of_anonymous(dataset, private):
        with _bench(dataset, period, private) as bench:
            whole = bench.tables()
            anonymous = bench.units("_unit = _record")
            assert anonymous
            for unit in anonymous:
                assert bench.connection.execute("SELECT count(*) FROM landed WHERE _unit = ?", [unit]).fetchone() == (
                    1,
                )
                for each in farthest:
                    each.see(whole, bench.without(unit))
    for each in farthest:
        assert each.l1 <= 1 / dataset.definition.bounds.max_groups, "one record lies in one cell"
        assert each.l2_squared <= 1, each.measure.name


def _quarters_of_anonymous(dataset: DatasetFile, private: Path) -> list[civil.Period]:
    everything = raw(dataset.source, private, date(2012, 4, 1), date(2016, 10, 1))
    with connect(LIMITS, private / "tmp") as connection:
        query = f"SELECT DISTINCT CAST(_event AS DATE) FROM ({everything.sql}) WHERE _unit = _record"
        days = connection.execute(query, everything.parameters).fetchall()
    assert days, "no permit is anonymous any more: choose another source"
    return sorted({civil.containing(day, "quarter") for (day,) in days})


@pytest.mark.parametrize("name", ["alicante-water"])
def test_a_unit_in_several_windows_bears_its_sensitivity_in_each(private: Path, name: str) -> None:
    """In a release of three windows, one account's month moves the tables within the sensitivity, and in that month
    alone; all three of its months together move them farther, which is why windows add up."""
    shipped = find_workspace(ROOT).dataset(name)
    quarterly = shipped.definition.model_copy(update={"period": "quarter", "grain": "month", "rollups": ()})
    dataset = replace(shipped, definition=quarterly)
    period = civil.parse("2016-Q3")
    one, three = _farthest(dataset), _farthest(dataset)
    with _bench(dataset, period, private) as bench:
        whole = bench.tables()
        in_all = bench.units("true", order="count(DISTINCT month(_event)) DESC, hash(unit)", most=4)
        for unit in in_all:
            for each in three:
                each.see(whole, bench.without(unit))
            for number, month in enumerate(period.cut("month")):
                rows = "SELECT * FROM landed WHERE NOT (_unit = ? AND _event >= ? AND _event < ?)"
                fewer = bench.tables(rows, unit, month.start, month.end)
                for each in one:
                    each.see(whole, fewer)
                    changed = (whole[each.table] != fewer[each.table]).reshape(3, -1).any(axis=1)
                    assert set(changed.nonzero()[0].tolist()) <= {number}
    for each in one:
        assert max(each.l1, each.l2_squared) <= 1, each.measure.name
    assert three[0].l1 == 3
