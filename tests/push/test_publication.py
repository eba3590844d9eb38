"""A dataset on a real portal becomes exactly its releases, whatever happens in between."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import requests
from push_examples import COLUMNS, FILES, QUICK, SMALL, listing, release

from publisher.errors import PortalError, SourceError
from publisher.push.client import RetryPolicy, SocrataClient, UnreachableError
from publisher.push.publication import Publication, publish
from publisher.push.target import Target
from publisher.push.verification import verify
from publisher.release.manifest import Release

if TYPE_CHECKING:
    from conftest import Broken, Handler, Running

    from publisher.push.listing import Listing

EXAMPLES = Path(__file__).with_name("push_examples.py")


class Pusher:
    """Pushes to the portal through the broken server, remembering the dataset's id."""

    def __init__(self, portal: Running, broken: Broken) -> None:
        self.portal, self.broken = portal, broken
        self.id: str | None = None

    def push(self, what: Listing, *releases: Release, chunk: int = SMALL, **options: Any) -> Publication:
        self.broken.requests.clear()
        with SocrataClient(self.portal.target(self.broken.url), QUICK, chunk=chunk) as client:
            return publish(client, what, releases, known_id=self.id, remember=self._remember, **options)

    def verify(self, what: Listing, *releases: Release) -> Publication:
        with SocrataClient(self.portal.target(), QUICK) as client:
            return verify(client, what, releases, self.id)

    def _remember(self, identifier: str) -> None:
        self.id = identifier


@pytest.fixture
def pusher(portal: Running, broken: Broken) -> Pusher:
    return Pusher(portal, broken)


def public_rows(portal: Running, identifier: str) -> list[dict[str, str]]:
    """What anybody reads."""
    reply = requests.get(
        f"{portal.url}/resource/{identifier}.json", params={"$limit": 5000, "$order": "id"}, timeout=20
    )
    assert reply.status_code == 200, reply.text
    rows: list[dict[str, str]] = reply.json()
    return rows


def assets(portal: Running, title: str) -> list[str]:
    """The ids of all datasets of that title, private ones too."""
    target = portal.target()
    found = requests.get(f"{portal.url}/api/views.json", auth=(target.username, target.password), timeout=20).json()
    return [view["id"] for view in found if view["name"] == title]


def test_a_dataset_is_created_whole_and_described(portal: Running, pusher: Pusher, tmp_path: Path) -> None:
    """A first push creates, fills in chunks, publishes and opens the dataset; types, keys and metadata stand there."""
    what, week = listing("whole"), release(tmp_path, "whole", 3)
    told: list[tuple[int, int]] = []
    made = pusher.push(what, week, progress=lambda done, total: told.append((done, total)))
    assert (made.dataset_id, made.rows, made.changed) == (pusher.id, 12, True)
    assert told[-1] == (12, 12)
    assert len(told) > 1
    rows = public_rows(portal, made.dataset_id)
    assert len(rows) == 12
    assert rows[0] == {
        "id": "2018-W03.0",
        "period": "2018-W03",
        "period_start": "2018-01-15T00:00:00.000",
        "place": "0",
        "place_name": "Neighborhood “0” Ñ",
        "requests_status": "suppressed",
        "edition": "1",
    }
    assert rows[1]["requests"] == "1.3"
    view = requests.get(f"{portal.url}/api/views/{made.dataset_id}.json", timeout=20).json()
    assert view["name"] == "[Sample] Example whole"
    assert view["licenseId"] == "CC0_10"
    assert view["metadata"]["rowIdentifier"] == "id"
    assert [(c["fieldName"], c["dataTypeName"], c["description"]) for c in view["columns"]] == [
        (c.name, c.type, c.description) for c in COLUMNS
    ]
    assert view["metadata"]["custom_fields"]["Publisher"]["guarantee"] == what.guarantee
    assert made.url == f"{pusher.broken.url}/d/{made.dataset_id}"
    assert pusher.verify(what, week).checksum == made.checksum


def test_pushing_again_changes_nothing(portal: Running, pusher: Pusher, tmp_path: Path) -> None:
    """A push of what stands there makes no write request, and the portal's version mark stays."""
    what, week = listing("again"), release(tmp_path, "again", 3)
    first = pusher.push(what, week)
    address = f"{portal.url}/resource/{first.dataset_id}.json"
    mark = requests.get(address, timeout=20).headers["ETag"]
    again = pusher.push(what, week)
    assert pusher.broken.writes == []
    assert (again.changed, again.checksum) == (False, first.checksum)
    assert requests.get(address, timeout=20).headers["ETag"] == mark


