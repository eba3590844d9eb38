"""Every dataset of this workspace on its real records: plan before, guarantee after, the ledger in between, and what
published numbers are worth: how many cells have each status, the typical margin, how often it holds the exact number
within the bounds, how far numbers lie from the exact ones without bounds, and what the bounds cut. For medians and
other quantiles, how far they are off in their unit, and would be if the end of their bin were published.

    PUBLISHER_DATA=/path/to/raw python benchmarks/sources.py [DATASET ...]

Works in a temporary state that is removed. Exact numbers stay in memory: only shares and medians are printed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from publisher.commands.terminal import print_table
from publisher.definitions import period as civil
from publisher.duck import connect
from publisher.engine.aggregate import bound_and_aggregate
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource
from publisher.grades import STATUSES
from publisher.records.reader import raw
from publisher.records.secrets import derive
from publisher.release.store import ReleaseStore
from publisher.release.table import read_published
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from publisher.definitions.dataset import Measure
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace

ROOT = Path(__file__).parent.parent
TITLE = (
    "margin: median of the cells shown; holds: how often it has the exact number within the bounds; off: median "
    "distance from the exact number without bounds, in percent of it; cut: share of the whole that the bounds leave out"
)
STEPS = 1_000
"""How many whole steps, such as days, exact quantiles are looked for in."""
MANY = 1 << 40
GROUPS, RECORDS = 100_000, 1_000_000
"""More than anyone has: steps of a total, cells, and records in one."""


def main() -> None:
    """Runs the commands one after the other and compares at the end."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = replace(find_workspace(ROOT), state=Path(folder))
        names = sys.argv[1:] or list(workspace.datasets)
        _command(workspace, "plan", *names)
        _command(workspace, "run", "--no-push", *names)
        _command(workspace, "ledger")
        rows, missed = [], []
        for name in names:
            dataset = workspace.dataset(name)
            releases = ReleaseStore(workspace.public, workspace.private).releases(name)
            print("\n".join(releases[-1].statement.split("\n\n")[:6]), "\n")
            rows += _rows(workspace, dataset, releases)
            missed += _missed(workspace, dataset, releases)
        headings = ["table", "measure", "cells", *STATUSES, "margin", "holds", "off", "cut"]
        print_table(TITLE, headings, rows)
        if missed:
            headings = ["table", "measure", "cells shown", "mean absolute error", "of the bin's end"]
            print_table("quantiles in closed bins beside the exact ones, in their unit", headings, missed)


def _command(workspace: Workspace, *arguments: str) -> None:
    environment = {"PUBLISHER_DATA": str(workspace.data), "PUBLISHER_STATE": str(workspace.state)}
    command = [str(Path(sys.executable).with_name("publisher")), *arguments]
    print("$ publisher", *arguments, flush=True)
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def _rows(workspace: Workspace, dataset: DatasetFile, releases: list[Release]) -> list[list[Any]]:
    """A row per table and measure, all releases together."""
    found: dict[tuple[str, str], list[Compared]] = {}
    for release in releases:
        period = civil.parse(release.manifest.period)
        bounded, raw_ = (_exact(workspace, each, period) for each in (dataset, _unbounded(dataset)))
        for level, table in release.tables.items():
            for measure in dataset.definition.measures:
                if measure.shown and measure.kind != "quantile":
                    truths = (_truth(dataset, exact, level, measure) for exact in (bounded, raw_))
                    found.setdefault((level, measure.name), []).append(_compared(table, measure.name, *truths))
    return [
        [dataset.named(level), measure, *_summary(Compared(*map(np.concatenate, zip(*parts, strict=True))))]
        for (level, measure), parts in found.items()
    ]


class Compared(NamedTuple):
    """One measure's cells: what is published, and the exact values within the bounds and without any."""

    value: Any
    low: Any
    high: Any
    status: Any
    bounded: Any
    raw: Any


def _compared(table: Release, measure: str, bounded: Any, raw_: Any) -> Compared:
    columns = read_published(table)
    value, low, high = (columns[f"{measure}{end}"].cast("float64").to_numpy() for end in ("", "_low", "_high"))
    return Compared(value, low, high, np.array(columns[f"{measure}_status"].to_pylist()), bounded, raw_)


