"""Cases are whole or not there, and their clocks go by days or business days."""

from __future__ import annotations

import stat
from datetime import date
from typing import TYPE_CHECKING

import pytest

from publisher.cases.case import Case, CaseStep
from publisher.cases.register import CaseRegister
from publisher.definitions.clock import OWN_RULE, AnswerClock
from publisher.errors import DefinitionError, SourceError

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2026, 11, 16)
OPENED = CaseStep(what="opened", day=DAY, due=date(2026, 12, 1))


def case(number: str = "2026-001") -> Case:
    return Case(number=number, kind="summary", received=DAY, clock=OWN_RULE["summary"], to="A. Person", steps=(OPENED,))


@pytest.mark.parametrize(
    ("clock", "holidays", "due"),
    [
        (AnswerClock(days=30), "US", "2026-12-16"),
        (AnswerClock(days=10, business=True), "US", "2026-12-01"),  # Thanksgiving is none
        (AnswerClock(days=10, business=True), "US-MN", "2026-12-01"),
        (AnswerClock(days=10, business=True), "DE", "2026-11-30"),
        (AnswerClock(days=1, business=True), "US", "2026-11-17"),
    ],
)
def test_a_clock_ends_on_its_day(clock: AnswerClock, holidays: str, due: str) -> None:
    """Days are counted from the day after the letter came; weekends and public holidays are no business days."""
    assert clock.due(DAY, holidays).isoformat() == due


def test_numbers_go_by_the_year_of_the_letter(tmp_path: Path) -> None:
    """The first of a year is 001; the number of a case that was deleted is not given again, even the last one."""
    register = CaseRegister(tmp_path / "cases")
    assert register.next_number(DAY, []) == "2026-001"
    assert register.next_number(DAY, ["2026-007", "2025-099", ""]) == "2026-008"
    for number in ("2026-001", "2026-002", "2025-009"):
        register.write(case(number), {})
    assert register.next_number(DAY, []) == "2026-003"
    register.delete(case("2026-002"))
    assert register.next_number(DAY, []) == "2026-003"
    assert [each.number for each in register.cases()] == ["2025-009", "2026-001"]


def test_a_case_is_read_as_it_was_written(tmp_path: Path) -> None:
    """With every step, and only its owner can read it and its letters."""
    register = CaseRegister(tmp_path / "cases")
    register.write(case(), {"1-received-summary.txt": b"Dear A. Person"})
    assert register.case("2026-001") == case()
    for path in (tmp_path / "cases").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_step_that_was_interrupted_is_not_there(tmp_path: Path) -> None:
    """A letter without its step, and a folder without its case, are no case; only the number is used up."""
    register = CaseRegister(tmp_path / "cases")
    register.write(case(), {})
    (tmp_path / "cases" / "2026-001" / "2-delay.txt").write_text("half of a l")
    (tmp_path / "cases" / "2026-002").mkdir()
    assert register.cases() == [case()]
    assert register.next_number(DAY, []) == "2026-003"


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    """A damaged file by its path, without what is in it; an unknown number with those that are open."""
    register = CaseRegister(tmp_path / "cases")
    register.write(case(), {})
    for number in ("2026-009", "../2026-001", ""):
        with pytest.raises(DefinitionError, match="open: 2026-001"):
            register.case(number)
    register.path(case(), "case.json").write_text('{"to": "A. Person"')
    with pytest.raises(SourceError, match="is damaged") as caught:
        register.cases()
    assert "Person" not in str(caught.value)
