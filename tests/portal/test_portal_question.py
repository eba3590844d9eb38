"""Questions that readers build from lists: sums come with what is known about their noise, rows with their margins."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from page_reading import DAYS, MEASURE, Page, loaded

from publisher.portal.base.differences import NoiseLaw, Published, total

if TYPE_CHECKING:
    import requests
    from portal_process import Running

LAW = {"step": 1, "least": 10, "most": 10, "same_release": 10, "other_release": 10}
WEEKS = 3


@pytest.fixture(scope="module")
def counted(portal: Running) -> dict[str, str]:
    """Two zones in three weeks, once as they are and once as totals over time; B's last number is suppressed."""
    shape: dict[str, Any] = {
        "time": "period_start",
        "period": "period",
        "place": "zone",
        "keys": [{"name": "zone", "label": "Zone"}],
        "measures": [MEASURE | {"noise": LAW}, DAYS],
    }
    ends = ("requests", "requests_low", "requests_high", "days")
    kinds = dict.fromkeys(("id", "period", "zone", "requests_status"), "text")
    kinds |= {"period_start": "calendar_date"} | dict.fromkeys(ends, "number")
    rows = [_row(zone, week) for zone in "AB" for week in range(WEEKS)]
    found = {}
    with portal.client() as client:
        for name, more in (("plain", {}), ("over", {"over_time": "year"})):
            said = {"dataset": f"asked-{name}", "shape": json.dumps(shape)} | more
            view = client.create(
                f"Asked {name}",
                columns=[{"fieldName": f, "name": f.title(), "dataTypeName": kind} for f, kind in kinds.items()],
                metadata={"rowIdentifier": "id", "custom_fields": {"Publisher": said}},
            )
            client.upsert(view["id"], rows)
            client.publish(view["id"])
            client.set_permission(view["id"], "public")
            found[name] = view["id"]
    return found


def _row(zone: str, week: int) -> dict[str, Any]:
    hidden = (zone, week) == ("B", 2)
    value = None if hidden else 100 * (week + 1) + (zone == "B")
    ends = (None, None) if value is None else (value - 10, value + 10)
    return {
        "id": f"{zone}{week}", "period": f"2020-W{week + 2:02}", "period_start": f"2020-01-{week * 7 + 6:02}",
        "zone": zone, "days": week, "requests": value, "requests_low": ends[0], "requests_high": ends[1],
        "requests_status": "suppressed" if hidden else "ok",
    }  # fmt: skip


def rows_of(page: Page) -> list[list[str]]:
    """The cells of the answer's table."""
    body = page.section("rows").text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [html.unescape(re.sub("<.*?>", "", cell)).strip() for cell in re.findall("<td.*?</td>", row)]
        for row in re.findall("<tr>(.*?)</tr>", body)
    ]


def test_a_sum_has_the_range_of_its_cells(portal: Running, counted: dict[str, str]) -> None:
    """By zone over all weeks: the range is that of the noise of the cells; a sum without a suppressed cell is partial
    and has none."""
    page = loaded(portal, f"/d/{counted['plain']}/ask", by="zone", number="requests")
    whole = total([Published(v, v - 10, v + 10) for v in (100, 200, 300)], NoiseLaw(**LAW))
    (first, second) = rows_of(page)
    assert [first[0], first[1], first[3], first[4], first[5]] == ["A", "600", *(f"{e:.0f}" for e in whole[1:]), "ok"]
    assert second == ["B", "302", "", "", "", "partial", "1"]
    assert "the noise decides which cells are suppressed" in page.words
    assert "cannot be added up or averaged" in page.words


def test_rows_chosen_by_their_numbers_have_no_range(portal: Running, counted: dict[str, str]) -> None:
    """The noise decided which cells are in the sum, by a number or by a grade."""
    for chosen in ({"row.requests.from": "150"}, {"row.requests_status": "ok"}):
        page = loaded(portal, f"/d/{counted['plain']}/ask", by="zone", number="requests", **chosen)
        assert all(row[2:5] == ["", "", ""] for row in rows_of(page))
        assert "the rows were chosen by their numbers, and the noise decided which" in page.words
    page = loaded(portal, f"/d/{counted['plain']}/ask", number="requests", **{"row.period_start.to": "2020-01-13"})
    assert [row[0] for row in rows_of(page)] == ["602"]
    assert "chosen by their numbers" not in page.words


def test_totals_over_time_are_not_added_up(portal: Running, counted: dict[str, str]) -> None:
    """Each row adds up periods already; within one period a sum is right."""
    path = f"/d/{counted['over']}/ask"
    refused = loaded(portal, path, by="zone", number="requests")
    assert "the same records would count more than once" in refused.words
    assert not rows_of(refused)
    assert len(rows_of(loaded(portal, path, by="period", number="requests"))) == WEEKS
    assert len(rows_of(loaded(portal, path, number="requests", **{"row.period": "2020-W02"}))) == 1


def test_rows_come_with_their_margins(portal: Running, counted: dict[str, str]) -> None:
    """Whoever picks a measure gets its ends and its grade too."""
    page = loaded(portal, f"/d/{counted['plain']}/ask", by="requests")
    heads = re.findall(r"<th scope=\"col\".*?</th>", page.section("rows").text)
    assert {re.sub("<.*?>", "", each) for each in heads} == {
        "Requests", "Requests_Low", "Requests_High", "Requests_Status"}  # fmt: skip
    assert any(cell.startswith("300 ± 10") for cell in rows_of(page)[0])


@pytest.mark.parametrize("asked", [
    {"by": ["zone", "period"], "number": "requests", "order": "largest"}, {"number": "requests"},
    {"by": ["period", "days"]}, {}, {"by": "zone", "number": "requests", "row.zone": "A", "row.requests.to": "250"},
])  # fmt: skip
def test_the_address_gives_the_same(
    web: requests.Session, portal: Running, counted: dict[str, str], asked: dict[str, Any]
) -> None:
    """What the page shows as SODA answers with the page's rows."""
    page = loaded(portal, f"/d/{counted['plain']}/ask", **asked)
    found = re.search(r'id="soql-address"><code>(.*?)</code>', page.text)
    assert found is not None
    answer = web.get(html.unescape(found[1]))
    assert answer.status_code == 200, answer.text
    shown = rows_of(page)
    assert len(answer.json()) == len(shown)
    if "number" in asked:
        groups = [asked["by"]] if isinstance(asked.get("by"), str) else asked.get("by", [])
        assert {row.get("total", "") for row in answer.json()} == {row[len(groups)] for row in shown}


def test_a_dataset_without_a_shape_says_that_it_has_no_margins(portal: Running, sample: str) -> None:
    """Counts, averages and the rest of any column, and a plain word that nothing is known about noise."""
    path = f"/d/{sample}/ask"
    page = loaded(portal, path, by="zone", number="count(*)")
    assert sorted(row[1] for row in rows_of(page)) == ["40", "40", "40"]
    assert "does not say what noise is in its numbers" in page.words
    assert len(rows_of(loaded(portal, path, number="max(requests)"))) == 1
    assert len(rows_of(loaded(portal, path, by="open", number="no such thing"))) == 100


@pytest.mark.parametrize("wrong", [{"by": "none"}, {"number": "'; DROP"}, {"page": "x"}, {"page": "99999"},
                                   {"row.zone": "\x00"}, {"row.period_start.from": "never"}])  # fmt: skip
def test_a_wrong_address_is_no_error(portal: Running, counted: dict[str, str], wrong: dict[str, str]) -> None:
    """What is not offered counts as not chosen."""
    loaded(portal, f"/d/{counted['plain']}/ask", **wrong)
