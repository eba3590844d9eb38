"""What must not change an exact table: the order of rows, threads, parts, and other units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.audit.finding import replaced
from publisher.audit.replay import words
from publisher.audit.worst import CROWD_BITS, RECORD
from publisher.engine import parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.audit.bench import Bench
    from publisher.stages import BoundedAggregate, Integers, Table

ORDERS = 3
PART = 997
"""Rows bounded at once (instead of a hundred thousand)."""


def faults_of_order(bench: Bench) -> list[str]:
    """Whether tables are the same bit for bit, however the engine runs."""
    import numpy as np

    first = bench.aggregate()
    faults = [
        f"{words(name)} has numbers that are not whole" for name, t in first.tables.items() if t.dtype != np.int64
    ]
    for how, again in _otherwise(bench):
        changed = [name for name, table in first.tables.items() if not np.array_equal(table, again.tables[name])]
        faults += [f"{words(name)} changes with {how}" for name in changed]
    return faults


def faults_of_company(bench: Bench, *, generated: bool) -> list[str]:
    """Whether the tables of all are the sums of the tables of two halves of the units, for many ways to halve them.

    Generated units are divided by each bit of their numbers, so that any two of them are separated at least once.
    """
    import numpy as np

    whole, faults = bench.aggregate().tables, []
    number = f"TRY_CAST(left({RECORD}, 5) AS BIGINT)" if generated else f"hash({bench.unit})"
    for bit in range(CROWD_BITS if generated else ORDERS):
        halves = [bench.aggregate(f"({number} >> {bit}) & 1 = {value}").tables for value in (0, 1)]
        added: dict[Table, Integers] = {name: halves[0][name] + halves[1][name] for name in whole}
        apart = [name for name, table in whole.items() if not np.array_equal(table, added[name])]
        faults += [f"in {words(name)} some units count differently when others are there" for name in apart]
    return faults


def _otherwise(bench: Bench) -> Iterator[tuple[str, BoundedAggregate]]:
    run = bench.connection.execute
    for order in range(ORDERS):
        run(f"CREATE OR REPLACE TEMP TABLE shuffled AS SELECT * FROM landed ORDER BY hash(_record, {order})")
        yield "the order of rows", bench.aggregate(rows="shuffled")
    before = run("SELECT current_setting('threads')").fetchall()[0][0]
    for threads in (1, 4):
        run(f"SET threads = {threads}")
        yield "the number of threads", bench.aggregate(rows="shuffled")
    run(f"SET threads = {before}")
    with replaced(parts, "PART_ROWS", PART):
        yield "the size of parts", bench.aggregate()
