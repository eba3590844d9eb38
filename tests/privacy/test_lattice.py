"""Tables that are not ordered agree: exact least squares, whole numbers that add up, sums as close as can be."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from forests import levels_over, random_forest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattices import dense_lattice, lattice_levels, product_levels, rolled_up, three_ways, uneven_levels

from publisher.definitions.levels import forms_chain, neighbors
from publisher.privacy.agreement import whole_on_lattice
from publisher.privacy.consistency import project
from publisher.privacy.fit import fit_of
from publisher.privacy.lattice import LatticeFit, lattice_fit, lattice_of
from publisher.privacy.nesting import nesting_of
from publisher.privacy.projection import Sums, nearest
from publisher.privacy.reconcile import TreeFit, forest_of, gains_of
from publisher.privacy.rounding import rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.levels import Level
    from publisher.stages import Floats, Integers

SEEDS = st.integers(0, 10**6)
PARTS = 1 << 20


def fit(levels: Sequence[Level], noise: Sequence[float]) -> LatticeFit:
    return lattice_fit(lattice_of(levels), noise)


def noises(source: np.random.Generator, count: int) -> list[float]:
    """Variances of levels; the finest one has at most a thousand times that of any other."""
    found: list[float] = (10 ** source.uniform(-2, 3, count)).tolist()
    found[-1] = min(found[-1], 1000 * min(found))
    return found


def stacked(tables: Sequence[Floats]) -> Floats:
    return np.concatenate([table.reshape(len(table), -1) for table in tables])


@pytest.mark.parametrize("seed", range(20))
def test_a_chain_is_what_two_passes_make_of_it(seed: int) -> None:
    """On a chain of tables the estimates, variances and weights are those of the two passes, to a billionth."""
    source = np.random.default_rng(seed)
    forest = random_forest(source, depth=2 + seed % 4)
    levels, noise = levels_over(forest), noises(source, len(forest.sizes))
    tree, lattice = TreeFit(forest, gains_of(forest, noise)), fit(levels, noise)
    measured = [source.normal(100, 50, (size, 2)) for size in forest.sizes]
    np.testing.assert_allclose(stacked(lattice.estimate(measured)), stacked(tree.estimate(measured)), 1e-9, 1e-9)
    np.testing.assert_allclose(stacked(lattice.variances), stacked(tree.variances), 1e-9, 1e-12)
    for level, size in enumerate(forest.sizes):
        cells = np.arange(size)
        for found, wanted in zip(lattice.weights(level, cells), tree.weights(level, cells), strict=True):
            np.testing.assert_allclose(found, wanted, 1e-9, 1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_a_lattice_is_least_squares(seed: int) -> None:
    """Estimates, variances and weights are those of dense least squares over all tables, whatever their shape."""
    source = np.random.default_rng(seed)
    levels = (uneven_levels, product_levels)[seed % 2](source, 1 + seed % 3)
    noise = source.uniform(0.3, 40, len(levels)).tolist()
    weights, covariance = dense_lattice(levels, noise)
    found, measured = fit(levels, noise), [source.normal(100, 50, (level.grid.size, 3)) for level in levels]
    np.testing.assert_allclose(stacked(found.estimate(measured)), weights @ stacked(measured), atol=1e-8)
    np.testing.assert_allclose(np.concatenate(found.variances), np.diag(covariance), atol=1e-9)
    start = 0
    for number, level in enumerate(levels):
        rows = weights[start : start + level.grid.size]
        np.testing.assert_allclose(stacked(found.weights(number, np.arange(level.grid.size))), rows.T, atol=1e-9)
        start += level.grid.size


def exact_variances(levels: Sequence[Level], noise: Sequence[int]) -> list[Fraction]:
    """The variances of all estimates in exact rationals: sums over the inverse of the information matrix."""
    size = levels[-1].grid.size
    cells = list(zip(levels, noise, strict=True))
    info = [
        [
            sum((Fraction(1, v) for level, v in cells if level.cells[a] == level.cells[b]), Fraction(0))
            for b in range(size)
        ]
        for a in range(size)
    ]
    rows = [[*row, *(Fraction(int(n == m)) for m in range(size))] for n, row in enumerate(info)]
    for n in range(size):
        rows[n] = [each / rows[n][n] for each in rows[n]]
        for m in range(size):
            if m != n:
                rows[m] = [a - rows[m][n] * b for a, b in zip(rows[m], rows[n], strict=True)]
    found = []
    for level in levels:
        for cell in range(level.grid.size):
            held = np.flatnonzero(level.cells == cell).tolist()
            found.append(sum((rows[a][size + b] for a in held for b in held), Fraction(0)))
    return found


@pytest.mark.parametrize("noise", [[1, 1, 1000], [10**9, 1, 1], [1, 10**9, 1000], [10**9, 10**9, 1]])
def test_no_digits_are_lost(noise: list[int]) -> None:
    """With shares far apart, as far as a definition may have them, variances are right to a part in a billion."""
    place, kind = np.divmod(np.arange(6), 3)
    levels = lattice_levels(place, kind, np.arange(6))
    exact = [float(each) for each in exact_variances(levels, noise)]
    np.testing.assert_allclose(np.concatenate(fit(levels, [float(v) for v in noise]).variances), exact, rtol=1e-9)


def test_a_chain_keeps_its_two_passes() -> None:
    """Two passes where every table divides the one before; least squares with a matrix in any other order."""
    city, part, place = [0] * 6, [0, 0, 0, 1, 1, 1], range(6)
    kinds = [0, 1, 0, 1, 0, 1]
    assert isinstance(fit_of(lattice_levels(city, part, place), [1.0] * 3), TreeFit)
    assert isinstance(fit_of(lattice_levels(part, city, place), [1.0] * 3), LatticeFit)
    assert isinstance(fit_of(lattice_levels(part, kinds, place), [1.0] * 3), LatticeFit)
    assert not forms_chain(lattice_levels(part, kinds, place))


def test_neighbors_are_the_pairs_that_add_up() -> None:
    """City over parts and kinds, both over the finest table; parts and kinds are no pair, nor city and finest."""
    kinds, city, part, place = [0, 1, 0, 1, 0, 1], [0] * 6, [0, 0, 0, 1, 1, 1], range(6)
    names = {"level0": "kinds", "level1": "city", "level2": "parts", "": ""}
    found = [(names[a.name], names[b.name]) for a, b in neighbors(lattice_levels(kinds, city, part, place))]
    assert sorted(found) == [("city", "kinds"), ("city", "parts"), ("kinds", ""), ("parts", "")]


def test_months_are_blocks_of_their_own() -> None:
    """Cells of different months share nothing: one small matrix serves all of them."""
    month, place, kind = (each.ravel() for each in np.indices((12, 4, 3)))
    lattice = lattice_of(lattice_levels(month * 4 + place, month * 3 + kind, month, np.arange(month.size)))
    (blocks,) = lattice.blocks
    assert blocks.finest.shape == (12, 12)
    assert blocks.coarse.shape == (12, 8)


def drawn(
    source: np.random.Generator, levels: Sequence[Level], noise: Sequence[float], truth: Integers
) -> list[Floats]:
    tables = rolled_up(levels, truth)
    return [
        np.rint(table + source.normal(0, variance**0.5, table.shape))
        for table, variance in zip(tables, noise, strict=True)
    ]


def finished(source: np.random.Generator, levels: Sequence[Level], *, nonnegative: bool = True) -> list[Floats]:
    """Published whole numbers of a sparse truth, one column, preceded by nothing."""
    noise = source.uniform(0.5, 60, len(levels)).tolist()
    truth = source.choice([0, 0, 0, 0, 1, 2, 9, 150], (levels[-1].grid.size, 2))
    made = fit(levels, noise)
    found = whole_on_lattice(levels, made, made.estimate(drawn(source, levels, noise, truth)), nonnegative=nonnegative)
    return list(found)


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS, shape=st.sampled_from([product_levels, uneven_levels, None]), nonnegative=st.booleans())
def test_every_table_adds_up(seed: int, shape: object, nonnegative: bool) -> None:
    """Products, tables of any shape, and three two-way tables: whole numbers, finest cells at least zero, every coarser
    cell the sum of its finest cells."""
    source = np.random.default_rng(seed)
    levels = shape(source, 1 + seed % 4) if callable(shape) else three_ways((2 + seed % 3, 3, 2 + seed % 4))
    found = finished(source, levels, nonnegative=nonnegative)
    assert all(table.dtype == np.int64 for table in found)
    for table, exact in zip(found, rolled_up(levels, found[-1]), strict=True):
        assert np.array_equal(table, exact)
    if nonnegative:
        assert (found[-1] >= 0).all()


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_rounding_moves_no_sum_by_one(seed: int) -> None:
    """Of real cells in two chains of tables, every cell and every sum becomes the whole number below or above it."""
    source = np.random.default_rng(seed)
    levels = product_levels(source, 1 + seed % 3)
    if seed % 2:  # two tables that are no product
        levels = lattice_levels(*(source.integers(0, 5, 40) for _ in range(2)), np.arange(40))
    cells = [level.cells for level in levels[:-1]]
    nesting = nesting_of(lattice_of(levels), cells)
    assert nesting.chains()[1] == ()
    parts = source.integers(-3 * PARTS, 9 * PARTS, levels[-1].grid.size)
    found = rounded(nesting, parts, PARTS)
    for held in (*nesting.cells, np.arange(parts.size)):
        real, whole = np.zeros((2, held.max() + 1), dtype=np.int64)
        np.add.at(real, held, parts)
        np.add.at(whole, held, found)
        assert (abs(whole * PARTS - real) < PARTS).all()


def test_sums_in_neither_chain_stay_close() -> None:
    """Of three two-way tables two are rounded down or up; the sums of the third, which no network can hold as well,
    stay as close. They would be about twice as far off if nobody minded them."""
    source = np.random.default_rng(3)
    levels = three_ways((12, 10, 9))
    nesting = nesting_of(lattice_of(levels), [level.cells for level in levels[:-1]])
    (left,) = nesting.chains()[1]
    parts = source.integers(0, 3 * PARTS, 1080)
    moved = rounded(nesting, parts, PARTS) - parts / PARTS
    for table in range(1, 4):
        errors = np.bincount(nesting.cells[table], moved, nesting.sizes[table])
        assert (errors**2).mean() ** 0.5 < 0.5
        assert table == left or np.abs(errors).max() < 1


def test_rounding_leans_to_the_nearest() -> None:
    """What is whole stays; sums are mostly rounded to the nearer number, coarse ones above all."""
    source = np.random.default_rng(2)
    place, kind = np.divmod(np.arange(300), 15)
    levels = lattice_levels(place, kind, np.arange(300))
    nesting = nesting_of(lattice_of(levels), [place, kind])
    parts = source.integers(0, 5 * PARTS, 300)
    parts[::3] -= parts[::3] % PARTS
    found = rounded(nesting, parts, PARTS)
    assert np.array_equal(found[::3] * PARTS, parts[::3])
    for held, most in ((place, 0.3), (kind, 0.3), (np.arange(300), 0.4)):
        real, whole = np.zeros((2, held.max() + 1), dtype=np.int64)
        np.add.at(real, held, parts)
        np.add.at(whole, held, found)
        assert np.abs(whole - real / PARTS).mean() < most


def by_alternating(wanted: Floats, variances: Floats, inside: Integers, targets: Floats) -> Floats:
    """The same projection by Hildreth's method: one sum after the other is mended, many times over."""
    prices = np.zeros(targets.size)
    order = np.unique(inside)
    for _ in range(4000):
        for one in order:
            held = (inside == one).any(axis=0)
            base = (wanted + variances * prices[inside].sum(axis=0) - variances * prices[one])[held]
            low, high = -1e5, 1e5
            for _ in range(60):
                middle = (low + high) / 2
                if np.maximum(base + variances[held] * middle, 0).sum() < targets[one]:
                    low = middle
                else:
                    high = middle
            prices[one] = (low + high) / 2
    found: Floats = np.maximum(wanted + variances * prices[inside].sum(axis=0), 0)
    return found


