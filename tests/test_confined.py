"""Work in a child with limits gives its result, or the reason why there is none."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from publisher import confined

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("processes")

SPACE = 1 << 29


def answer(*arguments: object) -> object:
    """The arguments, the limits, and the number of the process."""
    return [*arguments, resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CORE), os.getpid()]


def told() -> list[str]:
    """The names of its environment."""
    return sorted(os.environ)


def fill() -> int:
    """More memory than there is."""
    return len(bytearray(2 * SPACE))


def abort() -> None:
    """What a reader written in Rust does without memory."""
    os.abort()


def wait() -> None:
    """Longer than allowed, without working."""
    time.sleep(60)


def fail() -> None:
    """A fault whose message quotes a record."""
    raise ValueError("canary-7391")


def test_a_module_in_the_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace may hold a file with the name of a module of Python's own."""
    (tmp_path / "json.py").write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    assert confined.run(answer, "a", memory=SPACE, seconds=30)[0] == "a"


def test_the_result_comes_from_another_process_with_limits() -> None:
    """Arguments and results are JSON; the child has so much memory and leaves no core dump."""
    *arguments, space, core, process = confined.run(answer, "a", None, 7, memory=SPACE, seconds=30)
    assert (arguments, space, core) == (["a", None, 7], [SPACE, SPACE], [0, 0])
    assert process != os.getpid()


def test_a_child_gets_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads files from elsewhere; keys and passwords are in the environment of who starts it."""
    monkeypatch.setenv("WORKSPACE_KEY", "secret")
    assert {"PATH", "WORKSPACE_KEY"} & set(confined.run(told, memory=SPACE, seconds=30)) == {"PATH"}


@pytest.mark.parametrize(("function", "reason"), [(fill, "memory"), (abort, "memory"), (wait, "time"), (fail, "fault")])
def test_a_child_that_gives_no_result_says_why(
    function: object, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Memory, time, or a fault, and nothing that it has printed."""
    with pytest.raises(confined.StoppedError, match=f"^{reason}$"):
        confined.run(function, memory=SPACE, seconds=3)  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")


REACHING = """
import sys
from pathlib import Path
from publisher import confined
root = Path(sys.argv[1])
assert confined.reach_only(
    confined.Reach([root / "state/portal"], [root], [root], hidden=[root / "state/private"])
)
import sqlite3, zoneinfo, publisher.portal.app
zoneinfo.ZoneInfo("America/Chicago")
(root / "state/portal/new").write_text("new")
assert (root / "public.txt").read_text() == "public"
(root / "ready.tmp").rename(root / "ready")
told = []
for path in ("state/private/records", "state/private", "state/portal/../private/records", "state/portal/link"):
    for reach in (lambda: (root / path).read_bytes(), lambda: list((root / path).iterdir())):
        try:
            reach()
        except OSError as error:
            told.append(type(error).__name__)
        else:
            told.append("reached")
try:
    (root / "state/private/records").write_text("changed")
except PermissionError:
    told.append("unchanged")
print(sorted(set(told)))
"""


def test_a_process_gives_up_reaching_files(tmp_path: Path) -> None:
    """What is hidden cannot be read, listed or changed, on no way that leads there, though what lies around it is read,
    the process's own folder is written, a file is renamed where that is allowed, and programs are imported."""
    if confined._landlock(confined._CREATE_RULESET, None, 0, 1) < 1:
        pytest.skip("this kernel has no Landlock")
    for folder in ("private", "portal"):
        (tmp_path / "state" / folder).mkdir(parents=True)
    (tmp_path / "state" / "private" / "records").write_text("records")
    (tmp_path / "state" / "portal" / "link").symlink_to(tmp_path / "state" / "private")
    (tmp_path / "public.txt").write_text("public")
    (tmp_path / "ready.tmp").write_text("ready")
    done = subprocess.run(
        [sys.executable, "-c", REACHING, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "reached" not in done.stdout
    assert "PermissionError" in done.stdout
    assert "unchanged" in done.stdout
    assert (tmp_path / "state" / "private" / "records").read_text() == "records"
