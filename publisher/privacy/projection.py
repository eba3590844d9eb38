"""The finest cells of at least zero that are nearest to the estimates and have given sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publisher.stages import Floats, Integers

RESIDUAL = 1e-6
"""By how much a sum may miss its target, in steps, and relative to a million steps of the total."""
STEPS, SEARCH, SOLVE = 100, 40, 400
"""The most steps of Newton's method, halvings of a step, and iterations for one of them."""


@dataclass(frozen=True)
class Sums:
    """Sums of finest cells and what they should be: exactly where `slack` is zero, else by their variance `slack`.

    `inside[l][n]` is the sum, numbered over all tables l, that finest cell n is part of.
    """

    inside: Integers
    targets: Floats
    slack: Floats

    def of(self, values: Floats) -> Floats:
        """What the sums are."""
        import numpy as np

        found = np.zeros(self.targets.size)
        for cells in self.inside:
            found += np.bincount(cells, values, found.size)
        return found

    def spread(self, prices: Floats) -> Floats:
        """For each finest cell the total of its sums' prices."""
        found: Floats = prices[self.inside].sum(axis=0)
        return found


def nearest(wanted: Floats, variances: Floats, sums: Sums) -> Floats:
    """The cells x ≥ 0 with the least Σ (x - wanted)² / variance, and Σ (sum - target)² / slack of sums that have any.

    The dual problem is smooth and has a price for each sum: x = max(0, wanted + variance · prices). It is solved by
    Newton's method (as in Li, Sun and Toh 2020), each step by conjugate gradients, so nothing is larger than the cells.
    """
    import numpy as np

    # The cells of a sum of zero are zero; without them, the prices of the others stay finite.
    empty = (sums.targets <= RESIDUAL / 100) & (sums.slack == 0)
    free = np.flatnonzero(~empty[sums.inside].any(axis=0))
    found = np.zeros_like(wanted)
    found[free] = _nearest(wanted[free], variances[free], Sums(sums.inside[:, free], sums.targets, sums.slack))
    return found


def _nearest(wanted: Floats, variances: Floats, sums: Sums) -> Floats:
    import numpy as np

    prices = np.zeros(sums.targets.size)
    cells, value = _cells(wanted, variances, sums, prices)
    tolerance = RESIDUAL * max(1.0, float(np.abs(sums.targets).max(initial=0)) * 1e-6)
    for _ in range(STEPS):
        gap = sums.of(cells) - sums.targets + sums.slack * prices
        if np.abs(gap).max(initial=0) <= tolerance:
            break
        step = _newton(np.where(cells > 0, variances, 0), sums, gap)
        slope, length = float(gap @ step), 1.0
        for _ in range(SEARCH):
            tried, found = _cells(wanted, variances, sums, prices + length * step)
            if found <= value + 1e-4 * length * slope + 1e-13 * abs(value):
                break
            length /= 2
        prices, cells, value = prices + length * step, tried, found
    return cells


def _cells(wanted: Floats, variances: Floats, sums: Sums, prices: Floats) -> tuple[Floats, float]:
    """The cells at these prices, and the dual's value."""
    import numpy as np

    cells = np.maximum(wanted + variances * sums.spread(prices), 0)
    value = (cells**2 / variances).sum() / 2 - sums.targets @ prices + (sums.slack * prices**2).sum() / 2
    return cells, float(value)


def _newton(free: Floats, sums: Sums, gap: Floats) -> Floats:
    """The step to (close to) no gap, by conjugate gradients; `free` is the variance of the cells that may move."""
    import numpy as np

    diagonal = sums.of(free) + sums.slack
    typical = float(diagonal[diagonal > 0].mean()) if (diagonal > 0).any() else 1.0
    damp = min(1e-3, 0.1 * float(np.abs(gap).max())) * 1e-3 * typical
    diagonal = diagonal + damp
    step, left = np.zeros_like(gap), -gap
    aim = max(0.01 * RESIDUAL, 1e-3 * min(1.0, float(np.linalg.norm(gap))) * float(np.linalg.norm(gap)))
    scaled = left / diagonal
    way, energy = scaled.copy(), float(left @ scaled)
    for _ in range(SOLVE):
        if np.linalg.norm(left) <= aim:
            break
        moved = sums.of(free * sums.spread(way)) + (sums.slack + damp) * way
        length = energy / float(way @ moved)
        step, left = step + length * way, left - length * moved
        scaled = left / diagonal
        before, energy = energy, float(left @ scaled)
        way = scaled + (energy / before) * way
    return step
