"""Public keys: the places and categories that a dataset may publish, written down by people.

A keyset is a CSV file `datasets/keysets/<name>.csv` with a column `key`, and `label` where the key is a code.
Nothing in it may come from the records; a key without records still gets its row.
"""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from _csv import Reader
    from pathlib import Path


@dataclass(frozen=True)
class Keyset:
    """Ordered public keys; `labels` is aligned with `keys`, or None if keys need no label."""

    name: str
    keys: tuple[str, ...]
    labels: tuple[str, ...] | None
    sha256: str


@dataclass(frozen=True)
class Lookup:
    """A mapping that the pipeline SQL may join to: text columns, the first of them unique."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sha256: str


def read_keyset(path: Path, name: str) -> Keyset:
    """Read a keyset. Raises DefinitionError with file and line for a missing column, an empty or repeated key."""
    columns, rows, digest = _read(path, name)
    if columns[0] != "key" or columns[1:] not in ((), ("label",)):
        raise DefinitionError(f"{name}:1: a keyset's columns are `key` or `key,label`, not {','.join(columns)}")
    labels = tuple(row[1] for row in rows) if len(columns) == 2 else None
    return Keyset(path.stem, tuple(row[0] for row in rows), labels, digest)


def read_lookup(path: Path, name: str) -> Lookup:
    """Read a lookup; its first column must be unique. Raises DefinitionError with file and line."""
    columns, rows, digest = _read(path, name)
    return Lookup(path.stem, columns, rows, digest)


def _read(path: Path, name: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], str]:
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise DefinitionError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DefinitionError(f"{name}: is not UTF-8 text: save it as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns, rows = _rows(reader, name)
    except csv.Error as error:
        raise DefinitionError(f"{name}:{reader.line_num}: is not CSV: {error}") from None
    if not rows:
        raise DefinitionError(f"{name}:1: has no keys: write a header, then one key per line")
    return columns, rows, hashlib.sha256(content).hexdigest()


def _rows(reader: Reader, name: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    columns = tuple(next(reader, ()))
    if len({column.lower() for column in columns} - {""}) != len(columns):
        raise DefinitionError(f"{name}:1: two columns have the same name, or one has none: give each its own")
    rows: dict[str, tuple[str, ...]] = {}
    first: dict[str, int] = {}
    for row in reader:
        fault = _fault(row, columns, first)
        if fault:
            raise DefinitionError(f"{name}:{reader.line_num}: {fault}")
        rows[row[0]] = tuple(row)
        first[row[0]] = reader.line_num
    return columns, tuple(rows.values())


def _fault(row: list[str], columns: tuple[str, ...], first: dict[str, int]) -> str | None:
    if len(row) != len(columns):
        return f"has {len(row)} values, the header has {len(columns)}"
    if not row[0].strip():
        return "the key is empty"
    if row[0] in first:
        return f"the key {row[0]!r} is already on line {first[row[0]]}"
    return None
