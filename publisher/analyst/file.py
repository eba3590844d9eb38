"""The analyst file: every released table as a table of one DuckDB file, written next to the old one, then renamed.

While one process has a DuckDB file open for writing, no other can read it; readers of the old file keep it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from publisher.analyst.catalog import TABLES, about_keys, about_releases, about_tables, key_columns
from publisher.analyst.inputs import asked, new_in, remember, remembered
from publisher.analyst.macros import MEANINGS, PARAMETERS, body, create
from publisher.analyst.published import PublishedDataset, table_name
from publisher.analyst.values import CENTERS, VALUES, centers_view, values_view
from publisher.analyst.weights import COMMENTS, Weights
from publisher.analyst.weights import TABLES as WEIGHTS
from publisher.duck import literal, open_file, quoted
from publisher.durable import sync, writing
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.analyst.inputs import Made
    from publisher.definitions.settings import Settings
    from publisher.release.manifest import Release, Shape

FILE = "open_data.duckdb"

_MANY = 500
"""Tables of rows that are inserted together."""


def write_analyst_file(
    public: Path, published: Sequence[PublishedDataset], settings: Settings, data: Path, notes: Path | None = None
) -> Path:
    """Write the current edition of every dataset, what describes them, and the macros for sums of one's own.

    The dataset stlouis-requests becomes the table stlouis_requests, and its rollup district becomes the table
    stlouis_requests_district. Polygons are read from the folder `data`. With `notes` of what the file was made from,
    nothing is written if that is the same, and new releases are added to a copy of the file if they follow those that
    it has. Raises SourceError when the file cannot be written.
    """
    path = public / FILE
    released = [each for each in published if each.releases]
    wanted = asked(released, settings, data) if notes is not None else None
    before = remembered(notes, path) if notes is not None else None
    if wanted is not None and before is not None and _same(before, wanted):
        return path
    new = _following(before, wanted, released)
    with writing(FILE):
        public.mkdir(parents=True, exist_ok=True)
        weights = None
        if before is not None and new is not None:
            with suppress(SourceError):  # a file that became damaged is written again
                weights = _replaced(path, path, lambda connection: _extend(connection, released, new, settings, before))
        if weights is None:
            weights = _replaced(path, None, lambda connection: _write(connection, released, settings, data))
    if notes is not None and wanted is not None:
        numbered = {"blocks": weights.shapes, "fits": weights.fits, "releases": weights.releases}
        remember(notes, path, wanted.model_copy(update=numbered))
    return path


def _replaced(path: Path, old: Path | None, write: Callable[[DuckDBPyConnection], Weights]) -> Weights:
    """Write the file beside, empty or as a copy of the `old` one, and rename it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    if old is not None:
        shutil.copyfile(old, beside)
    with open_file(beside, FILE) as connection:
        connection.begin()  # one transaction reaches the disk once, not with every statement
        weights = write(connection)
        connection.commit()
    sync(beside)
    beside.replace(path)
    sync(path.parent)
    return weights


def _same(before: Made, wanted: Made) -> bool:
    """Whether the file is what is asked for."""
    return (before.definitions, before.shapes, before.lists) == (wanted.definitions, wanted.shapes, wanted.lists)


def _following(
    before: Made | None, wanted: Made | None, published: Sequence[PublishedDataset]
) -> dict[str, Sequence[Release]] | None:
    """The releases to add to the file that is there; None if it has to be written as a whole."""
    if before is None or wanted is None:
        return None
    if (before.definitions, before.shapes) != (wanted.definitions, wanted.shapes):
        return None
    if any(each.file.definition.discovered is not None for each in published):
        return None  # the keys of all releases are described
    return new_in(before, published)


def _extend(
    connection: DuckDBPyConnection,
    published: Sequence[PublishedDataset],
    new: Mapping[str, Sequence[Release]],
    settings: Settings,
    before: Made,
) -> Weights:
    """Add releases to tables that are there, and describe these again."""
    weights = Weights(_Batches(connection), before.releases, dict(before.blocks), dict(before.fits))
    for each in published:
        totals = {name: new[each.file.named(name)] for name in each.totals}
        fresh = PublishedDataset(each.file, new[each.file.name], each.addresses, totals)
        if not fresh.tables:
            continue
        for level, tables in fresh.tables.items():
            name = table_name(tables[-1].manifest.dataset)
            _insert_released(connection, name, tables)
            _describe(connection, name, tables[-1], each.title(level))
        for table in ("_tables", "_columns"):
            names = [table_name(tables[-1].manifest.dataset) for tables in each.tables.values()]
            connection.execute(f"DELETE FROM {table} WHERE table_name IN ({', '.join(map(literal, names))})")
        _insert_rows(connection, about_tables(each, settings) | about_releases(fresh))
        weights.add(fresh)
    weights.insert.flush()
    return weights


