"""The formats of rows in answers: DuckDB writes each row as one piece of text."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from publisher.portal.answers import columns
from publisher.portal.base.kinds import (
    GEOMETRIES,
    TIMES,
    Kind,
    address_columns,
    clock,
    json_text,
    part_of_location,
    plain_text,
    point_of_location,
)
from publisher.portal.base.problems import SodaError
from publisher.portal.base.sql import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    import pyarrow as pa

    Fields = Sequence[tuple[str, Kind]]

QUOTE = '"'
CRS = '{"type":"name","properties":{"name":"urn:ogc:def:crs:OGC:1.3:CRS84"}}'
"""Longitude and latitude, as Socrata declares it in GeoJSON."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format: an opening, each row between `before` and `after`, and a closing."""

    name: str
    media_type: str
    line: Callable[[Fields], str]
    """SQL for the text of one row, over the columns of `q`."""
    opening: Callable[[Fields], str]
    closing: str = ""
    before: str = ""
    """Text before each row except the first."""
    after: str = ""
    rows: Callable[[Fields, pa.Table], bytes | None] | None = None
    """The same text for all rows of a table, without SQL; None if that is not possible."""

    def each(self, fields: Fields) -> str:
        """SQL for the text of one row, with the text before and after it."""
        parts = [literal(self.before), self.line(fields), literal(self.after)]
        return " || ".join(part for part in parts if part != "''")

    def body(self, opening: str, blocks: Iterator[bytes]) -> Generator[bytes]:
        """The whole body, from the rows that `each` writes."""
        start, skipped = opening.encode(), len(self.before.encode())
        for block in blocks:
            yield start + block[skipped:]
            start, skipped = b"", 0
        if rest := start + self.closing.encode():
            yield rest


def _value(name: str) -> str:
    return f"q.{quoted(name)}"


def _pairs(values: Iterable[tuple[str, Kind, str]], *, nulls: bool) -> str:
    """SQL for the members of a JSON object, of keys, types and SQL values; nulls are left out unless `nulls` is set."""
    members = []
    for name, kind, value in values:
        member = _member("," + json.dumps(name) + ":", kind, value)
        missing = literal("," + json.dumps(name) + ":null")
        members.append(f"coalesce({member}, {missing})" if nulls else member)
    return f"substr(concat({', '.join(members)}), 2)" if members else "''"


def _valued(fields: Fields) -> list[tuple[str, Kind, str]]:
    return [(name, kind, _value(name)) for name, kind in fields]


def _member(key: str, kind: Kind, value: str) -> str:
    """SQL for a key and its value, NULL if the value is missing; with few functions, as each takes time to plan."""
    if kind in TIMES:
        return f"strftime({value}, {literal(key.replace('%', '%%') + _quoted(clock(kind)))})"
    if kind is Kind.NUMBER:
        return f"{literal(key + QUOTE)} || {plain_text(kind, value)} || {literal(QUOTE)}"
    return f"{literal(key)} || {json_text(kind, value)}"


def _quoted(text: str) -> str:
    return QUOTE + text + QUOTE


def json_line(fields: Fields) -> str:
    """SQL for one object; keys with a null value are left out, as in Socrata."""
    return f"'{{' || {_pairs(_valued(fields), nulls=False)} || '}}'"


def csv_line(fields: Fields, separator: str = ",") -> str:
    """SQL for one record; each value in double quotes, a null is empty."""
    cells = [f"""'"' || {_cell(name, kind)} || '"'""" for name, kind in fields]
    return f"concat({f', {literal(separator)}, '.join(cells)})"  # one copy of each text; of a null, nothing


def _cell(name: str, kind: Kind) -> str:
    """SQL for a value's text between double quotes, which only some kinds of text can have themselves."""
    text = plain_text(kind, _value(name))
    return text if kind in (*TIMES, Kind.NUMBER, Kind.CHECKBOX, Kind.POINT) else f"""replace({text}, '"', '""')"""


def geojson_line(fields: Fields) -> str:
    """SQL for one feature; its geometry is the first column with geometry, or else the point of a location, whose
    address becomes properties."""
    geometry = next((name for name, kind in fields if kind in GEOMETRIES), None)
    location = None if geometry else next((name for name, kind in fields if kind is Kind.LOCATION), None)
    found = _value(geometry) if geometry else point_of_location(_value(location)) if location else "NULL"
    shape = f"coalesce({found}, 'null')"
    values = _valued([(name, kind) for name, kind in fields if name not in (geometry, location)])
    parts = address_columns(location, dict(fields)) if location else {}
    values += [(name, Kind.TEXT, part_of_location(_value(str(location)), part)) for name, part in parts.items()]
    rest = _pairs(values, nulls=True)
    return f"""'{{"type":"Feature","geometry":' || {shape} || ',"properties":{{' || {rest} || '}}}}'"""


