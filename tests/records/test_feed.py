"""Raw files of every kind become the same landed texts; faults are one clear error without a value."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tracemalloc
import zipfile
from itertools import product
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import duckdb
import pytest
from invented import HEADER, definition

from publisher.errors import RefusedAtLandingError, SourceError
from publisher.records import delimited, objects, plain, workbook

if TYPE_CHECKING:
    from invented import City

ROWS = [
    ("1", "Zoë", "2018-01-02 03:04:05", "Straße, “quoted”", "x"),
    ("2", "Ann", "2018-01-03", "two\nlines", "y"),
    ("3", "", "2018-01-04", 'a "b" c', "z"),
]
CANARY = "canary-7391"
LANDED = [("1", "Straße, “quoted”"), ("2", "two\nlines"), ("3", 'a "b" c')]


def _csv(delimiter: str = ",", end: str = "\n") -> str:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',;"\n') else text

    lines = [HEADER.split(","), *ROWS]
    return "".join(delimiter.join(map(cell, line)) + end for line in lines)


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("utf-8", "utf-8"),
        ("utf-8", "utf-8-sig"),
        ("utf-8-sig", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("cp1252", "cp1252"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_encodings(city: City, declared: str, encoding: str, zipped: bool) -> None:
    """UTF-8 with and without byte order mark, UTF-16, Windows code pages, each plain and gzipped."""
    content = _csv().encode(encoding)
    city.put(gzip.compress(content) if zipped else content, "raw/a.csv.gz" if zipped else "raw/a.csv")
    city.source = definition(feed={"encoding": declared})
    city.land()
    assert city.rows("id, what") == LANDED


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(city: City, end: str) -> None:
    """Unix, Windows and old Macintosh line ends."""
    city.put(_csv(end=end))
    city.land()
    assert [row[0] for row in city.rows("id")] == ["1", "2", "3"]


def test_one_other_line_end_does_not_stop_the_file(city: City) -> None:
    """Records with Windows and Unix line ends may be mixed, also where a line break stands alone."""
    city.put(f"{HEADER}\r\n1,a,2018-01-01,x,y\n2,b,2018-01-01,x,y\r\n3,c,2018-01-01,x\r,y\n4,d,2018-01-01,x,y\n")
    report = city.report(city.land())[0]
    assert [row[0] for row in city.rows("id")] == ["1", "2", "4"]
    assert report["rejected"] == 2


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_delimiter(city: City, delimiter: str) -> None:
    """Semicolons, as in Europe, tabulators, bars."""
    city.put(_csv(delimiter))
    city.source = definition(feed={"delimiter": delimiter})
    city.land()
    assert city.rows("id, what") == LANDED


def test_blank_lines_around_the_header(city: City) -> None:
    """They are no records, and the header is still the header; its names may be quoted."""
    city.put("\n\n" + _csv().replace(HEADER, '"id","who","when","what","secret"\n') + "\n\n")
    report = city.report(city.land())[0]
    assert city.rows("id, what") == LANDED
    assert (report["rows_read"], report["rejected"]) == (3, 0)


def test_a_text_that_looks_like_records_stays_one_text(city: City) -> None:
    """Lines inside quotes that look like records make none, wherever readers might cut a large file."""
    fake = "666,mallory,2018-01-01,x,y\n" * 300
    lines = "".join(f'{n},a,2018-01-01,"free text\n{fake}",y\n' for n in range(2500))
    city.put(f"{HEADER}\n{lines}")
    report = city.report(city.land())[0]
    assert (report["rows_read"], report["rejected"], report["landed"]) == (2500, 0, 2500)


def test_malformed_records_are_counted_and_harm_no_other(city: City) -> None:
    """Too short, too long, stray quotes, bytes outside the encoding, an endless line: the others are landed as ever."""
    good = [f"{n},a,2018-01-01,x,y".encode() for n in range(1, 7)]
    bad = [b"7,a", b"8,a,b,c,d,e,f", b'9,a,2018-01-01,"x"x,y', b"10,a,2018-01-01,\xff\xfe,y", b"11," + b"a" * 3_000_000]
    lines = [line for pair in zip(good, [*bad, b""], strict=True) for line in pair]
    city.put(HEADER.encode() + b"\n" + b"\n".join(lines) + b"\n")
    report = city.report(city.land())[0]
    assert [row[0] for row in city.rows("id")] == ["1", "2", "3", "4", "5", "6"]
    assert (report["rows_read"], report["rejected"]) == (6, 5)


def test_parquet(city: City) -> None:
    """Typed columns become texts."""
    path = city.data / "raw" / "a.parquet"
    path.parent.mkdir()
    duckdb.connect().execute(
        f"COPY (SELECT 7 AS id, 'Ann' AS who, TIMESTAMP '2018-01-02 03:04:05' AS when, 1.5 AS what, 'x' AS secret) "
        f"TO '{path}'"
    )
    city.source = definition(feed={"format": "parquet"})
    city.land()
    assert city.rows("id, what, _event::VARCHAR") == [("7", "1.5", "2018-01-02 03:04:05")]


@pytest.mark.parametrize("layout", ["lines", "array", "gzip"])
def test_json(city: City, layout: str) -> None:
    """Objects on lines or in an array; keys have no order; a broken line is rejected."""
    objects = [dict(zip(reversed(HEADER.split(",")), reversed(row), strict=True)) for row in ROWS]
    lines = "\n".join(json.dumps(entry) for entry in objects)
    if layout == "array":
        city.put(json.dumps(objects), "raw/a.json")
    elif layout == "gzip":
        city.put(gzip.compress(lines.encode()), "raw/a.ndjson.gz")
    else:
        city.put(lines + '\n{"id": 4, broken\n[1, 2]\n', "raw/a.ndjson")
    city.source = definition(feed={"format": "json"})
    report = city.report(city.land())[0]
    assert city.rows("id, what") == LANDED
    assert report["rejected"] == (3 if layout == "lines" else 0)


@pytest.mark.usefixtures("processes")
def test_blank_rows_of_a_sheet_are_no_records(city: City) -> None:
    """Between the rows, or a thousand of them below the table with one cell at their end: the rest is what counts."""
    rows = [HEADER.split(","), [1, "a", "2018-01-01", "x", "y"], [], [2, "b", "2018-01-02", "x", "y"]]
    city.source = definition(feed={"format": "excel"})
    city.put(_workbook({"Data": [*rows, *[[]] * 1000, [3, "c", "2018-01-03", "x", "y"]]}), "raw/a.xlsx")
    report = city.report(city.land())[0]
    assert (report["rows_read"], report["rejected"]) == (3, 0)
    assert city.rows("id") == [("1",), ("2",), ("3",)]


@pytest.mark.usefixtures("processes")
def test_excel(city: City) -> None:
    """The first sheet or a named one; whole numbers without decimals, dates as ISO, line feeds alone."""
    city.put(
        _workbook(
            {
                "Notes": [["nothing"]],
                "Data": [
                    HEADER.split(","),
                    [1, "Ann", "2018-01-02", 2.5, "x"],
                    [2, "Ann", "2018-01-02", "a\r\nb\rc", "x"],
                ],
            }
        ),
        "raw/a.xlsx",
    )
    city.source = definition(feed={"format": "excel", "sheet": "Data"})
    city.land()
    assert city.rows("id, what, _event::VARCHAR") == [
        ("1", "2.5", "2018-01-02 00:00:00"),
        ("2", "a\nb\nc", "2018-01-02 00:00:00"),
    ]
    city.source = definition(feed={"format": "excel", "sheet": "Absent"}, name="other")
    with pytest.raises(SourceError, match="no sheet 'Absent'"):
        city.land()


@pytest.mark.usefixtures("processes")
def test_a_row_of_a_workbook_is_rejected_alone(city: City) -> None:
    """A cell to the right of the header makes no other row longer; rows may end before it."""
    rows: list[list[object]] = [HEADER.split(","), [1, "a", "2018-01-01", "x", "y"], [2, "a", "2018-01-01", "x"]]
    city.put(_workbook({"Data": [*rows, [3, "a", "2018-01-01", "x", "y", "", "far"]]}), "raw/a.xlsx")
    city.source = definition(feed={"format": "excel"})
    landing = city.land()
    report = city.report(landing)[0]
    assert [row[0] for row in city.rows("id")] == ["1", "2"]
    assert (report["rows_read"], report["rejected"], landing.unlisted) == (2, 1, ())


@pytest.mark.usefixtures("processes")
def test_a_small_workbook_that_unpacks_to_any_size_is_one_error(city: City) -> None:
    """Two cells that are far apart make a sheet of 17 billion cells: the child that reads it ends, and nothing else."""
    small = _workbook({"Data": [HEADER.split(","), [1, "a", "2018-01-01", "x", "y"]]})
    cells = b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(small)) as old, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = old.read(name)
            if "sheet1" in name:
                part = re.sub(rb"<sheetData>.*</sheetData>", b"<sheetData>" + cells + b"</sheetData>", part)
            new.writestr(name, part)
    city.put(content.getvalue(), "raw/a.xlsx")
    assert len(content.getvalue()) < 5000
    city.source = definition(feed={"format": "excel"})
    with pytest.raises(SourceError, match=r"^a\.xlsx: is too large to be read as a workbook: .*save the sheet as CSV"):
        city.land()
    assert not list((city.private / "landed").glob("*/*"))


def test_a_sheet_has_so_many_cells_at_most(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty cells between others count too."""
    path = city.put(_workbook({"Data": [HEADER.split(",")] * 3}), "raw/a.xlsx")
    monkeypatch.setattr(workbook, "CELLS", 15)
    assert workbook.write(str(path), None, str(city.root / "copy")) == ""
    monkeypatch.setattr(workbook, "CELLS", 14)
    assert workbook.write(str(path), None, str(city.root / "copy")) == "large"


