"""When the clock or the date format of a source was wrong: what the charges made under it mean for the right windows.

An old charge names the windows into which dates were read then. A date in a window of the corrected reading could have
been read into some of these, its origins; which ones follows from the two readings alone, never from a record: every
half hour of a window is written in the new formats and read in the old ones. A text that the old reading could not read
had no date, and was in no release.

A record has one date, so it was in one origin: it bears what was spent on the one that spent most. The records of
another unit in one window may have been in all of its origins: n of them that meet in one release cost n²ρ (group
privacy of zero-concentrated differential privacy, Bun and Steinke 2016) or nε, and releases add.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import combinations, groupby
from typing import TYPE_CHECKING, NamedTuple

from publisher.definitions.period import LIFETIME, containing, parse
from publisher.duck import literal, scratch
from publisher.privacy.account import ChargeLine, blocks_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from publisher.definitions.period import Grain
    from publisher.privacy.account import LossAmount

Origins = dict[str, frozenset[str]]
"""By window of the new reading, the windows of the old one into which its dates could have been read."""


@dataclass(frozen=True)
class DateReading:
    """How the texts of a source's event column became windows, as its charges say."""

    event: str
    """The column, or the day of receipt, and the time zone in which windows are cut: `opened in America/Chicago`."""
    clock: str
    """The formats and the time zone of the texts: `%m/%d/%Y, %Y-%m-%d; UTC`. Old charges do not say."""

    @property
    def zones(self) -> tuple[str, str]:
        """The zone of the texts, and that of the windows."""
        return self.clock.rpartition("; ")[2], self.event.rpartition(" in ")[2]

    @property
    def formats(self) -> tuple[str, ...]:
        """Every format that the charge may mean. A format may have a comma, so neighbors are also taken together; a
        part without a year is none, since its dates would lie in 1900."""
        pieces = self.clock.rpartition("; ")[0].split(", ")
        ends = combinations(range(len(pieces) + 1), 2)
        found = dict.fromkeys(", ".join(pieces[start:end]) for start, end in ends)
        return tuple(form for form in found if re.search("%[YyGxc]", form)) or tuple(found)

    def same_column(self, other: DateReading) -> bool:
        """Whether both read the same texts."""
        return self.event.rpartition(" in ")[0] == other.event.rpartition(" in ")[0]


def origins(new: DateReading, old: DateReading, windows: Collection[str]) -> Origins | None:
    """The old windows of each new one. None where the readings do not tell: another column, a zone in the texts, or a
    part of the time that was read as a part of the date; then any date may have been read into any window.

    Day and month swapped: the days 1 to 12 of March were read as the third of each month; the others had no date.

    >>> new, old = (DateReading("opened in UTC", f"{form}; UTC") for form in ("%d/%m/%Y", "%m/%d/%Y"))
    >>> found = origins(new, old, ["2024-03"])
    >>> sorted(found["2024-03"]) == [f"2024-{month:02d}" for month in range(1, 13)]
    True
    """
    if windows == {LIFETIME.label} or list(windows) == [LIFETIME.label]:
        return {LIFETIME.label: frozenset({LIFETIME.label})}
    told = old.clock and new.same_column(old)
    if not told or any(re.search("%[zZ]", form) for form in (*new.formats, *old.formats)):
        return None
    found: Origins = {}
    for grain, named in _by_grain(windows).items():
        days = _read_again(new, old, min(named)[0], max(named)[1])
        if days is None:
            return None
        for start, end, label in named:
            dates = {day for each in _days(start, end) for day in days.get(each, ())}
            found[label] = frozenset(containing(day, grain).label for day in dates)
    return found


class ChargeMade(NamedTuple):
    """One charge: its amount for each block, the blocks, and how dates were read into them."""

    line: ChargeLine
    blocks: tuple[str, ...]
    reading: DateReading
    records: bool
    """Whether the unit is a record, which has one date."""
    squared: bool
    """Whether n windows of one unit cost n²: ρ; ε costs n."""


def carried(reading: DateReading, charges: Iterable[ChargeMade], blocks: Collection[str]) -> Iterator[ChargeLine]:
    """What charges under earlier readings count on the blocks of this one."""
    for old, made in groupby(sorted(charges, key=_order), key=lambda charge: charge.reading):
        of_reading, found = list(made), origins(reading, old, blocks)
        touching = _by_block(of_reading)
        for block in blocks:
            there = touching.keys() if found is None else touching.keys() & found[block]
            lines = _worst if of_reading[0].records else _met
            yield from (line._replace(block=block) for line in lines({name: touching[name] for name in there}))


