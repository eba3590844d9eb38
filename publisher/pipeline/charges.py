"""What a draw costs: its mechanisms, the selection of its keys, and the request to the ledger."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.definitions.dataset import WIDER
from publisher.privacy.amendment import RECEIPT, DateReading
from publisher.privacy.ledger import ChargeRequest
from publisher.privacy.mechanism import mechanism_for, sampler_version
from publisher.privacy.selection import KeySelection, selection_for
from publisher.privacy.sensitivity import sensitivity_at
from publisher.release.manifest import Charge, TableCharge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.definitions.period import Period
    from publisher.definitions.settings import Settings
    from publisher.privacy.ledger import Entry
    from publisher.stages import Mechanism
    from publisher.workspace import DatasetFile, SourceFile

TUNING = "tune:"
"""What the name of a dataset begins with where the ledger has a charge of `publisher tune`."""


def mechanisms_of(dataset: DatasetFile, settings: Settings) -> tuple[Mechanism, ...]:
    """The noise of every measured table, rollups first; depends only on the definition."""
    definition = dataset.definition
    levels = [*(rollup.name for rollup in definition.rollups), ""]
    tables = [(level, measure) for level in levels for measure in definition.measured]
    return tuple(
        mechanism_for(
            measure.name,
            definition.loss.currency,
            sensitivity_at(definition, measure, level),
            definition.loss_of(measure, level),
            level=level,
            sampler=settings.noise,
        )
        for level, measure in (*tables, *((WIDER, each) for each in definition.covered))
    )


def selection_of(dataset: DatasetFile) -> KeySelection | None:
    """How the dataset's keys are found, if they are not public."""
    definition = dataset.definition
    if definition.discovered is None:
        return None
    return selection_for(definition.bounds.max_groups, definition.selection_loss, definition.delta)


def request_of(
    dataset: DatasetFile, period: Period, statistical_hash: str, settings: Settings, vintage: int = 1
) -> ChargeRequest:
    """The charge of a draw: its blocks depend only on the definition and the period."""
    source, mechanisms, selection = dataset.source.definition, mechanisms_of(dataset, settings), selection_of(dataset)
    privacy, reading = source.privacy, reading_of(dataset.source)
    found = (selection.serialized,) if selection is not None else ()
    return ChargeRequest(
        source=dataset.source.name,
        dataset=dataset.name,
        period=period.label,
        statistical_hash=statistical_hash,
        currency=privacy.currency,
        unit=privacy.unit,
        window=privacy.window,
        loss=dataset.definition.loss.amount,
        budget=Fraction(privacy.budget),
        blocks=tuple(block.label for block in period.cut(privacy.window)),
        measurements=(*found, *(each.serialized for each in mechanisms)),
        event=reading.event,
        clock=reading.clock,
        formats=reading.forms,
        records=f"{', '.join(source.record_id) or 'whole rows'}; missing {privacy.missing}",
        vintage=vintage,
        parallel=source.late is not None and source.late.policy == "increment",
        delta=dataset.definition.delta,
        delta_budget=Fraction(privacy.delta),
        sampler=", ".join(sorted({sampler_version(each.sampler) for each in mechanisms})),
    )


def reading_of(source: SourceFile) -> DateReading:
    """How the source's dates become blocks."""
    definition = source.definition
    frozen = definition.late is not None and definition.late.policy == "freeze"
    return DateReading(
        event=f"{RECEIPT if frozen else definition.event.column} in {definition.timezone}",
        clock=f"{', '.join(definition.event.formats)}; {definition.event.zone or definition.timezone}",
        forms=definition.event.formats,
    )


def charge_of(dataset: DatasetFile, mechanisms: Iterable[Mechanism], entry: Entry) -> Charge:
    """What the manifest says about the charge."""
    return Charge(
        currency=entry.payload["currency"],
        loss=entry.payload["loss"],
        delta=entry.payload.get("delta", "0"),
        selection=str(dataset.definition.selection_loss),
        blocks=tuple(entry.payload["blocks"]),
        tables=tables_of(mechanisms),
    )


def tables_of(mechanisms: Iterable[Mechanism]) -> tuple[TableCharge, ...]:
    """How each measured table is protected."""
    return tuple(
        TableCharge(
            measure=each.measure,
            level=each.level,
            mechanism=each.kind,
            scale=each.scale,
            sensitivity=each.sensitivity,
            loss=str(each.loss),
            sampler=each.sampler,
        )
        for each in mechanisms
    )
