"""Whole numbers that add up exactly, as close to the estimates as possible, from the top down.

Each family of children is projected onto {children ≥ 0, sum = parent} in the Euclidean norm (Michelot 1986) and rounded
by largest remainder. Families are numbered one after another in flat arrays and processed all at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.privacy.reconcile import Forest
    from publisher.stages import Floats, Integers


def whole(forest: Forest, estimates: Sequence[Floats], *, nonnegative: bool) -> tuple[Integers, ...]:
    """Per level (cells, width) whole numbers; children add up to their parent in every column."""
    import numpy as np

    width = estimates[0].shape[1]
    roots = np.rint(estimates[0]).astype(np.int64)
    found = [np.maximum(roots, 0) if nonnegative else roots]
    for above, wanted, occupied in zip(forest.parents, estimates[1:], forest.occupied()[1:], strict=True):
        families = (above[occupied][:, None] * width + np.arange(width)).ravel()
        totals, values = found[-1].ravel(), wanted[occupied].ravel()
        if nonnegative:
            values = project(values, families, totals)
        rounded = np.zeros(wanted.shape, dtype=np.int64)
        rounded[occupied] = apportion(values, families, totals).reshape(-1, width)
        found.append(rounded)
    return tuple(found)


def project(values: Floats, families: Integers, totals: Integers) -> Floats:
    """The nearest numbers ≥ 0 that sum to their family's total (≥ 0): max(v - τ, 0) with one τ per family.

    Members below the τ of those that remain are dropped until there are none; the largest always remains, because
    values are taken relative to it, which keeps the differences of large numbers exact as well.

    Three districts were estimated as 5, 3 and -2, and their city as 6. Numbers below zero become zero, and the others
    are reduced by the same amount.

    >>> import numpy as np
    >>> project(np.array([5.0, 3.0, -2.0]), np.array([0, 0, 0]), np.array([6])).tolist()
    [4.0, 2.0, 0.0]
    """
    import numpy as np

    largest = np.full(totals.size, -np.inf)
    np.maximum.at(largest, families, values)
    relative = values - largest[families]
    left = np.arange(values.size)
    while True:
        counts = np.bincount(families[left], minlength=totals.size)
        sums = np.bincount(families[left], relative[left], totals.size)
        level = (sums - totals) / np.maximum(counts, 1)
        staying = left[relative[left] >= level[families[left]]]
        if staying.size == left.size:
            projected: Floats = np.maximum(relative - level[families], 0)
            return projected
        left = staying


def apportion(values: Floats, families: Integers, totals: Integers) -> Integers:
    """Whole numbers by largest remainder, each family's sum exactly its total; ties go to the first cell."""
    import numpy as np

    floors = np.floor(values)
    found = floors.astype(np.int64)
    missing = totals.copy()
    np.subtract.at(missing, families, found)  # in integers: floats would lose the last digits of large totals
    sizes = np.bincount(families, minlength=totals.size)
    extra = np.clip(missing, 0, sizes)
    first = np.cumsum(sizes) - sizes
    order = np.lexsort((-np.round(values - floors, 6), families))
    ranks = np.arange(values.size) - first[families[order]]
    found[order] += ranks < extra[families[order]]
    excess = missing - extra  # only what floats could not hold of a large total; its largest child has room for it
    if excess.any():
        order = np.lexsort((-found, families))
        found[order[first[sizes > 0]]] += excess[sizes > 0]
    return found
