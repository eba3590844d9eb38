"""Neighbors over all editions that add up: what one person moves in all of them together stays within the sensitivity
of one, so the largest loss of any edition is the loss of all."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from publisher.definitions import period as civil
from publisher.definitions.dataset import WIDER
from publisher.definitions.settings import EngineSettings
from publisher.definitions.vintage import vintages_of
from publisher.duck import connect
from publisher.engine.aggregate import bound_and_aggregate
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource
from publisher.privacy.sensitivity import sensitivity_at, sensitivity_of
from publisher.records.batch import basis
from publisher.records.landing import land
from publisher.records.reader import raw
from publisher.records.receipts import Receipts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from small_town import Town

    from publisher.definitions.vintage import Vintage
    from publisher.stages import Integers, Table
    from publisher.workspace import DatasetFile

LIMITS = EngineSettings(memory="500MB", threads=2)
JANUARY = civil.parse("2020-01")
LATE = {"policy": "increment", "received": "%Y-%m-%d.csv", "after_days": (4, 14, 24)}
RECEIVED = (date(2020, 2, 3), date(2020, 2, 10), date(2020, 2, 20))
GROUPS, EACH = 2, 2
CELLS = [(place, kind) for place in ("north", "south", "nowhere") for kind in ("water", "trash")]
AMOUNTS = ("7", "3", "0.4", "-7", "1e9", "-1e300", "nan", "", "seven", "inf")


def _people(draw: random.Random) -> list[list[str]]:
    """The batches. Beside people at random: some who fill the bounds at once, some who come with new cells in every
    batch, some whose amounts go up and down, and rows of nobody."""
    batches: list[list[tuple[str, str, str, str]]] = [[], [], []]
    for who in range(40):
        for _ in range(draw.randrange(14)):
            batches[draw.choices((0, 1, 2), (3, 1, 1))[0]].append(
                (f"p{who}", *draw.choice(CELLS), draw.choice(AMOUNTS))
            )
    for number, batch in enumerate(batches):
        for who in range(6):
            batch += [(f"heavy{who}", *cell, "7") for cell in CELLS[:4] for _ in range(3 if number == 0 else 1)]
            batch += [(f"new{who}", *CELLS[(2 * number + n) % 6], "7") for n in (0, 1) for _ in range(3)]
            batch += [(f"upanddown{who}", "north", "water", "7" if number != 1 else "-7")]
        batch += [("", *cell, "7") for cell in CELLS]
    numbered, rows = 0, []
    for batch in batches:
        lines = ["id,who,opened,place,category,amount,secret"]
        for who, place, kind, amount in batch:
            lines.append(f"r{numbered},{who},2020-01-{draw.randint(1, 31):02},{place},{kind},{amount},x")
            numbered += 1
        rows.append([*lines, *draw.sample(rows[-1][1:], 20)] if rows else lines)  # some come twice
    return rows


@pytest.fixture(scope="module")
def dataset(town: Town) -> DatasetFile:
    """Counts, people, sums and bins of a month, on three levels, and their totals within wider bounds."""
    paid = town.SUM | {"lower": Decimal(0), "wider_upper": Decimal(12)}
    bounds = {"max_groups": GROUPS, "max_per_group": EACH, "wider_groups": 3, "wider_per_group": 3}
    people = town.people(
        measures=(town.COUNT, town.UNITS, paid, town.HISTOGRAM), bounds=bounds | {"coverage_share": Decimal("0.2")}
    )
    return replace(people, source=people.source | {"late": LATE}).rolled_up().dataset_file()


@pytest.fixture(scope="module")
def bench(dataset: DatasetFile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("late")
    (folder / "data" / "raw").mkdir(parents=True)
    for day, lines in zip(RECEIVED, _people(random.Random(8)), strict=True):
        (folder / "data" / "raw" / f"{day}.csv").write_text("\n".join(lines) + "\n")
    private = folder / "private"
    land(dataset.source, data=folder / "data", private=private, engine=LIMITS, received=date(2030, 1, 1))
    with connect(LIMITS, folder / "tmp") as connection:
        yield Bench(connection, dataset, private)


class Bench:
    """What each edition reads, in memory."""

    def __init__(self, connection: Any, dataset: DatasetFile, private: Path) -> None:
        self.connection, self.dataset = connection, dataset
        late = dataset.source.definition.late
        assert late is not None
        self.numbers = [vintage.number for vintage in vintages_of(late, JANUARY)]
        for vintage in vintages_of(late, JANUARY):
            read = raw(dataset.source, private, JANUARY.start, JANUARY.end, vintage=vintage)
            connection.execute(f"CREATE TABLE landed_{vintage.number} AS {read.sql}", read.parameters)
        last = self.numbers[-1]
        query = f"SELECT DISTINCT _unit FROM landed_{last} ORDER BY ALL"
        self.units = [row[0] for row in connection.execute(query).fetchall()]
        query = f"SELECT DISTINCT _unit FROM landed_{last} WHERE _unit = _record"
        self.nameless = {row[0] for row in connection.execute(query).fetchall()}

    def editions(self, but: object, select: str = "SELECT * FROM landed_{n}") -> dict[Table, Integers]:
        """The exact tables that are drawn for all editions, one after the other, without one unit's rows."""
        import numpy as np

        drawn = []
        for n in self.numbers:
            rows = f"SELECT * FROM ({select.format(n=n)}) WHERE _unit IS DISTINCT FROM ?"
            records = RecordSource(rows, (but,), guarded(self.dataset.source), 1 if "REPLACE" in select else n)
            drawn.append(bound_and_aggregate(self.connection, records, self.dataset, JANUARY, 7).tables)
        return {table: np.concatenate([each[table] for each in drawn]) for table in drawn[0]}

    def farthest(self, units: list[Any], select: str = "SELECT * FROM landed_{n}") -> dict[Table, tuple[float, float]]:
        """Of each table the greatest distances of any neighbor over all editions, as parts of Δ₁ and Δ₂²."""
        definition = self.dataset.definition
        whole = self.editions(None, select)
        found = dict.fromkeys(whole, (0.0, 0.0))
        for unit in units:
            fewer = self.editions(unit, select)
            for level, name in whole:
                measure = next(each for each in definition.measured if each.name == name)
                declared = sensitivity_at(definition, measure, level)
                moved = [int(value) for value in whole[level, name] - fewer[level, name] if value]
                l1, l2 = sum(map(abs, moved)) / declared.l1, sum(d * d for d in moved) / declared.l2_squared
                before = found[level, name]
                found[level, name] = max(before[0], l1), max(before[1], l2)
        return found


