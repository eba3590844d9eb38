"""The pages that explain, and the examples that they and each dataset give."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from page_reading import family, loaded

if TYPE_CHECKING:
    from portal_process import Running


def test_the_methods_are_told_in_order_with_a_picture_each(portal: Running) -> None:
    """Seven steps, each with its heading and a picture that no screen reader has to read, then the guarantee."""
    page = loaded(portal, "/methods")
    steps = re.findall(r'<section class="step" id="(\w+)"', page.text)
    assert steps == ["counting", "bounding", "noise", "margins", "suppression", "rollups", "late"]
    for step in steps:
        section = page.text.partition(f'id="{step}"')[2].partition("</section>")[0]
        assert "<h2" in section
        assert 'aria-hidden="true"' in section


def test_the_guarantee_says_what_it_does_not_say(portal: Running) -> None:
    """Both lists stand there, and the odds are those of a dataset of this portal."""
    family(portal)
    section = loaded(portal, "/methods").section("guarantee")
    assert "What it says" in section.words
    assert "What it does not say" in section.words
    assert re.search(r"right at most \d\d(\.\d)? times in 100", section.words)


def test_the_statement_on_accessibility_can_be_found_and_answered(portal: Running) -> None:
    """Every page's foot leads to it, and it says where to write."""
    assert '<a href="/about#accessibility">' in loaded(portal, f"/d/{family(portal)['main']}").text
    page = loaded(portal, "/about")
    assert 'id="accessibility"' in page.text
    assert "mailto:data@example.org" in page.text
