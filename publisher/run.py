"""One run: what is due, in order, under the workspace's lock; then the analyst file and the portal."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from publisher.analyst.file import write_analyst_file
from publisher.analyst.published import PublishedDataset
from publisher.definitions.vintage import due_vintages
from publisher.engine.guard import guarded
from publisher.engine.input import check_columns
from publisher.errors import (
    REFUSED,
    DefinitionError,
    HeldError,
    PublisherError,
    PurgedError,
    RefusedAtLandingError,
    SourceError,
)
from publisher.executors.opening import executor_of
from publisher.pipeline.automatic import approve_if_declared
from publisher.pipeline.consent import has_files, questions, redraw_of, spanned
from publisher.pipeline.job import jobs_of
from publisher.pipeline.landed import land_source
from publisher.pipeline.packing import pack_settled_releases
from publisher.pipeline.publish import afford, check, draw, refinish
from publisher.pipeline.report import Outcome, RunReport, failure_of, next_step, outcome_of
from publisher.pipeline.retention import clock_doubt, purge, retention_of
from publisher.pipeline.schedules import refresh_schedule
from publisher.pipeline.session import locked
from publisher.pipeline.totals import refresh_totals, total_standings
from publisher.push.client import UnreachableError
from publisher.push.published import published_if_answered
from publisher.push.sync import LeftError, deliver, portal_addresses, portal_of, telling
from publisher.release.judging import Judging
from publisher.release.suite import rules_of
from publisher.release.table import level_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from publisher.definitions.period import Period
    from publisher.executors.protocol import Executor
    from publisher.pipeline.catalog import Catalog
    from publisher.pipeline.job import Job
    from publisher.pipeline.retention import RetentionStanding
    from publisher.portal.contract import PeriodReason
    from publisher.privacy.chain import Head
    from publisher.records.landing import Landing
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, SourceFile, Workspace


_PUBLIC: dict[str, PeriodReason] = {
    REFUSED: "feed refused",
    "refused": "budget refuses",
    "definition not approved": "under review",
}
"""Of how a period ended in a run, what everyone may know as the reason why it is late."""


class Observer(Protocol):
    """Watches a run: `total` is the number of steps, `step` begins the next one, `doing` says what takes long in it,
    `warn` what went wrong, `note` what the run goes on without, `landed` what was landed, which is private.

    `agree` asks a person; it is False if no one can be asked and nothing was agreed to beforehand.
    """

    def total(self, steps: int) -> None: ...

    def step(self, words: str) -> None: ...

    def doing(self, words: str) -> None: ...

    def warn(self, error: PublisherError) -> None: ...

    def note(self, words: str) -> None: ...

    def landed(self, source: SourceFile, landing: Landing) -> None: ...

    def agree(self, question: str) -> bool: ...


@dataclass(frozen=True)
class PeriodSelection:
    """Which periods to run: those within [start, end), or everything due; with `newest`, the last of them alone."""

    start: date | None = None
    end: date | None = None
    newest: bool = False

    def periods(self, dataset: DatasetFile) -> tuple[Period, ...]:
        """The dataset's periods of which an edition is due by its schedule, or those asked for. Never looked up in the
        records."""
        day = dataset.due_day()
        until = day if self.end is None else min(day, self.end)
        found = tuple(
            period
            for period in dataset.definition.periods_until(until)
            if due_vintages(dataset.source.definition.late, period, day) and self.holds(period)
        )
        return found[-1:] if self.newest else found

    def holds(self, period: Period) -> bool:
        """Whether the period is within."""
        early = self.start is not None and period.start < self.start
        return not early and (self.end is None or period.end <= self.end)


def run(
    workspace: Workspace,
    datasets: Sequence[DatasetFile],
    selection: PeriodSelection,
    observer: Observer,
    *,
    push: bool,
    redraw: PeriodSelection | None = None,
    judging: Judging | None = None,
) -> RunReport:
    """Land, release, validate and push what is due. Raises what stops everything; reports the rest.

    Released periods of an edited definition are drawn and charged again only if `redraw` holds them. `judging` is where
    releases are validated; default: here.
    """
    due = [(dataset, selection.periods(dataset)) for dataset in datasets]
    observer.total(sum(len(periods) for _, periods in due) + (len(due) if push else 0))
    for words in workspace.left_out():
        observer.note(words)
    engine, spill = workspace.settings.engine, workspace.scratch
    with locked(workspace) as catalog, executor_of(engine, spill, workspace.copies) as executor:
        asked = selection.start is not None or selection.end is not None
        work = _Run(workspace, catalog, executor, observer, redraw, judging or Judging(), asked=asked, pushes=push)
        for dataset, periods in due:
            work.release_dataset(dataset, periods)
            work.refresh_totals(dataset)
        work.land_early(datasets)
        work.purge(datasets)
        work.refresh_schedules(due)
        work.refresh_analyst_file()
        if push:
            before = _addresses(workspace)
            work.push(datasets)
            if _addresses(workspace) != before:
                work.refresh_analyst_file()
        work.pack()
    return RunReport(tuple(work.outcomes), tuple(work.errors))


def refresh_analyst_file(workspace: Workspace, catalog: Catalog) -> None:
    """Write the analyst file if the current releases have changed."""
    published = [
        PublishedDataset(
            dataset, catalog.current(name), portal_addresses(workspace, dataset), _totals(catalog, dataset)
        )
        for name, dataset in workspace.datasets.items()
    ]
    notes = workspace.private / "open_data.json"
    write_analyst_file(workspace.public, published, workspace.settings, workspace.data, notes)


def _totals(catalog: Catalog, dataset: DatasetFile) -> dict[str, list[Release]]:
    """The current totals over time, by their name."""
    ready = [each.release for each in total_standings(catalog, dataset) if each.status == "ready"]
    return {each.name: [one for one in ready if one.level == each.name] for each in dataset.definition.totals}


def _addresses(workspace: Workspace) -> list[dict[str, tuple[str, str]]]:
    """Where every table is on the portal, which the analyst file says too."""
    return [portal_addresses(workspace, dataset) for dataset in workspace.datasets.values()]


@dataclass
class _Run:
    """The work of one run; a fault of one dataset does not stop the others."""

    workspace: Workspace
    catalog: Catalog
    executor: Executor
    observer: Observer
    redraw: PeriodSelection | None
    judging: Judging
    asked: bool
    """Whether periods were named, so that one that is not released any more is an error."""
    pushes: bool
    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[PublisherError] = field(default_factory=list)
    landed: dict[str, RefusedAtLandingError | None] = field(default_factory=dict)
    """The sources that were landed, and those that were refused."""
    published: list[Head] | None = None
    """The ledger's entries that the portal shows; None before it was asked."""

    def release_dataset(self, dataset: DatasetFile, periods: Sequence[Period]) -> None:
        try:
            check_columns(dataset, guarded(dataset.source))  # a refused SELECT is told before anything is read
            self.catalog.reconcile(dataset.name)
            jobs = jobs_of(self.workspace, self.catalog, dataset, periods)
            self._ask(dataset, jobs)
            if dataset.source.definition.late is not None and (jobs or has_files(dataset.source, self.workspace)):
                self._land(dataset.source)  # the day of receipt may be the day of landing: none is missed
        except RefusedAtLandingError as error:
            self.outcomes += [failure_of(dataset, job.period, error) for job in jobs[:1]]
            self._failed(error)
            return
        except PublisherError as error:
            self._failed(error)
            return
        for job in jobs:
            self.observer.step(job.name)
            try:
                self._release_period(job)
            except PublisherError as error:
                self.outcomes.append(failure_of(dataset, job.period, error))
                self._failed(error)
                if isinstance(error, SourceError | DefinitionError) and not isinstance(error, PurgedError):
                    return  # the next period would meet the same

    def _ask(self, dataset: DatasetFile, jobs: Sequence[Job]) -> None:
        """Raises DefinitionError when a person must agree first and does not; BudgetError when the ledger was begun
        under other terms. In both cases nothing was read or charged."""
        for job in jobs[-1:]:
            self.catalog.ledger.check_terms(job.request)
        asked = []
        redraw = redraw_of(jobs)
        if redraw is not None and redraw.periods:
            unasked = redraw.among(self.redraw.holds if self.redraw else lambda _: False)
            if unasked.periods:
                raise DefinitionError(f"{unasked.words()}. Nothing was charged.")
            asked = [f"{dataset.name}: {spanned(redraw.periods)} would be drawn again: {redraw.cost}."]
        new = [job.period for job in jobs if not (job.editions or job.purged)]
        for question in (*asked, *questions(self.workspace, dataset, new)):
            if not self.observer.agree(question):
                raise DefinitionError(f"{question} Nothing was charged. To agree, run again with --yes.")

    def land_early(self, datasets: Sequence[DatasetFile]) -> None:
        """Land the files of datasets with a schedule though nothing of them is due: a bad one is noticed on the day on
        which it comes. Where there is no file yet, none is missing yet."""
        for dataset in datasets:
            source = dataset.source
            if (
                dataset.definition.schedule is None
                or source.definition.fetched
                or not has_files(source, self.workspace)
            ):
                continue
            try:
                self._land(source)
            except PublisherError as error:
                self._failed(error)

    def purge(self, datasets: Sequence[DatasetFile]) -> None:
        """Purge the sources that ask for it, after all that is due was released; finish what a killed purge left."""
        if self.workspace.feeds:  # a rehearsal has no records
            return
        for source in {each.source.name: each.source for each in datasets}.values():
            try:
                standing = retention_of(self.workspace, self.catalog, source)
                if standing.hold is not None or not self._purges_by_itself(standing):
                    continue
                done = purge(self.workspace, self.catalog, standing)
            except PublisherError as error:
                self._failed(error)
            else:
                if done is not None:
                    self.observer.note(f"{source.name}: purged {done.words}")

    def _purges_by_itself(self, standing: RetentionStanding) -> bool:
        """Whether no person has to say so. Raises SourceError."""
        if standing.purged.pending is not None:
            return True
        source = standing.source
        if not (source.definition.retention.automatic and standing.due):
            return False
        if self.workspace.copies is None and not (self.workspace.private / "landed" / source.name).is_dir():
            return False  # nothing is there, and by a wrong clock nothing could be landed any more
        doubt = clock_doubt(self.workspace, source)
        if doubt:
            self.observer.note(f"{source.name}: not purged by itself: {doubt}")
        return not doubt

    def refresh_schedules(self, due: Sequence[tuple[DatasetFile, Sequence[Period]]]) -> None:
        """Write what everyone may know of each period."""
        for dataset, periods in due:
            try:
                refresh_schedule(self.workspace, self.catalog, dataset, self._reasons(dataset, periods))
            except SourceError as error:
                if not any(isinstance(each, SourceError) for each in self.errors):  # a full disk is told once
                    self._failed(error)

    def _reasons(self, dataset: DatasetFile, periods: Sequence[Period]) -> dict[str, PeriodReason]:
        """How this run ended for the periods that it tried, in the fixed words of the public schedule."""
        found: dict[str, PeriodReason] = {}
        if dataset.source.name in self.landed:
            refused = self.landed[dataset.source.name] is not None
            found = dict.fromkeys((each.label for each in periods), "feed refused" if refused else "")
        for outcome in self.outcomes:
            if outcome.dataset == dataset.name:
                found[outcome.period] = _PUBLIC.get(outcome.status, "")
        return found

    def refresh_totals(self, dataset: DatasetFile) -> None:
        try:
            refresh_totals(self.workspace, self.catalog, dataset)
        except PublisherError as error:
            self._failed(error)

    def refresh_analyst_file(self) -> None:
        try:
            refresh_analyst_file(self.workspace, self.catalog)
        except SourceError as error:
            if not any(isinstance(each, SourceError) for each in self.errors):  # a full disk is told once
                self._failed(error)

    def push(self, datasets: Sequence[DatasetFile]) -> None:
        try:
            with portal_of(self.workspace) as client:
                for number, dataset in enumerate(datasets):
                    self.observer.step(f"pushing {dataset.name}")
                    try:
                        with telling(datasets[number:]):
                            url = deliver(self.workspace, self.catalog, client, dataset, self.observer.note)
                    except UnreachableError:
                        raise
                    except LeftError as error:
                        self._failed(error)
                        self._delivered(dataset.name, error.url)
                    except PublisherError as error:
                        self._failed(error)
                    else:
                        self._delivered(dataset.name, url)
        except PublisherError as error:
            self._failed(error)

    def pack(self) -> None:
        """Pack what was released long ago, of all datasets."""
        for dataset in self.catalog.store.datasets():
            try:
                pack_settled_releases(self.catalog, dataset, datetime.now(UTC), self.observer.doing)
            except SourceError as error:
                self._failed(error)

    def _release_period(self, job: Job) -> None:
        """Every edition that is due and was not drawn, in order; the outcome of the period is that of the last.

        A retracted edition has none after it: it would hold the same numbers.
        """
        late = job.dataset.source.definition.late
        due = due_vintages(late, job.period, job.dataset.due_day())
        jobs = [job if vintage == job.vintage else replace(job, vintage=vintage) for vintage in due]
        if jobs[-1].number > job.last_vintage and not (job.redraws or self.asked) and job.purged:
            jobs = [each for each in jobs if each.number <= job.last_vintage]
            if not jobs:  # not released, whatever is run: no fault of this run
                self.outcomes.append(failure_of(job.dataset, job.period, PurgedError(job.name)))
        for each in [each for each in jobs if each.number >= job.last_vintage]:
            release = self._release(each)
            if each is jobs[-1] or job.catalog.standing(release).status == "retracted":
                self._finished(each, release)
                break

    def _release(self, job: Job) -> Release:
        """The release as it is, the same draw finished again, or a new, charged draw."""
        release = job.released
        before = job.drawn if release is None else None
        if before is not None:
            release = refinish(job, before)
        if release is None:
            for level in level_names(job.dataset.definition):
                rules_of(job.dataset, level, job.workspace.suite(job.dataset.named(level)))  # a broken one is free
            self._refuse_if_older_than_the_portal()
            afford(job)
            self.judging.begin()
            self._land(job.dataset.source)
            release = draw(job, self.executor, lambda words: self.observer.doing(f"{job.name}: {words}"))
        if job.catalog.standing(release).validation is None:
            check(job, release, self.judging)
        approve_if_declared(job, release)
        return release

    def _refuse_if_older_than_the_portal(self) -> None:
        """Raise BudgetError, before anything is drawn, if the portal shows a release that the ledger has not paid for:
        the ledger was lost or is older, and would spend again what is public. Once a run; a portal that does not answer
        is asked again by the push."""
        if self.published is None:
            asked = self.pushes and not self.workspace.feeds
            self.published = published_if_answered(self.workspace) if asked else []
        self.catalog.ledger.refuse_if_cut(self.published)

    def _land(self, source: SourceFile) -> None:
        """Land and judge a source once; what is refused stays refused for this run."""
        if source.name not in self.landed:
            self.observer.doing(f"{source.name}: {'fetching' if source.definition.fetched else 'reading'} its records")
            try:
                landing = land_source(self.workspace, source, self.observer.doing, self.executor)
            except RefusedAtLandingError as error:
                self.landed[source.name] = error
                raise
            self.landed[source.name] = None
            if landing.report is not None:
                self.observer.landed(source, landing)
        if (refusal := self.landed[source.name]) is not None:
            raise refusal

    def _finished(self, job: Job, release: Release) -> None:
        standing = job.catalog.standing(release)
        self.outcomes.append(outcome_of(job.dataset, release, standing.status))
        if standing.status == "held" and standing.validation is not None:
            reasons = "; ".join(standing.validation.words)
            self._failed(HeldError(f"{job.name} is held: {reasons}. {next_step(job.name, standing.validation)}"))

    def _delivered(self, dataset: str, url: str | None) -> None:
        self.outcomes = [
            replace(each, status="published", portal_url=url)
            if each.dataset == dataset and each.status == "ready" and url is not None
            else each
            for each in self.outcomes
        ]

    def _failed(self, error: PublisherError) -> None:
        if str(error) in map(str, self.errors):  # releases, totals and the push may meet the same fault
            return
        self.errors.append(error)
        self.observer.warn(error)
