"""Neighbor replay: with and without one unit in one window, how far does every exact table move?"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.definitions.dataset import WIDER
from publisher.errors import PublisherError
from publisher.privacy.sensitivity import sensitivity_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.audit.bench import Bench, Neighbor
    from publisher.privacy.sensitivity import Sensitivity
    from publisher.stages import BoundedAggregate, Integers, Table

    Distance = tuple[int, int]
    """L1, and the square of L2."""


@dataclass
class Replay:
    """What the neighbors of one bench showed."""

    claims: dict[Table, Sensitivity]
    farthest: dict[Table, Distance] = field(default_factory=dict, repr=False)
    neighbors: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """What was seen if there was no fault."""
        # The number of units is not shown: if every unit was tried, it would be the exact count.
        return "no table moves by more than its declared sensitivity with any of the units that were tried"

    def see(self, whole: BoundedAggregate, part: BoundedAggregate) -> None:
        """Check one pair of neighbors."""
        self.neighbors += 1
        if not _alike(whole, part):
            self.faults.append("cells, levels or types change with one unit's records")
            return
        for name, claim in self.claims.items():
            l1, l2 = distance(whole.tables[name], part.tables[name])
            if l1 > claim.l1 or l2 > claim.l2_squared:
                self.faults.append(f"{words(name)} moves by {_part(l1, l2, claim)} of its declared sensitivity")
            before = self.farthest.get(name, (0, 0))
            self.farthest[name] = max(before[0], l1), max(before[1], l2)


def replay(bench: Bench, neighbors: Sequence[Neighbor], seen: Replay) -> list[str] | str:
    """Remove each of the neighbors and check every table; returns the faults, or words."""
    whole = bench.aggregate()
    if tuple(whole.levels) != bench.dataset.levels(bench.period):
        seen.faults.append("cells and levels are not those of the definition")
    for neighbor in neighbors:
        try:
            part = bench.without(neighbor)
        except PublisherError:
            seen.faults.append("without one unit's records there is an error that does not occur with them")
            continue
        seen.see(whole, part)
    if bench.people and not _same(whole, bench.aggregate("_unit IS NOT NULL")):
        seen.faults.append("records without a unit are counted")
    return seen.faults or seen.words


def claims(bench: Bench) -> dict[Table, Sensitivity]:
    """The declared sensitivity of every measured table."""
    definition = bench.dataset.definition
    tables = [(level.name, each) for level in bench.dataset.levels(bench.period) for each in definition.measured]
    tables += [(WIDER, each) for each in definition.covered]
    return {(level, each.name): sensitivity_at(definition, each, level) for level, each in tables}


def distance(one: Integers, other: Integers) -> Distance:
    """L1 and the square of L2, as Python integers, which do not overflow."""
    gaps = [abs(int(a) - int(b)) for a, b in zip(*_different(one, other), strict=True)]
    return sum(gaps), sum(gap * gap for gap in gaps)


def chosen(bench: Bench, most: int) -> list[Neighbor]:
    """The heaviest units, those in several windows, anonymous ones, and as many others as fit."""
    found = dict.fromkeys(bench.neighbors("true", "count(*) DESC", most // 3))
    if bench.people:
        several = (
            "unit IN (SELECT _unit FROM landed GROUP BY _unit HAVING count(DISTINCT date_trunc('month', _event)) > 1)"
        )
        found |= dict.fromkeys(bench.neighbors(several, "count(*) DESC", most // 4))
        found |= dict.fromkeys(bench.neighbors("_unit = _record", "min(_event)", most // 10))
    for neighbor in bench.neighbors("true", "md5(CAST(unit AS VARCHAR))", 2 * most):
        if len(found) < most:
            found[neighbor] = None
    return list(found)


def words(table: Table) -> str:
    """A table's name in words."""
    level, measure = table
    return f"{measure} ({level or 'finest'})"


def _different(one: Integers, other: Integers) -> tuple[list[int], list[int]]:
    where = one != other
    return one[where].tolist(), other[where].tolist()


def _alike(whole: BoundedAggregate, part: BoundedAggregate) -> bool:
    import numpy as np

    shapes = [
        {name: (table.shape, table.dtype == np.int64) for name, table in each.tables.items()} for each in (whole, part)
    ]
    return (
        whole.levels == part.levels
        and all(np.array_equal(a.cells, b.cells) for a, b in zip(whole.levels, part.levels, strict=True))
        and shapes[0] == shapes[1]
        and all(whole_number for _, whole_number in shapes[0].values())
    )


def _same(one: BoundedAggregate, other: BoundedAggregate) -> bool:
    import numpy as np

    return _alike(one, other) and all(np.array_equal(table, other.tables[name]) for name, table in one.tables.items())


def _part(l1: int, l2_squared: int, claim: Sensitivity) -> str:
    worst = max(float(Fraction(l1, claim.l1)), float(Fraction(l2_squared, claim.l2_squared)) ** 0.5)
    return f"{worst:.2f}"
