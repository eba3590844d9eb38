"""Totals over time: sums of the unprojected estimates of released periods. Post-processing, so it costs nothing.

The sums are unbiased: nothing was cut at zero before they were made, as published cells are. Each is cut and rounded
once, for itself, and its margin is that of the noise of all its draws together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from publisher.definitions.cells import CellGrid
from publisher.definitions.totals import adds_over_time
from publisher.privacy.consistency import apportion, project
from publisher.privacy.estimates import Estimate, estimates_of
from publisher.privacy.finish import finished
from publisher.privacy.margins import added
from publisher.privacy.suppression import COMPLEMENTARY, CONFIDENCE, CUSTOMERS, THRESHOLD, largest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.dataset import Dataset
    from publisher.definitions.levels import Level
    from publisher.definitions.period import Period
    from publisher.definitions.totals import TotalOverTime
    from publisher.stages import FinishedTable, Flags, Floats, Integers, NoisyTable, Table


@dataclass(frozen=True)
class Addend:
    """One period's draw; `suppressed` says which cells of the table that is added up its release withholds."""

    noisy: NoisyTable
    suppressed: Flags


def total_over_time(
    addends: Sequence[Addend], dataset: Dataset, total: TotalOverTime, period: Period, windows: int
) -> FinishedTable:
    """The table of one total. A unit may count in up to `windows` of the privacy unit's windows of these periods."""
    level = next(each for each in addends[0].noisy.levels if each.name == total.level)
    each_period = [_estimates(each.noisy, dataset, total.level) for each in addends]
    sums = {
        (total.name, measure.name): _sum([found[measure.name] for found in each_period])
        for measure in dataset.measured
        if adds_over_time(dataset, measure)
    }
    own = replace(level, name=total.name, grid=CellGrid((period,), level.grid.axes))
    counted = [found[dataset.suppression.measure] for found in each_period]
    withheld = _withheld(own, counted, sums, dataset, windows)
    if dataset.suppression.customers is not None:
        alone = sum(each.suppressed.astype(int) for each in addends) == 1
        withheld[alone & (withheld == 0)] = COMPLEMENTARY
    shown = [each for each in dataset.measures if each.shown and adds_over_time(dataset, each)]
    table = finished(own, shown, sums, withheld, dataset)
    if total.running:  # they overlap, so their errors are alike, and no law of independent releases holds
        table = replace(table, measures=tuple(replace(each, noise=None) for each in table.measures))
    return table


def _estimates(noisy: NoisyTable, dataset: Dataset, level: str) -> dict[str, Estimate]:
    return {measure: each for (of, measure), each in estimates_of(noisy, dataset).items() if of == level}


def _sum(parts: Sequence[Estimate]) -> Estimate:
    """The unbiased sum and its margin; the published number is it, cut at zero and rounded."""
    import numpy as np

    floor = parts[0].floor
    center: Floats = np.sum([each.center for each in parts], axis=0)
    value = np.rint(np.maximum(center, floor)).astype(np.int64) if center.shape[1] == 1 else whole_bins(center)
    return Estimate(center, value, added([each.margins for each in parts]), floor)


def whole_bins(center: Floats) -> Integers:
    """Whole bins ≥ 0 that add up to each cell's own total: each cut at zero by itself, the empty ones above a median
    would pull it up."""
    import numpy as np

    cells, bins = center.shape
    totals = np.rint(np.maximum(center.sum(axis=1), 0)).astype(np.int64)
    families = np.repeat(np.arange(cells), bins)
    return apportion(project(center.ravel(), families, totals), families, totals).reshape(cells, bins)


def _withheld(
    level: Level, counted: Sequence[Estimate], sums: dict[Table, Estimate], dataset: Dataset, windows: int
) -> Integers:
    """Below the threshold, or else failing the customer rule; zero if it is shown.

    Units do not add up over time, so where they are counted, the period with the most of them decides.
    """
    import numpy as np

    rule = dataset.suppression
    total = sums.get((level.name, rule.measure))
    value = total.value if total is not None else np.max([each.value for each in counted], axis=0)
    failing = np.zeros(level.grid.size, dtype=np.bool_)
    if rule.customers is not None and rule.largest_share is not None:
        failing |= _most_customers(counted) < rule.customers
        for measure in dataset.measures:
            if measure.kind == "sum":
                low, _ = sums[level.name, measure.name].interval(CONFIDENCE)
                failing |= windows * largest(level, dataset, measure) > float(rule.largest_share) * low
    return np.where(value[:, 0] < rule.threshold, THRESHOLD, np.where(failing, CUSTOMERS, 0)).astype(np.int64)


def _most_customers(counted: Sequence[Estimate]) -> Floats:
    """The largest low end of one period's customers; all low ends hold together with 97.5% confidence."""
    import numpy as np

    joint = 1 - (1 - CONFIDENCE) / len(counted)
    found: Floats = np.max([each.interval(joint)[0] for each in counted], axis=0)
    return found
