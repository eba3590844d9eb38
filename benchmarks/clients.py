"""The clients that people use, each in its own process against a real portal: what each does, and whether it works.

    python benchmarks/clients.py [--rows 20000] [--fresh] [--only NAME] [--json FILE]

A portal of its own is filled with invented rows and answers over HTTP and HTTPS. sodapy, socrata-py, cfasodapy, pandas,
DuckDB and GeoPandas run in this environment, or with `--fresh` each in a new one that gets its newest version from
PyPI. soda-js comes from npm. R runs the requests of RSocrata through httr and jsonlite, Ruby those of its standard
library. A client that cannot be had is named with the reason. Ends with 1 if a step of any other one fails.
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
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(1, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(1, str(Path(__file__).parents[1] / "tests" / "portal"))

from certificates import write_certificate
from clients_python import NEEDS, STEPS, Given
from portal_process import publish, start, stop

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPTS = Path(__file__).parents[1] / "tests" / "portal" / "clients"
MINUTES = 10
ZONES = ("Nord", "Süd", 'O"st, West')


@dataclass(frozen=True)
class Taken:
    """One step of a client; without `ok` it could not be taken at all."""

    client: str
    what: str
    ok: bool | None
    seconds: float = 0.0
    problem: str = ""


def rows(count: int) -> list[dict[str, Any]]:
    """Invented rows, always the same."""
    return [
        {
            "id": f"cell-{number:07}",
            "period": f"2024-W{number % 52 + 1:02}",
            "period_start": f"2024-{number % 12 + 1:02}-{number % 28 + 1:02}T00:00:00.000",
            "zone": ZONES[number % 3],
            "requests": None if number % 7 == 0 else f"{number % 1000}.{number % 4 * 25:02}",
            "requests_status": "suppressed" if number % 7 == 0 else "ok",
            "open": number % 2 == 0,
            "place": {"type": "Point", "coordinates": [-90 + number % 100 / 100, 38 + number % 70 / 100]},
        }
        for number in range(count)
    ]


@contextmanager
def portal(folder: Path, count: int) -> Iterator[tuple[Given, str]]:
    """A portal with the rows, and the 4x4 of a dataset to write to."""
    chain, key = write_certificate(folder)
    running = start(folder / "state")
    try:
        made = rows(count)
        with running.client() as client:
            dataset, written = publish(client, "Requests", []), publish(client, "Written", made[:120])
            for begin in range(0, count, 50_000):
                client.upsert(dataset, made[begin : begin + 50_000])
        secure = start(running.state, "--tls-certificate", str(chain), "--tls-key", str(key), name="secure")
        total = sum(float(row["requests"]) for row in made if row["requests"])
        host = secure.address.removeprefix("https://")
        try:
            login = (*running.login, running.secret["app_token"])
            yield Given(running.address, host, str(chain), dataset, count, total, *login), written
        finally:
            stop(secure)
    finally:
        stop(running)


def run(command: list[str], given: Given, sent: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run a client that trusts the portal's certificate."""
    trust = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"), given.certificate)
    return subprocess.run(
        command,
        input=sent,
        capture_output=True,
        text=True,
        timeout=MINUTES * 60,
        check=False,
        env=os.environ | trust | more,
    )


def python_client(name: str, given: Given, *, fresh: bool, folder: Path) -> Iterator[Taken]:
    """The steps of a library for Python."""
    program = sys.executable
    if fresh:
        program, problem = _environment(folder / f"{name}-environment", [name, *NEEDS.get(name, [])])
        if problem:
            yield Taken(name, "", None, problem=problem)
            return
    else:
        try:
            version(name)
        except PackageNotFoundError:
            yield Taken(name, "", None, problem="it is not in this environment; use --fresh")
            return
    script = str(Path(__file__).with_name("clients_python.py"))
    done = run([program, script, name], given, json.dumps(asdict(given)))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    shown = f"{name} {lines[0]['version']}" if lines else name
    yield from (Taken(shown, **line) for line in lines[1:])
    if done.returncode:
        yield Taken(shown, "ends", False, problem=_last(done.stderr))


def _environment(folder: Path, packages: list[str]) -> tuple[str, str]:
    """The interpreter of a new environment with the newest of these; or why there is none."""
    program = str(folder / "bin" / "python")
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return "", f"pip cannot install it: {_last(done.stderr)}"
    return program, ""


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no reason"])[-1][:200]


