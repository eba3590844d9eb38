"""Plain CSV files: where each record begins and ends, decided by that record alone.

A record is one line, or several if a quoted value has line breaks. A quoted value begins right after a delimiter or
line break, doubles its quotes, and ends right before the next delimiter or line break. A record of several lines is
exactly that, with as many values as the header has names. In a record of one line, a quote inside a value that does not
begin with one is an ordinary character, and blanks around a quoted value do not count. Any other line that has a quote
is rejected alone, and the next record begins on the next line: a quote that is never closed loses no other record.
"""

from __future__ import annotations

import csv
import io
import mmap
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.duck import literal
from publisher.errors import SourceError
from publisher.records import pieces, raw_bytes, sql

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import IO

    from duckdb import DuckDBPyConnection

_LONGEST_HEADER = 1 << 20
_LONGEST = 2 << 20
"""DuckDB reads no longer record, in bytes."""
_SHORT = rb'"[^"\n]*+(?:""[^"\n]*+)*+"'
_LONG = rb'"[^"]*+(?:""[^"]*+)*+"'


@dataclass(frozen=True)
class Delimited:
    """A plain CSV file in which every quote is closed."""

    path: Path
    delimiter: str
    columns: tuple[str, ...]
    """The names in the header, in order."""
    rejected: int
    """Lines that are in no record because of their quotes."""
    by_line: bool = False
    """Whether every line is one record."""
    start: int = 0
    """Where the first record begins."""

    @property
    def relation(self) -> str:
        """SQL for FROM that gives the columns as texts c0, c1, …"""
        return f"(SELECT * EXCLUDE ({sql.PATH}) FROM {self.scan.replace(sql.FILES, sql.file(self.path))})"

    @property
    def scan(self) -> str:
        """The same for any `FILES` of this kind, with their paths.

        Records with another number of values, with more than 2 MB, or with bytes outside UTF-8 are left out and listed
        in the table `reject_errors`.
        """
        return self._scan("header = true")

    def cuts(self) -> list[int] | None:
        """Where pieces begin that may be read at the same time, and where the last one ends; None for a file that is
        read as a whole."""
        if not self.by_line or len(self.columns) < 2 or self.path.stat().st_size <= pieces.SIZE:
            return None
        return pieces.cut(self.path, self.start)

    def in_pieces(self, cuts: Sequence[int], connection: DuckDBPyConnection) -> tuple[str, list[str]]:
        """The same for the pieces of this file alone that begin and end there, and their names."""
        names = pieces.offer(self.path, cuts, connection)
        scan = self._scan(f"header = false, buffer_size = {pieces.BUFFER}, max_line_size = {pieces.LONGEST}")
        return scan.replace(sql.FILES, sql.array(names)), names

    def _scan(self, options: str) -> str:
        types = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(len(self.columns)))
        # Never in parallel: DuckDB's threads guess where a record begins, and guess wrong if a quoted text has line
        # breaks followed by what looks like a record. And where rejects are stored, DuckDB 2.0 loses rows at the edges
        # of some buffers without a word, even of files whose every line is a record.
        return (
            f"read_csv({sql.FILES}, filename = '{sql.PATH}', auto_detect = false, {options}, columns = {{{types}}}, "
            f"delim = {literal(self.delimiter)}, quote = '\"', escape = '\"', parallel = false, "
            "store_rejects = true, rejects_limit = 0)"
        )


