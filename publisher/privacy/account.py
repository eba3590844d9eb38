"""What blocks have spent, and when a charge is refused. Sums are exact: three charges of 0.1 fit a budget of 0.3.

Losses compose in parallel across blocks and sequentially within a block (Sage, SOSP 2019; PrivateKube, OSDI 2021).
The vintages of a parallel series count disjoint records: a block is charged the largest of them (parallel composition).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from publisher.definitions.period import LIFETIME, containing, parse
from publisher.errors import BudgetError
from publisher.privacy.chain import changed
from publisher.privacy.charge import decimal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from publisher.privacy.charge import ChargeRequest


class LossAmount(NamedTuple):
    """Exact losses in the source's currency, and their δ."""

    loss: Fraction
    delta: Fraction


TERMS = ("unit", "window", "currency", "event", "clock", "records")
"""What must not change after a source's first charge: its blocks would have other records or other amounts."""

AMENDABLE = ("event", "clock")
"""What an amendment may change: how dates are read into blocks."""

NOTHING = LossAmount(Fraction(0), Fraction(0))


@dataclass(frozen=True)
class Spending:
    """What one block has spent, in the source's currency."""

    source: str
    block: str
    spent: Fraction
    delta: Fraction = Fraction(0)


class ChargeLine(NamedTuple):
    """One charge on one block, as the database keeps it."""

    sequence: int
    source: str
    block: str
    loss: str
    series: str
    parallel: int
    delta: str


@dataclass
class Block:
    """What has been spent on one block so far."""

    parts: dict[tuple[str, int], LossAmount] = field(default_factory=dict)
    """By series; a charge that is not parallel to others is a separate part."""

    def add(self, series: str, alone: int, amount: LossAmount) -> None:
        """Add a charge; `alone` tells it apart from the others of its series, and is 0 if they are parallel."""
        before = self.parts.get((series, alone))
        if before is not None:
            amount = LossAmount(max(before.loss, amount.loss), max(before.delta, amount.delta))
        self.parts[series, alone] = amount

    @property
    def spent(self) -> LossAmount:
        """The exact sum over all series."""
        parts = self.parts.values()
        return LossAmount(_sum(part.loss for part in parts), _sum(part.delta for part in parts))

    def cost(self, request: ChargeRequest) -> LossAmount:
        """What the request would add: for a parallel series, what exceeds the largest vintage so far."""
        before = self.parts.get((request.series, 0), NOTHING) if request.parallel else NOTHING
        zero = Fraction(0)
        return LossAmount(max(request.loss - before.loss, zero), max(request.delta - before.delta, zero))


def blocks_of(lines: Iterable[ChargeLine]) -> dict[tuple[str, str], Block]:
    """What every block has spent, by source and block, in the order of the lines.

    Raises BudgetError when a line cannot be read.
    """
    blocks: dict[tuple[str, str], Block] = {}
    for line in lines:
        block = blocks.setdefault((line.source, line.block), Block())
        block.add(line.series, 0 if line.parallel else line.sequence, _amount(line))
    return blocks


@dataclass
class RunningSums:
    """What every block of a source has spent after its first charges: another charge changes the sums of its own blocks
    alone."""

    charges: int = 0
    """How many are counted."""
    _blocks: dict[str, Block] = field(default_factory=dict)
    _spent: dict[str, LossAmount] = field(default_factory=dict)

    def after(self, charges: Iterable[Iterable[ChargeLine]]) -> Mapping[str, LossAmount]:
        """The sums with these charges too, given as their lines. Raises BudgetError when one cannot be read."""
        touched = set()
        for charge in charges:
            read = [(line, _amount(line)) for line in charge]  # before any of it is counted
            for line, amount in read:
                block = self._blocks.setdefault(line.block, Block())
                block.add(line.series, 0 if line.parallel else line.sequence, amount)
                touched.add(line.block)
            self.charges += 1
        self._spent |= {name: self._blocks[name].spent for name in touched}
        return dict(self._spent)


def _sum(amounts: Iterable[Fraction]) -> Fraction:
    """The exact sum; of the same denominator whole numbers are added, which most charges have."""
    numerators: dict[int, int] = {}
    for each in amounts:
        numerators[each.denominator] = numerators.get(each.denominator, 0) + each.numerator
    return sum((Fraction(*each[::-1]) for each in numerators.items()), Fraction(0))


def refuse_if_over(
    request: ChargeRequest,
    lines: Iterable[ChargeLine],
    later: Callable[[], Iterable[ChargeLine]],
    allowed: Mapping[str, LossAmount],
) -> None:
    """Raises BudgetError when a block of the request cannot pay, naming the first later one that could.

    `lines` are those of the request's blocks, `later` gives those of the source's blocks after them, and `allowed` is
    what decisions allow on a block in addition to the budget.
    """
    if request.delta and request.currency == "pure":
        raise BudgetError(
            f"{request.dataset} {request.period}: source {request.source} has a budget in pure ε, which allows no δ: "
            f"give its keys a public keyset instead of discovering them. Nothing was read or spent."
        )
    there = blocks_of(lines)
    blocks = {block: there.get((request.source, block), Block()) for block in request.blocks}
    budgets = {
        block: LossAmount(request.budget + more.loss, request.delta_budget + more.delta)
        for block in blocks
        for more in [allowed.get(block, NOTHING)]
    }
    _refuse("", request, budgets, blocks, later, lambda amount: amount.loss)
    _refuse("δ ", request, budgets, blocks, later, lambda amount: amount.delta)


