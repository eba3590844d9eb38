"""Transforms of revisions: SoQL over the texts of a file, with what is wrong with each value."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import shapefile
from pyproj import CRS

from publisher.portal.base.kinds import Kind
from publisher.portal.base.problems import SodaError
from publisher.portal.engine import geography
from publisher.portal.revisions import layers
from publisher.portal.revisions.transforms import Steps, compiled
from publisher.portal.revisions.uploads import Layout, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = {"a": Kind.TEXT, "b": Kind.TEXT, "n": Kind.NUMBER, "t": Kind.FLOATING, "place": Kind.POINT}
ROWS = [
    ("1.5", "x", "10", "2024-01-02T03:04:05.000", '{"type":"Point","coordinates":[1,2]}'),
    ("q", "yy", "-3", None, None),
    (None, None, None, None, None),
    ("3e2", "z", "99999999999999999999999999", "2025-12-31", '{"type":"Point","coordinates":[100,20]}'),
]
NUMBER = "Unable to convert to number"


class Wrong(str):
    """What is said of a value that is wrong."""

    __slots__ = ()


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the rows as texts."""
    with duckdb.connect() as opened:
        geography.register(opened)
        opened.execute(f"CREATE TABLE rows ({', '.join(f'{name} VARCHAR' for name in COLUMNS)})")
        opened.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", ROWS)
        yield opened


def carried_out(connection: duckdb.DuckDBPyConnection, expression: str) -> tuple[Kind | None, list[Any]]:
    """The type and, for each row, the value or what is wrong."""
    steps = Steps()
    made = compiled(expression, COLUMNS, steps)
    query = f"SELECT {made.sql}, {made.wrong} FROM {steps.over('rows')}"
    found = connection.execute(query, steps.bound(query)).fetchall()
    assert all(value is None for value, wrong in found if wrong is not None)
    return made.kind, [Wrong(wrong) if wrong is not None else value for value, wrong in found]


@pytest.mark.parametrize(
    ("expression", "kind", "values"),
    [
        ("`b` || 'foo'", Kind.TEXT, ["xfoo", "yyfoo", None, "zfoo"]),
        ("to_number(`a`) + 7", Kind.NUMBER, ["8.5", Wrong(NUMBER), None, "307"]),
        ("to_number(a) * to_number(a)", Kind.NUMBER, ["2.25", Wrong(NUMBER), None, "90000"]),
        ("(to_number(`a`) * (9 / 5)) + 32", Kind.NUMBER, ["34.7", Wrong(NUMBER), None, "572"]),
        ("a::number", Kind.NUMBER, ["1.5", Wrong(NUMBER), None, "300"]),
        ("to_number(`a`) >= 23", Kind.CHECKBOX, ["false", Wrong(NUMBER), None, "true"]),
        ('coalesce(to_number(a), error("null!"))', Kind.NUMBER, ["1.5", Wrong(NUMBER), Wrong("null!"), "300"]),
        ("forgive(to_number(a))", Kind.NUMBER, ["1.5", None, None, "300"]),
        ("forgive(to_number(a), -1)", Kind.NUMBER, ["1.5", "-1", None, "300"]),
        ("case(n > 20, 'many', n > 0, 'some', true, error('no ' || b))", Kind.TEXT,
         ["some", Wrong("no yy"), Wrong("Error"), "many"]),
        ("CASE WHEN b = 'yy' THEN 0 ELSE to_number(a) END", Kind.NUMBER, ["1.5", "0", None, "300"]),
        ("iif(to_number(a) > 2, upper(b), lower(b))", Kind.TEXT, ["x", Wrong(NUMBER), None, "Z"]),
        ("n + n", Kind.NUMBER, ["20", "-6", None, None]),
        ("place.latitude + 1", Kind.NUMBER, ["3", None, None, "21"]),
        ("date_trunc_ym(t)", Kind.FLOATING, ["2024-01-01 00:00:00", None, None, "2025-12-01 00:00:00"]),
        ("within_circle(place, 2, 1, 1000)", Kind.CHECKBOX, ["true", None, None, "false"]),
        ("make_point(n, a)", Kind.POINT, ['{"type":"Point","coordinates":[1.5,10]}',
         Wrong("Unable to convert to point"), None, Wrong("Unable to convert to point")]),
        ("b in ('x', 'z') and not (n = 10)", Kind.CHECKBOX, ["false", "false", None, "true"]),
        ("null", None, [None] * 4),
    ],
)  # fmt: skip
def test_a_transform_is_soql(
    connection: duckdb.DuckDBPyConnection, expression: str, kind: Kind | None, values: list[Any]
) -> None:
    """Conversions, sums, texts, choices and functions; what is wrong stays wrong, unless it is not chosen."""
    found_kind, found = carried_out(connection, expression)
    assert (found_kind, found) == (kind, values)
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("sum(n)", "Aggregate function used in a transform"),
        ("row_number() over ()", "functions of many rows cannot be used"),
        ("geocode(a, b)", "No such function: geocode; arity: 2"),
        ("a + 1", "Type mismatch for op\\$\\+, is text"),
        ("n +", "line 1 character 4: "),
        ("case(true, 'x', false, 3)", "its values have different types: text and number"),
        ("case(b, 'x')", "a condition of case must be a checkbox, not text"),
        ("nothing", "there is no column nothing"),
        ("@other.x", "No such table: @other"),
    ],
)
def test_what_is_no_transform_is_refused(expression: str, reason: str) -> None:
    """In one sentence, with the reason in SoQL's own words."""
    with pytest.raises(SodaError, match=f"^The transform .* cannot be used: {reason}") as refused:
        compiled(expression, COLUMNS, Steps())
    assert (refused.value.status, refused.value.body["code"]) == (400, "transform.not-possible")


