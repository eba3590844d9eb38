"""Servers of ours on this machine that answer as public specifications say, with faults where a test wants them."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Fault = Literal["429", "500", "cut", "half", "silent", "other", "slow"]
"""429 with Retry-After, 500, a connection cut in the answer, half of the JSON, no answer at all, JSON of another kind,
an answer that comes byte by byte."""


@dataclass(frozen=True)
class Asked:
    """One request as the server got it."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    target: str


@dataclass
class FeedServer:
    """A server; `answer` gives status and JSON. Tests change its faults and what happens before a request."""

    answer: Callable[[Asked], tuple[int, Any]]
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    faults: dict[int, Fault] = field(default_factory=dict)
    """By the number of the request, from 1."""
    before: dict[int, Callable[[], None]] = field(default_factory=dict)
    """What happens in the city just before that request is answered."""
    retry_after: str = "0"
    clock: timedelta = timedelta(0)
    certificate: tuple[Path, Path] | None = None
    """A certificate and its key: the server then speaks HTTPS."""
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.host}"

    @contextmanager
    def running(self) -> Iterator[FeedServer]:
        """Answer until the block ends."""

        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(OSError):
                    ours._reply(self)

            def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002 - as the library has it
                return (datetime.now(UTC) + ours.clock).strftime("%a, %d %b %Y %H:%M:%S GMT")

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that hangs up, or does not trust the certificate, is no news."""

        with Server(("127.0.0.1", self.port), Handler) as server:
            if self.certificate is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.certificate)
                server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            self.port = server.server_port
            self.stopped.clear()
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield self
            finally:
                self.stopped.set()
                server.shutdown()
                thread.join()

    def _reply(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        asked = Asked(parts.path, dict(parse_qsl(parts.query)), dict(handler.headers), handler.path)
        self.asked.append(asked)
        number = len(self.asked)
        self.before.pop(number, lambda: None)()
        fault = self.faults.get(number)
        if fault == "silent":
            self.stopped.wait()
            return
        status, content = self.answer(asked)
        if fault in ("429", "500"):
            status, content = int(fault), {"message": "a message of the server"}
        text = json.dumps({"a": [1]} if fault == "other" else content)
        body = gzip.compress((text[: len(text) // 2] if fault == "half" else text).encode())
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        if fault == "429":
            handler.send_header("Retry-After", self.retry_after)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if fault == "slow":
            for byte in body:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                if self.stopped.wait(0.2):
                    return
        handler.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
