"""Datasets as files: Parquet, workbook, GeoJSON, KML and Shapefile, read by what people read them with."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import jsonschema
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import shapefile
from portal_described import COLUMNS, NOTES, publish_described, rows
from portal_process import blank

from publisher.portal.downloads.shapes import short_names
from publisher.portal.store.file_cache import FileCache

if TYPE_CHECKING:
    from pathlib import Path

    from portal_process import Running

KML = "{http://www.opengis.net/kml/2.2}"
FORMATS = ("csv", "parquet", "xlsx", "geojson", "kml", "kmz", "shp")


@pytest.fixture(scope="module")
def described(portal: Running) -> str:
    """The 4x4 of a dataset with boundaries."""
    return publish_described(portal)


@pytest.fixture(scope="module")
def listed(web: requests.Session, portal: Running, described: str) -> dict[str, dict[str, Any]]:
    """Its downloads by format."""
    found = web.get(f"{portal.address}/api/views/{described}/downloads.json").json()
    return {each["format"]: each for each in found}


def test_every_listed_file_is_what_the_listing_says(web: requests.Session, listed: dict[str, dict[str, Any]]) -> None:
    """Bytes, hash, media type, digests and sidecar agree, whatever encoding the client accepts."""
    assert tuple(listed) == FORMATS
    for each in listed.values():
        answer = web.get(each["url"], headers={"Accept-Encoding": "gzip, br"})
        digest = hashlib.sha256(answer.content)
        assert (len(answer.content), digest.hexdigest()) == (each["bytes"], each["sha256"])
        assert answer.headers["content-type"].partition(";")[0] == each["media_type"]
        field = f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
        assert answer.headers["repr-digest"] == answer.headers["content-digest"] == field
        assert answer.headers["content-disposition"].startswith("attachment; filename=")
        assert web.get(f"{each['url']}.sha256").text.split() == [
            each["sha256"],
            answer.headers["content-disposition"].partition('"')[2].rstrip('"'),
        ]


@pytest.mark.parametrize("form", FORMATS)
def test_a_client_that_has_the_file_is_told_so(
    web: requests.Session, listed: dict[str, dict[str, Any]], form: str
) -> None:
    """304 by ETag; HEAD has the length; a range has its part and no digest of the whole content."""
    address = listed[form]["url"]
    head = web.head(address, headers={"Accept-Encoding": "identity"})
    assert int(head.headers["content-length"]) == listed[form]["bytes"]
    again = web.get(address, headers={"If-None-Match": head.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = web.get(address, headers={"Range": "bytes=2-9"})
    assert (part.status_code, len(part.content)) == (206, 8)
    assert "content-digest" not in part.headers


def test_a_date_serves_once_the_change_is_settled(web: requests.Session, listed: dict[str, dict[str, Any]]) -> None:
    """304 by date, from the moment when a date tells enough."""
    for _ in range(100):
        answer = web.get(listed["csv"]["url"], headers={"If-Modified-Since": formatdate(usegmt=True)})
        if answer.status_code == 304:
            break
        time.sleep(0.05)
    assert answer.status_code == 304
    earlier = web.get(listed["csv"]["url"], headers={"If-Modified-Since": formatdate(0, usegmt=True)})
    assert earlier.status_code == 200


def test_parquet_is_typed_and_says_what_it_is(
    web: requests.Session, listed: dict[str, dict[str, Any]], described: str
) -> None:
    """Numbers, times, display order, no columns of the portal's own; title, license and 4x4 inside."""
    table = pq.read_table(io.BytesIO(web.get(listed["parquet"]["url"]).content))
    assert table.column_names == [column["fieldName"] for column in COLUMNS]
    types = dict(zip(table.schema.names, table.schema.types, strict=True))
    assert types["requests"] == pa.float64()
    assert types["period_start"] == pa.timestamp("us")
    assert types["counted_at"] == pa.timestamp("us", tz="UTC")
    assert types["all_closed"] == pa.bool_()
    first = table.to_pylist()[0]
    assert first["requests"] == 1.25
    assert first["counted_at"] == datetime(2024, 1, 29, 4, 30, tzinfo=UTC)
    assert [row["requests"] for row in table.to_pylist() if row["ward"] == "3"] == [None] * 3
    told = {name.decode(): value.decode() for name, value in table.schema.metadata.items() if name != b"ARROW:schema"}
    assert told["title"] == "Requests by ward"
    assert told["license_url"] == "https://creativecommons.org/licenses/by/4.0/"
    assert (told["id"], int(told["version"]) > 1) == (described, True)
    assert table.schema.field("ward").metadata[b"description"] == b"The ward's number"


