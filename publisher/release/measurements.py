"""Unbiased measurements as a dataset publishes them: every cell's noisy number in its unit, and how sure it is.

The table describes itself: each column has its title, unit and meaning with it, and its noise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from publisher.release.manifest import published_measurements_file
from publisher.release.table import cell_keys, column_specs, read_file, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from publisher.definitions.dataset import Measure
    from publisher.definitions.levels import Level
    from publisher.release.manifest import Release
    from publisher.stages import Integers, NoisyTable, Table
    from publisher.workspace import DatasetFile

VARIANCE = "_variance"
"""The end of the name of the column with the variance of a number's noise."""


@dataclass(frozen=True)
class MeasuredColumn:
    """What a column is; one that was measured also has its noise: its draws added up, each with its scale in `unit`."""

    title: str
    description: str
    unit: str = ""
    draws: tuple[tuple[str, float], ...] = ()
    deviation: float = 0.0
    """The standard deviation of the noise, in `unit`."""

    def metadata(self) -> dict[str, str]:
        """As a Parquet file keeps it."""
        noise = {"draws": self.draws, "deviation": self.deviation}
        said = {"title": self.title, "description": self.description, "unit": self.unit}
        return said | ({"noise": json.dumps(noise)} if self.draws else {})


def published_measurements(
    noisy: NoisyTable, level: Level, dataset: DatasetFile, variances: Mapping[Table, float], edition: int
) -> pa.Table:
    """One row per cell of that table, withheld or not, with its keys as the published table has them.

    `variances` are those of the noise in whole steps. Numbers are what was drawn, so they can be below zero. A
    histogram's bins become the columns <name>_0, <name>_1 and so on, which share one variance.
    """
    import pyarrow as pa

    keys = cell_keys(level.grid)
    columns = dict(_described(dataset, level.name, list(keys)))
    arrays = [keys[name] for name in columns]
    for measure in dataset.definition.measured:
        table = (level.name, measure.name)
        step = float(measure.resolution or 1)
        draws = tuple((each.kind, each.scale * step) for each in noisy.mechanisms if each.table == table)
        deviation = variances[table] ** 0.5 * step
        bins = noisy.tables[table].reshape(level.grid.size, -1).T
        for (name, title), values in zip(_named(measure), bins, strict=True):
            columns[name] = MeasuredColumn(title, _words(measure), _unit(measure), draws, deviation)
            arrays.append(_in_unit(values, measure))
        words = f"Variance of the noise in one cell, in {_unit(measure)} squared. Add it up with the numbers."
        columns[measure.name + VARIANCE] = MeasuredColumn(f"{measure.title}, variance", words)
        arrays.append(pa.array([variances[table] * step**2] * level.grid.size, pa.float64()))
    columns["edition"] = MeasuredColumn("Edition", "Goes up each time the period is published again.")
    arrays.append(pa.array([edition] * level.grid.size, pa.int64()))
    fields = [
        pa.field(name, array.type, metadata=column.metadata())
        for (name, column), array in zip(columns.items(), arrays, strict=True)
    ]
    return pa.table(arrays, schema=pa.schema(fields))


def read_measurements(release: Release, level: str) -> pa.Table | None:
    """What a release publishes of the measurements of one table; None if nothing.

    Also None for releases of older versions, which had whole steps, until they are finished again. Raises SourceError
    if the file is damaged.
    """
    name = published_measurements_file(level)
    table = read_file(release, name) if name in release.manifest.files else None
    return table if table is not None and "period" in table.column_names else None


def columns_of(table: pa.Table) -> dict[str, MeasuredColumn]:
    """What its file says about each of its columns."""
    found = {}
    for field in table.schema:
        told = {name.decode(): text.decode() for name, text in (field.metadata or {}).items()}
        noise = json.loads(told.get("noise", "{}"))
        found[field.name] = MeasuredColumn(
            title=told.get("title", field.name),
            description=told.get("description", ""),
            unit=told.get("unit", ""),
            draws=tuple((kind, scale) for kind, scale in noise.get("draws", ())),
            deviation=noise.get("deviation", 0.0),
        )
    return found


def _described(dataset: DatasetFile, level: str, names: list[str]) -> Iterator[tuple[str, MeasuredColumn]]:
    """The keys' columns, with the words of the published table."""
    told = {spec.name: spec for spec in column_specs(dataset, level)}
    time = {shape_of(dataset, level).time, shape_of(dataset, level).period, "id"}
    for name in sorted(names, key=lambda name: name not in time):
        yield name, MeasuredColumn(told[name].title, told[name].description)


def _named(measure: Measure) -> Iterator[tuple[str, str]]:
    """Name and title of each of its columns."""
    if measure.bins is None:
        yield measure.name, measure.title
        return
    for n, (low, high) in enumerate(zip_longest(measure.bins, measure.bins[1:])):
        end = f" to less than {high.normalize():f}" if high is not None else " or more"
        yield f"{measure.name}_{n}", f"{measure.title}: {low.normalize():f}{end}"


def _unit(measure: Measure) -> str:
    """What its numbers count: a histogram's are records, whatever the unit of their values."""
    return "records" if measure.kind == "histogram" else measure.unit


def _words(measure: Measure) -> str:
    return (
        f"{measure.title}: the number with noise, in {_unit(measure)}, as it was drawn: not cut at zero, not made to "
        "add up, not suppressed. Sums of it are right on average."
    )


def _in_unit(values: Integers, measure: Measure) -> Any:
    import numpy as np
    import pyarrow as pa

    if measure.resolution is None or measure.resolution == 1:
        return pa.array(values, pa.int64())
    places = max(0, -int(measure.resolution.normalize().as_tuple().exponent))
    return pa.array(np.round(values * float(measure.resolution), places), pa.float64())
