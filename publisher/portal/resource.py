"""`/resource`: rows read with SoQL, and rows written, as SODA 2.1 has it."""

from __future__ import annotations

import hashlib
import json
import re
from email.utils import formatdate, parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from publisher.portal import formats
from publisher.portal.access import body, joinable, portal, readable, sources, writer
from publisher.portal.problems import invalid, malformed, row_missing
from publisher.portal.soql.compiler import CLAUSES, Question, compile_question

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from publisher.portal.formats import Format
    from publisher.portal.model import Dataset
    from publisher.portal.soql.compiler import Compiled

_ADDRESS = re.compile(r"([0-9a-z]{4}-[0-9a-z]{4})(?:\.([a-z]+))?")


def address(text: str) -> tuple[str, str | None]:
    """The 4x4 and the extension of the last part of an address; a malformed one names no dataset."""
    found = _ADDRESS.fullmatch(text)
    return (found[1], found[2]) if found else (text, None)


def question(request: Request) -> Question:
    """What the query parameters ask. Errors: SodaError for a parameter that SODA does not have."""
    clauses: dict[str, str] = {}
    filters: list[tuple[str, str]] = []
    words, system = "", False
    for name, value in request.query_params.multi_items():
        if name in CLAUSES or name == "$query":
            if value.strip():
                clauses[name] = value
        elif name == "$q":
            words = value
        elif name == "$$exclude_system_fields":
            system = value.lower() == "false"
        elif name.startswith("$$"):
            continue
        elif name.startswith("$"):
            raise invalid(f"Unrecognized arguments [{name}]", arguments=[name])
        else:
            filters.append((name, value))
    if "$query" in clauses and len(clauses) > 1:
        raise malformed(clauses["$query"], 1, 1, "$query cannot stand beside $select, $where and their like")
    return Question(clauses, tuple(filters), words, system)


def read(request: Request) -> Response:
    """GET /resource/{4x4}: the rows that answer the question."""
    identifier, extension = address(request.path_params["name"])
    dataset = readable(request, identifier)
    form = formats.negotiated(extension, request.headers.get("accept", "*/*"))
    compiled = compile_question(dataset, question(request), partial(joinable, request))
    return answer(request, dataset, compiled, form)


def answer(request: Request, dataset: Dataset, compiled: Compiled, form: Format) -> Response:
    """The rows of a compiled query in a format, streamed; 304 when the client has them already."""
    headers = headers_of(request, dataset, form)
    headers["X-SODA2-Fields"] = json.dumps([name for name, _ in compiled.fields])
    headers["X-SODA2-Types"] = json.dumps([kind.value for _, kind in compiled.fields])
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        return Response(headers=headers, media_type=form.media_type)
    batches = rows(request, dataset, compiled, form)
    return StreamingResponse(form.frame(compiled.fields, batches), headers=headers, media_type=form.media_type)


def rows(request: Request, dataset: Dataset, compiled: Compiled, form: Format) -> Iterator[list[str]]:
    """The answer's lines in batches."""
    return portal(request).engine.stream(sources(request, dataset, compiled), compiled, form.line(compiled.fields))


def headers_of(request: Request, dataset: Dataset, form: Format) -> dict[str, str]:
    """What lets a client ask again only for what has changed."""
    asked = f"{form.name} {dataset.updated_at} {request.url.query}"
    mark = hashlib.sha256(asked.encode()).hexdigest()[:16]
    return {
        "ETag": f'W/"{dataset.id}.{dataset.version}.{mark}"',
        "Last-Modified": formatdate(dataset.changed_at, usegmt=True),
        "Cache-Control": "no-cache" if dataset.open else "private, no-cache",
        "Vary": "Accept, Authorization",
    }


def is_fresh(request: Request, headers: dict[str, str]) -> bool:
    """True where the client's copy is the current one."""
    marks = request.headers.get("if-none-match")
    if marks is not None:
        return marks.strip() == "*" or headers["ETag"].removeprefix("W/") in {
            mark.strip().removeprefix("W/") for mark in marks.split(",")
        }
    since = request.headers.get("if-modified-since")
    try:
        return since is not None and parsedate_to_datetime(since) >= parsedate_to_datetime(headers["Last-Modified"])
    except (ValueError, TypeError):
        return False


def read_row(request: Request) -> Response:
    """GET /resource/{4x4}/{row}.json: one row by its identifier or `:id`."""
    dataset = readable(request, request.path_params["id"])
    identifier = row_name(request)
    compiled = _one_row(dataset, identifier, system=False)
    found = [line for batch in rows(request, dataset, compiled, formats.JSON) for line in batch]
    if not found:
        raise row_missing(identifier)
    return Response(found[0], headers=headers_of(request, dataset, formats.JSON), media_type=formats.JSON.media_type)


def row_name(request: Request) -> str:
    """The row's identifier in the address."""
    return str(request.path_params["row"]).removesuffix(".json")


def _one_row(dataset: Dataset, identifier: str, *, system: bool) -> Compiled:
    key = dataset.row_identifier if dataset.row_identifier and not identifier.startswith("row-") else ":id"
    return compile_question(dataset, Question({}, ((key, identifier),), system=system, limit=1))


async def write(request: Request) -> Response:
    """POST /resource/{4x4} upserts rows, PUT puts them in the place of all; answers with the counters."""
    identifier, _ = address(request.path_params["name"])
    await run_in_threadpool(writer, request)
    sent = await body(request)
    kind = request.headers.get("content-type", "application/json").lower()
    replace = request.method == "PUT"
    counts = await run_in_threadpool(portal(request).store.write, identifier, sent, kind, replace=replace)
    return JSONResponse(counts.soda())


def delete_row(request: Request) -> Response:
    """DELETE /resource/{4x4}/{row}.json."""
    writer(request)
    store = portal(request).store
    dataset = store.get(request.path_params["id"])
    identifier = row_name(request)
    compiled = _one_row(dataset, identifier, system=True)
    found = portal(request).engine.fetch(sources(request, dataset, compiled), compiled)
    if not found:
        raise row_missing(identifier)
    key = dataset.row_identifier or ":id"
    sent = json.dumps({key: str(found[0][key]), ":deleted": True}).encode()
    return JSONResponse(store.write(dataset.id, sent, "application/json", replace=False).soda())


ROUTES = [
    Route("/resource/{name}", read),
    Route("/resource/{name}", write, methods=["POST", "PUT"]),
    Route("/resource/{id}/{row}", read_row),
    Route("/resource/{id}/{row}", delete_row, methods=["DELETE"]),
]
