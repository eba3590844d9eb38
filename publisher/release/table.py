"""The published tables as Arrow: keys, values, margins and statuses of every cell, with descriptions of the columns.

A release has one table per level: the dataset's own, and a coarser companion for each rollup. Totals over time are
tables of their own, with the keys of one level.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from publisher.definitions import period as civil
from publisher.definitions.dataset import WIDER
from publisher.definitions.period import NESTS
from publisher.definitions.totals import NAMES, adds_over_time
from publisher.errors import SourceError
from publisher.grades import CAUTION, LIMITS, OK, STATUSES, SUPPRESSED, UNRELIABLE
from publisher.portal.contract import widest
from publisher.release.bounds import bounds_of
from publisher.release.manifest import (
    WHOLE,
    ColumnSpec,
    KeyShape,
    MeasureShape,
    Release,
    RollupTable,
    Shape,
    data_file,
    measurements_file,
)
from publisher.stages import REASONS, Mechanism, NoisyTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from publisher.definitions.cells import Axis, CellGrid
    from publisher.definitions.dataset import CoarserKey, Dataset, Key, Measure, Rollup
    from publisher.definitions.levels import Level
    from publisher.definitions.period import Grain
    from publisher.definitions.totals import TotalOverTime
    from publisher.portal.contract import NoiseLaw
    from publisher.stages import FinishedMeasure, FinishedTable, Integers, Table
    from publisher.workspace import DatasetFile

WHY = (
    "Why it is suppressed: threshold (too few), customer rule (too few customers, or one may have too large a share), "
    "or complementary (so that another suppressed cell does not follow from the totals). Empty if it is not "
    "suppressed, and in releases made before this column was added."
)
"""What the column of reasons says; decided from numbers with noise alone."""

STATUS = (
    f"{OK} (half the margin is at most {LIMITS[0]}% of the value), {CAUTION} (at most {LIMITS[1]}%: use it with its "
    f"margin), {UNRELIABLE} (more, or no percentage can be given), or {SUPPRESSED} (value and margin are empty)."
)
"""What the column of statuses says."""

PERCENT = (
    "Half the margin of error in percent of the value, rounded up: 12 means probably within 12%. Empty where the value "
    "is suppressed or zero, where its margin has no upper end, and in releases made before this column was added."
)
"""What the column of margins in percent says."""


@dataclass(frozen=True)
class PublishedTable:
    """The table, its columns in order, and the role of each column."""

    table: pa.Table
    columns: tuple[ColumnSpec, ...]
    shape: Shape


@dataclass(frozen=True)
class KeyColumn:
    """A key column of one level; `labeled` if its keys have names for people in the next column."""

    name: str
    title: str
    description: str
    labeled: bool
    standard: str | None
    other: str


def published_table(finished: FinishedTable, dataset: DatasetFile, edition: int) -> PublishedTable:
    """One row per cell of the level's grid, in the grid's order."""
    import pyarrow as pa

    arrays: dict[str, Any] = cell_keys(finished.grid)
    measures = {measure.name: measure for measure in dataset.definition.measures}
    for each in finished.measures:
        arrays |= _measure(each, finished, measures[each.name])
    arrays["edition"] = pa.array([edition] * finished.grid.size, pa.int64())
    specs = column_specs(dataset, finished.level)
    table = pa.table({spec.name: arrays[spec.name] for spec in specs})
    laws = {each.name: each.noise for each in finished.measures}
    return PublishedTable(table, specs, shape_of(dataset, finished.level, laws))


def rollup_table(finished: FinishedTable, published: PublishedTable, dataset: DatasetFile) -> RollupTable:
    """What the manifest says about a companion table."""
    rollup = rollup_of(dataset.definition, finished.level)
    return RollupTable(
        name=finished.level,
        title=rollup.title if rollup is not None else dataset.definition.title,
        rows=finished.grid.size,
        suppressed=int(finished.suppressed.sum()),
        caution=int(finished.measures[0].has(CAUTION).sum()),
        unreliable=int(finished.measures[0].has(UNRELIABLE).sum()),
        columns=published.columns,
        shape=published.shape,
    )


def read_published(release: Release) -> pa.Table:
    """The published table. Raises SourceError where it is missing or damaged."""
    return read_file(release, data_file(release.level))


def read_file(release: Release, name: str) -> pa.Table:
    """One of its Parquet files. Raises SourceError where it is missing or damaged.

    `pyarrow.parquet.read_table` leaves threads that abort a short command now and then, as they begin while it ends.
    """
    import pyarrow as pa
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(pa.BufferReader(release.content(name))).read(use_threads=False)
    except (OSError, pa.ArrowException):
        raise SourceError(f"{release.path(name)}: is damaged: restore it from a backup") from None


def measurements_table(noisy: NoisyTable, level: Level) -> pa.Table:
    """One level's unbiased noisy values in whole steps, before anything was reconciled, suppressed or cut.

    A histogram's bins become the columns <name>_0, <name>_1 and so on.
    """
    return _numbered(level, {name: values for (of, name), values in noisy.tables.items() if of == level.name})


def wider_table(noisy: NoisyTable, period: str) -> pa.Table | None:
    """The noisy totals within wider bounds, in whole steps; None if the share that counts is not measured."""
    import pyarrow as pa

    totals = {name: pa.array(values, pa.int64()) for (of, name), values in noisy.tables.items() if of == WIDER}
    return pa.table({"id": [period], **totals}) if totals else None


def whole_table(noisy: NoisyTable) -> pa.Table | None:
    """The whole numbers of finest cells that all tables add up from, in whole steps; None if tables are a chain."""
    return _numbered(noisy.levels[-1], noisy.whole) if noisy.whole else None


def _numbered(level: Level, tables: Mapping[str, Integers]) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, Any] = {"id": cell_ids(level.grid)}
    for name, values in tables.items():
        bins = values.reshape(level.grid.size, -1).T
        names = [name] if len(bins) == 1 else [f"{name}_{n}" for n in range(len(bins))]
        columns |= {column: pa.array(each, pa.int64()) for column, each in zip(names, bins, strict=True)}
    return pa.table(columns)


def measured_of(release: Release) -> dict[Table, Integers]:
    """The noisy tables of every level as they were drawn. Raises SourceError when a file does not have them."""
    tables = {(each.level, each.measure) for each in release.manifest.charge.tables}
    files = {level: read_file(release, measurements_file(level)) for level in {level for level, _ in tables}}
    return {(level, name): _measured(files[level], name, release) for level, name in sorted(tables)}


def whole_of(release: Release, measures: Sequence[str]) -> dict[str, Integers]:
    """The whole numbers that are kept with a draw, of those of these measures that it has. Raises SourceError."""
    if WHOLE not in release.manifest.files:
        return {}
    table = read_file(release, WHOLE)
    kept = [name for name in measures if {name, f"{name}_0"} & set(table.column_names)]
    return {name: _measured(table, name, release) for name in kept}


def kept_draw(dataset: DatasetFile, release: Release) -> NoisyTable:
    """The unbiased noisy numbers of a release, with every draw in them. Raises SourceError."""
    mechanisms = tuple(
        Mechanism(
            each.measure,
            each.mechanism,
            each.scale,
            each.sensitivity,
            Fraction(each.loss),
            "",
            each.level,
            each.sampler,
        )
        for each in release.manifest.charge.tables
    )
    levels = dataset.levels(civil.parse(release.manifest.period))
    whole = whole_of(release, [each.name for each in dataset.definition.measured])
    return NoisyTable(levels, measured_of(release), mechanisms, whole)


def _measured(table: pa.Table, name: str, release: Release) -> Integers:
    """One measure's values, a histogram's cell by cell."""
    import numpy as np

    if name in table.column_names:
        values: Integers = table[name].to_numpy()
        return values
    bins: list[Integers] = []
    while f"{name}_{len(bins)}" in table.column_names:
        bins.append(table[f"{name}_{len(bins)}"].to_numpy())
    if not bins:
        raise SourceError(f"{release.manifest.name}: the measurements have no {name}: restore them from a backup")
    return np.stack(bins, axis=1).ravel()


def as_released(dataset: DatasetFile, release: Release) -> DatasetFile:
    """The dataset with the keys that the release's selection found, if it has one."""
    key = dataset.definition.discovered
    return dataset.discovering(release.manifest.discovered.get(key.name, ())) if key is not None else dataset


