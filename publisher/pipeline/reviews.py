"""What reviewers decided about releases and definitions: the ledger says that they did, signed files say what.

What counts is judged by the terms at the time: how many approvals were asked for when a release was made, and who was a
reviewer when something was decided. Later changes of publisher.toml take nothing back.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from publisher.approvals.approval import Approval, DefinitionSubject, ReleaseSubject
from publisher.durable import write_file
from publisher.errors import ApprovalError, SourceError
from publisher.release.identity import conditions_hash, totals_hash
from publisher.release.table import level_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from publisher.definitions.settings import ReviewSettings
    from publisher.pipeline.job import Identity
    from publisher.privacy.chain import Entry
    from publisher.privacy.ledger import Ledger
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace

State = Literal["approved", "waiting for approval", "rejected"]

TERMS = "reviewers"
"""The ledger's kind of entry that says who reviews from then on."""

KINDS = {"approval": "approved", "rejection": "rejected"}
"""The ledger's kinds of entries for what a reviewer decided."""

AUTOMATIC = "automatic_approval"

FOLDER = "approvals"
"""In the public folder."""


@dataclass(frozen=True)
class Terms:
    """Who reviews, from one entry of the ledger to the next."""

    sequence: int
    hash: str
    """Of the entry."""
    required: int
    """Zero: review was switched off."""
    reviewers: Mapping[str, str]


@dataclass(frozen=True)
class ReviewEntry:
    """The ledger's entry of one reviewer's last decision about one subject."""

    sequence: int
    at: str
    place: str
    reviewer: str
    decision: str
    sha256: str
    hash: str
    """Of the entry."""
    before: str
    """The hash of the reviewer's entry about the subject before this one; empty if it is the first."""

    @property
    def file(self) -> str:
        """Its file, in the folder of approvals."""
        return f"{self.place}/{self.reviewer}.json"


@dataclass(frozen=True)
class ReviewState:
    """What reviewers decided about one subject."""

    required: int
    approvals: tuple[Approval, ...] = ()
    """Those that count, one for each key."""
    rejections: tuple[Approval, ...] = ()
    automatic: bool = False
    doubts: tuple[str, ...] = ()
    """Why an approval that there is does not count."""
    damaged: bool = False
    """Whether a rejection is recorded whose file is not whole: who removes the file lifts no rejection."""

    @property
    def rejected(self) -> bool:
        """Whether a reviewer rejected it."""
        return bool(self.rejections) or self.damaged

    @property
    def state(self) -> State:
        """Whether it is approved."""
        if self.rejected:
            return "rejected"
        return "approved" if self.automatic or len(self.approvals) >= self.required else "waiting for approval"

    @property
    def words(self) -> str:
        """Why it is not approved."""
        if self.rejections:
            return "; ".join(f"{each.reviewer} rejected it: {each.reason}" for each in self.rejections)
        counted = f"{len(self.approvals)} of {self.required} approvals" if self.approvals or self.required > 1 else ""
        return "; ".join((*filter(None, [counted]), *self.doubts))


