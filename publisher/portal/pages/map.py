"""The map of a dataset: places colored by one measure in one period, with unreliable and missing values marked."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from publisher.grades import OK, SUPPRESSED
from publisher.portal.base.sql import literal
from publisher.portal.contract import ADDITIVE
from publisher.portal.pages.aggregates import totals
from publisher.portal.pages.outlines import outlines
from publisher.portal.pages.trend import ALL, FormSelect, selects_of, table_with

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import PublisherMetadata, ShapeKey, ShapeMeasure, TableShape
    from publisher.portal.pages.outlines import Outlines
    from publisher.portal.pages.trend import Ask, OtherTable
    from publisher.portal.store.assets import Assets

CLASSES = 3
"""The maximum number of colors: between black and white, no more than three have a contrast of 3 to 1."""
WIDTH = 2
"""The width of a class in typical margins, at least: a color is then not decided by the noise alone."""
PERIODS = 20_000
"""How many periods the list can have; later ones are left out."""
CELLS = 100_000
"""How many cells of one year are used to compute the classes."""


@dataclass(frozen=True, slots=True)
class MapCell:
    """A place in one period."""

    place: str
    period: str
    name: str
    value: Decimal | None
    low: Decimal | None
    high: Decimal | None
    status: str
    words: str = ""
    """For a quantile: the range it is in, in words."""


@dataclass(frozen=True, slots=True)
class Area:
    """A place with its outline (empty if no polygon has its key) and the number of its color."""

    cell: MapCell
    path: str
    color: int | None


@dataclass(frozen=True, slots=True)
class Class:
    """A color class: values from `low` to `high`; `high` itself belongs to the next class unless `closed`."""

    low: Decimal
    high: Decimal
    closed: bool


@dataclass(frozen=True, slots=True)
class Times:
    """All periods in order, and the one that is shown."""

    periods: tuple[str, ...]
    chosen: str

    @property
    def years(self) -> list[int]:
        """The years of the periods, in order."""
        return sorted({int(_year(period)) for period in self.periods})

    @property
    def year(self) -> int:
        """The year of the chosen period."""
        return int(_year(self.chosen))

    @property
    def within(self) -> list[str]:
        """The periods of that year."""
        return [period for period in self.periods if int(_year(period)) == self.year]

    @property
    def position(self) -> int:
        """The position of the chosen period within its year, from 1."""
        return self.within.index(self.chosen) + 1

    def beside(self, steps: int) -> str | None:
        """The period this many steps later (earlier if negative), or None."""
        number = self.periods.index(self.chosen) + steps
        return self.periods[number] if 0 <= number < len(self.periods) else None


@dataclass(frozen=True, slots=True)
class Map:
    """What the page shows: all places of one period, drawn if they have an outline."""

    measure: ShapeMeasure
    selects: list[FormSelect]
    times: Times
    areas: tuple[Area, ...]
    classes: tuple[Class, ...]
    summed: bool
    width: int
    height: int
    place: ShapeKey
    source: str
    elsewhere: tuple[tuple[str, str], ...]
    """Name and outline of each place that is not in the table, such as a park."""
    parameters: dict[str, str | None]
    """The query parameters, besides the place, that make the trend show the same cells; None for its defaults."""
    held: OtherTable | None = None
    """The table that these numbers are from, if the reader asked for sums that it has."""

    @property
    def drawn(self) -> list[Area]:
        """The places on the map."""
        return [area for area in self.areas if area.path]

    @property
    def beside(self) -> list[Area]:
        """The places without a polygon, such as Unknown."""
        return [area for area in self.areas if not area.path]

    @property
    def title(self) -> str:
        """The chosen values of the other keys."""
        return " · ".join(select.chosen_name for select in self.selects if select.chosen != ALL)

    @property
    def margin(self) -> Decimal | None:
        """The median half-width of the margins shown."""
        typical = _typical([area.cell for area in self.areas])
        return round(typical, 1) if typical is not None else None

    def marked(self, status: str) -> list[int]:
        """The colors under the marks of places with this status."""
        return sorted({a.color for a in self.drawn if a.color is not None and a.cell.status == status})

    @property
    def added_up(self) -> bool:
        """Whether these numbers are sums of cells that no table has."""
        return self.summed and self.held is None

    @property
    def partial(self) -> bool:
        """Whether any sum leaves suppressed cells out."""
        return any(area.cell.status == "partial" for area in self.areas)

    def has(self, status: str) -> bool:
        """Whether any place on the map has this status."""
        return any(area.cell.status == status for area in self.drawn)


def map_of(
    dataset: PortalDataset,
    known: PublisherMetadata,
    ask: Ask,
    wanted: Mapping[str, str],
    assets: Assets,
    tables: Sequence[OtherTable] = (),
) -> Map | None:
    """The map for the query parameters; None for a dataset without polygons, places, or rows. `tables` are the tables
    that may have the totals the reader adds up."""
    shape, told = known.shape, known.boundaries
    file = assets.attached(dataset, told.filename) if told is not None else None
    place = next((key for key in shape.keys if told and key.name == told.key), None) if shape else None
    if shape is None or told is None or file is None or place is None or not dataset.rows:
        return None
    drawing, times = outlines(assets.path(file), told.property), _times(shape, ask, wanted)
    if drawing is None or times is None:
        return None
    return _Question(shape, place, ask, wanted, tables).map(drawing, times, told.source)


def _times(shape: TableShape, ask: Ask, wanted: Mapping[str, str]) -> Times | None:
    """The periods with the chosen one: from a moved slider, otherwise from the list, otherwise the latest."""
    group = f"`{shape.period}`, `{shape.time}`"
    found = ask({"$select": group, "$group": group, "$order": f"`{shape.time}`", "$limit": str(PERIODS)})
    periods = tuple(dict.fromkeys(str(row[shape.period]) for row in found if row[shape.period] is not None))
    if not periods or not all(_year(period).isdecimal() for period in periods):
        return None
    listed = wanted.get("map_period", "")
    times = Times(periods, listed if listed in periods else periods[-1])
    return _moved(times, wanted)


def _moved(times: Times, wanted: Mapping[str, str]) -> Times:
    """A slider counts only if it was moved: if it differs from what the page had shown."""
    year, at = _number(wanted.get("map_year")), _number(wanted.get("map_at"))
    if year is not None and year != times.year:
        nearest = min(times.years, key=lambda each: abs(each - year))
        there = [period for period in times.periods if int(_year(period)) == nearest]
        alike = [period for period in there if period[4:] == times.chosen[4:]]
        return Times(times.periods, (alike or there)[-1])
    if at is not None and at != _number(wanted.get("map_was")):
        return Times(times.periods, times.within[min(max(at, 1), len(times.within)) - 1])
    return times


def _year(period: str) -> str:
    return period[:4]


def _number(given: str | None) -> int | None:
    return int(given) if given and given.isdecimal() and len(given) < 7 else None


@dataclass(frozen=True)
class _Question:
    """One request for the map: the dataset's shape, the key that is the place, and the query parameters."""

    shape: TableShape
    place: ShapeKey
    ask: Ask
    wanted: Mapping[str, str]
    tables: Sequence[OtherTable] = ()

    def map(self, drawing: Outlines, times: Times, source: str) -> Map:
        """Make the map; the classes cover the whole year, so that its periods can be compared."""
        measure = next((m for m in self.shape.measures if m.name == self.wanted.get("map_measure")), None)
        measure = measure or self.shape.leading
        selects = selects_of(
            self.shape, measure, self.ask, self.wanted, self.tables, prefix="map_", but=self.place.name
        )
        held = self._held(measure, selects)
        year = self._cells(measure, selects, times.within, held)
        values = [cell.value for cell in year if cell.value is not None and drawing.paths.get(cell.place)]
        breaks = class_breaks(values, WIDTH * (_typical(year) or Decimal(0)))
        shown = {cell.place: cell for cell in year if cell.period == times.chosen}
        empty = {key: MapCell(key, times.chosen, key, None, None, None, "") for key in drawing.paths}
        return Map(
            measure=measure,
            selects=selects,
            times=times,
            areas=tuple(_area(cell, drawing, breaks) for cell in sorted((empty | shown).values(), key=_by_name)),
            classes=_classes(values, breaks),
            summed=_summed(selects),
            width=drawing.width,
            height=drawing.height,
            place=self.place,
            source=source,
            elsewhere=drawing.elsewhere,
            parameters={each.name: None if each.chosen == each.usual else each.chosen for each in selects}
            | {"measure": None if measure is self.shape.leading else measure.name},
            held=held,
        )

    def _held(self, measure: ShapeMeasure, selects: Sequence[FormSelect]) -> OtherTable | None:
        """The table that has the sums, if the reader asked for some."""
        if not _summed(selects):
            return None
        return table_with(measure, [self.place.name, *(s.name for s in selects if s.chosen != ALL)], self.tables)

    def _cells(
        self,
        measure: ShapeMeasure,
        selects: Sequence[FormSelect],
        periods: Sequence[str],
        held: OtherTable | None,
    ) -> list[MapCell]:
        """The cells of all places in these periods."""
        if _summed(selects) and held is None and measure.kind not in ADDITIVE:
            return []
        shape, names = self.shape, self.place.names or self.place.name
        chosen = [f"`{each.name}` = {literal(each.chosen)}" for each in selects if each.chosen != ALL]
        among = ", ".join(literal(period) for period in periods)
        clauses = {"$where": " AND ".join([f"`{shape.period}` IN ({among})", *chosen]), "$limit": str(CELLS)}
        by = list(dict.fromkeys((self.place.name, names, shape.period)))
        if _summed(selects) and held is None:
            found = totals(measure, self.ask, by, clauses)
            return [self._cell(row, each.value, each.low, each.high, each.status) for row, each in found]
        ask, measure = (held.ask, held.measure_like(measure) or measure) if held else (self.ask, measure)
        clauses["$select"] = ", ".join(f"`{name}`" for name in dict.fromkeys((*by, *measure.fields)))
        return [self._plain(row, measure) for row in ask(clauses)]

    def _plain(self, row: dict[str, Any], measure: ShapeMeasure) -> MapCell:
        value, low, high = (
            Decimal(str(row[name])) if name and row[name] is not None else None
            for name in (measure.name, measure.low, measure.high)
        )
        status = str(row[measure.status] or SUPPRESSED) if measure.status else SUPPRESSED if value is None else OK
        return self._cell(row, value, low, high, status, str(row[measure.range] or "") if measure.range else "")

    def _cell(self, row: dict[str, Any], *number: Any) -> MapCell:
        place = str(row[self.place.name])
        return MapCell(
            place, str(row[self.shape.period]), str(row[self.place.names or self.place.name] or place), *number
        )


