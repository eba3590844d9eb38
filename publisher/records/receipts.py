"""First receipts: the day on which a record was first received, and its event time then. Neither ever changes.

`private/receipts/<source>/` has `received.json`, the day of every file content; `closed.json`, the latest cutoff for
which an edition was drawn; and for each definition of what is landed, a folder with one Parquet file per batch: the
records that were first in that batch. The files are written once and stay when the rows of the batch are gone, because
otherwise a record that comes again would be counted again.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING

from publisher import durable, encryption
from publisher.duck import literal
from publisher.errors import SourceError
from publisher.records import sql
from publisher.records.pseudonyms import HMAC, PREFIXED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.records.batch import Batch
    from publisher.records.pseudonyms import Way


RECEIVED, CLOSED = "received", "closed"
"""The names of the files of days."""
_NOTHING = "SELECT NULL::UUID AS _record, NULL::DATE AS _received, NULL::TIMESTAMP AS _first LIMIT 0"


_ENDING: dict[Way, str] = {HMAC: "", PREFIXED: "-prefixed"}


def first_way(private: Path, source: str) -> Way | None:
    """How ids are made in the first receipts that a source has; None if it has none."""
    return way_of({path.name for path in (private / "receipts" / source).glob("*/")})


def way_of(folders: Collection[str]) -> Way | None:
    """How ids are made in the first receipts of folders with these names; None if there are none."""
    if not folders:
        return None
    return PREFIXED if all(name.endswith(_ENDING[PREFIXED]) for name in folders) else HMAC


class Receipts:
    """The first receipts of one source's records, under its definition (`basis`)."""

    def __init__(self, private: Path, source: str, basis: str, way: Way = HMAC) -> None:
        """`way` is how the ids of records are made, so first receipts of one way are never compared with another's."""
        self._all = private / "receipts" / source
        self.name = f"{basis[:16]}{_ENDING[way]}"
        self.folder = self._all / self.name

    def days(self) -> dict[str, date]:
        """The day of receipt of every content, by its sha256. Raises SourceError if the file is damaged."""
        return self._read(RECEIVED)

    def given(self, days: Mapping[str, date]) -> dict[str, date]:
        """The days of receipt for contents, from what their names or the clock say. Known days stay, and new content
        was not received before an edition that was drawn without it. Raises SourceError if a file is damaged."""
        closed = self.closed()
        return {digest: max(day, closed) for digest, day in days.items()} | self.days()

    def keep_days(self, days: Mapping[str, date]) -> None:
        """Remember the given days, durably."""
        if days != self.days():
            self._write(RECEIVED, days)

    def closed(self) -> date:
        """The latest cutoff for which an edition was drawn; before that, the first day there is. Raises SourceError."""
        return self._read(CLOSED).get("cutoff", date.min)

    def close(self, cutoff: date) -> None:
        """Remember, durably, that an edition is drawn from what was received before this day. Raises SourceError."""
        if cutoff > self.closed():
            self._write(CLOSED, {"cutoff": cutoff})

    def path(self, batch: str) -> Path:
        """The file of the records that were first in this batch."""
        return self.folder / f"{batch}.parquet"

    def has(self, batch: str) -> bool:
        """Whether the records of this batch are remembered."""
        return self.path(batch).exists()

    def forget(self, batch: str) -> None:
        """Forget the records of a batch that was taken back."""
        self.path(batch).unlink(missing_ok=True)

    def batches(self) -> set[str]:
        """The batches whose records are remembered, including those that are gone."""
        return {path.stem for path in self._paths()}

    def parts(self) -> dict[str, tuple[Path, ...]]:
        """The files of first receipts, each under a name that no other content has."""
        found = ((path, path.stat()) for path in self._paths())
        return {f"{path.stem} {status.st_size} {status.st_mtime_ns}": (path,) for path, status in found}

    def known(self, but: Batch | None = None) -> str:
        """SQL for FROM with `_record`, `_received`, `_first` (the first event time), except those of one batch."""
        paths = [path for path in self._paths() if not but or path != self.path(but.batch)]
        return self._scan(paths) if paths else f"({_NOTHING})"

    def remember(self, batch: Batch, received: date, files: Iterable[Path], connection: DuckDBPyConnection) -> None:
        """Write, in one step, which of the landed records are new in this batch; what is written stays."""
        landed = list(files)
        if self.has(batch.batch):
            return
        rows = f"SELECT _record, _event AS _first FROM {sql.parquet(landed)}" if landed else _NOTHING
        with self._new(batch) as beside:
            select = (
                f"SELECT _record, DATE {literal(received.isoformat())} AS _received, _first FROM ({rows}) "
                f"ANTI JOIN {self.known(batch)} AS _known USING (_record)"
            )
            sql.copy(connection, select, beside, "zstd")

    @contextmanager
    def _new(self, batch: Batch) -> Iterator[Path]:
        """A file to write, which then is that of the batch; what is known can be read meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.path(batch.batch)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        yield beside
        durable.sync(beside)
        beside.rename(target)
        durable.sync(self.folder)

    def _scan(self, paths: list[Path]) -> str:
        return sql.parquet(paths)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("[!.]*.parquet"))

    def _read(self, name: str) -> dict[str, date]:
        path = self._all / f"{name}.json"
        try:
            content = encryption.read_file(path)
        except FileNotFoundError:
            return {}
        except OSError:
            raise SourceError(f"{path}: is damaged: restore it from a backup") from None
        return days_of(content, path)

    def _write(self, name: str, days: Mapping[str, date]) -> None:
        encryption.write_file(self._all / f"{name}.json", content_of_days(days))


def days_of(content: bytes, place: object) -> dict[str, date]:
    """The days of a file's content. Raises SourceError if it is damaged."""
    try:
        return {key: date.fromisoformat(day) for key, day in json.loads(content).items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise SourceError(f"{place}: is damaged: restore it from a backup") from None


def content_of_days(days: Mapping[str, date]) -> bytes:
    """The content of a file of days."""
    return json.dumps({key: day.isoformat() for key, day in days.items()}, indent=2).encode() + b"\n"


def day_in_name(file: Path, form: str) -> date | None:
    """The day in a file's name by a strptime format; None if the name has another format."""
    try:
        return datetime.strptime(file.name, form.replace("%-", "%")).date()  # noqa: DTZ007 - the name has no zone
    except ValueError:
        return None
