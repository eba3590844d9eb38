"""Which cells are withheld, decided from noisy values alone, for reliability and legal form.

The guarantee does not depend on it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from publisher.privacy.reconcile import forest_of
from publisher.stages import REASONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.dataset import Dataset, Measure
    from publisher.definitions.levels import Level
    from publisher.privacy.estimates import Estimate
    from publisher.stages import Flags, Integers, NoisyTable, Table

CONFIDENCE = 0.95
"""Two-sided: each condition of the customer rule uses one side, so it holds with 97.5%."""


THRESHOLD, CUSTOMERS, COMPLEMENTARY = range(1, len(REASONS))


def withheld_cells(noisy: NoisyTable, estimates: dict[Table, Estimate], dataset: Dataset) -> dict[str, Integers]:
    """Level name -> why each cell is withheld: the threshold, the customer rule, or so that no difference shows
    another one; zero if it is not."""
    levels = [level for level in noisy.levels if dataset.shows(level.name)]
    found = {level.name: _by_rule(level, estimates, dataset) for level in levels}
    if dataset.suppression.complementary:
        _complete(levels, estimates, dataset, found)
    return found


def _by_rule(level: Level, estimates: dict[Table, Estimate], dataset: Dataset) -> Integers:
    """Below the threshold, or else failing the customer rule."""
    import numpy as np

    few = estimates[level.name, dataset.suppression.measure].value[:, 0] < dataset.suppression.threshold
    failing = _failing(level, estimates, dataset)
    return np.where(few, THRESHOLD, np.where(failing, CUSTOMERS, 0)).astype(np.int64)


def _failing(level: Level, estimates: dict[Table, Estimate], dataset: Dataset) -> Flags:
    """Which cells fail the customer rule; each of its conditions with 97.5% confidence."""
    import numpy as np

    rule = dataset.suppression
    if rule.customers is None or rule.largest_share is None:
        return np.zeros(level.grid.size, dtype=np.bool_)
    withheld: Flags = estimates[level.name, rule.measure].interval(CONFIDENCE)[0] < rule.customers
    for measure in dataset.measures:
        if measure.kind == "sum":
            low, _ = estimates[level.name, measure.name].interval(CONFIDENCE)
            withheld |= largest(level, dataset, measure) > float(rule.largest_share) * low
    return withheld


def largest(level: Level, dataset: Dataset, measure: Measure) -> Integers:
    """The most that one customer can have in each cell: the clamp, once for every finest cell they can be in."""
    import numpy as np

    cells = np.bincount(level.cells, minlength=level.grid.size)
    return measure.clamps[1] * np.minimum(cells, dataset.bounds.max_groups)


def _complete(
    levels: Sequence[Level], estimates: dict[Table, Estimate], dataset: Dataset, found: dict[str, Integers]
) -> None:
    """In a chain of tables, withhold one more child of every family, parent and children, in which exactly one cell is
    withheld: children add up to their parent, so that cell would follow from the others. It is the smallest published
    one, the first if several are equal.

    From the top down this leaves each family with none or at least two, and then no withheld cell follows from sums:
    a change of one can be offset inside each family it belongs to, and so on outward; a forest has no circles.
    An only child has no sibling: if distinct units decide, which need not add up, its parent may show its value.
    """
    import numpy as np

    forest = forest_of(levels)
    occupied = forest.occupied()[1:]
    for (coarse, fine), above, real in zip(pairwise(levels), forest.parents, occupied, strict=True):
        hidden = found[fine.name] > 0
        withheld = np.bincount(above[hidden & real], minlength=coarse.grid.size) + (found[coarse.name] > 0)
        candidates = np.flatnonzero(~hidden & real & (withheld == 1)[above])
        values = estimates[fine.name, dataset.suppression.measure].value[candidates, 0]
        order = candidates[np.lexsort((values, above[candidates]))]
        _, first = np.unique(above[order], return_index=True)
        found[fine.name] = found[fine.name].copy()
        found[fine.name][order[first]] = COMPLEMENTARY
