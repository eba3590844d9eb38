"""Where a ledger is kept: SQLite in the private folder, or PostgreSQL. One writer at a time; commits are on disk.

Passwords of a server come from the environment; no message shows one.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote

import sqlalchemy as sa

from publisher.definitions.settings import SERVER
from publisher.errors import DefinitionError, SourceError
from publisher.privacy.tables import migrate, pending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 60
"""Seconds that a writer waits for the one before it."""

ROOM = 1 << 16
"""Bytes on the disk without which SQLite cannot even open its files; it calls that an I/O error."""

LOCK = 0x7075626C6973
"""The advisory lock that every writer of a ledger on a server takes."""


@dataclass(frozen=True)
class Database:
    """An open database; `secrets` are texts that no message may show."""

    engine: sa.Engine
    place: str
    secrets: tuple[str, ...] = ()

    @property
    def remote(self) -> bool:
        """Whether it is on a server, which may be unreachable without any damage."""
        return self.engine.dialect.name != "sqlite"

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One consistent view, even while someone writes. Raises SourceError when it cannot be read."""
        with self._errors("read"), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """The only writer, from its first statement; durable when it ends. Raises SourceError when it cannot write."""
        with self._errors("read or written"), self.engine.execution_options(writing=True).begin() as connection:
            yield connection

    def prepare(self) -> Database:
        """Bring the tables to the current layout and return itself. Raises SourceError when it cannot."""
        try:
            with self._errors("opened"):
                self._migrate()
        except SourceError:
            self.engine.dispose()
            raise
        return self

    def _migrate(self) -> None:
        with self.engine.begin() as connection:
            self._refuse_if_forgetful(connection)
            old = bool(pending(connection))
        if old:
            with self.engine.execution_options(writing=True).begin() as connection:
                migrate(connection)

    def damage(self, connection: sa.Connection) -> list[str]:
        """What the database itself finds wrong with its files, if it can tell."""
        if self.remote:
            return []
        words = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        return [] if words == ["ok"] else ["the ledger's database fails its own integrity check"]

    def _refuse_if_forgetful(self, connection: sa.Connection) -> None:
        if self.remote and connection.exec_driver_sql("SHOW fsync").scalar() != "on":
            raise SourceError(
                f"the ledger in {self.place} could lose charges in a power outage: its server runs with fsync = off. "
                f"Nothing was spent; set fsync = on, or keep the ledger elsewhere."
            )

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, UnicodeDecodeError) as error:
            raise SourceError(f"the ledger in {self.place} cannot be {what}: {self._why(error)}") from None

    def _why(self, error: Exception) -> str:
        """The database's own reason on one line; if it is damaged, even that may not be text."""
        if not isinstance(error, sa.exc.DBAPIError):
            return "it is damaged"
        if not self.remote and shutil.disk_usage(self.place).free < ROOM:
            return "the disk is full"
        lines = str(error.orig).strip().splitlines() or ["no reason was given"]
        words = lines[0].strip()
        for secret in self.secrets:
            words = words.replace(secret, "***")
        return words


def sqlite(path: Path) -> Database:
    """Open a SQLite file that only its owner can read; create it if needed. Raises SourceError when it cannot.

    In a folder that cannot be written, what is there can still be read.
    """
    if not os.access(path.parent, os.W_OK):
        return _read_only(path)
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": PATIENCE})
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    database = Database(engine, str(path.parent)).prepare()
    path.chmod(0o600)
    return database


def _read_only(path: Path) -> Database:
    """Open a SQLite file that cannot be written. Raises SourceError when it is missing, or older than this version."""
    place = str(path.parent)
    if not path.is_file():
        raise SourceError(
            f"there is no ledger in {place}, and the folder cannot be written: nothing is spent yet there"
        )
    # SQLite needs a second file, which it cannot make here, to read what it has written ahead. With nothing written
    # ahead, no one is writing, and the file can be read as one that does not change.
    ahead = path.with_name(f"{path.name}-wal")
    mode = "mode=ro" if ahead.is_file() and ahead.stat().st_size else "mode=ro&immutable=1"
    engine = sa.create_engine(f"sqlite:///file:{quote(str(path))}?{mode}&uri=true", connect_args={"timeout": PATIENCE})
    database = Database(engine, place)
    with database._errors("opened"), engine.connect() as connection:
        old = bool(pending(connection))
    if old:
        engine.dispose()
        raise SourceError(
            f"the ledger in {place} was made by an older version: run this version once where it can write"
        )
    return database


def postgres(address: str) -> Database:
    """Open a PostgreSQL database.

    Raises DefinitionError when its address or driver is missing, and SourceError when it does not answer.
    """
    match = SERVER.fullmatch(address)
    if match is None:
        raise DefinitionError(
            "PUBLISHER_LEDGER is not of the form postgresql+psycopg://user@host:5432/database: "
            "write : / ? # @ inside a name or password as %3A %2F %3F %23 %40"
        )
    try:
        # Read committed: what a writer reads after it got the lock includes what the one before it committed.
        engine = sa.create_engine(
            address,
            isolation_level="READ COMMITTED",
            pool_size=1,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10},
        )
    except ImportError:
        raise DefinitionError("a ledger on PostgreSQL needs psycopg: run pip install 'publisher[postgres]'") from None
    sa.event.listen(engine, "begin", _begin_postgres)
    place = f"the PostgreSQL database {match['database']} on {match['host'] or 'a local socket'}"
    return Database(engine, place, _secrets(match["password"] or "", match["query"] or "")).prepare()


def _secrets(password: str, query: str) -> tuple[str, ...]:
    """Every form in which a password from the address could appear."""
    settings = [value for name, value in parse_qsl(query) if "password" in name]
    return tuple({password, unquote(password), *settings} - {""})


def _configure_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


def _begin_postgres(connection: sa.Connection) -> None:
    if not _writes(connection):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return
    connection.exec_driver_sql("SET LOCAL synchronous_commit TO on")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout TO '{PATIENCE}s'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")


def _writes(connection: sa.Connection) -> bool:
    return bool(connection.get_execution_options().get("writing", False))