@dataclass(frozen=True)
class Reviews:
    """What reviewers decided about one dataset, as the ledger and the files have it at this moment."""

    public: Path
    dataset: str
    terms: tuple[Terms, ...]
    entered: Mapping[tuple[str, int], int]
    """By period and edition: the entry of each release."""
    entries: Mapping[tuple[str, str], ReviewEntry]
    """By place and reviewer: the last decision."""
    automatic: Mapping[tuple[str, int], str]
    """By period and edition: the manifest of each release that was approved automatically."""

    def terms_at(self, sequence: int | None) -> Terms | None:
        """The terms before an entry; None before the first. Those of today for what is not entered yet."""
        known = [each for each in self.terms if sequence is None or each.sequence < sequence]
        return known[-1] if known else None

    def of_release(self, release: Release, manifest: str) -> ReviewState:
        """What was decided about a release whose manifest has this SHA-256."""
        says = release.manifest
        key = says.period, says.edition
        terms = self.terms_at(self.entered.get(key))
        if terms is None or not terms.required:
            return ReviewState(0, automatic=True)
        subject = release_subject(release, manifest)
        definitions = self._definitions(says.statistical_hash)
        whole, doubts, damaged = self._decided(subject.place, manifest)
        approvals, rejections = {}, []
        for found, entry in whole:
            if found.decision == "rejected":
                rejections.append(found)
            elif found.reviewer in {each.editor for each, _, of in definitions if of.sequence < entry.sequence}:
                doubts.append(f"the approval of {found.reviewer}, who edited the definition, does not count")
            else:
                approvals[found.public_key] = found
        automatic = self.automatic.get(key) == manifest
        counted = tuple(approvals.values()), tuple(rejections)
        return ReviewState(terms.required, *counted, automatic, tuple(doubts), damaged)

    def of_definition(self, wanted: DefinitionSubject, settings: ReviewSettings, now: datetime) -> ReviewState:
        """What was decided about a definition, and still counts."""
        _, doubts, damaged = self._decided(self._definition(wanted.statistical_hash))
        approvals, rejections = {}, []
        decided = self._definitions(wanted.statistical_hash)
        editors = self.editors(wanted.statistical_hash)
        for subject, made, entry in decided:
            ends = datetime.fromisoformat(entry.at) + timedelta(days=settings.definition_days)
            if made.decision == "rejected":
                rejections.append(made)
            elif ends <= now:
                doubts.append(f"the approval of {made.reviewer} expired on {ends.date().isoformat()}")
            elif more := _more(wanted, subject):
                doubts.append(f"{made.reviewer} approved it with another {more}")
            elif made.reviewer in editors:
                doubts.append(f"the approval of {made.reviewer}, who edited it, does not count")
            else:
                approvals[made.public_key] = made
        counted = tuple(approvals.values()), tuple(rejections)
        return ReviewState(settings.required, *counted, doubts=tuple(doubts), damaged=damaged)

    def approved_automatic(self, wanted: DefinitionSubject, settings: ReviewSettings, now: datetime) -> bool:
        """Whether the definition is approved with the conditions of automatic approval that it has now."""
        found = self.of_definition(wanted, settings, now)
        subjects = [each.subject for each in found.approvals]
        same = all(isinstance(each, DefinitionSubject) and each.automatic == wanted.automatic for each in subjects)
        return bool(wanted.automatic) and found.state == "approved" and same

    def editors(self, statistical_hash: str) -> set[str]:
        """Who edited a definition last, as those who approved it know it."""
        return {each.editor for each, made, _ in self._definitions(statistical_hash) if made.decision == "approved"}

    def last_definition(self) -> DefinitionSubject | None:
        """The definition of the dataset that was last approved by as many as were asked for; None if there is none."""
        keys: dict[str, set[str]] = defaultdict(set)
        last = None
        for entry in sorted(self.entries.values(), key=lambda each: each.sequence):
            if entry.decision == "approved" and entry.place.startswith(f"{self.dataset}/definition/"):
                try:
                    found = self.read(entry)
                except SourceError:
                    continue
                terms, subject = self.terms_at(entry.sequence), found.subject
                if isinstance(subject, DefinitionSubject) and terms is not None:
                    keys[subject.text].add(found.public_key)
                    last = subject if len(keys[subject.text]) >= terms.required else last
        return last

    def follows(self, place: str, reviewer: str) -> str:
        """What a decision that is signed now says that it follows."""
        before = self.entries.get((place, reviewer))
        return before.hash if before is not None else self._began(None)

    def faults(self, manifests: Mapping[str, str]) -> Iterator[str]:
        """Everything that is wrong with the files: changed, forged, gone, or not recorded."""
        for entry in self.entries.values():
            try:
                self.read(entry, manifests.get(entry.place))
            except SourceError as error:
                yield str(error)
        known = {self.path(entry) for entry in self.entries.values()}
        for path in sorted((self.public / FOLDER / self.dataset).rglob("*.json")):
            if path not in known and not path.name.startswith("."):
                yield f"{path}: is an approval that was never recorded, so it does not count: remove it"

    def path(self, entry: ReviewEntry) -> Path:
        """The file of a decision."""
        return self.public / FOLDER / entry.file

    def read(self, entry: ReviewEntry, manifest: str | None = None) -> Approval:
        """A decision, checked: recorded, signed by its reviewer, and about this subject. Raises SourceError."""
        path = self.path(entry)
        try:
            content = path.read_bytes()
            found = Approval.model_validate_json(content)
        except FileNotFoundError:
            raise SourceError(f"{path}: the approval is gone: restore it from a backup, or decide again") from None
        except (OSError, ValueError):
            raise SourceError(f"{path}: the approval cannot be read: restore it from a backup") from None
        if wrong := self._wrong(entry, found, content, manifest):
            raise SourceError(f"{path}: {wrong}: it does not count")
        return found

    def _wrong(self, entry: ReviewEntry, found: Approval, content: bytes, manifest: str | None) -> str:
        """What is wrong with a decision, if anything is."""
        terms, name, subject = self.terms_at(entry.sequence), entry.reviewer, found.subject
        key = terms.reviewers.get(name) if terms is not None else None
        elsewhere = (found.reviewer, found.decision, subject.place) != (name, entry.decision, entry.place)
        wrong = {
            "the approval was changed after it was written": hashlib.sha256(content).hexdigest() != entry.sha256,
            "the approval is about something else": elsewhere,
            f"the approval was signed with a key that was not {name}'s in publisher.toml": found.public_key != key,
            f"the signature is not {name}'s": not found.genuine,
            "the approval is about a release with other content": isinstance(subject, ReleaseSubject)
            and subject.manifest != manifest,
            "the approval was signed for another workspace, or before a later decision, and was put back": found.follows
            != (entry.before or self._began(entry.sequence)),
        }
        return next((words for words, is_so in wrong.items() if is_so), "")

    def _began(self, sequence: int | None) -> str:
        """What a reviewer's first decision about a subject follows: the terms, which no other ledger has."""
        terms = self.terms_at(sequence)
        return terms.hash if terms is not None else ""

    def _decided(
        self, place: str, manifest: str | None = None
    ) -> tuple[list[tuple[Approval, ReviewEntry]], list[str], bool]:
        """Every whole decision about a subject, what is wrong with the others, and whether one of them rejected it."""
        whole, doubts, damaged = [], [], False
        for entry in self._places.get(place, ()):
            try:
                whole.append((self.read(entry, manifest), entry))
            except SourceError as error:
                doubts.append(str(error))
                damaged = damaged or entry.decision == "rejected"
        return whole, doubts, damaged

    @cached_property
    def _places(self) -> Mapping[str, list[ReviewEntry]]:
        """The last decisions of all reviewers, by place."""
        found: dict[str, list[ReviewEntry]] = defaultdict(list)
        for entry in self.entries.values():
            found[entry.place].append(entry)
        return found

    def _definition(self, statistical_hash: str) -> str:
        """The place of a definition."""
        return f"{self.dataset}/definition/{statistical_hash}"

    def _definitions(self, statistical_hash: str) -> list[tuple[DefinitionSubject, Approval, ReviewEntry]]:
        """Every whole decision about a definition."""
        whole, _, _ = self._decided(self._definition(statistical_hash))
        return [(made.subject, made, entry) for made, entry in whole if isinstance(made.subject, DefinitionSubject)]


