"""`publisher status`: where every dataset stands, and what needs a person, on one screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.backup.record import newest_backup
from publisher.commands.cases import case_matters
from publisher.commands.purge import retention_rows
from publisher.commands.standing import Look
from publisher.commands.terminal import print_table, say
from publisher.pipeline.report import most_serious
from publisher.pipeline.session import opened
from publisher.planning.pace import Spent, spent_of
from publisher.push.shown import SECONDS
from publisher.records.shelves import batches_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from publisher.backup.record import BackupRecord
    from publisher.commands.purge import RetentionRow
    from publisher.commands.standing import Matter, Morning
    from publisher.workspace import DatasetFile, Workspace

LONGEST_FILE = 40
"""The most characters of a file's path that are shown: its end."""

HEADINGS = ("dataset", "last release", "state", "next due", "budget", "portal")


@dataclass(frozen=True)
class Arrival:
    """The last raw file of a source; the fields of `publisher status --json`."""

    source: str
    file: str | None
    """The one that was landed last, relative to the data folder."""
    received: str | None
    """The day on which it was landed first."""
    days: int | None
    """Since then."""

    @property
    def row(self) -> tuple[str, ...]:
        """The row of the table, by ARRIVALS."""
        if self.file is None or self.days is None or self.received is None:
            return (self.source, "none yet", "-")
        file = self.file if len(self.file) <= LONGEST_FILE else f"…{self.file[1 - LONGEST_FILE :]}"
        ago = {0: "today", 1: "yesterday"}.get(self.days, f"{self.days:,} days ago")
        return (self.source, file, ago)


ARRIVALS = ("source", "last file", "landed")


@dataclass(frozen=True)
class Overview:
    """Everything that `publisher status` says."""

    datasets: tuple[Morning, ...]
    needs: tuple[Matter, ...]
    sources: tuple[Arrival, ...]
    retention: tuple[RetentionRow, ...]
    backup: BackupRecord | None = None
    """The last one that was made, if any."""

    @property
    def exit_code(self) -> int:
        """0, or the code of the most serious thing that needs a person."""
        return most_serious(each.exit_code for each in self.needs)


def overview(
    workspace: Workspace, datasets: Sequence[DatasetFile], *, offline: bool, seconds: float = SECONDS
) -> Overview:
    """Read definitions, ledger, releases and what was landed, and ask the portal, which has so many seconds to answer;
    no record is read. Raises BudgetError and SourceError when what is needed for all of it is damaged."""
    look = Look(workspace, offline, seconds)
    sources = {dataset.source.name: dataset.source for dataset in datasets}
    if workspace.private.is_dir():
        with opened(workspace) as catalog:
            spent = spent_of(catalog.ledger)
            mornings = tuple([look.at(catalog, dataset, spent) for dataset in datasets])
            retention = retention_rows(workspace, catalog, list(sources.values()))
    else:
        mornings, retention = tuple([look.at(None, dataset, Spent()) for dataset in datasets]), ()
    arrivals = tuple(_arrival(workspace, name, source.today()) for name, source in sources.items())
    needs = (*look.needs, *look.portal_needs(), *case_matters(workspace))
    return Overview(mornings, needs, arrivals, retention, newest_backup(workspace))


def print_overview(found: Overview, today: date) -> None:
    """The table of datasets, a paragraph for each thing that needs a person, the last file of each source, and what of
    it is to be purged."""
    print_table("", HEADINGS, [each.row(today) for each in found.datasets])
    say()
    for matter in found.needs:
        say(f"{matter.subject}: {matter.words}")
    if not found.needs:
        say("Nothing needs you.")
    say()
    print_table("", ARRIVALS, [each.row for each in found.sources])
    if found.retention:
        say()
    for row in found.retention:
        for words in row.words:
            say(f"{row.source}: {words}")
    if found.backup is not None:
        say()
        say(found.backup.words)


def _arrival(workspace: Workspace, source: str, today: date) -> Arrival:
    batches = batches_of(workspace.private, source, workspace.copies).batches()
    if not batches:
        return Arrival(source, None, None, None)
    last = batches[-1]
    return Arrival(source, last.file, last.received.isoformat(), (today - last.received).days)
