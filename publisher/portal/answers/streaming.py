"""Stream answers of any size while they are computed, no faster than the client reads them."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio.to_thread import run_sync
from starlette.responses import Response

from publisher.portal.answers.lanes import address, lanes
from publisher.portal.base.problems import SodaError, problem
from publisher.portal.base.watch import SECONDS, Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from publisher.portal.answers.lanes import LanePlace, Lanes

WHOLE = 256 * 1024
"""An answer with at most this many bytes is sent at once."""
SOON = 1.0
"""Seconds after which a query counts as long."""
HOLD = 5.0
"""Seconds that a query waits for a place among the long ones before it is canceled."""
STALL = 60.0
"""Seconds after which an answer is dropped if the client reads nothing."""
LEAST = 8_000
"""Bytes per second that a client must have read once the portal has waited that long for it."""


def busy() -> SodaError:
    """503: too many queries are running; the client should try again soon."""
    error = problem(503, "busy", "Too many long queries are running. Try again in a few seconds.")
    error.headers["Retry-After"] = "5"
    return error


async def computed(request: Request, answer: Callable[[Deadline], Response], seconds: float = SECONDS) -> Response:
    """Run `answer` in a thread; its query is canceled if the client disconnects.

    A query that takes long gives its place to others and continues as one of the few long queries. Raises SodaError.
    """
    deadline, here, client = Deadline(seconds), lanes(), address(request.scope)
    async with here.short.place(client) as short:
        task = asyncio.ensure_future(run_sync(_clocked, answer, deadline, limiter=here.queries))
        done, _ = await asyncio.wait({task}, timeout=SOON)
        if done:
            return task.result()
        long = await _moved(task, here, short, deadline)
    if long is None:
        if task.done():
            return task.result()
        deadline.end()
        await asyncio.wait({task})
        raise busy()
    try:
        return await _awaited(task, request, deadline)
    except SodaError:
        if long.told:
            raise busy() from None
        raise
    finally:
        here.long.leave(long)


def _clocked(answer: Callable[[Deadline], Response], deadline: Deadline) -> Response:
    """The answer; the reading of its query counts toward its time, too."""
    with deadline.watched():
        return answer(deadline)


async def _moved(task: asyncio.Future[Response], here: Lanes, short: LanePlace, deadline: Deadline) -> LanePlace | None:
    """Wait a few seconds for a place among the long queries; None if there is none, others need this place, or the
    query has ended."""
    needed = asyncio.Event()
    here.short.willing(short, needed.set)
    wanted = asyncio.ensure_future(here.long.take(short.address, deadline.end))
    others = asyncio.ensure_future(needed.wait())
    try:
        waited: set[asyncio.Future[Any]] = {task, wanted, others}
        await asyncio.wait(waited, timeout=HOLD, return_when=asyncio.FIRST_COMPLETED)
    finally:
        others.cancel()
        if not wanted.done():
            wanted.cancel()
    return wanted.result() if wanted.done() else None


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
        """Send the body, unless the client disconnects or stops reading, or others need the place."""
        here, client = lanes(), address(scope)
        watcher = asyncio.ensure_future(self._watch(receive))
        try:
            if not here.streams.open_to(client):
                raise busy()
            async with here.streams.place(client) as place:
                sending = asyncio.ensure_future(self._send(send, here, client))
                here.streams.willing(place, partial(self._cut, sending))
                try:
                    await sending
                except asyncio.CancelledError:
                    if not place.told:
                        raise  # otherwise its reader sees that the answer is not whole
        finally:
            watcher.cancel()
            with anyio.CancelScope(shield=True):
                await run_sync(self._blocks.close, limiter=here.pullers)

    def _cut(self, sending: asyncio.Future[None]) -> None:
        self._deadline.end()
        sending.cancel()

    async def _watch(self, receive: Receive) -> None:
        await _until_gone(receive)
        self._gone = True
        self._deadline.end()

    async def _send(self, send: Send, here: Lanes, client: str) -> None:
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
                async with here.pulls.place(client):
                    block = await run_sync(next, self._blocks, b"", limiter=here.pullers)
        except SodaError:
            if self._gone:
                return
            raise  # the status is out already: the connection is cut, and the reader sees that the answer is not whole
        except TimeoutError:
            return
        if not self._gone:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
