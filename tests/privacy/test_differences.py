"""Whether two published numbers differ, is decided by the noise alone: equal ones are rarely said to differ."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from forests import levels_over, random_forest
from lattices import dense_lattice, lattice_levels, product_levels, rolled_up
from test_rollups import KINDS, Kind, by_name, definition, noisy

from publisher.portal.base.differences import (
    NoiseLaw,
    NoisyDifference,
    Published,
    change,
    difference,
    estimate,
    extreme,
    total,
    widest,
)
from publisher.privacy.estimates import estimates_of
from publisher.privacy.finish import finish
from publisher.privacy.sampler import draw, widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from small_town import Town

    from publisher.definitions.levels import Level
    from publisher.stages import FinishedMeasure, Integers

PLACES, WHAT = 4, 6
SPARSE = np.array([[0, 0, 1, 0, 0, 1], [0, 1, 0, 0, 1, 0], [2, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 2]])
DENSE = np.array([[40, 40, 300, 0, 9, 300], [40, 300, 40, 9, 0, 300], [700, 9, 0, 0, 0, 90], [90, 0, 0, 9, 0, 700]])
"""Exact counts by place and kind; the sums of places 0 and 1, and of 2 and 3, are the same."""
ALPHA = 0.05


def town_levels(many: int, shape: str) -> tuple[Level, ...]:
    """Towns, each with tables of its own: places in a town as a chain, or places and kinds as a lattice."""
    town, place, kind = (each.ravel() for each in np.indices((many, PLACES, WHAT)))
    finest = np.arange(town.size)
    if shape == "lattice":
        return lattice_levels(town, town * PLACES + place, town * WHAT + kind, finest)
    return lattice_levels(town, town * PLACES + place, finest)


def released(
    town: Town, many: int, shape: str, kind: Kind, scale: float, truth: Integers
) -> tuple[list[FinishedMeasure], list[NoiseLaw]]:
    """The measure on every table, of so many independent towns below each other; and the laws of one town alone."""
    levels, short = town_levels(many, shape), widened(Fraction(scale))
    dataset = definition(town, town.COUNT)
    exact = rolled_up(levels, np.tile(truth.ravel(), many))
    tables = {"requests": [each + draw(kind, short, each.size) for each in exact]}
    one = town_levels(1, shape)
    alone = {"requests": [each * 0 for each in rolled_up(one, truth.ravel())]}
    found = finish(noisy(levels, tables, kind, float(short)), dataset)
    laws = [each.measures[0].noise for each in finish(noisy(one, alone, kind, float(short)), dataset)]
    return [each.measures[0] for each in found], [law for law in laws if law is not None]


def numbers(measure: FinishedMeasure, many: int) -> list[list[Published]]:
    """By town and cell."""
    columns = (each.reshape(many, -1).tolist() for each in (measure.value, measure.low, measure.high))
    return [[Published(*cell) for cell in zip(*town, strict=True)] for town in zip(*columns, strict=True)]


def at_most(found: int, many: int, share: float = ALPHA) -> bool:
    """Whether a one-sided test at 10⁻⁶ leaves it possible that the chance is `share`."""
    return found <= share * many + 4.76 * (share * (1 - share) * many) ** 0.5 + 1.5


def equal_pairs(level: int, last: int, truth: Integers) -> list[tuple[int, int]]:
    """Pairs of cells of a town that are equal in truth, chosen beforehand: places, or finest cells."""
    if level == 1:
        return [(0, 1), (2, 3)]
    if level < last:
        return []
    cells = truth.ravel()
    return [(a, int(b[0])) for a in range(cells.size) if (b := np.flatnonzero(cells[a + 1 :] == cells[a]) + a + 1).size]


def check(town: Town, many: int, shape: str, kind: Kind, scale: float, truth: Integers) -> None:
    """Differences inside a release and between releases, sums, changes over time and highest numbers."""
    measures, laws = released(town, many, shape, kind, scale, truth)
    exact = rolled_up(town_levels(1, shape), truth.ravel())
    for level, (measure, law) in enumerate(zip(measures, laws, strict=True)):
        towns = numbers(measure, many)
        inside(towns, law, equal_pairs(level, len(laws) - 1, truth))
        between(towns, law, exact[level])
        over_time(towns, law, exact[level])
        sums(towns, law, exact[level])


def inside(towns: Sequence[Sequence[Published]], law: NoiseLaw, pairs: Sequence[tuple[int, int]]) -> None:
    for one, other in pairs:
        said = [difference(each[one], each[other], law, apart=False) for each in towns]
        assert at_most(sum(each.verdict != "cannot be told apart" for each in said), len(said)), (one, other)
        assert at_most(sum(not holds(each, 0) for each in said), len(said)), (one, other)


def holds(said: NoisyDifference, truth: float) -> bool:
    """Whether the range holds the true difference."""
    return (said.low is None or said.low <= truth) and (said.high is None or truth <= said.high)


def between(towns: Sequence[Sequence[Published]], law: NoiseLaw, exact: Integers) -> None:
    """Each town with the next one: half as many pairs as towns, so that they are independent."""
    for cell in sorted({int(exact.argmin()), int(exact.argmax())}):
        said = [difference(a[cell], b[cell], law, apart=True) for a, b in zip(towns[::2], towns[1::2], strict=True)]
        assert at_most(sum(each.verdict != "cannot be told apart" for each in said), len(said)), cell
        assert at_most(sum(not holds(each, 0) for each in said), len(said)), cell


def over_time(towns: Sequence[Sequence[Published]], law: NoiseLaw, exact: Integers, steps: int = 10) -> None:
    for cell in sorted({int(exact.argmin()), int(exact.argmax())}):
        series = [[each[cell] for each in towns[n : n + steps]] for n in range(0, len(towns) - steps + 1, steps)]
        moved = [change(each, law, apart=True) for each in series]
        assert at_most(sum(each is not None and each.verdict != "cannot be told apart" for each in moved), len(series))
        for lowest in (False, True):
            named = [extreme(each, law, apart=True, lowest=lowest) is not None for each in series]
            assert at_most(sum(named), len(series), ALPHA / 2)


def sums(towns: Sequence[Sequence[Published]], law: NoiseLaw, exact: Integers) -> None:
    """The first half of the cells, the fewest and all of them: sets fixed beforehand."""
    for cells in (range(max(1, exact.size // 2)), np.argsort(exact)[: max(1, exact.size // 3)], range(exact.size)):
        chosen, truth, missed = [int(cell) for cell in cells], float(exact[list(cells)].sum()), 0
        for each in towns:
            found = total([each[cell] for cell in chosen], law)
            missed += not found.low <= truth <= found.high
        assert at_most(missed, len(towns)), chosen


CASES = [
    pytest.param("chain", "discrete gaussian", 12.0, DENSE, id="chain, gaussian, dense"),
    pytest.param("lattice", "discrete gaussian", 12.0, SPARSE, id="lattice, gaussian, sparse"),
    pytest.param("lattice", "discrete laplace", 9.0, DENSE, id="lattice, laplace, dense"),
]


@pytest.mark.parametrize(("shape", "kind", "scale", "truth"), CASES)
def test_equal_numbers_are_rarely_said_to_differ(
    town: Town, shape: str, kind: Kind, scale: float, truth: Integers
) -> None:
    """Of 1,000 towns with our own noise and finish, numbers that are equal in truth are said to differ in at most 5 %,
    inside a release and between releases; ranges of differences and of sums of cells fixed beforehand hold the truth in
    95 %; a series without a change rises or falls in at most 5 %, and none of its numbers is the highest (lowest) in
    more than 2.5 %. Each of some eighty comparisons is a one-sided test at 10⁻⁶ and most are far from their limit. Half
    widths a sixth too narrow (10 % instead of 5 %) are found."""
    check(town, 1_000, shape, kind, scale, truth)


@pytest.mark.evidence("differences, changes and sums of published numbers by the law of the noise, 20,000 releases")
@pytest.mark.parametrize(("shape", "kind", "scale", "truth"), CASES)
def test_equal_numbers_are_rarely_said_to_differ_at_length(
    town: Town, shape: str, kind: Kind, scale: float, truth: Integers
) -> None:
    """The same over 20,000 releases of each configuration: half widths a twentieth too narrow are found."""
    check(town, 20_000, shape, kind, scale, truth)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ["chain", "lattice"])
def test_what_differs_clearly_is_told_apart(town: Town, shape: str, kind: Kind) -> None:
    """Numbers that differ by 2.5 times the least that can be told apart are told apart in at least 99 % of 400 towns,
    and a series that rises by so much rises: sound ones fail far less than once in a million runs. A rule that asks for
    ranges that do not overlap tells more of them apart by chance, and one without the estimate's center fewer."""
    truth = DENSE.copy()
    measures, laws = released(town, 400, shape, kind, 4.0, truth)
    law = laws[-1]
    towns = numbers(measures[-1], 400)
    least = law.half_width((1, -1), apart=False)
    high, low = 0, 4  # 40 and 9
    wanted = 2.5 * least
    assert truth.ravel()[2] - truth.ravel()[high] > wanted
    assert sum(difference(each[2], each[high], law, apart=False).verdict == "higher" for each in towns) >= 396
    assert sum(difference(each[low], each[2], law, apart=False).verdict == "lower" for each in towns) >= 396
    series = [
        [each[low] for each in towns[n : n + 5]] + [each[2] for each in towns[n : n + 5]] for n in range(0, 40, 5)
    ]
    assert all((said := change(each, law, apart=True)) is not None and said.verdict == "higher" for each in series)
    assert all(extreme([*each[:5], each[-1]], law, apart=True) == 5 for each in series)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_is_told_by_the_published_range(town: Town, seed: int, kind: Kind) -> None:
    """Whatever the projection did, what is read from a range holds the least squares estimate behind it, in every cell
    of chains and lattices."""
    source = np.random.default_rng(seed)
    levels = product_levels(source, 2) if seed % 2 else levels_over(random_forest(source))
    truth = source.choice([0, 0, 0, 1, 5, 60], levels[-1].grid.size)
    tables = {"requests": [each + source.integers(-12, 13, each.size) for each in rolled_up(levels, truth)]}
    made, dataset = noisy(levels, tables, kind, 4.0), definition(town, town.COUNT)
    for table in finish(made, dataset):
        measure = by_name(table)["requests"]
        centers, law = estimates_of(made, dataset)[table.level, "requests"].center[:, 0], measure.noise
        assert law is not None
        for center, cell in zip(centers.tolist(), numbers(measure, 1)[0], strict=True):
            least, most = estimate(cell, law)
            assert (least is None or least <= center) and center <= most  # noqa: PT018 -- one fact
            assert most - (most - 1 if least is None else least) <= law.most - law.least + 1.01


