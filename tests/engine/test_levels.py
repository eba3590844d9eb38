"""Coarser tables, histograms and vintages of the exact aggregate add up, and no unit moves them beyond the claim."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_aggregate import PLACES, QUARTER, replay, some_rows, unit_of

from publisher.definitions import period as civil
from publisher.definitions.levels import parents
from publisher.engine.aggregate import bound_and_aggregate
from publisher.engine.candidates import candidates
from publisher.engine.guard import guarded
from publisher.engine.input import BoundedInput, RecordSource
from publisher.privacy.sensitivity import sensitivity_of

if TYPE_CHECKING:
    from small_town import Row, Town

    from publisher.stages import BoundedAggregate


def crowded(k: int, c: int) -> list[Row]:
    """Rows of some units, and one whose every record lies in the upper half of the town, in all bins and values."""
    rows = some_rows(k)
    for n, category in enumerate(("water", "trash", None) * 4):
        for day in range(c + 1):
            place = "north" if n % 2 else "south"
            rows.append((len(rows), 77, day, place, category, "100"))
    return rows


@pytest.mark.parametrize(("k", "c"), [(1, 1), (2, 3), (4, 2)])
def test_rollups_of_people(town: Town, k: int, c: int) -> None:
    """With and without each person, every level stays within its own sensitivity, and some person attains it."""
    measures = (town.COUNT, town.SUM, town.HISTOGRAM)
    replay(town.people("month", k, c, measures=measures).rolled_up(), [r for r in crowded(k, c) if r[2] < 31],
           "month", "2020-01")  # fmt: skip


def test_rollups_of_records(town: Town) -> None:
    """A record moves each cell it lies in, on each level, by one and by its clamped value."""
    rows = [row for row in some_rows(5) if row[2] < 31][:80]
    built = replace(town, dataset={"measures": (town.COUNT, town.SUM, town.HISTOGRAM)}).rolled_up()
    whole = built.aggregate(rows)
    claims = {each.name: sensitivity_of(each, built.dataset_file().definition.bounds) for each in
              built.dataset_file().definition.measured}  # fmt: skip
    for row in rows:
        part = built.aggregate([each for each in rows if each is not row])
        for (level, name), table in whole.tables.items():
            assert abs(table - part.tables[level, name]).sum() <= claims[name].l1


@pytest.mark.parametrize("people", [True, False])
def test_levels_add_up(town: Town, people: bool) -> None:
    """Each coarser cell holds the sum of its finer cells, bin by bin; distinct people are counted anew."""
    built = town.people("month", 3, 2) if people else town
    measures = (town.COUNT, town.SUM, town.HISTOGRAM, *((town.UNITS,) if people else ()))
    built = replace(built, dataset=built.dataset | {"measures": measures}).rolled_up()
    made = built.aggregate([row for row in some_rows(2) if row[2] < 31])
    coarse, middle, fine = made.levels
    for upper, lower in ((coarse, middle), (middle, fine)):
        for name, width in (("requests", 1), ("paid", 1), ("sizes", 3)):
            added = np.zeros((upper.grid.size, width), dtype=np.int64)
            np.add.at(added, parents(upper, lower), made.tables[lower.name, name].reshape(-1, width))
            assert np.array_equal(added.reshape(-1), made.tables[upper.name, name])
    if people:
        everybody = {unit_of(row, "month") for row in some_rows(2) if row[2] < 31}
        assert made.tables["city", "people"].tolist() == [len(everybody)]


def test_bins_are_told_apart(town: Town) -> None:
    """Values fall into the bin that begins at or below them, smaller ones into the first, others into none."""
    values = ("-5", "0", "1.99", "2", "4.9", "5", "1e9", "inf", "nan", "oops", None)
    rows: list[Row] = [(n, n, 0, "north", "water", text) for n, text in enumerate(values)]
    for built in (town.people("month", 1, 1), town):
        made = replace(built, dataset=built.dataset | {"measures": (town.COUNT, town.HISTOGRAM)}).tables(rows)
        assert made["sizes"][:3].tolist() == [3, 2, 3]


def test_a_person_has_at_most_c_records_in_the_bins_of_a_cell(town: Town) -> None:
    """Of a person's many records in a cell, c are chosen, whatever their values, and others' records change nothing."""
    rows: list[Row] = [(n, 1, 0, "north", "water", str(n % 7)) for n in range(40)]
    built = town.people("month", 2, 3, measures=(town.COUNT, town.HISTOGRAM))
    alone = built.tables(rows)["sizes"]
    assert alone.sum() == 3
    other: list[Row] = [(100 + n, 2, 0, "north", "water", "1") for n in range(40)]
    together = built.tables([*other, *rows])["sizes"]
    assert (together - alone).tolist()[:3] == [3, 0, 0]


def vintages(town: Town, rows: list[Row], arrived: dict[int, int], last: int) -> list[BoundedAggregate]:
    """What each vintage adds; `arrived` says in which a record was first received."""
    late = {"late": {"policy": "increment", "after_days": tuple(range(last))}}
    built = replace(town, source=town.source | late)
    built.load(rows)
    dataset, period = built.dataset_file(), civil.parse("2020-Q1")
    numbers = ", ".join(f"({record}, {vintage})" for record, vintage in arrived.items())
    raw = (
        f"SELECT landed.*, v._vintage FROM landed JOIN (VALUES {numbers}) AS v(id, _vintage) "
        "ON CAST(v.id AS VARCHAR) = landed.id WHERE v._vintage <= {}"
    )
    return [
        bound_and_aggregate(
            town.connection, RecordSource(raw.format(n), (), guarded(dataset.source), n), dataset, period, 7
        )
        for n in range(1, last + 1)
    ]


@pytest.mark.parametrize(("k", "c"), [(1, 1), (3, 2)])
def test_vintages_share_one_bound(town: Town, k: int, c: int) -> None:
    """Over all vintages together no person moves the tables beyond the sensitivity of one draw, and some attain it."""
    rows = crowded(k, c)
    arrived = {row[0]: 1 + row[0] % 3 for row in rows}
    amount: dict[str, Any] = {"lower": Decimal(0), "upper": Decimal(7)}
    measures = (town.COUNT, town.UNITS, town.SUM | amount, town.HISTOGRAM)
    built = town.people("quarter", k, c, measures=measures, **QUARTER)
    definition = built.dataset_file().definition
    whole = vintages(built, rows, arrived, 3)
    farthest = dict.fromkeys((each.name for each in definition.measured), 0)
    for unit in sorted({unit_of(row, "quarter") for row in rows}, key=str):
        rest = [row for row in rows if unit_of(row, "quarter") != unit]
        part = vintages(built, rest, {row[0]: arrived[row[0]] for row in rest}, 3)
        for measure in definition.measured:
            claim = sensitivity_of(measure, definition.bounds)
            gaps = [w.tables["", measure.name] - p.tables["", measure.name] for w, p in zip(whole, part, strict=True)]
            assert sum(int((gap**2).sum()) for gap in gaps) <= claim.l2_squared
            assert sum(int(abs(gap).sum()) for gap in gaps) <= claim.l1
            farthest[measure.name] = max(farthest[measure.name], sum(int(abs(gap).sum()) for gap in gaps))
    assert farthest == {each.name: sensitivity_of(each, definition.bounds).l1 for each in definition.measured}


@pytest.mark.parametrize("people", [True, False])
def test_vintages_add_up_to_the_whole(town: Town, people: bool) -> None:
    """The increments of all vintages are the table of everything, however the records arrived."""
    rows = some_rows(4)
    built = town.people("quarter", 2, 2) if people else town
    built = replace(built, dataset=built.dataset | QUARTER | {"measures": (town.COUNT,)})
    once = vintages(built, rows, dict.fromkeys((row[0] for row in rows), 1), 1)[0].tables["", "requests"]
    thrice = vintages(built, rows, {row[0]: 1 + row[0] % 3 for row in rows}, 3)
    added = sum(each.tables["", "requests"] for each in thrice)
    if people:  # which cells survive hangs on the order of arrival, how many does not
        assert added.sum() == once.sum() or abs(int(added.sum() - once.sum())) < once.sum()
    else:
        assert np.array_equal(added, once)


@pytest.mark.parametrize("people", [True, False])
def test_candidates_are_bounded(town: Town, people: bool) -> None:
    """A key is counted once for each unit that has it, for k keys a unit at most, and no other unit changes which."""
    built = town.people("month", 2, 5) if people else town
    discover = {"share": Decimal("0.5"), "delta": Decimal("1e-9")}
    found = {"name": "place", "title": "Place", "discover": discover, "other": "Other"}
    built = replace(built, dataset=built.dataset | {"keys": (found,)}, keysets=built.keysets[:1])
    texts = ("a", "b", "c", "d", None, "Other")
    rows: list[Row] = [(n, n % 5, 0, texts[n % 6], None, None) for n in range(120)]

    def counted(some: list[Row]) -> dict[str, int]:
        built.load(some)
        dataset, period = built.dataset_file(), civil.parse("2020-01")
        records = RecordSource("SELECT * FROM landed", (), guarded(dataset.source))
        return candidates(BoundedInput(town.connection, dataset, dataset.grid(period), period, records), 7)

    whole = counted(rows)
    assert set(whole) <= {"a", "b", "c", "d"}
    for unit in range(5):
        rest = counted([row for row in rows if row[1] != unit])
        moved = [whole[key] - rest.get(key, 0) for key in whole]
        if people:
            assert sorted(moved) == [0] * (len(moved) - 2) + [1, 1]
    assert sum(whole.values()) == (10 if people else 80)


HUGE = 2**61
"""Steps of one unit, of which two reach the limit."""


def huge(town: Town, monkeypatch: pytest.MonkeyPatch) -> Town:
    """The town with clamps that no definition may have: real ones would need millions of units to reach the limit."""
    monkeypatch.setattr("publisher.definitions.dataset.MOST_STEPS", 2**62)
    amount: dict[str, Any] = {"lower": Decimal(-HUGE), "upper": Decimal(HUGE)}
    return replace(town, dataset=town.dataset | {"measures": (town.COUNT, town.SUM | amount)}).rolled_up()


@pytest.mark.parametrize("people", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_totals_of_all_units_stop_at_the_limit(
    town: Town, monkeypatch: pytest.MonkeyPatch, people: bool, sign: int
) -> None:
    """A total that does not fit stops at ±2⁶² on every level, whatever the units, and one unit moves no level by more
    than the sensitivity: nothing wraps around, nothing fails."""
    built = huge(town.people("month", 1, 1) if people else town, monkeypatch)
    definition = built.dataset_file().definition
    rows: list[Row] = [(n, n, 0, place, "water", str(sign * HUGE)) for n, place in enumerate(PLACES[:2] * 4)]
    whole, part = built.aggregate(rows), built.aggregate(rows[1:])
    for level in whole.levels:
        table, without = whole.tables[level.name, "paid"], part.tables[level.name, "paid"]
        assert set(table.tolist()) <= {0, sign * 2**62}
        assert np.any(table)
        gap = [abs(a - b) for a, b in zip(table.tolist(), without.tolist(), strict=True)]  # in numbers of any size
        assert sum(gap) <= sensitivity_of(definition.measured[1], definition.bounds, coarser=bool(level.name)).l1


def test_editions_add_what_arrived_before_it_is_limited(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four units at half the limit, two of them late: each edition counts two, though the total of all does not fit."""
    monkeypatch.setattr("publisher.definitions.dataset.MOST_STEPS", 2**62)
    amount: dict[str, Any] = {"lower": Decimal(0), "upper": Decimal(HUGE)}
    built = town.people("quarter", 1, 1, measures=(town.COUNT, town.SUM | amount), **QUARTER)
    rows: list[Row] = [(n, n, 0, "north", "water", str(HUGE)) for n in range(4)]
    first, second = vintages(built, rows, {0: 1, 1: 1, 2: 2, 3: 2}, 2)
    assert [each.tables["", "paid"].max() for each in (first, second)] == [2**62, 2**62]
