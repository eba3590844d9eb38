"""An invented town for audits: people with several cells and records each, late records, private keys, pure ε."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """\
organization = "Burgh of Example"
contact = "data@example.org"
license = "CC0 1.0"
jurisdiction = "None, since it is invented"
[engine]
memory = "500MB"
[portal]
url = "http://127.0.0.1:9"
"""

SOURCE = """\
title = "Visits"
description = "Visits to the burgh's offices."
purpose = "Tests."
population = "burghers"
timezone = "America/Chicago"
retention_months = 24
record_id = ["number"]
[privacy]
{privacy}
[feed]
path = "visits"
[event]
column = "day"
formats = ["%Y-%m-%d"]
{more}
[columns]
number = {{ class = "public", statute = "s. 1" }}
person = {{ class = "private", statute = "s. 1", identifier = true }}
day = {{ class = "public", statute = "s. 1" }}
area = {{ class = "public", statute = "s. 1" }}
kind = {{ class = "public", statute = "s. 1" }}
paid = {{ class = "private", statute = "s. 1" }}
"""
PEOPLE = 'unit = "person"\nwindow = "month"\nmissing = "own-unit"\nbudget = 4\ndelta = 0.0001'
RECORDS = 'unit = "record"\nwindow = "day"\nbudget = 4\ncurrency = "pure"'
LATE = '[late]\npolicy = "increment"\nafter_days = [0, 30]\nreceived = "%Y-%m-%d.csv"'

DATASET = """\
title = "Visits by area and kind"
description = "How many visits there were."
source = "{source}"
period = "{period}"
first = "{first}"
last = "{first}"
[loss]
{loss}
{bounds}
{keys}
[[measures]]
name = "visits"
title = "Visits"
kind = "count"
unit = "visits"
{more}
[suppression]
measure = "visits"
threshold = 5
[portal]
category = "Tests"
"""
BOUNDS = "[bounds]\nmax_groups = 3\nmax_per_group = 2"
WIDER = f"{BOUNDS}\ncoverage_share = 0.25\nwider_groups = 6\nwider_per_group = 4"
AREA = '[[keys]]\nname = "area"\ntitle = "Area"\nkeyset = "areas"\nother = "Unknown"'
KIND = '[[keys]]\nname = "kind"\ntitle = "Kind"\nkeyset = "kinds"\nother = "Other"'
FOUND = '[[keys]]\nname = "kind"\ntitle = "Kind"\nother = "Other"\n[keys.discover]\nshare = 0.5\ndelta = 0.00001'
ROLLUPS = (
    '[[rollups]]\nname = "burgh"\ntitle = "The burgh"\nkeys = []\n'
    '[[rollups]]\nname = "areas"\ntitle = "Areas"\nkeys = ["area"]'
)
PAID = """\
[[measures]]
name = "paid"
title = "Paid"
kind = "sum"
unit = "dollars"
column = "paid"
lower = -3
upper = 20
resolution = 1
"""
OTHERS = """\
[[measures]]
name = "people"
title = "People"
kind = "count_units"
unit = "people"
[[measures]]
name = "sizes"
title = "Sizes"
kind = "histogram"
unit = "dollars"
column = "paid"
bins = [0, 5, 10]
publish = false
"""
TOTAL = '[[totals]]\nname = "quarter"\ntitle = "By quarter"\ngrain = "quarter"'

STREETS = """\
title = "Calls"
description = "Calls at the doors of the burgh."
purpose = "Tests."
population = "burghers"
timezone = "America/Chicago"
retention_months = 24
record_id = ["number"]
[privacy]
unit = "person"
window = "month"
missing = "own-unit"
budget = 4
[feed]
path = "calls.csv"
[event]
column = "day"
formats = ["%Y-%m-%d"]
[places.area]
address = { column = "street", list = { path = "streets.csv", source = "S", address = "street", x = "x", y = "y" } }
boundaries = { path = "areas.geojson", key = "name", source = "Invented" }
[columns]
number = { class = "public", statute = "s. 1" }
person = { class = "private", statute = "s. 1", identifier = true }
day = { class = "public", statute = "s. 1" }
street = { class = "private", statute = "s. 1" }
kind = { class = "public", statute = "s. 1" }
lon = { class = "private", statute = "s. 1" }
lat = { class = "private", statute = "s. 1" }
"""
"""People at addresses, whose own coordinates place nobody."""
SQL = "SELECT raw.area, raw.kind, TRY_CAST(raw.paid AS DOUBLE) AS paid FROM raw\n"

DATASETS = {
    "plain": DATASET.format(
        source="visits", period="month", first="2024-01", loss="rho = 0.5", bounds=BOUNDS, keys=f"{AREA}\n{KIND}",
        more=PAID,
    ),
    "rolled-up": DATASET.format(
        source="visits", period="quarter", first="2024-Q1", loss="rho = 0.5", bounds=WIDER,
        keys=f"{AREA}\n{KIND}\n{ROLLUPS}", more=OTHERS,
    ),
    "found": DATASET.format(
        source="visits", period="month", first="2024-01", loss="rho = 0.5", bounds=BOUNDS, keys=f"{AREA}\n{FOUND}",
        more="",
    ),
    "late": DATASET.format(
        source="late", period="month", first="2024-01", loss="rho = 0.5", bounds=BOUNDS, keys=f"{AREA}\n{KIND}",
        more="",
    ),
    "placed": DATASET.format(
        source="streets", period="month", first="2024-01", loss="rho = 0.5", bounds=BOUNDS, keys=f"{AREA}\n{KIND}",
        more="",
    ),
    "pure": DATASET.format(
        source="pure", period="month", first="2024-01", loss="epsilon = 1", bounds="",
        keys=f"{AREA}\n{KIND}\n{ROLLUPS}", more=TOTAL,
    ),
}  # fmt: skip


def settle(folder: Path) -> None:
    """Writes the workspace and its records; nothing has been run in it."""
    sources = {"visits": (PEOPLE, ""), "late": (PEOPLE, LATE), "pure": (RECORDS, "")}
    files = {"publisher.toml": SETTINGS, "datasets/keysets/areas.csv": "key\nNorth\nSouth\nEast\n"}
    files["datasets/keysets/kinds.csv"] = "key\nPermit\nComplaint\nAdvice\n"
    for name, (privacy, more) in sources.items():
        files[f"pipelines/{name}.toml"] = SOURCE.format(privacy=privacy, more=more)
        files[f"pipelines/{name}.sql"] = SQL
    files |= {"pipelines/streets.toml": STREETS, "pipelines/streets.sql": "SELECT raw.kind FROM raw\n"}
    files |= {"data/calls.csv": calls(3), "data/streets.csv": streets(), "data/areas.geojson": areas()}
    files |= {f"datasets/{name}.toml": text for name, text in DATASETS.items()}
    files |= {"data/visits/2024-01-31.csv": visits(1), "data/visits/2024-02-10.csv": visits(2)}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def streets() -> str:
    """Forty streets, on a line through the areas."""
    return "street,x,y\n" + "".join(f"{n} Main Street,{50 * n + 1},10\n" for n in range(40))


def areas() -> str:
    """Three stripes side by side; numbers up to 2,000 are coordinates inside one of them."""
    stripes = {"North": (0, 600), "South": (600, 1300), "East": (1300, 2001)}
    features = [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[west, 0], [east, 0], [east, 2001], [west, 2001], [west, 0]]],
            },
        }
        for name, (west, east) in stripes.items()
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def calls(seed: int, count: int = 300) -> str:
    """Calls at doors of those streets, some at a street that no list has."""
    chance = random.Random(seed)
    lines = ["number,person,day,street,kind,lon,lat"]
    for number in range(count):
        person, street = f"person {int(60 * chance.random() ** 3)}", f"{chance.randint(0, 42)} Main Street"
        day, kind = f"2024-01-{chance.randint(1, 28):02}", chance.choice(("Permit", "Advice", "Song"))
        lines.append(f"{number},{person},{day},{street},{kind},{chance.randint(0, 2000)},{chance.randint(0, 2000)}")
    return "\n".join(lines) + "\n"


def visits(seed: int, count: int = 300) -> str:
    """Visits of some sixty people over three months; some come often, some have no name."""
    chance = random.Random(seed)
    lines = ["number,person,day,area,kind,paid"]
    for number in range(count):
        person = f"person {int(60 * chance.random() ** 3)}" if chance.random() < 0.9 else ""
        day = f"2024-{chance.randint(1, 3):02}-{chance.randint(1, 28):02}"
        area, kind = chance.choice(("North", "South", "East", "West")), chance.choice(("Permit", "Advice", "Song"))
        lines.append(f"{seed}-{number},{person},{day},{area},{kind},{chance.randint(-5, 30)}")
    return "\n".join(lines) + "\n"
