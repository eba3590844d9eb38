"""`publisher verify` finds every change of what was written, names it, and changes nothing itself."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from township import Town


def a_manifest(town: Town) -> None:
    path = town.releases / "water" / "2024-01" / "1" / "manifest.json"
    path.write_bytes(path.read_bytes() + b" ")


def a_table(town: Town) -> None:
    path = town.releases / "water" / "2024-01" / "1" / "data.csv"
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))


def a_charge(town: Town) -> None:
    lowered = 'replace(payload, \'"loss":"1/10"\', \'"loss":"1/20"\')'
    first = "(SELECT min(sequence) FROM entries WHERE kind = 'charge')"
    town.ledger(f"UPDATE entries SET payload = {lowered} WHERE sequence = {first}")


def a_charge_less(town: Town) -> None:
    town.ledger("DELETE FROM entries WHERE sequence = (SELECT max(sequence) FROM entries WHERE kind = 'charge')")


def a_story(town: Town) -> None:
    path = town.state / "private" / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"kind":"charge"', b'"kind":"read"', 1))


def a_key(town: Town) -> None:
    (town.state / "private" / "key").write_bytes(os.urandom(32))


def a_landed_file(town: Town) -> None:
    (path,) = (town.state / "private" / "landed" / "meters").glob("*/batch.json")
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"key": "0" * 32}))


def a_result(town: Town) -> None:
    path = town.state / "public" / "validations" / "water" / "2024-01" / "1.json"
    path.write_text(path.read_text().replace("20", "21", 1))


def a_head(town: Town) -> None:
    (path,) = (town.root / "outside").glob("publisher/heads/*/head")
    path.write_text(path.read_text().replace('"hash": "', '"hash": "0'))


CHANGES: dict[Callable[[Town], None], tuple[int, str, str]] = {
    a_manifest: (5, "water: releases", "water/2024-01/1: changed since it was written: manifest.json"),
    a_table: (5, "water: releases", "water/2024-01/1: changed since it was written: data.csv"),
    a_charge: (4, "ledger: chain", "was changed"),
    a_charge_less: (4, "ledger: chain", "was changed, removed or inserted"),
    a_story: (5, "journal", "of the journal was changed"),
    a_result: (5, "water: validation results", "1.json was changed after it was written"),
    a_key: (5, "key", "private/key is not the one that the ledger was begun with"),
    a_landed_file: (5, "meters: landed files", "meters.csv was landed with another key"),
    a_head: (4, "ledger: heads", "which the ledger no longer has"),
}
"""What is changed, and the exit code, the row and the words that tell."""


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_found(released: Town, monkeypatch: pytest.MonkeyPatch, change: Callable[[Town], None]) -> None:
    """A row of the table is wrong, a line says what, and the exit code is that of what is wrong."""
    monkeypatch.setenv("XDG_STATE_HOME", str(released.root / "outside"))
    assert released.publisher("land").code == 0  # takes the lock: the head outside is written
    code, what, words = CHANGES[change]
    change(released)
    before = released.tree()
    answer = released.publisher("verify", "--offline", "--json")
    wrong = {row["what"]: row["faults"] for row in answer.rows if row["result"] != "ok"}
    assert any(words in fault for fault in wrong[what])
    assert answer.code == code
    assert answer.err.splitlines() == [f"error: {fault}" for faults in wrong.values() for fault in faults]
    assert released.tree() == before


def test_a_raised_budget_is_named(released: Town) -> None:
    """`verify`, `check` and `plan` warn of a budget that is larger than at the source's first charge; none fails."""
    released.edit("pipelines/meters.toml", "budget = 0.25", "budget = 0.5")
    words = "warning: source meters: its budget was raised from ρ 0.25 at its first charge to ρ 0.5"
    for command in (["verify", "--offline"], ["check"], ["plan", "water"]):
        answer = released.publisher(*command)
        assert answer.code == 0
        assert words in answer.out + answer.err
    assert released.publisher("plan", "requests").err == ""


def test_the_old_name_still_works(released: Town) -> None:
    """`publisher ledger verify` says what replaced it, and does that."""
    answer = released.publisher("ledger", "verify")
    assert answer.code == 0
    assert answer.err == "`publisher ledger verify` is now `publisher verify --offline`, which also checks releases.\n"
    assert answer.out == released.publisher("verify", "--offline").out


def test_doctor_warns_of_one_disk(released: Town) -> None:
    """A head on the disk of the state folder would be lost with it: a warning, no failure."""
    rows = [line for line in released.publisher("doctor").out.splitlines() if "ledger's head outside" in line]
    assert len(rows) == 1
    assert "is on the same disk as" in rows[0]
    assert rows[0].endswith("  warning")
