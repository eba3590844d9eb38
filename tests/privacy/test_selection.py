"""Keys that no public list names are shown only where enough units share them, at the loss and δ that are charged."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import pytest

from publisher.privacy.selection import select, selection_for

RHO, DELTA = Fraction(1, 10), Fraction(1, 10**6)
RARELY = Fraction(1, 10**10)
"""δ of tests that look at many keys at once."""


@pytest.mark.parametrize("groups", [1, 2, 7, 100])
@pytest.mark.parametrize(("loss", "delta"), [(RHO, DELTA), (Fraction(3, 7), Fraction(1, 10**9)), (Fraction(2), DELTA)])
def test_the_threshold_is_the_lowest_that_keeps_the_promise(groups: int, loss: Fraction, delta: Fraction) -> None:
    """A unit of `groups` keys costs at most ρ and δ by exact arithmetic, and a threshold lower by one would not."""
    made = selection_for(groups, loss, delta)
    assert groups / (2 * made.scale**2) <= float(loss) * (1 + 1e-9)
    assert made.scale <= math.sqrt(groups / (2 * float(loss))) * (1 + 1e-6)
    # A key of one unit is shown when noise ≥ threshold - 1; any of `groups` keys by the union of their chances.
    assert groups * tail(made.scale, made.threshold - 1) <= float(delta)
    assert groups * tail(made.scale, made.threshold - 2) > float(delta)


def tail(scale: float, least: int) -> float:
    """P(noise ≥ least) of the discrete Gaussian, summed up."""
    reach = range(-math.ceil(60 * scale), math.ceil(60 * scale) + 1)
    weights = {x: math.exp(-(x * x) / (2 * scale * scale)) for x in reach}
    return math.fsum(w for x, w in weights.items() if x >= least) / math.fsum(weights.values())


def test_rare_keys_stay_hidden_and_common_ones_are_shown() -> None:
    """Keys far above the threshold are shown, a key of one unit is not, and the order tells nothing. It fails a sound
    selection once in five million runs (2,000 keys, each at δ), and finds a threshold that is too low by eight."""
    made = selection_for(1, RHO, RARELY)
    common = {f"kind {n}": made.threshold + math.ceil(8 * made.scale) for n in range(50)}
    rare = {f"name {n}": 1 for n in range(2000)}
    assert select(rare | common, made) == tuple(sorted(common))
    assert select({}, made) == ()


def test_a_key_at_the_threshold_is_shown_half_the_time() -> None:
    """The decision is noisy: it is not the true count that decides. It fails a sound selection once in a hundred
    million runs, and finds one that has no noise, which shows all keys or none."""
    made = selection_for(1, RHO, DELTA)
    shown = len(select({str(n): made.threshold for n in range(1000)}, made))
    assert 380 < shown < 680  # P(noise ≥ 0) is 0.589, so 589 ± 16


def test_texts_that_look_alike_to_a_library_stay_apart() -> None:
    """A NUL does not end a key: one unit's odd text cannot take the count of another key. It fails a sound selection
    once in billions of runs, and finds keys that are compared by a part of their text."""
    made = selection_for(1, RHO, RARELY)
    many = made.threshold + math.ceil(9 * made.scale)
    counts = {"a": many, "a\0b": 1, "a\0": 1, "": many, "ä": many, "a\u0308": many, "z" * 10_000: many}
    assert select(counts, made) == tuple(sorted(key for key, count in counts.items() if count == many))


def test_the_ledger_can_keep_it() -> None:
    """What was chosen is said in JSON: OpenDP's constructor with its scale and threshold."""
    made = selection_for(2, RHO, DELTA)
    said = json.loads(made.serialized)
    assert said == {"measurement": "make_gaussian_threshold", "scale": made.scale, "threshold": made.threshold,
                    "groups": 2, "delta": "1/1000000"}  # fmt: skip
