"""The trend: totals from the table that has them, sums that say what is left out, and what the noise lets one say."""

from __future__ import annotations

import json
import random
import re
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests

from publisher.definitions.period import parse
from publisher.pipeline.charges import mechanisms_of
from publisher.portal.base.differences import NoiseLaw, Published, estimate, total
from publisher.portal.pages.aggregates import Total
from publisher.privacy.finish import finish
from publisher.privacy.mechanism import add_noise
from publisher.stages import BoundedAggregate
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portal_process import Running

LAW = NoiseLaw(step=1, least=3, most=3.4, same_release=3.4, other_release=3.2)
REQUESTS = {"name": "requests", "label": "Requests", "kind": "count", "unit": "requests", "low": "requests_low",
            "high": "requests_high", "status": "requests_status", "noise": asdict(LAW)}  # fmt: skip
MEASURES = [
    REQUESTS,
    {"name": "cost", "label": "Cost", "kind": "sum", "unit": "dollars", "low": "cost_low", "high": "cost_high"},
    {"name": "people", "label": "People", "kind": "count_units", "unit": "people"},
    {"name": "days", "label": "Median days", "kind": "quantile", "unit": "days", "range": "days_range"},
]
COLUMNS = {"id": "text", "period": "text", "period_start": "calendar_date", "zone": "text", "kind": "text",
           "requests": "number", "requests_low": "number", "requests_high": "number", "requests_status": "text",
           "cost": "number", "cost_low": "number", "cost_high": "number", "people": "number", "days": "number",
           "days_range": "text"}  # fmt: skip


def shape(*keys: str, measures: Iterable[Any] = MEASURES) -> str:
    said = {"time": "period_start", "period": "period", "keys": [{"name": key, "label": key.title()} for key in keys]}
    return json.dumps(said | {"measures": list(measures)})


def made(portal: Running, title: str, rows: list[dict[str, Any]], **fields: str) -> str:
    """A public dataset whose columns are those of the rows and their shape."""
    told = json.loads(fields["shape"])
    columns = [name for name in COLUMNS if not (name in ("zone", "kind") and name not in str(told["keys"]))]
    with portal.client() as client:
        view = client.create(
            title,
            columns=[{"fieldName": name, "name": name.title(), "dataTypeName": COLUMNS[name]} for name in columns],
            metadata={"rowIdentifier": "id", "custom_fields": {"Publisher": fields}},
        )
        client.upsert(view["id"], rows)
        client.publish(view["id"])
        client.set_permission(view["id"], "public")
        identifier: str = view["id"]
        return identifier


def cell(month: int, zone: str, kind: str, value: int | None, *margin: int, **more: Any) -> dict[str, Any]:
    period = f"2020-{month:02}"
    low, high = margin or (None, None)
    where = {
        "id": f"{period}.{zone}.{kind}",
        "period": period,
        "period_start": f"{period}-01",
        "zone": zone,
        "kind": kind,
    }
    status = "suppressed" if value is None else "ok"
    number = {"requests": value, "requests_low": low, "requests_high": high, "requests_status": status}
    return where | number | more


@pytest.fixture(scope="module")
def summed(portal: Running) -> str:
    """Up to three cells a month, one of them sometimes suppressed."""
    rows = [
        cell(1, "A", "x", 100, 97, 103, cost=1000, cost_low=900, cost_high=1200, people=7, days=3, days_range="2 to 3"),
        cell(1, "B", "x", 50, 47, 53, cost=10, cost_low=0, cost_high=30, people=7, days=1, days_range="up to 1"),
        cell(1, "C", "x", 5, 2, 8, cost=1, cost_low=0, cost_high=2, people=7, days=1, days_range="up to 1"),
        cell(2, "A", "x", 40, 38, 42),
        cell(2, "B", "x", None),
        cell(3, "A", "x", None),
        cell(4, "A", "x", 1, 0, 4),
        cell(4, "B", "x", 2, 0, 5),
        cell(5, "A", "x", 0, 0, 0),
        cell(5, "B", "x", 9, 6, 12),
    ]
    companions = json.dumps([{"name": "town-kinds", "title": "Requests by kind"}])
    return made(portal, "Town", rows, shape=shape("zone", "kind"), dataset="town", companions=companions)


