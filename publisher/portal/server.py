"""The portal as a process: one command that serves a state folder until it is told to stop."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import sys
from typing import TYPE_CHECKING

from publisher.errors import PortalError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


def serve(
    state: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8311,
    public_url: str | None = None,
    ready_file: Path | None = None,
) -> None:
    """Serve the store in the folder `state` until SIGTERM or SIGINT; `port` 0 chooses a free one.

    `ready_file` gets the address once requests are answered. Errors: PortalError when the port is taken.
    """
    from publisher.portal.access import Portal
    from publisher.portal.accounts import first_account
    from publisher.portal.app import application
    from publisher.portal.engine import Engine
    from publisher.portal.process import run
    from publisher.portal.store import Store

    os.umask(0o077)
    _log_to_stderr()
    with _listening(host, port) as listener:
        try:
            store = Store(state)
            store.sweep()
            first_account(store.accounts, state / "writer.json")
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or "its catalogue cannot be opened"
            raise PortalError(f"cannot keep a portal in {state}: {reason}") from None
        address = _address(host, listener.getsockname()[1])
        app = application(Portal(store, Engine(), public_url), lambda: announce(address, ready_file))
        run(app, listener)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY on these alone
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise PortalError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port"
        ) from None
    return listener


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


def announce(address: str, ready_file: Path | None) -> None:
    """Say on standard error, and in the file if one is given, that the portal answers at this address."""
    print(f"The portal answers at {address}", file=sys.stderr, flush=True)  # noqa: T201 -- the one line for people
    if ready_file is not None:
        beside = ready_file.with_name(ready_file.name + ".tmp")
        beside.write_text(address)
        beside.replace(ready_file)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger("publisher")
    root.addHandler(handler)
    root.setLevel(logging.INFO)
