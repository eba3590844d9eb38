"""Passwords as they are kept and checked: those from before go on, and many requests cost one check."""

from __future__ import annotations

import math
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import requests
from portal_process import COLUMNS, start, stop

from publisher.portal.base.problems import SodaError
from publisher.portal.store import accounts as module
from publisher.portal.store import passwords
from publisher.portal.store.accounts import Accounts, Role
from publisher.portal.store.catalog import DatasetCatalog

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "a password of old"
SALT = bytes(range(16))
BEFORE = bytes.fromhex(
    "93b4f60728df0fa81ba98cd2760ae51f06237fc17d87bfd6415472711fcc1acf"
    "c50f7c7455ad6229a46f561529bf97f5cc6d102981040c8d8d65b3762b571cdd"
)
"""As a portal wrote it that kept scrypt hashes."""
HERE = "192.0.2.7"


def kept_before(catalog: Path, username: str) -> None:
    """Give an account of the catalog its password as it was kept before."""
    with closing(sqlite3.connect(catalog)) as connection, connection:
        connection.execute("UPDATE accounts SET salt = ?, hash = ? WHERE username = ?", (SALT, BEFORE, username))


def kept(catalog: Path, username: str) -> tuple[bytes, bytes]:
    """Salt and hash as they are kept now."""
    with closing(sqlite3.connect(catalog)) as connection:
        found: tuple[bytes, bytes] = connection.execute(
            "SELECT salt, hash FROM accounts WHERE username = ?", (username,)
        ).fetchone()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A catalog with an account, `writer`, from before."""
    file = tmp_path / "catalogue.sqlite"
    Accounts(DatasetCatalog(file)).add("writer", PASSWORD, Role.PUBLISHER)
    kept_before(file, "writer")
    return file


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sort of each hash that is computed to check a password, as it goes on."""
    seen: list[str] = []
    is_of = passwords.KeptPassword.is_of

    def counted(self: passwords.KeptPassword, password: str) -> bool:
        seen.append("scrypt" if self.salt else "argon2id")
        return is_of(self, password)

    monkeypatch.setattr(passwords.KeptPassword, "is_of", counted)
    return seen


def refusal(accounts: Accounts, username: str, password: str, client: str = HERE) -> int:
    """The status with which a login is refused."""
    with pytest.raises(SodaError) as caught:
        accounts.check(username, password, client)
    return caught.value.status


def test_a_password_is_kept_as_argon2id(tmp_path: Path) -> None:
    """With a salt of its own; the right one proves the account, another does not."""
    accounts = Accounts(DatasetCatalog(tmp_path / "catalogue.sqlite"))
    for name in ("one", "other"):
        accounts.add(name, PASSWORD)
    (_, first), (_, second) = (kept(tmp_path / "catalogue.sqlite", name) for name in ("one", "other"))
    assert first.startswith(b"$argon2id$v=19$m=19456,t=2,p=1$")
    assert first.split(b"$")[4] != second.split(b"$")[4]
    assert accounts.check("one", PASSWORD, HERE).role is Role.ADMINISTRATOR
    assert refusal(accounts, "other", PASSWORD + " ") == 401


def test_a_password_from_before_goes_on_and_is_renewed(path: Path) -> None:
    """The right one is taken and kept anew at once; a wrong one changes nothing."""
    accounts = Accounts(DatasetCatalog(path))
    assert refusal(accounts, "writer", "another") == 401
    assert kept(path, "writer") == (SALT, BEFORE)
    assert accounts.check("writer", PASSWORD, HERE).role is Role.PUBLISHER
    salt, renewed = kept(path, "writer")
    assert (salt, renewed[:10]) == (b"", b"$argon2id$")
    for again in (accounts, Accounts(DatasetCatalog(path))):
        assert again.check("writer", PASSWORD, HERE).username == "writer"
        assert refusal(again, "writer", "another") == 401
    assert kept(path, "writer") == (salt, renewed), "once is enough"


@pytest.mark.usefixtures("processes")
def test_a_running_portal_takes_a_store_from_before(tmp_path: Path) -> None:
    """A client that sends its password with every request goes on as it did."""
    running = start(tmp_path / "state")
    assert stop(running) == 0
    catalog, username = tmp_path / "state" / "catalogue.sqlite", running.login[0]
    kept_before(catalog, username)
    running = start(tmp_path / "state")
    try:
        address = f"{running.address}/api/views.json"
        assert requests.post(address, json={}, auth=running.login, timeout=30).status_code == 401
        assert kept(catalog, username) == (SALT, BEFORE)
        assert requests.post(address, json={}, auth=(username, PASSWORD), timeout=30).status_code == 400, "no name"
        assert kept(catalog, username)[1].startswith(b"$argon2id$")
        made = requests.post(address, json={"name": "Kept", "columns": COLUMNS}, auth=(username, PASSWORD), timeout=30)
        assert made.status_code == 200
    finally:
        assert stop(running) == 0