@pytest.mark.parametrize("line", [b"a" * 1000, b'"' * 999, b'"a' * 500], ids=["long", "quotes", "torn"])
def test_a_small_zip_that_unpacks_to_much_is_landed_in_pieces(city: City, line: bytes) -> None:
    """A line of 100 MB is rejected alone; Python never holds more than some pieces of the file."""
    with io.BytesIO() as content:
        with gzip.open(content, "wb", compresslevel=1) as packed:
            packed.write(f"{HEADER}\n1,a,2018-01-01,x,y\n2,a,2018-01-01,x,".encode())
            for _ in range(100_000):
                packed.write(line)
            packed.write(b'\n3,a,2018-01-01,5" x,y\n')
        city.put(content.getvalue(), "raw/a.csv.gz")
    tracemalloc.start()
    try:
        report = city.report(city.land())[0]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [row[0] for row in city.rows("id")] == ["1", "3"]
    assert (report["rows_read"], report["rejected"]) == (2, 1)
    assert peak < 40_000_000


def _workbook(sheets: dict[str, list[list[object]]]) -> bytes:
    """A minimal .xlsx made of its XML parts."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    numbered = list(enumerate(sheets.items(), 1))

    def cell(value: object) -> str:
        if isinstance(value, (int, float)):
            return f"<c><v>{value}</v></c>"
        return f'<c t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'

    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as book:
        parts = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{kinds}.worksheet+xml"/>'
            for n, _ in numbered
        )
        book.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/vnd.'
            f'openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
            f'ContentType="{kinds}.sheet.main+xml"/>{parts}</Types>',
        )
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{relations}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        named = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, (name, _) in numbered)
        book.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>{named}</sheets></workbook>'
        )
        links = "".join(
            f'<Relationship Id="r{n}" Type="{relations}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n, _ in numbered
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}/relationships">{links}</Relationships>'
        )
        for n, (_, rows) in numbered:
            cells = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            book.writestr(
                f"xl/worksheets/sheet{n}.xml", f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
            )
    return content.getvalue()


def test_files_of_a_folder_a_pattern_and_a_zipped_name(city: City) -> None:
    """A folder gives the files with the format's endings, a pattern what it matches, a name also its .gz."""
    city.put(f"{HEADER}\n1,a,2018-01-01,x,y\n", "raw/a.csv")
    city.put("not data", "raw/SOURCE.md")
    city.put(gzip.compress(f"{HEADER}\n2,a,2018-01-01,x,y\n".encode()), "raw/sub/b.csv.gz")
    found = {}
    for path in ("raw", "raw/*.csv", "raw/sub/b.csv"):
        city.source = definition(feed={"path": path}, name=f"source-{len(found)}")
        city.land()
        found[path] = [row[0] for row in city.rows("id")]
    assert found == {"raw": ["1", "2"], "raw/*.csv": ["1"], "raw/sub/b.csv": ["2"]}


