"""The map: its colors, its periods, what is marked on it, and that it works without a script."""

from __future__ import annotations

import html
import json
import re
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
import shapely

from publisher.portal.pages.map import Times, _moved, class_breaks
from publisher.portal.pages.outlines import LARGEST, SIZE, outlines

if TYPE_CHECKING:
    from pathlib import Path

    from portal_process import Running

SHAPE = {
    "time": "period_start",
    "period": "period",
    "place": "zone",
    "keys": [{"name": "zone", "label": "Zone", "names": "zone_name"}, {"name": "kind", "label": "Kind"}],
    "measures": [
        {"name": "requests", "label": "Requests", "kind": "count", "unit": "requests", "low": "requests_low",
         "high": "requests_high", "status": "requests_status",
         "noise": {"step": 1, "least": 3.5, "most": 3.5, "same_release": 3.5, "other_release": 3.5}},
        {"name": "days", "label": "Median days", "kind": "quantile", "unit": "days", "range": "days_range"},
    ],
}  # fmt: skip
COLUMNS = {"id": "text", "period": "text", "period_start": "calendar_date", "zone": "text", "zone_name": "text",
           "kind": "text", "requests": "number", "requests_low": "number", "requests_high": "number",
           "requests_status": "text", "days": "number", "days_range": "text"}  # fmt: skip
ZONES = {"1": "Nord & <b>", "2": "Süd", "3": "West", "4": "Ost", "?": "No known place"}
EVIL = "<script>alert(1)</script>"


def rows(years: tuple[int, ...]) -> list[dict[str, Any]]:
    """Zone 3 is always suppressed, zone 2 always unreliable, zone 4 caution; a month more is ten requests more."""
    found = []
    for year in years:
        for month in range(1, 13):
            for number, (zone, name) in enumerate(ZONES.items()):
                for kind in ("a", "b"):
                    value = None if zone == "3" else (number + 1) * 100 + month * 10 + (year - 2020) + (kind == "b")
                    found.append({
                        "id": f"{year}-{month:02}.{number}.{kind}", "period": f"{year}-{month:02}",
                        "period_start": f"{year}-{month:02}-01", "zone": zone, "zone_name": name, "kind": kind,
                        "requests": value, "requests_low": None if value is None else value - 3,
                        "requests_high": None if value is None else value + 4,
                        "requests_status": {"3": "suppressed", "2": "unreliable", "4": "caution"}.get(zone, "ok"),
                        "days": month, "days_range": f"{month} to {month + 1}",
                    })  # fmt: skip
    return found