def cell_ids(grid: CellGrid) -> pa.StringArray:
    """The row identifier of every cell: its period and keys, lower case, joined by dots."""
    import numpy as np
    import pyarrow.compute

    periods, *numbers = np.unravel_index(np.arange(grid.size), grid.shape)
    ids = _taken([period.label for period in grid.periods], periods)
    for axis, positions in zip(grid.axes, numbers, strict=True):
        ids = pyarrow.compute.binary_join_element_wise(ids, _taken(_slugs(axis), positions), ".")
    return ids


def level_names(definition: Dataset) -> tuple[str, ...]:
    """The dataset's own table, which has no name, and its published rollups."""
    return ("", *(rollup.name for rollup in definition.companions))


def table_names(definition: Dataset) -> tuple[str, ...]:
    """Every published table: those of each release, then the totals over time."""
    return (*level_names(definition), *(total.name for total in definition.totals))


def title_of(definition: Dataset, table: str) -> str:
    """The title of that table."""
    rollups = {each.name: each.title for each in definition.rollups}
    return (rollups | {each.name: each.title for each in definition.totals}).get(table, definition.title)


def rollup_of(definition: Dataset, level: str) -> Rollup | None:
    """The rollup of that level, or that a total of that name adds up; None for the finest."""
    total = total_of(definition, level)
    level = total.level if total is not None else level
    return next((rollup for rollup in definition.rollups if rollup.name == level), None)


