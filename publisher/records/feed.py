"""The raw files of a source: which ones there are, and each as a table of texts for DuckDB.

A file is read in place if DuckDB can read it exactly. Otherwise (gzip, another encoding, a byte order mark, carriage
returns, misplaced quotes, JSON, a workbook) a plain UTF-8 copy is made in the private temporary folder, in pieces. What
happens to one record depends on that record alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions.feed import FileFeed, TableFeed
from publisher.duck import literal, quoted, safely
from publisher.errors import SourceError
from publisher.records import delimited, objects, plain, raw_bytes, sql, workbook

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.definitions.feed import FileFormat
    from publisher.records.delimited import Delimited
    from publisher.workspace import SourceFile

ENDINGS = {
    "csv": (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"),
    "parquet": (".parquet", ".pq"),
    "json": (".json", ".ndjson", ".jsonl", ".json.gz", ".ndjson.gz", ".jsonl.gz"),
    "excel": (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
}
"""How the names of files end, by format."""


@dataclass(frozen=True)
class PiecesOfFile:
    """A plain CSV file whose every line is a record, and where its pieces begin and the last one ends."""

    file: Delimited
    cuts: tuple[int, ...]
    spaces: bool
    """Whether all blanks in the whole file are known to be spaces."""

    def table(self, connection: DuckDBPyConnection) -> FeedTable:
        """The pieces as a table of the connection."""
        scan, names = self.file.in_pieces(self.cuts, connection)
        return FeedTable(self.file.path, self.file.columns, scan, _rejected(names), spaces=self.spaces, pieces=self)


@dataclass(frozen=True)
class FeedTable:
    """One raw file as DuckDB reads it."""

    path: Path
    """Itself, or its plain copy."""
    columns: tuple[str, ...]
    """The names in the file's header, in order; for JSON, the declared keys that an object has."""
    scan: str
    """SQL for FROM that gives the columns of any `FILES` of this kind as texts c0, c1, …, and their paths."""
    rejected: str | None
    """SQL that counts the records that could not be read, after the relation was read once."""
    keys: tuple[str, ...] = ()
    """Undeclared keys of JSON objects. They are content of records, so only for the private report."""
    objects: int | None = None
    """For JSON, so many records were given to DuckDB, or rejected before."""
    spaces: bool = False
    """Whether all blanks in the texts are known to be spaces."""
    pieces: PiecesOfFile | None = None
    """The pieces that are read at the same time."""

    @property
    def relation(self) -> str:
        """SQL for FROM that gives the columns of the file."""
        return f"(SELECT * EXCLUDE ({sql.PATH}) FROM {self.scan.replace(sql.FILES, sql.file(self.path))})"


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
            _check_name(str(path).removeprefix(f"{data}/"))
        if found:
            return found
    raise SourceError(
        f"{source.origin.name}: feed.path: no file {pattern!r} in {data}: put it there, or set the folder of the raw "
        "files: PUBLISHER_DATA in the environment or `data` in publisher.toml"
    )


def open_table(
    source: SourceFile, path: Path, connection: DuckDBPyConnection, temporary: Path, memory: int
) -> FeedTable:
    """The raw file as a table; a workbook must fit into `memory` bytes. Copies lie beside the path `temporary`.

    Raises SourceError for a file that is empty or not of the declared format.
    """
    definition = source.definition
    if isinstance(definition.feed, TableFeed):
        return _parquet(path, connection)
    return table_of(definition.feed, tuple(definition.columns), path, connection, temporary, memory, at_once=True)


