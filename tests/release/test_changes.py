"""What a release changes for readers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from release_examples import contents, drawn, workspace

from publisher.release.changes import changes, most_withheld, withheld_by_place
from publisher.release.store import ReleaseStore

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.release.manifest import Release


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Release]:
    """Releases of two weeks, in the second of which every cell counts ten more."""
    dataset = workspace(tmp_path).dataset("weekly")
    store = ReleaseStore(tmp_path / "public", tmp_path / "private")
    return {
        period: store.write(*contents(dataset, drawn(dataset, period, start), period=period))
        for period, start in (("2018-W01", 0), ("2018-W02", 10))
    }


def test_a_change_is_told_in_margins_of_the_difference(made: dict[str, Release]) -> None:
    """Two numbers of ±2 differ by 10: that is 10 / √(2² + 2²) margins. Of every table, the largest change is told
    first; a number that one of them withholds has none, nor has one that is the same."""
    found = changes(made["2018-W01"], made["2018-W02"])
    finest = [each for each in found if (each.table, each.measure) == ("weekly", "Requests")]
    assert {each.now - each.before for each in finest} == {10}
    assert {round(each.margins, 9) for each in finest} == {round(10 / math.hypot(2, 2), 9)}
    assert {each.cell for each in finest} == {"2018-W02, 4", "2018-W02, Unknown"}  # 0 to 2 were withheld, 3 is cut at 1
    assert {each.table for each in found} == {"weekly", "weekly-city", "weekly-districts"}
    assert [each.margins for each in found] == sorted((each.margins for each in found), reverse=True)
    assert found[0].table == "weekly-city"
    assert changes(made["2018-W01"], made["2018-W01"]) == []


def test_what_is_withheld_is_told_by_place(made: dict[str, Release]) -> None:
    """Each table by its places, with what the release before withheld of them."""
    found = {(each.table, each.place): each for each in withheld_by_place(made["2018-W02"], made["2018-W01"])}
    assert {place: (each.withheld, each.before) for (table, place), each in found.items() if table == "weekly"} == {
        "1": (2, 0),
        "2": (2, 0),
        "3": (2, 0),
        "4": (0, 0),
        "Unknown": (0, 0),
    }
    assert found["weekly-city", ""].withheld == 0
    assert {each.before for each in withheld_by_place(None, made["2018-W01"])} == {None}
    assert (most_withheld(made["2018-W01"]), most_withheld(made["2018-W02"])) == (0.6, 0.0)
