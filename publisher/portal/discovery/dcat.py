"""Metadata for harvesters and search engines: DCAT-US 1.1 for the catalog, schema.org for a dataset."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.portal.answers.access import base_url, findable
from publisher.portal.api.views import iso
from publisher.portal.base.kinds import Kind
from publisher.portal.contract import about, email_of
from publisher.portal.discovery.titles import placed
from publisher.portal.downloads.downloads import standing

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.downloads.downloads import Offer

EVERY = {
    "day": ("R/P1D", "daily"),
    "week": ("R/P1W", "weekly"),
    "month": ("R/P1M", "monthly"),
    "quarter": ("R/P3M", "quarterly"),
    "year": ("R/P1Y", "annual"),
}
"""Update frequency by length of the period: in ISO 8601 and as a Dublin Core frequency."""


def span(period: str) -> tuple[date, date, str] | None:
    """The first and last day, and the length, of a period (2018, 2018-Q1, 2018-01, 2018-W03, 2018-01-05)."""
    found = re.fullmatch(r"(\d{4})(?:-(?:Q([1-4])|W(\d\d)|(\d\d)(?:-(\d\d))?))?", period)
    if not found:
        return None
    year, quarter, week, month, day = (int(part) if part else 0 for part in found.groups())
    try:
        if day:
            return date(year, month, day), date(year, month, day), "day"
        if week:
            return date.fromisocalendar(year, week, 1), date.fromisocalendar(year, week, 7), "week"
        first, months = (month, 1) if month else (3 * quarter - 2, 3) if quarter else (1, 12)
        following = date(year + (first + months > 12), (first + months - 1) % 12 + 1, 1)
        return date(year, first, 1), following - timedelta(days=1), {1: "month", 3: "quarter", 12: "year"}[months]
    except ValueError:
        return None


def covered(dataset: PortalDataset) -> tuple[date, date, str] | None:
    """The first and last day of the dataset's current releases, and the length of the latest one's period."""
    spans = [span(release.period) for release in about(dataset).releases if release.current]
    known = [each for each in spans if each]
    if not known:
        return None
    latest = max(known, key=lambda each: each[1])
    return min(each[0] for each in known), latest[1], latest[2]


def _area(dataset: PortalDataset) -> str:
    coverage = about(dataset).coverage
    return coverage.name if coverage else ""


def present(entry: dict[str, Any]) -> dict[str, Any]:
    """The members that say something."""
    return {name: value for name, value in entry.items() if value not in (None, "", [], {})}


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
            "dataset": [_first(request, base, dataset) for dataset in findable(request) if dataset.open],
        }
    )


def _first(request: Request, base: str, dataset: PortalDataset) -> dict[str, Any]:
    """A dataset in DCAT-US 1.1; `bureauCode` and `programCode` are only for federal publishers."""
    page, when = f"{base}/d/{dataset.id}", covered(dataset)
    return present(
        {
            "@type": "dcat:Dataset",
            "identifier": page,
            "landingPage": page,
            "title": placed(dataset),
            "description": dataset.description or dataset.name,
            "keyword": [tag for tag in dataset.tags if tag] or [dataset.category or "open data"],
            "modified": iso(dataset.changed_at),
            "issued": iso(dataset.published_at or dataset.created_at),
            "accessLevel": "public",
            "publisher": {"@type": "org:Organization", "name": dataset.publisher},
            "contactPoint": {
                "@type": "vcard:Contact",
                "fn": dataset.publisher,
                "hasEmail": f"mailto:{email_of(dataset)}",
            },
            "license": about(dataset).license_address,
            "theme": [dataset.category] if dataset.category else [],
            "temporal": f"{when[0].isoformat()}/{when[1].isoformat()}" if when else "",
            "spatial": _area(dataset),
            "accrualPeriodicity": EVERY[when[2]][0] if when else "",
            "describedBy": description_at(base, dataset),
            "describedByType": "application/json",
            "distribution": [_first_distribution(offer) for offer in standing(request, dataset)],
        }
    )


def description_at(base: str, dataset: PortalDataset) -> str:
    """The address that describes the columns, or the dataset if it has none."""
    return f"{base}/api/views/{dataset.id}" + (".json" if dataset.blob else "/datapackage.json")


def _first_distribution(offer: Offer) -> dict[str, Any]:
    return present(
        {
            "@type": "dcat:Distribution",
            "title": offer.format,
            "description": offer.description,
            "format": offer.label,
            "mediaType": offer.media_type,
            "downloadURL": offer.url,
        }
    )


_TYPES = {Kind.NUMBER: "Number", Kind.CHECKBOX: "Boolean", Kind.FLOATING: "DateTime", Kind.FIXED: "DateTime"}


def jsonld(base: str, dataset: PortalDataset) -> dict[str, Any]:
    """A dataset in schema.org's vocabulary, for dataset search engines; `base` is the portal's address.

    To put it in a page, escape `<`, because it goes into a script element.
    """
    page, when, known = f"{base}/d/{dataset.id}", covered(dataset), about(dataset)
    described = dataset.description or dataset.name
    return present(
        {
            "@context": "https://schema.org",
            "@type": "Dataset",
            "@id": page,
            "name": placed(dataset),
            # search engines refuse a description of fewer than 50 or more than 5000 characters
            "description": (described if len(described) >= 50 else f"{described}. {_summary(dataset)}")[:5000],
            "url": page,
            "sameAs": f"{base}/api/views/{dataset.id}",
            "identifier": dataset.id,
            "keywords": [tag for tag in dataset.tags if tag],
            "license": known.license_address,
            "creator": present(
                {"@type": "Organization", "name": dataset.publisher, "url": _web(dataset.attribution_link)}
            ),
            "isAccessibleForFree": True,
            "version": str(dataset.version),
            "datePublished": iso(dataset.published_at or dataset.created_at),
            "dateModified": iso(dataset.changed_at),
            "temporalCoverage": f"{when[0].isoformat()}/{when[1].isoformat()}" if when else "",
            "spatialCoverage": {"@type": "Place", "name": _area(dataset)} if _area(dataset) else None,
            "variableMeasured": [_variable(dataset, name, label) for name, label in _variables(dataset)],
            "includedInDataCatalog": {"@type": "DataCatalog", "url": base},
            "distribution": [
                {"@type": "DataDownload", "encodingFormat": media, "contentUrl": f"{base}/{path}"}
                for media, path in _files(dataset)
            ],
        }
    )


def _files(dataset: PortalDataset) -> list[tuple[str, str]]:
    """The media types and paths of the downloads."""
    if dataset.blob:
        media = str(dataset.metadata.get("blob", {}).get("mimeType", "application/octet-stream"))
        return [(media, f"api/views/{dataset.id}/files/{dataset.blob}")]
    return [
        ("text/csv", f"api/views/{dataset.id}/data.csv"),
        ("application/vnd.apache.parquet", f"api/views/{dataset.id}/rows.parquet"),
        ("application/json", f"resource/{dataset.id}.json"),
    ]


def _summary(dataset: PortalDataset) -> str:
    if dataset.blob:
        return f"A file of open data, published by {dataset.publisher}."
    return f"{dataset.rows} rows of open data with {len(dataset.columns)} columns, published by {dataset.publisher}."


def _web(address: str) -> str:
    return address if address.startswith(("https://", "http://")) else ""


def _variables(dataset: PortalDataset) -> list[tuple[str, str]]:
    """The measures if the publisher names them, otherwise all columns."""
    shape = about(dataset).shape
    if shape:
        return [(measure.name, measure.label) for measure in shape.measures]
    return [(column.field, column.name) for column in dataset.columns]


def _variable(dataset: PortalDataset, name: str, label: str) -> dict[str, str]:
    column = dataset.column(name)
    kind = f"https://schema.org/{_TYPES.get(column.kind, 'Text')}" if column else ""
    told = {"description": column.description, "additionalType": kind} if column else {}
    return present({"@type": "PropertyValue", "name": label, "alternateName": name, **told})


ROUTES = [Route("/data.json", data_json)]
