"""Bounds proposed from noisy histograms: right where there is something to see, silent where there is only noise."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from math import sqrt
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from publisher.privacy.mechanism import mechanism_for, with_noise
from publisher.privacy.sensitivity import Sensitivity
from publisher.privacy.tuning import NoisyHistogram, bound_tops, candidates, proposal, spread_of, total_tops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from small_town import Town

    from publisher.definitions.dataset import Dataset

CURRENCIES: list[tuple[Literal["zcdp", "pure"], str]] = [("zcdp", "0.01"), ("pure", "0.2")]
TOPS = bound_tops(100)


def noisy(
    counts: Sequence[int],
    tops: tuple[int, ...] = TOPS,
    quantity: Literal["cells", "records", "total"] = "cells",
    currency: Literal["zcdp", "pure"] = "zcdp",
    loss: str = "0.01",
) -> NoisyHistogram:
    """The counts, empty bins after them, with OpenDP's noise."""
    size = (len(tops) + 1) * (2 if quantity == "total" else 1)
    exact = np.zeros(size, dtype=np.int64)
    exact[: len(counts)] = counts
    noise = mechanism_for("x", currency, Sensitivity(1, 1), Fraction(loss), sampler="opendp")
    return NoisyHistogram(
        quantity=quantity,
        measure="paid" if quantity == "total" else "",
        tops=tops,
        counts=tuple(with_noise(exact, noise).tolist()),
        mechanism=noise.kind,
        scale=noise.scale,
        loss=loss,
    )


def noiseless(values: Sequence[int], tops: tuple[int, ...], quantity: Literal["cells", "total"]) -> NoisyHistogram:
    """Invented values sorted into the bins, with a noise that is next to nothing."""
    counts = [0] * (len(tops) + 1) * (2 if quantity == "total" else 1)
    for value in values:
        counts[sum(top < abs(value) for top in tops) + (len(tops) + 1 if value < 0 else 0)] += 1
    measure = "paid" if quantity == "total" else ""
    return NoisyHistogram(
        quantity=quantity, measure=measure, tops=tops, counts=tuple(counts), mechanism="discrete gaussian",
        scale=0.01, loss="1000",
    )  # fmt: skip


def people(town: Town, k: int = 1, c: int = 1) -> Dataset:
    """A dataset of people with a count, a count of units and a sum, at ρ = 0.3 a release."""
    measures = (town.COUNT, town.UNITS, town.SUM)
    return town.people("month", k, c, measures=measures, loss={"rho": Decimal("0.3")}).dataset_file().definition


def test_bins_are_public_and_rise() -> None:
    """1, 2, 3, 4, then halves of powers of two up to the largest; totals go 1, 2, 5, 10 from zero."""
    assert bound_tops(20) == (1, 2, 3, 4, 6, 8, 12, 16, 20)
    assert [bound_tops(most) for most in (1, 2, 5)] == [(1,), (1, 2), (1, 2, 3, 4, 5)]
    assert total_tops(60) == (0, 1, 2, 5, 10, 20, 50)
    assert total_tops(10**11)[-1] == 10**11
    assert len(total_tops(10**11)) == 35


@pytest.mark.parametrize(("currency", "loss"), CURRENCIES)
def test_known_bounds_are_found_again(currency: Literal["zcdp", "pure"], loss: str) -> None:
    """Of 100,000 units of which 96 in 100 have at most three cells, the proposal is 3 in every draw; for 99 it is 6. It
    fails a sound proposal once in a billion runs (the noise must move ten standard deviations), and finds a share that
    is read off the wrong bin."""
    shares = (60_000, 25_000, 11_000, 1_500, 1_800, 700)
    for _ in range(10):
        drawn = noisy(shares, currency=currency, loss=loss)
        assert proposal((drawn,), 0.95).max_groups == 3
        assert proposal((drawn,), 0.99).max_groups == 6


