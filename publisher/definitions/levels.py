"""The tables of one release: its rollups, the dataset's own cells last.

Every finest cell falls into exactly one cell of each rollup, so bounded cells simply add up. Rollups need not be
ordered: one may be by place and another by category.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from publisher.definitions.cells import Axis, CellGrid
from publisher.definitions.period import containing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

    import numpy as np
    from numpy.typing import NDArray

    from publisher.definitions.dataset import Dataset, Rollup
    from publisher.definitions.period import Period

    Integers = NDArray[np.int64]


MOST_COARSER = 6_000
"""The most cells of rollups that may share finest cells, unless the rollups are a chain: with so many, a release is
reconciled in about a minute and 2 GB."""


@dataclass(frozen=True)
class CoarserAxis:
    """A coarser key column: `codes[n]` is the number of the coarser key to which the finer axis' key n belongs."""

    axis: Axis
    of: str
    codes: tuple[int, ...]


@dataclass(frozen=True)
class Level:
    """One table of a release; `name` is empty for the finest. `cells[n]` holds the finest cell n, shape (finest,)."""

    name: str
    grid: CellGrid
    share: Fraction
    cells: Integers = field(repr=False, compare=False)


def levels_of(
    dataset: Dataset, finest: CellGrid, coarser: tuple[CoarserAxis, ...], period: Period
) -> tuple[Level, ...]:
    """The rollups in the order of their definition, then the finest table."""
    import numpy as np

    rollups = [_rollup(dataset, each, finest, coarser, period) for each in dataset.rollups]
    return (*rollups, Level("", finest, dataset.share_of(""), np.arange(finest.size, dtype=np.int64)))


def connected(dataset: Dataset, keys: Mapping[str, int]) -> int:
    """At most how many cells of rollups share finest cells, directly or through others: those of the longest time step.

    `keys` holds how many keys each key column has.
    """
    grains = [rollup.grain or dataset.cell_grain for rollup in dataset.rollups]
    longest = max((containing(_LEAP, grain) for grain in grains), key=lambda period: period.end)
    steps = [len(longest.cut(grain)) for grain in grains]
    return sum(n * prod(keys[key] for key in rollup.keys) for n, rollup in zip(steps, dataset.rollups, strict=True))


_LEAP = date(2024, 1, 1)
"""Its month, quarter and year have as many days as any, but for one day."""


def forms_chain(levels: Sequence[Level]) -> bool:
    """Whether every level's cells lie inside those of the one before."""
    return all(inside(fine, coarse) for coarse, fine in pairwise(levels))


def inside(fine: Level, coarse: Level) -> bool:
    """Whether each cell of `fine` lies in one cell of `coarse`."""
    import numpy as np

    return bool(np.array_equal(parents(coarse, fine)[fine.cells], coarse.cells))


def neighbors(levels: Sequence[Level]) -> list[tuple[Level, Level]]:
    """(coarse, fine) wherever cells of one level lie inside those of another and no level is between the two.

    In a chain these are the pairs of levels that follow each other.
    """
    size = len(levels)
    below = [
        [
            b
            for b in range(size)
            if a != b and inside(levels[b], levels[a]) and (a < b or not inside(levels[a], levels[b]))
        ]
        for a in range(size)
    ]
    return [(levels[a], levels[b]) for a in range(size) for b in below[a] if not any(b in below[c] for c in below[a])]


def parents(coarse: Level, fine: Level) -> Integers:
    """For each cell of `fine`, the number of the cell of `coarse` that holds it."""
    import numpy as np

    found = np.zeros(fine.grid.size, dtype=np.int64)
    found[fine.cells] = coarse.cells
    return found


def _rollup(
    dataset: Dataset, rollup: Rollup, finest: CellGrid, coarser: tuple[CoarserAxis, ...], period: Period
) -> Level:
    import numpy as np

    places = np.unravel_index(np.arange(finest.size), finest.shape)
    axes = {axis.name: (axis, numbers) for axis, numbers in zip(finest.axes, places[1:], strict=True)}
    for each in coarser:
        axes[each.axis.name] = (each.axis, np.asarray(each.codes, dtype=np.int64)[axes[each.of][1]])
    periods = period.cut(rollup.grain or dataset.cell_grain)
    starts = np.array([each.start.toordinal() for each in periods])
    cells_start = np.array([each.start.toordinal() for each in finest.periods])
    cells = (np.searchsorted(starts, cells_start, side="right") - 1)[places[0]].astype(np.int64)
    for name in rollup.keys:
        axis, numbers = axes[name]
        cells = cells * len(axis.keys) + numbers
    grid = CellGrid(periods, tuple(axes[name][0] for name in rollup.keys))
    return Level(rollup.name, grid, dataset.share_of(rollup.name), cells)
