"""The keyed order of 10 million rows beside sorting them, which follows: `python benchmarks/order.py [--rows N]`.

Ends with exit code 1 if the order takes more than twice as long as the sort, which some processors do for many numbers
at a time. Both are seconds of the processor in one process, the best of five, taken in turns, part by part as in a
release.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np

from publisher.engine.bounding import packing_of
from publisher.engine.order import chained, seeds
from publisher.engine.parts import PART_ROWS
from publisher.engine.people import packed_rows

if TYPE_CHECKING:
    from collections.abc import Callable

REPEATS, CELLS = 5, 54_000
ROWS_EACH = 11
"""The rows of one person, as in the 10 million landed requests of release.py."""


def main() -> None:
    """Print seconds and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    draw, packing, people = np.random.default_rng(1), packing_of(CELLS), PART_ROWS // ROWS_EACH
    high, low = draw.integers(0, 1 << 64, (2, people), dtype=np.uint64)
    sizes = [min(PART_ROWS, rows - begin) for begin in range(0, rows, PART_ROWS)]
    parts = [(draw.integers(0, people, size), draw.integers(0, CELLS, size, dtype=np.uint64)) for size in sizes]

    def put_in_order() -> list[np.ndarray]:
        return [
            packed_rows(numbers, chained(seeds(42, high, low)[numbers], cells), cells, packing)
            for numbers, cells in parts
        ]

    order, sort = [], []
    for _ in range(REPEATS):
        order.append(seconds(put_in_order))
        ordered = put_in_order()
        sort.append(seconds(lambda packed=ordered: [np.sort(part) for part in packed]))
    ratio = min(order) / min(sort)
    print(f"{rows:,} rows: the order {min(order):.2f} s, the sort {min(sort):.2f} s: {ratio:.2f} times")
    raise SystemExit(int(ratio > 2))


def seconds(work: Callable[[], object]) -> float:
    """How long the processor works on it."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