def soda_js(given: Given, written: str, folder: Path) -> Iterator[Taken]:
    """Socrata's own library for JavaScript."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        yield Taken("soda-js", "", None, problem="node and npm are not installed")
        return
    install = [
        npm,
        "install",
        "--prefix",
        str(folder / "npm"),
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
        "soda-js",
    ]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        yield Taken("soda-js", "", None, problem=f"npm cannot install it: {_last(done.stderr)}")
        return
    package = json.loads((folder / "npm" / "node_modules" / "soda-js" / "package.json").read_text())
    script = str(SCRIPTS / "soda_js.js")
    command = [node, "--no-deprecation", script, given.host, written, given.username, given.password]
    began = time.perf_counter()
    done = run(command, given, NODE_PATH=str(folder / "npm" / "node_modules"))
    steps = json.loads(done.stdout) if done.returncode == 0 else {}
    seconds = round(time.perf_counter() - began, 2)
    for what, names, refused in (
        ("filters, groups, pages, searches, SoQL", ("filtered", "grouped", "paged", "searched", "soql"), ("refused",)),
        ("adds, upserts, updates, replaces, deletes", ("added", "upserted", "updated", "replaced", "removed"), ()),
    ):
        wrong = [name for name in names if "success" not in steps.get(name, {})]
        wrong += [name for name in refused if "errorCode" not in steps.get(name, {}).get("error", {})]
        problem = f"{', '.join(wrong)} {_last(done.stderr)}" if wrong else ""
        yield Taken(f"soda-js {package['version']}", what, not wrong, seconds, problem)


def r_requests(given: Given, written: str) -> Iterator[Taken]:
    """R, with the packages that RSocrata uses; RSocrata itself where it is installed."""
    program = shutil.which("Rscript")
    asked = "cat(sapply(c('httr', 'jsonlite', 'RSocrata'), requireNamespace, quietly = TRUE), R.version$minor)"
    found = run([program, "-e", asked], given).stdout.split() if program else []
    if found[:2] != ["TRUE", "TRUE"]:
        yield Taken("R", "", None, problem="R with httr and jsonlite is not installed")
        return
    name = f"R 4.{found[3]}, httr"
    command = [str(program), str(SCRIPTS / "rsocrata.R"), given.address, given.dataset]
    began = time.perf_counter()
    done = run([*command, given.username, given.password, written], given)
    seconds = round(time.perf_counter() - began, 2)
    told = json.loads(done.stdout) if done.returncode == 0 else {}
    right = (told.get("csv_rows"), told.get("json_rows"), told.get("upserted", {}).get("Errors")) == (
        *(given.rows, given.rows),
        0,
    )
    what = "RSocrata's requests: reads, lists, upserts"
    yield Taken(name, what, right, seconds, "" if right else _last(done.stderr))
    if found[2] != "TRUE":
        yield Taken("RSocrata", "", None, problem="it is on CRAN alone, and not installed here")
        return
    read = f"cat(nrow(RSocrata::read.socrata('https://{given.host}/resource/{given.dataset}.csv')))"
    began = time.perf_counter()
    done = run([str(program), "-e", read], given, CURL_CA_BUNDLE=given.certificate)
    right = done.stdout.strip().endswith(str(given.rows))
    seconds = round(time.perf_counter() - began, 2)
    yield Taken("RSocrata", "read.socrata", right, seconds, "" if right else _last(done.stderr))


def ruby(given: Given, written: str) -> Iterator[Taken]:
    """Ruby's standard library, and the gem soda-ruby where it is installed."""
    program = shutil.which("ruby")
    if program is None:
        yield Taken("Ruby", "", None, problem="ruby is not installed")
        return
    command = [program, str(SCRIPTS / "reader.rb"), given.address, given.dataset, written, given.username]
    began = time.perf_counter()
    done = run([*command, given.password], given, SODA_HOST=given.host)
    seconds = round(time.perf_counter() - began, 2)
    told = json.loads(done.stdout) if done.returncode == 0 else {}
    shown = run([program, "-e", "print RUBY_VERSION"], given).stdout
    counts = (told.get("rows"), told.get("ids"), told.get("table"), len(told.get("sums", [])))
    right = counts == (given.rows, given.rows, given.rows, len(ZONES)) and told["upserted"]["Errors"] == 0
    yield Taken(
        f"Ruby {shown}", "reads JSON and CSV, asks, upserts", right, seconds, "" if right else _last(done.stderr)
    )
    if told.get("gem") is None:
        yield Taken("soda-ruby", "", None, problem="the gem is not installed here")
    else:
        yield Taken("soda-ruby", "reads rows", told["gem"] == min(1000, given.rows), seconds)


def taken(count: int, only: list[str], *, fresh: bool) -> Iterator[Taken]:
    """Every step of every client."""
    with tempfile.TemporaryDirectory() as scratch, portal(Path(scratch), count) as (given, written):
        folder = Path(scratch)
        for name in STEPS:
            if not only or name in only:
                yield from python_client(name, given, fresh=fresh, folder=folder)
        if not only or "soda-js" in only:
            yield from soda_js(given, written, folder)
        if not only or "R" in only:
            yield from r_requests(given, written)
        if not only or "Ruby" in only:
            yield from ruby(given, written)


def main() -> int:
    """Print the table; 1 if a step has failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--fresh", action="store_true", help="each Python library in a new environment, the newest")
    parser.add_argument("--only", action="append", default=[], help="this client alone; may be repeated")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = []
    print("| client | what it did | ok | seconds |\n|---|---|---|---|")
    for each in taken(arguments.rows, arguments.only, fresh=arguments.fresh):
        found.append(each)
        if each.ok is None:
            print(f"| {each.client} | – | absent: {each.problem} | |", flush=True)
        else:
            print(f"| {each.client} | {each.what} | {'yes' if each.ok else 'NO'} | {each.seconds:.1f} |", flush=True)
        if each.ok is False:
            sys.stderr.write(f"{each.client}, {each.what}: {each.problem}\n")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in found], indent=2))
    return int(any(each.ok is False for each in found))


if __name__ == "__main__":
    sys.exit(main())
