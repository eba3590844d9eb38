"""Trials on the real records, where they stand, and on the town of a benchmark."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from real_records import real_records

import publisher

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of the real records; a test that needs it is skipped where it is absent."""
    return real_records("stlouis-311")


@pytest.fixture(scope="session")
def years() -> ModuleType:
    """The benchmark of years, which has a town with many releases."""
    path = Path(publisher.__file__).parent.parent / "benchmarks" / "years.py"
    spec = importlib.util.spec_from_file_location("years", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["years"] = module
    spec.loader.exec_module(module)
    return module
