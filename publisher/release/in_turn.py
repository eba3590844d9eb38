"""A law that no draw of a given loss exceeds, whatever it measures: for draws chosen after seeing earlier ones.

Bounds that people chose by what `publisher tune` drew make the moves of the release depend on that draw, so the law
of both is no product of two known ones. But if the next draw, whatever was seen, is never easier to tell apart than by
some fixed law, at every ε, then all together never are than by the product of these laws (Zhu, Dong and Wang 2022).

Discrete Gaussian, loss ρ: along a coset of the moves a draw is the discrete Gaussian on the whole numbers plus t, and
the move is one step (`loss_distribution`). The best test asks whether the value is beyond some point b of the coset:

    δ(ε) = (1 - (e^ε - 1)·A(β)) / (1 + A(β) + A(-β)),  A(β) = Σ exp(-ρn² - nβ) over n ≥ 1,  β = 2ρb.

A draw may be on any coset, so the law is the largest over all β: one maximum, as the numerator is concave in β and the
denominator convex; and a law, as each β gives a line in e^ε. It rises with ρ, as A falls.

Pure: no ε-differentially private draw is easier to tell apart than a coin that says the truth with e^ε/(1 + e^ε)
(Kairouz, Oh and Viswanath 2015).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from publisher.release.loss_distribution import REACH, ROUNDING, LossDistribution

if TYPE_CHECKING:
    from publisher.definitions.source import Currency
    from publisher.stages import Floats

POINTS = 1 << 11
"""Of the grid of losses."""
LEAST, MOST = 1e-3, 100.0
"""A smaller ρ counts as the least; above the most, nothing is said."""
GOLDEN = (math.sqrt(5) - 1) / 2
STEPS = 24
"""Golden sections of the range of β. The largest δ is then known to one part in 10⁹, as it is flat there."""
ALMOST = 1 + 1e-8


@lru_cache(maxsize=1024)
def composed_in_turn(currency: Currency, losses: tuple[float, ...]) -> LossDistribution | None:
    """The law of draws with these losses, each chosen after seeing the ones before; None if a loss is too large."""
    import numpy as np

    if max(losses) > MOST:
        return None
    losses = tuple(max(each, LEAST) for each in losses) if currency == "zcdp" else losses
    reaches = [_reach(each) if currency == "zcdp" else each for each in losses]
    step = 2 * math.fsum(reaches) / (POINTS - 4 * len(losses) - 4)
    product, infinite = np.ones(POINTS // 2 + 1, dtype=np.complex128), 0.0
    for loss, reach in zip(losses, reaches, strict=True):
        points = np.arange(math.ceil(reach / step) + 1, dtype=np.float64) * step
        curve = gaussian_curve(loss, points) if currency == "zcdp" else _coin_curve(loss, points)
        mass, beyond = _law(curve, step)
        product *= np.fft.rfft(np.fft.ifftshift(mass))
        infinite += beyond
    total = np.maximum(np.fft.fftshift(np.fft.irfft(product, POINTS)), 0)
    lost = ROUNDING * (len(losses) + math.log2(POINTS)) * math.sqrt(POINTS) + 1e-9
    return LossDistribution(step, total, infinite + lost)


@lru_cache(maxsize=1024)
def tail_in_turn(rhos: tuple[float, ...], probability: float) -> float:
    """The largest loss that discrete Gaussian draws, chosen in turn, reach with that probability, or infinite.

    Whatever was seen, each loss reaches x at most as often as on the worst coset. So their sum reaches x at most as
    often as that of independent ones which do just that, and count as zero where they are below.
    """
    import numpy as np

    if max(rhos) > MOST:
        return math.inf
    rhos = tuple(max(each, LEAST) for each in rhos)
    step = math.fsum(map(_reach, rhos)) / POINTS
    mass = np.ones(1)
    for rho in rhos:
        points = np.arange(math.ceil(_reach(rho) / step) + 1, dtype=np.float64) * step
        above = np.concatenate([[1.0], _reached(rho, points[1:]), [0.0]])
        mass = np.convolve(mass, np.concatenate([[0.0], -np.diff(above)]))  # each at the end of its step
    rare = mass[::-1].cumsum()[::-1] <= probability / ALMOST
    return float(np.argmax(rare)) * step if rare.any() else math.inf


def gaussian_curve(rho: float, losses: Floats) -> Floats:
    """δ at each ε ≥ 0, the largest of all cosets, for discrete Gaussian draws of that loss."""
    import numpy as np

    low, high = losses - rho, losses + rho  # the point before the first value that says the unit is there
    best = np.zeros_like(losses)
    for _ in range(STEPS):
        inner, outer = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        at_inner, at_outer = _beyond(rho, losses, inner), _beyond(rho, losses, outer)
        best = np.maximum(best, np.maximum(at_inner, at_outer))
        low, high = np.where(at_inner > at_outer, low, inner), np.where(at_inner > at_outer, outer, high)
    return np.minimum(best * ALMOST, 1.0)


def _beyond(rho: float, losses: Floats, beta: Floats) -> Floats:
    """δ by the test at β. The numerator's sum is written as Σ (w - e^ε·next w), which has no cancellation."""
    import numpy as np

    n = np.arange(_terms(rho), dtype=np.float64)
    weights = np.exp(-rho * n * n - n * beta[:, None])
    gained = weights * -np.expm1((losses - beta)[:, None] - rho * (2 * n + 1))
    below = np.exp(-rho * n[1:] * n[1:] + n[1:] * beta[:, None])
    found: Floats = gained.sum(axis=1) / (weights.sum(axis=1) + below.sum(axis=1))
    return found


