"""Answers of any size, sent as they are computed: a piece at a time, and no faster than the reader takes them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync
from starlette.responses import Response

from publisher.portal.base.problems import SodaError, problem
from publisher.portal.base.watch import SECONDS, Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

WHOLE = 256 * 1024
"""Bytes up to which an answer is sent at once."""
SHORT = 16
"""Queries that may compute at the same time in one process, the long ones not counted."""
LONG = 4
"""Long queries that may compute at the same time in one process."""
SOON = 1.0
"""Seconds after which a query counts as long"""
HOLD = 5.0
"""Seconds that it may wait for a place among the long ones, before it is given up"""
TICK = 0.05
STREAMS = 32
"""Answers that may be on their way piece by piece at the same time in one process."""
SHARE = STREAMS // 4
"""Of these, those to one client's address."""
PULLS = 4
"""Threads that compute their next pieces, in turns."""
STALL = 60.0
"""Seconds that a reader may take none of a piece, before the answer is given up."""
LEAST = 8_000
"""Bytes a second that a reader must have taken, once it was waited for as long as that."""


class _Lanes:
    """What one event loop lets run at the same time."""

    def __init__(self) -> None:
        self.short = CapacityLimiter(SHORT)
        self.long = CapacityLimiter(LONG)
        self.streams = CapacityLimiter(STREAMS)
        self.pulls = CapacityLimiter(PULLS)
        self.readers: Counter[str] = Counter()
        """How many of the streams each client's address has."""
        self.threads = CapacityLimiter(SHORT + LONG)


_LANES: RunVar[_Lanes] = RunVar("lanes")


def _lanes() -> _Lanes:
    found = _LANES.get(None)
    if found is None:
        found = _Lanes()
        _LANES.set(found)
    return found


def busy() -> SodaError:
    """503: too much is computed already; come back soon."""
    error = problem(503, "busy", "Too many long questions are being answered; ask again in a few seconds")
    error.headers["Retry-After"] = "5"
    return error


async def computed(request: Request, answer: Callable[[Deadline], Response], seconds: float = SECONDS) -> Response:
    """What `answer` gives, computed in a thread; its query ends when the reader goes away.

    A query that takes long leaves its place to others and goes on among the few that may. Errors: SodaError.
    """
    patience, lanes = Deadline(seconds), _lanes()
    async with lanes.short:
        task = asyncio.ensure_future(run_sync(answer, patience, limiter=lanes.threads))
        done, _ = await asyncio.wait({task}, timeout=SOON)
        if done:
            return task.result()
        moved = await _moved(task, lanes.long)
    if not moved:
        patience.end()
        await asyncio.wait({task})
        raise busy()
    try:
        return await _awaited(task, request, patience)
    finally:
        lanes.long.release_on_behalf_of(task)


async def _moved(task: asyncio.Future[Response], lane: CapacityLimiter) -> bool:
    """True once the query may go on among the long ones, or has ended; it waits for that a few seconds."""
    for _ in range(int(HOLD / TICK)):
        with suppress(anyio.WouldBlock):
            lane.acquire_on_behalf_of_nowait(task)
            return True
        await asyncio.wait({task}, timeout=TICK)
    return False


async def _awaited(task: asyncio.Future[Response], request: Request, patience: Deadline) -> Response:
    """The answer, which nobody waits for any more when the reader has gone."""
    gone = asyncio.ensure_future(_until_gone(request.receive))
    waited: set[asyncio.Future[Any]] = {task, gone}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    if not task.done():
        patience.end()
    return await task


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def bodiless(headers: Mapping[str, str], media_type: str) -> Response:
    """The answer to HEAD where the body was not computed: of its length nothing is said."""
    response = Response(headers=headers, media_type=media_type)
    del response.headers["content-length"]
    return response


def sent(blocks: Generator[bytes], patience: Deadline, headers: Mapping[str, str], media_type: str) -> Response:
    """The response with this body: at once where it is small, else piece by piece."""
    first, size = [], 0
    for block in blocks:
        first.append(block)
        size += len(block)
        if size > WHOLE:
            return Pieces(b"".join(first), blocks, patience, headers, media_type)
    return Response(b"".join(first), headers=headers, media_type=media_type)


@contextmanager
def _place(lanes: _Lanes, client: str) -> Iterator[None]:
    """One of the streams. Errors: SodaError 503 where there is none left, or none for this client."""
    if lanes.readers[client] >= SHARE:
        raise busy()
    try:
        lanes.streams.acquire_nowait()
    except anyio.WouldBlock:
        raise busy() from None
    lanes.readers[client] += 1
    try:
        yield
    finally:
        lanes.streams.release()
        lanes.readers[client] -= 1
        if not lanes.readers[client]:
            del lanes.readers[client]


class Pieces(Response):
    """A body that is computed while it is sent. Errors: SodaError 503 where too many are on their way."""

    def __init__(
        self, first: bytes, blocks: Generator[bytes], patience: Deadline, headers: Mapping[str, str], media_type: str
    ) -> None:
        super().__init__(None, headers=headers, media_type=media_type)
        del self.headers["content-length"]
        self._first = first
        self._blocks = blocks
        self._patience = patience
        self._gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it, unless the reader goes away or stops reading."""
        lanes = _lanes()
        watcher = asyncio.ensure_future(self._watch(receive))
        try:
            with _place(lanes, (scope.get("client") or ("",))[0]):
                await self._send(send, lanes.pulls)
        finally:
            watcher.cancel()
            with anyio.CancelScope(shield=True):
                await run_sync(self._blocks.close, limiter=lanes.pulls)

    async def _watch(self, receive: Receive) -> None:
        await _until_gone(receive)
        self._gone = True
        self._patience.end()

    async def _send(self, send: Send, pulls: anyio.CapacityLimiter) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        block, self._first = self._first, b""
        waited, taken = 0.0, 0
        try:
            while block and not self._gone:
                started = time.monotonic()
                async with asyncio.timeout(STALL):
                    await send({"type": "http.response.body", "body": block, "more_body": True})
                waited, taken = waited + time.monotonic() - started, taken + len(block)
                if waited > STALL and taken < LEAST * waited:
                    return  # as for a reader that takes nothing: it sees that the answer is not whole
                block = await run_sync(next, self._blocks, b"", limiter=pulls)
        except SodaError:
            if self._gone:
                return
            raise  # the status is out already: the connection is cut, and the reader sees that the answer is not whole
        except TimeoutError:
            return
        if not self._gone:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
