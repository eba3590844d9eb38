"""What bounds cut of the numbers of a plan, as far as it was measured, and what would do better, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.planning.advice import KEEP, plain
from publisher.planning.other_units import other_units, shorter_window
from publisher.planning.total_error import measured_errors
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
    if tuned is None:
        yield f"How much the bounds cut is not known: `publisher tune {dataset.source.name}` measures it, for a charge."
        yield from shorter_window(dataset, release)
        return
    errors = measured_errors(dataset, tuned.found, KEEP)
    for measure in cut:
        yield from _of_measure(errors, measure, f"{tuned.found.period}, {tuned.at}")
    yield from _least(errors)
    yield from other_units(errors)


def _of_measure(errors: MeasuredErrors, measure: Measure, when: str) -> Iterator[str]:
    bounds = errors.dataset.definition.bounds
    amount = bound_of(errors.dataset.definition, measure)
    bias = bias_of(errors.proposal, measure, bounds.max_groups, amount)
    noise = errors.noise(measure, bounds.max_groups, amount)
    total = together(bias, noise)
    if bias is None or noise is None or total is None:
        return
    low, high = (f"{100 * each:.0f}%" for each in bias)
    between = low if low == high else f"{low} to {high}"
    apart = counted_share(errors.proposal, errors.dataset.definition, measure) is None
    more = ", more if those in many cells also have much in each" if apart else ""
    yield (
        f"{measure.title}: bounds cut about {between}{more} (measured on {when}). With noise of {noise:.0%} in an "
        f"average cell, the total error is {total:.0%}."
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
