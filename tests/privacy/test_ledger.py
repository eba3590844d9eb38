"""The ledger: exact, charged once, never over budget, durable, and whatever is changed in it is found."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_examples import DAYS, REQUEST, TENTH, fill, request, says

from publisher.definitions.period import parse
from publisher.definitions.settings import Settings
from publisher.errors import BudgetError, PublisherError, SourceError
from publisher.pipeline.charges import request_of
from publisher.privacy.chain import Head, following
from publisher.privacy.installation import owner_of
from publisher.privacy.ledger import Ledger, Spending, decimal, open_ledger
from publisher.privacy.tables import ENTRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from postgres import Server
    from small_town import Town

CHANGES = {
    "tail cut": ["DELETE FROM spending WHERE sequence = 4", "DELETE FROM entries WHERE sequence >= 4"],
    "last entry cut": ["DELETE FROM entries WHERE sequence = 5"],
    "all cut": ["DELETE FROM spending", "DELETE FROM entries"],
    "middle removed": ["DELETE FROM entries WHERE sequence = 3"],
    "middle removed and renumbered": [
        "DELETE FROM entries WHERE sequence = 3",
        "UPDATE entries SET sequence = 3 WHERE sequence = 4",
        "UPDATE entries SET sequence = 4 WHERE sequence = 5",
    ],
    "reordered": [
        "UPDATE entries SET sequence = 99 WHERE sequence = 2",
        "UPDATE entries SET sequence = 2 WHERE sequence = 3",
        "UPDATE entries SET sequence = 3 WHERE sequence = 99",
    ],
    "inserted": [
        "INSERT INTO entries SELECT 6, kind, at, payload, hash, substr(hash, 2) || '0' FROM entries WHERE sequence = 5"
    ],
    "spending lowered": ["UPDATE spending SET loss = '1/100' WHERE sequence = 1"],
    "spending removed": ["DELETE FROM spending WHERE sequence = 1 AND block = '2020-01-01'"],
    "spending moved": ["UPDATE spending SET block = '2020-09-09' WHERE sequence = 1 AND block = '2020-01-01'"],
    "spending invented": ["INSERT INTO spending SELECT 1, source, 'x', loss, series, 0, '0' FROM spending LIMIT 1"],
    "spending made parallel": ["UPDATE spending SET parallel = 1 WHERE sequence = 1"],
    "spending in another series": ["UPDATE spending SET series = 'visits 2020-01 b' WHERE sequence = 1"],
    "δ added": ["UPDATE spending SET delta = '1/1000' WHERE sequence = 1"],
    "payload is no JSON": ["UPDATE entries SET payload = 'x' WHERE sequence = 2"],
    "payload of a charge is no JSON": ["UPDATE entries SET payload = 'x' WHERE sequence = 1"],
    "payload of a charge is empty": ["UPDATE entries SET payload = '{}' WHERE sequence = 1"],
    "payload is a list": ["UPDATE entries SET payload = '[]' WHERE sequence = 1"],
    "loss is no number": ["UPDATE spending SET loss = 'x' WHERE sequence = 3"],
}

AGREEING = {
    "charge and spending lowered": [
        "UPDATE spending SET loss = '1/100' WHERE sequence = 1",
        'UPDATE entries SET payload = replace(payload, \'"loss":"1/10"\', \'"loss":"1/100"\') WHERE sequence = 1',
    ],
    "charge and spending moved": [
        "UPDATE spending SET block = '2020-09-09' WHERE sequence = 1 AND block = '2020-01-01'",
        "UPDATE entries SET payload = replace(payload, '2020-01-01', '2020-09-09') WHERE sequence = 1",
    ],
    "charge made a fact": [
        "DELETE FROM spending WHERE sequence = 1",
        "UPDATE entries SET kind = 'note' WHERE sequence = 1",
    ],
    "all spending removed": ["DELETE FROM spending"],
    "the spending of one charge removed": ["DELETE FROM spending WHERE sequence = 3"],
}
"""More than a look at the spending of the blocks would show."""

FIRST_LAYOUT = """
CREATE TABLE entries (sequence INTEGER NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL, payload TEXT NOT NULL,
                      previous TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (sequence), UNIQUE (hash));
CREATE TABLE spending (sequence INTEGER NOT NULL, source TEXT NOT NULL, block TEXT NOT NULL, loss TEXT NOT NULL,
                       PRIMARY KEY (sequence, source, block), FOREIGN KEY(sequence) REFERENCES entries (sequence));