def test_a_workbook_has_numbers_dates_and_no_formulas(web: requests.Session, listed: dict[str, dict[str, Any]]) -> None:
    """Cells have their types; a text that begins like a formula is a text; a second sheet explains."""
    book = openpyxl.load_workbook(io.BytesIO(web.get(listed["xlsx"]["url"]).content))
    assert book.sheetnames == ["Data", "About"]
    lines = list(book["Data"].iter_rows())
    assert [cell.value for cell in lines[0]] == [column["name"] for column in COLUMNS]
    assert len(lines) == 1 + len(rows())
    by_name = dict(zip([column["fieldName"] for column in COLUMNS], lines[1], strict=True))
    assert (by_name["requests"].value, by_name["requests"].data_type) == (1.25, "n")
    assert by_name["period_start"].value == datetime(2024, 1, 1)  # noqa: DTZ001 -- a workbook has no zones
    assert by_name["all_closed"].value is False
    notes = [line[7] for line in lines[1:]]
    assert {cell.value for cell in notes} == set(NOTES)
    assert {cell.data_type for cell in notes if cell.value} == {"s"}
    assert not any(cell.hyperlink for cell in notes)
    texts = [cell for line in lines[1:] for cell in line if cell.data_type == "s"]
    run = [cell for cell in texts if str(cell.value).startswith(("=", "+", "-", "@"))]
    assert run, "there are texts that a spreadsheet would run when it reads them again"
    assert [cell for line in lines for cell in line if cell.quotePrefix] == run
    about = {line[0].value: line[1].value for line in book["About"].iter_rows() if line[0].value}
    assert about["License"].startswith("Creative Commons Attribution 4.0")
    assert about["Privacy"] == "Each request is protected."
    assert "right 50 times in 100 without the published numbers, is right at most 60 times in 100" in about["Odds"]
    assert about["Limitations"] == "Counts are noisy.\nSmall ones are suppressed."
    assert about["Ward"] == "ward"


def test_geojson_draws_the_latest_period(web: requests.Session, listed: dict[str, dict[str, Any]]) -> None:
    """Each row of the latest period with its ward's polygon; a ward without one stays, without geometry."""
    features = web.get(listed["geojson"]["url"]).json()["features"]
    assert [(each["properties"]["period"], each["properties"]["ward"]) for each in features] == [
        ("2024-03", str(ward)) for ward in range(1, 5)
    ]
    assert [each["geometry"] and each["geometry"]["type"] for each in features] == [
        "Polygon",
        "MultiPolygon",
        "Polygon",
        None,
    ]
    assert features[0]["properties"]["requests"] == 201.25
    earlier = web.get(listed["geojson"]["url"], params={"period": "2024-01"}).json()["features"]
    assert {each["properties"]["period"] for each in earlier} == {"2024-01"}
    assert web.get(listed["geojson"]["url"], params={"period": "1999-01"}).status_code == 404


def test_kml_has_a_placemark_for_each_row(web: requests.Session, listed: dict[str, dict[str, Any]]) -> None:
    """Holes are inner boundaries, several parts one geometry, values extended data."""
    root = ElementTree.fromstring(web.get(listed["kml"]["url"]).content)  # noqa: S314 -- ours
    marks = root.findall(f".//{KML}Placemark")
    assert len(marks) == 4
    assert len(marks[0].findall(f".//{KML}innerBoundaryIs")) == 1
    assert len(marks[1].findall(f"{KML}MultiGeometry/{KML}Polygon")) == 2
    assert marks[3].find(f"{KML}Polygon") is None
    values = {data.get("name"): data.findtext(f"{KML}value") for data in marks[0].iter(f"{KML}Data")}
    assert values["requests"] == "201.25"
    assert values["ward"] == "1"


