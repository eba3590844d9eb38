"""`publisher tune`: charged before it is drawn, drawn once, and nothing but noise is ever seen of the records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from township import CANARY, Town, requests_csv

from publisher.commands.tune import print_advice
from publisher.errors import BudgetError, DefinitionError, SourceError
from publisher.pipeline import tuning
from publisher.pipeline.measurement import measurement
from publisher.pipeline.tuning import measured
from publisher.planning.advice import advice
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from publisher.pipeline.measurement import Measurement
    from publisher.pipeline.tuning import TuneResult
    from publisher.stages import Integers, Mechanism

REQUESTS_IN_JANUARY = sum(",2024-01-" in line for line in requests_csv().splitlines())
CHARGES = "SELECT payload FROM entries WHERE kind = 'charge' ORDER BY sequence"


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUBLISHER_DATA", "PUBLISHER_STATE", "PUBLISHER_LEDGER"):
        monkeypatch.delenv(name, raising=False)


def ask(town: Town, source: str = "meters", period: str = "2024-01", **options: Any) -> Measurement:
    """What a command line in the town would ask for."""
    options = {"rho": "0.01"} | options
    return measurement(find_workspace(town.root), source, period=period, **options)


def tune(town: Town, source: str = "meters", period: str = "2024-01", **options: Any) -> TuneResult:
    return measured(ask(town, source, period, **options))


def spent(town: Town) -> list[dict[str, Any]]:
    """Every charge of a measurement in the ledger."""
    charges = [json.loads(payload) for (payload,) in town.ledger(CHARGES)]
    return [charge for charge in charges if charge["dataset"].startswith("tune:")]


def kept(town: Town) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (town.state / "private" / "tuning").glob("*")}


def write_meters(town: Town, totals: dict[int, int], *, both_zones: int = 0) -> None:
    """One reading in January for each account of each total; the first `both_zones` accounts have one in each zone."""
    lines, number = ["account,day,zone,liters"], 0
    for total, accounts in totals.items():
        for _ in range(accounts):
            lines.append(f"{CANARY}{number},2024-01-10,A,{total}")
            lines += [f"{CANARY}{number},2024-01-11,B,{total}"] if number < both_zones else []
            number += 1
    (town.data / "meters.csv").write_text("\n".join(lines) + "\n")


def test_the_charge_is_for_all_blocks_of_the_period(town: Town) -> None:
    """Each month of the quarter is charged the whole loss, under a name of its own, which no release has."""
    found = tune(town, period="2024-Q1", rho="0.03")
    (charge,) = spent(town)
    assert (charge["dataset"], charge["period"], charge["loss"]) == ("tune:water", "2024-Q1", "3/100")
    assert tuple(charge["blocks"]) == found.blocks == ("2024-01", "2024-02", "2024-03")
    assert {each.loss for each in found.histograms} == {"3/200"}
    assert len(charge["measurements"]) == len(found.histograms) == 2
    assert town.publisher("verify", "--offline").code == 0


def test_noise_comes_after_the_charge(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment of the draw the ledger's file holds the charge; when the draw fails, the next one resumes it."""

    def broken(exact: Integers, mechanism: Mechanism) -> Integers:
        assert len(spent(town)) == 1
        raise RuntimeError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(tuning, "with_noise", broken)
        with pytest.raises(RuntimeError, match="the power went"):
            tune(town)
    assert not kept(town)
    tune(town)
    assert len(spent(town)) == len(kept(town)) == 1


