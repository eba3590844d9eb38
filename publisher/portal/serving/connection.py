"""One client's connection, closed when the client makes no progress."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

HEAD_BYTES = 64 * 1024
"""The longest address and headers of a request."""
HEAD_SECONDS = 15
"""How long a client may take for them."""
BODY_SECONDS = 30
"""How long a request's body may pause."""
READ_SECONDS = 60
"""How long a client may leave an answer unread."""


class Connection(H11Protocol):
    """uvicorn's, with deadlines."""

    _coming: asyncio.TimerHandle | None = None
    _going: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there: its request must follow."""
        super().connection_made(transport)
        self._coming = self.loop.call_later(HEAD_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._disarm()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A part of a request; a head has one deadline, each part of a body its own."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._coming = self._coming or self.loop.call_later(HEAD_SECONDS, self._late)
            return
        self._disarm()
        if self.conn.their_state is h11.SEND_BODY:
            self._coming = self.loop.call_later(BODY_SECONDS, self._late)

    def on_response_complete(self) -> None:
        """What follows is another request, for which uvicorn has a deadline."""
        self._disarm()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client reads slower than it is sent to."""
        super().pause_writing()
        self._going = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        if self._going is not None:
            self._going.cancel()
            self._going = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- its words are ours
        """Refuse what is no request, in the shape of every other error."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            words = f"This is no HTTP request, or its address and headers are longer than {HEAD_BYTES} bytes"
            body = json.dumps({"code": "invalid_request", "error": True, "message": words}).encode()
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
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
