"""What people do with releases after a run: check them again, retract, restore, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.errors import BudgetError, DefinitionError
from publisher.pipeline.job import Job
from publisher.pipeline.publish import check
from publisher.pipeline.session import locked
from publisher.push.sync import check_delivery, deliver, portal_of
from publisher.release.manifest import MANIFEST, hash_of
from publisher.release.store import refuse_if_changed
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
    words = "passed" if validation.passed else f"held: {'; '.join(validation.failures)}"
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


def verify_releases(catalog: Catalog, datasets: Sequence[DatasetFile]) -> Iterator[str]:
    """One line per dataset whose files match their manifests. Raises SourceError naming the first that does not."""
    for dataset in datasets:
        catalog.reconcile(dataset.name)
        releases = catalog.store.releases(dataset.name)
        for release in releases:
            refuse_if_changed(release)
        yield f"{dataset.name}: {len(releases)} releases match their manifests"


def verify_portal(workspace: Workspace, catalog: Catalog, datasets: Sequence[DatasetFile]) -> Iterator[str]:
    """One line per dataset that is complete on the portal. Raises PortalError."""
    with portal_of(workspace) as client:
        for dataset in datasets:
            url = check_delivery(workspace, catalog, client, dataset)
            yield f"{dataset.name}: {'complete on the portal: ' + url if url else 'not published'}"


def verify_ledger(workspace: Workspace, catalog: Catalog) -> str:
    """What was compared. Raises BudgetError listing every fault."""
    releases = [release for name in workspace.datasets for release in catalog.store.releases(name)]
    heads = [(each.manifest.name, each.manifest.ledger.sequence, each.manifest.ledger.hash) for each in releases]
    faults = catalog.ledger.verify(heads)
    if not faults:
        faults = [*_manifest_faults(catalog)]
    if faults:
        raise BudgetError("the ledger does not verify:\n" + "\n".join(f"  {fault}" for fault in faults))
    return f"the ledger verifies: {len(catalog.ledger.entries())} entries, {len(releases)} releases agree"


def _manifest_faults(catalog: Catalog) -> Iterator[str]:
    for entry in catalog.ledger.entries("release"):
        says = entry.payload
        path = catalog.store.root / says["dataset"] / says["period"] / str(says["edition"]) / MANIFEST
        if not path.is_file():
            yield f"{says['dataset']}/{says['period']}/{says['edition']}: the release is gone"
        elif hash_of(path).sha256 != says["manifest"]:
            yield f"{says['dataset']}/{says['period']}/{says['edition']}: the manifest was changed"
