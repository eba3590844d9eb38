"""Medians and other quantiles, read from a noisy histogram: which bins the noise cannot tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from publisher.privacy.estimates import Estimate
    from publisher.stages import Flags, Floats, Integers

ROUNDING = 1e-6
MOST = 24
"""How many bins have their noise quantile computed; between them it is interpolated in standard deviations, where it
hardly changes. The standard deviation is exact in every bin."""


@dataclass(frozen=True)
class Bins:
    """Per cell, the bin of the quantile and the first and last bin that it may be in; `empty` if nothing is counted."""

    value: Integers
    low: Integers
    high: Integers
    empty: Flags


def bins_of(histogram: Estimate, probability: float, confidence: float) -> Bins:
    """Where a quantile lies: the first bin b with F_b ≥ p·N, F_b being the count up to and with b, N all of them.

    Let T_b = F_b - p·N. Its noise has independent parts, a coefficient 1 - p for each bin up to b and -p for each one
    after; q_b is the half width that this noise stays within with the confidence, so beyond it on either side with at
    most half of what is left (noise is symmetric). `low` is the first b with T_b + q_b ≥ 0; `high` follows the last b
    with T_b - q_b < 0. Each errs with at most half of what the confidence leaves: let m be the true bin, so T_m ≥ 0 and
    T_(m-1) < 0 in truth. `low` > m needs T_m + q_m < 0, noise below -q_m in that one place; `high` < m needs
    T_(m-1) - q_(m-1) ≥ 0, noise above q_(m-1) in that one place. Neither needs the other bins to hold as well.

    The value is the quantile of the published histogram; if needed, the bins are widened to contain it.

    A histogram of waits, in the bins 0, 1, 3 and 5 days or more, each with noise of scale 2 on its count: the median
    is in the bin from 3, or, as far as the noise can tell, in the one before.

    >>> import numpy as np
    >>> from decimal import Decimal
    >>> from publisher.privacy.distribution import Noise, NoiseTerm
    >>> from publisher.privacy.estimates import Estimate
    >>> from publisher.privacy.margins import Margins
    >>> noise = Noise((("discrete gaussian", 2.0),))
    >>> margins = Margins(np.array([2.0]), np.array([0]), ((NoiseTerm(noise, 1.0, 1),),), noise=noise)
    >>> counts = np.array([[10, 38, 30, 20]])
    >>> waits = Estimate(counts.astype(float), counts, margins, 0.0)
    >>> bins = bins_of(waits, probability=0.5, confidence=0.95)
    >>> words(tuple(map(Decimal, (0, 1, 3, 5))), bins)
    ('1 to 5',)
    """
    import numpy as np

    above = _excess(histogram.center, probability)
    widths = _widths(histogram, probability, confidence) + ROUNDING
    low = _first(above + widths >= 0)
    bins = above.shape[1]
    high = np.minimum(bins - _first((above - widths < 0)[:, ::-1], otherwise=bins), bins - 1)
    value = _first(_excess(histogram.value, probability) >= -ROUNDING)
    empty = histogram.value.sum(axis=1) <= 0
    return Bins(value, np.minimum(low, value), np.maximum(high, value), empty)


def counted_low(histogram: Estimate, confidence: float) -> Floats:
    """Per cell, the low end of the number of values in all bins together."""
    bins = histogram.center.shape[1]
    total: Floats = histogram.center.sum(axis=1)
    return total - histogram.margins.half_widths_of(((1.0, bins),), confidence)


def words(edges: tuple[Decimal, ...], bins: Bins) -> tuple[str | None, ...]:
    """Per cell the interval in words, such as "3 to 5" or "≥ 30"; None if nothing is counted."""
    names = [f"{edge.normalize():f}" for edge in edges]
    closed = [[f"{low} to {high}" for high in names[1:]] + [f"≥ {low}"] for low in names]
    return tuple(
        None if empty else closed[low][high]
        for low, high, empty in zip(bins.low.tolist(), bins.high.tolist(), bins.empty.tolist(), strict=True)
    )


def _excess(counts: Floats | Integers, probability: float) -> Floats:
    """T_b of every cell and bin."""
    import numpy as np

    upto = np.cumsum(counts, axis=1, dtype=np.float64)
    return upto - probability * upto[:, -1:]


def _widths(histogram: Estimate, probability: float, confidence: float) -> Floats:
    """q_b of every cell and bin."""
    import numpy as np

    bins = histogram.center.shape[1]
    upto = np.arange(1, bins + 1)
    norms = np.sqrt(upto * (1 - probability) ** 2 + (bins - upto) * probability**2)
    asked = np.unique(np.linspace(1, bins, min(bins, MOST)).astype(int))
    found = [
        histogram.margins.half_widths_of(((1 - probability, int(b)), (probability, int(bins - b))), confidence)
        for b in asked
    ]
    quantiles = np.stack(found, axis=1) / norms[asked - 1]
    after = np.searchsorted(asked, upto)
    before = np.maximum(after - 1, 0)
    part = (upto - asked[before]) / np.maximum(asked[after] - asked[before], 1)
    widths: Floats = (quantiles[:, before] * (1 - part) + quantiles[:, after] * part) * norms
    return widths


def _first(flags: Flags, otherwise: int | None = None) -> Integers:
    """Per row, the first place that is true; if there is none, `otherwise` or the last place."""
    import numpy as np

    last = flags.shape[1] - 1 if otherwise is None else otherwise
    return np.where(flags.any(axis=1), flags.argmax(axis=1), last).astype(np.int64)
