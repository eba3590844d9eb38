"""A public list of codes as CSV."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from publisher.definitions.likeness import there_is
from publisher.errors import DefinitionError, SourceError
from publisher.reference.listing import PublicList

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

DELIMITERS = (",", ";", "\t", "|")


def header_of(path: Path, shown: str) -> tuple[tuple[str, ...], str]:
    """The names in the first line, and the delimiter that makes the most of them. Raises SourceError."""
    with _opened(path) as file:
        line = next(_lines(file, shown), "")
    if not line.strip():
        raise SourceError(f"{shown}: is empty, or its first line is: fetch the file again")
    header = max((next(csv.reader([line], delimiter=each)) for each in DELIMITERS), key=len)
    delimiter = next(each for each in DELIMITERS if next(csv.reader([line], delimiter=each)) == header)
    return tuple(name.strip() for name in header), delimiter


def code_list(path: Path, shown: str, key: str | None, label: str | None) -> PublicList:
    """The codes as a list of keys. Raises SourceError and DefinitionError."""
    header, delimiter = header_of(path, shown)
    if key is None:
        raise DefinitionError(
            f"{shown}: --key is missing: name the column with the keys; there is: {', '.join(header)}"
        )
    for name in filter(None, (key, label)):
        if header.count(name) != 1:
            fault = "has the column {!r} twice" if name in header else "has no column {!r}"
            raise DefinitionError(f"{shown}: {fault.format(name)}; {there_is(name, header)}")
    origin = f"{shown}, column {key}" + (f", labels from {label}" if label else "")
    columns = (header.index(key), header.index(label) if label else None)
    rows = _entries(path, shown, delimiter, len(header), columns)
    return PublicList(origin, "line", label is not None, ordered=True, entries=rows, tabular=True)


def _entries(
    path: Path, shown: str, delimiter: str, width: int, columns: tuple[int, int | None]
) -> Iterator[tuple[int, str, str]]:
    key, label = columns
    with _opened(path) as file:
        reader = csv.reader(_lines(file, shown), delimiter=delimiter, strict=True)
        try:
            next(reader)
            for row in reader:
                if len(row) != width:
                    if not row:
                        continue
                    raise SourceError(
                        f"{shown}:{reader.line_num}: has {len(row)} values, the header has {width}: correct the line"
                    )
                yield reader.line_num, row[key], row[label] if label is not None else ""
        except csv.Error as error:
            raise SourceError(f"{shown}:{reader.line_num}: is not CSV: {error}") from None


def _opened(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", newline="")


def _lines(file: TextIO, shown: str) -> Iterator[str]:
    """The lines of the file. Raises SourceError for one that is not text."""
    try:
        for line in file:
            if "\0" in line:
                raise SourceError(f"{shown}: is not a text file: save the list as CSV in UTF-8")
            yield line
    except UnicodeDecodeError:
        raise SourceError(f"{shown}: is not UTF-8 text: save the list as CSV in UTF-8") from None
