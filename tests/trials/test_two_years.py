"""A city for years under a fake clock, by the real commands, mail server and portal: whatever goes wrong, each period
is published once, budgets are kept, each alarm is raised once, and the journal tells the story."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import holidays
import pytest
import requests
from simulated_city import (
    CELLS,
    DATASETS,
    EXACT,
    OFFICES,
    WARDS,
    ZONE,
    City,
    at,
    calls_sent,
    days,
    founded,
    liters_of,
    months_on,
    permits_of,
    water_sent,
)

from publisher.commands.notices import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("processes")

KEPT = holidays.country_holidays("US", subdiv="MO")
CALLS, PERMITS, WATER = DATASETS["calls"], DATASETS["permits"], DATASETS["water"]
TABLES = {name: OFFICES[office].dataset["title"] for office, name in DATASETS.items()}
DEFINITION_DAYS = 365
WHY = "A ward was counted twice"


Edition = tuple[str, date, int]
"""A dataset, the end of the period, and which of its scheduled editions."""


@dataclass(frozen=True)
class Story:
    """What happens, and when."""

    first: date
    last: date
    portal_dies: date
    """A day on which something comes out; the portal is back on the next."""
    machine_off: tuple[date, date]
    """The first and the last day on which nothing runs."""
    disk_full: date
    """A day on which something comes out; someone makes room an hour later."""
    feed_stops: tuple[str, date, date]
    """Which office sends nothing, from when on, and the day on which it sends everything."""
    wrong_month: date
    """A month of water in which the readings of a ward are wrong."""
    vacation: tuple[date, date]
    """The first day of the reviewer's, and the day on which she is back."""
    retraction: tuple[str, date]
    """The week of calls that is taken back, and when."""

    def off(self, day: date) -> bool:
        return self.machine_off[0] <= day <= self.machine_off[1]

    def away(self, day: date) -> bool:
        return self.vacation[0] <= day < self.vacation[1]

    @property
    def contested(self) -> date:
        """The day after the wrong month has come out."""
        return comes_out(WATER, months_on(self.wrong_month, 1), 1) + timedelta(days=1)

    @property
    def corrected(self) -> date:
        """The day on which its second edition comes out."""
        return comes_out(WATER, months_on(self.wrong_month, 1), 2)

    @property
    def renewed(self) -> date | None:
        """The day on which someone notices that the approvals of definitions have ended."""
        ends = self.first + timedelta(days=DEFINITION_DAYS + 1)
        return min((each for each in self.mornings if each > ends), default=None)

    @cached_property
    def mornings(self) -> list[date]:
        """The days on which the scheduler's run matters: something comes out, or something has happened."""
        events = {
            self.portal_dies + timedelta(days=1),
            self.feed_stops[2],
            self.vacation[1],
            self.machine_off[1] + timedelta(days=1),
        }
        out = {comes_out(*each) for each in self.promised}
        return sorted(each for each in events | out if self.first < each <= self.last and not self.off(each))

    def made(self, name: str, end: date, number: int) -> date:
        """The day on which an edition is made: when it comes out, or the first morning on which that is possible."""
        return next(
            day
            for day in self.mornings
            if day >= comes_out(name, end, number)
            and not (name == DATASETS[self.feed_stops[0]] and self.without_file(day))
        )

    def without_file(self, day: date) -> bool:
        """Whether a file is missing of which a release is due."""
        office, stops, resumes = self.feed_stops
        arrived = stops - timedelta(days=7 if office == "calls" else 31)
        ends = (end for name, end, n in self.promised if name == DATASETS[office] and comes_out(name, end, n) <= day)
        return stops <= day < resumes and any(end > arrived for end in ends)

    def late_while_off(self) -> dict[str, date]:
        """The datasets of which something is due while nothing runs, and the Wednesday on which that is told."""
        found: dict[str, date] = {}
        for day in days(*self.machine_off):
            for name, end, number in self.promised:
                if day.weekday() == 2 and self.machine_off[0] <= comes_out(name, end, number) < day:
                    found.setdefault(name, day)
        return found

    @cached_property
    def promised(self) -> list[Edition]:
        """Every scheduled edition that is promised by the last day."""
        return [
            (name, end, number)
            for name in DATASETS.values()
            for end in self.ends(name)
            for number in ((1,) if name == CALLS else (1, 2))
            if comes_out(name, end, number) <= self.last
        ]

    @cached_property
    def editions(self) -> list[Edition]:
        """Those that are drawn: where a policy counts all records again, none whose successor is due as well."""
        return [each for each in self.promised if not self.skipped(*each)]

    def skipped(self, name: str, end: date, number: int) -> bool:
        return (name, number) == (WATER, 1) and comes_out(name, end, 2) <= self.made(name, end, 1)

    def edition(self, name: str, end: date, number: int) -> int:
        """The number of an edition as readers see it."""
        return number - (number == 2 and self.skipped(name, end, 1))

    def signed(self, name: str, end: date, number: int) -> date | None:
        """When the reviewer signs it: not at all where a later one waits as well."""
        day = self.made(name, end, number)
        if not self.away(day):
            return day
        later = (name, end, number + 1)
        return None if later in self.editions and self.away(self.made(*later)) else self.vacation[1]

    def ends(self, name: str) -> Iterator[date]:
        for day in days(self.first + timedelta(days=1), self.last):
            if (day.weekday() == 0 and day > self.first + timedelta(days=6)) if name == CALLS else day.day == 1:
                yield day

    def periods(self, name: str) -> list[str]:
        """Every period of which something has come out by the last day."""
        return [label(name, end) for each, end, number in self.promised if (each, number) == (name, 1)]


