"""What harvesters and search engines read: DCAT-US 1.1 and 3.0, schema.org."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from portal_described import publish_described, said
from portal_process import blank
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4
from schema_files import schema_files

from publisher.portal.discovery.dcat import jsonld, span
from publisher.portal.discovery.titles import placed
from publisher.portal.store.store import PortalStore

if TYPE_CHECKING:
    import requests
    from portal_process import Running

SAID = {"custom_fields": {"Publisher": said()}}
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
    assert formats == ["CSV", "Parquet", "Excel", "GeoJSON", "KML", "KMZ", "Shapefile"]
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


MISSING = frozenset(
    "ChecksumAlgorithm Dimension Frequency ImageObject LinguisticSystem Policy Resource Role anySimpleType".split()
)
"""Definitions to which the files of DCAT-US 3.0 refer without having them; any object is one of them."""


def dcat_us_3_schema() -> dict[str, Any]:
    """The files as one schema.

    Their `$id`s are RDF terms, which would change what a reference means. A keyword is one text in them, where the
    standard has any number of keywords (0..n), and so do the files of its present repository.
    """
    files = schema_files("dcat-us-3")
    definitions = {name: without_ids(each) for name, each in files.items() if not name.startswith("dcat_us")}
    assert set(re.findall(r"#/definitions/(\w+)", json.dumps(definitions))) - definitions.keys() == MISSING
    for each in (definitions["Dataset"], definitions["Catalog"]):
        each["properties"]["keyword"] = {"type": "array", "items": {"type": "string"}}
    return {
        "$ref": "#/definitions/Catalog",
        "definitions": definitions | {name: {"type": "object"} for name in MISSING},
    }


def without_ids(schema: Any) -> Any:
    """The schema without the members that name it."""
    if isinstance(schema, list):
        return [without_ids(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: without_ids(each) for name, each in schema.items() if not (name == "$id" and isinstance(each, str))}


def dates() -> jsonschema.FormatChecker:
    """Checks dates and moments, of which a value must be exactly one."""
    checker = jsonschema.FormatChecker(formats=())
    checker.checks("date", ValueError)(lambda text: len(text) == 10 and bool(date.fromisoformat(text)))
    checker.checks("date-time", ValueError)(lambda text: "T" in text and bool(datetime.fromisoformat(text)))
    return checker


@pytest.mark.usefixtures("described")
def test_dcat_us_3_fits_the_schema_files(web: requests.Session, shipped: Running, portal: Running) -> None:
    """The shipped datasets and one of which everything is said; an entry without its publisher does not fit."""
    schema = dcat_us_3_schema()
    validator = jsonschema.Draft7Validator(schema, format_checker=dates())
    series = validator.evolve(schema={**schema, "$ref": "#/definitions/DatasetSeries"})
    for running in (shipped, portal):
        found = web.get(f"{running.address}/dcat-us-3.json").json()
        validator.validate(found)
        for each in found["datasetSeries"]:
            series.validate(each)
        spoiled = {name: value for name, value in found["dataset"][0].items() if name != "publisher"}
        assert not validator.is_valid(found | {"dataset": [spoiled]})


def test_data_json_fits_the_schema_files(web: requests.Session, shipped: Running) -> None:
    """The shipped datasets by the files of Project Open Data, but for the codes that only federal publishers have."""
    files = schema_files("dcat-us-1.1")
    files["dataset"]["required"] = [name for name in files["dataset"]["required"] if not name.endswith("Code")]
    known = Registry().with_resources((each["id"].rstrip("#"), Resource(each, DRAFT4)) for each in files.values())
    validator = jsonschema.Draft4Validator(files["catalog"], registry=known)
    found = web.get(f"{shipped.address}/data.json").json()
    assert len(found["dataset"]) == 31
    validator.validate(found)
    spoiled = {name: value for name, value in found["dataset"][0].items() if name != "contactPoint"}
    assert not validator.is_valid(found | {"dataset": [spoiled]})


def test_recurring_publications_are_series(web: requests.Session, shipped: Running) -> None:
    """The tables that come out together are members of one series, which says how often and since when."""
    found = web.get(f"{shipped.address}/dcat-us-3.json").json()
    every = {each["@id"]: each for each in found["dataset"]}
    series = {each["title"]: each for each in found["datasetSeries"]}
    told = series["Service requests by week, part of the city and kind (St. Louis, Missouri)"]
    assert told["accrualPeriodicity"] == "weekly"
    assert told["temporal"] == [{"@type": "PeriodOfTime", "startDate": "2018-01-01", "endDate": "2018-01-28"}]
    assert told["spatial"][0]["prefLabel"] == "St. Louis, Missouri"
    assert len(told["seriesMember"]) == 4
    for member in told["seriesMember"]:
        (own,) = every[member]["inSeries"]
        assert own == {name: told[name] for name in ("@id", "@type", "title", "description")}
    assert sorted(each for one in series.values() for each in one["seriesMember"]) == sorted(every)
    assert web.get(told["@id"].replace("https://data.example.org", shipped.address)).status_code == 200


def test_titles_carry_their_city(web: requests.Session, shipped: Running) -> None:
    """In both catalogs and in schema.org; not where the title itself names the city."""
    for path in ("data.json", "dcat-us-3.json"):
        titles = [each["title"] for each in web.get(f"{shipped.address}/{path}").json()["dataset"]]
        assert len(set(titles)) == len(titles) == 31
        assert "Service requests by neighborhood and month (St. Louis, Missouri)" in titles
        assert all(title.endswith(")") for title in titles)
    dataset = replace(blank("aaaa-aaaa"), name="Calls in St. Louis", metadata=SAID)
    assert placed(dataset) == "Calls in St. Louis"
    assert placed(replace(dataset, name="Calls")) == "Calls (St. Louis, Missouri)"
    assert placed(replace(dataset, name="Calls", metadata={})) == "Calls"
    assert jsonld("https://data.example.org", replace(dataset, name="Calls"))["name"] == "Calls (St. Louis, Missouri)"


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
