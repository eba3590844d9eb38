"""SoQL queries as public documentation shows them, each with its answer computed in plain Python.

The texts are kept as they are documented, apart from the names of columns and datasets. Answers come from lists of
Python values with Decimal, datetime, shapely and pyproj: neither the portal's compiler nor its database takes part.
A query without an order is compared as a set; where a documented query has a limit but no order, the rows are those
published first, which the portal promises and Socrata does not.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import shapely
from pyproj import Geod
from shapely.geometry import shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Row = dict[str, Any]
    Rows = list[Row]
    World = dict[str, Rows]

EARTH = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Documented:
    """A query, where it is documented, and what it must answer over the invented datasets."""

    source: str
    dataset: str
    parameters: dict[str, str]
    answer: Callable[[World], Rows]
    ordered: bool = False
    named: bool = True
    """False where only the values matter, since the documentation names no column"""


@dataclass(frozen=True)
class Refused:
    """A query that the documentation shows to be an error."""

    source: str
    dataset: str
    parameters: dict[str, str]
    code: str
    """how `code` or `errorCode` ends"""
    message: str = ""


@dataclass(frozen=True)
class Differs:
    """A documented query that the portal does not answer as Socrata does, and why."""

    source: str
    dataset: str
    parameters: dict[str, str]
    reason: str
    words: str
    """what the portal's message says"""


# -- plain Python over rows


def take(rows: Iterable[Row], *fields: str) -> Rows:
    """Some columns of each row."""
    return [{name: row[name] for name in fields} for row in rows]


def keep(rows: Iterable[Row], holds: Callable[[Row], Any]) -> Rows:
    """The rows for which a condition is true; an unknown (None) comparison is not."""
    return [row for row in rows if holds(row)]


def by(rows: Iterable[Row], *keys: Callable[[Row], Any] | str, down: bool = False) -> Rows:
    """Sorted, nulls largest, ties as they were."""

    def rank(row: Row) -> list[Any]:
        found = [key(row) if callable(key) else row[key] for key in keys]
        return [(value is None, _comparable(value)) for value in found]

    ranked = sorted(enumerate(rows), key=lambda pair: rank(pair[1]), reverse=False)
    if down:
        groups: dict[Any, Rows] = defaultdict(list)
        for _, row in ranked:
            groups[repr(rank(row))].append(row)
        return [row for key in reversed(list(groups)) for row in groups[key]]
    return [row for _, row in ranked]


def _comparable(value: Any) -> Any:
    return "" if value is None else value


def groups(rows: Iterable[Row], *keys: Callable[[Row], Any] | str) -> dict[Any, Rows]:
    """Rows by one key, or by a tuple of several."""
    found: dict[Any, Rows] = defaultdict(list)
    for row in rows:
        values = tuple(key(row) if callable(key) else row[key] for key in keys)
        found[values[0] if len(values) == 1 else values].append(row)
    return dict(found)


def some(rows: Iterable[Row], name: str) -> list[Any]:
    """The values of a column that are not null."""
    return [row[name] for row in rows if row[name] is not None]


def least(values: list[Any]) -> Any:
    """The smallest, or None."""
    return min(values) if values else None


def most(values: list[Any]) -> Any:
    """The largest, or None."""
    return max(values) if values else None


def total(values: list[Decimal]) -> Decimal | None:
    """The sum, None of nothing."""
    return sum(values, Decimal(0)) if values else None


def mean(values: list[Decimal]) -> float | None:
    """The average, None of nothing."""
    return float(sum(values, Decimal(0)) / len(values)) if values else None


def line(rows: Rows, y: str, x: str) -> tuple[float, float, float]:
    """Slope, intercept and r² of the least squares line through the pairs without a null."""
    pairs = [(float(row[x]), float(row[y])) for row in rows if row[x] is not None and row[y] is not None]
    slope, intercept = statistics.linear_regression(*zip(*pairs, strict=True))
    return slope, intercept, statistics.correlation(*zip(*pairs, strict=True)) ** 2


class Meters(float):
    """A distance; the portal's are right to ten meters in a thousand kilometres (Lambert's formula)."""


def meters(place: Row, longitude: float, latitude: float) -> Meters:
    """The geodesic between a GeoJSON point and another."""
    return Meters(EARTH.inv(*place["coordinates"], longitude, latitude)[2])


def near(row: Row, name: str, latitude: float, longitude: float, radius: float) -> bool:
    """Within so many meters; never where there is no place."""
    return row[name] is not None and meters(row[name], longitude, latitude) <= radius


def boxed(row: Row, name: str, north: float, west: float, south: float, east: float) -> bool:
    """Within a box."""
    if row[name] is None:
        return False
    longitude, latitude = row[name]["coordinates"]
    return bool(west <= longitude <= east and south <= latitude <= north)


def month(moment: datetime | None) -> datetime | None:
    """The first moment of a month."""
    return moment and moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def day(moment: datetime | None) -> datetime | None:
    """The first moment of a day."""
    return moment and moment.replace(hour=0, minute=0, second=0, microsecond=0)


def year(moment: datetime | None) -> datetime | None:
    """The first moment of a year."""
    return moment and month(moment).replace(month=1)  # type: ignore[union-attr]


def at(text: str) -> datetime:
    """A moment without a zone."""
    return datetime.fromisoformat(text)


def whole(number: int) -> Decimal:
    """A count as the API has it."""
    return Decimal(number)


def counted(rows: Rows, name: str, key: Callable[[Row], Any] | str, count: str = "count") -> Rows:
    """A group by one key with the number of its rows."""
    return [{name: value, count: whole(len(found))} for value, found in groups(rows, key).items()]


def parts(rows: Rows, name: str, part: Callable[[datetime], int]) -> Rows:
    """Crimes by a part of their date and their type."""
    found = groups(rows, lambda row: part(row["date"]), "primary_type")
    return [
        {name: whole(key), "primary_type": kind, "count": whole(len(members))} for (key, kind), members in found.items()
    ]


def joined(left: Rows, right: Rows, on: str, other: str | None = None) -> list[tuple[Row, Row]]:
    """Every pair with equal values; nulls equal nothing."""
    return [(a, b) for a in left for b in right if a[on] is not None and a[on] == b[other or on]]


def distinct(rows: Rows) -> Rows:
    """Each row once."""
    found: dict[str, Row] = {repr(row): row for row in rows}
    return list(found.values())


def less(value: Any, bound: Any) -> bool:
    """`value < bound`, not true of a null."""
    return value is not None and bool(value < bound)


def more(value: Any, bound: Any) -> bool:
    """`value > bound`, not true of a null."""
    return value is not None and bool(value > bound)


def title(kind: str, *words: str) -> str:
    """Where a page of Socrata's developer portal is."""
    return "/".join(("dev.socrata.com", kind, *words))


def _function(name: str, dataset: str, answer: Callable[[World], Rows], **parameters: Any) -> Documented:
    more_ = {key: parameters.pop(key) for key in ("ordered", "named") if key in parameters}
    named = {key.removeprefix("_") if key.startswith("_") else f"${key}": text for key, text in parameters.items()}
    return Documented(title("docs/functions", name), dataset, named, answer, **more_)


NOON, TWO = at("2015-01-10T12:00"), at("2015-01-10T14:00")
TRIANGLE = "MULTIPOLYGON (((-87.637714 41.887275, -87.613681 41.886892, -87.625526 41.871555, -87.637714 41.887275)))"
WEDGE = "POLYGON((-87.6174045 41.8669236, -87.6300497 41.866433, -87.6552725 41.8787461, -87.6174045 41.8669236))"
OFFICE = (-122.3194183, 47.6145784)
RANGE = "distance_in_meters(location_1, 'POINT(-122.3194183 47.6145784)')"


def _beside(row: Row, name: str, text: str, how: str = "intersects") -> bool:
    return row[name] is not None and bool(getattr(shape(row[name]), how)(shapely.from_wkt(text)))


def _dispute(w: World) -> Rows:
    chosen = keep(
        w["payments"],
        lambda r: r["covered_recipient_type"] == "Covered Recipient Physician" and r["recipient_state"] == "WA",
    )
    names = ("physician_profile_id", "physician_first_name", "physician_last_name")
    found = groups(chosen, *names)
    return [
        dict(zip(names, key, strict=True))
        | {
            "no_count": whole(sum(r["dispute_status_for_publication"] == "No" for r in rows)),
            "yes_count": whole(sum(r["dispute_status_for_publication"] == "Yes" for r in rows)),
        }
        for key, rows in found.items()
    ]


def _payee(row: Row) -> str | None:
    if row["covered_recipient_type"].endswith("Teaching Hospital"):
        return str(row["teaching_hospital_name"])
    first, last = row["physician_first_name"], row["physician_last_name"]
    return None if first is None or last is None else f"{first} {last}"


def _spread(w: World, deviation: Callable[[list[float]], float], name: str) -> Rows:
    found = []
    for job, rows in groups(w["salaries"], "job_titles").items():
        values = [float(value) for value in some(rows, "annual_salary")]
        found.append({"job_titles": job, "avg_annual_salary": statistics.fmean(values), name: deviation(values)})
    return found


def _later(row: Row, choose: Callable[[list[Any]], Any]) -> datetime:
    found: datetime = choose([value for value in (row["date"], row["updated_on"]) if value is not None])
    return found


