"""Starting and stopping a real portal, and datasets to put into it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from sodapy import Socrata

from publisher.portal.base.model import PortalDataset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS: list[dict[str, Any]] = [
    {"fieldName": "id", "name": "Cell", "dataTypeName": "text", "description": "One name for each cell"},
    {"fieldName": "period", "name": "Period", "dataTypeName": "text"},
    {"fieldName": "period_start", "name": "Begins", "dataTypeName": "calendar_date"},
    {"fieldName": "zone", "name": "Zone", "dataTypeName": "text"},
    {"fieldName": "requests", "name": "Requests", "dataTypeName": "number"},
    {"fieldName": "requests_status", "name": "Requests, status", "dataTypeName": "text"},
    {"fieldName": "open", "name": "Open", "dataTypeName": "checkbox"},
    {"fieldName": "place", "name": "Place", "dataTypeName": "point"},
]


@dataclass(frozen=True)
class Running:
    """A portal's process and where it answers."""

    process: subprocess.Popen[str]
    address: str
    state: Path
    log: Path

    @property
    def secret(self) -> dict[str, str]:
        """The first account, as the portal wrote it."""
        written: dict[str, str] = json.loads((self.state / "writer.json").read_text())
        return written

    @property
    def login(self) -> tuple[str, str]:
        """Name and password."""
        return self.secret["username"], self.secret["password"]

    @contextmanager
    def client(self, *, anonymous: bool = False) -> Iterator[Socrata]:
        """sodapy, speaking plain HTTP to this portal."""
        name, password = (None, None) if anonymous else self.login
        adapter = {"prefix": "http://", "adapter": HTTPAdapter()}
        host = self.address.removeprefix("http://")
        token = self.secret["app_token"]
        with Socrata(host, token, name, password, session_adapter=adapter, timeout=60) as client:
            yield client


def start(state: Path, *more: str, name: str = "") -> Running:
    """Start a portal on a free port and wait until it answers; `name` is for its log where two share a state."""
    beside = state.parent / (name or state.name)
    ready, log = beside.with_suffix(".ready"), beside.with_suffix(".log")
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "publisher.portal", str(state), "--port", "0", "--ready-file", str(ready), *more]
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    with log.open("a") as opened:
        process = subprocess.Popen(command, stderr=opened, text=True, env=environment)
    for _ in range(400):
        if ready.exists():
            return Running(process, ready.read_text(), state, log)
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError("the portal did not start")


def stop(running: Running) -> int:
    """Ask the portal to stop; gives its exit code."""
    running.process.send_signal(signal.SIGTERM)
    return running.process.wait(timeout=20)


def publish(client: Socrata, name: str, rows: list[dict[str, Any]], **more: Any) -> str:
    """Create, fill and open a dataset; gives its 4x4."""
    view = client.create(name, columns=COLUMNS, row_identifier="id", **more)
    if rows:
        client.upsert(view["id"], rows)
    client.publish(view["id"])
    client.set_permission(view["id"], "public")
    identifier: str = view["id"]
    return identifier


def blank(identifier: str) -> PortalDataset:
    """A dataset without columns and rows, for tests that need no process."""
    return PortalDataset(
        id=identifier, name="x", owner="x", created_at=0, updated_at=0, rows_updated_at=0, version=1, rows=0, next_row=1
    )
