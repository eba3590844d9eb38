"""Apply a revision to its dataset: rows, columns, description, and permission, all in one step."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from publisher.portal.api.payloads import ViewPayload, parsed_as
from publisher.portal.api.views import metadata_sent
from publisher.portal.base.kinds import Kind
from publisher.portal.base.model import PortalColumn, PortalDataset
from publisher.portal.base.problems import SodaError, invalid, no_rows
from publisher.portal.revisions import schemas
from publisher.portal.store.copies import matched
from publisher.portal.store.drafts import Draft, Sort
from publisher.portal.store.store import Reshaped

if TYPE_CHECKING:
    from publisher.portal.store.store import PortalStore

logger = logging.getLogger(__name__)

INTERRUPTED = "The portal was stopped while it applied this revision. Apply it again."


def begin(store: PortalStore, revision: Draft, output: Draft | None) -> tuple[Draft, IO[str]]:
    """Start a job that applies the revision; the lock that is returned keeps other processes from doing the same.

    Raises SodaError if it is closed, or is already being applied.
    """
    held = store.drafts.held(revision.id)
    if held is None:
        raise invalid("This revision is already being applied")
    try:
        for job in store.drafts.children(Sort.JOB, revision.id):
            _end(store, revision, job)
        opened(store.drafts.get(Sort.REVISION, revision.id))
        body = {"status": "in_progress", "output_schema_id": output.id if output else None}
        job = store.drafts.add(Sort.JOB, body, parent=revision.id, dataset=revision.dataset)
    except BaseException:
        held.close()
        raise
    return job, held


def opened(revision: Draft) -> Draft:
    """The revision. Raises SodaError if it is closed."""
    if revision.body["state"] != "open":
        raise invalid(f"This revision is {revision.body['state']}. Open a new one.")
    return revision


def carry_out(store: PortalStore, revision: Draft, output: Draft | None, job: Draft, held: IO[str]) -> None:
    """Apply the revision, and record the result in the job; the lock `held` is released at the end."""
    with held:
        try:
            _apply(store, revision, output)
            _finish(store, revision, job, "successful", "")
        except SodaError as error:
            _finish(store, revision, job, "failure", str(error.body.get("message", "")))
        except Exception as error:  # noqa: BLE001 -- whatever happens, the job ends and nothing of it may show
            logger.error("a revision could not be applied (%s)", type(error).__name__)
            _finish(store, revision, job, "failure", "Something went wrong on the portal")


def settled(store: PortalStore, revision: Draft, job: Draft) -> Draft:
    """The job; if its process was killed, it is marked as finished with the result it had at that moment."""
    if job.body["status"] != "in_progress":
        return job
    held = store.drafts.held(revision.id)
    if held is None:
        return job
    with held:
        _end(store, revision, store.drafts.get(Sort.JOB, job.id))
    return store.drafts.get(Sort.JOB, job.id)


def _end(store: PortalStore, revision: Draft, job: Draft) -> None:
    """Mark a job as finished that no process is working on."""
    if job.body["status"] == "in_progress":
        done = store.get(revision.dataset or "").revision == revision.id
        _finish(store, revision, job, *(("successful", "") if done else ("failure", INTERRUPTED)))


def _finish(store: PortalStore, revision: Draft, job: Draft, status: str, details: str) -> None:
    now = int(time.time())
    store.drafts.update(job, status=status, finished_at=now, log=[{"stage": status, "details": details, "time": now}])
    if status == "successful":
        store.drafts.update(revision, state="applied", closed_at=now)
        for source in store.drafts.children(Sort.SOURCE, revision.id):
            store.drafts.clear(source.id)


def _apply(store: PortalStore, revision: Draft, output: Draft | None) -> None:
    identifier = revision.dataset or ""
    files = [each for each in store.drafts.children(Sort.SOURCE, revision.id) if each.body.get("blob")]
    if output is None and files:
        store.change(identifier, lambda old: _blob(store, old, files[-1], _attributes(store, revision, old)))
    elif output is None or revision.body["action"]["type"] == "metadata":
        store.change(identifier, lambda old: _attributes(store, revision, old))
    else:
        schema = store.drafts.get(Sort.INPUT, output.parent or 0)
        source = schema.parent or 0
        action = revision.body["action"]
        file = schemas.prepared(
            store.drafts,
            source,
            output,
            deleted=action["type"] == "delete",
            rejected=action.get("error_behavior") == "reject_row",
        )
        whole = action["type"] == "replace"
        store.reshape(
            identifier,
            lambda old: Reshaped(_wanted(old, output, whole=whole), file, whole, _written(store, revision, old)),
        )


def _written(store: PortalStore, revision: Draft, dataset: PortalDataset) -> dict[str, Any]:
    return _attributes(store, revision, dataset) | {"rows_updated_by": revision.body["owner"]}


def _attributes(store: PortalStore, revision: Draft, dataset: PortalDataset) -> dict[str, Any]:
    payload = parsed_as(ViewPayload, revision.body["metadata"], "metadata")
    attributes = payload.attributes()
    if "tags" in attributes:
        attributes["tags"] = tuple(attributes["tags"])
    if payload.metadata is not None:
        attributes["metadata"] = dataset.metadata | metadata_sent(store, payload, dataset)
    permission = revision.body["action"].get("permission")
    if permission is not None:
        attributes["public"] = permission == "public"
    now = int(time.time())
    return attributes | {"published": True, "published_at": dataset.published_at or now, "revision": revision.id}


def _blob(store: PortalStore, dataset: PortalDataset, source: Draft, attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes to change, with the uploaded file if the dataset is a file."""
    if dataset.columns:
        raise invalid("This dataset is a table and cannot be replaced with a file")
    with (store.drafts.folder(source.id) / "upload").open("rb") as content:
        asset = store.assets.add(content, source.body["source_type"].get("filename", ""), "", dataset.owner)
    facts = {"filename": asset.name, "mimeType": asset.media_type, "fileSize": asset.size}
    return attributes | {"blob": asset.id, "metadata": attributes.get("metadata", dataset.metadata) | {"blob": facts}}


