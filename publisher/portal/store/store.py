"""The store: catalog and version files, changed together; readers see the old or the new state, never a mix."""

from __future__ import annotations

import fcntl
import logging
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as replace_of
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from publisher.portal.base import metrics
from publisher.portal.base.problems import SodaError, changed, damaged, dataset_missing, no_rows
from publisher.portal.store import parts, versions
from publisher.portal.store.accounts import Accounts
from publisher.portal.store.assets import Assets, listed
from publisher.portal.store.catalog import DatasetCatalog
from publisher.portal.store.drafts import Drafts
from publisher.portal.store.incoming import ORDER, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.store.versions import WriteCounts

logger = logging.getLogger(__name__)

KEPT = 3
"""How many versions of a dataset's rows stay on disk, including the current one."""
GRACE = 120.0
"""Seconds for which a version is always kept after newer rows replaced it, for queries that are still reading it."""
_SUPERSEDED = ".superseded"


@dataclass(frozen=True, slots=True)
class Reshaped:
    """A change to a dataset: the columns and row identifier of `dataset`, other `attributes`, and the rows sent."""

    dataset: PortalDataset
    sent: Path | None = None
    replace: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)


class PortalStore:
    """The store in one folder, `root` (mode 0700); several processes can share it."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)
        self.root = root
        self.catalog = DatasetCatalog(root / "catalogue.sqlite")
        (root / "locks").mkdir(mode=0o700, exist_ok=True)
        self.accounts = Accounts(self.catalog)
        self.assets = Assets(self.catalog, root / "assets")
        self.drafts = Drafts(self.catalog, root / "drafts")

    def sweep(self) -> None:
        """Remove what killed processes left behind: files of datasets that are not in the catalog, and stray files."""
        datasets = self.catalog.all()
        self.assets.sweep(datasets)
        self.drafts.sweep()
        known = {dataset.id for dataset in datasets}
        oldest = time.time() - 3600
        for folder in (self.root / "data").glob("*"):
            if folder.name not in known and folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)

    def get(self, identifier: str) -> PortalDataset:
        """The dataset with this 4x4. Raises SodaError 404."""
        found = self.catalog.find(identifier)
        if found is None:
            raise dataset_missing(identifier)
        return found

    def rows(self, dataset: PortalDataset) -> tuple[Path, ...]:
        """The Parquet files with the dataset's rows, in order; all have the same columns.

        Raises SodaError 503 if one of them is missing or not as it was written, or if newer rows have replaced them.
        """
        folder = self._folder(dataset.id, dataset.version)
        files = tuple(sorted(folder.glob("*.parquet")))
        fault = next(parts.faults(folder), None if files else "every part is missing")
        if fault is None:
            return files
        current = self.catalog.find(dataset.id)
        if current is None or current.version != dataset.version:
            raise changed()
        logger.error("dataset %s, version %d: %s", dataset.id, dataset.version, fault)
        raise damaged()

    def faults(self) -> Iterator[tuple[PortalDataset, str]]:
        """What is missing or not as it was written, by dataset; reads every file again."""
        for dataset in self.catalog.all():
            folder = self._folder(dataset.id, dataset.version)
            if parts.listed(folder) is None and not any(folder.glob("*.parquet")):
                yield dataset, "every part of its rows is missing"
            for fault in parts.faults(folder, again=True):
                yield dataset, f"its part {fault}"
            for fault in self.assets.faults(dataset):
                yield dataset, fault

    def unlisted(self, dataset: PortalDataset) -> bool:
        """Whether its rows were written before there were hashes."""
        return parts.listed(self._folder(dataset.id, dataset.version)) is None

    def _standing(self, dataset: PortalDataset, *, replace: bool) -> tuple[Path, ...]:
        """The rows that a write builds on; where they are damaged, rows that replace them all build on none."""
        try:
            return self.rows(dataset)
        except SodaError:
            if not replace:
                raise
        spare = self.root / "data" / dataset.id / "spare"
        versions.create(spare, dataset.columns)
        return tuple(spare.glob("*.parquet"))

    def _folder(self, identifier: str, version: int) -> Path:
        return self.root / "data" / identifier / f"{version:09}"

    def create(self, dataset: PortalDataset) -> PortalDataset:
        """Add a dataset without rows."""
        versions.create(self._folder(dataset.id, dataset.version), dataset.columns)
        self.catalog.add(dataset)
        return self.get(dataset.id)

    def write(self, identifier: str, body: bytes, content_type: str, *, replace: bool, by: str = "") -> WriteCounts:
        """Upsert the rows of a body, or replace all rows with them; `by` is the account."""
        with self.locked(identifier):
            dataset = self.get(identifier)
            if dataset.blob:
                raise no_rows()
            sent = read(body, content_type, dataset.columns)
            return self._write(dataset, dataset, sent, replace=replace, rows_updated_by=by)

    def reshape(self, identifier: str, change: Callable[[PortalDataset], Reshaped]) -> WriteCounts:
        """Change columns, attributes, and rows in one step, as `change` decides for the dataset at that moment."""
        with self.locked(identifier):
            dataset = self.get(identifier)
            wanted = change(dataset)
            now = int(time.time())
            return self._write(
                dataset, wanted.dataset, wanted.sent, replace=wanted.replace, updated_at=now, **wanted.attributes
            )

    def _write(
        self,
        dataset: PortalDataset,
        wanted: PortalDataset,
        sent: pa.Table | Path | None,
        *,
        replace: bool,
        **attributes: Any,
    ) -> WriteCounts:
        """Write the next version, with the columns of `wanted`, and switch to it; the caller holds the lock."""
        number = dataset.version + 1
        if sent is None:
            sent = pa.table({ORDER: pa.array([], pa.int64())})
        standing = self._standing(dataset, replace=replace)
        built = versions.build(self._folder(dataset.id, number), wanted, standing, sent, replace=replace)
        if wanted is not dataset:
            attributes |= {"columns": wanted.columns, "row_identifier": wanted.row_identifier}
        attributes |= {"version": number, "rows": built.rows, "next_row": built.next_row}
        self.catalog.change(dataset.id, **({"rows_updated_at": int(time.time())} | attributes))
        self._prune(dataset.id, number)
        counts = built.counts
        metrics.wrote(created=counts.created, updated=counts.updated, deleted=counts.deleted)
        return built.counts

    def copy(self, dataset: PortalDataset, *, rows: bool) -> PortalDataset:
        """Make a working copy of a published dataset: its description and columns, with or without its rows."""
        now = int(time.time())
        made = replace_of(
            dataset,
            id=self.catalog.free_identifier(),
            copy_of=dataset.id,
            columns=tuple(replace_of(column, id=0) for column in dataset.columns),
            public=False,
            published=False,
            published_at=None,
            created_at=now,
            updated_at=now,
            rows_updated_at=now,
            version=1,
            rows=dataset.rows if rows else 0,
        )
        target = self._folder(made.id, 1)
        if rows:
            versions.adopt(target, self.rows(dataset))
        else:
            versions.create(target, made.columns)
        self.catalog.add(made)
        return self.get(made.id)

    def change(self, identifier: str, change: Callable[[PortalDataset], dict[str, Any]]) -> PortalDataset:
        """Set attributes of a dataset, as `change` decides for the dataset at that moment."""
        with self.locked(identifier):
            values = change(self.get(identifier))
            self.catalog.change(identifier, **({"updated_at": int(time.time())} | values))
        return self.get(identifier)

    def delete(self, identifier: str) -> None:
        """Remove a dataset, its rows, and its files."""
        with self.locked(identifier):
            dataset, sources = self.get(identifier), self.drafts.sources(identifier)
            self.catalog.remove(identifier)
            for source in sources:
                self.drafts.clear(source.id)
            for folder in ("data", "downloads"):
                shutil.rmtree(self.root / folder / identifier, ignore_errors=True)
            self.assets.sweep(self.catalog.all(), older_than=0, among=listed(dataset))

    @contextmanager
    def locked(self, identifier: str) -> Iterator[None]:
        """One writer at a time for this dataset, across threads and processes."""
        self.get(identifier)
        with (self.root / "locks" / identifier).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _prune(self, identifier: str, current: int) -> None:
        """Remove versions that are no longer kept, and what a killed write left behind; the caller holds the lock."""
        for path in (self.root / "data" / identifier).iterdir():
            number = int(path.name) if path.name.isdigit() else 0
            old = number < current and _superseded(path) > GRACE and number <= current - KEPT
            if old or not number:
                shutil.rmtree(path, ignore_errors=True)


def _superseded(version: Path) -> float:
    """Seconds since newer rows replaced it. Noted at the end of the first write after it: its own age says nothing,
    because a version may have been the current one for months."""
    mark = version / _SUPERSEDED
    if not mark.exists():
        mark.touch(mode=0o600)
    return time.time() - mark.stat().st_mtime
