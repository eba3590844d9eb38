"""Stand-in service requests in the layout of the St. Louis feed, including its quirks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from publisher.sample import words
from publisher.sample.city import Addresses, Lattice, addresses, lattice, street_names, write_boundaries
from publisher.sample.clock import Clock
from publisher.sample.csvfile import lines, write_lines
from publisher.sample.texts import Texts, draw, either, numbers, padded, pick

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

PLACES = 88
HOMES = 74
"""Places with a higher number are parks, cemeteries and rail yards, which have hardly any requests."""
HEADER = (
    "REQUESTID,PROBLEMCODE,DESCRIPTION,PROBADDRESS,PROBCITY,PROBZIP,PROBADDTYPE,SUBMITTO,DATETIMEINIT,DATETIMECLOSED,SRX,"
    "SRY,STATUS,PRJCOMPLETEDATE,DATECANCELLED,CALLERTYPE,DATEINVTDONE,NEIGHBORHOOD,WARD"
)
PART = 400_000
"""Rows that are made at once: a whole file, or less at the end of a month."""
FIRST_ID = 5_000_001
HEAVIEST = 0.01
"""The share of requests that name the same address."""
REPEATED = 0.011
"""The share of rows that repeat the request before them, half of them with another division."""


@dataclass(frozen=True)
class DayRange:
    """Consecutive days that become one file: `counts` rows on each day from `first`."""

    number: int
    first: date
    counts: tuple[int, ...]
    rows_before: int


@dataclass(frozen=True)
class Tables:
    """Finished texts that rows point to, and their probabilities."""

    pool: Addresses
    address: Texts
    x: Texts
    y: Texts
    favorite: NDArray[np.int64]
    end: date


def write_requests(folder: Path, rows: int, start: date, days: int, seed: int, progress: Callable[[str], None]) -> None:
    """Write `rows` requests over `days` days from `start`, and the boundaries of the invented city."""
    rng = np.random.default_rng([seed, 1])
    city = lattice(11, 8, 4200.0, (640_000.0, 700_000.0), rng)
    (folder / "stlouis-boundaries").mkdir()
    boundaries = folder / "stlouis-boundaries" / "stlouis_neighborhoods.geojson"
    write_boundaries(boundaries, city, lambda n: {"NHD_NUM": float(n), "NHD_NAME": f"Ember {n}"}, rng)
    tables = _tables(city, rows, start + timedelta(days=days), rng)
    (folder / "stlouis-311").mkdir()
    done = 0
    with ThreadPoolExecutor(2) as pool:
        for part in pool.map(lambda part: _write_part(folder, part, tables, seed), _parts(rows, start, days, rng)):
            done += sum(part.counts)
            progress(f"requests: {done:,} of {rows:,}")


def _parts(rows: int, start: date, days: int, rng: Generator) -> list[DayRange]:
    """The days split into files: a new one for each month and when a file would grow beyond `PART` rows."""
    dates = [start + timedelta(days=n) for n in range(days)]
    week = np.array([1.25, 1.15, 1.1, 1.1, 1.05, 0.45, 0.3])
    rhythm = np.array([week[d.weekday()] * (1 + 0.25 * np.sin((d.timetuple().tm_yday - 80) / 58)) for d in dates])
    counts = rng.multinomial(rows, rhythm / rhythm.sum())
    parts: list[DayRange] = []
    begin = 0
    for n in range(1, days + 1):
        if n == days or dates[n].day == 1 or counts[begin : n + 1].sum() > PART:
            before = int(counts[:begin].sum())
            parts.append(DayRange(len(parts), dates[begin], tuple(counts[begin:n].tolist()), before))
            begin = n
    return parts


def _tables(city: Lattice, rows: int, end: date, rng: Generator) -> Tables:
    import pyarrow as pa
    import pyarrow.compute as pc

    weights = rng.lognormal(0, 0.7, PLACES)
    weights[HOMES:] = 0.02
    pool = addresses(city, 12_000 + rows * 8 // 100, weights, rng)
    names = pa.array(street_names(city)).take(pa.array(pool.street))
    return Tables(
        pool=pool,
        address=pc.binary_join_element_wise(numbers(pool.house), names, " "),
        x=padded(pool.x, 3),
        y=padded(pool.y, 3),
        favorite=_codes(rng.random(len(pool)), 0),
        end=end,
    )


def _codes(uniform: NDArray[np.float64], month: int) -> NDArray[np.int64]:
    """Numbers of problem codes: a few are common, most are rare, some are seasonal. Month 0 is all year."""
    weights = np.array([1 / (rank + 3) for rank in range(len(words.CODES))])
    if month:
        quarter = str((month + 2) // 3)
        weights *= [1.0 if code[3] == "-" else 2.0 if quarter in code[3] else 0.1 for code in words.CODES]
    return np.searchsorted(np.cumsum(weights / weights.sum())[:-1], uniform)


def _write_part(folder: Path, part: DayRange, tables: Tables, seed: int) -> DayRange:
    rng = np.random.default_rng([seed, 2, part.number])
    rows = sum(part.counts)
    base = rows - int(rows * REPEATED)
    columns = _columns(part, base, tables, rng)
    path = folder / "stlouis-311" / f"requests_{part.first.isoformat()}.csv"
    write_lines(path, HEADER, _repeat(columns, rng.choice(base, rows - base, replace=False)))
    return part


def _repeat(columns: dict[str, Texts], again: NDArray[np.int64]) -> Texts:
    """Lines for all rows, those in `again` twice; half of the second ones go to another division."""
    import pyarrow as pa

    moved = again[::2]
    copies = {name: column.take(pa.array(moved)) for name, column in columns.items()}
    copies["SUBMITTO"] = pick(["STREET PERMITS,"], np.zeros(len(moved), np.int64))
    once, second = (lines([each[name] for name in HEADER.split(",")]) for each in (columns, copies))
    place = np.concatenate([np.arange(len(once)), moved, again[1::2]])
    line = np.concatenate([np.arange(len(once) + len(moved)), again[1::2]])
    return pa.concat_arrays([once, second]).take(pa.array(line[np.argsort(place, kind="stable")]))


def _columns(part: DayRange, size: int, tables: Tables, rng: Generator) -> dict[str, Texts]:
    """The columns of `size` requests in order of time."""
    opened = _opened(part, size, rng)
    place = _places(size, len(tables.pool), rng)
    code = np.where(rng.random(size) < 0.4, tables.favorite[place], _codes(rng.random(size), part.first.month))
    columns = {name: pick([entry[n] for entry in words.CODES], code) for n, name in enumerate(HEADER.split(",")[1:3])}
    columns["REQUESTID"] = numbers(FIRST_ID + part.rows_before + np.arange(size))
    columns["SUBMITTO"] = pick([entry[2] for entry in words.CODES], code)
    columns["CALLERTYPE"] = draw(words.CALLERS, size, rng)
    return columns | _where(place, tables, rng) | _life(opened, code, part.first, tables.end, rng)


def _opened(part: DayRange, size: int, rng: Generator) -> NDArray[np.int64]:
    """Seconds after the part's first midnight, in order; most requests come in office hours."""
    hours = np.array([1, 1, 1, 1, 1, 2, 5, 14, 24, 24, 22, 21, 18, 19, 19, 18, 15, 11, 8, 6, 5, 4, 3, 2], float)
    days = rng.choice(len(part.counts), size, p=np.array(part.counts) / sum(part.counts))
    hour = np.searchsorted(np.cumsum(hours / hours.sum())[:-1], rng.random(size))
    opened: NDArray[np.int64] = np.sort(days * 86_400 + hour * 3600 + rng.integers(0, 3600, size))
    return opened