def total_of(definition: Dataset, table: str) -> TotalOverTime | None:
    """The totals over time of that name; None if the table is one of each release."""
    return next((total for total in definition.totals if total.name == table), None)


def key_columns(dataset: DatasetFile, level: str = "") -> tuple[KeyColumn, ...]:
    """The key columns of one level, in order."""
    known = {}
    for key, keyset in zip(dataset.definition.keys, dataset.keysets, strict=True):
        what = "From a public list" if key.discover is None else "Found by a selection with noise"
        words = key.description or f"{what}; everything else is counted under {key.other}."
        known[key.name] = _key_column(key, words, labeled=keyset.labels is not None)
    for each in dataset.coarser:
        coarser = each.definition
        words = coarser.description or f"Each {known[coarser.of].title.lower()} belongs to exactly one."
        known[coarser.name] = _key_column(coarser, words, labeled=each.keyset.labels is not None)
    rollup = rollup_of(dataset.definition, level)
    names = rollup.keys if rollup is not None else [key.name for key in dataset.definition.keys]
    return tuple(known[name] for name in names)


def _key_column(key: Key | CoarserKey, words: str, *, labeled: bool) -> KeyColumn:
    """The key column, with the standard that analysts use to join other data."""
    standard = f" Its keys are {key.standard}." if key.standard is not None else ""
    return KeyColumn(key.name, key.title, words + standard, labeled, key.standard, key.other)


def column_specs(dataset: DatasetFile, level: str = "") -> tuple[ColumnSpec, ...]:
    """The published columns of one level in order."""
    grain, total = _grain(dataset.definition, level), total_of(dataset.definition, level)
    title, period = grain.capitalize(), f"The {grain} of the records."
    if total is not None and total.running:
        title, period = f"Last {grain}", f"The last {grain} of the total, which adds up the {NAMES[total.grain]}."
    specs = [
        ColumnSpec(name="id", title="Row", type="text", description="Identifies the cell; never changes."),
        ColumnSpec(name="period", title=title, type="text", description=period),
        ColumnSpec(name="period_start", title="Starts", type="calendar_date", description=f"First day of the {grain}."),
    ]
    for key in key_columns(dataset, level):
        specs.append(ColumnSpec(name=key.name, title=key.title, type="text", description=key.description))
        if key.labeled:
            words = f"The name of the {key.title.lower()}."
            specs.append(ColumnSpec(name=f"{key.name}_name", title=f"{key.title} name", type="text", description=words))
    for measure in _shown(dataset.definition, level):
        note = _once(dataset, measure, grain) if total is None else _over_time(dataset.definition, measure)
        note += _bounded(dataset, measure, level)
        specs += _measure_specs(measure, note)
    words = "Goes up each time the period is published again."
    return (*specs, ColumnSpec(name="edition", title="Edition", type="number", description=words))


