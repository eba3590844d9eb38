"""ISO 8601 durations, such as P1D or PT2H30M, and adding them to times."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from publisher.portal.base.problems import semantic
from publisher.portal.soql.terms import combined

if TYPE_CHECKING:
    from publisher.portal.soql.terms import Term, Values

_NUMBER = r"(-?\d{1,7})"
_PERIOD = re.compile(
    rf"P(?=.)(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?=.)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:(-?\d{{1,7}}(?:\.\d{{1,6}})?)S)?)?",
    re.IGNORECASE,
)
_MOST_DAYS = 4_000_000


def moved(values: Values, moment: Term, period: Term, sign: str) -> Term:
    """Compile `moment + period`. Raises SodaError type-mismatch if the period is not valid or too long."""
    found = _PERIOD.fullmatch((period.text or "").strip())
    if found is None:
        message = "An interval must be a text such as 'P1D' or 'PT2H30M'"
        raise semantic("type-mismatch", message, function=sign, **values.at(period.place))
    years, months, weeks, days, hours, minutes = (int(part or 0) for part in found.groups()[:6])
    seconds = Decimal(found[7] or 0) + 3600 * hours + 60 * minutes
    parts = (12 * years + months, 7 * weeks + days, int(seconds * 1_000_000))
    if abs(parts[0]) * 31 + abs(parts[1]) + abs(seconds) / 86400 > _MOST_DAYS:
        raise semantic("type-mismatch", "The interval is too long", function=sign, **values.at(period.place))
    way = -1 if sign == "-" else 1
    step = [values.bind(way * part) for part in parts]
    sql = (
        f"({moment.sql} + to_months({step[0]}::INTEGER) + to_days({step[1]}::INTEGER)"
        f" + to_microseconds({step[2]}::BIGINT))"
    )
    return combined(sql, moment.kind, moment)
