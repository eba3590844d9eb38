"""SoQL's functions: each with a result that was worked out by hand, with Python's decimals or with shapely."""

from __future__ import annotations

from decimal import Decimal
from statistics import median, pstdev, stdev
from typing import TYPE_CHECKING, Any

import pytest
from test_portal_soql import Asker

if TYPE_CHECKING:
    import requests
    from portal_process import Running

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [0, 2], [2, 2], [2, 0], [0, 0]]]}
TWO = {"type": "MultiPolygon", "coordinates": [SQUARE["coordinates"], [[[5, 5], [5, 6], [6, 6], [5, 5]]]]}
BEND = {"type": "LineString", "coordinates": [[0, 0], [1, 0.001], [2, 0]]}
ROWS: list[dict[str, Any]] = [
    {
        "id": "a",
        "word": "Thérèse runs",
        "n": "1",
        "m": "2.5",
        "day": "2024-02-29T13:45:59.000",
        "at": "2024-07-01T03:00:00Z",
        "yes": True,
        "point": {"type": "Point", "coordinates": [1, 1]},
        "area": SQUARE,
        "areas": TWO,
        "way": BEND,
        "link": {"url": "https://example.org/a", "description": "A"},
    },
    {
        "id": "b",
        "word": "a dog's run",
        "n": "2",
        "m": "4.5",
        "yes": False,
        "day": "2023-12-31T00:00:00.000",
        "link": {"url": "https://other.test/b", "description": "Holes in streets"},
    },
    {"id": "c", "word": "RUNNING late", "n": "4", "m": "8.5", "area": SQUARE},
    {"id": "d"},
]
KINDS = {
    "id": "text",
    "word": "text",
    "n": "number",
    "m": "number",
    "day": "calendar_date",
    "at": "date",
    "yes": "checkbox",
    "point": "point",
    "area": "polygon",
    "areas": "multipolygon",
    "way": "line",
    "link": "url",
}


@pytest.fixture(scope="module")
def ask(web: requests.Session, portal: Running) -> Asker:
    """Questions to a dataset with a column of almost every kind."""
    columns = [{"fieldName": name, "name": name, "dataTypeName": kind} for name, kind in KINDS.items()]
    with portal.client() as client:
        view = client.create("Kinds", columns=columns, row_identifier="id")
        client.upsert(view["id"], ROWS)
        client.publish(view["id"])
        client.set_permission(view["id"], "public")
    return Asker(web, f"{portal.address}/resource/{view['id']}.json")


