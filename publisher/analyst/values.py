"""The views over all tables: one row for each value, and what tells an unprojected estimate from published numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.duck import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from publisher.release.manifest import MeasureShape, Shape

VALUES = (
    ("table_name", "VARCHAR", "The table that has it; joins with _tables and duckdb_tables()."),
    ("id", "VARCHAR", "The row in that table."),
    ("period", "VARCHAR", "The period of the row."),
    ("period_start", "DATE", "The first day of the period."),
    ("place", "VARCHAR", "The key of the place; empty in tables that have no place. Joins with _boundaries."),
    ("place_name", "VARCHAR", "The name of the place."),
    ("kind", "VARCHAR", "The other keys, joined by ' / ' where a table has several; empty if there is none."),
    ("kind_name", "VARCHAR", "Their names."),
    ("measure", "VARCHAR", "The column that has the value."),
    ("value", "DOUBLE", "The value; empty where it is withheld."),
    ("low", "DOUBLE", "The low end of its 95% range."),
    ("high", "DOUBLE", "The high end of its 95% range."),
    ("margin", "DOUBLE", "The distance of the value from the farther end of its range."),
    ("status", "VARCHAR", "The status in the table."),
    ("reason", "VARCHAR", "Why it is withheld."),
)
CENTERS = (
    ("table_name", "VARCHAR", "The table."),
    ("id", "VARCHAR", "The row."),
    ("measure", "VARCHAR", "The measure."),
    ("status", "VARCHAR", "The status in the table."),
    ("value", "DOUBLE", "The value."),
    ("low", "DOUBLE", "The low end of its 95% range."),
    ("high", "DOUBLE", "The high end of its 95% range."),
    (
        "center",
        "DOUBLE",
        "The middle of the range where it is not cut: the estimate before projection, to half a step.",
    ),
)


def values_view(tables: Mapping[str, Shape], columns: Mapping[str, Sequence[str]]) -> str:
    """`_values`: every value of every table, with one set of columns; `columns` are those that each table has."""
    rows = [
        _value(name, shape, measure, columns[name])
        for name, shape in tables.items()
        for measure in shape.measures
        if measure.name in columns[name]
    ]
    return _view("_values", VALUES, rows)


def centers_view(
    tables: Mapping[str, Shape], columns: Mapping[str, Sequence[str]], signed: Container[tuple[str, str]]
) -> str:
    """`_centers`: the middle of each range that is not cut; `signed` are the measures of tables
    whose values may be negative."""
    rows = [
        _center(name, measure, signed=(name, measure.name) in signed)
        for name, shape in tables.items()
        for measure in shape.measures
        if measure.name in columns[name] and measure.kind in ("count", "count_units", "sum")
    ]
    return _view("_centers", CENTERS, rows)


def _view(name: str, columns: Sequence[tuple[str, str, str]], rows: Sequence[str]) -> str:
    empty = ", ".join(f"NULL::{kind} AS {column}" for column, kind, _ in columns)
    text = " UNION ALL ".join(rows) or f"SELECT {empty} WHERE false"
    return f"CREATE VIEW {name} AS {text}"


def _value(name: str, shape: Shape, measure: MeasureShape, columns: Sequence[str]) -> str:
    place = [key for key in shape.keys if key.name == shape.place]
    kinds = [key for key in shape.keys if key.name != shape.place]
    value, low, high = (f"{quoted(each)}::DOUBLE" for each in (measure.name, measure.low, measure.high))
    reason = quoted(measure.reason) if measure.reason is not None and measure.reason in columns else "NULL"
    margin = f"CASE WHEN {low} IS NOT NULL AND {high} IS NOT NULL THEN greatest({value} - {low}, {high} - {value}) END"
    texts = [
        literal(name), "id", "period", "period_start",
        _joined([key.name for key in place]), _joined([key.names or key.name for key in place]),
        _joined([key.name for key in kinds]), _joined([key.names or key.name for key in kinds]),
        literal(measure.name), value, low, high, margin, quoted(measure.status), f"{reason}::VARCHAR",
    ]  # fmt: skip
    named = (f"{text} AS {column}" for text, (column, *_) in zip(texts, VALUES, strict=True))
    return f"SELECT {', '.join(named)} FROM {quoted(name)}"


def _joined(columns: Sequence[str]) -> str:
    return f"concat_ws(' / ', {', '.join(map(quoted, columns))})" if columns else "NULL::VARCHAR"


def _center(name: str, measure: MeasureShape, *, signed: bool) -> str:
    value, low, high = map(quoted, (measure.name, measure.low, measure.high))
    inside = f"{low} < {value} AND {value} < {high}" + ("" if signed else f" AND {low} > 0")
    middle = f"CASE WHEN {inside} THEN ({low} + {high}) / 2.0 END"
    texts = (literal(name), "id", literal(measure.name), quoted(measure.status),
             *(f"{each}::DOUBLE" for each in (value, low, high)), middle)  # fmt: skip
    named = (f"{text} AS {column}" for text, (column, *_) in zip(texts, CENTERS, strict=True))
    return f"SELECT {', '.join(named)} FROM {quoted(name)}"
