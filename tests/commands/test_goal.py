"""`publisher plan --goal`: plain words in, the smallest loss out, and nothing of the records in between."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import planned
import pytest
from rooms import ROOT

from publisher.commands.goal import GoalRequest, plan_goal
from publisher.commands.goal_text import lines
from publisher.errors import DefinitionError
from publisher.planning.forecast import public, widths_of
from publisher.planning.goal import parse_goal
from publisher.planning.goal_plan import GoalAnswer, GoalSearch
from publisher.planning.goal_table import draft_of
from publisher.planning.guess import parse_guesses
from publisher.planning.phrases import vocabulary_of

if TYPE_CHECKING:
    from pathlib import Path

    from township import Town

    from publisher.planning.goal import Goal
    from publisher.planning.guess import Guesses
    from publisher.workspace import Workspace

GUESS = "6,000 requests a month"


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUBLISHER_DATA", "PUBLISHER_STATE", "PUBLISHER_LEDGER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Definitions alone; nobody changes them."""
    return planned.build(tmp_path_factory.mktemp("goal") / "city")


def parsed(workspace: Workspace, goal: str, name: str = "requests") -> Goal:
    dataset = workspace.dataset(name)
    return parse_goal(goal, vocabulary_of(workspace, dataset), dataset.definition)


def guessed(workspace: Workspace, *guesses: str, name: str = "requests", grain: Any = "month") -> Guesses:
    dataset = workspace.dataset(name)
    first = dataset.definition.measured[0].name
    return parse_guesses(guesses, vocabulary_of(workspace, dataset), first, grain)


def answered(workspace: Workspace, goal: str, *guesses: str, name: str = "requests") -> GoalAnswer:
    draft = draft_of(workspace, name)
    dataset = draft.dataset()
    facts = public(workspace, [dataset])
    asked = parsed(workspace, goal, name)
    said = guessed(workspace, *guesses, name=name, grain=asked.grain)
    return GoalSearch(draft, dataset, facts, said, facts.tuned.get(name)).answer(asked)


def agreed(words: str, undone: str) -> None:
    """A person who agrees to everything."""


def text(answer: GoalAnswer) -> str:
    return "\n".join(lines(answer))


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ("monthly by district, within 20 %", "monthly by district, within 20%"),
        ("number of requests per week by sides of the river, ±5", "requests weekly by side, within 5"),
        ("by districts and sort each month, within 10 percent", "monthly by district and sort, within 10%"),
        (
            "quarterly citywide, give or take 50, for nine in ten cells",
            "quarterly in the whole city, within 50, at least 9 in 10 cells",
        ),
        (
            "yearly in the whole city, +/- 3%, in 80% of the cells",
            "yearly in the whole city, within 3%, at least 8 in 10 cells",
        ),
        ("within 20%", "monthly by district and sort, within 20%"),
    ],
)
def test_a_goal_is_read_and_can_be_typed_again(city: Workspace, said: str, understood: str) -> None:
    """Time step, keys, measures, exactness and share, in any order; what was understood is a goal of its own."""
    goal = parsed(city, said)
    assert goal.words() == understood
    assert replace(parsed(city, understood), taken=()) == replace(goal, taken=())


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("hourly by block, within 5%", "'hourly', 'block' are not understood"),
        ("monthly by district", "how exact"),
        ("monthly and weekly, within 5%", "'monthly' or 'and weekly'|'monthly' or 'weekly'"),
        ("monthly by district in the whole city, within 5%", "by district, or in the whole city"),
        ("monthly, within 0%", "must be from 0.1% to below 100%"),
        ("monthly, ±0", "must be above 0"),
        ("monthly, ±9999999999999999", "numbers up to"),
        ("monthly, within 5%, 10 in 10 cells", "fewer than all"),
    ],
)
def test_what_is_not_understood_stops_it(city: Workspace, said: str, why: str) -> None:
    """One message; unknown words come with all that is possible for this dataset."""
    with pytest.raises(DefinitionError, match=why) as error:
        parsed(city, said)
    if "not understood" in why:
        assert "time steps: daily, weekly" in str(error.value)
        assert "keys: district, sort, side; measures: requests" in str(error.value)


