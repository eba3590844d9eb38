"""The pages of docs that people follow do what they say: their commands run, and what they show comes out."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from rooms import ROOT
from walks import Walk, came, edited, typed

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT.parent / "docs"
TUTORIAL = DOCS / "first-city.md"
GUIDES = (*sorted(DOCS.glob("how-to/*.md")), *sorted(DOCS.glob("for-*.md")))


@pytest.fixture(scope="module")
def city(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Who has followed the tutorial, in the workspace that it makes."""
    return Walk(TUTORIAL, tmp_path_factory.mktemp("pages")).go()


def test_the_first_city(city: Walk) -> None:
    """Every command of the tutorial succeeds in its order, from an empty folder, and two releases come of it."""
    released = sorted(path.parent.parent.name for path in city.workspace.glob("state/public/releases/*/*/1"))
    assert released == ["requests-by-month", "trees-by-month"]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_page_for_the_workspace(city: Walk, tmp_path: Path, page: Path) -> None:
    """Every command of the page succeeds in the workspace of the tutorial, and what the page shows comes out.

    Nothing shown depends on the noise, but that cells of a few records stay below their thresholds, which are five
    standard deviations or more above them, and that `doctor` finds the noise right: less than once in a million runs.
    """
    folder = shutil.copytree(city.folder, tmp_path / "copy")
    Walk(page, folder, before=list(city.before)).go()


@pytest.mark.parametrize("page", [path for path in GUIDES if path.stem.startswith("for-")], ids=lambda page: page.stem)
def test_a_page_for_a_role_is_short(page: Path) -> None:
    """A page for a role has at most two screens: 900 words, and 120 lines."""
    text = page.read_text(encoding="utf-8")
    assert len(text.split()) <= 900
    assert len(text.splitlines()) <= 120


def test_a_line_takes_the_place_of_its_key() -> None:
    """A block changes the lines of a file with the same keys, in its section, and adds a section that is not there."""
    text = 'title = "TODO"\n\n[late]\nrho = 0\n\n[loss]\nrho = 1\n'
    assert edited(text, 'title = "Trees"\n') == text.replace("TODO", "Trees")
    assert edited(text, "[loss]\n# why\nrho = 2\n") == text.replace("rho = 1", "rho = 2")
    assert edited(text, '[portal]\ncategory = "X"\n') == text + '\n[portal]\ncategory = "X"\n'
    with pytest.raises(AssertionError):
        edited(text, "rho = 3\n")


def test_what_is_shown_has_to_come() -> None:
    """Shown lines have to come in their order; dots stand for anything, and wrapping does not matter."""
    assert typed("$ a\nx\n$ b\n") == (["a", "b"], [["x"], []])
    assert came(["one", "…", "three"], "one\ntwo\nthree\n")
    assert came(["one two"], "one\n  two\n")
    assert not came(["three", "…", "one"], "one\ntwo\nthree\n")
