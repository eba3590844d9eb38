"""Whole numbers for tables that are not ordered: finest cells of at least zero, and every coarser cell their sum.

Real numbers come first, from the coarsest table to the finest; then all are rounded at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from publisher.privacy.consistency import apportion, project
from publisher.privacy.nesting import nesting_of
from publisher.privacy.projection import Sums, nearest
from publisher.privacy.rounding import rounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.definitions.levels import Level
    from publisher.privacy.lattice import LatticeFit
    from publisher.privacy.nesting import Nesting
    from publisher.stages import Floats, Integers

PARTS = 20
"""Real numbers are whole multiples of 2^-PARTS, or of a larger part of one where a total would not fit 64 bits."""
LOOSE = 100.0
"""How many times its variance a finest cell may move while coarser tables are reached."""
ROUNDS = 3
"""How often a coarser table is reached, each time from where the cells are: then LOOSE hardly matters."""


@dataclass(frozen=True)
class ColumnEstimates:
    """The estimates of one column: finest cells, and the cells of each table of the nesting."""

    nesting: Nesting
    finest: Floats
    variances: Floats
    tables: tuple[Floats, ...]
    table_variances: tuple[Floats, ...]

    @property
    def parts(self) -> int:
        """How many parts make one."""
        import numpy as np

        most = int(np.abs(self.finest).sum() + max(float(np.abs(each).sum()) for each in self.tables)) + 1
        return 1 << max(0, min(PARTS, 60 - most.bit_length()))


def whole_on_lattice(
    levels: Sequence[Level], fit: LatticeFit, estimates: Sequence[Floats], *, nonnegative: bool
) -> tuple[Integers, ...]:
    """Per level (cells, width) whole numbers; every coarser cell is the sum of its finest cells, in every column.

    Where the tables are two chains, every sum is its real value rounded down or up.
    """
    import numpy as np

    nesting = nesting_of(fit.lattice, [level.cells for level in levels[:-1]])
    columns = [_column(nesting, fit, [each[:, n] for each in estimates]) for n in range(estimates[-1].shape[1])]
    cells = np.stack([_whole(each, nonnegative=nonnegative) for each in columns], axis=1)
    return summed(levels, cells)


def summed(levels: Sequence[Level], cells: Integers) -> tuple[Integers, ...]:
    """The sums of finest cells, (cells, width), on every level."""
    import numpy as np

    found = tuple(np.zeros((level.grid.size, cells.shape[1]), dtype=np.int64) for level in levels)
    for level, table in zip(levels, found, strict=True):
        np.add.at(table, level.cells, cells)
    return found


def _column(nesting: Nesting, fit: LatticeFit, estimates: Sequence[Floats]) -> ColumnEstimates:
    import numpy as np

    totals = np.zeros(nesting.sizes[0])
    np.add.at(totals, nesting.cells[0], estimates[-1])
    own = [level for level in nesting.levels if level >= 0]
    return ColumnEstimates(
        nesting,
        estimates[-1],
        np.maximum(fit.variances[-1], 1e-12 * fit.variances[-1].max()),
        (totals, *(estimates[level] for level in own)),
        (np.zeros_like(totals), *(fit.variances[level] for level in own)),
    )


def _whole(column: ColumnEstimates, *, nonnegative: bool) -> Integers:
    import numpy as np

    unit = column.parts
    if not nonnegative:
        return rounded(column.nesting, np.rint(column.finest * unit).astype(np.int64), unit)
    chains, others = column.nesting.chains()
    if others or not _meet(column.nesting, chains):
        cells = np.rint(_softly(column) * unit).astype(np.int64)
    else:
        cells = _exactly(column, chains, unit)
    return rounded(column.nesting, cells, unit)


def _meet(nesting: Nesting, chains: Sequence[tuple[int, ...]]) -> bool:
    """Whether, within a block, every last cell of one chain has a finest cell in common with every one of the other."""
    import numpy as np

    one, other = (chain[-1] for chain in chains)
    pairs = np.unique(nesting.cells[one] * nesting.sizes[other] + nesting.cells[other]).size
    held = [
        np.bincount(nesting.above(0, table)[np.unique(nesting.cells[table])], minlength=nesting.sizes[0])
        for table in (one, other)
    ]
    return bool(pairs == int(held[0] @ held[1]))


def _exactly(column: ColumnEstimates, chains: Sequence[tuple[int, ...]], unit: int) -> Integers:
    """Finest cells, in parts of one, whose sums are those of both chains, each projected from its total downward."""
    import numpy as np

    nesting = column.nesting
    totals = np.rint(np.maximum(column.tables[0], 0) * unit).astype(np.int64)
    sums = [_descended(column, chain, totals, unit) for chain in chains]
    ends = [nesting.cells[chain[-1]] for chain in chains]
    inside = np.stack([ends[0], ends[1] + sums[0].size])
    wanted = Sums(inside, np.concatenate(sums) / unit, np.zeros(sums[0].size + sums[1].size))
    near = nearest(column.finest, column.variances, wanted) * unit
    cells = apportion(project(near, ends[0], sums[0]), ends[0], sums[0])
    _mend(cells, ends, sums, nesting.cells[0])
    return cells


def _descended(column: ColumnEstimates, chain: Sequence[int], totals: Integers, unit: int) -> Integers:
    """The last table of a chain in parts of one: children ≥ 0 that add up to their parent, from the totals downward."""
    import numpy as np

    nesting, found = column.nesting, totals
    for coarse, fine in pairwise(chain):
        held = np.unique(nesting.cells[fine])
        families = nesting.above(coarse, fine)[held]
        values = project(column.tables[fine][held] * unit, families, found)
        below = np.zeros(nesting.sizes[fine], dtype=np.int64)
        below[held] = apportion(values, families, found)
        found = below
    return found


def _mend(cells: Integers, ends: Sequence[Integers], sums: Sequence[Integers], blocks: Integers) -> None:
    """Move what floats have missed of the second chain's sums between cells of the same sum of the first chain.

    Every two sums of a block meet in some cell, so what one sum has too much of can go to any that lacks it.
    """
    import numpy as np

    size = sums[1].size
    over = -sums[1]
    np.add.at(over, ends[1], cells)
    block = np.zeros(size, dtype=np.int64)
    block[ends[1]] = blocks
    lacking: dict[int, list[int]] = {}
    for column in np.flatnonzero(over < 0).tolist():
        lacking.setdefault(int(block[column]), []).append(column)
    codes = ends[0] * size + ends[1]
    order = np.argsort(codes, kind="stable")
    largest = np.lexsort((-cells, ends[1]))
    starts = np.searchsorted(ends[1][largest], np.arange(size + 1))
    for column in np.flatnonzero(over > 0).tolist():
        for cell in largest[starts[column] : starts[column + 1]].tolist():
            takers = lacking.get(int(block[column]), [])
            while takers and over[column] > 0 and cells[cell] > 0:
                meeting = order[np.searchsorted(codes[order], ends[0][cell] * size + takers[-1])]
                moved = min(int(over[column]), int(cells[cell]), -int(over[takers[-1]]))
                cells[cell] -= moved
                cells[meeting] += moved
                over[column] -= moved
                over[takers[-1]] += moved
                if over[takers[-1]] == 0:
                    takers.pop()


def _softly(column: ColumnEstimates) -> Floats:
    """Finest cells near the sums of all tables, coarse ones first, as far as cells of at least zero can have them."""
    import numpy as np

    nesting, ranks = column.nesting, column.nesting.ranks
    reached: dict[int, Floats] = {0: np.maximum(column.tables[0], 0)}
    cells = _near(column, reached, (), column.finest, column.variances)
    for rank in range(1, max(ranks) + 1):
        now = tuple(table for table, each in enumerate(ranks) if each == rank)
        for _ in range(ROUNDS):
            cells = _near(column, reached, now, cells, column.variances * LOOSE)
        reached |= {table: _added(nesting, table, cells) for table in now}
        reached = {table: sums for table, sums in reached.items() if not nesting.finer[table] & reached.keys()}
    return _near(column, reached, (), column.finest, column.variances)


def _added(nesting: Nesting, table: int, cells: Floats) -> Floats:
    import numpy as np

    found: Floats = np.bincount(nesting.cells[table], cells, nesting.sizes[table]).astype(np.float64)
    return found


def _near(
    column: ColumnEstimates, reached: Mapping[int, Floats], now: Sequence[int], wanted: Floats, variances: Floats
) -> Floats:
    """The cells nearest to `wanted` with the sums that were reached, and near those of the tables `now`."""
    import numpy as np

    tables = [*reached, *now]
    starts = np.cumsum([0, *(column.nesting.sizes[table] for table in tables)])
    inside = np.stack([column.nesting.cells[table] + start for table, start in zip(tables, starts, strict=False)])
    targets = np.concatenate([*reached.values(), *(column.tables[table] for table in now)])
    slack = np.zeros(targets.size)
    slack[starts[len(reached)] :] = np.concatenate([np.zeros(0), *(column.table_variances[table] for table in now)])
    return nearest(wanted, variances, Sums(inside, targets, slack))
