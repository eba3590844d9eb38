"""Totals over time: when each is computed, and which are current.

They are made only from releases that are current, so their draws are paid for, durable, and public. A total is current
as long as exactly those releases are: one that is retracted takes it back at once, before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.definitions.totals import spans
from publisher.errors import SourceError
from publisher.pipeline.catalog import Standing
from publisher.pipeline.job import Identity, hashes_of
from publisher.pipeline.reviews import definition_state
from publisher.privacy.totals import Addend, total_over_time
from publisher.records.places import boundaries_fingerprint
from publisher.release.identity import same_counts, total_hash
from publisher.release.manifest import MANIFEST, hash_of
from publisher.release.store import changed_files
from publisher.release.table import kept_draw, read_published
from publisher.release.totals import ADVICE, TotalStore, manifest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from publisher.definitions.totals import Span, TotalOverTime
    from publisher.pipeline.catalog import Catalog, Status
    from publisher.release.manifest import Release
    from publisher.stages import FinishedTable
    from publisher.workspace import DatasetFile, Workspace


@dataclass(frozen=True)
class TotalTable:
    """One dataset's totals of one name, at this moment."""

    catalog: Catalog
    dataset: DatasetFile
    total: TotalOverTime

    @property
    def table(self) -> str:
        """The name under which it is published."""
        return self.dataset.named(self.total.name)

    @property
    def store(self) -> TotalStore:
        """Where it is kept."""
        return TotalStore(self.catalog.store.public)

    @cached_property
    def periods(self) -> Mapping[str, list[Standing]]:
        """Every edition of every period, oldest first."""
        found = self.catalog.standings(self.dataset.name)
        return {period: list(each) for period, each in groupby(found, lambda each: each.release.manifest.period)}

    @cached_property
    def current(self) -> Mapping[str, Release]:
        """The current release of each period that has one, if it has the table that is added up."""
        ready = {n: each.release for n, all_ in self.periods.items() for each in all_ if each.status == "ready"}
        return {period: release for period, release in ready.items() if self.total.level in release.tables}

    @cached_property
    def entered(self) -> Mapping[str, str]:
        """The SHA-256 of the manifest of every total that was written, by name."""
        return self.catalog.ledger.totals()

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The totals up to the last period that was ever released."""
        end = max((civil.parse(period).end for period in self.periods), default=None)
        return spans(self.total, civil.parse(self.dataset.definition.first), end) if end is not None else ()

    def missing(self, span: Span) -> list[str]:
        """The periods of a total that have no current release."""
        return [each.label for each in span.addends if each.label not in self.current]

    @cached_property
    def paid(self) -> Mapping[str, str]:
        """The SHA-256 of the manifest of every release that the ledger has, by name."""
        return self.catalog.ledger.manifests()

    def added(self, span: Span) -> dict[str, str]:
        """The releases that a total adds up, by name, with their manifests' SHA-256; empty if one is missing."""
        if self.missing(span):
            return {}
        names = [self.current[each.label].manifest.name for each in span.addends]
        return {name: self.paid[name] for name in names} if self.paid.keys() >= set(names) else {}

    @property
    def standings(self) -> list[Standing]:
        """Every edition that was entered in the ledger, with its status, by period and edition. Raises SourceError when
        one is not as it was written."""
        self.refuse_damaged()
        return self.intact

    def refuse_damaged(self) -> None:
        """Raise SourceError when a total is not as it was written."""
        for error in self._read.values():
            if isinstance(error, SourceError):
                raise error

    @cached_property
    def intact(self) -> list[Standing]:
        """The same without those that are damaged: they are never shown, nor is what they replaced."""
        wanted = {span.period.label: self.added(span) for span in self.spans}
        found: list[Standing] = []
        for total in reversed(self._read.values()):
            if isinstance(total, SourceError):
                continue
            later = {each.release.manifest.period for each in found if each.status == "ready"}
            found.append(Standing(total, None, self._status(total, wanted, later)))
        return found[::-1]

    @property
    def ready(self) -> dict[str, Release]:
        """The current total of each period that has one."""
        return {each.release.manifest.period: each.release for each in self.intact if each.status == "ready"}

    @cached_property
    def _read(self) -> dict[Path, Release | SourceError]:
        """What each folder holds, or what is wrong with it."""
        found: dict[Path, Release | SourceError] = {}
        for folder in self.folders:
            try:
                found[folder] = self.read(folder)
            except SourceError as error:
                found[folder] = error
        return found

    @cached_property
    def lost(self) -> dict[str, int]:
        """By period, the newest edition that the ledger has and that is not there as it was written."""
        whole = {self._name(folder) for folder, total in self._read.items() if not isinstance(total, SourceError)}
        names = [name.split("/") for name in sorted(self.entered.keys() - whole)]
        found: dict[str, int] = {}
        for table, period, edition in names:
            if table == self.table:
                found[period] = max(found.get(period, 0), int(edition))
        return found

    @cached_property
    def damaged(self) -> set[str]:
        """The periods whose folders a person has to look at."""
        return {folder.parent.name for folder, total in self._read.items() if isinstance(total, SourceError)}

    @property
    def folders(self) -> list[Path]:
        """Those that the ledger has, by period and edition; another one was left by a killed run, and never shown."""
        return [each for each in self.store.folders(self.table) if self._name(each) in self.entered]

    def read(self, folder: Path) -> Release:
        """The total in a folder. Raises SourceError when it is not as the ledger recorded it."""
        total = self.store.read(folder, self.total.name)
        if hash_of(folder / MANIFEST).sha256 != self.entered[self._name(folder)]:
            raise SourceError(f"{folder / MANIFEST}: changed since it was written{ADVICE}")
        if changed_files(total):
            raise SourceError(f"{folder}: changed since it was written{ADVICE}")
        return total

    def _name(self, folder: Path) -> str:
        return f"{self.table}/{folder.parent.name}/{folder.name}"

    def _status(self, total: Release, wanted: Mapping[str, dict[str, str]], later: set[str]) -> Status:
        says = total.manifest
        if wanted.get(says.period) == says.added:
            replaced = says.period in later or self.lost.get(says.period, 0) > says.edition
            return "superseded" if replaced else "ready"
        taken = {
            each.release.manifest.name for all_ in self.periods.values() for each in all_ if each.status == "retracted"
        }
        return "retracted" if taken & says.added.keys() else "superseded"


