"""Bounds by total error: what they cut and the noise they need, from a charged measurement; and where it is said."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from math import hypot, sqrt
from typing import TYPE_CHECKING, Any

import pytest
from test_tune import ask, kept, spent, tune, write_meters

from publisher.definitions import period as civil
from publisher.pipeline.accounts import SourceAccounts
from publisher.pipeline.session import opened
from publisher.pipeline.tuning import Tuned, newest
from publisher.planning.advice import advice
from publisher.planning.bounds_known import bounds_known
from publisher.planning.other_units import other_units, shorter_window
from publisher.planning.total_error import measured_errors
from publisher.privacy.tuning import NoisyHistogram
from publisher.push.provenance import counted_facts, counted_shares, odds_facts, tuned_since
from publisher.release.in_turn import composed_in_turn
from publisher.release.odds import guess_bound, of_distance, up
from publisher.release.table import shape_of
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from township import Town

    from publisher.pipeline.tuning import TuneResult
    from publisher.workspace import DatasetFile

JANUARY = civil.parse("2024-01")
ROLLUPS = '[[rollups]]\nname = "city"\ntitle = "Water of the city"\nshare = 0.2\n\n'
SIDES = """\
[[coarser]]
name = "side"
title = "Side"
of = "zone"
mapping = "sides-of-zones"
keyset = "sides"
other = "Unknown"

[[rollups]]
name = "sides"
title = "Water by side"
keys = ["side"]
share = 0.2

"""
SIDES_FILES = {
    "datasets/keysets/sides.csv": "key\nnorth\n",
    "datasets/keysets/sides-of-zones.csv": "zone,side\nA,north\nB,north\n",
}


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUBLISHER_DATA", "PUBLISHER_STATE", "PUBLISHER_LEDGER"):
        monkeypatch.delenv(name, raising=False)


def water(town: Town) -> DatasetFile:
    return find_workspace(town.root).dataset("water")


def counted(found: TuneResult, **bins: dict[int, int]) -> TuneResult:
    """The result with bins that hold exactly these units, by top, and hardly any noise."""
    told: dict[str, Any] = {}
    for quantity, units in bins.items():
        tops = next(each.tops for each in found.histograms if each.quantity == quantity)
        counts = [units.get(top, 0) for top in (*tops, -1)]
        told[quantity] = tuple(counts + [0] * len(counts) if quantity == "total" else counts)
    changed = [
        NoisyHistogram.model_validate({**dict(each), "counts": told.get(each.quantity, each.counts), "scale": 0.01})
        for each in found.histograms
    ]
    return found.model_copy(update={"histograms": tuple(changed)})


def test_the_proposal_has_the_smallest_total_error_of_all_bounds(town: Town) -> None:
    """Against every pair of bounds one by one, the proposed ones leave the smallest sum of squares; each total is the
    root of the squares of what is cut and of the noise."""
    write_meters(town, {400: 3880, 5000: 120}, both_zones=1200)
    asked = ask(town, rho="0.02")
    advised = advice(asked, tune(town, rho="0.02"))
    errors, dataset = advised.errors, water(town).definition
    accounts, used = dataset.measured
    costs = {}
    for groups in (1, 2, 3):
        units = errors.total(accounts, groups, None)
        for upper in (100, 200, 500, 1000, 2000, 5000):
            liters = errors.total(used, groups, upper)
            assert units is not None
            assert liters is not None
            costs[units**2 + liters**2] = (groups, upper)
    groups, upper = costs[min(costs)]
    assert (advised.proposal.max_groups, advised.proposal.clamps("used")) == (groups, (0, upper))
    rows = [row for _, rows in advised.candidates() for row in rows]
    for row in rows:
        assert row.bias is not None
        assert row.noise_share is not None
        assert row.total == pytest.approx(hypot(sum(row.bias) / 2, row.noise_share))
    assert [row["proposed"] for row in advised.as_json()["candidates"]].count(True) == 2
    assert advised.as_json()["proposal"]["by"] == "total error"
    assert advice(asked, advised.found, 0.95).as_json()["proposal"] == {
        "by": "units kept", "keep": 0.95, "max_groups": 2, "max_per_group": None, "clamps": {"used": ["0", "500"]},
    }  # fmt: skip
    assert len(spent(town)) == 1


def test_noise_is_a_share_of_an_average_cell(town: Town) -> None:
    """900 accounts in two zones, 100 in three, in a month of three cells: noise √k·M/√(2ρ) over what a cell has."""
    errors = measured_errors(water(town), counted(tune(town), cells={2: 900, 3: 100}, total={100: 1000}), 0.95)
    accounts, used = water(town).definition.measured
    assert errors.size(accounts) == pytest.approx(2100)
    assert errors.size(used) == pytest.approx(2100 * 75.5)  # the middle of 51 to 100
    for groups, upper in ((1, 100), (2, 100), (3, 50)):
        sigma = sqrt(groups) * upper / sqrt(2 * 0.05)
        assert errors.noise(used, groups, upper) == pytest.approx(sigma * 3 / (2100 * 75.5), rel=0.01)
        assert errors.noise(accounts, groups, None) == pytest.approx(sqrt(groups / 0.1) * 3 / 2100, rel=0.2)


def test_every_published_table_counts_alike(town: Town) -> None:
    """With a city table the noise is the root mean square of both tables' noise, each of its own average cell."""
    before = measured_errors(water(town), counted(tune(town), cells={1: 1000}, total={100: 1000}), 0.95)
    town.edit("datasets/water.toml", "[suppression]", ROLLUPS + "[suppression]")
    after = measured_errors(water(town), counted(tune(town), cells={1: 1000}, total={100: 1000}), 0.95)
    used = water(town).definition.measured[1]
    own, both = before.noise(used, 1, 100), after.noise(used, 1, 100)
    assert own is not None
    assert both is not None
    assert own / sqrt(2) < both < own  # the city's part is small beside that of zones
    assert len(spent(town)) == 1


