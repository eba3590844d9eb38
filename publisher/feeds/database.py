"""Rows of a database table as Parquet files: all of them, or those that changed since the last fetch.

One statement reads the rows, in a read-only transaction, streamed in batches; every value becomes a text. A fetch of
changes begins some time before the newest change that the last one knew of, so that rows with equal times, and rows of
transactions that were still open then, are never missed. What is fetched again by that is the same record.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from publisher.definitions.source import Column
from publisher.errors import DefinitionError, SourceError
from publisher.feeds.credentials import revealed
from publisher.feeds.delivery import Step
from publisher.feeds.table import FirstPage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import sqlalchemy as sa

    from publisher.definitions.feed import SqlFeed
    from publisher.feeds.delivery import Cursor
    from publisher.workspace import SourceFile

ROWS = 5_000
"""Rows in memory at a time."""
CONNECT = 10
"""Seconds that a server has to let us in."""
SILENCE = 600
"""Seconds that a server may take for the next rows."""
_UNDECIDED = Column.model_validate({"class": "private", "statute": "not decided yet"})
_NAMES = 40
"""So many names of tables or columns are in a message."""
_FIRST = datetime(1900, 1, 1, tzinfo=UTC)
"""No row changed earlier."""
_WRONG_CLOCK = timedelta(days=1)
"""A server's clock and ours differ by less."""
_WEST = timedelta(hours=12)
"""No clock is farther behind UTC."""
_WHOLE = re.compile(r"[a-z][a-z0-9_+]*://(?:[^:/?#@\s]+(?::[^:/?#@\s]*)?@)?[^/?#@\s]*(?:[/?][^#@]*)?")
"""A database URL. Stricter than its readers, so that no part of a password is taken for a host."""
_CAUSES = (
    (r"password|authentication|role .* does not exist|access denied|login failed", "the user or the password is wrong"),
    (r"database .* does not exist|unknown database", "there is no such database"),
    (r"timeout|timed out", "it does not answer"),
    (r"refused", "nothing answers at this address"),
    (r"host name|name or service|resolve|getaddrinfo", "there is no such host"),
    (r"ssl|tls|certificate", "its certificate, or its settings for TLS, are not what the URL asks for"),
    (r"unable to open", "the file cannot be opened"),
)
"""What drivers say of a connection that failed, and what we say."""
_POSTGRES = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SET LOCAL timezone TO 'UTC'",
    "SET LOCAL datestyle TO 'ISO, YMD'",
    "SET LOCAL intervalstyle TO 'postgres'",
    "SET LOCAL extra_float_digits TO 1",
    "SET LOCAL bytea_output TO 'hex'",
)
"""One view of the table for all statements, and texts of values that do not depend on the server's settings."""


def deliver(source: SourceFile, feed: SqlFeed, cursor: Cursor | None, files: Path) -> Step:
    """Write the rows that are new since the cursor into `files`; none, or the same as before, make no file.

    Raises DefinitionError (the driver is missing) and SourceError.
    """
    whose = [feed.table, feed.by, feed.url, feed.secret_url.model_dump() if feed.secret_url else None]
    known: Cursor = cursor if cursor and cursor["whose"] == whose else {"whose": whose}
    target = _file(files)
    with _connected(source, feed) as database, database.reading():
        table = _Table.found(database, source, feed)
        upto = table.newest()
        rows = _write(table.rows(known.get("upto")), source.definition.landed, target)
    if not rows and feed.by is None:
        raise SourceError(f"{database.place}: the table {feed.table} has no rows: nothing was fetched")
    following = known | ({"upto": upto} if upto else {})
    digest = _digest(target)
    if rows and digest != known.get("sha256"):
        return Step(following | {"sha256": digest}, more=False)
    target.unlink()
    return Step(following, more=False)


def sample(source: SourceFile, feed: SqlFeed, files: Path, most: int) -> None:
    """Write at most so many rows into `files`, for someone to look at. Raises DefinitionError and SourceError."""
    with _connected(source, feed) as database, database.reading():
        _write(_Table.found(database, source, feed).rows(None, most), source.definition.landed, _file(files))


