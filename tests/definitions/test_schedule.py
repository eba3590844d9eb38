"""Schedules: what plain words mean, and when a release comes out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from publisher.definitions.model import in_other_languages
from publisher.definitions.schedule import Schedule, cron_of

CHICAGO = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("words", "cron"),
    [
        ("daily at 6:00", "0 6 * * *"),
        ("weekdays at 7:30 am", "30 7 * * 1-5"),
        ("Mondays", "0 6 * * 1"),
        ("every Tuesday and Friday at 12 am", "0 0 * * 2,5"),
        ("the 5th of each month at noon", "0 12 5 * *"),
        ("the 1st, the 8th, and the 15th of each month at 17:05", "5 17 1,8,15 * *"),
        ("the first day of January, April, July, and October", "0 6 1 1,4,7,10 *"),
        ("the second Tuesday of each month at 9 pm", "0 21 * * 2#2"),
        ("the last Friday of every month", "0 6 * * 5L"),
        ("the last day of each month at 18:00", "0 18 L * *"),
        ("the last weekday of each month", "0 6 LW * *"),
        ("15 6 * * mon", "15 6 * * MON"),
    ],
)
def test_plain_words_stand_for_cron(words: str, cron: str) -> None:
    """What a person in an office writes is understood; cron stays what it is."""
    assert cron_of(words) == cron
    assert Schedule(when=words).cron == cron


@pytest.mark.parametrize(
    "words",
    [
        "soon",
        "each month",
        "Mondays at",
        "Mondays at 25:00",
        "Mondays at 13 pm",
        "the 30th of February",
        "the fifth Monday of each month",
        "the 5th of each month, on Tuesdays",
        "61 6 * * 1",
        "*/5 * * * *",
        "0 6,18 * * *",
        "0 6 30 2 *",
    ],
)
def test_other_words_are_refused_with_examples(words: str) -> None:
    """A time that cannot be meant, comes never or several times a day is an error that shows how it is written."""
    with pytest.raises(ValidationError, match="Mondays at 6:00"):
        Schedule(when=words)


def test_holidays_and_zones_must_be_known() -> None:
    """An unknown country, state or time zone is an error."""
    for more in ({"holidays": "Atlantis"}, {"holidays": "US-ZZ"}, {"timezone": "Mars/Olympus"}):
        with pytest.raises(ValidationError):
            Schedule.model_validate({"when": "daily"} | more)


def test_a_public_holiday_moves_to_the_next_working_day() -> None:
    """Christmas of 2026 is a Friday: the release comes on Monday, and after the one of the Sunday between."""
    fridays = Schedule(when="Fridays at 6:00", holidays="US-MO")
    saturday = datetime(2026, 12, 26, 12, tzinfo=CHICAGO)
    assert fridays.last(saturday) == datetime(2026, 12, 18, 6, tzinfo=CHICAGO)
    assert fridays.next(saturday) == datetime(2026, 12, 28, 6, tzinfo=CHICAGO)
    both = Schedule(when="Fridays and Sundays at 6:00", holidays="US-MO")
    assert both.next(saturday) == datetime(2026, 12, 27, 6, tzinfo=CHICAGO)
    assert both.last(datetime(2026, 12, 28, 12, tzinfo=CHICAGO)) == datetime(2026, 12, 28, 6, tzinfo=CHICAGO)
    assert both.next(datetime(2026, 12, 24, tzinfo=CHICAGO)) == datetime(2026, 12, 27, 6, tzinfo=CHICAGO)


def test_the_day_that_a_clock_skips_has_its_release() -> None:
    """2:30 does not exist on the day on which clocks go forward: it comes at 3:00, once."""
    daily = Schedule(when="daily at 2:30")
    noon = datetime(2026, 3, 8, 12, tzinfo=CHICAGO)
    assert daily.last(noon) == datetime(2026, 3, 8, 3, tzinfo=CHICAGO)
    assert daily.next(noon) == datetime(2026, 3, 9, 2, 30, tzinfo=CHICAGO)


WHEN = ("daily at 0:30", "weekdays at 23:00", "Mondays and Fridays", "the 1st and 25th of each month", "0 6 LW * *")


@settings(deadline=None)
@given(
    st.sampled_from(WHEN),
    st.sampled_from([None, "US", "US-MO", "ES"]),
    st.sampled_from([None, "Asia/Tokyo"]),
    st.integers(0, 60 * 24 * 900),
)
def test_last_and_next_are_neighbors(when: str, holidays: str | None, timezone: str | None, minutes: int) -> None:
    """No scheduled time is between the last and the next, which every moment between them agrees on; and no release
    comes out on a public holiday."""
    schedule = Schedule(when=when, holidays=holidays, timezone=timezone)
    now = datetime(2025, 11, 1, tzinfo=UTC).astimezone(CHICAGO) + timedelta(minutes=minutes)
    last, following = schedule.last(now), schedule.next(now)
    assert last <= now < following
    between = last + (following - last) / 2
    assert (schedule.last(between), schedule.next(between)) == (last, following)
    assert schedule.last(following) == following
    assert schedule.next(last) == following
    if holidays is not None:
        from holidays import country_holidays

        country, _, part = holidays.partition("-")
        days: set[date] = country_holidays(country, subdiv=part or None)  # type: ignore[assignment]
        assert following.date() not in days


def test_readers_are_told_in_words() -> None:
    """As people wrote it, also in Spanish; the fields of cron, which few can read, in English."""
    assert Schedule(when="0 6 5 * *").shown == "At 06:00 on the fifth day of every month"
    both = Schedule(when={"en": "Mondays at 6:00", "es": "los lunes a las 6:00"})  # type: ignore[arg-type]
    assert (both.shown, both.cron) == ("Mondays at 6:00", "0 6 * * 1")
    assert in_other_languages(both.shown) == {"es": "los lunes a las 6:00"}
