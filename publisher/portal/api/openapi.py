"""The portal's OpenAPI 3.1 description, built from its routes and the table in `openapi_table`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.portal.answers.access import base_url
from publisher.portal.api.openapi_table import GIVEN, OPERATIONS, PARAMETERS, PATHS, SCHEMAS, TAKEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from publisher.portal.api.openapi_table import Operation

VERSION = "1"
_LANGUAGE = re.compile(r"^/[a-z]{2}(?=/)")
_SECURITY = {
    "account": {
        "type": "http",
        "scheme": "basic",
        "description": "A user name and password, or an API key and its secret",
    },
    "token": {"type": "http", "scheme": "bearer", "description": "An access token"},
    "app": {
        "type": "apiKey",
        "in": "header",
        "name": "X-App-Token",
        "description": "Raises the rate limit; SODA 3 needs a token or a login",
    },
}
_FILES = frozenset({"Parquet", "Workbook", "Map", "Kml", "Kmz", "Shapes", "Export", "Png", "Any"})
"""The kinds of content that are also sent in ranges."""
_HEADERS = {
    "ETag": {"description": "Identifies this version; send it back as If-None-Match", "schema": {"type": "string"}},
    "Last-Modified": {"description": "When rows or metadata last changed", "schema": {"type": "string"}},
}


def told(path: str) -> str:
    """The table's address for this one; the same address if the table lists it or has nothing for it."""
    candidates = (path, path.removesuffix(".json"), path.rstrip("/") or "/", _LANGUAGE.sub("", path))
    return next((candidate for candidate in candidates if candidate in OPERATIONS), path)


def addresses(routes: Iterable[BaseRoute]) -> set[tuple[str, str]]:
    """All methods and addresses of these routes."""
    plain = [route for route in routes if isinstance(route, Route)]
    return {(method, route.path_format) for route in plain for method in (route.methods or ()) if method != "HEAD"}


def describe(routes: Iterable[BaseRoute], base: str) -> dict[str, Any]:
    """The OpenAPI document; addresses that the table does not describe are left out."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path in sorted(addresses(routes), key=lambda each: (each[1], each[0])):
        operation = OPERATIONS.get(told(path), {}).get(method)
        if operation:
            paths.setdefault(path, {})[method.lower()] = _operation(method, path, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Open data portal",
            "version": VERSION,
            "description": "Search, query, download, and publish datasets, at Socrata's addresses.",
        },
        "servers": [{"url": base}],
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": _SECURITY, "responses": _failures()},
    }


def _operation(method: str, path: str, operation: Operation) -> dict[str, Any]:
    named = re.findall(r"{(\w+)}", path)
    parameters = [_parameter(name, "path", PATHS.get(name, {"type": "string"})) for name in named]
    parameters += [_parameter(name, "query", PARAMETERS[name]) for name in operation.query]
    made: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()} {path}"),
        "summary": operation.summary,
        "tags": [_tag(path)],
        "parameters": parameters,
        "responses": _responses(path, operation),
        "security": [{"account": []}, {"token": []}] if operation.private else [{}, {"account": []}, {"token": []}],
    }
    if operation.private and path.startswith("/api/v3/"):
        made["security"].append({"app": []})
    if operation.takes:
        made["requestBody"] = {"required": False, "content": TAKEN[operation.takes]}
    return made


def _parameter(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter; in OpenAPI its description is next to the schema, not in it."""
    rest = {key: value for key, value in schema.items() if key != "description"}
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": schema.get("description", "A number or name that the portal assigned"),
        "schema": rest,
    }


def _tag(path: str) -> str:
    parts = told(path).strip("/").split("/")
    return {"resource": "rows", "d": "pages", "api": parts[1] if len(parts) > 1 else "api"}.get(parts[0], "site")


def _responses(path: str, operation: Operation) -> dict[str, Any]:
    given = {str(operation.status): _given(operation.summary, operation.gives)}
    more = {str(status): _given("Unavailable", name) for status, name in operation.more.items()}
    if not operation.takes and operation.gives:
        given["304"] = {"description": "Not modified: the client's copy is current"}
    if operation.gives in _FILES:
        given["206"] = _given("The requested range", operation.gives)
    kind = "OData" if path.startswith("/api/odata/") else "Page" if operation.gives == "Page" else "Soda"
    failed = {code: {"$ref": f"#/components/responses/{kind}{code}"} for code in ("4XX", "503")}
    return failed | ({"501": failed["4XX"]} if kind == "OData" else {}) | given | more


def _given(summary: str, name: str) -> dict[str, Any]:
    content = {media: {"schema": _reference(schema)} if schema else {} for media, schema in GIVEN[name].items()}
    return {"description": summary, "headers": _HEADERS, "content": content}


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _failures() -> dict[str, Any]:
    """Error responses in the format of each of the portal's APIs."""
    soda = {"schema": _reference("Error")}
    shapes: dict[str, dict[str, Any]] = {
        "Soda": {"application/json": soda, "text/plain": {}},
        "OData": {"application/json": {"schema": {"anyOf": [_reference("ODataError"), _reference("Error")]}}},
        "Page": {"text/html": {}, "application/json": soda},
    }
    words = {"4XX": "The request was refused; the body says why", "503": "Temporarily unavailable; try again"}
    return {
        f"{kind}{code}": {"description": text, "content": content}
        for kind, content in shapes.items()
        for code, text in words.items()
    }


def show(request: Request) -> Response:
    """GET /openapi.json."""
    return JSONResponse(describe(request.app.routes, base_url(request)), headers={"Cache-Control": "max-age=300"})


ROUTES = [Route("/openapi.json", show)]
