"""The executor that the settings name, for the length of a run."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.copies import LandedCopies
    from publisher.definitions.settings import EngineSettings
    from publisher.executors.protocol import Executor


@contextmanager
def executor_of(engine: EngineSettings, spill: Path, copies: LandedCopies | None = None) -> Iterator[Executor]:
    """The executor; workers and sessions begin when they are first needed. It spills into a private folder. With
    `copies`, landed files lie in an object store."""
    try:
        if engine.executor == "processes":
            from publisher.executors.processes import ProcessesExecutor

            with closing(ProcessesExecutor(engine, spill, copies=copies)) as processes:
                yield processes
        elif engine.executor == "spark" and engine.spark is not None:
            from publisher.executors.spark import SparkExecutor

            with closing(SparkExecutor(engine, engine.spark, copies=copies)) as spark:
                yield spark
        else:
            from publisher.executors.local import LocalExecutor

            yield LocalExecutor(engine, spill, copies=copies)
    finally:
        if copies is not None:
            copies.remove()
