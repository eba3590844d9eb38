"""Catalog search and data.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from portal_process import publish, start, stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from portal_process import Running


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
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
                metadata={"rowIdentifier": "id", "custom_fields": {"Publisher": {"contact": "data@example.org"}}},
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


def test_data_json_is_dcat_us(web: requests.Session, catalog: Running) -> None:
    """Every field that DCAT-US 1.1 requires, for open datasets alone."""
    found = web.get(f"{catalog.address}/data.json").json()
    assert found["conformsTo"] == "https://project-open-data.cio.gov/v1.1/schema"
    assert len(found["dataset"]) == 5
    required = {"title", "description", "keyword", "modified", "publisher", "contactPoint", "identifier", "accessLevel"}
    for dataset in found["dataset"]:
        assert required <= dataset.keys()
        assert dataset["contactPoint"]["hasEmail"] == "mailto:data@example.org"
        assert dataset["license"].startswith("https://")
        media = [entry["mediaType"] for entry in dataset["distribution"]]
        assert media == ["text/csv", "application/json", "application/vnd.geo+json"]
