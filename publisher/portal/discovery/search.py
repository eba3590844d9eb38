"""The catalog search API that Socrata's clients use, with facets."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.portal.answers.access import base_url, findable, visitor
from publisher.portal.api.views import iso, whole
from publisher.portal.base.licenses import name_of
from publisher.portal.base.model import STAFF
from publisher.portal.base.problems import problem
from publisher.portal.contract import email_of
from publisher.portal.discovery.matching import MOST_WORDS, matches, words_of
from publisher.portal.discovery.vocabulary import spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.requests import Request

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.base.problems import SodaError

_VIEWS = ("page_views_last_week", "page_views_last_month", "page_views_total")
_ORDERS: dict[str, Callable[[PortalDataset], Any]] = {
    "name": lambda dataset: dataset.name.lower(),
    "dataset_id": lambda dataset: dataset.id,
    "createdat": lambda dataset: dataset.created_at,
    "updatedat": lambda dataset: dataset.changed_at,
    "category": lambda dataset: dataset.category.lower(),
    "domain_category": lambda dataset: dataset.category.lower(),
    "datatype": lambda dataset: dataset.blob is not None,
    "owner": lambda dataset: dataset.publisher.lower(),
    **dict.fromkeys((*_VIEWS, "download_count"), lambda _: 0),
}
"""Views and downloads are not counted, so they put nothing before anything else."""
_SAID = (
    "name, dataset_id, createdAt, updatedAt, category, domain_category, datatype, owner, page_views_last_week,"
    " page_views_last_month, page_views_total, or download_count"
)
_DESCENDING = frozenset({"createdat", "updatedat", "download_count", *_VIEWS})
"""The sort orders that are descending by default."""
_VISIBILITIES = frozenset({"open", "internal"})
_PAGES = frozenset({"offset", "limit", "scroll_id", "order", "q", "min_should_match"})
_TUNING = re.compile(
    r"search_context|explain|show_visibility|show_unsupported_data_federated_assets|locale|boost\w*|domain_boosts"
    r"|q_internal|approval_status|\$.*"
)
"""Socrata's parameters that affect ranking or display and do not filter."""
MOST_COMPLETED = 10
"""How many titles complete a search by default."""


def search(request: Request) -> Response:
    """GET /api/catalog/v1: datasets that match all conditions, and the total number of matches."""
    started = time.perf_counter()
    everything = found(request)
    offset, limit = whole(request, "offset", 0), whole(request, "limit", 100)
    if limit > 10_000:
        raise _wrong("limit", "at most 10000")
    shown = _after(request, everything)[offset : offset + limit]
    base, known = base_url(request), visitor(request) is not None
    results = [_result(dataset, base, known=known) for dataset in shown]
    return _answer(results, len(everything), started, warnings=[])


def _answer(results: list[Any], size: int, started: float, **more: Any) -> Response:
    spent = int((time.perf_counter() - started) * 1000)
    timings = {"serviceMillis": spent, "searchMillis": [spent]}
    return JSONResponse({"results": results, "resultSetSize": size, "timings": timings, **more})


def found(request: Request) -> list[PortalDataset]:
    """The datasets that match the request's parameters, in the requested order. Raises SodaError."""
    narrowed = _narrowed(request)
    words = words_of(request.query_params.get("q", ""))
    enough = _enough(request, len(words))
    scores = {each: match.enough(enough) for each, match in matches(request, narrowed, words).items()}
    return _ordered(request, [dataset for dataset in narrowed if scores[dataset.id]], scores)


def _narrowed(request: Request) -> list[PortalDataset]:
    """The datasets that match all parameters but `q`, by name."""
    conditions = [_condition(request, name) for name in dict.fromkeys(request.query_params)]
    return [dataset for dataset in findable(request) if all(meets(dataset) for meets in conditions)]


