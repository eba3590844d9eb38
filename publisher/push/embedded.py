"""The embedded portal as a separate process: already running, or started for the time of a push."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from publisher.confined import without_secrets
from publisher.definitions.feed import is_loopback
from publisher.errors import PortalError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.definitions.settings import PortalSettings

START_SECONDS = 60
CONNECT_SECONDS, ANSWER_SECONDS = 5, 60
"""A portal that took the connection may be long in answering on a busy machine; a second one could not start there."""


@contextmanager
def running(settings: PortalSettings, state: Path) -> Iterator[None]:
    """Make sure that the portal in the settings answers; a portal that is started here also ends here.

    Raises PortalError if it does not start.
    """
    if settings.kind != "embedded" or answers(settings.url):
        yield
        return
    address = urlsplit(settings.url)
    if address.scheme == "https":
        raise PortalError(
            f"no portal answers at {settings.url}: start `publisher serve` there, with --tls-certificate and --tls-key"
        )
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready"
        command = [
            sys.executable,
            "-P",
            "-m",
            "publisher.portal",
            str(state),
            "--host",
            address.hostname or "127.0.0.1",
        ]
        command += ["--port", str(settings.port), "--ready-file", str(ready)]
        if not is_loopback(address.hostname or ""):
            command += ["--public-url", f"{address.scheme}://{address.netloc}"]
        log = Path(folder) / "log"
        with log.open("w") as errors:  # a file: no one reads while the portal answers, and a pipe would fill up
            told = without_secrets(os.environ)  # it faces the web
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=told)
        try:
            _wait(process, ready, log)
            yield
        finally:
            process.terminate()
            process.wait()


def answers(url: str) -> bool:
    """Whether a portal answers at that address."""
    import requests

    try:
        return requests.get(f"{url}/health", timeout=(CONNECT_SECONDS, ANSWER_SECONDS)).ok
    except requests.RequestException:
        return False


def _wait(process: subprocess.Popen[bytes], ready: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None:
            words = log.read_text(errors="replace").strip()
            raise PortalError(
                f"the embedded portal did not start: {words.splitlines()[-1] if words else 'it gave no reason'}"
            )
        if time.monotonic() > deadline:
            raise PortalError(f"the embedded portal did not start within {START_SECONDS} s")
        time.sleep(0.05)
