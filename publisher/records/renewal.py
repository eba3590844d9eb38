"""Files of a source that were written without the workspace's key, or with the one before it, are written again.

Each is replaced in one step and can be read at any moment, so whoever is interrupted begins again. The marker of the
private folder says for which sources nothing is left to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher import encryption

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLDERS = {
    "landed": ("*/month=*/*.parquet",),
    "receipts": ("*.json", "*/*.parquet"),
    "known": ("*.ids", "runs.json"),
    "reports": ("*.json",),
}
"""Where the private files of a source are, and which of them have something of its records."""


@dataclass(frozen=True)
class EncryptedFiles:
    """How many files of a workspace are written in which way."""

    current: int = 0
    previous: int = 0
    plain: int = 0


def renew(private: Path, source: str) -> int:
    """Write every file of a source again that does not have the workspace's key; how many those were."""
    found = encryption.of(private)
    if found is None or encryption.renewed(private).get(source) == found.key.name:
        return 0
    old = [path for path in _files(private, source) if encryption.key_name(path) != found.key.name]
    for path in old:
        encryption.rewrite(path)
    encryption.remember(private, renewed={source: found.key.name})
    return len(old)


def renew_all(private: Path) -> int:
    """The same for every source; from then on the key before is not needed."""
    found = encryption.of(private)
    if found is None:
        return 0
    count = sum(renew(private, source) for source in _sources(private))
    encryption.remember(private, keys=[found.key.name])
    return count


def encrypted_files(private: Path) -> EncryptedFiles:
    """Count the files by the key that they have."""
    found = encryption.of(private)
    names = [encryption.key_name(path) for source in _sources(private) for path in _files(private, source)]
    current = names.count(found.key.name) if found is not None else 0
    plain = names.count(None)
    return EncryptedFiles(current, len(names) - current - plain, plain)


def _sources(private: Path) -> list[str]:
    folders = (path for kind in _FOLDERS for path in (private / kind).glob("[!.]*") if path.is_dir())
    return sorted({path.name for path in folders})


def _files(private: Path, source: str) -> Iterator[Path]:
    for kind, patterns in _FOLDERS.items():
        for pattern in patterns:
            yield from sorted(path for path in (private / kind / source).glob(pattern) if path.name[0] != ".")
