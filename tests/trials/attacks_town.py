"""A town that is released by the real command, so that it can be attacked: its guarantees, and its tables with and
without one unit.

All records are invented. A unit that an attacker asks about is marked in the column NOTE, which nothing publishes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attacks_model import Target, mechanisms_in
from town import borrow

from publisher.definitions.period import parse
from publisher.duck import connect
from publisher.engine.aggregate import bound_and_aggregate
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource
from publisher.records.reader import raw
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from town import Town as Borrowed

    from publisher.stages import BoundedAggregate
    from publisher.workspace import Workspace

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("publisher")
"""The installed command of this environment."""

SETTINGS = """\
organization = "Town of Attacks"
contact = "data@example.org"
license = "CC0 1.0"
jurisdiction = "None, since it is invented"
[engine]
memory = "500MB"
[portal]
url = "{url}"
"""
NOWHERE = "http://127.0.0.1:9"

SOURCE = """\
title = "{name}"
description = "Invented records."
purpose = "Tests."
population = "townspeople"
timezone = "America/Chicago"
retention_months = 12
record_id = ["ID"]
[privacy]
{privacy}
[feed]
path = "{name}.csv"
accept = {{ undated = 1, repeated = 1, empty = ["NOTE", "AMOUNT", "KIND"], reason = "invented" }}
[event]
column = "OPENED"
formats = ["%Y-%m-%d"]
[columns]
{columns}
"""

DATASET = """\
title = "{name}"
description = "Numbers of the town."
source = "{name}"
{definition}
[portal]
category = "Tests"
"""

KEYS = """\
[[keys]]
name = "ward"
title = "Ward"
keyset = "wards"
other = "Unknown"
[[keys]]
name = "kind"
title = "Kind"
keyset = "kinds"
other = "Other"
"""

CALLS = f"""\
period = "month"
first = "2024-01"
last = "2024-01"
loss.rho = 0.1
{KEYS}
[[coarser]]
name = "district"
title = "District"
of = "ward"
mapping = "districts-of-wards"
keyset = "districts"
other = "Rest"
[[rollups]]
name = "city"
title = "City"
share = 0.1
[[rollups]]
name = "districts"
title = "Districts"
keys = ["district"]
share = 0.1
[[rollups]]
name = "all-kinds"
title = "Wards"
keys = ["ward"]
share = 0.2
[[measures]]
name = "calls"
title = "Calls"
kind = "count"
unit = "calls"
[suppression]
measure = "calls"
threshold = 15
"""

VISITS = f"""\
period = "quarter"
grain = "month"
first = "2024-Q1"
last = "2024-Q1"
loss.rho = 0.04
[bounds]
max_groups = 3
max_per_group = 2
{KEYS}
[[rollups]]
name = "quarter"
title = "City by quarter"
grain = "quarter"
[[rollups]]
name = "all-kinds"
title = "Wards by month"
keys = ["ward"]
[[measures]]
name = "visits"
title = "Visits"
kind = "count"
unit = "visits"
[[measures]]
name = "people"
title = "People"
kind = "count_units"
unit = "people"
[[measures]]
name = "paid"
title = "Paid"
kind = "sum"
unit = "dollars"
column = "amount"
lower = 0
upper = 50
resolution = 1
[[measures]]
name = "mean_paid"
title = "Mean paid"
kind = "mean"
unit = "dollars"
sum = "paid"
count = "visits"
[[measures]]
name = "amounts"
title = "Amounts"
kind = "histogram"
unit = "dollars"
column = "amount"
bins = [0, 10, 20, 30]
[[measures]]
name = "median_paid"
title = "Median paid"
kind = "quantile"
unit = "dollars"
histogram = "amounts"
probability = 0.5
[suppression]
measure = "visits"
threshold = 10
"""

METERS = """\
period = "month"
first = "2024-01"
last = "2024-01"
loss.rho = 0.1
[bounds]
max_groups = 1
max_per_group = 2
[[keys]]
name = "ward"
title = "Ward"
keyset = "wards"
other = "Unknown"
[[measures]]
name = "accounts"
title = "Accounts"
kind = "count_units"
unit = "accounts"
[[measures]]
name = "used"
title = "Used"
kind = "sum"
unit = "liters"
column = "amount"
lower = -200
upper = 1000
resolution = 1
[suppression]
measure = "accounts"
threshold = 5
"""

PARCELS = """\
period = "month"
first = "2024-01"
last = "2024-01"
loss.epsilon = 0.5
[bounds]
max_groups = 1
max_per_group = 1
[[keys]]
name = "ward"
title = "Ward"
keyset = "wards"
other = "Unknown"
[[measures]]
name = "parcels"
title = "Parcels"
kind = "count_units"
unit = "parcels"
[suppression]
measure = "parcels"
threshold = 5
"""

REPORTS = """\
period = "month"
first = "2024-01"
last = "2024-01"
loss.rho = 0.1
[[keys]]
name = "kind"
title = "Kind"
other = "Other"
[keys.discover]
share = 0.5
delta = 0.0001
[[measures]]
name = "reports"
title = "Reports"
kind = "count"
unit = "reports"
[suppression]
measure = "reports"
threshold = 5
"""

RECORDS = 'unit = "record"\nwindow = "day"\nbudget = 0.3'
PERSONS = 'unit = "WHO"\nwindow = "month"\nmissing = "drop"\n'
SOURCES = {
    "calls": (RECORDS, CALLS),
    "visits": (PERSONS + "budget = 0.3", VISITS),
    "meters": (PERSONS + "budget = 0.3", METERS),
    "parcels": (PERSONS + 'currency = "pure"\nbudget = 1', PARCELS),
    "reports": (RECORDS + "\ndelta = 0.001", REPORTS),
}
COMPANIONS = ("calls-city", "calls-districts", "calls-all-kinds", "visits-quarter", "visits-all-kinds")
QUERY = "SELECT WARD AS ward, KIND AS kind, TRY_CAST(AMOUNT AS INTEGER) AS amount FROM raw\n"
COLUMNS = ("ID", "WHO", "OPENED", "WARD", "KIND", "AMOUNT", "NOTE")
KEYSETS = {
    "wards": "key\n1\n2\n3\n",
    "kinds": "key\nLamp\nPothole\n",
    "districts": "key\nEast\nWest\n",
    "districts-of-wards": "ward,district\n1,East\n2,East\n3,West\n",
}

KINDS = ("Lamp", "Pothole", "Noise")
CALLED = {("1", "Lamp"): 90, ("1", "Pothole"): 70, ("1", "Noise"): 60,
          ("2", "Lamp"): 11, ("2", "Pothole"): 80, ("2", "Noise"): 75,
          ("3", "Lamp"): 1, ("3", "Noise"): 2, ("9", "Lamp"): 40, ("9", "Pothole"): 50, ("9", "Noise"): 45}  # fmt: skip
"""How many calls there are beside those that attackers ask about; ward 9 is on no list."""
CALLS_ASKED = {"small": ("2", "Lamp"), "sole": ("3", "Pothole")}
"""Calls that attackers ask about: in a cell that is mostly suppressed, and the only one of its cell in a quiet ward."""

Row = tuple[object, ...]
"""WHO, OPENED, WARD, KIND, AMOUNT, NOTE."""


def rows_of(source: str) -> list[Row]:
    """The raw rows of a source, the same every time."""
    if source == "calls":
        others = [(n, "2024-01-10", *cell, 0, "") for cell, count in CALLED.items() for n in range(count)]
        return [*others, *(("t", "2024-01-10", *cell, 0, note) for note, cell in CALLS_ASKED.items())]
    if source == "visits":
        return _visits()
    if source == "reports":
        return [(n, "2024-01-10", "1", KINDS[n % 3], 0, "") for n in range(150)] + [
            ("t", "2024-01-10", "1", "Secret", 0, "target")
        ]
    others = [(n, f"2024-01-{day}", "123"[n % 3], "", 100 + n, "") for n in range(120) for day in (10, 20)]
    return [*others, *(("t", f"2024-01-{day}", "2", "", 700, "target") for day in (10, 20))]


def _visits() -> list[Row]:
    """Sixty people who come every month, and one who reaches every bound in every month."""
    months = ("01", "02", "03")
    found: list[Row] = [
        (n, f"2024-{month}-15", "123"[n % 3], KINDS[(n + place) % 3], (7 * n) % 40, "")
        for n in range(60)
        for month in months
        for place in range(2)
    ]
    return found + [
        ("t", f"2024-{m}-1{n}", "1", kind, 45, f"target-{m}") for m in months for kind in KINDS for n in "12"
    ]


@dataclass(frozen=True)
class Town:
    """A workspace, its raw files in `data` and its state in `state`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables that no setting of the machine may change."""
        return {"PUBLISHER_STATE": str(self.folder / "state"), "PUBLISHER_DATA": str(self.folder / "data")}

    @property
    def workspace(self) -> Workspace:
        """As the publisher reads it."""
        return replace(find_workspace(self.folder), data=self.folder / "data", state=self.folder / "state")

    def release(self, dataset: str, edition: int = 1) -> Path:
        """The folder of an edition of the dataset's only period."""
        (period,) = (self.folder / "state" / "public" / "releases" / dataset).iterdir()
        return period / str(edition)

    def guarantee(self, dataset: str, edition: int = 1) -> dict[str, Any]:
        """What the release promises, for machines."""
        text = (self.release(dataset, edition) / "guarantee.json").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text)
        return found

    def copy(self, folder: Path) -> Town:
        """The whole town at another place."""
        shutil.copytree(self.folder, folder)
        return Town(folder)

    def edit(self, name: str, before: str, after: str) -> None:
        """Replaces a text of one file of the workspace; it must be there."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert before in text, f"{name} does not say {before!r}"
        path.write_text(text.replace(before, after), encoding="utf-8")

    def target(self, dataset: str, period: str, note: str) -> Target:
        """The unit whose rows have a note that begins so, with what the release tells of its noise."""
        kept = "true", f"NOT starts_with(coalesce(NOTE, ''), '{note}')"
        present, absent = (exact_tables(self.workspace, dataset, period, each) for each in kept)
        mechanisms = mechanisms_in(self.guarantee(dataset))
        return Target(self.workspace.dataset(dataset).definition, mechanisms, absent, present)


def command(town: Town | Borrowed, *arguments: str) -> None:
    """Runs the installed command in the town."""
    environment = os.environ | town.environment
    done = subprocess.run(
        [COMMAND, *arguments], cwd=town.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{arguments} ended with {done.returncode}\n{done.stdout}{done.stderr}"


def real_targets(
    folder: Path, data: Path, publisher: Callable[..., None], dataset: str, period: str, count: int
) -> tuple[dict[str, Any], list[Target]]:
    """One shipped dataset, released by the real command from the real records: its guarantee, and records drawn at
    random, each beside everybody else's public rows as they are counted. Exact tables stay in memory."""
    town = borrow(folder, ROOT, NOWHERE, {dataset: (period, period)})
    (folder / "data").symlink_to(data)
    publisher(town, "run", "--no-push")
    workspace = replace(find_workspace(folder), data=data, state=town.state)
    file, covered = workspace.dataset(dataset), parse(period)
    guarantee = json.loads((workspace.public / "releases" / dataset / period / "1" / "guarantee.json").read_text())
    landed = raw(file.source, workspace.private, covered.start, covered.end)
    with connect(workspace.settings.engine, workspace.private / "tmp") as connection:
        query = f"SELECT CAST(_record AS VARCHAR) FROM ({landed.sql}) ORDER BY random() LIMIT {count}"
        drawn = [record for (record,) in connection.execute(query, landed.parameters).fetchall()]
    present = exact_tables(workspace, dataset, period, "true")
    absent = (exact_tables(workspace, dataset, period, f"_record <> '{record}'") for record in drawn)
    noise = mechanisms_in(guarantee)
    return guarantee, [Target(file.definition, noise, each, present) for each in absent]


