"""One count by every executor that is here: the same bits, and what each costs as a ratio to one process.

    python benchmarks/engines.py [--rows 2000000] [--folder DIR] [--repeats 3] [--json FILE]

All count the same landed Parquet with 54,000 cells, records as units and people bounded to 8 cells with 3 records each.
`skewed` has the records of `people` and a million more, all of one person, which meet in one part of the shuffle.
`first` includes the start of workers or of a session; `next` is the best of the counts after it. Sail and Spark run
where `.venv-sail` and `.venv-spark` are (`make .venv-sail/installed`). The exit code is not zero where bits differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from release import COLUMNS, COMMAND, UNITS, timed, write_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PERIOD = "2018"
PATIENCE = 60
SKEWED, OF_ONE = "skewed", 1_000_000
"""The dataset with so many records of one person."""
DATASETS = (*UNITS, SKEWED)


@dataclass(frozen=True)
class EngineRow:
    """What one executor needed for one dataset; `memory` is of this process and of its largest worker, `processor` are
    its seconds and those of worker processes for one count."""

    executor: str
    dataset: str
    bits: str
    first: float
    next: float
    processor: float
    memory: float
    ratio: float = 0.0


def count(folder: Path, dataset: str, engine: str, repeats: int) -> None:
    """Count in this process; print what it took as JSON."""
    from publisher.definitions.period import parse
    from publisher.definitions.settings import EngineSettings
    from publisher.definitions.toml import build, parse_toml
    from publisher.engine.guard import guarded
    from publisher.executors.opening import executor_of
    from publisher.pipeline.counting import Counting
    from publisher.workspace import find_workspace

    workspace, seconds, bits = find_workspace(folder), [], set()
    chosen = workspace.dataset(dataset)
    with executor_of(build(EngineSettings, *parse_toml(engine, "engine")), workspace.private / "tmp") as executor:
        for _ in range(1 + repeats):
            begun = time.perf_counter()
            query = guarded(chosen.source)
            exact = Counting(executor, workspace.private, chosen, parse(PERIOD), query, 42).tables()
            seconds.append(time.perf_counter() - begun)
            tables = b"".join(exact.tables[name].tobytes() for name in sorted(exact.tables))
            bits.add(hashlib.sha256(tables).hexdigest()[:16])
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    found = {"bits": " ".join(sorted(bits)), "first": seconds[0], "next": min(seconds[1:])}
    found["processor"] = sum(each.ru_utime + each.ru_stime for each in used) / len(seconds)
    print(json.dumps(found | {"memory": sum(each.ru_maxrss for each in used) / 1024}))


def engines(stack: ExitStack) -> Iterator[tuple[str, Path, str]]:
    """Each executor that is here: its name, its Python and its settings."""
    limits = 'memory = "4GB"\nthreads = 2\n'
    yield "local", Path(sys.executable), limits
    yield "processes", Path(sys.executable), f'{limits}executor = "processes"\n'
    sail, spark = (ROOT / f".venv-{name}" / "bin" / "python" for name in ("sail", "spark"))
    spark_limits = 'memory = "2GB"\nexecutor = "spark"\n[spark]\n'
    if sail.exists():
        yield "sail", sail, f'{spark_limits}remote = "{serve(sail, stack)}"\n'
    if spark.exists() and shutil.which("java"):
        yield "spark", spark, f'{spark_limits}master = "local[2]"\n'


def serve(python: Path, stack: ExitStack) -> str:
    """Start a server of Sail for the length of the benchmark; its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [str(python.with_name("sail")), "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    stack.callback(server.kill)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return f"sc://127.0.0.1:{port}"
    sys.exit("Sail does not start")


def prepare(folder: Path, rows: int) -> None:
    """Make the records once and land them."""
    from publisher.sample import write_sample

    write_workspace(folder)
    data = folder / "data"
    if not (data / "SAMPLE.json").is_file() or json.loads((data / "SAMPLE.json").read_text())["rows"] != rows:
        shutil.rmtree(folder / "state", ignore_errors=True)
        write_sample(data, rows=rows, start=date(2018, 1, 1), months=12)
    write_skewed(folder)
    for name in DATASETS:
        timed([str(COMMAND), "land", name], folder)


def write_skewed(folder: Path) -> None:
    """The source of people again, with one more file."""
    import duckdb

    for room, ending in (("pipelines", "toml"), ("pipelines", "sql"), ("datasets", "toml")):
        text = (folder / room / f"people.{ending}").read_text(encoding="utf-8")
        text = text.replace('"stlouis-311/*.csv"', '"s[kt]*/*.csv"').replace(
            'source = "people"', f'source = "{SKEWED}"'
        )
        (folder / room / f"{SKEWED}.{ending}").write_text(text, encoding="utf-8")
    values = {"REQUESTID": "900000000 + n", "PROBADDRESS": "'1 MAIN ST'", "WARD": "1 + n % 28", "PROBLEMCODE": "'none'"}
    values["DATETIMEINIT"] = "strftime(TIMESTAMP '2018-01-01' + to_seconds(n * 31), '%Y-%m-%dT%H:%M:%SZ')"
    select = ", ".join(f"{values.get(name, 'NULL')} AS {name}" for name in COLUMNS)
    path = folder / "data" / SKEWED / "one.csv"
    path.parent.mkdir(exist_ok=True)
    duckdb.execute(f"COPY (SELECT {select} FROM range({OF_ONE}) AS rows(n)) TO '{path}' (HEADER)")


def measured(folder: Path, repeats: int) -> list[EngineRow]:
    """Every executor over every dataset, one after the other."""
    rows: list[EngineRow] = []
    with ExitStack() as stack:
        for name, python, settings in engines(stack):
            for dataset in DATASETS:
                command = [str(python), "-W", "ignore", __file__, "--count", dataset, "--engine", settings]
                _, out = timed([*command, "--folder", str(folder), "--repeats", str(repeats)], folder)
                row = EngineRow(name, dataset, **json.loads(out.splitlines()[-1]))
                base = next(
                    (each.next for each in rows if (each.executor, each.dataset) == ("local", dataset)), row.next
                )
                rows.append(EngineRow(**asdict(row) | {"ratio": row.next / base}))
                show(rows[-1])
    return rows


def show(row: EngineRow) -> None:
    """Print one line of the table."""
    print(
        f"{row.executor:<10} {row.dataset:<8} {row.bits:<17} {row.first:7.2f} {row.next:7.2f} {row.ratio:6.2f} "
        f"{row.processor:9.2f} {row.memory:7,.0f}",
        flush=True,
    )


def main() -> None:
    """Prints the table; with --count, counts once in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "publisher-engines")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--count", help=argparse.SUPPRESS)
    parser.add_argument("--engine", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    for name in ("PUBLISHER_DATA", "PUBLISHER_STATE"):
        os.environ.pop(name, None)
    if given.count:
        count(given.folder, given.count, given.engine, given.repeats)
        return
    prepare(given.folder, given.rows)
    print(f"{given.rows:,} rows\n{'executor':<10} {'dataset':<8} {'bits':<17} first s  next s  ratio processor      MB")
    rows = measured(given.folder, given.repeats)
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    for dataset in DATASETS:
        if len({row.bits for row in rows if row.dataset == dataset}) > 1:
            sys.exit(f"{dataset}: the executors differ")


if __name__ == "__main__":
    main()