def test_a_measurement_of_several_releases_is_of_one_of_them(town: Town) -> None:
    """Three months of one window each: the size is that of one month."""
    found = counted(tune(town, period="2024-Q1"), cells={1: 3000}, total={100: 3000})
    assert measured_errors(water(town), found, 0.95).size(water(town).definition.measured[0]) == pytest.approx(1000)


def test_plan_says_what_bounds_cut_once_it_was_measured(town: Town) -> None:
    """Before: that it is not known and how to know it. After: each measure's parts, marked with period and day, and the
    bounds that would do better. Another keyset asks another question, and the old answer is silent."""
    silent = town.publisher("plan", "water").out
    assert "How much the bounds cut is not known: `publisher tune meters` measures it, for a charge." in silent
    write_meters(town, {400: 3880, 5000: 120}, both_zones=1200)
    tune(town, rho="0.02")
    with opened(find_workspace(town.root)) as catalog:
        known = newest(find_workspace(town.root), catalog.ledger, water(town))
    assert known is not None
    said = " ".join(town.publisher("plan", "water").out.split())
    assert f"(measured on 2024-01, {known.at}). With noise of" in said
    assert "Accounts: bounds cut about 2" in said
    assert ", more if those in many cells also have much in each (measured on 2024-01" in said
    assert "The total error would be smallest with max_groups = 2" in said
    assert "is not known" not in said
    town.edit("datasets/keysets/zones.csv", "B", "C")
    assert "is not known" in town.publisher("plan", "water").out
    assert len(spent(town)) == len(kept(town)) == 1


def test_a_changed_result_is_not_told(town: Town) -> None:
    """A file that is not the one that was drawn says nothing to a plan or a page."""
    tune(town)
    (path,) = (town.state / "private" / "tuning").glob("*")
    path.write_bytes(path.read_bytes().replace(b'"counts"', b' "counts"', 1))
    with opened(find_workspace(town.root)) as catalog:
        assert newest(find_workspace(town.root), catalog.ledger, water(town)) is None


def test_pages_are_told_the_share_that_is_counted(town: Town) -> None:
    """900 of 1,000 accounts in one zone and 100 in two: 1,000 of 1,100 are counted; of the liters those up to 1,000, if
    every account is in one zone; not for generated records beside real ones, nor where the noise hides a part."""
    dataset = water(town)
    found = counted(tune(town), cells={1: 900, 2: 100}, total={200: 999, 2000: 1})
    tuned = Tuned(found, "2024-02-01")
    (accounts,) = json.loads(counted_facts(counted_shares(dataset, shape_of(dataset), tuned, stand_in=False)))
    alone = Tuned(counted(tune(town), cells={1: 1000}, total={200: 999, 2000: 1}), "2024-02-01")
    _, used = json.loads(counted_facts(counted_shares(dataset, shape_of(dataset), alone, stand_in=False)))
    assert {(each["period"], each["at"]) for each in (accounts, used)} == {("2024-01", "2024-02-01")}
    assert accounts["low"] == pytest.approx(1000 / 1100, abs=0.001)
    assert accounts["high"] == pytest.approx(1000 / 1100, abs=0.001)
    assert 0.98 < used["low"] < used["high"] < 1
    assert counted_shares(dataset, shape_of(dataset), tuned, stand_in=True) == ()
    hidden = Tuned(counted(tune(town), cells={}, total={200: 1000}), "2024-02-01")
    assert counted_facts(counted_shares(dataset, shape_of(dataset), hidden, stand_in=False)) == ""


