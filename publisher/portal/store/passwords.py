"""Passwords as they are kept: Argon2id hashes, and scrypt hashes from before, which the next login replaces."""

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
"""KiB that one hash takes while it is computed; with two rounds in one lane it is what OWASP asks for. More would let
strangers who try passwords fill the memory of a small server."""


@dataclass(frozen=True, slots=True)
class KeptPassword:
    """A password in the catalog: the text of an Argon2id hash, which holds its own salt; or a scrypt hash."""

    hash: bytes
    salt: bytes = b""
    """of scrypt alone"""

    def is_of(self, password: str) -> bool:
        """True where it was made of this password."""
        if self.salt:
            return hmac.compare_digest(_scrypt(password, self.salt), self.hash)
        from argon2.exceptions import InvalidHashError, VerifyMismatchError

        try:
            return _hasher().verify(self.hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False

    @property
    def outdated(self) -> bool:
        """True where it would be made differently today."""
        return bool(self.salt) or _hasher().check_needs_rehash(self.hash)


def keep(password: str) -> KeptPassword:
    """The password with a new salt."""
    return KeptPassword(_hasher().hash(password).encode())


@cache
def nobody() -> KeptPassword:
    """What no password fits, for names that there are not: they take as long as others."""
    return keep(secrets.token_urlsafe(32))


def nobody_before() -> KeptPassword:
    """The same of scrypt."""
    return KeptPassword(b"", b"\0" * 16)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(ROUNDS, MEMORY, parallelism=1)
