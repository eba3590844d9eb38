"""What `publisher tune` says: the noisy histograms, the bounds that they propose, and what others would do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from publisher.commands.measurement import loss_words
from publisher.privacy.tuning import candidates, proposal, spread_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.commands.measurement import Measurement
    from publisher.commands.tuning import Measured
    from publisher.definitions.dataset import Measure
    from publisher.privacy.tuning import Candidate, NoisyHistogram, Proposal

_WORDS = {
    "cells": "cells in which a unit lies",
    "records": "records of a unit in its fullest cell",
    "total": "largest total of a unit in one cell",
}


@dataclass(frozen=True)
class Advice:
    """A result with what it proposes; all of it is noisy, and free to be looked at again."""

    asked: Measurement
    found: Measured
    proposal: Proposal

    def candidates(self) -> Iterator[tuple[Measure, list[Candidate]]]:
        """The trade-off of each measured table that the result says something about."""
        definition = self.asked.dataset.definition
        shares = len(definition.measured) + 1 if self.asked.new else None
        measures = self.asked.sums if self.asked.new else definition.measured
        asked = {each.measure for each in self.asked.questions}
        for measure in measures:
            if "" in asked or measure.name in asked:
                yield measure, list(candidates(self.proposal, definition, measure, shares=shares))

    def toml(self) -> list[str]:
        """The lines to paste into the dataset's file."""
        bounds = {"max_groups": self.proposal.max_groups, "max_per_group": self.proposal.max_per_group}
        lines = [f"{name} = {bound}" for name, bound in bounds.items() if bound is not None]
        lines = ["[bounds]", *lines] if lines else []
        for measure in self.asked.sums:
            clamps = self.proposal.clamps(measure.name)
            if clamps is not None:
                low, high = (_plain(clamp, measure) for clamp in clamps)
                lines += [f"# of the measure {measure.name}", f"lower = {low}", f"upper = {high}"]
                lines += [f"resolution = {measure.resolution:f}"] if self.asked.new else []
        return lines

    def notes(self) -> list[str]:
        """What a person should know beside the numbers."""
        notes = ["Measured on generated records: real ones will differ."] if self.found.stand_in else []
        notes += [_note(each, self._resolution(each)) for each in self.found.histograms]
        return [*notes, "All of this is noisy and was charged: it may be shown to anyone."]

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        found = self.found.model_dump(exclude={"format", "ledger", "histograms"})
        totals = {measure.name: self.proposal.clamps(measure.name) for measure in self.asked.sums}
        return found | {
            "histograms": [
                {"quantity": each.quantity, "measure": each.measure or None, "margin": each.margin, "bins": bins}
                for each in self.found.histograms
                for bins in [[{"bin": name, "units": count} for name, count in _bins(each, self._resolution(each))]]
            ],
            "proposal": {
                "keep": self.proposal.keep,
                "max_groups": self.proposal.max_groups,
                "max_per_group": self.proposal.max_per_group,
                "clamps": {
                    measure.name: [_plain(clamp, measure) for clamp in clamps]
                    for measure in self.asked.sums
                    if (clamps := totals[measure.name]) is not None
                },
            },
            "candidates": [asdict(row) | {"even": row.even} for _, rows in self.candidates() for row in rows],
            "toml": self.toml(),
            "notes": self.notes(),
        }

    def present(self) -> None:
        """Tables for people."""
        import click

        from publisher.terminal import print_table

        words = loss_words(self.found.currency, Fraction(self.found.loss))
        click.echo(f"{self.found.dataset} {self.found.period}: {words} on each of {len(self.found.blocks)} block(s)")
        for each in self.found.histograms:
            title = _WORDS[each.quantity] + (f": {each.measure}" if each.measure else "")
            if rows := _sketch(each, self._resolution(each)):
                print_table(title, ("from … to", f"units, ±{each.margin:,}", ""), rows)
        for measure, choices in self.candidates():
            print_table(f"{measure.name}, in {measure.unit}", *_trade_off(measure, choices))
        for line in (*self.toml(), *self.notes()):
            click.echo(line)

    def _resolution(self, histogram: NoisyHistogram) -> Fraction:
        found = next((each for each in self.asked.sums if each.name == histogram.measure), None)
        return Fraction(found.resolution or 1) if found else Fraction(1)


def advice(asked: Measurement, found: Measured, keep: float) -> Advice:
    """What the result proposes so that the share `keep` of units loses nothing to a bound."""
    return Advice(asked, found, proposal(found.histograms, keep))


def _bins(histogram: NoisyHistogram, resolution: Fraction) -> list[tuple[str, int]]:
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


def _sketch(histogram: NoisyHistogram, resolution: Fraction) -> list[tuple[str, int, str]]:
    """The bins up to the last that is more than noise, with a bar each; those below zero where there are any."""
    spread, size = spread_of(histogram), len(histogram.tops) + 1
    used = len(spread.counts) if spread else 0
    bins = _bins(histogram, resolution)
    rows = bins[:used] + (bins[size : size + used] if spread and spread.negatives else [])
    most = max((count for _, count in rows), default=1)
    return [(name, count, "█" * round(30 * max(count, 0) / max(most, 1))) for name, count in rows]


def _trade_off(measure: Measure, rows: list[Candidate]) -> tuple[list[str], list[list[object]]]:
    """Headings and rows; a count of units has no second bound."""
    bounded = ["upper" if measure.kind == "sum" else "max_per_group", "units within"]
    if measure.kind == "count_units":
        bounded = []
    headings = [
        "max_groups",
        "units within",
        *bounded,
        "too small by",
        "noise in a cell",
        "bias outweighs noise above",
        "",
    ]
    return headings, [_row(row, measure, bounded=bool(bounded)) for row in rows]


def _row(row: Candidate, measure: Measure, *, bounded: bool) -> list[object]:
    amount: list[object] = []
    if bounded and row.amount is not None:
        shown = _plain(row.amount, measure) if measure.kind == "sum" else row.amount
        amount = [shown, _percent(row.within_amount)]
    bias = " … ".join(dict.fromkeys(map(_percent, row.bias or ())))
    even = f"{row.even:,.0f}" if row.even is not None else ""
    marks = ", ".join(["proposed"] * row.proposed + ["now"] * row.current)
    return [row.max_groups, _percent(row.within_groups), *amount, bias, f"{row.noise:,.4g}", even, marks]


def _note(histogram: NoisyHistogram, resolution: Fraction) -> str:
    """What the noise does not show of a histogram."""
    spread = spread_of(histogram)
    what = _WORDS[histogram.quantity] + (f" ({histogram.measure})" if histogram.measure else "")
    if spread is None:
        return f"{what}: the noise hides every unit: spend more, or take a period with more of them."
    if spread.most is None:
        return f"{what}: some lie above the last bin: the bound proposed may keep less than was asked for."
    hidden = spread.hidden / spread.units
    return f"{what}: above {_shown(spread.most * resolution)} the noise may hide {_percent(hidden)} of the units."


def _percent(share: float | None) -> str:
    return f"{share:.1%}" if share is not None else ""


def _plain(steps: int, measure: Measure) -> str:
    return f"{Decimal(steps) * (measure.resolution or 1):f}"


def _shown(number: Fraction) -> str:
    return f"{int(number):,}" if number.denominator == 1 else f"{float(number):,}"