def table_of(
    feed: FileFormat,
    declared: tuple[str, ...],
    path: Path,
    connection: DuckDBPyConnection,
    temporary: Path,
    memory: int,
    *,
    at_once: bool = False,
) -> FeedTable:
    """The same for a file of a feed and the keys that are declared for it, which only JSON needs; if `at_once`, in
    pieces that are read at the same time, so in no order."""
    if path.stat().st_size == 0:
        raise SourceError(f"{path.name}: is empty: fetch the file again")
    copy, records = (temporary.with_name(f"{temporary.name}.{what}") for what in ("plain", "records"))
    if feed.format == "csv":
        text, delimiter = plain.text(path, feed.encoding, copy), feed.delimiter
        return _csv(text, delimiter, path.name, records, connection if at_once else None)
    if feed.format == "excel":
        return _csv(workbook.text(path, feed.sheet, copy, memory), ",", path.name, records, None)
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


def _check_name(path: str) -> None:
    """Check a file name: to the file system it is bytes, but DuckDB and readers of messages need text."""
    shown = os.fsencode(path).decode("utf-8", errors="backslashreplace")
    if shown != path:
        raise SourceError(f"{shown}: the name of this raw file is not UTF-8: rename it")


def _csv(path: Path, delimiter: str, shown: str, copy: Path, connection: DuckDBPyConnection | None) -> FeedTable:
    """In pieces if there is a connection that they are offered to."""
    seen = raw_bytes.look(path)
    found = delimited.read(path, delimiter, shown, copy, quoted=seen.quoted)
    spaces = found.by_line and seen.spaces
    if connection is not None and (cuts := found.cuts()) is not None:
        return PiecesOfFile(found, tuple(cuts), spaces).table(connection)
    rejected = _rejected([str(found.path)], found.rejected)
    return FeedTable(found.path, found.columns, found.scan, rejected, spaces=spaces)


def _rejected(names: list[str], before: int = 0) -> str:
    """SQL that counts the lines that DuckDB rejected of these files, and those that were left out before."""
    lines = "SELECT DISTINCT file_path, line FROM reject_errors JOIN reject_scans USING (scan_id, file_id)"
    return f"SELECT {before} + count(*) FROM ({lines} WHERE file_path IN {sql.array(names)})"


def _parquet(path: Path, connection: DuckDBPyConnection) -> FeedTable:
    with safely(f"{path.name}: cannot be read as Parquet"):
        found = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({sql.file(path)})").fetchall()
    columns = tuple(str(row[0]) for row in found)
    # The types are named, so that files of other types are of another kind: read together, one's would decide the
    # others' texts (007 would be 7 beside a file of whole numbers).
    texts = (f"CAST(CAST({quoted(str(name))} AS {kind}) AS VARCHAR)" for name, kind, *_ in found)
    cells = ", ".join(f"{sql.lines(text)} AS c{n}" for n, text in enumerate(texts))
    scan = f"(SELECT {cells}, {sql.PATH} FROM read_parquet({sql.FILES}, filename = '{sql.PATH}'))"
    return FeedTable(path, columns, scan, None)


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
    values = (
        f"(SELECT json, filename AS {sql.PATH} FROM read_json_objects({sql.FILES}, format = 'newline_delimited', "
        f"maximum_object_size = {objects.LONGEST + 1}, ignore_errors = true, filename = true))"
    )
    cells = "".join(f"{sql.lines(_value(key))} AS c{n}, " for n, key in enumerate(columns))
    scan = f"(SELECT {cells}{sql.PATH} FROM {values} WHERE json_type(json) = 'OBJECT')"
    broken = f"count(*) FROM {values.replace(sql.FILES, sql.file(found.path))} WHERE json_type(json) IS DISTINCT FROM"
    known = {*declared, *(objects.steps(key)[0] for key in declared)}
    return FeedTable(
        found.path,
        columns,
        scan,
        f"SELECT {found.rejected} + {broken} 'OBJECT'",
        tuple(sorted(found.keys - known)),
        found.objects + found.rejected,
    )


def _value(key: str) -> str:
    """SQL for the value of a key of `json`; a key with dots that no object has itself leads into inner objects."""
    paths = dict.fromkeys([(key,), objects.steps(key)])
    found = [f"json ->> {literal(_pointer(path))}" for path in paths]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def _pointer(path: tuple[str, ...]) -> str:
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)
