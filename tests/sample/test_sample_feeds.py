"""The quirks of the real layouts, each present in the sample."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import re
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.workspace import Workspace

Rows = list[dict[str, str]]


def _read(path: Path, delimiter: str = ",") -> Rows:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter, strict=True))


@pytest.fixture(scope="module")
def requests(sample: Path) -> Rows:
    """All service requests."""
    files = sorted((sample / "stlouis-311").glob("*.csv"))
    return [row for path in files for row in _read(path)]


@pytest.fixture(scope="module")
def permits(sample: Path) -> Rows:
    """The permits."""
    return _read(sample / "syracuse-permits" / "Permits_processed.csv")


@pytest.fixture(scope="module")
def readings(sample: Path) -> Rows:
    """The meter readings."""
    return _read(sample / "alicante-water" / "swm_trialA.csv.gz", ";")


def _polygons(sample: Path, name: str) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = json.loads((sample / name).read_text())["features"]
    return features


def test_requests_are_as_many_as_asked_for_and_in_order(requests: Rows) -> None:
    """20,000 rows, by request number and time."""
    assert len(requests) == 20_000
    assert requests == sorted(requests, key=lambda row: (int(row["REQUESTID"]), row["DATETIMEINIT"]))
    assert [row["DATETIMEINIT"] for row in requests] == sorted(row["DATETIMEINIT"] for row in requests)


def test_requests_cover_the_weeks_of_the_shipped_dataset(requests: Rows, shipped: Workspace) -> None:
    """Every week that the shipped dataset releases has requests on each of its days."""
    days = {row["DATETIMEINIT"][:10] for row in requests}
    assert {f"2018-01-{day:02d}" for day in range(1, 32)} <= days
    assert shipped.dataset("stlouis-requests").definition.first == "2018-W01"


def test_request_numbers_repeat(requests: Rows) -> None:
    """About one row in a hundred repeats a number, wholly or with another division."""
    groups = [list(rows) for _, rows in itertools.groupby(requests, key=lambda row: row["REQUESTID"])]
    twice = [rows for rows in groups if len(rows) > 1]
    assert 100 < len(twice) < 400
    whole = [rows for rows in twice if rows[0] == rows[1]]
    assert 0 < len(whole) < len(twice)
    assert {row["SUBMITTO"] for rows in twice if rows not in whole for row in rows[1:]} == {"STREET PERMITS,"}


def test_missing_is_written_in_two_ways_and_never_empty(requests: Rows) -> None:
    """NULL in dates, NA in places, nothing blank."""
    assert not [row for row in requests if "" in row.values()]
    for column in ("DATETIMECLOSED", "DATECANCELLED", "DATEINVTDONE", "CALLERTYPE"):
        assert "NULL" in {row[column] for row in requests}
    for column in ("PROBADDRESS", "PROBCITY", "PROBZIP", "SRX", "SRY", "NEIGHBORHOOD", "WARD", "SUBMITTO", "STATUS"):
        assert "NA" in {row[column] for row in requests}


def test_some_requests_stand_on_the_null_island(requests: Rows) -> None:
    """(1, 1) in feet for some, no coordinates for others; both or neither."""
    counts = Counter((row["SRX"], row["SRY"]) for row in requests if len(row["SRX"]) < 3 or len(row["SRY"]) < 3)
    assert counts.keys() == {("1", "1"), ("NA", "NA")}
    assert 300 < counts["1", "1"] < 900
    assert 1000 < counts["NA", "NA"] < 1800


def test_times_have_two_forms_and_the_z_is_false(requests: Rows) -> None:
    """Openings end in Z but keep local office hours; closings have milliseconds."""
    opened = [datetime.strptime(row["DATETIMEINIT"], "%Y-%m-%dT%H:%M:%SZ") for row in requests]  # noqa: DTZ007
    hours = Counter(moment.hour for moment in opened)
    assert hours[8] + hours[9] > 8 * (hours[3] + hours[4])
    weekdays = Counter(moment.weekday() for moment in opened)
    assert weekdays[1] > 2 * weekdays[6]
    form = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}")
    assert all(form.fullmatch(row["DATETIMECLOSED"]) for row in requests if row["DATETIMECLOSED"] != "NULL")


def test_addresses_and_categories_are_skewed(requests: Rows) -> None:
    """One address has about 1 % of all requests, many have one; the commonest code has ten times the rarest."""
    addresses = Counter(row["PROBADDRESS"] for row in requests if row["PROBADDRESS"] != "NA")
    assert 100 < addresses.most_common(1)[0][1] < 300
    assert sum(count == 1 for count in addresses.values()) > 3000
    codes = Counter(row["PROBLEMCODE"] for row in requests).most_common()
    assert codes[0][1] > 10 * codes[-1][1]


def test_spellings_vary(requests: Rows) -> None:
    """Cities and states are written in several ways, and a code is in no catalog."""
    assert len({row["PROBCITY"] for row in requests}) == 4
    assert {"CLOSED", "Closed", "CANCEL", "Disptch"} <= {row["STATUS"] for row in requests}
    assert "A Code Nobody Knows" in {row["PROBLEMCODE"] for row in requests}


def test_most_codes_are_in_the_shipped_catalog(requests: Rows, shipped: Workspace) -> None:
    """All codes but the one that nobody knows are mapped by the shipped lookup."""
    known = {row[0] for row in shipped.source("stlouis-311").lookups["stlouis-problem-codes"].rows}
    assert {row["PROBLEMCODE"] for row in requests} - known == {"A Code Nobody Knows"}


def test_the_city_has_88_places_without_gaps_or_overlaps(sample: Path) -> None:
    """The polygons are valid, numbered 1 to 88 with a decimal, and tile the city."""
    import shapely

    features = _polygons(sample, "stlouis-boundaries/stlouis_neighborhoods.geojson")
    assert sorted(feature["properties"]["NHD_NUM"] for feature in features) == [float(n) for n in range(1, 89)]
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in features]
    assert all(shape.is_valid for shape in shapes)
    city = shapely.union_all(shapes)
    assert sum(shape.area for shape in shapes) == pytest.approx(city.area, rel=1e-6)
    assert shapely.get_num_interior_rings(city) == 0


def test_points_lie_in_the_city_and_disagree_with_the_typed_place_at_times(sample: Path, requests: Rows) -> None:
    """Nearly all points fall in a polygon; the typed number is that polygon's for most, not for all."""
    import numpy as np
    import shapely
    from pyproj import Transformer

    located = [row for row in requests if "NA" not in (row["SRX"], row["NEIGHBORHOOD"]) and row["SRX"] != "1"]
    feet = np.array([(float(row["SRX"]), float(row["SRY"])) for row in located])
    lon, lat = Transformer.from_crs("ESRI:102696", "OGC:CRS84", always_xy=True).transform(feet[:, 0], feet[:, 1])
    features = _polygons(sample, "stlouis-boundaries/stlouis_neighborhoods.geojson")
    tree = shapely.STRtree([shapely.geometry.shape(feature["geometry"]) for feature in features])
    points, places = tree.query(shapely.points(lon, lat), predicate="within")
    assert len(points) / len(located) > 0.97
    numbers = np.array([feature["properties"]["NHD_NUM"] for feature in features])[places]
    typed = np.array([float(row["NEIGHBORHOOD"]) for row in located])[points]
    assert 0.8 < (numbers == typed).mean() < 0.99


