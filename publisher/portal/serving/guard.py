"""The outermost layer: an id and headers for every answer, a log line without values, no internal error details."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from publisher.portal.base import metrics
from publisher.portal.base.problems import disk_full, is_disk_full
from publisher.portal.serving import audit
from publisher.portal.serving.connection import HEAD_BYTES
from publisher.portal.serving.logs import REQUEST, place

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
EMBEDDED = re.compile(r"(/[a-z]{2})?/d/[0-9a-z-]{9}/embed/[a-z]+")
"""Pages of this kind may stand in a frame of any other page: they show a picture, and have no form."""
FRAMED = POLICY.replace("form-action 'self'", "form-action 'none'").replace(
    "frame-ancestors 'none'", "frame-ancestors *"
)
_EXPOSED = (
    "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified, Link, Retry-After,"
    " X-SODA2-Data-Out-Of-Date, X-SODA2-Fields, X-SODA2-Secondary-Last-Modified, X-SODA2-Truth-Last-Modified,"
    " X-SODA2-Types, X-SODA2-Warning, X-Socrata-RequestId"
)
_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": _EXPOSED,
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "cross-origin",  # open data may be embedded anywhere
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_SECURE = {"Strict-Transport-Security": "max-age=31536000"}
_PREFLIGHT = {
    "Access-Control-Allow-Headers": (
        "Accept, Content-Type, If-Modified-Since, If-None-Match, If-Range, Range, X-App-Token"
    ),
    "Access-Control-Max-Age": "86400",
}
_READING = "GET, HEAD, OPTIONS"
_QUESTIONS = "/api/v3/views/"
"""Below this address, a POST is a query and changes nothing."""
_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"))
GONE = 499
"""The status in the log if the client did not wait for the answer."""


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        with metrics.OPEN.track_inprogress():
            await self._answer(scope, receive, exchange)
        exchange.note()

    async def _answer(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        try:
            if _head_bytes(scope) > HEAD_BYTES:
                words = f"The address and the headers are longer than {HEAD_BYTES} bytes"
                await exchange.fail(receive, 414, "invalid_request", words)
            elif {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
                # Servers in a row may each believe another one, and read what follows as a request of its own.
                words = "A request cannot have both Content-Length and Transfer-Encoding"
                await exchange.fail(receive, 400, "invalid_request", words, {"Connection": "close"})
            elif scope["method"] == "OPTIONS":
                methods = f"{_READING}, POST" if scope["path"].startswith(_QUESTIONS) else _READING
                allowed = {"Access-Control-Allow-Methods": methods}
                await Response(status_code=204, headers=_PREFLIGHT | allowed)(scope, receive, exchange.send)
            else:
                await self.app(scope, receive, exchange.send)
        except ClientDisconnect:
            exchange.status = exchange.status or GONE
        except asyncio.CancelledError:
            logger.warning("request %s was cut off because the portal is stopping", exchange.identifier)
            await exchange.fail(receive, 503, "unavailable", "The portal is shutting down. Try again in a moment.")
        except Exception as error:  # noqa: BLE001 -- whatever happens, no details may show
            if is_disk_full(error):
                logger.error("request %s found the disk full", exchange.identifier)
                refused = disk_full()
                await exchange.fail(receive, refused.status, refused.body["code"], refused.body["message"])
                return
            logger.error("request %s failed with %s at %s", exchange.identifier, type(error).__name__, place(error))
            await exchange.fail(receive, 500, "internal_error", "Something went wrong on the portal")


def _head_bytes(scope: Scope) -> int:
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    return len(scope["raw_path"]) + len(scope["query_string"]) + headers


class _Exchange:
    """One request and its answer, measured while they pass."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._started = time.perf_counter()
        self._bytes = 0
        self.identifier: str = scope.get("state", {}).get("request_id") or secrets.token_hex(16)
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer, with the headers that every answer gets."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS | _SECURE if self._scope.get("scheme") == "https" else _HEADERS)
            if EMBEDDED.fullmatch(self._scope["path"]):
                headers["Content-Security-Policy"] = FRAMED
            headers["X-Socrata-RequestId"] = self.identifier
            headers.setdefault("Cache-Control", "no-cache" if "ETag" in headers else "no-store")
        else:
            self._bytes += len(message.get("body", b""))
        await self._send(message)

    async def fail(
        self, receive: Receive, status: int, code: str, words: str, headers: dict[str, str] | None = None
    ) -> None:
        """Answer with an error, unless an answer has started: that one is cut off, which the client notices."""
        if not self.status:
            body = {"code": code, "error": True, "message": words}
            await JSONResponse(body, status_code=status, headers=headers)(self._scope, receive, self.send)

    def note(self) -> None:
        """Count the request and write its log lines."""
        audit.note(self._scope, self.status, self.identifier)
        seconds = time.perf_counter() - self._started
        method = self._scope["method"] if self._scope["method"] in _METHODS else "other"
        route = str(getattr(self._scope.get("route"), "path", "none"))
        metrics.REQUESTS.labels(route, method, str(self.status)).inc()
        metrics.SECONDS.labels(route, method).observe(seconds)
        metrics.BYTES.labels(route).inc(self._bytes)
        fields = {
            "id": self.identifier,
            "method": method,
            "route": route,
            "status": self.status,
            "bytes": self._bytes,
            "ms": round(seconds * 1000, 1),
        }
        words = "{method} {route} {status} {bytes} B {ms} ms {id}".format_map(fields)
        logger.info("%s", words, extra={REQUEST: fields})