@pytest.mark.parametrize(("currency", "loss"), CURRENCIES)
def test_empty_tails_propose_nothing(currency: Literal["zcdp", "pure"], loss: str) -> None:
    """Twenty thousand units that have one cell each: noise in the empty bins never raises the bound. It fails a sound
    proposal once in ten million runs, and finds one that takes noise for units."""
    assert all(proposal((noisy((20_000,), currency=currency, loss=loss),), 0.99).max_groups == 1 for _ in range(40))


def test_empty_bins_are_seldom_taken_for_full() -> None:
    """Noise alone reaches beyond the last bin in fewer than one draw in twenty. A sound spread fails once in five
    million runs at the most; one that takes every bin above zero as full reaches beyond in nearly all draws."""
    beyond = [spread for _ in range(60) if (spread := spread_of(noisy((20_000,)))) and len(spread.counts) > 1]
    assert len(beyond) <= 14


def test_what_lies_thinly_in_the_tail_is_seen() -> None:
    """Bins that are each within the noise are told from empty ones together: in nineteen draws of twenty. It fails a
    sound spread once in ten million runs, and finds one that looks at each bin alone."""
    seen = [spread_of(noisy((5_000, 0, 0, 0, *[12] * 8))) for _ in range(40)]  # of a noise of 7 in each bin
    assert sum(spread is not None and len(spread.counts) > 4 for spread in seen) >= 28


def test_too_few_units_are_hidden() -> None:
    """Where the noise hides every unit nothing is proposed, and the bounds as they are stand alone. It fails a sound
    spread once in three million runs at the most (silent in nineteen draws of twenty), and finds one that proposes from
    noise."""
    hidden = [noisy((3,), loss="0.0001") for _ in range(40)]
    silent = [each for each in hidden if spread_of(each) is None]
    assert len(silent) >= 28
    assert proposal((silent[0],), 0.95).max_groups is None


def test_clamps_are_symmetric_only_where_totals_below_zero_are_found() -> None:
    """No total below zero: lower is 0, but for the chance of one in twenty. Many: both clamps alike.
    It fails a sound proposal once in a billion runs, and finds a sign that is not looked at."""
    tops = total_tops(1000)
    high = [0] * (len(tops) + 1)
    high[tops.index(50)] = 30_000
    found = [proposal((noisy(high, tops, "total"),), 0.95).clamps("paid") for _ in range(20)]
    assert set(found) <= {(0, 50), (-50, 50)}
    assert found.count((0, 50)) >= 11  # fewer by chance once in a billion
    low = [0] * (len(tops) + 1)
    low[tops.index(200)] = 10_000
    assert {proposal((noisy(high + low, tops, "total"),), 0.95).clamps("paid") for _ in range(20)} == {(-200, 200)}


@pytest.mark.parametrize("bound", [1, 2, 3, 5, 7, 12, 50, 90])
def test_the_loss_lies_between_its_ends(bound: int) -> None:
    """Whatever units have within their bins, the share that a bound cuts off lies in the range stated; also between
    tops."""
    source = random.Random(bound)
    for _ in range(20):
        values = [min(round(source.paretovariate(1)), 90) for _ in range(400)]
        spread = spread_of(noiseless(values, TOPS, "cells"))
        assert spread is not None
        low, high = spread.lost(bound)
        true = sum(max(value - bound, 0) for value in values) / sum(values)
        assert low - 1e-9 <= true <= high + 1e-9
        assert spread.within(bound) <= sum(value <= bound for value in values) / len(values) + 1e-9


def test_what_lies_above_the_last_bin_may_lose_everything() -> None:
    """The last bin is open: the bias has no upper end below all of it, and the spread says that it does not end."""
    spread = spread_of(noiseless([0, 5, 5000], (0, 10, 100), "total"))
    assert spread is not None
    assert (spread.ends, spread.most, spread.lost(100)[1]) == (False, None, 1.0)


