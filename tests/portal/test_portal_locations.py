"""The column type `location` of older catalogs: a place with an address, or one of the two."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import duckdb
import geopandas
import pytest

from publisher.portal.base.kinds import Kind, plain_text, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from portal_process import Running

ADDRESS = '{"address": "83 South King Street", "city": "Seattle", "state": "WA", "zip": "98104"}'
STATION = {"latitude": "47.598282", "longitude": "-122.334779", "human_address": ADDRESS}
LINES = "83 South King Street\nSeattle, WA 98104\n(47.598282, -122.334779)"


def stored(text: str) -> tuple[Any, str | None]:
    """The JSON of what is kept of a text, and its text in CSV."""
    query = f"SELECT v, {plain_text(Kind.LOCATION, 'v')} FROM (SELECT {reading(Kind.LOCATION, '$t::VARCHAR')} AS v)"
    kept, shown = duckdb.connect().execute(query, {"t": text}).fetchone() or (None, None)
    return kept and json.loads(kept), shown


@pytest.mark.parametrize(
    ("text", "kept", "shown"),
    [
        (json.dumps(STATION), STATION, LINES),
        ('{"latitude": 41.5, "longitude": -87}', {"latitude": "41.5", "longitude": "-87"}, "(41.5, -87)"),
        ('{"type":"Point","coordinates":[-87.5,41.25]}', {"latitude": "41.25", "longitude": "-87.5"}, "(41.25, -87.5)"),
        ("(41.25, -87.5)", {"latitude": "41.25", "longitude": "-87.5"}, "(41.25, -87.5)"),
        (LINES, STATION | {"human_address": ADDRESS.replace(": ", ":").replace(", ", ",")}, LINES),
        ('{"human_address": {"address": "Town Hall"}}', {"human_address": '{"address":"Town Hall"}'}, "Town Hall"),
        ('{"latitude": 1, "longitude": 2, "human_address": "here"}',
         {"latitude": "1", "longitude": "2", "human_address": '{"address":"here"}'}, "here\n(1, 2)"),
        ('{"latitude": 91, "longitude": 2}', None, None),
        ('{"latitude": "1e1", "longitude": 2}', None, None),
        ('{"latitude": 1}', None, None),
        ("{}", None, None),
        ("{no", None, None),
        ("", None, None),
    ],
)  # fmt: skip
def test_a_location_is_read(text: str, kept: Any, shown: str | None) -> None:
    """As an object, a point, or lines of an address; a place that is not on Earth is none."""
    assert stored(text) == (kept, shown)


@pytest.fixture(scope="module")
def places(portal: Running) -> Iterator[str]:
    """The 4x4 of a public dataset with a location, from JSON and from the CSV that Socrata writes."""
    columns = [
        {"fieldName": name, "name": name, "dataTypeName": kind} for name, kind in (("id", "text"), ("at", "location"))
    ]
    with portal.client() as client:
        view = client.create("Places", columns=columns, row_identifier="id")
        assert [column["dataTypeName"] for column in view["columns"]] == ["text", "location"]
        client.upsert(
            view["id"], [{"id": "a", "at": STATION}, {"id": "b", "at": {"human_address": ADDRESS}}, {"id": "c"}]
        )
        table = io.StringIO()
        csv.writer(table).writerows([["id", "at"], ["d", LINES], ["e", "(41.5, -87)"]])
        client.upsert(view["id"], io.BytesIO(table.getvalue().encode()))
        client.publish(view["id"])
        client.set_permission(view["id"], "public")
        yield view["id"]
        client.delete(view["id"])


def test_locations_are_shown_as_socrata_shows_them(portal: Running, places: str, web: requests.Session) -> None:
    """JSON with the address as a text of JSON, CSV on lines, GeoJSON as a point, the old rows as an array."""
    answer = web.get(f"{portal.address}/resource/{places}.json?$order=id")
    assert json.loads(answer.headers["X-SODA2-Types"]) == ["text", "location"]
    rows = {row["id"]: row.get("at") for row in answer.json()}
    assert (rows["a"], rows["b"], rows["c"]) == (STATION, {"human_address": ADDRESS}, None)
    assert rows["e"] == {"latitude": "41.5", "longitude": "-87"}
    table = list(csv.DictReader(io.StringIO(web.get(f"{portal.address}/resource/{places}.csv?$order=id").text)))
    assert [row["at"] for row in table] == [LINES, "83 South King Street\nSeattle, WA 98104", "", LINES, "(41.5, -87)"]
    features = web.get(f"{portal.address}/resource/{places}.geojson?$order=id").json()["features"]
    assert [each["geometry"] and each["geometry"]["coordinates"] for each in features] == [
        [-122.334779, 47.598282], None, None, [-122.334779, 47.598282], [-87, 41.5],
    ]  # fmt: skip
    old = web.get(f"{portal.address}/api/views/{places}/rows.json").json()["data"]
    assert [row[-1] for row in old if row[-2] == "a"] == [[ADDRESS, "47.598282", "-122.334779", None, False]]
    assert web.get(f"{portal.address}/api/odata/v4/{places}").json()["value"][0]["at"] == LINES


POINT = (-122.334779, 47.598282)
TOLD = {
    "a": (POINT, ("83 South King Street", "Seattle", "WA", "98104")),
    "b": (None, ("83 South King Street", "Seattle", "WA", "98104")),
    "c": (None, (None, None, None, None)),
    "d": (POINT, ("83 South King Street", "Seattle", "WA", "98104")),
    "e": ((-87.0, 41.5), (None, None, None, None)),
}
"""The point and the parts of the address of each row."""


@pytest.mark.parametrize(
    "address",
    ["resource/{}.geojson", "api/views/{}/rows.geojson", "api/views/{}/rows.kml", "api/views/{}/rows.kmz",
     "api/views/{}/rows.shp", "api/geospatial/{}?method=export&format=Shapefile", "api/v3/views/{}/query.geojson"],
)  # fmt: skip
def test_map_files_have_the_place_and_the_address(
    portal: Running, places: str, web: requests.Session, tmp_path: Path, address: str
) -> None:
    """GDAL reads a point from each file, and the parts of the address as attributes by Socrata's names."""
    token = {"X-App-Token": portal.secret["app_token"]}
    answer = web.get(f"{portal.address}/{address.format(places)}", headers=token)
    assert answer.status_code == 200, answer.text
    sort = re.split(r"\W", address)[-1]
    ending = {"shp": "zip", "Shapefile": "zip"}.get(sort, sort)
    file = tmp_path / f"rows.{ending}"
    file.write_bytes(answer.content)
    if ending == "kmz":
        with zipfile.ZipFile(file) as archive:
            file = Path(archive.extract("doc.kml", tmp_path))
    frame = geopandas.read_file(f"zip://{file}" if ending == "zip" else file)
    assert frame.crs.to_epsg() == 4326
    parts = ["at_address", "at_city", "at_state", "at_zip"]
    assert "at" not in frame.columns
    found = {}
    for row in frame.to_dict("records"):
        shape = row["geometry"]
        values = tuple(row[name] if isinstance(row[name], str) and row[name] else None for name in parts)
        found[row["id"]] = ((shape.x, shape.y) if shape is not None else None, values)
    assert found == TOLD


