"""Lengths on the ellipsoid: right between any two places, in little memory, and ended with the query."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
import shapely

from publisher.portal.base.problems import SodaError
from publisher.portal.base.watch import Deadline
from publisher.portal.engine import geography

PUBLISHED = [
    ((0, 0), (1, 0), 111319.490793),  # a · π / 180
    ((0, 0), (0, 90), 10001965.729),  # the quarter meridian of WGS 84
    ((0, -30), (179.8, 29.9), 19989832.827610),  # Karney, Algorithms for geodesics (2013), table 4
    ((0, 0), (179.5, 0.5), 19936288.578965),  # where Vincenty's formula still settles
    ((0, 0), (179.7, 0.5), 19944127.420750),  # where it does not
    ((0, 0), (180, 0), 20003931.458625),  # over a pole: half the meridian
    ((-90, 38.5), (90, -38.5), 20003931.458625),
    ((0, 90), (0, -90), 20003931.458625),
    ((5, 5), (5, 5), 0.0),
]


@pytest.mark.parametrize(("here", "there", "meters"), PUBLISHED)
def test_lengths_are_the_published_ones(here: tuple[float, float], there: tuple[float, float], meters: float) -> None:
    """To a tenth of a millimeter where so many digits were published, also between opposite sides of the Earth."""
    (found,) = geography._arcs(np.array([here], float), np.array([there], float))
    assert found == pytest.approx(meters, abs=1e-4 if meters != 10001965.729 else 1e-3)


def test_what_is_no_place_has_no_distance() -> None:
    """A missing coordinate gives null, and so does a latitude beyond the poles."""
    column = [pa.array(side, pa.float64()) for side in ([38.0, None, 95.0], [1.0, 1.0, 1.0], [0.0] * 3, [0.0] * 3)]
    found = geography._meters(*column).to_pylist()
    assert found[0] is not None
    assert found[1:] == [None, None]


def test_many_lengths_take_little_memory() -> None:
    """Beside the answers themselves, as much as one piece of work needs, however many pairs there are."""
    dice = np.random.default_rng(1)
    here, there = (dice.uniform((-180, -90), (180, 90), (500_000, 2)) for _ in range(2))
    geography._arcs(here[:1], there[:1])
    tracemalloc.start()
    try:
        found = geography._arcs(here, there)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.isfinite(found).all()
    assert most < found.nbytes + 200 * geography.PIECE


def test_large_shapes_are_measured_a_few_at_a_time() -> None:
    """One that stands in many rows, as after a join, is not laid out for all of them at once."""
    ring = shapely.Point(0, 0).buffer(1, quad_segs=5_000)
    points = 60 * shapely.get_num_coordinates(ring)
    column, zeros = pa.array([shapely.to_geojson(ring)] * 60), pa.array([0.0] * 60)
    tracemalloc.start()
    try:
        found = geography._farthest(column, zeros, zeros).to_pylist()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == pytest.approx([111319.490793] * 60, abs=1e-4)
    assert points > 1_000_000
    assert most < 16 * points, "less than the two numbers of each point"


def test_a_query_that_has_ended_measures_no_further() -> None:
    """It stops between two pieces of one large shape."""
    many = np.zeros((3 * geography.PIECE, 2))
    deadline = Deadline()
    with deadline.watched(lambda: None):
        deadline.end()
        with pytest.raises(SodaError, match="took too long"):
            geography._arcs(many, many)
