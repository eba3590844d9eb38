"""The query engine: runs queries with DuckDB, in sessions that can read the rows of one version and nothing else."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import time
import warnings
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from publisher.portal.base import metrics
from publisher.portal.base.kinds import storage
from publisher.portal.base.model import SYSTEM
from publisher.portal.base.problems import changed, disk_full, execution, is_disk_full
from publisher.portal.base.sql import literal, quoted
from publisher.portal.base.watch import Deadline, too_long
from publisher.portal.engine import geography, text_search
from publisher.portal.store.versions import PLACE, parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from publisher.portal.base.kinds import Kind
    from publisher.portal.base.model import PortalDataset
    from publisher.portal.soql.compiler import Compiled

logger = logging.getLogger(__name__)
warnings.filterwarnings(
    "ignore", "Arrow output on a DB-API result"
)  # only for small results, where another plan costs more
_T = TypeVar("_T")

SESSIONS = 16
"""How many sessions stay open."""
BATCH = 2048
"""Rows per piece of a result."""
QUERY_MEMORY = 8192 // SESSIONS
"""MB for all queries of one session together, of 8192 for all sessions of a process; a larger sort goes to disk. Four
long queries run at once, so a busy process needs 2 GB; half of this would not be enough for the 10 MB that DuckDB
computes ahead for each stream if all streams are in one session."""
SPILL = 32 // SESSIONS
"""GB on disk for all queries of one session together, of 32 for all sessions of a process."""
HOT_ROWS = 512 * 1024 * 1024
"""The most bytes, estimated, for rows in memory in one process."""
CELL = 24
"""Estimated bytes for one value in memory."""
HOT_AFTER = 3
"""After this many queries on the same version, its rows are loaded into memory."""
COLD_AFTER = 60.0
"""Seconds after the last query until rows in memory can be dropped for others."""
_NUMBER_TEXT = r"""
    CREATE MACRO soda_number(x) AS nullif(regexp_extract(x::VARCHAR,
        '-?(?:[0-9]*[1-9][0-9]*(?:\.[0-9]*[1-9])?(?:\.?[0-9]*e.*)?|0\.[0-9]*[1-9](?:e.*)?)|0'), '')
"""
"""A number as text without trailing zeros, never -0; infinity becomes null. One cast and one pattern, because planning
a query takes longer than computing a small result."""


@dataclass(frozen=True, slots=True)
class DatasetRows:
    """A dataset and the files with its rows at this moment, in order."""

    dataset: PortalDataset
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Estimated bytes for the rows in memory."""
        return self.dataset.rows * (len(self.dataset.columns) + len(SYSTEM)) * CELL


