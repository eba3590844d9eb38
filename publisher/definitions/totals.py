"""Totals over time: which periods each total adds up.

A total of a quarter or a year appears when all its periods are released. A running total (the year to date, the last
twelve months) appears with every period, and is named after the last one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

from publisher.definitions.model import Model, RuleError, Slug, Wording
from publisher.definitions.period import NESTS, Period, containing

if TYPE_CHECKING:
    from publisher.definitions.dataset import Dataset, Measure
    from publisher.definitions.period import Grain

TotalGrain = Literal["quarter", "year", "year_to_date", "last_12_months"]

_CUT: dict[str, Grain] = {"quarter": "quarter", "year": "year", "year_to_date": "year", "last_12_months": "year"}
"""What the dataset's periods must divide."""
NAMES: dict[str, str] = {
    "quarter": "quarter",
    "year": "year",
    "year_to_date": "year to date",
    "last_12_months": "last 12 months",
}
"""Each grain, for people."""


class TotalOverTime(Model):
    """A table of totals over time, computed from the noisy numbers of released periods. It costs nothing."""

    name: Slug
    """Its table is published as <dataset>-<name>."""
    title: Wording
    """The title of its table."""
    grain: TotalGrain
    """What each row adds up: a quarter, a year, the year to date, or the last 12 months."""
    of: Slug | None = None
    """The published rollup whose cells it adds up. Default: the dataset's own table."""

    @property
    def level(self) -> str:
        """The name of the level whose cells it adds up; empty for the finest."""
        return self.of or ""

    @property
    def running(self) -> bool:
        """Whether each period begins another total, most of whose periods are those of the one before."""
        return self.grain in ("year_to_date", "last_12_months")


@dataclass(frozen=True)
class Span:
    """One total: the period that names it, and those that it adds up, in order."""

    period: Period
    addends: tuple[Period, ...]


def spans(total: TotalOverTime, first: Period, end: date) -> tuple[Span, ...]:
    """Every total of the periods from the first up to a day, in order.

    >>> from publisher.definitions.period import parse
    >>> yearly = TotalOverTime(name="year", title="By year", grain="year")
    >>> [(each.period.label, len(each.addends)) for each in spans(yearly, parse("2018-02"), date(2020, 1, 1))]
    [('2019', 12)]
    >>> moving = TotalOverTime(name="moving", title="Last 12 months", grain="last_12_months")
    >>> [each.period.label for each in spans(moving, parse("2018-02"), date(2019, 4, 1))]
    ['2019-01', '2019-02', '2019-03']
    >>> spans(moving, parse("2018-02"), date(2019, 2, 1))[0].addends[0].label
    '2018-02'
    """
    if end <= first.start:
        return ()
    whole = Period(first.start, end, first.grain)
    named = whole.cut(first.grain if total.running else _CUT[total.grain])
    found = [Span(each, Period(_start(total, each), each.end, each.grain).cut(first.grain)) for each in named]
    return tuple(each for each in found if each.addends[0].start >= first.start and each.period.end <= end)


def _start(total: TotalOverTime, named: Period) -> date:
    if total.grain == "last_12_months":
        return date(named.end.year - 1, named.end.month, 1)
    return containing(named.start, "year").start if total.running else named.start


def adds_over_time(dataset: Dataset, measure: Measure) -> bool:
    """Whether the sum over periods is a number of the same things.

    Units are not: a household that is counted in each of twelve months is one household. So neither are means of units.
    """
    parts = [each for each in dataset.measures if each.name in (measure.sum_, measure.count)]
    return measure.kind != "count_units" and all(each.kind != "count_units" for each in parts)


def check_totals(dataset: Dataset) -> None:
    """Raises RuleError for a total that cannot be computed, or that would show what is withheld."""
    names = [rollup.name for rollup in dataset.rollups]
    for n, total in enumerate(dataset.totals):
        if total.name in names:
            raise RuleError(("totals", n, "name"), "another table has the same name: rename one")
        names.append(total.name)
        _check_time(dataset, n, total)
        _check_cells(dataset, n, total)
        _check_withheld(dataset, n, total)


def _check_time(dataset: Dataset, n: int, total: TotalOverTime) -> None:
    cut = _CUT[total.grain]
    setting = ("totals", n, "grain")
    if dataset.period == cut or dataset.period not in NESTS[cut]:
        raise RuleError(setting, f"a {cut} cannot be divided into several whole {dataset.period}s: use another period")
    if total.grain == "last_12_months" and dataset.period == "day":
        raise RuleError(setting, "needs a period of months or quarters")


def _check_cells(dataset: Dataset, n: int, total: TotalOverTime) -> None:
    of = ("totals", n, "of")
    rollup = next((each for each in dataset.rollups if each.name == total.of), None)
    if total.of is not None and (rollup is None or not rollup.publish):
        known = ", ".join(each.name for each in dataset.companions) or "none"
        raise RuleError(of, f"{total.of!r} is not a published rollup of this dataset; it has: {known}")
    grain = (rollup.grain if rollup is not None else None) or dataset.cell_grain
    if grain != dataset.period:
        words = f"the cells of that table are {grain}s: name a rollup whose grain is the period, {dataset.period}"
        raise RuleError(of, words)
    if dataset.discovered is not None:
        raise RuleError(("totals", n), "need public keys, but this dataset discovers some: each period has others")
    if not any(measure.shown and adds_over_time(dataset, measure) for measure in dataset.measures):
        words = "have nothing to add up: one unit that is counted in several periods is still one unit"
        raise RuleError(("totals", n), words)


def _check_withheld(dataset: Dataset, n: int, total: TotalOverTime) -> None:
    rule, setting = dataset.suppression, ("totals", n, "grain")
    if rule.complementary:
        raise RuleError(("totals", n), "would show what suppression.complementary hides: delete one of them")
    if total.running and rule.customers is not None:
        words = "under a customer rule only quarters and years can be added up: the difference of two running totals is"
        raise RuleError(setting, f"{words} one period, which may be withheld")
    if total.running and not dataset.publish_measurements:
        words = "the differences of running totals are the noisy numbers of the periods, of suppressed cells too: set"
        raise RuleError(
            setting, f"{words} publish_measurements = true if everyone may read them, or use quarter or year"
        )
    if rule.customers is None:
        return
    if n:
        words = "under a customer rule there can be only one total: a year less three of its quarters shows the"
        raise RuleError(setting, f"{words} fourth, which may be withheld")
    if published := [each.name for each in dataset.rollups if each.publish]:
        # Two cells withheld in one month, and one of them in another month too, where it follows from its rollup: a
        # total in which two months are withheld is shown, so that cell follows in the first month, then the other.
        # And a total that is withheld for one month's sake follows from the rollup's total and its siblings.
        words = "under a customer rule totals are for a dataset with one published table: tables add up, so a cell"
        advice = f"give {', '.join(published)} publish = false, or delete the totals"
        raise RuleError(
            ("totals", n), f"{words} withheld in one month can follow from another month's and the total: {advice}"
        )
