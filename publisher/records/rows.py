"""From raw tables to landed Parquet: one row per record, pseudonymized and placed, read in one pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher import encryption
from publisher.duck import literal, quoted, safely
from publisher.records import columns, payment, sql

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from duckdb import DuckDBPyConnection

    from publisher.definitions.source import Source
    from publisher.records.feed import FeedTable
    from publisher.records.places import Located
    from publisher.records.pseudonyms import Way
    from publisher.workspace import SourceFile

_MONTHS = 1_000_000
"""More than any month as a number."""
_WAITING = 40_000
"""So many rows of all months wait to be written."""
DROPPED = "_dropped"
"""The table (_record, _file, _keep) of records that are not landed as they were written: all their rows in a file are
dropped, but for the first one if `_keep`."""


@dataclass(frozen=True)
class LandingCounts:
    """Private counts of the rows of one landed batch."""

    landed: int
    without_event_time: int
    without_unit: int
    unlocated: dict[str, int]
    empty: tuple[str, ...]
    """The raw columns that no row has a value in."""


@dataclass(frozen=True)
class PartitionTarget:
    """Where rows are written: `<folder>/<number of the file>/month=…/<name>-<n>.parquet`."""

    folder: Path
    name: str

    def of(self, number: int) -> Path:
        """The folder of one raw file's rows."""
        return self.folder / str(number)

    def files(self) -> list[Path]:
        """What was written."""
        return sorted(self.folder.glob(f"*/month=*/{self.name}-*.parquet"))

    def by_number(self) -> dict[int, list[Path]]:
        """What was written of each raw file that has a row: many are listed at once far sooner than one by one."""
        found: dict[int, list[Path]] = {}
        for path in self.files():
            found.setdefault(int(path.parent.parent.name), []).append(path)
        return found


def named(source: SourceFile, tables: Sequence[FeedTable]) -> str:
    """SQL for FROM: only declared columns, as trimmed texts, with tokens for missing values as NULL; and the number of
    each row's file, `_file`. Files of one kind are read together."""
    kinds: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for number, table in enumerate(tables):
        kinds.setdefault((table.scan, table.columns), []).append(number)
    selects = []
    for (scan, header), numbers in kinds.items():
        spaces, nulls = all(tables[number].spaces for number in numbers), source.definition.feed.nulls
        cells = (
            f"{sql.present(f'c{header.index(column)}', nulls, spaces=spaces)} AS {quoted(column)}"
            for column in source.definition.landed
        )
        paths = [tables[number].path for number in numbers]
        place = f"list_position({sql.array(map(str, paths))}, {sql.PATH})"
        own = f"{numbers}[{place}]" if len(numbers) > 1 else str(numbers[0])
        selects.append(f"SELECT {', '.join(cells)}, {own} AS _file FROM {scan.replace(sql.FILES, sql.files(paths))}")
    return f"({' UNION ALL '.join(selects)})"


def stage(relation: str, connection: DuckDBPyConnection, target: Path) -> str:
    """SQL for FROM of a copy in the temporary folder, of what is dear to read several times."""
    sql.copy(connection, f"SELECT * FROM {relation}", target)
    return sql.parquet([target])


def write(
    source: SourceFile,
    raw: str,
    located: Located,
    target: PartitionTarget,
    connection: DuckDBPyConnection,
    way: Way,
    *,
    spaces: bool,
) -> bool:
    """Write every row of `raw` into month partitions, as it will be read if its record has no other row. Whether a raw
    value may have a card or bank number, which would be known only from its pseudonym afterward."""
    definition = source.definition
    places = "".join(f", {place} AS {quoted(f'_place_{level}')}" for level, place in located.places.items())
    made = ", ".join(
        f"{columns.pseudonym(column, way, spaces=spaces)} AS {quoted(column)}"
        for column in definition.landed
        if definition.columns[column].identifier
    )
    unit = columns.unit(definition)
    texts = [f"_row.{quoted(column)}" for column in definition.landed if column != definition.event.column]
    undated = f"CASE WHEN _row._event IS NULL THEN _row.{quoted(definition.event.column)} END"
    with safely(f"{source.name}: landing the records"):
        return _partition(
            connection,
            f"""WITH _dated AS (SELECT *, {columns.event(definition)} AS _event FROM {raw}),
            _located AS (SELECT _row.*{places}, {payment.likely([*texts, undated])} AS _likely
                FROM _dated AS _row {located.joins}),
            _keyed AS (SELECT *{f" REPLACE ({made})" if made else ""},
                {columns.record(definition, way, spaces=spaces)} AS _record FROM _located),
            _whole AS (SELECT *{f", {unit} AS _unit" if unit else ""} FROM _keyed)
            SELECT {_names(definition)}, _likely, _file, {columns.month()} AS _month FROM _whole""",
            target,
        )