@pytest.fixture(scope="module")
def companion(portal: Running) -> str:
    rows = [cell(1, "", "x", 157, 155, 159), cell(2, "", "x", None)]
    for row in rows:
        del row["zone"]
    companions = json.dumps([{"name": "town", "title": "Town"}])
    said = shape("kind", measures=[REQUESTS])
    return made(portal, "Requests by kind", rows, shape=said, dataset="town-kinds", companions=companions)


def section(portal: Running, identifier: str, **wanted: str) -> str:
    reply = requests.get(f"{portal.address}/d/{identifier}", params=wanted, timeout=60)
    assert reply.status_code == 200
    return reply.text.split('<section id="trend"')[1].split("</section>")[0]


def numbers(text: str) -> dict[str, list[str]]:
    """The table's cells by period."""
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', text)
    return {period: re.findall(r"<td[^>]*>(.*?)</td>", cells) for period, cells in rows}


def bare(text: str) -> dict[str, list[str]]:
    """The same without the margin, which repeats the ends."""
    return {period: [value, *rest] for period, (value, _, *rest) in numbers(text).items()}


def test_a_sum_has_a_range_where_nothing_is_left_out(portal: Running, summed: str) -> None:
    """It follows from the noise of its cells, ends at zero, and contains the sum; suppressed cells are counted and the
    sum is called partial, without a range. A cell that does not tell its estimate may be far below zero."""
    text = section(portal, summed, zone="*", kind="x")
    assert numbers(text)["2020-01"][1] == "± 7 (5%)"
    found = bare(text)
    half = 3.4 * 3**0.5 + 0.5
    assert (155 - 1.5 - half, 155 + 1.5 + half) == pytest.approx((147.11, 162.89), abs=0.01)
    assert found["2020-01"] == ["155", "148", "162", "ok", ""]
    assert found["2020-02"] == ["40", "", "", "partial", "1"]
    assert found["2020-03"] == ["", "", "", "suppressed", "1"]
    assert found["2020-04"] == ["3", "0", "10", "unreliable", ""]
    assert found["2020-05"] == ["9", "0", "14", "unreliable", ""]
    assert "Partial:</strong> 2 cells are suppressed and not included in these sums. The real totals are likely" in text
    assert "the noise decides which cells are suppressed" in text


def test_a_sum_is_graded_like_a_cell() -> None:
    """Half its margin decides, by the same limits."""
    ends = [(Decimal(100 - half), Decimal(100 + half)) for half in (33, 34, 65, 66)]
    statuses = [Total(Decimal(100), *both, 0).status for both in ends]
    assert statuses == ["ok", "caution", "caution", "unreliable"]
    assert Total(None, None, None, 3).status == "suppressed"
    assert Total(Decimal(9), None, None, 3).status == "partial"


def test_a_sum_without_the_law_of_its_noise_has_no_range(portal: Running, summed: str) -> None:
    """Margins of single cells do not say how far a sum of published numbers is off, so none is made up."""
    text = section(portal, summed, zone="*", kind="x", measure="cost")
    assert bare(text)["2020-01"] == ["1,011", "", "", "", ""]
    assert "No table has these sums, and they have no range" in text
    assert "likely higher" not in text  # amounts may be negative
    assert "95%" not in text


def test_ranges_of_sums_are_those_of_the_estimates(portal: Running) -> None:
    """What the page adds up in SoQL is what the estimates behind published numbers add up to, whatever was cut or
    widened, also where values may be negative and steps are no whole numbers."""
    dice = random.Random(4)
    for law in (LAW, NoiseLaw(0.5, 3, 3.5, 4, 4, signed=True)):
        rows, wanted, untold = [], {}, 0
        for month in range(1, 13):
            cells = []
            for zone in "ABC":
                value = dice.randrange(-9 if law.signed else 0, 12)
                low, high = value - dice.randrange(5), value + dice.randrange(5)
                cells.append(Published(value, low if law.signed else max(low, 0), high))
                rows.append(cell(month, zone, "x", value, int(cells[-1].low), high))
            untold += sum(estimate(each, law)[0] is None for each in cells)
            summed = total(cells, law)
            wanted[f"2020-{month:02}"] = [shown(each) for each in summed]
        said = shape("zone", "kind", measures=[REQUESTS | {"noise": asdict(law)}])
        found = bare(section(portal, made(portal, "Chance", rows, shape=said), zone="*", kind="x"))
        assert {period: each[:3] for period, each in found.items()} == wanted
        assert (untold > 0) != law.signed


