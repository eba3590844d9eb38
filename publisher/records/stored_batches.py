"""Batches in an object store: `landed/<source>/<batch>/` has the batch's Parquet files and `batch.<n>.<mark>.json`.

A batch is there once its first batch.json is: that is written last and names all its files. A change is a batch.json
under the next number. No name is ever given twice, so what an interrupted landing has left, or still sends, is no part
of any batch, and the next landing removes it; and what was read once under a name need not be read again.
"""

from __future__ import annotations

import json
import re
import secrets
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

from publisher import durable
from publisher.buckets import each_of
from publisher.errors import SourceError
from publisher.records import sql
from publisher.records.batch import BatchObject, BatchStore, batch_of, content_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from publisher.copies import LandedCopies
    from publisher.records.batch import Batch

STORED = "stored.json"
"""The file in the folder of landed records that says in which store they are."""
_MANIFEST = re.compile(r"([0-9a-f]+)/batch\.(\d+)\.[0-9a-f]{8}\.json")
_OBJECT = re.compile(r"month=[\w-]+/[\w-]+\.parquet")
"""The names that files may have: a copy lies under its name, so another could be written anywhere on this machine."""


class StoredBatches(BatchStore):
    """The batches of one source, in an object store; what is staged lies in the private folder."""

    def __init__(self, private: Path, source: str, copies: LandedCopies) -> None:
        super().__init__(private, source)
        self.copies = copies
        self.place = f"{copies.address.url}/landed/{quote(source)}"
        self._root = f"landed/{quote(source)}"
        self._seen = private / "known" / source / "batches.json"
        self._manifests: dict[str, tuple[int, str]] = {}
        """By batch: the number and the name of the batch.json that counts."""
        self._sizes: dict[str, int] = {}

    def _all(self) -> dict[str, Batch]:
        if self._found is None:
            self._sizes = self._listed()
            for match in filter(None, map(_MANIFEST.fullmatch, self._sizes)):
                self._manifests[match[1]] = max((int(match[2]), match[0]), self._manifests.get(match[1], (0, "")))
            known = self._read_before()

            def read(name: str) -> None:
                known[name] = self._read_now(name)

            each_of(read, [name for _, name in self._manifests.values() if name not in known])
            self._found = {batch: self._batch(name, known[name]) for batch, (_, name) in self._manifests.items()}
        return self._found

    def files(self, batch: Batch, first: str = "", last: str = "~") -> list[Path]:
        """The batch's files of these months: where their copies lie. Raises SourceError if one is gone."""
        paths = []
        for each in self._all()[batch.batch].objects:
            if first <= each.name.partition("/")[0].removeprefix("month=") <= last:
                name = f"{batch.batch}/{each.name}"
                if self._sizes.get(name) != each.size:
                    raise SourceError(
                        f"{self.place}/{name}: is missing from the store or damaged: restore it, or remove the batch "
                        "and land its file again"
                    )
                paths.append(self.copies.path(f"{self._root}/{name}"))
        return sorted(paths)

    def count(self, batch: Batch) -> int:
        """How many files the batch has. Raises SourceError if one is gone."""
        return len(self.files(batch))

    def scan(self, paths: Sequence[Path]) -> str:
        """SQL for FROM that reads copies of these files."""
        return sql.written(paths)

    def rows(self, path: Path) -> int:
        """How many rows a file has."""
        return self._rows[path.parent.parent.name, f"{path.parent.name}/{path.name}"]

    @cached_property
    def _rows(self) -> dict[tuple[str, str], int]:
        return {(batch.batch, each.name): each.rows for batch in self.batches() for each in batch.objects}

    @contextmanager
    def reading(self, paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
        """Copies of the files, which are removed afterward."""
        self.copies.bring(paths)
        try:
            yield paths
        finally:
            for path in paths:
                path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what an interrupted landing has left, here and in the store, and remember which store it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / STORED).exists():
            content = json.dumps({"url": self.copies.address.url}).encode() + b"\n"
            durable.write_file(self.folder / STORED, content, mode=0o600)
        self.remove_staging()
        named = {f"{each.batch}/{file.name}" for each in self.batches() for file in each.objects}
        named |= {name for _, name in self._manifests.values()}
        self._remove(name for name in self._listed(empty=True) if name not in named)
        seen = {self._manifests[each.batch][1]: content_of(each).decode() for each in self.batches()}
        if seen != self._read_before():
            durable.write_file(self._seen, json.dumps(seen).encode(), mode=0o600)

    def commit(self, staged: Sequence[tuple[Path, Batch]]) -> None:
        """Make each staged folder the batch, in one step, in order: if it is cut off, the last ones are absent."""
        self._refuse_open_to_all()
        whole = self._uploaded(staged)
        for batch in whole:
            self._put(batch)

    def replace(self, staging: Path, batch: Batch) -> None:
        """Give the batch the staged files, in one step, and remove the ones it had."""
        before = self._all()[batch.batch].objects
        (whole,) = self._uploaded([(staging, batch)])
        self._put(whole)
        self._remove(f"{batch.batch}/{each.name}" for each in before)

    def rewrite(self, batch: Batch) -> None:
        """Replace the batch.json of a batch, in one step."""
        self._put(replace(batch, objects=self._all()[batch.batch].objects))

    def drop(self, batch: Batch) -> None:
        """Remove a whole batch; it is no longer visible before its files are deleted."""
        known = self._all().pop(batch.batch)
        self._remove([self._manifests.pop(batch.batch)[1]])
        self._remove(f"{batch.batch}/{each.name}" for each in known.objects)

    def _uploaded(self, staged: Sequence[tuple[Path, Batch]]) -> list[Batch]:
        """The batches with their files, which are in the store."""
        import pyarrow.parquet

        uploads: list[tuple[Path, str]] = []
        whole = []
        for folder, batch in staged:
            mark, objects = secrets.token_hex(4), []
            for path in sorted(folder.glob("month=*/*.parquet")):
                name = f"{path.parent.name}/{path.stem}-{mark}.parquet"
                size, rows = path.stat().st_size, int(pyarrow.parquet.read_metadata(path).num_rows)
                objects.append(BatchObject(name, size, rows))
                uploads.append((path, f"{batch.batch}/{name}"))
                self._sizes[f"{batch.batch}/{name}"] = size
            whole.append(replace(batch, objects=tuple(objects)))
        each_of(lambda upload: self.copies.bucket.upload(upload[0], self._stored(upload[1])), uploads)
        return whole

    def _put(self, batch: Batch) -> None:
        """Write the batch's next batch.json, and remove the one before."""
        number, before = self._manifests.get(batch.batch, (0, ""))
        name = f"{batch.batch}/batch.{number + 1}.{secrets.token_hex(4)}.json"
        self.copies.bucket.write(self._stored(name), content_of(batch))
        self._all()[batch.batch] = batch
        self.__dict__.pop("_rows", None)
        self._manifests[batch.batch] = number + 1, name
        if before:
            self._remove([before])

    def _refuse_open_to_all(self) -> None:
        """Raises SourceError, before a record is sent, if anyone could read what is sent."""
        if not self._closed:
            refuse_open_to_all(self.copies)
            self._closed = True

    _closed = False

    def _listed(self, *, empty: bool = False) -> dict[str, int]:
        """The objects of the source, with their sizes; those without content are not there yet."""
        found = self.copies.bucket.listed(self.copies.stored(self._root))
        cut = len(self._stored(""))
        return {each.path[cut:]: each.size for each in found if empty or each.size}

    def _remove(self, names: Iterator[str] | Sequence[str]) -> None:
        self.copies.bucket.remove([self._stored(name) for name in names])

    def _read_before(self) -> dict[str, str]:
        """Each batch.json by its name, as an earlier landing has read it; damaged, it says nothing."""
        try:
            return {str(name): str(content) for name, content in json.loads(self._seen.read_bytes()).items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def _read_now(self, name: str) -> str:
        try:
            return self.copies.bucket.read(self._stored(name)).decode()
        except (FileNotFoundError, UnicodeDecodeError):
            raise self._damaged(name) from None

    def _batch(self, name: str, content: str) -> Batch:
        try:
            batch = batch_of(content.encode())
        except ValueError:
            raise self._damaged(name) from None
        if batch.batch != name.partition("/")[0] or not all(_OBJECT.fullmatch(each.name) for each in batch.objects):
            raise self._damaged(name)
        return batch

    def _damaged(self, name: str) -> SourceError:
        return SourceError(f"{self.place}/{name}: is damaged: remove its folder and land the file again")

    def _stored(self, name: str) -> str:
        return self.copies.stored(f"{self._root}/{name}")


def refuse_open_to_all(copies: LandedCopies) -> None:
    """Write, read and remove an object without records, and ask for it without keys. Raises SourceError if one of the
    former fails or the latter does not."""
    probe = copies.stored(f"check-{secrets.token_hex(8)}")
    copies.bucket.write(probe, b"publisher checks what it may do here\n")
    try:
        copies.bucket.read(probe)
        open_to_all = copies.bucket.open_to_all(probe)
    finally:
        copies.bucket.remove([probe])
    if open_to_all:
        raise SourceError(
            f"{copies.address.name}: anyone can read it without keys: close it to the public before records are landed "
            "there. Nothing was written"
        )
