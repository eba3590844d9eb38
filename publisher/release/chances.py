"""The odds of a dataset's own draws: by the exact laws of their noise where those are known, else by the loss alone.

Never above what the loss implies, and never below what the best guesser reaches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.release.guarantee_inputs import WindowSpending
from publisher.release.in_turn import composed_in_turn, tail_in_turn
from publisher.release.loss_distribution import composed, lattice_distance, lattice_tail
from publisher.release.odds import TINY, group, guess_bound, of_distance, of_epsilon, posterior_bound
from publisher.release.worst_shifts import NoiseOf, WorstShifts, one_worst_shift, worst_shifts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal
    from fractions import Fraction

    from publisher.definitions.source import Currency
    from publisher.release.guarantee_inputs import GuaranteeInputs


def right_guess(
    facts: GuaranteeInputs,
    spent: WindowSpending,
    bound: Decimal,
    *,
    units: int = 1,
    windows: int = 1,
    releases: int | None = None,
    before: tuple[Fraction, ...] = (),
) -> Decimal:
    """How often a guess about so many units in so many windows is right at most, by draws that spend `spent` in all.

    `bound` is what that implies, whatever was drawn. `releases` is how often the tables of this release are drawn for
    one window; None if that is not known. `before` are losses of what was drawn before, to choose the bounds by.
    """
    if not _fixed(facts, units, windows):
        return bound
    if before:
        return min(bound, _in_turn(facts.account.currency, spent, before, bound))
    found = [bound]
    if facts.account.currency == "zcdp":
        found.append(of_distance(lattice_distance(float(spent.loss)), spent.delta))
    if releases is not None and windows == 1 and not spent.delta:
        worst = _worst(facts, units)
        if worst is not None:
            found.append(of_distance(composed(worst.shifts * releases).distance + worst.slack * releases))
    return min(found)


def right_guess_here(facts: GuaranteeInputs, units: int = 1) -> Decimal:
    """The same for what this dataset has drawn of the release's windows."""
    drawn, currency = facts.drawn, facts.account.currency
    bound = guess_bound(group(drawn.loss, currency, units), currency, units * drawn.delta)
    if facts.before is None:
        return bound
    spent = WindowSpending(group(facts.loss, currency, units), units * facts.delta)
    before = tuple(group(each, currency, units) for each in facts.before)
    return right_guess(facts, spent, bound, units=units, releases=1, before=before)


def belief_here(facts: GuaranteeInputs) -> Decimal:
    """How sure someone who was at 50% can become, under zCDP except with probability `TINY` (and δ)."""
    drawn, currency = facts.drawn, facts.account.currency
    bound = posterior_bound(drawn.loss, currency)
    if currency == "pure" or facts.dataset.definition.discovered is not None or facts.before is None:
        return bound
    if facts.before:
        return min(bound, of_epsilon(tail_in_turn(_floats((facts.loss, *facts.before)), float(TINY))))
    return min(bound, of_epsilon(lattice_tail(float(drawn.loss), float(TINY))))


def _in_turn(currency: Currency, spent: WindowSpending, before: tuple[Fraction, ...], bound: Decimal) -> Decimal:
    """By the worst law of each loss: what was drawn before may have decided what the rest measures."""
    law = composed_in_turn(currency, _floats((spent.loss, *before)))
    return of_distance(law.distance, spent.delta) if law is not None else bound


def _floats(losses: Iterable[Fraction]) -> tuple[float, ...]:
    return tuple(sorted(map(float, losses)))


def _fixed(facts: GuaranteeInputs, units: int, windows: int) -> bool:
    """Whether no noise decides what units move: keys are public, or it makes no difference which are found."""
    definition = facts.dataset.definition
    if definition.discovered is None:
        return True
    return (units, windows) == (1, 1) and facts.dataset.source.definition.late is None and one_worst_shift(definition)


def _worst(facts: GuaranteeInputs, units: int) -> WorstShifts | None:
    """The worst moves in the tables of this release; None if not known."""
    late = facts.dataset.source.definition.late
    tables = {NoiseOf(each.measure, each.level, each.mechanism, each.scale) for each in facts.charge.tables}
    if len({(each.measure, each.level) for each in tables}) < len(tables):
        return None  # editions were drawn with different noise
    spread = late is not None and late.policy == "increment"
    return worst_shifts(facts.dataset.definition, tables, units, spread=spread)