def label(name: str, end: date) -> str:
    """The period that ends before that day."""
    day = end - timedelta(days=1)
    return f"{day:%G-W%V}" if name == CALLS else f"{day:%Y-%m}"


def working(day: date) -> date:
    """The day, or the next working day if it is a public holiday."""
    if day in KEPT:
        while day in KEPT or day.weekday() > 4:
            day += timedelta(days=1)
    return day


def comes_out(name: str, end: date, number: int) -> date:
    """When an edition of the period that ends there is promised."""
    if name == CALLS:
        return working(end + timedelta(days=1))
    cutoff = end + timedelta(days={PERMITS: (9, 36), WATER: (18, 48)}[name][number - 1])
    promised = 12 if name == PERMITS else 22
    months = [months_on(cutoff, n).replace(day=promised) for n in (0, 1)]
    return next(working(each) for each in months if working(each) >= cutoff)


MONTHS = Story(
    first=date(2024, 1, 1),
    last=date(2024, 3, 26),
    portal_dies=date(2024, 1, 16),
    machine_off=(date(2024, 1, 23), date(2024, 2, 5)),
    disk_full=date(2024, 2, 20),
    feed_stops=("calls", date(2024, 2, 26), date(2024, 3, 6)),
    wrong_month=date(2024, 1, 1),
    vacation=(date(2024, 3, 10), date(2024, 3, 19)),
    retraction=("2024-W09", date(2024, 3, 14)),
)
YEARS = Story(
    first=date(2024, 1, 1),
    last=date(2025, 12, 31),
    portal_dies=date(2024, 3, 12),
    machine_off=(date(2024, 8, 1), date(2024, 9, 2)),
    disk_full=date(2024, 11, 12),
    feed_stops=("water", date(2025, 2, 15), date(2025, 5, 2)),
    wrong_month=date(2024, 4, 1),
    vacation=(date(2025, 7, 7), date(2025, 8, 20)),
    retraction=("2025-W20", date(2025, 6, 3)),
)