def squares() -> bytes:
    boxes = {"1": shapely.box(0, 1, 1, 2), "2": shapely.box(1, 1, 2, 2), "3": shapely.box(0, 0, 1, 1)}
    boxes |= {"4": shapely.box(1, 0, 2, 1), "9": shapely.box(2, 0, 3, 1)}
    features = [
        {"type": "Feature", "properties": {"zone": key}, "geometry": json.loads(shapely.to_geojson(box))}
        for key, box in boxes.items()
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def made(portal: Running, years: tuple[int, ...], file: bytes, **more: str) -> str:
    """A public dataset with a file of polygons."""
    told = {"key": "zone", "property": "zone", "filename": "zones.geojson", "source": f"The county {EVIL}"}
    fields = {"shape": json.dumps(SHAPE), "boundaries": json.dumps(told)} | more
    with portal.client() as client:
        view = client.create(
            f"Map of {years}",
            columns=[{"fieldName": name, "name": name.title(), "dataTypeName": kind} for name, kind in COLUMNS.items()],
            metadata={"rowIdentifier": "id", "custom_fields": {"Publisher": fields}},
        )
        client.upsert(view["id"], rows(years))
        sent = {"file": ("zones.geojson", file, "application/geo+json")}
        asset = requests.post(f"{portal.address}/api/assets", files=sent, auth=portal.login, timeout=20).json()["id"]
        listed = [{"filename": "zones.geojson", "name": "zones.geojson", "assetId": asset}]
        client.update_metadata(view["id"], {"metadata": view["metadata"] | {"attachments": listed}})
        client.publish(view["id"])
        client.set_permission(view["id"], "public")
        identifier: str = view["id"]
        return identifier


@pytest.fixture(scope="module")
def mapped(portal: Running) -> str:
    return made(portal, (2020, 2021, 2023), squares())


def section(portal: Running, identifier: str, **wanted: str) -> str:
    """The map of the page."""
    reply = requests.get(f"{portal.address}/d/{identifier}", params=wanted, timeout=20)
    assert reply.status_code == 200
    found = re.search(r'<section id="map".*?</section>', reply.text, re.DOTALL)
    return found[0] if found else ""


def titles(text: str) -> list[str]:
    """What each place on the map says of itself."""
    return re.findall(r"<title>(.*?)</title>", text)


def test_every_place_says_its_number(portal: Running, mapped: str) -> None:
    """Each polygon bears name, value, margin and status as text; a place without polygon stands beside the map."""
    text = section(portal, mapped, map_kind="a")
    assert titles(text) == [
        "9: not in the table",
        "Nord &amp; &lt;b&gt;: 223 (220 – 227), ± 2%",
        "Ost: 523 (520 – 527), ± 1%, caution",
        "Süd: 323 (320 – 327), ± 2%, unreliable",
        "West: suppressed",
    ]
    said = r"<span>No known place</span>: 623 \(620 – 627\), ± 1%</a>"
    assert re.search(rf'<ul class="aside">\s*<li><a [^>]*>{said}', text)
    assert EVIL not in text
    assert "The county &lt;script&gt;" in text


def test_what_is_uncertain_or_missing_has_a_pattern(portal: Running, mapped: str) -> None:
    """Unreliable places and those for caution are hatched over their color, each in its way, suppressed and absent ones
    dotted: never color alone."""
    text = section(portal, mapped, map_kind="a")
    places = re.findall(r'<a [^>]*?(?:fill="url\(#([a-z0-9-]+)\)"|class="(c\d)")><title>(\w+)', text)
    marks = {name: mark or color for mark, color, name in places}
    assert re.fullmatch(r"h\d", marks["Süd"])
    assert marks["West"] == marks["9"] == "gap"
    assert re.fullmatch(r"k\d", marks["Ost"])
    assert re.fullmatch(r"c\d", marks["Nord"])
    assert all(f'id="{mark}"' in text for mark in set(marks.values()) if not mark.startswith("c"))
    assert "thick stripes: unreliable" in text
    assert "thin stripes: caution" in text
    assert "dotted: suppressed" in text


def test_places_link_to_their_trend(portal: Running, mapped: str) -> None:
    """A place is a link, so it can be reached by keyboard; it leads to the trend of that very cell."""
    text = section(portal, mapped, map_kind="b", map_measure="days")
    link = re.findall(r'<a href="([^"]*)"[^>]*><title>Ost', text)[0].replace("&amp;", "&")
    page = requests.get(f"{portal.address}/d/{mapped}{link}", timeout=20).text
    chosen = re.findall(
        r'<option(?: value="[^"]*")? selected>(.*)', page.split('<section id="trend"')[1].split("</form>")[0]
    )
    assert chosen == ["Ost", "b", "Median days"]


def test_the_table_has_the_same_numbers(portal: Running, mapped: str) -> None:
    """Place, value, low, high and status of every place, those beside the map too; a quantile has its range."""
    text = section(portal, mapped, map_kind="a", map_period="2021-02")
    table = re.findall(r'<tr><th scope="row"><a [^>]*>(.*?)</a></th>(.*?)</tr>', text)
    cells = {name: re.findall(r"<td[^>]*>(.*?)</td>", rest) for name, rest in table}
    assert cells["Ost"] == ["421", "± 4 (1%)", "418", "425", "caution"]
    assert cells["West"] == ["", "", "", "", "suppressed"]
    assert cells["No known place"] == ["521", "± 4 (1%)", "518", "525", "ok"]
    text = section(portal, mapped, map_kind="a", map_period="2021-02", map_measure="days")
    assert "2 to 3" in text
    assert "Ost: 2, in the bin 2 to 3" in titles(text)


def test_the_slider_chooses_a_year(portal: Running, mapped: str) -> None:
    """Moved, it shows the same month of that year, of the nearest where that year has none; else the list decides."""
    wanted = {"map_kind": "a", "map_period": "2021-05"}
    assert "<strong>Requests</strong>" in section(portal, mapped, **wanted)
    for year, shown in (("2021", 2021), ("2020", 2020), ("2022", 2021), ("2023", 2023), ("x", 2021)):
        text = section(portal, mapped, **wanted, map_year=year)
        assert f'<option value="{shown}-05" selected>May {shown}' in text
        assert f'<output for="map-slide">{shown}</output>' in text
    assert re.search(r'<input type="range"[^>]*min="2020" max="2023"', text)


def test_colors_are_the_same_all_year(portal: Running, mapped: str) -> None:
    """Periods of a year share their classes, which say from where to where they reach and hold every value."""
    legends = []
    for month in ("01", "12"):
        text = section(portal, mapped, map_kind="a", map_period=f"2020-{month}")
        legends.append(re.findall(r"</svg> (\d+) – (\d+)</li>", text))
    assert legends[0] == legends[1]
    ends = [int(end) for pair in legends[0] for end in pair]
    assert ends == sorted(ends)
    assert (ends[0], ends[-1]) == (110, 520)


def test_values_of_several_cells_are_added_up(portal: Running, mapped: str) -> None:
    """All kinds added up: 223 + 224, with the range that follows from the noise of both."""
    text = section(portal, mapped, map_kind="*")
    half = 3.5 * 2**0.5 * 1.005 + 0.5
    assert (448 - 1 - half, 448 + 1 + half) == pytest.approx((441.5, 454.5), abs=0.05)
    assert "Nord &amp; &lt;b&gt;: 447 (442 – 454), ± 2%" in titles(text)
    assert "West: suppressed" in titles(text)
    refused = section(portal, mapped, map_kind="*", map_measure="days")
    assert "Median days: 12" not in refused
    assert "<svg" in refused  # a median is never added up: the map shows one cell


def test_totals_are_those_of_the_table_that_has_them(portal: Running) -> None:
    """Where a companion has the places' totals, the map shows its numbers, its suppressed ones too, and names it."""
    companions = json.dumps([{"name": "map-zones", "title": "By zone"}])
    identifier = made(portal, (2019,), squares(), dataset="map", companions=companions)
    told = {"dataset": "map-zones", "companions": json.dumps([{"name": "map", "title": "Map"}])}
    told["shape"] = json.dumps(SHAPE | {"keys": SHAPE["keys"][:1], "measures": SHAPE["measures"][:1]})
    columns = {name: kind for name, kind in COLUMNS.items() if name != "kind" and not name.startswith("days")}
    totals = [{name: row[name] for name in columns} for row in rows((2019,)) if row["kind"] == "a"]
    for row in totals:
        number = {"requests": 777, "requests_low": 770, "requests_high": 784, "requests_status": "ok"}
        row.update(dict.fromkeys(number) | {"requests_status": "suppressed"} if row["zone"] == "2" else number)
    with portal.client() as client:
        fields = [{"fieldName": name, "name": name.title(), "dataTypeName": kind} for name, kind in columns.items()]
        metadata = {"rowIdentifier": "id", "custom_fields": {"Publisher": told}}
        view = client.create("By zone", columns=fields, metadata=metadata)
        client.upsert(view["id"], totals)
        client.publish(view["id"])
        client.set_permission(view["id"], "public")
    text = section(portal, identifier, map_kind="*")
    assert "West: 777 (770 – 784), ± 1%" in titles(text)
    assert "Süd: suppressed" in titles(text)
    assert f'<a href="/d/{view["id"]}">By zone</a>' in text
    assert "added up" not in text.split("</form>")[1]
    assert "By zone" not in section(portal, identifier, map_kind="a")
    svg = requests.get(f"{portal.address}/d/{identifier}/map.svg?map_kind=*", timeout=60).text
    assert "measured as a whole" in svg
    assert "added up" not in svg
    svg = requests.get(f"{portal.address}/d/{identifier}/chart.svg?kind=*&zone=1", timeout=60).text
    assert "By zone" in svg
    assert "Latest: 777 (770 to 784)." in svg


def test_forms_keep_what_the_other_chose(portal: Running, mapped: str) -> None:
    """The form of the map carries the trend's choice along, and the other way round."""
    page = requests.get(f"{portal.address}/d/{mapped}", params={"zone": "2", "map_kind": "b"}, timeout=20).text
    trend, drawn = (page.split(f'<section id="{name}"')[1].split("</form>")[0] for name in ("trend", "map"))
    assert '<input type="hidden" name="map_kind" value="b">' in trend
    assert '<input type="hidden" name="zone" value="2">' in drawn


@pytest.mark.parametrize(
    "file",
    [
        b"no json",
        b"[1, 2]",
        b'{"features": []}',
        b'{"features": [{"properties": {}}]}',
        b'{"features": [{"properties": {"zone": "1"}, "geometry": {"type": "Polygon"}}]}',
    ],
)
def test_a_file_that_is_no_polygons_gives_no_map(tmp_path: Path, file: bytes) -> None:
    """What cannot be drawn is left out without an error."""
    (tmp_path / "zones.geojson").write_bytes(file)
    assert outlines(tmp_path / "zones.geojson", "zone") is None


def test_one_year_has_a_slider_over_its_periods(portal: Running) -> None:
    """With one year the slider runs over its periods; a dataset whose file is gone has no map."""
    identifier = made(portal, (2020,), squares())
    text = section(portal, identifier, map_kind="a")
    assert '<input type="range" id="map-slide" name="map_at" min="1" max="12" step="1" value="12"' in text
    moved = section(portal, identifier, map_kind="a", map_period="2020-12", map_at="3", map_was="12")
    assert '<option value="2020-03" selected>Mar 2020' in moved
    with portal.client() as client:
        metadata = client.get_metadata(identifier)["metadata"]
        client.update_metadata(identifier, {"metadata": metadata | {"attachments": []}})
    assert section(portal, identifier) == ""


def test_a_map_with_nothing_to_choose_has_no_form(portal: Running) -> None:
    """One period, one measure and no key besides the place: a button alone would do nothing."""
    shape = SHAPE | {"keys": SHAPE["keys"][:1], "measures": SHAPE["measures"][:1]}  # type: ignore[index]
    identifier = made(portal, (2020,), squares(), shape=json.dumps(shape))
    assert "<form" in section(portal, identifier)
    with portal.client() as client:
        client.replace(
            identifier, [row for row in rows((2020,)) if row["id"].startswith("2020-01.") and row["kind"] == "a"]
        )
    text = section(portal, identifier)
    assert "January 2020" in text
    assert "<form" not in text
    assert "<button" not in text


def test_a_slider_speaks_only_where_it_was_moved() -> None:
    """What the list says counts unless the slider stands elsewhere than the page had put it."""
    weeks = tuple(f"2018-W{n:02}" for n in range(1, 53))
    times = Times(weeks, "2018-W10")
    assert _moved(times, {"map_at": "10", "map_was": "10"}).chosen == "2018-W10"
    assert _moved(times, {"map_at": "7", "map_was": "7"}).chosen == "2018-W10"
    assert _moved(times, {"map_at": "900", "map_was": "7"}).chosen == "2018-W52"
    assert _moved(times, {"map_at": "0", "map_was": "7"}).chosen == "2018-W01"
    longer = Times((*weeks, "2019-W01"), "2018-W10")
    assert _moved(longer, {"map_year": "2019"}).chosen == "2019-W01"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([7, 7, 7, 7], []),
        ([1, 2], []),
        (range(100), [40, 60]),
        ([0] * 60 + [*range(1, 41)], [10]),
        ([-30, -20, -10, 0, 10, 20], [0]),
        ([1_000_000 * n for n in range(1, 51)], [20_000_000, 30_000_000]),
        ([n / 1000 for n in range(100)], [Decimal("0.04"), Decimal("0.06")]),
    ],
)
def test_classes_begin_at_round_numbers(values: Any, expected: list[Any]) -> None:
    """Near the quantiles, each the roundest there; no class is empty, and no more than one in three values."""
    numbers = [Decimal(str(value)) for value in values]
    breaks = class_breaks(numbers)
    assert breaks == expected
    ends = [*breaks, Decimal("Infinity")]
    assert all(any(low <= n < high for n in numbers) for low, high in pairwise(ends))


