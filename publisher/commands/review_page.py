"""`publisher review --page`: what a reviewer decides by, in a browser on this machine. It shows, and signs nothing.

The address has a token that works once; the browser that used it keeps a cookie, which it sends to no other server on
this machine, since it belongs to a path that only this one has. No one else is shown anything, and there is nothing to
send: only GET is answered.
"""

from __future__ import annotations

import secrets
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from publisher.release.guarantee_page import STYLE, html_of

if TYPE_CHECKING:
    from publisher.commands.review_view import ReviewView

HOST = "127.0.0.1"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_COLORS = """\
:root { --soft-ink: #4d575e; --added: #1a6332; --removed: #9b2c1f; }
@media (prefers-color-scheme: dark) { :root { --soft-ink: #aab4b9; --added: #86d69a; --removed: #f3a093; } }
"""


def page_of(view: ReviewView) -> str:
    """The page as HTML, with everything in it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template("review.html").render(
        view=view,
        style=Markup(STYLE + _COLORS),  # noqa: S704 -- our own
        rendered=lambda text: Markup(html_of(text, below=2)),  # noqa: S704 -- the reader lets no HTML through
    )


class ReviewPage(ThreadingHTTPServer):
    """One page on a port of its own, for who opens its address first."""

    daemon_threads = True

    def __init__(self, page: str) -> None:
        super().__init__((HOST, 0), _Handler)
        self.page = page.encode()
        self.token: str | None = secrets.token_urlsafe(32)
        self.cookie = secrets.token_urlsafe(32)
        self.place = f"/{secrets.token_urlsafe(16)}/"
        self.address = f"http://{HOST}:{self.server_port}/{self.token}"

    def spend(self, path: str) -> bool:
        """Whether the path is that of the token, which is spent by that."""
        if self.token is None or not compare_digest(path.encode(), f"/{self.token}".encode()):
            return False
        self.token = None
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away."""


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: ReviewPage
    server_version, sys_version = "publisher", ""

    def do_GET(self) -> None:
        """The page, or the way to it; everything else is refused."""
        name, place = "review", self.server.place
        if self.headers.get("Host") != f"{HOST}:{self.server.server_port}":  # another name that leads here
            self._answer(403, b"")
        elif self.server.spend(self.path):
            cookie = f"{name}={self.server.cookie}; HttpOnly; SameSite=Strict; Path={place}"
            self._answer(303, b"", {"Location": place, "Set-Cookie": cookie})
        elif self.path == place and compare_digest(self._cookie(name).encode(), self.server.cookie.encode()):
            self._answer(200, self.server.page)
        else:
            words = (
                "<!doctype html><html lang=en><title>Review</title><p>This address worked once. Run the command again."
            )
            self._answer(403, words.encode())

    def _cookie(self, name: str) -> str:
        try:
            found = SimpleCookie(self.headers.get("Cookie", ""))
        except CookieError:
            return ""
        return found[name].value if name in found else ""

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (HEADERS | (headers or {})).items():
            self.send_header(key, value)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- http.server's signature
        """Nothing: the first address has the token."""
