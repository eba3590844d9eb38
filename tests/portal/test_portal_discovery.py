"""Catalog search and its facets."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from portal_process import blank, publish, start, stop
from starlette.requests import Request

from publisher.portal.answers.access import AppContext
from publisher.portal.app import application
from publisher.portal.discovery.search import search
from publisher.portal.engine.engine import QueryEngine
from publisher.portal.store.accounts import Accounts
from publisher.portal.store.store import PortalStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import requests
    from portal_process import Running


@pytest.fixture(scope="module")
def catalog(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal with five open datasets and one draft."""
    running = start(tmp_path_factory.mktemp("catalog") / "state", "--public-url", "https://data.example.org/")
    with running.client() as client:
        for number in range(5):
            publish(
                client,
                f"Dataset {number}",
                [],
                category="Housing" if number % 2 else "Water",
                tags=[f"tag{number}", "all"],
                description=f"About {'meters' if number < 2 else 'permits'}",
                attribution="City",
                licenseId="CC_40_BY",
                metadata={
                    "rowIdentifier": "id",
                    "custom_fields": {
                        "Facts": {"Office": "Harbor" if number == 3 else f"Office {number}"},
                        "Publisher": {"contact": "data@example.org"},
                    },
                },
            )
        client.create("Draft")
    yield running
    stop(running)


def names(found: dict[str, Any]) -> list[str]:
    """The last characters of the titles found."""
    assert found["resultSetSize"] >= len(found["results"])
    return [result["resource"]["name"].removeprefix("Dataset ") for result in found["results"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "01234"),
        ("q=meters", "01"),
        ("q=PERMITS city tag3", "3"),
        ("categories=Housing", "13"),
        ("categories=Housing,Water&tags=tag1,tag2", "12"),
        ("tags=tag1&tags=tag4", "14"),
        ("names=Dataset 2", "2"),
        ("domains=data.example.org", "01234"),
        ("domains=elsewhere.org", ""),
        ("only=dataset", "01234"),
        ("only=chart", ""),
        ("order=name DESC&limit=2", "43"),
        ("limit=2&offset=3", "34"),
        ("attribution=City&column_names=zone&license=CC_40_BY", "01234"),
    ],
)
def test_search_meets_every_condition(web: requests.Session, catalog: Running, query: str, expected: str) -> None:
    """Parameters narrow the result; list parameters come repeated or comma-joined."""
    assert "".join(names(web.get(f"{catalog.address}/api/catalog/v1?{query}").json())) == expected


def test_the_number_of_results_is_exact(web: requests.Session, catalog: Running) -> None:
    """resultSetSize counts all that match, not the page; drafts show with credentials alone."""
    address = f"{catalog.address}/api/catalog/v1?limit=2"
    assert web.get(address).json()["resultSetSize"] == 5
    assert web.get(address, auth=catalog.login).json()["resultSetSize"] == 6
    drafts = web.get(f"{address}&published=false", auth=catalog.login).json()
    assert [result["resource"]["name"] for result in drafts["results"]] == ["Draft"]
    assert web.get(f"{catalog.address}/api/catalog/v1?limit=x").status_code == 400


def test_results_have_the_shape_of_socrata(web: requests.Session, catalog: Running) -> None:
    """Resource, classification, metadata, permalink, link, owner."""
    (result,) = web.get(f"{catalog.address}/api/catalog/v1?names=Dataset 1").json()["results"]
    assert {"resource", "classification", "metadata", "permalink", "link", "owner"} <= result.keys()
    assert result["permalink"] == f"https://data.example.org/d/{result['resource']['id']}"
    assert result["classification"]["domain_category"] == "Housing"
    assert result["resource"]["columns_field_name"][:2] == ["id", "period"]
    assert result["resource"]["columns_datatype"][2] == "Calendar Date"


