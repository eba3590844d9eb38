"""A test run that is interrupted leaves no process behind, and no test starts one unseen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

TESTS = Path(__file__).parent
CONFTEST = """\
import signal

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts in the background ignore Ctrl-C
pytest_plugins = ("marks",)
"""
WAITING = """\
import subprocess, time
from pathlib import Path

def test_it_waits(processes):
    started = subprocess.Popen(["sleep", "600"])
    Path("new").write_text(str(started.pid))
    Path("new").rename("pid")
    time.sleep(600)
"""
UNSEEN = """\
import subprocess

def test_unseen():
    try:
        subprocess.run(["true"])
    except RuntimeError:
        pass
"""

pytestmark = pytest.mark.usefixtures("processes")


def pytest_on(folder: Path, test: str, *options: str) -> subprocess.Popen[str]:
    """A test run of its own over one file."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "--rootdir", str(folder), "-p", "no:cacheprovider", *options]
    variables = os.environ | {"PYTHONPATH": str(TESTS)}
    return subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("how", "options"),
    [
        (signal.SIGKILL, ()),
        *((how, ("--numprocesses", "1")) for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)),
    ],
)
def test_a_run_that_is_stopped_leaves_nothing(tmp_path: Path, how: signal.Signals, options: tuple[str, ...]) -> None:
    """Stopped by Ctrl-C, by a supervisor or at once: what its tests had started has ended."""
    with pytest_on(tmp_path, WAITING, *options) as run:
        until(lambda: (tmp_path / "pid").exists() or run.poll() is not None)
        started = psutil.Process(int((tmp_path / "pid").read_text()))
        run.send_signal(how)
        until(lambda: not started.is_running() or started.status() == psutil.STATUS_ZOMBIE)


def test_a_test_that_starts_a_process_unseen_fails(tmp_path: Path) -> None:
    """Without the fixture `processes` it fails, even where the refusal is caught."""
    with pytest_on(tmp_path, UNSEEN) as run:
        said = run.communicate()[0]
    assert run.returncode == 1
    assert "needs the fixture `processes`" in said


def until(condition: Callable[[], bool], seconds: float = 240) -> None:
    """Wait for another process."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
