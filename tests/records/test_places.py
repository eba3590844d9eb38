"""Every record gets exactly one place or none: points, addresses and codes, by public boundaries."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from invented import HEADER, City, definition
from pyproj import Transformer
from real_records import DATA
from shapely import contains_xy, make_valid
from shapely.geometry import shape

from publisher.errors import SourceError
from publisher.records.places import boundaries_fingerprint, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COUNTY = {"source": "Example County, CC0"}
BOUNDARIES = {"path": "zones.geojson", "key": "zone", "source": "Example City, CC0"}
POINT = {"point": {"x": "who", "y": "what", "unknown": ((0, 0), (3, 3))}, "boundaries": BOUNDARIES}
OPEN = {"who": {"class": "public", "statute": "none"}}


def _square(zone: object, x: float, y: float, size: float = 10) -> dict[str, Any]:
    ring = [[x, y], [x + size, y], [x + size, y + size], [x, y + size], [x, y]]
    return {"type": "Feature", "properties": {"zone": zone}, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def _zones(city: City, *features: dict[str, Any]) -> None:
    city.put(json.dumps({"type": "FeatureCollection", "features": features}), "zones.geojson")


def _points(city: City, *pairs: tuple[object, object]) -> None:
    rows = "".join(f"{n},{x},2018-01-01,{y},s\n" for n, (x, y) in enumerate(pairs))
    city.put(f"{HEADER}\n{rows}")


def _source(place: dict[str, Any], **changes: Any) -> Any:
    base = definition()
    columns = {name: column.model_dump(by_alias=True) for name, column in base.definition.columns.items()}
    return definition(columns={**columns, **OPEN}, places={"zone": place}, **changes)


def test_points_in_polygons(city: City) -> None:
    """Inside, outside, unknown, not a number, infinite, absurd, missing: one place or none, without a warning."""
    _zones(city, _square(21.0, 0, 0), _square("b", 20, 0))
    pairs = [
        (5, 5),
        (25, 5),
        (15, 5),
        (0, 0),
        (3, 3),
        ("nan", 5),
        ("inf", "inf"),
        ("1e300", 5),
        (5, ""),
        ("x", "y"),
        (5, 5),
    ]
    _points(city, *pairs, (" 5 ", "5.0"), (999, -999))
    city.source = _source(POINT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = city.report(city.land())[0]
    places = [row[1] for row in city.rows("id::INTEGER, _place_zone")]
    assert places == ["21", "b", None, None, None, None, None, None, None, None, "21", "21", None]
    assert report["unlocated"] == {"zone": 9}


def test_shared_borders_and_overlaps_give_the_smallest_key(city: City) -> None:
    """Whatever the order of the polygons; a key may have several of them."""
    zones = [_square("b", 0, 0), _square("a", 10, 0), _square("c", 5, 5), _square("b", 40, 0)]
    for number, order in enumerate([zones, zones[::-1]]):
        one = City(city.root / str(number), _source(POINT))
        _zones(one, *order)
        _points(one, (10, 5), (7, 7), (12, 12), (45, 5), (10, 10), (0, 10))
        one.land()
        assert [row[1] for row in one.rows("id, _place_zone")] == ["a", "b", "c", "b", "a", "b"]


def test_an_invalid_polygon_is_repaired(city: City) -> None:
    """A bow tie becomes its two triangles; features without shape or key are passed over."""
    bow = _square("bow", 0, 0)
    bow["geometry"]["coordinates"] = [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]
    _zones(city, bow, {**_square("none", 0, 0), "geometry": None}, _square(None, 0, 0, 100))
    _points(city, (9, 5), (1, 5), (5, 9))
    city.source = _source(POINT)
    city.land()
    assert [row[1] for row in city.rows("id, _place_zone")] == ["bow", "bow", None]


def test_addresses_through_a_list(city: City) -> None:
    """Compared without case, punctuation and blanks; of several entries the smallest place that there is."""
    _zones(city, _square("a", 0, 0), _square("b", 20, 0))
    city.put(
        "no,Street,lon,lat\n1,12  Main St.,25,5\n2,12 MAIN ST,5,5\n3,12 main st,999,5\n4,9 Elm,NA,NA\n5,9 Elm,25,5\n",
        "list.csv",
    )
    city.put(
        f'{HEADER}\n1,12 main st,2018-01-01,x,s\n2,"9, ELM",2018-01-01,x,s\n3,7 Oak,2018-01-01,x,s\n4,,2018-01-01,x,s\n'
    )
    address = {
        "column": "who",
        "list": {"path": "list.csv", "address": "Street", "x": "lon", "y": "lat", "nulls": ("NA",), **COUNTY},
    }
    city.source = _source({"address": address, "boundaries": BOUNDARIES})
    city.land()
    assert [row[1] for row in city.rows("id, _place_zone")] == ["a", "b", None, None]
    address["list"]["x"] = "east"  # type: ignore[index]
    city.source = _source({"address": address, "boundaries": BOUNDARIES})
    with pytest.raises(SourceError, match="the address list has no column east"):
        city.land()


def test_who_published_the_address_list_decides_nothing(city: City) -> None:
    """Naming its source, or the labels of polygons, changes no fingerprint: landed files and releases stay."""
    _zones(city, _square("a", 0, 0))
    city.put("Street,lon,lat\n1 Elm,5,5\n", "list.csv")
    found = set()
    for source, more in (("Example County, CC0", {}), ("Elsewhere, CC BY 4.0", {"label": "NAME"})):
        listed = {"path": "list.csv", "address": "Street", "x": "lon", "y": "lat", "source": source}
        place = {"address": {"column": "who", "list": listed}, "boundaries": {**BOUNDARIES, **more}}
        found.add((fingerprint(_source(place), city.data), boundaries_fingerprint(_source(place), city.data)))
    assert len(found) == 1


def test_an_address_list_made_of_records_is_refused(city: City) -> None:
    """A list with a column that identifies records: each would decide where those at the same address are."""
    _zones(city, _square("a", 0, 0))
    _points(city, ("1 Elm", 5))
    city.put("who,Street,lon,lat\nAnn,1 Elm,5,5\n", "list.csv")
    address = {"column": "what", "list": {"path": "list.csv", "address": "Street", "x": "lon", "y": "lat", **COUNTY}}
    source = _source({"address": address, "boundaries": BOUNDARIES}).definition
    who = source.columns["who"].model_copy(update={"identifier": True})
    changed = source.model_copy(update={"columns": {**source.columns, "who": who}})
    city.source = replace(city.source, definition=changed)
    with pytest.raises(SourceError, match=r"^list\.csv: the address list has the column who, .*made of records"):
        city.land()
    assert not list((city.private / "landed").glob("*/*"))


def test_codes(city: City) -> None:
    """Trimmed, whole numbers without decimals; anything else as it is."""
    _points(city, ("21.0", ""), (" 21 ", ""), ("2.50", ""), ("", ""), ("-3.00", ""), ("North", ""))
    city.source = _source({"code": "who"})
    city.land()
    assert [row[1] for row in city.rows("id, _place_zone")] == ["21", "21", "2.50", None, "-3", "North"]


def test_identifiers_may_decide_places(city: City) -> None:
    """The place is found before the identifier becomes a pseudonym; later it cannot be found anew."""
    _zones(city, _square("a", 0, 0))
    _points(city, (5, 5))
    city.source = definition(places={"zone": POINT})
    city.land()
    assert city.rows("_place_zone") == [("a",)]
    assert len(city.rows("who")[0][0]) == 32
    _zones(city, _square("b", 0, 0))
    before = city.tree()
    with pytest.raises(SourceError, match="cannot be placed again"):
        city.land()
    assert city.tree() == before


def test_new_boundaries_place_landed_records_anew(city: City) -> None:
    """Also when the raw file is gone and a new one has come; all else stays, and no old file is left."""
    _zones(city, _square("a", 0, 0))
    path = city.put(f"{HEADER}\n1,5,2018-01-01,5,s\n2,25,2018-02-01,5,s\n3,5,,5,s\n")
    city.source = _source(POINT)
    first = city.land()
    assert first.new == 1
    before = city.landed("id, _record, _event, who")
    old = city.raw().fingerprint
    assert old == fingerprint(city.source, city.data)
    path.unlink()
    city.put(f"{HEADER}\n4,5,2018-01-01,5,s\n", "raw/b.csv")
    _zones(city, _square("b", 0, 0, 30))
    city.land()
    assert city.landed("id, _record, _event, who")[:3] == before
    assert city.landed("id, _place_zone") == [("1", "b"), ("2", "b"), ("3", "b"), ("4", "b")]
    assert city.raw().fingerprint == fingerprint(city.source, city.data) != old
    city.source = _source(POINT)
    extra = city.source.definition.model_copy(
        update={"places": {**city.source.definition.places, "code": _source({"code": "who"}).definition.places["zone"]}}
    )
    city.source = replace(city.source, definition=extra)
    city.land()
    assert city.rows("id, _place_zone, _place_code") == [("1", "b", "5"), ("2", "b", "25"), ("4", "b", "5")]


def test_the_fingerprint_of_the_boundaries_knows_nothing_of_the_lists(city: City) -> None:
    """It follows the boundaries and the definition of every place, but not an address list, which may even be gone."""
    _zones(city, _square("a", 0, 0))
    listed = city.put("Street,lon,lat\n12 Main,5,5\n", "list.csv")
    address = {"column": "who", "list": {"path": "list.csv", "address": "Street", "x": "lon", "y": "lat", **COUNTY}}
    place = {"address": address, "boundaries": BOUNDARIES}
    source = _source(place)
    first, full = boundaries_fingerprint(source, city.data), fingerprint(source, city.data)
    assert len(first) == 64
    city.put("Street,lon,lat\n12 Main,5,5\n9 Elm,5,5\n", "list.csv")
    assert boundaries_fingerprint(source, city.data) == first
    assert fingerprint(source, city.data) != full
    listed.unlink()
    said = _source({**place, "boundaries": {**BOUNDARIES, "crs": "OGC:CRS84"}})
    assert boundaries_fingerprint(said, city.data) == boundaries_fingerprint(source, city.data) == first
    other = _source({**place, "address": {**address, "list": {**address["list"], "x": "east"}}})  # type: ignore[dict-item]
    more = replace(source, definition=source.definition.model_copy(update={"places": {}}))
    found = {boundaries_fingerprint(each, city.data) for each in (source, other, more)}
    _zones(city, _square("b", 0, 0))
    assert len(found | {boundaries_fingerprint(source, city.data)}) == 4
    (city.data / "zones.geojson").unlink()
    with pytest.raises(SourceError, match=r"zones\.geojson: cannot be read .*PUBLISHER_DATA"):
        boundaries_fingerprint(source, city.data)


def test_an_open_quote_in_an_address_list_is_one_error(city: City) -> None:
    """The addresses after it would be unknown in silence."""
    _zones(city, _square("a", 0, 0))
    _points(city, ("12 Main", 5))
    city.put('Street,lon,lat\n"9 Elm,5,5\n12 Main,5,5\n', "list.csv")
    address = {"column": "who", "list": {"path": "list.csv", "address": "Street", "x": "lon", "y": "lat", **COUNTY}}
    city.source = _source({"address": address, "boundaries": BOUNDARIES})
    with pytest.raises(
        SourceError, match=r"list\.csv: the address list has a quote that is out of place or never closed"
    ):
        city.land()


@pytest.mark.parametrize("names", [("x", "y"), ("X", "Place"), ("address", "_event_"), ("_row", "zone")])
def test_columns_may_have_any_name(city: City, names: tuple[str, str]) -> None:
    """A name that points, addresses or rows go by inside stands for the city's column all the same."""
    _zones(city, _square("a", 0, 0))
    city.put(f"id,{','.join(names)},when,what,secret\n1,5,5,2018-01-01,w,s\n2,15,5,2018-01-01,w,s\n")
    city.put("Street,lon,lat\n5,5,5\n", "list.csv")
    columns = {"id": OPEN["who"], **dict.fromkeys(names, OPEN["who"]), "when": OPEN["who"], "what": OPEN["who"]}
    columns["secret"] = {"class": "private", "statute": "none", "read": False}
    address = {"column": names[0], "list": {"path": "list.csv", "address": "Street", "x": "lon", "y": "lat", **COUNTY}}
    for place in ({"point": {"x": names[0], "y": names[1]}}, {"address": address}):
        one = City(city.root)
        one.source = definition(columns=columns, places={"zone": {**place, "boundaries": BOUNDARIES}})
        one.land()
        assert city.landed("_place_zone") == [("a",), (None,)]
        shutil.rmtree(city.private)


