"""The rows of one release as SQL: records with their window, then the cell and the values of each.

The SQL is put together from identifiers that the definitions have validated; values are always bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.duck import disable, safely

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    from publisher.definitions.cells import CellGrid
    from publisher.definitions.dataset import Measure
    from publisher.definitions.period import Period
    from publisher.definitions.source import Register
    from publisher.engine.guard import RecordQuery
    from publisher.engine.parts import Rows
    from publisher.workspace import DatasetFile, SourceFile

BATCH = 1 << 16
"""Rows that are taken over from DuckDB at once: what fits into a processor's cache."""


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
    reads_records: bool = True
    """Whether rows of readings have the ids of records."""

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

    @property
    def differences(self) -> Register | None:
        """The register whose readings are turned into differences after the rows were read; None if there is none, or
        if a key column needs the differences."""
        register = self.dataset.source.definition.register_
        if register is None or any(axis.name == register.consumption for axis in self.grid.axes):
            return None
        return register

    @property
    def windows(self) -> int:
        """How many windows of a unit the period touches."""
        return len(self.period.cut(self.dataset.source.definition.privacy.window))

    def run(self, select: str, *values: object, into: str = "") -> DuckDBPyConnection:
        """Run a SELECT from `raw`, `records` or `bounded_input` with bound values; `into` makes a table of it."""
        sql = f"WITH raw AS ({self.records.raw}), records AS ({self._records()}), bounded_input AS ({self._cells()}) "
        return self.connection.execute(into + sql + select, [*self.records.parameters, *values])

    def people_rows(self) -> Iterator[Rows]:
        """The rows of people in batches of columns: `unit` and `_record` (16 bytes), `_window` if there are several,
        `cell`, `sum_0` …, `bin_0` … (-1: none), `_vintage`; for differences `_event` and `reading`, with `read` = 0
        where it is missing."""
        records = self._records(differences=self.differences is None)
        wanted = f"CAST(_unit AS UUID) AS unit, {self._cell} AS cell"
        wanted += ", CAST(_window AS USMALLINT) AS _window" if self.windows > 1 else ""
        records_too = self.histograms or (self.differences and self.reads_records)
        wanted += ", CAST(_record AS UUID) AS _record" if records_too else ""
        wanted += ", CAST(_vintage AS UTINYINT) AS _vintage" if self.increment else ""
        wanted += "".join(f", {value}" for value in self._values())
        self.connection.execute("SET arrow_lossless_conversion = true")  # 128 bits as they are, not as text
        sql = f"WITH raw AS ({self.records.raw}), records AS ({records}) SELECT {wanted} FROM records{self._joined}"
        for batch in self.connection.sql(sql, params=[*self.records.parameters]).to_arrow_reader(BATCH):
            rows = {name: _column(batch.column(name)) for name in batch.schema.names}
            yield rows | ({"read": batch.column("reading").is_valid().to_numpy(False)} if "reading" in rows else {})

    def load(self) -> None:
        """Load the lookups as tables of text, and one table per key column that numbers its keys."""
        load(self.connection, self.dataset, self.grid)

    def measured_differences(self, measure: Measure) -> bool:
        """Whether a measure is of differences that are made after the rows were read."""
        return self.differences is not None and measure.column == self.differences.consumption

    @property
    def _window(self) -> str:
        return _index(self.period.cut(self.dataset.source.definition.privacy.window))

    def _records(self, *, differences: bool = True) -> str:
        """The author's columns; for people also the window, and only rows that have a unit."""
        source = self.dataset.source.definition
        if not self.people:
            mine = f" WHERE _vintage = {self.records.vintage}" if self.increment else ""
            return f"SELECT * FROM ({self.records.query.sql}){mine}"
        rows = f"SELECT *, {self._window} AS _window FROM ({self.records.query.sql}) WHERE _unit IS NOT NULL"
        if source.register_ is None or not differences:
            return rows
        reading = _reading(source.register_)  # and its differences, as `publisher.engine.register` makes them
        return (
            f"SELECT *, {reading} - lag({reading} IGNORE NULLS) OVER (PARTITION BY _unit, _window ORDER BY _event, "
            f'_record) AS "{source.register_.consumption}" FROM ({rows})'
        )

    def _cells(self) -> str:
        more = ", _unit, _window, _record" if self.people else ""
        more += ", _vintage" if self.increment else ""
        more += "".join(f", {_whole_steps(each)} AS sum_{n}" for n, each in enumerate(self.sums))
        more += "".join(f", {_bin(each)} AS bin_{n}" for n, each in enumerate(self.histograms))
        return f"SELECT {self._cell} AS cell{more} FROM records{self._joined}"

    @property
    def _joined(self) -> str:
        return "".join(numbered_by(n, axis.name) for n, axis in enumerate(self.grid.axes))

    @property
    def _cell(self) -> str:
        """The number of a record's cell."""
        cell = f"CAST({_index(self.grid.periods)} AS {self._number})"
        for n, axis in enumerate(self.grid.axes):
            code = f"coalesce(CAST({number_of(n)} AS {self._number}), {axis.other}::{self._number})"
            cell = f"({cell} * {len(axis.keys)}::{self._number} + {code})"
        return cell

    @property
    def _number(self) -> str:
        return "UINTEGER" if self.grid.size < 1 << 32 else "UBIGINT"

    def _values(self) -> Iterator[str]:
        """SQL for the values of people's records."""
        for n, each in enumerate(self.sums):
            if not self.measured_differences(each):
                value = f"coalesce({_whole_steps(each)}, 0)"
                # What a vintage adds to a unit's total must never be taken back by a later one, or both would count.
                yield f"{f'greatest({value}, 0)' if self.increment else value} AS sum_{n}"
        for n, each in enumerate(self.histograms):
            if not self.measured_differences(each):
                yield f"CAST(coalesce({_bin(each)}, -1) AS BIGINT) AS bin_{n}"
        if self.differences is not None:
            yield f"epoch_us(_event) AS _event, {_reading(self.differences)} AS reading"


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
    disable(connection, "common_subexpressions")
    for name, lookup in source.lookups.items():
        make_table(
            connection, name, {column: [row[n] for row in lookup.rows] for n, column in enumerate(lookup.columns)}
        )


