"""What the noise lets one say about numbers over time: rising, falling, highest, lowest, or nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.portal.base.differences import NoisyDifference, Published, change, extreme

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from publisher.portal.base.differences import NoiseLaw
    from publisher.portal.pages.chart import ChartPoint

TINY = 1e-6
"""In steps: binary fractions may miss a whole step by this much."""
LEAST = 4
"""Fewer numbers have no halves worth comparing."""


@dataclass(frozen=True, slots=True)
class Movement:
    """The mean of the later half of the periods less that of the earlier half, and the numbers that stand out.

    `change` is None if some of the periods have no number: the noise decided which.
    """

    change: NoisyDifference | None
    missing: int
    """How many periods have no number."""
    halves: tuple[ChartPoint, ChartPoint, ChartPoint, ChartPoint]
    """First and last point of the earlier half, first and last point of the later half."""
    highest: ChartPoint | None
    lowest: ChartPoint | None


def movement(points: Sequence[ChartPoint], law: NoiseLaw | None, released: Collection[str]) -> Movement | None:
    """The movement of a series; None if it is too short or its noise is not known."""
    if law is None or len(points) < LEAST:
        return None
    known = [(point, number) for point in points if (number := published(point)) is not None]
    apart, numbers = in_releases_of_their_own(points, released), [number for _, number in known]
    missing, half = len(points) - len(known), len(points) // 2
    places = (extreme(numbers, law, apart=apart, lowest=lowest) for lowest in (False, True))
    highest, lowest = (None if place is None else known[place][0] for place in places)
    found = change(numbers, law, apart=apart) if not missing else None
    return Movement(
        rounded(found, law.step / 10) if found is not None else None,
        missing,
        (points[0], points[half - 1], points[-half], points[-1]),
        # A suppressed number may be lower; where another measure or a customer rule decides, it may be higher too.
        highest if not missing else None,
        lowest if not missing else None,
    )


def published(point: ChartPoint, *, open_end: bool = False) -> Published | None:
    """The point's number with its range; None if it has none. With `open_end` a missing high end is no end."""
    if point.value is None or point.low is None or (point.high is None and not open_end):
        return None
    return Published(float(point.value), float(point.low), math.inf if point.high is None else float(point.high))


def in_releases_of_their_own(points: Sequence[ChartPoint], released: Collection[str]) -> bool:
    """Whether each of these periods is that of another release, so that their noise is independent."""
    periods = {point.period for point in points}
    return len(periods) == len(points) and periods <= set(released)


def rounded(found: NoisyDifference, step: float) -> NoisyDifference:
    """For people: ends outward to whole steps, None where they are open."""
    low, high = (None if end is None or math.isinf(end) else end / step for end in (found.low, found.high))
    return NoisyDifference(
        round(round(found.value / step) * step, 9),
        None if low is None else round(math.floor(low + TINY) * step, 9),
        None if high is None else round(math.ceil(high - TINY) * step, 9),
    )
