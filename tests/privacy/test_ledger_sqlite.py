"""What only a ledger in a file can suffer: flipped bytes, restored copies, other people's permissions."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from ledger_examples import REQUEST, fill, request, says

from publisher.errors import PublisherError, SourceError
from publisher.privacy.ledger import open_ledger

if TYPE_CHECKING:
    from pathlib import Path

DAMAGE = {
    "spending dropped": "DROP TABLE spending",
    "payload as bytes": "UPDATE entries SET payload = CAST(payload AS BLOB) WHERE sequence = 2",
    "loss as bytes": "UPDATE spending SET loss = x'ff' WHERE sequence = 3",
    "block as bytes": "UPDATE spending SET block = x'ff' WHERE sequence = 3 AND block = '2020-01-01'",
}


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The folder of a closed ledger of three charges and two facts: one file beside its anchor."""
    folder = tmp_path / "filled"
    folder.mkdir()
    ledger = open_ledger(folder)
    fill(ledger)
    ledger.close()
    assert sorted(each.name for each in folder.iterdir()) == ["ledger.head", "ledger.sqlite", "owner"]
    return folder


def faults(folder: Path) -> list[str]:
    ledger = open_ledger(folder)
    try:
        return ledger.verify([])
    finally:
        ledger.close()


def test_it_is_durable_and_private(tmp_path: Path) -> None:
    """Commits wait for the disk, the journal survives a crash, and nobody else may read the file."""
    ledger = open_ledger(tmp_path)
    with ledger._database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    ledger.charge(REQUEST)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("ledger.sqlite", "ledger.head")} == {0o600}
    ledger.close()


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_is_no_text_is_found(filled: Path, statement: str) -> None:
    """A missing table, or bytes where a text was: verification names a fault, and reading never crashes."""
    with closing(sqlite3.connect(filled / "ledger.sqlite")) as connection, connection:
        connection.execute(statement)
    assert faults(filled)
    ledger = open_ledger(filled)
    for ask in (ledger.entries, ledger.spending, lambda: ledger.charge(request(50))):
        with suppress(PublisherError):
            ask()
    ledger.close()


def test_every_byte_of_every_field_counts(filled: Path) -> None:
    """Any single byte of any field of an entry or of the spending, changed, is found."""
    ledger = open_ledger(filled)
    fields = [("entries", name, "sequence = 3") for name in ("kind", "at", "payload", "previous", "hash")]
    fields += [("entries", name, "sequence = 2") for name in ("kind", "payload")]
    fields += [("spending", name, "sequence = 3 AND block = '2020-01-02'") for name in ("source", "block", "loss")]
    with closing(sqlite3.connect(filled / "ledger.sqlite", isolation_level=None)) as connection:
        for table, name, where in fields:
            (text,) = connection.execute(f"SELECT {name} FROM {table} WHERE {where}").fetchone()
            for place in range(len(text)):
                changed = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
                connection.execute("BEGIN")
                connection.execute(f"UPDATE {table} SET {name} = ? WHERE {where}", [changed])
                connection.execute("COMMIT")
                assert ledger.verify([]), f"{table}.{name}, byte {place}"
                back = where if name != "block" else f"sequence = 3 AND block = '{changed}'"
                connection.execute(f"UPDATE {table} SET {name} = ? WHERE {back}", [text])
    assert ledger.verify([]) == []
    ledger.close()


def test_no_flipped_byte_of_the_file_goes_unseen(filled: Path, tmp_path: Path) -> None:
    """After any byte of the file changed, either a fault is found or the ledger says exactly what it said."""
    ledger = open_ledger(filled)
    before = says(ledger)
    ledger.close()
    content = (filled / "ledger.sqlite").read_bytes()
    written = [place for place, byte in enumerate(content) if byte]
    source, found = random.Random(5), 0
    for place in source.sample(written, 250):
        folder = tmp_path / "flipped"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(filled, folder)
        flipped = content[:place] + bytes([content[place] ^ (1 << source.randrange(8))]) + content[place + 1 :]
        (folder / "ledger.sqlite").write_bytes(flipped)
        try:
            ledger = open_ledger(folder)
        except SourceError:
            found += 1
            continue
        if ledger.verify([]):
            found += 1
        else:
            assert says(ledger) == before, f"byte {place}"
        ledger.close()
    assert found > 150


def test_a_restored_backup_is_found(filled: Path, tmp_path: Path) -> None:
    """Yesterday's file in today's place lacks the entry that the anchor and the releases remember."""
    backup = tmp_path / "backup"
    shutil.copytree(filled, backup)
    ledger = open_ledger(filled)
    latest = ledger.charge(request(30))
    ledger.close()
    shutil.copy(backup / "ledger.sqlite", filled)
    assert [fault.split(" remembers")[0] for fault in faults(filled)] == [f"{filled.name}/ledger.head"]
    shutil.copy(backup / "ledger.head", filled)
    ledger = open_ledger(filled)
    assert ledger.verify([]) == []
    assert ledger.verify([("visits/2020-01/3", latest.sequence, latest.hash)])
    ledger.close()


@pytest.mark.parametrize("content", [b"junk" * 2_000, b"SQLite format 3\0" + b"\xff" * 5_000])
def test_what_is_no_ledger_is_one_message(tmp_path: Path, content: bytes) -> None:
    """Junk in the ledger's place, or a missing folder, is a SourceError that says where."""
    (tmp_path / "ledger.sqlite").write_bytes(content)
    with pytest.raises(SourceError, match="cannot be opened"):
        open_ledger(tmp_path)
    with pytest.raises(SourceError, match=r"there is no ledger in .*nowhere"):
        open_ledger(tmp_path / "nowhere")
