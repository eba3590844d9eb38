"""SODA 3 as clients meet it: `/api/v3/views/{4x4}/query` and `/export`."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal_process import Running

Cells = list[dict[str, Any]]


@pytest.fixture(scope="module")
def views(portal: Running, sample: str) -> str:
    """The address below which the sample is asked."""
    return f"{portal.address}/api/v3/views/{sample}"


@pytest.fixture(scope="module")
def tokened(portal: Running) -> Iterator[requests.Session]:
    """A reader who names a registered app token."""
    with requests.Session() as session:
        session.headers["X-App-Token"] = portal.secret["app_token"]
        yield session


def test_a_token_or_an_account_is_needed(portal: Running, web: requests.Session, views: str) -> None:
    """Nobody, and an invented token, get 403 with a message; a token in header or address, or a login, works."""
    nobody = web.post(f"{views}/query.json", json={"query": "SELECT *"})
    assert nobody.status_code == 403
    assert nobody.json() == {"message": "You must be logged in to access this resource", "error": True}
    assert web.get(f"{views}/query.json?app_token=invented").status_code == 403
    token = portal.secret["app_token"]
    assert web.get(f"{views}/query.json", params={"app_token": token}).status_code == 200
    assert web.get(f"{views}/query.json", headers={"X-App-Token": token}).status_code == 200
    assert web.get(f"{views}/query.json", auth=portal.login).status_code == 200


def test_pages_meet_every_row_once(tokened: requests.Session, views: str, cells: Cells) -> None:
    """Pages count from 1; past the end there is an empty array; a GET says the same in its address."""
    seen: list[str] = []
    for number in (1, 2, 3, 4):
        page = {"pageNumber": number, "pageSize": 50}
        body = {"query": "SELECT id, zone ORDER BY zone", "page": page, "includeSynthetic": False}
        posted = tokened.post(f"{views}/query.json", json=body)
        got = tokened.get(f"{views}/query.json", params={"query": body["query"], **page}).json()
        assert posted.json() == got
        seen += [row["id"] for row in got]
    assert sorted(seen) == sorted(row["id"] for row in cells)
    assert tokened.post(f"{views}/query.json", json=body | {"page": page | {"pageNumber": 9}}).json() == []


def test_a_page_is_a_page_of_the_querys_own_answer(tokened: requests.Session, views: str) -> None:
    """A LIMIT in the query bounds what there is to page through."""
    body = {"query": "SELECT id ORDER BY id LIMIT 5", "page": {"pageNumber": 2, "pageSize": 3}}
    assert [row["id"] for row in tokened.post(f"{views}/query.json", json=body).json()] == ["0-03", "0-04"]


def test_system_columns_come_unless_they_are_declined(tokened: requests.Session, views: str) -> None:
    """As documented, `includeSystem` is true by default and concerns `*`."""
    whole, *bare = (
        tokened.post(f"{views}/query.json", json={"query": "SELECT * LIMIT 1", **more}).json()[0]
        for more in ({}, {"includeSystem": False}, {"includeSynthetic": False})
    )
    assert {name for name in whole if name.startswith(":")} == {":id", ":created_at", ":updated_at"}
    assert bare == [{name: value for name, value in whole.items() if not name.startswith(":")}] * 2


def test_query_in_other_formats(tokened: requests.Session, views: str) -> None:
    """The extension, or else Accept, chooses."""
    asked = {"query": "SELECT id, place LIMIT 2"}
    assert tokened.post(f"{views}/query.csv", json=asked).text.startswith('"id","place"\n"0-00","POINT (-90.0 38.0)"\n')
    assert len(tokened.post(f"{views}/query.geojson", json=asked).json()["features"]) == 2
    chosen = tokened.post(f"{views}/query", json=asked, headers={"Accept": "text/csv"})
    assert chosen.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert tokened.post(f"{views}/query.teapot", json=asked).status_code == 406


def test_export_has_every_row_for_people(tokened: requests.Session, views: str, sample: str, cells: Cells) -> None:
    """Display names, another separator and a byte order mark where asked; JSON and GeoJSON are whole too."""
    plain = tokened.get(f"{views}/export.csv")
    assert plain.headers["Content-Disposition"] == f'attachment; filename="{sample}.csv"'
    assert next(csv.reader(io.StringIO(plain.text)))[:4] == ["Cell", "Period", "Begins", "Zone"]
    options = {"serializationOptions": {"separator": ";", "bom": True}}
    for_sheets = tokened.post(f"{views}/export.csv", json=options).content
    assert for_sheets.startswith('\ufeff"Cell";"Period"'.encode())
    records = list(csv.DictReader(io.StringIO(for_sheets.decode("utf-8-sig")), delimiter=";"))
    assert [record["Zone"] for record in records] == [row["zone"] for row in cells]
    assert len(tokened.get(f"{views}/export.json").json()) == len(cells)
    assert len(tokened.get(f"{views}/export.geojson").json()["features"]) == len(cells)


WRONG = [
    b"{",
    b"[1]",
    b'{"query": 5}',
    b'{"query": "SELECT nothing"}',
    b'{"page": {"pageNumber": 0}}',
    b'{"page": {"pageSize": -1}}',
    b'{"page": 3}',
    b'{"orderingSpecifier": "some"}',
    b'{"parameters": {"x": 1}}',
    b'{"timeout": 0}',
    b'{"serializationOptions": {"separator": "ab"}}',
    b"\xff",
]


@pytest.mark.parametrize("body", WRONG)
def test_a_wrong_request_is_explained(tokened: requests.Session, views: str, body: bytes) -> None:
    """400 with a message, in the shape of every other error."""
    answer = tokened.post(f"{views}/query.json", data=body)
    assert answer.status_code == 400
    assert answer.json()["error"] is True
    assert answer.json()["message"]


def test_an_export_has_no_pages(tokened: requests.Session, views: str) -> None:
    """A page of an export is refused rather than left aside."""
    answer = tokened.post(f"{views}/export.csv", json={"page": {"pageNumber": 2, "pageSize": 10}})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_private_dataset_stays_private(portal: Running, tokened: requests.Session) -> None:
    """An app token names a program, not a person: it opens nothing that is not public."""
    with portal.client() as client:
        identifier = client.create("Private", columns=[{"fieldName": "a", "name": "a", "dataTypeName": "text"}])["id"]
    asked = f"{portal.address}/api/v3/views/{identifier}/query.json"
    assert tokened.get(asked).status_code == 403
    assert requests.get(asked, auth=portal.login, timeout=30).json() == []
