"""First receipts in an object store: `receipts/<source>/` has `received.<n>.json` and `closed.<n>.json`, of which the
highest number counts, and the Parquet files of each definition."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

from publisher.errors import SourceError
from publisher.records import sql
from publisher.records.pseudonyms import HMAC
from publisher.records.receipts import CLOSED, RECEIVED, Receipts, content_of_days, days_of, way_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from pathlib import Path

    from publisher.buckets import StoredObject
    from publisher.copies import LandedCopies
    from publisher.records.batch import Batch
    from publisher.records.pseudonyms import Way

_DAYS = re.compile(rf"({RECEIVED}|{CLOSED})\.(\d+)\.json")


class StoredReceipts(Receipts):
    """The first receipts of one source's records, in an object store."""

    def __init__(self, private: Path, source: str, basis: str, copies: LandedCopies, way: Way = HMAC) -> None:
        super().__init__(private, source, basis, way)
        self.copies = copies
        self.root = f"receipts/{quote(source)}"
        self.folder = copies.path(f"{self.root}/{self.name}")
        self._known: dict[str, dict[str, date]] = {}

    @cached_property
    def _objects(self) -> dict[str, StoredObject]:
        """What is in the store; what another process changes after the first look is not seen."""
        return objects_of(self.copies, self.root)

    def has(self, batch: str) -> bool:
        """Whether the records of this batch are remembered."""
        return f"{self.name}/{batch}.parquet" in self._objects

    def forget(self, batch: str) -> None:
        """Forget the records of a batch that was taken back."""
        name = f"{self.name}/{batch}.parquet"
        self.copies.bucket.remove([self._stored(name)])
        self._objects.pop(name, None)

    def merge(self, name: str, days: Mapping[str, date]) -> None:
        """Add days that were remembered elsewhere to a file of days; of two for one thing the later one counts."""
        known = self._read(name)
        merged = dict(days) | {each: max(day, days.get(each, day)) for each, day in known.items()}
        if merged != known:
            self._write(name, merged)

    def parts(self) -> dict[str, tuple[Path, ...]]:
        """The files of first receipts, each under a name that no other content has."""
        found = ((path, self._objects[f"{self.name}/{path.name}"]) for path in self._paths())
        return {f"{path.stem} {each.size} {each.modified.isoformat()}": (path,) for path, each in found}

    @contextmanager
    def _new(self, batch: Batch) -> Iterator[Path]:
        known = [path for path in self._paths() if path != self.path(batch.batch)]
        self.copies.bring(known)
        target = self.path(batch.batch)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            yield beside
            name = f"{self.name}/{target.name}"
            self.copies.bucket.upload(beside, self._stored(name))
            self._look_again(name)
        finally:
            beside.unlink(missing_ok=True)

    def _scan(self, paths: list[Path]) -> str:
        return sql.written(paths)

    def _paths(self) -> list[Path]:
        names = (name for name in self._objects if name.startswith(f"{self.name}/") and name.endswith(".parquet"))
        return sorted(self.copies.path(f"{self.root}/{name}") for name in names)

    def _read(self, name: str) -> dict[str, date]:
        if name not in self._known:
            number = self._number(name)
            place = self._stored(f"{name}.{number}.json")
            self._known[name] = self._days(place) if number else {}
        return dict(self._known[name])

    def _days(self, place: str) -> dict[str, date]:
        try:
            return days_of(self.copies.bucket.read(place), place)
        except FileNotFoundError:
            raise SourceError(f"{place}: is missing from the store: restore it") from None

    def _write(self, name: str, days: Mapping[str, date]) -> None:
        number = self._number(name)
        new, old = f"{name}.{number + 1}.json", f"{name}.{number}.json"
        self.copies.bucket.write(self._stored(new), content_of_days(days))
        self._look_again(new)
        self._known[name] = dict(days)
        if number:
            self.copies.bucket.remove([self._stored(old)])
            self._objects.pop(old, None)

    def _look_again(self, name: str) -> None:
        for each in self.copies.bucket.found(self._stored(name)):
            self._objects[name] = each

    def _number(self, name: str) -> int:
        """The highest number of a file of days; 0 if there is none."""
        found = (_DAYS.fullmatch(each) for each in self._objects)
        return max((int(match[2]) for match in found if match and match[1] == name), default=0)

    def _stored(self, name: str) -> str:
        return self.copies.stored(f"{self.root}/{name}")


def stored_way(copies: LandedCopies, source: str) -> Way | None:
    """How ids are made in the first receipts that a source has in the store; None if it has none."""
    return way_of({name.partition("/")[0] for name in objects_of(copies, f"receipts/{quote(source)}") if "/" in name})


def objects_of(copies: LandedCopies, root: str) -> dict[str, StoredObject]:
    """The objects below a part of the store that have content, by what follows."""
    cut = len(copies.stored(root)) + 1
    return {each.path[cut:]: each for each in copies.bucket.listed(copies.stored(root)) if each.size}
