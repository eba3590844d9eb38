"""Numbers that bounds have cut: no range stands on any page without the sentence that says so."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))  # where a city with everything is invented

from city import City, one_period, open_city
from page_reading import Page
from portal_process import start, stop

if TYPE_CHECKING:
    from collections.abc import Iterator

SENTENCE = {
    "en": "Counts at most 3 of the requests of one caller in each of 2 cells a month (a cell: Ward × Kind of request); "
    "the real total is the same or higher.",
    "es": "Cuenta como máximo 3 de los registros ( requests ) de un mismo « caller » en cada una de 2 celdas al mes "
    "(una celda: Ward × Kind of request ); el total real es igual o mayor.",
}
COUNTED = {
    "en": "By a noisy measurement of 4th quarter 2021, made on February 1, 2022, this counts about 74% to 83% of "
    "everything.",
    "es": "Según una medición con ruido de 4.º trimestre de 2021, hecha el 1 de febrero de 2022, esto cuenta "
    "aproximadamente del 74 % al 83 % de todo.",
}
LINK = {"en": "Counted within limits : Requests", "es": "Contado dentro de límites : Requests"}
"""What stands instead where the page has the sentence above, and leads to it."""
RANGE = re.compile(
    r"95 ?%|\d \(\d+ – \d+\)|(?:·|counted,|contado,) (?:de )?\d[\d,.]* (?:to|a) \d|>(?:Low|Mín|Bajo)|Requests, low</a>"
)
"""What shows that a part of a page has ranges: their confidence, or a pair of ends, or a column of them."""

PARTS = ('id="trend"', 'id="map"', 'id="rows"', 'id="sure"', 'class="head"', 'class="card"')
"""The parts of pages that show ranges."""


@pytest.fixture(scope="module")
def city(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A portal whose dataset is bounded and has a map, a trend, a table and a card."""
    running = start(tmp_path_factory.mktemp("bounded") / "state")
    yield open_city(running)
    stop(running)


@pytest.fixture(scope="module")
def ranked(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dataset of one period, whose places are ranked."""
    running = start(tmp_path_factory.mktemp("ranked") / "state")
    yield f"{running.address}/d/{one_period(running)}"
    stop(running)


def unsaid(html: str, language: str) -> list[str]:
    """The parts of a page that show a range of the bounded number and do not say what its bounds leave out."""
    parts = re.split(r"(?=<section )|(?=<li>\n<div class=\"card\")|(?=<div class=\"head\")|(?=<nav )", html)
    ours = [part for part in parts if RANGE.search(part) and re.search("requests", part, re.IGNORECASE)]
    told = [SENTENCE[language], *([LINK[language]] if SENTENCE[language] in Page(html).section("sure").words else [])]
    return [part for part in ours if not any(words in Page(part).words for words in told)]


def read(city: City, path: str) -> str:
    return requests.get(city.address + path, headers={"Accept": "text/html"}, timeout=60).text


@pytest.mark.parametrize("language", SENTENCE)
def test_no_range_stands_without_the_bounds(city: City, language: str) -> None:
    """On every page, headline, card, trend, map, tables and examples say the bounds where they show a range; the same
    look finds all of them once the sentence is taken away."""
    found = set()
    for name, path in city.pages.items():
        html = read(city, ("/es" if language == "es" else "") + path)
        assert unsaid(html, language) == [], name
        bare = re.sub("Counts at most|Cuenta como máximo|Counted within|Contado dentro", "", html)
        found |= {word for part in unsaid(bare, language) for word in PARTS if word in part[:60]}
    assert found == set(PARTS)


@pytest.mark.parametrize("language", SENTENCE)
def test_the_share_that_is_counted_stands_beside_it(city: City, language: str) -> None:
    """Where it was measured, every such sentence is followed by the share, with the date of the measurement."""
    for path in (f"/d/{city.full}", f"/d/{city.whole}", "/"):
        words = Page(read(city, ("/es" if language == "es" else "") + path)).words
        assert words.count(SENTENCE[language]) == words.count(f"{SENTENCE[language]} {COUNTED[language]}") > 0


def test_confidence_is_said_of_what_is_counted(city: City) -> None:
    """95% is never said of a bounded total as if it were the city's: it is the counted total that lies there."""
    words = Page(read(city, f"/d/{city.full}")).words
    said = re.findall(r"(.{24})between [\d,]+ and [\d,]+ with 95% confidence", words)
    assert said
    assert all(each.endswith("counted total lies ") for each in said)
    (card,) = re.findall(r"[^·]* [\d,]+ to [\d,]+, probably within", Page(read(city, "/")).words)
    assert card.startswith(" of what is counted, ")


def test_harvesters_and_files_are_told(city: City) -> None:
    """What the publisher sends as description reaches the API, DCAT, JSON-LD and the data package, and the page has
    it once, at its numbers."""
    view = requests.get(f"{city.address}/api/views/{city.full}.json", timeout=60).json()
    assert SENTENCE["en"] in view["description"]
    package = requests.get(f"{city.address}/api/views/{city.full}/datapackage.json", timeout=60).json()
    assert SENTENCE["en"] in package["description"]
    for address in ("data.json", "dcat-us-3.json"):
        listed = requests.get(f"{city.address}/{address}", timeout=60).json()["dataset"]
        (entry,) = (each for each in listed if each["title"].partition(" (")[0] == view["name"])
        assert SENTENCE["en"] in entry["description"]
    page = read(city, f"/d/{city.full}")
    (described,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page)
    assert SENTENCE["en"] in json.loads(described)["description"]
    head = page.partition('<div class="head">')[2].partition("<nav")[0]
    assert Page(head).words.count(SENTENCE["en"]) == 1


@pytest.mark.parametrize("language", SENTENCE)
def test_pictures_say_it_too(city: City, language: str) -> None:
    """A chart or map that leaves the page takes the sentence with it, above its source."""
    for name in ("chart", "map"):
        svg = requests.get(f"{city.address}{'/es' * (language == 'es')}/d/{city.full}/{name}.svg", timeout=60).text
        lines = " ".join(re.findall(r">([^<]+)</text>", svg))
        assert SENTENCE[language].replace(" ", "") in lines.replace(" ", "")


def test_ranked_places_say_it(ranked: str) -> None:
    """The ranking of one period, on its page and as a picture."""
    html = requests.get(ranked, headers={"Accept": "text/html"}, timeout=60).text
    assert 'id="ranking"' in html
    assert unsaid(html, "en") == []
    assert SENTENCE["en"] in Page(html).section("ranking").words
    lines = re.findall(r">([^<]+)</text>", requests.get(f"{ranked}/chart.svg", timeout=60).text)
    assert SENTENCE["en"].replace(" ", "") in "".join(lines).replace(" ", "")
