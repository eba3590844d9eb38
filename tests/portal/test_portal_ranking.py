"""The ranking of a dataset with one period: every place with its number and range."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import requests
from test_portal_trend import REQUESTS, made, shape

if TYPE_CHECKING:
    from portal_process import Running

DAYS = {"name": "days", "label": "Median days", "kind": "quantile", "unit": "days", "range": "days_range"}


def row(zone: str, kind: str, value: int | None, status: str = "ok", *, period: str = "2020") -> dict[str, Any]:
    ends = (None, None) if value is None else (value - 4, value + 4)
    return {"id": f"{period}.{zone}.{kind}", "period": period, "period_start": f"{period}-01-01", "zone": zone,
            "kind": kind, "requests": value, "requests_low": ends[0], "requests_high": ends[1],
            "requests_status": status, "days": 3, "days_range": "3 to 5"}  # fmt: skip


ROWS = [
    row("Nord <b>", "a", 100), row("Süd", "a", 300, "caution"), row("West", "a", 304, "unreliable"),
    row("Ost", "a", None, "suppressed"),
    row("Nord <b>", "b", 1), row("Süd", "b", 2), row("West", "b", 3), row("Ost", "b", 4),
]  # fmt: skip


def without_kind(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name != "kind"}


@pytest.fixture(scope="module")
def ranked(portal: Running) -> str:
    return made(portal, "One year", ROWS, shape=shape("zone", "kind", measures=[REQUESTS, DAYS]))


def section(portal: Running, identifier: str, **wanted: str) -> str:
    reply = requests.get(f"{portal.address}/d/{identifier}", params=wanted, timeout=20)
    assert reply.status_code == 200
    found = re.search(r'<section id="ranking".*?</section>', reply.text, re.DOTALL)
    return found[0] if found else ""


def places(text: str) -> list[str]:
    """The lines of the list, without the pictures."""
    items = re.findall(r"<li>(.*?)<svg", text, re.DOTALL)
    return [" ".join(html.unescape(re.sub("<[^>]+>", "", each)).split()) for each in items]


def test_what_is_in_no_place_has_no_place_in_the_order(portal: Running) -> None:
    """Records without a place can be the most of all: they stand below the list, and in no row of the picture."""
    rows = [row("Nord", "a", 100), row("Unknown", "a", 900), row("Süd", "a", 300)]
    layout = json.loads(shape("zone", "kind", measures=[REQUESTS]))
    layout["keys"][0] |= {"other": "Unknown"}
    found = made(portal, "Unplaced", rows, shape=json.dumps(layout))
    text = section(portal, found, kind="a")
    assert [each.split()[0] for each in places(text)] == ["Süd", "Nord"]
    plain = " ".join(html.unescape(re.sub("<[^>]+>", "", text)).split())
    assert "In none of these: Unknown 900 (896 – 904)" in plain
    svg = requests.get(f"{portal.address}/d/{found}/chart.svg", params={"kind": "a"}, timeout=60).text
    assert "Unknown: 900" not in svg
    assert "In none of these: Unknown, 900 (896 – 904)" in re.sub(r"</text>\s*<text[^>]*>", " ", svg)


def test_the_largest_come_first_each_with_its_range(portal: Running, ranked: str) -> None:
    """Number, range and status beside the place; what is suppressed is named apart, without a place in the order."""
    found = section(portal, ranked, kind="a")
    assert places(found) == [
        "West 304 (300 – 308), probably within 2% · unreliable",
        "Süd 300 (296 – 304), probably within 2% · caution",
        "Nord <b> 100 (96 – 104), probably within 4%",
    ]
    assert [found.count(f'class="{mark}"') for mark in ("dots", "rings", "squares")] == [2, 1, 1]
    assert "Suppressed, no value: <span>Ost</span>" in found


def test_overlapping_ranges_are_said(portal: Running, ranked: str) -> None:
    """Where two ranges overlap, the page says that the noise may have decided the order, and only there."""
    words = "the noise may have decided their order"
    assert words in section(portal, ranked, kind="a")
    apart = made(portal, "Apart", [without_kind(each) for each in ROWS[:2]], shape=shape("zone", measures=[REQUESTS]))
    assert words not in section(portal, apart)


def test_other_measures_and_sums_can_be_chosen(portal: Running, ranked: str) -> None:
    """A quantile has no sum: the list offers none."""
    assert places(section(portal, ranked, kind="a", measure="days"))[0].startswith("Nord <b> 3")
    assert [each.split()[0] for each in places(section(portal, ranked, kind="*"))][:2] == ["West", "Süd"]
    assert ">All\n" in section(portal, ranked, kind="a")
    assert ">All\n" not in section(portal, ranked, kind="*", measure="days")


def test_several_periods_have_a_trend_and_no_ranking(portal: Running) -> None:
    """More than one period is a line over time."""
    rows = [without_kind(row("Süd", "a", 10)), without_kind(row("Süd", "a", 11, period="2021"))]
    identifier = made(portal, "Two years", rows, shape=shape("zone", measures=[REQUESTS]))
    assert section(portal, identifier) == ""
    page = requests.get(f"{portal.address}/d/{identifier}", timeout=20).text
    assert '<section id="trend"' in page


def test_the_picture_has_the_same_order(portal: Running, ranked: str) -> None:
    """And the same numbers, as text that can be read in the SVG."""
    reply = requests.get(f"{portal.address}/d/{ranked}/chart.svg", params={"kind": "a"}, timeout=20)
    lines = [html.unescape(each) for each in re.findall(r'text-anchor="end">([^<]*: [^<]*)<', reply.text)]
    assert lines == ["West: 304", "Süd: 300", "Nord <b>: 100"]
    assert requests.get(f"{portal.address}/d/{ranked}/chart.png", timeout=20).content[:4] == b"\x89PNG"
