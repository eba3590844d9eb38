"""Records beyond retention: which months of a source are purged, and how their rows are deleted.

`private/purged/<source>.json` is written before anything is deleted. From then on no row of a purged month is read or
landed again, so a purge that is killed leaves nothing half purged that could be read; the next one finishes it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from publisher import durable
from publisher.definitions import period as civil
from publisher.duck import quoted, safely
from publisher.errors import PurgedError, SourceError
from publisher.records import report, sql
from publisher.records.batch import NOWHEN, BatchStore, prefix

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import date
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.records.batch import Batch
    from publisher.workspace import SourceFile

File = tuple[str, str]
"""A file, relative to the private folder, and its SHA-256."""


@dataclass(frozen=True)
class Purge:
    """A purge that was decided; its certificate follows from it."""

    id: str
    rule: str
    not_released: tuple[str, ...]
    """Dataset and period of what will not be released any more."""
    files: tuple[File, ...]
    """Landed records and private reports."""

    @property
    def months(self) -> list[str]:
        """The months of the landed records, in order."""
        found = {part for path, _ in self.files for part in path.split("/") if part.startswith("month=")}
        return sorted(month.removeprefix("month=") for month in found)

    @property
    def words(self) -> str:
        """What was decided: it stands in the logs of runs, so it says nothing of what records there were."""
        lost = f"; not released: {', '.join(self.not_released)}" if self.not_released else ""
        return f"by {self.rule}{lost}"

    @property
    def certificate(self) -> dict[str, Any]:
        """What the journal keeps of it: no count of records."""
        return {"months": self.months, "not_released": list(self.not_released), "files": [list(f) for f in self.files]}


@dataclass(frozen=True)
class PurgedMonths:
    """The months of a source's records that are purged: all before one (YYYY-MM), but for those that are kept."""

    before: str = ""
    kept: tuple[str, ...] = ()
    pending: Purge | None = None
    """What is being deleted."""

    def holds(self, month: str) -> bool:
        """Whether that month is purged."""
        return month < self.before and month not in self.kept

    def touches(self, start: date, end: date) -> bool:
        """Whether a month of the days from `start` to before `end` is purged."""
        if not self.before or start >= (first := civil.parse(self.before).start):
            return False
        return any(self.holds(each.label) for each in civil.Period(start, min(end, first), "day").cut("month"))

    def of_batch(self, source: SourceFile, batch: Batch, month: str) -> bool:
        """Whether a batch's rows of that month are purged. Under `freeze` records count on the day of their receipt;
        those without a date count on none, and are purged by it too."""
        late = source.definition.late
        by_receipt = month == NOWHEN or (late is not None and late.policy == "freeze")
        return self.holds(batch.received.strftime("%Y-%m") if by_receipt else month)

    def after(self, horizon: str, waiting: Collection[str]) -> PurgedMonths:
        """What is purged once everything before the month `horizon` is, but for the months that wait."""
        before = max(self.before, horizon)
        unpurged = {*self.kept, *(month for month in waiting if month >= self.before)}
        kept = {month for month in unpurged if month in waiting or month >= horizon}
        return PurgedMonths(before, tuple(sorted(month for month in kept if month < before)))


def purged_of(private: Path, source: str) -> PurgedMonths:
    """What is purged of a source. Raises SourceError when the file is damaged."""
    path = _path(private, source)
    try:
        says = json.loads(path.read_bytes())
        pending = says["pending"]
        if pending is not None:
            files = tuple((str(file), str(digest)) for file, digest in pending["files"])
            pending = Purge(**pending | {"not_released": tuple(pending["not_released"]), "files": files})
        return PurgedMonths(str(says["before"]), tuple(map(str, says["kept"])), pending)
    except FileNotFoundError:
        return PurgedMonths()
    except (OSError, ValueError, TypeError, KeyError):
        raise SourceError(f"{path}: is damaged: restore it from a backup") from None


def refuse_if_purged(source: str, private: Path, start: date, end: date, name: str) -> None:
    """Raise PurgedError if records of these days, which `name` needs, are purged."""
    if purged_of(private, source).touches(start, end):
        raise PurgedError(name)


