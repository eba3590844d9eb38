"""Any Spark Connect or classic session; Sail is one. The engine moves rows, DuckDB in its Python workers reads them.

Spark's own SQL is never used: of the expressions that definitions are made of, half mean something else to it.
"""

from __future__ import annotations

import os
import pickle
import re
import shutil
import socket
import sys
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import publisher
from publisher.duck import scratch
from publisher.errors import DefinitionError, PublisherError, SourceError
from publisher.executors.protocol import KEY, SelectedRows, parts_of, stages_of
from publisher.executors.worker import Worker, WorkerFaultError, schema_of, scrubbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from publisher.copies import LandedCopies
    from publisher.definitions.settings import EngineSettings, SparkSettings
    from publisher.executors.protocol import Columns, Kernel, Progress, Reducer, Shuffle, Stage, Task

    Work = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]

_TYPES = {
    "VARCHAR": "STRING",
    "DOUBLE": "DOUBLE",
    "BIGINT": "BIGINT",
    "SMALLINT": "SMALLINT",
    "TIMESTAMP": "TIMESTAMP_NTZ",
    "UUID": "BINARY",
}
_PORT = 15002
"""Where a Spark Connect server listens if its address names no port."""
_RETRIES, _MOST_WAIT = 6, 5_000
"""How often a call to a server is made again, and milliseconds between two: a quarter of a minute in all, not ten."""
_BEGIN, _END = "publisher says: ⟦", "⟧"
"""Around what a worker says, in whatever the engine makes of it."""


@dataclass
class SparkExecutor:
    """One session for a run, opened when it is first needed."""

    engine: EngineSettings
    settings: SparkSettings
    splits: bool = True
    landers: int = 0
    copies: LandedCopies | None = None
    """Where landed files are that lie in an object store."""
    _session: Any = field(default=None, repr=False)

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
        """The reducer's tables, one below the other."""
        parts = parts_of(tasks)
        if not tasks:
            return schema_of(reducer.columns).empty_table()
        with _told():
            session = self._opened()
            progress(f"{len(tasks)} files on Spark")
            rows = [(pickle.dumps(task.select),) for task in tasks]
            frame = session.createDataFrame(rows, "task BINARY").repartition(len(rows))
            columns: Columns = {}
            for stage in stages_of(kernel, key, reducer, first):
                frame = frame.mapInArrow(
                    _work(stage, columns, self.engine, versions(), self.copies), _ddl(stage.columns)
                )
                columns = stage.columns
                if isinstance(stage.end, str):
                    frame = frame.repartition(parts, KEY)
            return frame.toArrow().cast(schema_of(columns))

    def close(self) -> None:
        """End the session; before its server, which would wait for it."""
        if self._session is not None:
            self._session.stop()
            self._session = None

    def _opened(self) -> Any:
        """The session, whose workers have the same versions. Raises DefinitionError and SourceError."""
        if self._session is None:
            self._session = _session(self.settings)
            ask = self._session.createDataFrame([(0,)], "task INT").mapInArrow(_compared(versions()), "same BOOLEAN")
            ask.toArrow()
        return self._session


def _session(settings: SparkSettings) -> Any:
    # Nothing here passes through pandas, whose newest version PySpark warns of.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise DefinitionError(
            'publisher.toml: executor = "spark" needs PySpark: pip install "publisher[spark]", or "publisher[sail]" '
            "for Sail"
        ) from None
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers on this machine are the same Python
    if settings.remote is not None:
        _refuse_unreachable(settings.remote)
        session = SparkSession.builder.remote(settings.remote).getOrCreate()
        from pyspark.sql.connect.client.retries import DefaultPolicy

        session.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES, max_backoff=_MOST_WAIT)])
        return session
    master = settings.master or "local"
    builder = (
        SparkSession.builder.master(master)
        .appName("publisher")
        .config("spark.io.encryption.enabled", "true")  # what is shuffled and spilled are records
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
    )
    if master.startswith("local"):
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    return builder.getOrCreate()


def _refuse_unreachable(remote: str) -> None:
    """Raises SourceError where nothing answers: PySpark itself would try for ten minutes."""
    parts = urlsplit(remote)
    try:
        socket.create_connection((parts.hostname or "", parts.port or _PORT), timeout=10).close()
    except OSError as error:
        raise SourceError(
            f"publisher.toml: engine.spark.remote: {remote} does not answer ({error.strerror or 'no answer'}): is the "
            "server running? Nothing was read or charged"
        ) from None


