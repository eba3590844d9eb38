"""`/api/views/{4x4}/rows.csv` and `rows.json`: all rows of a dataset, for people and for older clients."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from publisher.portal.answers import formats
from publisher.portal.answers.access import portal, sources, tabular
from publisher.portal.answers.formats import Format
from publisher.portal.answers.freshness import headers_of, unchanged
from publisher.portal.answers.streaming import bodiless, computed, sent
from publisher.portal.api.resource import current
from publisher.portal.api.views import view
from publisher.portal.base.kinds import GEOMETRIES, Kind, json_text, plain_text
from publisher.portal.base.model import SYSTEM
from publisher.portal.base.sql import quoted
from publisher.portal.soql.compiler import SoqlQuestion, compile_question

if TYPE_CHECKING:
    from collections.abc import Callable

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
    return "'[' || " + " || ',' || ".join((*hidden, *values)) + " || ']'"


def _value(kind: Kind, value: str) -> str:
    if kind is Kind.FLOATING:
        return f"""('"' || strftime({value}, '%Y-%m-%dT%H:%M:%S') || '"')"""
    if kind is Kind.FIXED:
        return f"epoch({value})::BIGINT::VARCHAR"
    if kind is Kind.URL:
        pair = f"json_array({value}->'$.url', {value}->'$.description')::VARCHAR"
        return f"CASE WHEN {value} IS NOT NULL THEN {pair} END"
    if kind in GEOMETRIES:
        return f"""('"' || {plain_text(kind, value)} || '"')"""
    return json_text(kind, value)


ROWS = Format("rows", "application/json; charset=utf-8", _row, lambda _: "", "]}\n", before="\n,")
_FORMS: dict[str, tuple[Format, Callable[[PortalDataset, Fields], str]]] = {
    "csv": (formats.CSV, csv_opening),
    "json": (ROWS, json_opening),
}


async def download(request: Request) -> Response:
    """GET /api/views/{4x4}/rows.csv (with display names) or rows.json (`{meta, data}`): every row."""
    return await computed(request, partial(current, partial(_download, request)))


def _download(request: Request, deadline: Deadline) -> Response:
    name = request.url.path.rpartition(".")[2]
    form, opening = _FORMS[name]
    dataset = tabular(request, request.path_params["id"])
    compiled = compile_question(dataset, SoqlQuestion(limit=None, system=form is ROWS))
    start = opening(dataset, compiled.fields)
    headers = headers_of(request, dataset, form, asked=start)
    headers["Content-Disposition"] = f'attachment; filename="{dataset.id}.{name}"'
    response = unchanged(request, headers)
    if response is not None:
        return response
    if request.method == "HEAD":
        return bodiless(headers, form.media_type)
    each = form.each(compiled.fields)
    blocks = portal(request).engine.blocks(sources(request, dataset, compiled), compiled, each, deadline)
    return sent(form.body(start, blocks), deadline, headers, form.media_type)


ROUTES = [Route(f"/api/views/{{id}}/rows.{name}", download) for name in _FORMS]
