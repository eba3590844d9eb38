"""Two numbers of a dataset that a reader chose, and whether the noise lets one tell them apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from publisher.portal.base.differences import difference
from publisher.portal.pages.movement import in_releases_of_their_own, published, rounded
from publisher.portal.pages.trend import CHOICES, FormSelect, chosen_where, point_of, selects_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from publisher.portal.base.differences import NoisyDifference
    from publisher.portal.contract import ShapeMeasure, TableShape
    from publisher.portal.pages.chart import ChartPoint
    from publisher.portal.pages.trend import Ask

OPTIONS = 100
"""A form with at most so many options is part of the page; a longer one is a link away."""
FINEST = 1e-6
"""Measures without a law have no step; their differences are shown to this one."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two numbers: its key selects, its period, and the number itself once it was asked for."""

    name: str
    selects: list[FormSelect]
    period: FormSelect
    point: ChartPoint | None = None

    @property
    def title(self) -> str:
        """The names of its keys."""
        return " · ".join(select.chosen_name for select in self.selects)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The form, and what can be said of the first number compared with the second; None if that is nothing."""

    measure: ShapeMeasure
    sides: tuple[Side, Side]
    wanted: bool
    """Whether the reader asked for the form."""
    asked: bool
    """Whether the reader chose two numbers."""
    found: NoisyDifference | None

    @property
    def brief(self) -> bool:
        """Whether the form is part of the page even if no one asked for it."""
        selects = [select for side in self.sides for select in (*side.selects, side.period)]
        return sum(len(select.options) for select in selects) <= OPTIONS

    @property
    def same(self) -> bool:
        """Whether both are the same number."""
        one, other = ([select.chosen for select in (*side.selects, side.period)] for side in self.sides)
        return one == other


def compare(
    shape: TableShape,
    ask: Ask,
    wanted: Mapping[str, str],
    selects: Sequence[FormSelect] | None,
    released: Collection[str],
) -> Comparison | None:
    """The comparison in the parameters `compare` (the measure), `first_KEY`, `first_period`, and so on; by default of
    the two latest periods of the cell that `selects` have as usual, which are looked up if the page has none. None for
    a dataset with a single number."""
    measure = next((m for m in shape.measures if m.name == wanted.get("compare")), shape.leading)
    selects = selects_of(shape, measure, ask, {}) if selects is None else selects
    periods = _periods(shape, ask)
    if len(periods) < 2 and all(len(select.options) < 2 for select in selects):
        return None
    asked = "first_period" in wanted and "second_period" in wanted
    usual = (("first", selects, periods[0]), ("second", selects, periods[min(1, len(periods) - 1)]))
    if len(periods) == 1:
        usual = (usual[0], ("second", _next_cell(selects), periods[0]))
    first, second = (
        _side(name, shape, measure, ask if asked else None, wanted, cell, periods, period)
        for name, cell, period in usual
    )
    form = asked or "compare" in wanted
    return Comparison(measure, (first, second), form, asked, _found(measure, first.point, second.point, released))


def _periods(shape: TableShape, ask: Ask) -> list[str]:
    """The periods, the latest first."""
    group = f"`{shape.period}`, `{shape.time}`"
    clauses = {"$select": group, "$group": group, "$order": f"`{shape.time}` DESC", "$limit": str(CHOICES)}
    return list(dict.fromkeys(str(row[shape.period]) for row in ask(clauses)))


def _side(
    name: str,
    shape: TableShape,
    measure: ShapeMeasure,
    ask: Ask | None,
    wanted: Mapping[str, str],
    selects: Sequence[FormSelect],
    periods: Sequence[str],
    usual: str,
) -> Side:
    chosen = [_chosen(select, wanted.get(f"{name}_{select.name}")) for select in selects]
    given = wanted.get(f"{name}_period", usual)
    period = FormSelect(shape.period, "", [(each, each) for each in periods], given if given in periods else usual)
    point = _point(shape, measure, ask, [*chosen, period]) if ask is not None else None
    return Side(name, chosen, replace(period, additive=False), point)


def _next_cell(selects: Sequence[FormSelect]) -> list[FormSelect]:
    """Another cell than the usual one, for a dataset with one period: the next value of the first key that has two."""
    found = list(selects)
    n = next(n for n, select in enumerate(found) if len(select.options) > 1)
    values = [value for value, _ in found[n].options]
    usual = found[n].usual
    at = values.index(usual) if usual in values else 0
    found[n] = replace(found[n], usual=values[(at + 1) % len(values)])
    return found


def _chosen(select: FormSelect, given: str | None) -> FormSelect:
    values = [value for value, _ in select.options]
    usual = select.usual if select.usual in values else values[0] if values else ""
    return replace(select, additive=False, chosen=given if given in values else usual)


def _point(shape: TableShape, measure: ShapeMeasure, ask: Ask, selects: Sequence[FormSelect]) -> ChartPoint | None:
    fields = ", ".join(f"`{name}`" for name in dict.fromkeys((shape.period, *measure.fields)))
    rows = ask({"$select": fields, "$where": chosen_where(selects), "$limit": "1"})
    return point_of(rows[0], shape, measure) if rows else None


def _found(
    measure: ShapeMeasure, first: ChartPoint | None, second: ChartPoint | None, released: Collection[str]
) -> NoisyDifference | None:
    if first is None or second is None:
        return None
    one, other = (published(point, open_end=measure.kind == "quantile") for point in (first, second))
    if one is None or other is None:
        return None
    law, apart = measure.noise, in_releases_of_their_own([first, second], released)
    return rounded(difference(one, other, law, apart=apart), law.step if law is not None else FINEST)
