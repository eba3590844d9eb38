"""The rows of one release as SQL: records with their window, then the cell and the values of each.

The SQL is put together from identifiers that the definitions have validated; values are always bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.duck import safely

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from publisher.definitions.cells import CellGrid
    from publisher.definitions.dataset import Measure
    from publisher.definitions.period import Grain, Period
    from publisher.engine.guard import RecordQuery
    from publisher.workspace import DatasetFile, SourceFile

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
    vintage: int = 1
    """Which scheduled edition is drawn; rows of a source with a policy for late records have their own number."""


@dataclass(frozen=True)
class BoundedInput:
    """The rows of one release: `cell`, `sum_0` … in whole steps, `bin_0` …; for people also `_unit` and `_window`."""

    connection: DuckDBPyConnection
    dataset: DatasetFile
    grid: CellGrid
    period: Period
    records: RecordSource

    @property
    def people(self) -> bool:
        """Whether units are people, accounts or parcels, not single records."""
        return self.dataset.source.definition.privacy.unit != "record"

    @property
    def increment(self) -> bool:
        """Whether a draw counts only what no earlier vintage has counted."""
        late = self.dataset.source.definition.late
        return late is not None and late.policy == "increment"

    @property
    def sums(self) -> tuple[Measure, ...]:
        """The measures in `sum_0` …"""
        return tuple(each for each in self.dataset.definition.measured if each.kind == "sum")

    @property
    def histograms(self) -> tuple[Measure, ...]:
        """The measures whose bins are in `bin_0` …, which are NULL if a record has no value."""
        return tuple(each for each in self.dataset.definition.measured if each.kind == "histogram")

    def run(self, select: str, *values: object, into: str = "") -> DuckDBPyConnection:
        """Run a SELECT from `raw`, `records` or `bounded_input` with bound values; `into` makes a table of it."""
        sql = f"WITH raw AS ({self.records.raw}), records AS ({self._records()}), bounded_input AS ({self._cells()}) "
        return self.connection.execute(into + sql + select, [*self.records.parameters, *values])

    def load(self) -> None:
        """Load the lookups as tables of text, and one table per key column that numbers its keys."""
        load(self.connection, self.dataset, self.grid)

    def _records(self) -> str:
        """The author's columns; for people also the window, and only rows that have a unit."""
        source = self.dataset.source.definition
        if not self.people:
            mine = f" WHERE _vintage = {self.records.vintage}" if self.increment else ""
            return f"SELECT * FROM ({self.records.query.sql}){mine}"
        window = _index(self.period.cut(source.privacy.window))
        rows = f"SELECT *, {window} AS _window FROM ({self.records.query.sql}) WHERE _unit IS NOT NULL"
        if source.register_ is None:
            return rows
        # The first reading of a window has no difference: one that reached back would carry a unit's
        # records into a window in which they are not protected.
        reading = f'TRY_CAST("{source.register_.reading}" AS DOUBLE)'  # a difference of doubles never overflows
        return (
            f"SELECT *, {reading} - lag({reading} IGNORE NULLS) OVER (PARTITION BY _unit, _window ORDER BY _event, "
            f'_record) AS "{source.register_.consumption}" FROM ({rows})'
        )

    def _cells(self) -> str:
        more = ", _unit, _window, _record" if self.people else ""
        more += ", _vintage" if self.increment else ""
        more += "".join(f", {_whole_steps(each)} AS sum_{n}" for n, each in enumerate(self.sums))
        more += "".join(f", {_bin(each)} AS bin_{n}" for n, each in enumerate(self.histograms))
        cell = f"CAST({_index(self.grid.periods)} AS UBIGINT)"
        joins = ""
        for n, axis in enumerate(self.grid.axes):
            cell = f"({cell} * {len(axis.keys)} + coalesce(axis_{n}.code, {axis.other}))"
            joins += f' LEFT JOIN axis_{n} ON axis_{n}.key = CAST(records."{axis.name}" AS VARCHAR)'
        return f"SELECT {cell} AS cell{more} FROM records{joins}"


def cast_failures(
    connection: DuckDBPyConnection, records: RecordSource, dataset: DatasetFile, period: Period
) -> dict[str, int]:
    """How many values of each output column were there and did not cast. Exact, so only for the private report."""
    if not records.query.casts:
        return {}
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for _, condition in records.query.casts)
    with safely(f"{dataset.name} {period.label}: counting casts"):
        load(connection, dataset, dataset.grid(period))
        sql = f"WITH raw AS ({records.raw}) SELECT {counts}{records.query.tail}"
        row = connection.execute(sql, list(records.parameters)).fetchall()[0]
    failures: dict[str, int] = {}
    for (column, _), count in zip(records.query.casts, row, strict=True):
        failures[column] = failures.get(column, 0) + count
    return failures


def check_columns(dataset: DatasetFile, query: RecordQuery) -> None:
    """Raise DefinitionError if a key or a measure names a column that the source does not have."""
    register = dataset.source.definition.register_
    known = {*query.columns, register.consumption} if register is not None else set(query.columns)
    named = [(("keys", n, "name"), key.name) for n, key in enumerate(dataset.definition.keys)]
    named += [(("measures", n, "column"), m.column) for n, m in enumerate(dataset.definition.measures) if m.column]
    for key, name in named:
        if name not in known:
            columns = ", ".join(sorted(known))
            raise dataset.origin.error(key, f"source {dataset.source.name} has no column {name!r}; it has: {columns}")


def load_lookups(connection: DuckDBPyConnection, source: SourceFile) -> None:
    """Load the lookups as tables of text."""
    # DuckDB computes an expression that appears twice only once, outside of the TRY that shields it.
    connection.execute("SET disabled_optimizers = 'common_subexpressions'")
    for name, lookup in source.lookups.items():
        make_table(
            connection, name, {column: [row[n] for row in lookup.rows] for n, column in enumerate(lookup.columns)}
        )


def load(connection: DuckDBPyConnection, dataset: DatasetFile, grid: CellGrid) -> None:
    """Load the lookups as tables of text, and one table per key column that numbers its keys."""
    load_lookups(connection, dataset.source)
    for n, axis in enumerate(grid.axes):
        make_table(connection, f"axis_{n}", {"key": axis.keys, "code": range(len(axis.keys))})


def make_table(connection: DuckDBPyConnection, name: str, columns: dict[str, Any]) -> None:
    """Make a temporary table of columns in memory."""
    import pyarrow as pa

    connection.register("incoming_rows", pa.table({column: pa.array(values) for column, values in columns.items()}))
    connection.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS SELECT * FROM incoming_rows')
    connection.unregister("incoming_rows")


def _whole_steps(measure: Measure) -> str:
    """A row's value in whole steps of the resolution; what is missing, infinite or absurd is not counted."""
    return f'TRY_CAST(round(TRY_CAST(records."{measure.column}" AS DOUBLE) / {measure.resolution}) AS BIGINT)'


def _bin(measure: Measure) -> str:
    """The number of the bin of a row's value; NULL if it has none."""
    value = f'TRY_CAST(records."{measure.column}" AS DOUBLE)'
    begins = (measure.bins or ())[1:]
    within = " ".join(f"WHEN {value} < {begin:f} THEN {n}" for n, begin in enumerate(begins))
    return f"CASE WHEN {value} IS NULL OR isnan({value}) THEN NULL {within} ELSE {len(begins)} END"


def _index(periods: tuple[Period, ...]) -> str:
    """The number of the period that `_event` is in."""
    if len(periods) == 1:
        return "0"
    return _STEPS[periods[0].grain].format(start=periods[0].start.isoformat())