def _more(wanted: DefinitionSubject, approved: DefinitionSubject) -> str:
    """What the source may spend more of, or what is made of its releases, that was not approved."""
    if wanted.totals and wanted.totals != approved.totals:
        return "set of totals over time, or another way to finish them"
    if Fraction(wanted.budget) > Fraction(approved.budget):
        return "budget, which was smaller"
    return "budget of δ, which was smaller" if Fraction(wanted.delta) > Fraction(approved.delta) else ""


def reviews_of(ledger: Ledger, public: Path, dataset: str) -> Reviews:
    """What reviewers decided about a dataset."""
    entries: dict[tuple[str, str], ReviewEntry] = {}
    for entry in ledger.about(dataset, *KINDS):
        says = entry.payload
        if not _own(ledger, entry):
            continue
        key = says["place"], says["reviewer"]
        before = entries[key].hash if key in entries else ""
        made = KINDS[entry.kind], says["sha256"], entry.hash
        entries[key] = ReviewEntry(entry.sequence, entry.at, *key, *made, before)
    entered: dict[tuple[str, int], int] = {}
    for entry in ledger.about(dataset, "release"):
        entered.setdefault((entry.payload["period"], entry.payload["edition"]), entry.sequence)
    automatic = {
        (each.payload["period"], each.payload["edition"]): each.payload["manifest"]
        for each in ledger.about(dataset, AUTOMATIC)
    }
    return Reviews(public, dataset, terms_of(ledger), entered, entries, automatic)


