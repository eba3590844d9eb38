"""The examples for Airflow and Dagster run publisher in the real thing, each in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from township import Town

ROOT = Path(__file__).parents[2]
RELEASES = {"airflow": ["apache-airflow>=3.3,<4"], "dagster": ["dagster>=1.13,<2"]}


@pytest.fixture(scope="module", params=sorted(RELEASES))
def scheduler(request: pytest.FixtureRequest, processes: None) -> tuple[str, Path]:
    """The scheduler's name and the folder of its commands; installed once, and skipped where it cannot be."""
    name: str = request.param
    folder = ROOT / f".venv-{name}"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", *RELEASES[name]]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{name} cannot be installed: {done.stderr.splitlines()[-1]}")
        (folder / "installed").touch()
    return name, folder / "bin"


def commands(name: str, folder: Path, file: Path) -> list[list[str]]:
    """What a person types to try an example once."""
    if name == "dagster":
        return [[str(folder / "dagster"), "job", "execute", "-f", str(file), "-j", "publisher"]]
    return [[str(folder / "airflow"), *words.split()] for words in ("db migrate", "dags reserialize")] + [
        [str(folder / "airflow"), "dags", "test", "publisher"]
    ]


@pytest.mark.evidence("the examples for Airflow and Dagster in environments of their own")
def test_an_example_releases_what_is_due(scheduler: tuple[str, Path], town: Town, tmp_path: Path) -> None:
    """As printed, it releases every period once, and fails when something needs a person. Installing either takes
    minutes."""
    name, folder = scheduler
    home = tmp_path / "home"
    (home / "dags").mkdir(parents=True)
    file = home / "dags" / f"publisher_{name}.py"
    file.write_text(town.publisher("schedule", "export", name).out)
    variables = town.environment(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        DAGSTER_HOME=str(home),
        DAGSTER_DISABLE_TELEMETRY="1",
    )

    def tried() -> int:
        for command in commands(name, folder, file):
            done = subprocess.run(command, env=variables, cwd=home, capture_output=True, text=True, check=False)
            if done.returncode:
                break
        assert "Zzyzx" not in done.stdout + done.stderr, "a value of a record"
        return done.returncode

    for _ in range(2):
        assert tried() == 0
        assert len(town.charges()) == 6
    town.edit("datasets/requests.toml", "rho = 0.1", "rho = 0.05")
    assert tried() != 0
    assert len(town.charges()) == 6