def test_kmz_is_the_kml_in_a_zip(web: requests.Session, listed: dict[str, dict[str, Any]]) -> None:
    """One document, with the bytes of the KML."""
    with zipfile.ZipFile(io.BytesIO(web.get(listed["kmz"]["url"]).content)) as archive:
        assert archive.namelist() == ["doc.kml"]
        assert archive.read("doc.kml") == web.get(listed["kml"]["url"]).content


def test_a_shapefile_can_be_opened(web: requests.Session, listed: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """pyshp and GDAL read shapes and records; short field names have a legend; the projection is WGS 84."""
    path = tmp_path / "rows.zip"
    path.write_bytes(web.get(listed["shp"]["url"]).content)
    with zipfile.ZipFile(path) as archive:
        assert {name.rpartition(".")[2] for name in archive.namelist()} == {"shp", "shx", "dbf", "prj", "cpg", "txt"}
        assert "WGS_1984" in archive.read("rows.prj").decode()
        assert "requests_s\trequests_status\tStatus" in archive.read("rows.txt").decode()
    with shapefile.Reader(str(path)) as reader:
        assert [field[0] for field in reader.fields if field[0] != "DeletionFlag"] == short_names(
            [column["fieldName"] for column in COLUMNS]
        )
        records = [record.as_dict() for record in reader.records()]
        assert [len(shape.parts) if shape.shapeType else 0 for shape in reader.shapes()] == [2, 2, 1, 0]
    assert records[0]["requests"] == 201.25
    assert records[2]["requests"] is None
    pyogrio = pytest.importorskip("pyogrio")
    frame = pyogrio.read_dataframe(f"zip://{path}")
    assert frame.crs.to_epsg() == 4326
    assert frame.geometry.iloc[0].area == pytest.approx(1 - 0.04)
    assert list(frame["note"])[:3] == [row["note"] or None for row in rows()[8:11]]


def test_socratas_address_for_maps(web: requests.Session, portal: Running, described: str, sample: str) -> None:
    """The same bytes as the download; a dataset with points has its points."""
    address = f"{portal.address}/api/geospatial/{described}?method=export&format="
    whole = web.get(f"{portal.address}/api/views/{described}/rows.shp").content
    assert web.get(f"{address}Shapefile").content == whole
    assert web.get(f"{address}teapot").status_code == 400
    points = web.get(f"{portal.address}/api/geospatial/{sample}?method=export&format=GeoJSON").json()
    assert {each["geometry"]["type"] for each in points["features"]} == {"Point"}
    assert len(points["features"]) == 120
    marks = ElementTree.fromstring(web.get(f"{portal.address}/api/views/{sample}/rows.kml").content)  # noqa: S314 -- ours
    assert marks.findtext(f".//{KML}Point/{KML}coordinates") == "-90.0,38.0"


def test_parquet_has_numbers_and_shapes_for_data_tools(web: requests.Session, portal: Running, sample: str) -> None:
    """pandas gets numbers, not decimals, and GeoPandas the shapes; what a double cannot hold stays a decimal."""
    content = web.get(f"{portal.address}/api/views/{sample}/rows.parquet").content
    frame = pd.read_parquet(io.BytesIO(content))
    assert str(frame["requests"].dtype) == "float64"
    shapes = pytest.importorskip("geopandas").read_parquet(io.BytesIO(content))
    assert (shapes.geometry.x[0], shapes.geometry.y[1]) == (-90.0, 38.01)
    with portal.client() as client:
        kinds = {"id": "text", "whole": "number", "long": "number", "short": "number", "none": "number"}
        columns = [{"fieldName": name, "name": name, "dataTypeName": kind} for name, kind in kinds.items()]
        view = client.create("Widths", columns=columns, row_identifier="id")
        client.upsert(view["id"], [{"id": "a", "whole": "7", "long": "1234567890123456.5", "short": "0.125"}])
        content = client.session.get(f"{portal.address}/api/views/{view['id']}/rows.parquet").content
    schema = pq.read_schema(io.BytesIO(content))
    found = {name: str(schema.field(name).type) for name in kinds if name != "id"}
    assert found == {"whole": "int64", "long": "decimal128(18, 1)", "short": "double", "none": "int64"}


def test_what_has_no_place_has_no_map(web: requests.Session, portal: Running) -> None:
    """404 in Socrata's shape, and no such file in the listing."""
    with portal.client() as client:
        view = client.create("Without places", columns=COLUMNS, row_identifier="id")
        client.publish(view["id"])
        client.set_permission(view["id"], "public")
    base = f"{portal.address}/api/views/{view['id']}"
    for form in ("geojson", "kml", "shp"):
        answer = web.get(f"{base}/rows.{form}")
        assert (answer.status_code, answer.json()["code"]) == (404, "download.no-geometry")
    assert [each["format"] for each in web.get(f"{base}/downloads.json").json()] == ["csv", "parquet", "xlsx"]
    assert pq.read_table(io.BytesIO(web.get(f"{base}/rows.parquet").content)).num_rows == 0


def test_drafts_are_for_those_who_may_read_them(web: requests.Session, portal: Running) -> None:
    """403 without an account for every file, listing and hash; with one the answer is private."""
    with portal.client() as client:
        draft = client.create("Draft with files", columns=COLUMNS, row_identifier="id")["id"]
    paths = [f"rows.{form}" for form in FORMATS[1:]] + ["data.csv", "data.csv.sha256", "downloads.json"]
    for path in (*paths, "rows.parquet.sha256", "datapackage.json"):
        assert web.get(f"{portal.address}/api/views/{draft}/{path}").status_code == 403, path
    answer = web.get(f"{portal.address}/api/views/{draft}/rows.parquet", auth=portal.login)
    assert answer.status_code == 200
    assert "private" in answer.headers["cache-control"]
    assert web.get(f"{portal.address}/api/views/zzzz-zzzz/rows.parquet").status_code == 404


def test_new_rows_and_new_words_make_new_files(web: requests.Session, portal: Running) -> None:
    """A file follows the rows and the metadata of its dataset; nobody but the owner can read the folder."""
    identifier = publish_described(portal, "Files that change")
    address = f"{portal.address}/api/views/{identifier}"
    first = web.get(f"{address}/rows.parquet", headers={"Host": "elsewhere.example"})
    assert b"elsewhere" not in first.content
    with portal.client() as client:
        client.upsert(identifier, [{"id": "2024-03-1", "requests": "7"}])
        after = web.get(f"{address}/rows.parquet", headers={"If-None-Match": first.headers["etag"]})
        assert after.status_code == 200
        assert Decimal(7) in pq.read_table(io.BytesIO(after.content))["requests"].to_pylist()
        client.update_metadata(identifier, {"name": "Another name"})
    renamed = pq.read_table(io.BytesIO(web.get(f"{address}/rows.parquet").content))
    assert renamed.schema.metadata[b"title"] == b"Another name"
    kept = [path for path in (portal.state / "downloads" / identifier).rglob("*") if path.is_file()]
    assert kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept if path.suffix != ".sha256")
    assert (portal.state / "downloads" / identifier).stat().st_mode & 0o077 == 0
    with portal.client() as client:
        client.delete(identifier)
    assert not (portal.state / "downloads" / identifier).exists()


