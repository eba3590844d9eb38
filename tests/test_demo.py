"""`make demo` as a person starts it on a machine whose usual port is taken."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

pytestmark = [
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
    pytest.mark.usefixtures("processes"),
]


def demo(folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    """The demo with the one dataset of the sample that is released fastest; its portal's usual port is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PUBLISHER_", "MAKE", "MFLAGS"))}
    variables = kept | {"PATH": f"{BIN}:{kept['PATH']}", "PUBLISHER_PORTAL": f"http://127.0.0.1:{port}"}
    command = ["make", "-o", ".venv/installed", "demo", "ONCE=1", f"DEMO={folder}", "SAMPLED=syracuse-permits"]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False, timeout=500)


@pytest.mark.xdist_group("demo")
def test_a_taken_port_is_told_and_another_is_found(tmp_path: Path) -> None:
    """What was released is on the portal that the demo itself has opened, and verified there."""
    subprocess.run([BIN / "publisher", "sample", tmp_path / "city", "--rows", "1000"], check=True, capture_output=True)
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        answer = demo(tmp_path, port)
    assert answer.returncode == 0, answer.stderr
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in answer.stderr
    found = re.search(r"The portal is at (http://127\.0\.0\.1:(\d+))\.", answer.stdout)
    assert found is not None
    assert int(found[2]) != port
    assert f"complete on the portal: {found[1]}/d/" in answer.stdout


@pytest.mark.xdist_group("demo")
def test_a_portal_that_cannot_open_ends_the_demo(tmp_path: Path) -> None:
    """At once and with the reason, before anything is released."""
    (tmp_path / "city").mkdir()
    (tmp_path / "city" / "SAMPLE.json").write_text("{}")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "portal").write_text("in the way")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    answer = demo(tmp_path, port)
    assert answer.returncode != 0
    assert answer.stderr.count("as the portal's folder: File exists") == 2
    assert not (tmp_path / "state" / "private").exists()
