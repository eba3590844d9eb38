"""How the tables of a release lie inside each other: which are coarser, and whether they are two chains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.privacy.lattice import TableLattice
    from publisher.stages import Integers


@dataclass(frozen=True)
class Nesting:
    """The tables above the finest one, coarse before fine. Table 0 has one cell for each block of the lattice.

    `cells[t]` is the cell of table t that each finest cell lies in, `sizes[t]` how many t has, `levels[t]` which level
    it is (-1: table 0), and `finer[t]` are the tables whose cells lie inside those of t.
    """

    cells: tuple[Integers, ...]
    sizes: tuple[int, ...]
    levels: tuple[int, ...]
    finer: tuple[frozenset[int], ...]

    @property
    def ranks(self) -> tuple[int, ...]:
        """How many tables are above each, in the longest chain of them."""
        found = [0] * len(self.cells)
        for table, below in enumerate(self.finer):
            for each in below:
                found[each] = max(found[each], found[table] + 1)
        return tuple(found)

    def above(self, coarse: int, fine: int) -> Integers:
        """For each cell of the finer table, the cell of the coarser one that holds it; 0 for an empty one."""
        import numpy as np

        found = np.zeros(self.sizes[fine], dtype=np.int64)
        found[self.cells[fine]] = self.cells[coarse]
        return found

    def chains(self) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
        """(two chains that begin with table 0, tables in neither): every table is in one if two chains can hold all."""
        sides = self._sides()
        if sides is None:
            sides = self._greedy()
        chains = tuple((0, *(t for t in range(1, len(self.cells)) if sides.get(t) == side)) for side in (0, 1))
        return chains, tuple(t for t in range(1, len(self.cells)) if t not in sides)

    def _ordered(self, one: int, other: int) -> bool:
        return one in self.finer[other] or other in self.finer[one]

    def _sides(self) -> dict[int, int] | None:
        """Two colors for tables of which neither lies inside the other; None where two are not enough."""
        tables, sides = range(1, len(self.cells)), dict[int, int]()
        for first in tables:
            if first in sides:
                continue
            sides[first], left = 0, [first]
            while left:
                one = left.pop()
                for other in tables:
                    if other != one and not self._ordered(one, other):
                        if other not in sides:
                            sides[other] = 1 - sides[one]
                            left.append(other)
                        elif sides[other] == sides[one]:
                            return None
        return sides

    def _greedy(self) -> dict[int, int]:
        """Each table, coarse before fine, in the first chain that it fits into."""
        sides: dict[int, int] = {}
        for table in range(1, len(self.cells)):
            for side in (0, 1):
                if all(self._ordered(table, other) for other, at in sides.items() if at == side):
                    sides[table] = side
                    break
        return sides


def nesting_of(lattice: TableLattice, cells: Sequence[Integers]) -> Nesting:
    """The nesting of a lattice's levels; `cells` holds for each coarser level the cell of each finest cell."""
    import numpy as np

    blocks = np.zeros(lattice.sizes[-1], dtype=np.int64)
    for number, finest in enumerate(finest for each in lattice.blocks for finest in each.finest):
        blocks[finest] = number
    order = sorted(range(len(cells)), key=lambda level: np.unique(cells[level]).size)
    tables = (blocks, *(cells[level] for level in order))
    sizes = (int(blocks.max(initial=-1)) + 1, *(lattice.sizes[level] for level in order))
    finer = tuple(
        frozenset(t for t in range(n + 1, len(tables)) if _inside(tables[t], tables[n], sizes[t]))
        for n in range(len(tables))
    )
    return Nesting(tables, sizes, (-1, *order), finer)


def _inside(fine: Integers, coarse: Integers, size: int) -> bool:
    import numpy as np

    above = np.zeros(size, dtype=np.int64)
    above[fine] = coarse
    return bool(np.array_equal(above[fine], coarse))
