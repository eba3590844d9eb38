"""A public list of keys as it was found, and as a keyset: no blanks at ends, repeated keys, or keys that look alike.

What can be meant in only one way is corrected and said; anything else is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions.keyset import MOST_KEYS, too_many
from publisher.definitions.likeness import twins
from publisher.errors import DefinitionError
from publisher.identifiers import IDENTIFIERS
from publisher.release.structure import with_article

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class PublicList:
    """Entries of a public list: their number in it, key, and label."""

    origin: str
    """Where the list is and what of it was read, in words."""
    entry: str
    """What an entry is called, such as line or feature."""
    labeled: bool
    ordered: bool
    """Whether people have put the entries in order; otherwise they get the order of their keys."""
    entries: Iterable[tuple[int, str, str]]
    tabular: bool = False
    """Whether it may be a table of records, if keys come again."""
    repeated: int = 0
    """How often keys came again before the entries were read, where the portal has put them together."""


@dataclass(frozen=True)
class PublicKeys:
    """The keys of a list in order, with labels if it has some."""

    keys: tuple[str, ...]
    labels: tuple[str, ...] | None
    corrected: tuple[str, ...]
    """What was corrected, in words."""
    repeated: int
    """How many entries have the key of an earlier one."""


def keys_of(found: PublicList) -> PublicKeys:
    """The keys of the list. Raises DefinitionError for a list that cannot be a keyset."""
    gathered = _Gathered(found)
    for number, key, label in found.entries:
        gathered.add(number, key, label)
    if not gathered.labels:
        raise DefinitionError(f"{found.origin}: has no key: correct --from or --key. Nothing was written")
    for before, key in twins(gathered.labels):
        _refuse(found, gathered.first[key], f"the key {key!r} looks like {before!r}: keep one of them in the file")
    _refuse_identifiers(found, gathered)
    keys = list(gathered.labels) if found.ordered else sorted(gathered.labels, key=_natural)
    labels = tuple(gathered.labels[key] or key for key in keys) if found.labeled else None
    return PublicKeys(tuple(keys), labels, tuple(gathered.corrected()), found.repeated + gathered.repeated)


class _Gathered:
    """The keys so far with their labels, and what was corrected."""

    def __init__(self, found: PublicList) -> None:
        self.found = found
        self.labels: dict[str, str] = {}
        self.first: dict[str, int] = {}
        self.ragged = self.empty = self.repeated = 0

    def add(self, number: int, key: str, label: str) -> None:
        clean, label = key.strip(), label.strip()
        if not clean:
            self.empty += 1
            return
        self.ragged += clean != key
        if clean not in self.labels:
            self._enter(number, clean, label)
            return
        self.repeated += 1
        known = self.labels[clean]
        if known and label and known != label:
            words = f"the key {clean!r} has the label {label!r}, but {known!r} in {self._where(self.first[clean])}"
            _refuse(self.found, number, f"{words}: keep one of them in the file")
        self.labels[clean] = known or label

    def _enter(self, number: int, key: str, label: str) -> None:
        if not (key + label).isprintable():
            _refuse(self.found, number, "its key or label has a line break or a control character: remove it")
        if len(self.labels) == MOST_KEYS:
            raise DefinitionError(f"{self.found.origin}: {too_many()}. Nothing was written")
        self.labels[key], self.first[key] = label, number

    def _where(self, number: int) -> str:
        return f"{self.found.entry} {number}"

    def corrected(self) -> Iterable[str]:
        entry = self.found.entry
        if self.ragged:
            yield f"{self.ragged:,} {entry}(s) with blanks around the key: the blanks were removed"
        if self.empty:
            yield f"{self.empty:,} {entry}(s) without a key: left out"
        if self.repeated:
            yield f"{self.repeated:,} {entry}(s) with a key that came before: each key is written once"
        bare = [key for key, label in self.labels.items() if not label] if self.found.labeled else []
        if bare:
            yield f"{len(bare):,} key(s) without a label, such as {bare[0]!r}: labeled with the key itself"


def _refuse(found: PublicList, number: int, words: str) -> None:
    raise DefinitionError(f"{found.origin}: {found.entry} {number}: {words}. Nothing was written")


def _refuse_identifiers(found: PublicList, gathered: _Gathered) -> None:
    """Every release would be held for such a key; the message does not repeat it."""
    for thing, regex in IDENTIFIERS.items():
        pattern = re.compile(regex)
        for key, label in gathered.labels.items():
            if pattern.search(key) or pattern.search(label):
                words = f"the key or its label looks like {with_article(thing)}, so every release would be held"
                _refuse(found, gathered.first[key], f"{words}: write it in another way, or use another column")


def _natural(key: str) -> list[tuple[int, int, str]]:
    """Orders numbers in texts as numbers: Ward 2 before Ward 10."""
    parts = re.split(r"(\d{1,18})", key)
    return [(1, int(part), "") if n % 2 else (0, 0, part.casefold()) for n, part in enumerate(parts)]