def _order(charge: ChargeMade) -> tuple[str, str, int]:
    return charge.reading.event, charge.reading.clock, charge.line.sequence


def _by_block(charges: Iterable[ChargeMade]) -> dict[str, list[ChargeMade]]:
    found: dict[str, list[ChargeMade]] = {}
    for charge in charges:
        for block in charge.blocks:
            found.setdefault(block, []).append(charge)
    return found


def _met(there: Mapping[str, list[ChargeMade]]) -> Iterator[ChargeLine]:
    """Every charge, for as many of its blocks as are there."""
    counts = Counter(charge for charges in there.values() for charge in charges)
    for charge, met in counts.items():
        line = charge.line
        loss = Fraction(line.loss) * (met**2 if charge.squared else met)
        yield line._replace(loss=str(loss), delta=str(Fraction(line.delta) * met))


def _worst(there: Mapping[str, list[ChargeMade]]) -> Iterator[ChargeLine]:
    """The charges of the block that has spent most, and those of another one if that has spent more δ."""
    spent = {name: _spent(name, charges) for name, charges in sorted(there.items())}
    most = {max(spent, key=lambda name: spent[name][n]) for n in (0, 1)} if spent else set()
    if len(most) == 2 and len({spent[name].delta for name in most}) == 1:
        most = {max(spent, key=lambda name: spent[name].loss)}
    yield from (charge.line for name in sorted(most) for charge in there[name])


def _spent(block: str, charges: Iterable[ChargeMade]) -> LossAmount:
    return next(iter(blocks_of(charge.line._replace(block=block) for charge in charges).values())).spent


def _by_grain(windows: Iterable[str]) -> dict[Grain, list[tuple[date, date, str]]]:
    found: dict[Grain, list[tuple[date, date, str]]] = {}
    for label in windows:
        window = parse(label)
        found.setdefault(window.grain, []).append((window.start, window.end, label))
    return found


def _days(start: date, end: date) -> Iterable[date]:
    return (start + timedelta(days=n) for n in range((end - start).days))


def _read_again(new: DateReading, old: DateReading, start: date, end: date) -> Mapping[date, set[date]] | None:
    """By day of the new reading, the days on which the old one saw it; None if the old date depends on the time.

    Texts are written with and without leading zeros, by each format; the old reading may try any of its formats.
    """
    (texts, windows), (old_texts, old_windows) = new.zones, old.zones
    written = dict.fromkeys(each for form in new.formats for each in (form, re.sub(r"%(?=[dmHIMSyj])", "%-", form)))
    pairs = [(form, old_form) for form in written for old_form in old.formats]
    found: dict[date, set[date]] = {}
    with scratch() as connection:
        # The minutes and seconds vary, so that one that was read as a month or a day shows.
        connection.execute(
            "CREATE TABLE _times AS SELECT _at, "
            f"timezone({literal(texts)}, timezone({literal(windows)}, _at)) AS _feed FROM (SELECT "
            f"TIMESTAMP {literal(start.isoformat())} + to_minutes(30 * n + n % 30) + to_seconds(7 * n % 60) AS _at "
            f"FROM range({48 * (end - start).days}) AS _range(n))"
        )
        connection.execute(
            "CREATE TABLE _read AS "
            + " UNION ALL ".join(
                f"SELECT _at, _feed::DATE AS _day, {n} AS _pair, "
                f"try_strptime(strftime(_feed, {literal(form)}), {literal(old_form)}) AS _was FROM _times"
                for n, (form, old_form) in enumerate(pairs)
            )
        )
        several = "SELECT 1 FROM _read GROUP BY _day, _pair HAVING count(DISTINCT _was::DATE) > 1 LIMIT 1"
        if connection.execute(several).fetchall():
            return None
        seen = f"timezone({literal(old_windows)}, timezone({literal(old_texts)}, _was))"
        query = f"SELECT DISTINCT _at::DATE, ({seen})::DATE FROM _read WHERE _was IS NOT NULL"
        for day, was in connection.execute(query).fetchall():
            found.setdefault(day, set()).add(was)
    return found
