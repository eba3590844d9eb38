"""What bounds leave out, in words: every kind of measure, nothing where nothing is left out, no direction in doubt."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from publisher.definitions.dataset import Bounds, Measure, Rollup
from publisher.definitions.source import Privacy
from publisher.portal.contract import BoundFacts, CountedShare
from publisher.release.bounds import bounds_of
from publisher.release.table import column_specs, shape_of

if TYPE_CHECKING:
    from small_town import Town

    from publisher.workspace import DatasetFile


def bounded(
    town: Town, *, window: str = "month", unit: str = "Applicant", cells: int = 2, each: int = 3, **more: Any
) -> DatasetFile:
    """The town's dataset for another privacy unit and other bounds."""
    made = town.dataset_file()
    privacy = Privacy.model_construct(**{**dict(made.source.definition.privacy), "unit": unit, "window": window})
    source = replace(made.source, definition=made.source.definition.model_copy(update={"privacy": privacy}))
    changes = {"bounds": Bounds(max_groups=cells, max_per_group=each), **more}
    return replace(made, source=source, definition=made.definition.model_copy(update=changes))


def measure(**values: Any) -> Measure:
    return Measure.model_validate({"name": "x", "title": "X", "kind": "count", "unit": "requests", **values})


PAID = measure(name="paid", kind="sum", unit="dollars", column="paid", lower=0, upper=Decimal(10000), resolution=1)


def words(dataset: DatasetFile, asked: Measure, rollup: Rollup | None = None) -> str:
    facts = bounds_of(dataset, asked, rollup)
    return facts.words() if facts is not None else ""


def test_a_count_says_both_bounds_and_that_the_total_is_higher(town: Town) -> None:
    """Records in a cell, cells in the time that bounds hold for, what a cell is, and the one direction that is sure."""
    assert words(bounded(town), measure()) == (
        "Counts at most 3 of the requests of one applicant in each of 2 cells a month (a cell: Place × Category); "
        "the real total is the same or higher."
    )


@pytest.mark.parametrize(
    ("window", "period", "grain", "said"),
    [
        ("year", "month", None, "a month (a cell: Place × Category)"),
        ("lifetime", "month", "day", "a month (a cell: Place × Category × day)"),
        ("month", "year", "month", "a month (a cell: Place × Category)"),
        ("month", "year", "day", "a month (a cell: Place × Category × day)"),
        ("year", "year", "month", "a year (a cell: Place × Category × month)"),
    ],
)
def test_bounds_hold_for_a_release_or_a_shorter_window(
    town: Town, window: str, period: str, grain: str | None, said: str
) -> None:
    """A window that is longer than a release is bounded in each release; a shorter one by itself."""
    dataset = bounded(town, window=window, period=period, grain=grain, cells=1)
    assert said in words(dataset, measure())
    assert "in one cell" in words(dataset, measure())


def test_a_sum_says_its_clamps_and_no_direction_in_doubt(town: Town) -> None:
    """A lower clamp of zero can raise only totals below zero; any other one can raise anything."""
    start = "Counts the total of one applicant in each of 2 cells a month as at least"
    said = words(bounded(town), PAID)
    assert said.startswith(f"{start} 0 and at most 10,000 dollars (")
    assert said.endswith("; apart from totals below 0, the real total is the same or higher.")
    for lower in (-5, 5):
        other = words(bounded(town), PAID.model_copy(update={"lower": Decimal(lower)}))
        assert other.startswith(f"{start} {lower} and at most 10,000 dollars")
        assert other.endswith("; the real total can be higher or lower.")


def test_single_records_are_cut_by_clamps_alone(town: Town) -> None:
    """Every record counts once: a count, units and quantiles say nothing, sums and means say their clamp."""
    dataset = bounded(town, unit="record", cells=1, each=1, measures=(measure(), PAID))
    mean = measure(name="m", kind="mean", unit="dollars", sum="paid", count="x")
    assert words(dataset, measure()) == words(dataset, measure(kind="count_units")) == ""
    clamp = "Counts each record as at least 0 and at most 10,000 dollars; "
    assert words(dataset, PAID) == f"{clamp}apart from totals below 0, the real total is the same or higher."
    assert words(dataset, mean) == f"{clamp}the real value can be higher or lower."


