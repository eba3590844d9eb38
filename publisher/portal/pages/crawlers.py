"""What search engines read first: which addresses to leave alone, and every page with its languages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from publisher.portal.answers.access import base_url, findable
from publisher.portal.pages.language import LANGUAGES

if TYPE_CHECKING:
    from starlette.requests import Request

LEFT_ALONE = ("/*?", "/resource/", "/api/odata/", "/api/v3/")
"""Each filter of a page or query is an address of its own, and there is no end of them."""
MOST = 50_000
"""The most addresses that a sitemap may have."""


def robots(request: Request) -> Response:
    """GET /robots.txt."""
    rules = ["User-agent: *", "Allow: /static/", *(f"Disallow: {path}" for path in LEFT_ALONE)]
    return PlainTextResponse("\n".join((*rules, f"Sitemap: {base_url(request)}/sitemap.xml", "")))


def sitemap(request: Request) -> Response:
    """GET /sitemap.xml: the pages of the portal and of its open datasets, in each language."""
    base = base_url(request)
    changed = {f"/d/{dataset.id}": dataset.changed_at for dataset in findable(request) if dataset.open}
    pages = {"/": max(changed.values(), default=None), "/methods": None, "/inventory": None, "/about": None, **changed}
    every = [_entry(base, path, each.address(path), when) for path, when in pages.items() for each in LANGUAGES]
    opened = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
        ' xmlns:xhtml="http://www.w3.org/1999/xhtml">\n'
    )
    return Response(f"{opened}{''.join(every[:MOST])}</urlset>\n", media_type="application/xml")


def _entry(base: str, path: str, own: str, changed: int | None) -> str:
    others = "".join(
        f'<xhtml:link rel="alternate" hreflang="{each.code}" href={quoteattr(base + each.address(path))}/>'
        for each in LANGUAGES
    )
    day = f"<lastmod>{datetime.fromtimestamp(changed, UTC).date().isoformat()}</lastmod>" if changed else ""
    return f"<url><loc>{escape(base + own)}</loc>{day}{others}</url>\n"


ROUTES = [Route("/robots.txt", robots), Route("/sitemap.xml", sitemap)]
