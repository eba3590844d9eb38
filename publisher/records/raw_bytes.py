"""What the bytes of a raw file show in one pass over it: its digest, and what cells cannot have."""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE = 1 << 16
_QUOTE, _BREAK = b'"'[0], b"\n"[0]
_ODD_BLANKS = ((b"\t", b"\v", b"\f"), (b"\xc2", b"\xe1", b"\xe2", b"\xe3"))
"""Bytes of which one is in every blank but the space, in UTF-8: those of ASCII, and the others."""


@dataclass(frozen=True)
class Seen:
    """What was seen in a file."""

    sha256: str
    plain: bool
    """No byte order mark, no carriage return, and no blank first line, which DuckDB would take for the header."""
    quoted: bool
    """Whether there is a quote."""
    spaces: bool
    """Whether no blank in UTF-8 is another than a space or a line end."""


def look(path: Path) -> Seen:
    """Look at a raw file; if it was looked at before and has not changed, say the same. Raises SourceError."""
    try:
        status = path.stat()
        return _look(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise SourceError(f"{path.name}: cannot be read: {error.strerror}") from None


@lru_cache(maxsize=1 << 16)  # all files of a landing are looked at before the first is read again
def _look(path: Path, _size: int, _modified: int) -> Seen:
    digest, clean, quoted, spaces = hashlib.sha256(), True, False, True
    with path.open("rb") as file:
        clean = not file.read(3).startswith((codecs.BOM_UTF8, b"\n"))
        file.seek(0)
        while piece := file.read(_PIECE):
            digest.update(piece)
            clean = clean and b"\r" not in piece
            quoted = quoted or b'"' in piece
            spaces = spaces and not any(byte in piece for byte in _ODD_BLANKS[0])
            spaces = spaces and (piece.isascii() or not any(byte in piece for byte in _ODD_BLANKS[1]))
    return Seen(digest.hexdigest(), clean, quoted, spaces)


def each_a_record(path: Path, delimiter: str) -> bool:
    """Whether every line of a CSV file with quotes is one record: each quote begins a value, ends one on the same line,
    or is one of two inside. Then nothing needs to be repaired, and a reader may begin at any line.

    `False` says nothing: a line of 64 KB, or a delimiter of several bytes, is not looked at.
    """
    between = delimiter.encode()
    if len(between) > 1:
        return False
    return all(piece is not None and _well_placed(piece, between[0]) for piece in _whole_lines(path))


def _whole_lines(path: Path) -> Iterator[bytes | None]:
    """The file in pieces of whole lines; None if a line is longer than a piece."""
    with path.open("rb") as file:
        rest = b""
        while piece := file.read(_PIECE):
            end = piece.rfind(b"\n") + 1
            if not end:
                yield None
                return
            yield rest + piece[:end]
            rest = piece[end:]
        yield rest


def _well_placed(lines: bytes, between: int) -> bool:
    """Quotes open and close by turns: one that opens follows a delimiter, a line break, or one that closes; one that
    closes is followed by one of these, or one that opens; and as many have opened as closed where a line ends."""
    import numpy as np

    # A line break on both sides, so that each quote has neighbors.
    text = np.frombuffer(b"\n" + lines + b"\n", dtype=np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    if len(quotes) % 2:
        return False
    beside = np.concatenate((text[quotes[::2] - 1], text[quotes[1::2] + 1]))
    placed = (beside == between) | (beside == _BREAK) | (beside == _QUOTE)
    inside = np.searchsorted(quotes, np.flatnonzero(text == _BREAK)) & 1
    return bool(placed.all()) and not inside.any()
