"""`/resource`: read rows with SoQL and write rows (SODA 2.1)."""

from __future__ import annotations

import json
import re
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.portal.answers import formats
from publisher.portal.answers.access import base_url, body, joinable, moderate, portal, sources, tabular, writer
from publisher.portal.answers.freshness import headers_of, unchanged, unkept
from publisher.portal.answers.lanes import address as address_of
from publisher.portal.answers.lanes import lanes
from publisher.portal.answers.streaming import bodiless, computed, sent
from publisher.portal.base.kinds import Kind
from publisher.portal.base.problems import CHANGED, SodaError, invalid, malformed, row_missing
from publisher.portal.engine.engine import BATCH
from publisher.portal.soql.compiler import CLAUSES, SoqlQuestion, compile_question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

    from publisher.portal.answers.formats import Fields, Format
    from publisher.portal.base.model import PortalDataset
    from publisher.portal.base.watch import Deadline
    from publisher.portal.engine.engine import DatasetRows, QueryEngine
    from publisher.portal.soql.compiler import Compiled

HEADER_LIMIT = 5000
"""The answer's fields and types are sent as headers if they have at most this many bytes."""
_TOO_LARGE = "X-SODA2-Fields and X-SODA2-Types have been suppressed for being too large."
_SYSTEM_ID = re.compile(r"row-[0-9a-z]{4}\.[0-9a-z]{4}~[0-9a-z]{4}")
_ADDRESS = re.compile(r"([0-9a-z]{4}-[0-9a-z]{4})(?:\.([a-z]+))?")


def address(text: str) -> tuple[str, str | None]:
    """Split the last part of an address into 4x4 and extension; a malformed one is returned whole."""
    found = _ADDRESS.fullmatch(text)
    return (found[1], found[2]) if found else (text, None)


def question(request: Request, dataset: PortalDataset) -> SoqlQuestion:
    """Read the query parameters. Raises SodaError for one that SODA does not have, or 413."""
    moderate(request, *(text for pair in request.query_params.multi_items() for text in pair))
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
        elif name.startswith("$$") or (name == "app_token" and dataset.column(name) is None):
            continue
        elif name.startswith("$"):
            raise invalid(f"Unrecognized arguments [{name}]", arguments=[name])
        else:
            filters.append((name, value))
    if "$query" in clauses and len(clauses) > 1:
        raise malformed(clauses["$query"], 1, 1, "$query cannot be used with $select, $where, or other clauses")
    return SoqlQuestion(clauses, tuple(filters), words, system)


async def read(request: Request) -> Response:
    """GET /resource/{4x4}: the result of a query."""
    return await computed(request, partial(current, partial(_read, request)))


def current(answer: Callable[[Deadline], Response], deadline: Deadline) -> Response:
    """The answer; tried once more if the version that it was reading was removed."""
    try:
        return answer(deadline)
    except SodaError as error:
        if error.body.get("code") != CHANGED:
            raise
    return answer(deadline)


def _read(request: Request, deadline: Deadline) -> Response:
    identifier, extension = address(request.path_params["name"])
    dataset = tabular(request, identifier)
    form = formats.negotiated(extension, request.headers.get("accept", "*/*"))
    if form is formats.RDF:
        form = formats.rdf(f"{base_url(request)}/resource/{dataset.id}/")
    if form is formats.CSV and request.query_params.get("$$bom", "").lower() == "true":
        form = formats.csv(bom=True)
    compiled = compile_question(dataset, question(request, dataset), partial(joinable, request))
    return answer(request, dataset, compiled, form, deadline)


def answer(
    request: Request, dataset: PortalDataset, compiled: Compiled, form: Format, deadline: Deadline, asked: str = ""
) -> Response:
    """The result of a compiled query in a format; 304 if the client already has it. `asked`: see `headers_of`."""
    about = described(dataset, compiled)
    if compiled.momentary:
        headers = unkept() | about
    else:
        headers = headers_of(request, dataset, form, compiled.joined, asked) | about
        response = unchanged(request, headers)
        if response is not None:
            return response
    if request.method == "HEAD":
        return bodiless(headers, form.media_type)
    blocks = _blocks(portal(request).engine, sources(request, dataset, compiled), compiled, form, deadline)
    return sent(form.body(form.opening(compiled.fields), blocks), deadline, headers, form.media_type)


def _blocks(
    engine: QueryEngine, read: tuple[DatasetRows, ...], compiled: Compiled, form: Format, deadline: Deadline
) -> Iterator[bytes]:
    """The text of the rows; a small result is written from its columns, as DuckDB would take longer to plan the SQL."""
    if form.rows is not None and compiled.most is not None and compiled.most <= BATCH:
        texts = form.rows(compiled.fields, engine.table(read, compiled, deadline))
        if texts is not None:
            return iter([texts] if texts else [])
    return engine.blocks(read, compiled, form.each(compiled.fields), deadline)


