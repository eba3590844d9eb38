"""Batches: one folder of landed Parquet for each raw file, complete or absent.

A batch folder has `month=YYYY-MM/<places>-<n>.parquet` and `batch.json`. `<places>` is the start of the fingerprint of
the boundaries that its records were placed by. Only files with the fingerprint in batch.json count, so placing a batch
again becomes visible in one step, when batch.json is replaced.

When there are many, their batch.json are brought together in `batches.json` beside the folders. A batch that has a
batch.json of its own is what that says.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date  # noqa: TC003 - pydantic reads batch.json by the fields of Batch
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from publisher import durable, encryption
from publisher.errors import SourceError
from publisher.records import sql
from publisher.records.pseudonyms import HMAC, PREFIXED, Way

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic import TypeAdapter

    from publisher.definitions.source import Source

_FILE = "batch.json"
_TOGETHER = "batches.json"
_MANY = 60
"""How many batch.json there are before they are brought together."""
_A_BATCH = re.compile(r"[0-9a-f]{32}")
NOWHEN = "none"
"""The month of records whose event time is missing or absurd; they are never counted."""

_known: dict[str, tuple[tuple[int, ...], dict[str, Batch]]] = {}
"""What each `batches.json` says that was read, as long as it is the same file."""


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
        self._contents: dict[str, list[tuple[str, str]]] = {}

    def batches(self) -> tuple[Batch, ...]:
        """Every batch in the order of landing, whatever the clock said; what another process changes after the first
        call is not seen. Raises SourceError when one is damaged."""
        return tuple(sorted(self._all().values(), key=lambda batch: batch.sequence))

    def _all(self) -> dict[str, Batch]:
        if self._found is None:
            there = set(_names(self.folder))
            own = self._own(there)  # before those that are together: what is brought there meanwhile is seen there
            together = self._together()
            for name in sorted(filter(_A_BATCH.fullmatch, there - own.keys() - together.keys())):
                if (self.folder / name).is_dir():  # else dropped in between
                    raise SourceError(
                        f"{self.folder / name / _FILE}: is missing: remove its folder and land the file again"
                    )
            self._found = {name: batch for name, batch in together.items() if name in there} | own
        return self._found

    def _own(self, there: Iterable[str]) -> dict[str, Batch]:
        """The batches that have a batch.json."""
        found, folder = {}, str(self.folder)
        for name in there:
            with suppress(FileNotFoundError, NotADirectoryError):  # it is said together with others
                found[name] = self._read(f"{folder}/{name}/{_FILE}")
        return found

    def _together(self) -> dict[str, Batch]:
        """What is said of batches together; of one whose folder is gone it may still say something. It is read once a
        process: a run asks several times, of thousands."""
        path = f"{self.folder}/{_TOGETHER}"
        try:
            with open(path, "rb") as file:  # noqa: PTH123 -- its status is that of what is read
                status = os.fstat(file.fileno())
                same = status.st_ino, status.st_size, status.st_mtime_ns
                if _known.get(path, ((), {}))[0] != same:
                    _known[path] = same, _many().validate_json(file.read(), strict=True)
            return _known[path][1]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            raise SourceError(
                f"{path}: is damaged: remove it and all folders beside it that have no batch.json, and land their "
                "files again"
            ) from None

    def _bring_together(self) -> None:
        """Say in one file what many batch.json say. Whatever moment it is interrupted at, each batch is said once at
        least, in the same words."""
        own = [path for path in (self.folder / name / _FILE for name in self._all()) if path.exists()]
        if len(own) < _MANY:
            return
        durable.write_file(self.folder / _TOGETHER, _many().dump_json(self._all()) + b"\n", mode=0o600)
        for path in own:
            path.unlink()

    def files(self, batch: Batch, first: str = "", last: str = "~") -> list[Path]:
        """The batch's Parquet files of the months `first` to `last` (YYYY-MM or none), in order."""
        begins, folder = f"{prefix(batch.fingerprint)}-", f"{self.folder}/{batch.batch}"
        within = self._of_month(batch.batch, first) if first == last else self._within(batch.batch)
        found = sorted(
            f"{folder}/{month}/{name}"
            for month, name in within
            if name.startswith(begins) and first <= month.removeprefix("month=") <= last
        )
        return [path for path in map(Path, found) if path not in self.hidden]

    def count(self, batch: Batch) -> int:
        """How many files the batch has; to count them is quicker than to name them."""
        begins = f"{prefix(batch.fingerprint)}-"
        return sum(name.startswith(begins) for _, name in self._within(batch.batch))

    def _within(self, batch: str) -> list[tuple[str, str]]:
        """The folder and name of every Parquet file of a batch, listed once: a run asks several times, of thousands."""
        if batch not in self._contents:
            months = [name for name in _names(f"{self.folder}/{batch}") if name.startswith("month=")]
            self._contents[batch] = [each for month in months for each in self._parquet(batch, month)]
        return self._contents[batch]

    def _of_month(self, batch: str, month: str) -> list[tuple[str, str]]:
        """The same of one month: of thousands of batches few have records of it, and no other folder is listed."""
        return self._parquet(batch, f"month={month}") if batch not in self._contents else self._contents[batch]

    def _parquet(self, batch: str, month: str) -> list[tuple[str, str]]:
        return [(month, name) for name in _names(f"{self.folder}/{batch}/{month}") if name.endswith(".parquet")]

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
        self._bring_together()

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
            self._contents.pop(batch.batch, None)
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
        self._contents.pop(batch.batch, None)
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
        self._contents.pop(batch.batch, None)
        durable.sync(self.folder)
        shutil.rmtree(hidden)

    def drop_other(self, batch: Batch) -> None:
        """Remove the batch's files that have another fingerprint."""
        current = f"{prefix(batch.fingerprint)}-"
        other = [each for each in self._within(batch.batch) if not each[1].startswith(current)]
        for month, name in other:
            (self.folder / batch.batch / month / name).unlink()
        if other:
            del self._contents[batch.batch]

    def _read(self, path: str) -> Batch:
        try:
            with open(path, "rb") as file:  # noqa: PTH123 -- thousands a run
                return batch_of(file.read())
        except (FileNotFoundError, NotADirectoryError):
            raise
        except (OSError, ValueError):
            raise SourceError(f"{path}: is damaged: remove its folder and land the file again") from None


@cache
def _adapter() -> TypeAdapter[Batch]:
    """Made once: a run reads every batch several times."""
    from pydantic import TypeAdapter

    return TypeAdapter(Batch)


@cache
def _many() -> TypeAdapter[dict[str, Batch]]:
    from pydantic import TypeAdapter

    return TypeAdapter(dict[str, Batch])


def is_said_together(path: Path) -> bool:
    """Whether what this batch.json of a batch that is there would say is said in the `batches.json` of its source: an
    older copy would count before it."""
    if path.name != _FILE or not path.parent.is_dir():
        return False
    source = path.parents[1]
    try:
        return path.parent.name in BatchStore(source.parents[1], source.name)._together()
    except SourceError:
        return False


def _names(folder: Path | str) -> list[str]:
    """What lies in a folder, but for what is hidden; nothing if there is none."""
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208 -- thousands a run
    except FileNotFoundError:
        return []


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
