"""An invented city with rollups, planned before anything was spent; and releases of it from invented counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from township import FILES

from publisher.definitions import period as civil
from publisher.planning.forecast import noise_of
from publisher.privacy.finish import finish
from publisher.release.manifest import Charge, LedgerHead, Manifest, Release
from publisher.release.store import Contents, ReleaseStore
from publisher.release.table import measurements_table, published_table, rollup_table
from publisher.stages import NoisyTable
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from publisher.stages import Integers
    from publisher.workspace import DatasetFile, Workspace

ROLLUPS = """
[[coarser]]
name = "side"
title = "Side of the river"
of = "district"
mapping = "sides-of-districts"
keyset = "sides"
other = "Unknown"

[[rollups]]
name = "city"
title = "Requests of the whole city"

[[rollups]]
name = "sides"
title = "Requests by side of the river"
keys = ["side"]
"""

DISTRICTS = tuple(f"D{n}" for n in range(30))


def build(root: Path, edits: Mapping[str, tuple[str, str]] | None = None, **more: str) -> Workspace:
    """The workspace on disk: no data, no state. `edits` replace one text in a file; `more` adds to datasets' files."""
    files = FILES | {
        "datasets/requests.toml": FILES["datasets/requests.toml"] + ROLLUPS,
        "datasets/keysets/districts.csv": "key\n" + "".join(f"{name}\n" for name in DISTRICTS),
        "datasets/keysets/sides.csv": "key\nEast\nWest\n",
        "datasets/keysets/sides-of-districts.csv": "district,side\n"
        + "".join(f"{name},{'East' if n < 10 else 'West'}\n" for n, name in enumerate(DISTRICTS)),
    }
    for name, (before, after) in (edits or {}).items():
        assert before in files[name], f"{name} does not say {before!r}"
        files[name] = files[name].replace(before, after)
    for name, text in more.items():
        files[f"datasets/{name}.toml"] = text
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return find_workspace(root)


def counts(dataset: DatasetFile, seed: int = 3) -> Integers:
    """Invented counts of the finest cells: most small, some large."""
    size = dataset.grid(civil.parse("2024-01")).size
    found: Integers = np.exp(np.random.default_rng(seed).normal(2.5, 1.2, size)).astype(np.int64)
    return found


def release(workspace: Workspace, dataset: DatasetFile, period: str, seed: int) -> Release:
    """A release of those counts with rounded normal noise of the mechanisms' scales, finished and written for real."""
    draw = np.random.default_rng(seed)
    levels = dataset.levels(civil.parse(period))
    mechanisms = tuple(
        noise_of(dataset.definition, measure, level.name) for measure in dataset.definition.measured for level in levels
    )
    tables = {
        each.table: np.bincount(level.cells, counts(dataset), level.grid.size).astype(np.int64)
        + np.rint(draw.normal(0, each.scale, level.grid.size)).astype(np.int64)
        for each in mechanisms
        for level in levels
        if level.name == each.level
    }
    noisy = NoisyTable(levels, tables, mechanisms)
    finished = finish(noisy, dataset.definition)
    published = {each.level: published_table(each, dataset, 1) for each in finished}
    says: dict[str, Any] = {"statistical_hash": "a", "finishing_hash": "b", "created": "2026-01-01T00:00:00+00:00"}
    manifest = Manifest(
        dataset=dataset.name,
        source=dataset.source.name,
        period=period,
        edition=1,
        stand_in=True,
        rows=finished[-1].grid.size,
        suppressed=int(finished[-1].suppressed.sum()),
        unreliable=int(finished[-1].measures[0].has("unreliable").sum()),
        columns=published[""].columns,
        shape=published[""].shape,
        rollups=tuple(rollup_table(each, published[each.level], dataset) for each in finished[:-1]),
        charge=Charge(currency="zcdp", loss="1/10", blocks=(period,), tables=()),
        ledger=LedgerHead(sequence=1, hash="c"),
        versions={},
        files={},
        **says,
    )
    measured = {level.name: measurements_table(noisy, level) for level in levels}
    return ReleaseStore(workspace.public, workspace.private).write(
        manifest, Contents(published, measured, guarantee={}, statement="", page="")
    )
