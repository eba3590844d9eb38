"""Totals over time, from the definition to the files: when they are computed and when withheld, and at no cost."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow.parquet
import pytest

from publisher.pipeline.session import opened
from publisher.pipeline.totals import totals_of, withheld
from publisher.privacy.distribution import Noise
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from township import Town

QUARTER = """
[[totals]]
name = "quarter"
title = "Requests by district, quarter and sort"
grain = "quarter"

[portal]
"""
TO_DATE = QUARTER.replace('"quarter"', '"so-far"', 1).replace('grain = "quarter"', 'grain = "year_to_date"')
WHY = ("--reason", "A file was missing", "--no-push")


def declare(town: Town, total: str = QUARTER) -> None:
    town.edit("datasets/requests.toml", "\n[portal]\n", total)


@pytest.fixture(scope="module")
def added_town(first_town: Town, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A town that declared a total after everything was released, and ran again; nobody changes it."""
    town = first_town.copy(tmp_path_factory.mktemp("added") / "town")
    declare(town)
    answer = town.run("requests")
    assert answer.code == 0, answer.err
    return town


@pytest.fixture
def added(added_town: Town, tmp_path: Path) -> Town:
    return added_town.copy(tmp_path / "town")


def totals(town: Town) -> dict[str, str]:
    return town.tree("state/public/totals")


def table(town: Town, edition: int = 1) -> Any:
    path = town.state / f"public/totals/requests-quarter/2024-Q1/{edition}/rollup-quarter.parquet"
    return pyarrow.parquet.read_table(path)


def in_analyst_file(town: Town, name: str = "requests_quarter") -> list[tuple[Any, ...]]:
    """Period, edition and rows of that table; nothing if it is not there."""
    with duckdb.connect(str(town.state / "public/open_data.duckdb"), read_only=True) as connection:
        if (name,) not in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            return []
        query = f"SELECT period, edition, count(*) FROM {name} GROUP BY ALL ORDER BY ALL"
        return connection.execute(query).fetchall()


def test_totals_are_free_and_follow_from_what_was_kept(first_town: Town, added: Town) -> None:
    """Declared afterwards, the quarter appears with no charge and no other edition of any month; it is the sum of the
    measurements, cut at zero once; the ledger has it, and everything that was written is as it was."""
    assert added.charges() == first_town.charges()
    assert added.tree("state/public/releases") == first_town.tree("state/public/releases")
    assert added.tree("state/private/measurements") == first_town.tree("state/private/measurements")
    months = [added.measurements("requests", f"2024-0{n}")["requests"] for n in (1, 2, 3)]
    found = table(added)
    sums = [sum(each) for each in zip(*(month.values() for month in months), strict=True)]
    values, statuses = found["requests"].to_pylist(), found["requests_status"].to_pylist()
    assert found["id"].to_pylist() == [name.replace("2024-01", "2024-Q1") for name in months[0]]
    assert [value if status != "suppressed" else None for value, status in zip(values, statuses, strict=True)] == [
        max(each, 0) if each >= 5 else None for each in sums
    ]
    assert set(found["period"].to_pylist()) == {"2024-Q1"}
    says = json.loads((added.state / "public/totals/requests-quarter/2024-Q1/1/manifest.json").read_text())
    (described,) = [each["description"] for each in says["columns"] if each["name"] == "requests"]
    assert "does not add up with the published months to the digit" in described
    assert (says["charge"]["loss"], says["charge"]["blocks"]) == ("0", [])
    assert list(says["added"]) == [f"requests/2024-0{n}/1" for n in (1, 2, 3)]
    (entry,) = added.ledger("SELECT payload FROM entries WHERE kind = 'total'")
    assert json.loads(entry[0])["dataset"] == "requests-quarter"
    assert in_analyst_file(added) == [("2024-Q1", 1, 9)]
    assert added.publisher("verify", "--offline").code == 0


