"""Geographic functions for query sessions, on GeoJSON texts: shapely computes a vector of rows at a time."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from publisher.portal.base.problems import execution
from publisher.portal.base.watch import give_up, go_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb
    import numpy as np
    from pyproj import Geod

    Shapes = np.ndarray[Any, Any]

Column = Any
"""An Arrow array; DuckDB evaluates the annotations of its functions before pyarrow is needed."""

MOST_UNITED = 200_000
"""The most points of shapes in one union."""
PIECE = 20_000
"""The points in one piece of work, which cannot be interrupted."""
VECTORISED: dict[str, Any] = {"type": "arrow", "null_handling": "special"}
"""How DuckDB calls a function: with Arrow arrays, which can contain nulls."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the functions in a session, before it loses access to everything outside."""
    for name, function, takes, gives in _FUNCTIONS:
        connection.create_function(name, function, takes, gives, **VECTORISED)


def _read(column: Column) -> Shapes:
    """The shapes of GeoJSON texts; each distinct text is read once."""
    import pyarrow as pa
    import shapely

    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    coded = whole.dictionary_encode()
    shapes = shapely.from_geojson([*coded.dictionary.to_pylist(), None], on_invalid="ignore")
    found: Shapes = shapes[coded.indices.fill_null(len(shapes) - 1).to_numpy()]
    return found


def _sound(question: Callable[..., Any], *columns: Shapes) -> Any:
    """The result of shapely; for a shape that crosses itself, the result for its fixed form."""
    import shapely

    try:
        return question(*columns)
    except shapely.errors.GEOSException:
        return question(*(_mended(column) for column in columns))


def _mended(column: Shapes) -> Shapes:
    """Fix each distinct shape once."""
    import numpy as np
    import shapely

    known: dict[int, Any] = {}
    for shape in column:
        if id(shape) not in known:
            go_on()
            known[id(shape)] = shapely.make_valid(shape)
    found = np.empty(len(column), dtype=object)
    found[:] = [known[id(shape)] for shape in column]
    return found


def _pieces(*columns: Shapes) -> Iterator[slice]:
    """Runs of rows with about the same number of points; raises SodaError if the query was stopped."""
    import numpy as np
    import shapely

    points = np.cumsum(sum(shapely.get_num_coordinates(column) for column in columns) + 1)
    whole = points[-1] if len(points) else 0
    ends = np.unique(np.searchsorted(points, np.arange(PIECE, whole + PIECE, PIECE)) + 1)
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        go_on()
        yield slice(start, end)


def _whole(parts: list[Any]) -> Any:
    import numpy as np

    return np.concatenate(parts) if parts else np.empty(0, dtype=object)


def _related(name: str, first: Column, second: Column) -> Column:
    import pyarrow as pa
    import shapely

    one, other = _read(first), _read(second)
    shapely.prepare(other)
    missing = shapely.is_missing(one) | shapely.is_missing(other)
    parts = [_sound(getattr(shapely, name), one[rows], other[rows]) for rows in _pieces(one, other)]
    return pa.array(_whole(parts), pa.bool_(), mask=missing)


def _point_related(name: str, longitude: Column, latitude: Column, shape: Column) -> Column:
    """Register `contains_xy` or `intersects_xy`, which work without making a shape of each point."""
    import numpy as np
    import pyarrow as pa
    import shapely

    shapes, (x, y) = _read(shape), (np.asarray(side, float) for side in (longitude, latitude))
    shapely.prepare(shapes)
    missing = shapely.is_missing(shapes) | np.isnan(x) | np.isnan(y)
    parts = [getattr(shapely, name)(shapes[rows], x[rows], y[rows]) for rows in _pieces(shapes)]
    return pa.array(_whole(parts), pa.bool_(), mask=missing)


def _meters(latitude: Column, longitude: Column, latitude_2: Column, longitude_2: Column) -> Column:
    """The distance between two points in meters."""
    import numpy as np
    import pyarrow as pa

    here, there = (
        np.column_stack([np.asarray(side, float) for side in pair])
        for pair in ((longitude, latitude), (longitude_2, latitude_2))
    )
    return pa.array(_arcs(here, there), from_pandas=True)


def _arcs(one: Shapes, other: Shapes) -> Any:
    """Meters on the ellipsoid between (longitude, latitude) pairs in degrees; NaN if one is not on Earth."""
    import numpy as np

    meters = np.empty(len(one))
    for start in range(0, len(one), PIECE):
        go_on()
        rows = slice(start, start + PIECE)
        (x, y), (x_2, y_2) = one[rows].T, other[rows].T
        meters[rows] = _earth().inv(x, y, x_2, y_2, return_back_azimuth=False)[2]
    return meters


@cache
def _earth() -> Geod:
    """WGS 84."""
    from pyproj import Geod

    return Geod(ellps="WGS84")


def _distance(first: Column, second: Column) -> Column:
    """The distance in meters between the closest points of two shapes, found on a plane that is true to scale there."""
    import numpy as np
    import pyarrow as pa
    import shapely

    found = [_nearest(one, other) for one, other in zip(_read(first), _read(second), strict=True)]
    ends = np.array([shapely.get_coordinates(line) for line in found if line is not None]).reshape(-1, 2, 2)
    meters = iter(_arcs(ends[:, 0], ends[:, 1]).tolist())
    return pa.array([None if line is None else next(meters) for line in found], pa.float64())


