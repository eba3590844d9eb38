"""What a release changes for readers: numbers in units of the margin of their difference, and what is withheld where.

Everything is read from published tables, so it tells no more than they do.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.grades import SUPPRESSED
from publisher.release.table import read_published

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from publisher.release.manifest import MeasureShape, Release, Shape

Row = dict[str, Any]
Cell = tuple[object, ...]
"""The time step's place in its release, then the keys."""


@dataclass(frozen=True)
class Change:
    """One number that differs from the release before."""

    table: str
    measure: str
    cell: str
    """In words."""
    before: float
    now: float
    margins: float
    """How many margins of the difference it is: up to one, noise alone explains it."""


@dataclass(frozen=True)
class PlaceWithheld:
    """How many of a place's numbers a table withholds."""

    table: str
    place: str
    withheld: int
    numbers: int
    before: int | None
    """How many the release before withheld; None if it does not have the place."""


def changes(before: Release, now: Release) -> list[Change]:
    """Every number that both releases have and in which they differ, the largest change first. A time step is compared
    with the one at the same place in the release before."""
    found = [
        change
        for level, table in now.tables.items()
        if level in before.tables
        for change in _of_table(before.tables[level], table)
    ]
    return sorted(found, key=lambda each: -each.margins)


def withheld_by_place(before: Release | None, now: Release) -> list[PlaceWithheld]:
    """What each table withholds, by place, or else by its first key; one line for a table without keys."""
    found = []
    for level, table in now.tables.items():
        earlier = _withheld(before.tables[level]) if before is not None and level in before.tables else {}
        for place, (withheld, numbers) in _withheld(table).items():
            known = earlier[place][0] if place in earlier else None
            found.append(PlaceWithheld(table.manifest.dataset, place, withheld, numbers, known))
    return found


def most_withheld(release: Release) -> float:
    """The largest share of its numbers that any table of a release withholds."""
    shares = [0.0]
    for table in release.tables.values():
        counts = _withheld(table).values()
        shares.append(sum(each for each, _ in counts) / max(sum(of for _, of in counts), 1))
    return max(shares)


def _of_table(before: Release, now: Release) -> Iterator[Change]:
    shape = now.manifest.shape
    earlier, later = _cells(before), _cells(now)
    known = {each.name for each in before.manifest.shape.measures}
    for measure in shape.measures:
        if measure.name not in known:
            continue
        for cell in later.keys() & earlier.keys():
            margins = _margins(earlier[cell], later[cell], measure)
            if margins is not None:
                old, new = (float(row[cell][measure.name]) for row in (earlier, later))
                words = _words(later[cell], shape)
                yield Change(now.manifest.dataset, measure.label, words, old, new, margins)


def _margins(before: Row, now: Row, measure: MeasureShape) -> float | None:
    """The difference in units of its margin; None where there is none, or one of the numbers has no margin."""
    ends = [row[name] for row in (before, now) for name in (measure.name, measure.low, measure.high)]
    if any(each is None or not math.isfinite(each) for each in ends) or ends[0] == ends[3]:
        return None
    old, low, high, new, least, most = map(float, ends)
    margin = math.hypot((high - low) / 2, (most - least) / 2)
    return abs(new - old) / margin if margin else math.inf


def _cells(release: Release) -> Mapping[Cell, Row]:
    """The rows by their cells."""
    shape, rows = release.manifest.shape, read_published(release).to_pylist()
    steps = {time: n for n, time in enumerate(sorted({row[shape.time] for row in rows}))}
    return {(steps[row[shape.time]], *(row[key.name] for key in shape.keys)): row for row in rows}


def _words(row: Row, shape: Shape) -> str:
    """The cell in words: its time step and keys."""
    return ", ".join(map(str, (row[shape.period], *(row[key.names or key.name] for key in shape.keys))))


def _withheld(release: Release) -> Mapping[str, tuple[int, int]]:
    """By place, or else by the first key: how many numbers are withheld, and of how many."""
    shape = release.manifest.shape
    names = {key.name: key.names or key.name for key in shape.keys}
    by = shape.place if shape.place in names else next(iter(names), None)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in read_published(release).to_pylist():
        count = counts[str(row[names[by]]) if by is not None else ""]
        for measure in shape.measures:
            count[0] += row[measure.status] == SUPPRESSED
            count[1] += 1
    return {place: (withheld, numbers) for place, (withheld, numbers) in counts.items()}
