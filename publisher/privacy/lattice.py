"""Tables that agree but are not ordered: generalized least squares where a cell lies in several coarser ones.

With x the finest cells, Q the sums that are measured as well, and independent noise: S = V + v·Q·Qᵀ has the size of the
coarser cells, and one Cholesky factor of it gives every estimate, variance and weight (v: the finest table's noise; V:
the others', a diagonal). Cells that share no coarser cell, such as those of different months, are blocks of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.levels import Level
    from publisher.stages import Floats, Integers

LEAST_RATIO = 1e-7
"""A rollup's noise counts as at least so much of the finest table's: less is only possible where noise is practically
never drawn, and then sums that overlap would leave the matrix without an inverse."""
SMALLEST = 64
"""Triangles of up to so many rows are inverted at once."""


@dataclass(frozen=True)
class Blocks:
    """Blocks of the same shape. `inside[l][n]` is the coarser cell of level l, numbered within the block, that finest
    cell n of the block lies in; `finest` and `coarse` have a row for each block: which cells of the lattice they are.
    """

    inside: Integers
    finest: Integers
    coarse: Integers
    levels: Integers
    """The level of each coarser cell of a block."""

    def overlaps(self) -> Floats:
        """Q·Qᵀ: how many finest cells each two coarser cells have in common."""
        import numpy as np

        size = self.coarse.shape[1]
        shared = np.zeros(size * size)
        for one in self.inside:
            for other in self.inside:
                shared += np.bincount(one * size + other, minlength=size * size)
        return shared.reshape(size, size)


@dataclass(frozen=True)
class TableLattice:
    """The cells of all levels, the finest last; coarser cells are numbered one level after another."""

    sizes: tuple[int, ...]
    blocks: tuple[Blocks, ...]

    @property
    def starts(self) -> Integers:
        """The number of the first coarser cell of each level."""
        import numpy as np

        return np.cumsum([0, *self.sizes[:-1]])

    def place_of(self, cell: int, *, finest: bool) -> tuple[int, int, int] | None:
        """(shape of block, which block, place in it); None for a coarser cell that no finest cell lies in."""
        import numpy as np

        for shape, blocks in enumerate(self.blocks):
            for block, place in np.argwhere((blocks.finest if finest else blocks.coarse) == cell).tolist():
                return shape, block, place
        return None


def lattice_of(levels: Sequence[Level]) -> TableLattice:
    """The lattice of a release's levels, in any order, the finest last."""
    import numpy as np

    sizes = tuple(level.grid.size for level in levels)
    starts = np.cumsum([0, *sizes[:-1]])
    inside = np.stack([level.cells + start for level, start in zip(levels[:-1], starts, strict=False)])
    shapes: dict[bytes, list[tuple[Integers, Integers]]] = {}
    kinds: dict[bytes, tuple[Integers, Integers]] = {}
    for cells in _parts(inside, int(starts[-1])):
        coarse, numbers = np.unique(inside[:, cells], return_inverse=True)
        numbers = numbers.reshape(-1, cells.size)
        key = numbers.tobytes()
        shapes.setdefault(key, []).append((cells, coarse))
        kinds.setdefault(key, (numbers, np.searchsorted(starts, coarse, side="right") - 1))
    blocks = [
        Blocks(
            kinds[key][0], np.stack([cells for cells, _ in alike]), np.stack([each for _, each in alike]), kinds[key][1]
        )
        for key, alike in shapes.items()
    ]
    return TableLattice(sizes, tuple(blocks))


def _parts(inside: Integers, coarser: int) -> list[Integers]:
    """The finest cells of every block: those that coarser cells connect."""
    import numpy as np

    names = np.arange(inside.shape[1])
    while True:
        before = names
        for cells in inside:
            first = np.full(coarser, names.size)
            np.minimum.at(first, cells, names)
            names = first[cells]
        if np.array_equal(before, names):
            break
    order = np.argsort(names, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(names[order])) + 1)


