"""Odds and worst cases: never stronger than the exact calculation, and attained where a unit can attain them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from guarantee_examples import charged_again, discover, facts, frozen, increment, privacy, rollups, utility
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.definitions import period as civil
from publisher.privacy.mechanism import epsilon_of
from publisher.release import composition, odds
from publisher.release.chances import belief_here, right_guess_here
from publisher.release.guarantee_inputs import SourceAccount, WindowSpending
from publisher.release.loss_distribution import Shift, composed, lattice_distance, lattice_tail
from publisher.release.sentences import percent

if TYPE_CHECKING:
    from publisher.definitions.period import Grain
    from publisher.definitions.source import Currency

SELECTION = {"share": Decimal("0.5"), "delta": Decimal("0.000001")}
ROLLUPS = {
    "rollups": (
        {"name": "town", "title": "The whole town", "keys": (), "share": Decimal("0.1")},
        {"name": "kinds", "title": "Kinds", "keys": ("kind",), "share": Decimal("0.3")},
    ),
    "keys": (
        {"name": "place", "title": "Neighborhood", "keyset": "places", "other": "Unknown"},
        {"name": "kind", "title": "Kind", "keyset": "kinds", "other": "Other"},
    ),
}
LOSSES = st.fractions(Fraction(1, 10_000), 3)


def exact(number: Fraction) -> Decimal:
    """To eighty digits, in the context that stands."""
    return Decimal(number.numerator) / Decimal(number.denominator)


def sigmoid(epsilon: Decimal) -> Decimal:
    return epsilon.exp() / (1 + epsilon.exp())


@settings(max_examples=200, deadline=None)
@given(loss=LOSSES, delta=st.fractions(0, Fraction(1, 1000)))
def test_odds_are_the_formulas_never_less(loss: Fraction, delta: Fraction) -> None:
    """Each chance lies at or above its formula in eighty digits, by no more than 10⁻³⁰."""
    with localcontext(prec=80):
        rho = exact(loss)
        tail = rho + 2 * (rho * Decimal(10**6).ln()).sqrt()
        pairs = [
            (odds.guess_bound(loss, "zcdp", delta), (1 + (rho / 2).sqrt() + exact(delta)) / 2),
            (odds.which_of_two(loss, "zcdp", delta), (1 + (2 * rho).sqrt() + 2 * exact(delta)) / 2),
            (odds.posterior_bound(loss, "zcdp"), sigmoid(tail)),
            (odds.tail_epsilon(loss), tail),
            (odds.guess_bound(loss, "pure"), sigmoid(rho)),
            (odds.which_of_two(loss, "pure"), sigmoid(2 * rho)),
        ]
        for n, (found, formula) in enumerate(pairs):
            true = formula if n == 3 else min(Decimal(1), formula)
            assert 0 <= found - true <= Decimal(10) ** -30


@given(number=st.fractions(Fraction(1, 10**9), 10**9), digits=st.integers(1, 12))
def test_rounding_goes_up(number: Fraction, digits: int) -> None:
    """`up` gives the least number of that many digits that is not below."""
    found = odds.up(number, digits)
    step = Decimal(1).scaleb(found.adjusted() - digits + 1)
    assert Fraction(found) >= number
    assert Fraction(found - step) < number
    assert len(found.as_tuple().digits) <= digits


@pytest.mark.parametrize(("loss", "percent"), [("1/10", "0.6118"), ("1/2", "0.75"), ("2", "1"), ("40", "1")])
def test_known_odds(loss: str, percent: str) -> None:
    """ρ = 0.1 lets presence be guessed 61.2% of the time, 0.5 exactly 75%; from 2 on nothing is promised."""
    assert odds.guess_bound(Fraction(loss), "zcdp").quantize(Decimal("0.0001")) == Decimal(percent).quantize(
        Decimal("0.0001")
    )
    assert odds.posterior_bound(Fraction(10**6), "pure") == 1


def test_exact_chances_stay_exact() -> None:
    """A chance that has an exact decimal is not made larger: ρ = 0.5 is 75%, not 75.1%."""
    assert odds.guess_bound(Fraction(1, 2), "zcdp") == Decimal("0.75")
    assert odds.guess_bound(Fraction(2, 100), "zcdp", Fraction(1, 10**6)) == Decimal("0.5500005")
    assert percent(Decimal("0.75")) == "75%"
    assert percent(Decimal("0.7500000000000000000000000000000000001")) == "75.1%"


def test_a_group_bears_the_square() -> None:
    """m units bear m²ρ under zCDP, mε under pure differential privacy; ε counts as ε²/2 in ρ."""
    assert odds.group(Fraction(1, 10), "zcdp", 5) == Fraction(5, 2)
    assert odds.group(Fraction(1, 10), "pure", 5) == Fraction(1, 2)
    assert odds.as_rho(Fraction(3), "pure") == Fraction(9, 2)


def test_spans_are_those_of_the_calendar() -> None:
    """No period touches more windows than `SPANS` says, and some period touches as many.

    Twenty-eight years have every year that there is: each first weekday, leap or not.
    """
    for cells, of in composition.SPANS.items():
        for window, most in of.items():
            periods = civil.Period(date(2000, 1, 1), date(2028, 1, 1), "year").cut(cells)
            assert max(touched(period, window) for period in periods) == most, (cells, window)


def touched(period: civil.Period, window: Grain) -> int:
    """How many windows the period touches."""
    return (period.end - period.start).days if window == "day" else len(period.cut(window))


def test_years_touch_no_more_windows_than_said() -> None:
    """1, 5 and 10 calendar years touch at most as many windows as `IN_YEARS` says, wherever they begin."""
    for window, counts in composition.IN_YEARS.items():
        for years, most in counts.items():
            found = {
                touched(civil.Period(date(first, 1, 1), date(first + years, 1, 1), "year"), window)
                for first in range(1980, 2020)
            }
            assert max(found) == most, (window, years)


def test_a_unit_in_every_window_bears_what_is_said() -> None:
    """One record a day in one place: its exact loss is at most the bound, level by level, and equals it in a month."""
    quarter = rollups()
    tables = {"town": [91], "places": [31, 29, 31], "": [31, 29, 31]}
    definition = quarter.dataset.definition
    shares = {name: quarter.loss * definition.share_of(name) for name in tables}
    # ρ of a Gaussian table is |change|²/(2σ²), and σ was chosen for a change of one.
    borne = sum(shares[name] * sum(days**2 for days in cells) for name, cells in tables.items())
    bound = composition.in_this_release(quarter)
    assert bound.count == 91
    assert bound.loss * Fraction(98, 100) <= borne <= bound.loss
    month = facts(privacy("record", "day", "0.5"), {}, "2024-03")
    assert composition.in_this_release(month).loss == month.loss * 31**2


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(0, 1), min_size=91, max_size=91).filter(any),
    places=st.lists(st.integers(0, 2), min_size=91, max_size=91),
)
def test_no_unit_bears_more_than_its_windows_allow(counts: list[int], places: list[int]) -> None:
    """Any choice of days and places stays within W·Σ share·min(W, s)·ρ."""
    quarter = rollups()
    days = [date(2024, 1, 1) + timedelta(days=n) for n, count in enumerate(counts) if count]
    where = [place for place, count in zip(places, counts, strict=True) if count]
    monthly: dict[tuple[int, int], int] = {}
    for day, place in zip(days, where, strict=True):
        monthly[day.month, place] = monthly.get((day.month, place), 0) + 1
    definition = quarter.dataset.definition
    borne = quarter.loss * (
        definition.share_of("town") * len(days) ** 2
        + (1 - definition.share_of("town")) * sum(count**2 for count in monthly.values())
    )
    assert borne <= composition.in_this_dataset(quarter, len(days)).loss


def test_releases_of_one_window_are_counted() -> None:
    """Twelve monthly releases meet one year, two charged editions one day; what they spend stays within the budget."""
    assert composition.releases_of_one_window(discover()) == 12
    assert composition.in_this_dataset(discover(), 1).loss == 12 * Fraction(2, 100)
    assert composition.releases_of_one_window(charged_again()) == 2
    assert composition.releases_of_one_window(increment()) == 1
    yearly = facts(privacy("who", "year", "0.5"), {}, "2024-03")
    assert composition.in_this_dataset(yearly, 1).loss == Fraction(1, 2)  # not 12 × 0.1
    forever = facts(privacy("who", "lifetime", "2"), {}, "2024-03")
    assert composition.releases_of_one_window(forever) is None
    assert composition.in_this_dataset(forever, 1).loss == 2


def test_pure_losses_add_up_plainly() -> None:
    """Under pure differential privacy W windows bear W·ε, however wide the cells are."""
    meters = utility()
    assert composition.in_this_dataset(meters, 12).loss == 12 * meters.loss
    assert composition.in_this_source(meters, 60).loss == 60 * meters.account.budget
    day = privacy("record", "day", "3", currency="pure")
    wide = facts(day, {"loss": {"epsilon": Decimal(1)}}, "2024-03")
    assert composition.in_this_release(wide).loss == 31


def test_the_source_is_never_said_safer_than_its_dataset() -> None:
    """The whole budget bears at least what one dataset bears, also when nobody said how wide other tables are."""
    for made in (rollups(), increment(), discover(), charged_again(), utility()):
        for windows in (1, 12, 60, 366):
            dataset, source = composition.in_this_dataset(made, windows), composition.in_this_source(made, windows)
            assert dataset.loss <= source.loss
            assert dataset.guess_bound <= source.guess_bound
            unsaid = replace(made, others=tuple(replace(each, span=None) for each in made.others))
            assert source.loss <= composition.in_this_source(unsaid, windows).loss


def test_an_account_knows_its_widest_table() -> None:
    """The widest of all tables of the source counts, rollups and the finding of keys too; without datasets the most."""
    assert rollups().account.span == 92
    assert increment().account.span == 1
    assert charged_again().account.span is None
    assert composition.widest("day") == 366
    found = ({"name": "kind", "title": "Kind", "discover": SELECTION, "other": "Other"},)
    daily = {"keys": found, "grain": "day"}
    assert facts(privacy("record", "day", "1", delta=Decimal("0.00001")), daily, "2024-03").account.span == 31


def test_delta_adds_to_the_odds() -> None:
    """With a δ the guess is better by δ/2 a window; where windows meet in one draw, the distances of the steps add."""
    found = discover()
    plain = odds.guess_bound(Fraction(5) * Fraction(24, 100), "zcdp")
    five = composition.in_this_dataset(found, 5).guess_bound
    assert plain < five <= plain + Decimal("0.0001")
    one = composition.in_this_dataset(found, 1).guess_bound
    assert one == odds.of_distance(lattice_distance(0.24), Fraction(12, 10**6))
    keys = ({"name": "kind", "title": "Kind", "discover": SELECTION, "other": "Other"},)
    source = privacy("record", "day", "0.5", delta=Decimal("0.00001"))
    tables = {
        "keys": keys,
        "loss": {"rho": Decimal("0.000001")},
        "period": "quarter",
        "grain": "day",
        "first": "2024-Q1",
    }
    wide = facts(source, tables, "2024-Q1")
    # 91 windows meet in a quarter's keys, and which keys were found decides what the next windows move.
    steps = Decimal(91) * (odds.guess_bound(wide.loss, "zcdp", wide.delta) - Decimal("0.5"))
    assert abs(composition.in_this_release(wide).guess_bound - Decimal("0.5") - steps) < Decimal(10) ** -20


@pytest.mark.parametrize(
    ("rho", "exact", "implied"),
    [("0.1", "58.9%", "61.2%"), ("0.5", "69.2%", "75%"), ("2", "84.3%", "100%")],
)
def test_the_exact_odds_are_stated(rho: str, exact: str, implied: str) -> None:
    """Three tables of records: the noise's own odds for what was drawn, those of ρ alone for budgets."""
    made = facts(privacy("record", "day", rho), ROLLUPS | {"loss": {"rho": Decimal(rho)}}, "2024-03")
    assert percent(right_guess_here(made)) == exact
    assert percent(composition.in_this_dataset(made, 1).guess_bound) == exact
    assert percent(composition.in_this_source(made, 1).guess_bound) == implied
    alone = facts(privacy("record", "day", rho), {"loss": {"rho": Decimal(rho)}}, "2024-03")
    assert right_guess_here(alone) <= odds.of_distance(lattice_distance(float(Fraction(rho))))


