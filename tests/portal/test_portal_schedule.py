"""When datasets come out, and what happened to each period: on the page of a dataset and on that of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from page_reading import Page, family, loaded

if TYPE_CHECKING:
    import requests
    from portal_process import Running


@pytest.fixture(scope="module")
def ids(portal: Running) -> dict[str, str]:
    """The datasets that have the schedule."""
    return family(portal)


def periods(page: Page) -> list[str]:
    """The rows of its tables, as text."""
    rows = page.text.split("<tr>")[1:]
    return [Page(row.partition("</tr>")[0]).words for row in rows if '<th scope="row">' in row]


@pytest.mark.parametrize("name", ["main", "city"])
def test_a_dataset_shows_its_last_periods(portal: Running, ids: dict[str, str], name: str) -> None:
    """Schedule in words, next day, and the last four periods that were due; a companion has that of its family."""
    section = loaded(portal, f"/d/{ids[name]}").section("schedule")
    assert "Releases come out: Mondays at 6:00 (America/Chicago time). On a public holiday (US)" in section.words
    assert "The next one is due on January 1, 2999." in section.words
    found = periods(section)
    assert len(found) == 4
    assert found[0].endswith("late March 10, 2020 March 9, 2020 it is not made yet")
    assert found[1].endswith("refused at landing March 4, 2020 March 2, 2020 the file for it was refused")
    assert "held (public: edition 1) February 24, 2020" in found[2]
    assert found[3].endswith("released (edition 2) February 18, 2020 February 17, 2020")
    assert f'href="/d/{ids[name]}/schedule"' in section.text
    assert f'<a href="/d/{ids[name]}/releases/2020-W07/2">' in section.text


def test_all_periods_are_a_link_away(portal: Running, ids: dict[str, str]) -> None:
    """A hundred on a page, those that are not due yet first, and what every word means."""
    first = loaded(portal, f"/d/{ids['main']}/schedule")
    found = periods(first)
    assert len(found) == 100
    assert found[0].endswith("not due yet January 1, 2999")
    assert "Its day is over. A file came that is not as it should be." in first.words
    assert len(periods(loaded(portal, f"/d/{ids['main']}/schedule", page=1))) == 5
    loaded(portal, "/d/none-none/schedule", 404)


def test_one_page_has_all_datasets(portal: Running, ids: dict[str, str]) -> None:
    """The last periods of each, and every earlier one that is not there; a dataset without a page is there too."""
    page = loaded(portal, "/schedule")
    assert '<a href="/schedule" aria-current="page">Schedule</a>' in page.text
    found = periods(page)
    assert sum("not released February 1, 2023 January 13, 2020" in each for each in found) == 1
    assert "Water <b>used</b>" in page.words
    assert "Nothing of it is public at this time." in page.words
    assert sum("under review February 2, 2020" in each for each in found) == 1
    assert "whether and when a release appears is outside the privacy guarantee" in page.words
    spanish = loaded(portal, "/es/schedule").words
    assert "archivo rechazado" in spanish
    assert "Se publica: Mondays at 6:00 (hora de America/Chicago)." in spanish


def test_the_same_as_json(web: requests.Session, portal: Running, ids: dict[str, str]) -> None:
    """All periods, with what has become late by the calendar, and the address of the page."""
    told = web.get(f"{portal.address}/schedule.json").json()["datasets"]
    found: dict[str, dict[str, Any]] = {each["dataset"]: each for each in told}
    assert found["calls"]["page"] == f"{portal.address}/d/{ids['main']}"
    assert found["water"]["page"] is None
    assert len(found["calls"]["periods"]) == 105
    late = found["calls"]["periods"][1]
    assert (late["state"], late["since"], late["reason"]) == ("late", "2020-03-10", "late")


def test_the_inventory_names_the_schedule(web: requests.Session, portal: Running, ids: dict[str, str]) -> None:
    """On the page, in JSON and in CSV."""
    assert "Releases come out: Mondays at 6:00" in loaded(portal, "/inventory").section("source-calls").words
    sources = web.get(f"{portal.address}/inventory.json").json()["sources"]
    (source,) = [each for each in sources if each["name"] == "calls"]
    assert [(each["dataset"], each["when"]) for each in source["schedules"]] == [("calls", "Mondays at 6:00")]
    assert "calls: Mondays at 6:00" in web.get(f"{portal.address}/inventory.csv").text


@pytest.mark.parametrize(
    "told",
    [
        "{",
        '{"dataset": "x", "title": "X", "timezone": "../../etc/passwd"}',
        '{"dataset": "x", "title": "X", "periods": [{"period": "2020", "due": "soon"}]}',
        '{"dataset": "x", "title": "X", "periods": [{"period": "2020", "due": "2020-01-01", "state": "<b>lost</b>"}]}',
    ],
)
def test_what_does_not_fit_is_not_shown(portal: Running, told: str) -> None:
    """A schedule that no publisher of ours writes leaves the pages as they were without one."""
    with portal.client() as client:
        fields = {"dataset": "odd", "schedule": told, "unpublished": f"[{told}]"}
        view = client.create("Odd", columns=[], metadata={"custom_fields": {"Publisher": fields}})
        client.publish(view["id"])
        client.set_permission(view["id"], "public")
        loaded(portal, f"/d/{view['id']}/schedule", 404)
        assert not loaded(portal, f"/d/{view['id']}").section("schedule").words
        assert "Odd" not in loaded(portal, "/schedule").words
        client.delete(view["id"])