FUNCTIONS = [
    _function(
        "avg",
        "salaries",
        lambda w: [{"avg_annual_salary": mean(some(w["salaries"], "annual_salary"))}],
        select="avg(annual_salary)",
    ),
    _function(
        "avg",
        "salaries",
        lambda w: [
            {"job_titles": job, "avg_annual_salary": mean(some(rows, "annual_salary"))}
            for job, rows in groups(w["salaries"], "job_titles").items()
        ],
        select="job_titles,avg(annual_salary)",
        group="job_titles",
    ),
    _function(
        "between",
        "salaries",
        lambda w: keep(
            w["salaries"], lambda r: r["annual_salary"] is not None and 40000 <= r["annual_salary"] <= 60000
        ),
        where="annual_salary between '40000' and '60000'",
    ),
    _function(
        "between",
        "crimes",
        lambda w: keep(w["crimes"], lambda r: NOON <= r["date"] <= TWO),
        where="date between '2015-01-10T12:00:00' and '2015-01-10T14:00:00'",
    ),
    _function(
        "not_between",
        "salaries",
        lambda w: keep(
            w["salaries"], lambda r: r["annual_salary"] is not None and not 40000 <= r["annual_salary"] <= 150000
        ),
        where="annual_salary not between '40000' and '150000'",
    ),
    _function(
        "not_between",
        "crimes",
        lambda w: keep(w["crimes"], lambda r: not NOON <= r["date"] <= TWO),
        where="date not between '2015-01-10T12:00:00' and '2015-01-10T14:00:00'",
    ),
    _function(
        "case",
        "payments",
        lambda w: [{"name": _payee(r)} for r in w["payments"]],
        select="CASE(covered_recipient_type = 'Covered Recipient Teaching Hospital', teaching_hospital_name,"
        " covered_recipient_type = 'Covered Recipient Physician',"
        " physician_first_name || ' ' || physician_last_name) AS name",
    ),
    _function(
        "case",
        "payments",
        _dispute,
        select="physician_profile_id, physician_first_name, physician_last_name,"
        " sum(case(dispute_status_for_publication='No', 1, true, 0)) as no_count,"
        "sum(case(dispute_status_for_publication='Yes', 1, true, 0)) as yes_count",
        group="physician_profile_id, physician_first_name, physician_last_name",
        _covered_recipient_type="Covered Recipient Physician",
        _recipient_state="WA",
    ),
    _function(
        "convex_hull",
        "crimes",
        lambda w: [
            {
                "count": whole(len(keep(w["crimes"], lambda r: r["year"] == 2014))),
                "hull": shapely.MultiPoint(
                    [shape(p) for p in some(keep(w["crimes"], lambda r: r["year"] == 2014), "location")]
                ).convex_hull,
            }
        ],
        select="count(*),convex_hull(spatial_union(location)) as hull",
        _year="2014",
    ),
    _function(
        "count",
        "salaries",
        lambda w: [{"count_annual_salary": whole(len(some(w["salaries"], "annual_salary")))}],
        select="count(annual_salary)",
    ),
    _function(
        "count",
        "salaries",
        lambda w: [
            {"job_titles": job, "count_annual_salary": whole(len(some(rows, "annual_salary")))}
            for job, rows in groups(w["salaries"], "job_titles").items()
        ],
        select="job_titles,count(annual_salary)",
        group="job_titles",
    ),
    _function(
        "date_extract_d",
        "crimes",
        lambda w: parts(w["crimes"], "day", lambda d: d.day),
        select="date_extract_d(date) as day, primary_type, count(*)",
        group="day, primary_type",
    ),
    _function(
        "date_extract_dow",
        "crimes",
        lambda w: parts(w["crimes"], "day_of_week", lambda d: d.isoweekday() % 7),
        select="date_extract_dow(date) as day_of_week, primary_type, count(*)",
        group="day_of_week, primary_type",
    ),
    _function(
        "date_extract_hh",
        "crimes",
        lambda w: parts(w["crimes"], "hour_of_day", lambda d: d.hour),
        select="date_extract_hh(date) as hour_of_day, primary_type, count(*)",
        group="hour_of_day, primary_type",
    ),
    _function(
        "date_extract_m",
        "crimes",
        lambda w: parts(w["crimes"], "month", lambda d: d.month),
        select="date_extract_m(date) as month, primary_type, count(*)",
        group="month, primary_type",
    ),
    _function(
        "date_extract_mm",
        "crimes",
        lambda w: parts(w["crimes"], "minute", lambda d: d.minute),
        select="date_extract_mm(date) as minute, primary_type, count(*)",
        group="minute, primary_type",
    ),
    _function(
        "date_extract_ss",
        "crimes",
        lambda w: parts(w["crimes"], "second", lambda d: d.second),
        select="date_extract_ss(date) as second, primary_type, count(*)",
        group="second, primary_type",
    ),
    _function(
        "date_extract_woy",
        "crimes",
        lambda w: parts(w["crimes"], "week_of_year", lambda d: d.isocalendar()[1]),
        select="date_extract_woy(date) as week_of_year, primary_type, count(*)",
        group="week_of_year, primary_type",
    ),
    _function(
        "date_extract_y",
        "crimes",
        lambda w: parts(keep(w["crimes"], lambda r: r["ward"] == 3), "yr", lambda d: d.year),
        select="date_extract_y(date) as yr, primary_type, count(*)",
        group="yr, primary_type",
        _ward="3",
    ),
    *(
        _function(
            f"date_extract_{part}",
            "year",
            lambda _, v=value: [{"x": whole(v)}],
            select=f"date_extract_{part}('2013-10-24T09:33:00.000') as x",
            limit="1",
        )
        for part, value in (("d", 24), ("dow", 4), ("m", 10), ("mm", 33), ("ss", 0), ("woy", 43), ("y", 2013))
    ),
    _function(
        "date_trunc_ym",
        "year",
        lambda _: [{"x": at("2012-09-01")}],
        select="date_trunc_ym('2012-09-22T18:05:00.000') as x",
        limit="1",
    ),
    _function(
        "date_trunc_ym",
        "crimes",
        lambda w: counted(w["crimes"], "month", lambda r: month(r["date"])),
        select="date_trunc_ym(date) as month, count(*)",
        group="month",
    ),
    _function(
        "distance_in_meters",
        "parks",
        lambda w: [{"range": meters(r["location_1"], *OFFICE)} for r in w["parks"] if r["name"] == "Volunteer Park"],
        select="DISTANCE_IN_METERS(location_1, 'POINT(-122.3194183 47.6145784)') AS range",
        _name="Volunteer Park",
    ),
    _function(
        "distance_in_meters",
        "parks",
        lambda w: [
            {"range_in_feet": Meters(meters(r["location_1"], *OFFICE) * 3.28084)}
            for r in w["parks"]
            if r["name"] == "Grant Park"
        ],
        select="DISTANCE_IN_METERS(location_1, 'POINT(-122.3194183 47.6145784)') * 3.28084 AS range_in_feet",
        _name="Grant Park",
    ),
    _function(
        "distance_in_meters",
        "parks",
        lambda w: [
            r | {"range": meters(r["location_1"], *OFFICE)}
            for r in by(w["parks"], lambda r: meters(r["location_1"], *OFFICE))
        ][:5],
        select=f"*, {RANGE} AS range",
        order=RANGE,
        limit="5",
        ordered=True,
    ),
    _function(
        "distinct", "salaries", lambda w: distinct(take(w["salaries"], "department")), select="distinct department"
    ),
    _function(
        "distinct",
        "salaries",
        lambda w: distinct(take(w["salaries"], "department")),
        query="select distinct department",
    ),
    _function(
        "extent",
        "crimes",
        lambda w: [
            {
                "count": whole(len(keep(w["crimes"], lambda r: r["year"] == 2014))),
                "extent_location": shapely.box(
                    *shapely.MultiPoint(
                        [shape(p) for p in some(keep(w["crimes"], lambda r: r["year"] == 2014), "location")]
                    ).bounds
                ),
            }
        ],
        select="count(*),extent(location)",
        _year="2014",
    ),
    _function(
        "get_utc_date",
        "crimes",
        lambda _: [{"count_crashes": whole(0)}],
        select="count(case_number) as count_crashes",
        where='date_diff_d(to_floating_timestamp(get_utc_date(),"UTC"),date)<=30',
    ),
    _function(
        "greatest",
        "crimes",
        lambda w: [{"greatest_date_updated_on": _later(r, max)} for r in w["crimes"]],
        select="greatest(date,updated_on)",
    ),
    _function(
        "least",
        "crimes",
        lambda w: [{"least_date_updated_on": _later(r, min)} for r in w["crimes"]],
        select="least(date,updated_on)",
    ),
    _function(
        "in",
        "crimes",
        lambda w: keep(w["crimes"], lambda r: r["primary_type"] in ("THEFT", "ROBBERY", "INTIMIDATION")),
        where="primary_type in('THEFT', 'ROBBERY', 'INTIMIDATION')",
    ),
    _function(
        "not_in",
        "crimes",
        lambda w: keep(w["crimes"], lambda r: r["primary_type"] not in ("ARSON", "NARCOTICS", "RITUALISM")),
        where="primary_type not in('ARSON', 'NARCOTICS', 'RITUALISM')",
    ),
    _function(
        "intersects",
        "parks",
        lambda w: keep(w["parks"], lambda r: _beside(r, "the_geom", "POINT (-87.6174045 41.8669236)")),
        where="intersects(the_geom, 'POINT (-87.6174045 41.8669236)')",
    ),
    _function(
        "intersects",
        "parks",
        lambda w: take(keep(w["parks"], lambda r: _beside(r, "the_geom", WEDGE)), "name", "park_class"),
        select="name,park_class",
        where=f"intersects(the_geom, '{WEDGE}')",
    ),
    _function(
        "like",
        "salaries",
        lambda w: keep(w["salaries"], lambda r: "CHIEF" in r["job_titles"]),
        where="job_titles like '%CHIEF%'",
    ),
    _function(
        "not_like",
        "salaries",
        lambda w: keep(w["salaries"], lambda r: "ADVISOR" not in r["job_titles"]),
        where="job_titles not like '%ADVISOR%'",
    ),
    _function(
        "ln",
        "salaries",
        lambda w: [{"ln_annual_salary": math.log(value)} for value in some(w["salaries"], "annual_salary")][:5],
        select="ln(annual_salary)",
        where="annual_salary>=1",
        limit="5",
    ),
    _function(
        "lower",
        "salaries",
        lambda w: [{"lower_name": r["name"].lower(), "annual_salary": r["annual_salary"]} for r in w["salaries"]],
        select="lower(name), annual_salary",
    ),
    _function(
        "upper",
        "salaries",
        lambda w: [{"upper_name": r["name"].upper(), "annual_salary": r["annual_salary"]} for r in w["salaries"]],
        select="upper(name), annual_salary",
    ),
    _function(
        "upper",
        "salaries",
        lambda w: keep(w["salaries"], lambda r: r["name"].upper() == "ABARCA, ANABEL"),
        where="upper(name)=upper('ABARCA, ANABEL')",
    ),
    _function(
        "max",
        "salaries",
        lambda w: [{"max_annual_salary": most(some(w["salaries"], "annual_salary"))}],
        select="max(annual_salary)",
    ),
    _function(
        "max",
        "salaries",
        lambda w: [
            {"job_titles": job, "max_annual_salary": most(some(rows, "annual_salary"))}
            for job, rows in groups(w["salaries"], "job_titles").items()
        ],
        select="job_titles,max(annual_salary)",
        group="job_titles",
    ),
    _function(
        "min",
        "salaries",
        lambda w: [{"min_annual_salary": least(some(w["salaries"], "annual_salary"))}],
        select="min(annual_salary)",
    ),
    _function(
        "min",
        "salaries",
        lambda w: [
            {"job_titles": job, "min_annual_salary": least(some(rows, "annual_salary"))}
            for job, rows in groups(w["salaries"], "job_titles").items()
        ],
        select="job_titles,min(annual_salary)",
        group="job_titles",
    ),
    _function(
        "num_points",
        "parks",
        lambda w: by(
            [
                {
                    "name": r["name"],
                    "num_points_the_geom": r["the_geom"]
                    and whole(int(shapely.get_num_coordinates(shape(r["the_geom"])))),
                }
                for r in w["parks"]
            ],
            "num_points_the_geom",
            down=True,
        )[:1],
        select="name,num_points(the_geom)",
        order="num_points(the_geom) DESC",
        limit="1",
        ordered=True,
    ),
    _function(
        "regr_intercept",
        "salaries",
        lambda w: [
            {"regr_intercept_typical_hours_hourly_rate": line(w["salaries"], "typical_hours", "hourly_rate")[1]}
        ],
        select="regr_intercept(typical_hours,hourly_rate)",
    ),
    _function(
        "regr_r2",
        "salaries",
        lambda w: [{"regr_r2_typical_hours_hourly_rate": line(w["salaries"], "typical_hours", "hourly_rate")[2]}],
        select="regr_r2(typical_hours,hourly_rate)",
    ),
    _function(
        "regr_slope",
        "salaries",
        lambda w: [{"regr_slope_typical_hours_hourly_rate": line(w["salaries"], "typical_hours", "hourly_rate")[0]}],
        select="regr_slope(typical_hours,hourly_rate)",
    ),
    _function(
        "round",
        "salaries",
        lambda w: [{"round_avg_annual_salary_2": Decimal(f"{mean(some(w['salaries'], 'annual_salary')):.2f}")}],
        select="round(avg(annual_salary),2)",
    ),
    _function(
        "simplify",
        "parks",
        lambda w: [
            {"name": "Seattle", "the_geom": shape(r["the_geom"]).simplify(0.001, preserve_topology=False)}
            for r in w["parks"]
            if r["name"] == "Seattle"
        ],
        select="name, simplify(the_geom, 0.001) AS the_geom",
        _name="Seattle",
    ),
    _function(
        "simplify_preserve_topology",
        "parks",
        lambda w: [
            {"name": "Seattle", "the_geom": shape(r["the_geom"]).simplify(0.001)}
            for r in w["parks"]
            if r["name"] == "Seattle"
        ],
        select="name, simplify_preserve_topology(the_geom, 0.001) AS the_geom",
        _name="Seattle",
    ),
    _function(
        "starts_with",
        "salaries",
        lambda w: keep(w["salaries"], lambda r: r["job_titles"].startswith("CHIEF")),
        where="starts_with(job_titles, 'CHIEF')",
    ),
    _function(
        "stddev_pop",
        "salaries",
        lambda w: [
            {
                "avg_annual_salary": mean(some(w["salaries"], "annual_salary")),
                "stddev_pop_annual_salary": statistics.pstdev(map(float, some(w["salaries"], "annual_salary"))),
            }
        ],
        select="avg(annual_salary),stddev_pop(annual_salary)",
    ),
    _function(
        "stddev_pop",
        "salaries",
        lambda w: _spread(w, statistics.pstdev, "stddev_pop_annual_salary"),
        select="job_titles,avg(annual_salary),stddev_pop(annual_salary)",
        group="job_titles",
    ),
    _function(
        "stddev_samp",
        "salaries",
        lambda w: [
            {
                "avg_annual_salary": mean(some(w["salaries"], "annual_salary")),
                "stddev_samp_annual_salary": statistics.stdev(map(float, some(w["salaries"], "annual_salary"))),
            }
        ],
        select="avg(annual_salary),stddev_samp(annual_salary)",
    ),
    _function(
        "stddev_samp",
        "salaries",
        lambda w: _spread(w, statistics.stdev, "stddev_samp_annual_salary"),
        select="job_titles,avg(annual_salary),stddev_samp(annual_salary)",
        group="job_titles",
    ),
    _function(
        "sum",
        "salaries",
        lambda w: [{"sum_annual_salary": total(some(w["salaries"], "annual_salary"))}],
        select="sum(annual_salary)",
    ),
    _function(
        "sum",
        "salaries",
        lambda w: [
            {"job_titles": job, "sum_annual_salary": total(some(rows, "annual_salary"))}
            for job, rows in groups(w["salaries"], "job_titles").items()
        ],
        select="job_titles,sum(annual_salary)",
        group="job_titles",
    ),
    _function(
        "unaccent",
        "salaries",
        lambda w: keep(w["salaries"], lambda r: r["name"].lower() == "garcia, josé"),
        where="unaccent(lower(name)) = 'garcia, jose'",
    ),
    _function(
        "within_box",
        "quakes",
        lambda w: keep(w["quakes"], lambda r: boxed(r, "location", 47.9998951, -122.63707, 47.1942794, -121.9270522)),
        where="within_box(location, 47.9998951, -122.63707, 47.1942794, -121.9270522)",
    ),
    _function(
        "within_circle",
        "quakes",
        lambda w: keep(w["quakes"], lambda r: near(r, "location", 47.59815, -122.334540, 20500)),
        where="within_circle(location, 47.59815, -122.334540, 20500)",
    ),
    _function(
        "within_polygon",
        "crimes",
        lambda w: keep(w["crimes"], lambda r: _beside(r, "location", TRIANGLE, "within")),
        where=f"within_polygon(location, '{TRIANGLE}')",
    ),
]


