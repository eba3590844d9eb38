"""Executors: the same bits in this process, in worker processes and on Spark; what is lost is done again; nothing that
a worker says quotes a record."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from kernels import SECRET, AlwaysKilled, Casts, Counts, FailsOnce, KilledOnce, Numbers, Quotes, tasks
from random_towns import ENGINE, KEY, drawn, same

from publisher.definitions.settings import EngineSettings, Settings, SparkSettings
from publisher.definitions.toml import build, parse_toml
from publisher.duck import connect, scratch
from publisher.engine.guard import guarded
from publisher.errors import DefinitionError, SourceError
from publisher.executors import worker
from publisher.executors.local import LocalExecutor
from publisher.executors.processes import ATTEMPTS, ProcessesExecutor
from publisher.executors.protocol import SelectedRows, Stage, parts_of
from publisher.executors.spark import SparkExecutor, refuse_others, versions
from publisher.executors.worker import Worker, WorkerFaultError
from publisher.pipeline.counting import BoundedTables, GuardedRows
from publisher.records.secrets import derive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection
    from small_town import Town


def counted(table: pa.Table) -> list[tuple[int, int]]:
    """The rows of the reducer's tables, in order; a unit that is there twice did not meet."""
    return sorted(zip(table.column("unit").to_pylist(), table.column("many").to_pylist(), strict=True))


EXPECTED = [(unit, 4 * (143 if unit < 6 else 142)) for unit in range(7)]


@pytest.fixture(scope="module")
def pool(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessesExecutor]:
    """Two worker processes."""
    executor = ProcessesExecutor(ENGINE, tmp_path_factory.mktemp("pool"))
    yield executor
    executor.close()


@pytest.mark.parametrize("seed", range(10))
def test_worker_processes_count_the_same_bits(seed: int, town: Town, pool: ProcessesExecutor, tmp_path: Path) -> None:
    """Towns at random (units, windows, bounds, registers, policies, deliveries, rollups, discovered keys, lookups) have
    every exact number of one process: tables, candidates for keys, and casts that failed."""
    made = drawn(town, seed, tmp_path)
    local = made.counted(LocalExecutor(ENGINE, tmp_path / "tmp"))
    assert same(local, made.counted(pool)) == [], made.words
    assert any(table.any() for name, table in local.items() if "/" in name), made.words


@pytest.mark.evidence("random definitions counted by worker processes: the same bits as in one process")
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_towns_have_the_same_bits(seed: int, town: Town, pool: ProcessesExecutor, tmp_path: Path) -> None:
    """Ten towns meet only some of the combinations; these meet nearly all."""
    test_worker_processes_count_the_same_bits(seed, town, pool, tmp_path)


def test_a_difference_of_one_is_seen(town: Town, tmp_path: Path) -> None:
    """The comparison itself can fail: in one cell, in a candidate, in a table that is missing."""
    found = drawn(town, 3, tmp_path).counted(LocalExecutor(ENGINE, tmp_path / "tmp"))
    table = next(name for name in found if "/" in name)
    other = dict(found)
    other[table] = other[table].copy()
    other[table][0] += 1
    assert same(found, other) == [table]
    assert same(found, {name: found[name] for name in found if name != table}) == [table]


def test_rows_of_a_unit_meet_across_tasks(pool: ProcessesExecutor) -> None:
    """However many tasks have rows of a unit, the reducer sees them together, once."""
    assert counted(pool.map_shuffle_reduce(tasks(), Numbers(), "unit", Counts())) == EXPECTED
    assert (
        counted(LocalExecutor(ENGINE, pool.spill).map_shuffle_reduce(tasks(), Numbers(), "unit", Counts())) == EXPECTED
    )


@pytest.mark.parametrize("window", ["week", "month", "quarter", "year"])
def test_rows_of_a_unit_meet_in_every_window_of_the_calendar(window: str, town: Town) -> None:
    """Also in those of long ago: rows of one window that did not meet would be bounded twice."""
    dataset = town.people(window, 1, 1).dataset_file()
    key = GuardedRows(dataset, guarded(dataset.source), None).key
    unit, first = "UUID 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "TIMESTAMP '1850-01-01'"
    days = f"SELECT {unit} AS _unit, {first} + to_hours(CAST(7 * i AS BIGINT)) AS _event FROM range(200000) t(i)"
    found = f"SELECT date_trunc('{window}', _event) AS w, {key} AS k FROM ({days})"
    with scratch() as connection:
        keys, windows, pairs = connection.execute(
            f"SELECT count(DISTINCT k), count(DISTINCT w), count(DISTINCT (w, k)) FROM ({found})"
        ).fetchall()[0]
    assert keys == windows == pairs


