"""docs/cities: pages whose records a server gives out, walked with a server of ours that has invented issues."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from invented_issues import InventedCity
from real_records import real_records
from walks import Walk

PAGES = Path(__file__).parents[2] / "docs" / "cities"
CITIES = {
    "minneapolis": ("minneapolis-boundaries", "minneapolis_neighborhoods.geojson", "requests-by-month", 2),
    "syracuse": ("syracuse-boundaries", "syr_neighborhoods.geojson", "days-to-close", 1),
}
"""By page: the public boundaries, the dataset, and how many periods it has."""
NEVER = (b"Ann Example", b"ann-example", b"Free text")
"""What is in the issues of the server and must be nowhere else."""


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    "city",
    ["minneapolis", pytest.param("syracuse", marks=pytest.mark.evidence("the walk of every city's page"))],
)
def test_a_city_reaches_the_portal_through_seeclickfix(tmp_path: Path, city: str) -> None:
    """Every command succeeds, each period is on the portal, and no reporter, picture or text stands in a file."""
    folder, boundaries, dataset, periods = CITIES[city]
    data = real_records(folder)
    with InventedCity.of(city, data / folder / boundaries).server().running() as server:
        # Our server need not be spared.
        instead = {'url = "https://seeclickfix.com/api/v2"': f'url = "{server.url}/api/v2"\nrequests_per_second = 50'}
        walk = Walk(PAGES / f"{city}.md", tmp_path, {"TZ": "UTC", "PUBLISHER_DATA": str(data)}, instead).go()
    assert len(re.findall(rf"^{dataset} +\d.* published", walk.said, re.MULTILINE)) == periods
    assert len(re.findall(rf"^{dataset} +\d.* ready", walk.said, re.MULTILINE)) == periods
    for path in (path for path in walk.workspace.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [words for words in NEVER if words in content], path
