"""Changed values are written into a file that people wrote, and everything else stays."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from publisher.definitions.toml import parse_toml
from publisher.definitions.toml_edit import rewritten
from publisher.errors import DefinitionError

DATASETS = sorted((Path(__file__).parent.parent.parent / "datasets").glob("*.toml"))

TEXT = """\
# Why there is such a file.
title = "A # title"  # said aloud
period = "week"
first = "2018-W01" # the first one
limitations = [
    "One.",
    "Two.",
]

# Why so much.
[loss]
rho = 0.1  # a day

[[keys]]
name = "part"

# Of the whole city.
[[rollups]]
name = "city"
keys = []

# Of each kind.
[[rollups]]
name = "kinds"
keys = ["kind"]

[suppression]
threshold = 5
"""


def changed(**values: object) -> str:
    old, _ = parse_toml(TEXT, "it")
    return rewritten(TEXT, old, {name: value for name, value in (old | values).items() if value is not None})


def test_values_are_replaced_and_comments_stay() -> None:
    """An entry keeps the comment at its end and those above it; a value of several lines is replaced whole."""
    text = changed(first="2018-02", loss={"rho": Decimal("0.02")}, limitations=("Three.",))
    assert 'first = "2018-02"  # the first one\nlimitations = ["Three."]\n\n# Why so much.\n[loss]\n' in text
    assert "rho = 0.02  # a day\n" in text
    assert text.startswith('# Why there is such a file.\ntitle = "A # title"  # said aloud\n')


def test_a_table_goes_with_its_own_comments() -> None:
    """A rollup that is gone takes the lines right above it along; the others stay with theirs."""
    text = changed(rollups=({"name": "kinds", "keys": ("kind",), "share": Decimal("0.2")},))
    assert "Of the whole city" not in text
    assert '# Of each kind.\n[[rollups]]\nname = "kinds"\nkeys = ["kind"]\nshare = 0.2\n\n[suppression]' in text


def test_new_tables_have_their_place() -> None:
    """New bounds stand before what is measured or suppressed, a new rollup after the last one, a gone entry nowhere."""
    city = {"name": "city", "keys": ()}
    text = changed(bounds={"max_groups": 2}, rollups=(city, {"name": "kinds", "keys": ()}, {"name": "new", "keys": ()}))
    assert '[[rollups]]\nname = "kinds"\nkeys = []\n\n[[rollups]]\nname = "new"\nkeys = []\n\n[bounds]' in text
    assert "[bounds]\nmax_groups = 2\n\n[suppression]" in text
    assert "period" not in changed(period=None)


def test_a_table_in_one_line_is_refused() -> None:
    """What has no line of its own cannot be changed in place."""
    text = 'keys = [{ name = "a" }, { name = "b" }]\n'
    old, _ = parse_toml(text, "it")
    with pytest.raises(DefinitionError, match="header of its own"):
        rewritten(text, old, {"keys": ({"name": "a"},)})


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.stem)
def test_every_shipped_dataset_can_be_changed(path: Path) -> None:
    """Time step, loss, bounds, keys, rollups and threshold at once; the file then says exactly that."""
    text = path.read_text()
    old, _ = parse_toml(text, path.name)
    rollups = tuple(each | {"share": Decimal("0.07")} for each in old.get("rollups", ())[1:])
    new = {name: value for name, value in old.items() if name != "last"} | {
        "period": "year",
        "first": "2018",
        "loss": {"rho": Decimal("0.03")},
        "bounds": {"max_groups": 3, "max_per_group": 1},
        "keys": (*old.get("keys", ())[:1], {"name": "z", "boundaries": {"path": "x", "key": "y"}}),
        "rollups": (*rollups, {"name": "new", "title": 'a "#"', "keys": (), "share": Decimal("0.2")}),
        "suppression": old["suppression"] | {"threshold": 12},
    }
    assert parse_toml(rewritten(text, old, new), path.name)[0] == new