def refuse_if_any(source: str, private: Path) -> None:
    """Raise SourceError if records of the source were purged, which landing in an object store would not respect."""
    if purged_of(private, source).before:
        raise SourceError(
            f"publisher.toml: landed.url: records of {source} were purged, which is only possible in the state folder: "
            "remove [landed]. Nothing was landed"
        )


def deleted(private: Path, source: SourceFile) -> frozenset[Path]:
    """The files that are left of what an interrupted purge deletes."""
    months = purged_of(private, source.name)
    return frozenset(Purging(source, private).files(months)) if months.pending is not None else frozenset()


@dataclass(frozen=True)
class Purging:
    """The purging of one source's landed records. To be used inside `durable.private_files`."""

    source: SourceFile
    private: Path

    def begin(self, months: PurgedMonths, *, rule: str, not_released: Sequence[str], reports: Iterable[Path]) -> None:
        """Decide, durably, that these months are purged; what is deleted for it is deleted by `finish`."""
        paths = [*self.files(months), *reports]
        files = tuple((str(path.relative_to(self.private)), _digest(path)) for path in paths)
        purge = Purge(secrets.token_hex(16), rule, tuple(not_released), files)
        self._write(replace(months, pending=purge if files or not_released else None))

    def files(self, months: PurgedMonths) -> list[Path]:
        """The files of landed records that are to be deleted, of all versions of all batches."""
        shelf = BatchStore(self.private, self.source.name)
        return [
            path
            for batch in shelf.batches()
            for path in sorted((shelf.folder / batch.batch).glob("month=*/*.parquet"))
            if not is_stub(path) and months.of_batch(self.source, batch, _month(path))
        ]

    def resume(self) -> PurgedMonths:
        """What is pending, with the files of batches that were placed again since it was decided, durably."""
        months = purged_of(self.private, self.source.name)
        if months.pending is not None:
            known = {name for name, _ in months.pending.files}
            paths = [path for path in self.files(months) if str(path.relative_to(self.private)) not in known]
            if paths:
                files = tuple((str(path.relative_to(self.private)), _digest(path)) for path in paths)
                months = replace(months, pending=replace(months.pending, files=(*months.pending.files, *files)))
                self._write(months)
        return months

    def delete(self, months: PurgedMonths, connection: DuckDBPyConnection) -> None:
        """Delete what is pending. Raises SourceError; the next call goes on."""
        purge = months.pending
        if purge is None:
            return
        paths = [self.private / name for name, _ in purge.files]
        landed = [path for path in paths if path.suffix == ".parquet" and path.exists()]
        if self.source.definition.delivery == "changes":
            self._leave_stubs(landed, connection)
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in sorted({path.parent for path in paths if path.parent.is_dir()}):
            durable.sync(folder)
            if folder.name.startswith("month=") and not any(folder.iterdir()):
                folder.rmdir()
        shutil.rmtree(self.private / "known" / self.source.name, ignore_errors=True)  # made again of what is left

    def end(self, months: PurgedMonths) -> None:
        """What was pending is done and told."""
        self._write(replace(months, pending=None))

    def _leave_stubs(self, gone: Sequence[Path], connection: DuckDBPyConnection) -> None:
        """A batch that loses the newest version of a record keeps its id as long as an older one is there, which would
        count again otherwise."""
        shelf = BatchStore(self.private, self.source.name)
        batches = shelf.batches()
        losing = set(gone)
        left = {batch.batch: [path for path in shelf.files(batch) if path not in losing] for batch in batches}
        for batch in batches:
            mine = [path for path in shelf.files(batch) if path in losing or is_stub(path)]
            others = [path for name, paths in left.items() if name != batch.batch for path in paths]
            others = [path for path in others if not is_stub(path)]
            write_stubs(shelf.folder / batch.batch, prefix(batch.fingerprint), mine, others, connection)

    def _write(self, months: PurgedMonths) -> None:
        content = json.dumps(asdict(months), indent=2).encode() + b"\n"
        durable.write_file(_path(self.private, self.source.name), content, mode=0o600)


