"""The pages: what they say, and that anyone can use them."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import time
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
import shapely
from page_reading import ODDS, RELEASES, SOURCE, WEEKS, Page, family, loaded
from portal_process import publish
from real_records import real_records

from publisher.portal.base.kinds import Kind
from publisher.portal.base.model import PortalColumn, PortalDataset
from publisher.portal.discovery.families import families

if TYPE_CHECKING:
    from portal_process import Running

PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "catalog": ("/", {}),
    "found": ("/", {"q": "calls", "tag": "311", "sort": "newest"}),
    "nothing": ("/", {"q": "zzz"}),
    "dataset": ("/d/{main}", {}),
    "sum": ("/d/{main}", {"zone": "*"}),
    "filtered": ("/d/{main}", {"row.zone": "B", "sort": "requests"}),
    "city": ("/d/{city}", {}),
    "plain": ("/d/{sample}", {}),
    "tables": ("/d/{main}", {"table": "1", "map_table": "1"}),
    "api": ("/d/{main}/api", {}),
    "guarantee": ("/d/{main}/guarantee", {}),
    "releases": ("/d/{main}/releases", {}),
    "release": ("/d/{main}/releases/2020-W02/1", {}),
    "methods": ("/methods", {}),
    "inventory": ("/inventory", {}),
    "about": ("/about", {}),
    "missing": ("/d/none", {"status": 404}),
}


@pytest.fixture(scope="module")
def paged(portal: Running) -> str:
    """The 4x4 of a dataset with everything that a page can show."""
    return family(portal)["main"]


@pytest.fixture(scope="module")
def load(portal: Running) -> Any:
    """Loads a page of the portal."""
    return lambda path, status=200, **query: loaded(portal, path, status, **query)


@pytest.fixture(
    scope="module", params=[(prefix, name) for name in PAGES for prefix in ("", "/es")], ids=lambda p: f"{p[1]}{p[0]}"
)
def any_page(request: pytest.FixtureRequest, portal: Running, sample: str) -> Page:
    """Each kind of page, in each language."""
    prefix, name = request.param
    path, more = PAGES[name]
    return loaded(portal, prefix + path.format(sample=sample, **family(portal)), **more)


def test_pages_can_be_used_by_everyone(any_page: Page) -> None:
    """Title, one h1, headings in order, landmarks, labels, captions, scoped headers, a skip link, one of each id."""
    page = any_page
    assert len(page.all("title")) == 1
    assert page.all("main")[0]["id"] == "main"
    assert page.all("a")[0] == {"class": "skip", "href": "#main"}
    assert [tag for tag, _ in page.tags].count("h1") == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    labeled = {label["for"] for label in page.all("label")}
    fields = [f for name in ("input", "select") for f in page.all(name) if f.get("type") != "hidden"]
    assert {field["id"] for field in fields} == labeled
    own = page.text.partition('<div class="prose"')
    tables = Page(own[0] + own[2].partition("</section>")[2]) if page.all("table") else page
    assert len(tables.all("caption")) == len(tables.all("table"))
    assert all(header.get("scope") in ("col", "row") for header in tables.all("th"))
    assert all(svg.get("role") in ("img", "group") or svg.get("aria-hidden") == "true" for svg in page.all("svg"))
    names = [nav.get("aria-label") or nav.get("aria-labelledby") for nav in page.all("nav")]
    assert all(names)
    assert len(names) == len(set(names))
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    within = {link["href"][1:] for link in page.all("a") if (link.get("href") or "").startswith("#")}
    assert within <= set(identifiers)


def test_pages_load_nothing_from_elsewhere(any_page: Page) -> None:
    """No other host, no inline style or script; one small script, and data for machines."""
    page = any_page
    assert not {"img", "iframe", "object", "embed", "video", "audio", "style"} & {tag for tag, _ in page.tags}
    assert all(re.fullmatch(r"/static/\w+\.\w+\?v=[0-9a-f]{16}", x["href"] or "") for x in _loaded(page))
    scripts = [script for script in page.all("script") if script.get("type") != "application/ld+json"]
    assert [set(script) for script in scripts] == [{"src", "defer"}]
    assert (scripts[0]["src"] or "").startswith("/static/portal.js?v=")
    assert not any("style" in attributes or any(n.startswith("on") for n in attributes) for _, attributes in page.tags)
    schemes = {urlsplit(link.get("href") or "").scheme for link in page.all("a")}
    assert schemes <= {"", "http", "https", "mailto"}


def _loaded(page: Page) -> list[dict[str, str | None]]:
    return [link for link in page.all("link") if link["rel"] in ("stylesheet", "icon")]


def test_pages_are_light(any_page: Page, web: requests.Session, portal: Running) -> None:
    """Page and style sheets have less than 62.5 kB, uncompressed."""
    sheets = [link["href"] for link in any_page.all("link") if link["rel"] == "stylesheet"]
    styles = sum(len(web.get(f"{portal.address}{sheet}").content) for sheet in sheets)
    assert len(any_page.text.encode()) + styles < 62_500


@pytest.mark.parametrize("city", ["invented", "stlouis", "boston"])
def test_the_page_of_a_city_like_a_real_one_is_light(portal: Running, web: requests.Session, city: str) -> None:
    """With 79 places on its map, two kinds of service and 52 weeks: less than 62.5 kB with its styles, uncompressed."""
    places = _places(city)
    with portal.client() as client:
        name = _large(client, portal, places)
        requests.get(f"{portal.address}/api/views/{name}/downloads.json", timeout=60)  # so that the hashes stand there
        page = loaded(portal, f"/d/{name}")
        drawn = page.section("map").text
        assert len(re.findall("<title>", drawn)) == len(places)
        assert len(re.findall(r'<a href="[^"]+"[^>]*><title>[^<]+</title><path d="M[^"]+"/></a>', drawn)) == len(places)
        assert len(re.findall("<option", page.section("trend").text)) > len(places)
        styles = sum(
            len(web.get(f"{portal.address}{link['href']}").content)
            for link in page.all("link")
            if link["rel"] == "stylesheet"
        )
        assert len(page.text.encode()) + styles < 62_500
        client.delete(name)


def _places(city: str) -> dict[str, Any]:
    """Outlines by name: those of a real city where its file is there, else of 79 cells with crooked borders."""
    if city != "invented":
        names, file = {"stlouis": ("NHD_NAME", "neighborhoods"), "boston": ("name", "neighborhoods")}[city]
        text = (real_records(f"{city}-boundaries") / f"{city}-boundaries" / f"{city}_{file}.geojson").read_text()
        features = json.loads(text)["features"][:79]
        return {each["properties"][names]: each["geometry"] for each in features}
    points = shapely.MultiPoint(np.random.default_rng(3).uniform(0, 1, (79, 2)))
    cells = shapely.voronoi_polygons(points, extend_to=shapely.box(0, 0, 1, 1))
    dense = shapely.segmentize(np.array(cells.geoms), 0.002)
    crooked = shapely.transform(
        dense, lambda at: at.round(6) + 0.004 * np.sin(90 * at[:, ::-1].round(6)) + 0.002 * np.cos(300 * at.round(6))
    )
    return {f"Neighborhood no. {n}": json.loads(shapely.to_geojson(each)) for n, each in enumerate(crooked)}


def _large(client: Any, portal: Running, places: dict[str, Any]) -> str:
    kinds_of_service = ("Streets, traffic and water", "Refuse, property and everything else")
    cells = itertools.product(enumerate(places), kinds_of_service, range(1, 53))
    rows = [
        {
            "id": f"{place}-{kind[0]}-{week}",
            "period": f"2018-W{week:02}",
            "period_start": date.fromisocalendar(2018, week, 1).isoformat(),
            "zone": str(place),
            "zone_name": name,
            "kind": kind,
            "requests": place + week,
            "requests_low": place + week - 4,
            "requests_high": place + week + 5,
            "requests_status": "unreliable" if place % 5 == 0 else "ok",
        }
        for (place, name), kind, week in cells
    ]
    measure = {"name": "requests", "label": "Requests", "unit": "requests", "low": "requests_low",
               "high": "requests_high", "status": "requests_status"}  # fmt: skip
    keys = [{"name": "zone", "label": "Neighborhood", "names": "zone_name"}, {"name": "kind", "label": "Kind"}]
    shape = {"time": "period_start", "period": "period", "place": "zone", "keys": keys, "measures": [measure]}
    kinds = {name: "number" if re.fullmatch("requests(_low|_high)?", name) else "text" for name in rows[0]}
    kinds["period_start"] = "calendar_date"
    columns = [
        {"fieldName": name, "name": name.title(), "dataTypeName": kind, "description": "What it means, in a sentence."}
        for name, kind in kinds.items()
    ]
    features = [
        {"type": "Feature", "properties": {"zone": str(number)}, "geometry": geometry}
        for number, geometry in enumerate(places.values())
    ]
    sent = {"file": ("zones.geojson", json.dumps({"type": "FeatureCollection", "features": features}))}
    asset = requests.post(f"{portal.address}/api/assets", files=sent, auth=portal.login, timeout=60).json()["id"]
    said = {
        "shape": shape,
        "boundaries": {"key": "zone", "property": "zone", "filename": "zones.geojson", "source": "The city, CC BY 4.0"},
        "odds": ODDS,
        "source": SOURCE,
        "releases": RELEASES,
    }
    fields = {name: json.dumps(value) for name, value in said.items()}
    fields |= {"dataset": "large", "guarantee": "# Promise\n\n" + "Some words. " * 600, "limitations": "One.\nAnother."}
    view = client.create(
        "Requests by neighborhood and week",
        columns=columns,
        description="How many requests the city opened in each neighborhood in each week, by kind of service.",
        tags=["311", "service requests", "neighborhoods", "weekly"],
        category="City services",
        metadata={
            "rowIdentifier": "id",
            "custom_fields": {"Publisher": fields},
            "attachments": [{"filename": "zones.geojson", "name": "zones.geojson", "assetId": asset}],
        },
    )
    client.upsert(view["id"], rows)
    client.publish(view["id"])
    client.set_permission(view["id"], "public")
    return str(view["id"])


def test_a_dataset_that_is_a_file_has_a_page_with_it(load: Any, portal: Running, web: requests.Session) -> None:
    """Its page leads to the file; the catalogs list it as one, the feed tells of it, and OData does not know it."""
    content = b"a manual"
    files = {"file": ("manual.pdf", content, "application/pdf")}
    address = f"{portal.address}/api/imports2/?method=blob"
    view = requests.post(address, files=files, auth=portal.login, timeout=20).json()
    with portal.client() as client:
        client.publish(view["id"])
        client.set_permission(view["id"], "public")
        page = load(f"/d/{view['id']}")
        link = next(each["href"] for each in page.all("a") if "/files/" in (each["href"] or ""))
        assert web.get(str(link)).content == content
        assert hashlib.sha256(content).hexdigest() in page.words
        assert "<table" not in page.text
        assert "Rows" not in page.words
        load(f"/es/d/{view['id']}")
        load(f"/d/{view['id']}/api", status=404)
        found = web.get(f"{portal.address}/api/catalog/v1", params={"ids": view["id"], "only": "file"}).json()
        assert [each["resource"]["type"] for each in found["results"]] == ["file"]
        listed = web.get(f"{portal.address}/data.json").json()["dataset"]
        described = next(each for each in listed if each["landingPage"].endswith(view["id"]))
        assert [each["downloadURL"] for each in described["distribution"]] == [link]
        feed = web.get(f"{portal.address}/d/{view['id']}/feed.atom").text
        assert "new file" in feed
        assert "manual.pdf" in feed
        assert view["id"] not in web.get(f"{portal.address}/api/odata/v4").text
        assert web.get(f"{portal.address}/api/odata/v4/{view['id']}").status_code == 400
        assert web.get(f"{portal.address}/api/views/{view['id']}/data.csv").status_code == 400
        client.delete(view["id"])


def test_a_working_copy_is_found_nowhere(load: Any, portal: Running, sample: str) -> None:
    """Not even by those who are logged in: not in a catalog, a feed, the inventory or a list for harvesters."""
    address = f"{portal.address}/api/views/{sample}/publication.json"
    copy = requests.post(address, params={"method": "copy"}, auth=portal.login, timeout=20).json()["id"]
    try:
        for path in (
            "/",
            "/feed.atom",
            "/data.json",
            "/dcat-us-3.json",
            "/inventory.json",
            "/api/catalog/v1?limit=10000",
        ):
            answer = requests.get(f"{portal.address}{path}", auth=portal.login, timeout=20)
            assert answer.status_code == 200
            assert copy not in answer.text, path
    finally:
        requests.delete(f"{portal.address}/api/views/{copy}.json", auth=portal.login, timeout=20)


def test_looking_at_a_page_has_its_files_made(portal: Running, load: Any) -> None:
    """Nobody asked for them, yet soon the page says size and hash; until then that they are created on request."""
    with portal.client() as client:
        name = publish(client, "Never downloaded", [{"id": "a", "zone": "Nord", "requests": "3"}])
        assert "created on request" in load(f"/d/{name}").section("download").words
        end = time.monotonic() + 20
        while "created on request" in load(f"/d/{name}").section("download").words:
            assert time.monotonic() < end
            time.sleep(0.2)
        client.delete(name)


def test_the_style_sheet_is_small_and_complete(web: requests.Session, portal: Running) -> None:
    """Light and dark, visible focus, print, no import."""
    answer = web.get(f"{portal.address}/static/portal.css")
    assert answer.headers["Content-Type"].startswith("text/css")
    assert len(answer.content) < 14_000
    for part in ("prefers-color-scheme:dark", ":focus-visible", "max-width:34rem"):
        assert part in answer.text
    modes = web.get(f"{portal.address}/static/modes.css").text
    assert "@media print" in modes
    assert "@media (forced-colors:active)" in modes
    assert "url(" not in answer.text
    assert "@import" not in answer.text


def test_what_every_page_loads_may_be_kept(web: requests.Session, portal: Running) -> None:
    """Under its content's hash for ever, under another name only until it changes; 304 in both cases."""
    page = loaded(portal, "/")
    sheet = next(link["href"] for link in page.all("link") if link["rel"] == "stylesheet")
    kept = web.get(f"{portal.address}{sheet}")
    assert "immutable" in kept.headers["Cache-Control"]
    old = web.get(f"{portal.address}/static/portal.css?v=0123456789abcdef")
    assert old.headers["Cache-Control"] == "no-cache"
    again = {"If-None-Match": kept.headers["ETag"]}
    assert web.get(f"{portal.address}{sheet}", headers=again).status_code == 304
    assert web.get(f"{portal.address}/static/nothing.css").status_code == 404


