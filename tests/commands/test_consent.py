"""What a run must not do unasked: redraw released periods, release the future, or release very much at once."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from publisher.commands.terminal import Watch
from publisher.definitions.period import parse
from publisher.pipeline.consent import redraw_of
from publisher.pipeline.job import jobs_of
from publisher.pipeline.session import locked
from publisher.release import identity
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from township import Town


def test_an_edit_never_redraws_unasked(released: Town) -> None:
    """A changed loss is refused with its periods, its cost and the way on: exit code 2, nothing charged or written."""
    before = released.tree("state/public/releases")
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    answer = released.run("water")
    assert (answer.code, answer.rows) == (2, [])
    assert "water: loss (rho or epsilon) changed after 3 period(s) were charged" in answer.err
    assert "2024-01..2024-03 would be drawn and charged again: ρ 0.05 more on each of 3 month block(s)" in answer.err
    assert "publisher run water --redraw 2024-01..2024-03" in answer.err
    assert len(released.charges()) == 6
    assert released.tree("state/public/releases") == before


def test_another_dataset_goes_on(released: Town) -> None:
    """What one dataset was not allowed to do does not stop the others."""
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    answer = released.run()
    assert answer.code == 2
    assert {row["dataset"] for row in answer.rows} == {"requests"}


def test_a_redraw_is_consented_to_by_its_periods(released: Town) -> None:
    """Periods that were not named stay refused; those that were are drawn and charged once, and then stand."""
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    some = released.run("water", "--redraw", "2024-01..2024-02", "--yes")
    assert (some.code, len(released.charges())) == (2, 6)
    assert "2024-03 would be drawn" in some.err
    part = released.run("water", "--redraw", "2024-01..2024-02", "--yes", "--to", "2024-02")
    assert (part.code, released.charges()[6:]) == (0, [("water", "2024-01"), ("water", "2024-02")])
    assert released.redraw("water").code == 0
    assert released.run("water").code == 0
    assert len(released.charges()) == 9


def test_the_guarantee_of_a_redraw_counts_both_draws(released: Town) -> None:
    """Both losses and the tables of definitions that are gone; a dataset that was not edited says nothing of it."""
    once = released.guarantee("water", "2024-01", 1)
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    assert released.redraw("water").code == 0
    again = released.guarantee("water", "2024-01", 2)
    assert "earlier" not in once
    assert (again["loss"]["amount"], again["earlier"]["amount"]) == ("1/20", "1/10")
    own = {each["of"]: each for each in again["windows"] if each["count"] == 1}
    assert own["release"]["loss"] == own["dataset"]["loss"] == "3/20"
    assert Fraction(again["budget"]["spent"]) >= Fraction(3, 20)
    assert "earlier" not in released.guarantee("requests", "2024-01", 1)


def test_a_redraw_needs_a_word_off_the_terminal(released: Town) -> None:
    """--redraw alone asks; where no one can be asked, --yes is the answer."""
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    answer = released.run("water", "--redraw", "2024-01..2024-03")
    assert (answer.code, len(released.charges())) == (2, 6)
    assert "run again with --yes" in answer.err


def test_a_draw_that_crashed_counts(town: Town) -> None:
    """A charge whose release never appeared may have been drawn: only its own definition resumes it, an edit asks."""
    workspace = find_workspace(town.root)
    with locked(workspace) as catalog:
        (job,) = jobs_of(workspace, catalog, workspace.dataset("water"), [parse("2024-01")])
        catalog.ledger.charge(job.request)
    town.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    answer = town.run("water", "--period", "2024-01")
    assert (answer.code, len(town.charges())) == (2, 1)
    assert "2024-01 would be drawn and charged again" in answer.err
    town.edit("datasets/water.toml", "rho = 0.05", "rho = 0.1")
    assert town.run("water", "--period", "2024-01").code == 0
    assert len(town.charges()) == 1


def test_the_plan_says_what_an_edit_does(released: Town) -> None:
    """Before anything is run, `plan` names what would be charged again and what is free."""
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    released.edit("datasets/requests.toml", "threshold = 5", "threshold = 6")
    answer = released.publisher("plan")
    assert "2024-01..2024-03 would be drawn and charged again" in answer.out.replace("\n", "")
    assert "At no cost: 2024-01..2024-03 would get a new edition from the same draw" in answer.out


def test_releases_graded_by_other_limits_are_graded_again_for_free(
    released: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was released with other limits gets a new edition of the same draw; nothing is drawn or charged again."""
    workspace = find_workspace(released.root)
    with locked(workspace) as catalog:
        periods = [parse(f"2024-0{month}") for month in (1, 2, 3)]
        assert redraw_of(jobs_of(workspace, catalog, workspace.dataset("water"), periods)) is None
        monkeypatch.setattr(identity, "LIMITS", (50,))
        found = redraw_of(jobs_of(workspace, catalog, workspace.dataset("water"), periods))
    assert found is not None
    assert (found.periods, found.refinished) == ((), tuple(periods))


def test_an_edit_that_was_undone_is_free(released: Town) -> None:
    """The definition as it was asks for the draws that stand."""
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    assert released.run("water").code == 2
    released.edit("datasets/water.toml", "rho = 0.05", "rho = 0.1")
    assert released.run("water").code == 0
    assert len(released.charges()) == 6


def test_many_periods_at_once_need_a_word(town: Town) -> None:
    """More than `most_periods` are not released by a mistake in `first`, in the clock or in the call."""
    town.edit("publisher.toml", "[engine]", "most_periods = 2\n\n[engine]")
    answer = town.run("water")
    assert (answer.code, town.charges()) == (2, [])
    assert "water: 3 periods (2024-01..2024-03) would be released and charged at once" in answer.err
    assert town.run("water", "--yes").code == 0
    assert len(town.charges()) == 3


def test_a_clock_ahead_spends_nothing(town: Town) -> None:
    """Periods that ended after the newest raw file arrived are not released: their records cannot have come."""
    for path in town.data.rglob("*.csv"):
        os.utime(path, (1_708_000_000, 1_708_000_000))  # 15 February 2024
    answer = town.run("water")
    assert (answer.code, town.charges()) == (2, [])
    assert "water: 2024-02..2024-03 ended after the newest raw file arrived (2024-02-15)" in answer.err
    assert town.run("water", "--to", "2024-01").code == 0


def test_the_ledger_and_the_definition_are_compared_early(released: Town) -> None:
    """Where the ledger was begun under other terms, `check` says so before a run does, with exit code 4."""
    released.edit("pipelines/meters.toml", 'timezone = "', 'timezone = "Pacific/Auckland" # "')
    answer = released.publisher("check")
    assert answer.code == 4
    assert "its first charge has" in answer.err


@pytest.mark.parametrize(("yes", "agreed"), [(True, True), (False, False)])
def test_silence_is_no_agreement(yes: bool, agreed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off a terminal only what was said beforehand counts."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert Watch(None, yes=yes).agree("Spend it all?") is agreed
