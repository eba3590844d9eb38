"""Run uvicorn in one process, or in several that share a listening socket under a supervisor."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, cast

import uvicorn

from publisher.errors import PortalError
from publisher.portal.serving.connection import HEAD_BYTES, Connection
from publisher.portal.serving.logs import place

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Iterator
    from multiprocessing.context import ForkProcess
    from types import FrameType

    from publisher.portal.serving.proxy import Proxied
    from publisher.portal.serving.tls import Certificate

logger = logging.getLogger(__name__)

CONNECTIONS = 500
"""How many connections one process has; at the limit, the longest idle one is closed, or else a client waits."""
IDLE_SECONDS = 15
"""How many seconds a connection stays open between two requests."""
GARBAGE = 20_000
"""After this many new objects, Python's garbage collector looks for reference cycles."""
SWITCH = 0.001
"""After this many seconds, a thread that computes lets another one go on, so that small answers wait less for large
ones."""
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_FORK = multiprocessing.get_context("fork")


class _Server(uvicorn.Server):
    """Stops gracefully on a signal, at once on a second signal, and when its supervisor is gone."""

    watched_by: int | None = None
    code = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- the signature of a handler
        """Note the signal; uvicorn would raise it again afterward. If there is a supervisor, it handles interrupts."""
        if self.watched_by is not None and sig == signal.SIGINT:
            return
        if self.should_exit:
            self.force_exit = True
            self.code = 128 + sig
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop; called ten times a second."""
        orphaned = self.watched_by is not None and os.getppid() != self.watched_by
        return await super().on_tick(counter) or orphaned


def run(
    app: Proxied, listener: socket.socket, certificate: Certificate | None, grace: int, watched_by: int | None = None
) -> int:
    """Serve the application on a listening socket until SIGTERM or SIGINT; returns the exit code."""
    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(Connection, trusts=app.trusts)),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=grace,
        h11_max_incomplete_event_size=HEAD_BYTES,
        ssl_context_factory=(lambda _config, _default: certificate.context) if certificate else None,
    )
    server = _Server(config)
    server.watched_by = watched_by
    if certificate:
        signal.signal(signal.SIGHUP, lambda *_: certificate.renew())
    sys.setswitchinterval(SWITCH)
    gc.collect()
    gc.freeze()  # what has been loaded stays; to look through it again and again took a seventh of the time
    gc.set_threshold(GARBAGE, 20, 20)
    try:
        server.run(sockets=[listener])
    finally:
        # What is frozen is not taken apart while Python ends either: nanobind, which binds DuckDB, would then find all
        # of its objects alive and print fifty lines about leaks that are none.
        gc.unfreeze()
    return server.code


def leave(code: int) -> None:
    """Exit with this code, without waiting for running work: every write is complete or has no effect."""
    others = [each for each in threading.enumerate() if each is not threading.main_thread() and not each.daemon]
    deadline = time.monotonic() + 0.5
    for each in others:
        each.join(max(0.0, deadline - time.monotonic()))
    if any(each.is_alive() for each in others):
        sys.stderr.flush()
        os._exit(code)
    if code:
        sys.exit(code)


class Supervisor:
    """Keeps `count` workers running: `work(number, started)` runs in each, `ended(pid)` is called when one ends."""

    def __init__(
        self,
        count: int,
        listener: socket.socket,
        work: Callable[[int, Callable[[], None]], None],
        ended: Callable[[int], None],
    ) -> None:
        self._count = count
        self._listener = listener
        self._work = work
        self._ended = ended
        self._workers: dict[int, tuple[ForkProcess, float]] = {}
        self._reader, self._writer = _FORK.Pipe(duplex=False)
        self._code: int | None = None
        """The exit code; not None once told to stop."""

    def run(self, ready: Callable[[], None]) -> int:
        """Run until SIGTERM or SIGINT; `ready` is called when all workers answer; returns the exit code.

        A worker that ends is replaced. Raises PortalError if one ends before all have started.
        """
        before = {sig: signal.signal(sig, self._told) for sig in (*_STOPPING, signal.SIGHUP)}
        try:
            for number in range(1, self._count + 1):
                self._start(number)
            if self._all_started():
                ready()
            while self._workers:
                self._replace_ended()
        finally:
            for process, _ in self._workers.values():
                process.kill()
            for sig, handler in before.items():
                signal.signal(sig, handler)
        return self._code or 0

    def _start(self, number: int) -> None:
        process = _FORK.Process(target=self._begin, args=(number,), name=f"worker {number}")
        with _without_signals():
            process.start()
            self._workers[number] = process, time.monotonic()

    def _begin(self, number: int) -> None:
        """Start a worker; it gets signals only from its supervisor."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to every process of the command
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_STOPPING, signal.SIGHUP))
        try:
            self._work(number, lambda: self._writer.send_bytes(b"."))
        except Exception as error:  # noqa: BLE001 -- only the place of the error may be logged
            logger.error("worker %d failed with %s at %s", number, type(error).__name__, place(error))
            os._exit(1)

    def _all_started(self) -> bool:
        started = 0
        while started < self._count and self._code is None:
            sentinels = [process.sentinel for process, _ in self._workers.values()]
            found = wait([self._reader, *sentinels], timeout=1)
            if self._reader in found:
                self._reader.recv_bytes()
                started += 1
            elif found and self._code is None:
                raise PortalError("a worker process of the portal did not start; the log above says why")
        return self._code is None

    def _replace_ended(self) -> None:
        wait([process.sentinel for process, _ in self._workers.values()])
        for number, (process, born) in list(self._workers.items()):
            if process.is_alive():
                continue
            del self._workers[number]
            self._ended(process.pid or 0)
            if self._code is None:
                logger.error("worker %d ended with code %s and is being replaced", number, process.exitcode)
                if time.monotonic() - born < 1:
                    time.sleep(1)
            if self._code is None:
                self._start(number)

    def _told(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- the signature of a handler
        """Pass on a signal; the second one to stop ends all workers at once."""
        again = self._code is not None
        if sig != signal.SIGHUP:
            self._code = 128 + sig if again else 0
            self._listener.close()
        for process, _ in list(self._workers.values()):
            if process.pid is not None and process.is_alive():
                os.kill(
                    process.pid, signal.SIGHUP if sig == signal.SIGHUP else signal.SIGKILL if again else signal.SIGTERM
                )


@contextmanager
def _without_signals() -> Iterator[None]:
    """Block signals between a fork and what both processes do next."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*_STOPPING, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_STOPPING, signal.SIGHUP))
