"""`publisher run`: what it says, when it draws and charges, and how it ends."""

from __future__ import annotations

import fcntl
import json
import re
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet
import pytest
from township import CANARY, COMMAND, MONTHS, Town

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = [
    "dataset",
    "period",
    "edition",
    "final",
    "release",
    "status",
    "cells",
    "suppressed",
    "loss",
    "margin",
    "portal_url",
]


def test_a_run_says_what_became_of_every_period(released: Town) -> None:
    """One JSON array on standard output with exactly the documented fields, nothing on standard error."""
    answer = released.run()
    assert (answer.code, answer.err) == (0, "")
    assert [(row["dataset"], row["period"]) for row in answer.rows] == [
        (dataset, month) for dataset in ("requests", "water") for month in MONTHS
    ]
    for row in answer.rows:
        assert list(row) == FIELDS
        assert (row["edition"], row["final"], row["status"], row["portal_url"]) == (1, True, "ready", None)
        assert row["release"] == f"{row['dataset']}/{row['period']}/1"
        assert row["cells"] == {"requests": 9, "water": 3}[row["dataset"]]
        assert row["loss"] == "ρ 0.1"
        assert row["margin"] == {"requests": "±4 requests", "water": "±6 accounts"}[row["dataset"]]


def test_a_run_for_people_ends_with_a_table(released: Town) -> None:
    """The same as a table, without colors where nobody looks, and without a value of a record."""
    answer = released.publisher("run", "--no-push")
    assert (answer.code, answer.err) == (0, "")
    assert all(word in answer.out for word in ("suppressed", "margin (95%)", "water", "2024-03", "±6 accounts"))
    assert "\x1b" not in answer.out
    assert CANARY not in answer.out


def test_running_again_changes_nothing(released: Town) -> None:
    """No byte below releases and validations, no landed record, no charge; also when the feeds are gone by then."""
    before, charges = released.tree(), released.charges()
    for path in released.data.rglob("*.csv"):
        path.unlink()
    assert released.run().code == 0
    after = released.tree()
    kept = ("public/releases/", "public/validations/", "private/landed/", "private/reports/", "private/key",
            "private/measurements/")  # fmt: skip
    assert {name for name in before if name.startswith(kept)} == {name for name in after if name.startswith(kept)}
    assert not [name for name in after if name.startswith(kept) and after[name] != before[name]]
    assert released.charges() == charges
    assert len(charges) == len(set(charges)) == 6


def test_a_changed_title_is_the_same_release(released: Town) -> None:
    """Words are in no hash: no new edition; the analysts' file has the new title."""
    released.edit("datasets/water.toml", 'title = "Water by zone and month"', 'title = "Thirst"')
    answer = released.run("water", "--period", "2024-01")
    assert [(row["edition"], row["status"]) for row in answer.rows] == [(1, "ready")]
    titles = released.publisher("sql", "SELECT DISTINCT title FROM _releases WHERE dataset = 'water'")
    assert "Thirst" in titles.out
    assert len(released.charges()) == 6


def test_a_changed_threshold_finishes_the_same_draw_anew(released: Town) -> None:
    """A second edition with the same measurements, and no charge."""
    released.edit("datasets/water.toml", "threshold = 5", "threshold = 1000")
    answer = released.run("water", "--period", "2024-01")
    assert [(row["edition"], row["status"], row["suppressed"]) for row in answer.rows] == [(2, "ready", 3)]
    first, second = (released.releases / "water" / "2024-01" / edition for edition in "12")
    kept = [released.kept / "water" / "2024-01" / edition / "measurements.parquet" for edition in "12"]
    assert pyarrow.parquet.read_table(kept[0]).equals(pyarrow.parquet.read_table(kept[1]))
    charge = [json.loads((folder / "manifest.json").read_text())["charge"] for folder in (first, second)]
    assert charge[0] == charge[1]
    assert len(released.charges()) == 6
    assert released.publisher("verify", "--offline").code == 0


STATISTICAL = {
    "bounds": ("datasets/water.toml", "max_groups = 1", "max_groups = 2"),
    "keyset": ("datasets/keysets/zones.csv", "B,Lower zone\n", "B,Lower zone\nC,Harbor\n"),
}


@pytest.mark.parametrize("field", STATISTICAL)
def test_a_changed_statistical_field_is_a_new_charged_release(released: Town, field: str) -> None:
    """What decides the draw makes a second draw: charged, beside the first, which stays as it was."""
    name, before, after = STATISTICAL[field]
    first = released.tree("state/public/releases/water/2024-01/1")
    released.edit(name, before, after)
    answer = released.redraw("water", "--period", "2024-01")
    assert [(row["edition"], row["status"]) for row in answer.rows] == [(2, "ready")], answer.err
    assert released.charges()[6:] == [("water", "2024-01")]
    assert released.tree("state/public/releases/water/2024-01/1") == first
    assert released.measurements("water", "2024-01", 2) != released.measurements("water", "2024-01", 1)
    accounts = [row for row in released.publisher("ledger", "--json").rows if row["block"] == "2024-01"]
    assert [row["spent"] for row in accounts] == ["0.2"]