def test_without_a_key_each_task_is_reduced_where_it_is(pool: ProcessesExecutor) -> None:
    """Nothing is shuffled then."""
    assert counted(pool.map_shuffle_reduce(tasks(2), Numbers(), None, Counts())) == sorted(
        2 * [(unit, 143 if unit < 6 else 142) for unit in range(7)]
    )


def test_progress_says_how_many_files_are_read(pool: ProcessesExecutor) -> None:
    """A person sees files read, then that they are counted, never in how many parts: that depends on records."""
    words: list[str] = []
    pool.map_shuffle_reduce(tasks(), Numbers(), "unit", Counts(), progress=words.append)
    assert words == [f"{n} of 4 files read" for n in (1, 2, 3, 4)] + ["counting what was read"]


def test_a_killed_worker_changes_nothing(pool: ProcessesExecutor, tmp_path: Path) -> None:
    """What it was doing is done again by a new one, and counts once."""
    found = pool.map_shuffle_reduce(tasks(), KilledOnce(marker=str(tmp_path / "killed")), "unit", Counts())
    assert (tmp_path / "killed").exists()
    assert counted(found) == EXPECTED


def test_workers_that_were_killed_while_they_waited_are_replaced(pool: ProcessesExecutor) -> None:
    """Also where Python has seen it before anything new is asked of them."""
    pool.map_shuffle_reduce(tasks(), Numbers(), "unit", Counts())
    assert pool._pool is not None
    for each in list(pool._pool._processes.values()):
        each.kill()
        each.join()
    time.sleep(1)
    assert counted(pool.map_shuffle_reduce(tasks(), Numbers(), "unit", Counts())) == EXPECTED


def test_a_task_that_fails_once_changes_nothing(pool: ProcessesExecutor, tmp_path: Path) -> None:
    """It is done again, and what it left half done is not read."""
    found = pool.map_shuffle_reduce(tasks(), FailsOnce(marker=str(tmp_path / "failed")), "unit", Counts())
    assert (tmp_path / "failed").exists()
    assert counted(found) == EXPECTED


def test_workers_that_keep_dying_are_told(pool: ProcessesExecutor) -> None:
    """After three times a person hears what to do, and the pool works again."""
    with pytest.raises(SourceError, match=f"killed {ATTEMPTS} times.*decrease \\[engine\\] threads"):
        pool.map_shuffle_reduce(tasks(1), AlwaysKilled(), "unit", Counts())
    assert counted(pool.map_shuffle_reduce(tasks(), Numbers(), "unit", Counts())) == EXPECTED


@pytest.mark.parametrize(("kernel", "error"), [(Quotes(), WorkerFaultError), (Casts(), SourceError)])
def test_no_error_of_a_worker_quotes_a_record(pool: ProcessesExecutor, kernel: Any, error: type[Exception]) -> None:
    """Neither its words nor any traceback that came along."""
    with pytest.raises(error) as raised:
        pool.map_shuffle_reduce(tasks(1), kernel, "unit", Counts())
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    assert "ValueError at" in str(raised.value) or "a value does not convert" in str(raised.value)


def test_nothing_that_is_shuffled_stays(pool: ProcessesExecutor) -> None:
    """Its private folder is empty after each count."""
    pool.map_shuffle_reduce(tasks(), Numbers(), "unit", Counts())
    assert [path for path in pool.spill.rglob("*") if path.is_file()] == []


def test_too_many_rows_in_one_part_fail_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A part beyond the bound counts nothing and says what to do; one at the bound is counted."""
    columns = Numbers().columns
    batch = pa.record_batch({"unit": [1, 2, 3], "text": ["a", "b", "c"]}, worker.schema_of(columns))
    run = Worker(ENGINE, tmp_path).results
    monkeypatch.setattr(worker, "MOST_ROWS", 6)
    (table,) = run(Stage((), Counts()), [batch, batch], columns)
    assert counted(table) == [(1, 2), (2, 2), (3, 2)]
    with pytest.raises(SourceError, match=r'more than 6 rows meet in one part.*executor = "local"'):
        list(run(Stage((), Counts()), [batch, batch, batch], columns))


def test_one_unit_with_a_million_rows_is_counted(pool: ProcessesExecutor) -> None:
    """The shuffle cannot divide it, and the worker that gets it has room."""
    heavy = tasks(4, rows=250_000, units=1)
    assert parts_of(heavy) > 1
    assert counted(pool.map_shuffle_reduce(heavy, Numbers(), "unit", Counts())) == [(0, 1_000_000)]


def test_what_workers_are_given_holds_no_key_but_that_of_the_order(town: Town, tmp_path: Path) -> None:
    """Neither the installation's key nor those of pseudonyms go to a worker, nor budget, ledger or noise."""
    made = drawn(town, 5, tmp_path)
    counting = made.counting(LocalExecutor(ENGINE, tmp_path), None)
    kernel = GuardedRows(made.dataset, counting.query, None)
    sent = pickle.dumps((kernel, BoundedTables(made.dataset, made.period, counting.query, KEY, 1, parts=True)))
    own = (made.private / "key").read_bytes()
    secrets = [own, *(derive(made.private, f"{domain}/town") for domain in ("unit", "record"))]
    assert len(own) >= 16
    assert not [secret for secret in secrets if secret in sent or secret.hex().encode() in sent]
    assert b"publisher.privacy" not in sent


