"""Towns to run the command in: a fresh one, and one that has released everything once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from desk import Desk, prepared
from township import Town, build

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def new_town(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A town whose definitions were checked, in which nothing has happened yet; nobody changes it."""
    town = build(tmp_path_factory.mktemp("new") / "town")
    answer = town.publisher("check")
    assert answer.code == 0, answer.err
    return town


@pytest.fixture
def town(new_town: Town, tmp_path: Path) -> Town:
    """A town in which nothing has happened yet, to be changed at will."""
    return new_town.copy(tmp_path / "town")


@pytest.fixture(scope="session")
def first_town(new_town: Town, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A town that has released all six periods; nobody changes it."""
    town = new_town.copy(tmp_path_factory.mktemp("released") / "town")
    answer = town.run()
    assert answer.code == 0, answer.err
    return town


@pytest.fixture
def released(first_town: Town, tmp_path: Path) -> Town:
    """A copy of the town that has released everything, to be changed at will."""
    return first_town.copy(tmp_path / "town")


@pytest.fixture
def due(released: Town) -> Town:
    """The town that has released everything, whose requests are all due again since their loss was changed."""
    released.edit("datasets/requests.toml", "rho = 0.1", "rho = 0.05")
    return released


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A new workspace, with boundaries of two areas in Illinois, on a machine there."""
    for name in [name for name in os.environ if name.startswith("PUBLISHER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "heads"))
    monkeypatch.setenv("TZ", "America/Chicago")
    return prepared(tmp_path / "desk")
