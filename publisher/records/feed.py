"""The raw files of a source: which ones there are, and each as a table of texts for DuckDB.

A file is read in place if DuckDB can read it exactly. Otherwise (gzip, another encoding, a byte order mark, carriage
returns, misplaced quotes, JSON, a workbook) a plain UTF-8 copy is made in the private temporary folder, in pieces. What
happens to one record depends on that record alone.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions.feed import FileFeed, TableFeed
from publisher.duck import literal, quoted, safely
from publisher.errors import SourceError
from publisher.records import delimited, objects, plain, sql, workbook

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.definitions.feed import FileFormat
    from publisher.workspace import SourceFile

ENDINGS = {
    "csv": (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"),
    "parquet": (".parquet", ".pq"),
    "json": (".json", ".ndjson", ".jsonl", ".json.gz", ".ndjson.gz", ".jsonl.gz"),
    "excel": (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
}
"""How the names of files end, by format."""


@dataclass(frozen=True)
class FeedTable:
    """One raw file as DuckDB reads it."""

    columns: tuple[str, ...]
    """The names in the file's header, in order; for JSON, the declared keys that an object has."""
    relation: str
    """SQL for FROM that gives the columns as texts c0, c1, …"""
    rejected: str | None
    """SQL that counts the records that could not be read, after the relation was read once."""
    keys: tuple[str, ...] = ()
    """Undeclared keys of JSON objects. They are content of records, so only for the private report."""


def find(source: SourceFile, data: Path) -> tuple[Path, ...]:
    """The files of the feed in the data folder, ordered by path; none of a feed that is fetched.

    Raises SourceError if there are none, or a name is not text.
    """
    feed = source.definition.feed
    if not isinstance(feed, FileFeed):
        return ()
    pattern = feed.path
    if data.is_dir() and not pattern.startswith("/"):
        found = files(data, pattern, feed.format)
        for path in found:
            _check_name(path.relative_to(data))
        if found:
            return found
    raise SourceError(
        f"{source.origin.name}: feed.path: no file {pattern!r} in {data}: put it there, or set the folder of the raw "
        "files: PUBLISHER_DATA in the environment or `data` in publisher.toml"
    )


def digest(path: Path) -> str:
    """The SHA-256 of the file's bytes. Raises SourceError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path.name}: cannot be read: {error.strerror}") from None


def open_table(
    source: SourceFile, path: Path, connection: DuckDBPyConnection, temporary: Path, memory: int
) -> FeedTable:
    """The raw file as a table; a workbook must fit into `memory` bytes.

    Raises SourceError for a file that is empty or not of the declared format.
    """
    definition = source.definition
    if isinstance(definition.feed, TableFeed):
        return _parquet(path, connection)
    return table_of(definition.feed, tuple(definition.columns), path, connection, temporary, memory)


def table_of(
    feed: FileFormat,
    declared: tuple[str, ...],
    path: Path,
    connection: DuckDBPyConnection,
    temporary: Path,
    memory: int,
) -> FeedTable:
    """The same for a file of a feed and the keys that are declared for it, which only JSON needs."""
    if path.stat().st_size == 0:
        raise SourceError(f"{path.name}: is empty: fetch the file again")
    copy, records = temporary / "plain", temporary / "records"
    if feed.format == "csv":
        return _csv(plain.text(path, feed.encoding, copy), feed.delimiter, path.name, records)
    if feed.format == "excel":
        return _csv(workbook.text(path, feed.sheet, copy, memory), ",", path.name, records)
    if feed.format == "json":
        return _json(plain.text(path, feed.encoding, copy), declared, path.name, records)
    return _parquet(path, connection)


def files(data: Path, pattern: str, form: str) -> tuple[Path, ...]:
    """The files that a feed's path of that format takes, ordered by path."""
    endings = ENDINGS[form]
    if any(c in pattern for c in "*?["):
        return tuple(sorted(path for path in data.glob(pattern) if path.is_file()))
    path = data / pattern
    if path.is_dir():
        inside = (file for file in path.rglob("[!.]*") if file.name.lower().endswith(endings) and file.is_file())
        return tuple(sorted(inside))
    return tuple(file for file in (path, path.with_name(path.name + ".gz")) if file.is_file())[:1]


def _check_name(path: Path) -> None:
    """Check a file name: to the file system it is bytes, but DuckDB and readers of messages need text."""
    shown = os.fsencode(path).decode("utf-8", errors="backslashreplace")
    if shown != str(path):
        raise SourceError(f"{shown}: the name of this raw file is not UTF-8: rename it")


def _csv(path: Path, delimiter: str, shown: str, copy: Path) -> FeedTable:
    found = delimited.read(path, delimiter, shown, copy)
    rejected = f"SELECT {found.rejected} + count(DISTINCT line) FROM reject_errors"
    return FeedTable(found.columns, found.relation, rejected)


def _parquet(path: Path, connection: DuckDBPyConnection) -> FeedTable:
    with safely(f"{path.name}: cannot be read as Parquet"):
        found = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({sql.file(path)})").fetchall()
    columns = tuple(str(row[0]) for row in found)
    cells = ", ".join(f"{sql.lines(f'CAST({quoted(column)} AS VARCHAR)')} AS c{n}" for n, column in enumerate(columns))
    return FeedTable(columns, f"(SELECT {cells} FROM read_parquet({sql.file(path)}))", None)


def _json(path: Path, declared: tuple[str, ...], shown: str, copy: Path) -> FeedTable:
    """Each declared key of each object; absent ones are NULL."""
    found = objects.read(path, declared, copy)
    if found.empty:
        raise SourceError(f"{shown}: is empty: fetch the file again")
    if found.long:
        raise SourceError(
            f"{shown}: has a value whose end is too far away to find. If the objects are inside another object, "
            "export them as an array, or one on each line"
        )
    if found.torn:
        raise SourceError(f"{shown}: the array does not end. The download may be incomplete: fetch the file again")
    if found.foreign:
        raise SourceError(f"{shown}: cannot be read as JSON: fetch the file again, or correct feed.format")
    columns = tuple(key for key in declared if key not in found.missing or not found.objects)
    values = f"(SELECT json FROM read_json_objects({sql.file(found.path)}, format = 'newline_delimited', "
    values += f"maximum_object_size = {objects.LONGEST + 1}, ignore_errors = true))"
    cells = ", ".join(f"{sql.lines(_value(key))} AS c{n}" for n, key in enumerate(columns))
    rejected = f"SELECT {found.rejected} + count(*) FROM {values} WHERE json_type(json) IS DISTINCT FROM 'OBJECT'"
    known = {*declared, *(objects.steps(key)[0] for key in declared)}
    relation = f"(SELECT {cells} FROM {values} WHERE json_type(json) = 'OBJECT')"
    return FeedTable(columns, relation, rejected, tuple(sorted(found.keys - known)))


def _value(key: str) -> str:
    """SQL for the value of a key of `json`; a key with dots that no object has itself leads into inner objects."""
    paths = dict.fromkeys([(key,), objects.steps(key)])
    found = [f"json ->> {literal(_pointer(path))}" for path in paths]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def _pointer(path: tuple[str, ...]) -> str:
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)
