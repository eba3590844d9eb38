"""Files: uploaded as assets, attached to a dataset, or a dataset that is one file."""

from __future__ import annotations

import base64
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from publisher.portal.answers.access import account, portal, readable, visible, writer
from publisher.portal.answers.freshness import unchanged
from publisher.portal.api.views import view
from publisher.portal.base.model import PortalDataset
from publisher.portal.base.problems import invalid, problem, too_large
from publisher.portal.store.assets import listed, plain_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Message

    from publisher.portal.store.assets import Asset
    from publisher.portal.store.store import PortalStore

LIMIT = 256 * 1024 * 1024
"""The largest file, in bytes."""
SPOOLED = 1024 * 1024
SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""The types that a browser may display; it saves everything else."""
PLAIN = SHOWN | {
    "application/geo+json",
    "application/gzip",
    "application/json",
    "application/pdf",
    "application/zip",
    "text/csv",
    "text/plain",
}
"""The types that are served as they are. HTML, SVG, or a script would run as part of the portal, so it is not."""


@dataclass(frozen=True, slots=True)
class _Upload:
    content: IO[bytes]
    name: str
    media_type: str


@asynccontextmanager
async def _upload(request: Request) -> AsyncIterator[_Upload]:
    """The file in a request, in a form or as the whole body. Raises SodaError 400 or 413."""
    limited = await _limited(request)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with limited.form(max_files=1, max_fields=20) as form:
            found = next((value for value in form.values() if isinstance(value, UploadFile)), None)
            if found is None:
                raise invalid("The form has no file")
            yield _Upload(found.file, found.filename or "", found.content_type or "")
        return
    name = request.query_params.get("fileName") or request.query_params.get("filename") or ""
    with SpooledTemporaryFile(max_size=SPOOLED) as content:
        async for part in limited.stream():
            await run_in_threadpool(content.write, part)
        content.seek(0)
        yield _Upload(content, name, request.headers.get("content-type", ""))


async def _limited(request: Request) -> Request:
    """The request, with its body limited to the largest file size."""
    if int(request.headers.get("content-length", "0")) > LIMIT:
        async for _ in request.stream():  # to the end, so that the client hears the answer
            pass
        raise too_large(LIMIT)
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > LIMIT:
            raise too_large(LIMIT)
        return message

    return Request(request.scope, receive)


async def _kept(request: Request, owner: str) -> Asset:
    store = portal(request).store
    async with _upload(request) as sent:
        return await run_in_threadpool(store.assets.add, sent.content, sent.name, sent.media_type, owner)


async def upload(request: Request) -> Response:
    """POST /api/assets: a form with `file`, or just the bytes with `?fileName=`."""
    owner = await run_in_threadpool(writer, request)
    asset = await _kept(request, owner)
    await run_in_threadpool(_sweep, portal(request).store)
    return JSONResponse(
        {
            "id": asset.id,
            "nameForOutput": asset.name,
            "name": asset.name,
            "mimeType": asset.media_type,
            "size": asset.size,
            "sha256": asset.sha256,
            "createdAt": asset.created_at,
        }
    )


def _sweep(store: PortalStore) -> None:
    store.assets.sweep(store.catalog.all())


def asset(request: Request) -> Response:
    """GET /api/assets/{id}: for accounts; for everyone if a public dataset lists the file."""
    identifier = request.path_params["id"]
    if account(request) is None and not any(identifier in listed(dataset) for dataset in visible(request)):
        raise _missing(identifier)
    return _served(request, identifier, "private, no-cache")


def attachment(request: Request) -> Response:
    """GET /api/views/{4x4}/files/{id}: a file attached to the dataset, for those who may read the dataset."""
    dataset, identifier = readable(request, request.path_params["id"]), request.path_params["asset"]
    if identifier not in listed(dataset):
        raise _missing(identifier)
    return _served(request, identifier, "no-cache" if dataset.open else "private, no-cache")


def _served(request: Request, identifier: str, cached: str) -> Response:
    assets = portal(request).store.assets
    found = assets.find(identifier)
    if found is None:
        raise _missing(identifier)
    headers = _headers(found) | {"Cache-Control": cached}
    response = unchanged(request, headers)
    if response is not None:
        return response
    wanted = request.query_params.get("download", "").lower() == "true"
    return FileResponse(
        assets.path(found),
        headers=headers | {"Content-Encoding": "identity"},  # its length, ranges and digest are those of its bytes
        media_type=found.media_type if found.media_type in PLAIN else "application/octet-stream",
        filename=plain_name(request.query_params.get("filename") or found.name),
        content_disposition_type="inline" if found.media_type in SHOWN and not wanted else "attachment",
    )


def _headers(asset: Asset) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(asset.sha256)).decode()
    return {
        "ETag": f'"{asset.sha256}"',
        "Last-Modified": formatdate(asset.created_at, usegmt=True),
        "Repr-Digest": f"sha-256=:{digest}:",
        "Vary": "Authorization",
    }


def _missing(identifier: str) -> Exception:
    return problem(404, "asset.missing", "Not found", id=identifier[:64])


async def create_blob(request: Request) -> Response:
    """POST /api/imports2/?method=blob: create a dataset that is one file."""
    owner = await run_in_threadpool(writer, request)
    if request.query_params.get("method") != "blob":
        raise invalid("The method must be blob. To create a table, use /api/views or a revision.")
    asset = await _kept(request, owner)
    made = await run_in_threadpool(_created, portal(request).store, asset, request)
    request.state.dataset = made.id
    return JSONResponse(view(made, staff=True))


def _created(store: PortalStore, asset: Asset, request: Request) -> PortalDataset:
    now = int(time.time())
    dataset = PortalDataset(
        id=store.catalog.free_identifier(),
        name=request.query_params.get("name") or asset.name,
        owner=asset.owner,
        blob=asset.id,
        metadata=_blob_metadata(asset),
        published=True,
        published_at=now,
        created_at=now,
        updated_at=now,
        rows_updated_at=now,
        version=1,
        rows=0,
        next_row=1,
    )
    return store.create(dataset)


def _blob_metadata(asset: Asset) -> dict[str, object]:
    return {"blob": {"filename": asset.name, "mimeType": asset.media_type, "fileSize": asset.size}}


async def replace_blob(request: Request) -> Response:
    """POST /api/views/{4x4}?method=replaceBlob: replace the file of a dataset that is one file."""
    owner = await run_in_threadpool(writer, request)
    identifier = request.path_params["name"].partition(".")[0]
    if request.query_params.get("method") != "replaceBlob":
        raise invalid("The method must be replaceBlob")
    store = portal(request).store
    old = await run_in_threadpool(store.get, identifier)
    if old.blob is None:
        raise invalid("This dataset is a table and cannot be replaced with a file")
    asset = await _kept(request, owner)
    return JSONResponse(view(await run_in_threadpool(_replaced, store, identifier, asset), staff=True))


def _replaced(store: PortalStore, identifier: str, asset: Asset) -> PortalDataset:
    left: set[str] = set()

    def other(old: PortalDataset) -> dict[str, object]:
        left.update(listed(old))
        metadata = old.metadata | _blob_metadata(asset)
        now = int(time.time())
        return {"blob": asset.id, "metadata": metadata, "rows_updated_at": now, "rows_updated_by": asset.owner}

    changed = store.change(identifier, other)
    store.assets.sweep(store.catalog.all(), older_than=0, among=left)
    return changed


ROUTES = [
    Route("/api/assets", upload, methods=["POST"]),
    Route("/api/assets.json", upload, methods=["POST"]),
    Route("/api/assets/{id}", asset),
    Route("/api/views/{id}/files/{asset}", attachment),
    Route("/api/imports2", create_blob, methods=["POST"]),
    Route("/api/imports2/", create_blob, methods=["POST"]),
    Route("/api/views/{name}", replace_blob, methods=["POST"]),
]