def exact_tables(workspace: Workspace, dataset: str, period: str, kept: str) -> BoundedAggregate:
    """The exact bounded tables of the landed records that are `kept`, a condition of SQL on raw columns."""
    file, covered = workspace.dataset(dataset), parse(period)
    landed = raw(file.source, workspace.private, covered.start, covered.end)
    query = f"SELECT * FROM ({landed.sql}) WHERE {kept}"
    records = RecordSource(query, tuple(landed.parameters), guarded(file.source))
    with connect(workspace.settings.engine, workspace.private / "tmp") as connection:
        return bound_and_aggregate(connection, records, file, covered, 7)


def build(folder: Path, url: str = NOWHERE, without: str = "") -> Town:
    """Writes the workspace and its raw files, without the rows whose note is that one; nothing has been run."""
    files = {"publisher.toml": SETTINGS.format(url=url)}
    files |= {f"datasets/keysets/{name}.csv": text for name, text in KEYSETS.items()}
    for name, (privacy, definition) in SOURCES.items():
        identified = "WHO" if "WHO" in privacy else "ID"
        columns = "\n".join(_column(each, identifier=each == identified) for each in COLUMNS)
        files[f"pipelines/{name}.toml"] = SOURCE.format(name=name, privacy=privacy, columns=columns)
        files[f"pipelines/{name}.sql"] = QUERY
        files[f"datasets/{name}.toml"] = DATASET.format(name=name, definition=definition)
        files[f"data/{name}.csv"] = _csv(row for row in rows_of(name) if not without or row[-1] != without)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Town(folder)


def _column(name: str, *, identifier: bool) -> str:
    return f'{name} = {{ class = "public", statute = "s. 1"{", identifier = true" if identifier else ""} }}'


def _csv(rows: Iterable[Row]) -> str:
    lines = (",".join(map(str, (n, *row))) for n, row in enumerate(rows))
    return "\n".join([",".join(COLUMNS), *lines]) + "\n"
