"""The outermost layer: a name and headers for every answer, a log line without values, no error that shows inside."""

from __future__ import annotations

import logging
import secrets
import time
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, Last-Modified, X-SODA2-Fields, X-SODA2-Types, X-Socrata-RequestId",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Accept, Content-Type, X-App-Token",
    "Access-Control-Max-Age": "86400",
}


class Guard:
    """Wraps the application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers["X-Socrata-RequestId"] = secrets.token_hex(16)
            await send(message)

        try:
            await self._answer(scope, receive, marked)
        except Exception as error:  # noqa: BLE001 -- whatever happens, nothing of it may show
            logger.error("failed with %s at %s", type(error).__name__, _place(error))
            if not status:
                body = {"code": "internal_error", "error": True, "message": "Something went wrong here"}
                await JSONResponse(body, status_code=500)(scope, receive, marked)
        spent = (time.perf_counter() - started) * 1000
        logger.info("%s %s %d %.1f ms", scope["method"], _shown(scope["path"]), status, spent)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _shown(path: str) -> str:
    """The address without its query and without a row's identifier."""
    parts = path.split("/")
    return "/".join(parts[:3] if parts[1:2] == ["resource"] else parts[:5]).encode("unicode_escape").decode()[:80]


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "?"
