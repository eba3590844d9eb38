"""What arithmetic can check: losses that add up, scales that are wide enough, the threshold of a selection."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.audit.replay import words
from publisher.pipeline.charges import mechanisms_of, selection_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.audit.bench import Bench, Neighbor
    from publisher.definitions.settings import Settings
    from publisher.stages import Table
    from publisher.workspace import DatasetFile

ROUNDING = Fraction(1, 10**12)
"""How far a float may be below the exact number that it represents."""


def faults_of_scales(dataset: DatasetFile, settings: Settings, moved: dict[Table, tuple[int, int]]) -> list[str]:
    """Whether each table's noise covers the farthest neighbor that has `moved` it, and all losses add up to the whole.

    zCDP: σ² · 2ρ ≥ L2²; pure: b · ε ≥ L1, in exact rationals.
    """
    definition, faults = dataset.definition, []
    mechanisms = mechanisms_of(dataset, settings)
    for each in mechanisms:
        l1, l2_squared = moved.get(each.table, (0, 0))
        scale = Fraction(each.scale) * (1 + ROUNDING)
        paid = scale**2 * 2 * each.loss if definition.loss.currency == "zcdp" else scale * each.loss
        if paid < (l2_squared if definition.loss.currency == "zcdp" else l1):
            faults.append(f"{words(each.table)}: the noise is too small for its loss")
    if sum((each.loss for each in mechanisms), definition.selection_loss) > definition.loss.amount:
        faults.append("the tables' losses add up to more than the release's loss")
    if {each.table for each in mechanisms} != moved.keys():
        faults.append("a table has no noise of its own")
    return faults


def faults_of_selection(bench: Bench, neighbors: Iterable[Neighbor]) -> list[str]:
    """Whether a key with only one unit is shown with a chance of at most δ, and a unit moves at most k keys by one."""
    definition = bench.dataset.definition
    selection = selection_of(bench.dataset)
    if selection is None:
        return []
    faults = []
    k = definition.bounds.max_groups
    if k * tail(selection.scale, selection.threshold - 1) > definition.delta:
        faults.append("a key with one unit is shown with a probability above δ")
    if Fraction(selection.scale) ** 2 * (1 + ROUNDING) * 2 * definition.selection_loss < k:
        faults.append("the selection's noise is too small for its loss")
    whole = bench.candidates()
    for neighbor in neighbors:
        part = bench.candidates(neighbor)
        moved = [abs(whole.get(key, 0) - part.get(key, 0)) for key in whole.keys() | part.keys()]
        if max(moved, default=0) > 1 or sum(moved) > k:
            faults.append("one unit counts for more than max_groups keys, or more than once for a key")
    return faults


def tail(scale: float, least: int) -> float:
    """P(noise ≥ least) of the discrete Gaussian, as a sum; what is left out is below e⁻⁸⁰⁰ of it."""
    reach = math.ceil(40 * scale) + 1
    divisor = 2 * scale * scale
    every = math.fsum(math.exp(-(x * x) / divisor) for x in range(-reach, reach + 1))
    return math.fsum(math.exp(-(x * x) / divisor) for x in range(least, max(least, 0) + reach)) / every
