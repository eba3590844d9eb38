"""Cities to land in: an empty one, and one whose data folder holds the real records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from invented import REAL, City

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def city(tmp_path: Path) -> City:
    """An empty city."""
    (tmp_path / "data").mkdir()
    return City(tmp_path)


@pytest.fixture
def real(tmp_path: Path) -> City:
    """A city whose data folder holds the real records."""
    if not (REAL / "stlouis-311").is_dir():
        pytest.skip(f"the real records are not in {REAL}: set PUBLISHER_DATA")
    (tmp_path / "data").symlink_to(REAL)
    return City(tmp_path)