def test_guesses_are_read(city: Workspace) -> None:
    """A total, a number for each cell, a range, and bounds; a range says how cells differ."""
    total, each, ranged = guessed(city, GUESS, "3 a week in each district", "10 to 200 requests in each district").sizes
    assert (total.amount, total.grain, total.each) == (6000, "month", ())
    assert (each.amount, each.grain, each.each) == (3, "week", ("district",))
    assert ranged.spread == pytest.approx(1.169, abs=0.001)
    bounds = guessed(city, "at most 2 in each of 3 zones", name="water").bounds
    assert bounds is not None
    assert (bounds.max_groups, bounds.max_per_group) == (3, 2)
    for wrong in ("many requests", "3 or 4 requests", "10 to 200 requests a month", "40 to 3 in each district"):
        with pytest.raises(DefinitionError, match="--guess"):
            guessed(city, wrong)


def test_the_loss_is_the_smallest_that_meets_the_goal(city: Workspace) -> None:
    """With it the typical district's margin is within 20% of its number; with the next smaller one it is not."""
    answer = answered(city, "monthly by district, within 20%", GUESS)
    found = answer.found
    assert found.met
    value = found.values["requests"]
    assert value == pytest.approx(6000 / 31 * 0.61, rel=0.03)  # the middle of cells that differ as usual
    definition = found.dataset.definition
    levels = found.dataset.levels(answer.plan.release)
    assert widths_of(definition, levels)["", "requests"].middle <= 0.2 * value
    step = {Decimal("0.01"): "0.007", Decimal("0.007"): "0.005", Decimal("0.005"): "0.003"}[found.loss]
    less = definition.model_copy(update={"loss": definition.loss.model_copy(update={"rho": Decimal(step)})})
    assert widths_of(less, levels)["", "requests"].middle > 0.2 * value
    assert sum(definition.share_of(each.name) for each in levels) == 1
    assert [key.name for key in definition.keys] == ["district"]
    assert not city.state.exists()


def test_three_people_see_what_they_need(city: Workspace) -> None:
    """At 80 columns: a number with range and grade, the shares of each table, the odds and the budget."""
    shown = text(
        answered(
            city,
            "monthly by district, within 20%",
            GUESS,
        )
    )
    assert max(map(len, shown.splitlines())) <= 80
    said = " ".join(shown.split())
    assert "A resident reads, of a typical district and month: Requests: 119 (" in said
    assert "ok: probably within" in said
    for table in ("city 1 6,000 ±", "sides 3 ", "own table 31 119 ±"):
        assert table in said
    assert "right at most" in said
    assert "Each day, this dataset spends ρ 0.0" in said
    assert "all together may spend 0.25" in said
    assert "Budget: enough for every release up to the last, 2024-03." in said
    assert "rho" in said
    assert "(now 0.1)" in said


def test_without_a_size_a_range_is_shown(city: Workspace) -> None:
    """Nothing is looked up: it says from which number on the goal holds, and what to say; nothing is written."""
    answer = answered(city, "monthly by district, within 20%")
    assert not answer.found.sized
    shown = text(answer)
    assert "with ρ 0.1" in shown
    assert "within 20% from" in shown
    assert "--guess '3,000 requests a month'" in shown
    assert "--tune" not in shown  # records are counted once each: there is nothing to measure
    with pytest.raises(DefinitionError, match="nothing was written"):
        plan_goal(city.root, GoalRequest("requests", "monthly by district, within 20%", write=True), agreed)
    assert not city.state.exists()
    assert answered(city, "monthly by district, ±40").found.met  # an amount needs no size


def test_a_missed_goal_says_what_could_be_met(city: Workspace) -> None:
    """By how much it is missed, and goals that are met when they are asked for, a coarser key among them."""
    answer = answered(city, "monthly by district and sort, within 20%", "1200 requests a month")
    assert not answer.found.met
    assert answer.found.reached > 0.2
    assert answer.found.loss == Decimal("0.1")
    offered = [each.goal.words() for each in answer.alternatives]
    assert "monthly by side and sort, within 20%" in offered
    for words in offered:
        assert answered(city, words, "1200 requests a month").found.met
    assert answer.larger is not None
    assert answer.larger.loss > Decimal("0.1")
    assert "The goal is missed: with ρ 0.1" in text(answer)
    assert "numbers are less than their noise, not within 20%" in " ".join(
        text(answered(city, "monthly by district and sort, within 20%", "30 requests a month")).split()
    )


