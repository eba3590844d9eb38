"""The portal's store: catalogue and version files, changed together; a reader sees old or new, never a mixture."""

from __future__ import annotations

import fcntl
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from publisher.portal import versions
from publisher.portal.accounts import Accounts
from publisher.portal.assets import Assets
from publisher.portal.catalogue import Catalogue
from publisher.portal.incoming import read
from publisher.portal.problems import dataset_missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.portal.model import Dataset
    from publisher.portal.versions import Counts

KEPT = 3
"""How many versions of a dataset's rows stay on disk, the current one included."""
GRACE = 120.0
"""Seconds for which an older version stays in any case, for readers that have just looked up its name."""


class Store:
    """Everything in one folder, `root` (mode 0700); several processes may share it."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)
        self.root = root
        (root / "locks").mkdir(mode=0o700, exist_ok=True)
        self.catalogue = Catalogue(root / "catalogue.sqlite")
        self.accounts = Accounts(self.catalogue)
        self.assets = Assets(self.catalogue, root / "assets")

    def sweep(self) -> None:
        """Remove what a process that was killed left of datasets that are not in the catalogue."""
        known = {dataset.id for dataset in self.catalogue.all()}
        oldest = time.time() - 3600
        for folder in (self.root / "data").glob("*"):
            if folder.name not in known and folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)

    def get(self, identifier: str) -> Dataset:
        """The dataset with this 4x4; SodaError 404 when there is none."""
        found = self.catalogue.find(identifier)
        if found is None:
            raise dataset_missing(identifier)
        return found

    def rows(self, dataset: Dataset) -> Path:
        """The file that holds the dataset's rows."""
        return self._file(dataset.id, dataset.version)

    def _file(self, identifier: str, version: int) -> Path:
        return self.root / "data" / identifier / f"{version:09}.parquet"

    def create(self, dataset: Dataset) -> Dataset:
        """Add a dataset without rows."""
        versions.create(self.rows(dataset), dataset.columns)
        self.catalogue.add(dataset)
        return self.get(dataset.id)

    def write(self, identifier: str, body: bytes, content_type: str, *, replace: bool) -> Counts:
        """Upsert the rows of a body, or put them in the place of all rows."""
        with self.locked(identifier):
            dataset = self.get(identifier)
            sent = read(body, content_type, dataset.columns)
            number = dataset.version + 1
            target = self._file(identifier, number)
            built = versions.build(target, dataset, self.rows(dataset), sent, replace=replace)
            self.catalogue.change(
                identifier,
                version=number,
                rows=built.rows,
                next_row=built.next_row,
                rows_updated_at=int(time.time()),
            )
            self._prune(identifier, number)
        return built.counts

    def change(self, identifier: str, **values: Any) -> Dataset:
        """Set attributes of a dataset."""
        with self.locked(identifier):
            self.get(identifier)
            self.catalogue.change(identifier, updated_at=int(time.time()), **values)
        return self.get(identifier)

    def delete(self, identifier: str) -> None:
        """Remove a dataset and its rows."""
        with self.locked(identifier):
            self.get(identifier)
            self.catalogue.remove(identifier)
            shutil.rmtree(self.root / "data" / identifier, ignore_errors=True)

    @contextmanager
    def locked(self, identifier: str) -> Iterator[None]:
        """One writer at a time for this dataset, across threads and processes."""
        self.get(identifier)
        with (self.root / "locks" / identifier).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _prune(self, identifier: str, current: int) -> None:
        """Remove versions that are no longer kept, and what a killed write left behind."""
        oldest = time.time() - GRACE
        for file in (self.root / "data" / identifier).iterdir():
            if file.suffix != ".parquet":
                shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
            elif int(file.stem) <= current - KEPT and file.stat().st_mtime < oldest:
                file.unlink(missing_ok=True)