def test_names_with_wildcards_are_read_as_they_are(city: City) -> None:
    """A file whose name holds a bracket or a star is that file alone."""
    city.put(f"{HEADER}\n1,a,2018-01-01,x,y\n", "raw/a[1]*'.csv")
    city.put(f"{HEADER}\n2,a,2018-01-01,x,y\n", "raw/a1x'.csv")
    city.land()
    assert city.rows("id") == [("1",), ("2",)]


def test_missing_renamed_and_reordered_columns_are_named(city: City) -> None:
    """One error names what is missing and what is new, or the order that was expected."""
    faults = {
        "id,who,when,secret": "missing: what$",
        "id,who,when,kind,secret": "missing: what; not declared: kind$",
        "id,when,who,what,secret": "expected order: id, who, when, what, secret; found: id, when, who, what, secret$",
        "id,who,when,what,what,secret": "twice: what$",
    }
    for header, message in faults.items():
        city.put(f"{header}\n1,a,b,c,d,e\n")
        with pytest.raises(SourceError, match=message):
            city.land()
    assert not list((city.private / "landed").glob("*/*"))


def test_undeclared_columns_are_told_and_not_read(city: City) -> None:
    """They come back by name and stand in the report; their values are nowhere."""
    city.put(f"_id,{HEADER},note\n9,1,a,2018-01-01,x,y,hush\n")
    landing = city.land()
    assert landing.unlisted == ("_id", "note")
    assert city.land().unlisted == ("_id", "note")
    assert city.report(landing)[0]["unlisted"] == ["_id", "note"]
    assert city.rows("id, what, _event::VARCHAR") == [("1", "x", "2018-01-01 00:00:00")]
    assert not any("hush" in str(value) for row in city.landed() for value in row)


