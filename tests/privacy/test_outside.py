"""The head outside the state folder: what copies of one state folder meet there, and which of them may draw."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from ledger_examples import REQUEST, fill, request

from publisher.errors import BudgetError
from publisher.privacy.ledger import Ledger, open_ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Callable[[str], Ledger]]:
    """Opens the ledger of a state folder by its name; all of them share one folder for heads."""
    opened: list[Ledger] = []

    def named(name: str) -> Ledger:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        opened.append(open_ledger(folder, heads=tmp_path / "heads"))
        return opened[-1]

    yield named
    for ledger in opened:
        ledger.close()


def head(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "heads").glob("*/head")
    return path


def copy(tmp_path: Path, name: str) -> None:
    shutil.copytree(tmp_path / "first", tmp_path / name)


def test_every_entry_moves_it(opening: Callable[[str], Ledger], tmp_path: Path) -> None:
    """It names the last entry, only its owner may read it, and a draw that is on record has no token anymore."""
    ledger = opening("first")
    fill(ledger)
    last = ledger.entries()[-1]
    says = json.loads(head(tmp_path).read_bytes())
    assert (says["sequence"], says["hash"]) == (last.sequence, last.hash)
    assert head(tmp_path).stat().st_mode & 0o777 == 0o600
    charges = [entry.hash for entry in ledger.entries("charge")]
    assert set(says["draws"]) == set(charges)
    entry = ledger.record("tuning", {}, drawn=charges[0])
    says = json.loads(head(tmp_path).read_bytes())
    assert (says["sequence"], set(says["draws"])) == (entry.sequence, set(charges[1:]))


def test_a_restored_folder_meets_it(opening: Callable[[str], Ledger], tmp_path: Path) -> None:
    """The whole folder as it was yesterday, with its own heads, charges and records nothing."""
    fill(opening("first"))
    copy(tmp_path, "backup")
    opening("first").charge(request(30))
    restored = opening("backup")
    before = restored.entries()
    for refused in (
        lambda: restored.charge(request(31)),
        lambda: restored.record("release", {}),
        lambda: restored.afford(request(31)),
        lambda: restored.resume([]),
    ):
        with pytest.raises(BudgetError, match=r"is missing entry 6, which .*/head remembers"):
            refused()
    assert restored.entries() == before


def test_one_copy_of_a_charge_draws(opening: Callable[[str], Ledger], tmp_path: Path) -> None:
    """Two copies of a folder that crashed after its charge: who asks first may draw, also again after another crash,
    and the other one never."""
    opening("first").charge(REQUEST)
    copy(tmp_path, "second")
    copy(tmp_path, "third")
    second = opening("second").charge(REQUEST)
    for name in ("first", "third"):
        with pytest.raises(BudgetError, match="was begun by another copy of this state folder"):
            opening(name).charge(REQUEST)
    assert opening("second").charge(REQUEST) == second
    opening("second").record("release", {}, drawn=second.hash)
    with pytest.raises(BudgetError, match="is missing entry 2"):
        opening("first").charge(REQUEST)


@pytest.mark.parametrize("left", ["before it was made known", "after the new token was kept", "without tokens"])
def test_a_crash_leaves_the_right_to_draw(opening: Callable[[str], Ledger], tmp_path: Path, left: str) -> None:
    """Wherever a charge was interrupted, the same folder resumes it, with the same entry."""
    ledger = opening("first")
    ledger.record("note", {})
    before = head(tmp_path).read_bytes()
    made = ledger.charge(REQUEST)
    after = head(tmp_path).read_bytes()
    ledger.charge(REQUEST)
    if left == "before it was made known":
        head(tmp_path).write_bytes(before)
    elif left == "after the new token was kept":
        head(tmp_path).write_bytes(after)
    else:
        (tmp_path / "first" / "draws.json").unlink()
        head(tmp_path).write_bytes(before)
    assert opening("first").charge(REQUEST) == made
    assert [entry.kind for entry in ledger.entries()] == ["note", "charge"]


def test_a_person_can_let_a_copy_draw(opening: Callable[[str], Ledger], tmp_path: Path) -> None:
    """If the copy that began a draw is gone, deleting the head, as the message says, gives the right back."""
    opening("first").charge(REQUEST)
    copy(tmp_path, "second")
    opening("second").charge(REQUEST)
    with pytest.raises(BudgetError) as refused:
        opening("first").charge(REQUEST)
    assert f"delete {head(tmp_path)} and run again" in str(refused.value)
    head(tmp_path).unlink()
    opening("first").charge(REQUEST)


def test_without_its_place_nothing_is_charged(tmp_path: Path) -> None:
    """A place that is no folder, or a head that is damaged: one message, no entry."""
    (tmp_path / "first").mkdir()
    (tmp_path / "heads").write_text("in the way")
    ledger = open_ledger(tmp_path / "first", heads=tmp_path / "heads")
    with pytest.raises(BudgetError, match=r"Nothing was charged\. Make this folder writable, or set another one"):
        ledger.charge(REQUEST)
    (tmp_path / "heads").unlink()
    ledger.record("note", {})
    head(tmp_path).write_text("{}")
    with pytest.raises(BudgetError, match="is damaged: restore it from a backup"):
        ledger.charge(REQUEST)
    assert [entry.kind for entry in ledger.entries()] == ["note"]
    ledger.close()


def test_a_head_that_is_behind_or_gone_is_brought_up(opening: Callable[[str], Ledger], tmp_path: Path) -> None:
    """A ledger from before there was one gets it, and one that a crash left behind is brought up to the last entry."""
    ledger = opening("first")
    fill(ledger)
    newest = head(tmp_path).read_bytes()
    first = ledger.entries()[0]
    for content in (None, json.dumps({"sequence": 1, "hash": first.hash, "draws": {}}).encode()):
        head(tmp_path).unlink() if content is None else head(tmp_path).write_bytes(content)
        ledger.resume([])
        assert json.loads(head(tmp_path).read_bytes())["hash"] == json.loads(newest)["hash"]
