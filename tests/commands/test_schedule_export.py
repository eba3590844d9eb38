"""The entries of schedulers run publisher as they stand."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import yaml

from publisher.commands.schedule import SCHEDULERS, entry
from publisher.errors import DefinitionError
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from township import Town

ODD = "a town's 100% $HOME"
"""A folder's name with characters that mean something to every scheduler."""


@pytest.fixture
def odd(new_town: Town, tmp_path: Path) -> Town:
    """A town in a folder with such a name."""
    return new_town.copy(tmp_path / ODD)


def made(town: Town, scheduler: str, *options: str) -> str:
    answer = town.publisher("schedule", "export", scheduler, *options)
    assert (answer.code, answer.err) == (0, "")
    return answer.out


def test_a_line_for_cron_runs_as_it_stands(odd: Town) -> None:
    """cron hands over what follows the five fields, with its own escape undone, to a shell: the line releases what is
    due, says nothing about what went well, and logs what needs a person. A second line at the same time is silent."""
    odd.expect("requests", 0)
    (line,) = [line for line in made(odd, "cron").splitlines() if not line.startswith("#")]
    fields, command = line.split(maxsplit=5)[:5], line.split(maxsplit=5)[5]
    assert fields == ["*/15", "*", "*", "*", "*"]
    shell = ["/bin/sh", "-c", command.replace("\\%", "%")]
    done = subprocess.run(shell, cwd="/", env=odd.environment(), capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "")
    assert done.returncode == 3, "the requests are held"
    assert len(odd.charges()) == 6
    log = (odd.root / "run.log").read_text()
    assert "requests 2024-01 is held" in log
    assert "water" not in log


def test_two_quiet_runs_at_once_need_no_one(town: Town) -> None:
    """The second one ends with its own exit code and says nothing."""
    import fcntl

    town.run("requests")
    with (town.state / "private" / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = town.publisher("run", "--quiet", "--no-push")
        loud = town.publisher("run", "--no-push")
    assert (answer.code, answer.out, answer.err) == (75, "", "")
    assert "another run" in loud.err


def test_units_for_systemd_verify(odd: Town, tmp_path: Path) -> None:
    """systemd itself finds no fault in any of the three units."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = made(odd, "systemd", "--every", "5")
    units = {part.split("\n", 1)[0]: part.split("\n", 1)[1] for part in f"\n{text}".split("\n# ")[1:]}
    assert [*units] == ["publisher-run.service", "publisher-run.timer", "publisher-portal.service"]
    for name, unit in units.items():
        (tmp_path / name).write_text(unit)
    for name in units:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True, check=False
        )
        said = [line for line in done.stderr.splitlines() if "publisher" in line]
        assert (done.returncode, said) == (0, [])
    assert "Restart=on-failure" in units["publisher-portal.service"]


def test_other_entries_name_command_and_folder(odd: Town) -> None:
    """The task for Windows is XML, the workflow is YAML on a runner of one's own, and both examples are Python."""
    task = ET.fromstring(made(odd, "windows"))  # noqa: S314 - our own
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    assert task.findtext(".//t:Arguments", namespaces=space) == f'-C "{odd.root}" run --quiet'
    assert task.findtext(".//t:Interval", namespaces=space) == "PT15M"
    workflow = yaml.safe_load(made(odd, "github", "--every", "30"))
    job = workflow["jobs"]["run"]
    assert "self-hosted" in job["runs-on"]
    assert workflow[True]["schedule"] == [{"cron": "*/30 * * * *"}]
    said = subprocess.run(
        ["sh", "-c", job["steps"][0]["run"].replace(" run --quiet", " status --offline")],
        env=odd.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "requests" in said.stdout
    for scheduler in ("airflow", "dagster"):
        values = {node.value for node in ast.walk(ast.parse(made(odd, scheduler))) if isinstance(node, ast.Constant)}
        assert str(odd.root) in values


def test_an_uneven_distance_is_refused(town: Town) -> None:
    """Every 7 minutes would not be every 7 minutes; nor is there a scheduler of another name."""
    with pytest.raises(DefinitionError, match="does not divide an hour"):
        entry(find_workspace(town.root), "cron", 7)
    assert town.publisher("schedule", "export", "cron", "--every", "7").code == 2
    assert town.publisher("schedule", "export", "at").code == 2
    assert {*SCHEDULERS} == {"cron", "systemd", "windows", "github", "airflow", "dagster"}


def test_python_schedulers_call_one_function(released: Town) -> None:
    """`publisher.run_due` does what `publisher run` does, and raises what went wrong when all else is done."""
    code = (
        "import json, publisher\n"
        "try: print(json.dumps(publisher.run_due('.')))\n"
        "except publisher.errors.PublisherError as error: print(type(error).__name__)\n"
    )

    def called() -> str:
        command, variables = [sys.executable, "-c", code], released.environment()
        return subprocess.run(
            command, cwd=released.root, env=variables, capture_output=True, text=True, check=True
        ).stdout

    outcomes = json.loads(called())
    assert {(each["dataset"], each["status"]) for each in outcomes} == {
        ("requests", "published"),
        ("water", "published"),
    }
    released.edit("datasets/requests.toml", "rho = 0.1", "rho = 0.05")
    assert called().split() == ["DefinitionError"], "nobody agreed to draw again"
    assert len(released.charges()) == 6


def test_the_documented_unit_of_the_portal_verifies(processes: None, tmp_path: Path) -> None:
    """systemd finds no fault in the unit of the portal's own user, which hides the records from it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    page = (Path(__file__).parents[2] / "docs" / "portal.md").read_text()
    unit = page.split("```ini\n# /etc/systemd/system/opendata-portal.service\n")[1].split("```")[0]
    python = f"ExecStart={sys.executable}"
    (tmp_path / "opendata-portal.service").write_text(unit.replace("ExecStart=/srv/open-data/.venv/bin/python", python))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "opendata-portal.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "opendata" in line]) == (0, [])
    assert "InaccessiblePaths=-/srv/open-data/state" in unit
