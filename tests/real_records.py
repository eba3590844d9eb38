"""Where the real records are; trials on them are skipped where there are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("PUBLISHER_DATA") or Path(__file__).parents[2] / "shared" / "data").resolve()
WHY = f"the real records are not in {DATA}: set PUBLISHER_DATA"


def real_records(*folders: str) -> Path:
    """The folder of the real records; skips the test where one of these folders in it is missing."""
    if not all((DATA / each).is_dir() for each in folders):
        pytest.skip(WHY)
    return DATA
