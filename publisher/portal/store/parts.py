"""The SHA-256 of each part of a version: written with the version, and checked before its rows are read.

The list has the format of `sha256sum`, so that it can also be checked without this program.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LIST = "parts.sha256"
_SOUND: set[tuple[str, int, int, int]] = set()
"""Files that this process has found as they were written: digest, inode, size and time of the last change."""
MOST = 100_000
"""The most of them to remember."""


def write_list(folder: Path, known: Mapping[str, str]) -> Path:
    """Write the list of a version that is being made; `known` has the digests of parts that came from another one."""
    names = sorted(part.name for part in folder.glob("*.parquet"))
    lines = [f"{known.get(name) or digest_of(folder / name)}  {name}\n" for name in names]
    target = folder / LIST
    target.write_text("".join(lines))
    return target


def listed(folder: Path) -> dict[str, str] | None:
    """The digest of each part by its name; None for a version from before there was a list."""
    try:
        return _read(folder / LIST, (folder / LIST).stat().st_mtime_ns)
    except FileNotFoundError:
        return None


@lru_cache(maxsize=1000)
def _read(file: Path, _changed: int) -> dict[str, str]:
    return {name: digest for digest, _, name in (line.partition("  ") for line in file.read_text().splitlines())}


def faults(folder: Path, *, again: bool = False) -> Iterator[str]:
    """The parts of a version that are missing or not as they were written; by default each file is hashed once, and
    again if its size or time has changed."""
    for name, digest in (listed(folder) or {}).items():
        try:
            status = (folder / name).stat()
            mark = digest, status.st_ino, status.st_size, status.st_mtime_ns
            if not again and mark in _SOUND:
                continue
            sound = digest_of(folder / name) == digest
        except FileNotFoundError:
            yield f"{name} is missing"
            continue
        except OSError:
            sound = False
        if not sound:
            yield f"{name} is damaged"
            continue
        if len(_SOUND) >= MOST:
            _SOUND.clear()
        _SOUND.add(mark)


def digest_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
