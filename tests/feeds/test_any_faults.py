"""Faults and changes at random: after a fetch that nothing disturbs, no record is lost or doubled."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from publisher.errors import SourceError
from publisher.feeds import fetch

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetched_cities import FetchedCity

FAULTS = ("429", "500", "cut", "half", "other")


@pytest.mark.parametrize("kind", ["Socrata", "Open311", "SeeClickFix"])
def test_no_mixture_of_faults_loses_or_doubles_a_record(
    kind: str, city_of: Callable[[str], FetchedCity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three fetches with faults at every eighth request and changes at every fourth, in deliveries of few rows, some of
    them interrupted for good; then one without."""
    chance = random.Random(4)
    monkeypatch.setattr(fetch, "STEP", 2)
    monkeypatch.setattr("publisher.feeds.web._FIRST_PAUSE", 0.01)
    city = city_of(kind)
    if kind == "Open311":
        city.records.most = 3
        city.town.edit("page_size = 2", "page_size = 1000")

    def change() -> None:
        number, status = chance.randrange(18), chance.choice(["open", "closed"])
        if kind == "Socrata":
            values = {"id": str(number), "day": "2026-01-05", "status": status}
            city.records.put(str(number), at=datetime.now(UTC), **values)
        else:
            city.put(number, status)

    for _ in range(3):
        done = len(city.server.asked)
        numbers = range(done + 1, done + 60)
        city.server.faults = {number: chance.choice(FAULTS) for number in numbers if chance.random() < 1 / 8}
        city.server.before = {number: change for number in numbers if chance.random() < 1 / 4}
        with suppress(SourceError):
            city.town.land()
    city.server.faults, city.server.before = {}, {}
    city.town.land()
    assert len(city.expected) > 6
    assert city.lost_and_twice() == (0, 0)
