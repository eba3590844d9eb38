"""Worst cases: one unit over many windows, a household, several sources about the same people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, get_args

from publisher.definitions.period import Grain
from publisher.release.chances import right_guess, right_guess_here
from publisher.release.guarantee_inputs import NOTHING, SourceAccount, WindowSpending
from publisher.release.odds import as_rho, group, guess_bound

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from publisher.definitions.dataset import Dataset
    from publisher.definitions.source import Currency
    from publisher.release.guarantee_inputs import GuaranteeInputs
    from publisher.workspace import DatasetFile, SourceFile

SPANS: dict[Grain, dict[Grain, int]] = {
    "day": {"day": 1, "week": 1, "month": 1, "quarter": 1, "year": 1},
    "week": {"day": 7, "week": 1, "month": 2, "quarter": 2, "year": 2},
    "month": {"day": 31, "week": 6, "month": 1, "quarter": 1, "year": 1},
    "quarter": {"day": 92, "week": 14, "month": 3, "quarter": 1, "year": 1},
    "year": {"day": 366, "week": 54, "month": 12, "quarter": 4, "year": 1},
}
"""The most periods of the second grain that one period of the first grain touches."""

IN_YEARS: dict[Grain, dict[int, int]] = {
    "day": {1: 366, 5: 1827, 10: 3653},
    "week": {1: 54, 5: 262, 10: 523},
    "month": {1: 12, 5: 60, 10: 120},
    "quarter": {1: 4, 5: 20, 10: 40},
    "year": {1: 1, 5: 5, 10: 10},
}
"""The most windows that so many calendar years touch."""


@dataclass(frozen=True)
class Bearing:
    """The most that a group of units or windows can lose, and how often a guess about it can be right."""

    count: int
    loss: Fraction
    guess_bound: Decimal


def span(cells: Grain, window: Grain) -> int:
    """s: the most windows that one cell spans; all time is one window."""
    return 1 if window == "lifetime" else SPANS[cells][window]


def widest(window: Grain) -> int:
    """The largest s that any table can have."""
    return max(span(cells, window) for cells in get_args(Grain) if cells != "lifetime")


def account_of(source: SourceFile, datasets: Iterable[DatasetFile], spent: WindowSpending = NOTHING) -> SourceAccount:
    """The account of a source, given all datasets that it was ever charged for (none: unknown), and the most that any
    window has spent."""
    privacy = source.definition.privacy
    declared = WindowSpending(Fraction(privacy.budget), Fraction(privacy.delta))
    over = spent.loss > declared.loss or spent.delta > declared.delta
    grains = {grain for each in datasets for grain in _grains(each.definition)}
    return SourceAccount(
        source.name,
        privacy.unit,
        privacy.window,
        privacy.currency,
        max(declared.loss, spent.loss),
        max(declared.delta, spent.delta),
        max((span(grain, privacy.window) for grain in grains), default=None),
        declared if over else None,
    )


def _grains(definition: Dataset) -> set[Grain]:
    """The time steps of everything that is measured; keys are found over the whole period."""
    found = {definition.period} if definition.discovered or definition.covered else set()
    return {definition.cell_grain, *(each.grain or definition.cell_grain for each in definition.rollups), *found}


def spans(facts: GuaranteeInputs) -> tuple[tuple[Fraction, int], ...]:
    """(part of the loss, s) of each level, and of finding keys and totals within wider bounds, which cover the whole
    period."""
    definition, window = facts.dataset.definition, facts.account.window
    found = Fraction(facts.charge.selection) / facts.loss
    whole = found + definition.coverage_loss / definition.loss.amount
    levels = [(rollup.name, rollup.grain or definition.cell_grain) for rollup in definition.rollups]
    levels.append(("", definition.cell_grain))
    parts = [((1 - whole) * definition.share_of(name), span(grain, window)) for name, grain in levels]
    return (*parts, (whole, span(definition.period, window))) if whole else tuple(parts)


def releases_of_one_window(facts: GuaranteeInputs) -> int | None:
    """How often this dataset spends on one window: its releases that touch it, times the editions that spend again.

    None if there is no limit, because the window covers all time.
    """
    window = facts.account.window
    if window == "lifetime":
        return None
    late = facts.dataset.source.definition.late
    editions = facts.vintages if late is not None and late.policy == "charge" else 1
    return SPANS[window][facts.dataset.definition.period] * editions


def in_this_release(facts: GuaranteeInputs) -> Bearing:
    """One unit with records in every window that this release covers, by all draws of these windows."""
    each = WindowSpending(facts.loss, facts.delta)
    return _over(facts, len(facts.charge.blocks), each, 1, facts.earlier, facts.before)


def in_this_dataset(facts: GuaranteeInputs, windows: int) -> Bearing:
    """One unit with records in that many windows, all releases of this dataset; never more than the budget allows."""
    times, planned = _planned(facts)
    return _over(facts, windows, planned, times, _edited(facts, planned), _before(facts, planned))


def household_in_this_dataset(facts: GuaranteeInputs, units: int) -> Bearing:
    """Several units of one household in one window, all releases of this dataset."""
    times, planned = _planned(facts)
    earlier = _edited(facts, planned)
    spent = WindowSpending(planned.loss + earlier.loss, planned.delta + earlier.delta)
    currency, before = facts.account.currency, _before(facts, planned)
    bearing = household(currency, *spent, units)
    if before is None:
        return bearing
    together = WindowSpending(group(planned.loss, currency, units), units * planned.delta)
    earlier_ones = tuple(group(each, currency, units) for each in before)
    chance = right_guess(facts, together, bearing.guess_bound, units=units, releases=times, before=earlier_ones)
    return replace(bearing, guess_bound=chance)


def _planned(facts: GuaranteeInputs) -> tuple[int | None, WindowSpending]:
    """How often this dataset is drawn for one window, if the budget is enough for that, and what it spends there."""
    times, account = releases_of_one_window(facts), facts.account
    budget = WindowSpending(account.budget, account.delta)
    if times is None:
        return None, budget
    whole = WindowSpending(times * facts.loss, times * facts.delta)
    planned = WindowSpending(min(whole.loss, budget.loss), min(whole.delta, budget.delta))
    return times if planned == whole else None, planned


def _edited(facts: GuaranteeInputs, planned: WindowSpending) -> WindowSpending:
    """What earlier definitions spent on a window besides what is planned, within what the source may spend at all."""
    account, most = facts.account, facts.dataset_spent
    loss = max(facts.edited.loss, most.loss - planned.loss)
    delta = max(facts.edited.delta, most.delta - planned.delta)
    return WindowSpending(min(loss, account.budget - planned.loss), min(delta, account.delta - planned.delta))


def _before(facts: GuaranteeInputs, planned: WindowSpending) -> tuple[Fraction, ...] | None:
    """The losses of the measurements for its bounds, if nothing else but releases like this one has spent; None if it
    has. Within a full budget, earlier draws add no loss."""
    if not any((*facts.earlier, *facts.edited, *_edited(facts, planned))):
        return ()
    misread = any(each.kind == "amendment" for each in facts.decisions)
    if misread or not facts.one_definition:
        return None
    return tuple(each.loss for each in facts.tunings) or None


def in_this_source(facts: GuaranteeInputs, windows: int) -> Bearing:
    """The same when all releases of the source together have spent the whole budget of every window."""
    account = facts.account
    largest = max(account.span or widest(account.window), *(s for _, s in spans(facts)))
    loss = account.budget * windows * (min(windows, largest) if account.currency == "zcdp" else 1)
    return Bearing(
        windows, loss, _guess(account, loss, WindowSpending(account.budget, account.delta), windows, largest)
    )


def household(currency: Currency, loss: Fraction, delta: Fraction, units: int) -> Bearing:
    """Several units of one household: m²ρ or mε."""
    together = group(loss, currency, units)
    return Bearing(units, together, guess_bound(together, currency, units * delta))


def household_here(facts: GuaranteeInputs, units: int) -> Bearing:
    """The same for what this dataset has drawn of the release's windows."""
    return replace(household(facts.account.currency, *facts.drawn, units), guess_bound=right_guess_here(facts, units))