def shape_of(dataset: DatasetFile, level: str = "", laws: Mapping[str, NoiseLaw | None] | None = None) -> Shape:
    """The role of each published column of one level, with the laws of the noise of its measures."""
    keys, laws = key_columns(dataset, level), laws or {}
    return Shape(
        time="period_start",
        period="period",
        place=next((key.name for key in keys if _is_place(dataset, key.name)), None),
        keys=tuple(
            KeyShape(
                name=key.name,
                label=key.title,
                names=f"{key.name}_name" if key.labeled else None,
                standard=key.standard,
                other=key.other,
            )
            for key in keys
        ),
        measures=tuple(
            _measure_shape(dataset, each, level, laws.get(each.name)) for each in _shown(dataset.definition, level)
        ),
    )


def _shown(definition: Dataset, level: str) -> list[Measure]:
    """The measures that have columns in that table."""
    total = total_of(definition, level) is not None
    return [each for each in definition.measures if each.shown and (not total or adds_over_time(definition, each))]


def _is_place(dataset: DatasetFile, column: str) -> bool:
    """Whether its keys are places: the source's, those that have polygons of their own, or coarser ones of either."""
    definition = dataset.definition
    finest = definition.path(column)[-1]
    drawn = {key.name for key in definition.keys if key.boundaries is not None}
    return finest in drawn or finest in dataset.source.definition.places


def _grain(definition: Dataset, level: str) -> Grain:
    total = total_of(definition, level)
    if total is not None and not total.running:
        return "quarter" if total.grain == "quarter" else "year"
    rollup = rollup_of(definition, level)
    return (rollup.grain if rollup is not None else None) or definition.cell_grain


def laws_of(tables: Sequence[Release]) -> dict[str, NoiseLaw | None]:
    """By measure, a law of the noise that holds in all of these tables."""
    found: dict[str, list[NoiseLaw | None]] = {}
    for table in tables:
        for each in table.manifest.shape.measures:
            found.setdefault(each.name, []).append(each.noise)
    return {name: widest(laws) for name, laws in found.items()}


def _measure_shape(dataset: DatasetFile, measure: Measure, level: str, noise: NoiseLaw | None) -> MeasureShape:
    if measure.kind == "histogram":
        raise ValueError(f"{measure.name} is a histogram, which is never published")
    name = measure.name
    return MeasureShape(
        name=name,
        label=measure.title,
        kind=measure.kind,
        unit=measure.unit,
        low=f"{name}_low",
        high=f"{name}_high",
        status=f"{name}_status",
        range=f"{name}_range" if measure.kind == "quantile" else None,
        reason=f"{name}_reason",
        margin_percent=f"{name}_margin_percent",
        bounds=bounds_of(dataset, measure, rollup_of(dataset.definition, level)),
        noise=noise,
    )


def _once(dataset: DatasetFile, measure: Measure, grain: Grain) -> str:
    """What a reader must know about units that are counted in cells of several windows."""
    privacy = dataset.source.definition.privacy
    several = privacy.unit != "record" and privacy.window != grain and privacy.window in NESTS.get(grain, ())
    return f" Counted once in each {privacy.window}." if several and measure.kind == "count_units" else ""


def _over_time(definition: Dataset, measure: Measure) -> str:
    """What a reader must know about a total: it is the better number, and not the sum of the published ones."""
    numbers = {"mean": "Computed from sums of the noisy numbers", "quantile": "Computed from sums of the noisy numbers"}
    how = numbers.get(measure.kind, "The sum of the noisy numbers")
    each = definition.period
    return (
        f" {how} of its {each}s as they were before anything below zero was cut off, rounded once: it does not add up "
        f"with the published {each}s to the digit."
    )


def _bounded(dataset: DatasetFile, measure: Measure, level: str) -> str:
    """What bounds leave out of it; empty if nothing."""
    facts = bounds_of(dataset, measure, rollup_of(dataset.definition, level))
    return f" {facts.words()}" if facts is not None else ""


