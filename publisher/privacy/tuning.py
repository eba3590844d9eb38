"""Bounds and clamps proposed from noisy histograms of what units have. Only post-processing, which costs nothing.

A histogram's end counts as empty if the noise alone could have filled it, so that empty bins propose nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod, sqrt
from typing import TYPE_CHECKING, Literal

from publisher.definitions.model import Model
from publisher.privacy.margins import half_width
from publisher.privacy.mechanism import mechanism_for
from publisher.privacy.sensitivity import Sensitivity
from publisher.stages import Mechanism

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from publisher.definitions.dataset import Dataset, Measure
    from publisher.stages import Floats

CONFIDENCE = 0.95
"""The confidence for the low ends of shares, and for telling all bins of a histogram together from empty ones."""


class NoisyHistogram(Model):
    """How many (unit, window) pairs are in each public bin, with noise.

    Bin n has what is above `tops[n-1]` and at most `tops[n]`, the last one has everything above. A total's bins come
    twice: first for totals that are not negative, then by magnitude for those that are. Totals are in whole steps.
    """

    quantity: Literal["cells", "records", "total"]
    measure: str = ""
    """The sum whose totals they are."""
    tops: tuple[int, ...]
    counts: tuple[int, ...]
    mechanism: Literal["discrete gaussian", "discrete laplace"]
    scale: float
    loss: str
    """Exact, such as 1/200."""

    @property
    def margin(self) -> int:
        """The half width of the 95% interval of one bin."""
        return self.width(CONFIDENCE)

    def width(self, confidence: float) -> int:
        """How far the noise of one bin reaches."""
        return half_width(Mechanism("", self.mechanism, self.scale, "", Fraction(self.loss), ""), confidence)


def bound_tops(most: int) -> tuple[int, ...]:
    """Bins for numbers of cells or records: 1, 2, 3, 4, up to 6, 8, 12, 16, 24 …; the last one is `most`."""
    tops = [1, *(top for power in range(1, most.bit_length() + 1) for top in (2**power, 3 * 2 ** (power - 1)))]
    return (*sorted(top for top in tops if top < most), most)


def total_tops(most: int) -> tuple[int, ...]:
    """Bins for totals: 0, then up to 1, 2, 5, 10, 20, 50 … up to `most`."""
    tops = (digit * 10**power for power in range(len(str(most))) for digit in (1, 2, 5))
    return (0, *(top for top in tops if top <= most))


@dataclass(frozen=True)
class Spread:
    """How an amount is spread over units: the bins up to the last that noise alone cannot have filled."""

    tops: tuple[int, ...]
    counts: Floats
    """One for each bin in use; unbiased, so single ones may be negative."""
    first: int
    """The least that a unit can have."""
    margin: float
    """The noise of one bin (95%)."""
    hidden: float
    """How many units may be in the bins that are not in use (95%): the noise would hide that many."""
    negatives: bool = False
    """Whether totals below zero are among them, by magnitude."""

    @property
    def units(self) -> float:
        """About how many (unit, window) pairs there are."""
        return float(self.counts.sum())

    @property
    def ends(self) -> bool:
        """Whether everything is below the last top."""
        return len(self.counts) <= len(self.tops)

    @property
    def most(self) -> int | None:
        """The top that all visible units are below, given the noise; None if some are above every top."""
        return self.tops[len(self.counts) - 1] if self.ends else None

    def within(self, bound: int) -> float:
        """The share of units that certainly have no more than `bound`."""
        return min(max(1 - self._above(bound) / self.units, 0.0), 1.0)

    def within_at_least(self, bound: int) -> float:
        """The low end of that share with 95% confidence; bins that are not in use count as empty."""
        noise = self.margin * sqrt(len(self.counts) - self._fitting(bound))
        return min(max(1 - (self._above(bound) + noise) / self.units, 0.0), 1.0)

    def lost(self, bound: int) -> tuple[float, float]:
        """The least and the largest share of the amount beyond `bound`, by where in its bin each unit is."""
        import numpy as np

        lows, highs = self._ends()
        units = np.maximum(self.counts, 0)
        least = _beyond(units, np.maximum(lows, np.minimum(highs, bound)), bound)
        if not self.ends and units[-1] > 0:
            return least, 1.0
        return least, _beyond(units, np.where(highs > bound, highs, lows), bound)

    def lost_given_noise(self, bound: int) -> tuple[float, float]:
        """The same with what the noise of the bins adds on both sides (95%), and with the units that it may hide, if
        they are in the bin after the last in use; further ones would lose more."""
        import numpy as np

        least, most = self.lost(bound)
        lows, highs = self._ends()
        amounts = (lows + np.where(np.isinf(highs), lows, highs)) / 2
        total = float((np.maximum(self.counts, 0) * amounts).sum())
        if total <= 0:
            return 0.0, 1.0
        # What one unit more in a bin does to the share that is lost.
        moved = (amounts - bound).clip(min=0) - (least + most) / 2 * amounts
        noise = self.margin * float(np.sqrt((moved**2).sum())) / total
        after = self.tops[min(len(self.counts), len(self.tops) - 1)]
        hidden = self.hidden * max(after - bound, 0) / (total + self.hidden * after)
        return max(least - noise, 0.0), min(most + noise + hidden, 1.0)

    @property
    def mean(self) -> float:
        """About how much a unit has: the middle of its bin; in the open bin at the end, its beginning."""
        import numpy as np

        lows, highs = self._ends()
        middles = (lows + np.where(np.isinf(highs), lows, highs)) / 2
        units = np.maximum(self.counts, 0)
        return float((units * middles).sum() / units.sum()) if units.sum() > 0 else 0.0

    def _ends(self) -> tuple[Floats, Floats]:
        """Where each bin in use begins and ends."""
        import numpy as np

        lows = np.array([self.first, *(top + 1 for top in self.tops)][: len(self.counts)], dtype=np.float64)
        return lows, np.array([*self.tops, np.inf][: len(self.counts)], dtype=np.float64)

    def bound(self, keep: float) -> int:
        """The smallest top that certainly keeps everything for at least the share `keep` of the units."""
        tops = [top for top in self.tops if top > 0]
        return next((top for top in tops if self.within_at_least(top) >= keep), tops[-1])

    def _fitting(self, bound: int) -> int:
        """How many bins in use are entirely within the bound."""
        return min(sum(top <= bound for top in self.tops), len(self.counts))

    def _above(self, bound: int) -> float:
        return float(self.counts[self._fitting(bound) :].sum())


def spread_of(noisy: NoisyHistogram) -> Spread | None:
    """How an amount is spread, or None if the noise hides every unit.

    Totals below zero are left out if the noise could have made them; otherwise all totals are taken by magnitude.
    """
    import numpy as np

    counts = np.array(noisy.counts, dtype=np.float64).reshape(-1, len(noisy.tops) + 1)
    tests = len(noisy.counts) * len(noisy.tops).bit_length()
    width = noisy.width(1 - (1 - CONFIDENCE) / tests)
    negatives = len(counts) > 1 and _in_use(counts[1], width) > 0
    draws = 2 if negatives else 1
    folded = counts[:draws].sum(axis=0)
    used = _in_use(folded, width * sqrt(draws))
    if used == 0 or folded[:used].sum() <= 0:
        return None
    margin, rest = noisy.margin * sqrt(draws), folded[used:]
    hidden = max(float(rest.sum()) + margin * sqrt(len(rest)), 0.0)
    first = 0 if noisy.quantity == "total" else 1
    return Spread(noisy.tops, folded[:used], first, margin, hidden, negatives)


def _in_use(counts: Floats, width: float) -> int:
    """The number of bins up to the end of the last few that together have more than noise; `width` is that of one."""
    import numpy as np

    sums = np.concatenate([[0.0], counts.cumsum()])
    last, end = -1, 0
    for length in (2**power for power in range(len(counts).bit_length())):
        begins = np.flatnonzero(sums[length:] - sums[:-length] > width * sqrt(length))
        if len(begins) and begins[-1] > last:
            last, end = int(begins[-1]), int(begins[-1]) + length
    return end


def _beyond(units: Floats, amounts: Floats, bound: int) -> float:
    """The share of the units' amounts above the bound."""
    total = float((units * amounts).sum())
    over = (units * (amounts - bound).clip(min=0)).sum()
    return float(over) / total if total > 0 else 0.0