def test_people_are_told_of_totals(added: Town) -> None:
    """`check`, `plan` and `show` name them; `plan` says that they cost nothing."""
    assert "totals over time: quarter" in added.publisher("check").out
    plan = added.publisher("plan", "requests").out
    assert "At no cost: totals over time in requests-quarter, from the noisy numbers of the releases." in plan
    shown = added.publisher("show", "requests", "--table", "quarter")
    assert shown.out.startswith("requests-quarter/2024-Q1/1: ready\n"), shown.err
    assert "How privacy is protected" in shown.out
    assert "Other tables" not in shown.out, "it has no other"
    assert "Other tables: quarter." in added.publisher("show", "requests").out
    strange = added.publisher("show", "requests", "--table", "year")
    assert (strange.code, "its other tables: quarter" in strange.err) == (2, True)


def test_running_again_writes_nothing(added: Town) -> None:
    """Not a byte of a total, and not an entry in the ledger."""
    before, entries = totals(added), added.ledger("SELECT count(*) FROM entries")
    assert added.run("requests").code == 0
    assert (totals(added), added.ledger("SELECT count(*) FROM entries")) == (before, entries)


def test_what_a_killed_run_left_is_written_again(first_town: Town, added: Town, tmp_path: Path) -> None:
    """A folder that the ledger does not have was never shown: it is replaced, and the total has the same bytes as
    without the kill."""
    town = first_town.copy(tmp_path / "killed")
    declare(town)
    left = town.state / "public/totals/requests-quarter/2024-Q1/1"
    left.mkdir(parents=True)
    (left / "manifest.json").write_text("{")
    assert town.publisher("show", "requests", "--table", "quarter").code == 2
    answer = town.run("requests")
    assert answer.code == 0, answer.err
    assert totals(town) == totals(added)


def test_a_retracted_month_takes_the_total_back(added: Town) -> None:
    """At once, in every table that people read; restored, the same edition is current again."""
    before = totals(added)
    assert added.publisher("rollback", "requests", "--period", "2024-02", *WHY).code == 0
    assert in_analyst_file(added) == []
    assert added.publisher("show", "requests", "--table", "quarter").out.startswith(
        "requests-quarter/2024-Q1/1: retracted"
    )
    assert added.run("requests").code == 0
    assert in_analyst_file(added) == []
    assert added.publisher("rollback", "requests", "--undo", *WHY).code == 0
    assert in_analyst_file(added) == [("2024-Q1", 1, 9)]
    assert totals(added) == before


def test_a_held_month_is_in_no_total(first_town: Town, tmp_path: Path) -> None:
    """Until a person accepts it, nothing is computed from it."""
    town = first_town.copy(tmp_path / "held")
    town.edit("datasets/requests.toml", "threshold = 5", "threshold = 4")
    declare(town)
    town.expect("requests", 1)
    for month in ("2024-01", "2024-02", "2024-03"):
        assert town.publisher("rollback", "requests", "--period", month, *WHY).code == 0
    town.edit("datasets/requests.toml", "rho = 0.1", "rho = 0.12")
    assert town.redraw("requests").code == 3
    assert totals(town) == {}
    for month in ("2024-01", "2024-02"):
        assert town.publisher("accept", "requests", month, "--yes", *WHY).code == 0
    assert (totals(town), in_analyst_file(town)) == ({}, [])
    assert town.publisher("accept", "requests", "2024-03", "--yes", *WHY).code == 0
    assert in_analyst_file(town) == [("2024-Q1", 1, 9)]


def test_a_new_finish_is_a_new_edition(added: Town) -> None:
    """Another threshold gives every month and the quarter another edition from the same numbers; nothing is charged."""
    charges = added.charges()
    added.edit("datasets/requests.toml", "threshold = 5", "threshold = 100000")
    assert added.run("requests").code == 0
    assert in_analyst_file(added) == [("2024-Q1", 2, 9)]
    assert set(table(added, 2)["requests_status"].to_pylist()) == {"suppressed"}
    assert added.charges() == charges


