"""`/api/publishing/v1/source`: the sources of revisions, which are uploaded files or the rows of a dataset."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.routing import Route

from publisher.portal.answers.access import portal
from publisher.portal.api.payloads import parsed
from publisher.portal.base.problems import SodaError, invalid
from publisher.portal.revisions import applying, schemas, uploads
from publisher.portal.revisions.lookups import answering, config_named, named_revision, named_source, path_number
from publisher.portal.revisions.payloads import ContentPayload, MembershipPayload, SourcePayload
from publisher.portal.revisions.replies import BASE, Reply, source_reply
from publisher.portal.store.drafts import Sort
from publisher.portal.store.versions import texts

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.revisions.schemas import SchemaPayload
    from publisher.portal.store.drafts import Draft
    from publisher.portal.store.store import PortalStore


def open_source(request: Request, sent: bytes, _: str) -> Reply:
    """POST /revision/{4x4}/{seq}/source: add an upload, or the rows of a dataset."""
    store, draft = portal(request).store, applying.opened(named_revision(request))
    config = draft.body.get("config")
    options = (config_named(store, config).body.get("parse_options") or {}) if config else {}
    return _opened_source(store, parsed(SourcePayload, sent), draft, options)


def open_loose_source(request: Request, sent: bytes, _: str) -> Reply:
    """POST /source: add an upload that does not belong to a revision yet."""
    return _opened_source(portal(request).store, parsed(SourcePayload, sent), None, {})


def _opened_source(store: PortalStore, payload: SourcePayload, revision: Draft | None, options: Reply) -> Reply:
    sort = payload.source_type.get("type")
    if sort not in ("upload", "view"):
        raise invalid("source_type must be upload or view; the portal does not fetch files from other sites")
    facts: Reply = {
        "source_type": payload.source_type,
        "parse_options": {"parse_source": True} | options | (payload.parse_options or {}),
    }
    store.drafts.sweep()
    parent, dataset = (revision.id, revision.dataset) if revision else (None, None)
    source = store.drafts.add(Sort.SOURCE, facts, parent=parent, dataset=dataset)
    if sort == "view":
        source = _read_view(store, source, revision)
    return source_reply(store, source)


def _read_view(store: PortalStore, source: Draft, revision: Draft | None) -> Draft:
    """Read the rows of a dataset as a source."""
    dataset = store.get(str(source.body["source_type"].get("fourfour")))
    file = store.drafts.folder(source.id) / "view.parquet"
    identified = revision is not None and revision.dataset == dataset.id and dataset.row_identifier is None
    texts(store.rows(dataset), dataset.columns, file, identified=identified)
    columns = [(column.field, column.name, column.kind) for column in dataset.columns]
    schema = schemas.add_input(store.drafts, source, columns, file)
    schemas.add_output(store.drafts, schema, schemas.proposed(store.drafts, schema, dataset, new_columns=True))
    loaded = source.body["source_type"] | {"loaded": True}
    return store.drafts.update(source, source_type=loaded, finished_at=int(time.time()))


def list_sources(request: Request, _: bytes, __: str) -> list[Reply]:
    """GET /revision/{4x4}/{seq}/source."""
    store, draft = portal(request).store, named_revision(request)
    return [source_reply(store, source) for source in store.drafts.children(Sort.SOURCE, draft.id)]


def show_source(request: Request, _: bytes, __: str) -> Reply:
    """GET /source/{id}; PUT /source/{id}/load is the same, because a view's rows are loaded at once."""
    return source_reply(portal(request).store, named_source(request))


def update_source(request: Request, sent: bytes, _: str) -> Reply:
    """POST /source/{id}: change the parse options; an uploaded file is read again."""
    store, source = portal(request).store, named_source(request)
    payload = parsed(SourcePayload, sent)
    source = store.drafts.update(source, parse_options=source.body["parse_options"] | (payload.parse_options or {}))
    if (store.drafts.folder(source.id) / "upload").exists():
        source = read_upload(store, source)
    return source_reply(store, source)


def add_to_revision(request: Request, sent: bytes, _: str) -> Reply:
    """PATCH /source/{id}: add the source to a revision."""
    store, source = portal(request).store, named_source(request)
    named = parsed(MembershipPayload, sent).revision
    revision = applying.opened(store.drafts.revision(named.fourfour, named.revision_seq))
    return source_reply(store, store.drafts.update(source, parent=revision))