def test_the_low_end_is_below_the_estimate() -> None:
    """The share that decides is the estimate less what the noise of the bins above could have hidden."""
    spread = spread_of(noisy((5_000, 300, 200, 100)))
    assert spread is not None
    assert spread.within_at_least(1) < spread.within(1) < 1
    assert spread.within_at_least(1) == pytest.approx(
        spread.within(1) - spread.margin * sqrt(len(spread.counts) - 1) / spread.units
    )


def test_candidates_state_the_noise_of_the_dataset(town: Town) -> None:
    """The noise of each is Δ₂/√(2ρ) with Δ₂ = √k·c or √k·M at the measure's own loss; one is proposed, one is now."""
    found = (
        noiseless([1] * 700 + [2] * 250 + [3] * 50, TOPS, "cells"),
        noiseless([1] * 900 + [5] * 100, TOPS, "cells").model_copy(update={"quantity": "records"}),
        noiseless([10] * 999 + [20], total_tops(1000), "total"),
    )
    proposed, dataset = proposal(found, 0.95), people(town, k=1, c=4)
    assert (proposed.max_groups, proposed.max_per_group, proposed.clamps("paid")) == (2, 6, (0, 10))
    for measure in dataset.measured:
        rows = list(candidates(proposed, dataset, measure))
        for row in rows:
            expected = sqrt(row.max_groups) * (row.amount or 1) / sqrt(2 * 0.1)
            assert row.noise == pytest.approx(expected, rel=1e-3)
        marked = [(row.max_groups, row.amount) for row in rows if row.proposed]
        current = [(row.max_groups, row.amount) for row in rows if row.current]
        wanted: dict[str, Any] = {
            "requests": ((2, 6), (1, 4)),
            "people": ((2, None), (1, None)),
            "paid": ((2, 10), (1, 7)),
        }
        assert (marked, current) == ([wanted[measure.name][0]], [wanted[measure.name][1]])


def test_the_bias_of_a_count_of_units_is_exact(town: Town) -> None:
    """Bins of one number each leave no range: with k = 1 the cells beyond the first are lost, no more and no less."""
    proposed = proposal((noiseless([1] * 700 + [2] * 250 + [3] * 50, TOPS, "cells"),), 0.95)
    dataset = people(town)
    units = next(each for each in dataset.measured if each.kind == "count_units")
    first = next(row for row in candidates(proposed, dataset, units) if row.max_groups == 1)
    assert first.bias == pytest.approx((350 / 1350, 350 / 1350))
    assert first.even == pytest.approx(first.noise / (350 / 1350))


def test_without_a_measurement_nothing_is_claimed(town: Town) -> None:
    """Where the noise hid everything, the one row is that of today, without shares and without bias."""
    dataset = people(town)
    (row,) = candidates(proposal((), 0.95), dataset, dataset.measured[0])
    assert (row.within_groups, row.within_amount, row.bias, row.even) == (None, None, None, None)
    assert (row.proposed, row.current) == (False, True)


def test_the_loss_given_the_noise_holds_in_95_of_100_draws() -> None:
    """Bins of one number each leave only the noise: the range contains the true share that is lost in at least 95% of
    draws, also of 400 (352 or more, or a sound range fails once in ten million runs). Without the noise it never would,
    and without the units that noise hides it would in fewer than three of four."""
    shares = (600, 250, 110, 40)
    true = sum(units * max(cells - 1, 0) for cells, units in enumerate(shares, 1)) / sum(
        units * cells for cells, units in enumerate(shares, 1)
    )
    spreads = [spread for _ in range(400) if (spread := spread_of(noisy(shares, loss="0.005"))) is not None]
    ranges = [spread.lost_given_noise(1) for spread in spreads]
    assert sum(low <= true <= high for low, high in ranges) >= 352
    for spread, (low, high) in zip(spreads, ranges, strict=True):
        least, most = spread.lost(1)
        assert low <= least <= most <= high  # both ends of a share can be all of it
        assert high - low > most - least
