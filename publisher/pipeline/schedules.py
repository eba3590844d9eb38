"""The public schedule of each dataset: what happened to each period that was due, in fixed words and days.

`public/schedules/<dataset>.json` is what everyone is told, and remembers what the ledger does not have: since when a
period is refused, and what was promised before a schedule was changed. Everything in it follows from definitions, the
calendar, releases, purges, the arrival of files, and how the last run ended; no record, count or share does.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from publisher.definitions import period as civil
from publisher.definitions.vintage import AHEAD, vintages_of
from publisher.durable import write_file
from publisher.errors import SourceError
from publisher.journal.journal import read_entries
from publisher.pipeline.catalog import closed_periods
from publisher.pipeline.consent import newest_arrival
from publisher.portal.contract import PeriodFacts, ScheduleFacts
from publisher.records.purging import purged_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from publisher.definitions.period import Period
    from publisher.pipeline.catalog import Catalog, Standing
    from publisher.portal.contract import PeriodReason, PeriodState
    from publisher.records.purging import PurgedMonths
    from publisher.workspace import DatasetFile, Workspace

FOLDER = "schedules"
"""In the public folder."""

SCHEMA = "schedule.schema.json"
"""Beside the files of datasets, whose names have no dot."""

NEXT = 12
"""So many periods that are not due yet are told: they turn late by the calendar if no one publishes any more."""

OF_RUNS: tuple[PeriodReason, ...] = ("feed refused", "budget refuses", "under review")
"""Why a period is late, where only a run finds it out: it holds until another run tries again."""


def schedule_path(public: Path, dataset: str) -> Path:
    """The file of a dataset's public schedule."""
    return public / FOLDER / f"{dataset}.json"


def told_schedule(public: Path, dataset: str) -> ScheduleFacts | None:
    """What everyone was told last; None if that is nothing, or damaged, which the next run writes again."""
    try:
        return ScheduleFacts.model_validate_json(schedule_path(public, dataset).read_bytes())
    except (OSError, ValueError):
        return None


def refresh_schedule(
    workspace: Workspace, catalog: Catalog, dataset: DatasetFile, tried: Mapping[str, PeriodReason] | None = None
) -> None:
    """Write what everyone may know now, if it has changed; `tried` says how a run has ended for the periods that it
    tried. Raises SourceError."""
    if workspace.feeds:  # a rehearsal is thrown away
        return
    before = told_schedule(workspace.public, dataset.name)
    found = schedule_of(workspace, catalog, dataset, before, tried or {})
    if found != before:
        write_file(schedule_path(workspace.public, dataset.name), content_of(found))
    schema = json.dumps(ScheduleFacts.model_json_schema(), indent=1).encode() + b"\n"
    path = workspace.public / FOLDER / SCHEMA
    if not path.is_file() or path.read_bytes() != schema:
        write_file(path, schema)


def content_of(found: ScheduleFacts) -> bytes:
    """Its file."""
    return found.model_dump_json(indent=1).encode() + b"\n"


def schedule_of(
    workspace: Workspace,
    catalog: Catalog | None,
    dataset: DatasetFile,
    before: ScheduleFacts | None = None,
    tried: Mapping[str, PeriodReason] | None = None,
) -> ScheduleFacts:
    """What happened to each period of a dataset; without a catalog nothing was ever released. Raises SourceError."""
    schedule, source = dataset.definition.schedule, dataset.source
    zone = (schedule.timezone if schedule is not None else None) or source.definition.timezone
    released: dict[str, list[Standing]] = defaultdict(list)
    for each in catalog.standings(dataset.name) if catalog is not None else ():
        released[each.release.manifest.period].append(each)
    told = {each.period: each for each in before.periods} if before is not None else {}
    look = _Look(workspace, catalog, dataset, ZoneInfo(zone), released, told, tried or {})
    return ScheduleFacts(
        dataset=dataset.name,
        title=dataset.definition.title,
        when=schedule.shown if schedule is not None else "",
        holidays=(schedule.holidays or "") if schedule is not None else "",
        timezone=zone,
        periods=tuple(look.periods())[::-1],
    )


