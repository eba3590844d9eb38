"""Vintages: the scheduled editions of a period. Each counts records received before its cutoff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from publisher.definitions import period as civil

if TYPE_CHECKING:
    from datetime import date

    from publisher.definitions.dataset import Dataset
    from publisher.definitions.period import Period
    from publisher.definitions.source import Late, Source
    from publisher.definitions.toml import Origin

AHEAD = timedelta(days=3 * 366)
"""How far ahead the next edition is looked for: longer than any period."""


@dataclass(frozen=True)
class Vintage:
    """One scheduled edition of a period, numbered from 1."""

    number: int
    cutoffs: tuple[date, ...]
    """One per edition, rising: a record counts from the first whose cutoff is after the day of its first receipt."""

    @property
    def cutoff(self) -> date:
        """The day from which it is due; it reads what was received before."""
        return self.cutoffs[self.number - 1]

    @property
    def final(self) -> bool:
        """Whether no other edition is scheduled after it."""
        return self.number == len(self.cutoffs)


def vintages_of(late: Late, period: Period) -> tuple[Vintage, ...]:
    """All editions that the policy schedules for the period, in order. Independent of records and clock."""
    cutoffs = tuple(period.end + timedelta(days=days) for days in late.after_days)
    return tuple(Vintage(number, cutoffs) for number in range(1, len(cutoffs) + 1))


def due_vintages(late: Late | None, period: Period, today: date) -> tuple[Vintage | None, ...]:
    """The editions to draw by that day, in order; a single None if there is no policy.

    If each edition counts everything again, only the latest: earlier ones would spend and be superseded at once.
    """
    if late is None:
        return (None,)
    due = tuple(vintage for vintage in vintages_of(late, period) if vintage.cutoff <= today)
    return due[-1:] if late.policy == "charge" else due


def next_due(dataset: Dataset, late: Late | None, today: date) -> date | None:
    """The first day after today from which an edition of the dataset is due; None if no other is scheduled."""
    until = max(today, civil.parse(dataset.first).end) + AHEAD
    days = (
        day
        for period in dataset.periods_until(until)
        for day in ([each.cutoff for each in vintages_of(late, period)] if late is not None else [period.end])
    )
    return min((day for day in days if day > today), default=None)


def check_editions(dataset: Dataset, source: Source, origin: Origin) -> None:
    """Raises DefinitionError when the dataset does not fit its source's policy for late records."""
    if source.late is None:
        return
    first = civil.parse(dataset.first)
    last = vintages_of(source.late, first)[-1].cutoff
    months = (last.year - first.start.year) * 12 + last.month - first.start.month + 1
    if months > source.retention_months:
        raise origin.error(
            ("source",),
            f"the last edition of a {dataset.period} reads records of {months} months, but its source keeps them for "
            f"only {source.retention_months}: increase retention_months or shorten late.after_days",
        )
    addresses = any(place.address is not None for place in source.places.values())
    if source.late.policy == "increment" and source.privacy.unit != "record" and addresses:
        raise origin.error(
            ("source",),
            "the source locates people by a list of addresses, which may grow between editions that add up "
            "(late.policy is increment), so their records would move to other cells: choose another policy",
        )
