"""Sums of published cells that a reader asks for and no table has.

A published number may have been cut at zero or moved so that all tables add up, so a sum of them may be far off: of
many sparse cells it is too high by more than any margin. The ranges tell the unprojected estimates behind the numbers,
though, and sums of these are off by noise alone, whose law is public. So a sum has a range where all of its cells have
a number. Where some are suppressed, the noise decided which, and no range would hold: the sum is partial.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from publisher.grades import SUPPRESSED, grade
from publisher.portal.base.differences import SLACK, added_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.portal.base.differences import NoiseLaw
    from publisher.portal.contract import ShapeMeasure

    Ask = Callable[[dict[str, str]], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Total:
    """A sum of the cells that are not suppressed; the value is None if all of them are, the ends if it has no range."""

    value: Decimal | None
    low: Decimal | None
    high: Decimal | None
    left_out: int
    """How many cells are suppressed."""

    @classmethod
    def of(cls, value: Any) -> Total:
        """What nothing is known about but its value."""
        return cls(None if value is None else Decimal(str(value)), None, None, 0)

    @property
    def unranged(self) -> Total:
        """The same without a range, which does not hold for cells that were chosen by their numbers."""
        return Total(self.value, None, None, self.left_out)

    @property
    def status(self) -> str:
        """Partial if cells are left out, otherwise one that a cell can have; empty if it has no range."""
        if self.value is None:
            return SUPPRESSED
        if self.left_out:
            return "partial"
        if self.low is None or self.high is None:
            return ""
        return grade(self.value, self.low, self.high)


def totals(
    measure: ShapeMeasure, ask: Ask, by: list[str], clauses: dict[str, str]
) -> list[tuple[dict[str, Any], Total]]:
    """Sum an additive measure by some columns, or of all cells: each row with its total. `clauses` may filter,
    order, and limit."""
    group = ", ".join(f"`{name}`" for name in by)
    said = f"sum(`{measure.name}`) as total, count(*) as cells, count(`{measure.name}`) as known"
    law = measure.noise if measure.low and measure.high else None
    spread = _spread(measure, law) if law else ""
    rows = ask(
        clauses | ({"$select": f"{group}, {said}{spread}", "$group": group} if by else {"$select": said + spread})
    )
    return [(row, _total(row, law)) for row in rows]


def _spread(measure: ShapeMeasure, law: NoiseLaw) -> str:
    """The SoQL for the sums of what `estimate` says of each cell."""
    value, low, high = f"`{measure.name}`", f"`{measure.low}`", f"`{measure.high}`"
    step, slack = _written(law.step), _written(SLACK * law.step)
    uncut = f"{low} < {value}" if law.signed else f"{low} > 0 AND {low} < {value}"
    unmoved = f"WHEN {uncut} AND {value} < {high} THEN ({low} + {high}"
    widened = f"{low} IS NOT NULL" if law.signed else f"{low} > 0"
    least = (
        f"CASE {unmoved} - {step}) / 2 - {slack} WHEN {high} > {value} THEN {high} - {_written(law.most)} - {slack}"
        f" WHEN {widened} THEN {low} + {_written(law.least)} - {step} - {slack} END"
    )
    most = f"{high} + {step} - {_written(law.least)} + {slack}"
    fixed = f"WHEN {low} = {high} THEN greatest({most}, {value} + {slack})"
    most = f"CASE {unmoved} + {step}) / 2 + {slack} {fixed} ELSE {most} END"
    return f", count({low}) as ranged, sum({least}) as least, count({least}) as told, sum({most}) as most"


def _written(number: float) -> str:
    return f"{Decimal(repr(number)):f}"


def _total(row: dict[str, Any], law: NoiseLaw | None) -> Total:
    left_out = int(row["cells"] - row["known"])
    value = None if row["total"] is None else Decimal(str(row["total"]))
    cells = int(row["cells"])
    if law is None or value is None or left_out or row["ranged"] < cells:
        return Total(value, None, None, left_out)
    ends = float(row["least"] or 0), float(row["most"])
    found = added_up(float(value), ends, cells, cells - int(row["told"]), law)
    low, high = (Decimal(repr(round(end, 6))) for end in (found.low, found.high))
    return Total(value, low, high, left_out)
