"""What is exact of a release, counted by the workspace's executor: what its workers do with rows, and how it adds up.

A worker runs the guarded SELECT over landed files, and the engine's own counting over all rows of some units. Nothing
depends on how rows are divided, so the numbers are those of one process. Workers get the key of the order, the keysets
and the lookups; ledger, budget, noise and every other key stay here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from publisher.definitions.dataset import WIDER
from publisher.duck import quoted
from publisher.engine.aggregate import bound_and_aggregate, rolled_up
from publisher.engine.bounding import LARGEST, halves_of, limited
from publisher.engine.candidates import candidates
from publisher.engine.contributions import ContributionQuestion, contributions
from publisher.engine.guard import RecordQuery
from publisher.engine.input import BoundedInput, RecordSource, cast_failures, check_columns, load_lookups
from publisher.errors import SourceError
from publisher.executors.protocol import SelectedRows, Shuffle, Task
from publisher.records.reader import LandedParts, LandedSelect, in_parts, raw
from publisher.stages import BoundedAggregate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from publisher.copies import LandedCopies
    from publisher.definitions.period import Period
    from publisher.definitions.vintage import Vintage
    from publisher.executors.protocol import Columns, ColumnType, Executor, Kernel, Progress, Reducer
    from publisher.stages import Integers, Table
    from publisher.workspace import DatasetFile, SourceFile

_VALUE = "_value_"
"""Before the name of a column that is counted as a number: as a key it may be there too, as a text."""

_FIRST_DAY = "DATE '0001-01-01'"
"""From when windows are numbered: a Monday before all events. DuckDB would cut weeks before it in two."""

_UNIT_BITS = (1 << 62) - 1
"""The bits of a unit by which its rows meet. Others with the same only come along: uniqueness rests on all 128."""


@dataclass(frozen=True)
class Counting:
    """The landed records of one period, to be counted for a dataset by an executor."""

    executor: Executor
    private: Path
    dataset: DatasetFile
    period: Period
    query: RecordQuery
    ordering_key: int = 0
    """Which cells of a unit count depends on it; how much it has does not."""
    vintage: Vintage | None = None
    progress: Progress = lambda _: None
    copies: LandedCopies | None = None

    @property
    def source(self) -> SourceFile:
        """The dataset's source."""
        return self.dataset.source

    @cached_property
    def landed(self) -> LandedSelect:
        """All rows. Raises SourceError."""
        period, vintage = self.period, self.vintage
        return raw(self.source, self.private, period.start, period.end, vintage=vintage, copies=self.copies)

    def tables(self) -> BoundedAggregate:
        """The exact bounded table of every measure on every level. Raises DefinitionError and SourceError."""
        check_columns(self.dataset, self.query)
        reducer = BoundedTables(
            self._seen, self.period, self._seen_query, self.ordering_key, self._number, parts=self.executor.splits
        )
        return _added_up(self._reduced(reducer), reducer, self.dataset)

    def candidates(self) -> dict[str, int]:
        """How many units have each key that is to be discovered. Raises SourceError."""
        reducer = CandidateKeys(self._seen, self.period, self._seen_query, self.ordering_key, self._number)
        return _counts(self._reduced(reducer))

    def contributions(self, questions: tuple[ContributionQuestion, ...]) -> tuple[Integers, ...]:
        """The histogram of each question about how much units have in the dataset's releases. Raises SourceError."""
        import numpy as np

        check_columns(self.dataset, self.query)
        found = self._reduced(UnitContributions(self._seen, self.period, self._seen_query, questions))
        number, cell, value = (found.column(name).to_numpy() for name in ("number", "cell", "value"))
        histograms = tuple(np.zeros(question.size, dtype=np.int64) for question in questions)
        for n, histogram in enumerate(histograms):
            np.add.at(histogram, cell[number == n], value[number == n])
        return histograms

    def cast_failures(self) -> dict[str, int]:
        """How many values of each output column were there and did not cast; only for the private report."""
        if not self.query.casts:
            return {}
        reducer = FailedCasts(self.dataset, self.period, self.query)
        return _counts(self._run(LandedRows(self._latest), None, reducer))

    @property
    def _number(self) -> int:
        return self.vintage.number if self.vintage is not None else 1

    @cached_property
    def _parts(self) -> LandedParts:
        period, vintage = self.period, self.vintage
        return in_parts(self.source, self.private, period.start, period.end, vintage=vintage, copies=self.copies)

    @property
    def _latest(self) -> SelectedRows | None:
        found = self.executor.splits and self._parts.latest
        return SelectedRows(found, self._parts.parameters) if found else None

    @cached_property
    def _tasks(self) -> tuple[Task, ...]:
        if not self.executor.splits:
            return (Task(SelectedRows(self.landed.sql, tuple(self.landed.parameters)), 0),)
        parameters = () if self._parts.latest else self._parts.parameters
        return tuple(Task(SelectedRows(each.sql, parameters), each.rows) for each in self._parts.parts)

    @cached_property
    def _seen(self) -> DatasetFile:
        """The dataset as the reducer sees its rows: where they were shuffled, numbers are columns of their own."""
        return _with_values(self.dataset) if self.executor.splits else self.dataset

    @cached_property
    def _seen_query(self) -> RecordQuery:
        """The SELECT that the reducer runs: where rows were shuffled, the author's was run before."""
        if not self.executor.splits:
            return self.query
        columns = GuardedRows(self.dataset, self.query, None).columns
        return RecordQuery(f"SELECT {', '.join(map(quoted, columns))} FROM raw", " FROM raw", tuple(columns), ())

    def _reduced(self, reducer: Reducer) -> pa.Table:
        """What the reducer makes of the rows of the author's SELECT."""
        if not self.executor.splits:
            return self._run(LandedRows(None), None, reducer)
        kernel = GuardedRows(self.dataset, self.query, self._latest)
        return self._run(kernel, kernel.key, reducer)

    def _run(self, kernel: Kernel, key: str | None, reducer: Reducer) -> pa.Table:
        run, first = self.executor.map_shuffle_reduce, None
        if self._latest is not None:  # the versions of a record must meet before one of them counts
            first = Shuffle(LandedRows(None, _typed(self._parts.columns)), _key("_record"))
        return run(self._tasks, kernel, key, reducer, first=first, progress=self.progress)


