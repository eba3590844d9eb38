"""The published table as Arrow: keys, values, margins and statuses of every cell, with the columns described."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.release.manifest import ColumnSpec, KeyShape, MeasureShape, Shape

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from publisher.definitions.cells import Axis, CellGrid
    from publisher.definitions.dataset import Measure
    from publisher.stages import FinishedMeasure, FinishedTable, NoisyTable
    from publisher.workspace import DatasetFile

DECIMALS = 2
"""Means are published to this many decimals; their margins are rounded outwards."""


@dataclass(frozen=True)
class PublishedTable:
    """The table, its columns in order, and which column plays which part."""

    table: pa.Table
    columns: tuple[ColumnSpec, ...]
    shape: Shape


def published_table(finished: FinishedTable, dataset: DatasetFile, edition: int) -> PublishedTable:
    """One row per cell of the grid, in the grid's order."""
    import pyarrow as pa

    arrays: dict[str, Any] = _keys(finished.grid)
    measures = {measure.name: measure for measure in dataset.definition.measures}
    for each in finished.measures:
        arrays |= _measure(each, finished, measures[each.name])
    arrays["edition"] = pa.array([edition] * finished.grid.size, pa.int64())
    specs = column_specs(dataset)
    return PublishedTable(pa.table({spec.name: arrays[spec.name] for spec in specs}), specs, shape_of(dataset))


def measurements_table(noisy: NoisyTable) -> pa.Table:
    """The unbiased noisy values in whole steps, before anything was suppressed or cut."""
    import pyarrow as pa

    ids = _keys(noisy.grid)["id"]
    return pa.table({"id": ids} | {name: pa.array(values, pa.int64()) for name, values in noisy.tables.items()})


def cell_ids(grid: CellGrid) -> list[str]:
    """The row identifier of every cell: its period and keys, lower case, joined by dots."""
    ids: list[str] = _keys(grid)["id"].to_pylist()
    return ids


def column_specs(dataset: DatasetFile) -> tuple[ColumnSpec, ...]:
    """The published columns in order."""
    definition, grain = dataset.definition, dataset.definition.cell_grain
    specs = [
        ColumnSpec(name="id", title="Row", type="text", description="Names the cell; stays the same for ever."),
        ColumnSpec(name="period", title=grain.capitalize(), type="text", description=f"The {grain} of the records."),
        ColumnSpec(name="period_start", title="Starts", type="calendar_date", description=f"First day of the {grain}."),
    ]
    for key, keyset in zip(definition.keys, dataset.keysets, strict=True):
        words = key.description or f"One of the public list; everything else is under {key.other}."
        specs.append(ColumnSpec(name=key.name, title=key.title, type="text", description=words))
        if keyset.labels is not None:
            words = f"The name of the {key.title.lower()}."
            specs.append(ColumnSpec(name=f"{key.name}_name", title=f"{key.title} name", type="text", description=words))
    for measure in definition.measures:
        if measure.publish:
            specs += _measure_specs(measure)
    words = "Rises when the period is published anew."
    return (*specs, ColumnSpec(name="edition", title="Edition", type="number", description=words))


def shape_of(dataset: DatasetFile) -> Shape:
    """Which published column plays which part."""
    places = dataset.source.definition.places
    pairs = list(zip(dataset.definition.keys, dataset.keysets, strict=True))
    return Shape(
        time="period_start",
        period="period",
        place=next((key.name for key, _ in pairs if key.name in places), None),
        keys=tuple(
            KeyShape(name=key.name, label=key.title, names=f"{key.name}_name" if keyset.labels is not None else None)
            for key, keyset in pairs
        ),
        measures=tuple(
            MeasureShape(
                name=each.name,
                label=each.title,
                kind=each.kind,
                unit=each.unit,
                low=f"{each.name}_low",
                high=f"{each.name}_high",
                status=f"{each.name}_status",
            )
            for each in dataset.definition.measures
            if each.publish
        ),
    )


def _measure_specs(measure: Measure) -> list[ColumnSpec]:
    name, title = measure.name, measure.title
    words = measure.description or f"{title}, in {measure.unit}, with noise added for privacy."
    margin = "95 % margin of error of the noise; before suppression, and without what bounding and clamping cut off."
    status = "ok, suppressed (too small: value and margin are empty) or unreliable (the margin is wide for the value)."
    return [
        ColumnSpec(name=name, title=title, type="number", description=words),
        ColumnSpec(name=f"{name}_low", title=f"{title}, low", type="number", description=f"Low end of the {margin}"),
        ColumnSpec(name=f"{name}_high", title=f"{title}, high", type="number", description=f"High end of the {margin}"),
        ColumnSpec(name=f"{name}_status", title=f"{title}, status", type="text", description=status),
    ]


def _keys(grid: CellGrid) -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa

    numbers = np.unravel_index(np.arange(grid.size), grid.shape)
    labels = [period.label for period in grid.periods]
    ids = _taken(labels, numbers[0])
    columns: dict[str, Any] = {
        "period": ids,
        "period_start": pa.array([period.start for period in grid.periods], pa.date32()).take(pa.array(numbers[0])),
    }
    for axis, positions in zip(grid.axes, numbers[1:], strict=True):
        columns[axis.name] = _taken(axis.keys, positions)
        if axis.labels is not None:
            columns[f"{axis.name}_name"] = _taken(axis.labels, positions)
        ids = pa.compute.binary_join_element_wise(ids, _taken(_slugs(axis), positions), ".")
    return {"id": ids} | columns


def _taken(texts: Any, positions: NDArray[np.int64]) -> Any:
    import pyarrow as pa
    import pyarrow.compute

    return pa.array(list(texts), pa.string()).take(pa.array(positions))


def _slugs(axis: Axis) -> list[str]:
    """Keys as parts of an id; keys that would look alike get a part of their hash, so their order does not matter."""
    slugs = [re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-") for key in axis.keys]
    digests = [hashlib.sha256(key.encode()).hexdigest()[:12] for key in axis.keys]
    return [
        slug if slugs.count(slug) == 1 and slug else f"{slug}-{digest}".strip("-")
        for slug, digest in zip(slugs, digests, strict=True)
    ]


def _measure(each: FinishedMeasure, finished: FinishedTable, measure: Measure) -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa

    status = np.where(each.unreliable, "unreliable", "ok")
    status = np.where(finished.suppressed, "suppressed", status)
    columns = {"": each.value, "_low": each.low, "_high": each.high}
    if measure.kind == "mean":
        scale = 10.0**DECIMALS
        columns = {
            "": np.round(each.value, DECIMALS),
            "_low": np.floor(np.round(each.low * scale, 6)) / scale,
            "_high": np.ceil(np.round(each.high * scale, 6)) / scale,
        }
    elif measure.resolution is not None:
        # Whole multiples of a decimal step, without the dust of binary fractions.
        places = max(0, -int(measure.resolution.normalize().as_tuple().exponent))
        columns = {end: np.round(values, places) for end, values in columns.items()}
    whole = measure.kind != "mean" and (measure.resolution or 1) % 1 == 0
    arrays = {f"{each.name}{end}": _numbers(values, whole=whole) for end, values in columns.items()}
    return arrays | {f"{each.name}_status": pa.array(status.tolist(), pa.string())}


def _numbers(values: NDArray[np.float64], *, whole: bool) -> Any:
    import numpy as np
    import pyarrow as pa

    blank = np.isnan(values)
    if whole:
        return pa.array(np.where(blank, 0, values).astype(np.int64), pa.int64(), mask=blank)
    return pa.array(values, pa.float64(), mask=blank)
