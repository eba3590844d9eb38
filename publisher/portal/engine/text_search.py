"""Words searched in the texts of a row: the function that a room needs for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from publisher.portal.engine.geography import VECTORISED
from publisher.portal.soql.search import stems

if TYPE_CHECKING:
    import duckdb

Column = Any
"""An array of Arrow's; DuckDB evaluates the annotations of its functions, before pyarrow is needed."""


def register(room: duckdb.DuckDBPyConnection) -> None:
    """Make `soda_stems` known to a room: a text in lower case as its stems, with a space on each side."""
    room.create_function("soda_stems", _stems_of_column, ["VARCHAR"], "VARCHAR", **VECTORISED)


def _stems_of_column(column: Column) -> Column:
    """Each different text once."""
    import pyarrow as pa

    coded = (column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column).dictionary_encode()
    known = pa.array([stems(text) for text in coded.dictionary.to_pylist()], pa.string())
    return known.take(coded.indices)
