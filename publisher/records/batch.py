"""Batches: one folder of landed Parquet for each raw file, complete or absent.

A batch folder has `month=YYYY-MM/<places>-<n>.parquet` and `batch.json`. `<places>` is the start of the fingerprint of
the boundaries that its records were placed by. Only files with the fingerprint in batch.json count, so placing a batch
again becomes visible in one step, when batch.json is replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date  # noqa: TC003 - pydantic reads batch.json by the fields of Batch
from functools import cache
from typing import TYPE_CHECKING

from publisher import durable, encryption
from publisher.errors import SourceError
from publisher.records import sql
from publisher.records.pseudonyms import HMAC, PREFIXED, Way

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pydantic import TypeAdapter

    from publisher.definitions.source import Source

_FILE = "batch.json"
NOWHEN = "none"
"""The month of records whose event time is missing or absurd; they are never counted."""


@dataclass(frozen=True)
class BatchObject:
    """A Parquet file of a batch that lies in an object store."""

    name: str
    """month=YYYY-MM/<places>-<n>.parquet"""
    size: int
    rows: int


@dataclass(frozen=True)
class Batch:
    """The content of batch.json. It has no counts: those are only in the private report."""

    batch: str
    sequence: int
    """Batches of one source are numbered in the order of landing; without a policy for late records, this alone decides
    which is the latest."""
    file: str
    """Relative to the data folder."""
    sha256: str
    size: int
    modified: int
    """In nanoseconds. A file with the same name, size and time counts as the same and is not read again."""
    basis: str
    """The digest of the parts of the definition that decide what is landed."""
    received: date
    """The day of the first landing. With a policy for late records: the day of receipt or, if the content came again as
    the latest, the day of the one that was the latest before."""
    unlisted: tuple[str, ...]
    """Columns in the file's header that are not declared; they were not read."""
    fingerprint: str
    generated: bool
    paths: tuple[str, ...] | None = None
    """Where this content lay at the end of the last landing, relative to the data folder; older batches do not say.
    Content that comes to another place is the latest: otherwise one record of a file would decide whether it counts."""
    key: str = ""
    """The fingerprint of the key of its pseudonyms; batches from before it was recorded get it at the next landing."""
    pseudonyms: Way = HMAC
    """How its pseudonyms are made, the same in all batches of a source."""
    landing: str = ""
    """A random name of this landing of the content, since what is landed of it hangs on what was before; batches from
    before there was one get it at the next landing."""
    objects: tuple[BatchObject, ...] = ()
    """In an object store: the batch's files."""


