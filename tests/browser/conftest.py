"""One browser and one portal for every test here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "portal"))  # where the portal's process is started for tests

from chromium import Browser, missing
from city import City, open_city
from portal_process import start, stop

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def city(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A portal with datasets of every kind."""
    if reason := missing():
        pytest.skip(reason)
    running = start(tmp_path_factory.mktemp("city") / "state")
    try:
        yield open_city(running)
    finally:
        stop(running)


@pytest.fixture(scope="session")
def browser(city: City) -> Iterator[Browser]:
    """A headless Chromium."""
    with Browser(city.address) as opened:
        yield opened