def read(path: Path, delimiter: str, shown: str, copy: Path, *, quoted: bool = True) -> Delimited:
    """The plain file itself if its quotes are all well placed, otherwise `copy`, which gets only its records.

    Without `quoted`, it has no quote at all.

    Raises SourceError if the first line is not a header.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        grammar = _Grammar(delimiter)
        columns, start = _header(content, grammar, shown)
        if not quoted or raw_bytes.each_a_record(path, delimiter):
            return Delimited(path, delimiter, columns, 0, by_line=True, start=start)
        strict = grammar.strict(len(columns))
        if _end(strict, content, 0) == len(content):
            return Delimited(path, delimiter, columns, 0)
        with copy.open("wb") as target:
            target.write(grammar.line(columns))
            rejected = _repair(content, start, strict, grammar, target)
    return Delimited(copy, delimiter, columns, rejected)


def _repair(content: mmap.mmap, start: int, strict: re.Pattern[bytes], grammar: _Grammar, target: IO[bytes]) -> int:
    """Write every record from `start` on in strict form; return how many lines were left out."""
    rejected = 0
    while start < len(content):
        end = _end(strict, content, start)
        with memoryview(content) as view:
            target.write(view[start:end])
        if end == len(content):
            break
        start = content.find(b"\n", end) + 1 or len(content)
        short = start - end <= _LONGEST
        values = grammar.values(content[end:start].removesuffix(b"\n")) if short else None
        if values is None:
            rejected += 1
        else:
            target.write(grammar.line(values))
    return rejected


def _end(strict: re.Pattern[bytes], content: mmap.mmap, start: int) -> int:
    found = strict.match(content, start)
    return found.end() if found else start


def _header(content: mmap.mmap, grammar: _Grammar, shown: str) -> tuple[tuple[str, ...], int]:
    """The names in the first record, and where the next one begins."""
    found = grammar.first.match(content, 0, _LONGEST_HEADER)
    end = found.end() if found else content.find(b"\n") + 1 or len(content)
    names: list[str] | None = None
    if found:
        text = io.StringIO(content[:end].decode("utf-8", errors="replace"), newline="")
        names = next(csv.reader(text, delimiter=grammar.delimiter), None)
    elif end <= _LONGEST_HEADER:
        names = grammar.values(content[:end].removesuffix(b"\n"))
    if not names or any(c in "".join(names) for c in "\ufffd\0"):
        raise SourceError(
            f"{shown}: the first line is not a header in the declared encoding: correct feed.encoding, or fetch the "
            "file again"
        )
    return tuple(names), end


class _Grammar:
    """The patterns of records for one delimiter."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self._between = re.escape(delimiter.encode())
        self._plain = _without(b'"', delimiter)
        self.first = re.compile(self._cells(_LONG, b"*+") + rb"(?:\n|\Z)")
        blanks = b"" if delimiter == " " else b" *+"
        quoted = blanks + rb'"([^"]*+(?:""[^"]*+)*+)"' + blanks
        bare = b"(?!" + blanks + b'")' + _without(b"", delimiter)
        self._value = re.compile(b"(?:%b|(%b))(?=%b|\\Z)" % (quoted, bare, self._between))

    def strict(self, width: int) -> re.Pattern[bytes]:
        """The pattern of as many well-formed records as there are; stretches without a quote are taken at once."""
        short, long = self._cells(_SHORT, b"*+"), self._cells(_LONG, b"{%d}+" % (width - 1))
        leap, end = rb'(?>[^"]*\n)?+', rb"(?:\n|\Z)"
        return re.compile(b"(?:%b(?:%b%b|%b%b))*+%b" % (leap, short, end, long, end, leap))

    def values(self, line: bytes) -> list[str] | None:
        """The values of a record of one line; None if a quote is not where it may be.

        Bytes outside UTF-8 become surrogates.
        """
        values, at = [], 0
        while found := self._value.match(line, at):
            value = found[2] if found[1] is None else found[1].replace(b'""', b'"')
            values.append(value.decode("utf-8", errors="surrogateescape"))
            if found.end() == len(line):
                return values
            at = found.end() + len(self.delimiter.encode())
        return None

    def line(self, values: Sequence[str]) -> bytes:
        """A record in strict form."""
        quoted = ('"' + value.replace('"', '""') + '"' for value in values)
        return self.delimiter.join(quoted).encode("utf-8", errors="surrogateescape") + b"\n"

    def _cells(self, quoted: bytes, more: bytes) -> bytes:
        cell = b"(?:%b|%b)" % (quoted, self._plain)
        return b"%b(?:%b%b)%b" % (cell, self._between, cell, more)


def _without(also: bytes, delimiter: str) -> bytes:
    """The pattern of a text without the delimiter, line breaks, and `also`."""
    encoded = delimiter.encode()
    first, rest = re.escape(encoded[:1]), re.escape(encoded[1:])
    some = b"[^%b%b\\n]" % (also, first)
    return b"(?:%b++|%b(?!%b))*+" % (some, first, rest) if rest else some + b"*+"