class Life:
    """The city, one day after the other."""

    def __init__(self, city: City, story: Story) -> None:
        self.city, self.story = city, story
        self.promises: dict[str, dict[tuple[str, str], tuple[str, str]]] = {}
        """What everyone was told at certain moments: by dataset and period the state and the reason."""
        self.case = ""

    def live(self) -> None:
        mornings = set(self.story.mornings)
        self.city.set(at(self.story.first, 9))
        self.city.done("check")
        self.approve_definitions()
        for day in days(self.story.first, self.story.last):
            self.before(day)
            self.city.deliver(day)
            if day in mornings:
                self.morning(day)
            self.after(day)

    def before(self, day: date) -> None:
        """What happens before six."""
        city, story = self.city, self.story
        if day == story.portal_dies:
            city.close_portal()
        elif day == story.portal_dies + timedelta(days=1):
            city.set(at(day, 5))
            city.open_portal()
        office, stops, resumes = story.feed_stops
        if day == stops:
            city.stopped.add(office)
        elif day == resumes:
            city.set(at(day, 5))
            city.resume(office)
        if day == months_on(story.wrong_month, 1).replace(day=15):
            city.wrong_ward = WARDS[0]

    def morning(self, day: date) -> None:
        """The scheduler's run, and the reviewer once a mail asks for her."""
        city, story = self.city, self.story
        city.set(at(day))
        if day == story.disk_full:
            self.full_disk()
        code = 3 if day == story.renewed else 2 if story.without_file(day) else 0
        city.done("run", "--quiet", code=code)
        asked = [line for when, line in city.alarms if when == day.isoformat() and line.endswith("waits for approval")]
        if day == story.renewed:
            self.approve_definitions()
            city.done("run", "--quiet")
        elif not story.away(day) and (asked or day == story.vacation[1]):
            assert city.review()

    def full_disk(self) -> None:
        """Two runs fail, and the second tells no one anything new; then there is room again."""
        for _ in range(2):
            self.city.fill_disk()
            assert "the disk is full" in self.city.done("run", "--quiet", code=5).err
            self.city.empty_disk()

    def after(self, day: date) -> None:
        """What people do later on a day."""
        city, story = self.city, self.story
        city.set(at(day, 16))
        if story.off(day) and day.weekday() == 2:
            city.done("notify")
        if day == story.machine_off[1]:
            self.tell("off", day)
        elif day == story.feed_stops[2] - timedelta(days=1):
            self.tell("feed", day)
        elif day == story.vacation[1] - timedelta(days=1):
            self.tell("vacation", day)
        if day == story.contested:
            assert {row["used"] for row in city.shown(TABLES[WATER]) if row["ward"] == WARDS[0]} >= {"0"}
            city.done("cases", "open", "accuracy", WATER, label(WATER, months_on(story.wrong_month, 1)))
            (row,) = city.asked("cases")
            self.case = row["number"]
        elif day == story.contested + timedelta(days=10):
            month = story.wrong_month
            city.send("water", day, water_sent(month))
        elif day == story.corrected:
            city.done("cases", "answer", self.case, "corrected", "--reason", "The meters were read again")
            city.done("cases", "close", self.case)
        if day == story.retraction[1]:
            city.done("rollback", CALLS, "--period", story.retraction[0], "--reason", WHY)

    def approve_definitions(self) -> None:
        for name in DATASETS.values():
            self.city.sign(name, reason="It spends what we agreed on")

    def tell(self, moment: str, day: date) -> None:
        """What the portal tells everyone now, without a command: it has a clock of its own."""
        self.city.set(at(day, 17))
        self.promises[moment] = self.public()

    def public(self) -> dict[tuple[str, str], tuple[str, str]]:
        """State and reason of each period that was due, by dataset and period."""
        reply = requests.get(f"http://127.0.0.1:{self.city.port}/schedule.json", timeout=60).json()
        return {
            (table["dataset"], each["period"]): (each["state"], each["reason"])
            for table in reply["datasets"]
            for each in table["periods"]
            if each["state"] != "not due yet"
        }

    def told(self, *kinds: str) -> list[tuple[str, str, str, int | None]]:
        """Kind, dataset or source, period and edition of what the journal tells, in order."""
        return [
            (row["kind"], row["dataset"] or row["source"], row["period"], row["edition"])
            for row in self.journal
            if row["kind"] in kinds
        ]

    @cached_property
    def journal(self) -> list[dict[str, Any]]:
        return self.city.asked("journal")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(MONTHS, id="months"),
        pytest.param(YEARS, id="years", marks=pytest.mark.evidence("two years of a simulated city under a fake clock")),
    ],
)
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, processes: None) -> Iterator[Life]:
    """A city whose story is over. Two years repeat what three months show: definitions that have to be approved again,
    budgets of a second year, records that are purged, and a feed that stops for months come in addition."""
    del processes
    with founded(tmp_path_factory.mktemp("city"), request.param.first) as city:
        lived = Life(city, request.param)
        lived.live()
        yield lived


