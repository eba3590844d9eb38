"""A line chart with its margin band, as the paths of an SVG; the text stays outside so that it does not scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING

from publisher.grades import CAUTION, OK, UNRELIABLE
from publisher.portal.pages.strokes import marks, stroke

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 1000, 320
INTERVALS = 5
"""Approximate number of steps on the value axis."""


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """One period with its value and margin; all None if it is suppressed."""

    period: str
    value: Decimal | None
    low: Decimal | None = None
    high: Decimal | None = None
    status: str = OK
    left_out: int = 0
    """For a sum: how many cells are suppressed and not included."""
    words: str = ""
    """For a quantile: the range it is in, in words."""


@dataclass(frozen=True, slots=True)
class Chart:
    """The paths, and the labels of both axes: values from top to bottom, periods from left to right, evenly spaced."""

    band: str
    bars: str
    line: str
    dots: str
    squares: str
    rings: str
    gaps: str
    base: int
    rules: list[int]
    values: list[Decimal]
    periods: list[str]


def draw(points: Sequence[ChartPoint]) -> Chart | None:
    """Draw the points in time order; None if there is no value to show."""
    drawn = draw_together([points])
    return drawn[0] if drawn else None


def draw_together(series: Sequence[Sequence[ChartPoint]]) -> list[Chart]:
    """Draw several series with the same periods on one scale; none if there is no value to show."""
    known = [n for points in series for point in points for n in (point.value, point.low, point.high) if n is not None]
    if not known:
        return []
    axis = scale(min(0.0, float(min(known))), float(max(known)))
    return [_drawn(points, axis) for points in series]


def _drawn(points: Sequence[ChartPoint], axis: tuple[float, float, float]) -> Chart:
    bottom, top, step = axis
    count = round((top - bottom) / step)

    def across(index: int) -> int:
        return round(WIDTH * index / (len(points) - 1)) if len(points) > 1 else WIDTH // 2

    def up(value: Decimal) -> int:
        return round(HEIGHT * (top - float(value)) / (top - bottom))

    places = [(across(index), point) for index, point in enumerate(points)]
    return Chart(
        band=_band(places, up),
        bars=_bars(places, up),
        line=_line(places, up),
        dots="".join(_marks(places, up, status) for status in (OK, "partial", "")),
        squares=_marks(places, up, CAUTION),
        rings=_marks(places, up, UNRELIABLE),
        gaps="".join(f"M{x} {HEIGHT}v-12" for x, point in places if point.value is None),
        base=up(Decimal(0)),
        rules=[round(HEIGHT * number / count) for number in range(count + 1)],
        values=[Decimal(repr(round(top - step * number, 10))) for number in range(count + 1)],
        periods=_labels([point.period for point in points]),
    )


def scale(low: float, high: float) -> tuple[float, float, float]:
    """The lowest and highest value of the axis and the step between grid lines, all round numbers."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / INTERVALS))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor * INTERVALS >= span * 0.999)
    bottom, top = math.floor(low / step) * step, math.ceil(high / step) * step
    return bottom, (top if top > bottom else bottom + step), step


def _runs(
    places: list[tuple[int, ChartPoint]], there: Callable[[ChartPoint], bool]
) -> list[list[tuple[int, ChartPoint]]]:
    """The runs of neighboring points that meet a condition."""
    return [list(run) for has, run in groupby(places, lambda place: there(place[1])) if has]


def _has_margin(point: ChartPoint) -> bool:
    return point.low is not None and point.high is not None


def _band(places: list[tuple[int, ChartPoint]], up: Callable[[Decimal], int]) -> str:
    shapes = []
    for run in _runs(places, _has_margin):
        if len(run) > 1:
            over = [(x, up(point.high or Decimal(0))) for x, point in run]
            under = [(x, up(point.low or Decimal(0))) for x, point in reversed(run)]
            shapes.append(f"{stroke(over + under)}z")
    return "".join(shapes)


def _bars(places: list[tuple[int, ChartPoint]], up: Callable[[Decimal], int]) -> str:
    """The margins of isolated points, which a band cannot show."""
    lonely = [run[0] for run in _runs(places, _has_margin) if len(run) == 1]
    return "".join(f"M{x} {up(point.high or Decimal(0))}V{up(point.low or Decimal(0))}" for x, point in lonely)


def _line(places: list[tuple[int, ChartPoint]], up: Callable[[Decimal], int]) -> str:
    runs = _runs(places, lambda point: point.value is not None)
    return "".join(stroke([(x, up(point.value or Decimal(0))) for x, point in run]) for run in runs)


def _marks(places: list[tuple[int, ChartPoint]], up: Callable[[Decimal], int], status: str) -> str:
    return marks([(x, up(point.value)) for x, point in places if point.value is not None and point.status == status])


def _labels(periods: list[str]) -> list[str]:
    """Five evenly spaced periods, or all periods if there are fewer."""
    last = len(periods) - 1
    return [periods[round(last * part / 4)] for part in range(5)] if last >= 4 else list(periods)
