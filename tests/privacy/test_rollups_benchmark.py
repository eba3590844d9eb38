"""The benchmark's own claims on fewer releases: rollups are more accurate at the same loss, their margins honest."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import publisher

if TYPE_CHECKING:
    from types import ModuleType

RELEASES = 2_000


@pytest.fixture(scope="module")
def rollups() -> ModuleType:
    """The benchmark of rollups."""
    path = Path(publisher.__file__).parent.parent / "benchmarks" / "rollups.py"
    spec = importlib.util.spec_from_file_location("rollups", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rollups"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("currency", [0, 1])
def test_rollups_are_more_accurate_and_their_margins_honest(rollups: ModuleType, currency: int) -> None:
    """At the same loss every level is more accurate than its own measurement, and the city more than the finest table
    summed; margins of every measure, level and density cover 94.5 % (less six standard errors of so few releases) and
    are at most 1.1 times the exact quantile wide. Sound rollups fail less than once in ten million runs; rollups that
    are not reconciled, and margins a tenth too narrow, are found."""
    loss = rollups.LOSSES[currency]
    found = rollups.tally(loss, RELEASES)
    accuracies = rollups.accuracies(found, loss, RELEASES)
    assert [each.level for each in accuracies] == ["city", "district", "finest"]
    assert all(each.reconciled < each.independent for each in accuracies)
    assert accuracies[0].reconciled < accuracies[0].summed
    rows = list(rollups.honesties(found))
    assert {(row.level, row.cells) for row in rows} >= {("city", "dense"), ("finest", "sparse"), ("finest", "dense")}
    assert {row.measure for row in rows} == {"requests", "paid", "mean_paid", "median_wait"}
    for row in rows:
        # Cells of one release share noise, so releases are what is counted.
        assert row.coverage >= rollups.COVERED - 6 * math.sqrt(0.95 * 0.05 / RELEASES), row
        assert row.width is None or row.width <= rollups.WIDEST, row
    assert sum(row.width is not None for row in rows) == 6


def test_the_calendar_split_on_real_noise(rollups: ModuleType) -> None:
    """Days, months and the year at 70/20/10: the year's total is about 6.6 times as accurate as its days summed at the
    same loss, and a day pays about 18 %. It fails a sound split less than once in ten million runs (the gain is within
    six standard errors), and finds a split that is not reconciled, which gains nothing."""
    gain, price = rollups.calendar(RELEASES)
    assert gain == pytest.approx(6.6, rel=6 / math.sqrt(RELEASES))
    assert price == pytest.approx(0.18, abs=0.02)
