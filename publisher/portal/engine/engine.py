"""Questions answered by DuckDB in a room of their own: the rows of one version within reach, and nothing else."""

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
from publisher.portal.base.problems import SodaError, execution, problem
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
warnings.filterwarnings("ignore", "Arrow output on a DB-API result")  # small ones alone, which a plan more costs more
_T = TypeVar("_T")

CHANGED = "dataset.changed"
"""The code of the error where a version's files are no more: newer ones have come in the meantime."""
ROOMS = 16
"""How many rooms stay open."""
BATCH = 2048
"""Rows in one piece of an answer."""
QUERY_MEMORY = 8192 // ROOMS
"""MB that the queries in one room may use together, of 8192 for all rooms of a process; a sort of more goes to disk.
Four long queries run at once, so 2 GB is what a busy process needs; half of this would not hold the 10 MB that DuckDB
computes ahead for each stream, where all streams read one room."""
SPILL = 32 // ROOMS
"""GB that the queries in one room may put on disk, of 32 for all rooms of a process."""
HOT_ROWS = 512 * 1024 * 1024
"""Bytes, by estimate, that rows kept in memory may take in one process."""
CELL = 24
"""Bytes that one value in memory takes, by estimate."""
HOT_AFTER = 3
"""With this question about the same version, its rows are taken into memory."""
COLD_AFTER = 60.0
"""Seconds after the last question when rows in memory may make place for others."""
_NUMBER_TEXT = r"""
    CREATE MACRO soda_number(x) AS nullif(regexp_extract(x::VARCHAR,
        '-?(?:[0-9]*[1-9][0-9]*(?:\.[0-9]*[1-9])?(?:\.?[0-9]*e.*)?|0\.[0-9]*[1-9](?:e.*)?)|0'), '')
"""
"""A number without zeros at its end, never -0; what is no number (infinite) is null. One cast and one pattern: a
query's plan takes longer to make than a small answer."""


