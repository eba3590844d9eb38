"""The most that one unit in one window can change a measured table."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING

from publisher.definitions.dataset import WIDER

if TYPE_CHECKING:
    from publisher.definitions.dataset import Bounds, Dataset, Measure


@dataclass(frozen=True)
class Sensitivity:
    """A unit reaches at most `groups` cells and changes each by at most `per_group` whole steps."""

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


def sensitivity_of(measure: Measure, bounds: Bounds, *, coarser: bool = False) -> Sensitivity:
    """The sensitivity of a measured table to adding or removing one unit in one window.

    A count changes by at most c in k cells, a histogram by c records in each of k cells, a count of units by 1, a
    clamped sum by M = max(|lower|, |upper|): the whole total of the unit appears or disappears, so it is never upper -
    lower. In a `coarser` table all k cells may be the same one: k·c or k·M in a single cell. A unit still counts once
    there.

    >>> from publisher.definitions.dataset import Bounds, Measure
    >>> bounds = Bounds(max_groups=3, max_per_group=2)
    >>> count = Measure(name="visits", title="Visits", kind="count", unit="visits")
    >>> print(sensitivity_of(count, bounds))
    Δ₁ = 6, Δ₂ = √12
    >>> print(sensitivity_of(count, bounds, coarser=True))
    Δ₁ = 6, Δ₂ = 6
    >>> units = Measure(name="people", title="People", kind="count_units", unit="people")
    >>> print(sensitivity_of(units, bounds))
    Δ₁ = 3, Δ₂ = √3
    """
    k, most = bounds.max_groups, measure.reach(bounds)
    together = coarser and measure.kind != "count_units"
    return Sensitivity(1, k * most) if together else Sensitivity(k, most)


def sensitivity_at(definition: Dataset, measure: Measure, level: str) -> Sensitivity:
    """The sensitivity of one measured table: of the finest one (""), a rollup, or the total within wider bounds.

    That total is one number: all of what a unit has in its k' cells is in it, so it moves by k'·c', k'·M', or k'.
    """
    if level == WIDER:
        bounds = definition.bounds.wider
        return Sensitivity(1, bounds.max_groups * measure.wider.reach(bounds))
    return sensitivity_of(measure, definition.bounds, coarser=bool(level))
