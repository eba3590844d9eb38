"""A server that sends bytes as a test wants them, for what no library of servers would send."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Sending = Callable[["RawConnection"], None]


class RawConnection:
    """A connection that was opened by a client; `stopped` when the test ends."""

    def __init__(self, line: socket.socket, stopped: threading.Event) -> None:
        self.line, self.stopped, self.sent = line, stopped, 0

    def send(self, content: bytes) -> None:
        self.line.sendall(content)
        self.sent += len(content)

    def drip(self, content: bytes, most: int = 1 << 40) -> None:
        """The same bytes again and again, until the client or the test ends."""
        while self.sent < most and not self.stopped.wait(0.02):
            self.send(content)


@contextmanager
def raw_server(sending: Sending, *, reading: bool = True) -> Iterator[tuple[str, list[RawConnection]]]:
    """Answer every connection, once it has asked; gives host and port, and the connections."""
    stopped, opened, threads = threading.Event(), list[RawConnection](), list[threading.Thread]()

    def serve(line: socket.socket) -> None:
        with closing(line), suppress(OSError):
            line.settimeout(10)
            asked = b""
            while reading and b"\r\n\r\n" not in asked:
                asked += line.recv(65_536)
            opened.append(RawConnection(line, stopped))
            sending(opened[-1])

    def accept() -> None:
        while not stopped.is_set():
            with suppress(TimeoutError):
                line, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(line,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        threads.append(threading.Thread(target=accept))
        threads[0].start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}", opened
        finally:
            stopped.set()
            for thread in threads:
                thread.join()
