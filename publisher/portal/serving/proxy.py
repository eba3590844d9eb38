"""Headers of a reverse proxy about its client, used only from trusted addresses."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


class Proxied:
    """ASGI middleware: sets the client and scheme as the proxy saw them, and the proxy's request id."""

    def __init__(self, app: ASGIApp, trusted: tuple[str, ...]) -> None:
        self._app = app
        self._believing: ASGIApp = ProxyHeadersMiddleware(app, list(trusted))  # type: ignore[arg-type, assignment]
        self._trusted = [ipaddress.ip_network(each) for each in trusted]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not self.trusts(scope["client"]):
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        if REQUEST_ID.fullmatch(given):
            scope["state"]["request_id"] = given.decode()
        await self._believing(scope, receive, send)

    def trusts(self, client: tuple[str, int] | None) -> bool:
        """Whether this client is one of the trusted proxies."""
        try:
            peer = ipaddress.ip_address(client[0] if client else "")
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self._trusted)
