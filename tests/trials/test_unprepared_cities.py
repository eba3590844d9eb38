"""Two cities that nobody prepared for: from `publisher init` and `publisher add` to a release of the real records."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_records import real_records

COMMAND = Path(sys.executable).with_name("publisher")

pytestmark = pytest.mark.usefixtures("processes")


@dataclass(frozen=True)
class Walk:
    """What a person types and writes for one city."""

    folder: str
    files: tuple[str, ...]
    boundaries: tuple[str, ...]
    edits: tuple[tuple[str, str], ...]
    source: str
    dataset: str
    releases: int
    """Of so many periods."""


CITIES = {
    "cincinnati": Walk(
        folder="cincinnati-violations",
        files=("health_violations.csv",),
        boundaries=("cincinnati-boundaries/cincinnati_neighborhoods.geojson", "--key", "name"),
        edits=(
            ('organization = "TODO"', 'organization = "City of Cincinnati"'),
            ('contact = "TODO"', 'contact = "opendata@example.org"'),
            ('jurisdiction = "TODO"', 'jurisdiction = "Ohio Public Records Act"'),
            ('purpose = "TODO"', 'purpose = "To show where housing is ordered to be repaired."'),
            ('timezone = "TODO"', 'timezone = "America/New_York"'),
            ('budget = "TODO"', "budget = 0.5"),
            ('source = "TODO"', 'source = "Zillow, by way of Code for Germany, CC BY-SA 3.0"'),
            ('statute = "TODO"', 'statute = "ORC 149.43"'),
            ('first = "TODO"', 'first = "2019-Q1"\nlast = "2019-Q4"'),
            ('rho = "TODO"', "rho = 0.2"),
            ('max_groups = "TODO"', "max_groups = 1"),
            ('max_per_group = "TODO"', "max_per_group = 2"),
        ),
        source="violations",
        dataset="violations-by-quarter",
        releases=4,
    ),
    "los angeles": Walk(
        folder="losangeles-311",
        files=("myla311_2018_january.csv", "myla311_2018_december.csv"),
        boundaries=("losangeles-boundaries/nc-boundary-2019-modified.geojson", "--key", "nc_id", "--label", "name"),
        edits=(
            ('organization = "TODO"', 'organization = "City of Los Angeles"'),
            ('contact = "TODO"', 'contact = "opendata@example.org"'),
            ('jurisdiction = "TODO"', 'jurisdiction = "California Public Records Act"'),
            ('purpose = "TODO"', 'purpose = "To show which services are asked for, and where."'),
            ('timezone = "TODO"', 'timezone = "America/Los_Angeles"'),
            ('budget = "TODO"', "budget = 0.5"),
            ('source = "TODO"', 'source = "City of Los Angeles"'),
            ('statute = "TODO"', 'statute = "Gov. Code § 7922.000"'),
            ('first = "TODO"', 'first = "2018-01"\nlast = "2018-01"'),
            ('rho = "TODO"', "rho = 0.1"),
        ),
        source="requests",
        dataset="requests-by-month",
        releases=1,
    ),
}


@pytest.mark.parametrize("city", CITIES)
def test_a_city_is_released_by_what_add_drafts(tmp_path: Path, city: str) -> None:
    """With the marked places filled in, and nothing else changed, every period is released."""
    walk = CITIES[city]
    data = real_records(walk.folder, walk.boundaries[0].partition("/")[0])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUBLISHER_")}
    settings = kept | {"PUBLISHER_DATA": str(data), "XDG_STATE_HOME": str(tmp_path / "heads"), "TZ": "UTC"}

    def publisher(*arguments: str) -> str:
        ran = subprocess.run(
            [COMMAND, *arguments], cwd=tmp_path, env=settings, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    publisher("init")
    files = [f"{walk.folder}/{name}" for name in walk.files]
    publisher("add", walk.source, *files, "--boundaries", *walk.boundaries, "--yes")
    for path in [tmp_path / "publisher.toml", *tmp_path.glob("pipelines/*.toml"), *tmp_path.glob("datasets/*.toml")]:
        text = path.read_text()
        for before, after in walk.edits:
            text = text.replace(before, after)
        path.write_text(text)
    assert "everything is in order" in publisher("check")
    publisher("run", "--no-push", "--yes")
    assert publisher("releases").count("ready") == walk.releases
    assert walk.dataset in publisher("releases")
