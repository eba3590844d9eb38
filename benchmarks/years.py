"""Daily releases for years: what a run costs when nothing, some or ten years of releases lie behind it.

    python benchmarks/years.py [--runs 40] [--filled 0] [--datasets 1] [--folder DIR] [--json FILE]

Every day new records of an invented town arrive, and a run lands, releases, checks and pushes them to the embedded
portal, as `publisher run` does. The first `--runs` days are lived in full. `--filled` writes that many days before
the first one with the store's own writer, with real charges and real noise, each as if on the day after it, and lives
6 days after them: `--filled 3650 --datasets 3` is ten years of three datasets, 10,950 releases. The first run after
them lands the files of all these days and packs the years that are over.

What is compared is processor time: of this process, which runs, and of the portal's. Each number is the median of five
runs, the last of which is the one that the table names. The days after a filled past are lived in turns with days of a
town that has ten of them behind it, since a busy machine makes all work dearer. Python's collector of garbage runs
between runs, as it would in processes of their own.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from publisher.commands.check import inspect_workspace
from publisher.commands.terminal import print_table
from publisher.commands.verify import verified
from publisher.definitions.period import containing
from publisher.pipeline import editions
from publisher.pipeline.charges import mechanisms_of
from publisher.pipeline.editions import write_edition
from publisher.pipeline.job import jobs_of
from publisher.pipeline.session import locked, opened
from publisher.privacy.checkpoints import Checkpoints
from publisher.privacy.estimates import settled
from publisher.privacy.finish import finish
from publisher.privacy.mechanism import add_noise
from publisher.push.embedded import running
from publisher.release.validation import Validation
from publisher.run import PeriodSelection, run
from publisher.stages import BoundedAggregate
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.errors import PublisherError
    from publisher.pipeline.job import Job
    from publisher.privacy.ledger import Ledger
    from publisher.records.landing import Landing
    from publisher.release.guarantee_inputs import GuaranteeInputs
    from publisher.release.manifest import Charge
    from publisher.workspace import SourceFile, Workspace

FIRST = date(2016, 1, 1)
RECORDS = 60
MONTH = 60
"""How many days ago filled days end: no year that is over is younger than a month then."""
MOST = 1.2
"""How much more the last run may cost than the tenth."""
NAMES = ("calls", "visits", "permits")

SETTINGS = """\
organization = "Town of Years"
contact = "data@example.org"
license = "CC0 1.0"
jurisdiction = "None, since it is invented"
heads = "{heads}"
[engine]
memory = "500MB"
threads = 1
[portal]
url = "http://127.0.0.1:{port}"
"""

SOURCE = """\
title = "{name}"
description = "Invented {name}."
purpose = "To measure."
population = "people-of-{name}"
timezone = "America/Chicago"
retention_months = 120
record_id = ["number"]
[privacy]
unit = "person"
window = "month"
missing = "drop"
budget = 4
[feed]
path = "{name}/*.csv"
[event]
column = "day"
formats = ["%Y-%m-%d"]
[columns]
number = {{ class = "public", statute = "Town Code 1" }}
person = {{ class = "private", statute = "Town Code 2", identifier = true }}
day = {{ class = "public", statute = "Town Code 1" }}
kind = {{ class = "public", statute = "Town Code 1" }}
"""

DATASET = """\
title = "{name} by kind and day"
description = "How many {name} there were."
source = "{name}"
period = "day"
first = "{first}"
loss.rho = 0.1
bounds = {{ max_groups = 1, max_per_group = 1 }}
[[keys]]
name = "kind"
title = "Kind"
keyset = "kinds"
other = "Other"
[[measures]]
name = "people"
title = "People"
kind = "count_units"
unit = "people"
[suppression]
measure = "people"
threshold = 5
[portal]
category = "Services"
"""


class Quiet:
    """Watches a run, and fails with it."""

    def total(self, steps: int) -> None:
        """Of no interest."""

    def step(self, words: str) -> None:
        """Of no interest."""

    def doing(self, words: str) -> None:
        """Of no interest."""

    def note(self, words: str) -> None:
        """Of no interest."""

    def landed(self, source: SourceFile, landing: Landing) -> None:
        """Of no interest."""

    def agree(self, question: str) -> bool:  # noqa: ARG002 -- there is no one to ask
        """Always."""
        return True

    def warn(self, error: PublisherError) -> None:
        """Nothing may go wrong."""
        raise error


@dataclass(frozen=True)
class Sample:
    """One run."""

    number: int
    cpu: float
    portal: float
    wall: float


@dataclass(frozen=True)
class Measured:
    """What a run costs, and what lies in the state folder then."""

    run: int
    releases: int
    cpu: float
    portal: float
    wall: float
    ratio: float
    """Processor time, of publisher and portal together, relative to the tenth run."""
    megabytes: float
    files: int

    @property
    def row(self) -> tuple[str, ...]:
        """For the table."""
        return (
            f"{self.run:,}", f"{self.releases:,}", f"{self.cpu:.2f}", f"{self.portal:.2f}", f"{self.wall:.1f}",
            f"{self.ratio:.2f}", f"{self.megabytes:,.0f}", f"{self.files:,}",
        )  # fmt: skip


HEADINGS = ("run", "releases", "CPU s", "portal's CPU s", "seconds", "× run 10", "state MB", "files")


class Town:
    """A workspace with its portal, day by day."""

    def __init__(self, folder: Path, names: tuple[str, ...], first: date = FIRST) -> None:
        self.folder, self.names = folder, names
        self.day, self.number = first, 0
        files = {
            "publisher.toml": SETTINGS.format(heads=folder / "heads", port=_free_port()),
            "datasets/keysets/kinds.csv": "key\nStreets\nRefuse\nLight\n",
        }
        for name in names:
            files |= {
                f"pipelines/{name}.toml": SOURCE.format(name=name),
                f"pipelines/{name}.sql": "SELECT kind FROM raw\n",
                f"datasets/{name}.toml": DATASET.format(name=name, first=first.isoformat()),
            }
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        list(inspect_workspace(self.workspace))  # writes the suites

    @property
    def workspace(self) -> Workspace:
        """As a new process would find it."""
        return find_workspace(self.folder)

    @property
    def releases(self) -> int:
        """How many there are."""
        with opened(self.workspace) as catalog:
            return len(catalog.ledger.manifests())

    @property
    def files(self) -> list[Path]:
        """Every file of the state folder."""
        return [path for path in (self.folder / "state").rglob("*") if path.is_file()]

    def arrive(self) -> None:
        """The records of the next day."""
        for name in self.names:
            chance = random.Random(f"{name} {self.day}")  # noqa: S311 - invented records, the same every time
            lines = ["number,person,day,kind"]
            for n in range(RECORDS):
                kind = chance.choice(("Streets", "Refuse", "Light", "Noise"))
                lines.append(f"{self.day}-{n},P{chance.randrange(1000)},{self.day},{kind}")
            path = self.folder / "data" / name / f"{self.day}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.day, self.number = self.day + timedelta(days=1), self.number + 1

    def live(self) -> Sample:
        """One day: records arrive, and a run releases and pushes them."""
        self.arrive()
        gc.collect()
        portal, wall, cpu = _children(), time.perf_counter(), time.process_time()
        workspace = self.workspace
        report = run(workspace, list(workspace.datasets.values()), PeriodSelection(None, self.day), Quiet(), push=True)
        assert {each.status for each in report.outcomes} == {"published"}
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return Sample(self.number, cpu, _children() - portal, wall)

    def fill(self, days: int, *, then: bool = False) -> None:
        """Release that many days with the store's own writer: charges and noise are real, and records arrive but are
        not counted. `then`: as if each had been released on the day after."""
        workspace = self.workspace
        with _no_waiting(), _accounted_monthly(), locked(workspace) as catalog, _head_at_the_end(catalog.ledger):
            for dataset in workspace.datasets.values():
                periods = [containing(self.day + timedelta(days=n), "day") for n in range(days)]
                for job in jobs_of(workspace, catalog, dataset, periods):
                    with _written(job.period.end if then else datetime.now(UTC).date()):
                        _release(job)
        for _ in range(days):
            self.arrive()


def _release(job: Job) -> None:
    """One release of a quiet day, checked."""
    levels = job.dataset.levels(job.period)
    tables = {(level.name, "people"): np.full(level.grid.size, 15, dtype=np.int64) for level in levels}
    entry = job.catalog.ledger.charge(job.request)
    noisy = settled(
        add_noise(BoundedAggregate(levels, tables), mechanisms_of(job.dataset, job.workspace.settings)),
        job.dataset.definition,
    )
    made = finish(noisy, job.dataset.definition)
    release = write_edition(job, noisy, made, entry, stand_in=False, order=job.order)
    job.catalog.enter(release)
    checked = Validation(passed=True, failures=(), suite_sha256="0" * 64, checked_at=release.manifest.created)
    job.catalog.keep(release, checked)


@contextmanager
def _accounted_monthly() -> Iterator[None]:
    """What guarantees say of the budget is added up once a month: every day, it would be most of the filling."""
    before, known = vars(editions)["_facts"], {}

    def facts(job: Job, charge: Charge, charged: str, *, stand_in: bool) -> GuaranteeInputs:
        month = job.dataset.name, charge.blocks
        if month not in known:
            known[month] = before(job, charge, charged, stand_in=stand_in)
        said: GuaranteeInputs = replace(known[month], period=job.period.label, charge=charge)
        return said

    vars(editions)["_facts"] = facts
    try:
        yield
    finally:
        vars(editions)["_facts"] = before


@contextmanager
def _written(day: date) -> Iterator[None]:
    """What is released says that it was released then."""

    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.combine(day, datetime.now(tz).timetz())

    before = vars(editions)["datetime"]
    vars(editions)["datetime"] = Then
    try:
        yield
    finally:
        vars(editions)["datetime"] = before


@contextmanager
def _head_at_the_end(ledger: Ledger) -> Iterator[None]:
    """The ledger's head is written beside it when all is released, and not after each of three entries a release: to
    replace a file takes milliseconds, even if no one waits for the disk."""
    before, last = Checkpoints.write, {}
    Checkpoints.write = lambda _, entry: last.update(entry=entry)  # type: ignore[method-assign]
    try:
        yield
    finally:
        Checkpoints.write = before  # type: ignore[method-assign]
        for entry in last.values():
            ledger._checkpoints.write(entry)


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Do not wait for the disk: after a power cut one would fill again."""
    before, os.fsync = os.fsync, lambda _: None
    try:
        yield
    finally:
        os.fsync = before


