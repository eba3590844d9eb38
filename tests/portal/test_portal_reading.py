"""SODA 2.1 as clients meet it: shapes, headers, formats, errors."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from portal_process import blank
from starlette.responses import Response

from publisher.portal.api.resource import current
from publisher.portal.base.kinds import Kind
from publisher.portal.base.model import PortalColumn
from publisher.portal.base.problems import CHANGED, SodaError, invalid, problem
from publisher.portal.base.watch import Deadline
from publisher.portal.store.catalog import DatasetCatalog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import requests
    from portal_process import Running

Cells = list[dict[str, Any]]


@pytest.fixture(scope="module")
def resource(portal: Running, sample: str) -> str:
    """The address of the sample's rows."""
    return f"{portal.address}/resource/{sample}"


def test_json_has_the_shapes_of_socrata(web: requests.Session, resource: str, cells: Cells) -> None:
    """Numbers are strings, checkboxes bare booleans, nulls left out, points GeoJSON, times without a zone."""
    answer = web.get(f"{resource}.json?$limit=2")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    first, second = answer.json()
    assert "requests" not in first
    assert second == {**cells[1], "requests": "3.05"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", second["period_start"])


def test_headers_describe_the_answer(web: requests.Session, resource: str) -> None:
    """Fields and types are aligned; anyone's page may read; each request has an id."""
    headers = web.get(
        f"{resource}.json?$select=zone,count(*),max(period_start),:updated_at&$group=zone,:updated_at"
    ).headers
    assert json.loads(headers["X-SODA2-Fields"]) == ["zone", "count", "max_period_start", ":updated_at"]
    assert json.loads(headers["X-SODA2-Types"]) == ["text", "number", "floating_timestamp", "fixed_timestamp"]
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["X-Socrata-RequestId"]


def test_csv_quotes_every_value_and_leaves_nulls_empty(web: requests.Session, resource: str, cells: Cells) -> None:
    """The first line names the fields; geometry is WKT."""
    text = web.get(f"{resource}.csv").content.decode()
    lines = text.split("\n")
    assert lines[0] == '"id","period","period_start","zone","requests","requests_status","open","place"'
    assert lines[1] == '"0-00","2024-W01","2024-01-01T00:00:00.000","Nord",,"suppressed","true","POINT (-90.0 38.0)"'
    assert "\r" not in text
    records = list(csv.DictReader(io.StringIO(text)))
    assert [record["zone"] for record in records] == [row["zone"] for row in cells]


def test_geojson_keeps_null_properties(web: requests.Session, resource: str) -> None:
    """Features as sodapy accepts them."""
    answer = web.get(f"{resource}.geojson?$limit=1")
    assert answer.headers["Content-Type"] == "application/vnd.geo+json; charset=utf-8"
    (feature,) = answer.json()["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [-90.0, 38.0]}
    assert feature["properties"]["requests"] is None
    assert "place" not in feature["properties"]


def test_accept_chooses_where_the_address_does_not(web: requests.Session, resource: str) -> None:
    """An extension wins; otherwise the client's favorite; what cannot be served is 406."""

    def kind(accept: str, extension: str = "") -> str:
        return web.get(resource + extension, headers={"Accept": accept}).headers["Content-Type"].partition(";")[0]

    assert kind("*/*") == "application/json"
    assert kind("text/csv") == "text/csv"
    assert kind("application/json;q=0.2, text/csv;q=0.9") == "text/csv"
    assert kind("application/vnd.geo+json") == "application/vnd.geo+json"
    assert kind("text/csv", ".json") == "application/json"
    assert web.get(resource, headers={"Accept": "image/png"}).status_code == 406
    assert web.get(resource + ".teapot").status_code == 406


def test_head_has_the_headers_and_no_body(web: requests.Session, resource: str) -> None:
    """HEAD answers like GET, without rows."""
    answer = web.head(f"{resource}.json")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["X-SODA2-Fields"]


def test_a_copy_that_is_current_is_not_sent_again(web: requests.Session, resource: str) -> None:
    """ETag and Last-Modified give 304; another question has another ETag."""
    time.sleep(2.1)  # a date tells changes apart once its second is over
    first = web.get(f"{resource}.json")
    by_mark = web.get(f"{resource}.json", headers={"If-None-Match": first.headers["ETag"]})
    by_date = web.get(f"{resource}.json", headers={"If-Modified-Since": first.headers["Last-Modified"]})
    assert (by_mark.status_code, by_date.status_code) == (304, 304)
    assert web.get(f"{resource}.json?$limit=1").headers["ETag"] != first.headers["ETag"]
    assert web.get(f"{resource}.json", headers={"If-Modified-Since": "nonsense"}).status_code == 200


def test_one_row_by_its_identifier_or_its_id(web: requests.Session, resource: str) -> None:
    """A row's own address gives one object."""
    row = web.get(f"{resource}/0-01.json").json()
    assert row["period"] == "2024-W02"
    (whole,) = web.get(f"{resource}.json?id=0-01&$$exclude_system_fields=false").json()
    assert web.get(f"{resource}/{whole[':id']}.json").json() == row
    absent = web.get(f"{resource}/none.json")
    assert (absent.status_code, absent.json()["code"]) == (404, "row.missing")


def test_default_limit_and_pages(web: requests.Session, resource: str, cells: Cells) -> None:
    """Pages by :id meet every row once."""
    seen = []
    for offset in range(0, 200, 37):
        page = web.get(f"{resource}.json?$select=id&$order=:id&$limit=37&$offset={offset}").json()
        seen += [row["id"] for row in page]
    assert sorted(seen) == sorted(row["id"] for row in cells)
    assert len(seen) == len(cells)


ERRORS = [
    ("$select=", "$where=zone ==== 'a'", "query.compiler.malformed"),
    ("", "$where=zone = 'a", "query.compiler.malformed"),
    ("", "$where=nothing = 1", "query.soql.no-such-column"),
    ("", "$where=requests > 'many'", "query.soql.type-mismatch"),
    ("", "$where=zone > 5", "query.soql.type-mismatch"),
    ("", "$select=read_csv('x')", "query.soql.no-such-function"),
    ("", "$select=zone,requests&$group=zone", "query.soql.column-not-in-group-bys"),
    ("", "$where=sum(requests) > 1", "query.soql.aggregate-in-ungrouped-context"),
    ("", "$select=zone as a,id as a", "query.soql.duplicate-alias"),
]


@pytest.mark.parametrize(("first", "second", "code"), ERRORS)
def test_wrong_questions_get_socratas_errors(
    web: requests.Session, resource: str, first: str, second: str, code: str
) -> None:
    """Each error has its code, and a message."""
    answer = web.get(f"{resource}.json?{first}&{second}")
    body = answer.json()
    assert answer.status_code == 400
    assert code in (body.get("code"), body.get("errorCode"))
    assert body["message"]
    assert body["error"] is True


def test_parse_errors_say_where(web: requests.Session, resource: str) -> None:
    """The message quotes the query and gives line and character."""
    body = web.get(f"{resource}.json", params={"$query": "SELECT zone WHERE zone = = 3"}).json()
    assert body["message"].startswith('Could not parse SoQL query "SELECT zone WHERE zone = = 3" at line 1 character 2')
    assert body["data"]["position"]["row"] == 1


def test_missing_and_unknown(web: requests.Session, portal: Running, resource: str) -> None:
    """No such dataset, no such address, no such parameter, no such method."""
    answer = web.get(f"{portal.address}/resource/zzzz-zzzz.json")
    assert answer.status_code == 404
    assert answer.json() == {
        "code": "dataset.missing",
        "error": True,
        "message": "Not found",
        "data": {"id": "zzzz-zzzz"},
    }
    assert web.get(f"{portal.address}/nowhere", headers={"Accept": "application/json"}).json()["message"] == "Not found"
    assert web.get(f"{resource}.json?$nonsense=1").status_code == 400
    assert web.patch(f"{resource}.json").status_code == 405


def test_whole_download_has_readable_headings(
    web: requests.Session, portal: Running, sample: str, cells: Cells
) -> None:
    """rows.csv has every row, under the columns' display names."""
    answer = web.get(f"{portal.address}/api/views/{sample}/rows.csv?accessType=DOWNLOAD")
    lines = answer.content.decode().split("\n")
    assert lines[0] == '"Cell","Period","Begins","Zone","Requests","Requests, status","Open","Place"'
    assert len(lines) == len(cells) + 2
    assert f'filename="{sample}.csv"' in answer.headers["Content-Disposition"]


def test_one_row_in_other_formats(web: requests.Session, resource: str) -> None:
    """The extension chooses; a feature alone says its coordinate system, a CSV has its header."""
    text = web.get(f"{resource}/0-01.csv").content.decode().split("\n")
    assert (text[0].split(",")[0], text[1].split(",")[0], text[2:]) == ('"id"', '"0-01"', [""])
    feature = web.get(f"{resource}/0-01.geojson").json()
    assert (feature["type"], feature["geometry"]["coordinates"]) == ("Feature", [-90.0, 38.01])
    assert feature["crs"]["properties"]["name"] == "urn:ogc:def:crs:OGC:1.3:CRS84"


def test_geojson_says_its_coordinate_system(web: requests.Session, resource: str) -> None:
    """As Socrata does, at the end of a collection, an empty one too."""
    for limit in (0, 1):
        found = web.get(f"{resource}.geojson?$limit={limit}").json()
        assert found["crs"] == {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
        assert len(found["features"]) == limit


def test_empty_answers_are_whole(web: requests.Session, resource: str) -> None:
    """No rows: an empty array, a header alone, whether by a limit or far behind the end."""
    for question in ("$limit=0", "$offset=99999999", "$where=id='none'"):
        assert web.get(f"{resource}.json?{question}").json() == []
        assert web.get(f"{resource}.csv?{question}").text.count("\n") == 1


def test_parameters_that_are_no_columns(web: requests.Session, portal: Running, resource: str) -> None:
    """An app token in the address filters nothing; `$$bom` marks a CSV; other `$$` parameters are left aside."""
    token = portal.secret["app_token"]
    for name in ("$$app_token", "app_token"):
        assert len(web.get(f"{resource}.json", params={name: token, "$limit": "3"}).json()) == 3
    assert web.get(f"{resource}.csv?$$bom=true&$limit=1").content.startswith(b'\xef\xbb\xbf"id"')
    assert web.get(f"{resource}.csv?$$read_from_nbe=true&$limit=1").content.startswith(b'"id"')


def test_headers_stay_small_and_name_row_identifiers(web: requests.Session, resource: str) -> None:
    """`:id` has Socrata's type; more fields than fit into headers are left out, with a warning."""
    headers = web.get(f"{resource}.json?$select=:id,zone&$limit=1").headers
    assert json.loads(headers["X-SODA2-Types"]) == ["row_identifier", "text"]
    many = ",".join(f"zone as a_rather_long_name_for_a_column_{number}" for number in range(120))
    headers = web.get(f"{resource}.json", params={"$select": many, "$limit": "1"}).headers
    assert "X-SODA2-Fields" not in headers
    assert "too large" in headers["X-SODA2-Warning"]


def test_answers_are_the_same_from_disk_and_from_memory(web: requests.Session, resource: str) -> None:
    """A version that is asked often moves into memory; nothing of the answer shows it."""
    questions = ("$order=:id", "$order=:id DESC&$limit=7", "$select=zone,sum(requests)&$group=zone", "$q=nord")
    first = [web.get(f"{resource}.json?{question}").content for question in questions]
    for _ in range(3):
        time.sleep(0.3)
        assert [web.get(f"{resource}.json?{question}").content for question in questions] == first


def test_every_kind_of_value(portal: Running, web: requests.Session) -> None:
    """Instants end in Z, an address is an object and in CSV `description (address)`, numbers lose idle zeros."""
    kinds = {"at": "fixed_timestamp", "link": "url", "n": "number", "yes": "checkbox", "way": "line"}
    link = {"url": "https://example.org/a", "description": "An example"}
    way = {"type": "LineString", "coordinates": [[-90.5, 38.25], [-90.0, 38.0]]}
    row = {"at": "2024-05-06T07:08:09.000Z", "link": link, "n": "1200.50", "yes": False, "way": way}
    with portal.client() as client:
        columns = [{"fieldName": name, "name": name, "dataTypeName": kind} for name, kind in kinds.items()]
        identifier = client.create("Kinds", columns=columns)["id"]
        client.upsert(identifier, [row, {"n": "-0.0"}])
        client.publish(identifier)
        client.set_permission(identifier, "public")
    address = f"{portal.address}/resource/{identifier}"
    assert web.get(f"{address}.json").json() == [row | {"n": "1200.5"}, {"n": "0"}]
    text = web.get(f"{address}.csv").text.split("\n")
    wkt = "LINESTRING (-90.5 38.25, -90.0 38.0)"
    shown = f'"2024-05-06T07:08:09.000Z","An example (https://example.org/a)","1200.5","false","{wkt}"'
    assert text[1:3] == [shown, ',,"0",,']
    data = web.get(f"{portal.address}/api/views/{identifier}/rows.json").json()["data"]
    assert data[0][8:] == [1714979289, ["https://example.org/a", "An example"], "1200.5", False, wkt]
    assert data[1][8:] == [None, None, "0", None, None]


def test_a_change_by_another_process_is_seen_at_once(tmp_path: Path) -> None:
    """What one process remembers of the catalog is as new as the file: columns, version and rows of one moment."""
    here, there = DatasetCatalog(tmp_path / "catalogue.sqlite"), DatasetCatalog(tmp_path / "catalogue.sqlite")
    there.add(blank("aaaa-bbbb"))
    assert here.find("cccc-dddd") is None
    for version in range(2, 30):
        there.change("aaaa-bbbb", version=version, columns=[PortalColumn(0, f"c{version}", "c", Kind.TEXT, 1)])
        found = here.find("aaaa-bbbb")
        assert found is not None
        assert (found.version, [column.field for column in found.columns]) == (version, [f"c{version}"])
        assert here.find("aaaa-bbbb") is found
        assert [each.version for each in here.all()] == [version]
    there.add(blank("cccc-dddd"))
    assert here.find("cccc-dddd") is not None
    there.remove("aaaa-bbbb")
    assert here.find("aaaa-bbbb") is None


def test_an_answer_whose_version_went_is_made_anew_once() -> None:
    """The second time reads the fresh version; if that has gone too, or the error is another, the reader hears it."""
    gone = problem(503, CHANGED, "The dataset changed")

    def answers(*errors: SodaError | None) -> Callable[[Deadline], Response]:
        left = iter(errors)

        def answer(_patience: Deadline) -> Response:
            error = next(left)
            if error is not None:
                raise error
            return Response("rows")

        return answer

    assert current(answers(gone, None), Deadline()).body == b"rows"
    with pytest.raises(SodaError, match="changed"):
        current(answers(gone, gone), Deadline())
    with pytest.raises(SodaError, match="other"):
        current(answers(invalid("other"), None), Deadline())


def test_a_column_called_app_token_can_be_filtered(web: requests.Session, portal: Running) -> None:
    """The bare name of a column is a filter; the token of SODA 2 and the header are tokens there as everywhere."""
    token = portal.secret["app_token"]
    with portal.client() as client:
        columns = [{"fieldName": name, "name": name, "dataTypeName": "text"} for name in ("id", "app_token")]
        name = client.create("Buses", columns=columns, row_identifier="id")["id"]
        client.upsert(name, [{"id": "a", "app_token": "red"}, {"id": "b", "app_token": "blue"}])
        client.publish(name)
        client.set_permission(name, "public")
        address = f"{portal.address}/resource/{name}"
        for path in (f"{address}.json", address):
            for headers in ({}, {"X-App-Token": token}):
                found = web.get(path, params={"app_token": "blue"}, headers=headers)
                assert (found.status_code, found.json()) == (200, [{"id": "b", "app_token": "blue"}])
        both = {"app_token": "red", "$$app_token": token}
        assert [row["id"] for row in web.get(f"{address}.json", params=both).json()] == ["a"]
        assert web.get(f"{address}.json", params=both | {"$$app_token": "invented"}).status_code == 403
        assert web.get(f"{address}/a.json", params={"app_token": "blue"}).json()["id"] == "a"
        elsewhere = f"{portal.address}/api/v3/views/{name}/query.json"
        assert web.get(elsewhere, params={"app_token": "blue"}).status_code == 403, "no filter there"
        assert web.get(elsewhere, params={"app_token": token}).status_code == 200
        client.delete(name)