FIRST: list[tuple[str, Any]] = [
    # text
    ("lower('ÀB')", "àb"),
    ("upper('àb')", "ÀB"),
    ("trim('  x y ')", "x y"),
    ("trim_leading(' x ')", "x "),
    ("trim_trailing(' x ')", " x"),
    ("unaccent(word)", "Therese runs"),
    ("length(word)", "12"),
    ("starts_with(word, 'Th')", True),
    ("contains(word, 'th')", False),
    ("caseless_eq(word, 'THÉRÈSE RUNS')", True),
    ("caseless_ne(word, 'x')", True),
    ("caseless_starts_with(word, 'tH')", True),
    ("caseless_contains(word, 'RUN')", True),
    ("caseless_one_of(word, 'x', 'thérèse RUNS')", True),
    ("caseless_not_one_of(word, 'x', 'thérèse RUNS')", False),
    ("substring('world', 2)", "orld"),
    ("substring('world', 2, 1)", "o"),
    ("substring('world', 0, 3)", "wo"),
    ("split_part('a-b-c', '-', 3)", "c"),
    ("replace('banana', 'an', 'o')", "booa"),
    ("left_pad('7', 3, 'xy')", "xy7"),
    ("right_pad('abcd', 2, 'x')", "ab"),
    ("left_pad('a', 3, '')", "a"),
    ("'a' || 1.50 || yes", "a1.5true"),
    ("word like 'Th%runs'", True),
    ("word not like '%x%'", True),
    (r"'a\b' || \"it's\" || 'it''s'".replace('\\"', '"'), r"a\bit'sit's"),
    # numbers
    ("abs(-2.5)", "2.5"),
    ("ceil(1.2)", "2"),
    ("floor(-1.2)", "-2"),
    ("round(2.675, 2)", "2.68"),
    ("round(25, -1)", "30"),
    ("ln(1)", "0"),
    ("greatest(1, null, 3, 2)", "3"),
    ("least('b', 'a')", "a"),
    ("width_bucket(5.35, 0.024, 10.06, 5)", "3"),
    ("width_bucket(0.3, 0, 1, 10)", "4"),
    ("width_bucket(-1, 0, 10, 4)", "0"),
    ("width_bucket(10, 0, 10, 4)", "5"),
    ("0.6 / 3", "0.2"),
    ("1.1 * 1.1", "1.21"),
    ("-7 % 4", "-3"),
    ("n / 0", None),
    ("n % 0", None),
    # precedence: unary before ^, ^ from the right, comparisons before IS and BETWEEN
    ("-2 ^ 2", "4"),
    ("2 ^ 3 ^ 0", "2"),
    ("2 * 3 ^ 2", "18"),
    ("n = 5 is null", False),
    ("not n = 5", True),
    ("not not yes", True),
    ("1 = 1 in (true)", True),
    ("- '3'::number", "-3"),
    # dates
    ("date_trunc_y(day)", "2024-01-01T00:00:00.000"),
    ("date_trunc_ym(day)", "2024-02-01T00:00:00.000"),
    ("date_trunc_ymd(day)", "2024-02-29T00:00:00.000"),
    ("date_trunc_ymd(at, 'America/Chicago')", "2024-06-30T00:00:00.000"),
    ("datez_trunc_ymd(at)", "2024-07-01T00:00:00.000Z"),
    ("date_extract_y(day)", "2024"),
    ("date_extract_m(day)", "2"),
    ("date_extract_d(day)", "29"),
    ("date_extract_hh(day)", "13"),
    ("date_extract_mm(day)", "45"),
    ("date_extract_ss(day)", "59"),
    ("date_extract_dow(day)", "4"),
    ("date_extract_woy(day)", "9"),
    ("date_extract_iso_y('2024-12-30')", "2025"),
    ("date_diff_d('2021-12-25T01:00', '2021-12-24T23:00')", "0"),
    ("date_diff_d(day, '2024-02-01')", "28"),
    ("date_add(day, 'P1Y')", "2025-02-28T13:45:59.000"),
    ("date_add(day, 'P1M1DT1S')", "2024-03-30T13:46:00.000"),
    ("day + 'P2W'", "2024-03-14T13:45:59.000"),
    ("day - 'PT1.5S'", "2024-02-29T13:45:57.500"),
    ("to_floating_timestamp(at, 'America/Chicago')", "2024-06-30T22:00:00.000"),
    ("at > '2024-06-30T21:59:59-05:00'", True),
    ("epoch_seconds(at)", "1719802800"),
    # conditions
    ("case(n > 5, 'big', n > 0, 'small')", "small"),
    ("case when n > 5 then 'big' end", None),
    ("iif(yes, 1, 2)", "1"),
    ("coalesce(null, word, 'x')", "Thérèse runs"),
    ("nullif(n, 1)", None),
    # casts
    ("n::text || m::text", "12.5"),
    ("'1.50'::number + 1", "2.5"),
    ("id::number", None),
    ("(m::text)::number * 2", "5"),
    ("'true'::boolean", True),
    ("'2024-01-02'::floating_timestamp", "2024-01-02T00:00:00.000"),
    ("to_number('7') + 1", "8"),
    ("day::text", "2024-02-29T13:45:59.000"),
    ("'POINT (1 2)'::point", {"type": "Point", "coordinates": [1, 2]}),
    # geography
    ("make_point(1.5, 2)", {"type": "Point", "coordinates": [2, 1.5]}),
    ("point.latitude", "1"),
    ("point.longitude", "1"),
    ("link.url", "https://example.org/a"),
    ("link.description", "A"),
    ("within_box(point, 2, 0, 0, 2)", True),
    ("within_box(area, 2, 0, 0, 1.9)", False),
    ("within_box(areas, 6, 0, 0, 6)", True),
    ("within_circle(point, 1, 1.1, 11132)", True),
    ("within_circle(point, 1, 1.1, 11129)", False),
    ("within_circle(area, 1, 1, 157000)", True),
    ("within_circle(area, 1, 1, 156000)", False),
    ("within_polygon(point, area)", True),
    ("within_polygon(point, 'MULTIPOLYGON(((0 0, 0 .5, .5 .5, .5 0, 0 0)))')", False),
    ("within_polygon(way, 'POLYGON((-1 -1, -1 3, 3 3, 3 -1, -1 -1))')", True),
    ("intersects(way, 'POINT (0 0)')", True),
    ("intersects(areas, 'LINESTRING (7 7, 9 9)')", False),
    ("num_points(areas)", "9"),
    ("is_empty(area)", False),
    ("simplify(way, 0.1)", {"type": "LineString", "coordinates": [[0, 0], [2, 0]]}),
    ("num_points(simplify_preserve_topology(area, 100))", "4"),
    ("convex_hull(area)", {"type": "MultiPolygon", "coordinates": [SQUARE["coordinates"]]}),
    ("convex_hull(point)", None),
    ("is_empty('MULTIPOLYGON EMPTY')", True),
    ("geo_multi(point)", {"type": "MultiPoint", "coordinates": [[1, 1]]}),
    ("crosses(way, 'LINESTRING (1 -1, 1 1)')", True),
    ("overlaps(area, 'POLYGON ((1 1, 1 3, 3 3, 3 1, 1 1))')", True),
    ("overlaps(area, area)", False),
    (
        "polygon_intersection(area, 'POLYGON ((1 1, 1 3, 3 3, 3 1, 1 1))')",
        {"type": "MultiPolygon", "coordinates": [[[[2, 2], [2, 1], [1, 1], [1, 2], [2, 2]]]]},
    ),
    ("polygon_intersection(area, 'POLYGON ((8 8, 8 9, 9 9, 8 8))')", None),
    (
        "reduce_precision('POINT (1.26 2.24)'::point, 0.5)",
        {"type": "Point", "coordinates": [1.5, 2]},
    ),
    # links are compared by their address
    ("link = 'https://example.org/a'", True),
    ("link in ('https://example.org/b', 'x')", False),
    ("link between 'http' and 'https://f'", True),
    ("link < 'https://f'", True),
    ("greatest(link, 'a')", "https://example.org/a"),
    ("nullif(link, 'https://example.org/a')", None),
    ("url('https://example.org', 'B')", {"url": "https://example.org", "description": "B"}),
    # text in double quotes has JSON's escapes
    (r'"a\nb\u00e9\""', 'a\nbé"'),
    ("chr(233) || chr(55296)", None),
    ("chr(233)", "é"),
    # from a Thursday to a Sunday and back, both included
    ("date_diff_business_days(day, '2024-02-25')", "4"),
    ("date_diff_business_days('2017-12-13'::floating_timestamp, '2017-12-25'::floating_timestamp)", "-9"),
    ("round(m + 0.25, n)", "2.8"),
]


