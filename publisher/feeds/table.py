"""Fetched records as one private Parquet file: the columns that are read, each value as the text that came."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from publisher.workspace import SourceFile

Row = tuple[str | None, ...]


@dataclass(frozen=True)
class FirstPage:
    """Some records of a server whose columns no one has declared yet, and what it says of them itself."""

    records: Sequence[dict[str, Any]] = field(repr=False)
    columns: tuple[str, ...] = ()
    """The names of its columns in order, if the server lists them."""
    record_id: tuple[str, ...] = ()
    """The columns that it says tell records apart."""
    times: tuple[str, ...] = ()
    """The columns of dates and times, if the server knows types."""


def write_table(files: Path, columns: Sequence[str], rows: Collection[Row]) -> None:
    """Write one file, named by the time; none if there are no rows. Equal rows give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet

    if rows:
        arrays = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
        name = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ.parquet")
        pyarrow.parquet.write_table(pa.table(arrays, names=list(columns)), files / name)


def row_of(source: SourceFile, record: Mapping[str, Any]) -> Row:
    """The values of the columns that are read; nothing else of the record goes further.

    A name with dots that the record does not have itself leads into inner objects, as in a JSON file. Raises
    SourceError for a column that holds an object: more could be in it than its name says.
    """
    return tuple(_text(source, column, _value(record, column)) for column in source.definition.landed)


def without(never: frozenset[str], value: Any) -> Any:
    """A record without the keys that are never read, at any depth."""
    if isinstance(value, dict):
        return {key: without(never, inner) for key, inner in value.items() if key not in never}
    return [without(never, inner) for inner in value] if isinstance(value, list) else value


def _value(record: Mapping[str, Any], column: str) -> Any:
    if column in record:
        return record[column]
    found: Any = record
    for part in column.split("."):
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


def _text(source: SourceFile, column: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, dict | list):
        raise SourceError(
            f"{source.origin.name}: columns.{column}: holds objects or lists: name what is wanted inside, such as "
            f'"{column}.key" or "{column}.0"'
        )
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).encode("utf-8", errors="replace").decode("utf-8")
