"""A Socrata dataset, row by row in the order of last change.

Every page is asked for after the last row of the page before, by its `:updated_at` and, among rows of the same time,
its `:id`: rows that are added, changed or deleted between two pages move no other row to another page. `:id` is
Socrata's own number of a row and no column of the record.

sodapy tries nothing again, waits without an end for an answer that drips, and quotes what a server says, so it is not
used here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from publisher.definitions.feed import web_address
from publisher.definitions.likeness import there_is
from publisher.errors import SourceError
from publisher.feeds.credentials import revealed
from publisher.feeds.delivery import Step
from publisher.feeds.table import FirstPage, row_of, write_table
from publisher.feeds.web import Server, TornError

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.definitions.feed import SocrataFeed
    from publisher.feeds.delivery import Cursor
    from publisher.feeds.table import Row
    from publisher.workspace import SourceFile

_TIME, _ID = ":updated_at", ":id"
_FIELD = r"[a-z_][a-z0-9_]*"
"""The name of a column; the others are the portal's own."""


def deliver(source: SourceFile, feed: SocrataFeed, cursor: Cursor | None, files: Path, most: int) -> Step:
    """Rows that were changed after the cursor, at most about `most` of them. Raises SourceError."""
    at = dict(cursor or {})
    rows: dict[str, Row] = {}
    with _server(source, feed) as server:
        more = True
        while more and len(rows) < most:
            page = server.get(f"/resource/{feed.dataset}.json", _query(source, feed, at), _rows)
            at, more = _after_page(at, page, server), bool(page)
            for record in page:
                rows.pop(record[_ID], None)  # a row that has changed meanwhile: what came last counts
                rows[record[_ID]] = row_of(source, record)
        write_table(files, source.definition.landed, rows.values())
        return Step(at if more else _after_all(at, feed, server), more)


def check(source: SourceFile, feed: SocrataFeed) -> tuple[str, ...]:
    """Whether the dataset can be read and has the columns that are read. Raises SourceError."""
    with _server(source, feed) as server:
        there = server.get(f"/api/views/{feed.dataset}.json", {}, _names)
        missing = [name for name in _roots(source) if name not in there]
        if missing:
            said = "; ".join(f"{name!r}: {there_is(name, there)}" for name in missing)
            raise SourceError(f"{source.origin.name}: columns that are read and not in the dataset: {said}")
        server.get(f"/resource/{feed.dataset}.json", {"$select": f"{_ID},{_TIME}", "$limit": "1"}, _rows)
    return ()


def first_page(source: SourceFile, feed: SocrataFeed) -> FirstPage:
    """The rows that have changed last, with all columns of the dataset. Raises SourceError."""
    with _server(source, feed) as server:
        page = server.get(f"/api/views/{feed.dataset}.json", {}, _described)
        if not page.columns:
            raise server.error("has no columns at this address: it may be a map or a document, not a dataset")
        query = {
            "$select": ",".join((_ID, _TIME, *page.columns)),
            "$order": f"{_TIME} DESC,{_ID}",
            "$limit": str(feed.page_size),
        }
        rows = server.get(f"/resource/{feed.dataset}.json", query, _rows)
    records = [{name: value for name, value in row.items() if name not in (_ID, _TIME)} for row in rows]
    return FirstPage(records, page.columns, page.record_id)


def _server(source: SourceFile, feed: SocrataFeed) -> Server:
    server = Server(source, feed, web_address(feed.domain))
    server.send(source, "X-App-Token")
    if feed.user is not None and feed.password is not None:
        server.log_in(revealed(source, "user", feed.user), revealed(source, "password", feed.password))
    return server


def _roots(source: SourceFile) -> tuple[str, ...]:
    """The dataset's columns that are read, also for the sake of what is inside them."""
    return tuple(dict.fromkeys(column.split(".")[0] for column in source.definition.landed))


def _query(source: SourceFile, feed: SocrataFeed, at: Cursor) -> dict[str, str]:
    query = {
        "$select": ",".join((_ID, _TIME, *_roots(source))),
        "$order": f"{_TIME},{_ID}",
        "$limit": str(feed.page_size),
    }
    if "updated" in at:
        after = f"{_TIME} > '{at['updated']}'"
        if "id" in at:
            after += f" OR ({_TIME} = '{at['updated']}' AND {_ID} > '{at['id']}')"
        query["$where"] = after
    return query


def _after_page(at: Cursor, page: list[dict[str, Any]], server: Server) -> Cursor:
    """Where the next page begins; it remembers when this fetch began."""
    at = {"begun": (server.began or server.now).isoformat()} | at
    if not page:
        return at
    if (page[-1][_TIME], page[-1][_ID]) == (at.get("updated"), at.get("id")):
        words = f"gives more rows of one {_TIME} than one answer holds, again and again"
        raise server.error(f"{words}: set a larger feed.page_size")
    if "updated" in at and _moment(page[-1][_TIME], server) < _moment(at["updated"], server):
        raise server.error(f"gives rows in another order than that of {_TIME}: this feed cannot be read")
    return at | {"updated": page[-1][_TIME], "id": page[-1][_ID]}


def _after_all(at: Cursor, feed: SocrataFeed, server: Server) -> Cursor:
    """Where the next fetch begins: after the last row, but for times at which a change may still become visible."""
    begun = datetime.fromisoformat(at["begun"])
    settled = begun - timedelta(minutes=feed.overlap_minutes)
    if "updated" not in at or _moment(at["updated"], server) <= settled:
        return {key: at[key] for key in ("updated", "id") if key in at}
    return {"updated": settled.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")}


def _moment(text: str, server: Server) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise server.error(f"has a {_TIME} that is no time: this feed cannot be read") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _rows(answer: Any) -> list[dict[str, Any]]:
    if not isinstance(answer, list) or not all(isinstance(row, dict) and _known(row) for row in answer):
        raise TornError("sends an answer that is not a list of rows")
    return answer


def _known(row: dict[str, Any]) -> bool:
    """Whether a row says which one it is, in letters that a query can hold."""
    return all(isinstance(row.get(name), str) and not set(row[name]) & {"'", "\\"} for name in (_TIME, _ID))


def _described(answer: Any) -> FirstPage:
    """The columns that the dataset has, and the one that tells its rows apart if its owner has said so."""
    names = [name for name in _names(answer) if re.fullmatch(_FIELD, name)]
    row_id = answer.get("rowIdentifierColumnId")
    own = [str(each["fieldName"]) for each in answer["columns"] if row_id is not None and each.get("id") == row_id]
    return FirstPage((), tuple(names), tuple(name for name in own if name in names))


def _names(answer: Any) -> tuple[str, ...]:
    try:
        return tuple(str(column["fieldName"]) for column in answer["columns"])
    except (KeyError, TypeError):
        raise TornError("sends an answer that does not name the columns of a dataset") from None
