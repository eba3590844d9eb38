"""Client connections, closed when the client makes no progress or others need the place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from publisher.portal.base.limits import network

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

HEAD_BYTES = 64 * 1024
"""The most bytes in the address and headers of a request."""
HEAD_SECONDS = 15
"""How many seconds a client may take to send them."""
BODY_SECONDS = 30
"""How many seconds a request's body may pause."""
READ_SECONDS = 60
"""How many seconds a client may leave an answer unread."""
EACH = 64
"""The most connections to one process from one address (for IPv6, from one /64)."""


class Connection(H11Protocol):
    """uvicorn's connection, with deadlines and a share per address; `trusts` tells if a client is a trusted proxy."""

    _coming: asyncio.TimerHandle | None = None
    _going: asyncio.TimerHandle | None = None
    _since = 0.0
    """When it was last used."""
    _peer: str | None = None
    """The client's network; None for a proxy."""

    def __init__(self, *given: Any, trusts: Callable[[tuple[str, int] | None], bool], **named: Any) -> None:
        super().__init__(*given, **named)
        self._trusts = trusts

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected: start the deadline for its request."""
        super().connection_made(transport)
        self._since = self.loop.time()
        if self.client and not self._trusts(self.client):
            self._peer = network(self.client[0])
        self._make_place()
        self._coming = self.loop.call_later(HEAD_SECONDS, self._late)

    def _make_place(self) -> None:
        """Close the longest idle connection: of this address if it has its share, of all if there are too many."""
        others = [each for each in self.connections if isinstance(each, Connection) and each is not self]
        own = [each for each in others if each._peer == self._peer] if self._peer else []
        if len(own) >= EACH and not _idlest_closed(own):
            self.transport.close()
        if self.limit_concurrency is not None and len(others) >= self.limit_concurrency - 2:
            _idlest_closed(others)

    @property
    def _idle(self) -> bool:
        """True while no request is being received or answered."""
        return self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE

    def connection_lost(self, exc: Exception | None) -> None:
        """The client disconnected."""
        self._disarm()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request; the head has one deadline, each part of the body its own."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._coming = self._coming or self.loop.call_later(HEAD_SECONDS, self._late)
            return
        self._disarm()
        if self.conn.their_state is h11.SEND_BODY:
            self._coming = self.loop.call_later(BODY_SECONDS, self._late)

    def on_response_complete(self) -> None:
        """The answer is complete; uvicorn has a deadline for the next request."""
        self._disarm()
        self._since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than the portal sends."""
        super().pause_writing()
        self._going = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._going is not None:
            self._going.cancel()
            self._going = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- the message is our own
        """Refuse an invalid request, in the format of all other errors."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            words = f"This is not a valid HTTP request, or its address and headers are longer than {HEAD_BYTES} bytes"
            body = json.dumps({"code": "invalid_request", "error": True, "message": words}).encode()
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
                ("cache-control", "no-store"),
            ]
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _disarm(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None

    def _late(self) -> None:
        if self.flow.read_paused:  # it is the portal that is slow
            self._coming = self.loop.call_later(BODY_SECONDS, self._late)
        else:
            self.transport.close()


def _idlest_closed(connections: Iterable[Connection]) -> bool:
    """Close the connection that has been idle longest; False if none is idle."""
    found = min((each for each in connections if each._idle), key=lambda each: each._since, default=None)
    if found is None:
        return False
    found.transport.close()
    found.connections.discard(found)  # now, because others may connect before its end is reported
    return True
