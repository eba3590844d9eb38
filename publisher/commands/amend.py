"""`publisher ledger amend` and `publisher ledger allow`: decisions that the ledger keeps, and the guarantee repeats."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.definitions.ceilings import most_a_block
from publisher.errors import DefinitionError
from publisher.pipeline.charges import reading_of
from publisher.pipeline.decisions import public_reason
from publisher.privacy.account import NOTHING, LossAmount, blocks_of
from publisher.privacy.amendment import DateReading
from publisher.privacy.charge import decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.privacy.ledger import Ledger
    from publisher.workspace import SourceFile


MOST = 100
"""A loss above that is no protection by any measure."""
MOST_YEARS = 20
_DIGITS = 20


@dataclass(frozen=True)
class Amendment:
    """A corrected reading of a source's dates, before it is recorded."""

    source: SourceFile
    before: DateReading
    now: DateReading
    reason: str
    fullest: LossAmount
    """The most that will count on any block that was ever charged."""
    short: tuple[str, ...]
    """The blocks on which nothing will be left."""
    blocks: int

    @property
    def payload(self) -> dict[str, object]:
        """What the ledger keeps."""
        return {
            "source": self.source.name,
            "event": self.now.event,
            "clock": self.now.clock,
            "formats": list(self.now.forms),
            "event_before": self.before.event,
            "clock_before": self.before.clock,
            "reason": self.reason,
        }

    def words(self) -> str:
        """What will happen."""
        privacy = self.source.definition.privacy
        symbol = "ρ" if privacy.currency == "zcdp" else "ε"
        full = ""
        if self.short:
            full = (
                f" Nothing is left on {len(self.short)} of the {self.blocks} {privacy.window} block(s) charged so far "
                f"(the first is {self.short[0]}); `publisher ledger allow` may allow more on them."
            )
        return (
            f"{self.source.name}: dates were read by {self.before.clock or 'formats that the ledger does not name'} "
            f"({self.before.event}) and are read by {self.now.clock} ({self.now.event}) from now on. What was spent "
            f"stays spent: it counts on every block into which a date could have been put. The fullest block then has "
            f"spent {symbol} {decimal(self.fullest.loss)} of {symbol} {decimal(Fraction(privacy.budget))}.{full} "
            f"The guarantee of every later release says so."
        )


def amendment(source: SourceFile, ledger: Ledger, reason: str) -> Amendment:
    """What an amendment would do now. Raises DefinitionError when there is nothing to amend."""
    terms, now = ledger.terms(source.name), reading_of(source)
    if not terms:
        raise DefinitionError(f"{source.name}: was never charged, so there is nothing to amend: edit its definition")
    before = DateReading(terms.get("event", ""), terms.get("clock", ""))
    if before == now:
        raise DefinitionError(
            f"{source.origin.name}: reads dates as the ledger says ({before.clock}; {before.event}): correct event, "
            f"timezone or late in the definition first, then amend"
        )
    reason = public_reason(reason)
    budget, allowed = Fraction(source.definition.privacy.budget), ledger.allowed(source.name)
    spent = {block: each.spent for (_, block), each in blocks_of(ledger.lines(source.name, now)).items()}
    left = {name: budget + allowed.get(name, NOTHING).loss - each.loss for name, each in spent.items()}
    fullest = max(spent.values(), key=lambda each: each.loss, default=NOTHING)
    short = tuple(sorted(name for name, amount in left.items() if amount <= 0))
    return Amendment(source, before, now, reason, fullest, short, len(ledger.charged(source.name)))


@dataclass(frozen=True)
class Allowance:
    """More than the budget on some blocks of a source, before it is recorded."""

    source: SourceFile
    blocks: tuple[str, ...]
    more: LossAmount
    reason: str

    @property
    def payload(self) -> dict[str, object]:
        """What the ledger keeps."""
        return {
            "source": self.source.name,
            "blocks": list(self.blocks),
            "loss": str(self.more.loss),
            "delta": str(self.more.delta),
            "reason": self.reason,
        }

    def words(self) -> str:
        """What will happen."""
        privacy = self.source.definition.privacy
        symbol = "ρ" if privacy.currency == "zcdp" else "ε"
        span = self.blocks[0] if len(self.blocks) == 1 else f"{self.blocks[0]} … {self.blocks[-1]}"
        delta = f" and δ {decimal(self.more.delta)}" if self.more.delta else ""
        return (
            f"{self.source.name}: {symbol} {decimal(self.more.loss)}{delta} more than the budget of {symbol} "
            f"{decimal(Fraction(privacy.budget))} may be spent on each of {len(self.blocks)} {privacy.window} "
            f"block(s), {span}. People in them get less protection than the definition says, and the guarantee says so."
        )


def allowance(
    source: SourceFile, ledger: Ledger, start: str, end: str, more: str, delta: str, reason: str
) -> Allowance:
    """An allowance on the blocks of a source from `start` through `end`. Raises DefinitionError."""
    window = source.definition.privacy.window
    if not ledger.charged(source.name):
        raise DefinitionError(
            f"{source.name}: was never charged, so nothing is used up: set the budget in its definition"
        )
    reason = public_reason(reason)
    first, last = (civil.LIFETIME if window == "lifetime" else _period(text) for text in (start, end))
    if first.start > last.start:
        raise DefinitionError(f"{start}..{end}: ends before it starts")
    if (last.end - first.start).days > 366 * MOST_YEARS and window != "lifetime":
        raise DefinitionError(f"{start}..{end}: is more than {MOST_YEARS} years: allow less at once")
    blocks = tuple(each.label for each in civil.Period(first.start, last.end, window).cut(window))
    amount = LossAmount(_amount("--more", more), _amount("--delta", delta))
    _refuse_for_minors(source, ledger, blocks, amount)
    return Allowance(source, blocks, amount, reason)


def _refuse_for_minors(source: SourceFile, ledger: Ledger, blocks: Sequence[str], more: LossAmount) -> None:
    """Raise DefinitionError where a block about minors could spend more than the most of all: no decision allows it."""
    definition = source.definition
    if not definition.minors:
        return
    privacy, before = definition.privacy, ledger.allowed(source.name)
    most = most_a_block(privacy.currency, minors=True)
    allowed = max(Fraction(privacy.budget) + before.get(block, NOTHING).loss for block in blocks) + more.loss
    if allowed > most or more.delta:
        symbol = "ρ" if privacy.currency == "zcdp" else "ε"
        words = f"{symbol} {decimal(most)} on a block, and no δ, is the most whatever is decided"
        raise DefinitionError(f"{source.name}: is about minors: {words}")


def _period(text: str) -> civil.Period:
    try:
        return civil.parse(text)
    except ValueError as error:
        raise DefinitionError(f"BLOCKS: {error}") from None


def _amount(option: str, text: str) -> Fraction:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or not 0 <= found <= MOST or len(text) > _DIGITS or (found and found.adjusted() < -9):
        raise DefinitionError(f"{option}: {text[:_DIGITS]!r} is not an amount such as 0.1, of at most {MOST}")
    return Fraction(found)
