"""Rows brought together by unit: each part has all rows of its units, and is small enough for a processor's cache.

A unit is its 128 bits and its window. Parts are made by a mix of both, and so are numbers inside a part; what is one
unit is decided by comparing every bit. No result depends on parts or numbers, since each unit is bounded by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from publisher.engine.order import Words
    from publisher.stages import Integers

    Rows = dict[str, NDArray[Any]]
    """Columns of rows by their name: `unit` (16 bytes), `_window` (numbers), and what belongs to them."""

PART_ROWS = 100_000
"""About how many rows a part should have."""

BYTES = 256
"""Rows are divided by the highest byte of the mix of their unit and its window; a part has those of one or several."""

_IDENTITY = ("unit", "_window")
"""The columns that make a unit."""


@dataclass(frozen=True)
class Part:
    """All rows of some units: those with bytes from `begin` to before `end`."""

    held: list[tuple[Rows, Integers]]
    begin: int
    end: int

    def rows(self) -> Rows:
        """Its rows, one after the other in memory."""
        import numpy as np

        pieces = [(rows, ends[self.begin], ends[self.end]) for rows, ends in self.held]
        return {name: np.concatenate([rows[name][a:b] for rows, a, b in pieces]) for name in self.held[0][0]}


@dataclass
class HeldRows:
    """Rows in memory, batches that are sorted by byte. What does not fit is left for a later pass over all rows."""

    begin: int
    """The first byte whose rows are held."""
    most: int
    """About how many bytes of memory they may take."""
    end: int = BYTES
    """The first byte after them: it falls when there are too many rows."""
    held: list[tuple[Rows, Integers]] = field(default_factory=list)
    """Batches of rows; and by byte where its rows begin, then where the last ones end."""
    _size: int = 0

    def add(self, rows: Rows) -> None:
        """Hold a batch too."""
        import numpy as np

        byte = (_mixed(rows) >> np.uint64(56)).astype(np.uint8)
        order = np.argsort(byte, kind="stable")  # of bytes: counted, not compared
        ends = np.append(0, np.cumsum(np.bincount(byte, minlength=BYTES)))
        self._hold({name: column.take(order) for name, column in rows.items()}, ends)
        while self._size > self.most and self.end - self.begin > 1:
            self.end = (self.begin + self.end) // 2
            before, self.held, self._size = self.held[::-1], [], 0
            while before:  # one by one, so that no batch is in memory twice
                self._hold(*before.pop())

    def parts(self) -> list[Part]:
        """The rows in parts."""
        count = sum(int(ends[-1]) for _, ends in self.held)
        step = max(1, (self.end - self.begin) * PART_ROWS // max(1, count))
        ends = [min(begin + step, self.end) for begin in range(self.begin, self.end, step)]
        return [Part(self.held, begin, end) for begin, end in pairwise([self.begin, *ends])] if count else []

    def _hold(self, rows: Rows, ends: Integers) -> None:
        """Hold what a batch has of the bytes that are wanted."""
        import numpy as np

        first, last = ends[self.begin], ends[self.end]
        if last - first < ends[-1]:
            rows = {name: column[first:last].copy() for name, column in rows.items()}
            ends = np.clip(ends, first, last) - first
        self.held.append((rows, ends))
        self._size += sum(column.nbytes for column in rows.values())


def in_parts(read: Callable[[], Iterable[Rows]], most: int) -> Iterator[list[Part]]:
    """Rows of people in parts, pass by pass: as many at once as fit into that many bytes of memory, but at least one
    byte's. `read` reads all of them again."""
    begin = 0
    while begin < BYTES:
        rows = HeldRows(begin, most)
        for batch in read():
            rows.add(batch)
        parts, begin = rows.parts(), rows.end
        del rows
        yield parts
        parts.clear()  # before the next rows are read


def numbered(rows: Rows) -> tuple[Integers, Integers]:
    """A number for each row, the same for rows of one unit and for no other; and for each number one of its rows.

    A unit claims the place that its mix names in a table. If several claim one, it belongs to one of them, and the rows
    of the others, whose bits differ, look for places in another table. Numbers without a unit have the row -1.
    """
    import numpy as np

    size = len(rows["unit"])
    numbers, owners = np.empty(size, np.int64), np.empty(0, np.int64)
    left, turn = np.arange(size), 0
    while len(left):
        some: Rows = rows if turn == 0 else {name: rows[name].take(left) for name in _IDENTITY if name in rows}
        bits = max(1, (len(left) - 1).bit_length())
        # The highest bits are nearly the same in a part.
        place = (_mixed(some, turn) >> np.uint64(56 - bits) & np.uint64((1 << bits) - 1)).astype(np.int64)
        owner = np.full(1 << bits, -1)
        owner[place] = left
        same = _alike(some, rows, owner[place])
        numbers[left] = place + len(owners)
        owners = np.append(owners, owner)
        left, turn = left[~same], turn + 1
    return numbers, owners


def halves(identifiers: NDArray[np.void]) -> tuple[Words, Words]:
    """The two halves of identifiers of 16 bytes."""
    import numpy as np

    words = identifiers.view(">u8").astype(np.uint64)
    return words[::2], words[1::2]


def _alike(some: Rows, rows: Rows, others: Integers) -> NDArray[np.bool_]:
    """Whether each row has the same unit, in all 128 bits, and the same window as the other one."""
    import numpy as np

    mine, theirs = some["unit"].view(np.uint64), rows["unit"].take(others).view(np.uint64)
    equal = mine == theirs
    found: NDArray[np.bool_] = equal[::2] & equal[1::2]
    return found & (some["_window"] == rows["_window"].take(others)) if "_window" in rows else found


def _mixed(rows: Rows, turn: int = 0) -> Words:
    """64 bits of each unit and its window, other ones at each turn; the highest are mixed best."""
    import numpy as np

    words = rows["unit"].view(np.uint64)
    mixed = words[1::2] * np.uint64(0x9E3779B97F4A7C15 + 2 * turn)
    if "_window" in rows:
        mixed += rows["_window"].astype(np.uint64)
    mixed ^= mixed >> np.uint64(32)
    mixed ^= words[::2]
    mixed *= np.uint64(0xBF58476D1CE4E5B9 + 2 * turn)
    return mixed
