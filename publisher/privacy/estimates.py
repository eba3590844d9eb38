"""The best estimate of every measured number on every level, and the number that is published for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.privacy.consistency import whole
from publisher.privacy.margins import margins_of, margins_on, noises_of, reconciled
from publisher.privacy.reconcile import estimate, forest_of, gains_of

if TYPE_CHECKING:
    from publisher.definitions.dataset import Dataset, Measure
    from publisher.privacy.margins import Margins
    from publisher.privacy.reconcile import Forest
    from publisher.stages import Floats, Integers, NoisyTable, Table

ROUNDING = 1e-6
"""Floats may miss a whole number by this much."""


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
    forest = forest_of(noisy.levels)
    for measure in dataset.measured:
        make = _reconciled if reconciled(noisy.levels, dataset, measure) else _as_measured
        for level, each in zip(noisy.levels, make(noisy, dataset, measure, forest), strict=True):
            found[level.name, measure.name] = each
    return found


def floor_of(measure: Measure) -> float:
    """Zero if no value can be negative."""
    return float("-inf") if measure.kind == "sum" and measure.clamps[0] < 0 else 0.0


def _tables(noisy: NoisyTable, measure: Measure) -> list[Integers]:
    return [noisy.tables[level.name, measure.name].reshape(-1, measure.width) for level in noisy.levels]


def _as_measured(noisy: NoisyTable, dataset: Dataset, measure: Measure, _: Forest) -> list[Estimate]:
    import numpy as np

    floor = floor_of(measure)
    margins = margins_of(noisy.levels, noisy.mechanisms, dataset, measure)
    return [
        Estimate(table.astype(np.float64), np.maximum(table, 0) if floor == 0 else table, each, floor)
        for table, each in zip(_tables(noisy, measure), margins, strict=True)
    ]


def _reconciled(noisy: NoisyTable, _: Dataset, measure: Measure, forest: Forest) -> list[Estimate]:
    import numpy as np

    floor = floor_of(measure)
    noises = noises_of(noisy.levels, noisy.mechanisms, measure)
    gains = gains_of(forest, [noise.variance for noise in noises])
    centers = estimate(forest, gains, [table.astype(np.float64) for table in _tables(noisy, measure)])
    values = whole(forest, centers, nonnegative=floor == 0)
    margins = margins_on(forest, gains, noises)
    return [Estimate(*each, floor) for each in zip(centers, values, margins, strict=True)]
