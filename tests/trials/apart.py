"""The exact bounded tables of the shipped datasets, worked out apart from the product: its own parsing and geometry.

Every function gives a table with a row per cell that holds anything: `period`, the dataset's key columns, and for each
measured measure `<measure>_least` and `<measure>_most`. They differ only where it depends on the ordering key which
cells of a unit are counted; `totals` gives the same two bounds of a period's total.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from real_records import DATA

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Exact:
    """One dataset: a row per cell that holds anything, and a row per period with the bounds of its totals.

    Sums are in steps of their resolution. `values` has a row per record where quantiles are published: its period,
    place and value.
    """

    cells: pd.DataFrame
    totals: pd.DataFrame
    values: pd.DataFrame | None = None


def stlouis_requests(_: Path) -> Exact:
    """Requests by part of the city, week of opening and category."""
    raw, opened = _stlouis_opened()
    week = opened.dt.isocalendar()
    raw["period"] = week.year.astype(str) + "-W" + week.week.astype(str).str.zfill(2)
    raw["part"] = _keyed(raw.neighborhood.map(_lookup("stlouis-neighborhood-parts")), "stlouis-parts", "Unknown")
    raw["category"] = _keyed(raw.PROBLEMCODE.map(_lookup("stlouis-problem-codes")), "stlouis-categories", "Other")
    return _of_records(raw[opened.notna()], ["part", "category"], {"requests": 1})


def stlouis_neighborhood_requests(_: Path) -> Exact:
    """Requests by neighborhood and month of opening."""
    raw, opened = _stlouis_opened()
    raw["period"] = opened.dt.strftime("%Y-%m")
    return _of_records(raw[opened.notna()], ["neighborhood"], {"requests": 1})


def _stlouis_opened() -> tuple[pd.DataFrame, pd.Series[Any]]:
    raw = _csv("stlouis-311/january_2018.csv", ["REQUESTID", "PROBLEMCODE", "DATETIMEINIT", "SRX", "SRY"])
    raw["neighborhood"] = _keyed(_stlouis_places(raw), "stlouis-neighborhoods", "Unknown")
    return raw, pd.to_datetime(raw.DATETIMEINIT, format="%Y-%m-%dT%H:%M:%SZ", errors="coerce")


def stlouis_days_to_close(_: Path) -> Exact:
    """Closed requests and their days, thirty at most for each, by part of the city and month of closing."""
    raw, waited = _stlouis_closed()
    days = np.floor(_days(waited).fillna(0).clip(0, 30) * 10 + 0.5).clip(0, 300)
    made = _of_records(raw, ["part"], {"closed": 1, "days": days})
    return Exact(made.cells, made.totals, _values(raw, waited, "part"))


def stlouis_closed_within_a_week(_: Path) -> Exact:
    """Closed requests, and those that took seven days at most, by neighborhood and month of closing."""
    raw, waited = _stlouis_closed()
    return _of_records(raw, ["neighborhood"], {"closed": 1, "quickly": _days(waited) <= 7})


def _stlouis_closed() -> tuple[pd.DataFrame, pd.Series[Any]]:
    raw = _csv("stlouis-311/january_2018.csv", ["REQUESTID", "DATETIMEINIT", "DATETIMECLOSED", "SRX", "SRY"])
    opened = pd.to_datetime(raw.DATETIMEINIT, format="%Y-%m-%dT%H:%M:%SZ", errors="coerce")
    closed = pd.to_datetime(raw.DATETIMECLOSED, format="%Y-%m-%d %H:%M:%S.%f", errors="coerce")
    raw["period"] = closed.dt.strftime("%Y-%m")
    raw["neighborhood"] = _keyed(_stlouis_places(raw), "stlouis-neighborhoods", "Unknown")
    raw["part"] = _keyed(raw.neighborhood.map(_lookup("stlouis-neighborhood-parts")), "stlouis-parts", "Unknown")
    return raw[closed.notna()], (closed.dt.floor("s") - opened)[closed.notna()]


def boston_requests(_: Path) -> Exact:
    """Requests by neighborhood, month and category; the point at City Hall is no place."""
    (path,) = sorted((DATA / "boston-311").glob("*.csv.gz"))
    raw = _csv(str(path.relative_to(DATA)), ["CASE_ENQUIRY_ID", "OPEN_DT", "REASON", "LATITUDE", "LONGITUDE"])
    opened = pd.to_datetime(raw.OPEN_DT, format="%m/%d/%Y %I:%M:%S %p", errors="coerce")
    raw["period"] = opened.dt.strftime("%Y-%m")
    raw["neighborhood"] = _keyed(_boston_places(raw), "boston-neighborhoods", "Unknown")
    raw["category"] = _keyed(raw.REASON.map(_lookup("boston-reasons")), "boston-categories", "Other")
    return _of_records(raw[opened.notna()], ["neighborhood", "category"], {"requests": 1})


def boston_days_to_close(_: Path) -> Exact:
    """Closed requests and their days by area and month of closing."""
    raw, waited = _boston_closed()
    made = _of_records(raw, ["area"], {"closed": 1})
    return Exact(made.cells, made.totals, _values(raw, waited, "area"))


def boston_closed_within_a_week(_: Path) -> Exact:
    """Closed requests, and those that took seven days at most, by neighborhood and month of closing."""
    raw, waited = _boston_closed()
    return _of_records(raw, ["neighborhood"], {"closed": 1, "quickly": _days(waited) <= 7})


def _boston_closed() -> tuple[pd.DataFrame, pd.Series[Any]]:
    (path,) = sorted((DATA / "boston-311").glob("*.csv.gz"))
    raw = _csv(str(path.relative_to(DATA)), ["CASE_ENQUIRY_ID", "OPEN_DT", "CLOSED_DT", "LATITUDE", "LONGITUDE"])
    form = "%m/%d/%Y %I:%M:%S %p"
    opened, closed = (pd.to_datetime(raw[name], format=form, errors="coerce") for name in ("OPEN_DT", "CLOSED_DT"))
    raw["period"] = closed.dt.strftime("%Y-%m")
    raw["neighborhood"] = _keyed(_boston_places(raw), "boston-neighborhoods", "Unknown")
    raw["area"] = _keyed(raw.neighborhood.map(_lookup("boston-neighborhood-areas")), "boston-areas", "Unknown")
    return raw[closed.notna()], (closed - opened)[closed.notna()]


def seattle_energy(_: Path) -> Exact:
    """Buildings and their electricity, three million kWh at most for each, by neighborhood."""
    return _seattle(["neighborhood"], 3_000_000)


def seattle_energy_city(_: Path) -> Exact:
    """Buildings and their electricity, thirty million kWh at most for each, in the whole city."""
    return _seattle([], 30_000_000)


def _seattle(keys: list[str], most: int) -> Exact:
    columns = ["OSEBuildingID", "DataYear", "Neighborhood", "Electricity(kWh)"]
    raw = _csv("seattle-energy/2016_Building_Energy_Benchmarking.csv", columns)
    spellings = _lookup("seattle-neighborhood-spellings")
    place = raw.Neighborhood.str.strip().str.upper().map(spellings)
    raw["period"], raw["neighborhood"] = raw.DataYear, _keyed(place, "seattle-neighborhoods", "Unknown")
    used = pd.to_numeric(raw["Electricity(kWh)"], errors="coerce").fillna(0)
    used = np.floor(used.abs() + 0.5) * np.sign(used)
    return _of_records(raw, keys, {"buildings": 1, "electricity": used.clip(0, most)})


def alicante_water(_: Path) -> Exact:
    """Accounts and liters, 15,000 at most for each, by month: a month's use is the last reading less the first."""
    raw = _csv("alicante-water/swm_trialA.csv.gz", ["user key", "datetime", "meter reading"], id_columns=2, sep=";")
    time = pd.to_datetime(raw.datetime, format="%d/%m/%Y %H:%M:%S", errors="coerce")
    raw["period"], raw["time"] = time.dt.strftime("%Y-%m"), time
    raw["reading"] = pd.to_numeric(raw["meter reading"], errors="coerce")
    raw = raw[time.notna() & raw["user key"].notna()].sort_values("time")
    months = raw.groupby(["user key", "period"], sort=False)["reading"].agg(["first", "last"]).reset_index()
    months["liters"] = (months["last"] - months["first"]).fillna(0).clip(0, 15_000)
    return _of_records(months, [], {"accounts": 1, "liters": months["liters"]})


