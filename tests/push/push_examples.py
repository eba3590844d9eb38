"""Small releases of an invented dataset, and a program that pushes them: `push_examples.py URL WRITER FOLDER`."""

from __future__ import annotations

import json
import sys
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from publisher.push.client import RetryPolicy, SocrataClient
from publisher.push.listing import Attachment, Listing
from publisher.push.publication import publish
from publisher.push.target import Target
from publisher.release.manifest import (
    Charge,
    ColumnSpec,
    KeyShape,
    LedgerHead,
    Manifest,
    MeasureShape,
    Release,
    Shape,
    read_release,
)

QUICK = RetryPolicy(attempts=4, first=0.01, longest=0.1)
SMALL = 2_000
"""Bytes a request: a release takes several."""

FILES = (Attachment("guarantee.json", b'{"format": 2}', "application/json"),)

COLUMNS = tuple(
    ColumnSpec(name=name, title=title, type=kind, description=f"{title} of the example")  # type: ignore[arg-type]
    for name, title, kind in (
        ("id", "Row", "text"),
        ("period", "Week", "text"),
        ("period_start", "First day", "calendar_date"),
        ("place", "Place", "text"),
        ("place_name", "Name of the place", "text"),
        ("requests", "Requests", "number"),
        ("requests_low", "Requests, low", "number"),
        ("requests_high", "Requests, high", "number"),
        ("requests_status", "Requests, status", "text"),
        ("edition", "Edition", "number"),
    )
)

SHAPE = Shape(
    time="period_start",
    period="period",
    place="place",
    keys=(KeyShape(name="place", label="Place", names="place_name"),),
    measures=(
        MeasureShape(
            name="requests",
            label="Requests",
            kind="count",
            unit="requests",
            low="requests_low",
            high="requests_high",
            status="requests_status",
        ),
    ),
)


def listing(name: str, **changes: object) -> Listing:
    """How the example is listed."""
    values: dict[str, object] = {
        "name": name,
        "title": f"Example {name}",
        "description": "Requests by place and week – invented.",
        "attribution": "City of Example",
        "license": "CC0 1.0",
        "license_url": "https://creativecommons.org/publicdomain/zero/1.0/",
        "contact": "data@example.gov",
        "category": "Services",
        "tags": ("requests", "example"),
        "columns": COLUMNS,
        "shape": SHAPE,
        "guarantee": "# Guarantee\n\nNoise was added.",
        "stand_in": True,
        "limitations": ("Invented.",),
    }
    return Listing(**{**values, **changes})  # type: ignore[arg-type]


def release(
    folder: Path,
    name: str,
    week: int,
    *,
    edition: int = 1,
    places: int = 12,
    shift: float = 0.0,
    suppressed: int = 1,
) -> Release:
    """One week's release: whole and broken numbers, names beyond ASCII, the first rows suppressed."""
    start = date(2018, 1, 1) + timedelta(weeks=week - 1)
    period = f"2018-W{week:02d}"
    values = [None] * suppressed + [place + 0.1 * week + shift for place in range(suppressed, places)]
    table = pa.table(
        {
            "id": [f"{period}.{place}" for place in range(places)],
            "period": [period] * places,
            "period_start": pa.array([start] * places, pa.date32()),
            "place": [str(place) for place in range(places)],
            "place_name": [f"Neighborhood “{place}” Ñ" for place in range(places)],
            "requests": pa.array(values, pa.float64()),
            "requests_low": pa.array([None if v is None else max(0.0, v - 3) for v in values], pa.float64()),
            "requests_high": pa.array([None if v is None else round(v) + 3 for v in values], pa.int64()),
            "requests_status": ["suppressed"] * suppressed + ["ok"] * (places - suppressed),
            "edition": pa.array([edition] * places, pa.int32()),
        }
    )
    folder = folder / f"{period}-{edition}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "data.parquet")
    manifest = Manifest(
        dataset=name,
        source="example",
        period=period,
        edition=edition,
        statistical_hash="0",
        finishing_hash="0",
        created="2026-01-01T00:00:00Z",
        stand_in=True,
        rows=places,
        suppressed=suppressed,
        unreliable=0,
        columns=COLUMNS,
        shape=SHAPE,
        charge=Charge(currency="zcdp", loss="1/10", blocks=(period,), tables=()),
        ledger=LedgerHead(sequence=1, hash="0"),
        versions={},
        files={},
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return Release(folder, folder / "kept", manifest)


def main(url: str, writer: Path, folder: Path) -> None:
    """Pushes every release in the folder, remembering the dataset's id in a file there."""
    account = json.loads(writer.read_text())
    releases = [read_release(path, path / "kept") for path in sorted(folder.iterdir()) if path.is_dir()]
    known = folder / "id"
    with SocrataClient(Target(url, False, **account), QUICK, chunk=SMALL) as client:
        publish(
            client,
            listing(folder.name, files=FILES),
            releases,
            known_id=known.read_text() if known.exists() else None,
            remember=lambda identifier: (known.write_text(identifier), None)[1],
        )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