@dataclass(frozen=True)
class LandedRows:
    """The kernel that gives landed rows: as they are or, of all versions of some records, those that count."""

    latest: SelectedRows | None
    columns: Columns = field(default_factory=dict)

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> SelectedRows:  # noqa: ARG002 -- as every kernel
        """Runs in the worker."""
        if self.latest is None:
            return rows
        return SelectedRows(self.latest.sql.replace("{rows}", f"({rows.sql})"), self.latest.parameters)


@dataclass(frozen=True)
class GuardedRows:
    """The kernel: the author's SELECT over landed rows, with the columns that are counted and no others."""

    dataset: DatasetFile
    query: RecordQuery
    latest: SelectedRows | None

    @property
    def people(self) -> bool:
        """Whether units are people, accounts or parcels, not single records."""
        return self.dataset.source.definition.privacy.unit != "record"

    @property
    def key(self) -> str | None:
        """By which rows meet: the unit and its window."""
        if not self.people:
            return None
        window = self.dataset.source.definition.privacy.window
        number = "0" if window == "lifetime" else f"date_diff('{window}', {_FIRST_DAY}, _event)"
        return f"{_key('_unit')} + {number}"

    @property
    def columns(self) -> Columns:
        """What the reducer reads."""
        definition = self.dataset.source.definition
        columns: dict[str, ColumnType] = {"_event": "TIMESTAMP"}
        if self.people:
            columns |= {"_unit": "UUID", "_record": "UUID"}
        if definition.late is not None:
            columns["_vintage"] = "SMALLINT"
        keys = (key.name for key in self.dataset.definition.keys)
        columns |= dict.fromkeys((name for name in keys if name in self.query.columns), "VARCHAR")
        return columns | dict.fromkeys((f"{_VALUE}{name}" for name in _values(self.dataset)), "DOUBLE")

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> SelectedRows:
        """Runs in the worker."""
        load_lookups(connection, self.dataset.source)
        landed = LandedRows(self.latest)(connection, rows)
        chosen = ", ".join(f"{self._value(name, kind)} AS {quoted(name)}" for name, kind in self.columns.items())
        there = " WHERE _unit IS NOT NULL" if self.people else ""
        sql = f"WITH raw AS ({landed.sql}), records AS ({self.query.sql}) SELECT {chosen} FROM records{there}"
        return SelectedRows(sql, landed.parameters)

    def _value(self, name: str, kind: ColumnType) -> str:
        if kind == "DOUBLE":
            return f"TRY_CAST({quoted(name.removeprefix(_VALUE))} AS DOUBLE)"
        if name == "_record" and not self._orders_records:
            return "NULL::UUID"  # sixteen bytes that nobody reads
        return f"CAST({quoted(name)} AS {kind})"

    @property
    def _orders_records(self) -> bool:
        """Whether it matters which record a row is."""
        definition = self.dataset.definition
        bins = any(each.kind == "histogram" for each in definition.measured)
        return bins or definition.discovered is not None or self.dataset.source.definition.register_ is not None


