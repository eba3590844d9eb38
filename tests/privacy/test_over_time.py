"""Totals over time: sums of unprojected estimates, whose margins hold what they say where sums of cells do not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from forests import forest_from, grid_of_size, levels_over

from publisher.definitions import period as civil
from publisher.definitions.levels import Level
from publisher.privacy.distribution import Noise
from publisher.privacy.finish import finish
from publisher.privacy.margins import added, margins_of
from publisher.privacy.mechanism import add_noise, mechanism_for
from publisher.privacy.sensitivity import sensitivity_of
from publisher.privacy.totals import Addend, total_over_time, whole_bins
from publisher.stages import REASONS, BoundedAggregate, NoisyTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from small_town import Town

    from publisher.definitions.dataset import Dataset
    from publisher.definitions.source import Currency
    from publisher.definitions.totals import TotalOverTime
    from publisher.stages import FinishedTable, Flags, Floats, Integers, Mechanism, Table

YEAR = civil.parse("2020")
MONTHS = 12
DRAWS, MORE = 2_000, 20_000
LEAST = 1e-6
"""A one-sided test rejects a coverage of 95 % at this level."""


@dataclass(frozen=True)
class City:
    """A dataset whose cells are many independent copies of a few: each copy is a draw of all of them."""

    definition: Dataset
    levels: tuple[Level, ...]
    truth: tuple[dict[Table, Integers], ...]
    """The exact tables of each month."""
    kinds: int
    """How many cells of the table that is added up make one copy."""
    losses: tuple[Fraction, ...]
    """The loss of each draw of a month, in turn."""
    draws: int = 1
    """How many draws over disjoint records add up to a month."""
    currency: Currency = "zcdp"

    @property
    def total(self) -> TotalOverTime:
        return self.definition.totals[0]

    def drawn(self, month: int) -> NoisyTable:
        """One month with the product's noise; later draws count nothing new."""
        found = add_noise(BoundedAggregate(self.levels, self.truth[month]), self._mechanisms(month))
        for n in range(1, self.draws):
            more = add_noise(BoundedAggregate(self.levels, found.tables), self._mechanisms(month + n))
            found = NoisyTable(self.levels, more.tables, (*found.mechanisms, *more.mechanisms))
        return found

    def _mechanisms(self, n: int) -> tuple[Mechanism, ...]:
        loss = self.losses[n % len(self.losses)] / len(self.definition.measured) / len(self.levels)
        return tuple(
            mechanism_for(
                measure.name,
                self.currency,
                sensitivity_of(measure, self.definition.bounds, coarser=bool(level.name)),
                loss,
                level=level.name,
            )
            for level in self.levels
            for measure in self.definition.measured
        )

    def exact(self, measure: str) -> Integers:
        """The year's exact numbers, cell by cell and bin by bin."""
        return np.sum([each[self.total.level, measure] for each in self.truth], axis=0)


def definition(town: Town, *measures: dict[str, Any], of: str | None = None, **says: Any) -> Dataset:
    rule = {"measure": measures[0]["name"], "threshold": 0} | says.pop("suppression", {})
    total = {"name": "year", "title": "By year", "grain": "year", "of": of}
    dataset = says | {"measures": measures, "suppression": rule, "totals": (total,)}
    return replace(town, dataset=town.dataset | dataset).dataset_file().definition


def repeated(cells: Sequence[int], copies: int) -> Integers:
    return np.tile(np.asarray(cells, dtype=np.int64), copies)


def sparse(town: Town, copies: int) -> City:
    """Counts of nothing, of one now and then, of a few, and of many, with noise of scale 7."""
    made = definition(town, town.COUNT)
    grid = grid_of_size(4 * copies)
    truth = tuple({("", "requests"): repeated([0, int(month == 3), month % 4, 60], copies)} for month in range(MONTHS))
    levels = (Level("", grid, Fraction(1), np.arange(grid.size)),)
    return City(made, levels, truth, 4, (Fraction(1, 100),))


