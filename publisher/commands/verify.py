"""`publisher verify`: everything that was written and must still be as it was, and what the portal shows of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.errors import BudgetError, PublisherError, SourceError
from publisher.journal.checking import check_journal
from publisher.pipeline.journaling import untold
from publisher.pipeline.public_ledger import FILE, public_entry
from publisher.pipeline.totals import TotalTable, totals_of
from publisher.planning.raised import raised_budgets
from publisher.push.client import UnreachableError
from publisher.push.sync import check_delivery, portal_of
from publisher.records.secrets import fingerprint
from publisher.records.shelves import batches_of
from publisher.release.manifest import MANIFEST
from publisher.release.store import changed_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from publisher.pipeline.catalog import Catalog
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace

HEADINGS = ("what", "checked", "result")


@dataclass(frozen=True)
class VerificationRow:
    """One thing that was checked; `what`, `checked`, `result` and `faults` are the fields of `--json`."""

    what: str
    checked: str
    faults: tuple[str, ...] = ()
    exit_code: int = 0
    """That of a fault; 0 if what was found only has to be known."""

    @property
    def result(self) -> str:
        """ok, warning or wrong."""
        if not self.faults:
            return "ok"
        return "wrong" if self.exit_code else "warning"

    @property
    def fields(self) -> dict[str, object]:
        """For `--json`."""
        return {"what": self.what, "checked": self.checked, "result": self.result, "faults": list(self.faults)}


def verified(
    workspace: Workspace, catalog: Catalog, datasets: Sequence[DatasetFile], *, offline: bool
) -> Iterator[VerificationRow]:
    """Every check, one after another, whatever the others find. Writes nothing, and believes no index of a pack."""
    catalog = catalog.by_the_files
    found = list(ledger_findings(catalog))
    yield from found
    try:
        yield from _by_the_ledger(workspace, catalog, datasets)
    except PublisherError:
        if not any(each.faults for each in found):
            raise
        yield VerificationRow(
            "all else", "", ("cannot be checked before the ledger is restored",), BudgetError.exit_code
        )
        return
    if not offline:
        yield from _portal(workspace, catalog, datasets)


def _by_the_ledger(
    workspace: Workspace, catalog: Catalog, datasets: Sequence[DatasetFile]
) -> Iterator[VerificationRow]:
    """What the ledger says of the state folder. Raises BudgetError and SourceError when the ledger cannot be read."""
    yield _key(workspace, catalog)
    yield from (_landed(workspace, source) for source in _landed_sources(workspace))
    yield _measured(workspace, catalog)
    for dataset in datasets:
        yield _releases(catalog, dataset.name)
        yield _validations(catalog, dataset.name)
        yield from _approvals(workspace, catalog, dataset.name)
        yield from (_totals(each) for each in totals_of(catalog, dataset))
    yield from _gone(catalog)
    yield _public_ledger(workspace, catalog)
    yield _journal(catalog)
    raised = tuple(raised_budgets(workspace.sources.values(), catalog.ledger))
    yield VerificationRow("budgets", f"sources: {len(workspace.sources)}", raised)


def ledger_findings(catalog: Catalog) -> Iterator[VerificationRow]:
    """The ledger itself, with the heads in all places and in the manifests of every dataset."""
    heads = [
        (release.manifest.name, release.manifest.ledger.sequence, release.manifest.ledger.hash)
        for name in catalog.store.datasets()
        for release in _readable(catalog, name)[0]
    ]
    for check in catalog.ledger.checks(heads):
        yield VerificationRow(check.what, check.checked, tuple(check.faults), BudgetError.exit_code)


def _key(workspace: Workspace, catalog: Catalog) -> VerificationRow:
    """The key of pseudonyms and ordering, and the one that the ledger names."""
    faults = []
    try:
        known = catalog.ledger.key()
        if known not in (None, fingerprint(workspace.private)):
            faults = ["private/key is not the one that the ledger was begun with: restore it from a backup"]
    except PublisherError as error:
        faults = [str(error)]
    return VerificationRow("key", "its fingerprint in the ledger", tuple(faults), SourceError.exit_code)


def _journal(catalog: Catalog) -> VerificationRow:
    """Every entry of the journal with the one before it, the head outside the state folder, and the ledger."""
    try:
        found = check_journal(catalog.journal)
    except SourceError as error:
        return VerificationRow("journal", "", (str(error),), SourceError.exit_code)
    words = f"entries: {found.entries}"
    if found.faults:
        return VerificationRow("journal", words, tuple(found.faults), SourceError.exit_code)
    if (found.newest_ledger or 0) > catalog.ledger.newest():
        fault = (
            f"the journal says that it has told entry {found.newest_ledger} of the ledger, which has no such entry: "
            "restore the newest copy of both"
        )
        return VerificationRow("journal", words, (fault,), SourceError.exit_code)
    behind = untold(found.newest_ledger, catalog.ledger)
    late = f"{behind} entries of the ledger are not in the journal yet: the next `publisher run` tells them"
    return VerificationRow("journal", words, (late,) if behind else ())


def _public_ledger(workspace: Workspace, catalog: Catalog) -> VerificationRow:
    """Each line that people outside read, with the ledger."""
    path = workspace.public / FILE
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    entries = (public_entry(row).line for row in catalog.ledger.rows_since(0))
    wrong = next((n for n, line in enumerate(lines, 1) if next(entries, None) != line), None)
    fault = f"{path}: line {wrong} is not the ledger's: delete the file, and the next run writes it again"
    faults = (fault,) if wrong is not None else ()
    return VerificationRow("public ledger", f"entries: {len(lines)}", faults, SourceError.exit_code)


def _landed_sources(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in (workspace.private / "landed").glob("[!.]*") if path.is_dir())


def _landed(workspace: Workspace, source: str) -> VerificationRow:
    """The key with which each file was landed; files from before it was recorded name none."""
    what = f"{source}: landed files"
    try:
        batches, own = batches_of(workspace.private, source, workspace.copies).batches(), fingerprint(workspace.private)
    except SourceError as error:
        return VerificationRow(what, "", (str(error),), SourceError.exit_code)
    faults = [f"{each.file} was landed with another key" for each in batches if each.key not in ("", own)]
    return VerificationRow(what, f"files: {len(batches)}", tuple(faults), SourceError.exit_code)


def _measured(workspace: Workspace, catalog: Catalog) -> VerificationRow:
    """The results of `publisher tune`."""
    facts = [entry.payload for entry in catalog.ledger.entries("tuning")]
    known = {str(fact["statistical_hash"]): fact["sha256"] for fact in facts}
    folder = workspace.private / "tuning"
    paths = {name: folder / f"{name}.json" for name in known}
    contents = {name: path.read_bytes() if path.is_file() else None for name, path in paths.items()}
    faults = [words for name, sha256 in known.items() for words in _unlike(paths[name], contents[name], sha256)]
    return VerificationRow("tune results", f"files: {len(known)}", tuple(faults), SourceError.exit_code)


def _releases(catalog: Catalog, dataset: str) -> VerificationRow:
    """Every release's files against its manifest, and the manifest against the ledger."""
    releases, faults = _readable(catalog, dataset)
    entered = catalog.ledger.manifests()
    for release in releases:
        name = release.manifest.name
        if name in entered and catalog.store.sha256(name) != entered[name]:
            faults.append(f"{name}: changed since it was written: {MANIFEST}")
        if changed := changed_files(release):
            faults.append(f"{name}: changed since it was written: {', '.join(changed)}")
    return VerificationRow(f"{dataset}: releases", f"releases: {len(releases)}", tuple(faults), SourceError.exit_code)