def terms_of(ledger: Ledger) -> tuple[Terms, ...]:
    """Who reviewed when, oldest first."""
    return tuple(
        Terms(each.sequence, each.hash, each.payload["required"], each.payload["reviewers"])
        for each in ledger.entries(TERMS)
        if _own(ledger, each)
    )


def _own(ledger: Ledger, entry: Entry) -> bool:
    """Whether the entry is of this state folder: several can share a ledger."""
    return bool(entry.payload.get("owner", ledger.owner) == ledger.owner)


def record_terms(ledger: Ledger, settings: ReviewSettings | None) -> None:
    """Record who reviews from now on, if that has changed."""
    last = terms_of(ledger)[-1:]
    now = (settings.required, dict(settings.reviewers)) if settings is not None else (0, {})
    if now != ((last[0].required, dict(last[0].reviewers)) if last else (0, {})):
        ledger.record(TERMS, {"owner": ledger.owner, "required": now[0], "reviewers": now[1]})


def record_decision(ledger: Ledger, public: Path, made: Approval) -> None:
    """Enter a signed decision in the ledger, then write its file."""
    kind = next(kind for kind, decision in KINDS.items() if decision == made.decision)
    facts: dict[str, object] = {"owner": ledger.owner, "dataset": made.subject.dataset, "place": made.subject.place}
    if isinstance(made.subject, ReleaseSubject):
        facts |= {"period": made.subject.period, "edition": made.subject.edition}
    digest = hashlib.sha256(made.content).hexdigest()
    ledger.record(kind, facts | {"reviewer": made.reviewer, "reason": made.reason, "sha256": digest})
    write_file(public / FOLDER / made.subject.place / f"{made.reviewer}.json", made.content)


def release_subject(release: Release, manifest: str) -> ReleaseSubject:
    """What is signed of a release whose manifest has this SHA-256."""
    says = release.manifest
    return ReleaseSubject(
        dataset=says.dataset,
        period=says.period,
        edition=says.edition,
        manifest=manifest,
        statistical_hash=says.statistical_hash,
    )


def definition_subject(workspace: Workspace, identity: Identity, text: str = "", editor: str = "") -> DefinitionSubject:
    """What is signed of a definition as it is now."""
    dataset = identity.dataset
    privacy = dataset.source.definition.privacy
    return DefinitionSubject(
        dataset=dataset.name,
        statistical_hash=identity.hashes[0],
        budget=str(Fraction(privacy.budget)),
        delta=str(Fraction(privacy.delta)),
        automatic=_conditions(workspace, dataset),
        totals=totals_hash(dataset),
        text=text,
        editor=editor,
    )


def _conditions(workspace: Workspace, dataset: DatasetFile) -> str:
    """The hash over when its releases need no reviewer, and over all that this depends on besides the draw."""
    if dataset.definition.automatic_approval is None:
        return ""
    tables = [dataset.named(level) for level in level_names(dataset.definition)]
    suites = {name: workspace.suite(name) for name in tables}
    return conditions_hash(dataset, {name: path.read_bytes() for name, path in suites.items() if path.is_file()})


def refuse_unapproved(workspace: Workspace, ledger: Ledger, identity: Identity) -> None:
    """Raise ApprovalError where the workspace asks for review and the definition is not approved."""
    found = definition_state(workspace, ledger, identity)
    if found is None or found.state == "approved":
        return
    name = identity.dataset.name
    why = f" ({found.words})" if found.words else ""
    raise ApprovalError(
        f"{name}: its definition is {'rejected' if found.rejected else 'not approved'}{why}, so nothing is charged. "
        f"`publisher review {name}` shows it, and the command that approves it."
    )


def definition_state(workspace: Workspace, ledger: Ledger, identity: Identity) -> ReviewState | None:
    """What was decided about a definition as it is now; None where the workspace asks for no review."""
    settings = workspace.review
    if settings is None:
        return None
    found = reviews_of(ledger, workspace.public, identity.dataset.name)
    return found.of_definition(definition_subject(workspace, identity), settings, datetime.now(UTC))