def together(bias: tuple[float, float] | None, noise: float | None) -> float | None:
    """The total error: the root of the squares of both parts, the middle of the bias; None if one is not known."""
    return sqrt((sum(bias) / 2) ** 2 + noise**2) if bias is not None and noise is not None else None


@dataclass(frozen=True)
class Candidate:
    """What bounds would do to one measured table; `amount` is max_per_group, or the upper clamp in steps, or None."""

    measure: str
    max_groups: int
    amount: int | None
    within_groups: float | None
    """The share of units that keep all their cells; None if it was not measured."""
    within_amount: float | None
    bias: tuple[float, float] | None
    """The least and the largest share by which bounding makes values too small; None if that is not known."""
    noise: float
    """The scale of the noise in each cell, in the measure's unit."""
    noise_share: float | None
    """The noise in an average cell of the published tables, as a share of that cell; None if that is not known."""
    proposed: bool
    current: bool

    @property
    def total(self) -> float | None:
        """What bounds cut and what noise adds, together, as a share of an average cell."""
        return together(self.bias, self.noise_share)

    @property
    def even(self) -> float | None:
        """The cell size at which bias and noise are equal; in larger cells the bias is larger."""
        bias = sum(self.bias) / 2 if self.bias else 0.0
        return self.noise / bias if bias > 0 else None


