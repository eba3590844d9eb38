"""The worked questions of docs/analyst-file.md, asked of the sample city."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import shapely
from analyst_examples import ask

import publisher
from publisher.sample import write_sample

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "analyst-file.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"\*\*(\d+)\. .*?```sql\n(.*?)```", PAGE, re.DOTALL)

pytestmark = [pytest.mark.usefixtures("processes"), pytest.mark.xdist_group("worked-questions")]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The analyst file of the sample city's service requests."""
    root = tmp_path_factory.mktemp("city") / "town"
    for name in ("pipelines", "datasets", "expectations"):
        shutil.copytree(ROOT / name, root / name)
    shutil.copy(ROOT / "publisher.toml", root)
    write_sample(root / "data", rows=20_000)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUBLISHER_")}
    command = [Path(sys.executable).parent / "publisher", "run", "--no-push", "--yes", "stlouis-requests"]
    answer = subprocess.run(command, cwd=root, env=kept, capture_output=True, text=True, check=False, timeout=300)
    assert answer.returncode == 0, answer.stderr
    return root / "state" / "public" / "open_data.duckdb"


def test_there_are_ten() -> None:
    """Numbered, each with its SQL."""
    assert [int(number) for number, _ in QUESTIONS] == list(range(1, 11))


def test_each_is_answered(city: Path) -> None:
    """Every question has rows; questions to macros have an answer, but for the last, which has the reason."""
    for number, query in QUESTIONS:
        rows = ask(city, query)
        assert rows, query
        if "margin_of" in query or "differ(" in query:
            answered = rows[0][0] is not None
            assert answered == (number != "10"), (query, rows)
            assert (rows[0][-1] is None) == answered


def test_the_map_and_python_work(city: Path) -> None:
    """Outlines join with values, as the page says; so do the calls in its Python."""
    joined = "SELECT b.geojson, v.value FROM _boundaries b JOIN _values v USING (table_name, place)"
    assert joined in " ".join(PAGE.split())
    assert len(ask(city, joined)) > 79
    geojson, wkb = ask(city, "SELECT geojson, wkb FROM _boundaries WHERE table_name = 'stlouis_requests' LIMIT 1")[0]
    assert shapely.from_wkb(wkb).equals(shapely.from_geojson(geojson))
    lines = re.findall(r"    (city\.[a-z_]+\(.*\))$", PAGE, re.MULTILINE)
    assert len(lines) == 3
    with publisher.open_data(city) as opened:
        for line in lines:
            assert eval(line, {"city": opened})["reason"] is None  # noqa: S307 - the page's own words
