"""Bounded aggregation in DuckDB and numpy: records in, exact bounded tables out, in memory only.

The result depends only on the records and the ordering key, not on threads or the order of files. Coarser tables add up
the same bounded cells; nothing is bounded twice.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from publisher.definitions.cells import CellGrid
from publisher.definitions.dataset import WIDER
from publisher.definitions.levels import Level
from publisher.duck import safely
from publisher.engine.bounding import LARGEST, Rows, bounded, halves_of, limited, packing_of
from publisher.engine.input import BoundedInput, RecordSource, check_columns
from publisher.engine.order import PRIORITY_BITS, RECORD_BITS, chained, halves, seeds
from publisher.stages import BoundedAggregate

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from publisher.definitions.dataset import Measure
    from publisher.definitions.period import Period
    from publisher.engine.bounding import Contributions, Packed, Packing
    from publisher.stages import Integers, Table
    from publisher.workspace import DatasetFile

PART_ROWS = 20_000_000
"""Rows that are bounded at once: 160 MB of packed integers, and the same for each sum."""

CHUNK = 1 << 15
"""Rows that are put in order at once: what fits into a processor's cache."""


def bound_and_aggregate(
    connection: DuckDBPyConnection, records: RecordSource, dataset: DatasetFile, period: Period, ordering_key: int
) -> BoundedAggregate:
    """The exact bounded table of every measured measure on every level. Raises SourceError when data is unreadable."""
    check_columns(dataset, records.query)
    levels = dataset.levels(period)
    rows = BoundedInput(connection, dataset, levels[-1].grid, period, records)
    with safely(f"{dataset.name} {period.label}: aggregating"):
        rows.load()
        if not rows.people:
            tables = _count_records(rows, levels) | _wider_records(rows)
        else:
            tables = _bound_units(rows, levels, ordering_key, records.vintage)
            if rows.increment and records.vintage > 1:
                before = _bound_units(rows, levels, ordering_key, records.vintage - 1)
                tables = {name: table - before[name] for name, table in tables.items()}
            tables = {name: table[0] if len(table) == 1 else limited(*table) for name, table in tables.items()}
    return BoundedAggregate(levels, tables)


def _count_records(rows: BoundedInput, levels: tuple[Level, ...]) -> dict[Table, Integers]:
    """The unit is the record: each is in one cell once, so a plain GROUP BY is already bounded."""
    import numpy as np

    totals = (
        f"sum(least(greatest(coalesce(sum_{n}, 0), {each.clamps[0]}), {each.clamps[1]}))"
        for n, each in enumerate(rows.sums)
    )
    clamped = "".join(f", CAST(least(greatest({each}, -{LARGEST}), {LARGEST}) AS BIGINT)" for each in totals)
    groups = _fetched(rows, f"SELECT cell, count(*){clamped} FROM bounded_input GROUP BY cell", 2 + len(rows.sums))
    columns = {each.name: 2 + n for n, each in enumerate(rows.sums)}
    finest: dict[str, Integers] = {}
    for measure in rows.dataset.definition.measured:
        if measure.kind != "histogram":
            finest[measure.name] = np.zeros(rows.grid.size, dtype=np.int64)
            finest[measure.name][groups[:, 0]] = groups[:, columns.get(measure.name, 1)]
    for n, measure in enumerate(rows.histograms):
        bins = _fetched(
            rows, f"SELECT cell, bin_{n}, count(*) FROM bounded_input WHERE bin_{n} IS NOT NULL GROUP BY ALL", 3
        )
        finest[measure.name] = np.zeros(rows.grid.size * measure.width, dtype=np.int64)
        finest[measure.name][bins[:, 0] * measure.width + bins[:, 1]] = bins[:, 2]
    measures = {each.name: each for each in rows.dataset.definition.measured}
    return {
        (level.name, name): _rolled_up(table, level, measures[name])
        for level in levels
        for name, table in finest.items()
    }


