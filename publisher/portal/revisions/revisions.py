"""`/api/publishing/v1`: datasets changed by revisions, as socrata-py speaks it. Every reply is `{resource, links}`."""

from __future__ import annotations

import csv
import io
import time
from functools import wraps
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from publisher.portal.answers.access import body, portal, writer
from publisher.portal.api.payloads import ViewPayload, parsed, parsed_as
from publisher.portal.api.views import iso, whole
from publisher.portal.base.kinds import Kind
from publisher.portal.base.model import PortalDataset
from publisher.portal.base.problems import SodaError, invalid, problem
from publisher.portal.revisions import applying, schemas, uploads
from publisher.portal.revisions.schemas import WRONG, SchemaPayload
from publisher.portal.store.drafts import Sort
from publisher.portal.store.versions import texts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.requests import Request

    from publisher.portal.store.drafts import Draft
    from publisher.portal.store.store import PortalStore

BASE = "/api/publishing/v1"
PAGE = 5000
"""The most rows of a schema that one answer has."""
Reply = dict[str, Any]


class ActionPayload(BaseModel):
    """What a revision is to do."""

    type: Literal["update", "replace", "delete", "metadata"] = "update"
    permission: Literal["public", "private"] | None = None
    error_behavior: Literal["import_null", "reject_row"] = "import_null"


class RevisionPayload(BaseModel):
    """A revision to open or to change; members not sent stay as they are."""

    action: ActionPayload = Field(default_factory=ActionPayload)
    metadata: dict[str, Any] | None = None
    config: str | None = None
    output_schema_id: int | None = Field(None, ge=0, lt=2**63)
    notes: str | None = Field(None, max_length=100_000)


class SourcePayload(BaseModel):
    """A source to open or to change."""

    source_type: dict[str, Any] = Field(default_factory=dict)
    parse_options: dict[str, Any] | None = None


class ConfigPayload(BaseModel):
    """What revisions and sources made with a configuration are to be."""

    name: str = Field("", max_length=200, pattern=r"^[^/{}]*$")
    data_action: Literal["update", "replace", "delete"] = "replace"
    parse_options: dict[str, Any] | None = None
    columns: list[dict[str, Any]] | None = None


def _revision_link(draft: Draft) -> str:
    return f"{BASE}/revision/{draft.dataset}/{draft.body['revision_seq']}"


def _output_links(base: str) -> Reply:
    return {
        "show": base,
        "rows": f"{base}/rows",
        "schema_errors": f"{base}/errors",
        "validate_row_id": f"{base}/validate_row_id/{{transform_id}}",
        "build_config": f"{base}/build_config",
    }


def _input_links(base: str) -> Reply:
    return {
        "show": base,
        "transform": base,
        "latest_output": f"{base}/output/latest",
        "output_schema_links": _output_links(f"{base}/output/{{output_schema_id}}"),
    }


def revision_reply(store: PortalStore, draft: Draft) -> Reply:
    """A revision as clients read it, with its jobs."""
    base, facts = _revision_link(draft), draft.body
    jobs = [applying.settled(store, draft, job) for job in store.drafts.children(Sort.JOB, draft.id)]
    if jobs:
        draft = store.drafts.get(Sort.REVISION, draft.id)
        facts = draft.body
    return {
        "resource": {
            "id": draft.id,
            "fourfour": draft.dataset,
            "revision_seq": facts["revision_seq"],
            "action": facts["action"],
            "permission": facts["action"].get("permission"),
            "metadata": facts["metadata"],
            "notes": facts.get("notes"),
            "output_schema_id": facts.get("output_schema_id"),
            "state": facts["state"],
            "created_at": iso(draft.created_at),
            "created_by": {"user_id": facts["owner"], "display_name": facts["owner"]},
            "closed_at": _time(facts.get("closed_at")),
            "task_sets": [_job(job) for job in jobs],
        },
        "links": {
            "show": base,
            "create_source": f"{base}/source",
            "list_sources": f"{base}/source",
            "update": base,
            "apply": f"{base}/apply",
            "plan": f"{base}/plan",
            "discard": base,
            "restore": f"{base}/restore",
        },
    }


