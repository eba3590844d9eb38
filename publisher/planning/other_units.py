"""What another privacy unit or a shorter window would do to the error, said in a sentence each."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from publisher.definitions import period as civil

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.definitions.period import Period
    from publisher.planning.total_error import MeasuredErrors
    from publisher.workspace import DatasetFile

BETTER = 0.5
"""A record unit is named if it leaves at most this part of the error."""


def other_units(errors: MeasuredErrors) -> Iterator[str]:
    """The sentences that apply."""
    yield from shorter_window(errors.dataset, errors.release)
    yield from _records(errors)


def shorter_window(dataset: DatasetFile, release: Period) -> Iterator[str]:
    """That a window is longer than a release needs."""
    definition, window = dataset.definition, dataset.source.definition.privacy.window
    grain = definition.period
    if window == "lifetime":
        yield (
            "The window is all time, so all releases share one budget. With a year as the window, each year would have "
            "its own; that protects what someone does in one year, not in all of them together."
        )
    elif window != grain and grain in civil.NESTS[window]:
        several = len(release.cut(window)[0].cut(grain))
        times = sqrt(several) if definition.loss.currency == "zcdp" else several
        yield (
            f"The window is a {window}, so {several} releases of a {grain} share its budget. With a {grain} as the "
            f"window, each could spend {several} times as much, and noise would be {1 / times:.0%} of what it is; that "
            f"protects what someone does in one {grain}, not in a whole {window}."
        )


def _records(errors: MeasuredErrors) -> Iterator[str]:
    """That single records as units would make counts much better."""
    definition, unit = errors.dataset.definition, errors.dataset.source.definition.privacy.unit
    bounds = definition.bounds
    best = errors.least
    for measure in definition.measured if unit != "record" else ():
        if measure.kind != "count":
            continue
        groups, each = (best.max_groups, best.max_per_group) if best is not None else (None, None)
        now = errors.total(measure, groups or bounds.max_groups, each or bounds.max_per_group)
        alone = errors.noise(measure, 1, 1)
        if now is not None and alone is not None and alone <= BETTER * now:
            yield (
                f"With single records as the unit, nothing of {measure.title} would be cut, and the error would "
                f"be {_percent(alone)} instead of {_percent(now)} at best; that protects one record at a time, not "
                f"everything of one {unit}."
            )
            return


def _percent(part: float) -> str:
    return f"{100 * part:.0f}%" if part >= 0.01 else "less than 1%"
