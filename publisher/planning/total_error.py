"""What bounds cut off and the noise that they need, together: the total error by which bounds are chosen.

Everything follows from a charged, noisy measurement (`publisher tune`), the definition and the public keys. Shares are
of an average cell of each published table, and the noise is the root mean square over these tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from math import ceil, inf, sqrt
from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.planning.expected import TWO_SIDED
from publisher.planning.forecast import CONFIDENCE, noise_of
from publisher.privacy.margins import expected_half_widths
from publisher.privacy.tuning import Least, bias_of, proposal, together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.dataset import Dataset, Measure
    from publisher.definitions.levels import Level
    from publisher.definitions.period import Period
    from publisher.pipeline.tuning import TuneResult
    from publisher.privacy.tuning import Proposal, Spread
    from publisher.workspace import DatasetFile

UNIT = 1000
"""Noise is computed for bounds of this many steps and divided by it, so that whole steps do not round small noise."""

MOST_GROUPS = 12
"""How many choices of `max_groups` are tried at most, the smallest first."""


@dataclass(frozen=True)
class MeasuredErrors:
    """The parts of the total error of a dataset, from what was measured of its units."""

    dataset: DatasetFile
    proposal: Proposal
    release: Period
    """The period whose cells represent all."""
    windows: int
    """How many windows were measured."""
    releases: int
    """How many releases one window covers among those that were measured."""

    def size(self, measure: Measure) -> float | None:
        """About how much one release has in all; None if that was not measured."""
        cells, amount = self.proposal.cells, self._amounts(measure)
        if measure.kind != "count_units" and amount is None:
            return None
        spread = amount or cells
        if spread is None or (cells is None and self.dataset.source.definition.privacy.unit != "record"):
            return None
        window = self.dataset.source.definition.privacy.window
        inside = len(self.release.cut(window)) if window in civil.NESTS[self.release.grain] else 1
        each = (cells.mean if cells is not None else 1.0) * (amount.mean if amount is not None else 1.0)
        return spread.units / self.windows * inside / self.releases * each * float(measure.resolution or 1)

    def noise(self, measure: Measure, groups: int, amount: int | None) -> float | None:
        """The noise as a share of an average cell; None if the size of cells is not known."""
        size = self.size(measure)
        if size is None or size <= 0 or self.dataset.definition.discovered is not None:
            return None
        parts = [width * level.grid.size * measure.width / size for level, width in self._widths(measure, groups)]
        return sqrt(sum(part**2 for part in parts) / len(parts)) * (amount if amount is not None else 1)

    def total(self, measure: Measure, groups: int, amount: int | None) -> float | None:
        """Both parts together."""
        bias = bias_of(self.proposal, measure, groups, amount)
        return together(bias, self.noise(measure, groups, amount))

    @cached_property
    def least(self) -> Least | None:
        """The bounds with the smallest sum of squared total errors; None if no total error is known."""
        found = [(cost, choice) for groups in self._groups() for cost, choice in [self._best(groups)]]
        cost, choice = min(found, key=lambda each: each[0])
        return choice if cost < inf else None

    def _groups(self) -> list[int]:
        cells = self.proposal.cells
        return choices_of(cells)[:MOST_GROUPS] if cells is not None else [self.dataset.definition.bounds.max_groups]

    def _best(self, groups: int) -> tuple[float, Least]:
        """The best other bounds for that many cells, and the sum of squares that they leave."""
        measures = self.dataset.definition.measured
        counts = [each for each in measures if each.kind in ("count", "histogram")]
        cost, known = 0.0, False
        uppers: dict[str, int] = {}
        each, part = self._least_of(counts, groups, self.proposal.records)
        for measure in measures:
            if measure.kind == "sum":
                upper, squares = self._least_of([measure], groups, self.proposal.totals.get(measure.name))
                uppers |= {measure.name: upper} if upper is not None else {}
            elif measure.kind == "count_units":
                total = self.total(measure, groups, None)
                squares = total**2 if total is not None else None
            else:
                continue
            cost, known = cost + (squares or 0.0), known or squares is not None
        cost, known = cost + (part or 0.0), known or part is not None
        return cost if known else inf, Least(groups if self.proposal.cells is not None else None, each, uppers)

    def _least_of(
        self, measures: Sequence[Measure], groups: int, spread: Spread | None
    ) -> tuple[int | None, float | None]:
        """The bound that these measures share with the smallest sum of squares, and that sum."""
        if spread is None or not measures:
            return None, None
        found = []
        for amount in choices_of(spread):
            totals = [self.total(each, groups, amount) for each in measures]
            known = [each for each in totals if each is not None]
            if known:
                found.append((sum(each**2 for each in known), amount))
        return min(found)[::-1] if found else (None, None)

    def _widths(self, measure: Measure, groups: int) -> list[tuple[Level, float]]:
        """The standard deviation in the middle cell of each published table, for a bound of one step within cells."""
        known = self._found.get((measure.name, groups))
        if known is None:
            known = self._found[measure.name, groups] = self._measured(measure, groups)
        return known

    @cached_property
    def _found(self) -> dict[tuple[str, int], list[tuple[Level, float]]]:
        return {}

    @cached_property
    def _levels(self) -> tuple[Level, ...]:
        return self.dataset.levels(self.release)

    def _measured(self, measure: Measure, groups: int) -> list[tuple[Level, float]]:
        import numpy as np

        definition, steps = _scaled(self.dataset.definition, groups), _stepped(measure)
        noise = [noise_of(definition, steps, level.name) for level in self._levels]
        widths = expected_half_widths(self._levels, noise, definition, steps, CONFIDENCE)
        step = float(measure.resolution or 1) / (1 if measure.kind == "count_units" else UNIT) / TWO_SIDED
        shown = [level for level in self._levels if definition.shows(level.name)]
        return [(level, float(np.median(widths[level.name])) * step) for level in shown]

    def _amounts(self, measure: Measure) -> Spread | None:
        if measure.kind == "count_units":
            return None
        return self.proposal.totals.get(measure.name) if measure.kind == "sum" else self.proposal.records


def measured_errors(dataset: DatasetFile, found: TuneResult, keep: float) -> MeasuredErrors:
    """The parts of the total error that a measurement knows, for a dataset with the keys that were measured."""
    period = civil.parse(found.period)
    release = period.cut(dataset.definition.period)[0]
    windows = period.cut(dataset.source.definition.privacy.window)
    releases = len(period.cut(dataset.definition.period)) / len(windows)
    return MeasuredErrors(dataset, proposal(found.histograms, keep), release, len(windows), max(ceil(releases), 1))


def choices_of(spread: Spread) -> list[int]:
    """The bounds that are worth trying: where bins in use end."""
    return [top for top in spread.tops[: len(spread.counts)] if top > 0] or [spread.tops[-1]]


def _scaled(definition: Dataset, groups: int) -> Dataset:
    bounds = definition.bounds.model_copy(update={"max_groups": groups, "max_per_group": UNIT})
    return definition.model_copy(update={"bounds": bounds})


def _stepped(measure: Measure) -> Measure:
    """A sum clamped to that many steps; other measures are bounded by `max_per_group`."""
    if measure.kind != "sum":
        return measure
    return measure.model_copy(update={"lower": Decimal(0), "upper": UNIT * Decimal(measure.resolution or 1)})
