"""Which moves are the worst: parts that meet in as few cells as they can, tried against every other way."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from guarantee_examples import increment, rollups, utility
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.definitions.dataset import WIDER, Bounds, Measure
from publisher.privacy.sensitivity import sensitivity_of
from publisher.release.loss_distribution import Kind, Shift, composed
from publisher.release.worst_shifts import (
    NoiseOf,
    Parts,
    WorstShifts,
    gathering_slack,
    one_worst_shift,
    parts_of,
    worst_shifts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SCALES = [0.3, 0.35, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 2.236, 3.0, 4.0, 5.5, 8.0]
COUNT = Measure(name="visits", title="Visits", kind="count", unit="visits")
UNITS = Measure(name="people", title="People", kind="count_units", unit="people")
BINS = Measure(
    name="days", title="Days", kind="histogram", unit="days", column="days", bins=(Decimal(0), Decimal(1), Decimal(7))
)
LITERS = Measure(
    name="liters", title="Liters", kind="sum", unit="liters", column="liters", lower=Decimal(-2), upper=Decimal(9),
    resolution=Decimal(1),
)  # fmt: skip


def partitions(number: int, most: int) -> Iterator[tuple[int, ...]]:
    """Every way to put that many parts into cells with at most `most` in one."""
    if number == 0:
        yield ()
    for first in range(min(number, most), 0, -1):
        for rest in partitions(number - first, first):
            yield (first, *rest)


def distance(kind: Kind, scale: float, size: int, cells: tuple[int, ...]) -> float:
    return composed(tuple(Shift(kind, scale, size * n, times) for n, times in Counter(cells).items())).distance


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_together_is_worse_than_apart(scale: float, most: int) -> None:
    """Up to five parts: no way to spread them is easier to see than the fewest cells, by either noise."""
    for number in (n for n in range(most, 6) if n % most == 0):
        assert gathering_slack(scale, Parts(1, number, most)) <= 1e-10
        for kind in ("discrete gaussian", "discrete laplace"):
            worst = distance(kind, scale, 1, (most,) * (number // most))
            assert all(distance(kind, scale, 1, cells) <= worst + 1e-9 for cells in partitions(number, most))


@settings(max_examples=100, deadline=None)
@given(scale=st.floats(0.2, 60), size=st.integers(1, 5), a=st.integers(1, 4), b=st.integers(1, 4))
def test_the_order_is_computed_not_assumed(scale: float, size: int, a: int, b: int) -> None:
    """Where the order is said to hold, two heaps apart are not worse than one, alone or beside another table."""
    slack = gathering_slack(scale, Parts(size, a + b, a + b))
    if slack < math.inf:
        beside = Shift("discrete gaussian", 1.3 * scale, size)
        one = (Shift("discrete gaussian", scale, size * (a + b)),)
        two = (Shift("discrete gaussian", scale, size * a), Shift("discrete gaussian", scale, size * b))
        assert composed(two).distance <= composed(one).distance + slack + 1e-9
        assert composed((*two, beside)).distance <= composed((*one, beside)).distance + slack + 1e-9


def test_what_would_take_long_is_not_known() -> None:
    """Many parts that may meet by narrow noise: the order is not claimed. Wide noise is almost continuous."""
    assert gathering_slack(2.0, Parts(1, 8, 8)) <= 1e-10
    assert gathering_slack(2.0, Parts(1, 9, 9)) == math.inf
    assert gathering_slack(65.0, Parts(1, 20, 20)) == math.inf
    assert gathering_slack(65.0, Parts(900, 100, 1)) == 0
    assert 0 < gathering_slack(2_000.0, Parts(900, 5, 5)) < 1e-4


@pytest.mark.parametrize(("scale", "size", "number"), [(100.0, 45, 5), (200.0, 10, 20), (1_000.0, 450, 5)])
def test_wide_noise_is_almost_continuous(scale: float, size: int, number: int) -> None:
    """Every way to spread the parts has the continuous law's distance, within half of the slack."""
    slack = gathering_slack(scale, Parts(size, number, number))
    ways = partitions(number, number) if number < 8 else [(20,), (19, 1), (10, 10), (7, 7, 6), (1,) * 20]
    for cells in ways:
        ratio = size * math.sqrt(sum(n * n for n in cells)) / scale
        continuous = math.erf(ratio / 2 / math.sqrt(2))
        assert abs(distance("discrete gaussian", scale, size, cells) - continuous) <= slack / 2 + 1e-6


@pytest.mark.parametrize("measure", [COUNT, UNITS, BINS, LITERS], ids=lambda each: each.kind)
@pytest.mark.parametrize("coarser", [False, True])
def test_the_worst_has_the_whole_sensitivity(measure: Measure, coarser: bool) -> None:
    """One unit's worst moves have exactly the Δ₁ and Δ₂ for which the noise is made; m units have m times as much."""
    bounds = Bounds(max_groups=3, max_per_group=2)
    definition = rollups().dataset.definition.model_copy(update={"bounds": bounds, "measures": (measure,)})
    made = sensitivity_of(measure, bounds, coarser=coarser)
    for units in (1, 4):
        parts = parts_of(definition, measure, units, coarser=coarser)
        moved, cells = parts.most * parts.size, parts.number // parts.most
        assert (moved * cells, moved**2 * cells) == (units * made.l1, units**2 * made.l2_squared)


def test_every_table_is_moved() -> None:
    """Rollups move like the finest table; a table whose order is not known leaves the whole unknown."""
    definition = rollups().dataset.definition
    tables = [NoiseOf("requests", level, "discrete gaussian", 5.0) for level in ("town", "places", "")]
    assert worst_shifts(definition, tables) == WorstShifts((Shift("discrete gaussian", 5.0, 1),) * 3, 0.0)
    five = worst_shifts(definition, tables, 5)
    assert five is not None
    assert five.shifts == (Shift("discrete gaussian", 5.0, 5),) * 3
    assert worst_shifts(definition, tables, 20) is None
    covering = {"coverage_share": Decimal("0.1"), "wider_groups": 4, "wider_per_group": 2}
    covered = definition.model_copy(update={"bounds": Bounds(**covering)})
    wider = NoiseOf("requests", WIDER, "discrete gaussian", 5.0)
    assert worst_shifts(covered, [wider], 5) == WorstShifts((Shift("discrete gaussian", 5.0, 40),), 0.0)
    assert one_worst_shift(definition)
    wide = definition.model_copy(update={"bounds": Bounds(max_groups=2, max_per_group=1)})
    assert not one_worst_shift(wide)
    meters = utility().dataset.definition
    energy = NoiseOf("energy", "", "discrete laplace", 2400.0)
    assert worst_shifts(meters, [energy], 20) == WorstShifts((Shift("discrete laplace", 2400.0, 18_000),), 0.0)


def test_editions_may_share_what_a_unit_brings() -> None:
    """Where editions count only what is new, three records of a cell are three parts, not one."""
    definition = increment().dataset.definition.model_copy(update={"measures": (COUNT,)})
    table = [NoiseOf("visits", "", "discrete gaussian", 9.0)]
    assert worst_shifts(definition, table) == WorstShifts((Shift("discrete gaussian", 9.0, 3, 4),), 0.0)
    assert worst_shifts(definition, table, spread=True) is None
