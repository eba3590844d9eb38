"""The ranking of a dataset with one period: every place with its number as a dot and its margin as a whisker."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from publisher.grades import OK
from publisher.portal.base.sql import literal
from publisher.portal.contract import ADDITIVE
from publisher.portal.pages.aggregates import totals
from publisher.portal.pages.chart import scale
from publisher.portal.pages.trend import ALL, FormSelect, selects_of, table_with

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.portal.contract import ShapeKey, ShapeMeasure, TableShape
    from publisher.portal.pages.trend import Ask, OtherTable

WIDTH = 1000
"""The width of the value axis in SVG units."""
MOST = 100
"""How many places are shown, the largest numbers first."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A place with its number; `at`, `start`, and `end` are the positions of the number and its margin on the axis."""

    place: str
    name: str
    value: Decimal
    low: Decimal | None
    high: Decimal | None
    status: str
    words: str
    at: int = 0
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """What the page shows: the places by their numbers, the largest first."""

    measure: ShapeMeasure
    key: ShapeKey
    selects: list[FormSelect]
    period: str
    rows: tuple[Ranked, ...]
    elsewhere: Ranked | None
    """What is in none of the places; it has no place in their order."""
    withheld: tuple[str, ...]
    """The names of the places whose number is suppressed."""
    left_out: int
    """How many places are not shown because there are too many."""
    zero: int
    """The position of zero on the axis."""
    ticks: tuple[tuple[int, Decimal], ...]
    summed: bool

    @property
    def title(self) -> str:
        """The chosen values of the other keys."""
        return " · ".join(select.chosen_name for select in self.selects if select.chosen != ALL)

    @property
    def margins(self) -> bool:
        """True if any place has a margin."""
        return any(row.start is not None for row in self.rows)

    def has(self, status: str) -> bool:
        """Whether any place has this status."""
        return any(row.status == status for row in self.rows)

    @property
    def overlaps(self) -> bool:
        """True if the margins of any two places that follow each other overlap."""
        ends = [(row.low if row.low is not None else row.value, row.high) for row in self.rows]
        return any(low <= high if high is not None else True for (low, _), (_, high) in pairwise(ends))


def ranking(
    shape: TableShape, ask: Ask, wanted: Mapping[str, str], tables: Sequence[OtherTable] = ()
) -> Ranking | None:
    """The ranking for the query parameters; None if the dataset has several periods, no keys, or no numbers. `tables`
    are the tables that may have the totals the reader adds up."""
    if not shape.keys:
        return None
    group = f"`{shape.period}`"
    periods = ask({"$select": group, "$group": group, "$limit": "2"})
    if len(periods) != 1:
        return None
    key = next((each for each in shape.keys if each.name == shape.place), shape.keys[0])
    measure = next((each for each in shape.measures if each.name == wanted.get("measure")), shape.leading)
    selects = selects_of(shape, measure, ask, wanted, tables, but=key.name)
    summed = any(select.chosen == ALL for select in selects)
    keys = [key.name, *(each.name for each in selects if each.chosen != ALL)]
    held = table_with(measure, keys, tables) if summed else None
    if summed and held is None and measure.kind not in ADDITIVE:
        return None
    if held is not None:
        ask, measure, summed = held.ask, held.measure_like(measure) or measure, False
    found = _cells(key, measure, ask, selects, summed=summed)
    numbers = sorted((row for row in found if isinstance(row, Ranked)), key=lambda row: (-row.value, row.name))
    known = [row for row in numbers if row.place != key.other]
    if not known:
        return None
    bottom, top, step = _axis(known[:MOST])
    rows = tuple(_placed(row, bottom, top) for row in known[:MOST])
    count = round((top - bottom) / step)
    ticks = tuple((round(WIDTH * n / count), Decimal(repr(round(bottom + step * n, 10)))) for n in range(count + 1))
    return Ranking(
        measure=measure,
        key=key,
        selects=selects,
        period=str(periods[0][shape.period]),
        rows=rows,
        elsewhere=next((row for row in numbers if row.place == key.other), None),
        withheld=tuple(sorted(row for row in found if isinstance(row, str))),
        left_out=len(known) - len(rows),
        zero=_position(Decimal(0), bottom, top),
        ticks=ticks,
        summed=summed,
    )


def _cells(
    key: ShapeKey, measure: ShapeMeasure, ask: Ask, selects: Sequence[FormSelect], *, summed: bool
) -> list[Ranked | str]:
    """Every place, or only its name if its number is suppressed."""
    where = " AND ".join(f"`{each.name}` = {literal(each.chosen)}" for each in selects if each.chosen != ALL)
    clauses = {"$limit": "5000"} | ({"$where": where} if where else {})
    by = list(dict.fromkeys((key.name, key.names or key.name)))
    if summed:
        return [_sum(row, key, each) for row, each in totals(measure, ask, by, clauses)]
    clauses["$select"] = ", ".join(f"`{name}`" for name in dict.fromkeys((*by, *measure.fields)))
    return [_cell(row, key, measure) for row in ask(clauses)]


def _sum(row: dict[str, Any], key: ShapeKey, total: Any) -> Ranked | str:
    name = _name(row, key)
    if total.value is None:
        return name
    return Ranked(str(row[key.name]), name, total.value, total.low, total.high, total.status, "")


def _cell(row: dict[str, Any], key: ShapeKey, measure: ShapeMeasure) -> Ranked | str:
    value, low, high = (
        Decimal(str(row[name])) if name and row[name] is not None else None
        for name in (measure.name, measure.low, measure.high)
    )
    if value is None:
        return _name(row, key)
    status = str(row[measure.status] or OK) if measure.status else OK
    words = str(row[measure.range] or "") if measure.range else ""
    return Ranked(str(row[key.name]), _name(row, key), value, low, high, status, words)


def _name(row: dict[str, Any], key: ShapeKey) -> str:
    return str(row[key.names or key.name] or row[key.name])


def _axis(rows: Sequence[Ranked]) -> tuple[float, float, float]:
    known = [float(n) for row in rows for n in (row.value, row.low, row.high) if n is not None]
    return scale(min(0.0, *known), max(known))


def _position(value: Decimal, bottom: float, top: float) -> int:
    return round(WIDTH * (float(value) - bottom) / (top - bottom))


def _placed(row: Ranked, bottom: float, top: float) -> Ranked:
    """The row with its positions; a margin without an upper end reaches the end of the axis."""
    start = _position(row.low, bottom, top) if row.low is not None else None
    end = _position(row.high, bottom, top) if row.high is not None else WIDTH
    at = _position(row.value, bottom, top)
    return Ranked(row.place, row.name, row.value, row.low, row.high, row.status, row.words, at, start, end)