def rolled_up(town: Town, copies: int) -> City:
    """Places with two or three kinds each, reconciled; places are added up. Half of the months had a larger loss."""
    measures = (town.COUNT, town.SUM | {"lower": Decimal(0)}, town.MEAN, town.HISTOGRAM, MEDIAN)
    made = definition(town.rolled_up(), *measures, of="halves")
    levels = levels_over(
        forest_from([n for n in range(2 * copies) for _ in range(2 + n % 2)], roots=2 * copies), ["halves"]
    )
    source, size = np.random.default_rng(5), levels[-1].grid.size // copies
    truth = []
    for _ in range(MONTHS):
        counts = source.choice([0, 0, 1, 30], size)
        bins = np.array([source.multinomial(count, [0.5, 0.3, 0.2]) for count in counts])
        finest = {"requests": counts, "paid": 4 * counts, "sizes": bins.reshape(-1)}
        truth.append({
            (level.name, name): summed(level, repeated(list(each), copies))
            for level in levels for name, each in finest.items()
        })  # fmt: skip
    return City(made, levels, tuple(truth), 2, (Fraction(1, 10), Fraction(1, 5)))


def added_to(town: Town, copies: int) -> City:
    """Pure ε: Laplace noise, and each month has two draws with losses of their own, the second for late records."""
    pure = {"privacy": {"unit": "record", "window": "day", "budget": Decimal(3), "currency": "pure"}}
    made = definition(replace(town, source=pure), town.COUNT, loss={"epsilon": Decimal(1)})
    grid = grid_of_size(3 * copies)
    truth = tuple({("", "requests"): repeated([0, month % 3, 9], copies)} for month in range(MONTHS))
    levels = (Level("", grid, Fraction(1), np.arange(grid.size)),)
    return City(made, levels, truth, 3, (Fraction(1, 4), Fraction(1, 2)), draws=2, currency="pure")


MEDIAN = {
    "name": "median_size", "title": "Median", "kind": "quantile", "unit": "dollars", "histogram": "sizes",
    "probability": Decimal("0.5"),
}  # fmt: skip
CITIES = {"sparse": sparse, "rolled up": rolled_up, "added to": added_to}


def summed(level: Level, finest: Integers) -> Integers:
    width = finest.size // level.cells.size
    total = np.zeros((level.grid.size, width), dtype=np.int64)
    np.add.at(total, level.cells, finest.reshape(-1, width))
    return total.reshape(-1)


def year(city: City, months: Sequence[NoisyTable], suppressed: Flags | None = None, windows: int = 12) -> FinishedTable:
    size = next(level.grid.size for level in city.levels if level.name == city.total.level)
    none = np.zeros(size, dtype=np.bool_) if suppressed is None else suppressed
    return total_over_time([Addend(each, none) for each in months], city.definition, city.total, YEAR, windows)


def rejected(covered: int, of: int) -> bool:
    """Whether so few of so many, each with a chance of 95 %, are rarer than LEAST."""
    logs = [
        math.lgamma(of + 1) - math.lgamma(n + 1) - math.lgamma(of - n + 1) + n * math.log(0.95)
        + (of - n) * math.log(0.05) for n in range(covered + 1)
    ]  # fmt: skip
    return math.fsum(map(math.exp, logs)) < LEAST


def held(city: City, low: Floats, high: Floats, truth: Floats) -> list[int]:
    """In how many copies each cell's range holds the truth; an open end holds everything."""
    inside = ~(low > truth + 1e-9) & ~(high < truth - 1e-9)
    return [int(each) for each in inside.reshape(-1, city.kinds).sum(axis=0)]


def holds_in(town: Town, name: str, copies: int) -> None:
    """The year's margins of every measure and cell are not rejected; those of added cells are, in a sparse cell."""
    city = CITIES[name](town, copies)
    months = [city.drawn(month) for month in range(MONTHS)]
    found = {each.name: each for each in year(city, months).measures}
    counts = city.exact("requests").astype(np.float64)
    truths = {"requests": counts}
    if "mean_paid" in found:
        truths |= {"paid": city.exact("paid").astype(np.float64)}
        truths |= {"mean_paid": truths["paid"] / counts, "median_size": medians(city.exact("sizes").reshape(-1, 3))}
    assert truths.keys() == found.keys()
    for measure, truth in truths.items():
        for covered in held(city, found[measure].low, found[measure].high, truth):
            assert not rejected(covered, copies), (measure, covered)
    added_up = [finish(each, city.definition) for each in months]
    value, half = cells(city, added_up)
    assert any(rejected(covered, copies) for covered in held(city, value - half, value + half, counts))