def test_readers_are_told_while_rows_change(portal: Running, pusher: Pusher, tmp_path: Path) -> None:
    """Where releases are listed the metadata say so before the first row changes, after a push that was cut off too."""
    what = replace(listing("told"), facts={"releases": "[]"})
    pusher.push(what, release(tmp_path, "told", 3))
    held = f"{portal.url}/api/views/{pusher.id}.json"

    def unfinished() -> bool:
        return "unfinished" in requests.get(held, timeout=20).json()["metadata"]["custom_fields"]["Publisher"]

    mended = release(tmp_path, "told", 3, edition=2, places=9, shift=1.0)
    pusher.broken.faults["POST /resource"] = [refused(400)]
    with pytest.raises(PortalError):
        pusher.push(what, mended)
    assert unfinished()
    assert pusher.push(what, mended).changed
    assert not unfinished()
    assert not pusher.push(what, mended).changed


def test_editions_weeks_and_rollback(portal: Running, pusher: Pusher, tmp_path: Path) -> None:
    """A new week adds rows, a new edition changes them, fewer releases remove them; what fits is one request."""
    what = listing("weeks")
    third, fourth = release(tmp_path, "weeks", 3), release(tmp_path, "weeks", 4)
    mended = release(tmp_path, "weeks", 3, edition=2, places=9, shift=1.0)
    first = pusher.push(what, third)
    assert pusher.push(what, third, fourth, chunk=10**6).rows == 24
    assert pusher.broken.writes == [f"POST /resource/{pusher.id}.json"]
    both = pusher.push(what, mended, fourth, chunk=10**6)
    assert (both.rows, pusher.broken.writes) == (21, [f"POST /resource/{pusher.id}.json"])
    rows = public_rows(portal, both.dataset_id)
    assert [row["edition"] for row in rows] == ["2"] * 9 + ["1"] * 12
    assert rows[1]["requests"] == "2.3"
    back = pusher.push(what, third)
    assert (back.rows, back.checksum) == (12, first.checksum)
    assert pusher.verify(what, third).checksum == first.checksum


def test_a_value_that_becomes_suppressed_is_emptied(portal: Running, pusher: Pusher, tmp_path: Path) -> None:
    """An empty cell of a new edition empties the portal's: the old value does not stay."""
    what = listing("emptied")
    pusher.push(what, release(tmp_path, "emptied", 3))
    assert "requests" in public_rows(portal, str(pusher.id))[1]
    pusher.push(what, release(tmp_path, "emptied", 3, edition=2, suppressed=2))
    assert "requests" not in public_rows(portal, str(pusher.id))[1]


def test_metadata_follows(portal: Running, pusher: Pusher, tmp_path: Path) -> None:
    """Changed words are brought over in one metadata request, and nobody else's fields are lost."""
    week = release(tmp_path, "words", 3)
    pusher.push(listing("words"), week)
    account = (portal.target().username, portal.target().password)
    address = f"{portal.url}/api/views/{pusher.id}.json"
    held = requests.get(address, timeout=20).json()["metadata"]
    held["custom_fields"]["Office"] = {"room": "12"}
    requests.put(address, json={"metadata": held}, auth=account, timeout=20)
    columns = (COLUMNS[0].model_copy(update={"title": "Row id"}), *COLUMNS[1:])
    what = listing("words", description="Better words.", guarantee="# Better", columns=columns, tags=("b", "a"))
    with pytest.raises(PortalError, match="the metadata differs: description, tags, metadata, columns"):
        pusher.verify(what, week)
    assert pusher.push(what, week).changed
    assert pusher.broken.writes == [f"PUT /api/views/{pusher.id}.json"]
    view = requests.get(address, timeout=20).json()
    assert view["metadata"]["custom_fields"]["Office"] == {"room": "12"}
    assert (view["description"], view["columns"][0]["name"]) == ("Better words.", "Row id")
    assert not pusher.push(what, week).changed


def test_a_new_column_is_added(pusher: Pusher, tmp_path: Path) -> None:
    """A column that the portal lacks is added; one that it should not have stops the push."""
    week = release(tmp_path, "wider", 3)
    narrow = listing("wider", columns=tuple(column for column in COLUMNS if column.name != "place_name"))
    pusher.push(narrow, week)
    with pytest.raises(PortalError, match="the columns differ: place_name"):
        pusher.verify(listing("wider"), week)
    pusher.push(listing("wider"), week)
    pusher.verify(listing("wider"), week)
    with pytest.raises(PortalError, match="the columns place_name are not those of wider"):
        pusher.push(narrow, week)


