"""What the ledger says besides charges: each entry is read once, and found by its kind, dataset or edition."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.privacy.chain import edition_of, entry_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from publisher.privacy.chain import Edition, Entry, Row

CHARGE = "charge"
"""The one kind that is not kept here: charges are long, and the history has what they spend."""

HASHES = {"release": "manifest", "total": "manifest", "validation": "sha256"}
"""The kinds that name what an edition is made of, and the field that does."""


@dataclass
class Facts:
    """The entries up to the last one read. Nothing is verified: the history and `publisher verify` do that."""

    sequence: int = 0
    _unread: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    """By kind; they are understood when someone asks for the kind, so that one that is damaged hides no other."""
    _entries: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    _about: dict[tuple[str, str], list[Entry]] = field(default_factory=lambda: defaultdict(list))
    """By kind and dataset."""
    _hashes: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """By kind: the last hash of each edition, by its name."""
    _first: dict[tuple[str, Edition], str | None] = field(default_factory=dict)
    """By kind and edition: the hash that it was first entered with."""

    def follow(self, rows: Iterable[Row]) -> None:
        """Add the entries after the last one."""
        for row in rows:
            self._unread[row.kind].append(row)
            self.sequence = row.sequence

    def of(self, kinds: Iterable[str]) -> list[Entry]:
        """The entries of these kinds, oldest first. Raises BudgetError when one can no longer be read."""
        return sorted((each for kind in kinds for each in self._read(kind)), key=lambda entry: entry.sequence)

    def about(self, dataset: str, kinds: Iterable[str]) -> list[Entry]:
        """Those that are about one dataset."""
        found: list[Entry] = []
        for kind in kinds:
            self._read(kind)
            found += self._about.get((kind, dataset), ())
        return sorted(found, key=lambda entry: entry.sequence)

    def hashes(self, kind: str) -> Mapping[str, str]:
        """The last hash of each edition that entries of the kind are about, by its name, such as town/2020-01/1."""
        self._read(kind)
        return self._hashes[kind]

    def first(self, kind: str, edition: Edition) -> tuple[bool, str | None]:
        """Whether the edition was entered, and the hash that it was first entered with."""
        self._read(kind)
        return (kind, edition) in self._first, self._first.get((kind, edition))

    def _read(self, kind: str) -> list[Entry]:
        entries = self._entries[kind]
        fresh = [entry_of(row) for row in self._unread.get(kind, ())]
        self._unread.pop(kind, None)  # not before all were understood: whoever asks again must be refused again
        for entry in fresh:
            entries.append(entry)
            self._about[kind, str(entry.payload.get("dataset"))].append(entry)
            edition = edition_of(entry.payload)
            if kind in HASHES and edition is not None:
                digest = entry.payload.get(HASHES[kind])
                self._hashes[kind]["/".join(map(str, edition))] = str(digest)
                self._first.setdefault((kind, edition), digest)
        return entries