def test_texts_that_grow_are_bounded(connection: duckdb.DuckDBPyConnection) -> None:
    """A text is made longer only if it is short enough; and only so often."""
    connection.execute("CREATE OR REPLACE TABLE long AS SELECT repeat('x', 2001) AS b")
    steps = Steps()
    made = compiled("b || '!'", {"b": Kind.TEXT}, steps)
    query = f"SELECT {made.sql}, {made.wrong} FROM {steps.over('long')}"
    assert connection.execute(query, steps.bound(query)).fetchall() == [
        (None, "Only texts of at most 2000 characters can be made longer")
    ]
    with pytest.raises(SodaError, match="could be longer than"):
        compiled(" || ".join(["b"] * 190), {"b": Kind.TEXT}, Steps())


def test_the_same_value_is_computed_once() -> None:
    """A hundred conditions on one conversion convert it once, so the SQL stays short."""

    def conversions(conditions: int) -> int:
        steps = Steps()
        compiled(f"case({', '.join(f'to_number(a) = {n}, b' for n in range(conditions))})", COLUMNS, steps)
        return steps.over("rows").count("regexp_matches")

    assert conversions(100) == conversions(1) > 0


@pytest.mark.parametrize(
    ("content", "fields", "rows"),
    [
        (b"\n  a, b\n 1 ,x\n\n   \n4,\n", ["a", "b"], [("1", "x"), ("4", None)]),
        (b"a,b\r\n,\r\n 1,2\r\n", ["a", "b"], [("1", "2")]),
        (b"a\n1\n  \n2", ["a"], [("1",), ("2",)]),
        (b'"a\nb",c\n1,"x\ny"\n', ["a_b", "c"], [("1", "x\ny")]),
    ],
)
def test_blank_lines_and_spaces_are_left_out(
    tmp_path: Path, content: bytes, fields: list[str], rows: list[tuple[Any, ...]]
) -> None:
    """As Socrata's `remove_empty_rows` and `trim_whitespace`, which hold unless a client says otherwise."""
    (tmp_path / "upload").write_bytes(content)
    columns = read_file(tmp_path / "upload", "text/csv", Layout(), tmp_path / "made.parquet")
    assert [field for field, *_ in columns] == fields
    found = duckdb.sql(f"SELECT * EXCLUDE (':order') FROM '{tmp_path}/made.parquet' ORDER BY \":order\"").fetchall()
    assert found == rows


def test_blank_lines_and_spaces_can_be_kept(tmp_path: Path) -> None:
    """If the parse options say so."""
    (tmp_path / "upload").write_bytes(b"a,b\n 1 ,x\n,\n")
    layout = Layout.of({"remove_empty_rows": False, "trim_whitespace": False}, "text/csv")
    read_file(tmp_path / "upload", "text/csv", layout, tmp_path / "made.parquet")
    found = duckdb.sql(f"SELECT * EXCLUDE (':order') FROM '{tmp_path}/made.parquet' ORDER BY \":order\"").fetchall()
    assert found == [(" 1 ", "x"), (None, None)]


POINTS = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [102.0, 0.5, 7]},
         "properties": {"a_string": "first", "a_num": 2, "a_float": 2.0, "a_bool": False}},
        {"type": "Feature", "geometry": None, "properties": {"a_string": None, "more": {"x": 1}}},
    ],
}  # fmt: skip
KML = b"""<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document><Folder>
<Schema name="s"><SimpleField name="unused" type="string"/></Schema>
<Placemark><name>One</name><ExtendedData><SchemaData><SimpleData name="a_num">2</SimpleData></SchemaData></ExtendedData>
<Polygon><outerBoundaryIs><LinearRing><coordinates>0,0,9 1,0,9 1,1,9 0,0,9</coordinates></LinearRing></outerBoundaryIs>
</Polygon></Placemark>
<Placemark><ExtendedData><Data name="a_num"><value>3</value></Data></ExtendedData><MultiGeometry><Polygon>
<outerBoundaryIs><LinearRing><coordinates>5,5 6,5 6,6 5,5</coordinates></LinearRing></outerBoundaryIs></Polygon>
</MultiGeometry></Placemark></Folder></Document></kml>"""