@pytest.mark.parametrize("made", [rollups, increment, discover, frozen, charged_again, utility])
@pytest.mark.parametrize("units", [1, 2, 5, 20])
def test_never_above_what_the_loss_implies(made: Any, units: int) -> None:
    """The stated odds are the least of several bounds, and the loss alone always gives one."""
    one, currency = made(), made().account.currency
    for bearing in (composition.household_here(one, units), composition.household_in_this_dataset(one, units)):
        implied = odds.guess_bound(bearing.loss, currency, units * one.delta)
        assert Decimal("0.5") < bearing.guess_bound <= max(implied, bearing.guess_bound if one.delta else implied)
    assert belief_here(one) <= odds.posterior_bound(one.drawn.loss, currency)


@pytest.mark.parametrize("made", [rollups, increment, frozen, charged_again, utility])
def test_earlier_draws_are_counted_by_their_loss(made: Any) -> None:
    """What an earlier definition drew is not known: then the odds are those of the sum of the losses."""
    tenth = WindowSpending(Fraction(1, 10), Fraction(0))
    again = replace(made(), earlier=tenth, edited=tenth, dataset_spent=tenth)
    loss, currency = again.drawn.loss, again.account.currency
    assert right_guess_here(again) == odds.guess_bound(loss, currency)
    assert right_guess_here(again, 2) == odds.which_of_two(loss, currency)
    assert belief_here(again) == odds.posterior_bound(loss, currency)
    dataset = composition.in_this_dataset(again, 1)
    assert dataset.guess_bound == odds.guess_bound(dataset.loss, currency)
    household = composition.household_in_this_dataset(again, 2)
    assert household.guess_bound == odds.guess_bound(household.loss, currency)