def test_a_batch_without_records_is_placed_anew(city: City) -> None:
    """There is nothing to place, and its fingerprint follows."""
    _zones(city, _square("a", 0, 0))
    _points(city)
    city.source = _source(POINT)
    city.land()
    _zones(city, _square("b", 0, 0))
    city.land()
    assert city.rows() == []
    assert city.raw().fingerprint == fingerprint(city.source, city.data)


def test_placing_anew_that_was_cut_off_is_finished_by_the_next_landing(city: City) -> None:
    """Files of another fingerprint than the batch's own are not read, and go."""
    _zones(city, _square("a", 0, 0))
    _points(city, (5, 5), (6, 6))
    city.source = _source(POINT)
    city.land()
    file = next(city.private.glob("landed/*/*/month=2018-01/*.parquet"))
    stray = file.with_name("0123456789abcdef-0.parquet")
    stray.write_bytes(file.read_bytes())
    assert len(city.rows()) == 2
    city.land()
    assert not stray.exists()
    assert len(city.landed()) == 2


NOWHERE = "the address list has no address with coordinates"


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("\ufeff", "is empty"),
        ("Street,lon,lat", NOWHERE),
        ("Street,lon,lat\n\n", NOWHERE),
        ("Street,lon,lat\n,5,5\n", NOWHERE),
        ("Street,lon,lat\n12 Main,,\n9 Elm,east,nan\n", NOWHERE),
    ],
)
def test_an_address_list_without_addresses_is_one_error(city: City, listed: str, message: str) -> None:
    """Every record would be without a place, in silence; nothing is landed, and the same file filled is."""
    _zones(city, _square("a", 0, 0))
    _points(city, ("12 Main", 5))
    city.put(listed, "list.csv")
    address = {"column": "who", "list": {"path": "list.csv", "address": "Street", "x": "lon", "y": "lat", **COUNTY}}
    city.source = _source({"address": address, "boundaries": BOUNDARIES})
    with pytest.raises(SourceError, match=rf"^list\.csv: {message}.*: fetch the file again$"):
        city.land()
    assert not list(city.private.glob("landed/*/*"))
    city.put("Street,lon,lat\n12 Main,5,5\n", "list.csv")
    city.land()
    assert city.rows("_place_zone") == [("a",)]