def shown(number: float) -> str:
    return f"{number:g}".replace("-", "\N{MINUS SIGN}")


def test_units_and_medians_are_never_added_up(portal: Running, summed: str) -> None:
    """Neither is offered as a sum nor shown as one; a median says its range in words."""
    for measure in ("people", "days"):
        text = section(portal, summed, zone="*", kind="*", measure=measure)
        assert 'value="*"' not in text
        assert "added up" not in text.split("</form>")[1]
    text = section(portal, summed, zone="A", kind="x", measure="days")
    assert numbers(text)["2020-01"] == ["3", "", "", "", "ok", "2 to 3"]


def test_a_total_is_shown_from_the_table_that_has_it(portal: Running, summed: str, companion: str) -> None:
    """Where a companion has just the cells that a reader adds up, its numbers and ranges are shown, named as its own,
    suppressed ones too; nothing is added up. The page leads to the same cell there."""
    text = section(portal, summed, zone="*", kind="x")
    link = re.findall(r'<a href="([^"]*)">Requests by kind</a>', text)
    assert link == [f"/d/{companion}?kind=x&amp;measure=requests#trend"]
    assert bare(text) == {"2020-01": ["157", "155", "159", "ok"], "2020-02": ["", "", "", "suppressed"]}
    assert "These numbers are from another table" in text
    assert "added up across cells" not in text
    assert "Partial" not in text
    assert numbers(section(portal, companion, kind="x", measure="requests")) == numbers(text)
    for wanted in ({"zone": "A", "kind": "x"}, {"zone": "*", "kind": "*"}, {"zone": "A", "kind": "*"}):
        assert "Requests by kind" not in section(portal, summed, **wanted)
    assert "Requests by kind" not in section(portal, summed, zone="*", kind="x", measure="cost")


@pytest.fixture(scope="module")
def district(portal: Running) -> str:
    """Places whose whole is a table of its own, also with the people, who are not added up."""
    people = {"people": 9, "days": 2, "days_range": "up to 2"}
    rows = [cell(month, "", "", 300, 290, 310, **people) for month in (1, 2)]
    for row in rows:
        del row["zone"], row["kind"]
    parts = json.dumps([{"name": "district", "title": "District"}])
    made(portal, "Whole district", rows, shape=shape(), dataset="district-whole", companions=parts)
    cells = [cell(month, "A", "x", 100, 97, 103, **people) for month in (1, 2)]
    whole = json.dumps([{"name": "district-whole", "title": "Whole district"}])
    return made(portal, "District", cells, shape=shape("zone", "kind"), dataset="district", companions=whole)


@pytest.mark.parametrize(("measure", "first"), [("requests", "300"), ("people", "9"), ("days", "2")])
def test_the_first_view_is_the_citys_own_line(portal: Running, district: str, measure: str, first: str) -> None:
    """Until a place is chosen, each list is at "All" and the numbers are those of the table of the whole, whatever the
    measure: nothing is added up."""
    text = section(portal, district, measure=measure)
    assert re.findall(r'<option value="\*"([^>]*)>All\n', text) == [" selected"] * 2
    assert [cells[0] for cells in numbers(text).values()] == [first] * 2
    assert "Whole district</a>" in text
    assert "added up" not in text


def test_a_chosen_place_is_that_place(portal: Running, district: str, summed: str) -> None:
    """A key in the address leads to the cell with the most reliable numbers, as does a family without a whole."""
    for dataset, wanted in ((district, {"zone": "A"}), (summed, {})):
        text = section(portal, dataset, **wanted)
        assert '<option value="*" selected>' not in text
        assert "<option selected>A\n" in text
    refused = section(portal, district, zone="A", kind="*", measure="people")
    assert "these cells cannot be added up" in refused


def series(portal: Running, *values: int | None, **fields: str) -> str:
    """A dataset of one cell with these numbers over time, each give or take 3; its periods are releases."""
    rows = [
        cell(month, "A", "x", value, *([] if value is None else [value - 3, value + 3]))
        for month, value in enumerate(values, 1)
    ]
    released = [{"period": row["period"], "edition": 1, "created": "2021-01-01T00:00:00+00:00", "rows": 1,
                 "suppressed": 0, "unreliable": 0} for row in rows]  # fmt: skip
    said = {"shape": shape("zone", "kind", measures=[REQUESTS]), "releases": json.dumps(released)}
    return made(portal, "Course", rows, **said | fields)


