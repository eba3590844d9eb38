"""`/api/views`: datasets created, described, published, shared and deleted."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from publisher.portal import formats
from publisher.portal.access import base_url, body, portal, readable, sources, visible, writer
from publisher.portal.kinds import Kind
from publisher.portal.licences import name_of
from publisher.portal.model import Column, Dataset
from publisher.portal.payloads import ColumnPayload, MetadataPayload, ViewPayload, parsed
from publisher.portal.problems import invalid, problem
from publisher.portal.resource import address, headers_of, is_fresh, rows
from publisher.portal.soql.compiler import Question, compile_question

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.store import Store


def column_view(column: Column) -> dict[str, Any]:
    """A column as Socrata shows it."""
    return {
        "id": column.id,
        "name": column.name,
        "fieldName": column.field,
        "dataTypeName": column.type_name,
        "renderTypeName": column.type_name,
        "position": column.position,
        "description": column.description,
        "tableColumnId": column.id,
        "format": {},
    }


def view(dataset: Dataset) -> dict[str, Any]:
    """A dataset's metadata as Socrata shows it; times are epoch seconds."""
    identifier = dataset.column(dataset.row_identifier) if dataset.row_identifier else None
    metadata = dict(dataset.metadata)
    if identifier:
        metadata["rowIdentifier"] = identifier.field
    shown = {
        "id": dataset.id,
        "name": dataset.name,
        "assetType": "dataset",
        "attribution": dataset.attribution,
        "attributionLink": dataset.attribution_link,
        "category": dataset.category,
        "createdAt": dataset.created_at,
        "description": dataset.description,
        "displayType": "table",
        "newBackend": True,
        "publicationDate": dataset.published_at,
        "publicationStage": "published" if dataset.published else "unpublished",
        "rowIdentifierColumnId": identifier.id if identifier else None,
        "rowsUpdatedAt": dataset.rows_updated_at,
        "viewLastModified": dataset.updated_at,
        "viewType": "tabular",
        "licenseId": dataset.license_id,
        "license": {"name": name_of(dataset.license_id)} if dataset.license_id else None,
        "columns": [column_view(column) for column in dataset.columns],
        "grants": [{"inherited": False, "type": "viewer", "flags": ["public"]}] if dataset.public else [],
        "metadata": metadata,
        "owner": {"id": dataset.owner, "displayName": dataset.owner, "type": "interactive"},
        "rights": ["read"],
        "tags": list(dataset.tags),
    }
    return {name: value for name, value in shown.items() if value not in (None, "")}


def listing(request: Request) -> Response:
    """GET /api/views.json."""
    return JSONResponse([view(dataset) for dataset in visible(request)])


def show(request: Request) -> Response:
    """GET /api/views/{4x4}.json."""
    identifier, _ = address(request.path_params["name"])
    return JSONResponse(view(readable(request, identifier)))


def columns(request: Request) -> Response:
    """GET /api/views/{4x4}/columns."""
    dataset = readable(request, request.path_params["id"])
    return JSONResponse([column_view(column) for column in dataset.columns])


def download(request: Request) -> Response:
    """GET /api/views/{4x4}/rows.csv: every row, under the names that people read."""
    dataset = readable(request, request.path_params["id"])
    headers = headers_of(request, dataset, formats.CSV)
    headers["Content-Disposition"] = f'attachment; filename="{dataset.id}.csv"'
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        return Response(headers=headers, media_type=formats.CSV.media_type)
    compiled = compile_question(dataset, Question(limit=None))
    lines = formats.csv_frame(
        [column.name for column in dataset.columns], rows(request, dataset, compiled, formats.CSV)
    )
    return StreamingResponse(lines, headers=headers, media_type=formats.CSV.media_type)


async def create(request: Request) -> Response:
    """POST /api/views.json: a new dataset, unpublished and private."""
    owner = await run_in_threadpool(writer, request)
    payload = parsed(ViewPayload, await body(request))
    return JSONResponse(view(await run_in_threadpool(_created, portal(request).store, payload, owner)))


def _created(store: Store, payload: ViewPayload, owner: str) -> Dataset:
    if payload.name is None:
        raise invalid("A dataset needs a name")
    now = int(time.time())
    attributes = payload.attributes()
    attributes["tags"] = tuple(attributes.get("tags", ()))
    dataset = Dataset(
        id=store.catalogue.free_identifier(),
        **attributes,
        metadata=_metadata(payload),
        columns=_columns(payload.columns or []),
        owner=owner,
        created_at=now,
        updated_at=now,
        rows_updated_at=now,
        version=1,
        rows=0,
        next_row=1,
    )
    return store.create(replace(dataset, row_identifier=_row_identifier(dataset, payload.metadata)))


