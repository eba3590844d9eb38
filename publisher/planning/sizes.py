"""How much the cells of a table hold, from a guess, from what was published, or from a charged measurement: never from
records."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, prod
from statistics import NormalDist
from typing import TYPE_CHECKING

from publisher.errors import DefinitionError
from publisher.planning.advice import KEEP
from publisher.planning.expected import Cells, Known
from publisher.planning.guess import DAYS, USUAL
from publisher.planning.total_error import measured_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.definitions.dataset import Measure
    from publisher.definitions.levels import Level
    from publisher.definitions.period import Grain
    from publisher.pipeline.tuning import Tuned
    from publisher.planning.guess import Guesses, SizeGuess
    from publisher.stages import Floats
    from publisher.workspace import DatasetFile

QUANTILES = 99
"""How many cells stand for all of a table whose cells are not known one by one."""


@dataclass(frozen=True)
class MeasureSize:
    """How much there is of one measure on an average day, by where it is known from."""

    a_day: float
    spread: float
    origin: str
    published: bool = False
    """Whether it was published."""
    used: tuple[str, float] | None = None
    """A key column, and the share of its keys that have any, if that was said."""


@dataclass(frozen=True)
class Sizes:
    """What is known of the measures, and of the cells of tables that were published."""

    measures: Mapping[str, MeasureSize]
    published: Mapping[tuple[frozenset[str], Grain, str], Cells]
    """By keys, time step and measure."""

    def cells(self, level: Level, measure: Measure) -> Cells | None:
        """What the cells of a table hold; None if nothing is known."""
        import numpy as np

        known, size, grain = self._seen(level, measure), self.measures.get(measure.name), level.grid.periods[0].grain
        if known is not None:
            return known
        if size is None:
            return None
        alone = level.grid.size == len(level.grid.periods)
        used = size.used[1] if size.used is not None and size.used[0] in [each.name for each in level.grid.axes] else 1
        average = size.a_day * DAYS[grain] * len(level.grid.periods) / level.grid.size / used
        values = np.array([average]) if alone else average * _spread(size.spread)
        return Cells(values, 0.0, np.zeros(len(values), dtype=np.bool_))

    def assumed(self, level: Level, measure: Measure) -> bool:
        """Whether no one has said how its cells differ from each other."""
        size = self.measures.get(measure.name)
        return bool(level.grid.axes) and size is not None and size.spread == USUAL and not self._seen(level, measure)

    def _seen(self, level: Level, measure: Measure) -> Cells | None:
        """The cells as they were published, unless a guess says otherwise."""
        size, grain = self.measures.get(measure.name), level.grid.periods[0].grain
        keys = frozenset(axis.name for axis in level.grid.axes)
        return self.published.get((keys, grain, measure.name)) if size is None or size.published else None

    def known(self, levels: Sequence[Level], measures: Sequence[Measure]) -> Known:
        """The same for all tables, as `publisher plan` takes it."""
        found = {(level.name, each.name): self.cells(level, each) for level in levels for each in measures}
        origins = dict.fromkeys(each.origin for each in self.measures.values())
        return Known({table: cells for table, cells in found.items() if cells is not None}, " and ".join(origins))


def _spread(deviation: float) -> Floats:
    """Cells whose logarithms are spread evenly about their middle with that deviation; their average is about 1."""
    import numpy as np

    normal = NormalDist()
    middles = [exp(deviation * normal.inv_cdf((n + 0.5) / QUANTILES)) for n in range(QUANTILES)]
    return np.array(middles) / (sum(middles) / QUANTILES)


def sizes_of(
    dataset: DatasetFile, wanted: DatasetFile, guesses: Guesses, released: Known, tuned: Tuned | None
) -> Sizes:
    """What is known, measure by measure: a guess first, then what was published, then what was measured.

    `released` and `tuned` are of the dataset as it is defined now, guesses about the keys of both. Raises
    DefinitionError for a guess that its keys contradict.
    """
    counts = {**dataset.key_counts, **wanted.key_counts}
    published = _published(dataset, released)
    found: dict[str, MeasureSize] = {}
    for measure in dataset.definition.measured:
        guess = guesses.size(measure.name)
        size = _guessed(counts, guess) if guess is not None else _released(dataset, released, measure)
        size = size or _tuned(dataset, tuned, measure)
        if size is not None:
            found[measure.name] = size
    return Sizes(found, published)


def _guessed(counts: Mapping[str, int], guess: SizeGuess) -> MeasureSize:
    used = None
    if guess.cells is not None:
        key, cells = guess.cells
        if not 0 < cells <= counts.get(key, cells):
            raise DefinitionError(f"--guess: {cells:,} of {key}? Its keyset has {counts[key]:,} keys")
        used = (key, cells / counts.get(key, cells))
    each = prod(counts.get(key, 1) for key in guess.each)
    return MeasureSize(guess.amount * each / DAYS[guess.grain], guess.spread, "as guessed", used=used)


def _released(dataset: DatasetFile, released: Known, measure: Measure) -> MeasureSize | None:
    cells = released.cells.get(("", measure.name))
    if cells is None:
        return None
    total = float(cells.values.sum()) / DAYS[dataset.definition.period]
    return MeasureSize(total, USUAL, released.origin, published=True) if total > 0 else None


def _tuned(dataset: DatasetFile, tuned: Tuned | None, measure: Measure) -> MeasureSize | None:
    if tuned is None:
        return None
    size = measured_errors(dataset, tuned.found, KEEP).size(measure)
    if size is None or size <= 0:
        return None
    origin = f"as measured on {tuned.found.period} with noise"
    return MeasureSize(size / DAYS[dataset.definition.period], USUAL, origin)


def _published(dataset: DatasetFile, released: Known) -> dict[tuple[frozenset[str], Grain, str], Cells]:
    definition = dataset.definition
    keys = {
        rollup.name: (frozenset(rollup.keys), rollup.grain or definition.cell_grain) for rollup in definition.rollups
    }
    keys[""] = (frozenset(key.name for key in definition.keys), definition.cell_grain)
    return {(*keys[level], measure): cells for (level, measure), cells in released.cells.items() if level in keys}
