"""Several workers, a proxy in front, slow clients, and stopping while requests run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import requests
from portal_process import publish, start, stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal_process import Running


@pytest.fixture(scope="module")
def several(portal: Running) -> Iterator[Running]:
    """Two workers behind a proxy, over the same store, with a log for machines."""
    options = ("--workers", "2", "--log-format", "json", "--trusted-proxy", "127.0.0.1", "--grace", "5")
    running = start(portal.state, *options, name="several")
    yield running
    if running.process.poll() is None:
        assert stop(running) == 0


def lines(running: Running) -> list[dict[str, Any]]:
    """The log, each line of which must be an object."""
    return [json.loads(line) for line in running.log.read_text().splitlines()]


def request_line(running: Running, identifier: str) -> dict[str, Any]:
    """The line of one request; it is written when the last byte has gone."""
    for _ in range(100):
        found = [line for line in lines(running) if line.get("id") == identifier]
        if found:
            (line,) = found
            return line
        time.sleep(0.02)
    raise AssertionError("no line")


def until(condition: Any, seconds: float = 10) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_worker_answers_from_the_one_store(
    several: Running, portal: Running, cells: list[dict[str, Any]]
) -> None:
    """What was written through one process is read in whole through each of several."""
    with portal.client() as client:
        identifier = publish(client, "Seen by every worker", cells[:50])
    address = f"{several.address}/resource/{identifier}.json?$select=count(*)"

    def counted(_: int) -> tuple[int, str]:
        answer = requests.get(address, timeout=30)
        return int(answer.json()[0]["count"]), answer.headers["X-Socrata-RequestId"]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(counted, range(60)))
    assert {count for count, _ in found} == {50}
    names = {name for _, name in found}
    until(lambda: sum(line.get("id") in names for line in lines(several)) == len(found))
    assert {line["worker"] for line in lines(several) if line.get("id") in names} == {1, 2}


def test_a_log_line_has_the_request_and_none_of_its_values(several: Running, sample: str) -> None:
    """Time, worker, id, method, route's pattern, status, bytes and milliseconds; no address, query or program name."""
    words = {"User-Agent": "Mozilla-Xyzzy", "Accept-Encoding": "identity"}
    answer = requests.get(f"{several.address}/resource/{sample}/0-01.json?zone=Secret%20St", headers=words, timeout=30)
    line = request_line(several, answer.headers["X-Socrata-RequestId"])
    assert line.keys() == {"time", "level", "worker", "id", "method", "route", "status", "bytes", "ms"}
    assert (line["method"], line["route"], line["status"]) == ("GET", "/resource/{id}/{row}", answer.status_code)
    assert line["bytes"] == len(answer.content)
    for value in ("Secret", "Xyzzy", "0-01", sample):
        assert value not in several.log.read_text()


def test_a_trusted_proxy_is_believed(several: Running) -> None:
    """Scheme and request id are the proxy's; an id that could not be one is not taken over."""
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9", "X-Request-ID": "edge-7.a"}
    answer = requests.get(f"{several.address}/data.json", headers=said, timeout=30)
    assert answer.json()["@id"].startswith("https://")
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert answer.headers["X-Socrata-RequestId"] == "edge-7.a"
    odd = requests.get(f"{several.address}/health", headers={"X-Request-ID": "a b\tc"}, timeout=30)
    assert len(odd.headers["X-Socrata-RequestId"]) == 32


def test_failed_logins_count_for_the_client_behind_the_proxy(several: Running) -> None:
    """One client that guesses is slowed down, another behind the same proxy is not, and all workers know."""

    def tried(client: str) -> int:
        said = {"X-Forwarded-For": client}
        wrong = ("nobody", "wrong")
        return requests.get(f"{several.address}/api/views.json", headers=said, auth=wrong, timeout=30).status_code

    assert [tried("203.0.113.1") for _ in range(7)][-1] == 429
    assert tried("203.0.113.2") == 401


def test_anybody_else_is_not_believed(portal: Running) -> None:
    """Without a trusted proxy the headers are words of the client, ignored."""
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9", "X-Request-ID": "edge-7"}
    answer = requests.get(f"{portal.address}/data.json", headers=said, timeout=30)
    assert answer.json()["@id"].startswith("http://")
    assert "Strict-Transport-Security" not in answer.headers
    assert answer.headers["X-Socrata-RequestId"] != "edge-7"


