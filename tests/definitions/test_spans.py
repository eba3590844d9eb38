"""Which totals over time a dataset may declare, and which periods each of them adds up."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from publisher.definitions.period import parse
from publisher.definitions.totals import TotalOverTime, adds_over_time, spans
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from small_town import Town

    from publisher.definitions.dataset import Dataset

YEAR = {"name": "year", "title": "By year", "grain": "year"}
RUNNING = YEAR | {"grain": "year_to_date"}
RULE = {"measure": "people", "threshold": 3, "customers": 15, "largest_share": Decimal("0.15")}


def declared(town: Town, *totals: dict[str, Any], **says: Any) -> Dataset:
    return replace(town, dataset=town.dataset | says | {"totals": totals}).dataset_file().definition


def labels(total: TotalOverTime, first: str, end: date) -> dict[str, str]:
    return {
        each.period.label: f"{each.addends[0].label} {each.addends[-1].label} {len(each.addends)}"
        for each in spans(total, parse(first), end)
    }


def test_only_whole_times_are_added_up() -> None:
    """A quarter or a year needs all its periods, from the first to the last; nothing begins before the dataset does."""
    quarter, year = (TotalOverTime(name="t", title="T", grain=grain) for grain in ("quarter", "year"))
    assert labels(quarter, "2019-11", date(2020, 7, 1)) == {
        "2020-Q1": "2020-01 2020-03 3",
        "2020-Q2": "2020-04 2020-06 3",
    }
    assert labels(quarter, "2019-11", date(2020, 6, 30)) == {"2020-Q1": "2020-01 2020-03 3"}
    assert labels(year, "2019-Q2", date(2021, 1, 1)) == {"2020": "2020-Q1 2020-Q4 4"}
    assert labels(year, "2020-01-01", date(2020, 12, 31)) == {}
    assert labels(year, "2020-01-01", date(2021, 1, 1)) == {"2020": "2020-01-01 2020-12-31 366"}


def test_running_totals_are_named_after_their_last_period() -> None:
    """The year to date begins anew each year; the last twelve months need twelve."""
    to_date, moving = (TotalOverTime(name="t", title="T", grain=grain) for grain in ("year_to_date", "last_12_months"))
    found = labels(to_date, "2019-12", date(2020, 3, 1))
    assert found == {"2020-01": "2020-01 2020-01 1", "2020-02": "2020-01 2020-02 2"}
    assert labels(moving, "2019-03", date(2020, 3, 1)) == {"2020-02": "2019-03 2020-02 12"}
    assert labels(moving, "2019-Q2", date(2020, 7, 1)) == {
        "2020-Q1": "2019-Q2 2020-Q1 4",
        "2020-Q2": "2019-Q3 2020-Q2 4",
    }
    assert labels(moving, "2019-03", date(2019, 3, 1)) == {}


def test_what_adds_up_over_time(town: Town) -> None:
    """Counts, sums and bins do, and what is computed from them; units, and means of units, do not."""
    of_units = town.MEAN | {"name": "each_paid", "count": "people"}
    measures = (town.COUNT, town.UNITS, town.SUM, town.HISTOGRAM, town.MEAN, of_units)
    made = declared(town.people(measures=measures), YEAR)
    assert [each.name for each in made.measures if not adds_over_time(made, each)] == ["people", "each_paid"]


CITY = {"name": "city", "title": "City", "keys": ()}
REFUSED = [
    ({"period": "week", "first": "2020-W01"}, (YEAR,), r"totals\.0\.grain: a year cannot be divided into .* weeks"),
    ({"period": "year", "first": "2020"}, (YEAR,), r"totals\.0\.grain: a year cannot be divided into several"),
    ({"period": "quarter", "first": "2020-Q1"}, (YEAR | {"grain": "quarter"},), r"several whole quarters"),
    ({"grain": "day"}, (YEAR,), r"totals\.0\.of: the cells of that table are days: name a rollup whose grain is"),
    ({}, (YEAR | {"of": "city"},), r"totals\.0\.of: 'city' is not a published rollup of this dataset; it has: none"),
    ({"rollups": (CITY | {"publish": False},)}, (YEAR | {"of": "city"},), r"'city' is not a published rollup"),
    ({"rollups": (CITY,)}, (YEAR | {"name": "city"},), r"totals\.0\.name: another table has the same name"),
    ({}, (YEAR, YEAR), r"totals\.1\.name: another table has the same name"),
    ({}, (RUNNING,), r"the differences of running totals are the noisy numbers of the periods"),
    ({"publish_measurements": True, "period": "day", "first": "2020-01-01"},
     (RUNNING | {"grain": "last_12_months"},), r"totals\.0\.grain: needs a period of months or quarters"),
    ({"rollups": (CITY,), "suppression": {"measure": "requests", "threshold": 3, "complementary": True}}, (YEAR,),
     r"totals\.0: would show what suppression.complementary hides"),
]  # fmt: skip


@pytest.mark.parametrize(("says", "totals", "words"), REFUSED, ids=[each[2][-40:] for each in REFUSED])
def test_totals_that_cannot_be_are_refused(town: Town, says: Any, totals: Any, words: str) -> None:
    """Each with its key and the reason."""
    with pytest.raises(DefinitionError, match=words):
        declared(town, *totals, **says)


def test_a_customer_rule_allows_one_total_by_the_calendar(town: Town) -> None:
    """Differences would show what is withheld: no running totals, and no quarters beside years of one table."""
    measures = {"measures": (town.UNITS, town.SUM), "suppression": RULE, "publish_measurements": True}
    people = town.people(**measures)
    declared(people, YEAR)
    with pytest.raises(DefinitionError, match=r"totals\.0\.grain: under a customer rule only quarters and years"):
        declared(people, RUNNING)
    with pytest.raises(DefinitionError, match=r"totals\.1\.grain: under a customer rule there can be only one total"):
        declared(people, YEAR, YEAR | {"name": "quarter", "grain": "quarter"})


def test_a_customer_rule_allows_totals_of_one_published_table_only(town: Town) -> None:
    """Beside a published rollup, what is withheld could be worked out. Zones 1 and 2 are withheld in January and zone 2
    in February: two of its months, so its total is shown. February's zone 2 is the city less zone 1, January's is the
    total less its other months, and January's zone 1 is the city less that. A total of the city does it too: of two
    months in which the city is withheld, one may follow from its zones, and the total gives the other."""
    says = {"measures": (town.UNITS, town.SUM), "suppression": RULE}
    rollup = CITY | {"share": Decimal("0.5")}
    for total in (YEAR, YEAR | {"of": "city"}):
        with pytest.raises(
            DefinitionError, match=r"totals\.0: under a customer rule totals are for .* give city publish"
        ):
            declared(town.people(**says, rollups=(rollup,)), total)
    declared(town.people(**says, rollups=(rollup | {"publish": False},)), YEAR)
    with pytest.raises(DefinitionError, match=r"totals\.1\.grain: under a customer rule there can be only one total"):
        declared(town.people(**says), YEAR, YEAR | {"name": "again"})


def test_units_alone_have_no_total(town: Town) -> None:
    """Nothing is left that could be added up; and keys that are found anew in each period have no totals."""
    people = town.people(measures=(town.UNITS,), suppression={"measure": "people", "threshold": 3})
    with pytest.raises(
        DefinitionError, match=r"totals\.0: have nothing to add up: one unit that is counted in several"
    ):
        declared(people, YEAR)
    found = {"name": "category", "title": "Category", "other": "Other",
             "discover": {"share": Decimal("0.5"), "delta": Decimal("0.00001")}}  # fmt: skip
    with pytest.raises(DefinitionError, match=r"totals\.0: need public keys"):
        declared(town, YEAR, keys=(found,))


def test_measurements_that_everyone_reads_allow_running_totals(town: Town) -> None:
    """Their differences show nothing more."""
    made = declared(town, RUNNING, YEAR | {"name": "moving", "grain": "last_12_months"}, publish_measurements=True)
    assert [each.running for each in made.totals] == [True, True]