def test_the_share_of_units_is_that_of_the_finest_table(town: Town) -> None:
    """An account in three zones of one side is cut to one zone, and still counted whole in a table of sides."""
    tuned = Tuned(counted(tune(town), cells={3: 1000}, total={200: 1000}), "2024-02-01")
    alone = Tuned(counted(tune(town), cells={1: 1000}, total={200: 1000}), "2024-02-01")
    town.edit("datasets/water.toml", "[suppression]", SIDES + "[suppression]")
    for name, text in SIDES_FILES.items():
        (town.root / name).write_text(text)
    dataset = water(town)
    wanted = (("", tuned, ["accounts"]), ("", alone, ["accounts", "used"]), ("sides", alone, ["used"]))
    for level, found, measures in wanted:
        shape = shape_of(dataset, level)
        assert all(each.bounds is not None for each in shape.measures)
        shares = counted_shares(dataset, shape, found, stand_in=False, level=level)
        assert [each["measure"] for each in json.loads(counted_facts(shares))] == measures
    assert counted_shares(dataset, shape_of(dataset, "sides"), tuned, stand_in=False, level="sides") == ()


def stated(town: Town, period: str) -> dict[str, Any]:
    """What the guarantee of a release says of all that the dataset spends on one month."""
    says = town.guarantee("water", period)
    (dataset,) = (each for each in says["windows"] if (each["of"], each["count"]) == ("dataset", 1))
    return {"dataset": dataset, "release": says["odds"]["release"], "tunings": says.get("tunings")}


def page_odds(town: Town, period: str) -> dict[str, Any]:
    """What the page states, by the ledger as it is now."""
    workspace = find_workspace(town.root)
    with opened(workspace) as catalog:
        tunings = SourceAccounts(workspace, catalog.ledger).tunings(water(town))
        (release,) = (each for each in catalog.current("water") if each.manifest.period == period)
        found: dict[str, Any] = json.loads(odds_facts(release, tuned_since(release, water(town), tunings)))
        return found


def test_guarantee_odds_and_ledger_count_what_was_measured_for_the_bounds(town: Town) -> None:
    """Two measurements of January, before its release and after it: the guarantees count what the ledger
    had, the plan and the page what it has, and both are one sum once a release is written again."""
    tune(town, rho="0.02")
    assert town.run("water").code == 0
    january = stated(town, "2024-01")
    (charge,) = spent(town)
    assert january["tunings"] == [{"entry": 2, "period": "2024-01", "loss": "1/50"}]
    assert (charge["loss"], january["dataset"]["loss"]) == ("1/50", "3/25")
    law = composed_in_turn("zcdp", (1 / 50, 1 / 10))
    assert law is not None
    assert january["release"]["guess_at_most"] == float(up(of_distance(law.distance)))
    assert january["release"]["guess_at_most"] < guess_bound(Fraction(3, 25), "zcdp")
    says = (town.releases / "water/2024-01/1/guarantee.md").read_text()
    assert "Measuring how much units contribute to choose the bounds by had already spent up to ρ = 0.02" in says
    assert "Earlier definitions" not in says
    assert "counted once" not in says
    page = page_odds(town, "2024-01")
    assert (page["loss"], page["after"]) == ("ρ = 0.12", january["dataset"]["guess_at_most"])
    planned = json.loads(town.publisher("plan", "--json").out)
    odds = next(row["odds"] for row in planned if row["dataset"] == "water")
    assert odds["dataset"] == january["dataset"]["guess_at_most"]
    tune(town, rho="0.01")
    assert page_odds(town, "2024-01")["loss"] == "ρ = 0.13"
    town.edit("datasets/water.toml", "threshold = ", "threshold = 1")  # another finish: the guarantee is written again
    assert town.run("water").code == 0
    again = town.guarantee("water", "2024-01", 2)
    (dataset,) = (each for each in again["windows"] if (each["of"], each["count"]) == ("dataset", 1))
    assert (dataset["loss"], len(again["tunings"])) == ("13/100", 2)
    assert page_odds(town, "2024-01")["loss"] == "ρ = 0.13"