def test_ceilings_hold(tmp_path: Path) -> None:
    """ρ 0.1 a release; all datasets of the source together at most 0.5 a block, even if the budget is larger."""
    sibling = planned.FILES["datasets/requests.toml"].replace("rho = 0.1", "rho = 0.47")
    edits = {"pipelines/requests.toml": ("budget = 0.25", "budget = 5")}
    alone = answered(planned.build(tmp_path / "alone", edits), "monthly by district, within 1%", GUESS).found
    assert (alone.met, alone.ceiling.loss) == (False, Decimal("0.1"))
    beside = answered(planned.build(tmp_path / "beside", edits, other=sibling), "monthly by district, within 1%", GUESS)
    assert beside.found.ceiling.others == Fraction(47, 100)
    assert beside.found.loss == Decimal("0.03")
    full = planned.build(tmp_path / "full", edits, other=sibling.replace("0.47", "0.5"))
    with pytest.raises(DefinitionError, match="nothing is left for it"):
        answered(full, "monthly by district, within 1%", GUESS)


def test_ceilings_are_halved_for_minors(tmp_path: Path) -> None:
    """ρ 0.05 a release and 0.25 a block where the records are about minors, and the plan says no more than that."""
    edits = {
        "pipelines/requests.toml": ("[privacy]", "minors = true\n[privacy]"),
        "datasets/requests.toml": ("rho = 0.1", "rho = 0.05"),
    }
    found = answered(planned.build(tmp_path / "city", edits), "monthly by district, within 1%", GUESS).found
    assert (found.met, found.ceiling.loss, found.ceiling.allowed) == (False, Decimal("0.05"), Fraction(1, 4))


def test_a_long_window_is_shared_by_its_releases(tmp_path: Path) -> None:
    """Twelve months charge one year: each may spend a twelfth of 0.25, rounded down."""
    edits = {"pipelines/meters.toml": ('window = "month"', 'window = "year"')}
    found = answered(
        planned.build(tmp_path / "city", edits), "accounts by zone, within 1%", "9000 accounts", name="water"
    ).found
    assert found.ceiling.charges == 12
    assert found.ceiling.loss == Decimal("0.02")


def test_pure_epsilon_and_all_time_have_ceilings_too(tmp_path: Path) -> None:
    """ε 0.45 a release and 1 a block; of a lifetime, all releases there will be share one block."""
    edits = {
        "pipelines/meters.toml": ("budget = 0.25", 'budget = 4\ncurrency = "pure"'),
        "datasets/water.toml": ("rho = 0.1", "epsilon = 3"),
    }
    pure = answered(planned.build(tmp_path / "pure", edits), "accounts by zone, ±1", name="water").found
    assert (pure.met, pure.ceiling.loss, pure.ceiling.allowed) == (False, Decimal("0.45"), 1)
    assert pure.dataset.definition.loss.epsilon == Decimal("0.45")
    edits = {"pipelines/meters.toml": ('window = "month"', 'window = "lifetime"')}
    life = answered(planned.build(tmp_path / "life", edits), "accounts by zone, ±1", name="water")
    assert (life.found.ceiling.charges, life.found.ceiling.loss) == (3, Decimal("0.08"))
    assert "In all time, this dataset spends ρ 0.24 in 3 releases" in text(life)


def test_a_key_of_another_dataset_is_taken_over(tmp_path: Path) -> None:
    """Keys come with their public keyset; a column without one says how to get it."""
    other = planned.FILES["datasets/requests.toml"].replace(
        'keyset = "districts"', 'keyset = "districts"\nstandard = "own"'
    )
    one = planned.FILES["datasets/requests.toml"]
    start = one.index('[[keys]]\nname = "district"')
    only = one[:start] + one[one.index('[[keys]]\nname = "sort"') :]
    workspace = planned.build(tmp_path / "city", other=other, sorts=only)
    found = answered(workspace, "monthly by sort and district, within 20%", GUESS, name="sorts").found
    assert [(key.name, key.keyset, key.standard) for key in found.dataset.definition.keys] == [
        ("sort", "sorts", None),
        ("district", "districts", "own"),
    ]
    sort = one[one.index('[[keys]]\nname = "sort"') : one.index("[[measures]]")]
    alone = planned.build(tmp_path / "alone", {"datasets/requests.toml": (sort, "")})
    with pytest.raises(DefinitionError, match="no public list of keys for sort yet"):
        answered(alone, "by sort, within 5%")


def test_keys_that_noise_finds_have_no_goal(tmp_path: Path) -> None:
    """How many there will be is not known before they are drawn."""
    found = "discover = { share = 0.2, delta = 0.00001 }"
    own = planned.FILES["datasets/requests.toml"].replace('keyset = "sorts"', found)
    edits = {"pipelines/requests.toml": ("budget = 0.25", "budget = 0.25\ndelta = 0.001")}
    with pytest.raises(DefinitionError, match="finds its keys by a selection"):
        answered(planned.build(tmp_path, edits, found=own), "by district, within 20%", GUESS, name="found")


