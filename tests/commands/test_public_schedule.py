"""The public schedule: every period that was due is there, with its state, its day and a fixed reason."""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import requests
from reviewed import Reviewers
from test_due import SCHEDULE, Nobody, at, ran
from test_status import serving

from publisher.commands.land import land_sources
from publisher.commands.public_status import print_schedules, schedules_of
from publisher.commands.purge import purge_sources
from publisher.commands.review import rollback
from publisher.commands.standing import missing_of
from publisher.pipeline.retention import retention_of
from publisher.pipeline.schedules import refresh_schedule, schedule_path, told_schedule
from publisher.pipeline.session import locked, opened
from publisher.portal.contract import REASONS, STATES, ScheduleFacts
from publisher.push.schedules import schedule_facts
from publisher.records.purging import PurgedMonths
from publisher.run import PeriodSelection, run
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from township import Town

Row = tuple[str, str, str, str, str, int]
"""Period, due, state, since, reason and edition."""


@pytest.fixture
def scheduled(town: Town) -> Town:
    """A town whose requests come out on the 5th of each month, as everyone is told since January 15, 2024, and whose
    file came on March 2."""
    town.edit("datasets/requests.toml", "[loss]", SCHEDULE)
    arrive(town, datetime(2024, 3, 2, 12).astimezone())
    begin(town)
    return town


def begin(town: Town) -> None:
    """The first run, to which nothing is due."""
    with at(2024, 1, 15, 9):
        ran(town, PeriodSelection(end=date(2024, 1, 1)))


def arrive(town: Town, moment: datetime) -> None:
    """All files of the requests were written at that moment."""
    for path in (town.data / "requests").iterdir():
        os.utime(path, (moment.timestamp(), moment.timestamp()))


def rows(found: ScheduleFacts, *, all_of_them: bool = False) -> list[Row]:
    """Those that were due, the earliest first."""
    told = found.periods if all_of_them else found.was_due
    since = [each.since.isoformat() if each.since else "" for each in told]
    return [
        (each.period, each.due.isoformat(), each.state, day, each.reason, each.edition)
        for each, day in zip(told, since, strict=True)
    ][::-1]


def public(town: Town, name: str = "requests") -> ScheduleFacts:
    """What `publisher status --public` says now."""
    workspace = find_workspace(town.root)
    (found,) = schedules_of(workspace, [workspace.dataset(name)])
    return found


def today() -> str:
    """By the clock of the machine, which says when a release is made."""
    return datetime.now(ZoneInfo("America/Chicago")).date().isoformat()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_period_is_due_late_and_released(scheduled: Town) -> None:
    """Not due yet until its day is over, late from the next day on by the calendar alone, and released on the day on
    which it is made; a run that changes nothing writes nothing."""
    with at(2024, 2, 5, 23):
        ahead = rows(public(scheduled), all_of_them=True)
        assert ahead == [
            ("2024-01", "2024-02-05", "not due yet", "", "", 0),
            ("2024-02", "2024-03-05", "not due yet", "", "", 0),
            ("2024-03", "2024-04-05", "not due yet", "", "", 0),
        ]
        ran(scheduled, PeriodSelection(end=date(2024, 1, 1)))  # a run to which nothing is due
    for path in scheduled.root.glob("state/private"):
        shutil.move(path, scheduled.root / "elsewhere")
    with at(2024, 2, 6, 0):
        assert rows(public(scheduled)) == [("2024-01", "2024-02-05", "late", "2024-02-06", "late", 0)]
        assert public(scheduled).next == date(2024, 3, 5)
    shutil.move(scheduled.root / "elsewhere", scheduled.root / "state/private")
    with at(2024, 2, 8, 6):
        ran(scheduled)
        made = today()
        assert rows(public(scheduled)) == [("2024-01", "2024-02-05", "released", made, "", 1)]
        before = tree(scheduled.state / "public" / "schedules")
        ran(scheduled)
        assert tree(scheduled.state / "public" / "schedules") == before


