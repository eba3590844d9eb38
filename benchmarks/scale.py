"""What larger places need, extrapolated from what was measured here, and a simulation of the shuffle's skew.

    python benchmarks/scale.py [--landing S] [--counting S] [--shuffling S] [--landed BYTES] [--dollars D] [--json FILE]

`--landing`, `--counting` and `--shuffling` are processor seconds for a million rows: to land them, to count them in one
process, and to count them by executors that shuffle; `--landed` are bytes of a landed row. The defaults are those of
benchmarks/landing.py, release.py and engines.py on the machine of docs/scale.md. Processors are assumed to be as fast
as that one, and to be busy 70 % of the time.

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

BUSY = 0.7
ONE_ACCOUNT = 1_000_000
SHUFFLED_BYTES = 60
"""Of a row between two workers: unit, record, time, two keys and a value, as Arrow."""


@dataclass(frozen=True)
class Place:
    """How much there is in one period of a release."""

    name: str
    units: int
    rows_each: int
    processors: int

    @property
    def rows(self) -> int:
        """In one period."""
        return self.units * self.rows_each


PLACES = (
    Place("city: 60,000 water meters, daily, a month", 60_000, 30, 4),
    Place("state: 2 million people, a benefit record a week, a year", 2_000_000, 52, 8),
    Place("utility: 5 million meters every 15 minutes, a month", 5_000_000, 2_976, 256),
    Place("country: 60 million meters every hour, a month", 60_000_000, 744, 512),
)


@dataclass(frozen=True)
class Need:
    """What one period of a place takes."""

    place: str
    rows: float
    landed_gb: float
    landing_hours: float
    counting_hours: float
    shuffled_gb: float
    processors: int
    hours: float
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
    """One row for each place: processor hours, and hours and dollars on its processors."""
    for place in PLACES:
        million = place.rows / 1e6
        shuffles = place.processors > 8
        landing = million * given.landing / 3600
        counting = million * (given.shuffling if shuffles else given.counting) / 3600
        hours = (landing + counting) / place.processors / BUSY
        yield Need(
            place.name,
            place.rows / 1e9,
            place.rows * given.landed / 1e9,
            landing,
            counting,
            place.rows * SHUFFLED_BYTES / 1e9 if shuffles else 0.0,
            place.processors,
            hours,
            hours * place.processors * given.dollars,
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
    parser.add_argument("--landing", type=float, default=20)
    parser.add_argument("--counting", type=float, default=1.4)
    parser.add_argument("--shuffling", type=float, default=9)
    parser.add_argument("--landed", type=float, default=24)
    parser.add_argument("--dollars", type=float, default=0.05, help="of one processor for an hour")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found, uneven = list(needs(given)), list(skews())
    print("| one period | rows | landed | landing | counting | shuffled | processors | hours | dollars |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for each in found:
        print(
            f"| {each.place} | {each.rows:,.3f} bn | {each.landed_gb:,.1f} GB | {each.landing_hours:,.1f} h "
            f"| {each.counting_hours:,.1f} h | {each.shuffled_gb:,.0f} GB | {each.processors} | {each.hours:,.2f} "
            f"| {each.dollars:,.2f} |"
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
