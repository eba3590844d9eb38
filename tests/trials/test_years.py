"""Fifty months of releases: a budget that ends, one that never does, and what the ledger says of both."""

from __future__ import annotations

import importlib.util
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import publisher

if TYPE_CHECKING:
    from types import ModuleType

MONTHS, PAID = 50, 45
"""Months that are simulated, and those that a lifetime's budget of 4.5 pays for at 0.1 each."""


@pytest.fixture(scope="module")
def years() -> ModuleType:
    """The benchmark, whose towns these are."""
    path = Path(publisher.__file__).parent.parent / "benchmarks" / "budgets.py"
    spec = importlib.util.spec_from_file_location("budgets", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["budgets"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.evidence("fifty months of two towns: a budget ends when the ledger says")
def test_fifty_months(years: ModuleType, tmp_path: Path) -> None:
    """The lifetime's budget is foretold to end with the 46th release and does, to the last tenth; a month's never."""
    workspace = years.settle(tmp_path)
    months = list(years.months(MONTHS))
    end = months[PAID].label

    first = years.live(workspace, months[0])
    assert visits(first) == ("0.1", "4.4", {"visits": PAID - 1}, {"visits": end})
    assert first.statuses == {"calls": "ready", "visits": "ready"}

    last_paid = years.live(workspace, *months[1:PAID])
    assert visits(last_paid) == ("4.5", "0", {"visits": 0}, {"visits": end})
    assert (last_paid.exit_code, last_paid.refused) == (0, ())

    refused = years.live(workspace, months[PAID])
    assert refused.statuses == {"calls": "ready", "visits": "refused"}
    assert refused.exit_code == 4
    assert len(refused.refused) == 1
    assert f"visits {end}: needs 0.1" in refused.refused[0]
    assert "has 0 left of 4.5" in refused.refused[0]
    assert "This source has one block for all time" in refused.refused[0]

    after = years.live(workspace, *months[PAID + 1 :])
    assert after.statuses == {"calls": "ready", "visits": "refused"}
    calls = next(account for account in after.accounts if account.source == "calls")
    assert (calls.block, calls.blocks) == (f"{months[0].label} … {months[-1].label}", MONTHS)
    assert (calls.spent, calls.left, calls.runs_out) == ("0.1", "0", {})
    assert "each month has its own budget" in calls.runway
    assert visits(after)[:2] == ("4.5", "0")

    spent = years.spending(workspace)
    assert sum(each.spent for each in spent if each.source == "visits") == Fraction(9, 2)
    assert "W = 50 months, a cell spanning s = 1, bears W·s·ρ = 5" in years.lifetime_words("calls", spent)
    assert years.verified(workspace).startswith("checks passed")


def visits(month: Any) -> tuple[str, str, dict[str, int], dict[str, str]]:
    """Of the source whose budget ends: spent, left, how many more releases, and which is the first refused."""
    (account,) = (account for account in month.accounts if account.source == "visits")
    assert account.block == "lifetime"
    return account.spent, account.left, account.releases_left, account.runs_out
