"""Pages rendered once: the entity tag says what a page is made of, so that it is known before the page is.

A page without a login is made of what anyone may read of the catalog, the days that schedules go by, the address that
was asked for, and the code. Only such pages are kept: one for an account may show what others may not see.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, wraps
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from starlette.responses import Response

from publisher.portal.answers.access import base_url, findable, portal
from publisher.portal.answers.freshness import has
from publisher.portal.contract import about

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    Endpoint = Callable[[Request], Response]

ROOM = 32 * 1000**2
"""The most bytes of pages that one process keeps."""
CODE = Path(__file__).parents[1]
"""The portal: a page may change with any of its files."""
FILES = frozenset({".py", ".html", ".svg", ".css", ".js", ".po", ".txt"})


@dataclass(frozen=True, slots=True)
class KeptPage:
    """A rendered page with its headers."""

    content: bytes
    headers: dict[str, str]
    media_type: str


@dataclass(slots=True)
class PageCache:
    """The pages that were asked for last, as many as there is room for."""

    room: int = ROOM
    taken: int = 0
    _pages: OrderedDict[str, KeptPage] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def find(self, mark: str) -> KeptPage | None:
        """The page made of this, or None."""
        with self._lock:
            found = self._pages.get(mark)
            if found is not None:
                self._pages.move_to_end(mark)
            return found

    def keep(self, mark: str, page: KeptPage) -> None:
        """Keep a page; those that no one asked for the longest make room."""
        with self._lock:
            if mark in self._pages or len(page.content) > self.room:
                return
            self._pages[mark] = page
            self.taken += len(page.content)
            while self.taken > self.room:
                _, dropped = self._pages.popitem(last=False)
                self.taken -= len(dropped.content)


_KEPT = PageCache()
_CLOCKS: dict[str, frozenset[str]] = {}
"""The time zones of the schedules in the state of the catalog that was seen last."""


def once(endpoint: Endpoint, also: Callable[[Request], object] | None = None) -> Endpoint:
    """The endpoint of a page, which renders it once; `also` gives what else it is made of, such as files.

    An answer with work to do afterward is not kept, so that the next visit does it too.
    """

    @wraps(endpoint)
    def answered(request: Request) -> Response:
        if "authorization" in request.headers:
            return endpoint(request)
        mark = _mark(request, also)
        tag = f'W/"{mark[:32]}"'
        if request.headers.get("if-none-match", "*").strip() != "*" and has(request, tag):
            return Response(status_code=304, headers=_shared(tag))
        found = _KEPT.find(mark)
        if found is not None and has(request, tag):  # any page will do, and there is one
            return Response(status_code=304, headers=_shared(tag))
        if found is not None:
            return Response(found.content, headers=found.headers | {"ETag": tag}, media_type=found.media_type)
        made = endpoint(request)
        if made.status_code in (200, 304) and mark == _mark(request, also):
            made.headers["ETag"] = tag
            if made.status_code == 200 and made.background is None:
                _KEPT.keep(mark, _kept(made))
        return made

    return answered


def _mark(request: Request, also: Callable[[Request], object] | None) -> str:
    """A digest of all that the page is made of."""
    state = portal(request).store.catalog.open_mark()
    asked = (base_url(request), request.url.path, request.url.query)
    made_of = (_code(), state, _today(request, state), asked, also(request) if also is not None else None)
    return hashlib.sha256(repr(made_of).encode(errors="surrogatepass")).hexdigest()


def _kept(made: Response) -> KeptPage:
    content = bytes(made.body)
    names = ("cache-control", "vary", "content-language")
    return KeptPage(
        content, {name: made.headers[name] for name in names if name in made.headers}, made.media_type or ""
    )


def _shared(tag: str) -> dict[str, str]:
    return {"Cache-Control": "no-cache", "Vary": "Authorization", "ETag": tag}


def _today(request: Request, state: str) -> tuple[str, ...]:
    """The day by the clock of each schedule: what was due yesterday is late today."""
    zones = _CLOCKS.get(state)
    if zones is None:
        known = [about(each) for each in findable(request)]
        told = [facts for each in known for facts in (each.schedule, *each.unpublished) if facts is not None]
        zones = frozenset(facts.timezone for facts in told)
        _CLOCKS.clear()
        _CLOCKS[state] = zones
    now = datetime.now(UTC)
    return tuple(f"{zone} {now.astimezone(ZoneInfo(zone)).date()}" for zone in sorted(zones))


@cache
def _code() -> str:
    """A digest of the code: the pages of another release are other pages."""
    found = hashlib.sha256()
    for path in sorted(each for each in CODE.rglob("*") if each.suffix in FILES):
        found.update(f"{path.relative_to(CODE)}".encode() + path.read_bytes())
    return found.hexdigest()
