"""`publisher doctor` says how private files are kept, and what is not so."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from township import Answer, Town


def statuses(answer: Answer) -> dict[str, tuple[str, str]]:
    """Status and finding by what was looked at."""
    return {each["what"]: (each["status"], each["finding"]) for each in json.loads(answer.out)}


def test_doctor_says_how_private_files_are_kept(released: Town) -> None:
    """As it is after a run: nothing fails; what people should change is a warning, which counts with --strict. A backup
    is too old after so many days; a ledger from the future is a wrong clock."""
    well = released.publisher("doctor", "--json", "--strict")
    assert well.code == 5
    found = statuses(well)
    assert {what for what, (status, _) in found.items() if status == "failed"} == set()
    assert found["encryption"][0] == found["backup"][0] == "warning"
    assert found["core dumps"][0] == found["file modes"][0] == found["clock"][0] == "ok"
    made = datetime.now(UTC) - timedelta(days=9)
    (released.state / "private" / "backup.json").write_text(
        json.dumps({"made": made.isoformat(), "entries": 1, "folder": "elsewhere"})
    )
    (released.state / "private" / "backup.json").chmod(0o640)
    (released.root / "publisher.toml").write_text(
        (released.root / "publisher.toml").read_text() + '\n[encryption]\nkey = { env = "TOWN_KEY" }\n'
    )
    ill = released.publisher("doctor", "--json", "--backup-days", "10")
    assert ill.code == 5
    found = statuses(ill)
    assert found["file modes"][0] == "failed"
    assert "backup.json" in found["file modes"][1]
    assert found["encryption"] == (
        "failed",
        "publisher.toml: encryption: TOWN_KEY is not set: set it in the environment. Nothing was read or charged",
    )
    assert found["backup"] == ("ok", f"the last one was made on {made.date()}")
    (released.state / "private" / "backup.json").chmod(0o600)
    future = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    released.ledger(
        f"UPDATE entries SET at = '{future}' WHERE sequence = (SELECT max(sequence) FROM entries)", "SELECT 1"
    )
    late = released.publisher("doctor", "--json", TOWN_KEY="00" * 32)
    assert late.code == 4
    found = statuses(late)
    assert found["clock"][0] == "failed"
    assert found["backup"] == ("warning", f"the last one was made on {made.date()}, more than 7 days ago")
    assert found["encryption"][1].startswith("some files do not have the key")
