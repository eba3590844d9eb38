"""Feeds of releases and corrections, as Atom and as JSON Feed."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from starlette.responses import Response
from starlette.routing import Route

from publisher.portal.answers.access import base_url, findable, readable
from publisher.portal.answers.freshness import told, unchanged
from publisher.portal.contract import about

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import DecisionFacts, ReleaseFacts

ATOM = "http://www.w3.org/2005/Atom"
JSON_FEED = "https://jsonfeed.org/version/1.1"
ENTRIES = 200
"""The most entries in a feed, the latest first."""
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One entry about a dataset; `when` is in UTC."""

    dataset: PortalDataset
    part: str
    """What tells it apart from the dataset's other entries; it never changes."""
    when: datetime
    title: str
    words: str
    path: str


def entries(dataset: PortalDataset) -> list[FeedEntry]:
    """A dataset's editions, or the last change of its rows or file if it has none."""
    listed = [_edition(dataset, release) for release in about(dataset).releases]
    if listed:
        return listed
    when = datetime.fromtimestamp(dataset.rows_updated_at, UTC)
    part, news, words = f"rows-{dataset.rows_updated_at}", "new rows", f"{dataset.rows} rows"
    if dataset.blob:
        part, news, words = dataset.blob, "new file", str(dataset.metadata.get("blob", {}).get("filename", ""))
    return [FeedEntry(dataset, part, when, f"{dataset.name}: {news}", words, "")]


def _edition(dataset: PortalDataset, release: ReleaseFacts) -> FeedEntry:
    said = (
        f"{release.rows} rows: {release.caution} to be used with caution, {release.unreliable} unreliable, "
        f"{release.suppressed} suppressed."
    )
    if release.retracted:
        said = f"Retracted. {said}"
    elif release.edition > 1:
        said = f"Corrects an earlier edition: {release.reason or 'no reason given'}. {said}"
    said = f"{said}{''.join(f' {_decided(each)}' for each in release.decisions)}"
    news = "retracted" if release.retracted else "corrected" if release.edition > 1 else "released"
    part = f"{release.period}.{release.edition}" + (".retracted" if release.retracted else "")
    path = f"/releases/{quote(release.period)}/{release.edition}"
    return FeedEntry(dataset, part, _changed(dataset, release), f"{dataset.name}: {release.period} {news}", said, path)


def _decided(decision: DecisionFacts) -> str:
    although = f" although {'; '.join(decision.although)}" if decision.although else ""
    return f"{decision.what.capitalize()} on {decision.at[:10]}{although}: {decision.reason or 'no reason given'}."


def _changed(dataset: PortalDataset, release: ReleaseFacts) -> datetime:
    """When the edition was made, or when people last decided about it: a retraction is news however old its period."""
    times = [_time(each) for each in (release.created, *(decision.at for decision in release.decisions))]
    return max((each for each in times if each), default=datetime.fromtimestamp(dataset.rows_updated_at, UTC))


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)


def _child(parent: Element, name: str, text: str = "", **attributes: str) -> Element:
    made = SubElement(parent, name, attributes)
    made.text = _UNFIT.sub("\ufffd", text) or None
    return made


@dataclass(frozen=True, slots=True)
class Feed:
    """What a feed says, whatever it is written as."""

    path: str
    """Without the ending of its format."""
    title: str
    news: list[FeedEntry]
    since: int
    """When it last changed if it has no entries."""
    headers: dict[str, str]

    @property
    def latest(self) -> list[FeedEntry]:
        """Its entries, the latest first."""
        return sorted(self.news, key=lambda entry: (entry.when, entry.dataset.id, entry.part), reverse=True)[:ENTRIES]

    @property
    def page(self) -> str:
        """The path of the page for people."""
        return self.path.removesuffix("/feed") or "/"


def atom(request: Request, source: Feed) -> bytes:
    """The feed as Atom (RFC 4287)."""
    base, path = base_url(request), f"{source.path}.atom"
    host = urlsplit(base).hostname or "localhost"
    latest = source.latest
    feed = Element("feed", xmlns=ATOM)
    _child(feed, "id", f"{base}{path}")
    _child(feed, "title", source.title)
    _child(feed, "updated", _stamp(latest[0].when if latest else datetime.fromtimestamp(source.since, UTC)))
    _child(feed, "link", rel="self", type="application/atom+xml", href=f"{base}{path}")
    _child(feed, "link", rel="alternate", type="text/html", href=f"{base}{source.page}")
    _child(_child(feed, "author"), "name", host)
    for entry in latest:
        _write(feed, base, host, entry)
    indent(feed)
    return bytes(tostring(feed, encoding="utf-8", xml_declaration=True))