def _columns(payloads: list[ColumnPayload]) -> tuple[Column, ...]:
    made = tuple(
        Column(0, sent.field_name, sent.name or sent.field_name, sent.kind, place, sent.description or "")
        for place, sent in enumerate(payloads, start=1)
    )
    if len({column.field for column in made}) < len(made):
        raise invalid("Two columns have the same field name")
    return made


def _metadata(payload: ViewPayload) -> dict[str, Any]:
    return {name: value for name, value in (payload.metadata or {}).items() if name != "rowIdentifier"}


def _row_identifier(dataset: Dataset, metadata: dict[str, Any] | None) -> str | None:
    """The field that names rows: sent as a field name or as a column's id; unchanged where not sent."""
    wanted = (metadata or {}).get("rowIdentifier")
    if wanted is None:
        return dataset.row_identifier
    found = next((c for c in dataset.columns if str(wanted) in (c.field, str(c.id))), None)
    if found is None:
        raise invalid("metadata.rowIdentifier names no column of this dataset")
    if found.kind not in (Kind.TEXT, Kind.NUMBER):
        raise invalid("The row identifier must be a text or number column")
    return found.field


async def update(request: Request) -> Response:
    """PUT /api/views/{4x4}.json: metadata, or with `?method=setPermission` who may read."""
    identifier, _ = address(request.path_params["name"])
    await run_in_threadpool(writer, request)
    content = await body(request)
    if request.query_params.get("method") == "setPermission":
        value = request.query_params.get("value", "")
        return JSONResponse(view(await run_in_threadpool(_share, portal(request).store, identifier, value)))
    payload = parsed(ViewPayload, content or b"{}")
    return JSONResponse(view(await run_in_threadpool(_updated, request, identifier, payload)))


def _share(store: Store, identifier: str, value: str) -> Dataset:
    if value not in ("public.read", "public", "private"):
        raise invalid("A permission is public.read or private", value=value[:50])
    return store.change(identifier, public=value != "private")


def _updated(request: Request, identifier: str, payload: ViewPayload) -> Dataset:
    store = portal(request).store
    dataset = store.get(identifier)
    values = payload.attributes()
    if payload.metadata is not None:
        values["metadata"] = _metadata(payload)
        values["row_identifier"] = _row_identifier(dataset, payload.metadata)
        _check_unique(request, dataset, values["row_identifier"])
    if payload.columns is not None:
        store.catalogue.change_columns(_described(dataset, payload.columns))
    return store.change(identifier, **values)


def _described(dataset: Dataset, payloads: list[ColumnPayload]) -> list[Column]:
    changed = []
    for sent in payloads:
        found = next((c for c in dataset.columns if sent.id == c.id or (sent.field or "").lower() == c.field), None)
        if found is None:
            raise invalid("columns names a column that this dataset does not have")
        changed.append(
            replace(
                found,
                name=sent.name or found.name,
                description=found.description if sent.description is None else sent.description,
                position=sent.position or found.position,
            )
        )
    return changed


def _check_unique(request: Request, dataset: Dataset, field: str | None) -> None:
    """A field may become the row identifier only where it tells the rows apart."""
    if not field or field == dataset.row_identifier or not dataset.rows:
        return
    here = portal(request)
    counts = compile_question(dataset, Question({"$select": f"count(distinct `{field}`) as different"}))
    if here.engine.fetch(sources(request, dataset, counts), counts)[0]["different"] < dataset.rows:
        raise invalid("metadata.rowIdentifier: two rows have the same value in this column, or none")


async def add_column(request: Request) -> Response:
    """POST /api/views/{4x4}/columns: one more column, empty in every row."""
    await run_in_threadpool(writer, request)
    payload = parsed(ColumnPayload, await body(request))
    return JSONResponse(column_view(await run_in_threadpool(_add_column, request, payload)))


def _add_column(request: Request, payload: ColumnPayload) -> Column:
    store, identifier = portal(request).store, request.path_params["id"]
    with store.locked(identifier):
        dataset = store.get(identifier)
        if dataset.column(payload.field_name):
            raise invalid("The dataset has a column of this field name already")
        place = max((column.position for column in dataset.columns), default=0) + 1
        made = replace(_columns([payload])[0], position=place)
        store.catalogue.add_column(identifier, made)
        found = store.get(identifier).column(made.field)
    return found or made


