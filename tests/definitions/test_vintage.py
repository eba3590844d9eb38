"""Vintages: which editions are scheduled and due, and which datasets cannot have them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from publisher.definitions import period as civil
from publisher.definitions.source import Late
from publisher.definitions.vintage import Vintage, check_editions, due_vintages, vintages_of
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from small_town import Town

JANUARY = civil.parse("2018-01")
INCREMENT = Late(policy="increment", after_days=(5, 35, 65))


def test_vintages_follow_from_policy_and_period_alone() -> None:
    """Each has a cutoff so many days after the period's end; only the last is final."""
    vintages = vintages_of(INCREMENT, JANUARY)
    assert [vintage.cutoff for vintage in vintages] == [date(2018, 2, 6), date(2018, 3, 8), date(2018, 4, 7)]
    assert [vintage.final for vintage in vintages] == [False, False, True]


def test_an_edition_is_due_on_its_cutoff_day() -> None:
    """All that are due where editions add up; the latest alone where each spends again; one that is none without a
    policy."""
    cutoffs = vintages_of(INCREMENT, JANUARY)[0].cutoffs
    numbered = [Vintage(number, cutoffs) for number in (1, 2, 3)]
    charge = INCREMENT.model_copy(update={"policy": "charge"})
    for day, adding, again in (
        (date(2018, 2, 5), [], []),
        (date(2018, 2, 6), numbered[:1], numbered[:1]),
        (date(2018, 4, 6), numbered[:2], numbered[1:2]),
        (date(2030, 1, 1), numbered, numbered[2:]),
    ):
        assert due_vintages(INCREMENT, JANUARY, day) == tuple(adding)
        assert due_vintages(charge, JANUARY, day) == tuple(again)
    assert due_vintages(None, JANUARY, date(2018, 1, 1)) == (None,)


def _late(town: Town, policy: str = "increment", **source: Any) -> Town:
    late = {"policy": policy, "after_days": (0,) if policy == "freeze" else (5, 35)}
    return replace(town, source=town.source | {"late": late} | source)


def _check(town: Town) -> None:
    dataset = town.dataset_file()
    check_editions(dataset.definition, dataset.source.definition, dataset.origin)


@pytest.mark.parametrize("policy", ["freeze", "increment", "charge"])
def test_records_are_kept_until_the_last_edition(town: Town, policy: str) -> None:
    """A retention that would let them go before is refused."""
    needed = {"freeze": 2, "increment": 3, "charge": 3}[policy]
    _check(_late(town, policy, retention_months=needed))
    with pytest.raises(DefinitionError, match="retention_months"):
        _check(_late(town, policy, retention_months=needed - 1))


def test_no_growing_list_of_addresses_moves_people(town: Town) -> None:
    """Between editions that add up it would take a person's records to other cells; single records count but once."""
    address = {"x": "x", "y": "y", "path": "addresses.csv", "address": "address", "source": "Example County, CC0"}
    where = {
        "address": {"column": "place", "list": address},
        "boundaries": {"path": "b.geojson", "key": "name", "source": "Example City, CC0"},
    }
    _check(_late(town, places={"area": where}))
    _check(_late(town.people(), "charge", places={"area": where}))
    with pytest.raises(DefinitionError, match="list of addresses"):
        _check(_late(town.people(), places={"area": where}))
