"""The smallest loss with which a goal is met, with the shares, bounds and threshold that go with it; or by how much it
is missed, and what would meet it.

Everything follows from definitions, public keys, and sizes that are guessed, published or measured for a charge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from publisher.definitions import period as civil
from publisher.errors import DefinitionError
from publisher.pipeline.session import opened
from publisher.planning.advice import KEEP
from publisher.planning.expected import expected, graded_from
from publisher.planning.forecast import first_period, plan_of, problem_of, redrawn_by, widths_of
from publisher.planning.goal_ceiling import Ceiling, ceiling_of, spending, steps_of
from publisher.planning.goal_table import GoalTable, goal_table
from publisher.planning.phrases import vocabulary_of
from publisher.planning.sizes import sizes_of
from publisher.planning.total_error import measured_errors
from publisher.privacy.allocation import suggested_split
from publisher.privacy.tuning import bias_of, bound_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from publisher.definitions.dataset import Measure
    from publisher.definitions.levels import Level
    from publisher.definitions.period import Grain
    from publisher.pipeline.consent import Redraw
    from publisher.pipeline.tuning import Tuned
    from publisher.planning.chances import PlannedOdds
    from publisher.planning.expected import Known
    from publisher.planning.forecast import Plan, Public, Widths
    from publisher.planning.goal import Goal
    from publisher.planning.goal_ceiling import Ceiling
    from publisher.planning.goal_table import DatasetDraft
    from publisher.planning.guess import Guesses
    from publisher.planning.sizes import Sizes
    from publisher.stages import Table
    from publisher.workspace import DatasetFile

WEIGHT = 100.0
"""How much more the goal's own table counts than the others when the loss is split."""

LEAST_THRESHOLD = 5
"""No lower threshold is proposed."""

EVEN = 0.01
"""By how much the share of cells that are withheld may be above what the goal leaves free: cells are known roughly."""

MOST_LOSS = 10
"""The largest loss that is named at all: beyond it, nothing is promised."""


@dataclass(frozen=True)
class GoalFit:
    """One goal with the definition that serves it best, within the ceiling or beyond it."""

    goal: Goal
    table: GoalTable
    dataset: DatasetFile
    ceiling: Ceiling
    loss: Decimal
    """What a release spends."""
    needed: Fraction
    """The loss that would meet the goal, whatever the ceilings are."""
    margins: dict[str, float]
    """The half width (95%) of the middle cell of the goal's table, by measure."""
    values: dict[str, float]
    """The cells that have to be so exact are at least of that size, by measure."""
    cut: dict[str, float]
    """The share that bounds cut, by measure, where it was measured."""
    withheld: float | None
    """The share of the table's cells that are not shown; None if that is not known."""

    @property
    def met(self) -> bool:
        """Whether the loss is enough, and as many numbers are shown as have to be so exact."""
        return self.needed <= Fraction(self.loss) and not self.hides

    @property
    def hides(self) -> bool:
        """Whether more numbers are withheld than the goal leaves free."""
        return self.withheld is not None and self.withheld > 1 - self.goal.share + EVEN

    @property
    def reached(self) -> float:
        """How exact the numbers are that have to be: a share of them or an amount, the worst of the measures."""
        cuts = {name: self.cut.get(name, 0.0) for name in self.margins}
        if self.goal.relative:
            return max(_over(margin, self.values.get(name, 0)) + cuts[name] for name, margin in self.margins.items())
        return max(margin + cuts[name] * self.values.get(name, 0) for name, margin in self.margins.items())

    @property
    def within_reach(self) -> Goal | None:
        """The same goal, as exact as it is reached; None where numbers are less than their noise."""
        if self.goal.relative and self.reached >= 1:
            return None
        reached = math.ceil(100 * self.reached) / 100 if self.goal.relative else float(math.ceil(self.reached))
        return replace(self.goal, within=reached)

    @property
    def sized(self) -> bool:
        """Whether it is known how large the numbers are; a margin in percent of them needs that."""
        return not self.goal.relative or set(self.values) == set(self.margins)