def refuse_if_redefined(request: ChargeRequest, before: Mapping[str, Any]) -> None:
    """Raise BudgetError when blocks of another unit, window or currency would have to add up with these.

    `before` are the terms of the source's charges so far; old charges name no clock.
    """
    for name in TERMS:
        now = getattr(request, name)
        if before and before.get(name, now if name == "clock" else None) != now:
            raise BudgetError(
                f"source {request.source}: its first charge has {name} = {before.get(name)}, but its definition now "
                f"says {now}. {_way_on(request.source, name)}"
            )


def _way_on(source: str, name: str) -> str:
    if name not in AMENDABLE:
        return f"What was spent cannot be carried over: restore the {name}."
    return (
        f"Restore the {name}; or, if dates were read wrongly until now, record it: "
        f"publisher ledger amend {source} --reason '…'"
    )


def refuse_if_elsewhere(request: ChargeRequest, made: Mapping[str, Any], owner: str) -> None:
    """Raise BudgetError when another state folder made the charge: it may have drawn. Old charges name none."""
    if made.get("owner", owner) != owner:
        raise BudgetError(
            f"{request.dataset} {request.period}: was charged by another installation, which has another state folder: "
            f"release it there, or bring that state folder here. Nothing was read or spent."
        )


def refuse_if_recomposed(request: ChargeRequest, series: Iterable[Mapping[str, Any]]) -> None:
    """Raise BudgetError when vintages that were charged one way would now be charged the other way."""
    if any(charge.get("parallel", False) != request.parallel for charge in series):
        was, now = ("sum", "largest") if request.parallel else ("largest", "sum")
        raise BudgetError(
            f"{request.dataset} {request.period}: its editions so far were charged as the {was} of them, but now they "
            f"would be charged as the {now}: restore the source's policy for late records. Nothing was read or spent."
        )


def _refuse(
    symbol: str,
    request: ChargeRequest,
    budgets: Mapping[str, LossAmount],
    blocks: Mapping[str, Block],
    later: Callable[[], Iterable[ChargeLine]],
    of: Callable[[LossAmount], Fraction],
) -> None:
    costs = {name: of(block.cost(request)) for name, block in blocks.items()}
    left = {name: of(budgets[name]) - of(block.spent) for name, block in blocks.items()}
    short = [name for name, cost in costs.items() if cost and cost > left[name]]
    if not short:
        return
    worst = min(short, key=lambda name: left[name] - costs[name])
    raise BudgetError(
        f"{request.dataset} {request.period}: needs {symbol}{decimal(costs[worst])} on each of its {len(blocks)} "
        f"blocks, but block {worst} of source {request.source} has {symbol}{decimal(left[worst])} left of "
        f"{symbol}{decimal(of(budgets[worst]))}; {len(blocks) - len(short)} of its blocks could still pay. "
        f"Nothing was read or spent. A block's budget never comes back. {_opening(request, later())}."
    )


def _opening(request: ChargeRequest, later: Iterable[ChargeLine]) -> str:
    """The first block after the request's own that has room for it, or that there is none."""
    change = "raise the source's budget or spend less on a release"
    if request.loss > request.budget or request.delta > request.delta_budget:
        return f"No block of the source could pay that: {change}"
    block = parse(request.blocks[-1]) if request.blocks[-1] != LIFETIME.label else LIFETIME
    if block == LIFETIME:
        return f"This source has one block for all time: {change}"
    spent = {name: each.spent for (_, name), each in blocks_of(later).items()}
    while block.end.year < 9999:
        block = containing(block.end, block.grain)
        before = spent.get(block.label, NOTHING)
        if before.loss + request.loss <= request.budget and before.delta + request.delta <= request.delta_budget:
            return f"The first later block that can pay is {block.label}, from {block.start.isoformat()} on"
    return f"No later block could pay it: {change}"


@lru_cache(maxsize=1_024)
def _read_amount(loss: str, delta: str) -> LossAmount:
    """Read once: most charges of a dataset are alike. None gives anything back."""
    return LossAmount(max(Fraction(loss), Fraction(0)), max(Fraction(delta), Fraction(0)))


def _amount(line: ChargeLine) -> LossAmount:
    if not all(isinstance(text, str) for text in (line.source, line.block, line.series)):
        raise changed()
    try:
        return _read_amount(line.loss, line.delta)
    except (ValueError, TypeError, ZeroDivisionError):
        raise changed() from None
