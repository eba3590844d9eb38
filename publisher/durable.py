"""Files that are whole or not there: written under another name, synced to disk, renamed, and the rename synced."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_UNFINISHED = re.compile(r"\.(staging-.+|.+[.-]\d+(\.wal)?)")
"""The name of an unfinished file or folder: `.staging-<name>`, or `.<name>` with the writer's process id."""

_FEW = 4
"""Folders that are made durable one by one."""


@contextmanager
def writing(what: object) -> Iterator[None]:
    """Turn a failing file system (full, read-only, no permission) into one SourceError."""
    try:
        yield
    except OSError as error:
        raise SourceError(f"{what}: the state folder cannot be written: {error.strerror or 'failed'}") from None


@contextmanager
def private_files() -> Iterator[None]:
    """Create everything inside with mode 0700 or 0600."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write or replace the file in one step: whole and durable, or as it was. Raises SourceError when it cannot."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        prepare(path, content, mode).replace(path)
        sync(path.parent)


def write_once(path: Path, content: bytes) -> None:
    """Write the file (0600) if there is none yet; if another process was faster, its file stays."""
    beside = prepare(path, content, mode=0o600)
    with suppress(FileExistsError):
        path.hardlink_to(beside)
    beside.unlink()
    sync(path.parent)


def prepare(path: Path, content: bytes, mode: int = 0o644) -> Path:
    """A durable file next to the path, for the caller to move into place; if it cannot be written, there is none."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    return beside


def make_folder(path: Path, root: Path) -> None:
    """Create the folder and those above it; their names are durable inside `root`, which is above them all."""
    path.mkdir(parents=True, exist_ok=True)
    while path.is_relative_to(root):
        sync(path)
        path = path.parent


def sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Make everything in the folder durable, the folder last."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)


def sync_trees(folders: Sequence[Path]) -> None:
    """Make everything in the folders durable; many at once, since each file alone takes milliseconds."""
    if len(folders) > _FEW:
        os.sync()  # waits until all is written
        return
    for folder in folders:
        sync_tree(folder)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that appears at `path` whole or not at all; private until then. Raises SourceError."""
    staging = path.with_name(f".staging-{path.name}-{os.getpid()}")
    with writing(path):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True, mode=0o700)
        content = staging / path.name
        content.mkdir(mode=0o755)
        try:
            yield content
            sync_tree(staging)
            content.rename(path)
            sync(path.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def remove_unfinished(paths: Iterable[Path]) -> None:
    """Remove the paths that a killed process was still writing; they were never visible."""
    for path in [path for path in paths if _UNFINISHED.fullmatch(path.name)]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
