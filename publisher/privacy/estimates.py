"""The best estimate of every measured number on every level, and the number that is published for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from publisher.definitions.levels import forms_chain
from publisher.privacy.agreement import summed, whole_on_lattice
from publisher.privacy.consistency import whole
from publisher.privacy.fit import fit_of
from publisher.privacy.lattice import LatticeFit
from publisher.privacy.margins import margins_of, margins_on, noises_of, reconciled
from publisher.privacy.reconcile import forest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.dataset import Dataset, Measure
    from publisher.definitions.levels import Level
    from publisher.privacy.fit import JointFit
    from publisher.privacy.margins import Margins
    from publisher.stages import Floats, Integers, NoisyTable, Table

ROUNDING = 1e-6
"""Floats may miss a whole number by this much."""
APART = 2
"""Two machines may round a cell up and down, and floats on both sides of a whole number to its two neighbors."""


@dataclass(frozen=True)
class Estimate:
    """One measure on one level, in whole steps; arrays are (cells, bins), with one bin except for histograms.

    `center` is unbiased, and margins are around it; `value` is what is published: whole, adding up, not below `floor`.
    """

    center: Floats
    value: Integers
    margins: Margins
    floor: float

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Per cell, the whole numbers that the truth is between with this confidence; not cut. Not for histograms."""
        import numpy as np

        center, width = self.center[:, 0], self.margins.half_widths(confidence)
        return np.ceil(center - width - ROUNDING), np.floor(center + width + ROUNDING)


def estimates_of(noisy: NoisyTable, dataset: Dataset) -> dict[Table, Estimate]:
    """Every measured measure on every level: reconciled if levels add up, otherwise as measured."""
    found: dict[Table, Estimate] = {}
    for measure in dataset.measured:
        make = _reconciled if reconciled(noisy.levels, dataset, measure) else _as_measured
        for level, each in zip(noisy.levels, make(noisy, dataset, measure), strict=True):
            found[level.name, measure.name] = each
    return found


def settled(noisy: NoisyTable, dataset: Dataset) -> NoisyTable:
    """The same with the whole numbers of finest cells, if tables are no chain; those that it has stay."""
    if noisy.whole or forms_chain(noisy.levels):
        return noisy
    measures = [each for each in dataset.measured if reconciled(noisy.levels, dataset, each)]
    found = {each.name: _reconciled(noisy, dataset, each)[-1].value.reshape(-1) for each in measures}
    return replace(noisy, whole=found)


def strays(noisy: NoisyTable, dataset: Dataset) -> bool:
    """Whether whole numbers that were kept are farther from this machine's than another way of rounding explains."""
    again = settled(replace(noisy, whole={}), dataset).whole
    return noisy.whole.keys() != again.keys() or any(
        bool((abs(kept - again[name]) > APART + ROUNDING * abs(kept)).any()) for name, kept in noisy.whole.items()
    )


def floor_of(measure: Measure) -> float:
    """Zero if no value can be negative."""
    return float("-inf") if measure.kind == "sum" and measure.clamps[0] < 0 else 0.0


def _tables(noisy: NoisyTable, measure: Measure) -> list[Integers]:
    return [noisy.tables[level.name, measure.name].reshape(-1, measure.width) for level in noisy.levels]


def _as_measured(noisy: NoisyTable, dataset: Dataset, measure: Measure) -> list[Estimate]:
    import numpy as np

    floor = floor_of(measure)
    margins = margins_of(noisy.levels, noisy.mechanisms, dataset, measure)
    return [
        Estimate(table.astype(np.float64), np.maximum(table, 0) if floor == 0 else table, each, floor)
        for table, each in zip(_tables(noisy, measure), margins, strict=True)
    ]


def _reconciled(noisy: NoisyTable, _: Dataset, measure: Measure) -> list[Estimate]:
    import numpy as np

    floor = floor_of(measure)
    noises = noises_of(noisy.levels, noisy.mechanisms, measure)
    fit = fit_of(noisy.levels, [noise.variance for noise in noises])
    centers = fit.estimate([table.astype(np.float64) for table in _tables(noisy, measure)])
    if measure.name in noisy.whole:
        values = summed(noisy.levels, noisy.whole[measure.name].reshape(-1, measure.width))
    else:
        values = _whole(noisy.levels, fit, centers, nonnegative=floor == 0)
    margins = margins_on(fit, noises)
    return [Estimate(*each, floor) for each in zip(centers, values, margins, strict=True)]


def _whole(
    levels: Sequence[Level], fit: JointFit, centers: Sequence[Floats], *, nonnegative: bool
) -> tuple[Integers, ...]:
    """Whole numbers that add up: from the top down in a chain of tables, else by finest cells."""
    if isinstance(fit, LatticeFit):
        return whole_on_lattice(levels, fit, centers, nonnegative=nonnegative)
    return whole(forest_of(levels), centers, nonnegative=nonnegative)