def load(connection: DuckDBPyConnection, dataset: DatasetFile, grid: CellGrid) -> None:
    """Load the lookups as tables of text, and one table per key column that numbers its keys.

    It is joined to the records: a cast to a type of the keys takes 200 times as long for a text that is none of them.
    """
    import numpy as np

    load_lookups(connection, dataset.source)
    for n, axis in enumerate(grid.axes):
        make_table(connection, "_keys", {"key": list(axis.keys), "number": np.arange(len(axis.keys))})
        # A key that is there twice would count its records twice.
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE _axis_{n} (_key_{n} VARCHAR PRIMARY KEY, {number_of(n)} UBIGINT)"
        )
        connection.execute(f"INSERT INTO _axis_{n} SELECT key, number FROM _keys")


def make_table(connection: DuckDBPyConnection, name: str, columns: dict[str, Any]) -> None:
    """Make a temporary table of columns in memory."""
    import pyarrow as pa

    connection.register("incoming_rows", pa.table({column: pa.array(values) for column, values in columns.items()}))
    connection.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS SELECT * FROM incoming_rows')
    connection.unregister("incoming_rows")


def numbered_by(axis: int, name: str) -> str:
    """SQL that joins an axis' keys to the records."""
    return f' LEFT JOIN _axis_{axis} ON CAST(records."{name}" AS VARCHAR) = _key_{axis}'


def number_of(axis: int) -> str:
    """SQL for the number of a record's key on an axis; NULL if it has none of the axis' keys."""
    return f"_number_{axis}"


def _reading(register: Register) -> str:
    """What a register shows; a difference of doubles never overflows."""
    return f'TRY_CAST("{register.reading}" AS DOUBLE)'


def _column(array: pa.Array) -> NDArray[Any]:
    """A column as numpy has it: identifiers as 16 bytes in their order, a missing double as NaN."""
    import numpy as np
    import pyarrow as pa

    if not isinstance(array, pa.ExtensionArray):
        numbers: NDArray[Any] = array.to_numpy(zero_copy_only=False)
        return numbers
    stored = array.storage
    return np.frombuffer(stored.buffers()[1], "V16", len(stored), 16 * stored.offset)


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
    if len(periods) > 1 and periods[0].grain in ("day", "week"):
        days = f"(CAST(_event AS DATE) - DATE '{periods[0].start.isoformat()}')"
        return days if periods[0].grain == "day" else f"{days} // 7"
    return _compared(periods, 0)


def _compared(periods: tuple[Period, ...], first: int) -> str:
    """The same by comparing, which is faster than computing the number of a month; `first` is added."""
    if len(periods) == 1:
        return str(first)
    half = len(periods) // 2
    before, after = _compared(periods[:half], first), _compared(periods[half:], first + half)
    return f"CASE WHEN _event < TIMESTAMP '{periods[half].start.isoformat()}' THEN {before} ELSE {after} END"
