"""Partition selection: keys that no public list names, shown only if enough units share them.

A noisy count above a threshold is what shows a key (Rogers 2023, "A Unifying Privacy Analysis Framework for Unknown
Domain Algorithms"); a key that only one unit has is shown with a probability of at most δ.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.privacy.mechanism import at_most, opendp

if TYPE_CHECKING:
    from fractions import Fraction


@dataclass(frozen=True)
class KeySelection:
    """How keys are found: discrete Gaussian noise of `scale` on the number of units, shown at `threshold` or above."""

    groups: int
    """The most keys for which one unit in one window counts."""
    scale: float
    threshold: int
    loss: Fraction
    delta: Fraction

    @property
    def serialized(self) -> str:
        """What the ledger keeps: OpenDP cannot serialize a thresholded measurement."""
        return json.dumps({"measurement": "make_gaussian_threshold", "scale": self.scale, "threshold": self.threshold,
                           "groups": self.groups, "delta": str(self.delta)})  # fmt: skip


def selection_for(groups: int, loss: Fraction, delta: Fraction) -> KeySelection:
    """The lowest threshold, at the least noise, whose loss and δ, as OpenDP computes them, are within what is given.

    A key that many units share is shown; one that only one unit has is not, except with a chance of one in a million.

    >>> from fractions import Fraction
    >>> made = selection_for(1, loss=Fraction(1, 10), delta=Fraction(1, 10**6))
    >>> made.scale, made.threshold
    (2.236..., 13)
    >>> select({"street light": 5_000, "Jane Roe": 1}, made)
    ('street light',)
    """
    scale = _scale(groups, loss)
    low, high = 1, 2
    while not _within(groups, scale, high, loss, delta):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _within(groups, scale, middle, loss, delta) else (middle, high)
    return KeySelection(groups, scale, high, loss, delta)


def select(counts: dict[str, int], selection: KeySelection) -> tuple[str, ...]:
    """The keys that are shown, in alphabetical order. The ledger must have the charge before this is called."""
    # OpenDP sees the keys' numbers: it would cut a text at a NUL, and two keys would become one.
    keys = sorted(counts)
    shown = _measurement(selection.scale, selection.threshold)({n: counts[key] for n, key in enumerate(keys)})
    return tuple(keys[n] for n in sorted(shown))


def _measurement(scale: float, threshold: int) -> Any:
    dp = opendp()
    domain = dp.map_domain(dp.atom_domain(T="u32"), dp.atom_domain(T="i64"))
    metric = dp.l02inf_distance(dp.absolute_distance(T="f64"))
    return dp.m.make_gaussian_threshold(domain, metric, scale=scale, threshold=threshold)


def _scale(groups: int, loss: Fraction) -> float:
    """√(k / 2ρ), or slightly more if rounding would make the loss too large."""
    scale = math.sqrt(groups / (2 * float(loss)))
    while _spent(groups, scale, 1 << 40)[0] > at_most(loss):
        scale = math.nextafter(scale, math.inf) * (1 + 1e-12)
    return scale


def _within(groups: int, scale: float, threshold: int, loss: Fraction, delta: Fraction) -> bool:
    rho, chance = _spent(groups, scale, threshold)
    # OpenDP 0.16 takes δ from the continuous Gaussian, which has less in its tail than the discrete one that is drawn.
    exact = groups * _tail(scale, threshold - 1) * (1 + 1e-9)
    return rho <= at_most(loss) and max(chance, exact) <= at_most(delta)


def _tail(scale: float, least: int) -> float:
    """P(noise ≥ least) of the discrete Gaussian: the chance that a key with one unit is shown."""
    divisor, reach = 2 * scale * scale, math.ceil(40 * scale) + 1
    total = 1 + 2 * math.fsum(math.exp(-(x * x) / divisor) for x in range(1, reach))
    return math.fsum(math.exp(-(x * x) / divisor) for x in range(least, least + reach)) / total


def _spent(groups: int, scale: float, threshold: int) -> tuple[float, float]:
    """(ρ, δ) of one unit that counts once for each of `groups` keys."""
    rho, delta = _measurement(scale, threshold).map((groups, math.nextafter(math.sqrt(groups), math.inf), 1.0))
    return float(rho), float(delta)
