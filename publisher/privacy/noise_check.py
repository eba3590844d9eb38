"""How well the installed noise, drawn as for a release, fits the exact probabilities.

The χ² statistic and the serial correlations follow their laws only for many draws; each bin is expected to have at
least
100. The p-values of tails and symmetry are Chernoff's bound for binomial counts, never too small. The survival
function of χ² is a finite sum, right to a relative 1e-11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from publisher.privacy.mechanism import mechanism_for, noise_alone
from publisher.privacy.sensitivity import Sensitivity

if TYPE_CHECKING:
    from publisher.privacy.mechanism import Sampler
    from publisher.stages import Floats, Integers

Kind = Literal["discrete gaussian", "discrete laplace"]

SCALE = 3
DRAWS: dict[Sampler, int] = {"numpy": 500_000, "opendp": 60_000}
"""OpenDP needs about 10 µs per draw, our own sampler 0.2 µs."""

FALSE_ALARM = 2.5e-7
"""The chance that correct noise fails one fit: one in a million for the four fits of a check."""

BINS = 50
LEAST = 100
"""The least expected count of a bin."""
FAR = 1e-3
"""The largest probability of the tails that are checked."""


@dataclass(frozen=True)
class Fit:
    """What one sampler's draws of one distribution showed: the p-value of each test."""

    kind: Kind
    sampler: Sampler
    p_values: dict[str, float]

    @property
    def passed(self) -> bool:
        """Whether every test's p-value is above its share of the chance of a false alarm."""
        return self.worst[1] >= FALSE_ALARM / len(self.p_values)

    @property
    def worst(self) -> tuple[str, float]:
        """The test that fits least, and its p-value."""
        return min(self.p_values.items(), key=lambda pair: pair[1])


def installed_fits() -> tuple[Fit, ...]:
    """Both distributions by both samplers, as a release draws them (seconds)."""
    kinds: tuple[Kind, ...] = ("discrete gaussian", "discrete laplace")
    return tuple(
        Fit(kind, sampler, p_values(released(kind, sampler, draws), kind, SCALE))
        for kind in kinds
        for sampler, draws in DRAWS.items()
    )


def released(kind: Kind, sampler: Sampler, draws: int) -> Integers:
    """Noise as a release draws it where the scale on paper is exactly `SCALE`, shape (draws,)."""
    # Δ = 1 asks for the scale 1/√(2ρ) or 1/ε; the scale that the mechanism states is not trusted.
    currency: Literal["zcdp", "pure"]
    currency, loss = (
        ("zcdp", Fraction(1, 2 * SCALE**2)) if kind == "discrete gaussian" else ("pure", Fraction(1, SCALE))
    )
    mechanism = mechanism_for("noise", currency, Sensitivity(1, 1), loss, sampler=sampler)
    return noise_alone(mechanism, draws)


def p_values(noise: Integers, kind: Kind, scale: float) -> dict[str, float]:
    """Each test's p-value for draws of a discrete Gaussian or Laplace of that scale."""
    import numpy as np

    chances = probabilities(kind, scale)
    reach = len(chances) // 2
    x = np.arange(-reach, reach + 1)
    counts = np.bincount(np.clip(noise, -reach, reach) + reach, minlength=len(chances))
    beyond = 2 * np.cumsum(chances[::-1])[::-1][reach + 1 :]  # P(|X| >= 1), P(|X| >= 2), ...
    far = int(np.argmax(beyond <= FAR))
    size, signs = np.abs(noise), np.sign(noise)[noise != 0]
    mean_size = float(chances @ np.abs(x))
    return {
        "distribution": chi_squared(counts, chances),
        "tails": binomial(int((size > far).sum()), len(noise), float(beyond[far])),
        "symmetry": binomial(int((signs > 0).sum()), len(signs), 0.5),
        "neighbors": correlation(noise, 0, float(chances @ x**2)),
        "sizes of neighbors": correlation(size, mean_size, float(chances @ (np.abs(x) - mean_size) ** 2)),
        "signs of neighbors": binomial(int((signs[1:] == signs[:-1]).sum()), max(len(signs) - 1, 0), 0.5),
    }


def probabilities(kind: Kind, scale: float) -> Floats:
    """The probabilities of -reach..reach; beyond it they are below 1e-16."""
    import numpy as np

    reach = math.ceil((9 if kind == "discrete gaussian" else 40) * scale) + 1
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    weights = np.exp(-(x**2) / (2 * scale**2)) if kind == "discrete gaussian" else np.exp(-np.abs(x) / scale)
    chances: Floats = weights / math.fsum(weights)
    return chances


def chi_squared(counts: Integers, chances: Floats) -> float:
    """The p-value of counts (values,) under the chances (values,), gathered into about 50 bins."""
    import numpy as np

    total = int(counts.sum())
    middles = np.cumsum(chances) - chances / 2
    _, bins = np.unique((middles * BINS).astype(np.int64), return_inverse=True)
    expected = total * np.bincount(bins, chances)
    thin = expected < LEAST
    if expected[thin].sum() < LEAST:
        thin |= expected == expected[~thin].min(initial=np.inf)  # the thinnest full bin takes them in
    gathered = np.where(thin, 0, np.cumsum(~thin))[bins]
    expected = total * np.bincount(gathered, chances)
    observed = np.bincount(gathered, counts)[expected > 0]
    expected = expected[expected > 0]
    return chi_squared_survival(float(((observed - expected) ** 2 / expected).sum()), len(expected) - 1)


def chi_squared_survival(statistic: float, freedom: int) -> float:
    """P(χ² >= statistic): the finite sums of Abramowitz and Stegun (1964), 26.4.4 and 26.4.5; 1 without freedom."""
    if statistic <= 0 or freedom == 0:
        return 1.0
    half = statistic / 2
    odd = freedom % 2 / 2
    orders = (j + odd for j in range(freedom // 2))
    terms = [math.exp(order * math.log(half) - half - math.lgamma(order + 1)) for order in orders]
    return min(1.0, math.fsum(terms) + (math.erfc(math.sqrt(half)) if odd else 0))


def binomial(successes: int, trials: int, chance: float) -> float:
    """At least the p-value, two-sided, of a binomial count: Chernoff's bound 2·exp(-trials·KL(share, chance))."""
    divergence = 0.0
    for count, probability in ((successes, chance), (trials - successes, 1 - chance)):
        divergence += count * math.log(count / (trials * probability)) if count else 0
    return min(1.0, 2 * math.exp(-divergence))


def correlation(values: Integers, mean: float, variance: float, lag: int = 1) -> float:
    """The p-value, two-sided, of the products of entries `lag` apart, whose known spread is the variance."""
    import numpy as np

    centered = values.astype(np.float64) - mean
    z = float(centered[lag:] @ centered[:-lag]) / (variance * math.sqrt(len(values) - lag))
    return math.erfc(abs(z) / math.sqrt(2))
