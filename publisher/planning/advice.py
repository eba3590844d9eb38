"""What `publisher tune` reports: noisy histograms, the bounds they suggest, and what other bounds would do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

from publisher.planning.other_units import other_units
from publisher.planning.total_error import measured_errors
from publisher.privacy.tuning import candidates, spread_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.definitions.dataset import Measure
    from publisher.pipeline.measurement import Measurement
    from publisher.pipeline.tuning import TuneResult
    from publisher.planning.total_error import MeasuredErrors
    from publisher.privacy.tuning import Candidate, NoisyHistogram, Proposal
    from publisher.workspace import DatasetFile

KEEP = 0.95
"""The share of units that bounds keep whole where no total error is known."""

QUANTITIES = {
    "cells": "number of cells that a unit is in",
    "records": "records of a unit in its fullest cell",
    "total": "largest total of a unit in one cell",
}


@dataclass(frozen=True)
class Advice:
    """A result and what it proposes. All of it is noisy, and looking at it again costs nothing."""

    asked: Measurement
    found: TuneResult
    proposal: Proposal
    errors: MeasuredErrors

    def candidates(self) -> Iterator[tuple[Measure, list[Candidate]]]:
        """The trade-off of each measured table that the result says something about."""
        definition = self.asked.dataset.definition
        shares = len(definition.measured) + 1 if self.asked.new else None
        measures = self.asked.sums if self.asked.new else definition.measured
        asked = {each.measure for each in self.asked.questions}
        for measure in measures:
            if "" in asked or measure.name in asked:
                noise = partial(self.errors.noise, measure)
                yield measure, list(candidates(self.proposal, definition, measure, shares=shares, noise_share=noise))

    def toml(self) -> list[str]:
        """The lines to paste into the dataset's file."""
        bounds = {"max_groups": self.proposal.max_groups, "max_per_group": self.proposal.max_per_group}
        lines = [f"{name} = {bound}" for name, bound in bounds.items() if bound is not None]
        lines = ["[bounds]", *lines] if lines else []
        for measure in self.asked.sums:
            clamps = self.proposal.clamps(measure.name)
            if clamps is not None:
                low, high = (plain(clamp, measure) for clamp in clamps)
                lines += [f"# for the measure {measure.name}", f"lower = {low}", f"upper = {high}"]
                lines += [f"resolution = {measure.resolution:f}"] if self.asked.new else []
        return lines

    def notes(self) -> list[str]:
        """What a person should know in addition to the numbers."""
        notes = ["Measured on generated records; real ones will differ."] if self.found.stand_in else []
        notes += [_note(each, self.resolution(each)) for each in self.found.histograms]
        notes += [self._rule(), *other_units(self.errors)]
        return [*notes, "All of this is noisy and was charged, so you may show it to anyone."]

    def _rule(self) -> str:
        """By what the bounds were proposed."""
        if self.proposal.least is None:
            return f"Proposed: what keeps {self.proposal.keep:.0%} of the units whole."
        return (
            "Proposed: the smallest total error in an average cell of the published tables, from what bounds cut (the "
            "middle of its range) and the noise."
        )

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        found = self.found.model_dump(exclude={"format", "ledger", "histograms"})
        totals = {measure.name: self.proposal.clamps(measure.name) for measure in self.asked.sums}
        return found | {
            "histograms": [
                {"quantity": each.quantity, "measure": each.measure or None, "margin": each.margin, "bins": bins}
                for each in self.found.histograms
                for bins in [[{"bin": name, "units": count} for name, count in bins_of(each, self.resolution(each))]]
            ],
            "proposal": {
                "by": "units kept" if self.proposal.least is None else "total error",
                "keep": self.proposal.keep if self.proposal.least is None else None,
                "max_groups": self.proposal.max_groups,
                "max_per_group": self.proposal.max_per_group,
                "clamps": {
                    measure.name: [plain(clamp, measure) for clamp in clamps]
                    for measure in self.asked.sums
                    if (clamps := totals[measure.name]) is not None
                },
            },
            "candidates": [
                asdict(row) | {"even": row.even, "total_error": row.total}
                for _, rows in self.candidates()
                for row in rows
            ],
            "toml": self.toml(),
            "notes": self.notes(),
        }

    def resolution(self, histogram: NoisyHistogram) -> Fraction:
        """The step in which its bins are measured."""
        found = next((each for each in self.asked.sums if each.name == histogram.measure), None)
        return Fraction(found.resolution or 1) if found else Fraction(1)


def advice(asked: Measurement, found: TuneResult, keep: float | None = None) -> Advice:
    """What the result proposes: the smallest total error, or what keeps the share `keep` of units whole."""
    errors = measured_errors(_asked_dataset(asked), found, KEEP if keep is None else keep)
    chosen = errors.proposal if keep is not None else replace(errors.proposal, least=errors.least)
    return Advice(asked, found, chosen, errors)


def _asked_dataset(asked: Measurement) -> DatasetFile:
    """The dataset with the sum that it may not have yet."""
    if not asked.new:
        return asked.dataset
    definition = asked.dataset.definition
    measures = (*definition.measures, *asked.sums)
    return replace(asked.dataset, definition=definition.model_copy(update={"measures": measures}))


def bins_of(histogram: NoisyHistogram, resolution: Fraction) -> list[tuple[str, int]]:
    """Every bin's name and noisy count."""
    first = 0 if histogram.quantity == "total" else 1
    lows = [first, *(top + 1 for top in histogram.tops)]
    names = [_span(low, top, resolution) for low, top in zip(lows, (*histogram.tops, None), strict=True)]
    below = [f"below zero: {name}" for name in names]
    return list(zip([*names, *below], histogram.counts, strict=False))


def _span(low: int, top: int | None, resolution: Fraction) -> str:
    if top is None:
        return f"from {_shown(low * resolution)} on"
    return _shown(low * resolution) if low == top else f"{_shown(low * resolution)} … {_shown(top * resolution)}"


def _note(histogram: NoisyHistogram, resolution: Fraction) -> str:
    """What the noise hides in a histogram."""
    spread = spread_of(histogram)
    what = QUANTITIES[histogram.quantity] + (f" ({histogram.measure})" if histogram.measure else "")
    if spread is None:
        return f"{what}: the noise hides every unit. Spend more, or use a period with more units."
    if spread.most is None:
        return (
            f"{what}: some units are above the last bin, so the proposed bound may keep fewer units than you asked for."
        )
    hidden = spread.hidden / spread.units
    return f"{what}: above {_shown(spread.most * resolution)} the noise may hide {percent(hidden)} of the units."


def percent(share: float | None) -> str:
    """A share for people; empty if there is none."""
    return f"{share:.1%}" if share is not None else ""


def plain(steps: int, measure: Measure) -> str:
    """A number of steps in the unit of the measure."""
    return f"{Decimal(steps) * (measure.resolution or 1):f}"


def _shown(number: Fraction) -> str:
    return f"{int(number):,}" if number.denominator == 1 else f"{float(number):,}"
