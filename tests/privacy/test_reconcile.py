"""Two passes are the least squares estimate, and published numbers are whole, not negative, and add up exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from forests import dense, forest_from, random_forest
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.privacy.consistency import apportion, project, whole
from publisher.privacy.reconcile import Forest, estimate, gains_of, weights

SEEDS = st.integers(0, 10**6)


def stacked(tables: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.concatenate([table.reshape(len(table), -1) for table in tables])


@pytest.mark.parametrize("seed", range(12))
def test_two_passes_are_least_squares(seed: int) -> None:
    """Estimates and variances equal those of dense generalized least squares, with unequal fan-out, several roots,
    another variance on each level and cells without children."""
    source = np.random.default_rng(seed)
    forest = random_forest(source, depth=1 + seed % 5)
    noise = source.uniform(0.3, 40, len(forest.sizes)).tolist()
    measured = [source.normal(100, 50, (size, 3)) for size in forest.sizes]
    _, solution, covariance = dense(forest, noise)
    gains = gains_of(forest, noise)
    np.testing.assert_allclose(
        stacked(estimate(forest, gains, measured)), solution @ stacked(tuple(measured)), atol=1e-8
    )
    np.testing.assert_allclose(np.concatenate(gains.variances), np.diag(covariance), atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_weights_are_those_of_least_squares(seed: int) -> None:
    """Every measurement's weight in a cell's estimate equals the dense solution's."""
    source = np.random.default_rng(seed)
    forest = random_forest(source, depth=2 + seed % 3)
    noise = source.uniform(0.3, 40, len(forest.sizes)).tolist()
    _, solution, _ = dense(forest, noise)
    gains, start = gains_of(forest, noise), 0
    for level, size in enumerate(forest.sizes):
        found = stacked(weights(forest, gains, level, np.arange(size)))
        np.testing.assert_allclose(found, solution[start : start + size].T, atol=1e-9)
        start += size


def test_estimates_add_up_before_they_are_whole() -> None:
    """The estimates of children sum to their parent's."""
    source = np.random.default_rng(3)
    forest = random_forest(source, depth=4)
    found = estimate(
        forest, gains_of(forest, [9.0, 4.0, 1.0, 2.0]), [source.normal(0, 9, (n, 2)) for n in forest.sizes]
    )
    for level in range(3):
        np.testing.assert_allclose(forest.add_up(level, found[level + 1]), found[level], atol=1e-9)


def test_one_level_stays_as_it_is() -> None:
    """Without rollups the estimate is the measurement and its variance the noise's."""
    forest = Forest((3,), ())
    gains = gains_of(forest, [2.5])
    measured = np.array([[1.0], [-4.0], [9.0]])
    assert estimate(forest, gains, [measured])[0].tolist() == measured.tolist()
    assert gains.variances[0].tolist() == [2.5] * 3


def test_the_calendar_split() -> None:
    """A year of days measured 70/20/10 on days, months and the year: the year's total is 6.6 times more accurate than
    the sum of days at the same ρ, and a day pays 18 %."""
    months = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    forest = forest_from([0] * 12, np.repeat(np.arange(12), months).tolist(), roots=1)
    gains = gains_of(forest, [1 / 0.1, 1 / 0.2, 1 / 0.7])  # at the same loss a variance of one each day
    assert math.sqrt(365 / gains.variances[0][0]) == pytest.approx(6.6, abs=0.05)
    assert math.sqrt(gains.variances[2].max()) == pytest.approx(1.18, abs=0.005)


