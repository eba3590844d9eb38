"""The catalog page: search and filter all datasets that the visitor may read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from starlette.routing import Route

from publisher.portal.answers.access import findable
from publisher.portal.discovery.search import matching, words_of
from publisher.portal.pages.families import families
from publisher.portal.pages.headline import headline
from publisher.portal.pages.rendering import in_every_language, linker, render

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from publisher.portal.contract import TableShape
    from publisher.portal.pages.families import Family
    from publisher.portal.pages.headline import Headline

LISTED = 20
"""Entries per page."""
CHOICES = 12
"""Values that one facet offers, the most common first."""
GUESSED = 5
"""For how many of the first words the page suggests a spelling."""
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
    everything = families(findable(request))
    chosen = {name: request.query_params.getlist(name) for name in FACETS}
    matched = _matching(everything, words)
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
        guesses=[] if found else _guesses(words, everything),
        earlier=page - 1 if page else None,
        later=page + 1 if (page + 1) * LISTED < len(found) else None,
    )


def _matching(everything: list[Family], words: str) -> list[Family]:
    """The families with a table that matches the words, in the order that the search ranks them."""
    datasets = [entry.dataset for family in everything for entry in family.members]
    ranks = {dataset.id: rank for rank, dataset in enumerate(matching(datasets, words))}
    best = [min(ranks.get(e.dataset.id, len(datasets)) for e in family.members) for family in everything]
    there = [(rank, at) for at, rank in enumerate(best) if rank < len(datasets)]
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


def _guesses(words: str, everything: list[Family]) -> list[str]:
    """Words from titles and tags that are spelled almost like the words that found nothing."""
    texts = [(family.main.dataset.name, *family.main.dataset.tags) for family in everything]
    known = {word.strip(".,;:()").lower() for text in texts for part in text for word in part.split()}
    close = (get_close_matches(word, known, n=2) for word in words_of(words)[:GUESSED])
    return list(dict.fromkeys(word for words in close for word in words))[:4]


ROUTES = in_every_language([Route("/", catalog)])
