"""The journal's file: chained, only added to, and whole again whatever ended a writer."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from publisher.errors import SourceError
from publisher.journal.checking import check_journal
from publisher.journal.entry import COMMAND, GENESIS, Fact, following
from publisher.journal.journal import Journal, read_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Lines = list[bytes]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """An empty journal, with its head in another folder."""
    return Journal(tmp_path / "journal.jsonl", tmp_path / "elsewhere" / "id" / "journal" / "head")


def told(journal: Journal, many: int = 4) -> Journal:
    """The same with so many entries, each added by itself."""
    for number in range(many):
        journal.tell(Fact("read", source=f"source-{number}", reason="preview"), ledger=number)
    return journal


def test_entries_say_who_when_and_by_which_command(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A given name stands before the operating system's; everything that was told is read back."""
    monkeypatch.setenv("PUBLISHER_USER", "Ana  Ruiz")
    token = COMMAND.set("preview")
    journal.tell(Fact("read", source="permits", reason="preview", details={"months": ["2024-01"]}))
    COMMAND.reset(token)
    (entry,) = read_entries(journal)
    assert (entry.sequence, entry.command, entry.fact.source, entry.ledger) == (1, "preview", "permits", None)
    assert entry.who.startswith("Ana Ruiz (")
    assert entry.fact.details == {"months": ["2024-01"]}
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_the_ledgers_place_is_carried_on(journal: Journal) -> None:
    """What the journal has told of the ledger stands in every later entry, so that the last one alone says it."""
    journal.tell(Fact("charge"), Fact("release"), ledger=7)
    journal.tell(Fact("read"))
    assert [each.ledger for each in read_entries(journal)] == [7, 7, 7]


CHANGES: dict[str, tuple[Callable[[Lines], Lines], str]] = {
    "changed": (lambda lines: [lines[0], lines[1].replace(b"source-1", b"source-9"), *lines[2:]], "entry 2 "),
    "removed": (lambda lines: [lines[0], *lines[2:]], "entry 2 "),
    "reordered": (lambda lines: [lines[0], lines[2], lines[1], lines[3]], "entry 2 "),
    "inserted": (lambda lines: [*lines[:2], lines[1], *lines[2:]], "entry 3 "),
    "garbage": (lambda lines: [*lines[:3], b"\xff\n"], "entry 4 "),
    "cut": (lambda lines: lines[:3], "remembers entry 4 "),
    "gone": (lambda _: [], "remembers entry 4 "),
}


@pytest.mark.parametrize("how", CHANGES)
def test_what_was_done_to_it_is_found_by_entry(journal: Journal, how: str) -> None:
    """A changed, removed, reordered, inserted or damaged entry, and a tail that was cut, are named; more can still be
    added, and what was lost stays known."""
    told(journal)
    assert check_journal(journal).faults == []
    change, words = CHANGES[how]
    journal.path.write_bytes(b"".join(change(journal.path.read_bytes().splitlines(keepends=True))))
    assert words in check_journal(journal).faults[0]
    told(journal, 2)
    assert words in check_journal(journal).faults[0]


def test_an_entry_whose_hash_was_made_again_is_found_by_the_next(journal: Journal) -> None:
    """Whoever changes an entry with its hash has to change all that follow, and the head elsewhere."""
    told(journal)
    lines = journal.path.read_bytes().splitlines()
    first = read_entries(journal)[0]
    forged = following((1, first.hash), Fact("read", source="another"), who="someone", ledger=1)
    journal.path.write_bytes(b"\n".join([lines[0], forged.line, *lines[2:]]) + b"\n")
    assert "entry 3 of the journal does not follow" in check_journal(journal).faults[0]


@pytest.mark.parametrize("kept", ["no line end", "half"])
def test_a_killed_writer_leaves_a_whole_chain(journal: Journal, kept: str) -> None:
    """What was written up to its last byte is completed; what was not is taken out, and the next entry says so."""
    told(journal, 3)
    whole = journal.path.read_bytes()
    last = whole.splitlines()[2]
    journal.path.write_bytes(whole[: -1 if kept == "no line end" else -len(last) // 2])
    journal.head.unlink() if journal.head else None  # as it was before the last entry
    assert check_journal(journal).faults == []
    journal.tell(Fact("read"))
    found = check_journal(journal)
    assert found.faults == []
    kinds = [each.fact.kind for each in read_entries(journal)]
    assert kinds == (["read"] * 4 if kept == "no line end" else ["read", "read", "torn", "read"])


def test_a_head_that_lags_behind_is_no_fault(journal: Journal) -> None:
    """A crash after an entry and before its head; the next entry does not forget one that was cut meanwhile."""
    told(journal, 2)
    journal.tell(Fact("charge"), settle=False)
    assert journal.remembered().newest[0] == 2
    assert check_journal(journal).faults == []
    journal.settle()
    assert journal.remembered().newest[0] == 3


def test_adding_reads_the_end_alone(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the journal is, adding to it reads one block from its end."""
    journal.tell(*[Fact("land", reference="0" * 64)] * 2_000)
    read: list[int] = []
    original = os.pread
    monkeypatch.setattr(os, "pread", lambda *given: read.append(given[1]) or original(*given))
    journal.tell(Fact("read"))
    assert sum(read) < 200_000 < journal.path.stat().st_size


def test_a_damaged_head_is_told_with_the_way_on(journal: Journal) -> None:
    """It can be deleted: the next entry writes it again."""
    told(journal)
    assert journal.head is not None
    journal.head.write_text("{")
    assert "is damaged: delete it" in check_journal(journal).faults[0]
    journal.head.unlink()
    told(journal, 1)
    assert check_journal(journal).faults == []


def test_one_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """One error, with the file."""
    journal = Journal(tmp_path / "absent" / "journal.jsonl", None)
    with pytest.raises(SourceError, match=r"journal\.jsonl: the state folder cannot be written"):
        journal.tell(Fact("read"))


def test_entries_are_json_lines(journal: Journal) -> None:
    """Other programs can read the file."""
    told(journal, 1)
    says = json.loads(journal.path.read_text())
    assert {"sequence", "at", "who", "kind", "source", "previous", "hash"} <= says.keys()


def test_an_entry_that_is_added_meanwhile_is_no_fault(journal: Journal) -> None:
    """While the journal is read, another command may add to it."""
    told(journal, 2)

    class Busy(Journal):
        def lines(self) -> Iterator[bytes]:
            yield from super().lines()
            journal.tell(Fact("read"))

    assert check_journal(Busy(journal.path, journal.head)).faults == []


@pytest.mark.parametrize("wrong", [{"at": "yesterday"}, {"ledger": "seven"}])
def test_an_entry_of_another_form_is_found(journal: Journal, wrong: dict[str, str]) -> None:
    """Also where its hash was made again: whoever reads the journal can rely on days and numbers."""
    says = following((0, GENESIS), Fact("read"), who="someone", ledger=7).fields | wrong | {"hash": ""}
    text = json.dumps(says, separators=(",", ":"), ensure_ascii=False)
    says["hash"] = sha256(text.encode()).hexdigest()
    journal.path.write_text(json.dumps(says, separators=(",", ":"), ensure_ascii=False) + "\n")
    assert check_journal(journal).faults == ["entry 1 of the journal was changed"]
    assert read_entries(journal) == []
