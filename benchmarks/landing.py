"""What landing costs: one large file as a ratio to DuckDB alone, many small files, and a day's file after years.

    python benchmarks/landing.py [--rows 2000000] [--files 10000] [--days 300] [--repeats 3] [--json FILE]

`copy` is DuckDB's own `COPY` of the columns that are read from the same CSV file to Parquet, with its defaults, in a
process of its own; the ratio is the median of pairs of runs that follow each other. The records are invented: three
identifiers, so three pseudonyms, beside the record's and the person's. In `quoted` every text is in quotes. A day's
file is landed where one day has been landed, and where `days` have. `workers` and `small workers` are the same files
landed by worker processes, beside one process.
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
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

MOST_RATIO, MOST_SECONDS, MOST_GROWTH, MOST_DIVIDED = 5.0, 120.0, 1.5, 2.0
DAY_ROWS = 1_000
MEMORY = "1500MB"

SETTINGS = f"""\
organization = "Benchmark"
contact = "nobody"
license = "CC0 1.0"
jurisdiction = "none"
[engine]
memory = "{MEMORY}"
"""

SOURCE = """\
title = "Requests"
description = "Invented requests."
purpose = "To measure."
population = "nobody"
timezone = "America/Chicago"
retention_months = 12
record_id = ["request"]
[privacy]
unit = "account"
window = "month"
missing = "own-unit"
budget = 1
[feed]
{feed}
nulls = ["NULL", "NA"]
[event]
column = "opened"
formats = ["%Y-%m-%dT%H:%M:%SZ"]
[places.ward]
code = "ward"
[columns]
"""

DATASET = """\
title = "Requests by ward, month and kind"
description = "A measurement."
source = "requests"
period = "month"
grain = "month"
first = "2018-01"
[loss]
rho = 0.1
[bounds]
max_groups = 4
max_per_group = 2
[[keys]]
name = "ward"
title = "Ward"
keyset = "wards"
other = "Unknown"
[[keys]]
name = "kind"
title = "Kind"
keyset = "kinds"
other = "Other"
[[measures]]
name = "requests"
title = "Requests"
kind = "count"
unit = "requests"
[suppression]
measure = "requests"
threshold = 10
[portal]
category = "Measurement"
"""

STREETS = (
    *("Maple", "Oak", "Birch", "Elm", "Cedar", "Walnut", "Main", "Park", "Lake", "Hill", "Pine", "Washington", "Grand"),
    *("Market", "Second", "Tenth", "River", "Church", "Cherry", "Cañada"),
)
IDENTIFIERS = ("request", "account", "address")
READ = (*IDENTIFIERS, "kind", "opened", "ward", "status")
COLUMNS = {
    "request": "'R-' || (id * 7919 % 100000007)",
    "kind": "'kind ' || draw(id, 1, 150)",
    "description": "'Something was seen that someone should look at, number ' || draw(id, 2, 1000)",
    "account": "'AC ' || lpad(CAST(draw(id, 3, 300000) AS VARCHAR), 8, '0')",
    "address": f"draw(id, 3, 9000) || ' ' || {list(STREETS)}[1 + draw(id, 3, 20)] || ' Street, Apt ' "
    "|| draw(id, 3, 33)",
    "city": "'Anytown'",
    "zip": "63100 + draw(id, 4, 40)",
    "address_type": "'A'",
    "department": "'Department ' || draw(id, 1, 12)",
    "opened": "strftime(TIMESTAMP '2018-01-01' + to_seconds(CAST(id * 31 AS BIGINT)), '%Y-%m-%dT%H:%M:%SZ')",
    "closed": "moment(id, 6, 2019)",
    "x": "880000 + draw(id, 7, 60000)",
    "y": "990000 + draw(id, 8, 60000)",
    "status": "['OPEN', 'CLOSED', 'NULL'][1 + draw(id, 9, 3)]",
    "planned": "moment(id, 11, 2019)",
    "canceled": "CASE WHEN draw(id, 12, 9) = 0 THEN moment(id, 12, 2019) END",
    "caller_type": "['Phone', 'Web', 'Field'][1 + draw(id, 13, 3)]",
    "checked": "moment(id, 14, 2019)",
    "neighborhood": "draw(id, 10, 28) * 3",
    "ward": "draw(id, 10, 28) + 1",
}
MACROS = """
CREATE OR REPLACE TEMP MACRO draw(id, n, most) AS CAST(hash(id, n) % most AS BIGINT);
CREATE OR REPLACE TEMP MACRO moment(id, n, year) AS
    strftime(make_timestamp(year, 1, 1, 0, 0, 0) + to_seconds(draw(id, n, 31536000)), '%Y-%m-%dT%H:%M:%SZ');
