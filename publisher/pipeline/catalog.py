"""The releases of each dataset, whether they passed, and which of them are current."""

from __future__ import annotations

import hashlib
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from publisher.durable import write_file
from publisher.errors import SourceError
from publisher.pipeline.decisions import NAMES, decide, decisions
from publisher.pipeline.reviews import AUTOMATIC, Reviews, record_decision, reviews_of
from publisher.release import pack_index, packs
from publisher.release.manifest import MANIFEST
from publisher.release.store import refuse_if_changed
from publisher.release.validation import Validation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.approvals.approval import Approval
    from publisher.definitions.source import Late
    from publisher.journal.journal import Journal
    from publisher.pipeline.decisions import Key, ReleaseDecision
    from publisher.pipeline.reviews import ReviewState
    from publisher.privacy.ledger import Ledger
    from publisher.release.manifest import Release
    from publisher.release.store import ReleaseStore

_A_RESULT = re.compile(r"[0-9][^/]*/[0-9]+\.json")

Status = Literal["ready", "waiting for approval", "rejected", "held", "unchecked", "retracted", "superseded"]


@dataclass(frozen=True)
class Standing:
    """A release and its status; `validation` is None until it is checked."""

    release: Release
    validation: Validation | None
    status: Status
    decisions: Sequence[ReleaseDecision] = ()
    """What people decided about it, oldest first."""
    review: ReviewState | None = None
    """What reviewers decided about it; None where the workspace asks for no review."""


@dataclass(frozen=True)
class _Record:
    """What the ledger has about one dataset's releases."""

    decided: Mapping[Key, Sequence[ReleaseDecision]]
    checked: Mapping[str, str]
    """The SHA-256 of the last check of each release, of all datasets."""


@dataclass(frozen=True)
class _Indexed:
    """The results in a pack by its index; none if there is no index of this very file."""

    pack: packs.Identity | None
    results: Mapping[str, tuple[str, Validation]]


