"""One small sample, written once and only read by the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from publisher.sample import write_sample
from publisher.workspace import Workspace, find_workspace


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sample of 20,000 requests."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, rows=20_000)
    return folder


@pytest.fixture(scope="session")
def shipped() -> Workspace:
    """The workspace of the repository."""
    return find_workspace(Path(__file__).parent)
