"""Statistics of columns: of what is published, with the margins of measures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from page_reading import Page, family, loaded

if TYPE_CHECKING:
    from portal_process import Running


def rows_of(page: Page) -> dict[str, list[str]]:
    """The cells of each column's row by its title."""
    rows = re.findall(r'<tr><th scope="row"[^>]*>(.*?)</th>(.*?)</tr>', page.text)
    return {
        name: [re.sub("<.*?>", "", cell).strip() for cell in re.findall("<td.*?</td>", cells)] for name, cells in rows
    }


def test_columns_are_counted(portal: Running) -> None:
    """Values, empty ones, different ones, and the ends of numbers and dates; a measure's ends come with their margins,
    and a word says that they are more extreme than the truth."""
    page = loaded(portal, f"/d/{family(portal)['main']}/columns")
    found = rows_of(page)
    assert found["Zone"] == ["240", "0", "2", "", ""]
    assert found["Requests"] == ["200", "40", "120", "1,000 ± 10 (1%)", "1,119 ± 10 (1%)"]
    assert found["Period_Start"][3] == "2020-01-06"
    assert found["Days"] == ["240", "0", "120", "0", "59.5"]
    assert "more extreme than the true ones" in page.words
    assert "/columns" in loaded(portal, f"/d/{family(portal)['main']}").text


def test_a_dataset_of_which_nothing_is_said_has_them_too(portal: Running, sample: str) -> None:
    """Without a word about noise."""
    page = loaded(portal, f"/d/{sample}/columns")
    assert rows_of(page)["Zone"][:3] == ["120", "0", "3"]
    assert "more extreme" not in page.words
    loaded(portal, "/d/aaaa-aaaa/columns", 404)


def test_a_location_has_no_statistics(portal: Running) -> None:
    """It has parts, which have no order; the other columns have their numbers."""
    columns = [
        {"fieldName": name, "name": name, "dataTypeName": kind} for name, kind in (("a", "number"), ("l", "location"))
    ]
    with portal.client() as client:
        view = client.create("Places with addresses", columns=columns)
        client.upsert(view["id"], [{"a": 1, "l": {"latitude": "38.6", "longitude": "-90.2"}}])
        client.publish(view["id"])
        client.set_permission(view["id"], "public")
    assert rows_of(loaded(portal, f"/d/{view['id']}/columns")) == {"a": ["1", "0", "1", "1", "1"]}
