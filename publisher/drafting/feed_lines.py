"""`[feed]` of a first definition: where the records are and how they are written, with no credential."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from publisher.definitions.feed import FileFeed, Open311Feed, Secret, SeeClickFixFeed
from publisher.definitions.toml import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.definitions.feed import ServerFeed

_ADDRESS = ("domain", "dataset", "url", "place_url", "jurisdiction_id", "user", "password", "token", "table", "by")
_WHY = {
    "by": "guess: the time of a row's last change. Without it every fetch reads all rows: docs/feeds.md",
}


def feed_lines(feed: FileFeed | ServerFeed, nulls: Sequence[str]) -> Iterator[str]:
    """The lines below `[feed]`."""
    yield from _written(feed) if isinstance(feed, FileFeed) else _served(feed)
    if nulls:
        yield f"nulls = [{', '.join(map(text, nulls))}]  # guess: do they mean missing in every column?"


def _written(feed: FileFeed) -> Iterator[str]:
    yield f"path = {text(feed.path)}  # in the data folder; what is new there is read too"
    if feed.format != "csv":
        yield f"format = {text(feed.format)}"
    if feed.sheet is not None:
        yield f"sheet = {text(feed.sheet)}"
    if feed.format == "csv" and feed.delimiter != ",":
        yield f"delimiter = {text(feed.delimiter)}"
    if feed.encoding != "utf-8":
        yield f"encoding = {text(feed.encoding)}  # guess: look at names with accents"


def _served(feed: ServerFeed) -> Iterator[str]:
    yield f"kind = {text(feed.kind)}"
    for name in _ADDRESS:
        value = getattr(feed, name, None)
        if value is not None and name in feed.model_fields_set:
            why = f"  # {_WHY[name]}" if name in _WHY else ""
            yield f"{name} = {_place(value) if isinstance(value, Secret) else text(value)}{why}"
    if isinstance(feed, Open311Feed | SeeClickFixFeed):
        yield f'start = "{MARK}"  # from when on, such as 2024-01-01T00:00:00Z: the server is asked for all of it once'
    if isinstance(feed, Open311Feed):
        yield "# page_size = 1000 is the most that its server puts in one answer: look it up, and say if it is less."


def _place(secret: Secret) -> str:
    """Where a credential is."""
    return f"{{ env = {text(secret.env)} }}" if secret.env is not None else f"{{ file = {text(secret.file or '')} }}"


def text(value: str) -> str:
    """A text as TOML writes it."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
