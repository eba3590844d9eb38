"""The geographic functions of SoQL; those that need more than a point's coordinates call functions in `geography`."""

from __future__ import annotations

from publisher.portal.base.kinds import GEOMETRIES, Kind, part_of_location, point_of_location
from publisher.portal.soql.functions import NUMBER, Function
from publisher.portal.soql.terms import Term, text_of

SHAPES = frozenset(GEOMETRIES)
POINTS = frozenset({Kind.POINT})
POLYGONS = frozenset({Kind.POLYGON, Kind.MULTIPOLYGON})


def longitude(point: str) -> str:
    """The longitude of a GeoJSON point, as a double."""
    return f"CAST(json_extract({point}, '$.coordinates[0]') AS DOUBLE)"


def latitude(point: str) -> str:
    """The latitude of a GeoJSON point, as a double."""
    return f"CAST(json_extract({point}, '$.coordinates[1]') AS DOUBLE)"


def _between(south: str, west: str, north: str, east: str, box: tuple[Term, ...]) -> str:
    top, left, bottom, right = (f"({side.sql})::DOUBLE" for side in box)
    return f"({south} >= {bottom} AND {north} <= {top} AND {west} >= {left} AND {east} <= {right})"


def _within_box(shape: Term, *box: Term) -> str:
    """Whether the whole shape is in the box."""
    if shape.kind is Kind.POINT:
        here = latitude(shape.sql), longitude(shape.sql)
        return _between(*here, *here, box)
    west, south, east, north = (f"soda_bounds({shape.sql})[{side}]" for side in range(1, 5))
    return _between(south, west, north, east, box)


def _within_circle(shape: Term, top: Term, left: Term, meters: Term) -> str:
    """Whether the whole shape is in the circle."""
    center = f"({top.sql})::DOUBLE", f"({left.sql})::DOUBLE"
    if shape.kind is Kind.POINT:
        farthest = f"soda_meters({latitude(shape.sql)}, {longitude(shape.sql)}, {center[0]}, {center[1]})"
    else:
        farthest = f"soda_farthest({shape.sql}, {center[0]}, {center[1]})"
    return f"({farthest} <= ({meters.sql})::DOUBLE)"


def _distance(first: Term, second: Term) -> str:
    if first.kind is second.kind is Kind.POINT:
        ends = (latitude(first.sql), longitude(first.sql), latitude(second.sql), longitude(second.sql))
        return f"soda_meters({', '.join(ends)})"
    return f"soda_distance({first.sql}, {second.sql})"


def _within(shape: Term, area: Term) -> str:
    return _related("within", shape, area)


def _intersects(first: Term, second: Term) -> str:
    return _related("intersects", *((second, first) if second.kind is Kind.POINT else (first, second)))


def _related(name: str, first: Term, second: Term) -> str:
    if first.kind is Kind.POINT:
        return f"soda_point_{name}({longitude(first.sql)}, {latitude(first.sql)}, {second.sql})"
    return f"soda_{name}({first.sql}, {second.sql})"


def _make_point(top: Term, left: Term) -> str:
    pair = f"{text_of(Kind.NUMBER, left.sql)} || ',' || {text_of(Kind.NUMBER, top.sql)}"
    return f"""('{{"type":"Point","coordinates":[' || {pair} || ']}}')"""


_EXTENT = (
    "soda_box(min(soda_bounds({0})[1]){over}, min(soda_bounds({0})[2]){over},"
    " max(soda_bounds({0})[3]){over}, max(soda_bounds({0})[4]){over})"
)

SPATIAL: dict[str, Function] = {
    "within_box": Function((SHAPES, NUMBER, NUMBER, NUMBER, NUMBER), Kind.CHECKBOX, _within_box),
    "within_circle": Function((SHAPES, NUMBER, NUMBER, NUMBER), Kind.CHECKBOX, _within_circle),
    "within_polygon": Function((SHAPES, SHAPES), Kind.CHECKBOX, _within),
    "intersects": Function((SHAPES, SHAPES), Kind.CHECKBOX, _intersects),
    "distance_in_meters": Function((SHAPES, SHAPES), Kind.NUMBER, _distance, rounded=True),
    "extent": Function((SHAPES,), Kind.MULTIPOLYGON, _EXTENT, aggregate=True),
    "convex_hull": Function((SHAPES,), Kind.MULTIPOLYGON, "soda_hull({0})"),
    "num_points": Function((SHAPES,), Kind.NUMBER, "CAST(soda_points({0}) AS DECIMAL(18,0))"),
    "is_empty": Function((SHAPES,), Kind.CHECKBOX, "coalesce(soda_points({0}) = 0, true)"),
    "simplify": Function((SHAPES, NUMBER), 0, "soda_simplify({0}, ({1})::DOUBLE)"),
    "simplify_preserve_topology": Function((SHAPES, NUMBER), 0, "soda_simplify_topology({0}, ({1})::DOUBLE)"),
    "reduce_precision": Function((SHAPES, NUMBER), 0, "soda_coarser({0}, ({1})::DOUBLE)"),
    "area": Function((SHAPES,), Kind.NUMBER, "soda_area({0})", rounded=True),
    "crosses": Function((SHAPES, SHAPES), Kind.CHECKBOX, "soda_crosses({0}, {1})"),
    "overlaps": Function((SHAPES, SHAPES), Kind.CHECKBOX, "soda_overlaps({0}, {1})"),
    "polygon_intersection": Function((POLYGONS, POLYGONS), Kind.MULTIPOLYGON, "soda_shared({0}, {1})"),
    **dict.fromkeys(("location_point", "location_to_point"), Function((POINTS,), Kind.POINT, "{0}")),
    "make_point": Function((NUMBER, NUMBER), Kind.POINT, _make_point),
}

FIELDS: dict[tuple[Kind, str], tuple[Kind, str]] = {
    (Kind.POINT, "latitude"): (Kind.NUMBER, latitude("{0}")),
    (Kind.POINT, "longitude"): (Kind.NUMBER, longitude("{0}")),
    (Kind.LOCATION, "latitude"): (Kind.NUMBER, f"TRY_CAST({part_of_location('{0}', 'latitude')} AS DOUBLE)"),
    (Kind.LOCATION, "longitude"): (Kind.NUMBER, f"TRY_CAST({part_of_location('{0}', 'longitude')} AS DOUBLE)"),
    (Kind.LOCATION, "point"): (
        Kind.POINT,
        point_of_location("{0}").replace("{", "{{").replace("}", "}}").replace("{{0}}", "{0}"),
    ),
    **{
        (Kind.LOCATION, name): (Kind.TEXT, part_of_location("{0}", name))
        for name in ("human_address", "address", "city", "state", "zip")
    },
    (Kind.URL, "url"): (Kind.TEXT, "json_extract_string({0}, '$.url')"),
    (Kind.URL, "description"): (Kind.TEXT, "json_extract_string({0}, '$.description')"),
}
"""The parts of a value after a dot, such as `place.latitude`: type and SQL."""
