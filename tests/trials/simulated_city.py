"""A simulated city under a fake clock: its definitions, the files that its offices send, its machine, its portal, its
reviewer and its mailbox. Commands are the real ones, as a person or a scheduler types them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as hour
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
import requests
from forking import Forks
from mail_server import Mailbox, mail_server
from sessions import free_port
from small_disk import mounted

if TYPE_CHECKING:
    from collections.abc import Iterator

ZONE = ZoneInfo("America/Chicago")
PASSPHRASE = "correct horse battery"
CANARY = "Zzyzx"
"""Begins every value of a record that is its own: nothing that people read may show it."""

SETTINGS = """\
organization = "City of Years"
contact = "data@example.org"
license = "CC0 1.0"
jurisdiction = "None, since it is invented"
engine = {{ memory = "500MB", threads = 1 }}
portal = {{ url = "http://127.0.0.1:{port}" }}
cases = {{ law = "minnesota", holidays = "US-MN" }}
notices = {{ addresses = {{ file = "{addresses}" }}, budget_periods = 2 }}
heads = "{heads}"
"""

SOURCE = """\
title = "{title}"
description = "Records of the city."
purpose = "To plan crews."
population = "residents"
timezone = "America/Chicago"
retention_months = 12
record_id = ["number"]
delivery = "{delivery}"
retention = {{ automatic = true }}
privacy = {{ {privacy} }}
feed = {{ path = "{name}/*.csv" }}
event = {{ column = "day", formats = ["%Y-%m-%d"] }}
places.ward = {{ code = "ward" }}
{late}
[columns]
number = {{ class = "public", statute = "Code 1", identifier = true }}
day = {{ class = "public", statute = "Code 1" }}
ward = {{ class = "public", statute = "Code 1" }}
{columns}
"""

DATASET = """\
title = "{title}"
description = "What the city counts, by ward."
source = "{source}"
period = "{period}"
first = "{first}"
loss = {{ rho = {rho} }}
schedule = {{ when = "{when}", holidays = "US-MO" }}
suppression = {{ measure = "{measure}", threshold = 0 }}
portal = {{ category = "City services" }}
{more}
[[keys]]
name = "ward"
title = "Ward"
keyset = "wards"
other = "Unknown"

[[measures]]
{measures}
"""

WARDS = ("north", "south", "east")
CELLS = len(WARDS) + 1
AUTOMATIC = "automatic_approval = { most_change = 1000, most_withheld = 1 }"
EXACT = 1000
"""A loss so large that the noise is nothing: in an invented city that may be seen."""


class Office(NamedTuple):
    """An office's source and its dataset."""

    source: dict[str, Any]
    dataset: dict[str, Any]