def autocomplete(request: Request) -> Response:
    """GET /api/catalog/v1/autocomplete: titles that have all the words of `q`, of which the last may be a beginning."""
    started = time.perf_counter()
    typed = list(spelled(request.query_params.get("q", "")))[:MOST_WORDS]
    offset, limit = whole(request, "offset", 0), whole(request, "limit", MOST_COMPLETED)
    if limit > 10_000:
        raise _wrong("limit", "at most 10000")
    titles = dict.fromkeys(dataset.name for dataset in _narrowed(request) if _completes(dataset.name, typed))
    results = [{"title": title, "display_title": _highlighted(title, typed)} for title in titles]
    return _answer(results[offset : offset + limit], len(results), started)


def _completes(title: str, typed: list[str]) -> bool:
    words = set(spelled(title))
    *whole_words, last = typed or [""]
    return words.issuperset(whole_words) and any(word.startswith(last) for word in words)


def _highlighted(title: str, typed: list[str]) -> str:
    """The title as HTML, with the words that were typed marked as Socrata marks them."""
    return "".join(
        f'<span class="highlight">{escape(part)}</span>' if _is_typed(part, typed) else escape(part)
        for part in re.split(r"(\W+)", title)
    )


def _is_typed(part: str, typed: list[str]) -> bool:
    return any(word.startswith(last) for word in spelled(part) for last in typed)


def _enough(request: Request, words: int) -> int:
    """How many of the words must match: `min_should_match` as a number or a percentage, by default all."""
    text = request.query_params.get("min_should_match")
    if text is None:
        return words
    if not re.fullmatch(r"\d{1,3}%?", text):
        raise _wrong("min_should_match", "a whole number or a percentage")
    wanted = math.floor(words * int(text[:-1]) / 100) if text.endswith("%") else int(text)
    return max(1, min(words, wanted))


def _wrong(name: str, expected: str) -> SodaError:
    return problem(400, "invalid_parameter", f"{name} must be {expected}", name=name)


def _many(request: Request, name: str) -> set[str]:
    """The values of a parameter that can be repeated or separated by commas, in lower case."""
    values = (part for value in request.query_params.getlist(name) for part in (value, *value.split(",")))
    return {value.strip().lower() for value in values if value.strip()}


def _condition(request: Request, parameter: str) -> Callable[[PortalDataset], bool]:
    """The condition of one parameter; a parameter that Socrata does not have is a custom field."""
    name = parameter.removesuffix("[]")
    if name in _PAGES or _TUNING.fullmatch(name):
        return lambda _: True
    wanted = _many(request, parameter)
    if not wanted:
        return lambda _: True
    if name in _FLAGS:
        if not wanted <= {"true", "false"}:
            raise _wrong(name, "true or false")
        return lambda dataset: _FLAGS[name](dataset) == ("true" in wanted)
    if name == "domains":
        return lambda _: bool(wanted & _domains(request))
    if name in ("for_user", "owner"):
        known = visitor(request) is not None
        return lambda dataset: _owner(dataset, known=known)["id"].lower() in wanted
    if name == "visibility" and not wanted <= _VISIBILITIES:
        raise _wrong("visibility", "open or internal")
    values = _LISTS.get(name)
    return lambda dataset: bool(wanted & (values(dataset) if values else _custom(dataset, name)))


def _kind(dataset: PortalDataset) -> str:
    return "file" if dataset.blob else "dataset"


def _lower(*texts: str) -> set[str]:
    return {text.lower() for text in texts if text}


_LISTS: dict[str, Callable[[PortalDataset], set[str]]] = {
    "ids": lambda dataset: {dataset.id},
    "column_names": lambda dataset: _lower(*(name for each in dataset.columns for name in (each.name, each.field))),
    "names": lambda dataset: _lower(dataset.name),
    "categories": lambda dataset: _lower(dataset.category),
    "tags": lambda dataset: _lower(*dataset.tags),
    "only": lambda dataset: {_kind(dataset), f"{_kind(dataset)}s"},
    "attribution": lambda dataset: _lower(dataset.attribution),
    "license": lambda dataset: _lower(dataset.license_id, name_of(dataset.license_id)),
    "provenance": lambda _: {"official"},
    "visibility": lambda dataset: {"open" if dataset.open else "internal"},
    "audience": lambda dataset: {"public" if dataset.public else "private"},
    "parent_ids": lambda _: set(),
    "derived_from": lambda _: set(),
    "shared_to": lambda _: set(),
}
_FLAGS: dict[str, Callable[[PortalDataset], bool]] = {
    "public": lambda dataset: dataset.public,
    "published": lambda dataset: dataset.published,
    "derived": lambda _: False,
    "explicitly_hidden": lambda _: False,
    "data_json_hidden": lambda _: False,
}


