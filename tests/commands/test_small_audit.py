"""`publisher audit` of the smallest workspaces: no keysets, and no keys or sums to make worst cases of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from publisher.cli import main

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """organization = "Town"
contact = "data@town.example"
license = "CC0 1.0"
jurisdiction = "None"

[engine]
memory = "500MB"
threads = 2
"""
SOURCE = """title = "Requests"
description = "Requests of an invented town."
purpose = "Tests."
population = "town"
timezone = "UTC"
retention_months = 12
record_id = ["id"]

[privacy]
unit = "{unit}"
window = "{window}"
budget = 4

[feed]
path = "requests.csv"

[event]
column = "day"
formats = ["%Y-%m-%d"]

[columns]
id = {{ class = "public", statute = "s. 1" }}
day = {{ class = "public", statute = "s. 1" }}
who = {{ class = "private", statute = "s. 1", identifier = true }}
"""
DATASET = """title = "Requests"
description = "How many requests the town got."
source = "requests"
period = "month"
first = "2024-01"
last = "2024-01"
loss = { rho = 0.1 }
measures = [{ name = "requests", title = "Requests", kind = "count", unit = "requests" }]
suppression = { measure = "requests", threshold = 1 }
portal = { category = "Tests" }
"""
UNITS = {
    "record": ("day", ""),
    "who": ('month"\nmissing = "own-unit', "bounds = { max_groups = 1, max_per_group = 2 }\n"),
}


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("unit", UNITS)
def test_a_dataset_without_keys_and_sums(unit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every check that there is passes, and the scratch folder is gone."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "heads"))
    root, (window, bounds) = tmp_path / "town", UNITS[unit]
    for folder in ("pipelines", "datasets", "data"):
        (root / folder).mkdir(parents=True)
    (root / "publisher.toml").write_text(SETTINGS)
    (root / "pipelines" / "requests.toml").write_text(SOURCE.format(unit=unit, window=window))
    (root / "pipelines" / "requests.sql").write_text("SELECT 1 AS one FROM raw\n")
    (root / "datasets" / "requests.toml").write_text(DATASET.replace("measures", f"{bounds}measures"))
    lines = [f"{n},2024-01-{n % 28 + 1:02},p{n % 20}" for n in range(200)]
    (root / "data" / "requests.csv").write_text("\n".join(["id,day,who", *lines]) + "\n")
    landed = CliRunner().invoke(main, ["-C", str(root), "land"])
    assert landed.exit_code == 0, landed.output
    answer = CliRunner().invoke(
        main, ["-C", str(root), "audit", "requests", "--json", "--units", "15", "--releases", "20000"]
    )
    assert answer.exit_code == 0, answer.output
    looks = json.loads(answer.stdout)
    assert len(looks) > 10
    assert [path.name for path in (root / "state" / "private").iterdir() if "audit" in path.name] == []
