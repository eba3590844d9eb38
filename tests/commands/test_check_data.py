"""`publisher check --data` over real files: what is wrong with each, what exists instead, and nothing of a record."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import openpyxl
import pyarrow as pa
import pyarrow.parquet
import pytest
from real_records import real_records
from township import CANARY, Answer, Town

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

METERS = "account,day,zone,liters"
ROW = f"{CANARY}1,2024-01-10,A,5"


def _check(town: Town, *more: str, **settings: str) -> Answer:
    before = town.tree(".")
    answer = town.publisher("check", "--data", *more, **settings)
    assert CANARY not in answer.out + answer.err
    assert town.tree(".") == before, "nothing is written"
    return answer


def _found(town: Town, status: str) -> list[str]:
    """What is found with that status, as `what: finding`."""
    answer = _check(town, "--json")
    assert answer.code == (5 if any(row["status"] == "wrong" for row in answer.rows) else 0)
    return [f"{row['what']}: {row['finding']}" for row in answer.rows if row["status"] == status]


def test_a_town_in_order(town: Town) -> None:
    """Every feed, header and boundary of a sound town is named with what was found, in lines that fit; exit code 0."""
    answer = _check(town)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "ok      definitions: everything is in order",
        "ok      meters: feed: 1 file(s), each with the 4 declared columns",
        "ok      requests: feed: 1 file(s), each with the 6 declared columns",
        "ok      requests: boundaries of district: districts.geojson: 2 places by name",
    ]
    assert all(len(line) <= 80 for line in answer.out.splitlines())


def _meters(content: bytes | str) -> Callable[[Town], None]:
    def write(town: Town) -> None:
        (town.data / "meters.csv").write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def _edit(name: str, before: str, after: str) -> Callable[[Town], None]:
    return lambda town: town.edit(name, before, after)


def _both(*changes: Callable[[Town], None]) -> Callable[[Town], None]:
    def change(town: Town) -> None:
        for each in changes:
            each(town)

    return change


def _features(text: str) -> Callable[[Town], None]:
    return lambda town: (town.data / "districts.geojson").write_text(text) and None


_M, _R = "pipelines/meters.toml", "pipelines/requests.toml"
STARTS = {
    "file": "meters: feed: pipelines/meters.toml: meters.csv: ",
    "meters": "meters: feed: pipelines/meters.toml:16: feed.path:",
    "requests": "requests: feed: pipelines/requests.toml:16: feed.path:",
    "district": "requests: boundaries of district: pipelines/requests.toml:24: places.district.boundaries",
}
WRONG: dict[str, tuple[Callable[[Town], None], str]] = {
    "no file": (
        _edit(_M, 'path = "meters.csv"', 'path = "meter.csv"'),
        "{meters} no file 'meter.csv' in {data}; do you mean meters.csv?",
    ),
    "no folder": (
        _edit(_R, 'path = "requests"', 'path = "311/requests/*.csv"'),
        "{requests} no file '311/requests/*.csv' in {data}; there is: districts.geojson, meters.csv, requests",
    ),
    "no match": (
        _edit(_R, 'path = "requests"', 'path = "requests/fist.csv"'),
        "{requests} no file 'requests/fist.csv' in {data}; in requests: do you mean first.csv?",
    ),
    "empty": (_meters(""), "{file}is empty: fetch the file again"),
    "only blanks": (
        _meters(" \n\n"),
        "{file}is empty: fetch the file again",
    ),
    "another name": (
        _meters(f"account,Day,zone,litres\n{ROW}\n"),
        "{file}columns that are declared and not in the file: 'day': do you mean Day?; 'liters': do you mean litres?",
    ),
    "no header": (
        _meters(f"{ROW}\n{ROW}\n"),
        (
            "{file}4 of 4 declared columns are not in the first line. It may be "
            "a record, so it is not shown here: look at it, and correct [columns], or add a header"
        ),
    ),
    "another order": (
        _meters("day,account,zone,liters\n"),
        (
            "{file}the columns are not those that pipelines/meters.toml "
            "declares: expected order: account, day, zone, liters; found: day, account, zone, liters"
        ),
    ),
    "forty of one name": (
        _meters(",".join([METERS, *["zone"] * 39]) + "\n"),
        "{file}the columns are not those that pipelines/meters.toml declares: there twice: zone",
    ),
    "semicolons": (
        _meters(f"{METERS}\n{ROW}\n".replace(",", ";")),
        "{file}feed.delimiter: the file has ';': write delimiter = \";\"",
    ),
    "tabs": (
        _meters(f"{METERS}\n{ROW}\n".replace(",", "\t")),
        '{file}feed.delimiter: the file has a tab: write delimiter = "\\t"',
    ),
    "UTF-16": (
        _meters(f"{METERS}\n{ROW}\n".encode("utf-16")),
        ('{file}feed.encoding: the file is utf-16 text: write encoding = "utf-16"'),
    ),
    "another encoding in the header": (
        _both(
            _edit(_M, "[columns]", '[columns]\n"Größe" = { class = "public", statute = "1" }'),
            _meters(f"Größe,{METERS}\n".encode("cp1252")),
        ),
        (
            "{file}feed.encoding: the file has bytes outside utf-8, and rows "
            'with them cannot be read: write encoding = "windows-1252" if that is what it is'
        ),
    ),
    "no encoding": (
        _edit(_M, 'path = "meters.csv"', 'path = "meters.csv"\nencoding = "utf-9"'),
        "{file}feed.encoding: 'utf-9' is unknown",
    ),
    "a workbook": (
        _meters(b"PK\x03\x04 and more"),
        '{file}feed.format: the file is not text: write format = "excel"',
    ),
    "compressed": (
        _meters(gzip.compress(METERS.encode())),
        "{file}is compressed: add .gz to its name",
    ),
    "not Parquet": (
        _edit(_M, 'path = "meters.csv"', 'path = "meters.csv"\nformat = "parquet"'),
        "{file}cannot be read as Parquet: fetch it again, or correct feed.format",
    ),
    "not JSON": (
        _edit(_M, 'path = "meters.csv"', 'path = "meters.csv"\nformat = "json"'),
        "{file}cannot be read as JSON: fetch the file again, or correct feed.format",
    ),
    "no key in JSON": (
        _both(
            _edit(_M, 'path = "meters.csv"', 'path = "meters.csv"\nformat = "json"'),
            _meters(json.dumps([{"account": CANARY, "day": "2024-01-01", "zone": "A", f"{CANARY}liter": 1}])),
        ),
        "{file}no object has the declared liters: correct [columns]",
    ),
    "no boundaries": (
        lambda town: (town.data / "districts.geojson").rename(town.data / "district.geojson") and None,
        "{district}.path: no file 'districts.geojson' in {data}; do you mean district.geojson?",
    ),
    "no such property": (
        _edit(_R, 'key = "name"', 'key = "NAMES"'),
        "{district}.key: districts.geojson: no feature has the property 'NAMES'; do you mean name?",
    ),
    "no such label": (
        _edit(_R, 'key = "name"', 'key = "name", label = "title"'),
        "{district}.label: districts.geojson: no feature has the property 'title'; there is: name",
    ),
    "no GeoJSON": (
        _features("[]"),
        "{district}: districts.geojson: is not GeoJSON with a list of features: fetch the file again",
    ),
    "no coordinate system": (
        _edit(_R, 'key = "name"', 'key = "name", crs = "EPSG:1"'),
        "{district}: the coordinate system 'EPSG:1' is not known to pyproj",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_wrong_file_gets_one_finding(town: Town, case: str) -> None:
    """What is wrong is named with its setting and what exists instead; exit code 5; no value of a record is shown."""
    change, finding = WRONG[case]
    change(town)
    assert _found(town, "wrong") == [finding.format(data=town.data, **STARTS)]


ODD: dict[str, tuple[Callable[[Town], None], list[str]]] = {
    "nothing": (lambda _: None, []),
    "no rows": (_meters(f"{METERS}\n"), ["meters: feed: meters.csv: has a header and no rows"]),
    "one more": (
        _meters(f"{METERS},extra\n{ROW},1\n"),
        ["meters: feed: meters.csv: not declared, so never read: extra"],
    ),
    "bytes outside UTF-8": (
        _meters(f"{METERS}\n{ROW}ü\n".encode("cp1252")),
        [
            (
                "meters: feed: meters.csv: the file has bytes outside utf-8, and rows with them cannot be read: write "
                'encoding = "windows-1252" if that is what it is'
            )
        ],
    ),
    "UTF-8 after all": (
        _both(
            _edit(_M, 'path = "meters.csv"', 'path = "meters.csv"\nencoding = "latin-1"'),
            _meters(f"{METERS}\n{ROW}ü\n"),
        ),
        ['meters: feed: meters.csv: the file is UTF-8, not latin-1: write encoding = "utf-8"'],
    ),
    "line ends of Windows": (_meters(f"\ufeff{METERS}\r\n{ROW}\r\n"), []),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_odd_is_a_warning(town: Town, case: str) -> None:
    """What would land, and people should still know, is a warning; exit code 0."""
    change, findings = ODD[case]
    change(town)
    assert (_found(town, "wrong"), _found(town, "warning")) == ([], findings)


def test_every_fault_is_found(town: Town) -> None:
    """Several faults are found at once; a wrong definition is told too, and its exit code comes first."""
    (town.data / "districts.geojson").unlink()
    (town.data / "meters.csv").unlink()
    town.edit("datasets/water.toml", 'keyset = "zones"', 'keyset = "zone"')
    answer = _check(town)
    assert answer.code == 2
    lines = " ".join(answer.out.split())
    assert "wrong definitions: datasets/water.toml:18: keys.0.keyset: is missing" in lines
    assert "wrong meters: feed: pipelines/meters.toml:16" in lines
    assert "wrong requests: boundaries of district: pipelines/requests.toml:24" in lines
    assert "ok requests: feed: 1 file(s)" in lines


def test_many_wrong_files_are_not_all_listed(town: Town) -> None:
    """Of many files with a fault the first are named, and how many more there are."""
    for number in range(9):
        (town.data / "requests" / f"more{number}.csv").write_text("number,opened\n")
    found = _found(town, "wrong")
    assert len(found) == 6
    assert found[-1] == "requests: feed: and 4 more"


def test_no_data_folder(town: Town) -> None:
    """A data folder that does not exist is said once."""
    answer = _check(town, PUBLISHER_DATA="/nowhere")
    assert answer.code == 5
    assert "wrong   files: /nowhere: there is no such folder: set the folder" in answer.out


def test_check_alone_reads_no_file(town: Town) -> None:
    """Without --data a missing feed is no fault, and --json lists the definitions."""
    (town.data / "meters.csv").unlink()
    answer = town.publisher("check", "--json")
    assert answer.code == 0
    assert {row["what"] for row in answer.rows} == {"definitions"}
    assert answer.rows[-1]["finding"] == "everything is in order"


def test_parquet_and_workbooks(town: Town) -> None:
    """The names of a Parquet file and of a sheet are compared too; a wrong sheet is answered with those that exist."""
    town.edit(_M, 'path = "meters.csv"', 'path = "meters.parquet"\nformat = "parquet"')
    pyarrow.parquet.write_table(
        pa.table({"account": [CANARY], "day": ["2024-01-01"], "zone": ["A"], "litre": ["1"]}),
        town.data / "meters.parquet",
    )
    assert _found(town, "wrong")[0].endswith("not in the file: 'liters': do you mean litre?")
    town.edit(_M, 'path = "meters.parquet"\nformat = "parquet"', 'path = "m.xlsx"\nformat = "excel"\nsheet = "Sheet 2"')
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = "Sheet2"
    book.active.append(METERS.split(","))
    book.active.append(ROW.split(","))
    book.save(town.data / "m.xlsx")
    assert _found(town, "wrong")[0].endswith("m.xlsx: feed.sheet: there is no sheet 'Sheet 2'; do you mean Sheet2?")
    town.edit(_M, 'sheet = "Sheet 2"', 'sheet = "Sheet2"')
    assert (_found(town, "wrong"), _found(town, "warning")) == ([], [])


def _listed(town: Town, content: str) -> None:
    town.edit(
        _M,
        'code = "zone"',
        'address = { column = "zone", list = { path = "list.csv", source = "City, CC0", address = "place", x = "lon", '
        'y = "lat" } }\nboundaries = { path = "districts.geojson", key = "name", source = "City, CC0" }',
    )
    (town.data / "list.csv").write_text(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("place,lon,lat\n1 Main,-90,40\n", ""),
        ("Place,lon,lat\n1 Main,-90,40\n", "list.address: list.csv has no column 'place'; do you mean Place?"),
        ("place,lon,lat\n", "list.csv has a header and no rows: fetch it again"),
        ("place,lon,lat,account\n1,2,3,4\n", "list.csv has the column account, which identifies records"),
    ],
)
def test_address_lists(town: Town, content: str, words: str) -> None:
    """The columns of an address list must be there, and none that identifies records."""
    _listed(town, content)
    found = _found(town, "wrong")
    assert (len(found), words in "".join(found)) == (1 if words else 0, True)


def test_boundaries_for_the_map(town: Town) -> None:
    """Polygons for a map are compared with the mapping and the keyset; a line that leads to `other` needs none."""
    town.edit(
        "datasets/water.toml",
        'keyset = "zones"',
        'keyset = "zones"\nboundaries = { path = "districts.geojson", key = "name", mapping = "sides" }',
    )
    (town.root / "datasets" / "keysets" / "sides.csv").write_text("district,zone\nNorth,A\nWest,B\nNone,Unknown\n")
    assert _found(town, "warning") == [
        "water: map of zone: datasets/keysets/sides.csv: 'West' is in it and not in districts.geojson",
        "water: map of zone: datasets/keysets/zones.csv: 'B' is in it and not on the map",
    ]


def test_the_shipped_workspace_over_real_records(town: Town) -> None:
    """The real files of every city are as the shipped definitions declare, and no warning is wrong."""
    folder = real_records("boston-311", "stlouis-311", "seattle-energy", "syracuse-permits", "alicante-water")
    root = _root()
    answer = town.publisher("-C", str(root), "check", "--data", "--json", PUBLISHER_DATA=str(folder))
    assert answer.code == 0, answer.out
    assert {row["status"] for row in answer.rows} == {"ok"}


def _root() -> Path:
    from rooms import ROOT

    return ROOT.parent