MIXED = json.dumps(
    {
        "type": "FeatureCollection",
        "features": [{"geometry": {"type": kind, "coordinates": [1, 2]}} for kind in ("Point", "Polygon")],
    }
).encode()


ENTITIES = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
LAUGHS = f'<!DOCTYPE kml [<!ENTITY e0 "ha">{ENTITIES}]><kml><Placemark><name>&e9;</name></Placemark></kml>'.encode()
"""Two gigabytes of laughter in a few hundred bytes."""


def zipped_shapes() -> bytes:
    """A Shapefile of one place in Chicago, in feet, as cities have them."""
    parts = {end: io.BytesIO() for end in ("shp", "shx", "dbf")}
    with shapefile.Writer(**parts, shapeType=shapefile.POINT) as writer:
        writer.field("WARD", "C", 10)
        writer.point(1_176_000, 1_900_000)
        writer.record("Ünö")
    parts["prj"] = io.BytesIO(CRS.from_epsg(3435).to_wkt("WKT1_ESRI").encode())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for end, part in parts.items():
            archive.writestr(f"wards.{end}", part.getvalue())
    return packed.getvalue()


def features(tmp_path: Path, content_type: str, content: bytes) -> tuple[Any, list[list[str | None]]]:
    """The columns or the problem, and the rows."""
    (tmp_path / "upload").write_bytes(content)
    told = layers.write_features(str(tmp_path / "upload"), content_type, str(tmp_path / "made"))
    if "problem" in told:
        return told["problem"], []
    return told["columns"], [json.loads(line) for line in (tmp_path / "made").read_text().splitlines()]


def test_files_of_shapes_become_rows(tmp_path: Path) -> None:
    """GeoJSON, KML, KMZ and Shapefile: the shape first, without heights, in degrees; then what belongs to it."""
    columns, rows = features(tmp_path, "application/vnd.geo+json", json.dumps(POINTS).encode())
    assert [name for name, _ in columns] == ["point", "a_string", "a_num", "a_float", "a_bool", "more"]
    assert rows[0] == ['{"type":"Point","coordinates":[102.0,0.5]}', "first", "2", "2", "false", None]
    assert rows[1] == [None, None, None, None, None, '{"x": 1}']
    columns, rows = features(tmp_path, layers.KML, KML)
    assert columns == [("multipolygon", "multipolygon"), ("name", "text"), ("a_num", "text")]
    assert [row[1:] for row in rows] == [["One", "2"], [None, "3"]]
    assert json.loads(rows[0][0] or "")["coordinates"] == [[[[0, 0], [1, 0], [1, 1], [0, 0]]]]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("doc.kml", KML)
    assert features(tmp_path, layers.KMZ, packed.getvalue()) == (columns, rows)
    columns, rows = features(tmp_path, layers.SHAPEFILE, zipped_shapes())
    assert (columns, rows[0][1]) == ([("the_geom", "point"), ("WARD", "text")], "Ünö")
    assert json.loads(rows[0][0] or "")["coordinates"] == pytest.approx([-87.627, 41.881], abs=0.02)


@pytest.mark.parametrize(
    ("content_type", "content", "problem"),
    [
        ("application/vnd.geo+json", b"[1, 2", "The file is not GeoJSON, or it is damaged"),
        ("application/vnd.geo+json", b"[" * 100_000, "The file is not GeoJSON, or it is damaged"),
        ("application/json", MIXED, "one kind; this one has Point, Polygon"),
        (layers.KML, b"<html/>", "The file is not KML, or it is damaged"),
        (layers.KML, b"<kml>", "The file is not KML, or it is damaged"),
        (layers.KML, LAUGHS, "The file is not KML, or it is damaged"),
        (layers.KMZ, b"PK", "The file is not KMZ, or it is damaged"),
        (layers.SHAPEFILE, b"PK", "The file is not a zipped Shapefile, or it is damaged"),
    ],
)  # fmt: skip
def test_files_of_no_shapes_are_refused(tmp_path: Path, content_type: str, content: bytes, problem: str) -> None:
    """In one sentence."""
    assert problem in features(tmp_path, content_type, content)[0]


def test_an_archive_that_unpacks_to_any_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is read."""
    monkeypatch.setattr(layers, "LARGEST", 10_000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("doc.kml", b" " * 10_001)
    assert features(tmp_path, layers.KMZ, packed.getvalue())[0] == "A file in the archive is larger than 10000 bytes"
