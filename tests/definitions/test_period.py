"""Civil periods: days, ISO weeks, months, quarters and years, their names and how they nest."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.definitions.period import LIFETIME, NESTS, Grain, Period, containing, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

DAYS = st.dates(date(1, 1, 1), date(9990, 12, 31))
GRAINS = st.sampled_from([grain for grain in get_args(Grain) if grain != "lifetime"])


def days(periods: Iterable[Period]) -> list[date]:
    return [each.start + timedelta(n) for each in periods for n in range((each.end - each.start).days)]


@given(day=DAYS, grain=GRAINS)
def test_every_day_lies_in_the_period_that_contains_it(day: date, grain: Grain) -> None:
    """A period contains its day, is found again from each end, and touches the next without a gap."""
    period = containing(day, grain)
    assert period.start <= day < period.end
    assert containing(period.start, grain) == containing(period.end - timedelta(1), grain) == period
    assert containing(period.end, grain).start == period.end


@given(day=DAYS, grain=GRAINS)
def test_names_are_read_back(day: date, grain: Grain) -> None:
    """The label of a period names that period, in every year."""
    period = containing(day, grain)
    assert parse(period.label) == period


@given(day=st.dates(date(1900, 1, 1), date(2200, 1, 1)), grain=st.sampled_from(sorted(NESTS)), part=GRAINS)
def test_nesting_is_exact(day: date, grain: Grain, part: Grain) -> None:
    """A period is cut into the grains it nests without remainder; into others it is covered, in order, without gaps."""
    period = containing(day, grain)
    cut = period.cut(part)
    assert all(left.end == right.start for left, right in pairwise(cut))
    assert all(each.grain == part and each.start < period.end and each.end > period.start for each in cut)
    assert cut[0].start <= period.start
    assert cut[-1].end >= period.end
    if part in NESTS[grain]:
        assert days(cut) == days([period])


@pytest.mark.parametrize(
    ("day", "label"),
    [
        ("2018-12-30", "2018-W52"),
        ("2018-12-31", "2019-W01"),
        ("2020-12-31", "2020-W53"),
        ("2021-01-03", "2020-W53"),
        ("2021-01-04", "2021-W01"),
        ("2016-01-01", "2015-W53"),
    ],
)
def test_weeks_over_year_ends(day: str, label: str) -> None:
    """A week belongs to the year of its Thursday."""
    assert containing(date.fromisoformat(day), "week").label == label


def test_quarters_and_blocks() -> None:
    """A quarter is three months; a record's blocks are days; a lifetime is one block whatever the period."""
    assert [each.label for each in parse("2020-Q1").cut("month")] == ["2020-01", "2020-02", "2020-03"]
    assert parse("2020-Q4").end == date(2021, 1, 1)
    assert len(parse("2020-02").cut("day")) == 29
    assert parse("2020").cut("lifetime") == (LIFETIME,)
    assert LIFETIME.label == "lifetime"
    assert [each.label for each in parse("2020-W01").cut("month")] == ["2019-12", "2020-01"]


@pytest.mark.parametrize(
    "text",
    ["", "x", "2020-13", "2020-00", "2020-02-30", "2019-W53", "2020-W54", "2020-W00", "2020-Q5", "2020-Q0", "0000",
     "9999", "9999-12-31", "9999-W52", "20", "2020-1", "2020-01\n", " 2020", "lifetime", "٢٠٢٠"],
)  # fmt: skip
def test_what_is_no_period_is_refused(text: str) -> None:
    """A date that does not exist, another form or a year beyond the calendar is a ValueError."""
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)
