"""A run over late records that is killed anywhere, and then run again, counts every record once and charges every
edition once.

Every kill is a real SIGKILL, sent by strace as one of the calls begins by which a run makes its work durable or
visible: one of each kind, and as evidence all of them. The noise of these towns is practically
none, so that the numbers can be compared.
"""

from __future__ import annotations

import csv
import json
import shutil
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from kills import Call, Zygote, a_third, calls_of, hatched, one_of_each, output_of, run_killed_at
from test_crash import DURABLE, charges
from town import Town, settle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRIES = 10
WEEK = "2018-W02"
LATE = '\n[late]\npolicy = "increment"\nreceived = "%Y-%m-%d.csv"\nafter_days = [3, 10, 17]\n'
RUN = ("run", "--no-push")
OF_RECORDS = ("/ledger.sqlite", "/receipts/", "/landed/", "/releases/", "/measurements/", "/.draws")
"""Whose files differ with late records."""

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: apt-get install strace")


def _town(folder: Path) -> Town:
    """Three batches, each with records that the one before has brought too. The heads go with the folder, or the town
    before would be missed."""
    shutil.rmtree(folder, ignore_errors=True)
    town = settle(folder, "http://127.0.0.1:9", first=WEEK, last=WEEK, rho="400")
    settings = folder / "publisher.toml"
    settings.write_text('heads = "outside"\n' + settings.read_text())
    source = folder / "pipelines" / "calls.toml"
    text = (
        source.read_text()
        .replace("budget = 0.5", "budget = 400")
        .replace("[privacy]", 'delivery = "changes"\n[privacy]')
    )
    source.write_text(text + LATE)
    whole = folder / "data" / "calls" / "january.csv"
    heading, *lines = whole.read_text().splitlines()
    whole.unlink()
    for number, (start, end) in enumerate(((0, 250), (200, 350), (330, 400))):
        batch = folder / "data" / "calls" / f"{date(2018, 1, 16) + timedelta(days=7 * number)}.csv"
        batch.write_text("\n".join([heading, *lines[start:end]]) + "\n")
    return town


class Trial:
    """One town after the other, all alike."""

    def __init__(self, folder: Path, zygote: Zygote) -> None:
        self.folder, self.zygote = folder, zygote
        zygote.warm(_town(folder), *RUN)
        zygote.warm(Town(folder, "town-calls"), "verify", "--offline")
        for _ in range(TRIES):
            calls, helped = calls_of(zygote, _town(folder), DURABLE, *RUN)
            if helped.isdisjoint(DURABLE):
                break
        self.calls = calls
        self.whole = _facts(Town(folder, "town-calls"))
        """What an undisturbed run leaves behind."""

    def kill_and_finish(self, call: Call) -> None:
        """Kills a run at that very call, or where it came elsewhere tries again; then runs once more."""
        for _ in range(TRIES):
            town = _town(self.folder)
            killed = run_killed_at(self.zygote, town, call, *RUN)
            seen = {path: path.read_bytes() for path in town.releases.glob("*/[0-9]*/*")}
            assert self.zygote.run(town, *RUN) == 0, output_of(town).read_text()
            assert {path: path.read_bytes() for path in seen} == seen
            assert _facts(town) == self.whole
            assert self.zygote.run(town, "verify", "--offline") == 0, output_of(town).read_text()
            if killed:
                return
        raise AssertionError(f"no run was killed at {call}")


def _facts(town: Town) -> dict[str, Any]:
    """Charges, editions with their numbers, and first receipts by day."""
    editions = {}
    for folder in town.releases.glob(f"{WEEK}/[0-9]*"):
        says = json.loads((folder / "manifest.json").read_bytes())
        with (folder / "data.csv").open(newline="") as file:
            numbers = {row["id"]: row["calls"] for row in csv.DictReader(file)}
        editions[says["edition"]] = (says["vintage"], says["final"], len(says["charge"]["tables"]), numbers)
    receipts = str(town.private / "receipts" / "calls" / "*" / "*.parquet")
    query = f"SELECT _received, count(*), count(DISTINCT _record) FROM '{receipts}' GROUP BY ALL ORDER BY ALL"
    return {
        "charges": [(each["period"], each["vintage"]) for each in charges(town)],
        "editions": dict(sorted(editions.items())),
        "receipts": duckdb.connect().execute(query).fetchall(),
    }


@pytest.fixture(scope="module")
def trial(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with hatched({}) as zygote:
        yield Trial(tmp_path_factory.mktemp("late-crash") / "town", zygote)


def test_an_undisturbed_run_draws_three_editions(trial: Trial) -> None:
    """Each is charged once and holds the draws of those before; each record was first received once."""
    whole = trial.whole
    assert whole["charges"] == [(WEEK, 1), (WEEK, 2), (WEEK, 3)]
    assert [each[:3] for each in whole["editions"].values()] == [(1, False, 1), (2, False, 2), (3, True, 3)]
    assert [row[1:] for row in whole["receipts"]] == [(250, 250), (100, 100), (50, 50)]
    sums = [sum(int(value or 0) for value in each[3].values()) for each in whole["editions"].values()]
    assert sums[0] < sums[1] < sums[2]


def test_killed_anywhere_it_counts_and_charges_once(trial: Trial) -> None:
    """Completed by the next run: the same editions with the same numbers, charges and receipts. What a run of any
    records writes in the same way is tried in test_crash. A third of the kinds is tried, each day another one."""
    for call in a_third(one_of_each([call for call in trial.calls if any(name in call.words for name in OF_RECORDS)])):
        trial.kill_and_finish(call)


@pytest.mark.evidence("kills at every durable call of a run over late records")
def test_killed_at_every_call_it_counts_and_charges_once(trial: Trial) -> None:
    """The same at every single call; calls of one kind go the same way in the product."""
    for call in trial.calls:
        trial.kill_and_finish(call)