def test_each_period_is_published_once(life: Life) -> None:
    """Over HTTP, each period that was due has each of its rows once, but for the week that was taken back; in the store
    and in the ledger each edition is there once."""
    for name in DATASETS.values():
        rows = Counter((row["period"], row["ward"]) for row in life.city.shown(TABLES[name]))
        taken_back = {life.story.retraction[0]} if name == CALLS else set()
        assert {period for period, _ in rows} == set(life.story.periods(name)) - taken_back
        assert len(rows) == CELLS * len({period for period, _ in rows})
        assert set(rows.values()) == {1}
    story = life.story
    editions = [(each[0], label(*each[:2]), story.edition(*each)) for each in story.editions]
    made = [(row["dataset"], row["period"], row["edition"]) for row in life.city.asked("releases")]
    assert sorted(made) == sorted(editions)
    charged = [each[1:] for each in life.told("charge")]
    drawn = [(name, label(name, end), number) for name, end, number in story.editions]
    assert sorted((name, period, edition or 0) for name, period, edition in charged) == sorted(drawn)


def test_every_record_counts_once(life: Life) -> None:
    """Where noise is next to nothing, numbers are what the offices know: late permits that were sent in time, and the
    corrected readings; calls are within what their noise allows (wrong by chance once in ten million runs)."""
    assert numbers(life, PERMITS, "permits") == {
        (period, ward): sum(each.ward == ward and each.sent < cutoff for each in permits_of(*year_month(period)))
        for period, cutoff in cutoffs(life.story)
        for ward in WARDS
    }
    assert numbers(life, WATER, "used") == {
        (period, ward): sum(liters_of(n, date(*year_month(period), 1)) for n in range(24) if WARDS[n % 3] == ward)
        for period in life.story.periods(WATER)
        for ward in WARDS
    }
    known = Counter(
        (label(CALLS, end), line.split(",")[2])
        for name, end, _ in life.story.editions
        if name == CALLS
        for line in calls_sent(end)
    )
    assert all(abs(number - known[place]) < 20 for place, number in numbers(life, CALLS, "calls").items())


def year_month(period: str) -> tuple[int, int]:
    year, month = period.split("-")
    return int(year), int(month)


def cutoffs(story: Story) -> Iterator[tuple[str, date]]:
    """Each period of permits, and the day before which its newest edition's records were sent."""
    for name, end, number in story.editions:
        if name == PERMITS and (number == 2 or comes_out(PERMITS, end, 2) > story.last):
            yield label(name, end), end + timedelta(days=(9, 36)[number - 1])


def numbers(life: Life, name: str, measure: str) -> dict[tuple[str, str], int]:
    """What the portal shows, by period and ward; nothing is outside the wards where there is no noise."""
    rows = life.city.shown(TABLES[name])
    if name != CALLS:
        assert {row[measure] for row in rows if row["ward"] == "Unknown"} == {"0"}
    return {(row["period"], row["ward"]): int(row[measure]) for row in rows if row["ward"] in WARDS}