def _write(
    connection: DuckDBPyConnection, published: Sequence[PublishedDataset], settings: Settings, data: Path
) -> Weights:
    _prepare(connection)
    weights = Weights(_Batches(connection))
    shapes: dict[str, Shape] = {}
    signed: set[tuple[str, str]] = set()
    for each in published:
        for level, tables in each.tables.items():
            name = _write_table(connection, tables, each.title(level))
            shapes[name] = tables[-1].manifest.shape
            signed |= {(name, measure) for measure in each.signed}
        _insert_rows(connection, about_tables(each, settings) | about_releases(each) | about_keys(each, data))
        weights.add(each)
    weights.insert.flush()
    _finish(connection, shapes, signed)
    return weights


def _insert_rows(connection: DuckDBPyConnection, found: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
    for name, rows in found.items():
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)


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
    name = table_name(tables[-1].manifest.dataset)
    with _intact(tables) as paths:
        connection.execute(
            f'CREATE TABLE "{name}" AS SELECT * FROM read_parquet(?, union_by_name = true) ORDER BY id', [paths]
        )
    _describe(connection, name, tables[-1], title)
    return name


def _insert_released(connection: DuckDBPyConnection, name: str, tables: Sequence[Release]) -> None:
    """Add the rows of releases whose columns are those that the table has, or fewer."""
    with _intact(tables) as paths:
        connection.execute(
            f'INSERT INTO "{name}" BY NAME SELECT * FROM read_parquet(?, union_by_name = true) ORDER BY id', [paths]
        )


@contextmanager
def _intact(tables: Sequence[Release]) -> Iterator[list[str]]:
    """The files of the tables, those of packed ones unpacked for as long as they are read. Raises SourceError naming
    one that is damaged."""
    dataset = tables[-1].folder.parents[1]
    unpacked = dataset / f".staging-unpacked-{os.getpid()}"
    paths = []
    try:
        for number, table in enumerate(tables):
            content, path = table.content(table.data.name), table.data
            if table.packed is not None:
                unpacked.mkdir(exist_ok=True)
                path = unpacked / f"{number}.parquet"
                path.write_bytes(content)
            paths.append(str(path))
        yield paths
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _describe(connection: DuckDBPyConnection, name: str, newest: Release, title: str) -> None:
    """What a table and its columns are, as the newest release says it."""
    says = newest.manifest
    _comment(connection, "TABLE", quoted(name), title)
    rollup = bool(newest.level) and not says.added
    counted = {each.measure: f" {each.words()}" for each in says.shape.known_shares(says.counted, rollup=rollup)}
    for spec in says.columns:
        words = spec.description + counted.get(spec.name, "")
        _comment(connection, "COLUMN", f"{quoted(name)}.{quoted(spec.name)}", words)


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


class _Batches:
    """Rows that wait until there are many of a table: an insert has a price of its own."""

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection
        self._waiting: dict[str, list[Any]] = {}

    def __call__(self, name: str, columns: dict[str, Any]) -> None:
        """Columns of the same length for a table; each time the same ones."""
        import pyarrow as pa

        if columns:
            waiting = self._waiting.setdefault(name, [])
            waiting.append(pa.table(dict(columns)))
            if len(waiting) >= _MANY:
                self.flush(name)

    def flush(self, *names: str) -> None:
        """Insert what waits, of these tables or of all."""
        import pyarrow as pa

        for name in names or tuple(self._waiting):
            incoming = pa.concat_tables(self._waiting.pop(name), promote_options="permissive")
            chosen = ", ".join(map(quoted, incoming.column_names))
            self._connection.register("incoming", incoming)
            self._connection.execute(f"INSERT INTO {name} ({chosen}) SELECT {chosen} FROM incoming")
            self._connection.unregister("incoming")
