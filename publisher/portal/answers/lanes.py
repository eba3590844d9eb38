"""Lanes: how much of one kind of work runs at the same time, shared fairly among the addresses that ask for it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from starlette.concurrency import run_in_threadpool

from publisher.portal.base.limits import network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Scope

SHORT = 16
"""Queries that can run at the same time in one process, not counting long ones."""
LONG = 4
"""Long queries that can run at the same time in one process."""
STREAMS = 32
"""Answers that can be streamed at the same time in one process."""
PULLS = 4
"""Threads that compute the next pieces of streamed answers."""
PAGES = 40
"""Pages and other answers that one thread makes, at the same time in one process."""
WRITES = 2
"""Writes of rows that are carried out at the same time in one process, at most one for each address."""
PART = 4
"""While others ask too, an address has at most one of this many parts of a lane."""
OTHERS = 10.0
"""Seconds for which an address counts as asking after it last asked."""


def address(scope: Scope) -> str:
    """The address that a request is charged to: a library or an office has one for all of its people."""
    client = scope.get("client")
    return network(client[0]) if client else ""


@dataclass(eq=False, slots=True)
class LanePlace:
    """One place in a lane, wanted or taken."""

    address: str
    give_way: Callable[[], None] | None = None
    """Ends the work, for another address that has less."""
    told: bool = False
    """True once it was told to end."""
    taken: asyncio.Event = field(default_factory=asyncio.Event)


class Lane:
    """The places for one kind of work in one event loop.

    An address may take all of them while no other address asks. While others ask, it gets no more than its share, and
    a place that becomes free goes to the address with the fewest. If none is free for an address below its share, the
    newest work of the address with the most gives way.
    """

    def __init__(self, places: int, most: int | None = None) -> None:
        self.places = places
        self.most = places if most is None else most
        """How many an address may have, also while no other asks."""
        self.share = max(1, places // PART)
        self._taken: list[LanePlace] = []
        self._held: Counter[str] = Counter()
        self._waiting: list[LanePlace] = []
        self._asked: dict[str, float] = {}
        """When each address last asked, the latest at the end."""

    @asynccontextmanager
    async def place(self, of: str, give_way: Callable[[], None] | None = None) -> AsyncIterator[LanePlace]:
        """Wait for a place and have it until the block ends."""
        taken = await self.take(of, give_way)
        try:
            yield taken
        finally:
            self.leave(taken)

    def open_to(self, of: str) -> bool:
        """Whether this address gets a place soon: one is free, or another address has more than its share."""
        if self._may(of) and len(self._taken) + len(self._waiting) < self.places:
            return True
        wanted = self._held[of] + sum(each.address == of for each in self._waiting)
        return wanted < self.share and max(self._held.values(), default=0) > self.share

    def willing(self, place: LanePlace, give_way: Callable[[], None]) -> None:
        """From now on, the work at this place can end for another address."""
        place.give_way = give_way
        self._make_way()

    async def take(self, of: str, give_way: Callable[[], None] | None = None) -> LanePlace:
        """Wait for a place."""
        wanted = LanePlace(of, give_way)
        self._asked.pop(of, None)
        self._asked[of] = time.monotonic()
        self._waiting.append(wanted)
        self._hand_out()
        try:
            await wanted.taken.wait()
        except BaseException:
            self.leave(wanted)
            raise
        return wanted

    def leave(self, place: LanePlace) -> None:
        """Free a place, or stop waiting for it."""
        if place in self._waiting:
            self._waiting.remove(place)
        else:
            self._taken.remove(place)
            self._held[place.address] -= 1
            if not self._held[place.address]:
                del self._held[place.address]
        self._hand_out()

    def _hand_out(self) -> None:
        self._forget()
        while len(self._taken) < self.places:
            allowed = [each for each in self._waiting if self._may(each.address)]
            if not allowed:
                return
            found = min(allowed, key=lambda each: self._held[each.address])  # of equals, the first that came
            self._waiting.remove(found)
            self._taken.append(found)
            self._held[found.address] += 1
            found.taken.set()
        self._make_way()

    def _may(self, of: str) -> bool:
        return self._held[of] < self.share or (self._held[of] < self.most and not self._contended(of))

    def _contended(self, of: str) -> bool:
        """Whether another address has a place or has asked lately."""
        return any(each != of for each in self._held) or any(each != of for each in self._asked)

    def _forget(self) -> None:
        before = time.monotonic() - OTHERS
        for each in [name for name, asked in self._asked.items() if asked < before]:
            del self._asked[each]

    def _make_way(self) -> None:
        """For each address below its share that waits, tell one place of an address above its share to end."""
        wanted = sum(self._held[each] < self.share for each in {each.address for each in self._waiting})
        wanted -= sum(each.told for each in self._taken)
        held = self._held - Counter(each.address for each in self._taken if each.told)
        for place in reversed(self._taken):
            if wanted <= 0:
                return
            most = max(held.values())
            if place.give_way and not place.told and most > self.share and held[place.address] == most:
                place.told = True
                place.give_way()
                held[place.address] -= 1
                wanted -= 1


class Lanes:
    """The lanes of one event loop, and the threads that work in them."""

    def __init__(self) -> None:
        self.short = Lane(SHORT)
        self.long = Lane(LONG)
        self.queries = CapacityLimiter(SHORT + LONG)
        self.streams = Lane(STREAMS)
        self.pulls = Lane(PULLS)
        self.pullers = CapacityLimiter(PULLS)
        self.pages = Lane(PAGES)
        self.writes = Lane(WRITES, most=1)


_LANES: RunVar[Lanes] = RunVar("lanes")


def lanes() -> Lanes:
    """The lanes of this event loop."""
    found = _LANES.get(None)
    if found is None:
        found = Lanes()
        _LANES.set(found)
    return found


def in_lane(endpoint: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint, which runs in a thread, at a place of the lane for pages."""

    @wraps(endpoint)
    async def answered(request: Request) -> Response:
        async with lanes().pages.place(address(request.scope)):
            return await run_in_threadpool(endpoint, request)

    return answered
