"""The catalog page: search and filter all datasets that the visitor may read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from publisher.portal.answers.access import findable
from publisher.portal.discovery.families import families
from publisher.portal.discovery.matching import matching, matching_most, suggestions
from publisher.portal.pages.headline import headline
from publisher.portal.pages.once import once
from publisher.portal.pages.rendering import in_every_language, linker, render

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import TableShape
    from publisher.portal.discovery.families import Family
    from publisher.portal.pages.headline import Headline

LISTED = 20
"""Entries per page."""
CHOICES = 12
"""Values that one facet offers, the most common first."""
SORTS = ("relevance", "name", "newest")


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter value; following its link adds the filter, or removes it if it is already chosen."""

    value: str
    count: int
    chosen: bool
    address: str


@dataclass(frozen=True, slots=True)
class Facet:
    """A group of filter values; `name` is the query parameter."""

    name: str
    choices: list[Choice]


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry in the list."""

    family: Family
    headline: Headline | None
    coverage: tuple[str, str] | None


FACETS: dict[str, Callable[[Family], set[str]]] = {
    "category": lambda family: {entry.dataset.category for entry in family.members} - {""},
    "place": lambda family: {label for entry in family.members if (label := _place(entry.about.shape))},
    "tag": lambda family: {tag for entry in family.members for tag in entry.dataset.tags},
    "publisher": lambda family: {entry.dataset.attribution for entry in family.members} - {""},
    "map": lambda family: {"yes"} if any(entry.about.boundaries for entry in family.members) else set(),
}


def catalog(request: Request) -> Response:
    """GET /: `q` searches, `category place tag publisher map` filter, `sort` and `page` choose what is shown."""
    words = request.query_params.get("q", "").strip()
    datasets = findable(request)
    everything = families(datasets)
    chosen = {name: request.query_params.getlist(name) for name in FACETS}
    matched = _ranked(everything, matching(request, datasets, words))
    guesses = suggestions(request, datasets, words) if words and not matched else []
    partly = not matched
    if partly:
        matched = _ranked(everything, matching_most(request, datasets, words))
    sort = _sort(request, words)
    found = _sorted([family for family in matched if _has(family, chosen)], sort)
    page = _page(request)
    shown = found[page * LISTED : (page + 1) * LISTED]
    return render(
        request,
        "catalog.html",
        words=words,
        sort=sort,
        sorts=SORTS if words else SORTS[1:],
        facets=_facets(request, found, chosen),
        chosen=[(name, value) for name, values in chosen.items() for value in values],
        entries=[_listed(request, family) for family in shown],
        found=len(found),
        first=page * LISTED + 1,
        everything=len(everything),
        guesses=guesses,
        partly=partly,
        earlier=page - 1 if page else None,
        later=page + 1 if (page + 1) * LISTED < len(found) else None,
    )


def _ranked(everything: list[Family], found: list[PortalDataset]) -> list[Family]:
    """The families with a table that was found, in the order that the search ranks them."""
    ranks = {dataset.id: rank for rank, dataset in enumerate(found)}
    best = [min(ranks.get(each.dataset.id, len(ranks)) for each in family.members) for family in everything]
    there = [(rank, at) for at, rank in enumerate(best) if rank < len(ranks)]
    return [everything[at] for _, at in sorted(there)]


def _has(family: Family, chosen: dict[str, list[str]]) -> bool:
    return all(set(values) <= FACETS[name](family) for name, values in chosen.items())


def _place(shape: TableShape | None) -> str:
    """The label of the key that names the place."""
    return next((key.label for key in shape.keys if key.name == shape.place), "") if shape else ""


def _sort(request: Request, words: str) -> str:
    wanted = request.query_params.get("sort", "")
    offered = SORTS if words else SORTS[1:]
    return wanted if wanted in offered else offered[0]


def _sorted(found: list[Family], sort: str) -> list[Family]:
    if sort == "name":
        return sorted(found, key=lambda family: family.main.dataset.name.lower())
    if sort == "newest":
        return sorted(found, key=lambda family: -max(entry.dataset.rows_updated_at for entry in family.members))
    return found


def _page(request: Request) -> int:
    text = request.query_params.get("page", "0")
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def _facets(request: Request, found: list[Family], chosen: dict[str, list[str]]) -> list[Facet]:
    """The filters that would shorten the list, with how many entries each leaves, and the filters already chosen."""
    link = linker(request)
    facets = []
    for name, values_of in FACETS.items():
        counts = Counter(value for family in found for value in values_of(family))
        offered = [value for value, count in counts.most_common() if count < len(found) or value in chosen[name]]
        choices = [
            Choice(
                value,
                counts[value],
                value in chosen[name],
                link(**{name: [each for each in chosen[name] if each != value] or None}, page=None)
                if value in chosen[name]
                else link(**{name: [*chosen[name], value]}, page=None),
            )
            for value in dict.fromkeys([*chosen[name], *offered[:CHOICES]])
        ]
        facets.append(Facet(name, choices))
    return [facet for facet in facets if facet.choices]


def _listed(request: Request, family: Family) -> Listed:
    main = family.main
    periods = sorted(release.period for release in main.about.releases)
    coverage = (periods[0], periods[-1]) if periods else None
    return Listed(family, headline(request, family.whole()), coverage)


ROUTES = in_every_language([Route("/", once(catalog))])
