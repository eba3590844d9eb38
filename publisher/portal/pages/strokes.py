"""SVG paths in whole units, with relative steps, in as few characters as possible."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    Place = tuple[int, int]


def stroke(points: Sequence[Place]) -> str:
    """A line through at least one point."""
    steps = "".join(f" {x - px} {y - py}" for (px, py), (x, y) in pairwise(points))
    return f"M{_place(points[0])}" + (f"l{_tight(steps)}" if steps else "")


def marks(points: Sequence[Place]) -> str:
    """A dot at each point."""
    if not points:
        return ""
    steps = (_place((x - px, y - py)) for (px, py), (x, y) in pairwise(points))
    return f"M{_place(points[0])}h0" + "".join(f"m{step}h0" for step in steps)


def _place(point: Place) -> str:
    return _tight(f"{point[0]} {point[1]}")


def _tight(numbers: str) -> str:
    """Drop the space before a minus sign: SVG does not need it."""
    return numbers.replace(" -", "-").strip()