def test_a_worker_that_dies_is_replaced(several: Running) -> None:
    """One is killed: requests go on being answered, and two workers stand again."""
    supervisor = psutil.Process(several.process.pid)
    killed = supervisor.children()[0]
    killed.kill()
    for _ in range(20):
        assert requests.get(f"{several.address}/health", timeout=30).ok
    until(lambda: len(supervisor.children()) == 2 and killed.pid not in {each.pid for each in supervisor.children()})
    assert any("is being replaced" in line.get("message", "") for line in lines(several))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_no_process_of_the_portal_is_dumped(several: Running) -> None:
    """Neither the supervisor nor a worker may write a core dump."""
    supervisor = psutil.Process(several.process.pid)
    for each in (supervisor, *supervisor.children()):
        limits = Path(f"/proc/{each.pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)


@pytest.mark.usefixtures("processes")
def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    """A supervisor that is killed leaves no process behind that holds the port."""
    running = start(tmp_path / "state", "--workers", "2")
    workers = psutil.Process(running.process.pid).children()
    running.process.kill()
    running.process.wait()
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert (len(gone), alive) == (2, [])
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{running.address}/health", timeout=5)


def slow_request(running: Running) -> socket.socket:
    """A request for a dataset's rows whose body has not come yet: the portal is in the middle of it."""
    host, port = running.address.removeprefix("http://").split(":")
    name, password = running.login
    login = requests.auth._basic_auth_str(name, password)
    client = socket.create_connection((host, int(port)))
    head = f"POST /api/views.json HTTP/1.1\r\nHost: {host}\r\nAuthorization: {login}\r\nContent-Length: 16\r\n\r\n"
    client.sendall(head.encode() + b'{"name"')
    return client


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_lets_running_requests_end(tmp_path: Path, workers: str) -> None:
    """After SIGTERM new connections are refused, the request that runs is answered, and the exit code is 0."""
    running = start(tmp_path / "state", "--workers", workers, "--grace", "8")
    with slow_request(running) as client:
        time.sleep(0.3)
        running.process.send_signal(signal.SIGTERM)
        until(lambda: refused(running))
        client.sendall(b': "Late"}')
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert running.process.wait(timeout=5) == 0


@pytest.mark.usefixtures("processes")
def test_an_interrupt_from_a_terminal_is_one_stop(tmp_path: Path) -> None:
    """Ctrl-C reaches every process of the command; the workers still end gracefully."""
    running = start(tmp_path / "state", "--workers", "2", "--grace", "8")
    supervisor = psutil.Process(running.process.pid)
    with slow_request(running) as client:
        time.sleep(0.3)
        for process in (*supervisor.children(), supervisor):
            process.send_signal(signal.SIGINT)
        until(lambda: refused(running))
        client.sendall(b': "Late"}')
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert running.process.wait(timeout=5) == 0


def refused(running: Running) -> bool:
    """Whether the port takes no connection any more."""
    host, port = running.address.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.usefixtures("processes")
def test_a_stop_cuts_what_outlasts_the_grace(tmp_path: Path) -> None:
    """A request that does not end within the grace is told so; the exit code is 0."""
    running = start(tmp_path / "state", "--grace", "1")
    with slow_request(running) as client:
        time.sleep(0.3)
        started = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert client.recv(100).startswith(b"HTTP/1.1 503")
        assert running.process.wait(timeout=5) == 0
        assert 0.9 < time.monotonic() - started < 4
    assert "Traceback" not in running.log.read_text()


@pytest.mark.usefixtures("processes")
def test_a_stop_cuts_a_stream_so_that_its_reader_sees_it(tmp_path: Path) -> None:
    """Rows that are still being sent when the grace is over end without the mark of a whole answer."""
    running = start(tmp_path / "state", "--grace", "1")
    rows = [{"id": str(number), "zone": f"{number:05}" * 800} for number in range(5000)]
    with running.client() as client:
        identifier = publish(client, "Long", rows)
    host, port = running.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(f"GET /resource/{identifier}.csv?$limit=5000 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = client.recv(100_000)
        assert answer.startswith(b"HTTP/1.1 200")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=6) == 0
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(1_000_000):
                answer += part
    assert len(answer) < 5000 * 4000
    assert not answer.endswith(b"0\r\n\r\n")


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_stops_at_once(tmp_path: Path, workers: str) -> None:
    """The second SIGTERM does not wait for the grace, and the exit code says so."""
    running = start(tmp_path / "state", "--workers", workers, "--grace", "60")
    with slow_request(running):
        time.sleep(0.3)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=3) == 128 + signal.SIGTERM


