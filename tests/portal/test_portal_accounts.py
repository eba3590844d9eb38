"""Roles, keys, tokens, throttling and lock-outs, against a running portal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from portal_process import COLUMNS, publish, start, stop
from requests.adapters import HTTPAdapter
from sodapy import Socrata

from publisher.commands import accounts as portal_accounts
from publisher.errors import DefinitionError, PortalError
from publisher.portal.base.problems import SodaError
from publisher.portal.store.accounts import Accounts, Role, Use
from publisher.portal.store.catalog import DatasetCatalog

if TYPE_CHECKING:
    from pathlib import Path

    from portal_process import Running


def accounts_of(portal: Running) -> Accounts:
    """The accounts of the running portal, opened beside it."""
    return Accounts(DatasetCatalog(portal.state / "catalogue.sqlite"))


def test_roles_decide_who_reads_and_writes(portal: Running) -> None:
    """A viewer reads what is private and changes nothing; a publisher writes; a removed account is nobody."""
    reader = portal_accounts.add(portal.state, "reader", "viewer", None)
    author = portal_accounts.add(portal.state, "author", "publisher", "a long password")
    assert ("reader", "viewer") in portal_accounts.accounts_listed(portal.state)
    with portal.client() as client:
        name = client.create("For readers", columns=COLUMNS, row_identifier="id")["id"]
        address = f"{portal.address}/resource/{name}.json"
        viewer, publisher = ("reader", reader.secret), ("author", author.secret)
        assert requests.get(address, auth=viewer, timeout=30).status_code == 200
        refused = requests.post(address, json=[{"id": "a"}], auth=viewer, timeout=30)
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
        assert requests.post(address, json=[{"id": "a"}], auth=publisher, timeout=30).json()["Rows Created"] == 1
        portal_accounts.remove(portal.state, "reader")
        assert requests.get(address, auth=viewer, timeout=30).status_code == 401
        client.delete(name)


def test_keys_and_tokens_work_until_they_are_revoked_or_end(portal: Running) -> None:
    """An API key in the place of name and password, a bearer token in both spellings; each stops when it should."""
    portal_accounts.add(portal.state, "robot", "publisher", None)
    key = portal_accounts.issue(portal.state, "api-key", "robot", "nightly", None)
    token = portal_accounts.issue(portal.state, "bearer", "robot", "", 30).secret
    ended = accounts_of(portal).issue(Use.BEARER, "robot", seconds=-1)[1]

    def status(**how: Any) -> int:
        return requests.post(f"{portal.address}/api/views.json", json={}, timeout=30, **how).status_code

    assert key.name is not None
    assert status(auth=(key.name, key.secret)) == 400, "it may write, but the body lacks a name"
    assert status(auth=(key.name, key.secret[:-1] + "?")) == 401
    assert status(headers={"Authorization": f"OAuth {token}"}) == 400
    assert status(headers={"Authorization": f"Bearer {token}"}) == 400
    assert status(headers={"Authorization": f"Bearer {ended}"}) == 401
    adapter = {"prefix": "http://", "adapter": HTTPAdapter()}
    with Socrata(portal.address.removeprefix("http://"), None, access_token=token, session_adapter=adapter) as client:
        client.delete(client.create("Made with a token")["id"])
    portal_accounts.revoke(portal.state, key.name)
    assert status(auth=(key.name, key.secret)) == 401
    with pytest.raises(PortalError, match="no valid key"):
        portal_accounts.revoke(portal.state, key.name)
    rows = portal_accounts.credentials_listed(portal.state)
    assert sorted(row[1:4] for row in rows if row[2] == "robot") == [
        ("api-key", "robot", "nightly"), ("bearer", "robot", ""), ("bearer", "robot", ""),
    ]  # fmt: skip
    portal_accounts.remove(portal.state, "robot")
    assert status(headers={"Authorization": f"Bearer {token}"}) == 401, "gone with its account"
    kept = (portal.state / "catalogue.sqlite").read_bytes() + (portal.state / "catalogue.sqlite-wal").read_bytes()
    assert token.encode() not in kept
    assert key.secret.encode() not in kept


def test_an_app_token_is_known_or_refused(portal: Running, sample: str, web: requests.Session) -> None:
    """In the header and both parameters: the registered one reads, another gives 403, a revoked one too."""
    address, token = f"{portal.address}/resource/{sample}.json?$limit=1", portal.secret["app_token"]
    other = portal_accounts.issue(portal.state, "app-token", None, "an app", None).secret
    for known in (token, other):
        assert web.get(address, headers={"X-App-Token": known}).status_code == 200
        assert web.get(address, params={"$$app_token": known}).status_code == 200
    refused = web.get(address, headers={"X-App-Token": "made-up"})
    assert (refused.status_code, refused.json()["message"]) == (403, "Invalid app_token specified")
    assert web.get(address, params={"$$app_token": "made-up"}).status_code == 403
    accounts = accounts_of(portal)
    assert accounts.token_known(other)
    (found,) = [each for each in accounts.credentials() if each.label == "an app"]
    accounts.revoke(found.id)
    assert not accounts_of(portal).token_known(other)
    assert not accounts.token_known("")


def test_the_commands_refuse_what_would_harm(portal: Running, tmp_path: Path) -> None:
    """The last administrator stays, passwords are long, a key is somebody's, and a folder without portal is said."""
    username = portal.login[0]
    with pytest.raises(PortalError, match="last administrator"):
        portal_accounts.remove(portal.state, username)
    with pytest.raises(PortalError, match="last administrator"):
        portal_accounts.add(portal.state, username, "viewer", None)
    with pytest.raises(DefinitionError, match="12 characters"):
        portal_accounts.add(portal.state, "x", "viewer", "short")
    with pytest.raises(DefinitionError, match="colon"):
        portal_accounts.add(portal.state, "a:b", "viewer", None)
    with pytest.raises(PortalError, match="name the account it belongs to"):
        portal_accounts.issue(portal.state, "api-key", None, "", None)
    with pytest.raises(PortalError, match="no account nobody"):
        portal_accounts.remove(portal.state, "nobody")
    with pytest.raises(PortalError, match="no portal"):
        portal_accounts.accounts_listed(tmp_path)