def _quakes(page: str, answer: Callable[[World], Rows], ordered: bool = False, **parameters: str) -> Documented:
    named = {key.removeprefix("_") if key.startswith("_") else f"${key}": text for key, text in parameters.items()}
    return Documented(title("docs", page), "quakes", named, answer, ordered)


def _strong(bound: str) -> Callable[[Row], bool]:
    return lambda row: more(row["magnitude"], Decimal(bound))


def _regions(w: World) -> Rows:
    found = [
        {"region": region, "avg_magnitude": mean(some(rows, "magnitude")), "count": whole(len(rows))}
        for region, rows in groups(w["quakes"], "region").items()
    ]
    return by(keep(found, lambda r: r["count"] >= 5), "avg_magnitude", down=True)


PAGES = [
    _quakes("filtering", lambda w: keep(w["quakes"], lambda r: r["source"] == "nn"), _source="nn"),
    _quakes(
        "filtering",
        lambda w: keep(w["quakes"], lambda r: r["source"] == "pr" and r["region"] == "Virgin Islands region"),
        _source="pr",
        _region="Virgin Islands region",
    ),
    _quakes("queries", lambda w: keep(w["quakes"], _strong("3.0")), where="magnitude > 3.0"),
    _quakes("queries/select", lambda w: take(w["quakes"], "location", "magnitude"), select="location, magnitude"),
    _quakes(
        "queries/select",
        lambda w: [{"location": r["location"], "richter": r["magnitude"]} for r in w["quakes"]],
        select="location, magnitude AS richter",
    ),
    _quakes(
        "queries/select",
        lambda w: [{"location": r["location"], "depth_feet": r["depth"] * Decimal("3.28")} for r in w["quakes"]],
        select="location, depth * 3.28 AS depth_feet",
    ),
    _quakes(
        "queries/where",
        lambda w: keep(w["quakes"], lambda r: _strong("3.0")(r) and r["source"] == "pr"),
        where="magnitude > 3.0 AND source = 'pr'",
    ),
    _quakes(
        "queries/where",
        lambda w: keep(w["quakes"], lambda r: _strong("3.0")(r) and r["source"] == "pr"),
        where="magnitude > 3.0",
        _source="pr",
    ),
    _quakes("queries/order", lambda w: by(w["quakes"], "magnitude", down=True), ordered=True, order="magnitude DESC"),
    _quakes("queries/order", lambda w: by(w["quakes"], "magnitude"), ordered=True, order="magnitude ASC"),
    _quakes("queries/order", lambda w: by(w["quakes"], "magnitude"), ordered=True, order="magnitude"),
    _quakes(
        "queries/group",
        lambda w: [
            {"region": region, "max_magnitude": most(some(rows, "magnitude"))}
            for region, rows in groups(w["quakes"], "region").items()
        ],
        select="region,MAX(magnitude)",
        group="region",
    ),
    _quakes(
        "queries/having",
        lambda w: [row for row in counted(w["quakes"], "source", "source") if row["count"] > 60],
        select="source, count(*) as count",
        group="source",
        having="count > 60",
    ),
    _quakes(
        "queries/limit",
        lambda w: by(w["quakes"], "magnitude", down=True)[:10],
        ordered=True,
        order="magnitude DESC",
        limit="10",
    ),
    _quakes("queries/offset", lambda w: w["quakes"][150:200], ordered=True, limit="50", offset="150"),
    _quakes("queries/q", lambda w: keep(w["quakes"], lambda r: "Island" in r["region"]), q="Islands"),
    _quakes("queries/query", lambda w: w["quakes"], query="SELECT *"),
    _quakes(
        "queries/query",
        lambda w: take(w["quakes"], "earthquake_id", "magnitude", "depth"),
        query="SELECT `earthquake_id`, `magnitude`, `depth`",
    ),
    _quakes(
        "queries/query",
        lambda w: [{"strength": r["magnitude"]} for r in w["quakes"]],
        query="SELECT `magnitude` AS `strength`",
    ),
    _quakes("queries/query", lambda w: keep(w["quakes"], _strong("3.0")), query="SELECT * WHERE `magnitude` > 3.0"),
    _quakes(
        "queries/query",
        lambda w: keep(w["quakes"], lambda r: _strong("3.0")(r) and r["source"] == "pr"),
        query="SELECT * WHERE `magnitude` > 3.0 AND `source` = 'pr'",
    ),
    _quakes(
        "queries/query",
        lambda w: take(keep(w["quakes"], _strong("4.2")), "location", "magnitude"),
        query="SELECT location, magnitude WHERE magnitude > 4.2",
    ),
    _quakes(
        "queries/query",
        lambda w: [
            {
                "num_types": whole(len({r["region"] for r in w["quakes"]})),
                "region_totals": whole(len(w["quakes"])),
            }
        ],
        query="SELECT region, COUNT(*) AS count GROUP BY region |>"
        " SELECT COUNT(region) AS num_types, SUM(count) AS region_totals",
    ),
    _quakes(
        "paging",
        lambda w: by(w["quakes"], "earthquake_id")[:5],
        ordered=True,
        limit="5",
        offset="0",
        order="earthquake_id",
    ),
    _quakes(
        "paging",
        lambda w: by(w["quakes"], "earthquake_id")[5:10],
        ordered=True,
        limit="5",
        offset="5",
        order="earthquake_id",
    ),
    _quakes(
        "datatypes/number",
        lambda w: keep(w["quakes"], lambda r: more(r["number_of_stations"], 200)),
        where="number_of_stations > 200",
    ),
    _quakes(
        "datatypes/number",
        lambda w: [{"avg_number_of_stations": mean(some(w["quakes"], "number_of_stations"))}],
        select="avg(number_of_stations)",
    ),
    _quakes(
        "datatypes/point",
        lambda w: keep(w["quakes"], lambda r: boxed(r, "location", 48.317908, -122.995119, 47.309034, -121.630497)),
        where="within_box(location, 48.317908, -122.995119, 47.309034, -121.630497)",
    ),
    _quakes(
        "datatypes/point",
        lambda w: keep(w["quakes"], lambda r: near(r, "location", 47.616810, -122.328064, 50000)),
        where="within_circle(location, 47.616810, -122.328064, 50000)",
    ),
    _quakes(
        "datatypes/text",
        lambda w: keep(w["quakes"], lambda r: r["region"].upper() == "NEVADA"),
        where="UPPER(region) = 'NEVADA'",
    ),
    _quakes(
        "datatypes/text",
        lambda w: keep(w["quakes"], lambda r: r["region"].startswith("Virgin")),
        where="starts_with(region, 'Virgin')",
    ),
    Documented(
        title("docs/datatypes/text"),
        "salaries",
        {"$where": "name='O''NEIL, ZOË'"},
        lambda w: keep(w["salaries"], lambda r: r["name"] == "O'NEIL, ZOË"),
    ),
    Documented(
        title("docs/datatypes/checkbox"),
        "crimes",
        {"$select": "count(*)", "$where": "arrest=true"},
        lambda w: [{"count": whole(sum(r["arrest"] is True for r in w["crimes"]))}],
    ),
    Documented(
        title("docs/datatypes/checkbox"),
        "crimes",
        {"$select": "count(*)", "$where": "arrest"},
        lambda w: [{"count": whole(sum(r["arrest"] is True for r in w["crimes"]))}],
    ),
    Documented(
        title("docs/datatypes/floating_timestamp"),
        "crimes",
        {"$where": "date between '2015-01-10T12:00:00' and '2015-01-10T14:00:00'"},
        lambda w: keep(w["crimes"], lambda r: NOON <= r["date"] <= TWO),
    ),
    Documented(
        title("docs/queries/q"),
        "crimes",
        {"$q": "stealing bicycles"},
        lambda w: keep(w["crimes"], lambda r: r["description"] in ("Stealing a bicycle", "he steals bicycles")),
    ),
    Documented(title("docs/system-fields"), "crimes", {"$where": ":updated_at > '2014-10-20'"}, lambda w: w["crimes"]),
    Documented(
        title("docs/transforms/case"),
        "year",
        {"$select": "case(1 == 2, 'This will never be returned', true, 'This will always be returned') as x"},
        lambda w: [{"x": "This will always be returned"}] * len(w["year"]),
    ),
    Documented(
        title("docs/transforms/coalesce"),
        "year",
        {"$select": 'coalesce(null, null, "some_value") as x'},
        lambda w: [{"x": "some_value"}] * len(w["year"]),
    ),
    Documented(
        title("docs/transforms/lower"),
        "year",
        {"$select": "lower('SOMEthing') as x"},
        lambda w: [{"x": "something"}] * len(w["year"]),
    ),
    Documented(
        title("docs/transforms/to_number"),
        "year",
        {"$select": "to_number('42') as x"},
        lambda w: [{"x": whole(42)}] * len(w["year"]),
    ),
]

