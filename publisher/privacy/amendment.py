"""When the clock or the date format of a source was wrong: what the charges made under it mean for the right windows.

An old charge names the windows into which dates were read then. A date in a window of the corrected reading could have
been read into some of these, its origins; which ones follows from the two readings alone, never from a record: times
of the window are written in the new formats and read in the old ones. The window of that name is always among them,
because the texts themselves may have been others then: an export that changed its format was read rightly before.

A record has one date, so it was in one origin: it bears what was spent on the one that spent most. The records of
another unit in one window may have been in all of its origins: n of them that meet in one release cost n²ρ (group
privacy of zero-concentrated differential privacy, Bun and Steinke 2016) or nε, and releases add.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from itertools import combinations, groupby
from typing import TYPE_CHECKING, NamedTuple

from publisher.definitions.period import LIFETIME, Period, containing, parse
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
    forms: tuple[str, ...] = field(default=(), compare=False)
    """The formats one by one; older charges have them in `clock` alone."""

    @property
    def zones(self) -> tuple[str, str]:
        """The zone of the texts, and that of the windows."""
        return self.clock.rpartition("; ")[2], self.event.rpartition(" in ")[2]

    @property
    def formats(self) -> tuple[str, ...]:
        """Every format that the charge may mean. Taken from `clock`, a format may have a comma, so neighbors are also
        taken together; a part without a year is none, since its dates would lie in 1900."""
        if self.forms:
            return self.forms
        pieces = self.clock.rpartition("; ")[0].split(", ")
        ends = combinations(range(len(pieces) + 1), 2)
        found = dict.fromkeys(", ".join(pieces[start:end]) for start, end in ends)
        return tuple(form for form in found if re.search("%[YyGxc]", form)) or tuple(found)

    @property
    def column(self) -> str:
        """What is read: a column, or the day of receipt."""
        return self.event.rpartition(" in ")[0]

    def comparable(self, old: DateReading) -> bool:
        """Whether the two readings tell where a date was before: not another column, an old charge without a clock, or
        zones that the texts themselves name."""
        texts = (*self.formats, *old.formats)
        return bool(old.clock) and self.column == old.column and not any(re.search("%[zZ]", form) for form in texts)


RECEIPT = "day of receipt"
"""What is read where late records are frozen: no format decides it."""


def origins(new: DateReading, old: DateReading, windows: Collection[str]) -> Origins | None:
    """The old windows of each new one, the one of its own name included. None where the readings do not tell; then any
    date may have been read into any window.

    Day and month swapped: the days 1 to 12 of March were read as the third of each month.

    >>> new, old = (DateReading("opened in UTC", f"{form}; UTC") for form in ("%d/%m/%Y", "%m/%d/%Y"))
    >>> found = origins(new, old, ["2024-03"])
    >>> sorted(found["2024-03"]) == [f"2024-{month:02d}" for month in range(1, 13)]
    True
    """
    itself = {label: frozenset({label}) for label in windows}
    if set(windows) == {LIFETIME.label} or (new.column == old.column == RECEIPT and new.zones[1] == old.zones[1]):
        return itself
    if not new.comparable(old) or new.column == RECEIPT:
        return None
    found: Origins = {}
    for grain, named in _by_grain(windows).items():
        days = _read_again(new, old, min(named)[0], max(named)[1])
        if days is None:
            return None
        for start, end, label in named:
            dates = {day for each in _days(start, end) for day in days.get(each, ())}
            found[label] = itself[label] | {containing(day, grain).label for day in dates}
    return found


def around(windows: Collection[str]) -> set[str]:
    """The windows, and all others of the years that they touch: where dates of an amended source may lie now."""
    found = set(windows)
    for named in _by_grain(each for each in windows if each != LIFETIME.label).values():
        first, last = date(min(named)[0].year, 1, 1), date(max(named)[1].year + 1, 1, 1)
        found |= {each.label for each in Period(first, last, "year").cut(parse(named[0][2]).grain)}
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
        touching, counted = _by_block(of_reading), _worst if of_reading[0].records else _met
        anywhere = list(counted(touching)) if found is None else []  # the same for every block
        for block in blocks:
            lines = (
                anywhere
                if found is None
                else counted({name: touching[name] for name in touching.keys() & found[block]})
            )
            yield from (line._replace(block=block) for line in lines)


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
        # A key that only this unit has may have had its count n times, far above the threshold: δ says nothing then.
        delta = line.delta if met == 1 or not Fraction(line.delta) else "1"
        yield line._replace(loss=str(loss), delta=delta)


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

    The old reading may try any of its formats. Years that no record is landed with do not count.
    """
    (texts, windows), (old_texts, old_windows) = new.zones, old.zones
    pairs = [(form, old_form) for form in dict.fromkeys(_written(new.formats)) for old_form in old.formats]
    found: dict[date, set[date]] = {}
    with scratch() as connection:
        # The minutes and seconds vary, so that one that was read as a month or a day shows; zones show at the edges.
        connection.execute(
            "CREATE TEMP TABLE _times AS SELECT _at, "
            f"timezone({literal(texts)}, timezone({literal(windows)}, _at)) AS _feed FROM (SELECT "
            f"TIMESTAMP {literal(start.isoformat())} + to_minutes(30 * n + n % 30) + to_seconds(7 * n % 60) AS _at "
            f"FROM range({48 * (end - start).days}) AS _range(n) UNION ALL "
            f"SELECT unnest([_day, _day + to_seconds(86399)]) FROM (SELECT TIMESTAMP {literal(start.isoformat())} + "
            f"to_days(n::INTEGER) AS _day FROM range({(end - start).days}) AS _days(n)))"
        )
        connection.execute(
            "CREATE TEMP TABLE _read AS "
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
        query = f"SELECT DISTINCT _at::DATE, ({seen})::DATE FROM _read WHERE year(_was) BETWEEN 1901 AND 2198"
        for day, was in connection.execute(query).fetchall():
            found.setdefault(day, set()).add(was)
    return found


def _written(forms: Iterable[str]) -> Iterator[str]:
    """The formats in which a text may have been written: with or without leading zeros, with any number of decimals."""
    for form in forms:
        for decimals in ("%g", "%f", "%n"):
            exact = re.sub("%[gfn]", decimals, form)
            yield re.sub(r"%(?=[dmHIMSyj])", "%-", exact)
            yield re.sub(r"%-(?=[dmHIMSyj])", "%", exact)
            yield exact