def test_all_editions_together_stay_within_one_sensitivity(bench: Bench) -> None:
    """With and without each person, over all three editions and on every level: never beyond Δ₁ and Δ₂; on the finest
    level, and in the totals within wider bounds, some person attains them."""
    found = bench.farthest(bench.units)
    for (level, name), (l1, l2_squared) in found.items():
        assert max(l1, l2_squared) <= 1, f"{name} on level {level!r}"
        if level in ("", WIDER):
            assert l1 == l2_squared == 1, f"{name}: nobody attains the sensitivity"


def test_a_row_without_a_person_is_one_unit_in_one_edition(bench: Bench) -> None:
    """It moves one cell of one edition by one record."""
    chosen = sorted(bench.nameless)[:6]
    assert len(chosen) == 6
    found = bench.farthest(chosen)
    assert found["", "requests"] == (1 / (GROUPS * EACH), 1 / (GROUPS * EACH**2))


def test_batches_bounded_each_by_itself_would_break_the_promise(bench: Bench) -> None:
    """Then the same people move the editions farther than declared: what is compared here can fail."""
    alone = "SELECT * REPLACE (1::SMALLINT AS _vintage) FROM landed_{n} WHERE _vintage = {n}"
    found = bench.farthest(bench.units, alone)
    assert all(found["", name][0] > 1 for name in ("requests", "people", "paid", "sizes"))