def strip(
    source: SourceFile, private: Path, landing: Sequence[tuple[Path, Batch]], connection: DuckDBPyConnection
) -> None:
    """Remove rows of purged months from batches that are about to be landed: their raw files still have them."""
    months = purged_of(private, source.name)
    if not months.before:
        return
    shelf = BatchStore(private, source.name)
    others = [path for batch in shelf.batches() for path in shelf.files(batch) if not is_stub(path)]
    for folder, batch in landing:
        files = sorted(folder.glob("month=*/*.parquet"))
        gone = [path for path in files if months.of_batch(source, batch, _month(path))]
        if source.definition.delivery == "changes":
            write_stubs(folder, prefix(batch.fingerprint), gone, others, connection)
        for path in gone:
            path.unlink()
        others += [path for path in files if path not in gone]


def place_stubs(stubs: Iterable[Path], folder: Path, name: str) -> None:
    """Give a batch that is placed again the ids that it keeps."""
    for stub in stubs:
        target = folder / stub.parent.name / f"{name}-{_STUB}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(stub, target)


def write_stubs(
    folder: Path, name: str, gone: Sequence[Path], others: Sequence[Path], connection: DuckDBPyConnection
) -> None:
    """Write the ids of the rows in `gone` that `others` have too as rows without a date, which are never counted."""
    target = folder / f"month={NOWHEN}" / f"{name}-{_STUB}"
    if not gone:
        return
    found: Any = ()
    if others:
        with safely("purging records"):
            columns = [str(row[0]) for row in connection.execute(f"DESCRIBE FROM {sql.parquet(gone)}").fetchall()]
            cells = (
                quoted(each) if each == "_record" else f"CASE WHEN false THEN {quoted(each)} END AS {quoted(each)}"
                for each in columns
            )
            newer = f"SELECT DISTINCT ON (_record) {', '.join(cells)} FROM {sql.parquet(gone)}"
            select = f"SELECT * FROM ({newer}) SEMI JOIN {sql.parquet(others)} AS _others USING (_record)"
            found = connection.execute(f"SELECT 1 FROM ({select}) LIMIT 1").fetchall()
    if not found:
        target.unlink(missing_ok=True)
        return
    target.parent.mkdir(exist_ok=True)
    beside = target.with_name(f".{target.name}.1")
    with safely("purging records"):
        sql.copy(connection, select, beside, "zstd")
    durable.sync(beside)
    beside.replace(target)
    durable.sync(target.parent)


def old_reports(private: Path, source: SourceFile, months: PurgedMonths, before: date) -> list[Path]:
    """The private reports from before that day, of batches of which no row is left."""
    shelf = BatchStore(private, source.name)
    batches = {batch.batch: batch for batch in shelf.batches()}
    left = {
        name
        for name, batch in batches.items()
        if batch.received >= before
        or any(not months.of_batch(source, batch, _month(path)) for path in shelf.files(batch))
    }
    found = []
    for path in sorted(report.folder(private, source.name).glob("*.json")):
        named = report.batches_of(path)
        if named is None:  # of a release, whose period is named
            period = _period(path)
            old = period is not None and period.end <= before
        else:
            old = bool(named) and not named & left
        found += [path] if old else []
    return found


_STUB = "purged.parquet"
"""How the name of a file ends that has ids alone."""


def is_stub(path: Path) -> bool:
    """Whether a file has ids alone, of rows that were purged."""
    return path.name.endswith(f"-{_STUB}")


def _month(path: Path) -> str:
    return path.parent.name.removeprefix("month=")


def _period(path: Path) -> civil.Period | None:
    """The period in the name of a report of a release: casts-<dataset>-<period>.json."""
    parts = path.stem.split("-")
    for number in range(1, len(parts)):
        try:
            return civil.parse("-".join(parts[number:]))
        except ValueError:
            continue
    return None


def _path(private: Path, source: str) -> Path:
    return private / "purged" / f"{source}.json"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
