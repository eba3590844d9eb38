"""A page is rendered once for all who may read the same, and a 304 does not render it at all."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import pytest
from portal_process import blank
from starlette.requests import Request

from publisher.portal.answers.access import AppContext
from publisher.portal.app import application
from publisher.portal.engine.engine import QueryEngine
from publisher.portal.pages import once as kept
from publisher.portal.pages.browse import catalog
from publisher.portal.pages.dataset import page
from publisher.portal.pages.once import KeptPage, PageCache, once
from publisher.portal.store.store import PortalStore

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response

OPEN = replace(blank("aaaa-aaaa"), name="Potholes", owner="anna", public=True, published=True)
HIDDEN = replace(blank("bbbb-bbbb"), name="Not yet", owner="anna", public=True)


class Site:
    """A portal in this process, and how often its pages were rendered."""

    def __init__(self, folder: Path) -> None:
        self.store = PortalStore(folder / "state")
        self.store.accounts.add("anna", "a long password")
        for dataset in (OPEN, HIDDEN):
            self.store.create(dataset)
        self.app = application(AppContext(self.store, QueryEngine()))
        self.rendered = 0
        self._catalog = once(self._counted)

    def _counted(self, request: Request) -> Response:
        self.rendered += 1
        return catalog(request)

    def request(self, path: str, query: str = "", host: str = "city.example", **headers: str) -> Request:
        """A request of an address that reached this portal."""
        sent = {"host": host} | {name.replace("_", "-"): value for name, value in headers.items()}
        return Request({
            "type": "http", "method": "GET", "path": path, "query_string": query.encode(), "app": self.app,
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()], "client": ("127.0.0.1", 1),
            "server": (host, 80), "scheme": "http", "path_params": {"id": path.rpartition("/")[2]},
        })  # fmt: skip

    def catalog(self, path: str = "/", query: str = "", host: str = "city.example", **headers: str) -> Response:
        """The catalog's page."""
        return self._catalog(self.request(path, query, host, **headers))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A portal with an open dataset and one that is not, and no page kept."""
    monkeypatch.setattr(kept, "_KEPT", PageCache())
    return Site(tmp_path)


@cache
def login() -> str:
    return "Basic " + b64encode(b"anna:a long password").decode()


def test_a_page_is_rendered_once(site: Site) -> None:
    """The second reader gets the same bytes and headers; a reader who has them gets 304, and neither renders."""
    first, second = site.catalog(), site.catalog()
    assert (first.status_code, first.body, dict(first.headers)) == (200, second.body, dict(second.headers))
    third = site.catalog(if_none_match=first.headers["ETag"])
    assert (third.status_code, third.body, third.headers["Vary"]) == (304, b"", "Authorization")
    assert site.rendered == 1


def test_another_address_is_another_page(site: Site) -> None:
    """Query, language and host count: each is rendered, and no tag of one fits another."""
    asked = [("/", "", "city.example"), ("/", "q=pothole", "city.example"), ("/es/", "", "city.example"),
             ("/", "", "other.example")]  # fmt: skip
    tags = [site.catalog(*each).headers["ETag"] for each in asked]
    assert (len(set(tags)), site.rendered) == (4, 4)
    assert site.catalog("/es/", if_none_match=tags[0]).status_code == 200


def test_what_changes_the_catalog_changes_the_page(site: Site) -> None:
    """Metadata and rows, within the same second too; what is not open changes nothing for those who cannot see it."""
    tags = [site.catalog().headers["ETag"]]
    for change in ({"description": "In the streets"}, {"version": 2}, {"description": "In the roads"}):
        site.store.catalog.change(OPEN.id, **change)
        answer = site.catalog(if_none_match=tags[-1])
        assert answer.status_code == 200
        tags.append(answer.headers["ETag"])
    assert b"In the roads" in answer.body
    assert len(set(tags)) == 4
    site.store.catalog.change(HIDDEN.id, description="Later")
    assert site.catalog(if_none_match=tags[-1]).status_code == 304


def test_what_an_account_sees_is_kept_for_no_one(site: Site) -> None:
    """A page for an account shows more and has a tag of its own; before and after it, others see what they may."""
    before, own, after = site.catalog(), site.catalog(authorization=login()), site.catalog()
    assert b"Not yet" in own.body
    assert b"Not yet" not in after.body
    assert before.body == after.body
    assert own.headers["ETag"] != before.headers["ETag"]
    again = site.catalog(authorization=login(), if_none_match=before.headers["ETag"])
    assert (again.status_code, again.body) == (200, own.body)
    assert once(page)(site.request("/d/bbbb-bbbb", authorization=login())).status_code == 200
    assert once(page)(site.request("/d/bbbb-bbbb")).status_code == 404


def test_a_page_that_is_not_there_is_no_304(site: Site) -> None:
    """`*` matches what there is alone."""
    assert once(page)(site.request("/d/cccc-cccc", if_none_match="*")).status_code == 404
    assert site.catalog(if_none_match="*").status_code == 304
    site.catalog()
    assert site.catalog(if_none_match="*").status_code == 304


def test_a_new_day_changes_pages(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was due yesterday by the clock of a schedule is late today."""
    period = {"period": "2026-10", "due": "2026-11-05", "state": "not due yet", "edition": 0}
    schedule = {"dataset": "potholes", "title": "Potholes", "timezone": "America/Chicago", "periods": [period]}
    told = {"custom_fields": {"Publisher": {"dataset": "potholes", "schedule": json.dumps(schedule)}}}
    site.store.catalog.change(OPEN.id, metadata=told)
    tags = []
    for hour in (4, 5, 6, 7):  # midnight in Chicago is six in UTC

        class At(datetime):
            """A clock that stands."""

            @classmethod
            def now(cls, tz: object = None, hour: int = hour) -> datetime:  # noqa: ARG003
                return datetime(2026, 11, 6, hour, tzinfo=UTC)

        monkeypatch.setattr(kept, "datetime", At)
        tags.append(site.catalog().headers["ETag"])
    assert [tags.index(each) for each in tags] == [0, 0, 2, 2]


def test_the_kept_pages_fit_their_room() -> None:
    """Those that no one asked for the longest go first; a page larger than the room is not kept."""
    cache = PageCache(room=100)
    for name in "abc":
        cache.keep(name, KeptPage(b"x" * 40, {}, ""))
        cache.find("a")
    cache.keep("d", KeptPage(b"x" * 101, {}, ""))
    assert [name for name in "abcd" if cache.find(name)] == ["a", "c"]
    assert cache.taken == 80


def test_the_mark_of_a_dataset_is_made_once() -> None:
    """It is the same for the same facts, another one after any change, and is not made again for every page: after
    years the metadata are megabytes."""
    one, metadata = blank("abcd-1234"), {"custom_fields": {"Publisher": {"releases": "[]"}}}
    assert one.mark == blank("abcd-1234").mark
    marks = {one.mark, replace(one, metadata=metadata).mark, replace(one, rows=2).mark, replace(one, public=True).mark}
    assert len(marks) == 4
    assert one.mark is one.mark
