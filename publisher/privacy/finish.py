"""From noisy tables to what is published: margins, suppression, status. Post-processing only, free of loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.privacy.margins import half_width
from publisher.stages import FinishedMeasure, FinishedTable

if TYPE_CHECKING:
    from publisher.definitions.dataset import Dataset, Measure
    from publisher.stages import Flags, Floats, NoisyTable

CONFIDENCE = 0.95
PAIR_CONFIDENCE = 0.975
"""Each part of a quotient, so that both hold together with 95 %."""


def finish(noisy: NoisyTable, dataset: Dataset) -> FinishedTable:
    """Values, margins and statuses of every published measure. Reads noisy values and the definition alone."""
    import numpy as np

    suppressed = _suppressed(noisy, dataset)
    measures = []
    for measure in dataset.measures:
        if not measure.publish:
            continue
        value, low, high = _mean(noisy, measure, dataset) if measure.kind == "mean" else _table(noisy, measure)
        unreliable = _unreliable(value, low, high, float(dataset.suppression.unreliable))
        if measure.kind == "mean":
            unreliable |= _interval(noisy, measure.count or "", PAIR_CONFIDENCE)[0] <= 0
        shown = [np.where(suppressed, np.nan, column) for column in (value, low, high)]
        measures.append(FinishedMeasure(measure.name, shown[0], shown[1], shown[2], unreliable & ~suppressed))
    return FinishedTable(noisy.grid, tuple(measures), suppressed)


def _table(noisy: NoisyTable, measure: Measure) -> tuple[Floats, Floats, Floats]:
    """A count or a sum, in its unit: cut at zero where it cannot be negative; the margin holds the value."""
    import numpy as np

    step, floor = _step(measure), _floor(measure)
    low, high = _interval(noisy, measure.name, CONFIDENCE)
    value = np.maximum(noisy.tables[measure.name].astype(np.float64), floor)
    low, high = np.maximum(low, floor), np.maximum(high, floor)
    return value * step, np.minimum(low, value) * step, np.maximum(high, value) * step


def _mean(noisy: NoisyTable, measure: Measure, dataset: Dataset) -> tuple[Floats, Floats, Floats]:
    """The quotient of a sum and a count with the range of the quotients of their 97.5 % intervals."""
    import numpy as np

    total = next(each for each in dataset.measures if each.name == measure.sum_)
    step, floor, (_, ceiling) = _step(total), _floor(total), total.clamps
    sum_low, sum_high = (np.maximum(bound, floor) for bound in _interval(noisy, total.name, PAIR_CONFIDENCE))
    count_low, count_high = (np.maximum(bound, 1) for bound in _interval(noisy, measure.count or "", PAIR_CONFIDENCE))
    sums = np.maximum(noisy.tables[total.name].astype(np.float64), floor)
    counts = noisy.tables[measure.count or ""].astype(np.float64)
    value = np.where(counts >= 1, sums / np.maximum(counts, 1), np.nan)
    low = np.minimum(sum_low / count_low, sum_low / count_high)
    high = np.maximum(sum_high / count_low, sum_high / count_high)
    # A record's clamped value never exceeds the clamps, so neither does the mean.
    value, low, high = (np.clip(column, min(floor, total.clamps[0]), ceiling) for column in (value, low, high))
    blank = np.isnan(value)
    low, high = np.where(blank, np.nan, np.minimum(low, value)), np.where(blank, np.nan, np.maximum(high, value))
    return value * step, low * step, high * step


def _suppressed(noisy: NoisyTable, dataset: Dataset) -> Flags:
    """Below the threshold, or failing the customer rule; each condition of the rule with 97.5 % confidence."""
    import numpy as np

    rule = dataset.suppression
    withheld = np.maximum(noisy.tables[rule.measure], 0) < rule.threshold  # as it is shown: a threshold of 0 has none
    if rule.customers is None or rule.largest_share is None:
        return withheld
    withheld = withheld | (_interval(noisy, rule.measure, CONFIDENCE)[0] < rule.customers)
    for measure in dataset.measures:
        if measure.kind == "sum":
            low, _ = _interval(noisy, measure.name, CONFIDENCE)
            withheld = withheld | (measure.clamps[1] > float(rule.largest_share) * low)
    return withheld


def _unreliable(value: Floats, low: Floats, high: Floats, part: float) -> Flags:
    import numpy as np

    return np.isnan(value) | ((high - low) / 2 > part * np.abs(value))


def _interval(noisy: NoisyTable, name: str, confidence: float) -> tuple[Floats, Floats]:
    """The noise's own interval around the unbiased value, in steps."""
    import numpy as np

    mechanism = next(each for each in noisy.mechanisms if each.measure == name)
    width = half_width(mechanism, confidence)
    centre = noisy.tables[name].astype(np.float64)
    return centre - width, centre + width


def _step(measure: Measure) -> float:
    return float(measure.resolution) if measure.resolution is not None else 1.0


def _floor(measure: Measure) -> float:
    """Zero where no value can be negative."""
    return float("-inf") if measure.kind == "sum" and measure.clamps[0] < 0 else 0.0