OFFICES = {
    "calls": Office(
        {
            "title": "Calls",
            "delivery": "append",
            "privacy": 'unit = "record", window = "day", budget = 0.1',
            "late": "",
            "columns": 'caller = { class = "private", statute = "Code 2", read = false }',
        },
        {
            "title": "Calls by ward and week",
            "period": "week",
            "rho": 0.1,
            "when": "Tuesdays at 6:00",
            "measure": "calls",
            "more": AUTOMATIC,
            "measures": 'name = "calls"\ntitle = "Calls"\nkind = "count"\nunit = "calls"',
        },
    ),
    "permits": Office(
        {
            "title": "Permits",
            "delivery": "append",
            "privacy": f'unit = "applicant", window = "year", missing = "drop", budget = {12 * EXACT}',
            "late": 'late = { policy = "increment", received = "permits-%Y-%m-%d.csv", after_days = [9, 36] }',
            "columns": 'applicant = { class = "private", statute = "Code 2", identifier = true }',
        },
        {
            "title": "Permits by ward and month",
            "period": "month",
            "rho": EXACT,
            "when": "the 12th of each month at 6:00",
            "measure": "permits",
            "more": "bounds = { max_groups = 1, max_per_group = 1 }",
            "measures": 'name = "permits"\ntitle = "Permits"\nkind = "count"\nunit = "permits"',
        },
    ),
    "water": Office(
        {
            "title": "Water",
            "delivery": "changes",
            "privacy": f'unit = "account", window = "month", missing = "drop", budget = {2 * EXACT}',
            "late": 'late = { policy = "charge", received = "water-%Y-%m-%d.csv", after_days = [18, 48] }',
            "columns": 'account = { class = "private", statute = "Code 2", identifier = true }\n'
            'liters = { class = "private", statute = "Code 2" }',
        },
        {
            "title": "Water by ward and month",
            "period": "month",
            "rho": EXACT,
            "when": "the 22nd of each month at 6:00",
            "measure": "accounts",
            "more": "bounds = { max_groups = 1, max_per_group = 1 }",
            "measures": 'name = "accounts"\ntitle = "Accounts"\nkind = "count_units"\nunit = "accounts"\nshare = 0.1\n'
            '[[measures]]\nname = "used"\ntitle = "Water used"\nkind = "sum"\nunit = "liters"\ncolumn = "liters"\n'
            "lower = 0\nupper = 2\nresolution = 1\nshare = 0.9",
        },
    ),
}
DATASETS = {"calls": "calls-weekly", "permits": "permits-monthly", "water": "water-monthly"}
SELECTS = {
    "calls": "SELECT raw.ward AS called FROM raw\n",
    "permits": "SELECT raw.ward AS asked FROM raw\n",
    "water": "SELECT TRY_CAST(raw.liters AS DOUBLE) AS liters FROM raw\n",
}
HEADERS = {
    "calls": "number,day,ward,caller",
    "permits": "number,day,ward,applicant",
    "water": "number,day,ward,account,liters",
}


@dataclass(frozen=True)
class Clock:
    """The clock of everything that the city runs, as libfaketime reads it from a file: so far off, and running. In its
    folder Python looks for modules, so the confined portal may read it."""

    file: Path
    library: Path

    @classmethod
    def found(cls, folder: Path) -> Clock:
        """The clock; skips the test where there is none."""
        for place in Path("/usr/lib").glob("*/faketime/libfaketime.so.1"):
            # Where only the time of day is faked, libfaketime 0.9.10 refuses the call by which Python sleeps.
            folder.mkdir(parents=True)
            (folder / "sitecustomize.py").write_text(
                "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n"
            )
            return cls(folder / "now", place)
        pytest.skip("libfaketime is missing: tests/system-packages.sh installs it")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(self.file.parent),
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, moment: datetime) -> None:
        beside = self.file.with_suffix(".new")
        beside.write_text(f"{moment.timestamp() - time.time():+.3f}\n")
        beside.replace(self.file)


class Answer(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.out)
        return rows


def at(day: date, hours: int = 6, minutes: int = 30) -> datetime:
    """That time of that day in the city."""
    return datetime.combine(day, hour(hours, minutes), ZONE)


def days(first: date, last: date) -> Iterator[date]:
    """Every day of the simulation."""
    for n in range((last - first).days + 1):
        yield first + timedelta(days=n)


# What the offices send: chosen by chance, the same every time


class Permit(NamedTuple):
    """A permit, and the day on which the office sends it."""

    day: date
    ward: str
    sent: date


@cache
def permits_of(year: int, month: int) -> tuple[Permit, ...]:
    """The permits of a month: nine of ten are sent with it, most others a month later, and some too late to count."""
    chance = random.Random(f"permits {year}-{month}")
    found = []
    for _ in range(30):
        day = date(year, month, chance.randint(1, 28))
        months = chance.choices((1, 2, 3), (90, 8, 2))[0]
        found.append(Permit(day, chance.choice(WARDS), months_on(day, months).replace(day=4)))
    return tuple(found)


def months_on(day: date, months: int) -> date:
    """The first day of the month so many months later."""
    count = day.year * 12 + day.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


def liters_of(account: int, month: date) -> int:
    """What an account really used in a month."""
    return random.Random(f"water {account} {month}").randint(1, 2)


def calls_sent(monday: date) -> list[str]:
    """The calls of the week before."""
    chance = random.Random(f"calls {monday}")
    week = [monday - timedelta(days=chance.randint(1, 7)) for _ in range(40)]
    return [f"{CANARY}-{monday}-{n},{day},{chance.choice(WARDS)},{CANARY} caller {n}" for n, day in enumerate(week)]


