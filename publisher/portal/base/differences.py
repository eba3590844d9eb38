"""What can be said of differences and sums of published numbers, by the law of their noise.

A published range is the unprojected estimate c ± q in whole steps, cut at zero where values cannot be negative, then
widened to contain the published value. So its ends tell c to within a step, and c1 - c2 differs from the true
difference by noise whose law is public. Two numbers differ if noise alone would bring their estimates as far apart in
at most 5% of cases. Bounds that cut records, and chance in real life, are not part of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ALPHA = 0.05
RARE = 50
"""A part in so many of ALPHA is left to cells that do not tell their estimate: those may be farther below zero."""
SLACK = 0.001
"""In steps: what constants lose when they are rounded."""


@dataclass(frozen=True, slots=True)
class NoiseLaw:
    """The public constants of one measure's noise in one table, at 95% and in the unit of its values.

    A sum of estimates with weights w of one release is within `same_release`·√Σw² of the truth, and a sum of estimates
    of different releases within `other_release`·√Σw². Neither is too narrow; see `half_width` for the step.
    """

    step: float
    """Values are whole multiples of it."""
    least: float
    """Half the range of a cell, before it is cut and widened: the smallest in the table ..."""
    most: float
    """... and the largest."""
    same_release: float
    other_release: float
    signed: bool = False
    """Whether values may be negative; otherwise ranges are cut at zero."""
    tail: Literal["normal", "exponential"] = "normal"
    """How half widths grow with the confidence."""

    def half_width(self, weights: Sequence[float], *, apart: bool, claims: int = 1) -> float:
        """How far noise alone moves the weighted sum of estimates, at most with 95%; jointly for so many claims.

        `apart` says that all numbers are of different releases.
        """
        unit = self.other_release if apart else max(self.same_release, self.other_release)
        whole = self.step * max(map(abs, weights)) / 2  # such a sum moves in steps
        stretched = self._stretch(claims * RARE / (RARE - 1))
        return unit * math.sqrt(math.fsum(w * w for w in weights)) * stretched + whole

    def lowest(self, cells: int) -> float:
        """What none of the estimates of so many cells is below, almost surely, where no value is below zero."""
        return -max(self.most, self.other_release) * self._stretch(cells * RARE) - self.step

    def _stretch(self, claims: float) -> float:
        """The half width at joint confidence over the one at 95% (Bonferroni)."""
        if self.tail == "exponential":
            return math.log(claims / ALPHA) / math.log(1 / ALPHA)
        normal = NormalDist()
        return normal.inv_cdf(1 - ALPHA / claims / 2) / normal.inv_cdf(1 - ALPHA / 2)


class Published(NamedTuple):
    """A published number with its range."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class NoisyDifference:
    """The first number less the second, and the 95% range of the true difference; None where an end is open."""

    value: float
    low: float | None
    high: float | None

    @property
    def verdict(self) -> Literal["higher", "lower", "cannot be told apart"]:
        """What can be said of the first number compared with the second."""
        if self.low is not None and self.low > 0:
            return "higher"
        return "lower" if self.high is not None and self.high < 0 else "cannot be told apart"


def estimate(number: Published, law: NoiseLaw) -> tuple[float | None, float]:
    """The least and the most that the unprojected estimate behind a published number can be.

    The least is None where the range was both cut at zero and widened to contain the value: then nothing tells it.

    >>> law = NoiseLaw(step=1, least=7.2, most=7.2, same_release=7.2, other_release=7.2)
    >>> estimate(Published(21, 14, 28), law)
    (20.499, 21.501)
    >>> [round(end, 3) for end in estimate(Published(2, 0, 9), law)]
    [1.799, 2.801]
    """
    value, low, high = number
    step, slack = law.step, SLACK * law.step
    uncut = law.signed or low > 0
    if uncut and low < value < high:  # neither end was moved, so each is within a step of c ± q
        return (low + high - step) / 2 - slack, (low + high + step) / 2 + slack
    most = high + step - law.least + slack  # an end is only ever moved outward
    most = max(most, value + slack) if low == high else most  # a cell that is always zero has no noise
    if high > value:
        return high - law.most - slack, most
    return (low + law.least - step - slack if uncut else None), most


