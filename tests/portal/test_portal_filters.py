"""Filters of a dataset's rows by days and numbers, and paging through all of them, without a script."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from page_reading import Page, family, loaded
from portal_process import blank

from publisher.portal.base.kinds import Kind
from publisher.portal.base.model import PortalColumn
from publisher.portal.contract import ShapeMeasure, TableShape
from publisher.portal.pages.filters import filters_of

if TYPE_CHECKING:
    from portal_process import Running

COLUMNS = (
    PortalColumn(1, "period", "Month", Kind.TEXT, 1),
    PortalColumn(2, "starts", "Starts", Kind.FLOATING, 2),
    PortalColumn(3, "requests", "Requests", Kind.NUMBER, 3),
    PortalColumn(4, "requests_low", "Requests, low", Kind.NUMBER, 4),
)
SHAPE = TableShape(time="starts", period="period", measures=[ShapeMeasure(name="requests", label="Requests")])


def where(shape: TableShape | None = SHAPE, **wanted: str) -> str:
    """The condition for these parameters, with `__` for a dot."""
    dataset = replace(blank("abcd-1234"), columns=COLUMNS)
    given = {f"row.{name.replace('__', '.')}": value for name, value in wanted.items()}
    return filters_of(dataset, shape, lambda _clauses: [], given).where


@pytest.mark.parametrize(("wanted", "condition"), [
    ({"starts__from": "2024-01-01"}, "`starts` >= '2024-01-01'"),
    ({"starts__to": "2024-02-29"}, "`starts` < '2024-03-01'"),
    ({"requests__from": "-1.50", "requests__to": "1e3"}, "`requests` >= -1.50 AND `requests` <= 1000"),
    ({"requests__from": "0"}, "`requests` >= 0"),
    ({"starts__from": "", "requests__to": " "}, ""),
])  # fmt: skip
def test_a_span_is_a_condition(wanted: dict[str, str], condition: str) -> None:
    """Its last day counts whole; either end may be open."""
    assert where(**wanted) == condition


@pytest.mark.parametrize("text", ["abc", "'; DROP", "NaN", "Infinity", "1e999999", "2024-13-01", "9999-12-31", "1,5"])
def test_what_is_no_day_and_no_number_filters_nothing(text: str) -> None:
    """An address typed wrong shows all rows rather than an error."""
    assert where(starts__to=text, requests__from=text) == ""


def test_only_measures_have_spans() -> None:
    """The ends of a margin do not, where the shape says which columns are measures."""
    assert where(requests_low__from="1") == ""
    assert where(None, requests_low__from="1") == "`requests_low` >= 1"


def test_a_page_filters_by_days_and_numbers(portal: Running) -> None:
    """The form keeps what was chosen; rows chosen by their numbers come with a word on the noise."""
    main = f"/d/{family(portal)['main']}"
    days = {"row.period_start.from": "2020-01-06", "row.period_start.to": "2020-01-13"}
    page = loaded(portal, main, **days).section("rows")
    assert "Rows 1 to 4 of 4" in page.words
    assert "the noise decides" not in page.words
    chosen = {each["name"]: each["value"] for each in page.all("input") if each.get("type") == "date"}
    assert chosen == days
    page = loaded(portal, main, **{"row.requests.from": "1100", "row.requests.to": "1101.5"}).section("rows")
    assert re.search(r"Rows 1 to (\d) of \1", page.words)
    assert "the noise decides which rows near the limits are here" in page.words


def test_every_row_can_be_reached(portal: Running) -> None:
    """By pages of 10, 50 or 100: first, previous, next and last lead where they say; beyond the end is a way back."""
    main = f"/d/{family(portal)['main']}"

    def links(page: Page) -> dict[str | None, str]:
        return {link["rel"]: link["href"] or "" for link in page.all("a") if link.get("rel")}

    page = loaded(portal, main, size="100").section("rows")
    assert "Rows 1 to 100 of 240" in page.words
    found = links(page)
    assert (found.keys(), found["last"]) == ({"next", "last"}, "?size=100&rows=2#rows")
    page = loaded(portal, main, size="100", rows="2").section("rows")
    assert "Rows 201 to 240 of 240" in page.words
    assert links(page) == {"first": "?size=100#rows", "prev": "?size=100&rows=1#rows"}
    beyond = loaded(portal, main, size="100", rows="9").section("rows")
    assert links(beyond)["prev"] == "?size=100&rows=2#rows"
    assert "Rows 1 to 10 of 240" in loaded(portal, main, size="7").section("rows").words
