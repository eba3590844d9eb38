"""The first rows that the guarded SELECT gives, for the person who wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.duck import quoted, safely
from publisher.engine.input import load_lookups

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from publisher.engine.input import RecordSource
    from publisher.workspace import SourceFile


def first_rows(
    connection: DuckDBPyConnection, records: RecordSource, source: SourceFile, most: int
) -> list[tuple[str | None, ...]]:
    """The event time and the SELECT's columns, as texts, of the earliest records."""
    columns = ", ".join(f"CAST({quoted(column)} AS VARCHAR)" for column in records.query.columns)
    with safely(f"{source.name}: reading the first rows"):
        load_lookups(connection, source)
        sql = (
            f"WITH raw AS ({records.raw}), records AS ({records.query.sql}) "
            f"SELECT strftime(_event, '%Y-%m-%d %H:%M'), {columns} FROM records ORDER BY _event, _record LIMIT {most}"
        )
        return connection.execute(sql, list(records.parameters)).fetchall()
