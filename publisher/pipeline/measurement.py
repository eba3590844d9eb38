"""What `publisher tune` is asked to measure: the dataset, the period, the loss and the public bins."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.definitions.dataset import LEAST_LOSS, MOST_STEPS, Bounds, Loss, Measure
from publisher.definitions.model import ordinary
from publisher.engine.contributions import ContributionQuestion
from publisher.engine.guard import guarded
from publisher.errors import DefinitionError
from publisher.pipeline.charges import TUNING, request_of
from publisher.privacy.ledger import decimal
from publisher.privacy.mechanism import mechanism_for, sampler_version
from publisher.privacy.sensitivity import Sensitivity
from publisher.privacy.tuning import bound_tops, total_tops
from publisher.records.places import boundaries_fingerprint
from publisher.release.identity import statistical_hash

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.definitions.period import Period
    from publisher.privacy.ledger import ChargeRequest
    from publisher.stages import Mechanism
    from publisher.workspace import DatasetFile, Workspace

MOST_CELLS, MOST_RECORDS = 100_000, 10_000
"""The tops of the last bins: public, and far above any useful bound."""


@dataclass(frozen=True)
class Measurement:
    """What to measure, and at which loss. `tuned` is the dataset without what the measurement does not depend on."""

    workspace: Workspace
    dataset: DatasetFile
    tuned: DatasetFile
    period: Period
    questions: tuple[ContributionQuestion, ...]
    loss: Fraction
    fingerprint: str

    @property
    def sums(self) -> tuple[Measure, ...]:
        """The sums whose totals are measured."""
        return self.tuned.definition.measured

    @property
    def new(self) -> bool:
        """Whether the sum is one that the dataset does not have yet."""
        known = {each.name for each in self.dataset.definition.measured}
        return any(each.name not in known for each in self.sums)

    @property
    def statistical_hash(self) -> str:
        """The hash over everything that decides the measurement: bounds, clamps and losses of releases do not."""
        asked = [[each.quantity, each.measure, each.tops] for each in self.questions]
        named = [self.dataset.name, self.period.label, str(self.loss)]
        text = json.dumps([*named, statistical_hash(self.tuned, self.fingerprint), asked])
        return hashlib.sha256(text.encode()).hexdigest()

    def mechanisms(self) -> tuple[Mechanism, ...]:
        """The noise of each histogram: equal parts of the loss, and one unit moves one bin by one."""
        currency = self.dataset.source.definition.privacy.currency
        share, sampler = self.loss / len(self.questions), self.workspace.settings.noise
        return tuple(
            mechanism_for(each.measure or each.quantity, currency, Sensitivity(1, 1), share, sampler=sampler)
            for each in self.questions
        )

    def request(self, mechanisms: tuple[Mechanism, ...]) -> ChargeRequest:
        """The charge: on all blocks of the period, apart from the dataset's own releases."""
        return replace(
            request_of(self.dataset, self.period, self.statistical_hash, self.workspace.settings),
            dataset=f"{TUNING}{self.dataset.name}",
            loss=self.loss,
            measurements=tuple(each.serialized for each in mechanisms),
            delta=Fraction(0),
            parallel=False,
            sampler=", ".join(sorted({sampler_version(each.sampler) for each in mechanisms})),
        )

    @property
    def path(self) -> Path:
        """Where the noisy result is kept."""
        return self.workspace.private / "tuning" / f"{self.statistical_hash}.json"

    @property
    def known(self) -> bool:
        """Whether it was measured before; if so, nothing is charged."""
        return self.path.is_file()

    def words(self) -> str:
        """What a person agrees to."""
        if self.known:
            return (
                f"{self.dataset.name} {self.period.label} was measured before with {self._loss}, so nothing is charged."
            )
        source = self.dataset.source
        blocks = self.period.cut(source.definition.privacy.window)
        span = blocks[0].label if len(blocks) == 1 else f"{blocks[0].label} … {blocks[-1].label}"
        return (
            f"This charges {self._loss} on each of {len(blocks)} block(s) of source {source.name} ({span}). Each block "
            f"has a budget of {source.definition.privacy.budget} in all. What is charged never comes back."
        )

    @property
    def _loss(self) -> str:
        return loss_words(self.dataset.source.definition.privacy.currency, self.loss)


def measurement(
    workspace: Workspace,
    source: str,
    *,
    period: str,
    dataset: str | None = None,
    rho: str | None = None,
    epsilon: str | None = None,
    column: str | None = None,
    bins: str | None = None,
) -> Measurement:
    """The measurement that a command line asks for; charges and reads nothing. Raises DefinitionError, SourceError."""
    chosen = _dataset(workspace, source, dataset)
    asked = _period(chosen, period)
    loss = _loss(chosen, rho, epsilon)
    sums, tops = _sums(chosen, column, bins)
    questions = () if column else _bounds_asked(chosen, asked)
    questions += tuple(ContributionQuestion("total", tops, each.name) for each in sums)
    if not questions:
        raise DefinitionError(
            f"{chosen.origin.name}: there is nothing to tune: a record counts once in one cell, and there "
            f"is no sum; name a column with --column"
        )
    fingerprint = boundaries_fingerprint(chosen.source, workspace.data)
    return Measurement(workspace, chosen, _tuned(chosen, sums, tops, loss), asked, questions, loss.amount, fingerprint)


def loss_words(currency: str, loss: Fraction) -> str:
    """The loss for people, such as ρ 0.01."""
    return f"{'ρ' if currency == 'zcdp' else 'ε'} {decimal(loss)}"


