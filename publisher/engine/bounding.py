"""Bounds what one unit contributes, using sorted packed integers.

A row is one unsigned 64-bit integer: unit | vintage | priority | cell. Sorting brings a unit's rows together, its cells
in the order of a keyed random priority, and the rows of one cell next to each other. The first k runs of a unit are
kept; the length of a run is capped at c. Which cells are kept depends only on that unit's own rows: the priority has a
fixed number of bits, and ties go to the lower cell number. If records arrive late, the vintage is the one in which the
unit first reached the cell: cells that were counted before keep their places.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.engine.order import PRIORITY_BITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from publisher.stages import Integers

    Packed = NDArray[np.uint64]

VINTAGE_BITS = 4
"""Room for fifteen scheduled editions."""


LARGEST = 1 << 62
"""Where sums stop, so that noise can be added to them."""


@dataclass(frozen=True)
class Packing:
    """Where unit, vintage, priority and cell are in the 64 bits."""

    cell_bits: int
    vintage_bits: int = 0

    @property
    def unit_shift(self) -> int:
        """How many bits the unit's number is shifted up."""
        return self.cell_bits + PRIORITY_BITS + self.vintage_bits

    @property
    def most_units(self) -> int:
        """How many units fit."""
        return 1 << (64 - self.unit_shift)


@dataclass(frozen=True)
class Rows:
    """Rows before bounding: packed integers, values to be summed, bins (-1: none) and the keyed order of records.

    With `counts`, each entry stands for that many rows, whose values were added up.
    """

    packed: Packed
    sums: dict[str, Integers] = field(default_factory=dict)
    bins: dict[str, Integers] = field(default_factory=dict)
    order: Packed | None = None
    counts: Integers | None = None


@dataclass(frozen=True)
class Contributions:
    """What is kept within the bounds: per (unit, cell) the unit, the cell's number, the rows, and exact totals by
    measure.

    `bins` has, by histogram, the (cells, bins) of single records: at most c of each unit in each cell.
    """

    units: Packed
    cells: Integers
    rows: Integers
    totals: dict[str, Integers]
    bins: dict[str, tuple[Integers, Integers]]


def packing_of(cells: int, *, vintages: bool = False) -> Packing:
    """The packing for a grid of that many cells."""
    return Packing(max(1, (cells - 1).bit_length()), VINTAGE_BITS if vintages else 0)


def bounded(rows: Rows, packing: Packing, max_groups: int, max_per_group: int) -> Contributions:
    """At most `max_groups` cells of each unit, with all rows and totals of the cells that are kept.

    Unit 7 has rows in the cells 3, 1 (twice) and 0, in the order of their keyed priorities: the first two of these are
    kept, with all their rows. Unit 8 has one row, which stays. The result names unit, cell and rows.

    >>> import numpy as np
    >>> packing = packing_of(4)
    >>> def row(unit, priority, cell):
    ...     return unit << packing.unit_shift | priority << packing.cell_bits | cell
    >>> packed = [row(7, 500, 1), row(7, 900, 0), row(8, 700, 0), row(7, 200, 3), row(7, 500, 1)]
    >>> kept = bounded(Rows(np.array(packed, np.uint64)), packing, max_groups=2, max_per_group=1)
    >>> list(zip(kept.units.tolist(), kept.cells.tolist(), kept.rows.tolist()))
    [(7, 3, 1), (7, 1, 2), (8, 0, 1)]
    """
    import numpy as np

    packed, sums, counts = rows.packed, rows.sums, rows.counts
    if sums or counts is not None:
        order = np.argsort(packed)
        packed, sums = packed[order], {name: column[order] for name, column in sums.items()}
        counts = counts[order] if counts is not None else None
    else:
        packed = np.sort(packed)
    starts = _run_starts(packed)
    runs = packed[starts]
    units = runs >> np.uint64(packing.unit_shift)
    kept = np.ones(len(units), dtype=bool)
    kept[max_groups:] = units[max_groups:] != units[:-max_groups]
    lengths = np.diff(np.append(starts, len(packed))) if counts is None else _added(counts, starts)
    totals = {name: _sums(column, starts)[kept] for name, column in sums.items()}
    bins = {name: _chosen(rows, column, runs[kept], packing, max_per_group) for name, column in rows.bins.items()}
    return Contributions(units[kept], _cells(runs[kept], packing), lengths[kept].astype(np.int64), totals, bins)


