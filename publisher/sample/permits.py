"""Stand-in permits in the layout of the Syracuse file, including its quirks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from publisher.sample import words
from publisher.sample.city import addresses, degrees, lattice, street_names, write_boundaries
from publisher.sample.csvfile import lines, write_lines
from publisher.sample.texts import Texts, either, formatted, numbers, pick, wrapped

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    from publisher.sample.city import Addresses, Lattice

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

HEADER = '"Type","Applicant","Location","Issued","Year","Valuation","Fee.Amount","Location2","lon","lat","Tract"'
FIRST, LAST = date(2012, 1, 9), date(2016, 12, 30)


@dataclass(frozen=True)
class Permits:
    """Permits as aligned indexes into `words.PERMITS`, the applicants, the addresses and the days from `FIRST`."""

    kind: Ints
    applicant: Ints
    place: Ints
    day: Ints
    cost: Floats
    fee: Floats
    undated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.kind)


def write_permits(folder: Path, rows: int, seed: int) -> None:
    """Write a tenth as many permits as `rows`, 20,000 to 200,000, with addresses and neighborhoods."""
    rng = np.random.default_rng([seed, 3])
    size = min(max(rows // 10, 20_000), 200_000)
    city = lattice(8, 4, 3600.0, (500_000.0, 700_000.0), rng)
    (folder / "syracuse-boundaries").mkdir()
    boundaries = folder / "syracuse-boundaries" / "syr_neighborhoods.geojson"
    write_boundaries(boundaries, city, lambda number: {"NAME": words.SYRACUSE[number - 1]}, rng)
    pool = addresses(city, size * 2 // 5, rng.lognormal(0, 0.5, len(words.SYRACUSE)), rng)
    locations = _locations(city, pool)
    permits = _permits(size, len(pool), rng)
    people = _applicants(size)
    (folder / "syracuse-permits").mkdir()
    _write(folder / "syracuse-permits" / "Permits_processed.csv", permits, people, locations, pool, rng)


def _locations(city: Lattice, pool: Addresses) -> list[str]:
    """Addresses and corners; some are cut short."""
    names = [name.title() for name in street_names(city)]
    full = [f"{house} {names[street]}" for house, street in zip(pool.house.tolist(), pool.street.tolist(), strict=True)]
    corners = [f"{text} & {names[n * 7 % len(names)]}"[:28] if n % 19 == 5 else text for n, text in enumerate(full)]
    return [text.upper() if n % 31 == 3 else text for n, text in enumerate(corners)]


def _applicants(size: int) -> list[str]:
    """Businesses first, then private persons; the last one is blank."""
    return [*map(words.firm, range(size // 15)), *map(words.person, range(size // 3)), ""]


def _permits(size: int, places: int, rng: Generator) -> Permits:
    weights = np.array([1 / (rank + 2) for rank in range(len(words.PERMITS))])
    kind = rng.choice(len(words.PERMITS), size, p=weights / weights.sum())
    firms, persons = size // 15, size // 3
    by_rank = (firms * rng.random(size) ** 3).astype(np.int64)
    applicant = np.where(rng.random(size) < 0.55, by_rank, firms + rng.integers(0, persons, size))
    applicant[rng.choice(size, 4, replace=False)] = firms + persons
    costless = np.isin(np.array(words.PERMITS), words.COSTLESS)[kind] | (rng.random(size) < 0.03)
    cost = np.where(costless, 0.0, np.round(rng.lognormal(8.3, 1.6, size) * np.where(kind == 3, 6, 1), -1))
    cost = np.where(rng.random(size) < 0.0005, 31_000_000.0, cost)
    return Permits(
        kind=kind,
        applicant=applicant,
        place=(places * rng.random(size) ** 1.6).astype(np.int64),
        day=_days(size, rng),
        cost=cost,
        fee=np.round(60 + cost * 0.012, 0),
        undated=rng.random(size) < 0.0013,
    )


def _days(size: int, rng: Generator) -> Ints:
    """Working days, more of them in summer."""
    days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    rhythm = [(1 - 0.35 * np.cos(d.timetuple().tm_yday / 58.1)) * (d.weekday() < 5) for d in days]
    weights = np.array(rhythm)
    return rng.choice(len(days), size, p=weights / weights.sum()).astype(np.int64)


def _issued(permits: Permits, form: str) -> list[str]:
    return [(FIRST + timedelta(days=n)).strftime(form) for n in range(int(permits.day.max()) + 1)]


def _write(
    path: Path, permits: Permits, people: list[str], locations: list[str], pool: Addresses, rng: Generator
) -> None:
    """The permits by type, with the coordinates that a geocoder found, or did not."""
    order = np.argsort(np.array(words.PERMITS)[permits.kind], kind="stable")
    place = permits.place[order]
    lon, lat = degrees(pool.x, pool.y)
    chance = rng.random(len(pool))
    lon, lat = _centroids(lon, pool, chance < 0.2), _centroids(lat, pool, chance < 0.2)
    lat = np.where(chance > 0.995, 39.65, lat)
    found = ~((chance > 0.8) & (chance < 0.95))[place]
    columns: list[Texts] = [
        pick(wrapped(words.PERMITS), permits.kind[order]),
        pick(wrapped(people), permits.applicant[order]),
        pick(wrapped(locations), place),
        either(permits.undated[order], '""', pick(wrapped(_issued(permits, "%m/%d/%Y")), permits.day[order])),
        either(permits.undated[order], "NA", pick(_issued(permits, "%Y"), permits.day[order])),
        formatted(permits.cost[order], "{:g}"),
        formatted(permits.fee[order], "{:g}"),
        pick(wrapped([f"{text} , Port Ember" for text in locations]), place),
        either(found, pick(formatted(lon, "{:.6f}"), place), "NA"),
        either(found, pick(formatted(lat, "{:.6f}"), place), "NA"),
        either(found, numbers(place % 55 + 1), "NA"),
    ]
    write_lines(path, HEADER, lines(columns))


def _centroids(values: Floats, pool: Addresses, heaped: NDArray[np.bool_]) -> Floats:
    """The values, but the middle of the street if `heaped`: the geocoder knew no house number."""
    middle = np.bincount(pool.street, values) / np.maximum(np.bincount(pool.street), 1)
    return np.where(heaped, middle[pool.street], values)
