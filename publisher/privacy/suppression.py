"""Which cells are withheld, decided from noisy values alone, for reliability and legal form.

The guarantee does not depend on it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from publisher.privacy.reconcile import forest_of

if TYPE_CHECKING:
    from publisher.definitions.dataset import Dataset, Measure
    from publisher.definitions.levels import Level
    from publisher.privacy.estimates import Estimate
    from publisher.stages import Flags, Integers, NoisyTable, Table

CONFIDENCE = 0.95
"""Two-sided: each condition of the customer rule uses one side, so it holds with 97.5%."""


def suppressed_cells(noisy: NoisyTable, estimates: dict[Table, Estimate], dataset: Dataset) -> dict[str, Flags]:
    """Level name -> the cells withheld: by the threshold, by the customer rule, and so that no difference shows one."""
    found = {level.name: _by_rule(level, estimates, dataset) for level in noisy.levels}
    if dataset.suppression.complementary:
        _complete(noisy, estimates, dataset, found)
    return found


def _by_rule(level: Level, estimates: dict[Table, Estimate], dataset: Dataset) -> Flags:
    """Below the threshold, or failing the customer rule; each condition of the rule with 97.5% confidence."""
    rule = dataset.suppression
    count = estimates[level.name, rule.measure]
    withheld: Flags = count.value[:, 0] < rule.threshold
    if rule.customers is None or rule.largest_share is None:
        return withheld
    withheld |= count.interval(CONFIDENCE)[0] < rule.customers
    for measure in dataset.measures:
        if measure.kind == "sum":
            low, _ = estimates[level.name, measure.name].interval(CONFIDENCE)
            withheld |= _largest(level, dataset, measure) > float(rule.largest_share) * low
    return withheld


def _largest(level: Level, dataset: Dataset, measure: Measure) -> Integers:
    """The most that one customer can have in each cell: the clamp, once for every finest cell they can be in."""
    import numpy as np

    cells = np.bincount(level.cells, minlength=level.grid.size)
    return measure.clamps[1] * np.minimum(cells, dataset.bounds.max_groups)


def _complete(noisy: NoisyTable, estimates: dict[Table, Estimate], dataset: Dataset, found: dict[str, Flags]) -> None:
    """Withhold one more child of every family, parent and children, in which exactly one cell is withheld: children
    add up to their parent, so that cell would follow from the others. It is the smallest published one, the first if
    several are equal.

    From the top down this leaves each family with none or at least two, and then no withheld cell follows from sums:
    a change of one can be offset inside each family it belongs to, and so on outward; a forest has no circles.
    An only child has no sibling: if distinct units decide, which need not add up, its parent may show its value.
    """
    import numpy as np

    forest = forest_of(noisy.levels)
    occupied = forest.occupied()[1:]
    for (coarse, fine), above, real in zip(pairwise(noisy.levels), forest.parents, occupied, strict=True):
        hidden = found[fine.name]
        withheld = np.bincount(above[hidden & real], minlength=coarse.grid.size) + found[coarse.name]
        candidates = np.flatnonzero(~hidden & real & (withheld == 1)[above])
        values = estimates[fine.name, dataset.suppression.measure].value[candidates, 0]
        order = candidates[np.lexsort((values, above[candidates]))]
        _, first = np.unique(above[order], return_index=True)
        found[fine.name] = hidden.copy()
        found[fine.name][order[first]] = True
