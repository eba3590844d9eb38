"""Proposals as lines of a definition: nothing that a person wrote is changed."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from publisher.classify.declaration import declared
from publisher.classify.law import read_law
from publisher.classify.proposal import proposals
from publisher.definitions.source import Source
from publisher.definitions.toml import build, read_toml
from publisher.errors import DefinitionError
from publisher.workspace import SourceFile

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
title = "Permits"
description = "Permits of an invented city."
purpose = "Tests."
population = "town"
timezone = "America/Chicago"
retention_months = 12

[privacy]
unit = "record"
window = "day"
budget = 1

[feed]
path = "permits"

[event]
column = "issued"
formats = ["%Y-%m-%d"]

"""
LAW = read_law("new-york")
FILE = {
    "no": ["1"],
    "issued": ["2024-01-01"],
    "owner phone": ["612-555-0100"],
    "kind": ["Fence"],
    "e-mail": ["a@b.org"],
}


def source(folder: Path, text: str) -> SourceFile:
    path = folder / "permits.toml"
    path.write_text(text)
    values, origin = read_toml(path, "pipelines/permits.toml")
    return SourceFile("permits", build(Source, values, origin), "", {}, origin)


def test_new_columns_take_their_places(tmp_path: Path) -> None:
    """In the order of the file, also before the first and after the last; every other line stays as it is."""
    text = f"""{HEAD}[columns]  # ours
issued = {{ class = "public", statute = "Code 1" }}
kind = {{ class = "public", statute = "Code 1", read = true }}  # by us

[places.zone]
code = "kind"
"""
    made = declared(source(tmp_path, text), text, proposals(FILE, LAW))
    assert made.added == ("no", "owner phone", "e-mail")
    columns = tomllib.loads(made.text, parse_float=Decimal)["columns"]
    assert list(columns) == list(FILE)
    assert [name for name, column in columns.items() if column.get("read", True)] == ["issued", "kind"]
    assert columns["owner phone"]["statute"] == "Public Officers Law § 87(2)(b), § 89(2)(b)"
    assert [each for each in made.text.splitlines() if "lawyer" not in each] == text.splitlines()


def test_a_class_that_a_person_gave_stays(tmp_path: Path) -> None:
    """Where the pack has another class, the statute stays marked and the column is named; decided ones stay too."""
    text = f"""{HEAD}[columns]
issued = {{ class = "public", statute = "TODO" }}
"owner phone" = {{ class = "public", statute = "TODO", read = false }}
kind = {{ class = "private", statute = "Code 2" }}
"""
    made = declared(source(tmp_path, text), text, proposals({name: FILE[name] for name in list(FILE)[1:4]}, LAW))
    assert (made.added, made.filled, made.differing) == ((), ("issued",), ("owner phone",))
    after = text.replace('"TODO" }\n"owner', '"Public Officers Law § 87(2)" }  # a lawyer has to confirm it\n"owner')
    assert made.text == after


@pytest.mark.parametrize(
    "columns",
    [
        '[columns.issued]\nclass = "public"\nstatute = "Code 1"\n',
        'columns = { issued = { class = "public", statute = "Code 1" } }\n',
    ],
    ids=["tables", "inline"],
)
def test_what_is_written_otherwise_is_left_to_people(tmp_path: Path, columns: str) -> None:
    """One message names the columns to add by hand; a definition is never broken."""
    text = columns + HEAD if columns.startswith("columns") else HEAD + columns
    with pytest.raises(DefinitionError, match=r"cannot be completed as it is written.*: no, owner phone, kind, e-mail"):
        declared(source(tmp_path, text), text, proposals(FILE, LAW))
