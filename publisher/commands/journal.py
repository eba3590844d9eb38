"""`publisher journal`: who did what, when and why."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from publisher.errors import DefinitionError, SourceError
from publisher.journal.journal import read_entries
from publisher.pipeline.journaling import journal_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.journal.entry import JournalEntry
    from publisher.workspace import Workspace

KINDS = (
    "begin",
    "land",
    "read",
    "charge",
    "release",
    "accept",
    "approve",
    "reject",
    "reviewers",
    "retract",
    "restore",
    "amend",
    "allow",
    "push",
    "purge",
    "case",
    "grant",
    "backup",
    "torn",
)
"""What entries are about."""

_WIDTH = 80
_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


@dataclass(frozen=True)
class JournalFilter:
    """Which entries are wanted; what is None or empty excludes none. A dataset's tables on the portal are its own."""

    source: str | None = None
    dataset: str | None = None
    first: date | None = None
    last: date | None = None
    kinds: Sequence[str] = ()

    def takes(self, entry: JournalEntry) -> bool:
        """Whether it is one of them."""
        fact, day = entry.fact, date.fromisoformat(entry.at[:10])
        return (
            self.source in (None, fact.source)
            and self.dataset in (None, fact.dataset)
            and (self.first is None or day >= self.first)
            and (self.last is None or day <= self.last)
            and (not self.kinds or fact.kind in self.kinds)
        )


def day_of(text: str | None, option: str) -> date | None:
    """The day that an option names. Raises DefinitionError."""
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError:
        raise DefinitionError(f"{option}: {text!r} is not a day such as 2026-11-30") from None


def chosen(workspace: Workspace, wanted: JournalFilter) -> list[JournalEntry]:
    """The entries, oldest first. Raises SourceError."""
    if not workspace.private.is_dir():
        raise SourceError(f"{workspace.private} does not exist yet: run `publisher init` or `publisher run` first")
    return [entry for entry in read_entries(journal_of(workspace)) if wanted.takes(entry)]


def lines(entries: Sequence[JournalEntry]) -> Iterator[str]:
    """Lines of at most 80 columns; hashes are cut to their first 12 digits."""
    for entry in entries:
        fact = entry.fact
        edition = f"edition {fact.edition}" if fact.edition is not None else ""
        subject = " ".join(filter(None, (fact.dataset or fact.source, fact.period, edition)))
        by = f"{entry.who} by `publisher {entry.command}`" if entry.command else entry.who
        words = [f"{entry.at[:16].replace('T', ' ')}  {fact.kind:<9}  {subject or '-'}"]
        months = fact.details.get("months", [])
        by = f"{by}; months: {', '.join(months)}" if months else by
        words += [_HASH.sub(r"\1…", each) for each in (by, fact.reference, fact.reason) if each]
        yield from _wrapped(words[0], "")
        for each in words[1:]:
            yield from _wrapped(each, " " * 18)


def _wrapped(words: str, indent: str) -> list[str]:
    return textwrap.wrap(words, _WIDTH, initial_indent=indent, subsequent_indent=indent or " " * 18)
