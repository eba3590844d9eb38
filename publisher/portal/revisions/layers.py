"""Files of shapes (GeoJSON, KML, Shapefile) as rows of texts; runs in a child with limits, so it imports little."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Feature = tuple[dict[str, Any] | None, dict[str, Any]]

GEOJSON = frozenset({"application/vnd.geo+json", "application/geo+json", "application/json"})
KML, KMZ, SHAPEFILE = "application/vnd.google-earth.kml+xml", "application/vnd.google-earth.kmz", "application/zip"
TYPES = GEOJSON | {KML, KMZ, SHAPEFILE}
LARGEST = 512 * 1024**2
"""The most bytes of the files in an archive."""
_KINDS = {
    "Point": "point",
    "MultiPoint": "multipoint",
    "LineString": "line",
    "MultiLineString": "multiline",
    "Polygon": "polygon",
    "MultiPolygon": "multipolygon",
}
_WRONG = (ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, RecursionError, zipfile.BadZipFile)
"""What readers raise for a file that is not what it should be."""


class UnfitError(Exception):
    """The file cannot become a table, for the reason that the words say."""


def write_features(upload: str, content_type: str, target: str) -> dict[str, Any]:
    """Write a JSON array of texts for each feature; returns `columns`, each its name and type, or the `problem`."""
    try:
        features = list(_READERS[_format(content_type)](Path(upload)))
        columns, rows = _table(features, "the_geom" if content_type == SHAPEFILE else None)
    except UnfitError as error:
        return {"problem": str(error)}
    except (*_WRONG, ElementTree.ParseError):
        return {"problem": f"The file is not {_format(content_type)}, or it is damaged"}
    with Path(target).open("w", encoding="utf-8", errors="replace") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return {"columns": columns}


def _format(content_type: str) -> str:
    return {KML: "KML", KMZ: "KMZ", SHAPEFILE: "a zipped Shapefile"}.get(content_type, "GeoJSON")


def _table(features: list[Feature], named: str | None) -> tuple[list[tuple[str, str]], Iterator[list[str | None]]]:
    """The columns of features, the shape first, and their rows."""
    names = list(dict.fromkeys(name for _, properties in features for name in properties))
    found = {shape["type"] for shape, _ in features if shape is not None}
    single = {name.removeprefix("Multi") for name in found}
    if not found <= _KINDS.keys() or len(single) > 1:
        raise UnfitError(f"A file can have shapes of one kind; this one has {', '.join(sorted(found))}")
    wanted = f"Multi{single.pop()}" if len(found) == 2 else next(iter(found), None)
    columns = [(name, "text") for name in names]
    if wanted is None:
        return columns, ([_cell(properties.get(name)) for name in names] for _, properties in features)
    rows = ([_shape(shape, wanted), *(_cell(properties.get(name)) for name in names)] for shape, properties in features)
    return [(named or _KINDS[wanted], _KINDS[wanted]), *columns], rows


def _shape(shape: dict[str, Any] | None, wanted: str) -> str | None:
    if shape is None:
        return None
    coordinates = _flat(shape["coordinates"])
    parts = [coordinates] if wanted != shape["type"] else coordinates
    return json.dumps({"type": wanted, "coordinates": parts}, separators=(",", ":"))


def _flat(coordinates: Any) -> Any:
    """Coordinates without heights."""
    if coordinates and not isinstance(coordinates[0], list | tuple):
        return list(coordinates[:2])
    return [_flat(each) for each in coordinates]


def _cell(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict | list):
        return json.dumps(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _geojson(path: Path) -> Iterator[Feature]:
    document = json.loads(path.read_bytes())
    for feature in document["features"] if document["type"] == "FeatureCollection" else [document]:
        yield feature["geometry"], feature.get("properties") or {}


def _kml(path: Path) -> Iterator[Feature]:
    with path.open("rb") as file:
        yield from _placemarks(file)


def _kmz(path: Path) -> Iterator[Feature]:
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in [*archive.namelist(), ""] if name.lower().endswith(".kml") or not name)
        yield from _placemarks(io.BytesIO(_member(archive, name)))


def _placemarks(file: Any) -> Iterator[Feature]:
    seen = False
    for _, element in ElementTree.iterparse(file):  # noqa: S314 -- in a child with limits
        seen = seen or _tag(element) == "kml"
        if _tag(element) == "Placemark":
            yield _kml_shape(element), _kml_values(element)
            element.clear()
    if not seen:
        raise ValueError(file)


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _kml_values(placemark: ElementTree.Element) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for element in placemark:
        if _tag(element) in ("name", "description"):
            found[_tag(element)] = (element.text or "").strip()
    for element in placemark.iter():
        if _tag(element) == "SimpleData":
            found[element.attrib["name"]] = element.text
        elif _tag(element) == "Data":
            found[element.attrib["name"]] = next((each.text for each in element if _tag(each) == "value"), None)
    return found


def _kml_shape(placemark: ElementTree.Element) -> dict[str, Any] | None:
    for element in placemark:
        tag = _tag(element)
        if tag == "MultiGeometry":
            parts = [part for part in map(_kml_part, element) if part is not None]
            if len({part["type"] for part in parts}) != 1:
                raise UnfitError("A MultiGeometry must have parts of one kind")
            return {"type": f"Multi{parts[0]['type']}", "coordinates": [part["coordinates"] for part in parts]}
        part = _kml_part(element)
        if part is not None:
            return part
    return None


def _kml_part(element: ElementTree.Element) -> dict[str, Any] | None:
    lines = [_line(each.text or "") for each in element.iter() if _tag(each) == "coordinates"]
    match _tag(element):
        case "Point":
            return {"type": "Point", "coordinates": lines[0][0]}
        case "LineString":
            return {"type": "LineString", "coordinates": lines[0]}
        case "Polygon":
            return {"type": "Polygon", "coordinates": lines}
    return None


def _line(text: str) -> list[list[float]]:
    return [[float(number) for number in place.split(",")[:2]] for place in text.split()]


def _shapefile(path: Path) -> Iterator[Feature]:
    import shapefile

    with zipfile.ZipFile(path) as archive:
        names = {name.lower(): name for name in archive.namelist() if not PurePosixPath(name).name.startswith(".")}
        stem = next(name for name in names if name.endswith(".shp"))[:-4]
        files = {
            end: _member(archive, names[stem + end]) for end in (".shp", ".dbf", ".prj", ".cpg") if stem + end in names
        }
    moved = _projection(files.get(".prj", b"").decode("utf-8", "replace"))
    encoding = files.get(".cpg", b"utf-8").decode("ascii", "replace").strip() or "utf-8"
    parts = {"shp": io.BytesIO(files[".shp"]), "dbf": io.BytesIO(files[".dbf"])}
    try:
        with shapefile.Reader(**parts, encoding=encoding, encodingErrors="replace") as reader:
            for each in reader.iterShapeRecords():
                empty = each.shape.shapeType == shapefile.NULL
                yield None if empty else moved(each.shape.__geo_interface__), each.record.as_dict()
    except (shapefile.ShapefileException, LookupError) as error:
        raise ValueError(error) from None


def _projection(text: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What brings a shape to longitude and latitude. Raises UnfitError for a projection that is not known."""
    from pyproj import CRS, Transformer
    from pyproj.exceptions import CRSError

    try:
        known = CRS.from_wkt(text) if text.strip() else CRS.from_epsg(4326)
    except CRSError:
        raise UnfitError("The projection in the .prj file is not known") from None
    transformer = Transformer.from_crs(known, 4326, always_xy=True)

    def moved(coordinates: Any) -> Any:
        if coordinates and not isinstance(coordinates[0], list | tuple):
            return [round(number, 9) for number in transformer.transform(*coordinates[:2])]
        return [moved(each) for each in coordinates]

    if known.equals(CRS.from_epsg(4326), ignore_axis_order=True):
        return lambda shape: shape
    return lambda shape: {"type": shape["type"], "coordinates": moved(shape["coordinates"])}


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UnfitError(f"A file in the archive is larger than {LARGEST} bytes")
    return content


_READERS: dict[str, Callable[[Path], Iterator[Feature]]] = {
    "GeoJSON": _geojson,
    "KML": _kml,
    "KMZ": _kmz,
    "a zipped Shapefile": _shapefile,
}
