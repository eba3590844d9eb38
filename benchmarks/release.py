"""Releases of 10 million rows, as ratios to DuckDB alone answering the same exact GROUP BY in the same process.

    python benchmarks/release.py [--rows 10000000] [--folder DIR] [--repeats 3] [--only records people …] [--json FILE]

Both sides read the same landed Parquet. `records` has the record as the unit; `people` bounds a person (the address) to
8 cells with 3 records each; `meters` adds up differences of daily readings; `many` has a cell for every day.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
COMMAND = Path(sys.executable).parent / "publisher"

SOURCE = """
title = "Requests"
description = "Generated requests in the layout of St. Louis."
purpose = "To measure."
population = "nobody"
timezone = "America/Chicago"
retention_months = 12
record_id = ["REQUESTID"]
[privacy]
{privacy}
budget = 0.5
[feed]
path = "stlouis-311/*.csv"
nulls = ["NULL", "NA"]
[event]
column = "DATETIMEINIT"
formats = ["%Y-%m-%dT%H:%M:%SZ"]
[columns]
"""

METERS = """
title = "Meters"
description = "Generated daily readings."
purpose = "To measure."
population = "nobody"
timezone = "America/Chicago"
retention_months = 12
record_id = ["meter", "time"]
[privacy]
unit = "meter"
window = "year"
missing = "drop"
budget = 0.5
[feed]
path = "meters/*.csv"
[event]
column = "time"
formats = ["%Y-%m-%d %H:%M:%S"]
[register]
reading = "reading"
consumption = "used"
[columns]
meter = { class = "private", statute = "none", identifier = true }
time = { class = "private", statute = "none" }
zone = { class = "public", statute = "none" }
reading = { class = "private", statute = "none" }
"""

DATASET = """
title = "Requests by ward, month and kind"
description = "A measurement."
source = "{name}"
period = "year"
grain = "{grain}"
first = "2018"
last = "2018"
[loss]
rho = 0.1
{bounds}
[[keys]]
name = "ward"
title = "Ward"
keyset = "wards"
other = "Unknown"
[[keys]]
name = "code"
title = "Kind"
keyset = "codes"
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

USED = """
title = "Use by zone and month"
description = "A measurement."
source = "meters"
period = "year"
grain = "month"
first = "2018"
last = "2018"
[loss]
rho = 0.1
[bounds]
max_groups = 12
max_per_group = 31
[[keys]]
name = "zone"
title = "Zone"
keyset = "wards"
other = "Unknown"
[[measures]]
name = "liters"
title = "Liters"
kind = "sum"
unit = "liters"
column = "used"
lower = 0
upper = 20000
resolution = 1
share = 0.7
[[measures]]
name = "readings"
title = "Readings"
kind = "count"
unit = "readings"
share = 0.3
[suppression]
measure = "readings"
threshold = 10
[portal]
category = "Measurement"
"""

UNITS = {
    "records": ('unit = "record"\nwindow = "day"', ""),
    "people": (
        'unit = "PROBADDRESS"\nwindow = "year"\nmissing = "own-unit"',
        "[bounds]\nmax_groups = 8\nmax_per_group = 3",
    ),
}
DATASETS = ["records", "people", "meters", "many"]
READ = ("REQUESTID", "PROBLEMCODE", "PROBADDRESS", "DATETIMEINIT", "WARD")
COLUMNS = (
    "REQUESTID PROBLEMCODE DESCRIPTION PROBADDRESS PROBCITY PROBZIP PROBADDTYPE SUBMITTO DATETIMEINIT DATETIMECLOSED "
    "SRX SRY STATUS PRJCOMPLETEDATE DATECANCELLED CALLERTYPE DATEINVTDONE NEIGHBORHOOD WARD"
).split()


def write_workspace(folder: Path) -> None:
    """A workspace whose release has 30 wards, 150 kinds and 12 months."""
    for room in ("pipelines", "datasets/keysets", "expectations"):
        (folder / room).mkdir(parents=True, exist_ok=True)
    (folder / "publisher.toml").write_text(
        'organization = "Benchmark"\ncontact = "nobody"\nlicense = "CC0 1.0"\njurisdiction = "none"\n', encoding="utf-8"
    )
    with (ROOT / "datasets" / "keysets" / "stlouis-problem-codes.csv").open(encoding="utf-8") as file:
        codes = [row[0] for row in list(csv.reader(file))[1:150]]
    for name, keys in (("wards", [str(n) for n in range(1, 30)]), ("codes", codes)):
        with (folder / "datasets" / "keysets" / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["key"], *([key] for key in keys)])
    for name, (privacy, bounds) in UNITS.items():
        columns = [
            f'{column} = {{ class = "public", statute = "none", read = {str(column in READ).lower()}, '
            f"identifier = {str(column in ('REQUESTID', 'PROBADDRESS')).lower()} }}"
            for column in COLUMNS
        ]
        text = SOURCE.format(privacy=privacy) + "\n".join(columns) + "\n"
        (folder / "pipelines" / f"{name}.toml").write_text(text, encoding="utf-8")
        (folder / "pipelines" / f"{name}.sql").write_text(
            "SELECT raw.WARD AS ward, raw.PROBLEMCODE AS code FROM raw\n", encoding="utf-8"
        )
        text = DATASET.format(name=name, bounds=bounds, grain="month")
        (folder / "datasets" / f"{name}.toml").write_text(text, encoding="utf-8")
    many = DATASET.format(name="records", bounds="", grain="day").replace("by ward", "by day, ward")
    (folder / "datasets" / "many.toml").write_text(many, encoding="utf-8")
    (folder / "pipelines" / "meters.toml").write_text(METERS, encoding="utf-8")
    (folder / "pipelines" / "meters.sql").write_text(
        "SELECT raw.zone AS zone, TRY_CAST(raw.reading AS BIGINT) AS reading FROM raw\n", encoding="utf-8"
    )
    (folder / "datasets" / "meters.toml").write_text(USED, encoding="utf-8")


