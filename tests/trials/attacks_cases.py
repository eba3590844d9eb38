"""Every attack as lines of a table: how often the attacker was right, and what the release's own guarantee allows.

A line is an attack, its null (the unit is never there: guesses are right half of the time) or its control: the same
attack on a publisher that was weakened on purpose, which must be beaten, or the attack could not win at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from attacks_model import (
    DISCRETE,
    Success,
    Target,
    binned,
    coins,
    evidence,
    filled,
    from_measurements,
    judged,
    learned,
    narrower,
    published,
    redrawn,
    repeated,
    statuses,
    weighed,
)

from publisher.pipeline.publish import _added
from publisher.privacy.margins import margins_of
from publisher.privacy.selection import _tail, select
from publisher.stages import NoisyTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from attacks_model import Published
    from attacks_town import Town

    from publisher.definitions.dataset import Dataset
    from publisher.privacy.selection import KeySelection
    from publisher.stages import Flags, Floats, Mechanism

Kind = Literal["attack", "null", "control"]
EVEN = 0.5
NOTHING = 0.01
"""A part of the noise so small that whole numbers stay as they are."""
COPIES = 10
"""How many draws a weakened publisher makes of one cell."""


@dataclass(frozen=True)
class Line:
    """One attacker: `best` is what the best possible one reaches, `bound` what the guarantee allows, both as chances.

    `attains`: it should reach the best, and not only stay below.
    """

    attack: str
    attacker: str
    kind: Kind
    success: Success
    best: float | None
    bound: float
    attains: bool = False

    @property
    def holds(self) -> bool:
        """Whether it is as it should be, but for luck of one in 150 million."""
        if self.kind == "control":
            return self.success.surely_above(self.bound)
        if self.kind == "null":
            return not (self.success.surely_above(EVEN) or self.success.surely_below(EVEN))
        best = self.bound if self.best is None else self.best + DISCRETE
        within = not self.success.surely_above(min(self.bound, best))
        return within and not (self.attains and self.success.surely_below(best - 2 * DISCRETE))


@dataclass(frozen=True)
class Case:
    """A unit that is asked about, and the chance that the release's guarantee allows."""

    name: str
    target: Target
    bound: float

    def attack(self, attack: str, attacker: str, success: Success, *, attains: bool = False) -> Line:
        """The line of an attack."""
        return Line(attack, attacker, "attack", success, self.target.optimum, self.bound, attains)

    def null(self, attack: str, attacker: str, success: Success) -> Line:
        """The line of its comparison."""
        return Line(attack, attacker, "null", success, EVEN, self.bound)

    def control(self, attack: str, attacker: str, success: Success) -> Line:
        """The line of a publisher who must be beaten."""
        return Line(attack, attacker, "control", success, None, self.bound)


def allowed(guarantee: dict[str, Any]) -> float:
    """How often the release says that a guess is right at most."""
    chance: float = guarantee["odds"]["release"]["guess_at_most"]
    return chance


def allowed_over_windows(guarantee: dict[str, Any]) -> float:
    """The same for a unit that is there in every window of the release."""
    (chance,) = (each["guess_at_most"] for each in guarantee["windows"] if each["of"] == "release")
    return float(chance)


def cases(town: Town) -> dict[str, Case]:
    """The units that are asked about, in four datasets of the town."""
    bounds = {dataset: allowed(town.guarantee(dataset)) for dataset in ("calls", "visits", "meters", "parcels")}
    bounds["months"] = allowed_over_windows(town.guarantee("visits"))
    asked = (
        ("small", "one record, four levels", "calls", "2024-01", "small"),
        ("sole", "the only record of its cell", "calls", "2024-01", "sole"),
        ("person", "a person, 3 cells × 2 records, four measures", "visits", "2024-Q1", "target-01"),
        ("months", "that person in three months", "visits", "2024-Q1", "target"),
        ("meter", "an account at its clamp, two measures", "meters", "2024-01", "target"),
        ("parcel", "a parcel, pure ε", "parcels", "2024-01", "target"),
    )
    return {
        key: Case(name, town.target(dataset, period, note), bounds.get(key, bounds[dataset]))
        for key, name, dataset, period, note in asked
    }


