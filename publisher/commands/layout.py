"""Words and tables as wide as who reads them: broken at blanks, never inside a word; wide tables get another layout."""

from __future__ import annotations

import os
import re
import textwrap
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Cells = Sequence[Sequence[str]]

UNKNOWN = 80
"""The columns of a terminal that does not say how many it has."""
GAP = 2
"""Blanks between two columns of a table."""
NARROW, FEW_LINES = 24, 3
"""In a column that is narrower than this, a cell has at most so many lines; otherwise the table gets another layout."""

_KEPT = re.compile(r"`[^`\n]+`")
"""A command is not broken: people copy it."""
_BLANK = "\N{NO-BREAK SPACE}"


def width_of(stream: TextIO | None) -> int | None:
    """How many columns a terminal has; None for a pipe or a file, where a message stays one line.

    COLUMNS sets the width of a terminal alone: what a program reads does not depend on where its caller sat.
    """
    if stream is None or not stream.isatty():
        return None
    said = os.environ.get("COLUMNS", "")
    if said.isdigit() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or UNKNOWN
    except (OSError, ValueError):
        return UNKNOWN


def wrapped(text: str, width: int | None) -> str:
    """The text with lines of at most that width, as far as its words allow; what a line begins with is kept."""
    if width is None:
        return text
    return "\n".join(piece for line in text.split("\n") for piece in _pieces(line, width))


def table(
    headings: Sequence[str],
    rows: Cells,
    width: int | None,
    styled: Callable[[str, str | None], str],
    right: Sequence[bool],
) -> Iterator[str]:
    """The lines of a table: as columns where they fit, under the value of the first column where those after it fit,
    or else each row as lines of heading and value.

    `styled` gets a part of a cell and the whole, or None for a heading; `right` says which columns are of numbers.
    """
    everything = [headings, *rows]
    if (widths := _widths(everything, width)) is not None:
        yield from _laid_out(headings, rows, widths, styled, right)
    elif (inner := _widths([row[1:] for row in everything], (width or 0) - GAP)) is not None:
        yield from _grouped(headings, rows, inner, styled, right)
    else:
        yield from _records(headings, rows, width or UNKNOWN, styled)


def _widths(rows: Cells, width: int | None) -> list[int] | None:
    """The width of each column so that all fit, or None."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    least = [max(len(word) for cell in column for word in _words(cell)) for column in columns]
    room = None if width is None else width - GAP * (len(columns) - 1)
    if room is None or sum(widths) <= room:
        return widths
    while sum(widths) > room:
        spare = [n for n, each in enumerate(widths) if each > least[n]]
        if not spare:
            return None
        widths[max(spare, key=lambda n: widths[n])] -= 1
    high = [max(len(_pieces(cell, widths[n])) for cell in column) for n, column in enumerate(columns)]
    return widths if all(lines <= FEW_LINES or widths[n] >= NARROW for n, lines in enumerate(high)) else None


def _laid_out(
    headings: Sequence[str],
    rows: Cells,
    widths: Sequence[int],
    styled: Callable[[str, str | None], str],
    right: Sequence[bool],
    lead: str = "",
) -> Iterator[str]:
    for row in [headings, *rows] if headings else rows:
        pieces = [_pieces(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in range(max(map(len, pieces))):
            parts = [each[line] if line < len(each) else "" for each in pieces]
            shown = [
                _padded(styled(part, None if row is headings else cell), width - len(part), numeric)
                for part, cell, width, numeric in zip(parts, row, widths, right, strict=True)
            ]
            yield (lead + (" " * GAP).join(shown)).rstrip()


def _padded(part: str, blanks: int, right: bool) -> str:
    return " " * blanks + part if right else part + " " * blanks


def _grouped(
    headings: Sequence[str],
    rows: Cells,
    widths: Sequence[int],
    styled: Callable[[str, str | None], str],
    right: Sequence[bool],
) -> Iterator[str]:
    """The value of the first column once, and below it the other columns of its rows."""
    lead = " " * GAP
    yield styled(headings[0], None)
    yield from _laid_out(headings[1:], [], widths, styled, right[1:], lead)
    before = None
    for row in rows:
        if row[0] != before:
            yield styled(row[0], row[0])
        before = row[0]
        yield from _laid_out((), [row[1:]], widths, styled, right[1:], lead)


def _records(
    headings: Sequence[str], rows: Cells, width: int, styled: Callable[[str, str | None], str]
) -> Iterator[str]:
    room = max(map(len, headings[1:]), default=0)
    for row in rows:
        yield from (styled(piece, row[0]) for piece in _pieces(row[0], width))
        for heading, cell in zip(headings[1:], row[1:], strict=True):
            for n, piece in enumerate(_pieces(cell, max(width - room - 2 * GAP, NARROW)) if cell else ()):
                yield f"{' ' * GAP}{heading if not n else '':<{room}}{' ' * GAP}{styled(piece, cell)}"


def _words(cell: str) -> list[str]:
    return cell.split(" ") or [""]


def _pieces(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    lead = re.match(r"\s*(?:[-•] )?", line)
    indent = lead[0] if lead is not None else ""
    room = width - len(indent)
    kept = _KEPT.sub(lambda command: command[0].replace(" ", _BLANK) if len(command[0]) <= room else command[0], line)
    found = textwrap.wrap(
        kept[len(indent) :],
        width,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [piece.replace(_BLANK, " ") for piece in found] or [""]
