"""Whether every executor that is there counts the same bits."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from publisher.audit.replay import words
from publisher.definitions.vintage import vintages_of
from publisher.executors.local import LocalExecutor
from publisher.executors.processes import ProcessesExecutor
from publisher.executors.spark import SparkExecutor
from publisher.pipeline.counting import Counting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.audit.bench import Bench
    from publisher.definitions.settings import EngineSettings
    from publisher.executors.protocol import Executor


def faults_of_engines(bench: Bench, private: Path, engine: EngineSettings, spill: Path) -> list[str] | str:
    """Count what is landed in a private folder with every executor that is there, and compare bit by bit."""
    import numpy as np

    late = bench.dataset.source.definition.late
    vintage = vintages_of(late, bench.period)[-1] if late is not None else None
    here = LocalExecutor(engine, spill)
    counting = Counting(here, private, bench.dataset, bench.period, bench.query, bench.ordering, vintage)
    expected, faults, seen = counting.tables().tables, [], ["in this process"]
    for name, executor in _others(engine, spill):
        tables = replace(counting, executor=executor).tables().tables
        changed = [table for table, numbers in expected.items() if not np.array_equal(numbers, tables[table])]
        faults += [f"{words(table)} has other numbers {name}" for table in changed]
        seen.append(name)
    return faults or f"the same bits {', '.join(seen[:-1])} and {seen[-1]}"


def _others(engine: EngineSettings, spill: Path) -> Iterator[tuple[str, Executor]]:
    """The executors beside this process: a worker process always, Spark where the settings name a session."""
    with closing(ProcessesExecutor(engine.model_copy(update={"threads": 1}), spill)) as processes:
        yield "in a worker process", processes
    if engine.spark is not None:
        with closing(SparkExecutor(engine, engine.spark)) as spark:
            yield "on Spark", spark