def first_page(source: SourceFile, feed: SqlFeed, most: int) -> FirstPage:
    """At most so many rows with all columns of the table, its primary key and its times. Raises DefinitionError and
    SourceError."""
    import sqlalchemy as sa

    schema, name = _parts(feed.table)
    with _connected(source, feed) as database, database.reading():
        types = _Table.found(database, source, feed).types
        every = source.definition.model_copy(update={"columns": dict.fromkeys(types, _UNDECIDED)})
        table = _Table(database, replace(source, definition=every), feed, types)
        with closing(table.rows(None, most)) as batches:
            records = [dict(zip(types, map(text, row), strict=True)) for batch in batches for row in batch]
        with database.patient():
            key = sa.inspect(database.connection).get_pk_constraint(name, schema)["constrained_columns"]
    timed = database.connection.dialect.name != "sqlite"  # it has no type for times
    times = [each for each, kind in types.items() if timed and isinstance(kind, sa.DateTime | sa.Date)]
    return FirstPage(records, tuple(types), tuple(key), tuple(times))


def check(source: SourceFile, feed: SqlFeed) -> tuple[str, ...]:
    """Ask the database whether it has the table and the columns that are read. Raises SourceError."""
    with _connected(source, feed) as database, database.reading():
        _Table.found(database, source, feed)
    return ()


