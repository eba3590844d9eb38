"""`publisher keyset` from a dataset of a real portal over HTTP, and from servers that fail."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from portal_process import publish

from publisher.cli import main
from publisher.commands.init import SETTINGS
from publisher.definitions.keyset import read_keyset
from publisher.reference import open_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result
    from portal_process import Running


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with one source, whose raw files are named after a dataset."""
    monkeypatch.delenv("SOCRATA_APP_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "publisher.toml").write_text(SETTINGS)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "requests.toml").write_text('[feed]\npath = "requests/abcd-1234.csv"\n')
    return tmp_path


def keyset(workspace: Path, url: str, *more: str) -> Result:
    """Runs the command for the keyset `zones`."""
    return CliRunner().invoke(main, ["-C", str(workspace), "keyset", "zones", "--from", url, *more])


def written(workspace: Path) -> Path:
    return workspace / "datasets" / "keysets" / "zones.csv"


def refused(workspace: Path, answer: Result, code: int, *words: str) -> None:
    """One message with these words and that exit code; nothing is written."""
    assert answer.exit_code == code, answer.output
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
    for word in words:
        assert word in answer.stderr
    assert not written(workspace).parent.exists()


@pytest.fixture(scope="module")
def zones(portal: Running) -> str:
    """A public list of zones: ids, each with its name in `requests_status`, one with a blank at its end."""
    rows = [
        {"id": str(number), "zone": zone, "requests_status": name}
        for number, (zone, name) in enumerate((("Z10", "Süd"), ("Z2 ", 'O"st, West'), ("Z1", "Nord"), (None, None)))
    ]
    with portal.client() as client:
        return publish(client, "Zones of the city", rows)


@pytest.mark.parametrize("ending", ["", ".json"])
def test_a_public_column_becomes_keys(workspace: Path, portal: Running, zones: str, ending: str) -> None:
    """The column of a public dataset gives its keys, ordered as numbers, with labels and where they come from."""
    url = f"{portal.address}/resource/{zones}{ending}"
    answer = keyset(workspace, url, "--key", "zone", "--label", "requests_status")
    assert answer.exit_code == 0, answer.output
    made = read_keyset(written(workspace), "zones")
    assert (made.keys, made.labels) == (("Z1", "Z2", "Z10"), ("Nord", 'O"st, West', "Süd"))
    origin = f"{portal.address}/resource/{zones}.json, column zone, labels from requests_status"
    assert made.notes[1] == f"From: {origin}"
    assert "1 value(s) with blanks around the key" in answer.stdout
    assert "1 value(s) without a key: left out" in answer.stdout


def test_more_keys_than_a_page(
    workspace: Path, portal: Running, sample: str, cells: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of several pages is read whole, each key once."""
    monkeypatch.setattr(open_data, "PAGE", 50)
    answer = keyset(workspace, f"{portal.address}/resource/{sample}", "--key", "id")
    assert answer.exit_code == 0, answer.output
    assert set(read_keyset(written(workspace), "zones").keys) == {row["id"] for row in cells}


def test_a_table_of_records_is_asked_about(workspace: Path, portal: Running, sample: str) -> None:
    """If the dataset has several rows for a key, it may be one of records: a person must say that it is none."""
    url = f"{portal.address}/resource/{sample}"
    answer = keyset(workspace, url, "--key", "zone")
    assert answer.exit_code == 2
    assert "keys come again in 117 row(s)" in answer.stderr
    assert not written(workspace).exists()
    assert keyset(workspace, url, "--key", "zone", "--yes").exit_code == 0
    assert len(read_keyset(written(workspace), "zones").keys) == 3


def test_wrong_names_are_answered_with_those_that_exist(workspace: Path, portal: Running, zones: str) -> None:
    """A missing --key lists the columns; a wrong one the names that may be meant."""
    url = f"{portal.address}/resource/{zones}"
    refused(workspace, keyset(workspace, url), 2, "--key is missing", "id, period, period_start, zone")
    refused(workspace, keyset(workspace, url, "--key", "Zones"), 2, "no column 'Zones'", "do you mean zone?")


def test_what_is_private_is_refused(workspace: Path, portal: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private dataset is refused, even if ~/.netrc has an account that may read it and an app token is set."""
    with portal.client() as client:
        private = publish(client, "Not for everyone", [{"id": "1", "zone": "Z1"}])
        client.set_permission(private, "private")
    name, password = portal.login
    netrc = workspace / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {name} password {password}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("SOCRATA_APP_TOKEN", portal.secret["app_token"])
    answer = keyset(workspace, f"{portal.address}/resource/{private}", "--key", "zone")
    assert answer.exit_code == 6, answer.output
    assert "public" in answer.stderr
    assert not written(workspace).parent.exists()
    absent = keyset(workspace, f"{portal.address}/resource/zzzz-zzzz", "--key", "zone")
    refused(workspace, absent, 6, "there is no such public dataset (HTTP 404)")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://data.example.gov/resource/abcd-1234", "is the dataset of requests/abcd-1234.csv, a raw file"),
        ("https://data.example.gov/d/aaaa-1234", "is not the address of a Socrata dataset"),
        ("https://data.example.gov/resource/aaaa-1234?$where=x", "is not the address of a Socrata dataset"),
        ("https://ann:secret@data.example.gov/resource/aaaa-1234", "is not the address of a Socrata dataset"),
        ("https://[::1/resource/aaaa-1234", "is not the address of a Socrata dataset"),
        ("http://data.example.gov/resource/aaaa-1234", "must begin with https://"),
    ],
)
def test_addresses_that_are_none(workspace: Path, url: str, words: str) -> None:
    """An address of something else, or one that anyone on the way could change, is refused before anything is asked."""
    answer = keyset(workspace, url, "--key", "zone")
    refused(workspace, answer, 2, words)
    assert "secret" not in answer.output


