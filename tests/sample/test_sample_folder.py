"""A sample's folder: what it holds, what it may replace, and that it can be had again."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from datetime import date
from typing import TYPE_CHECKING

import pytest
from real_records import DATA, WHY

from publisher import __version__
from publisher.errors import DefinitionError
from publisher.sample import write_sample

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.workspace import Workspace

SOURCES = ("alicante-water", "stlouis-311", "stlouis-311-closed", "syracuse-permits")


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _header(path: Path, delimiter: str) -> list[str]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return next(csv.reader([file.readline()], delimiter=delimiter))


@pytest.mark.parametrize("name", SOURCES)
def test_headers_are_the_declared_columns(sample: Path, shipped: Workspace, name: str) -> None:
    """Every file that a source's path finds has exactly the columns that the source declares, in order."""
    definition = shipped.source(name).definition
    files = sorted(sample.glob(definition.feed.path))
    assert files
    for file in files:
        assert _header(file, definition.feed.delimiter) == list(definition.columns)


@pytest.mark.parametrize("name", SOURCES)
def test_headers_are_those_of_the_real_feeds(sample: Path, shipped: Workspace, name: str) -> None:
    """Where the real records stand, their first line equals the sample's, byte for byte."""
    feed = shipped.source(name).definition.feed
    files = sorted(DATA.glob(feed.path))
    if not files:
        pytest.skip(WHY)
    first = []
    for path in (files[0], next(sample.glob(feed.path))):
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            first.append(file.readline())
    assert first[0] == first[1]


def test_every_file_that_places_need_is_there(sample: Path, shipped: Workspace) -> None:
    """Boundaries of the sample's sources are written, with the property that names a place."""
    for name in SOURCES:
        for place in shipped.source(name).definition.places.values():
            assert place.boundaries is not None
            boundaries = json.loads((sample / place.boundaries.path).read_text())
            assert all(place.boundaries.key in feature["properties"] for feature in boundaries["features"])


def test_the_mark_says_that_it_is_generated(sample: Path) -> None:
    """SAMPLE.json at the root names publisher, its version, the rows and the seed."""
    mark = json.loads((sample / "SAMPLE.json").read_text())
    assert mark == {"generated_by": "publisher", "version": __version__, "rows": 20_000, "seed": 20180101}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """Two samples of one seed are equal file by file; another seed gives other feeds."""
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        write_sample(tmp_path / name, rows=2000, seed=seed)
    one, two, three = (_digests(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert one.keys() == three.keys()
    assert not {path for path in one if one[path] == three[path]}


def test_a_sample_replaces_an_older_one(tmp_path: Path) -> None:
    """Files of the older sample that the new one does not write are gone."""
    write_sample(tmp_path, rows=1000, months=3)
    write_sample(tmp_path, rows=1000)
    fresh = tmp_path / "fresh"
    write_sample(fresh, rows=1000)
    again = {path: digest for path, digest in _digests(tmp_path).items() if not path.startswith("fresh")}
    assert again == _digests(fresh)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    """A folder that holds anything but a sample is left as it was."""
    precious = tmp_path / "stlouis-311" / "real.csv"
    precious.parent.mkdir()
    precious.write_text("real")
    with pytest.raises(DefinitionError, match="not a sample"):
        write_sample(tmp_path, rows=1000)
    assert _digests(tmp_path).keys() == {"stlouis-311/real.csv"}


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    """Where a file stands in the way, the error is ours and names the folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DefinitionError, match="cannot be written"):
        write_sample(tmp_path / "file", rows=1000)


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    """A sample below a thousand requests would have neither weeks nor places."""
    with pytest.raises(DefinitionError, match="at least 1,000"):
        write_sample(tmp_path, rows=999)


def test_months_spread_the_requests_over_calendar_months(tmp_path: Path) -> None:
    """Twelve months from November hold each of them, and nothing else; progress is told."""
    told: list[str] = []
    write_sample(tmp_path, rows=3000, start=date(2018, 11, 1), months=12, progress=told.append)
    months: set[str] = set()
    rows = 0
    for path in (tmp_path / "stlouis-311").iterdir():
        opened = [row["DATETIMEINIT"] for row in csv.DictReader(io.StringIO(path.read_text()))]
        rows += len(opened)
        months |= {text[:7] for text in opened}
    assert rows == 3000
    assert months == {"2018-11", "2018-12", *(f"2019-{month:02d}" for month in range(1, 11))}
    assert told[-1] == "requests: 3,000 of 3,000"


def test_permits_in_the_layout_of_seattle(sample: Path) -> None:
    """Each permit has the public dataset's columns, a number of its own, and a place in the sample's boundaries."""
    from shapely.geometry import Point, shape
    from shapely.ops import unary_union

    with (sample / "seattle-permits" / "building_permits.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["PermitNum"] for row in rows}) == 5_000
    assert {"PermitClassMapped", "IssuedDate", "EstProjectCost", "OriginalAddress1", "ContractorCompanyName"} <= {
        *rows[0]
    }
    assert all(row["AppliedDate"] <= row["IssuedDate"] for row in rows if row["IssuedDate"])
    boundaries = json.loads((sample / "seattle-boundaries" / "seattle_neighborhoods.geojson").read_text())
    city = unary_union([shape(feature["geometry"]) for feature in boundaries["features"]])
    points = [Point(float(row["Longitude"]), float(row["Latitude"])) for row in rows[:200] if row["Latitude"]]
    assert sum(city.contains(point) for point in points) > 0.95 * len(points)
