"""`publisher portal verify`: whether the portal's files are as they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.errors import PortalError

if TYPE_CHECKING:
    from pathlib import Path


def verified(state: Path) -> str:
    """Check every file of the portal in that folder; returns what to say. Raises PortalError if one is not sound."""
    if not (state / "catalogue.sqlite").is_file():
        raise PortalError(f"there is no portal in {state} yet: start it once with `publisher serve`")
    from publisher.portal.store.store import PortalStore

    store = PortalStore(state)
    found = [f"{dataset.id} ({dataset.name}): {fault}" for dataset, fault in store.faults()]
    if found:
        raise PortalError(
            "\n".join(found)
            + "\nFor rows that are missing or damaged, the portal answers 503. Publish these datasets again,"
            " or restore the portal's folder from a backup."
        )
    datasets = store.catalog.all()
    said = f"{len(datasets)} datasets: every file is as it was written"
    old = sum(store.unlisted(dataset) for dataset in datasets)
    return said + (f" ({old} have no hashes yet; the next write adds them)" if old else "")