CREATE INDEX spending_of_block ON spending (source, block)
""".split(";")
"""The tables as the first ledgers have them."""

EACH_STORE = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
"""The same property is tried on every store: that is what the health check sees."""

CHARGING = """
import os, sys
from fractions import Fraction
from pathlib import Path
from publisher.errors import BudgetError
from publisher.privacy.ledger import ChargeRequest, open_ledger
folder, server, same = Path(sys.argv[1]), sys.argv[2] or None, sys.argv[3] == "same"
def work(me):
    ledger, made = open_ledger(folder, server=server), 0
    for n in range(3):
        try:
            ledger.charge(ChargeRequest("town", "visits", "2020-01", f"{n}" if same else f"{me}-{n}", "zcdp", "record",
                                        "day", Fraction(1, 10), Fraction(2), ("2020-01-01", "2020-01-02"), ("{}",), "e",
                                        "r"))
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

RACING = """
import json, sys
from fractions import Fraction
from pathlib import Path
from publisher.errors import BudgetError
from publisher.privacy.ledger import ChargeRequest, open_ledger
folder, server = Path(sys.argv[1]), sys.argv[2] or None
ledger, made = open_ledger(folder, server=server), []
print("ready", flush=True)
sys.stdin.readline()
for key in [*"0123456789", folder.name]:
    try:
        ledger.charge(ChargeRequest("town", "visits", "2020-01", key, "zcdp", "record", "day", Fraction(1, 10),
                                    Fraction(2), ("2020-01-01", "2020-01-02"), ("{}",), "e", "r"))
        made.append(key)
    except BudgetError as error:
        assert "charged by another installation" in str(error), error
ledger.close()
print(json.dumps(made))
"""

HOLDING = """
import sys, time
from pathlib import Path
from publisher.privacy.ledger import open_ledger
ledger = open_ledger(Path(sys.argv[1]), server=sys.argv[2] or None)
with ledger._database.writing() as connection:
    connection.exec_driver_sql("DELETE FROM spending")
    print("holds", flush=True)
    time.sleep(600)
"""


