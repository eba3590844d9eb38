"""`publisher keyset` over real files: what it writes, corrects and refuses, and that nothing half-made stays."""

from __future__ import annotations

import gzip
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from real_records import real_records
from township import CANARY, Answer, Town

from publisher.definitions.keyset import MOST_KEYS, read_keyset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.definitions.keyset import Keyset


def _made(town: Town, name: str) -> Keyset:
    return read_keyset(town.root / "datasets" / "keysets" / f"{name}.csv", name)


def _says(town: Town, answer: Answer, code: int, *words: str) -> None:
    """One message with these words and that exit code; no new file, no half of one, no value of a record."""
    assert answer.code == code, answer.out + answer.err
    assert len(answer.err.splitlines()) == 1, answer.err
    for word in words:
        assert word in answer.err
    assert CANARY not in answer.out + answer.err
    assert sorted(path.stem for path in (town.root / "datasets" / "keysets").iterdir()) == [
        "districts",
        "kinds",
        "sorts",
        "zones",
    ]


def _features(*properties: dict[str, Any], kind: str = "Polygon") -> str:
    square = [[[0, 0], [1, 0], [1, 1], [0, 0]]]
    geometry = {"type": kind, "coordinates": square if kind == "Polygon" else [0, 0]}
    features = [{"type": "Feature", "properties": each, "geometry": geometry} for each in properties]
    return json.dumps({"type": "FeatureCollection", "features": features})


def _codes(lines: Iterable[str]) -> str:
    return "\n".join(["code,meaning", *lines, ""])


SERVICES = [
    {"service_code": "004", "service_name": "Pothole", "group": "Streets", "metadata": False, "type": "realtime"},
    {"service_code": "012", "service_name": "Missed pickup", "group": "Trash", "metadata": True, "type": "batch"},
    {"service_code": "003", "service_name": "Street light", "group": "Streets", "metadata": False, "type": "realtime"},
]
"""As an Open311 GeoReport v2 server lists them."""


def test_boundaries_become_keys_in_their_order(town: Town) -> None:
    """The keys are those that places have (whole numbers without decimals), ordered as numbers, with their labels; the
    file says where they come from and is one that the definitions read."""
    features = _features(*({"NUM": number, "NAME": f"Ward {number:.0f}"} for number in (10.0, 2.0, 1.0)))
    (town.data / "wards.geojson").write_text(features)
    answer = town.publisher("keyset", "wards", "--from", "wards.geojson", "--key", "NUM", "--label", "NAME")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == (
        "wrote datasets/keysets/wards.csv: 3 public keys from wards.geojson, property NUM, labels from NAME\n"
    )
    made = _made(town, "wards")
    assert (made.keys, made.labels) == (("1", "2", "10"), ("Ward 1", "Ward 2", "Ward 10"))
    assert made.notes[1] == "From: wards.geojson, property NUM, labels from NAME"
    assert made.notes[2].startswith("Read on: 20")
    assert "Nothing in this file may come from records." in made.notes[0]
    town.edit("datasets/requests.toml", 'keyset = "districts"', 'keyset = "wards"')
    assert town.publisher("check").code == 0


def test_services_become_keys(town: Town) -> None:
    """The services of an Open311 server give their codes, labeled with their names, in the server's order; with --key
    group they give their groups."""
    path = town.root / "services.json"
    path.write_text(json.dumps(SERVICES))
    assert town.publisher("keyset", "services", "--from", "services.json").code == 0
    made = _made(town, "services")
    assert (made.keys, made.labels) == (("004", "012", "003"), ("Pothole", "Missed pickup", "Street light"))
    answer = town.publisher("keyset", "groups", "--from", "services.json", "--key", "group")
    assert (answer.code, _made(town, "groups").keys) == (0, ("Streets", "Trash"))
    assert "1 service(s) with a key that came before: each key is written once" in answer.out


def test_codes_become_keys(town: Town) -> None:
    """A list of codes keeps its order; blanks at ends, lines without a key and missing labels are corrected."""
    (town.root / "codes.csv").write_text(_codes(["B2, Brick ", " A1,", ",nothing", 'W9,"Wood, old"']))
    answer = town.publisher("keyset", "codes", "--from", "codes.csv", "--key", "code", "--label", "meaning")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[:3] == [
        "1 line(s) with blanks around the key: the blanks were removed",
        "1 line(s) without a key: left out",
        "1 key(s) without a label, such as 'A1': labeled with the key itself",
    ]
    made = _made(town, "codes")
    assert (made.keys, made.labels) == (("B2", "A1", "W9"), ("Brick", "A1", "Wood, old"))


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_another_delimiter_is_found(town: Town, delimiter: str) -> None:
    """A list that another program has written with semicolons or tabs, and a byte order mark, is read as it is."""
    (town.root / "codes.csv").write_text(f"\ufeffcode{delimiter}meaning\nA{delimiter}One, or two\n")
    answer = town.publisher("keyset", "codes", "--from", "codes.csv", "--key", "code", "--label", "meaning")
    assert answer.code == 0, answer.err
    assert _made(town, "codes").labels == ("One, or two",)


