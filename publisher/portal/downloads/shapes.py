"""Map files: rows with their places as GeoJSON, KML, and Shapefile."""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import pyarrow as pa
import shapefile

from publisher.portal.base.kinds import GEOMETRIES, Kind, address_columns
from publisher.portal.downloads.tables import batches, of_period, schema_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from publisher.portal.base.model import PortalColumn, PortalDataset

    Feature = tuple[dict[str, Any] | None, tuple[Any, ...]]

WGS_84 = (
    'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],'
    'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]'
)
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML does not allow."""
_SHAPES = {
    "Point": shapefile.POINT,
    "MultiPoint": shapefile.MULTIPOINT,
    "LineString": shapefile.POLYLINE,
    "MultiLineString": shapefile.POLYLINE,
    "Polygon": shapefile.POLYGON,
    "MultiPolygon": shapefile.POLYGON,
}


class Places:
    """The rows of a dataset with its own geometry, as features."""

    def __init__(self, files: Sequence[Path], dataset: PortalDataset) -> None:
        self.files = files
        self.dataset = dataset
        self.geometry = dataset.geometry
        self.columns: list[PortalColumn] = [column for column in dataset.columns if column.kind not in GEOMETRIES]

    @property
    def kinds(self) -> set[str]:
        """The types of geometry that can occur, by GeoJSON's names."""
        return {GEOMETRIES[self.geometry.kind]} if self.geometry else set()

    def features(self) -> Iterator[Feature]:
        """The geometry of each row with the values of its other columns."""
        for batch in batches(self.files, self.dataset):
            texts = batch.column(self.geometry.field).to_pylist() if self.geometry else []
            for text, values in zip(texts, _rows(batch, self.columns), strict=True):
                yield (json.loads(text) if text else None), values


class LocatedPlaces(Places):
    """The rows of a dataset with a location: its point, and the parts of its address as columns in its place."""

    def __init__(self, files: Sequence[Path], dataset: PortalDataset, location: PortalColumn) -> None:
        super().__init__(files, dataset)
        self.location = location
        self.own = [column for column in self.columns if column != location]
        self.parts = address_columns(location.field, {column.field for column in dataset.columns})
        told = [
            replace(location, field=name, name=f"{location.name}: {part}", kind=Kind.TEXT)
            for name, part in self.parts.items()
        ]
        self.columns = [*self.own, *told]

    @property
    def kinds(self) -> set[str]:
        """Locations are points."""
        return {"Point"}

    def features(self) -> Iterator[Feature]:
        """As in `Places`; a location with nothing but an address has no geometry."""
        for batch in batches(self.files, self.dataset):
            texts = batch.column(self.location.field).to_pylist()
            for text, values in zip(texts, _rows(batch, self.own), strict=True):
                known = json.loads(text) if text else {}
                address = _address(known.get("human_address"))
                yield _point_of(known), (*values, *(address.get(part) or None for part in self.parts.values()))


def _point_of(location: dict[str, str]) -> dict[str, Any] | None:
    if "longitude" not in location:
        return None
    return {"type": "Point", "coordinates": [float(location[name]) for name in ("longitude", "latitude")]}