def syracuse_permits(_: Path) -> Exact:
    """Permits by part of the city and quarter: two cells for each applicant, and two permits in each. Which two of more
    is not known here, hence least and most."""
    return _syracuse("area")


def syracuse_permit_kinds(_: Path) -> Exact:
    """Permits by kind and quarter, as by part of the city."""
    return _syracuse("permit_group")


def _syracuse(key: str) -> Exact:
    columns = ["Type", "Applicant", "Location", "Issued", "Valuation", "lon", "lat"]
    raw = _csv("syracuse-permits/Permits_processed.csv", columns, id_columns=5)
    issued = pd.to_datetime(raw.Issued, format="%m/%d/%Y", errors="coerce")
    raw["period"] = issued.dt.year.astype("Int64").astype(str) + "-Q" + issued.dt.quarter.astype("Int64").astype(str)
    x, y = (pd.to_numeric(raw[name], errors="coerce").to_numpy() for name in ("lon", "lat"))
    places = pd.Series(_places(x, y, "syracuse-boundaries/syr_neighborhoods.geojson", "NAME"), raw.index)
    raw["area"] = _keyed(places.map(_lookup("syracuse-areas")), "syracuse-area-names", "Unknown")
    group = raw.Type.map(_lookup("syracuse-permit-types"))
    raw["permit_group"] = _keyed(group, "syracuse-permit-groups", "Building, demolition and site work")
    named = raw.Applicant.str.split().str.join(" ").str.upper()
    raw["unit"] = named.where(named.notna(), "\0" + raw.index.astype(str))
    cells = raw[issued.notna()].groupby(["unit", "period", key], sort=False)
    bounded = cells.size().clip(upper=2).rename("permits").reset_index()
    return _bounded(bounded, [key], ["permits"], max_groups=2, unit="unit")