LINES = [f"{n},a,2018-01-01,x,y" for n in range(1, 9)]


@pytest.mark.parametrize(
    "torn",
    [
        '9,a,2018-01-01,"torn,y',
        '9,a,2018-01-01, "torn,y',
        '"9,a,2018-01-01,x,y',
        '9,a,2018-01-01,5" torn,"y',
        '9,a,2018-01-01,"5"" torn"" ,y',
        '9,a,2018-01-01,"x","torn',
        '9,a,2018-01-01,"x"torn,y',
        '9,"two\nlines",2018-01-01,x',
    ],
)
@pytest.mark.parametrize("form", ["plain", "windows", "zipped", "last"])
def test_a_quote_out_of_place_loses_no_other_record(city: City, torn: str, form: str) -> None:
    """It is rejected with its line, wherever it is, whether or not the records after it have quotes."""
    quoted = [line.replace("x", '"x, ""z"""') for line in LINES[4:]]
    lines = [HEADER, *LINES[:4], *([*quoted, torn] if form == "last" else [torn, *quoted])]
    content = (("\r\n" if form == "windows" else "\n").join(lines) + ("" if form == "last" else "\n")).encode()
    zipped = form == "zipped"
    city.put(gzip.compress(content) if zipped else content, "raw/a.csv.gz" if zipped else "raw/a.csv")
    report = city.report(city.land())[0]
    assert city.rows("id, what") == [(str(n), "x" if n < 5 else 'x, "z"') for n in range(1, 9)]
    assert (report["rows_read"], report["rejected"]) == (8, 1 + ("lines" in torn))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "¦"])
def test_stray_quotes_harm_no_file(city: City, delimiter: str) -> None:
    """Inches, quotes doubled, at the end of a value, around line breaks, after blanks: the records are as they were."""
    values = ['5" pipe', 'pipe 5"', '"5"" pipe"', '""', '""""', '"two\nlines"', 'a "b" c', ' "x, y" ', '"z"']
    ends = ("y" if "\n" in value else 'y"' for value in values)
    rows = (delimiter.join([str(n), "a", "2018-01-01", *pair]) for n, pair in enumerate(zip(values, ends, strict=True)))
    city.put(HEADER.replace(",", delimiter) + "\n" + "\n".join(rows))
    city.source = definition(feed={"delimiter": delimiter})
    report = city.report(city.land())[0]
    found = ['5" pipe', 'pipe 5"', '5" pipe', None, '"', "two\nlines", 'a "b" c', "x, y", "z"]
    assert [row[1] for row in city.rows("id, what")] == found
    assert (report["rows_read"], report["rejected"]) == (len(values), 0)


