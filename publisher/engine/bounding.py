"""Bounding what one unit contributes, over sorted packed integers.

A row is one unsigned 64-bit integer: unit | priority | cell. Sorting brings a unit's rows together, its cells in the
order of a keyed random priority, and the rows of one cell side by side. The first k runs of a unit survive; the length
of a run, capped, is c. Which cells survive depends on that unit's own rows alone: the priority has a fixed number of
bits, and ties fall to the lower cell number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from publisher.stages import Integers

    Packed = NDArray[np.uint64]

PRIORITY_BITS = 16


@dataclass(frozen=True)
class Packing:
    """Where unit, priority and cell lie in the 64 bits."""

    cell_bits: int

    @property
    def unit_shift(self) -> int:
        """How far the unit's number is shifted up."""
        return self.cell_bits + PRIORITY_BITS

    @property
    def most_units(self) -> int:
        """How many units fit."""
        return 1 << (64 - self.unit_shift)


@dataclass(frozen=True)
class Contributions:
    """What survives the bounds: per (unit, cell) the cell's number, the rows, and exact totals by measure."""

    cells: Integers
    rows: Integers
    totals: dict[str, Integers]


def packing_of(cells: int) -> Packing:
    """The packing for a grid of that many cells."""
    return Packing(max(1, (cells - 1).bit_length()))


def bounded(packed: Packed, values: dict[str, Integers], packing: Packing, max_groups: int) -> Contributions:
    """At most `max_groups` cells of each unit, with all rows and totals of the cells that survive."""
    import numpy as np

    if values:
        order = np.argsort(packed)
        packed, values = packed[order], {name: column[order] for name, column in values.items()}
    else:
        packed = np.sort(packed)
    starts = _run_starts(packed)
    runs = packed[starts]
    units = runs >> np.uint64(packing.unit_shift)
    kept = _rank_within(units) < max_groups
    lengths = np.diff(np.append(starts, len(packed)))
    cells = (runs & np.uint64((1 << packing.cell_bits) - 1)).astype(np.int64)
    totals = {name: _sums(column, starts)[kept] for name, column in values.items()}
    return Contributions(cells[kept], lengths[kept].astype(np.int64), totals)


def _run_starts(ordered: Packed) -> Integers:
    """The index of the first of each run of equal values."""
    import numpy as np

    changes = np.ones(len(ordered), dtype=bool)
    changes[1:] = ordered[1:] != ordered[:-1]
    return np.flatnonzero(changes).astype(np.int64)


def _rank_within(units: Packed) -> Integers:
    """0, 1, 2 … for the runs of each unit."""
    import numpy as np

    firsts = _run_starts(units)
    counts = np.diff(np.append(firsts, len(units)))
    return np.arange(len(units), dtype=np.int64) - np.repeat(firsts, counts)


def _sums(column: Integers, starts: Integers) -> Integers:
    """Exact sums of runs, held at ±2⁶² where they would not fit: halves are added apart, so nothing wraps."""
    import numpy as np

    if len(starts) == 0:
        return np.zeros(0, dtype=np.int64)
    high = np.add.reduceat(column >> 32, starts)
    low = np.add.reduceat(column & 0xFFFFFFFF, starts)
    high, low = high + (low >> 32), low & 0xFFFFFFFF
    limit = np.int64(1 << 30)
    sums: Integers = (np.clip(high, -limit, limit - 1) << 32) + low
    return sums
