"""Who may read and write: passwords as slow hashes, keys and tokens as digests, and guessing slowed down."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING

from publisher.portal.base.limits import network
from publisher.portal.base.problems import login_refused, logins_waiting, throttled
from publisher.portal.store.passwords import KeptPassword, keep, nobody, nobody_before

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.portal.store.catalog import DatasetCatalog

REMEMBERED = 5.0
"""Seconds for which a token stays known without another look, so also the longest that a revoked one lives on."""
MONTH = 30 * 24 * 3600
AT_ONCE = 4
"""How many passwords one process checks at the same time: each takes memory and a processor."""
PATIENCE = 5.0
"""Seconds that another login waits for its turn."""


class Role(StrEnum):
    """What an account may do; each role may do what those before it may."""

    VIEWER = "viewer"
    """reads private datasets"""
    PUBLISHER = "publisher"
    """writes datasets"""
    ADMINISTRATOR = "administrator"
    """manages accounts"""

    @property
    def writes(self) -> bool:
        """True where the role may change datasets."""
        return self is not Role.VIEWER


class Use(StrEnum):
    """What a credential is for."""

    APP_TOKEN = "app-token"  # noqa: S105 -- a name, no secret
    """names an application; allows nothing that a visitor may not do"""
    API_KEY = "api-key"
    """an id and a secret, in the place of name and password"""
    BEARER = "bearer"
    """one secret, sent as `Authorization: OAuth …`"""


@dataclass(frozen=True, slots=True)
class Account:
    """Someone with a login."""

    username: str
    role: Role


@dataclass(frozen=True, slots=True)
class Credential:
    """A token or key as it is listed; its secret is kept as a digest alone. Times are epoch seconds."""

    id: str
    use: Use
    username: str | None
    label: str
    created_at: int
    expires_at: int | None

    @property
    def valid(self) -> bool:
        """False once it has expired or was revoked."""
        return self.expires_at is None or self.expires_at > time.time()


@dataclass(frozen=True, slots=True)
class _Limit:
    """After `allowed` failures each further one doubles the wait, up to `longest` seconds."""

    allowed: int
    longest: int

    def left(self, failures: int, last_at: float) -> float:
        """Seconds until the next try."""
        wait = min(2 ** min(failures - self.allowed, 30), self.longest) if failures >= self.allowed else 0
        return last_at + wait - time.time() if wait else 0.0


_PAIR = _Limit(5, 900)
"""one name from one address"""
_ADDRESS = _Limit(50, 300)
"""one address, whatever the names"""
_NAME = _Limit(100, 60)
"""one name from addresses where it never logged in; those where it did are not held up by what others do"""


class Accounts:
    """The accounts of a catalog."""

    def __init__(self, catalog: DatasetCatalog) -> None:
        self._catalog = catalog
        self._pepper = secrets.token_bytes(32)
        self._proven: dict[str, bytes] = {}
        self._tokens: dict[bytes, float] = {}
        self._lock = Lock()
        self._turns = BoundedSemaphore(AT_ONCE)

    def any(self) -> bool:
        """True where there is at least one account."""
        with self._catalog.connected() as connection:
            return connection.execute("SELECT 1 FROM accounts").fetchone() is not None

    def everyone(self) -> list[Account]:
        """Every account, by name."""
        with self._catalog.connected() as connection:
            rows = connection.execute("SELECT username, role FROM accounts ORDER BY username").fetchall()
        return [Account(row["username"], Role(row["role"])) for row in rows]

    def add(self, username: str, password: str, role: Role = Role.ADMINISTRATOR) -> None:
        """Create an account, or give an account a new password and role."""
        kept = keep(password)
        with self._catalog.transaction() as connection:
            connection.execute(
                """
                INSERT INTO accounts (username, salt, hash, created_at, role) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT DO UPDATE SET salt = excluded.salt, hash = excluded.hash, role = excluded.role
                """,
                (username, kept.salt, kept.hash, int(time.time()), role),
            )

    def remove(self, username: str) -> bool:
        """Remove an account with its keys and tokens; False where there is none of that name."""
        with self._catalog.transaction() as connection:
            return connection.execute("DELETE FROM accounts WHERE username = ?", (username,)).rowcount > 0

    def find(self, username: str) -> Account | None:
        """The account of that name."""
        with self._catalog.connected() as connection:
            row = connection.execute("SELECT role FROM accounts WHERE username = ?", (username,)).fetchone()
        return Account(username, Role(row["role"])) if row else None

    def check(self, username: str, password: str, client: str) -> Account:
        """The account whose password or API key this is.

        Errors: SodaError 401 (wrong), 429 (too many tries), 503 (too many logins at the same moment).
        """
        return (
            self._proven_account(username, password)
            or self._holder("id = ? AND hash = ?", (username, _digest(password)), Use.API_KEY)
            or self._prove(username, password, network(client))
        )

    def bearer(self, token: str) -> Account:
        """The account that this token was made for. Errors: SodaError 401."""
        found = self._holder("hash = ?", (_digest(token),), Use.BEARER)
        if found is None:
            raise login_refused()
        return found

    def token_known(self, token: str) -> bool:
        """True where this is a registered app token. It is looked up by its digest, so timing tells nothing of it."""
        digest, now = _digest(token), time.monotonic()
        if self._tokens.get(digest, 0.0) > now:
            return True
        with self._catalog.connected() as connection:
            known = _valid(connection, "hash = ?", (digest,), Use.APP_TOKEN) is not None
        if known:
            self._tokens[digest] = now + REMEMBERED
        return known

    def issue(
        self, use: Use, username: str | None, label: str = "", *, seconds: int | None = None, secret: str | None = None
    ) -> tuple[Credential, str]:
        """Make a key or token; its secret is given here and never again. `secret`: one that is in use already."""
        value = secret or secrets.token_urlsafe(32)
        now = int(time.time())
        name = "k" + secrets.token_hex(12)
        made = Credential(name, use, username, label, now, None if seconds is None else now + seconds)
        with self._catalog.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO credentials VALUES (?, ?, ?, ?, ?, ?, ?)",
                (made.id, made.use, username, _digest(value), label, now, made.expires_at),
            )
        return made, value

    def credentials(self) -> list[Credential]:
        """Every key and token, the oldest first."""
        with self._catalog.connected() as connection:
            rows = connection.execute("SELECT * FROM credentials ORDER BY created_at, id").fetchall()
        return [_credential(row) for row in rows]

    def revoke(self, identifier: str) -> bool:
        """End a key or token now; False where there is none with this id, or it has ended already."""
        now = int(time.time())
        with self._catalog.transaction() as connection:
            found = connection.execute(
                "UPDATE credentials SET expires_at = ? WHERE id = ? AND (expires_at IS NULL OR expires_at > ?)",
                (now, identifier, now),
            )
            return found.rowcount > 0

    def _holder(self, condition: str, values: tuple[object, ...], use: Use) -> Account | None:
        with self._catalog.connected() as connection:
            found = _valid(connection, condition, values, use)
        return self.find(found["username"]) if found else None

    def _prove(self, username: str, password: str, client: str) -> Account:
        self._slow_down(username, client)
        with self._turn():
            known = self._proven_account(username, password)  # by a request that came at the same time
            if known is not None:
                return known
            self._slow_down(username, client)
            with self._catalog.connected() as connection:
                found = connection.execute(
                    "SELECT salt, hash, role FROM accounts WHERE username = ?", (username,)
                ).fetchone()
            kept = KeptPassword(found["hash"], found["salt"]) if found else nobody()
            if not kept.is_of(password) or not found:
                self._even_out(kept, password)
                self._record_failure(username, client)
                raise login_refused()
            if not kept.outdated:
                self._remember(username, password, kept)
            else:
                self._renew(username, password, kept)
        self._record_success(username, client)
        return Account(username, Role(found["role"]))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One of the few that check a password. Errors: SodaError 503."""
        if not self._turns.acquire(timeout=PATIENCE):
            raise logins_waiting(int(PATIENCE))
        try:
            yield
        finally:
            self._turns.release()

    def _even_out(self, kept: KeptPassword, password: str) -> None:
        """While some password is kept in the older way, do what the other way takes: time must tell no names."""
        with self._catalog.connected() as connection:
            mixed = connection.execute("SELECT 1 FROM accounts WHERE length(salt) > 0").fetchone() is not None
        if mixed:
            (nobody() if kept.salt else nobody_before()).is_of(password)

    def _renew(self, username: str, password: str, before: KeptPassword) -> None:
        """Keep a password that was proven as it would be kept today, unless it has changed in the meantime."""
        kept = keep(password)
        with self._catalog.transaction() as connection:
            renewed = connection.execute(
                "UPDATE accounts SET salt = ?, hash = ? WHERE username = ? AND hash = ?",
                (kept.salt, kept.hash, username, before.hash),
            )
        if renewed.rowcount:
            self._remember(username, password, kept)

    def _remember(self, username: str, password: str, kept: KeptPassword) -> None:
        with self._lock:
            self._proven[username] = self._mark(username, password, kept.hash)

    def _proven_account(self, username: str, password: str) -> Account | None:
        """The account where this password was proven before and has not changed since: to prove it is slow."""
        with self._lock:
            known = self._proven.get(username)
        if known is None:
            return None
        with self._catalog.connected() as connection:
            found = connection.execute("SELECT hash, role FROM accounts WHERE username = ?", (username,)).fetchone()
        same = found is not None and hmac.compare_digest(known, self._mark(username, password, found["hash"]))
        return Account(username, Role(found["role"])) if same else None

    def _mark(self, username: str, password: str, stored: bytes) -> bytes:
        return hmac.digest(self._pepper, json.dumps([username, password]).encode() + stored, "sha256")

    def _slow_down(self, username: str, client: str) -> None:
        with self._catalog.connected() as connection:
            trusted = connection.execute(
                "SELECT 1 FROM trusted_logins WHERE username = ? AND client = ?", (username, client)
            ).fetchone()
            scopes = [(username, client, _PAIR)]
            scopes += [] if trusted else [("", client, _ADDRESS), (username, "", _NAME)]
            left = max(_left(connection, name, address, limit) for name, address, limit in scopes)
        if left > 0:
            raise throttled(int(left) + 1)

    def _record_failure(self, username: str, client: str) -> None:
        now = time.time()
        with self._catalog.transaction() as connection:
            connection.execute("DELETE FROM failed_logins WHERE last_at < ?", (now - 24 * 3600,))
            connection.executemany(
                """
                INSERT INTO failed_logins VALUES (?, ?, 1, ?)
                ON CONFLICT DO UPDATE SET failures = failures + 1, last_at = excluded.last_at
                """,
                [(username, client, now), ("", client, now), (username, "", now)],
            )

    def _record_success(self, username: str, client: str) -> None:
        now = time.time()
        with self._catalog.transaction() as connection:
            connection.execute("DELETE FROM failed_logins WHERE username = ? AND client = ?", (username, client))
            connection.execute("DELETE FROM trusted_logins WHERE last_at < ?", (now - MONTH,))
            connection.execute(
                "INSERT INTO trusted_logins VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last_at = excluded.last_at",
                (username, client, now),
            )


