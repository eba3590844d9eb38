"""Several places compared in one chart: their numbers over time with their margins, and which of them differ."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from starlette.routing import Route

from publisher.portal.answers.access import findable
from publisher.portal.base.differences import difference
from publisher.portal.contract import about
from publisher.portal.discovery.families import family_of
from publisher.portal.pages.chart import Chart, ChartPoint, draw_together
from publisher.portal.pages.dataset import shown_dataset
from publisher.portal.pages.headline import asking
from publisher.portal.pages.movement import published, rounded
from publisher.portal.pages.once import once
from publisher.portal.pages.rendering import in_every_language, missing, render
from publisher.portal.pages.trend import ALL, FormSelect, Trend, beside, trend

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from publisher.portal.base.differences import NoisyDifference
    from publisher.portal.contract import ShapeMeasure

MOST = 4
"""How many places one chart shows: more lines cannot be told apart."""
FINEST = 1e-6
"""Numbers without a law have no step; their differences are shown to this one."""


@dataclass(frozen=True, slots=True)
class PlaceLine:
    """One place in the chart."""

    value: str
    name: str
    points: list[ChartPoint]
    chart: Chart


@dataclass(frozen=True, slots=True)
class PlacePair:
    """Two places in the latest period in which both have a number, and in how many periods their ranges overlap."""

    first: str
    second: str
    period: str
    found: NoisyDifference
    overlapping: int
    both: int
    """In how many periods both have a range."""


@dataclass(frozen=True, slots=True)
class PlaceComparison:
    """The form, and what was asked for."""

    measure: ShapeMeasure
    place: FormSelect
    selects: list[FormSelect]
    """The other keys."""
    chosen: list[str]
    lines: list[PlaceLine]
    pairs: list[PlacePair]
    missing: list[str]
    """The names of chosen places without any number."""
    summed: bool
    refused: bool

    @property
    def title(self) -> str:
        """The chosen values of the other keys."""
        return " · ".join(select.chosen_name for select in self.selects if select.chosen != ALL)


def page(request: Request) -> Response:
    """GET /d/{4x4}/places: `place` is repeated for each place, the other parameters are those of the trend."""
    dataset = shown_dataset(request)
    shape = about(dataset).shape if dataset is not None and dataset.rows else None
    if dataset is None or shape is None or not any(key.name == shape.place for key in shape.keys):
        return missing(request)
    family = family_of(dataset, findable(request))
    tables = beside(dataset, family, lambda other: asking(request, other))

    def read(wanted: dict[str, str]) -> Trend:
        return trend(shape, asking(request, dataset), wanted, tables)

    found = _compared(str(shape.place), read, dict(request.query_params), request.query_params.getlist("place"))
    return render(request, "places.html", dataset=dataset, about=about(dataset), found=found, most=MOST, sureness=[])


def _compared(
    key: str, read: Callable[[dict[str, str]], Trend], wanted: dict[str, str], places: list[str]
) -> PlaceComparison:
    first: Trend = read({name: value for name, value in wanted.items() if name not in (key, "page")})
    place = next(select for select in first.selects if select.name == key)
    others = [select for select in first.selects if select.name != key]
    known = dict(place.options)
    chosen = [value for value in dict.fromkeys(places) if value in known][:MOST]
    fixed = {select.name: select.chosen for select in others} | {"measure": first.measure.name}
    trends = [read(fixed | {key: value}) for value in chosen]
    periods = sorted({point.period for each in trends for point in each.points})
    series = [_aligned(each.points, periods) for each in trends]
    with_numbers = [n for n, points in enumerate(series) if any(point.value is not None for point in points)]
    charts = draw_together([series[n] for n in with_numbers])
    lines = [
        PlaceLine(chosen[n], known[chosen[n]], series[n], chart) for n, chart in zip(with_numbers, charts, strict=True)
    ]
    used = trends[0] if trends else first
    law = None if used.added_up else used.measure.noise
    return PlaceComparison(
        used.measure,
        place,
        others,
        chosen,
        lines,
        _pairs(lines, used.measure.model_copy(update={"noise": law})),
        [known[value] for n, value in enumerate(chosen) if n not in with_numbers],
        any(each.added_up for each in trends),
        any(each.refused for each in trends),
    )


def _aligned(points: list[ChartPoint], periods: list[str]) -> list[ChartPoint]:
    """A point for each period, so that the same period is at the same place of the axis."""
    known = {point.period: point for point in points}
    return [known.get(period, ChartPoint(period, None, status="")) for period in periods]


def _pairs(lines: list[PlaceLine], measure: ShapeMeasure) -> list[PlacePair]:
    """What can be said of each two places, together with 95% where the noise is known."""
    both = list(combinations(lines, 2))
    found = [_pair(one, other, measure, len(both)) for one, other in both]
    return [each for each in found if each is not None]


def _pair(one: PlaceLine, other: PlaceLine, measure: ShapeMeasure, claims: int) -> PlacePair | None:
    ranges = [(n, published(a), published(b)) for n, (a, b) in enumerate(zip(one.points, other.points, strict=True))]
    known = [(n, a, b) for n, a, b in ranges if a is not None and b is not None]
    if not known:
        return None
    last, first, second = known[-1]
    law = measure.noise
    told = difference(first, second, law, apart=False, claims=claims if law is not None else 1)
    overlapping = sum(a.low <= b.high and b.low <= a.high for _, a, b in known)
    step = law.step if law is not None else FINEST
    return PlacePair(one.name, other.name, one.points[last].period, rounded(told, step), overlapping, len(known))


ROUTES = in_every_language([Route("/d/{id}/places", once(page))])
