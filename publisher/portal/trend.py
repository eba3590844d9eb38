"""The trend of a dataset: which cell and measure a reader chose, and its numbers over time."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from publisher.portal.chart import Chart, Point, draw
from publisher.portal.soql.compiler import Question, compile_question
from publisher.portal.structure import ADDITIVE, Key, Measure, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from publisher.portal.model import Dataset

    Ask = Callable[[dict[str, str]], list[dict[str, Any]]]

PERIODS = 104
"""How many periods one view shows, the latest first."""
CHOICES = 400
"""How many values of a key a select offers."""
ALL = "*"
"""What a select sends for the sum over all values of a key."""


@dataclass(frozen=True, slots=True)
class Select:
    """A form select: its parameter, its label and the values with their names."""

    name: str
    label: str
    options: list[tuple[str, str]]
    chosen: str

    @property
    def chosen_name(self) -> str:
        """The name of the chosen value."""
        return next((name for value, name in self.options if value == self.chosen), self.chosen)


@dataclass(frozen=True, slots=True)
class Trend:
    """What the page shows over time."""

    measure: Measure
    selects: list[Select]
    points: list[Point]
    chart: Chart | None
    summed: bool
    note: str = ""
    earlier: int | None = None
    later: int | None = None
    title: str = ""
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def margins(self) -> bool:
        """True where some point has a margin."""
        return any(point.low is not None for point in self.points)

    @property
    def left_out(self) -> int:
        """How many suppressed cells the sums leave out."""
        return sum(point.left_out for point in self.points)


def text(value: str) -> str:
    """A string literal of SoQL."""
    return "'" + value.replace("'", "''") + "'"


def asker(dataset: Dataset, fetch: Callable[..., list[dict[str, Any]]]) -> Ask:
    """A function that answers SoQL clauses about the dataset."""
    return lambda clauses: fetch(compile_question(dataset, Question(clauses)))


def trend(shape: Shape, ask: Ask, wanted: Mapping[str, str]) -> Trend:
    """The trend of the cell and measure that the query parameters choose, or else of a telling one."""
    measure = next((m for m in shape.measures if m.name == wanted.get("measure")), shape.measures[0])
    selects = _selects(shape, measure, ask, wanted)
    summed = any(select.chosen == ALL for select in selects)
    page = int(wanted["page"]) if wanted.get("page", "").isdecimal() and len(wanted["page"]) < 6 else 0
    where = " AND ".join(f"`{s.name}` = {text(s.chosen)}" for s in selects if s.chosen != ALL)
    if summed and measure.kind not in ADDITIVE:
        note = f"{measure.label} of several cells cannot be added up; choose one cell."
        return Trend(measure, selects, [], None, summed, note)
    read = _sums if summed else _cell
    found = read(shape, measure, ask, where, page)
    points = found[:PERIODS][::-1]
    return Trend(
        measure,
        selects,
        points,
        draw(points),
        summed,
        earlier=page + 1 if len(found) > PERIODS else None,
        later=page - 1 if page else None,
        title=" · ".join(s.chosen_name for s in selects if s.chosen != ALL),
        parameters={s.name: s.chosen for s in selects} | {"measure": measure.name},
    )


def _selects(shape: Shape, measure: Measure, ask: Ask, wanted: Mapping[str, str]) -> list[Select]:
    first = _telling_cell(shape, measure, ask)
    selects = []
    for key in shape.keys:
        options = _values(key, ask)
        known = {value for value, _ in options}
        chosen = wanted.get(key.name, first.get(key.name, options[0][0] if options else ALL))
        if measure.kind in ADDITIVE:
            options = [(ALL, "All, added up"), *options]
            known.add(ALL)
        selects.append(Select(key.name, key.label, options, chosen if chosen in known else options[0][0]))
    return selects


def _telling_cell(shape: Shape, measure: Measure, ask: Ask) -> dict[str, str]:
    """The cell with the most reliable periods, the first in order of the keys among equals."""
    if not shape.keys:
        return {}
    keys = ", ".join(f"`{key.name}`" for key in shape.keys)
    good = f"`{measure.status}` = 'ok'" if measure.status else f"`{measure.name}` IS NOT NULL"
    found = ask(
        {
            "$select": f"{keys}, count(*) as n",
            "$where": good,
            "$group": keys,
            "$order": f"n DESC, {keys}",
            "$limit": "1",
        }
    )
    return {key.name: str(found[0][key.name]) for key in shape.keys} if found else {}


def _values(key: Key, ask: Ask) -> list[tuple[str, str]]:
    shown = f", min(`{key.names}`) as shown" if key.names else ""
    clauses = {"$select": f"`{key.name}`{shown}", "$group": f"`{key.name}`", "$limit": str(CHOICES)}
    clauses["$order"] = "shown" if key.names else f"`{key.name}`"
    return [
        (str(row[key.name]), str(row.get("shown") or row[key.name]))
        for row in ask(clauses)
        if row[key.name] is not None
    ]


def _window(page: int) -> dict[str, str]:
    return {"$limit": str(PERIODS + 1), "$offset": str(PERIODS * page)}


def _cell(shape: Shape, measure: Measure, ask: Ask, where: str, page: int) -> list[Point]:
    """One cell, the latest period first."""
    fields = ", ".join(f"`{name}`" for name in dict.fromkeys((shape.period, shape.time, *measure.fields)))
    clauses = (
        {"$select": fields, "$order": f"`{shape.time}` DESC"} | ({"$where": where} if where else {}) | _window(page)
    )
    return [
        Point(
            period=str(row[shape.period]),
            value=_number(row[measure.name]),
            low=_number(row[measure.low]) if measure.low else None,
            high=_number(row[measure.high]) if measure.high else None,
            status=str(row[measure.status] or "suppressed") if measure.status else "ok",
        )
        for row in ask(clauses)
    ]


def _sums(shape: Shape, measure: Measure, ask: Ask, where: str, page: int) -> list[Point]:
    """The sum of the cells that are not suppressed, the latest period first. It has no margin of its own."""
    group = f"`{shape.period}`, `{shape.time}`"
    selected = f"{group}, sum(`{measure.name}`) as total, count(*) as cells, count(`{measure.name}`) as known"
    clauses = {"$select": selected, "$group": group, "$order": f"`{shape.time}` DESC"}
    found = ask(clauses | ({"$where": where} if where else {}) | _window(page))
    return [
        Point(
            str(row[shape.period]),
            _number(row["total"]),
            status="ok" if row["known"] else "suppressed",
            left_out=int(row["cells"] - row["known"]),
        )
        for row in found
    ]


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))