@dataclass(frozen=True)
class _Database:
    """An open connection, and how messages name it."""

    connection: sa.Connection
    place: str

    @property
    def postgres(self) -> bool:
        return self.connection.dialect.name == "postgresql"

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what fails while names or rows are read into one SourceError without the driver's words, which may quote
        a value."""
        import sqlalchemy as sa

        try:
            with self.connection.begin():
                with self.patient():
                    for statement in _POSTGRES if self.postgres else ():
                        self.connection.exec_driver_sql(statement)
                    self.check_clock()
                yield
        except sa.exc.DBAPIError as error:
            code = getattr(error.orig, "sqlstate", None)
            lost = isinstance(error, sa.exc.OperationalError) and code in {None, "57P01", "57P02", "57P03"}
            if code == "42501":
                words = "the user may not read the table: grant SELECT on it"
            elif error.connection_invalidated or (self.postgres and lost):
                words = "the connection was lost while the rows were read: nothing of them was kept. Try again"
            else:
                words = f"the rows could not be read{f' (SQLSTATE {code})' if code else ''}: nothing of them was kept"
            raise SourceError(f"{self.place}: {words}") from None
        except (sa.exc.SQLAlchemyError, ValueError, ArithmeticError) as error:
            raise SourceError(f"{self.place}: the rows could not be read ({type(error).__name__})") from None

    def check_clock(self) -> None:
        """Raise SourceError if it is another day on a server, since days decide what is released and charged."""
        if self.postgres:
            there, here = self.connection.exec_driver_sql("SELECT now()").scalar_one(), _now()
            if abs(there - here) > _WRONG_CLOCK:
                words = f"has {there.astimezone(UTC):%Y-%m-%d} and this machine {here:%Y-%m-%d}"
                raise SourceError(f"{self.place}: {words}: set the clock that is wrong")

    def batches(self, select: sa.Select[Any]) -> Generator[Sequence[sa.Row[Any]]]:
        """The rows of a query, some at a time, and never more than those in memory."""
        import sqlalchemy as sa

        options = {"stream_results": True, "yield_per": ROWS}
        with self.patient():
            result = self.connection.execution_options(**options).execute(select)
        partitions, driver = result.partitions(), result.cursor
        try:
            while True:
                with self.patient():
                    batch = next(partitions, None)
                if batch is None:
                    return
                yield batch
        finally:
            with suppress(sa.exc.SQLAlchemyError), self.patient():
                result.close()
            if driver is not None:  # where the line is lost, it was not closed with the result
                with suppress(self.connection.dialect.loaded_dbapi.Error):
                    driver.close()

    @contextmanager
    def patient(self) -> Iterator[None]:
        """Cut the line to a server that stays silent: its driver would wait without end."""
        driver = self.connection.connection.driver_connection
        if not self.postgres or driver is None:
            yield
            return
        timer = Timer(SILENCE, _cut, [driver.fileno()])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _now() -> datetime:
    return datetime.now(UTC)


def _cut(number: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(number)) as line:
        line.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class _Table:
    """The table as it is: its columns with their types."""

    database: _Database
    source: SourceFile
    feed: SqlFeed
    types: dict[str, sa.types.TypeEngine[Any]]

    @classmethod
    def found(cls, database: _Database, source: SourceFile, feed: SqlFeed) -> _Table:
        """The table with the columns that are read. Raises SourceError with what there is instead."""
        import sqlalchemy as sa

        schema, name = _parts(feed.table)
        inspector = sa.inspect(database.connection)
        try:
            with database.patient():
                types = {each["name"]: each["type"] for each in inspector.get_columns(name, schema)}
        except sa.exc.NoSuchTableError:
            there = sorted({*inspector.get_table_names(schema), *inspector.get_view_names(schema)})
            where = f"the schema {schema}" if schema else database.place
            words = f"there is no table {feed.table}; {where} has: {_listed(there)}"
            raise SourceError(f"{source.origin.name}: feed.table: {words}") from None
        table = cls(database, source, feed, types)
        for column in (*source.definition.landed, *([feed.by] if feed.by else [])):
            if column not in types:
                words = f"{feed.table} has no column {column}; it has: {_listed(list(types))}"
                raise SourceError(f"{source.origin.name}: feed.table: {words}")
        table.check_by()
        return table

    def check_by(self) -> None:
        """Raise SourceError if the column that tells changes is no time."""
        import sqlalchemy as sa

        by, otherwise = self.feed.by, 'delete it, and use delivery = "snapshot"'
        if by and self.database.connection.dialect.name == "sqlite":
            raise SourceError(f"{self.source.origin.name}: feed.by: SQLite has no type for times: {otherwise}")
        if by and not isinstance(self.types[by], sa.DateTime | sa.Date):
            raise SourceError(
                f"{self.source.origin.name}: feed.by: {by} is {self.types[by]}, not a date or time: name the column "
                f"with the time of a row's last change; or {otherwise}"
            )

    def newest(self) -> str:
        """The newest change that is not in the future, since one wrong year would end all fetching; empty if there is
        none. Read before the rows: those that come between are read again."""
        import sqlalchemy as sa

        if not self.feed.by:
            return ""
        column = self._by()
        known = column.between(self._as(_FIRST), self._now())
        with self.database.patient():
            found = self.database.connection.execute(self._select(sa.func.max(column)).where(known)).scalar()
        if isinstance(found, datetime) and found.tzinfo is not None:
            found = found.astimezone(UTC)
        return found.isoformat() if found is not None else ""

    def rows(self, upto: str | None, most: int | None = None) -> Generator[Sequence[sa.Row[Any]]]:
        """The rows that may have changed since; those without a time are always among them."""
        import sqlalchemy as sa

        # Without their types: what SQLAlchemy says of a value that does not fit its type quotes it.
        columns: dict[str, sa.ColumnClause[Any]] = {each: sa.column(each) for each in self.source.definition.landed}
        texts = [
            sa.cast(columns[each], sa.Text).label(f"c{n}") if self.database.postgres else columns[each]
            for n, each in enumerate(self.source.definition.landed)
        ]
        select = self._select(*texts)
        if upto and self.feed.by:
            column = self._by()
            start = datetime.fromisoformat(upto) - timedelta(minutes=self.feed.overlap_minutes)
            select = select.where(sa.or_(column >= self._as(start), column.is_(None)))
        ordered = select.order_by(*(columns[each] for each in self.source.definition.record_id))
        return self.database.batches(ordered if most is None else select.limit(most))

    def _select(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        import sqlalchemy as sa

        schema, name = _parts(self.feed.table)
        return sa.select(*columns).select_from(sa.table(name, schema=schema))

    def _by(self) -> sa.ColumnClause[Any]:
        import sqlalchemy as sa

        by = str(self.feed.by)
        return sa.column(by, self.types[by])

    @property
    def _zoned(self) -> bool:
        return bool(getattr(self.types[str(self.feed.by)], "timezone", False))

    def _now(self) -> datetime | date:
        now = _now()
        return self._as(now if self._zoned else now - _WEST)

    def _as(self, moment: datetime) -> datetime | date:
        """The moment as the column that tells changes has it."""
        import sqlalchemy as sa

        if isinstance(self.types[str(self.feed.by)], sa.Date):
            return moment.date()
        return moment.replace(tzinfo=UTC if self._zoned else None)


@contextmanager
def _connected(source: SourceFile, feed: SqlFeed) -> Iterator[_Database]:
    import sqlalchemy as sa

    url = _url(source, feed)
    place = _place(url)
    try:
        engine = sa.create_engine(_sealed(source, url), poolclass=sa.NullPool, connect_args=_arguments(url))
    except (ImportError, sa.exc.NoSuchModuleError):
        driver = "pip install 'publisher[postgres]'" if url.get_backend_name() == "postgresql" else "install it"
        raise DefinitionError(
            f"{source.origin.name}: feed.url: the driver for {url.drivername} is missing: {driver}"
        ) from None
    try:
        connection = engine.connect()
    except (sa.exc.SQLAlchemyError, OSError) as error:
        words = f"{place} cannot be reached: {_cause(error)}"
        raise SourceError(f"{source.origin.name}: feed.url: {words}") from None
    try:
        yield _Database(connection, place)
    finally:
        with suppress(sa.exc.SQLAlchemyError):
            connection.close()
        engine.dispose()


def _url(source: SourceFile, feed: SqlFeed) -> sa.URL:
    """The URL with its password. Raises SourceError."""
    import sqlalchemy as sa

    whole = revealed(source, "secret_url", feed.secret_url) if feed.secret_url else str(feed.url)
    try:
        url = sa.make_url(whole) if _WHOLE.fullmatch(whole) else None
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if url is None:
        raise SourceError(
            f"{source.origin.name}: feed.secret_url: what it names is not a database URL such as "
            "postgresql+psycopg://reader:…@host/database: write : / ? # @ in a password as %3A %2F %3F %23 %40"
        )
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return url.set(password=revealed(source, "password", feed.password)) if feed.password else url


def _place(url: sa.URL) -> str:
    """How messages name a database: without the user and the password."""
    where = f" on {url.host}" if url.host else ""
    return f"the database {url.database or url.get_backend_name()}{where}"


def _sealed(source: SourceFile, url: sa.URL) -> sa.URL:
    """The URL; of a SQLite file, one that only reads it. Raises SourceError if it is not there."""
    if url.get_backend_name() != "sqlite":
        return url
    path = Path(url.database or "")
    if not path.is_absolute():
        raise SourceError(
            f"{source.origin.name}: feed.url: write the whole path of a SQLite file, with four slashes: sqlite:////srv/a.db"
        )
    if not path.is_file():
        raise SourceError(f"{source.origin.name}: feed.url: there is no SQLite file {path}")
    return url.set(database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})


def _arguments(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "postgresql":
        return {"connect_timeout": CONNECT, "application_name": "publisher"}
    return {}


def _cause(error: Exception) -> str:
    """Why a connection failed, in our words: the driver's may have the user or more."""
    said = str(getattr(error, "orig", None) or error)
    return next((words for pattern, words in _CAUSES if re.search(pattern, said, re.IGNORECASE)), "it let no one in")


def _parts(table: str) -> tuple[str | None, str]:
    schema, _, name = table.rpartition(".")
    return schema or None, name


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return (", ".join(names[:_NAMES]) or "none") + more


def _write(batches: Generator[Sequence[sa.Row[Any]]], columns: tuple[str, ...], path: Path) -> int:
    """Write the rows as texts, and return how many there are."""
    import pyarrow as pa
    from pyarrow import parquet

    schema, rows = pa.schema([(column, pa.string()) for column in columns]), 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer, closing(batches):
        for batch in batches:
            cells = [pa.array([text(value) for value in each], pa.string()) for each in zip(*batch, strict=True)]
            writer.write_batch(pa.record_batch(cells, schema))
            rows += len(batch)
    return rows


def text(value: object) -> str | None:  # noqa: PLR0911 - one line for each kind of value
    """A value of a driver as a text: exact, and the same on every machine."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes | bytearray | memoryview):
        return rf"\x{bytes(value).hex()}"
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=text)
    return str(value)


def _file(files: Path) -> Path:
    return files / datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ.parquet")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