@contextmanager
def town(folder: Path, names: tuple[str, ...], first: date = FIRST) -> Iterator[Town]:
    """A town whose portal is open."""
    made = Town(folder, names, first)
    with running(made.workspace.settings.portal, made.workspace.portal):
        yield made


def measured(made: Town, samples: list[Sample], tenth: float | None) -> Measured:
    """The last five runs."""
    last = samples[-5:]
    cpu, portal = median(each.cpu for each in last), median(each.portal for each in last)
    files = made.files
    size = sum(path.stat().st_size for path in files) / 1e6
    ratio = (cpu + portal) / tenth if tenth else 1.0
    wall = median(each.wall for each in last)
    return Measured(last[-1].number, made.releases, cpu, portal, wall, ratio, size, len(files))


def lived(folder: Path, runs: int, names: tuple[str, ...]) -> list[Measured]:
    """That many days, all of them for real; the tenth, the fiftieth, … and the last are measured."""
    rows: list[Measured] = []
    samples: list[Sample] = []
    with town(folder, names) as made:
        for number in range(1, runs + 1):
            samples.append(made.live())
            if number == 10 or number % 50 == 0 or number == runs:
                rows.append(measured(made, samples, rows[0].cpu + rows[0].portal if rows else None))
                print(*rows[-1].row, flush=True)
        print(_verified(made), flush=True)
    return rows


