"""How many rows are folded into `other`, key column by key column: exact, so only for the private report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.definitions.period import parse
from publisher.duck import safely
from publisher.engine.input import key_of, load

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from publisher.engine.input import RecordSource
    from publisher.workspace import DatasetFile


def folded(connection: DuckDBPyConnection, records: RecordSource, dataset: DatasetFile) -> dict[str, int]:
    """By key column with a public keyset: how many rows of the guarded SELECT have a key that is not in it."""
    grid = dataset.grid(parse(dataset.definition.first))
    axes = [(n, axis) for n, axis in enumerate(grid.axes) if dataset.definition.keys[n].discover is None]
    if not axes:
        return {}
    counts = ", ".join(f"count(*) FILTER ({key_of(n, axis.name)} IS NULL)" for n, axis in axes)
    with safely(f"{dataset.name}: counting keys"):
        load(connection, dataset, grid)
        sql = f"WITH raw AS ({records.raw}), records AS ({records.query.sql}) SELECT {counts} FROM records"
        found = connection.execute(sql, list(records.parameters)).fetchall()[0]
    return {axis.name: int(count) for (_, axis), count in zip(axes, found, strict=True)}
