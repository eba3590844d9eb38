"""A look at the rows: some at a time, sorted and filtered by plain links and a form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from publisher.portal.chart import shown
from publisher.portal.kinds import GEOMETRIES, TIMES, Kind
from publisher.portal.trend import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.portal.model import Column, Dataset
    from publisher.portal.structure import Shape
    from publisher.portal.trend import Ask

ROWS = 12


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as people read it."""

    text: str
    number: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """The rows of one page of the preview, and what led to them."""

    columns: list[Column]
    filters: list[Column]
    rows: list[list[Cell]]
    sort: str
    descending: bool
    column: str
    value: str
    first: int
    total: int
    earlier: int | None
    later: int | None


def preview(dataset: Dataset, shape: Shape | None, ask: Ask, wanted: Mapping[str, str]) -> Preview:
    """The page of rows that the query parameters `sort`, `desc`, `column`, `value` and `rows` choose."""
    filters = [column for column in dataset.columns if column.kind not in GEOMETRIES]
    named = {column.field: column for column in filters}
    columns = [column for column in filters if column.field not in _technical(dataset, shape)] or filters
    sort = wanted.get("sort", "") if wanted.get("sort") in named else ""
    filtered = named.get(wanted.get("column", ""))
    value = wanted.get("value", "").strip()
    page = int(wanted["rows"]) if wanted.get("rows", "").isdecimal() and len(wanted["rows"]) < 8 else 0
    where = {"$where": _condition(filtered, value)} if filtered and value else {}
    clauses = {
        "$select": ", ".join(f"`{column.field}`" for column in columns),
        "$limit": str(ROWS),
        "$offset": str(ROWS * page),
    }
    if sort:
        clauses["$order"] = f"`{sort}`" + (" DESC NULLS LAST" if "desc" in wanted else "")
    elif shape:
        clauses["$order"] = f"`{shape.time}` DESC NULLS LAST"
    found = ask(clauses | where) if columns else []
    total = int(ask({"$select": "count(*)"} | where)[0]["count"]) if where else dataset.rows
    return Preview(
        columns,
        filters,
        [[_cell(column, row[column.field]) for column in columns] for row in found],
        sort,
        "desc" in wanted,
        filtered.field if filtered else "",
        value,
        ROWS * page + 1,
        total,
        page - 1 if page else None,
        page + 1 if ROWS * (page + 1) < total else None,
    )


def _technical(dataset: Dataset, shape: Shape | None) -> set[str]:
    """Columns that say again, for machines, what another says for people."""
    if shape is None:
        return set()
    coded = {key.name for key in shape.keys if key.names}
    return coded | {shape.time} | ({dataset.row_identifier} if dataset.row_identifier else set())


def _condition(column: Column, value: str) -> str:
    name = f"`{column.field}`"
    if column.kind is Kind.TEXT:
        return f"caseless_contains({name}, {text(value)})"
    return f"{name} = {text(value)}"


def _cell(column: Column, value: Any) -> Cell:
    if value is None:
        return Cell("", column.kind is Kind.NUMBER)
    if isinstance(value, bool):
        return Cell("yes" if value else "no", number=False)
    if isinstance(value, Decimal | int | float):
        return Cell(shown(Decimal(str(value))), number=True)
    if isinstance(value, datetime) and column.kind in TIMES:
        midnight = value.time() == datetime.min.time()
        return Cell(value.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M"), number=False)
    return Cell(str(value), number=False)
