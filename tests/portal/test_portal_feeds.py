"""Atom feeds of releases and corrections."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from portal_described import publish_described, said

if TYPE_CHECKING:
    import requests
    from portal_process import Running

ATOM = "{http://www.w3.org/2005/Atom}"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture(scope="module")
def described(portal: Running) -> str:
    """The 4x4 of a dataset with releases."""
    return publish_described(portal)


def read(content: bytes) -> ElementTree.Element:
    """A feed, with what RFC 4287 requires of feed and entries checked."""
    feed = ElementTree.fromstring(content)  # noqa: S314 -- our own
    assert feed.tag == f"{ATOM}feed"
    for node in (feed, *feed.findall(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            assert len(node.findall(f"{ATOM}{name}")) == 1, name
        assert re.fullmatch(STAMP, node.findtext(f"{ATOM}updated") or "")
        assert node.findtext(f"{ATOM}author/{ATOM}name")
    assert len([link for link in feed.findall(f"{ATOM}link") if link.get("rel") == "self"]) == 1
    for entry in feed.findall(f"{ATOM}entry"):
        (link,) = entry.findall(f"{ATOM}link")
        assert link.get("rel") == "alternate"
    ids = [entry.findtext(f"{ATOM}id") for entry in feed.findall(f"{ATOM}entry")]
    assert len(ids) == len(set(ids))
    return feed


def test_a_dataset_s_feed_has_its_editions(web: requests.Session, portal: Running, described: str) -> None:
    """The latest first, each with a lasting id and a link to its page; a correction says why."""
    answer = web.get(f"{portal.address}/d/{described}/feed.atom")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    entries = read(answer.content).findall(f"{ATOM}entry")
    assert [entry.findtext(f"{ATOM}title") for entry in entries] == [
        "Requests by ward: 2024-03 released",
        "Requests by ward: 2024-02 corrected",
        "Requests by ward: 2024-02 released",
        "Requests by ward: 2024-01 released",
    ]
    counted = "4 rows: 2 to be used with caution, 0 unreliable, 1 suppressed."
    assert counted in (entries[0].findtext(f"{ATOM}summary") or "")
    assert "late records" in (entries[1].findtext(f"{ATOM}summary") or "")
    accepted = "Accepted on 2024-03-22 although the total is 9; expected at most 1: The <fee> went up."
    assert accepted in (entries[0].findtext(f"{ATOM}summary") or "")
    identifier = entries[1].findtext(f"{ATOM}id") or ""
    assert re.fullmatch(rf"tag:127\.0\.0\.1,\d{{4}}-\d\d-\d\d:{described}/2024-02\.2", identifier)
    (link,) = entries[1].findall(f"{ATOM}link")
    assert link.get("href") == f"{portal.address}/d/{described}/releases/2024-02/2"
    assert entries[1].findtext(f"{ATOM}updated") == "2024-02-22T10:00:00Z"


def test_a_retraction_is_news_however_old_its_period(web: requests.Session, portal: Running) -> None:
    """Its entry is dated by the decision, so it comes before what was released since its period."""
    identifier = publish_described(portal, "Retracted later")
    releases = json.loads(said()["releases"])
    releases[-1] |= {"retracted": True, "current": False}
    releases[-1]["decisions"] = [
        {"what": "retracted", "at": "2025-06-01T10:00:00+00:00", "reason": "A week was missing"}
    ]
    metadata = {"custom_fields": {"Publisher": said() | {"releases": json.dumps(releases)}}}
    with portal.client() as client:
        client.update_metadata(identifier, {"metadata": metadata})
    entries = read(web.get(f"{portal.address}/d/{identifier}/feed.atom").content).findall(f"{ATOM}entry")
    assert entries[0].findtext(f"{ATOM}title") == "Retracted later: 2024-01 retracted"
    assert entries[0].findtext(f"{ATOM}updated") == "2025-06-01T10:00:00Z"
    assert "Retracted on 2025-06-01: A week was missing." in (entries[0].findtext(f"{ATOM}summary") or "")


def test_ids_outlast_a_new_name(web: requests.Session, portal: Running) -> None:
    """An entry keeps its id when the dataset is renamed, so that no reader is told twice."""
    identifier = publish_described(portal, "Before")
    address = f"{portal.address}/d/{identifier}/feed.atom"

    def ids() -> list[str | None]:
        return [entry.findtext(f"{ATOM}id") for entry in read(web.get(address).content).findall(f"{ATOM}entry")]

    before = ids()
    with portal.client() as client:
        client.update_metadata(identifier, {"name": "After"})
    assert ids() == before
    assert b"After" in web.get(address).content


def test_the_feed_of_all_has_every_open_dataset(
    web: requests.Session, portal: Running, described: str, sample: str
) -> None:
    """One without releases is there with the last change of its rows; drafts are not."""
    with portal.client() as client:
        draft = client.create("Draft in no feed")["id"]
    answer = web.get(f"{portal.address}/feed.atom", auth=portal.login)
    links = [link.get("href") or "" for link in read(answer.content).iter(f"{ATOM}link")]
    assert f"{portal.address}/d/{sample}" in links
    assert f"{portal.address}/d/{described}/releases/2024-03/1" in links
    assert not any(draft in link for link in links)
    assert web.get(f"{portal.address}/d/{draft}/feed.atom").status_code == 403


def test_a_reader_that_has_it_is_told_so(web: requests.Session, portal: Running, described: str) -> None:
    """304 by ETag until something changes."""
    address = f"{portal.address}/d/{described}/feed.atom"
    mark = web.get(address).headers["etag"]
    assert web.get(address, headers={"If-None-Match": mark}).status_code == 304
    metadata = {"custom_fields": {"Publisher": said() | {"releases": "[]"}}}
    with portal.client() as client:
        client.update_metadata(described, {"metadata": metadata})
    changed = web.get(address, headers={"If-None-Match": mark})
    assert changed.status_code == 200
    assert len(read(changed.content).findall(f"{ATOM}entry")) == 1


def test_the_json_feed_says_the_same(web: requests.Session, portal: Running, described: str) -> None:
    """JSON Feed 1.1 with the entries of the Atom feed: ids, titles, times, words and pages; 304 for who has it."""
    for path in (f"/d/{described}/feed", "/feed"):
        answer = web.get(f"{portal.address}{path}.json")
        assert answer.headers["content-type"].startswith("application/feed+json")
        told = answer.json()
        assert told["version"] == "https://jsonfeed.org/version/1.1"
        assert told["feed_url"] == f"{portal.address}{path}.json"
        assert told["home_page_url"] == f"{portal.address}{path.removesuffix('/feed') or '/'}"
        entries = read(web.get(f"{portal.address}{path}.atom").content).findall(f"{ATOM}entry")
        names = {"id": "id", "title": "title", "updated": "date_modified", "summary": "content_text"}
        for name, said_as in names.items():
            assert [each.findtext(f"{ATOM}{name}") for each in entries] == [each[said_as] for each in told["items"]]
        links = [each.find(f"{ATOM}link") for each in entries]
        assert [link.get("href") for link in links if link is not None] == [each["url"] for each in told["items"]]
        again = web.get(answer.url, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
