"""Places of records over their boundaries: drawn with characters, or as SVG."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from publisher.records.trial import Points

COLUMNS, FEWEST_LINES, MOST_LINES = 76, 6, 24
CROWDED = 5
SIZE = 800
"""Of the picture, in pixels, on its longer side."""
MARGIN = 0.04


def drawn(points: Points) -> Iterator[str]:
    """Lines of characters: the area of the boundaries, places in it, and places outside of it that are still near."""
    import numpy as np

    left, bottom, right, top, squeeze = _frame(points)
    wide, high = (right - left) * squeeze, top - bottom
    lines = min(max(round(COLUMNS * high / wide / 2), FEWEST_LINES), MOST_LINES)  # a character is twice as high
    across = min(max(round(2 * lines * wide / high), 1), COLUMNS)
    x = left + (np.arange(across) + 0.5) * (right - left) / across
    y = top - (np.arange(lines) + 0.5) * (top - bottom) / lines
    xs, ys = np.meshgrid(x, y)
    held = points.polygons.holding(xs.ravel(), ys.ravel(), points.polygons.crs)
    marks = [["." if place is not None else " " for place in held[n * across : (n + 1) * across]] for n in range(lines)]
    counts: dict[tuple[int, int, bool], int] = {}
    beyond = 0
    for at, up, inside in zip(points.x, points.y, points.inside, strict=True):
        column = math.floor((at - left) / (right - left) * across)
        line = math.floor((top - up) / (top - bottom) * lines)
        if 0 <= column < across and 0 <= line < lines:
            counts[line, column, inside] = counts.get((line, column, inside), 0) + 1
        else:
            beyond += 1
    for (line, column, inside), count in sorted(counts.items()):  # what is inside is drawn last
        marks[line][column] = ("@" if count >= CROWDED else "o") if inside else "x"
    yield from ("  " + "".join(line).rstrip() for line in marks)
    yield f"  . boundaries   o places   @ {CROWDED} or more   x outside the boundaries"
    if beyond:
        yield f"  {beyond:,} of {len(points.inside):,} places tried are too far away to show"


def written(points: Points, title: str, path: Path) -> None:
    """Write the map as SVG, readable by its owner alone. Raises SourceError when the file cannot be written."""
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write("\n".join(_svg(points, title)) + "\n")
    except OSError as error:
        raise SourceError(f"{path}: cannot be written: {error.strerror}") from None


def _svg(points: Points, title: str) -> Iterator[str]:
    left, bottom, right, top, squeeze = _frame(points)
    scale = SIZE / max((right - left) * squeeze, top - bottom)
    width, height = (right - left) * squeeze * scale, (top - bottom) * scale

    def at(x: float, y: float) -> tuple[float, float]:
        return (x - left) * squeeze * scale, (top - y) * scale

    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        'aria-labelledby="title">'
    )
    yield f'<title id="title">{escape(title)}</title>'
    yield f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>'
    yield '<g fill="#eef1f4" stroke="#8c959f" stroke-width="1" fill-rule="evenodd">'
    yield from (f'<path d="{_path(shape, at)}"/>' for shape in points.polygons.shapes)
    yield "</g>"
    for inside, fill in ((True, "#0a5bd0"), (False, "#c2410c")):
        yield f'<g fill="{fill}" fill-opacity="0.6">'
        for x, y, held in zip(points.x, points.y, points.inside, strict=True):
            if held == inside and left <= x <= right and bottom <= y <= top:
                across, down = at(x, y)
                yield f'<circle cx="{across:.1f}" cy="{down:.1f}" r="2"/>'
        yield "</g>"
    yield "</svg>"


def _path(shape: Any, at: Any) -> str:
    """The rings of a polygon, or of several."""
    import shapely

    rings = shapely.get_rings(shape)
    parts = ("L".join("{:.1f} {:.1f}".format(*at(*pair)) for pair in shapely.get_coordinates(ring)) for ring in rings)
    return "".join(f"M{part}Z" for part in parts)


def _frame(points: Points) -> tuple[float, float, float, float, float]:
    """Left, bottom, right and top around the boundaries, and how much narrower a degree is across than up."""
    import shapely
    from pyproj import CRS

    left, bottom, right, top = map(float, shapely.total_bounds(points.polygons.shapes))
    edge = MARGIN * max(right - left, top - bottom)
    degrees = CRS.from_user_input(points.polygons.crs).is_geographic
    squeeze = max(math.cos(math.radians((bottom + top) / 2)), 0.01) if degrees else 1.0
    return left - edge, bottom - edge, right + edge, top + edge, squeeze