_NOT_XML = "[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F]"
"""The characters that XML cannot hold."""


def _xml_text(name: str, kind: Kind) -> str:
    """SQL for a value's text in XML."""
    text = f"regexp_replace({plain_text(kind, _value(name))}, '{_NOT_XML}', '', 'g')"
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = f"replace({text}, '{sign}', '{written}')"
    return text


def xml_line(fields: Fields, around: str = "row", prefix: str = "") -> str:
    """SQL for one row as an element, with an element for each value; the system columns' colon becomes `_`."""
    cells = []
    for name, kind in fields:
        tag = prefix + name.replace(":", "_")
        cells.append(f"{literal(f'<{tag}>')} || {_xml_text(name, kind)} || {literal(f'</{tag}>')}")
    return f"{literal(f'<{around}>')} || concat({', '.join(cells)}) || {literal(f'</{around}>')}"


def rdf(namespace: str) -> Format:
    """RDF/XML; each field is a property in this namespace, the address of the dataset's rows."""
    terms = f'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:ds="{namespace}"'
    return Format(
        "rdf",
        "application/rdf+xml; charset=utf-8",
        lambda fields: xml_line(fields, "rdf:Description", "ds:"),
        lambda _: f"{_XML}<rdf:RDF {terms}>\n",
        "</rdf:RDF>\n",
        after="\n",
    )


def csv_header(names: Iterable[str], separator: str = ",") -> str:
    """The header of a CSV."""
    return separator.join('"' + name.replace('"', '""') + '"' for name in names) + "\n"


def csv(separator: str = ",", *, bom: bool = False) -> Format:
    """CSV, or the same with another separator; `bom` marks it as UTF-8 for spreadsheets."""
    mark = "\ufeff" if bom else ""
    return Format(
        "csv",
        "text/csv; charset=utf-8",
        lambda fields: csv_line(fields, separator),
        lambda fields: mark + csv_header((name for name, _ in fields), separator),
        after="\n",
    )


CSV = csv()
JSON = Format(
    "json", "application/json; charset=utf-8", json_line, lambda _: "[", "]\n", before="\n,", rows=columns.json_rows
)
TSV = replace(csv("\t"), name="tsv", media_type="text/tab-separated-values; charset=utf-8")
_XML = '<?xml version="1.0" encoding="utf-8"?>\n'
XML = Format(
    "xml",
    "application/xml; charset=utf-8",
    xml_line,
    lambda _: f"{_XML}<response><row>\n",
    "</row></response>\n",
    after="\n",
)
RDF = rdf("#")
GEOJSON = Format(
    "geojson",
    "application/vnd.geo+json; charset=utf-8",
    geojson_line,
    lambda _: '{"type":"FeatureCollection","features":[',
    f'],"crs":{CRS}}}\n',
    before="\n,",
)

BY_NAME = {form.name: form for form in (JSON, CSV, GEOJSON, TSV, XML, RDF)}
_BY_MEDIA = {
    "application/json": JSON,
    "application/*": JSON,
    "*/*": JSON,
    "text/csv": CSV,
    "text/*": CSV,
    "application/vnd.geo+json": GEOJSON,
    "application/geo+json": GEOJSON,
    "text/tab-separated-values": TSV,
    "application/xml": XML,
    "text/xml": XML,
    "application/rdf+xml": RDF,
}


def negotiated(extension: str | None, accept: str) -> Format:
    """The format for the address's extension or the Accept header. Raises SodaError 406."""
    if extension is not None:
        if extension not in BY_NAME:
            raise _not_acceptable()
        return BY_NAME[extension]
    wanted = [_preference(part) for part in accept.split(",") if part.strip()] or [(1.0, "*/*")]
    refused = {media for quality, media in wanted if quality <= 0}
    for _, media in sorted(wanted, key=lambda pair: -pair[0]):
        if media in _BY_MEDIA and not refused & {media, _BY_MEDIA[media].media_type.partition(";")[0]}:
            return _BY_MEDIA[media]
    raise _not_acceptable()


def _preference(part: str) -> tuple[float, str]:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        return float(quality), media
    except ValueError:
        return 0.0, media


def _not_acceptable() -> SodaError:
    message = "The portal can answer only in JSON, CSV, TSV, GeoJSON, XML, and RDF"
    return SodaError(406, {"code": "not_acceptable", "error": True, "message": message})