def test_a_page_is_sent_again_only_when_it_changed(web: requests.Session, portal: Running, paged: str) -> None:
    """An ETag for each page, of its language too; another page does not match it."""
    first = web.get(f"{portal.address}/d/{paged}")
    assert first.headers["Cache-Control"] == "no-cache"
    again = {"If-None-Match": first.headers["ETag"]}
    unchanged = web.get(f"{portal.address}/d/{paged}", headers=again)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert web.get(f"{portal.address}/es/d/{paged}", headers=again).status_code == 200
    assert web.get(f"{portal.address}/d/{paged}?zone=B", headers=again).status_code == 200


def test_the_catalog_finds_and_escapes(load: Any, paged: str) -> None:
    """Search keeps its words; titles are text; stand-ins are marked; a typo gets a suggestion."""
    page = load("/", q="<i>& more")
    assert f'<a href="/d/{paged}">Requests &lt;i&gt;&amp; more&lt;/i&gt;</a>' in page.text
    assert "1 dataset for" in page.words
    assert "Generated sample data" in page.words
    assert 'value="&lt;i&gt;&amp; more"' in page.text
    nothing = load("/", q="requsets")
    assert "0 datasets" in nothing.words
    assert "Did you mean: requests" in nothing.words


def test_tables_of_one_release_are_one_entry(load: Any, portal: Running) -> None:
    """The finest table stands for them; the others are its levels, and the coarsest gives the number in front."""
    page = load("/", tag="311")
    ids = family(portal)
    assert f'<h2><a href="/d/{ids["main"]}">' in page.text
    assert f'<h2><a href="/d/{ids["city"]}">' not in page.text
    assert "Also available for each Period : Requests in the whole city" in page.words
    assert "2,119 requests" in page.words
    assert "1,990 to 2,130" in page.words
    assert "One row for each Zone × Period" in page.words