def test_editions_add_up_to_the_count_of_all(bench: Bench) -> None:
    """Together they count everyone in as many cells as one count of everything at the end would."""
    once = f"SELECT * REPLACE (1::SMALLINT AS _vintage) FROM landed_{bench.numbers[-1]}"
    together, whole = bench.editions(None)["", "people"], bench.editions(None, once)["", "people"]
    assert together.sum() == whole.sum() / len(bench.numbers) > len(bench.units)


HEADER = "id,who,opened,place,category,amount,secret"


def _old_name(town: Town, folder: Path, *, closed: bool) -> tuple[float, float]:
    """The farthest that one person moves two editions together, as parts of Δ₁ and Δ₂², k = 1 and c = 2. The first is
    drawn of the file of 2 February; then come files dated 3 February, before its cutoff, and 10 February. `closed`: the
    draw leaves its cutoff behind, as the product's does."""
    people = town.people(k=1, c=2, measures=(town.COUNT,))
    dataset = replace(people, source=people.source | {"late": LATE | {"after_days": (5, 15)}}).dataset_file()
    late, source, private = dataset.source.definition.late, dataset.source, folder / "private"
    assert late is not None
    first, second = vintages_of(late, JANUARY)
    measure = dataset.definition.measured[0]
    declared, table = sensitivity_of(measure, dataset.definition.bounds), ("", measure.name)

    def deliver(received: date, landed: date, cell: tuple[str, str], records: int) -> None:
        rows = [
            f"{received}-{who}-{n},p{who},2020-01-02,{cell[0]},{cell[1]},1,x"
            for who in range(20)
            for n in range(records)
        ]
        (folder / "data" / "raw").mkdir(parents=True, exist_ok=True)
        (folder / "data" / "raw" / f"{received}.csv").write_text("\n".join([HEADER, *rows]) + "\n")
        land(source, data=folder / "data", private=private, engine=LIMITS, received=landed)

    def draw(vintage: Vintage) -> dict[Any, Integers]:
        """What the edition counts exactly: of all people, and without each."""
        read = raw(source, private, JANUARY.start, JANUARY.end, vintage=vintage)
        counted = {}
        with connect(LIMITS, folder / "tmp") as connection:
            connection.execute(f"CREATE TABLE landed AS {read.sql}", read.parameters)
            for (unit,) in [(None,), *connection.execute("SELECT DISTINCT _unit FROM landed").fetchall()]:
                rows = "SELECT * FROM landed WHERE _unit IS DISTINCT FROM ?"
                records = RecordSource(rows, (unit,), guarded(source), vintage.number)
                counted[unit] = bound_and_aggregate(connection, records, dataset, JANUARY, 7).tables[table]
        return counted

    deliver(date(2020, 2, 2), date(2020, 2, 2), ("north", "water"), 2)
    drawn = [draw(first)]
    if closed:
        Receipts(private, source.name, basis(source.definition)).close(first.cutoff)
    deliver(date(2020, 2, 3), date(2020, 2, 7), ("south", "trash"), 1)
    deliver(date(2020, 2, 10), date(2020, 2, 10), ("south", "trash"), 1)
    drawn.append(draw(second))
    moved = [[edition[None] - edition[unit] for edition in drawn] for unit in drawn[0] if unit is not None]
    assert len(moved) == 20
    l1 = max(sum(float(abs(each).sum()) for each in both) for both in moved)
    l2_squared = max(sum(float((each**2).sum()) for each in both) for both in moved)
    return l1 / float(declared.l1), l2_squared / float(declared.l2_squared)


def test_a_file_with_an_old_name_stays_within_the_sensitivity(town: Town, tmp_path: Path) -> None:
    """It was not there when the edition of its day was drawn: it belongs to the next, or the next would subtract what
    was never counted, and one person would move both editions by more than was paid for."""
    assert _old_name(town, tmp_path / "closed", closed=True) == (1, 1)
    assert min(_old_name(town, tmp_path / "open", closed=False)) > 1