def test_guessed_bounds_leave_the_share_that_counts(tmp_path: Path) -> None:
    """What a release measures of its bounds stays in the definition, with its part of the loss."""
    wider = "max_groups = 1\nmax_per_group = 1\ncoverage_share = 0.2\nwider_groups = 3\n"
    edits = {"datasets/water.toml": ("max_groups = 1\nmax_per_group = 1\n", wider)}
    workspace, goal = planned.build(tmp_path / "city", edits), "accounts by zone, ±1000"
    bounds = answered(workspace, goal, "at most 1 in each of 2 zones", name="water").found.dataset.definition.bounds
    assert (bounds.max_groups, bounds.coverage_share, bounds.wider_groups) == (2, Decimal("0.2"), 3)
    with pytest.raises(DefinitionError, match="wider_groups: must be at least max_groups"):
        answered(workspace, goal, "at most 1 in each of 4 zones", name="water")


def test_a_longer_step_keeps_whole_periods(city: Workspace) -> None:
    """Months become the one whole quarter between them; where no whole year lies between, it says so."""
    found = answered(city, "quarterly by district, within 20%", GUESS).found
    assert (found.dataset.definition.period, found.dataset.definition.first, found.dataset.definition.last) == (
        "quarter",
        "2024-Q1",
        "2024-Q1",
    )
    with pytest.raises(DefinitionError, match="there is no whole year"):
        answered(city, "yearly by district, within 20%", GUESS)


def test_the_lines_are_written_and_the_file_is_in_order(town: Town) -> None:
    """Off a terminal only with --yes; comments stay, `check` passes, and the same goal again changes nothing."""
    town.edit("datasets/requests.toml", "rho = 0.1", "rho = 0.1  # decided in May")
    command = ("plan", "requests", "--goal", "monthly by district, within 20%", "--guess", GUESS, "--write")
    before = (town.root / "datasets" / "requests.toml").read_text()
    refused = town.publisher(*command)
    assert refused.code == 2
    assert "add --yes to agree. Nothing was written." in refused.err
    assert (town.root / "datasets" / "requests.toml").read_text() == before
    written = town.publisher(*command, "--yes")
    assert written.code == 0, written.err
    assert "-rho = 0.1  # decided in May" in written.err
    after = (town.root / "datasets" / "requests.toml").read_text()
    assert "  # decided in May" in after
    assert 'name = "sort"' not in after
    assert town.publisher("check").code == 0
    assert "nothing was changed" in town.publisher(*command, "--yes").err
    assert town.charges() == []


def test_what_would_be_drawn_again_is_said_before(released: Town) -> None:
    """Where periods are released, the edit names them and their cost before a person agrees."""
    said = released.publisher(
        "plan", "requests", "--goal", "monthly by district and sort, within 90%", "--guess", GUESS, "--write"
    )
    assert said.code == 2
    told = " ".join(said.err.split())
    assert "Before you agree: requests: " in told
    assert "2024-01..2024-03 would be drawn and charged again" in told
    found = released.publisher("plan", "requests", "--goal", "monthly by district and sort, within 90%", "--json").out
    longer = released.publisher("plan", "requests", "--goal", "quarterly by district and sort, within 90%", "--write")
    assert "3 released months stay as they are; each quarter is drawn and charged" in " ".join(longer.err.split())
    answer = json.loads(found)
    assert answer["redrawn"] == ["2024-01", "2024-02", "2024-03"]
    assert answer["known_from"].startswith("as released for 2024-03")


def test_a_measurement_is_asked_for_and_charged(town: Town) -> None:
    """Off a terminal only with --yes; its answer then proposes the bounds and tells sizes, and is free from then on."""
    command = ("plan", "water", "--goal", "accounts by zone, within 50%", "--json")
    refused = town.publisher(*command, "--tune", "2024-01")
    assert refused.code == 2
    assert "Nothing was charged." in refused.err
    assert town.charges() == []
    told = town.publisher(*command, "--tune", "2024-01", "--yes")
    assert told.code == 0, told.err
    assert town.charges() == [("tune:water", "2024-01")]
    answer = json.loads(told.out)
    assert answer["known_from"] == "as measured on 2024-01 with noise"
    assert answer["bounds"]["max_groups"] == 1
    assert "accounts" in answer["cut"]
    assert json.loads(town.publisher(*command).out) == answer
    assert town.charges() == [("tune:water", "2024-01")]


