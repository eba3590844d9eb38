"""`/api/views`: create, describe, publish, share, and delete datasets."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.portal.answers.access import base_url, body, portal, readable, sources, visible, visitor, writer
from publisher.portal.api.payloads import (
    AttachmentPayload,
    ColumnPayload,
    MetadataPayload,
    NewViewPayload,
    PermissionsPayload,
    ViewPayload,
    parsed,
    parsed_as,
)
from publisher.portal.api.resource import address
from publisher.portal.base.kinds import Kind
from publisher.portal.base.licenses import name_of
from publisher.portal.base.model import STAFF, PortalColumn, PortalDataset
from publisher.portal.base.problems import invalid, problem
from publisher.portal.soql.compiler import SoqlQuestion, compile_question
from publisher.portal.store import copies
from publisher.portal.store.assets import listed
from publisher.portal.store.store import Reshaped

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.store.store import PortalStore


def column_view(column: PortalColumn) -> dict[str, Any]:
    """A column in Socrata's format."""
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


def view(dataset: PortalDataset, *, staff: bool = False) -> dict[str, Any]:
    """A dataset's metadata in Socrata's format; times are epoch seconds. Account names are shown only to `staff`."""
    identifier = dataset.column(dataset.row_identifier) if dataset.row_identifier else None
    metadata = dict(dataset.metadata)
    file = metadata.pop("blob", {})
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
        "displayType": "blob" if dataset.blob else "table",
        "hideFromCatalog": False,
        "hideFromDataJson": False,
        "newBackend": True,
        "provenance": "official",
        "publicationDate": dataset.published_at,
        "publicationAppendEnabled": True,
        "publicationStage": "published" if dataset.published else "unpublished",
        "workingCopyOf": dataset.copy_of,
        "rowIdentifierColumnId": identifier.id if identifier else None,
        "rowsUpdatedAt": dataset.rows_updated_at,
        "rowsVersion": dataset.version,
        "rowsUpdatedBy": (dataset.rows_updated_by or dataset.owner) if staff else STAFF,
        "viewLastModified": dataset.updated_at,
        "viewType": "blobby" if dataset.blob else "tabular",
        "blobId": dataset.blob,
        "blobFilename": file.get("filename"),
        "blobFileSize": file.get("fileSize"),
        "blobMimeType": file.get("mimeType"),
        "licenseId": dataset.license_id,
        "license": {"name": name_of(dataset.license_id)} if dataset.license_id else None,
        "columns": [column_view(column) for column in dataset.columns],
        "grants": [{"inherited": False, "type": "viewer", "flags": ["public"]}] if dataset.public else [],
        "metadata": metadata,
        "owner": _user(dataset, staff=staff),
        "permissions": _permissions(dataset, staff=staff),
        "tableAuthor": _user(dataset, staff=staff),
        "query": {},
        "rights": ["read"],
        "tags": list(dataset.tags),
    }
    return {name: value for name, value in shown.items() if value not in (None, "")}


def _user(dataset: PortalDataset, *, staff: bool) -> dict[str, Any]:
    identifier, name = (dataset.owner, dataset.owner) if staff else (STAFF, dataset.publisher)
    return {"id": identifier, "displayName": name, "screenName": name, "type": "interactive"}


def listing(request: Request) -> Response:
    """GET /api/views.json."""
    staff = visitor(request) is not None
    return JSONResponse([view(dataset, staff=staff) for dataset in visible(request)])


def show(request: Request) -> Response:
    """GET /api/views/{4x4}.json."""
    identifier, _ = address(request.path_params["name"])
    return JSONResponse(view(readable(request, identifier), staff=visitor(request) is not None))


def columns(request: Request) -> Response:
    """GET /api/views/{4x4}/columns."""
    dataset = readable(request, request.path_params["id"])
    return JSONResponse([column_view(column) for column in dataset.columns])


async def create(request: Request) -> Response:
    """POST /api/views.json: create a dataset, unpublished and private."""
    owner = await run_in_threadpool(writer, request)
    payload = parsed(NewViewPayload, await body(request))
    made = await run_in_threadpool(_created, portal(request).store, payload, owner)
    request.state.dataset = made.id
    return JSONResponse(view(made, staff=True))