def _nearest(one: Any, other: Any) -> Any:
    import numpy as np
    import shapely

    if one is None or other is None:
        return None
    go_on()
    bounds = shapely.bounds([one, other])
    scale = np.array([max(0.01, np.cos(np.radians(bounds[:, [1, 3]].mean()))), 1])
    flat = [shapely.transform(shape, lambda pairs: pairs * scale) for shape in (one, other)]
    line = shapely.shortest_line(*flat)
    return None if line is None else shapely.transform(line, lambda pairs: pairs / scale)


def _farthest(column: Column, latitude: Column, longitude: Column) -> Column:
    """The distance in meters from a point to the farthest vertex of each shape."""
    import numpy as np
    import pyarrow as pa
    import shapely

    shapes = _read(column)
    center = np.column_stack([np.asarray(longitude, float), np.asarray(latitude, float)])
    meters = np.full(len(shapes), -1.0)
    for rows in _pieces(shapes):
        pairs, owners = shapely.get_coordinates(shapes[rows], return_index=True)
        np.maximum.at(meters[rows], owners, _arcs(pairs, center[rows][owners]))
    return pa.array(np.where(meters < 0, np.nan, meters), from_pandas=True)


def _bounds(column: Column) -> Column:
    """The bounds: west, south, east, and north."""
    import numpy as np
    import pyarrow as pa
    import shapely

    found = shapely.bounds(_read(column))
    listed = [None if np.isnan(sides[0]) else sides for sides in found]
    return pa.array(listed, pa.list_(pa.float64()))


def _box(west: Column, south: Column, east: Column, north: Column) -> Column:
    """The box as a GeoJSON polygon."""
    import numpy as np
    import shapely

    sides = np.column_stack([np.asarray(side, float) for side in (west, south, east, north)])
    whole = ~np.isnan(sides).any(axis=1)
    shapes = np.full(len(sides), None, dtype=object)
    shapes[whole] = [shapely.MultiPolygon([shapely.box(*four, ccw=False)]) for four in sides[whole]]
    return _written(shapes)


def _hull(column: Column) -> Column:
    """The convex hull; None if it has no area."""
    import numpy as np
    import shapely

    read = _read(column)
    hulls = _whole([shapely.convex_hull(read[rows]) for rows in _pieces(read)])
    plane = shapely.get_type_id(hulls) == 3
    shapes = np.full(len(hulls), None, dtype=object)
    shapes[plane] = [shapely.MultiPolygon([hull]) for hull in hulls[plane]]
    return _written(shapes)


def _union(column: Column) -> Column:
    """The shapes of each list as one multi-part shape."""
    import numpy as np
    import shapely

    shapes = np.full(len(column), None, dtype=object)
    for row, texts in enumerate(column.to_pylist()):
        different = dict.fromkeys(text for text in texts or () if text is not None)
        parts = shapely.from_geojson([*different], on_invalid="ignore")
        if shapely.get_num_coordinates(parts).sum() > MOST_UNITED:
            give_up(
                execution(
                    "too-large",
                    f"The shapes have more than {MOST_UNITED} points, too many for a union; filter or simplify",
                )
            )
        go_on()
        whole = _sound(shapely.union_all, parts) if len(parts) else None
        shapes[row] = _multiple(whole)
    return _written(shapes)


def _multiple(shape: Any) -> Any:
    """A shape of one part as a multi-part shape."""
    import shapely

    many = {0: shapely.MultiPoint, 1: shapely.MultiLineString, 3: shapely.MultiPolygon}
    sort = many.get(int(shapely.get_type_id(shape)))
    return sort([shape]) if sort else shape


def _multi(column: Column) -> Column:
    """Each shape as a multi-part shape."""
    import numpy as np

    shapes = _read(column)
    found = np.full(len(shapes), None, dtype=object)
    found[:] = [_multiple(shape) for shape in shapes]
    return _written(found)


def _shared_area(first: Column, second: Column) -> Column:
    """What two polygons share, as a multi-part polygon; None where they share no area."""
    import numpy as np
    import shapely

    one, other = _read(first), _read(second)
    both = _whole([_sound(shapely.intersection, one[rows], other[rows]) for rows in _pieces(one, other)])
    shapes = np.full(len(both), None, dtype=object)
    for row, shape in enumerate(both):
        parts = [part for part in shapely.get_parts(shape) if shapely.get_type_id(part) == 3] if shape else []
        shapes[row] = shapely.MultiPolygon(parts) if parts else None
    return _written(shapes)


def _area(column: Column) -> Column:
    """Square meters on the ellipsoid; 0 for points and lines."""
    import numpy as np
    import pyarrow as pa
    import shapely

    shapes = _read(column)
    found = np.full(len(shapes), np.nan)
    for rows in _pieces(shapes):
        turned = shapely.orient_polygons(shapes[rows])  # a hole counts against its polygon by turning the other way
        found[rows] = [np.nan if shape is None else _square_meters(shape) for shape in turned]
    return pa.array(found, from_pandas=True)


