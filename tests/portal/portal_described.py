"""A dataset of which the publisher says everything: shape, releases, odds, source, boundaries."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from publisher.portal.store.store import PortalStore

if TYPE_CHECKING:
    from portal_process import Running

COLUMNS: list[dict[str, Any]] = [
    {"fieldName": "id", "name": "Cell", "dataTypeName": "text"},
    {"fieldName": "period", "name": "Period", "dataTypeName": "text"},
    {"fieldName": "period_start", "name": "Begins", "dataTypeName": "calendar_date"},
    {"fieldName": "ward", "name": "Ward", "dataTypeName": "text", "description": "The ward's number"},
    {"fieldName": "requests", "name": "Requests", "dataTypeName": "number", "description": "Noisy count"},
    {"fieldName": "requests_status", "name": "Status", "dataTypeName": "text"},
    {"fieldName": "all_closed", "name": "All closed", "dataTypeName": "checkbox"},
    {"fieldName": "note", "name": "Note", "dataTypeName": "text"},
    {"fieldName": "counted_at", "name": "Counted", "dataTypeName": "date"},
]
NOTES = ("=1+1", "+cmd", "-2", "@SUM(A1)", 'Ünï "q", \n<&>', "http://example.org", "")
PERIODS = ("2024-01", "2024-02", "2024-03")


def rows() -> list[dict[str, Any]]:
    """Three months of four wards."""
    return [
        {
            "id": f"{period}-{ward}",
            "period": period,
            "period_start": f"{period}-01T00:00:00",
            "ward": str(ward),
            "requests": None if ward == 3 else f"{month * 100 + ward}.25",
            "requests_status": "suppressed" if ward == 3 else "ok",
            "all_closed": ward % 2 == 0,
            "note": NOTES[(month * 4 + ward) % len(NOTES)],
            "counted_at": f"{period}-28T22:30:00-06:00",
        }
        for month, period in enumerate(PERIODS)
        for ward in range(1, 5)
    ]


def _square(west: float, hole: bool) -> list[Any]:
    ring = [[west, 38.0], [west + 1, 38.0], [west + 1, 39.0], [west, 39.0], [west, 38.0]]
    inner = [[west + 0.2, 38.2], [west + 0.2, 38.4], [west + 0.4, 38.4], [west + 0.4, 38.2], [west + 0.2, 38.2]]
    return [ring, inner] if hole else [ring]


def wards() -> bytes:
    """Wards 1 to 3 as GeoJSON: one with a hole, one of two parts; ward 4 has no polygon."""
    shapes: list[dict[str, Any]] = [
        {"type": "Polygon", "coordinates": _square(-91.0, hole=True)},
        {"type": "MultiPolygon", "coordinates": [_square(-89.0, hole=False), _square(-87.0, hole=False)]},
        {"type": "Polygon", "coordinates": _square(-85.0, hole=False)},
    ]
    features = [
        {"type": "Feature", "properties": {"WARD": number}, "geometry": shape}
        for number, shape in enumerate(shapes, start=1)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


DECISIONS = [
    {
        "what": "accepted",
        "at": "2024-03-22T10:00:00+00:00",
        "reason": "The <fee> went up",
        "although": ["the total is 9; expected at most 1"],
    },
]
"""What people decided about the newest release."""


def said() -> dict[str, str]:
    """What the publisher says of it, as it stands in the metadata."""
    shape = {
        "time": "period_start",
        "period": "period",
        "place": "ward",
        "keys": [{"name": "ward", "label": "Ward"}],
        "measures": [{"name": "requests", "label": "Requests", "status": "requests_status"}],
    }
    editions = [("2024-03", 1, True, ""), ("2024-02", 2, True, "late records"), ("2024-02", 1, False, "")]
    releases = [
        {
            "period": period,
            "edition": edition,
            "created": f"{period}-2{edition}T10:00:00+00:00",
            "rows": 4,
            "suppressed": 1,
            "unreliable": 0,
            "caution": 2,
            "current": current,
            "reason": reason,
            "decisions": DECISIONS if period == "2024-03" else [],
        }
        for period, edition, current, reason in [*editions, ("2024-01", 1, True, "")]
    ]
    odds = {"unit": "request", "period": "a month", "after": 0.6, "loss": "ρ = 0.1"}
    return {
        "contact": "data@example.org",
        "guarantee": "Each request is protected.",
        "limitations": "Counts are noisy.\nSmall ones are suppressed.",
        "shape": json.dumps(shape),
        "releases": json.dumps(releases),
        "odds": json.dumps(odds),
        "source": json.dumps({"name": "311", "title": "Service requests", "purpose": "To mend streets."}),
        "boundaries": json.dumps({"key": "ward", "property": "WARD", "filename": "wards.geojson"}),
        "coverage": json.dumps({"name": "St. Louis, Missouri", "id": "2965000"}),
    }


def publish_described(running: Running, name: str = "Requests by ward") -> str:
    """Create, fill, describe and open it; gives its 4x4."""
    asset = PortalStore(running.state).assets.add(
        io.BytesIO(wards()), "wards.geojson", "application/geo+json", "publisher"
    )
    with running.client() as client:
        view = client.create(
            name,
            description="Requests by ward and month",
            columns=COLUMNS,
            row_identifier="id",
            category="Streets",
            tags=["311", "wards"],
            attribution="City of Example",
            licenseId="CC_40_BY",
        )
        identifier: str = view["id"]
        client.upsert(identifier, rows())
        attachments = [{"filename": "wards.geojson", "assetId": asset.id}]
        metadata = {"custom_fields": {"Publisher": said()}, "attachments": attachments, "rowIdentifier": "id"}
        client.update_metadata(identifier, {"metadata": metadata})
        client.publish(identifier)
        client.set_permission(identifier, "public")
    return identifier
