"""Which columns are coordinates or codes of places, and in which coordinate system."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.duck import literal
from publisher.errors import SourceError
from publisher.records import sql
from publisher.records.polygons import names_of, read_polygons
from publisher.records.projections import better

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.definitions.source import Boundaries
    from publisher.drafting.sample import Sample
    from publisher.records.polygons import Floats, Polygons

TRIED = 2_000
INSIDE = 0.5
"""So many points must be inside the boundaries: what a source accepts."""
ALIKE = 0.8
"""So many codes must be keys of the boundaries."""
_PAIRS = (
    ("latitude", "longitude"),
    ("lat", "lon"),
    ("lat", "lng"),
    ("lat", "long"),
    ("northing", "easting"),
    ("y", "x"),
    ("1", "0"),
)


@dataclass(frozen=True)
class PointColumns:
    """Two columns of coordinates, in the order easting, northing."""

    x: str
    y: str
    crs: str = "EPSG:4326"
    swapped: bool = False
    """True if the names of the columns say the opposite."""
    inside: float | None = None
    """The share of points inside the boundaries, if those are known."""


@dataclass(frozen=True)
class AreaFile:
    """Boundaries with the names of their areas."""

    boundaries: Boundaries
    polygons: Polygons
    names: dict[str, str]


def read_areas(path: Path, boundaries: Boundaries) -> AreaFile:
    """The boundaries of a file. Raises SourceError, which lists what there is if the property is wrong."""
    polygons = read_polygons(path, boundaries, "EPSG:4326")
    return AreaFile(boundaries, polygons, dict(sorted(names_of(path, boundaries).items())))


def point_columns(sample: Sample) -> list[PointColumns]:
    """Pairs of columns that are coordinates by their names and values, degrees first."""
    numeric = [name for name in sample.columns if _is_role(name)]
    fit = sample.of_each("count(TRY_CAST({0} AS DOUBLE)) >= 0.9 * count({0})", numeric)
    numbers = [name for name, fits in zip(numeric, fit, strict=True) if fits]
    return [PointColumns(x, y) for x, y in _pairs(numbers)]


def located(sample: Sample, pair: PointColumns, areas: AreaFile | None) -> PointColumns:
    """The pair with its coordinate system, x and y the right way. Raises SourceError if the places are elsewhere."""
    x, y = _coordinates(sample, pair)
    if areas is None:
        swapped = bool(len(x)) and float((abs(y) > 90).mean()) > INSIDE > float((abs(x) > 90).mean())
        crs = "EPSG:4326" if not len(x) or float((abs(x) <= 180).mean()) > INSIDE else ""
        return PointColumns(*((pair.y, pair.x) if swapped else (pair.x, pair.y)), crs, swapped)
    before = _share(x, y, areas.polygons)
    reading = better(x, y, pair.crs, areas.polygons)
    if reading is None and before <= INSIDE:
        raise SourceError(
            f"{pair.x}, {pair.y}: hardly a point is inside {areas.boundaries.path}, in any coordinate system in use "
            "there and also with x and y swapped: give the boundaries of the same place as the records"
        )
    if reading is None:
        return PointColumns(pair.x, pair.y, pair.crs, inside=before)
    names = (pair.y, pair.x) if reading.swapped else (pair.x, pair.y)
    return PointColumns(*names, reading.crs, reading.swapped, reading.inside)


def code_columns(sample: Sample, areas: AreaFile) -> list[tuple[str, float]]:
    """Columns whose values are keys of the boundaries, with the share that is; the largest share first."""
    keys = ", ".join(literal(key) for key in areas.names).replace("{", "{{").replace("}", "}}")
    whole = sql.whole("{0}").replace("{0}", "\0").replace("{", "{{").replace("}", "}}").replace("\0", "{0}")
    share = f"count(*) FILTER ({whole} IN ({keys})) / greatest(count(*), 1)"
    found = zip(sample.columns, sample.of_each(share, sample.columns, sample.spread(TRIED)), strict=True)
    return sorted(((name, share) for name, share in found if share >= ALIKE), key=lambda each: -each[1])


def _is_role(name: str) -> bool:
    return any(_other(name, north, east) for north, east in _PAIRS for north, east in ((north, east), (east, north)))


def _other(name: str, role: str, other: str) -> list[str]:
    """The names of the column for the other coordinate, if this is one for `role`."""
    lower = name.lower()
    spots = [found.start() for found in re.finditer(rf"(?<![a-z0-9]){role}(?![a-z0-9])", lower)]
    whole = role in ("latitude", "longitude", "northing", "easting")
    if whole and role in lower:
        spots.append(lower.index(role))
    if lower.endswith(role) and (whole or role in ("x", "y", "lat", "lon", "lng")):
        spots.append(len(lower) - len(role))
    return [lower[:at] + other + lower[at + len(role) :] for at in dict.fromkeys(spots)]


def _pairs(names: list[str]) -> Iterator[tuple[str, str]]:
    """(x, y) of every pair of names that differ only in the coordinate."""
    lower = {name.lower(): name for name in names}
    taken: set[str] = set()
    for north, east in _PAIRS:
        for name in names:
            for other in _other(name, north, east):
                pair = {name, lower.get(other, name)}
                if len(pair) == 2 and not pair & taken:
                    taken |= pair
                    yield lower[other], name


def _coordinates(sample: Sample, pair: PointColumns) -> tuple[Floats, Floats]:
    import numpy as np

    x, y = (f"TRY_CAST({sample.cell(name)} AS DOUBLE)" for name in (pair.x, pair.y))
    query = f"SELECT {x}, {y} FROM sample WHERE abs({x}) + abs({y}) > 0 AND {sample.spread(TRIED)} LIMIT {TRIED}"
    found = np.array(sample.all(query), dtype=np.float64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _share(x: Floats, y: Floats, polygons: Polygons) -> float:
    held = polygons.holding(x, y, "EPSG:4326")
    return sum(place is not None for place in held) / max(len(held), 1)