def _chosen(rows: Rows, bins: Integers, survivors: Packed, packing: Packing, most: int) -> tuple[Integers, Integers]:
    """Cells and bins of at most `most` records of each (unit, cell) that is kept, by the records' keyed order."""
    import numpy as np

    there = bins >= 0
    packed, bins = rows.packed[there], bins[there]
    ties = rows.order[there] if rows.order is not None else bins
    order = np.lexsort((bins, ties, packed))
    packed, bins = packed[order], bins[order]
    kept = (rank_within(packed) < most) & np.isin(packed, survivors)
    return _cells(packed[kept], packing), bins[kept]


def _cells(packed: Packed, packing: Packing) -> Integers:
    import numpy as np

    return (packed & np.uint64((1 << packing.cell_bits) - 1)).astype(np.int64)


def _run_starts(ordered: Packed | Integers) -> Integers:
    """The index of the first entry in each run of equal values."""
    import numpy as np

    changes = np.ones(len(ordered), dtype=bool)
    changes[1:] = ordered[1:] != ordered[:-1]
    return np.flatnonzero(changes).astype(np.int64)


def rank_within(ordered: Packed | Integers) -> Integers:
    """0, 1, 2 … for the entries of each run of equal values."""
    import numpy as np

    firsts = _run_starts(ordered)
    counts = np.diff(np.append(firsts, len(ordered)))
    return np.arange(len(ordered), dtype=np.int64) - np.repeat(firsts, counts)


def halves_of(values: Integers) -> tuple[Integers, Integers]:
    """Values as 2³²·high + low: halves are added separately, so nothing wraps, whatever the sum."""
    return values >> 32, values & 0xFFFFFFFF


def limited(high: Integers, low: Integers) -> Integers:
    """The sums 2³²·high + low, limited to ±2⁶²: no unit moves the limited sum by more than the sum itself.

    >>> import numpy as np
    >>> most = np.array([(1 << 31) - 1, -(1 << 31), 5])
    >>> limited(most, np.array([3, 3, -1])).tolist() == [1 << 62, -(1 << 62), (5 << 32) - 1]
    True
    """
    import numpy as np

    high, low = high + (low >> 32), low & 0xFFFFFFFF
    end = 1 << 30
    sums: Integers = (np.clip(high, -end, end - 1) << 32) + low
    sums[high >= end] = LARGEST
    sums[high < -end] = -LARGEST
    return sums


def _added(column: Integers, starts: Integers) -> Integers:
    import numpy as np

    return np.add.reduceat(column, starts) if len(starts) else np.zeros(0, dtype=np.int64)


def neighbors_as_one(rows: Rows) -> Rows:
    """Neighbors with the same unit and cell as one entry, if there are many and their sums are exact."""
    import numpy as np

    starts = _run_starts(rows.packed)
    most = LARGEST // max(1, len(rows.packed))
    exact = all(-most <= column.min() and column.max() <= most for column in rows.sums.values() if len(column))
    if rows.bins or not exact or 2 * len(starts) > len(rows.packed):
        return rows
    return Rows(
        packed=rows.packed[starts],
        sums={name: _added(column, starts) for name, column in rows.sums.items()},
        counts=np.diff(np.append(starts, len(rows.packed))),
    )


def _sums(column: Integers, starts: Integers) -> Integers:
    """Exact sums of runs, limited to ±2⁶²."""
    import numpy as np

    if len(starts) == 0:
        return np.zeros(0, dtype=np.int64)
    high, low = halves_of(column)
    return limited(np.add.reduceat(high, starts), np.add.reduceat(low, starts))
