"""Margins cover what they say, hold the value they stand beside, and nothing is decided on exact numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from forests import grid_of_size
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.definitions.levels import Level
from publisher.grades import LIMITS, STATUSES, SUPPRESSED, UNRELIABLE
from publisher.privacy.distribution import Noise
from publisher.privacy.finish import finish
from publisher.privacy.margins import WIDE, half_width
from publisher.privacy.mechanism import add_noise, mechanism_for
from publisher.privacy.sensitivity import Sensitivity, sensitivity_of
from publisher.stages import BoundedAggregate, Mechanism, NoisyTable

if TYPE_CHECKING:
    from small_town import Town

    from publisher.definitions.dataset import Dataset
    from publisher.stages import FinishedMeasure, FinishedTable, Floats, Integers

Kind = Literal["discrete gaussian", "discrete laplace"]
KINDS: tuple[Kind, ...] = ("discrete gaussian", "discrete laplace")
SCALES = (0.05, 0.3, 0.7, 1.0, 2.236, 3.3, 10.0, 47.1, 500.0)


def noise(kind: Kind, scale: float, measure: str = "requests") -> Mechanism:
    return Mechanism(measure, kind, scale, "", Fraction(1), "")


def tails(kind: Kind, scale: float) -> Floats:
    """P(|noise| > q) for q = 0, 1, 2 …, from the sum over the whole distribution."""
    reach = np.arange(math.ceil(40 * scale) + 3, dtype=np.float64)
    logs = -(reach**2) / (2 * scale**2) if kind == "discrete gaussian" else -reach / scale
    weights = np.exp(logs) * np.where(reach > 0, 2, 1)
    beyond: Floats = 1 - np.cumsum(weights) / math.fsum(weights)
    return beyond


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", SCALES)
def test_half_widths_are_the_exact_quantiles(kind: Kind, scale: float) -> None:
    """The half width is the smallest whole number whose tail is at most what the confidence leaves."""
    beyond = tails(kind, scale)
    for confidence in (0.5, 0.9, 0.95, 0.975, 0.999):
        q = half_width(noise(kind, scale), confidence)
        assert beyond[q] <= 1 - confidence + 1e-9
        assert q == 0 or beyond[q - 1] > 1 - confidence - 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_wide_noise_has_the_continuous_quantile(kind: Kind) -> None:
    """At scales of thousands the exact and the quick way differ by at most one step."""
    for scale in (WIDE - 0.5, WIDE, 10 * WIDE):
        beyond = tails(kind, scale)
        exact = int(np.argmax(beyond <= 0.05))
        assert abs(half_width(noise(kind, scale), 0.95) - exact) <= 1


def definition(town: Town, *measures: dict[str, Any], **suppression: Any) -> Dataset:
    rule = {"measure": "requests", "threshold": 0} | suppression
    return replace(town, dataset={"measures": measures, "suppression": rule}).dataset_file().definition


def noisy(dataset: Dataset, kind: Kind, tables: dict[str, Any], scale: float | None = None) -> NoisyTable:
    """Tables as they would come from the mechanism, on one level."""
    currency: Literal["zcdp", "pure"] = "zcdp" if kind == "discrete gaussian" else "pure"
    mechanisms = []
    for each in dataset.measured:
        if scale is not None:
            mechanisms.append(noise(kind, scale, each.name))
        else:
            loss = Fraction(1, 20) if currency == "zcdp" else Fraction(1, 4)
            mechanisms.append(mechanism_for(each.name, currency, sensitivity_of(each, dataset.bounds), loss))
    arrays = {("", name): np.asarray(table, dtype=np.int64) for name, table in tables.items()}
    widths = {each.name: each.width for each in dataset.measured}
    cells = next(table.size // widths[name] for (_, name), table in arrays.items())
    level = Level("", grid_of_size(cells), Fraction(1), np.arange(cells))
    return NoisyTable((level,), arrays, tuple(mechanisms))


def drawn(dataset: Dataset, kind: Kind, truth: dict[str, Integers]) -> NoisyTable:
    empty = noisy(dataset, kind, truth)
    exact = BoundedAggregate(empty.levels, empty.tables)
    return add_noise(exact, empty.mechanisms)


def finished_table(noisy: NoisyTable, dataset: Dataset) -> FinishedTable:
    (table,) = finish(noisy, dataset)
    assert (table.level, table.grid) == ("", noisy.levels[0].grid)
    return table


def covered(measure: FinishedMeasure, truth: Floats) -> float:
    known = ~np.isnan(truth) & ~np.isnan(measure.low)
    inside = (measure.low - 1e-9 <= truth) & (truth <= measure.high + 1e-9)
    return float(inside[known].mean())


def test_sums_of_measurements_are_right_and_sums_of_published_cells_are_not(town: Town) -> None:
    """900 cells with 1,200 records: over 200 draws the sum of the measurements is right on average, and within its
    margin 95 times in 100; the sum of published cells, which are cut at zero, is 700 too high. A sound sum fails once
    in ten million runs."""
    truth = np.repeat([0, 1, 2, 5], [300, 300, 200, 100])
    dataset = definition(town, town.COUNT)
    measured, published = [], []
    for _ in range(200):
        made = drawn(dataset, "discrete gaussian", {"requests": truth})
        measured.append(int(made.tables["", "requests"].sum()))
        published.append(float(np.nansum(finished_table(made, dataset).measures[0].value)))
    deviation = (Noise(((made.mechanisms[0].kind, made.mechanisms[0].scale),)).variance * len(truth)) ** 0.5
    off = np.array(measured) - int(truth.sum())
    assert abs(off.mean()) <= 5.3 * deviation / 200**0.5
    assert (np.abs(off) <= 1.96 * deviation).mean() >= 0.95 - 5.3 * (0.0475 / 200) ** 0.5
    assert np.mean(published) - int(truth.sum()) > 600


@pytest.mark.parametrize("kind", KINDS)
def test_margins_cover_the_truth(town: Town, kind: Kind) -> None:
    """Over 60,000 cells the margins of counts, sums and means hold the truth in at least 94.5 %, empty cells too. Sound
    margins fail once in ten million runs (95 % less 5.6 standard errors); half widths that are a twentieth too narrow,
    which hold 93.8 %, are found."""
    source, cells = np.random.default_rng(8), 60_000
    counts = source.choice([0, 0, 1, 3, 20, 200], cells)
    sums = np.where(counts > 0, (counts * source.uniform(0, 7, cells)).astype(np.int64), 0)
    signed = source.integers(-400, 400, cells)
    dataset = definition(
        town,
        town.COUNT,
        town.SUM | {"lower": Decimal(0)},
        town.SUM | {"name": "signed"},
        town.MEAN,
    )
    finished = finished_table(drawn(dataset, kind, {"requests": counts, "paid": sums, "signed": signed}), dataset)
    found = {each.name: each for each in finished.measures}
    with np.errstate(invalid="ignore"):
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    assert covered(found["requests"], counts.astype(np.float64)) >= 0.945
    assert covered(found["paid"], sums.astype(np.float64)) >= 0.945
    assert covered(found["signed"], signed.astype(np.float64)) >= 0.945
    assert covered(found["mean_paid"], means) >= 0.945
    assert not finished.suppressed.any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1.7, 12.0, 3_000.0])
def test_margins_are_not_wider_than_they_must_be(town: Town, kind: Kind, scale: float) -> None:
    """Away from zero a margin is at most 1.1 times the exact quantile, and a whole step more."""
    dataset = definition(town, town.COUNT)
    count = finished_table(noisy(dataset, kind, {"requests": [10**6]}, scale), dataset).measures[0]
    exact = int(np.argmax(tails(kind, scale) <= 0.05))
    assert (count.high - count.low)[0] / 2 <= 1.1 * exact + 1


NOISY = st.lists(st.integers(-300, 300) | st.integers(-(10**12), 10**12), min_size=1, max_size=30)


@settings(max_examples=80, deadline=None)
@given(
    counts=NOISY,
    kind=st.sampled_from(KINDS),
    scale=st.sampled_from([0.2, 1.3, 5.0, 40.0, 700.5]),
    seed=st.integers(0, 9),
)
def test_the_margin_holds_the_value(town: Town, counts: list[int], kind: Kind, scale: float, seed: int) -> None:
    """Every published value lies in its margin; what cannot be negative is not, and a mean keeps within the clamps."""
    sums = [(each * 7 + seed * 11) % 901 - 300 for each in counts]
    for lower in (Decimal(0), Decimal(-3)):
        dataset = definition(town, town.COUNT, town.SUM | {"lower": lower}, town.MEAN)
        finished = finished_table(noisy(dataset, kind, {"requests": counts, "paid": sums}, scale), dataset)
        for each in finished.measures:
            known = ~np.isnan(each.value)
            assert (each.low[known] <= each.value[known]).all()
            assert (each.value[known] <= each.high[known]).all()
            assert (np.isnan(each.low) == np.isnan(each.value)).all()
            if each.name == "requests" or lower == 0:
                assert (each.low[known] >= 0).all()
        mean = finished.measures[2]
        assert (mean.high[~np.isnan(mean.high)] <= 7).all()
        assert (np.isnan(mean.value) <= mean.has(UNRELIABLE)).all()


def test_suppression_reads_the_noisy_value(town: Town) -> None:
    """A cell is withheld when its noisy count is below the threshold, and then value, margins and status are empty."""
    dataset = definition(town, town.COUNT, town.SUM, town.MEAN, threshold=5)
    made = noisy(dataset, "discrete gaussian", {"requests": [-3, 0, 4, 5, 6, 900], "paid": [9, 9, 9, 9, 9, 9]}, 0.9)
    finished = finished_table(made, dataset)
    assert finished.suppressed.tolist() == [True, True, True, False, False, False]
    for each in finished.measures:
        for column in (each.value, each.low, each.high):
            assert np.isnan(column).tolist() == [True, True, True, False, False, False]
        assert each.has(SUPPRESSED).tolist() == finished.suppressed.tolist()
        assert np.isnan(each.percent[:3]).all()


def test_finishing_is_a_function_of_the_noisy_tables(town: Town) -> None:
    """The same noisy values finish the same way whatever the truth was: no exact number is there to be read."""
    dataset = definition(town, town.COUNT, threshold=5)
    table = noisy(dataset, "discrete gaussian", {"requests": [1, 50, 7]}, 2.0)
    first, second = (
        finished_table(table, dataset),
        finished_table(replace(table, tables={("", "requests"): table.tables["", "requests"].copy()}), dataset),
    )
    assert first.suppressed.tolist() == second.suppressed.tolist()
    assert first.measures[0].value.tolist()[1:] == second.measures[0].value.tolist()[1:] == [50.0, 7.0]


def test_margins_decide_the_grade(town: Town) -> None:
    """Half a margin of up to 33% of the value is ok, up to 65% is caution, and more is unreliable, like a zero,
    also where all of its margin was cut; a number in which there is no noise is ok."""
    dataset = definition(town, town.COUNT)
    width = half_width(noise("discrete gaussian", 100.0), 0.95)
    least = [-(-100 * width // limit) for limit in LIMITS]
    counts = [10**6, least[0], least[0] - 1, least[1], least[1] - 1, 0, -width - 1]
    count = finished_table(noisy(dataset, "discrete gaussian", {"requests": counts}, 100.0), dataset).measures[0]
    statuses = [STATUSES[each] for each in count.graded]
    assert statuses == ["ok", "ok", "caution", "caution", "unreliable", "unreliable", "unreliable"]
    assert (count.value[6], count.low[6], count.high[6]) == (0, 0, 0)  # all of its margin was below zero, and was cut
    assert count.percent[:5].tolist() == [1, LIMITS[0], LIMITS[0] + 1, LIMITS[1], LIMITS[1] + 1]
    assert np.isnan(count.percent[5:]).all()
    still = finished_table(noisy(dataset, "discrete gaussian", {"requests": [0, 7]}, 0.1), dataset).measures[0]
    assert [STATUSES[each] for each in still.graded] == ["ok", "ok"]  # in 95% of cases there is no noise in them


def test_a_mean_of_too_few_is_unreliable(town: Town) -> None:
    """Where the count's low end reaches zero a mean is unreliable, and below one record it is empty."""
    dataset = definition(town, town.COUNT, town.SUM, town.MEAN)
    width = half_width(noise("discrete gaussian", 3.0), 0.95)
    # At the upper clamp the margin is narrow however few the records are, so it does not grade them.
    made = noisy(dataset, "discrete gaussian", {"requests": [width, width + 1, 0, -4], "paid": [90, 90, 90, 90]}, 3.0)
    mean = finished_table(made, dataset).measures[2]
    assert mean.has(UNRELIABLE).tolist() == [True, False, True, True]
    assert np.isnan(mean.value).tolist() == [False, False, True, True]


