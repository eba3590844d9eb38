"""When releases come out, and what happened to each period that was due: of one dataset, and of all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import Route

from publisher.portal.answers.access import base_url, findable
from publisher.portal.contract import MEANINGS
from publisher.portal.discovery.families import families, family_of
from publisher.portal.pages.dataset import schedule_of, shown_dataset
from publisher.portal.pages.once import once
from publisher.portal.pages.rendering import in_every_language, missing, render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import PeriodFacts, ScheduleFacts

LISTED = 100
"""Periods per page."""

FEW = 4
"""So many periods of each dataset are on the page of all, and earlier ones that are not released."""


@dataclass(frozen=True, slots=True)
class ShownSchedule:
    """A schedule by the calendar of this moment, and the dataset whose page has more; None if it has no page."""

    facts: ScheduleFacts
    dataset: PortalDataset | None

    @property
    def periods(self) -> list[PeriodFacts]:
        """The last ones that were due, and what is not there of those before."""
        was_due = self.facts.was_due
        earlier = [each for each in was_due[FEW:] if each.state != "released"]
        return [*was_due[:FEW], *earlier[:LISTED]]


def schedules(request: Request) -> list[ShownSchedule]:
    """The schedules of all datasets of which the visitor may know, sorted by title."""
    now = datetime.now(UTC)
    known = families(findable(request))
    own = [(each.main.dataset.owner, each.main.about.schedule, each.main.dataset) for each in known]
    found = {(owner, facts.dataset): ShownSchedule(facts.at(now), dataset) for owner, facts, dataset in own if facts}
    for each in known:
        for facts in each.main.about.unpublished:
            found.setdefault((each.main.dataset.owner, facts.dataset), ShownSchedule(facts.at(now), None))
    return sorted(found.values(), key=lambda each: each.facts.title.lower())


def page(request: Request) -> Response:
    """GET /schedule: the schedules of all datasets."""
    return render(request, "schedule.html", schedules=schedules(request), meanings=MEANINGS)


def as_json(request: Request) -> Response:
    """GET /schedule.json: the same, with all periods."""
    base = base_url(request)
    found = [
        each.facts.model_dump(mode="json") | {"page": f"{base}/d/{each.dataset.id}" if each.dataset else None}
        for each in schedules(request)
    ]
    return JSONResponse({"datasets": found}, headers={"Cache-Control": "no-cache", "Vary": "Authorization"})


def periods(request: Request) -> Response:
    """GET /d/{4x4}/schedule: all periods of one dataset, the latest first."""
    dataset = shown_dataset(request)
    facts = schedule_of(family_of(dataset, findable(request))) if dataset is not None else None
    if dataset is None or facts is None:
        return missing(request)
    text = request.query_params.get("page", "0")
    number = int(text) if text.isdecimal() and len(text) < 6 else 0
    return render(
        request,
        "periods.html",
        dataset=dataset,
        schedule=facts,
        meanings=MEANINGS,
        periods=facts.periods[number * LISTED : (number + 1) * LISTED],
        earlier=number - 1 if number else None,
        later=number + 1 if (number + 1) * LISTED < len(facts.periods) else None,
    )


ROUTES = [
    *in_every_language([Route("/schedule", once(page)), Route("/d/{id}/schedule", once(periods))]),
    Route("/schedule.json", as_json),
]