def _custom(dataset: PortalDataset, name: str) -> set[str]:
    return _lower(*(entry["value"] for entry in _domain_metadata(dataset) if entry["key"] == name))


def _domains(request: Request) -> set[str]:
    """The domains of this portal: as configured and as requested, with and without the port."""
    hosts = {urlsplit(base_url(request)).netloc.lower(), request.headers.get("host", "").lower()}
    return hosts | {host.partition(":")[0] for host in hosts}


def _ordered(request: Request, datasets: list[PortalDataset], scores: dict[str, int]) -> list[PortalDataset]:
    """Sort as requested; by default by relevance if there are search words, otherwise by name. Ties: name, then id."""
    if "scroll_id" in request.query_params:
        return sorted(datasets, key=_ORDERS["dataset_id"])
    asked = request.query_params.get("order", "").lower().split()
    words = asked or (["relevance"] if request.query_params.get("q", "").strip() else ["name"])
    if words[0] not in _ORDERS | {"relevance": None} or words[1:] not in ([], ["asc"], ["desc"]):
        raise _wrong("order", f"relevance, {_SAID}, with ASC or DESC")
    settled = sorted(datasets, key=lambda dataset: (dataset.name.lower(), dataset.id))
    if words[0] == "relevance":
        return sorted(settled, key=lambda dataset: scores[dataset.id], reverse=words[1:] != ["asc"])
    return sorted(settled, key=_ORDERS[words[0]], reverse="desc" in words or words == [*_DESCENDING & {words[0]}])


def _after(request: Request, datasets: list[PortalDataset]) -> list[PortalDataset]:
    """The results after the last one of the previous page (`scroll_id`), by id."""
    last = request.query_params.get("scroll_id")
    return datasets if last is None else [dataset for dataset in datasets if dataset.id > last]


def _result(dataset: PortalDataset, base: str, *, known: bool) -> dict[str, Any]:
    """A dataset as a search result, with more details for visitors with an account."""
    stage = {"published": dataset.published, "public": dataset.public} if known else {}
    return {
        "resource": {
            "name": dataset.name,
            "id": dataset.id,
            "resource_name": None,
            "parent_fxf": [],
            "description": dataset.description,
            "attribution": dataset.attribution or None,
            "attribution_link": dataset.attribution_link or None,
            "contact_email": email_of(dataset) or None,
            "type": _kind(dataset),
            "createdAt": iso(dataset.created_at),
            "updatedAt": iso(dataset.changed_at),
            "data_updated_at": iso(dataset.rows_updated_at),
            "metadata_updated_at": iso(dataset.updated_at),
            "publication_date": iso(dataset.published_at) if dataset.published_at else None,
            "columns_name": [column.name for column in dataset.columns],
            "columns_field_name": [column.field for column in dataset.columns],
            "columns_datatype": [column.type_name.replace("_", " ").title() for column in dataset.columns],
            "columns_description": [column.description for column in dataset.columns],
            "columns_format": [{} for _ in dataset.columns],
            "page_views": dict.fromkeys((*_VIEWS, *(f"{name}_log" for name in _VIEWS)), 0),
            "download_count": None,
            "provenance": "official",
            "lens_view_type": "blobby" if dataset.blob else "tabular",
            "lens_display_type": "blob" if dataset.blob else "table",
            "blob_mime_type": dataset.metadata.get("blob", {}).get("mimeType"),
            "hide_from_data_json": False,
            "locked": False,
        },
        "classification": {
            "categories": [],
            "tags": [],
            "domain_category": dataset.category,
            "domain_tags": list(dataset.tags),
            "domain_metadata": _domain_metadata(dataset),
        },
        "metadata": {"domain": urlsplit(base).netloc, "license": name_of(dataset.license_id), **stage},
        "permalink": f"{base}/d/{dataset.id}",
        "link": f"{base}/d/{dataset.id}",
        "owner": _owner(dataset, known=known),
        "creator": _owner(dataset, known=known),
    }


