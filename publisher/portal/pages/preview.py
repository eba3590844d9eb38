"""The rows on a dataset's page: a few at a time, sorted by links and filtered by a form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from publisher.portal.base.kinds import GEOMETRIES, TIMES, Kind
from publisher.portal.pages.filters import contains, filters_of, statuses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.portal.base.model import PortalColumn, PortalDataset
    from publisher.portal.contract import TableShape
    from publisher.portal.pages.filters import Filters
    from publisher.portal.pages.trend import Ask

ROWS = 10
SIZES = (ROWS, 50, 100)
"""How many rows a reader may have on one page."""


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
class Preview:
    """One page of rows, with the filters and the order that chose them."""

    columns: list[PortalColumn]
    everything: list[PortalColumn]
    filters: Filters
    rows: list[list[TableCell]]
    sort: str
    descending: bool
    column: str
    value: str
    where: str
    total: int
    page: int
    """From 0."""
    size: int
    """Rows on a page."""
    order: str

    @property
    def filtered(self) -> bool:
        """True if a filter is set."""
        return bool(self.where)

    @property
    def first(self) -> int:
        """The number of the first row, from 1."""
        return self.size * self.page + 1

    @property
    def last_page(self) -> int:
        """The number of the last page, from 0."""
        return max(0, (self.total - 1) // self.size)

    @property
    def earlier(self) -> int | None:
        """The page before, or None; from beyond the end, the last one."""
        return min(self.page - 1, self.last_page) if self.page else None

    @property
    def later(self) -> int | None:
        """The page after, or None."""
        return self.page + 1 if self.page < self.last_page else None


def preview(
    dataset: PortalDataset,
    shape: TableShape | None,
    ask: Ask,
    wanted: Mapping[str, str],
    chosen: Sequence[PortalColumn] = (),
) -> Preview:
    """The rows for the filters, `column` and `value`, `sort`, `desc`, `size`, and `rows`; of the chosen columns,
    or of those that are for people."""
    everything = [column for column in dataset.columns if column.kind not in (Kind.LOCATION, *GEOMETRIES)]
    named = {column.field: column for column in everything}
    usual = [column for column in everything if column.field not in _technical(dataset, shape)] or everything
    columns = [column for column in chosen if column in everything] or usual
    filters = filters_of(dataset, shape, ask, wanted)
    column, value = named.get(wanted.get("column", "")), wanted.get("value", "").strip()
    conditions = [filters.where, contains(column, value) if column and value else ""]
    where = " AND ".join(each for each in conditions if each)
    page = int(wanted["rows"]) if wanted.get("rows", "").isdecimal() and len(wanted["rows"]) < 8 else 0
    size = int(wanted["size"]) if wanted.get("size") in {str(each) for each in SIZES} else ROWS
    sort = wanted.get("sort", "") if wanted.get("sort") in named else ""
    narrowed = {"$where": where} if where else {}
    total = int(ask({"$select": "count(*)"} | narrowed)[0]["count"]) if where else dataset.rows
    read = [*(column.field for column in columns), *_reasons(shape).values()]
    order = _order(shape, sort, "desc" in wanted)
    clauses = _clauses(read, order, page, size)
    found = ask(clauses | narrowed) if columns else []
    return Preview(
        columns,
        everything,
        filters,
        [[table_cell(row, each, shape) for each in columns] for row in found],
        sort,
        "desc" in wanted,
        column.field if column else "",
        value,
        where,
        total,
        page,
        size,
        order,
    )


def table_cell(row: Mapping[str, Any], column: PortalColumn, shape: TableShape | None) -> TableCell:
    """A column's value in a row, with its margin if the row has it."""
    value, reason = row[column.field], row.get(_reasons(shape).get(column.field, ""))
    measure = next((each for each in shape.measures if each.name == column.field), None) if shape else None
    low, high = (_number(row.get(end or "")) for end in ((measure.low, measure.high) if measure else ("", "")))
    part = _parts(shape).get(column.field, "")
    return TableCell(value, column, part == "status", str(reason or ""), low, high, part)


def _clauses(read: list[str], order: str, page: int, size: int) -> dict[str, str]:
    fields = ", ".join(f"`{field}`" for field in dict.fromkeys(read))
    clauses = {"$select": fields, "$limit": str(size), "$offset": str(size * page)}
    return clauses | ({"$order": order} if order else {})


def _order(shape: TableShape | None, sort: str, descending: bool) -> str:
    if sort:
        return f"`{sort}`" + (" DESC NULLS LAST" if descending else "")
    if shape is None:
        return ""
    keys = "".join(f", `{key.names or key.name}`" for key in shape.keys)
    return f"`{shape.time}` DESC NULLS LAST{keys}"


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
    return named | {field: part for field, part in ends if field} | dict.fromkeys(statuses(shape), "status")


def _technical(dataset: PortalDataset, shape: TableShape | None) -> set[str]:
    """Columns that repeat, for programs, what another column says for people."""
    if shape is None:
        return set()
    coded = {key.name for key in shape.keys if key.names} | set(_reasons(shape).values())
    coded |= {measure.margin_percent for measure in shape.measures if measure.margin_percent}
    return coded | {shape.time} | ({dataset.row_identifier} if dataset.row_identifier else set())
