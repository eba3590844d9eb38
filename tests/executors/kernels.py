# ruff: noqa: ARG002 -- each kernel uses what it needs of what every kernel gets
"""Kernels and reducers for tests, in a module that a worker loads quickly: some kill their worker, some fail."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.executors.protocol import SelectedRows, Task

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from publisher.executors.protocol import Columns

SECRET = "Ada-Lovelace-1815"
PAIRS: Columns = {"unit": "BIGINT", "many": "BIGINT"}


@dataclass(frozen=True)
class Numbers:
    """The kernel of the tests: the rows as they are."""

    columns: Columns = field(default_factory=lambda: {"unit": "BIGINT", "text": "VARCHAR"})

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> SelectedRows:
        return rows


@dataclass(frozen=True)
class Counts:
    """The reducer of the tests: how many rows each unit has."""

    columns: Columns = field(default_factory=lambda: PAIRS)

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> pa.Table:
        counted = f"SELECT unit, count(*) AS many FROM ({rows.sql}) GROUP BY unit"
        return connection.sql(counted, params=list(rows.parameters)).to_arrow_table()


@dataclass(frozen=True)
class Texts:
    """A reducer: the texts as they arrived."""

    columns: Columns = field(default_factory=lambda: {"text": "VARCHAR"})

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> pa.Table:
        return connection.sql(f"SELECT text FROM ({rows.sql}) ORDER BY text").to_arrow_table()


@dataclass(frozen=True)
class KilledOnce(Numbers):
    """A kernel whose worker is killed while it works, the first time that anyone does."""

    marker: str = ""

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> SelectedRows:
        try:
            Path(self.marker).touch(exist_ok=False)
        except FileExistsError:
            return rows
        os.kill(os.getpid(), signal.SIGKILL)
        return rows


@dataclass(frozen=True)
class AlwaysKilled(Numbers):
    """A kernel whose worker never survives."""

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> SelectedRows:
        os.kill(os.getpid(), signal.SIGKILL)
        return rows


@dataclass(frozen=True)
class FailsOnce(Numbers):
    """A kernel that fails the first time, as a full disk or a lost connection does."""

    marker: str = ""

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> SelectedRows:
        try:
            Path(self.marker).touch(exist_ok=False)
        except FileExistsError:
            return rows
        raise OSError(5, SECRET)


@dataclass(frozen=True)
class Quotes(Numbers):
    """A kernel whose error quotes a record."""

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> SelectedRows:
        raise ValueError(f"cannot read {SECRET}")


@dataclass(frozen=True)
class Casts(Numbers):
    """A kernel that DuckDB stops with an error which quotes a record."""

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> SelectedRows:
        return SelectedRows(f"SELECT CAST('{SECRET}' AS BIGINT) AS unit, text FROM ({rows.sql})", rows.parameters)


def tasks(many: int = 4, rows: int = 1000, units: int = 7) -> tuple[Task, ...]:
    """So many tasks, each with rows of the same units."""
    sql = f"SELECT range % {units} AS unit, 'row ' || range AS text FROM range(?)"
    return tuple(Task(SelectedRows(sql, (rows,)), rows) for _ in range(many))
