"""The distance of a draw's two laws: never below what is exact, hardly above it, and as others compute it."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_losses import CASES, FILE

from publisher.privacy.sampler import draw
from publisher.release.loss_distribution import Kind, Shift, composed, lattice_distance, lattice_tail

SCALES = st.floats(0.3, 3)
KINDS = st.sampled_from(["discrete gaussian", "discrete laplace"])


def mass(kind: Kind, scale: float, reach: int) -> list[float]:
    """The noise's probabilities on ± reach."""
    weights = [
        math.exp(-abs(x) / scale) if kind == "discrete laplace" else math.exp(-x * x / (2 * scale**2))
        for x in range(-reach, reach + 1)
    ]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def outcomes(shifts: tuple[Shift, ...]) -> list[tuple[float, float]]:
    """(probability without the unit, with it) of every outcome, cell by cell."""
    found = [(1.0, 1.0)]
    for each in shifts:
        reach = math.ceil((38 if each.kind == "discrete laplace" else 9) * each.scale) + each.steps
        law = mass(each.kind, each.scale, reach)
        cell = [(p, law[n - each.steps] if n >= each.steps else 0.0) for n, p in enumerate(law)]
        for _ in range(each.cells):
            found = [(p * a, q * b) for (p, q), (a, b) in itertools.product(found, cell) if p * a + q * b > 1e-16]
    return found


def distance(shifts: tuple[Shift, ...]) -> float:
    """Half the sum of all differences."""
    return math.fsum(abs(p - q) for p, q in outcomes(shifts)) / 2


@pytest.mark.parametrize("case", CASES)
def test_others_compute_the_same(case: str) -> None:
    """Within a hundred-thousandth of dp-accounting's upper bound, and never below its lower bound."""
    low, high = json.loads(FILE.read_text("utf-8"))[case]
    assert low <= composed(CASES[case]).distance <= high + 1e-5


@settings(max_examples=60, deadline=None)
@given(kind=KINDS, scales=st.lists(SCALES, min_size=1, max_size=2), steps=st.integers(1, 3))
def test_never_below_every_outcome_counted(kind: Kind, scales: list[float], steps: int) -> None:
    """Up to two cells, each outcome counted: at or above the sum, by less than half a step of the grid."""
    shifts = tuple(Shift(kind, scale, steps) for scale in scales)
    made = composed(shifts)
    assert -1e-11 <= made.distance - distance(shifts) <= made.step / 2


@settings(max_examples=60, deadline=None)
@given(kind=KINDS, scale=st.floats(0.3, 50_000), steps=st.integers(1, 1_000), cells=st.integers(1, 50))
def test_a_larger_move_is_easier_to_see(kind: Kind, scale: float, steps: int, cells: int) -> None:
    """One more step or one more cell never lowers the distance."""
    least = composed((Shift(kind, scale, steps, cells),)).distance
    assert composed((Shift(kind, scale, steps + 1, cells),)).distance >= least - 1e-9
    assert composed((Shift(kind, scale, steps, cells + 1),)).distance >= least - 1e-9


@pytest.mark.parametrize("kind", ["discrete gaussian", "discrete laplace"])
def test_wide_noise_is_the_limit(kind: Kind) -> None:
    """A sum of a million steps: the continuous law's distance, at most by a ten-thousandth above it."""
    limit = math.erf(1 / (2 * math.sqrt(2))) if kind == "discrete gaussian" else 1 - math.exp(-1 / 2)
    assert 0 <= composed((Shift(kind, 1e6, 10**6),)).distance - limit < 1e-4
    assert 0 <= composed((Shift(kind, 1e9, 10**9),)).distance - limit < 1e-4


@pytest.mark.parametrize("case", ["three rollups at ρ = 0.1", "four cells of three", "customers and energy"])
def test_the_best_guesser_is_not_better(case: str) -> None:
    """The likelihood ratio guesses on 200,000 real draws. A right bound fails this once in a million (Hoeffding)."""
    draws, shifts = 100_000, CASES[case]
    right = 0
    for present in (False, True):
        loss = np.zeros(draws)
        for each in shifts:
            noise = draw(each.kind, Fraction(round(each.scale * 2**12), 2**12), draws * each.cells)
            seen = noise.reshape(draws, each.cells) + (each.steps if present else 0)
            without, having = np.abs(seen), np.abs(seen - each.steps)
            ratio = (having - without) / each.scale
            if each.kind == "discrete gaussian":
                ratio = (having**2 - without**2) / (2 * each.scale**2)
            loss += ratio.sum(axis=1)
        right += int(((loss < 0) == present).sum())
    rate, slack = right / (2 * draws), math.sqrt(math.log(1e6) / (4 * draws))
    bound = (1 + composed(shifts).distance) / 2
    assert rate - slack <= bound
    assert rate + 2 * slack >= bound


@settings(max_examples=60, deadline=None)
@given(scales=st.lists(SCALES, min_size=1, max_size=2), moves=st.lists(st.integers(1, 3), min_size=2, max_size=2))
def test_no_moves_are_worse_than_their_loss(scales: list[float], moves: list[int]) -> None:
    """Whatever cells move and however far, the distance is at most that of one step with the same ρ."""
    shifts = tuple(Shift("discrete gaussian", scale, move) for scale, move in zip(scales, moves, strict=False))
    rho = sum(each.ratio**2 for each in shifts) / 2
    assert distance(shifts) <= lattice_distance(rho) + 1e-12


@pytest.mark.parametrize("rho", [1e-6, 0.001, 0.1, 0.5, 0.999, 1.0, 2.0, 5.0, 40.0, 1000.0])
def test_the_worst_is_attained(rho: float) -> None:
    """One cell that moves by one has the worst distance of its ρ; it rises with ρ and is below √(ρ/2)."""
    exact = mass("discrete gaussian", 1 / math.sqrt(2 * rho), math.ceil(9 / math.sqrt(2 * rho)) + 1)
    assert 0 <= lattice_distance(rho) - max(exact) < 1e-11
    assert lattice_distance(rho) <= min(1.0, math.sqrt(rho / 2))
    assert lattice_distance(rho * 0.99) <= lattice_distance(rho)


@settings(max_examples=60, deadline=None)
@given(scales=st.lists(SCALES, min_size=1, max_size=2), steps=st.integers(1, 2), chance=st.sampled_from([1e-6, 1e-3]))
def test_losses_beyond_the_tail_are_as_rare_as_said(scales: list[float], steps: int, chance: float) -> None:
    """The loss reaches the tail no more often than said, by every outcome counted."""
    shifts = tuple(Shift("discrete gaussian", scale, steps) for scale in scales)
    rho = sum(each.ratio**2 for each in shifts) / 2
    tail = lattice_tail(rho, chance)
    assert math.fsum(p for p, q in outcomes(shifts) if p > q * math.exp(tail)) <= chance


@pytest.mark.parametrize("rho", [0.001, 0.1, 0.5, 2.0])
def test_the_tail_is_near_the_gaussian_one(rho: float) -> None:
    """4.753 standard deviations above the mean, and at most one step of the loss beyond."""
    gaussian = rho + 4.7534 * math.sqrt(2 * rho)
    assert gaussian <= lattice_tail(rho, 1e-6) * 1.001 <= gaussian + 2 * rho + 0.01


def test_forty_tables_take_no_time() -> None:
    """A release of forty tables is computed once, and the second time it is remembered."""
    shifts = tuple(Shift("discrete gaussian", 5 + n / 7, 1) for n in range(40))
    assert composed(shifts) is composed(shifts)