def _reached(rho: float, losses: Floats) -> Floats:
    """How often a loss is at least each of these, on the worst coset: the one that has a value there."""
    import numpy as np

    n = np.arange(_terms(rho), dtype=np.float64)
    at_least = np.exp(-rho * n * (n - 1) - n * losses[:, None]).sum(axis=1)
    below = np.exp(-rho * n[1:] * (n[1:] + 1) + n[1:] * losses[:, None]).sum(axis=1)
    found: Floats = at_least / (at_least + below)
    return found


def _terms(rho: float) -> int:
    """More terms than any sum here needs: the largest is that at n = β/2ρ, β being below 2ρ + REACH·√(2ρ)."""
    return math.ceil((REACH / math.sqrt(2) + 7) / math.sqrt(rho)) + 3


def _reach(rho: float) -> float:
    return rho + REACH * math.sqrt(2 * rho)


def _coin_curve(epsilon: float, losses: Floats) -> Floats:
    """δ at each ε of the coin that says the truth as often as may be."""
    import numpy as np

    return np.maximum(0.0, -np.expm1(losses - epsilon)) / (1 + math.exp(-epsilon)) * ALMOST


def _law(curve: Floats, step: float) -> tuple[Floats, float]:
    """The masses at POINTS losses `step` apart, zero in the middle, and the mass of an infinite loss: δ is the curve at
    these losses and straight in e^ε between them, where a convex curve lies below (connect the dots)."""
    import numpy as np

    kept = math.exp(-step)
    fall = np.append(-np.diff(curve), 0.0) / (1 - kept)  # e^ε·Q(loss > ε), from each point to the next
    above = np.maximum(fall[:-1] - kept * fall[1:], 0.0)
    mirrored = above * np.exp(-step * np.arange(1, len(curve)))
    mass, middle = np.zeros(POINTS), POINTS // 2
    mass[middle + 1 : middle + len(curve)] = above
    mass[middle - len(curve) + 1 : middle] = mirrored[::-1]
    mass[middle] = max(0.0, 1 - float(curve[-1]) - float(mass.sum()))
    return mass, float(curve[-1])