class BatchStore:
    """The batches of one source."""

    def __init__(self, private: Path, source: str) -> None:
        self.folder = private / "landed" / source
        self.place = str(self.folder)
        self.hidden: frozenset[Path] = frozenset()
        """Files that are being purged: readers pass over them."""
        self._found: dict[str, Batch] | None = None

    def batches(self) -> tuple[Batch, ...]:
        """Every batch in the order of landing, whatever the clock said; what another process changes after the first
        call is not seen. Raises SourceError when one is damaged."""
        return tuple(sorted(self._all().values(), key=lambda batch: batch.sequence))

    def _all(self) -> dict[str, Batch]:
        if self._found is None:
            self._found = {path.parent.name: self._read(path) for path in self.folder.glob(f"[!.]*/{_FILE}")}
        return self._found

    def files(self, batch: Batch, first: str = "", last: str = "~") -> list[Path]:
        """The batch's Parquet files of the months `first` to `last` (YYYY-MM or none), in order."""
        found = (self.folder / batch.batch).glob(f"month=*/{prefix(batch.fingerprint)}-*.parquet")
        of_months = (path for path in found if first <= path.parent.name.removeprefix("month=") <= last)
        return sorted(path for path in of_months if path not in self.hidden)

    def scan(self, paths: Sequence[Path]) -> str:
        """SQL for FROM that reads these files. Raises SourceError naming one that is missing or damaged."""
        return sql.parquet(paths)

    def rows(self, path: Path) -> int:
        """How many rows a file has."""
        return int(encryption.metadata(path).num_rows)

    @contextmanager
    def reading(self, paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
        """The files, to be read here."""
        yield paths

    def tidy(self) -> None:
        """Remove what an interrupted landing has left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.remove_staging()
        for batch in self.batches():
            self.drop_other(batch)

    def remove_staging(self) -> None:
        """Remove what an interrupted landing has staged."""
        for staging in self.folder.glob(".staging-*"):
            shutil.rmtree(staging)

    def adopt(self, key: str) -> None:
        """Raise SourceError for a batch of another key; give old batches, which name none, this one."""
        batches = self.batches()
        others = [batch.file for batch in batches if batch.key not in ("", key)]
        if others:
            raise SourceError(
                f"{', '.join(others[:5])}: landed with another key than the one in the private folder: everyone would "
                "have two pseudonyms and be counted twice. Restore the key from a backup. Nothing was landed or spent."
            )
        for batch in batches:
            if not batch.key or not batch.landing:
                self.rewrite(replace(batch, key=key, landing=batch.landing or secrets.token_hex(8)))

    def way(self, received: Way | None) -> Way:
        """How the pseudonyms of the source are made, if its first receipts, or none, are made in that way.

        Raises SourceError if there are two ways.
        """
        ways = {batch.pseudonyms for batch in self.batches()} | ({received} if received else set())
        if len(ways) > 1:
            raise two_ways(self.folder.name)
        return ways.pop() if ways else PREFIXED

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder for a new batch; afterward it is gone, either removed or committed."""
        staging = self.folder / f".staging-{os.getpid()}"
        staging.mkdir()
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def commit(self, staged: Sequence[tuple[Path, Batch]]) -> None:
        """Make each staged folder the batch, in one step, in order: if it is cut off, the last ones are absent."""
        for folder, batch in staged:
            folder.mkdir(exist_ok=True)
            (folder / _FILE).write_bytes(content_of(batch))
        durable.sync_trees([folder for folder, _ in staged])
        for folder, batch in staged:
            folder.rename(self.folder / batch.batch)
            self._all()[batch.batch] = batch
        durable.sync(self.folder)

    def replace(self, staging: Path, batch: Batch) -> None:
        """Give the batch the staged files, in one step, and remove the ones it had."""
        folder = self.folder / batch.batch
        durable.sync_tree(staging)
        for path in sorted(staging.glob("month=*/*.parquet")):
            target = folder / path.relative_to(staging)
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
            durable.sync(target.parent)
        durable.sync(folder)
        self.rewrite(batch)
        self.drop_other(batch)

    def rewrite(self, batch: Batch) -> None:
        """Replace the batch.json of a batch, in one step."""
        durable.write_file(self.folder / batch.batch / _FILE, content_of(batch))
        self._all()[batch.batch] = batch

    def drop(self, batch: Batch) -> None:
        """Remove a whole batch; it is no longer visible before its files are deleted."""
        hidden = self.folder / f".staging-{os.getpid()}-{batch.batch}"
        (self.folder / batch.batch).rename(hidden)
        self._all().pop(batch.batch, None)
        durable.sync(self.folder)
        shutil.rmtree(hidden)

    def drop_other(self, batch: Batch) -> None:
        """Remove the batch's files that have another fingerprint."""
        current = set(self.files(batch))
        for path in (self.folder / batch.batch).glob("month=*/*.parquet"):
            if path not in current:
                path.unlink()

    def _read(self, path: Path) -> Batch:
        try:
            return batch_of(path.read_bytes())
        except (OSError, ValueError):
            raise SourceError(f"{path}: is damaged: remove its folder and land the file again") from None


@cache
def _adapter() -> TypeAdapter[Batch]:
    """Made once: a run reads every batch several times."""
    from pydantic import TypeAdapter

    return TypeAdapter(Batch)


def two_ways(source: str) -> SourceError:
    """The refusal of records that were landed with two kinds of pseudonyms."""
    return SourceError(
        f"{source}: its files were landed with two kinds of pseudonyms, so people would have two and be counted twice: "
        "restore the private folder as a whole from one backup. Nothing was landed or spent."
    )


def by_receipt(batches: Iterable[Batch]) -> tuple[Batch, ...]:
    """Batches of a source with a policy for late records, the latest last."""
    return tuple(sorted(batches, key=lambda batch: (batch.received, batch.sequence)))


def basis(definition: Source) -> str:
    """SHA-256 over what decides how a raw file is landed; places have a separate fingerprint."""
    unit = definition.privacy.unit
    parts = {
        "feed": definition.feed.basis(),
        "timezone": definition.timezone,
        "event": definition.event.model_dump(),
        "record_id": [*([unit] if unit != "record" else []), *definition.record_id],
        "unit": [unit, definition.privacy.missing],
        "append": definition.delivery == "append",
        "columns": [[name, definition.columns[name].identifier] for name in definition.landed],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def batch_id(sha256: str, basis: str) -> str:
    """The name of the batch for a file's content under a definition: 32 hex digits."""
    return hashlib.sha256(f"{sha256} {basis}".encode()).hexdigest()[:32]


def prefix(fingerprint: str) -> str:
    """The start of the names of files whose records were placed under this fingerprint."""
    return fingerprint[:16]


def content_of(batch: Batch) -> bytes:
    """The content of batch.json."""
    content = {**vars(batch), "received": batch.received.isoformat(), "objects": [vars(each) for each in batch.objects]}
    return json.dumps(content, indent=2).encode() + b"\n"


def batch_of(content: bytes) -> Batch:
    """The batch of a batch.json. Raises ValueError if that is damaged."""
    return _adapter().validate_json(content, strict=True)
