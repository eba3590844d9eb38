"""Generated worst-case records for one definition, and how far they must move every table.

The records have the columns that the source's SELECT gives; they are landed, bounded and counted like any others.
Units are numbered; the first ones attain the declared sensitivity where the dataset's tables allow it:

- `together`: k cells that fall into as few cells of a coarser table as possible, so that they add up there;
- `apart`: k cells that fall into as many cells of it as possible, for counts of units.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from publisher.definitions.dataset import WIDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from publisher.definitions.dataset import Bounds, Measure
    from publisher.definitions.levels import Level
    from publisher.definitions.period import Period
    from publisher.stages import Integers, Table
    from publisher.workspace import DatasetFile

    Texts = NDArray[np.object_]

RECORD, UNIT, TIME = "audit_record", "audit_unit", "audit_time"
TIME_FORM = "%Y-%m-%d %H:%M:%S"

MOST_CELLS, MOST_RECORDS = 300, 30
"""The most cells of one unit, and records in a cell, however large the bounds are."""
MOST_WINDOWS = 3
"""How many windows have the same heavy units."""
CROWD, CROWD_ROWS = 2048, 40_000
"""How many units (or records of units together) have one record in each of the same k cells."""
CROWD_BITS = 12
"""Enough bits to tell the numbers of any two units apart."""
JUNK = ("nan", "inf", "-inf", "1e30", "-1e18", "1e-300", "9223372036854775807", "oops", "", "-1", "0.1")
FOUND = tuple(f"found {n}" for n in range(8))
"""Texts of a key column whose keys are to be discovered."""


@dataclass(frozen=True)
class WorstCase:
    """Rows of units: the unit, the cell and the value of each; shapes (rows,)."""

    units: Integers
    cells: Integers
    window: tuple[date, date]
    amounts: Texts | str
    vintages: Integers | int = 1


@dataclass(frozen=True)
class Worst:
    """The records of one dataset and period."""

    dataset: DatasetFile
    period: Period
    vintages: int
    windows: tuple[tuple[date, date], ...]

    @property
    def people(self) -> bool:
        """Whether units are people, accounts or parcels."""
        return self.dataset.source.definition.privacy.unit != "record"

    @property
    def each(self) -> int:
        """How many records an attaining unit has in each cell: more than c, unless that is too many."""
        return min(self.dataset.definition.bounds.wider.max_per_group + 2, MOST_RECORDS) if self.people else 1

    @property
    def groups(self) -> int:
        """The most cells of a unit that may count."""
        return min(self.dataset.definition.bounds.max_groups, MOST_CELLS)

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The SELECT's columns by content: keys, and amounts of measures. A column that is both is a key."""
        definition = self.dataset.definition
        keys = tuple(key.name for key in definition.keys)
        amounts = dict.fromkeys(each.column for each in definition.measured if each.column)
        register = self.dataset.source.definition.register_
        if register is not None and register.consumption in amounts:
            amounts[register.reading] = amounts.pop(register.consumption)
        return {"keys": keys, "amounts": tuple(name for name in amounts if name and name not in keys)}

    def attainable(self) -> dict[Table, tuple[int, int]]:
        """L1 and the square of L2 that some neighbor must attain, from the bounds and the shape of the tables alone."""
        found: dict[Table, tuple[int, int]] = {}
        for level in self.dataset.levels(self.period):
            for measure in self.dataset.definition.measured:
                if measure.kind == "count_units":
                    apart = max(len(self._apart(level, n)) for n in range(len(self.windows)))
                    found[level.name, measure.name] = apart, apart
                elif measure.column not in self.columns["keys"]:
                    found[level.name, measure.name] = self._together_moves(level, self._moved(measure))
        for measure in self.dataset.definition.covered:
            if measure.column not in self.columns["keys"]:
                moved = len(self._widely(0)) * self._moved(measure.wider, self.dataset.definition.bounds.wider)
                found[WIDER, measure.name] = moved, moved**2
        return found

    def _widely(self, window: int) -> Integers:
        """The cells of a unit that attains the wider bounds."""
        chosen: Integers = self._cells(window)[: min(self.dataset.definition.bounds.wider.max_groups, MOST_CELLS)]
        return chosen

    def rows(self) -> pa.Table:
        """All records as texts, with the number of their vintage in the column `vintage`."""
        import pyarrow as pa

        return pa.concat_tables([self._table(batch, n) for n, batch in enumerate(self._batches())])

    @property
    def attaining(self) -> range:
        """The numbers of the units that are made to attain the sensitivity: they come first."""
        return range(4 * len(self.dataset.levels(self.period)) + bool(self.dataset.definition.covered))

    def _moved(self, measure: Measure, bounds: Bounds | None = None) -> int:
        """How far an attaining unit moves a finest cell."""
        if measure.kind == "sum":
            return max(map(abs, measure.clamps))
        if measure.kind == "count_units":
            return 1
        return min(self.each, (bounds or self.dataset.definition.bounds).max_per_group)

    def _together_moves(self, level: Level, each: int) -> tuple[int, int]:
        import numpy as np

        moves = []
        for n in range(len(self.windows)):
            counts = np.unique(level.cells[self._together(level, n)], return_counts=True)[1].tolist()
            moves.append((each * sum(counts), each**2 * sum(count**2 for count in counts)))
        return max(l1 for l1, _ in moves), max(l2 for _, l2 in moves)

    def _cells(self, window: int) -> Integers:
        """The finest cells that a record of the window may be in."""
        import numpy as np

        grid = self.dataset.grid(self.period)
        start, end = self.windows[window]
        inside = np.array([each.start < end and start < each.end for each in grid.periods])
        return np.flatnonzero(np.repeat(inside, grid.size // len(grid.periods))).astype(np.int64)

    def _together(self, level: Level, window: int) -> Integers:
        import numpy as np

        cells = self._cells(window)
        parents = level.cells[cells]
        sizes = np.bincount(parents)[parents]
        chosen: Integers = cells[np.lexsort((cells, parents, -sizes))][: self.groups]
        return chosen

    def _apart(self, level: Level, window: int) -> Integers:
        import numpy as np

        cells = self._cells(window)
        _, firsts = np.unique(level.cells[cells], return_index=True)
        chosen: Integers = cells[firsts][: self.groups]
        return chosen

    def _best(self, level: Level) -> tuple[int, int]:
        """The windows that reach most of a coarser cell, and most coarser cells."""
        import numpy as np

        windows = range(len(self.windows))
        sizes = [
            int((np.unique(level.cells[self._together(level, n)], return_counts=True)[1] ** 2).sum()) for n in windows
        ]
        apart = [len(self._apart(level, n)) for n in windows]
        return sizes.index(max(sizes)), apart.index(max(apart))

    def _batches(self) -> Iterator[WorstCase]:
        """Everything that has ever broken a bound."""
        import numpy as np

        number = 0
        for level in self.dataset.levels(self.period):
            together, apart = self._best(level)
            for amount in ("most", "least"):
                yield self._full(number, self._together(level, together), together, amount)
                yield self._full(number + 1, self._apart(level, apart), apart, amount)
                number += 2
        if self.dataset.definition.covered:
            yield self._full(number, self._widely(0), 0, "most")
            number += 1
        yield from self._others(number, np.random.default_rng(1))

    def _others(self, number: int, chance: np.random.Generator) -> Iterator[WorstCase]:
        """Heavy units in every window, junk, values that floats add up wrongly, a crowd."""
        import numpy as np

        for window in range(len(self.windows[:MOST_WINDOWS])):
            cells = self._cells(window)
            many = chance.permutation(cells)[: 3 * self.groups + 20]
            yield self._full(number, many, window, "most", spread=1)
            yield self._full(number + 1, many, window, "most", spread=self.each)
            units = np.repeat(np.arange(number + 2, number + 32), 11)
            junk = np.resize(np.array(JUNK, dtype=object), len(units))
            anybody = chance.integers(1, self.vintages + 1, len(units))
            yield WorstCase(units, chance.choice(cells, len(units)), self.windows[window], junk, anybody)
        cell = self._cells(0)[:1]
        units = np.full(47, number + 32)
        amounts = chance.permutation(np.array(["vast"] * 20 + ["-vast"] * 20 + ["one"] * 7, dtype=object))
        yield WorstCase(units, np.repeat(cell, 47), self.windows[0], amounts)
        cells = self._cells(0)[: self.groups]  # as many as count: two units taken for one would lose some
        crowd = np.arange(number + 33, number + 33 + min(CROWD, CROWD_ROWS // len(cells)))
        yield WorstCase(np.repeat(crowd, len(cells)), np.tile(cells, len(crowd)), self.windows[0], "one")

    def _full(self, number: int, cells: Integers, window: int, amount: str, *, spread: int = 0) -> WorstCase:
        """A unit with more than c records in each of the cells, of the first vintage, or that many of each in turn."""
        import numpy as np

        cells = np.repeat(cells, self.each)
        vintages = 1 + np.arange(len(cells)) // spread % self.vintages if spread else 1
        return WorstCase(np.full(len(cells), number), cells, self.windows[window], amount, vintages)

    def _table(self, batch: WorstCase, number: int) -> pa.Table:
        """The rows as texts; every seventh junk record appears twice, some have no unit."""
        import numpy as np
        import pyarrow as pa

        count = len(batch.cells)
        times = self._times(batch)
        amounts = np.full(count, batch.amounts, dtype=object) if isinstance(batch.amounts, str) else batch.amounts
        columns: dict[str, Any] = dict(self._texts_of_keys(batch.cells, number))
        for name in self.columns["amounts"]:
            columns[name] = self._amounts(name, amounts, times, batch.units)
        columns[RECORD] = [f"{unit:05d}-{number}-{n}" for n, unit in enumerate(batch.units.tolist())]
        columns[TIME] = np.char.replace(np.datetime_as_string(times, unit="s"), "T", " ")
        if self.people:
            nobody = np.isin(amounts, JUNK) & (np.arange(count) % 5 == 0)
            columns[UNIT] = np.where(nobody, "", np.char.add("unit ", batch.units.astype(str)))
        table = pa.table({name: pa.array([str(each) for each in column]) for name, column in columns.items()})
        vintages = np.broadcast_to(np.asarray(batch.vintages, dtype=np.int64), (count,))
        table = table.append_column("vintage", pa.array(vintages))
        twice = np.flatnonzero(np.isin(amounts, JUNK) & (np.arange(count) % 7 == 0))
        return pa.concat_tables([table, table.take(twice)])

    def _times(self, batch: WorstCase) -> NDArray[np.datetime64]:
        """A time in the cell's time step and in the window, one second after the row before."""
        import numpy as np

        grid = self.dataset.grid(self.period)
        starts = np.array([each.start for each in grid.periods], dtype="datetime64[s]")
        begin = starts[batch.cells // (grid.size // len(grid.periods))]
        seconds = np.arange(len(batch.cells)) % 86_000
        times: NDArray[np.datetime64] = np.maximum(begin, np.datetime64(batch.window[0], "s")) + seconds
        return times

    def _texts_of_keys(self, cells: Integers, number: int) -> dict[str, Texts]:
        """The keys of the cells; those under a catch-all have a text that no keyset has, from its own batch."""
        import numpy as np

        grid = self.dataset.grid(self.period)
        places = np.unravel_index(cells, grid.shape)[1:]
        texts: dict[str, Texts] = {}
        for axis, codes in zip(grid.axes, places, strict=True):
            keys = np.array(axis.keys, dtype=object)
            texts[axis.name] = np.where(codes == axis.other, f"unseen {number}", keys[codes])
        return texts

    def _amounts(self, column: str, amounts: Texts, times: NDArray[np.datetime64], units: Integers) -> Texts:
        """The words most, least, vast and one as numbers of this column; for a register, readings that rise or fall."""
        import numpy as np

        register = self.dataset.source.definition.register_
        reading = register is not None and column == register.reading
        of_column = register.consumption if reading and register is not None else column
        largest, step = self._extent(of_column)
        values = {"most": largest, "least": -largest, "vast": step * 2**53, "-vast": -step * 2**53, "one": step}
        if not reading:
            return np.array([format(values[text], "f") if text in values else text for text in amounts], dtype=object)
        ranks = np.empty(len(times), dtype=np.int64)
        ranks[np.lexsort((times, units))] = np.arange(len(times))
        named = zip(amounts, ranks.tolist(), strict=True)
        return np.array([format(values[t] * rank, "f") if t in values else t for t, rank in named], dtype=object)

    def _extent(self, column: str) -> tuple[Decimal, Decimal]:
        """Twice the largest clamp or bin of a column's measures, and the smallest step of its sums."""
        largest, step = [Decimal(1)], [Decimal(1)]
        for measure in self.dataset.definition.measured:
            if measure.column == column:
                largest += [
                    abs(end) for end in (measure.lower, measure.wider.upper, *(measure.bins or ())) if end is not None
                ]
                step = [measure.resolution] if measure.resolution is not None else step
        return 2 * max(largest), step[0]


def worst_of(dataset: DatasetFile, period: Period, vintages: int) -> Worst:
    """The worst-case records of a dataset's period."""
    privacy = dataset.source.definition.privacy
    if dataset.definition.discovered is not None:
        dataset = dataset.discovering(FOUND)
    cut = period.cut(privacy.window) if privacy.unit != "record" else (period,)
    windows = tuple((max(each.start, period.start), min(each.end, period.end)) for each in cut)
    return Worst(dataset, period, vintages, windows)