@dataclass(frozen=True)
class LargerLoss:
    """A loss that would meet a missed goal, and the odds that go with it."""

    loss: Decimal
    odds: PlannedOdds


@dataclass(frozen=True)
class GoalAnswer:
    """What a goal takes, and what would be possible instead."""

    search: GoalSearch
    found: GoalFit
    plan: Plan
    alternatives: tuple[GoalFit, ...]
    larger: LargerLoss | None
    redraw: Redraw | None


@dataclass(frozen=True)
class GoalSearch:
    """Where a goal is looked for: the dataset's file, the ledger and what was published, and what is known of sizes."""

    draft: DatasetDraft
    dataset: DatasetFile
    """The dataset as its file has it."""
    facts: Public
    guesses: Guesses
    tuned: Tuned | None = None

    @property
    def currency(self) -> str:
        """zcdp or pure."""
        return self.dataset.source.definition.privacy.currency

    def sizes(self, dataset: DatasetFile) -> Sizes:
        """What is known of the cells of another definition of it."""
        return sizes_of(self.dataset, dataset, self.guesses, self.facts.known[self.dataset.name], self.tuned)

    def answer(self, goal: Goal) -> GoalAnswer:
        """Everything about a goal. Raises DefinitionError."""
        found = self.fit(goal)
        missed = found.sized and not found.met
        others = tuple(self._alternatives(found)) if missed else ()
        larger = self._larger(found) if missed else None
        return GoalAnswer(self, found, self._plan(found), others, larger, self._redraw(found))

    def fit(self, goal: Goal) -> GoalFit:
        """The best definition for a goal. Raises DefinitionError where there is none."""
        if self.dataset.definition.discovered is not None:
            raise DefinitionError(
                f"{self.dataset.name}: finds its keys by a selection, so no goal can be planned for it"
            )
        table = self._bounded(goal_table(self.draft, self.dataset, goal))
        dataset = self._with_loss(table, steps_of(self.dataset.source.definition)[-1])
        ceiling = ceiling_of(self.facts, dataset)
        table = self._split(table, self._with_loss(table, ceiling.loss))
        found = self._spent(goal, table, ceiling)
        if self._tunes(found.dataset):
            for _ in range(2):  # bounds depend on the noise, and the noise on the bounds
                other = self._spent(goal, self._least(found), ceiling)
                found = min(found, other, key=lambda each: (not each.met, each.loss, each.needed))
        return found

    def _alternatives(self, missed: GoalFit) -> Iterator[GoalFit]:
        """What would meet a goal that is missed: a longer step, fewer or coarser keys; the first of each kind."""
        seen = set()
        datasets = (*self.facts.others(self.dataset), self.dataset)
        above = {each.of: each.name for dataset in datasets for each in dataset.definition.coarser}
        for goals in _relaxed(missed.goal, above):
            for goal in goals:
                found = self._tried(goal)
                if found is not None and found.met and goal.words() not in seen:
                    seen.add(goal.words())
                    yield found
                    break

    def _tried(self, goal: Goal) -> GoalFit | None:
        try:
            return self.fit(goal)
        except DefinitionError:
            return None

    def _plan(self, found: GoalFit) -> Plan:
        """The plan of the definition, by the cells that are known or guessed."""
        dataset, pace = found.dataset, self.facts.pace(found.dataset)
        levels = dataset.levels(first_period(dataset, pace))
        known = self.sizes(dataset).known(levels, dataset.definition.measured)
        return plan_of(dataset, pace, known, self.facts.odds(dataset))

    def _redraw(self, found: GoalFit) -> Redraw | None:
        """What the definition would do to periods that are released."""
        workspace = self.facts.workspace
        if not workspace.private.is_dir():
            return None
        with opened(workspace) as catalog:
            return redrawn_by(workspace, catalog, found.dataset)

    def _larger(self, found: GoalFit) -> LargerLoss | None:
        """The loss, with two digits, that would meet the goal; None where even a very large one would not."""
        if found.hides or found.needed > MOST_LOSS:
            return None
        places = 1 - Decimal(float(found.needed)).adjusted()
        loss = Decimal(float(found.needed)).quantize(Decimal(1).scaleb(-places), ROUND_CEILING)
        return LargerLoss(loss, self.facts.odds(spending(found.dataset, loss)))

    def _bounded(self, table: GoalTable) -> GoalTable:
        """With the bounds that were guessed. Raises DefinitionError where none are known at all."""
        privacy, bounds = self.dataset.source.definition.privacy, self.guesses.bounds
        if privacy.unit == "record":
            if bounds is not None:
                raise DefinitionError("--guess: a record counts once in one cell, so there are no bounds to guess")
            return table
        if bounds is not None:
            values = {"max_groups": bounds.max_groups, "max_per_group": bounds.max_per_group}
            return table.changed(bounds={**table.values.get("bounds", {}), **values})
        if self.draft.bounds_open:
            raise self.draft.origin.error(
                ("bounds",),
                f"how much of one {privacy.unit} counts is not decided yet: add what is ordinary, such as --guess "
                f"'{vocabulary_of(self.draft.workspace, self.dataset).examples()[2]}'",
            )
        return table

    def _tunes(self, dataset: DatasetFile) -> bool:
        """Whether a measurement tells the bounds of this definition: one of the same cells, and none are guessed."""
        mine, other = self.dataset.definition, dataset.definition
        keys = [{key.name for key in each.keys} for each in (mine, other)]
        same = keys[0] == keys[1] and (mine.period, mine.grain) == (other.period, other.grain)
        return same and self.tuned is not None and self.guesses.bounds is None

    def _with_loss(self, table: GoalTable, loss: Decimal) -> DatasetFile:
        name = "rho" if self.currency == "zcdp" else "epsilon"
        return self.draft.dataset(table.changed(loss={name: loss}).values)

    def _levels(self, dataset: DatasetFile) -> tuple[Level, ...]:
        return dataset.levels(civil.parse(dataset.definition.first))

    def _split(self, table: GoalTable, dataset: DatasetFile) -> GoalTable:
        """With the shares of the loss that make the goal's table best, and the others good."""
        if not dataset.definition.rollups:
            return table
        levels, shown = self._levels(dataset), dataset.definition.shows
        weights = [WEIGHT if level.name == table.level else float(shown(level.name)) for level in levels]
        shares = suggested_split(problem_of(dataset.definition, levels, weights))
        parts = {level.name: share for level, share in zip(levels, shares, strict=True)}
        rollups = [
            {**each, "share": Decimal(parts[each["name"]].numerator) / Decimal(parts[each["name"]].denominator)}
            for each in table.values["rollups"]
        ]
        return table.changed(rollups=tuple(rollups))

    def _spent(self, goal: Goal, table: GoalTable, ceiling: Ceiling) -> GoalFit:
        """With the smallest loss that meets the goal, or the ceiling."""
        full = self._fitted(goal, table, ceiling, ceiling.loss)
        if not full.met:
            return full
        for step in steps_of(self.dataset.source.definition):
            if full.needed * Fraction(9, 10) <= Fraction(step) < Fraction(ceiling.loss):
                found = self._fitted(goal, table, ceiling, step)
                if found.met:
                    return found
        return full

    def _fitted(self, goal: Goal, table: GoalTable, ceiling: Ceiling, loss: Decimal) -> GoalFit:
        """With that loss, and the threshold that goes with it."""
        dataset = self._with_loss(table, loss)
        levels, measures = self._levels(dataset), _named(dataset, goal)
        widths = widths_of(dataset.definition, levels)
        known = self.sizes(dataset).known(levels, dataset.definition.measured)
        cells = {each.name: known.cells.get((table.level, each.name)) for each in measures}
        values = {
            name: _quantile(found.values.tolist(), 1 - goal.share) for name, found in cells.items() if found is not None
        }
        margins = {each.name: widths[table.level, each.name].middle for each in measures}
        cut = self._cut(dataset, measures)
        ratio = max(_over(margins[name], goal.allowed(values.get(name, 0.0), cut.get(name, 0.0))) for name in margins)
        needed = Fraction(loss) * Fraction(min(ratio, 1e6)) ** (2 if self.currency == "zcdp" else 1)
        table = self._thresholded(table, widths, known)
        table = table.changed(loss={"rho" if self.currency == "zcdp" else "epsilon": loss})
        dataset = self.draft.dataset(table.values)
        level = next(each for each in levels if each.name == table.level)
        middles = {name: each.middle for name, each in widths.items()}
        shares = expected(level, measures[0], dataset.definition, known, middles)
        withheld = shares.suppressed if shares is not None else None
        return GoalFit(goal, table, dataset, ceiling, loss, needed, margins, values, cut, withheld)

    def _thresholded(self, table: GoalTable, widths: Mapping[Table, Widths], known: Known) -> GoalTable:
        """With a threshold below which the noise alone makes numbers unreliable; never a lower one than before.

        Where nothing is known of the count that it is compared with, the threshold stays.
        """
        suppression = table.values["suppression"]
        name = suppression["measure"]
        _, least = graded_from(widths["", name].middle)
        noisy = math.ceil(least) if ("", name) in known.cells else 0
        threshold = max(noisy, suppression["threshold"], LEAST_THRESHOLD)
        return table.changed(suppression={**suppression, "threshold": threshold})

    def _cut(self, dataset: DatasetFile, measures: Sequence[Measure]) -> dict[str, float]:
        """The middle of what the bounds cut of each measure, where it was measured."""
        if self.tuned is None or not self._tunes(dataset):
            return {}
        errors = measured_errors(dataset, self.tuned.found, KEEP)
        groups, found = dataset.definition.bounds.max_groups, {}
        for each in measures:
            bias = bias_of(errors.proposal, each, groups, bound_of(dataset.definition, each))
            if bias is not None:
                found[each.name] = sum(bias) / 2
        return found

    def _least(self, found: GoalFit) -> GoalTable:
        """With the bounds that leave the smallest total error at that loss."""
        assert self.tuned is not None  # noqa: S101 - as the caller checked, for the type checker
        least = measured_errors(found.dataset, self.tuned.found, KEEP).least
        if least is None:
            return found.table
        values = dict(found.table.values)
        if self.dataset.source.definition.privacy.unit != "record":
            bounds = dict(values.get("bounds", {}))
            given = {"max_groups": least.max_groups, "max_per_group": least.max_per_group}
            values["bounds"] = bounds | {name: bound for name, bound in given.items() if bound is not None}
        values["measures"] = tuple(_clamped(each, least.uppers) for each in values["measures"])
        return GoalTable(values, found.table.level)