def test_a_line_of_any_kind_takes_no_other_record_along(tmp_path: Path) -> None:
    """Lines drawn from quotes, blanks, and separators, put among records: DuckDB reads all records as without them."""
    draw, path, copy, connection = Random(7), tmp_path / "a.csv", tmp_path / "copy", duckdb.connect()
    parts, rejected = ('",', "x,y", "1", '"', ",", " ", '""', "\xff", "\0"), 0
    records = ['next,1,"a, b"', "next,2,c", 'next,3,"two\nlines"', 'next,4,""', 'next,5,"a ""b"" c"']
    for _ in range(250):
        junk = "".join(draw.choices(parts, k=draw.randint(1, 10)))
        at = draw.randrange(len(records) + 1)
        text = "\n".join(["a,b,c", *records[:at], junk, *records[at:]]) + draw.choice(["", "\n"])
        path.write_bytes(text.encode("latin-1"))
        table = delimited.read(path, ",", "a.csv", copy)
        rejected += table.rejected
        connection.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
        seen = connection.execute(f"SELECT c1, c2 FROM {table.relation} WHERE c0 = 'next' ORDER BY c1")
        assert seen.fetchall() == [("1", "a, b"), ("2", "c"), ("3", "two\nlines"), ("4", None), ("5", 'a "b" c')], junk
    assert rejected > 60


def test_no_real_file_loses_a_record_by_its_quotes(real: City, tmp_path: Path) -> None:
    """Every CSV file of the real records is well formed, with the delimiter that its header shows."""
    files = [path for path in sorted(real.data.glob("*/*.csv*")) if path.name.endswith((".csv", ".csv.gz"))]
    for path in files:
        text = plain.text(path, "utf-8", tmp_path / "plain")
        with text.open("rb") as file:
            header = file.readline()
        delimiter = ";" if header.count(b";") > header.count(b",") else ","
        assert delimited.read(text, delimiter, path.name, tmp_path / "copy").rejected == 0, path.name
    assert len(files) > 5


def test_keys_of_json_objects_stand_in_the_private_report_alone(city: City) -> None:
    """They are content of records: no message, no batch.json and no landing tells them."""
    city.put(json.dumps([{**WHOLE, CANARY: 1}, {**WHOLE, "id": 2}]), "raw/a.json")
    city.source = definition(feed={"format": "json"})
    landing = city.land()
    assert landing.unlisted == city.land().unlisted == ()
    assert city.report(landing)[0]["unlisted"] == [CANARY]
    told = {city.root / name for name, content in city.tree().items() if CANARY.encode() in content}
    assert told == {landing.report}


WHOLE = {"id": 1, "who": "a", "when": "2018-01-01", "what": "x", "secret": "y"}


@pytest.mark.parametrize("layout", ["lines", "array"])
def test_a_key_that_an_object_lacks_is_null(city: City, layout: str) -> None:
    """It is no reason to reject the object, as long as another object of the file has the key."""
    objects = [json.dumps(WHOLE), '{"id": 2, "when": "2018-01-01"}', "{}"]
    city.source = definition(feed={"format": "json"})
    city.put("\n".join(objects) if layout == "lines" else f"[{', '.join(objects)}]", "raw/a.json")
    report = city.report(city.land())[0]
    assert (report["landed"], report["without_event_time"]) == (3, 1)
    assert city.rows("id, what, who IS NULL") == [("1", "x", False), ("2", None, True)]


@pytest.mark.parametrize("key", HEADER.split(","))
def test_a_key_that_no_object_has_is_one_error(city: City, key: str) -> None:
    """As a column that is missing in a CSV header, whether it is read or not: the feed or the definition is wrong."""
    objects = [{name: value for name, value in WHOLE.items() if name != key} | {CANARY: 1}] * 2
    city.source = definition(feed={"format": "json"})
    city.put(json.dumps(objects), "raw/a.json")
    with pytest.raises(SourceError, match=rf"^a\.json: the columns are not .*: missing: {key}$") as caught:
        city.land()
    assert CANARY not in str(caught.value)
    assert not list((city.private / "landed").glob("*/*"))