def test_many_at_once_get_one_file(portal: Running) -> None:
    """Clients that ask for a file which is not made yet all get the same bytes."""
    identifier = publish_described(portal, "Wanted by many")
    address = f"{portal.address}/api/views/{identifier}/rows.xlsx"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: requests.get(address, timeout=60), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


RACE = """
import sys
from pathlib import Path
from publisher.portal.base.model import PortalDataset
from publisher.portal.store.file_cache import FileCache
dataset = PortalDataset(
    id="race-race", name="x", owner="x", created_at=0, updated_at=0, rows_updated_at=0, version=1, rows=0, next_row=1
)
word = sys.argv[2].encode()
kept = FileCache(Path(sys.argv[1])).make(dataset, "rows.bin", lambda path: path.write_bytes(word * 300_000))
print(kept.sha256, kept.bytes)
"""


@pytest.mark.usefixtures("processes")
def test_processes_that_race_agree(tmp_path: Path) -> None:
    """Of two processes that make the same file with different bytes, both tell the hash of the one that stays."""
    command = [sys.executable, "-c", RACE, str(tmp_path)]
    running = [subprocess.Popen([*command, word], stdout=subprocess.PIPE, text=True) for word in ("a", "b", "c")]
    told = {process.communicate(timeout=60)[0].strip() for process in running}
    found = FileCache(tmp_path).find(blank("race-race"), "rows.bin")
    assert found is not None
    assert told == {f"{found.sha256} 300000"}
    assert hashlib.sha256(found.path.read_bytes()).hexdigest() == found.sha256
    assert sorted(path.name for path in found.path.parent.iterdir()) == ["rows.bin", "rows.bin.sha256"]


