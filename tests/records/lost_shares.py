"""Shares of landing that are lost, in a module that a worker loads quickly."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.records.workers import WritesShare

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from publisher.executors.protocol import SelectedRows


def once(marker: Path) -> bool:
    """Whether this is the first time; workers race for it."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@dataclass(frozen=True)
class KilledWhenWritten(WritesShare):
    """The first worker is killed when all its rows are written and nothing is told of them."""

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> pa.Table:
        written = super().__call__(connection, rows)
        if once(self.private / "lost"):
            os.kill(os.getpid(), signal.SIGKILL)
        return written


@dataclass(frozen=True)
class FailsWhenWritten(WritesShare):
    """The first worker fails then, in a way that nobody foresaw."""

    def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> pa.Table:
        written = super().__call__(connection, rows)
        if once(self.private / "lost"):
            raise ValueError("Ada-Lovelace-1815")
        return written
