"""Raw files landed by worker processes on this machine: some files each, or some pieces of a large one.

What a row becomes depends on that row alone, so the rows are the same however files are divided. Workers are told where
files lie and where to write; the key of the pseudonyms they read from the private folder, as this process does. Which
rows come again, and whether a batch is there at all, is decided by this process alone.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from publisher import durable
from publisher.duck import limits
from publisher.executors.protocol import SelectedRows, Task
from publisher.records import columns, intake, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from publisher.executors.protocol import Columns, Executor
    from publisher.records.feed import FeedTable, PiecesOfFile
    from publisher.records.pseudonyms import Way
    from publisher.workspace import SourceFile

LEAST_FILES, LEAST_BYTES = 400, 32 << 20
"""With fewer of both, this process has landed them before workers have begun."""
MOST_PIECES = 64
"""So many pieces of a file, half a gigabyte, are at most one task: what a lost worker has done is done again."""


def worth(paths: Sequence[Path]) -> bool:
    """Whether workers land these files sooner than this process does."""
    return len(paths) >= LEAST_FILES or sum(path.stat().st_size for path in paths) >= LEAST_BYTES


@dataclass(frozen=True)
class LandingWorkers:
    """Has the rows of raw files written by the workers of an executor."""

    executor: Executor
    reader: intake.Reader
    """Reads here what cannot be divided."""
    private: Path

    def write(self, paths: Sequence[Path], target: rows.PartitionTarget) -> intake.Intake:
        """Write the rows of the files to the target: each row, also if its record has others."""
        reader, many = self.reader, self.executor.landers
        if len(paths) > 1:
            each = -(-len(paths) // many)
            shares = [[str(path) for path in paths[n : n + each]] for n in range(0, len(paths), each)]
            found = self._written(shares, target, None)
            files = [_moved([each], target, number) for number, each in enumerate(found)]
            return intake.Intake(tuple(files), lambda: reader.relation(reader.opened(paths)))
        tables = reader.opened(paths)
        pieces = tables[0].pieces
        if pieces is None:
            return reader.write_tables(paths, tables, target)
        file = _moved(self._written(_shares(pieces.cuts, many), target, pieces), target, 0)
        return intake.Intake((file,), lambda: reader.relation(tables))

    def _written(
        self, shares: Sequence[Sequence[object]], target: rows.PartitionTarget, pieces: PiecesOfFile | None
    ) -> list[tuple[Path, intake.RawFile]]:
        """What workers read of each share, one after another, and the folder with its rows."""
        from pydantic import TypeAdapter

        reader = self.reader
        staging = target.folder / "shares"
        staging.mkdir()
        tasks = [Task(SelectedRows("SELECT CAST(? AS VARCHAR)", (json.dumps(share),)), 0) for share in shares]
        write = WritesShare(
            reader.source,
            reader.data,
            self.private,
            reader.temporary,
            rows.PartitionTarget(staging, target.name),
            reader.way,
            pieces and replace(pieces, cuts=()),
        )
        found = self.executor.map_shuffle_reduce(tasks, AsTheyAre(), None, write).to_pylist()
        said = TypeAdapter(intake.RawFile)
        return [(Path(each["folder"]), said.validate_json(each["found"])) for each in found]


@dataclass(frozen=True)
class AsTheyAre:
    """The kernel of landing: a share as it is."""

    @property
    def columns(self) -> Columns:
        """Its one column."""
        return {"share": "VARCHAR"}

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> SelectedRows:  # noqa: ARG002
        """The share itself."""
        return rows


@dataclass(frozen=True)
class WritesShare:
    """The reducer of landing: writes the rows of some raw files, or of some pieces of one, into a folder of its own, so
    that what a lost worker has left is never taken for what another has written."""

    source: SourceFile
    data: Path
    private: Path
    temporary: Path
    target: rows.PartitionTarget
    way: Way
    pieces: PiecesOfFile | None
    """The file whose pieces they are, without its cuts."""

    @property
    def columns(self) -> Columns:
        """Where the rows of each file are, and what was read of it."""
        return {"folder": "VARCHAR", "found": "VARCHAR"}

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> pa.Table:
        """Write the share's rows; nothing but where they are, and how many, is given back."""
        import pyarrow as pa

        ((share,),) = connection.execute(rows.sql, list(rows.parameters)).fetchall()
        mark = token_hex(8)
        own, target = self.temporary / mark, replace(self.target, folder=self.target.folder / mark)
        with durable.writing(self.private), durable.private_files():
            own.mkdir()
            target.folder.mkdir()
            try:
                found = self._write(json.loads(share), connection, own, target)
            finally:
                shutil.rmtree(own, ignore_errors=True)
        folders = [str(target.of(number)) for number in range(len(found))]
        return pa.table({"folder": folders, "found": [json.dumps(asdict(each)) for each in found]})

    def _write(
        self, share: list[object], connection: DuckDBPyConnection, own: Path, target: rows.PartitionTarget
    ) -> tuple[intake.RawFile, ...]:
        columns.set_keys(connection, self.source, self.private)
        reader = intake.Reader(self.source, self.data, connection, own, limits(connection)[0], self.way)
        if self.pieces is None:
            return reader.write([Path(str(path)) for path in share], target).files
        cuts = tuple(int(str(cut)) for cut in share)
        table: FeedTable = replace(self.pieces, cuts=cuts).table(connection)
        return reader.write_tables([table.path], [table], target).files


def _shares(cuts: Sequence[int], workers: int) -> list[list[int]]:
    """The cuts of each task's pieces: as many tasks as workers, or several times as many of a large file."""
    pieces = len(cuts) - 1
    rounds = -(-pieces // (workers * MOST_PIECES))
    each = -(-pieces // (workers * rounds))
    return [list(cuts[begin : begin + each + 1]) for begin in range(0, pieces, each)]


def _moved(parts: Sequence[tuple[Path, intake.RawFile]], target: rows.PartitionTarget, number: int) -> intake.RawFile:
    """Give a raw file the rows of all its parts, and say what was read of it as a whole."""
    for folder, _ in parts:
        for month in sorted(folder.glob("month=*")):
            target.of(number).mkdir(exist_ok=True)
            rows.move(month, target.of(number) / month.name)
    return intake.whole([found for _, found in parts])
