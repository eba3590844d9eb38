"""Keys that no public list names: found for a charge, replayed for ever, never one that a single unit brought in."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING

import pandas as pd
import pytest

if TYPE_CHECKING:
    from township import Town

COMMON = {"pothole", "lamp", "bin", "noise"}


@pytest.fixture
def finding(town: Town) -> Town:
    """The town whose requests are by kinds that nobody has listed; one in twenty requests has a kind of its own."""
    town.edit(
        "pipelines/requests.sql", "kinds.sort FROM raw LEFT JOIN kinds ON kinds.kind = raw.kind", "raw.kind FROM raw"
    )
    town.edit("pipelines/requests.toml", 'lookups = ["kinds"]\n', "")
    town.edit("pipelines/requests.toml", "budget = 0.25", "budget = 0.25\ndelta = 0.000002")
    town.edit(
        "datasets/requests.toml",
        'name = "sort"\ntitle = "Sort"\nkeyset = "sorts"\nother = "Other"',
        'name = "kind"\ntitle = "Kind"\nother = "Other"\n\n[keys.discover]\nshare = 0.2\ndelta = 0.000001',
    )
    feed = town.data / "requests" / "first.csv"
    lines = feed.read_text().splitlines()
    for n in range(1, len(lines), 20):
        number, opened, _, *rest = lines[n].split(",")
        lines[n] = ",".join([number, opened, f"secret {n}", *rest])
    feed.write_text("\n".join(lines) + "\n")
    assert town.publisher("check").code == 0
    return town


def kinds(town: Town, period: str, edition: int = 1) -> set[str]:
    """The kinds that a release shows."""
    return set(pd.read_parquet(town.releases / "requests" / period / str(edition) / "data.parquet")["kind"])


def test_common_kinds_are_found_and_rare_ones_stay_hidden(finding: Town) -> None:
    """Each release shows kinds that many requests share, and Other; no kind of a single request; δ is charged."""
    answer = finding.run("requests")
    assert (answer.code, answer.err) == (0, ""), answer.err
    for period in ("2024-01", "2024-02", "2024-03"):
        assert kinds(finding, period) == {*COMMON, "Other"}
    charges = [json.loads(text) for (text,) in finding.ledger("SELECT payload FROM entries WHERE kind = 'charge'")]
    assert [(charge["loss"], charge["delta"]) for charge in charges] == [("1/10", "1/1000000")] * 3
    assert all(charge["measurements"][0]["measurement"] == "make_gaussian_threshold" for charge in charges)
    assert "secret" not in answer.out


def test_odd_texts_change_no_key(finding: Town) -> None:
    """A NUL, a control character or a spreadsheet's formula is never a key, however many have it, and hides none."""
    feed = finding.data / "requests" / "first.csv"
    texts = ("pothole\0x", "=HYPERLINK(1)", "-pothole", "pot\thole")
    odd = "".join(f"odd-{n},2024-02-03,{texts[n % 4]},-89.5,39.5,x\n" for n in range(320))
    feed.write_text(feed.read_text() + odd)
    assert finding.run("requests", "--period", "2024-02").code == 0
    assert kinds(finding, "2024-02") == {*COMMON, "Other"}


def test_running_again_replays_the_keys_too(finding: Town) -> None:
    """Nothing is drawn or found again; another threshold finishes the same draw with the same keys, free of charge."""
    assert finding.run("requests").code == 0
    before = finding.tree("state/public/releases")
    assert finding.run("requests").code == 0
    assert finding.tree("state/public/releases") == before
    finding.edit("datasets/requests.toml", "threshold = 5", "threshold = 8")
    assert finding.run("requests").code == 0
    assert kinds(finding, "2024-02", 2) == {*COMMON, "Other"}
    assert finding.measurements("requests", "2024-02", 2) == finding.measurements("requests", "2024-02", 1)
    assert len(finding.charges()) == 3


def test_delta_has_a_budget_of_its_own(finding: Town) -> None:
    """Two releases fit the source's δ; the third on the same blocks is refused, and nothing is drawn."""
    assert finding.run("requests", "--period", "2024-01").code == 0
    for rho in ("0.05", "0.04"):
        text = (finding.root / "datasets" / "requests.toml").read_text()
        old = next(line for line in text.splitlines() if line.startswith("rho = "))
        finding.edit("datasets/requests.toml", old, f"rho = {rho}")
        answer = finding.redraw("requests", "--period", "2024-01")
        assert answer.code == (0 if rho == "0.05" else 4)
    assert "δ" in answer.err
    assert len(finding.charges()) == 2


def test_a_pure_budget_refuses_discovery(finding: Town) -> None:
    """δ has no place beside pure ε: the definition is refused, with the reason."""
    finding.edit("datasets/requests.toml", "rho = 0.1", "epsilon = 0.1")
    answer = finding.run("requests")
    assert answer.code == 2
    assert "charges δ, which a pure-ε budget does not have" in answer.err


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (
            "datasets/water.toml",
            "max_groups = 1",
            'max_groups = "auto"',
            "one taken from the records would reveal something about them",
        ),
        ("datasets/water.toml", "upper = 1000", 'upper = "p99"', "`publisher tune` measures what fits"),
        ("datasets/water.toml", "threshold = 5", 'threshold = "auto"', "must be a number that people choose"),
        (
            "datasets/water.toml",
            "threshold = 5",
            'threshold = 5\non = "true"',
            "a threshold on true counts is not allowed",
        ),
        ("datasets/water.toml", 'keyset = "zones"\n', "", "keys taken from the records would reveal who is in them"),
    ],
)
def test_what_would_be_learned_from_records_is_refused(town: Town, file: str, old: str, new: str, words: str) -> None:
    """A key, bound, clamp or threshold that asks the records is refused with exit code 2 and the reason."""
    town.edit(file, old, new)
    answer = town.publisher("check")
    assert answer.code == 2
    assert words in answer.err
    assert answer.err.count("\n") == 1


def test_the_loss_is_split_exactly(finding: Town) -> None:
    """What finding keys spends and what the tables spend add up to the release's loss."""
    assert finding.run("requests", "--period", "2024-01").code == 0
    manifest = json.loads((finding.releases / "requests" / "2024-01" / "1" / "manifest.json").read_text())
    charge = manifest["charge"]
    spent = Fraction(charge["selection"]) + sum(Fraction(each["loss"]) for each in charge["tables"])
    assert spent == Fraction(charge["loss"]) == Fraction(1, 10)
    assert set(manifest["discovered"]["kind"]) == {*COMMON, "Other"}
