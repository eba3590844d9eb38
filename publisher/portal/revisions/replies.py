"""Replies for revisions, jobs, sources, schemas, and configurations: `{resource, links}`, as socrata-py reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from publisher.portal.api.views import iso
from publisher.portal.revisions import applying
from publisher.portal.revisions.uploads import PARSE_OPTIONS
from publisher.portal.store.drafts import Sort

if TYPE_CHECKING:
    from publisher.portal.store.drafts import Draft
    from publisher.portal.store.store import PortalStore

BASE = "/api/publishing/v1"
Reply = dict[str, Any]
_CONFIG_COLUMN: Reply = {"format": {}, "description": "", "is_primary_key": None, "flags": []}
"""What a configuration says of a column where nothing was said."""


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
    """The reply for a revision, with its jobs."""
    base, facts = _revision_link(draft), draft.body
    jobs = [applying.settled(store, draft, job) for job in store.drafts.children(Sort.JOB, draft.id)]
    if jobs:
        draft = store.drafts.get(Sort.REVISION, draft.id)
        facts = draft.body
    files = [source.id for source in store.drafts.children(Sort.SOURCE, draft.id) if source.body.get("blob")]
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
            "blob_id": files[-1] if files else None,
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


def job_reply(draft: Draft, job: Draft) -> Reply:
    """The reply for a job that applies a revision."""
    return {"resource": _job(job), "links": {"show": f"{_revision_link(draft)}/apply/{job.id}"}}


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else iso(seconds)


def source_reply(store: PortalStore, draft: Draft) -> Reply:
    """The reply for a source, with its schemas."""
    base, facts = f"{BASE}/source/{draft.id}", draft.body
    inputs = store.drafts.children(Sort.INPUT, draft.id)
    return {
        "resource": {
            "id": draft.id,
            "source_type": facts["source_type"],
            "parse_options": PARSE_OPTIONS | facts["parse_options"],
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
            **({} if facts.get("finished_at") else {"bytes": f"{base}/bytes"}),
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
    columns = [{"id": column_id(draft, each), **each} for each in draft.body["input_columns"]]
    return {
        "id": draft.id,
        "source_id": draft.parent,
        "input_columns": columns,
        "total_rows": draft.body["total_rows"],
        "created_at": iso(draft.created_at),
        "output_schemas": [output_facts(output) for output in outputs],
    }


def output_facts(draft: Draft) -> Reply:
    """An output schema with its columns."""
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
    place = column_id(draft, column)
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


def column_id(draft: Draft, column: Reply) -> int:
    """A number that identifies the column of this schema and no other column."""
    place: int = draft.id * 10_000 + column["position"]
    return place


def input_reply(store: PortalStore, draft: Draft) -> Reply:
    """The reply for an input schema."""
    base = f"{BASE}/source/{draft.parent}/schema/{draft.id}"
    return {"resource": _input(store, draft), "links": _input_links(base)}


def output_reply(source: int, draft: Draft) -> Reply:
    """The reply for an output schema."""
    base = f"{BASE}/source/{source}/schema/{draft.parent}/output/{draft.id}"
    return {"resource": output_facts(draft), "links": _output_links(base)}


def config_reply(draft: Draft) -> Reply:
    """The reply for a configuration."""
    base = f"{BASE}/config/{draft.body['name']}"
    columns = draft.body["columns"]
    facts = {
        "name": draft.body["name"],
        "data_action": draft.body["data_action"],
        "parse_options": PARSE_OPTIONS | (draft.body["parse_options"] or {}),
        "columns": None if columns is None else [_CONFIG_COLUMN | column for column in columns],
        "created_at": iso(draft.created_at),
    }
    links = {"show": base, "update": base, "delete": base, "create_revision": f"{base}/revision/{{fourfour}}"}
    return {"resource": facts, "links": links}
