"""The citation of a dataset or of one of its releases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from publisher.portal.contract import about

if TYPE_CHECKING:
    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import ReleaseFacts


def citation(base: str, dataset: PortalDataset, release: ReleaseFacts | None = None) -> str:
    """The citation: publisher, title, edition, date, address, and license."""
    address = f"{base}/d/{dataset.id}"
    moment = datetime.fromtimestamp(dataset.rows_updated_at, UTC).date().isoformat()
    title = dataset.name
    if release:
        title += f", {release.period}, edition {release.edition}"
        address += f"/releases/{release.period}/{release.edition}"
        moment = release.created[:10]
    license = about(dataset).license
    return f"{dataset.publisher} ({moment[:4]}). {title}. {moment}. {address}" + (f". {license}" if license else "")
