"""`/api/publishing/v1/revision`: datasets changed by revisions, in the protocol of socrata-py."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.portal.answers.access import portal
from publisher.portal.api.payloads import ViewPayload, parsed, parsed_as
from publisher.portal.base.model import PortalDataset
from publisher.portal.base.problems import invalid, problem
from publisher.portal.revisions import applying
from publisher.portal.revisions.lookups import answering, config_named, named_revision, path_number
from publisher.portal.revisions.payloads import RevisionPayload
from publisher.portal.revisions.replies import BASE, Reply, job_reply, revision_reply
from publisher.portal.store.drafts import Sort

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.store.drafts import Draft
    from publisher.portal.store.store import PortalStore


def open_new(request: Request, sent: bytes, owner: str) -> Reply:
    """POST /revision: create a dataset, unpublished and private, with its first revision."""
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
    made = store.create(dataset)
    request.state.dataset = made.id
    return open_revision(store, made, payload, owner)


def open_on(request: Request, sent: bytes, owner: str) -> Reply:
    """POST /revision/{4x4}: open a revision of a dataset, with an action or a configuration."""
    store = portal(request).store
    return open_revision(store, store.get(request.path_params["id"]), parsed(RevisionPayload, sent or b"{}"), owner)


def open_revision(store: PortalStore, dataset: PortalDataset, payload: RevisionPayload, owner: str) -> Reply:
    """Open a revision of a dataset; a configuration decides its type of action."""
    parsed_as(ViewPayload, payload.metadata or {}, "metadata")
    action = payload.action.model_dump()
    if payload.config is not None:
        action["type"] = config_named(store, payload.config).body["data_action"]
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
    return revision_reply(portal(request).store, named_revision(request))


def update_revision(request: Request, sent: bytes, _: str) -> Reply:
    """PUT /revision/{4x4}/{seq}: change the members sent, and in the metadata only those sent."""
    store, draft = portal(request).store, applying.opened(named_revision(request))
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
    """DELETE /revision/{4x4}/{seq}: discard the revision without applying it; a closed one stays as it is."""
    store, draft = portal(request).store, named_revision(request)
    if draft.body["state"] == "open":
        draft = store.drafts.update(draft, state="discarded", closed_at=int(time.time()))
    return revision_reply(store, draft)


def restore(request: Request, _: bytes, __: str) -> Reply:
    """POST /revision/{4x4}/{seq}/restore: open a discarded revision again."""
    store, draft = portal(request).store, named_revision(request)
    if draft.body["state"] == "applied":
        raise invalid("An applied revision cannot be restored, because earlier rows are not kept")
    return revision_reply(store, store.drafts.update(draft, state="open", closed_at=None))


def plan(request: Request, _: bytes, __: str) -> Reply:
    """GET /revision/{4x4}/{seq}/plan: what applying the revision will do, in order, in Socrata's words."""
    store, draft = portal(request).store, named_revision(request)
    action = draft.body["action"]
    output = last_output(store, draft)
    steps: list[Reply] = [{"type": "prepare_draft_for_import"}]
    if output is not None and action["type"] != "metadata":
        steps.append({"type": "set_schema", "output_schema_id": output.id})
    steps.append({"type": "apply_metadata", "metadata": draft.body["metadata"]})
    if output is not None and action["type"] != "metadata":
        steps.append({"type": "upsert_task", "action": action["type"], "output_schema_id": output.id})
    steps.append({"type": "set_display_type", "display_type": "table" if output is not None else "blob"})
    if action.get("permission"):
        steps.append({"type": "set_permission", "permission": action["permission"]})
    steps += [{"type": "publish"}, {"type": "wait_for_replication"}]
    return {"resource": steps, "links": {}}


def last_output(store: PortalStore, revision: Draft) -> Draft | None:
    """The output schema that the revision names, or its latest one; None if it has none."""
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
    """An output schema of a source of the revision. Raises SodaError."""
    output = store.drafts.get(Sort.OUTPUT, identifier)
    schema = store.drafts.get(Sort.INPUT, output.parent or 0)
    if store.drafts.get(Sort.SOURCE, schema.parent or 0).parent != revision.id:
        raise invalid("output_schema_id: this schema belongs to another revision")
    return output


def apply(request: Request, sent: bytes, _: str) -> Response:
    """PUT /revision/{4x4}/{seq}/apply: start applying it; the job in the reply shows progress and result."""
    store, draft = portal(request).store, applying.opened(named_revision(request))
    wanted = parsed(RevisionPayload, sent or b"{}").output_schema_id or draft.body.get("output_schema_id")
    output = _output_of(store, draft, wanted) if wanted else last_output(store, draft)
    job, held = applying.begin(store, draft, output)
    work = BackgroundTask(applying.carry_out, store, draft, output, job, held)
    return JSONResponse(job_reply(draft, job), background=work)


def show_job(request: Request, _: bytes, __: str) -> Reply:
    """GET /revision/{4x4}/{seq}/apply/{job}."""
    store, draft = portal(request).store, named_revision(request)
    job = store.drafts.get(Sort.JOB, path_number(request, "job"))
    if job.parent != draft.id:
        raise problem(404, "not_found", "Not found")
    return job_reply(draft, applying.settled(store, draft, job))


_REVISION = f"{BASE}/revision/{{id}}/{{seq}}"

ROUTES = [
    Route(f"{BASE}/revision", answering(open_new, 201), methods=["POST"]),
    Route(f"{BASE}/revision/{{id}}", answering(open_on, 201), methods=["POST"]),
    Route(f"{BASE}/revision/{{id}}", answering(list_revisions)),
    Route(_REVISION, answering(show_revision)),
    Route(_REVISION, answering(update_revision), methods=["PUT"]),
    Route(_REVISION, answering(discard), methods=["DELETE"]),
    Route(f"{_REVISION}/restore", answering(restore), methods=["POST"]),
    Route(f"{_REVISION}/plan", answering(plan)),
    Route(f"{_REVISION}/apply", answering(apply), methods=["PUT"]),
    Route(f"{_REVISION}/apply/{{job}}", answering(show_job)),
]