def _square_meters(shape: Any) -> float:
    import shapely

    polygons = [part for part in shapely.get_parts(shape) if shapely.get_type_id(part) == 3]
    return float(sum(_earth().geometry_area_perimeter(polygon)[0] for polygon in polygons))


def _coarser(column: Column, grid: Column) -> Column:
    """Shapes on a grid of that many degrees; None if nothing is left."""
    import numpy as np
    import shapely

    shapes, steps = _read(column), np.nan_to_num(np.asarray(grid, float))
    found = _whole(
        [
            _sound(lambda each, step: shapely.set_precision(each, np.maximum(step, 0)), shapes[rows], steps[rows])
            for rows in _pieces(shapes)
        ]
    )
    return _written(_of_type(found, shapes))


def _points(column: Column) -> Column:
    import numpy as np
    import pyarrow as pa
    import shapely

    shapes = _read(column)
    return pa.array(shapely.get_num_coordinates(shapes).astype(np.int64), mask=shapely.is_missing(shapes))


def _simplified(topology: bool, column: Column, tolerance: Column) -> Column:
    """Shapes with fewer vertices; None if nothing is left, and a multi-part shape keeps its type."""
    import numpy as np

    shapes = _read(column)
    steps = np.nan_to_num(np.asarray(tolerance, float))
    found = _whole([_fewer(shapes[rows], np.maximum(steps[rows], 0), topology) for rows in _pieces(shapes)])
    return _written(_of_type(found, shapes))


def _of_type(found: Shapes, shapes: Shapes) -> Shapes:
    """The shapes that are left: None where nothing is, and of several parts where the shape was."""
    import numpy as np
    import shapely

    found[shapely.is_empty(found)] = None
    lost = (shapely.get_type_id(shapes) >= 4) & (shapely.get_type_id(found) < 4) & ~shapely.is_missing(found)
    for row in np.flatnonzero(lost):
        found[row] = _multiple(found[row])
    return found


def _fewer(shapes: Shapes, steps: Any, topology: bool) -> Shapes:
    """Simplify; for a shape that crosses itself the topology is always kept, as fixing it first can take minutes."""
    import shapely

    loose = shapely.is_valid(shapes) & (not topology)
    found: Shapes = shapes.copy()
    for rows, kept in ((loose, False), (~loose, True)):
        found[rows] = shapely.simplify(shapes[rows], steps[rows], preserve_topology=kept)
    return found


def _written(shapes: Shapes) -> Column:
    import pyarrow as pa
    import shapely

    return pa.array(shapely.to_geojson(shapes), pa.string())


_FUNCTIONS: list[tuple[str, Callable[..., Any], list[Any], str]] = [
    ("soda_within", partial(_related, "within"), ["VARCHAR", "VARCHAR"], "BOOLEAN"),
    ("soda_intersects", partial(_related, "intersects"), ["VARCHAR", "VARCHAR"], "BOOLEAN"),
    ("soda_crosses", partial(_related, "crosses"), ["VARCHAR", "VARCHAR"], "BOOLEAN"),
    ("soda_overlaps", partial(_related, "overlaps"), ["VARCHAR", "VARCHAR"], "BOOLEAN"),
    ("soda_point_within", partial(_point_related, "contains_xy"), ["DOUBLE", "DOUBLE", "VARCHAR"], "BOOLEAN"),
    ("soda_point_intersects", partial(_point_related, "intersects_xy"), ["DOUBLE", "DOUBLE", "VARCHAR"], "BOOLEAN"),
    ("soda_meters", _meters, ["DOUBLE", "DOUBLE", "DOUBLE", "DOUBLE"], "DOUBLE"),
    ("soda_distance", _distance, ["VARCHAR", "VARCHAR"], "DOUBLE"),
    ("soda_farthest", _farthest, ["VARCHAR", "DOUBLE", "DOUBLE"], "DOUBLE"),
    ("soda_bounds", _bounds, ["VARCHAR"], "DOUBLE[]"),
    ("soda_box", _box, ["DOUBLE", "DOUBLE", "DOUBLE", "DOUBLE"], "VARCHAR"),
    ("soda_hull", _hull, ["VARCHAR"], "VARCHAR"),
    ("soda_union", _union, ["VARCHAR[]"], "VARCHAR"),
    ("soda_multi", _multi, ["VARCHAR"], "VARCHAR"),
    ("soda_shared", _shared_area, ["VARCHAR", "VARCHAR"], "VARCHAR"),
    ("soda_area", _area, ["VARCHAR"], "DOUBLE"),
    ("soda_coarser", _coarser, ["VARCHAR", "DOUBLE"], "VARCHAR"),
    ("soda_points", _points, ["VARCHAR"], "BIGINT"),
    ("soda_simplify", partial(_simplified, False), ["VARCHAR", "DOUBLE"], "VARCHAR"),
    ("soda_simplify_topology", partial(_simplified, True), ["VARCHAR", "DOUBLE"], "VARCHAR"),
]
