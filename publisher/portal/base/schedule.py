"""The public schedule of a dataset, and what happened to each of its periods: fixed words and days, and nothing else.

None of it tells what records say, nor how many there are. What is due is known in advance, so a period turns late by
the calendar alone, also where no one publishes any more.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, field_validator

from publisher.portal.base.messages import message

PeriodState = Literal[
    "released", "not due yet", "late", "refused at landing", "under review", "held", "retracted", "not released"
]
PeriodReason = Literal[
    "", "late", "feed missing", "feed refused", "budget refuses", "under review", "taken back", "retention"
]

STATES: dict[PeriodState, str] = {
    "released": message("released"),
    "not due yet": message("not due yet"),
    "late": message("late"),
    "refused at landing": message("refused at landing"),
    "under review": message("under review"),
    "held": message("held"),
    "retracted": message("retracted"),
    "not released": message("not released"),
}
"""What people read of each state."""

MEANINGS: dict[PeriodState, str] = {
    "released": message("Its numbers are public."),
    "not due yet": message("Its day has not come, or is today."),
    "late": message("Its day is over, and it is not there."),
    "refused at landing": message("Its day is over. A file came that is not as it should be."),
    "under review": message("It is made, and people look at it before everyone can."),
    "held": message("It is made, and held back until people decide about it."),
    "retracted": message("It was public, and its publisher took it back."),
    "not released": message("It will not come any more: its records were deleted under the retention schedule."),
}
"""What each state means."""

REASONS: dict[PeriodReason, str] = {
    "late": message("it is not made yet"),
    "feed missing": message("no file has come for it"),
    "feed refused": message("the file for it was refused"),
    "budget refuses": message("the privacy budget does not allow it"),
    "under review": message("people are looking at it"),
    "taken back": message("its publisher took it back"),
    "retention": message("its records were deleted under the retention schedule"),
}
"""Everything that can be said of why a period is not there."""

_DAY = timedelta(days=1)


class PeriodFacts(BaseModel):
    """One period, as everyone may know it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    period: str
    """Such as 2026-10."""
    due: date
    """The day on which it was, or is, to come out; of several scheduled editions, that of the last one that was due."""
    state: PeriodState = "released"
    since: date | None = None
    """The day on which that state began; none of what is not due yet."""
    reason: PeriodReason = ""
    """Why it is not there."""
    edition: int = 1
    """The edition that is public; 0 if there is none."""
    next_edition: date | None = None
    """The day on which its next scheduled edition is to come out; none if there is no other."""
    scheduled: int = 1
    """Which of its scheduled editions this is about."""

    def on(self, today: date) -> PeriodFacts:
        """The same by the calendar of another day: what was not due is late once its day is over."""
        expected = {"not due yet": self.due, "released": self.next_edition}.get(self.state)
        if expected is None or expected >= today:
            return self
        number = self.scheduled + (self.state == "released")
        changed = {"state": "late", "due": expected, "since": expected + _DAY, "reason": "late", "scheduled": number}
        return self.model_copy(update=changed | {"next_edition": None})


class ScheduleFacts(BaseModel):
    """When the releases of a dataset come out, and what happened to each period that was due."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    dataset: str
    title: str
    when: str = ""
    """In the publisher's words; empty if each release is due as soon as its period has ended."""
    holidays: str = ""
    """Whose public holidays are kept, such as US-MO: a day on one of them moves to the next working day."""
    timezone: str = "UTC"
    """The clock of its days."""
    periods: tuple[PeriodFacts, ...] = ()
    """The latest first, and before them the next ones that are not due yet."""

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        """Raises ValueError if there is no such clock."""
        try:
            ZoneInfo(name)
        except (OSError, KeyError) as error:
            raise ValueError(f"{name!r} is no time zone") from error
        return name

    def at(self, moment: datetime) -> ScheduleFacts:
        """The same by the calendar of that moment."""
        today = moment.astimezone(ZoneInfo(self.timezone)).date()
        return self.model_copy(update={"periods": tuple(each.on(today) for each in self.periods)})

    @property
    def next(self) -> date | None:
        """The day on which the next release is due; None if none is."""
        days = [each.due for each in self.periods if each.state == "not due yet"]
        days += [each.next_edition for each in self.periods if each.state == "released" and each.next_edition]
        return min(days, default=None)

    @property
    def was_due(self) -> tuple[PeriodFacts, ...]:
        """The periods that were due, the latest first."""
        return tuple(each for each in self.periods if each.state != "not due yet")
