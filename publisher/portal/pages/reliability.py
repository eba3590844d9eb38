"""Reliability of the numbers: how many cells have each status, a real cell as an example, and the odds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from publisher.grades import CAUTION, OK, STATUSES, SUPPRESSED, UNRELIABLE
from publisher.portal.contract import percent

if TYPE_CHECKING:
    from publisher.portal.contract import Odds, ShapeMeasure, TableShape
    from publisher.portal.pages.trend import Ask


@dataclass(frozen=True, slots=True)
class ReadingExample:
    """One cell: place, period, and its number with the margin."""

    place: str
    period: str
    value: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class Sureness:
    """The cells of a measure by their status."""

    measure: ShapeMeasure
    counts: dict[str, int]
    examples: dict[str, ReadingExample | None]
    """One cell of each grade that has numbers."""

    @property
    def cells(self) -> int:
        """The number of cells."""
        return sum(self.counts.values())

    def count(self, status: str) -> int:
        """How many cells have this status."""
        return self.counts.get(status, 0)

    def share(self, status: str) -> float:
        """The share of cells with this status, from 0 to 1."""
        return self.count(status) / self.cells if self.cells else 0.0

    @property
    def bars(self) -> list[tuple[str, float, float]]:
        """Status, start, and width of each part of a bar that is 100 wide."""
        found, start = [], 0.0
        for status in STATUSES:
            width = round(100 * self.share(status), 2)
            found.append((status, round(start, 2), width))
            start += width
        return [each for each in found if each[2]]


def sureness(shape: TableShape | None, ask: Ask) -> list[Sureness]:
    """The reliability of each measure that has a status column."""
    measures = [measure for measure in shape.measures if measure.status] if shape else []
    return [_sureness(shape, measure, ask) for measure in measures if shape]


def _sureness(shape: TableShape, measure: ShapeMeasure, ask: Ask) -> Sureness:
    rows = ask({"$select": f"`{measure.status}` AS status, count(*) AS n", "$group": f"`{measure.status}`"})
    counts = {str(row["status"] or SUPPRESSED): int(row["n"]) for row in rows}
    return Sureness(measure, counts, {each: _example(shape, measure, ask, each) for each in (OK, CAUTION, UNRELIABLE)})


def _example(shape: TableShape, measure: ShapeMeasure, ask: Ask, status: str) -> ReadingExample | None:
    """The median cell of the latest period that has cells with this status."""
    if not (measure.low and measure.high):
        return None
    names = [key.names or key.name for key in shape.keys]
    ends = (measure.name, measure.low, measure.high)
    fields = dict.fromkeys([shape.period, *names, *ends])
    found = ask(
        {
            "$select": ", ".join(f"`{field}`" for field in fields),
            "$where": f"`{measure.status}` = '{status}'" + "".join(f" AND `{each}` IS NOT NULL" for each in ends),
            "$order": f"`{shape.time}` DESC NULLS LAST, " + ", ".join(f"`{each}`" for each in (measure.name, *names)),
            "$limit": "200",
        }
    )
    latest = [row for row in found if row[shape.period] == found[0][shape.period]]
    return _cell(latest[len(latest) // 2], shape, names, measure) if latest else None


def _cell(row: dict[str, Any], shape: TableShape, names: list[str], measure: ShapeMeasure) -> ReadingExample:
    value, low, high = (Decimal(str(row[str(field)])) for field in (measure.name, measure.low, measure.high))
    return ReadingExample(", ".join(str(row[name]) for name in names), str(row[shape.period]), value, low, high)


@dataclass(frozen=True, slots=True)
class Chance:
    """A probability as dots out of 100, never drawn smaller than it is."""

    percent: Decimal
    full: str
    empty: str


def chances(odds: Odds) -> tuple[Chance, Chance]:
    """The odds of someone who guesses, before and after reading everything."""
    return _chance(odds.before), _chance(odds.after)


def _chance(probability: float) -> Chance:
    dots = math.ceil(round(probability * 100, 6))
    return Chance(percent(probability), _dots(range(dots)), _dots(range(dots, 100)))


def _dots(numbers: range) -> str:
    """The rows of a 20 by 5 field as a path, to be drawn as a dot every ten units."""
    rows = [range(max(numbers.start, row), min(numbers.stop, row + 20)) for row in range(0, 100, 20)]
    return "".join(f"M{row.start % 20 * 10 + 5} {row.start // 20 * 10 + 5}h{len(row) * 10 - 9}" for row in rows if row)
