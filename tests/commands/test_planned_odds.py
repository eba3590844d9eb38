"""What `publisher plan` and `publisher check` say of the odds is what the guarantees state."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from publisher.release.odds import guess_bound, up
from publisher.release.sentences import percent

if TYPE_CHECKING:
    from township import Town


def planned(town: Town) -> dict[str, dict[str, Any]]:
    """The odds of each dataset by `publisher plan --json`."""
    answer = town.publisher("plan", "--json")
    assert answer.code == 0, answer.err
    return {row["dataset"]: row["odds"] for row in json.loads(answer.out)}


def stated(says: dict[str, Any], units: int) -> dict[str, Any]:
    """The same numbers by a guarantee."""
    one = {each["of"]: each["guess_at_most"] for each in says["windows"] if each["count"] == 1}
    household = {each["of"]: each["guess_at_most"] for each in says["household"] if each["count"] == units}
    return {
        "dataset": one["dataset"],
        "household_units": units,
        "household": household["dataset"],
        "source": one["budget"],
    }


def test_the_plan_says_what_the_guarantee_states(released: Town) -> None:
    """Before and after the releases, for records and for accounts."""
    found = planned(released)
    assert found["requests"] == stated(released.guarantee("requests", "2024-01", 1), 5)
    assert found["water"] == stated(released.guarantee("water", "2024-01", 1), 2)


def test_no_ledger_is_needed(town: Town) -> None:
    """Definitions alone give the odds that hold after the releases."""
    before = planned(town)
    assert town.run().code == 0
    assert planned(town) == before


def test_a_redefinition_counts_what_was_drawn(released: Town) -> None:
    """Where an earlier definition has spent more, its tables are not known; where both did, both losses count."""
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    assert planned(released)["water"]["dataset"] == float(up(guess_bound(Fraction(1, 10), "zcdp")))
    assert released.redraw("water").code == 0
    assert planned(released)["water"]["dataset"] == float(up(guess_bound(Fraction(3, 20), "zcdp")))
    assert planned(released)["water"] == stated(released.guarantee("water", "2024-01", 2), 2)


@pytest.mark.parametrize("command", ["plan", "check"])
def test_both_commands_say_it_in_words(town: Town, command: str) -> None:
    """One sentence for each dataset: the dataset, the source, the household."""
    answer = town.publisher(command)
    words = " ".join(answer.out.split())
    odds = planned(town)["requests"]["dataset"]
    assert f"one record is in the data is right at most {percent(up(odds))} of the time after reading this" in words
    assert "(a coin: 50%)" in words
    assert words.count("after everything that this source may release. For a household with") == 2
