"""OData v4, as Excel, Power BI and Tableau ask for it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from portal_described import publish_described

if TYPE_CHECKING:
    import requests
    from portal_process import Running

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"


@pytest.fixture(scope="module")
def described(portal: Running) -> str:
    """The 4x4 of a dataset of twelve rows: three months of four wards."""
    return publish_described(portal)


@pytest.fixture(scope="module")
def address(portal: Running, described: str) -> str:
    """Where its rows are."""
    return f"{portal.address}/api/odata/v4/{described}"


def ids(answer: requests.Response) -> list[str]:
    """The rows' names."""
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["value"]]


def test_the_service_lists_entity_sets(web: requests.Session, portal: Running, described: str) -> None:
    """Each open dataset with an address that leads to its rows, and a context that leads to the metadata."""
    root = f"{portal.address}/api/odata/v4"
    answer = web.get(root)
    assert answer.headers["odata-version"] == "4.0"
    assert answer.headers["content-type"].startswith("application/json; odata.metadata=minimal")
    assert answer.json()["@odata.context"] == f"{root}/$metadata"
    (found,) = [each for each in answer.json()["value"] if each["url"] == described]
    assert found == {
        "name": f"d_{described.replace('-', '_')}",
        "kind": "EntitySet",
        "url": described,
        "title": "Requests by ward",
    }
    assert (
        web.get(f"{root}/{found['name']}?$top=1").json()["value"]
        == web.get(f"{root}/{described}?$top=1").json()["value"]
    )


def test_the_metadata_types_every_property(web: requests.Session, portal: Running, described: str, sample: str) -> None:
    """CSDL with valid names, a key, and EDM types; the container has the sets that the contexts name."""
    answer = web.get(f"{portal.address}/api/odata/v4/$metadata")
    assert answer.headers["content-type"].startswith("application/xml")
    schema = ElementTree.fromstring(answer.content).find(f".//{EDM}Schema")  # noqa: S314 -- our own
    assert schema is not None
    types = {each.get("Name"): each for each in schema.findall(f"{EDM}EntityType")}
    made = types[f"d_{described.replace('-', '_')}"]
    assert [each.get("Name") for each in made.findall(f"{EDM}Key/{EDM}PropertyRef")] == ["__id"]
    properties = {each.get("Name"): each.get("Type") for each in made.findall(f"{EDM}Property")}
    assert properties["requests"] == "Edm.Decimal"
    assert properties["period_start"] == properties["counted_at"] == "Edm.DateTimeOffset"
    assert properties["all_closed"] == "Edm.Boolean"
    points = types[f"d_{sample.replace('-', '_')}"]
    assert {each.get("Type") for each in points.findall(f"{EDM}Property[@Name='place']")} == {"Edm.GeographyPoint"}
    sets = {each.get("Name"): each.get("EntityType") for each in schema.iter(f"{EDM}EntitySet")}
    assert all(kind == f"{schema.get('Namespace')}.{name}" for name, kind in sets.items())
    assert set(sets) == set(types)


def test_rows_have_json_s_own_types(web: requests.Session, address: str, described: str) -> None:
    """Numbers bare, nulls there, times in UTC, the key first."""
    found = web.get(address).json(parse_float=Decimal)
    assert found["@odata.context"].endswith(f"/$metadata#d_{described.replace('-', '_')}")
    assert len(found["value"]) == 12
    row = found["value"][2]
    assert next(iter(row)) == "__id"
    assert row["requests"] is None
    assert found["value"][0]["requests"] == Decimal("1.25")
    assert row["period_start"] == "2024-01-01T00:00:00.000Z"
    assert row["counted_at"] == "2024-01-29T04:30:00.000Z"
    assert row["all_closed"] is False
    one = web.get(f"{address}('{row['__id']}')").json()
    assert {name: value for name, value in one.items() if not name.startswith("@")} == row
    assert one["@odata.context"].endswith("/$entity")
    assert web.get(f"{address}('row-none')").status_code == 404


def all_of(ward: int) -> list[str]:
    """The names of a ward's rows."""
    return [f"2024-0{month}-{ward}" for month in (1, 2, 3)]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("ward eq '1'", all_of(1)),
        ("'1' eq ward", all_of(1)),
        ("requests gt 200", ["2024-03-1", "2024-03-2", "2024-03-4"]),
        ("requests ge 201.25 and requests lt 204", ["2024-03-1", "2024-03-2"]),
        ("requests eq null", all_of(3)),
        ("requests ne null and period eq '2024-01'", ["2024-01-1", "2024-01-2", "2024-01-4"]),
        ("requests ne 1.25 and period eq '2024-01'", ["2024-01-2", "2024-01-3", "2024-01-4"]),
        ("not (ward eq '1' or ward eq '2' or ward eq '4')", all_of(3)),
        ("ward in ('1','2') and period eq '2024-02'", ["2024-02-1", "2024-02-2"]),
        ("all_closed eq true and period eq '2024-02'", ["2024-02-2", "2024-02-4"]),
        ("all_closed and startswith(period, '2024-03')", ["2024-03-2", "2024-03-4"]),
        ("contains(id, '-02-') and endswith(id, '4')", ["2024-02-4"]),
        ("tolower(requests_status) eq 'suppressed' and month(period_start) eq 2", ["2024-02-3"]),
        ("year(period_start) eq 2024 and ward eq '4'", all_of(4)),
        ("period_start ge 2024-03-01T00:00:00Z and ward eq '1'", ["2024-03-1"]),
        ("date(period_start) eq 2024-02-01 and ward eq '1'", ["2024-02-1"]),
        ("counted_at gt 2024-02-28T23:00:00-06:00 and ward eq '1'", ["2024-03-1"]),
        ("requests add 1 eq 2.25", ["2024-01-1"]),
        ("requests mul -1 lt -203", ["2024-03-4"]),
        ("length(note) eq 4 and concat(ward, period) eq '12024-01'", ["2024-01-1"]),
        ("note eq '=1+1'", ["2024-02-3"]),
    ],
)
def test_filters_mean_what_odata_says(web: requests.Session, address: str, condition: str, expected: list[str]) -> None:
    """Comparisons, null, logic, functions, arithmetic; the count agrees."""
    found = ids(web.get(address, params={"$filter": condition}))
    assert sorted(found) == expected
    assert web.get(f"{address}/$count", params={"$filter": condition}).text == str(len(found))