def test_facets_count_combine_and_are_removed(load: Any, portal: Running, sample: str) -> None:
    """Each value says how many are left; two narrow further; each is a link that takes it away again."""
    main = family(portal)["main"]
    only = load("/", category="Calls").text
    assert f"/d/{main}" in only
    assert f"/d/{sample}" not in only
    page = load("/", category="Calls", tag="calls")
    chips = page.text.partition('class="chips"')[2].partition("</ul>")[0]
    assert 'href="?tag=calls"' in chips
    assert 'href="?category=Calls"' in chips
    assert f"/d/{sample}" not in page.text
    assert "0 datasets" in load("/", category="Calls", tag="nothing").words
    with portal.client() as client:
        for category in ("Calls", "Parks", "Parks"):
            publish(client, f"Counted {category}", [], tags=["counted"], category=category)
    counted = load("/", tag="counted").text
    counts = re.findall(r'href="\?[^"]*category=(\w+)[^"]*">\s*<span>\w+</span> <span class="count">(\d+)', counted)
    assert dict(counts) == {"Calls": "1", "Parks": "2"}


def test_the_catalog_sorts_by_name_and_date(load: Any, portal: Running) -> None:
    """By name from A; the newest first; an order that does not exist is the usual one."""
    with portal.client() as client:
        for name in ("Lamps", "Benches", "Trees"):
            publish(client, name, [], tags=["sorted here"])
    named = re.findall(r"<h2><a[^>]*>(.*?)</a>", load("/", tag="sorted here", sort="name").text)
    assert named == ["Benches", "Lamps", "Trees"]
    newest = re.findall(r'Updated <time datetime="(.*?)"', load("/", tag="sorted here", sort="newest").text)
    assert len(newest) == 3
    assert newest == sorted(newest, reverse=True)
    assert re.findall(r"<h2><a[^>]*>(.*?)</a>", load("/", tag="sorted here", sort="x'").text) == named


