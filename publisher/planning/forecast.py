"""`publisher plan`: what releases will cost and how accurate their numbers will be, from public information only."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.errors import BudgetError, DefinitionError, SourceError
from publisher.pipeline.consent import redraw_of
from publisher.pipeline.job import jobs_of
from publisher.pipeline.report import loss_words
from publisher.pipeline.session import opened
from publisher.pipeline.tuning import Tuned, newest
from publisher.planning.bins import wide_bins
from publisher.planning.chances import PlannedOdds, SpentBefore, nothing_spent, planned_odds, spent_before
from publisher.planning.expected import NOTHING, Known, expected, graded_from, known_from, typical
from publisher.planning.pace import Pace, Spent, pace_of, spent_of
from publisher.planning.raised import raised_budgets
from publisher.privacy.allocation import MeasuredLevels, Problem, shape_of
from publisher.privacy.charge import decimal
from publisher.privacy.distribution import Noise
from publisher.privacy.margins import expected_half_widths, half_width, reconciled
from publisher.privacy.mechanism import mechanism_for
from publisher.privacy.sensitivity import Sensitivity, sensitivity_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from fractions import Fraction

    from publisher.definitions.dataset import Dataset, Measure
    from publisher.definitions.levels import Level
    from publisher.definitions.source import Currency
    from publisher.pipeline.catalog import Catalog
    from publisher.pipeline.consent import Redraw
    from publisher.stages import Floats, Mechanism, Table
    from publisher.workspace import DatasetFile, Workspace

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Widths:
    """The half widths (95%) of a table's cells, in the measure's unit; they differ where families differ in size."""

    least: float
    middle: float
    most: float

    def __str__(self) -> str:
        shown = _digits(self.middle)
        return shown if self.most <= 1.1 * self.least else f"{_digits(self.least)}–{_digits(self.most)}"


@dataclass(frozen=True)
class Forecast:
    """One measured table of one dataset; the fields of `publisher plan --json`."""

    dataset: str
    measure: str
    table: str
    """The name under which it is published."""
    level: str
    """The rollup; empty for the dataset's own table."""
    periods: str
    released: int
    """How many periods were drawn already."""
    cells_a_release: int | None
    """None if the keys are not discovered yet."""
    loss_a_block: str
    """What one release spends on each block, all its tables together."""
    loss_of_table: str
    delta_a_block: str
    blocks_a_release: int
    left_on_fullest_block: str
    delta_left: str
    releases_left: int
    """How many more releases that block can pay for."""
    last_paid: str | None
    """The last period that is paid for before one is refused at this pace."""
    first_refused: str | None
    """The first period that is refused; None if none is."""
    mechanism: str
    noise_scale: str
    noise_alone: float
    """The half width (95%) of the table's own noise, in the measure's unit."""
    half_width: float
    """The same after reconciliation with the other levels, of the middle one of its cells."""
    half_width_most: float
    """Of the cell with the widest margin."""
    margin: str
    ok_from: float
    """The least value that is graded `ok`; smaller ones are `caution`."""
    caution_from: float
    """The least of those; smaller ones are `unreliable`."""
    ok: float | None
    """Expected shares of the cells by grade; None if nothing is known."""
    caution: float | None
    unreliable: float | None
    suppressed: float | None
    known_from: str
    odds: PlannedOdds
    """Of the whole dataset."""


@dataclass(frozen=True)
class Plan:
    """One dataset: its pace and its measured tables, rollups in order."""

    dataset: DatasetFile
    pace: Pace
    tables: tuple[Forecast, ...]
    known: Known
    odds: PlannedOdds
    edited: Redraw | None = None
    """What the current definition would do to released periods."""
    tuned: Tuned | None = None
    """The newest measurement of what units contribute, if there is one."""

    @property
    def release(self) -> civil.Period:
        """The period whose cells represent all."""
        return first_period(self.dataset, self.pace)