def _summary(cells: Compared) -> list[str]:
    shown = ~np.isnan(cells.value) & ~np.isnan(cells.low) & ~np.isnan(cells.high) & ~np.isnan(cells.bounded)
    value, low, high, bounded, raw_ = (np.asarray(each)[shown] for each in cells[:3] + cells[4:])
    some = raw_ > 0
    far = np.abs(value - raw_)[some] / raw_[some]
    total = np.nansum(cells.raw)
    return [
        f"{len(cells.value):,}",
        *(f"{(cells.status == each).mean():.0%}" for each in STATUSES),
        f"±{np.median((high - low) / 2):,.3g}" if len(value) else "",
        f"{((low <= bounded) & (bounded <= high)).mean():.1%}" if len(value) else "",
        f"{np.median(far):.0%}" if len(far) else "",
        f"{1 - np.nansum(cells.bounded) / total:.0%}" if total else "",
    ]


def _truth(dataset: DatasetFile, exact: dict[tuple[str, str], Any], level: str, measure: Measure) -> Any:
    """The exact values of a measure; a mean is the quotient of its sum and its count."""
    if measure.kind == "mean":
        names = {each.name: each for each in dataset.definition.measures}
        total = _truth(dataset, exact, level, names[measure.sum_ or ""])
        count = exact[level, measure.count or ""]
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return exact[level, measure.name] * float(measure.resolution or 1)


def _unbounded(dataset: DatasetFile) -> DatasetFile:
    """The dataset without bounds and clamps, as the city would count it for itself."""
    definition = dataset.definition
    bounds = definition.bounds.model_copy(update={"max_groups": GROUPS, "max_per_group": RECORDS})
    measures = [
        each.model_copy(update={"lower": -MANY * each.resolution, "upper": MANY * each.resolution})
        if each.kind == "sum" and each.resolution is not None
        else each
        for each in definition.measures
    ]
    return replace(dataset, definition=definition.model_copy(update={"bounds": bounds, "measures": tuple(measures)}))


def _missed(workspace: Workspace, dataset: DatasetFile, releases: list[Release]) -> list[list[Any]]:
    """A row per level and quantile of values that come in steps, all releases together: mean absolute errors."""
    measures = {each.name: each for each in dataset.definition.measures}
    found: dict[tuple[str, str], list[Any]] = {}
    for release in releases:
        for measure in (each for each in measures.values() if each.kind == "quantile" and each.resolution is not None):
            histogram = measures[measure.histogram or ""]
            steps = np.arange(STEPS) * float(measure.resolution or 1) + float((histogram.bins or (0,))[0])
            exact = _exact(workspace, _finely(dataset, histogram, steps), civil.parse(release.manifest.period))
            for level, table in release.tables.items():
                upto = exact[level, histogram.name].reshape(-1, STEPS).cumsum(axis=1)
                reached = upto >= float(measure.probability or 0) * upto[:, -1:]
                truth = np.where(upto[:, -1] > 0, steps[reached.argmax(axis=1)], np.nan)
                found.setdefault((level, measure.name), []).append(_errors(table, measure.name, histogram, truth))
    rows = []
    for (level, name), parts in found.items():
        errors = np.concatenate(parts)
        after, before = (f"{each:.2f}" for each in errors.mean(axis=0))
        rows.append([dataset.named(level), name, len(errors), after, before])
    return rows


def _finely(dataset: DatasetFile, histogram: Measure, steps: Any) -> DatasetFile:
    """The dataset with a bin for every step."""
    fine = histogram.model_copy(update={"bins": tuple(map(Decimal, steps.tolist()))})
    measures = tuple(fine if each is histogram else each for each in dataset.definition.measures)
    return replace(dataset, definition=dataset.definition.model_copy(update={"measures": measures}))


def _errors(table: Release, measure: str, histogram: Measure, truth: Any) -> Any:
    """Two columns: how far the value, and its bin's end, are off where both it and the exact one have a closed bin."""
    value = read_published(table)[measure].cast("float64").to_numpy()
    edges = np.array([float(edge) for edge in histogram.bins or ()])
    closed = (value < edges[-1]) & (truth < edges[-1])
    value, truth = value[closed], truth[closed]
    return np.abs(np.stack([value, edges[np.searchsorted(edges, value, side="right")]], axis=1) - truth[:, np.newaxis])


def _exact(workspace: Workspace, dataset: DatasetFile, period: civil.Period) -> dict[tuple[str, str], Any]:
    landed = raw(dataset.source, workspace.private, period.start, period.end)
    records = RecordSource(landed.sql, tuple(landed.parameters), guarded(dataset.source))
    key = int.from_bytes(derive(workspace.private, f"ordering:{dataset.source.name}")[:8])
    with connect(workspace.settings.engine, workspace.private / "tmp") as connection:
        return bound_and_aggregate(connection, records, dataset, period, key).tables


if __name__ == "__main__":
    main()
