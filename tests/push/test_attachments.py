"""Files beside the rows: sent when they are new, listed without losing what others listed, read back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from push_examples import QUICK, SMALL, listing, release

from publisher.errors import PortalError
from publisher.push.client import SocrataClient
from publisher.push.listing import Attachment
from publisher.push.publication import publish
from publisher.push.verification import verify

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Broken, Handler, Running

    from publisher.push.listing import Listing
    from publisher.push.publication import Publication
    from publisher.release.manifest import Release

ZONES = b'{"type":"FeatureCollection","features":[]}'


def zones(content: bytes = ZONES) -> Attachment:
    return Attachment("boundaries.geojson", content, "application/geo+json")


PROMISE = Attachment("guarantee.json", b'{"format": 2}', "application/json")


class Desk:
    """Pushes one week through the broken server, and reads as the public does."""

    def __init__(self, portal: Running, broken: Broken, week: Release, name: str) -> None:
        self.portal, self.broken, self.week, self.name = portal, broken, week, name
        self.id: str | None = None

    def push(self, *files: Attachment) -> Publication:
        self.broken.requests.clear()
        with SocrataClient(self.portal.target(self.broken.url), QUICK, chunk=SMALL) as client:
            return publish(client, self.listing(*files), [self.week], known_id=self.id, remember=self._remember)

    def verify(self, *files: Attachment) -> None:
        with SocrataClient(self.portal.target(), QUICK) as client:
            verify(client, self.listing(*files), [self.week], self.id)

    def listing(self, *files: Attachment) -> Listing:
        return listing(self.name, files=files)

    @property
    def address(self) -> str:
        return f"{self.portal.url}/api/views/{self.id}"

    def metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = requests.get(f"{self.address}.json", timeout=20).json()["metadata"]
        return metadata

    def listed(self) -> dict[str, str]:
        """The id of each file by its name."""
        return {each["filename"]: each["assetId"] for each in self.metadata().get("attachments", [])}

    def read(self, name: str) -> bytes:
        reply = requests.get(f"{self.address}/files/{self.listed()[name]}", timeout=20)
        assert reply.status_code == 200, reply.text
        return reply.content

    def list_more(self, **metadata: Any) -> None:
        """What somebody else writes into the metadata."""
        target = self.portal.target()
        changed = {"metadata": self.metadata() | metadata}
        reply = requests.put(f"{self.address}.json", json=changed, auth=(target.username, target.password), timeout=20)
        assert reply.status_code == 200, reply.text

    def _remember(self, identifier: str) -> None:
        self.id = identifier


@pytest.fixture
def desk(portal: Running, broken: Broken, tmp_path: Path, request: pytest.FixtureRequest) -> Desk:
    name = request.node.name.replace("_", "-")
    return Desk(portal, broken, release(tmp_path, name, 3), name)


def test_files_are_attached_and_read_back(desk: Desk) -> None:
    """Each file stands on the portal byte for byte, for everybody, under its name and with its type."""
    assert desk.push(zones(), PROMISE).changed
    assert desk.read("boundaries.geojson") == ZONES
    assert desk.read("guarantee.json") == PROMISE.content
    reply = requests.get(f"{desk.address}/files/{desk.listed()['boundaries.geojson']}", timeout=20)
    assert reply.headers["Content-Type"].startswith("application/geo+json")
    desk.verify(zones(), PROMISE)


def test_what_is_there_is_not_sent_again(desk: Desk) -> None:
    """The same files make no write request; of two files the changed one alone is sent."""
    desk.push(zones(), PROMISE)
    before = desk.listed()
    assert not desk.push(zones(), PROMISE).changed
    assert desk.broken.writes == []
    other = zones(b'{"type":"FeatureCollection","features":[],"name":"new"}')
    desk.push(other, PROMISE)
    assert desk.broken.writes == ["POST /api/assets", f"PUT /api/views/{desk.id}.json"]
    after = desk.listed()
    assert after["guarantee.json"] == before["guarantee.json"]
    assert desk.read("boundaries.geojson") == other.content
    desk.verify(other, PROMISE)


def test_files_of_others_stay(desk: Desk) -> None:
    """A file that somebody else attached stays listed; ours that is no more is taken off the list."""
    desk.push(zones(), PROMISE)
    theirs = {"filename": "notes.pdf", "name": "Notes", "assetId": desk.listed()["guarantee.json"]}
    desk.list_more(attachments=[*desk.metadata()["attachments"], theirs])
    assert not desk.push(zones(), PROMISE).changed
    desk.push(PROMISE)
    assert desk.listed().keys() == {"notes.pdf", "guarantee.json"}
    desk.verify(PROMISE)


def test_a_list_that_lost_a_file_gets_it_back(desk: Desk) -> None:
    """Whoever takes our file off the list is found out by verifying, and the next push attaches it again."""
    desk.push(zones())
    desk.list_more(attachments=[])
    with pytest.raises(PortalError, match="the metadata differs: metadata"):
        desk.verify(zones())
    assert desk.push(zones()).changed
    desk.verify(zones())


def test_another_file_under_our_name_is_found_out(desk: Desk) -> None:
    """The bytes are compared, not what the metadata says of them."""
    desk.push(zones(), PROMISE)
    swapped = desk.listed()["guarantee.json"]
    entry = {"filename": "boundaries.geojson", "name": "boundaries.geojson", "assetId": swapped}
    desk.list_more(attachments=[entry, *(e for e in desk.metadata()["attachments"] if e["assetId"] == swapped)])
    with pytest.raises(PortalError, match=r"the file boundaries\.geojson is different"):
        desk.verify(zones(), PROMISE)


def test_a_push_that_broke_off_between_file_and_list_is_completed(desk: Desk) -> None:
    """A file that was sent but never listed is sent again; the dataset ends with each file once."""
    desk.push(PROMISE)

    def refused(handler: Handler) -> bool:
        handler.answer(400, {"message": "no"})
        return True

    desk.broken.faults["PUT /api/views"] = [refused]
    with pytest.raises(PortalError, match="cannot update the metadata: HTTP 400"):
        desk.push(zones(), PROMISE)
    assert desk.listed().keys() == {"guarantee.json"}
    desk.push(zones(), PROMISE)
    assert desk.read("boundaries.geojson") == ZONES
    desk.verify(zones(), PROMISE)


def test_a_file_that_is_lost_on_the_way_is_sent_again(desk: Desk) -> None:
    """Lost connections, a busy portal and an answer without an id are tried again."""

    def lost(handler: Handler) -> bool:
        handler.passed_on()
        handler.lose()
        return True

    def busy(handler: Handler) -> bool:
        handler.answer(503, {"message": "busy"})
        return True

    def empty(handler: Handler) -> bool:
        handler.answer(200, {})
        return True

    desk.broken.faults["POST /api/assets"] = [lost, busy, empty]
    desk.push(zones())
    desk.verify(zones())
    assert json.loads(desk.metadata()["custom_fields"]["Publisher"]["files"]).keys() == {"boundaries.geojson"}


def test_a_portal_that_keeps_other_bytes_fails_the_push(desk: Desk) -> None:
    """A file that comes back different from what was sent fails the push by its name."""

    def altered(handler: Handler) -> bool:
        handler.answer(200, b"other bytes", {"Content-Type": "application/json"})
        return True

    desk.broken.faults["/files/"] = [altered]
    with pytest.raises(PortalError, match=r"the file guarantee\.json read back is not the one sent"):
        desk.push(PROMISE)