def test_budgets_are_kept(life: Life) -> None:
    """Each block has spent what the definitions say, and no more than it may: a day of calls once, a year of permits
    once for each month whatever its editions, a month of water once for each edition."""
    spent: Counter[tuple[str, str]] = Counter()
    for name, end, number in life.story.editions:
        start, day = end - timedelta(days=7), end - timedelta(days=1)
        if name == CALLS:
            spent.update({("calls", f"{each}"): 1 for each in days(start, day)})
        elif name == WATER or number == 1:
            spent["water" if name == WATER else "permits", f"{day:%Y-%m}" if name == WATER else f"{day:%Y}"] += 1
    loss = {"calls": Fraction(1, 10), "permits": Fraction(EXACT), "water": Fraction(EXACT)}
    blocks: Counter[str] = Counter()
    for row in life.city.asked("ledger"):
        source, (first, *_, last) = row["source"], [*row["block"].split(" … ")] * 2
        assert {spent[source, each] * loss[source] for each in (first, last)} == {number_of(row["spent"])}
        assert number_of(row["spent"]) <= number_of(row["budget"])
        blocks[source] += row["blocks"]
    assert blocks == Counter(source for source, _ in spent)


def number_of(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def test_each_alarm_is_raised_once(life: Life) -> None:
    """What needs a person is mailed on the day on which it is found, once, in fixed words without a number."""
    assert sorted(life.city.alarms) == sorted((day.isoformat(), line) for day, line in expected_alarms(life.story))
    for _, line in life.city.alarms:
        subject, words = line.split(": ", 1)
        assert words in REASONS.values()
        assert subject.split()[0] in {*DATASETS, *DATASETS.values(), "portal", "run", "case"}


def expected_alarms(story: Story) -> Iterator[tuple[date, str]]:
    """What is told when: each thing on the first day on which someone looks."""
    wanted, waits = REASONS["approval wanted"], set()
    for name, end, number in story.editions:
        if by_hand(story, name, end):
            waits.add((story.made(name, end, number), f"{name} {label(name, end)}"))
    yield from ((day, f"{subject}: {wanted}") for day, subject in waits)
    yield story.portal_dies, f"portal: {REASONS['portal']}"
    for name, looked in story.late_while_off().items():
        yield looked, f"{name}: {REASONS['late']}"
    yield story.disk_full, f"run: {REASONS['failed']}"
    missing = next(day for day in story.mornings if story.without_file(day))
    yield missing, f"{DATASETS[story.feed_stops[0]]}: {REASONS['feed missing']}"
    warned = story.contested + timedelta(days=30 - 5)
    yield (
        min(day for day in story.mornings if day >= warned),
        f"case {story.contested.year}-001: {REASONS['answer due']}",
    )
    if story.renewed is not None:
        yield from ((story.renewed, f"{name}: {wanted}") for name in DATASETS.values())


def by_hand(story: Story, name: str, end: date) -> bool:
    """Whether the reviewer signs it: all but calls, of which she signs the first release."""
    return name != CALLS or label(name, end) == story.periods(name)[0]


def test_the_journal_tells_the_story(life: Life) -> None:
    """Every edition on its day, the oldest first, charged before it is released and released before it is approved;
    each file landed once; each decision of a person once, with its reason; nothing in a wrong order."""
    story, moments = life.story, [datetime.fromisoformat(row["at"]) for row in life.journal]
    assert moments == sorted(moments)
    days_told = [each.astimezone(ZONE).date() for each in moments]
    made = sorted((story.made(*each), each[1:], each) for each in story.editions)
    for kind in ("charge", "release"):
        for name in DATASETS.values():
            found = [
                (day, row["period"], row["edition"])
                for day, row in zip(days_told, life.journal, strict=True)
                if (row["kind"], row["dataset"]) == (kind, name)
            ]
            assert found == [
                (day, label(*each[:2]), each[2] if kind == "charge" else story.edition(*each))
                for day, _, each in made
                if each[0] == name
            ]
    order = life.told("charge", "release", "approve")
    for each in story.editions:
        kinds = ("charge", "release", "approve") if story.signed(*each) else ("charge", "release")
        numbers = {"charge": each[2]}
        places = [
            order.index((kind, each[0], label(*each[:2]), numbers.get(kind, story.edition(*each)))) for kind in kinds
        ]
        assert places == sorted(places)
    landed = [row["reference"] for row in life.journal if row["kind"] == "land"]
    assert len(landed) == len(set(landed)) == len(list(life.city.data.rglob("*.csv")))
    told = [
        (day, row["kind"], row["dataset"], row["period"], row["reason"])
        for day, row in zip(days_told, life.journal, strict=True)
        if row["kind"] in ("approve", "case", "retract") and row["reason"] != "it met the declared conditions"
    ]
    assert sorted(told) == sorted(decisions(story))


def decisions(story: Story) -> Iterator[tuple[date, str, str, str, str]]:
    """What people decide, and when."""
    for day in filter(None, (story.first, story.renewed)):
        yield from ((day, "approve", name, "", "It spends what we agreed on") for name in DATASETS.values())
    for name, end, number in story.editions:
        if by_hand(story, name, end):
            signed = story.signed(name, end, number)
            if signed is not None:
                yield signed, "approve", name, label(name, end), "It looks right"
    month = f"{story.wrong_month:%Y-%m}"
    yield story.contested, "case", WATER, month, "accuracy: opened"
    yield story.corrected, "case", WATER, month, "accuracy: answered, corrected"
    yield story.corrected, "case", WATER, month, "accuracy: closed"
    yield story.retraction[1], "retract", CALLS, story.retraction[0], WHY


def test_what_was_promised_is_told(life: Life) -> None:
    """Every period that was due has a state, on the portal as in the workspace: late while nothing ran or no file came,
    under review while the reviewer was away, and in the end released or taken back."""
    story, office = life.story, DATASETS[life.story.feed_stops[0]]
    off, feed, away = story.machine_off[1], story.feed_stops[2] - timedelta(days=1), story.vacation[1]
    editions = story.promised
    late = {
        (name, label(name, end)) for name, end, n in editions if story.machine_off[0] <= comes_out(name, end, n) < off
    }
    assert unreleased(life, "off") == dict.fromkeys(late, ("late", "late"))
    missing = {
        label(office, end)
        for name, end, n in editions
        if name == office and story.made(name, end, n) == story.feed_stops[2] and comes_out(name, end, n) < feed
    }
    assert {period for _, period in unreleased(life, "feed")} == missing
    assert ("late", "feed missing") in unreleased(life, "feed").values()
    waiting = {
        (name, label(name, end)) for name, end, n in editions if name != CALLS and story.away(story.made(name, end, n))
    }
    assert unreleased(life, "vacation") == dict.fromkeys(waiting, ("under review", "under review"))
    assert away not in (off, feed)
    told = life.public()
    assert set(told) == {(name, label(name, end)) for name, end, n in editions if n == 1}
    assert {key: each for key, each in told.items() if each != ("released", "")} == {
        (CALLS, story.retraction[0]): ("retracted", "taken back")
    }
    assert told == {
        (each["dataset"], period["period"]): (period["state"], period["reason"])
        for each in life.city.asked("status", "--public")
        for period in each["periods"]
        if period["state"] != "not due yet"
    }


def unreleased(life: Life, moment: str) -> dict[tuple[str, str], tuple[str, str]]:
    """What was not released then, of what was due."""
    found = life.promises[moment]
    return {key: told for key, told in found.items() if told[0] not in ("released", "retracted")}


def test_all_of_it_verifies(life: Life) -> None:
    """Ledger, releases, approvals, journal and portal agree in the end; nothing waits for anyone."""
    life.city.done("verify")
    life.city.done("status", "--check")
