"""Draws chosen after seeing earlier ones: never easier to tell apart than stated, and hardly harder."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from guarantee_examples import facts, privacy, rollups, utility
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_losses import FILE

from publisher.release import composition, odds
from publisher.release.chances import belief_here, right_guess_here
from publisher.release.guarantee_inputs import Decision, Tuning, WindowSpending
from publisher.release.in_turn import composed_in_turn, gaussian_curve, tail_in_turn
from publisher.release.loss_distribution import Shift, composed, lattice_distance, lattice_tail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.release.guarantee_inputs import GuaranteeInputs

G = "discrete gaussian"
ONE_IN_A_MILLION = 1e-6


def turned(currency: str, *losses: float) -> float:
    """The distance that is stated."""
    law = composed_in_turn("zcdp" if currency == "zcdp" else "pure", losses)
    assert law is not None
    return law.distance


def coset(rho: float, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """The discrete Gaussian of that loss on the whole numbers plus the offset, without and with a move of one."""
    values = np.arange(-math.ceil(12 / math.sqrt(rho)) - 2, math.ceil(12 / math.sqrt(rho)) + 3) + offset
    weights = np.exp(-rho * values**2)
    return weights / weights.sum(), np.exp(-rho * (values - 1) ** 2) / weights.sum()


@settings(max_examples=40, deadline=None)
@given(rho=st.floats(0.001, 10), part=st.floats(0, 1))
def test_the_curve_is_that_of_the_worst_coset(rho: float, part: float) -> None:
    """At every ε: no coset of 400 is above it, and the worst of them is hardly below."""
    epsilon = part * (rho + 5 * math.sqrt(2 * rho))
    (stated,) = gaussian_curve(rho, np.array([epsilon]))
    found = []
    for offset in np.arange(400) / 400:
        without, having = coset(rho, float(offset))
        found.append(np.maximum(having - math.exp(epsilon) * without, 0).sum())
    assert max(found) - 1e-13 <= stated <= max(found) + 1e-4 * min(1.0, rho) + 1e-8


@pytest.mark.parametrize("rho", [0.01, 0.1, 0.5, 2.0, 20.0])
def test_one_draw_is_the_worst_of_its_loss(rho: float) -> None:
    """A single loss has the distance that tables chosen beforehand have at most."""
    assert lattice_distance(rho) <= turned("zcdp", rho) <= lattice_distance(rho) + 1e-5


@pytest.mark.parametrize(
    ("case", "currency", "losses"),
    [
        ("a count and a sum", "zcdp", (0.05, 0.05)),
        ("three rollups at ρ = 0.1", "zcdp", (0.06, 0.03, 0.01)),
        ("customers and energy", "pure", (0.125, 0.375)),
    ],
)
def test_others_compute_hardly_less(case: str, currency: str, losses: tuple[float, ...]) -> None:
    """dp-accounting's law of draws that were all chosen beforehand is not above what is stated for draws of these
    losses chosen in turn, which is two thousandths above it at most for ρ, and that of the larger of two ε."""
    low, high = json.loads(FILE.read_text("utf-8"))[case]
    stated = turned(currency, *losses)
    assert low <= stated
    assert stated <= (high + 0.002 if currency == "zcdp" else math.tanh(max(losses) / 2) + 1e-6)


@settings(max_examples=30, deadline=None)
@given(rhos=st.lists(st.floats(0.02, 1), min_size=2, max_size=2), seed=st.integers(0, 10**6))
def test_an_adversary_who_chooses_gains_no_more(rhos: list[float], seed: int) -> None:
    """After each outcome of a first count, the tables that help most are drawn, of many with the second loss: their
    distance, every outcome counted, is not above what is stated."""
    first, second = sorted(rhos)
    source = np.random.default_rng(seed)
    choices = [coset(second, offset) for offset in (0.0, 0.5, *source.uniform(0, 1, 30).tolist())]
    total = 0.0
    for without, having in zip(*coset(first, 0.0), strict=True):
        total += max(float(np.abs(having * q - without * p).sum()) for p, q in choices) / 2
    assert total <= turned("zcdp", first, second) + 1e-9
    kept = composed((Shift(G, 1 / math.sqrt(2 * first), 1), Shift(G, 1 / math.sqrt(2 * second), 1))).distance
    assert kept <= turned("zcdp", first, second) + 1e-6


def test_choosing_helps_an_adversary() -> None:
    """Why the law of the tables that were chosen is not enough: whoever chooses them by the first outcome does better
    than with any one choice."""
    choices = [coset(1.0, offset) for offset in np.arange(20) / 20]
    first = list(zip(*coset(0.5, 0.0), strict=True))

    def distance(used: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
        used = list(used)
        return sum(max(float(np.abs(b * q - a * p).sum()) for p, q in used) / 2 for a, b in first)

    assert distance(choices) > max(distance([each]) for each in choices) + 1e-3
    assert distance(choices) <= turned("zcdp", 0.5, 1.0)


@settings(max_examples=30, deadline=None)
@given(rhos=st.lists(st.floats(0.01, 1), min_size=2, max_size=2), seed=st.integers(0, 10**6))
def test_losses_reach_the_tail_as_rarely_as_said(rhos: list[float], seed: int) -> None:
    """Whatever second tables are drawn after each first outcome, both losses together pass it no more often."""
    tail, chance = tail_in_turn(tuple(rhos), 1e-3), 0.0
    choices = [coset(rhos[1], offset) for offset in np.random.default_rng(seed).uniform(0, 1, 30).tolist()]
    for without, having in zip(*coset(rhos[0], 0.0), strict=True):
        beyond = (float(q[having * q > math.exp(tail) * without * p].sum()) for p, q in choices)
        chance += float(having) * max(beyond)
    assert chance <= 1e-3
    assert tail_in_turn(tuple(rhos), ONE_IN_A_MILLION) >= lattice_tail(max(rhos), ONE_IN_A_MILLION)


def tuned(made: GuaranteeInputs, loss: Fraction, **more: bool) -> GuaranteeInputs:
    """The same after a measurement for its bounds, of its own windows."""
    spent = WindowSpending(loss, Fraction(0))
    entries = (Tuning(3, made.period, loss, made.charge.blocks),)
    known = {"redefined": False, "one_definition": True} | more
    most = WindowSpending(made.loss + loss, made.delta)
    return replace(made, earlier=spent, edited=spent, dataset_spent=most, tunings=entries, **known)


@pytest.mark.parametrize("made", [rollups, utility])
def test_a_tuned_dataset_states_the_law_of_both_draws(made: object) -> None:
    """Of the release, the dataset and a household; each above the release alone and below what the losses imply."""
    alone = made()  # type: ignore[operator]
    loss, currency = Fraction(1, 100), alone.account.currency
    both = tuned(alone, loss)
    for units, guess in ((1, right_guess_here(both)), (2, right_guess_here(both, 2))):
        drawn = odds.group(both.drawn.loss, currency, units)
        assert right_guess_here(alone, units) <= guess < odds.guess_bound(drawn, currency)
    assert right_guess_here(both) == odds.of_distance(turned(currency, 0.01, float(alone.loss)))
    assert composition.in_this_dataset(both, 1).guess_bound == right_guess_here(both)
    household = composition.household_in_this_dataset(both, 5)
    assert household.guess_bound < odds.guess_bound(household.loss, currency)
    months = composition.in_this_dataset(both, 3)
    assert right_guess_here(both) < months.guess_bound < odds.guess_bound(months.loss, currency)
    assert belief_here(alone) <= belief_here(both) <= odds.posterior_bound(both.drawn.loss, currency)
    assert currency == "pure" or belief_here(both) < odds.posterior_bound(both.drawn.loss, currency)


def test_what_else_was_drawn_is_counted_by_its_loss() -> None:
    """Releases of earlier definitions, or dates that were read otherwise: the odds are those of all losses."""
    made = tuned(rollups(), Fraction(1, 100), redefined=True, one_definition=False)
    assert right_guess_here(made) == odds.guess_bound(made.drawn.loss, "zcdp")
    dataset = composition.in_this_dataset(made, 1)
    assert dataset.guess_bound == odds.guess_bound(dataset.loss, "zcdp")
    amended = replace(tuned(rollups(), Fraction(1, 100)), decisions=(Decision("amendment", "2026-01-31", "zone"),))
    dataset = composition.in_this_dataset(amended, 1)
    assert dataset.guess_bound == odds.guess_bound(dataset.loss, "zcdp")


def test_losses_too_large_for_it_are_said_by_the_loss_alone() -> None:
    """Nothing is stated below what is proved."""
    made = tuned(facts(privacy("record", "day", "500"), {}, "2024-03"), Fraction(200))
    assert right_guess_here(made) == odds.guess_bound(made.drawn.loss, "zcdp")
    assert tail_in_turn((0.1, 200.0), ONE_IN_A_MILLION) == math.inf
