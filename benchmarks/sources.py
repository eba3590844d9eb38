"""Every dataset of this workspace on its real records: plan before, guarantee after, the ledger in between, and how far
published numbers lie from exact ones, in units of the stated margin.

    PUBLISHER_DATA=/path/to/raw python benchmarks/sources.py [DATASET ...]

Works in a temporary state that is removed. Exact numbers stay in memory: only shares and extremes are printed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from publisher.commands.terminal import print_table
from publisher.definitions import period as civil
from publisher.duck import connect
from publisher.engine.aggregate import bound_and_aggregate
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource
from publisher.records.reader import raw
from publisher.records.secrets import derive
from publisher.release.store import ReleaseStore
from publisher.release.table import read_published
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Runs the commands one after the other and compares at the end."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = replace(find_workspace(ROOT), state=Path(folder))
        names = sys.argv[1:] or list(workspace.datasets)
        _command(workspace, "plan", *names)
        _command(workspace, "run", "--no-push", *names)
        _command(workspace, "ledger")
        rows = []
        for name in names:
            dataset = workspace.dataset(name)
            releases = ReleaseStore(workspace.public).releases(name)
            print("\n".join(releases[-1].statement.split("\n\n")[:6]), "\n")
            rows += _distances(workspace, dataset, releases)
        headings = ["table", "measure", "cells shown", "median", "largest", "within the margin"]
        print_table("distance from the exact bounded value, in margins", headings, rows)


def _command(workspace: Workspace, *arguments: str) -> None:
    environment = {"PUBLISHER_DATA": str(workspace.data), "PUBLISHER_STATE": str(workspace.state)}
    command = [str(Path(sys.executable).with_name("publisher")), *arguments]
    print("$ publisher", *arguments, flush=True)
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def _distances(workspace: Workspace, dataset: DatasetFile, releases: list[Release]) -> list[list[Any]]:
    """A row per level and measure, all releases together."""
    found: dict[tuple[str, str], list[Any]] = {}
    for release in releases:
        exact = _exact(workspace, dataset, civil.parse(release.manifest.period))
        for level, table in release.tables.items():
            for measure in dataset.definition.measured:
                if measure.shown:
                    truth = exact[level, measure.name] * float(measure.resolution or 1)
                    found.setdefault((level, measure.name), []).append(_ratio(table, measure.name, truth))
    rows = []
    for (level, measure), parts in found.items():
        ratios = np.concatenate(parts)
        shown = ratios[~np.isnan(ratios)]
        within = f"{(shown <= 1).mean():.1%}"
        rows.append(
            [dataset.named(level), measure, len(shown), f"{np.median(shown):.2f}", f"{shown.max():.1f}", within]
        )
    return rows


def _exact(workspace: Workspace, dataset: DatasetFile, period: civil.Period) -> dict[tuple[str, str], Any]:
    landed = raw(dataset.source, workspace.private, period.start, period.end)
    records = RecordSource(landed.sql, tuple(landed.parameters), guarded(dataset.source))
    key = int.from_bytes(derive(workspace.private, f"ordering:{dataset.source.name}")[:8])
    with connect(workspace.settings.engine, workspace.private / "tmp") as connection:
        return bound_and_aggregate(connection, records, dataset, period, key).tables


def _ratio(table: Release, measure: str, truth: Any) -> Any:
    """How far each exact value lies from the published one, 1 at the end of its margin; NaN where hidden."""
    columns = read_published(table)
    value, low, high = (columns[f"{measure}{end}"].cast("float64").to_numpy() for end in ("", "_low", "_high"))
    reach = np.where(truth >= value, high - value, value - low)
    return np.abs(truth - value) / np.maximum(reach, 1e-9)


if __name__ == "__main__":
    main()
