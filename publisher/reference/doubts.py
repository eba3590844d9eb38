"""What is odd about the keys of a dataset: blanks, keys that look alike, and keys that no row can have.

Everything is found in public files, never in records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.definitions.likeness import likeness, twins
from publisher.reference.reachable import reachable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from publisher.definitions.keyset import Keyset
    from publisher.workspace import CoarserFile, DatasetFile

SHOWN = 5
"""The most keys that a sentence names."""


def doubts(dataset: DatasetFile, data: Path) -> Iterator[str]:
    """A sentence for each oddity of its keysets; `data` is where the boundaries are."""
    for key, keyset in zip(dataset.definition.keys, dataset.keysets, strict=True):
        if key.keyset is not None:
            yield from _look(keyset, key.keyset, key.other)
            yield from _unreachable(dataset, key.name, keyset, key.other, data)
    finer = {key.name: keyset for key, keyset in zip(dataset.definition.keys, dataset.keysets, strict=True)}
    others = {key.name: key.other for key in dataset.definition.keys}
    for each in dataset.coarser:
        yield from _look(each.keyset, each.definition.keyset, each.definition.other)
        known = finer[each.of]
        if known.keys:  # not where keys are discovered
            yield from _mapped(each, {*known.keys, others[each.of]})
        finer[each.definition.name] = each.keyset
        others[each.definition.name] = each.definition.other


def file_of(keyset: str) -> str:
    """The keyset's path as people know it."""
    return f"datasets/keysets/{keyset}.csv"


def _look(keyset: Keyset, name: str, other: str) -> Iterator[str]:
    ragged = [key for key in keyset.keys if key != key.strip()]
    if ragged:
        yield f"{file_of(name)}: {_named(ragged)}: blanks at the ends, so records may not match: remove them"
    for before, key in twins(keyset.keys):
        yield f"{file_of(name)}: {before!r} and {key!r} look alike, but each gets rows of its own: keep one of them"
    for key in keyset.keys:
        if key != other and likeness(key) == likeness(other):
            yield f"{file_of(name)}: {key!r} looks like {other!r}, which is `other`: write both in the same way"


def _unreachable(dataset: DatasetFile, column: str, keyset: Keyset, other: str, data: Path) -> Iterator[str]:
    found = reachable(dataset, column, data)
    if found is None:
        return
    left = [key for key in keyset.keys if key not in found.keys and key != other]
    if left:
        words = (
            f"{_named(left)}: no row of {dataset.name} can have {_this(left)}, because {_it(left)} not {found.origin}"
        )
        yield f"{file_of(keyset.name)}: {words}{_meant(left, found.keys)}"


def _mapped(coarser: CoarserFile, finer: set[str]) -> Iterator[str]:
    definition, mapping = coarser.definition, coarser.mapping
    strange = [row[0] for row in mapping.rows if row[0] not in finer]
    if strange:
        words = f"{_named(strange)}: is no key of {definition.of}, so the line has no effect"
        yield f"{file_of(mapping.name)}: {words}{_meant(strange, finer)}"
    reached = {row[1] for row in mapping.rows if row[0] in finer}
    left = [key for key in coarser.keyset.keys if key not in reached and key != definition.other]
    if left:
        words = f"no key of {definition.of} belongs to {_this(left)}, so {_it(left)} not in the table"
        yield f"{file_of(definition.keyset)}: {_named(left)}: {words}"


def _named(keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN:,} more" if len(keys) > SHOWN else ""
    return ", ".join(map(repr, keys[:SHOWN])) + more


def _this(keys: list[str]) -> str:
    return "this key" if len(keys) == 1 else "these keys"


def _it(keys: list[str]) -> str:
    return "it is" if len(keys) == 1 else "they are"


def _meant(keys: list[str], there: Collection[str]) -> str:
    """The spelling that is meant where a key differs from one only in case, accents, or blanks."""
    alike = {likeness(each): each for each in there}
    meant = [alike[likeness(key)] for key in keys if likeness(key) in alike]
    return f". Do you mean {_named(meant)}?" if meant else ""