def _one(geometry: str, zone: str = '"a"') -> str:
    return f'{{"features": [{{"properties": {{"zone": {zone}}}, "geometry": {geometry}}}]}}'


def _ring(corner: str) -> str:
    return f'{{"type": "Polygon", "coordinates": [[[0, 0], [{corner}, 0], [9, 9], [0, 0]]]}}'


FAULTS = {
    "missing": (None, "zones.geojson: cannot be read .*PUBLISHER_DATA"),
    "junk": ("junk", "not GeoJSON"),
    "other property": ('{"features": [{"properties": {"x": 1}, "geometry": null}]}', "have no property 'zone'"),
    "empty": ("", "zones.geojson: is empty: fetch"),
    "blank": (" \n", "zones.geojson: is empty: fetch"),
    "no features": ('{"features": []}', "have no polygon"),
    "no key": (_one(_ring("9"), "null"), "have no polygon whose property 'zone' names a place"),
    "a key that is no text": (_one(_ring("9"), '"\\ud800"'), "not GeoJSON"),
    "no area": (_one('{"type": "Polygon", "coordinates": []}'), "have no polygon"),
    "points": (_one('{"type": "Point", "coordinates": [5, 5]}'), "have no polygon"),
    "nested deeply": ("[" * 200_000, "not GeoJSON"),
    "coordinates nested deeply": (
        _one('{"type": "Polygon", "coordinates": ' + "[" * 9999 + "]" * 9999 + "}"),
        "not GeoJ",
    ),
    "not a number": (_one(_ring("NaN")), "a coordinate that is not a finite number"),
    "infinite": (_one(_ring("-Infinity")), "a coordinate that is not a finite number"),
    "out of range": (_one(_ring("1e999")), "a coordinate that is not a finite number"),
    "a whole number out of range": (_one(_ring("1" + "0" * 400)), "not GeoJSON"),
    "not polygons": ('{"features": [{"properties": {"zone": 1}, "geometry": {"type": "?"}}]}', "not GeoJSON polygons"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_boundaries_that_cannot_be_used_are_one_error(city: City, fault: str) -> None:
    """Each names the file and what is wrong; nothing is landed."""
    content, message = FAULTS[fault]
    if content is not None:
        city.put(content, "zones.geojson")
    _points(city, (5, 5))
    city.source = _source(POINT)
    with pytest.raises(SourceError, match=message):
        city.land()
    assert not list(city.private.glob("landed/*/*"))


def test_an_unknown_coordinate_system_is_named(city: City) -> None:
    """Whatever pyproj does not know."""
    _zones(city, _square("a", 0, 0))
    _points(city, (5, 5))
    city.source = _source({**POINT, "point": {"x": "who", "y": "what", "crs": "EPSG:1"}})
    with pytest.raises(SourceError, match="'EPSG:1' is not known"):
        city.land()


def _real_places(path: Path, key: str, x: NDArray[np.float64], y: NDArray[np.float64], crs: str) -> NDArray[np.object_]:
    """The places of points by another way: every point against every repaired polygon, alone."""
    longitude, latitude = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(x, y)
    features = json.loads(path.read_bytes())["features"]
    found = np.full(len(x), None, dtype=object)
    for feature in sorted(features, key=lambda f: str(f["properties"][key]).removesuffix(".0"), reverse=True):
        inside = contains_xy(make_valid(shape(feature["geometry"])), longitude, latitude)
        found[inside] = str(feature["properties"][key]).removesuffix(".0")
    return found


def _columns(names: list[str], read: tuple[str, ...]) -> dict[str, Any]:
    return {name: {"class": "public", "statute": "none", "read": name in read} for name in names}


def _floats(values: list[str]) -> NDArray[np.float64]:
    return np.array([float(value) if value not in ("NULL", "NA", "") else np.nan for value in values])


def test_the_place_of_every_real_request_of_st_louis(real: City) -> None:
    """State-plane feet, null islands, repeated ids: equal, one by one, to places computed apart."""
    with (DATA / "stlouis-311" / "january_2018.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    read = ("REQUESTID", "DATETIMEINIT", "SRX", "SRY")
    boundaries = {"path": "stlouis-boundaries/stlouis_neighborhoods.geojson", "key": "NHD_NUM", **COUNTY}
    real.source = definition(
        columns=_columns(list(rows[0]), read),
        feed={"path": "stlouis-311/*.csv", "nulls": ("NULL", "NA")},
        record_id=("REQUESTID",),
        event={"column": "DATETIMEINIT", "formats": ("%Y-%m-%dT%H:%M:%SZ",)},
        places={
            "n": {
                "point": {"x": "SRX", "y": "SRY", "crs": "ESRI:102696", "unknown": ((1, 1),)},
                "boundaries": boundaries,
            }
        },
    )
    _check(real, rows, ("REQUESTID", "SRX", "SRY"), boundaries, "ESRI:102696", (1.0, 1.0))
    known = real.rows("count(*), count(_place_n)")[0]
    assert known[0] == 8714
    usable = real.rows("count(*) FILTER (WHERE TRY_CAST(SRX AS DOUBLE) > 1)")[0][0]
    assert round(known[1] / usable, 3) == 0.999


def test_the_place_of_every_real_request_of_boston(real: City) -> None:
    """Degrees, one default point for every seventh: equal, one by one, to places computed apart."""
    with gzip.open(DATA / "boston-311" / "boston_311_2015.csv.gz") as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline="")))
    boundaries = {"path": "boston-boundaries/boston_neighborhoods.geojson", "key": "name", **COUNTY}
    read = ("CASE_ENQUIRY_ID", "OPEN_DT", "LATITUDE", "LONGITUDE")
    default = (-71.0587, 42.3594)
    real.source = definition(
        columns=_columns(list(rows[0]), read),
        feed={"path": "boston-311/*.csv.gz"},
        record_id=("CASE_ENQUIRY_ID",),
        event={"column": "OPEN_DT", "formats": ("%m/%d/%Y %I:%M:%S %p",)},
        places={"n": {"point": {"x": "LONGITUDE", "y": "LATITUDE", "unknown": (default,)}, "boundaries": boundaries}},
    )
    _check(real, rows, ("CASE_ENQUIRY_ID", "LONGITUDE", "LATITUDE"), boundaries, "EPSG:4326", default)
    located = real.rows("count(*), count(_place_n)")[0]
    assert located[0] == 121_145
    assert round((located[1] + 17_070) / located[0], 4) == 0.9998