def _address(text: str | None) -> dict[str, str]:
    """The parts of an address that are texts or numbers; none if a client sent anything else."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    parts = found.items() if isinstance(found, dict) else ()
    return {name: _plain(part) for name, part in parts if isinstance(part, str | int)}


class Districts(Places):
    """The rows of one period, each with the boundary polygon of its place."""

    def __init__(
        self, files: Sequence[Path], dataset: PortalDataset, period: tuple[str, str], named: tuple[str, dict[str, Any]]
    ) -> None:
        super().__init__(files, dataset)
        self.period = period
        """The period column, and the period to show."""
        self.key, self.polygons = named

    @property
    def kinds(self) -> set[str]:
        """The types of geometry among the boundaries."""
        return {polygon["type"] for polygon in self.polygons.values()}

    def features(self) -> Iterator[Feature]:
        """As in `Places`; a row whose place has no polygon is kept, without geometry."""
        for whole in batches(self.files, self.dataset):
            batch = of_period(whole, *self.period)
            keys = _rows(batch, [column for column in self.columns if column.field == self.key])
            for (key,), values in zip(keys, _rows(batch, self.columns), strict=True):
                yield self.polygons.get(_plain(key)), values


def boundaries(content: bytes, name: str) -> dict[str, Any]:
    """The geometries in a GeoJSON file by the value of a property, as text."""
    found = {}
    for feature in json.loads(content).get("features", ()):
        geometry, properties = feature.get("geometry"), feature.get("properties") or {}
        if geometry and geometry.get("type") in _SHAPES and properties.get(name) is not None:
            found[_plain(properties[name])] = geometry
    return found


def _rows(batch: Any, columns: Iterable[PortalColumn]) -> Iterator[tuple[Any, ...]]:
    arrays = [batch.column(column.field).to_pylist() for column in columns]
    return zip(*arrays, strict=True) if arrays else repeat((), batch.num_rows)


def _plain(value: Any) -> str:
    """A value as text; numbers without trailing zeros, times without a zone."""
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return "" if value is None else str(value)


def write_geojson(places: Places, target: Path) -> None:
    """Write a feature collection; numbers keep all their digits, times are text."""
    names = [json.dumps(column.field) for column in places.columns]
    with target.open("w", encoding="utf-8") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for number, (geometry, values) in enumerate(places.features()):
            properties = ",".join(f"{name}:{_json(value)}" for name, value in zip(names, values, strict=True))
            feature = f'{{"type":"Feature","geometry":{json.dumps(geometry)},"properties":{{{properties}}}}}'
            file.write((",\n" if number else "\n") + feature)
        file.write("\n]}\n")


def _json(value: Any) -> str:
    if isinstance(value, Decimal):
        return _plain(value)
    return json.dumps(_plain(value) if isinstance(value, datetime) else value, ensure_ascii=False)


def write_kml(places: Places, target: Path) -> None:
    """Write one placemark per row, with its values as extended data."""
    names = [column.field for column in places.columns]
    with target.open("w", encoding="utf-8") as file:
        xml = XMLGenerator(file, "utf-8", short_empty_elements=True)
        xml.startDocument()
        _open(xml, "kml", xmlns="http://www.opengis.net/kml/2.2")
        _open(xml, "Document")
        _element(xml, "name", places.dataset.name)
        for geometry, values in places.features():
            _open(xml, "Placemark")
            _extended(xml, names, values)
            if geometry:
                _KML[geometry["type"]](xml, geometry["coordinates"])
            xml.endElement("Placemark")
        xml.endElement("Document")
        xml.endElement("kml")
        xml.endDocument()


def write_kmz(places: Places, target: Path) -> None:
    """Write the KML as a ZIP that map programs open."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        document = Path(folder) / "doc.kml"
        write_kml(places, document)
        _pack([document], target)


def _open(xml: XMLGenerator, element: str, **attributes: str) -> None:
    xml.startElement(element, AttributesImpl(attributes))


def _element(xml: XMLGenerator, name: str, text: str) -> None:
    _open(xml, name)
    xml.characters(_UNFIT.sub("\ufffd", text))
    xml.endElement(name)


def _extended(xml: XMLGenerator, names: list[str], values: tuple[Any, ...]) -> None:
    _open(xml, "ExtendedData")
    for name, value in zip(names, values, strict=True):
        if value is not None:
            _open(xml, "Data", name=name)
            _element(xml, "value", _plain(value))
            xml.endElement("Data")
    xml.endElement("ExtendedData")


def _pairs(xml: XMLGenerator, coordinates: list[Any]) -> None:
    _element(xml, "coordinates", " ".join(f"{pair[0]},{pair[1]}" for pair in coordinates))


def _point(xml: XMLGenerator, coordinates: list[Any]) -> None:
    _open(xml, "Point")
    _pairs(xml, [coordinates])
    xml.endElement("Point")


def _line(xml: XMLGenerator, coordinates: list[Any]) -> None:
    _open(xml, "LineString")
    _pairs(xml, coordinates)
    xml.endElement("LineString")


