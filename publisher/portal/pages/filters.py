"""The filters of a dataset's rows: a value for period, keys and statuses, a span for days and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from publisher.grades import STATUSES
from publisher.portal.base.kinds import TIMES, Kind
from publisher.portal.base.sql import literal
from publisher.portal.pages.trend import values_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.portal.base.model import PortalColumn, PortalDataset
    from publisher.portal.contract import TableShape
    from publisher.portal.pages.trend import Ask

OPTIONS = 40
"""How many values a select offers; a column with more has a text field that matches part of a value."""
SPANS = 8
"""How many columns of a dataset without a shape have a span."""
PREFIX = "row."
"""The prefix of the filter parameters, so that they do not clash with those of the trend."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A form field: a select if it has options, otherwise a text field."""

    column: PortalColumn
    label: str
    options: list[tuple[str, str]]
    chosen: str
    status: bool = False

    @property
    def name(self) -> str:
        """The query parameter."""
        return PREFIX + self.column.field

    @property
    def where(self) -> str:
        """The condition; empty if nothing is chosen."""
        if not self.chosen:
            return ""
        if not self.options:
            return contains(self.column, self.chosen)
        return f"`{self.column.field}` = {literal(self.chosen)}"


@dataclass(frozen=True, slots=True)
class SpanFilter:
    """Two form fields: the first and the last day, or the least and the most of a number; empty where it is open."""

    column: PortalColumn
    first: str
    last: str
    measured: bool = False
    """Whether it is a number with noise, which then decides about rows near the ends."""

    @property
    def name(self) -> str:
        """The query parameter, without its end `.from` or `.to`."""
        return PREFIX + self.column.field

    @property
    def dated(self) -> bool:
        """Whether it is about days."""
        return self.column.kind in TIMES

    @property
    def where(self) -> str:
        """The condition; empty if both ends are open."""
        field, last = f"`{self.column.field}`", self.last
        if last and self.dated:  # all of its last day
            field_below = f"{field} < {literal((date.fromisoformat(last) + timedelta(days=1)).isoformat())}"
        else:
            field_below = f"{field} <= {self._written(last)}"
        ends = ([f"{field} >= {self._written(self.first)}"] if self.first else []) + ([field_below] if last else [])
        return " AND ".join(ends)

    def _written(self, end: str) -> str:
        return literal(end) if self.dated else end


@dataclass(frozen=True, slots=True)
class Filters:
    """All filters of a dataset."""

    values: list[Filter]
    spans: list[SpanFilter]

    @property
    def where(self) -> str:
        """The condition for the rows; empty if nothing is chosen."""
        conditions = [each.where for each in self.values] + [each.where for each in self.spans]
        return " AND ".join(each for each in conditions if each)

    @property
    def by_number(self) -> bool:
        """Whether numbers with noise, or their statuses, decide which rows are there."""
        chosen = [each.status for each in self.values if each.where] + [e.measured for e in self.spans if e.where]
        return any(chosen)


def filters_of(dataset: PortalDataset, shape: TableShape | None, ask: Ask, wanted: Mapping[str, str]) -> Filters:
    """The filters for the parameters `row.FIELD`, `row.FIELD.from` and `row.FIELD.to`."""
    return Filters(_values(dataset, shape, ask, wanted), _spans(dataset, shape, wanted))


def contains(column: PortalColumn, value: str) -> str:
    """The condition that a text has this part, or that another value is this."""
    name = f"`{column.field}`"
    return f"caseless_contains({name}, {literal(value)})" if column.kind is Kind.TEXT else f"{name} = {literal(value)}"


def statuses(shape: TableShape | None) -> list[str]:
    """The columns with the statuses of measures."""
    found = [measure.status for measure in shape.measures if measure.status] if shape else []
    return list(dict.fromkeys(found))


def _spans(dataset: PortalDataset, shape: TableShape | None, wanted: Mapping[str, str]) -> list[SpanFilter]:
    """Of the time and each measure; of the first columns with days or numbers if the dataset has no shape."""
    spanning = [column for column in dataset.columns if column.kind in TIMES or column.kind is Kind.NUMBER]
    measures = {each.name for each in shape.measures} if shape is not None else set()
    if shape is not None:
        spanning = [column for column in spanning if column.field in {shape.time} | measures]
    return [_span(column, wanted, measured=column.field in measures) for column in spanning[:SPANS]]


def _span(column: PortalColumn, wanted: Mapping[str, str], *, measured: bool) -> SpanFilter:
    read = _day if column.kind in TIMES else _number
    first, last = (read(wanted.get(f"{PREFIX}{column.field}.{end}", "").strip()) for end in ("from", "to"))
    return SpanFilter(column, first, last, measured)


def _day(text: str) -> str:
    """A day in ISO 8601; empty if it is none, or the last one that there is."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return ""
    return found.isoformat() if found < date.max else ""


def _number(text: str) -> str:
    """A number as SoQL writes it; empty if it is none."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        return ""
    return f"{found:f}" if found.is_finite() and abs(found.adjusted()) < 30 else ""


def _values(dataset: PortalDataset, shape: TableShape | None, ask: Ask, wanted: Mapping[str, str]) -> list[Filter]:
    """A filter for the period, for each key, and for each status."""
    if shape is None or not dataset.rows:
        return []
    coded = [(shape.period, None, ""), *((key.name, key.names, key.label) for key in shape.keys)]
    filters = [_filter(dataset, ask, wanted, *each) for each in coded]
    for field in statuses(shape):
        options = [(status, status) for status in STATUSES]
        filters.append(_chosen(dataset, field, "", options, wanted, status=True))
    return filters


def _filter(
    dataset: PortalDataset, ask: Ask, wanted: Mapping[str, str], field: str, names: str | None, label: str
) -> Filter:
    options = values_of(ask, field, names, OPTIONS + 1, latest=not label)
    if len(options) > OPTIONS:
        return _chosen(dataset, names or field, label, [], wanted)
    return _chosen(dataset, field, label, options, wanted)


def _chosen(
    dataset: PortalDataset,
    field: str,
    label: str,
    options: list[tuple[str, str]],
    wanted: Mapping[str, str],
    *,
    status: bool = False,
) -> Filter:
    column = next(each for each in dataset.columns if each.field == field)
    chosen = wanted.get(PREFIX + field, "").strip()
    offered = not options or chosen in {value for value, _ in options}
    return Filter(column, label or column.name, options, chosen if offered else "", status)
