"""Where the landed records of a source lie: in the private folder, or in the object store of the settings."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from publisher.errors import SourceError
from publisher.records.batch import BatchStore
from publisher.records.pseudonyms import HMAC
from publisher.records.receipts import CLOSED, RECEIVED, Receipts, days_of, first_way
from publisher.records.stored_batches import STORED, StoredBatches
from publisher.records.stored_receipts import StoredReceipts, objects_of, stored_way

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.copies import LandedCopies
    from publisher.records.pseudonyms import Way


def batches_of(private: Path, source: str, copies: LandedCopies | None = None) -> BatchStore:
    """The batches of a source. Raises SourceError if they lie in another place than the settings say."""
    _refuse_elsewhere(private, source, copies)
    return BatchStore(private, source) if copies is None else StoredBatches(private, source, copies)


def receipts_of(
    private: Path, source: str, basis: str, way: Way = HMAC, copies: LandedCopies | None = None
) -> Receipts:
    """The first receipts of a source. Raises SourceError if they lie in another place than the settings say."""
    _refuse_elsewhere(private, source, copies)
    if copies is None:
        return Receipts(private, source, basis, way)
    return StoredReceipts(private, source, basis, copies, way)


def received_way(private: Path, source: str, copies: LandedCopies | None) -> Way | None:
    """How ids are made in the first receipts that a source has; None if it has none."""
    return first_way(private, source) if copies is None else stored_way(copies, source)


def move_in(private: Path, source: str, copies: LandedCopies, key: str) -> None:
    """Move what was landed into the private folder, before the settings named a store, to the store.

    First receipts go first, so that no batch is ever there without those that came before it. Raises SourceError.
    """
    here = BatchStore(private, source)
    if not here.batches() and not (private / "receipts" / source).is_dir():
        return
    here.adopt(key)
    store = StoredBatches(private, source, copies)
    store.adopt(key)
    store.tidy()
    _move_receipts(private, source, copies)
    known = {each.batch for each in store.batches()}
    for batch in here.batches():
        here.drop_other(batch)
        if batch.batch not in known:
            store.commit([(here.folder / batch.batch, batch)])
        here.drop(batch)


def _move_receipts(private: Path, source: str, copies: LandedCopies) -> None:
    folder, there = private / "receipts" / source, StoredReceipts(private, source, "", copies)
    for name in (RECEIVED, CLOSED):
        path = folder / f"{name}.json"
        if path.is_file():
            there.merge(name, days_of(path.read_bytes(), path))
    known = objects_of(copies, there.root)
    for path in sorted(folder.glob("*/[!.]*.parquet")):
        name = f"{path.parent.name}/{path.name}"
        if name not in known:
            copies.bucket.upload(path, copies.stored(f"{there.root}/{name}"))
    shutil.rmtree(folder, ignore_errors=True)


def _refuse_elsewhere(private: Path, source: str, copies: LandedCopies | None) -> None:
    path = private / "landed" / source / STORED
    try:
        url = str(json.loads(path.read_bytes())["url"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):
        raise SourceError(f"{path}: is damaged: restore it from a backup") from None
    if copies is None or copies.address.url != url:
        raise SourceError(
            f"publisher.toml: landed.url: the landed records of {source} lie in {url}: set it to that again; if you "
            f"have moved them, write the new address into {path}"
        )