def _wider_records(rows: BoundedInput) -> dict[Table, Integers]:
    """The same where records are the units: only sums are bounded, by their clamps."""
    import numpy as np

    numbers = {each.name: n for n, each in enumerate(rows.sums)}
    found: dict[Table, Integers] = {}
    for measure in rows.dataset.definition.covered:
        low, high = measure.wider.clamps
        total = f"sum(least(greatest(coalesce(sum_{numbers[measure.name]}, 0), {low}), {high}))"
        held = f"CAST(least(greatest(coalesce({total}, 0), -{LARGEST}), {LARGEST}) AS BIGINT)"  # no record: no total
        ((value,),) = rows.run(f"SELECT {held} FROM bounded_input").fetchall()
        found[WIDER, measure.name] = np.array([value], dtype=np.int64)
    return found


def _fetched(rows: BoundedInput, select: str, width: int) -> Integers:
    import numpy as np

    return np.array(rows.run(select).fetchall(), np.int64).reshape(-1, width)


def _rolled_up(table: Integers, level: Level, measure: Measure) -> Integers:
    """The finest table's cells added up into those of a level, exactly, as integers; sums are limited to ±2⁶²."""
    import numpy as np

    parts = halves_of(table) if measure.kind == "sum" else (table,)
    added = np.zeros((len(parts), level.grid.size, measure.width), dtype=np.int64)
    for sums, part in zip(added, parts, strict=True):
        np.add.at(sums, level.cells, part.reshape(-1, measure.width))
    return limited(added[0].reshape(-1), added[1].reshape(-1)) if len(parts) > 1 else added.reshape(-1)


