"""Finding datasets: the catalog search that Socrata's clients use, and `/data.json` for harvesters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.portal.access import base_url, visible, visitor
from publisher.portal.licences import name_of
from publisher.portal.structure import about
from publisher.portal.views import iso, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from publisher.portal.model import Dataset

_ORDERS: dict[str, Callable[[Dataset], Any]] = {
    "name": lambda dataset: dataset.name.lower(),
    "dataset_id": lambda dataset: dataset.id,
    "createdat": lambda dataset: dataset.created_at,
    "updatedat": lambda dataset: dataset.changed_at,
    "category": lambda dataset: dataset.category.lower(),
    "owner": lambda dataset: dataset.owner,
}


def search(request: Request) -> Response:
    """GET /api/catalog/v1: datasets that meet every condition, and how many there are in all."""
    started = time.perf_counter()
    found = _ordered(request, [dataset for dataset in visible(request) if _meets(request, dataset)])
    offset, limit = whole(request, "offset", 0), whole(request, "limit", 100)
    results = [_result(request, dataset) for dataset in found[offset : offset + limit]]
    spent = int((time.perf_counter() - started) * 1000)
    timings = {"serviceMillis": spent, "searchMillis": [spent]}
    return JSONResponse({"results": results, "resultSetSize": len(found), "timings": timings, "warnings": []})


def matching(datasets: list[Dataset], words: str) -> list[Dataset]:
    """The datasets in whose texts every word occurs."""
    return [dataset for dataset in datasets if all(word in _texts(dataset) for word in words.lower().split())]


def _texts(dataset: Dataset) -> str:
    named = (part for column in dataset.columns for part in (column.name, column.field))
    texts = (dataset.name, dataset.description, dataset.category, dataset.attribution, *dataset.tags, *named)
    return " ".join(texts).lower()


def _many(request: Request, name: str) -> set[str]:
    """A parameter that comes repeated or comma-joined, in lower case."""
    values = [*request.query_params.getlist(name), *request.query_params.getlist(f"{name}[]")]
    return {part.strip().lower() for value in values for part in value.split(",") if part.strip()}


def _meets(request: Request, dataset: Dataset) -> bool:
    return all(
        (
            _one_of(_many(request, "ids"), {dataset.id}),
            _one_of(_many(request, "names"), {dataset.name.lower()}),
            _one_of(_many(request, "categories"), {dataset.category.lower()}),
            _one_of(_many(request, "tags"), {tag.lower() for tag in dataset.tags}),
            _one_of(_many(request, "domains"), _domains(request)),
            _one_of(_many(request, "only"), {"dataset", "datasets"}),
            _one_of(_many(request, "attribution"), {dataset.attribution.lower()}),
            _one_of(_many(request, "license"), {dataset.license_id.lower(), name_of(dataset.license_id).lower()}),
            _many(request, "column_names") <= {part.lower() for c in dataset.columns for part in (c.name, c.field)},
            _is(request, "public", dataset.public),
            _is(request, "published", dataset.published),
            _one_of(_many(request, "visibility"), {"open" if dataset.open else "internal"}),
            bool(matching([dataset], request.query_params.get("q", ""))),
        )
    )


def _one_of(wanted: set[str], there: set[str]) -> bool:
    return not wanted or bool(wanted & there)


def _is(request: Request, name: str, value: bool) -> bool:
    wanted = request.query_params.get(name)
    return wanted is None or (wanted.lower() == "true") == value


def _domains(request: Request) -> set[str]:
    """The names under which this portal is known: with and without the port, as configured and as asked."""
    hosts = {urlsplit(base_url(request)).netloc.lower(), request.headers.get("host", "").lower()}
    return hosts | {host.partition(":")[0] for host in hosts}


def _ordered(request: Request, datasets: list[Dataset]) -> list[Dataset]:
    words = request.query_params.get("order", "name").lower().split()
    key = _ORDERS.get(words[0] if words else "name", _ORDERS["name"])
    return sorted(datasets, key=key, reverse=words[-1:] == ["desc"])


def _result(request: Request, dataset: Dataset) -> dict[str, Any]:
    base = base_url(request)
    stage = {} if visitor(request) is None else {"published": dataset.published, "public": dataset.public}
    return {
        "resource": {
            "name": dataset.name,
            "id": dataset.id,
            "parent_fxf": [],
            "description": dataset.description,
            "attribution": dataset.attribution or None,
            "attribution_link": dataset.attribution_link or None,
            "type": "dataset",
            "createdAt": iso(dataset.created_at),
            "updatedAt": iso(dataset.changed_at),
            "data_updated_at": iso(dataset.rows_updated_at),
            "metadata_updated_at": iso(dataset.updated_at),
            "publication_date": iso(dataset.published_at) if dataset.published_at else None,
            "columns_name": [column.name for column in dataset.columns],
            "columns_field_name": [column.field for column in dataset.columns],
            "columns_datatype": [column.type_name.replace("_", " ").title() for column in dataset.columns],
            "columns_description": [column.description for column in dataset.columns],
            "provenance": "official",
        },
        "classification": {
            "categories": [],
            "tags": [],
            "domain_category": dataset.category,
            "domain_tags": list(dataset.tags),
            "domain_metadata": _domain_metadata(dataset),
        },
        "metadata": {"domain": urlsplit(base).netloc, "license": name_of(dataset.license_id), **stage},
        "permalink": f"{base}/d/{dataset.id}",
        "link": f"{base}/d/{dataset.id}",
        "owner": {"id": dataset.owner, "display_name": dataset.owner, "user_type": "interactive"},
    }


def _domain_metadata(dataset: Dataset) -> list[dict[str, str]]:
    sets = dataset.metadata.get("custom_fields", {})
    return [
        {"key": f"{group}_{name}".replace(" ", "-"), "value": str(value)}
        for group, members in (sets.items() if isinstance(sets, dict) else ())
        for name, value in (members.items() if isinstance(members, dict) else ())
        if len(str(value)) <= 1000
    ]


def data_json(request: Request) -> Response:
    """GET /data.json: the open datasets as DCAT-US 1.1."""
    base = base_url(request)
    return JSONResponse(
        {
            "@context": "https://project-open-data.cio.gov/v1.1/schema/catalog.jsonld",
            "@id": f"{base}/data.json",
            "@type": "dcat:Catalog",
            "conformsTo": "https://project-open-data.cio.gov/v1.1/schema",
            "describedBy": "https://project-open-data.cio.gov/v1.1/schema/catalog.json",
            "dataset": [_dcat(base, dataset) for dataset in visible(request) if dataset.open],
        }
    )


def _dcat(base: str, dataset: Dataset) -> dict[str, Any]:
    page = f"{base}/d/{dataset.id}"
    entry = {
        "@type": "dcat:Dataset",
        "identifier": page,
        "landingPage": page,
        "title": dataset.name,
        "description": dataset.description or dataset.name,
        "keyword": list(dataset.tags) or [dataset.category or "open data"],
        "modified": iso(dataset.changed_at),
        "issued": iso(dataset.published_at or dataset.created_at),
        "accessLevel": "public",
        "publisher": {"@type": "org:Organization", "name": dataset.attribution or dataset.owner},
        "contactPoint": _contact(dataset),
        "license": about(dataset).licence_address,
        "theme": [dataset.category] if dataset.category else [],
        "distribution": _distributions(base, dataset),
    }
    return {name: value for name, value in entry.items() if value}


def _contact(dataset: Dataset) -> dict[str, str]:
    whom = about(dataset).contact
    point = {"@type": "vcard:Contact", "fn": dataset.attribution or dataset.owner}
    return point | ({"hasEmail": f"mailto:{whom}"} if "@" in whom else {})


def _distributions(base: str, dataset: Dataset) -> list[dict[str, str]]:
    forms = [("csv", "text/csv", f"api/views/{dataset.id}/rows.csv"), ("json", "application/json", "")]
    if dataset.geometry:
        forms.append(("geojson", "application/vnd.geo+json", ""))
    return [
        {
            "@type": "dcat:Distribution",
            "title": name,
            "mediaType": media,
            "downloadURL": f"{base}/{path or f'resource/{dataset.id}.{name}'}",
        }
        for name, media, path in forms
    ]


ROUTES = [
    Route("/data.json", data_json),
    Route("/api/catalog/v1", search),
    Route("/api/catalog/v1.json", search),
]
