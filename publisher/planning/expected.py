"""What share of a table's cells will be shown, marked or suppressed, estimated only from earlier releases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from publisher.grades import LIMITS
from publisher.release.table import read_published

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.definitions.dataset import Dataset, Measure, Suppression
    from publisher.definitions.levels import Level
    from publisher.release.manifest import Release
    from publisher.stages import Flags, Floats, Table

TWO_SIDED = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Cells:
    """What the cells of a table hold, as far as the public knows; one entry per cell, in the measure's unit.

    `deviation` is the standard deviation of the noise that is already in the values, None where they do not tell.
    Cells that were withheld (`withheld`) are spread evenly below the threshold, which is all that is known of them.
    """

    values: Floats
    deviation: float | None
    withheld: Flags


@dataclass(frozen=True)
class Known:
    """The cells of every published table, and where the knowledge comes from."""

    cells: Mapping[Table, Cells]
    origin: str


@dataclass(frozen=True)
class ExpectedShares:
    """Shares of a table's cells by grade; they add up to one."""

    ok: float
    caution: float
    unreliable: float
    suppressed: float


NOTHING = Known({}, "no release yet")


def known_from(release: Release, dataset: Dataset) -> Known:
    """Read the published tables of a release; tables that it does not have are unknown."""
    views = [release, *release.companions]
    shown = [measure for measure in dataset.measured if measure.shown]
    cells: dict[Table, Cells] = {}
    for view in views:
        columns = read_published(view).to_pandas()
        cells |= {(view.level, each.name): _cells(columns, each, dataset) for each in shown if each.name in columns}
    return Known(cells, f"as released for {release.manifest.period}")


def typical(values: Mapping[str, float], sizes: Mapping[str, int]) -> Known:
    """A person's guess of the value of one cell of the finest table, by measure. Coarser cells hold their sums.

    `sizes` is how many cells each level has.
    """
    import numpy as np

    cells = {
        (level, name): Cells(np.array([value * sizes[""] / size]), 0.0, np.array([False]))
        for name, value in values.items()
        for level, size in sizes.items()
    }
    return Known(cells, "as guessed")


def graded_from(margin: float) -> tuple[float, float]:
    """The least values that are `ok` and that are `caution`, if half their margin is `margin`."""
    ok, caution = LIMITS
    return 100 * margin / ok, 100 * margin / caution


def expected(
    level: Level, measure: Measure, dataset: Dataset, known: Known, margins: Mapping[Table, float]
) -> ExpectedShares | None:
    """The shares for one measure on one level; None if too little is known. `margins` are half widths (95%)."""
    kept = _kept(level, dataset, known, margins)
    cells = known.cells.get((level.name, measure.name))
    if kept is None or cells is None:
        return None
    margin = margins[level.name, measure.name]
    ok, usable = (_both(kept, _at_least(cells, least, margin), measure, dataset) for least in graded_from(margin))
    return ExpectedShares(ok, usable - ok, float(kept.mean()) - usable, float(1 - kept.mean()))


def _both(kept: Floats, sure: Floats, measure: Measure, dataset: Dataset) -> float:
    """The share of cells that are not suppressed and reach a value, by the chances of each."""
    import numpy as np

    same = measure.name == dataset.suppression.measure  # one noisy number decides both
    return float((np.minimum(kept, sure) if same else kept * sure).mean())


def _kept(level: Level, dataset: Dataset, known: Known, margins: Mapping[Table, float]) -> Floats | None:
    """The chance that each cell is not suppressed; None if too little is known."""
    chance: Floats | None = None
    for name, floor in _floors(level, dataset, margins).items():
        cells = known.cells.get((level.name, name))
        if cells is None:
            return None
        passes = _at_least(cells, floor, margins[level.name, name])
        chance = passes if chance is None else chance * passes
    return chance


def _floors(level: Level, dataset: Dataset, margins: Mapping[Table, float]) -> dict[str, float]:
    """What each measure must reach for a cell to be shown."""
    rule: Suppression = dataset.suppression
    floors = {rule.measure: float(rule.threshold)}
    if rule.customers is not None and rule.largest_share is not None:
        inside = min(dataset.bounds.max_groups, level.cells.size // level.grid.size)
        floors[rule.measure] = max(floors[rule.measure], rule.customers + margins[level.name, rule.measure])
        for each in dataset.measures:
            if each.kind == "sum":
                most = inside * each.clamps[1] * float(each.resolution or 1)
                floors[each.name] = most / float(rule.largest_share) + margins[level.name, each.name]
    return floors


def _at_least(cells: Cells, floor: float, margin: float) -> Floats:
    """The chance of each cell that its next noisy value reaches the floor.

    Published values hold noise already. A table with more noise looks like the published one with the difference
    added; one with less is taken to look like the published one, which shows a little too much spread.
    """
    import numpy as np

    variance = (margin / TWO_SIDED) ** 2
    more = variance - cells.deviation**2 if cells.deviation is not None else 0.0
    if more <= 0.01 * variance:
        return (cells.values >= floor).astype(np.float64)
    values, places = np.unique(cells.values, return_inverse=True)
    ahead = (values - floor) / math.sqrt(2 * more)
    chances = np.array([math.erfc(-each) / 2 for each in ahead.tolist()])
    found: Floats = chances[places]
    return found


def _cells(columns: Mapping[str, object], measure: Measure, dataset: Dataset) -> Cells:
    import numpy as np

    values, low, high = (np.asarray(columns[f"{measure.name}{end}"], dtype=np.float64) for end in ("", "_low", "_high"))
    blank = np.isnan(values)
    # Where the margin was not cut at zero it is the noise's own; the median is not moved by those that were widened.
    widths = ((high - low) / 2)[~blank & (low > 0)]
    # Published margins are whole steps, rounded inwards: by less than one.
    step = float(measure.resolution or 1)
    deviation = (float(np.median(widths)) + step) / TWO_SIDED if len(widths) else None
    filled = np.where(blank, _spread(blank, values, measure, dataset), values)
    return Cells(filled, deviation, blank)


def _spread(blank: Flags, values: Floats, measure: Measure, dataset: Dataset) -> Floats:
    """Values for cells that were withheld: evenly below the threshold for the count that it compares, else none."""
    import numpy as np

    if measure.name != dataset.suppression.measure or not blank.any():
        return np.zeros(len(blank))
    below = min([float(dataset.suppression.threshold), *values[~blank].tolist()])
    places = np.cumsum(blank, dtype=np.float64) - 0.5
    spread: Floats = places * (below / float(blank.sum()))
    return spread