@pytest.mark.usefixtures("processes")
def test_ready_says_what_fails(tmp_path: Path) -> None:
    """/health/ready is 200 while catalog and disk work and 503, naming the one, when it does not; /health stays."""
    running = start(tmp_path / "state")
    try:
        assert requests.get(f"{running.address}/health/ready", timeout=10).json() == {
            "status": "ok",
            "catalog": "ok",
            "disk": "ok",
        }
        os.rename(tmp_path / "state", tmp_path / "elsewhere")  # noqa: PTH104
        answer = requests.get(f"{running.address}/health/ready", timeout=10)
        assert answer.status_code == 503
        assert answer.json()["disk"] == "unavailable"
        assert str(tmp_path) not in answer.text
        assert requests.get(f"{running.address}/health", timeout=10).status_code == 200
    finally:
        assert stop(running) == 0


def test_an_endless_head_is_refused(portal: Running) -> None:
    """More than 64 kB of address and headers, whole or not: refused in the common shape; 20 kB of query are fine."""
    long = requests.get(f"{portal.address}/health?$where=" + "x" * 20_000, timeout=10)
    assert long.status_code == 200
    answer = requests.get(f"{portal.address}/health?$where=" + "x" * 70_000, timeout=10)
    assert answer.status_code == 414
    assert answer.json()["error"] is True
    assert "65536" in answer.json()["message"]
    assert sent(portal, b"GET /" + b"x" * 70_000).startswith(b"HTTP/1.1 400")


def test_garbage_is_no_request(portal: Running) -> None:
    """What is not HTTP gets one 400 and the connection is closed."""
    assert sent(portal, b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_two_lengths_are_no_request(portal: Running) -> None:
    """Content-Length with Transfer-Encoding: refused before anything is read, and what follows is never answered."""
    smuggled = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"
    head = b"POST /api/views.json HTTP/1.1\r\nHost: here\r\n"
    for lengths in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    ):
        answer = sent(portal, head + lengths + smuggled)
        assert answer.startswith(b"HTTP/1.1 400")
        assert answer.count(b"HTTP/1.1") == 1
        assert b"connection: close" in answer.lower()


def test_every_answer_says_whether_it_may_be_kept(portal: Running, sample: str) -> None:
    """Also those of our own connections, of errors, and of writes."""
    for path in ("/health/ready", "/api/catalog/v1", "/api/views.json", "/robots.txt", f"/api/views/{sample}.json"):
        assert requests.get(portal.address + path, timeout=30).headers["Cache-Control"], path
    assert requests.post(f"{portal.address}/api/views.json", timeout=30).headers["Cache-Control"] == "no-store"
    assert requests.options(portal.address, timeout=30).headers["Cache-Control"] == "no-store"
    assert b"cache-control: no-store" in sent(portal, b"hello\r\n\r\n")


def sent(running: Running, content: bytes) -> bytes:
    """What comes back for these bytes until the connection is closed."""
    host, port = running.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(content)
        answer = b""
        while part := client.recv(1000):
            answer += part
    return answer


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--trusted-proxy", "proxy.example"], "--trusted-proxy proxy.example"),
        (["--public-url", "data.example.gov"], "--public-url"),
        (["--public-url", "https://example.gov/data"], "--public-url"),
        (
            ["--host", "192.0.2.1"],
            "--host 192.0.2.1: other machines can reach the portal there, so give --public-url too",
        ),
        (["--host", "data.example.gov"], "--public-url"),
        (["--host", "::"], "--public-url"),
        (["--tls-certificate", "chain.pem"], "--tls-key"),
        (["--metrics-token-file", "nowhere"], "--metrics-token-file: cannot read"),
    ],
)
def test_options_that_do_not_fit_are_one_clear_message(tmp_path: Path, options: list[str], words: str) -> None:
    """Exit code 2, one line."""
    ended = failing(tmp_path, *options)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert words in ended.stderr


def failing(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What a portal says that cannot start."""
    command = [sys.executable, "-m", "publisher.portal", str(tmp_path / "state"), "--port", "0", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path)


@pytest.mark.usefixtures("processes")
def test_it_answers_on_ipv6(tmp_path: Path) -> None:
    """`--host ::1` listens there, and the address is written as browsers want it."""
    running = start(tmp_path / "state", "--host", "::1")
    try:
        assert running.address.startswith("http://[::1]:")
        assert requests.get(f"{running.address}/health", timeout=10).ok
    finally:
        assert stop(running) == 0