def test_parts_of_an_address_do_not_replace_columns(portal: Running, web: requests.Session) -> None:
    """A column with the name of a part keeps its values; what is no address has no parts; numbers are read."""
    columns = [
        {"fieldName": name, "name": name, "dataTypeName": kind}
        for name, kind in (("at", "location"), ("at_city", "text"))
    ]
    sent = ['{"city": "Troy", "zip": 12180, "state": null}', "[1]", '{"address": {"a": 1}}']
    with portal.client() as client:
        made = client.create("Own names", columns=columns)["id"]
        client.upsert(made, [{"at": {"human_address": each}, "at_city": "mine"} for each in sent])
        client.publish(made)
        client.set_permission(made, "public")
        served = web.get(f"{portal.address}/resource/{made}.geojson").json()["features"]
        marks = ElementTree.fromstring(web.get(f"{portal.address}/api/views/{made}/rows.kml").content)  # noqa: S314 -- ours
        client.delete(made)
    assert [each["properties"]["at_city"] for each in served] == ["mine"] * 3
    assert [each["properties"]["at_zip"] for each in served] == ["12180", None, None]
    kml = "{http://www.opengis.net/kml/2.2}"
    told = [
        {data.get("name"): data.findtext(f"{kml}value") for data in mark.iter(f"{kml}Data")}
        for mark in marks.iter(f"{kml}Placemark")
    ]
    assert told == [{"at_city": "mine", "at_zip": "12180"}, {"at_city": "mine"}, {"at_city": "mine"}]


def test_the_page_of_a_dataset_names_the_type(portal: Running, places: str, web: requests.Session) -> None:
    """In both languages; as shapes, locations are no column of the rows that a page shows."""
    for start, words in (("", "place and address"), ("/es", "lugar y dirección")):
        page = web.get(f"{portal.address}{start}/d/{places}")
        assert (page.status_code, words in page.text, "human_address" in page.text) == (200, True, False)


def test_locations_are_asked_for(portal: Running, places: str, web: requests.Session) -> None:
    """Parts after a dot, places as points, no comparison; and a point made of one."""

    def ask(**parameters: str) -> Any:
        asked = {f"${name}": text for name, text in parameters.items()} | {"$order": "id"}
        return web.get(f"{portal.address}/resource/{places}.json", params=asked).json()

    near = "within_circle(at, 47.6, -122.33, 1000)"
    assert [row["id"] for row in ask(select="id", where=near)] == ["a", "d"]
    parts = ask(select="id, at.latitude, at.city AS city, at::point AS p", where="id = 'a'")
    point = {"type": "Point", "coordinates": [-122.334779, 47.598282]}
    assert parts == [{"id": "a", "at_latitude": "47.598282", "city": "Seattle", "p": point}]
    assert [row["id"] for row in ask(select="id", where="location_to_point(at) is not null")] == ["a", "d", "e"]
    assert ask(select="id", where="at = at")["errorCode"] == "query.soql.type-mismatch"
    assert [row["id"] for row in ask(select="id", where="at is null")] == ["c"]
    assert [row["id"] for row in ask(select="id", q="king streets")] == ["a", "b", "d"]


def test_a_dataset_of_nothing_but_points_has_map_files(portal: Running, web: requests.Session, tmp_path: Path) -> None:
    """Features without attributes, as many as there are rows."""
    with portal.client() as client:
        columns = [{"fieldName": "at", "name": "at", "dataTypeName": "point"}]
        made = client.create("Points", columns=columns)["id"]
        client.upsert(made, [{"at": "POINT (1 2)"}, {"at": "POINT (3 4)"}])
        client.publish(made)
        client.set_permission(made, "public")
        for sort, ending in (("geojson", "geojson"), ("kml", "kml"), ("shp", "zip")):
            answer = web.get(f"{portal.address}/api/views/{made}/rows.{sort}")
            file = tmp_path / f"rows.{ending}"
            file.write_bytes(answer.content)
            frame = geopandas.read_file(f"zip://{file}" if ending == "zip" else file)
            assert [(point.x, point.y) for point in frame.geometry] == [(1, 2), (3, 4)], sort
        client.delete(made)