class LedgerContract:
    """What every ledger must do, whatever it is kept in."""

    def server(self, folder: Path) -> str | None:
        """The server's address of the ledger of that folder, where there is a server."""
        raise NotImplementedError

    def change(self, folder: Path, *statements: str) -> None:
        """Changes the ledger behind its back; no foreign key stands in the way."""
        raise NotImplementedError

    def share(self, folder: Path, other: Path) -> str | None:
        """Makes another state folder, on another machine so to speak, whose ledger is that of `folder`."""
        raise NotImplementedError

    def open(self, folder: Path) -> Ledger:
        return open_ledger(folder, server=self.server(folder))

    def faults(self, folder: Path) -> list[str]:
        """What a ledger opened for it finds."""
        ledger = self.open(folder)
        try:
            return ledger.verify([])
        finally:
            ledger.close()

    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[Ledger]:
        ledger = self.open(tmp_path)
        yield ledger
        ledger.close()

    @pytest.fixture
    def filled(self, tmp_path: Path) -> Path:
        """The folder of a closed ledger of three charges and two facts."""
        folder = tmp_path / "filled"
        folder.mkdir()
        ledger = self.open(folder)
        fill(ledger)
        assert ledger.verify([]) == []
        ledger.close()
        return folder

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

    def test_a_refusal_names_the_first_later_block_with_room(self, ledger: Ledger) -> None:
        """Blocks that are full themselves are passed over, also those of other datasets; a smaller loss fits sooner."""
        for number, day in enumerate(("2020-01-01", "2020-01-03", "2020-01-04"), 1):
            ledger.charge(request(number, Fraction(1, 4), dataset=f"d{number}", blocks=(day,)))
        ledger.charge(request(7, source="village", blocks=("2020-01-05",)))
        with pytest.raises(BudgetError, match=r"0\.05 left of 0\.3.* that can pay is 2020-01-05, from 2020-01-05 on"):
            ledger.charge(request(8))
        ledger.charge(request(9, Fraction(1, 20), blocks=("2020-01-01",)))
        with pytest.raises(BudgetError, match=r"0 left of 0\.3.* that can pay is 2020-01-03, from 2020-01-03 on"):
            ledger.charge(request(10, Fraction(1, 20)))

    def test_a_refusal_for_good_names_no_block(self, ledger: Ledger) -> None:
        """A loss above the whole budget fits nowhere, and a lifetime has no other block: only a change would help."""
        with pytest.raises(BudgetError, match=r"0\.3 left of 0\.3.* No block of the source could pay that: raise"):
            ledger.charge(request(1, Fraction(1)))
        ledger.charge(request(2, Fraction(1, 4), window="lifetime", blocks=("lifetime",)))
        with pytest.raises(BudgetError, match="This source has one block for all time: raise"):
            ledger.charge(request(3, window="lifetime", blocks=("lifetime",)))

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
            with pytest.raises(BudgetError, match=f"first charge has {field} = {getattr(REQUEST, field)}"):
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

    def test_a_vintage_is_charged_once(self, ledger: Ledger) -> None:
        """A later scheduled edition is a charge of its own; asking for it again gives it back."""
        first, second = (ledger.charge(replace(REQUEST, vintage=number)) for number in (1, 2))
        assert first != second
        assert [ledger.charge(replace(REQUEST, vintage=number)) for number in (1, 2)] == [first, second]
        assert {each.spent for each in ledger.spending()} == {2 * TENTH}
        assert [entry.payload["vintage"] for entry in ledger.charges("visits", "2020-01")] == [1, 2]

    def test_parallel_vintages_cost_the_largest(self, ledger: Ledger) -> None:
        """Vintages that count disjoint records cost a block the largest of them; other draws still add up."""
        losses = (TENTH, TENTH, Fraction(1, 20), Fraction(1, 5), TENTH)
        for vintage, loss in enumerate(losses, 1):
            ledger.charge(replace(REQUEST, parallel=True, vintage=vintage, loss=loss))
            assert {each.spent for each in ledger.spending()} == {max(losses[:vintage])}
        ledger.charge(request(1))
        assert {each.spent for each in ledger.spending()} == {Fraction(3, 10)}
        assert ledger.verify([]) == []

    def test_a_dearer_vintage_pays_the_difference(self, ledger: Ledger) -> None:
        """Only what exceeds the largest vintage so far must fit the budget; what costs no more fits a full one."""
        ledger.charge(replace(REQUEST, parallel=True))
        ledger.charge(request(1))
        with pytest.raises(BudgetError, match=r"needs 0\.15 on each .* has 0\.1 left of 0\.3"):
            ledger.charge(replace(REQUEST, parallel=True, vintage=2, loss=Fraction(1, 4)))
        ledger.charge(replace(REQUEST, parallel=True, vintage=2, loss=Fraction(1, 5)))
        assert {each.spent for each in ledger.spending()} == {Fraction(3, 10)}
        ledger.afford(replace(REQUEST, parallel=True, vintage=3, loss=Fraction(1, 5)))
        ledger.charge(replace(REQUEST, parallel=True, vintage=3, loss=TENTH))
        with pytest.raises(BudgetError):
            ledger.charge(request(2, Fraction(1, 10**9)))

    @pytest.mark.parametrize("began", [True, False])
    def test_a_series_stays_as_it_began(self, ledger: Ledger, began: bool) -> None:
        """Vintages charged as a sum are not charged as a maximum later, nor the other way round."""
        ledger.charge(replace(REQUEST, parallel=began))
        before = says(ledger)
        for vintage in (1, 2):
            for ask in (ledger.afford, ledger.charge):
                with pytest.raises(BudgetError, match="restore the source's policy for late records"):
                    ask(replace(REQUEST, parallel=not began, vintage=vintage))
        assert says(ledger) == before

    def test_deltas_are_exact_and_limited(self, ledger: Ledger) -> None:
        """δ is summed beside ρ; over its own budget it is refused in its own words, and nothing is written."""
        tiny = Fraction(1, 10**7)
        for number in range(3):
            ledger.charge(request(number, delta=tiny, delta_budget=3 * tiny))
        assert {(each.spent, each.delta) for each in ledger.spending()} == {(3 * TENTH, 3 * tiny)}
        before = says(ledger)
        with pytest.raises(BudgetError, match=r"needs δ 1e-07 on each .* has δ 0 left of δ 3e-07; 0 of its blocks"):
            ledger.charge(request(4, delta=tiny, delta_budget=3 * tiny, budget=Fraction(1)))
        assert says(ledger) == before
        ledger.charge(request(4, budget=Fraction(1)))  # what needs no δ is not held up by it
        assert ledger.entries()[0].payload["delta"] == "1/10000000"

    def test_parallel_vintages_cost_the_largest_delta(self, ledger: Ledger) -> None:
        """ρ and δ each bear their own maximum."""
        tiny = Fraction(1, 10**7)
        series = replace(REQUEST, parallel=True, delta_budget=3 * tiny)
        ledger.charge(replace(series, delta=3 * tiny))
        ledger.charge(replace(series, delta=tiny, loss=2 * TENTH, vintage=2))
        assert {(each.spent, each.delta) for each in ledger.spending()} == {(2 * TENTH, 3 * tiny)}

    def test_pure_epsilon_has_no_delta(self, ledger: Ledger) -> None:
        """A source that keeps its budget in pure ε refuses any δ, whatever its budget says."""
        pure = replace(REQUEST, currency="pure", delta=Fraction(1, 10**9), delta_budget=Fraction(1))
        for ask in (ledger.afford, ledger.charge):
            with pytest.raises(BudgetError, match="pure ε, which allows no δ"):
                ask(pure)
        assert says(ledger) == ((), ())

    def test_a_charge_says_who_drew(self, ledger: Ledger) -> None:
        """The sampler stands beside the serialized measurements."""
        assert ledger.charge(REQUEST).payload["sampler"] == "opendp"
        assert ledger.charge(request(1, sampler="publisher 1")).payload["sampler"] == "publisher 1"

    def test_charges_of_a_period_are_its_own(self, ledger: Ledger) -> None:
        """No other dataset or period whose name begins alike, or has a wildcard in it, is among them."""
        for dataset, period in (("a-b", "2020"), ("a_b", "2020"), ("a-b", "2020-01"), ("a-b-c", "2020")):
            ledger.charge(request(1, dataset=dataset, period=period, budget=Fraction(1)))
        found = [(entry.payload["dataset"], entry.payload["period"]) for entry in ledger.charges("a_b", "2020")]
        assert found == [("a_b", "2020")]

    @EACH_STORE
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

    @EACH_STORE
    @given(
        charges=st.lists(
            st.tuples(
                st.sampled_from("abc"),
                st.integers(1, 4),
                st.fractions(Fraction(1, 97), Fraction(1, 5)),
                st.fractions(0, Fraction(1, 5)),
                st.sets(st.sampled_from(DAYS), min_size=1),
            ),
            max_size=10,
        )
    )
    def test_series_are_summed_as_the_model_says(
        self, tmp_path_factory: pytest.TempPathFactory, charges: list[tuple[str, int, Fraction, Fraction, set[str]]]
    ) -> None:
        """Series a and b are parallel, c is not: each block bears Σ max and Σ sum, after each charge, and never more
        than its budget."""
        ledger = self.open(tmp_path_factory.mktemp("ledger"))
        made: dict[tuple[str, int], tuple[Fraction, Fraction, set[str]]] = {}

        def spent(with_: dict[tuple[str, int], tuple[Fraction, Fraction, set[str]]], day: str) -> list[Fraction]:
            return [
                sum(
                    (
                        (max if series in "ab" else sum)(
                            [0, *(c[part] for k, c in with_.items() if k[0] == series and day in c[2])]
                        )
                        for series in "abc"
                    ),
                    Fraction(0),
                )
                for part in (0, 1)
            ]

        for series, vintage, loss, delta, blocks in charges:
            wanted = replace(
                REQUEST, statistical_hash=series, vintage=vintage, loss=loss, delta=delta, parallel=series in "ab",
                blocks=tuple(sorted(blocks)), delta_budget=Fraction(1, 3),
            )  # fmt: skip
            new = made if (series, vintage) in made else made | {(series, vintage): (loss, delta, blocks)}
            before, after = ({day: spent(each, day) for day in blocks} for each in (made, new))
            limits = (REQUEST.budget, Fraction(1, 3))
            fits = all(after[d][p] <= limits[p] or after[d][p] == before[d][p] for d in blocks for p in (0, 1))
            try:
                ledger.charge(wanted)
            except BudgetError:
                assert not fits
            else:
                assert fits
                made = new
            of_days = {day: tuple(spent(made, day)) for day in DAYS if any(day in c[2] for c in made.values())}
            assert ledger.spent("town") == of_days
        told = {each.block: [each.spent, each.delta] for each in ledger.spending()}
        assert told == {day: spent(made, day) for day in DAYS if any(day in c[2] for c in made.values())}
        assert ledger.verify([]) == []
        ledger.close()

    @pytest.mark.usefixtures("processes")
    @pytest.mark.parametrize(("same", "made", "entries"), [("others", 20, 20), ("same", 48, 3)])
    def test_sixteen_processes_never_overspend(self, tmp_path: Path, same: str, made: int, entries: int) -> None:
        """Charging one block at once from 16 processes, some killed after it, spends the budget exactly and no more;
        asking for the same three draws charges each of them once."""
        command = [sys.executable, "-c", CHARGING, str(tmp_path), self.server(tmp_path) or "", same]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert (ran.stdout.strip(), ran.stderr) == (str(made), "")
        ledger = self.open(tmp_path)
        spent = Fraction(entries, 10)
        assert ledger.spending() == [Spending("town", block, spent) for block in ("2020-01-01", "2020-01-02")]
        assert len(ledger.entries("charge")) == entries
        assert ledger.verify([]) == []
        ledger.close()

    @pytest.mark.usefixtures("processes")
    def test_a_writer_that_is_killed_leaves_nothing_and_lets_go(self, ledger: Ledger, tmp_path: Path) -> None:
        """What it had begun is undone, and the next writer goes on at once."""
        ledger.charge(REQUEST)
        before = says(ledger)
        command = [sys.executable, "-c", HOLDING, str(tmp_path), self.server(tmp_path) or ""]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "holds\n"
            assert says(ledger) == before  # readers do not wait for a writer
            holder.send_signal(signal.SIGKILL)
        assert says(ledger) == before
        assert ledger.charge(request(1)).sequence == 2
        assert ledger.verify([]) == []

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
    def test_a_changed_ledger_is_found(self, filled: Path, change: list[str]) -> None:
        """Cut, removed, reordered, inserted or rewritten: verification names a fault, and reading never crashes."""
        self.change(filled, *change)
        assert self.faults(filled)
        ledger = self.open(filled)
        asked: tuple[Callable[[], object], ...] = (
            ledger.entries,
            ledger.spending,
            lambda: ledger.charges("visits", "2020-01"),
            lambda: ledger.charge(request(50)),
        )
        for ask in asked:
            with suppress(PublisherError):
                ask()
        ledger.close()

    @pytest.mark.parametrize("change", [*CHANGES.values(), *AGREEING.values()], ids=[*CHANGES, *AGREEING])
    def test_a_changed_ledger_pays_for_nothing(self, filled: Path, change: list[str]) -> None:
        """What blocks have spent is taken from the chain: whatever was changed, nothing is charged on them, nor is a
        charge refunded."""
        self.change(filled, *change)
        assert self.faults(filled)
        ledger, before = self.open(filled), (filled / "ledger.head").read_bytes()
        for wanted in (request(50), request(0)):
            for ask in (ledger.afford, ledger.charge):
                with pytest.raises(BudgetError, match="`publisher verify`"):
                    ask(wanted)
        assert (filled / "ledger.head").read_bytes() == before
        ledger.close()

    def test_what_a_run_has_read_it_remembers(self, ledger: Ledger, tmp_path: Path) -> None:
        """Spending that is deleted, or an entry and every anchor of it, is missed also while the ledger is open."""
        ledger.charge(REQUEST)
        ledger.charge(request(1))
        ledger.afford(request(2))
        self.change(tmp_path, "DELETE FROM spending")
        with pytest.raises(BudgetError, match="was changed and cannot be trusted"):
            ledger.charge(request(2))
        self.change(tmp_path, "DELETE FROM entries")
        (tmp_path / "ledger.head").unlink()
        with pytest.raises(BudgetError, match="is missing entry 2, which this run remembers"):
            ledger.charge(request(2))

    @pytest.mark.parametrize("many", [1, 600])
    @pytest.mark.parametrize("read", [False, True])
    def test_a_head_of_anyone_has_to_be_there(self, ledger: Ledger, tmp_path: Path, many: int, *, read: bool) -> None:
        """Few heads or many, before the entries were read or after: each has to be an entry of the ledger, and the last
        one that was read has to be there still."""
        made = [ledger.charge(request(n)) for n in range(3)]
        ledger.close()
        fresh = self.open(tmp_path)
        if read:
            fresh.spending()
        held = [Head("the portal", each.sequence, each.hash) for each in made] * many
        fresh.refuse_if_cut(held)
        for sequence, digest in ((1, made[1].hash), (3, made[1].hash), (4, made[2].hash), (0, ""), (-1, "")):
            with pytest.raises(BudgetError, match=f"is missing entry {sequence}, which another one remembers"):
                fresh.refuse_if_cut([*held, Head("another one", sequence, digest)])
        self.change(tmp_path, "DELETE FROM entries WHERE sequence = 3")
        with pytest.raises(BudgetError, match="is missing entry 3"):
            fresh.refuse_if_cut(held[:1] * many)
        fresh.close()

    def test_a_damaged_entry_hides_no_other_of_its_kind(self, ledger: Ledger, tmp_path: Path) -> None:
        """Whoever asks again is refused again: a run goes on with other datasets, and what was retracted of them must
        not look as if it never had been."""
        for dataset in ("visits", "permits"):
            ledger.record("retraction", {"dataset": dataset, "period": "2020-01", "edition": 1})
        self.change(tmp_path, "UPDATE entries SET payload = 'x' WHERE sequence = 1")
        for _ in range(2):
            with pytest.raises(BudgetError, match="was changed and cannot be trusted"):
                ledger.about("permits", "retraction")

    def test_a_charge_is_its_owners(self, ledger: Ledger, tmp_path: Path) -> None:
        """Another state folder does not get the charge, for it would draw again; other keys add up as ever."""
        made = ledger.charge(REQUEST)
        other = open_ledger(tmp_path / "other", server=self.share(tmp_path, tmp_path / "other"))
        for ask in (other.afford, other.charge):
            with pytest.raises(BudgetError, match=r"visits 2020-01: was charged by another installation.* or spent"):
                ask(REQUEST)
        assert other.entries() == [made]
        assert ledger.charge(REQUEST) == made
        theirs = other.charge(request(1))
        with pytest.raises(BudgetError, match="by another installation"):
            ledger.charge(request(1))
        assert {each.spent for each in ledger.spending()} == {2 * TENTH}
        assert made.payload["owner"] == (tmp_path / "owner").read_text().strip() != theirs.payload["owner"]
        assert ledger.verify([]) == other.verify([]) == []
        other.close()

    def test_a_restored_state_folder_is_the_same_owner(self, ledger: Ledger, tmp_path: Path) -> None:
        """Its copy in another place resumes the charge: the id of the folder is in it."""
        made = ledger.charge(REQUEST)
        server = self.share(tmp_path, tmp_path / "restored")
        shutil.copy(tmp_path / "owner", tmp_path / "restored")
        restored = open_ledger(tmp_path / "restored", server=server)
        assert restored.charge(REQUEST) == made
        restored.close()

    @pytest.mark.usefixtures("processes")
    def test_two_owners_at_once_share_the_keys(self, ledger: Ledger, tmp_path: Path) -> None:
        """Of two that race for ten keys exactly one gets each, and both get what is theirs alone."""
        running = []
        for name in ("one", "two"):
            server = self.share(tmp_path, tmp_path / name) or ""
            command = [sys.executable, "-c", RACING, str(tmp_path / name), server]
            running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for each in running:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for each in running:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        one, two = (json.loads(each.communicate(timeout=120)[0]) for each in running)
        assert sorted(one + two) == sorted([*"0123456789", "one", "two"])
        assert ("one" in one, "two" in two) == (True, True)
        assert len(ledger.entries("charge")) == 12
        assert {each.spent for each in ledger.spending()} == {12 * TENTH}

    def test_an_edition_is_released_once(self, ledger: Ledger) -> None:
        """The same edition with another manifest is refused and adds nothing; other editions and periods go on."""
        edition = {"dataset": "visits", "period": "2020-01", "edition": 1, "manifest": "a"}
        ledger.record("release", edition)
        with pytest.raises(BudgetError, match="visits 2020-01, edition 1, was released before with other content"):
            ledger.record("release", edition | {"manifest": "b"})
        assert len(ledger.entries()) == 1
        for other in ({"edition": 2}, {"period": "2020-02"}, {"dataset": "visits-2"}):
            ledger.record("release", edition | other | {"manifest": "b"})
        ledger.record("retraction", edition | {"manifest": "b"})
        assert ledger.verify([]) == []

    def test_an_edition_released_twice_is_found(self, ledger: Ledger) -> None:
        """A pair that an older publisher let in is named, although the chain holds."""
        last = None
        for manifest in "aba":
            payload = {"dataset": "visits", "period": "2020-01", "edition": 1, "manifest": manifest}
            last = following(last, "release", payload)
            with ledger._database.writing() as connection:
                connection.execute(sa.insert(ENTRIES), [last._asdict()])
        ledger.record("note", {})
        assert ledger.verify([]) == ["visits/2020-01/1 was released twice with different content: entry 2"]

    def test_a_clock_stays_as_it_began(self, ledger: Ledger) -> None:
        """Read by other forms or in another zone, a record would fall into a block that it has not paid from."""
        ledger.charge(request(1, clock="%Y-%m-%d %H:%M; UTC"))
        before = says(ledger)
        for clock in ("%Y-%d-%m %H:%M; UTC", "%Y-%m-%d %H:%M; America/Chicago", ""):
            for ask in (ledger.afford, ledger.charge):
                with pytest.raises(BudgetError, match="first charge has clock = %Y-%m-%d %H:%M; UTC"):
                    ask(request(2, blocks=("2030-01-01",), clock=clock))
        assert says(ledger) == before
        ledger.charge(request(2, clock="%Y-%m-%d %H:%M; UTC"))

    def test_the_first_charge_that_names_a_clock_binds(self, tmp_path: Path) -> None:
        """Charges of old name none and forbid none; from the first that does it stays."""
        statements, head = _first_entries()
        self.change(tmp_path, *FIRST_LAYOUT, *statements)
        (tmp_path / "ledger.head").write_text(head)
        ledger = self.open(tmp_path)
        ledger.charge(request(5, clock="%Y; UTC"))
        with pytest.raises(BudgetError, match="first charge has clock = %Y; UTC"):
            ledger.charge(request(6, clock="%y; UTC"))
        assert ledger.verify([]) == []
        ledger.close()

    def test_a_cut_ledger_spends_nothing(self, filled: Path) -> None:
        """Blocks whose charges were cut off would look fresh: every charge and fact is refused, also by afford."""
        self.change(filled, *CHANGES["tail cut"])
        ledger = self.open(filled)
        for ask in (
            lambda: ledger.charge(request(50)),
            lambda: ledger.afford(request(50)),
            lambda: ledger.record("release", {}),
            ledger.refuse_if_cut,
        ):
            with pytest.raises(BudgetError, match=r"is missing entry 5, which filled/ledger.head remembers"):
                ask()
        ledger.close()

    @pytest.mark.parametrize("text", ["", "{}", "[]", "null", "\xff", '{"sequence": "x", "hash": 1}'])
    def test_a_damaged_anchor_is_found(self, filled: Path, text: str) -> None:
        """An anchor that cannot be read is a fault, not a pass."""
        (filled / "ledger.head").write_bytes(text.encode("latin-1"))
        assert self.faults(filled)

    def test_a_missing_anchor_is_found(self, filled: Path) -> None:
        """Unless the ledger has but one entry: a crash may have come before its anchor."""
        (filled / "ledger.head").unlink()
        assert ["missing" in fault for fault in self.faults(filled)] == [True]

    def test_an_anchor_may_lag_behind(self, filled: Path) -> None:
        """A crash between the commit and the anchor leaves a head that is still in the chain: no fault."""
        ledger = self.open(filled)
        first = json.dumps({"sequence": 1, "hash": ledger.entries()[0].hash})
        ledger.close()
        (filled / "ledger.head").write_text(first)
        assert self.faults(filled) == []

    def test_a_ledger_of_the_first_layout_is_brought_up(self, tmp_path: Path) -> None:
        """Its entries keep their bytes and verify, its charges are found and counted, and new ones add up with them."""
        statements, head = _first_entries()
        self.change(tmp_path, *FIRST_LAYOUT, *statements)
        (tmp_path / "ledger.head").write_text(head)
        ledger = self.open(tmp_path)
        assert ledger.verify([]) == []
        assert [entry.kind for entry in ledger.entries()] == ["charge", "release", "charge"]
        assert ledger.spending() == [Spending("town", day, 2 * TENTH) for day in REQUEST.blocks]
        assert ledger.charge(request(0)) == ledger.entries()[0]  # the draw was charged then
        with pytest.raises(BudgetError, match="restore the source's policy"):
            ledger.charge(request(0, vintage=2, parallel=True))
        ledger.charge(request(0, vintage=2))
        with pytest.raises(BudgetError, match=r"has 0 left of 0\.3"):
            ledger.charge(request(5))
        before = says(ledger)
        ledger.close()
        ledger = self.open(tmp_path)
        assert says(ledger) == before
        assert ledger.verify([]) == []
        ledger.close()

    def test_a_changed_ledger_of_the_first_layout_is_found(self, tmp_path: Path) -> None:
        """Bringing it up neither hides nor trips over what was changed in it before."""
        statements, head = _first_entries()
        self.change(tmp_path, *FIRST_LAYOUT, *statements, "UPDATE entries SET payload = 'x' WHERE sequence = 1")
        (tmp_path / "ledger.head").write_text(head)
        assert self.faults(tmp_path)

    def test_a_ledger_of_a_newer_publisher_is_left_alone(self, filled: Path) -> None:
        """What this version does not know it does not write into."""
        self.change(filled, "INSERT INTO migrations VALUES ('from_the_future')")
        with pytest.raises(SourceError, match=r"made by a newer publisher \(from_the_future\)"):
            self.open(filled)

    @pytest.mark.usefixtures("processes")
    def test_verifying_beside_a_writer_finds_no_fault(self, filled: Path) -> None:
        """Entries, spending and checkpoints are read in an order that charges made meanwhile do not disturb."""
        command = [sys.executable, "-c", CHARGING, str(filled), self.server(filled) or "", "others"]
        ledger, looks = self.open(filled), 0
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writers:
            while writers.poll() is None:
                assert ledger.verify([]) == []
                looks += 1
        assert looks > 3
        ledger.close()


