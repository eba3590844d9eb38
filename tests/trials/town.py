"""An invented town: a whole workspace of one source and one dataset, small enough to be released a hundred times."""

from __future__ import annotations

import random
import re
import shutil
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WARDS = ("1", "2", "3", "Unknown")
KINDS = ("Lamp", "Pothole", "Other")
CELLS = len(WARDS) * len(KINDS)
"""Rows of one release."""

SETTINGS = """\
organization = "Town of Example"
contact = "data@example.gov"
license = "CC0 1.0"
license_url = "https://creativecommons.org/publicdomain/zero/1.0/"
jurisdiction = "Example Open Records Act"
[engine]
memory = "500MB"
threads = 1
[portal]
kind = "embedded"
url = "{url}"
"""

SOURCE = """\
title = "Calls"
description = "Calls to the town's office."
purpose = "To plan crews."
population = "residents"
timezone = "America/Chicago"
retention_months = 12
record_id = ["ID"]
[privacy]
unit = "record"
window = "day"
budget = 0.5
[feed]
path = "calls/*.csv"
[event]
column = "OPENED"
formats = ["%Y-%m-%d %H:%M"]
[places.ward]
code = "WARD"
[columns]
ID = {{ class = "public", statute = "s. 1", identifier = true }}
OPENED = {{ class = "public", statute = "s. 1" }}
WARD = {{ class = "public", statute = "s. 1" }}
KIND = {{ class = "public", statute = "s. 1" }}
CALLER = {{ class = "private", statute = "s. 2", read = false }}
"""

DATASET = """\
title = "{title}"
description = "How many calls came in, by ward, week and kind."
source = "calls"
period = "week"
first = "{first}"
last = "{last}"
loss.rho = {rho}
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
[[measures]]
name = "calls"
title = "Calls"
kind = "count"
unit = "calls"
[suppression]
measure = "calls"
threshold = 3
[portal]
category = "Services"
tags = ["calls"]
"""


@dataclass(frozen=True)
class Town:
    """A workspace, its raw files and its state below one folder."""

    folder: Path
    dataset: str

    @property
    def state(self) -> Path:
        """What publisher writes."""
        return self.folder / "state"

    @property
    def private(self) -> Path:
        """The private part of it."""
        return self.state / "private"

    @property
    def releases(self) -> Path:
        """The releases of the dataset, by period and edition."""
        return self.state / "public" / "releases" / self.dataset

    @property
    def environment(self) -> dict[str, str]:
        """The variables that no setting of the machine may change."""
        return {"PUBLISHER_STATE": str(self.state), "PUBLISHER_DATA": str(self.folder / "data")}


def borrow(folder: Path, root: Path, url: str, spans: dict[str, tuple[str, str]]) -> Town:
    """A workspace with the project's own definitions of these datasets, released from the first to the last period."""
    for part in ("pipelines", "datasets"):
        shutil.copytree(root / part, folder / part)
    settings = (root / "publisher.toml").read_text(encoding="utf-8")
    (folder / "publisher.toml").write_text(re.sub(r"(?m)^url = .*$", f'url = "{url}"', settings), encoding="utf-8")
    for path in (folder / "datasets").glob("*.toml"):
        if path.stem in spans:
            span(path, *spans[path.stem])
        else:
            path.unlink()
    used = {tomllib.loads(path.read_text(encoding="utf-8"))["source"] for path in (folder / "datasets").glob("*.toml")}
    for path in (folder / "pipelines").iterdir():
        if path.stem not in used:
            path.unlink()
    return Town(folder, min(spans))


def span(path: Path, first: str, last: str) -> None:
    """Changes which periods a dataset's definition releases."""
    text = re.sub(r"(?m)^first = .*$", f'first = "{first}"', path.read_text(encoding="utf-8"))
    path.write_text(re.sub(r"(?m)^last = .*$", f'last = "{last}"', text), encoding="utf-8")


def settle(
    folder: Path, url: str, *, dataset: str = "town-calls", records: int = 400, first: str, last: str, rho: str = "0.1"
) -> Town:
    """Writes the workspace and its records; nothing has been run in it."""
    files = {
        "publisher.toml": SETTINGS.format(url=url),
        "pipelines/calls.toml": SOURCE.format(),
        "pipelines/calls.sql": "SELECT KIND AS kind FROM raw\n",
        f"datasets/{dataset}.toml": DATASET.format(title=f"Calls {dataset}", first=first, last=last, rho=rho),
        "datasets/keysets/wards.csv": "key,label\n1,North\n2,South\n3,East\n",
        "datasets/keysets/kinds.csv": "key\nLamp\nPothole\n",
        "data/SAMPLE.json": "{}\n",
        "data/calls/january.csv": calls(records),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Town(folder, dataset)


def calls(records: int, seed: int = 1) -> str:
    """Raw records over the weeks of the dataset, as CSV."""
    chance = random.Random(seed)
    lines = ["ID,OPENED,WARD,KIND,CALLER"]
    for number in range(records):
        opened = f"2018-01-{chance.randint(8, 21):02} {chance.randint(0, 23):02}:{chance.randint(0, 59):02}"
        ward, kind = chance.choice("1123"), chance.choice(("Lamp", "Pothole", "Noise"))
        lines.append(f"{number},{opened},{ward},{kind},Caller {number}")
    return "\n".join(lines) + "\n"
