"""The public ledger as someone outside reads it: what its lines, the tree over them and the charges in them say.

Nothing here opens a ledger's database or the private folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from publisher.errors import BudgetError
from publisher.pipeline.public_ledger import SHOWN, SPENDING, PublicEntry
from publisher.privacy.account import NOTHING, LossAmount, blocks_of
from publisher.privacy.chain import GENESIS, Row, entry_hash, leaf_of_hash, payload_hash
from publisher.privacy.history import History
from publisher.privacy.merkle import MerkleTree, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Payload = dict[str, Any]

_DECISION: dict[str, type] = {"place": str, "reviewer": str, "sha256": str, "owner": str}
_SAYS: dict[str, dict[str, type]] = {
    "release": {"dataset": str, "period": str, "edition": int},
    "approval": _DECISION,
    "rejection": _DECISION,
    "reviewers": {"owner": str, "reviewers": dict},
}
"""What an entry of each kind that is not counted has to say."""


@dataclass(frozen=True)
class PublicLedger:
    """The lines that could be read, in order, and what is wrong with the file."""

    entries: Sequence[PublicEntry]
    faults: Sequence[str] = ()
    _payloads: dict[int, Payload] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def size(self) -> int:
        """How many entries there are."""
        return len(self.entries)

    @cached_property
    def tree(self) -> MerkleTree:
        """Over the entries."""
        leaves = (leaf_of_hash(each.sequence, each.kind, each.at, each.sha256, each.previous) for each in self.entries)
        return MerkleTree([leaf_hash(leaf) for leaf in leaves])

    def of(self, *kinds: str) -> list[tuple[PublicEntry, Payload]]:
        """The entries of these kinds with what they say, oldest first."""
        return [(each, self._said(each)) for each in self.entries if each.kind in kinds and each.payload is not None]

    def hash_of(self, entry: PublicEntry) -> str:
        """The hash of an entry that is shown."""
        return entry_hash(entry.sequence, entry.kind, entry.at, entry.payload or "", entry.previous)

    def spent(self, source: str, counted: Callable[[PublicEntry, Payload], bool]) -> Mapping[str, LossAmount]:
        """What every block of a source has spent by the entries that are counted, as dates are read by then."""
        history = History()
        for entry, payload in self.of(*SPENDING):
            if counted(entry, payload):
                history.count(Row(entry.sequence, entry.kind, entry.at, entry.payload or "", entry.previous, ""))
        return {name: block.spent for (_, name), block in blocks_of(history.every(source)).items()}

    def over_budget(self) -> list[str]:
        """The blocks that have spent more than their source's largest budget and what decisions allow."""
        budgets: dict[str, LossAmount] = {}
        history = History()
        for entry, payload in self.of(*SPENDING):
            history.count(Row(entry.sequence, entry.kind, entry.at, entry.payload or "", entry.previous, ""))
            if entry.kind == "charge":
                most = budgets.get(payload["source"], NOTHING)
                own = LossAmount(Fraction(payload["budget"]), Fraction(payload.get("delta_budget", "0")))
                budgets[payload["source"]] = LossAmount(max(most.loss, own.loss), max(most.delta, own.delta))
        return [
            f"the block {block} of {source} has spent more than its budget"
            for source, most in sorted(budgets.items())
            for block, spent in sorted(self.spent(source, lambda *_: True).items())
            if _exceeds(spent, most, history.allowed(source).get(block, NOTHING))
        ]

    def _said(self, entry: PublicEntry) -> Payload:
        if entry.sequence not in self._payloads:
            self._payloads[entry.sequence] = json.loads(entry.payload or "{}")
        return self._payloads[entry.sequence]


def _exceeds(spent: LossAmount, most: LossAmount, more: LossAmount) -> bool:
    return spent.loss > most.loss + more.loss or spent.delta > most.delta + more.delta


def read_public_ledger(content: bytes) -> PublicLedger:
    """The lines of `ledger.jsonl`; each fault names the first entry that is not as it was written."""
    entries: list[PublicEntry] = []
    previous: str | None = GENESIS
    for number, line in enumerate(content.splitlines(), 1):
        try:
            entry = PublicEntry.model_validate_json(line)
        except ValueError:
            return PublicLedger(entries, [f"ledger entry {number} cannot be read"])
        if wrong := _wrong(entry, number, previous):
            return PublicLedger(entries, [f"ledger entry {number} {wrong}"])
        entries.append(entry)
        shown = entry.payload is not None
        previous = entry_hash(number, entry.kind, entry.at, entry.payload or "", entry.previous) if shown else None
    try:
        found = PublicLedger(entries)
        return PublicLedger(entries, found.over_budget())
    except (BudgetError, ValueError, KeyError, TypeError, AttributeError):
        return PublicLedger(entries, ["a charge in the ledger cannot be read"])


def _wrong(entry: PublicEntry, number: int, previous: str | None) -> str:
    """What is wrong with a line, which follows an entry of that hash; None if that is not shown."""
    if entry.sequence != number:
        return "is missing, or lines were put into another order"
    if previous is not None and entry.previous != previous:
        return f"does not follow entry {number - 1}: one of the two was changed"
    if (entry.payload is None) == (entry.kind in SHOWN):
        return "does not show what an entry of its kind shows"
    if entry.payload is not None and payload_hash(entry.payload) != entry.sha256:
        return "was changed"
    return "" if entry.payload is None or _says(entry.kind, entry.payload) else "cannot be read"


def _says(kind: str, payload: str) -> bool:
    try:
        said = json.loads(payload)
    except ValueError:
        return False
    return isinstance(said, dict) and all(
        isinstance(said.get(name), form) for name, form in _SAYS.get(kind, {}).items()
    )
