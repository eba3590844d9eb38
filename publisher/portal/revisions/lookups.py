"""The documents that an address names, and the endpoints around them."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from publisher.portal.answers.access import body, portal, writer
from publisher.portal.base.problems import problem
from publisher.portal.store.drafts import Sort

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from publisher.portal.store.drafts import Draft
    from publisher.portal.store.store import PortalStore


def answering(
    handle: Callable[[Request, bytes, str], Any], status: int = 200
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for accounts that may write; `handle` gets request, body, and account name, and returns JSON data."""

    @wraps(handle)
    async def endpoint(request: Request) -> Response:
        owner = await run_in_threadpool(writer, request)
        answer = await run_in_threadpool(handle, request, await body(request), owner)
        return answer if isinstance(answer, Response) else JSONResponse(answer, status_code=status)

    return endpoint


def path_number(request: Request, name: str) -> int:
    """A number in the address. Raises SodaError 404 if it is not one."""
    text = request.path_params[name]
    if not text.isdecimal() or len(text) > 15:
        raise problem(404, "not_found", "Not found")
    return int(text)


def named_revision(request: Request) -> Draft:
    """The revision in the address. Raises SodaError 404."""
    store = portal(request).store
    return store.drafts.revision(store.get(request.path_params["id"]).id, path_number(request, "seq"))


def named_source(request: Request) -> Draft:
    """The source in the address. Raises SodaError 404."""
    return portal(request).store.drafts.get(Sort.SOURCE, path_number(request, "source"))


def named_input(request: Request) -> Draft:
    """The input schema in the address. Raises SodaError 404."""
    found = portal(request).store.drafts.get(Sort.INPUT, path_number(request, "input"))
    if found.parent != path_number(request, "source"):
        raise problem(404, "not_found", "Not found")
    return found


def named_output(request: Request) -> Draft:
    """The output schema in the address. Raises SodaError 404."""
    found = portal(request).store.drafts.get(Sort.OUTPUT, path_number(request, "output"))
    if found.parent != named_input(request).id:
        raise problem(404, "not_found", "Not found")
    return found


def config_named(store: PortalStore, name: str) -> Draft:
    """The configuration with this name. Raises SodaError 404."""
    found = next((config for config in store.drafts.configs() if config.body["name"] == name), None)
    if found is None:
        raise problem(404, "config.missing", "This configuration does not exist")
    return found
