"""The analyst file: every released table as a table of one DuckDB file, written next to the old one, then renamed.

While one process has a DuckDB file open for writing, no other can read it; readers of the old file keep it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from publisher.duck import literal, open_file
from publisher.durable import sync, writing
from publisher.release.manifest import GUARANTEE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.release.manifest import Release

FILE = "open_data.duckdb"


def write_analyst_file(public: Path, current: Mapping[str, Sequence[Release]], titles: Mapping[str, str]) -> Path:
    """Write the current edition of every dataset, with `_releases`, `_columns` and `_guarantees`.

    The dataset stlouis-requests becomes the table stlouis_requests, and its rollup district becomes the table
    stlouis_requests_district. Raises SourceError when the file cannot be written.
    """
    path = public / FILE
    beside = public / f".{FILE}.{os.getpid()}"
    with writing(FILE):
        public.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        with open_file(beside, FILE) as connection:
            connection.begin()  # one transaction reaches the disk once, not with every statement
            _prepare(connection)
            for dataset, releases in current.items():
                _write_dataset(connection, releases, titles[dataset])
                _insert(connection, "_guarantees", [_guarantee_row(release) for release in releases])
            connection.commit()
        sync(beside)
        beside.replace(path)
        sync(public)
    return path


def table_name(dataset: str) -> str:
    """The dataset's table in the analyst file."""
    return dataset.replace("-", "_")


def _write_dataset(connection: DuckDBPyConnection, releases: Sequence[Release], title: str) -> None:
    """Write the dataset's own table and those of its rollups, each with its description."""
    titles = {"": title} | {rollup.name: rollup.title for release in releases for rollup in release.manifest.rollups}
    views = [release.tables for release in releases]
    for level, words in titles.items():
        tables = [view[level] for view in views if level in view]
        if tables:
            _write_table(connection, tables)
            _insert(connection, "_releases", [_release_row(each, words) for each in tables])


def _write_table(connection: DuckDBPyConnection, tables: Sequence[Release]) -> None:
    says = tables[-1].manifest
    name = table_name(says.dataset)
    for table in tables:
        table.content(table.data.name)  # a damaged one is named
    connection.execute(
        f'CREATE TABLE "{name}" AS SELECT * FROM read_parquet(?, union_by_name = true) ORDER BY id',
        [[str(table.data) for table in tables]],
    )
    for spec in says.columns:
        connection.execute(f'COMMENT ON COLUMN "{name}"."{spec.name}" IS {literal(spec.description)}')
    rows = [
        [says.dataset, n, each.name, each.title, each.type, each.description] for n, each in enumerate(says.columns, 1)
    ]
    _insert(connection, "_columns", rows)


def _prepare(connection: DuckDBPyConnection) -> None:
    """Create the tables that describe the others."""
    connection.execute(
        "CREATE TABLE _releases (dataset TEXT, title TEXT, period TEXT, edition INTEGER, created TEXT, rows INTEGER, "
        "suppressed INTEGER, unreliable INTEGER, caution INTEGER, stand_in BOOLEAN, final BOOLEAN)"
    )
    connection.execute(
        "CREATE TABLE _columns (dataset TEXT, position INTEGER, name TEXT, title TEXT, type TEXT, description TEXT)"
    )
    connection.execute(
        "CREATE TABLE _guarantees (dataset TEXT, period TEXT, edition INTEGER, currency TEXT, loss TEXT, "
        "statement TEXT, guarantee TEXT)"
    )


def _insert(connection: DuckDBPyConnection, table: str, rows: list[list[object]]) -> None:
    if rows:
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def _release_row(release: Release, title: str) -> list[object]:
    says = release.manifest
    return [says.dataset, title, says.period, says.edition, says.created, says.rows, says.suppressed, says.unreliable,
            says.caution, says.stand_in, says.final]  # fmt: skip


def _guarantee_row(release: Release) -> list[object]:
    says = release.manifest
    text = release.content(GUARANTEE).decode()
    return [says.dataset, says.period, says.edition, says.charge.currency, says.charge.loss, release.statement, text]
