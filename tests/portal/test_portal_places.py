"""Several places in one chart: on one scale, each with its margins, and in words which of them differ."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from page_reading import WEEKS, family, loaded

from publisher.portal.base.differences import NoiseLaw
from publisher.portal.contract import ShapeMeasure
from publisher.portal.pages.chart import ChartPoint, draw_together
from publisher.portal.pages.places import PlaceLine, _aligned, _pairs
from publisher.portal.pages.trend import PERIODS

if TYPE_CHECKING:
    from portal_process import Running

LAW = NoiseLaw(step=1, least=10, most=10, same_release=10, other_release=10)


def line(name: str, *values: int | None) -> PlaceLine:
    """A place with these numbers, each ± 10, in consecutive months."""
    points = [
        ChartPoint(f"2024-{month:02}", None, status="suppressed")
        if value is None
        else ChartPoint(f"2024-{month:02}", Decimal(value), Decimal(value - 10), Decimal(value + 10))
        for month, value in enumerate(values, start=1)
    ]
    return PlaceLine(name, name, points, draw_together([points])[0])


@pytest.mark.parametrize("law", [LAW, None], ids=["law", "no law"])
def test_overlapping_bands_are_said_in_words(law: NoiseLaw | None) -> None:
    """The latest month in which both have a number decides, by the noise where its law is known and by the ranges where
    not; how often the ranges overlap is counted over all months that have both."""
    measure = ShapeMeasure(name="requests", label="Requests", noise=law)
    lines = [line("A", 100, 300, 200, 210), line("B", 105, 100, 120, None), line("C", 500, 300, 205, 208)]
    found = {(each.first, each.second): each for each in _pairs(lines, measure)}
    assert found["A", "B"].found.verdict == "higher"
    assert (found["A", "B"].period, found["A", "B"].overlapping, found["A", "B"].both) == ("2024-03", 1, 3)
    assert found["A", "C"].found.verdict == "cannot be told apart"
    assert (found["A", "C"].period, found["A", "C"].overlapping, found["A", "C"].both) == ("2024-04", 3, 4)
    assert found["B", "C"].found.verdict == "lower"


def test_more_places_need_more_evidence() -> None:
    """What is said of several pairs holds together with 95%: what two places show alone may go unsaid."""
    measure = ShapeMeasure(name="requests", label="Requests", noise=LAW)
    alone = [line("A", 100), line("B", 118)]
    assert _pairs(alone, measure)[0].found.verdict == "lower"
    together = _pairs([*alone, line("C", 400), line("D", 800)], measure)
    assert together[0].found.verdict == "cannot be told apart"


def test_places_share_one_scale_and_their_periods() -> None:
    """A place without a month has a gap there, and the highest of all ends the axis for each."""
    one, other = line("A", 100, 900).points, line("B", None, 50).points[1:]
    aligned = _aligned(other, ["2024-01", "2024-02"])
    assert [point.value for point in aligned] == [None, Decimal(50)]
    charts = draw_together([one, aligned])
    assert charts[0].values == charts[1].values
    assert charts[0].values[0] == 1000
    assert draw_together([[ChartPoint("2024-01", None)]]) == []


def test_a_page_compares_places(portal: Running) -> None:
    """Two zones whose ranges overlap in every week that has both; the chart's name and the table say the numbers."""
    path = f"/d/{family(portal)['main']}/places"
    page = loaded(portal, path, place=["A & <b>", "B"])
    assert "They cannot be told apart." in page.words
    both = sum(week % 3 != 0 for week in range(WEEKS - PERIODS, WEEKS))
    assert f"Their ranges overlap in {both} of {both} periods." in page.words
    label = next(svg["aria-label"] or "" for svg in page.all("svg") if svg.get("role") == "img")
    assert label.startswith("Line chart: Requests, A & <b>, B. A & <b>, ")
    assert page.text.count('class="band"') == 4  # in the chart and in the legend
    assert "1,119 ± 10 (1%)" in page.words
    assert "1118 ± 10" not in page.words


@pytest.mark.parametrize("wrong", [{}, {"place": "none"}, {"place": ["B", "B"]}, {"place": "B", "measure": "days"}])
def test_a_question_without_two_places_is_answered(portal: Running, wrong: dict[str, str]) -> None:
    """The form stands, and one place is a chart without comparison."""
    page = loaded(portal, f"/d/{family(portal)['main']}/places", **wrong)
    assert "Which places differ" not in page.words
    assert len([box for box in page.all("input") if box.get("name") == "place"]) == 2


def test_a_dataset_without_places_has_no_such_page(portal: Running, sample: str) -> None:
    """The whole city, and rows of which nothing is said."""
    loaded(portal, f"/d/{family(portal)['city']}/places", 404)
    loaded(portal, f"/d/{sample}/places", 404)
    assert "/places" not in loaded(portal, f"/d/{family(portal)['city']}").text
