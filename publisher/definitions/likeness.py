"""Texts that people take for the same although they differ in case, accents, or blanks."""

from __future__ import annotations

import unicodedata
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

LISTED = 10
"""The most names that a message lists."""


def likeness(text: str) -> str:
    """The text without case, accents, and blanks.

    >>> likeness(" Peña  Blanca") == likeness("PENA BLANCA")
    True
    """
    apart = unicodedata.normalize("NFKD", text)
    return "".join(c for c in apart if not unicodedata.combining(c) and not c.isspace()).casefold()


def twins(keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each key that is not the same as an earlier one but looks like it, after the earlier one."""
    seen: dict[str, str] = {}
    for key in keys:
        before = seen.setdefault(likeness(key), key)
        if before != key:
            yield before, key


def near(name: str, there: Iterable[str]) -> list[str]:
    """The names among those that are there that may be meant, the most similar first."""
    known = {likeness(each): each for each in reversed(list(there))}
    return [known[each] for each in get_close_matches(likeness(name), known, n=3, cutoff=0.7)]


def there_is(name: str, there: Collection[str]) -> str:
    """Words for a message: what may be meant by a name that does not exist, or else what exists."""
    if close := near(name, there):
        return f"do you mean {' or '.join(close)}?"
    shown = ", ".join(list(there)[:LISTED]) or "nothing"
    return f"there is: {shown}{f' and {len(there) - LISTED} more' if len(there) > LISTED else ''}"
