"""`publisher status --due`: what a run would release now by the schedules, and what comes out next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.commands.standing import day_words, missing_of, next_release
from publisher.commands.terminal import print_table, say
from publisher.pipeline.session import opened
from publisher.records.purging import purged_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from publisher.pipeline.catalog import Catalog
    from publisher.workspace import DatasetFile, Workspace

HEADINGS = ("dataset", "schedule", "due now", "next")


@dataclass(frozen=True)
class Due:
    """What is due of one dataset; the fields of `publisher status --due --json`."""

    dataset: str
    schedule: str | None
    """As it is written; None if releases come out whenever `publisher run` is run."""
    periods: tuple[str, ...]
    """Of which an edition is due and not drawn, earliest first."""
    next: str | None
    """When the next edition that is not due yet comes out, on the clock of the source; None if no other is
    scheduled."""


def due_of(workspace: Workspace, datasets: Sequence[DatasetFile]) -> tuple[Due, ...]:
    """Read definitions and releases; no record is read. Raises BudgetError and SourceError when they are damaged."""
    if not workspace.private.is_dir():
        return tuple(_due(workspace, None, dataset) for dataset in datasets)
    with opened(workspace) as catalog:
        return tuple([_due(workspace, catalog, dataset) for dataset in datasets])


def _due(workspace: Workspace, catalog: Catalog | None, dataset: DatasetFile) -> Due:
    standings = catalog.standings(dataset.name) if catalog is not None else []
    following = next_release(dataset)
    schedule = dataset.definition.schedule
    purged = purged_of(workspace.private, dataset.source.name)
    return Due(
        dataset=dataset.name,
        schedule=schedule.when if schedule is not None else None,
        periods=tuple(period.label for period, _ in missing_of(dataset, standings, purged)),
        next=following.isoformat(timespec="minutes") if following is not None else None,
    )


def print_due(found: Sequence[Due], datasets: Sequence[DatasetFile]) -> None:
    """The table, and what `publisher run` would do now."""
    rows = []
    for due, dataset in zip(found, datasets, strict=True):
        following = next_release(dataset)
        rows.append(
            (
                due.dataset,
                due.schedule or "none",
                _spanned(due.periods),
                _moment(following, dataset.source.today()) if following is not None else "-",
            )
        )
    print_table("", HEADINGS, rows)
    say()
    number = sum(len(each.periods) for each in found)
    if number:
        say(f"`publisher run` would release {number:,} period{'' if number == 1 else 's'} now.")
    else:
        say("Nothing is due.")


def _spanned(periods: Sequence[str]) -> str:
    if not periods:
        return "-"
    return periods[0] if len(periods) == 1 else f"{periods[0]} to {periods[-1]}"


def _moment(moment: datetime, today: date) -> str:
    """A day, and the time of day unless it is midnight."""
    day = day_words(moment.date(), today)
    return f"{day} {moment.hour}:{moment.minute:02}" if moment.hour or moment.minute else day