def _validations(catalog: Catalog, dataset: str) -> VerificationRow:
    """The result of each release's last check against its hash in the ledger."""
    recorded, begun = catalog.ledger.validations(), catalog.ledger.key() is not None
    releases = {each.manifest.name: each for each in _readable(catalog, dataset)[0]}
    found = {name: _result(catalog, release) for name, release in releases.items()}
    paths = {name: catalog.validation_path(release) for name, release in releases.items()}
    faults = [
        words
        for name, content in found.items()
        if name in recorded
        for words in _unlike(paths[name], content, recorded[name])
    ]
    # The first lock enters the results from before there were any in the ledger.
    strange = [paths[name] for name, content in found.items() if begun and name not in recorded and content is not None]
    faults += [f"{path} was not written by publisher" for path in strange]
    advice = "; if there is no backup, delete it and run `publisher revalidate`"
    known = sum(name in recorded for name in found)
    words = tuple(each + advice for each in faults)
    return VerificationRow(f"{dataset}: validation results", f"results: {known}", words, SourceError.exit_code)


def _approvals(workspace: Workspace, catalog: Catalog, dataset: str) -> Iterator[VerificationRow]:
    """Every approval: as it was recorded, signed by its reviewer, and about the release that is there."""
    reviews = catalog.reviews(dataset)
    if workspace.review is not None or reviews.terms:
        faults = tuple(reviews.faults(catalog.ledger.manifests()))
        many = f"approvals: {len(reviews.entries)}"
        yield VerificationRow(f"{dataset}: approvals", many, faults, SourceError.exit_code)