def averaging(case: Case, trials: int) -> Iterator[Line]:
    """All copies of a cell are one draw, so their average is that draw; what a draw for every copy would tell."""
    target, name = case.target, "1 averaging"
    yield case.attack(name, "the average of all copies", from_measurements(target, trials), attains=True)
    yield case.null(name, "the average of all copies", from_measurements(target, trials, null=True))
    many = replace(target, mechanisms=target.mechanisms * COPIES)
    yield case.control(name, f"a new draw for each of {COPIES} copies", from_measurements(many, trials // 4))


def shrinkage(case: Case, releases: int) -> tuple[float, float]:
    """The variance of the average of all copies of a cell, as a part of that of one: of ten editions of one draw with
    other thresholds, and of ten draws."""
    dataset, cell = case.target.dataset, int(np.flatnonzero(case.target.difference(("", "calls")))[0])
    rules = [withholding(dataset, n) for n in range(COPIES)]
    copies = [each.columns["", "calls", "value"][:, cell] for each in published(case.target, releases, *rules)]
    draws = [published(case.target, releases, rules[0], null=True)[0] for _ in rules]
    anew = np.mean([each.columns["", "calls", "value"][:, cell] for each in draws], axis=0)
    shown = ~np.isnan(copies[-1])
    of_one = float(np.nanmean(copies, axis=0)[shown].var() / copies[0][shown].var())
    return of_one, float(anew.var() / draws[0].columns["", "calls", "value"][:, cell].var())


def vintages(case: Case, trials: int) -> Iterator[Line]:
    """`increment`: the second count is the first and a draw over what came since, where the unit is not."""
    target, truth, name = case.target, coins(trials), "1 averaging"
    nothing = {table: np.zeros_like(values) for table, values in target.absent.tables.items()}
    first, since = _drawn(target, truth), _drawn(target, truth & False, nothing)
    second = _added(first, since)
    yield case.attack(name, "the average of two vintages", _averaged(target, [first, second], truth))
    yield case.attack(name, "the better of two vintages", _averaged(target, [first], truth), attains=True)
    anew = [first, *(_drawn(target, truth) for _ in range(4))]
    yield case.control(name, "five vintages that count everything anew", _averaged(target, anew, truth))


def _drawn(target: Target, there: Flags, known: dict[tuple[str, str], Any] | None = None) -> NoisyTable:
    """As many releases as there are coins, of the cells that the unit touches, each (releases · cells)."""
    tables = {}
    for each in target.mechanisms:
        difference = target.difference(each.table)
        touched = np.flatnonzero(difference)
        exact = (known or target.absent.tables)[each.table][touched] + there[:, None] * difference[touched]
        tables[each.table] = redrawn(each, exact).ravel()
    return NoisyTable((), tables, target.mechanisms)


def _averaged(target: Target, copies: Sequence[NoisyTable], truth: Flags) -> Success:
    """The likelihood ratio read off the average of the copies."""
    score = np.zeros(truth.size)
    for each in target.mechanisms:
        difference = target.difference(each.table)
        touched = np.flatnonzero(difference)
        mean = np.mean([copy.tables[each.table] for copy in copies], axis=0).reshape(truth.size, -1)
        score += evidence(each, mean - target.absent.tables[each.table][touched], difference[touched]).sum(axis=1)
    return judged(score > 0, truth)


def two_draws(case: Case, second: tuple[Mechanism, ...], bound: float, trials: int) -> Line:
    """A changed list of keys is a second draw, which the ledger charges: both together against what it allows."""
    both = Case(case.name, replace(case.target, mechanisms=(*case.target.mechanisms, *second)), bound)
    return both.attack("1 averaging", "two draws, both charged", from_measurements(both.target, trials), attains=True)


def differencing(case: Case, trials: int) -> Iterator[Line]:
    """Least squares over every level and measure of a release at once, everybody else being known."""
    target, name = case.target, "2 differencing"
    found = repeated(lambda n: from_measurements(target, n), trials)
    yield case.attack(name, case.name, found, attains=True)
    yield case.null(name, case.name, from_measurements(target, trials // 4, null=True))
    weak = from_measurements(target.weakened(0.25), trials // 4, claimed=target)
    yield case.control(name, f"{case.name}: a quarter of the noise", weak)


def unpaid_levels(case: Case, trials: int) -> Line:
    """A publisher who spends the whole loss on each level, as if each were the only one."""
    whole = sum(each.loss for each in case.target.mechanisms)
    alone = tuple(narrower(each, sqrt(each.loss / whole)) for each in case.target.mechanisms)
    found = from_measurements(replace(case.target, mechanisms=alone), trials)
    return case.control("2 differencing", f"{case.name}: the loss spent on each level", found)


def published_tables(case: Case, releases: int, attack: str = "2 differencing") -> Line:
    """The same from what is published, rounded and cut, where nothing is withheld."""
    (seen,) = published(case.target, releases, withholding(case.target.dataset, 0))
    return case.attack(attack, f"{case.name}: published values", judged(weighed(seen) > 0, seen.truth))


def linking(case: Case, trials: int, releases: int) -> Iterator[Line]:
    """The public rows of everybody else, counted by the city's own public rules, beside one release."""
    target, name = case.target, "3 linking"
    found = repeated(lambda n: from_measurements(target, n), trials)
    yield case.attack(name, f"{case.name}: measurements", found, attains=True)
    yield case.null(name, f"{case.name}: measurements", from_measurements(target, trials, null=True))
    yield published_tables(case, releases, name)
    top, *others = target.mechanisms
    exact = replace(target, mechanisms=(narrower(top, NOTHING), *others))
    yield case.control(name, f"{case.name}: an exact total", from_measurements(exact, trials))


def withholding(dataset: Dataset, threshold: int, *, complementary: bool = False) -> Dataset:
    """The same dataset with another threshold."""
    rule = dataset.suppression.model_copy(update={"threshold": threshold, "complementary": complementary})
    return dataset.model_copy(update={"suppression": rule})


@dataclass(frozen=True)
class Recovery:
    """What totals say of one cell that is mostly withheld."""

    withheld: float
    """The part of releases in which it is."""
    recovered: float
    """The part of these in which its total less its siblings gives a number ..."""
    exactly: float
    """... and the part of those in which that is the very noisy number that was withheld."""
    distance: float
    """Root mean square distance to the true number, wherever it is shown or recovered, in standard deviations of the
    noise that is left after reconciling."""


def recovery(case: Case, releases: int, *, complementary: bool = False) -> tuple[Recovery, list[Line]]:
    """Withheld cells as their total less what is shown beside them."""
    dataset = case.target.dataset
    rules = withholding(dataset, 15, complementary=complementary), withholding(dataset, 0)
    seen, whole = published(case.target, releases, *rules)
    cell = int(np.flatnonzero(case.target.difference(("", "calls")))[0])
    shown, noisy = (each.columns["", "calls", "value"][:, cell] for each in (seen, whole))
    guess = filled(seen, "calls")[""][:, cell]
    gone, known = np.isnan(shown), ~np.isnan(guess)
    error = (guess - case.target.absent.tables["", "calls"][cell] - seen.truth)[known]
    both = gone & known
    found = Recovery(
        withheld=float(gone.mean()),
        recovered=float(known[gone].mean()),
        exactly=float((guess == noisy)[both].mean()) if both.any() else 0.0,
        distance=float(np.sqrt(np.mean(error**2))) / _deviation(case.target, cell),
    )
    name = "4 withheld cells" + (", complementary" if complementary else "")
    guesses = weighed(seen) > 0
    nothing = published(case.target, releases, rules[0], null=True)[0]
    open_ = published(case.target.weakened(NOTHING), releases, rules[0])[0]
    return found, [
        case.attack(name, "totals less siblings", judged(guesses, seen.truth)),
        case.attack(name, "where it is withheld", judged(guesses[gone], seen.truth[gone])),
        case.null(name, "totals less siblings", judged(weighed(nothing) > 0, nothing.truth)),
        case.control(name, "without noise", judged(weighed(open_) > 0, open_.truth)),
    ]


def _deviation(target: Target, cell: int) -> float:
    """The standard deviation of a finest cell's estimate."""
    measure = target.dataset.measured[0]
    return float(margins_of(target.absent.levels, target.mechanisms, target.dataset, measure)[-1].deviations[cell])


def post_processing(small: Case, sole: Case, person: Case, releases: int) -> Iterator[Line]:
    """What statuses, margins, rounding, cutting at zero and words reveal, learned from releases of known truth."""
    name, dataset = "5 post-processing", small.target.dataset
    held, shown = published(small.target, releases, withholding(dataset, 12), withholding(dataset, 0))
    yield small.attack(name, "the statuses of all cells", learned(held.truth, statuses(held)))
    everything = binned(weighed(held)), binned(weighed(held, "high")), _touched(held, "status")
    yield small.attack(name, "statuses, values and margins", learned(held.truth, *everything))
    yield small.attack(name, "both editions", learned(shown.truth, binned(weighed(shown)), _touched(held, "status")))
    (cut,) = published(sole.target, releases, withholding(dataset, 0))
    yield sole.attack(name, f"{sole.name}: values cut at zero", learned(cut.truth, binned(weighed(cut))))
    yield sole.attack(name, f"{sole.name}: ends of margins", learned(cut.truth, binned(weighed(cut, "high"))))
    (words,) = published(person.target, releases // 2)
    yield person.attack(name, f"{person.name}: ranges in words", learned(words.truth, _touched(words, "text")))
    (nothing,) = published(small.target, releases, withholding(dataset, 12), null=True)
    yield small.null(name, "the statuses of all cells", learned(nothing.truth, statuses(nothing)))
    (true,) = published(small.target.weakened(NOTHING), releases, withholding(dataset, 12))
    yield small.control(name, "a threshold on true counts", learned(true.truth, statuses(true)))


def _touched(seen: Published, column: str) -> Floats:
    """One published column in the cells that the unit touches, of every table that has it."""
    counted = seen.target.dataset.suppression.measure
    return np.column_stack(
        [
            values[:, np.flatnonzero(seen.target.difference((level, counted)))]
            for (level, _, name), values in seen.columns.items()
            if name == column
        ]
    )


def unique_keys(selection: KeySelection, keys: int) -> Iterator[Line]:
    """How often a key that one unit alone brought in is shown: each key here is a release of its own."""
    name, bound = "7 unique keys", float(selection.delta)
    alone = {f"key {n}": 1 for n in range(keys)}
    best = _tail(selection.scale, selection.threshold - 1)
    yield Line(name, f"δ = {bound:g}", "attack", Success(len(select(alone, selection)), keys), best, bound)
    low = replace(selection, threshold=selection.threshold - round(selection.scale))
    few = dict(list(alone.items())[: keys // 5])
    yield Line(
        name, f"δ = {bound:g}: a threshold too low", "control", Success(len(select(few, low)), len(few)), None, bound
    )
