"""What must hold whatever people do to definitions, backups and clocks."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from pyarrow.parquet import read_table

if TYPE_CHECKING:
    from township import Town


@pytest.mark.parametrize("gone", ["ledger.sqlite*", "ledger.*"])
def test_a_lost_ledger_spends_nothing(released: Town, gone: str) -> None:
    """A deleted ledger does not make blocks fresh, even when its heads are deleted with it."""
    for path in released.state.joinpath("private").glob(gone):
        path.unlink()
    if gone == "ledger.*":
        (released.state / "public" / "ledger.head").unlink()
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.2")
    answer = released.run("water")
    assert answer.code == 4
    assert "Nothing was spent" in answer.err
    assert released.charges() == []


def test_a_restored_backup_that_lost_a_retraction_is_found(released: Town) -> None:
    """The head in the public folder remembers what yesterday's private folder does not know."""
    private, backup = released.state / "private", released.root / "backup"
    shutil.copytree(private, backup)
    assert released.publisher("rollback", "water", "--reason", "A file was missing", "--no-push").code == 0
    shutil.rmtree(private)
    shutil.copytree(backup, private)
    answer = released.publisher("verify", "--offline")
    assert answer.code == 4
    assert "public/ledger.head" in answer.err
    assert released.run("water").code == 4


def test_a_threshold_that_is_mended_takes_effect(released: Town) -> None:
    """Changed by mistake and changed back: the mended form is current again, from the same draw, free of charge."""
    for before, after, suppressed in (("= 5", "= 0", 0), ("= 0", "= 1000", 3), ("= 1000", "= 0", 0)):
        released.edit("datasets/water.toml", f"threshold {before}", f"threshold {after}")
        row = released.run("water", "--period", "2024-01").rows[0]
        assert (row["status"], row["suppressed"]) == ("ready", suppressed)
    assert row["edition"] == 4
    assert len(released.charges()) == 6
    assert released.measurements("water", "2024-01", 4) == released.measurements("water", "2024-01", 1)


def test_a_retracted_draw_does_not_come_back_by_itself(released: Town) -> None:
    """A new threshold finishes no draw that people have taken back; only --undo gives it back."""
    assert (
        released.publisher(
            "rollback", "water", "--reason", "A file was missing", "--period", "2024-01", "--no-push"
        ).code
        == 0
    )
    released.edit("datasets/water.toml", "threshold = 5", "threshold = 0")
    assert released.run("water", "--period", "2024-01").rows[0]["status"] == "retracted"
    assert (
        released.publisher(
            "rollback", "water", "--reason", "A file was missing", "--period", "2024-01", "--undo", "--no-push"
        ).code
        == 0
    )
    row = released.run("water", "--period", "2024-01").rows[0]
    assert (row["edition"], row["status"]) == (2, "ready")
    assert len(released.charges()) == 6


def test_a_period_that_has_not_ended_is_not_due(town: Town) -> None:
    """A last period in the future draws nothing before its time."""
    town.edit("datasets/water.toml", 'first = "2024-01"', 'first = "2199-01"')
    town.edit("datasets/water.toml", 'last = "2024-03"', 'last = "2199-03"')
    answer = town.run("water")
    assert (answer.code, answer.rows) == (0, [])
    assert town.charges() == []


def test_damaged_measurements_are_never_finished(released: Town) -> None:
    """What is no longer as it was written is refused, not published."""
    (released.kept / "water" / "2024-01" / "1" / "measurements.parquet").write_bytes(b"777")
    released.edit("datasets/water.toml", "threshold = 5", "threshold = 0")
    answer = released.run("water", "--period", "2024-01")
    assert answer.code == 5
    assert "changed since it was written: measurements.parquet" in answer.err


def test_a_redefined_clock_is_refused(released: Town) -> None:
    """In another time zone records would fall into other blocks and be charged there anew."""
    released.edit("pipelines/meters.toml", 'timezone = "', 'timezone = "Pacific/Auckland" # "')
    answer = released.run("water")
    assert answer.code in {4, 5}
    assert len(released.charges()) == 6


def test_noisy_numbers_of_withheld_cells_are_published_on_request_alone(released: Town) -> None:
    """No public file has them, whatever an older version left there; a dataset that asks gets another edition of the
    same draw, which costs nothing and says so."""
    first = released.releases / "water" / "2024-01" / "1"
    (released.kept / "water" / "2024-01" / "1" / "measurements.parquet").rename(first / "measurements.parquet")
    assert released.run("water", "--period", "2024-01").code == 0
    assert not list((released.state / "public").rglob("*measurements*"))
    released.edit("datasets/water.toml", 'period = "month"', 'period = "month"\npublish_measurements = true')
    assert [row["edition"] for row in released.run("water", "--period", "2024-01").rows] == [2]
    found = list((released.state / "public").rglob("*measurements*"))
    assert found == [first.with_name("2") / "noisy-measurements.parquet"]
    assert "they show what suppression hides" in (first.with_name("2") / "guarantee.md").read_text()
    measured, asked = released.measurements("water", "2024-01", 2), read_table(found[0]).to_pydict()
    for name, values in measured.items():
        assert dict(zip(asked["id"], asked[name], strict=True)) == values
    assert {"period", "period_start", "used_variance"} <= set(asked)
    assert released.measurements("water", "2024-01", 2) == released.measurements("water", "2024-01", 1)
    assert len(released.charges()) == 6
    assert released.publisher("verify", "--offline").code == 0
