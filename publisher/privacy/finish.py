"""From noisy tables to what is published: values, margins, suppression, status. All of it is free post-processing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from publisher.grades import STATUSES, SUPPRESSED, UNRELIABLE, grades, margin_percents
from publisher.portal.contract import NoiseLaw
from publisher.privacy.estimates import estimates_of
from publisher.privacy.quantile import PublicBins, bins_of, counted_low, inside, words
from publisher.privacy.ratio import quotients
from publisher.privacy.suppression import CONFIDENCE, withheld_cells
from publisher.stages import FinishedMeasure, FinishedTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.dataset import Dataset, Measure
    from publisher.definitions.levels import Level
    from publisher.privacy.estimates import Estimate
    from publisher.stages import Flags, Floats, Integers, NoisyTable, Table

    Texts = tuple[str | None, ...] | None
    Columns = tuple[Floats, Floats, Floats, Flags, Flags, Texts]
    """Value, low, high, whether there is no noise in it, whether there may be nothing behind it, and words of every
    cell."""

__all__ = ["CONFIDENCE", "finish", "finished"]

DECIMALS = 2
"""Means are published to this many decimals; their margins are rounded outwards."""


def finish(noisy: NoisyTable, dataset: Dataset) -> tuple[FinishedTable, ...]:
    """Values, margins and statuses of every published measure: one table per published level, in order.

    Reads only noisy values and the definition. Counts, sums and histograms of all levels are reconciled and add up;
    units counted on several levels add up only if each has one cell (`max_groups = 1`), otherwise they stay as
    measured.
    """
    estimates = estimates_of(noisy, dataset)
    withheld = withheld_cells(noisy, estimates, dataset)
    shown = [measure for measure in dataset.measures if measure.shown]
    return tuple(
        finished(level, shown, estimates, withheld[level.name], dataset)
        for level in noisy.levels
        if dataset.shows(level.name)
    )


def finished(
    level: Level, measures: Sequence[Measure], estimates: dict[Table, Estimate], withheld: Integers, dataset: Dataset
) -> FinishedTable:
    """One table of these measures; `withheld` says why each cell is suppressed."""
    shown = (
        replace(
            _shown(each, _columns(level, each, estimates, dataset), withheld > 0),
            noise=_law(each, estimates[level.name, each.name]) if each.measured else None,
        )
        for each in measures
    )
    return FinishedTable(level.name, level.grid, tuple(shown), withheld)


def _law(measure: Measure, estimate: Estimate) -> NoiseLaw:
    """The constants that tell which published numbers differ. Cells that are zero without any noise do not count."""
    margins, step = estimate.margins, _step(measure)
    widths = margins.half_widths(CONFIDENCE)
    widths = widths[widths > 0] if widths.any() else widths
    same, other = margins.joint * margins.reach, float(margins.deviations.max()) * margins.reach
    least, most, same, other = (
        round(round(float(width), 3) * step, 9) for width in (widths.min(), widths.max(), same, other)
    )
    tail: Literal["normal", "exponential"] = "normal" if margins.normal else "exponential"
    return NoiseLaw(step, least, most, same, other, signed=estimate.floor < 0, tail=tail)


def _shown(measure: Measure, columns: Columns, suppressed: Flags) -> FinishedMeasure:
    import numpy as np

    value, low, high, exact, empty, texts = columns
    value, low, high = (np.where(suppressed, np.nan, each) for each in _rounded(value, low, high, measure))
    graded = np.where(empty, STATUSES.index(UNRELIABLE), grades(value, low, high, exact))
    graded = np.where(suppressed, STATUSES.index(SUPPRESSED), graded)
    if texts is not None:
        texts = tuple(None if gone else text for gone, text in zip(suppressed.tolist(), texts, strict=True))
    return FinishedMeasure(measure.name, value, low, high, margin_percents(value, low, high), graded, texts)


def _rounded(value: Floats, low: Floats, high: Floats, measure: Measure) -> tuple[Floats, Floats, Floats]:
    """Value and margin as they are published, without the noise of binary fractions; the margin contains the value.

    They are graded as they are published, so that a reader who computes the percentage finds the same grade.
    """
    import numpy as np

    if measure.kind == "mean":
        scale = 10.0**DECIMALS
        low, high = np.floor(np.round(low * scale, 6)) / scale, np.ceil(np.round(high * scale, 6)) / scale
        return np.round(value, DECIMALS), low, high
    if measure.resolution is not None:
        # Whole multiples of a decimal step.
        places = max(0, -int(measure.resolution.normalize().as_tuple().exponent))
        return np.round(value, places), np.round(low, places), np.round(high, places)
    return value, low, high


def _columns(level: Level, measure: Measure, estimates: dict[Table, Estimate], dataset: Dataset) -> Columns:
    if measure.kind == "mean":
        return _mean(level, measure, estimates, dataset)
    if measure.kind == "quantile":
        return _quantile(level, measure, estimates, dataset)
    return _number(estimates[level.name, measure.name], measure)


def _number(estimate: Estimate, measure: Measure) -> Columns:
    """A count or a sum, in its unit: cut at zero if it cannot be negative; the margin contains the value."""
    import numpy as np

    step = _step(measure)
    value = estimate.value[:, 0].astype(np.float64)
    least, most = estimate.interval(CONFIDENCE)
    low, high = (np.maximum(end, estimate.floor) for end in (least, most))
    low, high = np.minimum(low, value), np.maximum(high, value)
    exact, empty = (least >= most) & (low == high), np.zeros(len(value), dtype=bool)
    return value * step, low * step, high * step, exact, empty, None


def _mean(level: Level, measure: Measure, estimates: dict[Table, Estimate], dataset: Dataset) -> Columns:
    """The quotient of a sum and a count; where the count may be zero there may be nothing behind it."""
    import numpy as np

    total = _named(dataset, measure.sum_)
    sums, counts = estimates[level.name, total.name], estimates[level.name, measure.count or ""]
    most = _most(level, measure, dataset)
    ends = float(min(0, total.clamps[0] * most)), float(total.clamps[1] * most)
    low, high = quotients(sums, counts, *ends, CONFIDENCE)
    few = counts.interval(CONFIDENCE)[0] <= 0
    count = counts.value[:, 0]
    value = np.clip(np.where(count >= 1, sums.value[:, 0] / np.maximum(count, 1), np.nan), *ends)
    blank = np.isnan(value)
    low, high = np.where(blank, np.nan, np.minimum(low, value)), np.where(blank, np.nan, np.maximum(high, value))
    exact = (sums.margins.deviations == 0) & (counts.margins.deviations == 0)
    step = _step(total)
    return value * step, low * step, high * step, exact, few, None


def _most(level: Level, measure: Measure, dataset: Dataset) -> int:
    """How many clamped totals one counted thing can have: a mean never exceeds that many times the upper clamp.

    A record has one, and so has a unit in a finest cell; in a coarser cell a unit may have one for each of its k cells.
    """
    units = _named(dataset, measure.count).kind == "count_units"
    return dataset.bounds.max_groups if units and level.name else 1


def _quantile(level: Level, measure: Measure, estimates: dict[Table, Estimate], dataset: Dataset) -> Columns:
    """Interpolated inside its bin, or the beginning of the last, open one; its margin in whole bins.

    The margin runs from the beginning of the first bin that the noise allows to the end of the last, NaN if that is the
    open one, and is graded like any other: a bin that is wide for its value is no precise number.
    """
    import numpy as np

    histogram = estimates[level.name, measure.histogram or ""]
    public = PublicBins(_named(dataset, measure.histogram).bins or (), measure.resolution)
    bins = bins_of(histogram, float(measure.probability or 0), CONFIDENCE)
    lower, upper = public.spans()
    columns = (inside(public, bins), lower[bins.low], upper[bins.high])
    value, low, high = (np.where(bins.empty, np.nan, each) for each in columns)
    empty = bins.empty | (counted_low(histogram, CONFIDENCE) <= 0)
    exact = low == high  # the noise allows one bin, which holds one value: nothing was cut
    return value, low, high, exact, empty, words(public, bins)


def _named(dataset: Dataset, name: str | None) -> Measure:
    return next(each for each in dataset.measures if each.name == name)


def _step(measure: Measure) -> float:
    return float(measure.resolution) if measure.resolution is not None else 1.0
