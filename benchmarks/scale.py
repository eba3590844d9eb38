"""What larger places need, extrapolated from what was measured here, and a simulation of the shuffle's skew.

    python benchmarks/scale.py [--landing S] [--counting S] [--shuffling S] [--landed BYTES] [--dollars D] [--json FILE]

`--landing`, `--counting` and `--shuffling` are processor seconds for a million rows: to land them, to count them in one
process, and to count them by executors that shuffle; `--landed` are bytes of a landed row. The defaults are those that
benchmarks/landing.py and engines.py measured for docs/scale.md. Assumed: processors as fast as those, busy 70 % of the
time; landing on one machine of 8 processors, every day; counting by executors where a place has more processors.

The simulation draws the keys by which the rows of a unit meet, as executors do, and says how many rows the largest part
has: with units alike, and with one account of a million rows among them.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.executors.protocol import ROWS_TOGETHER
from publisher.executors.worker import MOST_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY, ONE_MACHINE = 0.7, 8
ONE_ACCOUNT = 1_000_000
SHUFFLED_BYTES = 60
"""Of a row between two workers: unit, record, time, two keys and a value, as Arrow."""


@dataclass(frozen=True)
class Place:
    """How much there is in one period of a release."""

    name: str
    units: int
    rows_each: int
    days: int
    processors: int
    """To count with."""

    @property
    def rows(self) -> int:
        """In one period."""
        return self.units * self.rows_each


PLACES = (
    Place("city: 60,000 water meters, daily, a month", 60_000, 30, 30, 4),
    Place("state: 2 million people, a benefit record a week, a year", 2_000_000, 52, 365, 8),
    Place("utility: 5 million meters every 15 minutes, a month", 5_000_000, 2_976, 31, 64),
    Place("country: 60 million meters every hour, a month", 60_000_000, 744, 31, 128),
)


@dataclass(frozen=True)
class Need:
    """What one period of a place takes: minutes by the clock for one day's landing and for the count."""

    place: str
    rows: int
    landed_gb: float
    landing_minutes: float
    processors: int
    shuffled_gb: float
    counting_minutes: float
    dollars: float


@dataclass(frozen=True)
class Skew:
    """Rows of parts after the shuffle."""

    place: str
    parts: int
    usual: int
    largest: int
    with_one_account: int
    of_most: float
    """The largest part, relative to what a worker may hold."""


def needs(given: argparse.Namespace) -> Iterator[Need]:
    """One row for each place."""
    for place in PLACES:
        million, shuffles = place.rows / 1e6, place.processors > ONE_MACHINE
        landing = million * given.landing
        counting = million * (given.shuffling if shuffles else given.counting)
        yield Need(
            place=place.name,
            rows=place.rows,
            landed_gb=place.rows * given.landed / 1e9,
            landing_minutes=landing / place.days / ONE_MACHINE / BUSY / 60,
            processors=place.processors,
            shuffled_gb=place.rows * SHUFFLED_BYTES / 1e9 if shuffles else 0.0,
            counting_minutes=counting / place.processors / BUSY / 60,
            dollars=(landing + counting) / BUSY / 3600 * given.dollars,
        )


def skews() -> Iterator[Skew]:
    """How unevenly rows meet: keys are as good as random, so only the number of units in a part decides."""
    import numpy as np

    random = np.random.default_rng(13)
    for place in PLACES:
        parts = 1 + place.rows // ROWS_TOGETHER
        units = np.bincount(random.integers(0, parts, place.units), minlength=parts)
        rows = units * place.rows_each
        heavy = rows.copy()
        heavy[random.integers(0, parts)] += ONE_ACCOUNT
        most = int(heavy.max())
        yield Skew(place.name, parts, int(np.median(rows)), int(rows.max()), most, most / MOST_ROWS)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--landing", type=float, default=5.1)
    parser.add_argument("--counting", type=float, default=0.5)
    parser.add_argument("--shuffling", type=float, default=1.6)
    parser.add_argument("--landed", type=float, default=75)
    parser.add_argument("--dollars", type=float, default=0.05, help="of one processor for an hour")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found, uneven = list(needs(given)), list(skews())
    print("| one period | rows | landed | landing, each day | processors | shuffled | counting | computing |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for each in found:
        print(
            f"| {each.place} | {each.rows / 1e6:,.1f} million | {each.landed_gb:,.1f} GB "
            f"| {each.landing_minutes:,.1f} min | {each.processors} | {each.shuffled_gb:,.0f} GB "
            f"| {each.counting_minutes:,.1f} min | ${each.dollars:,.2f} |"
        )
    print(
        "\n| one period | parts | rows of a usual part | of the largest | with one account of 1,000,000 | of the most |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for part in uneven:
        print(
            f"| {part.place} | {part.parts:,} | {part.usual:,} | {part.largest:,} | {part.with_one_account:,} "
            f"| {part.of_most:.0%} |"
        )
    if given.json:
        tables = {"needs": [asdict(each) for each in found], "skew": [asdict(each) for each in uneven]}
        given.json.write_text(json.dumps(tables, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
