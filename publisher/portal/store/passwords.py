"""Password hashes: Argon2id, and older scrypt hashes, which the next login replaces."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

ROUNDS = 2
MEMORY = 19 * 1024
"""KiB of memory for computing one hash; with two rounds in one lane it is what OWASP recommends. With more, strangers
who try passwords could fill the memory of a small server."""


@dataclass(frozen=True, slots=True)
class KeptPassword:
    """A password in the catalog: an Argon2id hash as text, which includes its salt, or a scrypt hash."""

    hash: bytes
    salt: bytes = b""
    """Only for scrypt."""

    def is_of(self, password: str) -> bool:
        """True if it is the hash of this password."""
        if self.salt:
            return hmac.compare_digest(_scrypt(password, self.salt), self.hash)
        from argon2.exceptions import InvalidHashError, VerifyMismatchError

        try:
            return _hasher().verify(self.hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False

    @property
    def outdated(self) -> bool:
        """True if it would be computed differently today."""
        return bool(self.salt) or _hasher().check_needs_rehash(self.hash)


def keep(password: str) -> KeptPassword:
    """Hash the password with a new salt."""
    return KeptPassword(_hasher().hash(password).encode())


@cache
def nobody() -> KeptPassword:
    """A hash that no password matches, for unknown names, so that they take as long as others."""
    return keep(secrets.token_urlsafe(32))


def nobody_before() -> KeptPassword:
    """The same for scrypt."""
    return KeptPassword(b"", b"\0" * 16)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(ROUNDS, MEMORY, parallelism=1)
