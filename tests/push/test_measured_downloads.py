"""Unbiased measurements as a download: listed, explained and served by the portal, good for an analyst's own sums."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.csv
import pytest
import requests
from release_examples import ready, workspace
from test_sync import Desk

from publisher.commands.show import present, presented
from publisher.pipeline.session import locked
from publisher.release.manifest import published_measurements_file
from publisher.release.table import measured_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Broken, Running

ASKED = 'period = "week"\npublish_measurements = true'
DOCS = Path(__file__).parents[2] / "docs" / "privacy.md"


@pytest.fixture
def desk(tmp_path: Path, portal: Running, broken: Broken) -> Iterator[Desk]:
    place = workspace(tmp_path)
    with locked(place) as catalog:
        desk = Desk(place, catalog, portal, broken)
        yield desk
        desk.delete()


@pytest.fixture
def offering(desk: Desk) -> Desk:
    """Two weeks of a dataset that publishes its measurements, on the portal."""
    desk.edit('period = "week"', ASKED)
    for week in ("2018-W01", "2018-W02"):
        ready(desk.catalog, desk.dataset, week)
    desk.push()
    return desk


def got(desk: Desk, path: str) -> requests.Response:
    return requests.get(f"{desk.portal.url}{path}", timeout=60)


def offers(desk: Desk, level: str = "") -> dict[str, dict[str, Any]]:
    listed = got(desk, f"/api/views/{desk.id(level)}/downloads.json").json()
    return {each["format"]: each for each in listed}


def test_a_dataset_that_does_not_ask_offers_none(desk: Desk) -> None:
    """Nothing is attached, listed or said."""
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    assert not [name for name in offers(desk) if "measurements" in name]
    assert "Unbiased measurements" not in got(desk, f"/d/{desk.id('')}").text
    assert got(desk, f"/api/views/{desk.id('')}/measurements/measurements.csv").status_code == 404


def test_every_table_offers_its_measurements_for_all_periods(offering: Desk) -> None:
    """The file has each cell of each period, withheld or not, with keys and the numbers as they were drawn; its size
    and hash are listed, and its address stays the same when another period comes."""
    for level in ("", "city", "districts"):
        offer = offers(offering, level)["measurements.csv"]
        content = requests.get(offer["url"], timeout=60).content
        assert len(content) == offer["bytes"]
        found = pyarrow.csv.read_csv(io.BytesIO(content)).to_pydict()
        releases = [each.release for each in offering.catalog.standings("weekly")]
        drawn = [value for each in releases for value in measured_of(each)[level, "requests"].tolist()]
        assert found["requests"] == drawn
        assert set(found["period"]) == {"2018-W01", "2018-W02"}
        assert found["requests_variance"] == pytest.approx([4.0] * len(drawn))
    assert min(drawn) < 3  # the threshold withholds it
    first = offers(offering)["measurements.csv"]
    ready(offering.catalog, offering.dataset, "2018-W03")
    offering.push()
    third = offers(offering)["measurements.csv"]
    assert (third["url"], third["sha256"] == first["sha256"]) == (first["url"], False)
    assert offering.check()


def test_they_are_explained_wherever_they_are_offered(offering: Desk) -> None:
    """The page in both languages, the list of downloads, both catalogs and the file beside it say what they show, in
    which unit, with which noise."""
    page = got(offering, f"/d/{offering.id('')}").text
    assert "of suppressed cells too, not cut at zero" in page
    row = re.sub(r"<[^>]+>", " ", page[page.index("The noise in one cell") :].partition("</table>")[0])
    assert re.search(r"requests\s+discrete gaussian\s+2\s+requests", row)
    assert re.search(r"times_2\s+discrete gaussian\s+2\s+records", row)
    assert "Mediciones sin sesgo" in got(offering, f"/es/d/{offering.id('')}").text
    listed = offers(offering)
    assert "Sums over many cells are right on average" in listed["measurements.csv"]["description"]
    for catalog in ("/data.json", "/dcat-us-3.json"):
        entries = got(offering, catalog).json()["dataset"]
        distributions = [each for entry in entries for each in entry.get("distribution", ())]
        (mine,) = [each for each in distributions if each["downloadURL"] == listed["measurements.csv"]["url"]]
        assert mine["description"] == listed["measurements.csv"]["description"]
    about = requests.get(listed["measurements.json"]["url"], timeout=60).json()
    columns = {each["name"]: each for each in about["columns"]}
    assert (
        list(columns)
        == pyarrow.csv.read_csv(
            io.BytesIO(requests.get(listed["measurements.csv"]["url"], timeout=60).content)
        ).column_names
    )
    assert columns["requests"]["unit"] == "requests"
    assert columns["requests"]["noise"] == [
        {
            "first_period": "2018-W01",
            "last_period": "2018-W02",
            "draws": [{"distribution": "discrete gaussian", "scale": 2.0}],
            "standard_deviation": pytest.approx(2.0),
        }
    ]
    assert columns["times_2"]["title"] == "Times: 10 or more"


def test_the_documented_question_gives_sum_and_margin(offering: Desk) -> None:
    """The SQL of the documentation, asked of the portal's own file: the sum of what was drawn, and 1.96 standard
    deviations of that many cells."""
    (sql,) = re.findall(r"```sql\n(.*?measurements\.csv.*?)```", DOCS.read_text(), re.DOTALL)
    content = requests.get(offers(offering)["measurements.csv"]["url"], timeout=60).content
    path = offering.place.root / "measurements.csv"
    path.write_bytes(content)
    sql = re.sub(r"'https://[^']*measurements\.csv'", f"'{path}'", sql)
    total, margin, cells = duckdb.sql(sql).fetchall()[0]
    releases = [each.release for each in offering.catalog.standings("weekly")]
    drawn = [each for release in releases for each in measured_of(release)["", "requests"].tolist()]
    ids = pyarrow.csv.read_csv(io.BytesIO(content)).to_pydict()
    wanted = [value for value, ward in zip(drawn, ids["ward"], strict=True) if str(ward) in {"3", "4"}]
    assert (total, cells) == (sum(wanted), len(wanted))
    assert margin == pytest.approx(1.96 * 2 * len(wanted) ** 0.5)


def test_show_names_them_with_their_noise(offering: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """`publisher show` says that they are published, and how the noise of each column is distributed."""
    found = presented(offering.catalog, offering.dataset, None, "city")
    assert ("requests", "discrete gaussian", "2", "2", "requests") in found.noise
    present(found)
    assert "they show what suppression hides" in capsys.readouterr().out


def test_tables_that_are_not_published_are_beside_the_datasets_own(desk: Desk) -> None:
    """A rollup that is measured and not published has no page; its measurements are a second file of the dataset."""
    desk.edit('period = "week"', ASKED)
    desk.edit('title = "Requests in the city"', 'title = "Requests in the city"\npublish = false')
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    listed = offers(desk)
    assert [name for name in listed if "measurements" in name] == [
        "measurements.csv", "measurements.json", "measurements-city.csv", "measurements-city.json"
    ]  # fmt: skip
    assert not [name for name in offers(desk, "districts") if "city" in name]
    rows = pyarrow.csv.read_csv(io.BytesIO(requests.get(listed["measurements-city.csv"]["url"], timeout=60).content))
    assert rows.num_rows == 1


def test_those_of_older_versions_wait_for_the_next_finish(offering: Desk) -> None:
    """Their file had whole steps without keys: it is not offered under the new explanation."""
    release = offering.catalog.standings("weekly")[-1].release
    assert published_measurements_file("") in release.manifest.files
    told = json.loads((release.folder / "manifest.json").read_text())
    path = release.folder / published_measurements_file("")
    table = pyarrow.parquet.read_table(path).drop_columns(["period"])
    pyarrow.parquet.write_table(table, path)
    told["files"].pop(path.name)
    (release.folder / "manifest.json").write_text(json.dumps(told))
    offering.catalog.store._seen.releases.clear()  # what a new run knows
    offering.catalog._periods.clear()
    content = requests.get(offers(offering)["measurements.csv"]["url"], timeout=60).content
    assert b"2018-W02" in content
    offering.push()
    content = requests.get(offers(offering)["measurements.csv"]["url"], timeout=60).content
    assert b"2018-W02" not in content