def medians(bins: Integers) -> Floats:
    """A number inside the bin that holds the median: within the margin's edges if that bin is."""
    inside = np.array([1.0, 3.5, 6.0])
    upto = np.cumsum(bins, axis=1)
    return inside[np.argmax(upto >= upto[:, -1:] / 2, axis=1)]


def cells(city: City, months: Sequence[tuple[FinishedTable, ...]]) -> tuple[Floats, Floats]:
    """What a reader gets who adds published cells up, and squares half their margins."""
    tables = [next(each for each in month if each.level == city.total.level).measures[0] for month in months]
    halves = [(each.high - each.low) / 2 for each in tables]
    return np.sum([each.value for each in tables], axis=0), np.sqrt(np.sum(np.square(halves), axis=0))


@pytest.mark.parametrize("name", CITIES)
def test_margins_hold_the_totals(town: Town, name: str) -> None:
    """Over 2,000 draws of a year the margin of each count, sum, mean and median holds the truth as often as it says;
    the margins of added published cells are found out."""
    holds_in(town, name, DRAWS)


@pytest.mark.evidence("margins of totals over time in 20,000 draws of three cities")
@pytest.mark.parametrize("name", CITIES)
def test_margins_hold_the_totals_of_many_draws(town: Town, name: str) -> None:
    """The same, with ten times as many draws: a coverage of 94.2 % is found."""
    holds_in(town, name, MORE)


def test_a_total_is_the_sum_before_anything_was_cut(town: Town) -> None:
    """Without rollups it is the sum of the measurements, cut at zero once, with the exact margin of all their noise."""
    city = sparse(town, 50)
    months = [city.drawn(month) for month in range(MONTHS)]
    (count,) = year(city, months).measures
    sums = np.sum([each.tables["", "requests"] for each in months], axis=0)
    assert (sums < 0).any()
    assert count.value.tolist() == np.maximum(sums, 0).tolist()
    draws = tuple((each.kind, each.scale) for month in months for each in month.mechanisms)
    half = Noise(draws).half_width(0.95)
    assert count.low.tolist() == np.minimum(np.maximum(sums - half, 0), count.value).tolist()
    assert count.high.tolist() == np.maximum(sums + half, count.value).tolist()


def test_totals_are_unbiased_where_sums_of_cells_are_not(town: Town) -> None:
    """A sparse cell's year: the mean of 2,000 sums is within five standard errors of the truth; published cells add
    up to far more."""
    city = sparse(town, DRAWS)
    months = [city.drawn(month) for month in range(MONTHS)]
    sums = np.sum([each.tables["", "requests"] for each in months], axis=0).reshape(-1, 4)[:, 1]
    published, _ = cells(city, [finish(each, city.definition) for each in months])
    error = sums.std() / math.sqrt(DRAWS)
    assert abs(sums.mean() - 1) < 5 * error
    assert published.reshape(-1, 4)[:, 1].mean() - 1 > 20 * error


def test_margins_of_a_sum_are_those_of_all_pieces(town: Town) -> None:
    """Twelve reconciled months alike: √12 standard deviations, and the quantile of twelve times as many pieces. Where
    two losses are mixed, variances add."""
    city = rolled_up(town, 3)
    measure = city.definition.measured[0]
    one, other = (margins_of(city.levels, city._mechanisms(n), city.definition, measure)[0] for n in (0, 1))
    same, mixed = added([one] * 12), added([one, other])
    assert np.allclose(same.deviations, one.deviations * math.sqrt(12))
    assert np.allclose(mixed.deviations, np.hypot(one.deviations, other.deviations))
    assert np.allclose(same.half_widths(0.95), 1.96 * same.deviations, rtol=0.02)
    assert sum(term.count for term in same.shapes[0]) == 12 * sum(term.count for term in one.shapes[0])


def reasons(table: FinishedTable) -> list[str]:
    return [REASONS[n] for n in table.withheld]


