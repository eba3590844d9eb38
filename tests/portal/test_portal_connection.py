"""Clients that make no progress lose their connection, and no other does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from publisher.portal.serving import connection
from publisher.portal.serving.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = 40_000_000


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Takes the whole body, waits where that is asked, and answers with many bytes or with how many came."""
    if scope["type"] == "lifespan":
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    if scope["path"] == "/slow":
        await asyncio.sleep(0.8)
    body = bytes(LARGE) if scope["path"] == "/large" else str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    for start in range(0, len(body), 1_000_000):
        await send({"type": "http.response.body", "body": body[start : start + 1_000_000], "more_body": True})
    await send({"type": "http.response.body"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server with the portal's connections, whose deadlines are short."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("HEAD_SECONDS", "BODY_SECONDS", "READ_SECONDS"):
            patched.setattr(connection, name, 0.4)
        patched.setattr(connection, "EACH", 4)
        config = uvicorn.Config(
            application,
            http=partial(Connection, trusts=lambda client: client[0] == "127.0.0.2"),
            log_config=None,
            lifespan="off",
            timeout_keep_alive=1,
            limit_concurrency=12,
            ws="none",
        )
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=server.run, args=([listener],))
            thread.start()
            while not server.started:
                time.sleep(0.01)
            yield listener.getsockname()[1]
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def client(port: int, address: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A connection from an address of this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(address, 0)) as opened:
        yield opened


def seconds_until_closed(opened: socket.socket) -> float:
    """How long the server keeps it when nothing more is sent."""
    started = time.monotonic()
    with contextlib.suppress(ConnectionResetError):
        while opened.recv(65536):
            pass
    return time.monotonic() - started


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"])
def test_a_head_that_does_not_come_is_not_waited_for(port: int, sent: bytes) -> None:
    """A connection without a request is closed after its time."""
    with client(port) as opened:
        opened.sendall(sent)
        assert 0.2 < seconds_until_closed(opened) < 1.5


def test_a_head_byte_by_byte_gains_no_time(port: int) -> None:
    """Each byte starts no new deadline."""
    with client(port) as opened:
        started = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - started < 3:
                opened.sendall(b"X")
                time.sleep(0.05)
        assert time.monotonic() - started < 1.5


def test_a_second_head_has_its_deadline_too(port: int) -> None:
    """After an answer, half of another request holds the connection no longer than a first would."""
    with client(port) as opened:
        opened.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert opened.recv(1000).startswith(b"HTTP/1.1 200")
        opened.sendall(b"GET / HT")
        assert seconds_until_closed(opened) < 1


def test_a_body_that_stops_is_not_waited_for(port: int) -> None:
    """A body may take its time as long as it goes on."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
    with client(port) as opened:
        opened.sendall(head)
        for _ in range(10):
            time.sleep(0.1)
            opened.sendall(b"x")
        assert opened.recv(1000).startswith(b"HTTP/1.1 200")
    with client(port) as opened:
        opened.sendall(head + b"xx")
        assert 0.2 < seconds_until_closed(opened) < 1.5


def test_a_slow_answer_is_waited_for(port: int) -> None:
    """It is the server that works: no deadline runs."""
    with client(port) as opened:
        opened.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert opened.recv(1000).startswith(b"HTTP/1.1 200")


def test_an_answer_that_is_not_read_is_given_up(port: int) -> None:
    """A client that stops reading gets a part; one that reads slowly gets all of it."""
    ask = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with client(port) as opened:
        opened.sendall(ask)
        time.sleep(1.2)
        assert size(opened) < LARGE
    with client(port) as opened:
        opened.sendall(ask)
        assert size(opened, pause=0.15) > LARGE


def size(opened: socket.socket, pause: float = 0) -> int:
    """Bytes that come until the connection ends; with a pause after each of the first few megabytes."""
    total, pauses = 0, 0
    with contextlib.suppress(ConnectionResetError):
        while part := opened.recv(1_000_000):
            total += len(part)
            if pause and total > (pauses + 1) * 4_000_000 and pauses < 6:
                pauses += 1
                time.sleep(pause)
    return total


def answered(opened: socket.socket) -> bool:
    """Whether a request is answered with 200 and its one byte; the connection stays."""
    answer = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        opened.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while not answer.endswith(b"\r\n\r\n0") and (part := opened.recv(65536)):
            answer += part
    return answer.startswith(b"HTTP/1.1 200")


def test_one_address_has_its_share_of_the_connections(port: int) -> None:
    """With one more than its share, what it left idle longest is closed, never what is being answered."""
    with contextlib.ExitStack() as stack:
        busy, idle, *more = (stack.enter_context(client(port)) for _ in range(4))
        busy.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert all(answered(each) for each in (idle, *more))
        late = stack.enter_context(client(port))
        assert answered(late)
        assert seconds_until_closed(idle) < 0.2
        assert all(answered(each) for each in more)
        assert busy.recv(100).startswith(b"HTTP/1.1 200")


def test_idle_connections_make_place_for_others(port: int) -> None:
    """Neither many addresses nor a proxy, which has no share of its own, can hold every connection by doing nothing."""
    with contextlib.ExitStack() as stack:
        for address in ("127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.4", "127.0.0.2"):
            held = [stack.enter_context(client(port, address)) for _ in range(4)]
            assert answered(held[-1])
        assert answered(stack.enter_context(client(port)))
