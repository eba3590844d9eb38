"""OData v4 at Socrata's addresses, for Excel, Power BI, and Tableau."""

from __future__ import annotations

import json
import re
from functools import partial, wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from publisher.portal.answers import formats
from publisher.portal.answers.access import base_url, findable, portal, sources, tabular
from publisher.portal.answers.freshness import headers_of, unchanged
from publisher.portal.answers.streaming import computed, sent
from publisher.portal.api.odata_filter import KEY, column_of, filtered, ordered, refused, selected, unreadable
from publisher.portal.api.resource import current
from publisher.portal.base.kinds import GEOMETRIES, Kind, json_text, plain_text
from publisher.portal.base.problems import SodaError, dataset_missing, row_missing
from publisher.portal.base.sql import literal, quoted
from publisher.portal.soql.compiler import SoqlQuestion, compile_question

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from starlette.requests import Request

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.base.watch import Deadline

PAGE = 10_000
"""Rows per answer; each answer links to the next."""
SCHEMA = "Portal"
VERSION = {"OData-Version": "4.0"}
_JSON = "application/json; odata.metadata=minimal; charset=utf-8"
_OPTIONS = frozenset("$select $filter $orderby $top $skip $count $skiptoken $format".split())
_EDM = {
    Kind.NUMBER: "Edm.Decimal",
    Kind.CHECKBOX: "Edm.Boolean",
    # a floating time has no zone, and OData no type for that: as in Socrata it is shown as if it were in UTC
    Kind.FLOATING: "Edm.DateTimeOffset",
    Kind.FIXED: "Edm.DateTimeOffset",
} | {kind: f"Edm.Geography{name}" for kind, name in GEOMETRIES.items()}
_MORE = {"Edm.Decimal": {"Scale": "variable"}, "Edm.DateTimeOffset": {"Precision": "3"}}
_ADDRESS = re.compile(r"(?:d_)?([0-9a-z]{4})[-_]([0-9a-z]{4})(?:\('((?:[^']|'')*)'\))?")


