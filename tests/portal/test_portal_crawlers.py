"""What search engines and previews of links read: robots.txt, the sitemap, canonical addresses, OpenGraph."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING
from urllib.robotparser import RobotFileParser
from xml.etree import ElementTree

from portal_described import publish_described

if TYPE_CHECKING:
    import requests
    from portal_process import Running

SITE = "https://data.example.org"
NAMES = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9", "x": "http://www.w3.org/1999/xhtml"}


def told(page: str) -> dict[str, str]:
    """The meta elements of a page, by property or name."""
    found = re.findall(r'<meta (?:name="[^"]+" )?(?:property|name)="([^"]+)" content="([^"]*)">', page)
    return {name: unescape(text) for name, text in found}


def test_the_sitemap_has_every_page_in_each_language(web: requests.Session, shipped: Running) -> None:
    """Pages of the portal and of open datasets alone, each with its other language; they can be had."""
    with shipped.client() as client:
        draft = client.create("A draft")["id"]
    answer = web.get(f"{shipped.address}/sitemap.xml", auth=shipped.login)
    assert answer.headers["content-type"] == "application/xml"
    root = ElementTree.fromstring(answer.text)  # noqa: S314 -- our own
    listed = [each.text or "" for each in root.findall("s:url/s:loc", NAMES)]
    assert len(listed) == len(set(listed)) == 2 * (4 + 31)
    assert {f"{SITE}/", f"{SITE}/es/", f"{SITE}/es/methods"} <= set(listed)
    assert draft not in answer.text
    for url in root.findall("s:url", NAMES):
        assert {each.get("href") for each in url.findall("x:link", NAMES)} <= set(listed)
    for address in (*listed[:8], *[each for each in listed if "/d/" in each][:2]):
        assert web.get(address.replace(SITE, shipped.address)).status_code == 200, address


def test_robots_leave_queries_alone(web: requests.Session, shipped: Running) -> None:
    """Pages, styles and catalogs are for everyone; filters and queries, of which there is no end, for no robot."""
    text = web.get(f"{shipped.address}/robots.txt").text
    assert f"Sitemap: {SITE}/sitemap.xml" in text.splitlines()
    assert "Disallow: /*?" in text.splitlines()
    rules = RobotFileParser()
    rules.parse(text.splitlines())
    for path in ("/", "/d/abcd-1234", "/data.json", "/dcat-us-3.json", "/static/portal.css?v=1", "/feed.atom"):
        assert rules.can_fetch("anyone", path), path
    for path in ("/resource/abcd-1234.json", "/api/odata/v4/abcd-1234"):
        assert not rules.can_fetch("anyone", path), path


def test_a_link_to_a_dataset_has_a_preview(web: requests.Session, shipped: Running) -> None:
    """Title with its city, description, language and address; one address whatever is filtered."""
    found = web.get(f"{shipped.address}/api/catalog/v1?q=carondelet").json()["results"]
    identifier = found[0]["resource"]["id"]
    page = web.get(f"{shipped.address}/d/{identifier}?row.neighborhood=1").text
    said = told(page)
    assert said["og:title"].startswith("Service requests by neighborhood and month (St. Louis, Missouri) – ")
    assert (said["og:url"], said["og:locale"]) == (f"{SITE}/d/{identifier}", "en_US")
    assert said["og:description"].startswith("How many requests")
    assert f'<link rel="canonical" href="{SITE}/d/{identifier}">' in page
    spanish = told(web.get(f"{shipped.address}/es/d/{identifier}").text)
    assert spanish["og:title"].startswith("Solicitudes de servicio por barrio y mes (San Luis, Misuri) – ")
    assert (spanish["og:url"], spanish["og:locale"]) == (f"{SITE}/es/d/{identifier}", "es_US")
    assert told(web.get(f"{shipped.address}/").text)["og:description"].startswith("Numbers about the city")


def test_the_picture_of_a_preview_can_be_had(web: requests.Session, portal: Running, sample: str) -> None:
    """The chart, where the page has one; a dataset without roles of columns has none."""
    described = publish_described(portal, "Requests & previews")
    found = told(web.get(f"{portal.address}/d/{described}").text)
    assert found["og:title"].startswith("Requests & previews")
    answer = web.get(found["og:image"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert "og:image" not in told(web.get(f"{portal.address}/d/{sample}").text)
