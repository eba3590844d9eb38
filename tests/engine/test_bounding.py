"""What one unit contributes is bounded, whoever else is there and however the rows lie."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.engine import bounding
from publisher.engine.bounding import PRIORITY_BITS, Packing, bounded, packing_of

if TYPE_CHECKING:
    from publisher.stages import Integers

Rows = list[tuple[int, int, int, int]]
"""(unit, priority, cell, value)"""
CELLS = 6
PACKING = packing_of(CELLS)
INT64 = st.integers(-(2**63), 2**63 - 1)


def _rows(values: st.SearchStrategy[int]) -> st.SearchStrategy[Rows]:
    """Rows in which the priority is a function of unit and cell, few of them so that many are equal."""
    row = st.tuples(st.integers(0, 4), st.integers(0, CELLS - 1), values)
    salt = st.integers(1, 3)
    return st.tuples(st.lists(row, max_size=40), salt).map(
        lambda made: [(unit, (unit * 7 + cell * made[1]) % 4, cell, value) for unit, cell, value in made[0]]
    )


def _bounded(rows: Rows, k: int, packing: Packing = PACKING, *, sums: bool = True) -> tuple[Integers, ...]:
    packed = [(u << packing.unit_shift) | (p << packing.cell_bits) | c for u, p, c, _ in rows]
    values = {"v": np.array([row[3] for row in rows], dtype=np.int64)} if sums else {}
    kept = bounded(bounding.Rows(np.array(packed, dtype=np.uint64), values), packing, k, 1)
    return kept.cells, kept.rows, kept.totals["v"] if sums else np.zeros(len(kept.cells), np.int64)


def _reference(rows: Rows, k: int) -> list[tuple[int, int, int]]:
    """The rule, as slowly and plainly as it can be said."""
    cells: dict[int, dict[tuple[int, int], list[int]]] = defaultdict(lambda: defaultdict(list))
    for unit, priority, cell, value in rows:
        cells[unit][priority, cell].append(value)
    return [
        (cell, len(values), max(-(2**62), min(2**62, sum(values))))
        for unit in sorted(cells)
        for (_, cell), values in sorted(cells[unit].items())[:k]
    ]


@settings(max_examples=200, deadline=None)
@given(rows=_rows(st.integers(-(2**61), 2**61) | st.integers(-5, 5)), k=st.integers(1, 7))
def test_it_does_what_the_rule_says(rows: Rows, k: int) -> None:
    """The first k cells of each unit in the order of priority and cell survive, with all their rows and exact sums."""
    cells, counts, totals = _bounded(rows, k)
    wanted = _reference(rows, k)
    assert [(c, n) for c, n, _ in wanted] == list(zip(cells.tolist(), counts.tolist(), strict=True))
    for total, (_, _, exact) in zip(totals.tolist(), wanted, strict=True):
        assert total == exact or (abs(exact) > 2**62 - 2**33 and abs(total - exact) < 2**33)


@settings(max_examples=200, deadline=None)
@given(rows=_rows(st.integers(-(2**50), 2**50)), k=st.integers(1, 7), seed=st.randoms(use_true_random=False))
def test_order_and_sums_do_not_matter(rows: Rows, k: int, seed: object) -> None:
    """The same rows in another order, or without a sum beside, keep the same cells, counts and totals."""
    shuffled = rows.copy()
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = _bounded(rows, k), _bounded(shuffled, k)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(first[:2], _bounded(rows, k, sums=False)[:2], strict=True))


@settings(max_examples=200, deadline=None)
@given(rows=_rows(st.integers(-9, 9)), k=st.integers(1, 7), gone=st.integers(0, 4))
def test_other_units_change_nothing(rows: Rows, k: int, gone: int) -> None:
    """When a unit goes and the others are numbered anew, what survives of the others is the same."""
    rest = [row for row in rows if row[0] != gone]
    renumbered = [(unit - (unit > gone), *others) for unit, *others in rest]
    whole = [entry for unit in range(5) if unit != gone for entry in _reference([r for r in rows if r[0] == unit], k)]
    kept = _bounded(renumbered, k)
    assert list(zip(*(column.tolist() for column in kept), strict=True)) == whole


@settings(max_examples=300, deadline=None)
@given(values=st.lists(INT64, min_size=1, max_size=20))
def test_sums_never_wrap(values: list[int]) -> None:
    """A unit's total at the 64-bit edges is exact up to ±2⁶² and stops there."""
    _, _, totals = _bounded([(0, 0, 0, value) for value in values], 1)
    assert totals.tolist() == [min(max(sum(values), -(2**62)), 2**62)]


def test_the_packing_holds_every_cell() -> None:
    """Cells, priority and unit share 64 bits without touching, for grids of any size."""
    for cells in (1, 2, 3, 4, 5, 1023, 1024, 1025, 54_000, 2**30):
        packing = packing_of(cells)
        assert cells - 1 < 1 << packing.cell_bits
        assert packing.unit_shift == packing.cell_bits + PRIORITY_BITS
        unit, priority = packing.most_units - 1, (1 << PRIORITY_BITS) - 1
        assert ((unit << packing.unit_shift) | (priority << packing.cell_bits) | (cells - 1)) < 1 << 64
        kept = _bounded([(unit, priority, cells - 1, 3)], 1, packing)
        assert [column.tolist() for column in kept] == [[cells - 1], [1], [3]]


def test_nothing_gives_nothing() -> None:
    """No rows give no contributions."""
    assert [column.tolist() for column in _bounded([], 3)] == [[], [], []]


@settings(max_examples=200, deadline=None)
@given(rows=_rows(st.integers(-(2**61), 2**61) | st.integers(-5, 5)), k=st.integers(1, 7), ordered=st.booleans())
def test_neighbors_as_one_change_nothing(rows: Rows, k: int, ordered: bool) -> None:
    """Neighboring rows of a unit in a cell may be added up before: cells, rows and exact totals stay, bit for bit."""
    rows = sorted([*rows, *rows, *rows]) if ordered else rows
    packed = [(u << PACKING.unit_shift) | (p << PACKING.cell_bits) | c for u, p, c, _ in rows]
    given_rows = bounding.Rows(np.array(packed, np.uint64), {"v": np.array([row[3] for row in rows], np.int64)})
    added = bounding.neighbors_as_one(given_rows)
    first, second = (bounded(each, PACKING, k, 1) for each in (given_rows, added))
    for one, other in ((first.units, second.units), (first.cells, second.cells), (first.rows, second.rows)):
        assert np.array_equal(one, other)
    assert np.array_equal(first.totals["v"], second.totals["v"])
    if ordered and rows and all(abs(row[3]) <= 5 for row in rows):
        assert len(added.packed) < len(packed)
