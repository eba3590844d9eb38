"""Shared by all tests: the invented town, a connection, and a place of each test's own for what lies outside."""

from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from small_town import Town

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

pytest_plugins = ("marks", "evidence")

OUTSIDE = tempfile.TemporaryDirectory(prefix="outside-")
os.environ["XDG_STATE_HOME"] = OUTSIDE.name
"""No test leaves a ledger's head in the home of who runs it: not here, and not in a command that it starts."""


@pytest.fixture(autouse=True)
def _elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has heads of its own: a town that is copied for many tests would meet those of its other copies."""
    place = f"{zlib.crc32(request.node.nodeid.encode()):08x}"
    monkeypatch.setenv("XDG_STATE_HOME", str(Path(OUTSIDE.name, place)))


@pytest.fixture(scope="session")
def duck() -> Iterator[DuckDBPyConnection]:
    """One connection for all tests of a process: each loads its own rows."""
    connection = duckdb.connect(":memory:", config={"threads": 2})
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def town(duck: DuckDBPyConnection) -> Town:
    """The town as it stands; `dataclasses.replace` and `people` change it."""
    return Town(duck)