def _named(dataset: DatasetFile, goal: Goal) -> list[Measure]:
    return [each for each in dataset.definition.measured if each.name in goal.measures]


def _over(margin: float, allowed: float) -> float:
    return margin / allowed if allowed > 0 else math.inf


def _quantile(values: list[float], part: float) -> float:
    import numpy as np

    return float(np.quantile(np.array(values), part))


def _clamped(measure: dict[str, Any], uppers: dict[str, int]) -> dict[str, Any]:
    """A sum with another upper clamp, in steps; its lower one stays or mirrors it."""
    if measure["name"] not in uppers:
        return measure
    upper = uppers[measure["name"]] * Decimal(measure["resolution"])
    upper_value = int(upper) if upper == int(upper) else upper
    return {**measure, "upper": upper_value, **({"lower": -upper_value} if measure["lower"] < 0 else {})}


def _relaxed(goal: Goal, above: Mapping[str, str]) -> Iterator[Iterator[Goal]]:
    """Goals that ask for less, kind by kind, in each the smallest step first; `above` has each key's coarser one."""
    order: tuple[Grain, ...] = ("day", "week", "month", "quarter", "year")
    later = [grain for grain in order[order.index(goal.grain) + 1 :] if grain != "week"]
    yield (replace(goal, grain=grain) for grain in later)
    for key in goal.keys:
        if key in above:
            yield iter([replace(goal, keys=tuple(above[each] if each == key else each for each in goal.keys))])
    for key in goal.keys:
        fewer = tuple(each for each in goal.keys if each != key)
        yield (replace(goal, keys=fewer, grain=grain) for grain in (goal.grain, *later))