def _bound_units(
    rows: BoundedInput, levels: tuple[Level, ...], ordering_key: int, vintage: int
) -> dict[Table, Integers]:
    """Bound people part by part: a unit is in exactly one part, so memory use does not depend on the size.

    The table of a sum has two rows, its halves.
    """
    import numpy as np

    packing, bounds = packing_of(rows.grid.size, vintages=rows.increment), rows.dataset.definition.bounds
    measures = rows.dataset.definition.measured
    tables = {
        (level.name, each.name): np.zeros((2 if each.kind == "sum" else 1, level.grid.size * each.width), np.int64)
        for level in levels
        for each in measures
    }
    count = rows.run("SELECT count(*) FROM raw").fetchall()[0][0]
    parts = 1 + max(count // PART_ROWS, 2 * count // packing.most_units)
    for part in range(parts):
        survivors = bounded(
            _packed(rows, packing, ordering_key, parts, part, vintage), packing, bounds.max_groups, bounds.max_per_group
        )
        for measure in measures:
            for level in levels:
                _add(tables[level.name, measure.name], measure, level, survivors, bounds.max_per_group)
    return tables | _wider_units(rows, packing, ordering_key, parts, vintage)


def _wider_units(
    rows: BoundedInput, packing: Packing, ordering_key: int, parts: int, vintage: int
) -> dict[Table, Integers]:
    """The total of each covered measure within wider bounds, by the same order: what counts is a part of it."""
    import numpy as np

    definition, bounds = rows.dataset.definition, rows.dataset.definition.bounds.wider
    whole = Level("", CellGrid((rows.period,), ()), Fraction(1), np.zeros(rows.grid.size, dtype=np.int64))
    found = {(WIDER, each.name): np.zeros((2 if each.kind == "sum" else 1, 1), np.int64) for each in definition.covered}
    for part in range(parts if found else 0):
        packed = _packed(rows, packing, ordering_key, parts, part, vintage)
        survivors = bounded(packed, packing, bounds.max_groups, bounds.max_per_group)
        for each in definition.covered:
            table = found[WIDER, each.name]
            if each.kind == "count_units":  # a unit counts once in every one of its cells
                table[0, 0] += len(survivors.cells)
            else:
                _add(table, each.wider, whole, survivors, bounds.max_per_group)
    return found


def _add(table: Integers, measure: Measure, level: Level, survivors: Contributions, most: int) -> None:
    """Add what the (unit, cell) pairs that are kept contribute: at most what the sensitivity allows."""
    import numpy as np

    if measure.kind == "histogram":
        cells, bins = survivors.bins[measure.name]
        np.add.at(table[0], level.cells[cells] * measure.width + bins, 1)
    elif measure.kind == "count_units":
        pairs = np.unique(np.stack([survivors.units.astype(np.int64), level.cells[survivors.cells]]), axis=1)
        np.add.at(table[0], pairs[1], 1)
    elif measure.kind == "sum":
        totals = np.clip(survivors.totals[measure.name], *measure.clamps)
        for sums, part in zip(table, halves_of(totals), strict=True):
            np.add.at(sums, level.cells[survivors.cells], part)
    else:
        np.add.at(table[0], level.cells[survivors.cells], np.minimum(survivors.rows, most))


def _packed(rows: BoundedInput, packing: Packing, ordering_key: int, parts: int, part: int, vintage: int) -> Rows:
    """One part's rows as packed integers, with the values to be summed and put into bins.

    Units get dense numbers from a dictionary of the part: a hash could make two units into one and so double the
    sensitivity. The order comes from the unit itself, never from its number, which depends on who else is there.
    """
    import numpy as np

    mine = f" WHERE hash(_unit) % {parts} = {part}" if parts > 1 else ""  # any division into parts gives the same
    rows.run(
        f"SELECT _unit, _window, CAST(row_number() OVER () - 1 AS UBIGINT) AS number "
        f"FROM (SELECT DISTINCT _unit, _window FROM records{mine})",
        into="CREATE OR REPLACE TEMP TABLE numbered_units AS ",
    )
    # What a vintage adds to a unit's total must never be taken back by a later one, or both would count.
    value = "greatest(coalesce(sum_{n}, 0), 0)" if rows.increment else "coalesce(sum_{n}, 0)"
    values = "".join(f", {value.format(n=n)} AS sum_{n}" for n in range(len(rows.sums)))
    values += "".join(f", CAST(coalesce(bin_{n}, -1) AS BIGINT) AS bin_{n}" for n in range(len(rows.histograms)))
    first = "CAST(_vintage AS UBIGINT)" if rows.increment else "0::UBIGINT"
    values += f", {first} << {RECORD_BITS} AS ordered, {halves('_record', 'record')}" if rows.histograms else ""
    place, taken = "cell", ""
    if rows.increment:  # cells that an earlier vintage has counted keep their places among the k
        first = "CAST(min(_vintage) OVER (PARTITION BY _unit, _window, cell) AS UBIGINT)"
        place = f"({first} << {PRIORITY_BITS + packing.cell_bits}) | cell"
        taken = f" WHERE _vintage <= {vintage}"
    columns: dict[str, Any] = rows.run(
        f"SELECT (number << {packing.unit_shift}) | {place} AS packed{values} "
        f"FROM bounded_input JOIN numbered_units USING (_unit, _window){taken}"
    ).fetchnumpy()
    packed = np.require(columns["packed"], np.uint64, "W")
    names = ("ordered", "record_high", "record_low") if rows.histograms else ()
    records = [np.require(columns[name], np.uint64, "W") for name in names]
    _put_in_order(packed, records, _seeds(rows, ordering_key), packing)
    return Rows(
        packed=packed,
        sums={each.name: np.asarray(columns[f"sum_{n}"], dtype=np.int64) for n, each in enumerate(rows.sums)},
        bins={each.name: np.asarray(columns[f"bin_{n}"], dtype=np.int64) for n, each in enumerate(rows.histograms)},
        order=records[0] if records else None,
    )


def _seeds(rows: BoundedInput, ordering_key: int) -> Packed:
    """The state of each unit, by its number in the part."""
    import numpy as np

    units = rows.connection.execute(f"SELECT number, {halves('_unit', 'unit')} FROM numbered_units").fetchnumpy()
    number, high, low = (np.asarray(column, dtype=np.uint64) for column in units.values())
    found = np.empty(len(number), dtype=np.uint64)
    found[number] = seeds(ordering_key, high, low)
    return found


def _put_in_order(packed: Packed, records: list[Packed], states: Packed, packing: Packing) -> None:
    """Put each row's priority into its place and, where records have an order, that of the row's record."""
    import numpy as np

    bits, cells = np.uint64(packing.cell_bits), np.uint64((1 << packing.cell_bits) - 1)
    for begin in range(0, len(packed), CHUNK):
        part = slice(begin, begin + CHUNK)
        state = chained(states[packed[part] >> np.uint64(packing.unit_shift)], packed[part] & cells)
        packed[part] |= state >> np.uint64(64 - PRIORITY_BITS) << bits
        if records:
            order, high, low = (each[part] for each in records)
            order |= chained(chained(state, high), low) >> np.uint64(64 - RECORD_BITS)
