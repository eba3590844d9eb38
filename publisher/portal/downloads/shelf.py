"""Files made once from a version of a dataset and kept beside it, each with its hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from publisher.portal.model import Dataset

GRACE = 600.0
"""Seconds for which files of an older version stay, for readers that have just begun."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that stands whole; `sha256` is in hexadecimal."""

    path: Path
    bytes: int
    sha256: str


class Shelf:
    """The folder `root`: {4x4}/{version and metadata}/{name}, with {name}.sha256 beside each file.

    Several processes may share it: the first whole file of a name stays, whoever made it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, dataset: Dataset, name: str) -> Kept | None:
        """The file of this name for the dataset as it is now, if it was made."""
        path = self._folder(dataset) / name
        try:
            return Kept(path, path.stat().st_size, _sidecar(path).read_text())
        except FileNotFoundError:
            return None

    def make(self, dataset: Dataset, name: str, write: Callable[[Path], None]) -> Kept:
        """Have the file written, unless it stands already. Errors: those of `write`, and nothing is kept."""
        found = self.find(dataset, name)
        if found:
            return found
        path = self._folder(dataset) / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put(path, write)
        digest = _sha256(path)
        _put(_sidecar(path), lambda beside: _write_text(beside, digest))
        self._tidy(dataset)
        return Kept(path, path.stat().st_size, digest)

    def _folder(self, dataset: Dataset) -> Path:
        """Whatever is told of a dataset may stand in its files, so its metadata count as well as its rows."""
        mark = hashlib.sha256(repr(dataset).encode()).hexdigest()[:16]
        return self._root / dataset.id / f"{dataset.version:09}-{mark}"

    def _tidy(self, dataset: Dataset) -> None:
        current, oldest = self._folder(dataset), time.time() - GRACE
        for folder in current.parent.iterdir():
            with suppress(FileNotFoundError):
                if folder != current and folder.stat().st_mtime < oldest:
                    shutil.rmtree(folder, ignore_errors=True)


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text)


def _put(path: Path, write: Callable[[Path], None]) -> None:
    """Write beside, then link: the file is whole from the moment that it has its name."""
    beside = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        beside.touch(mode=0o600)
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