class TestSqlite(LedgerContract):
    """The ledger in SQLite."""

    def server(self, folder: Path) -> None:
        """A file."""

    def share(self, folder: Path, other: Path) -> None:
        """The same file."""
        other.mkdir()
        (other / "ledger.sqlite").symlink_to(folder / "ledger.sqlite")

    def change(self, folder: Path, *statements: str) -> None:
        with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection, connection:
            for statement in statements:
                connection.execute(statement)


class TestPostgres(LedgerContract):
    """The ledger on a PostgreSQL server."""

    postgres: Server

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _with_a_server(cls, postgres: Server) -> None:
        cls.postgres = postgres

    def server(self, folder: Path) -> str:
        """A schema of its own for each folder."""
        return self.postgres.address(str(folder))

    def share(self, folder: Path, other: Path) -> str:
        """The same schema of the server."""
        other.mkdir()
        return self.server(folder)

    def change(self, folder: Path, *statements: str) -> None:
        schema = self.server(folder).split("%3D")[1]
        self.postgres.sql(f"SET search_path TO {schema}", "SET session_replication_role TO replica", *statements)


@pytest.mark.parametrize(
    "wrong",
    [{"loss": -TENTH}, {"delta": -TENTH}, {"vintage": 0}, {"blocks": ()}, {"blocks": ("2020-01-01", "2020-01-01")}],
)
def test_a_charge_gives_nothing_back(wrong: dict[str, object]) -> None:
    """A request that would refund, or names no block, is no request."""
    with pytest.raises(ValueError, match=r"cannot be negative|start at one|its blocks"):
        replace(REQUEST, **wrong)


