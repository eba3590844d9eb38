"""How a file is written: its format, encoding and delimiter, from its first bytes."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from publisher.definitions.feed import FileFeed
from publisher.errors import SourceError
from publisher.records.feed import ENDINGS

if TYPE_CHECKING:
    from pathlib import Path

Format = Literal["csv", "parquet", "json", "excel"]

DELIMITERS = (",", ";", "\t", "|")
LINES = 200
"""So many lines decide on the delimiter."""
_ZIP, _OLD_EXCEL, _PARQUET = b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"PAR1"
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_OBJECTS = re.compile(rb"\s*(?:\{|\[\s*\{)")


def layout(path: Path, content: bytes) -> FileFeed:
    """How a file is to be read, but for where it is. Raises SourceError if landing cannot read such a file."""
    form = _format(path, content)
    if form in ("parquet", "excel"):
        return FileFeed(path=path.name, format=form)
    encoding = _encoding(path, content)
    text = content.decode(encoding, errors="replace").removeprefix("\ufeff")
    if not text.strip():
        raise SourceError(f"{path.name}: is empty: fetch the file again")
    delimiter = _delimiter(text) if form == "csv" else ","
    return FileFeed(path=path.name, format=form, encoding=encoding, delimiter=delimiter)


def _format(path: Path, content: bytes) -> Format:
    name = path.name.lower()
    if content.startswith(_PARQUET):
        return "parquet"
    if content.startswith((_ZIP, _OLD_EXCEL)):
        if name.endswith(ENDINGS["excel"]):
            return "excel"
        raise SourceError(f"{path.name}: is an archive or a document: unpack it, or export its table as CSV")
    if name.endswith(ENDINGS["excel"] + ENDINGS["parquet"]):
        raise SourceError(f"{path.name}: is not what its name says: fetch the file again")
    if name.endswith(ENDINGS["json"]) or _OBJECTS.match(content.removeprefix(codecs.BOM_UTF8)):
        return "json"
    return "csv"


def _encoding(path: Path, content: bytes) -> str:
    """UTF-8 if it can be, also if a few bytes are damaged; otherwise the usual encoding of Windows."""
    if content.startswith(_WIDE):
        return "utf-16"
    if len(_CONTROL.findall(content)) > len(content) // 1000:
        raise SourceError(f"{path.name}: is not text: export its table as CSV, JSON, Excel, or Parquet")
    with suppress(UnicodeDecodeError):
        content.decode("utf-8")
        return "utf-8"
    text = content.decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    if damaged * 10 <= sum(c > "\x7f" for c in text) - damaged or damaged <= 1:
        return "utf-8"
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _delimiter(text: str) -> str:
    """The delimiter that gives most lines the same number of values, more than one."""
    lines = "\n".join(text.splitlines()[:LINES])
    return max(DELIMITERS, key=lambda each: _regular(lines, each))


def _regular(lines: str, delimiter: str) -> tuple[bool, int]:
    try:
        widths = Counter(len(row) for row in csv.reader(io.StringIO(lines), delimiter=delimiter) if row)
    except csv.Error:
        return (False, 0)
    width, count = widths.most_common(1)[0] if widths else (1, 0)
    return (width > 1 and count >= 0.8 * widths.total(), width)
