"""Answers to queries: for people as a table that fits the screen, for machines as CSV or JSON, whole."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

import click

from publisher.commands.layout import GAP, width_of
from publisher.commands.ranges import with_ranges
from publisher.commands.terminal import print_table, say, shown
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Row = tuple[Any, ...]

MOST_ROWS = 1_000
"""The most rows that are shown to a person."""
LONGEST = (48, 24, 16)
"""The most characters of a text in a table: the first of these with which all columns fit."""
FEW = 3
"""So many rows that are too wide for a table are shown one below the other, with every column."""
PIPED = 220
"""The width where no one looks."""
AT_ONCE = 10_000


class RowStream(Protocol):
    """The rows of an answer, as they come."""

    @property
    def description(self) -> Sequence[Sequence[Any]] | None: ...

    def fetchmany(self, size: int, /) -> list[Any]: ...


def show(cursor: RowStream) -> None:
    """Print an answer for people: what is left out of it is said on standard error."""
    headings = _headings(cursor)
    rows = cursor.fetchmany(MOST_ROWS + 1)
    width = width_of(sys.stdout) or PIPED
    if _fitting(headings, [tuple(_cut(value, LONGEST[-1]) for value in row) for row in rows], width) < len(headings):
        headings, rows = with_ranges(headings, rows)
    for longest in LONGEST:
        cut = [tuple(_cut(value, longest) for value in row) for row in rows[:MOST_ROWS]]
        kept = _fitting(headings, cut, width)
        if kept == len(headings):
            break
    if kept < len(headings) and len(cut) <= FEW:
        _print_records(headings, rows, width)
    else:
        print_table("", headings[:kept], [row[:kept] for row in cut])
        if left := headings[kept:]:
            say(f"Too wide; not shown: {', '.join(left)}. Name the columns you want, or add --csv.", err=True)
    if len(rows) > MOST_ROWS:
        say(f"Only the first {MOST_ROWS:,} rows are shown: add a LIMIT, or --csv for all of them.", err=True)


def write_csv(cursor: RowStream) -> None:
    """Print all rows as CSV, with a line of headings; nothing is an empty field."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(_headings(cursor))
    while rows := cursor.fetchmany(AT_ONCE):
        writer.writerows([_plain(value) for value in row] for row in rows)
        click.echo(_taken(lines), nl=False)
    click.echo(_taken(lines), nl=False)


def write_json(cursor: RowStream) -> None:
    """Print all rows as one JSON array, an object a line. Raises DefinitionError where two columns have one name."""
    headings = _headings(cursor)
    if twice := sorted({name for name in headings if headings.count(name) > 1}):
        raise DefinitionError(f"two columns are called {twice[0]}: name one of them with AS")
    lead = "["
    for row in _rows(cursor):
        fields = dict(zip(headings, map(_plain, row), strict=True))
        click.echo(f"{lead}\n{json.dumps(fields, ensure_ascii=False)}", nl=False)
        lead = ","
    click.echo("[]" if lead == "[" else "\n]")


def _rows(cursor: RowStream) -> Iterator[Row]:
    while rows := cursor.fetchmany(AT_ONCE):
        yield from rows


def _taken(lines: io.StringIO) -> str:
    text = lines.getvalue()
    lines.seek(0)
    lines.truncate()
    return text


def _headings(cursor: RowStream) -> list[str]:
    return [str(column[0]) for column in cursor.description or []]


def _plain(value: Any) -> Any:
    """A value as JSON and CSV have it: dates in ISO, bytes as hexadecimal digits, no number as nothing."""
    plain = value
    if isinstance(value, date | datetime):
        plain = value.isoformat()
    elif isinstance(value, Decimal):
        plain = int(value) if value == value.to_integral_value() else float(value)
    elif isinstance(value, bytes):
        plain = value.hex()
    elif isinstance(value, float):
        plain = value if math.isfinite(value) else None
    elif isinstance(value, list | tuple):
        plain = [_plain(each) for each in value]
    elif isinstance(value, dict):
        plain = {str(key): _plain(each) for key, each in value.items()}
    elif value is not None and not isinstance(value, int | str):
        plain = str(value)
    return plain


def _cut(value: Any, longest: int) -> Any:
    """What a table has of a value: long texts are cut, and so are texts of several lines."""
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, bool | int | float):
        return plain
    text = " ".join(str(plain).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _fitting(headings: Sequence[str], rows: Sequence[Row], width: int) -> int:
    """How many of the first columns fit; at least one."""
    used = -GAP
    for n, heading in enumerate(headings):
        used += GAP + max([len(heading), *(len(shown(row[n])) for row in rows)])
        if used > width:
            return max(n, 1)
    return len(headings)


def _print_records(headings: Sequence[str], rows: Sequence[Row], width: int) -> None:
    """Each row as lines of column and value, with texts as long as the line."""
    room = max(map(len, headings))
    for n, row in enumerate(rows, 1):
        if len(rows) > 1:
            click.echo(f"row {n}")
        for heading, value in zip(headings, row, strict=True):
            plain = _plain(value)
            text = "" if plain is None else " ".join(shown(plain).split())
            most = max(width - room - 4, 10)
            click.echo(f"  {heading:<{room}}  {text if len(text) <= most else text[: most - 1] + '…'}".rstrip())
