"""The pages in a real browser: WCAG 2.1 A and AA as axe-core sees it, and what axe cannot see."""

from __future__ import annotations

import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby, product
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from chromium import SCHEMES, WIDTHS
from city import City
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chromium import Browser

pytestmark = pytest.mark.xdist_group("browser")

PAGES = list(City("", "", "", "", "").pages)
EVERY_LOOK = list(product(("", "/es"), WIDTHS, SCHEMES))
"""Language, width and color scheme."""
LIGHT_PAGE = 60_000
"""Bytes that the catalog's or a dataset's page may take on the wire, with all that it needs."""
_FOCUS = """
const drawn = element => [element, ...element.querySelectorAll('*')].slice(0, 20).map(each => {
  const style = getComputedStyle(each);
  return [style.outlineStyle, style.outlineWidth, style.outlineColor, style.boxShadow, style.backgroundColor,
          style.borderColor, style.stroke, style.strokeWidth].join(' ');
}).join();
const can = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
const shown = [...document.querySelectorAll(can)].filter(each => each.checkVisibility() && !each.disabled);
const hidden = [];
for (const each of shown) {
  document.activeElement.blur();
  const before = drawn(each);
  each.focus({focusVisible: true});
  if (document.activeElement !== each || drawn(each) === before) hidden.push(each.outerHTML.slice(0, 120));
}
return [shown.length, hidden];
"""

_SHAPES = """
const used = new Set();
for (const each of document.querySelectorAll('#trend svg path, #map svg path, #map svg rect')) {
  const style = getComputedStyle(each);
  for (const color of [style.fill, style.stroke]) if (!color.startsWith('url') && color !== 'none') used.add(color);
}
return [getComputedStyle(document.body).backgroundColor, [...used]];
"""

_SMALL = """
const can = 'a[href], button, input:not([type=hidden]), select, summary';
const shown = [...document.querySelectorAll(can)].filter(
  each => each.checkVisibility() && !each.closest('svg') && !each.classList.contains('skip'));
const inText = each => each.tagName === 'A' && getComputedStyle(each).display === 'inline' &&
  each.closest('p, li, dd, caption, figcaption') !== null;
const box = each => each.getBoundingClientRect();
const small = shown.filter(each => Math.min(box(each).height, box(each).width) < 24);
const apart = (x, y, other) => {
  const it = box(other), dx = Math.max(it.left - x, 0, x - it.right), dy = Math.max(it.top - y, 0, y - it.bottom);
  return Math.hypot(dx, dy) >= 12;
};
const free = each => {
  const it = box(each), x = (it.left + it.right) / 2, y = (it.top + it.bottom) / 2;
  return shown.every(other => other === each || apart(x, y, other)) && small.every(other => {
    const that = box(other);
    return other === each || Math.hypot((that.left + that.right) / 2 - x, (that.top + that.bottom) / 2 - y) >= 24;
  });
};
return small.filter(each => !inText(each) && !free(each)).map(each => each.outerHTML.slice(0, 100));
"""

_OVERLAPS = """
const boxes = [...document.querySelectorAll('.periods b')].filter(each => each.checkVisibility())
  .map(each => each.getBoundingClientRect());
return [boxes.length, boxes.slice(1).filter((each, n) => each.left < boxes[n].right).length];
"""
"""How many periods an axis names, and how many of these names begin before the last one ends."""

_PRINTED = """
const gone = 'nav, form, button, .skip, .actions, summary';
return [...document.querySelectorAll(gone)]
  .filter(each => each.checkVisibility()).map(each => each.outerHTML.slice(0, 80));
"""

_SAID = """
const part = (cell, side) => {
  const said = getComputedStyle(cell, side).content;
  return said.startsWith('"') ? said.slice(1, -1).replace('\\\\a', ' ') : '';
};
return [...document.querySelectorAll(arguments[0])].map(row => [...row.cells].map(cell =>
  part(cell, '::before') + cell.textContent + part(cell, '::after')).join('').replace(/\\s+/g, ' ').trim());
"""
"""What a row says on the screen, with what the style sheet puts between its cells."""


