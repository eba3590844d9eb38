"""The data inventory: what is collected about people, as a page and as files."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from page_reading import SOURCE, family, loaded

from publisher.portal.pages.inventory import FIELDS

if TYPE_CHECKING:
    import requests
    from portal_process import Running


@pytest.fixture(scope="module")
def ids(portal: Running) -> dict[str, str]:
    """The datasets that come from the source."""
    return family(portal)


def test_the_page_names_purpose_retention_and_every_column(portal: Running, ids: dict[str, str]) -> None:
    """One section for the source, however many tables come of it, with links to what is published."""
    page = loaded(portal, "/inventory")
    assert page.text.count('id="source-calls"') == 1
    section = page.section("source-calls")
    for said in (
        "Calls to the city",
        "To plan crews",
        "36 months",
        "The records are about minors",
        "each individual record, over one day",
    ):
        assert said in section.words
    assert "3 (read: 2; not public by law: 1)" in section.words
    assert "NAME private Minn. Stat. § 13.82 not read Who called" in section.words
    assert f'href="/d/{ids["main"]}"' in section.text


def test_the_csv_has_a_line_for_each_column(web: requests.Session, portal: Running, ids: dict[str, str]) -> None:
    """With the source's facts on each; a value that a spreadsheet would run is made text."""
    answer = web.get(f"{portal.address}/inventory.csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    lines = [line for line in csv.DictReader(io.StringIO(answer.text)) if line["source"] == "calls"]
    assert tuple(lines[0]) == FIELDS
    assert [line["column"] for line in lines] == ["NAME", "ZONE", "CASE"]
    assert lines[0]["authority"] == "Minn. Stat. § 13.82"
    assert (lines[0]["read"], lines[1]["read"], lines[2]["identifier"]) == ("false", "true", "true")
    assert lines[2]["authority"] == "'=SUM(A1)"
    assert {line["minors"] for line in lines} == {"true"}
    assert lines[0]["datasets"] == f"{portal.address}/d/{ids['main']}"


def test_the_json_has_the_source_as_the_publisher_said_it(
    web: requests.Session, portal: Running, ids: dict[str, str]
) -> None:
    """Nothing added but the datasets, nothing left out."""
    sources = web.get(f"{portal.address}/inventory.json").json()["sources"]
    found = next(source for source in sources if source["name"] == "calls")
    assert found["datasets"] == [f"{portal.address}/d/{ids['main']}"]
    for name, value in SOURCE.items():
        if name != "columns":
            assert found[name] == value
    assert [column["name"] for column in found["columns"]] == ["NAME", "ZONE", "CASE"]


def test_a_source_of_unpublished_data_is_not_in_it(web: requests.Session, portal: Running) -> None:
    """A dataset that readers may not see does not tell them its source."""
    with portal.client() as client:
        fields = {"source": '{"name": "secret", "title": "Not yet", "columns": []}'}
        view = client.create("Hidden", columns=[], metadata={"custom_fields": {"Publisher": fields}})
        client.publish(view["id"])
        assert "secret" not in web.get(f"{portal.address}/inventory.json").text
        assert "secret" in web.get(f"{portal.address}/inventory.json", auth=portal.login).text
        client.delete(view["id"])
