"""Invented datasets with the columns that the documented examples of SoQL use: small, the same in every run."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shapely.geometry import mapping, shape

if TYPE_CHECKING:
    from sodapy import Socrata

Row = dict[str, Any]


@dataclass(frozen=True)
class Invented:
    """A dataset: its columns' types by field, and rows of Python values (Decimal, datetime, GeoJSON …)."""

    name: str
    columns: dict[str, str]
    key: str
    rows: tuple[Row, ...]

    def sent(self) -> list[Row]:
        """The rows as a client sends them."""
        return [{field: _sent(row[field]) for field in self.columns} for row in self.rows]


def _sent(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


def publish(client: Socrata, invented: Invented) -> str:
    """Put a dataset into a portal, open to all; gives its 4x4."""
    columns = [{"fieldName": field, "name": field, "dataTypeName": kind} for field, kind in invented.columns.items()]
    identifier: str = client.create(invented.name, columns=columns, row_identifier=invented.key)["id"]
    client.upsert(identifier, invented.sent())
    client.publish(identifier)
    client.set_permission(identifier, "public")
    return identifier


def _day(*parts: int) -> datetime:
    """A moment without a zone, as a floating timestamp is."""
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001


def _point(longitude: float, latitude: float) -> Row:
    return {"type": "Point", "coordinates": [round(longitude, 6), round(latitude, 6)]}


def _box(west: float, south: float, wide: float, high: float) -> list[list[tuple[float, float]]]:
    east, north = round(west + wide, 6), round(south + high, 6)
    middle = round((south + north) / 2, 6)
    return [[(west, south), (east, south), (east, middle), (east, north), (west, north), (west, south)]]


def quakes() -> Invented:
    """Earthquakes, a third around Seattle; one in nine without a magnitude."""
    dice = random.Random("quakes")
    regions = ("Nevada", "Southern California", "Virgin Islands region", "Kansas", "Île-de-France", "Fiji Islands")
    rows = []
    for number in range(300):
        near = number % 3 == 0
        longitude = dice.uniform(-123.2, -121.4) if near else dice.uniform(-179, 179)
        latitude = dice.uniform(47.0, 48.6) if near else dice.uniform(-70, 70)
        rows.append(
            {
                "earthquake_id": f"{(number * 7919) % 100000:08}",
                "source": dice.choice(("nn", "ci", "pr", "us", "ak")),
                "region": dice.choice(regions),
                "magnitude": None if number % 9 == 4 else Decimal(dice.randrange(5, 80)) / 10,
                "depth": Decimal(dice.randrange(0, 60000)) / 100,
                "number_of_stations": None if number % 11 == 3 else Decimal(dice.randrange(3, 300)),
                "datetime": _day(2012, 9, 1) + timedelta(seconds=dice.randrange(60 * 86400)),
                "location": _point(longitude, latitude),
            }
        )
    columns = {"earthquake_id": "text", "source": "text", "region": "text", "magnitude": "number", "depth": "number"}
    columns |= {"number_of_stations": "number", "datetime": "calendar_date", "location": "point"}
    return Invented("Earthquakes", columns, "earthquake_id", tuple(rows))


def salaries() -> Invented:
    """Employees: paid by the year or by the hour, never both."""
    dice = random.Random("salaries")
    titles = ("POLICE OFFICER", "CHIEF PLUMBER", "FIRE CHIEF", "LEGAL ADVISOR", "SENIOR ADVISOR II", "CIVIL ENGINEER")
    people = ("ABARCA, ANABEL", "O'NEIL, ZOË", "Garcia, José", "LEE, MIN", "Müller, Änne")
    rows = []
    for number in range(240):
        hourly = number % 4 == 1
        hours = Decimal(dice.choice((10, 20, 35, 40)))
        rows.append(
            {
                "employee": f"e{number:03}",
                "name": f"{dice.choice(people)}" + ("" if number < 40 else f" {number}"),
                "job_titles": dice.choice(titles),
                "department": dice.choice(("POLICE", "FIRE", "WATER MGMNT", "LAW")) if number % 17 else None,
                "annual_salary": None if hourly else Decimal(dice.randrange(2_000_000, 18_000_000)) / 100,
                "typical_hours": hours if hourly else None,
                "hourly_rate": Decimal(dice.randrange(1200, 6000)) / 100 + hours / 2 if hourly else None,
            }
        )
    columns = {"employee": "text", "name": "text", "job_titles": "text", "department": "text"}
    columns |= dict.fromkeys(("annual_salary", "typical_hours", "hourly_rate"), "number")
    return Invented("Salaries", columns, "employee", tuple(rows))


def crimes() -> Invented:
    """Reported crimes in 2014 and 2015, many of them on one day in January."""
    dice = random.Random("crimes")
    kinds = ("THEFT", "ROBBERY", "INTIMIDATION", "ARSON", "NARCOTICS", "RITUALISM", "CRIM SEXUAL ASSAULT")
    texts = ("Stealing a bicycle", "he steals bicycles", "$500 AND UNDER", "Über 50% off", "ARMED: KNIFE", "steal_bike")
    rows = []
    for number in range(400):
        crowded = number % 5 == 0
        span = (_day(2015, 1, 10, 10), 6 * 3600) if crowded else (_day(2014, 1, 1), 700 * 86400)
        moment = span[0] + timedelta(seconds=dice.randrange(span[1]))
        place = _point(dice.uniform(-87.72, -87.58), dice.uniform(41.84, 41.92))
        rows.append(
            {
                "case_number": f"HA{number:03}",
                "date": moment,
                "updated_on": moment + timedelta(days=dice.randrange(-3, 40)) if number % 7 else None,
                "primary_type": dice.choice(kinds),
                "description": dice.choice(texts) if number % 10 else None,
                "arrest": dice.random() < 0.4 if number % 13 else None,
                "district": f"{dice.randrange(1, 12):03}",
                "ward": Decimal(dice.randrange(1, 9)),
                "year": Decimal(moment.year),
                "location": place if number % 19 else None,
            }
        )
    columns = {"case_number": "text", "date": "calendar_date", "updated_on": "calendar_date", "primary_type": "text"}
    columns |= {"description": "text", "arrest": "checkbox", "district": "text", "ward": "number", "year": "number"}
    return Invented("Crimes", columns | {"location": "point"}, "case_number", tuple(rows))


def gliders() -> Invented:
    """Paragliders, with the columns of the test data that Socrata publishes beside its query server."""
    dice = random.Random("gliders")
    points = {"APCO": (34.8926, 32.50578), "Skywalk": (11.58, 48.14), "OZONE": (7.0, 43.6), "Advance": (7.7, 46.7)}
    names = ("Karma", "Atlas", "Buzz Z3", "buzz", "Sprint Evo", "Chili", "Tequila³", "Élan", "jade star", "sprint evo")
    rows = []
    for number in range(90):
        make = dice.choice((*points, "Gradient"))
        base = points.get(make)
        place = _point(base[0] + dice.uniform(-0.05, 0.05), base[1] + dice.uniform(-0.05, 0.05)) if base else None
        when = _day(2008, 1, 1) + timedelta(hours=dice.randrange(8000)) if number % 6 else None
        rows.append(
            {
                "code": f"G-{number:02}",
                "make": make,
                "name": dice.choice(names),
                "class": dice.choice(("EN-A", "EN-B", "EN-C", "DHV-1", None)),
                "size": dice.choice(("Small", "Medium", "Large", None)),
                "country": {"APCO": "Israel", "Skywalk": "Germany", "OZONE": "France"}.get(make),
                "color": dice.choice(("blue", "blue jade", "red", "jade and blues", None)),
                "v_min": Decimal(dice.randrange(20, 26)),
                "v_max": Decimal(dice.randrange(44, 60)) if number % 5 else None,
                "line_length": Decimal(dice.randrange(-300, 3000)) / 10,
                "available": when,
                "certified": when - timedelta(hours=dice.randrange(4000)) if when else None,
                "three_liner": dice.choice((True, False, None)),
                "point": place,
            }
        )
    columns = dict.fromkeys(("code", "make", "name", "class", "size", "country", "color"), "text")
    columns |= dict.fromkeys(("v_min", "v_max", "line_length"), "number")
    columns |= {"available": "calendar_date", "certified": "date", "three_liner": "checkbox", "point": "point"}
    return Invented("Gliders", columns, "code", tuple(rows))


def _listed(name: str, columns: dict[str, str], key: str, *rows: tuple[Any, ...]) -> Invented:
    return Invented(name, columns, key, tuple(dict(zip(columns, row, strict=True)) for row in rows))


def makers() -> Invented:
    """The gliders' makers: one that made none, and none for Gradient."""
    rows = (("APCO", "Asia/Jerusalem"), ("OZONE", "Europe/Paris"), ("Skywalk", "Europe/Berlin"), ("Swing", None))
    return _listed("Makers", {"make": "text", "timezone": "text"}, "make", *rows)


def classes() -> Invented:
    """What some of the gliders' classes mean."""
    rows = (("EN-A", "Beginner"), ("EN-B", "Intermediate"), ("EN-C", None))
    return _listed("Classes", {"id": "text", "description": "text"}, "id", *rows)


def years() -> Invented:
    """The mean temperature of years."""
    rows = ((Decimal(2013), Decimal("10.25")), (Decimal(2014), Decimal("30.5")), (Decimal(2015), None))
    return _listed("Years", {"year": "number", "avg_temperature": "number"}, "year", *rows)


def kinds() -> Invented:
    """What two types of crime are."""
    rows = (("THEFT", "Taking things"), ("ARSON", "Setting fire"))
    return _listed("Types", {"primary_type": "text", "description": "text"}, "primary_type", *rows)


def pets(kind: str) -> Invented:
    """Cats, dogs, birds or fish: names that recur within and between them."""
    dice = random.Random(kind)
    names = ("Tom", "Bello", "Mimi", "Ünal", "Rex", "Kiki")
    rows = [
        (f"{kind[0]}{n}", dice.choice(names), dice.choice(("a", "b", None)), Decimal(n % 4), f"{kind} {n % 5}")
        for n in range(12)
    ]
    columns = {"id": "text", "name": "text", "breed": "text", "year": "number", kind: "text"}
    return _listed(kind.capitalize(), columns, "id", *rows)


def parks() -> Invented:
    """Parks as areas with a point in each."""
    dice = random.Random("parks")
    names = ("Volunteer Park", "Grant Park", "Seattle", "Parc Élysée", "Lincoln Park", "Millennium Park", "Northerly")
    rows = []
    for number, name in enumerate(names):
        west, south = round(-87.63 + number * 0.004, 6), round(41.865 + (number % 3) * 0.004, 6)
        rings = _box(west, south, 0.006 + number / 1000, 0.005)
        area = {"type": "MultiPolygon", "coordinates": [rings]}
        if number == 2:
            area = {"type": "MultiPolygon", "coordinates": [rings, _box(-87.5, 41.5, 0.01, 0.02)]}
        area = json.loads(json.dumps(mapping(shape(area))))
        place = _point(-122.3194 + dice.uniform(-0.2, 0.2), 47.6145 + dice.uniform(-0.2, 0.2))
        rows.append(
            {
                "name": name,
                "park_class": "CITYWIDE" if number % 2 else "COMMUNITY",
                "the_geom": area if number != 5 else None,
                "location_1": place,
            }
        )
    columns = {"name": "text", "park_class": "text", "the_geom": "multipolygon", "location_1": "point"}
    return Invented("Parks", columns, "name", tuple(rows))


def payments() -> Invented:
    """Payments to physicians and hospitals, and gifts to candidates, in one table."""
    dice = random.Random("payments")
    people = (("p1", "Ada", "Løve"), ("p2", "Ben", "O'Hara"), ("p3", None, "Čapek"))
    rows = []
    for number in range(120):
        hospital = number % 3 == 0
        person = (None, None, None) if hospital else dice.choice(people)
        rows.append(
            {
                "payment": f"x{number:03}",
                "covered_recipient_type": f"Covered Recipient {'Teaching Hospital' if hospital else 'Physician'}",
                "teaching_hospital_name": dice.choice(("St. Mary's", "Charité")) if hospital else None,
                "physician_profile_id": person[0],
                "physician_first_name": person[1],
                "physician_last_name": person[2],
                "recipient_state": dice.choice(("WA", "IL")),
                "dispute_status_for_publication": dice.choice(("Yes", "No")),
                "job": dice.choice(("retired", "artist", "None", None)),
                "recipient": dice.choice(("Coss", "Gonzales", "Vigil")),
                "amount": Decimal(dice.choice((100, 250, 999, 1000, 1500, 1999, 2433, 2500))) if number % 8 else None,
            }
        )
    columns = dict.fromkeys(list(rows[0])[:-1], "text") | {"amount": "number"}
    return Invented("Payments", columns, "payment", tuple(rows))


def everything() -> dict[str, Invented]:
    """All of them by the name that the documented queries here use."""
    found = {"quakes": quakes(), "salaries": salaries(), "crimes": crimes(), "gliders": gliders(), "parks": parks()}
    found |= {"payments": payments(), "manufacturer": makers(), "classification": classes(), "year": years()}
    return found | {"type": kinds()} | {kind: pets(kind) for kind in ("cat", "dog", "bird", "fish")}
