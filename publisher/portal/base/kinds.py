"""The types of columns, and the DuckDB SQL that stores, reads, and writes their values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


class Kind(StrEnum):
    """A column's type, by its name in SODA's headers."""

    TEXT = "text"
    NUMBER = "number"
    CHECKBOX = "checkbox"
    FLOATING = "floating_timestamp"
    FIXED = "fixed_timestamp"
    URL = "url"
    LOCATION = "location"
    POINT = "point"
    MULTIPOINT = "multipoint"
    LINE = "line"
    MULTILINE = "multiline"
    POLYGON = "polygon"
    MULTIPOLYGON = "multipolygon"


GEOMETRIES = {
    Kind.POINT: "Point",
    Kind.MULTIPOINT: "MultiPoint",
    Kind.LINE: "LineString",
    Kind.MULTILINE: "MultiLineString",
    Kind.POLYGON: "Polygon",
    Kind.MULTIPOLYGON: "MultiPolygon",
}

TIMES = frozenset({Kind.FLOATING, Kind.FIXED})

SPELLINGS = {
    "calendar_date": Kind.FLOATING,
    "date": Kind.FIXED,
    "double": Kind.NUMBER,
    "money": Kind.NUMBER,
    "percent": Kind.NUMBER,
    "email": Kind.TEXT,
    "html": Kind.TEXT,
    **{kind.value: kind for kind in Kind},
}
"""The names of types that a client may use when it creates a column."""

VIEW_NAMES = {Kind.FLOATING: "calendar_date", Kind.FIXED: "date"}
"""`dataTypeName` of a view's column, if it differs from the name in SODA's headers."""

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%g"

_NUMBER = r"^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$"
_TIME = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?"
_PAIR = r"\[([-+0-9.eE]+),([-+0-9.eE]+)[^\[\]]*\]"
_PLACE = r"\(\s*([-+0-9.eE]+)\s*,\s*([-+0-9.eE]+)\s*\)"
_WKT_PAIR = r"([-+0-9.eE]+)\s+([-+0-9.eE]+)"
_WKT_COORDINATES = {
    "Point": r"regexp_replace({}, '^\[(.*)\]$', '\1')",
    "MultiPoint": r"regexp_replace({}, '\[(\[[^\[\]]*\])\]', '\1', 'g')",
}
"""SQL that fixes brackets: a point has none around it, and those around each of several points are not a list."""


def _several(each: str, least: int = 1) -> str:
    """A pattern for a JSON array, without spaces, of at least this many members."""
    return rf"\[{each}(,{each}){{{least - 1},}}\]"


_POSITION = _several(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?", 2)
_LINE = _several(_POSITION, 2)
_RINGS = _several(_several(_POSITION, 4))
_COORDINATES = {
    "Point": _POSITION,
    "MultiPoint": _several(_POSITION),
    "LineString": _LINE,
    "MultiLineString": _several(_LINE),
    "Polygon": _RINGS,
    "MultiPolygon": _several(_RINGS),
}
"""The patterns of valid coordinates; readers could not use anything else as a shape."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The width of a number column: Socrata has none, so a stored file uses what the column's values need."""

    whole: int = 1
    """Digits before the decimal point."""
    scale: int = 0
    """Digits after the decimal point."""

    def joined(self, other: Reading) -> Reading:
        """The width that fits the values of both."""
        return Reading(max(self.whole, other.whole), max(self.scale, other.scale))

    @property
    def fits(self) -> bool:
        """True if 38 digits are enough."""
        return self.whole + self.scale <= 38

    @property
    def sql(self) -> str:
        """The DuckDB type."""
        width = self.whole + self.scale
        return f"DECIMAL({9 if width <= 9 else 18 if width <= 18 else 38},{self.scale})"


def storage(kind: Kind) -> str:
    """The DuckDB type of a stored column (for numbers a default; their width depends on the values)."""
    if kind in TIMES:
        return "TIMESTAMP"
    return {Kind.CHECKBOX: "BOOLEAN", Kind.NUMBER: "DECIMAL(9,0)"}.get(kind, "VARCHAR")


def reading(kind: Kind, text: str) -> str:
    """SQL that turns the SQL text `text` into a value of `kind`, or NULL if it cannot be one.

    Numbers stay text here (checked and trimmed): their width is chosen once all of them are known.
    """
    plain = f"(CASE WHEN trim({text}) <> '' THEN trim({text}) END)"
    if kind is Kind.TEXT:
        return text
    if kind in GEOMETRIES:
        return _reading_geometry(GEOMETRIES[kind], plain)
    return _READINGS[kind](plain)


def _matching(text: str, pattern: str, value: str) -> str:
    """The value if the text has the pattern, otherwise NULL."""
    return f"CASE WHEN regexp_matches({text}, '{pattern}') THEN {value} END"


def _json(text: str) -> str:
    """The text if it is JSON, otherwise NULL."""
    return f"CASE WHEN json_valid({text}) THEN {text} END"


