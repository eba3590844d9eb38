"""Polygons with keys, and which of them contains a point."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from publisher.definitions.source import Boundaries

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Objects = NDArray[np.object_]

_WHOLE = re.compile(r"^(-?\d+)\.0+$")


class _UnboundedError(Exception):
    """A coordinate is infinite or not a number."""


@dataclass(frozen=True)
class Polygons:
    """Valid polygons, ordered by key; a key may have several."""

    keys: tuple[str, ...]
    shapes: Objects
    crs: str

    def holding(self, x: Floats, y: Floats, crs: str) -> Objects:
        """For each point, the smallest key among the polygons that contain or touch it, otherwise None.

        Shape (n,); `x` is easting or longitude in `crs`. Coordinates that are not finite are in no polygon.
        """
        import numpy as np
        import shapely

        x, y, usable = transformed(x, y, crs, self.crs)
        places = np.full(x.shape, None, dtype=object)
        rows = np.flatnonzero(usable)
        # The tree has the points, so each polygon is prepared once, no matter how many points there are.
        points: Any = shapely.points(x[rows], y[rows])
        tree = shapely.STRtree(points)
        polygon, point = tree.query(self.shapes, predicate="intersects")
        last_first = np.argsort(-polygon, kind="stable")  # the smallest key is written last and stays
        places[rows[point[last_first]]] = np.array(self.keys, dtype=object)[polygon[last_first]]
        return places


def read_polygons(path: Path, boundaries: Boundaries, crs: str) -> Polygons:
    """The polygons of a GeoJSON file, repaired if invalid, for points in `crs`. Raises SourceError if unusable."""
    from shapely.errors import ShapelyError

    try:
        content = path.read_bytes()
        if not content.strip():
            raise SourceError(f"{boundaries.path}: is empty: fetch the boundaries again")
        features = json.loads(content)["features"]
        found = [(key_of(feature["properties"][boundaries.key]), feature["geometry"]) for feature in features]
        pairs = sorted(((key, _shape(geometry)) for key, geometry in found if key and geometry), key=lambda p: p[0])
    except OSError as error:
        raise SourceError(f"{boundaries.path}: the boundaries cannot be read: {error.strerror}") from None
    except KeyError as error:
        raise SourceError(
            f"{boundaries.path}: the boundaries have no property {error}: correct `key` in the source, or fetch the "
            "file again"
        ) from None
    except _UnboundedError:
        raise SourceError(
            f"{boundaries.path}: the boundaries have a coordinate that is not a finite number: fetch the file again"
        ) from None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, ShapelyError):
        raise SourceError(f"{boundaries.path}: the boundaries are not GeoJSON polygons: fetch the file again") from None
    if not any(shape.area for _, shape in pairs):
        raise SourceError(
            f"{boundaries.path}: the boundaries have no polygon whose property {boundaries.key!r} names a place: "
            "fetch the file again"
        )
    _check_crs(crs, boundaries.crs)
    return Polygons(tuple(key for key, _ in pairs), _array([shape for _, shape in pairs]), boundaries.crs)


def names_of(path: Path, boundaries: Boundaries) -> dict[str, str]:
    """The name of each polygon's key in a file that `read_polygons` has read: its label, or else the key."""
    pairs = [each["properties"] for each in json.loads(path.read_bytes())["features"]]
    label = boundaries.label or boundaries.key
    named = {key_of(each[boundaries.key]): str(each.get(label) or "").strip() for each in pairs}
    return {key: name or key for key, name in named.items() if key}


def key_of(value: object) -> str:
    key = "" if value is None else _WHOLE.sub(r"\1", str(value).strip())
    key.encode()  # JSON can have half a character, which is not text: a ValueError
    return key


def _shape(geometry: dict[str, Any]) -> Any:
    import numpy as np
    import shapely
    from shapely.geometry import shape

    with np.errstate(invalid="ignore"):  # what is not a number is refused below, without a warning
        made = shape(geometry)
    if not np.isfinite(shapely.get_coordinates(made)).all():
        raise _UnboundedError
    return shapely.make_valid(made)


def _array(shapes: list[Any]) -> Objects:
    import numpy as np

    array = np.empty(len(shapes), dtype=object)
    array[:] = shapes
    return array


def transformed(x: Floats, y: Floats, source: str, target: str) -> tuple[Floats, Floats, Flags]:
    """The coordinates in `target`, and which of them are finite there."""
    import numpy as np
    from pyproj import Transformer

    x, y = Transformer.from_crs(source, target, always_xy=True).transform(x, y)
    return x, y, np.isfinite(x) & np.isfinite(y)


def _check_crs(*names: str) -> None:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    for name in names:
        try:
            CRS.from_user_input(name)
        except CRSError:
            raise SourceError(f"the coordinate system {name!r} is not known to pyproj") from None
