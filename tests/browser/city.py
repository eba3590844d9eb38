"""An invented city's portal with everything that a page can show, and the addresses of its pages."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import requests
from portal_process import publish

from publisher.grades import grade

if TYPE_CHECKING:
    from portal_process import Running
    from sodapy import Socrata

WARDS = ("Harbor", "Old Town", "Mill Hill", "North Park", "Station", "Riverside")
KINDS = ("Street light", "Pothole", "Refuse", "Noise")
COLUMNS = [
    ("id", "text", "Row"),
    ("period", "text", "Month"),
    ("period_start", "calendar_date", "First day"),
    ("ward", "text", "Ward"),
    ("ward_name", "text", "Ward, name"),
    ("kind", "text", "Kind of request"),
    ("requests", "number", "Requests"),
    ("requests_low", "number", "Requests, low"),
    ("requests_high", "number", "Requests, high"),
    ("requests_margin_percent", "number", "Requests, margin in percent"),
    ("requests_status", "text", "Requests, status"),
]
SHAPE = {
    "time": "period_start",
    "period": "period",
    "place": "ward",
    "keys": [
        {"name": "ward", "label": "Ward", "names": "ward_name", "standard": "City ward code"},
        {"name": "kind", "label": "Kind of request"},
    ],
    "measures": [
        {
            "name": "requests",
            "label": "Requests",
            "kind": "count",
            "unit": "requests",
            "low": "requests_low",
            "high": "requests_high",
            "status": "requests_status",
            "margin_percent": "requests_margin_percent",
            "bounds": {
                "kind": "count",
                "unit": "caller",
                "cells": 2,
                "each": 3,
                "items": "requests",
                "span": "month",
                "cell": ["Ward", "Kind of request"],
            },
            "noise": {"step": 1, "least": 12, "most": 12, "same_release": 12.5, "other_release": 12},
        }
    ],
}
BOUNDS = (
    "Counts at most 3 of the requests of one caller in each of 2 cells a month (a cell: Ward × Kind of request); the "
    "real total is the same or higher."
)
COUNTED = [{"measure": "requests", "low": 0.744, "high": 0.826, "period": "2021-Q4", "at": "2022-02-01"}]
"""How much of the requests the bounds let count, as it was measured."""
MONTHS = [(year, month) for year in (2022, 2023, 2024) for month in range(1, 13)]
GUARANTEE = """# Guarantee

Each request is protected **once**, with ρ = 0.1.

| what | value |
| --- | --- |
| loss | 0.1 |
| covers | one month |

