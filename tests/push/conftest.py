"""The embedded portal as its own process, and a server before it that loses and breaks what it is told to."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from push_desk import Desk
from release_examples import workspace

from publisher.pipeline.session import locked
from publisher.push.target import Target

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Running:
    """A portal process that answers."""

    url: str
    writer: Path

    def target(self, url: str | None = None) -> Target:
        """The portal's own account, reached directly or through another address."""
        return Target(url or self.url, False, **json.loads(self.writer.read_text()), timeout=20)


@pytest.fixture(scope="session")
def portal(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("portal")
    ready, state = folder / "ready", folder / "state"
    command = [sys.executable, "-m", "publisher.portal", str(state), "--port", "0", "--ready-file", str(ready)]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            deadline = time.monotonic() + 30
            while not ready.exists():
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "the portal did not start"
                time.sleep(0.02)
            yield Running(ready.read_text().strip(), state / "writer.json")
        finally:
            process.terminate()
            process.wait(15)


Fault = Callable[["Handler"], bool]
"""Called with a request before it is passed on; True when the request is dealt with."""


@dataclass
class Broken:
    """A server that passes requests on to the portal, keeps a list of them, and meddles where a fault is set."""

    portal: str
    requests: list[str] = field(default_factory=list)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    after: Callable[[str, int], bool] = lambda _request, _number: False
    """Told each request and its number once the portal has answered; True keeps the answer back."""
    url: str = ""

    @property
    def writes(self) -> list[str]:
        """The requests that could change something."""
        return [request for request in self.requests if not request.startswith("GET")]


class Handler(BaseHTTPRequestHandler):
    """One request through the broken server."""

    broken: Broken
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        path = urlsplit(self.path)
        name = f"{self.command} {path.path}{'?' + path.query if self.command != 'GET' and path.query else ''}"
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.broken.requests.append(name)
        number = len(self.broken.requests)
        for part, faults in self.broken.faults.items():
            if part in name and faults and faults.pop(0)(self):
                return
        status, headers, content = self.passed_on()
        if self.broken.after(name, number):
            self.lose()
        else:
            self.answer(status, content, headers)

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - http.server's names

    def passed_on(self) -> tuple[int, dict[str, str], bytes]:
        """What the portal answers."""
        connection = HTTPConnection(urlsplit(self.broken.portal).netloc, timeout=20)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
            connection.request(self.command, self.path, self.body, headers)
            reply = connection.getresponse()
            content = reply.read()
            return reply.status, {"Content-Type": reply.headers.get("Content-Type", "")}, content
        finally:
            connection.close()

    def answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        """Sends that answer; anything but bytes as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {"Content-Type": "application/json"}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def lose(self) -> None:
        """Closes the connection without an answer."""
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


@pytest.fixture
def broken(portal: Running) -> Iterator[Broken]:
    state = Broken(portal.url)
    handler = type("BoundHandler", (Handler,), {"broken": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def desk(tmp_path: Path, portal: Running, broken: Broken) -> Iterator[Desk]:
    place = workspace(tmp_path)
    with locked(place) as catalog:
        desk = Desk(place, catalog, portal, broken)
        yield desk
        desk.delete()
