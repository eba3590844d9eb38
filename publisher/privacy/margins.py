"""Margins of error from the noise's own quantiles. They do not cover bounding and clamping."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publisher.stages import Mechanism

WIDE = 2_000.0
"""From this scale on the discrete Gaussian's quantiles equal the continuous one's to a part in a million."""


def half_width(mechanism: Mechanism, confidence: float) -> int:
    """The smallest whole q with P(|noise| ≤ q) ≥ confidence."""
    if mechanism.kind == "discrete laplace":
        return _laplace(mechanism.scale, 1 - confidence)
    return _gaussian(mechanism.scale, 1 - confidence)


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
