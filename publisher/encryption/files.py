"""Encrypted files: those that are one message each, and what is said and done of every encrypted file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from publisher import durable
from publisher.encryption.key import NAME, NONCE, SIZE, WRAPPED, decrypted, encrypted
from publisher.encryption.keyring import of, required
from publisher.encryption.parquet import PARQUET, name_in, rewrite_parquet
from publisher.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.encryption.key import WorkspaceKey

_SEALED = b"PUBENC1\n"
OVERHEAD = len(_SEALED) + NAME + WRAPPED + NONCE + 16
"""By so many bytes a sealed file is longer than its content."""


def write_file(path: Path, content: bytes) -> None:
    """Write or replace a private file (0600) in one step, encrypted if its folder is."""
    found = of(path)
    durable.write_file(path, content if found is None else _sealed(content, found.key), mode=0o600)


def read_file(path: Path) -> bytes:
    """The content of a private file. Raises OSError, and SourceError if it is damaged or its key is missing."""
    content = path.read_bytes()
    return _unsealed(content, path) if content.startswith(_SEALED) else content


def size_of(path: Path) -> int:
    """How long the content of a private file is."""
    with path.open("rb") as file:
        sealed = file.read(len(_SEALED)) == _SEALED
    return path.stat().st_size - (OVERHEAD if sealed else 0)


def key_name(path: Path) -> str | None:
    """The name of the key that a file was written with; None if it is not encrypted. Raises SourceError."""
    with path.open("rb") as file:
        begin = file.read(len(_SEALED) + NAME)
    if begin.startswith(_SEALED):
        return begin[len(_SEALED) :].hex()
    return name_in(path) if begin.startswith(PARQUET) else None


def rewrite(path: Path) -> None:
    """Write a file again in one step, with a new data key under the workspace's key."""
    if path.suffix == ".parquet":
        rewrite_parquet(path)
    else:
        write_file(path, read_file(path))


def _sealed(content: bytes, key: WorkspaceKey) -> bytes:
    data_key, nonce = os.urandom(SIZE), os.urandom(NONCE)
    head = _SEALED + bytes.fromhex(key.name) + key.wrap(data_key) + nonce
    return head + encrypted(data_key, nonce, content, head)


def _unsealed(content: bytes, path: Path) -> bytes:
    at = len(_SEALED) + NAME
    head = content[: at + WRAPPED + NONCE]
    key = required(path).named(content[len(_SEALED) : at].hex())
    damaged = SourceError(f"{path}: is damaged: restore it from a backup")
    try:
        data_key = key.unwrap(content[at : at + WRAPPED])
    except SourceError:
        raise damaged from None
    found = decrypted(data_key, head[-NONCE:], content[len(head) :], head)
    if found is None:
        raise damaged
    return found