def test_what_the_noise_could_have_made_is_not_said(portal: Running) -> None:
    """Numbers that differ by less than the noise are neither highest nor rising; the page says so."""
    text = section(portal, series(portal, 20, 23, 22, 24, 21, 25))
    assert "No change that stands out from the noise" in text
    assert "April 2020" not in text
    assert "Apr 2020 to Jun 2020 compared with Jan 2020 to Mar 2020: on average +1.7 (between \N{MINUS SIGN}2" in text
    for word in ("Highest", "Lowest", "Rising", "Falling"):
        assert word not in text.replace("whether the numbers rise", "")


def test_what_the_noise_could_not_have_made_is_said(portal: Running) -> None:
    """A rise beyond the noise is called one, with its range; so are a fall, and numbers beyond all others."""
    text = section(portal, series(portal, 20, 22, 23, 60, 61, 90))
    half = 3.2 * (6 * (1 / 3) ** 2) ** 0.5 + 1 / 6
    assert (48.7 - 1 - half, 48.7 + 1 + half) == pytest.approx((44.9, 52.5), abs=0.1)
    assert "<strong>Rising</strong>" in text
    assert "Apr 2020 to Jun 2020 is on average 48.7 higher than Jan 2020 to Mar 2020 (between 44.8 and 52.5)" in text
    assert "Highest: 90 in June 2020." in text
    assert "Lowest" not in text  # 20 and 22 cannot be told apart
    text = section(portal, series(portal, 90, 61, 60, 23, 22, 5))
    assert "<strong>Falling</strong>" in text
    assert "is on average 53.7 lower than" in text
    assert "Lowest: 5 in June 2020." in text


def test_suppressed_numbers_leave_no_verdict(portal: Running) -> None:
    """The noise decided which are suppressed, so nothing rises or falls. One of them may be the lowest, and where a
    customer rule or another measure decides, the highest."""
    text = section(portal, series(portal, 20, 22, None, 60, 61, 90))
    assert "1 of these periods has no number, so it is not said whether" in text
    assert "Rising</strong>" not in text
    assert "Highest" not in text
    assert "Lowest" not in text


def test_a_running_total_is_not_taken_for_another(portal: Running) -> None:
    """The year to date and the last 12 months are named after the same months; a sum of the one is not the other."""
    rows = [cell(month, zone, "x", 100, 97, 103) for month in (1, 2) for zone in ("A", "B")]
    whole = [cell(month, "", "x", 4321, 4318, 4324) for month in (1, 2)]
    for row in whole:
        del row["zone"]

    def beside(name: str) -> str:
        return json.dumps([{"name": name, "title": name}])

    said = {"dataset": "burg-moving", "companions": beside("burg"), "over_time": "last_12_months"}
    other = made(portal, "Burg, moving", whole, shape=shape("kind", measures=[REQUESTS]), **said)
    own = {"dataset": "burg", "companions": beside("burg-moving"), "over_time": "year_to_date"}
    text = section(portal, made(portal, "Burg", rows, shape=shape("zone", "kind"), **own), zone="*", kind="x")
    assert other not in text
    assert bare(text)["2020-01"][0] == "200"


def test_periods_of_one_release_are_not_independent(portal: Running) -> None:
    """Without releases of their own, the wider constant of numbers of one release decides."""
    text = section(portal, series(portal, 20, 22, 23, 60, 61, 90, releases=""))
    assert "(between 44.7 and 52.7)" in text


def test_nothing_is_said_without_the_law_of_the_noise(portal: Running) -> None:
    """A table that does not tell how its noise is distributed has no verdict; nor has a short series."""
    told = {name: value for name, value in REQUESTS.items() if name != "noise"}
    text = section(portal, series(portal, 20, 22, 23, 60, 61, 90, shape=shape("zone", "kind", measures=[told])))
    assert "Rising" not in text
    assert "Highest" not in text
    assert "Rising" not in section(portal, series(portal, 20, 60, 90))


