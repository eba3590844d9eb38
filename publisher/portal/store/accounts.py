"""Accounts: passwords as slow hashes, keys and tokens as digests, and delays after failed logins."""

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
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from publisher.portal.base.limits import network
from publisher.portal.base.problems import login_refused, logins_waiting, throttled
from publisher.portal.store.passwords import KeptPassword, keep, nobody, nobody_before

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.portal.store.catalog import DatasetCatalog

REMEMBERED = 5.0
"""Seconds for which a token is trusted without checking again; a revoked token can work this much longer."""
MONTH = 30 * 24 * 3600
AT_ONCE = 4
"""How many passwords one process checks at the same time; each check takes memory and a CPU."""
PATIENCE = 5.0
"""Seconds that another login waits for its turn to be checked."""


class Role(StrEnum):
    """What an account may do; each role includes the roles before it."""

    VIEWER = "viewer"
    """Reads private datasets."""
    PUBLISHER = "publisher"
    """Writes datasets."""
    ADMINISTRATOR = "administrator"
    """Manages accounts."""

    @property
    def writes(self) -> bool:
        """True if the role may change datasets."""
        return self is not Role.VIEWER


class Use(StrEnum):
    """The type of a key or token."""

    APP_TOKEN = "app-token"  # noqa: S105 -- a name, no secret
    """Names an application; gives no permissions that visitors do not have."""
    API_KEY = "api-key"
    """An id and a secret, used instead of a name and password."""
    BEARER = "bearer"
    """A secret, sent as `Authorization: OAuth …`."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account with a login."""

    username: str
    role: Role


@dataclass(frozen=True, slots=True)
class Credential:
    """A token or key in the list; only a digest of its secret is kept. Times are epoch seconds."""

    id: str
    use: Use
    username: str | None
    label: str
    created_at: int
    expires_at: int | None

    @property
    def valid(self) -> bool:
        """False if it has expired or was revoked."""
        return self.expires_at is None or self.expires_at > time.time()


@dataclass(frozen=True, slots=True)
class _Limit:
    """The wait after failed logins: after `allowed` failures, each further one doubles it, up to `longest` seconds."""

    allowed: int
    longest: int

    def left(self, failures: int, last_at: float) -> float:
        """Seconds until the next try is allowed."""
        wait = min(2 ** min(failures - self.allowed, 30), self.longest) if failures >= self.allowed else 0
        return last_at + wait - time.time() if wait else 0.0


_PAIR = _Limit(5, 900)
"""For one name from one address."""
_ADDRESS = _Limit(50, 300)
"""For one address, for all names together."""
_NAME = _Limit(100, 60)
"""For one name from addresses where it never logged in; addresses where it did are not delayed by others."""


