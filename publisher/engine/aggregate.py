"""Bounded aggregation in DuckDB and numpy: records in, exact bounded tables out, in memory only.

The result depends only on the records and the ordering key, not on threads, parts or the order of files. Coarser tables
add up the same bounded cells; nothing is bounded twice.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.definitions.cells import CellGrid
from publisher.definitions.dataset import WIDER
from publisher.definitions.levels import Level
from publisher.duck import limits, safely
from publisher.engine.bounding import LARGEST, bounded, halves_of, limited, packing_of
from publisher.engine.input import BoundedInput, RecordSource, check_columns
from publisher.engine.parts import in_parts
from publisher.engine.people import packed_part
from publisher.engine.register import RecordsNeededError
from publisher.stages import BoundedAggregate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

    from publisher.definitions.dataset import Measure
    from publisher.definitions.period import Period
    from publisher.engine.bounding import Contributions, Packing
    from publisher.engine.bounding import Rows as Bounded
    from publisher.engine.parts import Part
    from publisher.engine.people import PackedPart
    from publisher.stages import Integers, Table
    from publisher.workspace import DatasetFile

SHARE = 0.4
"""The share of the engine's memory that rows of people may take; what is beyond it is read in another pass."""


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
            tables = _bound_people(rows, levels, ordering_key)
    return BoundedAggregate(levels, tables)


