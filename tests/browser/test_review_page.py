"""The page of `publisher review` in a real browser."""

from __future__ import annotations

from itertools import product
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from chromium import SCHEMES, WIDTHS

from publisher.commands.review_page import ReviewPage, page_of
from publisher.commands.review_view import ReviewView, ViewPart

if TYPE_CHECKING:
    from chromium import Browser

pytestmark = pytest.mark.xdist_group("browser")

VIEW = ReviewView(
    subject="requests/2024-02/1",
    hash="c6c7bb5b" * 8,
    statistical_hash="42633095" * 8,
    status="waiting for approval",
    parts=(
        ViewPart(
            "Changes for readers",
            ("6 numbers differ, 5 of them by more than one margin.",),
            ("table", "number", "cell", "before", "now", "margins"),
            (("requests", "Requests", "2024-02, South, Streets", "82", "62", "3.5"),),
        ),
        ViewPart("Changes of the definition", diff="--- approved\n+++ now\n@@ -1 +1 @@\n-rho = 0.1\n+rho = 0.05"),
        ViewPart("Guarantee", markdown="# Protected\n\nNoise.\n\n## In odds\n\n| one | two |\n|---|---|\n| 1 | 2 |\n"),
    ),
    commands=('publisher approve requests 2024-02 --by NAME --reason "..."',),
)


def test_axe_finds_nothing_on_the_page_of_a_review(browser: Browser) -> None:
    """No rule of WCAG 2.1 A or AA is broken, wide or narrow, light or dark; nothing scrolls sideways; the one-time
    address leads to the page, which can be loaded again."""
    with ReviewPage(page_of(VIEW)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        browser.driver.get(server.address)
        browser.driver.refresh()
        assert browser.driver.title == "Review: requests/2024-02/1"
        for width, scheme in product(WIDTHS, SCHEMES):
            browser.look(width, scheme)
            assert browser.axe() == []
            assert browser.run("return document.documentElement.scrollWidth") <= width
        assert browser.run("return document.querySelector('ins').innerText") == "+++ now"
        assert len(browser.run("return document.querySelector('pre:has(ins)').innerText").splitlines()) == 5
        server.shutdown()