def test_retraction(portal: Running, pusher: Pusher, tmp_path: Path) -> None:
    """Without any release the dataset is closed to the public; the next push opens it again under the same id."""
    what, week = listing("retracted"), release(tmp_path, "retracted", 3)
    identifier = pusher.push(what, week).dataset_id
    assert pusher.push(what).changed
    assert requests.get(f"{portal.url}/resource/{identifier}.json", timeout=20).status_code == 403
    pusher.verify(what)
    with pytest.raises(PortalError, match="is not public"):
        pusher.verify(what, week)
    assert not pusher.push(what).changed
    assert pusher.push(what, week).dataset_id == identifier
    pusher.verify(what, week)
    with pytest.raises(PortalError, match="no dataset never-there to retract"):
        Pusher(portal, pusher.broken).push(listing("never-there"))


def test_verify_names_rows_that_differ(portal: Running, pusher: Pusher, tmp_path: Path) -> None:
    """Verifying names a row that was changed on the portal, and the next push mends it."""
    what, week = listing("meddled"), release(tmp_path, "meddled", 3)
    pusher.push(what, week)
    account = (portal.target().username, portal.target().password)
    meddled = {"id": "2018-W03.4", "requests": "99"}
    requests.post(f"{portal.url}/resource/{pusher.id}.json", json=[meddled], auth=account, timeout=20)
    with pytest.raises(PortalError, match=r"rows that differ: 2018-W03\.4$"):
        pusher.verify(what, week)
    assert pusher.push(what, week).changed
    pusher.verify(what, week)


def test_the_marker_finds_a_dataset_whose_id_was_lost(portal: Running, pusher: Pusher, tmp_path: Path) -> None:
    """A lost or outdated id leads to the dataset that carries our name; another's dataset is left alone."""
    what, week = listing("marked"), release(tmp_path, "marked", 3)
    identifier = pusher.push(what, week).dataset_id
    for lost in (None, "zzzz-zzzz"):
        pusher.id = lost
        assert pusher.push(what, week).dataset_id == identifier == pusher.id
    renamed = listing("marked", title="Another title")
    pusher.id = None
    assert pusher.push(renamed, week).dataset_id == identifier
    with pytest.raises(PortalError, match="is not the dataset other"):
        pusher.push(listing("other"), week)


def lost(handler: Handler) -> bool:
    """The portal carries the request out, the answer never arrives."""
    handler.passed_on()
    handler.lose()
    return True


def refused(status: int, headers: dict[str, str] | None = None) -> Any:
    """The portal is busy and does nothing."""

    def fault(handler: Handler) -> bool:
        handler.answer(status, {"message": "busy"}, {"Content-Type": "application/json", **(headers or {})})
        return True

    return fault


def dropped(handler: Handler) -> bool:
    """The connection breaks before anything is done."""
    handler.lose()
    return True


def accepted(handler: Handler) -> bool:
    """The portal carries the request out later, and says so."""
    handler.passed_on()
    handler.answer(202, {"code": "accepted"})
    return True


