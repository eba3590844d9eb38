"""Who may write: passwords as scrypt hashes, and guessing slowed down."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from threading import Lock
from typing import TYPE_CHECKING

from publisher.portal.problems import login_refused, throttled

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.portal.catalogue import Catalogue

ALLOWED_FAILURES = 5
LONGEST_WAIT = 900


class Accounts:
    """The accounts of a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._pepper = secrets.token_bytes(32)
        self._proven: dict[str, bytes] = {}
        self._lock = Lock()

    def any(self) -> bool:
        """True where there is at least one account."""
        with self._catalogue.connected() as connection:
            return connection.execute("SELECT 1 FROM accounts").fetchone() is not None

    def add(self, username: str, password: str) -> None:
        """Create an account, or give an account a new password."""
        salt = secrets.token_bytes(16)
        with self._catalogue.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?)",
                (username, salt, _hash(password, salt), int(time.time())),
            )

    def check(self, username: str, password: str, client: str) -> str:
        """The name of the account whose password this is. Errors: SodaError 401 (wrong) or 429 (too many tries)."""
        if self._is_proven(username, password):
            return username
        self._slow_down(username, client)
        with self._catalogue.connected() as connection:
            found = connection.execute("SELECT salt, hash FROM accounts WHERE username = ?", (username,)).fetchone()
        salt, expected = (found["salt"], found["hash"]) if found else (b"\0" * 16, b"")
        if not hmac.compare_digest(_hash(password, salt), expected):
            self._record_failure(username, client)
            raise login_refused()
        with self._catalogue.transaction() as connection:
            connection.execute("DELETE FROM failed_logins WHERE username = ? AND client = ?", (username, client))
        with self._lock:
            self._proven[username] = self._digest(username, password, expected)
        return username

    def _is_proven(self, username: str, password: str) -> bool:
        """True where this password was proven before and the account has not changed since: scrypt is slow."""
        with self._lock:
            known = self._proven.get(username)
        if known is None:
            return False
        with self._catalogue.connected() as connection:
            found = connection.execute("SELECT hash FROM accounts WHERE username = ?", (username,)).fetchone()
        return found is not None and hmac.compare_digest(known, self._digest(username, password, found["hash"]))

    def _digest(self, username: str, password: str, stored: bytes) -> bytes:
        return hmac.digest(self._pepper, json.dumps([username, password]).encode() + stored, "sha256")

    def _slow_down(self, username: str, client: str) -> None:
        with self._catalogue.connected() as connection:
            found = connection.execute(
                "SELECT failures, last_at FROM failed_logins WHERE username = ? AND client = ?", (username, client)
            ).fetchone()
        if found is None or found["failures"] < ALLOWED_FAILURES:
            return
        wait = min(2 ** (found["failures"] - ALLOWED_FAILURES), LONGEST_WAIT)
        left = found["last_at"] + wait - time.time()
        if left > 0:
            raise throttled(int(left) + 1)

    def _record_failure(self, username: str, client: str) -> None:
        now = time.time()
        with self._catalogue.transaction() as connection:
            connection.execute("DELETE FROM failed_logins WHERE last_at < ?", (now - 24 * 3600,))
            connection.execute(
                """
                INSERT INTO failed_logins VALUES (?, ?, 1, ?)
                ON CONFLICT DO UPDATE SET failures = failures + 1, last_at = excluded.last_at
                """,
                (username, client, now),
            )


def first_account(accounts: Accounts, file: Path) -> None:
    """Where there is no account yet, create `publisher` and leave its password in `file` (mode 0600)."""
    if accounts.any():
        return
    written = {
        "username": "publisher",
        "password": secrets.token_urlsafe(32),
        "app_token": secrets.token_urlsafe(18),
    }
    beside = file.with_suffix(".tmp")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as opened:
        json.dump(written, opened)
        opened.flush()
        os.fsync(opened.fileno())
    beside.replace(file)
    accounts.add(written["username"], written["password"])


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)
