"""Tables that agree: the generalized least squares estimate on a forest of cells, in two passes.

Every level measures the same bounded records with independent noise. From the bottom up, a cell's own measurement and
the sum of its children are combined by inverse variance; from the top down, the difference of a cell's children is
passed to them in proportion to their variances (Hay, Rastogi, Miklau and Suciu, VLDB 2010; unequal fan-out: Honaker
2015). The variances are exact; they are those of the smoother on a tree (Chou, Willsky and Benveniste 1994).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from publisher.definitions.levels import parents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.levels import Level
    from publisher.stages import Flags, Floats, Integers


@dataclass(frozen=True)
class Forest:
    """Levels from the coarsest to the finest; `parents[h][n]` is the cell of level h that cell n of level h+1 is in."""

    sizes: tuple[int, ...]
    parents: tuple[Integers, ...]

    def add_up(self, level: int, values: Floats) -> Floats:
        """The sums of children, shape (cells of `level`, width); `values` are those of the next finer level."""
        import numpy as np

        width = values.shape[1]
        places = (self.parents[level][:, None] * width + np.arange(width)).ravel()
        sums: Floats = np.bincount(places, values.ravel(), self.sizes[level] * width).astype(np.float64)
        return sums.reshape(-1, width)

    def occupied(self) -> tuple[Flags, ...]:
        """Which cells have any finest cell. The others, such as a district without places, are always zero."""
        import numpy as np

        found: list[Flags] = [np.ones(self.sizes[-1], dtype=np.bool_)]
        for size, above in zip(reversed(self.sizes[:-1]), reversed(self.parents), strict=True):
            found.insert(0, np.bincount(above[found[0]], minlength=size) > 0)
        return tuple(found)


@dataclass(frozen=True)
class Gains:
    """The weights of the two passes, per level and cell; public, since they depend on forest and scales alone."""

    noise: tuple[float, ...]
    """The variance of a level's own noise."""
    own: tuple[Floats, ...]
    """The weight of a cell's own measurement relative to the sum of its children."""
    handed: tuple[Floats, ...]
    """The part that a cell takes of the difference between its parent and the parent's children."""
    variances: tuple[Floats, ...]
    """The exact variances of the estimates."""


@dataclass(frozen=True)
class TreeFit:
    """The least squares estimate on a forest, in two passes."""

    forest: Forest
    gains: Gains

    @property
    def variances(self) -> tuple[Floats, ...]:
        """The exact variances of the estimates."""
        return self.gains.variances

    def estimate(self, measured: Sequence[Floats]) -> tuple[Floats, ...]:
        """The unbiased estimates, which add up; `measured` and result: per level (cells, width)."""
        return estimate(self.forest, self.gains, measured)

    def weights(self, level: int, cells: Integers) -> tuple[Floats, ...]:
        """The weight of every measurement in these cells' estimates, per level (cells of the level, len(cells))."""
        return weights(self.forest, self.gains, level, cells)

    def alike(self, level: int) -> Floats:
        """Nothing: cells of a level that have the same variance have about the same weights."""
        import numpy as np

        return np.zeros((0, self.forest.sizes[level]))


def forest_of(levels: Sequence[Level]) -> Forest:
    """The forest of a release's levels."""
    sizes = tuple(level.grid.size for level in levels)
    return Forest(sizes, tuple(parents(coarse, fine) for coarse, fine in pairwise(levels)))


def gains_of(forest: Forest, noise: Sequence[float]) -> Gains:
    """The weights of both passes and the exact variances; `noise` has one variance for each level, above zero."""
    import numpy as np

    own = [np.ones(forest.sizes[-1])]
    upward = [np.full(forest.sizes[-1], noise[-1])]
    sums: list[Floats] = []
    for level in reversed(range(len(forest.parents))):
        sums.insert(0, forest.add_up(level, upward[0][:, None])[:, 0])
        own.insert(0, sums[0] / (noise[level] + sums[0]))  # a cell without children is zero: its own noise says nothing
        upward.insert(0, own[0] * noise[level])
    handed, variances = [np.zeros(forest.sizes[0])], [upward[0]]
    for above, mine, total in zip(forest.parents, upward[1:], sums, strict=True):
        spread = total[above]
        handed.append(np.divide(mine, spread, out=np.zeros_like(mine), where=spread > 0))
        variances.append(np.maximum(mine + handed[-1] ** 2 * (variances[-1][above] - spread), 0))
    return Gains(tuple(noise), tuple(own), tuple(handed), tuple(variances))


def estimate(forest: Forest, gains: Gains, measured: Sequence[Floats]) -> tuple[Floats, ...]:
    """The unbiased least squares estimates; they add up. `measured` and result: per level (cells, width).

    Columns are separate forests: the bins of a histogram, or many releases at once.

    A city was measured as 100, its two districts as 40 and 50, all with the same noise. The sum of two districts is
    less precise than the city's own number, so it has half the weight; both districts get the same part of the rest.

    >>> import numpy as np
    >>> forest = Forest((1, 2), (np.array([0, 0]),))
    >>> city, districts = np.array([[100.0]]), np.array([[40.0], [50.0]])
    >>> found = estimate(forest, gains_of(forest, [1.0, 1.0]), [city, districts])
    >>> [[round(value, 2) for value in level.ravel().tolist()] for level in found]
    [[96.67], [43.33, 53.33]]
    """
    upward = [measured[-1]]
    sums: list[Floats] = []
    for level in reversed(range(len(forest.parents))):
        sums.insert(0, forest.add_up(level, upward[0]))
        upward.insert(0, sums[0] + gains.own[level][:, None] * (measured[level] - sums[0]))
    found = [upward[0]]
    for above, mine, total, handed in zip(forest.parents, upward[1:], sums, gains.handed[1:], strict=True):
        found.append(mine + handed[:, None] * (found[-1] - total)[above])
    return tuple(found)


def weights(forest: Forest, gains: Gains, level: int, cells: Integers) -> tuple[Floats, ...]:
    """The weight of every measurement in the estimates of these cells, per level (cells of the level, len(cells)).

    Weights are posterior covariances over noise variances, and covariances are symmetric: so the row of weights of one
    cell is read from the estimates that a unit impulse on that cell gives everywhere.
    """
    import numpy as np

    impulses = [np.zeros((size, len(cells))) for size in forest.sizes]
    impulses[level][cells, np.arange(len(cells))] = gains.noise[level]
    covariances = estimate(forest, gains, impulses)
    return tuple(table / noise for table, noise in zip(covariances, gains.noise, strict=True))