@dataclass(frozen=True)
class Least:
    """The bounds with the smallest total error; None, or no upper clamp, where nothing was measured."""

    max_groups: int | None
    max_per_group: int | None
    uppers: dict[str, int]


@dataclass(frozen=True)
class Proposal:
    """The bounds that a measurement proposes; None if it proposes nothing. They have the smallest total error, or, if
    that is not known or a share of units was asked for, keep that share of units whole."""

    keep: float
    cells: Spread | None
    records: Spread | None
    totals: dict[str, Spread]
    least: Least | None = None

    @property
    def max_groups(self) -> int | None:
        """k: cells of the finest table."""
        if self.least is not None:
            return self.least.max_groups
        return self.cells.bound(self.keep) if self.cells else None

    @property
    def max_per_group(self) -> int | None:
        """c: records in one cell."""
        if self.least is not None:
            return self.least.max_per_group
        return self.records.bound(self.keep) if self.records else None

    def clamps(self, measure: str) -> tuple[int, int] | None:
        """(lower, upper) in steps: symmetric if totals below zero were found, which adds no noise."""
        if measure not in self.totals:
            return None
        chosen = self.least.uppers.get(measure) if self.least is not None else None
        upper = chosen if chosen is not None else self.totals[measure].bound(self.keep)
        return (-upper if self.totals[measure].negatives else 0), upper


def proposal(histograms: tuple[NoisyHistogram, ...], keep: float) -> Proposal:
    """What the noisy histograms propose so that the share `keep` of units loses nothing to each bound."""
    found = {(each.quantity, each.measure): spread for each in histograms if (spread := spread_of(each)) is not None}
    totals = {measure: spread for (quantity, measure), spread in found.items() if quantity == "total"}
    return Proposal(keep, found.get(("cells", "")), found.get(("records", "")), totals)