@dataclass(frozen=True)
class BoundedTables:
    """The reducer: the engine's tables of some units, one row for each number that is not zero."""

    dataset: DatasetFile
    period: Period
    query: RecordQuery
    ordering_key: int
    vintage: int
    parts: bool
    """Whether the rows are only some of all."""

    @property
    def columns(self) -> Columns:
        """Which table, in the order of `names`; which cell; the number."""
        return {"number": "BIGINT", "cell": "BIGINT", "value": "BIGINT"}

    @property
    def names(self) -> tuple[Table, ...]:
        """The tables that are counted. Of parts of records that are units themselves, the finest ones say all."""
        definition = self.dataset.definition
        levels = [""] if self.rolls_up else [level.name for level in self.dataset.levels(self.period)]
        wider = [(WIDER, each.name) for each in definition.covered]
        return (*((level, each.name) for level in levels for each in definition.measured), *wider)

    @property
    def rolls_up(self) -> bool:
        """Whether coarser tables are made of the finest one's sums, as the engine makes them of all records."""
        return self.parts and self.dataset.source.definition.privacy.unit == "record"

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> pa.Table:
        """Runs in the worker."""
        records = RecordSource(rows.sql, rows.parameters, self.query, self.vintage)
        exact = bound_and_aggregate(connection, records, self.dataset, self.period, self.ordering_key)
        return _sparse(tuple(exact.tables[name] for name in self.names))


@dataclass(frozen=True)
class CandidateKeys:
    """The reducer: how many of some units have each key that is to be discovered."""

    dataset: DatasetFile
    period: Period
    query: RecordQuery
    ordering_key: int
    vintage: int

    @property
    def columns(self) -> Columns:
        """The key, and its units."""
        return {"name": "VARCHAR", "count": "BIGINT"}

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> pa.Table:
        """Runs in the worker."""
        records = RecordSource(rows.sql, rows.parameters, self.query, self.vintage)
        grid = self.dataset.grid(self.period)
        return _named(candidates(BoundedInput(connection, self.dataset, grid, self.period, records), self.ordering_key))


@dataclass(frozen=True)
class UnitContributions:
    """The reducer: the histograms of how much some units have in each release of the period."""

    dataset: DatasetFile
    period: Period
    query: RecordQuery
    questions: tuple[ContributionQuestion, ...]

    @property
    def columns(self) -> Columns:
        """Which question, which bin, how many units."""
        return {"number": "BIGINT", "cell": "BIGINT", "value": "BIGINT"}

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> pa.Table:
        """Runs in the worker."""
        within = f"SELECT * FROM ({rows.sql}) WHERE _event >= ? AND _event < ?"
        releases = [
            (each, RecordSource(within, (*rows.parameters, each.start, each.end), self.query))
            for each in self.period.cut(self.dataset.definition.period)
        ]
        return _sparse(contributions(connection, releases, self.dataset, self.period, self.questions))


