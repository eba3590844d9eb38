"""The audit's look at landing, in this process: it sees worker processes that land other rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from burgh import settle

from publisher.audit.landing import faults_of_landing
from publisher.records import rows, secrets
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("processes")
def test_workers_that_land_other_rows_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One month of what workers have written is left behind: the look says so; without that, it has nothing to say."""
    settle(tmp_path)
    workspace = find_workspace(tmp_path)
    secrets.create_key(workspace.private)
    dataset = workspace.dataset("placed")
    assert faults_of_landing(workspace, dataset, tmp_path / "sound") == []
    moved = rows.move
    left = []

    def leaves_one(folder: Path, there: Path) -> None:
        if "shares" in folder.parts and not left:
            left.append(folder)
        else:
            moved(folder, there)

    monkeypatch.setattr(rows, "move", leaves_one)
    found = faults_of_landing(workspace, dataset, tmp_path / "broken")
    assert left
    assert found == ["worker processes land other rows than one process"]