@dataclass(frozen=True, slots=True)
class DatasetRows:
    """A dataset and the files that hold its rows at this moment, in their order."""

    dataset: PortalDataset
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes that the rows would take in memory, by estimate."""
        return self.dataset.rows * (len(self.dataset.columns) + len(SYSTEM)) * CELL


class QueryEngine:
    """Opens a room for the versions of the datasets that a question reads, and keeps the latest few.

    What a large sort cannot keep in memory goes to the folder `spill`, which is its own, and only while the query runs.
    """

    def __init__(self, spill: Path | None = None) -> None:
        self._spill = _own_folder(spill) if spill else None
        self._rooms: OrderedDict[tuple[Any, ...], _QuerySession] = OrderedDict()
        self._lock = Lock()

    def blocks(
        self, sources: tuple[DatasetRows, ...], compiled: Compiled, line: str, patience: Deadline | None = None
    ) -> Iterator[bytes]:
        """The values of the SQL text `line` over the compiled query's rows `q`, one after the other, as UTF-8.

        Holds one batch at a time. The first is computed before this returns, so that errors come as SodaError and
        not half-way.
        """
        found = self._texts(sources, compiled, line, patience or Deadline())
        return _started("".join(texts).encode() for texts in found)

    def stream(self, sources: tuple[DatasetRows, ...], compiled: Compiled, line: str) -> Iterator[list[str]]:
        """The same values as texts, in batches."""
        return _started(self._texts(sources, compiled, line, Deadline()))

    def fetch(self, sources: tuple[DatasetRows, ...], compiled: Compiled) -> list[dict[str, Any]]:
        """All rows of a small answer, as Python values by name."""
        names = [name for name, _ in compiled.fields]
        with plain_errors(), self._cursor(sources) as cursor, Deadline().watched(cursor.interrupt):
            found = cursor.execute(compiled.sql, compiled.values).fetchall()
        return [dict(zip(names, row, strict=True)) for row in found]

    def table(self, sources: tuple[DatasetRows, ...], compiled: Compiled, patience: Deadline) -> pa.Table:
        """All rows of a small answer, as Arrow columns."""
        with plain_errors(), self._cursor(sources) as cursor, patience.watched(cursor.interrupt):
            return cursor.execute(compiled.sql, compiled.values).to_arrow_table()

    def _texts(
        self, sources: tuple[DatasetRows, ...], compiled: Compiled, line: str, patience: Deadline
    ) -> Iterator[list[str]]:
        with plain_errors(), self._cursor(sources) as cursor:
            with patience.watched(cursor.interrupt):
                cursor.execute(f"SELECT {line} AS line FROM ({compiled.sql}) AS q", compiled.values)
                rows = cursor.fetchmany(BATCH)
            while rows:
                yield [text for (text,) in rows]
                with patience.watched(cursor.interrupt):
                    rows = cursor.fetchmany(BATCH)

    def _cursor(self, sources: tuple[DatasetRows, ...]) -> duckdb.DuckDBPyConnection:
        key = tuple((source.files, tuple(column.field for column in source.dataset.columns)) for source in sources)
        with self._lock:
            room = self._rooms.pop(key, None) or self._new(sources)
            self._rooms[key] = room
            room.asked += 1
            room.asked_at = time.monotonic()
            heat = room.wants_heat and self._make_place(room)
            if len(self._rooms) > ROOMS:
                self._rooms.popitem(last=False)
            metrics.SESSIONS.set(len(self._rooms))
        if heat:
            Thread(target=room.heat, daemon=True, name="take-into-memory").start()
        return room.cursor()

    def _new(self, sources: tuple[DatasetRows, ...]) -> _QuerySession:
        """A room; those of earlier versions are given up, once the answers that they still give have ended."""
        room = _QuerySession(sources, self._spill)
        for key in [key for key, other in self._rooms.items() if room.follows(other)]:
            del self._rooms[key]
        return room

    def _make_place(self, room: _QuerySession) -> bool:
        """Cool rooms that nobody asks any more; True where `room` may then take its rows into memory."""
        hot = [other for other in self._rooms.values() if not other.cold]
        idle = [other for other in hot if other.asked_at < time.monotonic() - COLD_AFTER]
        taken = sum(other.size for other in hot)
        while taken + room.size > HOT_ROWS and idle:
            taken -= idle[0].size
            idle.pop(0).cool()
        room.cold = taken + room.size > HOT_ROWS
        return not room.cold


class _QuerySession:
    """A DuckDB of its own over the files of `sources`, or over their rows in memory."""

    def __init__(self, sources: tuple[DatasetRows, ...], spill: Path | None) -> None:
        self.size = sum(source.size for source in sources)
        self.asked = 0
        self.asked_at = 0.0
        self.cold = True
        """False from the moment when its rows are on their way into memory"""
        self._sources = sources
        self._spill = spill
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._failures = 0
        self._not_before = 0.0
        """When its rows may be taken into memory again"""
        self._lock = Lock()

    def follows(self, other: _QuerySession) -> bool:
        """True where the other has an earlier version of a dataset that is here too."""
        here = {source.dataset.id: source.dataset.version for source in self._sources}
        return any(each.dataset.version < here.get(each.dataset.id, 0) for each in other._sources)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection for one query."""
        with self._lock:
            if self._connection is None:
                self._connection = _open_room(self._sources, self._spill)
            return self._connection.cursor()

    @property
    def wants_heat(self) -> bool:
        """True where it is asked often enough for its rows to be taken into memory, and that did not just fail."""
        return self.cold and self.asked >= HOT_AFTER and time.monotonic() >= self._not_before

    def heat(self) -> None:
        """Take the rows into memory; meanwhile, and if they do not fit, questions go to the file."""
        try:
            hot = _open_room(self._sources, self._spill, hot=max(1, self.size))
        except Exception as error:  # noqa: BLE001 -- whatever it was may be over the next time, and nobody waits for it
            logger.warning("rows stay on disk for now (%s)", type(error).__name__)
            self._not_before = time.monotonic() + COLD_AFTER * 2.0 ** min(self._failures, 10)
            self._failures += 1  # the next try waits twice as long: what does not fit now may never do
            self.cold, self.asked = True, 0
            return
        with self._lock:
            if not self.cold:  # nobody has cooled it in the meantime
                self._connection, self._failures = hot, 0

    def cool(self) -> None:
        """Give up the rows in memory."""
        with self._lock:
            self.cold, self.asked = True, 0
            self._connection = None


