"""How reliable each published number is: the four grades, their limits, and the margin in percent that decides them.

The limits are those of statistical agencies, which state them for the coefficient of variation: one standard error as a
share of the number. Statistics Canada publishes up to 16.6% without a warning, up to 33.3% as "use with caution" (E),
and calls what is beyond "too unreliable to be published" (F). Half of a 95% margin is 1.96 standard errors, so in terms
of the margin these are 33% and 65%. They are the same for every dataset: a grade means one thing wherever it stands.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, localcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Positions = NDArray[np.int64]

OK, CAUTION, UNRELIABLE, SUPPRESSED = STATUSES = ("ok", "caution", "unreliable", "suppressed")
"""What the status column of a measure can say, from the most reliable to no number at all."""

LIMITS = (33, 65)
"""The most that half the margin may be, in whole percent of the number: of an `ok` one, and of a `caution` one."""


def margin_percent(value: Decimal | None, low: Decimal | None, high: Decimal | None) -> int | None:
    """Half the margin in percent of the value, rounded up so that it never looks smaller; None if the value is zero, or
    if one of them is missing.

    >>> margin_percent(Decimal(100), Decimal(88), Decimal(112))
    12
    >>> margin_percent(Decimal(300), Decimal(299), Decimal(301))
    1
    """
    if not value or low is None or high is None:
        return None
    with localcontext(prec=60):
        share = 50 * (high - low) / abs(value)
        return int(share.to_integral_value(ROUND_CEILING))


def margin_percents(value: Floats, low: Floats, high: Floats) -> Floats:
    """The same for arrays; NaN also where a value or an end of its margin is missing."""
    import numpy as np

    known = np.isfinite(value) & np.isfinite(low) & np.isfinite(high) & (value != 0)
    half = 50 * (np.where(known, high, 0) - np.where(known, low, 0))
    share = half / np.where(known, np.abs(value), 1)
    # Binary fractions may put a whole percent a trace too high.
    return np.where(known, np.ceil(share * (1 - 1e-12)), np.nan)


def grade(value: Decimal, low: Decimal | None, high: Decimal | None, *, exact: bool = False) -> str:
    """The grade of a number by its margin. A margin without an end has no grade but unreliable, nor has a zero, nor a
    margin that limits have cut to nothing; a number in which there is no noise is as it is: `exact`.

    >>> grade(Decimal(100), Decimal(67), Decimal(133)), grade(Decimal(100), Decimal(66), Decimal(133))
    ('ok', 'caution')
    >>> grade(Decimal(0), Decimal(0), Decimal(0)), grade(Decimal(0), Decimal(0), Decimal(0), exact=True)
    ('unreliable', 'ok')
    """
    if exact or low == high:
        return OK if exact else UNRELIABLE
    percent = margin_percent(value, low, high)
    return STATUSES[sum(percent > limit for limit in LIMITS)] if percent is not None else UNRELIABLE


def grades(value: Floats, low: Floats, high: Floats, exact: Flags) -> Positions:
    """The grades of an array of numbers as positions in `STATUSES`; a missing value or end is unreliable, and so is a
    margin of nothing, unless the number is `exact`: its margin was nothing before limits cut it."""
    import numpy as np

    percent = margin_percents(value, low, high)
    unknown = np.isnan(percent) | (low == high)
    found: Positions = np.where(unknown, STATUSES.index(UNRELIABLE), np.searchsorted(LIMITS, percent))
    return np.where(exact, STATUSES.index(OK), found)
