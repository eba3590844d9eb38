"""What units have: the histograms are right, and one unit in one window is one entry in each of them."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from publisher.definitions import period as civil
from publisher.definitions.keyset import Keyset
from publisher.engine.contributions import ContributionQuestion, contributions
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from small_town import Row, Town

    from publisher.stages import Integers

CELLS = ContributionQuestion("cells", (1, 2, 3, 4, 6))
RECORDS = ContributionQuestion("records", (1, 2, 3, 4, 6, 8))
PAID = ContributionQuestion("total", (0, 1, 2, 5, 10, 20, 50, 100), "paid")
QUARTER: dict[str, Any] = {"period": "quarter", "first": "2020-Q1"}
MONTHS: dict[str, Any] = {"period": "month", "first": "2020-01"}
AMOUNTS = ("1", "2.4", "-2", "9", "70", "1e30", "-1e18", "nan", "inf", "oops", "", None)
STARTS = (0, 31, 60, 91)


def some_rows(seed: int, units: int = 12) -> list[Row]:
    """Light units, one that is everywhere, one far below zero, one too heavy for 64 bits, rows without a unit."""
    source = random.Random(seed)
    rows: list[Row] = []

    def add(unit: int | None, day: int, place: str | None, category: str | None, amount: str | None) -> None:
        rows.append((len(rows), unit, day, place, category, amount))

    def anything() -> tuple[str | None, str | None, str | None]:
        place = source.choice(("north", "south", "elsewhere", None))
        return place, source.choice(("water", "trash", "noise", None)), source.choice(AMOUNTS)

    for unit in range(units):
        for _ in range(source.randint(1, 9)):
            add(unit, source.randint(0, 90), *anything())
    for _ in range(units // 2):
        add(None, source.randint(0, 90), *anything())
    for day in range(0, 91, 2):
        add(90, day, *anything())
        add(91, day, "north", "water", "-40")
        add(92, day, "north", "water", "9e18")
    add(93, 3, "north", "water", "6")
    add(93, 4, "south", "trash", "-6")
    return rows


def month_of(day: int) -> int:
    return sum(day >= start for start in STARTS[1:])


def unit_of(row: Row, window: str) -> tuple[object, int]:
    record, unit, day = row[:3]
    return ("own", record) if unit is None else unit, month_of(day) if window == "month" else 0


def value_of(amount: str | None) -> int:
    """In whole dollars; what is no number, or none that 64 bits hold, is nothing."""
    try:
        number = float(amount or "")
    except ValueError:
        return 0
    return round(number) if math.isfinite(number) and abs(number) < 2**63 else 0


def expected(rows: Iterable[Row], window: str, *, monthly_releases: bool, monthly_cells: bool) -> dict[str, list[int]]:
    """By hand: of each unit and window its most cells, fullest cell and largest total, over the releases."""
    having: dict[Any, dict[Any, dict[Any, list[int]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for row in rows:
        _, _, day, place, category, amount = row
        month = month_of(day)
        place = place if place in ("north", "south") else "Unknown"
        category = category if category in ("water", "trash") else "Other"
        cell = (month if monthly_cells else 0, place, category)
        having[unit_of(row, window)][month if monthly_releases else 0][cell].append(value_of(amount))
    found: dict[str, list[int]] = {"cells": [], "records": [], "total": []}
    for releases in having.values():
        found["cells"].append(max(len(cells) for cells in releases.values()))
        values = [cell for cells in releases.values() for cell in cells.values()]
        found["records"].append(max(map(len, values)))
        totals = [sum(each) for each in values]
        found["total"].append(max(totals, key=lambda total: (abs(total), total > 0)))
    return found


def sorted_into(question: ContributionQuestion, values: list[int]) -> list[int]:
    """By hand: how many values lie in each bin; those below zero after the others, by magnitude."""
    size = len(question.tops) + 1
    places = Counter(sum(top < abs(value) for top in question.tops) + (size if value < 0 else 0) for value in values)
    return [places[place] for place in range(question.size)]


def ask(town: Town, rows: list[Row], period: str, *questions: ContributionQuestion) -> list[Integers]:
    """The engine's histograms."""
    town.load(rows)
    dataset, asked = town.dataset_file(), civil.parse(period)
    query = guarded(dataset.source)
    releases = [
        (each, RecordSource("SELECT * FROM landed WHERE _event >= ? AND _event < ?", (each.start, each.end), query))
        for each in asked.cut(dataset.definition.period)
    ]
    return list(contributions(town.connection, releases, dataset, asked, questions))


CASES: list[tuple[str, dict[str, Any]]] = [
    ("month", MONTHS),
    ("quarter", MONTHS),
    ("month", QUARTER),
    ("month", QUARTER | {"grain": "month"}),
    ("quarter", QUARTER | {"grain": "month"}),
    ("year", QUARTER),
    ("lifetime", MONTHS),
]


