"""The rows of one part of people as packed integers, in the order that decides what is kept of each unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.engine import register
from publisher.engine.bounding import Rows, neighbors_as_one
from publisher.engine.order import PRIORITY_BITS, RECORD_BITS, chained, seeds
from publisher.engine.parts import halves, numbered
from publisher.errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from publisher.engine.bounding import Packed, Packing
    from publisher.engine.input import BoundedInput
    from publisher.engine.parts import Rows as Columns
    from publisher.stages import Integers


@dataclass(frozen=True)
class PackedPart:
    """The rows of a part, and with a policy for late records the vintage of each."""

    rows: Rows
    vintages: NDArray[np.uint8] | None

    def until(self, vintage: int) -> Rows:
        """The rows that had arrived by that vintage."""
        if self.vintages is None:
            return self.rows
        there, rows = self.vintages <= vintage, self.rows
        return Rows(
            packed=rows.packed[there],
            sums={name: column[there] for name, column in rows.sums.items()},
            bins={name: column[there] for name, column in rows.bins.items()},
            order=rows.order[there] if rows.order is not None else None,
        )


def packed_part(columns: Columns, source: BoundedInput, packing: Packing, ordering_key: int) -> PackedPart:
    """One part's rows as packed integers, with the values to be summed and put into bins.

    The order comes from the unit itself, never from its number, which depends on who else is there.
    """
    import numpy as np

    numbers, owners = numbered(columns)
    if len(owners) > packing.most_units:
        raise SourceError(f"{source.dataset.name}: too many cells for so many units: release shorter periods")
    states = np.zeros(len(owners), np.uint64)
    used = np.flatnonzero(owners >= 0)
    states[used] = seeds(ordering_key, *halves(columns["unit"].take(owners[used])))
    if source.differences is not None:
        order = register.order_of(columns, numbers)
        done = {"unit", "_window", "_event"} | (set() if source.histograms else {"_record"})
        columns = {name: column.take(order) for name, column in columns.items() if name not in done}
        numbers = numbers.take(order)
    vintages = columns["_vintage"] if source.increment else None
    cells = columns["cell"].astype(np.uint64)
    state = chained(states.take(numbers), cells)
    packed = packed_rows(numbers, state, cells, packing)
    ranks = None
    if vintages is not None:  # cells that an earlier vintage has counted keep their places among the k
        packed |= _first(numbers, cells, vintages, packing) << np.uint64(PRIORITY_BITS + packing.cell_bits)
    if source.histograms:
        high, low = halves(columns["_record"])
        ranks = chained(chained(state, high), low) >> np.uint64(64 - RECORD_BITS)
        ranks |= (vintages.astype(np.uint64) if vintages is not None else np.uint64(0)) << np.uint64(RECORD_BITS)
    rows = Rows(packed, *_values(columns, numbers, source), ranks)
    return PackedPart(neighbors_as_one(rows) if source.differences is not None else rows, vintages)


def packed_rows(numbers: Integers, state: Packed, cells: Packed, packing: Packing) -> Packed:
    """Each row's unit, priority and cell in one integer; `state` is the mix of its unit and its cell."""
    import numpy as np

    packed = numbers.astype(np.uint64) << np.uint64(packing.unit_shift)
    packed |= state >> np.uint64(64 - PRIORITY_BITS) << np.uint64(packing.cell_bits)
    packed |= cells
    return packed


def _first(numbers: Integers, cells: Packed, vintages: NDArray[np.uint8], packing: Packing) -> Packed:
    """For each row the vintage in which its unit first reached its cell."""
    import numpy as np

    pairs = numbers.astype(np.uint64) << np.uint64(packing.cell_bits) | cells
    order = np.lexsort((vintages, pairs))
    pairs, ordered = pairs[order], vintages[order]
    begins = np.append(np.ones(min(1, len(pairs)), bool), pairs[1:] != pairs[:-1])
    found = np.empty(len(order), np.uint64)
    found[order] = ordered[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
    return found


def _values(
    columns: Columns, numbers: Integers, source: BoundedInput
) -> tuple[dict[str, Integers], dict[str, Integers]]:
    """What is summed, by measure, and what is put into bins."""
    sums = {each.name: columns[f"sum_{n}"] for n, each in enumerate(source.sums) if f"sum_{n}" in columns}
    bins = {each.name: columns[f"bin_{n}"] for n, each in enumerate(source.histograms) if f"bin_{n}" in columns}
    if source.differences is not None:
        made = register.differences(columns, numbers)
        sums |= {each.name: register.whole_steps(made, each) for each in source.sums if each.name not in sums}
        bins |= {each.name: register.bins_of(made, each) for each in source.histograms if each.name not in bins}
    return sums, bins
