"""Text files of any encoding as plain UTF-8 with consistent line endings, in pieces of bounded size."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import mmap
import re
import zlib
from typing import IO, TYPE_CHECKING

from publisher.duck import literal
from publisher.errors import SourceError
from publisher.records import sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE = 4 << 20
_LONGEST_HEADER = 1 << 20


def text(path: Path, encoding: str, copy: Path) -> Path:
    """The file itself if it is plain UTF-8, otherwise `copy`, which becomes a plain copy of it.

    Bytes that are not valid in the encoding become U+FFFD; in UTF-8 they stay, and their records are rejected later.
    Raises SourceError when the file cannot be read, is empty, or the encoding is unknown.
    """
    codec, made = _codec(encoding, path.name), path
    if codec != "utf-8" or _zipped(path) or not _is_plain(path):
        made = copy
        with copy.open("wb") as target:
            for piece in _even(_pieces(path, codec)):
                target.write(piece)
    if made.stat().st_size == 0:
        raise SourceError(f"{path.name}: is empty: fetch the file again")
    return made


def header(path: Path, delimiter: str, shown: str) -> tuple[str, ...]:
    """The names in the first record of a plain file. Raises SourceError if there are none."""
    with path.open("rb") as file:
        lines = io.StringIO(file.read(_LONGEST_HEADER).decode("utf-8", errors="replace"), newline="")
    try:
        names = next((row for row in csv.reader(lines, delimiter=delimiter) if row), [])
    except csv.Error:
        names = []
    if not names or any(c in "".join(names) for c in "\ufffd\0"):
        raise SourceError(
            f"{shown}: the first line is not a header in the declared encoding: correct feed.encoding, or fetch the "
            "file again"
        )
    return tuple(names)


def check_quotes(path: Path, delimiter: str, shown: str) -> None:
    """Raise SourceError for a plain CSV file that ends inside a quoted value: everything after its quote would be lost.

    A quote inside a value that does not begin with one is an ordinary character, as DuckDB reads it.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        whole = _closed(delimiter).fullmatch(content) is not None
    if not whole:
        raise SourceError(
            f"{shown}: a quote is opened and never closed, so the records after it cannot be told apart. The download "
            "may be incomplete: fetch the file again, or close the quote"
        )


def relation(path: Path, delimiter: str, width: int) -> str:
    """SQL for FROM that reads a plain CSV file with that many columns as texts c0, c1, …

    Records that cannot be read are left out and listed in the table `reject_errors`.
    """
    types = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(width))
    # Not in parallel: DuckDB's threads guess where a record begins, and guess wrong if a quoted text has line breaks
    # followed by what looks like a record.
    return (
        f"read_csv({sql.file(path)}, auto_detect = false, header = true, columns = {{{types}}}, "
        f"delim = {literal(delimiter)}, quote = '\"', escape = '\"', parallel = false, "
        "store_rejects = true, rejects_limit = 0)"
    )


def json_form(path: Path) -> str:
    """How a plain JSON file is laid out: `array`, or `newline_delimited` objects."""
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER).lstrip()
    return "array" if start.startswith(b"[") else "auto"


def _closed(delimiter: str) -> re.Pattern[bytes]:
    """The pattern of a CSV file without an open quote: cells, and between them anything without a quote, in one step.

    DuckDB's reader also takes a quote after one blank for the first character of a cell, and stays inside a quoted
    value if only blanks are between a quote and the next.
    """
    encoded = delimiter.encode()
    first, rest = re.escape(encoded[:1]), re.escape(encoded[1:])
    text = b"(?:[^%b\\n]++|%b(?!%b))*+" % (first, first, rest)
    quoted = b'"[^"]*+(?:" *+"[^"]*+)*+"'
    cell = b' ?+(?:%b|(?!"))%b' % (quoted, text)
    end = b"(?:%b|\\n)" % (first + rest)
    leap = b'(?>[^"]*%b)?+' % end
    return re.compile(b"(?:%b%b%b)*+%b%b" % (leap, cell, end, leap, cell))


def _codec(encoding: str, shown: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise SourceError(f"{shown}: the encoding {encoding!r} is unknown: correct feed.encoding") from None
    return "utf-8" if name in ("ascii", "utf-8", "utf-8-sig") else name


def _zipped(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _is_plain(path: Path) -> bool:
    """No byte order mark, no blank first line (DuckDB would take it for the header), and the same line endings
    throughout.

    Mixed line endings stop DuckDB's reader for the whole file.
    """
    returns = lines = pairs = 0
    last = b""
    with path.open("rb") as file:
        if file.read(3).startswith((codecs.BOM_UTF8, b"\r", b"\n")):
            return False
        file.seek(0)
        while piece := file.read(_PIECE):
            returns += piece.count(b"\r")
            lines += piece.count(b"\n")
            pairs += piece.count(b"\r\n") + (last + piece[:1] == b"\r\n")
            last = piece[-1:]
    return returns == 0 or returns == lines == pairs


def _pieces(path: Path, codec: str) -> Iterator[bytes]:
    """The file's content as UTF-8; UTF-8 itself is passed on byte by byte."""
    decoder = None if codec == "utf-8" else codecs.getincrementaldecoder(codec)(errors="replace")
    try:
        with _open(path) as file:
            while piece := file.read(_PIECE):
                yield decoder.decode(piece).encode("utf-8", errors="replace") if decoder else piece
    except (OSError, EOFError, zlib.error) as error:
        why = (
            error.strerror
            if isinstance(error, OSError) and error.strerror
            else "it is damaged or incomplete: fetch the file again"
        )
        raise SourceError(f"{path.name}: cannot be read: {why}") from None
    yield decoder.decode(b"", final=True).encode("utf-8", errors="replace") if decoder else b""


def _even(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """No byte order mark, no blank first line, only line feeds, even for a pair split by the end of a piece."""
    held = b""
    for number, piece in enumerate(pieces):
        whole = held + (piece if number else piece.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n"))
        held = b"\r" if whole.endswith(b"\r") else b""
        whole = whole.removesuffix(b"\r")
        yield whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    yield b"\n" if held else b""


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if _zipped(path) else path.open("rb")  # type: ignore[return-value]
