"""Temporary files of an encrypted folder, which must not lie on a disk as they are: in memory, for this user alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from publisher import durable
from publisher.encryption.keyring import anywhere, of
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MEMORY = Path("/dev/shm")  # noqa: S108 -- the folder there is checked to be of this user alone
"""A file system in memory."""


def in_memory(private: Path) -> Path | None:
    """A folder in memory for what is temporary, of this user alone; None if the private folder is the place for it.
    Raises SourceError where there is no such memory."""
    found = of(private)
    if found is None or found.spills:
        return None
    if not _MEMORY.is_dir():
        raise SourceError(
            "publisher.toml: encryption: this machine has no file system in memory (/dev/shm) for temporary files: "
            'put the state folder on an encrypted volume and set spill = "encrypted-volume"'
        )
    folder = memory_of(found.private)
    with durable.writing(folder), suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise SourceError(f"{folder}: is not a folder of this user alone: find out who made it, and remove it")
    if private != found.private:  # a state of its own inside, such as an audit's
        folder = folder / private.relative_to(found.private)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def memory_of(private: Path) -> Path:
    """Where that is for an encrypted folder of this user."""
    mark = hashlib.sha256(os.fsencode(private)).hexdigest()[:16]
    return _MEMORY / f"publisher-{os.geteuid()}-{mark}"


def scratch(private: Path) -> Path:
    """The folder for temporary files: in the private one or, if nothing may lie there as it is, in memory. Raises
    SourceError where there is no such memory."""
    return (in_memory(private) or private) / "tmp"


def empty_scratch(private: Path, apart: Callable[[Path], Iterable[Path]] = lambda _: ()) -> None:
    """Remove what is temporary and was left in memory, but for what is `apart` in that folder: others are at work."""
    folder = in_memory(private)
    if folder is not None:
        for path in {*folder.iterdir()} - {*apart(folder)}:
            shutil.rmtree(path, ignore_errors=True)
        (folder / "tmp").mkdir(mode=0o700, exist_ok=True)


def may_spill(folder: Path) -> bool:
    """Whether DuckDB may write there what does not fit into memory."""
    if not anywhere():
        return True
    found = of(folder)
    return found.spills if found is not None else not folder.is_relative_to(_MEMORY)
