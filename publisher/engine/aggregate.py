"""Bounded aggregation in DuckDB: records in, exact bounded tables out, in memory only.

The SQL is put together from identifiers that the definitions have validated; values are always bound.
The result depends on the records and the ordering key alone, not on threads or the order of files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.duck import safely
from publisher.engine.bounding import PRIORITY_BITS, bounded, packing_of
from publisher.stages import BoundedAggregate

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from publisher.definitions.cells import CellGrid
    from publisher.definitions.dataset import Measure
    from publisher.definitions.period import Grain, Period
    from publisher.engine.bounding import Packing
    from publisher.engine.guard import RecordQuery
    from publisher.stages import Integers
    from publisher.workspace import DatasetFile

PART_ROWS = 20_000_000
"""Rows that are bounded at once: 160 MB of packed integers, and as much for each sum."""

_STEPS: dict[Grain, str] = {
    "day": "date_diff('day', DATE '{start}', _event)",
    "week": "date_diff('day', DATE '{start}', _event) // 7",
    "month": "date_diff('month', DATE '{start}', _event)",
    "quarter": "date_diff('quarter', DATE '{start}', _event)",
    "year": "date_diff('year', DATE '{start}', _event)",
    "lifetime": "0",
}


@dataclass(frozen=True)
class RecordSource:
    """The landed rows of one period as SQL with its bound values, and the guarded SELECT over them."""

    raw: str
    parameters: tuple[object, ...]
    query: RecordQuery


def bound_and_aggregate(
    connection: DuckDBPyConnection, records: RecordSource, dataset: DatasetFile, period: Period, ordering_key: int
) -> BoundedAggregate:
    """The exact bounded table of every measured measure, one integer per cell. Raises SourceError."""
    check_columns(dataset, records.query)
    grid = dataset.grid(period)
    with safely(f"{dataset.name} {period.label}: aggregating"):
        _load(connection, dataset, grid)
        rows = _BoundedInput(connection, dataset, grid, period, records)
        if dataset.source.definition.privacy.unit == "record":
            tables = _count_records(rows)
        else:
            tables = _bound_units(rows, ordering_key)
    return BoundedAggregate(grid, tables)


def cast_failures(
    connection: DuckDBPyConnection, records: RecordSource, dataset: DatasetFile, period: Period
) -> dict[str, int]:
    """How many values of each output column were there and did not cast. Exact, hence for the private report only."""
    if not records.query.casts:
        return {}
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for _, condition in records.query.casts)
    with safely(f"{dataset.name} {period.label}: counting casts"):
        _load(connection, dataset, dataset.grid(period))
        sql = f"WITH raw AS ({records.raw}) SELECT {counts}{records.query.tail}"
        row = connection.execute(sql, list(records.parameters)).fetchall()[0]
    failures: dict[str, int] = {}
    for (column, _), count in zip(records.query.casts, row, strict=True):
        failures[column] = failures.get(column, 0) + count
    return failures


@dataclass(frozen=True)
class _BoundedInput:
    """The rows of one release: `cell`, `sum_0` … in whole steps, and `_unit`, `_window` where units are people."""

    connection: DuckDBPyConnection
    dataset: DatasetFile
    grid: CellGrid
    period: Period
    records: RecordSource

    @property
    def sums(self) -> tuple[Measure, ...]:
        return tuple(each for each in self.dataset.definition.measured if each.kind == "sum")

    def run(self, select: str, *values: object, into: str = "") -> DuckDBPyConnection:
        """Executes a SELECT from `raw`, `records` or `bounded_input` with bound values; `into` makes a table of it."""
        sql = f"WITH raw AS ({self.records.raw}), records AS ({self._records()}), bounded_input AS ({self._cells()}) "
        return self.connection.execute(into + sql + select, [*self.records.parameters, *values])

    def _records(self) -> str:
        """The author's columns; for people also the window, and only rows that have a unit."""
        source = self.dataset.source.definition
        if source.privacy.unit == "record":
            return self.records.query.sql
        window = _index(self.period.cut(source.privacy.window))
        rows = f"SELECT *, {window} AS _window FROM ({self.records.query.sql}) WHERE _unit IS NOT NULL"
        if source.register_ is None:
            return rows
        # The first reading of a window gives no difference: one that reached back would carry a unit's
        # records into a window in which they are not protected.
        reading = f'TRY_CAST("{source.register_.reading}" AS DOUBLE)'  # a difference of doubles never overflows
        return (
            f"SELECT *, {reading} - lag({reading} IGNORE NULLS) OVER (PARTITION BY _unit, _window ORDER BY _event, "
            f'_record) AS "{source.register_.consumption}" FROM ({rows})'
        )

    def _cells(self) -> str:
        people = "" if self.dataset.source.definition.privacy.unit == "record" else ", _unit, _window"
        sums = "".join(f", {_steps(each)} AS sum_{n}" for n, each in enumerate(self.sums))
        cell = f"CAST({_index(self.grid.periods)} AS UBIGINT)"
        joins = ""
        for n, axis in enumerate(self.grid.axes):
            cell = f"({cell} * {len(axis.keys)} + coalesce(axis_{n}.code, {axis.other}))"
            joins += f' LEFT JOIN axis_{n} ON axis_{n}.key = CAST(records."{axis.name}" AS VARCHAR)'
        return f"SELECT {cell} AS cell{people}{sums} FROM records{joins}"


def _load(connection: DuckDBPyConnection, dataset: DatasetFile, grid: CellGrid) -> None:
    """The lookups as tables of text, and one table per key column that numbers its keys."""
    # DuckDB computes an expression that stands twice only once, outside of the TRY that shields it.
    connection.execute("SET disabled_optimizers = 'common_subexpressions'")
    for name, lookup in dataset.source.lookups.items():
        _make_table(
            connection, name, {column: [row[n] for row in lookup.rows] for n, column in enumerate(lookup.columns)}
        )
    for n, axis in enumerate(grid.axes):
        _make_table(connection, f"axis_{n}", {"key": axis.keys, "code": range(len(axis.keys))})


