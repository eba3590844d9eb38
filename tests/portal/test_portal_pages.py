"""The pages: what they say, and that anyone can use them."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest
from portal_process import publish

if TYPE_CHECKING:
    import requests
    from portal_process import Running

GUARANTEE = "# Promise\n\nNobody **is found**.\n\n<script>alert(1)</script>\n\n![x](https://evil.example/x.png)\n"
SHAPE = {
    "time": "period_start",
    "period": "period",
    "place": None,
    "keys": [{"name": "zone", "label": "Zone", "names": None}],
    "measures": [
        {
            "name": "requests",
            "label": "Requests",
            "kind": "count",
            "unit": "requests",
            "low": "requests_low",
            "high": "requests_high",
            "status": "requests_status",
        },
        {"name": "days", "label": "Days to close", "kind": "mean", "unit": "days"},
    ],
}


class Page(HTMLParser):
    """A page taken apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.said.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of every tag of this name."""
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def words(self) -> str:
        """All text, single-spaced."""
        return " ".join(" ".join(self.said).split())


@pytest.fixture(scope="module")
def paged(portal: Running) -> str:
    """The 4x4 of a dataset with a shape: two zones, 120 weeks, one zone partly suppressed."""
    columns = [
        ("id", "text"), ("period", "text"), ("period_start", "calendar_date"), ("zone", "text"),
        ("requests", "number"), ("requests_low", "number"), ("requests_high", "number"),
        ("requests_status", "text"), ("days", "number"),
    ]  # fmt: skip
    rows = []
    for zone in ("A & <b>", "B"):
        for week in range(120):
            empty = zone == "B" and week % 3 == 0
            rows.append(
                {
                    "id": f"{zone}{week}",
                    "period": f"w{week:03}",
                    "period_start": f"20{20 + week // 40}-01-{week % 28 + 1:02}"
                    if week < 28
                    else f"2021-{week // 10:02}-{week % 10 + 1:02}",
                    "zone": zone,
                    "requests": None if empty else 1000 + week,
                    "requests_low": None if empty else 990 + week,
                    "requests_high": None if empty else 1010 + week,
                    "requests_status": "suppressed" if empty else "unreliable" if week % 10 == 1 else "ok",
                    "days": week / 2,
                }
            )
    fields = {"shape": json.dumps(SHAPE), "guarantee": GUARANTEE, "stand_in": "true", "contact": "data@example.org"}
    fields |= {
        "licence": "House licence",
        "licence_url": "javascript:alert(1)",
        "limitations": "One <b>limit</b>\nAnother",
    }
    with portal.client() as client:
        view = client.create(
            "Requests <i>& more</i>",
            columns=[
                {"fieldName": n, "name": n.title(), "dataTypeName": k, "description": f"About {n}"} for n, k in columns
            ],
            metadata={"rowIdentifier": "id", "custom_fields": {"Publisher": fields}},
            description="First part.\n\nSecond part.",
            licenseId="CC_40_BY",
            attribution="City of Nowhere",
            attributionLink="javascript:alert(1)",
        )
        client.upsert(view["id"], rows)
        client.publish(view["id"])
        client.set_permission(view["id"], "public")
        identifier: str = view["id"]
        return identifier


@pytest.fixture(scope="module")
def load(web: requests.Session, portal: Running) -> Any:
    """Loads a page of the portal."""

    def loaded(path: str, status: int = 200, **query: str) -> Page:
        answer = web.get(f"{portal.address}{path}?{urlencode(query)}", headers={"Accept": "text/html"})
        assert answer.status_code == status, answer.text[:500]
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        return Page(answer.text)

    return loaded


@pytest.fixture(params=["catalog", "dataset", "sum", "plain", "missing"])
def any_page(request: pytest.FixtureRequest, load: Any, paged: str, sample: str) -> Page:
    """Each kind of page."""
    paths: dict[str, tuple[str, dict[str, Any]]] = {
        "catalog": ("/", {}),
        "dataset": (f"/d/{paged}", {}),
        "sum": (f"/d/{paged}", {"zone": "*"}),
        "plain": (f"/d/{sample}", {}),
        "missing": ("/d/none", {"status": 404}),
    }
    path, more = paths[request.param]
    page: Page = load(path, **more)
    return page


def test_pages_can_be_used_by_everyone(any_page: Page) -> None:
    """Language, title, one h1, headings in order, landmarks, labels, captions, scoped headers, a skip link."""
    page = any_page
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("main")[0]["id"] == "main"
    assert page.all("a")[0] == {"class": "skip", "href": "#main"}
    assert [tag for tag, _ in page.tags].count("h1") == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    labelled = {label["for"] for label in page.all("label")}
    fields = [f for name in ("input", "select") for f in page.all(name) if f.get("type") != "hidden"]
    assert {field["id"] for field in fields} == labelled
    own = page.text.partition('<div class="prose">')
    tables = Page(own[0] + own[2].partition("</section>")[2])
    assert len(tables.all("caption")) == len(tables.all("table"))
    assert all(header.get("scope") in ("col", "row") for header in tables.all("th"))
    assert all(svg.get("role") == "img" or svg.get("aria-hidden") == "true" for svg in page.all("svg"))
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_pages_need_no_script_and_no_other_host(any_page: Page, portal: Running) -> None:
    """Nothing is loaded from elsewhere, nothing runs, nothing is styled inline; under 60 kB with the style sheet."""
    page = any_page
    loaded = {"script", "img", "iframe", "object", "embed", "video", "audio", "style"}
    assert not loaded & {tag for tag, _ in page.tags}
    assert [link["href"] for link in page.all("link")] == ["/static/portal.css"]
    assert not any("style" in attributes or any(n.startswith("on") for n in attributes) for _, attributes in page.tags)
    schemes = {urlsplit(link.get("href") or "").scheme for link in page.all("a")}
    assert schemes <= {"", "http", "https", "mailto"}
    assert len(page.text.encode()) < 50_000


def test_the_style_sheet_is_small_and_complete(web: requests.Session, portal: Running) -> None:
    """Light and dark, visible focus, no import."""
    answer = web.get(f"{portal.address}/static/portal.css")
    assert answer.headers["Content-Type"].startswith("text/css")
    assert len(answer.content) < 10_000
    for part in ("prefers-color-scheme: dark", ":focus-visible", "max-width: 34rem"):
        assert part in answer.text
    assert "url(" not in answer.text
    assert "@import" not in answer.text


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_have_contrast(web: requests.Session, portal: Running) -> None:
    """Text has 4.5 to 1, lines and focus 3 to 1, in light and in dark."""
    text = web.get(f"{portal.address}/static/portal.css").text
    schemes = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colour = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", scheme))
        for ink in ("ink", "quiet", "link"):
            assert _contrast(colour[ink], colour["paper"]) >= 4.5
            assert _contrast(colour[ink], colour["soft"]) >= 4.5
        assert _contrast(colour["on-strong"], colour["strong"]) >= 4.5
        assert _contrast(colour["notice-ink"], colour["notice"]) >= 4.5
        for line in ("line", "gap", "focus"):
            assert _contrast(colour[line], colour["paper"]) >= 3
        assert _contrast(colour["line"], colour["band"]) >= 3


def test_the_catalog_finds_and_escapes(load: Any, paged: str) -> None:
    """Search keeps its words; titles are text; stand-ins are marked."""
    page = load("/", q="<i>& more")
    assert f'<a href="/d/{paged}">Requests &lt;i&gt;&amp; more&lt;/i&gt;</a>' in page.text
    assert "1 dataset with" in page.words
    assert "Generated sample data" in page.words
    assert 'value="&lt;i&gt;&amp; more"' in page.text
    assert "0 datasets" in load("/", q="zzz").words


def test_the_dataset_page_says_what_there_is_to_know(load: Any, paged: str) -> None:
    """Title, description, licence, contact, coverage, dictionary, guarantee as text, examples."""
    page = load(f"/d/{paged}")
    for said in (
        "Second part.",
        "City of Nowhere",
        "House licence",
        "One <b>limit</b>",
        "data@example.org",
        "w000",
        "About requests_low",
    ):
        assert said in page.words
    assert "Generated sample data - not real records" in page.words
    assert "<h3>Promise</h3>" in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert "evil.example" not in "".join(str(attributes) for _, attributes in page.tags)
    assert "javascript:" not in page.text
    assert "sum(requests)" in page.words
    assert "count(*) counts cells" in page.words
    for sort in ("sodapy", "pandas", "DuckDB", "curl"):
        assert sort in page.words


def numbers(page: Page) -> dict[str, list[str]]:
    """The table beside the chart: cells by period."""
    table = page.text.partition("The same numbers as a table")[2].partition("</table>")[0]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table)
    return {period: re.findall(r"<td[^>]*>(.*?)</td>", cells) for period, cells in rows}


def test_the_chart_starts_with_one_cell_and_its_margin(load: Any, paged: str) -> None:
    """The cell with the most reliable periods; every number of the chart is in the table."""
    page = load(f"/d/{paged}")
    assert '<option value="A &amp; &lt;b&gt;" selected>' in page.text
    assert 'class="band"' in page.text
    table = numbers(page)
    assert len(table) == 104
    assert table["w119"] == ["1,119", "1,109", "1,129", "ok"]
    assert table["w111"][3] == "unreliable"
    path = re.search(r'class="line" d="(M[^"]*)"', page.text.partition("<figure")[2])
    assert path is not None
    assert len(re.findall(r"[ML]", path[1])) == 104


def test_earlier_periods_are_a_link_away(load: Any, paged: str) -> None:
    """The rest of the periods is on the next view."""
    table = numbers(load(f"/d/{paged}", page="1"))
    assert len(table) == 16
    assert "w000" in table


def test_suppressed_cells_stay_empty(load: Any, paged: str) -> None:
    """No value, no margin, a gap in the line and a mark for it."""
    page = load(f"/d/{paged}", zone="B")
    assert numbers(page)["w117"] == ["", "", "", "suppressed"]
    assert 'class="gaps"' in page.text
    assert "suppressed, no value" in page.words


def test_a_sum_has_no_margin_and_says_so(load: Any, paged: str, web: requests.Session, portal: Running) -> None:
    """Cells added up: the same numbers as the API, no band, what is left out is counted."""
    page = load(f"/d/{paged}", zone="*")
    figure = page.text.partition("<figure")[2].partition("</figure>")[0]
    assert 'class="band"' not in figure
    assert "has no margin stated here" in page.words
    assert "true totals may be higher" in page.words
    asked = {"$select": "period,sum(requests) as total", "$group": "period"}
    rows = web.get(f"{portal.address}/resource/{paged}.json", params=asked).json()
    expected = {row["period"]: Decimal(row["total"]) for row in rows}
    table = numbers(page)
    assert {period: Decimal(cells[0].replace(",", "")) for period, cells in table.items()} == {
        period: expected[period] for period in table
    }
    assert table["w117"][1] == "1"


def test_means_are_not_added_up(load: Any, paged: str) -> None:
    """For a mean the choice of all cells is not offered, and asking for it anyway falls back to one cell."""
    page = load(f"/d/{paged}", measure="days", zone="*")
    assert '<option value="*"' not in page.text
    assert "w119" in numbers(page)


def test_the_preview_sorts_filters_and_turns_pages(load: Any, paged: str) -> None:
    """Plain links and a form, no script."""
    page = load(f"/d/{paged}", column="zone", value="b", sort="requests", desc="")
    assert 'aria-sort="descending"' in page.text
    assert "Rows 1 to 12 of 240" in page.words
    assert "Rows 13 to 24 of 240" in load(f"/d/{paged}", rows="1").words
    only = load(f"/d/{paged}", column="requests", value="1119")
    assert "Rows 1 to 2 of 2" in only.words
    assert "Rows 1 to 12 of 240" in load(f"/d/{paged}", column="requests", value="abc").words


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "x'"},
        {"rows": "-1"},
        {"rows": "9" * 30},
        {"page": "99999"},
        {"zone": "'"},
        {"measure": "x"},
        {"column": "period_start", "value": "'"},
    ],
)
def test_odd_parameters_do_no_harm(load: Any, paged: str, query: dict[str, str]) -> None:
    """Nonsense in the address shows the page, not an error."""
    load(f"/d/{paged}", **query)


def test_a_dataset_without_shape_has_everything_but_a_chart(load: Any, sample: str) -> None:
    """Rows, columns and downloads, GeoJSON included."""
    page = load(f"/d/{sample}")
    assert "<figure" not in page.text
    assert "GeoJSON" in page.words
    assert "Rows 1 to 12 of 120" in page.words


def test_an_empty_dataset_has_a_page(portal: Running, load: Any) -> None:
    """Before the first upload too."""
    with portal.client() as client:
        name = publish(client, "Nothing yet", [])
        assert "No rows" in load(f"/d/{name}").words
        client.delete(name)


def test_an_address_that_leads_nowhere_has_a_page(load: Any) -> None:
    """In the style of the others, with a way back."""
    assert "There is nothing at this address" in load("/nowhere", status=404).words
    assert '<a href="/">See all datasets</a>' in load("/d/zzzz-zzzz", status=404).text