def test_order_select_top_and_skip(web: requests.Session, address: str) -> None:
    """Nulls come first when ascending and last when descending; the context names what was selected."""
    asked = {"$orderby": "requests asc,id desc", "$select": "id,requests", "$top": "4"}
    answer = web.get(address, params=asked)
    assert ids(answer) == [*reversed(all_of(3)), "2024-01-1"]
    assert list(answer.json()["value"][0]) == ["id", "requests"]
    assert answer.json()["@odata.context"].endswith("(id,requests)")
    turned = web.get(address, params={"$orderby": "requests desc", "$top": "1", "$skip": "1"})
    assert ids(turned) == ["2024-03-2"]
    counted = web.get(address, params={"$count": "true", "$top": "0"}).json()
    assert (counted["@odata.count"], counted["value"]) == (12, [])


def test_pages_follow_one_another(web: requests.Session, address: str) -> None:
    """The links lead through every row once, with the same options, and end."""
    asked: dict[str, Any] = {"$filter": "ward ne '2'", "$orderby": "period desc", "$top": "8", "$skip": "1"}
    headers = {"Prefer": "odata.maxpagesize=3"}
    whole = ids(web.get(address, params=asked))
    seen, answer = [], web.get(address, params=asked, headers=headers)
    sizes = []
    while True:
        seen += ids(answer)
        sizes.append(len(answer.json()["value"]))
        following = answer.json().get("@odata.nextLink")
        if following is None:
            break
        answer = web.get(following, headers=headers)
    assert seen == whole
    assert sizes == [3, 3, 2]


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"$filter": "nothing eq 1"}, 400),
        ({"$filter": "requests eq"}, 400),
        ({"$filter": "requests eq 'many'"}, 400),
        ({"$filter": "c_1_c eq 1"}, 400),
        ({"$filter": "1 add " * 1300 + "1 eq requests"}, 400),
        ({"$filter": "not " * 1500 + "all_closed"}, 400),
        ({"$filter": "period_start eq 2024-02-31"}, 400),
        ({"$filter": "x" * 9000}, 400),
        ({"$filter": "now() gt period_start"}, 501),
        ({"$filter": "ward/any(d:d eq '1')"}, 501),
        ({"$filter": "endswith(id, '%')"}, 501),
        ({"$orderby": "requests sideways"}, 400),
        ({"$orderby": "nothing"}, 400),
        ({"$select": "nothing"}, 400),
        ({"$top": "-1"}, 400),
        ({"$skip": "x"}, 400),
        ({"$count": "yes"}, 400),
        ({"$expand": "zone"}, 501),
        ({"$apply": "aggregate($count as n)"}, 501),
        ({"$format": "atom"}, 501),
    ],
)
def test_what_cannot_be_answered_is_said_in_odata_s_shape(
    web: requests.Session, address: str, options: dict[str, str], status: int
) -> None:
    """400 for what is wrong, 501 for what is not there, with a code and a message, and nothing of the engine."""
    answer = web.get(address, params=options)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message"}
    assert "duckdb" not in answer.text.lower()


def test_private_datasets_stay_private(web: requests.Session, portal: Running) -> None:
    """Not in the service document nor in the metadata, and 403 in OData's shape."""
    with portal.client() as client:
        draft = client.create("OData draft")["id"]
    root = f"{portal.address}/api/odata/v4"
    assert draft not in web.get(root).text
    assert draft.replace("-", "_") not in web.get(f"{root}/$metadata").text
    refused = web.get(f"{root}/{draft}")
    assert (refused.status_code, list(refused.json())) == (403, ["error"])
    assert draft in web.get(root, auth=portal.login).text
    assert web.get(f"{root}/zzzz-zzzz").status_code == 404
    assert web.get(f"{root}/nonsense").status_code == 404


def test_what_the_clients_send(web: requests.Session, address: str) -> None:
    """Power BI's, Excel's and Tableau's headers and parameters; a copy that is current gives 304."""
    headers = {
        "Accept": "application/json;odata.metadata=minimal;q=1.0,application/json;odata=minimalmetadata;q=0.9",
        "OData-MaxVersion": "4.0",
        "MaxDataServiceVersion": "3.0",
    }
    answer = web.get(address, params={"$top": "1000", "$format": "json"}, headers=headers)
    assert len(ids(answer)) == 12
    mark = {"If-None-Match": answer.headers["etag"]}
    assert web.get(address, params={"$top": "1000", "$format": "json"}, headers=headers | mark).status_code == 304
