"""Stored files: attachments and file datasets, kept unchanged and named by their own id."""

from __future__ import annotations

import hashlib
import os
import re
import time
import unicodedata
import uuid
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from publisher.portal.base.durable import sync
from publisher.portal.store.parts import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.store.catalog import DatasetCatalog

DAY = 24 * 3600
"""Seconds for which a file is kept before a dataset lists it."""
BLOCK = 1024 * 1024

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,100}")


@dataclass(frozen=True, slots=True)
class Asset:
    """A stored file; `id` is a UUID, `size` in bytes."""

    id: str
    name: str
    media_type: str
    size: int
    sha256: str
    owner: str
    created_at: int


class Assets:
    """The files in the folder `root`; their records are in the catalog."""

    def __init__(self, catalog: DatasetCatalog, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._catalog = catalog
        self._root = root

    def add(self, content: IO[bytes], name: str, media_type: str, owner: str) -> Asset:
        """Store a file; it is durable when this returns. Its name and type are cleaned."""
        identifier = str(uuid.uuid4())
        beside = self._root / f"{identifier}.tmp"
        try:
            size, digest = _written(content, beside)
            beside.replace(self._root / identifier)
        finally:
            beside.unlink(missing_ok=True)
        sync(self._root)
        asset = Asset(identifier, plain_name(name), _plain_type(media_type), size, digest, owner, int(time.time()))
        with self._catalog.transaction() as connection:
            connection.execute(
                "INSERT INTO assets VALUES (?, ?, ?, ?, ?, ?, ?)",
                (asset.id, asset.name, asset.media_type, asset.size, asset.sha256, asset.owner, asset.created_at),
            )
        return asset

    def find(self, identifier: str) -> Asset | None:
        """The file with this id, or None."""
        with self._catalog.connected() as connection:
            row = connection.execute("SELECT * FROM assets WHERE id = ?", (identifier,)).fetchone()
        return Asset(**dict(row)) if row else None

    def path(self, asset: Asset) -> Path:
        """The path of the file's content."""
        return self._root / asset.id

    def attached(self, dataset: PortalDataset, filename: str) -> Asset | None:
        """The file that the dataset's metadata lists under this name, or None."""
        found = next((entry for entry in attachments(dataset) if entry.get("filename") == filename), None)
        return self.find(str(found.get("assetId") or found.get("blobId"))) if found else None

    def sweep(
        self, datasets: Iterable[PortalDataset], *, older_than: int = DAY, among: Iterable[str] | None = None
    ) -> None:
        """Remove the files that none of these datasets lists; only those with the ids `among`, if given."""
        kept = {identifier for dataset in datasets for identifier in listed(dataset)}
        oldest = time.time() - older_than
        with self._catalog.transaction() as connection:
            rows = connection.execute("SELECT id FROM assets WHERE created_at <= ?", (oldest,)).fetchall()
            gone = {row["id"] for row in rows} - kept
            gone &= gone if among is None else set(among)
            connection.executemany("DELETE FROM assets WHERE id = ?", [(identifier,) for identifier in gone])
        for identifier in gone:
            (self._root / identifier).unlink(missing_ok=True)
        if among is None:
            self._sweep_strays(oldest)

    def faults(self, dataset: PortalDataset) -> Iterator[str]:
        """The files of a dataset that are missing or not as they were stored."""
        for identifier in sorted(listed(dataset)):
            found = self.find(identifier)
            if found is None:
                continue
            file = self._root / found.id
            if not file.is_file():
                yield f"its file {found.id} is missing"
            elif digest_of(file) != found.sha256:
                yield f"its file {found.id} is damaged"

    def _sweep_strays(self, oldest: float) -> None:
        """Remove files without a record, which a killed process left behind."""
        with self._catalog.connected() as connection:
            known = {row["id"] for row in connection.execute("SELECT id FROM assets")}
        for file in self._root.iterdir():
            if file.name not in known and file.stat().st_mtime < oldest:
                file.unlink(missing_ok=True)


def attachments(dataset: PortalDataset) -> list[dict[str, object]]:
    """The attachments in the dataset's metadata: `filename`, `name`, `assetId`, `blobId`."""
    found = dataset.metadata.get("attachments")
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def listed(dataset: PortalDataset) -> set[str]:
    """The ids of all files of the dataset."""
    named = {str(entry.get(member)) for entry in attachments(dataset) for member in ("assetId", "blobId")}
    return named | {str(dataset.blob)}


def plain_name(name: str) -> str:
    """A file name without folders and without unsafe characters."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(letter for letter in last if letter.isprintable() and letter not in '<>:"|?*').strip(" .")
    return kept[-200:] or "file"


def _plain_type(media_type: str) -> str:
    plain = media_type.partition(";")[0].strip().lower()
    return plain if _MEDIA_TYPE.fullmatch(plain) else "application/octet-stream"


def _written(content: IO[bytes], target: Path) -> tuple[int, str]:
    """Copy to `target`; returns the size and the SHA-256."""
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        while block := content.read(BLOCK):
            digest.update(block)
            size += file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()
