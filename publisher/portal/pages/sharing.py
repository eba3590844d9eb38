"""A chart or map as it stands, to share by its address or to embed in a page of another site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from publisher.portal.answers.access import base_url
from publisher.portal.contract import about
from publisher.portal.pages.dataset import shown_dataset
from publisher.portal.pages.language import language_of
from publisher.portal.pages.once import once
from publisher.portal.pages.pictures import CHART, MAP, Picture
from publisher.portal.pages.rendering import in_every_language, missing, render

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

SECTIONS = {"chart": "trend", "ranking": "ranking", "map": "map"}
"""The part of the dataset's page that each is in."""


def _shown(request: Request, picture: Picture, template: str) -> Response:
    dataset = shown_dataset(request)
    found = (
        picture.context(request, dataset) if dataset and dataset.open and dataset.rows and not dataset.blob else None
    )
    if dataset is None or found is None:
        return missing(request)
    query = f"?{request.url.query}" if request.url.query else ""
    here = f"{base_url(request)}{language_of(request).address(f'/d/{dataset.id}')}"
    section = SECTIONS["ranking" if "ranking" in found else picture.name]
    addresses: dict[str, Any] = {
        "page": f"{here}{query}#{section}",
        "embed": f"{here}/embed/{picture.name}{query}",
        "picture": f"{here}/{picture.name}.svg{query}",
    }
    return render(request, template, dataset=dataset, about=about(dataset), **addresses, **found)


def _endpoint(picture: Picture, template: str) -> Callable[[Request], Response]:
    def page(request: Request) -> Response:
        return _shown(request, picture, template)

    return once(page)


ROUTES = in_every_language(
    [
        Route(f"/d/{{id}}/{way}/{picture.name}", _endpoint(picture, f"{way}.html"))
        for way in ("share", "embed")
        for picture in (CHART, MAP)
    ]
)
"""GET /d/{4x4}/share/chart and /map, with what to copy; GET /d/{4x4}/embed/chart and /map, for a frame."""