def described(dataset: PortalDataset, compiled: Compiled) -> dict[str, str]:
    """Socrata's headers for an answer: its columns unless there are too many, and how old the rows are."""
    changed = formatdate(max(each.changed_at for each in (dataset, *compiled.joined)), usegmt=True)
    ages = {
        "X-SODA2-Data-Out-Of-Date": "false",
        "X-SODA2-Truth-Last-Modified": changed,
        "X-SODA2-Secondary-Last-Modified": changed,
    }
    names, kinds = json.dumps([name for name, _ in compiled.fields]), json.dumps(_types(compiled.fields))
    if len(names) + len(kinds) >= HEADER_LIMIT:
        return ages | {"X-SODA2-Warning": _TOO_LARGE}
    return ages | {"X-SODA2-Fields": names, "X-SODA2-Types": kinds}


def _types(fields: Fields) -> list[str]:
    """The names of types in headers, where a checkbox is a boolean."""
    told = {Kind.CHECKBOX: "boolean"}
    return ["row_identifier" if name == ":id" else told.get(kind, kind.value) for name, kind in fields]


async def read_row(request: Request) -> Response:
    """GET /resource/{4x4}/{row}[.json|.csv|.geojson]: one row by its identifier or `:id`."""
    return await computed(request, partial(current, partial(_read_row, request)))


def _read_row(request: Request, deadline: Deadline) -> Response:
    dataset = tabular(request, request.path_params["id"])
    identifier, form = row_named(request)
    for compiled in _one_row(dataset, identifier, system=question(request, dataset).system):
        read = sources(request, dataset, compiled)
        row = b"".join(portal(request).engine.blocks(read, compiled, form.line(compiled.fields), deadline))
        if row:
            break
    else:
        raise row_missing(identifier)
    headers = headers_of(request, dataset, form) | described(dataset, compiled)
    return unchanged(request, headers) or Response(
        _alone(form, compiled, row), headers=headers, media_type=form.media_type
    )


def _alone(form: Format, compiled: Compiled, row: bytes) -> bytes:
    """The body for one row: an object, a feature, or a table with one record."""
    if form.name == "geojson":
        return row[:-1] + f',"crs":{formats.CRS}}}\n'.encode()
    if form.name == "json":
        return row + b"\n"
    return b"".join(form.body(form.opening(compiled.fields), iter([row + form.after.encode()])))


def row_named(request: Request) -> tuple[str, Format]:
    """The row's identifier in the address, and the format of the answer; an identifier may contain a dot."""
    text = str(request.path_params["row"])
    name, _, extension = text.rpartition(".")
    if extension in formats.BY_NAME and name:
        return name, formats.BY_NAME[extension]
    return text, formats.negotiated(None, request.headers.get("accept", "*/*"))


def _one_row(dataset: PortalDataset, identifier: str, *, system: bool) -> Iterator[Compiled]:
    """The queries to try for a row: by `:id` if it looks like one, then by the row identifier."""
    own = dataset.column(dataset.row_identifier) if dataset.row_identifier else None
    keys = [own.field] if own else []
    if own is None or _SYSTEM_ID.fullmatch(identifier):
        keys = [":id", *(keys if own and own.kind is Kind.TEXT else [])]
    for key in keys:
        yield compile_question(dataset, SoqlQuestion({}, ((key, identifier),), system=system, limit=1))


async def write(request: Request) -> Response:
    """POST /resource/{4x4} upserts rows, PUT replaces all rows; returns the counters."""
    identifier, _ = address(request.path_params["name"])
    by = await run_in_threadpool(writer, request)
    sent = await body(request)
    kind = request.headers.get("content-type", "application/json").lower()
    replace = request.method == "PUT"
    store = portal(request).store
    async with lanes().writes.place(address_of(request.scope)):
        counts = await run_in_threadpool(store.write, identifier, sent, kind, replace=replace, by=by)
    return JSONResponse(counts.soda())


async def write_row(request: Request) -> Response:
    """POST /resource/{4x4}/{row} changes cells of a row, PUT also empties the other cells; returns the counters."""
    by = await run_in_threadpool(writer, request)
    try:
        cells = json.loads(await body(request), parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise invalid("The request body is not JSON") from None
    if not isinstance(cells, dict):
        raise invalid("The request body is not one row")
    return await run_in_threadpool(_changed_row, request, cells, by)


def delete_row(request: Request) -> Response:
    """DELETE /resource/{4x4}/{row}.json."""
    return _changed_row(request, {":deleted": True}, writer(request))


def _changed_row(request: Request, cells: dict[str, Any], by: str) -> Response:
    """Write cells of the row in the address. Raises SodaError 404 if it does not exist."""
    store = portal(request).store
    dataset = store.get(request.path_params["id"])
    identifier, _ = row_named(request)
    tried = _one_row(dataset, identifier, system=True)
    answers = (portal(request).engine.fetch(sources(request, dataset, compiled), compiled) for compiled in tried)
    found = next(filter(None, answers), None)
    if found is None:
        raise row_missing(identifier)
    key = dataset.row_identifier or ":id"
    empty = {column.field: None for column in dataset.columns} if request.method == "PUT" else {}
    content = json.dumps({**empty, **cells, key: str(found[0][key])}).encode()
    return JSONResponse(store.write(dataset.id, content, "application/json", replace=False, by=by).soda())


ROUTES = [
    Route("/resource/{name}", read),
    Route("/resource/{name}", write, methods=["POST", "PUT"]),
    Route("/resource/{id}/{row}", read_row),
    Route("/resource/{id}/{row}", write_row, methods=["POST", "PUT"]),
    Route("/resource/{id}/{row}", delete_row, methods=["DELETE"]),
]
