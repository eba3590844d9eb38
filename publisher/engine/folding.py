"""How many rows are folded into `other`, key column by key column: exact, so only for the private report."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from publisher.definitions.period import parse
from publisher.duck import safely
from publisher.engine.input import load, number_of, numbered_by

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from publisher.engine.input import RecordSource
    from publisher.workspace import DatasetFile


ONE = "0" * 32
"""The batch of `one_batch`."""


def one_batch(raw: str) -> str:
    """A SELECT of the records of a SELECT as those of one batch."""
    return f"SELECT * REPLACE (CAST('{ONE}' AS UUID) AS _record) FROM ({raw})"


def folded(
    connection: DuckDBPyConnection, records: RecordSource, dataset: DatasetFile
) -> defaultdict[str, dict[str, int]]:
    """By batch, which `_record` says (here in hex digits), and key column with a public keyset: how many rows of the
    guarded SELECT have a key that is not in it."""
    grid = dataset.grid(parse(dataset.definition.first))
    axes = [(n, axis) for n, axis in enumerate(grid.axes) if dataset.definition.keys[n].discover is None]
    none = {axis.name: 0 for _, axis in axes}
    if not axes:
        return defaultdict(dict)
    counts = ", ".join(f"count(*) FILTER ({number_of(n)} IS NULL)" for n, _ in axes)
    joined = "".join(numbered_by(n, axis.name) for n, axis in axes)
    with safely(f"{dataset.name}: counting keys"):
        load(connection, dataset, grid)
        sql = f"WITH raw AS ({records.raw}), records AS ({records.query.sql}) "
        sql += f"SELECT records._record, {counts} FROM records{joined} GROUP BY records._record"
        found = connection.execute(sql, list(records.parameters)).fetchall()
    rows = {batch.hex: dict(zip(none, map(int, counted), strict=True)) for batch, *counted in found}
    return defaultdict(none.copy, rows)