def test_the_owner_is_made_once_and_kept(tmp_path: Path) -> None:
    """32 hex digits in a file that its owner alone may read; another folder has others; a damaged one is said so."""
    (tmp_path / "other").mkdir()
    first, again, other = owner_of(tmp_path), owner_of(tmp_path), owner_of(tmp_path / "other")
    assert first == again != other
    assert (len(first), set(first) <= set("0123456789abcdef")) == (32, True)
    assert (tmp_path / "owner").stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other", "owner"]
    for content in (b"", b"\xff", b"x" * 33, first.encode()[:20]):
        (tmp_path / "owner").write_bytes(content)
        with pytest.raises(SourceError, match=r"owner: the installation's id is damaged: restore this file"):
            open_ledger(tmp_path)


def _first_entries() -> tuple[list[str], str]:
    """Two charges and a fact, written as the first ledgers wrote them, and their anchor."""
    statements, previous = [], "0" * 64
    new = ("clock", "vintage", "parallel", "delta", "delta_budget", "sampler")
    charges = [{k: v for k, v in request(n).payload().items() if k not in new} for n in (0, 1)]
    facts = [("charge", charges[0]), ("release", {"dataset": "é", "edition": 1}), ("charge", charges[1])]
    for sequence, (kind, payload) in enumerate(facts, 1):
        at = "2020-02-01T00:00:00+00:00"
        text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        hashed = json.dumps([sequence, kind, at, text, previous], ensure_ascii=False)
        digest = sha256(hashed.encode()).hexdigest()
        statements.append(
            f"INSERT INTO entries VALUES ({sequence}, '{kind}', '{at}', '{text}', '{previous}', '{digest}')"
        )
        statements += [
            f"INSERT INTO spending VALUES ({sequence}, 'town', '{block}', '1/10')"
            for block in payload.get("blocks", [])
        ]
        previous = digest
    return statements, json.dumps({"sequence": len(facts), "hash": previous})


def test_a_draw_names_the_clock_of_its_source(town: Town) -> None:
    """Every form in its order, and the feed's own zone where it has one."""
    settings, period = Settings(organization="o", contact="c", license="l", jurisdiction="j"), parse("2020-01")
    clocks = []
    for event in ({}, {"zone": "UTC"}, {"formats": ("%Y-%m-%d", "%m/%d/%Y")}):
        changed = replace(town, source={"event": {"column": "opened", "formats": ("%Y-%m-%d",)} | event})
        asked = request_of(changed.dataset_file(), period, "f", settings)
        assert asked.payload()["clock"] == asked.clock
        clocks.append(asked.clock)
    assert clocks == ["%Y-%m-%d; America/Chicago", "%Y-%m-%d; UTC", "%Y-%m-%d, %m/%d/%Y; America/Chicago"]


def test_amounts_for_people() -> None:
    """Short decimals are exact; others are a fraction with about what it is."""
    assert [decimal(Fraction(text)) for text in ("1/10", "3", "1/3", "-1/20")] == [
        "0.1",
        "3",
        "1/3 (about 0.333333)",
        "-0.05",
    ]