def _answered(handler: Callable[[Request, Deadline], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Run with the other queries; errors are in OData's format: {"error": {"code", "message"}}."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            return await computed(request, partial(current, partial(handler, request)))
        except SodaError as error:
            code = str(error.body.get("code") or error.body.get("errorCode") or error.status)
            body = {"error": {"code": code, "message": error.body["message"]}}
            return JSONResponse(body, error.status, VERSION | error.headers)

    return answer


def set_name(dataset: PortalDataset) -> str:
    """The name of a dataset's entity set; a 4x4 is not a valid identifier in OData's schema language."""
    return f"d_{dataset.id.replace('-', '_')}"


def _root(request: Request) -> str:
    return f"{base_url(request)}/api/odata/v4"


@_answered
def service(request: Request, _deadline: Deadline) -> Response:
    """GET /api/odata/v4: the datasets as entity sets."""
    _check(request, {"$format"})
    listed = [
        {"name": set_name(dataset), "kind": "EntitySet", "url": dataset.id, "title": dataset.name}
        for dataset in _tables(request)
    ]
    body = {"@odata.context": f"{_root(request)}/$metadata", "value": listed}
    return Response(json.dumps(body, ensure_ascii=False), headers=_headers(), media_type=_JSON)


def _tables(request: Request) -> list[PortalDataset]:
    return [dataset for dataset in findable(request) if dataset.blob is None]


def _headers() -> dict[str, str]:
    return VERSION | {"Cache-Control": "no-cache", "Vary": "Accept, Authorization"}


@_answered
def metadata(request: Request, _deadline: Deadline) -> Response:
    """GET /api/odata/v4/$metadata: the entity types in CSDL."""
    edmx = "http://docs.oasis-open.org/odata/ns/edmx"
    document = Element("edmx:Edmx", {"xmlns:edmx": edmx, "Version": "4.0"})
    services = SubElement(document, "edmx:DataServices")
    namespace = {"xmlns": "http://docs.oasis-open.org/odata/ns/edm", "Namespace": SCHEMA}
    schema = SubElement(services, "Schema", namespace)
    datasets = _tables(request)
    for dataset in datasets:
        _entity_type(schema, dataset)
    container = SubElement(schema, "EntityContainer", Name="Container")
    for dataset in datasets:
        name = set_name(dataset)
        SubElement(container, "EntitySet", Name=name, EntityType=f"{SCHEMA}.{name}")
    indent(document)
    content = tostring(document, encoding="utf-8", xml_declaration=True)
    return Response(content, headers=_headers(), media_type="application/xml")


def _entity_type(schema: Element, dataset: PortalDataset) -> None:
    made = SubElement(schema, "EntityType", Name=set_name(dataset))
    SubElement(SubElement(made, "Key"), "PropertyRef", Name=KEY)
    SubElement(made, "Property", Name=KEY, Type="Edm.String", Nullable="false")
    for column in dataset.columns:
        told = {"Name": column.field, "Type": _EDM.get(column.kind, "Edm.String")}
        SubElement(made, "Property", told | _MORE.get(told["Type"], {}))


def _check(request: Request, known: set[str] | frozenset[str]) -> None:
    """Refuse options that the portal does not have; parameters without a dollar sign are ignored."""
    for name in request.query_params:
        if name.startswith("$") and not name.startswith("$$") and name not in known:
            raise refused(name[:50])
    wanted = request.query_params.get("$format", "json").lower()
    if not wanted.startswith(("json", "application/json", "xml" if not known - {"$format"} else "json")):
        raise refused("A $format other than json")


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is not None and (not text.isdecimal() or len(text) > 15):
        raise unreadable(f"{name} must be a whole number, 0 or more")
    return None if text is None else int(text)


def _named(request: Request) -> tuple[PortalDataset, str | None]:
    """The dataset in the address, and the key if one follows in parentheses."""
    found = _ADDRESS.fullmatch(request.path_params["name"])
    if not found:
        raise dataset_missing(request.path_params["name"][:50])
    return tabular(request, f"{found[1]}-{found[2]}"), found[3]


@_answered
def collection(request: Request, deadline: Deadline) -> Response:
    """GET /api/odata/v4/{4x4}: the rows for the options, a page at a time; …('{id}') is one row."""
    dataset, key = _named(request)
    if key is not None:
        return _entity(request, dataset, key.replace("''", "'"), deadline)
    _check(request, _OPTIONS)
    headers = VERSION | headers_of(request, dataset, formats.JSON)
    clauses, names = _clauses(request, dataset)
    top, skip = _number(request, "$top"), _number(request, "$skip") or 0
    past = _number(request, "$skiptoken") or 0
    wanted, most = _wants_count(request), _page_size(request)
    response = unchanged(request, headers)
    if response is not None:
        return response
    left = max(0, top - past) if top is not None else most + 1
    if wanted or left > most:  # otherwise no page can follow
        counted = _count(request, dataset, clauses, deadline)
        left = max(0, (counted if top is None else min(counted, skip + top)) - skip - past)
    size = min(left, most)
    clauses |= {"$limit": str(size), "$offset": str(skip + past)}
    opening: dict[str, Any] = {"@odata.context": _context(request, dataset, names)}
    if wanted:
        opening["@odata.count"] = counted
    following = _next(request, past + size) if left > size else None
    return sent(_rows(request, dataset, clauses, names, opening, following, deadline), deadline, headers, _JSON)


def _clauses(request: Request, dataset: PortalDataset) -> tuple[dict[str, str], list[str]]:
    """The options as SoQL clauses, and the properties to show."""
    query = request.query_params
    names = selected(dataset, query.get("$select", "").strip() or "*")
    clauses = {"$select": ", ".join(column_of(dataset, name) for name in names)}
    if query.get("$filter", "").strip():
        clauses["$where"] = filtered(dataset, query["$filter"])
    clauses["$order"] = ordered(dataset, query["$orderby"]) if query.get("$orderby", "").strip() else ":id"
    return clauses, names


def _count(request: Request, dataset: PortalDataset, clauses: dict[str, str], deadline: Deadline) -> int:
    question = SoqlQuestion({"$select": "count(*)"} | {name: clauses[name] for name in ("$where",) if name in clauses})
    compiled = compile_question(dataset, question)
    found = portal(request).engine.table(sources(request, dataset, compiled), compiled, deadline)
    return int(found.column(0)[0].as_py())


def _wants_count(request: Request) -> bool:
    text = request.query_params.get("$count", "false")
    if text not in ("true", "false"):
        raise unreadable("$count must be true or false")
    return text == "true"


def _page_size(request: Request) -> int:
    """The client's page size (`Prefer: odata.maxpagesize=…`), at most `PAGE`."""
    found = re.search(r"maxpagesize\s*=\s*(\d{1,9})", request.headers.get("prefer", ""))
    return max(1, min(PAGE, int(found[1]))) if found else PAGE


def _context(request: Request, dataset: PortalDataset, names: list[str]) -> str:
    shown = "" if len(names) == len(dataset.columns) + 1 else f"({','.join(names)})"
    return f"{_root(request)}/$metadata#{set_name(dataset)}{shown}"


def _next(request: Request, past: int) -> str:
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "$skiptoken"]
    address = f"{_root(request)}/{request.path_params['name']}"
    return f"{address}?{urlencode([*kept, ('$skiptoken', str(past))], safe='$')}"


def _rows(
    request: Request,
    dataset: PortalDataset,
    clauses: dict[str, str],
    names: list[str],
    opening: dict[str, Any],
    following: str | None,
    deadline: Deadline,
) -> Generator[bytes]:
    """The whole answer, streamed."""
    compiled = compile_question(dataset, SoqlQuestion(clauses))
    start = json.dumps(opening)[:-1] + ',"value":['
    end = "]" + (f',"@odata.nextLink":{json.dumps(following)}' if following else "") + "}\n"
    form = formats.Format("odata", _JSON, partial(_line, names), lambda _: start, end, before="\n,")
    engine, line = portal(request).engine, form.each(compiled.fields)
    return form.body(start, engine.blocks(sources(request, dataset, compiled), compiled, line, deadline))


def _line(names: list[str], fields: Sequence[tuple[str, Kind]]) -> str:
    """SQL for one row as a JSON object: nulls are kept, numbers are numbers, times are in UTC."""
    members = []
    for name, (field, kind) in zip(names, fields, strict=True):
        value = _value(kind, f"q.{quoted(field)}")
        members.append(f"{literal(json.dumps(name) + ':')} || coalesce({value}, 'null')")
    return "'{' || " + " || ',' || ".join(members) + " || '}'"


def _value(kind: Kind, value: str) -> str:
    if kind is Kind.NUMBER:
        return plain_text(kind, value)
    if kind is Kind.FLOATING:
        return json_text(Kind.FIXED, value)
    if kind in (Kind.URL, Kind.LOCATION):
        return f"to_json({plain_text(kind, value)})::VARCHAR"
    return json_text(kind, value)


def _entity(request: Request, dataset: PortalDataset, key: str, deadline: Deadline) -> Response:
    """One row by its key."""
    _check(request, {"$select", "$format"})
    names = selected(dataset, request.query_params.get("$select", "").strip() or "*")
    question = SoqlQuestion({"$select": ", ".join(column_of(dataset, name) for name in names)}, ((":id", key),))
    compiled = compile_question(dataset, question)
    line = _line(names, compiled.fields)
    found = b"".join(portal(request).engine.blocks(sources(request, dataset, compiled), compiled, line, deadline))
    if not found:
        raise row_missing(key[:100])
    opening = json.dumps({"@odata.context": f"{_context(request, dataset, names)}/$entity"})[:-1]
    return Response(f"{opening},{found[1:].decode()}", headers=_headers(), media_type=_JSON)


@_answered
def count(request: Request, deadline: Deadline) -> Response:
    """GET /api/odata/v4/{4x4}/$count: how many rows match the filter, as plain text."""
    dataset, _ = _named(request)
    _check(request, {"$filter"})
    clauses, _ = _clauses(request, dataset)
    return PlainTextResponse(str(_count(request, dataset, clauses, deadline)), headers=_headers())


ROUTES = [
    Route("/api/odata/v4", service),
    Route("/api/odata/v4/", service),
    Route("/api/odata/v4/$metadata", metadata),
    Route("/api/odata/v4/{name}", collection),
    Route("/api/odata/v4/{name}/$count", count),
]