def _by_name(cell: MapCell) -> tuple[str, str]:
    return cell.name.casefold(), cell.place


def _summed(selects: Sequence[FormSelect]) -> bool:
    return any(select.chosen == ALL for select in selects)


def _area(cell: MapCell, drawing: Outlines, breaks: Sequence[Decimal]) -> Area:
    color = bisect_right(breaks, cell.value) if cell.value is not None else None
    return Area(cell, drawing.paths.get(cell.place, ""), color)


def _typical(cells: Sequence[MapCell]) -> Decimal | None:
    """The median half-width of the margins of these cells; None if none has a margin."""
    halves = sorted((cell.high - cell.low) / 2 for cell in cells if cell.low is not None and cell.high is not None)
    return halves[len(halves) // 2] if halves else None


def class_breaks(values: Sequence[Decimal], least: Decimal = Decimal(0)) -> list[Decimal]:
    """The values where a new color begins: near the quantiles, moved to the roundest number nearby, in rising order.

    Each class is at least `least` wide, so there are fewer classes where margins are wide.
    """
    order = sorted(values)
    for count in range(min(CLASSES, len(set(order)), max(1, len(order) // 3)), 1, -1):
        breaks = _near_quantiles(order, count)
        if all(high - low >= least for low, high in pairwise([order[0], *breaks, order[-1]])):
            return breaks
    return []


def _near_quantiles(order: Sequence[Decimal], count: int) -> list[Decimal]:
    found: list[Decimal] = []
    for number in range(1, count):
        at, reach = len(order) * number / count, len(order) / count / 4
        low, high = order[max(0, int(at - reach) - 1)], order[min(len(order) - 1, int(at + reach))]
        cut = _roundest(low, high)
        if cut is not None and order[0] < cut <= order[-1] and (not found or cut > found[-1]):
            found.append(cut)
    return found


def _roundest(low: Decimal, high: Decimal) -> Decimal | None:
    """The number with the fewest digits above `low`, up to `high`; None if they are the same."""
    if low >= high:
        return None
    power = max(abs(low), abs(high)).adjusted() + 1
    while True:
        for step in (Decimal(5), Decimal(2), Decimal(1)):
            size = step.scaleb(power)
            multiple = (high // size - (1 if high < 0 and high % size else 0)) * size
            if low < multiple <= high:
                return multiple.normalize() + 0
        power -= 1


def _classes(values: Sequence[Decimal], breaks: Sequence[Decimal]) -> tuple[Class, ...]:
    """The classes from the smallest value to the largest; for whole numbers each class includes its upper end."""
    if not values:
        return ()
    whole = all(value == value.to_integral_value() for value in (*values, *breaks))
    ends = [min(values), *breaks, max(values)]
    last = len(ends) - 2
    return tuple(
        Class(low, high - 1 if whole and n < last else high, closed=whole or n == last)
        for n, (low, high) in enumerate(pairwise(ends))
    )