def candidates(
    proposal: Proposal,
    dataset: Dataset,
    measure: Measure,
    *,
    shares: int | None = None,
    noise_share: Callable[[int, int | None], float | None] = lambda _groups, _amount: None,
) -> Iterator[Candidate]:
    """The bounds now, those proposed, and their neighbors, with what each does to the measure's finest table.

    `shares`: into how many equal parts the loss would be divided for a sum that the dataset does not have yet.
    `noise_share`: the noise in an average cell for each choice.
    """
    loss = dataset.loss.amount / shares if shares else dataset.loss_of(measure)
    spread, now, proposed = _amounts(proposal, dataset, measure)
    if shares:
        now = None
    groups_now, groups_proposed = dataset.bounds.max_groups, proposal.max_groups
    best = (groups_proposed or groups_now, proposed or now) if groups_proposed or proposed else None
    amounts: list[int | None] = [*_choices(spread, now, proposed)]
    for groups in _choices(proposal.cells, groups_now, groups_proposed):
        for amount in amounts or [None]:
            noise = mechanism_for(measure.name, dataset.loss.currency, Sensitivity(groups, amount or 1), loss)
            yield Candidate(
                measure=measure.name,
                max_groups=groups,
                amount=amount,
                within_groups=proposal.cells.within(groups) if proposal.cells else None,
                within_amount=spread.within(amount) if spread and amount else None,
                bias=bias_of(proposal, measure, groups, amount),
                noise=noise.scale * float(measure.resolution or 1),
                noise_share=noise_share(groups, amount),
                proposed=(groups, amount) == best,
                current=not shares and (groups, amount) == (groups_now, now),
            )


def _amounts(proposal: Proposal, dataset: Dataset, measure: Measure) -> tuple[Spread | None, int | None, int | None]:
    """The spread of what counts within cells, its bound now, and the proposed bound; a count of units has none."""
    now = bound_of(dataset, measure)
    if measure.kind == "count_units":
        return None, None, None
    if measure.kind == "sum":
        clamps = proposal.clamps(measure.name)
        return proposal.totals.get(measure.name), now, clamps[1] if clamps else None
    return proposal.records, now, proposal.max_per_group


def _choices(spread: Spread | None, now: int | None, proposed: int | None) -> list[int]:
    """The bound now, the proposed one, and the tops next to it."""
    choices = {now} if now is not None else set()
    if spread is not None and proposed is not None:
        tops = [top for top in spread.tops if top > 0]
        place = tops.index(proposed)
        choices |= set(tops[max(place - 1, 0) : place + 2])
    return sorted(choices)


def bias_of(proposal: Proposal, measure: Measure, groups: int, amount: int | None) -> tuple[float, float] | None:
    """The least and the largest share that both bounds cut off; None if nothing is known of either.

    Amounts are taken to be spread evenly over cells that are kept and those that are not.
    """
    lost = [each.lost(bound) for each, bound in _pairs(proposal, measure, groups, amount) if each is not None]
    return (1 - prod(1 - low for low, _ in lost), 1 - prod(1 - high for _, high in lost)) if lost else None


def counted_share(proposal: Proposal, dataset: Dataset, measure: Measure) -> tuple[float, float] | None:
    """The least and the largest share of a measure that its bounds let count, given the noise; None if any part of it
    was not measured, or if totals below zero are among them.

    Cells and amounts were measured apart, so the share follows only where one of them is one for every unit. If those
    with many cells also have much in each, it is smaller than both shares together say, by any factor.
    """
    lost = []
    pairs = _pairs(proposal, measure, dataset.bounds.max_groups, bound_of(dataset, measure))
    if len(pairs) > 1 and all(spread is None or spread.most != 1 or not spread.first for spread, _ in pairs):
        return None
    for spread, bound in pairs:
        if spread is None or spread.negatives:
            return None
        lost.append(spread.lost_given_noise(bound))
    return prod(1 - high for _, high in lost), prod(1 - low for low, _ in lost)


def bound_of(dataset: Dataset, measure: Measure) -> int | None:
    """The bound of a measure within cells: records, or steps of a total; a count of units has none."""
    if measure.kind == "count_units":
        return None
    return max(map(abs, measure.clamps)) if measure.kind == "sum" else dataset.bounds.max_per_group


def _pairs(proposal: Proposal, measure: Measure, groups: int, amount: int | None) -> list[tuple[Spread | None, int]]:
    """What was measured of each bound, with the bound."""
    pairs = [(proposal.cells, groups)]
    if amount is not None:
        pairs.append((proposal.totals.get(measure.name) if measure.kind == "sum" else proposal.records, amount))
    return pairs