def test_results_say_what_socrata_says_and_no_number_that_nobody_counted(
    web: requests.Session, catalog: Running
) -> None:
    """Every member that Socrata's entries have; views are 0 and downloads unknown, since the portal counts neither."""
    (result,) = web.get(f"{catalog.address}/api/catalog/v1?names=Dataset 1").json()["results"]
    told = result["resource"]
    assert set(told["page_views"].values()) == {0}
    assert {"page_views_last_week", "page_views_last_month", "page_views_total"} <= told["page_views"].keys()
    assert told["download_count"] is None
    assert (told["lens_view_type"], told["lens_display_type"], told["blob_mime_type"]) == ("tabular", "table", None)
    assert (told["contact_email"], told["resource_name"]) == ("data@example.org", None)
    assert told["hide_from_data_json"] is told["locked"] is False


def test_autocomplete_completes_titles(web: requests.Session, catalog: Running) -> None:
    """All words but the last are whole, and the last may be a beginning; the form of an entry is not documented."""
    address = f"{catalog.address}/api/catalog/v1/autocomplete"
    found = web.get(f"{address}?q=Dat").json()
    assert [each["title"] for each in found["results"]] == [f"Dataset {number}" for number in range(5)]
    assert found["resultSetSize"] == 5
    assert found["results"][0]["display_title"] == '<span class="highlight">Dataset</span> 0'
    assert web.get(f"{address}?q=dataset 3").json()["results"][0]["title"] == "Dataset 3"
    assert web.get(f"{address}?q=data 3").json()["results"] == []
    assert web.get(f"{address}?q=data&categories=Housing&limit=1").json()["resultSetSize"] == 2
    assert web.get(f"{address}?limit=x").status_code == 400


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=meters tag4&min_should_match=1", "401"),
        ("q=meters tag1&min_should_match=50%25", "10"),
        ("only=datasets&provenance=official", "01234"),
        ("only=maps", ""),
        ("only=teapot", ""),
        ("only=teapot,dataset", "01234"),
        ("data_json_hidden=false", "01234"),
        ("data_json_hidden=true", ""),
        ("order=page_views_last_month", "01234"),
        ("order=page_views_total DESC&limit=1", "0"),
        ("order=page_views_last_week ASC&limit=1", "0"),
        ("order=download_count&limit=2", "01"),
        ("order=domain_category&limit=2", "13"),
        ("order=datatype", "01234"),
        ("visibility=open&public=true&published=true&audience=public", "01234"),
        ("derived=true", ""),
        ("for_user=nobody", ""),
        ("categories[]=Housing", "13"),
        ("column_names=zone,elsewhere", "01234"),
        ("Facts_Office=Harbor", "3"),
        ("Facts_Office=Elsewhere", ""),
        ("order=createdAt ASC&limit=1", "0"),
        ("order=name asc&q=all", "01234"),
        ("q=3", "3"),
        ("search_context=data.example.org&boostDomains=2", "01234"),
    ],
)
def test_search_has_the_rest_of_the_parameters(
    web: requests.Session, catalog: Running, query: str, expected: str
) -> None:
    """Shares of words, kinds, flags, custom fields, orders; those that only tune change nothing."""
    assert "".join(names(web.get(f"{catalog.address}/api/catalog/v1?{query}").json())) == expected


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "limit=10001",
        "offset=-1",
        "order=price",
        "order=name sideways",
        "public=perhaps",
        "visibility=foggy",
        "min_should_match=some",
    ],
)
def test_a_wrong_value_is_a_400(web: requests.Session, catalog: Running, query: str) -> None:
    """In Socrata's shape, naming the parameter."""
    answer = web.get(f"{catalog.address}/api/catalog/v1?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"] is True
    assert query.partition("=")[0] in answer.json()["message"]