@dataclass(frozen=True)
class FailedCasts:
    """The reducer: how many values of some rows were there and did not cast."""

    dataset: DatasetFile
    period: Period
    query: RecordQuery

    @property
    def columns(self) -> Columns:
        """The output column, and how many."""
        return {"name": "VARCHAR", "count": "BIGINT"}

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> pa.Table:
        """Runs in the worker."""
        records = RecordSource(rows.sql, rows.parameters, self.query)
        return _named(cast_failures(connection, records, self.dataset, self.period))


def _sparse(tables: tuple[Integers, ...]) -> pa.Table:
    """A row for each number that is not zero: its table, its cell and itself."""
    import numpy as np
    import pyarrow as pa

    cells = [np.flatnonzero(table) for table in tables]
    values = [table[found] for table, found in zip(tables, cells, strict=True)]
    numbers = [np.full(len(found), number) for number, found in enumerate(cells)]
    columns = {"number": numbers, "cell": cells, "value": values}
    return pa.table({name: np.concatenate(each).astype(np.int64) for name, each in columns.items()})


def _named(counts: dict[str, int]) -> pa.Table:
    import pyarrow as pa

    return pa.table({"name": pa.array(counts, pa.string()), "count": pa.array(counts.values(), pa.int64())})


def _counts(table: pa.Table) -> dict[str, int]:
    """The counts by name, added up."""
    found: dict[str, int] = {}
    for name, count in zip(table.column("name").to_pylist(), table.column("count").to_pylist(), strict=True):
        found[name] = found.get(name, 0) + count
    return found


def _added_up(found: pa.Table, reducer: BoundedTables, dataset: DatasetFile) -> BoundedAggregate:
    """The parts' numbers added up, as exactly as one process does it: in halves, limited once at the end."""
    import numpy as np

    levels = dataset.levels(reducer.period)
    measures = {each.name: each for each in dataset.definition.measured}
    sizes = {level.name: level.grid.size for level in levels}
    number, cell, value = (found.column(name).to_numpy() for name in reducer.columns)
    if reducer.parts and np.abs(value).max(initial=0) >= LARGEST:
        raise SourceError(
            f"{dataset.name} {reducer.period.label}: a sum of one file reaches 2⁶² steps of its resolution, too many "
            "to be added to those of others: set a coarser `resolution`. Nothing was charged"
        )
    tables: dict[Table, Integers] = {}
    for n, (table, name) in enumerate(reducer.names):
        size = 1 if table == WIDER else sizes[table] * measures[name].width
        halves, mine = np.zeros((2, size), np.int64), number == n
        for sums, half in zip(halves, halves_of(value[mine]), strict=True):
            np.add.at(sums, cell[mine], half)
        tables[table, name] = limited(*halves)
    if reducer.rolls_up:
        for level in levels[:-1]:
            tables |= {(level.name, name): rolled_up(tables["", name], level, each) for name, each in measures.items()}
    return BoundedAggregate(levels, tables)


def _values(dataset: DatasetFile) -> tuple[str, ...]:
    """The author's columns that are counted as numbers."""
    register = dataset.source.definition.register_
    named = [each.column for each in dataset.definition.measured if each.column is not None]
    if register is not None:
        named = [register.reading, *(name for name in named if name != register.consumption)]
    return tuple(dict.fromkeys(named))


def _with_values(dataset: DatasetFile) -> DatasetFile:
    """The same dataset over rows whose numbers are columns of their own."""
    values = _values(dataset)

    def named(column: str | None) -> str | None:
        return f"{_VALUE}{column}" if column in values else column

    definition, source = dataset.definition, dataset.source
    measures = tuple(each.model_copy(update={"column": named(each.column)}) for each in definition.measures)
    register = source.definition.register_
    if register is not None:
        read = register.model_copy(update={"reading": named(register.reading)})
        source = replace(source, definition=source.definition.model_copy(update={"register_": read}))
    return replace(dataset, definition=definition.model_copy(update={"measures": measures}), source=source)


def _key(identifier: str) -> str:
    """SQL for a BIGINT of a keyed hash: some of its bits."""
    return f"CAST(CAST({identifier} AS UHUGEINT) & {_UNIT_BITS}::UHUGEINT AS BIGINT)"


def _typed(columns: Mapping[str, str]) -> Columns:
    """The types of landed columns, which executors can move."""
    types: dict[str, Any] = dict(columns)
    return types
