"""Files beside the rows: what a publisher attaches to a dataset, kept as it came and named by an id of its own."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.portal.catalogue import Catalogue
    from publisher.portal.model import Dataset


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
    """The files in the folder `root`; what is known of them stands in the catalogue."""

    def __init__(self, catalogue: Catalogue, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._catalogue = catalogue
        self._root = root

    def add(self, content: bytes, name: str, media_type: str, owner: str) -> Asset:
        """Keep a file, durable on return."""
        digest = hashlib.sha256(content).hexdigest()
        asset = Asset(str(uuid.uuid4()), name, media_type, len(content), digest, owner, int(time.time()))
        beside = self._root / f"{asset.id}.tmp"
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._root / asset.id)
        with self._catalogue.transaction() as connection:
            connection.execute(
                "INSERT INTO assets VALUES (?, ?, ?, ?, ?, ?, ?)",
                (asset.id, asset.name, asset.media_type, asset.size, asset.sha256, asset.owner, asset.created_at),
            )
        return asset

    def find(self, identifier: str) -> Asset | None:
        """The file with this id."""
        with self._catalogue.connected() as connection:
            row = connection.execute("SELECT * FROM assets WHERE id = ?", (identifier,)).fetchone()
        return Asset(**dict(row)) if row else None

    def path(self, asset: Asset) -> Path:
        """Where its bytes lie."""
        return self._root / asset.id

    def attached(self, dataset: Dataset, filename: str) -> Asset | None:
        """The file that the dataset's metadata lists under this name."""
        listed = dataset.metadata.get("attachments")
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        found = next((entry for entry in entries if entry.get("filename") == filename), None)
        return self.find(str(found.get("assetId"))) if found else None