def test_a_feed_that_is_missing_or_refused_is_said_so_and_no_more(scheduled: Town) -> None:
    """No file since the period ended; one that is refused, from the day on which it was found; and once it is corrected
    the release. A refusal before the day on which a period is due is not said; nothing tells how much was wrong."""
    with at(2024, 4, 7, 9):
        report = ran(scheduled, PeriodSelection(end=date(2024, 3, 1)))
        assert [each.status for each in report.outcomes] == ["ready", "ready"]
        assert rows(public(scheduled))[-1] == ("2024-03", "2024-04-05", "late", "2024-04-06", "feed missing", 0)
    bad = scheduled.data / "requests" / "second.csv"
    bad.write_text((scheduled.data / "requests" / "first.csv").read_text().replace("2024-", "9999-99-"))
    with at(2024, 4, 8, 9):
        refused = ran(scheduled)
        assert refused.exit_code == 5
        assert rows(public(scheduled))[-1] == (
            "2024-03", "2024-04-05", "refused at landing", "2024-04-08", "feed refused", 0,
        )  # fmt: skip
    told = schedule_path(scheduled.state / "public", "requests").read_text()
    with at(2024, 4, 9, 9):
        ran(scheduled)
        rollback(*_dataset(scheduled), "2024-01", "A street was missing", undo=False, push=False)
        assert rows(public(scheduled))[-1][2:4] == ("refused at landing", "2024-04-08")
    bad.write_text(bad.read_text().replace("9999-99-", "8888-88-", 1))  # another file, as bad
    with at(2024, 4, 10, 9):
        ran(scheduled)
    words = {*re.findall(r'"(?:state|reason)": "([^"]*)"', told)}
    assert words == {"released", "refused at landing", "feed refused", ""}
    assert not re.search(r"\.csv|900|20 ?%|date could|column", told.replace("2024", ""))
    bad.unlink()
    arrive(scheduled, datetime(2024, 4, 11, 8).astimezone())
    with at(2024, 4, 11, 9):
        assert ran(scheduled).exit_code == 0
        assert [each[2] for each in rows(public(scheduled))] == ["retracted", "released", "released"]


def _dataset(town: Town) -> tuple[Any, Any]:
    workspace = find_workspace(town.root)
    return workspace, workspace.dataset("requests")


def test_a_refusal_before_the_day_is_not_public(scheduled: Town) -> None:
    """A bad file that comes while nothing is due is the data team's own business."""
    bad = scheduled.data / "requests" / "second.csv"
    bad.write_text((scheduled.data / "requests" / "first.csv").read_text().replace("2024-", "9999-99-"))
    with at(2024, 2, 4, 9):
        assert ran(scheduled).exit_code == 5
        assert {each[2:5] for each in rows(public(scheduled), all_of_them=True)} == {("not due yet", "", "")}


def test_no_promise_is_older_than_the_day_it_was_made(town: Town) -> None:
    """A new dataset, or one that begins earlier from now on, is due for its past at once, and late from tomorrow on."""
    town.edit("datasets/requests.toml", 'first = "2024-01"', 'first = "2024-02"')
    nothing = PeriodSelection(end=date(2023, 1, 1))
    with at(2024, 3, 10, 9):
        ran(town, nothing)
        assert rows(public(town), all_of_them=True) == [
            ("2024-02", "2024-03-10", "not due yet", "", "", 0),
            ("2024-03", "2024-04-01", "not due yet", "", "", 0),
        ]
    town.edit("datasets/requests.toml", 'first = "2024-02"', 'first = "2024-01"')
    with at(2024, 3, 12, 9):
        ran(town, nothing)
        assert rows(public(town), all_of_them=True)[:2] == [
            ("2024-01", "2024-03-12", "not due yet", "", "", 0),
            ("2024-02", "2024-03-10", "late", "2024-03-11", "late", 0),
        ]
    with at(2024, 3, 14, 9):
        ran(town, nothing)
        assert [each[1:4] for each in rows(public(town))] == [
            ("2024-03-12", "late", "2024-03-13"),
            ("2024-03-10", "late", "2024-03-11"),
        ]


