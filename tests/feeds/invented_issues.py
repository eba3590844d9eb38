"""Invented issues of a city, in the layout in which SeeClickFix gives them out, and the server that does."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from feed_servers import FeedServer
from seeclickfix_server import SeeClickFixIssues
from shapely.geometry import Point, shape

if TYPE_CHECKING:
    from pathlib import Path

    from feed_servers import Asked

FIRST, DAYS = datetime(2024, 3, 1, tzinfo=UTC), 61
KINDS = ("Pothole", "Missed garbage pickup", "Street light out", "Graffiti", "Noise")
ISSUES = 1_500


@dataclass
class InventedCity:
    """A city whose issues lie inside its public boundaries, most of them in a few neighborhoods."""

    place: str
    issues: SeeClickFixIssues

    @staticmethod
    def of(place: str, boundaries: Path) -> InventedCity:
        """Invent the issues."""
        chance = random.Random(place)
        features = json.loads(boundaries.read_text())["features"]
        areas = [shape(feature["geometry"]).buffer(0) for feature in features]
        issues = SeeClickFixIssues()
        for number in range(ISSUES):
            area = areas[int(len(areas) * chance.random() ** 3)]
            at = FIRST + timedelta(seconds=chance.randrange(DAYS * 86_400))
            closed = at + timedelta(days=chance.expovariate(0.3)) if chance.random() < 0.8 else None
            x, y = _inside(area, chance)
            issues.put(
                number + 1,
                at,
                changed=closed or at,
                status="Closed" if closed else "Open",
                lat=y,
                lng=x,
                closed_at=closed and closed.strftime("%Y-%m-%dT%H:%M:%SZ"),
                request_type={"id": 7, "title": chance.choice(KINDS), "organization": "Invented"},
            )
        return InventedCity(place, issues)

    def server(self) -> FeedServer:
        """The server, which knows this place alone."""
        return FeedServer(self._answer)

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        here = "town" if asked.query.get("place_url") == self.place else "elsewhere"
        return self.issues._answer(replace(asked, query=asked.query | {"place_url": here}))


def _inside(area: Any, chance: random.Random) -> tuple[float, float]:
    """A point of an area."""
    west, south, east, north = area.bounds
    while True:
        x, y = chance.uniform(west, east), chance.uniform(south, north)
        if area.contains(Point(x, y)):
            return round(x, 6), round(y, 6)