def test_macros_say_that_totals_are_not_their_table(added: Town) -> None:
    """A choice of rows that are there is not called empty."""
    asked = (
        "margin_of_sum('requests_quarter', 'requests')",
        "margin_of_difference('requests_quarter', 'requests', 'true', 'true')",
        "differ('requests_quarter', 'requests', 'a', 'b')",
    )
    with duckdb.connect(str(added.state / "public/open_data.duckdb"), read_only=True) as file:
        for each in asked:
            (reason,) = file.execute(f"SELECT reason FROM {each}").fetchone() or ("",)
            assert "a table of totals over time" in reason
        (reason,) = file.execute("SELECT reason FROM margin_of_sum('requests', 'requests')").fetchone() or ("",)
        assert "over time" not in (reason or "")


def test_months_of_several_losses_are_added_up(added: Town) -> None:
    """A month that was drawn again at another loss: the margin is that of the noise which each month has."""
    added.edit("datasets/requests.toml", "rho = 0.1", "rho = 0.001")
    answer = added.run("requests", "--redraw", "2024-03", "--yes", "--period", "2024-03")
    assert answer.code == 0, answer.err
    assert in_analyst_file(added) == [("2024-Q1", 2, 9)]
    tables = [table(added, edition) for edition in (1, 2)]
    widths = [
        np.array(each["requests_high"].to_pylist(), float) - np.array(each["requests_low"].to_pylist(), float)
        for each in tables
    ]
    # σ is √5 in a month, and √500 in the one that was drawn again.
    for width, loss in zip(widths, (5, 500), strict=True):
        draws = [("discrete gaussian", each**0.5) for each in (5, 5, loss)]
        assert np.nanmax(width) == 2 * Noise(tuple(draws)).half_width(0.95)


def test_months_that_count_other_things_are_not_added_up(added: Town) -> None:
    """The bounds, keys or records of one month are no longer those of the others: the total is withheld."""
    added.edit("pipelines/requests.sql", "SELECT kinds.sort", "SELECT upper(kinds.sort) AS sort")
    assert added.run("requests", "--redraw", "2024-03", "--yes", "--period", "2024-03").code == 0
    assert in_analyst_file(added) == []
    assert len(totals(added)) == len({name for name in totals(added) if name.startswith("requests-quarter/2024-Q1/1/")})


def test_a_changed_measurement_is_named(first_town: Town, tmp_path: Path) -> None:
    """The total is not computed, and everything else is done."""
    town = first_town.copy(tmp_path / "town")
    declare(town)
    path = town.kept / "requests/2024-02/1/measurements.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    answer = town.run("requests")
    assert (answer.code, "requests/2024-02/1: changed since it was written" in answer.err) == (5, True)
    assert (totals(town), len(in_analyst_file(town, "requests"))) == ({}, 3)


def test_verify_finds_a_changed_total(added: Town) -> None:
    """The folder is named; deleted, the next run writes the total again: the same edition with the same bytes, and
    nothing in the ledger."""
    before, entries = totals(added), added.ledger("SELECT count(*) FROM entries")
    folder = added.state / "public/totals/requests-quarter/2024-Q1/1"
    path = folder / "rollup-quarter.csv"
    path.write_text(path.read_text() + " ")
    answer = added.publisher("verify", "--offline")
    words = f"{folder}: changed since it was written: delete that folder"
    assert (answer.code, words in answer.out + answer.err) == (5, True)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"suppressed": ', '"suppressed": 1'))
    answer = added.publisher("verify", "--offline")
    assert f"{manifest}: changed since it was written: delete that folder" in answer.out + answer.err
    assert added.publisher("show", "requests", "--table", "quarter").code == 5
    answer = added.run("requests")
    assert (answer.code, answer.err.count("changed since it was written")) == (5, 1)
    assert in_analyst_file(added) == []
    for each in folder.iterdir():
        each.unlink()
    folder.rmdir()
    assert added.run("requests").code == 0
    assert in_analyst_file(added) == [("2024-Q1", 1, 9)]
    assert (totals(added), added.ledger("SELECT count(*) FROM entries")) == (before, entries)
    assert added.publisher("verify", "--offline").code == 0


