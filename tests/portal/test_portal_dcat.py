"""What harvesters and search engines read: DCAT-US 1.1 and 3.0, schema.org."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from portal_described import publish_described

from publisher.portal.discovery.dcat import jsonld, span
from publisher.portal.store.store import PortalStore

if TYPE_CHECKING:
    import requests
    from portal_process import Running

DATE = r"^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?Z)?$"
MEDIA = r"^[-\w]+/[-\w]+(\.[-\w]+)*([+][-\w]+)?$"
DISTRIBUTION = {
    "type": "object",
    "required": ["@type", "mediaType", "downloadURL"],
    "properties": {
        "@type": {"const": "dcat:Distribution"},
        "mediaType": {"type": "string", "pattern": MEDIA},
        "format": {"type": "string", "minLength": 1},
        "downloadURL": {"type": "string", "format": "uri", "pattern": "^https?://"},
    },
}
# the rules of the Project Open Data schema v1.1 for publishers that are not federal, with its patterns
DCAT_1 = {
    "type": "object",
    "required": ["conformsTo", "dataset", "@context", "@type"],
    "properties": {
        "@type": {"const": "dcat:Catalog"},
        "conformsTo": {"const": "https://project-open-data.cio.gov/v1.1/schema"},
        "dataset": {
            "type": "array",
            "uniqueItems": True,
            "items": {
                "type": "object",
                "required": [
                    "title",
                    "description",
                    "keyword",
                    "modified",
                    "publisher",
                    "contactPoint",
                    "identifier",
                    "accessLevel",
                ],
                "not": {"anyOf": [{"required": ["bureauCode"]}, {"required": ["programCode"]}]},
                "properties": {
                    "@type": {"const": "dcat:Dataset"},
                    "title": {"type": "string", "minLength": 1},
                    "description": {"type": "string", "minLength": 1},
                    "identifier": {"type": "string", "minLength": 1},
                    "keyword": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
                    "theme": {"type": "array", "minItems": 1, "uniqueItems": True},
                    "modified": {"type": "string", "pattern": DATE},
                    "issued": {"type": "string", "pattern": DATE},
                    "accessLevel": {"enum": ["public", "restricted public", "non-public"]},
                    "license": {"type": "string", "format": "uri", "pattern": "^https?://"},
                    "landingPage": {"type": "string", "format": "uri"},
                    "spatial": {"type": "string", "minLength": 1},
                    "temporal": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d/\d{4}-\d\d-\d\d$"},
                    "accrualPeriodicity": {"type": "string", "pattern": r"^R/P\d+[YMWD]$"},
                    "describedByType": {"type": "string", "pattern": MEDIA},
                    "publisher": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"@type": {"const": "org:Organization"}, "name": {"minLength": 1}},
                    },
                    "contactPoint": {
                        "type": "object",
                        "required": ["fn", "hasEmail"],
                        "properties": {
                            "@type": {"const": "vcard:Contact"},
                            "fn": {"type": "string", "minLength": 1},
                            "hasEmail": {"type": "string", "pattern": r"^mailto:([\w.-]+@[\w.-]+\.[\w.-]+)?$"},
                        },
                    },
                    "distribution": {"type": "array", "minItems": 1, "uniqueItems": True, "items": DISTRIBUTION},
                },
            },
        },
    },
}
# the required members and forms of DCAT-US 3.0's own JSON schema
TEXTS = {"type": "array", "items": {"type": "string"}}
CHECKSUM = {
    "type": "object",
    "required": ["algorithm", "checksumValue"],
    "properties": {"checksumValue": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
}
DCAT_3 = {
    "type": "object",
    "required": ["@context", "dataset", "title", "description", "publisher"],
    "properties": {
        "@type": {"const": "Catalog"},
        "dataset": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["@id", "title", "description", "identifier", "publisher", "contactPoint", "distribution"],
                "properties": {
                    "@type": {"const": "Dataset"},
                    "identifier": TEXTS,
                    "keyword": TEXTS,
                    "version": {"type": "string"},
                    "modified": {"type": "string", "pattern": DATE},
                    "contactPoint": {"type": "array", "items": {"required": ["fn", "hasEmail"]}},
                    "provenance": {"type": "array", "items": {"type": "object", "required": ["label"]}},
                    "temporal": {"type": "array", "items": {"required": ["startDate", "endDate"]}},
                    "distribution": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["downloadURL", "mediaType"],
                            "properties": {"byteSize": {"type": "string"}, "checksum": CHECKSUM},
                        },
                    },
                },
            },
        },
    },
}


@pytest.fixture(scope="module")
def described(portal: Running) -> str:
    """The 4x4 of a dataset of which everything is said."""
    return publish_described(portal)


def entry(catalog: dict[str, Any], identifier: str) -> dict[str, Any]:
    """The catalog's entry of a dataset."""
    key = "@id" if catalog["@type"] == "Catalog" else "identifier"
    (found,) = [each for each in catalog["dataset"] if each[key].endswith(f"/d/{identifier}")]
    return dict(found)