@dataclass(frozen=True)
class LatticeFit:
    """The least squares estimate on a lattice; public, since it depends on the lattice and the noise alone.

    `inverses` has S⁻¹ for every shape of block; `noise` the variance of each level's noise, `variances` those of the
    estimates.
    """

    lattice: TableLattice
    noise: tuple[float, ...]
    inverses: tuple[Floats, ...]
    variances: tuple[Floats, ...]

    def estimate(self, measured: Sequence[Floats]) -> tuple[Floats, ...]:
        """The unbiased estimates, which add up; `measured` and result: per level (cells, width).

        x = y + v·Qᵀ·S⁻¹·(y' - Q·y) for the finest cells and y' - V·S⁻¹·(y' - Q·y) for coarser ones, where y are the
        finest measurements and y' the others.
        """
        import numpy as np

        finest, coarse = measured[-1].copy(), np.concatenate(list(measured[:-1]))
        found, own = np.zeros_like(coarse), np.asarray(self.noise)
        width = finest.shape[1]
        for blocks, inverse in zip(self.lattice.blocks, self.inverses, strict=True):
            cells, above = blocks.finest.T, blocks.coarse.T  # a column for each block
            values, sums = finest[cells].reshape(len(cells), -1), coarse[above].reshape(len(above), -1)
            gap = sums.copy()
            for each in blocks.inside:
                np.subtract.at(gap, each, values)
            pull = inverse @ gap
            variance = np.maximum(own[blocks.levels], LEAST_RATIO * own[-1])
            found[above] = (sums - variance[:, None] * pull).reshape(*above.shape, width)
            values += self.noise[-1] * pull[blocks.inside].sum(axis=0)
            finest[cells] = values.reshape(*cells.shape, width)
        return (*np.split(found, self.lattice.starts[1:-1]), finest)

    def weights(self, level: int, cells: Integers) -> tuple[Floats, ...]:
        """The weight of every measurement in these cells' estimates, per level (cells of the level, len(cells))."""
        import numpy as np

        sizes, starts = self.lattice.sizes, self.lattice.starts
        coarse, finest = np.zeros((int(starts[-1]), len(cells))), np.zeros((sizes[-1], len(cells)))
        own = level == len(sizes) - 1
        for column, cell in enumerate((cells if own else cells + starts[level]).tolist()):
            found = self.lattice.place_of(cell, finest=own)
            if found is None:  # without finest cells it is zero, whatever was measured
                continue
            shape, block, place = found
            blocks, inverse = self.lattice.blocks[shape], self.inverses[shape]
            if own:
                row = self.noise[-1] * inverse[blocks.inside[:, place]].sum(axis=0)
                coarse[blocks.coarse[block], column] = row
                finest[blocks.finest[block], column] = -row[blocks.inside].sum(axis=0)
                finest[cell, column] += 1
            else:
                row = max(self.noise[level], LEAST_RATIO * self.noise[-1]) * inverse[place]
                coarse[blocks.coarse[block], column] = -row
                coarse[cell, column] += 1
                finest[blocks.finest[block], column] = row[blocks.inside].sum(axis=0)
        return (*np.split(coarse, starts[1:-1]), finest)

    def alike(self, level: int) -> Floats:
        """What tells the cells of a level apart besides their variance, shape (what, cells): the weights of the coarser
        cells that a finest cell lies in."""
        import numpy as np

        sizes = self.lattice.sizes
        if level < len(sizes) - 1:
            return np.zeros((0, sizes[level]))
        found = np.zeros((len(sizes) - 1, sizes[-1]))
        for blocks, inverse in zip(self.lattice.blocks, self.inverses, strict=True):
            for n, one in enumerate(blocks.inside):
                found[n, blocks.finest] = self.noise[-1] * inverse[one, blocks.inside].sum(axis=0)
        return found


def lattice_fit(lattice: TableLattice, noise: Sequence[float]) -> LatticeFit:
    """The least squares estimate; `noise` has one variance for each level, above zero.

    A town was measured by two parts (12 and 8), by two kinds (15 and 5) and by all four cells (5 each), with the same
    noise. Each cell moves toward its part and its kind.

    >>> import numpy as np
    >>> from publisher.privacy.lattice import Blocks, TableLattice, lattice_fit
    >>> inside = np.array([[0, 0, 1, 1], [2, 3, 2, 3]])
    >>> whole = Blocks(inside, np.arange(4)[None], np.arange(4)[None], np.array([0, 0, 1, 1]))
    >>> fit = lattice_fit(TableLattice((2, 2, 4), (whole,)), [1.0, 1.0, 1.0])
    >>> measured = [np.array([[12.0], [8.0]]), np.array([[15.0], [5.0]]), np.full((4, 1), 5.0)]
    >>> [[round(value, 2) for value in level.ravel().tolist()] for level in fit.estimate(measured)]
    [[11.33, 8.67], [13.33, 6.67], [7.33, 4.0, 6.0, 2.67]]
    """
    import numpy as np

    finest = np.zeros(lattice.sizes[-1])
    coarse, inverses = np.zeros(int(lattice.starts[-1])), []
    for blocks in lattice.blocks:
        solved = solve(blocks, blocks.overlaps(), noise)
        inverses.append(solved.inverse)
        coarse[blocks.coarse], finest[blocks.finest] = solved.coarse, solved.finest
    variances = (*np.split(coarse, lattice.starts[1:-1]), finest)
    return LatticeFit(lattice, tuple(noise), tuple(inverses), variances)


@dataclass(frozen=True)
class Solved:
    """One block's S⁻¹, and the variances of the estimates of its coarser and finest cells."""

    inverse: Floats
    coarse: Floats
    finest: Floats


def solve(blocks: Blocks, shared: Floats, noise: Sequence[float]) -> Solved:
    """Solve the least squares of blocks of one shape; `shared` are their overlaps."""
    import numpy as np

    own = noise[-1]
    variance = np.maximum(np.asarray(noise)[blocks.levels], LEAST_RATIO * own)
    inverse = _inverse(np.diag(variance) + own * shared)
    # Equal, but each loses digits where the other does not: in a table with much more noise than its finest cells have
    # together, and in one with much less.
    by_sums = own * variance * np.einsum("ij,ij->i", inverse, shared)
    by_noise = variance - variance**2 * np.diag(inverse)
    coarse = np.where(variance > own * np.diag(shared), by_sums, by_noise)
    pulled = np.zeros(blocks.inside.shape[1])
    for one in blocks.inside:
        for other in blocks.inside:
            pulled += inverse[one, other]
    return Solved(inverse, np.maximum(coarse, 0), np.maximum(own - own**2 * pulled, 0))


def _inverse(matrix: Floats) -> Floats:
    """The inverse of a symmetric positive matrix, from its Cholesky factor."""
    import numpy as np

    lower = _inverse_triangle(np.linalg.cholesky(matrix).astype(np.float64))
    found: Floats = lower.T @ lower
    return found


def _inverse_triangle(lower: Floats) -> Floats:
    """The inverse of a lower triangle, by halves."""
    import numpy as np

    size = len(lower)
    if size <= SMALLEST:
        return np.tril(np.linalg.inv(lower))
    half = size // 2
    first, last = _inverse_triangle(lower[:half, :half]), _inverse_triangle(lower[half:, half:])
    found = np.zeros_like(lower)
    found[:half, :half], found[half:, half:] = first, last
    found[half:, :half] = -last @ (lower[half:, :half] @ first)
    return found
