"""Charts and maps to share or embed: as they stand, with their names, in a frame of any page and nowhere else."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pytest
import requests
from page_reading import Page, family, loaded
from portal_described import publish_described

if TYPE_CHECKING:
    from portal_process import Running


@pytest.fixture(scope="module")
def described(portal: Running) -> str:
    """The 4x4 of a dataset with a map."""
    return publish_described(portal, "Requests to share")


def policy(portal: Running, path: str, **headers: str) -> str:
    return requests.get(f"{portal.address}{path}", headers=headers, timeout=60).headers["Content-Security-Policy"]


def test_only_an_embedded_picture_may_be_framed(portal: Running, described: str) -> None:
    """A frame of another site may show it, which has no form; every other page refuses, and so does one like it."""
    for path in (f"/d/{described}/embed/chart", f"/es/d/{described}/embed/map"):
        page = requests.get(f"{portal.address}{path}", timeout=60)
        assert page.status_code == 200
        assert "<form" not in page.text
        tag = page.headers["ETag"]
        for found in (policy(portal, path), policy(portal, path, **{"If-None-Match": tag})):
            assert "frame-ancestors *" in found
            assert "form-action 'none'" in found
            assert "script-src 'self'" in found
    for path in (
        "/",
        f"/d/{described}",
        f"/d/{described}/share/map",
        f"/d/{described}/embed/chart/x",
        "/d/embed/chart",
    ):
        assert "frame-ancestors 'none'" in policy(portal, path)


def test_what_is_chosen_is_shared(portal: Running, described: str) -> None:
    """The address, the frame and the picture have the query of the page that leads there."""
    query = "?map_period=2024-02&ward=2"
    page = Page(requests.get(f"{portal.address}/d/{described}/share/map{query}", timeout=60).text)
    code = html.unescape(page.text)
    base = f"{portal.address}/d/{described}"
    assert f'<iframe src="{base}/embed/map{query}" title="Requests to share"' in code
    assert f"{base}{query}#map" in code
    (picture,) = page.all("img")
    assert picture["src"] == f"{base}/map.svg{query}"
    assert requests.get(picture["src"], timeout=60).status_code == 200
    linked = [a["href"] for a in loaded(portal, f"/d/{described}", map_period="2024-02").all("a")]
    assert f"/d/{described}/share/map?map_period=2024-02" in linked


def test_a_picture_says_what_it_shows(portal: Running, described: str) -> None:
    """Measure, place, span, first and last value with their ranges: on the page, in a frame, and in Spanish."""
    main = family(portal)["main"]
    label = next(
        svg["aria-label"] for svg in loaded(portal, f"/d/{main}", zone="B").all("svg") if svg.get("role") == "img"
    )
    named = (
        r"Line chart: Requests, B\. Jan 13, 2020|Line chart: Requests, B\. .*: .* \(.* – .*\)\. .*\. The table below"
    )
    assert re.match(named, label or ""), label
    (picture,) = loaded(portal, f"/d/{described}/embed/map").all("img")
    assert picture["alt"] == "Map: Requests, March 2024. From 1, 201.25, to 2, 202.25."
    (picture,) = loaded(portal, f"/es/d/{described}/embed/map").all("img")
    assert picture["alt"] == "Mapa: Requests, marzo de 2024. Desde 1, 201.25, hasta 2, 202.25."


def test_what_is_not_open_is_not_embedded(portal: Running, described: str, sample: str) -> None:
    """A dataset that is not public, one without a chart, and one that is not there."""
    with portal.client() as client:
        client.set_permission(described, "private")
        try:
            for way in ("share", "embed"):
                answer = requests.get(f"{portal.address}/d/{described}/{way}/map", auth=portal.login, timeout=60)
                assert answer.status_code == 404
        finally:
            client.set_permission(described, "public")
    for path in (f"/d/{sample}/embed/chart", "/d/aaaa-aaaa/embed/map"):
        loaded(portal, path, 404)