def _job(job: Draft) -> Reply:
    facts = job.body
    return {
        "id": job.id,
        "status": facts["status"],
        "output_schema_id": facts["output_schema_id"],
        "created_at": iso(job.created_at),
        "finished_at": _time(facts.get("finished_at")),
        "log": [entry | {"time": iso(entry["time"])} for entry in facts.get("log", ())],
    }


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else iso(seconds)


def source_reply(store: PortalStore, draft: Draft) -> Reply:
    """A source as clients read it, with its schemas."""
    base, facts = f"{BASE}/source/{draft.id}", draft.body
    inputs = store.drafts.children(Sort.INPUT, draft.id)
    return {
        "resource": {
            "id": draft.id,
            "source_type": facts["source_type"],
            "parse_options": facts["parse_options"],
            "content_type": facts.get("content_type"),
            "created_at": iso(draft.created_at),
            "finished_at": _time(facts.get("finished_at")),
            "failed_at": _time(facts.get("failed_at")),
            "failure_details": facts.get("failure"),
            "schemas": [_input(store, schema) for schema in inputs],
            "blob": facts.get("blob"),
        },
        "links": {
            "show": base,
            "initiate": f"{base}/initiate",
            "chunk": f"{base}/chunk/{{seq_num}}/{{byte_offset}}",
            "commit": f"{base}/commit/{{seq_num}}/{{byte_offset}}",
            "update": base,
            "add_to_revision": base,
            "show_input_schema": f"{base}/schema/{{input_schema_id}}",
            "input_schema_links": _input_links(f"{base}/schema/{{input_schema_id}}"),
        },
    }


def _input(store: PortalStore, draft: Draft) -> Reply:
    outputs = store.drafts.children(Sort.OUTPUT, draft.id)
    columns = [{"id": _place(draft, each), **each} for each in draft.body["input_columns"]]
    return {
        "id": draft.id,
        "source_id": draft.parent,
        "input_columns": columns,
        "total_rows": draft.body["total_rows"],
        "created_at": iso(draft.created_at),
        "output_schemas": [_output(output) for output in outputs],
    }


def _output(draft: Draft) -> Reply:
    done = iso(draft.created_at)
    return {
        "id": draft.id,
        "input_schema_id": draft.parent,
        "output_columns": [_output_column(draft, each, done) for each in draft.body["output_columns"]],
        "sort_bys": draft.body["sort_bys"],
        "error_count": draft.body["error_count"],
        "total_rows": draft.body["total_rows"],
        "created_at": done,
        "completed_at": done,
        "finished_at": done,
        "failed_at": None,
    }


def _output_column(draft: Draft, column: Reply, done: str) -> Reply:
    place = _place(draft, column)
    return {
        **{name: column[name] for name in ("field_name", "display_name", "description", "position", "is_primary_key")},
        "id": place,
        "transform": {
            "id": place,
            "transform_expr": column["transform_expr"],
            "output_soql_type": column["soql_type"],
            "error_count": column["error_count"],
            "completed_at": done,
            "finished_at": done,
            "failed_at": None,
        },
    }


def _place(draft: Draft, column: Reply) -> int:
    """A number that names the column of this schema and of no other."""
    place: int = draft.id * 10_000 + column["position"]
    return place


def input_reply(store: PortalStore, draft: Draft) -> Reply:
    """An input schema as clients read it."""
    base = f"{BASE}/source/{draft.parent}/schema/{draft.id}"
    return {"resource": _input(store, draft), "links": _input_links(base)}


def output_reply(source: int, draft: Draft) -> Reply:
    """An output schema as clients read it."""
    base = f"{BASE}/source/{source}/schema/{draft.parent}/output/{draft.id}"
    return {"resource": _output(draft), "links": _output_links(base)}