def _totals(totals: TotalTable) -> VerificationRow:
    """Every total over time against its manifest and the ledger; one that is gone is written again by the next run."""
    faults = []
    for folder in totals.folders:
        try:
            totals.read(folder)
        except SourceError as error:
            faults.append(str(error))
    words = f"totals: {len(totals.folders)}"
    return VerificationRow(f"{totals.table}: totals over time", words, tuple(faults), SourceError.exit_code)


def _gone(catalog: Catalog) -> Iterator[VerificationRow]:
    """Releases that the ledger has, of datasets that are defined or not, but that are in no folder and in no pack."""
    store, there = catalog.store, set(catalog.store.names())
    damaged = [f"{pack}: is damaged" for dataset in store.datasets() for pack in store.damaged(dataset)]
    gone = sorted(name for name in catalog.ledger.manifests() if name not in there)
    advice = "restore it from a backup"
    faults = (
        *(f"{words}: {advice}" for words in damaged),
        *(f"{name}: the release is gone: {advice}" for name in gone),
    )
    yield VerificationRow(
        "released editions", f"{len(catalog.ledger.manifests())} in the ledger", faults, SourceError.exit_code
    )


def _portal(workspace: Workspace, catalog: Catalog, datasets: Sequence[DatasetFile]) -> Iterator[VerificationRow]:
    """What the public reads, row by row, and the ledger entries that the portal names."""
    try:
        with portal_of(workspace) as client:
            for dataset in datasets:
                what = f"{dataset.name}: portal"
                try:
                    url = check_delivery(workspace, catalog, client, dataset)
                    yield VerificationRow(what, f"complete on the portal: {url}" if url else "not published")
                except UnreachableError:
                    raise
                except PublisherError as error:
                    yield VerificationRow(what, "", (str(error),), error.exit_code)
    except PublisherError as error:
        yield VerificationRow("portal", "", (f"{error} (--offline leaves the portal out)",), error.exit_code)


def _readable(catalog: Catalog, dataset: str) -> tuple[list[Release], list[str]]:
    """The releases of a dataset whose manifests can be read, and the faults of the others."""
    releases, faults = [], []
    for period in catalog.store.periods(dataset):
        for number in catalog.store.numbers(dataset, period):
            try:
                releases.append(catalog.store.read(catalog.store.root / dataset / period / str(number)))
            except SourceError as error:
                faults.append(str(error))
    return releases, faults


def _result(catalog: Catalog, release: Release) -> bytes | None:
    """The file with the result of a release's last check; empty, which none is, if it is there and cannot be read."""
    try:
        return catalog.result(release)
    except (OSError, SourceError):
        return b""


def _unlike(path: Path, content: bytes | None, sha256: object) -> Iterable[str]:
    """Whether a file is not the one with this hash."""
    if content is None:
        return [f"{path} is gone: restore it from a backup"]
    same = hashlib.sha256(content).hexdigest() == sha256
    return [] if same else [f"{path} was changed after it was written: restore it from a backup"]