def test_the_dataset_page_says_what_there_is_to_know(load: Any, paged: str) -> None:
    """Title, description, license, contact, coverage, frequency, dictionary, guarantee as text, examples."""
    page = load(f"/d/{paged}")
    for said in (
        "Second part.",
        "City of Nowhere",
        "House license",
        "One <b>limit</b>",
        "data@example.org",
        "January 6, 2020 – April 24, 2022",
        "Update frequency weekly",
        "About requests_low",
        "Generated sample data - not real records",
    ):
        assert said in page.words
    assert "javascript:" not in page.text
    assert "2,119 requests in the week of April 18, 2022" in page.words


def test_the_guarantee_is_shown_as_text(load: Any, paged: str, sample: str) -> None:
    """Markdown becomes headings and words; what would run or load is shown as text; without one there is no page."""
    assert f'href="/d/{paged}/guarantee"' in load(f"/d/{paged}").section("privacy").text
    page = load(f"/d/{paged}/guarantee")
    assert "<h2>Promise</h2>" in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert "evil.example" not in "".join(str(attributes) for _, attributes in page.tags)
    load(f"/d/{sample}/guarantee", status=404)


def test_the_guarantee_in_spanish_begins_with_what_it_says(load: Any, paged: str) -> None:
    """The odds in Spanish stand before the text, which is marked as English; the English page has the text alone."""
    page = load(f"/es/d/{paged}/guarantee")
    said = page.section("privacy").words
    assert "acierta como máximo" in said
    assert f'href="/es/d/{paged}/guarantee"' not in page.section("privacy").text
    assert "La garantía misma está en inglés" in page.words
    assert page.text.index('id="privacy"') < page.text.index('<div class="prose" lang="en">')
    assert 'id="privacy"' not in load(f"/d/{paged}/guarantee").text


