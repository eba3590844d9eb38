"""The master key: made once, private, never replaced."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from publisher.errors import SourceError
from publisher.records.secrets import create_key, derive

if TYPE_CHECKING:
    from pathlib import Path


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_key_is_private_and_made_once(tmp_path: Path) -> None:
    """The folder is 0700, the key 0600 with 32 bytes; making it again changes nothing."""
    private = tmp_path / "state" / "private"
    create_key(private)
    key = (private / "key").read_bytes()
    create_key(private)
    assert (_mode(private), _mode(private / "key"), len(key)) == (0o700, 0o600, 32)
    assert (private / "key").read_bytes() == key
    assert [path.name for path in private.iterdir()] == ["key"]


def test_keys_differ_by_purpose_and_by_workspace(tmp_path: Path) -> None:
    """One purpose gives one key; another purpose or master key gives another."""
    for name in ("a", "b"):
        create_key(tmp_path / name)
    first = derive(tmp_path / "a", "unit/permits")
    assert first == derive(tmp_path / "a", "unit/permits")
    others = {derive(tmp_path / "a", "unit/requests"), derive(tmp_path / "b", "unit/permits")}
    assert len({first, *others}) == 3
    assert len(first) == 32
    assert (tmp_path / "a" / "key").read_bytes() not in {first, *others}


def test_a_lost_key_is_not_replaced_once_records_are_landed(tmp_path: Path) -> None:
    """Neither deriving nor making a key goes on without the key of landed records."""
    create_key(tmp_path)
    (tmp_path / "landed" / "requests").mkdir(parents=True)
    (tmp_path / "key").unlink()
    for call in (lambda: create_key(tmp_path), lambda: derive(tmp_path, "unit")):
        with pytest.raises(SourceError, match="would break their pseudonyms"):
            call()
    assert not (tmp_path / "key").exists()


def test_a_missing_a_cut_and_an_open_key_are_refused(tmp_path: Path) -> None:
    """Each with a message that says what to do."""
    with pytest.raises(SourceError, match="publisher init"):
        derive(tmp_path, "unit")
    create_key(tmp_path)
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(SourceError, match="chmod 600"):
        derive(tmp_path, "unit")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(SourceError, match="damaged"):
        derive(tmp_path, "unit")


def test_a_state_folder_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    """A file in the way is said in plain words."""
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(SourceError, match="cannot be written"):
        create_key(tmp_path / "state" / "private")
