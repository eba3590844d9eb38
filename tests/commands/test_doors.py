"""Whatever the process was started with: who can read and write its files, and what it leaves when it dies."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from township import COMMAND

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
        ("rollback", "water", "--no-push", "--reason", "a test"),
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


READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && cd "$1" || exit 99
shift
exec "$@"
"""


def read_only(town: Town, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in the workspace as it is on a medium that no one can write, not even root."""
    command = ["unshare", "-rm", "sh", "-c", READ_ONLY, "sh", str(town.root), str(COMMAND), *arguments]
    done = subprocess.run(command, cwd=town.root, env=town.environment(), capture_output=True, text=True, check=False)
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip("this machine lets no test mount anything")
    return done


def test_a_read_only_workspace_can_still_be_looked_at(released: Town) -> None:
    """Every command that only shows gives the same answer as before; one that writes is refused in one line."""
    looks = (
        ("releases", "--json"), ("plan", "--json"), ("show", "water", "--json"), ("ledger", "--json"),
        ("verify", "--offline"), ("sql", "SELECT count(*) FROM water"),
    )  # fmt: skip
    for look in looks:
        before, done = released.publisher(*look), read_only(released, *look)
        assert (done.returncode, done.stdout, done.stderr) == (before.code, before.out, before.err)
        assert before.code == 0, before.err
    done = read_only(released, "run", "--no-push")
    assert (done.returncode, len(done.stderr.splitlines())) == (5, 1)
    assert "cannot be written" in done.stderr


def test_what_a_writer_has_written_ahead_is_read(released: Town) -> None:
    """While someone writes elsewhere, what is not yet in the main file is seen as well: here, tampering."""
    assert read_only(released, "verify", "--offline").returncode == 0
    with closing(sqlite3.connect(released.state / "private" / "ledger.sqlite")) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("UPDATE spending SET loss = '1/20' WHERE source = 'meters'")
        writer.commit()
        assert (released.state / "private" / "ledger.sqlite-wal").stat().st_size
        done = read_only(released, "verify", "--offline")
    assert done.returncode == 4, done.stderr
    assert "spending" in done.stdout + done.stderr


def test_a_read_only_workspace_without_a_ledger_says_so(town: Town) -> None:
    """One line, without a traceback; a ledger of an older layout is as plain."""
    assert town.publisher("land").code == 0
    path = town.state / "private" / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as ledger:
        ledger.execute("DELETE FROM migrations")
        ledger.commit()
    done = read_only(town, "ledger")
    assert (done.returncode, len(done.stderr.splitlines())) == (5, 1)
    assert "was made by an older version: run this version once where it can write" in done.stderr
    for each in path.parent.glob("ledger.sqlite*"):
        each.unlink()
    done = read_only(town, "ledger")
    assert (done.returncode, len(done.stderr.splitlines())) == (5, 1)
    assert "there is no ledger in" in done.stderr
