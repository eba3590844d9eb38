"""Workers of a release that are killed, and the run itself: run again, nothing is counted twice and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from sessions import environment, free_port, sail
from town import Town, settle

COMMAND = Path(sys.executable).with_name("publisher")
PATIENCE = 120
WEEK = "2018-W02"

pytestmark = pytest.mark.usefixtures("processes")


def people(folder: Path, executor: str, more: str = "", records: int = 30_000) -> Town:
    """A town of people with many calls each, and a loss so large that noise reaches one cell in 10¹¹."""
    town = settle(folder, "http://127.0.0.1:1", records=records, first=WEEK, last=WEEK, rho="1000")
    texts = {
        "publisher.toml": [("threads = 1", f'threads = 2\nexecutor = "{executor}"{more}')],
        "pipelines/calls.toml": [
            (
                'unit = "record"\nwindow = "day"\nbudget = 0.5',
                'unit = "CALLER"\nwindow = "month"\nmissing = "drop"\nbudget = 1000',
            ),
            ('statute = "s. 2", read = false', 'statute = "s. 2", identifier = true'),
        ],
        "datasets/town-calls.toml": [("[[keys]]", "[bounds]\nmax_groups = 4\nmax_per_group = 3\n[[keys]]")],
    }
    for name, changes in texts.items():
        text = (folder / name).read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (folder / name).write_text(text, encoding="utf-8")
    calls = folder / "data" / "calls" / "january.csv"
    calls.write_text(re.sub(r"Caller (\d+)", lambda found: f"Caller {int(found[1]) % 900}", calls.read_text()))
    return town


def begun(town: Town, command: Path = COMMAND) -> subprocess.Popen[str]:
    """`publisher run` in the town, by the command of this environment or another."""
    arguments = [str(command), "-C", str(town.folder), "run", "--no-push", "--yes"]
    return subprocess.Popen(
        arguments, env=os.environ | town.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def workers(run: subprocess.Popen[str]) -> set[int]:
    """The worker processes of a run."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == run.pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return found


def others(run: subprocess.Popen[str], before: set[int]) -> set[int]:
    """Waits for workers that were not there before."""
    until = time.monotonic() + PATIENCE
    while not (found := workers(run) - before):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


def killed(run: subprocess.Popen[str]) -> set[int]:
    """Kills the first worker, and waits for one that takes its place."""
    before = others(run, set())
    os.kill(min(before), signal.SIGKILL)
    return others(run, before | workers(run))


def ended(run: subprocess.Popen[str]) -> None:
    """Waits for a run that must end well."""
    out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, out + err


@pytest.fixture(scope="module")
def undisturbed(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The same town, released in one process."""
    town = people(tmp_path_factory.mktemp("local"), "local")
    ended(begun(town))
    return town


def twin(other: Town, town: Town) -> Town:
    """The town with the key of another, on which depends which cells of a person count."""
    town.private.mkdir(mode=0o700, parents=True)
    shutil.copy(other.private / "key", town.private / "key")
    return town


def charges(town: Town) -> int:
    """How many charges the ledger has."""
    command = [str(COMMAND), "-C", str(town.folder), "ledger", "--json"]
    shown = subprocess.run(command, env=os.environ | town.environment, capture_output=True, text=True, check=True)
    return json.dumps(json.loads(shown.stdout)).count('"town-calls"')


def released(town: Town) -> list[bytes]:
    """The published numbers of every edition."""
    return [path.read_bytes() for path in sorted(town.releases.rglob("data.csv"))]


def test_killed_workers_and_a_killed_run_count_everything_once(undisturbed: Town, tmp_path: Path) -> None:
    """A worker is killed, then the whole run; the next run loses a worker too and ends well: one charge, one edition,
    and the numbers of one process, to the last."""
    town = twin(undisturbed, people(tmp_path, "processes"))
    with begun(town) as run:
        left = killed(run)
        run.kill()
    until = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{pid}").exists() for pid in left) and time.monotonic() < until:
        time.sleep(0.05)
    with begun(town) as run:
        killed(run)
        ended(run)
    assert released(town) == released(undisturbed) != []
    assert charges(town) == 1
    assert not list((town.private / "tmp").rglob("*")), "nothing that was shuffled stays"


@pytest.mark.evidence("a server of Sail killed during a release: told, run again, counted once")
def test_a_killed_server_is_told_and_the_next_run_counts_everything_once(undisturbed: Town, tmp_path: Path) -> None:
    """The run ends with what to do, and nothing is charged; with a new server it ends well, with the numbers of one
    process. Three whole runs take a minute."""
    command, port = environment("sail").with_name("publisher"), free_port()
    town = twin(undisturbed, people(tmp_path, "spark", f'\n[engine.spark]\nremote = "sc://127.0.0.1:{port}"'))
    with sail(port, tmp_path / "log") as (_, server), begun(town, command) as run:
        until = time.monotonic() + PATIENCE
        while "creating session" not in (tmp_path / "log").read_text() and time.monotonic() < until:
            time.sleep(0.01)
        server.kill()
        _, err = run.communicate(timeout=900)
    assert run.returncode == 5, err
    assert "Nothing was charged; run again" in err
    assert charges(town) == 0
    with sail(port, tmp_path / "log"), begun(town, command) as run:
        ended(run)
    assert released(town) == released(undisturbed) != []
    assert charges(town) == 1
