"""The file cache: files made once from a version of a dataset, each with its hash."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.portal.base.durable import sync
from publisher.portal.store.parts import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from publisher.portal.base.model import PortalDataset

GRACE = 600.0
"""Seconds for which files are kept after newer ones replaced them, for downloads that have just started."""
ASKED = 60.0
"""Seconds for which a file is kept after it was requested, even if space is needed."""
LEFT = 24 * 3600.0
"""Seconds after which an unfinished file counts as abandoned."""
ROOM = 4 * 1000**3
"""The most bytes for all files together."""
SIDE_ROOM = 64 * 1000**2
"""The most bytes for the single-period files of one dataset, and for its pictures."""
SIDES = ("rows-", "picture-")
"""The prefixes of their names."""
_SUPERSEDED = ".superseded"


@dataclass(frozen=True, slots=True)
class Kept:
    """A complete file; `sha256` is in hexadecimal."""

    path: Path
    bytes: int
    sha256: str


class FileCache:
    """The folder `root`: {4x4}/{version and metadata}/{name}, with {name}.sha256 next to each file.

    Several processes may share it: the first complete file with a name is kept, whichever process made it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, dataset: PortalDataset, name: str) -> Kept | None:
        """The file with this name for the dataset as it is now, or None if it was not made yet."""
        path = self._folder(dataset) / name
        try:
            status = path.stat()
            if status.st_mtime < time.time() - ASKED / 2:
                os.utime(path)
            return Kept(path, status.st_size, _sidecar(path).read_text())
        except FileNotFoundError:
            return None

    def make(self, dataset: PortalDataset, name: str, write: Callable[[Path], None]) -> Kept:
        """Write the file unless it already exists. If `write` raises an error, nothing is kept."""
        found = self.find(dataset, name)
        if found:
            return found
        path = self._folder(dataset) / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put(path, write)
        digest, size = digest_of(path), path.stat().st_size
        _put(_sidecar(path), lambda beside: _write_text(beside, digest))
        self._tidy(dataset)
        return Kept(path, size, digest)

    def _folder(self, dataset: PortalDataset) -> Path:
        """The folder of a dataset's version; metadata can be in the files too, so they count as well as the rows."""
        return self._root / dataset.id / f"{dataset.version:09}-{dataset.mark[:16]}"

    def _tidy(self, dataset: PortalDataset) -> None:
        """Remove files that were replaced long enough ago, and files that there is no space for, the oldest first."""
        current = self._folder(dataset)
        for folder in current.parent.iterdir():
            with suppress(FileNotFoundError):
                if folder != current and _superseded(folder) > GRACE:
                    shutil.rmtree(folder, ignore_errors=True)
        for side in SIDES:
            _fit(current.glob(f"{side}*"), SIDE_ROOM)
        _fit(self._root.glob("*/*/*"), ROOM)

    def sweep(self, known: set[str]) -> None:
        """Remove the files of deleted datasets, and unfinished files of processes that ended."""
        for folder in self._root.glob("*"):
            if folder.name not in known and _age(folder) > GRACE:
                shutil.rmtree(folder, ignore_errors=True)
        for left in (*self._root.glob("*/*/.*.tmp"), *self._root.glob("*/*/tmp*")):
            if _age(left) > LEFT:
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _age(path: Path) -> float:
    """Seconds since it was made or last requested; 0 if it no longer exists."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _superseded(folder: Path) -> float:
    """Seconds since newer files replaced it."""
    mark = folder / _SUPERSEDED
    if not mark.exists():
        mark.touch(mode=0o600)
    return _age(mark)


def _fit(paths: Iterable[Path], room: int) -> None:
    """Remove files until the rest fit into `room` bytes: the longest unused first, but none requested just now."""
    found = []
    for path in paths:
        if not path.name.startswith(".") and path.suffix != ".sha256":
            with suppress(FileNotFoundError):
                found.append((path.stat().st_mtime, path.stat().st_size, path))
    taken, oldest = sum(size for _, size, _ in found), time.time() - ASKED
    for asked, size, path in sorted(found):
        if taken <= room or asked > oldest:
            return
        _sidecar(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        taken -= size


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text)


def _put(path: Path, write: Callable[[Path], None]) -> None:
    """Write to a temporary file, then link it: the file is complete from the moment it has its name."""
    beside = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        beside.touch(mode=0o600)
        write(beside)
        sync(beside)
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)
