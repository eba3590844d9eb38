"""Landing: raw files become private Parquet, one batch for each file, once."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from publisher import durable
from publisher.duck import connect
from publisher.errors import SourceError
from publisher.records import columns, feed, places, report, rows, secrets, sql
from publisher.records.batch import Batch, Shelf, basis, batch_id, prefix

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from datetime import date
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.definitions.settings import Engine
    from publisher.workspace import SourceFile

SAMPLE = "SAMPLE.json"
"""Stands at the root of a data folder whose records are generated."""


@dataclass(frozen=True)
class Landing:
    """What a landing did."""

    new: int
    """Files landed now."""
    known: int
    """Files landed before, unchanged."""
    report: Path | None
    """The private report, when something was landed."""
    unlisted: tuple[str, ...]
    """Columns that nobody declared, in the headers of the files at hand."""


def land(
    source: SourceFile,
    *,
    data: Path,
    private: Path,
    engine: Engine,
    received: date,
    progress: Callable[[str], None] | None = None,
) -> Landing:
    """Lands the files of the source that have not been landed, and places landed records anew where places changed.

    Raises SourceError (files, columns, disk) and DefinitionError; then no batch is half there.
    """
    columns.check_names(source)
    files = feed.find(source, data)
    secrets.create_key(private)
    with durable.writing(private), durable.private_files():
        return _Job(source, data, private, engine, received, progress or _silent).run(files)


@dataclass
class _Job:
    source: SourceFile
    data: Path
    private: Path
    engine: Engine
    received: date
    progress: Callable[[str], None]
    reports: list[report.BatchReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shelf = Shelf(self.private, self.source.name)
        self.temporary = self.private / "tmp"
        self.basis = basis(self.source.definition)
        self.fingerprint = places.fingerprint(self.source, self.data)

    def run(self, files: tuple[Path, ...]) -> Landing:
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()
        self.shelf.tidy()
        try:
            return self._run(files)
        finally:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def _run(self, files: tuple[Path, ...]) -> Landing:
        batches = self.shelf.batches()
        digests = {path: self._digest(path, batches) for path in files}
        outdated = self._outdated(batches, set(digests.values()))
        for batch in batches:
            if batch.basis == self.basis and batch.fingerprint != self.fingerprint:
                self._place_anew(batch)
        new = self._new(digests, batches)
        for path in self._in_order(new, digests, outdated):
            self._land(path, digests[path], outdated.get(digests[path]))
        for batch in outdated.values():
            self.shelf.drop(batch)
        return self._landing(len(new), files, set(digests.values()))

    def _digest(self, path: Path, batches: tuple[Batch, ...]) -> str:
        """The sha256 of the content; it is read unless name, size and time are those of a landed file."""
        status, file = path.stat(), str(path.relative_to(self.data))
        for batch in batches:
            if (batch.file, batch.size, batch.modified) == (file, status.st_size, status.st_mtime_ns):
                return batch.sha256
        return feed.digest(path)

    def _new(self, digests: dict[Path, str], batches: tuple[Batch, ...]) -> list[Path]:
        """The first file of each content that no batch holds."""
        known = {batch.sha256 for batch in batches if batch.basis == self.basis}
        first = {digest: path for path, digest in reversed(digests.items())}
        return [path for path, digest in digests.items() if digest not in known and first[digest] == path]

    def _in_order(self, new: list[Path], digests: dict[Path, str], outdated: dict[str, Batch]) -> list[Path]:
        """Files that are landed anew come as they came the first time, so that the first version of a record stays."""
        before = {digest: batch.sequence for digest, batch in outdated.items()}
        return sorted(new, key=lambda path: (before.get(digests[path], sys.maxsize), path))

    def _landing(self, new: int, files: tuple[Path, ...], contents: set[str]) -> Landing:
        written = report.path(self.private, self.source.name, self.reports) if self.reports else None
        present = (batch for batch in self.shelf.batches() if batch.sha256 in contents)
        unlisted = dict.fromkeys(column for batch in present for column in batch.unlisted)
        return Landing(new, len(files) - new, written, tuple(unlisted))

    def _outdated(self, batches: tuple[Batch, ...], digests: set[str]) -> dict[str, Batch]:
        """The batches of an earlier definition, by content; their files must be at hand to be landed anew."""
        outdated = {batch.sha256: batch for batch in batches if batch.basis != self.basis}
        gone = [batch.file for digest, batch in outdated.items() if digest not in digests]
        if gone:
            raise SourceError(
                f"{self.source.origin.name}: has changed since these files were landed: {', '.join(gone)}: put them "
                f"back into {self.data}, so that they can be landed anew, or remove their batches from "
                f"{self.shelf.folder}"
            )
        return outdated

    def _land(self, path: Path, digest: str, before: Batch | None) -> None:
        self.progress(f"{self.source.name}: landing {path.name}")
        status = path.stat()
        with self.shelf.staging() as staging, self._connection() as connection:
            table = feed.open_table(self.source, path, connection, self.temporary)
            unlisted = columns.unlisted(self.source, table.columns, path.name)
            raw = rows.stage(self.source, table, path.name, connection, self.temporary / "raw.parquet")
            located = places.locate(self.source, self.data, connection, raw.relation, self.temporary)
            earlier = self._earlier()
            target = rows.Target(staging, prefix(self.fingerprint))
            rows.write(self.source, raw.relation, located, target, connection, earlier=earlier)
            counts = rows.count(self.source, staging, connection)
            _check_unchanged(path, status)
            batch = self._batch(path, status, digest, unlisted, before.received if before else self.received)
            self._report(batch, unlisted + table.keys, raw, counts)
            self.shelf.commit(staging, batch)

    def _place_anew(self, batch: Batch) -> None:
        self.progress(f"{self.source.name}: placing the records of {batch.file} anew")
        columns.check_replaceable(self.source)
        with self.shelf.staging() as staging, self._connection() as connection:
            if files := self.shelf.files(batch):
                landed = sql.parquet(files)
                located = places.locate(self.source, self.data, connection, landed, self.temporary)
                rows.place(self.source, landed, located, rows.Target(staging, prefix(self.fingerprint)), connection)
            self.shelf.replace(staging, replace(batch, fingerprint=self.fingerprint))

    def _batch(
        self, path: Path, status: os.stat_result, digest: str, unlisted: tuple[str, ...], received: date
    ) -> Batch:
        return Batch(
            batch=batch_id(digest, self.basis),
            sequence=1 + max((batch.sequence for batch in self.shelf.batches()), default=0),
            file=str(path.relative_to(self.data)),
            sha256=digest,
            size=status.st_size,
            modified=status.st_mtime_ns,
            basis=self.basis,
            received=received,
            unlisted=unlisted,
            fingerprint=self.fingerprint,
            generated=(self.data / SAMPLE).is_file(),
        )

    def _earlier(self) -> list[Path]:
        """The files whose records are not landed again: those of all earlier batches, where feeds only append."""
        if self.source.definition.delivery != "append":
            return []
        current = (batch for batch in self.shelf.batches() if batch.basis == self.basis)
        return [path for batch in current for path in self.shelf.files(batch)]

    def _report(self, batch: Batch, unlisted: tuple[str, ...], raw: rows.Raw, counts: rows.Counts) -> None:
        self.reports.append(
            report.BatchReport(
                batch=batch.batch,
                file=batch.file,
                unlisted=unlisted,
                rows_read=raw.read,
                rejected=raw.rejected,
                landed=counts.landed,
                duplicates=raw.read - counts.landed,
                without_event_time=counts.without_event_time,
                without_unit=counts.without_unit,
                unlocated=counts.unlocated,
            )
        )
        report.write(self.private, self.source.name, self.reports)  # before the batch: counts are never lost

    @contextmanager
    def _connection(self) -> Iterator[DuckDBPyConnection]:
        with connect(self.engine, self.temporary) as connection:
            columns.set_keys(connection, self.source, self.private)
            yield connection


def _check_unchanged(path: Path, before: os.stat_result) -> None:
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise SourceError(f"{path.name}: was changed while it was read: land it again")


def _silent(_: str) -> None:
    pass
