"""Civil time: days, ISO weeks, months, quarters, years and the lifetime, and how they nest.

A release covers one `Period`; its cells carry finer periods; the budget's blocks are periods too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Grain = Literal["day", "week", "month", "quarter", "year", "lifetime"]

NESTS: dict[Grain, tuple[Grain, ...]] = {
    "day": ("day",),
    "week": ("week", "day"),
    "month": ("month", "day"),
    "quarter": ("quarter", "month", "day"),
    "year": ("year", "quarter", "month", "day"),
}
"""Which grains a period of each grain is cut into without remainder."""

_FORMS: dict[Grain, re.Pattern[str]] = {
    "day": re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})"),
    "week": re.compile(r"([0-9]{4})-W([0-9]{2})"),
    "month": re.compile(r"([0-9]{4})-([0-9]{2})"),
    "quarter": re.compile(r"([0-9]{4})-Q([1-4])"),
    "year": re.compile(r"([0-9]{4})"),
}

_NAMES: dict[Grain, Callable[[date], str]] = {
    "day": date.isoformat,
    "week": lambda start: "{:04d}-W{:02d}".format(*start.isocalendar()),
    "month": lambda start: start.isoformat()[:7],
    "quarter": lambda start: f"{start.year:04d}-Q{(start.month + 2) // 3}",
    "year": lambda start: start.isoformat()[:4],
    "lifetime": lambda _: "lifetime",
}
"""What a period of each grain is called, by its first day."""


@dataclass(frozen=True, order=True)
class Period:
    """Days from `start` (inclusive) to `end` (exclusive), named as people write them, such as 2018-W03."""

    start: date
    end: date
    grain: Grain

    @property
    def label(self) -> str:
        """The period's name: 2018-01-05, 2018-W01, 2018-01, 2018-Q1, 2018 or lifetime."""
        return _NAMES[self.grain](self.start)

    def cut(self, grain: Grain) -> tuple[Period, ...]:
        """Every period of that grain which overlaps this one, in order.

        A release charges each block of the budget that it touches: a week may touch two months, and charges both.

        >>> [block.label for block in parse("2018-W05").cut("month")]
        ['2018-01', '2018-02']
        >>> [block.label for block in parse("2018-Q1").cut("month")]
        ['2018-01', '2018-02', '2018-03']
        >>> [block.label for block in parse("2018-02").cut("year")]
        ['2018']
        """
        if grain == "lifetime":
            return (LIFETIME,)
        return tuple(_walk(containing(self.start, grain), self.end))


LIFETIME = Period(date(1, 1, 1), date(9999, 12, 31), "lifetime")


def containing(day: date, grain: Grain) -> Period:
    """The period of that grain in which the day falls."""
    if grain == "lifetime":
        return LIFETIME
    if grain == "day":
        return Period(day, day + timedelta(days=1), grain)
    if grain == "week":
        monday = day - timedelta(days=day.weekday())
        return Period(monday, monday + timedelta(days=7), grain)
    months = {"month": 1, "quarter": 3, "year": 12}[grain]
    first = (day.month - 1) // months * months
    start = date(day.year, first + 1, 1)
    after = first + months
    return Period(start, date(day.year + after // 12, after % 12 + 1, 1), grain)


def parse(text: str) -> Period:
    """The period that a person wrote: 2018-01-05, 2018-W03, 2018-01, 2018-Q1 or 2018. Raises ValueError."""
    for grain, form in _FORMS.items():
        if match := form.fullmatch(text):
            numbers = [int(part) for part in match.groups()]
            try:
                return containing(_first_day(grain, numbers), grain)
            except (OverflowError, ValueError):  # outside of the calendar
                break
    raise ValueError(f"{text!r} is not a period: write 2018-01-05, 2018-W03, 2018-01, 2018-Q1 or 2018")


def _first_day(grain: Grain, numbers: list[int]) -> date:
    if grain == "week":
        return date.fromisocalendar(numbers[0], numbers[1], 1)
    if grain == "quarter":
        return date(numbers[0], numbers[1] * 3 - 2, 1)
    return date(*[*numbers, 1, 1][:3])


def _walk(period: Period, end: date) -> Iterator[Period]:
    while period.start < end:
        yield period
        period = containing(period.end, period.grain)