class Accounts:
    """The accounts of a catalog."""

    def __init__(self, catalog: DatasetCatalog) -> None:
        self._catalog = catalog
        self._pepper = secrets.token_bytes(32)
        self._proven: dict[str, bytes] = {}
        self._tokens: dict[bytes, float] = {}
        self._lock = Lock()
        self._turns = BoundedSemaphore(AT_ONCE)
        self._pairs: WeakValueDictionary[tuple[str, str], Any] = WeakValueDictionary()

    def any(self) -> bool:
        """True if there is at least one account."""
        with self._catalog.connected() as connection:
            return connection.execute("SELECT 1 FROM accounts").fetchone() is not None

    def everyone(self) -> list[Account]:
        """All accounts, by name."""
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
        """Remove an account with its keys and tokens; False if there is no account with that name."""
        with self._catalog.transaction() as connection:
            return connection.execute("DELETE FROM accounts WHERE username = ?", (username,)).rowcount > 0

    def find(self, username: str) -> Account | None:
        """The account with that name, or None."""
        with self._catalog.connected() as connection:
            row = connection.execute("SELECT role FROM accounts WHERE username = ?", (username,)).fetchone()
        return Account(username, Role(row["role"])) if row else None

    def check(self, username: str, password: str, client: str) -> Account:
        """The account with this password or API key.

        Raises SodaError 401 (wrong), 429 (too many tries), or 503 (too many logins at the same moment).
        """
        return (
            self._proven_account(username, password)
            or self._holder("id = ? AND hash = ?", (username, _digest(password)), Use.API_KEY)
            or self._prove(username, password, network(client))
        )

    def bearer(self, token: str) -> Account:
        """The account that this token was made for. Raises SodaError 401."""
        found = self._holder("hash = ?", (_digest(token),), Use.BEARER)
        if found is None:
            raise login_refused()
        return found

    def token_known(self, token: str) -> bool:
        """True if this is a registered app token. It is looked up by its digest, so timing reveals nothing about it."""
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
        """Create a key or token; its secret is returned here and never again. `secret`: an existing one to register."""
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
        """All keys and tokens, the oldest first."""
        with self._catalog.connected() as connection:
            rows = connection.execute("SELECT * FROM credentials ORDER BY created_at, id").fetchall()
        return [_credential(row) for row in rows]

    def revoke(self, identifier: str) -> bool:
        """Revoke a key or token; False if there is none with this id, or it is no longer valid."""
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
        with self._turn((username, client)):
            known = self._proven_account(username, password)  # by a request that came at the same time
            if known is not None:
                return known
            self._count_try(username, client)
            with self._catalog.connected() as connection:
                found = connection.execute(
                    "SELECT salt, hash, role FROM accounts WHERE username = ?", (username,)
                ).fetchone()
            kept = KeptPassword(found["hash"], found["salt"]) if found else nobody()
            if not kept.is_of(password) or not found:
                self._even_out(kept, password)
                raise login_refused()
            if not kept.outdated:
                self._remember(username, password, kept)
            else:
                self._renew(username, password, kept)
        self._record_success(username, client)
        return Account(username, Role(found["role"]))

    @contextmanager
    def _turn(self, pair: tuple[str, str]) -> Iterator[None]:
        """Take one of the few turns to check a password; one name from one address has one. Raises SodaError 503.

        So a client that opens many connections has its password checked once, and the others find it proven.
        """
        with self._lock:
            own = self._pairs.setdefault(pair, Lock())
        with _soon(own), _soon(self._turns):
            yield

    def _even_out(self, kept: KeptPassword, password: str) -> None:
        """While any password has an older hash, compute both hashes: timing must not reveal which names exist."""
        with self._catalog.connected() as connection:
            mixed = connection.execute("SELECT 1 FROM accounts WHERE length(salt) > 0").fetchone() is not None
        if mixed:
            (nobody() if kept.salt else nobody_before()).is_of(password)

    def _renew(self, username: str, password: str, before: KeptPassword) -> None:
        """Replace the older hash of a correct password, unless the password was changed in the meantime."""
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
        """The account if this password was verified before and has not changed since, because verifying it is slow."""
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
            _check_wait(connection, username, client)

    def _count_try(self, username: str, client: str) -> None:
        """Count a try as a failure before the password is checked, so that none is free to those that come at once."""
        now = time.time()
        with self._catalog.transaction() as connection:
            _check_wait(connection, username, client)
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
            connection.executemany(  # it was counted for all three
                "UPDATE failed_logins SET failures = max(0, failures - 1) WHERE username = ? AND client = ?",
                [("", client), (username, "")],
            )
            connection.execute("DELETE FROM trusted_logins WHERE last_at < ?", (now - MONTH,))
            connection.execute(
                "INSERT INTO trusted_logins VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last_at = excluded.last_at",
                (username, client, now),
            )


@contextmanager
def _soon(turn: Any) -> Iterator[None]:
    """Have this lock; wait for it, but not long. Raises SodaError 503."""
    if not turn.acquire(timeout=PATIENCE):
        raise logins_waiting(int(PATIENCE))
    try:
        yield
    finally:
        turn.release()


def first_account(accounts: Accounts, file: Path) -> None:
    """If there is no account yet, create `publisher` and write its password to `file` (mode 0600).

    The app token in the file is always registered, so that stores from before tokens were checked still work.
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


def _check_wait(connection: sqlite3.Connection, username: str, client: str) -> None:
    """Check that no wait is left. Raises SodaError 429."""
    trusted = connection.execute(
        "SELECT 1 FROM trusted_logins WHERE username = ? AND client = ?", (username, client)
    ).fetchone()
    scopes = [(username, client, _PAIR)]
    scopes += [] if trusted else [("", client, _ADDRESS), (username, "", _NAME)]
    left = max(_left(connection, name, address, limit) for name, address, limit in scopes)
    if left > 0:
        raise throttled(int(left) + 1)


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
    """The digest of a secret; keys and tokens are long and random, so one round of SHA-256 is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
