"""`publisher cases`: the register of contested numbers and requests, and what of it needs a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from publisher.cases.register import CaseRegister
from publisher.commands.standing import Matter, counted, day_words
from publisher.errors import HeldError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.cases.case import Case, CaseStep
    from publisher.workspace import Workspace

HEADINGS = ("case", "about", "came", "state", "answer due")
WHAT = {"accuracy": "a contested number", "summary": "a request for summary data"}


@dataclass(frozen=True)
class CaseRow:
    """A case as it stands; the fields of `publisher cases --json`."""

    number: str
    kind: str
    about: str
    """Names of datasets and periods."""
    received: str
    state: str
    due: str | None
    """The last day to answer; None if nothing is due."""
    days_left: int | None
    rule: str
    """The law, or the own rule, that sets the clock."""
    steps: list[dict[str, Any]]
    """What was done, with what the office wrote and the files of its letters."""

    def row(self, today: date) -> tuple[str, ...]:
        """The row of the table, by HEADINGS."""
        if self.due is None or self.days_left is None:
            due = "-"
        elif self.days_left < 0:
            due = f"{day_words(date.fromisoformat(self.due), today)}: {counted(-self.days_left, 'day')} OVERDUE"
        else:
            due = f"{day_words(date.fromisoformat(self.due), today)}: {counted(self.days_left, 'day')} left"
        came = day_words(date.fromisoformat(self.received), today)
        return (self.number, f"{self.kind} {self.about}".strip(), came, self.state, due)


def register_of(workspace: Workspace) -> CaseRegister:
    """The workspace's register of cases."""
    return CaseRegister(workspace.private / "cases")


def today_of(workspace: Workspace) -> date:
    """Today, on the clock of the source that is furthest ahead: no clock of a case runs out unseen."""
    return max((each.today() for each in workspace.sources.values()), default=datetime.now(UTC).date())


def rows_of(workspace: Workspace, *, every: bool) -> list[CaseRow]:
    """The open cases, or every one, those that are due first before the others. Raises SourceError."""
    today = today_of(workspace)
    cases = [each for each in register_of(workspace).cases() if every or each.state != "closed"]
    return [_row(each, today) for each in sorted(cases, key=lambda each: (each.due or date.max, each.number))]


def _row(case: Case, today: date) -> CaseRow:
    return CaseRow(
        number=case.number,
        kind=case.kind,
        about=case.about,
        received=case.received.isoformat(),
        state=case.state,
        due=case.due.isoformat() if case.due is not None else None,
        days_left=(case.due - today).days if case.due is not None else None,
        rule=rule_words(case),
        steps=[each.model_dump(mode="json", exclude_defaults=True) for each in case.steps],
    )


def rule_words(case: Case) -> str:
    """The law that sets the clock of a case, or that it is the office's own rule."""
    return case.clock.statute or "our own rule"


def lines_of(workspace: Workspace, case: Case) -> Iterator[str]:
    """One case, step by step."""
    yield f"case {case.number}: {WHAT[case.kind]}{f', {case.about}' if case.about else ''}"
    yield f"came {case.received}; to be answered within {case.clock.words} ({rule_words(case)})"
    for step in case.steps:
        yield f"{step.day}  {_step_words(step)}"
        if step.letter is not None:
            yield f"            {workspace.shown(register_of(workspace).path(case, step.letter))}"


def _step_words(step: CaseStep) -> str:
    what = f"{step.what}: {step.outcome}" if step.outcome is not None else step.what
    named = " ".join(filter(None, (step.dataset, step.period)))
    edition = f" edition {step.edition}" if step.edition is not None else ""
    due = f"; an answer is due by {step.due}" if step.due is not None else ""
    return f"{what}{f' {named}' if named else ''}{edition}{due}"


def case_matters(workspace: Workspace) -> Iterator[Matter]:
    """Cases whose answer is due soon or overdue, in words that say nothing of who wrote what. Raises SourceError."""
    settings = workspace.settings.cases
    if settings is None:
        return
    today = today_of(workspace)
    for case in register_of(workspace).cases():
        left = (case.due - today).days if case.due is not None else None
        if case.due is None or left is None or left > settings.warn_days:
            continue
        when = f"{'was to' if left < 0 else 'has to'} be answered by {day_words(case.due, today)}"
        words = f"{WHAT[case.kind]} {when}: `publisher cases show {case.number}` shows it."
        yield Matter(f"case {case.number}", "answer overdue" if left < 0 else "answer due", words, HeldError.exit_code)