def _looks(number: int) -> list[tuple[str, int, str]]:
    """Of the page of that number two looks in one language, one wide and one narrow, one light and one dark; from page
    to page they change, so that pages together are seen in every way."""
    language, other = ("", "/es")[number % 2], number // 2 % 2
    return [(language, width, SCHEMES[(n + other) % 2]) for n, width in enumerate(WIDTHS)]


@pytest.mark.parametrize(("page", "looks"), [(page, _looks(number)) for number, page in enumerate(PAGES)])
def test_axe_finds_nothing(browser: Browser, city: City, page: str, looks: list[tuple[str, int, str]]) -> None:
    """No rule of WCAG 2.1 A or AA is broken, wide or narrow, light or dark; at 320 pixels nothing scrolls sideways; the
    console, where a breach of the content security policy would stand, is empty; nothing comes from elsewhere."""
    seen(browser, city, page, looks)


@pytest.mark.parametrize(("page", "scheme"), [("dataset tables", "dark"), ("question", "light"), ("share", "dark")])
def test_axe_finds_nothing_in_forced_colors(browser: Browser, city: City, page: str, scheme: str) -> None:
    """With the colors that a reader's system forces, shapes have them too: no fill or line of a chart is the page's."""
    browser.look(1280, scheme, forced=True)
    browser.open(city.pages[page])
    assert browser.axe() == []
    if page == "dataset tables":
        canvas, used = browser.run(_SHAPES)
        assert canvas == "rgb(0, 0, 0)"
        assert used
        assert all(len(set(re.findall(r"[0-9.]+", color.partition("(")[2])[:3])) == 1 for color in used), used


def test_the_focus_is_above_all_places(browser: Browser, city: City) -> None:
    """Tab to a place of the map: its ring is the last shape, with a halo of paper, and goes with the focus; the map can
    be skipped, and its places come by name."""
    browser.look(1280, "light")
    browser.open(city.pages["dataset"] + "?map_kind=Refuse")
    browser.run("document.querySelector('#map .over').focus()")
    skip = browser.press(Keys.TAB)
    assert skip.find_elements(By.TAG_NAME, "path")
    names = browser.run("return [...document.querySelectorAll('.places a title')].map(each => each.textContent)")
    assert names == sorted(names)
    last = (
        "const all = document.querySelectorAll('.places path'); return [...all].slice(-2).map(e => e.className.baseVal)"
    )
    assert browser.run(last) == ["halo", "ring"]
    fills = "return [...document.querySelectorAll('.halo, .ring')].map(each => getComputedStyle(each).fill)"
    assert browser.run(fills) == ["none", "none"]
    assert browser.run("return document.querySelectorAll('.ring').length") == 1
    browser.run("document.activeElement.blur()")
    assert browser.run("return document.querySelectorAll('.ring, .halo').length") == 0
    browser.run("document.querySelector('#map .over').focus()")
    browser.press(Keys.ENTER)
    browser.press(Keys.TAB)
    assert browser.run("return document.querySelector('#map-legend').contains(document.activeElement)"
                       " || !document.querySelector('.places').contains(document.activeElement)")  # fmt: skip


@pytest.mark.parametrize("page", ["catalog", "dataset tables", "question", "plain dataset", "places"])
def test_targets_can_be_hit_on_a_phone(browser: Browser, city: City, page: str) -> None:
    """At 320 pixels every control and every link outside of a sentence is 24 pixels large, or has that much room around
    it; a map's places are in the table too, which is open."""
    browser.look(320, "light")
    browser.open(city.pages[page])
    assert browser.run(_SMALL) == []
    if page == "dataset tables":
        assert browser.run("return document.querySelector('#map-table').open")


