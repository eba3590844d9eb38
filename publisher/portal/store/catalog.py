"""The catalog: datasets, their columns, and accounts in one SQLite file that several processes can share."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import asdict, fields
from threading import Lock
from typing import TYPE_CHECKING, Any

from publisher.errors import PortalError
from publisher.portal.base.kinds import Kind
from publisher.portal.base.model import PortalColumn, PortalDataset
from publisher.portal.store.migrations import migrate, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

ALPHABET = "23456789abcdefghijkmnpqrstuvwxyz"
_PLAIN = tuple(field.name for field in fields(PortalDataset) if field.name != "columns")
_ENCODED = ("tags", "metadata")


class DatasetCatalog:
    """Reads and changes the SQLite file at `path`; each change is one durable transaction.

    Raises PortalError if a newer program has changed the schema of the file; the file is not touched.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _Known(path)
        with self.connected() as connection:
            newer = unknown(connection)
            if newer:  # what it has changed would be misread, and written over
                raise PortalError(
                    f"the portal in {path.parent} was last opened by a newer version of publisher, which changed its"
                    f" catalog ({', '.join(newer)}); serve it with that version or a later one"
                )
            connection.execute("PRAGMA journal_mode = WAL")
            migrate(connection)

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading; each statement sees the latest complete state."""
        connection = _opened(self._path)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are committed together at the end of the block, and rolled back if it fails."""
        with self.connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def find(self, identifier: str) -> PortalDataset | None:
        """The dataset with this 4x4, in one consistent state, or None."""
        return self._known.find(identifier)

    def all(self) -> list[PortalDataset]:
        """All datasets, by name."""
        return self._known.all()

    def open_mark(self) -> str:
        """A digest of all that anyone may read of the catalog, as it is now."""
        return self._known.open_mark()

    def free_identifier(self, wanted: str | None = None) -> str:
        """The 4x4 that is wanted if no dataset has it, as after a dataset was deleted, or else a new one."""
        if wanted is not None and self.find(wanted) is None:
            return wanted
        while True:
            letters = "".join(secrets.choice(ALPHABET) for _ in range(8))
            identifier = f"{letters[:4]}-{letters[4:]}"
            if self.find(identifier) is None:
                return identifier

    def add(self, dataset: PortalDataset) -> None:
        """Add a dataset and its columns."""
        values = _encoded({name: getattr(dataset, name) for name in _PLAIN})
        marks = ", ".join("?" * len(values))
        with self.transaction() as connection:
            connection.execute(f"INSERT INTO datasets ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
            for column in dataset.columns:
                _insert_column(connection, dataset.id, column)

    def change(self, identifier: str, *, columns: Iterable[PortalColumn] | None = None, **values: Any) -> None:
        """Set these attributes of a dataset, and its columns if given, in one transaction."""
        with self.transaction() as connection:
            if columns is not None:
                connection.execute("DELETE FROM columns WHERE dataset = ?", (identifier,))
                for column in columns:
                    _insert_column(connection, identifier, column)
            encoded = _encoded(values)
            assignments = ", ".join(f"{name} = ?" for name in encoded)
            connection.execute(f"UPDATE datasets SET {assignments} WHERE id = ?", (*encoded.values(), identifier))

    def add_column(self, identifier: str, column: PortalColumn) -> None:
        """Add one column to a dataset."""
        with self.transaction() as connection:
            _insert_column(connection, identifier, column)
            connection.execute("UPDATE datasets SET updated_at = ? WHERE id = ?", (int(time.time()), identifier))

    def remove(self, identifier: str) -> None:
        """Remove a dataset and its columns."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM datasets WHERE id = ?", (identifier,))


class _Known:
    """A process's cache of the catalog; read again as soon as any process has changed the file.

    SQLite counts the changes of other connections, and this connection makes none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._changes = -1
        self._datasets: dict[str, PortalDataset | None] = {}
        self._ordered: list[PortalDataset] | None = None
        self._open_mark = ""

    def find(self, identifier: str) -> PortalDataset | None:
        """The dataset with this 4x4, or None."""
        with self._lock:
            connection = self._current()
            if identifier not in self._datasets:
                if len(self._datasets) > 10_000:  # names that people made up
                    self._datasets.clear()
                found = _select(connection, "id = ?", (identifier,))
                self._datasets[identifier] = found[0] if found else None
            return self._datasets[identifier]

    def all(self) -> list[PortalDataset]:
        """All datasets, by name."""
        with self._lock:
            return list(self._all())

    def open_mark(self) -> str:
        """A digest of the open datasets."""
        with self._lock:
            everything = self._all()
            if not self._open_mark:
                made_of = " ".join(each.mark for each in everything if each.open)
                self._open_mark = hashlib.sha256(made_of.encode()).hexdigest()
            return self._open_mark

    def _all(self) -> list[PortalDataset]:
        connection = self._current()
        if self._ordered is None:
            self._ordered, self._open_mark = _select(connection, "true", ()), ""
        return self._ordered

    def _current(self) -> sqlite3.Connection:
        """The connection, after the cache is brought up to date with the file."""
        if self._connection is None or self._process != os.getpid():  # a fork must not share a connection
            self._connection = _opened(self._path, check_same_thread=False)
            self._process, self._changes = os.getpid(), -1
        (changes,) = self._connection.execute("PRAGMA data_version").fetchone()
        if changes != self._changes:
            self._changes, self._ordered = changes, None
            self._datasets.clear()
        return self._connection


def _opened(path: Path, *, check_same_thread: bool = True) -> sqlite3.Connection:
    """A connection that needs no temporary file: a portal may write none outside its own folder, and what is sorted
    (all metadata, of years) soon exceeds what SQLite keeps in memory by itself."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=check_same_thread)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _select(connection: sqlite3.Connection, condition: str, values: tuple[Any, ...]) -> list[PortalDataset]:
    """Datasets with their columns, all from one moment."""
    connection.execute("BEGIN")
    try:
        rows = connection.execute(
            f"SELECT * FROM datasets WHERE {condition} ORDER BY name COLLATE NOCASE, id", values
        ).fetchall()
        columns = connection.execute(
            "SELECT * FROM columns WHERE dataset IN"
            f" (SELECT id FROM datasets WHERE {condition}) ORDER BY dataset, position, id",
            values,
        ).fetchall()
    finally:
        connection.execute("COMMIT")
    owned: dict[str, list[PortalColumn]] = {}
    for column in columns:
        owned.setdefault(column["dataset"], []).append(_column(column))
    return [_dataset(row, owned.get(row["id"], ())) for row in rows]


def _insert_column(connection: sqlite3.Connection, identifier: str, column: PortalColumn) -> None:
    values = {**asdict(column), "id": column.id or None, "kind": column.kind.value, "dataset": identifier}
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO columns ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


def _column(row: sqlite3.Row) -> PortalColumn:
    return PortalColumn(row["id"], row["field"], row["name"], Kind(row["kind"]), row["position"], row["description"])


def _dataset(row: sqlite3.Row, columns: Iterable[PortalColumn]) -> PortalDataset:
    values = {name: row[name] for name in _PLAIN}
    values["tags"] = tuple(json.loads(row["tags"]))
    values["metadata"] = json.loads(row["metadata"])
    values["public"] = bool(row["public"])
    values["published"] = bool(row["published"])
    return PortalDataset(**values, columns=tuple(columns))


def _encoded(values: dict[str, Any]) -> dict[str, Any]:
    """The values in the format that SQLite stores."""
    encoded = {name: int(value) if isinstance(value, bool) else value for name, value in values.items()}
    return {name: json.dumps(value) if name in _ENCODED else value for name, value in encoded.items()}
