"""Four grades by fixed limits, decided by the margin in percent that stands beside each number."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.grades import LIMITS, OK, STATUSES, UNRELIABLE, grade, grades, margin_percent, margin_percents

NUMBERS = st.integers(-(10**9), 10**9)
HALVES = st.integers(0, 10**9)


@given(value=NUMBERS, below=HALVES, above=HALVES, places=st.integers(0, 4))
def test_the_percentage_never_understates_and_decides_the_grade(
    value: int, below: int, above: int, places: int
) -> None:
    """Half the margin is at most that percentage of the value and more than one less; one number and an array agree."""
    step = Decimal(1).scaleb(-places)
    number, low, high = value * step, (value - below) * step, (value + above) * step
    exact = below == above == 0
    percent, graded = margin_percent(number, low, high), grade(number, low, high, exact=exact)
    arrays = [np.array([float(each)]) for each in (number, low, high)]
    (several,), (position,) = margin_percents(*arrays), grades(*arrays, np.array([exact]))
    if value == 0:
        assert percent is None
        assert np.isnan(several)
        assert graded == STATUSES[position] == (OK if exact else UNRELIABLE)
        return
    share = Fraction(50 * (below + above), abs(value))
    assert percent is not None
    assert percent - 1 < share <= percent
    # Binary fractions tell eleven digits of a percentage apart, and so does no reader.
    assert abs(several - percent) <= (1 if abs(share - round(share)) < Fraction(1, 10**4) else 0)
    assert graded == ("ok" if share <= 33 else "caution" if share <= 65 else "unreliable")
    assert STATUSES[position] == ("ok" if several <= LIMITS[0] else "caution" if several <= LIMITS[1] else "unreliable")


def test_the_limits_are_those_of_statistical_agencies() -> None:
    """A coefficient of variation of 16.6% and of 33.3%, in terms of half a 95% margin: 1.96 of them."""
    assert (round(1.96 * 16.6), round(1.96 * 33.3)) == LIMITS


@pytest.mark.parametrize(
    ("value", "low", "high", "graded", "percent"),
    [
        (100.0, 67.0, 133.0, "ok", 33),
        (1000.0, 670.0, 1331.0, "caution", 34),
        (100.0, 35.0, 165.0, "caution", 65),
        (1000.0, 350.0, 1651.0, "unreliable", 66),
        (-100.0, -133.0, -67.0, "ok", 33),
        (7.0, 7.0, 7.0, "unreliable", 0),
        (0.0, 0.0, 0.0, "unreliable", None),
        (0.0, 0.0, 4.0, "unreliable", None),
        (30.0, 30.0, np.nan, "unreliable", None),
        (np.nan, np.nan, np.nan, "unreliable", None),
    ],
)
def test_grades(value: float, low: float, high: float, graded: str, percent: int | None) -> None:
    """On a limit is within it; a zero, no value, no upper end, and a margin that was cut to nothing are unreliable."""
    arrays = [np.array([each]) for each in (value, low, high)]
    (position,), (found,) = grades(*arrays, np.array([False])), margin_percents(*arrays)
    assert STATUSES[position] == graded
    assert (None if np.isnan(found) else found) == percent
    if not np.isnan(value):
        number, *ends = (None if np.isnan(each) else Decimal(str(each)) for each in (value, low, high))
        assert grade(number or Decimal(0), *ends) == graded


def test_a_whole_percentage_is_not_pushed_up_by_binary_fractions() -> None:
    """33% of a number in cents is 33%, whatever its binary fraction says."""
    values = np.arange(1, 20_000) / 100
    half = np.round(values * 0.33, 4)
    assert set(margin_percents(values, values - half, values + half)) == {33.0}
