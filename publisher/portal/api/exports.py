"""`/api/views/{4x4}/rows.csv`, `.tsv`, `.json`, `.xml`, `.rdf`: all rows, for people and for older clients."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from publisher.portal.answers import formats
from publisher.portal.answers.access import base_url, joinable, moderate, portal, sources, tabular
from publisher.portal.answers.formats import Format
from publisher.portal.answers.freshness import headers_of, unchanged
from publisher.portal.answers.streaming import bodiless, computed, sent
from publisher.portal.api.resource import current
from publisher.portal.api.views import view
from publisher.portal.base.kinds import GEOMETRIES, Kind, json_text, part_of_location, plain_text
from publisher.portal.base.model import SYSTEM
from publisher.portal.base.problems import invalid
from publisher.portal.base.sql import quoted
from publisher.portal.soql.compiler import SoqlQuestion, compile_question

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from publisher.portal.answers.formats import Fields
    from publisher.portal.base.model import PortalDataset
    from publisher.portal.base.watch import Deadline

_HIDDEN = ("sid", "id", "position", "created_at", "created_meta", "updated_at", "updated_meta", "meta")
"""The hidden columns before a row's values in `rows.json`."""


def csv_opening(dataset: PortalDataset, fields: Fields, separator: str = ",") -> str:
    """The header of a CSV for people, with the columns' display names."""
    shown = {column.field: column.name for column in dataset.columns}
    return formats.csv_header((shown.get(name, name) for name, _ in fields), separator)


def json_opening(dataset: PortalDataset, _fields: Fields) -> str:
    """`meta`, with the columns of the rows, and the start of `data`."""
    described = view(dataset)
    hidden = [_hidden(place, name) for place, name in enumerate(_HIDDEN)]
    return '{"meta":' + json.dumps({"view": described | {"columns": hidden + described["columns"]}}) + ',"data":['


def _hidden(place: int, name: str) -> dict[str, Any]:
    return {
        "id": -1,
        "name": name,
        "fieldName": f":{name}",
        "dataTypeName": "meta_data",
        "renderTypeName": "meta_data",
        "position": 0,
        "format": {},
        "flags": ["hidden"],
        "tableColumnId": -1 - place,
    }


def _row(fields: Fields) -> str:
    """SQL for one row as an array: the hidden columns, then the values, with null for a missing value."""
    system = {column.field for column in SYSTEM}
    name, created, updated = (f"q.{quoted(column.field)}" for column in SYSTEM)
    hidden = (
        f"to_json({name})::VARCHAR",
        f"""'"' || upper(md5({name})::UUID::VARCHAR) || '"'""",
        "'0'",
        f"epoch({created})::BIGINT::VARCHAR",
        "'null'",
        f"epoch({updated})::BIGINT::VARCHAR",
        "'null'",
        """'"{ }"'""",
    )
    values = (f"coalesce({_value(kind, f'q.{quoted(name)}')}, 'null')" for name, kind in fields if name not in system)
    return (
        "concat('[', " + ", ',', ".join((*hidden, *values)) + ", ']')"
    )  # one copy of each text, not one for each comma


def _value(kind: Kind, value: str) -> str:
    if kind is Kind.FLOATING:
        return f"""('"' || strftime({value}, '%Y-%m-%dT%H:%M:%S') || '"')"""
    if kind is Kind.FIXED:
        return f"epoch({value})::BIGINT::VARCHAR"
    if kind is Kind.URL:
        pair = f"json_array({value}->'$.url', {value}->'$.description')::VARCHAR"
        return f"CASE WHEN {value} IS NOT NULL THEN {pair} END"
    if kind is Kind.LOCATION:
        parts = ", ".join(part_of_location(value, name) for name in ("human_address", "latitude", "longitude"))
        return f"CASE WHEN {value} IS NOT NULL THEN json_array({parts}, NULL, false)::VARCHAR END"
    if kind in GEOMETRIES:
        return f"""('"' || {plain_text(kind, value)} || '"')"""
    return json_text(kind, value)


ROWS = Format("rows", "application/json; charset=utf-8", _row, lambda _: "", "]}\n", before="\n,")
_NAMES = ("csv", "json", "tsv", "xml", "rdf")
_IGNORED = ("accessType", "api_foundry", "date", "format", "read_from_nbe", "version", "app_token")
"""Parameters of Socrata's own links that change nothing about the rows."""


async def download(request: Request) -> Response:
    """GET /api/views/{4x4}/rows.{csv,tsv,xml,rdf} or rows.json (`{meta, data}`): every row, or those of `query`; the
    tables have display names. `max_rows` limits them."""
    return await computed(request, partial(current, partial(_download, request)))


def _download(request: Request, deadline: Deadline) -> Response:
    name = request.url.path.rpartition(".")[2]
    dataset = tabular(request, request.path_params["id"])
    form = _form(request, dataset, name)
    compiled = compile_question(dataset, _question(request, form), partial(joinable, request))
    start = form.opening(compiled.fields)
    headers = headers_of(request, dataset, form, compiled.joined, asked=start + str(request.query_params))
    headers["Content-Disposition"] = f'attachment; filename="{dataset.id}.{name}"'
    response = unchanged(request, headers)
    if response is not None:
        return response
    if request.method == "HEAD":
        return bodiless(headers, form.media_type)
    each = form.each(compiled.fields)
    blocks = portal(request).engine.blocks(sources(request, dataset, compiled), compiled, each, deadline)
    return sent(form.body(start, blocks), deadline, headers, form.media_type)


def _form(request: Request, dataset: PortalDataset, name: str) -> Format:
    """The format, with an opening for people: display names in tables, `meta` in JSON."""
    if name == "json":
        return replace(ROWS, opening=partial(json_opening, dataset))
    if name in ("xml", "rdf"):
        return formats.XML if name == "xml" else formats.rdf(f"{base_url(request)}/resource/{dataset.id}/")
    given = request.query_params
    separator = given.get("delimiter", "," if name == "csv" else "\t")
    if separator not in (",", ";", "\t", "|"):
        raise invalid("delimiter must be a comma, a semicolon, a tab, or a vertical bar")
    mark = "\ufeff" if given.get("bom", "").lower() == "true" else ""
    table = formats.csv(separator) if name == "csv" else formats.TSV
    return replace(table, opening=lambda fields: mark + csv_opening(dataset, fields, separator))


def _question(request: Request, form: Format) -> SoqlQuestion:
    """What is asked for. Raises SodaError for a parameter that the portal does not have, or 413."""
    moderate(request, request.query_params.get("query", ""))
    given = request.query_params
    known = {"max_rows", *(() if form.name == ROWS.name else ("query",)), "bom", "delimiter", *_IGNORED}
    if unknown := [name for name in given if name not in known]:
        raise invalid(f"Unrecognized arguments [{', '.join(unknown)[:200]}]", arguments=unknown)
    most = given.get("max_rows")
    if most is not None and not (most.isdecimal() and len(most) < 16):
        raise invalid("max_rows must be a whole number, 0 or more")
    clauses = {"$query": given["query"]} if given.get("query", "").strip() else {}
    return SoqlQuestion(clauses, system=form.name == ROWS.name, limit=None if most is None else int(most))


ROUTES = [Route(f"/api/views/{{id}}/rows.{name}", download) for name in _NAMES]
