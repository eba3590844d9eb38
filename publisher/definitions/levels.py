"""The tables of one release: rollups from the coarsest to the finest, the dataset's own cells last.

Every cell of a finer level falls into exactly one cell of each coarser one, so bounded cells simply add up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.definitions.cells import Axis, CellGrid

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy as np
    from numpy.typing import NDArray

    from publisher.definitions.dataset import Dataset, Rollup
    from publisher.definitions.period import Period

    Integers = NDArray[np.int64]


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