class QueryEngine:
    """Opens a session for the versions of the datasets that a query reads, and keeps the latest few sessions.

    What a large sort cannot keep in memory goes to the folder `spill`, used only by this engine and only while the
    query runs.
    """

    def __init__(self, spill: Path | None = None) -> None:
        self._spill = _own_folder(spill) if spill else None
        self._sessions: OrderedDict[tuple[Any, ...], _QuerySession] = OrderedDict()
        self._lock = Lock()

    def blocks(
        self, sources: tuple[DatasetRows, ...], compiled: Compiled, line: str, deadline: Deadline | None = None
    ) -> Iterator[bytes]:
        """The values of the SQL expression `line` over the compiled query's rows `q`, joined, as UTF-8.

        Keeps one batch in memory at a time. The first batch is computed before this returns, so that errors are raised
        as SodaError at the start.
        """
        found = self._texts(sources, compiled, line, deadline or Deadline())
        return _started("".join(texts).encode() for texts in found)

    def stream(self, sources: tuple[DatasetRows, ...], compiled: Compiled, line: str) -> Iterator[list[str]]:
        """The same values as texts, in batches."""
        return _started(self._texts(sources, compiled, line, Deadline()))

    def fetch(self, sources: tuple[DatasetRows, ...], compiled: Compiled) -> list[dict[str, Any]]:
        """All rows of a small result, as Python values by name."""
        names = [name for name, _ in compiled.fields]
        with plain_errors(), self._cursor(sources) as cursor, Deadline().watched(cursor.interrupt):
            found = cursor.execute(compiled.sql, compiled.values).fetchall()
        return [dict(zip(names, row, strict=True)) for row in found]

    def table(self, sources: tuple[DatasetRows, ...], compiled: Compiled, deadline: Deadline) -> pa.Table:
        """All rows of a small result, as Arrow columns."""
        with plain_errors(), self._cursor(sources) as cursor, deadline.watched(cursor.interrupt):
            return cursor.execute(compiled.sql, compiled.values).to_arrow_table()

    def _texts(
        self, sources: tuple[DatasetRows, ...], compiled: Compiled, line: str, deadline: Deadline
    ) -> Iterator[list[str]]:
        with plain_errors(), self._cursor(sources) as cursor:
            with deadline.watched(cursor.interrupt):
                cursor.execute(f"SELECT {line} AS line FROM ({compiled.sql}) AS q", compiled.values)
                rows = cursor.fetchmany(BATCH)
            while rows:
                yield [text for (text,) in rows]
                with deadline.watched(cursor.interrupt):
                    rows = cursor.fetchmany(BATCH)

    def _cursor(self, sources: tuple[DatasetRows, ...]) -> duckdb.DuckDBPyConnection:
        key = tuple((source.files, tuple(column.field for column in source.dataset.columns)) for source in sources)
        with self._lock:
            session = self._sessions.pop(key, None) or self._new(sources)
            self._sessions[key] = session
            session.asked += 1
            session.asked_at = time.monotonic()
            heat = session.wants_heat and self._make_place(session)
            if len(self._sessions) > SESSIONS:
                self._sessions.popitem(last=False)
            metrics.SESSIONS.set(len(self._sessions))
        if heat:
            Thread(target=session.heat, daemon=True, name="take-into-memory").start()
        return session.cursor()

    def _new(self, sources: tuple[DatasetRows, ...]) -> _QuerySession:
        """A new session; sessions of earlier versions are dropped once their running queries have finished."""
        session = _QuerySession(sources, self._spill)
        for key in [key for key, other in self._sessions.items() if session.follows(other)]:
            del self._sessions[key]
        return session

    def _make_place(self, session: _QuerySession) -> bool:
        """Free the memory of idle sessions; True if `session` can then load its rows into memory."""
        hot = [other for other in self._sessions.values() if not other.cold]
        idle = [other for other in hot if other.asked_at < time.monotonic() - COLD_AFTER]
        taken = sum(other.size for other in hot)
        while taken + session.size > HOT_ROWS and idle:
            taken -= idle[0].size
            idle.pop(0).cool()
        session.cold = taken + session.size > HOT_ROWS
        return not session.cold