def test_keys_that_noise_found_are_counted_by_the_worst_draw() -> None:
    """If what a unit moves depends on which keys were found, the odds are those of ρ; if not, those of the noise."""
    finest = discover()
    assert right_guess_here(finest) == odds.of_distance(lattice_distance(0.02), Fraction(1, 10**6))
    assert right_guess_here(finest, 2) == odds.which_of_two(finest.loss, "zcdp", finest.delta)
    coarser = finest.dataset.definition.model_copy(update={"rollups": rollups().dataset.definition.rollups[1:]})
    rolled = replace(finest, dataset=replace(finest.dataset, definition=coarser))
    assert right_guess_here(rolled) == odds.guess_bound(finest.loss, "zcdp", finest.delta)


def test_editions_with_different_noise_are_counted_by_their_loss() -> None:
    """Tables of one level and measure with two scales: only the bound that every noise of that loss has is used."""
    made = rollups()
    table = made.charge.tables[0].model_copy(update={"scale": 2 * made.charge.tables[0].scale})
    mixed = replace(made, charge=made.charge.model_copy(update={"tables": (*made.charge.tables, table)}))
    assert right_guess_here(mixed) == odds.of_distance(lattice_distance(0.1))


def test_several_windows_are_no_safer_than_one() -> None:
    """More windows and more units never lower the odds, and a release never has worse odds than its dataset."""
    for made in (rollups(), increment(), discover(), frozen(), charged_again(), utility()):
        counts = [composition.in_this_dataset(made, n).guess_bound for n in (1, 2, 5, 12)]
        units = [composition.household_in_this_dataset(made, n).guess_bound for n in (1, 2, 5, 20)]
        slack = Decimal("0.00001")
        assert all(a <= b + slack for a, b in pairwise(counts))
        assert all(a <= b + slack for a, b in pairwise(units))
        assert right_guess_here(made) <= composition.in_this_dataset(made, 1).guess_bound + slack