@dataclass(frozen=True)
class Public:
    """What is known before anything is spent: definitions, the ledger, and what was published."""

    workspace: Workspace
    spent: Spent
    known: Mapping[str, Known]
    edited: Mapping[str, Redraw] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    """A line for each source whose definition and ledger disagree: other terms, or a budget that was raised; and for
    bins that are too wide."""
    before: Mapping[str, SpentBefore] = field(default_factory=dict)
    """What was spent, for each dataset; none if there is no ledger."""
    tuned: Mapping[str, Tuned] = field(default_factory=dict)
    """What was measured of units, by dataset."""

    def plan(self, dataset: DatasetFile) -> Plan:
        """The plan of one dataset as it is given; it may be a variant of one that is defined."""
        plan = plan_of(dataset, self.pace(dataset), self.known[dataset.name], self.odds(dataset))
        return replace(plan, edited=self.edited.get(dataset.name), tuned=self.tuned.get(dataset.name))

    def odds(self, dataset: DatasetFile) -> PlannedOdds:
        """The odds of a dataset as it is given."""
        before = self.before.get(dataset.name) or nothing_spent(self.workspace, dataset)
        defined = self.workspace.datasets.get(dataset.name)  # a draft is not among them
        same = defined is not None and dataset.definition == defined.definition
        return planned_odds(self.workspace, dataset, before if same else before.redefined())

    def pace(self, dataset: DatasetFile) -> Pace:
        """The pace of a dataset as it is given, its neighbors as they are defined."""
        return pace_of(dataset, [dataset, *self.others(dataset)], self.spent, dataset.source.today())

    def others(self, dataset: DatasetFile) -> list[DatasetFile]:
        """The other datasets of its source."""
        found = [each for each in self.workspace.datasets.values() if each.source.name == dataset.source.name]
        return [each for each in found if each.name != dataset.name]


def public(workspace: Workspace, datasets: Sequence[DatasetFile], guesses: Sequence[str] = ()) -> Public:
    """Read the ledger and the newest current release of each dataset; nothing else, and no record."""
    known = {each.name: NOTHING for each in datasets}
    spent, edited, before, tuned = Spent(), {}, {}, {}
    warnings: tuple[str, ...] = ()
    if workspace.private.is_dir():
        with opened(workspace) as catalog:
            spent = spent_of(catalog.ledger)
            sources = {each.source.name: each.source for each in datasets}
            warnings = (
                *dict.fromkeys(words for each in datasets for words in _terms(workspace, catalog, each)),
                *raised_budgets(sources.values(), catalog.ledger),
            )
            for each in datasets:
                before[each.name] = spent_before(workspace, catalog, each)
                if (measured := newest(workspace, catalog.ledger, each)) is not None:
                    tuned[each.name] = measured
                if (redraw := redrawn_by(workspace, catalog, each)) is not None:
                    edited[each.name] = redraw
                current = catalog.current(each.name)
                if current:
                    known[each.name] = known_from(current[-1], each.definition)
    if guesses:
        known = _guessed(datasets, guesses)
    wide = tuple(words for each in datasets for words in wide_bins(each))
    return Public(workspace, spent, known, edited, (*workspace.left_out(), *warnings, *wide), before, tuned)


