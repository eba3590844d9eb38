"""docs/first-city.md does what it says: its commands run, and its files are checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from walks import Walk

PAGE = Path(__file__).parent.parent / "docs" / "first-city.md"


@pytest.mark.usefixtures("processes")
def test_the_first_city(tmp_path: Path) -> None:
    """Every command of the page succeeds in its order, with the edits between, and a release comes of it."""
    said = Walk(PAGE, tmp_path).go().said
    assert "everything is in order" in said
    assert re.search(r"requests-by-month │ 2018-01 .*ready", said)
    assert "dataset trees-by-month: trees by ward" in said
