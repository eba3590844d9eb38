"""Rows in one canonical form, both ours and the portal's, so that they can be compared exactly.

A row is a tuple of texts aligned with the columns, None if empty. Numbers are plain decimals without trailing
zeros, dates are floating timestamps with milliseconds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING

from publisher.errors import PortalError
from publisher.push.listing import IDENTIFIER
from publisher.release.table import read_published

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from publisher.push.client import Fields
    from publisher.release.manifest import ColumnSpec, Release

Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Difference:
    """How a portal's rows differ: `changed` has new or different rows by id, `gone` the ids to delete."""

    changed: dict[str, Row]
    gone: tuple[str, ...]
    rows: int
    """How many rows the portal has."""

    @property
    def ids(self) -> list[str]:
        """The ids of every row that differs."""
        return sorted({*self.changed, *self.gone})


def wanted_rows(releases: Sequence[Release], columns: Sequence[ColumnSpec]) -> dict[str, Row]:
    """Every row of the releases by id; columns that a release did not have yet are empty in its rows.

    Raises SourceError for a damaged table, PortalError for an id in two releases.
    """
    rows: dict[str, Row] = {}
    for release in releases:
        fresh = _read(release, columns)
        if twice := rows.keys() & fresh.keys():
            raise PortalError(f"{release.manifest.name}: the row {min(twice)} is also in another release")
        rows |= fresh
    return rows


def compare(wanted: dict[str, Row], held: Iterable[Fields], columns: Sequence[ColumnSpec]) -> Difference:
    """Compare the portal's rows, value by value, with those that it should have."""
    forms = [(column.name, _FORMS[column.type]) for column in columns]
    key = _key(columns)
    changed, gone, rows = dict(wanted), [], 0
    for fields in held:
        row = tuple([None if (value := fields.get(name)) is None else form(value) for name, form in forms])
        rows += 1
        identifier = str(row[key])
        if identifier not in wanted:
            gone.append(identifier)
        elif wanted[identifier] == row:
            changed.pop(identifier, None)
    return Difference(changed, tuple(gone), rows)


def read_row(fields: Mapping[str, str], columns: Sequence[ColumnSpec]) -> Row:
    """A row of a release's CSV; what is empty there is null."""
    return tuple([_FORMS[each.type](text) if (text := fields.get(each.name)) else None for each in columns])


def checksum_of(rows: dict[str, Row]) -> str:
    """The sha256 of the canonical rows as JSON arrays, one per line, in the order of their ids."""
    digest = hashlib.sha256()
    for identifier in sorted(rows):
        digest.update(json.dumps(rows[identifier]).encode() + b"\n")
    return digest.hexdigest()


def batches(difference: Difference, columns: Sequence[ColumnSpec], limit: int) -> Iterator[list[Fields]]:
    """What to send, in lists of at most `limit` bytes of JSON. Empty values are sent as null: an absent value
    would stay as it was."""
    names = [column.name for column in columns]
    batch: list[Fields] = []
    size = 0
    for fields in _changes(difference, names):
        length = len(json.dumps(fields)) + 2
        if batch and size + length > limit:
            yield batch
            batch, size = [], 0
        batch.append(fields)
        size += length
    if batch:
        yield batch


def _changes(difference: Difference, names: list[str]) -> Iterator[Fields]:
    for row in difference.changed.values():
        yield dict(zip(names, row, strict=True))
    for identifier in difference.gone:
        yield {IDENTIFIER: identifier, ":deleted": True}


def _read(release: Release, columns: Sequence[ColumnSpec]) -> dict[str, Row]:
    table = read_published(release)
    declared = {column.name for column in release.manifest.columns}
    if missing := [name for name in declared if name not in table.column_names]:
        raise PortalError(f"{release.manifest.name}: the table has no column {', '.join(sorted(missing))}")
    empty: list[str | None] = [None] * table.num_rows
    texts = [_texts(table.column(c.name), c.type) if c.name in declared else empty for c in columns]
    rows = dict(zip(texts[_key(columns)], zip(*texts, strict=True), strict=True))
    if None in rows or len(rows) != table.num_rows:
        raise PortalError(f"{release.manifest.name}: the rows have no unique ids")
    return rows  # type: ignore[return-value]


def _key(columns: Sequence[ColumnSpec]) -> int:
    return [column.name for column in columns].index(IDENTIFIER)


def _texts(column: pa.ChunkedArray, kind: str) -> list[str | None]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind == "calendar_date":
        column = pc.strftime(column.cast(pa.timestamp("ms")), "%Y-%m-%dT%H:%M:%S")
    elif pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    form = _FORMS[kind]
    return [None if text is None else form(text) for text in column.cast(pa.string()).to_pylist()]


@lru_cache(maxsize=2**17)
def _number(text: str) -> str:
    try:
        number = Decimal(str(text))
    except InvalidOperation:
        return text
    return format(number.normalize(), "f") if number else "0"


@lru_cache(maxsize=2**12)
def _date(text: str) -> str:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None).isoformat(timespec="milliseconds")
    except ValueError:
        return text


_FORMS: dict[str, Callable[[str], str]] = {"text": str, "number": _number, "calendar_date": _date}