def _csv(name: str, columns: list[str], *, id_columns: int = 1, sep: str = ",") -> pd.DataFrame:
    """Those columns as texts, one row for each record: of rows that share the id, the first in the order of texts."""
    missing = ["", "NULL", "NA"] if name.startswith(("stlouis", "syracuse")) else [""]
    raw = pd.read_csv(
        DATA / name,
        usecols=columns,
        dtype="str",
        sep=sep,
        keep_default_na=False,
        na_values=missing,
        encoding="utf-8-sig",
    )[columns]
    repeated = raw.duplicated(columns[:id_columns], keep=False)
    ordered = raw[repeated].sort_values(columns, na_position="last")
    rows = pd.concat([raw[~repeated], ordered.drop_duplicates(columns[:id_columns])])
    return rows.reset_index(drop=True)


def _lookup(name: str) -> dict[str, str]:
    table = pd.read_csv(ROOT / "datasets" / "keysets" / f"{name}.csv", dtype="str", keep_default_na=False)
    return dict(zip(table.iloc[:, 0], table.iloc[:, 1], strict=True))


def _keyed(values: pd.Series[Any], keyset: str, other: str) -> pd.Series[Any]:
    keys = pd.read_csv(ROOT / "datasets" / "keysets" / f"{keyset}.csv", dtype="str", keep_default_na=False).key
    return values.where(values.isin(set(keys)), other)


