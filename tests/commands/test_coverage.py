"""The share that bounds let count: measured with the release, charged with it, and told wherever the total stands."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from test_tune import write_meters

from publisher.pipeline.session import opened
from publisher.push.metadata import listing_of
from publisher.release.odds import guess_bound, up
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from township import Town

COVERAGE = "max_groups = 1\nmax_per_group = 1\ncoverage_share = 0.2\nwider_groups = 3\n"


@pytest.fixture
def covered(town: Town) -> Town:
    """Accounts count in one of two zones; 2,000 of 10,000 have water in both. Totals are cut at 1,000 liters."""
    town.edit("datasets/water.toml", "max_groups = 1\nmax_per_group = 1\n", COVERAGE)
    town.edit("datasets/water.toml", "upper = 1000\n", "upper = 1000\nwider_upper = 2000\n")
    town.edit("datasets/water.toml", 'last = "2024-03"', 'last = "2024-01"')
    write_meters(town, {400: 6000, 2000: 4000}, both_zones=2000)
    return town


def manifest(town: Town) -> dict[str, Any]:
    path: Path = town.releases / "water/2024-01/1/manifest.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_share_is_measured_and_told(covered: Town) -> None:
    """10,000 of 12,000 accounts in zones, and about 6.4 of 11.4 million liters: the ranges hold it, in the manifest, on
    the listing and in the analyst file. They fail sound noise once in 10⁸ runs: σ is 21 accounts, so 9 σ are 1.6%."""
    answer = covered.run("water", "--no-push")
    assert answer.code == 0, answer.err
    shares = {each["measure"]: each for each in manifest(covered)["counted"]}
    assert shares["accounts"]["share"] == pytest.approx(10 / 12, abs=0.016)
    assert shares["used"]["share"] == pytest.approx(0.56, abs=0.04)
    for each in shares.values():
        assert each["low"] <= each["share"] <= each["high"]
    workspace = find_workspace(covered.root)
    with opened(workspace) as catalog:
        listing = listing_of(workspace, workspace.dataset("water"), "", catalog.standings("water"))
    assert [each["measure"] for each in json.loads(listing.facts["counted"])] == ["accounts", "used"]
    said = f"By a noisy measurement of 2024-01, about {shares['accounts']['share']:.0%} ("
    assert said in listing.facts["bounds"]
    assert said in listing.description
    assert "of what wider limits would count (" in listing.description
    with duckdb.connect(str(covered.state / "public/open_data.duckdb"), read_only=True) as file:
        query = "SELECT comment FROM duckdb_columns() WHERE table_name = 'water' AND column_name = 'accounts'"
        assert said in file.execute(query).fetchall()[0][0]


def test_its_loss_is_part_of_the_release(covered: Town) -> None:
    """A fifth of ρ = 0.1 in equal parts for two totals, which one account moves by 3 and by 3 · 2,000; the guarantee
    says so, the plan before it, and the ledger has one charge of 0.1."""
    plan = covered.publisher("plan", "water")
    assert "ρ 0.01 of each release measures how much the bounds let count" in plan.out
    rows = {row["measure"]: row for row in json.loads(covered.publisher("plan", "water", "--json").out)}
    assert {row["coverage_loss"] for row in rows.values()} == {"1/100"}
    # Δ / √(2ρ) = 3 / √0.02 = 21.2; ± 1.96 σ, in whole steps.
    assert rows["accounts"]["coverage_half_width"] == 42
    assert covered.run("water", "--no-push").code == 0
    says = covered.guarantee("water", "2024-01")
    tables = {(each["level"], each["measure"]): each for each in says["mechanisms"]}
    assert {name: Fraction(each["loss"]) for name, each in tables.items()} == {
        ("", "accounts"): Fraction(1, 25), ("", "used"): Fraction(1, 25),
        ("_wider", "accounts"): Fraction(1, 100), ("_wider", "used"): Fraction(1, 100),
    }  # fmt: skip
    assert tables["_wider", "accounts"]["sensitivity"] == "Δ₁ = 3, Δ₂ = 3"
    assert tables["_wider", "used"]["sensitivity"] == "Δ₁ = 6000, Δ₂ = 6000"
    assert says["coverage"]["loss"] == "1/50"
    assert says["odds"]["release"]["guess_at_most"] <= float(up(guess_bound(Fraction(1, 10), "zcdp")))
    text = (covered.releases / "water/2024-01/1/guarantee.md").read_text()
    assert "ρ = 0.02 of the loss measures how much of “Accounts”, “Water used” these limits let count" in text
    assert "| Total within wider bounds | Accounts |" in text
    (charge,) = covered.ledger("SELECT payload FROM entries WHERE kind = 'charge'")
    assert json.loads(charge[0])["loss"] == "1/10"
    assert len(json.loads(charge[0])["measurements"]) == 4


def test_it_is_kept_with_the_draw(covered: Town) -> None:
    """Another finish reads the same noisy totals; nothing is drawn or charged, and no public file has them."""
    assert covered.run("water", "--no-push").code == 0
    before, charges = manifest(covered)["counted"], covered.charges()
    assert (covered.kept / "water/2024-01/1/measurements-_wider.parquet").is_file()
    assert not list(covered.releases.rglob("*_wider*"))
    covered.edit("datasets/water.toml", "threshold = 5", "threshold = 6")
    assert covered.run("water", "--no-push").code == 0
    again = json.loads((covered.releases / "water/2024-01/2/manifest.json").read_text())["counted"]
    assert (again, covered.charges()) == (before, charges)


def test_the_audit_replays_it(covered: Town) -> None:
    """Some neighbor attains the sensitivity of the wider totals, none moves them farther, and noise covers them."""
    assert covered.publisher("land", "meters").code == 0
    answer = covered.publisher("audit", "water", "--units", "40", "--releases", "2000")
    assert answer.code == 0, answer.out + answer.err
