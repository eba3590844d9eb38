"""Cumulative readings turned into differences: what a meter shows less what it showed before, within unit and window.

The first reading of a window has no difference: one that reached back would carry a unit's records into a window in
which they are not protected. `BoundedInput` says the same in SQL, for measurements of the bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.engine.parts import halves

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from publisher.definitions.dataset import Measure
    from publisher.engine.parts import Rows
    from publisher.stages import Floats, Integers

LARGEST = 2.0**63
"""What no whole number of 64 bits reaches."""


def differences(rows: Rows, numbers: Integers) -> Floats:
    """For each row of a part its reading less the one before it by event time and record; NaN if there is none.

    `numbers` tells units and their windows apart. Rows without a reading are passed over.
    """
    import numpy as np

    found = np.full(len(numbers), np.nan)
    there = np.flatnonzero(rows["read"])
    order = there[_in_order(numbers[there], rows["_event"][there], rows["_record"][there])]
    readings, units = rows["reading"].astype(np.float64)[order], numbers[order]
    with np.errstate(invalid="ignore", over="ignore"):
        found[order[1:]] = np.where(units[1:] == units[:-1], readings[1:] - readings[:-1], np.nan)
    return found


def whole_steps(values: Floats, measure: Measure) -> Integers:
    """Values in whole steps of the resolution, halves away from zero; what is missing, infinite or absurd is zero."""
    import numpy as np

    with np.errstate(invalid="ignore", over="ignore"):
        steps = values / float(measure.resolution or 1)
        whole = np.trunc(steps)
        whole += np.where(np.abs(steps - whole) >= 0.5, np.copysign(1.0, steps), 0.0)  # the remainder is exact
        fits = (whole >= -LARGEST) & (whole < LARGEST)
    return np.where(fits, whole, 0).astype(np.int64)


def bins_of(values: Floats, measure: Measure) -> Integers:
    """The number of each value's bin; -1 if there is none."""
    import numpy as np

    begins = np.array([float(begin) for begin in (measure.bins or ())[1:]])
    return np.where(np.isnan(values), -1, np.searchsorted(begins, values, side="right")).astype(np.int64)


def _in_order(numbers: Integers, event: Integers, records: NDArray[np.void]) -> Integers:
    """The positions of rows in the order of unit, event time and record."""
    import numpy as np

    if not len(numbers):
        return np.empty(0, np.int64)
    since = (event - event.min()).astype(np.uint64)
    bits = int(since.max()).bit_length()
    if bits + int(numbers.max()).bit_length() > 64:
        return np.lexsort((*reversed(halves(records)), since, numbers))
    packed = numbers.astype(np.uint64) << np.uint64(bits) | since
    order = np.argsort(packed)
    packed = packed[order]
    tied = packed[1:] == packed[:-1]
    tied = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
    high, low = halves(records[order[tied]])
    order[tied] = order[tied][np.lexsort((low, high, packed[tied]))]
    return order
