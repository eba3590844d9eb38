"""`publisher ledger`: what was spent, what is left and how long it lasts; and a ledger that a server keeps."""

from __future__ import annotations

import re
import shutil
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from postgres import serving
from township import MONTHS

from publisher.commands.ledger import HEADINGS, statement
from publisher.privacy.ledger import ChargeRequest, open_ledger
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres import Server
    from township import Town

    from publisher.commands.ledger import SpendingRow

FIELDS = (
    "source block blocks datasets spent budget left currency delta delta_left releases_left runs_out runway"
).split()


def charge(dataset: str, source: str, blocks: tuple[str, ...], number: int = 1, **fields: object) -> ChargeRequest:
    """A charge of 0.1 as the town's datasets make them."""
    window = "day" if source == "requests" else "month"
    return ChargeRequest(
        source, dataset, "2024-01", f"{number}", "zcdp", "u", window, Fraction(1, 10), Fraction(1, 4), blocks, (), "e",
        "r", **fields,
    )  # fmt: skip


def accounts(town: Town, folder: Path, *charges: ChargeRequest) -> list[SpendingRow]:
    """What is said of a ledger with those charges."""
    ledger = open_ledger(folder)
    for each in charges:
        ledger.charge(each)
    try:
        return statement(find_workspace(town.root), ledger)
    finally:
        ledger.close()


def test_the_ledger_as_a_table_and_as_json(released: Town) -> None:
    """Blocks that follow each other and were charged alike are one account, with every field that machines read."""
    rows = released.publisher("ledger", "--json").rows
    assert list(rows[0]) == FIELDS
    assert [(row["source"], row["block"], row["blocks"], row["datasets"]) for row in rows] == [
        ("meters", f"{MONTHS[0]} … {MONTHS[-1]}", 3, "water 0.1"),
        ("requests", "2024-01-01 … 2024-03-31", 91, "requests 0.1"),
    ]
    assert {(row["spent"], row["budget"], row["left"], row["currency"]) for row in rows} == {
        ("0.1", "0.25", "0.15", "ρ")
    }
    assert [row["releases_left"] for row in rows] == [{"water": 1}, {"requests": 1}]
    assert [(row["runs_out"], row["delta"]) for row in rows] == [({}, None), ({}, None)]
    assert "each day has its own budget" in rows[1]["runway"]
    table = released.publisher("ledger")
    assert table.code == 0
    assert all(words in table.out for words in ("water 0.1", "2024-01-01 … 2024-03-31", "each month has"))


def test_what_differs_is_an_account_of_its_own(new_town: Town, tmp_path: Path) -> None:
    """Another loss, or a gap between the blocks, ends a run of blocks; shares of datasets are told apart."""
    found = accounts(
        new_town,
        tmp_path,
        charge("water", "meters", ("2024-01", "2024-02", "2024-04")),
        charge("heat", "meters", ("2024-02",)),
    )
    assert [(each.block, each.blocks, each.datasets, each.left) for each in found] == [
        ("2024-01", 1, "water 0.1", "0.15"),
        ("2024-02", 1, "heat 0.1, water 0.1", "0.05"),
        ("2024-04", 1, "water 0.1", "0.15"),
    ]
    assert [each.releases_left for each in found] == [{"water": 1}, {"water": 0}, {"water": 1}]
    assert all(len(each.row) == len(HEADINGS) for each in found)


def test_parallel_vintages_and_delta_are_shown(new_town: Town, tmp_path: Path) -> None:
    """A block bears the largest of parallel vintages, in the account as in the ledger; δ stands beside ρ."""
    wanted = [
        charge("water", "meters", ("2024-01",), parallel=True, vintage=vintage, delta=delta, delta_budget=Fraction(1))
        for vintage, delta in ((1, Fraction(1, 10**6)), (2, Fraction(1, 10**7)))
    ]
    (account,) = accounts(new_town, tmp_path, *wanted)
    assert (account.spent, account.delta, account.delta_left) == ("0.1", "1e-06", "-1e-06")