def first_account(accounts: Accounts, file: Path) -> None:
    """Where there is no account yet, create `publisher` and leave its password in `file` (mode 0600).

    The app token of the file is registered in any case, so that a store from before tokens were checked goes on.
    """
    with file.with_suffix(".lock").open("w") as lock:  # two portals may start on one empty store
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not accounts.any():
            written = {
                "username": "publisher",
                "password": secrets.token_urlsafe(32),
                "app_token": secrets.token_urlsafe(18),
            }
            _keep(file, written)
            accounts.add(written["username"], written["password"])
    with suppress(OSError, ValueError, KeyError, TypeError):  # the file is the writer's, who may have removed it
        accounts.issue(Use.APP_TOKEN, None, "first start", secret=str(json.loads(file.read_text())["app_token"]))


def _keep(file: Path, written: dict[str, str]) -> None:
    beside = file.with_suffix(".tmp")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as opened:
        json.dump(written, opened)
        opened.flush()
        os.fsync(opened.fileno())
    beside.replace(file)


def _left(connection: sqlite3.Connection, username: str, client: str, limit: _Limit) -> float:
    found = connection.execute(
        "SELECT failures, last_at FROM failed_logins WHERE username = ? AND client = ?", (username, client)
    ).fetchone()
    return limit.left(found["failures"], found["last_at"]) if found else 0.0


def _valid(connection: sqlite3.Connection, condition: str, values: tuple[object, ...], use: Use) -> sqlite3.Row | None:
    found: sqlite3.Row | None = connection.execute(
        f"SELECT * FROM credentials WHERE {condition} AND use = ? AND (expires_at IS NULL OR expires_at > ?)",
        (*values, use, time.time()),
    ).fetchone()
    return found


def _credential(row: sqlite3.Row) -> Credential:
    return Credential(row["id"], Use(row["use"]), row["username"], row["label"], row["created_at"], row["expires_at"])


def _digest(secret: str) -> bytes:
    """Keys and tokens are long and random: one round of SHA-256 hides them as well as many would."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
