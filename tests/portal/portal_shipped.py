"""The datasets of the repository's own workspace, listed as a push lists them; their numbers do not matter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from publisher.definitions import period as civil
from publisher.push.metadata import listing_of
from publisher.release.table import table_names
from publisher.workspace import DatasetFile, find_workspace

if TYPE_CHECKING:
    from portal_process import Running

    from publisher.definitions.keyset import Keyset
    from publisher.push.listing import Listing


def publish_shipped(running: Running) -> dict[str, str]:
    """Every table of every shipped dataset, public, with a row for each key; gives their titles by 4x4."""
    workspace = find_workspace(Path(__file__).parent)
    published = {}
    with requests.Session() as session:
        session.auth = running.login
        for dataset in workspace.datasets.values():
            for level in table_names(dataset.definition):
                listing = listing_of(workspace, dataset, level, [])
                published[_published(session, running.address, listing, dataset)] = listing.title
    return published


def _published(session: requests.Session, address: str, listing: Listing, dataset: DatasetFile) -> str:
    fields = listing.creation()
    fields["metadata"]["custom_fields"]["Publisher"]["releases"] = json.dumps(_releases(dataset))
    view = _sent(session.post(f"{address}/api/views.json", json=fields))
    identifier: str = view["id"]
    _sent(session.post(f"{address}/resource/{identifier}.json", json=_rows(dataset, listing)))
    _sent(session.post(f"{address}/api/views/{identifier}/publication.json"))
    share = {"method": "setPermission", "value": "public.read"}
    _sent(session.put(f"{address}/api/views/{identifier}.json", params=share))
    return identifier


def _sent(answer: requests.Response) -> dict[str, Any]:
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def _releases(dataset: DatasetFile) -> list[dict[str, Any]]:
    """The first and the last release, as they are told; the latest first."""
    return [
        {"period": period, "edition": 1, "created": "2026-11-01T10:00:00+00:00", "rows": 1}
        | {"suppressed": 0, "unreliable": 0}
        for period in (dataset.definition.last, dataset.definition.first)
        if period
    ]


def _rows(dataset: DatasetFile, listing: Listing) -> list[dict[str, Any]]:
    """One row for each key of the longest keyset."""
    first = dataset.definition.first
    start = f"{civil.parse(first).start.isoformat()}T00:00:00"
    keysets: dict[str, Keyset] = {
        key.name: keyset for key, keyset in zip(dataset.definition.keys, dataset.keysets, strict=True)
    } | {each.definition.name: each.keyset for each in dataset.coarser}
    shape = listing.shape
    rows = []
    for number in range(max([1, *(len(keysets[key.name].keys) for key in shape.keys)])):
        row = {"id": f"row-{number}", "period": first, "period_start": start}
        for key in shape.keys:
            keyset = keysets[key.name]
            at = number % len(keyset.keys)
            row[key.name] = keyset.keys[at]
            if key.names:
                row[key.names] = (keyset.labels or keyset.keys)[at]
        rows.append(row)
    return rows