def _created(store: PortalStore, payload: NewViewPayload, owner: str) -> PortalDataset:
    if payload.name is None:
        raise invalid("A dataset needs a name")
    now = int(time.time())
    attributes = payload.attributes()
    attributes["tags"] = tuple(attributes.get("tags", ()))
    identifier = store.catalog.free_identifier(payload.id)
    dataset = PortalDataset(
        id=identifier,
        **attributes,
        metadata=metadata_sent(store, payload),
        columns=_columns(payload.columns or []),
        owner=owner,
        created_at=now,
        updated_at=now,
        rows_updated_at=now,
        version=now if identifier == payload.id else 1,  # readers may keep answers of the one that had the id before
        rows=0,
        next_row=1,
    )
    return store.create(replace(dataset, row_identifier=_row_identifier(dataset, payload.metadata)))


def _columns(payloads: list[ColumnPayload]) -> tuple[PortalColumn, ...]:
    made = tuple(
        PortalColumn(0, sent.field_name, sent.name or sent.field_name, sent.kind, place, sent.description or "")
        for place, sent in enumerate(payloads, start=1)
    )
    if len({column.field for column in made}) < len(made):
        raise invalid("Two columns have the same field name")
    return made


def metadata_sent(store: PortalStore, payload: ViewPayload, old: PortalDataset | None = None) -> dict[str, Any]:
    """The new metadata, which replaces the old. Raises SodaError for an attachment that was not uploaded here."""
    sent = {name: value for name, value in (payload.metadata or {}).items() if name not in ("rowIdentifier", "blob")}
    if "attachments" in sent:
        for entry in parsed_as(list[AttachmentPayload], sent["attachments"], "metadata.attachments"):
            if entry.file is None or store.assets.find(entry.file) is None:
                raise invalid("metadata.attachments: assetId is not a file that was uploaded here")
    if sent.get("custom_fields") is not None:
        parsed_as(dict[str, Any], sent["custom_fields"], "metadata.custom_fields")
    kept = old.metadata.get("blob") if old else None
    return sent | ({"blob": kept} if kept else {})


def _row_identifier(dataset: PortalDataset, metadata: dict[str, Any] | None) -> str | None:
    """The row identifier: sent as a field name or a column's id; unchanged if not sent."""
    wanted = (metadata or {}).get("rowIdentifier")
    if wanted is None:
        return dataset.row_identifier
    found = next((c for c in dataset.columns if str(wanted) in (c.field, str(c.id))), None)
    if found is None:
        raise invalid("metadata.rowIdentifier is not a column of this dataset")
    if found.kind not in (Kind.TEXT, Kind.NUMBER):
        raise invalid("The row identifier must be a text or number column")
    return found.field


async def update(request: Request) -> Response:
    """PUT /api/views/{4x4}.json: change metadata, or who may read with `?method=setPermission`."""
    identifier, _ = address(request.path_params["name"])
    await run_in_threadpool(writer, request)
    content = await body(request)
    if request.query_params.get("method") == "setPermission":
        value = request.query_params.get("value", "")
        return JSONResponse(view(await run_in_threadpool(_share, portal(request).store, identifier, value), staff=True))
    payload = parsed(ViewPayload, content or b"{}")
    return JSONResponse(view(await run_in_threadpool(_updated, request, identifier, payload), staff=True))


def _share(store: PortalStore, identifier: str, value: str) -> PortalDataset:
    if value not in ("public.read", "public", "private"):
        raise invalid("A permission must be public.read or private", value=value[:50])
    return store.change(identifier, lambda _: {"public": value != "private"})


def _updated(request: Request, identifier: str, payload: ViewPayload) -> PortalDataset:
    store, values = portal(request).store, payload.attributes()
    left: set[str] = set()

    def anew(dataset: PortalDataset) -> dict[str, Any]:
        said: dict[str, Any] = {}
        if payload.metadata is not None:
            said["metadata"] = metadata_sent(store, payload, dataset)
            said["row_identifier"] = _row_identifier(dataset, payload.metadata)
            _check_unique(request, dataset, said["row_identifier"])
        if payload.columns is not None:
            said["columns"] = _described(dataset, payload.columns)
        left.update(listed(dataset))
        return values | said

    changed = store.change(identifier, anew)
    store.assets.sweep(store.catalog.all(), older_than=0, among=left - listed(changed))
    return changed


