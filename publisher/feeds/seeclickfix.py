"""The issues of a place in SeeClickFix, in windows of the time of creation and, after the first fetch, only those that
have changed since. Of archived issues too: without being asked, the server leaves them out."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from publisher.feeds.delivery import Step
from publisher.feeds.open311 import absent
from publisher.feeds.table import FirstPage, row_of, without, write_table
from publisher.feeds.web import Server, TornError
from publisher.feeds.windows import Window, WindowPage, WindowReader, moment, read_until_now, stamp

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.definitions.feed import SeeClickFixFeed
    from publisher.feeds.delivery import Cursor
    from publisher.workspace import SourceFile

KEY, TIME = "id", "created_at"
STATUSES = "open,acknowledged,closed,archived"
_WIDTH = timedelta(days=36_600)
"""Of all issues at once: the server says whether there are more than fit into one answer."""


def deliver(source: SourceFile, feed: SeeClickFixFeed, cursor: Cursor | None, files: Path, most: int) -> Step:
    """Issues that have changed since the cursor's time, at most about `most` of them. Raises SourceError."""
    at = dict(cursor or {})
    start = moment(at["from"]) if "from" in at else feed.start
    with _server(source, feed) as server:
        ask = partial(_page, server, feed, at.get("changed"))
        reader = WindowReader(server, ask, KEY, TIME, partial(row_of, source), feed.page_size)
        upto, more = read_until_now(reader, start, _WIDTH, most)
        begun = at.get("begun") or stamp(server.began or server.now)
        write_table(files, source.definition.landed, reader.rows.values())
        if more:
            return Step(at | {"from": stamp(upto), "begun": begun}, more=True)
        return Step({"changed": stamp(moment(begun) - timedelta(minutes=feed.overlap_minutes))}, more=False)


def check(source: SourceFile, feed: SeeClickFixFeed) -> tuple[str, ...]:
    """Whether issues can be read, and which columns none of the latest has. Raises SourceError."""
    with _server(source, feed) as server:
        page = _page(server, feed, None, Window(server.now - timedelta(days=30), server.now), 1)
    missing = absent(source, page.records)
    return (f"no issue of the last 30 days has {', '.join(missing)}",) if missing else ()


def first_page(source: SourceFile, feed: SeeClickFixFeed) -> FirstPage:
    """Issues of the last year, without what is never fetched. Raises SourceError."""
    with _server(source, feed) as server:
        year = Window(server.now - timedelta(days=365), server.now)
        records = _page(server, feed, None, year, 1).records
        if not records:
            raise server.error("has no issue of the last year of this place: check its name, or add from a file")
    return FirstPage([without(feed.never, each) for each in records], record_id=(KEY,), times=(TIME,))


def _server(source: SourceFile, feed: SeeClickFixFeed) -> Server:
    server = Server(source, feed, feed.url)
    server.send(source, "Authorization", "Bearer {}")
    return server


def _page(server: Server, feed: SeeClickFixFeed, changed: str | None, window: Window, number: int) -> WindowPage:
    query = {
        "place_url": feed.place_url,
        "status": STATUSES,
        "after": stamp(window.start),
        "before": stamp(window.end),
        "sort": "created_at",
        "sort_direction": "ASC",
        "page": str(number),
        "per_page": str(feed.page_size),
    }
    if changed is not None:
        query["updated_at_after"] = changed
    return server.get("/issues", query, _issues)


def _issues(answer: Any) -> WindowPage:
    try:
        issues, pages = answer["issues"], answer["metadata"]["pagination"]
        page = WindowPage(list(issues), int(pages["page"]) < int(pages["pages"]))
    except (KeyError, TypeError, ValueError):
        raise TornError("sends an answer that is not a page of issues") from None
    if not all(isinstance(issue, dict) and KEY in issue for issue in page.records):
        raise TornError("sends an answer that is not a page of issues")
    return page