BAD: dict[str, tuple[str, bytes | str, tuple[str, ...], int, tuple[str, ...]]] = {
    "missing": ("other.csv", "", ("--key", "code"), 5, ("list.csv: there is no such file",)),
    "empty": ("list.csv", "", ("--key", "code"), 5, ("list.csv: is empty",)),
    "header alone": ("list.csv", "code\n", ("--key", "code"), 2, ("has no key",)),
    "binary": ("list.csv", b"PK\x03\x04\x00\x00code", ("--key", "code"), 5, ("not a text file",)),
    "other encoding": ("list.csv", "code\nPeña\n".encode("cp1252"), ("--key", "code"), 5, ("UTF-8",)),
    "no key said": ("list.csv", _codes(["A,b"]), (), 2, ("--key is missing", "code, meaning")),
    "wrong name": ("list.csv", _codes(["A,b"]), ("--key", "Cod"), 2, ("no column 'Cod'", "do you mean code?")),
    "same names": ("list.csv", "a," * 40 + "b\n", ("--key", "a"), 2, ("has the column 'a' twice",)),
    "twins": ("list.csv", _codes(["Peña,1", "B,2", "PENA ,3"]), ("--key", "code"), 2, ("line 4", "'PENA'", "'Peña'")),
    "two labels": (
        "list.csv",
        _codes(["A,1", "A,2"]),
        ("--key", "code", "--label", "meaning"),
        2,
        ("line 3", "label '2', but '1' in line 2"),
    ),
    "line break": ("list.csv", 'code\n"A\nB"\n', ("--key", "code"), 2, ("line break",)),
    "torn": ("list.csv", 'code,meaning\n"A,b\n', ("--key", "code"), 5, ("is not CSV",)),
    "short line": ("list.csv", _codes(["A"]), ("--key", "code"), 5, ("list.csv:2: has 1 values",)),
    "e-mail": ("list.csv", _codes(["ann@example.org,b"]), ("--key", "code"), 2, ("line 2", "an e-mail address")),
    "too many": (
        "list.csv",
        "code\n" + "\n".join(map(str, range(MOST_KEYS + 1))),
        ("--key", "code"),
        2,
        (f"more than {MOST_KEYS:,} keys",),
    ),
    "two million": (
        "list.csv",
        "code\n" + "\n".join(map(str, range(2_000_000))),
        ("--key", "code"),
        2,
        (f"more than {MOST_KEYS:,} keys",),
    ),
    "forty names": ("list.csv", ",".join(["v"] * 40) + "\n", ("--key", "v"), 2, ("has the column 'v' twice",)),
    "zip": ("list.zip", b"PK\x03\x04", ("--key", "a"), 5, ("list.zip",)),
    "not JSON": ("list.geojson", "{", ("--key", "a"), 5, ("cannot be read as JSON",)),
    "no features": ("list.geojson", '{"features": []}', ("--key", "a"), 5, ("has no feature",)),
    "no such property": (
        "list.geojson",
        _features({"NAME": "a"}),
        ("--key", "name_"),
        2,
        ("property 'name_'", "do you mean NAME?"),
    ),
    "half the property": ("list.geojson", _features({"a": "1"}, {}), ("--key", "a"), 2, ("1 of 2 features",)),
    "points": ("list.geojson", _features({"a": "1"}, kind="Point"), ("--key", "a"), 5, ("Point", "may be records")),
    "requests": (
        "list.json",
        json.dumps([{"service_request_id": "1", "service_code": "2"}]),
        (),
        2,
        ("is a list of requests", "records must never decide a key"),
    ),
    "neither": ("list.json", "[1]", (), 5, ("neither GeoJSON nor an Open311 list",)),
    "workbook": ("list.xlsx", b"PK", ("--key", "a"), 5, ("save it as one of them",)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_lists_get_one_message(town: Town, case: str) -> None:
    """A list that cannot be a keyset gets one message that says what to do, its exit code, and no file."""
    name, content, options, code, words = BAD[case]
    path = town.root / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    asked = "list.csv" if case == "missing" else name
    _says(town, town.publisher("keyset", "made", "--from", asked, *options), code, *words)


@pytest.mark.parametrize("name", ["../up", "Wards", "a b", ""])
def test_a_keyset_needs_a_plain_name(town: Town, name: str) -> None:
    """A name that the definitions could not use is refused."""
    (town.root / "list.csv").write_text(_codes(["A,b"]))
    _says(town, town.publisher("keyset", name, "--from", "list.csv", "--key", "code"), 2, "is not a name for a keyset")


def test_a_raw_file_is_refused_wherever_it_is(town: Town) -> None:
    """A raw file of a source never decides a key: neither in its place, nor through a link, nor as a copy, nor a part
    of it that still has the source's columns, nor after it was landed and is gone."""
    feed = town.data / "meters.csv"
    ask = ("--key", "zone")
    _says(town, town.publisher("keyset", "made", "--from", "meters.csv", *ask), 2, "is a raw file of the source meters")
    (town.root / "link.csv").symlink_to(feed)
    _says(town, town.publisher("keyset", "made", "--from", "link.csv", *ask), 2, "is a raw file of the source meters")
    shutil.copy(town.data / "requests" / "first.csv", town.root / "copy.txt")
    asked = town.publisher("keyset", "made", "--from", "copy.txt", "--key", "kind")
    _says(town, asked, 2, "copy.txt", "the source requests")
    lines = feed.read_text().splitlines()
    (town.root / "part.csv").write_text("\n".join(lines[:5]))
    said = "has all columns of the source meters"
    _says(town, town.publisher("keyset", "made", "--from", "part.csv", *ask), 2, said, "records must never decide")
    (town.root / "part.csv").write_text("account,zone\n1,A\n")
    _says(town, town.publisher("keyset", "made", "--from", "part.csv", *ask), 2, "the column account, which identifies")
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:5]]
    (town.root / "part.json").write_text(json.dumps(rows))
    _says(town, town.publisher("keyset", "made", "--from", "part.json", *ask), 2, said)
    (town.root / "part.geojson").write_text(_features(*rows))
    _says(town, town.publisher("keyset", "made", "--from", "part.geojson", *ask), 2, said)
    assert town.publisher("land", "meters").code == 0
    zones = town.root / "zones.csv"
    feed.rename(zones)
    town.edit("pipelines/meters.toml", "liters = {", "used = {")
    town.edit("pipelines/meters.toml", ", identifier = true", "")
    gone = town.publisher("keyset", "made", "--from", "zones.csv", *ask)
    _says(town, gone, 2, "is a copy of meters.csv, which was landed for the source meters")