def publish(request: Request) -> Response:
    """POST /api/views/{4x4}/publication.json: the working copy becomes the published dataset."""
    writer(request)
    store, identifier = portal(request).store, request.path_params["id"]
    return JSONResponse(view(store.change(identifier, published=True, published_at=int(time.time()))))


def delete(request: Request) -> Response:
    """DELETE /api/views/{4x4}.json."""
    writer(request)
    identifier, _ = address(request.path_params["name"])
    portal(request).store.delete(identifier)
    return Response(status_code=200, media_type="application/json; charset=utf-8")


def permissions(request: Request) -> Response:
    """GET /api/views/{4x4}/permissions."""
    dataset = readable(request, request.path_params["id"])
    return JSONResponse(
        {
            "scope": "public" if dataset.public else "private",
            "users": [
                {"id": dataset.owner, "displayName": dataset.owner, "type": "interactive", "accessLevel": "owner"}
            ],
        }
    )


def describe(request: Request, dataset: Dataset) -> dict[str, Any]:
    """A dataset in the form of the metadata API."""
    web = base_url(request)
    return {
        "id": dataset.id,
        "name": dataset.name,
        "description": dataset.description,
        "attribution": dataset.attribution,
        "attributionLink": dataset.attribution_link,
        "category": dataset.category,
        "tags": list(dataset.tags),
        "license": dataset.license_id,
        "webUri": f"{web}/d/{dataset.id}",
        "dataUri": f"{web}/resource/{dataset.id}",
        "createdAt": iso(dataset.created_at),
        "updatedAt": iso(dataset.changed_at),
        "dataUpdatedAt": iso(dataset.rows_updated_at),
        "metadataUpdatedAt": iso(dataset.updated_at),
        "publicationStage": "published" if dataset.published else "unpublished",
        "visibility": "open" if dataset.open else "internal",
        "customFields": dataset.metadata.get("custom_fields", {}),
    }


def metadata_list(request: Request) -> Response:
    """GET /api/views/metadata/v1."""
    size, page = whole(request, "limit", 100), max(1, whole(request, "page", 1))
    shown = visible(request)[(page - 1) * size : page * size]
    return JSONResponse([describe(request, dataset) for dataset in shown])


def metadata_show(request: Request) -> Response:
    """GET /api/views/metadata/v1/{4x4}."""
    identifier, _ = address(request.path_params["name"])
    return JSONResponse(describe(request, readable(request, identifier)))


async def metadata_change(request: Request) -> Response:
    """PATCH /api/views/metadata/v1/{4x4}: the members sent; of `customFields` the sets sent."""
    await run_in_threadpool(writer, request)
    identifier, _ = address(request.path_params["name"])
    payload = parsed(MetadataPayload, await body(request))
    changed = await run_in_threadpool(_described_anew, portal(request).store, identifier, payload)
    return JSONResponse(describe(request, changed))


def _described_anew(store: Store, identifier: str, payload: MetadataPayload) -> Dataset:
    values = payload.attributes()
    if payload.custom_fields is not None:
        metadata = store.get(identifier).metadata
        values["metadata"] = metadata | {"custom_fields": metadata.get("custom_fields", {}) | payload.custom_fields}
    return store.change(identifier, **values)


def whole(request: Request, name: str, default: int) -> int:
    """A query parameter as a whole number, 0 or more. Errors: SodaError."""
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or len(text) > 15:
        raise problem(400, "invalid_parameter", f"{name} must be a whole number, 0 or more", name=name)
    return int(text)


def iso(seconds: int) -> str:
    """Epoch seconds as an ISO 8601 instant."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


ROUTES = [
    Route("/api/views", listing),
    Route("/api/views.json", listing),
    Route("/api/views", create, methods=["POST"]),
    Route("/api/views.json", create, methods=["POST"]),
    Route("/api/views/metadata/v1", metadata_list),
    Route("/api/views/metadata/v1/{name}", metadata_show),
    Route("/api/views/metadata/v1/{name}", metadata_change, methods=["PATCH"]),
    Route("/api/views/{name}", show),
    Route("/api/views/{name}", update, methods=["PUT"]),
    Route("/api/views/{name}", delete, methods=["DELETE"]),
    Route("/api/views/{id}/columns", columns),
    Route("/api/views/{id}/columns.json", columns),
    Route("/api/views/{id}/columns", add_column, methods=["POST"]),
    Route("/api/views/{id}/columns.json", add_column, methods=["POST"]),
    Route("/api/views/{id}/permissions", permissions),
    Route("/api/views/{id}/publication", publish, methods=["POST"]),
    Route("/api/views/{id}/publication.json", publish, methods=["POST"]),
    Route("/api/views/{id}/rows.csv", download),
]