@contextmanager
def serving(answer: Callable[[str, int], tuple[int, dict[str, str], bytes]]) -> Iterator[tuple[str, list[Any]]]:
    """A server that answers so; gives its address and the headers of every request."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers)
            status, headers, content = answer(self.path, len(asked))
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/resource/abcd-4321", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


VIEW = b'{"columns": [{"fieldName": ":id"}, {"fieldName": "zone"}]}'


def _rows(*zones: str) -> bytes:
    return json.dumps([{"zone": zone, open_data.COUNT: "1"} for zone in zones]).encode()


def test_a_busy_portal_is_asked_again(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of 429 or 500 is tried again; the app token of the environment goes along, and no account."""
    monkeypatch.setattr(open_data, "PAUSE", 0.01)
    monkeypatch.setenv("SOCRATA_APP_TOKEN", "our-token")
    statuses = iter((429, 500, 200, 503, 200))

    def answer(_path: str, number: int) -> tuple[int, dict[str, str], bytes]:
        return next(statuses), {}, _rows("A", "B") if number > 3 else VIEW

    with serving(answer) as (url, asked):
        done = keyset(workspace, url, "--key", "zone")
    assert done.exit_code == 0, done.output
    assert len(asked) == 5
    assert {each["X-App-Token"] for each in asked} == {"our-token"}
    assert {each["Authorization"] for each in asked} == {None}
    assert read_keyset(written(workspace), "zones").keys == ("A", "B")
    assert "our-token" not in done.output + written(workspace).read_text()


FAULTS: dict[str, tuple[tuple[int, dict[str, str], bytes], str]] = {
    "busy": ((429, {}, b""), "asks to wait (HTTP 429)"),
    "broken": ((500, {}, b""), "cannot answer (HTTP 500)"),
    "moved": ((301, {"Location": "https://elsewhere.example/x"}, b""), "has moved (HTTP 301)"),
    "forbidden": ((401, {}, b""), "is not public (HTTP 401)"),
    "no columns": ((200, {}, b"<html>"), "is no Socrata dataset"),
    "other rows": ((200, {}, b'{"zone": 1}'), "is not a list of rows"),
    "rows without a count": ((200, {}, b'[{"zone": "A"}]'), "is not a list of rows"),
    "torn": ((200, {"Content-Length": "900"}, b'[{"zone"'), "closed the connection"),
    "larger": ((200, {}, b" " * 3000), "is larger than"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_portal_that_fails(workspace: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault gets one message and exit code 6; nothing is written, not even the folder."""
    monkeypatch.setattr(open_data, "PAUSE", 0.01)
    monkeypatch.setattr(open_data, "LARGEST", 2000)
    reply, words = FAULTS[fault]
    first = reply if fault == "no columns" else (200, {}, VIEW)
    with serving(lambda _path, number: reply if number > 1 else first) as (url, _):
        refused(workspace, keyset(workspace, url, "--key", "zone"), 6, words, "Nothing was written")


def test_a_portal_that_never_answers(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the request and sends nothing, and one that is not there, are given up on in time."""
    monkeypatch.setattr(open_data, "SECONDS", 1.5)
    monkeypatch.setattr(open_data, "PAUSE", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/resource/abcd-4321"
        refused(workspace, keyset(workspace, url, "--key", "zone"), 6, "does not answer in time")
    refused(workspace, keyset(workspace, url, "--key", "zone"), 6, "cannot be reached")


def test_a_portal_that_trickles(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that comes byte by byte without end is given up on as a whole."""
    monkeypatch.setattr(open_data, "SECONDS", 1.0)
    stop = threading.Event()

    def trickle(silent: socket.socket) -> None:
        connection, _ = silent.accept()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n")
        while not stop.wait(0.01):
            try:
                connection.sendall(b" " * 100_000)
            except OSError:
                break
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        thread = threading.Thread(target=trickle, args=(silent,))
        thread.start()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/resource/abcd-4321"
        answer = keyset(workspace, url, "--key", "zone")
        stop.set()
        thread.join()
    refused(workspace, answer, 6, "Nothing was written")
