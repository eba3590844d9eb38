"""The header of a raw file: what it must be for the file to be landed, and what is likely wrong where it is not.

Of the rest of the file only its beginning is looked at, to see whether its encoding is the declared one. No value of a
record is in a message: names are shown only if they are a header's for certain.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions.feed import FileFormat
from publisher.definitions.likeness import likeness, there_is
from publisher.errors import SourceError
from publisher.records import columns, objects, workbook

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.workspace import SourceFile

BEGINNING = 4 << 20
"""So many bytes of a file are looked at."""
DELIMITERS = (",", ";", "\t", "|")
_KINDS = {b"PK\x03\x04": "excel", b"\xd0\xcf\x11\xe0": "excel", b"PAR1": "parquet"}
_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Header:
    """The names in a file's header, and whether a row follows."""

    names: tuple[str, ...]
    rows: bool
    certain: bool
    """Whether the names are a header's and not perhaps a record's."""
    odd: tuple[str, ...] = ()
    """What is odd about the file's encoding, in words."""


def check_header(source: SourceFile, path: Path, temporary: Path, memory: int) -> tuple[str, ...]:
    """What is odd about the header of a raw file, in words. Raises SourceError if the file could not be landed."""
    feed = _format(source)
    if path.stat().st_size == 0:
        raise SourceError(f"{path.name}: is empty: fetch the file again")
    if feed.format == "json":
        return _check_objects(source, path, temporary)
    header = _header(feed, path, temporary, memory)
    _check_names(source, header, path)
    odd = [*header.odd]
    if unlisted := columns.unlisted(source, header.names, path.name):
        odd.append(f"{path.name}: not declared, so never read: {', '.join(unlisted)}")
    if not header.rows:
        odd.append(f"{path.name}: has a header and no rows")
    return tuple(odd)


def first_line(path: Path, encoding: str, delimiter: str) -> Header:
    """The header of a text file. Raises SourceError if it is not text in that encoding."""
    text, odd = _text(path, encoding)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = next(reader, [])
    except csv.Error:
        names = []
    if not any(names) or any(c in "".join(names) for c in "\ufffd\0"):
        said = f"feed.encoding: {odd[0]}" if odd else "the first line is not a header: fetch the file again"
        raise SourceError(f"{path.name}: {said}")
    rows = any(line.strip() for line in text.split("\n")[reader.line_num :])
    return Header(tuple(names), rows, certain=False, odd=tuple(f"{path.name}: {words}" for words in odd))


def _header(feed: FileFormat, path: Path, temporary: Path, memory: int) -> Header:
    if feed.format == "parquet":
        return _schema(path)
    if feed.format == "excel":
        _check_sheet(feed.sheet, path, memory)
        return first_line(workbook.text(path, feed.sheet, temporary / "sheet", memory), "utf-8", ",")
    return first_line(path, feed.encoding, feed.delimiter)


def _format(source: SourceFile) -> FileFormat:
    """How the files of the source are written, by its definition."""
    feed = source.definition.feed
    assert isinstance(feed, FileFormat)  # noqa: S101 - for the type checker: what publisher writes needs no look
    return feed


def _check_sheet(sheet: str | None, path: Path, memory: int) -> None:
    there = workbook.sheets(path, memory)
    if sheet is not None and there and sheet not in there:
        raise SourceError(f"{path.name}: feed.sheet: there is no sheet {sheet!r}; {there_is(sheet, there)}")


def _schema(path: Path) -> Header:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        found = pyarrow.parquet.read_metadata(path)
    except (OSError, pa.ArrowException):
        raise SourceError(f"{path.name}: cannot be read as Parquet: fetch it again, or correct feed.format") from None
    return Header(tuple(found.schema.to_arrow_schema().names), found.num_rows > 0, certain=True)


def _check_names(source: SourceFile, header: Header, path: Path) -> None:
    """Raises SourceError for declared columns that the header lacks, with the names that may be meant."""
    declared, names = source.definition.columns, header.names
    missing = [column for column in declared if column not in names]
    if not missing:
        return
    feed = _format(source)
    if feed.format == "csv" and (delimiter := _better(source, path)):
        shown = "a tab" if delimiter == "\t" else repr(delimiter)
        value = r"\t" if delimiter == "\t" else delimiter
        raise SourceError(f'{path.name}: feed.delimiter: the file has {shown}: write delimiter = "{value}"')
    alike = {likeness(name) for name in names}
    matched = sum(likeness(column) in alike for column in declared)
    if not header.certain and matched <= len(names) - matched:
        # The first line may be a record, so it is not shown.
        raise SourceError(
            f"{path.name}: {len(missing)} of {len(declared)} declared columns are not in the first line. It may be a "
            "record, so it is not shown here: look at it, and correct [columns], or add a header"
        )
    new = [name for name in names if name not in declared]
    said = "; ".join(f"{column!r}: {there_is(column, new)}" for column in missing)
    raise SourceError(f"{path.name}: columns that are declared and not in the file: {said}")


