"""An invented city: neighborhoods on a jittered lattice, streets with invented names, addresses along them.

Plane coordinates are US feet in the projection of the request feed; the real place is farmland.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from publisher.sample.words import STREETS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

CRS = "ESRI:102696"
"""State Plane Missouri East, US feet: the projection of the request feed."""
BLOCK = 420.0
"""Feet between two streets."""
LOT = 4.0
"""Feet between two house numbers."""


@dataclass(frozen=True)
class Lattice:
    """`columns` × `rows` neighborhoods of `side` feet from (`x`, `y`); `numbers` names them row by row."""

    columns: int
    rows: int
    side: float
    x: float
    y: float
    numbers: Ints

    @property
    def width(self) -> float:
        """Feet from west to east."""
        return self.columns * self.side

    @property
    def height(self) -> float:
        """Feet from south to north."""
        return self.rows * self.side

    def number(self, x: Floats, y: Floats) -> Ints:
        """The neighborhood's number as a clerk would type it: from the straight lattice, not from the polygon."""
        column = np.clip((x - self.x) // self.side, 0, self.columns - 1).astype(np.int64)
        row = np.clip((y - self.y) // self.side, 0, self.rows - 1).astype(np.int64)
        number: Ints = self.numbers[row * self.columns + column]
        return number


@dataclass(frozen=True)
class Addresses:
    """Unordered addresses: street (number in `STREETS`), house number, coordinates and neighborhood, aligned."""

    street: Ints
    house: Ints
    x: Floats
    y: Floats
    neighborhood: Ints

    def __len__(self) -> int:
        return len(self.street)


def lattice(columns: int, rows: int, side: float, corner: tuple[float, float], rng: Generator) -> Lattice:
    """A lattice whose neighborhoods are numbered in no particular order."""
    return Lattice(columns, rows, side, *corner, rng.permutation(columns * rows) + 1)


def addresses(city: Lattice, size: int, weights: Floats, rng: Generator) -> Addresses:
    """At most `size` distinct addresses, more of them in neighborhoods (by number, from 1) of a higher weight."""
    avenues, streets = int(city.width // BLOCK), int(city.height // BLOCK)
    lots = np.array([int(city.height // LOT)] * avenues + [int(city.width // LOT)] * streets)
    street = np.repeat(np.arange(avenues + streets), lots)
    house = np.concatenate([np.arange(count) for count in lots]) + 1
    x, y = _points(city, street, house, avenues, rng)
    number = city.number(x, y)
    size = min(size, len(street))
    chosen = np.argpartition(rng.exponential(size=len(street)) / weights[number - 1], size - 1)[:size]
    chosen = rng.permutation(np.sort(chosen))
    return Addresses(street[chosen], house[chosen], x[chosen], y[chosen], number[chosen])


def street_names(city: Lattice) -> list[str]:
    """The name of each street of the city: avenues run north, streets run east."""
    kinds = ["AVE"] * int(city.width // BLOCK) + ["ST"] * int(city.height // BLOCK)
    return [f"{name} {kind}" for name, kind in zip(STREETS, kinds, strict=False)]


def _points(city: Lattice, street: Ints, house: Ints, avenues: int, rng: Generator) -> tuple[Floats, Floats]:
    """Where each lot is: along a street that bends slightly, on one of its two sides."""
    along = house * LOT
    phase = rng.uniform(0, 6.28, street.max() + 1)[street]
    side = np.where(house % 2, 25.0, -25.0)
    north = street < avenues
    across = np.where(north, street, street - avenues) * BLOCK + BLOCK / 2 + 60 * np.sin(along / 3000 + phase) + side
    return city.x + np.where(north, across, along), city.y + np.where(north, along, across)


def degrees(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Longitude and latitude of plane coordinates."""
    from pyproj import Transformer

    lon, lat = Transformer.from_crs(CRS, "OGC:CRS84", always_xy=True).transform(x, y)
    return lon, lat


def write_boundaries(path: Path, city: Lattice, name: Callable[[int], dict[str, object]], rng: Generator) -> None:
    """Write the neighborhoods as GeoJSON in longitude and latitude; `name` gives a number's properties."""
    x, y = np.meshgrid(np.arange(city.columns + 1.0), np.arange(city.rows + 1.0))
    x[:, 1:-1] += rng.uniform(-0.22, 0.22, x[:, 1:-1].shape)
    y[1:-1, :] += rng.uniform(-0.22, 0.22, y[1:-1, :].shape)
    lon, lat = degrees(city.x + x * city.side, city.y + y * city.side)
    corners: Floats = np.stack([lon, lat], axis=-1).round(7)
    features = [
        {"type": "Feature", "properties": name(int(city.numbers[row * city.columns + column])),
         "geometry": {"type": "Polygon", "coordinates": [_ring(corners, row, column)]}}
        for row in range(city.rows) for column in range(city.columns)
    ]  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")


def _ring(corners: Floats, row: int, column: int) -> list[list[float]]:
    ring = [corners[row, column], corners[row, column + 1], corners[row + 1, column + 1], corners[row + 1, column]]
    return [point.tolist() for point in (*ring, ring[0])]