@dataclass(frozen=True)
class Catalog:
    """Read the store and the ledger together.

    The standings of a period are found once, until something is written about it: only the owner of the lock writes.
    """

    store: ReleaseStore
    ledger: Ledger
    journal: Journal
    """It follows the ledger."""
    reviewed: bool = False
    """Whether the workspace asks for review: a release that was not approved is not current."""
    _periods: dict[tuple[str, str], list[Standing]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _records: dict[str, _Record] = field(default_factory=dict, init=False, repr=False, compare=False)
    _reviews: dict[str, Reviews] = field(default_factory=dict, init=False, repr=False, compare=False)
    _beside: dict[str, set[str]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By dataset, the periods that have results of checks outside of packs."""
    _indexed: dict[Path, _Indexed] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By pack of results, what its index has."""

    @property
    def by_the_files(self) -> Catalog:
        """The same for whoever verifies: it reads what packs have, whatever is kept of it."""
        return replace(self, store=replace(self.store, indexed=False))

    def standings(self, dataset: str) -> list[Standing]:
        """Every release of a dataset with its status, by period and edition. Raises SourceError when one cannot be
        read."""
        self._refuse_damaged_packs(dataset)
        return [each for period in self.store.periods(dataset) for each in self._of_period(dataset, period)]

    def standing(self, release: Release) -> Standing:
        """One release with its status."""
        says = release.manifest
        editions = self._of_period(says.dataset, says.period)
        return next(each for each in editions if each.release.manifest.edition == says.edition)

    def current(self, dataset: str) -> list[Release]:
        """The releases that are or should be public: for each period, the newest that passed or was accepted, and was
        not retracted."""
        return [each.release for each in self.standings(dataset) if each.status == "ready"]

    def before(self, dataset: str, period: str) -> Release | None:
        """The release of the last earlier period that has one that passed or was accepted, approved yet or not."""
        return self._last(dataset, period, ("ready", "waiting for approval"))

    def compared_with(self, release: Release) -> Release | None:
        """What readers see until the release is public: the current edition of its period, or else of the last earlier
        period that has one."""
        says = release.manifest
        for standing in reversed(self._of_period(says.dataset, says.period)):
            if standing.status == "ready" and standing.release.manifest.edition < says.edition:
                return standing.release
        return self._last(says.dataset, says.period, ("ready",))

    def _last(self, dataset: str, period: str, wanted: Sequence[Status]) -> Release | None:
        for earlier in reversed([each for each in self.store.periods(dataset) if each < period]):
            for standing in reversed(self._of_period(dataset, earlier)):
                if standing.status in wanted:
                    return standing.release
        return None

    def refuse_if_changed(self, release: Release) -> None:
        """Raise SourceError if a release is no longer as the ledger recorded it."""
        says = release.manifest
        recorded = self.ledger.manifests().get(f"{says.dataset}/{says.period}/{says.edition}")
        if recorded is not None and recorded != hashlib.sha256(release.content(MANIFEST)).hexdigest():
            raise SourceError(f"{release.folder / MANIFEST}: changed since it was written: restore it from a backup")
        refuse_if_changed(release)

    def validation(self, release: Release, recorded: Mapping[str, str] | None = None) -> Validation | None:
        """The last check of a release against its suite; None if there is none that the ledger has `recorded`."""
        checked = self._checked(release)
        if checked is None:
            return None
        digest, found = checked
        says = release.manifest
        known = self._record(says.dataset).checked if recorded is None else recorded
        # A result that someone else wrote is none: the release is checked again. A ledger from before results were
        # recorded has none at all, until they are adopted.
        return found if not known or known.get(says.name) == digest else None

    def _checked(self, release: Release) -> tuple[str, Validation] | None:
        """The result of a release's last check after the SHA-256 of its file; None if there is none."""
        says = release.manifest
        if says.period not in self._lying_beside(says.dataset) and self.store.indexed:
            pack = packs.pack_of(self._results(says.dataset), says.period)
            indexed = self._index(pack).results.get(f"{says.period}/{says.edition}.json")
            if indexed is not None:
                return indexed
        try:
            content = self.result(release)
            found = Validation.model_validate_json(content) if content is not None else None
        except (OSError, ValueError):
            raise SourceError(self._damaged(release)) from None
        if content is None or found is None:
            return None
        return hashlib.sha256(content).hexdigest(), found

    def _index(self, pack: Path) -> _Indexed:
        if pack not in self._indexed:
            identity = packs.identity_of(pack)
            place = self.store.index_of(pack)
            found = pack_index.read_results(place, identity) if identity is not None else None
            self._indexed[pack] = _Indexed(identity, found) if found is not None else _Indexed(None, {})
        return self._indexed[pack]

    def index(self, dataset: str) -> None:
        """Keep the manifests and the results of a dataset's packs whose indexes are missing, or of another file. Raises
        SourceError when one cannot be read or written."""
        self.store.index(dataset)
        for pack in packs.packs_in(self._results(dataset)):
            identity = packs.identity_of(pack)
            if identity is not None and self._index(pack).pack != identity:
                names = filter(_A_RESULT.fullmatch, packs.entries_of(pack))
                read = {name: _result(pack, name) for name in names}
                found = {name: result for name, result in read.items() if result is not None}
                pack_index.write_results(self.store.index_of(pack), identity, found)
                self._indexed.pop(pack)

    def validation_path(self, release: Release) -> Path:
        """Where the result of a release's last check is, unless it is packed."""
        return Path(f"{self.store.public}/validations/{release.manifest.name}.json")

    def result(self, release: Release) -> bytes | None:
        """The file with the result of a release's last check: that of its own, or else the one in the pack; None if
        there is none. Raises OSError when it cannot be read, SourceError when the pack is damaged."""
        says = release.manifest
        beside = self._lying_beside(says.dataset)  # before the packs: what is packed meanwhile is seen in one of them
        name = f"{says.period}/{says.edition}.json"
        packed = packs.read_packed(self._results(says.dataset), name)
        if packed is None or says.period in beside:
            with suppress(FileNotFoundError):
                return self.validation_path(release).read_bytes()
            packed = packs.read_packed(self._results(says.dataset), name)
        return packed

    def _lying_beside(self, dataset: str) -> set[str]:
        """The periods that have results of checks outside of packs."""
        if dataset not in self._beside:
            self._beside[dataset] = set(packs.numbered(self._results(dataset)))
        return self._beside[dataset]

    def unpacked_years(self, dataset: str) -> set[str]:
        """The years of which releases, or results of checks, lie outside of packs."""
        folders = (self.store.root / dataset, self._results(dataset))
        return {period[: packs.YEAR] for folder in folders for period in packs.numbered(folder)}

    def unpacked_results(self, dataset: str, year: str) -> dict[str, list[int]]:
        """By period of a year, the editions whose result is in a file of its own."""
        found: dict[str, list[int]] = {}
        for path in sorted(self._results(dataset).glob(f"{year}*/[0-9]*.json")):
            found.setdefault(path.parent.name, []).append(int(path.stem))
        return found

    def pack_results(self, dataset: str, year: str, releases: Sequence[Release]) -> None:
        """Move the results of these releases' checks into the pack of their year. Raises SourceError."""
        names = {f"{each.manifest.period}/{each.manifest.edition}.json" for each in releases}
        packs.pack(self._results(dataset), year, names, 0o644, newer=True)

    def _refuse_damaged_packs(self, dataset: str) -> None:
        """Raise SourceError when nobody knows all releases of a dataset: none may be taken for one that never was."""
        for pack in self.store.damaged(dataset):
            raise SourceError(f"{pack} is damaged: restore it from a backup: a release is never drawn twice")

    def _damaged(self, release: Release) -> str:
        """That a result is damaged, and what to do."""
        says, path = release.manifest, self.validation_path(release)
        if path.exists():
            return f"{path} is damaged: delete it, then run `publisher revalidate` to check the release again"
        pack = packs.pack_of(self._results(says.dataset), says.period)
        return f"{pack}: the result for {says.name} is damaged: restore it from a backup"

    def _results(self, dataset: str) -> Path:
        return self.store.public / "validations" / dataset

    def keep(self, release: Release, validation: Validation) -> None:
        """Write the result of a check, once the ledger has its hash; the release itself does not change.

        If people accepted the release, the result has their reason.
        """
        says = release.manifest
        made = self._record(says.dataset).decided.get((says.period, says.edition), ())
        accepted = next((each.reason for each in made if _covers(each, validation)), "")
        content = validation.model_copy(update={"accepted": accepted}).model_dump_json(indent=2).encode() + b"\n"
        self._enter_validation(says.dataset, says.period, says.edition, content)
        write_file(self.validation_path(release), content)
        self._lying_beside(says.dataset).add(says.period)
        self._forget(release)

    def adopt(self) -> None:
        """Enter the results of checks from before the ledger recorded them; one that it lacks later is nobody's."""
        if self.ledger.validations():
            return
        results = self.store.public / "validations"
        for path in sorted(results.glob("*/[0-9]*/[0-9]*.json")):
            dataset, period, edition = path.relative_to(results).with_suffix("").parts
            self._enter_validation(dataset, period, int(edition), path.read_bytes())
        self._records.clear()
        self._periods.clear()

    def _enter_validation(self, dataset: str, period: str, edition: int, content: bytes) -> None:
        facts = {"dataset": dataset, "period": period, "edition": edition}
        self.ledger.record("validation", facts | {"sha256": hashlib.sha256(content).hexdigest()})

    def reconcile(self, dataset: str) -> None:
        """Make ledger and store agree after a crash: record visible releases that the ledger does not have.

        Raises SourceError when a release that the ledger has is missing: it must never be drawn again.
        """
        self._refuse_damaged_packs(dataset)
        entries = self.ledger.about(dataset, "release")
        known = {(entry.payload["period"], entry.payload["edition"]) for entry in entries}
        there = {(period, n) for period in self.store.periods(dataset) for n in self.store.numbers(dataset, period)}
        gone = sorted(f"{dataset}/{period}/{edition}" for period, edition in known - there)
        if gone:
            raise SourceError(
                f"releases are missing from {self.store.root}: {', '.join(gone[:5])}. "
                f"Restore the folder from a backup: a release is never drawn twice."
            )
        for period, edition in sorted(there - known):
            self.enter(self.store.named(f"{dataset}/{period}/{edition}"))

    def enter(self, release: Release) -> None:
        """Record a visible release in the ledger. Raises BudgetError when it has the edition with other content."""
        says = release.manifest
        self.ledger.record(
            "release",
            {
                "dataset": says.dataset,
                "period": says.period,
                "edition": says.edition,
                "statistical_hash": says.statistical_hash,
                "manifest": hashlib.sha256(release.content(MANIFEST)).hexdigest(),
            },
            drawn=says.ledger.hash,
        )
        self._forget(release)

    def retract(self, release: Release, reason: str, *, undo: bool = False) -> None:
        """Retract a release, or (`undo`) restore it; the folder stays."""
        decide(self.ledger, "restored" if undo else "retracted", release, reason)
        self._forget(release)

    def accept(self, release: Release, validation: Validation, reason: str) -> None:
        """Let a release that does not meet the expectations of people be published all the same."""
        decide(self.ledger, "accepted", release, reason, validation.words)
        self._forget(release)
        self.keep(release, validation)

    def review(self, made: Approval) -> None:
        """Record what a reviewer decided about a release or a definition."""
        record_decision(self.ledger, self.store.public, made)
        self._reviews.pop(made.subject.dataset, None)
        self._periods.clear()

    def approve_automatically(self, release: Release) -> None:
        """Record that a release met the conditions under which it needs no reviewer."""
        says = release.manifest
        facts = {"dataset": says.dataset, "period": says.period, "edition": says.edition}
        self.ledger.record(AUTOMATIC, facts | {"manifest": self.store.sha256(says.name)})
        self._forget(release)

    def reviews(self, dataset: str) -> Reviews:
        """What reviewers decided about a dataset."""
        if dataset not in self._reviews:
            self._reviews[dataset] = reviews_of(self.ledger, self.store.public, dataset)
        return self._reviews[dataset]

    def newest(self, dataset: str, releases: Sequence[Release], *, retracted: bool) -> Release:
        """The one of these releases of a dataset that, by the ledger, was released (or `retracted`) last."""
        kinds = NAMES["retracted"] if retracted else ("release",)
        entries = self.ledger.about(dataset, *kinds)
        last = {(each.payload["period"], each.payload["edition"]): each.sequence for each in entries}
        # A killed run may have left one that it did not record: nothing is newer.
        return max(releases, key=lambda each: last.get((each.manifest.period, each.manifest.edition), math.inf))

    def _of_period(self, dataset: str, period: str) -> list[Standing]:
        """The editions of a period, oldest first; the newest that is ready supersedes the others that are."""
        if (dataset, period) in self._periods:
            return self._periods[dataset, period]
        standings: list[Standing] = []
        for release in reversed(self.store.editions(dataset, period)):
            validation = self.validation(release)
            made = self._record(dataset).decided.get((period, release.manifest.edition), ())
            status, review = _status(validation, made), None
            if self.reviewed:
                review = self.reviews(dataset).of_release(release, self.store.sha256(release.manifest.name))
                status = _reviewed(status, review)
            if status == "ready" and any(each.status == "ready" for each in standings):
                status = "superseded"
            standings.append(Standing(release, validation, status, made, review))
        self._periods[dataset, period] = standings[::-1]
        return self._periods[dataset, period]

    def _record(self, dataset: str) -> _Record:
        if dataset not in self._records:
            self._records[dataset] = _Record(decisions(self.ledger, dataset), self.ledger.validations())
        return self._records[dataset]

    def _forget(self, release: Release) -> None:
        """Something was written about the release."""
        self._periods.pop((release.manifest.dataset, release.manifest.period), None)
        self._records.pop(release.manifest.dataset, None)
        self._reviews.pop(release.manifest.dataset, None)


def _result(pack: Path, name: str) -> tuple[str, Validation] | None:
    """A result in a pack, after the SHA-256 of its file; None if it is damaged, which whoever needs it is told."""
    try:
        content = packs.read_packed(pack.parent, name) or b""
        return hashlib.sha256(content).hexdigest(), Validation.model_validate_json(content)
    except (OSError, ValueError):
        return None


def closed_periods(late: Late | None, standings: Sequence[Standing]) -> set[str]:
    """The periods of which no further scheduled edition is drawn: it would add to one that is retracted."""
    if late is None or late.policy == "charge":  # each edition counts everything again
        return set()
    return {each.release.manifest.period for each in standings if each.status == "retracted"}


def _covers(decision: ReleaseDecision, validation: Validation) -> bool:
    """Whether a person accepted all that fails now: other limits or other failures are another question."""
    return decision.what == "accepted" and set(validation.words) <= set(decision.although)


def _status(validation: Validation | None, decided: Sequence[ReleaseDecision]) -> Status:
    taken = [each.what for each in decided if each.what != "accepted"]
    if taken[-1:] == ["retracted"]:
        return "retracted"
    if validation is None:
        return "unchecked"
    accepted = validation.acceptable and any(_covers(each, validation) for each in decided)
    return "ready" if validation.passed or accepted else "held"


def _reviewed(status: Status, review: ReviewState) -> Status:
    """The status of a release that passed, by what reviewers decided."""
    if status != "ready" or review.state == "approved":
        return status
    return review.state
