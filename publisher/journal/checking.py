"""Whether the journal is as it was written: every entry in its place, and none of those remembered elsewhere gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from publisher.journal.entry import claimed_hash, read_entry
from publisher.journal.journal import NOWHERE

if TYPE_CHECKING:
    from publisher.journal.journal import Journal, Place, RememberedHead

_FEW = 5


class JournalCheck(NamedTuple):
    """What was looked at, and what is wrong."""

    entries: int
    faults: list[str]
    newest_ledger: int | None
    """The last entry of the ledger that the journal tells."""


def check_journal(journal: Journal) -> JournalCheck:
    """Read the whole journal; each fault names its entry. Raises SourceError when it cannot be read."""
    remembered = journal.remembered()  # before the entries, to which another command may add meanwhile
    faults: list[str] = []
    before: Place = NOWHERE
    known: dict[int, str] = {}
    told: int | None = None
    torn = False
    for number, line in enumerate(journal.lines(), 1):
        text = line.removesuffix(b"\n")
        entry = read_entry(text)
        torn = entry is None and not line.endswith(b"\n")
        if entry is None:
            if not torn:
                faults.append(f"entry {number} of the journal was changed")
        elif (entry.sequence, entry.previous) != (before[0] + 1, before[1]):
            faults.append(f"entry {number} of the journal does not follow the one before it: {_why(entry.sequence)}")
        else:
            told = entry.ledger
        if not torn:
            before = (entry.sequence if entry is not None else before[0] + 1, claimed_hash(text))
            known[before[0]] = before[1]
    return JournalCheck(len(known), [*faults[:_FEW], *_lost(journal, remembered, known)], told)


def _why(sequence: int) -> str:
    return f"it says that it is entry {sequence}; entries were removed, inserted or put into another order"


def _lost(journal: Journal, remembered: RememberedHead, known: dict[int, str]) -> list[str]:
    """The remembered entries that are no longer there."""
    head = journal.head
    if remembered.damaged:
        return [f"{head}: is damaged: delete it, and the next entry of the journal writes it again"]
    return [
        f"{head} remembers entry {sequence} of the journal, which it no longer has: the journal was cut, restored or "
        f"changed. Restore the newest copy; if there is none, delete that file: the next entry writes it again"
        for sequence, digest in (remembered.newest, *remembered.lost)
        if sequence and known.get(sequence) != digest
    ]
