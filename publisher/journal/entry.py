"""What an entry of the journal says, and the hash that chains it to the one before."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

GENESIS = "0" * 64

COMMAND: ContextVar[str] = ContextVar("COMMAND", default="")
"""The command that is at work; empty where publisher is called from Python."""

_LONGEST_NAME = 80


@dataclass(frozen=True)
class Fact:
    """What is told: never a value or a count of records."""

    kind: str
    """begin, land, read, charge, release, accept, approve, reject, reviewers, retract, restore, amend, allow, push,
    purge, case, grant, backup, or torn."""
    source: str = ""
    dataset: str = ""
    period: str = ""
    edition: int | None = None
    reference: str = ""
    """What it is about: an entry of the ledger, the hash of a release or a file, a page of the portal."""
    reason: str = ""
    """Why, in a person's words or as a fixed purpose."""
    details: dict[str, Any] = field(default_factory=dict)
    """The certificate of a purge."""


@dataclass(frozen=True)
class JournalEntry:
    """A fact in the journal, with who, when, by which command, and its place in the chain."""

    sequence: int
    at: str
    who: str
    command: str
    fact: Fact
    ledger: int | None
    """The last entry of the ledger that this journal has told; None if it has followed none yet."""
    previous: str
    hash: str

    @property
    def fields(self) -> dict[str, Any]:
        """Every field, in order, as it is written and as `--json` prints it."""
        return {
            "sequence": self.sequence,
            "at": self.at,
            "who": self.who,
            "command": self.command,
            **asdict(self.fact),
            "ledger": self.ledger,
            "previous": self.previous,
            "hash": self.hash,
        }

    @property
    def line(self) -> bytes:
        """As it stands in the file, without the end of the line."""
        return _text(self.fields).encode()


def following(previous: tuple[int, str], fact: Fact, *, who: str, ledger: int | None) -> JournalEntry:
    """The entry after the one of that sequence and hash."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    entry = JournalEntry(previous[0] + 1, at, who, COMMAND.get(), fact, ledger, previous[1], "")
    return JournalEntry(**(vars(entry) | {"hash": _digest(entry)}))


def read_entry(line: bytes) -> JournalEntry | None:
    """The entry in a line of the file; None if the line is not, byte for byte, what was written."""
    try:
        says = json.loads(line)
        fact = Fact(**{name: says.pop(name) for name in Fact.__dataclass_fields__})
        entry = JournalEntry(fact=fact, **says)
        datetime.fromisoformat(entry.at)
        numbers = type(entry.sequence) is int and type(entry.ledger) in (int, type(None))
        whole = entry.hash == _digest(entry) and entry.line == line and numbers
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return entry if whole else None


def claimed_hash(line: bytes) -> str:
    """The hash by which the next entry names a line, also one that was changed."""
    try:
        claimed = json.loads(line)["hash"]
    except (ValueError, TypeError, KeyError, RecursionError):
        claimed = None
    return claimed if isinstance(claimed, str) else hashlib.sha256(line).hexdigest()


def who_acts() -> str:
    """The operating system's user, after the name in PUBLISHER_USER if one is given."""
    try:
        login = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user may have no name
        login = f"user {os.getuid()}"
    given = " ".join(os.environ.get("PUBLISHER_USER", "").split())[:_LONGEST_NAME]
    return f"{given} ({login})" if given and given.isprintable() else login


def _digest(entry: JournalEntry) -> str:
    return hashlib.sha256(_text(entry.fields | {"hash": ""}).encode()).hexdigest()


def _text(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
