"""Plain American English in every text that people read: words that were there and must not come back.

Each pattern has what to say instead. It covers texts and docstrings of the product, pages and the English of their
translations, docs, and the shipped definitions.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest
from rooms import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOP = ROOT.parent

INSTEAD = {
    r"unless said|unless told": "default: X",
    r"whom\b": "who, or name them",
    r"foretold|foretell": "expected",
    r"anew\b": "again",
    r"forever|for ever\b": "permanently, or how long",
    r"mend(s|ed|ing)?\b": "fix",
    r"nobody (declared|has|was|else|is)|somebody": "no one, someone, or what is missing",
    r"stands? in line|stands? already": "is on line N",
    r"none is (paid|left|there)": "say what there is not",
    r"whether or no\b|be it\b|lest\b|ere\b|thereof|therein|wherein|hence\b|thus\b|whilst|amongst": "plain words",
    r"(becomes?|became) of\b": "what happens to",
    r"is (drawn|told|said|made|counted|shown) anew": "again",
    r"loss a (block|release|window)|cells a release|records a cell|blocks a release": "per block, per release",
    r"go on\?": "Continue?",
    r"unsaid\b|heretofore|henceforth|befall\w*|betimes|dwell\w*": "plain words",
    r"the gravest|graver\b": "the most serious",
    r"opened for counts?|closed for counts?": "open for charges",
    r"a slip in it": "a typo",
    r"(organis|licence|neighbour|colour|honour|favour|behaviour|catalogue|centre|metres?|litres?)\w*": "US spelling",
    r"\w*(normalis|recognis|serialis|generalis|summaris|synchronis|initialis|analys(?=e[sd]?\b|ing))\w*": "US spelling",
    r"labelled\b(?<!aria-labelled)|cancelled\b|travelled\b|modelled\b|learnt\b|towards\b|programme\b": "US spelling",
}
"""What must not come back, and what to say."""

KEPT = re.compile(
    r"catalogue\.sqlite|aria-labelledby|DATECANCELLED|CancelledError|\.cancelled\(\)|^\| neighbourhood \|"
)
"""A file of older stores, HTML's and Python's own words, a column of a city's feed, a search in the docs."""

PATTERN = re.compile("|".join(rf"\b(?:{pattern})" for pattern in INSTEAD), re.IGNORECASE)


def words_of_code(path: Path) -> Iterator[tuple[int, str]]:
    """Every text and docstring of a module with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def texts() -> Iterator[tuple[Path, int, str]]:
    """What people read, file by file."""
    for path in sorted(ROOT.rglob("*.py")):
        yield from ((path, line, text) for line, text in words_of_code(path))
    pages = [*ROOT.rglob("*.html"), *ROOT.rglob("*.po"), *(TOP / "docs").rglob("*.md"), *TOP.glob("*.md")]
    definitions = [*(TOP / "pipelines").iterdir(), *(TOP / "datasets").glob("*.toml"), TOP / "publisher.toml"]
    for path in sorted((*pages, *definitions)):
        lines = path.read_text(encoding="utf-8").splitlines()
        yield from ((path, number, line) for number, line in enumerate(lines, 1))


OLD_KEYS = {"organisation", "licence", "licence_url"}
"""Of publisher.toml: whoever still writes them is told the new ones."""


def faults(text: str) -> list[str]:
    """The words of a text that must not come back."""
    return [] if text in OLD_KEYS else [match[0] for match in PATTERN.finditer(KEPT.sub("", text))]


def test_no_word_came_back() -> None:
    """Every text that people read is in plain American English, as far as a list of words can tell."""
    found = [f"{path.relative_to(TOP)}:{line}: {word}" for path, line, text in texts() for word in faults(text)]
    assert found == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("12 unless said", "unless said"),
        ("Mended.", "Mended"),
        ("the neighbours", "neighbours"),
        ("loss a block", "loss a block"),
    ],
)
def test_the_list_sees(text: str, word: str) -> None:
    """The look sees a word in whatever case and place."""
    assert faults(text) == [word]