- No name, address or exact place is here.
- See [the method](https://example.org/method).
"""


@dataclass(frozen=True)
class City:
    """Where it answers, and the 4x4s of a dataset with all there is, of its whole city, of one with nothing but rows,
    and of a file."""

    address: str
    full: str
    whole: str
    bare: str
    file: str

    @property
    def pages(self) -> dict[str, str]:
        """Path by name, in English; Spanish has /es before it."""
        dataset = f"/d/{self.full}"
        return {
            "catalog": "/",
            "found": "/?q=requests",
            "nothing found": "/?q=zzz",
            "dataset": dataset,
            "dataset filtered": f"{dataset}?kind=Noise&map_kind=Noise&column=ward_name&value=Old+Town&sort=requests",
            "plain dataset": f"/d/{self.bare}",
            "whole city": f"/d/{self.whole}?table=1",
            "dataset compared": f"{dataset}?first_ward=W1&first_kind=Noise&first_period=2024-12"
            "&second_ward=W2&second_kind=Noise&second_period=2024-12&ward=*",
            "dataset tables": f"{dataset}?table=1&map_table=1",
            "question": f"{dataset}/ask?by=ward&by=period&number=requests&row.kind=Noise",
            "question of rows": f"{dataset}/ask?by=ward&by=requests",
            "places": f"{dataset}/places?place=W1&place=W2&place=W3&kind=Refuse",
            "columns": f"{dataset}/columns",
            "share": f"{dataset}/share/chart?kind=Noise&ward=W1",
            "embed": f"{dataset}/embed/map",
            "api": f"{dataset}/api",
            "file": f"/d/{self.file}",
            "history": f"{dataset}/releases",
            "release": f"{dataset}/releases/2024-12/1",
            "periods": f"{dataset}/schedule",
            "schedule": "/schedule",
            "methods": "/methods",
            "inventory": "/inventory",
            "about": "/about",
            "missing": "/nowhere",
        }


def open_city(running: Running) -> City:
    """Fill a portal."""
    with running.client() as client:
        bare = publish(client, "Trees, as they were counted", [{"id": "a", "zone": "Nord", "requests": "3"}])
        assets = [
            _attached(running, "wards.geojson", json.dumps(_wards()), "application/geo+json"),
            _attached(running, "measurements.csv", "id,requests,requests_variance\na,-3,36\n", "text/csv"),
            _attached(running, "measurements.json", '{"columns": []}', "application/json"),
        ]
        view = client.create(
            "Requests by ward and month",
            description=f"What people asked of the city.\n\nCounted by ward, month and kind.\n\n{BOUNDS}",
            columns=[
                {"fieldName": field, "dataTypeName": kind, "name": name, "description": f"{name} of the cell."}
                for field, kind, name in COLUMNS
            ],
            tags=["311", "streets"],
            category="City services",
            attribution="City of Example",
            metadata={
                "rowIdentifier": "id",
                "custom_fields": {"Publisher": _said()},
                "attachments": assets,
            },
            licenseId="CC0_10",
        )
        client.upsert(view["id"], _rows())
        client.publish(view["id"])
        client.set_permission(view["id"], "public")
        whole = _whole(client)
        file = _file(running)
        client.publish(file)
        client.set_permission(file, "public")
    return City(running.address, view["id"], whole, bare, file)


def _whole(client: Socrata) -> str:
    """The 4x4 of the companion with one number a month."""
    keys = {name for name, _, _ in COLUMNS if name.startswith(("ward", "kind"))}
    shape = SHAPE | {"keys": [], "place": None}
    said = _said() | {"dataset": "requests-city", "shape": json.dumps(shape), "boundaries": ""}
    said["companions"] = json.dumps([{"name": "requests", "title": "Requests by ward and month"}])
    view = client.create(
        "Requests in the whole city",
        columns=[{"fieldName": f, "dataTypeName": kind, "name": name} for f, kind, name in COLUMNS if f not in keys],
        metadata={"rowIdentifier": "id", "custom_fields": {"Publisher": said}},
    )
    rows = [
        {
            "id": f"{year}-{month:02}",
            "period": f"{year}-{month:02}",
            "period_start": f"{year}-{month:02}-01T00:00:00.000",
            "requests": 5000 + 10 * month,
            "requests_low": 4900,
            "requests_high": 5200,
            "requests_status": "ok",
        }
        for year, month in MONTHS
    ]
    client.upsert(view["id"], rows)
    client.publish(view["id"])
    client.set_permission(view["id"], "public")
    return str(view["id"])


def one_period(running: Running) -> str:
    """The 4x4 of the same dataset with its last month alone, whose places are ranked."""
    with running.client() as client:
        view = client.create(
            "Requests of one month",
            columns=[{"fieldName": field, "dataTypeName": kind, "name": name} for field, kind, name in COLUMNS],
            metadata={"rowIdentifier": "id", "custom_fields": {"Publisher": _said() | {"dataset": "last"}}},
        )
        client.upsert(view["id"], [row for row in _rows() if row["period"] == "2024-12"])
        client.publish(view["id"])
        client.set_permission(view["id"], "public")
    return str(view["id"])


def _file(running: Running) -> str:
    """The 4x4 of a dataset that is one file."""
    sent = {"file": ("manual.pdf", b"%PDF-1.7", "application/pdf")}
    address = f"{running.address}/api/imports2/?method=blob"
    return str(requests.post(address, files=sent, auth=running.login, timeout=30).json()["id"])


def _attached(running: Running, name: str, text: str, media: str) -> dict[str, str]:
    """Upload a file; gives what a dataset's metadata says of it."""
    address = f"{running.address}/api/assets?fileName={name}"
    headers = {"Content-Type": media}
    answer = requests.post(address, data=text.encode(), headers=headers, auth=running.login, timeout=30)
    return {"filename": name, "name": name, "assetId": answer.json()["id"]}


def _rows() -> list[dict[str, Any]]:
    dice = random.Random(1)
    rows = []
    for year, month in MONTHS:
        for number, ward in enumerate(WARDS):
            for kind in KINDS:
                count = dice.randrange(5, 60 if kind == "Noise" else 400)
                status = "suppressed" if count < 15 else grade(Decimal(count), Decimal(count - 12), Decimal(count + 12))
                known = None if status == "suppressed" else count
                rows.append(
                    {
                        "id": f"{year}-{month:02}/{number}/{kind}",
                        "period": f"{year}-{month:02}",
                        "period_start": f"{year}-{month:02}-01T00:00:00.000",
                        "ward": f"W{number + 1}",
                        "ward_name": ward,
                        "kind": kind,
                        "requests": known,
                        "requests_low": known and known - 12,
                        "requests_high": known and known + 12,
                        "requests_margin_percent": known and -(-1200 // known),
                        "requests_status": status,
                    }
                )
    return rows


def _schedule() -> dict[str, Any]:
    """Every state that a period can be in."""
    known: list[dict[str, Any]] = [
        {"state": "late", "reason": "feed missing", "edition": 0},
        {"state": "refused at landing", "reason": "feed refused", "edition": 0},
        {"state": "under review", "reason": "under review", "edition": 0},
        {"state": "held", "reason": "under review", "edition": 1},
        {"state": "retracted", "reason": "taken back", "edition": 0},
        {"state": "released", "edition": 2},
        {"state": "released", "next_edition": "2999-01-06"},
        {"state": "not released", "reason": "retention", "edition": 0},
        *({} for _ in range(16)),
    ]
    months = [(year, month) for year, month in reversed(MONTHS)]
    was_due = [
        {"period": f"{year}-{month:02}", "due": f"{year}-{month:02}-28", "since": f"{year}-{month:02}-28"} | each
        for (year, month), each in zip(months, known, strict=False)
    ]
    ahead = {"period": "2998-12", "due": "2999-01-05", "state": "not due yet", "edition": 0}
    facts = {"dataset": "requests", "title": "Requests by ward and month", "when": "the 5th of each month at 6:00"}
    return facts | {"holidays": "US", "timezone": "America/Chicago", "periods": [ahead, *was_due]}


def _unpublished() -> dict[str, Any]:
    """A dataset without a page."""
    held = {"period": "2024-11", "due": "2024-12-01", "state": "held", "since": "2024-12-01"}
    return {
        "dataset": "water",
        "title": "Water by zone and month",
        "timezone": "America/Chicago",
        "periods": [held | {"reason": "under review", "edition": 0}],
    }


def _said() -> dict[str, str]:
    """What the publisher says of the dataset, every part of it."""
    whole = {
        "shape": SHAPE,
        "counted": COUNTED,
        "companions": [{"name": "requests-city", "title": "Requests in the whole city"}],
        "source": _source(),
        "releases": _releases(),
        "schedule": _schedule(),
        "unpublished": [_unpublished()],
        "odds": {"unit": "record", "period": "a month", "after": 0.61, "posterior_bound": 0.9, "loss": "ρ = 0.1"},
        "boundaries": {
            "key": "ward",
            "property": "code",
            "filename": "wards.geojson",
            "source": "City of Example, CC0",
        },
        "coverage": {"name": "City of Example", "id": "2965000", "standard": "GEOID"},
        "measurements": [
            {
                "filename": "measurements.csv",
                "about": "measurements.json",
                "measures": [
                    {
                        "column": "requests",
                        "label": "Requests",
                        "unit": "requests",
                        "distribution": "discrete gaussian",
                        "scale": "6",
                    }
                ],
            }
        ],
    }
    return {name: json.dumps(value) for name, value in whole.items()} | {
        "dataset": "requests",
        "bounds": BOUNDS,
        "guarantee": GUARANTEE,
        "stand_in": "true",
        "contact": "data@city.example",
        "limitations": "Requests by telephone are counted when they are typed in.\nWards changed in 2022.",
        "license": "CC0 1.0",
        "license_url": "https://creativecommons.org/publicdomain/zero/1.0/",
    }


def _source() -> dict[str, Any]:
    columns = [
        {
            "name": "ward",
            "classification": "public",
            "authority": "City code 12-4",
            "read": True,
            "description": "Ward",
        },
        {"name": "caller", "classification": "personal", "authority": "State law 610.021", "identifier": True},
        {"name": "telephone", "classification": "personal", "authority": "State law 610.021"},
    ]
    return {
        "name": "311",
        "title": "Service requests",
        "purpose": "To answer what people ask of the city",
        "unit": "record",
        "window": "month",
        "retention": "36 months",
        "columns": columns,
    }


def _releases() -> list[dict[str, Any]]:
    releases: list[dict[str, Any]] = [
        {
            "period": f"{year}-{month:02}",
            "edition": 1,
            "created": f"{year + month // 12}-{month % 12 + 1:02}-03T06:00:00+00:00",
            "rows": 24,
            "suppressed": 1,
            "unreliable": 2,
            "caution": 3,
            "sha256": f"{year * 100 + month:064x}",
        }
        for year, month in reversed(MONTHS)
    ]
    again = releases[3] | {"edition": 2, "reason": "late records", "sha256": "e" * 64}
    releases[3]["current"] = False
    releases[5] |= {"retracted": True, "current": False}
    return [again, *releases]


def _wards() -> dict[str, Any]:
    """Six squares, three beside two."""
    features = []
    for number, ward in enumerate(WARDS):
        west, south = -90.3 + number % 3 / 20, 38.6 + number // 3 / 20
        east, north = west + 0.05, south + 0.05
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        features.append(
            {
                "type": "Feature",
                "properties": {"code": f"W{number + 1}", "name": ward},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
        )
    return {"type": "FeatureCollection", "features": features}
