"""Margins of error from the noise's own quantiles, known before any number is drawn, so public. They do not cover
bounding and clamping.

A margin belongs to the unprojected estimate: of one table, its noise; of reconciled tables, the weighted sum of the
noise of all of them. The standard deviation is exact in every cell; the quantile, in standard deviations, is found once
for all cells of a level whose variances agree closely.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from publisher.privacy.distribution import SMOOTH, WIDE, Noise, NoiseTerm, compound, quantile
from publisher.privacy.fit import fit_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from publisher.definitions.dataset import Dataset, Measure
    from publisher.definitions.levels import Level
    from publisher.privacy.distribution import Shape
    from publisher.privacy.fit import JointFit
    from publisher.stages import Floats, Integers, Mechanism

__all__ = ["WIDE", "Margins", "expected_half_widths", "half_width", "margins_of", "reconciled"]

ALIKE = 0.002
"""Variances of a level that differ by less than this share one quantile, in standard deviations."""
CLASSES = 32
"""About how many classes there are on a level of a very uneven forest, where all noise is SMOOTH; quantiles are then
widened by as much as standard deviations differ inside a class."""
SMALL = 0.05
"""Pieces whose size and steps are less than this part of the standard deviation are taken together as a Gaussian: their
joint fourth cumulant is below 0.01."""
FEW = 256
"""Levels of at most so many cells have the covariance of all their estimates looked at."""
CHUNK = 1 << 22
"""How many numbers are in memory at once while weights are found."""


def half_width(mechanism: Mechanism, confidence: float) -> int:
    """The smallest whole q with P(|noise| ≤ q) ≥ confidence."""
    return Noise(((mechanism.kind, mechanism.scale),)).half_width(confidence)


@dataclass(frozen=True)
class Margins:
    """How far the estimates of one measure on one level may be from the truth; the same for every bin of a histogram.

    `deviations` are exact; `shapes` are those of the `classes` of cells. `noise` is given if the level
    stays as measured: quantiles are then whole and exact.
    """

    deviations: Floats
    classes: Integers
    shapes: tuple[Shape, ...]
    stretch: float = 1.0
    noise: Noise | None = None
    joint: float = 0.0
    """At most the standard deviation of a sum of the level's estimates in one release, with weights of norm one."""
    noises: tuple[Noise, ...] = ()
    """All noise that is in the estimates."""

    @property
    def normal(self) -> bool:
        """Whether all of it is as good as Gaussian."""
        return _gaussian(self.noises)

    @property
    def reach(self) -> float:
        """At most the 95% half width of any weighted sum of the noise, in standard deviations.

        It is that of the heaviest tail, since a sum has a lighter one; of noise that is hardly ever drawn, Chebyshev's.
        """
        if self.normal:
            return NormalDist().inv_cdf(0.975)
        if all(scale >= SMOOTH for noise in self.noises for _, scale in noise.draws):
            return max(noise.half_width(0.95) / math.sqrt(noise.variance) for noise in self.noises)
        return math.sqrt(20)

    def half_widths(self, confidence: float) -> Floats:
        """Per cell the q with P(|error| ≤ q) ≥ confidence, in steps."""
        import numpy as np

        if self.noise is not None:
            return np.full(self.deviations.size, float(self.noise.half_width(confidence)))
        return self.half_widths_of(((1.0, 1),), confidence)

    def half_widths_of(self, parts: tuple[tuple[float, int], ...], confidence: float) -> Floats:
        """The same for a weighted sum over bins of the cell; `parts` are (coefficient, how many bins have it)."""
        import numpy as np

        norm = sum(count * size * size for size, count in parts) ** 0.5
        quantiles = self.stretch * np.array([quantile(compound(shape, parts), confidence) for shape in self.shapes])
        found: Floats = self.deviations * norm * quantiles[self.classes]
        return found


def expected_half_widths(
    levels: Sequence[Level],
    mechanisms: Sequence[Mechanism],
    dataset: Dataset,
    measure: Measure,
    confidence: float,
) -> dict[str, Floats]:
    """Level name -> half width of each cell, in steps of the resolution (of each bin, for a histogram).

    Computed from keysets and scales alone, so `publisher plan` may show it before anything is drawn.
    """
    found = margins_of(levels, mechanisms, dataset, measure)
    return {level.name: each.half_widths(confidence) for level, each in zip(levels, found, strict=True)}


def margins_of(
    levels: Sequence[Level], mechanisms: Sequence[Mechanism], dataset: Dataset, measure: Measure
) -> tuple[Margins, ...]:
    """One measured measure's margins on every level."""
    noises = noises_of(levels, mechanisms, measure)
    if not reconciled(levels, dataset, measure):
        return tuple(_alone(noise, level.grid.size) for noise, level in zip(noises, levels, strict=True))
    return margins_on(fit_of(levels, [noise.variance for noise in noises]), noises)


def reconciled(levels: Sequence[Level], dataset: Dataset, measure: Measure) -> bool:
    """Whether the measure's levels are made to add up. Distinct units of several cells do not (unless each has one)."""
    return len(levels) > 1 and dataset.adds_up(measure)


def noises_of(levels: Sequence[Level], mechanisms: Iterable[Mechanism], measure: Measure) -> tuple[Noise, ...]:
    """The noise of each level's table."""
    draws = [(each.level, (each.kind, each.scale)) for each in mechanisms if each.measure == measure.name]
    return tuple(Noise(tuple(draw for name, draw in draws if name == level.name)) for level in levels)


def margins_on(fit: JointFit, noises: Sequence[Noise]) -> tuple[Margins, ...]:
    """The margins of the least squares estimates."""
    return tuple(_weighed(fit, noises, level) for level in range(len(noises)))