def of_cards(source: SourceFile, raw: str) -> str:
    """SQL for FROM: the rows of `raw` in which numbers of cards are looked for. A text that reads as a time is none,
    and most texts of that column do."""
    event = quoted(source.definition.event.column)
    undated = f"CASE WHEN {columns.event(source.definition)} IS NULL THEN {event} END"
    return f"(SELECT * REPLACE ({undated} AS {event}) FROM {raw})"


def numbered(files: Sequence[Path]) -> str:
    """SQL for FROM: the rows of written files with the number of their raw file."""
    numbers = {path.parent.parent.name for path in files}
    if len(numbers) == 1:
        return f"(SELECT *, CAST({numbers.pop()} AS INTEGER) AS _file FROM {sql.written(files)})"
    return _numbered_by_path(files)


def _numbered_by_path(files: Sequence[Path]) -> str:
    number = "CAST(split_part(_path, '/', -3) AS INTEGER)"
    return f"(SELECT *, {number} AS _file FROM {sql.written(files, named=True)})"


def find_repeated(written: Sequence[Path], connection: DuckDBPyConnection, *, first: bool) -> None:
    """Make the table of what is dropped: records with several rows in a file, but for one; if `first`, also those that
    an earlier file has."""
    connection.execute(f"CREATE TEMP TABLE {DROPPED} (_record UUID, _file INTEGER, _keep BOOLEAN)")
    several = f"SELECT _record, _file, count(*) AS _rows FROM {numbered(written)} GROUP BY _record, _file"
    if first and len({path.parent.parent for path in written}) > 1:
        earliest = "min(_file) OVER (PARTITION BY _record)"
        several = f"SELECT *, {earliest} AS _first FROM ({several})"
        found = f"SELECT _record, _file, _file = _first FROM ({several}) WHERE _rows > 1 OR _file > _first"
    else:
        found = f"SELECT _record, _file, true FROM ({several}) WHERE _rows > 1"
    connection.execute(f"INSERT INTO {DROPPED} {found}")


def find_known(written: Sequence[Path], ids: Any, connection: DuckDBPyConnection) -> None:
    """Add records, by an Arrow array of their ids, none of whose rows is kept."""
    import pyarrow as pa

    connection.register("_ids", pa.table({"id": ids}))
    known = "SELECT CAST(id AS UUID) AS _record FROM _ids"
    connection.execute(f"DELETE FROM {DROPPED} WHERE _record IN ({known})")
    rows = (
        f"SELECT DISTINCT _record, _file, false FROM {numbered(written)} SEMI JOIN ({known}) AS _known USING (_record)"
    )
    connection.execute(f"INSERT INTO {DROPPED} {rows}")
    connection.unregister("_ids")


def drop(source: SourceFile, target: PartitionTarget, connection: DuckDBPyConnection) -> None:
    """Write the partitions again that have rows of records in the table of what is dropped.

    The row of a record that stays depends on its own rows alone: it is the first in the order of what is landed.
    """
    definition = source.definition
    with safely(f"{source.name}: landing the records"):
        written = _numbered_by_path(target.files())
        found = connection.execute(f"SELECT DISTINCT _path FROM {written} SEMI JOIN {DROPPED} USING (_record, _file)")
        names = {str(row[0]) for row in found.fetchall()}
        changed = [path for path in target.files() if str(path) in names]
        if not changed:
            return
        plain = sorted(definition.landed, key=lambda column: definition.columns[column].identifier)
        order = ", ".join(map(quoted, plain))  # pseudonyms last: they differ from one key to another
        rows, names_ = numbered(changed), _names(definition)
        _partition(
            connection,
            f"""WITH _single AS (SELECT {names_}, _file FROM {rows} ANTI JOIN {DROPPED} USING (_record, _file)),
            _first AS (SELECT {names_}, _file FROM {rows} SEMI JOIN (SELECT * FROM {DROPPED} WHERE _keep) AS _kept
                USING (_record, _file)
                QUALIFY row_number() OVER (PARTITION BY _record, _file ORDER BY {order}, _event) = 1)
            SELECT *, false AS _likely, {columns.month()} AS _month FROM (FROM _single UNION ALL FROM _first)""",
            PartitionTarget(target.folder, f"{target.name}-again"),
        )
        for path in changed:
            path.unlink()


