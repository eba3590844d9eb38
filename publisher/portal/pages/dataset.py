"""The page of a dataset: everything people need to find a number, judge it, and cite it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import RedirectResponse
from starlette.routing import Route

from publisher.portal.answers.access import base_url, findable, portal, visitor
from publisher.portal.base.problems import SodaError
from publisher.portal.contract import about
from publisher.portal.discovery.dcat import covered, jsonld, span
from publisher.portal.discovery.families import family_of
from publisher.portal.downloads.downloads import ahead, standing
from publisher.portal.pages.citation import citation
from publisher.portal.pages.compare import compare
from publisher.portal.pages.examples import MOST, examples
from publisher.portal.pages.filters import PREFIX
from publisher.portal.pages.headline import asking, headline
from publisher.portal.pages.map import map_of
from publisher.portal.pages.once import once
from publisher.portal.pages.preview import SIZES, preview
from publisher.portal.pages.ranking import ranking
from publisher.portal.pages.reliability import chances, sureness
from publisher.portal.pages.rendering import in_every_language, missing, render
from publisher.portal.pages.trend import beside, trend

if TYPE_CHECKING:
    from datetime import date

    from starlette.requests import Request
    from starlette.responses import Response

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import PublisherMetadata, ScheduleFacts, TableShape
    from publisher.portal.discovery.families import Family
    from publisher.portal.downloads.downloads import Offer
    from publisher.portal.pages.preview import Preview
    from publisher.portal.pages.trend import Ask

TABLE = 24
"""A chart's or map's table with at most this many rows is part of the page; a longer one is a link away."""
RELEASES = 5
"""How many releases the page lists; the others are a link away."""
PERIODS = 4
"""The same of periods that were due."""


def page(request: Request) -> Response:
    """GET /d/{4x4}: everything about one dataset."""
    dataset = shown_dataset(request)
    if dataset is None:
        return missing(request)
    return _file(request, dataset) if dataset.blob else _table(request, dataset)


def _file(request: Request, dataset: PortalDataset) -> Response:
    """The page of a dataset that is one file."""
    return render(
        request,
        "file.html",
        dataset=dataset,
        about=about(dataset),
        files=standing(request, dataset),
        citation=citation(base_url(request), dataset),
        described=_described(base_url(request), dataset),
    )


def _table(request: Request, dataset: PortalDataset) -> Response:
    ask = asking(request, dataset)
    wanted = dict(request.query_params)
    known = about(dataset)
    family = family_of(dataset, findable(request))
    base = base_url(request)
    rows = _preview(dataset, known.shape, ask, wanted)
    released = {each.period for each in known.releases}
    tables = beside(dataset, family, lambda other: asking(request, other))
    shape = known.shape if dataset.rows else None
    ranked = ranking(shape, ask, wanted, tables) if shape else None
    course = trend(shape, ask, wanted, tables, released) if shape and ranked is None else None
    when = covered(dataset)
    coverage = _coverage(known, ask, dataset)
    downloads = standing(request, dataset)
    schedule = schedule_of(family)
    answer = render(
        request,
        "dataset.html",
        dataset=dataset,
        about=known,
        coverage=coverage,
        family=family,
        headline=headline(request, family.whole(known.over_time)),
        ranking=ranked,
        trend=course,
        compared=compare(shape, ask, wanted, course.selects if course else None, released) if shape else None,
        map=map_of(dataset, known, ask, wanted, portal(request).store.assets, tables),
        preview=rows,
        sizes=SIZES,
        wanted=wanted,
        brief_table=TABLE,
        hidden=_others(wanted),
        these=_these(base, dataset, rows),
        sureness=sureness(known.shape, ask) if dataset.rows else [],
        chances=chances(known.odds) if known.odds else None,
        frequency=when[2] if when else "",
        days=_days(coverage),
        citation=citation(base, dataset),
        described=_described(base, dataset),
        releases=known.releases[:RELEASES],
        schedule=schedule,
        periods=schedule.was_due[:PERIODS] if schedule else (),
        corrections=[each for each in known.releases if each.edition > 1],
        downloads=[each for each in downloads if not each.description],
        measured=[each for each in downloads if each.description],
        boundaries=_boundaries(request, dataset, known),
    )
    answer.background = ahead(request, dataset, downloads)
    return answer


def api(request: Request) -> Response:
    """GET /d/{4x4}/api: one example query in several programming languages."""
    dataset = shown_dataset(request)
    if dataset is None or dataset.blob:
        return missing(request)
    known = about(dataset)
    shown = examples(base_url(request), dataset, known.shape)
    return render(request, "api.html", dataset=dataset, about=known, examples=shown)


def guarantee(request: Request) -> Response:
    """GET /d/{4x4}/guarantee: the full text of the privacy guarantee."""
    dataset = shown_dataset(request)
    known = about(dataset) if dataset else None
    if known is None or not known.guarantee:
        return missing(request)
    odds = chances(known.odds) if known.odds else None
    return render(request, "guarantee.html", dataset=dataset, about=known, chances=odds)


def shown_dataset(request: Request) -> PortalDataset | None:
    """The dataset at the address, or None if it does not exist or the visitor may not read it."""
    dataset = portal(request).store.catalog.find(request.path_params["id"])
    return dataset if dataset and (dataset.open or visitor(request)) else None


def schedule_of(family: Family) -> ScheduleFacts | None:
    """The family's schedule by the calendar of this moment; None if its publisher does not tell it."""
    facts = family.main.about.schedule
    return facts.at(datetime.now(UTC)) if facts is not None else None