def _described(dataset: PortalDataset, payloads: list[ColumnPayload]) -> tuple[PortalColumn, ...]:
    """The columns with the names, descriptions, and positions sent. Raises SodaError for an unknown column."""
    columns = {column.id: column for column in dataset.columns}
    for sent in payloads:
        field = (sent.field or "").lower()
        found = next((each for each in columns.values() if sent.id == each.id or field == each.field), None)
        if found is None:
            raise invalid("columns has a column that this dataset does not have")
        columns[found.id] = replace(
            found,
            name=sent.name or found.name,
            description=found.description if sent.description is None else sent.description,
            position=sent.position or found.position,
        )
    return tuple(columns.values())


def _check_unique(request: Request, dataset: PortalDataset, field: str | None) -> None:
    """Check that a new row identifier has a different value in every row."""
    if not field or field == dataset.row_identifier or not dataset.rows:
        return
    here = portal(request)
    counts = compile_question(dataset, SoqlQuestion({"$select": f"count(distinct `{field}`) as different"}))
    if here.engine.fetch(sources(request, dataset, counts), counts)[0]["different"] < dataset.rows:
        raise invalid("metadata.rowIdentifier: two rows have the same value in this column, or a row has none")


async def add_column(request: Request) -> Response:
    """POST /api/views/{4x4}/columns: add a column, empty in every row."""
    await run_in_threadpool(writer, request)
    payload = parsed(ColumnPayload, await body(request))
    return JSONResponse(column_view(await run_in_threadpool(_add_column, request, payload)))


def _add_column(request: Request, payload: ColumnPayload) -> PortalColumn:
    store, identifier = portal(request).store, request.path_params["id"]
    with store.locked(identifier):
        dataset = store.get(identifier)
        if dataset.column(payload.field_name):
            raise invalid("The dataset already has a column with this field name")
        place = max((column.position for column in dataset.columns), default=0) + 1
        made = replace(_columns([payload])[0], position=place)
        store.catalog.add_column(identifier, made)
        found = store.get(identifier).column(made.field)
    return found or made


def _place(request: Request) -> int:
    text = str(request.path_params["column"]).removesuffix(".json")
    return int(text) if text.isdecimal() and len(text) < 15 else 0


def _column(dataset: PortalDataset, identifier: int) -> PortalColumn:
    found = next((column for column in dataset.columns if column.id == identifier), None)
    if found is None:
        raise problem(404, "column.missing", "Not found", id=identifier)
    return found


def show_column(request: Request) -> Response:
    """GET /api/views/{4x4}/columns/{id}."""
    return JSONResponse(column_view(_column(readable(request, request.path_params["id"]), _place(request))))


async def change_column(request: Request) -> Response:
    """PUT /api/views/{4x4}/columns/{id}: change its name, description, or position."""
    await run_in_threadpool(writer, request)
    payload = parsed(ColumnPayload, await body(request))
    return JSONResponse(column_view(await run_in_threadpool(_change_column, request, payload)))


def _change_column(request: Request, payload: ColumnPayload) -> PortalColumn:
    wanted = _place(request)

    def described(dataset: PortalDataset) -> dict[str, Any]:
        found, sent = _column(dataset, wanted), payload.model_fields_set
        if ("field" in sent and payload.field_name != found.field) or ("kind" in sent and payload.kind != found.kind):
            raise invalid("The field name and type of a column cannot be changed. Use a replace revision instead.")
        return {"columns": _described(dataset, [payload.model_copy(update={"id": found.id})])}

    return _column(portal(request).store.change(request.path_params["id"], described), wanted)


def delete_column(request: Request) -> Response:
    """DELETE /api/views/{4x4}/columns/{id}: delete the column with all its values."""
    writer(request)
    gone = _place(request)

    def without(dataset: PortalDataset) -> Reshaped:
        found = _column(dataset, gone)
        left = tuple(column for column in dataset.columns if column is not found)
        key = None if dataset.row_identifier == found.field else dataset.row_identifier
        return Reshaped(replace(dataset, columns=left, row_identifier=key))

    portal(request).store.reshape(request.path_params["id"], without)
    return Response(status_code=200, media_type="application/json; charset=utf-8")


def publish(request: Request) -> Response:
    """POST /api/views/{4x4}/publication.json: the working copy becomes the published dataset.

    With `?method=copySchema` or `copy`, a working copy of the published dataset is made, without or with its rows.
    """
    writer(request)
    store, dataset = portal(request).store, portal(request).store.get(request.path_params["id"])
    method = request.query_params.get("method", "")
    if method in ("copy", "copySchema"):
        return JSONResponse(view(_copied(store, dataset, rows=method == "copy"), staff=True))
    if method:
        raise invalid("The method of a publication must be copy or copySchema, or be left out")
    if dataset.copy_of:
        return JSONResponse(view(copies.publish(store, dataset), staff=True))
    published = {"published": True, "published_at": int(time.time())}
    return JSONResponse(view(store.change(dataset.id, lambda _: published), staff=True))