def test_means_and_quantiles_say_both_parts_and_no_direction(town: Town) -> None:
    """A mean of what is counted may lie on either side of the real one."""
    dataset = bounded(town, measures=(measure(), PAID))
    mean = words(dataset, measure(name="m", kind="mean", unit="dollars", sum="paid", count="x"))
    assert "10,000 dollars (a cell: Place × Category). Counts at most 3 of the requests of one applicant" in mean
    quantile = words(
        dataset, measure(name="q", kind="quantile", unit="days", histogram="h", probability=Decimal("0.5"))
    )
    assert quantile.startswith("Counts at most 3 of the records of one applicant in each of 2 cells a month")
    assert mean.endswith("; the real value can be higher or lower.")
    assert quantile.endswith("; the real value can be higher or lower.")


def test_as_many_cells_as_there_are_leave_nothing_out(town: Town) -> None:
    """Nine cells a month: a bound of nine cells is not said, and units count everywhere."""
    dataset = bounded(town, cells=9)
    assert words(dataset, measure()) == (
        "Counts at most 3 of the requests of one applicant in each cell; the real total is the same or higher."
    )
    assert words(dataset, measure(kind="count_units")) == ""


def test_people_are_counted_in_full_where_they_have_one_cell(town: Town) -> None:
    """Someone whose other cells are left out still counts once in the whole city, but not once in every month."""
    city = Rollup.model_validate({"name": "city", "title": "City"})
    people = measure(kind="count_units", unit="people")
    assert words(bounded(town), people) == (
        "Counts one applicant in at most 2 cells a month (a cell: Place × Category); the real total is the same or "
        "higher."
    )
    assert words(bounded(town), people, city) == ""
    assert words(bounded(town, period="year", grain="month"), people, city) == ""
    assert words(bounded(town, period="year", window="year", grain="month"), people, city) != ""


def test_the_sentence_stands_in_the_shape_and_at_its_column(town: Town) -> None:
    """The shape carries it to the portal and the manifest, the column's description to every file and API."""
    dataset = bounded(town)
    shape = shape_of(dataset)
    (sentence,) = shape.bounds
    assert sentence == words(dataset, dataset.definition.measures[0])
    assert {each.name for each in column_specs(dataset) if sentence in each.description} == {"requests"}
    assert shape_of(town.dataset_file()).bounds == ()


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.744, 0.826, "this counts about 74% to 83% of"), (0.947, 0.999, "this counts at least about 94% of")],
)
def test_the_share_is_rounded_outwards(low: float, high: float, said: str) -> None:
    """The two ends never look closer than they are, and all of it is no end."""
    share = CountedShare(measure="x", low=low, high=high, period="2021-Q4", at="2022-02-01")
    assert share.words() == f"By a noisy measurement of 2021-Q4, made on 2022-02-01, {said} everything."


def test_a_measured_share_says_of_what() -> None:
    """About how much, between rounded ends unless they are far apart, and the wider bounds that leave anything out."""
    wider = BoundFacts(kind="count", unit="applicant", cells=20, each=10, items="permits")
    found = CountedShare(measure="x", low=0.744, high=0.861, period="2021-Q4", at="2022-02-01", share=0.8, within=wider)
    about = "By a noisy measurement of 2021-Q4, about 80% (74% to 87%) of"
    within = "what wider limits would count (cells: 20, records in a cell: 10)"
    assert found.words() == f"{about} {within} is counted."
    wide = found.model_copy(update={"low": 0.331})
    assert wide.words() == f"By a noisy measurement of 2021-Q4, between 33% and 87% of {within} is counted."
    everything = found.model_copy(update={"within": None, "share": 0.99999, "high": 1.0})
    assert everything.words() == "By a noisy measurement of 2021-Q4, at least 74% of everything is counted."
    hidden = everything.model_copy(update={"low": 0.004})
    assert hidden.words() == "A noisy measurement of 2021-Q4 cannot tell how much of everything is counted."
    clamped = found.model_copy(update={"within": BoundFacts(kind="sum", lower="0", upper="50000", amount="liters")})
    assert "(total in a cell: 50,000)" in clamped.words()
