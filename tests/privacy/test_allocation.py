"""The suggested split of a loss: its errors are exact, and no other split on the grid is better."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np
import pytest

from publisher.definitions.cells import Axis, CellGrid
from publisher.definitions.levels import Level
from publisher.definitions.period import parse
from publisher.privacy.allocation import MeasuredLevels, Problem, Tree, shape_of, suggested_split, tree_of
from publisher.privacy.fit import fit_of
from publisher.privacy.lattice import lattice_fit, lattice_of
from publisher.privacy.reconcile import forest_of, gains_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

JANUARY = parse("2024-01")


def levels(*maps: Sequence[int]) -> tuple[Level, ...]:
    """Levels of any shape: `maps[l][n]` is the cell of level l that holds the finest cell n; the last is the finest."""
    found = []
    for number, cells in enumerate(maps):
        axis = Axis("place", tuple(str(n) for n in range(max(cells) + 1)), None, 0)
        name = "" if number == len(maps) - 1 else f"level-{number}"
        found.append(Level(name, CellGrid((JANUARY,), (axis,)), Fraction(1, len(maps)), np.array(cells)))
    return tuple(found)


UNEVEN = levels([0] * 9, [0, 0, 0, 0, 0, 1, 1, 1, 2], [0, 0, 1, 2, 2, 3, 4, 4, 5], range(9))
"""A city of three districts with five, three and one places, in six neighborhoods."""
TOWN = levels([0] * 40, [n // 10 for n in range(40)], range(40))


def problem(of: Sequence[Level], power: int = 1, weights: Sequence[float] | None = None) -> Problem:
    alone = tuple(10.0 * (1 + n) for n in range(len(of)))
    return Problem(shape_of(of), (MeasuredLevels(alone, reconciled=True),), power, tuple(weights or [1.0] * len(of)))


def grid(tables: int, step: int) -> Iterator[list[float]]:
    """Every split in multiples of `step` hundredths that leaves something for each table."""
    for parts in product(range(step, 100, step), repeat=tables - 1):
        if sum(parts) < 100:
            yield [part / 100 for part in (*parts, 100 - sum(parts))]


@pytest.mark.parametrize("noise", [[1.0, 1.0, 1.0, 1.0], [9.0, 0.5, 3.0, 20.0], [1e6, 1e6, 1e6, 1.0]])
def test_errors_are_those_of_least_squares(noise: list[float]) -> None:
    """The mean variances are the diagonal of (XᵀWX)⁻¹, computed densely, level by level."""
    design = np.zeros((sum(level.grid.size for level in UNEVEN), 9))
    starts = np.cumsum([0, *(level.grid.size for level in UNEVEN)])
    for level, start in zip(UNEVEN, starts, strict=False):
        design[start + level.cells, np.arange(9)] = 1
    weights = np.repeat(1 / np.array(noise), np.diff(starts))
    covariance = design @ np.linalg.inv(design.T @ (weights[:, None] * design)) @ design.T
    exact = [np.diag(covariance)[a:b].mean() for a, b in pairwise(starts)]
    assert tree_of(UNEVEN).variances(noise) == pytest.approx(exact)


def test_errors_are_those_of_the_reconciliation() -> None:
    """On a tree of a thousand cells they are the means of the variances that a release reports."""
    draw = np.random.default_rng(7)
    middle = np.sort(draw.integers(0, 60, 1000))
    _, middle = np.unique(middle, return_inverse=True)
    large = levels((middle // 25).tolist(), middle.tolist(), range(1000))
    noise = [4.0, 2.0, 3.0]
    gains = gains_of(forest_of(large), noise)
    assert tree_of(large).variances(noise) == pytest.approx([each.mean() for each in gains.variances])


def test_a_cell_without_cells_is_not_counted() -> None:
    """A district that holds no place is zero without error; it does not make the others look better."""
    gap = levels([0] * 4, [0, 0, 2, 2], range(4))
    full = levels([0] * 4, [0, 0, 1, 1], range(4))
    assert gap[1].grid.size == full[1].grid.size + 1
    assert tree_of(gap).variances([1, 2, 3]) == pytest.approx(tree_of(full).variances([1, 2, 3]))


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("weights", [[1, 1, 1], [1, 0, 20], [50, 1, 1], [0, 1, 0]])
def test_no_split_is_better(power: int, weights: list[float]) -> None:
    """Of all 1,176 splits into fiftieths none has an error that is smaller by more than 1 %."""
    town = problem(TOWN, power, weights)
    found = town.cost([float(share) for share in suggested_split(town)])
    assert found <= min(town.cost(shares) for shares in grid(3, 2)) * 1.01


def test_no_split_of_four_tables_is_better() -> None:
    """The same for an uneven tree of four levels, on a grid of twentieths; and the equal split is worse."""
    uneven = problem(UNEVEN, 1, [1, 1, 1, 3])
    found = uneven.cost([float(share) for share in suggested_split(uneven)])
    assert found <= min(uneven.cost(shares) for shares in grid(4, 5)) * 1.01
    assert found < uneven.cost([0.25] * 4)


@pytest.mark.parametrize(("power", "parts"), [(1, (1, 2, 3)), (2, (1, 4 ** (1 / 3), 9 ** (1 / 3)))])
def test_separate_tables_follow_the_square_root(power: int, parts: tuple[float, ...]) -> None:
    """Where nothing is reconciled the best shares are known: as the square root of the weights for ρ, the cube root
    for ε."""
    apart = problem(TOWN, power, [1, 4, 9])
    apart = replace(apart, measures=(replace(apart.measures[0], reconciled=False),))
    wanted = [part / sum(parts) for part in parts]
    assert [float(share) for share in suggested_split(apart)] == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize("tables", [2, 3, 5, 7])
def test_shares_are_short_and_make_one(tables: int) -> None:
    """Whole hundredths, at least one for each table, together exactly one."""
    tree = levels(*([n * 2**depth // 64 for n in range(64)] for depth in range(tables - 1)), range(64))
    shares = suggested_split(problem(tree, 1, [100.0] + [0.01] * (tables - 1)))
    assert sum(shares) == 1
    assert all(share >= Fraction(1, 100) and (share * 100).denominator == 1 for share in shares)


def test_a_weight_buys_precision() -> None:
    """The more a table counts, the smaller its error."""
    light, heavy = problem(TOWN), problem(TOWN, weights=[1, 8, 1])
    districts = [each.errors([float(share) for share in suggested_split(each)])[0][1] for each in (light, heavy)]
    assert districts[1] < 0.9 * districts[0]


def test_one_table_keeps_its_noise() -> None:
    """A tree of one level has nothing to reconcile."""
    assert Tree(np.array([5.0]), ()).variances([3.0]) == (3.0,)


def test_errors_on_a_lattice_are_those_of_the_reconciliation() -> None:
    """Where tables are no chain they are the means of the variances that a release reports, over blocks of any shape;
    a sum without cells is not counted."""
    month, place, kind = (each.ravel() for each in np.indices((3, 5, 4)))
    some = (month < 2) | (place > 0)  # the last month has fewer places
    month, place, kind = month[some], place[some], kind[some]
    three = levels(month * 6 + place, month * 4 + kind, range(month.size))
    noise = [4.0, 2.0, 3.0]
    found = [each[each > 0].mean() for each in fit_of(three, noise).variances]
    assert shape_of(three).variances(noise) == pytest.approx(found)


def test_a_lattice_serves_places_and_kinds() -> None:
    """90 places and 13 kinds, as docs/rollups.md says, beside everything on the finest table: a chain leaves the sums
    of kinds as they are, a lattice makes both accurate."""
    place, kind = np.divmod(np.arange(90 * 13), 13)
    city, finest = place * 0, np.arange(place.size)

    def errors(of: Sequence[Level], shares: Sequence[float]) -> list[float]:
        return [variance**0.5 for variance in shape_of(of).variances([1 / share for share in shares])]

    chain = errors(levels(city, place, finest), [0.1, 0.2, 0.7])
    lattice = errors(levels(city, place, kind, finest), [0.1, 0.2, 0.1, 0.6])
    assert [round(each, 2) for each in chain] == [3.12, 1.97, 1.16]
    assert [round(each, 2) for each in lattice] == [3.01, 2.0, 2.95, 1.24]
    kinds = gains_of(forest_of(levels(city, place, finest)), [10.0, 5.0, 1 / 0.7])
    within = lattice_fit(lattice_of(levels(city, place, kind, finest)), [10.0, 5.0, 1e9, 1 / 0.7])
    assert within.variances[0][0] == pytest.approx(kinds.variances[0][0])
    assert round(within.variances[2][0] ** 0.5, 1) == 10.9


@pytest.mark.parametrize("power", [1, 2])
def test_no_split_of_a_lattice_is_better(power: int) -> None:
    """Of all splits into fiftieths none has an error that is smaller by more than 1 %."""
    place, kind = np.divmod(np.arange(48), 6)
    town = problem(levels(place, kind, range(48)), power, [3, 1, 1])
    found = town.cost([float(share) for share in suggested_split(town)])
    assert found <= min(town.cost(shares) for shares in grid(3, 2)) * 1.01
