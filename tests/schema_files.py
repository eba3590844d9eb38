"""Where the schema files of harvesters are; tests against them are skipped where there are none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

SCHEMAS = Path(os.environ.get("PUBLISHER_SCHEMAS") or Path(__file__).parents[2] / "shared" / "schemas").resolve()


def schema_files(folder: str) -> dict[str, Any]:
    """The files of a standard by name, without extension; skips the test where they are missing."""
    if not (SCHEMAS / folder).is_dir():
        pytest.skip(f"the schema files of harvesters are not in {SCHEMAS}: set PUBLISHER_SCHEMAS")
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (SCHEMAS / folder).rglob("*.json")}
