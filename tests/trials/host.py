"""The embedded portal as a process of its own, on a free port of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sodapy import Socrata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = STOP_SECONDS = 120


@dataclass(frozen=True)
class Host:
    """A portal that answers."""

    url: str
    state: Path
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which publisher writes to this portal, wherever its own state lies."""
        return {f"SOCRATA_{name.upper()}": value for name, value in self._account().items()}

    @contextmanager
    def client(self) -> Iterator[Socrata]:
        """sodapy with the portal's account."""
        account = self._account()
        with Socrata(
            self.url.removeprefix("http://"),
            account["app_token"],
            username=account["username"],
            password=account["password"],
            session_adapter={"prefix": "http://", "adapter": _adapter()},
        ) as client:
            yield client

    def _account(self) -> dict[str, str]:
        account: dict[str, str] = json.loads((self.state / "writer.json").read_text())
        return account


def _adapter() -> Any:
    from requests.adapters import HTTPAdapter

    return HTTPAdapter()


@contextmanager
def hosted(folder: Path, port: int = 0) -> Iterator[Host]:
    """A portal whose state and log lie in the folder; it ends with the block, if not before."""
    folder.mkdir(parents=True, exist_ok=True)
    state, ready, log = folder / "portal", folder / "ready", folder / "portal.log"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "publisher.portal", str(state), "--port", str(port), "--ready-file", str(ready)]
    with log.open("ab") as opened, subprocess.Popen(command, stdout=opened, stderr=opened) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not ready.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, "the portal did not start"
                time.sleep(0.02)
            yield Host(ready.read_text(), state, log, process)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