@settings(max_examples=150, deadline=None)
@given(
    seed=SEEDS,
    size=st.sampled_from([0.3, 5.0, 400.0, 1e9, 1e16]),
    nonnegative=st.booleans(),
    width=st.integers(1, 3),
)
def test_published_numbers_add_up(seed: int, size: float, nonnegative: bool, width: int) -> None:
    """On every forest and for totals up to 10¹⁶: whole, not negative where that holds, children sum to their parent in
    integers, cells that hold no cells are zero, and the same input gives the same output."""
    source = np.random.default_rng(seed)
    forest = random_forest(source, depth=1 + seed % 4)
    measured = [source.normal(size / 3, size, (n, width)) for n in forest.sizes]
    estimates = estimate(forest, gains_of(forest, source.uniform(1, 9, len(forest.sizes)).tolist()), measured)
    found = whole(forest, estimates, nonnegative=nonnegative)
    again = whole(forest, [each.copy() for each in estimates], nonnegative=nonnegative)
    for table, other, occupied in zip(found, again, forest.occupied(), strict=True):
        assert table.dtype == np.int64
        assert not nonnegative or (table >= 0).all()
        assert (table == other).all()
        assert not table[~occupied].any()
    for above, coarse, fine in zip(forest.parents, found, found[1:], strict=False):
        sums = np.zeros_like(coarse)
        np.add.at(sums, above, fine)
        assert (sums == coarse).all()


def by_sorting(values: np.ndarray, total: float) -> np.ndarray:
    """The projection of one family by sorting (Held, Wolfe and Crowder 1974)."""
    falling = np.sort(values)[::-1]
    levels = (np.cumsum(falling) - total) / np.arange(1, values.size + 1)
    return np.maximum(values - levels[np.flatnonzero(falling > levels)[-1]], 0)


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS, size=st.sampled_from([1.0, 30.0, 1e6]))
def test_families_are_projected_onto_their_simplex(seed: int, size: float) -> None:
    """Side by side, each family gets the Euclidean projection that sorting gives it alone."""
    source = np.random.default_rng(seed)
    families = source.integers(0, 6, 60)
    values = np.round(source.standard_cauchy(60) * size, seed % 3)
    totals = source.integers(1, 50, 6)
    found = project(values, families, totals)
    for family in range(6):
        mine = families == family
        if mine.any():
            np.testing.assert_allclose(found[mine], by_sorting(values[mine], totals[family]), atol=1e-6 * size)


def test_a_family_of_nothing_is_nothing() -> None:
    """Children of zero are zero, whatever was measured."""
    families = np.array([0, 0, 0, 1])
    assert project(np.array([5.0, -2.0, 5.0, 3.0]), families, np.array([0, 3])).tolist() == [0, 0, 0, 3]


def test_remainders_go_to_the_largest_then_to_the_first() -> None:
    """What rounding down leaves is given out by remainder; of equal remainders the first cell gets it."""
    families, totals = np.array([0, 1, 0, 1, 0, 1]), np.array([10, 5])
    found = apportion(np.array([3.2, 1.5, 3.6, 1.5, 3.2, 2.0]), families, totals)
    assert found.tolist() == [3, 2, 4, 1, 3, 2]
    thirds = apportion(np.full(3, 10 / 3), np.zeros(3, dtype=np.int64), np.array([10]))
    assert thirds.tolist() == [4, 3, 3]


def test_rounding_moves_a_number_by_less_than_one() -> None:
    """No child lies a whole step or more from what it was projected to."""
    source = np.random.default_rng(5)
    families = source.integers(0, 40, 900)
    totals = source.integers(50, 4_000, 40)
    wanted = project(source.normal(20, 60, 900), families, totals)
    assert np.abs(apportion(wanted, families, totals) - wanted).max() < 1


def test_large_totals_keep_their_last_digit() -> None:
    """Children of a total beyond what floats hold still sum to it exactly."""
    totals, families = np.array([9_007_199_254_740_993 * 400 + 7]), np.zeros(3, dtype=np.int64)
    values = np.array([0.6, 0.4, 0.0]) * float(totals[0])
    found = apportion(project(values, families, totals), families, totals)
    assert sum(found.tolist()) == int(totals[0])
    assert (found >= 0).all()


def test_variances_never_grow() -> None:
    """Reconciling never makes a cell less certain than its own measurement, and makes totals more certain than sums."""
    source = np.random.default_rng(11)
    forest = random_forest(source, depth=4, childless=False)
    noise = [7.0, 5.0, 3.0, 2.0]
    gains = gains_of(forest, noise)
    for own, variances in zip(noise, gains.variances, strict=True):
        assert (variances <= own + 1e-12).all()
    for level in range(3):
        below = forest.add_up(level, np.full((forest.sizes[level + 1], 1), noise[level + 1]))[:, 0]
        assert (gains.variances[level] < below).all()
