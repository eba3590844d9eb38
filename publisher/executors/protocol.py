"""What an executor is given and what it does: the engine shuffles, the code that it is given means.

A task is the SELECT of one landed file, a row of a small frame. A kernel makes rows of it in the worker, the shuffle
brings rows with the same key together, and the reducer makes a small table of them: the only rows that come back.
Kernels and reducers depend on nothing but their rows, so a worker that is lost and a task that is done twice change
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

ColumnType = Literal["VARCHAR", "DOUBLE", "BIGINT", "SMALLINT", "TIMESTAMP", "UUID"]
Columns = Mapping[str, ColumnType]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class SelectedRows:
    """A SELECT with its bound values."""

    sql: str
    parameters: tuple[object, ...] = ()


@dataclass(frozen=True)
class Task:
    """What one worker reads at once, and at most how many rows that is."""

    select: SelectedRows
    rows: int


class Kernel(Protocol):
    """Rows of a SELECT as rows to be shuffled."""

    @property
    def columns(self) -> Columns:
        """The columns of the rows that it gives."""
        ...

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> SelectedRows:
        """The SELECT of the rows that it makes of them; it may make tables in the connection."""
        ...


class Reducer(Protocol):
    """All rows of some keys as a small table, to which those of other keys are added."""

    @property
    def columns(self) -> Columns:
        """The columns of the table."""
        ...

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> pa.Table:
        """The table; the rows may be read more than once."""
        ...


@dataclass(frozen=True)
class Shuffle:
    """A kernel, and SQL for a BIGINT of its rows: those with the same value meet."""

    kernel: Kernel
    key: str


class Executor(Protocol):
    """Runs a kernel over tasks, shuffles its rows and runs a reducer over them."""

    @property
    def splits(self) -> bool:
        """Whether it wants one task for each landed file; otherwise one for all of them is best."""
        ...

    @property
    def landers(self) -> int:
        """How many of its workers may land raw files: none that is on another machine, since who lands reads people's
        names and makes pseudonyms of them."""
        ...

    def map_shuffle_reduce(
        self,
        tasks: Sequence[Task],
        kernel: Kernel,
        key: str | None,
        reducer: Reducer,
        *,
        first: Shuffle | None = None,
        progress: Progress = lambda _: None,
    ) -> pa.Table:
        """The reducer's tables, one below the other, in any order. Raises SourceError.

        Without a key nothing needs to meet: each task's rows are reduced where they are. With `first`, the tasks' rows
        are shuffled once before they reach the kernel.
        """
        ...


@dataclass(frozen=True)
class Stage:
    """What a worker does between two shuffles: kernels one after the other, then a key, or at last the reducer."""

    kernels: tuple[Kernel, ...]
    end: str | Reducer

    @property
    def columns(self) -> Columns:
        """The columns of what it gives."""
        if isinstance(self.end, str):
            return {**self.kernels[-1].columns, KEY: "BIGINT"}
        return self.end.columns


KEY = "_key"
"""The column by which rows are shuffled."""


def stages_of(kernel: Kernel, key: str | None, reducer: Reducer, first: Shuffle | None) -> tuple[Stage, ...]:
    """The stages of a map, its shuffles and its reduction."""
    begin = (Stage((first.kernel,), first.key),) if first is not None else ()
    if key is None:
        return (*begin, Stage((kernel,), reducer))
    return (*begin, Stage((kernel,), key), Stage((), reducer))


ROWS_TOGETHER = 500_000
"""About how many rows meet in one part: half of what bounding sorts in a tenth of a second."""


def parts_of(tasks: Sequence[Task], least: int = 1) -> int:
    """Into how many parts their rows are shuffled."""
    return max(least, 1 + sum(task.rows for task in tasks) // ROWS_TOGETHER)
