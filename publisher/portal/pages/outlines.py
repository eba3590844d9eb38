"""The polygons of a dataset's places as SVG paths: read from the attached GeoJSON, simplified, and cached by asset."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from publisher.portal.contract import ELSEWHERE
from publisher.portal.pages.strokes import stroke

if TYPE_CHECKING:
    from pathlib import Path

    Place = tuple[bool, str]

SIZE = 600
"""The longer side of the picture in SVG units, each about one screen pixel."""
LARGEST = 5_000
"""The most characters that all paths together may have."""


@dataclass(frozen=True, slots=True)
class Outlines:
    """A path for each place's key, and the size of the picture; one scale, north at the top."""

    paths: dict[str, str]
    elsewhere: tuple[tuple[str, str], ...]
    """Name and path of each place without a key, such as a park."""
    width: int
    height: int


@lru_cache(maxsize=64)
def outlines(file: Path, name: str) -> Outlines | None:
    """The outlines in a GeoJSON file whose features have their key in the property `name`; None if it has none.

    An attached file never changes, so it is read once.
    """
    try:
        shapes = _read(file, name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return _drawn(shapes) if shapes else None


def _read(file: Path, name: str) -> dict[Place, Any]:
    import json

    import shapely

    features = json.loads(file.read_bytes())["features"]
    pairs = [(_place(each["properties"], name), json.dumps(each["geometry"])) for each in features]
    try:
        found = {place: shapely.from_geojson(text) for place, text in pairs}
    except shapely.errors.ShapelyError:
        raise ValueError(name) from None
    return {place: shape for place, shape in found.items() if shape.geom_type in ("Polygon", "MultiPolygon")}


def _place(properties: dict[str, Any], name: str) -> Place:
    """Whether it has a key, and its key, or else its name."""
    has = name in properties or ELSEWHERE not in properties
    return has, str(properties[name if has else ELSEWHERE])


def _drawn(shapes: dict[Place, Any]) -> Outlines:
    """Project so that distances in the middle of the picture are right, then simplify until the paths are short."""
    import numpy as np
    import shapely

    array = np.array(list(shapes.values()), dtype=object)
    west, south, east, north = shapely.total_bounds(array)
    narrow = math.cos(math.radians((south + north) / 2))
    scale = SIZE / max((east - west) * narrow, north - south, 1e-9)
    flat = shapely.transform(array, lambda at: np.stack([(at[:, 0] - west) * narrow, north - at[:, 1]], axis=1) * scale)
    tolerance = 0.5
    while True:
        paths = [_path(shape) for shape in _simplified(flat, tolerance)]
        if sum(map(len, paths)) <= LARGEST or tolerance > SIZE:
            break
        tolerance *= 1.5
    size = math.ceil((east - west) * narrow * scale), math.ceil((north - south) * scale)
    drawn = list(zip(shapes, paths, strict=True))
    return Outlines(
        {key: path for (has, key), path in drawn if has},
        tuple((name, path) for (has, name), path in drawn if not has and path),
        max(size[0], 1),
        max(size[1], 1),
    )


def _simplified(shapes: Any, tolerance: float) -> Any:
    """Simplify; neighbors keep a common border, unless an outline crosses itself: then each is simplified alone."""
    import shapely

    try:
        return shapely.coverage_simplify(shapes, tolerance)
    except shapely.errors.ShapelyError:
        return shapely.simplify(shapes, tolerance)


def _path(shape: Any) -> str:
    """The path of a shape's rings, in whole units."""
    import shapely

    rings = shapely.get_rings(shapely.get_parts(shape))
    return "".join(_ring([(round(x), round(y)) for x, y in ring.coords]) for ring in rings)


def _ring(points: list[tuple[int, int]]) -> str:
    kept = [point for n, point in enumerate(points[:-1]) if n == 0 or point != points[n - 1]]
    if len(set(kept)) < 3:
        return ""
    return f"{stroke(kept)}z"
