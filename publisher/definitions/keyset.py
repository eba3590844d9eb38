"""Public keys: the places and categories that a dataset may publish, written down by people.

A keyset is a CSV file `datasets/keysets/<name>.csv` with a column `key`, `label` where the key is a code, and
`label.es` for what readers of another language see instead. Lines before the header that begin with `#` say where the
keys come from. Nothing in it may come from the records; a key without records still gets its row.
"""

from __future__ import annotations

import csv
import hashlib
import io
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.definitions.model import LANGUAGES
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MOST_KEYS = 200_000
"""The most keys of a keyset: each gets a row in every period, and a city has no more census blocks."""


@dataclass(frozen=True)
class Keyset:
    """Ordered public keys; `labels` is aligned with `keys`, or None if keys need no label."""

    name: str
    keys: tuple[str, ...]
    labels: tuple[str, ...] | None
    sha256: str
    notes: tuple[str, ...] = ()
    """What the lines before the header say, such as where the keys come from."""
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """By language, what each key is called in it, aligned with `keys`; empty where it is called the same."""

    def in_language(self, code: str) -> dict[str, str]:
        """What readers of that language see instead of each label, or of each key that has none."""
        shown = self.labels or self.keys
        return {label: other for label, other in zip(shown, self.others.get(code, ()), strict=False) if other}


@dataclass(frozen=True)
class Lookup:
    """A mapping that the pipeline SQL may join to: text columns, the first of them unique."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sha256: str


def read_keyset(path: Path, name: str) -> Keyset:
    """Read a keyset. Raises DefinitionError with file and line for a missing column, an empty or repeated key."""
    text, digest = _text(path, name)
    notes, text = _noted(text)
    columns, rows = _table(text, name, len(notes), MOST_KEYS)
    known = ["key", "label", *(f"label.{code}" for code in LANGUAGES[1:])]
    if columns[0] != "key" or [each for each in known if each in columns] != list(columns):
        line = len(notes) + 1
        raise DefinitionError(f"{name}:{line}: a keyset's columns are {','.join(known)}, not {','.join(columns)}")
    by_name = dict(zip(columns, zip(*rows, strict=True), strict=True))
    said = tuple(line.lstrip("#").strip() for line in notes)
    others = {code: by_name[f"label.{code}"] for code in LANGUAGES[1:] if f"label.{code}" in columns}
    return Keyset(path.stem, by_name["key"], by_name.get("label"), digest, said, others)


def keyset_bytes(
    keys: Sequence[str],
    labels: Sequence[str] | None,
    notes: Sequence[str],
    others: Mapping[str, Mapping[str, str]] | None = None,
) -> bytes:
    """The file that `read_keyset` reads; `others` has what keys are called, by language and key."""
    columns = {"key": keys} | ({"label": labels} if labels is not None else {})
    columns |= {f"label.{code}": [called.get(key, "") for key in keys] for code, called in (others or {}).items()}
    text = io.StringIO(newline="")
    text.writelines(f"# {note}\n" for note in notes)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def too_many() -> str:
    """Why there is no keyset of more than so many keys, and what to do."""
    return (
        f"has more than {MOST_KEYS:,} keys, each of which would get a row in every period: use coarser keys, such as "
        "tracts instead of parcels"
    )


def read_lookup(path: Path, name: str) -> Lookup:
    """Read a lookup; its first column must be unique. Raises DefinitionError with file and line."""
    text, digest = _text(path, name)
    columns, rows = _table(text, name)
    return Lookup(path.stem, columns, rows, digest)


def _text(path: Path, name: str) -> tuple[str, str]:
    """The text of the file and its SHA-256."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise DefinitionError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DefinitionError(f"{name}: is not UTF-8 text: save it as UTF-8") from None
    return text, hashlib.sha256(content).hexdigest()


def _noted(text: str) -> tuple[tuple[str, ...], str]:
    """The lines before the header that begin with #, and the rest."""
    notes: list[str] = []
    while text.startswith("#"):
        line, _, text = text.partition("\n")
        notes.append(line)
    return tuple(notes), text


def _table(
    text: str, name: str, before: int = 0, most: int = sys.maxsize
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The header and at most so many rows; `before` is the number of lines before the header."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns, rows = _rows(reader, name, before, most)
    except csv.Error as error:
        raise DefinitionError(f"{name}:{before + reader.line_num}: is not CSV: {error}") from None
    if not rows:
        raise DefinitionError(f"{name}:{before + 1}: has no keys: write a header, then one key per line")
    return columns, rows


def _rows(reader: Reader, name: str, before: int, most: int) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    columns = tuple(next(reader, ()))
    if len({column.lower() for column in columns} - {""}) != len(columns):
        raise DefinitionError(
            f"{name}:{before + 1}: two columns have the same name, or one has none: give each its own"
        )
    rows: dict[str, tuple[str, ...]] = {}
    first: dict[str, int] = {}
    for row in reader:
        line = before + reader.line_num
        fault = _fault(row, columns, first)
        if fault:
            raise DefinitionError(f"{name}:{line}: {fault}")
        if len(rows) == most:
            raise DefinitionError(f"{name}:{line}: {too_many()}")
        rows[row[0]] = tuple(row)
        first[row[0]] = line
    return columns, tuple(rows.values())


def _fault(row: list[str], columns: tuple[str, ...], first: dict[str, int]) -> str | None:
    if len(row) != len(columns):
        return f"has {len(row)} values, the header has {len(columns)}"
    if not row[0].strip():
        return "the key is empty"
    if row[0] in first:
        return f"the key {row[0]!r} is already on line {first[row[0]]}"
    return None