def _count_records(rows: BoundedInput, levels: tuple[Level, ...]) -> dict[Table, Integers]:
    """The unit is the record: each is in one cell once, so a plain GROUP BY is already bounded."""
    import numpy as np

    totals = (
        f"sum(least(greatest(coalesce(sum_{n}, 0), {each.clamps[0]}), {each.clamps[1]}))"
        for n, each in enumerate(rows.sums)
    )
    clamped = "".join(
        f", CAST(least(greatest({each}, -{LARGEST}), {LARGEST}) AS BIGINT) AS total_{n}"
        for n, each in enumerate(totals)
    )
    cells, counts, *sums = _fetched(rows, f"SELECT cell, count(*) AS counted{clamped} FROM bounded_input GROUP BY cell")
    columns = dict(zip((each.name for each in rows.sums), sums, strict=True))
    finest: dict[str, Integers] = {}
    for measure in rows.dataset.definition.measured:
        if measure.kind != "histogram":
            finest[measure.name] = np.zeros(rows.grid.size, dtype=np.int64)
            finest[measure.name][cells] = columns.get(measure.name, counts)
    for n, measure in enumerate(rows.histograms):
        select = (
            f"SELECT cell, bin_{n} AS bin, count(*) AS counted FROM bounded_input WHERE bin IS NOT NULL GROUP BY ALL"
        )
        cells, bins, counts = _fetched(rows, select)
        finest[measure.name] = np.zeros(rows.grid.size * measure.width, dtype=np.int64)
        finest[measure.name][cells * measure.width + bins] = counts
    measures = {each.name: each for each in rows.dataset.definition.measured}
    return {
        (level.name, name): rolled_up(table, level, measures[name])
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


def _fetched(rows: BoundedInput, select: str) -> list[Integers]:
    """The columns of whole numbers that a SELECT gives, without NULLs."""
    import numpy as np

    return [np.asarray(column).astype(np.int64) for column in rows.run(select).fetchnumpy().values()]


def rolled_up(table: Integers, level: Level, measure: Measure) -> Integers:
    """The finest table's cells added up into those of a level, exactly, as integers; sums are limited to ±2⁶²."""
    import numpy as np

    parts = np.stack(halves_of(table)) if measure.kind == "sum" else table[np.newaxis]
    return _whole(_added_up(parts, level, measure))


def _added_up(table: Integers, level: Level, measure: Measure) -> Integers:
    """The finest cells added up into those of a level: a table has one row or, for sums, two, its halves."""
    import numpy as np

    added = np.zeros((len(table), level.grid.size, measure.width), dtype=np.int64)
    for sums, part in zip(added, table, strict=True):
        np.add.at(sums, level.cells, part.reshape(-1, measure.width))
    return added.reshape(len(table), -1)


def _whole(table: Integers) -> Integers:
    """The numbers of a table of one row, or of two halves."""
    return limited(*table) if len(table) > 1 else table[0]


def _bound_people(rows: BoundedInput, levels: tuple[Level, ...], ordering_key: int) -> dict[Table, Integers]:
    """Bound people, first without the ids of readings: they are seldom needed, and make up a third of what is read."""
    if rows.differences is None:
        return _bound_units(rows, levels, ordering_key)
    try:
        return _bound_units(replace(rows, reads_records=False), levels, ordering_key)
    except RecordsNeededError:
        return _bound_units(rows, levels, ordering_key)


def _bound_units(rows: BoundedInput, levels: tuple[Level, ...], ordering_key: int) -> dict[Table, Integers]:
    """Bound people part by part: a unit is in exactly one part, so memory use does not depend on the size."""
    import numpy as np

    definition, bounding = rows.dataset.definition, _Bounding(rows, levels, ordering_key)
    tables = {
        name: np.zeros((2 if each.kind == "sum" else 1, size), np.int64) for name, each, size in bounding.tables()
    }
    memory, threads = limits(rows.connection)
    for parts in in_parts(rows.people_rows, int(memory * SHARE)):
        with ThreadPoolExecutor(threads) as pool:
            for found in pool.map(bounding, parts):
                for each in found:
                    _add(tables[each.table], each)
    made = {name: _whole(table) for name, table in tables.items() if name[0] == WIDER}
    for measure in definition.measured:
        for level in levels:
            name = level.name, measure.name
            finest = measure.kind == "count_units" or level is levels[-1]
            made[name] = _whole(tables[name] if finest else _added_up(tables["", measure.name], level, measure))
    return made


@dataclass(frozen=True)
class _Addition:
    """What is added to a table: values at places, subtracted where an earlier vintage has counted them."""

    table: Table
    places: Integers
    values: Integers
    sign: int = 1


def _add(table: Integers, each: _Addition) -> None:
    import numpy as np

    parts = halves_of(each.values) if len(table) > 1 else (each.values,)
    for sums, part in zip(table, parts, strict=True):
        np.add.at(sums, each.places, each.sign * part)


@dataclass(frozen=True)
class _Bounding:
    """Bounds the units of one part, and tells what they contribute to the tables."""

    rows: BoundedInput
    levels: tuple[Level, ...]
    ordering_key: int

    @property
    def packing(self) -> Packing:
        """Where unit, priority and cell are."""
        return packing_of(self.rows.grid.size, vintages=self.rows.increment)

    def tables(self) -> Iterator[tuple[Table, Measure, int]]:
        """The tables that are added to, with their sizes: coarser ones only where units do not add up."""
        definition = self.rows.dataset.definition
        for measure in definition.measured:
            for level in self.levels if measure.kind == "count_units" else self.levels[-1:]:
                yield (level.name, measure.name), measure, level.grid.size * measure.width
        for measure in definition.covered:
            yield (WIDER, measure.name), measure, 1

    def __call__(self, part: Part) -> list[_Addition]:
        """All contributions of one part. Called by several threads at once."""
        packed = packed_part(part.rows(), self.rows, self.packing, self.ordering_key)
        vintage = self.rows.records.vintage
        found = self._until(packed, vintage, 1)
        if self.rows.increment and vintage > 1:
            found += self._until(packed, vintage - 1, -1)
        return found

    def _until(self, part: PackedPart, vintage: int, sign: int) -> list[_Addition]:
        definition, rows = self.rows.dataset.definition, part.until(vintage)
        bounds, found = definition.bounds, list[_Addition]()
        kept = bounded(rows, self.packing, bounds.max_groups, bounds.max_per_group)
        for measure in definition.measured:
            levels = self.levels if measure.kind == "count_units" else self.levels[-1:]
            for level in levels:
                places, values = _contributed(kept, measure, level, bounds.max_per_group)
                found.append(_Addition((level.name, measure.name), places, values, sign))
        if definition.covered:
            found += self._within_wider(rows, sign)
        return found

    def _within_wider(self, rows: Bounded, sign: int) -> list[_Addition]:
        """The total of each covered measure within wider bounds, by the same order: what counts is a part of it."""
        import numpy as np

        definition, bounds = self.rows.dataset.definition, self.rows.dataset.definition.bounds.wider
        whole = Level("", CellGrid((self.rows.period,), ()), Fraction(1), np.zeros(self.rows.grid.size, np.int64))
        kept, found = bounded(rows, self.packing, bounds.max_groups, bounds.max_per_group), list[_Addition]()
        for measure in definition.covered:
            if measure.kind == "count_units":  # a unit counts once in every one of its cells
                places, values = np.zeros(1, np.int64), np.array([len(kept.cells)])
            else:
                places, values = _contributed(kept, measure.wider, whole, bounds.max_per_group)
            found.append(_Addition((WIDER, measure.name), places, values, sign))
        return found


def _contributed(kept: Contributions, measure: Measure, level: Level, most: int) -> tuple[Integers, Integers]:
    """Places in a level's table and what the (unit, cell) pairs that are kept add there: at most what the sensitivity
    allows."""
    import numpy as np

    if measure.kind == "histogram":
        cells, bins = kept.bins[measure.name]
        return level.cells[cells] * measure.width + bins, np.ones(len(cells), np.int64)
    places = level.cells[kept.cells]
    if measure.kind == "count_units":
        pairs = np.unique(kept.units * np.uint64(level.grid.size) + places.astype(np.uint64))
        return (pairs % np.uint64(level.grid.size)).astype(np.int64), np.ones(len(pairs), np.int64)
    if measure.kind == "sum":
        return places, np.clip(kept.totals[measure.name], *measure.clamps)
    return places, np.minimum(kept.rows, most)