@pytest.mark.usefixtures("processes")
def test_who_asks_too_often_waits(tmp_path: Path) -> None:
    """Without token an address gets 429 with Retry-After once its bucket is empty; with one it goes on; it refills."""
    running = start(tmp_path / "state", "--anonymous-rate", "1")
    address = f"{running.address}/api/views.json"
    with requests.Session() as session:
        statuses = [session.get(address).status_code for _ in range(40)]
        assert statuses[:30] == [200] * 30
        assert 429 in statuses[30:]
        refused = session.get(address)
        while refused.status_code == 200:
            refused = session.get(address)
        assert (refused.json()["code"], int(refused.headers["Retry-After"]) >= 1) == ("throttled", True)
        assert session.get(address, headers={"Authorization": "x"}).status_code == 429, "this proves nothing"
        token = {"X-App-Token": running.secret["app_token"]}
        assert session.get(address, headers=token).status_code == 200
        assert session.get(f"{running.address}/health").status_code == 200
        time.sleep(1.1)
        assert session.get(address).status_code == 200
    stop(running)


def failing(accounts: Accounts, username: str, client: str) -> int:
    """The status of one login with a wrong password."""
    with pytest.raises(SodaError) as caught:
        accounts.check(username, "wrong", client)
    return caught.value.status


def test_strangers_lock_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing from many addresses slows strangers down, but not the address where the account logs in, nor a key."""
    from publisher.portal.store import accounts as module

    monkeypatch.setattr(module, "_NAME", module._Limit(20, 60))
    accounts = Accounts(DatasetCatalog(tmp_path / "catalogue.sqlite"))
    accounts.add("writer", "right password", Role.PUBLISHER)
    key, secret = accounts.issue(Use.API_KEY, "writer")
    accounts.check("writer", "right password", "192.0.2.7")
    statuses = [failing(accounts, "writer", f"198.51.100.{number}") for number in range(24)]
    assert statuses[:20] == [401] * 20
    assert 429 in statuses[20:]
    again = Accounts(DatasetCatalog(tmp_path / "catalogue.sqlite"))
    with pytest.raises(SodaError, match="Too many failed logins"):
        again.check("writer", "right password", "203.0.113.9")
    assert again.check("writer", "right password", "192.0.2.7").username == "writer"
    assert again.check(key.id, secret, "203.0.113.9").username == "writer"


def test_one_address_cannot_try_many_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures count for the address too, for a whole /64 of IPv6; elsewhere nothing changes."""
    from publisher.portal.store import accounts as module

    monkeypatch.setattr(module, "_ADDRESS", module._Limit(10, 60))
    accounts = Accounts(DatasetCatalog(tmp_path / "catalogue.sqlite"))
    statuses = [failing(accounts, f"name{number}", f"2001:db8::{number:x}") for number in range(14)]
    assert statuses[:10] == [401] * 10
    assert 429 in statuses[10:]
    assert failing(accounts, "name1", "2001:db8:0:1::1") == 401


def test_two_processes_share_lock_outs_and_files(portal: Running, sample: str) -> None:
    """Another process on the same store knows of failed logins at once, and serves what this one keeps."""
    other = start(portal.state)
    guess = ("two-faced", "wrong")
    for running in (portal, other) * 2 + (portal,):
        assert requests.get(f"{running.address}/api/views.json", auth=guess, timeout=30).status_code == 401
    for running in (other, portal):
        assert requests.get(f"{running.address}/api/views.json", auth=guess, timeout=30).status_code == 429
    with other.client() as client:
        assert len(client.get(sample, limit=200)) == 120
        name = publish(client, "Made by the other", [])
        form = {"file": ("a.txt", b"content")}
        asset = requests.post(f"{other.address}/api/assets", files=form, auth=other.login, timeout=30).json()["id"]
        client.update_metadata(name, {"metadata": {"attachments": [{"filename": "a.txt", "assetId": asset}]}})
        listed = requests.get(f"{portal.address}/api/views/{name}/files/{asset}", timeout=30)
        assert listed.content == b"content", "what one process keeps the other serves"
        client.delete(name)
    assert stop(other) == 0
