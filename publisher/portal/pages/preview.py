"""The rows on a dataset's page: a few at a time, sorted by links and filtered by a form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from publisher.grades import STATUSES
from publisher.portal.base.kinds import GEOMETRIES, TIMES, Kind
from publisher.portal.base.sql import literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.portal.base.model import PortalColumn, PortalDataset
    from publisher.portal.contract import TableShape
    from publisher.portal.pages.trend import Ask

ROWS = 10
OPTIONS = 40
"""How many values a select offers; a column with more has a text field that matches part of a value."""
PREFIX = "row."
"""The prefix of the filter parameters, so that they do not clash with those of the trend."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """A value in a row, with its column."""

    value: Any
    column: PortalColumn
    status: bool = False
    reason: str = ""
    """Why a cell is suppressed, for its status."""
    low: Decimal | None = None
    high: Decimal | None = None
    """For a measure: the ends of its margin."""
    part: str = ""
    """What it is in its row: `key`, `lo` or `hi` (the ends of a margin), `status`, or something with a name."""

    @property
    def number(self) -> bool:
        """True if it is aligned to the right."""
        return self.column.kind is Kind.NUMBER

    @property
    def text(self) -> str:
        """The text to show for a value that is neither a number nor a boolean."""
        if isinstance(self.value, datetime) and self.column.kind in TIMES:
            midnight = self.value.time() == datetime.min.time()
            return self.value.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M")
        return "" if self.value is None else str(self.value)

    @property
    def figure(self) -> Decimal | None:
        """The value as a number, or None."""
        return _number(self.value)


def _number(value: Any) -> Decimal | None:
    number = isinstance(value, Decimal | int | float) and not isinstance(value, bool)
    return Decimal(str(value)) if number else None


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


@dataclass(frozen=True, slots=True)
class Preview:
    """One page of rows, with the filters and the order that chose them."""

    columns: list[PortalColumn]
    everything: list[PortalColumn]
    filters: list[Filter]
    rows: list[list[TableCell]]
    sort: str
    descending: bool
    column: str
    value: str
    where: str
    first: int
    total: int
    earlier: int | None
    later: int | None

    @property
    def filtered(self) -> bool:
        """True if a filter is set."""
        return bool(self.where)


def preview(dataset: PortalDataset, shape: TableShape | None, ask: Ask, wanted: Mapping[str, str]) -> Preview:
    """The rows for the parameters `row.FIELD`, `column` and `value`, `sort`, `desc`, and `rows`."""
    everything = [column for column in dataset.columns if column.kind not in GEOMETRIES]
    named = {column.field: column for column in everything}
    columns = [column for column in everything if column.field not in _technical(dataset, shape)] or everything
    filters = _filters(dataset, shape, ask, wanted)
    column, value = named.get(wanted.get("column", "")), wanted.get("value", "").strip()
    conditions = [_is(each) for each in filters if each.chosen]
    conditions += [_has(column, value)] if column and value else []
    where = " AND ".join(conditions)
    page = int(wanted["rows"]) if wanted.get("rows", "").isdecimal() and len(wanted["rows"]) < 8 else 0
    sort = wanted.get("sort", "") if wanted.get("sort") in named else ""
    narrowed = {"$where": where} if where else {}
    total = int(ask({"$select": "count(*)"} | narrowed)[0]["count"]) if where else dataset.rows
    reasons = _reasons(shape)
    read = [*(column.field for column in columns), *reasons.values()]
    found = ask(_clauses(read, _order(shape, sort, "desc" in wanted), page) | narrowed) if columns else []
    return Preview(
        columns,
        everything,
        filters,
        [[_cell(row, each, shape) for each in columns] for row in found],
        sort,
        "desc" in wanted,
        column.field if column else "",
        value,
        where,
        ROWS * page + 1,
        total,
        page - 1 if page else None,
        page + 1 if ROWS * (page + 1) < total else None,
    )


def _cell(row: Mapping[str, Any], column: PortalColumn, shape: TableShape | None) -> TableCell:
    value, reason = row[column.field], row.get(_reasons(shape).get(column.field, ""))
    measure = next((each for each in shape.measures if each.name == column.field), None) if shape else None
    low, high = (_number(row.get(end or "")) for end in ((measure.low, measure.high) if measure else ("", "")))
    part = _parts(shape).get(column.field, "")
    return TableCell(value, column, part == "status", str(reason or ""), low, high, part)


def _clauses(read: list[str], order: str, page: int) -> dict[str, str]:
    fields = ", ".join(f"`{field}`" for field in dict.fromkeys(read))
    clauses = {"$select": fields, "$limit": str(ROWS), "$offset": str(ROWS * page)}
    return clauses | ({"$order": order} if order else {})


def _order(shape: TableShape | None, sort: str, descending: bool) -> str:
    if sort:
        return f"`{sort}`" + (" DESC NULLS LAST" if descending else "")
    if shape is None:
        return ""
    keys = "".join(f", `{key.names or key.name}`" for key in shape.keys)
    return f"`{shape.time}` DESC NULLS LAST{keys}"


def _filters(dataset: PortalDataset, shape: TableShape | None, ask: Ask, wanted: Mapping[str, str]) -> list[Filter]:
    """A filter for the period, for each key, and for each status."""
    if shape is None or not dataset.rows:
        return []
    coded = [(shape.period, None, ""), *((key.name, key.names, key.label) for key in shape.keys)]
    filters = [_filter(dataset, ask, wanted, *each) for each in coded]
    for field in _statuses(shape):
        options = [(status, status) for status in STATUSES]
        filters.append(_chosen(dataset, field, "", options, wanted, status=True))
    return filters


def _filter(
    dataset: PortalDataset, ask: Ask, wanted: Mapping[str, str], field: str, names: str | None, label: str
) -> Filter:
    shown = f", min(`{names}`) AS shown" if names else ""
    order = "shown" if names else f"`{field}`" + ("" if label else " DESC")
    clauses = {"$select": f"`{field}`{shown}", "$group": f"`{field}`", "$order": order, "$limit": str(OPTIONS + 1)}
    found = [row for row in ask(clauses) if row[field] is not None]
    options = [(str(row[field]), str(row.get("shown") or row[field])) for row in found]
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


def _statuses(shape: TableShape | None) -> list[str]:
    found = [measure.status for measure in shape.measures if measure.status] if shape else []
    return list(dict.fromkeys(found))


def _reasons(shape: TableShape | None) -> dict[str, str]:
    """The column with the reason of each column of statuses."""
    measures = shape.measures if shape is not None else []
    return {measure.status: measure.reason for measure in measures if measure.status and measure.reason}


def _parts(shape: TableShape | None) -> dict[str, str]:
    """What the columns are in a row: those that need no name beside them where there is no room for a table."""
    if shape is None:
        return {}
    named = {shape.period: "key"} | {field: "key" for key in shape.keys for field in (key.name, key.names) if field}
    ends = [end for each in shape.measures for end in ((each.low, "lo"), (each.high, "hi"))]
    return named | {field: part for field, part in ends if field} | dict.fromkeys(_statuses(shape), "status")


def _technical(dataset: PortalDataset, shape: TableShape | None) -> set[str]:
    """Columns that repeat, for programs, what another column says for people."""
    if shape is None:
        return set()
    coded = {key.name for key in shape.keys if key.names} | set(_reasons(shape).values())
    coded |= {measure.margin_percent for measure in shape.measures if measure.margin_percent}
    return coded | {shape.time} | ({dataset.row_identifier} if dataset.row_identifier else set())


def _is(chosen: Filter) -> str:
    if not chosen.options:
        return _has(chosen.column, chosen.chosen)
    return f"`{chosen.column.field}` = {literal(chosen.chosen)}"


def _has(column: PortalColumn, value: str) -> str:
    name = f"`{column.field}`"
    return f"caseless_contains({name}, {literal(value)})" if column.kind is Kind.TEXT else f"{name} = {literal(value)}"
