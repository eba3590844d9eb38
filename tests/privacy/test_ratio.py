"""Ranges of means: Fieller's method with the exact law of the noise, in published tables and in the law itself."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import pytest
from forests import forest_from, levels_over
from lattices import rolled_up
from test_lattice_margins import towns
from test_rollups import KINDS, POSITIVE, Kind, by_name, definition, noisy

from publisher.grades import UNRELIABLE
from publisher.privacy.distribution import Noise, NoiseTerm
from publisher.privacy.estimates import Estimate, estimates_of
from publisher.privacy.finish import finish
from publisher.privacy.margins import Margins
from publisher.privacy.ratio import quotients
from publisher.privacy.sampler import draw, widened

if TYPE_CHECKING:
    from small_town import Town

    from publisher.definitions.levels import Level
    from publisher.stages import Floats, Integers

LEAST = 1e-8
"""A coverage of 95% is rejected at this level for each kind of cell: over the hundred of them, once in a million."""


def estimate(values: list[float], kind: Kind, scale: float) -> Estimate:
    """Numbers as measured."""
    noise = Noise(((kind, scale),))
    size, deviation = len(values), noise.variance**0.5
    shapes = ((NoiseTerm(noise, 1.0, 1),),)
    margins = Margins(np.full(size, deviation), np.zeros(size, dtype=np.int64), shapes, noise=noise, noises=(noise,))
    center = np.array(values, dtype=np.float64)[:, None]
    return Estimate(center, np.rint(center).astype(np.int64), margins, 0.0)


def masses(kind: Kind, scale: float) -> tuple[Floats, Floats]:
    """The noise's values and their probabilities, from the definition of the distribution."""
    reach = np.arange(-math.ceil(32 * scale) - 2, math.ceil(32 * scale) + 3, dtype=np.float64)
    logs = -(reach**2) / (2 * scale**2) if kind == "discrete gaussian" else -np.abs(reach) / scale
    weights = np.exp(logs)
    return reach, weights / weights.sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("of_sums", "of_counts"), [(0.6, 0.4), (2.5, 2.5), (9.0, 1.1), (3.0, 8.0)])
def test_the_true_mean_is_left_out_in_5_of_100_draws(kind: Kind, of_sums: float, of_counts: float) -> None:
    """Every pair of errors with its exact probability, none sampled: the range holds the true mean with at least 95%,
    whether the mean is whole, a simple fraction or neither, and zero; with half a step less it would not always."""
    (sums, first), (counts, second) = masses(kind, of_sums), masses(kind, of_counts)
    chance = np.outer(first, second)
    likely = chance > 1e-9
    for total, count in ((0, 40), (40, 40), (20, 40), (80, 40), (317, 41), (1000, 50)):
        noise = [np.broadcast_to(each, chance.shape)[likely] for each in (sums[:, None], counts[None, :])]
        totals, counted = (total + noise[0]).tolist(), (count + noise[1]).tolist()
        low, high = quotients(estimate(totals, kind, of_sums), estimate(counted, kind, of_counts), 0.0, 100.0, 0.95)
        truth = total / count
        held = (low <= truth + 1e-9) & (truth <= high + 1e-9)
        assert chance[likely][held].sum() >= 0.95


def test_fieller_by_hand() -> None:
    """With Gaussian noise the ends are the roots of a quadratic, 1,000 ± 20 over 100 ± 20 say; half a step is added to
    the half width. A count that may be zero leaves all that the limits allow."""
    q, step = NormalDist().inv_cdf(0.975) * 10, 0.5
    low, high = ends(1000, 100, 90)
    for ratio in (low, high):
        assert abs(1000 - ratio * 100) == pytest.approx(q * math.hypot(1, ratio) + step)
    assert low < 10 < high
    least, most = ends(50, 15, 90)
    assert abs(50 - least * 15) == pytest.approx(q * math.hypot(1, least) + step)
    assert most == 90
    assert ends(50, -3, 90) == (0, 90)
    assert ends(9000, 100, 30) == (30, 30)


@pytest.mark.filterwarnings("error")
def test_vast_noise_warns_no_one() -> None:
    """Noise of billions of steps, as cents have, is divided by a mean of zero without a word on the terminal."""
    low, high = quotients(
        estimate([5e10], "discrete laplace", 1e9), estimate([50], "discrete laplace", 3.0), 0, 1e10, 0.95
    )
    assert 0 < low[0] < 1e9 < high[0] < 1e10


def ends(total: float, count: float, limit: float) -> tuple[float, float]:
    """The range of one mean, with noise of scale 10 on both."""
    low, high = quotients(*(estimate([n], "discrete gaussian", 10.0) for n in (total, count)), 0.0, limit, 0.95)
    return float(low[0]), float(high[0])


