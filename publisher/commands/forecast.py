"""`publisher plan`: what releases will cost and how sure their numbers will be, from public information alone."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.outcome import loss_words
from publisher.privacy.finish import CONFIDENCE
from publisher.privacy.ledger import decimal, open_ledger
from publisher.privacy.margins import half_width
from publisher.privacy.mechanism import mechanism_for
from publisher.privacy.sensitivity import sensitivity_of
from publisher.run import Selection, today_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.definitions.dataset import Measure
    from publisher.definitions.period import Period
    from publisher.workspace import DatasetFile, Workspace


@dataclass(frozen=True)
class Forecast:
    """What one dataset's releases cost, a row per measured table."""

    dataset: str
    measure: str
    periods: str
    cells_a_release: int
    loss_a_block: str
    blocks_a_release: int
    left_on_fullest_block: str
    noise_scale: str
    margin: str


def forecasts(workspace: Workspace, datasets: Sequence[DatasetFile]) -> Iterator[Forecast]:
    """One row per dataset and measured table; nothing is charged and no record is read."""
    spent = _spent(workspace)
    for dataset in datasets:
        periods = Selection().periods(dataset, today_of(dataset.source))
        for measure in dataset.definition.measured:
            yield _forecast(dataset, measure, periods, spent)


def _forecast(
    dataset: DatasetFile, measure: Measure, periods: tuple[Period, ...], spent: dict[tuple[str, str], Fraction]
) -> Forecast:
    definition, privacy = dataset.definition, dataset.source.definition.privacy
    noise = mechanism_for(
        measure.name,
        definition.loss.currency,
        sensitivity_of(measure, definition.bounds),
        definition.loss_of(measure),
    )
    step = float(measure.resolution or 1)
    blocks = {block.label for period in periods for block in period.cut(privacy.window)}
    fullest = max((spent.get((dataset.source.name, block), Fraction(0)) for block in blocks), default=Fraction(0))
    return Forecast(
        dataset=dataset.name,
        measure=measure.name,
        periods=f"{periods[0].label} … {periods[-1].label} ({len(periods)})" if periods else "none has ended",
        cells_a_release=dataset.grid(periods[0]).size if periods else 0,
        loss_a_block=loss_words(dataset),
        blocks_a_release=len(periods[0].cut(privacy.window)) if periods else 0,
        left_on_fullest_block=f"{decimal(Fraction(privacy.budget) - fullest)} of {privacy.budget}",
        noise_scale=f"{noise.scale * step:,.4g}",
        margin=f"±{half_width(noise, CONFIDENCE) * step:,.0f} {measure.unit}",
    )


def _spent(workspace: Workspace) -> dict[tuple[str, str], Fraction]:
    if not (workspace.private / "ledger.sqlite").is_file():
        return {}
    ledger = open_ledger(workspace.private)
    try:
        return {(each.source, each.block): each.spent for each in ledger.spending()}
    finally:
        ledger.close()