GIST = "gist.github.com/chrismetcalf/5017049"
SODAPY = "github.com/xmunoz/sodapy: examples/soql_queries.py"
CLIENTS = [
    Documented(
        "github.com/socrata/soda-ruby: README",
        "quakes",
        {"$where": "magnitude > '3.0'"},
        lambda w: keep(w["quakes"], _strong("3.0")),
    ),
    Documented(
        "github.com/socrata/soda-ruby: README",
        "quakes",
        {"$where": "datetime > '2012-09-14T09:28:55' AND datetime < '2012-12-25T09:00:00'"},
        lambda w: keep(w["quakes"], lambda r: at("2012-09-14T09:28:55") < r["datetime"] < at("2012-12-25T09:00")),
    ),
    Documented(
        "github.com/socrata/soda-ruby: README",
        "quakes",
        {"$limit": "1", "source": "ci", "region": "Nevada"},
        lambda w: keep(w["quakes"], lambda r: r["source"] == "ci" and r["region"] == "Nevada")[:1],
    ),
    Documented(
        "github.com/socrata/soda-js: README",
        "salaries",
        {"$limit": "5", "$where": "job_titles = 'FIRE CHIEF'", "$order": "name"},
        lambda w: by(keep(w["salaries"], lambda r: r["job_titles"] == "FIRE CHIEF"), "name")[:5],
        ordered=True,
    ),
    Documented(
        "github.com/socrata/soda-js: README",
        "salaries",
        {"$where": "job_titles like '%CHIEF'"},
        lambda w: keep(w["salaries"], lambda r: r["job_titles"].endswith("CHIEF")),
    ),
    Documented(
        "github.com/xmunoz/sodapy: README",
        "quakes",
        {"$where": "depth > 300", "$order": "magnitude DESC", "$$exclude_system_fields": "true"},
        lambda w: by(keep(w["quakes"], lambda r: r["depth"] > 300), "magnitude", down=True),
        ordered=True,
    ),
    Documented(
        "github.com/xmunoz/sodapy: README",
        "quakes",
        {"region": "Kansas"},
        lambda w: keep(w["quakes"], lambda r: r["region"] == "Kansas"),
    ),
    Documented(
        SODAPY,
        "payments",
        {"$where": "amount >= 2433"},
        lambda w: keep(w["payments"], lambda r: more(r["amount"], 2432)),
    ),
    Documented(
        SODAPY,
        "payments",
        {"$where": "amount < 2433", "$select": "amount, job", "$order": "amount ASC"},
        lambda w: take(by(keep(w["payments"], lambda r: less(r["amount"], 2433)), "amount"), "amount", "job"),
        ordered=True,
    ),
    Documented(
        SODAPY,
        "payments",
        {"$group": "recipient", "$select": "sum(amount), recipient", "$order": "sum(amount) DESC"},
        lambda w: by(
            [
                {"sum_amount": total(some(rows, "amount")), "recipient": who}
                for who, rows in groups(w["payments"], "recipient").items()
            ],
            "sum_amount",
            down=True,
        ),
        ordered=True,
    ),
    Documented(
        SODAPY,
        "payments",
        {"$limit": "6", "$select": "payment, amount"},
        lambda w: take(w["payments"], "payment", "amount")[:6],
    ),
    Documented(
        SODAPY,
        "payments",
        {"$select": "payment, amount", "$limit": "3", "$offset": "3"},
        lambda w: take(w["payments"], "payment", "amount")[3:6],
    ),
    Documented(
        SODAPY,
        "payments",
        {
            "$query": "\nselect\n    payment,\n    amount\nwhere\n    amount > 1000\n    and amount < 2000\n"
            "limit\n    5\n"
        },
        lambda w: take(
            keep(w["payments"], lambda r: more(r["amount"], 1000) and less(r["amount"], 2000)), "payment", "amount"
        )[:5],
    ),
    Documented(
        SODAPY,
        "salaries",
        {"$q": "Müller", "$select": "name, department"},
        lambda w: take(keep(w["salaries"], lambda r: "Müller" in r["name"]), "name", "department"),
    ),
    Documented(
        "the manual of the R package socratadata: soc_query",
        "quakes",
        {
            "$query": "SELECT region, avg(magnitude) as avg_magnitude, count(*) as count GROUP BY region"
            " HAVING count >= 5 ORDER BY avg_magnitude DESC"
        },
        _regions,
        ordered=True,
    ),
    Documented(
        "github.com/ryanzomorrodi/socratadata: README",
        "salaries",
        {"$where": "job_titles LIKE 'FIRE CHIEF'"},
        lambda w: keep(w["salaries"], lambda r: r["job_titles"] == "FIRE CHIEF"),
    ),
    Documented(
        "github.com/ryanzomorrodi/socratadata: README",
        "crimes",
        {
            "$select": "district, count(*) as n",
            "$where": f"within_polygon(location, '{TRIANGLE}')",
            "$group": "district",
            "$order": "n DESC",
        },
        lambda w: by(
            by(
                counted(
                    keep(w["crimes"], lambda r: _beside(r, "location", TRIANGLE, "within")), "district", "district", "n"
                ),
                "district",
            ),
            "n",
            down=True,
        ),
        ordered=True,
    ),
    Documented(
        "github.com/j3lte/deno-soda: README",
        "crimes",
        {
            "$select": "district,ward,primary_type",
            "$limit": "10",
            "$order": "date DESC",
            "$where": "primary_type LIKE 'R%' AND date > '2014-03-01T00:00:00.000'"
            " AND date < '2015-01-01T00:00:00.000'",
        },
        lambda w: take(
            by(
                keep(
                    w["crimes"],
                    lambda r: r["primary_type"].startswith("R") and at("2014-03-01") < r["date"] < at("2015-01-01"),
                ),
                "date",
                down=True,
            ),
            "district",
            "ward",
            "primary_type",
        )[:10],
        ordered=True,
    ),
    Documented(
        "the manual of the R package soql",
        "quakes",
        {"$where": "depth > 30", "$limit": "20"},
        lambda w: keep(w["quakes"], lambda r: r["depth"] > 30)[:20],
    ),
    Documented(
        "github.com/Chicago/RSocrata: tests/testthat/test-all.R",
        "quakes",
        {"$select": "region"},
        lambda w: take(w["quakes"], "region"),
    ),
    Documented(
        "github.com/Chicago/RSocrata: tests/testthat/test-all.R",
        "quakes",
        {"$order": "datetime"},
        lambda w: by(w["quakes"], "datetime"),
        ordered=True,
    ),
    Documented(
        "github.com/Chicago/RSocrata: issue 194",
        "crimes",
        {"$select": "date as day, district, ward", "$where": "district like '%010%'"},
        lambda w: [
            {"day": r["date"], "district": r["district"], "ward": r["ward"]}
            for r in w["crimes"]
            if "010" in r["district"]
        ],
    ),
    Documented(GIST, "crimes", {"district": "003"}, lambda w: keep(w["crimes"], lambda r: r["district"] == "003")),
    Documented(
        GIST,
        "crimes",
        {"$where": "date > '2014-11-01'", "$select": "date,district,description"},
        lambda w: take(keep(w["crimes"], lambda r: r["date"] > at("2014-11-01")), "date", "district", "description"),
    ),
]

