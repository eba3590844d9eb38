"""Whether the published tables of one release add up: each coarser cell is the sum of the finer ones inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.definitions.levels import neighbors, parents
from publisher.release.table import read_published

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from publisher.definitions.dataset import Dataset, Measure
    from publisher.definitions.levels import Level
    from publisher.release.manifest import Release
    from publisher.stages import Flags, Integers
    from publisher.workspace import DatasetFile


def additive(definition: Dataset) -> tuple[Measure, ...]:
    """The published measures that add up exactly: counts, sums, and units that are each in one cell."""
    return tuple(measure for measure in definition.measures if measure.shown and definition.adds_up(measure))


def differences(release: Release, dataset: DatasetFile, levels: Sequence[Level]) -> list[str]:
    """What does not add up, in words: one line for each measure and pair of neighboring tables.

    Families with a suppressed member are left out. So are tables that do not have the rows and columns they should
    have: their suites report that. Raises SourceError when a table cannot be read.
    """
    wanted = [each for each in levels if each.name in release.tables] if len(levels) > 1 else []
    tables = {each.name: read_published(release.tables[each.name]) for each in wanted}
    whole = [each for each in wanted if tables[each.name].num_rows == each.grid.size]
    return [
        f"{measure.name}: {dataset.named(coarse.name)} and {dataset.named(fine.name)} do not add up"
        for coarse, fine in neighbors(whole)
        for measure in additive(dataset.definition)
        if not _add_up(measure, tables[coarse.name], tables[fine.name], parents(coarse, fine))
    ]


def _add_up(measure: Measure, coarse: pa.Table, fine: pa.Table, above: Integers) -> bool:
    """`above` is the coarse row of each fine one."""
    import numpy as np

    if not all(measure.name in table.column_names for table in (coarse, fine)):
        return True
    wanted, empty = _steps(coarse, measure)
    values, missing = _steps(fine, measure)
    totals = np.zeros(len(wanted), dtype=np.int64)
    np.add.at(totals, above, values)
    skipped = empty.copy()
    skipped[above[missing]] = True
    return bool(np.all(skipped | (totals == wanted)))


def _steps(table: pa.Table, measure: Measure) -> tuple[Integers, Flags]:
    """The values in whole steps of the resolution, zero where empty, and which ones are empty."""
    import numpy as np

    column = table[measure.name]
    values = column.fill_null(0).to_numpy()
    if values.dtype.kind == "f":
        values = np.rint(values / float(measure.resolution or 1)).astype(np.int64)
    return values, column.is_null().to_numpy()
