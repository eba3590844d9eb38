"""The most that one release may spend: by itself, on a block with all others of its source, and of what is left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.definitions.ceilings import most_a_block, most_a_release
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from publisher.definitions.source import Source
    from publisher.planning.forecast import Public
    from publisher.workspace import DatasetFile

STEPS = {
    "zcdp": "0.001 0.002 0.003 0.005 0.007 0.01 0.015 0.02 0.025 0.03 0.04 0.05 0.06 0.07 0.08 0.09 0.1",
    "pure": "0.01 0.02 0.03 0.05 0.07 0.1 0.15 0.2 0.25 0.3 0.35 0.4 0.45",
}
"""The losses that are proposed: numbers that people can remember."""

FOREVER = 10
"""Years that one block is planned for if the window is all time."""


@dataclass(frozen=True)
class Ceiling:
    """The most that one release may spend, and by what it is limited."""

    loss: Decimal
    charges: int
    """How many releases of the dataset charge the same block."""
    others: Fraction
    """What the other datasets of the source spend on one block."""
    allowed: Fraction
    """What all datasets together may spend on it."""


def ceiling_of(facts: Public, dataset: DatasetFile) -> Ceiling:
    """The most that one release may spend: by itself, on a block with all others, and of what is left.

    Raises DefinitionError where nothing is left.
    """
    privacy, minors = dataset.source.definition.privacy, dataset.source.definition.minors
    currency = privacy.currency
    allowed = min(most_a_block(currency, minors=minors), Fraction(privacy.budget))
    others = sum((charges(each) * each.definition.loss.amount for each in facts.others(dataset)), Fraction(0))
    times = charges(dataset)
    most = min(most_a_release(currency, minors=minors), (allowed - others) / times)
    steps = [step for step in steps_of(dataset.source.definition) if Fraction(step) <= most]
    if not steps:
        raise DefinitionError(
            f"{dataset.name}: nothing is left for it: a block may spend {float(allowed):g} in all, the other "
            f"datasets of {dataset.source.name} spend {float(others):g}, and {times} releases share it. Lower "
            "their losses, or choose a longer time step"
        )
    return Ceiling(_affordable(facts, dataset, steps), times, others, allowed)


def spending(dataset: DatasetFile, loss: Decimal) -> DatasetFile:
    """The dataset with another loss."""
    definition = dataset.definition
    name = "rho" if dataset.source.definition.privacy.currency == "zcdp" else "epsilon"
    spent = definition.loss.model_copy(update={name: loss})
    return replace(dataset, definition=definition.model_copy(update={"loss": spent}))


def charges(dataset: DatasetFile) -> int:
    """How many charges of the dataset one block gets at most."""
    definition, late = dataset.definition, dataset.source.definition.late
    window, first = dataset.source.definition.privacy.window, civil.parse(definition.first)
    editions = len(late.after_days) if late is not None and late.policy == "charge" else 1
    if window == "lifetime":
        end = civil.parse(definition.last).end if definition.last else _later(first.start, FOREVER)
        return editions * len(civil.Period(first.start, end, window).cut(definition.period))
    blocks = civil.Period(first.start, _later(first.start, 1), "year").cut(window)
    return editions * max(len(block.cut(definition.period)) for block in blocks)


def _later(day: date, years: int) -> date:
    return day.replace(year=day.year + years, day=1)


def steps_of(source: Source) -> list[Decimal]:
    """The losses that may be proposed for a release of the source, in order; the smallest one always."""
    first, *rest = [Decimal(text) for text in STEPS[source.privacy.currency].split()]
    most = min(most_a_release(source.privacy.currency, minors=source.minors), Fraction(source.privacy.budget))
    return [first, *(step for step in rest if Fraction(step) <= most)]


def _affordable(facts: Public, dataset: DatasetFile, steps: Sequence[Decimal]) -> Decimal:
    """The largest of these losses with which no release is refused; if all are, the largest."""
    for step in reversed(steps):
        if facts.pace(spending(dataset, step)).refused is None:
            return step
    return steps[-1]