def rejected(covered: int, of: int) -> bool:
    """Whether so few of so many, each with a chance of 95%, are rarer than LEAST."""
    logs = [
        math.lgamma(of + 1) - math.lgamma(n + 1) - math.lgamma(of - n + 1) + n * math.log(0.95)
        + (of - n) * math.log(0.05) for n in range(covered + 1)
    ]  # fmt: skip
    return math.fsum(map(math.exp, logs)) < LEAST


def chains(many: int) -> tuple[tuple[Level, ...], Integers]:
    """(levels, exact finest counts) of many equal trees of two branches, sparse and dense."""
    middle = np.repeat(np.arange(many), 2)
    fine = (2 * np.arange(many)[:, None] + np.array([0, 0, 0, 0, 1, 1])).ravel()
    return levels_over(forest_from(middle.tolist(), fine.tolist(), roots=many)), np.tile([0, 1, 3, 12, 80, 900], many)


def holds_in(
    town: Town, levels: tuple[Level, ...], counts: Integers, many: int, kind: Kind, scale: float, *, times: int = 1
) -> None:
    """The published range of each kind of cell, of `many` copies drawn so many times, is not rejected."""
    held = sum(held_in(town, levels, counts, many, kind, scale) for _ in range(times))
    for kept in np.asarray(held).tolist():
        assert not rejected(kept, many * times), kept / many / times


def held_in(town: Town, levels: tuple[Level, ...], counts: Integers, many: int, kind: Kind, scale: float) -> Integers:
    """How often the range of each kind of cell holds the true mean, by level and cell. Where there is much, it has the
    width of the noise's own law, and is much narrower than that of two 97.5% ranges."""
    size = counts.size // many
    each = np.tile(np.random.default_rng(7).integers(0, 8, size), many)  # a whole mean in every finest cell
    dataset = definition(town, town.COUNT, town.SUM | POSITIVE, town.MEAN)
    exact = {"requests": rolled_up(levels, counts), "paid": rolled_up(levels, counts * each)}
    scales = {"requests": widened(Fraction(scale)), "paid": widened(Fraction(scale) * 7)}  # as for sums of up to 7
    tables = {name: [each + draw(kind, scales[name], each.size) for each in found] for name, found in exact.items()}
    made = noisy(levels, tables, kind)
    mechanisms = tuple(replace(each, scale=float(scales[each.measure])) for each in made.mechanisms)
    made = replace(made, mechanisms=mechanisms)
    estimates, kept = estimates_of(made, dataset), []
    for level, table, count, total in zip(levels, finish(made, dataset), *exact.values(), strict=True):
        mean, cells = by_name(table)["mean_paid"], level.grid.size // many
        truth = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        held = ~(mean.low > truth + 1e-9) & ~(mean.high < truth - 1e-9)
        kept.append(held.reshape(many, cells).sum(axis=0))
        before = two_ranges(estimates[level.name, "paid"], estimates[level.name, "requests"])
        dense = (count >= 80) & ~mean.has(UNRELIABLE)
        deviations = [estimates[level.name, name].margins.deviations for name in ("paid", "requests")]
        best = 2 * 1.96 * np.hypot(deviations[0], truth * deviations[1]) / count
        width = (mean.high - mean.low)[dense].mean()
        whole = (1 / count[dense]).mean() + 0.02  # half a step, and two decimals
        assert width < 0.85 * before[dense].mean() + whole
        assert width < (1.03 if kind == "discrete gaussian" else 1.1) * best[dense].mean() + whole
    return np.concatenate(kept)


def two_ranges(sums: Estimate, counts: Estimate) -> Floats:
    """The width of the quotients of two 97.5% ranges, between the clamps."""
    (low, high), (least, most) = (each.interval(0.975) for each in (sums, counts))
    least, most = np.maximum(least, 1), np.maximum(most, 1)
    return np.clip(high / least, 0, 7) - np.clip(np.maximum(low, 0) / most, 0, 7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.8, 4.0])
def test_means_on_chains(town: Town, kind: Kind, scale: float) -> None:
    """20,000 trees, each cell apart: a coverage of 95% is not rejected. A sound range fails once in a million runs; one
    that holds 93.2% is found. Where there is much the width is that of the noise's own law, 85% of two 97.5%
    ranges at most."""
    holds_in(town, *chains(20_000), 20_000, kind, scale)


@pytest.mark.parametrize("kind", KINDS)
def test_means_on_lattices(town: Town, kind: Kind) -> None:
    """The same in 1,000 towns of places and kinds: a range that holds 88% is found."""
    holds_in(town, *towns(1_000, uneven=False), 1_000, kind, 4.0)


@pytest.mark.evidence("means on lattices in 20,000 draws")
@pytest.mark.parametrize(("kind", "scale"), [("discrete gaussian", 4.0), ("discrete laplace", 0.8)])
def test_means_on_lattices_in_many_draws(town: Town, kind: Kind, scale: float) -> None:
    """The same in 20,000 towns, a thousand at once: a range that holds 93.2% is found."""
    holds_in(town, *towns(1_000, uneven=False), 1_000, kind, scale, times=20)