def _dataset(workspace: Workspace, source: str, name: str | None) -> DatasetFile:
    of_source = [each for each in workspace.datasets.values() if each.source.name == workspace.source(source).name]
    names = ", ".join(each.name for each in of_source) or "none"
    if name is None and len(of_source) == 1:
        return of_source[0]
    found = [each for each in of_source if each.name == name]
    if not found:
        raise DefinitionError(f"source {source}: choose a dataset with --dataset; its datasets: {names}")
    return found[0]


def _period(dataset: DatasetFile, text: str) -> Period:
    try:
        asked = civil.parse(text)
    except ValueError as error:
        raise DefinitionError(f"--period: {error}") from None
    grain = dataset.definition.period
    if grain not in civil.NESTS[asked.grain]:
        raise DefinitionError(f"--period: {text} does not cover whole periods of {dataset.name}: give a {grain}")
    if asked.end > dataset.source.today():
        raise DefinitionError(
            f"--period: {text} has not ended yet: choose one that has, since later records are never added to a result"
        )
    return asked


def _loss(dataset: DatasetFile, rho: str | None, epsilon: str | None) -> Loss:
    privacy = dataset.source.definition.privacy
    wanted, given, other = ("--rho", rho, epsilon) if privacy.currency == "zcdp" else ("--epsilon", epsilon, rho)
    if given is None or other is not None:
        raise DefinitionError(f"the budget of source {dataset.source.name} is in {wanted[2:]}: give only {wanted}")
    amount = _number(wanted, given)
    if not LEAST_LOSS <= amount <= Decimal(privacy.budget):
        least = f"{LEAST_LOSS:f}"
        raise DefinitionError(f"{wanted}: must be at least {least} and at most the budget of a block, {privacy.budget}")
    return Loss(rho=amount) if privacy.currency == "zcdp" else Loss(epsilon=amount)


def _number(option: str, text: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("nan")
    if not ordinary(number):
        raise DefinitionError(f"{option}: {text!r} is not a number")
    return number


def _bounds_asked(dataset: DatasetFile, period: Period) -> tuple[ContributionQuestion, ...]:
    """Cells of every unit, and records if a measure counts them; nothing if the unit is a record."""
    definition = dataset.definition
    if dataset.source.definition.privacy.unit == "record":
        return ()
    cells = max(dataset.grid(release).size for release in period.cut(definition.period))
    most = MOST_CELLS if definition.discovered else min(cells, MOST_CELLS)
    asked = [ContributionQuestion("cells", bound_tops(most))]
    if any(each.kind in ("count", "histogram") for each in definition.measured):
        asked.append(ContributionQuestion("records", bound_tops(MOST_RECORDS)))
    return tuple(asked)


def _sums(dataset: DatasetFile, column: str | None, bins: str | None) -> tuple[tuple[Measure, ...], tuple[int, ...]]:
    """The sums to measure and the tops of their bins in steps: those of the dataset, or that of one column."""
    sums = tuple(each for each in dataset.definition.measured if each.kind == "sum")
    if column is None:
        if bins is not None:
            raise DefinitionError("--bins: name the column with --column")
        return sums, total_tops(MOST_STEPS)
    known = _columns(dataset)
    if column not in known:
        raise DefinitionError(f"--column: source {dataset.source.name} has no column {column!r}; it has: {known}")
    edges = tuple(_number("--bins", text) for text in bins.split(",")) if bins else ()
    measure = next((each for each in sums if each.column == column), None) or _new_sum(column, edges)
    return (measure,), _tops(edges, measure) if edges else total_tops(MOST_STEPS)


def _columns(dataset: DatasetFile) -> list[str]:
    register = dataset.source.definition.register_
    made = (register.consumption,) if register is not None else ()
    return [*guarded(dataset.source).columns, *made]


def _new_sum(column: str, edges: tuple[Decimal, ...]) -> Measure:
    """A sum that the dataset does not have yet, in steps of the last decimal place in which its bins are written."""
    places = min([0, *(int(edge.as_tuple().exponent) for edge in edges)])
    return Measure(
        name=column,
        title=column,
        kind="sum",
        unit=column,
        column=column,
        lower=Decimal(0),
        upper=Decimal(1),
        resolution=Decimal(1).scaleb(places),
    )


def _tops(edges: tuple[Decimal, ...], measure: Measure) -> tuple[int, ...]:
    steps = [Fraction(edge) / Fraction(measure.resolution or 1) for edge in edges]
    whole = [int(step) for step in steps]
    if (
        [*map(Fraction, whole)] != steps
        or sorted(set(whole)) != whole
        or whole[0] < 0
        or not 0 < whole[-1] <= MOST_STEPS
    ):
        raise DefinitionError(
            f"--bins: must increase from 0 or above, in whole multiples of the resolution {measure.resolution}, such "
            f"as 0,10,100; bins below zero mirror them"
        )
    return tuple(whole)


def _tuned(dataset: DatasetFile, sums: tuple[Measure, ...], tops: tuple[int, ...], loss: Loss) -> DatasetFile:
    """The dataset with only those sums: other bounds, clamps, shares or rollups make the same measurement."""
    largest = {"lower": Decimal(0), "share": None}
    measures = tuple(each.model_copy(update=largest | {"upper": tops[-1] * (each.resolution or 1)}) for each in sums)
    changes = {"measures": measures, "loss": loss, "bounds": Bounds(), "rollups": (), "coarser": ()}
    return replace(dataset, definition=dataset.definition.model_copy(update=changes), coarser=())
