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


class RecordsNeededError(Exception):
    """Two readings of a unit are of the same time, so that the ids of records decide which comes first."""


def order_of(rows: Rows, numbers: Integers) -> Integers:
    """The positions of a part's rows by unit and window, then event time and record; `numbers` tells the first two."""
    import numpy as np

    event = rows["_event"]

    if not len(numbers):
        return np.empty(0, np.int64)
    since = (event - event.min()).astype(np.uint64)
    bits = int(since.max()).bit_length()
    if bits + int(numbers.max()).bit_length() > 64:
        return np.lexsort((*reversed(halves(_records(rows))), since, numbers))
    packed = numbers.astype(np.uint64) << np.uint64(bits) | since
    order = np.argsort(packed)
    packed = packed[order]
    tied = packed[1:] == packed[:-1]
    if tied.any():
        tied = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
        high, low = halves(_records(rows)[order[tied]])
        order[tied] = order[tied][np.lexsort((low, high, packed[tied]))]
    return order


def differences(rows: Rows, numbers: Integers) -> Floats:
    """For each row, in order, its reading less the one before it; NaN if there is none.

    Rows without a reading are passed over.
    """
    import numpy as np

    found = np.full(len(numbers), np.nan)
    there = np.flatnonzero(rows["read"])
    readings, units = rows["reading"], numbers
    if len(there) < len(units):
        readings, units = readings[there], units[there]
    with np.errstate(invalid="ignore", over="ignore"):
        found[there[1:]] = np.where(units[1:] == units[:-1], readings[1:] - readings[:-1], np.nan)
    return found


def _records(rows: Rows) -> NDArray[np.void]:
    """The ids of records. Raises RecordsNeededError if they were not read."""
    if "_record" not in rows:
        raise RecordsNeededError
    return rows["_record"]


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