def test_machines_find_the_dataset_in_its_page(load: Any, paged: str) -> None:
    """schema.org's Dataset as JSON-LD that no name can break out of."""
    page = load(f"/d/{paged}")
    script = page.text.partition('<script type="application/ld+json">')[2].partition("</script>")[0]
    assert "<" not in script
    described = json.loads(script)
    assert (described["@type"], described["name"]) == ("Dataset", "Requests <i>& more</i>")


def test_the_dictionary_names_what_is_withheld_and_by_which_law(load: Any, paged: str) -> None:
    """Each column that is not public under its class and its citation; the inventory says what it is and how used."""
    section = load(f"/d/{paged}").section("columns")
    assert "private, Minn. Stat. § 13.82: NAME" in section.words
    assert "Source columns: 3 (read: 2; not public by law: 1)." in section.words
    inventory = load("/inventory").words
    assert "NAME private Minn. Stat. § 13.82 not read Who called" in inventory
    assert "CASE public =SUM(A1) read and replaced by a secret code" in inventory
    assert "ZONE public Minn. Stat. § 13.03 read for counting, not published" in inventory


def test_the_page_says_how_sure_its_numbers_are(load: Any, paged: str) -> None:
    """The real counts of each status, and a real cell of the latest period that has one."""
    section = load(f"/d/{paged}").section("sure")
    assert "ok 160 rows, 67% Probably within 33%." in section.words
    assert "caution 20 rows, 8% Probably within 65%, but not within 33%. Use it only together with its margin." in (
        section.words
    )
    assert "unreliable 20 rows, 8% It may be off by more than 65%" in section.words
    assert "suppressed 40 rows, 17%" in section.words
    assert "For example: B , the week of April 18, 2022: 1,119 (1,109 – 1,129), probably within 1%" in section.words
    bar = [(rect["class"], rect.get("fill")) for rect in section.all("rect") if str(rect["width"]).endswith("%")]
    assert bar == [("ok", None), ("caution", "url(#caution)"), ("unreliable", None), ("suppressed", None)]


