"""Records in windows of a time that never changes, such as that of a request, each window small enough for one answer.

Pages of a list shift when a record is added or removed while they are read; a window that fits into one answer does
not. So a window that may have more is halved, and pages are read only where a second has more than one answer holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.errors import SourceError
    from publisher.feeds.table import Row
    from publisher.feeds.web import Server

SECOND = timedelta(seconds=1)
AHEAD = timedelta(hours=1)
"""Windows end so long after the server's time: its clocks may differ."""
_FAR = timedelta(days=1)
STALE = 10
"""After so many seconds with full answers and nothing new in them, a server gives the same whatever is asked for."""
CROWDED = 1_000_000
"""More records than this in one second are no answer of a city's server."""


@dataclass(frozen=True)
class Window:
    """From `start` to `end`, in whole seconds."""

    start: datetime
    end: datetime

    def halves(self) -> tuple[Window, Window]:
        """Two windows of whole seconds that meet."""
        middle = self.start + timedelta(seconds=(self.end - self.start) // SECOND // 2)
        return Window(self.start, middle), Window(middle, self.end)


@dataclass(frozen=True)
class WindowPage:
    """One answer: records in any order, and whether the window has more; None if the server does not say."""

    records: list[dict[str, Any]] = field(repr=False)
    more: bool | None


@dataclass
class WindowReader:
    """Reads windows one after the other into `rows`, the version of a record that came last."""

    server: Server
    ask: Callable[[Window, int], WindowPage]
    """The page with that number of a window, from 1."""
    key: str
    """What tells records apart; a record that has none yet is left for a later fetch."""
    time: str
    """What has the time by which windows are asked for."""
    row: Callable[[dict[str, Any]], Row]
    page_size: int
    rows: dict[str, Row] = field(default_factory=dict, repr=False)
    _stale: int = 0
    """How many seconds in a row, each with more than one answer holds, had nothing new."""
    _largest: int = 1
    """The most records that the server has put in one answer: it puts as many in every answer if there are as many."""

    def read(self, window: Window, most: int) -> datetime:
        """Read the window from its beginning until there are `most` rows; gives the time up to which all are read.

        Raises SourceError.
        """
        waiting = [window]
        while waiting and len(self.rows) < most:
            window = waiting.pop()
            page = self.ask(window, 1)
            self._check(window, page)
            if not self._has_more(page):
                self._take(page)
            elif window.end - window.start > SECOND:
                waiting += reversed(window.halves())
            else:
                self._take_pages(window, page)
        return waiting[-1].start if waiting else window.end

    def _check(self, window: Window, page: WindowPage) -> None:
        """Raise SourceError for a server that gives the same records whatever the window: halving would not end."""
        times = [time for record in page.records if (time := _moment(record.get(self.time))) is not None]
        if times and not any(window.start - _FAR <= time <= window.end + _FAR for time in times):
            raise self._elsewhere()

    def _elsewhere(self) -> SourceError:
        return self.server.error(f"gives records whose {self.time} is not what was asked for: this feed cannot be read")

    def _has_more(self, page: WindowPage) -> bool:
        count = len(page.records)
        if page.more is not None:
            return page.more
        # As many as there have ever been in one answer may be as many as the server puts in one.
        more = count >= min(self.page_size, self._largest)
        self._largest = max(self._largest, count)
        return more and count > 1

    def _take(self, page: WindowPage) -> set[str]:
        """Take the records of a page; gives their keys."""
        keys = set()
        for record in page.records:
            key = record.get(self.key)
            if isinstance(key, str) and key:
                keys.add(key)
                self.rows.pop(key, None)
                self.rows[key] = self.row(record)
        return keys

    def _take_pages(self, window: Window, page: WindowPage) -> None:
        """Read page after page of a second until one has nothing new. Raises SourceError for pages without end, and for
        many seconds with the same records, whose times `_check` could not read."""
        full = len(page.records) >= self.page_size or page.more is True
        before = len(self.rows)
        seen, number = self._take(page), 2
        while new := self._take(page := self.ask(window, number)) - seen:
            seen, number = seen | new, number + 1
            if len(seen) > CROWDED:
                raise self.server.error(f"has more than {CROWDED:,} records in one second: this feed cannot be read")
        self._stale = self._stale + 1 if full and len(self.rows) == before else 0
        if self._stale > STALE:
            raise self._elsewhere()
        if full and number == 2 and (page.records or page.more):  # the same page again
            raise self.server.error(
                "has more records in one second than it puts in one answer, and no further page of them: set "
                "feed.page_size to what it puts in one answer"
            )


def read_until_now(reader: WindowReader, start: datetime, width: timedelta, most: int) -> tuple[datetime, bool]:
    """Read windows of that width from `start` until now, or until there are `most` rows; gives the time up to which all
    are read, and whether there is more. Raises SourceError."""
    at = start.replace(microsecond=0)
    while at <= reader.server.now and len(reader.rows) < most:
        end = min(at + width, reader.server.now.replace(microsecond=0) + AHEAD)
        at = reader.read(Window(at, end), most)
    return at, at <= reader.server.now


def stamp(time: datetime) -> str:
    """A time as both standards write it, in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: object) -> datetime | None:
    """The time of a record, if it is one; without a zone it is less than a day from the same one in UTC."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def moment(text: str) -> datetime:
    """The time of a stamp."""
    return datetime.fromisoformat(text)