def test_an_axis_is_read_on_a_phone(browser: Browser, city: City) -> None:
    """However many periods a chart has: at 320 pixels their names are apart, and the first and the last are among
    them."""
    browser.look(320, "light")
    browser.open(f"/es{city.pages['places']}")
    axis = "const axis = document.querySelector('.periods'), all = [...axis.children];"
    browser.run(f"{axis} for (const each of all) each.firstChild.textContent = '22 ene 2018';")
    for periods in (5, 4, 3, 2, 1):
        browser.run(f"{axis} for (const each of all.slice({periods})) each.remove();")
        shown, overlapping = browser.run(_OVERLAPS)
        assert overlapping == 0, periods
        assert shown >= min(periods, 2)
        assert browser.run("return document.querySelector('.periods span:last-child b').checkVisibility()")


@pytest.mark.parametrize("page", ["dataset", "dataset tables", "question"])
def test_a_page_prints_its_numbers(browser: Browser, city: City, page: str) -> None:
    """Without navigation and forms, in less than 1 MB, with the whole tables."""
    browser.look(1280, "dark")
    browser.open(city.pages[page])
    browser.media("print")
    try:
        assert browser.run(_PRINTED) == []
        assert 5000 < len(browser.printed()) < 1_000_000
    finally:
        browser.media("")


def test_an_embedded_chart_is_seen_elsewhere(browser: Browser, city: City) -> None:
    """In a frame of a page of another site the picture loads; the dataset's page does not."""
    paths = (city.pages["embed"], city.pages["dataset"])
    page = "<title>elsewhere</title>" + "".join(f'<iframe src="{city.address}{path}"></iframe>' for path in paths)
    driver = browser.driver
    with _another_site(page) as address:
        driver.get(address)
        found = []
        for frame in driver.find_elements(By.TAG_NAME, "iframe"):
            driver.switch_to.frame(frame)
            found.append(browser.run("return [location.host, document.images[0]?.naturalWidth]"))
            driver.switch_to.default_content()
    assert found[0] == [urlsplit(city.address).netloc, 1200]
    assert found[1][0] != urlsplit(city.address).netloc