def test_zero_is_named(portal: Running, summed: str) -> None:
    """The zero line stands in the legend."""
    assert re.search(r'class="base" d="M0 6h28"/></svg> zero', section(portal, summed, zone="A", kind="x"))


@pytest.mark.parametrize(("headline", "figure", "words"), [("days", "3", "median days"), ("", "40", "requests")])
def test_the_measure_that_leads_is_the_one_that_the_dataset_names(
    portal: Running, headline: str, figure: str, words: str
) -> None:
    """On the page, on the card of the catalog and in the chart; without a name it is the first one."""
    row = {
        "id": "1",
        "period": "2020-01",
        "period_start": "2020-01-01",
        "requests": 40,
        "days": 3,
        "days_range": "2 to 4",
    }
    title = f"Led by {headline or 'the first'}"
    identifier = made(portal, title, [row], shape=shape(), headline=headline)
    page = requests.get(f"{portal.address}/d/{identifier}", timeout=60).text
    card = requests.get(portal.address, params={"q": title}, timeout=60).text
    assert f'<p class="headline"><b class="figure">{figure}</b> <span><span>{words}</span>' in page
    assert f'<b class="figure">{figure}</b> <span>{words}</span>' in card
    assert numbers(section(portal, identifier, table="1"))["2020-01"][0] == figure


PERIODS = 100


@pytest.fixture(scope="module")
def trial() -> tuple[list[dict[str, Any]], dict[str, int], NoiseLaw]:
    """A hundred releases of one truth, each with its own noise, as periods; with the true total of each kind.

    Real definition but for its threshold, real noise, real finish; the truth is skewed: most cells are sparse, and
    numbers cut at zero bias their sums.
    """
    workspace = find_workspace(Path(__file__))
    dataset = workspace.dataset("boston-requests")
    suppression = dataset.definition.suppression.model_copy(update={"threshold": 0})
    definition = dataset.definition.model_copy(update={"suppression": suppression})
    levels = dataset.levels(parse(dataset.definition.first))
    finest, mechanisms = levels[-1], mechanisms_of(dataset, workspace.settings)
    truth = np.floor(np.random.default_rng(3).lognormal(np.log(0.8), 1.3, finest.grid.size)).astype(np.int64)
    exact = {
        (level.name, "requests"): np.bincount(level.cells, truth, level.grid.size).astype(np.int64) for level in levels
    }
    places, kinds = finest.grid.axes[0].keys, finest.grid.axes[1].keys
    totals = dict(zip(kinds, truth.reshape(len(places), len(kinds)).sum(axis=0).tolist(), strict=True))
    rows = []
    for number in range(PERIODS):
        table = finish(add_noise(BoundedAggregate(levels, exact), mechanisms), definition)[-1].measures[0]
        period = f"{1900 + number // 12}-{number % 12 + 1:02}"
        for n, (value, low, high) in enumerate(zip(table.value, table.low, table.high, strict=True)):
            place, kind = places[n // len(kinds)], kinds[n % len(kinds)]
            row = {"id": f"{period}.{n}", "period": period, "period_start": f"{period}-01", "zone": place, "kind": kind}
            row |= {"requests": int(value), "requests_low": int(low), "requests_high": int(high)}
            rows.append(row | {"requests_status": "ok"})
    assert table.noise is not None
    return rows, totals, table.noise


def test_ranges_of_sums_hold_the_truth(
    portal: Running, trial: tuple[list[dict[str, Any]], dict[str, int], NoiseLaw]
) -> None:
    """Over a hundred real releases of sparse cells, the page's range of each kind's sum holds the true total in 95 %.
    Releases are independent, and ends are rounded outward cell by cell, so a sound range fails far less than once in a
    million runs; one around estimates that are off by a step a cell, or that lacks the noise of the sum, is found."""
    rows, totals, law = trial
    said = shape("zone", "kind", measures=[REQUESTS | {"noise": asdict(law)}])
    identifier = made(portal, "A hundred releases", rows, shape=said)
    for kind, truth in totals.items():
        found = bare(section(portal, identifier, zone="*", kind=kind, table="1"))
        ends = [[int(each.replace(",", "")) for each in row[1:3]] for row in found.values()]
        assert len(ends) == PERIODS
        assert sum(not low <= truth <= high for low, high in ends) <= 0.05 * PERIODS + 12
