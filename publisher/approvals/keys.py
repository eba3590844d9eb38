"""Reviewers' keys: the private one in a file with a passphrase that only its reviewer can read, the public one as text.

The only way to `cryptography`.
"""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions.settings import KEY
from publisher.durable import write_once, writing
from publisher.errors import DefinitionError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LEAST = 12
"""The fewest characters of a passphrase."""

_LONGEST = 10_000


@dataclass(frozen=True)
class SigningKey:
    """A reviewer's private key, for the time of one command."""

    _key: Ed25519PrivateKey

    @property
    def public(self) -> str:
        """The public key, as publisher.toml has it."""
        return KEY + base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, message: bytes) -> str:
        """The signature, as text."""
        return base64.b64encode(self._key.sign(message)).decode()

    def __repr__(self) -> str:
        return f"SigningKey({self.public})"


def make_key(path: Path, passphrase: str) -> SigningKey:
    """A new key in a file (0600) that the passphrase opens. Raises DefinitionError if there is a file already."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    if len(passphrase) < LEAST:
        raise DefinitionError(f"the passphrase has fewer than {LEAST} characters: choose a longer one")
    if os.path.lexists(path):
        raise DefinitionError(f"{path}: is there already, and is never replaced: choose another --file")
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_once(path, content)
    return SigningKey(key)


def read_key(path: Path, passphrase: Callable[[], str]) -> SigningKey:
    """The key in a file. `passphrase` asks for what opens it, once it is clear that only its owner can read it.

    Raises SourceError when others can read the file or it is no key, DefinitionError when the passphrase is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _content(path)
    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" not in content:
        raise SourceError(f"{path}: is not a key with a passphrase: `publisher reviewers key NAME` makes one")
    try:
        key = load_pem_private_key(content, passphrase().encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DefinitionError(f"{path}: the passphrase is wrong, or the file is damaged. Nothing was signed") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SourceError(f"{path}: is not an Ed25519 key: `publisher reviewers key NAME` makes one")
    return SigningKey(key)


def _content(path: Path) -> bytes:
    """The bytes of a key's file, read only if no one else could read them."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise SourceError(
                    f"{path}: others can read this private key (mode {mode:04o}): make a new key, or if no one did, "
                    f"`chmod 600 {path}`"
                )
            return file.read(_LONGEST)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}: name your key's file with --key") from None


def is_signed(public: str, message: bytes, signature: str) -> bool:
    """Whether the signature of the message is that of the public key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix(KEY), validate=True))
        key.verify(base64.b64decode(signature, validate=True), message)
    except (ValueError, InvalidSignature):
        return False
    return True
