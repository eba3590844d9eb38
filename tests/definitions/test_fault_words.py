"""A wrong value in a definition is told in plain words, whatever is wrong with it."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from publisher.definitions.fault_words import FORMS
from publisher.definitions.model import NAME
from publisher.definitions.schema import KINDS
from publisher.definitions.toml import build, read_toml
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FILES = {
    "workspace": [ROOT / "publisher.toml"],
    "source": sorted(ROOT.glob("pipelines/*.toml")),
    "dataset": sorted(ROOT.glob("datasets/*.toml")),
}
WRONG = (
    "",
    "x y/",
    0,
    -1,
    7,
    10**9,
    Decimal("2.5"),
    Decimal("Infinity"),
    True,
    (),
    (1,),
    {},
    {"x": 1},
    date(2026, 1, 31),
)
FOREIGN = ("should", "Input", "valid ", "instance", "tuple", "dictionary", "integer", "string", "boolean", "parse", "^")
"""Words of a type checker, and what patterns begin with."""


def changed(value: Any) -> Iterator[Any]:
    """The value with one of all that is in it, or itself, replaced by something wrong, or missing."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {name: each for name, each in value.items() if name != key}
            yield from ({**value, key: other} for other in changed(inner))
    elif isinstance(value, tuple) and value:
        yield from ((other, *value[1:]) for other in changed(value[0]))
    yield from WRONG


@pytest.mark.parametrize("kind", FILES)
def test_wrong_values_are_told_in_plain_words(kind: str) -> None:
    """Every value of a shipped definition replaced by values of every kind: no answer speaks as a type checker does."""
    refused = 0
    for path in FILES[kind]:
        values, origin = read_toml(path, path.name)
        for wrong in changed(values):
            if not isinstance(wrong, dict):
                continue
            try:
                build(KINDS[kind], wrong, origin)
            except DefinitionError as error:
                refused += 1
                for line in str(error).splitlines():
                    said = line.split(": ", 2)[2]
                    assert not [word for word in FOREIGN if word in said], line
    assert refused > 100


def test_every_form_has_words() -> None:
    """No pattern of a model of definitions is shown to people as a pattern."""
    texts = [path.read_text(encoding="utf-8") for path in ROOT.glob("publisher/definitions/*.py")]
    used = {each for text in texts for each in re.findall(r'pattern=r"(.*?)"\)', text)} | {f"^{NAME}$"}
    assert used
    assert used == set(FORMS)