@dataclass(frozen=True)
class _Look:
    """What is known of one dataset."""

    workspace: Workspace
    catalog: Catalog | None
    dataset: DatasetFile
    zone: ZoneInfo
    released: Mapping[str, Sequence[Standing]]
    told: dict[str, PeriodFacts]
    tried: Mapping[str, PeriodReason]

    def periods(self) -> Iterator[PeriodFacts]:
        """Those that were due, and the next ones, the earliest first."""
        waiting = 0
        for period in sorted(self._all()):
            number = self._number(period)
            if number or self._purged(period):
                yield self._was_due(period, number or 1)
                continue
            due = self._due(period, 1)
            waiting += due > self._today
            if waiting > NEXT:
                return
            yield PeriodFacts(period=period.label, due=due, state="not due yet", edition=0)

    def _all(self) -> set[Period]:
        """The periods of the definition, and those that everyone was told before: none disappears."""
        defined = self.dataset.definition.periods_until(self._today + AHEAD)
        told = {label for label, each in self.told.items() if each.due <= self._today}
        found = map(_parsed, told - {each.label for each in defined})
        return {*defined, *(each for each in found if each is not None)}

    def _number(self, period: Period) -> int:
        """The last scheduled edition that is drawn, or whose day is over; 0 if there is none."""
        drawn = self._drawn(period)
        editions = range(len(self._cutoffs(period)), 0, -1)
        return next((n for n in editions if n <= drawn or self._due(period, n) < self._today), 0)

    def _was_due(self, period: Period, number: int) -> PeriodFacts:
        made = self.released.get(period.label, ())
        shown = next((each for each in made if each.status == "ready"), None)
        closed = period.label in closed_periods(self.dataset.source.definition.late, made)
        number = self._drawn(period) if closed else number
        facts = PeriodFacts(
            period=period.label,
            due=self._due(period, number),
            edition=shown.release.manifest.edition if shown is not None else 0,
            scheduled=number,
        )
        if self._drawn(period) < number:
            return self._missing(period, facts)
        cutoffs = self._cutoffs(period)
        if number < len(cutoffs) and not closed and not self._purged(period):
            facts = facts.model_copy(update={"next_edition": self._due(period, number + 1)})
        return self._made(facts, made, shown)

    def _missing(self, period: Period, facts: PeriodFacts) -> PeriodFacts:
        """A period of which an edition was due and is not drawn."""
        if self._purged(period):
            return self._dated(facts, "not released", "retention", lambda: self._purged_on(period))
        reason = self._reason(period)
        if reason == "feed refused":
            return self._dated(facts, "refused at landing", reason, lambda: self._today)
        return facts.model_copy(update={"state": "late", "reason": reason, "since": facts.due + timedelta(days=1)})

    def _made(self, facts: PeriodFacts, made: Sequence[Standing], shown: Standing | None) -> PeriodFacts:
        """A period whose last edition that was due is drawn."""
        newest = made[-1]
        if newest.status in ("waiting for approval", "unchecked"):
            return self._dated(
                facts, "under review", "under review", lambda: self._day(newest.release.manifest.created)
            )
        if newest.status in ("held", "rejected"):
            return self._dated(facts, "held", "under review", lambda: self._last(_judged(newest)))
        if shown is None:
            return self._dated(facts, "retracted", "taken back", lambda: self._last(_decided(made)))
        return self._dated(facts, "released", "", lambda: self._last(_published(made, shown)))

    def _dated(
        self, facts: PeriodFacts, state: PeriodState, reason: PeriodReason, began: Callable[[], date]
    ) -> PeriodFacts:
        """With the day on which the state began: the one that everyone was told, or what is known of it."""
        told = self.told.get(facts.period)
        same = told is not None and (told.state, told.edition) == (state, facts.edition)
        since = (told.since if told is not None and same else None) or began()
        due = min(facts.due, since) if self._new(civil.parse(facts.period)) else facts.due
        return facts.model_copy(update={"state": state, "reason": reason, "since": since, "due": due})

    def _reason(self, period: Period) -> PeriodReason:
        """Why a period is late: as a run found out, or else by the arrival of files."""
        told = self.told.get(period.label)
        if period.label in self.tried:
            found = self.tried[period.label]
        else:
            found = told.reason if told is not None and told.reason in OF_RUNS else ""
        return found or ("feed missing" if self._no_file(period) else "late")

    def _no_file(self, period: Period) -> bool:
        """Whether no file has come since the period ended."""
        arrived = self._arrived
        return arrived is not None and arrived < period.end

    @cached_property
    def _arrived(self) -> date | None:
        """The day of the newest file; None if records are fetched when they are needed, or no one has looked."""
        if self.catalog is None:
            return None
        try:
            return newest_arrival(self.dataset.source, self.workspace)
        except SourceError:
            return date.min

    def _drawn(self, period: Period) -> int:
        """The last scheduled edition that is drawn; 0 before the first."""
        return max((each.release.manifest.vintage for each in self.released.get(period.label, ())), default=0)

    def _due(self, period: Period, number: int) -> date:
        """The day on which a scheduled edition is to come out. What everyone was told stays once that day has come,
        whatever the schedule says later; what no one was told of before is due today at the earliest."""
        told = self.told.get(period.label)
        if told is not None:
            promised = {told.scheduled: told.due, told.scheduled + 1: told.next_edition}.get(number)
            if promised is not None and promised <= self._today:
                return promised
        comes = self._comes(self._cutoffs(period)[number - 1])
        return self._today if comes < self._today and self._new(period) else comes

    def _new(self, period: Period) -> bool:
        """Whether it lies before everything that was told."""
        return self._first is None or period.start < self._first.start

    @cached_property
    def _first(self) -> Period | None:
        """The earliest that was told, which is the last in the file."""
        return next(filter(None, map(_parsed, reversed(self.told))), None)

    def _cutoffs(self, period: Period) -> tuple[date, ...]:
        """The day from which each scheduled edition can come out."""
        late = self.dataset.source.definition.late
        return tuple(each.cutoff for each in vintages_of(late, period)) if late is not None else (period.end,)

    def _comes(self, day: date) -> date:
        return self.dataset.comes(day).astimezone(self.zone).date()

    @cached_property
    def _months(self) -> PurgedMonths:
        return purged_of(self.workspace.private, self.dataset.source.name)

    def _purged(self, period: Period) -> bool:
        return self._months.touches(period.start, period.end)

    def _purged_on(self, period: Period) -> date:
        """When it was certified that the period is not released; today if its records were purged before it was due."""
        name = f"{self.dataset.name} {period.label}"
        for entry in read_entries(self.catalog.journal) if self.catalog is not None else ():
            if entry.fact.kind == "purge" and name in entry.fact.details.get("not_released", ()):
                return self._day(entry.at)
        return self._today

    @cached_property
    def _today(self) -> date:
        return self.dataset.source.now().astimezone(self.zone).date()

    def _day(self, moment: str) -> date:
        return datetime.fromisoformat(moment).astimezone(self.zone).date()

    def _last(self, moments: Iterable[str]) -> date:
        return max(map(self._day, moments))


def _parsed(label: str) -> Period | None:
    """The period of that name; None if someone else wrote it."""
    try:
        return civil.parse(label)
    except ValueError:
        return None


def _judged(held: Standing) -> Iterator[str]:
    """When a release was made, checked, and rejected."""
    yield held.release.manifest.created
    if held.status == "held" and held.validation is not None:
        yield held.validation.checked_at
    if held.review is not None:
        yield from (each.at for each in held.review.rejections)


def _decided(made: Sequence[Standing]) -> Iterator[str]:
    """When editions of a period were made, and when people decided about them."""
    for each in made:
        yield each.release.manifest.created
        yield from (decision.at for decision in each.decisions)


def _published(made: Sequence[Standing], shown: Standing) -> Iterator[str]:
    """When the edition that is public was made, accepted or approved, and when later ones were taken back."""
    later = [each for each in made if each.release.manifest.edition >= shown.release.manifest.edition]
    yield shown.release.manifest.created
    yield from (decision.at for each in later for decision in each.decisions)
    if shown.review is not None:
        yield from (each.at for each in shown.review.approvals)
