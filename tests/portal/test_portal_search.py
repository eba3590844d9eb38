"""What people find who type what they have in mind: spelling, synonyms, Spanish, places, and what is suggested."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from portal_process import publish, start, stop

from publisher.portal.discovery.vocabulary import STOP_WORDS, forms, spelled, synonyms

if TYPE_CHECKING:
    import requests
    from portal_process import Running

DOCS = Path(__file__).parents[2] / "docs" / "portal.md"


def documented() -> list[tuple[str, str]]:
    """The table of searches in the documentation: what is typed, and what comes first."""
    section = DOCS.read_text(encoding="utf-8").partition("### What a search finds")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return [(typed, first) for typed, first in rows[2:]]


def first_card(page: str) -> str:
    """The title of the first dataset on a catalog page."""
    card = re.search(r"<h2[^>]*><a [^>]*>(.*?)</a>", page)
    return unescape(re.sub("<[^>]+>", "", card[1])) if card else "nothing"


def found(web: requests.Session, running: Running, words: str, **more: str) -> list[str]:
    """The titles that the catalog API finds, in order."""
    answer = web.get(f"{running.address}/api/catalog/v1", params={"q": words, **more}).json()
    assert answer["resultSetSize"] >= len(answer["results"])
    return [each["resource"]["name"] for each in answer["results"]]


def guesses(web: requests.Session, running: Running, words: str) -> list[str]:
    """What the catalog page suggests instead."""
    page = web.get(f"{running.address}/", params={"q": words}).text
    suggested = re.search(r"Did you mean:(.*?)</p>", page)
    return re.findall(r">([^<]+)</a>", suggested[1]) if suggested else []


def test_residents_find_what_the_documentation_says(web: requests.Session, shipped: Running) -> None:
    """Thirty searches in English and Spanish, each with the dataset that comes first on the catalog page."""
    table = documented()
    assert len(table) >= 30
    shown = [(typed, first_card(web.get(f"{shipped.address}/", params={"q": typed}).text)) for typed, _ in table]
    assert shown == table


@pytest.mark.parametrize(
    ("words", "like"),
    [
        ("neighbourhood", "neighborhood"),
        ("NEIGHBORHOODS", "neighborhood"),
        ("garbage", "basura"),
        ("árboles", "arbol"),
        ("pothole", "bache"),
        ("what is the water use", "water use"),
        ("cuántos permisos hay", "permisos"),
    ],
)
def test_spelling_makes_no_difference(web: requests.Session, shipped: Running, words: str, like: str) -> None:
    """US and UK spelling, capitals, accents, plurals, stop words; synonyms find the same in both languages."""
    assert set(found(web, shipped, words)) == set(found(web, shipped, like)) != set()


def test_names_of_places_find_the_tables_that_have_them(web: requests.Session, shipped: Running) -> None:
    """Neighborhoods stand in the rows alone; the place of a dataset in its metadata."""
    assert set(found(web, shipped, "Carondelet")) == {
        "Requests closed within a week, by neighborhood and month",
        "Service requests by neighborhood and month",
    }
    assert found(web, shipped, "Ballard") == ["Electricity used by larger buildings, by neighborhood"]
    assert all("ermits" in title for title in found(web, shipped, "Syracuse"))


def test_a_suggestion_finds_something(web: requests.Session, shipped: Running) -> None:
    """A typo gets the search without it; no stop word and nothing that finds nothing is suggested."""
    assert guesses(web, shipped, "nieghborhood")[0] == "neighborhood"
    assert guesses(web, shipped, "Boston trahs")[0] == "boston trash"
    for typed in ("nieghborhood", "Boston trahs", "theh", "wher", "xylophone zebra", "permtis seattle"):
        for guess in guesses(web, shipped, typed):
            assert found(web, shipped, guess), guess
            assert not STOP_WORDS & set(spelled(guess)), guess
    assert guesses(web, shipped, "neighborhood") == []


def test_a_question_shows_what_has_most_of_its_words(web: requests.Session, shipped: Running) -> None:
    """Where no dataset has all words, the page says so, in either language, and shows those with more of them."""
    asked = {"q": "how long does it take to fix a street light"}
    page = web.get(f"{shipped.address}/", params=asked).text
    assert "No dataset has all of these words. These have some of them." in page
    assert first_card(page) != "nothing"
    assert "Ningún conjunto de datos tiene todas estas palabras" in web.get(f"{shipped.address}/es/", params=asked).text
    assert found(web, shipped, asked["q"]) == []


@pytest.fixture
def small(processes: None, tmp_path: Path) -> Any:
    """A portal with two datasets, and a city's own synonyms that are wrong at first."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "synonyms.txt").write_bytes(b"\xff\xfe")
    running = start(tmp_path / "state")
    with running.client() as client:
        publish(client, "Bus stops", [])
        publish(client, "Trash", [])
    yield running
    stop(running)


def test_a_city_edits_its_synonyms(web: requests.Session, small: Running) -> None:
    """Its file in the portal's folder adds groups and takes words out at once; where it cannot be read, it is left."""
    assert found(web, small, "garbage") == ["Trash"]
    assert "synonyms.txt cannot be read as UTF-8 text" in small.log.read_text()
    assert found(web, small, "paratransit") == []
    (small.state / "synonyms.txt").write_text("# ours\nbus, paratransit\n- garbage, waste\n", encoding="utf-8")
    assert found(web, small, "paratransit") == ["Bus stops"]
    assert found(web, small, "garbage") == []
    assert found(web, small, "rubbish") == ["Trash"]
    (small.state / "synonyms.txt").unlink()
    assert found(web, small, "garbage") == ["Trash"]
    assert found(web, small, "tras") == ["Trash"]
    assert found(web, small, "???") == []
    assert found(web, small, "the") == []
    assert len(found(web, small, " ")) == 2


def test_plurals_are_those_of_both_languages() -> None:
    """The Spanish for streets is not an English call; forms of one word meet."""
    assert not forms("calle") & forms("calls")
    assert not forms("calles") & forms("call")
    for one, many in (
        ("luz", "luces"),
        ("arbol", "arboles"),
        ("city", "cities"),
        ("box", "boxes"),
        ("calle", "calles"),
    ):
        assert forms(one) & forms(many), many
    assert not forms("gas") & forms("ga")


def test_the_shipped_synonyms_are_in_groups(tmp_path: Path) -> None:
    """Each word finds the others of its group in either language."""
    known = synonyms(tmp_path)
    assert {"trash", "refuse", "basura"} <= known.of("garbage")
    assert {"street", "bache"} <= known.of("potholes")
    assert known.of("xylophone") == frozenset()
