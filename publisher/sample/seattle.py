"""Stand-in permits in the layout of Seattle's public dataset of building permits (76t5-zqzr)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from publisher.sample import words
from publisher.sample.city import addresses, degrees, lattice, street_names, write_boundaries
from publisher.sample.csvfile import lines, write_lines
from publisher.sample.texts import either, formatted, numbers, pick, quoted

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    from publisher.sample.texts import Texts

    Ints = NDArray[np.int64]

HEADER = (
    "PermitNum,PermitClass,PermitClassMapped,PermitTypeMapped,PermitTypeDesc,Description,HousingUnits,"
    "HousingUnitsRemoved,HousingUnitsAdded,EstProjectCost,AppliedDate,IssuedDate,ExpiresDate,CompletedDate,StatusCurrent,"
    "OriginalAddress1,OriginalCity,OriginalState,OriginalZip,ContractorCompanyName,Latitude,Longitude"
)
FIRST, DAYS = date(2022, 1, 1), 1_096
"""Three years of permits."""
CLASSES = ("Single Family/Duplex", "Multifamily", "Commercial", "Industrial", "Institutional")
MAPPED = ("Residential", "Residential", "Non-Residential", "Non-Residential", "Non-Residential")
TYPES = ("Building", "Demolition", "Grading", "Roof")
WORK = ("Addition/Alteration", "New", "Tenant Improvement Pre-Approval", "Temporary", "Curb Cut")
STATUS = ("Completed", "Issued")
_PARTS = ("a deck", "a garage", "the kitchen", "a retaining wall", "a second story", "the interior of an office")


def write_seattle_permits(folder: Path, rows: int, seed: int) -> None:
    """Write a quarter as many permits as `rows`, 5,000 to 50,000, and neighborhoods."""
    rng = np.random.default_rng([seed, 5])
    size = min(max(rows // 4, 5_000), 50_000)
    city = lattice(6, 4, 3600.0, (300_000.0, 900_000.0), rng)
    (folder / "seattle-boundaries").mkdir()
    boundaries = folder / "seattle-boundaries" / "seattle_neighborhoods.geojson"
    write_boundaries(boundaries, city, lambda number: {"name": words.SEATTLE[number - 1]}, rng)
    pool = addresses(city, size // 2, rng.lognormal(0, 0.4, len(words.SEATTLE)), rng)
    place = rng.integers(0, len(pool), size)
    streets = [name.title() for name in street_names(city)]
    where = [
        f"{house} {streets[street]}" for house, street in zip(pool.house.tolist(), pool.street.tolist(), strict=True)
    ]
    lon, lat = degrees(pool.x, pool.y)
    missing = rng.random(size) < 0.02
    columns: list[Texts] = [
        *_work(size, rng),
        *_dates(size, rng),
        pick(quoted(where), place),
        *(pick([text], np.zeros(size, dtype=np.int64)) for text in ("SEATTLE", "WA")),
        numbers(98_101 + place % 40),
        _contractors(size, rng),
        either(missing, "", pick(formatted(lat, "{:.8f}"), place)),
        either(missing, "", pick(formatted(lon, "{:.8f}"), place)),
    ]
    (folder / "seattle-permits").mkdir()
    write_lines(folder / "seattle-permits" / "building_permits.csv", HEADER, lines(columns))


def _work(size: int, rng: Generator) -> list[Texts]:
    """What is to be done, from the number of the permit to the cost of the project."""
    kind = rng.choice(len(CLASSES), size, p=[0.6, 0.14, 0.2, 0.03, 0.03])
    added, cost = rng.poisson(0.3, size), np.round(rng.lognormal(10.2, 1.5, size), 0)
    said = [
        f"{verb} {what}, subject to field inspection" for verb in ("Construct", "Alter", "Repair") for what in _PARTS
    ]
    return [
        pick([f"{number}-CN" for number in range(6_800_000, 6_800_000 + size)], np.arange(size)),
        pick(CLASSES, kind),
        pick(MAPPED, kind),
        pick(TYPES, rng.choice(len(TYPES), size, p=[0.86, 0.07, 0.03, 0.04])),
        pick(WORK, rng.choice(len(WORK), size, p=[0.62, 0.22, 0.06, 0.05, 0.05])),
        pick(quoted(said), rng.integers(0, len(said), size)),
        numbers(added + 1),
        numbers(rng.poisson(0.05, size)),
        numbers(added),
        formatted(cost, "{:.0f}"),
    ]


def _dates(size: int, rng: Generator) -> list[Texts]:
    """Applied, issued, expires, completed and the status; a tenth is not issued yet, and half is not completed."""
    issued, waits = rng.integers(0, DAYS, size), rng.integers(0, 200, size)
    open_, unfinished = rng.random(size) < 0.1, rng.random(size) < 0.5
    days = [(FIRST + timedelta(days=n)).isoformat() for n in range(-200, DAYS + 600)]
    return [
        pick(days, issued - waits + 200),
        either(open_, "", pick(days, issued + 200)),
        either(open_, "", pick(days, issued + 747)),
        either(open_ | unfinished, "", pick(days, issued + 230)),
        pick(STATUS, np.where(unfinished, 1, 0)),
    ]


def _contractors(size: int, rng: Generator) -> Texts:
    """Businesses, a few of them with many permits; two of five permits name none."""
    firms = [words.firm(number).replace("\n", " ") for number in range(size // 12)]
    chosen = (len(firms) * rng.random(size) ** 2.5).astype(np.int64)
    return either(rng.random(size) < 0.4, "", pick(quoted(firms), chosen))
