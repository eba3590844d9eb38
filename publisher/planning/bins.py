"""Bins that are too wide for their values: known from the definition, before a record is read or anything is spent."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from publisher.definitions.dataset import Measure
    from publisher.workspace import DatasetFile

WIDEST = 1 / 3
"""Half a bin's width over its middle: beyond it, statistical agencies call a number that is known to its bin unsure.
A bin that ends at twice its beginning is not too wide: without such ones no bins could begin at zero."""


def wide_bins(dataset: DatasetFile) -> Iterator[str]:
    """A line for each published quantile that some of its bins cannot tell well enough, with noise or without.

    The last bin is open and cannot be judged. One that begins at zero is wide for the values next to zero whatever its
    width; it counts if it is also wider than the bin after it.
    """
    measures = {measure.name: measure for measure in dataset.definition.measures}
    for measure in measures.values():
        if measure.histogram is not None and measure.publish:
            wide = list(_wide(measures[measure.histogram].bins or (), measure.resolution))
            if wide:
                yield _words(dataset, measure, wide)


def _wide(edges: tuple[Decimal, ...], step: Decimal | None) -> Iterator[tuple[Decimal, Decimal]]:
    """Begin and end of each such bin; where values come in steps, it ends with its last one."""
    spans = [(low, high - (step or 0)) for low, high in pairwise(edges)]
    for n, (low, high) in enumerate(spans):
        if low <= 0 <= high:
            after = spans[n + 1 : n + 2]
            wide = any(high - low > end - begin for begin, end in after)
        else:
            wide = float(high - low) > WIDEST * float(abs(low + high))
        if wide:
            yield low, high


def _words(dataset: DatasetFile, measure: Measure, wide: list[tuple[Decimal, Decimal]]) -> str:
    named = ", ".join(f"{low.normalize():f} to {high.normalize():f}" for low, high in wide)
    bins, it = ("bin", "it") if len(wide) == 1 else ("bins", "them")
    return (
        f"dataset {dataset.name}: {measure.histogram} has the {bins} {named}: in the middle of {it}, {measure.name} is "
        f"more than ±{WIDEST:.0%} unsure, whatever the loss: divide {it}"
    )
