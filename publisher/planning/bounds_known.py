"""What bounds cut of the numbers of a plan, as far as it was measured, and what would do better, in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions.dataset import WIDER
from publisher.planning.advice import KEEP, plain
from publisher.planning.forecast import CONFIDENCE, noise_of
from publisher.planning.other_units import other_units, shorter_window
from publisher.planning.total_error import measured_errors
from publisher.privacy.charge import decimal
from publisher.privacy.margins import half_width
from publisher.privacy.tuning import bias_of, bound_of, counted_share, together
from publisher.release.bounds import bounds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.definitions.dataset import Measure
    from publisher.definitions.period import Period
    from publisher.pipeline.tuning import Tuned
    from publisher.planning.total_error import MeasuredErrors
    from publisher.workspace import DatasetFile


def bounds_known(dataset: DatasetFile, tuned: Tuned | None, release: Period) -> Iterator[str]:
    """What the bounds cut, with the noise, and the bounds that would do better; nothing where nothing is cut."""
    cut = [each for each in dataset.definition.measured if each.shown and bounds_of(dataset, each) is not None]
    if not cut:
        return
    yield from coverage_words(dataset)
    if tuned is None and dataset.definition.covered:
        return
    if tuned is None:
        yield f"How much the bounds cut is not known: `publisher tune {dataset.source.name}` measures it, for a charge."
        yield from shorter_window(dataset, release)
        return
    errors = measured_errors(dataset, tuned.found, KEEP)
    for measure in cut:
        yield from _of_measure(errors, measure, tuned.found.period, tuned.at)
    yield from _least(errors)
    yield from other_units(errors)


@dataclass(frozen=True)
class ErrorShares:
    """What bounds cut and what noise adds, as shares of an average cell; None where that is not known. Part of
    `publisher plan --json`."""

    bounds_cut_least: float | None = None
    bounds_cut_most: float | None = None
    noise_in_average_cell: float | None = None
    total_error: float | None = None
    bounds_measured: str | None = None
    """The period that was measured."""


def error_shares(dataset: DatasetFile, tuned: Tuned | None, measure: Measure) -> ErrorShares:
    """Of one measure, by the newest measurement."""
    if tuned is None:
        return ErrorShares()
    return _shares(measured_errors(dataset, tuned.found, KEEP), measure, tuned.found.period)


def _shares(errors: MeasuredErrors, measure: Measure, period: str) -> ErrorShares:
    bounds = errors.dataset.definition.bounds
    amount = bound_of(errors.dataset.definition, measure)
    bias = bias_of(errors.proposal, measure, bounds.max_groups, amount)
    noise = errors.noise(measure, bounds.max_groups, amount)
    low, high = bias if bias is not None else (None, None)
    return ErrorShares(low, high, noise, together(bias, noise), period)


def _of_measure(errors: MeasuredErrors, measure: Measure, period: str, day: str) -> Iterator[str]:
    found = _shares(errors, measure, period)
    if found.bounds_cut_least is None or found.bounds_cut_most is None or found.total_error is None:
        return
    low, high = (f"{100 * each:.0f}%" for each in (found.bounds_cut_least, found.bounds_cut_most))
    between = low if low == high else f"{low} to {high}"
    apart = counted_share(errors.proposal, errors.dataset.definition, measure) is None
    more = ", more if those in many cells also have much in each" if apart else ""
    yield (
        f"{measure.title}: bounds cut about {between}{more} (measured on {period}, {day}). With noise of "
        f"{found.noise_in_average_cell:.0%} in an average cell, the total error is {found.total_error:.0%}."
    )


@dataclass(frozen=True)
class CoveragePlanned:
    """What measuring the share that counts will cost, and how sure it will be. Part of `publisher plan --json`."""

    coverage_loss: str | None = None
    coverage_half_width: float | None = None
    """The 95% half width of the noise in the total within wider bounds, in the measure's unit."""


def coverage_planned(dataset: DatasetFile, measure: Measure) -> CoveragePlanned:
    """Of one measure; None where it is not measured."""
    if measure not in dataset.definition.covered:
        return CoveragePlanned()
    noise = noise_of(dataset.definition, measure, WIDER)
    width = half_width(noise, CONFIDENCE) * float(measure.resolution or 1)
    return CoveragePlanned(str(dataset.definition.loss_of(measure, WIDER)), width)


def coverage_words(dataset: DatasetFile) -> Iterator[str]:
    """A sentence for each measure whose share that counts is measured with every release."""
    currency = {"zcdp": "ρ", "pure": "ε"}[dataset.definition.loss.currency]
    for measure in dataset.definition.covered:
        loss, width = dataset.definition.loss_of(measure, WIDER), coverage_planned(dataset, measure).coverage_half_width
        yield (
            f"{measure.title}: {currency} {decimal(loss)} of each release measures how much the bounds let count, from "
            f"a total within wider bounds that is ± {width:,.6g} {measure.unit} (95%)."
        )


def _least(errors: MeasuredErrors) -> Iterator[str]:
    """The bounds with the smallest total error, if they are others."""
    least, definition = errors.least, errors.dataset.definition
    if least is None:
        return
    sums = {each.name: each for each in definition.measured if each.kind == "sum"}
    wanted = {"max_groups": least.max_groups, "max_per_group": least.max_per_group}
    now = {"max_groups": definition.bounds.max_groups, "max_per_group": definition.bounds.max_per_group}
    words = [f"{name} = {bound}" for name, bound in wanted.items() if bound not in (None, now[name])]
    for name, upper in least.uppers.items():
        if upper != max(map(abs, sums[name].clamps)):
            words.append(f"upper = {plain(upper, sums[name])} for {name}")
    if words:
        yield f"The total error would be smallest with {', '.join(words)}."
