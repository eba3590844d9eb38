"""What the bounds of a measure leave out, in words: the one place that writes that sentence, for pages, files, metadata
and terminals.

Noise has a margin, but what bounds cut has none. So a number that bounds may have made smaller never stands without it.
"""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from publisher.portal.base.messages import message

if TYPE_CHECKING:
    from collections.abc import Callable

SPANS = {
    "day": message("a day"),
    "week": message("a week"),
    "month": message("a month"),
    "quarter": message("a quarter"),
    "year": message("a year"),
}
STEPS = {
    "day": message("day"),
    "week": message("week"),
    "month": message("month"),
    "quarter": message("quarter"),
    "year": message("year"),
}

RECORDS = {
    "several": message("Counts at most %(each)s of the %(items)s of one %(unit)s in each of %(cells)s cells %(span)s"),
    "one": message("Counts at most %(each)s of the %(items)s of one %(unit)s in one cell %(span)s"),
    "any": message("Counts at most %(each)s of the %(items)s of one %(unit)s in each cell"),
}
UNITS = {
    "several": message("Counts one %(unit)s in at most %(cells)s cells %(span)s"),
    "one": message("Counts one %(unit)s in one cell %(span)s"),
}
TOTALS = {
    "several": message(
        "Counts the total of one %(unit)s in each of %(cells)s cells %(span)s as at least %(lower)s and at most "
        "%(upper)s %(amount)s"
    ),
    "one": message(
        "Counts the total of one %(unit)s in one cell %(span)s as at least %(lower)s and at most %(upper)s %(amount)s"
    ),
    "any": message(
        "Counts the total of one %(unit)s in each cell as at least %(lower)s and at most %(upper)s %(amount)s"
    ),
}
CLAMP = message("Counts each record as at least %(lower)s and at most %(upper)s %(amount)s")
CELL = message("(a cell: %(cell)s)")

HIGHER = message("the real total is the same or higher")
HIGHER_FROM_ZERO = message("apart from totals below 0, the real total is the same or higher")
EITHER_TOTAL = message("the real total can be higher or lower")
EITHER = message("the real value can be higher or lower")


SHARE = message(
    "By a noisy measurement of %(period)s, made on %(day)s, this counts about %(low)s%% to %(high)s%% of everything."
)

SHARE_AT_LEAST = message(
    "By a noisy measurement of %(period)s, made on %(day)s, this counts at least about %(low)s%% of everything."
)


ABOUT = message(
    "By a noisy measurement of %(period)s, about %(share)s%% (%(low)s%% to %(high)s%%) of %(within)s is counted."
)
BETWEEN = message("By a noisy measurement of %(period)s, between %(low)s%% and %(high)s%% of %(within)s is counted.")
AT_LEAST = message("By a noisy measurement of %(period)s, at least %(low)s%% of %(within)s is counted.")
UNKNOWN = message("A noisy measurement of %(period)s cannot tell how much of %(within)s is counted.")
WIDEST = 20
"""Of a range of more percent than this, the middle would say more than was measured."""
EVERYTHING = message("everything")
WITHIN = message("what wider limits would count (%(clauses)s)")
WITHIN_CELLS = message("cells: %(number)s")
WITHIN_RECORDS = message("records in a cell: %(number)s")
WITHIN_TOTALS = message("total in a cell: %(number)s")


def _same(text: str) -> str:
    return text


def _grouped(number: str) -> str:
    """A number with its thousands set apart, as English writes it."""
    whole, point, rest = number.partition(".")
    return f"{int(whole):,}{point}{rest}"


def _form(low: int, high: int) -> str:
    """The form that says no more of a share than its range, in percent."""
    if high == 100:
        return AT_LEAST if low else UNKNOWN
    return BETWEEN if high - low > WIDEST else ABOUT