def _make_table(connection: DuckDBPyConnection, name: str, columns: dict[str, Any]) -> None:
    import pyarrow as pa

    connection.register("incoming_rows", pa.table({column: pa.array(values) for column, values in columns.items()}))
    connection.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS SELECT * FROM incoming_rows')
    connection.unregister("incoming_rows")


def _count_records(rows: _BoundedInput) -> dict[str, Integers]:
    """The unit is the record: each lies in one cell once, so a plain GROUP BY is bounded already."""
    import numpy as np

    clamped = "".join(
        f", CAST(sum(least(greatest(coalesce(sum_{n}, 0), {each.clamps[0]}), {each.clamps[1]})) AS BIGINT)"
        for n, each in enumerate(rows.sums)
    )
    groups = np.array(rows.run(f"SELECT cell, count(*){clamped} FROM bounded_input GROUP BY cell").fetchall(), np.int64)
    groups = groups.reshape(-1, 2 + len(rows.sums))
    columns = {each.name: 2 + n for n, each in enumerate(rows.sums)}
    tables: dict[str, Integers] = {}
    for measure in rows.dataset.definition.measured:
        table = np.zeros(rows.grid.size, dtype=np.int64)
        table[groups[:, 0]] = groups[:, columns.get(measure.name, 1)]
        tables[measure.name] = table
    return tables


def _bound_units(rows: _BoundedInput, ordering_key: int) -> dict[str, Integers]:
    """Bounds people part by part: a unit lies in exactly one part, so memory stays the same for any size."""
    import numpy as np

    packing, bounds = packing_of(rows.grid.size), rows.dataset.definition.bounds
    measures = rows.dataset.definition.measured
    tables = {each.name: np.zeros(rows.grid.size, dtype=np.int64) for each in measures}
    count = rows.run("SELECT count(*) FROM raw").fetchall()[0][0]
    parts = 1 + max(count // PART_ROWS, 2 * count // packing.most_units)
    for part in range(parts):
        packed, values = _packed(rows, packing, ordering_key, parts, part)
        survivors = bounded(packed, values, packing, bounds.max_groups)
        for measure in measures:
            added = _contribution(measure, survivors.rows, survivors.totals, bounds.max_per_group)
            np.add.at(tables[measure.name], survivors.cells, added)
    return tables


def _contribution(measure: Measure, rows: Integers, totals: dict[str, Integers], most: int) -> Integers:
    """What each surviving (unit, cell) adds to a table: at most what the sensitivity allows."""
    import numpy as np

    if measure.kind == "sum":
        return np.clip(totals[measure.name], *measure.clamps)
    return np.minimum(rows, most if measure.kind == "count" else 1)


def _packed(
    rows: _BoundedInput, packing: Packing, ordering_key: int, parts: int, part: int
) -> tuple[Any, dict[str, Integers]]:
    """One part's rows as packed integers, with the values to be summed.

    Units get dense numbers from a dictionary of the part: a hash could make two units one and so double
    the sensitivity. The priority hashes the unit itself, never its number, which depends on who else is there.
    """
    import numpy as np

    mine = f" WHERE hash(_unit) % {parts} = {part}" if parts > 1 else ""
    rows.run(
        f"SELECT _unit, _window, CAST(row_number() OVER () - 1 AS UBIGINT) AS number "
        f"FROM (SELECT DISTINCT _unit, _window FROM records{mine})",
        into="CREATE OR REPLACE TEMP TABLE numbered_units AS ",
    )
    priority = f"(hash(_unit, cell, ?::UBIGINT) >> {64 - PRIORITY_BITS})"
    sums = "".join(f", coalesce(sum_{n}, 0) AS sum_{n}" for n in range(len(rows.sums)))
    columns = rows.run(
        f"SELECT (number << {packing.unit_shift}) | ({priority} << {packing.cell_bits}) | cell AS packed{sums} "
        f"FROM bounded_input JOIN numbered_units USING (_unit, _window)",
        ordering_key,
    ).fetchnumpy()
    packed = np.asarray(columns.pop("packed"), dtype=np.uint64)
    values = {each.name: np.asarray(columns[f"sum_{n}"], dtype=np.int64) for n, each in enumerate(rows.sums)}
    return packed, values


def _steps(measure: Measure) -> str:
    """A row's value in whole steps of the resolution; what is missing, infinite or absurd counts as nothing."""
    return f'TRY_CAST(round(TRY_CAST(records."{measure.column}" AS DOUBLE) / {measure.resolution}) AS BIGINT)'


def _index(periods: tuple[Period, ...]) -> str:
    """The number of the period in which `_event` falls."""
    if len(periods) == 1:
        return "0"
    return _STEPS[periods[0].grain].format(start=periods[0].start.isoformat())


def check_columns(dataset: DatasetFile, query: RecordQuery) -> None:
    """Raises DefinitionError where a key or a sum names a column that the source does not give."""
    register = dataset.source.definition.register_
    known = {*query.columns, register.consumption} if register is not None else set(query.columns)
    named = [(("keys", n, "name"), key.name) for n, key in enumerate(dataset.definition.keys)]
    named += [(("measures", n, "column"), m.column) for n, m in enumerate(dataset.definition.measures) if m.column]
    for key, name in named:
        if name not in known:
            columns = ", ".join(sorted(known))
            raise dataset.origin.error(key, f"source {dataset.source.name} has no column {name!r}; it has: {columns}")
