"""The journal follows the ledger: each entry that a person or a release made is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.journal.journal import Journal, read_entries
from publisher.pipeline.journaling import follow, untold
from publisher.privacy.ledger import open_ledger

if TYPE_CHECKING:
    from pathlib import Path


def test_every_decision_is_told_with_its_reason(tmp_path: Path) -> None:
    """Under one verb each; what was entered before the journal began is not, and what is told is not told again."""
    journal, ledger = Journal(tmp_path / "journal.jsonl", None), open_ledger(tmp_path)
    release = {"dataset": "calls", "period": "2024-01", "edition": 1}
    ledger.record("retraction", release | {"reason": "Too early"})
    follow(journal, ledger)
    for kind, more in (
        ("acceptance", {"reason": "Right"}),
        ("restoration", {"reason": "Right after all"}),
        ("approval", {"reason": "Fine", "reviewer": "ana", "place": "releases/calls/2024-01/1"}),
        ("rejection", {"reason": "Too low", "reviewer": "ben", "place": "releases/calls/2024-01/1"}),
        ("automatic_approval", {"manifest": "f" * 64}),
        ("validation", {"sha256": "0" * 64}),
    ):
        ledger.record(kind, release | more)
    ledger.record("amendment", {"source": "calls", "reason": "Swapped"})
    assert untold(1, ledger) == 6
    follow(journal, ledger)
    follow(journal, ledger)
    told = [(each.fact.kind, each.fact.reason) for each in read_entries(journal)]
    assert told == [
        ("begin", ""),
        ("accept", "Right"),
        ("restore", "Right after all"),
        ("approve", "Fine"),
        ("reject", "Too low"),
        ("approve", "it met the declared conditions"),
        ("amend", "Swapped"),
    ]
    references = [each.fact.reference for each in read_entries(journal)]
    assert references[3:6] == [
        "ledger entry 4, signed by ana",
        "ledger entry 5, signed by ben",
        f"ledger entry 6, manifest {'f' * 64}",
    ]
    ledger.close()
