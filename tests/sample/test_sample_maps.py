"""The invented city has polygons, so that the shipped datasets of it are shown with maps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from publisher.push.boundaries import drawn, missing

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.workspace import Workspace


@pytest.mark.parametrize(
    ("name", "level", "column"),
    [
        ("stlouis-neighborhood-requests", "", "neighborhood"),
        ("stlouis-neighborhood-requests", "parts", "part"),
        ("stlouis-closed-within-a-week", "", "neighborhood"),
        ("stlouis-requests", "", "part"),
        ("stlouis-requests", "parts", "part"),
        ("stlouis-days-to-close", "", "part"),
        ("syracuse-permits", "", "area"),
    ],
)
def test_every_place_has_a_polygon(shipped: Workspace, sample: Path, name: str, level: str, column: str) -> None:
    """A feature for each key of the keyset, but the one for what lies nowhere."""
    dataset = shipped.dataset(name)
    assert missing(dataset, sample) == []
    found = drawn(dataset, level, sample)
    assert found is not None
    assert found.key == column
    features = [feature["properties"] for feature in json.loads(found.content)["features"]]
    keys = [properties[column] for properties in features if column in properties]  # the others are parks and the like
    keysets = dict(zip((key.name for key in dataset.definition.keys), dataset.keysets, strict=True))
    keysets |= {each.definition.name: each.keyset for each in dataset.coarser}
    assert keys == [key for key in keysets[column].keys if key != "Unknown"]


def test_the_whole_city_has_no_map(shipped: Workspace, sample: Path) -> None:
    """A table without a place column has nothing to draw."""
    assert drawn(shipped.dataset("stlouis-requests"), "city", sample) is None
    assert drawn(shipped.dataset("alicante-water"), "", sample) is None
