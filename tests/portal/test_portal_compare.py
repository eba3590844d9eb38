"""Two numbers that a reader chose: they differ, or the noise lets no one tell them apart."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
import requests
from test_portal_trend import LAW, MEASURES, REQUESTS, cell, made, series, shape

if TYPE_CHECKING:
    from portal_process import Running


@pytest.fixture(scope="module")
def town(portal: Running) -> str:
    """Two months of a few cells; the medians have ranges."""
    days = {"name": "days", "label": "Median days", "kind": "quantile", "unit": "days", "range": "days_range",
            "low": "cost_low", "high": "cost_high"}  # fmt: skip
    rows = [
        cell(1, "A", "x", 32, 29, 35, days=3, cost_low=2, cost_high=4, days_range="2 to 4"),
        cell(1, "B", "x", 20, 17, 23, days=9, cost_low=5, cost_high=None, days_range="≥ 5"),
        cell(1, "C", "x", None),
        cell(2, "A", "x", 34, 31, 37, days=4, cost_low=3, cost_high=6, days_range="3 to 6"),
        cell(2, "B", "x", 21, 18, 24, days=1, cost_low=0, cost_high=1, days_range="0 to 1"),
    ]
    return made(portal, "Compared", rows, shape=shape("zone", "kind", measures=[REQUESTS, MEASURES[2], days]))


def verdict(portal: Running, identifier: str, first: str, second: str, language: str = "", **more: Any) -> str:
    """What the page says of two cells, each as zone and month."""
    wanted = {f"{name}_{key}": value for name, text in (("first", first), ("second", second))
              for key, value in zip(("zone", "period"), text.split(), strict=True)}  # fmt: skip
    return words(portal, identifier, language, **wanted | more)


def words(portal: Running, identifier: str, language: str = "", **wanted: Any) -> str:
    """The words of the section after its form."""
    reply = requests.get(f"{portal.address}{language}/d/{identifier}", params=wanted, timeout=60)
    assert reply.status_code == 200
    section = reply.text.split('<section id="compare"')[1].split("</section>")[0].split("</form>")[1]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", section)).strip()


def test_numbers_that_differ(portal: Running, town: str) -> None:
    """Twelve more than another is more than the noise could have made: by how much, with its range; and the other way
    round."""
    text = verdict(portal, town, "A 2020-01", "B 2020-01")
    half = 3.4 * 2**0.5 * 1.005 + 0.5
    assert (12 - 1 - half, 12 + 1 + half) == pytest.approx((5.67, 18.33), abs=0.01)
    assert text.startswith(
        "They differ: the first is higher by 12, between 6 and 18. A · x, January 2020: 32 (29 – 35)"
    )
    assert "does not cover records that the limits leave out, or chance in real life" in text
    text = verdict(portal, town, "B 2020-01", "A 2020-01")
    assert text.startswith("They differ: the first is lower by 12, between 6 and 18.")
    text = verdict(portal, town, "A 2020-01", "B 2020-01", "/es")
    assert text.startswith("Son distintas: la primera cifra es mayor en 12, entre 6 y 18.")


def test_one_period_offers_two_places(portal: Running) -> None:
    """A dataset with a single period has two places in the form, not the same number twice."""
    rows = [cell(1, zone, "x", 20, 17, 23) for zone in ("A", "B", "C")]
    found = made(portal, "One month", rows, shape=shape("zone", "kind", measures=[REQUESTS]))
    page = requests.get(f"{portal.address}/d/{found}", timeout=60).text
    form = page.split('<section id="compare"')[1].split("</form>")[0]
    chosen = [re.search(r"<option selected>(\w)", each) for each in form.split('_zone"')[1:]]
    assert [each[1] for each in chosen if each] == ["A", "B"]


def test_numbers_that_do_not(portal: Running, town: str) -> None:
    """Two more is what the noise could have made."""
    text = verdict(portal, town, "A 2020-02", "A 2020-01")
    assert text.startswith("They cannot be told apart. The noise alone could have made the difference of +2 (between ")
    assert "\N{MINUS SIGN}4 and +8)" in text
    assert verdict(portal, town, "A 2020-01", "A 2020-01").startswith("Both are the same number.")


def test_nothing_is_said_of_what_is_suppressed(portal: Running, town: str) -> None:
    """A suppressed cell, and one that the table lacks."""
    text = verdict(portal, town, "A 2020-01", "C 2020-01")
    assert text.startswith("Nothing can be said: one of the two is suppressed or has no range.")
    assert "C · x, January 2020: suppressed" in text
    assert "C · x, February 2020: not in the table" in verdict(portal, town, "A 2020-01", "C 2020-02")
    text = verdict(portal, town, "A 2020-01", "B 2020-01", compare="people")
    assert text.startswith("Nothing can be said")


def test_medians_differ_only_if_their_ranges_do_not_overlap(portal: Running, town: str) -> None:
    """Also where one range is open."""
    text = verdict(portal, town, "A 2020-02", "B 2020-02", compare="days")
    assert text.startswith("They differ: the first is higher by 3, between 2 and 6.")
    text = verdict(portal, town, "A 2020-01", "A 2020-02", compare="days")
    assert text.startswith("They cannot be told apart.")
    assert verdict(portal, town, "B 2020-01", "A 2020-01", compare="days").startswith(
        "They differ: the first is higher by 6, by at least 1."
    )


def test_the_form_works_by_itself(portal: Running, town: str) -> None:
    """Before anything is asked for, the form has every cell and period to choose, and nothing is said; values that do
    not exist are as if nothing was chosen; every field has a label."""
    page = requests.get(f"{portal.address}/d/{town}", timeout=60).text
    form = page.split('<section id="compare"')[1].split("</form>")[0]
    assert words(portal, town) == ""
    assert 'method="get"' in form
    names = re.findall(r'<select id="([^"]*)" name="([^"]*)"', form)
    assert [name for _, name in names] == [
        "first_zone", "first_kind", "first_period", "second_zone", "second_kind", "second_period", "compare",
    ]  # fmt: skip
    assert all(f'<label for="{identifier}"' in form for identifier, _ in names)
    assert "added up" not in form
    text = verdict(portal, town, "Nowhere 1999-01", "B 2020-01")
    assert "B · x, January 2020: 20" in text
    assert "<script" not in verdict(portal, town, "<script> 2020-01", "B 2020-01")


def test_a_long_form_is_a_link_away(portal: Running) -> None:
    """With many cells and periods the page has a link to the form instead, which keeps what else was chosen."""
    rows = [cell(1, f"Z{n}", "x", 20, 17, 23) for n in range(60)]
    identifier = made(portal, "Many", rows, shape=shape("zone", "kind", measures=[REQUESTS]))
    page = requests.get(f"{portal.address}/d/{identifier}?zone=Z3", timeout=60).text
    section = page.split('<section id="compare"')[1].split("</section>")[0]
    assert "<form" not in section
    assert 'href="?zone=Z3&amp;compare=requests#compare"' in section
    page = requests.get(f"{portal.address}/d/{identifier}?zone=Z3&compare=requests", timeout=60).text
    form = page.split('<section id="compare"')[1].split("</section>")[0]
    assert '<input type="hidden" name="zone" value="Z3">' in form
    assert form.count("<option") == 2 * (60 + 1 + 1)
    assert verdict(portal, identifier, "Z1 2020-01", "Z2 2020-01").startswith("They cannot be told apart")


def test_releases_of_their_own_are_independent(portal: Running) -> None:
    """Two periods of different releases are compared by the constant for those, two cells of one by the other one."""
    law = asdict(LAW) | {"same_release": 9.0}
    measures = [REQUESTS | {"noise": law}]
    identifier = series(portal, 32, 20, shape=shape("zone", "kind", measures=measures))
    assert verdict(portal, identifier, "A 2020-01", "A 2020-02").startswith("They differ")
    identifier = series(portal, 32, 20, shape=shape("zone", "kind", measures=measures), releases="")
    assert verdict(portal, identifier, "A 2020-01", "A 2020-02").startswith("They cannot be told apart")