FAULTS = {
    "lost": lost,
    "dropped": dropped,
    "accepted": accepted,
    "throttled": refused(429, {"Retry-After": "0"}),
    "unavailable": refused(503),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_may_pass_is_tried_again(portal: Running, pusher: Pusher, tmp_path: Path, name: str) -> None:
    """Any request may be lost, throttled or put off twice: the push ends whole, in one dataset."""
    week, mended = release(tmp_path, name, 3), release(tmp_path, name, 3, edition=2, places=7)
    faults = [FAULTS[name]] * 2
    for part in ("GET /resource", "POST /resource", "POST /api/views.json", "publication", "setPermission"):
        pusher.broken.faults[part] = [*faults]
    pusher.push(listing(name), week)
    pusher.broken.faults["POST /resource"] = [*faults]
    pusher.push(listing(name), mended)
    pusher.verify(listing(name), mended)
    assert assets(portal, f"[Sample] Example {name}") == [pusher.id]


def test_a_portal_that_stays_away_fails_the_push(portal: Running, pusher: Pusher, tmp_path: Path) -> None:
    """After the last try the push fails in one line; what cannot pass is tried once."""
    what, week = listing("away"), release(tmp_path, "away", 3)
    pusher.broken.faults["POST /resource"] = [refused(503)] * 4
    with pytest.raises(PortalError, match="cannot write the rows: HTTP 503"):
        pusher.push(what, week)
    assert len([request for request in pusher.broken.writes if "resource" in request]) == 4
    pusher.broken.faults["POST /resource"] = [refused(400)]
    with pytest.raises(PortalError, match="cannot write the rows: HTTP 400"):
        pusher.push(what, week)
    assert len([request for request in pusher.broken.writes if "resource" in request]) == 1
    assert requests.get(f"{portal.url}/resource/{pusher.id}.json", timeout=20).status_code == 403
    pusher.push(what, week)
    pusher.verify(what, week)


def test_errors_in_the_counters_fail_the_push(pusher: Pusher, tmp_path: Path) -> None:
    """Status 200 with an error counted, or fewer rows than sent, fails the push and names the rows left out."""
    what, week = listing("counted"), release(tmp_path, "counted", 3)
    zero = {"Rows Created": 0, "Rows Updated": 0, "Rows Deleted": 0, "By RowIdentifier": 0, "By SID": 0}
    for counters, words in (
        ({"Errors": 1, **zero, "Rows Created": 11}, "of 12 rows sent, the portal accepted 11 and refused 1"),
        ({"Errors": 0, **zero, "Rows Created": 11}, "of 12 rows sent, the portal accepted 11 and refused 0"),
    ):

        def lying(handler: Handler, counters: dict[str, int] = counters) -> bool:
            handler.answer(200, counters)
            return True

        pusher.broken.faults["POST /resource"] = [lying]
        with pytest.raises(PortalError, match=words) as caught:
            pusher.push(what, week, chunk=10**6)
        assert "2018-W03.0, 2018-W03.1" in str(caught.value)
    pusher.push(what, week)
    pusher.verify(what, week)


def test_a_portal_that_stores_something_else_fails_the_push(portal: Running, pusher: Pusher, tmp_path: Path) -> None:
    """Right counters are not believed: a row stored with another value is found when it is read back."""
    what, week = listing("altered"), release(tmp_path, "altered", 3)

    def altered(handler: Handler) -> bool:
        handler.body = handler.body.replace(b'"1.3"', b'"1.4"')
        handler.headers.replace_header("Content-Length", str(len(handler.body)))
        return False

    pusher.broken.faults["POST /resource"] = [altered]
    with pytest.raises(PortalError, match=r"not those sent: 12 of 12 rows; rows that differ: 2018-W03\.1$"):
        pusher.push(what, week)
    assert requests.get(f"{portal.url}/resource/{pusher.id}.json", timeout=20).status_code == 403


def pushing(portal: Running, broken: Broken, folder: Path) -> subprocess.Popen[bytes]:
    """A push of the folder's releases in a process of its own."""
    return subprocess.Popen([sys.executable, str(EXAMPLES), broken.url, str(portal.writer), str(folder)])


def completed(portal: Running, folder: Path, releases: list[Release]) -> Publication:
    """The next push, which leaves one dataset, whole and open."""
    what, known = listing(folder.name, files=FILES), folder / "id"
    with SocrataClient(portal.target(), QUICK) as client:
        identifier = known.read_text() if known.exists() else None
        publish(client, what, releases, known_id=identifier, remember=lambda made: (known.write_text(made), None)[1])
        done = verify(client, what, releases, known.read_text())
    assert assets(portal, what.shown_title) == [done.dataset_id]
    return done


def test_a_killed_push_is_completed_by_the_next(portal: Running, broken: Broken, tmp_path: Path) -> None:
    """Killed after any of its requests, a first push is completed by the next, in one dataset."""
    numbers = []
    for number in range(1, 40):
        folder = tmp_path / f"killed-{number}"
        weeks = [release(folder, folder.name, week, places=5) for week in (3, 4)]
        broken.requests.clear()
        with pushing(portal, broken, folder) as process:
            broken.after = lambda _, count, process=process, number=number: count == number and kill(process)  # type: ignore[misc]
            process.wait(30)
        completed(portal, folder, weeks)
        if process.returncode == 0:
            break
        numbers.append(number)
    assert len(numbers) > 8


def kill(process: subprocess.Popen[bytes]) -> bool:
    """Kills it, as a power cut would."""
    process.kill()
    return True


def test_a_push_killed_at_random_moments_is_completed(portal: Running, broken: Broken, tmp_path: Path) -> None:
    """The same at moments that nobody chose, over a dataset that grows and may be public already."""
    folder, weeks, killed = tmp_path / "moments", [], 0
    for week in range(1, 5):
        weeks.append(release(folder, "moments", week, places=9))
        broken.requests.clear()
        with pushing(portal, broken, folder) as process:
            while not broken.requests and process.poll() is None:
                time.sleep(0.005)
            time.sleep(random.uniform(0.0, 0.3))
            process.kill()
        killed += process.returncode != 0
    done = completed(portal, folder, weeks)
    assert done.rows == 36
    assert killed > 0


def test_stand_ins_never_go_to_a_public_portal(tmp_path: Path) -> None:
    """A Socrata domain refuses made-up data before any request, whether the listing or a release says so."""
    week = release(tmp_path, "refused", 3)
    target = Target("https://data.example.invalid", True, "name", "secret-password", "secret-token")
    for stand_in in (True, False):
        with (
            SocrataClient(target, QUICK) as client,
            pytest.raises(PortalError, match=r"stand-in data, which never goes to https://data\.example\.invalid"),
        ):
            publish(client, listing("refused", stand_in=stand_in), [week], known_id=None, remember=lambda _: None)


def silent(handler: Handler) -> bool:
    """No answer comes, and the connection stays."""
    time.sleep(0.3)
    handler.lose()
    return True


def test_who_cannot_be_reached_is_told_from_who_breaks_off(portal: Running, broken: Broken) -> None:
    """A refused connection and a portal that keeps still concern every dataset; a broken answer perhaps this one."""
    once = RetryPolicy(attempts=2, first=0.01, longest=0.02)
    quick = replace(portal.target(broken.url), timeout=0.1)
    with SocrataClient(replace(quick, url="http://127.0.0.1:1"), once) as client, pytest.raises(UnreachableError):
        client.find("x", "y")
    broken.faults["GET"] = [silent] * 2
    with SocrataClient(quick, once) as client, pytest.raises(UnreachableError, match="did not answer in time"):
        client.find("x", "y")
    broken.faults["GET"] = [dropped] * 2
    with SocrataClient(portal.target(broken.url), once) as client, pytest.raises(PortalError) as caught:
        client.find("x", "y")
    assert type(caught.value) is PortalError


def test_credentials_stay_out_of_messages(portal: Running, broken: Broken, caplog: pytest.LogCaptureFixture) -> None:
    """No error, repr or log line shows a password or token, nor a value that was sent."""
    caplog.set_level("DEBUG")
    target = Target(broken.url, False, "nobody", "secret-password", "secret-token", timeout=20)
    locked = Target(broken.url, False, "nobody", "secret-password", portal.target().app_token, timeout=20)
    away = Target("http://127.0.0.1:1", False, "nobody", "secret-password", "secret-token", timeout=1)
    texts = [repr(target)]
    for where in (target, locked, away):
        with SocrataClient(where, QUICK) as client, pytest.raises(PortalError) as caught:
            client.find("x", "y")
        texts.append(str(caught.value))
    assert "HTTP 403 Invalid app_token specified: check SOCRATA_USERNAME" in texts[1]
    assert "HTTP 401 Invalid username or password: check SOCRATA_USERNAME" in texts[2]
    assert "cannot be reached" in texts[3]
    with SocrataClient(portal.target(), QUICK) as client, pytest.raises(PortalError) as caught:
        client.upsert("zzzz-zzzz", [{"id": "secret-value"}])
    texts += [str(caught.value), *(record.getMessage() for record in caplog.records)]
    assert "HTTP 404 dataset.missing" in texts[4]
    assert portal.target().app_token not in "".join(texts)
    assert not [text for text in texts if "secret" in text]


def test_rows_must_be_told_apart(pusher: Pusher, tmp_path: Path) -> None:
    """Two releases with one row id, or a table without its columns, are refused before anything is sent."""
    what = listing("twice")
    first, second = release(tmp_path, "twice", 3), release(tmp_path, "twice", 3, edition=2)
    with pytest.raises(PortalError, match=r"twice/2018-W03/2: the row 2018-W03\.0 is also in another release"):
        pusher.push(what, first, second)
    pq.write_table(pq.read_table(first.data).drop_columns(["place"]), first.data)
    with pytest.raises(PortalError, match="twice/2018-W03/1: the table has no column place"):
        pusher.push(what, first)
    first.data.write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"data\.parquet: "):
        pusher.push(what, first)
    assert pusher.broken.requests == []


def test_older_releases_may_lack_a_newer_column(portal: Running, pusher: Pusher, tmp_path: Path) -> None:
    """A column that came later is empty in the rows of the releases before it."""
    old, new = release(tmp_path, "later", 3), release(tmp_path, "later", 4)
    columns = tuple(column for column in COLUMNS if column.name != "place_name")
    old = Release(old.folder, old.kept, old.manifest.model_copy(update={"columns": columns}))
    what = listing("later")
    pusher.push(what, old, new)
    pusher.verify(what, old, new)
    assert ["place_name" in row for row in public_rows(portal, str(pusher.id))] == [False] * 12 + [True] * 12
