"""Letters are filled in from a fixed list of places, and an office may have its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from rooms import ROOT

from publisher.cases.letters import LETTERS, PLACES, check_letters, letter
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path

VALUES = {name: f"<{name}>" for name in PLACES}


@pytest.mark.parametrize("name", LETTERS)
def test_every_letter_is_filled_in(tmp_path: Path, name: str) -> None:
    """Nothing is left to fill in; who writes, to whom, about which case and when stands in each; lines fit a page."""
    text = letter(name, VALUES, tmp_path, "letters")
    assert "$" not in text.replace("$<", "")
    assert set(re.findall(r"<(\w+)>", text)) >= {
        "organization",
        "contact",
        "signed",
        "to",
        "today",
        "number",
        "received",
    }
    assert max(map(len, text.splitlines())) <= 78


def test_a_paragraph_without_anything_is_left_out(tmp_path: Path) -> None:
    """A person who gave no name, and a law without an appeal, leave no blank lines behind."""
    text = letter("believed-correct", VALUES | {"to": "", "appeal": ""}, tmp_path, "letters")
    assert "\n\n\n" not in text
    assert letter("believed-correct", VALUES, tmp_path, "letters").count("\n\n") == text.count("\n\n") + 2


def test_an_office_has_its_own_letters(tmp_path: Path) -> None:
    """A file of the same name in the workspace takes the place of the letter; the others stay."""
    (tmp_path / "delay.txt").write_text("Dear $to,\n\nit takes until $due, and costs $$5.\n")
    assert check_letters(tmp_path, "letters") == ["delay"]
    assert letter("delay", VALUES, tmp_path, "letters") == "Dear <to>,\n\nit takes until <due>, and costs $5.\n"
    assert "<fee>" in letter("estimate", VALUES, tmp_path, "letters")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("delay.txt", "Dear $to,\n\nas $council says", r"letters/delay\.txt:3: there is no '\$council' to fill in"),
        ("delay.txt", "It costs $5", r"letters/delay\.txt:1: a \$ is \$\$"),
        ("later.txt", "Dear $to", r"letters/later\.txt: there is no such letter: call it received-accuracy"),
    ],
)
def test_a_letter_that_cannot_be_filled_in_is_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    """With its file and line, and what there is to fill in."""
    (tmp_path / name).write_text(text)
    with pytest.raises(DefinitionError, match=words):
        check_letters(tmp_path, "letters")


def test_the_page_lists_every_letter_and_place() -> None:
    """docs/requests.md names what an office can replace, and what can be filled in, in that order."""
    page = (ROOT.parent / "docs" / "requests.md").read_text(encoding="utf-8")
    places = page.partition("\nPlaces: ")[2].partition(". None")[0]
    assert re.findall(r"`(\w+)`", places) == list(PLACES)
    steps = page.partition("## Steps")[2].partition("## Requests")[0]
    assert [name for name in LETTERS if name not in steps] == []