def versions() -> dict[str, str]:
    """What must be the same everywhere for the same bits."""
    return {
        "publisher": publisher.__version__,
        "DuckDB": version("duckdb"),
        "NumPy": version("numpy"),
        "Python": ".".join(map(str, sys.version_info[:2])),
    }


def _time_zone() -> str:
    """The time zone of DuckDB on the driver."""
    with scratch() as connection:
        found: str = connection.execute("SELECT current_setting('TimeZone')").fetchall()[0][0]
        return found


def refuse_others(wanted: dict[str, str]) -> None:
    """Raises DefinitionError where this worker has other versions than the driver."""
    mine = versions()
    if mine != wanted:
        others = ", ".join(
            f"{name} {mine[name]} instead of {wanted[name]}" for name in wanted if mine[name] != wanted[name]
        )
        raise DefinitionError(
            f"a Spark worker has {others}: install the same versions on every worker. Nothing was read or charged"
        )


def _compared(wanted: dict[str, str]) -> Work:
    def compare(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            refuse_others(wanted)
            yield pa.record_batch({"same": pa.array([True] * batch.num_rows)})

    return _marked(compare)


def _work(
    stage: Stage, columns: Columns, engine: EngineSettings, wanted: dict[str, str], copies: LandedCopies | None
) -> Work:
    """A stage as Spark runs it: once over all batches of a partition."""
    limits, zone = engine.model_copy(update={"threads": 1}), _time_zone()

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        refuse_others(wanted)
        there = (batch for batch in batches if batch.num_rows)
        for rows in _parts(there) if columns else _tasks(there):
            spill = Path(tempfile.mkdtemp(prefix="publisher-"))
            try:
                for table in Worker(limits, spill, zone, copies).results(stage, rows, columns):
                    yield from table.to_batches()
            finally:
                shutil.rmtree(spill, ignore_errors=True)

    return _marked(work)


def _tasks(batches: Iterable[pa.RecordBatch]) -> Iterator[SelectedRows]:
    for batch in batches:
        for content in batch.column("task").to_pylist():
            yield pickle.loads(content)  # noqa: S301 -- from the driver


def _parts(batches: Iterator[pa.RecordBatch]) -> Iterator[Iterable[pa.RecordBatch]]:
    """All batches of the partition as one input; none if there is none."""
    for first in batches:
        yield chain((first,), batches)


def _ddl(columns: Columns) -> str:
    return ", ".join(f"`{name}` {_TYPES[kind]}" for name, kind in columns.items())


def _marked(work: Work) -> Work:
    """The same work; what goes wrong is told in words that come through the engine, never what an error quotes."""

    def marked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            yield from work(batches)
        except Exception as error:  # noqa: BLE001 - whatever it says may quote a record
            words = _said(error) or scrubbed(error)  # an engine may hand on what went wrong in the stage before
        else:
            return
        raise RuntimeError(words if isinstance(words, str) else f"{_BEGIN}{type(words).__name__}: {words}{_END}")

    return marked


@contextmanager
def _told() -> Iterator[None]:
    """What a worker said, or which error of the engine's ended it all; its own words may quote anything."""
    fault: Exception
    try:
        yield
        return
    except (PublisherError, WorkerFaultError):
        raise
    except Exception as error:  # noqa: BLE001 - of PySpark, gRPC or the JVM
        said = _said(error)
        if said is not None:
            kind, _, words = said.removeprefix(_BEGIN).removesuffix(_END).partition(": ")
            kinds = {"DefinitionError": DefinitionError, "WorkerFaultError": WorkerFaultError}
            fault = kinds.get(kind, SourceError)(words)
        else:
            fault = SourceError(
                f"Spark ended with {type(error).__name__}: its own log says why. Nothing was charged; run again"
            )
    raise fault from None


def _said(error: Exception) -> str | None:
    """What a worker said, if these are its words in whatever the engine made of them."""
    found = re.search(f"{_BEGIN}\\w+: .*?{_END}", str(error), re.DOTALL)
    return found[0] if found is not None else None
