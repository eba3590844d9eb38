"""The pages that people read, rendered here and usable without a script."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from publisher.portal.access import base_url, portal, sources, visible, visitor
from publisher.portal.chart import HEIGHT, WIDTH, shown
from publisher.portal.discovery import matching
from publisher.portal.preview import preview
from publisher.portal.problems import SodaError
from publisher.portal.structure import ADDITIVE, about
from publisher.portal.trend import asker, trend

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.model import Dataset
    from publisher.portal.preview import Preview
    from publisher.portal.structure import About, Shape
    from publisher.portal.trend import Ask

HERE = Path(__file__).parent
LISTED = 40
"""Datasets on one page of the catalog."""


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(HERE / "templates")
    made = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"day": _day, "stamp": _stamp, "markdown": _markdown, "number": shown}
    made.globals |= {"width": WIDTH, "height": HEIGHT}
    return made


def _day(seconds: int) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.day} {moment:%B %Y}"


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _markdown(text: str) -> Markup:
    """Markdown as HTML: raw HTML is shown as text, an image as its words, headings follow on the page's own."""
    reader = _reader()
    tokens = reader.parse(text)
    headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    shift = 3 - min((int(token.tag[1]) for token in headings), default=3)
    for token in headings:
        token.tag = f"h{min(6, int(token.tag[1]) + shift)}"
    for token in tokens:
        if token.type == "th_open":
            token.attrSet("scope", "col")
    return Markup(reader.renderer.render(tokens, reader.options, {}))  # noqa: S704 -- raw HTML is disabled


def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("image", lambda _self, tokens, at, _options, _env: str(escape(tokens[at].content)))
    reader.add_render_rule("table_open", lambda *_: '<div class="wide" tabindex="0">\n<table>\n')
    reader.add_render_rule("table_close", lambda *_: "</table>\n</div>\n")
    return reader


def render(request: Request, template: str, status: int = 200, **context: Any) -> Response:
    """A page."""
    organisations = {dataset.attribution for dataset in visible(request) if dataset.attribution}
    site = organisations.pop() if len(organisations) == 1 else ""
    html = _templates().get_template(template).render(site=site, path=request.url.path, **context)
    return HTMLResponse(html, status, {"Cache-Control": "no-cache", "Vary": "Authorization"})


def stylesheet(_request: Request) -> Response:
    """GET /static/portal.css."""
    text = (HERE / "static" / "portal.css").read_text()
    return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=300"})


def catalog(request: Request) -> Response:
    """GET /: the datasets that may be read, with search."""
    words = request.query_params.get("q", "").strip()
    category = request.query_params.get("category", "")
    page = _page(request)
    everything = visible(request)
    found = [d for d in matching(everything, words) if category in ("", d.category)]
    found.sort(key=lambda dataset: dataset.name.lower())
    return render(
        request,
        "catalog.html",
        words=words,
        category=category,
        categories=sorted({dataset.category for dataset in everything if dataset.category}),
        entries=[(dataset, about(dataset)) for dataset in found[page * LISTED : (page + 1) * LISTED]],
        found=len(found),
        earlier=_link(request, page=page - 1) if page else None,
        later=_link(request, page=page + 1) if (page + 1) * LISTED < len(found) else None,
    )


def _page(request: Request) -> int:
    text = request.query_params.get("page", "0")
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def _link(request: Request, **changed: Any) -> str:
    """The query of this page with some parameters changed; None takes one away."""
    kept = {name: value for name, value in request.query_params.items() if name not in changed}
    return "?" + urlencode(kept | {name: value for name, value in changed.items() if value is not None})


def page(request: Request) -> Response:
    """GET /d/{4x4}: everything about one dataset."""
    dataset = _shown(request)
    if dataset is None:
        return missing(request)
    engine = portal(request).engine
    ask = asker(dataset, lambda compiled: engine.fetch(sources(request, dataset, compiled), compiled))
    wanted = dict(request.query_params)
    known = about(dataset)
    return render(
        request,
        "dataset.html",
        dataset=dataset,
        about=known,
        coverage=_coverage(known, ask, dataset),
        trend=trend(known.shape, ask, wanted) if known.shape and dataset.rows else None,
        preview=_preview(dataset, known.shape, ask, wanted),
        wanted=wanted,
        link=lambda **changed: _link(request, **changed),
        examples=Examples.of(base_url(request), dataset, known.shape),
    )


def _shown(request: Request) -> Dataset | None:
    """The dataset of the address, if the visitor may read it; who may not is not told that it exists."""
    dataset = portal(request).store.catalogue.find(request.path_params["id"])
    return dataset if dataset and (dataset.open or visitor(request)) else None


def _preview(dataset: Dataset, shape: Shape | None, ask: Ask, wanted: dict[str, str]) -> Preview:
    """The rows asked for; where the filter's value does not fit its column, all rows."""
    try:
        return preview(dataset, shape, ask, wanted)
    except SodaError:
        return preview(dataset, shape, ask, {})


def _coverage(known: About, ask: Ask, dataset: Dataset) -> tuple[str, str] | None:
    """The first and the last period."""
    shape = known.shape
    if shape is None or not dataset.rows:
        return None
    ends = [
        ask({"$select": f"`{shape.period}`", "$order": f"`{shape.time}` {way}", "$limit": "1"})[0][shape.period]
        for way in ("ASC", "DESC NULLS LAST")
    ]
    return str(ends[0]), str(ends[1])


def missing(request: Request) -> Response:
    """The page for an address that leads nowhere."""
    return render(request, "missing.html", 404)


@dataclass(frozen=True, slots=True)
class Examples:
    """Addresses and lines to copy."""

    csv: str
    json: str
    geojson: str | None
    download: str
    total: str
    measure: str
    host: str
    secure: bool

    @classmethod
    def of(cls, base: str, dataset: Dataset, shape: Shape | None) -> Examples:
        """Those of a dataset."""
        resource = f"{base}/resource/{dataset.id}"
        measure = next((m.name for m in shape.measures if m.kind in ADDITIVE), "") if shape else ""
        group = shape.period if shape else ""
        total = f"{resource}.json?$select={group},sum({measure})&$group={group}&$order={group}" if measure else ""
        address = urlsplit(base)
        return cls(
            f"{resource}.csv?$limit=10000000",
            f"{resource}.json",
            f"{resource}.geojson" if dataset.geometry else None,
            f"{base}/api/views/{dataset.id}/rows.csv?accessType=DOWNLOAD",
            total,
            measure,
            address.netloc,
            address.scheme == "https",
        )


ROUTES = [
    Route("/", catalog),
    Route("/d/{id}", page),
    Route("/static/portal.css", stylesheet),
]
