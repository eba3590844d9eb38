"""Full-text search: the function that a query session needs for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from publisher.portal.engine.geography import VECTORISED
from publisher.portal.soql.search import stems

if TYPE_CHECKING:
    import duckdb

Column = Any
"""An Arrow array; DuckDB evaluates the annotations of its functions before pyarrow is needed."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register `soda_stems` in a session: the stems of a text in lower case, with a space on each side."""
    connection.create_function("soda_stems", _stems_of_column, ["VARCHAR"], "VARCHAR", **VECTORISED)


def _stems_of_column(column: Column) -> Column:
    """The stems of each distinct text, computed once."""
    import pyarrow as pa

    coded = (column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column).dictionary_encode()
    known = pa.array([stems(text) for text in coded.dictionary.to_pylist()], pa.string())
    return known.take(coded.indices)