@pytest.mark.parametrize(
    ("accounts", "currency", "loss"),
    [
        ([("zcdp", "1/2"), ("zcdp", "1/3")], "zcdp", Fraction(5, 6)),
        ([("pure", "1"), ("pure", "1/2")], "pure", Fraction(3, 2)),
        ([("zcdp", "1/2"), ("pure", "1")], "zcdp", Fraction(1)),
    ],
)
def test_sources_about_the_same_people_add_up(
    accounts: list[tuple[Currency, str]], currency: Currency, loss: Fraction
) -> None:
    """ρ adds to ρ, ε to ε; where both stand, ε counts as ε²/2."""
    made = tuple(SourceAccount(str(n), "who", "year", kind, Fraction(text)) for n, (kind, text) in enumerate(accounts))
    found, bearing = composition.together(made)
    assert (found, bearing.loss, bearing.count) == (currency, loss, len(made))
    assert bearing.guess_bound == odds.guess_bound(loss, currency)


def test_the_table_in_the_documentation_is_computed() -> None:
    """Every number of docs/privacy.md about ρ and ε is what the functions give, rounded up."""
    page = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text("utf-8")
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in page.splitlines() if line[:3] != "|--"]
    rows = [(line[0], line[1:]) for line in lines if re.fullmatch(r"[0-9.]+", line[0])]
    assert len(rows) == 11
    for loss, cells in rows:
        amount = Fraction(loss)
        if len(cells) == 2:
            wide = composed((Shift("discrete laplace", float(900 / amount), 900),)).distance
            shown = [odds.of_distance(wide), odds.guess_bound(amount, "pure")]
            assert cells == [percent(each) for each in shown]
            continue
        wide = composed((Shift("discrete gaussian", 900 / math.sqrt(2 * amount), 900),)).distance
        shown = [odds.of_distance(lattice_distance(float(amount))), odds.of_distance(wide)]
        tail = odds.of_epsilon(lattice_tail(float(amount), 1e-6))
        shown += [odds.guess_bound(amount, "zcdp"), min(tail, odds.posterior_bound(amount, "zcdp"))]
        assert cells[:4] == [percent(each) for each in shown]
        assert Decimal(cells[4]) == odds.up(epsilon_of(amount, 1e-6), 3)
    assert percent(odds.of_distance(lattice_distance(0.015))) == "53.5%"
    assert percent(odds.of_distance(lattice_distance(2.63))) == "93.7%"
    assert percent(odds.guess_bound(Fraction(472, 100), "pure")) == "99.2%"
