"""`/api/publishing/v1/source/{id}/schema`: the columns of a source, and the output columns made from them."""

from __future__ import annotations

import csv
import io
import json
from itertools import count
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse
from starlette.routing import Route

from publisher.portal.answers.access import portal
from publisher.portal.api.payloads import parsed
from publisher.portal.api.views import whole
from publisher.portal.base.kinds import GEOMETRIES, Kind
from publisher.portal.base.problems import problem
from publisher.portal.revisions import schemas
from publisher.portal.revisions.lookups import answering, named_input, named_output, path_number
from publisher.portal.revisions.replies import BASE, Reply, column_id, input_reply, output_facts, output_reply
from publisher.portal.revisions.schemas import WRONG, SchemaPayload
from publisher.portal.store.drafts import Sort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

PAGE = 5000
"""The most rows of a schema in one answer."""


def show_input(request: Request, _: bytes, __: str) -> Reply:
    """GET /source/{id}/schema/{id}."""
    return input_reply(portal(request).store, named_input(request))


def transform(request: Request, sent: bytes, _: str) -> Reply:
    """POST /source/{id}/schema/{id}: set the output columns; they are computed at once."""
    store, schema = portal(request).store, named_input(request)
    if not schemas.input_file(store.drafts, schema).exists():
        raise problem(410, "source.gone", "The files of this source are no longer kept. Upload it again.")
    made = schemas.add_output(store.drafts, schema, parsed(SchemaPayload, sent))
    return output_reply(schema.parent or 0, made)


def latest_output(request: Request, _: bytes, __: str) -> Reply:
    """GET /source/{id}/schema/{id}/output/latest."""
    schema = named_input(request)
    outputs = portal(request).store.drafts.children(Sort.OUTPUT, schema.id)
    if not outputs:
        raise problem(404, "output_schema.missing", "This source does not have an output schema yet")
    return output_reply(schema.parent or 0, outputs[-1])


def show_output(request: Request, _: bytes, __: str) -> Reply:
    """GET /source/{id}/schema/{id}/output/{id}."""
    return output_reply(path_number(request, "source"), named_output(request))


def show_rows(request: Request, _: bytes, __: str) -> list[Reply]:
    """GET …/rows: a header, then rows of cells, each `{"ok": …}` or `{"error": …}`."""
    return _rows(request, errors=False)


def show_errors(request: Request, _: bytes, __: str) -> Any:
    """GET …/errors: the rows with errors, in the same format, or as CSV on request."""
    if request.headers.get("accept", "").startswith("text/csv"):
        return StreamingResponse(_errors_csv(request), media_type="text/csv; charset=utf-8")
    return _rows(request, errors=True)


def _rows(request: Request, *, errors: bool) -> list[Reply]:
    schema, source = named_output(request), path_number(request, "source")
    offset, limit = whole(request, "offset", 0), min(whole(request, "limit", 500), PAGE)
    drafts = portal(request).store.drafts
    found = schemas.cells(drafts, source, schema, offset=offset, limit=limit, errors=errors)
    header = {"output_columns": output_facts(schema)["output_columns"]}
    return [header, *({"row": [_cell(column, row) for column in schema.body["output_columns"]]} for row in found)]


def _cell(column: Reply, row: Reply) -> Reply:
    wrong = row[WRONG + column["field_name"]]
    if wrong is None:
        return {"ok": _shown(Kind(column["soql_type"]), row[column["field_name"]])}
    sent = {f"arg{place}": {"ok": row[f":in:{name}"]} for place, name in enumerate(column["inputs"])}
    return {"error": {"message": wrong, "inputs": sent}}


def _shown(kind: Kind, text: str | None) -> Any:
    """A cell as SODA shows it: checkboxes, links and shapes are JSON, all others texts."""
    if text is None or kind not in (Kind.CHECKBOX, Kind.URL, Kind.LOCATION, *GEOMETRIES):
        return text
    return json.loads(text)


def _errors_csv(request: Request) -> Iterator[str]:
    """The rows with errors as they were sent, with what is wrong."""
    schema, source = named_output(request), path_number(request, "source")
    columns = schema.body["output_columns"]
    inputs = sorted({name for column in columns for name in column["inputs"]})
    yield _line([*inputs, "errors"])
    for page in count(0, PAGE):
        found = list(schemas.cells(portal(request).store.drafts, source, schema, offset=page, limit=PAGE, errors=True))
        for row in found:
            found_wrong = [(field, row[WRONG + field]) for field in (column["field_name"] for column in columns)]
            told = "; ".join(f"{field}: {wrong}" for field, wrong in found_wrong if wrong is not None)
            yield _line([*(row[f":in:{name}"] for name in inputs), told])
        if len(found) < PAGE:
            return


def _line(cells: list[str | None]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def validate_row_id(request: Request, _: bytes, __: str) -> Reply:
    """GET …/validate_row_id/{transform}: whether the column has a different value in every row."""
    schema, place = named_output(request), path_number(request, "transform")
    found = next((each for each in schema.body["output_columns"] if column_id(schema, each) == place), None)
    if found is None:
        raise problem(404, "transform.missing", "This transform does not exist")
    store = portal(request).store
    return {
        "valid": schemas.is_row_identifier(store.drafts, path_number(request, "source"), schema, found["field_name"])
    }


_INPUT = f"{BASE}/source/{{source}}/schema/{{input}}"
_OUTPUT = f"{_INPUT}/output/{{output}}"

ROUTES = [
    Route(_INPUT, answering(show_input)),
    Route(_INPUT, answering(transform, 201), methods=["POST"]),
    Route(f"{_INPUT}/output/latest", answering(latest_output)),
    Route(_OUTPUT, answering(show_output)),
    Route(f"{_OUTPUT}/rows", answering(show_rows)),
    Route(f"{_OUTPUT}/errors", answering(show_errors)),
    Route(f"{_OUTPUT}/validate_row_id/{{transform}}", answering(validate_row_id)),
]
