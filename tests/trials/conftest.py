"""Trials on the real records, where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from apart import DATA

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of the real records; a test that needs it is skipped where it is absent."""
    if not (DATA / "stlouis-311").is_dir():
        pytest.skip(f"the real records are not in {DATA}: set PUBLISHER_DATA")
    return DATA