def test_functions_of_one_row(ask: Asker) -> None:
    """Every function, operator and cast gives the value that was worked out apart."""
    names = [f"f{number}" for number in range(len(FIRST))]
    selected = ", ".join(f"{text} as {name}" for (text, _), name in zip(FIRST, names, strict=True))
    (row,) = ask(select=selected, where="id = 'a'")
    wrong = {text: row.get(name) for (text, wanted), name in zip(FIRST, names, strict=True) if row.get(name) != wanted}
    assert wrong == {}


def test_distances_are_those_of_the_ellipsoid(ask: Asker) -> None:
    """Known lengths of WGS 84: a degree on the equator and on a meridian, London to New York, nothing to itself, and
    half a meridian to the other side of the Earth."""
    for pair, meters in (
        (("0 0", "1 0"), 111319.49079327357),
        (("0 0", "0 1"), 110574.38855779878),
        (("-0.1278 51.5074", "-74.006 40.7128"), 5585233.5789313),
        (("5 5", "5 5"), 0.0),
        (("0 0", "180 0"), 20003931.4586254),
    ):
        found = ask.one(f"distance_in_meters('POINT ({pair[0]})'::point, 'POINT ({pair[1]})')")
        assert float(found) == pytest.approx(meters, rel=1e-9, abs=1e-6)
    shape = ask.one("distance_in_meters(area, 'POINT (3 0)')", where="id = 'a'")
    assert float(shape) == pytest.approx(111319.49079327357, rel=1e-6)


def test_areas_are_those_of_the_ellipsoid(ask: Asker) -> None:
    """A square degree at the equator in square meters; a hole counts against it; a point has none."""
    degree = "POLYGON ((0 0, 0 1, 1 1, 1 0, 0 0))"
    assert float(ask.one(f"area('{degree}'::polygon)")) == pytest.approx(12308778361.469452, rel=1e-9)
    holed = "POLYGON ((0 0, 0 1, 1 1, 1 0, 0 0), (0.5 0.5, 0.5 0.6, 0.6 0.6, 0.6 0.5, 0.5 0.5))"
    assert float(ask.one(f"area('{holed}'::polygon)")) == pytest.approx(12308778361 - 123090000, rel=1e-4)
    assert ask.one("area(point)") == "0"


