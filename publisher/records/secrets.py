"""The private folder and its master key; every other key is derived from it by purpose."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING

from publisher import durable
from publisher.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

_SIZE = 32


def create_key(private: Path) -> None:
    """Make the private folder (0700) and, once, its master key (0600).

    A key that exists is left alone. Raises SourceError if the key is missing although there are landed records: it is
    never replaced.
    """
    with durable.writing(private):
        private.parent.mkdir(parents=True, exist_ok=True)
        with durable.private_files():
            private.mkdir(exist_ok=True)
            private.chmod(0o700)
            if not _path(private).exists():
                _refuse_replacement(private)
                durable.write_once(_path(private), os.urandom(_SIZE))


def derive(private: Path, purpose: str) -> bytes:
    """The key of one purpose: 32 bytes, HMAC-SHA256 of the purpose under the master key. Raises SourceError."""
    path = _path(private)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            master = file.read(_SIZE + 1)
    except FileNotFoundError:
        _refuse_replacement(private)
        raise SourceError(f"{path}: there is no key yet: run `publisher init` or `publisher land`") from None
    except OSError as error:
        raise SourceError(f"{path}: the key cannot be read: {error.strerror}") from None
    if len(master) != _SIZE:
        raise SourceError(f"{path}: the key is damaged: restore it from a backup")
    if mode & 0o077:
        raise SourceError(f"{path}: others can read the key: run chmod 600 on it, and find out who has had access")
    return hmac.digest(master, f"publisher/1/{purpose}".encode(), hashlib.sha256)


def fingerprint(private: Path) -> str:
    """What tells one master key from another and reveals nothing about it: 32 hex digits. Raises SourceError."""
    return derive(private, "fingerprint")[:16].hex()


def _path(private: Path) -> Path:
    return private / "key"


def _refuse_replacement(private: Path) -> None:
    landed = private / "landed"
    if landed.is_dir() and any(landed.iterdir()):
        raise SourceError(
            f"{_path(private)}: the key is missing, but records have been landed with it, and a new key would break "
            "their pseudonyms: restore it from a backup"
        )
