"""Landing: raw files become private Parquet, one batch per file, once."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING

from publisher import durable, encryption
from publisher.definitions.feed import ObjectsFeed, TableFeed
from publisher.duck import connect, safely
from publisher.errors import RefusedAtLandingError, SourceError
from publisher.records import (
    columns,
    diagnosis,
    feed,
    intake,
    judgement,
    places,
    purging,
    raw_bytes,
    report,
    rows,
    secrets,
    sql,
    workers,
)
from publisher.records.batch import Batch, basis, batch_id, by_receipt, prefix
from publisher.records.known import KnownRecords
from publisher.records.receipts import day_in_name
from publisher.records.renewal import renew
from publisher.records.shelves import batches_of, move_in, receipts_of, received_way

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.copies import LandedCopies
    from publisher.definitions.settings import EngineSettings
    from publisher.executors.protocol import Executor
    from publisher.records.report import BatchReport
    from publisher.workspace import SourceFile

SAMPLE = "SAMPLE.json"
"""The file at the root of a data folder whose records are generated."""


@dataclass(frozen=True)
class RawFiles:
    """The raw files of a source, and the folder to which their names are relative."""

    folder: Path
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Landing:
    """What a landing did."""

    new: int
    """Files landed now."""
    known: int
    """Files that were landed before and are unchanged."""
    report: Path | None
    """The private report, if something was landed."""
    unlisted: tuple[str, ...]
    """Columns that are not declared, in the headers of the files that are there."""
    batches: tuple[BatchReport, ...]
    """The exact counts of what was landed now: private."""


def land(
    source: SourceFile,
    *,
    data: Path,
    private: Path,
    engine: EngineSettings,
    received: date,
    fetched: RawFiles | None = None,
    copies: LandedCopies | None = None,
    executor: Executor | None = None,
    progress: Callable[[str], None] | None = None,
    told: Callable[[Sequence[Batch]], None] | None = None,
) -> Landing:
    """Land the files of the source that have not been landed, and place landed records again if places changed.

    Those of a source that publisher fetches itself are `fetched`. With `copies` they are landed in an object store, and
    what was landed before there was one is moved there first. With an `executor` whose workers may land, they write the
    rows of large files, or of many. `told` hears of batches before they are there.

    Raises SourceError (files, columns, disk) and DefinitionError; no batch is then left half written. Raises
    RefusedAtLandingError for the first file that is beyond what the source accepts: neither it nor any file after it
    is landed, so that both fixing the definition and replacing the file help.
    """
    columns.check_names(source)
    raw = fetched or RawFiles(data, feed.find(source, data))
    secrets.create_key(private)
    with durable.writing(private), durable.private_files():
        if copies is not None:
            purging.refuse_if_any(source.name, private)
            move_in(private, source.name, copies, secrets.fingerprint(private))
        silent = progress or _silent
        job = _Job(source, data, raw.folder, private, engine, received, copies, executor, silent, told or _silent)
        return job.run(raw.paths)


@dataclass(frozen=True)
class _Incoming:
    """A raw file to be landed."""

    path: Path
    digest: str
    received: date


@dataclass
class _Job:
    source: SourceFile
    data: Path
    raw: Path
    """The folder of the raw files."""
    private: Path
    engine: EngineSettings
    received: date
    copies: LandedCopies | None
    executor: Executor | None
    progress: Callable[[str], None]
    told: Callable[[Sequence[Batch]], None]
    reports: list[BatchReport] = field(default_factory=list)
    divided: bool = False
    """Whether workers write the rows of what is landed now."""

    def __post_init__(self) -> None:
        self.shelf = batches_of(self.private, self.source.name, self.copies)
        self.temporary = encryption.scratch(self.private)
        self.key = secrets.fingerprint(self.private)
        self.basis = basis(self.source.definition)
        self.fingerprint = places.fingerprint(self.source, self.data)
        self.late = self.source.definition.late
        self.way = self.shelf.way(received_way(self.private, self.source.name, self.copies))
        self.receipts = receipts_of(self.private, self.source.name, self.basis, self.way, self.copies)
        self.known = KnownRecords(self.private, self.source.name, self.engine.memory_bytes, self.shelf.reading)

    def run(self, files: tuple[Path, ...]) -> Landing:
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()
        self.shelf.adopt(self.key)
        self.shelf.tidy()
        renew(self.private, self.source.name)
        try:
            return self._run(files)
        finally:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def _run(self, files: tuple[Path, ...]) -> Landing:
        batches = self.shelf.batches()
        landed = {(batch.file, batch.size, batch.modified): batch.sha256 for batch in batches}
        digests = {path: self._digest(path, landed) for path in files}
        outdated = self._outdated(batches, set(digests.values()))
        new = self._new(digests, batches)
        self.divided = self.executor is not None and self.executor.landers > 0 and workers.worth(new)
        days = {path: self._day(path, digests[path], outdated.get(digests[path])) for path in new}
        for batch in batches:
            if batch.basis == self.basis and batch.fingerprint != self.fingerprint:
                self._place_again(batch)
        self._know_places(digests, old=True)
        self._bring_forward(digests)
        again = self._again(digests, new, outdated)
        remembered = self.receipts.days().keys()
        received = self._receive({digests[path]: day for path, day in days.items()})
        self._land_all(self._in_order(days, digests, outdated), digests, received, remembered, again)
        for batch in outdated.values():
            self.shelf.drop(batch)
        self._know_places(digests)
        try:
            self._judge_landed()
        except RefusedAtLandingError:
            self._take_back({batch.batch for batch in batches})
            raise
        return self._landing(len(new), files, set(digests.values()))

    def _digest(self, path: Path, landed: Mapping[tuple[str, int, int], str]) -> str:
        """The sha256 of the content, which is read unless name, size and time are those of a landed file."""
        status = path.stat()
        return landed.get((self._name(path), status.st_size, status.st_mtime_ns)) or raw_bytes.look(path).sha256

    def _new(self, digests: dict[Path, str], batches: tuple[Batch, ...]) -> list[Path]:
        """The first file of each content that no batch holds."""
        known = {batch.sha256 for batch in batches if batch.basis == self.basis}
        first = {digest: path for path, digest in reversed(digests.items())}
        return [path for path, digest in digests.items() if digest not in known and first[digest] == path]

    def _day(self, path: Path, digest: str, before: Batch | None) -> date:
        """The day of a file that is landed now, from its name or the clock; content that came before keeps its day."""
        first = before.received if before else self.received
        if self.late is None:
            return first
        known = self.receipts.days().get(digest)
        if known is not None:
            return max(known, before.received) if before else known
        if self.late.received is None:
            return first
        day = day_in_name(path, self.late.received) or (before.received if before else None)
        if day is None:
            raise SourceError(
                f"{path.name}: the file name does not say on which day it was received: rename it to match "
                f"late.received = {self.late.received!r} in {self.source.origin.name}"
            )
        return day

    def _bring_forward(self, digests: dict[Path, str]) -> None:
        """If the latest batch's file has earlier content again, that content becomes the latest again."""
        latest = self._latest()
        if latest is not None:
            path = self.raw / latest.file
            for batch in self._batches():
                if batch.sha256 == digests.get(path):
                    self._make_latest(batch, path)

    def _batches(self) -> list[Batch]:
        """The batches of this definition, in the order of landing."""
        return [batch for batch in self.shelf.batches() if batch.basis == self.basis]

    def _latest(self) -> Batch | None:
        batches = self._batches()
        return (by_receipt(batches) if self.late else batches)[-1] if batches else None

    def _make_latest(self, batch: Batch, path: Path) -> None:
        """Give the batch the last place in the order, with the file that has its content now. Where files are only
        appended, order says nothing."""
        latest, status = self._latest(), path.stat()
        if latest is None or latest == batch or self.source.definition.delivery == "append":
            return
        number, file = 1 + max(each.sequence for each in self._batches()), self._name(path)
        batch = replace(batch, sequence=number, file=file, size=status.st_size, modified=status.st_mtime_ns)
        self.shelf.rewrite(replace(batch, received=latest.received) if self.late else batch)

    def _name(self, path: Path) -> str:
        return str(path).removeprefix(f"{self.raw}/")  # thousands a run

    def _know_places(self, digests: dict[Path, str], *, old: bool = False) -> None:
        """Remember where each content lies now; of `old` batches, which do not say, that it has lain there before."""
        lying: dict[str, list[str]] = {}
        for path, digest in digests.items():
            lying.setdefault(digest, []).append(self._name(path))
        for batch in self.shelf.batches():
            there = tuple(sorted(lying.get(batch.sha256, ())))
            if batch.paths is None or (not old and batch.paths != there):
                self.shelf.rewrite(replace(batch, paths=there))

    def _again(self, digests: dict[Path, str], new: list[Path], outdated: dict[str, Batch]) -> list[Path]:
        """Files that did not have their content before, where that was known, or is landed now from another file."""
        batches = [*self._batches(), *outdated.values()]
        landing = set(new)
        seen = {(batch.sha256, file) for batch in batches for file in batch.paths or ()}
        return sorted(
            path for path, digest in digests.items() if path not in landing and (digest, self._name(path)) not in seen
        )

    def _receive(self, new: dict[str, date]) -> dict[str, date]:
        """The days of what is landed now. Remembers them, and also the days and first receipts that are missing after a
        crash or from a time without a policy."""
        if self.late is None:
            return new
        batches = [batch for batch in self.shelf.batches() if batch.basis == self.basis]
        known, form = self.receipts.days(), self.late.received
        named = {batch.sha256: day_in_name(self.raw / batch.file, form) if form else None for batch in batches}
        days = self.receipts.given({batch.sha256: named[batch.sha256] or batch.received for batch in batches} | new)
        for batch in batches:
            if batch.sha256 not in known and batch.received != days[batch.sha256]:
                self.shelf.rewrite(replace(batch, received=days[batch.sha256]))
        self.receipts.keep_days(days)
        for batch in batches:
            self._remember(batch)
        return {digest: max(day, days[digest]) for digest, day in new.items()}

    def _remember(self, batch: Batch) -> None:
        if self.late is not None and not self.receipts.has(batch.batch):
            with (
                self._connection() as connection,
                self.shelf.reading(self.shelf.files(batch)) as files,
                safely(f"{self.source.name}: remembering first receipts"),
            ):
                self.receipts.remember(batch, self.receipts.days()[batch.sha256], files, connection)

    def _in_order(self, days: dict[Path, date], digests: dict[Path, str], outdated: dict[str, Batch]) -> list[Path]:
        """New files by their day; files that are landed again keep their first order, so that the first version of a
        record stays."""
        before = {digest: batch.sequence for digest, batch in outdated.items()}
        return sorted(days, key=lambda path: (before.get(digests[path], sys.maxsize), days[path], path))

    def _land_all(
        self,
        paths: list[Path],
        digests: dict[Path, str],
        received: dict[str, date],
        remembered: Iterable[str],
        again: list[Path],
    ) -> None:
        """Land the files in order, and let content that came again take its turn among them. A refused file was not
        received: its day is that on which it lands."""
        try:
            for group in intake.together(paths, again):
                self._take_turns([each for each in again if each < group[0]], digests)
                again = [each for each in again if each > group[0]]
                self._land_group([_Incoming(path, digests[path], received[digests[path]]) for path in group], paths[-1])
            self._take_turns(again, digests)
        finally:
            if self.late is not None:
                landed = {batch.sha256 for batch in self.shelf.batches()}
                days = self.receipts.days().items()
                self.receipts.keep_days({digest: day for digest, day in days if digest in {*remembered, *landed}})

    def _take_turns(self, again: list[Path], digests: dict[Path, str]) -> None:
        for path in again:
            for batch in self._batches():
                if batch.sha256 == digests[path]:
                    self._make_latest(batch, path)

    @property
    def _only_latest(self) -> bool:
        """Whether only the latest batch is ever counted."""
        return self.source.definition.delivery == "snapshot" and self.late is None

    def _landing(self, new: int, files: tuple[Path, ...], contents: set[str]) -> Landing:
        written = report.write_whole(self.private, self.source.name, self.reports) if self.reports else None
        if written is not None:
            report.gather(self.private, self.source.name, datetime.now(UTC))
        present = (batch for batch in self.shelf.batches() if batch.sha256 in contents)
        unlisted = dict.fromkeys(column for batch in present for column in batch.unlisted)
        return Landing(new, len(files) - new, written, tuple(unlisted), tuple(self.reports))

    def _outdated(self, batches: tuple[Batch, ...], digests: set[str]) -> dict[str, Batch]:
        """The batches of an earlier definition, by content; their files must be there to be landed again, unless only
        the latest file is ever counted or all rows were fetched again."""
        outdated = {batch.sha256: batch for batch in batches if batch.basis != self.basis}
        declared = self.source.definition.feed
        replaced = self._only_latest or isinstance(declared, TableFeed)
        left = [batch for batch in outdated.values() if self.shelf.files(batch)]  # of the others all is purged
        gone = [] if replaced else [batch.file for batch in left if batch.sha256 not in digests]
        if gone:
            place = declared.url if isinstance(declared, ObjectsFeed) else self.data
            raise SourceError(
                f"{self.source.origin.name}: has changed since these files were landed: {', '.join(gone)}: put them "
                f"back into {place} so that they can be landed again, or remove their batches from "
                f"{self.shelf.place}"
            )
        return outdated

    def _land_group(self, files: list[_Incoming], last: Path) -> None:
        """Land files in one pass; one by one if that fails, so that those before the faulty one are landed, or if first
        receipts of some are remembered, which say where a record belongs."""
        if len(files) > 1 and not any(self._remembered(file) for file in files):
            try:
                return self._land(files, last)
            except RefusedAtLandingError:
                raise
            except SourceError:
                pass  # said again below
        landed = {batch.sha256: batch for batch in self._batches()}
        for file in files:
            if file.digest in landed:  # what failed may be that it could not be remembered
                self._remember(landed[file.digest])
            else:
                self._land([file], last)
        return None

    def _remembered(self, file: _Incoming) -> bool:
        return self.receipts.has(batch_id(file.digest, self.basis))

    def _land(self, files: list[_Incoming], last: Path) -> None:
        """Land files in one pass. Those before the first that is refused are landed."""
        self.progress(f"{self.source.name}: landing {_shown(files)}")
        accepted: list[tuple[Path, Batch]] = []
        before = len(self.reports)
        statuses = [file.path.stat() for file in files]
        next_ = 1 + max((batch.sequence for batch in self.shelf.batches()), default=0)
        with self.shelf.staging() as staging, self._fresh() as fresh, self._connection() as connection:
            target = rows.PartitionTarget(staging, prefix(self.fingerprint))
            reader = intake.Reader(self.source, self.data, connection, fresh, self.engine.memory_bytes, self.way)
            found = self._writer(reader).write([file.path for file in files], target)
            append = self.source.definition.delivery == "append"
            reader.drop_repeated(target, self._know_earlier(files, connection) if append else None, first=append)
            written = target.by_number()
            try:
                for number, (file, status, raw) in enumerate(zip(files, statuses, found.files, strict=True)):
                    _check_unchanged(file.path, status)
                    batch = self._batch(file, status, raw.unlisted, next_ + len(accepted))
                    counts = rows.count(self.source, written.get(number, []))
                    counted = report.counted(batch.batch, batch.file, raw, counts)
                    if not self._only_latest or file.path is last:
                        self._judge(counted, partial(_of_file, found, number), connection, whole=True)
                    self.reports.append(counted)
                    accepted.append((target.of(number), batch))
            finally:
                if accepted:  # the report comes before the batches, so that counts are never lost
                    report.write(self.private, self.source.name, self.reports[before : before + len(accepted)])
                    purging.strip(self.source, self.private, accepted, connection)
                    self.told([batch for _, batch in accepted])
                    self.shelf.commit(accepted)
                    for _, batch in accepted:  # also before a faulty one, since what is landed next must know them
                        self._remember(batch)

    def _place_again(self, batch: Batch) -> None:
        self.progress(f"{self.source.name}: placing the records of {batch.file} again")
        columns.check_replaceable(self.source)
        landed_files = self.shelf.files(batch)
        stubs = [path for path in landed_files if purging.is_stub(path)]
        with (
            self.shelf.staging() as staging,
            self._connection() as connection,
            self.shelf.reading([path for path in landed_files if path not in stubs]) as files,
        ):
            target = rows.PartitionTarget(staging, prefix(self.fingerprint))
            if files:
                landed = sql.parquet(files)
                located = places.locate(self.source, self.data, connection, landed, self.temporary)
                rows.place(self.source, landed, located, target, connection)
            target.of(0).mkdir(exist_ok=True)
            known = report.reported(self.private, self.source.name).get(batch.batch)
            if known is not None:
                placed = rows.count(self.source, target.files())
                known = replace(known, unlocated=placed.unlocated, other={})
                report.write(self.private, self.source.name, [known], "counted")
            purging.place_stubs(stubs, target.of(0), prefix(self.fingerprint))
            self.shelf.replace(target.of(0), replace(batch, fingerprint=self.fingerprint))

    def _writer(self, reader: intake.Reader) -> intake.Reader | workers.LandingWorkers:
        if self.executor is None or not self.divided:
            return reader
        return workers.LandingWorkers(self.executor, reader, self.private)

    def _judge(
        self, counted: BatchReport, relation: Callable[[], str], connection: DuckDBPyConnection, *, whole: bool
    ) -> None:
        """Raises RefusedAtLandingError for a batch that is beyond what the source accepts; the reasons are reported."""
        found = judgement.beyond(self.source.definition, counted)
        if not found:
            return
        batch = diagnosis.Suspect(self.source, self.data, relation(), connection, self.temporary, whole)
        counted = replace(counted, refused=tuple(diagnosis.causes(batch, found)))
        self._report(counted)
        words = "\n".join(judgement.refusal(self.source, self.reports))
        raise RefusedAtLandingError(self.source.name, report.folder(self.private, self.source.name), words)

    def _take_back(self, before: set[str]) -> None:
        """Remove the batches that were landed now, since files that are refused together are all to be replaced."""
        for batch in self._batches():
            if batch.batch not in before:
                self.shelf.drop(batch)
                if self.late is not None:
                    self.receipts.forget(batch.batch)

    def _judge_landed(self) -> None:
        """Judge what is landed and will be counted, file by file and together: many small files may all be wrong."""
        batches = [batch for batch in self.shelf.batches() if batch.basis == self.basis]
        batches = batches[-1:] if self._only_latest else batches
        known = report.reported(self.private, self.source.name)
        batches = [batch for batch in batches if batch.batch in known or self.shelf.files(batch)]  # others are purged
        counts = [known.get(batch.batch) or self._count_again(batch) for batch in batches]
        of_each = [[batch] for batch in batches]
        if len(batches) > 1 or (batches and self.source.definition.fetched):
            counts.append(judgement.together(counts))
            of_each.append(batches)
        for counted, of_them in zip(counts, of_each, strict=True):
            if judgement.beyond(self.source.definition, counted):
                paths = [path for batch in of_them for path in self.shelf.files(batch)]
                with self._connection() as connection, self.shelf.reading(paths) as there:
                    rows_ = f"(SELECT {columns.names(self.source.definition)} FROM {sql.parquet(there)})"
                    self._judge(counted, partial(str, rows_), connection, whole=False)

    def _count_again(self, batch: Batch) -> BatchReport:
        """What landed records still say of a batch whose report is gone: nothing of rejected and repeated rows."""
        with self.shelf.reading(self.shelf.files(batch)) as files:
            counts = rows.count(self.source, files)
        raw = intake.RawFile(counts.landed, 0, batch.unlisted)
        counted = report.counted(batch.batch, batch.file, raw, counts)
        report.write(self.private, self.source.name, [counted], "counted")
        return counted

    def _batch(self, file: _Incoming, status: os.stat_result, unlisted: tuple[str, ...], sequence: int) -> Batch:
        name = self._name(file.path)
        return Batch(
            batch=batch_id(file.digest, self.basis),
            sequence=sequence,
            file=name,
            sha256=file.digest,
            size=status.st_size,
            modified=status.st_mtime_ns,
            basis=self.basis,
            received=file.received,
            unlisted=unlisted,
            fingerprint=self.fingerprint,
            generated=(self.raw / SAMPLE).is_file(),
            paths=(name,),
            key=self.key,
            pseudonyms=self.way,
            landing=token_hex(8),
        )

    def _know_earlier(self, files: list[_Incoming], connection: DuckDBPyConnection) -> KnownRecords | None:
        """The records that are not landed again if feeds only append: all that are landed, or, under a policy for late
        records, remembered, also if their rows are gone. None if there are none."""
        if self.late is None:
            # So many files: if retention has removed some, their records may come again.
            there = {f"{each.batch} {each.landing} {self.shelf.count(each)}": each for each in self._batches()}
            self.known.know(there, lambda part: self.shelf.files(there[part]), connection)
            return self.known if there else None
        own = {self.receipts.path(batch_id(file.digest, self.basis)) for file in files}
        parts = {part: paths for part, paths in self.receipts.parts().items() if not own & set(paths)}
        self.known.know(parts, parts.__getitem__, connection)
        return self.known if parts else None

    def _report(self, counted: BatchReport) -> None:
        self.reports.append(counted)
        report.write(self.private, self.source.name, self.reports)

    @contextmanager
    def _fresh(self) -> Iterator[Path]:
        """A folder for copies of raw files. Those of the last pass are never written over: a file that is cut to
        nothing and written again is sent to the disk at once, which takes ten times as long as a new one."""
        fresh = self.temporary / token_hex(8)
        fresh.mkdir()
        try:
            yield fresh
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    @contextmanager
    def _connection(self) -> Iterator[DuckDBPyConnection]:
        with connect(self.engine, self.temporary) as connection:
            columns.set_keys(connection, self.source, self.private)
            yield connection


def _of_file(found: intake.Intake, number: int) -> str:
    """SQL for FROM: the raw rows of one file."""
    return f"(SELECT * FROM {found.relation()} WHERE _file = {number})"


def _shown(files: list[_Incoming]) -> str:
    first = files[0].path.name
    return first if len(files) == 1 else f"{first} and {len(files) - 1} more"


def _check_unchanged(path: Path, before: os.stat_result) -> None:
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise SourceError(f"{path.name}: changed while it was read: land it again")


def _silent(_: object) -> None:
    pass
