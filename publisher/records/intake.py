"""Raw files read and written in one pass: one large file, or many small ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from publisher.duck import safely
from publisher.records import columns, feed, places, rows
from publisher.records.payment import payment_looks, payment_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.records.feed import FeedTable
    from publisher.records.known import KnownRecords
    from publisher.records.pseudonyms import Way
    from publisher.workspace import SourceFile

SMALL = 1 << 20
"""Files up to this size, in bytes, are landed several at once."""
MOST = 200
"""So many at most."""
_BYTES = 16 << 20
"""And at most so many bytes."""


@dataclass(frozen=True)
class RawFile:
    """What was read of one raw file, or of a part of it."""

    read: int
    rejected: int
    unlisted: tuple[str, ...]
    """Columns that are not declared."""
    keys: tuple[str, ...] = ()
    """Undeclared keys of JSON objects."""
    looks: dict[str, list[int]] = field(default_factory=dict)
    """By raw column: what looks like a card or bank number, and what proves to be one."""

    @property
    def payment(self) -> dict[str, int]:
        """By raw column: rows with a card or bank number."""
        return payment_numbers(self.looks)


def whole(parts: Sequence[RawFile]) -> RawFile:
    """What was read of a raw file, from all its parts; of its keys and columns each says the same."""
    looks: dict[str, list[int]] = {}
    for part in parts:
        for column, counted in part.looks.items():
            looks[column] = [a + b for a, b in zip(looks.get(column, [0] * len(counted)), counted, strict=True)]
    read, rejected = sum(part.read for part in parts), sum(part.rejected for part in parts)
    return replace(parts[0], read=read, rejected=rejected, looks=looks)


@dataclass(frozen=True)
class Intake:
    """Rows of raw files that were written as they will be landed."""

    files: tuple[RawFile, ...]
    relation: Callable[[], str]
    """SQL for FROM: the raw rows under the names of their columns, with the number of their file in `_file`, to look
    for causes."""


def together(paths: Sequence[Path], apart: Sequence[Path]) -> Iterator[list[Path]]:
    """The paths, in order, as those that are landed in one pass; none of a pass comes after one of the paths `apart`
    that the pass's first does not come after."""
    group: list[Path] = []
    size = 0
    for path in paths:
        own = path.stat().st_size
        fits = len(group) < MOST and own <= SMALL and size + own <= _BYTES
        if group and not (fits and not any(group[0] < each < path for each in apart)):
            yield group
            group, size = [], 0
        group.append(path)
        size += own if own <= SMALL else _BYTES
    if group:
        yield group


@dataclass(frozen=True)
class Reader:
    """Reads the files of a source and writes their rows."""

    source: SourceFile
    data: Path
    connection: DuckDBPyConnection
    temporary: Path
    memory: int
    way: Way

    def write(self, paths: Sequence[Path], target: rows.PartitionTarget) -> Intake:
        """Write the rows of the files to the target: each row, also if its record has others."""
        return self.write_tables(paths, self.opened(paths), target)

    def opened(self, paths: Sequence[Path]) -> list[FeedTable]:
        """The files as tables of the connection."""
        return [
            feed.open_table(self.source, path, self.connection, self.temporary / f"file-{number}", self.memory)
            for number, path in enumerate(paths)
        ]

    def write_tables(self, paths: Sequence[Path], tables: Sequence[FeedTable], target: rows.PartitionTarget) -> Intake:
        """The same for files that are open."""
        unlisted = [
            columns.unlisted(self.source, table.columns, path.name) for path, table in zip(paths, tables, strict=True)
        ]
        shown = paths[0].name if len(paths) == 1 else f"{len(paths)} files from {paths[0].name} on"
        with safely(f"{shown}: reading the records"):
            relation = self.relation(tables)
            located = places.locate(self.source, self.data, self.connection, relation, self.temporary)
            spaces = all(table.spaces for table in tables)
            likely = rows.write(self.source, relation, located, target, self.connection, self.way, spaces=spaces)
            cells = rows.of_cards(self.source, relation)
            looks = payment_looks(self.source.definition.landed, cells, self.connection) if likely else {}
            written = target.by_number()
            read = [rows.count_rows(written.get(number, [])) for number in range(len(paths))]
            rejected = [self._rejected(table, count) for table, count in zip(tables, read, strict=True)]
        files = (
            RawFile(read[n], rejected[n], unlisted[n], table.keys, looks.get(n, {})) for n, table in enumerate(tables)
        )
        return Intake(tuple(files), partial(str, relation))

    def relation(self, tables: Sequence[FeedTable]) -> str:
        """SQL for FROM: the raw rows; of JSON, which is dear to read, a copy."""
        relation = rows.named(self.source, tables)
        if any(table.objects is not None for table in tables):
            return rows.stage(relation, self.connection, self.temporary / "raw.parquet")
        return relation

    def drop_repeated(self, target: rows.PartitionTarget, known: KnownRecords | None, *, first: bool) -> None:
        """Keep one row of each record of a file; if `first`, only in the first file that has it; none that is known."""
        written = target.files()
        if not written:
            return
        with safely(f"{self.source.name}: finding repeated records"):
            rows.find_repeated(written, self.connection, first=first)
            if known is not None:
                for ids in known.among(rows.numbered(written), self.connection):
                    rows.find_known(written, ids, self.connection)
        rows.drop(self.source, target, self.connection)

    def _rejected(self, table: FeedTable, read: int) -> int:
        if table.objects is not None:
            return table.objects - read
        if table.rejected is None:
            return 0
        return int(self.connection.execute(table.rejected).fetchall()[0][0])
