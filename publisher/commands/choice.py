"""The periods that `--period`, `--from`, `--to` and `--redraw` select; a selection without any is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.errors import DefinitionError
from publisher.run import PeriodSelection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.period import Period
    from publisher.workspace import DatasetFile


def selection(
    datasets: Sequence[DatasetFile], *, period: str | None, first: str | None, last: str | None, named: bool
) -> PeriodSelection:
    """The periods asked for (default: everything due). Raises DefinitionError when there is none.

    With `named`, every dataset must have one there; otherwise at least one dataset must.
    """
    if period is not None and (first is not None or last is not None):
        raise DefinitionError("--period cannot be used with --from and --to: use one or the other")
    whole = _parsed("--period", period)
    start, end = whole or _parsed("--from", first), whole or _parsed("--to", last)
    words = " ".join(f"{name} {text}" for name, text in _given(period, first, last))
    return _checked(datasets, start, end, words, named=named)


def redrawn(datasets: Sequence[DatasetFile], span: str | None, *, named: bool) -> PeriodSelection | None:
    """The periods that `--redraw` names: one, or all from the first to the last of `2023-01..2023-08`."""
    if span is None:
        return None
    first, dots, last = span.partition("..")
    start, end = _parsed("--redraw", first), _parsed("--redraw", last if dots else first)
    return _checked(datasets, start, end, f"--redraw {span}", named=named)


def _given(period: str | None, first: str | None, last: str | None) -> list[tuple[str, str]]:
    said = (("--period", period), ("--from", first), ("--to", last))
    return [(name, text) for name, text in said if text is not None]


def _parsed(option: str, text: str | None) -> Period | None:
    try:
        return civil.parse(text) if text is not None else None
    except ValueError as error:
        raise DefinitionError(f"{option}: {error}") from None


def _checked(
    datasets: Sequence[DatasetFile], start: Period | None, end: Period | None, words: str, *, named: bool
) -> PeriodSelection:
    found = PeriodSelection(start.start if start else None, end.end if end else None)
    if found.start is not None and found.end is not None and found.start >= found.end:
        raise DefinitionError(f"{words}: the end is before the start")
    without = [each for each in datasets if not found.periods(each)]
    if found != PeriodSelection() and without and (named or len(without) == len(datasets)):
        have = "; ".join(_has(each) for each in without)
        raise DefinitionError(f"{words}: this does not cover any whole period that can be released: {have}")
    return found


def _has(dataset: DatasetFile) -> str:
    """The periods that a dataset has, for people."""
    grain, periods, schedule = (
        dataset.definition.period,
        PeriodSelection().periods(dataset),
        dataset.definition.schedule,
    )
    kept = f" (schedule: {schedule.when})" if schedule is not None else ""
    if not periods:
        return f"no {grain} of {dataset.name} is due yet{kept}; its first is {dataset.definition.first}"
    more = f" so far{kept}" if dataset.definition.last != periods[-1].label else ""
    return f"{dataset.name} has the {grain}s {periods[0].label} to {periods[-1].label}{more}"