def counted(town: Town, months: Sequence[Sequence[int]], used: Sequence[Sequence[int]], **rule: Any) -> City:
    """People and what they used, by month and cell, practically without noise."""
    paid = town.SUM | {"lower": Decimal(0), "upper": Decimal(100)}
    people = town.people(window="month", k=1, suppression={"measure": "people", "threshold": 0} | rule)
    made = definition(people, town.UNITS, paid, suppression={"measure": "people", "threshold": 0} | rule)
    grid = grid_of_size(len(months[0]))
    truth = tuple(
        {("", "people"): np.array(who), ("", "paid"): np.array(what)} for who, what in zip(months, used, strict=True)
    )
    levels = (Level("", grid, Fraction(1), np.arange(grid.size)),)
    return City(made, levels, truth, len(months[0]), (Fraction(10**8),))


def test_units_are_not_added_up(town: Town) -> None:
    """People counted in twelve months are no column of the year; the threshold looks at the month with most of them."""
    city = counted(town, [[4, 2], [1, 2], [1, 2]], [[50, 50]] * 3, threshold=4)
    table = year(city, [city.drawn(n) for n in range(3)], windows=3)
    assert [each.name for each in table.measures] == ["paid"]
    assert reasons(table) == ["", "threshold"]
    assert np.isnan(table.measures[0].value).tolist() == [False, True]


def test_a_customer_rule_holds_for_one_window(town: Town) -> None:
    """Enough customers in one month; a customer's most is the upper clamp in each of three months; and a total of which
    exactly one month is withheld is withheld."""
    rule = {"customers": 15, "largest_share": Decimal("0.15")}
    months = [[14, 40, 40, 40], [14, 40, 40, 40], [14, 40, 40, 40]]
    used = [[900, 600, 900, 900]] * 3
    city = counted(town, months, used, **rule)
    drawn = [city.drawn(n) for n in range(3)]
    # Three months of at most 100 each are 300: more than 15 % of 1,800, not of 2,700.
    assert reasons(year(city, drawn, windows=3)) == ["customer rule", "customer rule", "", ""]
    alone = np.array([False, False, True, False])
    none = np.zeros(4, dtype=np.bool_)
    for hidden, said in (([alone, none, none], "complementary"), ([alone, alone, none], "")):
        addends = [Addend(each, cells) for each, cells in zip(drawn, hidden, strict=True)]
        table = total_over_time(addends, city.definition, city.total, YEAR, 3)
        assert reasons(table) == ["customer rule", "customer rule", said, ""]


def test_customers_are_enough_with_all_months_together(town: Town) -> None:
    """The low end of each of three months holds with 97.5 % for all of them: it is that of a 98.3 % range, and the
    largest decides."""
    rule = {"customers": 15, "largest_share": Decimal("0.15")}
    city = replace(counted(town, [[40], [41], [42]], [[10**6]] * 3, **rule), losses=(Fraction(1, 100),))
    drawn = [city.drawn(n) for n in range(3)]
    people = drawn[0].mechanisms[0]
    half = Noise(((people.kind, people.scale),)).half_width(1 - 0.05 / 3)
    low = max(int(each.tables["", "people"][0]) for each in drawn) - half
    for enough, said in ((low, ""), (low + 1, "customer rule")):
        strict = city.definition.suppression.model_copy(update={"customers": enough})
        asked = replace(city, definition=city.definition.model_copy(update={"suppression": strict}))
        assert reasons(year(asked, drawn, windows=3)) == [said]


def test_bins_of_a_total_add_up_to_it() -> None:
    """Empty bins above a median do not fill up with noise that was cut at zero: bins keep their cell's own total."""
    chance = np.random.default_rng(3)
    truth = np.repeat([720.0, 0.0], [5, 10])
    center = truth + chance.normal(0, 24, (2_000, 15))
    found = whole_bins(center)
    assert found.min() >= 0
    assert (found.sum(axis=1) == np.rint(center.sum(axis=1))).all()
    above, cut = (each[:, 5:].sum(axis=1).mean() for each in (found, np.maximum(center, 0)))
    assert above < 0.7 * cut
