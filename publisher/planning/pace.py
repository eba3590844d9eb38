"""How long a source's budget lasts: plays its datasets' schedules forward against the ledger, block by block."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.privacy.account import NOTHING, LossAmount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.period import Period
    from publisher.privacy.ledger import Ledger
    from publisher.workspace import DatasetFile

AHEAD = {"lifetime": 100}
"""Years to play forward. Blocks that are windows fill up the same way every year; a lifetime only fills up."""
AHEAD_ELSE = 3


@dataclass(frozen=True)
class Spent:
    """What the ledger knows: what each (source, block) has spent, and how often a (dataset, period) was charged."""

    blocks: dict[tuple[str, str], LossAmount] = field(default_factory=dict)
    """Less what decisions allow in addition to the budget."""
    charges: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True)
class Pace:
    """What a dataset's releases spend on its source's blocks."""

    ended: tuple[Period, ...]
    """The periods that have ended, released or not."""
    released: int
    """How many of them were charged before."""
    blocks: int
    """How many blocks one release charges."""
    left: Fraction
    """What remains on the fullest block of the periods that have ended."""
    delta_left: Fraction
    """The same for δ."""
    releases_left: int
    """How many more releases that block can pay for."""
    last: str | None
    """The last release that is paid for before one is refused; None if none is."""
    refused: str | None
    """The first that is refused if every dataset of the source goes on as defined; None if none is."""


def spent_of(ledger: Ledger) -> Spent:
    """Read the ledger."""
    rows = ledger.spending()
    charged = Counter((each.payload["dataset"], each.payload["period"]) for each in ledger.entries("charge"))
    blocks = {(each.source, each.block): LossAmount(each.spent, each.delta) for each in rows}
    for source in ledger.sources():
        for block, more in ledger.allowed(source).items():
            spent = blocks.get((source, block), NOTHING)
            blocks[source, block] = LossAmount(spent.loss - more.loss, spent.delta - more.delta)
    return Spent(blocks, charged)


def pace_of(dataset: DatasetFile, siblings: Sequence[DatasetFile], spent: Spent, today: date) -> Pace:
    """The pace of one dataset; `siblings` are all datasets of its source, itself among them."""
    window = dataset.source.definition.privacy.window
    ended = dataset.definition.periods_until(today)
    ahead = (*ended, civil.parse(dataset.definition.first))[0]
    touched = {block.label for period in ended for block in period.cut(window)}
    spending = [spent.blocks.get((dataset.source.name, block), NOTHING) for block in touched]
    left = _budget(dataset).loss - max((each.loss for each in spending), default=Fraction(0))
    delta_left = _budget(dataset).delta - max((each.delta for each in spending), default=Fraction(0))
    last, refused = _played(dataset, siblings, spent, today)
    return Pace(
        ended=ended,
        released=sum((dataset.name, period.label) in spent.charges for period in ended),
        blocks=len(ahead.cut(window)),
        left=left,
        delta_left=delta_left,
        releases_left=_carried(LossAmount(left, delta_left), dataset),
        last=last,
        refused=refused,
    )


def releases_of_a_new_block(dataset: DatasetFile) -> int:
    """How many releases a block can pay for if nothing was spent on it yet."""
    return _carried(_budget(dataset), dataset)


def _carried(left: LossAmount, dataset: DatasetFile) -> int:
    loss, delta = dataset.definition.loss.amount, dataset.definition.delta
    return max(0, int(min(left.loss // loss, left.delta // delta if delta else left.loss // loss)))


def _budget(dataset: DatasetFile) -> LossAmount:
    privacy = dataset.source.definition.privacy
    return LossAmount(Fraction(privacy.budget), Fraction(privacy.delta))


@dataclass(frozen=True, order=True)
class _Draw:
    """A charge to come."""

    due: date
    dataset: str
    period: Period
    amount: LossAmount


def _played(
    dataset: DatasetFile, siblings: Sequence[DatasetFile], spent: Spent, today: date
) -> tuple[str | None, str | None]:
    """The last release of the dataset that is paid for, and the first that is refused, in the years ahead."""
    window, budget = dataset.source.definition.privacy.window, _budget(dataset)
    until = today + timedelta(days=366 * AHEAD.get(window, AHEAD_ELSE))
    blocks = {block: amount for (source, block), amount in spent.blocks.items() if source == dataset.source.name}
    last: str | None = None
    for draw in sorted(draw for sibling in siblings for draw in _draws(sibling, spent, until)):
        after = {block.label: _sum(blocks.get(block.label, NOTHING), draw.amount) for block in draw.period.cut(window)}
        if all(amount.loss <= budget.loss and amount.delta <= budget.delta for amount in after.values()):
            blocks |= after
            last = draw.period.label if draw.dataset == dataset.name else last
        elif draw.dataset == dataset.name:
            return last, draw.period.label
    return last, None


def _sum(one: LossAmount, other: LossAmount) -> LossAmount:
    return LossAmount(one.loss + other.loss, one.delta + other.delta)


def _draws(dataset: DatasetFile, spent: Spent, until: date) -> list[_Draw]:
    """The dataset's charges to come, including each edition if the policy charges every edition."""
    late = dataset.source.definition.late
    days = late.after_days if late is not None and late.policy == "charge" else (0,)
    amount = LossAmount(dataset.definition.loss.amount, dataset.definition.delta)
    return [
        _Draw(period.end + timedelta(days=after), dataset.name, period, amount)
        for period in dataset.definition.periods_until(until)
        for after in days[spent.charges[dataset.name, period.label] :]
    ]
