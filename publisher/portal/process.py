"""uvicorn, which stops on a signal and then lets its caller go on."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from starlette.applications import Starlette

GRACE = 10
"""Seconds that open requests have to end once the portal is told to stop."""


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- the signature of a handler
        """Stop gracefully, at once on a second interrupt; uvicorn would raise the signal again afterwards."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def run(app: Starlette, listener: socket.socket) -> None:
    """Serve the application on a listening socket until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=GRACE
    )
    _Server(config).run(sockets=[listener])