class _QuerySession:
    """A separate DuckDB on the files of `sources`, or on their rows in memory."""

    def __init__(self, sources: tuple[DatasetRows, ...], spill: Path | None) -> None:
        self.size = sum(source.size for source in sources)
        self.asked = 0
        self.asked_at = 0.0
        self.cold = True
        """False from the moment its rows start to be loaded into memory."""
        self._sources = sources
        self._spill = spill
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._failures = 0
        self._not_before = 0.0
        """When loading its rows into memory may be tried again."""
        self._lock = Lock()

    def follows(self, other: _QuerySession) -> bool:
        """True if the other session has an earlier version of a dataset in this one."""
        here = {source.dataset.id: source.dataset.version for source in self._sources}
        return any(each.dataset.version < here.get(each.dataset.id, 0) for each in other._sources)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection for one query."""
        with self._lock:
            if self._connection is None:
                self._connection = _open_database(self._sources, self._spill)
            return self._connection.cursor()

    @property
    def wants_heat(self) -> bool:
        """True if it is used enough for its rows to be loaded into memory, and loading did not just fail."""
        return self.cold and self.asked >= HOT_AFTER and time.monotonic() >= self._not_before

    def heat(self) -> None:
        """Load the rows into memory; until then, and if they do not fit, queries read the files."""
        try:
            hot = _open_database(self._sources, self._spill, hot=max(1, self.size))
        except Exception as error:  # noqa: BLE001 -- it may work the next time, and no one waits for it
            logger.warning("rows stay on disk for now (%s)", type(error).__name__)
            self._not_before = time.monotonic() + COLD_AFTER * 2.0 ** min(self._failures, 10)
            self._failures += 1  # the next try waits twice as long: rows that do not fit now may never fit
            self.cold, self.asked = True, 0
            return
        with self._lock:
            if not self.cold:  # it was not cooled in the meantime
                self._connection, self._failures = hot, 0

    def cool(self) -> None:
        """Drop the rows in memory."""
        with self._lock:
            self.cold, self.asked = True, 0
            self._connection = None


def _open_database(
    sources: tuple[DatasetRows, ...], spill: Path | None = None, *, hot: int = 0
) -> duckdb.DuckDBPyConnection:
    """A DuckDB with the sources: the first is the relation `rows`, each other one is named by its 4x4.

    `hot` is 0, or the bytes that the rows may take in memory; in that case it cannot read any file afterward.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": "1",  # a query runs in its request's thread, so that requests share the CPUs fairly
            "memory_limit": f"{QUERY_MEMORY + hot // 1_000_000}MB",
            "temp_directory": str(spill / secrets.token_hex(8)) if spill else "",
            "max_temp_directory_size": f"{SPILL}GB",
            # Not encrypted: the rows are next to it as plain Parquet files, behind the same 0700. Without an extension
            # to download, DuckDB has only a cipher that it calls unsafe itself, and that would promise too much.
            "temp_file_encryption": "false",
            "late_materialization_max_rows": "0",  # DuckDB 2.0.0 fails to plan some filters with LIMIT and OFFSET
            # By a column's least and greatest value, DuckDB 2.0.0 loses rows where a CASE may be NULL below LIKE.
            "disabled_optimizers": "statistics_propagation",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        },
    )
    connection.execute(_NUMBER_TEXT)
    connection.execute("SET parquet_metadata_cache = true")
    geography.register(connection)
    text_search.register(connection)
    for number, source in enumerate(sources):
        _open_view(connection, source, "rows" if number == 0 else source.dataset.id, hot=bool(hot))
    files = [] if hot else [literal(str(file)) for source in sources for file in source.files]
    connection.execute(f"SET allowed_paths = [{', '.join(files)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _open_view(connection: duckdb.DuckDBPyConnection, source: DatasetRows, name: str, *, hot: bool) -> None:
    stored = {field for field, *_ in connection.execute(f"DESCRIBE SELECT * FROM {parts(source.files)}").fetchall()}
    columns = ", ".join(_stored(column.field, column.kind, stored) for column in (*SYSTEM, *source.dataset.columns))
    rows = f'SELECT {columns}, {PLACE} AS ":place" FROM {parts(source.files)}'
    if not hot:
        connection.execute(f"CREATE VIEW {quoted(name)} AS {rows}")
    elif source.dataset.column("rowid") is None:  # to plan a query on a view takes longer than to find a few rows
        connection.execute(f"CREATE TABLE {quoted(name)} AS {rows}")
    else:
        kept = quoted(f"kept {name}")
        connection.execute(f"CREATE TABLE {kept} AS {rows}")
        connection.execute(f"CREATE VIEW {quoted(name)} AS SELECT * FROM {kept}")


def _stored(field: str, kind: Kind, stored: set[str]) -> str:
    """SQL for a column; NULL if it was added after the file was written."""
    return quoted(field) if field in stored else f"NULL::{storage(kind)} AS {quoted(field)}"


def _own_folder(spill: Path) -> Path:
    """A folder for this process only; folders of processes that no longer exist are removed."""
    spill.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in spill.iterdir():
        if not re.fullmatch("[0-9]{1,9}", folder.name):  # not one of ours: a file system has its own folders
            continue
        if folder.name == str(os.getpid()) or not _is_running(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)
    own = spill / str(os.getpid())
    own.mkdir(mode=0o700, exist_ok=True)
    return own


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(batches: Iterator[_T]) -> Iterator[_T]:
    """The iterator, with its first batch computed."""
    first = next(batches, None)
    return iter(()) if first is None else _with_first(first, batches)


def _with_first(first: _T, rest: Iterator[_T]) -> Iterator[_T]:
    yield first
    yield from rest


@contextmanager
def plain_errors() -> Iterator[None]:
    """Replace DuckDB's errors, which may quote values, with our own."""
    try:
        yield
    except duckdb.InterruptException:
        raise too_long() from None
    except duckdb.OutOfMemoryException:
        raise execution(
            "out-of-memory", "The query needs too much memory. Use a filter or ask for fewer rows."
        ) from None
    except (duckdb.OutOfRangeException, duckdb.ConversionException):
        raise execution("numeric-overflow", "A number in the result would need more than 38 digits") from None
    except (duckdb.IOException, duckdb.PermissionException) as error:  # refused files of a session were removed
        raise (disk_full() if is_disk_full(error) else changed()) from None
    except duckdb.Error as error:
        logger.warning("a query could not be run (%s)", type(error).__name__)
        raise execution("not-possible", "The query cannot be run") from None
