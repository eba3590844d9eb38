"""A source is landed and judged, and its private report says how many rows its datasets fold into `other`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from publisher.duck import connect
from publisher.engine.folding import folded
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource
from publisher.records import report
from publisher.records.landing import land
from publisher.records.reader import of_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.records.landing import Landing
    from publisher.records.report import BatchReport
    from publisher.workspace import DatasetFile, SourceFile, Workspace


def land_source(workspace: Workspace, source: SourceFile) -> Landing:
    """Land the source. Raises RefusedAtLandingError where a file is beyond what the source accepts, and SourceError."""
    datasets = [each for each in workspace.datasets.values() if each.source.name == source.name]
    landing = land(
        source,
        data=workspace.data,
        private=workspace.private,
        engine=workspace.settings.engine,
        received=source.today(),
    )
    if not landing.batches or not datasets:
        return landing
    batches = tuple(_with_other(workspace, datasets, batch) for batch in landing.batches)
    report.write(workspace.private, source.name, batches)
    return replace(landing, batches=batches)


def _with_other(workspace: Workspace, datasets: Sequence[DatasetFile], batch: BatchReport) -> BatchReport:
    source = datasets[0].source
    records = RecordSource(of_batch(source, workspace.private, batch.batch), (), guarded(source))
    with connect(workspace.settings.engine, workspace.private / "tmp") as connection:
        return replace(batch, other={each.name: folded(connection, records, each) for each in datasets})
