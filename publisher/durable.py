"""Files that are whole or not there: written beside, synchronized, renamed, and the rename synchronized too."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_UNFINISHED = re.compile(r"\.(staging-.+|.+[.-]\d+(\.wal)?)")
"""How whatever is being written is called: `.staging-<name>`, or `.<name>` with the writer's process id."""


@contextmanager
def writing(what: object) -> Iterator[None]:
    """Turns a failing file system (full, read-only, no permission) into one SourceError."""
    try:
        yield
    except OSError as error:
        raise SourceError(f"{what}: the state folder cannot be written: {error.strerror or 'failed'}") from None


@contextmanager
def private_files() -> Iterator[None]:
    """Whatever is created inside has mode 0700 or 0600."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Writes the file or replaces it in one step: whole and durable, or as it was. Raises SourceError."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        prepare(path, content, mode).replace(path)
        sync(path.parent)


def write_once(path: Path, content: bytes) -> None:
    """Writes the file (0600) where there is none yet; where another process was quicker, its file stands."""
    beside = prepare(path, content, mode=0o600)
    with suppress(FileExistsError):
        path.hardlink_to(beside)
    beside.unlink()
    sync(path.parent)


def prepare(path: Path, content: bytes, mode: int = 0o644) -> Path:
    """A durable file beside the path, for the caller to move into place."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return beside


def sync(path: Path) -> None:
    """Makes a file's content, or a folder's entries, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Makes everything in the folder durable, the folder last."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that appears at `path` whole or not at all; closed to others before. Raises SourceError."""
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
    """Removes those of the paths that a killed process was still writing; nothing of them was ever visible."""
    for path in [path for path in paths if _UNFINISHED.fullmatch(path.name)]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
