"""Landed files that lie in an object store, and the copies of them that are read.

SQL names a landed file by where its copy lies. Whoever runs the SQL brings the copies that it names, and removes those
that it does not: so there are never more than what one query reads.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from publisher.buckets import Bucket, each_of
from publisher.duck import file_literal
from publisher.durable import private_files, writing
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from publisher.buckets import BucketAddress

_ENVIRONMENT = re.compile("AWS_|AZURE_")
_MARGIN = 64 << 20
"""Bytes that copies leave free on the disk."""


@dataclass(frozen=True)
class LandedCopies:
    """Where landed files lie, where their copies do, and where SQL says that they do."""

    address: BucketAddress
    folder: Path
    named: Path

    @property
    def bucket(self) -> Bucket:
        """The store."""
        keys = tuple(sorted(each for each in os.environ.items() if _ENVIRONMENT.match(each[0])))
        return _bucket(self.address, keys)

    def at(self, folder: Path) -> LandedCopies:
        """The same files with copies in another folder, for a worker of its own."""
        return replace(self, folder=folder)

    def path(self, name: str) -> Path:
        """Where SQL says that the copy of this file lies."""
        return self.named / name

    def stored(self, name: str) -> str:
        """The path of a file in the store."""
        return f"{self.address.root}/{name}"

    def bring(self, paths: Collection[Path]) -> None:
        """Copy the files that are not there yet; by the paths that SQL has for them. Raises SourceError."""
        names = [str(path.relative_to(self.named)) for path in paths]
        missing = [name for name in names if not (self.folder / name).exists()]
        with writing(self.folder), private_files():
            each_of(self._bring, missing)

    def brought(self, sql: str) -> str:
        """The SQL to run here, with copies of the files that it names and of no others. Raises SourceError."""
        shown = file_literal(self.named)[:-1]
        names = dict.fromkeys(re.findall(rf"{re.escape(shown)}/([^']+)'", sql))
        for path in self.folder.rglob("*.parquet"):
            if str(path.relative_to(self.folder)) not in names:
                path.unlink()
        self.bring([self.named / name for name in names])
        return sql if self.folder == self.named else sql.replace(f"{shown}/", f"{file_literal(self.folder)[:-1]}/")

    def remove(self) -> None:
        """Remove all copies."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _bring(self, name: str) -> None:
        try:
            self.bucket.download(self.stored(name), self.folder / name, self._refuse_want_of_room)
        except FileNotFoundError:
            raise SourceError(
                f"{self.address.url}/{name}: is missing from the store: restore it, or land its file again"
            ) from None

    def _refuse_want_of_room(self, size: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if size + _MARGIN > free:
            raise SourceError(
                f"{self.folder}: {free >> 20:,} MB are free, too few for the landed files that one query reads: free "
                "some, release shorter periods, or use more machines ([engine] executor)"
            )


@lru_cache(maxsize=4)
def _bucket(address: BucketAddress, keys: tuple[tuple[str, str], ...]) -> Bucket:  # noqa: ARG001 -- other keys, another
    """Opened once: finding keys may take a call."""
    return Bucket(address)
