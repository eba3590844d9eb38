"""Quantiles of noise that was added up or weighed: exact on whole numbers, and never too narrow anywhere."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from forests import dense, forest_from, levels_over, random_forest

from publisher.definitions.dataset import Bounds, Measure
from publisher.privacy.distribution import WIDE, Noise, NoiseTerm, compound, quantile
from publisher.privacy.margins import CLASSES, expected_half_widths, half_width, margins_of, margins_on, reconciled
from publisher.privacy.reconcile import TreeFit, estimate, gains_of, weights
from publisher.privacy.sampler import draw, widened
from publisher.stages import Mechanism

if TYPE_CHECKING:
    from small_town import Town

    from publisher.stages import Floats

Kind = Literal["discrete gaussian", "discrete laplace"]
KINDS: tuple[Kind, ...] = ("discrete gaussian", "discrete laplace")


def mass(kind: Kind, scale: float) -> Floats:
    """The probabilities on -r … r, from the weights of the definition."""
    reach = np.arange(-math.ceil(40 * scale) - 3, math.ceil(40 * scale) + 4, dtype=np.float64)
    weights = np.exp(-(reach**2) / (2 * scale**2) if kind == "discrete gaussian" else -np.abs(reach) / scale)
    found: Floats = weights / weights.sum()
    return found


def stretched(probabilities: Floats, times: int) -> Floats:
    """The probabilities of the noise times a whole number."""
    wide = np.zeros((probabilities.size - 1) * times + 1)
    wide[::times] = probabilities
    return wide


def within(probabilities: Floats, reach: float) -> float:
    middle = probabilities.size // 2
    return float(probabilities[np.abs(np.arange(probabilities.size) - middle) <= reach + 1e-9].sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.05, 0.4, 1.0, 1.9, 2.0, 7.3])
def test_variances_are_exact(kind: Kind, scale: float) -> None:
    """The variance is that of the discrete distribution, not of the continuous one."""
    probabilities = mass(kind, scale)
    reach = np.arange(probabilities.size) - probabilities.size // 2
    assert Noise(((kind, scale),)).variance == pytest.approx(float(probabilities @ reach**2), rel=1e-6, abs=2e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scales", [(0.3, 0.3), (0.7, 2.5), (1.0, 1.0, 1.0), (4.0, 9.5), (3.0, 3.0, 3.0, 3.0, 60.0)])
def test_added_draws_have_the_convolved_quantile(kind: Kind, scales: tuple[float, ...]) -> None:
    """Draws over batches that were added up have the half width of their exact convolution, to the step."""
    together = np.ones(1)
    for scale in scales:
        together = np.convolve(together, mass(kind, scale))
    noise = Noise(tuple((kind, scale) for scale in scales))
    for confidence in (0.9, 0.95, 0.975):
        found = noise.half_width(confidence)
        assert within(together, found) >= confidence - 1e-9
        assert found == 0 or within(together, found - 1) < confidence


@pytest.mark.parametrize("kind", KINDS)
def test_wide_sums_of_draws(kind: Kind) -> None:
    """Where convolving would take too long the quantile is at most 1.5 % wider."""
    near, wide = WIDE / 8, 8 * WIDE
    exact = Noise(((kind, near), (kind, near))).half_width(0.95) / near
    found = Noise(((kind, wide), (kind, wide))).half_width(0.95) / wide
    assert exact * 0.997 <= found <= exact * 1.015


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.3, 0.6, 1.0, 1.7, 3.0, 20.0])
@pytest.mark.parametrize("times", [(1, 2), (1, 1, 3), (2, 3, 3, 3, 3, 3, 3), (10, 1, 1, 1)])
def test_weighed_noise_is_inverted(kind: Kind, scale: float, times: tuple[int, ...]) -> None:
    """On lattices that can be convolved: the quantile holds what it says, but for less than 0.5 %, and is at most 3 %
    of a standard deviation wider than it must be."""
    together = np.ones(1)
    for each in times:
        together = np.convolve(together, stretched(mass(kind, scale), each))
    noise = Noise(((kind, scale),))
    deviation = math.sqrt(sum(each * each for each in times) * noise.variance)
    shape = tuple(NoiseTerm(noise, each * math.sqrt(noise.variance) / deviation, 1) for each in times)
    for confidence in (0.95, 0.975):
        found = quantile(shape, confidence) * deviation
        assert within(together, found) >= confidence - 0.005
        assert found < deviation * 0.03 or within(together, found - 0.03 * deviation) < confidence + 1e-3


def test_a_sum_over_bins_is_a_sum_of_copies() -> None:
    """Compounding copies of a shape equals writing their terms out."""
    noise = Noise((("discrete laplace", 3.0),))
    shape = (NoiseTerm(noise, 0.6, 1), NoiseTerm(noise, 0.4, 4))
    norm = math.sqrt(2 * 0.75**2 + 3 * 0.25**2)
    out = tuple(
        NoiseTerm(noise, term.size * size / norm, term.count)
        for size in (0.75, 0.75, 0.25, 0.25, 0.25)
        for term in shape
    )
    assert quantile(compound(shape, ((0.75, 2), (0.25, 3))), 0.95) == pytest.approx(quantile(out, 0.95))


NOISY: list[tuple[Kind, float]] = [(kind, scale) for kind, scale in product(KINDS, (0.5, 1.2, 6.0))]


@pytest.mark.parametrize(("kind", "scale"), NOISY)
def test_margins_of_reconciled_tables_cover(kind: Kind, scale: float) -> None:
    """Over 40,000 draws of the real noise on a small forest with unequal fan-out, every cell's estimate lies within its
    half width of the truth in at least 94.4 %, and the 97.5 % half width in at least 97 %. Sound margins fail once in
    three million runs (5.5 standard errors, for each of thirteen cells); margins from the finest level's noise alone,
    or a twentieth too narrow, are found."""
    forest = forest_from([0, 0, 1], [0, 0, 0, 1, 2, 2, 2, 2], roots=2)
    scales = [float(widened(Fraction(scale * times))) for times in (2.0, 1.5, 1.0)]
    noises = [Noise(((kind, each),)) for each in scales]
    gains = gains_of(forest, [each.variance for each in noises])
    releases = 40_000
    errors = [
        draw(kind, Fraction(each), size * releases).reshape(size, releases).astype(np.float64)
        for each, size in zip(scales, forest.sizes, strict=True)
    ]
    for found, margins in zip(estimate(forest, gains, errors), margins_on(TreeFit(forest, gains), noises), strict=True):
        for confidence, least in ((0.95, 0.944), (0.975, 0.97)):
            inside = np.abs(found) <= margins.half_widths(confidence)[:, None] + 1e-9
            assert inside.mean(axis=1).min() >= least


@pytest.mark.parametrize("kind", KINDS)
def test_cells_of_one_class_have_their_own_quantile_nearly(kind: Kind) -> None:
    """On an uneven forest, the half width found for a class is within 0.5 % of the one found for the cell alone, with
    every piece of its noise named."""
    forest = random_forest(np.random.default_rng(4), depth=4)
    noises = [Noise(((kind, scale),)) for scale in (9.0, 6.0, 4.0, 3.0)]
    variances = [each.variance for each in noises]
    _, solution, covariance = dense(forest, variances)
    found = np.concatenate(
        [each.half_widths(0.95) for each in margins_on(TreeFit(forest, gains_of(forest, variances)), noises)]
    )
    level = np.repeat(np.arange(4), forest.sizes)
    for cell in np.flatnonzero(np.diag(covariance) > 1e-9)[:40]:
        deviation = math.sqrt(covariance[cell, cell])
        sizes = np.abs(solution[cell]) * np.sqrt(variances)[level] / deviation
        shape = tuple(NoiseTerm(noises[n], float(size), 1) for n, size in zip(level, sizes, strict=True) if size > 1e-9)
        assert found[cell] == pytest.approx(quantile(shape, 0.95) * deviation, rel=0.005)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_of_a_very_uneven_forest_are_wide_enough(kind: Kind) -> None:
    """Where hundreds of kinds of cells share few quantiles, each half width is at least the cell's own, less 0.5 %, and
    at most 4 % wider."""
    forest = forest_from([0] * 60, np.repeat(np.arange(60), np.arange(1, 61)).tolist(), roots=1)
    noises = [Noise(((kind, scale),)) for scale in (3.0, 9.0, 2.5)]
    gains = gains_of(forest, [each.variance for each in noises])
    for level, margins in enumerate(margins_on(TreeFit(forest, gains), noises)[:2]):
        assert len(margins.shapes) <= CLASSES + 1
        assert (margins.stretch > 1) == (level == 1)
        found = margins.half_widths(0.95)
        for cell in range(forest.sizes[level]):
            deviation = math.sqrt(gains.variances[level][cell])
            tables = weights(forest, gains, level, np.array([cell]))
            named = [
                (noise, np.unique(np.abs(table) * math.sqrt(noise.variance) / deviation, return_counts=True))
                for noise, table in zip(noises, tables, strict=True)
            ]
            shape = tuple(
                NoiseTerm(noise, float(size), int(many))
                for noise, (distinct, counts) in named
                for size, many in zip(distinct, counts, strict=True)
            )
            own = quantile(shape, 0.95) * deviation
            assert 0.995 * own <= found[cell] <= 1.04 * own


def test_cells_without_cells_share_no_class() -> None:
    """A cell that is zero without error does not lend its shape to cells whose variance happens to be one."""
    noises = [Noise((("discrete laplace", 3.0),))] * 2
    plain, holed = forest_from([0, 0], roots=1), forest_from([1, 1], roots=2)
    scale = gains_of(plain, [1.0, 1.0]).variances[0][0]
    variances = [noise.variance / scale / noises[0].variance for noise in noises]
    expected, found = (margins_on(TreeFit(each, gains_of(each, variances)), noises)[0] for each in (plain, holed))
    assert gains_of(holed, variances).variances[0].tolist() == pytest.approx([0.0, 1.0])
    assert found.half_widths(0.95).tolist() == pytest.approx([0.0, *expected.half_widths(0.95).tolist()])


def test_cells_that_hold_no_cells_have_no_margin() -> None:
    """A district without places is zero, and known to be."""
    forest = forest_from([0, 0], [0, 0], roots=2)  # the second root and the first root's second child are childless
    noises = [Noise((("discrete gaussian", 4.0),))] * 3
    margins = margins_on(TreeFit(forest, gains_of(forest, [16.0] * 3)), noises)
    assert margins[0].half_widths(0.95)[1] == 0
    assert margins[1].half_widths(0.95)[1] == 0
    assert margins[1].half_widths(0.95)[0] > 0


def count(kind: str = "count", **fields: Any) -> Measure:
    return Measure.model_validate({"name": "requests", "title": "R", "kind": kind, "unit": "u"} | fields)


def test_margins_are_known_before_anything_is_drawn(town: Town) -> None:
    """From levels, scales and the definition alone: level by level the half width of each cell; totals are surer than
    their own measurement, and without rollups it is the mechanism's exact quantile."""
    dataset = town.dataset_file().definition
    levels = levels_over(forest_from([0, 0, 0], roots=1))
    mechanisms = tuple(
        Mechanism("requests", "discrete gaussian", 5.0, "", Fraction(1), "", level.name) for level in levels
    )
    found = expected_half_widths(levels, mechanisms, dataset, count(), 0.95)
    assert list(found) == ["level0", ""]
    assert found["level0"].shape == (1,)
    assert found[""].shape == (3,)
    assert found["level0"][0] < found[""][0] + found[""][1]
    assert found["level0"][0] == pytest.approx(1.96 * math.sqrt(25 * 75 / 100), rel=0.01)
    alone = expected_half_widths(levels[-1:], mechanisms[-1:], dataset, count(), 0.95)
    assert alone[""].tolist() == [half_width(mechanisms[-1], 0.95)] * 3


def test_units_of_several_cells_are_not_reconciled(town: Town) -> None:
    """Distinct units do not add up over cells unless each has one: then every level stands as it was measured."""
    one = town.dataset_file().definition
    several = one.model_copy(update={"bounds": Bounds(max_groups=3)})
    levels = levels_over(forest_from([0, 0, 0], roots=1))
    units = count("count_units")
    assert reconciled(levels, one, units)
    assert not reconciled(levels, several, units)
    assert reconciled(levels, several, count())
    assert not reconciled(levels[-1:], one, count())
    mechanisms = tuple(
        Mechanism("requests", "discrete laplace", 5.0, "", Fraction(1), "", level.name) for level in levels
    )
    whole = half_width(mechanisms[0], 0.95)
    assert margins_of(levels, mechanisms, several, units)[0].half_widths(0.95).tolist() == [whole]