def _measure_specs(measure: Measure, note: str) -> list[ColumnSpec]:
    name, title = measure.name, measure.title
    words = (measure.description or f"{title}, in {measure.unit}, with noise added for privacy.") + note
    if measure.kind == "quantile":
        words += (
            " An estimate inside the range that the next columns give: the records of a bin are taken as spread evenly."
        )
    margin = "95% margin of error of the noise; before suppression, and without what bounding and clamping cut off."
    specs = [
        ColumnSpec(name=name, title=title, type="number", description=words),
        ColumnSpec(name=f"{name}_low", title=f"{title}, low", type="number", description=f"Low end of the {margin}"),
        ColumnSpec(name=f"{name}_high", title=f"{title}, high", type="number", description=f"High end of the {margin}"),
        ColumnSpec(
            name=f"{name}_margin_percent", title=f"{title}, margin in percent", type="number", description=PERCENT
        ),
        ColumnSpec(name=f"{name}_status", title=f"{title}, status", type="text", description=STATUS),
        ColumnSpec(name=f"{name}_reason", title=f"{title}, reason", type="text", description=WHY),
    ]
    if measure.kind == "quantile":
        words = (
            f"The bin that it is in, in {measure.unit}, or several if the noise cannot tell which; both ends belong to "
            "it, and ≥ has no end."
        )
        specs.append(ColumnSpec(name=f"{name}_range", title=f"{title}, range", type="text", description=words))
    return specs


def cell_keys(grid: CellGrid) -> dict[str, Any]:
    """Id, period and key columns of every cell, in the grid's order."""
    import numpy as np
    import pyarrow as pa

    periods, *numbers = np.unravel_index(np.arange(grid.size), grid.shape)
    columns: dict[str, Any] = {
        "id": cell_ids(grid),
        "period": _taken([period.label for period in grid.periods], periods),
        "period_start": pa.array([period.start for period in grid.periods], pa.date32()).take(pa.array(periods)),
    }
    for axis, positions in zip(grid.axes, numbers, strict=True):
        columns[axis.name] = _taken(axis.keys, positions)
        if axis.labels is not None:
            columns[f"{axis.name}_name"] = _taken(axis.labels, positions)
    return columns


def _taken(texts: Any, positions: NDArray[np.int64]) -> Any:
    import pyarrow as pa
    import pyarrow.compute

    return pa.array(list(texts), pa.string()).take(pa.array(positions))


def _slugs(axis: Axis) -> list[str]:
    """Keys as parts of an id; keys that would look the same get part of their hash, so their order does not matter."""
    slugs = [re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-") for key in axis.keys]
    digests = [hashlib.sha256(key.encode()).hexdigest()[:12] for key in axis.keys]
    alike = Counter(slugs)
    return [
        slug if alike[slug] == 1 and slug else f"{slug}-{digest}".strip("-")
        for slug, digest in zip(slugs, digests, strict=True)
    ]


def _measure(each: FinishedMeasure, finished: FinishedTable, measure: Measure) -> dict[str, Any]:
    import pyarrow as pa

    whole = measure.measured and (measure.resolution or 1) % 1 == 0
    ends = {"": each.value, "_low": each.low, "_high": each.high}
    arrays = {f"{each.name}{end}": _numbers(values, whole=whole) for end, values in ends.items()}
    arrays[f"{each.name}_status"] = _taken(STATUSES, each.graded)
    arrays[f"{each.name}_margin_percent"] = _numbers(each.percent, whole=True)
    reasons = pa.array([None, *REASONS[1:]], pa.string())
    arrays[f"{each.name}_reason"] = reasons.take(pa.array(finished.withheld))
    if each.texts is not None:
        arrays[f"{each.name}_range"] = pa.array(each.texts, pa.string())
    return arrays


def _numbers(values: NDArray[np.float64], *, whole: bool) -> Any:
    import numpy as np
    import pyarrow as pa

    blank = np.isnan(values)
    if whole:
        return pa.array(np.where(blank, 0, values).astype(np.int64), pa.int64(), mask=blank)
    return pa.array(values, pa.float64(), mask=blank)
