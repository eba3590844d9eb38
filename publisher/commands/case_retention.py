"""Closed cases whose retention is over: `publisher purge` deletes them with their letters."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from publisher.commands.case_steps import delete_case
from publisher.commands.cases import register_of, today_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from publisher.cases.case import Case
    from publisher.workspace import Workspace


def due_cases(workspace: Workspace) -> list[Case]:
    """The closed cases that are kept beyond their retention; none under a legal hold on any source, since letters may
    be about all of them. Raises SourceError."""
    settings, today = workspace.settings.cases, today_of(workspace)
    if settings is None or settings.retention_months is None:
        return []
    if any(hold.holds(today) for source in workspace.sources.values() for hold in source.definition.hold):
        return []
    last = months_before(today, settings.retention_months)
    return [each for each in register_of(workspace).cases() if each.state == "closed" and each.steps[-1].day < last]


def planned_cases(workspace: Workspace) -> Iterator[str]:
    """What a purge would delete."""
    for case in due_cases(workspace):
        yield f"case {case.number}: closed on {case.steps[-1].day}, is due to be deleted with its letters."


def purge_cases(workspace: Workspace, agree: Callable[[str], None]) -> Iterator[str]:
    """Delete them; `agree` asks a person and raises if they do not want to go on. The journal tells of each."""
    due = due_cases(workspace)
    if due:
        agree(f"{', '.join(f'case {each.number}' for each in due)}: closed, beyond retention: deleted with letters.")
    for case in due:
        yield from delete_case(workspace, case.number)


def months_before(day: date, months: int) -> date:
    """The same day of an earlier month, or its last one.

    >>> months_before(date(2026, 3, 31), 13)
    datetime.date(2025, 2, 28)
    """
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    for last in range(day.day, 27, -1):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    return date(year, month + 1, day.day)