def totals_of(catalog: Catalog, dataset: DatasetFile) -> list[TotalTable]:
    """All totals over time of a dataset."""
    return [TotalTable(catalog, dataset, total) for total in dataset.definition.totals]


def total_standings(catalog: Catalog, dataset: DatasetFile) -> list[Standing]:
    """Every edition of every total over time of a dataset that is as it was written; damaged ones are never shown."""
    return [each for totals in totals_of(catalog, dataset) for each in totals.intact]


def refuse_damaged_totals(catalog: Catalog, dataset: DatasetFile) -> None:
    """Raise SourceError when a total over time is not as it was written."""
    for totals in totals_of(catalog, dataset):
        totals.refuse_damaged()


def refresh_totals(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> None:
    """Write every total over time whose releases or finish are new. Charges nothing. Raises SourceError, for damaged
    totals once all others are written."""
    for totals in totals_of(catalog, dataset):
        finish = total_hash(dataset, totals.total)
        made = totals.ready
        due = [
            span
            for span in totals.spans
            if totals.added(span)
            and span.period.label not in totals.damaged
            and (span.period.label not in made or made[span.period.label].manifest.finishing_hash != finish)
        ]
        fingerprint = boundaries_fingerprint(dataset.source, workspace.data) if due else ""
        if due and not _approved(workspace, catalog, dataset, fingerprint):
            continue
        for span in due:
            releases = [totals.current[each.label] for each in span.addends]
            if _alike(dataset, fingerprint, releases):
                _write(totals, span, releases, finish)
    refuse_damaged_totals(catalog, dataset)


def computed(totals: TotalTable, span: Span, releases: Sequence[Release]) -> FinishedTable:
    """The table of one total, from the noisy numbers of its releases. Raises SourceError where one was changed."""
    addends = []
    for release in releases:
        totals.catalog.refuse_if_changed(release)
        statuses = read_published(release.tables[totals.total.level])
        withheld = statuses[f"{release.manifest.shape.measures[0].name}_status"].to_numpy() == "suppressed"
        addends.append(Addend(kept_draw(totals.dataset, release), withheld))
    return total_over_time(
        addends, totals.dataset.definition, totals.total, span.period, _windows(totals.dataset, span)
    )


def withheld(workspace: Workspace, totals: TotalTable) -> Iterator[str]:
    """A sentence for each reason why totals are not there, though their last period was released."""
    gone = [span for span in totals.spans if span.period.label not in totals.ready]
    for reason, group in groupby(gone, lambda span: _reason(workspace, totals, span)):
        labels = [span.period.label for span in group]
        yield f"Withheld: {labels[0] if len(labels) == 1 else f'{labels[0]} to {labels[-1]}'}, because {reason}."


def _reason(workspace: Workspace, totals: TotalTable, span: Span) -> str:
    missing = totals.missing(span)
    if missing:
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not published"
    if span.period.label in totals.damaged:
        return "what was computed is damaged; the publisher has to restore it"
    releases = [totals.current[each.label] for each in span.addends]
    try:
        fingerprint = boundaries_fingerprint(totals.dataset.source, workspace.data)
        alike = _alike(totals.dataset, fingerprint, releases)
        approved = _approved(workspace, totals.catalog, totals.dataset, fingerprint)
    except SourceError:  # a file that decides places is not here
        alike = approved = True
    if not alike:
        return f"its {totals.dataset.definition.period}s were counted in different ways"
    return "it has not been computed yet" if approved else "it is under review"


def _approved(workspace: Workspace, catalog: Catalog, dataset: DatasetFile, fingerprint: str) -> bool:
    """Whether the definition, with its totals and their finish, is approved where the workspace asks for that: nobody
    reviews a total."""
    state = definition_state(workspace, catalog.ledger, Identity(dataset, fingerprint))
    return state is None or state.state == "approved"


def _alike(dataset: DatasetFile, fingerprint: str, releases: Sequence[Release]) -> bool:
    """Whether all of them count what the definition counts; only their losses may differ."""
    hashes = hashes_of(dataset, fingerprint)
    return all(
        each.manifest.statistical_hash in hashes or same_counts(dataset, fingerprint, each.manifest.parts)
        for each in releases
    )


def _windows(dataset: DatasetFile, span: Span) -> int:
    """In how many windows of how many releases one unit may count; a record is in one."""
    privacy = dataset.source.definition.privacy
    return 1 if privacy.unit == "record" else sum(len(each.cut(privacy.window)) for each in span.addends)


def _write(totals: TotalTable, span: Span, releases: Sequence[Release], finish: str) -> None:
    """The next edition, entered in the ledger once it is durable. One that was not entered was never shown.

    If the newest edition is gone and its bytes come out again, they are put back.
    """
    finished = computed(totals, span, releases)
    label, table = span.period.label, totals.table
    names = [name.split("/") for name in totals.entered]
    last = max((int(each[2]) for each in names if each[:2] == [table, label]), default=0)
    manifest = manifest_of(finished, totals.dataset, releases, totals.added(span), last + 1, finish)
    if totals.lost.get(label) == last:
        before, wanted = manifest.model_copy(update={"edition": last}), totals.entered[f"{table}/{label}/{last}"]
        if totals.store.write(before, finished, totals.dataset, releases[-1], wanted) is not None:
            return
    made = totals.store.write(manifest, finished, totals.dataset, releases[-1])
    if made is not None:
        facts = {"dataset": table, "period": label, "edition": last + 1}
        totals.catalog.ledger.record("total", facts | {"manifest": hash_of(made.folder / MANIFEST).sha256})