def added(parts: Sequence[Margins]) -> Margins:
    """The margins of the sums, cell by cell, of independent estimates: of one table in several releases."""
    import numpy as np

    alone = [each.noise for each in parts if each.noise is not None]
    if len(alone) == len(parts):
        return _alone(Noise(tuple(draw for noise in alone for draw in noise.draws)), parts[0].deviations.size)
    deviations = np.sqrt(np.sum([each.deviations**2 for each in parts], axis=0))
    sizes = np.array([each.deviations for each in parts]) / np.maximum(deviations, 1e-300)
    logs = np.log(sizes, out=np.full(sizes.shape, -np.inf), where=sizes > 0)
    alike = np.concatenate([[each.classes for each in parts], np.round(logs / ALIKE)])
    _, firsts, classes = np.unique(alike, axis=1, return_index=True, return_inverse=True)
    shapes = tuple(
        _sum_shape([(each.shapes[each.classes[n]], sizes[r, n]) for r, each in enumerate(parts)]) for n in firsts
    )
    return Margins(
        deviations,
        classes.reshape(-1).astype(np.int64),
        shapes,
        max(each.stretch for each in parts),
        joint=math.hypot(*(each.joint for each in parts)),
        noises=tuple(dict.fromkeys(noise for each in parts for noise in each.noises)),
    )


def _sum_shape(parts: Sequence[tuple[Shape, float]]) -> Shape:
    """The shape of a sum of independent errors; each part has its size in standard deviations of the sum."""
    counts: Counter[tuple[Noise, float]] = Counter()
    for shape, size in parts:
        for term in shape:
            counts[term.noise, round(term.size * size, 6)] += term.count
    return tuple(NoiseTerm(noise, size, count) for (noise, size), count in counts.items() if size)


def _alone(noise: Noise, size: int) -> Margins:
    import numpy as np

    deviation = noise.variance**0.5
    shapes = ((NoiseTerm(noise, 1.0, 1),),)
    classes = np.zeros(size, dtype=np.int64)
    return Margins(np.full(size, deviation), classes, shapes, noise=noise, joint=deviation, noises=(noise,))


def _weighed(fit: JointFit, noises: Sequence[Noise], level: int) -> Margins:
    import numpy as np

    variances = fit.variances[level]
    logs = np.log(variances, out=np.full(variances.size, -np.inf), where=variances > 0)
    apart = _apart(logs[variances > 0], noises)
    # A cell without finer cells is zero, without error, so it is a separate class.
    kinds = _numbered(np.round(logs / apart))
    for each in () if _gaussian(noises) else fit.alike(level):
        kinds = kinds * (variances.size + 1) + _numbered(np.round(each, 2))
        kinds = _numbered(kinds)
    _, firsts, classes = np.unique(kinds, return_index=True, return_inverse=True)
    shapes = _shapes(fit, noises, level, firsts)
    joint, stretch = _joint(fit, noises[level], level), 1 + (apart - ALIKE) / 2
    return Margins(np.sqrt(variances), classes, shapes, stretch, joint=joint, noises=tuple(noises))


def _joint(fit: JointFit, noise: Noise, level: int) -> float:
    """From the covariance of a small level; on any level no sum is less sure than the sum of its own measurements."""
    import numpy as np

    size, cells = fit.variances[level].size, sum(each.size for each in fit.variances)
    if size > FEW or size * cells > CHUNK:
        return math.sqrt(noise.variance)
    covariance = fit.weights(level, np.arange(size))[level] * noise.variance
    largest = float(np.linalg.eigvalsh((covariance + covariance.T) / 2)[-1])
    return math.sqrt(min(noise.variance, max(largest, 0.0)))


def _numbered(kinds: Floats | Integers) -> Integers:
    import numpy as np

    return np.unique(kinds, return_inverse=True)[1].astype(np.int64)


def _gaussian(noises: Sequence[Noise]) -> bool:
    """Whether all noise is as good as Gaussian; then every weighted sum of it is, and has the same quantiles."""
    return all(kind == "discrete gaussian" and scale >= SMOOTH for noise in noises for kind, scale in noise.draws)


def _apart(logs: Floats, noises: Sequence[Noise]) -> float:
    """By how much the logarithms of variances may differ inside a class."""
    import numpy as np

    smooth = all(scale >= SMOOTH for noise in noises for _, scale in noise.draws)
    if not smooth or np.unique(np.round(logs / ALIKE)).size <= CLASSES:
        return ALIKE
    return max(ALIKE, float(np.ptp(logs)) / CLASSES)


def _shapes(fit: JointFit, noises: Sequence[Noise], level: int, cells: Integers) -> tuple[Shape, ...]:
    import numpy as np

    found: list[Shape] = []
    at_once = max(1, CHUNK // sum(each.size for each in fit.variances))
    for start in range(0, len(cells), at_once):
        part = cells[start : start + at_once]
        deviations = np.sqrt(np.maximum(fit.variances[level][part], 1e-300))
        pieces = [
            np.abs(table) * noise.variance**0.5 / deviations
            for table, noise in zip(fit.weights(level, part), noises, strict=True)
        ]
        found += [_shape([table[:, n] for table in pieces], noises) for n in range(len(part))]
    return tuple(found)


def _shape(pieces: Sequence[Floats], noises: Sequence[Noise]) -> Shape:
    """The pieces of one estimate's error, equal ones counted together."""
    import numpy as np

    terms = []
    for sizes, noise in zip(pieces, noises, strict=True):
        named = sizes >= SMALL * min(1.0, noise.variance**0.5)
        distinct, counts = np.unique(np.round(sizes[named], 4), return_counts=True)
        terms += [NoiseTerm(noise, float(size), int(count)) for size, count in zip(distinct, counts, strict=True)]
    return tuple(terms)
