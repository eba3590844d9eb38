"""`publisher purge`: what is beyond its retention goes, with a certificate, and never before its release."""

from __future__ import annotations

import json
import os
import re
from datetime import date
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_due import Nobody

from publisher.errors import PurgedError
from publisher.pipeline import publish
from publisher.pipeline.retention import purge, retention_of
from publisher.pipeline.session import locked, opened
from publisher.records.purging import purged_of
from publisher.records.reader import raw
from publisher.run import PeriodSelection, run
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from township import Town

    from publisher.workspace import SourceFile, Workspace

WORDS = "not released: its records were purged under the retention schedule"


def landed(town: Town, source: str) -> list[str]:
    """The months of which landed rows are there."""
    folder = town.state / "private" / "landed" / source
    return sorted({path.parent.name.removeprefix("month=") for path in folder.rglob("*.parquet")})


def certificates(town: Town) -> list[dict[str, Any]]:
    """The entries of the journal about purges."""
    lines = (town.state / "private" / "journal.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == "purge"]


def retain(town: Town, text: str, source: str = "requests") -> None:
    """Adds to a source's definition."""
    path = town.root / "pipelines" / f"{source}.toml"
    path.write_text(path.read_text() + text)


def test_a_purge_has_a_certificate_and_leaves_what_was_released(released: Town) -> None:
    """Rows beyond retention are deleted after a person agrees; the journal names months, files by hash and the rule;
    what was released verifies and can be finished again; nothing lands again."""
    folder = released.state / "private"
    before = {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.parquet")
    }
    planned = released.publisher("purge", "--dry-run")
    assert (planned.code, planned.out.count("are due to be purged")) == (0, 2)
    refused = released.publisher("purge")
    assert (refused.code, "add --yes to agree. Nothing was purged." in refused.err) == (2, True)
    assert len(landed(released, "requests")) >= 3
    answer = released.publisher("purge", "requests", "--yes", PUBLISHER_USER="Ana Ruiz")
    assert (answer.code, answer.err.count("due to be purged")) == (0, 1), answer.err
    assert "requests: purged by retention_months = 12: records from before 20" in answer.out
    assert "2024" not in answer.out, "which months had records is not for the log of a run"
    assert landed(released, "requests") == []
    assert len(landed(released, "meters")) >= 3
    (certificate,) = certificates(released)
    assert certificate["who"].startswith("Ana Ruiz (")
    assert certificate["reason"].startswith("retention_months = 12: records from before 20")
    details = certificate["details"]
    assert set(details) == {"months", "not_released", "files"}
    assert [month for month in details["months"] if month != "none"] == ["2024-01", "2024-02", "2024-03"]
    assert dict(details["files"]).items() <= before.items()
    assert released.publisher("purge", "requests", "--yes").out == "requests: nothing is due to be purged.\n"
    again = released.run()
    assert (again.code, {row["status"] for row in again.rows}) == (0, {"ready"})
    assert landed(released, "requests") == []
    released.edit("datasets/requests.toml", "threshold = 5", "threshold = 6")
    finished = released.run("requests")
    assert (finished.code, {row["edition"] for row in finished.rows}) == (0, {2})
    assert released.publisher("verify", "--offline").code == 0
    assert len(released.charges()) == 6


def test_records_wait_for_their_release(town: Town) -> None:
    """Months of which a release is due are kept, `status` says which; the others go."""
    assert town.run("requests", "--period", "2024-01").code == 0
    said = town.publisher("purge", "requests", "--yes")
    assert said.code == 0
    assert [month for month in landed(town, "requests") if month != "none"] == ["2024-02", "2024-03"]
    (row,) = json.loads(town.publisher("status", "--offline", "--json", "requests").out)["retention"]
    assert row["waiting"] == ["requests 2024-02", "requests 2024-03"]
    assert row["hold"] is None
    assert (row["due_before"], row["not_released"]) == (None, [])
    shown = town.publisher("status", "--offline", "requests").out
    assert "kept beyond retention, since a release of them is still due: requests 2024-02, requests 2024-03." in shown
    assert town.run("requests").code == 0
    assert town.publisher("purge", "requests", "--yes").code == 0
    assert landed(town, "requests") == []


def test_records_wait_for_the_last_scheduled_edition(released: Town) -> None:
    """Where later editions are scheduled, the first one frees nothing before the deadline."""
    late = '\n[late]\npolicy = "charge"\nafter_days = [0, 65]\n\n[retention]\ndeadline_months = 12\n'
    retain(released, late)
    workspace = find_workspace(released.root)
    with opened(workspace) as catalog:
        found = retention_of(workspace, catalog, workspace.source("requests"))
    assert [period.label for _, period in found.not_released] == ["2024-01", "2024-02", "2024-03"]
    assert found.waiting == ()
    released.edit("pipelines/requests.toml", "deadline_months = 12", "deadline_months = 1200")
    workspace = find_workspace(released.root)
    with opened(workspace) as catalog:
        found = retention_of(workspace, catalog, workspace.source("requests"))
    assert [(each.period.label, each.deadline) for each in found.waiting] == [
        ("2024-01", date(2124, 2, 1)),
        ("2024-02", date(2124, 3, 1)),
        ("2024-03", date(2124, 4, 1)),
    ]
    assert not any(found.next.holds(month) for month in ("2024-01", "2024-02", "2024-03"))


def test_at_the_deadline_a_period_is_not_released(town: Town) -> None:
    """Its records go, its charge stays spent, a run says so and goes on, and whoever asks for it is refused with the
    fixed words before anything is charged; `status` no longer calls it late."""
    assert town.run("requests", "--period", "2024-01").code == 0
    retain(town, "\n[retention]\nautomatic = true\ndeadline_months = 13\n")
    town.edit("datasets/requests.toml", 'first = "2024-01"', 'first = "2023-12"')
    assert town.publisher("land", "requests").code == 0
    planned = town.publisher("purge", "requests", "--dry-run").out
    assert "will not be released any more once they are purged: requests 2023-12, requests 2024-02, requests" in planned
    charges = town.charges()
    assert town.publisher("purge", "requests", "--yes").code == 0
    assert certificates(town)[0]["details"]["not_released"] == [
        "requests 2023-12",
        "requests 2024-02",
        "requests 2024-03",
    ]
    answer = town.run("requests")
    assert (answer.code, answer.err) == (0, "")
    assert {row["period"]: row["status"] for row in answer.rows} == {
        "2023-12": "not released",
        "2024-01": "ready",
        "2024-02": "not released",
        "2024-03": "not released",
    }
    asked = town.run("requests", "--period", "2024-02")
    assert (asked.code, f"requests 2024-02: {WORDS}" in asked.err) == (5, True)
    town.edit("datasets/requests.toml", "rho = 0.1", "rho = 0.05")
    again = town.run("requests", "--redraw", "2024-01", "--yes")
    assert (again.code, f"requests 2024-01: {WORDS}" in again.err) == (5, True)
    assert town.charges() == charges
    town.edit("datasets/requests.toml", "rho = 0.05", "rho = 0.1")
    shown = town.publisher("status", "--offline", "requests")
    assert "not released, since their records were purged: requests 2023-12" in shown.out
    assert "late" not in shown.out


def test_a_run_purges_only_where_the_source_says_so(town: Town) -> None:
    """After everything due was released, and once; reports as the source says, and no measurement of what is gone."""
    retain(town, "\n[retention]\nautomatic = true\nreports_months = 12\n", "meters")
    town.edit("pipelines/meters.sql", " AS liters", " AS liters, TRY_CAST('l' || raw.liters AS DOUBLE) AS never")
    assert town.run().code == 0
    assert not list((town.state / "private" / "reports" / "requests").glob("casts-*")), "all was cast"
    assert landed(town, "meters") == []
    assert len(landed(town, "requests")) >= 3
    (certificate,) = certificates(town)
    reports = [name for name, _ in certificate["details"]["files"] if name.startswith("reports/")]
    assert [name.rsplit("/")[-1] for name in reports] == [f"casts-water-2024-0{month}.json" for month in (1, 2, 3)]
    assert not list((town.state / "private" / "reports" / "meters").glob("casts-*"))
    assert town.run().code == 0
    assert len(certificates(town)) == 1
    charges = town.charges()
    tuned = town.publisher("tune", "meters", "--period", "2024-01", "--rho", "0.01", "--yes")
    assert (tuned.code, WORDS in tuned.err) == (5, True), tuned.err
    assert town.charges() == charges


def test_a_run_does_not_believe_a_clock_far_ahead(town: Town) -> None:
    """By a clock that is years ahead everything is beyond retention: where no file came for long, a person purges."""
    for path in town.data.rglob("*.csv"):
        os.utime(path, (1_736_000_000, 1_736_000_000))  # 4 January 2025
    retain(town, "\n[retention]\nautomatic = true\n", "meters")
    answer = town.run("water")
    assert answer.code == 0
    assert "meters: not purged by itself: the newest landed file is of 2025-01-04" in answer.err
    assert len(landed(town, "meters")) >= 3
    planned = town.publisher("purge", "meters", "--dry-run").out
    assert "are due to be purged: `publisher purge meters` does it." in planned
    assert "is the clock of this machine right?" in planned
    assert town.publisher("purge", "meters", "--yes").code == 0
    assert landed(town, "meters") == []


def test_a_legal_hold_stops_purging(released: Town) -> None:
    """As long as it lasts, by hand and by itself; `status` shows its reason."""
    retain(released, '\n[retention]\nautomatic = true\n\n[[hold]]\nreason = "Case 26-114"\nsince = 2026-01-02\n')
    before = landed(released, "requests")
    answer = released.publisher("purge", "requests", "--yes")
    assert (answer.code, "a legal hold is in force since 2026-01-02: Case 26-114." in answer.out) == (0, True)
    assert released.run().code == 0
    assert "Case 26-114" in released.publisher("status", "--offline").out
    assert (landed(released, "requests"), certificates(released)) == (before, [])
    released.edit("pipelines/requests.toml", "since = 2026-01-02", "since = 2026-01-02\nuntil = 2026-01-03")
    assert released.run().code == 0
    assert landed(released, "requests") == []


class Killed(BaseException):
    """The process ends here."""


def test_a_purge_that_is_killed_anywhere_ends_the_same(released: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each write and deletion in turn: after it, nothing purged can be read, and the next purge, or run, ends with
    the same files and one certificate that names them all."""
    workspace = find_workspace(released.root)
    source = workspace.source("requests")
    begun = {path: path.read_bytes() for path in workspace.private.rglob("*") if path.is_file()}
    expected: list[str] = []
    for stop in count():
        for path in [path for path in workspace.private.rglob("*") if path.is_file() and path not in begun]:
            path.unlink()
        for path, content in begun.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        killed = _purge_killed(workspace, source, stop, monkeypatch)
        (certificate,) = certificates(released) or [None]
        if killed and purged_of(workspace.private, "requests").pending is not None:
            with pytest.raises(PurgedError):
                raw(source, workspace.private, date(2024, 1, 1), date(2024, 2, 1))
            with locked(workspace) as catalog:
                purge(workspace, catalog, retention_of(workspace, catalog, source))
            (certificate,) = certificates(released)
        if certificate is not None:
            names = [name for name, _ in certificate["details"]["files"]]
            expected = expected or names
            assert (names, landed(released, "requests")) == (expected, [])
        if not killed:
            break
    assert stop > len(expected) >= 3


def _purge_killed(workspace: Workspace, source: SourceFile, stop: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a purge was killed before that many writes and deletions were done."""
    done = 0

    def counted(original: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal done
            if done == stop:
                raise Killed
            done += 1
            return original(*given, **named)

        return call

    try:
        with locked(workspace) as catalog, monkeypatch.context() as patched:
            standing = retention_of(workspace, catalog, source)
            patched.setattr(Path, "unlink", counted(Path.unlink))
            patched.setattr(Path, "replace", counted(Path.replace))
            patched.setattr(Path, "rmdir", counted(Path.rmdir))
            patched.setattr(os, "write", counted(os.write))
            purge(workspace, catalog, standing)
    except Killed:
        return True
    return False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n[retention]\ndeadline_months = 11\n", "retention.deadline_months: must be at least retention_months"),
        ('\n[[hold]]\nreason = "x"\nsince = 2026-01-02\nuntil = 2026-01-01\n', "must not be before `since`"),
        ('\n[[hold]]\nreason = "x"\nsince = "soon"\n', "since"),
    ],
)
def test_wrong_settings_are_refused(town: Town, text: str, words: str) -> None:
    """With the file, the key and the line (2)."""
    retain(town, text)
    answer = town.publisher("purge", "--dry-run")
    assert (answer.code, words in answer.err) == (2, True), answer.err
    assert re.search(r"pipelines/requests\.toml:\d+", answer.err)


def test_no_purge_where_records_lie_in_a_store(released: Town) -> None:
    """It stops before anything, and a source whose records were purged is not landed there: its raw files have them."""
    settings = released.root / "publisher.toml"
    without = settings.read_text()
    stored = f'{without}\n[landed]\nurl = "s3://records/town"\nendpoint = "https://127.0.0.1:9"\n'
    settings.write_text(stored)
    refused = released.publisher("purge", "requests", "--yes")
    assert (refused.code, "landed.url" in refused.err, "Nothing was purged" in refused.err) == (2, True, True)
    settings.write_text(without)
    assert released.publisher("purge", "requests", "--yes").code == 0
    settings.write_text(stored)
    landed_there = released.publisher("land", "requests")
    assert (landed_there.code, "Nothing was landed" in landed_there.err) == (5, True), landed_there.err


def test_a_charge_without_its_draw_waits_and_stays_spent(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed between charge and noise has a draw that is still due: its records are kept. At the deadline
    they go: it is not released, and what was charged is spent."""
    retain(town, "\n[retention]\ndeadline_months = 1200\n")

    def killed(*_: object) -> None:
        raise Killed

    workspace = find_workspace(town.root)
    with monkeypatch.context() as patch:
        patch.setattr(publish, "add_noise", killed)
        for _ in range(2):
            with pytest.raises(Killed):
                run(workspace, [workspace.dataset("requests")], PeriodSelection(newest=True), Nobody(), push=False)
    assert town.charges() == [("requests", "2024-03")]
    with locked(workspace) as catalog:
        found = retention_of(workspace, catalog, workspace.source("requests"))
        assert "2024-03" in [each.period.label for each in found.waiting]
        purge(workspace, catalog, found)
    assert "2024-03" in landed(town, "requests")
    town.edit("pipelines/requests.toml", "deadline_months = 1200", "deadline_months = 12")
    assert town.publisher("purge", "requests", "--yes").code == 0
    assert {row["status"] for row in town.run("requests").rows} == {"not released"}
    assert town.charges() == [("requests", "2024-03")]


def test_a_register_needs_no_reading_from_before_its_period(town: Town) -> None:
    """A meter's first reading of a period has no difference, so the period that is left counts the same whether the
    readings before it are there or purged: no unit's last reading has to outlive its rows."""
    town.without_noise()
    retain(town, '\n[register]\nreading = "liters"\nconsumption = "flow"\n', "meters")
    town.edit("datasets/water.toml", 'column = "liters"', 'column = "flow"')
    whole = town.copy(town.root.parent / "whole")
    assert whole.run("water").code == 0
    for month in ("2024-01", "2024-02"):
        assert town.run("water", "--period", month).code == 0
    assert town.publisher("purge", "meters", "--yes").code == 0
    assert [month for month in landed(town, "meters") if month != "none"] == ["2024-03"]
    assert town.run("water").code == 0
    for month in ("2024-01", "2024-02", "2024-03"):
        found, expected = town.measurements("water", month), whole.measurements("water", month)
        assert found["used"] == expected["used"]
        assert sum(found["used"].values()) > 0


def test_a_window_that_is_purged_in_part_is_not_read_in_part(town: Town) -> None:
    """A dataset whose period reaches into a purged month is refused as a whole, before it is charged."""
    assert town.run("requests", "--period", "2024-01").code == 0
    assert town.publisher("purge", "requests", "--yes").code == 0
    definition = (town.root / "datasets" / "requests.toml").read_text()
    quarter = definition.replace('"month"', '"quarter"').replace("2024-01", "2024-Q1").replace("2024-03", "2024-Q1")
    (town.root / "datasets" / "quarters.toml").write_text(quarter)
    charges = town.charges()
    asked = town.run("quarters", "--period", "2024-Q1")
    assert (asked.code, f"quarters 2024-Q1: {WORDS}" in asked.err) == (5, True)
    assert town.charges() == charges
    assert {row["status"] for row in town.run("quarters").rows} == {"not released"}