def test_held_retracted_and_restored(released: Town) -> None:
    """A held release tells neither what failed nor the number; a retracted one, since when; restored it is public
    again; each with the day of the decision, and the same day ever after."""
    made = today()
    workspace, dataset = _dataset(released)
    rollback(workspace, dataset, "2024-02", "A street was missing", undo=False, push=False)
    assert rows(public(released))[1][2:] == ("retracted", made, "taken back", 0)
    rollback(workspace, dataset, "2024-02", "It was not", undo=True, push=False)
    assert rows(public(released))[1][2:] == ("released", made, "", 1)
    released.expect("requests", 10)
    released.edit("datasets/requests.toml", "threshold = 5", "threshold = 6")
    assert released.run("requests").code == 3
    assert {each[2:] for each in rows(public(released))} == {("held", made, "under review", 1)}
    path = schedule_path(released.state / "public", "requests")
    told = told_schedule(released.state / "public", "requests")
    assert told is not None
    earlier = [each.model_copy(update={"since": date(2024, 5, 1)}) for each in told.periods]
    path.write_bytes(told.model_copy(update={"periods": tuple(earlier)}).model_dump_json().encode())
    assert released.run("requests").code == 3
    assert {each[3] for each in rows(public(released))} == {"2024-05-01"}
    assert not re.search(r"\b10\b|expected|total|sum", path.read_text())


def test_what_was_purged_is_not_released(town: Town) -> None:
    """From the day of the purge; the day on which it was due stays."""
    assert town.run("requests", "--period", "2024-01").code == 0
    path = town.root / "pipelines" / "requests.toml"
    path.write_text(path.read_text() + "\n[retention]\ndeadline_months = 13\n")
    workspace, _ = _dataset(town)
    assert list(purge_sources(workspace, [workspace.source("requests")], lambda _: None))
    made = today()
    assert rows(public(town))[1:] == [
        (month, made, "not released", made, "retention", 0) for month in ("2024-02", "2024-03")
    ]
    schedule_path(town.state / "public", "requests").unlink()
    assert rows(public(town))[1][2:] == ("not released", made, "retention", 0)


def test_what_was_promised_stays(scheduled: Town) -> None:
    """A schedule that is moved after the day does not undo what was late, and a dataset that begins later keeps its
    earlier periods: none disappears."""
    with at(2024, 3, 4, 9):
        ran(scheduled, PeriodSelection(end=date(2024, 1, 1)))
    scheduled.edit("datasets/requests.toml", "the 5th of each month", "the 20th of each month")
    with at(2024, 3, 4, 10):
        ran(scheduled, PeriodSelection(end=date(2024, 1, 1)))
        assert rows(public(scheduled)) == [("2024-01", "2024-02-05", "late", "2024-02-06", "late", 0)]
        assert public(scheduled).next == date(2024, 3, 20)
    scheduled.edit("datasets/requests.toml", 'first = "2024-01"', 'first = "2024-02"')
    with at(2024, 3, 21, 10):
        ran(scheduled)
        found = rows(public(scheduled))
    assert [each[:3] for each in found] == [("2024-01", "2024-02-05", "late"), ("2024-02", "2024-03-20", "released")]


