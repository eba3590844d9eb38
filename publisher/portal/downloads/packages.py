"""Frictionless data packages: a CSV of each release or of the whole dataset, with schema, license, and hash."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.grades import STATUSES
from publisher.portal.answers.access import base_url, readable, tabular
from publisher.portal.base.kinds import Kind
from publisher.portal.base.problems import changing, problem
from publisher.portal.contract import about
from publisher.portal.downloads.downloads import CSV, kept, sent, write_csv
from publisher.portal.soql.compiler import SoqlQuestion

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.base.model import PortalColumn, PortalDataset
    from publisher.portal.contract import ReleaseFacts
    from publisher.portal.store.file_cache import Kept

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
RETRY = 30
"""Seconds after which a client should try again while the dataset is being updated."""
_TYPES = {Kind.NUMBER: "number", Kind.CHECKBOX: "boolean", Kind.FLOATING: "datetime", Kind.FIXED: "datetime"}


def release_of(dataset: PortalDataset, period: str, edition: str) -> ReleaseFacts:
    """The release with this period and edition.

    Raises SodaError 404, 410 if it was replaced or retracted, or 503 while the rows are being changed.
    """
    listed = [release for release in about(dataset).releases if release.period == period]
    found = next((release for release in listed if str(release.edition) == edition), None)
    if found is None:
        raise problem(404, "release.missing", "This release does not exist", period=period[:100], edition=edition[:100])
    if not found.current:
        current = next((release.edition for release in listed if release.current), None)
        instead = f"it was replaced by edition {current}" if current else "it was retracted"
        raise problem(
            410,
            "release.superseded",
            f"Edition {edition} of {period} is no longer available: {instead}",
            current=current,
        )
    if about(dataset).shape is None:
        raise problem(404, "release.missing", "The columns of this dataset do not show which rows belong to a release")
    if about(dataset).unfinished:
        raise changing(RETRY)
    return found


async def _release(request: Request) -> tuple[PortalDataset, ReleaseFacts, Kept]:
    dataset = await run_in_threadpool(readable, request, request.path_params["id"])
    release = release_of(dataset, request.path_params["period"], request.path_params["edition"])
    shape = about(dataset).shape
    rows = SoqlQuestion(filters=((shape.period, release.period),) if shape else (), limit=None)
    name = f"release-{hashlib.sha256(release.period.encode()).hexdigest()[:16]}.csv"
    return dataset, release, await kept(request, dataset, name, partial(write_csv, rows, request, dataset))


async def release_data(request: Request) -> Response:
    """GET /api/views/{4x4}/releases/{period}/{edition}/data.csv: the rows of one release."""
    dataset, release, file = await _release(request)
    filename = f"{dataset.id}-{release.period}.{release.edition}.csv"
    return await run_in_threadpool(sent, request, dataset, file, CSV.media_type, filename)


async def release_package(request: Request) -> Response:
    """GET /api/views/{4x4}/releases/{period}/{edition}/datapackage.json."""
    dataset, release, file = await _release(request)
    own = {
        "name": f"{dataset.id}-{release.period}-{release.edition}".lower().replace("/", "-"),
        "title": f"{dataset.name}, {release.period}",
        "version": f"{release.period}.{release.edition}",
        "created": _instant(release.created) or _moment(dataset.rows_updated_at),
    }
    return JSONResponse(own | _described(request, dataset, file), headers={"Vary": "Authorization"})


async def package(request: Request) -> Response:
    """GET /api/views/{4x4}/datapackage.json: all current rows as one resource."""
    dataset = await run_in_threadpool(tabular, request, request.path_params["id"])
    file = await kept(request, dataset, "rows.csv", partial(CSV.write, request, dataset))
    own = {
        "name": dataset.id,
        "title": dataset.name,
        "version": str(dataset.version),
        "created": _moment(dataset.rows_updated_at),
    }
    return JSONResponse(own | _described(request, dataset, file), headers={"Vary": "Authorization"})


def _described(request: Request, dataset: PortalDataset, file: Kept) -> dict[str, Any]:
    """A package with one CSV file next to the descriptor, and the dataset's metadata."""
    known, page = about(dataset), f"{base_url(request)}/d/{dataset.id}"
    license = {"path": known.license_address, "title": known.license} if known.license_address else {}
    source = {"title": known.source.title, "path": page} if known.source else {"title": dataset.name, "path": page}
    email = known.contact if "@" in known.contact else ""
    publisher = {"title": dataset.publisher, "roles": ["publisher"], "email": email}
    resource = {
        "name": "data",
        "type": "table",
        "path": "data.csv",
        "title": dataset.name,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": file.bytes,
        "hash": f"sha256:{file.sha256}",
        "schema": table_schema(dataset),
    }
    told = {
        "$schema": PROFILE,
        "id": page,
        "homepage": page,
        "description": dataset.description,
        "keywords": [tag for tag in dataset.tags if tag],
        "licenses": [license] if license else [],
        "sources": [source],
        "contributors": [{name: value for name, value in publisher.items() if value}],
        "resources": [resource],
    }
    return {name: value for name, value in told.items() if value}


def table_schema(dataset: PortalDataset) -> dict[str, Any]:
    """The columns as a Table Schema."""
    shape = about(dataset).shape
    statuses = {measure.status for measure in shape.measures} if shape else set()
    fields = [_field(dataset, column, statuses) for column in dataset.columns]
    key = {"primaryKey": [dataset.row_identifier]} if dataset.row_identifier else {}
    return {"fields": fields, "missingValues": [""], **key}


def _field(dataset: PortalDataset, column: PortalColumn, statuses: set[str | None]) -> dict[str, Any]:
    limits: dict[str, Any] = {"enum": list(STATUSES)} if column.field in statuses else {}
    if column.field == dataset.row_identifier:
        limits |= {"required": True, "unique": True}
    told = {
        "name": column.field,
        "type": _TYPES.get(column.kind, "string"),
        "format": "uri" if column.kind is Kind.URL else "",
        "title": column.name,
        "description": column.description,
        "constraints": limits,
    }
    return {name: value for name, value in told.items() if value}


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _instant(text: str) -> str | None:
    """An ISO 8601 time in UTC, or None if it is not one."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


ROUTES = [
    Route("/api/views/{id}/datapackage.json", package),
    Route("/api/views/{id}/releases/{period:path}/{edition}/datapackage.json", release_package),
    Route("/api/views/{id}/releases/{period:path}/{edition}/data.csv", release_data),
]