def _of_records(rows: pd.DataFrame, keys: list[str], measures: dict[str, Any]) -> Exact:
    rows = rows.assign(**measures)
    cells = rows.groupby(["period", *keys], as_index=False)[list(measures)].sum()
    totals = rows.groupby("period", as_index=False)[list(measures)].sum()
    return Exact(_twice(cells, measures), _twice(totals, measures))


def _days(waited: pd.Series[Any]) -> pd.Series[Any]:
    """In days of 24 hours."""
    return waited.dt.total_seconds() / 86400


def _values(rows: pd.DataFrame, waited: pd.Series[Any], place: str) -> pd.DataFrame:
    """Every request's days as they are sorted into bins."""
    return rows.assign(value=_days(waited))[waited.notna()][["period", place, "value"]]


def _twice(table: pd.DataFrame, measures: Iterable[str]) -> pd.DataFrame:
    for measure in measures:
        table[f"{measure}_least"] = table[f"{measure}_most"] = table.pop(measure).astype("int64")
    return table


def _bounded(rows: pd.DataFrame, keys: list[str], measures: list[str], *, max_groups: int, unit: str) -> Exact:
    """From one row per unit, period and cell: at most `max_groups` cells of a unit count, nobody knows which."""
    units = rows.groupby([unit, "period"])
    sure = units["period"].transform("size") <= max_groups
    cells, totals = rows[["period", *keys]].copy(), rows[["period"]].copy()
    for measure in measures:
        cells[f"{measure}_least"], cells[f"{measure}_most"] = rows[measure].where(sure, 0), rows[measure]
        rank = units[measure].rank("first")
        size = units[measure].transform("size")
        totals[f"{measure}_least"] = rows[measure].where(rank <= max_groups, 0)
        totals[f"{measure}_most"] = rows[measure].where(rank > size - max_groups, 0)
    return Exact(
        cells.groupby(["period", *keys], as_index=False).sum().convert_dtypes(dtype_backend="numpy_nullable"),
        totals.groupby("period", as_index=False).sum(),
    )


def _stlouis_places(raw: pd.DataFrame) -> pd.Series[Any]:
    """The neighborhood's number of a point in State Plane Missouri East, US feet; (1, 1) is no point."""
    x, y = (pd.to_numeric(raw[name], errors="coerce").to_numpy() for name in ("SRX", "SRY"))
    nowhere = (x == 1) & (y == 1)
    longitude, latitude = _unprojected(x * 1200 / 3937, y * 1200 / 3937)
    places = _places(longitude, latitude, "stlouis-boundaries/stlouis_neighborhoods.geojson", "NHD_NUM")
    places[nowhere] = None
    return pd.Series(places, raw.index)


def _boston_places(raw: pd.DataFrame) -> pd.Series[Any]:
    """The neighborhood of a point; that at City Hall is none."""
    x, y = (pd.to_numeric(raw[name], errors="coerce").to_numpy() for name in ("LONGITUDE", "LATITUDE"))
    places = _places(x, y, "boston-boundaries/boston_neighborhoods.geojson", "name")
    places[(x == -71.0587) & (y == 42.3594)] = None
    return pd.Series(places, raw.index)


