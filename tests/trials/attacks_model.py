"""Attackers who know everything about everybody but one unit, and guess from what is published whether it was there.

A trial is a release of its own: a fair coin decides whether the unit is among the records, the noise is drawn as a
release draws it, and the guess is right or wrong. Many releases are drawn at once, side by side in one vector.

Against Gaussian noise the best of all guesses looks at one number, the likelihood ratio, which is a weighed sum of what
is published: generalized least squares for the one unknown. It is right Φ(μ/2) of the time, μ² = Σ (difference / σ)².
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import exp, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from publisher.definitions.cells import Axis, CellGrid
from publisher.definitions.levels import Level, parents
from publisher.privacy.finish import finish
from publisher.privacy.mechanism import add_noise
from publisher.privacy.sampler import widened
from publisher.stages import BoundedAggregate, Mechanism

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from publisher.definitions.dataset import Dataset
    from publisher.stages import FinishedMeasure, FinishedTable, Flags, Floats, Integers, NoisyTable, Table

NORMAL = NormalDist()
SURE = 5.8
"""A normal value lies farther out, on either side, once in 150 million: once in a million for all lines of a test."""
STATED = NORMAL.inv_cdf(0.995)
"""The ends of a 99 % interval."""
DISCRETE = 0.001
"""Noise in whole numbers lets the best guess win a little more than Φ(μ/2): at σ ≥ 2 less than this."""
BATCH = 10_000
"""Finished releases that are made at once."""


@dataclass(frozen=True)
class Success:
    """How often guesses were right; each was a release of its own."""

    right: int
    trials: int

    @property
    def rate(self) -> float:
        """The part that was right."""
        return self.right / self.trials

    def interval(self, deviations: float = STATED) -> tuple[float, float]:
        """Wilson's interval for the chance, 99 % unless said."""
        square, n = deviations**2, self.trials
        middle = (self.rate + square / (2 * n)) / (1 + square / n)
        half = deviations / (1 + square / n) * sqrt(self.rate * (1 - self.rate) / n + square / (4 * n * n))
        return middle - half, middle + half

    def surely_above(self, chance: float) -> bool:
        """Above by more than luck, but for one time in 300 million."""
        return self.interval(SURE)[0] > chance

    def surely_below(self, chance: float) -> bool:
        """Below by more than luck, but for one time in 300 million."""
        return self.interval(SURE)[1] < chance


@dataclass(frozen=True)
class Target:
    """One unit that is asked about: the definition, the noise, and the exact tables without and with it."""

    dataset: Dataset
    mechanisms: tuple[Mechanism, ...]
    absent: BoundedAggregate
    present: BoundedAggregate

    def difference(self, table: Table) -> Integers:
        """What the unit adds to a table."""
        return self.present.tables[table] - self.absent.tables[table]

    @property
    def mu(self) -> float:
        """How many standard deviations apart the two worlds are, over all tables together."""
        return sqrt(sum(float((self.difference(m.table) ** 2).sum()) / m.scale**2 for m in self.mechanisms))

    @property
    def optimum(self) -> float:
        """How often the best guess is right: Φ(μ/2). Against discrete Laplace noise on a single count that the unit
        moves by one it is e^ε / (1 + e^ε), ε being one over the scale."""
        if self.mechanisms[0].kind == "discrete gaussian":
            return NORMAL.cdf(self.mu / 2)
        (mechanism,) = self.mechanisms
        assert int(np.abs(self.difference(mechanism.table)).sum()) == 1
        return 1 / (1 + exp(-1 / mechanism.scale))

    def weakened(self, factor: float) -> Target:
        """The same releases by a publisher whose noise is cut to that part of what it claims."""
        return replace(self, mechanisms=tuple(narrower(each, factor) for each in self.mechanisms))


def mechanisms_in(guarantee: dict[str, Any]) -> tuple[Mechanism, ...]:
    """The noise of a release, as its guarantee tells the public."""
    return tuple(
        Mechanism(m["measure"], m["mechanism"], m["scale"], m["sensitivity"], Fraction(m["loss"]), "", m["level"],
                  m["sampler"])
        for m in guarantee["mechanisms"]
    )  # fmt: skip