def test_a_file_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """An error while writing reaches the caller, and no part of the file stays."""

    def broken(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    cache = FileCache(tmp_path)
    with pytest.raises(OSError, match="disk full"):
        cache.make(blank("half-half"), "rows.bin", broken)
    assert cache.find(blank("half-half"), "rows.bin") is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_short_names_stay_apart() -> None:
    """Ten characters at most, all different, in the same order."""
    names = ["requests_low", "requests_high", "requests_l", *[f"requests_{number}" for number in range(120)]]
    short = short_names(names)
    assert len(set(short)) == len(names)
    assert max(map(len, short)) <= 10


# the members that Data Package v2 and Table Schema v2 require, with the forms of their profiles
FIELD = {
    "type": "object",
    "required": ["name", "type"],
    "properties": {
        "type": {"enum": ["string", "number", "boolean", "datetime"]},
        "constraints": {"properties": {"enum": {"type": "array", "minItems": 1, "uniqueItems": True}}},
    },
}
PACKAGE = {
    "type": "object",
    "required": ["$schema", "name", "resources", "licenses", "sources", "contributors", "version", "created"],
    "properties": {
        "$schema": {"const": "https://datapackage.org/profiles/2.0/datapackage.json"},
        "name": {"type": "string", "pattern": r"^[-a-z0-9._/]+$"},
        "created": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
        "licenses": {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [{"required": ["name"]}, {"required": ["path"]}]},
        },
        "sources": {"type": "array", "minItems": 1, "items": {"required": ["title"]}},
        "resources": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "path", "schema", "hash", "bytes"],
                "properties": {
                    "path": {"type": "string", "pattern": r"^(?![/.~])"},
                    "bytes": {"type": "integer"},
                    "hash": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
                    "schema": {
                        "required": ["fields"],
                        "properties": {"fields": {"type": "array", "minItems": 1, "items": FIELD}},
                    },
                },
            },
        },
    },
}


@pytest.mark.parametrize(("path", "expected"), [("", 12), ("/releases/2024-02/2", 4), ("/releases/2024-03/1", 4)])
def test_a_data_package_describes_its_file(
    web: requests.Session, portal: Running, described: str, path: str, expected: int
) -> None:
    """Schema, key, statuses, license; hash and bytes are those of the CSV that stands beside the descriptor."""
    base = f"{portal.address}/api/views/{described}{path}"
    package = web.get(f"{base}/datapackage.json").json()
    jsonschema.validate(package, PACKAGE)
    (resource,) = package["resources"]
    content = web.get(f"{base}/{resource['path']}").content
    assert (len(content), f"sha256:{hashlib.sha256(content).hexdigest()}") == (resource["bytes"], resource["hash"])
    read = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert len(read) == expected
    assert list(read[0]) == [field["name"] for field in resource["schema"]["fields"]]
    fields = {field["name"]: field for field in resource["schema"]["fields"]}
    assert fields["requests"]["type"] == "number"
    assert fields["requests_status"]["constraints"]["enum"] == ["ok", "caution", "unreliable", "suppressed"]
    assert resource["schema"]["primaryKey"] == ["id"]
    assert package["licenses"][0]["path"] == "https://creativecommons.org/licenses/by/4.0/"
    assert package["sources"][0]["title"] == "Service requests"
    if path:
        assert {row["period"] for row in read} == {path.split("/")[2]}
        assert package["version"] == path.removeprefix("/releases/").replace("/", ".")


