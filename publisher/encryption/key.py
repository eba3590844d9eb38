"""A workspace's key: what it wraps, and where it comes from.

The only way to `cryptography`, but for that of signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.errors import SourceError

if TYPE_CHECKING:
    from publisher.definitions.settings import KeySource

SIZE = 32
"""Bytes of a key."""
NONCE = 12
NAME = 8
"""Bytes of a key's name."""
WRAPPED = NONCE + SIZE + 16
"""Bytes of a wrapped key."""
_SECONDS = 60
"""So long a command that gives the key may take."""


@dataclass(frozen=True)
class WorkspaceKey:
    """A key that wraps the data keys of files."""

    secret: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """What tells it from other keys and says nothing about it."""
        return hmac.digest(self.secret, b"publisher/1/name", hashlib.sha256)[:NAME].hex()

    def wrap(self, data_key: bytes) -> bytes:
        """A data key, readable with this key alone."""
        nonce = os.urandom(NONCE)
        return nonce + encrypted(self.secret, nonce, data_key, self.name.encode())

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data key. Raises SourceError if it was changed."""
        data_key = decrypted(self.secret, wrapped[:NONCE], wrapped[NONCE:], self.name.encode())
        if data_key is None:
            raise SourceError("an encrypted file is damaged: restore it from a backup")
        return data_key


def read_secret(source: KeySource, private: Path) -> bytes:
    """The key that a source gives. Raises SourceError, which never shows it."""
    text, place = _given(source, private)
    for decode in (_of_digits, _of_base64):
        with suppress(binascii.Error, ValueError):
            secret = decode(text)
            if len(secret) == SIZE:
                return secret
    raise SourceError(
        f"{place} gives no key: it is 32 bytes in base64 or hexadecimal, such as `openssl rand -base64 32` prints. "
        "Nothing was read or charged"
    )


def _of_digits(text: str) -> bytes:
    return bytes.fromhex(text) if len(text) == 2 * SIZE else b""


def _of_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _given(source: KeySource, private: Path) -> tuple[str, str]:
    """What is where the key should be, and the name of the place."""
    where = "publisher.toml: encryption: "
    if source.env is not None:
        text = os.environ.get(source.env, "")
        if not text.strip():
            raise SourceError(f"{where}{source.env} is not set: set it in the environment. Nothing was read or charged")
        return text.strip(), f"{where}{source.env}"
    if source.file is not None:
        return _of_file(Path(source.file), private, where), f"{where}{source.file}"
    command = list(source.command or ())
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if done is None or done.returncode != 0:
        how = "cannot be run, or takes too long" if done is None else f"ended with code {done.returncode}"
        raise SourceError(f"{where}the command {command[0]} {how}: run it by hand. Nothing was read or charged")
    return done.stdout.decode("utf-8", errors="replace").strip(), f"{where}the command {command[0]}"


def _of_file(path: Path, private: Path, where: str) -> str:
    if path.resolve().is_relative_to(private.parent.resolve()):
        raise SourceError(f"{where}{path} is in the state folder, whose files it opens: move it elsewhere")
    try:
        with path.open("rb") as file:
            mode, text = os.fstat(file.fileno()).st_mode, file.read(4096)
    except OSError as error:
        raise SourceError(f"{where}{path} cannot be read: {error.strerror}. Nothing was read or charged") from None
    if mode & 0o077:
        raise SourceError(f"{where}{path}: others can read the key: run chmod 600 on it. Nothing was read or charged")
    return text.decode("utf-8", errors="replace").strip()


def encrypted(key: bytes, nonce: bytes, content: bytes, beside: bytes) -> bytes:
    """The content by AES-GCM; it opens only with what stands `beside` it in the clear as it was."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return bytes(AESGCM(key).encrypt(nonce, content, beside))


def decrypted(key: bytes, nonce: bytes, content: bytes, beside: bytes) -> bytes | None:
    """The same back; None if anything was changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return bytes(AESGCM(key).decrypt(nonce, content, beside))
    except (InvalidTag, ValueError):  # too short
        return None