def test_unpublished_tables_serve_the_mean_alone(town: Town) -> None:
    """A sum with publish = false is used for the mean and is not among the published measures."""
    dataset = definition(town, town.COUNT, town.SUM | {"publish": False}, town.MEAN)
    made = noisy(dataset, "discrete gaussian", {"requests": [100], "paid": [300]}, 1.0)
    finished = finished_table(made, dataset)
    assert [each.name for each in finished.measures] == ["requests", "mean_paid"]
    assert finished.measures[1].value.tolist() == [3.0]


def test_sums_are_given_in_their_unit(town: Town) -> None:
    """Steps times the resolution: value and margins of a sum in half dollars are dollars."""
    dataset = definition(town, town.COUNT, town.SUM | {"resolution": Decimal("0.5")})
    made = noisy(dataset, "discrete laplace", {"requests": [100], "paid": [200]}, 4.0)
    paid, width = finished_table(made, dataset).measures[1], half_width(noise("discrete laplace", 4.0), 0.95)
    assert (paid.value[0], paid.low[0], paid.high[0]) == (100.0, 100 - width / 2, 100 + width / 2)


def test_the_customer_rule(town: Town) -> None:
    """15/15: the count less its margin must reach 15, and the clamp be at most 15 % of the sum less its margin."""
    sums = town.SUM | {"lower": Decimal(0), "upper": Decimal(30)}
    dataset = definition(town, town.COUNT, sums, customers=15, largest_share=Decimal("0.15"))
    width = half_width(noise("discrete gaussian", 5.0), 0.95)
    counts = [15 + width - 1, 15 + width, 15 + width]
    totals = [10**6, 200 + width - 1, 200 + width]
    made = noisy(dataset, "discrete gaussian", {"requests": counts, "paid": totals}, 5.0)
    assert finished_table(made, dataset).suppressed.tolist() == [True, True, False]


def test_the_customer_rule_errs_rarely(town: Town) -> None:
    """A cell with 14 customers passes the rule in at most 2.5 % of draws. A sound rule fails once in a billion runs
    (six standard errors); one that compares without the margin passes two cells in five, and is found."""
    dataset = definition(town, town.COUNT, customers=15, largest_share=Decimal("0.15"))
    made = drawn(dataset, "discrete gaussian", {"requests": np.full(20_000, 14, dtype=np.int64)})
    passed = 1 - finished_table(made, dataset).suppressed.mean()
    assert passed <= 0.025 + 6 * math.sqrt(0.025 / 20_000)


def test_mechanisms_of_the_sensitivity_give_these_margins() -> None:
    """ρ = 0.1 on a record means σ = √5, so a count's margin is ± 4."""
    made = mechanism_for("requests", "zcdp", Sensitivity(1, 1), Fraction(1, 10))
    assert made.scale == pytest.approx(math.sqrt(5), rel=1e-6)
    assert half_width(made, 0.95) == 4