def together(accounts: tuple[SourceAccount, ...]) -> tuple[Currency, Bearing]:
    """One unit of each source in one window of each, all budgets spent; in ρ unless every source is pure.

    The sources' records are different rows, so their losses add (composition); ε counts as ε²/2 where ρ is among them.
    """
    delta = sum((each.delta for each in accounts), Fraction(0))
    if all(each.currency == "pure" for each in accounts):
        loss = sum((each.budget for each in accounts), Fraction(0))
        return "pure", Bearing(len(accounts), loss, guess_bound(loss, "pure"))
    loss = sum((as_rho(each.budget, each.currency) for each in accounts), Fraction(0))
    return "zcdp", Bearing(len(accounts), loss, guess_bound(loss, "zcdp", delta))


def _over(
    facts: GuaranteeInputs,
    windows: int,
    each: WindowSpending,
    releases: int | None,
    earlier: WindowSpending,
    before: tuple[Fraction, ...] | None,
) -> Bearing:
    """W windows of one unit, `each` spent on every one of them by so many releases like this one, and `earlier` by
    tables of which only that is known, or, if `before` is not None, by measurements of these losses.

    Pure: what the windows change adds up in Δ₁, so W·ε. zCDP: in a table whose cells touch at most s windows, at most
    min(W, s) of the unit's windows meet in one cell period, and other cell periods are other cells. With v the change
    by one window, |v|² ≤ Δ₂², the square of a sum of g vectors is at most g times the sum of their squares; summed over
    the cell periods that is W·min(W, s)·Δ₂², so the table's part of ρ counts W·min(W, s) times. Each level has its own
    cells and its own part of ρ. Windows that straddle two releases were charged by both.
    """
    account, parts = facts.account, spans(facts)
    met = sum((part * min(windows, s) for part, s in parts), Fraction(0)) if account.currency == "zcdp" else 1
    alone = WindowSpending(each.loss * windows * met, windows * each.delta)
    total, largest, most = alone.loss, max(s for _, s in parts), widest(account.window)
    often = windows * (min(windows, most) if account.currency == "zcdp" else 1)
    if any(earlier):
        total += earlier.loss * often
        each, largest = WindowSpending(each.loss + earlier.loss, each.delta + earlier.delta), max(largest, most)
    chance = _guess(account, total, each, windows, largest)
    if before is not None:
        measured = tuple(loss * often for loss in before)
        chance = right_guess(facts, alone, chance, windows=windows, releases=releases, before=measured)
    return Bearing(windows, total, chance)


def _guess(account: SourceAccount, total: Fraction, each: WindowSpending, windows: int, largest: int) -> Decimal:
    """The guess over W windows.

    With a δ, losses and δs add while no two windows meet in one draw. Where they do, there are W steps from neighbor
    to neighbor, and their distances √(ρ/2) + δ add.
    """
    if each.delta and largest > 1:
        total = group(each.loss, account.currency, windows)
    return guess_bound(total, account.currency, windows * each.delta)
