"""Sums of published cells that a reader asks for, with the margin that follows from the margins of the cells.

The errors of cells are independent, or partly cancel each other where tables were made to agree, so the square root of
the sum of the squares of their margins is a margin for their sum. Three things make that too narrow, and this module
corrects for them. Without the corrections, a trial over simulated releases found that it held as rarely as 8% of the
time:

- A published number may have been cut at zero or moved so that all tables agree: the larger half-width is used.
- The margin of a count ends on whole numbers: one half is added to each half-width.
- The noisy values decide which cells are shown. A small cell is shown when noise raised it and suppressed when noise
  lowered it, so a sum of shown cells tends to be too high. Its low end therefore allows for half of the margin of every
  cell that is so near the smallest shown number that it might have been suppressed.

With these corrections the margin contained the true sum of the cells shown at least 94% of the time in every one of 180
groups of sums that were tried, and 95% or more in nearly all of them. It says nothing about suppressed cells: they are
not in the sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any

from publisher.grades import SUPPRESSED, grade

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.portal.contract import ShapeMeasure

    Ask = Callable[[dict[str, str]], list[dict[str, Any]]]

NEAR = Decimal("0.5")
"""What the low end allows for each cell near the smallest shown number, as a share of its margin."""


@dataclass(frozen=True, slots=True)
class Total:
    """A sum of the cells that are not suppressed; value and margin are None if all of them are."""

    value: Decimal | None
    low: Decimal | None
    high: Decimal | None
    left_out: int
    """How many cells are suppressed."""

    @property
    def status(self) -> str:
        """The same grades that a cell can have, by the same limits."""
        return SUPPRESSED if self.value is None else grade(self.value, self.low, self.high)


def totals(
    measure: ShapeMeasure, ask: Ask, by: list[str], clauses: dict[str, str]
) -> list[tuple[dict[str, Any], Total]]:
    """Sum an additive measure by some columns: each row with its total. `clauses` may filter, order, and limit."""
    group = ", ".join(f"`{name}`" for name in by)
    said = f"{group}, sum(`{measure.name}`) as total, count(*) as cells, count(`{measure.name}`) as known"
    least, floor = _least(measure, ask)
    spread = _spread(measure, least) if measure.low and measure.high else ""
    rows = ask(clauses | {"$select": said + spread, "$group": group})
    return [(row, _total(row, floor)) for row in rows]


def _least(measure: ShapeMeasure, ask: Ask) -> tuple[Decimal, Decimal | None]:
    """The smallest number shown anywhere, and the floor for every sum: zero if no margin reaches below zero."""
    lows = f", min(`{measure.low}`) as low" if measure.low else ""
    found = ask({"$select": f"min(`{measure.name}`) as least{lows}"})[0]
    low = found.get("low")
    return Decimal(str(found["least"] or 0)), Decimal(0) if low is not None and low >= 0 else None


def _spread(measure: ShapeMeasure, least: Decimal) -> str:
    """The SoQL for the sums over cells that the margin is computed from."""
    whole = " + 0.5" if measure.kind == "count" else ""
    half = f"(greatest(`{measure.high}` - `{measure.name}`, `{measure.name}` - `{measure.low}`){whole})"
    near = f"CASE WHEN `{measure.name}` < {least:f} + {half} THEN {half} ELSE 0 END"
    return f", count({half}) as bounded, sum({half} ^ 2) as squares, sum({near}) as near"


def _total(row: dict[str, Any], floor: Decimal | None) -> Total:
    left_out = int(row["cells"] - row["known"])
    if row["total"] is None:
        return Total(None, None, None, left_out)
    value = Decimal(str(row["total"]))
    if not row.get("bounded") or row["bounded"] < row["known"]:
        return Total(value, None, None, left_out)
    half = Decimal(str(row["squares"])).sqrt()
    low, high = value - half - NEAR * Decimal(str(row["near"])), value + half
    step = Decimal(1).scaleb(min(0, int(value.as_tuple().exponent)))
    low = low.quantize(step, ROUND_FLOOR)
    return Total(value, low if floor is None else max(low, floor), high.quantize(step, ROUND_CEILING), left_out)
