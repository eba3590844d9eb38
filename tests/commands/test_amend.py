"""A clock that was wrong is corrected: what was spent stays spent, and every later guarantee says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from publisher.commands.amend import allowance
from publisher.errors import DefinitionError
from publisher.pipeline.session import opened
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from township import Town

RIGHT = 'formats = ["%Y-%m-%d"]'
WRONG = f'{RIGHT}\nzone = "UTC"'
WHY = ("--reason", "Dates were taken for UTC")


@pytest.fixture
def wrong(town: Town) -> Town:
    """A town whose meters were read in the wrong time zone, released, and whose definition was then corrected."""
    town.edit("pipelines/meters.toml", RIGHT, WRONG)
    assert town.run("water").code == 0
    town.edit("pipelines/meters.toml", WRONG, RIGHT)
    return town


def kinds(town: Town) -> list[str]:
    """The kinds of the decisions that the ledger has."""
    return [kind for (kind,) in town.ledger("SELECT kind FROM entries WHERE kind LIKE 'a%' ORDER BY sequence")]


def test_a_corrected_zone_is_refused_until_it_is_recorded(wrong: Town) -> None:
    """check, plan and run name the mismatch with the command that records it: exit code 4, nothing charged."""
    for command in (("check",), ("run", "water", "--no-push")):
        answer = wrong.publisher(*command)
        assert answer.code == 4
        assert "its first charge has clock = %Y-%m-%d; UTC" in answer.err
        assert "publisher ledger amend meters --reason" in " ".join(answer.err.split())
    plan = wrong.publisher("plan", "water")
    assert (plan.code, len(wrong.charges())) == (0, 3)
    assert "publisher ledger amend meters --reason" in " ".join((plan.out + plan.err).split())


def test_nothing_is_recorded_unasked(wrong: Town) -> None:
    """Off a terminal --yes is needed; the words say what each block will count."""
    answer = wrong.publisher("ledger", "amend", "meters", *WHY)
    assert (answer.code, kinds(wrong)) == (2, [])
    assert "The fullest block then has spent ρ 0.2 of ρ 0.25" in answer.err
    assert "add --yes to agree" in answer.err


def test_an_amendment_counts_what_was_spent_where_dates_may_have_been(wrong: Town) -> None:
    """January lay in December and January, February in both: the first can be drawn again, the second only if more is
    allowed on it. The guarantee adds up both readings and gives both reasons."""
    amended = wrong.publisher("ledger", "amend", "meters", *WHY, "--yes")
    assert (amended.code, kinds(wrong)) == (0, ["amendment"]), amended.err
    assert wrong.publisher("check").code == 0
    answer = wrong.run("water", "--redraw", "2024-01..2024-03", "--yes")
    assert answer.code == 4
    assert "block 2024-02 of source meters has 0.05 left of 0.25" in answer.err
    assert wrong.charges()[3:] == [("water", "2024-01")]
    promised = wrong.guarantee("water", "2024-01", 2)
    assert (promised["earlier"]["amount"], promised["budget"]["spent"]) == ("1/10", "1/5")
    assert [(each["kind"], each["reason"]) for each in promised["decisions"]] == [("amendment", WHY[1])]

    more = ("ledger", "allow", "meters", "2024-02..2024-03", "--more", "0.05", "--reason", "Council of 3 May")
    assert wrong.publisher(*more).code == 2
    assert wrong.publisher(*more, "--yes").code == 0
    assert wrong.run("water", "--redraw", "2024-01..2024-03", "--yes").code == 0
    promised = wrong.guarantee("water", "2024-02", 2)
    assert (promised["earlier"]["amount"], promised["budget"]["spent"]) == ("1/5", "3/10")
    assert promised["budget"]["declared"]["amount"] == "1/4"
    text = (wrong.releases / "water" / "2024-02" / "2" / "guarantee.md").read_text()
    assert "the dates of this source were read differently: Dates were taken for UTC." in text
    assert "the publisher allowed more on some of them: Council of 3 May." in text
    rows = {row["block"]: row for row in wrong.publisher("ledger", "--json").rows if row["source"] == "meters"}
    assert [(row["spent"], row["budget"]) for row in rows.values()] == [
        ("0.2", "0.25"),
        ("0.3", "0.3"),
        ("0.1", "0.25"),
    ]  # in April lie dates that were read as the last day of March


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("amend", "meters", *WHY), "was never charged, so there is nothing to amend"),
        (("amend", "nobody", *WHY), "there is no source 'nobody'"),
        (("allow", "meters", "2024-02", "--more", "1", *WHY), "was never charged, so nothing is used up"),
    ],
)
def test_before_a_charge_nothing_is_recorded(town: Town, words: tuple[str, ...], said: str) -> None:
    """One line and exit code 2; the ledger stays as it was."""
    answer = town.publisher("ledger", *words, "--yes")
    assert (answer.code, kinds(town)) == (2, [])
    assert said in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("someday", "--more", "1", *WHY), "BLOCKS: 'someday' is not a period"),
        (("2024-02..2024-01", "--more", "1", *WHY), "2024-02..2024-01: ends before it starts"),
        (("0001..9998", "--more", "1", *WHY), "0001..9998: is more than 20 years"),
        (("2024-02", "--more", "much", *WHY), "--more: 'much' is not an amount such as 0.1"),
        (("2024-02", "--more", "1e-300000000", *WHY), "is not an amount such as 0.1"),
        (("2024-02", "--more", "101", *WHY), "of at most 100"),
        (("2024-02", "--more", "1", "--reason", "  "), "--reason: write one sentence"),
    ],
)
def test_what_cannot_be_allowed_is_said(released: Town, words: tuple[str, ...], said: str) -> None:
    """One line and exit code 2, at once; the ledger stays as it was."""
    answer = released.publisher("ledger", "allow", "meters", *words, "--yes")
    assert (answer.code, kinds(released)) == (2, [])
    assert said in answer.err


def test_no_decision_allows_more_about_minors(released: Town) -> None:
    """Half of the ceiling is the most that a block of theirs may spend, with all decisions together."""
    released.edit("pipelines/meters.toml", "retention_months", "minors = true\nretention_months")
    released.edit("pipelines/meters.toml", "budget = 0.25", "budget = 0.2")
    with opened(find_workspace(released.root)) as catalog:
        meters = find_workspace(released.root).source("meters")
        asked = allowance(meters, catalog.ledger, "2024-01", "2024-02", "0.03", "0", WHY[1])
        catalog.ledger.record("allowance", asked.payload)
        for more, delta in (("0.03", "0"), ("0.01", "1e-9")):
            with pytest.raises(DefinitionError, match=r"meters: is about minors: ρ 0.25 on a block, and no δ"):
                allowance(meters, catalog.ledger, "2024-02", "2024-03", more, delta, WHY[1])
        assert allowance(meters, catalog.ledger, "2024-03", "2024-03", "0.05", "0", WHY[1]).more.loss


def test_a_format_that_the_export_changed_keeps_what_was_spent(released: Town) -> None:
    """The dates were read rightly before and after: each month still counts its own charge, amended or not."""
    meters = released.data / "meters.csv"
    lines = [line.split(",") for line in meters.read_text().splitlines()]
    day = lines[0].index("day")
    for line in lines[1:]:
        line[day] = ".".join(reversed(line[day].split("-")))
    meters.write_text("\n".join(",".join(line) for line in lines) + "\n")
    released.edit("pipelines/meters.toml", RIGHT, 'formats = ["%d.%m.%Y"]')
    answer = released.publisher("ledger", "amend", "meters", "--reason", "The export writes dates anew", "--yes")
    assert answer.code == 0, answer.err
    rows = [row for row in released.publisher("ledger", "--json").rows if row["source"] == "meters"]
    assert [(row["block"], row["spent"]) for row in rows] == [("2024-01 … 2024-03", "0.1")]


def test_a_reading_that_did_not_change_is_not_amended(released: Town) -> None:
    """The definition is corrected first; otherwise there is nothing to record."""
    answer = released.publisher("ledger", "amend", "meters", *WHY, "--yes")
    assert (answer.code, kinds(released)) == (2, [])
    assert "reads dates as the ledger says" in answer.err
