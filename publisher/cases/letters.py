"""Letters and notices: texts with places that are filled in, of which an office may have its own.

A place is written as `$name`, and `$$` is a dollar sign. A paragraph whose places are all empty is left out. Nothing
that is filled in comes from a record.
"""

from __future__ import annotations

import re
import textwrap
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from publisher.definitions.toml import read_text
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LETTERS = (
    "received-accuracy",
    "received-summary",
    "estimate",
    "delay",
    "corrected",
    "retracted",
    "believed-correct",
    "delivered",
    "declined",
)
"""The letters that there are; an office's own have the same names in the workspace's folder `letters`."""

PLACES = {
    "organization": "who publishes",
    "contact": "an address to write to",
    "signed": "who signs",
    "to": "who the letter is for; empty if they did not say",
    "today": "the day of the letter",
    "number": "the number of the case",
    "received": "the day on which their letter came",
    "clock": "how long an answer may take",
    "due": "the day by which an answer is due",
    "rule": "the law or the own rule that says so",
    "appeal": "how to appeal, by the law",
    "title": "the title of the dataset",
    "period": "the period that was contested",
    "contested": "the edition that was contested",
    "edition": "the edition that is published now",
    "page": "the address of the dataset on the portal",
    "feed": "the address of its Atom feed",
    "reason": "what the office wrote as its reason",
    "authority": "the law by which a request is declined",
    "first": "the first period of an estimate",
    "last": "the last period of it",
    "releases": "how many releases it has",
    "rows": "how many rows, by the public keys",
    "loss": "what each release spends",
    "budget": "what may be spent",
    "hours": "hours of work",
    "rate": "dollars an hour",
    "fee": "hours times rate, in dollars",
}
"""Everything that can be filled in."""

WIDTH = 78


def letter(name: str, values: Mapping[str, str], own: Path, shown: str) -> str:
    """The text of a letter; `own` is the office's folder, which people know as `shown`. Raises DefinitionError."""
    text = _template(name, own, shown)
    filled = (_filled(paragraph, values) for paragraph in re.split(r"\n{2,}", text.strip()))
    return "\n\n".join(each for each in filled if each) + "\n"


def check_letters(own: Path, shown: str) -> list[str]:
    """The names of an office's own letters. Raises DefinitionError for one that is none or has an unknown place."""
    found = sorted(own.glob("*.txt"))
    for path in found:
        if path.stem not in LETTERS:
            raise DefinitionError(f"{shown}/{path.name}: there is no such letter: call it {', '.join(LETTERS)}")
        _template(path.stem, own, shown)
    return [path.stem for path in found]


def _template(name: str, own: Path, shown: str) -> str:
    path, file = own / f"{name}.txt", f"{shown}/{name}.txt"
    if not path.is_file():
        return files("publisher.cases").joinpath(f"letters/{name}.txt").read_text("utf-8")
    text = read_text(path, file)
    for number, line in enumerate(text.splitlines(), 1):
        for found in Template.pattern.finditer(line):
            place = found["named"] or found["braced"]
            if found["escaped"] is None and place not in PLACES:
                words = f"there is no {found[0]!r} to fill in; write $$ for a dollar sign" if place else "a $ is $$"
                raise DefinitionError(f"{file}:{number}: {words}. What there is: {', '.join(PLACES)}")
    return text


def _filled(paragraph: str, values: Mapping[str, str]) -> str:
    """A paragraph; empty if it has places and none of them has anything."""
    places = Template(paragraph).get_identifiers()
    if places and not any(values.get(each) for each in places):
        return ""
    text = Template(paragraph).substitute(dict.fromkeys(PLACES, "") | dict(values))
    return "\n".join(
        textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False) for line in text.splitlines()
    )