def _owner(dataset: PortalDataset, *, known: bool) -> dict[str, str]:
    """The owner: the account for visitors who have one themselves, the publisher for everyone else."""
    identifier, name = (dataset.owner, dataset.owner) if known else (STAFF, dataset.publisher)
    return {"id": identifier, "display_name": name, "user_type": "interactive"}


def _domain_metadata(dataset: PortalDataset) -> list[dict[str, str]]:
    sets = dataset.metadata.get("custom_fields", {})
    return [
        {"key": f"{group}_{name}".replace(" ", "-"), "value": str(value)}
        for group, members in (sets.items() if isinstance(sets, dict) else ())
        for name, value in (members.items() if isinstance(members, dict) else ())
        if len(str(value)) <= 1000
    ]


_COUNTED: dict[str, Callable[[PortalDataset], Iterable[str]]] = {
    "category": lambda dataset: [dataset.category] if dataset.category else [],
    "tag": lambda dataset: dict.fromkeys(dataset.tags),
}


def counts(request: Request) -> Response:
    """GET /api/catalog/v1/categories, /tags, /domain_categories, /domain_tags: how many datasets have each."""
    started = time.perf_counter()
    name = {"categories": "category", "tags": "tag"}[request.url.path.rpartition("/")[2].removeprefix("domain_")]
    shown = f"domain_{name}" if "/domain_" in request.url.path else name
    results = [{shown: value, "count": count} for value, count in _tally(found(request), _COUNTED[name])]
    return _answer(results, len(results), started)


def _tally(datasets: list[PortalDataset], values: Callable[[PortalDataset], Iterable[str]]) -> list[tuple[str, int]]:
    """Each value with its number of datasets, the most frequent first."""
    tally = Counter(value for dataset in datasets for value in values(dataset))
    return sorted(tally.items(), key=lambda pair: (-pair[1], pair[0]))


def domains(request: Request) -> Response:
    """GET /api/catalog/v1/domains: this portal, and how many datasets it has."""
    started = time.perf_counter()
    size = len(found(request))
    results = [{"domain": urlsplit(base_url(request)).netloc, "count": size}] if size else []
    return _answer(results, len(results), started)


def facets(request: Request) -> Response:
    """GET /api/catalog/v1/domains/{domain}/facets: types, categories, tags, and custom fields with their values."""
    if request.path_params["domain"].lower() not in _domains(request):
        raise problem(404, "not_found", "This portal does not have that domain")
    datasets = found(request)
    keys = dict.fromkeys(entry["key"] for dataset in datasets for entry in _domain_metadata(dataset))
    named = {"datatypes": lambda _: ["dataset"], "categories": _COUNTED["category"], "tags": _COUNTED["tag"]}
    listed = [_facet(name, _tally(datasets, values)) for name, values in named.items()]
    custom = [_facet(key, _tally(datasets, partial(_values, key))) for key in keys]
    return JSONResponse([facet for facet in (*listed, *custom) if facet["values"]])


def _values(key: str, dataset: PortalDataset) -> list[str]:
    return [entry["value"] for entry in _domain_metadata(dataset) if entry["key"] == key]


def _facet(name: str, tally: list[tuple[str, int]]) -> dict[str, Any]:
    values = [{"value": value, "count": count} for value, count in tally]
    return {"facet": name, "count": sum(count for _, count in tally), "values": values}


ROUTES = [
    Route("/api/catalog/v1", search),
    Route("/api/catalog/v1.json", search),
    Route("/api/catalog/v1/autocomplete", autocomplete),
    Route("/api/catalog/v1/categories", counts),
    Route("/api/catalog/v1/tags", counts),
    Route("/api/catalog/v1/domain_categories", counts),
    Route("/api/catalog/v1/domain_tags", counts),
    Route("/api/catalog/v1/domains", domains),
    Route("/api/catalog/v1/domains/{domain}/facets", facets),
]