def test_what_a_lost_total_replaced_stays_hidden(added: Town) -> None:
    """Another threshold withheld more: the edition before is not shown instead, and the next has its own number."""
    added.edit("datasets/requests.toml", "threshold = 5", "threshold = 100000")
    assert added.run("requests").code == 0
    folder = added.state / "public/totals/requests-quarter/2024-Q1/2"
    shutil.rmtree(folder)
    other = added.publisher("rollback", "water", *WHY)
    assert other.code == 0, other.err
    assert in_analyst_file(added) == []
    added.edit("datasets/requests.toml", "threshold = 100000", "threshold = 90000")
    assert added.run("requests").code == 0
    assert in_analyst_file(added) == [("2024-Q1", 3, 9)]


@pytest.mark.parametrize("damage", ["manifest.json", "rollup-quarter.csv", "the folder"])
def test_a_damaged_total_never_keeps_a_month_from_being_retracted(added: Town, damage: str) -> None:
    """The month and every total with it are gone from what people read, and then the damage is told."""
    folder = added.state / "public/totals/requests-quarter/2024-Q1/1"
    if damage == "the folder":
        shutil.rmtree(folder)
    else:
        (folder / damage).write_text("{")
    answer = added.publisher("rollback", "requests", "--period", "2024-02", *WHY)
    assert answer.code == (0 if damage == "the folder" else 5)
    assert "requests/2024-02/1: retracted; 2024-02: no edition is current" in answer.out + answer.err
    assert ("delete that folder" in answer.err) == (damage != "the folder")
    assert [period for period, *_ in in_analyst_file(added, "requests")] == ["2024-01", "2024-03"]
    assert in_analyst_file(added) == []


def test_a_month_rolled_back_to_the_edition_before_is_added_up_at_once(added: Town) -> None:
    """The total with the retracted edition goes, and the one with the edition before is there without another run."""
    added.edit("datasets/requests.toml", "rho = 0.1", "rho = 0.12")
    assert added.run("requests", "--redraw", "2024-03", "--yes", "--period", "2024-03").code == 0
    assert in_analyst_file(added) == [("2024-Q1", 2, 9)]
    answer = added.publisher("rollback", "requests", "--period", "2024-03", *WHY)
    assert answer.code == 0, answer.err
    assert in_analyst_file(added) == [("2024-Q1", 1, 9)]


def test_reasons_of_withheld_totals_are_true(added: Town) -> None:
    """A month that is not published, a damaged folder, months that count other things, and what is yet to be computed
    are four reasons."""

    def reasons() -> list[str]:
        workspace = find_workspace(added.root)
        with opened(workspace) as catalog:
            tables = totals_of(catalog, workspace.dataset("requests"))
            return [line for table in tables for line in withheld(workspace, table)]

    assert reasons() == []
    folder = added.state / "public/totals/requests-quarter/2024-Q1/1"
    kept = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(kept + b" ")
    assert reasons() == ["Withheld: 2024-Q1, because what was computed is damaged; the publisher has to restore it."]
    shutil.rmtree(folder)
    assert reasons() == ["Withheld: 2024-Q1, because it has not been computed yet."]
    added.edit("pipelines/requests.sql", "SELECT kinds.sort", "SELECT upper(kinds.sort) AS sort")
    assert added.run("requests", "--redraw", "2024-03", "--yes", "--period", "2024-03").code == 0
    assert reasons() == ["Withheld: 2024-Q1, because its months were counted in different ways."]
    assert added.publisher("rollback", "requests", "--period", "2024-02", *WHY).code == 0
    assert reasons() == ["Withheld: 2024-Q1, because 2024-02 is not published."]


def test_running_totals_come_with_every_month(first_town: Town, tmp_path: Path) -> None:
    """Where everyone may read the measurements: the year to date, named after its last month."""
    town = first_town.copy(tmp_path / "town")
    declare(town, TO_DATE)
    refused = town.publisher("check")
    assert (refused.code, "the differences of running totals are the noisy numbers" in refused.err) == (2, True)
    town.edit("datasets/requests.toml", 'period = "month"', 'period = "month"\npublish_measurements = true')
    assert town.run("requests").code == 0
    assert in_analyst_file(town, "requests_so_far") == [(month, 1, 9) for month in ("2024-01", "2024-02", "2024-03")]
    assert town.charges() == first_town.charges()
