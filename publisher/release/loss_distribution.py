"""How far the laws of a draw with one unit and without it are apart: the exact noise, composed, never less than true.

A draw adds independent discrete noise to whole numbers; one unit moves cell i by v_i. The privacy loss of an outcome is
the logarithm of how much likelier it is without the move. `LossDistribution` is the law of the loss over all cells
(Koskela, Jälkö and Honkela 2020). Each loss is put on a grid by spreading it over the two points next to it such that
the masses under both laws are kept; that makes the two laws easier to tell apart, never harder (the connect-the-dots
of Doroshenko, Ghazi, Kamath, Kumar and Manurangsi 2022). What is cut off counts as an infinite loss.

`lattice_distance` needs only ρ. With D = diag(1/σ_i²) and r² = Σ v_i²/σ_i² = 2ρ, the discrete Gaussian at x + jv, for
whole j, is proportional to exp(-r²(j + t)²/2) with t = <x, v>_D/r²: along each coset of the multiples of v it is a
discrete Gaussian on the whole numbers plus t, and the move is one step j -> j + 1 there. How likely a coset is does not
change. So the distance is a mean, over cosets, of the largest mass of such a law, and that is largest for t = 0 (the
sum over j of exp(-r²(j² + 2jt)/2) has cosh(r²jt) >= 1 in it). One table and one cell moved by one attain it. The moves
must not depend on other outcomes: then v is fixed.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from publisher.stages import Floats

Kind = Literal["discrete gaussian", "discrete laplace"]

POINTS = 1 << 15
"""Of the grid of losses."""
REACH = 10.0
"""Standard deviations that the grid covers; beyond are less than 10⁻²¹ (the discrete Gaussian is subgaussian)."""
ATOMS = 20_000.0
"""Above this scale, the discrete Gaussian's values are taken in blocks."""
ROUNDING = 1e-15
"""More than one Fourier step of doubles loses."""


@dataclass(frozen=True, order=True)
class Shift:
    """Noise of one kind and scale on `cells` cells, each of which the unit moves by `steps`."""

    kind: Kind
    scale: float
    steps: int
    cells: int = 1

    @property
    def ratio(self) -> float:
        """The move of one cell in scales."""
        return self.steps / self.scale


@dataclass(frozen=True)
class LossDistribution:
    """The law of the loss, the same for both laws as the noise is symmetric: masses `step` apart, the middle one at
    zero, and the mass of an infinite loss."""

    step: float
    mass: Floats
    infinite: float

    @cached_property
    def distance(self) -> float:
        """The total variation distance, never below the true one."""
        import numpy as np

        middle = self.mass.size // 2
        losses = np.arange(1, middle) * self.step
        return min(1.0, self.infinite + float(self.mass[middle + 1 :] @ -np.expm1(-losses)))


def lattice_distance(rho: float) -> float:
    """The largest distance of discrete Gaussian draws whose loss is ρ: 1 / Σ exp(-ρx²) over all whole x.

    >>> round(lattice_distance(0.5), 4)
    0.3989
    """
    if rho < 1:  # the same sum by Poisson's formula
        terms = 1 + 2 * math.fsum(math.exp(-((math.pi * k) ** 2) / rho) for k in range(1, 4))
        return min(1.0, math.sqrt(rho / math.pi) / terms * (1 + 1e-12))
    return min(1.0, (1 + 1e-12) / (1 + 2 * math.fsum(math.exp(-rho * x * x) for x in range(1, 8))))


@lru_cache(maxsize=1024)
def lattice_tail(rho: float, probability: float) -> float:
    """The largest loss that discrete Gaussian draws of loss ρ reach with that probability.

    On a coset the loss is r²/2 - r²(j + t), so P(loss ≥ ε) is what lies below 1/2 - ε/r² there: most if a value lies on
    it (monotone likelihood ratio in t). Written out, the chances for and against are in the ratio of `reached` to
    `below`, with 2ρ = r²; for ε ≥ 0 it rises with ρ, as `below` has its weight on larger j. Infinite where sums would
    be long.
    """
    import numpy as np

    if not 1e-4 <= rho <= 100:
        return math.inf
    j = np.arange(-1, 4_000).astype(np.float64)

    def chance(loss: float) -> float:
        bent, tilt = -rho * j * (j + 1), loss * (j + 0.5)
        top = float((bent + tilt).max())
        reached = float(np.exp(bent - tilt - top).sum())
        return reached / (reached + float(np.exp(bent + tilt - top)[2:].sum()))

    low, high = 0.0, rho + 2 * math.sqrt(-rho * math.log(probability)) + 1
    if chance(high) > probability:
        return math.inf
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) > probability else (low, middle)
    return high * (1 + 1e-9)


