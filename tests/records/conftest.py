"""Cities to land in: an empty one, and one whose data folder holds the real records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from invented import City
from real_records import real_records

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
    (tmp_path / "data").symlink_to(real_records("stlouis-311"))
    return City(tmp_path)
