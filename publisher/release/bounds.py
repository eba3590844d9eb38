"""What the bounds of a definition leave out of each measure, as facts that are said wherever its numbers stand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.portal.contract import BoundFacts

if TYPE_CHECKING:
    from publisher.definitions.dataset import Dataset, Measure, Rollup
    from publisher.definitions.period import Grain
    from publisher.workspace import DatasetFile


def bounds_of(dataset: DatasetFile, measure: Measure, rollup: Rollup | None = None) -> BoundFacts | None:
    """What one unit can add to a published measure at most; None if every record counts in full."""
    definition = dataset.definition
    total = _named(definition, measure.sum_) if measure.kind == "mean" else measure
    clamped = {}
    if total.kind == "sum":
        clamped = {"lower": f"{total.lower:f}", "upper": f"{total.upper:f}", "amount": total.unit}
    if dataset.source.definition.privacy.unit == "record":
        return BoundFacts.model_validate({"kind": measure.kind, **clamped}) if clamped else None
    cells = _cells(dataset)
    if measure.kind == "count_units" and (cells is None or _whole(dataset, rollup)):
        return None
    return BoundFacts.model_validate({"kind": measure.kind, **_people(dataset, measure), **clamped, "cells": cells})


def within(dataset: DatasetFile, measure: Measure) -> BoundFacts | None:
    """The wider bounds within which the share of the measure that counts is measured."""
    definition = dataset.definition
    wider = replace(dataset, definition=definition.model_copy(update={"bounds": definition.bounds.wider}))
    return bounds_of(wider, measure.wider)


def _people(dataset: DatasetFile, measure: Measure) -> dict[str, object]:
    """Who is bounded, in what, and how many records of theirs count in a cell."""
    definition = dataset.definition
    span = _span(dataset)
    facts: dict[str, object] = {
        "unit": _words(dataset.source.definition.privacy.unit),
        "span": span,
        "cell": tuple(key.title for key in definition.keys),
        "step": definition.cell_grain if definition.cell_grain != span else None,
    }
    items = {"count": measure.unit, "quantile": "records"}.get(measure.kind)
    if measure.kind == "mean":
        counted = _named(definition, measure.count)
        items = counted.unit if counted.kind == "count" else None
    return facts | ({"each": definition.bounds.max_per_group, "items": items} if items is not None else {})


def _named(definition: Dataset, name: str | None) -> Measure:
    return next(each for each in definition.measures if each.name == name)


def _cells(dataset: DatasetFile) -> int | None:
    """The most cells that count, or None if a release does not have more than that."""
    definition = dataset.definition
    most = definition.bounds.max_groups
    if definition.discovered is not None:
        return most
    return most if most < dataset.grid(civil.parse(definition.first)).size else None


def _whole(dataset: DatasetFile, rollup: Rollup | None) -> bool:
    """Whether a unit has only one cell of that rollup anyway: there its other cells do not matter."""
    if rollup is None or rollup.keys:
        return False
    definition = dataset.definition
    grain = rollup.grain or definition.cell_grain
    return grain == definition.period or _within(dataset.source.definition.privacy.window, grain)


def _span(dataset: DatasetFile) -> Grain:
    """The time for which the bounds hold: a release, or a window if that is shorter."""
    period, window = dataset.definition.period, dataset.source.definition.privacy.window
    return window if _within(window, period) else period


def _within(window: Grain, period: Grain) -> bool:
    return window in civil.NESTS.get(period, ())


def _words(name: str) -> str:
    """A column's name as people write it."""
    words = name.replace("_", " ")
    return words.lower() if words.istitle() else words
