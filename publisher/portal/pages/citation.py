"""The line by which others name a dataset, or one release of it, as their source."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from publisher.portal.contract import about

if TYPE_CHECKING:
    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import ReleaseFacts


def citation(base: str, dataset: PortalDataset, release: ReleaseFacts | None = None) -> str:
    """Who published what, which edition, when, where, and under which license."""
    address = f"{base}/d/{dataset.id}"
    moment = datetime.fromtimestamp(dataset.rows_updated_at, UTC).date().isoformat()
    title = dataset.name
    if release:
        title += f", {release.period}, edition {release.edition}"
        address += f"/releases/{release.period}/{release.edition}"
        moment = release.created[:10]
    license = about(dataset).license
    return f"{dataset.publisher} ({moment[:4]}). {title}. {moment}. {address}" + (f". {license}" if license else "")
