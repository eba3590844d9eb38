"""Batches: one folder of landed Parquet for each raw file, complete or absent.

A batch folder holds `month=YYYY-MM/<places>-<n>.parquet` and `batch.json`. `<places>` begins the fingerprint of the
boundaries by which its records were placed: only files of the fingerprint in batch.json count, so placing a batch
anew becomes visible in one step, when batch.json is replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date  # noqa: TC003 - pydantic reads batch.json by the fields of Batch
from typing import TYPE_CHECKING

from publisher import durable
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from publisher.definitions.source import Source

_FILE = "batch.json"
NOWHEN = "none"
"""The month of records whose event time is missing or absurd; they are never counted."""


@dataclass(frozen=True)
class Batch:
    """What batch.json says. No counts: those stand in the private report alone."""

    batch: str
    sequence: int
    """Batches of one source are numbered as they are landed; where it has no policy for late records, this alone
    decides which is the latest."""
    file: str
    """Relative to the data folder."""
    sha256: str
    size: int
    modified: int
    """Nanoseconds. A file of the same name, size and time is taken for the same without reading it again."""
    basis: str
    """Digest of the parts of the definition that decide what is landed."""
    received: date
    """The day of the first landing. Where the source has a policy for late records: the day of receipt, or when the
    content came again as the latest, the day of the one that was the latest before."""
    unlisted: tuple[str, ...]
    """Columns of the file's header that nobody declared; they were not read."""
    fingerprint: str
    generated: bool


class BatchStore:
    """The batches of one source."""

    def __init__(self, private: Path, source: str) -> None:
        self.folder = private / "landed" / source

    def batches(self) -> tuple[Batch, ...]:
        """Every batch in the order of landing, whatever the clock said. Raises SourceError."""
        found = (self._read(path) for path in self.folder.glob(f"[!.]*/{_FILE}"))
        return tuple(sorted(found, key=lambda batch: batch.sequence))

    def files(self, batch: Batch, first: str = "", last: str = "~") -> list[Path]:
        """The batch's Parquet files of the months `first` to `last` (YYYY-MM or none), in order."""
        found = (self.folder / batch.batch).glob(f"month=*/{prefix(batch.fingerprint)}-*.parquet")
        return sorted(path for path in found if first <= path.parent.name.removeprefix("month=") <= last)

    def tidy(self) -> None:
        """Removes what a landing that was cut off has left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for staging in self.folder.glob(".staging-*"):
            shutil.rmtree(staging)
        for batch in self.batches():
            self.drop_other(batch)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder for a batch in the making; it is gone afterwards, by its own end or by commit."""
        staging = self.folder / f".staging-{os.getpid()}"
        staging.mkdir()
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def commit(self, staging: Path, batch: Batch) -> None:
        """Makes the staged folder the batch, in one step."""
        (staging / _FILE).write_bytes(_json(batch))
        durable.sync_tree(staging)
        staging.rename(self.folder / batch.batch)
        durable.sync(self.folder)

    def replace(self, staging: Path, batch: Batch) -> None:
        """Gives the batch the staged files, in one step, and removes those it had."""
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
        """Replaces what batch.json says of a batch, in one step."""
        durable.write_file(self.folder / batch.batch / _FILE, _json(batch))

    def drop(self, batch: Batch) -> None:
        """Removes a whole batch; it is out of sight before its files go."""
        hidden = self.folder / f".staging-{os.getpid()}-{batch.batch}"
        (self.folder / batch.batch).rename(hidden)
        durable.sync(self.folder)
        shutil.rmtree(hidden)

    def drop_other(self, batch: Batch) -> None:
        """Removes the batch's files that are of another fingerprint."""
        current = set(self.files(batch))
        for path in (self.folder / batch.batch).glob("month=*/*.parquet"):
            if path not in current:
                path.unlink()

    def _read(self, path: Path) -> Batch:
        from pydantic import TypeAdapter

        try:
            return TypeAdapter(Batch).validate_json(path.read_bytes(), strict=True)
        except (OSError, ValueError):
            raise SourceError(f"{path}: is damaged: remove its folder and land the file again") from None


def by_receipt(batches: Iterable[Batch]) -> tuple[Batch, ...]:
    """Batches of a source with a policy for late records, the latest last."""
    return tuple(sorted(batches, key=lambda batch: (batch.received, batch.sequence)))


def basis(definition: Source) -> str:
    """SHA-256 over what decides how a raw file is landed; places have their own fingerprint."""
    unit = definition.privacy.unit
    parts = {
        "feed": definition.feed.model_dump(exclude={"path"}),
        "timezone": definition.timezone,
        "event": definition.event.model_dump(),
        "record_id": [*([unit] if unit != "record" else []), *definition.record_id],
        "unit": [unit, definition.privacy.missing],
        "append": definition.delivery == "append",
        "columns": [[name, definition.columns[name].identifier] for name in definition.landed],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def batch_id(sha256: str, basis: str) -> str:
    """The name of the batch that a file's content makes under a definition: 32 hex digits."""
    return hashlib.sha256(f"{sha256} {basis}".encode()).hexdigest()[:32]


def prefix(fingerprint: str) -> str:
    """How the names of files begin whose records were placed under this fingerprint."""
    return fingerprint[:16]


def _json(batch: Batch) -> bytes:
    return json.dumps(asdict(batch) | {"received": batch.received.isoformat()}, indent=2).encode() + b"\n"