def test_a_copy_of_a_raw_file_is_known_by_its_content(town: Town) -> None:
    """Also a compressed raw file, whose header no list of codes could show, is known by its content."""
    with gzip.open(town.data / "requests" / "second.csv.gz", "wt") as file:
        file.write("number,opened,kind,lon,lat,caller\n")
    shutil.copy(town.data / "requests" / "second.csv.gz", town.root / "list.json")
    asked = town.publisher("keyset", "made", "--from", "list.json")
    _says(town, asked, 2, "is a copy of second.csv.gz, a raw file of the source requests")


def test_repeated_codes_are_asked_about(town: Town) -> None:
    """A table in which keys come again may be a table of records, so a person must say that it is none."""
    (town.root / "list.csv").write_text(_codes(["A,1", "A,2", "B,3"]))
    before = town.tree("datasets")
    answer = town.publisher("keyset", "made", "--from", "list.csv", "--key", "code")
    assert (answer.code, town.tree("datasets")) == (2, before)
    assert "keys come again in 1 row(s)" in answer.err
    assert "Nothing was written" in answer.err
    assert town.publisher("keyset", "made", "--from", "list.csv", "--key", "code", "--yes").code == 0
    assert _made(town, "made").keys == ("A", "B")


def test_a_keyset_is_replaced_only_knowingly(town: Town) -> None:
    """A keyset is never overwritten without --replace; then what changes is said, and that it is another draw."""
    (town.root / "list.csv").write_text(_codes(["South,s", "North,n", "East,e"]))
    before = town.tree("datasets")
    ask = ("keyset", "districts", "--from", "list.csv", "--key", "code")
    answer = town.publisher(*ask)
    assert (answer.code, town.tree("datasets")) == (2, before)
    assert "datasets/keysets/districts.csv exists: add --replace" in answer.err
    answer = town.publisher(*ask, "--replace")
    assert (answer.code, town.tree("datasets")) == (2, before)
    assert answer.out == "1 key(s) added: East\n"
    assert "another draw: requests would draw and charge again" in answer.err
    answer = town.publisher(*ask, "--replace", "--yes")
    assert answer.code == 0, answer.err
    assert _made(town, "districts").keys == ("South", "North", "East")
    path = town.root / "datasets/keysets/districts.csv"
    path.write_text("key,label.es\nSouth,Sur\nNorth,\nEast,Este\n")
    assert town.publisher(*ask, "--replace").code == 0
    assert _made(town, "districts").in_language("es") == {"South": "Sur", "East": "Este"}


