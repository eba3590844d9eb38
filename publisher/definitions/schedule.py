"""The schedule of a dataset: when its releases come out, in plain words or as a cron expression.

It is public, and nothing of it is looked up in the records.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from publisher.definitions.model import Model, Text, Wording
from publisher.definitions.source import Zone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holidays import HolidayBase

DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = tuple(
    "january february march april may june july august september october november december".split(),
)
FIRST = {"first": "1", "second": "2", "third": "3", "fourth": "4"}
NTH = {name: f"#{number}" for name, number in FIRST.items()} | {"last": "L"}
SIMPLE = {"daily": "* * *", "day": "* * *", "weekdays": "* * 1-5", "weekday": "* * 1-5"}
LAST = {"last": "L", "last weekday": "LW", "last working day": "LW"}
EARLY = "6:00"
"""When a release comes out if only the day is said."""

CLOCK = re.compile(r"(?P<hour>\d{1,2})(:(?P<minute>\d{2}))? ?(?P<half>am|pm)?")
MONTHLY = re.compile(r"(?:monthly on )?(?:the )?(?P<days>.+?)(?: day)? of (?P<months>.+)")
ORDINAL = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?")

MOST_MOVED = timedelta(days=15)
"""No holidays and weekends in a row are longer."""

EXAMPLES = (
    "write it as daily at 6:00, weekdays at 7:30 am, Mondays at 6:00, the 5th of each month at 6:00, the first Monday "
    "of each month, the last weekday of each month, the 15th of January, April, July and October, or as the five "
    "fields of cron, such as 0 6 * * 1"
)


def cron_of(words: str) -> str:
    """The cron expression that plain words stand for; a cron expression stays. Raises ValueError with examples.

    >>> cron_of("Mondays at 6:00")
    '0 6 * * 1'
    >>> cron_of("the 5th of each month at 7:30 pm")
    '30 19 5 * *'
    """
    text = " ".join(words.lower().split())
    if len(text.split()) == 5 and not re.search(r"[a-z]{4}", text):
        return text.upper()
    days, _, clock = text.partition(" at ")
    expression = f"{_minute_and_hour(clock or EARLY)} {_days(days.removeprefix('every ').removeprefix('on '))}"
    if "?" in expression:
        raise ValueError(f"{words!r} is not a schedule: {EXAMPLES}")
    return expression


def _minute_and_hour(text: str) -> str:
    found = CLOCK.fullmatch({"noon": "12:00 pm", "midnight": "0:00"}.get(text, text))
    if found is None:
        return "?"
    hour, minute, half = int(found["hour"]), int(found["minute"] or 0), found["half"]
    if minute > 59 or (hour > 23 if half is None else not 1 <= hour <= 12):
        return "?"
    return f"{minute} {hour if half is None else hour % 12 + 12 * (half == 'pm')}"


def _days(text: str) -> str:
    """The last three fields of cron; with a question mark if the words are not known."""
    if text in SIMPLE:
        return SIMPLE[text]
    monthly = MONTHLY.fullmatch(text)
    if monthly is None:
        return f"* * {','.join(map(_weekday, _each(text)))}"
    return _of_month(monthly["days"], _months(monthly["months"]))


def _of_month(days: str, months: str) -> str:
    if days in LAST:
        return f"{LAST[days]} {months} *"
    nth, _, weekday = days.partition(" ")
    if nth in NTH and weekday in DAYS:
        return f"* {months} {_weekday(weekday)}{NTH[nth]}"
    return f"{','.join(map(_ordinal, _each(days)))} {months} *"


def _each(text: str) -> list[str]:
    """Every one of "the 1st, the 8th and the 15th"."""
    return [each.removeprefix("the ") for each in re.split(r", and |, | and ", text)]


def _weekday(text: str) -> str:
    name = text.removesuffix("s") if text.removesuffix("s") in DAYS else text
    return str(DAYS.index(name)) if name in DAYS else "?"


def _ordinal(text: str) -> str:
    found = ORDINAL.fullmatch(text)
    return found[1] if found else FIRST.get(text, "?")


def _months(text: str) -> str:
    if text in ("each month", "every month", "the month"):
        return "*"
    return ",".join(str(MONTHS.index(each) + 1) if each in MONTHS else "?" for each in _each(text))


def _checked(words: str) -> str:
    from cronsim import CronSim, CronSimError

    expression = cron_of(words)
    if not re.match(r"\d+ \d+ ", expression):
        raise ValueError(f"{words!r} has more than one time of day, and no period is shorter than a day: {EXAMPLES}")
    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(f"{words!r} is not a schedule ({str(error).lower()}): {EXAMPLES}") from None
    except StopIteration:
        raise ValueError(f"{words!r} never comes: {EXAMPLES}") from None
    return words


def known_holidays(name: str) -> str:
    """The name of a country or state, unchanged. Raises ValueError if its public holidays are not known."""
    try:
        _holidays(name)
    except (NotImplementedError, KeyError):
        raise ValueError(
            f"{name!r} has no known holidays: write a country, such as US, or a state, such as US-MO"
        ) from None
    return name


def business_day(day: date, number: int, holidays: str) -> date:
    """The business day so many after `day`; weekends and the public holidays of a country or state are none."""
    kept = _holidays(holidays)
    while number:
        day += timedelta(days=1)
        number -= day.weekday() < 5 and day not in kept
    return day


class Schedule(Model):
    """When releases come out. Each comes at the first such time after its period has ended, and, with a policy for
    late records, after its cutoff."""

    when: Annotated[Wording, AfterValidator(_checked)]
    """Plain words, such as "Mondays at 6:00" or "the 5th of each month at 6:00", or the five fields of cron."""
    timezone: Zone | None = None
    """The clock that it goes by. Default: that of the source."""
    holidays: Annotated[Text, AfterValidator(known_holidays)] | None = None
    """Whose public holidays are kept, such as US or US-MO: a time on one of them moves to the next working day."""

    @property
    def cron(self) -> str:
        """The five fields of cron."""
        return cron_of(self.when)

    @property
    def shown(self) -> str:
        """For readers: as it is written, or what the fields of cron say."""
        from cronsim import CronSim

        if self.when.upper() != self.cron:
            return self.when
        return CronSim(self.cron, datetime(2024, 1, 1, tzinfo=UTC)).explain()

    def last(self, now: datetime) -> datetime:
        """The latest scheduled time that is not after `now`, which says its time zone."""
        moved = (self._moved(each) for each in self._times(now + timedelta(minutes=1), back=True))
        latest = next(each for each in moved if each <= now)
        before = takewhile(lambda each: each > latest - self._reach, self._times(latest, back=True))
        return max([latest, *(each for each in map(self._moved, before) if each <= now)])

    def next(self, now: datetime) -> datetime:
        """The earliest scheduled time that is after `now`."""
        moved = (self._moved(each) for each in self._times(now - self._reach, back=False))
        earliest = next(each for each in moved if each > now)
        before = takewhile(lambda each: each < earliest, self._times(now, back=False))
        return min([earliest, *map(self._moved, before)])

    @property
    def _reach(self) -> timedelta:
        """So far a time may move."""
        return MOST_MOVED if self.holidays else timedelta(0)

    def _times(self, start: datetime, *, back: bool) -> Iterator[datetime]:
        from cronsim import CronSim

        zone = ZoneInfo(self.timezone) if self.timezone else start.tzinfo
        return iter(CronSim(self.cron, start.astimezone(zone), reverse=back))

    def _moved(self, time: datetime) -> datetime:
        """The same time of the next working day if the day is a public holiday."""
        if self.holidays is None:
            return time
        kept = _holidays(self.holidays)
        if time.date() not in kept:
            return time
        while time.weekday() > 4 or time.date() in kept:
            time += timedelta(days=1)
        return time


def _holidays(name: str) -> HolidayBase:
    """The public holidays of a country or state. Raises NotImplementedError for an unknown one."""
    from holidays import country_holidays

    country, _, part = name.partition("-")
    return country_holidays(country, subdiv=part or None)