def test_classes_hold_values_whatever_they_are() -> None:
    """For any values the breaks rise, lie above the smallest value and leave no class empty."""
    chance = np.random.default_rng(7)
    for _ in range(300):
        size = int(chance.integers(1, 60))
        drawn = chance.lognormal(3, 2, size).round(int(chance.integers(0, 3))) * chance.choice([-1, 1])
        numbers = [Decimal(str(value)) for value in drawn]
        ends = [min(numbers), *class_breaks(numbers), Decimal("Infinity")]
        assert ends == sorted(set(ends))
        assert all(any(low <= n < high for n in numbers) for low, high in pairwise(ends))


@pytest.mark.parametrize("margin", [0, 3, 10, 25, 60])
def test_a_color_is_wider_than_the_noise(margin: int) -> None:
    """Each class is at least two typical margins wide; where margins are wide for all values, there is one color."""
    values = [Decimal(n) for n in range(100)]
    ends = [values[0], *class_breaks(values, Decimal(2 * margin)), values[-1]]
    assert all(high - low >= 2 * margin for low, high in pairwise(ends) if len(ends) > 2)
    assert len(ends) - 1 == {0: 3, 3: 3, 10: 3, 25: 1, 60: 1}[margin]


def test_parks_are_drawn_and_named(portal: Running) -> None:
    """A polygon without a row has crosses, which no place has, and its name, on the page and in the picture; it links
    to nothing."""
    collection = json.loads(squares())
    park = json.loads(shapely.to_geojson(shapely.box(2, 1, 3, 2)))
    collection["features"].append({"properties": {"elsewhere": f"Park {EVIL}"}, "geometry": park})
    identifier = made(portal, (2020,), json.dumps(collection).encode())
    found = section(portal, identifier, map_kind="a")
    name = html.escape(f"Park {EVIL}", quote=False)
    assert f"<title>{name}: not in the table</title></path>" in found
    assert f"Not in the table: <span>{name}</span>" in found
    assert re.search(r'<pattern id="away".*?<g fill="url\(#away\)">\s*<path class="elsewhere"', found, re.DOTALL)
    assert "crosses: not in the table" in found
    assert len(re.findall("<a href", found.split("</svg>")[0])) == len(re.findall('<path class="elsewhere"', found)) * 5
    picture = requests.get(f"{portal.address}/d/{identifier}/map.svg", params={"map_kind": "a"}, timeout=20).text
    assert picture.count("<text") > 5
    assert picture.count('fill="url(#away)"') == 2
    assert EVIL not in found + picture


def test_paths_are_short_and_neighbors_touch(tmp_path: Path) -> None:
    """However detailed the polygons are, all paths together stay small, and every place keeps one."""
    turns = np.linspace(0, 2 * np.pi, 2_000)
    features = []
    for number in range(40):
        x, y = number % 8, number // 8
        ring = np.stack([x + 0.5 * np.cos(turns) * (1 + 0.02 * np.sin(90 * turns)), y + 0.5 * np.sin(turns)], axis=1)
        features.append(
            {"properties": {"zone": number}, "geometry": json.loads(shapely.to_geojson(shapely.Polygon(ring)))}
        )
    (tmp_path / "zones.geojson").write_text(json.dumps({"features": features}))
    found = outlines(tmp_path / "zones.geojson", "zone")
    assert found is not None
    assert sum(map(len, found.paths.values())) <= LARGEST
    assert len([path for path in found.paths.values() if path]) == 40
    assert max(found.width, found.height) == pytest.approx(SIZE, abs=1)
