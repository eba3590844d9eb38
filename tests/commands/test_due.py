"""Schedules: a run keeps to them, whatever the hour at which it is called."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from publisher.commands.due import due_of, print_due
from publisher.commands.standing import Look
from publisher.planning.pace import Spent
from publisher.records.batch import BatchStore
from publisher.run import PeriodSelection, run
from publisher.workspace import SourceFile, find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from township import Town

    from publisher.errors import PublisherError
    from publisher.pipeline.report import RunReport
    from publisher.records.landing import Landing

SCHEDULE = '[schedule]\nwhen = "the 5th of each month at 6:00"\nholidays = "US"\n\n[loss]'


class Nobody:
    """Watches a run that no one is asked about."""

    def total(self, steps: int) -> None: ...

    def step(self, words: str) -> None: ...

    def doing(self, words: str) -> None: ...

    def warn(self, error: PublisherError) -> None: ...

    def note(self, words: str) -> None: ...

    def landed(self, source: SourceFile, landing: Landing) -> None: ...

    def agree(self, question: str) -> bool:
        del question
        return False


@pytest.fixture
def scheduled(town: Town) -> Town:
    """A town whose requests come out on the 5th of each month."""
    town.edit("datasets/requests.toml", "[loss]", SCHEDULE)
    return town


@contextmanager
def at(year: int, month: int, day: int, hour: int, minute: int = 0) -> Iterator[None]:
    """What happens at that moment in Chicago."""
    moment = datetime(year, month, day, hour, minute, tzinfo=ZoneInfo("America/Chicago"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SourceFile, "now", lambda _: moment)
        yield


def ran(town: Town, selection: PeriodSelection | None = None) -> RunReport:
    """A real run of the requests."""
    workspace = find_workspace(town.root)
    return run(workspace, [workspace.dataset("requests")], selection or PeriodSelection(), Nobody(), push=False)


def test_a_run_keeps_to_the_schedule(scheduled: Town) -> None:
    """A minute before, nothing is charged; then each period once, however often it runs; what was missed is caught up
    with, the oldest first."""
    with at(2024, 2, 5, 5, 59):
        assert ran(scheduled).outcomes == ()
    assert scheduled.charges() == []
    for _ in range(2):
        with at(2024, 2, 5, 6):
            assert [each.period for each in ran(scheduled).outcomes] == ["2024-01"]
        assert scheduled.charges() == [("requests", "2024-01")]
    with at(2024, 4, 5, 5):
        ran(scheduled)
    assert scheduled.charges() == [("requests", "2024-01"), ("requests", "2024-02")]
    with at(2024, 9, 1, 1):
        ran(scheduled)
    assert scheduled.charges() == [("requests", period) for period in ("2024-01", "2024-02", "2024-03")]


def test_what_is_due_is_said(scheduled: Town, capsys: pytest.CaptureFixture[str]) -> None:
    """The schedule, what a run would release now, and when the next release comes; without a schedule, at once."""
    workspace = find_workspace(scheduled.root)
    chosen = [workspace.dataset("requests"), workspace.dataset("water")]
    with at(2024, 3, 5, 5, 59):
        requests, water = due_of(workspace, chosen)
        print_due((requests, water), chosen)
    assert (requests.periods, requests.next) == (("2024-01",), "2024-03-05T06:00-06:00")
    assert (water.schedule, water.periods, water.next) == (None, ("2024-01", "2024-02"), "2024-04-01T00:00-05:00")
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "requests the 5th of each month at 6:00 2024-01 today 6:00" in told
    assert "water none 2024-01 to 2024-02 Apr 1" in told
    assert "`publisher run` would release 3 periods now." in told
    with at(2024, 2, 1, 12):
        (requests,) = due_of(workspace, chosen[:1])
    assert (requests.periods, requests.next) == ((), "2024-02-05T06:00-06:00")


def test_late_counts_from_the_scheduled_day(scheduled: Town) -> None:
    """On the day itself nothing is late, and before it nothing is even due."""
    workspace = find_workspace(scheduled.root)
    seen = []
    for day, hour in ((4, 23), (5, 5), (5, 6), (6, 6)):
        with at(2024, 2, day, hour):
            look = Look(workspace, offline=True)
            morning = look.at(None, workspace.dataset("requests"), Spent())
            seen.append((morning.days_late, morning.state, morning.next_due, len(look.needs)))
    due = [(0, "none", "2024-02-05", 0)] * 2 + [(0, "due", "2024-03-05", 0), (1, "due", "2024-03-05", 1)]
    assert seen == due


def test_a_bad_file_is_noticed_on_the_day_it_comes(scheduled: Town) -> None:
    """With a schedule a run lands though nothing is due; no file at all is nobody's fault yet. Nothing is charged."""
    with at(2024, 2, 1, 12):
        assert ran(scheduled).exit_code == 0
    assert len(BatchStore(scheduled.state / "private", "requests").batches()) == 1
    file = scheduled.data / "requests" / "second.csv"
    first = (scheduled.data / "requests" / "first.csv").read_text().splitlines()
    file.write_text("\n".join([first[0], *(line.replace("2024-", "2024/") for line in first[1:])]))
    with at(2024, 2, 2, 12):
        report = ran(scheduled)
    assert (report.exit_code, report.outcomes, scheduled.charges()) == (5, (), [])
    file.unlink()
    (scheduled.data / "requests" / "first.csv").unlink()
    with at(2024, 2, 3, 12):
        assert ran(scheduled).exit_code == 0


@pytest.mark.parametrize("late", ["", '\n[late]\npolicy = "charge"\nafter_days = [4]\n'])
def test_no_file_is_missing_before_something_is_due(scheduled: Town, late: str) -> None:
    """In the first weeks of a new dataset no file has come, and runs are fine, whatever its policy for late records; on
    the day on which a release is due, the file is missing."""
    path = scheduled.root / "pipelines" / "requests.toml"
    path.write_text(path.read_text() + late)
    for file in (scheduled.data / "requests").iterdir():
        file.unlink()
    with at(2024, 1, 20, 9):
        assert ran(scheduled).exit_code == 0
    with at(2024, 2, 5, 9):
        assert ran(scheduled).exit_code == 5


def test_a_period_before_its_time_is_refused(scheduled: Town) -> None:
    """Naming it does not make it due: the error says which schedule it waits for, and machines can ask what is due."""
    scheduled.edit("datasets/requests.toml", 'first = "2024-01"\nlast = "2024-03"', 'first = "2030-01"')
    answer = scheduled.run("requests", "--period", "2030-01")
    assert answer.code == 2
    assert "schedule: the 5th of each month at 6:00" in " ".join(answer.err.split())
    told = json.loads(scheduled.publisher("status", "--due", "--json", "requests").out)
    assert told == [
        {
            "dataset": "requests",
            "schedule": "the 5th of each month at 6:00",
            "periods": [],
            "next": "2030-02-05T06:00-06:00",
        }
    ]