def test_aggregates(ask: Asker) -> None:
    """Sums and medians are exact; deviations and regressions agree with Python's to 12 digits; nulls do not count."""
    n, m = [1, 2, 4], [Decimal("2.5"), Decimal("4.5"), Decimal("8.5")]
    names = "sum(m), avg(m), median(m), min(m), max(m), stddev_pop(m), stddev_samp(m)"
    (row,) = ask(select=f"{names}, count(*), count(m), count(distinct yes), median(word), max(day), min(word)")
    assert row["sum_m"] == "15.5"
    assert row["avg_m"] == "5.16666666666667"
    assert Decimal(row["median_m"]) == median(m)
    assert (row["min_m"], row["max_m"], row["count"], row["count_m"]) == ("2.5", "8.5", "4", "3")
    assert float(row["stddev_pop_m"]) == pytest.approx(float(pstdev(m)), rel=1e-12)
    assert float(row["stddev_samp_m"]) == pytest.approx(float(stdev(m)), rel=1e-12)
    assert (row["count_distinct_yes"], row["max_day"], row["min_word"]) == (
        "2",
        "2024-02-29T13:45:59.000",
        "RUNNING late",
    )
    assert ask.one("median(n)", where="n < 4") == "1.5"
    assert [2 * x + Decimal("0.5") for x in n] == m
    (line,) = ask(select="regr_slope(m, n) as s, regr_intercept(m, n) as i, regr_r2(m, n) as r")
    assert line == {"s": "2", "i": "0.5", "r": "1"}
    assert ask.one("sum(m) filter (where yes)") == "2.5"
    assert (ask.one("bool_and(yes)"), ask.one("bool_or(yes)")) == (False, True)
    assert (ask.one("min(link)"), ask.one("max(link)")) == ("https://example.org/a", "https://other.test/b")
    assert ask.one("count(*) filter (where n > 1)") == "2"
    assert ask(select="sum(n), avg(n), regr_slope(n, m)", where="false") == [{}]


def test_an_aggregate_may_stand_in_the_order_alone(ask: Asker) -> None:
    """Of groups or of all rows, selected or not; and a link is filtered by its address in a parameter."""
    assert [row.get("yes") for row in ask(select="yes", group="yes", order="count(*) desc, yes")] == [None, False, True]
    assert ask(select="max(n)", order="max(n)") == [{"max_n": "4"}]
    assert [row["id"] for row in ask(select="id", _link="https://example.org/a")] == ["a"]


def test_a_cell_is_searched_as_words(ask: Asker) -> None:
    """A description of a link; a decimal is one word, and its parts are none."""
    assert [row["id"] for row in ask(select="id", q="example.org")] == ["a"]
    assert [[row["id"] for row in ask(select="id", q=number)] for number in ("4.5", "4", "8.50")] == [
        ["b"],
        ["c"],
        ["c"],
    ]


def test_extent_encloses_every_shape(ask: Asker) -> None:
    """The box of all rows' shapes, of points and of areas."""
    box = ask.one("extent(areas)")
    assert box["coordinates"] == [[[[0, 0], [0, 6], [6, 6], [6, 0], [0, 0]]]]
    assert ask.one("extent(point)")["coordinates"] == [[[[1, 1]] * 5]]
    assert ask.one("extent(area)", where="id = 'd'") is None
    assert ask.one("num_points(spatial_union(area))") == "5"
    assert ask.one("spatial_union(point)") == {"type": "MultiPoint", "coordinates": [[1, 1]]}


SEARCHES = [
    ("run", "abc"),
    ("RUNS", "abc"),
    ("therese", "a"),
    ("Thérèse running", "a"),
    ("dogs run", "b"),
    ('"late run"', ""),
    ('"run late"', "c"),
    ("ru", ""),
    ("2.5", "a"),
    ("5", ""),
    ("example", "a"),
    ("street hole", "b"),
    ("!!!", ""),
]


@pytest.mark.parametrize(("words", "found"), SEARCHES, ids=[words for words, _ in SEARCHES])
def test_search_finds_stems(ask: Asker, words: str, found: str) -> None:
    """`$q` and SEARCH look for whole words by their stem, whatever the case and accents; quotes make a phrase."""
    assert "".join(row["id"] for row in ask(select="id", q=words)) == found
    assert "".join(row["id"] for row in ask(query=f"SELECT id SEARCH '{words}'")) == found
