"""The data inventory: each source of the datasets, column by column, as a page, CSV, and JSON."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.portal.answers.access import base_url, findable
from publisher.portal.discovery.families import families
from publisher.portal.pages.dataset import schedule_of
from publisher.portal.pages.once import once
from publisher.portal.pages.rendering import in_every_language, render

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.contract import ScheduleFacts, SourceFacts
    from publisher.portal.discovery.families import Family

FIELDS = (
    "source", "source_title", "purpose", "unit", "window", "retention", "minors",
    "column", "description", "classification", "authority", "read", "identifier", "datasets", "schedules",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Collection:
    """A source and the datasets published from it."""

    source: SourceFacts
    families: tuple[Family, ...]

    @property
    def read(self) -> int:
        """How many of its columns are read."""
        return sum(column.read for column in self.source.columns)

    @property
    def schedules(self) -> tuple[ScheduleFacts, ...]:
        """When its datasets come out, by the calendar of this moment."""
        return tuple(found for family in self.families if (found := schedule_of(family)) is not None)

    @property
    def withheld(self) -> int:
        """How many of its columns are not public."""
        return sum(column.classification != "public" for column in self.source.columns)


def collections(request: Request) -> list[Collection]:
    """The sources of all datasets that the visitor may read, sorted by title."""
    found: dict[str, tuple[SourceFacts, list[Family]]] = {}
    for family in families(findable(request)):
        for source in {e.about.source.name: e.about.source for e in family.members if e.about.source}.values():
            found.setdefault(source.name, (source, []))[1].append(family)
    made = [Collection(source, tuple(theirs)) for source, theirs in found.values()]
    return sorted(made, key=lambda each: each.source.title.lower())


def page(request: Request) -> Response:
    """GET /inventory."""
    return render(request, "inventory.html", collections=collections(request))


def as_json(request: Request) -> Response:
    """GET /inventory.json: the sources with their columns and the addresses of their datasets."""
    return JSONResponse({"sources": [_plain(request, each) for each in collections(request)]}, headers=_HEADERS)


def as_csv(request: Request) -> Response:
    """GET /inventory.csv: one line per column of each source."""
    text = StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    for each in collections(request):
        writer.writerows(_lines(request, each))
    disposition = {"Content-Disposition": 'attachment; filename="inventory.csv"'}
    return Response(text.getvalue(), media_type="text/csv", headers=_HEADERS | disposition)


_HEADERS = {"Cache-Control": "no-cache", "Vary": "Authorization"}


def _addresses(request: Request, each: Collection) -> list[str]:
    return [f"{base_url(request)}/d/{family.main.dataset.id}" for family in each.families]


def _plain(request: Request, each: Collection) -> dict[str, Any]:
    schedules = [facts.model_dump(mode="json", exclude={"periods"}) for facts in each.schedules]
    return each.source.model_dump() | {"datasets": _addresses(request, each), "schedules": schedules}


def _lines(request: Request, each: Collection) -> list[dict[str, Any]]:
    source = each.source
    shared = {
        "source": source.name,
        "source_title": source.title,
        "purpose": source.purpose,
        "unit": source.unit,
        "window": source.window,
        "retention": source.retention,
        "minors": source.minors,
        "datasets": " ".join(_addresses(request, each)),
        "schedules": "; ".join(
            f"{facts.dataset}: {facts.when or 'when a period has ended'}" for facts in each.schedules
        ),
    }
    return [
        {name: _cell(value) for name, value in (shared | _column(column.model_dump())).items()}
        for column in source.columns
    ]


def _column(said: dict[str, Any]) -> dict[str, Any]:
    return {"column": said.pop("name"), **said}


def _cell(value: Any) -> str:
    """The value as text that a spreadsheet does not run as a formula."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


ROUTES = [
    *in_every_language([Route("/inventory", once(page))]),
    Route("/inventory.csv", as_csv),
    Route("/inventory.json", as_json),
]
