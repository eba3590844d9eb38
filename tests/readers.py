"""Many draws of one small town at once, and the sums over fixed sets of its cells that a reader would ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from publisher.definitions.levels import forms_chain
from publisher.privacy.distribution import Noise
from publisher.privacy.finish import finish
from publisher.privacy.fit import fit_of
from publisher.privacy.lattice import lattice_of
from publisher.privacy.sampler import draw, widened
from publisher.privacy.weighed import half_width_of, weighed_fit
from publisher.stages import Mechanism, NoisyTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.dataset import Dataset
    from publisher.definitions.levels import Level
    from publisher.privacy.distribution import Kind
    from publisher.stages import Flags, Floats, Integers

REJECTED = 1e-6


@dataclass(frozen=True)
class Ranges:
    """Low and high ends, shape (sets, draws); NaN where there is no answer."""

    low: Floats
    high: Floats

    def holding(self, truth: Integers) -> Integers:
        """For each set, how many ranges hold its truth and how many there are, shape (sets, 2)."""
        answered = ~np.isnan(self.low)
        inside = (self.low <= truth[:, None]) & (truth[:, None] <= self.high)
        return np.stack([(inside & answered).sum(axis=1), answered.sum(axis=1)], axis=1)


@dataclass(frozen=True)
class Town:
    """Equal towns as separate blocks of one release: each is a draw of its own. `counts` are those of one town."""

    levels: tuple[Level, ...]
    counts: Integers
    kind: Kind
    scales: tuple[float, float]
    """Of the finest table, and of every coarser one."""

    @property
    def towns(self) -> int:
        return self.levels[-1].grid.size // self.counts.size

    def drawn(self) -> NoisyTable:
        """Our own noise on every level."""
        finest = np.tile(self.counts, self.towns)
        tables, mechanisms = {}, []
        for level in self.levels:
            short = widened(Fraction(self.scales[1 if level.name else 0]))
            exact = np.zeros(level.grid.size, dtype=np.int64)
            np.add.at(exact, level.cells, finest)
            tables[level.name, "requests"] = exact + draw(self.kind, short, exact.size)
            mechanisms.append(Mechanism("requests", self.kind, float(short), "1", Fraction(1, 30), "", level.name))
        return NoisyTable(self.levels, tables, tuple(mechanisms))

    def sums(self, noisy: NoisyTable, definition: Dataset, sets: Flags, *, measured: bool) -> tuple[Ranges, Ranges]:
        """(as the macros answer, as added up from published cells with the root of squared margins); `sets` has a row
        of cells for each set. With `measured` the measurements are published."""
        cells = finish(noisy, definition)[-1].measures[0]
        value, low, high = (each.reshape(self.towns, -1) for each in (cells.value, cells.low, cells.high))
        noises = [Noise(((self.kind, each.scale),)) for each in noisy.mechanisms]
        variances = [noise.variance for noise in noises]
        if measured:
            tables = [noisy.tables[level.name, "requests"][:, None].astype(np.float64) for level in self.levels]
            centers = fit_of(self.levels, variances).estimate(tables)[-1].reshape(self.towns, -1)
        else:
            whole = (low > 0) & (low < value) & (value < high)
            centers = np.where(whole, (low + high) / 2, np.nan)
        (blocks,) = lattice_of(self.levels).blocks
        fit, half = weighed_fit(blocks, variances, chain=forms_chain(self.levels)), half_width_of(noises)
        weights = sets.astype(np.float64)
        variance = variances[-1] * np.array([fit.variance(blocks, row) for row in weights])
        middles = 0 if measured else sets.sum(axis=1)
        width = half.factor * np.sqrt(variance) + half.rounding + middles / 2
        center = weights @ centers.T
        asked = Ranges(np.ceil(center - width[:, None] - 1e-6), np.floor(center + width[:, None] + 1e-6))
        asked = Ranges(np.maximum(asked.low, 0), np.maximum(asked.high, 0))
        total, naive = weights @ value.T, np.sqrt(weights @ (((high - low) / 2) ** 2).T)
        return asked, Ranges(total - naive, total + naive)


def rejects(inside: int, answered: int, coverage: float = 0.95) -> bool:
    """Whether so few hits would come less than once in a million times if each were one with this probability."""
    if inside >= coverage * answered:
        return False
    logs = [
        math.lgamma(answered + 1) - math.lgamma(k + 1) - math.lgamma(answered - k + 1)
        + k * math.log(coverage) + (answered - k) * math.log(1 - coverage)
        for k in range(max(0, inside - 2000), inside + 1)
    ]  # fmt: skip
    return sum(map(math.exp, logs)) < REJECTED


def fixed_sets(cells: int, among: Sequence[int], least: int = 3, many: int = 6) -> Flags:
    """Sets chosen before anything is drawn, of at least so many and at most all of these cells."""
    source, found = np.random.default_rng(3), np.zeros((many, cells), dtype=np.bool_)
    for row in found:
        row[source.choice(among, int(source.integers(least, len(among) + 1)), replace=False)] = True
    return found
