"""Stream answers of any size while they are computed, no faster than the client reads them."""

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
"""An answer with at most this many bytes is sent at once."""
SHORT = 16
"""Queries that can run at the same time in one process, not counting long ones."""
LONG = 4
"""Long queries that can run at the same time in one process."""
SOON = 1.0
"""Seconds after which a query counts as long."""
HOLD = 5.0
"""Seconds that a query waits for a place among the long ones before it is canceled."""
TICK = 0.05
STREAMS = 32
"""Answers that can be streamed at the same time in one process."""
SHARE = STREAMS // 4
"""How many of these one client address can have."""
PULLS = 4
"""Threads that compute the next pieces of streamed answers."""
STALL = 60.0
"""Seconds after which an answer is dropped if the client reads nothing."""
LEAST = 8_000
"""Bytes per second that a client must have read once the portal has waited that long for it."""


class _Lanes:
    """The limits on what one event loop runs at the same time."""

    def __init__(self) -> None:
        self.short = CapacityLimiter(SHORT)
        self.long = CapacityLimiter(LONG)
        self.streams = CapacityLimiter(STREAMS)
        self.pulls = CapacityLimiter(PULLS)
        self.readers: Counter[str] = Counter()
        """How many streams each client address has."""
        self.threads = CapacityLimiter(SHORT + LONG)


_LANES: RunVar[_Lanes] = RunVar("lanes")


def _lanes() -> _Lanes:
    found = _LANES.get(None)
    if found is None:
        found = _Lanes()
        _LANES.set(found)
    return found


def busy() -> SodaError:
    """503: too many queries are running; the client should try again soon."""
    error = problem(503, "busy", "Too many long queries are running. Try again in a few seconds.")
    error.headers["Retry-After"] = "5"
    return error


async def computed(request: Request, answer: Callable[[Deadline], Response], seconds: float = SECONDS) -> Response:
    """Run `answer` in a thread; its query is canceled if the client disconnects.

    A query that takes long gives its place to others and continues as one of the few long queries. Raises SodaError.
    """
    deadline, lanes = Deadline(seconds), _lanes()
    async with lanes.short:
        task = asyncio.ensure_future(run_sync(answer, deadline, limiter=lanes.threads))
        done, _ = await asyncio.wait({task}, timeout=SOON)
        if done:
            return task.result()
        moved = await _moved(task, lanes.long)
    if not moved:
        deadline.end()
        await asyncio.wait({task})
        raise busy()
    try:
        return await _awaited(task, request, deadline)
    finally:
        lanes.long.release_on_behalf_of(task)


async def _moved(task: asyncio.Future[Response], lane: CapacityLimiter) -> bool:
    """Wait a few seconds for a place among the long queries; True once the query has one or has ended."""
    for _ in range(int(HOLD / TICK)):
        with suppress(anyio.WouldBlock):
            lane.acquire_on_behalf_of_nowait(task)
            return True
        await asyncio.wait({task}, timeout=TICK)
    return False


async def _awaited(task: asyncio.Future[Response], request: Request, deadline: Deadline) -> Response:
    """Wait for the answer; cancel its query if the client disconnects."""
    gone = asyncio.ensure_future(_until_gone(request.receive))
    waited: set[asyncio.Future[Any]] = {task, gone}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    if not task.done():
        deadline.end()
    return await task


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def bodiless(headers: Mapping[str, str], media_type: str) -> Response:
    """The answer to HEAD if the body was not computed: without a Content-Length."""
    response = Response(headers=headers, media_type=media_type)
    del response.headers["content-length"]
    return response


def sent(blocks: Generator[bytes], deadline: Deadline, headers: Mapping[str, str], media_type: str) -> Response:
    """The response with this body: sent at once if small, otherwise streamed."""
    first, size = [], 0
    for block in blocks:
        first.append(block)
        size += len(block)
        if size > WHOLE:
            return Pieces(b"".join(first), blocks, deadline, headers, media_type)
    return Response(b"".join(first), headers=headers, media_type=media_type)


@contextmanager
def _place(lanes: _Lanes, client: str) -> Iterator[None]:
    """Take one of the streams. Raises SodaError 503 if none is free, or none for this client."""
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
    """A body that is computed while it is sent. Raises SodaError 503 if there are too many streams."""

    def __init__(
        self, first: bytes, blocks: Generator[bytes], deadline: Deadline, headers: Mapping[str, str], media_type: str
    ) -> None:
        super().__init__(None, headers=headers, media_type=media_type)
        del self.headers["content-length"]
        self._first = first
        self._blocks = blocks
        self._deadline = deadline
        self._gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body, unless the client disconnects or stops reading."""
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
        self._deadline.end()

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