def _places(size: int, pool: int, rng: Generator) -> NDArray[np.int64]:
    """Indexes of addresses: one in a hundred requests is about the first, the rest fall off by rank."""
    rank = 1 + ((pool - 1) * rng.random(size) ** 2).astype(np.int64)
    return np.where(rng.random(size) < HEAVIEST, 0, rank)


def _where(place: NDArray[np.int64], tables: Tables, rng: Generator) -> dict[str, Texts]:
    """Address, coordinates and areas; some requests were never located, some are at the point (1, 1)."""
    size = len(place)
    chance = rng.random(size)
    lost, island = chance < 0.07, (chance >= 0.07) & (chance < 0.1)
    number = tables.pool.neighborhood[place]
    dense = rng.random(size) < 0.08
    return {
        "PROBADDRESS": either(chance < 0.009, "NA", pick(tables.address, place)),
        "PROBCITY": either(~dense, "NA", draw(words.CITY, size, rng)),
        "PROBZIP": either(~dense, "NA", numbers(10 + number % 26, "000")),
        "PROBADDTYPE": draw(("B", "B", "B", "B", "A"), size, rng),
        "SRX": either(lost, "NA", either(island, "1", pick(tables.x, place))),
        "SRY": either(lost, "NA", either(island, "1", pick(tables.y, place))),
        "NEIGHBORHOOD": either(chance < 0.17, "NA", numbers(number)),
        "WARD": either(chance < 0.165, "NA", numbers(number % 28 + 1)),
    }


def _life(
    opened: NDArray[np.int64], code: NDArray[np.int64], first: date, end: date, rng: Generator
) -> dict[str, Texts]:
    """What happened to each request, as far as is known a week after the last day."""
    size = len(opened)
    closed = opened + (rng.exponential(1 + code % 9, size).clip(0, 120) * 86_400).astype(np.int64)
    known = ((end - first).days + 7) * 86_400
    shut = (closed < known) & (rng.random(size) < 0.85)
    canceled = ~shut & (closed < known) & (rng.random(size) < 0.15)
    clock = Clock(first, int(closed.max()) // 86_400 + 60)
    stamp = clock.stamp(closed, rng)
    status = either(shut, draw(words.CLOSED, size, rng), draw(words.OPEN, size, rng))
    return {
        "DATETIMEINIT": clock.zulu(opened),
        "DATETIMECLOSED": either(shut, stamp, "NULL"),
        "STATUS": either(canceled, "CANCEL", status),
        "PRJCOMPLETEDATE": clock.midnight(opened // 86_400 + 7 + code % 30),
        "DATECANCELLED": either(canceled, stamp, "NULL"),
        "DATEINVTDONE": either(shut & (rng.random(size) < 0.9), stamp, "NULL"),
    }
