"""The releases of a dataset: what was published when, what was corrected, and a permanent page for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from publisher.portal.answers.access import base_url
from publisher.portal.base.problems import dataset_missing, problem
from publisher.portal.contract import about
from publisher.portal.pages.citation import citation
from publisher.portal.pages.dataset import shown_dataset
from publisher.portal.pages.once import once
from publisher.portal.pages.rendering import in_every_language, missing, render

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.contract import PublisherMetadata, ReleaseFacts

LISTED = 100
"""Releases per page."""


def history(request: Request) -> Response:
    """GET /d/{4x4}/releases: all releases, the latest first."""
    dataset = shown_dataset(request)
    if dataset is None:
        return missing(request)
    known = about(dataset)
    text = request.query_params.get("page", "0")
    page = int(text) if text.isdecimal() and len(text) < 6 else 0
    return render(
        request,
        "releases.html",
        dataset=dataset,
        about=known,
        releases=known.releases[page * LISTED : (page + 1) * LISTED],
        earlier=page - 1 if page else None,
        later=page + 1 if (page + 1) * LISTED < len(known.releases) else None,
    )


def release(request: Request) -> Response:
    """GET /d/{4x4}/releases/{period}/{edition}: the facts about one edition."""
    dataset = shown_dataset(request)
    if dataset is None:
        return missing(request)
    known = about(dataset)
    found = _edition(known, request)
    if found is None:
        return missing(request)
    editions = _editions(known, found.period)
    return render(
        request,
        "release.html",
        dataset=dataset,
        about=known,
        release=found,
        editions=editions,
        citation=citation(base_url(request), dataset, found),
        successor=next((each for each in editions if each.edition > found.edition), None),
        latest=editions[-1],
    )


def bibliography(request: Request) -> Response:
    """GET /d/{4x4}/citation.bib and /d/{4x4}/releases/{period}/{edition}/citation.bib: the citation as BibTeX.
    Raises SodaError: programs ask for it."""
    dataset = shown_dataset(request)
    if dataset is None:
        raise dataset_missing(request.path_params["id"])
    found = None
    if "edition" in request.path_params:
        found = _edition(about(dataset), request)
        if found is None:
            raise problem(404, "release.missing", "This dataset has no such release")
    text = citation(base_url(request), dataset, found).bibtex + "\n"
    headers = {"Cache-Control": "no-cache", "Vary": "Authorization"}
    return Response(text, media_type="application/x-bibtex", headers=headers)


def _edition(known: PublisherMetadata, request: Request) -> ReleaseFacts | None:
    """The edition at the address, or None."""
    period, edition = request.path_params["period"], request.path_params["edition"]
    return next((each for each in known.releases if (each.period, str(each.edition)) == (period, edition)), None)


def _editions(known: PublisherMetadata, period: str) -> list[ReleaseFacts]:
    """The editions of the period, the oldest first."""
    return sorted((each for each in known.releases if each.period == period), key=lambda each: each.edition)


ROUTES = [
    Route("/d/{id}/citation.bib", bibliography),
    Route("/d/{id}/releases/{period:path}/{edition}/citation.bib", bibliography),
    *in_every_language(
        [Route("/d/{id}/releases", once(history)), Route("/d/{id}/releases/{period:path}/{edition}", once(release))]
    ),
]
