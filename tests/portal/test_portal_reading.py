"""SODA 2.1 as clients meet it: shapes, headers, formats, errors."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
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
    """An extension wins; otherwise the client's favourite; what cannot be served is 406."""

    def kind(accept: str, extension: str = "") -> str:
        return web.get(resource + extension, headers={"Accept": accept}).headers["Content-Type"].partition(";")[0]

    assert kind("*/*") == "application/json"
    assert kind("text/csv") == "text/csv"
    assert kind("application/json;q=0.2, text/csv;q=0.9") == "text/csv"
    assert kind("application/vnd.geo+json") == "application/vnd.geo+json"
    assert kind("text/csv", ".json") == "application/json"
    assert web.get(resource, headers={"Accept": "image/png"}).status_code == 406
    assert web.get(resource + ".xml").status_code == 406


def test_head_has_the_headers_and_no_body(web: requests.Session, resource: str) -> None:
    """HEAD answers like GET, without rows."""
    answer = web.head(f"{resource}.json")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["X-SODA2-Fields"]


def test_a_copy_that_is_current_is_not_sent_again(web: requests.Session, resource: str) -> None:
    """ETag and Last-Modified give 304; another question has another ETag."""
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
