"""Whether a portal answers, on a machine that is busy."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

from publisher.push import embedded

if TYPE_CHECKING:
    import pytest


class Late(BaseHTTPRequestHandler):
    """A portal that is well, and slow."""

    def do_GET(self) -> None:
        time.sleep(0.6)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_a_slow_portal_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for once it took the connection, longer than for a connection; where none listens, not at all."""
    monkeypatch.setattr(embedded, "CONNECT_SECONDS", 0.3)
    with HTTPServer(("127.0.0.1", 0), Late) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert embedded.answers(address)
        thread.join()
    assert not embedded.answers(address)
