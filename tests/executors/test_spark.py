"""Spark sessions: Sail, which needs no Java, and Spark itself. Each is an environment of its own, which `make test` and
`make evidence` install; `on_spark.py` says what a session must do."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from object_stores import KEY, WORD, between, serving
from sessions import PATHS, ROOT, environment, free_port, sail

from publisher.errors import SourceError
from publisher.executors.spark import _refuse_unreachable

HERE = Path(__file__).parent


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
def test_sail_counts_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Towns at random, one of them in an object store, errors, versions and zones on a real server without Java."""
    environment("sail")
    for name, value in {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": WORD}.items():
        monkeypatch.setenv(name, value)
    with serving(tmp_path) as store, between(store) as line, sail(free_port(), tmp_path / "sail") as (address, _):
        line.private = True
        store.put("town")
        passed(environment("sail"), f'remote = "{address}"', SPARK_STORE=line.address)


@pytest.mark.evidence("random definitions counted on Sail: the same bits as in one process")
@pytest.mark.usefixtures("processes")
def test_sail_counts_many_towns(tmp_path: Path) -> None:
    """A few towns meet only some of the combinations."""
    with sail(free_port(), tmp_path / "log") as (address, _):
        passed(environment("sail"), f'remote = "{address}"', SPARK_SEEDS=" ".join(map(str, range(300, 320))))


@pytest.mark.evidence("random definitions counted on Spark: the same bits as in one process, with killed workers")
@pytest.mark.usefixtures("processes")
def test_spark_counts_the_same_bits() -> None:
    """Spark needs Java and half a gigabyte; a session takes ten seconds, and so does each count."""
    if shutil.which("java") is None:
        pytest.skip("Java is missing: apt-get install default-jre-headless")
    python = environment("spark")
    passed(python, 'master = "local[2,4]"', PYTHONPATH=PATHS, SPARK_SEEDS=" ".join(map(str, range(400, 408))))


def test_a_server_that_does_not_answer_is_told_at_once() -> None:
    """With its address and what to look for; PySpark itself would try for ten minutes."""
    begun = time.monotonic()
    with pytest.raises(SourceError, match=r"engine\.spark\.remote: sc://127\.0\.0\.1:\d+ does not answer"):
        _refuse_unreachable(f"sc://127.0.0.1:{free_port()}")
    assert time.monotonic() - begun < 10
