"""Places as polygons for the web: joined to the published keys, simplified together, as GeoJSON in WGS 84."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from publisher.records.polygons import Polygons

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from publisher.records.polygons import Objects

    Properties = Mapping[str, dict[str, str]]

WGS84 = "OGC:CRS84"
GRID = 1e-6
"""In degrees, a tenth of a meter: borders that are closer to each other than this are one."""
FARTHEST = 360
"""In degrees: borders across the date line may be written beyond 180."""
DECIMALS = 5
"""About a meter."""
LARGEST = 300_000
"""The largest size of a file, in bytes."""
OTHER = "\0"
"""Before the key of a polygon that is no published key: no key has it."""
FINEST, COARSEST = 1e-5, 1e-2
"""In degrees: the first and the last tolerance for simplifying."""


def outlines(
    polygons: Polygons, belongs: Mapping[str, str], properties: Properties, others: Properties | None = None
) -> bytes:
    """GeoJSON with a feature for each published key that has a polygon, in the order of `properties`.

    `belongs` gives the published key for a polygon's key. Polygons that it does not name are left out, but for those
    with properties of their own in `others`, by their own key, which come last. Borders are simplified together until
    the file is small enough, so that neighbors still touch. The same input gives the same bytes.
    """
    apart = {key: f"{OTHER}{key}" for key in others or {} if key not in belongs}
    found = _coverage(_in_wgs84(polygons), {**belongs, **apart})
    wanted = {**properties, **{apart[key]: said for key, said in (others or {}).items() if key in apart}}
    shapes = {key: found[key] for key in wanted if key in found}
    named = [wanted[key] for key in shapes]
    tolerance = 0.0
    while True:
        content = _geojson(_simplified(list(shapes.values()), tolerance), named)
        if len(content) <= LARGEST or tolerance >= COARSEST:
            return content
        tolerance = tolerance * 2 or FINEST


def _in_wgs84(polygons: Polygons) -> Polygons:
    import numpy as np
    import shapely
    from pyproj import Transformer

    change = Transformer.from_crs(polygons.crs, WGS84, always_xy=True)
    shapes = shapely.transform(polygons.shapes, lambda pairs: np.stack(change.transform(*pairs.T), axis=-1))
    parts, owners = shapely.get_parts(shapes, return_index=True)
    areal = np.isin(shapely.get_type_id(parts), (3, 6))  # repaired polygons may come with lines and points
    areal &= (np.abs(shapely.bounds(parts)) <= FARTHEST).all(axis=1)  # what is not on the globe is not on the map
    return Polygons(tuple(np.array(polygons.keys)[owners[areal]].tolist()), parts[areal], WGS84)


def _coverage(polygons: Polygons, belongs: Mapping[str, str]) -> dict[str, Any]:
    """The polygon of each published key; they touch, but never overlap: where they did, the smallest key gets the area,
    as for records."""
    import numpy as np
    import shapely

    borders = shapely.union_all(shapely.set_precision(shapely.boundary(polygons.shapes), GRID), grid_size=GRID)
    faces = shapely.get_parts(shapely.polygonize([borders]))
    inside = shapely.point_on_surface(faces)
    owners = polygons.holding(shapely.get_x(inside), shapely.get_y(inside), WGS84)
    keys = np.array([belongs.get(owner) for owner in owners], dtype=object)
    return {key: shapely.coverage_union_all(faces[keys == key]) for key in sorted({key for key in keys if key})}


def _simplified(shapes: list[Any], tolerance: float) -> Objects:
    import numpy as np
    import shapely

    found: Objects = np.array(shapes, dtype=object)
    return shapely.coverage_simplify(found, tolerance) if tolerance else found


def _geojson(shapes: Objects, properties: list[dict[str, str]]) -> bytes:
    import shapely

    rounded = shapely.orient_polygons(shapely.set_precision(shapes, 10.0**-DECIMALS, mode="pointwise"))
    features = [
        {"type": "Feature", "properties": said, "geometry": json.loads(text)}
        for said, text in zip(properties, shapely.to_geojson(rounded), strict=True)
    ]
    collection = {"type": "FeatureCollection", "features": features}
    return json.dumps(collection, ensure_ascii=False, separators=(",", ":")).encode()