GEOMETRY = "github.com/socrata-platform/soql-postgres-adapter: SoQLGeomFunctionsTest"
APCO = "34.8 32.4, 35.0 32.4, 35.0 32.6, 34.8 32.6, 34.8 32.4"
SQUARE = "1 1, 1.5 1, 2 1, 2 1.5,  2 2, 1.5 2,  1 2, 1 1.5, 1 1"


def _own(
    test: str,
    text: str,
    answer: Callable[[World], Rows],
    *,
    dataset: str = "gliders",
    ordered: bool = True,
    named: bool = True,
) -> Documented:
    source = f"github.com/socrata-platform/soql-postgres-adapter: {test}"
    return Documented(source, dataset, {"$query": text}, answer, ordered, named)


def _speed(sign: str, holds: Callable[[Decimal], bool]) -> Documented:
    return _own(
        "SoQLNumberFunctionsTest",
        f"select make, name, v_max where {sign} order by v_max, name",
        lambda w: take(
            by(keep(w["gliders"], lambda r: r["v_max"] is not None and holds(r["v_max"])), "v_max", "name"),
            "make",
            "name",
            "v_max",
        ),
    )


def _named(sign: str, holds: Callable[[str], bool]) -> Documented:
    return _own(
        "SoQLStringFunctionsTest",
        f"select make, name where name {sign} order by name",
        lambda w: take(by(keep(w["gliders"], lambda r: holds(r["name"])), "name"), "make", "name"),
    )


def _truncated(
    name: str, part: Callable[[datetime | None], Any], more_: str = "", rows: int | None = None
) -> Documented:
    call = f"{name}(available)"

    def answer(w: World) -> Rows:
        chosen = keep(w["gliders"], lambda r: r["available"] is not None) if "where" in more_ else w["gliders"]
        found = counted(chosen, f"{name}_available", lambda r: part(r["available"]))
        return by(found, f"{name}_available")[:rows]

    limit = f" limit {rows}" if rows else ""
    return _own(
        "SoQLTruncateFunctionsTest", f"select {call}, count(*){more_} group by {call} order by {call}{limit}", answer
    )


APCO_ONLY = defaultdict(lambda: "-", APCO="where make = 'APCO' ")


def _searched(words: str, holds: Callable[[str], bool], condition: str = "") -> Documented:
    return _own(
        "SoQLSearchTest",
        f"select name, make, color {condition}search '{words}' order by name",
        lambda w: take(
            by(
                keep(
                    w["gliders"],
                    lambda r: holds(f"{r['name']} {r['color']}") and condition in ("", APCO_ONLY[r["make"]]),
                ),
                "name",
            ),
            "name",
            "make",
            "color",
        ),
    )


def _placed(condition: str, holds: Callable[[Row], bool], order: str = " order by name") -> Documented:
    return Documented(
        GEOMETRY,
        "gliders",
        {"$query": f"select make, name, point where {condition}{order}"},
        lambda w: take(by(keep(w["gliders"], holds), "name"), "make", "name", "point"),
        bool(order),
    )


def _level(*pairs: tuple[str, str]) -> Callable[[Row], str | None]:
    return lambda row: dict(pairs).get(row["class"])


LEVEL = _level(("EN-A", "Beginner"), ("DHV-1", "Beginner"), ("EN-B", "Intermediate"), ("EN-C", "Advanced"))
CASES = (
    "case(class = 'EN-A', 'Beginner', class = 'DHV-1', 'Beginner', class = 'EN-B', 'Intermediate',"
    " class = 'EN-C', 'Advanced') as category"
)


def _made(w: World, make: str | None = None) -> list[tuple[Row, Row]]:
    pairs = joined(w["gliders"], w["manufacturer"], "make")
    return by(
        [{"l": a, "r": b} for a, b in pairs if make in (None, a["make"])],  # type: ignore[return-value]
        lambda p: p["l"]["make"],
        lambda p: p["l"]["code"],
    )


def _timezones(w: World, make: str | None, *fields: str, name: str = "timezone") -> Rows:
    return [{f: p["l"][f] for f in fields} | {name: p["r"]["timezone"]} for p in _made(w, make)]  # type: ignore[call-overload]


def _averages(w: World, name: str, key: Callable[[Row], Any]) -> Rows:
    chosen = by(keep(w["gliders"], lambda r: r["v_max"] is not None), "code")
    found = groups(chosen, key)
    return [{"code": r["code"], "make": r["make"], name: mean(some(found[key(r)], "v_max"))} for r in chosen]


def _fast(w: World) -> Rows:
    chosen = keep(w["gliders"], lambda r: r["v_max"] is not None)
    found = [
        {"make": make, "fast": fast, "count_name": whole(len(rows))}
        for (make, fast), rows in groups(chosen, "make", lambda r: r["v_max"] > 50).items()
        if len(rows) > 1
    ]
    return by(by(found, "make"), "fast")


def _brand(row: Row) -> str | None:
    return None if row["country"] is None else f"{row['country']}'s {row['make']}"


def _nulls(w: World, is_null: bool) -> Rows:
    names = ("size", "available", "three_liner")
    chosen = by(keep(w["gliders"], lambda r: all((r[n] is None) == is_null for n in names)), "name")
    ending = "is_null" if is_null else "is_not_null"
    return [{"name": r["name"], "make": r["make"]} | {f"{n}_{ending}": True for n in names} for r in chosen]


def _union(w: World, *tables: str) -> list[str]:
    return sorted({r["name"] for table in tables for r in w[table]})


def _best(w: World) -> Rows:
    first: dict[str, Row] = {}
    for row in by(keep(w["gliders"], lambda r: r["make"] in ("APCO", "OZONE", "Skywalk")), "make", "code"):
        first.setdefault(row["make"], {"code": row["code"], "make": row["make"], "rn": whole(1)})
    return by(list(first.values()), "make")


def _classes_of(w: World) -> Rows:
    found = []
    for pair in _made(w, "APCO"):
        glider = pair["l"]  # type: ignore[call-overload]
        meaning = next((c["description"] for c in w["classification"] if c["id"] == glider["class"]), None)
        found.append({"make": "APCO", "code": glider["code"], "timezone": "Asia/Jerusalem", "classification": meaning})
    return found


def _groups_of_groups(w: World) -> Rows:
    inner = groups(keep(w["gliders"], lambda r: r["class"] is not None), "make")
    rows = [{"top": most(some(found, "class")), "n": len(found)} for found in inner.values()]
    return by(
        [
            {"max_class": top, "sum_ct_name": whole(sum(r["n"] for r in found))}
            for top, found in groups(rows, "top").items()
        ],
        "max_class",
    )[:1]


def _warm(w: World) -> Rows:
    found = [
        {"primary_type": kind, "year": most(some(rows, "year"))}
        for kind, rows in groups(w["crimes"], "primary_type").items()
    ]
    return [
        a | {"avg_temperature": b["avg_temperature"]} for a, b in joined(found, w["year"], "year") if a["year"] == 2015
    ]


def _lateral(w: World) -> Rows:
    found = [{"name": a["name"], "breed": a["breed"], "dog": b["dog"]} for a, b in joined(w["cat"], w["dog"], "year")]
    found += [{"name": b["name"], "breed": b["breed"], "dog": b["bird"]} for b in w["bird"]]
    return by(distinct(found), "name", "dog")


def _corner(row: Row) -> Row:
    return {
        "code": row["code"],
        "name": row["name"],
        "point_latitude": Decimal(str(row["point"]["coordinates"][1])),
        "point_longitude": Decimal(str(row["point"]["coordinates"][0])),
    }


