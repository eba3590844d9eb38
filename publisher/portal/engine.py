"""Questions answered by DuckDB in a room of their own: one file of rows within reach, and nothing else."""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any

import duckdb

from publisher.portal import geography
from publisher.portal.kinds import storage
from publisher.portal.model import SYSTEM
from publisher.portal.problems import execution, problem
from publisher.portal.versions import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.portal.kinds import Kind
    from publisher.portal.model import Dataset
    from publisher.portal.soql.compiler import Compiled

logger = logging.getLogger(__name__)

ROOMS = 16
"""How many rooms stay open."""
SECONDS = 20.0
"""How long a query may compute before it is stopped."""
BATCH = 8192
_NUMBER_TEXT = """
    CREATE MACRO soda_number(x) AS (
        CASE WHEN x::VARCHAR IN ('inf', '-inf', 'nan') THEN NULL
             WHEN x::VARCHAR IN ('-0.0', '-0') THEN '0'
             WHEN contains(x::VARCHAR, '.') AND NOT contains(x::VARCHAR, 'e')
                 THEN rtrim(rtrim(x::VARCHAR, '0'), '.')
             ELSE x::VARCHAR END
    )
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset and the file that holds its rows at this moment."""

    dataset: Dataset
    file: Path


class Engine:
    """Opens a room for the versions of the datasets that a question reads, and keeps the latest few."""

    def __init__(self) -> None:
        self._rooms: OrderedDict[tuple[Any, ...], duckdb.DuckDBPyConnection] = OrderedDict()
        self._lock = Lock()

    def stream(self, sources: tuple[Source, ...], compiled: Compiled, line: str) -> Iterator[list[str]]:
        """The values of the SQL text `line` over the compiled query's rows `q`, in batches.

        The first batch is computed before this returns, so that errors come as SodaError and not half-way.
        """
        with _plain_errors():
            cursor = self._room(sources).cursor()
            batches = _batches(cursor, f"SELECT {line} AS line FROM ({compiled.sql}) AS q", compiled.values)
            first = next(batches, [])
        return _with_first(first, batches)

    def fetch(self, sources: tuple[Source, ...], compiled: Compiled) -> list[dict[str, Any]]:
        """All rows of a small answer, as Python values by name."""
        names = [name for name, _ in compiled.fields]
        with _plain_errors(), self._room(sources).cursor() as cursor, _limited(cursor):
            found = cursor.execute(compiled.sql, compiled.values).fetchall()
        return [dict(zip(names, row, strict=True)) for row in found]

    def _room(self, sources: tuple[Source, ...]) -> duckdb.DuckDBPyConnection:
        key = tuple((source.file, tuple(column.field for column in source.dataset.columns)) for source in sources)
        with self._lock:
            room = self._rooms.pop(key, None) or _open_room(sources)
            self._rooms[key] = room
            if len(self._rooms) > ROOMS:
                self._rooms.popitem(last=False)
        return room


def _open_room(sources: tuple[Source, ...]) -> duckdb.DuckDBPyConnection:
    """The first source is the relation `rows`; each other is named by its 4x4."""
    room = duckdb.connect(
        ":memory:",
        config={
            "threads": "2",
            "memory_limit": "512MB",
            "temp_directory": "",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        },
    )
    room.execute(_NUMBER_TEXT)
    geography.register(room)
    for number, source in enumerate(sources):
        _open_view(room, source, "rows" if number == 0 else source.dataset.id)
    room.execute(f"SET allowed_paths = [{', '.join(literal(str(source.file)) for source in sources)}]")
    room.execute("SET enable_external_access = false")
    room.execute("SET lock_configuration = true")
    return room


def _open_view(room: duckdb.DuckDBPyConnection, source: Source, name: str) -> None:
    file = literal(str(source.file))
    stored = {field for field, *_ in room.execute(f"DESCRIBE SELECT * FROM read_parquet({file})").fetchall()}
    columns = [_stored(column.field, column.kind, stored) for column in (*SYSTEM, *source.dataset.columns)]
    room.execute(
        f'CREATE VIEW {quoted(name)} AS SELECT {", ".join(columns)}, file_row_number AS ":place"'
        f" FROM read_parquet({file}, file_row_number = true)"
    )


def _stored(field: str, kind: Kind, stored: set[str]) -> str:
    """A column that was added after the file was written is empty in it."""
    return quoted(field) if field in stored else f"NULL::{storage(kind)} AS {quoted(field)}"


def _batches(cursor: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any]) -> Iterator[list[str]]:
    with cursor:
        with _limited(cursor):
            reader = cursor.sql(sql, params=values).to_arrow_reader(BATCH)
        while True:
            with _limited(cursor):
                batch = next(reader, None)
            if batch is None:
                return
            yield batch.column(0).to_pylist()


def _with_first(first: list[str], rest: Iterator[list[str]]) -> Iterator[list[str]]:
    yield first
    yield from rest


@contextmanager
def _limited(cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    timer = Timer(SECONDS, cursor.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Say in our own words what DuckDB could not do; its own may quote values."""
    try:
        yield
    except duckdb.InterruptException:
        raise execution("timeout", f"The query took longer than {SECONDS:.0f} seconds") from None
    except duckdb.OutOfMemoryException:
        raise execution("out-of-memory", "The query needs more memory than a query may use") from None
    except (duckdb.OutOfRangeException, duckdb.ConversionException):
        raise execution("numeric-overflow", "A number in the answer would need more than 38 digits") from None
    except duckdb.IOException:
        raise problem(503, "dataset.changed", "The dataset changed while it was read; ask again") from None
    except duckdb.Error as error:
        logger.warning("a query could not be carried out (%s)", type(error).__name__)
        raise execution("not-possible", "The query cannot be carried out") from None
