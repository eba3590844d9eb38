"""`publisher journal`: everything that was done to the workspace, and nothing of a record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from township import CANARY

from publisher.journal.entry import Fact
from publisher.journal.journal import Journal

if TYPE_CHECKING:
    from township import Town


def told(town: Town, *arguments: str) -> list[tuple[str, str, str, int | None]]:
    """Kind, subject, period and edition of each entry."""
    rows = town.publisher("journal", "--json", *arguments).rows
    return [(row["kind"], row["dataset"] or row["source"], row["period"], row["edition"]) for row in rows]


def test_the_story_of_a_workspace_is_in_it(released: Town) -> None:
    """Landed files, charges before their releases, readings of records with their purpose, and people's decisions, each
    once and in order; a run with nothing due adds nothing; no value of a record; 80 columns; `verify` agrees."""
    assert released.run().code == 0
    story = told(released)
    assert story[0][0] == "begin"
    assert story[1:5] == [
        ("land", "requests", "", None),
        ("charge", "requests", "2024-01", 1),
        ("release", "requests", "2024-01", 1),
        ("charge", "requests", "2024-02", 1),
    ]
    assert [each[0] for each in story].count("land") == 2
    assert len(story) == len(set(story)) == 1 + 2 + 2 * 6
    assert released.publisher("preview", "requests", PUBLISHER_USER="Ana Ruiz").code == 0
    assert released.publisher("classify", "meters").code == 0
    reason = ("--reason", "A file was missing", "--no-push")
    assert released.publisher("rollback", "water", "--period", "2024-02", *reason).code == 0
    rows = released.publisher("journal", "--json").rows[len(story) :]
    assert [(row["kind"], row["command"], row["reason"]) for row in rows] == [
        ("read", "preview", "preview"),
        ("read", "classify", "classify"),
        ("retract", "rollback", "A file was missing"),
    ]
    assert rows[0]["who"].startswith("Ana Ruiz (")
    assert told(released, "--kind", "charge", "--dataset", "water", "--from", "2020-01-01") == [
        ("charge", "water", f"2024-0{month}", 1) for month in (1, 2, 3)
    ]
    assert told(released, "--to", "2020-01-01") == []
    said = released.publisher("journal")
    assert max(map(len, said.out.splitlines())) <= 80
    text = (released.state / "private" / "journal.jsonl").read_text()
    assert CANARY not in text
    checked = {row["what"]: row["result"] for row in released.publisher("verify", "--offline", "--json").rows}
    assert checked["journal"] == "ok"


def test_what_a_killed_command_left_untold_is_told_later(released: Town) -> None:
    """The ledger has what was charged and released; the next run tells it, and says that it was another's."""
    path = released.state / "private" / "journal.jsonl"
    begun = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(begun[0])
    warned = {row["what"]: row for row in released.publisher("verify", "--offline", "--json").rows}["journal"]
    assert warned["result"] == "warning"
    assert released.run().code == 0
    rows = [row for row in released.publisher("journal", "--json").rows if row["kind"] in ("charge", "release")]
    assert len(rows) == 12
    assert {row["who"] for row in rows} == {"a command that was interrupted"}


def test_a_changed_entry_fails_verification(released: Town) -> None:
    """The row and the entry are named, with exit code 5; a run still works."""
    path = released.state / "private" / "journal.jsonl"
    path.write_text(path.read_text().replace('"dataset":"water"', '"dataset":"waters"', 1))
    number = next(
        n for n, line in enumerate(path.read_text().splitlines(), 1) if json.loads(line)["dataset"] == "waters"
    )
    answer = released.publisher("verify", "--offline")
    assert answer.code == 5
    assert f"entry {number} of the journal was changed" in answer.err
    assert released.run().code == 0


def test_wrong_filters_are_refused(town: Town) -> None:
    """A kind or a day that does not exist is named (2)."""
    answer = town.publisher("journal", "--kind", "gossip")
    assert (answer.code, "'gossip' is none of begin, land" in answer.err) == (2, True)
    answer = town.publisher("journal", "--from", "yesterday")
    assert (answer.code, "--from: 'yesterday' is not a day" in answer.err) == (2, True)


def test_a_journal_ahead_of_its_ledger_is_found(released: Town) -> None:
    """Whoever raises the mark of what it has told would keep it from telling what the ledger enters next."""
    state = released.state / "private"
    Journal(state / "journal.jsonl", None).tell(Fact("read", reason="preview"), ledger=1_000_000)
    answer = released.publisher("verify", "--offline")
    assert answer.code == 5
    assert "the journal says that it has told entry 1000000 of the ledger" in answer.err