def test_keys_of_inner_objects_are_columns(city: City) -> None:
    """A declared key with dots leads into inner objects and lists, unless an object has that very key."""
    columns = ("id", "when", "location.latitude", "location.point.1", "a.b")
    declared = {name: {"class": "public", "statute": "none"} for name in columns}
    city.source = definition(feed={"format": "json"}, columns=declared, event={"column": "when"})
    inner = {"latitude": "43.05", "point": [-76.1, 43.1], "note": CANARY}
    objects = [
        {"id": 1, "when": "2018-01-01", "location": inner, "a.b": "flat", "a": {"b": "deep"}},
        {"id": 2, "when": "2018-01-01", "location": {"latitude": 7}, "a": {"b": "deep"}},
        {"id": 3, "when": "2018-01-01", "location": None, "a": [1]},
    ]
    city.put(json.dumps(objects), "raw/a.json")
    landing = city.land()
    assert city.rows('id, "location.latitude", "location.point.1", "a.b"') == [
        ("1", "43.05", "43.1", "flat"),
        ("2", "7", None, "deep"),
        ("3", None, None, None),
    ]
    assert city.report(landing)[0]["unlisted"] == []
    city.put(json.dumps([{"id": 4, "when": "2018-01-01", "location": {"latitude": 1, "point": [1]}, "a.b": 1}]))
    city.source = definition(feed={"format": "json", "path": "raw/*.csv"}, columns=declared, name="other")
    with pytest.raises(SourceError, match=r"missing: location\.point\.1$"):
        city.land()


