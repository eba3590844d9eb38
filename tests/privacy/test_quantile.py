"""Quantiles are interpolated inside their bin, and name the bins that the noise cannot tell apart."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from forests import forest_from, levels_over

from publisher.grades import STATUSES, UNRELIABLE
from publisher.privacy.finish import finish
from publisher.privacy.sampler import draw, widened
from publisher.stages import Mechanism, NoisyTable

if TYPE_CHECKING:
    from small_town import Town

    from publisher.definitions.dataset import Dataset
    from publisher.definitions.levels import Level
    from publisher.stages import FinishedMeasure, Floats, Integers

Kind = Literal["discrete gaussian", "discrete laplace"]

EDGES = (0, 1, 3, 5, 10, 30)
HISTOGRAM: dict[str, Any] = {
    "name": "waits", "title": "Waits", "kind": "histogram", "unit": "days", "column": "amount",
    "bins": tuple(map(Decimal, EDGES)),
}  # fmt: skip
MEDIAN: dict[str, Any] = {
    "name": "median", "title": "Median", "kind": "quantile", "unit": "days", "histogram": "waits",
    "probability": Decimal("0.5"),
}  # fmt: skip


def definition(town: Town, probability: str = "0.5", step: int | None = None, **suppression: Any) -> Dataset:
    from dataclasses import replace

    asked = {"probability": Decimal(probability), "resolution": Decimal(step) if step else None}
    measures = (town.COUNT, HISTOGRAM, MEDIAN | asked)
    rule = {"measure": "requests", "threshold": 0} | suppression
    return replace(town, dataset={"measures": measures, "suppression": rule}).dataset_file().definition


def single(cells: int) -> tuple[Level, ...]:
    return levels_over(forest_from(roots=cells))


def noisy(
    levels: tuple[Level, ...], histograms: list[Any], kind: Kind = "discrete gaussian", scale: float = 1.0
) -> Any:
    """Histograms per level, (cells, bins); the counts are far above any threshold."""
    tables: dict[tuple[str, str], Integers] = {}
    for level, table in zip(levels, histograms, strict=True):
        tables[level.name, "waits"] = np.asarray(table, dtype=np.int64).ravel()
        tables[level.name, "requests"] = np.full(level.grid.size, 1000)
    mechanisms = [
        Mechanism(name, kind, scale, "", Fraction(1), "", level.name)
        for level in levels
        for name in ("requests", "waits")
    ]
    return NoisyTable(levels, tables, tuple(mechanisms))


def median(
    town: Town, *rows: list[int], probability: str = "0.5", step: int | None = None, **more: Any
) -> FinishedMeasure:
    found = finish(noisy(single(len(rows)), [rows], **more), definition(town, probability, step))[0]
    assert [each.name for each in found.measures] == ["requests", "median"]
    return found.measures[1]


def test_a_clear_quantile_is_one_bin(town: Town) -> None:
    """Where the noise leaves no doubt the margin is the bin; the value lies as far inside as the median is among the
    bin's records: 700 of all 1,400 are the 200 below it and 500 of its 900."""
    found = median(town, [100, 100, 900, 100, 100, 100])
    assert (found.value[0], found.low[0], found.high[0]) == (4.11, 3.0, 5.0)
    assert found.texts == ("3 to 5",)
    assert (found.percent[0], STATUSES[found.graded[0]]) == (25, "ok")


def test_whole_days_are_whole(town: Town) -> None:
    """Of days that come whole, the bin from 3 on ends at 4, and the one from 1 on at 2: half took at most that many. A
    bin of one day is that day, without any doubt."""
    rows = [100, 100, 900, 100, 100, 100], [50, 900, 100, 100, 100, 100], [900, 100, 0, 0, 0, 0]
    found = median(town, *rows, step=1)
    assert found.value.tolist() == [4.0, 2.0, 0.0]
    assert found.low.tolist() == [3.0, 1.0, 0.0]
    assert found.high.tolist() == [4.0, 2.0, 0.0]
    assert found.texts == ("3 to 4", "1 to 2", "0")
    assert [STATUSES[each] for each in found.graded] == ["ok", "ok", "ok"]


def counted(values: Floats | Integers) -> list[int]:
    """How many values are in each bin."""
    return [int(n) for n in np.histogram(values, bins=[*EDGES, np.inf])[0]]