def test_a_password_is_renewed_when_hashes_become_dearer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next login of a process that asks for more."""
    Accounts(DatasetCatalog(path)).check("writer", PASSWORD, HERE)
    monkeypatch.setattr(passwords, "MEMORY", 24 * 1024)
    dearer = Accounts(DatasetCatalog(path))
    dearer.check("writer", PASSWORD, HERE)
    assert b"$m=24576,t=2,p=1$" in kept(path, "writer")[1]
    assert Accounts(DatasetCatalog(path)).check("writer", PASSWORD, HERE).username == "writer"
    assert refusal(dearer, "writer", "another") == 401


def test_a_new_password_is_never_undone(path: Path) -> None:
    """One that is set while the old one is renewed stays, and the old one is forgotten where it was remembered."""
    accounts, other = Accounts(DatasetCatalog(path)), Accounts(DatasetCatalog(path))
    accounts.check("writer", PASSWORD, HERE)
    other.add("writer", "a newer password", Role.VIEWER)
    newer = kept(path, "writer")
    accounts._renew("writer", PASSWORD, passwords.KeptPassword(BEFORE, SALT))
    assert kept(path, "writer") == newer
    assert refusal(accounts, "writer", PASSWORD) == 401
    assert accounts.check("writer", "a newer password", HERE).role is Role.VIEWER


def test_a_proven_password_is_checked_once(path: Path, checks: list[str]) -> None:
    """Every further request with it costs no slow hash, also where another process renewed it in between."""
    accounts, other = Accounts(DatasetCatalog(path)), Accounts(DatasetCatalog(path))
    for _ in range(50):
        accounts.check("writer", PASSWORD, HERE)
    assert checks == ["scrypt"]
    other.check("writer", PASSWORD, HERE)
    other.check("writer", PASSWORD, HERE)
    assert checks == ["scrypt", "argon2id"]


def test_many_at_once_wait_for_the_first(path: Path, checks: list[str]) -> None:
    """A client that opens many connections has its password checked by the first few of them."""
    accounts = Accounts(DatasetCatalog(path))
    with ThreadPoolExecutor(24) as pool:
        found = [*pool.map(lambda _: accounts.check("writer", PASSWORD, HERE).username, range(24))]
    assert found == ["writer"] * 24
    assert len(checks) <= 2 * module.AT_ONCE


def test_too_many_logins_are_told_to_come_back(path: Path, monkeypatch: pytest.MonkeyPatch, checks: list[str]) -> None:
    """While all turns are taken, none waits long; who is known already does not wait at all."""
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    accounts = Accounts(DatasetCatalog(path))
    accounts.add("other", "another password")
    accounts.check("writer", PASSWORD, HERE)
    del checks[:]
    for _ in range(module.AT_ONCE):
        accounts._turns.acquire()
    assert refusal(accounts, "other", "another password") == 503
    assert accounts.check("writer", PASSWORD, HERE).username == "writer"
    assert checks == []
    for _ in range(module.AT_ONCE):
        accounts._turns.release()
    assert accounts.check("other", "another password", HERE).username == "other"


def test_guesses_that_come_at_once_are_counted_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each counts before it is tried: as many as are allowed get through, also in several processes."""
    clock = SimpleNamespace(time=lambda: 1e9, monotonic=time.monotonic)
    monkeypatch.setattr(module, "time", clock)
    processes = [Accounts(DatasetCatalog(path)) for _ in range(4)]
    with ThreadPoolExecutor(40) as pool:
        found = pool.map(lambda number: refusal(processes[number % 4], "writer", f"guess {number}"), range(40))
        statuses = [*found]
    assert statuses.count(401) == module._PAIR.allowed
    assert statuses.count(429) == 40 - module._PAIR.allowed


def test_a_right_password_is_no_failure(path: Path) -> None:
    """What was counted before it was tried is taken back, for the name and for the address."""
    for number in range(8):  # as a process that has just started, from one address after another
        Accounts(DatasetCatalog(path)).check("writer", PASSWORD, f"198.51.100.{number // 4}")
    with closing(sqlite3.connect(path)) as connection:
        assert {failures for (failures,) in connection.execute("SELECT failures FROM failed_logins")} == {0}


@pytest.mark.usefixtures("processes")
def test_guesses_at_a_running_portal_are_counted(tmp_path: Path) -> None:
    """Sixty at once at two workers: five, and one more after each wait, which doubles."""
    running = start(tmp_path / "state", "--workers", "2")
    try:
        began = time.monotonic()

        def guess(number: int) -> int:
            address, guessed = f"{running.address}/api/views.json", (running.login[0], f"guess {number}")
            return requests.get(address, auth=guessed, timeout=60).status_code

        with ThreadPoolExecutor(60) as pool:
            statuses = [*pool.map(guess, range(60))]
        more = math.ceil(time.monotonic() - began + 1).bit_length()
        assert module._PAIR.allowed <= statuses.count(401) <= module._PAIR.allowed + more
        assert set(statuses) <= {401, 429, 503}
    finally:
        assert stop(running) == 0


def test_time_tells_no_names(path: Path, checks: list[str]) -> None:
    """A wrong password costs the same hashes for a name from before, a new one and none."""
    accounts = Accounts(DatasetCatalog(path))
    accounts.add("new", "another password")
    costs = []
    for name in ("writer", "new", "nobody"):
        del checks[:]
        assert refusal(accounts, name, "a guess") == 401
        costs.append(sorted(checks))
    assert costs == [["argon2id", "scrypt"]] * 3
    accounts.check("writer", PASSWORD, HERE)
    del checks[:]
    assert [refusal(accounts, name, "a guess", "192.0.2.9") for name in ("writer", "new", "nobody")] == [401] * 3
    assert checks == ["argon2id"] * 3, "nothing is left from before"


def test_a_hash_that_is_damaged_proves_nobody(path: Path) -> None:
    """The login is refused as any other; the hash is in no message."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE accounts SET salt = x'', hash = x'2461726732' WHERE username = 'writer'")
    assert refusal(Accounts(DatasetCatalog(path)), "writer", PASSWORD) == 401
