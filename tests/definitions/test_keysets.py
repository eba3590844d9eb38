"""Keyset files: the lines before the header, their limit, and that what is written is what is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from publisher.definitions import keyset
from publisher.definitions.keyset import keyset_bytes, read_keyset, read_lookup
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Keys with commas, quotes and a leading #, their labels and the notes come back as they were."""
    path = tmp_path / "places.csv"
    keys, labels = ("#1", 'The "Hill", north', "Peña"), ("a", "b,c", "#")
    path.write_bytes(keyset_bytes(keys, labels, ('From: a "list", page 2', "Read on: 2024-01-01")))
    found = read_keyset(path, "places.csv")
    assert (found.keys, found.labels) == (keys, labels)
    assert found.notes == ('From: a "list", page 2', "Read on: 2024-01-01")


@pytest.mark.parametrize("labels", [None, ("North", "South")])
def test_labels_in_other_languages_are_read(labels: tuple[str, ...] | None, tmp_path: Path) -> None:
    """`label.es` names the keys, or their labels, for Spanish pages; where it is empty nothing is said."""
    path = tmp_path / "places.csv"
    path.write_bytes(keyset_bytes(("N", "S"), labels, (), {"es": {"N": "Norte"}}))
    found = read_keyset(path, "places.csv")
    assert (found.keys, found.labels) == (("N", "S"), labels)
    assert found.in_language("es") == {labels[0] if labels else "N": "Norte"}
    assert found.in_language("fr") == {}
    path.write_text("key,label.fr\nN,Nord\n")
    with pytest.raises(DefinitionError, match=r"^places.csv:1: a keyset's columns are key,label,label.es, not key,lab"):
        read_keyset(path, "places.csv")


def test_lines_are_counted_with_the_notes(tmp_path: Path) -> None:
    """A fault names the line of the file, however many notes come before the header."""
    path = tmp_path / "places.csv"
    path.write_text("# one\n#two\nkey\nA\nA\n")
    with pytest.raises(DefinitionError, match=r"^places.csv:5: the key 'A' is already on line 4$"):
        read_keyset(path, "places.csv")
    path.write_text("# one\nkeys\nA\n")
    with pytest.raises(DefinitionError, match=r"^places.csv:2: a keyset's columns"):
        read_keyset(path, "places.csv")
    path.write_text("# one")
    with pytest.raises(DefinitionError, match=r"^places.csv:2: has no keys"):
        read_keyset(path, "places.csv")


def test_a_lookup_has_no_notes(tmp_path: Path) -> None:
    """A lookup whose first column begins with # is read as before: its header is its first line."""
    path = tmp_path / "codes.csv"
    path.write_text("#code,meaning\n#1,one\n")
    assert read_lookup(path, "codes.csv").columns == ("#code", "meaning")


def test_too_many_keys_are_refused_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyset with more keys than the most is refused at the first line too many, with what to do; the most are
    read, and a lookup may have more rows."""
    monkeypatch.setattr(keyset, "MOST_KEYS", 3)
    path = tmp_path / "places.csv"
    path.write_text("key\nA\nB\nC\n")
    assert read_keyset(path, "places.csv").keys == ("A", "B", "C")
    path.write_text("key\nA\nB\nC\nD\nD\n")
    with pytest.raises(DefinitionError, match=r"places.csv:5: has more than 3 keys.* use coarser keys"):
        read_keyset(path, "places.csv")
    path.write_text("key\nA\nB\nC\nD\n")
    assert len(read_lookup(path, "places.csv").rows) == 4