@pytest.mark.parametrize("policy", ["charge", "increment"])
def test_scheduled_editions_are_told_one_after_the_other(town: Town, policy: str) -> None:
    """A provisional edition is released until the day of the next one is over; then the period is late, and says which
    edition is public. Once it is retracted, no other is due where editions add up, but one that counts all again is."""
    path = town.root / "pipelines" / "requests.toml"
    path.write_text(path.read_text() + f'\n[late]\npolicy = "{policy}"\nafter_days = [0, 40]\n')
    town.edit("pipelines/requests.toml", "budget = 0.25", "budget = 1")
    workspace, dataset = _dataset(town)
    with at(2024, 1, 31, 9):
        ran(town, PeriodSelection(end=date(2024, 1, 1)))
        assert list(land_sources(workspace, [workspace.source("requests")]))
    with at(2024, 3, 2, 9):
        ran(town, PeriodSelection(end=date(2024, 2, 1)))
        assert rows(public(town))[0][1:5] == ("2024-02-01", "released", today(), "")
        assert public(town).next == date(2024, 3, 12)
    with at(2024, 3, 13, 9):
        late = ("2024-01", "2024-03-12", "late", "2024-03-13", "late")
        assert rows(public(town))[0] == (*late, 1)
        rollback(workspace, dataset, "2024-01", "A street was missing", undo=False, push=False)
        taken = ("2024-01", "2024-02-01", "retracted", today(), "taken back", 0)
        assert rows(public(town))[0] == ((*late, 0) if policy == "charge" else taken)
    with at(2026, 3, 13, 9), opened(workspace) as catalog:
        missing = missing_of(dataset, catalog.standings("requests"), PurgedMonths())
        waiting = retention_of(workspace, catalog, dataset.source).waiting
    due = [period.label for period, _ in missing]
    assert ("2024-01" in due) == ("2024-01" in [each.period.label for each in waiting]) == (policy == "charge")


def test_the_budget_is_a_reason(town: Town) -> None:
    """A period that the budget refuses is late for that reason, also after other commands."""
    definition = (town.root / "datasets" / "requests.toml").read_text()
    (town.root / "datasets" / "second.toml").write_text(definition.replace("rho = 0.1", "rho = 0.2"))
    workspace, dataset = _dataset(town)
    chosen = [dataset, workspace.dataset("second")]
    for month, code in ((1, 0), (4, 4)):
        with at(2024, month, 15, 9):
            assert run(workspace, chosen, PeriodSelection(), Nobody(), push=False).exit_code == code
    assert {each[2:5:2] for each in rows(public(town))} == {("released", "")}
    assert {each[2:5:2] for each in rows(public(town, "second"))} == {("late", "budget refuses")}
    assert town.publisher("revalidate").code == 0
    assert {each[2:5:2] for each in rows(public(town, "second"))} == {("late", "budget refuses")}


def test_the_command_says_what_the_file_says(released: Town, capsys: pytest.CaptureFixture[str]) -> None:
    """On 80 columns, the latest first, earlier ones counted where they are released; --json has what the file has, and
    the file is valid by the schema beside it."""
    answer = released.publisher("status", "--public", "--json")
    folder = released.state / "public" / "schedules"
    assert json.loads(answer.out) == [
        json.loads((folder / f"{name}.json").read_text()) for name in ("requests", "water")
    ]
    schema = json.loads((folder / "schedule.schema.json").read_text())
    states = schema["$defs"]["PeriodFacts"]["properties"]["state"]["enum"]
    assert set(states) == set(STATES)
    found = public(released)
    years = [
        each.model_copy(update={"period": f"20{year:02}-{each.period[-2:]}", "since": date(2025, 1, 1)})
        for year in range(20, 0, -1)
        for each in found.periods
    ]
    late = years[-1].model_copy(update={"state": "late", "reason": "feed missing", "edition": 0})
    print_schedules([found.model_copy(update={"periods": (*years[:-1], late), "when": "Mondays at 6:00"})])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "requests: Mondays at 6:00 (America/Chicago time)." in out
    assert re.search(r"2001-01 +[0-9-]+ +late +2025-01-01 +no file has come for it", out)
    assert "Earlier: 47 released. --json has them all." in out
    assert set(REASONS) | {""} == set(schema["$defs"]["PeriodFacts"]["properties"]["reason"]["enum"])
    assert released.publisher("status", "--public", "--due").code == 2


def test_a_public_folder_is_enough(released: Town, tmp_path: Path) -> None:
    """Where there are only definitions and the public folder, the same is said; nothing private is read."""
    before = released.publisher("status", "--public").out
    shutil.rmtree(released.state / "private")
    assert released.publisher("status", "--public").out == before
    shutil.rmtree(released.state)
    with at(2024, 2, 10, 9):  # nothing was ever promised
        assert rows(public(released), all_of_them=True)[:2] == [
            ("2024-01", "2024-02-10", "not due yet", "", "", 0),
            ("2024-02", "2024-03-01", "not due yet", "", "", 0),
        ]