def test_a_month_that_is_never_released_is_not_added_to_another(town: Town) -> None:
    """Of a measurement before the first period only what exceeds the loss of any released month counts."""
    town.edit("datasets/water.toml", 'first = "2024-01"', 'first = "2024-02"')
    tune(town, rho="0.02")
    assert town.run("water").code == 0
    assert stated(town, "2024-02")["dataset"]["loss"] == "1/10"
    tune(town, rho="0.03")
    assert page_odds(town, "2024-02")["loss"] == "ρ = 0.1"
    tune(town, rho="0.06")
    assert page_odds(town, "2024-02")["loss"] == "ρ = 0.11"


def test_other_units_and_windows_are_named_where_they_would_serve_better(town: Town) -> None:
    """A year's window for monthly releases, a lifetime, and records instead of accounts whose counts bounds cut."""
    dataset = water(town)
    assert list(shorter_window(dataset, JANUARY)) == []
    privacy = dataset.source.definition.privacy

    def windowed(window: str) -> DatasetFile:
        changed = {"privacy": privacy.model_copy(update={"window": window})}
        source = replace(dataset.source, definition=dataset.source.definition.model_copy(update=changed))
        return replace(dataset, source=source)

    (year,) = shorter_window(windowed("year"), JANUARY)
    assert "so 12 releases of a month share its budget" in year
    assert "noise would be 29% of what it is" in year  # 1/√12
    (forever,) = shorter_window(windowed("lifetime"), JANUARY)
    assert "all releases share one budget" in forever
    accounts, *others = dataset.definition.measures
    counted_records = {"measures": (accounts.model_copy(update={"kind": "count"}), *others)}
    bounded = replace(dataset, definition=dataset.definition.model_copy(update=counted_records))
    found = counted(tune(town), cells={1: 500, 3: 500})
    records_each = {"quantity": "records", "tops": (1, 2, 30), "counts": (200, 0, 800, 0)}
    heavy = found.histograms[0].model_copy(update=records_each)
    errors = measured_errors(bounded, found.model_copy(update={"histograms": (*found.histograms, heavy)}), 0.95)
    (records,) = other_units(errors)
    assert records.startswith(
        "With single records as the unit, nothing of Accounts would be cut, and the error would be"
    )
    assert records.endswith("not everything of one account.")


def test_nothing_is_said_where_bounds_cut_nothing(town: Town) -> None:
    """Records that count once each have no bounds to speak of."""
    requests = find_workspace(town.root).dataset("requests")
    assert list(bounds_known(requests, None, JANUARY)) == []


def test_the_plan_for_machines_has_what_bounds_cut(town: Town) -> None:
    """Nothing before it was measured; then the numbers of the sentences, for each measure: the total error is the root
    of the squares of the noise and of the middle of what is cut.

    Measured for so much that noise moves a count of units once in 10⁵⁰ runs.
    """
    parts = ("bounds_cut_least", "bounds_cut_most", "noise_in_average_cell", "total_error", "bounds_measured")

    def rows() -> dict[str, dict[str, Any]]:
        answer = town.publisher("plan", "water", "--json")
        assert answer.code == 0, answer.err
        return {row["measure"]: row for row in json.loads(answer.out)}

    assert {row[part] for row in rows().values() for part in parts} == {None}
    write_meters(town, {400: 700, 4000: 300}, both_zones=200)
    town.edit("pipelines/meters.toml", "budget = 0.25", "budget = 400")
    tune(town, rho="400")
    found = rows()
    words = town.publisher("plan", "water").out
    for row in found.values():
        assert row["bounds_measured"] == "2024-01"
        assert 0 <= row["bounds_cut_least"] <= row["bounds_cut_most"] <= 1
        middle = (row["bounds_cut_least"] + row["bounds_cut_most"]) / 2
        assert row["total_error"] == pytest.approx(hypot(middle, row["noise_in_average_cell"]))
        assert f"the total error is {row['total_error']:.0%}." in words
    assert found["used"]["bounds_cut_most"] > found["accounts"]["bounds_cut_most"] > 0