def _copied(store: PortalStore, dataset: PortalDataset, *, rows: bool) -> PortalDataset:
    if not dataset.published or dataset.blob:
        raise invalid("Only a published table can have a working copy")
    return store.copy(dataset, rows=rows)


def delete(request: Request) -> Response:
    """DELETE /api/views/{4x4}.json."""
    writer(request)
    identifier, _ = address(request.path_params["name"])
    portal(request).store.delete(identifier)
    return Response(status_code=200, media_type="application/json; charset=utf-8")


def permissions(request: Request) -> Response:
    """GET /api/views/{4x4}/permissions."""
    dataset = readable(request, request.path_params["id"])
    return JSONResponse(_permissions(dataset, staff=visitor(request) is not None))


async def change_permissions(request: Request) -> Response:
    """PUT /api/views/{4x4}/permissions: set `scope` to public or private."""
    await run_in_threadpool(writer, request)
    payload = parsed(PermissionsPayload, await body(request))
    store, identifier = portal(request).store, request.path_params["id"]
    return JSONResponse(_permissions(await run_in_threadpool(_share, store, identifier, payload.scope), staff=True))


def _permissions(dataset: PortalDataset, *, staff: bool) -> dict[str, Any]:
    scope = {"scope": "public" if dataset.public else "private"}
    owner = {"id": dataset.owner, "displayName": dataset.owner, "type": "interactive", "accessLevel": "owner"}
    return scope | ({"users": [owner]} if staff else {})


def describe(request: Request, dataset: PortalDataset) -> dict[str, Any]:
    """A dataset in the format of the metadata API."""
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
    """PATCH /api/views/metadata/v1/{4x4}: change the members sent; of `customFields`, the sets sent."""
    await run_in_threadpool(writer, request)
    identifier, _ = address(request.path_params["name"])
    payload = parsed(MetadataPayload, await body(request))
    changed = await run_in_threadpool(_described_anew, portal(request).store, identifier, payload)
    return JSONResponse(describe(request, changed))


def _described_anew(store: PortalStore, identifier: str, payload: MetadataPayload) -> PortalDataset:
    values = payload.attributes()

    def anew(dataset: PortalDataset) -> dict[str, Any]:
        if payload.custom_fields is None:
            return values
        known = dataset.metadata.get("custom_fields")
        fields = (known if isinstance(known, dict) else {}) | payload.custom_fields
        return values | {"metadata": dataset.metadata | {"custom_fields": fields}}

    return store.change(identifier, anew)


def whole(request: Request, name: str, default: int) -> int:
    """A query parameter as a whole number, 0 or more. Raises SodaError."""
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or len(text) > 15:
        raise problem(400, "invalid_parameter", f"{name} must be a whole number, 0 or more", name=name)
    return int(text)


def iso(seconds: int) -> str:
    """Epoch seconds as an ISO 8601 time."""
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
    Route("/api/views/{name}", update, methods=["PUT", "PATCH"]),
    Route("/api/views/{name}", delete, methods=["DELETE"]),
    Route("/api/views/{id}/columns", columns),
    Route("/api/views/{id}/columns.json", columns),
    Route("/api/views/{id}/columns", add_column, methods=["POST"]),
    Route("/api/views/{id}/columns.json", add_column, methods=["POST"]),
    Route("/api/views/{id}/columns/{column}", show_column),
    Route("/api/views/{id}/columns/{column}", change_column, methods=["PUT", "PATCH"]),
    Route("/api/views/{id}/columns/{column}", delete_column, methods=["DELETE"]),
    Route("/api/views/{id}/permissions", permissions),
    Route("/api/views/{id}/permissions", change_permissions, methods=["PUT"]),
    Route("/api/views/{id}/permissions.json", permissions),
    Route("/api/views/{id}/permissions.json", change_permissions, methods=["PUT"]),
    Route("/api/views/{id}/publication", publish, methods=["POST"]),
    Route("/api/views/{id}/publication.json", publish, methods=["POST"]),
]
