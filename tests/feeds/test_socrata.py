"""Records are fetched from a real Socrata-style portal, the embedded one, as it answers over HTTP."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from fetched_town import FetchedTown

from publisher.cli import main
from publisher.errors import SourceError
from publisher.feeds import fetch
from publisher.push.client import SocrataClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import RunningPortal

COLUMNS = {"number": True, "opened": True, "status": True, "caller": False}
ROWS = 2_500
FIELDS = [
    {"name": "number", "fieldName": "number", "dataTypeName": "text"},
    {"name": "opened", "fieldName": "opened", "dataTypeName": "calendar_date"},
    {"name": "status", "fieldName": "status", "dataTypeName": "text"},
    {"name": "caller", "fieldName": "caller", "dataTypeName": "text"},
]


def row(number: int, status: str = "open") -> dict[str, str]:
    day = f"2026-01-{1 + number % 28:02}T00:00:00.000"
    return {"number": str(number), "opened": day, "status": status, "caller": "Ann Example"}


@pytest.fixture
def client(portal: RunningPortal) -> Iterator[SocrataClient]:
    with SocrataClient(portal.target()) as made:
        yield made


@pytest.fixture
def dataset(client: SocrataClient, request: pytest.FixtureRequest) -> str:
    """A private dataset with all rows from one write, so that all have the same `:updated_at`."""
    fields = {"name": f"Requests {request.node.name}", "columns": FIELDS}
    named = {"row_identifier": "number"}
    view = client.create(request.node.name, fields | {"metadata": {"rowIdentifier": "number"}} | named)
    client.upsert(view.id, [row(number) for number in range(ROWS)])
    client.publish(view.id)
    return view.id


def town_of(root: Path, portal: RunningPortal, dataset: str, more: str = "") -> FetchedTown:
    feed = f'kind = "socrata"\ndomain = "{portal.host}"\ndataset = "{dataset}"\npage_size = 400\n{more}'
    town = FetchedTown.made(root, feed, COLUMNS, key="number", time="opened")
    town.edit('"%Y-%m-%d", ', '"%Y-%m-%dT%H:%M:%S.%f", ')
    town.edit("timeout = 1\n", "timeout = 60\n")
    return town


def test_a_portal_is_read_row_by_row(
    portal: RunningPortal, client: SocrataClient, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of rows of one time come page by page; then only what was changed and added, and nothing twice."""
    client.open(dataset, public=True)
    town = town_of(tmp_path / "town", portal, dataset)
    monkeypatch.setattr(fetch, "STEP", 1_000)
    assert town.land().new == 3
    assert town.rows("number, status") == sorted((str(number), "open") for number in range(ROWS))
    client.upsert(dataset, [row(5, "closed"), row(9_999, "new")])
    town.land()
    expected = {str(number): "open" for number in range(ROWS)} | {"5": "closed", "9999": "new"}
    assert town.rows("number, status") == sorted(expected.items())


def test_a_private_dataset_needs_an_account(
    portal: RunningPortal, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one it cannot be read; with one from the environment it can, and the password stays there."""
    town = town_of(tmp_path / "town", portal, dataset)
    with pytest.raises(SourceError, match=r"HTTP 40[134]"):
        town.land()
    monkeypatch.setenv("TOWN_USER", portal.account["username"])
    monkeypatch.setenv("TOWN_PASSWORD", portal.account["password"])
    town.edit("page_size = 400", 'page_size = 400\nuser = { env = "TOWN_USER" }\npassword = { env = "TOWN_PASSWORD" }')
    assert fetch.check(town.source) == ()
    town.land()
    assert len(town.rows("number")) == ROWS
    assert portal.account["password"].encode() not in town.held()
    monkeypatch.setenv("TOWN_PASSWORD", "not-it")
    with pytest.raises(SourceError, match="refuses access") as error:
        town.land()
    assert "not-it" not in str(error.value)


def test_a_draft_of_a_private_dataset(
    portal: RunningPortal, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The portal's own columns and row identifier; the account is named in the draft and never given."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "heads"))
    monkeypatch.setenv("TOWN_USER", portal.account["username"])
    secret = tmp_path / "secret"
    secret.write_text(portal.account["password"] + "\n")
    desk = tmp_path / "desk"
    assert CliRunner().invoke(main, ["init", str(desk)]).exit_code == 0
    address = ["--from", f"{portal.url}/d/{dataset}", "--yes"]
    answer = CliRunner().invoke(main, ["-C", str(desk), "add", "requests", *address])
    assert (answer.exit_code, list((desk / "pipelines").iterdir())) == (5, []), answer.output
    account = ["--user", "TOWN_USER", "--password", str(secret)]
    answer = CliRunner().invoke(main, ["-C", str(desk), "add", "requests", *address, *account])
    assert answer.exit_code == 0, answer.output
    text = (desk / "pipelines" / "requests.toml").read_text()
    found = tomllib.loads(text)
    assert (list(found["columns"]), found["record_id"], found["event"]["column"]) == ([*COLUMNS], ["number"], "opened")
    assert (found["feed"]["user"], found["feed"]["password"]) == ({"env": "TOWN_USER"}, {"file": str(secret)})
    assert portal.account["password"] not in text
    assert "Ann" not in text


def test_columns_are_checked_against_the_portal(
    portal: RunningPortal, client: SocrataClient, dataset: str, tmp_path: Path
) -> None:
    """A column that the dataset does not have is named, with what may be meant, before anything is fetched."""
    client.open(dataset, public=True)
    town = town_of(tmp_path / "town", portal, dataset)
    town.edit('"status" =', '"statuses" =')
    with pytest.raises(SourceError, match=r"not in the dataset: 'statuses': do you mean status\?"):
        fetch.check(town.source)
    with pytest.raises(SourceError, match=r"does not accept the request \(HTTP 400\): check that it has the columns"):
        town.land()