def test_each_row_has_its_margin_beside_the_number(load: Any, paged: str) -> None:
    """± half the margin and the percentage stand beside the value, in Spanish too; the column for programs does not."""
    for language in ("", "/es"):
        page = load(f"{language}/d/{paged}", **{"row.zone": "B", "row.period": "2022-W16"})
        assert "1,119 ± 10 (1%) 1,109 1,129" in page.section("rows").words
        assert "sort=requests_margin_percent" not in page.section("rows").text


def test_the_headline_says_how_far_off_it_may_be(load: Any, portal: Running) -> None:
    """Half the margin in percent, in words, on the page and in the catalog, in each language."""
    city = family(portal)["city"]
    for path, asked in ((f"/d/{city}", {}), ("/", {"q": "requests more"})):  # others may fill the catalog's first page
        assert "probably within 4%" in load(path, **asked).words
        assert "error probable de hasta el 4 %" in load(f"/es{path.rstrip('/')}", **asked).words


def test_grades_are_told_apart_without_color(load: Any, paged: str) -> None:
    """A square for caution and a ring for unreliable in the chart, named in its legend."""
    trend = load(f"/d/{paged}", zone="B").section("trend")
    assert {"squares", "rings"} <= {path["class"] for path in trend.all("path")}
    assert "caution unreliable" in trend.words
    assert "con precaución poco confiable" in load(f"/es/d/{paged}", zone="B").section("trend").words


def test_the_page_says_the_guarantee_in_odds(load: Any, paged: str) -> None:
    """Before and after, in words and in dots; the chance is never rounded down."""
    section = load(f"/d/{paged}").section("privacy")
    assert "right 50 times in 100 without the published numbers, is right at most 61.2 times in 100" in section.words
    assert "For a household with 5 records in it: right at most 93 times in 100." in section.words
    assert "Once this source has spent its whole privacy budget: right at most 100 times in 100." in section.words
    assert "at most 92.1% sure" in section.words
    assert "with a chance of 1 in 1,000,000" in section.words
    full = [path["d"] or "" for path in section.all("path") if path["class"] == "full"]
    assert [sum(len(range(0, int(row), 10)) for row in re.findall(r"h(\d+)", dots)) for dots in full] == [50, 62]


def test_releases_and_corrections_have_lasting_pages(
    load: Any, paged: str, web: requests.Session, portal: Running
) -> None:
    """A corrected edition says why, the one it replaced says by which, and both say what they held and what people
    decided about them, with the reason."""
    section = load(f"/d/{paged}").section("releases")
    assert "1 correction so far" in section.words
    assert "counted again with late records" in section.words
    accepted = (
        "accepted by the publisher on March 2, 2020, although the total is 9 (give or take 2); expected at most 1 : "
        "The <fee> went up"
    )
    assert accepted in section.words
    old = load(f"/d/{paged}/releases/2020-W02/1")
    assert "These numbers were replaced: edition 2" in old.words
    assert "a" * 64 in old.words
    assert "Decision of the publisher retracted on February 3, 2020: A file was missing" in old.words
    assert "Decision of the publisher restored on February 4, 2020 Rows" in old.words
    assert "Download its rows as CSV" not in old.words
    new = load(f"/d/{paged}/releases/2020-W02/2")
    assert "Use with caution 2 Unreliable 1 Suppressed" in new.words
    assert "replaced:" not in new.words
    assert accepted in new.words
    rows = next(link["href"] for link in new.all("a") if link.get("class") == "button")
    assert web.get(f"{portal.address}{rows}").text.count("2020-W02") == 2
    package = web.get(f"{portal.address}{rows}".replace("data.csv", "datapackage.json")).json()
    assert package["resources"][0]["path"] == "data.csv"
    load(f"/d/{paged}/releases/2020-W02/3", status=404)
    load(f"/d/{paged}/releases/2020-W99/1", status=404)
    assert load(f"/d/{paged}/releases").text.count("/releases/2020-W0") == 3


def test_companions_lead_to_each_other(load: Any, portal: Running) -> None:
    """From the finest table to the whole city and back; the page itself is named, not linked."""
    ids = family(portal)
    for here, there in (("main", "city"), ("city", "main")):
        kin = load(f"/d/{ids[here]}").text.partition('class="kin"')[2].partition("</nav>")[0]
        assert f'href="/d/{ids[there]}"' in kin
        assert f'href="/d/{ids[here]}"' not in kin


