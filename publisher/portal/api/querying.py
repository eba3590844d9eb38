"""`/api/v3/views/{4x4}/query` and `/export`: read rows with SoQL (SODA 3)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from publisher.portal.answers import formats
from publisher.portal.answers.access import body, identified, joinable, moderate, tabular
from publisher.portal.answers.streaming import computed
from publisher.portal.api.exports import csv_opening
from publisher.portal.api.payloads import parsed, parsed_as
from publisher.portal.api.resource import answer, current
from publisher.portal.base.problems import invalid
from publisher.portal.base.watch import SECONDS
from publisher.portal.soql.compiler import SoqlQuestion, compile_question

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from publisher.portal.answers.formats import Fields, Format
    from publisher.portal.base.model import PortalDataset
    from publisher.portal.base.watch import Deadline
    from publisher.portal.soql.compiler import Compiled


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Page(_Part):
    """A page of the result, counted from 1."""

    page_number: int = Field(1, ge=1, le=10**12)
    page_size: int = Field(1000, ge=0, le=10**6)


class Serialization(_Part):
    """How an export is written."""

    separator: Literal[",", ";", "\t", "|"] = ","
    bom: bool = False


class Asked(_Part):
    """The request; unknown members are ignored, as in Socrata."""

    query: str = "SELECT *"
    page: Page | None = None
    parameters: dict[str, Any] = {}
    timeout: float = Field(600, gt=0)
    include_system: bool = True
    include_synthetic: bool = True
    """If false, the answer has the columns that the query selects, and no system columns."""
    ordering_specifier: Literal["total", "discard"] = "total"
    """No effect: the order is always total."""
    serialization_options: Serialization = Serialization()


_MEMBERS = ("query", "timeout", "includeSystem", "includeSynthetic", "orderingSpecifier")


def _asked(request: Request, content: bytes) -> Asked:
    """Read the body of a POST or the parameters of a GET. Raises SodaError 400."""
    if request.method == "POST":
        return parsed(Asked, content or b"{}")
    given = request.query_params
    members: dict[str, Any] = {name: given[name] for name in _MEMBERS if name in given}
    page = {name: given[name] for name in ("pageNumber", "pageSize") if name in given}
    options = {name: given[name] for name in ("separator", "bom") if name in given}
    return parsed_as(Asked, members | ({"page": page} if page else {}) | {"serializationOptions": options}, "")


async def query(request: Request) -> Response:
    """GET, POST /api/v3/views/{4x4}/query[.json|.csv|.geojson]: the result of a query, or a page of it."""
    return await _answered(request, export=False)


async def export(request: Request) -> Response:
    """GET, POST /api/v3/views/{4x4}/export[.csv|.json|.geojson]: the whole result as a file."""
    return await _answered(request, export=True)


async def _answered(request: Request, *, export: bool) -> Response:
    await run_in_threadpool(identified, request)
    asked = _asked(request, await body(request))
    if asked.parameters:
        raise invalid("This dataset does not take parameters", parameters=sorted(asked.parameters))
    if export and asked.page:
        raise invalid("An export has no pages. Use /query to get a page.")
    seconds = min(asked.timeout, SECONDS)
    return await computed(request, partial(current, partial(_read, request, asked, export)), seconds)


def _read(request: Request, asked: Asked, export: bool, deadline: Deadline) -> Response:
    dataset = tabular(request, request.path_params["id"])
    moderate(request, asked.query)
    form = formats.negotiated(request.path_params.get("format"), request.headers.get("accept", "*/*"))
    question = SoqlQuestion(
        {"$query": asked.query or "SELECT *"},
        system=asked.include_system and asked.include_synthetic and not export,
        limit=None,
    )
    compiled = compile_question(dataset, question, partial(joinable, request))
    if asked.page:
        compiled = _paged(compiled, asked.page)
    if not export:
        return answer(request, dataset, compiled, form, deadline, asked.model_dump_json())
    response = answer(request, dataset, compiled, _for_people(form, dataset, asked), deadline, asked.model_dump_json())
    response.headers["Content-Disposition"] = f'attachment; filename="{dataset.id}.{form.name}"'
    return response


def _paged(compiled: Compiled, page: Page) -> Compiled:
    offset = (page.page_number - 1) * page.page_size
    sql = f"SELECT * FROM ({compiled.sql}) AS whole LIMIT {page.page_size} OFFSET {offset}"
    return replace(compiled, sql=sql, most=page.page_size)


def _for_people(form: Format, dataset: PortalDataset, asked: Asked) -> Format:
    """The format; a CSV gets display names, and the separator and byte order mark of the request."""
    if form is not formats.CSV:
        return form
    options = asked.serialization_options

    def opening(fields: Fields) -> str:
        return ("\ufeff" if options.bom else "") + csv_opening(dataset, fields, options.separator)

    return replace(formats.csv(options.separator, bom=options.bom), opening=opening)


ROUTES = [
    Route(f"/api/v3/views/{{id}}/{name}{ending}", handler, methods=["GET", "POST"])
    for name, handler in (("query", query), ("export", export))
    for ending in ("", ".{format}")
]
