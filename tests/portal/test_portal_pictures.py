"""Charts and maps as pictures: the same numbers as the page, with title and source, at addresses of their own."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import requests
import test_portal_map
from test_portal_map import EVIL, squares

if TYPE_CHECKING:
    from portal_process import Running

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def mapped(portal: Running) -> str:
    return test_portal_map.made(portal, (2020, 2021), squares())


def picture(portal: Running, path: str, **wanted: str) -> requests.Response:
    return requests.get(f"{portal.address}{path}", params=wanted, timeout=60)


def parts(svg: str, name: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(f"{SVG}{name}"))  # noqa: S314 - our own


def texts(svg: str) -> list[str]:
    """Every line of text in the picture."""
    return [each.text or "" for each in parts(svg, "text")]


def test_a_chart_has_its_title_numbers_and_source(portal: Running, mapped: str) -> None:
    """It can leave the page: it says what it shows, of which cell, with which margin, from where."""
    reply = picture(portal, f"/d/{mapped}/chart.svg", zone="1", kind="a")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/svg+xml")
    said = texts(reply.text)
    assert said[:2] == ["Requests, Nord & <b> · a", "Map of (2020, 2021)"]
    assert any("Latest: 221 (218 to 225). Probably within 2%." in each for each in said)
    assert any(f"Source: Open data portal, {portal.address}/d/{mapped}," in each for each in said)
    band = [each for each in parts(reply.text, "path") if each.get("fill") == "#a9d3da"]
    assert len(band) == 1


def test_a_chart_marks_grades_by_shape(portal: Running, mapped: str) -> None:
    """Squares for caution and rings for unreliable, explained in words."""
    for zone, words, drawn in (("4", "Squares: caution", "square"), ("2", "Rings: unreliable", "round")):
        svg = picture(portal, f"/d/{mapped}/chart.svg", zone=zone, kind="a").text
        assert words in " ".join(texts(svg))
        marks = [each for each in parts(svg, "path") if each.get("stroke-width") == "8"]
        assert drawn in {each.get("stroke-linecap") for each in marks}


def test_a_map_marks_what_is_uncertain_or_missing(portal: Running, mapped: str) -> None:
    """Patterns and legend as on the page; what a publisher wrote is text and nothing else."""
    svg = picture(portal, f"/d/{mapped}/map.svg", map_kind="a", map_period="2021-03").text
    fills = [each.get("fill") for each in parts(svg, "path")]
    assert [sum(str(each).startswith(f"url(#{mark}") for each in fills) for mark in "hk"] == [1, 1]
    assert "url(#gap)" in fills
    said = texts(svg)
    legend = {"caution, use with the margin", "unreliable, the margin is too wide", "suppressed, no value"}
    assert legend <= set(said)
    assert said[0].endswith("March 2021")
    assert EVIL in " ".join(said)
    assert EVIL not in svg


@pytest.mark.parametrize("name", ["chart", "map"])
def test_a_png_is_the_same_picture(portal: Running, mapped: str, name: str) -> None:
    """A PNG of its size with letters in it, the same bytes each time, and shown by a browser rather than saved."""
    reply = picture(portal, f"/d/{mapped}/{name}.png", kind="a", map_kind="a")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
    assert "Content-Disposition" not in reply.headers
    assert reply.content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", reply.content[16:24]) == (1200, 675)
    assert len(reply.content) > 20_000  # without its letters it has a third of that
    again = picture(portal, f"/d/{mapped}/{name}.png", kind="a", map_kind="a", anything="else")
    assert again.content == reply.content
    kept = list((portal.state / "downloads" / mapped).glob("*/picture-*.png"))
    assert len(kept) == len({each.name for each in kept})
    for ending in ("png", "svg"):
        url = f"{portal.address}/d/{mapped}/{name}.{ending}"
        tag = requests.get(url, timeout=60).headers["ETag"]
        assert requests.get(url, headers={"If-None-Match": tag}, timeout=60).status_code == 304


def test_pictures_speak_the_language_of_the_address(portal: Running, mapped: str) -> None:
    """A Spanish page has Spanish pictures, and the page links to what it shows."""
    said = " ".join(texts(picture(portal, f"/es/d/{mapped}/chart.svg", zone="1", kind="a").text))
    assert "Un ruido aleatorio protege" in said
    page = picture(portal, f"/es/d/{mapped}", zone="1", kind="a").text
    assert f'href="/es/d/{mapped}/chart.png?zone=1&amp;kind=a"' in page


def test_no_picture_of_what_is_not_there(portal: Running, mapped: str) -> None:
    """An unknown or private dataset, and a cell of which every value is suppressed, have no picture: 404."""
    with portal.client() as client:
        private = client.create("Mine", columns=[{"fieldName": "a", "name": "A", "dataTypeName": "text"}])["id"]
    for path in (f"/d/{mapped}/chart.svg?zone=3&kind=a", f"/d/{private}/chart.png", "/d/aaaa-bbbb/map.svg"):
        assert requests.get(f"{portal.address}{path}", timeout=60).status_code == 404, path