def test_the_name_weighs_more_than_the_description(web: requests.Session, portal: Running) -> None:
    """Of datasets that a word meets, the one that is named so comes first, then tags, description, columns."""
    with portal.client() as client:
        publish(client, "D quokka in a column", [], description="nothing")
        publish(client, "A", [], description="about the quagga")
        publish(client, "B", [], tags=["quagga"])
        publish(client, "C quagga", [])
    found = web.get(f"{portal.address}/api/catalog/v1?q=quagga").json()
    assert [each["resource"]["name"] for each in found["results"]] == ["C quagga", "B", "A"]
    turned = web.get(f"{portal.address}/api/catalog/v1?q=quagga&order=relevance asc").json()
    assert [each["resource"]["name"] for each in turned["results"]] == ["A", "B", "C quagga"]
    paged = web.get(f"{portal.address}/api/catalog/v1?q=quagga&limit=1&offset=2").json()
    assert [each["resource"]["name"] for each in paged["results"]] == ["A"]
    assert paged["resultSetSize"] == 3


def test_scrolling_sees_every_dataset_once(web: requests.Session, catalog: Running) -> None:
    """Each page goes on after the last id of the one before; the size stays that of all."""
    seen: list[str] = []
    last = ""
    while True:
        page = web.get(f"{catalog.address}/api/catalog/v1?limit=2&scroll_id={last}").json()
        assert page["resultSetSize"] == 5
        if not page["results"]:
            break
        seen += [each["resource"]["id"] for each in page["results"]]
        last = seen[-1]
    assert len(set(seen)) == len(seen) == 5
    assert seen == sorted(seen)


def test_facets_count_the_values(web: requests.Session, catalog: Running) -> None:
    """Categories, tags and domains by how many datasets have them, of those that the parameters leave."""
    address = f"{catalog.address}/api/catalog/v1"
    assert web.get(f"{address}/categories").json()["results"] == [
        {"category": "Water", "count": 3},
        {"category": "Housing", "count": 2},
    ]
    assert web.get(f"{address}/domain_categories?q=meters").json()["results"] == [
        {"domain_category": "Housing", "count": 1},
        {"domain_category": "Water", "count": 1},
    ]
    tags = web.get(f"{address}/tags?categories=Housing").json()
    assert tags["results"] == [
        {"tag": "all", "count": 2},
        {"tag": "tag1", "count": 1},
        {"tag": "tag3", "count": 1},
    ]
    assert tags["resultSetSize"] == 3
    assert web.get(f"{address}/domains").json()["results"] == [{"domain": "data.example.org", "count": 5}]
    facets = {facet["facet"]: facet for facet in web.get(f"{address}/domains/data.example.org/facets").json()}
    assert facets["datatypes"]["values"] == [{"value": "dataset", "count": 5}]
    assert facets["tags"]["values"][0] == {"value": "all", "count": 5}
    assert {"value": "Harbor", "count": 1} in facets["Facts_Office"]["values"]
    assert web.get(f"{address}/domains/elsewhere.org/facets").status_code == 404


def test_sodapy_pages_through_all(portal: Running) -> None:
    """sodapy asks again until it has resultSetSize results."""
    with portal.client(anonymous=True) as client:
        everything = client.datasets()
        paged = client.datasets(limit=2, offset=1)
    assert len(paged) == 2
    assert [each["resource"]["id"] for each in paged] == [each["resource"]["id"] for each in everything[1:3]]


def test_an_account_is_looked_up_once_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many results a search has, and whatever they are narrowed by, who asks is found out once."""
    store = PortalStore(tmp_path / "state")
    store.accounts.add("anna", "a long password")
    for number in range(20):
        store.create(replace(blank(f"aaaa-aa{number:02}"), name=f"Dataset {number}", owner="anna"))
    proof, looks, check = b64encode(b"anna:a long password"), [], Accounts.check
    monkeypatch.setattr(Accounts, "check", lambda *given: looks.append(given[1]) or check(*given))
    scope = {
        "type": "http", "method": "GET", "path": "/api/catalog/v1", "query_string": b"for_user=anna",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", b"Basic " + proof)], "client": ("127.0.0.1", 1),
        "app": application(AppContext(store, QueryEngine())), "server": ("127.0.0.1", 80), "scheme": "http",
    }  # fmt: skip
    answer = search(Request(scope))
    assert bytes(answer.body).count(b'"permalink"') == 20
    assert looks == ["anna"]
