"""A lower bound on the loss from many releases of two neighbors, end to end, at 99% confidence.

An attacker who knows both neighbors sees each release's noisy tables and guesses by the likelihood ratio. How often
the guess is right bounds the loss from below (Nasr et al. 2023, "Tight Auditing of Differentially Private Machine
Learning"). Under zCDP the noise is Gaussian and the bound is one on μ of Gaussian DP (Dong, Roth, Su 2022): the claim
is √(2ρ). Under pure ε it is ln of the ratio of the two rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import NormalDist
from typing import TYPE_CHECKING

from publisher.audit.replay import distance
from publisher.pipeline.charges import mechanisms_of
from publisher.privacy.mechanism import add_noise, mechanism_for
from publisher.privacy.sensitivity import sensitivity_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from publisher.definitions.settings import Settings
    from publisher.stages import BoundedAggregate, Floats, Integers, Mechanism, Table
    from publisher.workspace import DatasetFile

ALPHA = 0.01
"""One minus the confidence; half of it for each rate."""
CUT = 0.9
"""Noise that is a tenth too small must be noticed."""
MOST = 2_000_000
CHUNK = 1 << 20
"""Noisy cells drawn at once."""
CORNER = 8
"""Under pure ε, at most this many cells are looked at together: the most telling event has probability 2⁻ᶜᵉˡˡˢ."""


@dataclass(frozen=True)
class Pair:
    """Two neighbors where they differ: by table, the exact cells with and without one unit, shape (cells,)."""

    whole: BoundedAggregate
    with_unit: dict[Table, Integers]
    without: dict[Table, Integers]

    def loss(self, dataset: DatasetFile, tables: Iterable[Table]) -> float:
        """The loss that telling them apart may cost: all of each table's loss if they attain its sensitivity, otherwise
        the part that their distance has. Never more than the loss of the tables together."""
        definition = dataset.definition
        measures = {each.name: each for each in definition.measured}
        paid = total = 0.0
        for level, name in tables:
            claim = sensitivity_at(definition, measures[name], level)
            l1, l2_squared = distance(self.with_unit[level, name], self.without[level, name])
            part = l2_squared / claim.l2_squared if definition.loss.currency == "zcdp" else l1 / claim.l1
            paid += part * float(definition.loss_of(measures[name], level))
            total += float(definition.loss_of(measures[name], level))
        return min(paid, total)


@dataclass(frozen=True)
class Bound:
    """What that many releases have shown: the least `loss`, the `claim`, and the least loss if noise were `cut`."""

    releases: int
    loss: float
    claim: float
    cut: float
    name: str

    @property
    def passed(self) -> bool:
        """Whether the claim holds."""
        return self.loss <= self.claim

    @property
    def words(self) -> str:
        """The bound in words."""
        seen = f"{self.name} ≥ {self.loss:.4f} at 99%, claimed {self.claim:.4f}"
        power = f"with a tenth less noise it would be ≥ {self.cut:.4f}"
        if self.cut <= self.claim:
            power += ", so faults of that size cannot be seen at this loss"
        return f"{self.releases:,} releases of two neighbors: {seen}; {power}"


def pair_of(whole: BoundedAggregate, part: BoundedAggregate) -> Pair:
    """Where two neighbors differ."""
    where = {name: (table != part.tables[name]).nonzero()[0] for name, table in whole.tables.items()}
    where = {name: cells for name, cells in where.items() if len(cells)}
    return Pair(
        whole,
        {name: whole.tables[name][cells] for name, cells in where.items()},
        {name: part.tables[name][cells] for name, cells in where.items()},
    )


def farthest_of(pairs: Sequence[Pair], dataset: DatasetFile) -> Pair:
    """The pair that can be told apart best."""
    return max(pairs, key=lambda pair: pair.loss(dataset, pair.with_unit))


def bound_of(pair: Pair, dataset: DatasetFile, settings: Settings, least: int) -> Bound | None:
    """The bound, from at least that many releases; None if noise is too small for the Gaussian law to hold."""
    drawn = {each.table: each for each in mechanisms_of(dataset, settings) if each.table in pair.with_unit}
    zcdp = dataset.definition.loss.currency == "zcdp"
    if not zcdp:
        drawn = _corner(drawn, pair)
    if not drawn or (zcdp and min(each.scale for each in drawn.values()) < 1):
        return None
    loss = pair.loss(dataset, drawn)
    narrow = {name: _cut(each, dataset, settings) for name, each in drawn.items()}
    if zcdp:
        # The discrete Gaussian exceeds the continuous one by a share of less than 1/24σ² at a threshold between steps.
        claim = math.sqrt(2 * loss) * (1 + 1 / (20 * min(each.scale for each in drawn.values()) ** 2))
        count = _enough_gaussian(math.sqrt(2 * loss), claim, least)
        return Bound(count, _mu(pair, drawn, count), claim, _mu(pair, narrow, count), "μ")
    count = _enough_pure(loss, sum(len(pair.with_unit[name]) for name in drawn), least)
    return Bound(count, _epsilon(pair, drawn, count), loss, _epsilon(pair, narrow, count), "ε")


def clopper_pearson(successes: int, trials: int, alpha: float) -> tuple[float, float]:
    """The one-sided bounds of a binomial probability, each wrong with probability at most α (Clopper, Pearson 1934)."""
    low = _quantile(alpha, successes, trials - successes + 1) if successes else 0.0
    high = _quantile(1 - alpha, successes + 1, trials - successes) if successes < trials else 1.0
    return low, high


def _mu(pair: Pair, drawn: dict[Table, Mechanism], count: int) -> float:
    """μ from the guess "the unit is in", made when that likelihood is the larger one."""
    hits, alarms = (int((_ratios(pair, side, drawn, count) > 0).sum()) for side in (pair.with_unit, pair.without))
    low, _ = clopper_pearson(hits, count, ALPHA / 2)
    _, high = clopper_pearson(alarms, count, ALPHA / 2)
    if not 0 < low < 1 or not 0 < high < 1:
        return 0.0
    return NormalDist().inv_cdf(low) - NormalDist().inv_cdf(high)


def _epsilon(pair: Pair, drawn: dict[Table, Mechanism], count: int) -> float:
    """ε from the most telling threshold in one half of the releases, measured in the other half."""
    sides = [_ratios(pair, side, drawn, count) for side in (pair.with_unit, pair.without)]
    half = count // 2
    top = float(sides[0].max(initial=0.0))
    thresholds = [top * part - 1e-9 for part in (1.0, 0.9, 0.8, 0.6, 0.4, 0.2)]
    best = max(thresholds, key=lambda threshold: _log_ratio(sides, threshold, slice(0, half)))
    return max(0.0, _log_ratio(sides, best, slice(half, count)))


def _log_ratio(sides: list[Floats], threshold: float, part: slice) -> float:
    trials = len(sides[0][part])
    hits, alarms = (int((side[part] >= threshold).sum()) for side in sides)
    low, _ = clopper_pearson(hits, trials, ALPHA / 2)
    _, high = clopper_pearson(alarms, trials, ALPHA / 2)
    return math.log(low / high) if low > 0 else -math.inf


def _ratios(pair: Pair, side: dict[Table, Integers], drawn: dict[Table, Mechanism], count: int) -> Floats:
    """The log-likelihood ratio of that many releases of one neighbor, with the noise of the product, shape (count,)."""
    import numpy as np

    width = sum(len(side[name]) for name in drawn)
    step = max(1, CHUNK // width)
    parts = []
    for start in range(0, count, step):
        some = min(step, count - start)
        tiled = {name: np.tile(side[name], some) for name in drawn}
        noisy = add_noise(replace(pair.whole, tables=tiled), tuple(drawn.values()))
        ratio = np.zeros(some)
        for name, mechanism in drawn.items():
            seen = noisy.tables[name].reshape(some, -1)
            ratio += _ratio(seen, pair.with_unit[name], pair.without[name], mechanism)
        parts.append(ratio)
    return np.concatenate(parts)


def _ratio(seen: Integers, one: Integers, other: Integers, mechanism: Mechanism) -> Floats:
    """ln p(seen | one) - ln p(seen | other) by the law of the noise at the claimed scale, shape (releases,)."""
    import numpy as np

    to_one, to_other = ((seen - each).astype(np.float64) for each in (one, other))
    if mechanism.kind == "discrete gaussian":
        ratio: Floats = (to_other**2 - to_one**2).sum(axis=1) / (2 * mechanism.scale**2)
    else:
        ratio = (np.abs(to_other) - np.abs(to_one)).sum(axis=1) / mechanism.scale
    return ratio


def _corner(drawn: dict[Table, Mechanism], pair: Pair) -> dict[Table, Mechanism]:
    """The tables with the fewest cells, as long as these are few in all; at least one table."""
    chosen: dict[Table, Mechanism] = {}
    cells = 0
    for name in sorted(drawn, key=lambda name: len(pair.with_unit[name])):
        cells += len(pair.with_unit[name])
        if not chosen or cells <= CORNER:
            chosen[name] = drawn[name]
    return chosen


def _cut(mechanism: Mechanism, dataset: DatasetFile, settings: Settings) -> Mechanism:
    """The mechanism of a larger loss: its noise is a tenth smaller."""
    definition = dataset.definition
    measure = next(each for each in definition.measured if each.name == mechanism.measure)
    power = 2 if definition.loss.currency == "zcdp" else 1
    return mechanism_for(
        mechanism.measure,
        definition.loss.currency,
        sensitivity_at(definition, measure, mechanism.level),
        mechanism.loss / Fraction(9, 10) ** power,
        level=mechanism.level,
        sampler=settings.noise,
    )


def _enough_gaussian(mu: float, claim: float, least: int) -> int:
    """How many releases make a tenth less noise visible, even with three standard errors of bad luck."""
    normal = NormalDist()
    gap = mu / CUT - claim
    chance, density = normal.cdf(mu / 2), normal.pdf(mu / 2)
    errors = -2 * normal.inv_cdf(ALPHA / 2) + 3 * math.sqrt(2)
    if gap <= 0 or density == 0:
        return least
    return _within(least, chance * (1 - chance) * (errors / (density * gap)) ** 2)


def _enough_pure(epsilon: float, cells: int, least: int) -> int:
    gap = epsilon / CUT - epsilon
    errors = -2 * NormalDist().inv_cdf(ALPHA / 2) + 3 * math.sqrt(2)
    return _within(least, 2 * (errors / gap) ** 2 * 2**cells * math.exp(min(epsilon, 50)))


def _within(least: int, wanted: float) -> int:
    return max(least, math.ceil(min(wanted, MOST)))


def _quantile(chance: float, a: int, b: int) -> float:
    """The quantile of the beta distribution by bisection, right to about 1e-15."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta(middle, a, b) < chance else (low, middle)
    return (low + high) / 2


def _beta(x: float, a: int, b: int) -> float:
    """The regularized incomplete beta function, by its continued fraction (Lentz's method; NIST DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 100_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return math.exp(front) * fraction / a


def _away_from_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300
