"""Drafts, from an upload to a dataset: revisions, sources, schemas, jobs, and configurations, as documents.

Each is one row in the catalog, changed as a whole; each source has its own folder for files.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any

from publisher.portal.base.problems import invalid, problem

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from publisher.portal.store.catalog import DatasetCatalog

WEEK = 7 * 24 * 3600
"""Seconds for which the files of an unused source are kept."""


class Sort(StrEnum):
    """The types of documents."""

    REVISION = "revision"
    SOURCE = "source"
    INPUT = "input_schema"
    OUTPUT = "output_schema"
    JOB = "job"
    CONFIG = "config"


@dataclass(frozen=True, slots=True)
class Draft:
    """One document; `parent` is the document it belongs to. Times are epoch seconds."""

    id: int
    sort: Sort
    parent: int | None
    dataset: str | None
    body: dict[str, Any]
    created_at: int


class Drafts:
    """The documents of a catalog, and the files of sources in the folder `root`."""

    def __init__(self, catalog: DatasetCatalog, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._catalog = catalog
        self._root = root

    def add(self, sort: Sort, body: dict[str, Any], *, parent: int | None = None, dataset: str | None = None) -> Draft:
        """Add a document. A revision gets the next number of its dataset as `revision_seq`.

        Raises SodaError for a configuration whose name is already used.
        """
        with self._catalog.transaction() as connection:
            if sort is Sort.CONFIG:
                _check_name(connection, body["name"])
            if sort is Sort.REVISION:
                count = "SELECT count(*) FROM drafts WHERE sort = 'revision' AND dataset = ?"
                body = body | {"revision_seq": connection.execute(count, (dataset,)).fetchone()[0]}
            made = connection.execute(
                "INSERT INTO drafts (sort, parent, dataset, body, created_at) VALUES (?, ?, ?, ?, ?)",
                (sort, parent, dataset, json.dumps(body), int(time.time())),
            ).lastrowid
        return self.get(sort, made or 0)

    def get(self, sort: Sort, identifier: int) -> Draft:
        """The document of this type with this id. Raises SodaError 404."""
        found = self._select("id = ? AND sort = ?", (identifier, sort))
        if not found:
            raise missing(sort)
        return found[0]

    def revision(self, dataset: str, number: int) -> Draft:
        """A dataset's revision by its number. Raises SodaError 404."""
        found = next((each for each in self.revisions(dataset) if each.body["revision_seq"] == number), None)
        if found is None:
            raise missing(Sort.REVISION)
        return found

    def revisions(self, dataset: str) -> list[Draft]:
        """A dataset's revisions, the oldest first."""
        return self._select("dataset = ? AND sort = ?", (dataset, Sort.REVISION))

    def children(self, sort: Sort, parent: int) -> list[Draft]:
        """The documents of this type that belong to another one, the oldest first."""
        return self._select("parent = ? AND sort = ?", (parent, sort))

    def sources(self, dataset: str) -> list[Draft]:
        """The sources of a dataset's revisions."""
        return self._select("dataset = ? AND sort = ?", (dataset, Sort.SOURCE))

    def configs(self) -> list[Draft]:
        """All configurations."""
        return self._select("sort = ?", (Sort.CONFIG,))

    def update(self, draft: Draft, *, parent: Draft | None = None, **members: Any) -> Draft:
        """Set members of a document and keep the others; with `parent`, it belongs to that document from now on."""
        with self._catalog.transaction() as connection:
            row = connection.execute("SELECT body FROM drafts WHERE id = ?", (draft.id,)).fetchone()
            if row is None:
                raise missing(draft.sort)
            body = json.dumps(json.loads(row["body"]) | members)
            connection.execute("UPDATE drafts SET body = ? WHERE id = ?", (body, draft.id))
            if parent is not None:
                values = (parent.id, parent.dataset, draft.id)
                connection.execute("UPDATE drafts SET parent = ?, dataset = ? WHERE id = ?", values)
        return self.get(draft.sort, draft.id)

    def remove(self, draft: Draft) -> None:
        """Remove a document."""
        with self._catalog.transaction() as connection:
            connection.execute("DELETE FROM drafts WHERE id = ?", (draft.id,))

    def folder(self, source: int) -> Path:
        """The folder for the files of a source."""
        folder = self._root / str(source)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def clear(self, source: int) -> None:
        """Remove the files of a source."""
        shutil.rmtree(self._root / str(source), ignore_errors=True)

    def held(self, revision: int) -> IO[str] | None:
        """A lock to hold while a process applies the revision; None if another process holds it."""
        lock = (self._root / f"revision-{revision}").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return None
        return lock

    def sweep(self) -> None:
        """Remove files of sources that no longer exist or were not used for a week."""
        with self._catalog.connected() as connection:
            known = {str(row["id"]) for row in connection.execute("SELECT id FROM drafts WHERE sort = 'source'")}
        oldest = time.time() - WEEK
        for path in self._root.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest and path.is_file():
                    path.unlink()
                elif path.is_dir() and (path.name not in known or path.stat().st_mtime < oldest):
                    shutil.rmtree(path, ignore_errors=True)

    def _select(self, condition: str, values: tuple[object, ...]) -> list[Draft]:
        with self._catalog.connected() as connection:
            rows = connection.execute(f"SELECT * FROM drafts WHERE {condition} ORDER BY id", values).fetchall()
        return [_draft(row) for row in rows]


def _check_name(connection: sqlite3.Connection, name: str) -> None:
    """Check the name in the transaction that adds it, so that of two requests at once the second sees the first."""
    bodies = connection.execute("SELECT body FROM drafts WHERE sort = 'config'")
    if not name or any(json.loads(body)["name"] == name for (body,) in bodies):
        raise invalid("name: another configuration has this name, or it is empty; choose another")


def missing(sort: Sort) -> Exception:
    """404: the document does not exist."""
    return problem(404, f"{sort.value}.missing", f"This {sort.value.replace('_', ' ')} does not exist")


def _draft(row: sqlite3.Row) -> Draft:
    return Draft(
        row["id"], Sort(row["sort"]), row["parent"], row["dataset"], json.loads(row["body"]), row["created_at"]
    )