OWN = [
    _own(
        "SoQLWindowFunctionsTest",
        "select code, make, avg(v_max) over(PARTITION BY make) where v_max is not null order by code",
        lambda w: _averages(w, "avg", lambda r: r["make"]),
        named=False,
    ),
    _own(
        "SoQLWindowFunctionsTest",
        "select code, make, avg(v_max) over() where v_max is not null order by code",
        lambda w: _averages(w, "avg", lambda _: 0),
        named=False,
    ),
    _own(
        "SoQLWindowFunctionsTest",
        "select code, make, avg(v_max) over() as range where v_max is not null order by code nulls first",
        lambda w: _averages(w, "range", lambda _: 0),
    ),
    _own(
        "SoQLWindowFunctionsTest",
        """
        SELECT code, make, row_number() over(partition by make order by make, code) as rn
         WHERE make in ('APCO','OZONE','Skywalk') |>
               SELECT * WHERE rn <= 1 ORDER BY make""",
        _best,
    ),
    _named("< 'buzz'", lambda n: n < "buzz"),
    _named("<= 'buzz'", lambda n: n <= "buzz"),
    _named("= 'buzz'", lambda n: n == "buzz"),
    _named("!= 'buzz'", lambda n: n != "buzz"),
    _named("> 'sprint evo'", lambda n: n > "sprint evo"),
    _named(">= 'sprint evo'", lambda n: n >= "sprint evo"),
    _own(
        "SoQLStringFunctionsTest",
        "select make, lower(name) where name = 'Atlas'",
        lambda w: [{"make": r["make"], "lower_name": "atlas"} for r in w["gliders"] if r["name"] == "Atlas"],
        ordered=False,
    ),
    _own(
        "SoQLStringFunctionsTest",
        "select make, name where starts_with(make, 'Skyw') order by name",
        lambda w: take(by(keep(w["gliders"], lambda r: r["make"] == "Skywalk"), "name"), "make", "name"),
    ),
    _own("SoQLChainTest", "SELECT code WHERE code = 'G-03' |> SELECT code", lambda _: [{"code": "G-03"}]),
    _own(
        "SoQLChainTest",
        """SELECT code || 'a' as aa WHERE code = 'G-03' and code != '00' |>
         SELECT aa || 'b' as bb WHERE aa != '11' |>
         SELECT bb || 'c' as cc WHERE bb !='22'""",
        lambda _: [{"cc": "G-03abc"}],
    ),
    _own(
        "SoQLChainTest",
        """SELECT code as xcode, code || 'a' as aa WHERE code = 'G-03' and code != '00' |>
         SELECT xcode, aa || 'b' as bb WHERE aa != '11' |>
         SELECT xcode, bb || 'c' as cc WHERE bb !='22'""",
        lambda _: [{"xcode": "G-03", "cc": "G-03abc"}],
    ),
    _own(
        "SoQLChainTest",
        "SELECT make, sum(v_min) WHERE make = 'OZONE' GROUP BY make |> SELECT *",
        lambda w: [{"make": "OZONE", "sum_v_min": total([r["v_min"] for r in w["gliders"] if r["make"] == "OZONE"])}],
    ),
    _own(
        "SoQLChainTest",
        "SELECT make, -v_min as neg_v_min WHERE make = 'OZONE' |> SELECT make, sum(neg_v_min) GROUP BY make",
        lambda w: [
            {"make": "OZONE", "sum_neg_v_min": total([-r["v_min"] for r in w["gliders"] if r["make"] == "OZONE"])}
        ],
    ),
    _own(
        "SoQLChainTest",
        "SELECT make, max(class) as max_class, count(name) as ct_name WHERE class is not null"
        " GROUP BY make |> SELECT max_class, sum(ct_name) GROUP By max_class ORDER BY max_class LIMIT 1",
        _groups_of_groups,
    ),
    _own(
        "SoQLCaseFunctionTest",
        """
      SELECT case(class = 'EN-A' or class = 'DHV-1', 'Beginner',
                  class = 'EN-B', 'Intermediate',
                  class = 'EN-C', 'Advanced',
                  true, 'Unknown') as category,
             class,
             name
       ORDER By category, name
       LIMIT 12""",
        lambda w: by(
            [{"category": LEVEL(r) or "Unknown", "class": r["class"], "name": r["name"]} for r in w["gliders"]],
            "category",
            "name",
        )[:12],
    ),
    _own(
        "SoQLCaseFunctionTest",
        f"SELECT {CASES}, class, name ORDER By category, name LIMIT 12",
        lambda w: by(
            [{"category": LEVEL(r), "class": r["class"], "name": r["name"]} for r in w["gliders"]], "category", "name"
        )[:12],
    ),
    _own(
        "SoQLCaseFunctionTest",
        f"SELECT {CASES}, count(:id) as count GROUP By category",
        lambda w: counted(w["gliders"], "category", LEVEL),
        ordered=False,
    ),
    _speed("v_max < 50", lambda v: v < 50),
    _speed("v_max <= 50", lambda v: v <= 50),
    _speed("v_max = 50", lambda v: v == 50),
    _speed("v_max != 50", lambda v: v != 50),
    _speed("v_max >= 50", lambda v: v >= 50),
    _speed("v_max + 50 = 100", lambda v: v == 50),
    _speed("v_max - 50 = 0", lambda v: v == 50),
    _speed("+v_max = +50", lambda v: v == 50),
    _speed("-v_max = -50", lambda v: v == 50),
    _speed("v_max*2 = 100", lambda v: v == 50),
    _speed("v_max/2 = 25", lambda v: v == 50),
    _own(
        "SoQLMathFunctionsTest",
        "select median(v_max) as m1",
        lambda w: [{"m1": float(statistics.median(some(w["gliders"], "v_max")))}],
    ),
    _truncated("date_trunc_ymd", day, " where available is not null"),
    _truncated("date_trunc_ym", month, rows=5),
    _truncated("date_trunc_y", year),
    _truncated("date_extract_hh", lambda m: None if m is None else whole(m.hour)),
    _truncated("date_extract_dow", lambda m: None if m is None else whole(m.isoweekday() % 7)),
    _searched("blue", lambda c: "blue" in c),
    _searched("blue jade", lambda c: "blue" in c and "jade" in c),
    _searched("blue", lambda c: "blue" in c, "where make = 'APCO' "),
    _own(
        "SoQLGroupTest",
        "select make, count(name) group by make order by make",
        lambda w: by(counted(w["gliders"], "make", "make", "count_name"), "make"),
    ),
    _own(
        "SoQLGroupTest",
        "select make, count(name) group by make order by count(name) desc",
        lambda w: by(by(counted(w["gliders"], "make", "make", "count_name"), "make"), "count_name", down=True),
    ),
    _own(
        "SoQLGroupTest",
        "select make, v_max > 50 as fast, count(name) where v_max is not null"
        " group by make, v_max > 50 having count(:id) > 1 order by v_max > 50 ",
        _fast,
    ),
    _own(
        "SoQLGroupTest",
        "select country || '''s ' || make as brand_made, count(name)"
        " group by country || '''s ' || make order by country || '''s ' || make",
        lambda w: by(counted(w["gliders"], "brand_made", _brand, "count_name"), "brand_made"),
    ),
    _own(
        "SoQLNullFunctionsTest",
        "select name, make, size is null, available is null, three_liner is null where"
        " size is null and available is null and three_liner is null order by name",
        lambda w: _nulls(w, True),
    ),
    _own(
        "SoQLNullFunctionsTest",
        "select name, make, size is not null, available is not null, three_liner is not null"
        " where size is not null and available is not null and three_liner is not null order by name",
        lambda w: _nulls(w, False),
    ),
    _own(
        "SoQLNullFunctionsTest",
        "select code, coalesce(country, name, 'x') as col where code = 'G-04'",
        lambda w: [{"code": "G-04", "col": r["country"] or r["name"]} for r in w["gliders"] if r["code"] == "G-04"],
    ),
    _own(
        "SoQLBoolFunctionsTest",
        "select make, name, three_liner where three_liner and v_max > 50 order by name",
        lambda w: take(
            by(keep(w["gliders"], lambda r: r["three_liner"] and more(r["v_max"], 50)), "name"),
            "make",
            "name",
            "three_liner",
        ),
    ),
    _own(
        "SoQLBoolFunctionsTest",
        "select make, name where make = 'OZONE' or make = 'Advance' order by name",
        lambda w: take(by(keep(w["gliders"], lambda r: r["make"] in ("OZONE", "Advance")), "name"), "make", "name"),
    ),
    _own(
        "SoQLBoolFunctionsTest",
        "select make, name, three_liner where not three_liner order by name",
        lambda w: take(
            by(keep(w["gliders"], lambda r: r["three_liner"] is False), "name"), "make", "name", "three_liner"
        ),
    ),
    _own(
        "SoQLDistinctTest",
        "select distinct make order by make",
        lambda w: by(distinct(take(w["gliders"], "make")), "make"),
    ),
    _own(
        "SoQLDistinctTest",
        "select distinct make, count(name) group by make order by make",
        lambda w: by(counted(w["gliders"], "make", "make", "count_name"), "make"),
    ),
    _own(
        "SoQLLimitOffsetTest",
        "select make, name order by name offset 2 limit 5",
        lambda w: take(by(w["gliders"], "name"), "make", "name")[2:7],
    ),
    _own(
        "SoQLLimitOffsetTest",
        "select make, count(name) where not starts_with(make, 'z') group by make"
        " having count(name) > 0 order by make limit 1 offset 4",
        lambda w: by(counted(w["gliders"], "make", "make", "count_name"), "make")[4:5],
    ),
    _own(
        "SoQLLimitOffsetTest",
        "select name, make search 'apco' order by name limit 2 offset 1",
        lambda w: take(by(keep(w["gliders"], lambda r: r["make"] == "APCO"), "name"), "name", "make")[1:3],
    ),
    _own(
        "SoQLTimestampTest",
        "select code, date_diff_d('2008-08-01T18:12:34'::floating_timestamp, available) as d2 where code='G-03'",
        lambda w: [
            {"code": "G-03", "d2": whole(int((at("2008-08-01T18:12:34") - r["available"]) / timedelta(days=1)))}
            for r in w["gliders"]
            if r["code"] == "G-03"
        ],
    ),
    _own(
        "SoQLJoinTest",
        """
SELECT make, name, @manufacturer.timezone
  JOIN @manufacturer on make=@manufacturer.make
 ORDER by make, code
                      """,
        lambda w: _timezones(w, None, "make", "name"),
    ),
    _own(
        "SoQLJoinTest",
        """
SELECT make, name, @m.timezone
  JOIN @manufacturer as m on make=@m.make
 WHERE @m.make='OZONE'
 ORDER by @m.make, code
                      """,
        lambda w: _timezones(w, "OZONE", "make", "name"),
    ),
    _own(
        "SoQLJoinTest",
        """
SELECT make, name, @m2.timezone
  JOIN @manufacturer as m on make=@m.make
  JOIN @manufacturer as m2 on make=@m2.make
 WHERE @m.make='OZONE'
 ORDER by @m.make, code
                      """,
        lambda w: _timezones(w, "OZONE", "make", "name"),
    ),
    _own(
        "SoQLJoinTest",
        """
SELECT make, name, @m.timezone
  JOIN @manufacturer as m on make=@m.make
 WHERE @m.make='OZONE'
    |>
SELECT count(*)
                      """,
        lambda w: [{"count": whole(len(_made(w, "OZONE")))}],
    ),
    _own(
        "SoQLJoinTest",
        """
SELECT make, count(name) as ct
 GROUP by make
    |>
SELECT make, ct, @m.timezone
  JOIN @manufacturer as m on make=@m.make
 WHERE @m.make='OZONE'
                      """,
        lambda w: [{"make": "OZONE", "ct": whole(len(_made(w, "OZONE"))), "timezone": "Europe/Paris"}],
    ),
    _own(
        "SoQLJoinTest",
        """
SELECT make, code, @m.timezone
  JOIN (SELECT make, timezone FROM @manufacturer WHERE make='APCO') as m on make=@m.make
 WHERE @m.make='APCO'
 ORDER by @m.make, code
                      """,
        lambda w: _timezones(w, "APCO", "make", "code"),
    ),
    _own(
        "SoQLJoinTest",
        """
SELECT make, code, @m.timezone
 JOIN (SELECT * FROM @manufacturer WHERE make='APCO'
           |>
       SELECT make, timezone) as m on make=@m.make
 WHERE @m.make='APCO'
 ORDER by @m.make, code
                      """,
        lambda w: _timezones(w, "APCO", "make", "code"),
    ),
    _own(
        "SoQLJoinTest",
        """
SELECT make, code, @m.maxtimezone
  JOIN (SELECT make, max(timezone) as maxtimezone FROM @manufacturer WHERE make='APCO' GROUP by make) as m
    on make=@m.make
 WHERE @m.make='APCO'
 ORDER by @m.make, code
                      """,
        lambda w: _timezones(w, "APCO", "make", "code", name="maxtimezone"),
    ),
    _own(
        "SoQLJoinTest",
        """
SELECT make, code, @m.maxtimezone
  JOIN (SELECT * FROM @manufacturer WHERE make='APCO' |> SELECT make, max(timezone) as maxtimezone GROUP by make) as m
    on make=@m.make
 WHERE @m.make='APCO' order by @m.make, code
    |>
SELECT make, count(maxtimezone) GROUP BY make
                      """,
        lambda w: [{"make": "APCO", "count_maxtimezone": whole(len(_made(w, "APCO")))}],
    ),
    _own(
        "SoQLJoinTest",
        """
         SELECT make, code, @m.timezone, @c.description as classification
           JOIN (SELECT * FROM @manufacturer WHERE make='APCO' |> SELECT make, timezone) as m on make=@m.make
LEFT OUTER JOIN @classification as c on class=@c.id
          WHERE @m.make='APCO'
          ORDER by @m.make, code
                      """,
        _classes_of,
    ),
    _own(
        "SqlizerJoinTest",
        "select case_number, primary_type, @type.description join @type on primary_type = @type.primary_type",
        lambda w: [
            {"case_number": a["case_number"], "primary_type": a["primary_type"], "description": b["description"]}
            for a, b in joined(w["crimes"], w["type"], "primary_type")
        ],
        dataset="crimes",
        ordered=False,
    ),
    _own(
        "SqlizerJoinTest",
        "select case_number, primary_type, @y.avg_temperature join @year as y on @y.year = year",
        lambda w: [
            {
                "case_number": a["case_number"],
                "primary_type": a["primary_type"],
                "avg_temperature": b["avg_temperature"],
            }
            for a, b in joined(w["crimes"], w["year"], "year")
        ],
        dataset="crimes",
        ordered=False,
    ),
    _own(
        "SqlizerJoinTest",
        "select primary_type, count(case_number), max(year) as year group by primary_type |>"
        " select primary_type, year, @y.avg_temperature join @year as y on @y.year = year and year = 2015",
        _warm,
        dataset="crimes",
        ordered=False,
    ),
    _own(
        "SqlizerJoinTest",
        "select case_number, primary_type, @y.year, @y.avg_temperature join (SELECT * FROM @year"
        " |> SELECT year, avg_temperature WHERE avg_temperature > 30) as y on @y.year = year and year = 2014",
        lambda w: [
            {
                "case_number": a["case_number"],
                "primary_type": a["primary_type"],
                "year": b["year"],
                "avg_temperature": b["avg_temperature"],
            }
            for a, b in joined(w["crimes"], w["year"], "year")
            if a["year"] == 2014
        ],
        dataset="crimes",
        ordered=False,
    ),
    _own(
        "SoQLUnionTest",
        "SELECT name WHERE 3 <> 2 UNION select name FROM @dog WHERE year=1 |> SELECT name order by name",
        lambda w: [
            {"name": name}
            for name in sorted({r["name"] for r in w["cat"]} | {r["name"] for r in w["dog"] if r["year"] == 1})
        ],
        dataset="cat",
    ),
    _own(
        "SoQLUnionTest",
        "SELECT name UNION select @d1.name FROM @dog as d1 group by @d1.name |> SELECT name order by name",
        lambda w: [{"name": name} for name in _union(w, "cat", "dog")],
        dataset="cat",
    ),
    _own(
        "SoQLUnionTest",
        "SELECT name UNION SELECT name FROM @dog UNION ALL SELECT name FROM @bird UNION"
        " SELECT name FROM @fish |> SELECT name ORDER BY name OFFSET 2 LIMIT 2",
        lambda w: [{"name": name} for name in _union(w, "cat", "dog", "bird", "fish")[2:4]],
        dataset="cat",
    ),
    _own(
        "SoQLUnionTest",
        """SELECT @c.name, @c.breed, @j.dog FROM @this as c
           JOIN LATERAL (SELECT @d.name, @d.breed, @d.dog FROM @dog as d WHERE @d.year = @c.year) as j ON TRUE
          UNION
         SELECT name, breed, bird FROM @bird
          |> SELECT name, breed, dog ORDER BY name, dog
      """,
        _lateral,
        dataset="cat",
        ordered=False,
    ),
    _placed("within_circle(point, 32.50578, 34.8926, 4000)", lambda r: near(r, "point", 32.50578, 34.8926, 4000)),
    _placed("within_circle(point, 34.8926, 32.50578, 10000)", lambda r: near(r, "point", 34.8926, 32.50578, 10000)),
    _placed(f"within_polygon(point, 'POLYGON (({APCO}))')", lambda r: _beside(r, "point", f"POLYGON (({APCO}))")),
    _placed(f"within_polygon(point, 'MULTIPOLYGON((({APCO})))')", lambda r: _beside(r, "point", f"POLYGON (({APCO}))")),
    _placed("within_polygon(point, 'MULTIPOLYGON(((1 1, 2 1, 2 2, 1 2, 1 1)))')", lambda _: False),
    _placed("within_box(point, 33, 34, 32, 35)", lambda r: boxed(r, "point", 33, 34, 32, 35)),
    _placed("within_box(point, 34, 33, 35, 32)", lambda r: boxed(r, "point", 34, 33, 35, 32), order=""),
    Documented(
        GEOMETRY,
        "gliders",
        {
            "$query": "select name, 'point (1.1 2.2)'::point as northeast, 'pOInt(-1.1 -2.2)'::point as southwest"
            " where code = 'G-05'"
        },
        lambda w: [
            {"name": r["name"], "northeast": shapely.Point(1.1, 2.2), "southwest": shapely.Point(-1.1, -2.2)}
            for r in w["gliders"]
            if r["code"] == "G-05"
        ],
    ),
    Documented(
        GEOMETRY,
        "gliders",
        {
            "$query": "select code, 'multipolygon(((1 1, 2 1, 2 2, 1 2, 1 1)))'::multipolygon as multipolygon"
            " where code = 'G-05'"
        },
        lambda _: [{"code": "G-05", "multipolygon": shapely.box(1, 1, 2, 2)}],
    ),
    Documented(
        GEOMETRY,
        "gliders",
        {
            "$query": "select code, 'linestring(100.123456 0.123456, 100.123456 100.123456)'::line as line"
            " where code = 'G-05'"
        },
        lambda _: [{"code": "G-05", "line": shapely.LineString([(100.123456, 0.123456), (100.123456, 100.123456)])}],
    ),
    Documented(
        GEOMETRY,
        "gliders",
        {"$query": "select extent(point) as extent where make = 'APCO' or make = 'Skywalk' "},
        lambda w: [
            {
                "extent": shapely.box(
                    *shapely.MultiPoint(
                        [
                            shape(p)
                            for p in some(keep(w["gliders"], lambda r: r["make"] in ("APCO", "Skywalk")), "point")
                        ]
                    ).bounds
                )
            }
        ],
    ),
    Documented(
        GEOMETRY,
        "gliders",
        {"$query": "select size, extent(point) as extent where size='Small' group by size"},
        lambda w: [
            {
                "size": "Small",
                "extent": shapely.box(
                    *shapely.MultiPoint(
                        [shape(p) for p in some(keep(w["gliders"], lambda r: r["size"] == "Small"), "point")]
                    ).bounds
                ),
            }
        ],
    ),
    Documented(
        GEOMETRY,
        "gliders",
        {
            "$query": "select distance_in_meters('POINT(-0.127691 51.517320)', 'POINT(-73.976248 40.767049)')"
            " as distance_in_meters limit 1"
        },
        lambda _: [{"distance_in_meters": Meters(EARTH.inv(-0.127691, 51.517320, -73.976248, 40.767049)[2])}],
    ),
    Documented(
        GEOMETRY,
        "gliders",
        {
            "$query": "select num_points('MULTIPOLYGON(((11.578791 48.144026,11.582921 48.143088,11.582181 48.141649,"
            "11.578136 48.142515,11.578791 48.144026)))') as num_points where code = 'G-05'"
        },
        lambda _: [{"num_points": whole(5)}],
    ),
    Documented(
        GEOMETRY,
        "gliders",
        {
            "$query": f"select code, simplify('polygon(({SQUARE}))'::polygon, 0.5) as simplified,"
            " 'polygon((1 1, 2 1, 2 2, 1 2, 1 1))'::polygon as original where code = 'G-05'"
        },
        lambda _: [{"code": "G-05", "simplified": shapely.box(1, 1, 2, 2), "original": shapely.box(1, 1, 2, 2)}],
    ),
    Documented(
        GEOMETRY,
        "gliders",
        {
            "$query": "select code, name, point.latitude, point.longitude where code = 'G-03' and point.latitude > 1"
            " and point.longitude > 1"
        },
        lambda w: [_corner(r) for r in w["gliders"] if r["code"] == "G-03" and r["point"] is not None],
    ),
    _own(
        "SqlizerBasicTest",
        "select 'there is a '' quote'",
        lambda w: [{"x": "there is a ' quote"}] * len(w["year"]),
        dataset="year",
        named=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select case_number where case_number in ('HA001', 'HA002', 'HA003') order by case_number offset 1 limit 2",
        lambda _: [{"case_number": "HA002"}, {"case_number": "HA003"}],
        dataset="crimes",
    ),
    _own(
        "SqlizerBasicTest",
        "select count(year), avg(year), min(year), max(year), sum(year), median(year)",
        lambda w: [
            {
                "count_year": whole(400),
                "avg_year": mean(some(w["crimes"], "year")),
                "min_year": whole(2014),
                "max_year": whole(2015),
                "sum_year": total(some(w["crimes"], "year")),
                "median_year": float(statistics.median(some(w["crimes"], "year"))),
            }
        ],
        dataset="crimes",
    ),
    _own(
        "SqlizerBasicTest",
        "select 123::text, '123'::number",
        lambda _: [{"a": "123", "b": whole(123)}] * 3,
        dataset="year",
        named=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select substring(case_number, 2)",
        lambda w: [{"x": r["case_number"][1:]} for r in w["crimes"]],
        dataset="crimes",
        ordered=False,
        named=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select substring(case_number, 1, 2)",
        lambda w: [{"x": "HA"} for _ in w["crimes"]],
        dataset="crimes",
        named=False,
    ),
    _own(
        "SqlizerBasicTest",
        "SELECT 'aa' || 'bb' as aabb, case_number ORDER BY aabb, case_number",
        lambda w: [{"aabb": "aabb", "case_number": name} for name in sorted(r["case_number"] for r in w["crimes"])],
        dataset="crimes",
    ),
    _own(
        "SqlizerBasicTest",
        "SELECT district, count(*) as ct GROUP BY district ORDER BY ct",
        lambda w: by(by(counted(w["crimes"], "district", "district", "ct"), "district"), "ct"),
        dataset="crimes",
    ),
    _own(
        "SqlizerBasicTest",
        "select date_add(updated_on, 'P1DT1H') as d1, date_add(updated_on, 'PT86401S') as d2,"
        " updated_on + 'P1D' as d3 where updated_on is not null",
        lambda w: [
            {"d1": u + timedelta(days=1, hours=1), "d2": u + timedelta(seconds=86401), "d3": u + timedelta(days=1)}
            for u in some(w["crimes"], "updated_on")
        ],
        dataset="crimes",
        ordered=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select nullif(description, primary_type) as x",
        lambda w: [{"x": r["description"]} for r in w["crimes"]],
        dataset="crimes",
        ordered=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select ward, 'stRing' as a, 5 as b, 2*3 as c group by ward, a, b, c",
        lambda w: [{"ward": ward, "a": "stRing", "b": whole(5), "c": whole(6)} for ward in groups(w["crimes"], "ward")],
        dataset="crimes",
        ordered=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select 'stRing' as a, 5 as b, 2*3 as c group by a, b, c",
        lambda _: [{"a": "stRing", "b": whole(5), "c": whole(6)}],
        dataset="crimes",
    ),
    _own(
        "SqlizerBasicTest",
        "select distinct district, primary_type",
        lambda w: distinct(take(w["crimes"], "district", "primary_type")),
        dataset="crimes",
        ordered=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select year, rank() over(order by year)",
        lambda w: [
            {"year": r["year"], "rank": whole(1 + sum(o["year"] < r["year"] for o in w["crimes"]))} for r in w["crimes"]
        ],
        dataset="crimes",
        ordered=False,
        named=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select avg(year) over(partition by primary_type, year) as x",
        lambda w: [{"x": float(r["year"])} for r in w["crimes"]],
        dataset="crimes",
        ordered=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select count(year) filter (where year = year and true)",
        lambda _: [{"x": whole(400)}],
        dataset="crimes",
        named=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select case_number, count(*) filter (where year = year and true) over(partition by primary_type, year) as n",
        lambda w: [
            {
                "case_number": r["case_number"],
                "n": whole(Counter((o["primary_type"], o["year"]) for o in w["crimes"])[r["primary_type"], r["year"]]),
            }
            for r in w["crimes"]
        ],
        dataset="crimes",
        ordered=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select '2021-12-25T01:02:03'::floating_timestamp as a, '2021-12-25T01:02:03z'"
        "::fixed_timestamp as b, '2021-12-25T01:02:03-08:00'::fixed_timestamp as c",
        lambda _: (
            [
                {
                    "a": at("2021-12-25T01:02:03"),
                    "b": at("2021-12-25T01:02:03+00:00"),
                    "c": at("2021-12-25T09:02:03+00:00"),
                }
            ]
            * 3
        ),
        dataset="year",
    ),
    _own(
        "SqlizerBasicTest",
        "select date_diff_d('2021-12-25T01:02:03'::floating_timestamp,"
        " '2021-12-24T01:02:03'::floating_timestamp) as d1",
        lambda _: [{"d1": whole(1)}] * 3,
        dataset="year",
    ),
]