@pytest.mark.parametrize("shape", ["chain", "lattice"])
def test_no_sum_of_a_release_is_less_sure_than_the_law_says(town: Town, shape: str) -> None:
    """For every table, the largest standard deviation that any sum with weights of norm one can have is what the law
    says, by a dense covariance; it is not above that of the table's own measurement."""
    levels = town_levels(1, shape)
    _, covariance = dense_lattice(levels, [16.0] * len(levels))
    tables = {"requests": [np.zeros(level.grid.size, dtype=np.int64) for level in levels]}
    start = 0
    for level, table in zip(
        levels, finish(noisy(levels, tables, scale=4.0), definition(town, town.COUNT)), strict=True
    ):
        law, size = table.measures[0].noise, level.grid.size
        assert law is not None
        part = covariance[start : start + size, start : start + size]
        assert law.same_release == pytest.approx(1.95996 * np.linalg.eigvalsh(part)[-1] ** 0.5, abs=0.002)
        assert law.same_release <= 1.95996 * 4 + 0.001
        assert law.other_release == pytest.approx(1.95996 * np.diag(part).max() ** 0.5, abs=0.002)
        start += size


def test_constants_of_several_releases_hold_for_all() -> None:
    """The widest of each; none where a release does not have them, or where values have another step."""
    one, other = NoiseLaw(1, 4, 5, 6, 5), NoiseLaw(1, 3, 9, 8, 10, tail="exponential")
    assert widest([one, other]) == NoiseLaw(1, 3, 9, 8, 10, tail="exponential")
    assert widest([one, None]) is None
    assert widest([]) is None
    assert widest([one, NoiseLaw(0.5, 4, 5, 6, 5)]) is None


