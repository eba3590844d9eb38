"""The trend of a dataset: the numbers over time for the cell and measure that a reader chose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from publisher.grades import CAUTION, OK, SUPPRESSED
from publisher.portal.base.sql import literal
from publisher.portal.contract import ADDITIVE, ShapeKey, ShapeMeasure, TableShape
from publisher.portal.pages.aggregates import totals
from publisher.portal.pages.chart import Chart, ChartPoint, draw
from publisher.portal.pages.movement import Movement, movement
from publisher.portal.soql.compiler import SoqlQuestion, compile_question

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.discovery.families import DatasetEntry, Family

    Ask = Callable[[dict[str, str]], list[dict[str, Any]]]

PERIODS = 104
"""How many periods one page shows, the latest first."""
CHOICES = 400
"""How many values of a key a select offers."""
ALL = "*"
"""The value a select sends for the sum over all values of a key."""


@dataclass(frozen=True, slots=True)
class FormSelect:
    """A form select: its parameter, its label, and its values with their names."""

    name: str
    label: str
    options: list[tuple[str, str]]
    """Values with names, without the option to add up all values."""
    chosen: str
    additive: bool = True
    """Whether all values may be chosen together."""
    usual: str = ""
    """The value of the most telling cell."""

    @property
    def chosen_name(self) -> str:
        """The name of the chosen value."""
        return next((name for value, name in self.options if value == self.chosen), self.chosen)


@dataclass(frozen=True, slots=True)
class OtherTable:
    """Another table of the family, which may have the total that a reader adds up."""

    title: str
    path: str
    """Without the language prefix."""
    shape: TableShape
    ask: Ask

    def measure_like(self, measure: ShapeMeasure) -> ShapeMeasure | None:
        """The same measure in this table."""
        return next((m for m in self.shape.measures if (m.name, m.kind) == (measure.name, measure.kind)), None)


@dataclass(frozen=True, slots=True)
class Trend:
    """What the page shows over time; no points if `refused`, because cells of the measure cannot be added up."""

    measure: ShapeMeasure
    selects: list[FormSelect]
    points: list[ChartPoint]
    chart: Chart | None
    summed: bool
    refused: bool = False
    held: OtherTable | None = None
    """The table that these numbers are from, if the reader asked for a sum that it has."""
    earlier: int | None = None
    later: int | None = None
    title: str = ""
    movement: Movement | None = None
    """What the noise lets one say about the series; None if there is no series, or its noise is not known."""

    @property
    def margins(self) -> bool:
        """True if any point has a margin."""
        return any(point.low is not None for point in self.points)

    @property
    def added_up(self) -> bool:
        """Whether these numbers are sums of cells that no table has."""
        return self.summed and self.held is None

    @property
    def left_out(self) -> int:
        """How many suppressed cells are not in the sums."""
        return sum(point.left_out for point in self.points)

    @property
    def likely_higher(self) -> bool:
        """Whether what is left out can only add to a sum."""
        return self.measure.kind == "count" or (self.measure.noise is not None and not self.measure.noise.signed)


def asker(dataset: PortalDataset, fetch: Callable[..., list[dict[str, Any]]]) -> Ask:
    """A function that runs SoQL clauses on the dataset."""
    return lambda clauses: fetch(compile_question(dataset, SoqlQuestion(clauses)))


def beside(dataset: PortalDataset, family: Family, asking: Callable[[PortalDataset], Ask]) -> tuple[OtherTable, ...]:
    """The other tables of its family with the same time step, which may have the total that a reader adds up."""
    steps = {each.dataset.id: _step(each) for each in family.members}
    alike = {name for name, step in steps.items() if step is not None and step == steps.get(dataset.id)}
    return tuple(
        OtherTable(each.dataset.name, f"/d/{each.dataset.id}", each.about.shape, asking(each.dataset))
        for each in family.members
        if each.dataset.id in alike - {dataset.id} and each.about.shape and each.dataset.rows
    )


def _step(entry: DatasetEntry) -> str | None:
    """The time step of a table: the title of its period column, with what its rows add up over time. The year to date
    and the last 12 months are both named after their last month."""
    shape = entry.about.shape
    column = entry.dataset.column(shape.period) if shape is not None else None
    return f"{entry.about.over_time} {column.name}" if column is not None else None


def trend(
    shape: TableShape,
    ask: Ask,
    wanted: Mapping[str, str],
    tables: Sequence[OtherTable] = (),
    released: Collection[str] = (),
) -> Trend:
    """The trend of the cell and measure in the query parameters, by default of all cells together if a table has them,
    otherwise of a cell with many reliable numbers.

    `tables` are the tables that may have the total the reader adds up, `released` the periods of releases.
    """
    measure = next((m for m in shape.measures if m.name == wanted.get("measure")), shape.leading)
    selects = selects_of(shape, measure, ask, wanted, tables)
    summed = any(select.chosen == ALL for select in selects)
    page = int(wanted["page"]) if wanted.get("page", "").isdecimal() and len(wanted["page"]) < 6 else 0
    where = chosen_where(selects)
    held = table_with(measure, [s.name for s in selects if s.chosen != ALL], tables) if summed else None
    if summed and held is None and measure.kind not in ADDITIVE:
        return Trend(measure, selects, [], None, summed, refused=True)
    if held is not None:
        shape, ask, measure = held.shape, held.ask, held.measure_like(measure) or measure
        held = replace(held, path=f"{held.path}?{urlencode(_parameters(selects, measure))}#trend")
    read = _sums if summed and held is None else _cell
    found = read(shape, measure, ask, where, page)
    points = found[:PERIODS][::-1]
    return Trend(
        measure,
        selects,
        points,
        draw(points),
        summed,
        held=held,
        earlier=page + 1 if len(found) > PERIODS else None,
        later=page - 1 if page else None,
        title=" · ".join(s.chosen_name for s in selects if s.chosen != ALL),
        movement=None if read is _sums else movement(points, measure.noise, released),
    )


def chosen_where(selects: Sequence[FormSelect]) -> str:
    """The condition for the cells that the selects choose."""
    return " AND ".join(f"`{s.name}` = {literal(s.chosen)}" for s in selects if s.chosen != ALL)


def _parameters(selects: Sequence[FormSelect], measure: ShapeMeasure) -> dict[str, str]:
    return {s.name: s.chosen for s in selects if s.chosen != ALL} | {"measure": measure.name}


def selects_of(
    shape: TableShape,
    measure: ShapeMeasure,
    ask: Ask,
    wanted: Mapping[str, str],
    tables: Sequence[OtherTable] = (),
    *,
    prefix: str = "",
    but: str | None = None,
) -> list[FormSelect]:
    """A select for every key except `but`; its parameter is the key's name with a prefix.

    Until a reader chooses, they are at "All" if a table has the numbers of all their values together.
    """
    telling = _telling_cell(shape, measure, ask)
    keys = [key for key in shape.keys if key.name != but]
    given = {key.name: wanted.get(f"{prefix}{key.name}") for key in keys}
    whole = table_with(measure, [but] if but else [], tables) is not None
    if whole and not any(given.values()):
        given = dict.fromkeys(given, ALL)
    additive = whole or measure.kind in ADDITIVE
    return [_select(key, ask, given[key.name], telling.get(key.name), additive=additive) for key in keys]


def _select(key: ShapeKey, ask: Ask, wanted: str | None, telling: str | None, *, additive: bool) -> FormSelect:
    options = values_of(ask, key.name, key.names, CHOICES)
    known = [value for value, _ in options] + [ALL] * additive
    usual = next((value for value in (telling, *known) if value in known), ALL)
    return FormSelect(key.name, key.label, options, str(wanted if wanted in known else usual), additive, str(usual))


def table_with(measure: ShapeMeasure, keys: Iterable[str], tables: Sequence[OtherTable]) -> OtherTable | None:
    """The table whose cells are the sums by these keys."""
    wanted = set(keys)
    for table in tables:
        if {key.name for key in table.shape.keys} == wanted and table.measure_like(measure) is not None:
            return table
    return None


def _telling_cell(shape: TableShape, measure: ShapeMeasure, ask: Ask) -> dict[str, str]:
    """The cell with the most reliable periods; among equals, the first in key order."""
    if not shape.keys:
        return {}
    keys = ", ".join(f"`{key.name}`" for key in shape.keys)
    best = [f"`{measure.status}` = {literal(status)}" for status in (OK, CAUTION)] if measure.status else []
    for good in best or [f"`{measure.name}` IS NOT NULL"]:
        clauses = {"$select": f"{keys}, count(*) as n", "$where": good, "$group": keys, "$order": f"n DESC, {keys}"}
        if found := ask(clauses | {"$limit": "1"}):
            return {key.name: str(found[0][key.name]) for key in shape.keys}
    return {}


def values_of(ask: Ask, field: str, names: str | None, most: int, *, latest: bool = False) -> list[tuple[str, str]]:
    """The values of a column, each with its name, in the order of the names; without names in their own order, or the
    `latest` first."""
    shown = f", min(`{names}`) AS shown" if names else ""
    order = "shown" if names else f"`{field}`" + (" DESC" if latest else "")
    clauses = {"$select": f"`{field}`{shown}", "$group": f"`{field}`", "$order": order, "$limit": str(most)}
    return [(str(row[field]), str(row.get("shown") or row[field])) for row in ask(clauses) if row[field] is not None]


def _window(page: int) -> dict[str, str]:
    return {"$limit": str(PERIODS + 1), "$offset": str(PERIODS * page)}


def _cell(shape: TableShape, measure: ShapeMeasure, ask: Ask, where: str, page: int) -> list[ChartPoint]:
    """The points of one cell, the latest period first."""
    fields = ", ".join(f"`{name}`" for name in dict.fromkeys((shape.period, shape.time, *measure.fields)))
    clauses = (
        {"$select": fields, "$order": f"`{shape.time}` DESC"} | ({"$where": where} if where else {}) | _window(page)
    )
    return [point_of(row, shape, measure) for row in ask(clauses)]


def point_of(row: Mapping[str, Any], shape: TableShape, measure: ShapeMeasure) -> ChartPoint:
    """One cell of the table, from a row with the measure's columns."""
    return ChartPoint(
        period=str(row[shape.period]),
        value=_number(row[measure.name]),
        low=_number(row[measure.low]) if measure.low else None,
        high=_number(row[measure.high]) if measure.high else None,
        status=str(row[measure.status] or SUPPRESSED) if measure.status else OK,
        words=str(row[measure.range] or "") if measure.range else "",
    )


def _sums(shape: TableShape, measure: ShapeMeasure, ask: Ask, where: str, page: int) -> list[ChartPoint]:
    """The points of the sum of cells that are not suppressed, the latest period first."""
    clauses = {"$order": f"`{shape.time}` DESC"} | ({"$where": where} if where else {}) | _window(page)
    return [
        ChartPoint(str(row[shape.period]), each.value, each.low, each.high, each.status, left_out=each.left_out)
        for row, each in totals(measure, ask, [shape.period, shape.time], clauses)
    ]


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))
