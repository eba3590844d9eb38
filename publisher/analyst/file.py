"""The analyst file: every released table as a table of one DuckDB file, written next to the old one, then renamed.

While one process has a DuckDB file open for writing, no other can read it; readers of the old file keep it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from publisher.analyst.catalog import TABLES, described, key_columns
from publisher.analyst.macros import MEANINGS, PARAMETERS, body, create
from publisher.analyst.published import table_name
from publisher.analyst.values import CENTERS, VALUES, centers_view, values_view
from publisher.analyst.weights import COMMENTS, Weights
from publisher.analyst.weights import TABLES as WEIGHTS
from publisher.duck import literal, open_file, quoted
from publisher.durable import sync, writing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.analyst.published import PublishedDataset
    from publisher.definitions.settings import Settings
    from publisher.release.manifest import Release, Shape

FILE = "open_data.duckdb"


def write_analyst_file(public: Path, published: Sequence[PublishedDataset], settings: Settings, data: Path) -> Path:
    """Write the current edition of every dataset, what describes them, and the macros for sums of one's own.

    The dataset stlouis-requests becomes the table stlouis_requests, and its rollup district becomes the table
    stlouis_requests_district. Polygons are read from the folder `data`. Raises SourceError when the file cannot be
    written.
    """
    path = public / FILE
    beside = public / f".{FILE}.{os.getpid()}"
    with writing(FILE):
        public.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        with open_file(beside, FILE) as connection:
            connection.begin()  # one transaction reaches the disk once, not with every statement
            _write(connection, [each for each in published if each.releases], settings, data)
            connection.commit()
        sync(beside)
        beside.replace(path)
        sync(public)
    return path


def _write(
    connection: DuckDBPyConnection, published: Sequence[PublishedDataset], settings: Settings, data: Path
) -> None:
    _prepare(connection)
    weights = Weights(lambda name, columns: _insert(connection, name, columns))
    shapes: dict[str, Shape] = {}
    signed: set[tuple[str, str]] = set()
    for each in published:
        for level, tables in each.tables.items():
            name = _write_table(connection, tables, each.title(level))
            shapes[name] = tables[-1].manifest.shape
            signed |= {(name, measure) for measure in each.signed}
        for name, rows in described(each, settings, data).items():
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
        weights.add(each)
    _finish(connection, shapes, signed)


def _prepare(connection: DuckDBPyConnection) -> None:
    """Create the tables that describe the others, and those that macros read."""
    for name, (meaning, columns) in TABLES.items():
        connection.execute(f"CREATE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind, _ in columns)})")
        _comment(connection, "TABLE", name, meaning)
        for column, _, words in columns:
            _comment(connection, "COLUMN", f"{name}.{quoted(column)}", words)
    for name, definition in WEIGHTS.items():
        connection.execute(f"CREATE TABLE {name} ({definition})")
        _comment(connection, "TABLE", name, COMMENTS[name])


def _write_table(connection: DuckDBPyConnection, tables: Sequence[Release], title: str) -> str:
    """One table of released data; returns its name."""
    says = tables[-1].manifest
    name = table_name(says.dataset)
    for table in tables:
        table.content(table.data.name)  # a damaged one is named
    connection.execute(
        f'CREATE TABLE "{name}" AS SELECT * FROM read_parquet(?, union_by_name = true) ORDER BY id',
        [[str(table.data) for table in tables]],
    )
    _comment(connection, "TABLE", quoted(name), title)
    rollup = bool(tables[-1].level) and not says.added
    counted = {each.measure: f" {each.words()}" for each in says.shape.known_shares(says.counted, rollup=rollup)}
    for spec in says.columns:
        words = spec.description + counted.get(spec.name, "")
        _comment(connection, "COLUMN", f"{quoted(name)}.{quoted(spec.name)}", words)
    return name


def _finish(connection: DuckDBPyConnection, shapes: dict[str, Shape], signed: set[tuple[str, str]]) -> None:
    """The views over all tables, and the macros."""
    columns: dict[str, list[str]] = {name: [] for name in shapes}
    for name in shapes:
        columns[name] = [row[0] for row in connection.execute(f"DESCRIBE {quoted(name)}").fetchall()]
    connection.execute(values_view(shapes, columns))
    _comment(connection, "VIEW", "_values", "Every value of every table, in one set of columns.")
    connection.execute(centers_view(shapes, columns, signed))
    _comment(connection, "VIEW", "_centers", "Estimates before projection, read off published ranges. Used by macros.")
    for view, said in (("_values", VALUES), ("_centers", CENTERS)):
        for column, _, words in said:
            _comment(connection, "COLUMN", f"{view}.{quoted(column)}", words)
    keys = {name: [each for each in columns[name] if each in key_columns(shape)] for name, shape in shapes.items()}
    for name in PARAMETERS if shapes else ():
        connection.execute(create(name, PARAMETERS[name], body(name, columns, keys)))
        _comment(connection, "MACRO TABLE", name, MEANINGS[name])


def _comment(connection: DuckDBPyConnection, kind: str, name: str, words: str) -> None:
    connection.execute(f"COMMENT ON {kind} {name} IS {literal(words)}")


def _insert(connection: DuckDBPyConnection, name: str, columns: dict[str, Any]) -> None:
    """Add columns of the same length to a table."""
    if not columns:
        return
    import pyarrow as pa

    incoming = pa.table(dict(columns))
    chosen = ", ".join(quoted(each) for each in columns)
    connection.register("incoming", incoming)
    connection.execute(f"INSERT INTO {name} ({chosen}) SELECT {chosen} FROM incoming")
    connection.unregister("incoming")
