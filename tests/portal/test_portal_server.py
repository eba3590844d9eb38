"""The process: starting, stopping, and saying what is wrong."""

from __future__ import annotations

import hashlib
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from portal_process import publish, start, stop

from publisher.commands import accounts
from publisher.errors import PortalError

if TYPE_CHECKING:
    from portal_process import Running


@pytest.mark.usefixtures("processes")
def test_it_answers_and_stops_when_told(tmp_path: Path) -> None:
    """The ready file has the address; /health answers; SIGTERM ends it with 0; one line names the address."""
    running = start(tmp_path / "state")
    answer = requests.get(f"{running.address}/health", timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert stop(running) == 0
    assert (tmp_path / "state.log").read_text().count(f"The portal is running at {running.address}") == 1


@pytest.mark.usefixtures("processes")
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


@pytest.mark.usefixtures("processes")
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
    assert headers["Cache-Control"]
    assert "Server" not in headers


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.usefixtures("processes")
def test_a_state_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """A catalog with a step that this program does not know: exit code 6, one line that says so, no byte changed."""
    running = start(tmp_path / "state")
    with running.client() as client:
        publish(client, "Kept", [{"id": "a"}])
    assert stop(running) == 0
    with closing(sqlite3.connect(tmp_path / "state" / "catalogue.sqlite", isolation_level=None)) as catalog:
        catalog.execute("INSERT INTO migrations VALUES ('telepathy')")
    before = contents(tmp_path / "state")
    for workers in ("1", "2"):
        command = [sys.executable, "-m", "publisher.portal", str(tmp_path / "state"), "--port", "0"]
        ended = subprocess.run(
            [*command, "--workers", workers], capture_output=True, text=True, timeout=30, check=False
        )
        assert (ended.returncode, ended.stderr.count("\n")) == (6, 1)
        assert "newer version of publisher" in ended.stderr
        assert "telepathy" in ended.stderr
    with pytest.raises(PortalError, match="newer version"):
        accounts.accounts_listed(tmp_path / "state")
    assert contents(tmp_path / "state") == before


PUBLISHER = Path(sys.executable).with_name("publisher")


def workspace(folder: Path, url: str) -> Path:
    """A new workspace whose portal has this address."""
    made = folder / "city"
    subprocess.run([PUBLISHER, "init", made], capture_output=True, check=True)
    settings = made / "publisher.toml"
    settings.write_text(settings.read_text().replace("http://127.0.0.1:8311", url))
    return made


@pytest.mark.usefixtures("processes")
def test_serve_ends_without_a_word_of_what_it_leaves(tmp_path: Path) -> None:
    """Stopped by SIGTERM after questions of every sort, standard error holds its log, and no list of leaks."""
    folder, ready = workspace(tmp_path, "http://127.0.0.1:8311"), tmp_path / "ready"
    command = [PUBLISHER, "serve", "--port", "0", "--ready-file", str(ready)]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    while not ready.exists():
        assert process.poll() is None
        time.sleep(0.05)
    from portal_process import Running

    running = Running(process, ready.read_text(), folder / "state" / "portal", tmp_path / "log")
    with running.client() as client:
        name = publish(client, "Asked", [{"id": "a", "place": {"type": "Point", "coordinates": [-90, 38]}}])
    for query in ("$where=within_circle(place,38,-90,9)", "$q=a", "$select=count(*)", "$order=id"):
        assert requests.get(f"{running.address}/resource/{name}.json?{query}", timeout=30).status_code == 200
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "nanobind" not in said
    assert all(line.split()[1] in ("INFO", "WARNING") for line in said.splitlines()), said


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(("url", "port"), [("https://data.example.org", 443), ("http://data.example.org", 80)])
def test_serve_listens_where_the_address_of_the_settings_points(tmp_path: Path, url: str, port: int) -> None:
    """Without a port, that of its scheme; seen where it cannot listen, on an address that no machine has."""
    command = [PUBLISHER, "serve", "--host", "192.0.2.1", "--public-url", url]
    ended = subprocess.run(
        command, cwd=workspace(tmp_path, url), capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 6
    assert f"cannot listen on 192.0.2.1 port {port}:" in ended.stderr
