"""The service requests of an Open311 GeoReport v2 server.

The standard can ask for requests by the time at which they were made, for at most 90 days and 1,000 requests at once,
and not for what has changed: so every fetch reads the last days again. `page` and `page_size` are sent as most servers
have them; those that do not know them answer as they would without.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from publisher.feeds.delivery import Step
from publisher.feeds.table import FirstPage, row_of, without, write_table
from publisher.feeds.web import Server, TornError
from publisher.feeds.windows import SECOND, Window, WindowPage, WindowReader, moment, read_until_now, stamp

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.definitions.feed import Open311Feed
    from publisher.feeds.delivery import Cursor
    from publisher.workspace import SourceFile

KEY, TIME = "service_request_id", "requested_datetime"
_MOST_DAYS = 89
"""The standard answers for 90 days at once."""


def deliver(source: SourceFile, feed: Open311Feed, cursor: Cursor | None, files: Path, most: int) -> Step:
    """Requests that were made since the cursor's time, at most about `most` of them. Raises SourceError."""
    at = dict(cursor or {})
    start = max(feed.start, moment(at["from"])) if at else feed.start
    with _server(source, feed) as server:
        reader = WindowReader(server, partial(_page, server, feed), KEY, TIME, partial(row_of, source), feed.page_size)
        upto, more = read_until_now(reader, start, timedelta(days=feed.window_days), most)
        begun = moment(at["begun"]) if "begun" in at else server.began or server.now
        write_table(files, source.definition.landed, reader.rows.values())
        if more:
            return Step({"from": stamp(upto), "begun": stamp(begun)}, more=True)
        reach = timedelta(days=feed.revisit_days, minutes=feed.overlap_minutes)
        return Step({"from": stamp(max(begun - reach, feed.start))}, more=False)


def check(source: SourceFile, feed: Open311Feed) -> tuple[str, ...]:
    """Whether requests can be read, and which columns none of the latest has. Raises SourceError."""
    with _server(source, feed) as server:
        page = _page(server, feed, Window(server.now - timedelta(days=feed.window_days), server.now), 1)
    missing = absent(source, page.records)
    return (f"no request of the last {feed.window_days} days has {', '.join(missing)}",) if missing else ()


def first_page(source: SourceFile, feed: Open311Feed) -> FirstPage:
    """The latest requests, without what is never fetched. Raises SourceError."""
    records: list[dict[str, Any]] = []
    with _server(source, feed) as server:
        for days in (feed.window_days, _MOST_DAYS):
            records = records or _page(server, feed, Window(server.now - timedelta(days=days), server.now), 1).records
        if not records:
            raise server.error(f"has no request of the last {_MOST_DAYS} days to look at: add from a file")
    return FirstPage([without(feed.never, each) for each in records], record_id=(KEY,), times=(TIME,))


def absent(source: SourceFile, records: list[dict[str, Any]]) -> list[str]:
    """The columns that are read and that none of the records has, if there are records."""
    there = {name for record in records for name in record}
    names = source.definition.landed if records else ()
    return [name for name in names if name not in there and name.split(".")[0] not in there]


def _server(source: SourceFile, feed: Open311Feed) -> Server:
    server = Server(source, feed, feed.url)
    server.send(source, "X-Api-Key")
    return server


def _page(server: Server, feed: Open311Feed, window: Window, number: int) -> WindowPage:
    query = {
        # Servers differ in whether a window has its ends.
        "start_date": stamp(window.start - SECOND),
        "end_date": stamp(window.end + SECOND),
        "page": str(number),
        "page_size": str(feed.page_size),
    }
    if feed.jurisdiction_id is not None:
        query["jurisdiction_id"] = feed.jurisdiction_id
    return WindowPage(server.get("/requests.json", query, _requests), None)


def _requests(answer: Any) -> list[dict[str, Any]]:
    if not isinstance(answer, list) or not all(isinstance(each, dict) and KEY in each for each in answer):
        raise TornError("sends an answer that is not a list of service requests")
    return answer
