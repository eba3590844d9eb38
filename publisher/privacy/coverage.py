"""How much of a total its bounds let count: the bounded total over the same total within wider bounds, both noisy.

A raw total has no finite sensitivity, so the share is one of what lies within wider bounds, which people declare. Cells
and records are kept by one order for both, so what counts is a part of that, and the share is between zero and one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING

from publisher.definitions.dataset import WIDER
from publisher.privacy.distribution import Noise, NoiseTerm
from publisher.privacy.estimates import Estimate
from publisher.privacy.margins import Margins
from publisher.privacy.ratio import quotients
from publisher.privacy.suppression import CONFIDENCE

if TYPE_CHECKING:
    from publisher.definitions.dataset import Dataset, Measure
    from publisher.stages import NoisyTable, Table


@dataclass(frozen=True)
class CoveredPart:
    """The share of one measure that counts, with its 95% range, in whole percent."""

    measure: str
    share: float
    low: float
    high: float


def coverages(noisy: NoisyTable, dataset: Dataset) -> tuple[CoveredPart, ...]:
    """The share of each measure that counts; none where the noise hides whether there is anything at all."""
    found = []
    for measure in dataset.covered:
        bounded, wider = _bounded(noisy, dataset, measure), _total(noisy, (WIDER, measure.name))
        if wider.interval(CONFIDENCE)[0][0] <= 0:
            continue
        (low,), (high,) = quotients(bounded, wider, 0.0, 1.0, CONFIDENCE)
        share = min(max(float(bounded.center[0, 0] / wider.center[0, 0]), low), high)
        # Whole percent, the ends outward: with all digits, share and range would give the noisy totals back, also those
        # of cells that are withheld.
        ends = floor(100 * float(low)) / 100, ceil(100 * float(high)) / 100
        found.append(CoveredPart(measure.name, round(share, 2), *ends))
    return tuple(found)


def _bounded(noisy: NoisyTable, dataset: Dataset, measure: Measure) -> Estimate:
    """The bounded total, from the table whose sum has the least noise. Units do not add up but in finest cells, which
    count one in each of its cells, as the wider total does."""
    levels = [each.name for each in noisy.levels] if dataset.adds_up(measure) else [""]
    totals = [_total(noisy, (level, measure.name)) for level in levels]
    return min(totals, key=lambda total: float(total.margins.deviations[0]))


def _total(noisy: NoisyTable, table: Table) -> Estimate:
    """The sum of a table as it was measured, with the law of the noise of all its cells."""
    import numpy as np

    cells = noisy.tables[table].size
    noise = Noise(tuple((each.kind, each.scale) for each in noisy.mechanisms if each.table == table))
    deviation = np.array([(cells * noise.variance) ** 0.5])
    shape = (NoiseTerm(noise, cells**-0.5, cells),)
    margins = Margins(deviation, np.zeros(1, dtype=np.int64), (shape,), noises=(noise,))
    total = int(noisy.tables[table].sum())
    return Estimate(np.array([[float(total)]]), np.array([[total]]), margins, 0.0)