def difference(
    first: Published, second: Published, law: NoiseLaw | None, *, apart: bool, claims: int = 1
) -> NoisyDifference:
    """The difference of two published numbers of one table, and whether the noise alone could have made it.

    Without a law, as for means and quantiles, numbers differ only if their ranges do not overlap. `apart` says that
    they are of different releases; `claims` how many such statements are to hold together with 95%.

    >>> law = NoiseLaw(step=1, least=5, most=5, same_release=5, other_release=5)
    >>> difference(Published(32, 27, 37), Published(20, 15, 25), law, apart=True)
    NoisyDifference(value=12, low=4, high=20)
    >>> difference(Published(23, 18, 28), Published(20, 15, 25), law, apart=True).verdict
    'cannot be told apart'
    """
    value = first.value - second.value
    if law is None:
        ends = (first.low - second.high, first.high - second.low) if claims == 1 else (None, None)
        return NoisyDifference(value, *ends)
    half = law.half_width((1, -1), apart=apart, claims=claims)
    low = _gap([first], [second], law, claims) - half
    return _rounded(value, low, half - _gap([second], [first], law, claims), law.step)


def change(numbers: Sequence[Published], law: NoiseLaw, *, apart: bool) -> NoisyDifference | None:
    """The mean of the later half less the mean of the earlier half, a middle one left out; None for less than four."""
    many = len(numbers) // 2
    if many < 2:
        return None
    earlier, later = numbers[:many], numbers[-many:]
    value = _mean([each.value for each in later]) - _mean([each.value for each in earlier])
    half = law.half_width([1 / many] * many + [-1 / many] * many, apart=apart)
    low, high = _gap(later, earlier, law) - half, half - _gap(earlier, later, law)
    return NoisyDifference(value, min(low, value), max(high, value))


def _gap(first: Sequence[Published], second: Sequence[Published], law: NoiseLaw, claims: int = 1) -> float:
    """At least how far the mean estimate of the first numbers is above that of the second ones."""
    lowest = law.lowest(2 * len(first) * claims)
    least = [lowest if end is None else end for end, _ in (estimate(each, law) for each in first)]
    return _mean(least) - _mean([estimate(each, law)[1] for each in second])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def extreme(numbers: Sequence[Published], law: NoiseLaw, *, apart: bool, lowest: bool = False) -> int | None:
    """The number that is higher (lower) than every other one with joint 95% confidence, if there is one."""
    if len(numbers) < 2:
        return None
    sign = -1 if lowest else 1
    found = max(range(len(numbers)), key=lambda n: sign * numbers[n].value)
    wanted = "lower" if lowest else "higher"
    for n, other in enumerate(numbers):
        if n != found:
            said = difference(numbers[found], other, law, apart=apart, claims=len(numbers) - 1)
            if said.verdict != wanted:
                return None
    return found


def total(numbers: Sequence[Published], law: NoiseLaw) -> Published:
    """The sum of cells of one release that were chosen by key, none of them suppressed, with its 95% range."""
    told = [estimate(each, law) for each in numbers]
    known = [end for end, _ in told if end is not None]
    ends = math.fsum(known), math.fsum(end for _, end in told)
    return added_up(math.fsum(each.value for each in numbers), ends, len(told), len(told) - len(known), law)


def added_up(value: float, ends: tuple[float, float], cells: int, untold: int, law: NoiseLaw) -> Published:
    """The same from sums: `value` of what is published, and `ends` of what `estimate` says of the cells, the first
    without those `untold` cells of which it does not say the least."""
    half = law.half_width((1,) * cells, apart=False)
    found = _rounded(value, ends[0] + untold * law.lowest(cells) - half, ends[1] + half, law.step)
    low, high = found.low or 0.0, found.high or 0.0
    return Published(value, low if law.signed else max(0.0, low), high)


def widest(laws: Sequence[NoiseLaw | None]) -> NoiseLaw | None:
    """A law that holds for numbers of tables with different noise; None if one of them is not known."""
    known = [law for law in laws if law is not None]
    if not known or len(known) < len(laws) or len({(law.step, law.signed) for law in known}) > 1:
        return None
    return NoiseLaw(
        known[0].step,
        min(law.least for law in known),
        max(law.most for law in known),
        max(law.same_release for law in known),
        max(law.other_release for law in known),
        known[0].signed,
        "exponential" if any(law.tail == "exponential" for law in known) else "normal",
    )


def _rounded(value: float, low: float, high: float, step: float) -> NoisyDifference:
    """The whole steps inside the range, which contains the difference of the published numbers too."""
    low, high = math.ceil(low / step - SLACK / 2) * step, math.floor(high / step + SLACK / 2) * step
    return NoisyDifference(value, min(low, value), max(high, value))
