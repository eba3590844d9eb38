"""What people decided about releases, with their reasons: accepted although held, retracted, restored."""

from __future__ import annotations

import getpass
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from publisher.errors import DefinitionError
from publisher.identifiers import IDENTIFIERS
from publisher.release.structure import with_article

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.privacy.ledger import Ledger
    from publisher.release.manifest import Release

What = Literal["accepted", "retracted", "restored"]
Key = tuple[str, int]
"""A release of a dataset: its period and edition."""

NAMES: dict[What, tuple[str, ...]] = {
    "accepted": ("acceptance",),
    "retracted": ("retraction", "withdrawal"),
    "restored": ("restoration", "reinstatement"),
}
"""What the ledger calls each; the second names are in older ledgers."""

_LONGEST = 500


@dataclass(frozen=True)
class ReleaseDecision:
    """One decision about one release."""

    what: What
    at: str
    """In ISO 8601."""
    reason: str
    """Public; empty in older ledgers."""
    by: str
    """Who was logged in."""
    although: tuple[str, ...] = ()
    """What was not as expected when the release was accepted."""


def decisions(ledger: Ledger, dataset: str) -> Mapping[Key, Sequence[ReleaseDecision]]:
    """Every decision about a dataset's releases, oldest first."""
    whats = {name: what for what, names in NAMES.items() for name in names}
    found: dict[Key, list[ReleaseDecision]] = defaultdict(list)
    for entry in ledger.about(dataset, *whats):
        says = entry.payload
        decision = ReleaseDecision(
            whats[entry.kind], entry.at, says.get("reason", ""), says.get("by", ""), tuple(says.get("although", ()))
        )
        found[says["period"], says["edition"]].append(decision)
    return found


def decide(ledger: Ledger, what: What, release: Release, reason: str, although: Sequence[str] = ()) -> None:
    """Record a decision: which release, why, who, and when."""
    says = release.manifest
    payload = {"dataset": says.dataset, "period": says.period, "edition": says.edition, "reason": reason, "by": _who()}
    ledger.record(NAMES[what][0], payload | ({"although": list(although)} if although else {}))


def public_reason(text: str) -> str:
    """The reason on one line. Raises DefinitionError if it cannot be shown to everyone."""
    reason = " ".join(text.split())
    if not reason or len(reason) > _LONGEST or not reason.isprintable():
        raise DefinitionError(f"--reason: write one sentence of at most {_LONGEST} characters; everyone can read it")
    for thing, regex in IDENTIFIERS.items():
        if re.search(regex, reason):
            raise DefinitionError(f"--reason: everyone can read it, and it has what looks like {with_article(thing)}")
    return reason


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return ""