def _reading_number(plain: str) -> str:
    return _matching(plain, _NUMBER, plain)


def _reading_checkbox(plain: str) -> str:
    word = f"lower({plain})"
    return f"CASE WHEN {word} IN ('true', '1') THEN true WHEN {word} IN ('false', '0') THEN false END"


def _reading_time(plain: str) -> str:
    clock = f"regexp_replace({plain}, 'Z$', '')"
    return _matching(clock, f"{_TIME}$", f"TRY_CAST({clock} AS TIMESTAMP)")


def _reading_url(plain: str) -> str:
    """Either just an address, or an object with the address in it."""
    made = f"CASE WHEN {plain} IS NOT NULL THEN json_object('url', {plain})::VARCHAR END"
    return f"CASE WHEN starts_with({plain}, '{{') THEN {_json(plain)} ELSE {made} END"


def _reading_location(plain: str) -> str:
    """An object with latitude, longitude and human_address, a GeoJSON point, or an address with `(latitude, longitude)`
    after it, as Socrata's CSV has it. Null if there is a place that is not on Earth, or nothing at all."""
    whole = _json(plain)
    lines = f"regexp_extract({plain}, '^(.*?)\\s*(?:{_PLACE})?$', 1, 's')"
    place = f"regexp_extract({plain}, '{_PLACE}$', {{}})"
    sent = f"starts_with({plain}, '{{')"
    latitude, longitude = (
        f"nullif(CASE WHEN {sent} THEN coalesce(json_extract_string({whole}, '$.{name}'),"
        f" json_extract_string({whole}, '$.coordinates[{index}]')) ELSE {place.format(group)} END, '')"
        for name, index, group in (("latitude", 1, 1), ("longitude", 0, 2))
    )
    told = f"nullif(json_extract_string({whole}, '$.human_address'), '')"
    human = f"CASE WHEN {sent} THEN {_address_of(told)} ELSE {_address_read(lines)} END"
    on_earth = " AND ".join(
        f"regexp_full_match({number}, '-?[0-9]+(\\.[0-9]+)?') AND abs(TRY_CAST({number} AS DOUBLE)) <= {most}"
        for number, most in ((latitude, 90), (longitude, 180))
    )
    members = f"'latitude', {latitude}, 'longitude', {longitude}, 'human_address', {human}"
    made = f"json_merge_patch('{{}}', json_object({members}))::VARCHAR"
    nowhere = f"{latitude} IS NULL AND {longitude} IS NULL AND {human} IS NOT NULL"
    return f"CASE WHEN {on_earth} OR ({nowhere}) THEN {made} END"


def _address_of(text: str) -> str:
    """An address as the JSON text that it is; any other text is a street."""
    street = f"json_object('address', {text})::VARCHAR"
    return f"CASE WHEN json_valid({text}) THEN {text} WHEN {text} IS NOT NULL THEN {street} END"


def _address_read(lines: str) -> str:
    """An address on lines: the last one is `City, ST 12345` if there are two or more."""
    street = f"regexp_extract({lines}, '^(.*)\\n', 1, 's')"
    last = f"regexp_extract({lines}, '([^\\n]*)$', 1)"
    parts = r"'^(.*?)(?:,\s*([A-Za-z]{2}))?(?:\s+([0-9]{5}(?:-[0-9]{4})?))?$'"
    city, state, code = (f"regexp_extract({last}, {parts}, {group})" for group in (1, 2, 3))
    members = f"'address', {street}, 'city', {city}, 'state', {state}, 'zip', {code}"
    return (
        f"CASE WHEN contains({lines}, chr(10)) THEN json_object({members})::VARCHAR"
        f" WHEN {lines} <> '' THEN json_object('address', {lines}, 'city', '', 'state', '', 'zip', '')::VARCHAR END"
    )


def _reading_instant(plain: str) -> str:
    """An instant without a zone is in UTC; it is stored in UTC."""
    whole = f"CASE WHEN length({plain}) = 10 THEN {plain} || 'T00:00:00' ELSE {plain} END"
    zoned = f"regexp_matches({plain}, '.{{10}}.*(Z|[-+]\\d\\d(:?\\d\\d)?)$')"
    instant = f"TRY_CAST(({whole}) || CASE WHEN {zoned} THEN '' ELSE 'Z' END AS TIMESTAMPTZ) AT TIME ZONE 'UTC'"
    return _matching(plain, rf"{_TIME}(Z|[-+]\d\d(:?\d\d)?)?$", instant)