@pytest.mark.parametrize(
    ("arguments", "periods"),
    [
        (["--period", "2024-02"], ["2024-02"]),
        (["--period", "2024-Q1"], list(MONTHS)),
        (["--from", "2024-02"], ["2024-02", "2024-03"]),
        (["--to", "2024-02"], ["2024-01", "2024-02"]),
        (["--from", "2024-02", "--to", "2024-02"], ["2024-02"]),
        (["--from", "2024-01-15", "--to", "2024-02-29"], ["2024-02"]),
    ],
)
def test_periods_can_be_chosen(released: Town, arguments: list[str], periods: list[str]) -> None:
    """One, a longer one that holds several, from, to."""
    assert [row["period"] for row in released.run("water", *arguments).rows] == periods


MONTHS_OF_WATER = "water has the months 2024-01 to 2024-03"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--period", "2023"], MONTHS_OF_WATER),
        (["--period", "2024-04"], MONTHS_OF_WATER),
        (["--period", "2024-02-10"], MONTHS_OF_WATER),
        (["--period", "2024-W06"], MONTHS_OF_WATER),
        (["--from", "2024-02-02", "--to", "2024-02-20"], MONTHS_OF_WATER),
        (["--from", "2024-03", "--to", "2024-01"], "--from 2024-03 --to 2024-01: the end is before the start"),
        (["--period", "2024-01", "--to", "2024-02"], "use one or the other"),
        (["--redraw", "2024-03..2024-01"], "--redraw 2024-03..2024-01: the end is before the start"),
        (["--redraw", "2025"], MONTHS_OF_WATER),
        (["--redraw", "2024-01.."], "--redraw: '' is not a period"),
        (["--period", "soon"], "--period: 'soon' is not a period: write 2018-01-05"),
        (["--period", ""], "--period: '' is not a period"),
        (["--to", "2024-13"], "--to: '2024-13' is not a period: write 2018-01-05"),
    ],
)
def test_periods_that_are_not_there_are_refused(town: Town, arguments: list[str], words: str) -> None:
    """Exit code 2 and one message with the periods that the dataset has; nothing is begun."""
    answer = town.run("water", *arguments)
    assert (answer.code, answer.out, len(answer.err.splitlines())) == (2, "", 1)
    assert words in answer.err
    assert not town.state.exists()


def test_a_period_is_meant_for_those_that_have_it(town: Town) -> None:
    """Without names the datasets that have no such period are left out; each that is named must have it."""
    town.edit("datasets/requests.toml", 'last = "2024-03"', 'last = "2024-01"')
    assert {row["dataset"] for row in town.run("--period", "2024-02").rows} == {"water"}
    refused = town.run("requests", "water", "--period", "2024-02")
    assert (refused.code, refused.out) == (2, "")
    assert "requests has the months 2024-01 to 2024-01" in refused.err
    assert "water has" not in refused.err


HELD = r"the total of requests is \d+ \(give or take \d+\); expected at most 1 \(expectations/requests\.json\)"


def test_a_held_release_is_not_drawn_again(town: Town) -> None:
    """Exit code 3 and the expectation in numbers, until the suite is fixed: then the same bytes are current."""
    town.expect("requests", 1)
    for _ in range(2):
        answer = town.run("requests", "--period", "2024-01")
        assert (answer.code, [row["status"] for row in answer.rows]) == (3, ["held"])
        assert answer.err.startswith("error: requests 2024-01 is held: ")
        assert re.search(HELD, answer.err)
    bytes_held = town.tree("state/public/releases")
    shown = town.publisher("show", "requests")
    assert all(
        words in shown.out for words in ("held", "expected at most 1 (expectations/requests.json)", "revalidate")
    )
    validation = json.loads((town.state / "public/validations/requests/2024-01/1.json").read_text())
    (failure,) = validation["failures"]
    assert failure["numbers"]["at_most"] == 1
    assert failure["numbers"]["margin"] > 0
    assert town.publisher("revalidate").code == 3
    assert town.publisher("sql", "SELECT * FROM requests").code == 2
    town.expect("requests", 10_000)
    mended = town.publisher("revalidate", "requests")
    assert (mended.code, mended.err) == (0, "")
    assert "requests/2024-01/1: passed" in mended.out
    assert town.tree("state/public/releases") == bytes_held
    assert town.charges() == [("requests", "2024-01")]
    assert town.publisher("sql", "SELECT * FROM requests").code == 0


