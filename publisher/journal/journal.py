"""The journal's file: entries are only added, each chained to the one before, and durable when `tell` returns.

`private/journal.jsonl` has one entry a line. The newest is also named outside the state folder, in
`<heads>/<id of the state folder>/journal/head`, so that a journal that was cut or restored is found. An entry that a
killed process was still writing is completed, or taken out and named by the next one. Whatever is wrong with the file,
more can be added: what was lost stays remembered in the head until a person has dealt with it.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.durable import remove_unfinished, sync, write_file, writing
from publisher.errors import SourceError
from publisher.journal.entry import GENESIS, Fact, claimed_hash, following, read_entry, who_acts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from publisher.journal.entry import JournalEntry

_BLOCK = 1 << 16

Place = tuple[int, str]
"""Where the chain stands: the sequence and the hash of an entry."""

NOWHERE: Place = (0, GENESIS)


@dataclass
class RememberedHead:
    """What is remembered of the journal outside the state folder."""

    newest: Place = NOWHERE
    lost: list[Place] = field(default_factory=list)
    """Newest entries that were no longer there when another was added."""
    damaged: bool = False


@dataclass(frozen=True)
class Journal:
    """The journal of one state folder; `head` is outside it, and None for a state that is thrown away."""

    path: Path
    head: Path | None

    def tell(self, *facts: Fact, ledger: int | None = None, who: str | None = None, settle: bool = True) -> None:
        """Add the facts; they are on disk when this returns. `ledger` is the last entry of the ledger that they tell.

        Without `settle`, the head stays behind until the next time. Raises SourceError when it cannot be written.
        """
        if not facts:
            return
        with self._opened() as file:
            last, before, lost = self._continue(file)
            told = ledger if ledger is not None else last.ledger if last is not None else None
            entries: list[JournalEntry] = []
            for fact in (*lost, *facts):
                entry = following(before, fact, who=who_acts() if who is None else who, ledger=told)
                before = (entry.sequence, entry.hash)
                entries.append(entry)
            _write(file, b"".join(entry.line + b"\n" for entry in entries))
            if settle:
                self._remember(file, before)

    def settle(self) -> None:
        """Let the head name the newest entry. Raises SourceError when it cannot be written."""
        last = self.newest()
        if last is not None and self.head is not None and self.remembered().newest != (last.sequence, last.hash):
            with self._opened() as file:
                self._remember(file, self._continue(file)[1])

    def newest(self) -> JournalEntry | None:
        """The last whole entry; None if there is none. Raises SourceError when it cannot be read."""
        try:
            with _readable(self.path) as file:
                return next((entry for line in _backward(file) if (entry := read_entry(line)) is not None), None)
        except FileNotFoundError:
            return None

    def lines(self) -> Iterator[bytes]:
        """Every line from the first, whatever it holds; one that is cut off has no end. Raises SourceError."""
        try:
            with _reading(self.path), self.path.open("rb") as file:
                yield from file
        except FileNotFoundError:
            return

    def remembered(self) -> RememberedHead:
        """What is remembered outside the state folder."""
        if self.head is None:
            return RememberedHead()
        try:
            says = json.loads(self.head.read_bytes())
            newest, *lost = [(int(number), str(digest)) for number, digest in (says["newest"], *says["lost"])]
            return RememberedHead(newest, lost)
        except FileNotFoundError:
            return RememberedHead()
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return RememberedHead(damaged=True)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The file for one writer at a time."""
        with writing(self.path):
            new = not self.path.exists()
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if new:
                    sync(self.path.parent)
                yield file
            finally:
                os.close(file)

    def _continue(self, file: int) -> tuple[JournalEntry | None, Place, list[Fact]]:
        """The last whole entry, where the next one goes on, and what is to be told first: an entry that was cut off
        while it was written is completed, or taken out."""
        size = os.fstat(file).st_size
        torn = size and os.pread(file, 1, size - 1) != b"\n"
        if torn:
            tail = next(_backward(file))
            if read_entry(tail) is not None:
                _write(file, b"\n")
                torn = False
            else:
                os.ftruncate(file, size - len(tail))
        damaged: list[bytes] = []
        for line in _backward(file):
            last = read_entry(line)
            if last is not None:
                break
            damaged.append(line)
        else:
            last = None
        before = (last.sequence, last.hash) if last is not None else NOWHERE
        for line in reversed(damaged):
            before = (before[0] + 1, claimed_hash(line))
        words = f"entry {before[0] + 1} was cut off while it was written: what it told is not known"
        return last, before, [Fact("torn", reason=words)] if torn else []

    def _remember(self, file: int, newest: Place) -> None:
        """Write the head; a head before that the file no longer has stays remembered as lost."""
        if self.head is None:
            return
        known = self.remembered()
        if known.newest != newest and not _holds(file, known.newest):
            known.lost.append(known.newest)
        content = {"newest": newest, "lost": known.lost}
        for folder in (self.head.parent.parent, self.head.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_unfinished(self.head.parent.glob(".*"))
        write_file(self.head, json.dumps(content).encode() + b"\n", mode=0o600)


def _write(file: int, content: bytes) -> None:
    """Add the content, durably, or nothing of it."""
    size, rest = os.fstat(file).st_size, memoryview(content)
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except OSError:  # a full disk
        os.ftruncate(file, size)
        raise


def _holds(file: int, place: Place) -> bool:
    """Whether the file has the entry; the newest lines are looked at first, and no more than needed."""
    if place == NOWHERE:
        return True
    for line in _backward(file):
        entry = read_entry(line)
        if entry is not None and entry.sequence <= place[0]:
            return (entry.sequence, entry.hash) == place
    return False


def _backward(file: int) -> Iterator[bytes]:
    """The lines of the file without their ends, the last one first; only as much is read as is asked for."""
    end, rest = os.fstat(file).st_size, b""
    first = True
    while end > 0:
        start = max(0, end - _BLOCK)
        block = os.pread(file, end - start, start) + rest
        if first:
            block, first = block.removesuffix(b"\n"), False
        rest, *lines = block.split(b"\n")
        yield from reversed(lines)
        end = start
    if rest or not first:
        yield rest


@contextmanager
def _readable(path: Path) -> Iterator[int]:
    with _reading(path):
        file = os.open(path, os.O_RDONLY)
        try:
            yield file
        finally:
            os.close(file)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SourceError(f"{path}: the journal cannot be read: {error.strerror or 'failed'}") from None


def read_entries(journal: Journal) -> Sequence[JournalEntry]:
    """Every whole entry, oldest first. Raises SourceError when the file cannot be read."""
    return [entry for line in journal.lines() if (entry := read_entry(line.removesuffix(b"\n"))) is not None]
