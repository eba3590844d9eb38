"""The ledger: exact, charged once, never over budget, durable, and whatever is changed in it is found."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.errors import BudgetError, PublisherError, SourceError
from publisher.privacy.ledger import ChargeRequest, Ledger, Spending, decimal, open_ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TENTH = Fraction(1, 10)
DAYS = ("2020-01-01", "2020-01-02", "2020-01-03")
REQUEST = ChargeRequest(
    source="town",
    dataset="visits",
    period="2020-01",
    statistical_hash="a" * 64,
    currency="zcdp",
    unit="record",
    window="day",
    loss=TENTH,
    budget=Fraction(3, 10),
    blocks=("2020-01-01", "2020-01-02"),
    measurements=('{"scale": 2.5}',),
    event="opened in UTC",
    records="id; missing None",
)


def request(number: int, loss: Fraction = TENTH, **fields: object) -> ChargeRequest:
    return replace(REQUEST, statistical_hash=f"{number:064x}", loss=loss, **fields)  # type: ignore[arg-type]


def says(ledger: Ledger) -> tuple[object, ...]:
    """Everything that the ledger is asked for."""
    return tuple(ledger.entries()), tuple(ledger.spending())


class LedgerContract:
    """What every ledger must do, whatever it is kept in."""

    def open(self, folder: Path) -> Ledger:
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[Ledger]:
        ledger = self.open(tmp_path)
        yield ledger
        ledger.close()

    def test_sums_are_exact(self, ledger: Ledger) -> None:
        """Three charges of 0.1 fit a budget of 0.3; a fourth of any size does not."""
        for number in range(3):
            ledger.charge(request(number))
        assert {each.spent for each in ledger.spending()} == {Fraction(3, 10)}
        for loss in (TENTH, Fraction(1, 10**30)):
            with pytest.raises(BudgetError, match=r"has 0 left of 0\.3"):
                ledger.charge(request(9, loss))

    def test_thirds_are_exact(self, ledger: Ledger) -> None:
        """Three thirds fit one, although no decimal says a third."""
        for number in range(3):
            ledger.charge(request(number, Fraction(1, 3), budget=Fraction(1)))
        assert {each.spent for each in ledger.spending()} == {Fraction(1)}

    def test_a_draw_is_charged_once(self, ledger: Ledger) -> None:
        """The same dataset, period and hash gives back the charge already made, even when the budget is used up."""
        first = ledger.charge(request(1, Fraction(3, 10)))
        assert ledger.charge(request(1, Fraction(3, 10))) == first
        ledger.afford(request(1, Fraction(3, 10)))
        assert len(ledger.entries("charge")) == 1
        assert first.payload["loss"] == "3/10"
        assert first.payload["measurements"] == [{"scale": 2.5}]

    @pytest.mark.parametrize("field", ["dataset", "period", "statistical_hash"])
    def test_another_draw_is_another_charge(self, ledger: Ledger, field: str) -> None:
        """Another dataset, period or hash spends again."""
        ledger.charge(REQUEST)
        ledger.charge(replace(REQUEST, **{field: "other"}))
        assert {each.spent for each in ledger.spending()} == {2 * TENTH}

    def test_over_budget_writes_nothing(self, ledger: Ledger) -> None:
        """A refusal says what is needed and left, and leaves the ledger as it was, also on blocks that could pay."""
        ledger.charge(request(1, Fraction(1, 4), blocks=("2020-01-02",)))
        before = says(ledger)
        for ask in (ledger.afford, ledger.charge):
            with pytest.raises(
                BudgetError, match=r"needs 0.1 .* block 2020-01-02 .* 0.05 left of 0.3; 1 of its blocks"
            ):
                ask(request(2))
        assert says(ledger) == before

    def test_affording_charges_nothing(self, ledger: Ledger) -> None:
        """Asking whether a draw can be paid leaves no trace."""
        ledger.afford(REQUEST)
        assert says(ledger) == ((), ())

    def test_blocks_are_parallel(self, ledger: Ledger) -> None:
        """Charges on other blocks or sources do not add up; within a block they do."""
        ledger.charge(request(1, blocks=("a", "b")))
        ledger.charge(request(2, blocks=("b", "c")))
        ledger.charge(request(3, source="village", blocks=("b",)))
        assert ledger.spending() == [
            Spending("town", "a", TENTH),
            Spending("town", "b", 2 * TENTH),
            Spending("town", "c", TENTH),
            Spending("village", "b", TENTH),
        ]

    def test_a_refusal_says_when_the_next_block_opens(self, ledger: Ledger) -> None:
        """What remains, and from which day on there is budget again; a lifetime has no such day."""
        with pytest.raises(BudgetError, match=r"0\.3 left of 0\.3.* the next block, 2020-01-03, opens on 2020-01-03"):
            ledger.charge(request(1, Fraction(1)))
        with pytest.raises(BudgetError, match="a lifetime has no other block"):
            ledger.charge(request(1, Fraction(1), window="lifetime", blocks=("lifetime",)))

    def test_a_smaller_budget_holds_at_once(self, ledger: Ledger) -> None:
        """When people lower the budget below what was spent, nothing more can be."""
        ledger.charge(request(1))
        with pytest.raises(BudgetError, match=r"-0\.05 left of 0\.05"):
            ledger.charge(request(2, Fraction(1, 10**9), budget=Fraction(1, 20)))

    @pytest.mark.parametrize(("field", "value"), [("unit", "who"), ("window", "month"), ("currency", "pure")])
    def test_a_redefined_source_is_refused(self, ledger: Ledger, field: str, value: str) -> None:
        """Blocks of another unit, window or currency do not add up with these: refused, also on fresh blocks."""
        ledger.charge(REQUEST)
        before = says(ledger)
        for ask in (ledger.afford, ledger.charge):
            with pytest.raises(BudgetError, match=f"begun with {field} = {getattr(REQUEST, field)}"):
                ask(request(2, blocks=("2030-01-01",), **{field: value}))
        assert says(ledger) == before

    def test_facts_are_kept_in_order(self, ledger: Ledger) -> None:
        """Entries are numbered from one, each names the hash of the one before, and facts spend nothing."""
        made = [
            ledger.charge(REQUEST),
            ledger.record("release", {"dataset": "é", "edition": 1}),
            ledger.charge(request(2)),
        ]
        assert ledger.entries() == made
        assert [each.sequence for each in made] == [1, 2, 3]
        assert [each.previous for each in made] == ["0" * 64, made[0].hash, made[1].hash]
        assert ledger.entries("release")[0].payload == {"dataset": "é", "edition": 1}
        assert ledger.charges("visits", "2020-01") == [made[0], made[2]]
        assert ledger.charges("visits", "2020-02") == []
        assert len(ledger.spending()) == 2

    def test_what_was_written_is_there_after_opening_again(self, ledger: Ledger, tmp_path: Path) -> None:
        """A second ledger on the same place says the same, while the first is open."""
        ledger.charge(REQUEST)
        other = self.open(tmp_path)
        assert says(other) == says(ledger)
        other.charge(request(2))
        assert says(other) == says(ledger)
        assert ledger.verify([]) == other.verify([]) == []
        other.close()

    def test_heads_that_people_remember_are_looked_up(self, ledger: Ledger) -> None:
        """A head that the ledger never had, or has with another hash, is a fault that names who remembers it."""
        entry = ledger.charge(REQUEST)
        assert ledger.verify([("visits/2020-01/1", entry.sequence, entry.hash)]) == []
        for head in (("visits/2020-01/1", 2, entry.hash), ("visits/2020-01/1", 1, "f" * 64)):
            assert [fault.split(" remembers")[0] for fault in ledger.verify([head])] == ["visits/2020-01/1"]

    @settings(max_examples=25, deadline=None)
    @given(
        charges=st.lists(
            st.tuples(st.fractions(Fraction(1, 97), Fraction(1, 5)), st.sets(st.sampled_from(DAYS), min_size=1)),
            max_size=8,
        )
    )
    def test_no_block_is_ever_over_its_budget(
        self, tmp_path_factory: pytest.TempPathFactory, charges: list[tuple[Fraction, set[str]]]
    ) -> None:
        """Whatever is asked for in whatever order: accepted exactly when every block has room, and summed exactly."""
        ledger = self.open(tmp_path_factory.mktemp("ledger"))
        spent = dict.fromkeys(DAYS, Fraction(0))
        for number, (loss, blocks) in enumerate(charges):
            fits = all(spent[block] + loss <= REQUEST.budget for block in blocks)
            try:
                ledger.charge(request(number, loss, blocks=tuple(sorted(blocks))))
            except BudgetError:
                assert not fits
            else:
                assert fits
                spent |= {block: spent[block] + loss for block in blocks}
        assert {each.block: each.spent for each in ledger.spending()} == {b: s for b, s in spent.items() if s}
        ledger.close()


def rewrite(path: Path, change: Callable[[sqlite3.Connection], None]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        change(connection)
        connection.commit()


def sql(*statements: str) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: [connection.execute(statement) for statement in statements] and None


CHANGES = {
    "tail cut": sql("DELETE FROM spending WHERE sequence = 4", "DELETE FROM entries WHERE sequence >= 4"),
    "last entry cut": sql("DELETE FROM entries WHERE sequence = 5"),
    "all cut": sql("DELETE FROM spending", "DELETE FROM entries"),
    "middle removed": sql("DELETE FROM entries WHERE sequence = 3"),
    "middle removed and renumbered": sql(
        "DELETE FROM entries WHERE sequence = 3", "UPDATE entries SET sequence = sequence - 1 WHERE sequence > 3"
    ),
    "reordered": sql(
        "UPDATE entries SET sequence = 99 WHERE sequence = 2",
        "UPDATE entries SET sequence = 2 WHERE sequence = 3",
        "UPDATE entries SET sequence = 3 WHERE sequence = 99",
    ),
    "inserted": sql(
        "INSERT INTO entries SELECT 6, kind, at, payload, hash, substr(hash, 2) || substr(hash, 1, 1) "
        "FROM entries WHERE sequence = 5"
    ),
    "spending lowered": sql("UPDATE spending SET loss = '1/100' WHERE sequence = 1"),
    "spending removed": sql("DELETE FROM spending WHERE sequence = 1 AND block = '2020-01-01'"),
    "spending moved": sql("UPDATE spending SET block = '2020-09-09' WHERE sequence = 1 AND block = '2020-01-01'"),
    "spending invented": sql("INSERT INTO spending VALUES (1, 'town', '2020-03-03', '1/10')"),
    "spending dropped": sql("DROP TABLE spending"),
    "payload as bytes": sql("UPDATE entries SET payload = CAST(payload AS BLOB) WHERE sequence = 2"),
    "payload is no JSON": sql("UPDATE entries SET payload = 'x' WHERE sequence = 2"),
    "payload is a list": sql("UPDATE entries SET payload = '[]' WHERE sequence = 2"),
    "loss as bytes": sql("UPDATE spending SET loss = x'ff' WHERE sequence = 3"),
}


class TestSqlite(LedgerContract):
    """The ledger in SQLite."""

    def open(self, folder: Path) -> Ledger:
        return open_ledger(folder)

    @pytest.fixture
    def filled(self, tmp_path: Path) -> Path:
        """A closed ledger of four charges' worth of entries and two facts, as one file beside its anchor."""
        folder = tmp_path / "filled"
        folder.mkdir()
        ledger = open_ledger(folder)
        for number in range(2):
            ledger.charge(request(number))
            ledger.record("release", {"dataset": "visits", "period": "2020-01", "edition": number})
        ledger.charge(request(7, source="village"))
        assert ledger.verify([]) == []
        ledger.close()
        assert sorted(each.name for each in folder.iterdir()) == ["ledger.head", "ledger.sqlite"]
        return folder

    def faults(self, folder: Path) -> list[str]:
        ledger = open_ledger(folder)
        try:
            return ledger.verify([])
        finally:
            ledger.close()

    def test_it_is_durable_and_private(self, ledger: Ledger, tmp_path: Path) -> None:
        """Commits wait for the disk, the journal survives a crash, and nobody else may read the file."""
        with ledger._engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        ledger.charge(REQUEST)
        assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("ledger.sqlite", "ledger.head")} == {0o600}

    def test_sixteen_processes_never_overspend(self, tmp_path: Path) -> None:
        """Charging one block at once from 16 processes, some killed after it, spends the budget exactly and no more."""
        script = """
import os, sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from publisher.errors import BudgetError
from publisher.privacy.ledger import ChargeRequest, open_ledger
folder = Path(sys.argv[1])
def work(me):
    ledger, made = open_ledger(folder), 0
    for n in range(3):
        try:
            ledger.charge(ChargeRequest("town", "visits", "2020-01", f"{me}-{n}", "zcdp", "record", "day",
                                        Fraction(1, 10), Fraction(2), ("2020-01-01", "2020-01-02"), ("{}",), "e", "r"))
            made += 1
        except BudgetError:
            pass
    os._exit(made)  # as a kill would: nothing is closed
children = []
for me in range(16):
    child = os.fork()
    if child == 0:
        work(me)
    children.append(child)
print(sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""
        ran = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
        )
        assert (ran.stdout.strip(), ran.stderr) == ("20", "")
        ledger = open_ledger(tmp_path)
        assert ledger.spending() == [Spending("town", block, Fraction(2)) for block in ("2020-01-01", "2020-01-02")]
        assert len(ledger.entries("charge")) == 20
        assert ledger.verify([]) == []
        ledger.close()

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
    def test_a_changed_ledger_is_found(self, filled: Path, change: Callable[[sqlite3.Connection], None]) -> None:
        """Cut, removed, reordered, inserted or rewritten: verification names a fault, and reading never crashes."""
        rewrite(filled / "ledger.sqlite", change)
        assert self.faults(filled)
        ledger = open_ledger(filled)
        for ask in (ledger.entries, ledger.spending, lambda: ledger.charge(request(50))):
            with suppress(PublisherError):
                ask()
        ledger.close()

    def test_every_byte_of_every_field_counts(self, filled: Path) -> None:
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

    def test_no_flipped_byte_of_the_file_goes_unseen(self, filled: Path, tmp_path: Path) -> None:
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

    def test_a_restored_backup_is_found(self, filled: Path, tmp_path: Path) -> None:
        """Yesterday's file in today's place lacks the entry that the anchor and the releases remember."""
        backup = tmp_path / "backup"
        shutil.copytree(filled, backup)
        ledger = open_ledger(filled)
        latest = ledger.charge(request(30))
        ledger.close()
        shutil.copy(backup / "ledger.sqlite", filled)
        assert [fault.split(" remembers")[0] for fault in self.faults(filled)] == [f"{filled.name}/ledger.head"]
        shutil.copy(backup / "ledger.head", filled)
        ledger = open_ledger(filled)
        assert ledger.verify([]) == []
        assert ledger.verify([("visits/2020-01/3", latest.sequence, latest.hash)])
        ledger.close()

    @pytest.mark.parametrize("text", ["", "{}", "[]", "null", "\xff", '{"sequence": "x", "hash": 1}'])
    def test_a_damaged_anchor_is_found(self, filled: Path, text: str) -> None:
        """An anchor that cannot be read is a fault, not a pass."""
        (filled / "ledger.head").write_bytes(text.encode("latin-1"))
        assert self.faults(filled)

    def test_an_anchor_may_lag_behind(self, filled: Path) -> None:
        """A crash between the commit and the anchor leaves a head that is still in the chain: no fault."""
        first = json.dumps({"sequence": 1, "hash": open_ledger(filled).entries()[0].hash})
        (filled / "ledger.head").write_text(first)
        assert self.faults(filled) == []

    @pytest.mark.parametrize("content", [b"junk" * 2_000, b"SQLite format 3\0" + b"\xff" * 5_000])
    def test_what_is_no_ledger_is_one_message(self, tmp_path: Path, content: bytes) -> None:
        """Junk in the ledger's place, or a missing folder, is a SourceError that says where."""
        (tmp_path / "ledger.sqlite").write_bytes(content)
        with pytest.raises(SourceError, match="cannot be opened"):
            open_ledger(tmp_path)
        with pytest.raises(SourceError, match="cannot be opened"):
            open_ledger(tmp_path / "nowhere")


def test_amounts_for_people() -> None:
    """Short decimals are exact; others are a fraction with about what it is."""
    assert [decimal(Fraction(text)) for text in ("1/10", "3", "1/3", "-1/20")] == [
        "0.1",
        "3",
        "1/3 (about 0.333333)",
        "-0.05",
    ]
