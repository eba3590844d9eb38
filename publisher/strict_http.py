"""A session with a server on the web that follows no redirect and ends in time. Imported where it is used: it is slow.

Two habits of requests are undone. Asked not to follow a redirect, it still reads that answer to its end, however large,
and takes its address apart. And its timeout begins again with each byte, so that headers, interim answers or trailers
that drip in are waited for without end.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager, suppress
from threading import Timer
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from collections.abc import Iterator


class StrictSession(requests.Session):
    """For one request at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._adapter = _Adapter()
        for scheme in ("https://", "http://"):
            self.mount(scheme, self._adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere."""

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Cut the connection after so many seconds. Raises requests.ReadTimeout if what is inside was not done then."""
        end, timer = time.monotonic() + seconds, Timer(seconds, self._adapter.cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception:
            if time.monotonic() >= end:
                raise requests.ReadTimeout from None
            raise
        finally:
            timer.cancel()
        if time.monotonic() >= end:  # an answer that ends with the connection looks whole
            raise requests.ReadTimeout


class _Adapter(HTTPAdapter):
    """Keeps the line of its newest connection, from before the handshake on."""

    _line: socket.socket | None = None

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if not hasattr(pool.ConnectionCls, "kept_by"):
            pool.ConnectionCls = self._kept(pool.ConnectionCls)
        return pool

    def _kept(self, connection: Any) -> Any:
        adapter = self

        class Connection(connection):  # type: ignore[misc]
            kept_by = adapter

            def _new_conn(self) -> Any:
                line = super()._new_conn()
                adapter._close_line()
                adapter._line = socket.socket(fileno=os.dup(line.fileno()))
                return line

        return Connection

    def cut(self) -> None:
        """End the connection, whoever reads from it."""
        line = self._line
        if line is not None:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close every connection."""
        super().close()
        self._close_line()

    def _close_line(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()
