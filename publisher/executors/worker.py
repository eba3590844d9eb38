"""What a worker does, wherever it runs: one stage over the rows of a task or of a part, by the pinned DuckDB.

Rows leave a worker as Arrow batches of plain types. Errors leave it without what they may quote.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from traceback import extract_tb
from typing import TYPE_CHECKING

from publisher.duck import connect, safely
from publisher.errors import DefinitionError, PublisherError, SourceError
from publisher.executors.protocol import KEY, SelectedRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from publisher.copies import LandedCopies
    from publisher.definitions.settings import EngineSettings
    from publisher.executors.protocol import Columns, Stage

MOST_ROWS = 40_000_000
"""The most rows that one worker may hold at once. So many, each with at most 10¹¹ steps, never reach ±2⁶², where sums
stop: what parts of the rows add up to is exact, and may be added up again."""

BATCH_ROWS = 1 << 17


class WorkerFaultError(Exception):
    """What nobody foresaw on a worker: the kind of error and its place, never its message."""


@dataclass(frozen=True)
class Worker:
    """Runs stages: within `engine`'s limits, spilling to a folder."""

    engine: EngineSettings
    spill: Path
    time_zone: str | None = None
    """The driver's, by which a time with a zone becomes text; None if this machine is the driver."""
    copies: LandedCopies | None = None
    """Where landed files are that lie in an object store; a worker has copies of its own."""

    def results(
        self, stage: Stage, rows: SelectedRows | Iterable[pa.RecordBatch], columns: Columns
    ) -> Iterator[pa.Table]:
        """What the stage makes of a task, or of rows that were shuffled with these columns, in pieces."""
        with connect(self.engine, self.spill) as connection:
            connection.execute("SET enable_progress_bar = false")  # where DuckDB takes a worker for a person's shell
            connection.execute("SET temp_file_encryption = true")
            connection.execute("SET arrow_lossless_conversion = true")
            if self.time_zone is not None:
                connection.execute("SET TimeZone = ?", [self.time_zone])
            select = rows if isinstance(rows, SelectedRows) else _loaded(connection, rows, columns)
            with safely("working on the records"):
                for kernel in stage.kernels:
                    select = kernel(connection, select)
                if self.copies is not None:
                    mine = self.copies.at(self.spill / "copies")
                    select = replace(select, sql=mine.brought(select.sql))
                if not isinstance(stage.end, str):
                    yield stage.end(connection, select)
                    return
                keyed = f"SELECT *, {stage.end} AS {KEY} FROM ({select.sql})"
                found = connection.sql(keyed, params=list(select.parameters))
                for batch in found.to_arrow_reader(BATCH_ROWS):
                    yield _plain(batch, stage.columns)


def scrubbed(error: Exception) -> Exception:
    """An error that quotes no value: publisher's own words, or the kind and the place of another. Raise it where the
    one that it stands for is no longer handled, or Python sends both."""
    if isinstance(error, PublisherError):
        return error if type(error) in (DefinitionError, SourceError) else SourceError(str(error))
    if isinstance(error, MemoryError):
        return SourceError("a worker needs more memory: increase [engine] memory in publisher.toml")
    own = [each for each in extract_tb(error.__traceback__) if "publisher" in each.filename]
    place = f" at {own[-1].filename.rpartition('/')[2]}:{own[-1].lineno}" if own else ""
    return WorkerFaultError(f"{type(error).__name__}{place}")


@dataclass
class _Counted:
    """Batches as they pass, until there are too many rows."""

    batches: Iterable[pa.RecordBatch]
    rows: int = field(default=0)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self.batches:
            self.rows += batch.num_rows
            if self.rows > MOST_ROWS:
                return
            yield batch


def _loaded(connection: DuckDBPyConnection, batches: Iterable[pa.RecordBatch], columns: Columns) -> SelectedRows:
    """The shuffled rows as a table of the connection, which may spill. Raises SourceError for too many."""
    import pyarrow as pa

    counted = _Counted(batches)
    typed = (_typed(batch, columns) for batch in counted)
    schema = pa.schema([(name, _arrow(kind, own=True)) for name, kind in columns.items()])
    with safely("reading shuffled rows"):
        connection.register("incoming", pa.RecordBatchReader.from_batches(schema, typed))
        connection.execute("CREATE OR REPLACE TEMP TABLE shuffled AS SELECT * FROM incoming")
        connection.unregister("incoming")
    if counted.rows > MOST_ROWS:
        raise SourceError(
            f"more than {MOST_ROWS:,} rows meet in one part, more than a worker may hold: nothing was counted or "
            'charged. Set executor = "local" under [engine], which has no such limit, or release shorter periods'
        )
    return SelectedRows("SELECT * FROM shuffled")


def _plain(batch: pa.RecordBatch, columns: Columns) -> pa.Table:
    """A batch in types that every engine moves: 128 bits are 16 bytes."""
    import pyarrow as pa

    arrays = []
    for name, kind in columns.items():
        array = batch.column(name)
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        arrays.append(array.cast(_arrow(kind)))
    return pa.Table.from_arrays(arrays, schema=schema_of(columns))


def _typed(batch: pa.RecordBatch, columns: Columns) -> pa.RecordBatch:
    """A batch as DuckDB knows its columns; the key has done its work."""
    import pyarrow as pa

    arrays = []
    for name, kind in columns.items():
        array = batch.column(name)
        if kind == "UUID":
            array = pa.ExtensionArray.from_storage(_arrow(kind, own=True), array.cast(pa.binary(16)))
        arrays.append(array.cast(_arrow(kind, own=True)))
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _arrow(kind: str, *, own: bool = False) -> pa.DataType:
    """The Arrow type of a column: that which is moved, or DuckDB's own."""
    import pyarrow as pa

    types = {
        "VARCHAR": pa.string(),
        "DOUBLE": pa.float64(),
        "BIGINT": pa.int64(),
        "SMALLINT": pa.int16(),
        "TIMESTAMP": pa.timestamp("us"),
        "UUID": pa.uuid() if own else pa.binary(),
    }
    return types[kind]


def schema_of(columns: Columns) -> pa.Schema:
    """The schema of what a stage gives."""
    import pyarrow as pa

    return pa.schema([(name, _arrow(kind)) for name, kind in columns.items()])