def _check(
    city: City,
    rows: list[dict[str, str]],
    names: tuple[str, str, str],
    boundaries: dict[str, str],
    crs: str,
    unknown: tuple[float, float],
) -> None:
    identity, x_name, y_name = names
    city.land()
    landed = city.rows(f'"{identity}", "{x_name}", "{y_name}", _place_n')
    x, y = (_floats([row[n] or "" for row in landed]) for n in (1, 2))
    expected = _real_places(DATA / boundaries["path"], boundaries["key"], x, y, crs)
    expected[(x == unknown[0]) & (y == unknown[1])] = None
    wrong = sum(row[3] != place for row, place in zip(landed, expected, strict=True))
    assert wrong == 0
    assert {row[0] for row in landed} == {row[identity].strip() for row in rows}
    raw = {(row[identity], row[x_name], row[y_name]) for row in rows}
    assert all((row[0], row[1] or "", row[2] or "") in raw or row[1] is None for row in landed)


def test_who_drew_the_boundaries_decides_nothing(city: City) -> None:
    """Naming their source changes no fingerprint: neither landed files nor releases become others by it."""
    _zones(city, _square("a", 0, 0))
    plain, credited = (
        _source({**POINT, "boundaries": BOUNDARIES | more}) for more in ({}, {"source": "Elsewhere, CC BY 4.0"})
    )
    assert fingerprint(plain, city.data) == fingerprint(credited, city.data)
    assert boundaries_fingerprint(plain, city.data) == boundaries_fingerprint(credited, city.data)
