"""Other readings of coordinates: x and y swapped, or another coordinate system in use where the places are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyproj.database import CRSInfo

    from publisher.records.polygons import Floats, Polygons

FEW = 200
"""So many points are tried at first."""
CLEAR = 0.95
"""With so many inside, no other is tried."""
EVERYWHERE = ("EPSG:4326", "EPSG:3857")
WORLD = 180
"""Systems whose area has so many degrees of longitude are for maps of the world, and for the moon: each takes up to a
tenth of a second to make, and there are twice as many as of all others."""


@dataclass(frozen=True)
class PointReading:
    """One way to read coordinates, and the shares of points inside the polygons with it and as declared."""

    crs: str
    swapped: bool
    inside: float
    before: float


def better(x: Floats, y: Floats, crs: str, polygons: Polygons) -> PointReading | None:
    """The reading that brings most points inside the polygons; None if no other one brings most of them there."""
    if not len(x):
        return None
    best: tuple[float, str, bool] = (0.5, crs, False)
    for name in _candidates(crs, polygons):
        for swapped in (False, True):
            share = _share(x[:FEW], y[:FEW], name, polygons, swapped=swapped)
            if share > best[0]:
                best = (share, name, swapped)
        if best[0] > CLEAR:
            break
    _, name, swapped = best
    if (name, swapped) == (crs, False):
        return None
    before = _share(x, y, crs, polygons, swapped=False)
    inside = _share(x, y, name, polygons, swapped=swapped)
    return PointReading(name, swapped, inside, before) if inside > before else None


def _share(x: Floats, y: Floats, crs: str, polygons: Polygons, *, swapped: bool) -> float:
    from pyproj.exceptions import ProjError

    try:
        places = polygons.holding(*((y, x) if swapped else (x, y)), crs)
    except ProjError:
        return 0.0
    return sum(place is not None for place in places) / len(places)


def _candidates(crs: str, polygons: Polygons) -> Iterator[str]:
    """The declared one, those used everywhere, then those made for where the polygons are."""
    yield from dict.fromkeys((crs, polygons.crs, *EVERYWHERE, *_local(polygons)))


def _local(polygons: Polygons) -> Iterator[str]:
    import shapely
    from pyproj import Transformer
    from pyproj.aoi import AreaOfInterest
    from pyproj.database import query_crs_info
    from pyproj.enums import PJType

    left, bottom, right, top = shapely.total_bounds(polygons.shapes)
    change = Transformer.from_crs(polygons.crs, "OGC:CRS84", always_xy=True)
    lon, lat = change.transform((left + right) / 2, (bottom + top) / 2)
    area = AreaOfInterest(lon, lat, lon, lat)
    for authority in ("EPSG", "ESRI"):
        found = query_crs_info(authority, PJType.PROJECTED_CRS, area_of_interest=area, contains=True)
        yield from (f"{each.auth_name}:{each.code}" for each in found if _width(each) < WORLD)


def _width(system: CRSInfo) -> float:
    """How many degrees of longitude the area of a coordinate system has."""
    area = system.area_of_use
    return (area.east - area.west) % 360 or 360 if area is not None else 360