def _better(source: SourceFile, path: Path) -> str | None:
    """The delimiter with which the first line has more than half of the declared columns, if the declared one has
    fewer."""
    feed, declared = _format(source), source.definition.columns.keys()

    def found(delimiter: str) -> int:
        return len(declared & set(first_line(path, feed.encoding, delimiter).names))

    best = max(DELIMITERS, key=found)
    return best if found(best) > max(found(feed.delimiter), len(declared) // 2) else None


def _text(path: Path, encoding: str) -> tuple[str, tuple[str, ...]]:
    """The beginning of a text file, with line feeds alone, and what is odd about its encoding. Raises SourceError."""
    try:
        codec = codecs.lookup(encoding).name
    except LookupError:
        raise SourceError(f"{path.name}: feed.encoding: {encoding!r} is unknown") from None
    content = _beginning(path)
    if not content.strip():
        raise SourceError(f"{path.name}: is empty: fetch the file again")
    _check_kind(content, codec, path)
    own = "utf-8-sig" if codec in ("utf-8", "ascii") else codec
    text = _decoded(content, own)
    odd: tuple[str, ...] = ()
    if text is None:
        text, odd = content.decode(own, errors="replace"), (_foreign(content, encoding),)
    elif own != "utf-8-sig" and not content.isascii() and _decoded(content, "utf-8"):
        odd = (f'the file is UTF-8, not {encoding}: write encoding = "utf-8"',)
    return text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n"), odd


def _foreign(content: bytes, encoding: str) -> str:
    """Words for a file that has bytes outside its encoding, with the one that is likely meant."""
    other = next((each for each in ("utf-8", "windows-1252") if _decoded(content, each) and b"\0" not in content), "")
    hint = f'write encoding = "{other}" if that is what it is' if other else "fetch the file again"
    return f"the file has bytes outside {encoding}, and rows with them cannot be read: {hint}"


def _beginning(path: Path) -> bytes:
    zipped = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path, "rb") if zipped else path.open("rb") as file:
            return file.read(BEGINNING)
    except (OSError, EOFError, zlib.error) as error:
        why = isinstance(error, OSError) and error.strerror
        words = why or "it is damaged or incomplete: fetch the file again"
        raise SourceError(f"{path.name}: cannot be read: {words}") from None


def _check_kind(content: bytes, codec: str, path: Path) -> None:
    for magic, form in _KINDS.items():
        if content.startswith(magic):
            raise SourceError(f'{path.name}: feed.format: the file is not text: write format = "{form}"')
    if content.startswith(b"\x1f\x8b"):
        raise SourceError(f"{path.name}: is compressed: add .gz to its name")
    for mark, named in _ORDER_MARKS.items():
        if content.startswith(mark) and not codec.startswith(named):
            raise SourceError(f'{path.name}: feed.encoding: the file is {named} text: write encoding = "{named}"')


def _decoded(content: bytes, codec: str) -> str | None:
    """The text without what a character that is cut at the end has left; None if it is not in that encoding."""
    try:
        return codecs.getincrementaldecoder(codec)().decode(content, final=len(content) < BEGINNING)
    except UnicodeError:
        return None


def _check_objects(source: SourceFile, path: Path, temporary: Path) -> tuple[str, ...]:
    """The same for JSON. Names of keys that are not declared are content of records, so they are never shown."""
    text, odd = _text(path, _format(source).encoding)
    part = temporary / "beginning.json"
    part.write_text(text, encoding="utf-8", errors="replace")
    whole = path.stat().st_size < BEGINNING and not path.name.lower().endswith(".gz")
    found = objects.read(part, tuple(source.definition.columns), temporary / "objects.json")
    if found.foreign or (whole and found.torn):
        raise SourceError(f"{path.name}: cannot be read as JSON: fetch the file again, or correct feed.format")
    if found.long or (found.rejected and not found.objects):
        raise SourceError(f"{path.name}: has no objects one after the other: export an array, or one on each line")
    said = [f"{path.name}: {words}" for words in odd]
    if not found.objects:
        said.append(f"{path.name}: has no objects")
    elif found.missing:
        named = ", ".join(sorted(found.missing))
        if whole:
            raise SourceError(f"{path.name}: no object has the declared {named}: correct [columns]")
        said.append(f"{path.name}: no object at the beginning of the file has the declared {named}")
    return tuple(said)
