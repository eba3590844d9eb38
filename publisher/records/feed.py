"""The raw files of a source: which ones there are, and each as a table of texts for DuckDB.

A file is read in place if DuckDB can read it exactly. Otherwise (gzip, another encoding, a byte order mark, mixed line
endings, a workbook) a plain UTF-8 copy is made in the private temporary folder, in pieces.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.duck import literal, quoted, safely
from publisher.errors import SourceError
from publisher.records import plain, sql, workbook

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.workspace import SourceFile

_ENDINGS = {
    "csv": (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"),
    "parquet": (".parquet", ".pq"),
    "json": (".json", ".ndjson", ".jsonl", ".json.gz", ".ndjson.gz", ".jsonl.gz"),
    "excel": (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
}


@dataclass(frozen=True)
class FeedTable:
    """One raw file as DuckDB reads it."""

    columns: tuple[str, ...]
    """The names in the file's header, in order; for JSON, which has no header, the declared ones."""
    relation: str
    """SQL for FROM that gives the columns as texts c0, c1, …"""
    rejected: str | None
    """SQL that counts the records that could not be read, after the relation was read once."""
    keys: tuple[str, ...] = ()
    """Undeclared keys of JSON objects. They are content of records, so only for the private report."""


def find(source: SourceFile, data: Path) -> tuple[Path, ...]:
    """The files of the feed, ordered by path. Raises SourceError if there are none, or a name is not text."""
    pattern = source.definition.feed.path
    if data.is_dir() and not pattern.startswith("/"):
        found = _matching(data, pattern, _ENDINGS[source.definition.feed.format])
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


def open_table(source: SourceFile, path: Path, connection: DuckDBPyConnection, temporary: Path) -> FeedTable:
    """The raw file as a table. Raises SourceError for a file that is empty or not of the declared format."""
    if path.stat().st_size == 0:
        raise SourceError(f"{path.name}: is empty: fetch the file again")
    feed, copy = source.definition.feed, temporary / "plain"
    if feed.format == "csv":
        return _csv(plain.text(path, feed.encoding, copy), feed.delimiter, path.name)
    if feed.format == "excel":
        return _csv(workbook.text(path, feed.sheet, copy), ",", path.name)
    if feed.format == "json":
        return _json(plain.text(path, feed.encoding, copy), source, connection, path.name)
    return _parquet(path, connection)


def _matching(data: Path, pattern: str, endings: tuple[str, ...]) -> tuple[Path, ...]:
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


def _csv(path: Path, delimiter: str, shown: str) -> FeedTable:
    plain.check_quotes(path, delimiter, shown)
    columns = plain.header(path, delimiter, shown)
    relation = plain.relation(path, delimiter, len(columns))
    return FeedTable(columns, relation, "SELECT count(DISTINCT line) FROM reject_errors")


def _parquet(path: Path, connection: DuckDBPyConnection) -> FeedTable:
    with safely(f"{path.name}: cannot be read as Parquet"):
        found = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({sql.file(path)})").fetchall()
    columns = tuple(str(row[0]) for row in found)
    cells = ", ".join(f"CAST({quoted(column)} AS VARCHAR) AS c{n}" for n, column in enumerate(columns))
    return FeedTable(columns, f"(SELECT {cells} FROM read_parquet({sql.file(path)}))", None)


def _json(path: Path, source: SourceFile, connection: DuckDBPyConnection, shown: str) -> FeedTable:
    """Each declared key of each object, absent ones as NULL: no record's keys decide whether a file can be read."""
    columns, form = tuple(source.definition.columns), plain.json_form(path)
    values = f"read_json_objects({sql.file(path)}, format = '{form}', ignore_errors = true)"
    objects = f"{values} WHERE json_type(json) = 'OBJECT'"
    with safely(f"{shown}: cannot be read as JSON"):
        lines, readable = connection.execute(f"SELECT count(*), count(json) FROM {values}").fetchall()[0]
        found = connection.execute(f"SELECT DISTINCT unnest(json_keys(json)) FROM {objects}").fetchall()
    if not readable and (lines or form != "array"):
        raise SourceError(f"{shown}: {'cannot be read as JSON' if lines else 'is empty'}: fetch the file again")
    cells = ", ".join(f"json ->> {literal(_pointer(column))} AS c{n}" for n, column in enumerate(columns))
    rejected = f"SELECT count(*) FROM {values} WHERE json_type(json) IS DISTINCT FROM 'OBJECT'"
    keys = tuple(sorted({str(row[0]) for row in found}.difference(columns)))
    return FeedTable(columns, f"(SELECT {cells} FROM {objects})", rejected, keys)


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")