def test_a_lookup_is_never_replaced(town: Town) -> None:
    """A file of that name that is no keyset, such as a lookup, stays as it is, even with --replace."""
    (town.root / "list.csv").write_text(_codes(["South,s"]))
    before = town.tree("datasets")
    answer = town.publisher("keyset", "kinds", "--from", "list.csv", "--key", "code", "--replace", "--yes")
    assert (answer.code, town.tree("datasets")) == (2, before)
    assert "datasets/keysets/kinds.csv:1: a keyset's columns are" in answer.err


def test_the_same_keys_are_no_other_draw(released: Town) -> None:
    """The same keys keep the order that they have, so replacing a file by one with the same keys charges nothing."""
    (released.root / "list.csv").write_text(_codes(["South,s", "North,n"]))
    answer = released.publisher("keyset", "districts", "--from", "list.csv", "--key", "code", "--replace")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("the keys and labels stay as they are\nwrote ")
    assert _made(released, "districts").keys == ("North", "South")
    charges = released.charges()
    again = released.run()
    assert (again.code, released.charges()) == (0, charges)


def test_a_key_may_be_the_catch_all_but_not_look_like_it(town: Town) -> None:
    """A key that is also a dataset's `other` is said; one that only looks like it would get a row beside it."""
    (town.root / "list.csv").write_text(_codes(["Streets,s", "Other,o"]))
    ask = ("keyset", "sorts", "--from", "list.csv", "--key", "code", "--replace", "--yes")
    answer = town.publisher(*ask)
    assert answer.code == 0
    assert "the key 'Other' is `other` of datasets/requests.toml too" in answer.out
    (town.root / "list.csv").write_text(_codes(["Streets,s", "OTHER,o"]))
    before = town.tree("datasets")
    answer = town.publisher(*ask)
    assert (answer.code, town.tree("datasets")) == (2, before)
    assert "looks like 'Other', the catch-all `other` of datasets/requests.toml" in answer.err


@pytest.mark.parametrize(
    ("file", "key", "label", "count", "first"),
    [
        ("stlouis-boundaries/stlouis_neighborhoods.geojson", "NHD_NUM", "NHD_NAME", 88, ("1", "Carondelet")),
        ("seattle-boundaries/seattle_neighborhoods.geojson", "name", None, 90, ("Adams", "")),
        ("boston-boundaries/boston_neighborhoods.geojson", "name", None, 26, ("Allston", "")),
        ("losangeles-boundaries/nc-boundary-2019-modified.geojson", "nc_id", "name", 99, None),
        ("syracuse-boundaries/SYRCensusTracts.geojson", "GEOID10", "NAMELSAD10", 55, None),
    ],
)
def test_real_boundaries_become_keysets(
    town: Town, file: str, key: str, label: str | None, count: int, first: tuple[str, str] | None
) -> None:
    """The boundaries that real cities publish give a key for each of their places."""
    folder = real_records(file.split("/", maxsplit=1)[0])
    named = ("--label", label) if label else ()
    answer = town.publisher("keyset", "places", "--from", file, "--key", key, *named, PUBLISHER_DATA=str(folder))
    assert answer.code == 0, answer.err
    made = _made(town, "places")
    assert len(made.keys) == count
    if first is not None:
        assert (made.keys[0], made.labels[0] if made.labels else "") == first


def test_no_key_is_lost_when_the_disk_is_full(town: Town) -> None:
    """If the file cannot be written, the keyset stays as it was."""
    rows = [f"K{n:06},{'x' * 50}" for n in range(2_000)]
    (town.root / "list.csv").write_text(_codes(rows))
    ask = ("keyset", "sorts", "--from", "list.csv", "--key", "code", "--label", "meaning", "--replace", "--yes")
    before = town.tree("datasets")
    answer = town.publisher(*ask, before="trap '' XFSZ; ulimit -f 20")
    assert answer.code == 5, answer.err
    assert town.tree("datasets") == before
    assert town.publisher(*ask).code == 0