def _reading_geometry(name: str, plain: str) -> str:
    inner = f"regexp_extract({plain}, '(?i)^{name}\\s*(\\(.*\\))$', 1)"
    brackets = f"regexp_replace(translate({inner}, '()', '[]'), '{_WKT_PAIR}', '[\\1,\\2]', 'g')"
    flat = f"regexp_replace({brackets}, '\\s', '', 'g')"
    coordinates = _WKT_COORDINATES.get(name, "{}").format(flat)
    wkt = f"""'{{"type":"{name}","coordinates":' || {coordinates} || '}}'"""
    text = f"CASE WHEN starts_with({plain}, '{{') THEN {plain} ELSE {wkt} END"
    valid = f"json_valid({text}) AND json_extract_string({text}, '$.type') = '{name}'"
    nested = f"regexp_full_match(json_extract({text}, '$.coordinates')::VARCHAR, '{_COORDINATES[name]}')"
    rebuilt = f"json_object('type', '{name}', 'coordinates', json_extract({text}, '$.coordinates'))::VARCHAR"
    return f"CASE WHEN {valid} THEN CASE WHEN {nested} THEN {rebuilt} END END"


_READINGS = {
    Kind.NUMBER: _reading_number,
    Kind.CHECKBOX: _reading_checkbox,
    Kind.FLOATING: _reading_time,
    Kind.FIXED: _reading_instant,
    Kind.URL: _reading_url,
    Kind.LOCATION: _reading_location,
}


def plain_text(kind: Kind, value: str) -> str:
    """SQL for the text of the SQL value `value`, as CSV and search show it."""
    if kind is Kind.NUMBER:
        return f"soda_number({value})"
    if kind is Kind.CHECKBOX:
        return f"CASE WHEN {value} THEN 'true' WHEN NOT {value} THEN 'false' END"
    if kind in TIMES:
        return f"strftime({value}, '{clock(kind)}')"
    if kind is Kind.URL:
        return _url_text(f"json_extract_string({value}, '$.url')", f"json_extract_string({value}, '$.description')")
    if kind is Kind.LOCATION:
        return _location_text(value)
    return _wkt(kind, value) if kind in GEOMETRIES else value


def _wkt(kind: Kind, value: str) -> str:
    if kind is Kind.POINT:
        longitude, latitude = (f"json_extract_string({value}, '$.coordinates[{number}]')" for number in (0, 1))
        return f"('POINT (' || {longitude} || ' ' || {latitude} || ')')"
    pairs = f"regexp_replace(json_extract({value}, '$.coordinates')::VARCHAR, '{_PAIR}', '\\1 \\2', 'g')"
    shape = f"replace(translate({pairs}, '[]', '()'), ',', ', ')"
    return f"'{GEOMETRIES[kind].upper()} ' || {shape}"


def _url_text(address: str, description: str) -> str:
    """As in Socrata's CSV: `description (address)`, or whichever of the two is present."""
    return f"coalesce({description} || ' (' || {address} || ')', {address}, {description})"


def part_of_location(value: str, name: str) -> str:
    """SQL for a part of a location as a text: `latitude`, `longitude`, `human_address`, or a part of that one."""
    if name in ("latitude", "longitude", "human_address"):
        return f"json_extract_string({value}, '$.{name}')"
    return f"nullif(json_extract_string({part_of_location(value, 'human_address')}, '$.{name}'), '')"


ADDRESS = ("address", "city", "state", "zip")
"""The parts of a location's `human_address`."""


def address_columns(field: str, taken: Collection[str]) -> dict[str, str]:
    """The parts of a location's address by the names that they have in map files, as Socrata names them; a column of
    the dataset keeps its name."""
    named = {f"{field}_{part}": part for part in ADDRESS}
    return {name: part for name, part in named.items() if name not in taken}


def point_of_location(value: str) -> str:
    """SQL for the point of a location, as GeoJSON; null if it has only an address."""
    longitude, latitude = (part_of_location(value, name) for name in ("longitude", "latitude"))
    return f"""('{{"type":"Point","coordinates":[' || {longitude} || ',' || {latitude} || ']}}')"""


def _location_text(value: str) -> str:
    """As in Socrata's CSV: the street, the city with state and code, and the place, on one line each."""
    street, city, state, code = (part_of_location(value, name) for name in ("address", "city", "state", "zip"))
    town = f"nullif(concat_ws(' ', nullif(concat_ws(', ', {city}, {state}), ''), {code}), '')"
    latitude, longitude = (part_of_location(value, name) for name in ("latitude", "longitude"))
    return f"nullif(concat_ws(chr(10), {street}, {town}, '(' || {latitude} || ', ' || {longitude} || ')'), '')"


def json_text(kind: Kind, value: str) -> str:
    """SQL for the JSON text of the SQL value `value`; NULL stays NULL. Numbers are strings, as in Socrata."""
    if kind is Kind.NUMBER or kind in TIMES:
        return f"""('"' || {plain_text(kind, value)} || '"')"""
    if kind is Kind.CHECKBOX:
        return plain_text(kind, value)
    if kind is Kind.TEXT:
        return f"to_json({value})::VARCHAR"
    return value


def clock(kind: Kind) -> str:
    """How a time of this kind is written, as `strftime` takes it."""
    return TIME_FORMAT + ("Z" if kind is Kind.FIXED else "")
