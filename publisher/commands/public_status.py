"""`publisher status --public`: what everyone is told of each dataset's schedule, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.commands.terminal import print_table, say
from publisher.pipeline.schedules import schedule_of, told_schedule
from publisher.pipeline.session import opened
from publisher.portal.contract import REASONS, STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.portal.contract import PeriodFacts, ScheduleFacts
    from publisher.workspace import DatasetFile, Workspace

SHOWN = 12
"""So many periods of each dataset are shown, and earlier ones that are not released."""

HEADINGS = ("period", "due", "state", "since", "why")


def schedules_of(workspace: Workspace, datasets: Sequence[DatasetFile]) -> list[ScheduleFacts]:
    """What the public files say, by today's calendar. Where a dataset has none, it is what the next run would write.
    Raises BudgetError and SourceError when that cannot be told."""
    told = {each.name: told_schedule(workspace.public, each.name) or _untold(workspace, each) for each in datasets}
    return [told[each.name].at(each.source.now()) for each in datasets]


def _untold(workspace: Workspace, dataset: DatasetFile) -> ScheduleFacts:
    """From the definition alone if nothing was ever released, and else from releases too."""
    if not workspace.private.is_dir():
        return schedule_of(workspace, None, dataset)
    with opened(workspace) as catalog:
        return schedule_of(workspace, catalog, dataset)


def print_schedules(found: Sequence[ScheduleFacts]) -> None:
    """A table for each dataset, the latest period first."""
    for number, each in enumerate(found):
        if number:
            say()
        say(f"{each.dataset}: {each.when or 'due as soon as a period has ended'} ({each.timezone} time).{_next(each)}")
        was_due = each.was_due
        earlier = was_due[SHOWN:]
        rows = [*was_due[:SHOWN], *(period for period in earlier if period.state != "released")]
        if rows:
            print_table("", HEADINGS, [_row(period) for period in rows])
        released = sum(period.state == "released" for period in earlier)
        if released:
            say(f"Earlier: {released:,} released. --json has them all.")


def _next(found: ScheduleFacts) -> str:
    return f" Next: {found.next}." if found.next is not None else " No other is scheduled."


def _row(period: PeriodFacts) -> tuple[str, ...]:
    edition = f", edition {period.edition}" if period.edition > 1 or (period.edition and period.reason) else ""
    since = period.since.isoformat() if period.since is not None else "-"
    return (
        period.period,
        period.due.isoformat(),
        f"{STATES[period.state]}{edition}",
        since,
        REASONS.get(period.reason, ""),
    )