@contextmanager
def _another_site(page: str) -> Iterator[str]:
    """The address of a server that has this page alone."""

    class Site(BaseHTTPRequestHandler):
        """One page."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.mark.evidence("all pages in both languages, widths and color schemes in a browser")
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing_in_any_look(browser: Browser, city: City, page: str) -> None:
    """The same for every combination: templates and styles are shared, so a fault rarely has one alone."""
    for _, looks in groupby(EVERY_LOOK, key=lambda look: look[0]):
        seen(browser, city, page, list(looks))


def seen(browser: Browser, city: City, page: str, looks: list[tuple[str, int, str]]) -> None:
    """Looks at a page in one language."""
    path = looks[0][0] + city.pages[page]
    loaded = browser.open(path)
    found = []
    for _, width, scheme in looks:
        browser.look(width, scheme)
        found += [f"{width} {scheme}: {each}" for each in browser.axe()]
        wide = browser.run("return document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} pixels wide on {width}"
    assert found == []
    asked = [urlsplit(address) for address in loaded.addresses]
    own = {each.netloc for each in asked if each.scheme != "data"}  # a field for days has the browser's own icon
    assert own == {urlsplit(city.address).netloc}
    expected = ["404"] if page == "missing" else []
    assert [line for line in loaded.console if not any(word in line for word in expected)] == []


def test_axe_finds_what_is_wrong(browser: Browser) -> None:
    """The check itself: a picture without words, pale text and a field without a name are found."""
    browser.open("/")
    browser.look(1280, "light")
    browser.run("document.querySelector('main').innerHTML = arguments[0]", '<img src="x"><p>pale</p><input>')
    browser.run("document.querySelector('main p').style.color = '#ccc'")
    assert {each["rule"] for each in browser.axe()} >= {"image-alt", "color-contrast", "label"}


@pytest.mark.parametrize("page", ["catalog", "dataset"])
def test_pages_are_light(browser: Browser, city: City, page: str) -> None:
    """A page with its style, script and pictures takes less than 60 kB."""
    assert 1000 < browser.open(city.pages[page]).size < LIGHT_PAGE


@pytest.mark.parametrize("page", ["catalog", "dataset", "methods"])
def test_the_keyboard_reaches_the_content(browser: Browser, city: City, page: str) -> None:
    """The first Tab is on the skip link, which is seen then; Enter leads to the content, and Tab goes on in it."""
    browser.look(1280, "light")
    browser.open(city.pages[page])
    link = browser.press(Keys.TAB)
    assert link.get_attribute("href").endswith("#main")
    assert link.rect["y"] >= 0
    assert link.rect["height"] > 10
    browser.press(Keys.ENTER)
    browser.press(Keys.TAB)
    assert browser.run("return document.querySelector('main').contains(document.activeElement)")


@pytest.mark.parametrize("page", ["catalog", "dataset", "inventory", "release"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_focus_is_seen(browser: Browser, city: City, page: str, scheme: str) -> None:
    """Everything that takes the focus looks different while it has it."""
    browser.look(1280, scheme)
    browser.open(city.pages[page])
    browser.press(Keys.TAB)
    count, hidden = browser.run(_FOCUS)
    assert count > 5
    assert hidden == []


@pytest.mark.parametrize(("part", "row"), [
    ("rows", "2024-12 · Harbor · Pothole Requests: 153 ± 12 (8%) (141 – 165) · ok"),
    ("map", "Harbor · 153 ± 12 (8%) (141 – 165) · ok"),
    ("trend", "2022-01 · 5,010 ± 150 (3%) (4,900 – 5,200) · ok"),
])  # fmt: skip
def test_a_phone_shows_the_range_beside_the_place(browser: Browser, city: City, part: str, row: str) -> None:
    """At 360 pixels a row of a table is one or two lines, whole without scrolling; a suppressed number leaves none."""
    browser.look(360, "light")
    browser.open(city.pages["dataset tables"])
    cells = browser.run(_SAID, f"#{part} tbody tr")
    assert row in cells
    assert all("()" not in each and "– )" not in each for each in cells)
    assert browser.run("return Math.max(...[...document.querySelectorAll(arguments[0])].map(each => each.scrollWidth))",
                       f"#{part} .cards") <= 360  # fmt: skip


def test_a_phone_says_what_each_number_of_a_column_is(browser: Browser, city: City) -> None:
    """At 320 pixels each statistic stands after its name, also where it is zero, and no head is left above them."""
    browser.look(320, "light")
    browser.open(city.pages["columns"])
    month, *_ = (row for row in browser.run(_SAID, "#rows tbody tr") if row.startswith("Month"))
    assert re.fullmatch(r"Month With a value:\s\d+ Empty:\s0 Different values:\s\d+", month), month
    assert not browser.run("return document.querySelector('#rows thead').checkVisibility()")


def test_everything_works_without_scripts(browser: Browser, city: City) -> None:
    """With scripts switched off: search by the form, open what was found, and filter its rows."""
    browser.scripts(allowed=False)
    try:
        browser.look(1280, "light")
        browser.open("/")
        driver = browser.driver
        field = driver.find_element(By.CSS_SELECTOR, "form input[name=q]")
        field.send_keys("ward")
        browser.follow(field, submit=True)
        browser.follow(driver.find_element(By.PARTIAL_LINK_TEXT, "Requests by ward"))
        assert driver.current_url.startswith(f"{city.address}/d/{city.full}")
        rows = "#rows tbody tr"
        before = [row.text for row in driver.find_elements(By.CSS_SELECTOR, rows)]
        browser.follow(driver.find_element(By.CSS_SELECTOR, "#rows a[rel=next]"))
        after = [row.text for row in driver.find_elements(By.CSS_SELECTOR, rows)]
        assert before
        assert after
        assert before != after
        driver.find_element(By.XPATH, "//*[@id='rows']//form//option[normalize-space()='Noise']").click()
        browser.follow(driver.find_element(By.CSS_SELECTOR, "#rows form button"))
        filtered = [row.text for row in driver.find_elements(By.CSS_SELECTOR, rows)]
        assert filtered
        assert all("Noise" in row for row in filtered)
    finally:
        browser.scripts(allowed=True)
