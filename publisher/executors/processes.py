"""A pool of worker processes on this machine: tasks first, then parts of the shuffled rows.

What is shuffled lies in the private folder: one Arrow file for each task, its batches sorted by part. A worker that is
killed is replaced, and what it was doing is done again; only what was finished is read.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING

from publisher import confined, encryption
from publisher.definitions.settings import EngineSettings
from publisher.durable import writing
from publisher.errors import SourceError
from publisher.executors.protocol import KEY, SelectedRows, parts_of, stages_of
from publisher.executors.worker import Worker, WorkerFaultError, schema_of, scrubbed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    import pyarrow as pa

    from publisher.copies import LandedCopies
    from publisher.encryption import Encryption
    from publisher.executors.protocol import Columns, Kernel, Progress, Reducer, Shuffle, Stage, Task

ATTEMPTS = 3
"""How often a task is begun before its failure counts."""
LEAST_MEMORY = 125_000_000
"""Bytes below which a worker is of no use."""


@dataclass(frozen=True)
class _Piece:
    """Batches of one shuffled file that belong to one part."""

    path: str
    batches: tuple[int, ...]


@dataclass(frozen=True)
class _Call:
    """One stage over one task or part: `stage` is a file, so that its key tables are not sent for each."""

    stage: str
    rows: SelectedRows | tuple[_Piece, ...]
    parts: int
    target: str


@dataclass
class ProcessesExecutor:
    """As many workers as [engine] threads, each with its share of the memory."""

    engine: EngineSettings
    spill: Path
    splits: bool = True
    copies: LandedCopies | None = None
    """Where landed files are that lie in an object store."""
    _pool: ProcessPoolExecutor | None = field(default=None, repr=False)
    _runs: int = 0

    @property
    def workers(self) -> int:
        """How many processes: not more than have memory to work with."""
        wanted = self.engine.threads or os.cpu_count() or 1
        return max(1, min(wanted, self.engine.memory_bytes // LEAST_MEMORY))

    @property
    def landers(self) -> int:
        """All of them; one alone is no faster than this process, whose threads share the work."""
        return self.workers if self.workers > 1 else 0

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
        import pyarrow as pa

        stages, parts = stages_of(kernel, key, reducer, first), parts_of(tasks, 2 * self.workers)
        inputs: list[SelectedRows | tuple[_Piece, ...]] = [task.select for task in tasks]
        with self._folder() as folder:
            for number, stage in enumerate(stages):
                path = folder / f"stage-{number}"
                path.write_bytes(pickle.dumps((stage, stages[number - 1].columns if number else {})))
                calls = [
                    _Call(str(path), rows, parts, str(folder / f"rows-{number}-{n}")) for n, rows in enumerate(inputs)
                ]
                if number > 0:  # how many parts have rows depends on records, and progress may go to a log
                    progress("counting what was read")
                made = self._done(calls, progress if number == 0 else lambda _: None)
                if not isinstance(stage.end, str):
                    return (
                        pa.concat_tables([_table(each) for each in made], promote_options="none")
                        if made
                        else (schema_of(stage.columns).empty_table())
                    )
                inputs = _met(made, parts)
        raise AssertionError("the last stage reduces")

    def close(self) -> None:
        """End the workers, and remove what they have spilled."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        shutil.rmtree(self._workers_folder, ignore_errors=True)

    @property
    def _workers_folder(self) -> Path:
        """Where each worker has a folder: two of DuckDB's processes in one would overwrite each other's files."""
        return self.spill / f"workers-{os.getpid()}"

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        """An empty private folder for what is shuffled."""
        self._runs += 1
        folder = self.spill / f"shuffle-{os.getpid()}-{self._runs}"
        with writing(folder):
            folder.mkdir(mode=0o700, parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _done(self, calls: Sequence[_Call], progress: Progress) -> list[bytes]:
        """What the calls give, in their order. Raises SourceError where one keeps failing."""
        results: dict[int, bytes] = {}
        failures: Counter[int] = Counter()
        while waiting := [n for n in range(len(calls)) if n not in results]:
            begun = self._begun(calls, waiting, failures)
            try:
                for future in as_completed(begun):
                    number = begun[future]
                    try:
                        results[number] = future.result()
                    except BrokenProcessPool:
                        failures[number] += 1
                        self._pool = None
                    except WorkerFaultError:
                        failures[number] += 1
                        if failures[number] >= ATTEMPTS:
                            raise
                    progress(f"{len(results)} of {len(calls)} files read")
            except BaseException:
                self._stop()
                raise
            if max(failures.values(), default=0) >= ATTEMPTS:
                raise SourceError(
                    f"worker processes were killed {ATTEMPTS} times, probably for want of memory: decrease [engine] "
                    "threads, which is how many there are, or increase the memory of this machine. Nothing was charged"
                )
        return [results[n] for n in range(len(calls))]

    def _begun(
        self, calls: Sequence[_Call], waiting: Sequence[int], failures: Counter[int]
    ) -> dict[Future[bytes], int]:
        """Those calls, begun; by new workers if one was killed since it was last used."""
        try:
            pool = self._started()
            return {pool.submit(_work, calls[n], failures[n]): n for n in waiting}
        except BrokenProcessPool:
            self._pool = None
            failures.update(waiting)  # so that files get new names, and that it ends
            return {}

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            share = EngineSettings(memory=f"{self.engine.memory_bytes // self.workers // 10**6}MB", threads=1)
            self._pool = ProcessPoolExecutor(
                self.workers,
                mp_context=get_context("spawn"),  # a fork would inherit the threads of DuckDB and Arrow, half alive
                initializer=_begin,
                initargs=(share, str(self._workers_folder), self.copies, encryption.taken()),
            )
        return self._pool

    def _stop(self) -> None:
        """End the workers, whatever they are doing."""
        if self._pool is not None:
            running = list((self._pool._processes or {}).values())  # Python 3.14 has kill_workers()
            self._pool.shutdown(wait=False, cancel_futures=True)
            for each in running:
                each.kill()
            self._pool = None


_workers: list[Worker] = []
"""The one worker of this process."""


def _begin(engine: EngineSettings, spill: str, copies: LandedCopies | None, keys: tuple[Encryption, ...]) -> None:
    """A worker begins: no core dumps, Ctrl-C is the parent's, and it ends with its parent."""
    confined.no_core_dumps()
    encryption.give(keys)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _workers.append(Worker(engine, Path(spill) / str(os.getpid()), copies=copies))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _work(call: _Call, attempt: int) -> bytes:
    """One call in a worker: the reducer's table, or where the shuffled rows are."""
    try:
        return _result(call, attempt)
    except Exception as error:  # noqa: BLE001 - whatever it says may quote a record
        fault = scrubbed(error)
        fault.__cause__ = fault.__context__ = fault.__traceback__ = None
    raise fault


def _result(call: _Call, attempt: int) -> bytes:
    import pyarrow as pa

    worker, (stage, columns) = _workers[0], _stage(call.stage)
    rows = call.rows if isinstance(call.rows, SelectedRows) else _read(call.rows)
    pieces = worker.results(stage, rows, columns)
    if isinstance(stage.end, str):
        return pickle.dumps(_written(pieces, stage.columns, Path(f"{call.target}-{attempt}"), call.parts))
    return _bytes(pa.concat_tables(pieces))


@lru_cache(maxsize=2)
def _stage(path: str) -> tuple[Stage, Columns]:
    found: tuple[Stage, Columns] = pickle.loads(Path(path).read_bytes())  # noqa: S301 -- the parent's own file
    return found


def _written(tables: Iterator[pa.Table], columns: Columns, path: Path, parts: int) -> dict[int, _Piece]:
    """Write the rows, each part's together in batches of their own; give which batches each part has."""
    import numpy as np
    import pyarrow as pa

    found: dict[int, list[int]] = {}
    written, options = 0, pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema_of(columns), options=options) as writer:
        for table in tables:
            part = table.column(KEY).to_numpy() % parts
            order = np.argsort(part, kind="stable")
            ordered, ends = table.take(order).combine_chunks(), np.searchsorted(part[order], range(parts + 1))
            for number, (begin, end) in enumerate(pairwise(ends)):
                if end > begin:
                    (batch,) = ordered.slice(begin, end - begin).to_batches()
                    writer.write_batch(batch)
                    found.setdefault(number, []).append(written)
                    written += 1
    return {number: _Piece(str(path), tuple(batches)) for number, batches in found.items()}


def _met(made: Sequence[bytes], parts: int) -> list[SelectedRows | tuple[_Piece, ...]]:
    """The pieces of each part that has any."""
    shuffled: list[dict[int, _Piece]] = [pickle.loads(each) for each in made]  # noqa: S301 -- from our own workers
    together = (tuple(each[part] for each in shuffled if part in each) for part in range(parts))
    return [pieces for pieces in together if pieces]


def _read(pieces: Sequence[_Piece]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for piece in pieces:
        with pa.OSFile(piece.path, "rb") as file:
            reader = pa.ipc.open_file(file)
            for number in piece.batches:
                yield reader.get_batch(number)


def _bytes(table: pa.Table) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _table(content: bytes) -> pa.Table:
    import pyarrow as pa

    return pa.ipc.open_stream(content).read_all()
