"""A dataset's chart and map as pictures, SVG and PNG, each with its title, its legend, and its source.

They show what the page shows for the same query parameters. A PNG is made once from each version of the dataset.
"""

from __future__ import annotations

import hashlib
import textwrap
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from publisher.portal.answers.access import base_url, findable, portal
from publisher.portal.base.problems import problem
from publisher.portal.contract import about
from publisher.portal.discovery.families import family_of
from publisher.portal.downloads.downloads import kept, sent
from publisher.portal.pages.dataset import shown_dataset
from publisher.portal.pages.headline import asking
from publisher.portal.pages.language import language_of
from publisher.portal.pages.map import map_of
from publisher.portal.pages.once import once
from publisher.portal.pages.ranking import ranking
from publisher.portal.pages.rendering import environment, in_every_language, in_words_of, tagged
from publisher.portal.pages.trend import beside, trend
from publisher.portal.pages.wording import said

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.pages.trend import OtherTable

    Shown = Callable[[Request, PortalDataset], dict[str, Any] | None]

FONTS = Path(__file__).parent / "fonts"
FONT = "DejaVu Sans"
"""Latin letters only: in a PNG, other scripts are shown as boxes."""
SVG, PNG = "image/svg+xml", "image/png"
TITLE, NAME, TEXT = 62, 100, 128
"""How many characters fit on a line of the title, of the dataset's name, and of the text below the picture."""
NAME_OF_PLACE = 34
"""How many characters of a place's name stand beside its number."""
LINES = 2
"""How many lines the title may have."""


async def chart(request: Request) -> Response:
    """GET /d/{4x4}/chart.png: the ranking, or the trend of the cell and measure in the parameters."""
    return await _png(request, "chart", _chart)


async def plan(request: Request) -> Response:
    """GET /d/{4x4}/map.png: the map of the measure and period in the query parameters."""
    return await _png(request, "map", _map)


async def _png(request: Request, name: str, context: Shown) -> Response:
    dataset, svg = await run_in_threadpool(_svg, request, name, context)
    mark = hashlib.sha256(svg.encode()).hexdigest()[:32]
    # One at a time, as every other file that takes a processor for seconds.
    png = await kept(request, dataset, f"picture-{mark}.png", partial(_write_png, svg))
    return sent(request, dataset, png, PNG, None)


def chart_svg(request: Request) -> Response:
    """GET /d/{4x4}/chart.svg: the same as SVG."""
    return _answer(request, "chart", _chart)


def plan_svg(request: Request) -> Response:
    """GET /d/{4x4}/map.svg: the same as SVG."""
    return _answer(request, "map", _map)


def _answer(request: Request, name: str, context: Shown) -> Response:
    _, svg = _svg(request, name, context)
    return tagged(
        request, Response(svg, media_type=SVG, headers={"Cache-Control": "no-cache", "Vary": "Authorization"})
    )


def _svg(request: Request, name: str, context: Shown) -> tuple[PortalDataset, str]:
    """The dataset and its picture. Raises SodaError, 404 if it has none."""
    dataset = shown_dataset(request)
    shown = context(request, dataset) if dataset and dataset.rows and not dataset.blob else None
    if dataset is None or shown is None:
        raise problem(404, "not_found", f"There is no such {name}")
    return dataset, _drawn(request, "ranking.svg" if "ranking" in shown else f"{name}.svg", dataset, **shown)


def _drawn(request: Request, template: str, dataset: PortalDataset, **context: Any) -> str:
    language = language_of(request)
    with in_words_of(request, dataset):
        return (
            environment(language)
            .get_template(template)
            .render(
                dataset=dataset,
                about=about(dataset),
                address=f"{base_url(request)}{language.address(f'/d/{dataset.id}')}",
                font=FONT,
                title_lines=lambda text: textwrap.wrap(_plain(text), TITLE, max_lines=LINES, placeholder=" …"),
                name_line=textwrap.shorten(said(dataset.name), NAME, placeholder=" …"),
                name_of=lambda name: textwrap.shorten(said(name), NAME_OF_PLACE, placeholder=" …"),
                text_lines=lambda text: textwrap.wrap(_plain(text), TEXT),
                **context,
            )
        )


def _plain(text: str) -> str:
    """Text as it was before a template escaped it: it is escaped when it is drawn."""
    return text.unescape() if isinstance(text, Markup) else text


def _chart(request: Request, dataset: PortalDataset) -> dict[str, Any] | None:
    shape = about(dataset).shape
    if shape is None:
        return None
    wanted = dict(request.query_params)
    tables = _tables(request, dataset)
    ranked = ranking(shape, asking(request, dataset), wanted, tables)
    if ranked is not None:
        return {"ranking": ranked}
    found = trend(shape, asking(request, dataset), wanted, tables)
    return {"trend": found, "chart": found.chart} if found.chart else None


def _map(request: Request, dataset: PortalDataset) -> dict[str, Any] | None:
    wanted = dict(request.query_params)
    ask, tables = asking(request, dataset), _tables(request, dataset)
    found = map_of(dataset, about(dataset), ask, wanted, portal(request).store.assets, tables)
    return {"map": found} if found and found.classes else None


def _tables(request: Request, dataset: PortalDataset) -> tuple[OtherTable, ...]:
    family = family_of(dataset, findable(request))
    return beside(dataset, family, lambda other: asking(request, other))


def _write_png(svg: str, path: Path) -> None:
    import resvg_py

    fonts = [str(each) for each in sorted(FONTS.glob("*.ttf"))]
    path.write_bytes(resvg_py.svg_to_bytes(svg, skip_system_fonts=True, font_files=fonts, sans_serif_family=FONT))


@dataclass(frozen=True, slots=True)
class Picture:
    """A kind of picture, and what a template shows of it; None where a dataset has none."""

    name: str
    context: Shown


CHART, MAP = Picture("chart", _chart), Picture("map", _map)
ROUTES = in_every_language(
    [
        Route("/d/{id}/chart.svg", once(chart_svg)),
        Route("/d/{id}/chart.png", chart),
        Route("/d/{id}/map.svg", once(plan_svg)),
        Route("/d/{id}/map.png", plan),
    ]
)
