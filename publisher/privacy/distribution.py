"""How noise is distributed after it is added up or weighted: exact variances and quantiles, from the scales alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from publisher.stages import Floats

Kind = Literal["discrete gaussian", "discrete laplace"]
Draw = tuple[Kind, float]
"""One draw: its kind and scale."""

WIDE = 2_000.0
"""At and above this scale, the discrete Gaussian's quantiles equal the continuous one's to a part in a million."""
SMOOTH = 2.0
"""At and above this scale, the discrete Gaussian's variance and characteristic function are the Gaussian's to 10⁻⁸."""
BLUR = 0.005
"""Standard deviations of the Gaussian that makes a distribution of atoms continuous while it is inverted."""
SLACK = 2.5
"""Blurs added to a quantile: at most 0.6% of an atom's mass is then wrongly outside."""
LEAST = 1e-12
"""The variance of noise that is practically never drawn; not zero, because it is a divisor."""
STEP, POINTS = 0.2, 6_000
"""The grid of the characteristic function, up to STEP·POINTS = 6 / BLUR; the distribution is found on ± π / STEP."""


@dataclass(frozen=True)
class Noise:
    """The noise of one measured table: independent draws added up."""

    draws: tuple[Draw, ...]

    @property
    def variance(self) -> float:
        """The exact variance."""
        return math.fsum(_variance(draw) for draw in self.draws)

    def log_characteristic(self, angles: Floats) -> Floats:
        """log E exp(i·angle·noise); real, since noise is symmetric."""
        import numpy as np

        total = np.zeros_like(angles)
        for draw in self.draws:
            total += _log_characteristic(draw, angles)
        return total

    def half_width(self, confidence: float) -> int:
        """The smallest whole q with P(|noise| ≤ q) ≥ confidence.

        The same noise drawn twice and added up is √2 times as wide, not twice.

        >>> Noise((("discrete gaussian", 10.0),)).half_width(0.95)
        20
        >>> Noise((("discrete gaussian", 10.0), ("discrete gaussian", 10.0))).half_width(0.95)
        28
        >>> Noise((("discrete laplace", 10.0),)).half_width(0.95)
        30
        """
        return _width_of(self, confidence)

    def _width(self, confidence: float) -> int:
        if len(self.draws) == 1:
            return _half_width(self.draws[0], confidence)
        if self.variance >= WIDE**2:
            return math.ceil(math.sqrt(self.variance) * quantile((NoiseTerm(self, 1.0, 1),), confidence))
        return self._convolved(confidence)

    def _convolved(self, confidence: float) -> int:
        """On whole numbers the inversion by a finite Fourier sum is exact except for what is 40 σ away."""
        import numpy as np

        points = 1 << math.ceil(math.log2(80 * math.sqrt(self.variance) + 64))
        angles = (np.arange(points // 2 + 1) * (2 * np.pi / points)).astype(np.float64)
        mass = np.fft.irfft(np.exp(self.log_characteristic(angles)), points)[: points // 2]
        inside = 2 * np.cumsum(mass) - mass[0]
        return int(np.argmax(inside >= confidence - 1e-12))


@dataclass(frozen=True)
class NoiseTerm:
    """`count` independent pieces of noise, each scaled to `size` standard deviations of the sum they are part of."""

    noise: Noise
    size: float
    count: int


Shape = tuple[NoiseTerm, ...]
"""The distribution of a weighted sum of noise, in its standard deviations. What the terms leave to a variance of one
is the Gaussian of very many small pieces."""


def compound(shape: Shape, parts: tuple[tuple[float, int], ...]) -> Shape:
    """The shape of a sum of independent errors of the same shape; `parts` are (coefficient, how many of them)."""
    norm = math.sqrt(math.fsum(count * size * size for size, count in parts))
    return tuple(
        NoiseTerm(term.noise, term.size * abs(size) / norm, term.count * count)
        for size, count in parts
        if size and count
        for term in shape
    )


@lru_cache(maxsize=65_536)
def quantile(shape: Shape, confidence: float) -> float:
    """The q, in standard deviations, with P(|error| ≤ q) ≥ confidence: exact to 0.03, and never too small by more
    than SLACK allows.

    The characteristic function, a product over the terms, is inverted by a fast Fourier transform. Lattices need no
    special case: a Gaussian of BLUR standard deviations makes them continuous, and SLACK blurs are added again.
    """
    import numpy as np

    angles = (np.arange(POINTS + 1) * STEP).astype(np.float64)
    rest = max(0.0, 1 - math.fsum(term.count * term.size**2 for term in shape))
    logs = -(rest + BLUR**2) * angles**2 / 2
    for term in shape:
        logs += term.count * term.noise.log_characteristic(term.size / math.sqrt(term.noise.variance) * angles)
    mass = np.fft.irfft(np.exp(logs))[:POINTS]
    inside = 2 * np.cumsum(mass) - mass[0] - mass
    return float(np.argmax(inside >= confidence)) * math.pi / (STEP * POINTS) + SLACK * BLUR


@cache
def _variance(draw: Draw) -> float:
    kind, scale = draw
    if scale < 0.02:
        return LEAST
    if kind == "discrete laplace":
        return max(LEAST, 1 / (2 * math.sinh(1 / (2 * scale)) ** 2))
    return max(LEAST, scale**2 if scale >= SMOOTH else math.fsum(2 * x * x * p for x, p in _gaussian_mass(scale)))


def _log_characteristic(draw: Draw, angles: Floats) -> Floats:
    import numpy as np

    kind, scale = draw
    found: Floats
    if kind == "discrete laplace":
        found = -np.log1p(2 * _variance(draw) * np.sin(angles / 2) ** 2)
    elif scale >= SMOOTH:
        turns = angles / (2 * np.pi)
        found = -((2 * np.pi * scale * (turns - np.rint(turns))) ** 2) / 2
    else:
        mass = _gaussian_mass(scale)
        cosines = sum((2 * p * np.cos(x * angles) for x, p in mass), start=np.zeros_like(angles))
        found = np.log(np.maximum(cosines + 1 - 2 * math.fsum(p for _, p in mass), 1e-300))
    return found


@cache
def _gaussian_mass(scale: float) -> tuple[tuple[int, float], ...]:
    """The discrete Gaussian's probabilities at 1, 2, 3 …"""
    weights = [math.exp(-(x * x) / (2 * scale * scale)) for x in range(1, math.ceil(12 * scale) + 2)]
    total = 1 + 2 * math.fsum(weights)
    return tuple((x, weight / total) for x, weight in enumerate(weights, start=1))


@lru_cache(maxsize=4_096)
def _width_of(noise: Noise, confidence: float) -> int:
    """Found once: every release of a dataset has the same noise."""
    return noise._width(confidence)


def _half_width(draw: Draw, confidence: float) -> int:
    kind, scale = draw
    return _laplace(scale, 1 - confidence) if kind == "discrete laplace" else _gaussian(scale, 1 - confidence)


def _laplace(scale: float, alpha: float) -> int:
    """P(|X| > q) = 2 a^(q+1) / (1 + a) with a = exp(-1/scale)."""
    ratio = math.exp(-1 / scale)
    return max(0, math.ceil(scale * math.log(2 / ((1 + ratio) * alpha)) - 1))


def _gaussian(scale: float, alpha: float) -> int:
    if scale >= WIDE:
        return math.ceil(scale * NormalDist().inv_cdf(1 - alpha / 2))
    reach = range(math.ceil(12 * scale) + 2)
    weights = [math.exp(-(x * x) / (2 * scale * scale)) * (2 if x else 1) for x in reach]
    total, inside = math.fsum(weights), 0.0
    for x, weight in zip(reach, weights, strict=True):
        inside += weight
        if inside >= (1 - alpha) * total:
            return x
    return reach[-1]
