"""Fifty monthly releases of two sources, month by month as they would come: what the ledger says after four years.

    python benchmarks/budgets.py [--months 50] [--folder DIR]

Every month new records arrive and `publisher run` releases what has ended: real noise, real charges. `visits` protects
everything that a person ever does (window lifetime), so its budget ends; `calls` what they do in one month, so each
month brings a budget of its own, and what somebody bears who is in all of them is stated.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.commands.check import inspect_workspace
from publisher.commands.ledger import HEADINGS, statement
from publisher.commands.terminal import print_table
from publisher.commands.verify import verified as findings
from publisher.definitions import period as civil
from publisher.errors import BudgetError
from publisher.pipeline.session import opened
from publisher.privacy.ledger import decimal
from publisher.run import PeriodSelection, run
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.commands.ledger import SpendingRow
    from publisher.definitions.period import Period
    from publisher.errors import PublisherError
    from publisher.privacy.ledger import Spending
    from publisher.records.landing import Landing
    from publisher.workspace import SourceFile, Workspace

FIRST = civil.parse("2020-01")
RHO = Fraction(1, 10)
PEOPLE = 40

SETTINGS = """\
organization = "Town of Years"
contact = "data@example.org"
license = "CC0 1.0"
jurisdiction = "None, since it is invented"
[engine]
memory = "500MB"
threads = 1
[portal]
url = "http://127.0.0.1:9"
"""

SOURCE = """\
title = "{name}"
description = "Invented {name}."
purpose = "To measure."
population = "townspeople"
timezone = "America/Chicago"
retention_months = 120
record_id = ["number"]
[privacy]
unit = "person"
window = "{window}"
missing = "drop"
budget = {budget}
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
title = "{name} by kind and month"
description = "How many {name} there were."
source = "{name}"
period = "month"
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

SOURCES = {"calls": ("month", "0.1"), "visits": ("lifetime", "4.5")}
"""Each source's window, and what all releases together may spend on one."""


@dataclass
class Silence:
    """Watches runs and keeps what went wrong."""

    warned: list[PublisherError] = field(default_factory=list)

    def total(self, steps: int) -> None:
        """Of no interest."""

    def step(self, words: str) -> None:
        """Of no interest."""

    def doing(self, words: str) -> None:
        """Of no interest."""

    def landed(self, source: SourceFile, landing: Landing) -> None:
        """Of no interest."""

    def agree(self, question: str) -> bool:  # noqa: ARG002 -- there is no one to ask
        """Always."""
        return True

    def warn(self, error: PublisherError) -> None:
        """Kept."""
        self.warned.append(error)


@dataclass(frozen=True)
class Month:
    """What one run came to."""

    period: str
    """The last month that it released."""
    statuses: dict[str, str]
    """Of that month, by dataset."""
    exit_code: int
    errors: tuple[PublisherError, ...]
    accounts: tuple[SpendingRow, ...]
    """What `publisher ledger` said afterwards."""

    @property
    def refused(self) -> tuple[str, ...]:
        """The words of each refusal."""
        return tuple(str(error) for error in self.errors if isinstance(error, BudgetError))


def settle(folder: Path) -> Workspace:
    """A workspace in which nothing has happened yet, and no record has arrived."""
    files = {"publisher.toml": SETTINGS, "datasets/keysets/kinds.csv": "key\nStreets\nRefuse\nLight\n"}
    for name, (window, budget) in SOURCES.items():
        files |= {
            f"pipelines/{name}.toml": SOURCE.format(name=name, window=window, budget=budget),
            f"pipelines/{name}.sql": "SELECT kind FROM raw\n",
            f"datasets/{name}.toml": DATASET.format(name=name, first=FIRST.label),
        }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    workspace = find_workspace(folder)
    list(inspect_workspace(workspace))  # writes the suites
    return workspace


def months(count: int) -> Iterator[Period]:
    """The months that are simulated, in order."""
    month = FIRST
    for _ in range(count):
        yield month
        month = civil.containing(month.end, "month")


def arrive(workspace: Workspace, month: Period) -> None:
    """The records of one month, as new files: a visit and a call of each person."""
    chance = random.Random(month.label)  # noqa: S311 - invented records, the same every time
    for name in SOURCES:
        lines = ["number,person,day,kind"]
        for person in range(PEOPLE):
            kind = chance.choice(("Streets", "Refuse", "Light", "Noise"))
            lines.append(f"{month.label}-{person},P{person},{month.label}-{chance.randint(1, 28):02},{kind}")
        path = workspace.data / name / f"{month.label}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def live(workspace: Workspace, *periods: Period) -> Month:
    """Lets the records of these months arrive and runs them; a month refused before is not asked for again."""
    for month in periods:
        arrive(workspace, month)
    first, last = periods[0], periods[-1]
    watch = Silence()
    report = run(
        workspace, list(workspace.datasets.values()), PeriodSelection(first.start, last.end), watch, push=False
    )
    with opened(workspace) as catalog:
        accounts = tuple(statement(workspace, catalog.ledger))
    statuses = {each.dataset: each.status for each in report.outcomes}
    return Month(last.label, statuses, report.exit_code, tuple(watch.warned), accounts)


def spending(workspace: Workspace) -> list[Spending]:
    """What every block has spent, from the ledger."""
    with opened(workspace) as catalog:
        return catalog.ledger.spending()


def verified(workspace: Workspace) -> str:
    """What `publisher verify --offline` finds: the checks that failed, or that all is well."""
    with opened(workspace) as catalog:
        found = list(findings(workspace, catalog, list(workspace.datasets.values()), offline=True))
    return "; ".join(fault for row in found for fault in row.faults) or f"checks passed: {len(found)}"


def lifetime_words(name: str, spent: list[Spending]) -> str:
    """What somebody bears who has records in every window: W · s · ρ, compared with the sum over the ledger."""
    blocks = [each for each in spent if each.source == name]
    total = sum((each.spent for each in blocks), Fraction(0))
    window = SOURCES[name][0]
    if window == "lifetime":
        return f"{name}: ρ {decimal(total)} for everything that somebody ever did, of {SOURCES[name][1]}"
    spans = 1  # a cell is one month, a window too
    stated = len(blocks) * spans * RHO
    assert stated == total, (stated, total)
    return (
        f"{name}: ρ {decimal(RHO)} for one {window}; somebody in all of W = {len(blocks)} {window}s, a cell spanning "
        f"s = {spans}, bears W·s·ρ = {decimal(stated)}"
    )


def show(month: Month) -> None:
    """The ledger after a month, as people see it."""
    print_table(f"after {month.period}", HEADINGS, [each.row for each in month.accounts])


def main() -> None:
    """Simulates, and prints what the ledger says on the way."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    arguments.add_argument("--months", type=int, default=50)
    arguments.add_argument("--folder", type=Path)
    chosen = arguments.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="years-"))
    begun, refused = time.perf_counter(), False
    try:
        workspace = settle(folder)
        for number, period in enumerate(months(chosen.months), 1):
            month = live(workspace, period)
            ends = bool(month.refused) and not refused
            if number in (1, 12, chosen.months) or ends:
                show(month)
            if ends:
                refused = True
                print(f"exit code {month.exit_code}: {month.refused[0]}\n", flush=True)
        for name in SOURCES:
            print(lifetime_words(name, spending(workspace)))
        print(verified(workspace))
        print(f"{chosen.months} months in {time.perf_counter() - begun:.0f} s")
    finally:
        if chosen.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
