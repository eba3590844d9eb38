"""Shapes in a query, as well-known text (WKT)."""

from __future__ import annotations

import re
from typing import Any

from publisher.portal.base.kinds import GEOMETRIES, Kind
from publisher.portal.base.problems import semantic

MOST_POINTS = 2000
"""The most points of a shape in a query."""
MOST_TANGLED = 100
"""The most points of a shape that crosses itself: fixing a thousand random points takes minutes and gigabytes."""
_WKT = re.compile(r"\s*(?:SRID=4326;)?\s*([A-Za-z]+)\s*(\(.*\)|EMPTY)\s*", re.DOTALL | re.IGNORECASE)
_KINDS = {name.lower(): kind for kind, name in GEOMETRIES.items()}


def read_literal(text: str, at: dict[str, Any]) -> tuple[Kind, str] | None:
    """The GeoJSON of a shape in WKT, with its type, or None. Raises SodaError, with the place `at`, if it has too many
    points."""
    found = _WKT.fullmatch(text)
    kind = _KINDS.get(found[1].lower()) if found else None
    if found is None or kind is None:
        return None
    import shapely

    shape = shapely.from_wkt(f"{found[1]} {found[2]}", on_invalid="ignore")
    if shape is None or shape.has_z:
        return None
    _check_points(shape, at)
    return kind, shapely.to_geojson(shape)


def _check_points(shape: Any, at: dict[str, Any]) -> None:
    import shapely

    points = shapely.get_num_coordinates(shape)
    if points > MOST_POINTS:
        message = f"A shape in a query can have at most {MOST_POINTS} points, and this one has {points}"
        raise semantic("type-mismatch", message, **at)
    if points > MOST_TANGLED and not (shape.is_valid and (shape.is_simple or not shape.length)):
        message = f"A shape in a query that crosses itself can have at most {MOST_TANGLED} points"
        raise semantic("type-mismatch", message, **at)
