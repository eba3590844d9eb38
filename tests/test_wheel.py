"""What is installed from the wheel is whole: a workspace is made and served far away from this repository."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

ROOT = Path(__file__).parent.parent
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PUBLISHER_", "PYTHONPATH"))}


@pytest.fixture(scope="module")
def command(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `publisher` command of the wheel, in an environment that has the libraries but not this repository."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run(wheel, check=True, cwd=folder)
    (built,) = folder.glob("publisher-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    subprocess.run([*pip, "--python", str(folder / "env"), "install", "--no-deps", str(built)], check=True)
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")  # a .pth beside it is not read
    return folder / "env" / "bin" / "publisher"


def publisher(command: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the installed command in that folder."""
    return subprocess.run([command, *words], cwd=folder, env=CLEAN, capture_output=True, text=True, check=False)


def test_a_workspace_is_made_and_served_from_the_wheel(command: Path, tmp_path: Path) -> None:
    """`publisher init` and `publisher serve` work in an empty folder; pages have their style, search its synonyms."""
    where = publisher(command, tmp_path, "--version")
    assert where.returncode == 0, where.stderr
    assert publisher(command, tmp_path, "init", "city").returncode == 0
    city, ready = tmp_path / "city", tmp_path / "address"
    assert publisher(command, city, "schema", "dataset").returncode == 0
    serving = subprocess.Popen(
        [command, "serve", "--port", "0", "--ready-file", str(ready)], cwd=city, env=CLEAN, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 60
        while not (ready.exists() or serving.poll() is not None or time.monotonic() > deadline):
            time.sleep(0.1)
        assert ready.exists(), serving.stderr
        address = ready.read_text()
        text = requests.get(address, timeout=20).text
        style = next(part for part in text.split('"') if ".css" in part)
        assert requests.get(urljoin(address, style), timeout=20).status_code == 200
        assert requests.get(address, params={"q": "garbage"}, timeout=20).status_code == 200
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=20)


def test_the_wheel_is_what_runs(command: Path, tmp_path: Path) -> None:
    """The installed package, not the repository, answers."""
    script = "import publisher; print(publisher.__file__)"
    ran = subprocess.run(
        [command.parent / "python", "-c", script], cwd=tmp_path, env=CLEAN, capture_output=True, text=True, check=True
    )
    assert str(command.parent.parent) in ran.stdout