"""

BEGIN = """
import json, os, resource, sys, time
from pathlib import Path
import cryptography.hazmat.primitives.ciphers.aead, pyarrow.dataset, pyarrow.parquet.encryption
import duckdb, fsspec, numpy, pyarrow.parquet, sqlglot
from publisher.pipeline.landed import land_source
from publisher.pipeline.session import locked
from publisher.workspace import find_workspace
def worked():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)
def tell(begun, before):
    seconds = time.perf_counter() - begun
    own, worker = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print()  # after what DuckDB shows of a long query
    print(json.dumps([seconds, worked() - before, (own + worker * os.cpu_count()) / 1024]))
"""
COPY = f"""
connection = duckdb.connect(config={{"memory_limit": "{MEMORY}"}})
begun, before = time.perf_counter(), worked()
connection.execute("COPY (SELECT {", ".join(READ)} FROM read_csv('%s')) TO '%s' (FORMAT parquet)" % tuple(sys.argv[1:]))
tell(begun, before)
"""
LAND = """
if __name__ == "__main__":
    workspace = find_workspace(Path(sys.argv[1]))
    workspace.datasets
    with locked(workspace):
        begun, before = time.perf_counter(), worked()
        land_source(workspace, workspace.sources["requests"])
        tell(begun, before)
"""


@dataclass(frozen=True)
class Spent:
    """What a step in a process of its own took, beside starting and importing."""

    seconds: float
    processor: float
    """Seconds of all processors."""
    megabytes: float
    """The most memory of the process, and of as many workers as processors if it had any."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    case: str
    what: str
    seconds: float
    beside: float
    """Seconds of what it is compared with; the most that it may take where there is no such thing."""
    ratio: float
    processor: float
    """The ratio of the processors' seconds, which other work on the machine changes less."""
    most: float
    megabytes: float

    @property
    def kept(self) -> bool:
        """Whether the ratio is at most what is promised."""
        return self.ratio <= self.most


def write_workspace(folder: Path, form: str = "csv") -> Path:
    """A new workspace with one source of files of that form and one dataset."""
    shutil.rmtree(folder, ignore_errors=True)
    for room in ("pipelines", "datasets/keysets", "expectations", "data/requests"):
        (folder / room).mkdir(parents=True)
    (folder / "publisher.toml").write_text(SETTINGS, encoding="utf-8")
    columns = "".join(
        f'{name} = {{ class = "private", statute = "none", read = {str(name in READ).lower()}, '
        f"identifier = {str(name in IDENTIFIERS).lower()} }}\n"
        for name in COLUMNS
    )
    feed = f'path = "requests/*.{form}"' + (f'\nformat = "{form}"' if form != "csv" else "")
    (folder / "pipelines" / "requests.toml").write_text(SOURCE.format(feed=feed) + columns, encoding="utf-8")
    (folder / "pipelines" / "requests.sql").write_text("SELECT raw.kind AS kind FROM raw\n", encoding="utf-8")
    (folder / "datasets" / "requests.toml").write_text(DATASET, encoding="utf-8")
    for name, keys in (("wards", [str(n) for n in range(1, 29)]), ("kinds", [f"kind {n}" for n in range(150)])):
        (folder / "datasets" / "keysets" / f"{name}.csv").write_text("\n".join(["key", *keys]) + "\n", encoding="utf-8")
    return folder


def invent(path: Path, first: int, rows: int, form: str = "FORMAT csv") -> None:
    """Write invented records as one file."""
    duckdb.execute(MACROS)
    cells = ", ".join(f"{made} AS {name}" for name, made in COLUMNS.items())
    duckdb.sql(f"COPY (SELECT {cells} FROM range({first}, {first + rows}) AS _(id)) TO '{path}' ({form})")


