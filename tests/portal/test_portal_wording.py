"""The publisher's own words in Spanish, where its definitions have them; all else in English, and marked."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))  # where a city with everything is invented

from city import City, open_city
from page_reading import Page
from portal_process import start, stop

if TYPE_CHECKING:
    from collections.abc import Iterator

SPANISH = {
    "Requests by ward and month": "Solicitudes por distrito y mes",
    "Ward": "Distrito",
    "Kind of request": "Tipo de solicitud",
    "Requests": "Solicitudes",
    "requests": "solicitudes",
    "Pothole": "Bache",
    "Noise": "Ruido",
    "Harbor": "Puerto",
}


@pytest.fixture(scope="module")
def city(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """The invented city, one of whose datasets has some of its words in Spanish."""
    running = start(tmp_path_factory.mktemp("wording") / "state")
    made = open_city(running)
    with running.client() as client:
        metadata = requests.get(f"{made.address}/api/views/{made.full}.json", timeout=60).json()["metadata"]
        said = metadata["custom_fields"]["Publisher"]
        said["translations"] = json.dumps({"es": SPANISH})
        said |= {"guarantee": "# Promise\n\nNoise.", "guarantee_es": "# Promesa\n\n- Ruido de *1*."}
        client.update_metadata(made.full, {"metadata": metadata})
    yield made
    stop(running)


def read(city: City, path: str) -> str:
    return requests.get(city.address + path, headers={"Accept": "text/html"}, timeout=60).text


def test_a_page_in_spanish_has_spanish_words(city: City) -> None:
    """Title, which says that the data is not real, measure, unit, keys, their values and the columns made of them; in
    selects, headings, tables and the sentence about bounds. None of them is marked as English."""
    html = read(city, f"/es/d/{city.full}")
    words = Page(html).words
    for text in ("Distrito", "Tipo de solicitud", "Solicitudes, mínimo", "Bache", "Puerto", "Fila"):
        assert text in words, text
    assert re.search(r"<title>\[Muestra\] Solicitudes por distrito y mes \(City of Example\) – ", html)
    assert "<h1>[Muestra] Solicitudes por distrito y mes</h1>" in html
    assert "los registros ( solicitudes )" in words or "los registros (solicitudes)" in words
    assert "(una celda: Distrito × Tipo de solicitud)" in words
    assert not re.search(r'lang="en"[^>]*>(Solicitudes|Distrito|Bache)', html)
    assert re.search(r'<option value="Pothole"[^>]* lang="es">Bache', html)


def test_what_is_not_translated_stays_english_and_marked(city: City) -> None:
    """The description, and kinds and places without a Spanish name."""
    html = read(city, f"/es/d/{city.full}")
    assert '<p class="lead" lang="en">What people asked of the city.</p>' in html
    assert re.search(r'<span class="who" lang="en">Old Town|lang="en">Old Town', html)
    assert ">Street light" in html


def test_the_page_in_english_and_the_api_are_as_before(city: City) -> None:
    """Translations change neither."""
    html = read(city, f"/d/{city.full}")
    assert not any(word in html for word in ("Solicitudes", "Distrito", "Bache"))
    assert 'lang="en"' not in html.partition("<body")[2].replace('hreflang="en"', "")
    view = requests.get(f"{city.address}/api/views/{city.full}.json", timeout=60).json()
    assert view["name"] == "Requests by ward and month"
    assert {"Ward", "Requests", "Requests, low"} <= {column["name"] for column in view["columns"]}


def test_the_guarantee_in_spanish_stands_in_place_of_the_english_one(city: City) -> None:
    """Not marked as English, as a translation that leads to the text as it was published; the English page has that."""
    html = read(city, f"/es/d/{city.full}/guarantee")
    assert '<div class="prose">\n<h1>Promesa</h1>' in html or '<div class="prose">\n<h2>Promesa</h2>' in html
    assert "<li>Ruido de <em>1</em>.</li>" in html
    assert "Promise" not in html
    assert 'id="privacy"' not in html
    assert "vale el texto en inglés" in Page(html).words
    assert f'<a href="/d/{city.full}/guarantee" hreflang="en">Leerla en inglés</a>' in html
    english = read(city, f"/d/{city.full}/guarantee")
    assert "Promise" in english
    assert "Promesa" not in english


def test_cards_and_pictures_are_in_spanish(city: City) -> None:
    """The catalog's card, and chart and map that leave the page."""
    card = read(city, "/es/")
    title = r"\[Muestra\] Solicitudes por distrito y mes \(<span lang=\"en\">City of Example</span>\)"
    assert re.search(f"<h2><a [^>]*>{title}</a></h2>", card)
    assert "Una fila por cada Distrito × Tipo de solicitud" in Page(card).words
    for name in ("chart", "map"):
        svg = requests.get(f"{city.address}/es/d/{city.full}/{name}.svg?kind=Noise&map_kind=Noise", timeout=60).text
        text = " ".join(re.findall(r">([^<]+)</text>", svg))
        assert text.startswith(("Solicitudes, Old Town · Ruido", "Solicitudes, Ruido")), text
        assert "Solicitudes por distrito y mes" in text
