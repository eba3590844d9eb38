"""Tables that are not ordered: small lattices of every shape, and many copies of one."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from forests import grid_of_size

from publisher.definitions.levels import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.stages import Floats, Integers


def lattice_levels(*cells: Sequence[int] | Integers) -> tuple[Level, ...]:
    """Levels by the cell that holds each finest cell; the last is the finest and is called "" as always."""
    found = []
    for number, each in enumerate(cells):
        name = f"level{number}" if number < len(cells) - 1 else ""
        held = np.asarray(each, dtype=np.int64)
        found.append(Level(name, grid_of_size(int(held.max()) + 1), Fraction(1, len(cells)), held))
    return tuple(found)


def product_levels(source: np.random.Generator, months: int = 1) -> tuple[Level, ...]:
    """A complete product of places in parts and kinds in groups: up to two chains of rollups, in any order."""
    places, kinds = (int(each) for each in source.integers(2, 7, 2))
    month, place, kind = (each.ravel() for each in np.indices((months, places, kinds)))
    part, group = source.integers(0, 3, places)[place], source.integers(0, 2, kinds)[kind]
    given = [month * 3 + part, month * places + place, month * 2 + group, month * kinds + kind, month * 0]
    order = source.permutation(len(given))[: int(source.integers(2, 6))]
    return lattice_levels(*(given[n] for n in order), np.arange(place.size))


def uneven_levels(source: np.random.Generator, tables: int = 3) -> tuple[Level, ...]:
    """Cells sorted into the sums of each table by chance: no product, some sums empty."""
    cells = int(source.integers(3, 30))
    sums = [source.integers(0, int(source.integers(1, 8)), cells) for _ in range(tables)]
    return lattice_levels(*sums, np.arange(cells))


def three_ways(sizes: tuple[int, int, int]) -> tuple[Level, ...]:
    """The three two-way sums of three keys: no two chains can hold them."""
    one, two, three = (each.ravel() for each in np.indices(sizes))
    pairs = one * sizes[1] + two, one * sizes[2] + three, two * sizes[2] + three
    return lattice_levels(*pairs, np.arange(one.size))


def rolled_up(levels: Sequence[Level], finest: Integers) -> list[Integers]:
    """The exact tables."""
    found = []
    for level in levels:
        table = np.zeros((level.grid.size, *finest.shape[1:]), dtype=finest.dtype)
        np.add.at(table, level.cells, finest)
        found.append(table)
    return found


def dense_lattice(levels: Sequence[Level], noise: Sequence[float]) -> tuple[Floats, Floats]:
    """(weights of all measurements in all estimates, covariance), by dense least squares over all of them."""
    finest = levels[-1].grid.size
    design = np.vstack([rolled_up([level], np.eye(finest))[0] for level in levels])
    precision = np.repeat(1 / np.asarray(noise), [level.grid.size for level in levels])
    scaled = design * np.sqrt(precision)[:, None]
    solved = np.linalg.lstsq(scaled, np.diag(np.sqrt(precision)), rcond=None)[0]
    return design @ solved, design @ np.linalg.inv(scaled.T @ scaled) @ design.T