def json_feed(request: Request, source: Feed) -> bytes:
    """The feed as JSON Feed 1.1."""
    base = base_url(request)
    host = urlsplit(base).hostname or "localhost"
    said = {
        "version": JSON_FEED,
        "title": source.title,
        "home_page_url": f"{base}{source.page}",
        "feed_url": f"{base}{source.path}.json",
        "authors": [{"name": host}],
        "language": "en",
        "items": [_item(base, host, entry) for entry in source.latest],
    }
    return json.dumps(said, ensure_ascii=False).encode(errors="replace")


def _item(base: str, host: str, entry: FeedEntry) -> dict[str, Any]:
    item = {
        "id": _tag(host, entry),
        "url": f"{base}/d/{entry.dataset.id}{entry.path}",
        "title": entry.title,
        "content_text": entry.words,
        "date_modified": _stamp(entry.when),
        "authors": [{"name": entry.dataset.publisher}],
    }
    return item | ({"tags": [entry.dataset.category]} if entry.dataset.category else {})


def _tag(host: str, entry: FeedEntry) -> str:
    """A tag URI (RFC 4151), unaffected by the portal's scheme and the dataset's name."""
    born = datetime.fromtimestamp(entry.dataset.created_at, UTC).strftime("%Y-%m-%d")
    return f"tag:{host},{born}:{entry.dataset.id}/{quote(entry.part)}"


def _write(feed: Element, base: str, host: str, entry: FeedEntry) -> None:
    dataset = entry.dataset
    node = _child(feed, "entry")
    _child(node, "id", _tag(host, entry))
    _child(node, "title", entry.title)
    _child(node, "updated", _stamp(entry.when))
    _child(node, "link", rel="alternate", type="text/html", href=f"{base}/d/{dataset.id}{entry.path}")
    _child(_child(node, "author"), "name", dataset.publisher)
    if dataset.category:
        _child(node, "category", term=dataset.category)
    _child(node, "summary", entry.words)


def _stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def everything(request: Request) -> Feed:
    """Releases and corrections of every open dataset."""
    datasets = [dataset for dataset in findable(request) if dataset.open]
    news = [entry for dataset in datasets for entry in entries(dataset)]
    since = max((dataset.changed_at for dataset in datasets), default=0)
    # without a date: a dataset that goes away changes it, and leaves none
    return Feed("/feed", "Releases and corrections", news, since, {})


def one(request: Request) -> Feed:
    """Releases and corrections of one dataset."""
    dataset = readable(request, request.path_params["id"])
    headers = {"Last-Modified": told(dataset.changed_at)}
    headers |= {} if dataset.open else {"Cache-Control": "private, no-cache"}
    title = f"{dataset.name}: releases and corrections"
    return Feed(f"/d/{dataset.id}/feed", title, entries(dataset), dataset.changed_at, headers)


def _endpoint(
    feed: Callable[[Request], Feed], write: Callable[[Request, Feed], bytes], media_type: str
) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        found = feed(request)
        return _answer(request, write(request, found), found.headers, media_type)

    return answer


def _answer(request: Request, content: bytes, headers: dict[str, str], media_type: str) -> Response:
    headers = {
        "ETag": f'W/"{hashlib.sha256(content).hexdigest()[:32]}"',
        "Cache-Control": "no-cache",
        "Vary": "Authorization",
    } | headers
    comparable = "Last-Modified" in headers or "if-none-match" in request.headers
    response = unchanged(request, headers) if comparable else None
    return response or Response(content, headers=headers, media_type=media_type)


ROUTES = [
    Route(f"{path}.{ending}", _endpoint(feed, write, media_type))
    for path, feed in (("/feed", everything), ("/d/{id}/feed", one))
    for ending, write, media_type in (
        ("atom", atom, "application/atom+xml; charset=utf-8"),
        ("json", json_feed, "application/feed+json; charset=utf-8"),
    )
]
"""GET /feed.atom, /feed.json, /d/{4x4}/feed.atom and /d/{4x4}/feed.json."""
