"""The pages that explain how the numbers are made and what this portal is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from publisher.portal.answers.access import findable
from publisher.portal.contract import Odds
from publisher.portal.discovery.families import families
from publisher.portal.pages.once import once
from publisher.portal.pages.reliability import chances
from publisher.portal.pages.rendering import in_every_language, render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

BELL = "M0 100C60 100 80 96 110 70S150 4 180 4s40 32 70 66s50 30 110 30Z"
"""The outline of a bell, 360 wide and 100 high."""


def methods(request: Request) -> Response:
    """GET /methods."""
    spoken = [(each.main, each.main.about.odds) for each in families(findable(request)) if each.main.about.odds]
    entry, odds = spoken[0] if spoken else (None, Odds(unit="", period="", after=0.59, loss=""))
    return render(request, "methods.html", bell=BELL, entry=entry, odds=odds, chances=chances(odds))


def about(request: Request) -> Response:
    """GET /about."""
    everything = families(findable(request))
    contacts = sorted({each.main.about.contact for each in everything if each.main.about.contact})
    return render(request, "about.html", contacts=contacts)


ROUTES = in_every_language([Route("/methods", once(methods)), Route("/about", once(about))])