def test_a_total_over_time_does_not_lead_a_family() -> None:
    """A city's number by year has no key column and fewer rows; the headline stays that of the city's weeks, and only
    the pages of years lead with the year."""
    said = {"time": "period_start", "period": "period", "place": None, "keys": [], "measures": [
        {"name": "n", "label": "N", "kind": "count", "unit": "n", "low": "l", "high": "h", "status": "s"}
    ]}  # fmt: skip
    fields = dict.fromkeys(("period_start", "period", "n", "l", "h", "s"), Kind.TEXT)
    columns = tuple(PortalColumn(n, name, name, kind, n) for n, (name, kind) in enumerate(fields.items()))
    names = ("calls", "calls-city", "calls-year")

    def table(name: str, rows: int, **more: str) -> PortalDataset:
        others = json.dumps([{"name": each, "title": each} for each in names if each != name])
        own = {"dataset": name, "shape": json.dumps(said), "companions": others} | more
        return PortalDataset(
            id=name, name=name, owner="x", created_at=0, updated_at=0, rows_updated_at=0, version=1, rows=rows,
            next_row=1, columns=columns, metadata={"custom_fields": {"Publisher": own}},
        )  # fmt: skip

    city, year = table("calls-city", 52), table("calls-year", 1, over_time="year")
    main = table("calls", 520, shape=json.dumps(said | {"keys": [{"name": "n", "label": "Zone", "names": None}]}))
    (found,) = families([main, city, year])
    assert [each.dataset if each else None for each in map(found.whole, ("", "year", "quarter"))] == [city, year, None]
    assert (found.main.dataset, found.over_time) == (main, True)
    (without,) = families([main, city])
    assert not without.over_time


def test_downloads_are_listed_with_what_is_known_of_them(
    load: Any, paged: str, web: requests.Session, portal: Running
) -> None:
    """Once a file is made its size and hash stand on the page, the same that the listing has."""
    listed = web.get(f"{portal.address}/api/views/{paged}/downloads.json").json()
    section = load(f"/d/{paged}").section("download")
    for file in listed:
        assert file["label"] in section.words
        assert f'href="{file["url"]}"' in section.text
        assert file["sha256"] in section.words


def numbers(page: Page) -> dict[str, list[str]]:
    """The table beside the chart: cells by period."""
    table = page.text.partition("Show the same numbers as a table")[2].partition("</table>")[0]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table)
    return {period: re.findall(r"<td[^>]*>(.*?)</td>", cells) for period, cells in rows}


def test_the_chart_shows_a_cell_with_its_margin(load: Any, paged: str) -> None:
    """Every number of the chart is in the table, which a link leads to."""
    page = load(f"/d/{paged}")
    assert '<a href="?table=1#trend-table">Show the same numbers as a table</a>' in page.section("trend").text
    page = load(f"/d/{paged}", zone="A & <b>", table="1")
    assert "<option selected>A &amp; &lt;b&gt;" in page.text
    assert 'class="band"' in page.text
    table = numbers(page)
    assert len(table) == 104
    assert table["2022-W16"] == ["1,119", "± 10 (1%)", "1,109", "1,129", "ok"]
    assert table["2022-W08"][4] == "unreliable"
    path = re.search(r'class="line" d="(M[^"]*)"', page.text.partition("<figure")[2])
    assert path is not None
    assert len(re.findall(r"-?\d+", path[1])) == 2 * 104


def test_earlier_periods_are_a_link_away(load: Any, paged: str) -> None:
    """The rest of the periods is on the next view."""
    table = numbers(load(f"/d/{paged}", page="1"))
    assert len(table) == WEEKS - 104
    assert "2020-W02" in table


def test_suppressed_cells_stay_empty(load: Any, paged: str) -> None:
    """No value, no margin, a gap in the line and a mark for it."""
    page = load(f"/d/{paged}", zone="B", table="1")
    assert numbers(page)["2022-W14"] == ["", "", "", "", "suppressed"]
    assert 'class="gaps"' in page.text
    assert "suppressed, no value" in page.words


def test_a_suppressed_cell_says_why(load: Any, paged: str) -> None:
    """In words next to its status; the column for programs is not shown, but stays in the download."""
    page = load(f"/d/{paged}", **{"row.zone": "B", "row.requests_status": "suppressed"})
    rows = page.section("rows").words
    assert "suppressed (so that another suppressed cell does not follow from the totals)" in rows
    shown = [head for head in page.text.split("<thead>") if 'href="?sort=' in head]
    assert not [head for head in shown if "sort=requests_reason" in head]


