"""What a Spark session must do, whichever it is. `test_spark.py` runs this in the environment of the engine, with
SPARK_SETTINGS: the table [engine.spark] of publisher.toml."""

from __future__ import annotations

import os
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kernels import SECRET, Casts, Counts, FailsOnce, KilledOnce, Numbers, Quotes, Texts, tasks
from random_towns import ENGINE, drawn, same

from publisher.buckets import BucketAddress
from publisher.copies import LandedCopies
from publisher.definitions.settings import SparkSettings
from publisher.definitions.toml import build, parse_toml
from publisher.errors import DefinitionError, SourceError
from publisher.executors import spark
from publisher.executors.local import LocalExecutor
from publisher.executors.protocol import SelectedRows, Task
from publisher.executors.spark import SparkExecutor
from publisher.executors.worker import WorkerFaultError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from small_town import Town

SETTINGS = build(SparkSettings, *parse_toml(os.environ["SPARK_SETTINGS"], "publisher.toml"))
SEEDS = [int(seed) for seed in os.environ.get("SPARK_SEEDS", "1 3 4 5 9").split()]
EXPECTED = [(unit, 4 * (143 if unit < 6 else 142)) for unit in range(7)]


pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture(scope="module")
def session(processes: None) -> Iterator[SparkExecutor]:
    executor = SparkExecutor(ENGINE, SETTINGS)
    yield executor
    executor.close()


def counted(table: pa.Table) -> list[tuple[int, int]]:
    return sorted(zip(table.column("unit").to_pylist(), table.column("many").to_pylist(), strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_towns_have_the_same_bits(seed: int, town: Town, session: SparkExecutor, tmp_path: Path) -> None:
    """Every exact number is that of one process."""
    made = drawn(town, seed, tmp_path)
    assert same(made.counted(LocalExecutor(ENGINE, tmp_path / "tmp")), made.counted(session)) == [], made.words


@pytest.mark.skipif("SPARK_STORE" not in os.environ, reason="no store was started for this session")
def test_a_town_in_a_store_has_the_same_bits(town: Town, session: SparkExecutor, tmp_path: Path) -> None:
    """Workers read landed records from an object store by themselves, and copy them into folders of their own."""
    made, folder = drawn(town, 1, tmp_path), tmp_path / "tmp" / "copies"
    local = made.counted(LocalExecutor(ENGINE, tmp_path / "tmp"))
    copies = LandedCopies(BucketAddress("s3://town/landed", os.environ["SPARK_STORE"]), folder, folder)
    assert same(local, made.moved(copies).counted(replace(session, copies=copies))) == [], made.words
    assert not list(tmp_path.rglob("*.parquet"))


def test_rows_of_a_unit_meet_across_tasks(session: SparkExecutor) -> None:
    """Once, whatever the engine does in between."""
    words: list[str] = []
    found = session.map_shuffle_reduce(tasks(), Numbers(), "unit", Counts(), progress=words.append)
    assert counted(found) == EXPECTED
    assert words == ["4 files on Spark"]


def test_nothing_landed_counts_nothing(session: SparkExecutor) -> None:
    """No task is no row."""
    assert session.map_shuffle_reduce((), Numbers(), "unit", Counts()).num_rows == 0


@pytest.mark.parametrize(("kernel", "error"), [(Quotes(), WorkerFaultError), (Casts(), SourceError)])
def test_no_error_of_a_worker_quotes_a_record(session: SparkExecutor, kernel: Any, error: type[Exception]) -> None:
    """Neither its words nor what the engine makes of them."""
    with pytest.raises(error) as raised:
        session.map_shuffle_reduce(tasks(1), kernel, "unit", Counts())
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    assert "ValueError at" in str(raised.value) or "a value does not convert" in str(raised.value)


def test_other_versions_are_refused_when_the_session_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver has another DuckDB here; a worker says so before it is given a task."""
    mine = spark.versions
    monkeypatch.setattr(spark, "versions", lambda: mine() | {"DuckDB": "0.1"})
    other = SparkExecutor(ENGINE, SETTINGS)
    with pytest.raises(DefinitionError, match=r"a Spark worker has DuckDB \S+ instead of 0\.1: install the same"):
        other.map_shuffle_reduce(tasks(), Numbers(), "unit", Counts())


def test_a_time_with_a_zone_is_the_drivers(session: SparkExecutor, tmp_path: Path) -> None:
    """The engine's clock is set to another zone in these tests."""
    moment = SelectedRows("SELECT 1 AS unit, CAST(TIMESTAMPTZ '2020-01-01 00:00:00+00' AS VARCHAR) AS text")
    run = (Task(moment, 1),), Numbers(), "unit", Texts()
    here = LocalExecutor(ENGINE, tmp_path).map_shuffle_reduce(*run)
    assert session.map_shuffle_reduce(*run).to_pydict() == here.to_pydict()


@pytest.mark.skipif(SETTINGS.remote is not None, reason="Sail's workers are threads of its server")
def test_a_killed_worker_and_a_failed_task_change_nothing(session: SparkExecutor, tmp_path: Path) -> None:
    """Spark gives the task to another worker."""
    for kernel in (KilledOnce(marker=str(tmp_path / "killed")), FailsOnce(marker=str(tmp_path / "failed"))):
        assert counted(session.map_shuffle_reduce(tasks(), kernel, "unit", Counts())) == EXPECTED
        assert Path(kernel.marker).exists()