def _preview(dataset: PortalDataset, shape: TableShape | None, ask: Ask, wanted: dict[str, str]) -> Preview:
    """The requested rows; all rows if a filter's value does not fit its column."""
    try:
        return preview(dataset, shape, ask, wanted)
    except SodaError:
        return preview(dataset, shape, ask, {})


def _others(wanted: dict[str, str]) -> list[tuple[str, str]]:
    """The parameters that the row filter form passes on so that the chart does not change."""
    own = {"column", "value", "rows"}
    return [(name, value) for name, value in wanted.items() if name not in own and not name.startswith(PREFIX)]


def _these(base: str, dataset: PortalDataset, rows: Preview) -> str:
    """The address of the filtered rows as CSV."""
    clauses = {"$where": rows.where, "$limit": str(MOST)}
    return f"{base}/resource/{dataset.id}.csv?{urlencode(clauses)}"


def _coverage(known: PublisherMetadata, ask: Ask, dataset: PortalDataset) -> tuple[str, str] | None:
    """The first and the last period."""
    shape = known.shape
    if shape is None or not dataset.rows:
        return None
    ends = [
        ask({"$select": f"`{shape.period}`", "$order": f"`{shape.time}` {way}", "$limit": "1"})[0][shape.period]
        for way in ("ASC", "DESC NULLS LAST")
    ]
    return str(ends[0]), str(ends[1])


def _days(coverage: tuple[str, str] | None) -> tuple[date, date] | None:
    """The first and the last day of these periods, or None if their format is not known."""
    first, last = (span(period) for period in coverage) if coverage else (None, None)
    return (first[0], last[1]) if first and last else None


def _described(base: str, dataset: PortalDataset) -> Markup:
    """The dataset in schema.org's vocabulary, escaped so that nothing in it can end the script element."""
    return Markup(json.dumps(jsonld(base, dataset), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"))  # noqa: S704


def _boundaries(request: Request, dataset: PortalDataset, known: PublisherMetadata) -> str | None:
    """The address of the boundary polygons, or None if none are attached."""
    if known.boundaries is None:
        return None
    file = portal(request).store.assets.attached(dataset, known.boundaries.filename)
    return f"{base_url(request)}/api/views/{dataset.id}/files/{file.id}" if file else None


def _files(request: Request) -> list[Offer]:
    """The files that the page lists, some of which may not be made yet."""
    dataset = shown_dataset(request)
    return standing(request, dataset) if dataset is not None else []


class _Identifier(Convertor[str]):
    """A 4x4 in an address."""

    regex = "[0-9a-z]{4}-[0-9a-z]{4}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("identifier", _Identifier())


def moved(request: Request) -> Response:
    """GET /{category}/{name}/{4x4}, /id/{4x4}, /views/{4x4}: where Socrata has a dataset's page, so that bookmarks of a
    portal that moved here lead to it. A program that asks for JSON is led to the rows."""
    identifier, accepted = request.path_params["id"], request.headers.get("accept", "")
    rows = "application/json" in accepted and "text/html" not in accepted
    return RedirectResponse(f"/resource/{identifier}.json" if rows else f"/d/{identifier}", 301, {"Vary": "Accept"})


ROUTES = [
    *in_every_language(
        [
            Route("/d/{id}", once(page, also=_files)),
            Route("/d/{id}/api", once(api)),
            Route("/d/{id}/guarantee", once(guarantee)),
        ]
    ),
    *(Route(path, moved) for path in ("/id/{id:identifier}", "/views/{id:identifier}")),
]
ELSEWHERE = [Route("/{category}/{name}/{id:identifier}", moved)]
"""Tried after all others."""
