"""From a raw table to landed Parquet: staged as it came, then one row per record, pseudonymized and placed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.duck import literal, quoted, safely
from publisher.records import columns, sql
from publisher.records.payment import payment_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.definitions.source import Source
    from publisher.records.feed import FeedTable
    from publisher.records.places import Located
    from publisher.workspace import SourceFile


@dataclass(frozen=True)
class StagedFile:
    """The columns of one file that are read, under their names, staged in the temporary folder."""

    relation: str
    read: int
    rejected: int
    payment: dict[str, int] = field(default_factory=dict)
    """By raw column: rows with a card or bank number."""


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
    """Where partitions are written: `<folder>/month=…/<name>-<n>.parquet`."""

    folder: Path
    name: str


def stage(source: SourceFile, table: FeedTable, shown: str, connection: DuckDBPyConnection, target: Path) -> StagedFile:
    """Read the file once: only declared columns, as trimmed texts, with tokens for missing values as NULL."""
    feed = source.definition.feed
    cells = ", ".join(
        f"{sql.present(f'c{table.columns.index(column)}', feed.nulls)} AS {quoted(column)}"
        for column in source.definition.landed
    )
    with safely(f"{shown}: reading the records"):
        copy = f"COPY (SELECT {cells} FROM {table.relation}) TO {literal(str(target))} (FORMAT parquet)"
        read = _number(connection, copy)
        rejected = _number(connection, table.rejected) if table.rejected is not None else 0
        payment = payment_numbers(source.definition.landed, sql.parquet([target]), connection)
    return StagedFile(sql.parquet([target]), read, rejected, payment)


def write(
    source: SourceFile,
    raw: str,
    located: Located,
    target: PartitionTarget,
    connection: DuckDBPyConnection,
    *,
    earlier: list[str],
) -> None:
    """Write the records of `raw` that are in none of the `earlier` relations into month partitions."""
    definition = source.definition
    places = ", ".join(f"{place} AS {quoted(f'_place_{level}')}" for level, place in located.places.items())
    pseudonyms = ", ".join(
        f"{columns.pseudonym(column)} AS {quoted(column)}"
        for column in definition.landed
        if definition.columns[column].identifier
    )
    with safely(f"{source.name}: landing the records"):
        known = " ".join(f"ANTI JOIN {relation} AS _earlier_{n} USING (_record)" for n, relation in enumerate(earlier))
        unit = columns.unit(definition)
        _partition(
            connection,
            f"""WITH _kept AS ({_one_row_each(definition, raw, connection)}),
            _located AS (SELECT _row.*{", " + places if places else ""} FROM _kept AS _row {located.joins}),
            _keyed AS (SELECT *{f" REPLACE ({pseudonyms})" if pseudonyms else ""},
                {columns.record()} AS _record, {columns.event(definition)} AS _event FROM _located),
            _whole AS (SELECT *{f", {unit} AS _unit" if unit else ""} FROM _keyed {known})
            SELECT {_names(definition)}, {columns.month()} AS _month FROM _whole""",
            target,
        )


def place(
    source: SourceFile, landed: str, located: Located, target: PartitionTarget, connection: DuckDBPyConnection
) -> None:
    """Write landed records with their places found again."""
    kept = [quoted(column) for column in columns.landed_types(source.definition) if not column.startswith("_place_")]
    rows = ", ".join(f"_row.{column}" for column in kept)
    places = "".join(f", {place} AS {quoted(f'_place_{level}')}" for level, place in located.places.items())
    with safely(f"{source.name}: placing the records again"):
        select = f"SELECT {rows}{places}, {columns.month()} AS _month FROM {landed} AS _row {located.joins}"
        _partition(connection, select, target)


def count(source: SourceFile, files: Sequence[Path], connection: DuckDBPyConnection) -> LandingCounts:
    """Count what was written into these files."""
    levels, definition = source.definition.places, source.definition
    if not files:
        return LandingCounts(0, 0, 0, dict.fromkeys(levels, 0), ())
    absent = ["_event", *definition.landed, *(f"_place_{level}" for level in levels)]
    missing = ", ".join(f"count(*) FILTER (WHERE {quoted(column)} IS NULL)" for column in absent)
    with safely(f"{source.name}: counting the landed records"):
        found = connection.execute(f"SELECT count(*), {missing} FROM {sql.parquet(files)}").fetchall()[0]
    landed, counted = int(found[0]), dict(zip(absent, map(int, found[1:]), strict=True))
    places = {level: counted[f"_place_{level}"] for level in levels}
    empty = tuple(column for column in definition.landed if landed and counted[column] == landed)
    unit = definition.privacy.unit
    without_unit = counted[unit] if unit != "record" else 0
    return LandingCounts(landed, counted["_event"], without_unit, places, empty)


def _one_row_each(definition: Source, raw: str, connection: DuckDBPyConnection) -> str:
    """SQL that keeps one row of each record, using only the record's own rows: the first in the order of its texts.

    Rows whose hash no other row has are not sorted. If two hashes happen to collide, their rows are only sorted too.
    """
    identified = f"SELECT *, {columns.identity(definition)} AS _identity FROM {raw}"
    connection.execute(
        f"CREATE TABLE _repeated AS SELECT hash(_identity) AS _hash FROM ({identified}) GROUP BY _hash "
        "HAVING count(*) > 1"
    )
    if _number(connection, "SELECT count(*) FROM _repeated") == 0:
        return identified
    order = ", ".join(quoted(column) for column in definition.landed)
    return f"""WITH _identified AS ({identified})
        SELECT * FROM _identified ANTI JOIN _repeated ON hash(_identity) = _hash
        UNION ALL
        (SELECT * FROM _identified SEMI JOIN _repeated ON hash(_identity) = _hash
        QUALIFY row_number() OVER (PARTITION BY _identity ORDER BY {order}) = 1)"""


def _partition(connection: DuckDBPyConnection, select: str, target: PartitionTarget) -> None:
    """Write the rows into the month partitions, by their last column."""
    connection.execute(
        f"COPY ({select}) TO {literal(str(target.folder))} (FORMAT parquet, COMPRESSION zstd, "
        f"PARTITION_BY (_month), FILENAME_PATTERN {literal(target.name + '-{i}')}, OVERWRITE_OR_IGNORE)"
    )
    for partition in target.folder.glob(
        "_month=*"
    ):  # a raw column may be called month, so DuckDB's column has another name
        partition.rename(target.folder / partition.name.removeprefix("_"))


def _names(definition: Source) -> str:
    return ", ".join(quoted(column) for column in columns.landed_types(definition))


def _number(connection: DuckDBPyConnection, query: str) -> int:
    return int(connection.execute(query).fetchall()[0][0])
