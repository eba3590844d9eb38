"""What people do with releases after a run: check them again, retract, restore, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.errors import DefinitionError
from publisher.pipeline.job import Job
from publisher.pipeline.publish import check
from publisher.pipeline.session import locked
from publisher.push.sync import deliver, portal_of
from publisher.run import refresh_analyst_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.pipeline.catalog import Catalog, Standing
    from publisher.workspace import DatasetFile, Workspace


def revalidate(workspace: Workspace, datasets: Sequence[DatasetFile]) -> Iterator[tuple[str, bool]]:
    """Check every held or unchecked release again; yields (a line, whether it passed)."""
    with locked(workspace) as catalog:
        for dataset in datasets:
            for standing in catalog.standings(dataset.name):
                if standing.status in ("held", "unchecked"):
                    yield _again(workspace, catalog, dataset, standing)
        refresh_analyst_file(workspace, catalog)


def _again(workspace: Workspace, catalog: Catalog, dataset: DatasetFile, standing: Standing) -> tuple[str, bool]:
    release = standing.release
    job = Job(workspace, catalog, dataset, civil.parse(release.manifest.period), "")
    validation = check(job, release)
    words = "passed" if validation.passed else f"held: {'; '.join(validation.words)}"
    return f"{release.manifest.name}: {words}", validation.passed


def rollback(workspace: Workspace, dataset: DatasetFile, period: str | None, *, undo: bool, push: bool) -> str:
    """Retract the current edition (of the period) released last, or restore the one retracted last; says which edition
    is current now."""
    with locked(workspace) as catalog:
        wanted = "retracted" if undo else "ready"
        found = [
            each.release
            for each in catalog.standings(dataset.name)
            if each.status == wanted and period in (None, each.release.manifest.period)
        ]
        if not found:
            of_period = f" of {period}" if period else ""
            words = f"no release{of_period} is {'retracted' if undo else 'current'}"
            raise DefinitionError(f"{dataset.name}: {words}; `publisher releases` shows each status")
        chosen = catalog.newest(dataset.name, found, retracted=undo)
        catalog.retract(chosen, undo=undo)
        refresh_analyst_file(workspace, catalog)
        says = chosen.manifest
        current = [each for each in catalog.current(dataset.name) if each.manifest.period == says.period]
        now = f"edition {current[-1].manifest.edition} is current" if current else "no edition is current"
        if push:
            with portal_of(workspace) as client:
                deliver(workspace, catalog, client, dataset)
        return f"{says.name}: {'restored' if undo else 'retracted'}; {says.period}: {now}"