@lru_cache(maxsize=1024)
def composed(shifts: tuple[Shift, ...]) -> LossDistribution:
    """The losses of independent draws add up."""
    import numpy as np

    count: Counter[tuple[Kind, float, int]] = Counter()
    for each in shifts:
        count[each.kind, each.scale, each.steps] += each.cells
    cells = sum(count.values())
    step = 2 * _reach(shifts, cells) / (POINTS - 4)
    product = np.ones(POINTS // 2 + 1, dtype=np.complex128)
    infinite = 0.0
    for (kind, scale, steps), times in count.items():
        losses, mass, cut = _laplace(scale, steps) if kind == "discrete laplace" else _gaussian(scale, steps)
        fits = losses < (POINTS // 2 - 1) * step
        product *= np.fft.rfft(np.fft.ifftshift(_on_grid(losses[fits], mass[fits], step))) ** times
        infinite += times * (cut + float(mass[~fits].sum()))
    total = np.maximum(np.fft.fftshift(np.fft.irfft(product, POINTS)), 0)
    lost = ROUNDING * (cells + math.log2(POINTS)) * math.sqrt(POINTS) + 1e-15
    return LossDistribution(step, total, infinite + lost)


def _reach(shifts: tuple[Shift, ...], cells: int) -> float:
    """The largest loss that the grid has to hold; rounding adds at most a step a cell."""
    pure = math.fsum(each.cells * each.ratio for each in shifts if each.kind == "discrete laplace")
    squared = math.fsum(each.cells * each.ratio**2 for each in shifts if each.kind == "discrete gaussian")
    reach = pure + squared / 2 + REACH * math.sqrt(squared)
    if pure:
        return reach * (1 + 2 * cells / POINTS)  # bounded losses, each at most a step further
    return reach * (1 + 2 * REACH * math.sqrt(cells) / POINTS)


def _on_grid(losses: Floats, mass: Floats, step: float) -> Floats:
    """Each loss spread over the grid points below and above it, such that Σ mass and Σ mass·exp(-loss) are kept."""
    import numpy as np

    top = POINTS // 2 - 1
    places = np.clip(losses / step, -top, top - 1)
    lower = np.floor(places)
    upper = -np.expm1(-(places - lower) * step) / -math.expm1(-step)
    upper = np.clip(upper + 1e-12, 0, 1) * mass
    index = lower.astype(np.int64) + POINTS // 2
    low, high = np.bincount(index, mass - upper, POINTS), np.bincount(index + 1, upper, POINTS)
    return np.asarray(low + high, dtype=np.float64)


def _laplace(scale: float, steps: int) -> tuple[Floats, Floats, float]:
    """Noise x ≤ 0 loses steps/scale, x ≥ steps gains it, and between them the loss falls by 2/scale a step; many values
    are taken in blocks, each as bad as its worst."""
    import numpy as np

    edges = np.append(np.arange(1, steps, math.ceil(steps / ATOMS)), steps).astype(np.float64)
    inner = np.exp(-edges[:-1] / scale) * -np.expm1(-np.diff(edges) / scale)
    losses = np.concatenate([[steps / scale], (steps - 2 * edges[:-1]) / scale, [-steps / scale]])
    mass = np.concatenate([[1.0], inner, [math.exp(-steps / scale)]]) / (1 + math.exp(-1 / scale))
    return losses, mass, 1e-14


def _gaussian(scale: float, steps: int) -> tuple[Floats, Floats, float]:
    """Losses (steps² - 2·steps·x) / 2·scale² of the noise x, their masses, and what is cut off or not known."""
    import numpy as np

    if scale > ATOMS:
        noise, mass, cut = _blocks(scale)
    else:
        most = math.ceil(REACH * scale) + 1
        noise = np.arange(-most, most + 1, dtype=np.float64)
        weights = np.exp(-(noise**2) / (2 * scale * scale))
        mass, cut = weights / weights.sum(), 1e-14
    return steps / scale * (steps / scale - 2 * noise / scale) / 2, mass, cut


def _blocks(scale: float) -> tuple[Floats, Floats, float]:
    """Blocks of values, each as bad as its worst.

    Σ over x ≥ m of f is the integral from m - ½ to within ∫|f″|/24 < 0.041/scale², and so is the sum of everything.
    """
    import numpy as np

    width = math.ceil(scale / (ATOMS / 4))
    starts = np.arange(-math.ceil(REACH * scale / width), math.ceil(REACH * scale / width) + 1) * width
    above = [math.erfc((start - 0.5) / scale / math.sqrt(2)) / 2 for start in starts.tolist()]
    mass = -np.diff(np.array([*above, 0.0]))
    return starts.astype(np.float64), mass, 0.1 / scale**2 + 1e-14
