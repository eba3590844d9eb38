"""The keyed order of 10 million rows beside sorting them, which follows: `python benchmarks/order.py [--rows N]`.

Ends with exit code 1 if the order takes longer than the sort. Both are seconds of the processor in one process, the
best of five, taken in turns.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np

from publisher.engine.aggregate import _put_in_order
from publisher.engine.bounding import packing_of
from publisher.engine.order import seeds

if TYPE_CHECKING:
    from collections.abc import Callable

REPEATS, CELLS = 5, 54_000
PEOPLE = 900_371
"""The people of the 10 million landed requests of release.py."""


def main() -> None:
    """Print seconds and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    draw, packing = np.random.default_rng(1), packing_of(CELLS)
    high, low = draw.integers(0, 1 << 64, (2, PEOPLE), dtype=np.uint64)
    people = draw.integers(0, PEOPLE, rows, dtype=np.uint64)
    packed = people << np.uint64(packing.unit_shift) | draw.integers(0, CELLS, rows, dtype=np.uint64)
    ordered = packed.copy()
    order, sort = [], []
    for _ in range(REPEATS):
        np.copyto(ordered, packed)
        order.append(seconds(lambda: _put_in_order(ordered, [], seeds(42, high, low), packing)))
        sort.append(seconds(lambda: np.sort(ordered)))
    ratio = min(order) / min(sort)
    print(f"{rows:,} rows: the order {min(order):.2f} s, the sort {min(sort):.2f} s: {ratio:.2f} times")
    raise SystemExit(int(ratio > 1))


def seconds(work: Callable[[], object]) -> float:
    """How long the processor works on it."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
