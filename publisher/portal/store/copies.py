"""Working copies of published datasets, which later replace the original."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from publisher.portal.base.problems import invalid
from publisher.portal.store import versions
from publisher.portal.store.store import Reshaped

if TYPE_CHECKING:
    from publisher.portal.base.model import PortalColumn, PortalDataset
    from publisher.portal.store.store import PortalStore

DESCRIPTION = ("name", "description", "category", "tags", "attribution", "attribution_link", "license_id", "metadata")


def publish(store: PortalStore, copy: PortalDataset) -> PortalDataset:
    """Replace the original with its working copy; the 4x4 stays, and rows that stay keep their `:id`."""
    original = store.catalog.find(copy.copy_of or "")
    if original is None:
        raise invalid("The dataset that this is a working copy of was deleted")
    with store.locked(copy.id):
        copy = store.get(copy.id)
        texts = store.root / "data" / copy.id / "published"
        versions.texts(store.rows(copy), copy.columns, texts, identified=copy.row_identifier is None)

        def replaced(old: PortalDataset) -> Reshaped:
            wanted = replace(old, columns=matched(copy.columns, old.columns), row_identifier=copy.row_identifier)
            attributes = {name: getattr(copy, name) for name in DESCRIPTION} | {"published_at": int(time.time())}
            return Reshaped(wanted, texts, True, attributes)

        store.reshape(original.id, replaced)
    store.delete(copy.id)
    return store.get(original.id)


def matched(wanted: tuple[PortalColumn, ...], old: tuple[PortalColumn, ...]) -> tuple[PortalColumn, ...]:
    """The wanted columns, with the ids of the old columns that have the same field names."""
    known = {column.field: column.id for column in old}
    return tuple(replace(column, id=known.get(column.field, 0)) for column in wanted)
