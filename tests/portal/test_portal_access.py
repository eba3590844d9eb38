"""Who may read and write, and how guessing is slowed down."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
from portal_process import COLUMNS, publish, start, stop

from publisher.portal.store.accounts import Use, first_account
from publisher.portal.store.store import PortalStore

if TYPE_CHECKING:
    from pathlib import Path

    from portal_process import Running


def test_a_private_dataset_is_for_accounts_alone(portal: Running, web: requests.Session) -> None:
    """Before it is published and shared a visitor gets 403 everywhere; afterwards everyone reads."""
    with portal.client() as client:
        name = client.create("Secret until shared", columns=COLUMNS, row_identifier="id")["id"]
        client.upsert(name, [{"id": "a"}])
        addresses = [f"/resource/{name}.json", f"/resource/{name}/a.json", f"/api/views/{name}.json"]
        addresses += [f"/api/views/{name}/{part}" for part in ("columns", "rows.csv", "permissions")]
        addresses += [f"/api/views/metadata/v1/{name}"]

        def seen() -> set[int]:
            return {web.get(portal.address + address).status_code for address in addresses}

        refused = web.get(f"{portal.address}/resource/{name}.json")
        assert refused.json() == {"message": "You must be logged in to access this resource", "error": True}
        assert seen() == {403}
        client.set_permission(name, "public")
        assert seen() == {403}
        assert web.get(f"{portal.address}/d/{name}").status_code == 404
        client.publish(name)
        assert seen() == {200}
        assert client.get(name) == [{"id": "a"}]
        client.set_permission(name, "private")
        assert seen() == {403}
        assert client.get(name) == [{"id": "a"}]
        client.delete(name)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/views.json"),
        ("PUT", "/api/views/{}.json"),
        ("PUT", "/api/views/{}.json?method=setPermission&value=private"),
        ("DELETE", "/api/views/{}.json"),
        ("POST", "/api/views/{}/publication.json"),
        ("POST", "/api/views/{}/publication.json?method=copy"),
        ("POST", "/api/views/{}/columns"),
        ("PUT", "/api/views/{}/columns/1"),
        ("DELETE", "/api/views/{}/columns/1"),
        ("PUT", "/api/views/{}/permissions"),
        ("POST", "/api/views/{}.txt?method=replaceBlob"),
        ("POST", "/api/assets"),
        ("POST", "/api/imports2/?method=blob"),
        ("POST", "/api/publishing/v1/revision"),
        ("POST", "/api/publishing/v1/revision/{}"),
        ("PUT", "/api/publishing/v1/revision/{}/0/apply"),
        ("POST", "/api/publishing/v1/config"),
        ("PATCH", "/api/views/metadata/v1/{}"),
        ("POST", "/resource/{}.json"),
        ("PUT", "/resource/{}.json"),
        ("DELETE", "/resource/{}/0-01.json"),
    ],
)
def test_visitors_change_nothing(web: requests.Session, portal: Running, sample: str, method: str, path: str) -> None:
    """Every write without an account is 403, with a token alone too."""
    address = portal.address + path.format(sample)
    answer = web.request(method, address, json={"name": "x"}, headers={"X-App-Token": portal.secret["app_token"]})
    assert answer.status_code == 403
    assert web.get(f"{portal.address}/resource/{sample}.json?$select=count(*)").json() == [{"count": "120"}]


def test_pages_of_other_sites_write_nothing_with_a_password(portal: Running, sample: str) -> None:
    """A browser adds the password that it knows to any site's request; what came from another site is refused."""
    address = f"{portal.address}/resource/{sample}.json"

    def status(login: Any = portal.login, **headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(address, json=[], auth=login, headers=sent, timeout=30).status_code

    for foreign in (
        {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Origin": "https://evil.example"},
        {"Origin": "null"}, {"Origin": f"{portal.address}.evil.example"},
    ):  # fmt: skip
        assert status(**foreign) == 403, foreign
    for own in ({}, {"Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}, {"Origin": portal.address}):
        assert status(**own) == 200, own
    _, token = PortalStore(portal.state).accounts.issue(Use.BEARER, "publisher")
    bearer = {"Authorization": f"OAuth {token}", "Origin": "https://app.example", "Sec_Fetch_Site": "cross-site"}
    assert status(None, **bearer) == 200


def test_wrong_passwords_are_refused_then_slowed_down(portal: Running) -> None:
    """401 a few times, then 429 with Retry-After; other names are not held up."""
    address = f"{portal.address}/api/views.json"
    answers = [requests.get(address, auth=("intruder", "guess"), timeout=30) for _ in range(7)]
    assert [answer.status_code for answer in answers[:5]] == [401] * 5
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert requests.get(address, auth=portal.login, timeout=30).status_code == 200
    assert requests.get(address, headers={"Authorization": "Basic !!!"}, timeout=30).status_code == 401


@pytest.mark.usefixtures("processes")
def test_the_first_account_stays(tmp_path: Path) -> None:
    """A second start creates no other account and changes no password; nothing holds the password but its file."""
    running = start(tmp_path / "state")
    secret = running.secret
    stop(running)
    running = start(tmp_path / "state")
    assert running.secret == secret
    with running.client() as client:
        publish(client, "Still mine", [])
    stop(running)
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.name != "writer.json":
            assert secret["password"].encode() not in file.read_bytes(), file


@pytest.mark.usefixtures("processes")
def test_two_first_starts_make_one_account(tmp_path: Path) -> None:
    """Whichever portal comes first on an empty store, the password in the file is the account's."""
    for number in range(5):
        state = tmp_path / str(number)
        stores = [PortalStore(state), PortalStore(state)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda store: first_account(store.accounts, store.root / "writer.json"), stores))
        password = json.loads((state / "writer.json").read_text())["password"]
        assert stores[0].accounts.check("publisher", password, "").username == "publisher"


def test_the_log_has_no_values(portal: Running) -> None:
    """Neither what is asked for nor what is written shows in the log."""
    canary = "canary-7431"
    with portal.client() as client:
        name = publish(client, "Quiet", [{"id": canary}])
        client.get(name, where=f"id = '{canary}'")
        client.delete(name, row_id=canary)
        for broken in ([{"id": "x", "requests": canary}], [{canary: 1}]):
            with pytest.raises(requests.HTTPError):
                client.upsert(name, broken)
    log = (portal.state.parent / "state.log").read_text()
    assert "/resource/" in log
    assert canary not in log


def test_metadata_travels_both_ways(portal: Running, web: requests.Session) -> None:
    """What is sent in a view comes back in it and in the metadata API, which changes it too."""
    fields: dict[str, Any] = {"Publisher": {"contact": "a@example.org", "stand_in": "true"}}
    with portal.client() as client:
        name = publish(client, "Described", [], metadata={"custom_fields": fields, "rowIdentifier": "id"})
        view = client.get_metadata(name)
        assert view["metadata"] == {"custom_fields": fields, "rowIdentifier": "id"}
        assert view["rowIdentifierColumnId"] == view["columns"][0]["id"]
        address = f"{portal.address}/api/views/metadata/v1/{name}"
        patched = requests.patch(
            address,
            json={"tags": ["x"], "customFields": {"Other": {"a": "b"}}},
            auth=portal.login,
            timeout=30,
        ).json()
        assert (patched["tags"], patched["customFields"]) == (["x"], fields | {"Other": {"a": "b"}})
        assert web.get(address).json() == patched
        assert patched in web.get(f"{portal.address}/api/views/metadata/v1").json()
        described = client.update_metadata(name, {"columns": [{"fieldName": "zone", "description": "Where"}]})
        assert {column["fieldName"]: column["description"] for column in described["columns"]}["zone"] == "Where"
        assert web.get(f"{portal.address}/api/views/{name}/permissions").json()["scope"] == "public"
        client.delete(name)


def test_names_of_accounts_are_for_accounts(portal: Running, web: requests.Session, sample: str) -> None:
    """A visitor reads a neutral name and id wherever someone with an account reads whose dataset it is."""
    name, _ = portal.login
    about = f"{portal.address}/api/views/{sample}"
    catalog = f"{portal.address}/api/catalog/v1?ids={sample}"
    shown = {"id": "open-data", "displayName": "Open data portal", "screenName": "Open data portal"}
    assert web.get(f"{about}.json").json()["owner"] == shown | {"type": "interactive"}
    assert web.get(f"{about}/permissions").json() == {"scope": "public"}
    assert web.get(f"{catalog}&for_user={name}").json()["results"] == []
    assert web.get(catalog).json()["results"][0]["owner"]["display_name"] == "Open data portal"
    known = web.get(f"{about}.json", auth=portal.login).json()
    assert (known["owner"]["id"], known["rowsUpdatedBy"]) == (name, name)
    assert web.get(f"{catalog}&for_user={name}", auth=portal.login).json()["resultSetSize"] == 1
    said = [web.get(f"{portal.address}/d/{sample}").text, web.get(f"{about}/rows.json").text]
    entries = web.get(f"{portal.address}/data.json").json()["dataset"]
    said += [str(entry) for entry in entries if sample in str(entry)]
    assert len(said) == 3
    assert not any(f'"name": "{name}"' in text or f"{name} (2" in text or f'"{name}"' in text for text in said)