def test_data_json_follows_the_schema(web: requests.Session, portal: Running, described: str, sample: str) -> None:
    """Every rule of the v1.1 schema, for datasets that say everything and for those that say little."""
    found = web.get(f"{portal.address}/data.json").json()
    jsonschema.validate(found, DCAT_1, format_checker=jsonschema.FormatChecker())
    told = entry(found, described)
    assert told["temporal"] == "2024-01-01/2024-03-31"
    assert told["accrualPeriodicity"] == "R/P1M"
    assert told["spatial"] == "St. Louis, Missouri"
    assert told["contactPoint"]["hasEmail"] == "mailto:data@example.org"
    assert told["license"] == "https://creativecommons.org/licenses/by/4.0/"
    formats = [each["format"] for each in told["distribution"]]
    assert formats == ["CSV", "Parquet", "Excel", "GeoJSON", "KML", "Shapefile"]
    assert entry(found, sample)["contactPoint"]["hasEmail"] == "mailto:"


def test_every_distribution_can_be_had(web: requests.Session, portal: Running, described: str) -> None:
    """Each download address answers with the media type that is told."""
    for each in entry(web.get(f"{portal.address}/data.json").json(), described)["distribution"]:
        answer = web.get(each["downloadURL"])
        assert answer.status_code == 200, each
        assert answer.headers["content-type"].partition(";")[0] == each["mediaType"]


def test_drafts_are_in_no_catalog(web: requests.Session, portal: Running) -> None:
    """Not even for those who may read them: harvesters take what is open."""
    with portal.client() as client:
        draft = client.create("A draft")["id"]
    for path in ("data.json", "dcat-us-3.json"):
        assert draft not in web.get(f"{portal.address}/{path}", auth=portal.login).text


def test_dcat_us_3_has_sizes_and_checksums(web: requests.Session, portal: Running, described: str) -> None:
    """JSON-LD with context; the checksum is that of the file which the address gives."""
    web.get(f"{portal.address}/api/views/{described}/downloads.json")
    answer = web.get(f"{portal.address}/dcat-us-3.json")
    assert answer.headers["content-type"] == "application/ld+json"
    found = answer.json()
    jsonschema.validate(found, DCAT_3)
    told = entry(found, described)
    assert told["temporal"] == [{"@type": "PeriodOfTime", "startDate": "2024-01-01", "endDate": "2024-03-31"}]
    assert told["spatial"][0]["prefLabel"] == "St. Louis, Missouri"
    assert [each["label"] for each in told["provenance"]] == [
        "Based on Service requests. To mend streets.",
        "Each request is protected.",
    ]
    for each in told["distribution"]:
        sidecar = web.get(f"{each['downloadURL']}.sha256").text
        assert sidecar.startswith(each["checksum"]["checksumValue"])
        assert int(each["byteSize"]) == len(web.get(each["downloadURL"]).content)


def test_json_ld_has_what_search_engines_ask_for(portal: Running, described: str) -> None:
    """Name, a description of 50 to 5000 characters, license, creator, coverage, measures and downloads."""
    dataset = PortalStore(portal.state).get(described)
    told = jsonld("https://data.example.org", dataset)
    assert json.loads(json.dumps(told)) == told
    assert told["@type"] == "Dataset"
    assert 50 <= len(told["description"]) <= 5000
    assert told["license"] == "https://creativecommons.org/licenses/by/4.0/"
    assert told["creator"]["name"] == "City of Example"
    assert told["isAccessibleForFree"] is True
    assert told["temporalCoverage"] == "2024-01-01/2024-03-31"
    assert told["spatialCoverage"] == {"@type": "Place", "name": "St. Louis, Missouri"}
    assert [each["name"] for each in told["variableMeasured"]] == ["Requests"]
    assert told["url"] == f"https://data.example.org/d/{described}"
    assert all(each["contentUrl"].startswith("https://data.example.org/") for each in told["distribution"])


@pytest.mark.parametrize(
    ("period", "first", "last", "grain"),
    [
        ("2024", (2024, 1, 1), (2024, 12, 31), "year"),
        ("2024-Q4", (2024, 10, 1), (2024, 12, 31), "quarter"),
        ("2024-Q1", (2024, 1, 1), (2024, 3, 31), "quarter"),
        ("2024-02", (2024, 2, 1), (2024, 2, 29), "month"),
        ("2024-12", (2024, 12, 1), (2024, 12, 31), "month"),
        ("2024-W01", (2024, 1, 1), (2024, 1, 7), "week"),
        ("2020-W53", (2020, 12, 28), (2021, 1, 3), "week"),
        ("2024-02-29", (2024, 2, 29), (2024, 2, 29), "day"),
    ],
)
def test_periods_are_spans_of_days(
    period: str, first: tuple[int, int, int], last: tuple[int, int, int], grain: str
) -> None:
    """Every grain that the publisher has."""
    assert span(period) == (date(*first), date(*last), grain)


@pytest.mark.parametrize("period", ["", "lifetime", "2024-13", "2024-W54", "2023-02-29", "24", "2024-Q5", "0000"])
def test_other_words_are_no_periods(period: str) -> None:
    """What is no period says nothing about time."""
    assert span(period) is None