def run(code: str, *arguments: Path) -> Spent:
    """Run the step in a process of its own."""
    command = [sys.executable, "-c", BEGIN + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return Spent(*json.loads(done.stdout.splitlines()[-1]))


def large(folder: Path, case: str, form: str, rows: int, repeats: int) -> Row:
    """One large file beside DuckDB's own copy."""
    write_workspace(folder)
    file = folder / "data" / "requests" / "all.csv"
    invent(file, 0, rows, form)
    pairs = []
    for _ in range(repeats):
        alone = run(COPY, file, folder / "copy.parquet")
        shutil.rmtree(folder / "state", ignore_errors=True)
        pairs.append((run(LAND, folder), alone))
    what = f"{rows:,} rows, {file.stat().st_size / 1e6:,.0f} MB; DuckDB's copy"
    return compared(case, what, pairs, MOST_RATIO)


def compared(case: str, what: str, pairs: list[tuple[Spent, Spent]], most: float) -> Row:
    """The pair with the median ratio."""
    pairs = sorted(pairs, key=lambda pair: pair[0].seconds / pair[1].seconds)
    ours, theirs = pairs[len(pairs) // 2]
    memory = max(each.megabytes for each, _ in pairs)
    ratio, processor = ours.seconds / theirs.seconds, ours.processor / theirs.processor
    return Row(case, what, ours.seconds, theirs.seconds, ratio, processor, most, memory)


def divided(folder: Path, case: str, what: str, repeats: int) -> Row:
    """The files of a workspace landed by worker processes beside one process."""
    settings, pairs = folder / "publisher.toml", []
    for _ in range(repeats):
        spent = {}
        for executor in ("processes", "local"):
            shutil.rmtree(folder / "state", ignore_errors=True)
            settings.write_text(f'{SETTINGS}executor = "{executor}"\n', encoding="utf-8")
            spent[executor] = run(LAND, folder)
        pairs.append((spent["processes"], spent["local"]))
    return compared(case, f"{what} by worker processes; by one process", pairs, MOST_DIVIDED)


def large_divided(folder: Path, rows: int, repeats: int) -> Row:
    """One large file."""
    write_workspace(folder)
    invent(folder / "data" / "requests" / "all.csv", 0, rows)
    return divided(folder, "workers", f"{rows:,} rows", repeats)


def small_divided(folder: Path, files: int) -> Row:
    """Many small files."""
    invent_small(folder, files)
    return divided(folder, "small workers", f"{files:,} files of 20 rows", 1)


def invent_small(folder: Path, files: int) -> None:
    """A new workspace with many small files that have come at once."""
    write_workspace(folder, "json")
    for n in range(files):
        invent(folder / "data" / "requests" / f"{n:06}.json", n * 20, 20, "FORMAT json, ARRAY true")


def small(folder: Path, files: int) -> Row:
    """Many small files."""
    invent_small(folder, files)
    what = f"{files:,} files of 20 rows; the limit"
    limit = Spent(MOST_SECONDS, MOST_SECONDS, 0)
    return compared("small files", what, [(run(LAND, folder), limit)], 1)


def day(folder: Path, days: int, repeats: int) -> Row:
    """One more day where one has been landed, and where many have."""
    times: dict[int, list[Spent]] = {days: [], 1: []}
    for before, spent in times.items():
        data = write_workspace(folder) / "data" / "requests"
        for n in range(before):
            invent(data / f"day-{n:05}.csv", n * DAY_ROWS, DAY_ROWS)
        run(LAND, folder)
        for n in range(before, before + repeats):
            invent(data / f"day-{n:05}.csv", n * DAY_ROWS, DAY_ROWS)
            spent.append(run(LAND, folder))
    what = f"{DAY_ROWS:,} rows after {days:,} such days; after one"
    return compared("a day's file", what, list(zip(*times.values(), strict=True)), MOST_GROWTH)


def main() -> None:
    """Measures each case and prints one table; the exit code says whether what is promised holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cases", default="plain,quoted,small,day")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    for name in ("PUBLISHER_DATA", "PUBLISHER_STATE"):
        os.environ.pop(name, None)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="publisher-landing-"))
    os.environ["XDG_STATE_HOME"] = str(folder / "heads")
    cases = {
        "plain": lambda: large(folder / "city", "plain", "FORMAT csv", given.rows, given.repeats),
        "quoted": lambda: large(folder / "city", "quoted", "FORMAT csv, FORCE_QUOTE *", given.rows, given.repeats),
        "small": lambda: small(folder / "city", given.files),
        "workers": lambda: large_divided(folder / "city", given.rows, given.repeats),
        "small workers": lambda: small_divided(folder / "city", given.files),
        "day": lambda: day(folder / "city", given.days, given.repeats),
    }
    begun = time.perf_counter()
    try:
        found = [cases[name]() for name in given.cases.split(",")]
    finally:
        if not given.folder:
            shutil.rmtree(folder)
    print("| case | what, and what it is beside | s | beside | ratio | of processor time | at most | most MB |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for row in found:
        print(
            f"| {row.case} | {row.what} | {row.seconds:.2f} | {row.beside:.2f} | {row.ratio:.2f} | "
            f"{row.processor:.2f} | {row.most:g} | "
            f"{row.megabytes:,.0f} |"
        )
    print(f"measured in {time.perf_counter() - begun:.0f} s")
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n", encoding="utf-8")
    if missed := [row.case for row in found if not row.kept]:
        sys.exit(f"above what is promised: {', '.join(missed)}")


if __name__ == "__main__":
    main()
