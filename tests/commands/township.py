"""An invented town as a workspace of its own: two sources, two datasets, small feeds, and the real command over it."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from forking import forks

COMMAND = Path(sys.executable).with_name("publisher")
"""The installed command of this environment."""

MONTHS = ("2024-01", "2024-02", "2024-03")
CANARY = "Zzyzx"
"""Begins a value of every raw column: nothing that people read may show it."""

SETTINGS = """\
organization = "Town of Ordeal"
contact = "data@example.org"
license = "CC0 1.0"
jurisdiction = "None, since it is invented"

[engine]
memory = "500MB"

[portal]
url = "http://127.0.0.1:9"
"""

REQUESTS = """\
title = "Requests"
description = "Requests made to the town."
purpose = "Tests."
population = "townspeople"
timezone = "America/Chicago"
retention_months = 12
record_id = ["number"]
lookups = ["kinds"]

[privacy]
unit = "record"
window = "day"
budget = 0.25

[feed]
path = "requests"

[event]
column = "opened"
formats = ["%Y-%m-%d"]

[places.district]
point = { x = "lon", y = "lat" }
boundaries = { path = "districts.geojson", key = "name", source = "Example City, CC0" }

[columns]
number = { class = "public", statute = "Town Code 1" }
opened = { class = "public", statute = "Town Code 1" }
kind = { class = "public", statute = "Town Code 1" }
lon = { class = "private", statute = "Town Code 2" }
lat = { class = "private", statute = "Town Code 2" }
caller = { class = "private", statute = "Town Code 2", read = false }
"""

REQUESTS_SQL = "SELECT kinds.sort FROM raw LEFT JOIN kinds ON kinds.kind = raw.kind\n"

REQUESTS_DATASET = """\
title = "Requests by district, month and sort"
description = "How many requests were made."
source = "requests"
period = "month"
first = "2024-01"
last = "2024-03"

[loss]
rho = 0.1

[[keys]]
name = "district"
title = "District"
keyset = "districts"
other = "Unknown"

[[keys]]
name = "sort"
title = "Sort"
keyset = "sorts"
other = "Other"

[[measures]]
name = "requests"
title = "Requests"
kind = "count"
unit = "requests"

[suppression]
measure = "requests"
threshold = 5

[portal]
category = "City services"
"""

METERS = """\
title = "Meters"
description = "Readings of the town's meters."
purpose = "Tests."
population = "townspeople"
timezone = "America/Chicago"
retention_months = 12
record_id = ["account", "day"]

[privacy]
unit = "account"
window = "month"
missing = "drop"
budget = 0.25

[feed]
path = "meters.csv"

[event]
column = "day"
formats = ["%Y-%m-%d"]

[places.zone]
code = "zone"

[columns]
account = { class = "private", statute = "Town Code 3", identifier = true }
day = { class = "private", statute = "Town Code 3" }
zone = { class = "public", statute = "Town Code 3" }
liters = { class = "private", statute = "Town Code 3" }
"""

METERS_SQL = "SELECT TRY_CAST(raw.liters AS DOUBLE) AS liters FROM raw\n"

WATER_DATASET = """\
title = "Water by zone and month"
description = "How much water was used."
source = "meters"
period = "month"
first = "2024-01"
last = "2024-03"

[loss]
rho = 0.1

[bounds]
max_groups = 1
max_per_group = 1

[[keys]]
name = "zone"
title = "Zone"
keyset = "zones"
other = "Unknown"

[[measures]]
name = "accounts"
title = "Accounts"
kind = "count_units"
unit = "accounts"
share = 0.5

[[measures]]
name = "used"
title = "Water used"
kind = "sum"
unit = "liters"
column = "liters"
lower = 0
upper = 1000
resolution = 1
share = 0.5

[suppression]
measure = "accounts"
threshold = 5

[portal]
category = "Utilities"
"""

FILES = {
    "publisher.toml": SETTINGS,
    "pipelines/requests.toml": REQUESTS,
    "pipelines/requests.sql": REQUESTS_SQL,
    "pipelines/meters.toml": METERS,
    "pipelines/meters.sql": METERS_SQL,
    "datasets/requests.toml": REQUESTS_DATASET,
    "datasets/water.toml": WATER_DATASET,
    "datasets/keysets/districts.csv": "key\nNorth\nSouth\n",
    "datasets/keysets/sorts.csv": "key\nStreets\nRefuse\n",
    "datasets/keysets/kinds.csv": "kind,sort\npothole,Streets\nlamp,Streets\nbin,Refuse\n",
    "datasets/keysets/zones.csv": "key,label\nA,Upper zone\nB,Lower zone\n",
}
"""The whole workspace without its raw files."""

DISTRICTS = {"North": (-90.0, 40.0), "South": (-90.0, 39.0)}
"""The south-western corners of two squares, one degree wide."""


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Standard output as the one JSON array that it must be."""
        rows: list[dict[str, Any]] = json.loads(self.out)
        return rows


