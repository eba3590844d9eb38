"""What the journal of a workspace is told: readings of records, landed files, and all that the ledger enters.

The ledger is durable by itself, and every entry of the journal says how far it has told the ledger. So whatever a
killed command left untold is told when the next one takes the lock.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from publisher.errors import PublisherError
from publisher.journal.entry import Fact
from publisher.journal.journal import Journal
from publisher.pipeline.charges import TUNING
from publisher.pipeline.decisions import NAMES
from publisher.pipeline.reviews import AUTOMATIC, TERMS
from publisher.privacy.installation import owner_of
from publisher.release.manifest import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from publisher.privacy.ledger import Entry, Ledger
    from publisher.records.batch import Batch
    from publisher.release.manifest import Release
    from publisher.workspace import SourceFile, Workspace

JOURNAL = "journal.jsonl"

_VERBS = {"accepted": "accept", "retracted": "retract", "restored": "restore"}
_KINDS = {name: _VERBS[what] for what, names in NAMES.items() for name in names} | {
    "charge": "charge",
    "release": "release",
    "amendment": "amend",
    "allowance": "allow",
    "approval": "approve",
    AUTOMATIC: "approve",
    "rejection": "reject",
    TERMS: "reviewers",
}
_OF_ITSELF = {AUTOMATIC: "it met the declared conditions"}
"""What happens without a person."""
_ITS_OWN = {"key", "validation", "total", "tuning"}
"""Entries of the ledger that tell nothing that a person or a release did."""


def journal_of(workspace: Workspace) -> Journal:
    """The workspace's journal; a rehearsal, which is thrown away, has one without a head outside."""
    private = workspace.private
    head = workspace.heads / owner_of(private) / "journal" / "head" if not workspace.feeds else None
    return Journal(private / JOURNAL, head)


def tell_reading(workspace: Workspace, purpose: str, *, source: str = "", dataset: str = "", period: str = "") -> None:
    """Tell, before records are read, who reads them and why. Raises SourceError when it cannot be told; a workspace
    that has no private folder yet keeps no journal."""
    if workspace.private.is_dir():
        fact = Fact("read", source=source, dataset=dataset, period=period, reason=purpose)
        journal_of(workspace).tell(fact)


def tell_landing(workspace: Workspace, source: SourceFile, batches: Sequence[Batch]) -> None:
    """Tell of files before they are there as landed records. Raises SourceError when it cannot be told."""
    facts = [Fact("land", source=source.name, reference=f"{each.file}, sha256 {each.sha256}") for each in batches]
    journal_of(workspace).tell(*facts, settle=False)


def tell_push(
    journal: Journal, ledger: Ledger, table: str, page: str, releases: Sequence[Release], reason: str = ""
) -> None:
    """Tell that a table on the portal was written; its newest release names what was sent, none that it is closed. What
    the ledger has entered is told before: nothing is pushed before it was released and approved."""
    follow(journal, ledger, settle=False)
    newest = releases[-1].manifest if releases else None
    fact = Fact(
        "push",
        dataset=table,
        period=newest.period if newest is not None else "",
        edition=newest.edition if newest is not None else None,
        reference=page + (f", manifest {releases[-1].hash_of(MANIFEST).sha256}" if newest is not None else ""),
        reason=reason,
    )
    with suppress(PublisherError):  # the portal itself says what it has
        journal.tell(fact)


def follow(journal: Journal, ledger: Ledger, *, who: str | None = None, settle: bool = True) -> None:
    """Tell what the ledger has entered since; what cannot be told now is told at the next occasion, since the ledger
    keeps it: the journal stops no release. `who` is who did it, if not who is at work."""
    with suppress(PublisherError):
        last = journal.newest()
        known = last.ledger if last is not None else None
        if known is None:  # what was entered before there was a journal is in the ledger alone
            journal.tell(Fact("begin"), ledger=ledger.newest(), settle=settle)
            return
        entries = ledger.since(known)
        facts = [fact for entry in entries for fact in _facts(entry)]
        if facts:
            journal.tell(*facts, ledger=entries[-1].sequence, who=who, settle=settle)
        if settle:
            journal.settle()


def untold(newest: int | None, ledger: Ledger) -> int:
    """How many entries of the ledger should be told and are not, of a journal that has told it up to `newest`."""
    return sum(bool(list(_facts(entry))) for entry in ledger.since(newest)) if newest is not None else 0


def _facts(entry: Entry) -> Iterable[Fact]:
    """What an entry of the ledger tells, if anything."""
    if entry.kind in _ITS_OWN:
        return
    says: dict[str, Any] = entry.payload
    dataset = str(says.get("dataset", ""))
    charged = entry.kind == "charge"
    manifest = f", manifest {says['manifest']}" if "manifest" in says else ""
    signed = f", signed by {says['reviewer']}" if "reviewer" in says else ""
    yield Fact(
        _KINDS.get(entry.kind, entry.kind),
        source=str(says.get("source", "")),
        dataset=dataset.removeprefix(TUNING),
        period=str(says.get("period", "")),
        edition=says.get("vintage", 1) if charged else says.get("edition"),
        reference=f"ledger entry {entry.sequence}{manifest}{signed}",
        reason=_OF_ITSELF.get(entry.kind) or ("tune" if dataset.startswith(TUNING) else str(says.get("reason", ""))),
    )
