"""Retention: what of a source is beyond its schedule, what stops it from being purged, and purging it.

Which months are purged follows from definitions, the calendar and releases alone, never from records.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from publisher import durable
from publisher.definitions import period as civil
from publisher.definitions.vintage import AHEAD, vintages_of
from publisher.duck import connect
from publisher.errors import DefinitionError
from publisher.journal.entry import Fact
from publisher.journal.journal import read_entries
from publisher.pipeline.catalog import closed_periods
from publisher.pipeline.journaling import follow
from publisher.records.batch import BatchStore
from publisher.records.purging import PurgedMonths, Purging, old_reports, purged_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from publisher.definitions.period import Period
    from publisher.definitions.source import LegalHold
    from publisher.pipeline.catalog import Catalog, Standing
    from publisher.records.purging import Purge
    from publisher.workspace import DatasetFile, SourceFile, Workspace


SILENT_DAYS = 184
"""After so many days without a newer file, a person must say that the clock is right before anything is purged."""


@dataclass(frozen=True)
class WaitingDraw:
    """A release that is still due and needs records beyond retention."""

    dataset: str
    period: Period
    deadline: date | None
    """From this day on they are purged all the same; None if they wait until it is released."""


@dataclass(frozen=True)
class RetentionStanding:
    """How a source stands by its retention schedule."""

    source: SourceFile
    purged: PurgedMonths
    """What is purged by now."""
    next: PurgedMonths
    """What would be if it were purged today."""
    waiting: tuple[WaitingDraw, ...]
    """What keeps months beyond retention."""
    not_released: tuple[tuple[str, Period], ...]
    """Dataset and period of what has no final edition, and would have none any more."""
    hold: LegalHold | None
    """The legal hold in force."""

    @property
    def due(self) -> bool:
        """Whether a purge would do anything, holds aside."""
        return self.purged.pending is not None or self.next != self.purged

    @property
    def lost_now(self) -> list[tuple[str, Period]]:
        """What a purge would make not released, that is not by now."""
        return [each for each in self.not_released if not self.purged.touches(each[1].start, each[1].end)]

    @property
    def rule(self) -> str:
        """The rule under which records are purged, for the certificate."""
        definition = self.source.definition
        deadline = definition.retention.deadline_months
        more = f", deadline_months = {deadline}" if deadline is not None else ""
        return f"retention_months = {definition.retention_months}{more}: records from before {self.next.before}"


def retention_of(workspace: Workspace, catalog: Catalog | None, source: SourceFile) -> RetentionStanding:
    """Without a catalog nothing was ever released. Raises BudgetError and SourceError."""
    today = source.today()
    purged = purged_of(workspace.private, source.name)
    horizon = _months_before(today, source.definition.retention_months)
    reached = max(horizon, civil.parse(purged.before).start) if purged.before else horizon
    missing = [
        (dataset, period)
        for dataset in workspace.datasets.values()
        if dataset.source.name == source.name
        for period in _unfinished(dataset, catalog.standings(dataset.name) if catalog else (), reached)
    ]
    waiting = [
        WaitingDraw(dataset.name, period, deadline)
        for dataset, period in missing
        for deadline in [_deadline(source, period)]
        if not purged.touches(period.start, period.end) and (deadline is None or today < deadline)
    ]
    months = {month.label for each in waiting for month in each.period.cut("month")}
    following = purged.after(horizon.strftime("%Y-%m"), months)
    return RetentionStanding(
        source=source,
        purged=purged,
        next=following,
        waiting=tuple(waiting),
        not_released=tuple(
            (dataset.name, period) for dataset, period in missing if following.touches(period.start, period.end)
        ),
        hold=next((each for each in source.definition.hold if each.holds(today)), None),
    )


def _unfinished(dataset: DatasetFile, standings: Sequence[Standing], horizon: date) -> Iterator[Period]:
    """The periods with days before the horizon whose last scheduled edition was not drawn, and still is to be."""
    late = dataset.source.definition.late
    needed = len(late.after_days) if late is not None else 1
    manifests = [each.release.manifest for each in standings]
    done = closed_periods(late, standings) | {each.period for each in manifests if each.vintage >= needed}
    for period in dataset.definition.periods_until(horizon + AHEAD):
        if period.start < horizon and period.label not in done:
            yield period


def _deadline(source: SourceFile, period: Period) -> date | None:
    """The day from which records of the period no longer wait; never before its last scheduled edition is due."""
    months = source.definition.retention.deadline_months
    if months is None:
        return None
    last = civil.containing(period.end, "month").start
    declared = _months_before(last, -months)
    late = source.definition.late
    return max(declared, vintages_of(late, period)[-1].cutoff) if late is not None else declared


def _months_before(day: date, months: int) -> date:
    """The first day of the month that is so many months before that of the day."""
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1) if number >= 12 else date.min


def anything_due(workspace: Workspace, standing: RetentionStanding) -> bool:
    """Whether a purge would delete a file, or give up a release. Raises SourceError."""
    if standing.purged.pending is not None or standing.lost_now:
        return True
    return standing.due and bool(Purging(standing.source, workspace.private).files(standing.next))


def clock_doubt(workspace: Workspace, source: SourceFile) -> str:
    """Why a run should not purge by itself: a clock that runs ahead would purge everything. Empty if it may. Raises
    SourceError."""
    newest = max((each.modified for each in BatchStore(workspace.private, source.name).batches()), default=None)
    if newest is None:
        return ""
    arrived = datetime.fromtimestamp(newest / 1e9, ZoneInfo(source.definition.timezone)).date()
    if (source.today() - arrived).days <= SILENT_DAYS:
        return ""
    return (
        f"the newest landed file is of {arrived}, more than {SILENT_DAYS} days ago: is the clock of this machine right?"
    )


def purge(workspace: Workspace, catalog: Catalog, standing: RetentionStanding) -> Purge | None:
    """Purge what is due, under the workspace's lock; finish what a killed purge left. Returns what was certified.

    Raises DefinitionError under a legal hold, and SourceError; the next purge goes on.
    """
    source, private = standing.source, workspace.private
    if workspace.copies is not None:
        raise DefinitionError(
            f"publisher.toml: landed.url: {source.name}: what lies in an object store is not purged by publisher. "
            "Nothing was purged. Land in the state folder where records must be purged"
        )
    if standing.hold is not None:
        raise DefinitionError(
            f"{source.name}: a legal hold is in force since {standing.hold.since}: {standing.hold.reason}. "
            "Nothing was purged."
        )
    purging = Purging(source, private)
    with durable.writing(private), durable.private_files():
        if standing.purged.pending is None:
            reports = _old_reports(private, source, standing.next)
            lost = [f"{dataset} {period.label}" for dataset, period in standing.lost_now]
            purging.begin(standing.next, rule=standing.rule, not_released=lost, reports=reports)
        months = purging.resume()
        done = months.pending
        if done is not None:
            with connect(workspace.settings.engine, workspace.scratch) as connection:
                purging.delete(months, connection)
            _certify(catalog, source, done)
            purging.end(months)
    return done


def _certify(catalog: Catalog, source: SourceFile, done: Purge) -> None:
    """Tell the journal, once."""
    if any(each.fact.kind == "purge" and each.fact.reference == done.id for each in read_entries(catalog.journal)):
        return
    follow(catalog.journal, catalog.ledger, settle=False)  # what was released of these records comes before
    fact = Fact("purge", source=source.name, reference=done.id, reason=done.rule, details=done.certificate)
    catalog.journal.tell(fact)


def _old_reports(private: Path, source: SourceFile, months: PurgedMonths) -> list[Path]:
    kept = source.definition.retention.reports_months
    return old_reports(private, source, months, _months_before(source.today(), kept)) if kept is not None else []