def narrower(mechanism: Mechanism, factor: float) -> Mechanism:
    """The same mechanism with its noise cut to that part."""
    scale = float(widened(Fraction(mechanism.scale * factor)))
    return replace(mechanism, scale=scale)


def coins(trials: int) -> Flags:
    """Whether the unit is there, fair and unknown to the attacker."""
    return np.random.default_rng().integers(0, 2, trials).astype(np.bool_)


def judged(guesses: Flags, truth: Flags) -> Success:
    """How many guesses were right."""
    return Success(int((guesses == truth).sum()), truth.size)


def from_measurements(target: Target, trials: int, *, claimed: Target | None = None, null: bool = False) -> Success:
    """The best guess from every measured number of every table, before anything is reconciled or withheld.

    Cells that the unit does not touch are known, but for noise that says nothing of it: they are left out. `claimed` is
    what the attacker believes of the noise. With `null` the unit is never there, whatever the coin says.
    """
    truth = coins(trials)
    score = np.zeros(trials)
    for mechanism, believed in zip(target.mechanisms, (claimed or target).mechanisms, strict=True):
        difference = target.difference(mechanism.table)
        touched = np.flatnonzero(difference)
        moved = difference[touched] * (truth & (not null))[:, None]
        noise = redrawn(mechanism, target.absent.tables[mechanism.table][touched] + moved)
        known = target.absent.tables[mechanism.table][touched]
        score += evidence(believed, noise - known, difference[touched]).sum(axis=1)
    return judged(score > 0, truth)


def redrawn(mechanism: Mechanism, values: Integers) -> Integers:
    """Those values with noise, drawn as a release draws it."""
    drawn = add_noise(BoundedAggregate((), {mechanism.table: values.ravel()}), (mechanism,)).tables[mechanism.table]
    return drawn.reshape(values.shape)


def evidence(mechanism: Mechanism, seen: Floats | Integers, difference: Integers) -> Floats:
    """The logarithm of the likelihood ratio: above zero where the unit is more likely there than not."""
    if mechanism.kind == "discrete gaussian":
        return difference * (seen - difference / 2) / mechanism.scale**2
    return (np.abs(seen) - np.abs(seen - difference)) / mechanism.scale


@dataclass(frozen=True)
class Published:
    """Many finished releases: whether the unit was there, and the published columns of one release per row."""

    target: Target
    truth: Flags
    columns: dict[tuple[str, str, str], Floats]
    """(level, measure, column) -> (releases, cells); columns are value, low, high, status and text, the last two as
    numbers that name them."""