def test_a_release_waits_while_its_rows_are_changed(web: requests.Session, portal: Running) -> None:
    """503 with Retry-After from the moment when the publisher begins to change rows until its metadata fit again."""
    identifier = publish_described(portal)
    release, base = (
        f"{portal.address}/api/views/{identifier}/releases/2024-02/2",
        f"/api/views/metadata/v1/{identifier}",
    )
    known = web.get(portal.address + base).json()["customFields"]["Publisher"]
    for said, status in (({"unfinished": "true"}, 503), ({}, 200)):
        sent = {"customFields": {"Publisher": known | said}}
        assert requests.patch(portal.address + base, json=sent, auth=portal.login, timeout=30).status_code == 200
        for name in ("data.csv", "datapackage.json"):
            answer = web.get(f"{release}/{name}")
            assert (answer.status_code, "Retry-After" in answer.headers) == (status, status == 503)


def test_releases_that_are_gone_say_so(web: requests.Session, portal: Running, described: str) -> None:
    """410 with the current edition for a superseded one, 404 for one that never was."""
    base = f"{portal.address}/api/views/{described}/releases"
    for name in ("datapackage.json", "data.csv"):
        gone = web.get(f"{base}/2024-02/1/{name}")
        assert (gone.status_code, gone.json()["data"]) == (410, {"current": 2})
        assert "edition 2" in gone.json()["message"]
        assert web.get(f"{base}/2024-02/3/{name}").status_code == 404
        assert web.get(f"{base}/1999-01/1/{name}").status_code == 404
        assert web.get(f"{base}/2024-02/{'9' * 5000}/{name}").status_code == 404
    assert web.get(f"{portal.address}/d/{described}/releases/2024-02/{'9' * 5000}").status_code == 404
    assert json.loads(web.get(f"{base}/2024-02/x/data.csv").text)["error"] is True


def test_shapes_are_kept_as_standard_texts_have_them(portal: Running, web: requests.Session) -> None:
    """Points in brackets of their own are points; what is nested otherwise is refused; every map file can be made."""
    columns = [{"fieldName": "places", "name": "Places", "dataTypeName": "multipoint"}]
    columns += [{"fieldName": "n", "name": "N", "dataTypeName": "number"}]
    rows = [{"places": "MULTIPOINT ((0 0),(1 1))", "n": "0.12345678901234567891"}, {"n": "2"}]
    nested = {"places": {"type": "MultiPoint", "coordinates": [[[0, 0]]]}}
    with portal.client() as client:
        identifier = client.create("Several points", columns=columns)["id"]
        client.upsert(identifier, rows)
        with pytest.raises(requests.HTTPError, match="as multipoint"):
            client.upsert(identifier, [nested])
        client.publish(identifier)
        client.set_permission(identifier, "public")
    view = f"{portal.address}/api/views/{identifier}"
    drawn = web.get(f"{view}/rows.geojson")
    assert drawn.text == web.get(f"{portal.address}/resource/{identifier}.geojson").text
    features = drawn.json()["features"]
    assert features[0]["geometry"] == {"type": "MultiPoint", "coordinates": [[0, 0], [1, 1]]}
    assert features[0]["properties"]["n"] == "0.12345678901234567891"
    assert features[1]["geometry"] is None
    assert web.get(f"{view}/rows.kml").status_code == web.get(f"{view}/rows.shp").status_code == 200