def permits_sent(day: date, first: date) -> list[str]:
    """What the office has not sent before, of the months since the first."""
    before = [months_on(day, -n) for n in (1, 2, 3)]
    return [
        f"{CANARY}-{month:%Y%m}-{n},{each.day},{each.ward},{CANARY} applicant {month:%Y%m} {n}"
        for month in before
        if month >= first
        for n, each in enumerate(permits_of(month.year, month.month))
        if each.sent == day
    ]


def water_sent(month: date, wrong: str = "") -> list[str]:
    """The readings of a month; those of a ward may be wrong."""
    return [
        f"{CANARY}-{month:%Y%m}-{account},{month.replace(day=20)},{ward},{CANARY}{account},"
        f"{0 if ward == wrong else liters_of(account, month)}"
        for account in range(24)
        for ward in (WARDS[account % 3],)
    ]


@dataclass
class City:
    """The whole city, at one moment after the other."""

    folder: Path
    clock: Clock
    forks: Forks
    mailbox: Mailbox
    port: int
    first: date
    stopped: set[str] = field(default_factory=set)
    """Offices that send nothing."""
    kept: dict[Path, str] = field(default_factory=dict)
    """What they would have sent."""
    portal: subprocess.Popen[bytes] | None = None
    today: date = date.min
    alarms: list[tuple[str, str]] = field(default_factory=list)
    """Every line of every mail, with its day."""
    wrong_ward: str = ""
    """Whose readings are wrong in the next file."""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def environment(self) -> dict[str, str]:
        named = ("PUBLISHER_", "SOCRATA_", "COV_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(named)}
        return inherited | self.clock.environment | {"TZ": "America/Chicago"}

    # Commands

    def set(self, moment: datetime) -> None:
        self.clock.set(moment)
        self.today = moment.date()

    def publisher(self, *arguments: str, typed: str = "") -> Answer:
        """A command as someone types it, and the mails that it sends."""
        answer = Answer(*self.forks.run(list(arguments), self.folder, self.environment, typed=typed))
        assert "Traceback" not in answer.err, answer.err
        assert CANARY not in answer.out + answer.err
        for _, lines in self.mailbox.new():
            assert lines[-1] == "`publisher status` says more, and what to do."
            self.alarms += [(self.today.isoformat(), line) for line in lines[:-1]]
        return answer

    def done(self, *arguments: str, typed: str = "", code: int = 0) -> Answer:
        """A command that ends like that."""
        answer = self.publisher(*arguments, typed=typed)
        assert answer.code == code, f"{self.today}: {arguments}: {answer}"
        return answer

    def asked(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command says to machines."""
        return self.done(*arguments, "--json").rows

    # Offices

    def deliver(self, day: date) -> None:
        """The files that come on a day, a moment before six."""
        if day.weekday() == 0 and day > self.first + timedelta(days=6):
            self.send("calls", day, calls_sent(day))
        if day.day == 4 and months_on(day, -1) >= self.first:
            self.send("permits", day, permits_sent(day, self.first))
        if day.day == 15 and months_on(day, -1) >= self.first:
            self.send("water", day, water_sent(months_on(day, -1), self.wrong_ward))
            self.wrong_ward = ""

    def send(self, office: str, day: date, lines: list[str]) -> None:
        text = "\n".join([HEADERS[office], *lines]) + "\n"
        self.place(self.data / office / f"{office}-{day}.csv", text, day, office)

    def place(self, path: Path, text: str, day: date, office: str) -> None:
        """A file that was written that morning, unless its office sends nothing."""
        if office in self.stopped:
            self.kept[path] = text
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        moment = at(day, 5).timestamp()
        os.utime(path, (moment, moment))

    def resume(self, office: str) -> None:
        """An office sends all that it has kept, under the names that the files always had."""
        self.stopped.discard(office)
        for path, text in self.kept.items():
            self.place(path, text, self.today, office)
        self.kept.clear()

    # The portal

    def open_portal(self) -> None:
        """`publisher serve`, until it answers."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        command = [str(Path(sys.executable).with_name("publisher")), "serve", "--ready-file", str(ready)]
        with (self.folder / "portal.log").open("ab") as log:
            self.portal = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        until = time.monotonic() + 120
        while not ready.exists():
            assert self.portal.poll() is None, (self.folder / "portal.log").read_text()
            assert time.monotonic() < until, "the portal did not start"
            time.sleep(0.05)

    def close_portal(self) -> None:
        if self.portal is not None:
            self.portal.terminate()
            self.portal.wait(60)
            self.portal = None

    def shown(self, title: str) -> list[dict[str, Any]]:
        """All rows of a table, as anyone reads them over HTTP."""
        address = f"http://127.0.0.1:{self.port}"
        found = requests.get(f"{address}/api/catalog/v1", params={"q": title, "limit": "50"}, timeout=60).json()
        (name,) = [each["resource"]["id"] for each in found["results"] if each["resource"]["name"] == title]
        rows = requests.get(f"{address}/resource/{name}.json", params={"$limit": "50000"}, timeout=60)
        assert rows.status_code == 200, rows.text
        return list(rows.json())

    # The reviewer

    def sign(self, dataset: str, *period: str, reason: str) -> None:
        """Her decision, with her passphrase, and yes to what is signed."""
        whose = () if period else ("--edited-by", "carl")
        key = ("--by", "ana", "--key", str(self.folder.parent / "ana.pem"), *whose)
        self.done("approve", dataset, *period, *key, "--reason", reason, typed=f"{PASSPHRASE}\ny\n")

    def review(self) -> list[str]:
        """Sign what waits; tells what that was."""
        waiting = [row["command"] for row in self.asked("review")]
        for command in waiting:
            dataset, *period = command.split("--")[0].split()[2:]
            self.sign(dataset, *period, reason="It looks right")
        return waiting

    # The disk

    def fill_disk(self) -> None:
        """A file that leaves no room for anything else."""
        space = os.statvfs(self.state)
        with (self.state / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_bsize)

    def empty_disk(self) -> None:
        (self.state / "filler").unlink()


@contextmanager
def founded(folder: Path, first: date) -> Iterator[City]:
    """A new city on a disk of its own, whose portal is open; nothing has happened yet."""
    clock = Clock.found(folder / "clock")
    with ExitStack() as ends:
        forks = Forks(**clock.environment)
        ends.callback(forks.close)
        box = ends.enter_context(mail_server())
        city = City(folder / "city", clock, forks, box, free_port(), first)
        city.set(at(first, 0, 5))
        ends.enter_context(mounted(city.state, "size=900m"))
        _write(city)
        city.open_portal()
        ends.callback(city.close_portal)
        yield city


def _write(city: City) -> None:
    """The definitions, the addresses, and the reviewer's key, which she makes herself."""
    outside = city.folder.parent
    (outside / "addresses").write_text(f"{city.mailbox.address}\n")
    (outside / "addresses").chmod(0o600)
    settings = SETTINGS.format(port=city.port, addresses=outside / "addresses", heads=outside / "heads")
    files = {"publisher.toml": settings, "datasets/keysets/wards.csv": "\n".join(["key", *WARDS]) + "\n"}
    for name, office in OFFICES.items():
        first = f"{city.first:%G-W%V}" if office.dataset["period"] == "week" else f"{city.first:%Y-%m}"
        files[f"pipelines/{name}.toml"] = SOURCE.format(name=name, **office.source)
        files[f"pipelines/{name}.sql"] = SELECTS[name]
        files[f"datasets/{DATASETS[name]}.toml"] = DATASET.format(source=name, first=first, **office.dataset)
    for name, text in files.items():
        path = city.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    key = ("--file", str(outside / "ana.pem"))
    made = city.done("reviewers", "key", "ana", *key, typed=f"{PASSPHRASE}\n{PASSPHRASE}\n")
    (reviewer,) = [line for line in made.out.splitlines() if line.startswith("ana = ")]
    (city.folder / "publisher.toml").write_text(f"{settings}\n[review.reviewers]\n{reviewer}\n")
