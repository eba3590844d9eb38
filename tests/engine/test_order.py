"""The keyed order: SplitMix64 as published, the same on any machine, and no favorite among cells."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from hashlib import blake2b, md5
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pytest
from scipy.stats import chi2

from publisher.definitions import period as civil
from publisher.engine.candidates import candidates
from publisher.engine.guard import guarded
from publisher.engine.input import BoundedInput, RecordSource
from publisher.engine.order import ORDER, chained, halves, seeds, word_of

if TYPE_CHECKING:
    from small_town import Row, Town

PUBLISHED = {
    0: (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC),
    1234567: (
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ),
}  # fmt: skip
"""The first outputs of SplitMix64 by seed, as its reference implementation and Rosetta Code print them."""

GAMMA, WORD = 0x9E3779B97F4A7C15, (1 << 64) - 1
KEY = 7


def mix(*words: int) -> int:
    """The order as docs/privacy.md specifies it, in whole numbers of any size."""
    state = 0
    for word in words:
        state = ((state ^ word) + GAMMA) & WORD
        state = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & WORD
        state = ((state ^ state >> 27) * 0x94D049BB133111EB) & WORD
        state ^= state >> 31
    return state


def bits(kind: str, number: int) -> tuple[int, int]:
    """The two halves of the identifier that the town gives to a unit ("u") or a record ("r")."""
    whole = UUID(md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest()).int
    return whole >> 64, whole & WORD


@pytest.mark.parametrize("seed", PUBLISHED)
def test_it_is_splitmix64(seed: int) -> None:
    """Its published outputs come out, one by one and all at once, and the specification gives the same."""
    inputs = [(seed + GAMMA * n) & WORD for n in range(len(PUBLISHED[seed]))]
    assert tuple(chained(np.uint64(0), np.array(inputs, np.uint64)).tolist()) == PUBLISHED[seed]
    assert tuple(mix(word) for word in inputs) == PUBLISHED[seed]


def test_the_order_has_known_answers() -> None:
    """A key, a unit, a cell and a text of this order never get another number: that would be another order."""
    state = seeds(KEY, np.array([1], np.uint64), np.array([2], np.uint64))
    assert chained(state, np.array([3], np.uint64)).tolist() == [mix(KEY, 1, 2, 3)] == [0x19EA39DD3E86F88E]
    assert word_of("north", KEY) == 0x76E1A5D4F9CEBE8F
    assert word_of("north", KEY) == int.from_bytes(blake2b(b"north", digest_size=8, key=bytes(7) + b"\7").digest())
    assert ORDER == "splitmix64/1"


def test_an_identifier_is_its_bytes_in_order(town: Town) -> None:
    """The high half has the first eight bytes of a UUID, the low half the others, whatever their highest bits."""
    texts = ("00010203-0405-0607-0809-0a0b0c0d0e0f", "ffeeddcc-bbaa-9988-7766-554433221100")
    for text in texts:
        query = f"SELECT {halves('u', 'u')} FROM (SELECT CAST(? AS UUID) AS u)"
        assert town.connection.execute(query, [text]).fetchall() == [divmod(UUID(text).int, 1 << 64)]


def many(seed: int) -> list[Row]:
    """Forty units with up to sixty rows in any of sixteen cells, amounts of three bins."""
    source, rows = random.Random(seed), []
    places, kinds = ("north", "south", "elsewhere", None), ("water", "trash", "noise", None)
    for unit in range(40):
        for _ in range(source.randint(1, 60)):
            record = (len(rows), unit, 0, source.choice(places), source.choice(kinds), source.choice("124689"))
            rows.append(record)
    return rows


def kept(rows: list[Row], cell_of: dict[Any, int], k: int, c: int) -> tuple[dict[int, int], dict[tuple[int, int], int]]:
    """Rows by cell, and records by (cell, bin), as the specification keeps them."""
    mine: dict[int, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        mine[int(str(row[1]))][cell_of[row[3], row[4]]].append(row)
    counts, bins = dict[int, int](), dict[tuple[int, int], int]()
    for unit, cells in mine.items():
        for cell in sorted(cells, key=lambda each: (mix(KEY, *bits("u", unit), each) >> 48, each))[:k]:
            counts[cell] = counts.get(cell, 0) + min(len(cells[cell]), c)
            first = sorted(
                cells[cell], key=lambda row: mix(KEY, *bits("u", unit), cell, *bits("r", int(str(row[0])))) >> 4
            )
            for row in first[:c]:
                place = cell, sum(float(str(row[5])) >= begin for begin in (2, 5))
                bins[place] = bins.get(place, 0) + 1
    return counts, bins


def histograms(town: Town, k: int = 3, c: int = 2) -> Town:
    return town.people("month", k, c, measures=(town.COUNT, town.HISTOGRAM))


@pytest.mark.parametrize("seed", range(3))
def test_cells_and_records_survive_as_specified(town: Town, seed: int) -> None:
    """What is kept of every unit is what the specification keeps, cell by cell and record by record."""
    rows, built = many(seed), histograms(town)
    made = built.tables(rows)
    places, kinds = (axis.keys for axis in built.dataset_file().grid(civil.parse("2020-01")).axes)
    cell_of = {(a, b): _code(places, a) * len(kinds) + _code(kinds, b) for a in _ALL for b in _ALL}
    counts, bins = kept(rows, cell_of, k=3, c=2)
    assert {cell: n for cell, n in enumerate(made["requests"].tolist()) if n} == counts
    assert {divmod(place, 3): n for place, n in enumerate(made["sizes"].tolist()) if n} == bins


_ALL = ("north", "south", "elsewhere", "water", "trash", "noise", None)


def _code(keys: tuple[str, ...], text: str | None) -> int:
    """The key's number; what is not in the keyset counts as the last, `other`."""
    return keys.index(text) if text in keys else len(keys) - 1


