"""A run that is killed anywhere, and then run again, ends as if nothing had happened.

Every kill is a real SIGKILL: strace sends it as one of the system calls begins by which a run makes its work durable
or visible (fsync, fdatasync, rename and link), or the clock sends it. One of each kind of these calls is tried: kinds
differ in the call, or in what it is made on. All calls of a run of two releases, each pwrite64, unlink, mkdir, rmdir
and ftruncate of the main thread too, are evidence: they take a quarter of an hour.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from host import hosted
from kills import (
    Call,
    Zygote,
    a_third,
    calls_of,
    hatched,
    one_of_each,
    output_of,
    run_killed_after,
    run_killed_at,
    stopped_at,
)
from town import CELLS, Town, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from host import Host

WEEKS = ("2018-W02", "2018-W03")
DURABLE = ("fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat")
OTHERS = ("pwrite64", "unlink", "unlinkat", "mkdir", "rmdir", "ftruncate")
MOMENTS = 6
TRIES = 30

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: apt-get install strace")


class Trial:
    """One town after the other, all alike, on one portal that runs all the time."""

    def __init__(
        self, folder: Path, host: Host, zygote: Zygote, weeks: tuple[str, ...], names: tuple[str, ...]
    ) -> None:
        self.folder, self.host, self.zygote, self.weeks = folder, host, zygote, weeks
        self.number = 0
        first = self.town()
        self.zygote.warm(first, "run")
        self.zygote.warm(first, "verify", "--offline")
        self.forget()
        for _ in range(TRIES):
            town = self.town()
            self.calls, helped = calls_of(zygote, town, names, "run")
            if helped.isdisjoint(DURABLE):
                break
            self.forget()
        assert helped.isdisjoint(DURABLE), "in no run the main thread made all durable calls"
        self.left = files(town)
        """What an undisturbed run leaves behind."""
        self.forget()

    def town(self) -> Town:
        """A fresh town."""
        self.number += 1
        shutil.rmtree(self.folder / f"town-{self.number - 1}", ignore_errors=True)
        return settle(self.folder / f"town-{self.number}", self.host.url, first=self.weeks[0], last=self.weeks[-1])

    def kill_and_finish(self, call: Call) -> None:
        """Kills a run at that very call and finishes it; where the kill came elsewhere, finishes it and tries again."""
        for _ in range(TRIES):
            town = self.town()
            killed = run_killed_at(self.zygote, town, call, "run")
            self.finish(town)
            if killed or call.name in OTHERS:  # of those helper threads make some, now these and now those
                return
        raise AssertionError(f"no run was killed at {call}")

    def finish(self, town: Town) -> None:
        """Runs again after a kill, and looks at everything."""
        seen = {path: path.read_bytes() for path in town.releases.glob("*/[0-9]*/*")}
        assert self.zygote.run(town, "run") == 0, output_of(town).read_text()
        self.check_ledger(town)
        check_releases(town, self.weeks)
        assert {path: path.read_bytes() for path in seen} == seen
        assert files(town) == self.left
        self.check_portal(town)
        self.forget()

    def check_ledger(self, town: Town) -> None:
        """One charge for each release, told by the journal, and chains that hold."""
        assert [charge["period"] for charge in charges(town)] == list(self.weeks)
        told = map(json.loads, (town.private / "journal.jsonl").read_text().splitlines())
        assert [entry["period"] for entry in told if entry["kind"] == "charge"] == list(self.weeks)
        assert self.zygote.run(town, "verify", "--offline") == 0, output_of(town).read_text()

    def check_portal(self, town: Town) -> None:
        """One dataset, public, with every row of every release as its CSV has it."""
        views = self.views()
        assert len(views) == 1
        address = f"{self.host.url}/resource/{views[0]}.json"
        rows = requests.get(address, params={"$order": "id", "$limit": 1000}, timeout=60).json()
        assert [comparable(row) for row in rows] == [comparable(row) for row in released_rows(town)]
        assert len(rows) == CELLS * len(self.weeks)

    def views(self) -> list[str]:
        """Every dataset of the portal, seen as its owner."""
        account = (self.host.environment["SOCRATA_USERNAME"], self.host.environment["SOCRATA_PASSWORD"])
        return [view["id"] for view in requests.get(f"{self.host.url}/api/views.json", auth=account, timeout=60).json()]

    def forget(self) -> None:
        """Empties the portal for the next town."""
        with self.host.client() as client:
            for view in self.views():
                client.delete(view)


def charges(town: Town) -> list[dict[str, str]]:
    """Every charge of the ledger, oldest first; none where there is no ledger yet."""
    path = town.private / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries'").fetchone():
            return []
        rows = connection.execute("SELECT hash, payload FROM entries WHERE kind = 'charge' ORDER BY sequence")
        return [json.loads(payload) | {"hash": digest} for digest, payload in rows]


def check_releases(town: Town, weeks: tuple[str, ...]) -> None:
    """Each release is there once, with the files that its manifest tells, byte by byte."""
    assert sorted(str(path.relative_to(town.releases)) for path in town.releases.glob("*/*")) == [
        f"{week}/1" for week in weeks
    ]
    for folder in town.releases.glob("*/*"):
        told = json.loads((folder / "manifest.json").read_bytes())["files"]
        private = town.private / "measurements" / town.releases.name / folder.relative_to(town.releases)
        paths = [*folder.iterdir(), *private.iterdir()]
        held = {path.name: path.read_bytes() for path in paths if path.name != "manifest.json"}
        assert {name: {"sha256": hashlib.sha256(b).hexdigest(), "bytes": len(b)} for name, b in held.items()} == told


def files(town: Town) -> set[str]:
    """Every file and folder of the state, but for the folder of temporary files, which may be there when empty."""
    return {str(path.relative_to(town.state)) for path in town.state.rglob("*")} - {"private/tmp"}


def contents(town: Town) -> dict[str, bytes]:
    """Every file of the state, byte by byte."""
    return {name: (town.state / name).read_bytes() for name in files(town) if (town.state / name).is_file()}


def released_rows(town: Town) -> list[dict[str, str]]:
    """The rows of every data.csv, by id."""
    rows = []
    for path in town.releases.glob("*/*/data.csv"):
        with path.open(newline="") as opened:
            rows += list(csv.DictReader(opened))
    return sorted(rows, key=lambda row: row["id"])


def comparable(row: dict[str, str]) -> dict[str, str | float]:
    """A row without its empty values, numbers as numbers and days as days."""
    numbers = ("calls", "calls_low", "calls_high", "edition")
    return {
        name: float(value) if name in numbers else value.removesuffix("T00:00:00.000")
        for name, value in row.items()
        if value != ""
    }


@pytest.fixture(scope="module")
def trial(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """Runs of one release."""
    folder = tmp_path_factory.mktemp("crash")
    with hosted(folder) as host, hatched(host.environment) as zygote:
        yield Trial(folder, host, zygote, WEEKS[:1], DURABLE)


@pytest.fixture(scope="module")
def long_trial(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """Runs of two releases, and every call that changes a file."""
    folder = tmp_path_factory.mktemp("long-crash")
    with hosted(folder) as host, hatched(host.environment) as zygote:
        yield Trial(folder, host, zygote, WEEKS, DURABLE + OTHERS)


def test_killed_at_each_kind_of_durable_call(trial: Trial) -> None:
    """Killed as any of these calls begins, a run is completed by the next: charged, released and published once. A
    third of the kinds is tried, each day another one."""
    for call in a_third(one_of_each(trial.calls)):
        trial.kill_and_finish(call)


@pytest.mark.evidence("kills at every call of a run that changes a file")
def test_killed_at_every_call(long_trial: Trial) -> None:
    """The same at every single call, and with a second release; calls of one kind go the same way in the product."""
    for call in long_trial.calls:
        long_trial.kill_and_finish(call)


def test_killed_at_random_moments(trial: Trial) -> None:
    """Killed at any moment, a run is completed by the next: charged, released and published once."""
    kill_at_random(trial, MOMENTS)


@pytest.mark.evidence("kills at random moments of a run")
def test_killed_at_many_random_moments(long_trial: Trial) -> None:
    """The same a hundred times, and with a second release: chance finds more moments, no other mechanism."""
    kill_at_random(long_trial, 100)


def kill_at_random(trial: Trial, moments: int) -> None:
    """Kills so many runs, each at any moment, and finishes them."""
    chance, killed, longest = random.Random(), 0, 0.5
    while killed < moments:
        town = trial.town()
        ended, seconds = run_killed_after(trial.zygote, town, chance.uniform(0, longest), "run")
        assert ended in (0, -9), output_of(town).read_text()
        killed += ended == -9
        longest = seconds if ended == 0 else longest * 1.05  # a run takes longer where the machine has more to do
        trial.finish(town)


def test_a_charge_is_made_once(trial: Trial) -> None:
    """Killed after the charge and before the release is visible, a run is completed under the same charge."""
    appears = next(call for call in trial.calls if call.name == "rename" and "/.staging-1-" in call.words)
    town = trial.town()
    assert run_killed_at(trial.zygote, town, appears, "run")
    made = charges(town)
    assert [charge["period"] for charge in made] == [WEEKS[0]]
    assert list(town.releases.glob("*/[0-9]*")) == []
    trial.finish(town)
    assert charges(town)[:1] == made


def test_a_second_run_at_the_same_time_is_turned_away(trial: Trial) -> None:
    """While one run is at work, at whatever step, a second one ends with 75 and changes nothing."""
    renames = [call for call in trial.calls if call.name == "rename"]
    for call in (renames[0], renames[-1]):
        town = trial.town()
        with stopped_at(trial.zygote, town, call, "run"):
            before = contents(town)
            second = subprocess.run(
                [Path(sys.executable).with_name("publisher"), "-C", town.folder, "run"],
                env=os.environ | trial.host.environment | town.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert second.returncode == 75, second.stderr
            assert "another run holds" in second.stderr
            assert contents(town) == before
        trial.finish(town)
