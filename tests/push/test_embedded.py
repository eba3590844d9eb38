"""Whether a portal answers, on a machine that is busy."""

from __future__ import annotations

import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from publisher.definitions.settings import PortalSettings
from publisher.push import embedded


class Late(BaseHTTPRequestHandler):
    """A portal that is well, and slow."""

    def do_GET(self) -> None:
        time.sleep(0.6)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def stranger(folder: Path) -> Path:
    """The folder with a package of the product's name that ends whoever imports it."""
    package = folder / "publisher"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit(9)\n")
    return folder


@pytest.mark.usefixtures("processes")
def test_a_portal_gets_no_secrets_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It faces the web; the workspace's key and the passwords of feeds are in the environment of who starts it. Nor
    does it run what lies in the folder in which the run was started."""
    monkeypatch.setenv("WORKSPACE_KEY", "secret-key")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = set(children.read_text().split())
    monkeypatch.chdir(stranger(tmp_path))
    with embedded.running(PortalSettings(url=f"http://127.0.0.1:{port}"), tmp_path / "portal"):
        (child,) = {*children.read_text().split()} - before
        told = Path(f"/proc/{child}/environ").read_bytes()
    assert b"PATH=" in told
    assert b"secret-key" not in told


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