def put_bytes(request: Request, sent: bytes, _: str) -> Reply:
    """POST /source/{id}/bytes: the whole file in one body, with its type in `Content-Type`."""
    store, source = portal(request).store, named_source(request)
    source = _typed(store, source, request.headers.get("content-type", ""))
    folder = store.drafts.folder(source.id)
    uploads.keep_chunk(folder, 0, sent)
    uploads.assemble(folder, len(sent))
    return source_reply(store, read_upload(store, source))


def initiate(request: Request, sent: bytes, _: str) -> Reply:
    """POST /source/{id}/initiate: start an upload; returns the chunk size to use."""
    store, source = portal(request).store, named_source(request)
    _typed(store, source, parsed(ContentPayload, sent).content_type)
    return {"preferred_chunk_size": uploads.CHUNK, "preferred_upload_parallelism": 4}


def _typed(store: PortalStore, source: Draft, content_type: str) -> Draft:
    """The source, whose upload has this type. Raises SodaError if it takes none."""
    if source.body["source_type"].get("type") != "upload" or source.body.get("finished_at"):
        raise invalid("This source is not an upload, or its upload is already complete")
    return store.drafts.update(source, content_type=content_type.partition(";")[0].strip().lower())


def chunk(request: Request, sent: bytes, _: str) -> Reply:
    """POST /source/{id}/chunk/{seq}/{offset}: one chunk; chunks can be sent in any order, and again."""
    source, offset = named_source(request), path_number(request, "offset")
    if source.body.get("finished_at"):
        raise invalid("The upload of this source is already complete")
    uploads.keep_chunk(portal(request).store.drafts.folder(source.id), offset, sent)
    return {"seq_num": path_number(request, "seq"), "byte_offset": offset}


def commit(request: Request, _: bytes, __: str) -> Reply:
    """POST /source/{id}/commit/{seq}/{offset}: finish an upload that ends at the offset; the file is read."""
    store, source = portal(request).store, named_source(request)
    uploads.assemble(store.drafts.folder(source.id), path_number(request, "offset"))
    return source_reply(store, read_upload(store, source))


def read_upload(store: PortalStore, source: Draft) -> Draft:
    """Read the uploaded file and make the first output schema; if that fails, the source says why."""
    folder, facts = store.drafts.folder(source.id), source.body
    now = int(time.time())
    if not facts["parse_options"].get("parse_source", True):
        return store.drafts.update(source, finished_at=now, failed_at=None, failure=None, blob=True)
    try:
        kind = facts.get("content_type", "")
        layout = uploads.Layout.of(facts["parse_options"], kind)
        columns = uploads.read_file(folder / "upload", kind, layout, folder / "reading.parquet")
        schema = schemas.add_input(store.drafts, source, columns, folder / "reading.parquet")
        schemas.add_output(store.drafts, schema, _first_output(store, source, schema))
    except SodaError as error:
        return store.drafts.update(source, failed_at=now, failure=error.body.get("message"))
    return store.drafts.update(source, finished_at=now, failed_at=None, failure=None)


def _first_output(store: PortalStore, source: Draft, schema: Draft) -> SchemaPayload:
    if source.parent is None:
        return schemas.proposed(store.drafts, schema, None, new_columns=True)
    revision = store.drafts.get(Sort.REVISION, source.parent)
    config = revision.body.get("config")
    wanted = schemas.configured(config_named(store, config)) if config else None
    dataset, replaced = store.get(revision.dataset or ""), revision.body["action"]["type"] == "replace"
    return wanted or schemas.proposed(store.drafts, schema, dataset, new_columns=replaced)


_SOURCE = f"{BASE}/source/{{source}}"
_SOURCES = f"{BASE}/revision/{{id}}/{{seq}}/source"

ROUTES = [
    Route(_SOURCES, answering(open_source, 201), methods=["POST"]),
    Route(_SOURCES, answering(list_sources)),
    Route(f"{BASE}/source", answering(open_loose_source, 201), methods=["POST"]),
    Route(_SOURCE, answering(show_source)),
    Route(_SOURCE, answering(update_source), methods=["POST"]),
    Route(_SOURCE, answering(add_to_revision), methods=["PATCH"]),
    Route(f"{_SOURCE}/load", answering(show_source), methods=["PUT"]),
    Route(f"{_SOURCE}/bytes", answering(put_bytes), methods=["POST"]),
    Route(f"{_SOURCE}/initiate", answering(initiate), methods=["POST"]),
    Route(f"{_SOURCE}/chunk/{{seq}}/{{offset}}", answering(chunk), methods=["POST"]),
    Route(f"{_SOURCE}/commit/{{seq}}/{{offset}}", answering(commit), methods=["POST"]),
]