def _open_room(
    sources: tuple[DatasetRows, ...], spill: Path | None = None, *, hot: int = 0
) -> duckdb.DuckDBPyConnection:
    """The first source is the relation `rows`; each other is named by its 4x4.

    `hot` is 0, or the bytes that the rows may take in memory; then no file is within reach afterwards.
    """
    room = duckdb.connect(
        ":memory:",
        config={
            "threads": "1",  # a query runs in its reader's thread: many readers share the processors fairly
            "memory_limit": f"{QUERY_MEMORY + hot // 1_000_000}MB",
            "temp_directory": str(spill / secrets.token_hex(8)) if spill else "",
            "max_temp_directory_size": f"{SPILL}GB",
            # Not encrypted: the rows lie beside it as plain Parquet files, behind the same 0700. DuckDB alone, without
            # an extension to fetch, has only a cipher that it calls unsafe itself, and that would promise too much.
            "temp_file_encryption": "false",
            "late_materialization_max_rows": "0",  # DuckDB 2.0.0 fails to plan some filters with LIMIT and OFFSET
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        },
    )
    room.execute(_NUMBER_TEXT)
    room.execute("SET parquet_metadata_cache = true")
    geography.register(room)
    text_search.register(room)
    for number, source in enumerate(sources):
        _open_view(room, source, "rows" if number == 0 else source.dataset.id, hot=bool(hot))
    files = [] if hot else [literal(str(file)) for source in sources for file in source.files]
    room.execute(f"SET allowed_paths = [{', '.join(files)}]")
    room.execute("SET enable_external_access = false")
    room.execute("SET lock_configuration = true")
    return room


def _open_view(room: duckdb.DuckDBPyConnection, source: DatasetRows, name: str, *, hot: bool) -> None:
    stored = {field for field, *_ in room.execute(f"DESCRIBE SELECT * FROM {parts(source.files)}").fetchall()}
    columns = ", ".join(_stored(column.field, column.kind, stored) for column in (*SYSTEM, *source.dataset.columns))
    if hot:
        kept = quoted(f"kept {name}")
        room.execute(f'CREATE TABLE {kept} AS SELECT {columns}, {PLACE} AS ":place" FROM {parts(source.files)}')
        room.execute(f"CREATE VIEW {quoted(name)} AS SELECT * FROM {kept}")  # its rowid may be a column of the dataset
    else:
        room.execute(f'CREATE VIEW {quoted(name)} AS SELECT {columns}, {PLACE} AS ":place" FROM {parts(source.files)}')


def _stored(field: str, kind: Kind, stored: set[str]) -> str:
    """A column that was added after the file was written is empty in it."""
    return quoted(field) if field in stored else f"NULL::{storage(kind)} AS {quoted(field)}"


def _own_folder(spill: Path) -> Path:
    """A folder for this process alone; those of processes that are no more are removed."""
    spill.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in spill.iterdir():
        if not re.fullmatch("[0-9]{1,9}", folder.name):  # none of ours: a file system has folders of its own
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
    """The iterator, its first batch computed."""
    first = next(batches, None)
    return iter(()) if first is None else _with_first(first, batches)


def _with_first(first: _T, rest: Iterator[_T]) -> Iterator[_T]:
    yield first
    yield from rest


def _changed() -> SodaError:
    return problem(503, CHANGED, "The dataset changed while it was read; ask again")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Say in our own words what DuckDB could not do; its own may quote values."""
    try:
        yield
    except duckdb.InterruptException:
        raise too_long() from None
    except duckdb.OutOfMemoryException:
        raise execution(
            "out-of-memory", "The query needs too much memory: use a filter or ask for fewer rows"
        ) from None
    except (duckdb.OutOfRangeException, duckdb.ConversionException):
        raise execution("numeric-overflow", "A number in the answer would need more than 38 digits") from None
    except (duckdb.IOException, duckdb.PermissionException):  # a room may read its files: refused, they are no more
        raise _changed() from None
    except duckdb.Error as error:
        logger.warning("a query could not be carried out (%s)", type(error).__name__)
        raise execution("not-possible", "The query cannot be carried out") from None