def _unprojected(east: Any, north: Any) -> tuple[Any, Any]:
    """Longitude and latitude of meters in Missouri East (transverse Mercator on GRS 80), by Krüger's series."""
    flattening = 1 / 298.257222101
    n = flattening / (2 - flattening)
    radius = 6378137 / (1 + n) * (1 + n**2 / 4 + n**4 / 64) * 0.9999333333333333
    forward = (n / 2 - 2 / 3 * n**2 + 5 / 16 * n**3, 13 / 48 * n**2 - 3 / 5 * n**3, 61 / 240 * n**3)
    inverse = (n / 2 - 2 / 3 * n**2 + 37 / 96 * n**3, n**2 / 48 + n**3 / 15, 17 / 480 * n**3)
    geodetic = (2 * n - 2 / 3 * n**2 - 2 * n**3, 7 / 3 * n**2 - 8 / 5 * n**3, 56 / 15 * n**3)
    sine, eccentricity = np.sin(np.radians(35 + 5 / 6)), 2 * np.sqrt(n) / (1 + n)
    origin = np.arcsin(np.tanh(np.arctanh(sine) - eccentricity * np.arctanh(eccentricity * sine)))
    origin += sum(a * np.sin(2 * j * origin) for j, a in enumerate(forward, 1))
    xi, eta = north / radius + origin, (east - 250_000) / radius
    xi, eta = (
        xi - sum(b * np.sin(2 * j * xi) * np.cosh(2 * j * eta) for j, b in enumerate(inverse, 1)),
        eta - sum(b * np.cos(2 * j * xi) * np.sinh(2 * j * eta) for j, b in enumerate(inverse, 1)),
    )
    conformal = np.arcsin(np.sin(xi) / np.cosh(eta))
    latitude = conformal + sum(d * np.sin(2 * j * conformal) for j, d in enumerate(geodetic, 1))
    return -90.5 + np.degrees(np.arctan2(np.sinh(eta), np.cos(xi))), np.degrees(latitude)


def _places(x: Any, y: Any, boundaries: str, key: str) -> Any:
    """The key of the polygon that holds each point, or None; by counting the edges that a ray crosses."""
    points, index = np.unique(np.stack([x, y], axis=1), axis=0, return_inverse=True)
    found = np.full(len(points), None, dtype=object)
    for feature in json.loads((DATA / boundaries).read_text())["features"]:
        value = feature["properties"][key]
        name = str(int(value)) if isinstance(value, float) else str(value).strip()
        for polygon in _polygons(feature["geometry"]):
            rings = [np.asarray(ring, dtype=float)[:, :2] for ring in polygon]
            found[_inside(points, np.concatenate([np.hstack([ring[:-1], ring[1:]]) for ring in rings]))] = name
    return found[index.reshape(-1)]


def _polygons(geometry: dict[str, Any]) -> list[Any]:
    polygons: list[Any] = geometry["coordinates"]
    return polygons if geometry["type"] == "MultiPolygon" else [polygons]


def _inside(points: Any, edges: Any) -> Any:
    """The numbers of the points from which a ray to the east crosses an odd number of edges (x1, y1, x2, y2)."""
    x1, y1, x2, y2 = edges.T
    low, high = edges.min(axis=0), edges.max(axis=0)
    x, y = points.T
    near = np.flatnonzero((x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]))
    inside = []
    for part in np.array_split(near, 1 + len(near) * len(edges) // 2_000_000):
        px, py = x[part, None], y[part, None]
        spans = (y1 <= py) != (y2 <= py)
        with np.errstate(divide="ignore", invalid="ignore"):
            crosses = spans & (px < x1 + (py - y1) * (x2 - x1) / (y2 - y1))
        inside.append(part[crosses.sum(axis=1) % 2 == 1])
    return np.concatenate(inside)


EXACT = {
    "alicante-water": alicante_water,
    "boston-closed-within-a-week": boston_closed_within_a_week,
    "boston-days-to-close": boston_days_to_close,
    "boston-requests": boston_requests,
    "seattle-energy": seattle_energy,
    "seattle-energy-city": seattle_energy_city,
    "stlouis-closed-within-a-week": stlouis_closed_within_a_week,
    "stlouis-days-to-close": stlouis_days_to_close,
    "stlouis-neighborhood-requests": stlouis_neighborhood_requests,
    "stlouis-requests": stlouis_requests,
    "syracuse-permit-kinds": syracuse_permit_kinds,
    "syracuse-permits": syracuse_permits,
}
"""For each shipped dataset its exact tables, given the private folder of the trial."""
