"""Answers of any size: constant memory, readers that are slow or go away, many at once."""

from __future__ import annotations

import asyncio
import csv
import io
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import psutil
import pytest
import requests
from portal_process import COLUMNS, Running, start, stop

from publisher.portal.answers import streaming
from publisher.portal.answers.lanes import PART, STREAMS
from publisher.portal.base.watch import Deadline

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

ROWS = 160_000
SHARE = STREAMS // PART
MB = 1_000_000


@pytest.fixture(scope="module")
def large(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A portal of its own, with one large dataset: about 45 MB as GeoJSON."""
    running = start(tmp_path_factory.mktemp("streaming") / "state")
    with running.client() as client:
        identifier = client.create("Large", columns=COLUMNS, row_identifier="id")["id"]
        client.replace(identifier, io.BytesIO(_table()))
        client.publish(identifier)
        client.set_permission(identifier, "public")
    address = f"{running.address}/resource/{identifier}.json?$limit=1"
    for _ in range(4):  # its rows are now in memory
        requests.get(address, timeout=60)
    while _busy(psutil.Process(running.process.pid), 0.5) > 0.1:
        pass
    for form in ("csv", "json", "geojson", "csv", "json"):  # what the first exports need, in each thread, is there
        requests.get(f"{running.address}/resource/{identifier}.{form}?$limit={ROWS}", timeout=60)
    yield running, identifier
    stop(running)


def _table() -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column["fieldName"] for column in COLUMNS)
    for number in range(ROWS):
        week = number % 500
        day = f"20{week % 20 + 10}-{week % 12 + 1:02}-01T00:00:00.000"
        place = f"POINT (-90.{number % 997:03} 38.{number % 991:03})"
        zone = f"Zone {number * 7919 % 10_007} of the town of Large"
        writer.writerow([f"c{number:06}", f"W{week:03}", day, zone, f"{number % 777}.25", "ok", "true", place])
    return text.getvalue().encode()


def _grown(running: Running, address: str, *, packed: bool) -> tuple[int, int]:
    """Bytes of the answer as it came over the line, and by how much the server's memory was larger meanwhile."""
    process = psutil.Process(running.process.pid)
    before = peak = process.memory_info().rss
    size = 0
    headers = {"Accept-Encoding": "gzip" if packed else "identity"}
    with requests.get(address, headers=headers, stream=True, timeout=120) as answer:
        assert answer.status_code == 200
        while part := answer.raw.read(1 << 20):
            size += len(part)
            peak = max(peak, process.memory_info().rss)
    return size, peak - before


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", ["json", "geojson"])
def test_an_export_is_never_held_whole(large: tuple[Running, str], form: str, packed: bool) -> None:
    """The server grows by a small part of what it sends."""
    running, identifier = large
    size, grown = _grown(running, f"{running.address}/resource/{identifier}.{form}?$limit={ROWS}", packed=packed)
    assert size > (1 if packed else 30) * MB
    assert grown < 24 * MB


def test_a_sorted_export_is_whole_and_bounded(large: tuple[Running, str]) -> None:
    """All rows in order, with no more memory than a query may use, and nothing left on disk."""
    running, identifier = large
    order = quote("zone, requests DESC, id")
    address = f"{running.address}/resource/{identifier}.csv?$limit={ROWS}&$order={order}"
    _, grown = _grown(running, address, packed=False)
    assert grown < 200 * MB
    rows = list(csv.DictReader(io.StringIO(requests.get(address, timeout=120).text)))
    assert len(rows) == ROWS
    keys = [(row["zone"], -float(row["requests"]), row["id"]) for row in rows]
    assert keys == sorted(keys)
    assert not [path for path in (running.state / "spill").rglob("*") if path.is_file()]


def _asked(running: Running, target: str, client: int = 1) -> socket.socket:
    """A connection that has asked and reads nothing, from one of this machine's addresses."""
    parts = urlsplit(running.address)
    connection = socket.socket()
    connection.bind((f"127.0.0.{client}", 0))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((parts.hostname or "", parts.port or 0))
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    return connection


def _opened(running: Running, target: str, client: int = 1) -> socket.socket:
    """The same when its answer has begun."""
    connection = _asked(running, target, client)
    connection.settimeout(60)
    assert connection.recv(1, socket.MSG_PEEK)
    return connection


def test_an_address_has_all_streams_until_another_asks(large: tuple[Running, str]) -> None:
    """Alone, an address takes every stream; then another gets one, for which the first one's newest is cut short."""
    running, identifier = large
    target = f"/resource/{identifier}.json?$limit={ROWS // 4}"
    slow: list[socket.socket] = []
    while len(slow) < STREAMS:  # the addresses of other tests have to be forgotten first
        connection = _opened(running, target)
        if connection.recv(12) == b"HTTP/1.1 200":
            slow.append(connection)
        else:
            connection.close()
            time.sleep(0.5)
    with _opened(running, target, 12) as other:
        assert other.recv(12) == b"HTTP/1.1 200"
    assert not _whole(slow[-1])
    assert _whole(slow[0])
    with _opened(running, target) as more:
        assert more.recv(12) == b"HTTP/1.1 503", "no more than its share while others ask"
    for connection in slow:
        connection.close()


def _whole(connection: socket.socket) -> bool:
    """Read an answer to its end; whether it has the mark of a whole one."""
    last = b""
    with connection:
        while part := connection.recv(1 << 20):
            last = (last + part)[-5:]
            if last == b"0\r\n\r\n":
                return True
    return False


def test_slow_readers_hold_up_nobody(large: tuple[Running, str]) -> None:
    """With many who ask for everything and read nothing, others are answered, and memory stays bounded."""
    running, identifier = large
    process = psutil.Process(running.process.pid)
    before = process.memory_info().rss
    target = f"/resource/{identifier}.json?$limit={ROWS}"
    slow = [_opened(running, target, 2 + number // SHARE) for number in range(16)]
    started = time.perf_counter()
    assert len(requests.get(f"{running.address}/resource/{identifier}.json?$limit=50", timeout=60).json()) == 50
    assert time.perf_counter() - started < 5
    whole = requests.get(f"{running.address}{target}", timeout=120)
    assert len(whole.json()) == ROWS
    assert process.memory_info().rss - before < 16 * 14 * MB + 100 * MB  # DuckDB has computed 10 MB ahead for each
    for connection in slow:
        connection.close()


def test_too_many_streams_at_once_are_told_to_come_back(large: tuple[Running, str]) -> None:
    """Beyond the number of streams that a process serves, 503 with a time, and small answers still come."""
    running, identifier = large
    target = f"/resource/{identifier}.json?$limit={ROWS}"
    slow = [_opened(running, target, 2 + number // SHARE) for number in range(STREAMS)]
    answer = requests.get(running.address + target, timeout=60)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["code"] == "busy"
    assert requests.get(f"{running.address}/resource/{identifier}.json?$limit=5", timeout=60).status_code == 200
    for connection in slow:
        connection.close()
    until = time.monotonic() + 60
    while requests.get(running.address + target, timeout=60).status_code == 503:  # it notices a closed one as it writes
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_reader_must_take_something_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes a little of each piece just before its time is over is given up, without an end of the body."""
    monkeypatch.setattr(streaming, "STALL", 0.2)
    seen: list[Any] = []

    async def send(message: Any) -> None:
        seen.append(message)
        await asyncio.sleep(0.1)

    async def receive() -> Any:
        await asyncio.sleep(60)

    def blocks() -> Generator[bytes]:
        yield from [b"x"] * 50

    answer = streaming.Pieces(b"x", blocks(), Deadline(), {}, "text/csv")
    asyncio.run(answer({"type": "http", "client": ("192.0.2.1", 1)}, receive, send))
    assert 2 < len(seen) < 10
    assert seen[-1]["more_body"]


def _busy(process: psutil.Process, seconds: float) -> float:
    """Share of one processor that the process uses during the next seconds."""
    used = sum(process.cpu_times()[:2])
    time.sleep(seconds)
    return (sum(process.cpu_times()[:2]) - used) / seconds


def test_the_query_of_a_reader_who_left_ends(large: tuple[Running, str]) -> None:
    """A question that would compute for minutes stops soon after its reader has gone."""
    running, identifier = large
    process = psutil.Process(running.process.pid)
    query = f"SELECT count(*) JOIN @{identifier} AS b ON requests < @b.requests AND id < @b.id"
    connection = _asked(running, f"/resource/{identifier}.json?$query={quote(query)}")
    until = time.monotonic() + 60
    while _busy(process, 0.5) < 0.2:
        assert time.monotonic() < until, "it never computes"
    connection.close()
    while _busy(process, 0.5) > 0.1:
        assert time.monotonic() < until, "it computes on"


def test_a_query_stops_when_its_time_is_over(large: tuple[Running, str]) -> None:
    """SODA 3's `timeout` bounds a query; the error says so and the portal goes on."""
    running, identifier = large
    query = f"SELECT count(*) JOIN @{identifier} AS b ON requests < @b.requests AND id < @b.id"
    headers = {"X-App-Token": running.secret["app_token"]}
    started = time.perf_counter()
    answer = requests.post(
        f"{running.address}/api/v3/views/{identifier}/query.json",
        json={"query": query, "timeout": 1},
        headers=headers,
        timeout=60,
    )
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "query.execution.timeout")
    assert time.perf_counter() - started < 8


def test_rows_json_is_whole(large: tuple[Running, str]) -> None:
    """`{meta, data}`: as many values as columns in each row, the hidden ones first."""
    running, identifier = large
    address = f"{running.address}/api/views/{identifier}/rows.json"
    body: dict[str, Any] = requests.get(address, timeout=120).json()
    columns = [column["fieldName"] for column in body["meta"]["view"]["columns"]]
    assert columns[:2] == [":sid", ":id"]
    assert columns[8:] == [column["fieldName"] for column in COLUMNS]
    assert len(body["data"]) == ROWS
    assert {len(row) for row in body["data"]} == {len(columns)}
    assert body["data"][1][8:] == [
        "c000001",
        "W001",
        "2011-02-01T00:00:00",
        "Zone 7919 of the town of Large",
        "1.25",
        "ok",
        True,
        "POINT (-90.001 38.001)",
    ]
