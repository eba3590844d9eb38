"""`/resource`: rows read with SoQL, and rows written, as SODA 2.1 has it."""

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
from publisher.portal.answers.access import body, joinable, portal, sources, tabular, writer
from publisher.portal.answers.freshness import headers_of, unchanged, unkept
from publisher.portal.answers.streaming import bodiless, computed, sent
from publisher.portal.base.kinds import Kind
from publisher.portal.base.problems import SodaError, invalid, malformed, row_missing
from publisher.portal.engine.engine import BATCH, CHANGED
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
"""Bytes up to which the answer's fields and types stand in headers."""
_TOO_LARGE = "X-SODA2-Fields and X-SODA2-Types have been suppressed for being too large."
_SYSTEM_ID = re.compile(r"row-[0-9a-z]{4}\.[0-9a-z]{4}~[0-9a-z]{4}")
_ADDRESS = re.compile(r"([0-9a-z]{4}-[0-9a-z]{4})(?:\.([a-z]+))?")


def address(text: str) -> tuple[str, str | None]:
    """The 4x4 and the extension of the last part of an address; a malformed one names no dataset."""
    found = _ADDRESS.fullmatch(text)
    return (found[1], found[2]) if found else (text, None)


def question(request: Request, dataset: PortalDataset) -> SoqlQuestion:
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
        elif name.startswith("$$") or (name == "app_token" and dataset.column(name) is None):
            continue
        elif name.startswith("$"):
            raise invalid(f"Unrecognized arguments [{name}]", arguments=[name])
        else:
            filters.append((name, value))
    if "$query" in clauses and len(clauses) > 1:
        raise malformed(clauses["$query"], 1, 1, "$query cannot stand beside $select, $where and their like")
    return SoqlQuestion(clauses, tuple(filters), words, system)


async def read(request: Request) -> Response:
    """GET /resource/{4x4}: the rows that answer the question."""
    return await computed(request, partial(current, partial(_read, request)))


def current(answer: Callable[[Deadline], Response], patience: Deadline) -> Response:
    """The answer; made anew, once, where the version that it began to read had gone."""
    try:
        return answer(patience)
    except SodaError as error:
        if error.body.get("code") != CHANGED:
            raise
    return answer(patience)


def _read(request: Request, patience: Deadline) -> Response:
    identifier, extension = address(request.path_params["name"])
    dataset = tabular(request, identifier)
    form = formats.negotiated(extension, request.headers.get("accept", "*/*"))
    if form is formats.CSV and request.query_params.get("$$bom", "").lower() == "true":
        form = formats.csv(bom=True)
    compiled = compile_question(dataset, question(request, dataset), partial(joinable, request))
    return answer(request, dataset, compiled, form, patience)


def answer(
    request: Request, dataset: PortalDataset, compiled: Compiled, form: Format, patience: Deadline, asked: str = ""
) -> Response:
    """The rows of a compiled query in a format; 304 when the client has them already. `asked`: see `headers_of`."""
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
    blocks = _blocks(portal(request).engine, sources(request, dataset, compiled), compiled, form, patience)
    return sent(form.body(form.opening(compiled.fields), blocks), patience, headers, form.media_type)


def _blocks(
    engine: QueryEngine, read: tuple[DatasetRows, ...], compiled: Compiled, form: Format, patience: Deadline
) -> Iterator[bytes]:
    """The rows' texts; a small answer's are made of its columns, as DuckDB would plan their SQL for longer."""
    if form.rows is not None and compiled.most is not None and compiled.most <= BATCH:
        texts = form.rows(compiled.fields, engine.table(read, compiled, patience))
        if texts is not None:
            return iter([texts] if texts else [])
    return engine.blocks(read, compiled, form.each(compiled.fields), patience)


def described(dataset: PortalDataset, compiled: Compiled) -> dict[str, str]:
    """Socrata's headers about an answer: its columns where they are not too many, and how old the rows are."""
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
    return ["row_identifier" if name == ":id" else kind.value for name, kind in fields]


async def read_row(request: Request) -> Response:
    """GET /resource/{4x4}/{row}[.json|.csv|.geojson]: one row by its identifier or `:id`."""
    return await computed(request, partial(current, partial(_read_row, request)))


def _read_row(request: Request, patience: Deadline) -> Response:
    dataset = tabular(request, request.path_params["id"])
    identifier, form = row_named(request)
    for compiled in _one_row(dataset, identifier, system=question(request, dataset).system):
        read = sources(request, dataset, compiled)
        row = b"".join(portal(request).engine.blocks(read, compiled, form.line(compiled.fields), patience))
        if row:
            break
    else:
        raise row_missing(identifier)
    headers = headers_of(request, dataset, form) | described(dataset, compiled)
    return unchanged(request, headers) or Response(
        _alone(form, compiled, row), headers=headers, media_type=form.media_type
    )


def _alone(form: Format, compiled: Compiled, row: bytes) -> bytes:
    """The body that is one row: an object, a feature, or a table of one record."""
    if form.name == "geojson":
        return row[:-1] + f',"crs":{formats.CRS}}}\n'.encode()
    return row + b"\n" if form.name == "json" else form.opening(compiled.fields).encode() + row + b"\n"


def row_named(request: Request) -> tuple[str, Format]:
    """The row's identifier in the address, and the format of the answer; a dot may be part of an identifier."""
    text = str(request.path_params["row"])
    name, _, extension = text.rpartition(".")
    if extension in formats.BY_NAME and name:
        return name, formats.BY_NAME[extension]
    return text, formats.negotiated(None, request.headers.get("accept", "*/*"))


def _one_row(dataset: PortalDataset, identifier: str, *, system: bool) -> Iterator[Compiled]:
    """The questions for a row: by `:id` where it may be one, then by the row identifier."""
    own = dataset.column(dataset.row_identifier) if dataset.row_identifier else None
    keys = [own.field] if own else []
    if own is None or _SYSTEM_ID.fullmatch(identifier):
        keys = [":id", *(keys if own and own.kind is Kind.TEXT else [])]
    for key in keys:
        yield compile_question(dataset, SoqlQuestion({}, ((key, identifier),), system=system, limit=1))


async def write(request: Request) -> Response:
    """POST /resource/{4x4} upserts rows, PUT puts them in the place of all; answers with the counters."""
    identifier, _ = address(request.path_params["name"])
    by = await run_in_threadpool(writer, request)
    sent = await body(request)
    kind = request.headers.get("content-type", "application/json").lower()
    replace = request.method == "PUT"
    counts = await run_in_threadpool(portal(request).store.write, identifier, sent, kind, replace=replace, by=by)
    return JSONResponse(counts.soda())


async def write_row(request: Request) -> Response:
    """POST /resource/{4x4}/{row} changes cells of a row, PUT empties the others too; answers with the counters."""
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
    """Write cells of the row that the address names. Errors: SodaError 404 without it."""
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
