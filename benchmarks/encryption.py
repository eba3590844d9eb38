"""What a key costs: landing and releases with [encryption], as ratios to the same without.

    python benchmarks/encryption.py [--rows 2000000] [--repeats 3] [--json FILE]

Both sides land the invented file of `landing.py`, of an account's requests, and count a year of it, in processes of
their own that follow each other; the ratio is the median of such pairs. `landing` is one CSV file; `counting` is what a
release does with records, without what every run does besides; `release` is the whole command for one year.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from landing import LAND, Row, Spent, compared, invent, run, write_workspace

MOST = {"landing": 1.3, "counting": 2.0, "release": 2.0}
COMMAND = Path(sys.executable).parent / "publisher"
KEY = '[encryption]\nkey = { env = "BENCHMARK_KEY" }\n'

COUNT = """
from publisher.definitions.period import parse
from publisher.engine.guard import guarded
from publisher.executors.local import LocalExecutor
from publisher.pipeline.counting import Counting
workspace = find_workspace(Path(sys.argv[1]))
dataset = workspace.dataset("requests")
executor = LocalExecutor(workspace.settings.engine, workspace.scratch)
def counted():
    query = guarded(dataset.source)
    return Counting(executor, workspace.private, dataset, parse("2018"), query, 42).tables()
counted()
begun, before = time.perf_counter(), worked()
counted()
tell(begun, before)
"""


def make(folder: Path, rows: int, settings: str) -> Path:
    """A workspace with one large file and the dataset of a year."""
    write_workspace(folder)
    with (folder / "publisher.toml").open("a", encoding="utf-8") as file:
        file.write(settings)
    path = folder / "datasets" / "requests.toml"
    text = path.read_text(encoding="utf-8").replace('period = "month"', 'period = "year"')
    path.write_text(text.replace('first = "2018-01"', 'first = "2018"\nlast = "2018"'), encoding="utf-8")
    invent(folder / "data" / "requests" / "all.csv", 0, rows)
    return folder


def land(folder: Path) -> Spent:
    """The landing alone."""
    shutil.rmtree(folder / "state", ignore_errors=True)
    shutil.rmtree(os.environ["XDG_STATE_HOME"], ignore_errors=True)
    return run(LAND, folder)


def release(folder: Path) -> Spent:
    """The whole command, of a release that was not drawn before."""
    for drawn in ("public", "private/measurements"):
        shutil.rmtree(folder / "state" / drawn, ignore_errors=True)
    shutil.rmtree(os.environ["XDG_STATE_HOME"], ignore_errors=True)
    for file in [*(folder / "state" / "private").glob("ledger.*"), *(folder / "state" / "private").glob("draws.json")]:
        file.unlink()
    begun = time.perf_counter()
    done = subprocess.run(
        [COMMAND, "run", "--no-push", "--yes"], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    seconds = time.perf_counter() - begun
    return Spent(seconds, seconds, 0)


def main() -> None:
    """Measures each case and prints one table; the exit code says whether what is promised holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cases", default=",".join(MOST))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    for name in ("PUBLISHER_DATA", "PUBLISHER_STATE"):
        os.environ.pop(name, None)
    folder = Path(tempfile.mkdtemp(prefix="publisher-encryption-"))
    os.environ |= {"XDG_STATE_HOME": str(folder / "heads"), "BENCHMARK_KEY": os.urandom(32).hex()}
    print("| case | what, and what it is beside | s | beside | ratio | of processor time | at most | most MB |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    found: list[Row] = []
    steps = {"landing": land, "counting": lambda town: run(COUNT, town), "release": release}
    try:
        plain, sealed = (make(folder / name, given.rows, more) for name, more in (("plain", ""), ("sealed", KEY)))
        for name in given.cases.split(","):
            for town in (plain, sealed) if not found and name != "landing" else ():
                land(town)
            pairs = []
            for _ in range(given.repeats):
                without = steps[name](plain)
                pairs.append((steps[name](sealed), without))
            row = compared(name, f"{given.rows:,} rows; without a key", pairs, MOST[name])
            found.append(row)
            print(
                f"| {row.case} | {row.what} | {row.seconds:.2f} | {row.beside:.2f} | {row.ratio:.2f} | "
                f"{row.processor:.2f} | {row.most:g} | {row.megabytes:,.0f} |",
                flush=True,
            )
    finally:
        shutil.rmtree(folder)
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n", encoding="utf-8")
    if missed := [row.case for row in found if not row.kept]:
        sys.exit(f"above what is promised: {', '.join(missed)}")


if __name__ == "__main__":
    main()