def test_the_documented_feed_of_inner_objects_is_landed(city: City) -> None:
    """The example of docs/definitions.md, as it is, with the object shown there."""
    page = (Path(__file__).parents[2] / "docs" / "definitions.md").read_text(encoding="utf-8")
    text = next(part for part in page.split("```toml\n") if "location.latitude" in part.split("```")[0]).split("```")[0]
    line = next(part for part in page.split("`") if part.startswith('{"id": 7'))
    ring = [[-77, 43], [-76, 43], [-76, 44], [-77, 44], [-77, 43]]
    area = {"properties": {"name": "Eastwood"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    city.put(json.dumps({"features": [{"type": "Feature", **area}]}), "boundaries/neighborhoods.geojson")
    city.put(line, "requests/a.json")
    city.source = definition(text)
    city.land()
    assert city.rows('"location.latitude", _place_neighborhood') == [("43.05", "Eastwood")]


BROKEN = [
    '{"id": 9, broken}',
    '{"id": 9, "who": "torn}',
    '{"id": 9, "who": "a", "when": {"x": 1}',
    '{"id": 9, "who": "a"}}',
    '{"id": 9, "who": NaN}',
    '{"id": 9, "who": "tab\tin a text"}',
    '{"id": 9, "who": "half \\ud800"}',
    '{"id": 9, "who": "\udcff"}',
    '{"id": 9, "who": ' + "[" * 100_000,
    '{"id": 9, "who": "' + "x" * objects.LONGEST + '"}',
    '"id": 9}',
    "[9]",
    "9",
    "broken",
    "}",
]


LAYOUTS = ["{}\n{}\n{}\n", "[{},{},{}]", "[\n  {},\n  {},\n  {}\n]", "[{}\n,{}\n,{}\n]\n"]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_object_is_rejected_alone(tmp_path: Path, broken: str) -> None:
    """First, in the middle, or last, in every layout: the objects next to it are as they would be without it."""
    good = [json.dumps(WHOLE), json.dumps({**WHOLE, "id": 2, "what": 'a, {"b": 1}'}, indent=1)]
    path, copy = tmp_path / "a.json", tmp_path / "copy"
    for layout, at in product(LAYOUTS, range(3)):
        content = layout.format(*good[:at], broken, *good[at:])
        path.write_bytes(content.encode("utf-8", errors="surrogateescape"))
        found = objects.read(path, HEADER.split(","), copy)
        read = duckdb.connect().execute(
            f"SELECT json FROM read_json_objects('{copy}', format = 'newline_delimited', ignore_errors = true) "
            "WHERE json_type(json) = 'OBJECT'"
        )
        assert [json.loads(text) for (text,) in read.fetchall()] == [json.loads(text) for text in good]
        assert (found.missing, found.torn, found.foreign) == (set(), False, False)
        assert found.rejected + found.objects > 2


def test_broken_objects_are_counted(city: City) -> None:
    """Those that Python can read and DuckDB cannot are too."""
    city.source = definition(feed={"format": "json"})
    texts = [json.dumps(WHOLE), *BROKEN[:5], BROKEN[6], json.dumps({**WHOLE, "id": 2})]
    city.put("[" + ",\n".join(texts) + "]", "raw/a.json")
    report = city.report(city.land())[0]
    assert city.rows("id, what") == [("1", "x"), ("2", "x")]
    assert (report["rows_read"], report["rejected"]) == (2, 6)


def test_where_a_piece_of_a_json_file_ends_decides_nothing(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in pieces as small as an object may be, every object is found, and the broken ones are not."""
    monkeypatch.setattr(objects, "LONGEST", 120)
    texts = [json.dumps({**WHOLE, "id": n}) if n % 6 else '{"id": "torn, {"' for n in range(200)]
    city.source = definition(feed={"format": "json", "accept": {"rejected": 1, "reason": "torn on purpose"}})
    city.put("[" + " , ".join(texts) + "]", "raw/a.json")
    city.land()
    assert [row[0] for row in city.rows("CAST(id AS INTEGER)")] == [n for n in range(200) if n % 6]


def test_objects_inside_a_long_object_are_one_message(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that wraps its records, or any value that is too long, stops the file, wherever pieces of it end."""
    monkeypatch.setattr(objects, "LONGEST", 400)
    city.source = definition(feed={"format": "json"})
    inner = ",\n".join(json.dumps({**WHOLE, "id": n}) for n in range(400))
    for before in ("", json.dumps({**WHOLE, "id": 99}) + "\n" * 300):
        city.put(f'{before}{{"meta": 1, "data": [\n{inner}\n]}}', "raw/a.json")
        with pytest.raises(SourceError, match=r"has a value whose end .*export them as an array"):
            city.land()


@pytest.mark.parametrize("before", [0, 1, 2, 3, 7])
def test_a_long_object_is_rejected_whole_wherever_a_piece_ends(
    city: City, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """What is inside it is no record, whatever the length of the objects before it."""
    monkeypatch.setattr(objects, "LONGEST", 300)
    accept = {"accept": {"rejected": 1, "repeated": 1, "reason": "one is too long"}}
    city.source = definition(feed={"format": "json", **accept})
    inner = ",\n".join(json.dumps({**WHOLE, "id": n}) for n in range(10))
    short = [json.dumps({**WHOLE, "id": 90 + n}) for n in range(before + 1)]
    city.put("\n".join([*short, f'{{"inner": [\n{inner}\n]}}']), "raw/a.json")
    report = city.report(city.land())[0]
    assert (report["rows_read"], report["rejected"]) == (before + 1, 1)


def test_a_file_of_which_nothing_can_be_read_is_refused(city: City) -> None:
    """However few its rows are: an empty period would be published as if nothing had happened."""
    city.source = definition(feed={"format": "json"})
    city.put("[1, null]", "raw/a.json")
    with pytest.raises(RefusedAtLandingError):
        city.land()


@pytest.mark.parametrize(
    ("content", "rejected"),
    [("[]", 0), (" [ ]\n", 0), ("[1, null]", 2), ("null\n", 1), ('"x"\n7\n', 2), ('{"id": ', 1)],
)
def test_json_without_objects_is_no_record(city: City, content: str, rejected: int) -> None:
    """Where that is accepted, it is landed: the period is empty, not unknown."""
    city.put(content, "raw/a.json")
    city.source = definition(feed={"format": "json", "accept": {"rejected": 1, "reason": "none is there"}})
    report = city.report(city.land())[0]
    assert (report["rows_read"], report["rejected"], report["landed"]) == (0, rejected, 0)
    assert city.rows() == []


@pytest.mark.parametrize(
    "content", ["", "\n\n", "   ", " \n \n", CANARY, f"<html>\n{CANARY}", "[{}", f'[{{"{CANARY}": 1}},']
)
def test_a_file_that_is_no_json_is_one_error(city: City, content: str) -> None:
    """Empty, blank, junk, or an array cut short."""
    city.put(content, "raw/a.json")
    city.source = definition(feed={"format": "json"})
    with pytest.raises(SourceError, match=r"a\.json: (is empty|cannot be read|the array does not end)") as caught:
        city.land()
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("form", ["windows", "mixed", "macintosh", "parquet", "json"])
def test_line_ends_inside_values_are_line_feeds(city: City, form: str) -> None:
    """In every file of every format: no other record's line ends decide what a value is."""
    value = "a\r\nb\rc"
    rows = [HEADER, f'1,a,2018-01-01,"{value}",y', "2,b,2018-01-01,z,y"]
    if form == "parquet":
        (city.data / "raw").mkdir()
        duckdb.connect().execute(
            f"COPY (SELECT 1 AS id, 'a' AS who, '2018-01-01' AS when, ? AS what, 'y' AS secret) "
            f"TO '{city.data}/raw/a.parquet' (FORMAT parquet)",
            [value],
        )
    elif form == "json":
        city.put(json.dumps([{**WHOLE, "what": value}]), "raw/a.json")
    else:
        city.put({"windows": "\r\n", "mixed": "\n", "macintosh": "\r"}[form].join(rows))
    if form in ("parquet", "json"):
        city.source = definition(feed={"format": form})
    city.land()
    assert city.rows("what")[0] == ("a\nb\nc",)


def test_a_header_alone_is_no_record(city: City) -> None:
    """A file without records is landed: the period is empty, not unknown."""
    city.put(HEADER + "\n")
    assert city.land().new == 1
    assert city.rows() == []
    assert city.land().known == 1


BAD = {
    "empty": (b"", "is empty"),
    "empty zip": (gzip.compress(b""), "is empty"),
    "blank": (b"\n\n", "is empty"),
    "no header": (f"1,{CANARY},2018-01-01,{CANARY},y\n".encode() * 5, "missing: id, who, when, what, secret$"),
    "junk": (bytes(range(256)) * 40, "not a header|missing"),
    "zip cut short": (gzip.compress(_csv().encode() * 999)[:200], "damaged or incomplete"),
    "not a zip": (b"plain" + CANARY.encode(), "cannot be read"),
}


@pytest.mark.parametrize("fault", BAD)
def test_unreadable_files_are_one_error_each_that_shows_no_value(city: City, fault: str) -> None:
    """And nothing is landed, nothing half-done is left."""
    content, message = BAD[fault]
    city.put(content, "raw/a.csv.gz" if "zip" in fault else "raw/a.csv")
    with pytest.raises(SourceError, match=message) as caught:
        city.land()
    assert CANARY not in str(caught.value)
    assert "a.csv" in str(caught.value)
    assert caught.value.exit_code == 5
    assert [name for name in city.tree() if not name.endswith("key")] == []


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_junk_of_other_formats_is_one_error(city: City, kind: str) -> None:
    """Bytes that are no Parquet or JSON."""
    city.put(CANARY.encode() + bytes(range(256)) * 10, f"raw/a.{kind}")
    city.source = definition(feed={"format": kind})
    with pytest.raises(SourceError, match=re.escape(f"a.{kind}")) as caught:
        city.land()
    assert CANARY not in str(caught.value)


@pytest.mark.usefixtures("processes")
def test_junk_is_no_workbook(city: City) -> None:
    """One error, which shows nothing of the file."""
    city.put(CANARY.encode() + bytes(range(256)) * 10, "raw/a.xlsx")
    city.source = definition(feed={"format": "excel"})
    with pytest.raises(SourceError, match=r"^a\.xlsx: cannot be read as a workbook: fetch") as caught:
        city.land()
    assert CANARY not in str(caught.value)


def test_no_file_says_where_it_was_looked_for(city: City) -> None:
    """The path, the folder and the setting."""
    with pytest.raises(SourceError, match=r"'raw' in .*data.*PUBLISHER_DATA"):
        city.land()
    assert not (city.root / "state").exists()


@pytest.mark.parametrize("name", [b"raw/a\xff.csv", b"raw/d\xe9p\xf4t/a.csv"])
@pytest.mark.parametrize("path", ["raw", "raw/**/*.csv"])
def test_a_name_that_is_no_text_is_one_error(city: City, name: bytes, path: str) -> None:
    """Names in an older encoding cannot be handed to DuckDB; the file is named so that it can be found and renamed."""
    file = os.fsencode(city.data) + b"/" + name
    city.put(_csv())
    Path(os.fsdecode(file)).parent.mkdir(exist_ok=True)
    city.data.joinpath("raw/a.csv").rename(os.fsdecode(file))
    city.source = definition(feed={"path": path})
    with pytest.raises(SourceError, match="not UTF-8: rename it") as caught:
        city.land()
    assert str(caught.value).startswith(name.decode("utf-8", errors="backslashreplace"))
    assert str(caught.value).isascii()
    Path(os.fsdecode(file)).rename(city.data / "raw" / "déjà vu.csv")
    city.source = definition()
    city.land()
    assert city.rows("id, what") == LANDED


def test_a_name_that_is_no_text_beside_the_feed_matters_to_nobody(city: City) -> None:
    """Only the files that the feed takes are looked at."""
    city.put(_csv())
    Path(os.fsdecode(os.fsencode(city.data) + b"/raw/notes\xff.md")).write_bytes(b"x")
    city.land()
    assert city.rows("id, what") == LANDED
