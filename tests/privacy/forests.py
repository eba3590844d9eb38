"""Small forests of cells, and the same least squares done with dense matrices."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from publisher.definitions import period as civil
from publisher.definitions.cells import Axis, CellGrid
from publisher.definitions.levels import Level
from publisher.privacy.reconcile import Forest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.stages import Floats


def forest_from(*parents: Sequence[int], roots: int) -> Forest:
    """A forest of `roots` trees; each list names the parents of the next level's cells."""
    above = tuple(np.asarray(each, dtype=np.int64) for each in parents)
    return Forest((roots, *(each.size for each in above)), above)


def random_forest(source: np.random.Generator, depth: int = 3, *, childless: bool = True) -> Forest:
    """Unequal fan-out; some inner cells have no children unless `childless` is false."""
    sizes, parents = [int(source.integers(1, 4))], []
    for _ in range(depth - 1):
        above = source.integers(0, sizes[-1], sizes[-1] + int(source.integers(1, 9)))
        if not childless:
            above[: sizes[-1]] = np.arange(sizes[-1])
        parents.append(above.astype(np.int64))
        sizes.append(above.size)
    return Forest(tuple(sizes), tuple(parents))


def finest_cells(forest: Forest) -> list[np.ndarray]:
    """Per level the cell that holds each finest cell."""
    cells = [np.arange(forest.sizes[-1], dtype=np.int64)]
    for above in reversed(forest.parents):
        cells.insert(0, above[cells[0]])
    return cells


def levels_over(forest: Forest, names: Sequence[str] = ()) -> tuple[Level, ...]:
    """Levels of a release with this forest; the finest is called "" as always."""
    given = [*(names or [f"level{n}" for n in range(len(forest.sizes) - 1)]), ""]
    return tuple(
        Level(name, grid_of_size(size), Fraction(1, len(given)), cells)
        for name, size, cells in zip(given, forest.sizes, finest_cells(forest), strict=True)
    )


def grid_of_size(size: int) -> CellGrid:
    """One period and one key column."""
    return CellGrid((civil.parse("2020-01"),), (Axis("place", tuple(map(str, range(size))), None, size - 1),))


def dense(forest: Forest, noise: Sequence[float]) -> tuple[list[Floats], Floats, Floats]:
    """(each level's sums of finest cells as a matrix, weights of all measurements in all estimates, covariance)."""
    sums = []
    for size, cells in zip(forest.sizes, finest_cells(forest), strict=True):
        table = np.zeros((size, forest.sizes[-1]))
        table[cells, np.arange(forest.sizes[-1])] = 1
        sums.append(table)
    design = np.vstack(sums)
    precision = np.repeat(1 / np.asarray(noise), forest.sizes)
    scaled = design * np.sqrt(precision)[:, None]
    solved = np.linalg.lstsq(scaled, np.diag(np.sqrt(precision)), rcond=None)[0]
    return sums, design @ solved, design @ np.linalg.inv(scaled.T @ scaled) @ design.T
