"""The exact bounded tables: right, the same however the engine runs, and never moved by one unit beyond the claim."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from publisher.definitions import period as civil
from publisher.definitions.dataset import WIDER
from publisher.definitions.keyset import Keyset, Lookup
from publisher.engine import aggregate, parts
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource, cast_failures
from publisher.errors import DefinitionError, SourceError
from publisher.privacy.sensitivity import sensitivity_at

if TYPE_CHECKING:
    from small_town import Row, Town

    from publisher.stages import BoundedAggregate, Table

PLACES = ("north", "south", "elsewhere", None)
CATEGORIES = ("water", "trash", "noise", None)
AMOUNTS = ("1", "2.4", "-2", "9", "1e30", "-1e18", "nan", "inf", "-inf", "oops", "", None)
QUARTER: dict[str, Any] = {"period": "quarter", "first": "2020-Q1"}
HEAVY, STEADY, LOW = 90, 91, 92


def some_rows(seed: int) -> list[Row]:
    """Light units, a unit heavy in every cell and month, a steady one, one below zero, and rows without a unit."""
    source = random.Random(seed)
    rows: list[Row] = []

    def add(unit: int | None, day: int, place: str | None, category: str | None, amount: str | None) -> None:
        rows.append((len(rows), unit, day, place, category, amount))

    for unit in range(6):
        for _ in range(source.randint(1, 8)):
            add(unit, source.randint(0, 90), source.choice(PLACES), source.choice(CATEGORIES), source.choice(AMOUNTS))
    for _ in range(5):
        add(None, source.randint(0, 90), source.choice(PLACES), source.choice(CATEGORIES), source.choice(AMOUNTS))
    for place in PLACES:
        for category in CATEGORIES:
            for day in (0, 1, 2, 40, 41, 42, 80, 81, 82):
                add(HEAVY, day, place, category, "100")
    for day in range(0, 91, 5):
        add(STEADY, day, "south", "water", "3")
        add(LOW, day, source.choice(PLACES), "water", "-1e17")
    return rows


def window_of(day: int, window: str) -> int:
    return {"month": (day >= 31) + (day >= 60), "quarter": 0, "year": 0, "lifetime": 0, "day": day}[window]


def without(rows: list[Row], unit: object, window: str) -> list[Row]:
    """The neighbor: all rows of one unit in one window are gone."""
    return [row for row in rows if unit_of(row, window) != unit]


def unit_of(row: Row, window: str) -> tuple[object, int]:
    record, unit, day = row[:3]
    return (("own", record) if unit is None else unit), window_of(day, window)


def distances(town: Town, whole: BoundedAggregate, part: BoundedAggregate) -> dict[Table, tuple[int, int]]:
    """By level and measure: the L1 distance and the square of the L2 distance."""
    gaps = {name: (whole.tables[name] - part.tables[name]).tolist() for name in whole.tables}
    return {name: (sum(map(abs, gap)), sum(each * each for each in gap)) for name, gap in gaps.items()}


def replay(town: Town, rows: list[Row], window: str, period: str) -> None:
    """Every neighbor stays within the declared sensitivity, and some neighbor attains it in every table."""
    dataset = town.dataset_file().definition
    levels = (*(rollup.name for rollup in dataset.rollups), "")
    tables = [*((level, each) for level in levels for each in dataset.measured)]
    tables += [(WIDER, each) for each in dataset.covered]
    claims = {(level, each.name): sensitivity_at(dataset, each, level) for level, each in tables}
    whole = town.aggregate(rows, period)
    farthest: dict[Table, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for unit in sorted({unit_of(row, window) for row in rows}, key=str):
        found = distances(town, whole, town.aggregate(without(rows, unit, window), period))
        for name, (l1, l2) in found.items():
            assert l1 <= claims[name].l1, f"{name}: unit {unit} moves it by {l1} > {claims[name].l1}"
            assert l2 <= claims[name].l2_squared, f"{name}: unit {unit} moves it by √{l2}"
            farthest[name] = max(farthest[name], (l1, l2))
    assert dict(farthest) == {name: (claim.l1, claim.l2_squared) for name, claim in claims.items()}


@pytest.mark.parametrize(
    ("window", "k", "c", "dataset"),
    [
        ("month", 1, 1, QUARTER),
        ("month", 3, 2, QUARTER | {"grain": "month"}),
        ("quarter", 4, 3, QUARTER | {"grain": "month"}),
        ("year", 9, 3, {}),
        ("lifetime", 2, 1, QUARTER),
    ],
)
def test_people_as_units(town: Town, window: str, k: int, c: int, dataset: dict[str, Any]) -> None:
    """With and without each person's window, heavy, steady and anonymous ones, tables differ by at most Δ₁ and Δ₂."""
    rows = some_rows(k)
    if not dataset:
        rows = [row for row in rows if row[2] < 31]
    measures = (town.COUNT, town.UNITS, town.SUM)
    measured = town.people(window, k, c, measures=measures, **dataset)
    replay(measured, rows, window, "2020-Q1" if dataset else "2020-01")


