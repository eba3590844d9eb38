"""Polygons for the web: joined, cut at each other's borders, small, and the same each time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from shapely.geometry import shape

from publisher.definitions.source import Boundaries
from publisher.records.outlines import LARGEST, outlines
from publisher.records.polygons import Polygons, read_polygons

if TYPE_CHECKING:
    from pathlib import Path

CRS84 = "OGC:CRS84"


def polygons(crs: str = CRS84, **shapes: Any) -> Polygons:
    array = np.empty(len(shapes), dtype=object)
    array[:] = list(shapes.values())
    return Polygons(tuple(shapes), array, crs)


def features(content: bytes) -> dict[str, Any]:
    """The polygon of each key."""
    found = json.loads(content)["features"]
    return {each["properties"]["zone"]: shape(each["geometry"]) for each in found}


def names(*keys: str) -> dict[str, dict[str, str]]:
    return {key: {"zone": key} for key in keys}


def wave(x: float, count: int) -> Any:
    """A band from x to x + 1 whose right edge has so many points."""
    y = np.linspace(0, 1, count)
    edge = np.stack([x + 1 + 0.02 * np.sin(400 * y), y], axis=1)
    left = edge[::-1] - [1, 0]
    return shapely.Polygon(np.concatenate([edge, left]))


def test_polygons_are_joined_by_their_published_key() -> None:
    """Two polygons of one key are one feature without the border between them; what is not published is left out."""
    given = polygons(a=shapely.box(0, 0, 1, 1), b=shapely.box(1, 0, 2, 1), c=shapely.box(2, 0, 3, 1))
    content = outlines(given, {"a": "west", "b": "west"}, {"west": {"zone": "west", "zone_name": "The West"}})
    assert json.loads(content)["features"][0]["properties"] == {"zone": "west", "zone_name": "The West"}
    assert features(content)["west"].equals(shapely.box(0, 0, 2, 1))


def test_others_are_drawn_by_their_own_key() -> None:
    """A polygon without a published key has its own properties, and takes nothing from one that has."""
    given = polygons(a=shapely.box(0, 0, 1, 1), b=shapely.box(1, 0, 2, 1), c=shapely.box(2, 0, 3, 1))
    others = {"a": {"elsewhere": "never"}, "c": {"elsewhere": "Forest Park"}}
    content = outlines(given, {"a": "c", "b": "west"}, names("c", "west"), others)
    found = json.loads(content)["features"]
    assert [each["properties"] for each in found] == [{"zone": "c"}, {"zone": "west"}, {"elsewhere": "Forest Park"}]
    assert shape(found[0]["geometry"]).equals(shapely.box(0, 0, 1, 1))
    assert shape(found[2]["geometry"]).equals(shapely.box(2, 0, 3, 1))


@pytest.mark.parametrize("crs", [CRS84, "EPSG:26915"])
def test_what_is_not_on_the_globe_is_on_no_map(crs: str) -> None:
    """Coordinates that nobody can project stop no push; the others are drawn as ever."""
    near = shapely.box(0, 0, 1, 1) if crs == CRS84 else shapely.box(500_000, 4_000_000, 600_000, 4_100_000)
    there = outlines(polygons(crs, a=near), {"a": "a", "b": "b"}, names("a", "b"))
    assert (
        outlines(polygons(crs, a=near, b=shapely.box(0, 0, 1e300, 1e300)), {"a": "a", "b": "b"}, names("a", "b"))
        == there
    )
    assert list(features(there)) == ["a"]


def test_overlaps_go_to_the_smallest_key() -> None:
    """Ground that two polygons claim belongs to one of them, as for the records; features never overlap."""
    given = polygons(a=shapely.box(0, 0, 2, 2), b=shapely.box(1, 0, 3, 2))
    found = features(outlines(given, {"a": "a", "b": "b"}, names("b", "a")))
    assert list(found) == ["b", "a"]
    assert found["a"].equals(shapely.box(0, 0, 2, 2))
    assert found["b"].equals(shapely.box(2, 0, 3, 2))


def test_large_polygons_are_simplified_together() -> None:
    """The file stays below its bound, neighbors still touch without gap or overlap, and the bytes are the same."""
    given = polygons(a=wave(0, 6_000), b=wave(1, 6_000), c=wave(2, 6_000))
    content = outlines(given, {key: key for key in "abc"}, names("a", "b", "c"))
    assert len(content) <= LARGEST
    assert content == outlines(given, {key: key for key in "abc"}, names("a", "b", "c"))
    found = np.array(list(features(content).values()), dtype=object)
    assert shapely.coverage_is_valid(found)
    assert shapely.is_valid(found).all()
    assert shapely.area(found) == pytest.approx([1, 1, 1], rel=0.02)


def test_other_projections_become_longitude_and_latitude() -> None:
    """A square in State Plane feet lies in St. Louis."""
    given = polygons("ESRI:102696", a=shapely.box(893_000, 1_017_000, 894_000, 1_018_000))
    west, south, east, north = features(outlines(given, {"a": "a"}, names("a")))["a"].bounds
    assert (west, south) == pytest.approx((-90.2, 38.6), abs=0.1)
    assert (east - west, north - south) == pytest.approx((0.0035, 0.00275), rel=0.02)


def test_lines_of_repaired_polygons_are_left_out(tmp_path: Path) -> None:
    """A polygon with a spike is repaired into a polygon and a line; the polygon alone is drawn."""
    spike = [[0, 0], [1, 0], [1, 1], [5, 1], [1, 1], [0, 1], [0, 0]]
    feature = {"properties": {"zone": "a"}, "geometry": {"type": "Polygon", "coordinates": [spike]}}
    (tmp_path / "zones.geojson").write_text(json.dumps({"features": [feature]}))
    read = read_polygons(tmp_path / "zones.geojson", Boundaries(path="zones.geojson", key="zone"), CRS84)
    assert features(outlines(read, {"a": "a"}, names("a")))["a"].equals(shapely.box(0, 0, 1, 1))