def test_a_source_without_definition_keeps_its_account(new_town: Town, tmp_path: Path) -> None:
    """What was spent stays on the record when the file is gone; there is no budget and no pace any more."""
    (account,) = accounts(new_town, tmp_path, charge("trees", "parks", ("2024-01",)))
    assert (account.left, account.releases_left, account.runway) == ("0", {}, "its definition was deleted")


def test_a_budget_that_ends_is_foretold(town: Town) -> None:
    """With a lifetime's window the second month is the last: the account names the first release to be refused."""
    town.edit("pipelines/meters.toml", 'window = "month"', 'window = "lifetime"')
    assert town.run("water", "--period", "2024-01").code == 0
    (row,) = town.publisher("ledger", "--json").rows
    assert (row["block"], row["left"], row["releases_left"]) == ("lifetime", "0.15", {"water": 1})
    assert row["runs_out"] == {"water": "2024-03"}
    assert row["runway"] == "refused from water 2024-03 on; a lifetime budget is not renewed"
    answer = town.run("water")
    assert [each["status"] for each in answer.rows] == ["ready", "ready", "refused"]
    assert answer.code == 4


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL server for this file's towns."""
    with serving() as server:
        yield server


def test_a_server_keeps_the_ledger(town: Town, server: Server) -> None:
    """Named in publisher.toml, it holds every charge; no ledger lies in the private folder, and a rehearsal has its
    own."""
    settings = town.root / "publisher.toml"
    settings.write_text(f'ledger = "{server.address("town")}"\n' + settings.read_text())
    assert town.run("--rehearse", "water").code == 0
    assert town.publisher("ledger", "--json").rows == []
    assert town.run("water").code == 0
    assert [row["block"] for row in town.publisher("ledger", "--json").rows] == [f"{MONTHS[0]} … {MONTHS[-1]}"]
    verified = town.publisher("verify", "--offline", "--json")
    assert (verified.code, verified.rows[0]["checked"]) == (0, "entries: 10")
    assert not (town.state / "private" / "ledger.sqlite").exists()


def test_the_environment_names_another_server(town: Town, server: Server) -> None:
    """PUBLISHER_LEDGER overrides the setting and may hold a password, which nothing shows; a server that is down is
    exit code 5 and one message."""
    settings = town.root / "publisher.toml"
    settings.write_text('ledger = "postgresql+psycopg://nobody@127.0.0.1:1/nowhere"\n' + settings.read_text())
    down = town.publisher("run", "--no-push", "water")
    assert (down.code, len(down.err.splitlines())) == (5, 1)
    assert down.err.startswith("error: the ledger in the PostgreSQL database nowhere on 127.0.0.1 cannot be opened:")
    wrong = f"postgresql+psycopg://guarded:not-the-word@127.0.0.1:{server.port}/guarded"
    refused = town.publisher("run", "--no-push", "water", PUBLISHER_LEDGER=wrong)
    assert refused.code == 5
    assert "not-the-word" not in refused.err + refused.out
    assert not town.releases.exists()
    right = wrong.replace("not-the-word", "s3cret-word")
    assert town.publisher("run", "--no-push", "water", PUBLISHER_LEDGER=right).code == 0
    assert town.publisher("verify", "--offline", PUBLISHER_LEDGER=right).code == 0


def test_a_lost_folder_does_not_make_blocks_fresh(town: Town, server: Server) -> None:
    """The server remembers what was spent when the whole state is gone: a draw is never repeated under its charge."""
    settings = town.root / "publisher.toml"
    settings.write_text(f'ledger = "{server.address("lost")}"\n' + settings.read_text())
    assert town.run("water", "--period", "2024-01").code == 0
    shutil.rmtree(town.state)
    answer = town.run("water", "--period", "2024-01")
    assert answer.code == 4
    (place,) = re.findall(r"delete (\S+) and run again", answer.err)
    Path(place).unlink()  # whoever does so on purpose still does not draw again
    answer = town.run("water", "--period", "2024-01")
    assert answer.code == 5
    assert "never drawn twice" in answer.err
