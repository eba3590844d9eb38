"""Spark sessions: Sail, which needs no Java, and Spark itself. Each is an environment of its own, which `make test` and
`make evidence` install; `on_spark.py` says what a session must do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.errors import SourceError
from publisher.executors.spark import _refuse_unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATIENCE = 60


def environment(name: str) -> Path:
    """The Python of an engine's environment; skips the test where there is none."""
    folder = ROOT / f".venv-{name}"
    if not (folder / "installed").exists():
        pytest.skip(f"{folder.name} is missing: make {folder.name}/installed")
    return folder / "bin" / "python"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def sail(port: int, log: Path) -> Iterator[str]:
    """A server of Sail whose clock is another zone's; its address."""
    python = environment("sail")
    command = [str(python.with_name("sail")), "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    variables = os.environ | {"TZ": "Asia/Tokyo", "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
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
            yield f"sc://127.0.0.1:{port}"
        finally:
            server.kill()


def passed(python: Path, settings: str, **variables: str) -> None:
    """Runs `on_spark.py` with these settings; all of it must pass."""
    command = [str(python), "-m", "pytest", "-q", "-x", "-W", "ignore", "-p", "no:cacheprovider", "-n", "0"]
    done = subprocess.run(
        [*command, str(HERE / "on_spark.py")],
        env=os.environ | {"SPARK_SETTINGS": settings} | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("processes")
def test_sail_counts_the_same_bits(tmp_path: Path) -> None:
    """Towns at random, errors, versions and zones on a real server without Java."""
    with sail(free_port(), tmp_path / "log") as address:
        passed(environment("sail"), f'remote = "{address}"')


@pytest.mark.evidence("random definitions counted on Sail: the same bits as in one process")
@pytest.mark.usefixtures("processes")
def test_sail_counts_many_towns(tmp_path: Path) -> None:
    """A few towns meet only some of the combinations."""
    with sail(free_port(), tmp_path / "log") as address:
        passed(environment("sail"), f'remote = "{address}"', SPARK_SEEDS=" ".join(map(str, range(300, 340))))


@pytest.mark.evidence("random definitions counted on Spark: the same bits as in one process, with killed workers")
@pytest.mark.usefixtures("processes")
def test_spark_counts_the_same_bits() -> None:
    """Spark needs Java and half a gigabyte; a session takes ten seconds, and so does each count."""
    if shutil.which("java") is None:
        pytest.skip("Java is missing: apt-get install default-jre-headless")
    python = environment("spark")
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    passed(python, 'master = "local[2,4]"', PYTHONPATH=path, SPARK_SEEDS=" ".join(map(str, range(400, 412))))


def test_a_server_that_does_not_answer_is_told_at_once() -> None:
    """With its address and what to look for; PySpark itself would try for ten minutes."""
    begun = time.monotonic()
    with pytest.raises(SourceError, match=r"engine\.spark\.remote: sc://127\.0\.0\.1:\d+ does not answer"):
        _refuse_unreachable(f"sc://127.0.0.1:{free_port()}")
    assert time.monotonic() - begun < 10
