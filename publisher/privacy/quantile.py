"""Medians and other quantiles, read from a noisy histogram: their place in a bin, and the bins that they may be in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from publisher.privacy.estimates import Estimate
    from publisher.stages import Flags, Floats, Integers

ROUNDING = 1e-6
DECIMALS = 2
"""How many more decimal places than the edges have are shown inside a bin."""
MOST = 24
"""How many bins have their noise quantile computed; between them it is interpolated in standard deviations, where it
hardly changes. The standard deviation is exact in every bin."""


@dataclass(frozen=True)
class PublicBins:
    """What the bins hold: where each begins, and the `step` in which values come; None if they may lie anywhere."""

    edges: tuple[Decimal, ...]
    step: Decimal | None = None

    @property
    def tops(self) -> tuple[Decimal, ...]:
        """The end of each bin but the last, which is open: where the next begins, or one step before.

        >>> from decimal import Decimal
        >>> PublicBins((Decimal(0), Decimal(1), Decimal(5)), step=Decimal(1)).tops
        (Decimal('0'), Decimal('4'))
        """
        return tuple(edge - (self.step or 0) for edge in self.edges[1:])

    def spans(self) -> tuple[Floats, Floats]:
        """(Where each bin begins, where it ends); the last ends nowhere, NaN."""
        import numpy as np

        return np.array([float(edge) for edge in self.edges]), np.array([*map(float, self.tops), np.nan])


@dataclass(frozen=True)
class Bins:
    """Per cell, the bin of the quantile and the first and last bin that it may be in; `empty` if nothing is counted.

    `part` is the share of the bin's records, more than 0 and at most 1, that the quantile needs.
    """

    value: Integers
    low: Integers
    high: Integers
    empty: Flags
    part: Floats


def bins_of(histogram: Estimate, probability: float, confidence: float) -> Bins:
    """Where a quantile lies: the first bin b with F_b ≥ p·N, F_b being the count up to and with b, N all of them.

    Let T_b = F_b - p·N. Its noise has independent parts, a coefficient 1 - p for each bin up to b and -p for each one
    after; q_b is the half width that this noise stays within with the confidence, so beyond it on either side with at
    most half of what is left (noise is symmetric). `low` is the first b with T_b + q_b ≥ 0; `high` follows the last b
    with T_b - q_b < 0. Each errs with at most half of what the confidence leaves: let m be the true bin, so T_m ≥ 0 and
    T_(m-1) < 0 in truth. `low` > m needs T_m + q_m < 0, noise below -q_m in that one place; `high` < m needs
    T_(m-1) - q_(m-1) ≥ 0, noise above q_(m-1) in that one place. Neither needs the other bins to hold as well.

    The value is the quantile of the whole counts that add up with the other tables; if needed, the bins are widened to
    contain it.

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
    >>> waits = PublicBins(tuple(map(Decimal, (0, 1, 3, 5))))
    >>> words(waits, bins)
    ('1 to 5',)

    Of 98 records 48 took less than 3 days; the 49th is one of the 30 in the bin.

    >>> inside(waits, bins).round(2)
    array([3.07])
    >>> inside(PublicBins(waits.edges, step=Decimal(1)), bins)
    array([3.])
    """
    import numpy as np

    above = _excess(histogram.center, probability)
    widths = _widths(histogram, probability, confidence) + ROUNDING
    low = _first(above + widths >= 0)
    bins = above.shape[1]
    high = np.minimum(bins - _first((above - widths < 0)[:, ::-1], otherwise=bins), bins - 1)
    value = _first(_excess(histogram.value, probability) >= -ROUNDING)
    empty = histogram.value.sum(axis=1) <= 0
    part = _part(histogram.value, value, probability)
    return Bins(value, np.minimum(low, value), np.maximum(high, value), empty, part)


def inside(public: PublicBins, bins: Bins) -> Floats:
    """Per cell the quantile inside its bin, if the bin's records are spread evenly over it; in the last, its beginning.

    Where values come in steps it is the first step at which the probability is reached, as of the records themselves:
    half took at most that long. Otherwise it is the place on the way from the bin's beginning to its end.
    """
    import numpy as np

    lower, upper = public.spans()
    begins, ends = lower[bins.value], upper[bins.value]
    if public.step is None:
        found = np.round(begins + bins.part * (ends - begins), _places(public.edges) + DECIMALS)
    else:
        step = float(public.step)
        steps = np.rint((ends - begins) / step) + 1
        found = begins + step * np.maximum(np.ceil(bins.part * steps - ROUNDING) - 1, 0)
    value: Floats = np.where(np.isnan(ends), begins, np.clip(found, begins, ends))
    return value


def counted_low(histogram: Estimate, confidence: float) -> Floats:
    """Per cell, the low end of the number of values in all bins together."""
    bins = histogram.center.shape[1]
    total: Floats = histogram.center.sum(axis=1)
    return total - histogram.margins.half_widths_of(((1.0, bins),), confidence)


def words(public: PublicBins, bins: Bins) -> tuple[str | None, ...]:
    """Per cell the interval in words, such as "3 to 5", "2" or "≥ 30"; None if nothing is counted."""
    names, tops = ([f"{edge.normalize():f}" for edge in edges] for edges in (public.edges, public.tops))
    closed = [[low if low == top else f"{low} to {top}" for top in tops] + [f"≥ {low}"] for low in names]
    return tuple(
        None if empty else closed[low][high]
        for low, high, empty in zip(bins.low.tolist(), bins.high.tolist(), bins.empty.tolist(), strict=True)
    )


def _part(counts: Integers, bin_: Integers, probability: float) -> Floats:
    """How much of each cell's bin lies at or below the quantile; 1 where nothing is counted."""
    import numpy as np

    rows = np.arange(len(counts))
    upto = np.cumsum(counts, axis=1, dtype=np.float64)
    within = counts[rows, bin_]
    part = (probability * upto[:, -1] - (upto[rows, bin_] - within)) / np.where(within > 0, within, 1)
    found: Floats = np.where(within > 0, np.clip(part, 0, 1), 1.0)
    return found


def _places(edges: tuple[Decimal, ...]) -> int:
    """The decimal places of the finest edge."""
    return max(0, *(-int(edge.normalize().as_tuple().exponent) for edge in edges))


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