def filled(folder: Path, days: int, names: tuple[str, ...]) -> Measured:
    """Days after very many, in turns with days after ten. The first run sends all releases, the others what is new."""
    begins = [datetime.now(UTC).date() - timedelta(days=MONTH + each) for each in (9, days)]
    with town(folder / "young", names, begins[0]) as young, town(folder / "old", names, begins[1]) as old:
        begun = time.perf_counter()
        young.fill(9, then=True)
        old.fill(days, then=True)
        print(f"filled with {days * len(names):,} releases in {time.perf_counter() - begun:.0f} s", flush=True)
        print(f"files of state: {len(old.files):,}", flush=True)
        young.live()
        print(f"the first run, which sends and packs them all: {old.live().cpu:.0f} CPU s", flush=True)
        pairs = [(young.live(), old.live()) for _ in range(5)]
        row = measured(old, [each for _, each in pairs], median(each.cpu + each.portal for each, _ in pairs))
        print(_verified(old), flush=True)
    return row


def _verified(made: Town) -> str:
    """What `publisher verify` finds, and what it takes."""
    workspace, before = made.workspace, time.process_time()
    with opened(workspace) as catalog:
        found = list(verified(workspace, catalog, list(workspace.datasets.values()), offline=False))
    faults = [fault for each in found for fault in each.faults]
    assert not faults, faults[:5]
    return f"publisher verify: {len(found)} checks passed, {time.process_time() - before:.1f} CPU s"


def _children() -> float:
    """The processor time of the portal, which is the only child, and of its workers."""
    total = 0.0
    for process in _below(os.getpid()):
        try:
            fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _below(process: int) -> list[int]:
    """The processes that it has started, and those that these have."""
    command = ["/usr/bin/env", "pgrep", "-P", str(process)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    children = [int(each) for each in found]
    return [*children, *(below for child in children for below in _below(child))]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def _folder(chosen: Path | None, name: str) -> Iterator[Path]:
    if chosen is not None:
        yield chosen / name
        return
    folder = Path(tempfile.mkdtemp(prefix="years-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def main() -> int:
    """Live the days, print the table, and say whether the last run costs more than it may."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    arguments.add_argument("--runs", type=int, default=40, help="days that are lived from the first on")
    arguments.add_argument("--filled", type=int, default=0, help="days that are filled in before others are lived")
    arguments.add_argument("--datasets", type=int, default=1, choices=(1, 2, 3))
    arguments.add_argument("--folder", type=Path, help="keep the workspaces there")
    arguments.add_argument("--json", type=Path, help="file that gets the numbers")
    chosen = arguments.parse_args()
    names = NAMES[: chosen.datasets]
    with _folder(chosen.folder, "lived") as folder:
        rows = lived(folder, chosen.runs, names)
    if chosen.filled:
        with _folder(chosen.folder, "filled") as folder:
            rows.append(filled(folder, chosen.filled, names))
    print_table(f"Daily releases of {len(names)} dataset(s)", HEADINGS, [each.row for each in rows])
    if chosen.json is not None:
        numbers: dict[str, Any] = {"datasets": len(names), "runs": [asdict(each) for each in rows]}
        chosen.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    slow = [each.run for each in rows if each.ratio > MOST]
    if slow:
        print(f"runs that cost more than {MOST} × the tenth: {slow}")
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
