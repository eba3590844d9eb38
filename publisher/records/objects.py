"""Plain JSON files as one object on each line: an object is read, or rejected, by itself.

The objects may be in an array or follow one another, on lines of their own or not. Text that is not a JSON value is
rejected up to the next line break, or to the next comma that an object follows on its line, whichever comes first.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import IO

LONGEST = 4 << 20
"""The longest object that is read, in bytes."""
_BETWEEN = re.compile(r"[ \t\r\n,\[\]]*")
_NEXT = re.compile(r"\n|,(?=[ \t]*\{)")
_CLOSED = re.compile(r"[ \t]*(?:[\r\n,{]|\][ \t]*(?:[\r\n]|\Z)|\Z)")
_MOST = 16
"""So many times the longest object is looked through for its end."""
_LONG = object()
"""A value whose end is farther away than that."""
_BLANK = b" \t\r\n"


@dataclass
class ObjectLines:
    """What was found in a file."""

    path: Path
    missing: set[str]
    """The declared keys that no object has."""
    objects: int = 0
    rejected: int = 0
    """Values that are not objects, and texts that are not values."""
    keys: set[str] = field(default_factory=set)
    """The outer keys of the objects. They are content of records, so only for the private report."""
    empty: bool = False
    """True if the file has only blanks."""
    torn: bool = False
    """True if the file begins an array of objects and does not end it."""
    long: bool = False
    """True if a value has no end in sight, such as an object around all others."""
    foreign: bool = False
    """True if no value can be read and the file begins like neither an object nor an array."""


def read(path: Path, declared: Sequence[str], copy: Path) -> ObjectLines:
    """Make `copy` the objects of a plain JSON file, one on each line."""
    found, values = ObjectLines(copy, set(declared)), 0
    with (
        path.open("rb") as content,
        io.TextIOWrapper(content, "utf-8", errors="surrogateescape", newline="") as file,
        copy.open("wb") as target,
    ):
        first, last = _ends(content)
        content.seek(0)
        for value, text in _values(file):
            values += bool(text)
            if value is _LONG:
                found.long = True
                break
            line = _line(text) if isinstance(value, dict) else None
            if line is None:
                found.rejected += 1
            else:
                target.write(line)
                found.objects += 1
                found.keys.update(value)
                found.missing -= {key for key in found.missing if _has(value, key)}
    found.torn = first == b"[{" and last[-1:] != b"]"
    found.empty = not first
    found.foreign = not values and first[:1] not in (b"[", b"{")
    return found


def steps(key: str) -> tuple[str, ...]:
    """The keys from the outer to the inner object that a declared key such as location.latitude names."""
    return tuple(key.split("."))


def _values(file: IO[str]) -> Iterator[tuple[Any, str]]:
    """Each value with its text; an empty text for what is no value."""
    decode = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_refuse).raw_decode
    text, at, more, lost = "", 0, True, False
    while more or at < len(text):
        if more and len(text) - at <= LONGEST:
            piece = file.read(LONGEST)
            text, at, more = text[at:] + piece, 0, bool(piece)
            continue
        if lost:
            found = _NEXT.search(text, at)
            at, lost = (found.end(), False) if found else (len(text), True)
            continue
        at = _end(_BETWEEN, text, at)
        if at == len(text):
            continue
        try:
            value, end = decode(text, at)
        except (ValueError, RecursionError) as error:
            end = -1
            cut = getattr(error, "pos", at) - at > LONGEST or str(error).startswith("Unterminated")
            if cut and more and len(text) - at <= _MOST * LONGEST:
                piece = file.read(LONGEST)  # a value is rejected whole, however long it is
                text, at, more = text[at:] + piece, 0, bool(piece)
                continue
            if cut and more:
                yield _LONG, ""
                return
        if end - at > _MOST * LONGEST:
            yield _LONG, ""
            return
        if end < 0 or not _CLOSED.match(text, end):
            yield None, ""
            lost = True
        else:
            yield value, text[at:end]
            at = end


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _refuse(_: str) -> None:
    raise ValueError  # NaN and Infinity are not JSON


def _line(text: str) -> bytes | None:
    """The object on a line of its own; None if it is too long or has bytes outside UTF-8."""
    try:
        line = text.encode()
    except UnicodeEncodeError:
        return None
    # Line breaks are only between values: strings have them escaped.
    return line.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n" if len(line) <= LONGEST else None


def _has(value: object, key: str) -> bool:
    if isinstance(value, dict) and key in value:
        return True
    for step in steps(key):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return False
    return True


def _ends(content: IO[bytes]) -> tuple[bytes, bytes]:
    """The first and the last bytes, two each, without blanks."""
    first = last = b""
    while piece := content.read(LONGEST):
        solid = piece.translate(None, _BLANK)
        first, last = (first + solid)[:2], (last + solid)[-2:]
    return first, last