def test_permits_have_the_quirks_of_the_real_file(permits: Rows) -> None:
    """They are ordered by type; line breaks in quotes, blanks, NA, costs of nothing and of millions."""
    assert len(permits) == 20_000
    assert [row["Type"] for row in permits] == sorted(row["Type"] for row in permits)
    assert sum("\n" in row["Applicant"] for row in permits) > 50
    assert sum(not row["Applicant"] for row in permits) == 4
    assert 0 < sum(not row["Issued"] for row in permits) < 100
    assert all((row["Year"] == "NA") == (not row["Issued"]) for row in permits)
    assert {"0", "3.1e+07"} <= {row["Valuation"] for row in permits}


def test_permits_cover_the_quarters_of_the_shipped_dataset(permits: Rows) -> None:
    """2012 to 2016, every quarter."""
    issued = [row["Issued"] for row in permits if row["Issued"]]
    assert {(text[-4:], (int(text[:2]) - 1) // 3) for text in issued} == {
        (str(year), quarter) for year in range(2012, 2017) for quarter in range(4)
    }


def test_permit_types_and_places_are_those_of_the_shipped_lookups(
    sample: Path, permits: Rows, shipped: Workspace
) -> None:
    """Every type and every neighborhood is one that the shipped pipeline knows."""
    lookups = shipped.source("syracuse-permits").lookups
    assert {row["Type"] for row in permits} <= {row[0] for row in lookups["syracuse-permit-types"].rows}
    features = _polygons(sample, "syracuse-boundaries/syr_neighborhoods.geojson")
    assert {feature["properties"]["NAME"] for feature in features} == {row[0] for row in lookups["syracuse-areas"].rows}


def test_most_permits_have_coordinates(permits: Rows) -> None:
    """NA where nothing was found; some points are far away."""
    lost = sum(row["lat"] == "NA" for row in permits) / len(permits)
    assert 0.08 < lost < 0.25
    assert "39.650000" in {row["lat"] for row in permits}
    assert all((row["lon"] == "NA") == (row["lat"] == "NA") for row in permits)


def test_readings_have_the_faults_of_real_meters(readings: Rows) -> None:
    """200 accounts over a year; some readings twice, registers that jump up and back or begin again."""
    accounts = Counter(row["user key"] for row in readings)
    assert len(accounts) == 200
    assert {len(key) for key in accounts} == {36}
    assert len(readings) > len({(row["user key"], row["datetime"]) for row in readings})
    diffs = [int(row["diff"]) for row in readings]
    assert max(diffs) > 240_000
    assert min(diffs) < -240_000
    assert sum(diff == 0 for diff in diffs) > 100
    months = {row["datetime"][3:10] for row in readings}
    assert months == {*(f"{month:02d}/2016" for month in range(3, 13)), "01/2017", "02/2017"}


def test_differences_are_those_of_the_register(readings: Rows) -> None:
    """`diff` is the reading less the account's reading before it."""
    for before, after in itertools.pairwise(readings[:5000]):
        if before["user key"] == after["user key"]:
            assert int(after["diff"]) == int(after["meter reading"]) - int(before["meter reading"])
