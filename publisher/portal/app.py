"""The portal's application, with all its addresses."""

from __future__ import annotations

from contextlib import asynccontextmanager
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.portal.answers.lanes import in_lane
from publisher.portal.api import exports, files, odata, openapi, querying, resource, views
from publisher.portal.base import metrics
from publisher.portal.base.problems import SodaError
from publisher.portal.discovery import dcat, dcat_us_3, feeds, search
from publisher.portal.downloads import downloads, packages
from publisher.portal.pages import (
    browse,
    crawlers,
    dataset,
    inventory,
    methods,
    pictures,
    places,
    profile,
    question,
    releases,
    rendering,
    schedule,
    sharing,
    statics,
)
from publisher.portal.revisions import configs, outputs, revisions, sources
from publisher.portal.serving import health
from publisher.portal.serving.guard import Guard
from publisher.portal.serving.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from starlette.requests import Request

    from publisher.portal.answers.access import AppContext


async def _soda_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, SodaError):
        raise error
    return JSONResponse(error.body, status_code=error.status, headers=error.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404 and "text/html" in request.headers.get("accept", ""):
        try:
            return await run_in_threadpool(rendering.missing, request)
        except SodaError as refused:  # the request has a wrong password
            return await _soda_error(request, refused)
    message = {404: "Not found", 405: "Method not allowed"}.get(error.status_code, error.detail)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    body = {"code": code, "error": True, "message": message}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


def _in_lanes(routes: Iterable[Route]) -> Iterator[Route]:
    """The routes; those that a thread answers share the threads fairly."""
    for route in routes:
        if iscoroutinefunction(route.endpoint):
            yield route
        else:
            yield Route(route.path, in_lane(route.endpoint), methods=list(route.methods or ()), name=route.name)


ROUTES = [
    *resource.ROUTES,  # first, because most requests go here; routes are tried in order
    *health.ROUTES,
    *metrics.ROUTES,
    *browse.ROUTES,
    *dataset.ROUTES,
    *pictures.ROUTES,
    *places.ROUTES,
    *profile.ROUTES,
    *question.ROUTES,
    *sharing.ROUTES,
    *releases.ROUTES,
    *schedule.ROUTES,
    *inventory.ROUTES,
    *methods.ROUTES,
    *statics.ROUTES,
    *crawlers.ROUTES,
    *search.ROUTES,
    *dcat.ROUTES,
    *dcat_us_3.ROUTES,
    *feeds.ROUTES,
    *odata.ROUTES,
    *openapi.ROUTES,
    *views.ROUTES,
    *files.ROUTES,
    *revisions.ROUTES,
    *sources.ROUTES,
    *outputs.ROUTES,
    *configs.ROUTES,
    *downloads.ROUTES,
    *packages.ROUTES,
    *exports.ROUTES,
    *querying.ROUTES,
    *dataset.ELSEWHERE,
]


def application(portal: AppContext, started: Callable[[], None] = lambda: None) -> Starlette:
    """The portal as an ASGI application; `started` is called before the first request."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        started()
        yield

    app = Starlette(
        lifespan=lifespan,
        routes=[*_in_lanes(ROUTES)],
        middleware=[
            Middleware(Guard),
            Middleware(Throttle),
            Middleware(GZipMiddleware, minimum_size=2000, compresslevel=3),
        ],
        exception_handlers={SodaError: _soda_error, HTTPException: _http_error},
    )
    app.state.portal = portal
    return app