@pytest.mark.parametrize("probability", ["0.25", "0.5", "0.9"])
@pytest.mark.parametrize("step", [None, 1])
def test_values_spread_evenly_give_the_exact_quantile(town: Town, probability: str, step: int | None) -> None:
    """If each bin's records are spread evenly over it, the value is that of the records, whole ones too: the smallest
    number that the asked share of them does not exceed."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        often = rng.integers(20, 400, size=5)
        spread = [
            np.repeat(np.arange(low, high), n) if step else low + (high - low) * (np.arange(4 * n) + 0.5) / (4 * n)
            for low, high, n in zip(EDGES[:-1], EDGES[1:], often, strict=True)
        ]
        values = np.concatenate(spread)
        exact = np.quantile(values, float(probability), method="inverted_cdf")
        found = median(town, counted(values), probability=probability, step=step, scale=0.05)
        assert abs(found.value[0] - exact) <= (0 if step else 0.07)


@pytest.mark.parametrize("probability", ["0.5", "0.9"])
def test_real_waits_are_missed_by_far_less_than_by_the_upper_edge(town: Town, probability: str) -> None:
    """Waits are no uniform numbers: of 300 synthetic places, each with its own speed, the value inside the bin is off
    by less than half of what the bin's end is, and by less than the bin."""
    rng = np.random.default_rng(7)
    waits = [rng.geometric(1 / rng.uniform(1.2, 9), size=400) - 1 for _ in range(300)]
    exact = np.array([np.quantile(each, float(probability), method="inverted_cdf") for each in waits])
    closed = exact < EDGES[-1]
    found = median(town, *map(counted, waits), probability=probability, step=1, scale=0.05)
    upper = np.array(EDGES)[np.searchsorted(EDGES, exact[closed], side="right")]
    after, before = (np.abs(each - exact[closed]) for each in (found.value[closed], upper))
    assert after.mean() < before.mean() / 2
    assert (after < upper - np.array(EDGES)[np.searchsorted(EDGES, exact[closed], side="right") - 1]).all()


def test_doubt_widens_to_whole_bins(town: Town) -> None:
    """A median next to a bin's edge may lie on either side of it, so both bins are named."""
    found = median(town, [100, 401, 400, 101, 0, 0], scale=4.0)
    assert (found.value[0], found.low[0], found.high[0]) == (3.0, 1.0, 5.0)
    assert found.texts == ("1 to 5",)


def test_the_open_bin_has_no_upper_end(town: Town) -> None:
    """In the last bin the value is its lower edge, the upper end is empty and the words say ≥: no percentage holds."""
    found = median(town, [0, 0, 0, 0, 10, 900], [0, 0, 0, 0, 500, 500])
    assert found.value.tolist() == [30.0, 30.0]
    assert found.low.tolist() == [30.0, 10.0]
    assert np.isnan(found.high).all()
    assert found.texts == ("≥ 30", "≥ 10")
    assert np.isnan(found.percent).all()
    assert found.has(UNRELIABLE).tolist() == [True, True]


def test_nothing_counted_gives_nothing(town: Town) -> None:
    """Where no value is counted the quantile is empty and unreliable; where there may be none it is unreliable."""
    found = median(town, [0, -2, -1, 0, 0, -3], [0, 0, 3, 0, 0, 0], scale=2.0)
    for column in (found.value, found.low, found.high):
        assert np.isnan(column[0])
    assert found.texts is not None
    assert found.texts[0] is None
    assert found.has(UNRELIABLE).tolist() == [True, True]


def test_several_bins_that_are_too_wide_are_unreliable(town: Town) -> None:
    """Half the width of the bins in doubt is graded like any margin, and so is that of a single bin."""
    narrow, wide = [0, 0, 0, 520, 480, 0], [0, 200, 110, 90, 200, 0]
    found = median(town, narrow, wide, scale=60.0)
    assert found.texts == ("5 to 30", "1 to 30")
    assert found.has(UNRELIABLE).tolist() == [True, True]
    quiet = median(town, narrow, wide, scale=0.3)
    assert quiet.has(UNRELIABLE).tolist() == [False, False]
    first = median(town, [900, 0, 0, 0, 0, 0], scale=0.3)
    assert (first.texts, first.percent[0], STATUSES[first.graded[0]]) == (("0 to 1",), 100, "unreliable")