class BoundFacts(BaseModel):
    """What one privacy unit can add to a measure at most. Texts are the publisher's own; numbers are plain."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["count", "count_units", "sum", "mean", "quantile"]
    unit: str = ""
    """The privacy unit in words, such as applicant; empty if each record is one."""
    cells: int | None = None
    """The most cells of the finest table; None if that leaves nothing out."""
    span: Literal["day", "week", "month", "quarter", "year"] = "year"
    """The time that those cells are for."""
    cell: tuple[str, ...] = ()
    """What tells cells apart: the titles of the key columns."""
    step: Literal["day", "week", "month", "quarter", "year"] | None = None
    """The time step of the cells, if it is shorter than that time."""
    each: int | None = None
    """The most records in one cell; None if records are not counted."""
    items: str = ""
    """What the records are, such as permits."""
    lower: str = ""
    """The least that a total in one cell counts as; empty if nothing is added up."""
    upper: str = ""
    amount: str = ""
    """What totals are in, such as US dollars."""

    def words(
        self,
        say: Callable[[str], str] = _same,
        number: Callable[[str], str] = _grouped,
        own: Callable[[str], str] = _same,
    ) -> str:
        """The sentence: `say` translates ours, `number` writes numbers, `own` marks the publisher's words."""
        texts = {"unit": own(self.unit), "items": own(self.items), "amount": own(self.amount)}
        numbers = {"cells": self.cells, "each": self.each, "lower": self.lower, "upper": self.upper}
        texts |= {name: number(str(value)) for name, value in numbers.items() if value not in (None, "")}
        texts["span"] = say(SPANS[self.span])
        first, *others = [say(text) % texts for text in self._counted()]
        if self.cells is not None:
            parts = [own(title) for title in self.cell] + ([say(STEPS[self.step])] if self.step else [])
            first = first + " " + say(CELL) % {"cell": say(" × ").join(parts)}
        counted = say(". ").join([first, *others])
        return counted + "; " + say(self._meaning()) + "."

    def _counted(self) -> list[str]:
        """The clauses that say what counts."""
        many = "any" if self.cells is None else "one" if self.cells == 1 else "several"
        if self.kind == "count_units":
            return [UNITS[many]]
        clauses = [(TOTALS[many] if self.unit else CLAMP)] if self.upper else []
        return [*clauses, RECORDS[many]] if self.each is not None else clauses

    def _meaning(self) -> str:
        """In which direction the real number lies; only what is certain."""
        if self.kind in ("mean", "quantile"):
            return EITHER
        if self.kind != "sum":
            return HIGHER
        return HIGHER_FROM_ZERO if float(self.lower) == 0 else EITHER_TOTAL


class CountedShare(BaseModel):
    """How much of a measure its bounds let count, by a charged and noisy measurement."""

    model_config = ConfigDict(frozen=True)

    measure: str
    low: float
    high: float
    period: str
    """What was measured."""
    at: str
    """The day it was made, in ISO 8601."""
    share: float | None = None
    """About how much, if it was measured as a share; None if only the two ends are known."""
    within: BoundFacts | None = None
    """The wider bounds of what it is a share of; None if it is one of everything, or if these leave nothing out."""

    def words(
        self,
        say: Callable[[str], str] = _same,
        number: Callable[[str], str] = _grouped,
        period: Callable[[str], str] = _same,
        day: Callable[[str], str] = _same,
    ) -> str:
        """The sentence: `period` and `day` write dates for people; shares are rounded outwards."""
        low, high = str(floor(100 * self.low)), str(ceil(100 * self.high))
        facts = {"low": number(low), "high": number(high), "period": period(self.period), "day": day(self.at)}
        if self.share is not None:
            facts["share"] = number(str(min(max(round(100 * self.share), int(low)), int(high))))
            facts["within"] = self._within(say, number)
            return say(_form(int(low), int(high))) % facts
        return say(SHARE if high != "100" else SHARE_AT_LEAST) % facts

    def _within(self, say: Callable[[str], str], number: Callable[[str], str]) -> str:
        """What it is a share of: the clauses of the wider bounds that leave anything out."""
        wider = self.within
        if wider is None:
            return say(EVERYTHING)
        clauses = [
            say(text) % {"number": number(str(limit))}
            for text, limit in (
                (WITHIN_CELLS, wider.cells),
                (WITHIN_RECORDS, wider.each),
                (WITHIN_TOTALS, wider.upper or None),
            )
            if limit is not None
        ]
        return say(WITHIN) % {"clauses": ", ".join(clauses)} if clauses else say(EVERYTHING)
