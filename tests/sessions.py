"""Environments and servers of Spark sessions, for tests."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ROOT = HERE.parent
PATIENCE = 60
PATHS = os.pathsep.join([str(HERE / "executors"), str(HERE)])
"""Where a worker finds the kernels of the tests."""


def environment(name: str) -> Path:
    """The Python of an engine's environment; skips the test where there is none."""
    folder = ROOT / f".venv-{name}"
    if not (folder / "installed").exists():
        pytest.skip(f"{folder.name} is missing: make {folder.name}/installed")
    return folder / "bin" / "python"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def sail(port: int, log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server of Sail whose clock is another zone's: its address and its process."""
    python = environment("sail")
    command = [str(python.with_name("sail")), "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    variables = os.environ | {"TZ": "Asia/Tokyo", "PYTHONPATH": PATHS}
    with log.open("wb") as output, subprocess.Popen(command, env=variables, stdout=output, stderr=output) as server:
        try:
            until = time.monotonic() + PATIENCE
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert server.poll() is None, log.read_text()
                    assert time.monotonic() < until, log.read_text()
                    time.sleep(0.05)
            yield f"sc://127.0.0.1:{port}", server
        finally:
            server.kill()