def test_threads_and_the_order_of_rows_change_nothing(town: Town) -> None:
    """With one thread or two, and with rows in any order, every bit of every table is the same."""
    rows, built = many(5), histograms(town)
    shuffled = random.Random(1).sample(rows, len(rows))
    found = []
    try:
        for threads in (1, 2):
            town.connection.execute(f"SET threads = {threads}")
            found += [built.tables(each) for each in (rows, shuffled)]
    finally:
        town.connection.execute("SET threads = 2")
    assert all(np.array_equal(each[name], found[0][name]) for each in found for name in found[0])


UNITS, CELLS = 200_000, 10


@pytest.mark.parametrize("key", [0, 7, WORD])
@pytest.mark.parametrize("numbered", [True, False], ids=["numbered units", "hashed units"])
def test_ten_cells_win_equally_often(key: int, numbered: bool) -> None:
    """The first of ten cells in the order of 200,000 units is each cell about equally often, even for units that are
    numbered instead of hashed.

    A sound order fails this once in a million (χ², nine degrees of freedom). An order in which one cell wins in 10.8 %
    of the cases instead of 10 % fails it all but once in a million.
    """
    low = np.arange(UNITS, dtype=np.uint64)
    if not numbered:
        low = np.random.default_rng(3).integers(0, WORD, UNITS, dtype=np.uint64, endpoint=True)
    states = seeds(key, np.zeros_like(low), low)
    priorities = np.stack([chained(states, np.full(UNITS, cell, np.uint64)) >> np.uint64(48) for cell in range(CELLS)])
    wins = np.bincount(np.argmin(priorities, axis=0), minlength=CELLS)  # ties go to the lower cell
    expected = UNITS / CELLS
    assert float(((wins - expected) ** 2 / expected).sum()) < chi2.isf(1e-6, CELLS - 1)


def test_keys_to_be_discovered_survive_as_specified(town: Town) -> None:
    """Each unit counts for its first k texts by the mix of their keyed BLAKE2b, texts of any alphabet included."""
    found = {"name": "place", "title": "Place", "other": "Other",
             "discover": {"share": Decimal("0.5"), "delta": Decimal("1e-9")}}  # fmt: skip
    built = town.people("month", 2, 5)
    built = replace(built, dataset=built.dataset | {"keys": (found,)}, keysets=built.keysets[:1])
    texts, source = ("a", "b", "Ñandú", "東", "d e", "🌳"), random.Random(2)
    rows: list[Row] = [(n, source.randint(0, 30), 0, source.choice(texts), None, None) for n in range(400)]
    built.load(rows)
    dataset, period = built.dataset_file(), civil.parse("2020-01")
    records = RecordSource("SELECT * FROM landed", (), guarded(dataset.source))
    counted = candidates(BoundedInput(town.connection, dataset, dataset.grid(period), period, records), KEY)
    expected: dict[str, int] = {}
    for unit in {row[1] for row in rows}:
        mine = {str(row[3]) for row in rows if row[1] == unit}
        words = {
            text: int.from_bytes(blake2b(text.encode(), digest_size=8, key=KEY.to_bytes(8)).digest()) for text in mine
        }
        for text in sorted(mine, key=lambda each: mix(KEY, *bits("u", int(str(unit))), words[each]))[:2]:
            expected[text] = expected.get(text, 0) + 1
    assert counted == expected