def test_records_as_units(town: Town) -> None:
    """With and without each record, tables differ by at most one count and one clamped value."""
    rows = [row for row in some_rows(5) if row[2] < 31]
    records = replace(town, dataset={"measures": (town.COUNT, town.SUM)})
    whole = records.aggregate(rows)
    claims = {"requests": 1, "paid": 7}
    farthest = dict.fromkeys(claims, 0)
    for row in rows:
        part = records.aggregate([each for each in rows if each is not row])
        for (_, name), (l1, l2) in distances(town, whole, part).items():
            assert l1 <= claims[name]
            assert l2 <= claims[name] ** 2
            farthest[name] = max(farthest[name], l1)
    assert farthest == claims


REGISTER = {"register": {"reading": "amount", "consumption": "used"}}
USED: dict[str, Any] = {"column": "used", "lower": Decimal(0), "upper": Decimal(50)}


def register(town: Town, **changes: Any) -> Town:
    """Meters: amounts are cumulative readings, and their differences are added up."""
    people = town.people("month", 2, 1, measures=(town.UNITS, town.SUM | USED), **(QUARTER | changes))
    suppression = {"measure": "people", "threshold": 3}
    return replace(people, source=people.source | REGISTER, dataset=people.dataset | {"suppression": suppression})


def test_registers_as_units(town: Town) -> None:
    """Readings of one unit, faults among them, move a table of differences by no more than the clamp."""
    source = random.Random(3)
    rows: list[Row] = []
    for unit in range(8):
        reading = 10.0
        for day in range(0, 91, 6):
            reading += source.choice((0, 3, 40, -500, 10_000))
            text = source.choice((str(reading), str(reading), "oops", None, "9223372036854775807", "-9e18", "nan"))
            rows.append((len(rows), unit, day, source.choice(("north", "south")), "water", text))
    rows += [(1000 + n, 50, n, ("north", "south")[n // 2 % 2], "water", str(1000 * n)) for n in range(8)]
    replay(register(town), rows, "month", "2020-Q1")


def test_a_difference_never_reaches_over_its_window(town: Town) -> None:
    """The first reading of a month gives nothing: otherwise January's records would move February's table."""
    rows: list[Row] = [
        (1, 1, 29, "north", "water", "100"),
        (2, 1, 30, "north", "water", "107"),
        (3, 1, 31, "north", "water", "140"),
        (4, 1, 32, "north", "water", "142"),
    ]
    used = register(town, grain="month").tables(rows, "2020-Q1")["paid"]
    assert used.reshape(3, -1).sum(axis=1).tolist() == [7, 2, 0]


@pytest.mark.parametrize(
    "text", ["TRY_CAST(amount AS BIGINT)", "TRY_CAST(amount AS UTINYINT)", "TRY_CAST(amount AS HUGEINT)"]
)
def test_a_broken_register_stops_nobody(town: Town, text: str) -> None:
    """A reading at the edge of its type makes no overflow: every other unit is counted as before."""
    rows: list[Row] = [(n, 1, n, "north", "water", str(value)) for n, value in enumerate((-(2**63), 2**63 - 1, 255, 0))]
    rows += [(10 + n, 2, n, "south", "water", str(n)) for n in range(4)]
    meters = replace(register(town), sql=f"SELECT place, category, {text} AS amount FROM raw")
    cells = meters.tables(rows, "2020-Q1")["paid"].reshape(3, 3)
    assert cells[1].tolist() == [3, 0, 0]


def test_a_record_counts_whatever_the_others_hold(town: Town) -> None:
    """A condition is decided by its own row alone: only TRY around it stops DuckDB from dropping rows by statistics."""
    condition = "CASE WHEN place = 'zzz' THEN NULL ELSE 'yes' END LIKE 'y%'"
    asked = replace(town, sql=f"{town.sql} WHERE {condition}")
    rows: list[Row] = [(n, n, 1, place, "water", None) for n, place in enumerate(("north", None) * 10)]
    more: list[Row] = [*rows, (90, 90, 1, "zzz", "water", None), (91, 91, 1, "aaa", "water", None)]
    assert asked.tables(rows)["requests"].sum() == 20
    assert asked.tables(more)["requests"].sum() == 21


def plain(rows: list[Row], measure: str) -> list[int]:
    """Every row's contribution added up, without any bound: 3 × 3 cells of January."""
    table = np.zeros((3, 3), dtype=object)
    for _, _, day, place, category, amount in rows:
        if day < 31:
            cell = ("north", "south").index(place) if place in ("north", "south") else 2
            inner = ("water", "trash").index(category) if category in ("water", "trash") else 2
            table[cell, inner] += 1 if measure == "requests" else int(amount or 0)
    return [int(each) for each in table.ravel()]


def test_loose_bounds_give_the_plain_answer(town: Town) -> None:
    """With room for everybody the tables are the exact GROUP BY; unknown keys lie under Unknown and Other."""
    source = random.Random(1)
    rows: list[Row] = [
        (
            n,
            source.randint(0, 30),
            source.randint(0, 40),
            source.choice(PLACES),
            source.choice(CATEGORIES),
            str(n % 9 - 4),
        )
        for n in range(300)
    ]
    wide = town.SUM | {"lower": Decimal(-9999), "upper": Decimal(9999)}
    tables = town.people("month", 9, 1000, measures=(town.COUNT, wide)).tables(rows)
    assert {name: table.tolist() for name, table in tables.items()} == {n: plain(rows, n) for n in ("requests", "paid")}
    tables = replace(town, dataset={"measures": (town.COUNT, wide)}).tables(rows)
    assert {name: table.tolist() for name, table in tables.items()} == {n: plain(rows, n) for n in ("requests", "paid")}


@pytest.mark.parametrize("window", ["month", "quarter"])
def test_units_do_not_see_each_other(town: Town, window: str) -> None:
    """The table of all is the sum of the tables of each (unit, window) alone, and each of those keeps the bounds."""
    rows = some_rows(11)
    k, c = 2, 2
    built = town.people(window, k, c, measures=(town.COUNT, town.UNITS, town.SUM), grain="month", **QUARTER)
    whole = built.tables(rows, "2020-Q1")
    added = {name: np.zeros_like(table) for name, table in whole.items()}
    for unit in {unit_of(row, window) for row in rows}:
        alone = built.tables([row for row in rows if unit_of(row, window) == unit], "2020-Q1")
        assert np.count_nonzero(alone["requests"]) <= k
        assert alone["requests"].max() <= c
        assert alone["people"].max() == 1
        assert alone["paid"].max() <= 7
        assert alone["paid"].min() >= -3
        for name, table in alone.items():
            added[name] += table
    assert all(np.array_equal(whole[name], added[name]) for name in whole)


def test_the_engine_does_not_matter(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads, the order of rows and the number of parts and passes leave every table as it is; the ordering key does
    not."""
    rows = some_rows(13)
    built = town.people("month", 2, 2, measures=(town.COUNT, town.UNITS, town.SUM), **QUARTER)
    first = built.tables(rows, "2020-Q1")
    shuffled = random.Random(1).sample(rows, len(rows))

    def same() -> bool:
        found = built.tables(shuffled, "2020-Q1")
        return all(np.array_equal(found[name], first[name]) for name in first)

    assert same()
    town.connection.execute("SET threads = 1")
    assert same()
    town.connection.execute("SET threads = 2")
    for size, share in ((1, 1.0), (40, 1.0), (100, 1e-7), (1, 1e-9)):
        monkeypatch.setattr(parts, "PART_ROWS", size)
        monkeypatch.setattr(aggregate, "SHARE", share)
        assert same()
    others = [built.tables(rows, "2020-Q1", key)["requests"] for key in range(5)]
    assert any(not np.array_equal(other, first["requests"]) for other in others)


def test_what_is_no_number_counts_as_nothing(town: Town) -> None:
    """NaN, infinities, absurd and missing values add nothing to a sum and are still counted as records."""
    junk = ("nan", "inf", "-inf", "1e19", "-1e400", "oops", "", None)
    rows: list[Row] = [(n, 1, 0, "north", "water", text) for n, text in enumerate((*junk, "5"))]
    for built in (town.people("month", 1, 100), town):
        made = replace(built, dataset=built.dataset | {"measures": (town.COUNT, town.SUM)}).tables(rows)
        assert (int(made["requests"][0]), int(made["paid"][0])) == (9, 5)


def test_totals_at_the_edges_are_clamped_right(town: Town) -> None:
    """A unit's huge values cancel or clamp exactly: nothing wraps around 64 bits."""
    for amounts, clamped in (
        (["9e18"] * 9, 7),
        (["-9e18"] * 9, -3),
        (["9e18", "9e18", "-9e18", "-9e18", "2"], 2),
        (["9e18", "-9e18", "-1"], -1),
    ):
        rows: list[Row] = [(n, 1, 0, "north", "water", text) for n, text in enumerate(amounts)]
        built = town.people("month", 1, 1, measures=(town.COUNT, town.SUM))
        assert int(built.tables(rows)["paid"][0]) == clamped


def test_sums_are_whole_steps_of_the_resolution(town: Town) -> None:
    """Values are rounded to the resolution before they are added: cents and half dollars."""
    rows: list[Row] = [(n, n, 0, "north", "water", text) for n, text in enumerate(("0.07", "0.1", "0.2", "6.999"))]
    for resolution, steps in (("0.01", 737), ("0.5", 14), ("1", 7)):
        measure = town.SUM | {"resolution": Decimal(resolution), "lower": Decimal(0)}
        built = replace(town, dataset={"measures": (town.COUNT, measure)})
        assert int(built.tables(rows)["paid"][0]) == steps


@pytest.mark.parametrize("name", ["cell", "packed", "number", "order", "sum_1", "select", "key"])
def test_any_name_will_do(town: Town, name: str) -> None:
    """Measures and columns may be called like words of SQL or like the engine's own columns."""
    rows: list[Row] = [(1, 1, 0, "north", "water", "5"), (2, 2, 0, "south", "trash", "2")]
    measures = (town.COUNT, town.SUM | {"name": name, "column": name}, town.SUM | {"name": "other"})
    keys = ({"name": f"{name}s"[:-1] + "_", "title": "Place", "keyset": "places", "other": "Unknown"},)
    sql = f'SELECT amount AS "{name}", amount, place AS "{name}_" FROM raw'
    changed = {"measures": measures, "keys": keys}
    for built in (replace(town, dataset=changed), town.people(**changed)):
        made = replace(built, sql=sql, keysets=built.keysets[:1]).tables(rows)
        assert made[name].tolist() == [5, 2, 0]
        assert made["other"].tolist() == [5, 2, 0]


@pytest.mark.parametrize("name", ["records", "units", "mine", "incoming", "axis"])
def test_any_lookup_name_will_do(town: Town, name: str) -> None:
    """A lookup may be called like one of the engine's own relations."""
    lookup = Lookup(name, ("code", "zone"), (("a", "north"), ("b", "south")), "0" * 64)
    sql = f"SELECT l.zone AS place, category FROM raw LEFT JOIN {name} AS l ON l.code = raw.place"
    rows: list[Row] = [(1, 1, 0, "a", "water", None), (2, 2, 0, "b", "trash", None), (3, 3, 0, "c", "water", None)]
    for built in (town, town.people()):
        made = replace(built, sql=sql, lookups={name: lookup}).tables(rows)["requests"]
        assert made.tolist() == [1, 0, 0, 0, 1, 0, 1, 0, 0]


def test_every_period_has_its_cells(town: Town) -> None:
    """Weeks, days and months of a release are told apart by the civil date."""
    rows: list[Row] = [(day, day, day, "north", "water", "1") for day in range(91)]
    for period, grain, wanted in (
        ("2020-Q1", "month", [31, 29, 31]),
        ("2020-01", "day", [1] * 31),
        ("2020-W02", "day", [1] * 7),
        ("2020", "quarter", [91, 0, 0, 0]),
    ):
        release = civil.parse(period)
        changed = {"period": release.grain, "grain": grain, "first": period}
        built = replace(town, dataset=changed)
        table = built.tables(rows, period)["requests"].reshape(len(wanted), -1).sum(axis=1)
        assert table.tolist() == wanted


def test_nobody_gives_zeros(town: Town) -> None:
    """A period without records has every cell, and all of them are zero."""
    for built in (town, town.people()):
        assert built.tables([])["requests"].tolist() == [0] * 9


def test_a_missing_column_is_named(town: Town) -> None:
    """A key or a sum that the SELECT does not give is a definition error that lists what there is."""
    with pytest.raises(
        DefinitionError, match=r"datasets/town\.toml:1: keys\.1\.name: source town has no column 'category'"
    ):
        replace(town, sql="SELECT place FROM raw").aggregate([])


def test_errors_show_no_value(town: Town) -> None:
    """What DuckDB cannot do is said in our own words, without the record's value."""
    town.load([(1, 1, 0, "north", "water", "hush-hush")])
    dataset = town.dataset_file()
    broken = RecordSource("SELECT *, CAST(amount AS INTEGER) AS x FROM landed WHERE x > 0", (), guarded(dataset.source))
    with pytest.raises(SourceError) as caught:
        aggregate.bound_and_aggregate(town.connection, broken, dataset, civil.parse("2020-01"), 7)
    assert "hush" not in str(caught.value)
    assert "TRY_CAST" in str(caught.value)
    assert caught.value.__cause__ is None


def test_casts_that_failed_are_counted(town: Town) -> None:
    """The private report has the number of values per column that were there and did not cast."""
    rows: list[Row] = [(n, n, 0, "north", "water", text) for n, text in enumerate(("1", "x", "y", None))]
    town.load(rows)
    built = replace(town, sql="SELECT place, category, TRY_CAST(amount AS INTEGER) AS amount FROM raw")
    dataset = built.dataset_file()
    records = RecordSource("SELECT * FROM landed", (), guarded(dataset.source))
    assert cast_failures(town.connection, records, dataset, civil.parse("2020-01")) == {"amount": 2}


def test_counting_casts_survives_overflow(town: Town) -> None:
    """A value that overflows inside a cast is counted as not there, and stops nothing."""
    town.load([(1, 1, 0, "north", "water", "9"), (2, 2, 0, "north", "water", "x")])
    cast = "TRY_CAST(TRY_CAST(amount AS BIGINT) * 9223372036854775807 AS INTEGER)"
    sql = f"SELECT place, category, {cast} AS amount FROM raw"
    dataset = replace(town, sql=sql).dataset_file()
    records = RecordSource("SELECT * FROM landed", (), guarded(dataset.source))
    assert cast_failures(town.connection, records, dataset, civil.parse("2020-01")) == {"amount": 1}


def test_an_expression_that_stands_twice_stays_shielded(town: Town) -> None:
    """A value that overflows in two places of a SELECT is NULL there, and stops nothing."""
    rows: list[Row] = [(1, 1, 0, "north", "water", "9"), (2, 2, 0, "south", "water", "1")]
    huge = "TRY_CAST(amount AS BIGINT) * 9223372036854775807"
    sql = (
        f"SELECT CASE WHEN {huge} > 0 THEN {huge} END AS amount, CASE WHEN {huge} > 1 THEN place END AS place, category"
    )
    for built in (town, town.people()):
        made = replace(built, sql=f"{sql} FROM raw").aggregate(rows)
        assert made.tables["", "requests"].tolist() == [0, 0, 0, 1, 0, 0, 1, 0, 0]


def test_the_aggregate_shows_nothing(town: Town) -> None:
    """The repr of exact tables holds no exact number."""
    rows: list[Row] = [(n, n, 0, "north", "water", "5") for n in range(123)]
    assert "123" not in repr(town.aggregate(rows))


def test_a_keyset_without_labels_or_catch_all(town: Town) -> None:
    """A keyset that lists the catch-all key itself gets no second one."""
    keysets = (Keyset("places", ("Unknown", "north"), None, "2" * 64), town.keysets[1])
    rows: list[Row] = [(1, 1, 0, "north", "water", "1"), (2, 2, 0, "moon", "water", "1")]
    made = replace(town, keysets=keysets).aggregate(rows)
    assert made.levels[-1].grid.shape == (1, 2, 3)
    assert made.tables["", "requests"].tolist() == [1, 0, 0, 1, 0, 0]


WIDE = {"coverage_share": Decimal("0.2")}


@pytest.mark.parametrize(
    ("window", "k", "c", "wider", "upper", "dataset"),
    [
        ("month", 1, 1, {"wider_groups": 3, "wider_per_group": 2}, 9, QUARTER | {"grain": "month"}),
        ("quarter", 2, 2, {"wider_groups": 5}, 7, QUARTER | {"grain": "month"}),
        ("lifetime", 1, 1, {"wider_per_group": 3}, 20, QUARTER),
    ],
)
def test_totals_within_wider_bounds(
    town: Town, window: str, k: int, c: int, wider: dict[str, int], upper: int, dataset: dict[str, Any]
) -> None:
    """The total within wider bounds is one number; some neighbor moves it by k'·c', k'·M' or k', and none farther. What
    counts is a part of it."""
    paid = town.SUM | {"lower": Decimal(0), "wider_upper": Decimal(upper)}
    bounds = {"max_groups": k, "max_per_group": c, **wider} | WIDE
    measured = town.people(window, measures=(town.COUNT, town.UNITS, paid), bounds=bounds, **dataset)
    rows = some_rows(k)
    replay(measured, rows, window, "2020-Q1")
    definition, found = measured.dataset_file().definition, measured.aggregate(rows, "2020-Q1").tables
    assert [name for level, name in found if level == WIDER] == [each.name for each in definition.covered]
    for each in definition.covered:
        assert found[WIDER, each.name].shape == (1,)
        assert 0 < found["", each.name].sum() <= found[WIDER, each.name][0]


def test_clamped_records_within_a_wider_clamp(town: Town) -> None:
    """Where records are the units, only their clamps cut, and a record moves the wider total by the wider one."""
    paid = town.SUM | {"lower": Decimal(0), "wider_upper": Decimal(20)}
    records = replace(town, dataset={"measures": (town.COUNT, paid), "bounds": WIDE})
    rows = [row for row in some_rows(5) if row[2] < 31]
    whole = records.aggregate(rows)
    gaps = [
        distances(records, whole, records.aggregate([each for each in rows if each is not row]))[WIDER, "paid"][0]
        for row in rows
    ]
    assert (max(gaps), [name for level, name in whole.tables if level == WIDER]) == (20, ["paid"])
    assert records.aggregate([]).tables[WIDER, "paid"].tolist() == [0]
