"""How best to split a release's loss among its tables: exact errors after reconciliation, and the split they suggest.

The error of the generalized least squares estimate follows from the noise and the shape of the tables alone: on a tree
in one pass up and one down (Hay et al. 2010, with unequal fan-out), elsewhere from the matrix of the coarser cells.
Nothing here reads a value, noisy or exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise, permutations
from typing import TYPE_CHECKING

from publisher.definitions.levels import forms_chain, parents
from publisher.privacy.lattice import lattice_of, solve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from publisher.definitions.levels import Level
    from publisher.privacy.lattice import TableLattice
    from publisher.stages import Floats, Integers

    Split = tuple[int, ...]
    """The parts of `PARTS` that each table gets."""

PARTS = 100
"""Suggested shares are whole hundredths: short to write, and close enough to the best."""


@dataclass(frozen=True)
class Tree:
    """The shape of a release's tables, from the coarsest to the finest.

    Cells of a level are alike when the trees below them are. `kids[l][a, b]` is how many children of kind b on level
    l + 1 a cell of kind a on level l has; `roots[a]` is how many cells of kind a the coarsest level has.
    """

    roots: Floats
    kids: tuple[Floats, ...]

    def variances(self, noise: Sequence[float]) -> tuple[float, ...]:
        """The mean variance of a level's cells after reconciliation; `noise` is what each level was measured with."""
        import numpy as np

        best, below = [np.array([noise[-1]])], []
        for variance, kids in zip(reversed(noise[:-1]), reversed(self.kids), strict=True):
            below.append(kids @ best[-1])
            best.append(variance * below[-1] / (variance + below[-1]))
        best, below = best[::-1], below[::-1]
        cells, totals = [self.roots], [self.roots * best[0]]
        # A child's variance is z - z²/S + (z/S)²·(its parent's): linear, so sums over cells of a kind are enough.
        for kids, under, child in zip(self.kids, below, best[1:], strict=True):
            # A cell without children is always zero and passes nothing down.
            part = child / np.where(under > 0, under, 1)[:, None]
            inherited = kids * part**2 * totals[-1][:, None]
            totals.append((kids * (child - child * part) * cells[-1][:, None] + inherited).sum(axis=0))
            cells.append(cells[-1] @ kids)
        return tuple(float(total.sum() / count[total > 0].sum()) for total, count in zip(totals, cells, strict=True))


@dataclass(frozen=True)
class LatticeShape:
    """The shape of tables that are no tree: one block of each shape, and how many there are."""

    lattice: TableLattice

    @cached_property
    def overlaps(self) -> tuple[Floats, ...]:
        """How many finest cells each two coarser ones share, for each shape of block."""
        return tuple(blocks.overlaps() for blocks in self.lattice.blocks)

    def variances(self, noise: Sequence[float]) -> tuple[float, ...]:
        """The mean variance of a level's cells after reconciliation; `noise` is what each level was measured with."""
        import numpy as np

        totals, counts = np.zeros((2, len(noise)))
        for blocks, shared in zip(self.lattice.blocks, self.overlaps, strict=True):
            times, solved = len(blocks.finest), solve(blocks, shared, noise)
            totals[:-1] += times * np.bincount(blocks.levels, solved.coarse, len(noise) - 1)
            counts[:-1] += times * np.bincount(blocks.levels, minlength=len(noise) - 1)
            totals[-1] += times * solved.finest.sum()
            counts[-1] += times * solved.finest.size
        return tuple((totals / counts).tolist())


def shape_of(levels: Sequence[Level]) -> Tree | LatticeShape:
    """The shape of a release's tables."""
    return tree_of(levels) if forms_chain(levels) else LatticeShape(lattice_of(levels))


def tree_of(levels: Sequence[Level]) -> Tree:
    """The tree of a release's tables."""
    import numpy as np

    kinds: Integers = np.zeros(levels[-1].grid.size, dtype=np.int64)
    kids: list[Floats] = []
    for coarse, fine in reversed(list(pairwise(levels))):
        counts = np.zeros((coarse.grid.size, int(kinds.max()) + 1))
        np.add.at(counts, (parents(coarse, fine), kinds), 1)
        shapes, kinds = np.unique(counts, axis=0, return_inverse=True)
        kinds = kinds.reshape(-1)
        kids.append(shapes)
    return Tree(np.bincount(kinds).astype(np.float64), tuple(reversed(kids)))


@dataclass(frozen=True)
class MeasuredLevels:
    """One measure over all levels: the variance of each table's noise if the whole loss were spent on that table."""

    alone: tuple[float, ...]
    reconciled: bool
    """False if tables do not add up, such as counts of units that may be in several cells."""


@dataclass(frozen=True)
class Problem:
    """What a split is judged by. `power` is 1 for ρ and 2 for ε: noise variance falls with share ** power."""

    shape: Tree | LatticeShape
    measures: tuple[MeasuredLevels, ...]
    power: int
    weights: tuple[float, ...]

    def errors(self, shares: Sequence[float]) -> list[tuple[float, ...]]:
        """The mean cell variance of every level, measure by measure."""
        return [self._errors(measure, shares) for measure in self.measures]

    def cost(self, shares: Sequence[float]) -> float:
        """The weighted sum, over levels and measures, of the variance as a multiple of what the table alone would have.

        It is a multiple because a margin that is small for a district would be wide for a street. This way every table
        counts the same, whatever the size of its cells.
        """
        return sum(
            weight * error / alone
            for measure, errors in zip(self.measures, self.errors(shares), strict=True)
            for weight, error, alone in zip(self.weights, errors, measure.alone, strict=True)
        )

    def _errors(self, measure: MeasuredLevels, shares: Sequence[float]) -> tuple[float, ...]:
        noise = [alone / share**self.power for alone, share in zip(measure.alone, shares, strict=True)]
        return self.shape.variances(noise) if measure.reconciled else tuple(noise)


def suggested_split(problem: Problem) -> tuple[Fraction, ...]:
    """The shares with the smallest cost, in whole hundredths, at least one for each table.

    Under ρ the cost is convex in the shares, so any descent ends at the best split; under ε it need not be: several
    starts are tried, and on a tree, where that takes no time, under ρ as well.
    """
    count = len(problem.weights)
    starts = [tuple(_even(count))]
    if problem.power > 1 or isinstance(problem.shape, Tree):
        starts += [tuple(_leaning(count, n)) for n in range(count)]
    seen: dict[Split, float] = {}

    def cost(split: Split) -> float:
        if split not in seen:
            seen[split] = problem.cost([part / PARTS for part in split])
        return seen[split]

    best = min((_descend(cost, start) for start in starts), key=cost)
    return tuple(Fraction(part, PARTS) for part in best)


def _descend(cost: Callable[[Split], float], split: Split) -> Split:
    """Move smaller and smaller parts from one table to another while that lowers the cost."""
    step = PARTS // 4
    while step:
        better = min(_moves(split, step), key=cost, default=split)
        if cost(better) < cost(split):
            split = better
        else:
            step //= 2
    return split


def _moves(split: Split, step: int) -> list[Split]:
    found = []
    for giver, taker in permutations(range(len(split)), 2):
        if split[giver] > step:
            moved = list(split)
            moved[giver] -= step
            moved[taker] += step
            found.append(tuple(moved))
    return found


def _even(count: int) -> list[int]:
    return [PARTS // count + (n < PARTS % count) for n in range(count)]


def _leaning(count: int, toward: int) -> list[int]:
    """Almost everything on one table."""
    return [PARTS - count + 1 if n == toward else 1 for n in range(count)]