def test_a_draft_gets_its_loss_and_bounds(town: Town) -> None:
    """A draft with marked places is planned; what a goal decides is filled in, and the rest stays open."""
    town.edit("datasets/water.toml", "rho = 0.1", 'rho = "TODO"')
    town.edit("datasets/water.toml", 'first = "2024-01"', 'first = "TODO"')
    town.edit("datasets/water.toml", 'last = "2024-03"\n', "")
    town.edit("datasets/water.toml", "max_groups = 1\nmax_per_group = 1", 'max_groups = "TODO"\nmax_per_group = "TODO"')
    town.edit("pipelines/meters.toml", "budget = 0.25", 'budget = "TODO"')
    goal = ("plan", "water", "--goal", "accounts by zone, within 20%", "--guess", "2000 accounts a month")
    missing = town.publisher(*goal)
    assert missing.code == 2
    assert "datasets/water.toml:10: bounds: how much of one account counts is not decided yet" in missing.err
    written = town.publisher(*goal, "--guess", "at most 1 in each of 1 zone", "--write", "--yes")
    assert written.code == 0, written.err
    assert "The budget of meters is not decided yet; 0.5 is assumed." in written.out
    assert "Still open: datasets/water.toml:5: first: is marked TODO" in " ".join(written.err.split())
    after = (town.root / "datasets" / "water.toml").read_text()
    assert "max_groups = 1\nmax_per_group = 1" in after
    assert 'rho = "TODO"' not in after


def test_what_a_new_draft_says_works(town: Town) -> None:
    """The command that `publisher add` writes beside the loss finds it, with a guess, and writes it there."""
    added = town.publisher(
        "add", "calls", "data/requests/first.csv", "--boundaries", "data/districts.geojson", "--key", "name", "--yes"
    )
    assert added.code == 0, added.err
    (path,) = (town.root / "datasets").glob("calls-*.toml")
    comment = " ".join(path.read_text().replace("\n# ", " ").split())
    name, option, goal, *_ = shlex.split(comment.partition("`publisher plan ")[2].partition("`")[0])
    assert (name, option) == (path.stem, "--goal")
    guesses = ("--guess", "3,000 records a month", "--guess", "at most 2 records in each of 2 districts")
    written = town.publisher("plan", name, "--goal", goal, *guesses, "--write", "--yes")
    assert written.code == 0, written.err
    open_ = town.publisher("check").err
    assert f"datasets/{name}.toml:" in open_  # the first month is for people to choose
    assert "loss" not in open_
    assert "bounds" not in open_


def test_a_draft_without_keys_is_told_what_is_open(town: Town) -> None:
    """Which public list counts is not a goal's to decide; no budget of a draft is charged either."""
    town.edit("datasets/water.toml", 'keyset = "zones"', 'keyset = "TODO"')
    answer = town.publisher("plan", "water", "--goal", "accounts by zone, within 20%")
    assert answer.code == 2
    assert answer.err == "error: datasets/water.toml:18: keys.0.keyset: is marked TODO: fill it in\n"
    charged = town.publisher("plan", "requests", "--goal", "monthly, ±9", "--tune", "2024-01", "--yes")
    assert charged.code == 2
    assert "nothing to measure: use --guess" in charged.err
    assert town.charges() == []


def test_options_of_a_goal_need_one(town: Town) -> None:
    """Without --goal they would do nothing; beside other ways to plan they would say two things."""
    for options, why in (
        (("requests", "--write"), "--write is for --goal"),
        (("--goal", "monthly, within 5%"), "one dataset"),
        (("requests", "--goal", "monthly, within 5%", "--split"), "cannot be used together"),
        (("requests", "--goal", "monthly, within 5%", "--typical", "5"), "cannot be used together"),
    ):
        answer = town.publisher("plan", *options)
        assert answer.code == 2
        assert why in answer.err


def test_the_example_of_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/planning.md shows what the command answers for the shipped workspace."""
    monkeypatch.setenv("PUBLISHER_STATE", str(tmp_path))
    page = (ROOT.parent / "docs" / "planning.md").read_text(encoding="utf-8")
    (example,) = (block for block in page.split("```console\n") if block.startswith("$ publisher plan stlouis-n"))
    command, _, wanted = example.partition("```")[0].partition("\n")
    _, _, _, name, _, goal, _, said = shlex.split(command)
    plan_goal(ROOT.parent, GoalRequest(name, goal, (said,)), agreed)
    assert capsys.readouterr().out == wanted
