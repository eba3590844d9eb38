"""The worst that a unit, or a household of several, can do to the tables of a draw: which cells it moves, how far.

What a unit brings to a table are parts of one size: c records in each of k cells, or k totals of M. Any two parts of a
coarser table may meet in one cell; in the finest only those of different units. Fewer, smaller or canceling parts move
every cell less, which is easier to hide (noise with a log-concave law has a monotone likelihood ratio). What is left is
how the parts meet, and the worst is that as many as possible meet in as few cells as possible, if moving one part to a
cell that has as many or more (`gathering`) never makes the two laws harder to tell apart:

- Discrete Laplace: it never does. The loss of cells moved by a ≥ b is (a + b - 2Y)/scale, where Y adds what is positive
  in the noise, up to a and up to b. For a positive loss Y is below a, so only the limit b counts, and a lower b makes
  large Y rarer. The laws mirror each other, so the same follows for negative losses.
- Discrete Gaussian, few values: that is computed for the scale at hand, as the difference at every corner of the curve
  of (ε, δ), which is straight between corners in e^ε where the other curve is convex.
- Discrete Gaussian, wide: along a coset of the moves without their common factor, values are at most h = n/σ standard
  deviations apart for n parts, so each curve is within κ of that of the continuous law, where only the squares of the
  moves count. δ is a sum of F = (φ(y) - e^ε·φ(y - r))₊ over these values, and Euler and Maclaurin's formula gives
  κ = h²·V/12, with V the total variation of F′: at most 0.97 + (2 + r²) + 0.4·r, from φ″, from e^ε·φ″(y - r), which
  is below ((y - r)² + 1)·φ(y) there, and from the corner.

Both orders survive composition (Blackwell 1953; Zhu, Dong and Wang 2022), and what δ may be short of adds up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from publisher.definitions.dataset import WIDER
from publisher.release.loss_distribution import REACH, Kind, Shift

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.definitions.dataset import Dataset, Measure
    from publisher.stages import Floats, Integers

PARTS = 8
"""The most parts, the widest noise and the longest move, in scales, for which the discrete Gaussian's order is
computed."""
WIDEST = 64.0
FARTHEST = 25.0
TOLERANCE = 1e-12
"""How much δ may fall when a part is moved, where that is computed."""
MOST_MOVES = 100
"""More than PARTS parts need until they are gathered."""
CLOSE = 0.1
"""The largest h for which noise counts as wide."""


@dataclass(frozen=True)
class NoiseOf:
    """The noise of one measured table: what is counted, and its rollup (empty for the finest)."""

    measure: str
    level: str
    kind: Kind
    scale: float


@dataclass(frozen=True)
class Parts:
    """`number` parts that move a cell by `size` steps each; at most `most` of them meet in one cell."""

    size: int
    number: int
    most: int


def parts_of(definition: Dataset, measure: Measure, units: int, *, coarser: bool) -> Parts:
    """What so many units bring to one table. A unit counts once in a cell; bins of a histogram are cells too."""
    reach, cells = measure.reach(definition.bounds), units * definition.bounds.max_groups
    if measure.kind == "count_units":
        return Parts(1, cells, units)
    if measure.kind == "histogram":
        return Parts(1, cells * reach, cells * reach if coarser else units * reach)
    return Parts(reach, cells, cells if coarser else units)


def wider_part(definition: Dataset, measure: Measure, units: int) -> Parts:
    """What so many units bring to the total within wider bounds: it is one cell, so all of it meets there."""
    bounds = definition.bounds.wider
    return Parts(units * bounds.max_groups * measure.wider.reach(bounds), 1, 1)


def one_worst_shift(definition: Dataset) -> bool:
    """Whether no two parts of a unit can meet anywhere, so that the worst is the same whatever keys were found."""
    levels = (False, True) if definition.rollups else (False,)
    return all(
        parts_of(definition, each, 1, coarser=coarser).most == 1 for each in definition.measured for coarser in levels
    )


@dataclass(frozen=True)
class WorstShifts:
    """The worst moves, and by how much others may be worse in total variation."""

    shifts: tuple[Shift, ...]
    slack: float


def worst_shifts(
    definition: Dataset, tables: Iterable[NoiseOf], units: int = 1, *, spread: bool = False
) -> WorstShifts | None:
    """The worst moves of every table; None if which is the worst is not known.

    `spread` if what a unit brings to a cell may be spread over several draws, as editions count what is new in each:
    then a part is one step.
    """
    measures = {each.name: each for each in definition.measured}
    found, slack = [], 0.0
    for table in tables:
        measure = measures[table.measure]
        if table.level == WIDER:
            parts = wider_part(definition, measure, units)
        else:
            parts = parts_of(definition, measure, units, coarser=bool(table.level))
        if spread:
            parts = Parts(1, parts.number * parts.size, parts.most * parts.size)
        if table.kind == "discrete gaussian":
            slack += gathering_slack(table.scale, parts)
        found.append(Shift(table.kind, table.scale, parts.most * parts.size, parts.number // parts.most))
    return WorstShifts(tuple(sorted(found)), slack) if slack < math.inf else None


@lru_cache(maxsize=1024)
def gathering_slack(scale: float, parts: Parts) -> float:
    """By how much δ of the gathered parts may be below that of others, by discrete Gaussian noise; infinite if that is
    not known."""
    if parts.most == 1 or parts.number == 1:
        return 0.0
    if parts.number <= PARTS and scale <= WIDEST and parts.number * parts.size <= FARTHEST * scale:
        pairs = [(i, j) for i in range(1, parts.most) for j in range(1, i + 1) if i + j <= parts.number]
        if all(_spread_less(scale, parts.size, i, j) for i, j in pairs):
            return MOST_MOVES * TOLERANCE
    apart, ratio = parts.number / scale, parts.number * parts.size / scale
    return 2 * apart**2 * (3 + 0.4 * ratio + ratio**2) / 12 * (1 + 1e-9) if apart <= CLOSE else math.inf


@dataclass(frozen=True)
class _PairCurve:
    """Two cells moved by i·size and j·size: the law of i·X + j·Y, from which (ε, δ) follows."""

    scale: float
    size: int
    i: int
    j: int
    below: Floats
    """P(sum < first + n)."""
    first: int

    def delta(self, losses: Floats) -> Floats:
        """δ at each ε."""
        import numpy as np

        squared = self.i**2 + self.j**2
        edge = self.size * squared / 2 - losses * self.scale**2 / self.size
        found: Floats = self._below(edge) - np.exp(losses) * self._below(edge - self.size * squared)
        return found

    def corners(self) -> Floats:
        """Every ε ≥ 0 at which the curve bends."""
        import numpy as np

        sums = np.arange(len(self.below), dtype=np.float64) + self.first
        losses = (self.size * (self.i**2 + self.j**2) / 2 - sums) * self.size / self.scale**2
        found: Floats = losses[(losses >= 0) & (losses < 600)]
        return found

    def _below(self, edges: Floats) -> Floats:
        import numpy as np

        places: Integers = np.clip(np.ceil(edges - 1e-9) - self.first, 0, len(self.below) - 1).astype(np.int64)
        found: Floats = self.below[places]
        return found


def _spread_less(scale: float, size: int, i: int, j: int) -> bool:
    gathered, spread = _curve(scale, size, i + 1, j - 1), _curve(scale, size, i, j)
    losses = gathered.corners()
    return bool((spread.delta(losses) <= gathered.delta(losses) + TOLERANCE).all())


@lru_cache(maxsize=256)
def _curve(scale: float, size: int, i: int, j: int) -> _PairCurve:
    import numpy as np

    most = math.ceil(REACH * scale) + size * (i + j)  # so that nothing is cut off after the move either
    values = np.arange(-most, most + 1)
    mass = np.exp(-(values**2) / (2 * scale * scale))
    mass /= mass.sum()
    law = np.zeros(2 * most * (i + j) + 1)
    for value, part in zip(range(2 * most + 1), mass.tolist(), strict=True):
        if j:
            start = i * value
            law[start : start + 2 * most * j + 1 : j] += part * mass
        else:
            law[i * value] += part
    return _PairCurve(scale, size, i, j, np.concatenate([[0.0], np.cumsum(law)]), -most * (i + j))