def test_without_a_law_ranges_must_not_overlap() -> None:
    """So it is for means and quantiles, and for tables of earlier versions."""
    assert difference(Published(5, 4, 6), Published(2, 1, 3), None, apart=True) == NoisyDifference(3, 1, 5)
    assert difference(Published(5, 4, 6), Published(2, 1, 4), None, apart=True).verdict == "cannot be told apart"
    assert difference(Published(2, 1, 3), Published(5, 4, 6), None, apart=True).verdict == "lower"
    assert difference(Published(5, 4, 6), Published(2, 1, 3), None, apart=True, claims=2).verdict != "higher"


def test_joint_statements_need_more() -> None:
    """The highest of many must beat each other one by more than one number another; heavy tails ask for more still."""
    law = NoiseLaw(1, 5, 5, 5, 5)
    heavy = NoiseLaw(1, 5, 5, 5, 5, tail="exponential")
    halves = [law.half_width((1, -1), apart=True, claims=n) for n in (1, 2, 50)]
    assert halves == sorted(halves)
    assert len(set(halves)) == 3
    assert heavy.half_width((1, -1), apart=True, claims=50) > halves[2]
    assert law.half_width((1, -1), apart=True) == pytest.approx(heavy.half_width((1, -1), apart=True), rel=0.01)


def test_the_documented_example_says_what_is_so() -> None:
    """The lines of Python in docs/portal.md run and give what stands behind them."""
    page = (Path(__file__).parents[2] / "docs" / "portal.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    there: dict[str, object] = {}
    exec(code, there)  # noqa: S102 -- it is our own
    found = there["found"]
    assert isinstance(found, NoisyDifference)
    assert f"# {(found.verdict, int(found.low or 0), int(found.high or 0))}" in code