def _polygon(xml: XMLGenerator, coordinates: list[Any]) -> None:
    _open(xml, "Polygon")
    for number, ring in enumerate(coordinates):
        side = "innerBoundaryIs" if number else "outerBoundaryIs"
        _open(xml, side)
        _open(xml, "LinearRing")
        _pairs(xml, ring)
        xml.endElement("LinearRing")
        xml.endElement(side)
    xml.endElement("Polygon")


def _several(each: Callable[[XMLGenerator, list[Any]], None]) -> Callable[[XMLGenerator, list[Any]], None]:
    def write(xml: XMLGenerator, coordinates: list[Any]) -> None:
        _open(xml, "MultiGeometry")
        for part in coordinates:
            each(xml, part)
        xml.endElement("MultiGeometry")

    return write


_KML = {
    "Point": _point,
    "LineString": _line,
    "Polygon": _polygon,
    "MultiPoint": _several(_point),
    "MultiLineString": _several(_line),
    "MultiPolygon": _several(_polygon),
}


def write_shapefile(places: Places, target: Path) -> None:
    """Write a ZIP of .shp, .shx, .dbf, .prj, .cpg, and a legend of the shortened field names."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        stem = Path(folder) / "rows"
        told = [column.field for column in places.columns]
        names = short_names(told)
        with shapefile.Writer(str(stem), shapeType=_shape_type(places.kinds), encoding="utf-8") as writer:
            types = schema_of(places.files, places.dataset)
            fields = [_field(types.field(name).type if name in types.names else pa.string()) for name in told]
            for name, field in zip(names or ["row"], fields or [_NUMBERED], strict=True):
                writer.field(name, *field)
            missing = ["" if sort == "C" else None for sort, _, _ in fields]
            try:
                for number, (geometry, values) in enumerate(places.features(), start=1):
                    writer.shape(geometry) if geometry else writer.null()
                    writer.record(*(map(_cell, values, missing) if names else (number,)))
            except BaseException:
                writer.balance()  # else it cannot be closed
                raise
        stem.with_suffix(".prj").write_text(WGS_84)
        stem.with_suffix(".cpg").write_text("UTF-8")
        stem.with_suffix(".txt").write_text(_legend(names, places.columns), encoding="utf-8")
        _pack([stem.with_suffix(end) for end in (".shp", ".shx", ".dbf", ".prj", ".cpg", ".txt")], target)


_NUMBERED = ("N", 18, 0)
"""The rows' numbers, where there is nothing but shapes: a Shapefile has at least one field."""


def _field(kind: pa.DataType) -> tuple[str, int, int]:
    """The type, the width, and the digits after the decimal point."""
    if pa.types.is_decimal(kind):
        return "N", kind.precision + 2, kind.scale
    if pa.types.is_boolean(kind):
        return "L", 1, 0
    return "C", 23 if pa.types.is_timestamp(kind) else 254, 0


def _shape_type(kinds: set[str]) -> int:
    types: set[int] = {_SHAPES[kind] for kind in kinds}
    return min(types, default=shapefile.NULL) if len(types) < 2 else shapefile.POLYGON


def _cell(value: Any, missing: str | None) -> Any:
    """The value for a Shapefile, which has `missing` for none; text is cut at 254 bytes, the most it can have."""
    if value is None:
        return missing
    if isinstance(value, bool | Decimal):
        return value
    return _plain(value).encode()[:254].decode(errors="ignore")


def short_names(names: list[str]) -> list[str]:
    """Shorten each name to at most ten characters, all different."""
    made: list[str] = []
    for name in names:
        number, short = 0, name[:10]
        while short in made:
            number += 1
            short = f"{name[: 9 - len(str(number))]}_{number}"
        made.append(short)
    return made


def _legend(names: list[str], columns: list[PortalColumn]) -> str:
    lines = ["field\tcolumn\ttitle\tdescription"]
    for name, column in zip(names, columns, strict=True):
        lines.append("\t".join(" ".join(t.split()) for t in (name, column.field, column.name, column.description)))
    return "\n".join([*lines, "Text is cut at 254 bytes.", ""])


def _pack(files: list[Path], target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.name)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with file.open("rb") as source, archive.open(entry, "w", force_zip64=True) as place:
                while block := source.read(1 << 20):
                    place.write(block)
