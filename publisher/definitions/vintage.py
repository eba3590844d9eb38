"""Vintages: the scheduled editions of a period, each with the day before which a record must have been received."""

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


@dataclass(frozen=True)
class Vintage:
    """One of the editions for which a period is scheduled, by its number from 1 on."""

    number: int
    cutoffs: tuple[date, ...]
    """Of every edition, rising: a record counts from the first whose cutoff lies after the day of its first receipt."""

    @property
    def cutoff(self) -> date:
        """It is due from this day on, and reads what was received before it."""
        return self.cutoffs[self.number - 1]

    @property
    def final(self) -> bool:
        """Whether no other edition is scheduled after it."""
        return self.number == len(self.cutoffs)


def vintages_of(late: Late, period: Period) -> tuple[Vintage, ...]:
    """All editions that the policy schedules for the period, in order. None of it hangs on a record or a clock."""
    cutoffs = tuple(period.end + timedelta(days=days) for days in late.after_days)
    return tuple(Vintage(number, cutoffs) for number in range(1, len(cutoffs) + 1))


def due_vintages(late: Late | None, period: Period, today: date) -> tuple[Vintage | None, ...]:
    """The editions that are to be drawn by that day, in order; the one None where there is no policy.

    Where each counts everything again, only the latest: those before it would spend and be superseded at once.
    """
    if late is None:
        return (None,)
    due = tuple(vintage for vintage in vintages_of(late, period) if vintage.cutoff <= today)
    return due[-1:] if late.policy == "charge" else due


def check_editions(dataset: Dataset, source: Source, origin: Origin) -> None:
    """Raises DefinitionError where the dataset does not go with its source's policy for late records."""
    if source.late is None:
        return
    first = civil.parse(dataset.first)
    last = vintages_of(source.late, first)[-1].cutoff
    months = (last.year - first.start.year) * 12 + last.month - first.start.month + 1
    if months > source.retention_months:
        raise origin.error(
            ("source",),
            f"the last edition of a {dataset.period} reads records of {months} months, and its source keeps them for "
            f"{source.retention_months}: lengthen retention_months or shorten late.after_days",
        )
    addresses = any(place.address is not None for place in source.places.values())
    if source.late.policy == "increment" and source.privacy.unit != "record" and addresses:
        raise origin.error(
            ("source",),
            "locates people by a list of addresses, which may grow between editions that add up (late.policy is "
            "increment): their records would move to other cells; choose another policy",
        )
