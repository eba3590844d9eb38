"""How far the quotient of two noisy numbers may be from the truth: Fieller's method with the noise's own law.

Let S and N be the true sum and count, E and F the errors of their estimates s and n, and r = S / N. Then s - r·n is the
error E - r·F, whatever S and N are. Sum and count have noise of their own and each is reconciled alone, so E and F are
independent, and the law of E - r·F is known for every r. The range holds each r for which s - r·n is within q(r), the
95% half width of that law: the true quotient is left out in 5% of draws.

E. C. Fieller, Some problems in interval estimation, Journal of the Royal Statistical Society B 16 (1954).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from publisher.privacy.distribution import NoiseTerm, quantile

if TYPE_CHECKING:
    from publisher.privacy.distribution import Shape
    from publisher.privacy.estimates import Estimate
    from publisher.privacy.margins import Margins
    from publisher.stages import Floats

ANGLES = 32
"""How many ratios of the two errors have their quantile computed; between two, the larger one is used."""
HALVINGS = 60
LATTICE = 0.5
"""Noise is whole, so E - r·F comes in steps of one, where r is whole, or in lumps that are r apart, where E is so small
that it does not blur them. Half of a step is what a smooth law leaves out."""


def quotients(sums: Estimate, counts: Estimate, least: float, most: float, confidence: float) -> tuple[Floats, Floats]:
    """Per cell, the ends of the range of sum / count between `least` and `most`, which the true quotient is between.

    Where the count may be zero, the range may be all of that.
    """
    import numpy as np

    total, count = sums.center[:, 0], counts.center[:, 0]
    law = _Law(sums.margins, counts.margins, confidence)

    def outside(ratios: Floats) -> np.ndarray:
        found: np.ndarray = np.abs(total - ratios * count) > law.half_widths(ratios)
        return found

    known = count > 0
    inside = np.where(known, np.clip(total / np.where(known, count, 1), least, most), least)
    ends = []
    for limit in (least, most):
        # The end is between what is inside and what is not; where the limit itself is inside, it is the limit.
        far, near = np.full(total.size, limit), inside.copy()
        for _ in range(HALVINGS):
            middle = (far + near) / 2
            out = outside(middle)
            far, near = np.where(out, middle, far), np.where(out, near, middle)
        beyond = outside(np.full(total.size, limit))
        ends.append(np.where(known, np.where(beyond, far, limit), limit))
    nowhere = known & outside(inside)  # the estimate is beyond a limit, farther than the noise explains
    low, high = (np.where(nowhere, inside, end) for end in ends)
    return low, high


class _Law:
    """The law of E - r·F in every cell."""

    def __init__(self, sums: Margins, counts: Margins, confidence: float) -> None:
        import numpy as np

        self.sums, self.counts = sums.deviations, counts.deviations
        pairs = np.stack([sums.classes, counts.classes])
        found, pair = np.unique(pairs, axis=1, return_inverse=True)
        self.pair = pair.reshape(-1)
        if sums.normal and counts.normal:  # and so is every weighted sum of both
            quantiles = np.full((1, ANGLES), NormalDist().inv_cdf((1 + confidence) / 2))
            self.pair = np.zeros(sums.deviations.size, dtype=np.int64)
        else:
            quantiles = np.array(
                [_by_angle(sums.shapes[one], counts.shapes[other], confidence) for one, other in found.T]
            )
        self.quantiles: Floats = quantiles * max(sums.stretch, counts.stretch)

    def half_widths(self, ratios: Floats) -> Floats:
        import numpy as np

        of_counts = np.abs(ratios) * self.counts
        angles = np.arctan2(of_counts, self.sums) * (2 / np.pi)
        step = np.minimum((angles * ANGLES).astype(np.int64), ANGLES - 1)
        # How much of the lumps is left: the characteristic function of E where that of lumps r apart is one again.
        size = np.maximum(np.abs(ratios), 1e-200)  # noise of any scale divided by it is still a number
        lumps = size * np.minimum(1, 4 * np.exp(-2 * np.minimum(np.pi * self.sums / size, 20) ** 2))
        smooth = np.hypot(self.sums, of_counts) * self.quantiles[self.pair, step]
        found: Floats = smooth + LATTICE * (1 + lumps)
        return found


def _by_angle(sums: Shape, counts: Shape, confidence: float) -> Floats:
    """The quantile, in standard deviations, for each range of angles whose tangent is the ratio of the two errors."""
    import numpy as np

    found = np.array([quantile(_mixed(sums, counts, n * math.pi / 2 / ANGLES), confidence) for n in range(ANGLES + 1)])
    larger: Floats = np.maximum(found[1:], found[:-1])
    return larger


def _mixed(sums: Shape, counts: Shape, angle: float) -> Shape:
    parts = ((sums, math.cos(angle)), (counts, math.sin(angle)))
    return tuple(
        NoiseTerm(term.noise, round(term.size * size, 6), term.count)
        for shape, size in parts
        if size > 1e-6
        for term in shape
    )