def test_a_damaged_file_is_written_again(released: Town) -> None:
    """It is made of what the ledger has."""
    path = schedule_path(released.state / "public", "requests")
    before = path.read_bytes()
    path.write_text("{")
    assert rows(public(released))[0][2] == "released"
    assert released.run("requests").code == 0
    assert path.read_bytes() == before
    path.write_text(before.decode().replace('"2024-01"', '"January"'))
    assert released.run("requests").code == 0
    assert [each[0] for each in rows(public(released))] == ["2024-01", "2024-02", "2024-03"]


@pytest.mark.parametrize("days", [0, 1, 400])
def test_the_calendar_alone_makes_late(days: int) -> None:
    """The day of a period is over at midnight of its own clock; whatever else a period is, time does not change it."""
    told = ScheduleFacts.model_validate(
        {
            "dataset": "a",
            "title": "A",
            "timezone": "America/Chicago",
            "periods": [
                {"period": "2024-03", "due": "2024-04-05", "state": "not due yet", "edition": 0},
                {"period": "2024-02", "due": "2024-03-05", "since": "2024-03-05", "next_edition": "2024-04-05"},
                *(
                    {"period": "2024-01", "due": "2024-02-05", "state": state, "since": "2024-03-01"}
                    for state in STATES
                ),
            ],
        }
    )
    over = datetime.fromisoformat("2024-04-05T23:59:59-05:00") + timedelta(days=days)
    found = told.at(over)
    late = ("late", date(2024, 4, 6)) if days else None
    assert [(each.state, each.since) for each in found.periods[:2]] == [
        late or ("not due yet", None),
        late or ("released", date(2024, 3, 5)),
    ]
    left = [each for each in found.periods[2:] if each.state != "late"]
    assert left == [each for each in told.periods[2:] if each.state not in ("late", "not due yet")]


def test_the_portal_shows_it_and_learns_what_changed(scheduled: Town) -> None:
    """With the table; a period that is late with its reason though nothing else is pushed; a dataset of which nothing
    is public on the page of all; verified as it was pushed."""
    scheduled.expect("water", 1)

    def pushed() -> list[str]:
        workspace = find_workspace(scheduled.root)
        chosen = [workspace.dataset(name) for name in ("requests", "water")]
        report = run(workspace, chosen, PeriodSelection(), Nobody(), push=True)
        told = requests.get(f"{workspace.settings.portal.url}/schedule.json", timeout=60).json()["datasets"]
        facts = {each["dataset"]: each for each in told}
        assert facts["requests"]["page"].startswith(workspace.settings.portal.url)
        assert (facts["water"]["page"], facts["water"]["periods"][-1]["state"]) == (None, "held")
        states.append(facts["requests"]["periods"][0])
        return [f"{each.period} {each.status}" for each in report.outcomes if each.dataset == "requests"]

    states: list[dict[str, Any]] = []
    with serving(scheduled):
        with at(2024, 3, 6, 9):
            assert pushed() == ["2024-01 published", "2024-02 published"]
        with at(2024, 4, 6, 9):
            assert pushed() == []
        assert scheduled.publisher("verify", "requests").code == 0
    assert states[0] | {"state": "late", "since": "2024-04-06", "reason": "late"} == states[0]  # by the calendar
    assert states[1] == states[0] | {"reason": "feed missing"}


def test_nobody_is_told_of_a_dataset_before_its_reviewers(town: Town, tmp_path: Path) -> None:
    """Its title is on the portal once its definition was approved, though nothing of it is public yet."""
    reviewers = Reviewers.made(tmp_path / "keys")
    reviewers.ask(town, "ana")

    def unpublished() -> str:
        workspace = find_workspace(town.root)
        with locked(workspace) as catalog:
            for dataset in workspace.datasets.values():
                refresh_schedule(workspace, catalog, dataset)
            return schedule_facts(workspace, catalog, workspace.dataset("requests"))["unpublished"]

    assert unpublished() == ""
    reviewers.decide(town, "water")
    assert json.loads(unpublished())[0]["dataset"] == "water"