def test_a_total_is_that_of_the_whole_city(load: Any, paged: str, web: requests.Session, portal: Running) -> None:
    """All zones: the numbers of the table that has the total, not the sum of the zones that are shown."""
    page = load(f"/d/{paged}", zone="*", table="1")
    assert "These numbers are from another table" in page.words
    city = family(portal)["city"]
    rows = web.get(f"{portal.address}/resource/{city}.json", params={"$select": "period, requests"}).json()
    expected = {row["period"]: Decimal(row["requests"]) for row in rows}
    table = numbers(page)
    assert len(table) == 104
    assert {period: Decimal(cells[0].replace(",", "")) for period, cells in table.items()} == {
        period: expected[period] for period in table
    }


def test_means_are_not_added_up(load: Any, paged: str) -> None:
    """For a mean the choice of all cells is not offered, and asking for it anyway falls back to one cell."""
    page = load(f"/d/{paged}", measure="days", zone="*", table="1")
    assert '<option value="*"' not in page.section("trend").text
    assert "2022-W16" in numbers(page)


def test_the_preview_sorts_filters_and_turns_pages(load: Any, paged: str) -> None:
    """Plain links and a form, no script: a select for each key, several conditions at once, any column besides."""
    page = load(f"/d/{paged}", column="zone", value="b", sort="requests", desc="")
    assert 'aria-sort="descending"' in page.text
    assert "Rows 1 to 10 of 240" in page.words
    assert "Rows 11 to 20 of 240" in load(f"/d/{paged}", rows="1").words
    assert "Rows 1 to 2 of 2" in load(f"/d/{paged}", column="days", value="59.5").words
    assert "Rows 1 to 10 of 240" in load(f"/d/{paged}", column="requests", value="abc").words
    both = {"row.zone": "B", "row.requests_status": "suppressed"}
    assert "Rows 1 to 10 of 40" in load(f"/d/{paged}", **both).words
    assert "Rows 1 to 1 of 1" in load(f"/d/{paged}", **both, **{"row.period": "2022-W14"}).words
    assert "Rows 1 to 10 of 240" in load(f"/d/{paged}", **{"row.zone": "no such zone"}).words


def test_filters_keep_the_chart_and_the_chart_the_filters_apart(load: Any, paged: str) -> None:
    """The chart's choice comes along as a hidden field when rows are filtered."""
    page = load(f"/d/{paged}", zone="B", **{"row.zone": "A & <b>"})
    assert {"type": "hidden", "name": "zone", "value": "B"} in page.section("rows").all("input")
    assert "<option selected>B" in page.section("trend").text
    assert "<option selected>A &amp; &lt;b&gt;" in page.section("rows").text


def test_filtered_rows_can_be_downloaded(load: Any, paged: str, web: requests.Session) -> None:
    """The link beside them gives exactly the rows that the filters leave."""
    page = load(f"/d/{paged}", **{"row.zone": "A & <b>", "row.requests_status": "unreliable"})
    these = next(link["href"] for link in page.all("a") if "where" in (link.get("href") or ""))
    answer = web.get(these or "")
    assert answer.status_code == 200
    assert len(answer.text.splitlines()) == 1 + 12


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
        {"row.period": "'; DROP"},
        {"row.none": "x"},
        {"row.zone": ["A", "B"]},
    ],
)
def test_odd_parameters_do_no_harm(load: Any, paged: str, query: dict[str, Any]) -> None:
    """Nonsense in the address shows the page, not an error."""
    load(f"/d/{paged}", **query)


@pytest.mark.parametrize("query", [{"page": "x"}, {"page": "9" * 9}, {"sort": "'"}, {"map": "no"}, {"tag": ["", "x"]}])
def test_odd_parameters_of_the_catalog_do_no_harm(load: Any, query: dict[str, Any]) -> None:
    """Nor in the catalog's."""
    load("/", **query)


def test_a_dataset_without_shape_has_everything_but_a_chart(load: Any, sample: str) -> None:
    """Rows, columns and downloads, GeoJSON included."""
    page = load(f"/d/{sample}")
    assert "<figure" not in page.text
    assert "GeoJSON" in page.words
    assert "Rows 1 to 10 of 120" in page.words


def test_an_empty_dataset_has_a_page(portal: Running, load: Any) -> None:
    """Before the first upload too."""
    with portal.client() as client:
        name = publish(client, "Nothing yet", [])
        assert "No rows" in load(f"/d/{name}").words
        client.delete(name)


def test_an_address_that_leads_nowhere_has_a_page(load: Any) -> None:
    """In the style of the others, with a search and a way back."""
    page = load("/nowhere", status=404)
    assert "Page not found" in page.words
    assert [form["role"] for form in page.all("form")] == ["search"]
    assert '<a href="/">See all datasets</a>' in load("/d/zzzz-zzzz", status=404).text
