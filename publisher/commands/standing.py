"""Where each dataset stands: what was released last, what comes next, and what needs a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal

from publisher.definitions import period as civil
from publisher.definitions.vintage import due_vintages, next_due
from publisher.errors import (
    ApprovalError,
    BudgetError,
    DefinitionError,
    HeldError,
    PortalError,
    PublisherError,
    SourceError,
)
from publisher.pipeline.catalog import closed_periods
from publisher.pipeline.consent import newest_arrival, redraw_of
from publisher.pipeline.job import identity_of, jobs_of
from publisher.pipeline.report import next_step
from publisher.pipeline.reviews import refuse_unapproved
from publisher.planning.pace import pace_of
from publisher.push.client import UnreachableError
from publisher.push.shown import SECONDS, differing
from publisher.records.purging import purged_of
from publisher.run import PeriodSelection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from publisher.definitions.period import Period
    from publisher.pipeline.catalog import Catalog, Standing
    from publisher.pipeline.reviews import ReviewState
    from publisher.planning.pace import Pace, Spent
    from publisher.records.purging import PurgedMonths
    from publisher.release.manifest import Manifest
    from publisher.workspace import DatasetFile, Workspace

FEW = 3
"""So many datasets are named in one command; for more it is the command for all."""

Reason = Literal[
    "feed missing",
    "late",
    "under review",
    "approval wanted",
    "budget refuses",
    "portal",
    "definition",
    "answer due",
    "answer overdue",
]
"""Why something needs a person, in words that say nothing about records."""

State = Literal["ok", "waiting for approval", "rejected", "held", "unchecked", "retracted", "late", "due", "none"]


@dataclass(frozen=True)
class Matter:
    """Something that needs a person; the fields of `publisher status --json`."""

    subject: str
    """The dataset, with its period where it is about one, the portal, or a case."""
    reason: Reason
    words: str
    """What is wrong, and what to do."""
    exit_code: int
    edition: int | None = None
    """Of the release that waits for a person, if it is about one."""


@dataclass(frozen=True)
class Morning:
    """One dataset as it stands; the fields of `publisher status --json`."""

    dataset: str
    last_release: str | None
    """The last period that was released, public or not."""
    state: State
    days_late: int
    """Since the earliest edition that is due and not released."""
    next_due: str | None
    """The day from which the next edition is due; None if no other is scheduled."""
    budget_until: str | None
    """The first period that the budget will refuse if all goes on as defined; None if none is."""
    budget: str
    """How long the budget lasts, in words."""
    portal: str
    """What the portal shows of it, in words."""

    def row(self, today: date) -> tuple[str, ...]:
        """The row of the table, by HEADINGS."""
        state = {"held": "HELD", "late": f"late {self.days_late:,} d", "none": "-"}.get(self.state, self.state)
        due = day_words(date.fromisoformat(self.next_due), today) if self.next_due else "-"
        return (self.dataset, self.last_release or "none", state, due, self.budget, self.portal)


@dataclass
class Look:
    """A look at one dataset after the other; what needs a person is collected on the way."""

    workspace: Workspace
    offline: bool
    seconds: float = SECONDS
    """How long an answer of the portal may take."""
    needs: list[Matter] = field(default_factory=list)
    behind: dict[str, int] = field(default_factory=dict)
    """How many periods the portal does not show as they are, by dataset."""
    unreachable: str = ""
    """Why the portal is not asked any more."""

    def at(self, catalog: Catalog | None, dataset: DatasetFile, spent: Spent) -> Morning:
        """The dataset as it stands; without a catalog nothing was ever released."""
        today = dataset.source.today()
        standings = catalog.standings(dataset.name) if catalog is not None else []
        newest = {each.release.manifest.period: each for each in standings}
        missing = missing_of(dataset, standings, purged_of(self.workspace.private, dataset.source.name))
        siblings = [each for each in self.workspace.datasets.values() if each.source.name == dataset.source.name]
        pace = pace_of(dataset, siblings, spent, today)
        late = (today - missing[0][1]).days if missing else 0
        following = next_release(dataset)
        if missing and missing[0][0].label == pace.refused:
            self._refused(dataset, pace.refused)
        elif late or (missing and dataset.definition.schedule is not None and self._no_file(dataset, missing)):
            self._late(dataset, missing, today)
        self._held(dataset, list(newest.values()))
        if catalog is not None:
            self._edited(catalog, dataset, today)
            self._definition(catalog, dataset)
        return Morning(
            dataset=dataset.name,
            last_release=max(newest, default=None),
            state=_state(newest, missing, late),
            days_late=late,
            next_due=following.date().isoformat() if following is not None else None,
            budget_until=pace.refused,
            budget=_lasting(pace, today),
            portal=self._portal(dataset, standings),
        )

    def portal_needs(self) -> Iterator[Matter]:
        """What the portal lacks, of all datasets together."""
        if self.unreachable:
            settings = self.workspace.settings.portal
            again = "`publisher serve` starts it" if settings.kind == "embedded" else "try again later"
            yield Matter("portal", "portal", f"{self.unreachable}; {again}.", PortalError.exit_code)
        if self.behind:
            names = f" {' '.join(self.behind)}" if len(self.behind) <= FEW else ""
            words = f"does not show {counted(sum(self.behind.values()), 'period')} as released: `publisher push{names}`"
            yield Matter("portal", "portal", f"{words}.", PortalError.exit_code)

    def _late(self, dataset: DatasetFile, missing: Sequence[tuple[Period, date]], today: date) -> None:
        period, since = missing[0]
        others = len(missing) - 1
        many = f", nor {'is' if others == 1 else 'are'} {counted(others, 'later period')}" if others else ""
        words = f"{period.label} was due {day_words(since, today)} and is not released{many}. "
        words += self._way_on(dataset, max(each.end for each, _ in missing), today)
        reason: Reason = "feed missing" if self._no_file(dataset, missing) else "late"
        self.needs.append(Matter(dataset.name, reason, words, SourceError.exit_code))

    def _no_file(self, dataset: DatasetFile, missing: Sequence[tuple[Period, date]]) -> bool:
        """Whether no file has come since the last missing period ended."""
        try:
            arrived = newest_arrival(dataset.source, self.workspace)
        except SourceError:
            return True
        return arrived is not None and arrived < max(each.end for each, _ in missing)

    def _way_on(self, dataset: DatasetFile, end: date, today: date) -> str:
        """What to do about a release that is late: the file for it may not be there."""
        run = f"`publisher run {dataset.name}`"
        try:
            arrived = newest_arrival(dataset.source, self.workspace)
        except SourceError:
            return f"There is no raw file: put it in the data folder, then {run}."
        if arrived is not None and arrived < end:
            return f"No file has come since {day_words(arrived, today)}: put it in the data folder, then {run}."
        return f"{run} releases it."

    def _held(self, dataset: DatasetFile, newest: Sequence[Standing]) -> None:
        for each in newest:
            says, checked = each.release.manifest, each.validation
            if each.status == "held" and checked is not None:
                more = f"; and {len(checked.words) - 2} more" if checked.words[2:] else ""
                why = f"{'; '.join(checked.words[:2])}{more}"
                step = next_step(f"{says.dataset} {says.period}", checked)
                self._waits(says, "under review", f"held: {why}. {step}")
            elif each.status == "unchecked":
                self._waits(says, "under review", f"not checked yet: `publisher revalidate {dataset.name}`.")
            elif each.status in ("waiting for approval", "rejected") and each.review is not None:
                self._review(says, each.review)

    def _waits(self, says: Manifest, reason: Reason, words: str) -> None:
        """A release that waits for a person."""
        subject = f"{says.dataset} {says.period}"
        self.needs.append(Matter(subject, reason, words, HeldError.exit_code, says.edition))

    def _review(self, says: Manifest, review: ReviewState) -> None:
        """A release that reviewers did not approve, or rejected."""
        subject = f"{says.dataset} {says.period}"
        if review.state == "rejected":
            words = f"{review.words}. Correct what is wrong, or, if nothing is, `publisher approve {subject}`."
            self._waits(says, "under review", words)
        else:
            so_far = f" ({review.words})" if review.words else ""
            self._waits(says, "approval wanted", f"waits for approval{so_far}: `publisher review {subject}` shows it.")

    def _definition(self, catalog: Catalog, dataset: DatasetFile) -> None:
        """A definition that reviewers did not approve: the next release would not be charged."""
        purged = purged_of(self.workspace.private, dataset.source.name)
        if next_release(dataset) is None and not missing_of(dataset, catalog.standings(dataset.name), purged):
            return
        try:
            refuse_unapproved(self.workspace, catalog.ledger, identity_of(self.workspace, dataset))
        except ApprovalError as error:
            words = str(error).removeprefix(f"{dataset.name}: ")
            self.needs.append(Matter(dataset.name, "approval wanted", words, error.exit_code))
        except SourceError:  # the files that decide places are missing, which the next run says
            return

    def _refused(self, dataset: DatasetFile, period: str) -> None:
        words = (
            f"{period} is due, and the budget of {dataset.source.name} does not pay for it: "
            f"`publisher plan {dataset.name}` shows what is left."
        )
        self.needs.append(Matter(dataset.name, "budget refuses", words, BudgetError.exit_code))

    def _edited(self, catalog: Catalog, dataset: DatasetFile, today: date) -> None:
        """What a run would refuse because a definition was edited."""
        try:
            jobs = jobs_of(self.workspace, catalog, dataset, dataset.definition.periods_until(today))
            for job in jobs[-1:]:
                catalog.ledger.check_terms(job.request)
            redraw = redraw_of(jobs)
        except SourceError:  # the files that decide places are missing, which the next run says
            return
        except PublisherError as error:
            self.needs.append(Matter(dataset.name, "definition", str(error), error.exit_code))
            return
        if redraw is not None and redraw.periods:
            words = redraw.words().removeprefix(f"{dataset.name}: ")
            self.needs.append(Matter(dataset.name, "definition", words, DefinitionError.exit_code))

    def _portal(self, dataset: DatasetFile, standings: Sequence[Standing]) -> str:
        if self.offline or not standings:
            return "-"
        if self.unreachable:
            return "unreachable"
        try:
            periods = differing(self.workspace, dataset, standings, self.seconds)
        except UnreachableError as error:
            self.unreachable = str(error)
            return "unreachable"
        if periods:
            self.behind[dataset.name] = len(periods)
            return f"{len(periods)} behind"
        current = [each.release.manifest.period for each in standings if each.status == "ready"]
        if not current:
            return "-"
        return "as sent" if current[-1] == standings[-1].release.manifest.period else f"{current[-1]} shown"


def next_release(dataset: DatasetFile) -> datetime | None:
    """When the next edition that is not due yet comes out; None if no other is scheduled."""
    day = next_due(dataset.definition, dataset.source.definition.late, dataset.due_day())
    return dataset.comes(day) if day is not None else None


def missing_of(dataset: DatasetFile, standings: Sequence[Standing], purged: PurgedMonths) -> list[tuple[Period, date]]:
    """The periods of which an edition is due and was not drawn, earliest first, and since when; none whose records are
    purged, or of which no other edition is drawn."""
    drawn: dict[str, int] = {}
    closed = closed_periods(dataset.source.definition.late, standings)
    for each in standings:
        says = each.release.manifest
        drawn[says.period] = max(drawn.get(says.period, 0), says.vintage)
    late, today = dataset.source.definition.late, dataset.due_day()
    found = []
    for period in PeriodSelection().periods(dataset):
        due = [
            (vintage.number, vintage.cutoff) if vintage is not None else (1, period.end)
            for vintage in due_vintages(late, period, today)
        ]
        days = [day for number, day in due if number > drawn.get(period.label, 0)]
        if days and period.label not in closed and not purged.touches(period.start, period.end):
            found.append((period, dataset.comes(days[0]).date()))
    return found


UNDECIDED: tuple[State, ...] = ("held", "unchecked", "rejected", "waiting for approval")
"""States of releases that wait for people, the first of which is shown."""


def _state(newest: dict[str, Standing], missing: Sequence[object], late: int) -> State:
    found = {each.status for each in newest.values()}
    for state in UNDECIDED:
        if state in found:
            return state
    if missing:
        return "late" if late and newest else "due"
    if not newest:
        return "none"
    return "retracted" if newest[max(newest)].status == "retracted" else "ok"


def _lasting(pace: Pace, today: date) -> str:
    """How long the budget lasts from today, in words."""
    if pace.refused is None:
        return "lasts"
    days = (civil.parse(pace.refused).start - today).days
    if days <= 0:
        return "used up"
    if days < 60:
        return counted(days, "day")
    return f"{days / 365.25:.1f} years" if days > 700 else f"{days / 30.44:.0f} months"


def day_words(day: date, today: date) -> str:
    """A day as people in the US write it: today, Mon Nov 30, Dec 5, or Dec 5, 2027."""
    if day == today:
        return "today"
    if 0 < (day - today).days < 7:
        return f"{day:%a %b} {day.day}"
    return f"{day:%b} {day.day}" + (f", {day.year}" if day.year != today.year else "")


def counted(number: int, what: str) -> str:
    """A number of things, such as 3 periods."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