def test_a_suite_that_cannot_be_read_costs_nothing(town: Town) -> None:
    """It is found before the budget is touched."""
    town.expect("requests", 1)
    (town.root / "expectations" / "requests.json").write_text("{")
    answer = town.run("requests")
    assert answer.code == 2
    assert "expectations/requests.json" in answer.err
    assert not town.charges()


def test_over_budget_nothing_is_read_or_spent(released: Town) -> None:
    """Exit code 4 with what remains, although the feeds are not even there."""
    for path in released.data.rglob("*.csv"):
        path.unlink()
    released.edit("pipelines/meters.toml", "budget = 0.25", "budget = 0.15")
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.06")
    before = released.tree("state/private/landed") | released.tree("state/public/releases")
    answer = released.redraw("water")
    assert answer.code == 4
    assert [row["status"] for row in answer.rows] == ["refused"] * 3
    assert "block 2024-01 of source meters has 0.05 left of 0.15" in answer.err
    assert "Nothing was read or spent" in answer.err
    assert len(released.charges()) == 6
    assert released.tree("state/private/landed") | released.tree("state/public/releases") == before


def test_a_portal_that_cannot_be_reached_keeps_no_release_back(released: Town) -> None:
    """Exit code 6; what was released stays released and is pushed when the portal is there again."""
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        released.edit("publisher.toml", "127.0.0.1:9", f"127.0.0.1:{occupied.getsockname()[1]}")
        answer = released.publisher("run", "requests", "--period", "2024-01", "--json")
        assert (answer.code, len(answer.err.splitlines())) == (6, 1)
        assert [(row["status"], row["portal_url"]) for row in answer.rows] == [("ready", None)]
        for command in ("push", "verify"):
            assert released.publisher(command).code == 6
    assert released.run("requests", "--period", "2024-01").code == 0
    assert len(released.charges()) == 6


@pytest.mark.parametrize("command", [["run", "--period", "2024-01"], ["push"]])
def test_an_unreachable_portal_is_waited_for_once(released: Town, command: list[str]) -> None:
    """Its tries are made for the first dataset alone; one message names every dataset that was not delivered."""
    account = dict.fromkeys(("SOCRATA_USERNAME", "SOCRATA_PASSWORD", "SOCRATA_APP_TOKEN"), "x")
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        target = f'kind = "socrata"\ndomain = "127.0.0.1:{occupied.getsockname()[1]}"'
        released.edit("publisher.toml", 'url = "http://127.0.0.1:9"', target)
        answer = released.publisher(*command, **account)
    assert answer.code == 6
    assert len(answer.err.splitlines()) == 1, answer.err
    assert "cannot be reached" in answer.err
    assert "; not delivered: requests, water: run `publisher push` when the portal answers" in answer.err


def test_a_socrata_portal_needs_credentials(released: Town) -> None:
    """Exit code 6 names the variables that are not set."""
    released.edit("publisher.toml", 'url = "http://127.0.0.1:9"', 'kind = "socrata"\ndomain = "localhost:1"')
    answer = released.publisher("push", SOCRATA_USERNAME="somebody")
    assert answer.code == 6
    assert "set SOCRATA_PASSWORD, SOCRATA_APP_TOKEN in the environment" in answer.err


def test_one_run_at_a_time(released: Town) -> None:
    """Exit code 75 for whoever would write while another holds the lock; readers do not wait."""
    before = released.tree()
    with (released.state / "private" / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (
            ["run", "--no-push"],
            ["land"],
            ["revalidate"],
            ["rollback", "water", "--reason", "A file was missing", "--no-push"],
            ["push"],
        ):
            answer = released.publisher(*command)
            assert answer.code == 75
            assert "another run holds" in answer.err
        for command in (["releases"], ["show", "water"], ["ledger"], ["sql", "SELECT 1"], ["plan"]):
            assert released.publisher(*command).code == 0
    assert released.tree() == before


def test_analysts_read_while_a_run_is_at_work(released: Town) -> None:
    """The file can be opened at any moment, and holds one edition of each period, never half of one."""
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    command = [str(COMMAND), "run", "--no-push", "water", "--period", "2024-02", "--redraw", "2024-02", "--yes"]
    run = subprocess.Popen(
        command, cwd=released.root, env=released.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    seen = set()
    while run.poll() is None:
        seen.add(_editions(released.state / "public" / "open_data.duckdb"))
    _, errors = run.communicate()
    assert run.returncode == 0
    assert [line for line in errors.decode().splitlines() if not line.endswith(" s")] == []  # but for how far it is
    seen.add(_editions(released.state / "public" / "open_data.duckdb"))
    assert seen == {((3, 1), (3, 1), (3, 1)), ((3, 1), (3, 2), (3, 1))}


def _editions(path: Path) -> tuple[Any, ...]:
    """Of each period of water, its rows and its edition."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return tuple(
            connection.execute("SELECT count(*), max(edition) FROM water GROUP BY period ORDER BY period").fetchall()
        )
