"""Trials on the real records, where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from real_records import real_records

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of the real records; a test that needs it is skipped where it is absent."""
    return real_records("stlouis-311")
