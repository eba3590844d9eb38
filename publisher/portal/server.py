"""Run the portal on a state folder until it is told to stop."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.confined import Reach, no_core_dumps, reach_only
from publisher.errors import PortalError
from publisher.portal.serving.logs import configure
from publisher.portal.serving.tls import Certificate

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from publisher.portal.serving.options import Serving

logger = logging.getLogger(__name__)


def serve(state: Path, serving: Serving) -> None:
    """Serve the store in the folder `state` until SIGTERM or SIGINT.

    The address is written to `serving.ready_file` once requests are answered. Raises PortalError if the port is in use,
    the folder cannot be written, or the certificate cannot be used.
    """
    no_core_dumps()
    os.umask(0o077)
    configure(serving.log_format)
    certificate = _certificate(serving)
    with _listening(serving.host.strip("[]"), serving.port) as listener, tempfile.TemporaryDirectory() as temporary:
        ready = _ready(serving.ready_file)
        _confine(state, serving, Path(temporary))
        counts = Path(temporary) / "counts"
        counts.mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(counts)  # prometheus_client looks at it when it is imported
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here multiplies matrices, and workers are forked
        from prometheus_client.values import close_all_multiprocess_files

        from publisher.portal.serving.process import leave

        _prepare(state)
        site = _Site(state, serving, listener, certificate, ready)
        try:
            code = site.supervised() if serving.workers > 1 else site.alone()
        finally:
            close_all_multiprocess_files()  # type: ignore[no-untyped-call]
    leave(code)


def _confine(state: Path, serving: Serving, temporary: Path) -> None:
    """Give up every file but the portal's own folder, temporary files and programs: whoever takes this process over
    finds no record. Raises PortalError if the folder cannot be made."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise PortalError(f"cannot use {state} as the portal's folder: {error.strerror}") from None
    tempfile.tempdir = str(temporary)
    reads = [Path(path).resolve() for path in (serving.tls_certificate, serving.tls_key) if path is not None]
    reads += [path.parent for path in reads]  # a renewed certificate is another file there
    ready = [serving.ready_file.parent] if serving.ready_file is not None else []
    private = state.resolve().parent / "private"
    if not reach_only(Reach([state, temporary], reads, ready, removes=[temporary.parent], hidden=[private])):
        logger.warning("The kernel has no Landlock: the portal can read all files that its user can")


@dataclass(frozen=True, slots=True)
class _Site:
    """What every process of this portal needs."""

    state: Path
    serving: Serving
    listener: socket.socket
    certificate: Certificate | None
    ready: TextIO | None
    """The file that becomes `ready_file`, opened while that was allowed."""

    def alone(self) -> int:
        """Answer requests in this process; returns the exit code."""
        return self._answer(self._announce)

    def supervised(self) -> int:
        """Answer requests in several processes that this one supervises; returns the exit code."""
        from prometheus_client.multiprocess import mark_process_dead

        import publisher.portal.app  # noqa: F401 -- imported once, before the workers part
        from publisher.portal.serving.process import Supervisor

        return Supervisor(self.serving.workers, self.listener, self._work, mark_process_dead).run(self._announce)

    def _work(self, number: int, started: Callable[[], None]) -> None:
        configure(self.serving.log_format, number)
        code = self._answer(started, os.getppid())
        sys.stderr.flush()
        os._exit(code)  # what still computes is not waited for

    def _answer(self, started: Callable[[], None], watched_by: int | None = None) -> int:
        from publisher.portal.answers.access import AppContext
        from publisher.portal.app import application
        from publisher.portal.base import metrics
        from publisher.portal.base.limits import Limits
        from publisher.portal.engine.engine import QueryEngine
        from publisher.portal.serving.process import run
        from publisher.portal.serving.proxy import Proxied
        from publisher.portal.store.store import PortalStore

        serving = self.serving
        limits = Limits.of(serving.anonymous_rate)
        app = application(
            AppContext(PortalStore(self.state), QueryEngine(self.state / "spill"), serving.public_url, limits), started
        )
        app.state.metrics = metrics.Gate(serving.metrics_token, local=not serving.behind_proxy)
        metrics.WORKERS.set(1)
        return run(Proxied(app, serving.trusted_proxies), self.listener, self.certificate, serving.grace, watched_by)

    def _announce(self) -> None:
        scheme = "https" if self.certificate else "http"
        address = _address(scheme, self.serving.host.strip("[]"), self.listener.getsockname()[1])
        logger.info("The portal is running at %s", address)
        if self.serving.ready_file is not None and self.ready is not None:
            self.ready.write(address)
            self.ready.close()
            _beside(self.serving.ready_file).replace(self.serving.ready_file)


def _beside(ready: Path) -> Path:
    return ready.with_name(ready.name + ".tmp")


def _ready(path: Path | None) -> TextIO | None:
    try:
        return _beside(path).open("w", encoding="utf-8") if path is not None else None
    except OSError as error:
        raise PortalError(f"cannot write {path}: {error.strerror}") from None


def _certificate(serving: Serving) -> Certificate | None:
    if serving.tls_certificate is None or serving.tls_key is None:
        return None
    return Certificate(serving.tls_certificate, serving.tls_key)


def _prepare(state: Path) -> None:
    from publisher.portal.store.accounts import first_account
    from publisher.portal.store.file_cache import FileCache
    from publisher.portal.store.store import PortalStore

    try:
        store = PortalStore(state)
        store.sweep()
        FileCache(state / "downloads").sweep({dataset.id for dataset in store.catalog.all()})
        first_account(store.accounts, state / "writer.json")
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or "its catalog cannot be opened"
        raise PortalError(f"cannot use {state} as the portal's folder: {reason}") from None


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY on these alone
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        hint = " (ports below 1024 need special permission)" if isinstance(error, PermissionError) else ""
        raise PortalError(
            f"cannot listen on {host} port {port}: {error.strerror}{hint}; choose another port with --port"
        ) from None
    return listener


def _address(scheme: str, host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{scheme}://{shown}:{port}"