def place(
    source: SourceFile, landed: str, located: Located, target: PartitionTarget, connection: DuckDBPyConnection
) -> None:
    """Write landed records with their places found again."""
    kept = [quoted(column) for column in columns.landed_types(source.definition) if not column.startswith("_place_")]
    rows = ", ".join(f"_row.{column}" for column in kept)
    places = "".join(f", {place} AS {quoted(f'_place_{level}')}" for level, place in located.places.items())
    with safely(f"{source.name}: placing the records again"):
        _partition(
            connection,
            f"SELECT {rows}{places}, false AS _likely, 0 AS _file, {columns.month()} AS _month "
            f"FROM {landed} AS _row {located.joins}",
            target,
        )


def count(source: SourceFile, files: Sequence[Path]) -> LandingCounts:
    """Count the rows in these files, which say themselves how many values they have."""
    definition, levels = source.definition, source.definition.places
    absent, landed = _absent(files)
    places = {level: absent[f"_place_{level}"] for level in levels}
    empty = tuple(column for column in definition.landed if landed and absent[column] == landed)
    unit = definition.privacy.unit
    return LandingCounts(landed, absent["_event"], absent[unit] if unit != "record" else 0, places, empty)


def count_rows(files: Sequence[Path]) -> int:
    """How many rows there are in these files."""
    return _absent(files)[1]


def _absent(files: Sequence[Path]) -> tuple[Counter[str], int]:
    """By column, in how many rows it has no value; and how many rows there are."""
    absent: Counter[str] = Counter()
    rows = 0
    for path in files:
        known = encryption.metadata(path)
        rows += known.num_rows
        for group in range(known.num_row_groups):
            row_group = known.row_group(group)
            for column in map(row_group.column, range(row_group.num_columns)):
                absent[column.path_in_schema] += column.statistics.null_count
    return absent, rows


def _partition(connection: DuckDBPyConnection, select: str, target: PartitionTarget) -> bool:
    """Write the rows into the month partitions of their raw files; whether some are `_likely`, which stands in the path
    alone, not in what is landed."""
    # One number says all three: DuckDB takes longer the more columns it partitions by.
    part = f"(2 * CAST(_file AS BIGINT) + CAST(_likely AS INTEGER)) * {_MONTHS} + _month"
    select = f"SELECT * EXCLUDE (_likely, _file, _month), {part} AS _part FROM ({select})"
    if encryption.of(target.folder) is None:
        # Rows wait in memory until there are so many; with half a million, the default, that took a quarter longer.
        connection.execute(f"SET partitioned_write_flush_threshold = {_WAITING}")
        connection.execute(
            f"COPY ({select}) TO {literal(str(target.folder))} (FORMAT parquet, PARTITION_BY (_part), "
            f"FILENAME_PATTERN {literal(target.name + '-{i}')}, OVERWRITE_OR_IGNORE)"
        )
    else:
        reader = connection.sql(select).to_arrow_reader(encryption.ROWS)
        encryption.write_partitions(reader, target.folder, "_part", target.name)
    some = False
    for folder in sorted(target.folder.glob("_part=*")):
        both, month = divmod(int(folder.name.removeprefix("_part=")), _MONTHS)
        file, likely = divmod(both, 2)
        target.of(file).mkdir(exist_ok=True)
        move(folder, target.of(file) / f"month={columns.month_name(month)}")
        some = some or bool(likely)
    return some


def move(folder: Path, there: Path) -> None:
    """Move the files of a month to where they belong, beside what is there."""
    if not there.exists():
        folder.rename(there)
        return
    for path in folder.iterdir():
        path.rename(there / f"{path.stem}-{sum(1 for _ in there.iterdir())}.parquet")
    folder.rmdir()


def _names(definition: Source) -> str:
    return ", ".join(quoted(column) for column in columns.landed_types(definition))