def write_meters(data: Path, rows: int) -> None:
    """Daily readings of a year, in twelve files."""
    import duckdb

    (data / "meters").mkdir()
    for month in range(1, 13):
        select = (
            f"SELECT md5('meter ' || m) AS meter, strftime(d + to_seconds((m * 7919) % 86400), '%Y-%m-%d %H:%M:%S') "
            f"AS time, m % 30 AS zone, m * 37 % 100000 + dayofyear(d) * (50 + m % 400) + hash(m, d) % 40 AS reading "
            f"FROM range({rows // 365}) AS meters(m), range(DATE '2018-{month:02d}-01', "
            f"DATE '2018-{month:02d}-01' + INTERVAL 1 MONTH, INTERVAL 1 DAY) AS days(d)"
        )
        duckdb.execute(f"COPY ({select}) TO '{data / 'meters' / f'2018-{month:02d}.csv'}' (HEADER)")


def timed(command: list[str], folder: Path) -> tuple[float, str]:
    """Wall seconds of a process and what it printed."""
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    if done.returncode:
        sys.exit(done.stderr)
    return seconds, done.stdout


def script(name: str, folder: Path, dataset: str) -> dict[str, float]:
    """What a script beside this one measured in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name(name)), str(folder), dataset]
    found: dict[str, float] = json.loads(timed(command, folder)[1].splitlines()[-1])
    return found


def measured(folder: Path, name: str, repeats: int) -> dict[str, Any]:
    """One row of the table: inside a warm process, and the best of several whole commands."""
    inside = script("inside.py", folder, name)
    whole = []
    for _ in range(repeats):
        # The same release again would be a replay: forget that it was drawn.
        for drawn in ("public", "private/measurements"):
            shutil.rmtree(folder / "state" / drawn, ignore_errors=True)
        shutil.rmtree(os.environ["XDG_STATE_HOME"], ignore_errors=True)
        for file in [*(folder / "state" / "private").glob("ledger.*"), folder / "state" / "private" / "draws.json"]:
            file.unlink(missing_ok=True)
        whole.append(script("whole.py", folder, name))
    best = min(whole, key=lambda each: each["seconds"])
    return {"what": name, **inside, **{f"whole_{key}": value for key, value in best.items()}}


HEADER = (
    "| what | cells | plain query | inside | times | times (processor) | whole command | more before validation "
    "| memory |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def row_of(found: dict[str, Any]) -> str:
    """The same for people."""
    more = found["whole_seconds"] - found["whole_judging"] - found["seconds"]
    ratio, processor = found["seconds"] / found["plain"], found["processor"] / found["plain_processor"]
    return (
        f"| {found['what']} | {found['cells']:,} | {found['plain']:.2f} s | {found['seconds']:.2f} s | {ratio:.1f} | "
        f"{processor:.1f} | {found['whole_seconds']:.1f} s | {more:.1f} s | {found['whole_memory']:,.0f} MB |"
    )


def landed(folder: Path, rows: int) -> None:
    """Make the records once, and land them."""
    from publisher.sample import write_sample

    data = folder / "data"
    if not (data / "SAMPLE.json").is_file() or json.loads((data / "SAMPLE.json").read_text())["rows"] != rows:
        for old in (folder / "state", data / "meters"):
            shutil.rmtree(old, ignore_errors=True)
        begun = time.perf_counter()
        write_sample(data, rows=rows, start=date(2018, 1, 1), months=12)
        write_meters(data, rows)
        print(f"sample: {rows:,} requests and readings in {time.perf_counter() - begun:.0f} s", flush=True)
    for name in (*UNITS, "meters"):
        seconds, _ = timed([str(COMMAND), "land", name], folder)
        print(f"landing {name}: {seconds:.0f} s", flush=True)


def main() -> None:
    """Land, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "publisher-benchmark")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=DATASETS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    for name in ("PYTHONDONTWRITEBYTECODE", "PUBLISHER_DATA", "PUBLISHER_STATE"):
        os.environ.pop(name, None)
    os.environ["XDG_STATE_HOME"] = str(given.folder / "heads")
    write_workspace(given.folder)
    landed(given.folder, given.rows)
    print(f"\n{given.rows:,} rows\n\n{HEADER}", flush=True)
    rows = []
    for name in given.only:
        rows.append(measured(given.folder, name, given.repeats))
        print(row_of(rows[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps({"rows": given.rows, "table": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