def test_a_single_bin_that_is_too_wide_is_unreliable(town: Town) -> None:
    """From 10 to 30 is ±10, which is 84% of 12, half of 20 and 37% of 27.5."""
    found = median(town, [0, 40, 0, 0, 50, 0], [0, 0, 0, 0, 90, 0], [0, 0, 0, 5, 60, 50], scale=0.05)
    assert found.texts == ("10 to 30", "10 to 30", "10 to 30")
    assert found.value.tolist() == [12.0, 20.0, 27.5]
    assert found.percent.tolist() == [84, 50, 37]
    assert [STATUSES[each] for each in found.graded] == ["unreliable", "caution", "caution"]


def test_other_quantiles(town: Town) -> None:
    """Nine of ten lie below the 0.9 quantile."""
    rows = [400, 300, 190, 60, 40, 10]
    assert median(town, rows, probability="0.9").texts == ("5 to 10",)
    assert median(town, rows, probability="0.25").texts == ("0 to 1",)


def true_bins(histograms: Floats, probability: float) -> Integers:
    upto = np.cumsum(histograms, axis=-1)
    return np.asarray((upto >= probability * upto[..., -1:]).argmax(axis=-1))


@pytest.mark.parametrize("kind", ["discrete gaussian", "discrete laplace"])
@pytest.mark.parametrize("probability", ["0.5", "0.9"])
@pytest.mark.parametrize("scale", [0.7, 6.0])
def test_margins_hold_the_true_bin(town: Town, kind: Kind, probability: str, scale: float) -> None:
    """Over 12,000 noisy histograms of each of several shapes, the true bin lies below the margin in at most 2.5 %,
    above it in at most 2.5 %, and the value always inside; where the quantile sits exactly on an edge too. Sound
    margins fail once in ten million runs (six standard errors); margins that leave one side out, or hold 96 %, are
    found."""
    shapes = [[9, 1, 2, 5, 9, 4], [30, 30, 0, 0, 30, 30], [50, 0, 0, 0, 0, 0], [5] * 5 + [25], [2, 1, 0, 4, 1, 2]]
    truth = np.repeat(np.array(shapes), 12_000, axis=0)
    short = widened(Fraction(scale))
    tables = truth + draw(kind, short, truth.size).reshape(truth.shape)
    made = noisy(single(len(truth)), [tables], kind, float(short))
    found = finish(made, definition(town, probability))[0].measures[1]
    lower, upper = np.array(EDGES, dtype=np.float64), np.array([*EDGES[1:], np.inf])
    known = ~np.isnan(found.value)
    high = np.where(np.isnan(found.high), np.inf, found.high)
    bins = true_bins(truth.astype(np.float64), float(probability))
    for n in range(len(shapes)):
        mine = known & (np.arange(len(truth)) // 12_000 == n)
        few = 0.025 + 6 * np.sqrt(0.025 / 12_000)
        assert (upper[bins] <= found.low)[mine].sum() / 12_000 <= few
        assert (lower[bins] >= high)[mine].sum() / 12_000 <= few
    assert ((found.low <= found.value) & (found.value <= high))[known].all()


def test_quantiles_of_rollups_use_all_levels(town: Town) -> None:
    """On a rollup the margin comes from the reconciled histogram: narrower than from its own bins alone."""
    levels = levels_over(forest_from([0, 0], roots=1))
    children = [[100, 172, 133, 105, 0, 0]] * 2
    parent = [[200, 345, 265, 210, 0, 0]]
    both = finish(noisy(levels, [parent, children], scale=16.0), definition(town))
    alone = finish(noisy(single(1), [parent], scale=16.0), definition(town))
    assert [table.level for table in both] == ["level0", ""]
    assert alone[0].measures[1].texts == ("1 to 5",)
    assert both[0].measures[1].texts == ("1 to 3",)


def test_suppressed_cells_have_no_words(town: Town) -> None:
    """A withheld cell says nothing of its quantile either."""
    found = finish(noisy(single(1), [[[9, 9, 9, 9, 9, 9]]]), definition(town, threshold=5000))[0]
    assert found.suppressed.all()
    assert found.measures[1].texts == (None,)
    assert np.isnan(found.measures[1].value).all()
