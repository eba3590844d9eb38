"""A PostgreSQL server for the ledgers of this folder's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from postgres import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres import Server


@pytest.fixture(scope="session")
def postgres(processes: None) -> Iterator[Server]:
    """One server for all tests of a process; each ledger has a schema of its own."""
    with serving() as server:
        yield server