def _wanted(dataset: PortalDataset, output: Draft, *, whole: bool) -> PortalDataset:
    """The dataset with its new columns and row identifier. Raises SodaError."""
    if dataset.blob:
        raise no_rows()
    described = output.body["output_columns"]
    sent = tuple(
        PortalColumn(
            0, each["field_name"], each["display_name"], Kind(each["soql_type"]), each["position"], each["description"]
        )
        for each in described
    )
    named = next((each["field_name"] for each in described if each["is_primary_key"]), None)
    if whole or not dataset.columns:
        kept = dataset.row_identifier if any(column.field == dataset.row_identifier for column in sent) else None
        return replace(dataset, columns=matched(sent, dataset.columns), row_identifier=_key(sent, named or kept))
    if named and named != dataset.row_identifier and dataset.rows:
        raise invalid("To change the row identifier, use a replace revision")
    columns = _joined(dataset, sent)
    return replace(dataset, columns=columns, row_identifier=_key(columns, named or dataset.row_identifier))


def _joined(dataset: PortalDataset, sent: tuple[PortalColumn, ...]) -> tuple[PortalColumn, ...]:
    """The dataset's columns, followed by the new ones."""
    for column in sent:
        known = dataset.column(column.field)
        if known is not None and known.kind is not column.kind:
            raise invalid(
                f"Column {column.field} has the type {known.kind.value}, not {column.kind.value}; "
                "change its transform, or change the dataset with a replace revision"
            )
    fresh = [column for column in sent if dataset.column(column.field) is None]
    last = max((column.position for column in dataset.columns), default=0)
    return (*dataset.columns, *(replace(column, position=last + place) for place, column in enumerate(fresh, start=1)))


def _key(columns: tuple[PortalColumn, ...], field: str | None) -> str | None:
    found = next((column for column in columns if column.field == field), None)
    if found is not None and found.kind not in (Kind.TEXT, Kind.NUMBER):
        raise invalid("The row identifier must be a text or number column")
    return field