def test_a_crash_before_the_rename_resumes_the_charge(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A draw that nobody could see is drawn again under the same charge; one that could be seen is kept."""

    def full(*_: object, **__: object) -> None:
        raise SourceError("the disk is full")

    for name in ("write_file", "_enter"):
        with monkeypatch.context() as patched:
            patched.setattr(tuning, name, full)
            with pytest.raises(SourceError, match="full"):
                tune(town)
    seen = kept(town)
    assert len(spent(town)) == len(seen) == 1
    tune(town)
    assert kept(town) == seen
    assert [kind for (kind,) in town.ledger("SELECT kind FROM entries ORDER BY sequence")] == [
        "key",
        "charge",
        "tuning",
    ]


def test_asking_again_reads_the_same_bytes(town: Town) -> None:
    """The same question costs nothing and needs no feed, also with other bounds, clamps, losses and words."""
    first = tune(town)
    before = kept(town)
    (town.data / "meters.csv").unlink()
    town.edit("datasets/water.toml", "max_groups = 1", "max_groups = 2")
    town.edit("datasets/water.toml", "upper = 1000", "upper = 500")
    town.edit("datasets/water.toml", "rho = 0.1", "rho = 0.2")
    town.edit("datasets/water.toml", "How much water", "How very much water")
    assert ask(town).known
    assert "nothing is charged" in ask(town).words()
    assert tune(town) == first
    assert kept(town) == before
    assert len(spent(town)) == 1


@pytest.mark.parametrize(
    "change", [{"rho": "0.02"}, {"period": "2024-02"}, {"column": "liters"}, {"column": "liters", "bins": "0,100,1000"}]
)
def test_another_question_is_another_charge(town: Town, change: dict[str, str]) -> None:
    """Another loss, period, column or other bins are measured anew, and charged."""
    tune(town)
    tune(town, **change)
    assert len(spent(town)) == len(kept(town)) == 2


def test_the_result_is_private_and_noisy(town: Town) -> None:
    """The file is for its owner alone; it holds noisy bins of the public tops, and no identifier."""
    found = tune(town)
    (path,) = (town.state / "private" / "tuning").glob("*")
    assert path.stat().st_mode & 0o777 == 0o600
    assert CANARY.encode() not in path.read_bytes()
    cells, total = found.histograms
    assert (cells.quantity, cells.tops, len(cells.counts)) == ("cells", (1, 2, 3), 4)
    assert (total.quantity, total.measure, len(total.counts)) == ("total", "used", 72)
    assert total.scale == pytest.approx(10, rel=1e-3)  # 1/√(2 · 0.005)


def test_a_result_that_is_lost_or_changed_is_never_drawn_again(town: Town) -> None:
    """Its charge paid for one draw, which somebody may have seen."""
    tune(town)
    (path,) = (town.state / "private" / "tuning").glob("*")
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"stand_in": false', b'"stand_in": true'))
    with pytest.raises(SourceError, match="changed after it was written"):
        tune(town)
    path.unlink()
    with pytest.raises(SourceError, match="never drawn again"):
        tune(town)
    path.write_bytes(content)
    tune(town)
    assert len(spent(town)) == 1


def test_what_is_shown_depends_on_the_draw_alone(
    town: Town, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two towns with other records, and the same noisy counts, show the same tables and the same JSON, byte by byte."""
    drawn = np.random.default_rng(1).integers(-20, 200, 72)
    monkeypatch.setattr(tuning, "with_noise", lambda exact, _: drawn[: len(exact)])
    other = town.copy(tmp_path / "other")
    write_meters(other, {7: 40, 999: 11}, both_zones=13)
    shown = []
    for each in (town, other):
        asked = ask(each)
        advised = advice(asked, measured(asked), 0.95)
        print_advice(advised)
        shown.append((asked.words(), json.dumps(advised.as_json()), capsys.readouterr()))
    assert shown[0] == shown[1]
    assert CANARY not in str(shown)
    assert shown[0][2].err == ""


def test_a_person_can_decide_by_the_answer(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    """A third of the lines of every choice, none wider than 80 columns: what is common, what the bounds in use cut and
    cost beside the one choice that is proposed, its lines, and what to type next."""
    write_meters(town, {400: 3880, 5000: 120}, both_zones=1200)
    advised = advice(ask(town, rho="0.02"), tune(town, rho="0.02"))
    print_advice(advised)
    short = capsys.readouterr().out.splitlines()
    print_advice(advised, details=True)
    both = capsys.readouterr().out.splitlines()
    assert both[: len(short)] == short
    assert len(short) <= len(both) / 3
    assert max(map(len, short)) <= 80
    said = [" ".join(line.split()) for line in short]
    assert "2024-01, of one account and month: half have 9 in 10 the most" in said
    assert any(line.startswith("cells it is in 1 2 ") for line in said)
    assert any(line.startswith("liters in its largest cell, at most 500 500 5,000") for line in said)
    assert any(line.startswith("used now 1 cell, to 1,000 ") for line in said)
    assert any(line.startswith("used proposed 2 cells, to ") for line in said)
    assert "type: publisher check" in " ".join(said)
    assert "max_groups = 2" in said
    assert town.publisher("tune", "meters", "--period", "2024-01", "--rho", "0.02").out.splitlines() == short


def test_known_bounds_are_proposed(town: Town) -> None:
    """Of 4,000 accounts 30 in 100 lie in both zones, and 97 in 100 use up to 400 liters: k = 2, from 0 to 500."""
    write_meters(town, {400: 3880, 5000: 120}, both_zones=1200)
    asked = ask(town, rho="0.02")
    advised = advice(asked, measured(asked), 0.95)
    assert advised.toml() == ["[bounds]", "max_groups = 2", "# for the measure used", "lower = 0", "upper = 500"]
    rows = {(row["measure"], row["max_groups"], row["amount"]): row for row in advised.as_json()["candidates"]}
    best, now = rows["used", 2, 500], rows["used", 1, 1000]
    assert (best["proposed"], best["current"], now["proposed"], now["current"]) == (True, False, False, True)
    assert rows["accounts", 1, None]["within_groups"] == pytest.approx(0.7, abs=0.03)
    assert rows["accounts", 1, None]["bias"][0] == pytest.approx(1200 / 5200, abs=0.03)
    stricter = advice(asked, measured(asked), 0.99)
    assert stricter.toml()[-1] == "upper = 5000"
    assert len(spent(town)) == 1


@pytest.mark.parametrize("late", ["", '[late]\npolicy = "increment"\nafter_days = [0, 30]\n\n'])
def test_a_column_of_records_is_tuned_alone(town: Town, late: str) -> None:
    """A sum that the dataset does not have yet, of single records: its own bins, both signs, the whole loss. Every
    record that has arrived is looked at, whichever edition counts it."""
    town.edit("pipelines/requests.toml", "[columns]\n", late + "[columns]\n")
    town.edit("pipelines/requests.sql", "SELECT kinds.sort", "SELECT kinds.sort, TRY_CAST(raw.lon AS DOUBLE) AS lon")
    asked = ask(town, "requests", rho="0.2", column="lon", bins="0,20.0,85.0,100.0,1000.0")
    advised = advice(asked, measured(asked), 0.95)
    (histogram,) = advised.found.histograms
    assert (histogram.tops, histogram.loss) == ((0, 200, 850, 1000, 10000), "1/5")
    assert advised.toml() == ["# for the measure lon", "lower = -100.0", "upper = 100.0", "resolution = 0.1"]
    assert len(spent(town)[0]["blocks"]) == 31
    assert sum(histogram.counts) == pytest.approx(REQUESTS_IN_JANUARY, abs=60)


def test_an_exhausted_budget_is_refused_before_anything_is_read(town: Town) -> None:
    """Exit code 4: no feed is looked at, nothing is landed or charged."""
    tune(town, rho="0.2")
    for path in town.data.glob("meters.csv"):
        path.unlink()
    with pytest.raises(BudgetError, match="2024-01"):
        tune(town, rho="0.1")
    assert len(spent(town)) == 1
    assert BudgetError.exit_code == 4


def test_a_release_and_a_measurement_share_the_budget(town: Town) -> None:
    """What a measurement has spent on a block its releases can no longer spend."""
    tune(town, rho="0.2")
    answer = town.run("water", "--period", "2024-01")
    assert [row["status"] for row in answer.rows] == ["refused"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "source": ({"source": "rain"}, "there is no source 'rain'"),
    "dataset": ({"dataset": "requests"}, "its datasets: water"),
    "currency": ({"rho": None, "epsilon": "1"}, "give only --rho"),
    "both": ({"epsilon": "1"}, "give only --rho"),
    "number": ({"rho": "much"}, "'much' is not a number"),
    "zero": ({"rho": "0"}, "must be at least 0.000000001"),
    "budget": ({"rho": "0.3"}, "budget of a block, 0.25"),
    "words": ({"period": "January"}, "--period: 'January' is not a period"),
    "week": ({"period": "2024-W03"}, "give a month"),
    "future": ({"period": "9990"}, "has not ended"),
    "bins": ({"bins": "0,1"}, "name the column"),
    "column": ({"column": "blood"}, "has no column 'blood'"),
    "order": ({"column": "liters", "bins": "10,1"}, "must increase"),
    "step": ({"column": "liters", "bins": "0,0.5"}, "whole multiples"),
    "nothing": ({"source": "requests"}, "nothing to tune"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_questions_are_refused(new_town: Town, case: str) -> None:
    """The message says what is wrong; nothing was made."""
    options, words = REFUSED[case]
    with pytest.raises(DefinitionError, match=words):
        ask(new_town, **options)
    assert not (new_town.state / "private").exists()


def test_several_datasets_must_be_told_apart(town: Town) -> None:
    """With two datasets of a source one must be named."""
    path = town.root / "datasets" / "water.toml"
    path.with_name("thirst.toml").write_text(path.read_text())
    with pytest.raises(DefinitionError, match="thirst, water"):
        ask(town)
    assert ask(town, dataset="thirst").dataset.name == "thirst"


def test_a_person_is_told_what_it_costs(town: Town) -> None:
    """The question names the loss, the blocks and their budget."""
    asked = ask(town, period="2024")
    assert not asked.known
    assert asked.words() == (
        "This charges ρ 0.01 on each of 12 block(s) of source meters (2024-01 … 2024-12). Each block has a "
        "budget of 0.25 in all. What is charged never comes back."
    )