def test_the_nearest_cells_are_the_nearest() -> None:
    """The cells of at least zero with given sums that Newton's method finds are those that a slow method finds."""
    source = np.random.default_rng(4)
    place, kind = np.divmod(np.arange(20), 5)
    inside = np.stack([place, kind + 4])
    truth = source.choice([0, 0, 1, 5, 30], 20).astype(np.float64) + 0.25
    targets = np.bincount(inside.ravel(), np.tile(truth, 2))
    wanted, variances = truth + source.normal(0, 5, 20), source.uniform(1, 3, 20)
    found = nearest(wanted, variances, Sums(inside, targets, np.zeros(9)))
    np.testing.assert_allclose(found, by_alternating(wanted, variances, inside, targets), atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_sums_that_can_be_had_are_reached(seed: int) -> None:
    """Sums of some nonnegative cells are met to a millionth, however sparse the cells and wrong the estimates."""
    source = np.random.default_rng(seed)
    levels = uneven_levels(source)
    starts = np.cumsum([0, *(level.grid.size for level in levels[:-1])])
    inside = np.stack([level.cells + start for level, start in zip(levels[:-1], starts, strict=False)])
    truth = source.choice([0, 0, 0.25, 3, 900], levels[-1].grid.size)
    sums = Sums(inside, np.zeros(starts[-1]), np.zeros(starts[-1]))
    sums = Sums(inside, sums.of(truth), sums.slack)
    found = nearest(truth + source.normal(0, 20, truth.size), np.full(truth.size, 400.0), sums)
    assert (found >= 0).all()
    assert np.abs(sums.of(found) - sums.targets).max() <= 1e-6


def test_both_ways_of_reaching_sums_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a complete product, the way that serves any shape finds the sums that projecting each chain finds: at most one
    step apart after rounding."""
    source = np.random.default_rng(9)
    place, kind = np.divmod(np.arange(60), 6)
    levels = lattice_levels(place * 0, place, kind, np.arange(60))
    noise = [30.0, 30.0, 15.0, 5.0]
    truth = source.choice([0, 0, 1, 3, 40], (60, 1))
    made = fit(levels, noise)
    estimates = made.estimate(drawn(source, levels, noise, truth))
    exactly = whole_on_lattice(levels, made, estimates, nonnegative=True)
    monkeypatch.setattr("publisher.privacy.agreement._meet", lambda *_: False)
    softly = whole_on_lattice(levels, made, estimates, nonnegative=True)
    for one, other in zip(exactly, softly, strict=True):
        assert np.abs(one - other).max() <= 1


@pytest.mark.parametrize("seed", range(25))
def test_every_sum_is_within_one_of_its_target(seed: int) -> None:
    """On a complete product, the sums of places in parts and of kinds are less than one from what projecting each chain
    from the total downward gives, however sparse the finest cells are."""
    source = np.random.default_rng(seed)
    place, kind = np.divmod(np.arange(24 * 7), 7)
    part = place // 5
    levels = lattice_levels(place, kind, part, np.arange(place.size))
    noise = source.uniform(1, 90, 4).tolist()
    truth = source.choice([0, 0, 0, 0, 0, 1, 4, 90], (place.size, 1))
    made = fit(levels, noise)
    estimates = made.estimate(drawn(source, levels, noise, truth))
    found = whole_on_lattice(levels, made, estimates, nonnegative=True)
    places, kinds, parts = (each[:, 0] for each in estimates[:3])
    total = np.array([max(estimates[-1].sum(), 0.0)])
    wanted_parts = project(parts, np.zeros(parts.size, dtype=np.int64), total)
    wanted_places = project(places, np.arange(24) // 5, wanted_parts)
    wanted_kinds = project(kinds, np.zeros(kinds.size, dtype=np.int64), total)
    for published, wanted in zip(found[:3], (wanted_places, wanted_kinds, wanted_parts), strict=True):
        assert (np.abs(published[:, 0] - wanted) < 1 + 1e-4).all()
    assert abs(found[-1].sum() - total[0]) < 1 + 1e-4


@pytest.mark.parametrize("shape", ["product", "uneven"])
def test_cutting_at_zero_does_not_raise_a_town(shape: str) -> None:
    """300 empty cells and a few full ones, released 150 times: the town's error has a mean within 5.4 of its standard
    errors of zero, plus what rounding may add. A sound release fails once in ten million runs; cells that are cut at
    zero in one pass, which raise the town by several standard deviations, are found."""
    source = np.random.default_rng(1)
    place, kind = np.divmod(np.arange(300), 10)
    if shape == "uneven":  # places that have only some kinds
        place, kind = place[(place + kind) % 3 > 0], kind[(place + kind) % 3 > 0]
    levels = lattice_levels(place * 0, place, kind, np.arange(place.size))
    truth = np.zeros((place.size, 150), dtype=np.int64)
    truth[:12] = 60
    noise = [40.0, 40.0, 40.0, 10.0]
    made = fit(levels, noise)
    estimates = made.estimate(drawn(source, levels, noise, truth))
    town = whole_on_lattice(levels, made, estimates, nonnegative=True)[0][0] - truth.sum(axis=0)
    deviation = made.variances[0][0] ** 0.5
    assert abs(town.mean()) <= 5.4 * deviation / 150**0.5 + 0.2
    at_once = np.maximum(estimates[-1], 0).sum(axis=0) - truth.sum(axis=0)
    assert at_once.mean() > 10 * deviation


def test_huge_sums_are_whole_and_add_up() -> None:
    """Totals beyond what floats hold exactly do not stop a release."""
    source = np.random.default_rng(3)
    levels = product_levels(source, 2)
    truth = source.integers(0, 10**15, (levels[-1].grid.size, 1))
    made = fit(levels, [1e12] * len(levels))
    found = whole_on_lattice(
        levels, made, made.estimate([each.astype(np.float64) for each in rolled_up(levels, truth)]), nonnegative=True
    )
    for table, exact in zip(found, rolled_up(levels, found[-1]), strict=True):
        assert np.array_equal(table, exact)
    assert np.abs(found[-1] - truth).max() < 10**4


def test_a_chain_in_any_order_is_published_like_a_chain() -> None:
    """Rollups of a chain that are written in another order: the same estimates, and sums that add up."""
    source = np.random.default_rng(8)
    forest = random_forest(source, depth=4, childless=False)
    city, part, hood, finest = levels_over(forest)
    noise = [9.0, 4.0, 2.0, 3.0]
    measured = [source.normal(80, 40, (size, 1)) for size in forest.sizes]
    inorder = fit_of((city, part, hood, finest), noise).estimate(measured)
    mixed = (hood, city, part, finest)
    made = fit_of(mixed, [noise[n] for n in (2, 0, 1, 3)])
    other = made.estimate([measured[n] for n in (2, 0, 1, 3)])
    np.testing.assert_allclose(stacked(other), stacked([inorder[n] for n in (2, 0, 1, 3)]), atol=1e-9)
    assert isinstance(made, LatticeFit)
    found = whole_on_lattice(mixed, made, other, nonnegative=True)
    assert all(np.array_equal(a, b) for a, b in zip(found, rolled_up(mixed, found[-1]), strict=True))
    assert forest_of((city, part, hood, finest)).sizes == forest.sizes


def test_the_example_of_the_documentation() -> None:
    """The numbers of docs/rollups.md: two places and three kinds."""
    place, kind = np.divmod(np.arange(6), 3)
    levels = lattice_levels(place, kind, np.arange(6))
    made = fit(levels, [9.0] * 3)
    measured = [np.array([table], dtype=np.float64).T for table in ([21, 8], [24, 3, -1], [18, 5, -2, 4, 1, 3])]
    estimates = made.estimate(measured)
    assert [np.round(each[:, 0], 1).tolist() for each in estimates] == [
        [20.5, 7.5], [23.7, 4.3, 0.0], [18.8, 4.2, -2.5, 4.8, 0.2, 2.5],
    ]  # fmt: skip
    found = whole_on_lattice(levels, made, estimates, nonnegative=True)
    assert [each[:, 0].tolist() for each in found] == [[21, 7], [24, 4, 0], [18, 3, 0, 6, 1, 0]]
    assert [round(float(each[0] ** 0.5), 2) for each in made.variances] == [2.37, 2.24, 2.15]


@pytest.mark.parametrize(
    "noise", [[1e-12, 1e-12, 1e-12, 40.0], [40.0, 1e-12, 40.0, 1e-12], [1e-12] * 4, [1e12, 1, 1e12, 1]]
)
def test_noise_that_is_never_drawn_stops_nothing(noise: list[float]) -> None:
    """Losses so large that nothing is added to some tables: sums that overlap and hold exactly are still reconciled."""
    source = np.random.default_rng(6)
    place, kind = np.divmod(np.arange(900), 15)
    levels = lattice_levels(place * 0, place, kind, np.arange(900))
    truth = source.choice([0, 0, 0, 2, 70], (900, 1))
    made = fit(levels, noise)
    estimates = made.estimate(drawn(source, levels, noise, truth))
    for level, estimate, exact in zip(range(4), estimates, rolled_up(levels, truth), strict=True):
        if noise[level] < 1e-6:
            np.testing.assert_allclose(estimate, exact, atol=1e-3)
        assert np.isfinite(made.variances[level]).all()
    found = whole_on_lattice(levels, made, estimates, nonnegative=True)
    for level, table, exact in zip(range(4), found, rolled_up(levels, truth), strict=True):
        if noise[level] < 1e-6:
            assert np.array_equal(table, exact)
