"""How far one unit in one window can move a measured table."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publisher.definitions.dataset import Bounds, Measure


@dataclass(frozen=True)
class Sensitivity:
    """A unit reaches at most `groups` cells and moves each by at most `per_group` whole steps."""

    groups: int
    per_group: int

    @property
    def l1(self) -> int:
        """Δ₁ = k·c."""
        return self.groups * self.per_group

    @property
    def l2_squared(self) -> int:
        """Δ₂² = k·c²."""
        return self.groups * self.per_group**2

    def __str__(self) -> str:
        root = isqrt(self.l2_squared)
        l2 = str(root) if root * root == self.l2_squared else f"√{self.l2_squared}"
        return f"Δ₁ = {self.l1}, Δ₂ = {l2}"


def sensitivity_of(measure: Measure, bounds: Bounds) -> Sensitivity:
    """The sensitivity of a measured table to adding or removing one unit in one window.

    A count moves by at most c in k cells, a count of units by 1, a clamped sum by M = max(|lower|, |upper|):
    the whole total of the unit appears or disappears, so it is never upper - lower.
    """
    if measure.kind == "count":
        return Sensitivity(bounds.max_groups, bounds.max_per_group)
    if measure.kind == "count_units":
        return Sensitivity(bounds.max_groups, 1)
    lower, upper = measure.clamps
    return Sensitivity(bounds.max_groups, max(abs(lower), abs(upper)))
