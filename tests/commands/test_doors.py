"""Whatever the process was started with: who can read and write its files, and what it leaves when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from township import Town


def modes(folder: Path) -> set[int]:
    """The permissions of the folder and of everything below."""
    return {path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize(("umask", "public"), [("000", {0o644, 0o755}), ("077", {0o600, 0o700})])
def test_permissions_do_not_depend_on_the_umask(town: Town, umask: str, public: set[int]) -> None:
    """Everything public can be written by its owner alone, a narrower umask narrows it; everything private, a rehearsal
    included, can be read by its owner alone."""
    for arguments in (
        ("run", "water", "--no-push"),
        ("run", "water", "--rehearse"),
        ("rollback", "water", "--no-push"),
    ):
        answer = town.publisher(*arguments, before=f"umask {umask}")
        assert answer.code == 0, answer.err
    assert list((town.state / "private" / "rehearsal" / "public").rglob("data.csv"))
    assert modes(town.state / "private") == {0o600, 0o700}
    assert modes(town.state / "public") - {0o600} <= public  # the ledger's head is its owner's alone
    assert town.state.stat().st_mode & 0o022 == 0


ABORT = """
import os, subprocess, sys
if sys.argv[1:]:
    from publisher.cli import main
    main(["schema", "source"], standalone_mode=False)
    limits = subprocess.run(["sh", "-c", "ulimit -Sc; ulimit -Hc"], capture_output=True, text=True, check=True)
    assert limits.stdout.split() == ["0", "0"], limits.stdout
os.abort()
"""


@pytest.mark.usefixtures("processes")
def test_a_command_that_dies_leaves_no_core_dump(tmp_path: Path) -> None:
    """With core dumps allowed without limit, an aborted command leaves none, where a plain process leaves one."""
    for aborted in ("plain", "ours"):
        folder = tmp_path / aborted
        folder.mkdir()
        shell = 'ulimit -c unlimited && exec "$@"'
        arguments = [sys.executable, "-c", ABORT, *(["ours"] if aborted == "ours" else [])]
        done = subprocess.run(["sh", "-c", shell, "sh", *arguments], cwd=folder, capture_output=True, check=False)
        if aborted == "plain" and not list(folder.iterdir()):
            pytest.skip("core dumps of this machine are not files in the working folder, or are not allowed")
        assert done.returncode == -signal.SIGABRT, done.stderr.decode()
    assert list((tmp_path / "ours").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands core dumps to programs")
@pytest.mark.usefixtures("processes")
def test_a_command_s_memory_is_nobody_else_s() -> None:
    """Not dumpable: the kernel dumps it nowhere, not even to a program that collects core dumps."""
    check = "import ctypes, sys; from publisher.cli import main; main(['schema', 'source'], standalone_mode=False); "
    check += "sys.exit(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr.decode()
