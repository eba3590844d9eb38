"""The process: starting, stopping, and saying what is wrong."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import requests
from portal_process import start, stop

if TYPE_CHECKING:
    from pathlib import Path

    from portal_process import Running


def test_it_answers_and_stops_when_told(tmp_path: Path) -> None:
    """The ready file has the address; /health answers; SIGTERM ends it with 0; one line names the address."""
    running = start(tmp_path / "state")
    answer = requests.get(f"{running.address}/health", timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert stop(running) == 0
    assert (tmp_path / "state.log").read_text().count(f"The portal answers at {running.address}") == 1


def test_a_taken_port_is_one_clear_message(tmp_path: Path) -> None:
    """Exit code 6, one line, no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "publisher.portal", str(tmp_path / "state"), "--port", port]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 6
    assert ended.stderr.count("\n") == 1
    assert f"port {port}" in ended.stderr


def test_a_state_folder_that_cannot_be_is_one_clear_message(tmp_path: Path) -> None:
    """A file in the place of the folder: exit code 6, one line."""
    (tmp_path / "state").write_text("not a folder")
    command = [sys.executable, "-m", "publisher.portal", str(tmp_path / "state"), "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 6
    assert ended.stderr.count("\n") == 1


def test_browsers_of_other_sites_may_read(portal: Running) -> None:
    """A preflight request is answered for reads."""
    answer = requests.options(f"{portal.address}/resource/aaaa-aaaa.json", timeout=10)
    assert answer.status_code == 204
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]
    assert "PUT" not in answer.headers["Access-Control-Allow-Methods"]
    assert "POST" not in answer.headers["Access-Control-Allow-Methods"]
    assert {"Range", "X-App-Token"} <= set(answer.headers["Access-Control-Allow-Headers"].split(", "))


def test_browsers_of_other_sites_may_ask_with_a_body(portal: Running) -> None:
    """SODA 3 asks by POST, which its preflight request allows."""
    answer = requests.options(f"{portal.address}/api/v3/views/aaaa-aaaa/query.json", timeout=10)
    assert "POST" in answer.headers["Access-Control-Allow-Methods"].split(", ")


@pytest.mark.parametrize("path", ["/", "/health", "/data.json", "/nowhere", "/resource/zzzz-zzzz.json"])
def test_every_answer_has_the_headers_that_protect(portal: Running, path: str) -> None:
    """Pages, data and errors alike: other sites may read, no page may be framed, scripts are the portal's own."""
    headers = requests.get(portal.address + path, headers={"Accept": "text/html"}, timeout=10).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "geolocation=()" in headers["Permissions-Policy"]
    assert len(headers["X-Socrata-RequestId"]) == 32
    assert "Server" not in headers
