"""One release of 54,000 cells from 10 million requests, as a ratio to DuckDB alone answering the same exact GROUP BY.

    python benchmarks/release.py [--rows 10000000] [--folder DIR]

Both sides read the same landed Parquet, each in a process of its own; the ratio pairs runs that follow each other.
`people` bounds a person unit (the address) to 8 cells with 3 records each.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

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


def measure(folder: Path, name: str, repeats: int) -> None:
    """Prints the paired times of one dataset."""
    landed = folder / "state" / "private" / "landed" / name
    for _ in range(repeats):
        naive, query = timed([sys.executable, "-c", NAIVE, str(landed)], folder)
        # The same release again would be a replay: forget that it was drawn.
        shutil.rmtree(folder / "state" / "public", ignore_errors=True)
        for file in (folder / "state" / "private").glob("ledger.*"):
            file.unlink()
        release, answer = timed([str(COMMAND), "run", name, "--no-push", "--json"], folder)
        cells = json.loads(answer)[0]["cells"]
        print(
            f"{name}: {cells:,} cells; publisher run {release:.2f} s, DuckDB process {naive:.2f} s "
            f"(its query {float(query):.2f} s): {release / naive:.1f} times the process",
            flush=True,
        )


def measure_inside(folder: Path, name: str) -> None:
    """Prints the paired times inside one warm process: what the release costs without starting Python and libraries."""
    _, text = timed([sys.executable, str(Path(__file__).with_name("inside.py")), str(folder), name], folder)
    print(text, end="", flush=True)


def main() -> None:
    """Makes the records once, lands them, measures both units."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "publisher-benchmark")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    from publisher.sample import write_sample

    write_workspace(given.folder)
    data = given.folder / "data"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.pop("PUBLISHER_DATA", None)
    os.environ.pop("PUBLISHER_STATE", None)
    if not (data / "SAMPLE.json").is_file() or json.loads((data / "SAMPLE.json").read_text())["rows"] != given.rows:
        begun = time.perf_counter()
        shutil.rmtree(given.folder / "state", ignore_errors=True)
        write_sample(data, rows=given.rows, start=date(2018, 1, 1), months=12)
        print(f"sample: {given.rows:,} requests in {time.perf_counter() - begun:.0f} s", flush=True)
    seconds, _ = timed([str(COMMAND), "check"], given.folder)
    for name in UNITS:
        seconds, _ = timed([str(COMMAND), "land", name], given.folder)
        print(f"landing {name}: {seconds:.0f} s", flush=True)
    for name in UNITS:
        measure(given.folder, name, given.repeats)
        measure_inside(given.folder, name)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"most memory of any process: {peak:,.0f} MB")


if __name__ == "__main__":
    main()