def _middle(values: list[str]) -> str:
    """The first value that at least half of them do not exceed, as PostgreSQL's percentile_disc has it."""
    return sorted(values)[(len(values) + 1) // 2 - 1]


OWN += [
    _own(
        "SoQLMathFunctionsTest",
        "select median(v_max) as m1, median(make) as m2",
        lambda w: [
            {"m1": float(statistics.median(some(w["gliders"], "v_max"))), "m2": _middle(some(w["gliders"], "make"))}
        ],
    ),
    _own(
        "SqlizerBasicTest",
        "select avg(year) over(partition by primary_type, year ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) as x",
        lambda w: [{"x": float(r["year"])} for r in w["crimes"]],
        dataset="crimes",
        ordered=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select distinct on (primary_type, year) case_number order by primary_type, year",
        lambda w: [
            {"case_number": rows[0]["case_number"]}
            for _, rows in sorted(groups(w["crimes"], "primary_type", "year").items())
        ],
        dataset="crimes",
    ),
    _own(
        "SqlizerBasicTest",
        "select case_number, median(ward) over (partition by primary_type, year) as x",
        lambda w: [
            {"case_number": r["case_number"], "x": float(statistics.median(some(rows, "ward")))}
            for rows in groups(w["crimes"], "primary_type", "year").values()
            for r in rows
        ],
        dataset="crimes",
        ordered=False,
    ),
    _own(
        "SqlizerBasicTest",
        "select name, is_empty(the_geom) as x",
        lambda w: [{"name": r["name"], "x": r["the_geom"] is None} for r in w["parks"]],
        dataset="parks",
        ordered=False,
    ),
]

DOCUMENTED = [*FUNCTIONS, *PAGES, *CLIENTS, *OWN]

REFUSED = [
    Refused(
        "github.com/socrata/dev.socrata.com: issue 806",
        "crimes",
        {"$where": "on='TRANSIT RD'"},
        "query.compiler.malformed",
        "Could not parse SoQL query",
    ),
    Refused("dev.socrata.com/docs/response-codes", "quakes", {"column_which_doesnt_exist": "x"}, "no-such-column"),
    Refused(
        "github.com/Chicago/RSocrata: tests/testthat/test-all.R",
        "quakes",
        {"$app_token": "x"},
        "invalid_request",
        "Unrecognized arguments [$app_token]",
    ),
    Refused(
        "github.com/socrata-platform/soql-postgres-adapter: SqlizerBasicTest",
        "crimes",
        {"$query": "select coalesce(primary_type, 123)"},
        "type-mismatch",
    ),
    Refused(
        "github.com/socrata-platform/soql-postgres-adapter: SoQLUnionTest",
        "cat",
        {"$query": "SELECT name UNION SELECT cat FROM @fish"},
        "no-such-column",
        "cat",
    ),
]

_PUBLISHED = "github.com/socrata-platform/soql-postgres-adapter: "


def _other(test: str, dataset: str, text: str, reason: str, words: str) -> Differs:
    return Differs(_PUBLISHED + test, dataset, {"$query": text}, reason, words)


INTERNAL = "in Socrata's published tests, but not in its documentation"
DIFFERS = [
    _other("SqlizerBasicTest", "crimes", "select signed_magnitude_10(ward)", INTERNAL, "No such function"),
    _other("SqlizerBasicTest", "crimes", "select signed_magnitude_linear(ward, 42)", INTERNAL, "No such function"),
    _other("SoQLGeomFunctionsTest", "parks", "select concave_hull(the_geom, 0.99)", INTERNAL, "No such function"),
    _other("SoQLGeomFunctionsTest", "parks", "select snap_to_grid(the_geom, 0.5)", INTERNAL, "No such function"),
    _other("SoQLGeomFunctionsTest", "parks", "select visible_at(the_geom, 0.03)", INTERNAL, "No such function"),
    _other("SoQLGeomFunctionsTest", "parks", "select curated_region_test(the_geom, 20)", INTERNAL, "No such function"),
    _other(
        "SqlizerBasicTest",
        "year",
        "select 'bleh' from @single_row",
        "a question is about its own dataset; @single_row is Socrata's own",
        "FROM takes @this",
    ),
]