@dataclass(frozen=True)
class Town:
    """A workspace, its raw files in `data` and its state in `state`."""

    root: Path

    def expect(self, dataset: str, most: int) -> None:
        """Writes a suite: the total of the dataset's first measure is at most that."""
        measure = {"requests": "requests", "water": "accounts"}[dataset]
        limit = {"type": "expect_column_sum_to_be_between", "kwargs": {"column": measure, "max_value": most}}
        path = self.root / "expectations" / f"{dataset}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"name": dataset, "expectations": [limit]}))

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def releases(self) -> Path:
        return self.state / "public" / "releases"

    @property
    def kept(self) -> Path:
        """The measurements of the releases."""
        return self.state / "private" / "measurements"

    def environment(self, **more: str) -> dict[str, str]:
        """This process's environment without the settings that would lead elsewhere."""
        named = ("PUBLISHER_", "SOCRATA_", "COV_")
        return {name: value for name, value in os.environ.items() if not name.startswith(named)} | more

    def publisher(self, *arguments: str, before: str = "", **environment: str) -> Answer:
        """Runs the installed command in the workspace; `before` is shell that limits the process first."""
        if not before:
            return Answer(*forks().run(list(arguments), self.root, self.environment(**environment)))
        command = ["sh", "-c", f'{before}; exec "$@"', "sh", str(COMMAND), *arguments]
        done = subprocess.run(
            command, cwd=self.root, env=self.environment(**environment), capture_output=True, text=True, check=False
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def run(self, *arguments: str) -> Answer:
        """`publisher run --no-push --json` with those arguments."""
        return self.publisher("run", "--no-push", "--json", *arguments)

    def redraw(self, *arguments: str) -> Answer:
        """The same, where a person agrees that all periods of an edited definition are drawn and charged again."""
        return self.run("--redraw", "2024-01..2024-03", "--yes", *arguments)

    def edit(self, name: str, before: str, after: str) -> None:
        """Replaces a text of one file of the workspace; it must be there."""
        path = self.root / name
        text = path.read_text()
        assert before in text, f"{name} does not say {before!r}"
        path.write_text(text.replace(before, after))

    def tree(self, below: str = "state") -> dict[str, str]:
        """Every file below with the hash of its content."""
        folder = self.root / below
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}

    def charges(self) -> list[tuple[str, str]]:
        """Dataset and period of every charge in the ledger, oldest first."""
        query = "SELECT payload FROM entries WHERE kind = 'charge' ORDER BY sequence"
        charges = [json.loads(payload) for (payload,) in self.ledger(query)]
        return [(charge["dataset"], charge["period"]) for charge in charges]

    def ledger(self, *statements: str) -> list[tuple[Any, ...]]:
        """What the ledger's database answers to the last of the statements; nothing where it has no entries yet."""
        path = self.state / "private" / "ledger.sqlite"
        if not path.is_file():
            return []
        with closing(sqlite3.connect(path)) as connection, connection:
            if not connection.execute("SELECT * FROM sqlite_master WHERE name = 'entries'").fetchall():
                return []
            return [connection.execute(statement).fetchall() for statement in statements][-1]

    def guarantee(self, dataset: str, period: str, edition: int = 1) -> dict[str, Any]:
        """What the guarantee of a release says to machines."""
        found: dict[str, Any] = json.loads(
            (self.releases / dataset / period / str(edition) / "guarantee.json").read_text()
        )
        return found

    def measurements(self, dataset: str, period: str, edition: int = 1) -> dict[str, dict[str, int]]:
        """The noisy values of every measure by the row's id, before anything was suppressed."""
        import pyarrow.parquet

        path = self.kept / dataset / period / str(edition) / "measurements.parquet"
        table = pyarrow.parquet.read_table(path).to_pydict()
        ids = table.pop("id")
        return {name: dict(zip(ids, values, strict=True)) for name, values in table.items()}

    def without_noise(self) -> None:
        """Losses so large and clamps so small that the noise is nothing: in an invented town that may be seen."""
        for name in ("requests", "water"):
            self.edit(f"datasets/{name}.toml", "rho = 0.1", "rho = 400")
        for name in ("requests", "meters"):
            self.edit(f"pipelines/{name}.toml", "budget = 0.25", "budget = 400")
        self.edit("datasets/water.toml", "upper = 1000", "upper = 2")

    def copy(self, root: Path) -> Town:
        """The whole town at another place."""
        shutil.copytree(self.root, root, symlinks=True)
        return Town(root)


def build(root: Path) -> Town:
    """Writes the workspace and its raw files."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    town = Town(root)
    write_data(town.data)
    return town


def write_data(data: Path) -> None:
    """The raw files: the same every time."""
    (data / "requests").mkdir(parents=True, exist_ok=True)
    (data / "requests" / "first.csv").write_text(requests_csv())
    (data / "meters.csv").write_text(meters_csv())
    (data / "districts.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": _squares()}))


def requests_csv(count: int = 900) -> str:
    """Requests in random places and on random days of the three months."""
    draw = random.Random(1)
    lines = ["number,opened,kind,lon,lat,caller"]
    for number in range(count):
        day = f"{draw.choice(MONTHS)}-{draw.randint(1, 28):02d}"
        kind = draw.choice(("pothole", "lamp", "bin", "noise"))
        lon, lat = draw.uniform(-89.95, -89.05), draw.uniform(39.05, 40.95)
        lines.append(f"{CANARY}-{number},{day},{kind},{lon:.5f},{lat:.5f},{CANARY} caller {number}")
    return "\n".join(lines) + "\n"


def meters_csv(accounts: int = 60) -> str:
    """Three readings a month of each account."""
    draw = random.Random(2)
    lines = ["account,day,zone,liters"]
    for account in range(accounts):
        for month in MONTHS:
            lines += [f"{CANARY}{account},{month}-{day},{'AB'[account % 2]},{draw.randint(0, 300)}" for day in (10, 20)]
    return "\n".join(lines) + "\n"


def _squares() -> list[dict[str, Any]]:
    return [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1], [x, y]]],
            },
        }
        for name, (x, y) in DISTRICTS.items()
    ]
