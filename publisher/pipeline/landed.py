"""A source is fetched if it lies elsewhere, landed and judged, and its private report says how many rows its datasets
fold into `other`."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from publisher.duck import connect
from publisher.engine.folding import folded
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource
from publisher.errors import SourceError
from publisher.executors.opening import executor_of
from publisher.feeds.fetch import fetch, forget_landed
from publisher.pipeline.journaling import tell_landing
from publisher.records import report
from publisher.records.batch import basis
from publisher.records.landing import RawFiles, land
from publisher.records.reader import of_batches
from publisher.records.secrets import create_key
from publisher.records.shelves import batches_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from publisher.executors.protocol import Executor
    from publisher.feeds.fetch import Fetched
    from publisher.records.landing import Landing
    from publisher.records.report import BatchReport
    from publisher.workspace import DatasetFile, SourceFile, Workspace


def land_source(
    workspace: Workspace,
    source: SourceFile,
    progress: Callable[[str], None] | None = None,
    executor: Executor | None = None,
) -> Landing:
    """Land the source, by the workers of an executor that is open or of its own. Raises RefusedAtLandingError where a
    file is beyond what the source accepts, and SourceError."""
    fetched = _fetch(workspace, source, progress) if source.definition.fetched else None
    datasets = [each for each in workspace.datasets.values() if each.source.name == source.name]
    engine, private = workspace.settings.engine, workspace.private
    with nullcontext(executor) if executor is not None else executor_of(engine, private / "tmp") as workers:
        landing = land(
            source,
            data=workspace.data,
            private=private,
            engine=engine,
            received=source.today(),
            fetched=RawFiles(fetched.folder, fetched.paths) if fetched else None,
            copies=workspace.copies,
            executor=workers,
            progress=progress,
            told=partial(tell_landing, workspace, source),
        )
    if fetched is not None:
        forget_landed(source, workspace.private, fetched)
    if not landing.batches or not datasets:
        return landing
    batches = _with_other(workspace, datasets, landing.batches)
    report.write(workspace.private, source.name, batches)
    return replace(landing, batches=batches)


def _fetch(workspace: Workspace, source: SourceFile, progress: Callable[[str], None] | None) -> Fetched:
    """Fetch what is new. Raises SourceError."""
    private, own = workspace.private, basis(source.definition)
    create_key(private)
    batches = batches_of(private, source.name, workspace.copies).batches()
    if source.definition.late is not None and any(batch.basis != own for batch in batches):
        raise SourceError(
            f"{source.origin.name}: has changed since its records were fetched. Fetched again, they would all count as "
            "received today, which [late] does not allow: undo the change, or define a new source"
        )
    landed = any(batch.basis == own for batch in batches)
    return fetch(source, private, basis=own, landed=landed, progress=progress)


def _with_other(
    workspace: Workspace, datasets: Sequence[DatasetFile], batches: Sequence[BatchReport]
) -> tuple[BatchReport, ...]:
    source = datasets[0].source
    names = {batch.batch for batch in batches}
    with (
        of_batches(source, workspace.private, names, workspace.copies) as select,
        connect(workspace.settings.engine, workspace.scratch) as connection,
    ):
        records = RecordSource(select, (), guarded(source))
        counts = {each.name: folded(connection, records, each) for each in datasets}
    return tuple(
        replace(batch, other={name: found[batch.batch] for name, found in counts.items()}) for batch in batches
    )