@pytest.mark.parametrize(("window", "dataset"), CASES)
def test_histograms_are_right(town: Town, window: str, dataset: dict[str, Any]) -> None:
    """Every bin is what counting by hand gives, for windows shorter and longer than a release, and all extremes."""
    rows = some_rows(3)
    people = town.people(window, measures=(town.COUNT, town.SUM), **dataset)
    found = ask(people, rows, "2020-Q1", CELLS, RECORDS, PAID)
    monthly = dataset["period"] == "month"
    wanted = expected(rows, window, monthly_releases=monthly, monthly_cells=monthly or dataset.get("grain") == "month")
    for question, histogram in zip((CELLS, RECORDS, PAID), found, strict=True):
        assert histogram.tolist() == sorted_into(question, wanted[question.quantity]), question.quantity
        assert histogram.sum() == len({unit_of(row, window) for row in rows})


@pytest.mark.parametrize(("window", "dataset"), CASES)
def test_a_unit_in_a_window_is_one_entry(town: Town, window: str, dataset: dict[str, Any]) -> None:
    """Without any one unit's window each histogram lacks exactly one: Δ₁ = Δ₂ = 1 is right and attained."""
    rows = some_rows(4, units=4)
    people = town.people(window, measures=(town.COUNT, town.SUM), **dataset)
    whole = ask(people, rows, "2020-Q1", CELLS, RECORDS, PAID)
    for unit in sorted({unit_of(row, window) for row in rows}, key=str):
        part = ask(people, [row for row in rows if unit_of(row, window) != unit], "2020-Q1", CELLS, RECORDS, PAID)
        for before, after in zip(whole, part, strict=True):
            gap = before - after
            assert (np.abs(gap).sum(), gap.sum()) == (1, 1), f"unit {unit}"


def test_records_are_one_entry_each(town: Town) -> None:
    """Where the record is the unit, its own value is sorted; without it exactly one entry is gone."""
    rows = [row for row in some_rows(5, units=4) if row[2] < 31]
    records = replace(town, dataset={"measures": (town.COUNT, town.SUM)})
    (whole,) = ask(records, rows, "2020-01", PAID)
    assert whole.tolist() == sorted_into(PAID, [value_of(row[5]) for row in rows])
    for row in rows:
        (part,) = ask(records, [each for each in rows if each is not row], "2020-01", PAID)
        assert (np.abs(whole - part).sum(), (whole - part).sum()) == (1, 1)


def test_several_releases_of_records_add_up(town: Town) -> None:
    """Each record lies in one release of the period, and is counted once."""
    rows = some_rows(6)
    records = replace(town, dataset={"measures": (town.COUNT, town.SUM)} | MONTHS)
    (found,) = ask(records, rows, "2020-Q1", PAID)
    assert found.tolist() == sorted_into(PAID, [value_of(row[5]) for row in rows])


def test_registers_are_measured_by_their_differences(town: Town) -> None:
    """A register's readings count by what they grow inside one account and window, as in a release."""
    readings = {
        1: ((0, "100"), (10, "103"), (20, "110"), (40, "500"), (50, "501")),
        2: ((3, "7"), (5, "7")),
        3: ((9, "1"),),
    }
    rows: list[Row] = [
        (100 * unit + n, unit, day, "north", "water", reading)
        for unit, of_unit in readings.items()
        for n, (day, reading) in enumerate(of_unit)
    ]
    used = town.SUM | {"column": "used", "lower": Decimal(0)}
    meters = town.people("month", measures=(town.COUNT, used), **MONTHS)
    meters = replace(meters, source=meters.source | {"register": {"reading": "amount", "consumption": "used"}})
    (found,) = ask(meters, rows, "2020-Q1", PAID)
    assert found.tolist() == sorted_into(PAID, [10, 1, 0, 0])


def test_keys_to_be_discovered_count_as_they_stand(town: Town) -> None:
    """Where keys are not public yet, each text is a cell of its own: k bounds those."""
    texts = ("a", "b", "b", "c", None)
    rows: list[Row] = [(n, 1, 3, "north", text, "1") for n, text in enumerate(texts)]
    rows += [(10, 2, 3, "north", "a", "1"), (11, 2, 4, "south", "a", "1")]
    keys = (
        {"name": "place", "title": "Place", "keyset": "places", "other": "Unknown"},
        {"name": "category", "title": "Category", "other": "Other",
         "discover": {"share": Decimal("0.2"), "delta": Decimal("0.00001")}},
    )  # fmt: skip
    people = town.people("month", measures=(town.COUNT,), keys=keys)
    people = replace(people, keysets=(people.keysets[0], Keyset("discovered", (), None, "")))
    cells, records = ask(people, rows, "2020-01", CELLS, RECORDS)
    assert cells.tolist() == sorted_into(CELLS, [4, 2])
    assert records.tolist() == sorted_into(RECORDS, [2, 1])


def test_no_row_is_no_entry(town: Town) -> None:
    """An empty period gives empty histograms of the same shape."""
    people = town.people("month", measures=(town.COUNT, town.SUM))
    assert [each.tolist() for each in ask(people, [], "2020-01", CELLS, PAID)] == [[0] * 6, [0] * 18]