def config_reply(draft: Draft) -> Reply:
    """A configuration as clients read it."""
    base = f"{BASE}/config/{draft.body['name']}"
    facts = {name: draft.body[name] for name in ("name", "data_action", "parse_options", "columns")}
    links = {"show": base, "update": base, "delete": base, "create_revision": f"{base}/revision/{{fourfour}}"}
    return {"resource": facts | {"created_at": iso(draft.created_at)}, "links": links}


def _answering(
    handle: Callable[[Request, bytes, str], Any], status: int = 200
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for who may write: request, body and writer's name in, something that JSON knows out."""

    @wraps(handle)
    async def endpoint(request: Request) -> Response:
        owner = await run_in_threadpool(writer, request)
        answer = await run_in_threadpool(handle, request, await body(request), owner)
        return answer if isinstance(answer, Response) else JSONResponse(answer, status_code=status)

    return endpoint


def _number(request: Request, name: str) -> int:
    text = request.path_params[name]
    if not text.isdecimal() or len(text) > 15:
        raise problem(404, "not_found", "Not found")
    return int(text)


def _revision(request: Request) -> Draft:
    store = portal(request).store
    return store.drafts.revision(store.get(request.path_params["id"]).id, _number(request, "seq"))


def _source(request: Request) -> Draft:
    return portal(request).store.drafts.get(Sort.SOURCE, _number(request, "source"))


def _input_schema(request: Request) -> Draft:
    found = portal(request).store.drafts.get(Sort.INPUT, _number(request, "input"))
    if found.parent != _number(request, "source"):
        raise problem(404, "not_found", "Not found")
    return found


def _output_schema(request: Request) -> Draft:
    found = portal(request).store.drafts.get(Sort.OUTPUT, _number(request, "output"))
    if found.parent != _input_schema(request).id:
        raise problem(404, "not_found", "Not found")
    return found


def open_new(request: Request, sent: bytes, owner: str) -> Reply:
    """POST /revision: a dataset that does not exist yet, unpublished and private, with its first revision."""
    store, payload = portal(request).store, parsed(RevisionPayload, sent or b"{}")
    name = (payload.metadata or {}).get("name")
    if not isinstance(name, str) or not name:
        raise invalid("metadata.name: a dataset needs a name")
    parsed_as(ViewPayload, payload.metadata, "metadata")
    now = int(time.time())
    dataset = PortalDataset(
        id=store.catalog.free_identifier(),
        name=name,
        owner=owner,
        created_at=now,
        updated_at=now,
        rows_updated_at=now,
        version=1,
        rows=0,
        next_row=1,
    )
    return _opened(store, store.create(dataset), payload, owner)


def open_on(request: Request, sent: bytes, owner: str) -> Reply:
    """POST /revision/{4x4}: another revision of a dataset; its action, or the configuration that says it."""
    store = portal(request).store
    return _opened(store, store.get(request.path_params["id"]), parsed(RevisionPayload, sent or b"{}"), owner)


def _opened(store: PortalStore, dataset: PortalDataset, payload: RevisionPayload, owner: str) -> Reply:
    parsed_as(ViewPayload, payload.metadata or {}, "metadata")
    action = payload.action.model_dump()
    if payload.config is not None:
        action["type"] = _config(store, payload.config).body["data_action"]
    facts = {
        "action": action,
        "metadata": payload.metadata or {},
        "notes": payload.notes,
        "config": payload.config,
        "output_schema_id": payload.output_schema_id,
        "state": "open",
        "owner": owner,
    }
    return revision_reply(store, store.drafts.add(Sort.REVISION, facts, dataset=dataset.id))


def list_revisions(request: Request, _: bytes, __: str) -> list[Reply]:
    """GET /revision/{4x4}."""
    store = portal(request).store
    drafts = store.drafts.revisions(store.get(request.path_params["id"]).id)
    return [revision_reply(store, draft) for draft in drafts]


def show_revision(request: Request, _: bytes, __: str) -> Reply:
    """GET /revision/{4x4}/{seq}."""
    return revision_reply(portal(request).store, _revision(request))


def update_revision(request: Request, sent: bytes, _: str) -> Reply:
    """PUT /revision/{4x4}/{seq}: the members sent; of the metadata those sent."""
    store, draft = portal(request).store, applying.opened(_revision(request))
    payload = parsed(RevisionPayload, sent)
    changes: Reply = payload.model_dump(include=payload.model_fields_set - {"config", "metadata", "action"})
    if "action" in payload.model_fields_set:
        changes["action"] = draft.body["action"] | payload.action.model_dump(exclude_unset=True)
    if payload.metadata is not None:
        changes["metadata"] = draft.body["metadata"] | payload.metadata
        parsed_as(ViewPayload, changes["metadata"], "metadata")
    if payload.output_schema_id is not None:
        _output_of(store, draft, payload.output_schema_id)
    return revision_reply(store, store.drafts.update(draft, **changes))


def discard(request: Request, _: bytes, __: str) -> Reply:
    """DELETE /revision/{4x4}/{seq}: closed without effect."""
    store, draft = portal(request).store, applying.opened(_revision(request))
    return revision_reply(store, store.drafts.update(draft, state="discarded", closed_at=int(time.time())))


def restore(request: Request, _: bytes, __: str) -> Reply:
    """POST /revision/{4x4}/{seq}/restore: a discarded revision is open again."""
    store, draft = portal(request).store, _revision(request)
    if draft.body["state"] == "applied":
        raise invalid("An applied revision cannot be restored: earlier rows are not archived here")
    return revision_reply(store, store.drafts.update(draft, state="open", closed_at=None))


def plan(request: Request, _: bytes, __: str) -> Reply:
    """GET /revision/{4x4}/{seq}/plan: what applying it will do, in order."""
    store, draft = portal(request).store, _revision(request)
    action = draft.body["action"]
    output = _last_output(store, draft)
    steps: list[Reply] = [{"type": "set_metadata", "metadata": draft.body["metadata"]}]
    if output is not None and action["type"] != "metadata":
        steps.append({"type": f"{action['type']}_rows", "output_schema_id": output.id})
    if action.get("permission"):
        steps.append({"type": "set_permission", "permission": action["permission"]})
    if not store.get(draft.dataset or "").published:
        steps.append({"type": "publish"})
    return {"resource": steps, "links": {}}


def _last_output(store: PortalStore, revision: Draft) -> Draft | None:
    if revision.body.get("output_schema_id"):
        return _output_of(store, revision, revision.body["output_schema_id"])
    outputs = [
        output
        for source in store.drafts.children(Sort.SOURCE, revision.id)
        for schema in store.drafts.children(Sort.INPUT, source.id)
        for output in store.drafts.children(Sort.OUTPUT, schema.id)
    ]
    return max(outputs, key=lambda output: output.id, default=None)


def _output_of(store: PortalStore, revision: Draft, identifier: int) -> Draft:
    """An output schema of a source of the revision. Errors: SodaError."""
    output = store.drafts.get(Sort.OUTPUT, identifier)
    schema = store.drafts.get(Sort.INPUT, output.parent or 0)
    if store.drafts.get(Sort.SOURCE, schema.parent or 0).parent != revision.id:
        raise invalid("output_schema_id: this schema belongs to another revision")
    return output


def apply(request: Request, sent: bytes, _: str) -> Response:
    """PUT /revision/{4x4}/{seq}/apply: begins; the job in the reply says when it has ended, and how."""
    store, draft = portal(request).store, applying.opened(_revision(request))
    wanted = parsed(RevisionPayload, sent or b"{}").output_schema_id or draft.body.get("output_schema_id")
    output = _output_of(store, draft, wanted) if wanted else _last_output(store, draft)
    job, held = applying.begin(store, draft, output)
    work = BackgroundTask(applying.carry_out, store, draft, output, job, held)
    return JSONResponse(_job_reply(draft, job), background=work)


def _job_reply(draft: Draft, job: Draft) -> Reply:
    return {"resource": _job(job), "links": {"show": f"{_revision_link(draft)}/apply/{job.id}"}}


def show_job(request: Request, _: bytes, __: str) -> Reply:
    """GET /revision/{4x4}/{seq}/apply/{job}."""
    store, draft = portal(request).store, _revision(request)
    job = store.drafts.get(Sort.JOB, _number(request, "job"))
    if job.parent != draft.id:
        raise problem(404, "not_found", "Not found")
    return _job_reply(draft, applying.settled(store, draft, job))


def open_source(request: Request, sent: bytes, _: str) -> Reply:
    """POST /revision/{4x4}/{seq}/source: an upload to come, or the rows of a dataset."""
    store, draft = portal(request).store, applying.opened(_revision(request))
    config = draft.body.get("config")
    options = (_config(store, config).body.get("parse_options") or {}) if config else {}
    return _opened_source(store, parsed(SourcePayload, sent), draft, options)


def open_loose_source(request: Request, sent: bytes, _: str) -> Reply:
    """POST /source: an upload that belongs to no revision yet."""
    return _opened_source(portal(request).store, parsed(SourcePayload, sent), None, {})


def _opened_source(store: PortalStore, payload: SourcePayload, revision: Draft | None, options: Reply) -> Reply:
    sort = payload.source_type.get("type")
    if sort not in ("upload", "view"):
        raise invalid("source_type: known are upload and view; nothing is fetched from elsewhere")
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
    """The rows of a dataset as a source."""
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
    store, draft = portal(request).store, _revision(request)
    return [source_reply(store, source) for source in store.drafts.children(Sort.SOURCE, draft.id)]


def show_source(request: Request, _: bytes, __: str) -> Reply:
    """GET /source/{id}; PUT /source/{id}/load gives the same, as a view's rows are there at once."""
    return source_reply(portal(request).store, _source(request))


def update_source(request: Request, sent: bytes, _: str) -> Reply:
    """POST /source/{id}: other parse options; a file that is there is read again."""
    store, source = portal(request).store, _source(request)
    payload = parsed(SourcePayload, sent)
    source = store.drafts.update(source, parse_options=source.body["parse_options"] | (payload.parse_options or {}))
    if (store.drafts.folder(source.id) / "upload").exists():
        source = _read_upload(store, source)
    return source_reply(store, source)


class _Membership(BaseModel):
    fourfour: str
    revision_seq: int


class _MembershipPayload(BaseModel):
    revision: _Membership


def add_to_revision(request: Request, sent: bytes, _: str) -> Reply:
    """PATCH /source/{id}: the source belongs to that revision from now on."""
    store, source = portal(request).store, _source(request)
    named = parsed(_MembershipPayload, sent).revision
    revision = applying.opened(store.drafts.revision(named.fourfour, named.revision_seq))
    return source_reply(store, store.drafts.update(source, parent=revision))


def initiate(request: Request, sent: bytes, _: str) -> Reply:
    """POST /source/{id}/initiate: how large the chunks should be."""
    store, source = portal(request).store, _source(request)
    if source.body["source_type"].get("type") != "upload" or source.body.get("finished_at"):
        raise invalid("This source takes no upload, or has had it already")
    content_type = parsed(_ContentPayload, sent).content_type.partition(";")[0].strip().lower()
    store.drafts.update(source, content_type=content_type)
    return {"preferred_chunk_size": uploads.CHUNK, "preferred_upload_parallelism": 4}


class _ContentPayload(BaseModel):
    content_type: str = Field(max_length=200)


def chunk(request: Request, sent: bytes, _: str) -> Reply:
    """POST /source/{id}/chunk/{seq}/{offset}: bytes that begin there, in any order, and again where one failed."""
    source, offset = _source(request), _number(request, "offset")
    if source.body.get("finished_at"):
        raise invalid("This source has had its upload already")
    uploads.keep_chunk(portal(request).store.drafts.folder(source.id), offset, sent)
    return {"seq_num": _number(request, "seq"), "byte_offset": offset}


def commit(request: Request, _: bytes, __: str) -> Reply:
    """POST /source/{id}/commit/{seq}/{offset}: that was all, up to there; the file is read."""
    store, source = portal(request).store, _source(request)
    uploads.assemble(store.drafts.folder(source.id), _number(request, "offset"))
    return source_reply(store, _read_upload(store, source))


def _read_upload(store: PortalStore, source: Draft) -> Draft:
    """Read the uploaded file and carry out the transforms that suit it; the source says where that failed."""
    folder, facts = store.drafts.folder(source.id), source.body
    now = int(time.time())
    if not facts["parse_options"].get("parse_source", True):
        return store.drafts.update(source, finished_at=now, failed_at=None, failure=None, blob=True)
    try:
        kind = facts.get("content_type", "")
        layout = uploads.Layout.of(facts["parse_options"], kind)
        columns = uploads.read_file(folder / "upload", kind, layout, folder / "reading.parquet")
        texts = [(field, name, Kind.TEXT) for field, name in columns]
        schema = schemas.add_input(store.drafts, source, texts, folder / "reading.parquet")
        schemas.add_output(store.drafts, schema, _first_output(store, source, schema))
    except SodaError as error:
        return store.drafts.update(source, failed_at=now, failure=error.body.get("message"))
    return store.drafts.update(source, finished_at=now, failed_at=None, failure=None)


def _first_output(store: PortalStore, source: Draft, schema: Draft) -> SchemaPayload:
    if source.parent is None:
        return schemas.proposed(store.drafts, schema, None, new_columns=True)
    revision = store.drafts.get(Sort.REVISION, source.parent)
    config = revision.body.get("config")
    wanted = schemas.configured(_config(store, config)) if config else None
    dataset, replaced = store.get(revision.dataset or ""), revision.body["action"]["type"] == "replace"
    return wanted or schemas.proposed(store.drafts, schema, dataset, new_columns=replaced)


def show_input(request: Request, _: bytes, __: str) -> Reply:
    """GET /source/{id}/schema/{id}."""
    return input_reply(portal(request).store, _input_schema(request))


def transform(request: Request, sent: bytes, _: str) -> Reply:
    """POST /source/{id}/schema/{id}: other output columns, carried out at once."""
    store, schema = portal(request).store, _input_schema(request)
    if not schemas.input_file(store.drafts, schema).exists():
        raise problem(410, "source.gone", "The files of this source are not kept any more; upload it again")
    made = schemas.add_output(store.drafts, schema, parsed(SchemaPayload, sent))
    return output_reply(schema.parent or 0, made)


def latest_output(request: Request, _: bytes, __: str) -> Reply:
    """GET /source/{id}/schema/{id}/output/latest."""
    schema = _input_schema(request)
    outputs = portal(request).store.drafts.children(Sort.OUTPUT, schema.id)
    if not outputs:
        raise problem(404, "output_schema.missing", "There is no output schema yet")
    return output_reply(schema.parent or 0, outputs[-1])


def show_output(request: Request, _: bytes, __: str) -> Reply:
    """GET /source/{id}/schema/{id}/output/{id}."""
    return output_reply(_number(request, "source"), _output_schema(request))


def show_rows(request: Request, _: bytes, __: str) -> list[Reply]:
    """GET …/rows: a header, then rows of cells, each `{"ok": …}` or `{"error": …}`."""
    return _rows(request, errors=False)


def show_errors(request: Request, _: bytes, __: str) -> Any:
    """GET …/errors: the rows that have errors, in the same form; as CSV where that is asked for."""
    if request.headers.get("accept", "").startswith("text/csv"):
        return StreamingResponse(_errors_csv(request), media_type="text/csv; charset=utf-8")
    return _rows(request, errors=True)


def _rows(request: Request, *, errors: bool) -> list[Reply]:
    schema, source = _output_schema(request), _number(request, "source")
    offset, limit = whole(request, "offset", 0), min(whole(request, "limit", 500), PAGE)
    drafts = portal(request).store.drafts
    found = schemas.cells(drafts, source, schema, offset=offset, limit=limit, errors=errors)
    header = {"output_columns": _output(schema)["output_columns"]}
    return [header, *({"row": [_cell(column, row) for column in schema.body["output_columns"]]} for row in found)]


def _cell(column: Reply, row: Reply) -> Reply:
    if not row[WRONG + column["field_name"]]:
        return {"ok": row[column["field_name"]]}
    sent = {f"arg{place}": {"ok": row[f":in:{name}"]} for place, name in enumerate(column["inputs"])}
    return {"error": {"message": f"Failed to convert to {column['soql_type']}", "inputs": sent}}


def _errors_csv(request: Request) -> Iterator[str]:
    """The rows with errors as they were sent, and the columns that could not be made."""
    schema, source = _output_schema(request), _number(request, "source")
    columns = schema.body["output_columns"]
    inputs = sorted({name for column in columns for name in column["inputs"]})
    yield _line([*inputs, "errors"])
    for page in count(0, PAGE):
        found = list(schemas.cells(portal(request).store.drafts, source, schema, offset=page, limit=PAGE, errors=True))
        for row in found:
            wrong = [column["field_name"] for column in columns if row[WRONG + column["field_name"]]]
            yield _line([*(row[f":in:{name}"] for name in inputs), ", ".join(wrong)])
        if len(found) < PAGE:
            return


def _line(cells: list[str | None]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def validate_row_id(request: Request, _: bytes, __: str) -> Reply:
    """GET …/validate_row_id/{transform}: whether the column tells the rows apart."""
    schema, place = _output_schema(request), _number(request, "transform")
    found = next((each for each in schema.body["output_columns"] if _place(schema, each) == place), None)
    if found is None:
        raise problem(404, "transform.missing", "There is no such transform")
    store = portal(request).store
    return {"valid": schemas.is_row_identifier(store.drafts, _number(request, "source"), schema, found["field_name"])}


def build_config(request: Request, sent: bytes, _: str) -> Reply:
    """POST …/build_config: a configuration that makes these columns again."""
    store, schema = portal(request).store, _output_schema(request)
    names = ("field_name", "display_name", "description", "transform_expr", "is_primary_key")
    columns = [{name: column[name] for name in names} for column in schema.body["output_columns"]]
    payload = parsed(ConfigPayload, sent).model_copy(
        update={"columns": columns, "parse_options": _source(request).body["parse_options"]}
    )
    return _made_config(store, payload)


def create_config(request: Request, sent: bytes, _: str) -> Reply:
    """POST /config."""
    return _made_config(portal(request).store, parsed(ConfigPayload, sent))


def _made_config(store: PortalStore, payload: ConfigPayload) -> Reply:
    return config_reply(store.drafts.add(Sort.CONFIG, payload.model_dump()))


def _config(store: PortalStore, name: str) -> Draft:
    found = next((config for config in store.drafts.configs() if config.body["name"] == name), None)
    if found is None:
        raise problem(404, "config.missing", "There is no such configuration")
    return found


def _named_config(request: Request) -> Draft:
    return _config(portal(request).store, request.path_params["name"])


def list_configs(request: Request, _: bytes, __: str) -> list[Reply]:
    """GET /config."""
    return [config_reply(config) for config in portal(request).store.drafts.configs()]


def show_config(request: Request, _: bytes, __: str) -> Reply:
    """GET /config/{name}."""
    return config_reply(_named_config(request))


def update_config(request: Request, sent: bytes, _: str) -> Reply:
    """PATCH /config/{name}: the members sent; its name stays."""
    changes = parsed(ConfigPayload, sent).model_dump(exclude_unset=True, exclude={"name"})
    return config_reply(portal(request).store.drafts.update(_named_config(request), **changes))


def delete_config(request: Request, _: bytes, __: str) -> Reply:
    """DELETE /config/{name}."""
    found = _named_config(request)
    portal(request).store.drafts.remove(found)
    return config_reply(found)


def revision_of_config(request: Request, _: bytes, owner: str) -> Reply:
    """POST /config/{name}/revision/{4x4}: a revision as the configuration says."""
    store = portal(request).store
    payload = RevisionPayload(config=_named_config(request).body["name"])
    return _opened(store, store.get(request.path_params["id"]), payload, owner)


_REVISION = f"{BASE}/revision/{{id}}/{{seq}}"
_SOURCE = f"{BASE}/source/{{source}}"
_INPUT = f"{_SOURCE}/schema/{{input}}"
_OUTPUT = f"{_INPUT}/output/{{output}}"
_CONFIG = f"{BASE}/config/{{name}}"

ROUTES = [
    Route(f"{BASE}/revision", _answering(open_new, 201), methods=["POST"]),
    Route(f"{BASE}/revision/{{id}}", _answering(open_on, 201), methods=["POST"]),
    Route(f"{BASE}/revision/{{id}}", _answering(list_revisions)),
    Route(_REVISION, _answering(show_revision)),
    Route(_REVISION, _answering(update_revision), methods=["PUT"]),
    Route(_REVISION, _answering(discard), methods=["DELETE"]),
    Route(f"{_REVISION}/restore", _answering(restore), methods=["POST"]),
    Route(f"{_REVISION}/plan", _answering(plan)),
    Route(f"{_REVISION}/apply", _answering(apply), methods=["PUT"]),
    Route(f"{_REVISION}/apply/{{job}}", _answering(show_job)),
    Route(f"{_REVISION}/source", _answering(open_source, 201), methods=["POST"]),
    Route(f"{_REVISION}/source", _answering(list_sources)),
    Route(f"{BASE}/source", _answering(open_loose_source, 201), methods=["POST"]),
    Route(_SOURCE, _answering(show_source)),
    Route(_SOURCE, _answering(update_source), methods=["POST"]),
    Route(_SOURCE, _answering(add_to_revision), methods=["PATCH"]),
    Route(f"{_SOURCE}/load", _answering(show_source), methods=["PUT"]),
    Route(f"{_SOURCE}/initiate", _answering(initiate), methods=["POST"]),
    Route(f"{_SOURCE}/chunk/{{seq}}/{{offset}}", _answering(chunk), methods=["POST"]),
    Route(f"{_SOURCE}/commit/{{seq}}/{{offset}}", _answering(commit), methods=["POST"]),
    Route(_INPUT, _answering(show_input)),
    Route(_INPUT, _answering(transform, 201), methods=["POST"]),
    Route(f"{_INPUT}/output/latest", _answering(latest_output)),
    Route(_OUTPUT, _answering(show_output)),
    Route(f"{_OUTPUT}/rows", _answering(show_rows)),
    Route(f"{_OUTPUT}/errors", _answering(show_errors)),
    Route(f"{_OUTPUT}/validate_row_id/{{transform}}", _answering(validate_row_id)),
    Route(f"{_OUTPUT}/build_config", _answering(build_config, 201), methods=["POST"]),
    Route(f"{BASE}/config", _answering(create_config, 201), methods=["POST"]),
    Route(f"{BASE}/config", _answering(list_configs)),
    Route(_CONFIG, _answering(show_config)),
    Route(_CONFIG, _answering(update_config), methods=["PATCH"]),
    Route(_CONFIG, _answering(delete_config), methods=["DELETE"]),
    Route(f"{_CONFIG}/revision/{{id}}", _answering(revision_of_config, 201), methods=["POST"]),
]
