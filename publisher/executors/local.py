"""In this process: one connection reads all tasks and nothing is moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from publisher.duck import connect
from publisher.executors.protocol import SelectedRows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from publisher.copies import LandedCopies
    from publisher.definitions.settings import EngineSettings
    from publisher.executors.protocol import Kernel, Progress, Reducer, Shuffle, Task


@dataclass(frozen=True)
class LocalExecutor:
    """DuckDB's own threads share the work; it spills into a private folder."""

    engine: EngineSettings
    spill: Path
    splits: bool = False
    landers: int = 0
    copies: LandedCopies | None = None
    """Where landed files are that lie in an object store."""

    def map_shuffle_reduce(
        self,
        tasks: Sequence[Task],
        kernel: Kernel,
        key: str | None,  # noqa: ARG002 -- all rows are together
        reducer: Reducer,
        *,
        first: Shuffle | None = None,
        progress: Progress = lambda _: None,  # noqa: ARG002 -- one query has no parts to tell of
    ) -> pa.Table:
        """The reducer's table of all rows."""
        rows = SelectedRows(
            " UNION ALL ".join(task.select.sql for task in tasks),
            tuple(value for task in tasks for value in task.select.parameters),
        )
        with connect(self.engine, self.spill) as connection:
            for each in (first.kernel, kernel) if first is not None else (kernel,):
                rows = each(connection, rows)
            if self.copies is not None:
                rows = replace(rows, sql=self.copies.brought(rows.sql))
            return reducer(connection, rows)