def test_workers_end_with_their_parent(processes: None, tmp_path: Path) -> None:
    """A run that is killed leaves no worker behind that could hold records."""
    script = (
        "import sys, time; from pathlib import Path; from kernels import Counts, Numbers, tasks\n"
        "from publisher.definitions.settings import EngineSettings\n"
        "from publisher.executors.processes import ProcessesExecutor\n"
        "executor = ProcessesExecutor(EngineSettings(memory='500MB', threads=2), Path(sys.argv[1]))\n"
        "if __name__ == '__main__':\n"
        "    executor.map_shuffle_reduce(tasks(), Numbers(), 'unit', Counts())\n"
        "    print(*executor._pool._processes, flush=True); time.sleep(60)\n"
    )
    (tmp_path / "parent.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(workers) == 2
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize(
    ("memory", "threads", "workers"), [("500MB", 2, 2), ("300MB", 8, 2), ("100MB", 4, 1), ("8GB", 3, 3)]
)
def test_workers_share_the_memory(memory: str, threads: int, workers: int, tmp_path: Path) -> None:
    """There are as many as [engine] threads, but none without memory to work with."""
    assert ProcessesExecutor(EngineSettings(memory=memory, threads=threads), tmp_path).workers == workers


def test_other_versions_on_a_worker_are_refused() -> None:
    """Before it reads anything: another DuckDB may read a number in another way."""
    refuse_others(versions())
    with pytest.raises(
        DefinitionError, match=r"a Spark worker has DuckDB .* instead of 0\.1: install the same versions"
    ):
        refuse_others(versions() | {"DuckDB": "0.1"})


def test_spark_without_its_package_says_what_to_install(tmp_path: Path) -> None:
    """PySpark is an extra."""
    executor = SparkExecutor(ENGINE, SparkSettings(master="local"))
    with pytest.raises(DefinitionError, match=r'pip install "publisher\[spark\]"'):
        executor.map_shuffle_reduce(tasks(), Numbers(), "unit", Counts())


SETTINGS = 'organization = "x"\ncontact = "x"\nlicense = "x"\njurisdiction = "x"\n[engine]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('executor = "spark"', r"publisher.toml:6: engine.executor: spark needs the table \[engine.spark\]"),
        ('executor = "spark"\n[engine.spark]', "needs one of `master` and `remote`"),
        ('[engine.spark]\nmaster = "local"\nremote = "sc://h"', "needs one of `master` and `remote`"),
        ('[engine.spark]\nremote = "http://h"', "publisher.toml:7: engine.spark.remote"),
        ('executor = "ray"', "publisher.toml:6: engine.executor"),
    ],
)
def test_wrong_settings_are_told(text: str, message: str) -> None:
    """With the line and what to write."""
    with pytest.raises(DefinitionError, match=message):
        build(Settings, *parse_toml(SETTINGS + text, "publisher.toml"))


def test_the_kernel_reads_only_what_is_counted(town: Town, tmp_path: Path) -> None:
    """Columns that the author gives and nobody counts are not shuffled."""
    dataset = town.people().dataset_file()
    made = drawn(town, 5, tmp_path)
    columns = GuardedRows(dataset, made.counting(LocalExecutor(ENGINE, tmp_path), None).query, None).columns
    assert dict(columns) == {
        "_event": "TIMESTAMP",
        "_unit": "UUID",
        "_record": "UUID",
        "place": "VARCHAR",
        "category": "VARCHAR",
    }


def test_spilled_rows_are_encrypted(tmp_path: Path) -> None:
    """What a worker spills to its disk is no plain text."""

    @dataclass(frozen=True)
    class Asks(Counts):
        def __call__(self, connection: DuckDBPyConnection, rows: SelectedRows) -> pa.Table:  # noqa: ARG002
            ((on,),) = connection.execute("SELECT current_setting('temp_file_encryption')").fetchall()
            return pa.table({"unit": [int(on)], "many": [1]})

    (table,) = Worker(ENGINE, tmp_path).results(Stage((Numbers(),), Asks()), tasks()[0].select, {})
    assert counted(table) == [(1, 1)]
    with connect(ENGINE, tmp_path) as connection:
        assert connection.execute("SELECT current_setting('temp_file_encryption')").fetchall() == [(False,)]
