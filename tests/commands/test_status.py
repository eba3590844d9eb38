"""`publisher status`: the one screen of a morning, with what needs a person and the command to type."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from publisher.definitions.period import containing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from township import Answer, Town


def said(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.out)
    return found


def dataset(answer: Answer, name: str = "requests") -> dict[str, Any]:
    (found,) = [each for each in said(answer)["datasets"] if each["dataset"] == name]
    return dict(found)


def words(answer: Answer) -> str:
    """What is said, without the ends of its lines."""
    return " ".join(answer.out.split())


@contextmanager
def serving(town: Town) -> Iterator[subprocess.Popen[bytes]]:
    """The town's portal, as a process that answers at the address in the settings."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    town.edit("publisher.toml", "http://127.0.0.1:9", f"http://127.0.0.1:{port}")
    ready = town.root / "ready"
    command = [sys.executable, "-m", "publisher.portal", str(town.state / "portal"), "--port", str(port)]
    with subprocess.Popen([*command, "--ready-file", str(ready)], stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while not ready.exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            process.wait(15)


def test_a_morning_without_trouble(released: Town) -> None:
    """Each dataset with its last release; nothing needs anyone, nothing is asked of a portal, and nothing changes."""
    before = released.tree()
    answer = released.publisher("status", "--check", "--offline")
    assert (answer.code, answer.err) == (0, "")
    rows = [line.split() for line in answer.out.splitlines()]
    assert ["requests", "2024-03", "ok", "-", "lasts", "-"] in rows
    assert ["water", "2024-03", "ok", "-", "lasts", "-"] in rows
    assert ["meters", "meters.csv", "today"] in rows
    assert "Nothing needs you." in answer.out
    assert released.tree() == before


def test_what_is_held_can_be_accepted(town: Town) -> None:
    """It says why, and the command that publishes it; a total that is too high is nobody's private matter."""
    town.expect("requests", 0)
    town.run("requests", "--period", "2024-01")
    answer = town.publisher("status", "--offline", "--check", "requests")
    assert "requests 2024-01: held: " in words(answer)
    assert '`publisher accept requests 2024-01 --reason "..."`' in words(answer)
    assert answer.out.splitlines()[1].split()[:3] == ["requests", "2024-01", "HELD"]
    assert answer.code == 5, "its other two periods are late, which is more serious"
    town.run("requests")
    assert town.publisher("status", "--offline", "--check", "requests").code == 3


def test_a_late_release_says_since_when_and_why(released: Town) -> None:
    """The days since it was due, and the day of the last file where no newer one has come."""
    released.edit("datasets/requests.toml", 'last = "2024-03"\n', "")
    came = datetime(2024, 4, 2, 18, tzinfo=UTC).timestamp()
    os.utime(released.data / "requests" / "first.csv", (came, came))
    answer = released.publisher("status", "--offline", "--check")
    assert answer.code == 5
    assert "requests: 2024-04 was due May 1, 2024 and is not released, nor are " in words(answer)
    assert "No file has come since Apr 2, 2024" in words(answer)
    found = dataset(released.publisher("status", "--offline", "--json"))
    assert found["state"] == "late"
    assert found["days_late"] in {(datetime.now(UTC).date() - date(2024, 5, 1)).days + n for n in (-1, 0)}
    next_month = containing(datetime.now(UTC).date() - timedelta(days=1), "month").end
    assert date.fromisoformat(found["next_due"]) >= next_month
    (released.data / "requests" / "first.csv").unlink()
    assert "There is no raw file" in words(released.publisher("status", "--offline", "requests"))


def test_the_budget_is_told_as_time(town: Town) -> None:
    """How long it lasts if all goes on as defined, and the first period that is refused."""
    month = containing(datetime.now(UTC).date(), "month")
    later = [month]
    for _ in range(24):
        later.append(containing(later[-1].end, "month"))
    town.edit("datasets/requests.toml", 'first = "2024-01"\nlast = "2024-03"', f'first = "{month.label}"')
    town.edit("pipelines/requests.toml", 'window = "day"\nbudget = 0.25', 'window = "lifetime"\nbudget = 2.05')
    found = dataset(town.publisher("status", "--offline", "--json", "requests"))
    assert (found["state"], found["budget_until"]) == ("none", later[20].label)
    assert found["budget"] in {"19 months", "20 months"}
    assert found["next_due"] == month.end.isoformat()


def test_a_due_release_that_the_budget_refuses(town: Town) -> None:
    """Exit code 4, and where to see what is left."""
    town.edit("pipelines/requests.toml", 'window = "day"', 'window = "lifetime"')
    assert town.run("requests").code == 4, "the budget pays for two of three periods"
    answer = town.publisher("status", "--offline", "--check", "requests")
    assert answer.code == 4
    assert "requests: 2024-03 is due, and the budget of requests does not pay for it" in words(answer)
    assert answer.out.splitlines()[1].split()[1] == "2024-02"
    assert "used up" in answer.out


def test_an_edited_definition_is_told_before_the_run_refuses(due: Town) -> None:
    """What would be charged again, with both ways on."""
    answer = due.publisher("status", "--offline", "--check", "requests")
    assert answer.code == 2
    assert "publisher run requests --redraw 2024-01..2024-03" in words(answer)


def test_the_portal_is_asked_what_it_shows(released: Town) -> None:
    """As sent after a push; behind after a decision that was not pushed; unreachable in seconds when it is gone."""
    never = released.publisher("status", "--check")
    assert dataset(released.publisher("status", "--json"))["portal"] == "3 behind"
    assert "portal: does not show 6 periods as released: `publisher push requests water`." in words(never)
    assert never.code == 6
    with serving(released):
        pushed = released.publisher("push")
        assert pushed.code == 0, pushed.err
        good = released.publisher("status", "--check")
        assert (good.code, good.out.count("as sent")) == (0, 2), good.out
        assert released.publisher("rollback", "requests", "--no-push", "--reason", "A file was missing").code == 0
        behind = released.publisher("status", "--check", "requests")
        assert behind.code == 6
        assert behind.out.splitlines()[1].split()[:3] == ["requests", "2024-03", "retracted"]
        assert "`publisher push requests`" in behind.out
        assert released.publisher("push").code == 0
        assert dataset(released.publisher("status", "--json"))["portal"] == "2024-02 shown"
    began = time.monotonic()
    gone = released.publisher("status", "--check")
    assert time.monotonic() - began < 30
    assert (gone.code, gone.out.count("unreachable")) == (6, 2)
    assert "`publisher serve` starts it" in words(gone)


def test_without_state_all_is_due(town: Town) -> None:
    """Nothing was ever released or landed, and looking creates nothing."""
    shutil.rmtree(town.state, ignore_errors=True)
    answer = town.publisher("status")
    assert (answer.code, answer.err) == (0, "")
    assert [line.split()[:3] for line in answer.out.splitlines()[1:3]] == [
        ["requests", "none", "due"],
        ["water", "none", "due"],
    ]
    assert "none yet" in answer.out
    assert not town.state.exists()


def test_a_damaged_ledger_is_one_message(released: Town) -> None:
    """With its documented exit code, and nothing half said."""
    (released.state / "private" / "ledger.sqlite").write_bytes(b"not a database" * 1000)
    answer = released.publisher("status")
    assert (answer.code, answer.out, len(answer.err.splitlines())) == (5, "", 1)
    assert "ledger" in answer.err