def _terms(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> Iterator[str]:
    """What a run will refuse, if the ledger was begun under other terms than the definition has now."""
    try:
        for job in jobs_of(workspace, catalog, dataset, [civil.parse(dataset.definition.first)]):
            catalog.ledger.check_terms(job.request)
    except BudgetError as error:
        yield str(error)
    except SourceError:  # the files that decide places are missing
        return


def redrawn_by(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> Redraw | None:
    """What the definition would do to released periods; None if the files that decide places are missing."""
    if not catalog.store.periods(dataset.name):
        return None
    try:
        return redraw_of(jobs_of(workspace, catalog, dataset, dataset.definition.periods_until(dataset.source.today())))
    except SourceError:
        return None


def plan_of(dataset: DatasetFile, pace: Pace, known: Known, odds: PlannedOdds) -> Plan:
    """The plan of one dataset; if no period has ended yet, it is planned for its first."""
    levels = dataset.levels(first_period(dataset, pace))
    definition = dataset.definition
    widths = widths_of(definition, levels)
    tables = tuple(
        _forecast(dataset, level, measure, pace, known, widths, odds)
        for measure in definition.measured
        for level in levels
    )
    return Plan(dataset, pace, tables, known, odds)


def first_period(dataset: DatasetFile, pace: Pace) -> civil.Period:
    """The period whose cells represent all."""
    return pace.ended[0] if pace.ended else civil.parse(dataset.definition.first)


def widths_of(definition: Dataset, levels: Sequence[Level]) -> dict[Table, Widths]:
    """The margins of every measured table after reconciliation."""
    found: dict[Table, Widths] = {}
    for measure in definition.measured:
        noise = [noise_of(definition, measure, level.name) for level in levels]
        step = float(measure.resolution or 1)
        cells = expected_half_widths(levels, noise, definition, measure, CONFIDENCE)
        found |= {(name, measure.name): _widths(each, step) for name, each in cells.items()}
    return found


def _widths(cells: Floats, step: float) -> Widths:
    import numpy as np

    known = cells[cells > 0] if (cells > 0).any() else cells  # a cell that no finer one belongs to is surely zero
    least, middle, most = np.quantile(known, (0, 0.5, 1)) * step
    return Widths(float(least), float(middle), float(most))


def noise_of(definition: Dataset, measure: Measure, level: str) -> Mechanism:
    """The noise of one measured table."""
    sensitivity = sensitivity_at(definition, measure, level)
    return _mechanism(measure.name, definition.loss.currency, sensitivity, definition.loss_of(measure, level), level)


def problem_of(definition: Dataset, levels: Sequence[Level], weights: Sequence[float]) -> Problem:
    """What a split of the loss among the levels is judged by."""
    zcdp = definition.loss.currency == "zcdp"
    measures = tuple(
        MeasuredLevels(
            tuple(
                _variance(noise_of(definition, each, level.name)) * float(level.share) ** (1 if zcdp else 2)
                for level in levels
            ),
            reconciled(levels, definition, each),
        )
        for each in definition.measured
    )
    return Problem(shape_of(levels), measures, 1 if zcdp else 2, tuple(weights))


@cache
def _mechanism(name: str, currency: Currency, sensitivity: Sensitivity, loss: Fraction, level: str) -> Mechanism:
    return mechanism_for(name, currency, sensitivity, loss, level=level)


def _forecast(
    dataset: DatasetFile,
    level: Level,
    measure: Measure,
    pace: Pace,
    known: Known,
    widths: Mapping[Table, Widths],
    odds: PlannedOdds,
) -> Forecast:
    definition, privacy = dataset.definition, dataset.source.definition.privacy
    noise, margin = noise_of(definition, measure, level.name), widths[level.name, measure.name]
    step = float(measure.resolution or 1)
    shares = expected(level, measure, definition, known, {table: each.middle for table, each in widths.items()})
    ok_from, caution_from = graded_from(margin.middle)
    ended = pace.ended
    return Forecast(
        dataset=dataset.name,
        measure=measure.name,
        table=dataset.named(level.name),
        level=level.name,
        periods=f"{ended[0].label} … {ended[-1].label} ({len(ended)})" if ended else "none has ended",
        released=pace.released,
        cells_a_release=level.grid.size if definition.discovered is None else None,
        loss_a_block=loss_words(dataset),
        loss_of_table=decimal(noise.loss),
        delta_a_block=decimal(definition.delta),
        blocks_a_release=pace.blocks,
        left_on_fullest_block=f"{decimal(pace.left)} of {privacy.budget}",
        delta_left=f"{decimal(pace.delta_left)} of {privacy.delta}",
        releases_left=pace.releases_left,
        last_paid=pace.last,
        first_refused=pace.refused,
        mechanism=noise.kind,
        noise_scale=f"{noise.scale * step:,.4g}",
        noise_alone=half_width(noise, CONFIDENCE) * step,
        half_width=margin.middle,
        half_width_most=margin.most,
        margin=margin_words(margin, measure),
        ok_from=ok_from,
        caution_from=caution_from,
        ok=shares.ok if shares is not None else None,
        caution=shares.caution if shares is not None else None,
        unreliable=shares.unreliable if shares is not None else None,
        suppressed=shares.suppressed if shares is not None else None,
        known_from=known.origin,
        odds=odds,
    )


def margin_words(widths: Widths, measure: Measure) -> str:
    """The margin for people, such as ±4 requests."""
    return f"±{widths} {'records per bin' if measure.kind == 'histogram' else measure.unit}"


def _variance(noise: Mechanism) -> float:
    return Noise(((noise.kind, noise.scale),)).variance


def _digits(width: float) -> str:
    return f"{width:,.1f}" if width < 9.95 and width != round(width) else f"{width:,.0f}"


def _guessed(datasets: Sequence[DatasetFile], guesses: Sequence[str]) -> dict[str, Known]:
    """The guesses of `--typical`: `25` for the counts that are compared with thresholds, or `liters=4000`."""
    values = [_guess(guess) for guess in guesses]
    measured = {measure.name for each in datasets for measure in each.definition.measured}
    strange = sorted({name for name, _ in values if name} - measured)
    if strange:
        raise DefinitionError(
            f"--typical: no measure is called {', '.join(strange)}; the measures are {', '.join(sorted(measured))}"
        )
    return {each.name: _known_by_guess(each, values) for each in datasets}


def _known_by_guess(dataset: DatasetFile, values: Sequence[tuple[str, float]]) -> Known:
    definition = dataset.definition
    names = [measure.name for measure in definition.measured]
    guessed = {name or definition.suppression.measure: value for name, value in values}
    levels = dataset.levels(civil.parse(definition.first))
    sizes = {level.name: level.grid.size for level in levels}
    return typical({name: value for name, value in guessed.items() if name in names}, sizes)


def _guess(text: str) -> tuple[str, float]:
    """The measure, empty if none is named, and the number."""
    name, _, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise DefinitionError(f"--typical {text}: write a number such as 25, or a measure and one such as liters=4000")
    return name, value
