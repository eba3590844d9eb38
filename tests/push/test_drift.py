"""What someone else changed on the portal is found, shown, and set back; what was deleted there is made again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from click.testing import CliRunner
from push_desk import TITLES, Desk
from push_examples import QUICK, listing, release
from release_examples import ready
from test_changed_rows import Remembering

from publisher.cli import main
from publisher.commands.drift import Drift
from publisher.commands.layout import table
from publisher.errors import PortalError
from publisher.journal.journal import read_entries
from publisher.push.client import DeletedError, SocrataClient
from publisher.push.drift import plain
from publisher.push.listing import PortalDifference
from publisher.push.sync import drifted

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Broken, Handler, Running


def differing(desk: Desk) -> dict[tuple[str, str], PortalDifference]:
    """All that differs, by table and thing; nothing is written to find it."""
    desk.broken.requests.clear()
    with SocrataClient(desk.portal.target(desk.broken.url), QUICK) as client:
        found = drifted(desk.place, desk.catalog, client, desk.dataset)
    assert desk.broken.writes == []
    return {(name, each.what): each for name, _, each in found}


def edited(desk: Desk, level: str, **fields: Any) -> None:
    """Someone else edits metadata on the portal."""
    target = desk.portal.target()
    address = f"{desk.portal.url}/api/views/{desk.id(level)}.json"
    answer = requests.put(address, json=fields, auth=(target.username, target.password), timeout=20)
    assert answer.status_code == 200, answer.text


def reasons(desk: Desk) -> list[str]:
    """What the journal says of each push."""
    return [entry.fact.reason for entry in read_entries(desk.catalog.journal) if entry.fact.kind == "push"]


def test_metadata_goes_alone(desk: Desk) -> None:
    """Changed words are one request for each table that has them, and no row is read or sent; the journal says so. The
    next push still knows that the rows are as they were."""
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    desk.edit("How many requests were made.", "How many requests people made.")
    assert differing(desk)["weekly", "description"].changed == "here"
    desk.describe()
    assert sorted(desk.broken.writes) == sorted(f"PUT /api/views/{desk.id(level)}.json" for level in TITLES)
    assert not [each for each in desk.broken.requests if "/resource" in each]
    assert desk.view("")["description"] == "How many requests people made."
    assert (desk.notes, reasons(desk)[-3:]) == ([], ["metadata only"] * 3)
    desk.describe()
    assert (desk.broken.writes, len(reasons(desk))) == ([], 6)
    desk.push()
    assert desk.broken.writes == []
    assert len([each for each in desk.broken.requests if "/resource" in each]) == len(TITLES)  # rows are counted
    assert differing(desk) == {}


def test_metadata_never_runs_ahead_of_rows(desk: Desk) -> None:
    """With another release current, or a table that is not there, metadata alone would say what the rows are not."""
    ready(desk.catalog, desk.dataset, "2018-W01")
    with pytest.raises(PortalError, match="has no dataset weekly"):
        desk.describe()
    desk.push()
    ready(desk.catalog, desk.dataset, "2018-W02")
    with pytest.raises(PortalError, match="push without --metadata-only"):
        desk.describe()
    assert desk.broken.writes == []
    shown = differing(desk)["weekly", "releases"]
    assert (shown.there, shown.here) == ("without 2018-W02/1", "2018-W01/1, 2018-W02/1")
    assert differing(desk)["weekly", "rows"].there == "5: 5 missing"


def test_what_someone_else_changed_is_shown_before_it_is_set_back(desk: Desk) -> None:
    """Texts, license, our own fields, a column's words, a file and a row: drift names each with both values and says
    that it was changed there; a push prints them before its first write, and leaves no difference."""
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    view = desk.view("")
    held = view["metadata"]
    ours = held["custom_fields"]["Publisher"] | {"contact": "someone@example.org"}
    files = [each for each in held["attachments"] if each["filename"] != "guarantee.json"]
    columns = [view["columns"][0] | {"name": "Their id"}]
    metadata = held | {"attachments": files, "custom_fields": held["custom_fields"] | {"Publisher": ours}}
    edited(desk, "", description="Theirs \x1b[31m now", licenseId="PUBLIC_DOMAIN", metadata=metadata, columns=columns)
    target = desk.portal.target()
    address = f"{desk.portal.url}/resource/{desk.id('city')}.json"
    row = {"id": desk.rows("city")[0]["id"], "requests": "99"}
    assert requests.post(address, json=[row], auth=(target.username, target.password), timeout=20).ok
    found = differing(desk)
    assert {what: each.changed for (name, what), each in found.items() if name == "weekly"} == {
        "description": "there",
        "license": "there",
        "title of id": "there",
        "field contact": "there",
        "file guarantee.json": "",
    }
    assert found["weekly", "field contact"].there == "someone@example.org"
    rows = found["weekly-city", "rows"]
    assert (rows.there, rows.here, rows.changed, rows.ids) == ("1: 1 different", "1", "there", (row["id"],))
    assert len(found) == 6

    told: list[str] = []

    def note(words: str) -> None:
        written = [
            each for each in desk.broken.writes if desk.id("" if words.startswith("weekly:") else "city") in each
        ]
        assert written == []
        told.append(words)

    desk.notes = type("Notes", (list,), {"append": lambda _, words: note(words)})()
    desk.push()
    assert len(told) == 5
    assert (
        "weekly: someone changed this on the portal since the last push, and it is set back: description. "
        "There: Theirs ?[31m now. Here: How many requests"
    ) in told[0]
    assert "weekly-city: someone changed this on the portal since the last push, and it is set back: rows." in told[-1]
    assert reasons(desk)[-2:] == ["set back: description, license, title of id, field contact", "set back: rows"]
    assert differing(desk) == {}
    assert desk.view("")["licenseId"] == view["licenseId"]


def test_a_deleted_dataset_is_made_again_when_a_person_says_so(desk: Desk) -> None:
    """A push refuses in one line and writes nothing; with `rebuild` the table is there again under its name, id and
    address, nothing that was kept of the one before is taken for it, and the journal says so."""
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    before, known = {level: desk.rows(level) for level in TITLES}, {level: desk.id(level) for level in TITLES}
    address = f"{desk.portal.url}/resource/{known['city']}.json"
    mark = requests.get(address, timeout=20).headers["ETag"]
    target = desk.portal.target()
    gone = f"{desk.portal.url}/api/views/{known['city']}.json"
    assert requests.delete(gone, auth=(target.username, target.password), timeout=20).ok
    found = differing(desk)
    assert [(key, each.there, each.changed) for key, each in found.items()] == [
        (("weekly-city", "dataset"), "deleted", "there")
    ]
    with pytest.raises(DeletedError, match=rf"/d/{known['city']} was deleted there: `publisher push --rebuild`"):
        desk.push()
    assert desk.broken.writes == []
    desk.push(rebuild=True)
    assert desk.notes == ["weekly-city: was deleted there, and is made again at the same address"]
    assert {level: desk.rows(level) for level in TITLES} == before
    assert {level: desk.id(level) for level in TITLES} == known
    assert requests.get(address, timeout=20).headers["ETag"] != mark
    assert reasons(desk)[-1] == "made again after it was deleted there"
    assert differing(desk) == {}


def test_a_portal_that_does_not_give_the_id_back(portal: Running, broken: Broken, tmp_path: Path) -> None:
    """As Socrata: the dataset gets a new id, which is remembered, and both addresses are told."""
    pusher, week = Remembering(portal, broken), release(tmp_path, "again", 3)
    before = pusher.push(listing("again-new"), week)
    target = portal.target()
    address = f"{portal.url}/api/views/{before.dataset_id}.json"
    requests.delete(address, auth=(target.username, target.password), timeout=20)

    def ignored(handler: Handler) -> bool:
        handler.body = json.dumps({k: v for k, v in json.loads(handler.body).items() if k != "id"}).encode()
        handler.headers.replace_header("Content-Length", str(len(handler.body)))
        return False

    broken.faults["POST /api/views.json"] = [ignored]
    after = pusher.push(listing("again-new"), week, rebuild=True)
    assert after.dataset_id == pusher.id != before.dataset_id
    assert (after.before, after.checksum) == (before.url, before.checksum)


def test_an_id_that_is_in_use_is_not_given_away(portal: Running) -> None:
    """A new view that asks for the id of another dataset, or for what is none, gets one of its own."""
    target = portal.target()
    auth, address = (target.username, target.password), f"{portal.url}/api/views.json"
    first = requests.post(address, json={"name": "First"}, auth=auth, timeout=20).json()["id"]
    try:
        for wanted in (first, "../../etc", "ABCD-EFGH", 7, None):
            made = requests.post(address, json={"name": "Other", "id": wanted}, auth=auth, timeout=20).json()["id"]
            assert made not in (first, wanted)
            assert len(made) == 9
            requests.delete(f"{portal.url}/api/views/{made}.json", auth=auth, timeout=20)
        assert requests.get(f"{portal.url}/api/views/{first}.json", auth=auth, timeout=20).json()["name"] == "First"
    finally:
        requests.delete(f"{portal.url}/api/views/{first}.json", auth=auth, timeout=20)


def test_rows_that_are_there_are_not_sent_again(portal: Running, broken: Broken, tmp_path: Path) -> None:
    """Counted in what reaches the portal: a new week sends its own rows, a row that someone changed is sent alone, and
    pushing again sends none, also where nothing is known of the last push."""
    pusher, what, sent = Remembering(portal, broken), listing("counted-rows"), []

    def counting(handler: Handler) -> bool:
        sent.append(len(json.loads(handler.body)))
        return False

    def rows_of(*numbers: int, forget: bool = False) -> int:
        sent.clear()
        broken.faults["POST /resource"] = [counting] * 50
        if forget:
            pusher.last = None
        pusher.push(what, *(release(tmp_path, "counted-rows", number) for number in numbers))
        return sum(sent)

    assert [rows_of(1, 2), rows_of(1, 2), rows_of(1, 2, 3)] == [24, 0, 12]
    assert [rows_of(1, 2, 3, forget=True), broken.writes] == [0, []]
    target = portal.target()
    address = f"{portal.url}/resource/{pusher.id}.json"
    theirs = [{"id": "2018-W02.5", "requests": "99"}]
    requests.post(address, json=theirs, auth=(target.username, target.password), timeout=20)
    assert rows_of(1, 2, 3) == 1
    assert pusher.last is not None
    assert pusher.last.set_back == ("rows",)


def test_drift_as_a_command(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 where all is as it should be, 6 where not; JSON for programs. No landed record is there to be read."""
    settings = desk.place.root / "publisher.toml"
    before = f'url = "{desk.broken.url}"'
    settings.write_text(settings.read_text() + f'\n[portal]\nkind = "embedded"\n{before}\n')
    target = desk.portal.target()
    monkeypatch.setenv("SOCRATA_USERNAME", target.username)
    monkeypatch.setenv("SOCRATA_PASSWORD", target.password)
    monkeypatch.setenv("SOCRATA_APP_TOKEN", target.app_token)
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    assert not (desk.place.private / "landed").exists()
    command = ["-C", str(desk.place.root), "drift"]
    answer = CliRunner().invoke(main, command)
    assert (answer.exit_code, answer.stdout) == (0, "The portal says what it should.\n")
    edited(desk, "districts", name="Theirs")
    answer = CliRunner().invoke(main, [*command, "weekly", "--json"])
    (told,) = json.loads(answer.stdout)
    assert answer.exit_code == 6
    assert told == {
        "table": "weekly-districts",
        "page": f"{desk.broken.url}/d/{desk.id('districts')}",
        "what": "title",
        "there": "Theirs",
        "here": TITLES["districts"],
        "changed": "there",
        "ids": [],
    }


def test_drift_fits_a_terminal() -> None:
    """Two long values are shown from where they differ, in 80 columns, without what a terminal would obey."""
    text = "A long description that says how things were counted. " * 9
    long = PortalDifference("description", f"{text}Theirs\x1b]0;x\x07", f"{text}Ours", "there")
    rows = PortalDifference("rows", "1,203: 1 missing, 3 different", "1,204", "", ("2018-W01.north-end", "x"))
    shown = [Drift("stlouis-requests-districts", "http://x", each).row for each in (long, rows)]
    assert shown[0][2:] == ("…re counted. Theirs?]0;x?", "…re counted. Ours", "there")
    lines = [*table(("table", "what", "there", "here", "changed"), shown, 80, lambda part, _: part, [False] * 5)]
    assert max(map(len, lines)) <= 80
    assert plain(" \n") == "nothing"