def published(target: Target, releases: int, *datasets: Dataset, null: bool = False) -> list[Published]:
    """That many releases, finished as every release is: reconciled, made whole, withheld, with margins.

    Each of the definitions finishes the same draws: they are editions of one another.
    """
    truth = coins(releases)
    parts: list[dict[tuple[str, str, str], list[Floats]]] = [{} for _ in datasets or (target.dataset,)]
    for batch in np.array_split(truth, max(1, releases // BATCH)):
        noisy = noisy_tables(target, batch & (not null))
        for dataset, found in zip(datasets or (target.dataset,), parts, strict=True):
            for key, values in _columns(finish(noisy, dataset), batch.size):
                found.setdefault(key, []).append(values)
    return [Published(target, truth, {key: np.concatenate(each) for key, each in found.items()}) for found in parts]


def noisy_tables(target: Target, there: Flags) -> NoisyTable:
    """Noisy tables of as many releases as there are coins, side by side as one forest."""
    levels = side_by_side(target.absent.levels, there.size)
    tables = {
        each.table: (target.absent.tables[each.table] + there[:, None] * target.difference(each.table)).ravel()
        for each in target.mechanisms
    }
    return add_noise(BoundedAggregate(levels, tables), target.mechanisms)


def side_by_side(levels: Sequence[Level], copies: int) -> tuple[Level, ...]:
    """The forest of so many releases."""
    made = []
    for level in levels:
        size = level.grid.size
        axes = (Axis("release", tuple(map(str, range(copies))), None, 0),
                Axis("cell", tuple(map(str, range(size))), None, 0))  # fmt: skip
        cells = (np.arange(copies)[:, None] * size + level.cells).ravel()
        made.append(Level(level.name, CellGrid(level.grid.periods[:1], axes), level.share, cells))
    return tuple(made)


def _columns(tables: Sequence[FinishedTable], releases: int) -> Iterator[tuple[tuple[str, str, str], Floats]]:
    for table in tables:
        for measure in table.measures:
            columns = {"value": measure.value, "low": measure.low, "high": measure.high}
            columns["status"] = measure.graded.astype(np.float64)
            columns["percent"] = measure.percent
            if measure.texts is not None:
                columns["text"] = _numbered(measure)
            for name, values in columns.items():
                yield (table.level, measure.name, name), values.reshape(releases, -1)


def _numbered(measure: FinishedMeasure) -> Floats:
    """Texts as numbers that are the same in every batch."""
    texts = ["" if text is None else text for text in measure.texts or ()]
    return np.array([float(sum(ord(sign) * 131**n for n, sign in enumerate(text)) % 2**50) for text in texts])


def filled(releases: Published, measure: str) -> dict[str, Floats]:
    """Level -> published values, where a family's only withheld cell is what its total leaves beside the others.

    That is how anybody may recover it; NaN where two are withheld, or the total.
    """
    levels = releases.target.absent.levels
    found = {levels[0].name: releases.columns[levels[0].name, measure, "value"]}
    for coarse, fine in pairwise(levels):
        values = releases.columns[fine.name, measure, "value"].copy()
        above = parents(coarse, fine)
        for parent in np.unique(above):
            family = np.flatnonzero(above == parent)
            gaps = np.isnan(values[:, family])
            alone = np.flatnonzero(gaps.sum(axis=1) == 1)
            left = found[coarse.name][alone, parent] - np.nansum(values[np.ix_(alone, family)], axis=1)
            values[alone, family[gaps[alone].argmax(axis=1)]] = left
        found[fine.name] = values
    return found


def weighed(releases: Published, column: str = "value") -> Floats:
    """The likelihood ratio's weighed sum, of one published column in place of the measurements.

    Reconciled estimates hold all that the measurements say, so its weights are right for them too. Withheld values are
    recovered from totals where that is possible, and say nothing elsewhere.
    """
    target, score = releases.target, np.zeros(releases.truth.size)
    for mechanism in target.mechanisms:
        level, measure = mechanism.table
        if (level, measure, column) in releases.columns:
            adds_up = column == "value" and len(target.absent.levels) > 1
            values = filled(releases, measure)[level] if adds_up else releases.columns[level, measure, column]
            difference = target.difference(mechanism.table)
            touched = np.flatnonzero(difference)
            seen = values[:, touched] - target.absent.tables[mechanism.table][touched]
            score += np.nan_to_num(evidence(mechanism, seen, difference[touched])).sum(axis=1)
    return score


def statuses(releases: Published) -> Floats:
    """The status of every cell of every table, shape (releases, cells)."""
    return np.column_stack([values for (_, _, column), values in releases.columns.items() if column == "status"])


def binned(score: Floats, bins: int = 60) -> Floats:
    """A score in so many bins of about the same size."""
    return np.searchsorted(np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1]), score).astype(np.float64)


def learned(truth: Flags, *features: Floats) -> Success:
    """An attacker who has seen half of the releases with their truth, and guesses the others by what was more common
    where everything looked the same; features are (releases,) or (releases, columns)."""
    table = np.column_stack([np.nan_to_num(each, nan=-1e9) for each in features])
    codes = np.unique(table, axis=0, return_inverse=True)[1].reshape(-1)
    half = truth.size // 2
    balance = np.bincount(codes[:half], np.where(truth[:half], 1.0, -1.0), int(codes.max()) + 1)
    return judged(balance[codes[half:]] > 0, truth[half:])


def repeated(attack: Callable[[int], Success], trials: int, batch: int = 100_000) -> Success:
    """One attack over more releases than fit into memory at once."""
    found = [attack(min(batch, trials - done)) for done in range(0, trials, batch)]
    return Success(sum(each.right for each in found), sum(each.trials for each in found))
