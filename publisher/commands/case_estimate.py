"""The estimate of a request for summary data: what its dataset takes, by a plan that reads no record."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from publisher.cases.case import CaseStep, CostEstimate
from publisher.commands.case_steps import office_of
from publisher.definitions import period as civil
from publisher.errors import BudgetError, DefinitionError
from publisher.pipeline.report import loss_words
from publisher.planning.forecast import public

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.period import Period
    from publisher.workspace import DatasetFile, Workspace

MOST_HOURS = Decimal(10_000)


def estimate_case(workspace: Workspace, number: str, name: str, hours: Decimal) -> list[str]:
    """Write the estimate: rows, budget, hours and fee. Nothing is charged. Raises DefinitionError, BudgetError."""
    office = office_of(workspace)
    if not 0 <= hours <= MOST_HOURS:
        raise DefinitionError(f"--hours: give a number from 0 to {MOST_HOURS:,}")
    dataset = workspace.dataset(name)
    estimate = _estimate(workspace, dataset, hours, office.settings.hourly_rate)
    with office.register.changing():
        case = office.register.case(number)
        if case.kind != "summary" or case.state != "open":
            raise DefinitionError(f"case {number}: only an open request for summary data gets an estimate")
        step = CaseStep(what="estimated", day=office.today, due=case.due, dataset=name, estimate=estimate)
        return office.take(case, step, "estimate", _values(dataset, estimate))


def _estimate(workspace: Workspace, dataset: DatasetFile, hours: Decimal, rate: Decimal) -> CostEstimate:
    definition, source = dataset.definition, dataset.source
    until = civil.parse(definition.last).end if definition.last is not None else source.today()
    periods = definition.periods_until(until)
    if not periods:
        raise DefinitionError(f"{dataset.name}: no period has ended yet: set `last`, so that it is known what is asked")
    facts = public(workspace, [dataset])
    edited, refused = facts.edited.get(dataset.name), facts.pace(dataset).refused
    if edited is not None and edited.periods:
        raise DefinitionError(edited.words())
    if refused is not None and civil.parse(refused).start <= periods[-1].start:
        words = f"the budget of {source.name} does not pay for {refused}"
        raise BudgetError(f"{dataset.name}: {words}: `publisher plan {dataset.name}` shows what is left")
    letter = "ρ" if source.definition.privacy.currency == "zcdp" else "ε"
    return CostEstimate(
        dataset=dataset.name,
        first=periods[0].label,
        last=periods[-1].label,
        releases=len(periods),
        rows=_rows(dataset, periods),
        loss=loss_words(dataset),
        budget=f"{letter} {source.definition.privacy.budget:f}",
        hours=hours,
        rate=rate,
    )


def _rows(dataset: DatasetFile, periods: Sequence[Period]) -> int:
    """The rows of every published table of all releases, by the public keys."""
    if dataset.definition.discovered is not None:
        raise DefinitionError(f"{dataset.name}: finds its keys in the records, so its rows are not known before")
    grain, sizes = dataset.definition.cell_grain, {}
    for period in periods:
        cells = len(period.cut(grain))
        if cells not in sizes:
            shown = [level for level in dataset.levels(period) if dataset.definition.shows(level.name)]
            sizes[cells] = sum(level.grid.size for level in shown)
    return sum(sizes[len(period.cut(grain))] for period in periods)


def _values(dataset: DatasetFile, estimate: CostEstimate) -> dict[str, str]:
    return {
        "title": dataset.definition.title,
        "first": estimate.first,
        "last": estimate.last,
        "releases": f"{estimate.releases:,}",
        "rows": f"{estimate.rows:,}",
        "loss": estimate.loss,
        "budget": estimate.budget,
        "hours": f"{estimate.hours:f}",
        "rate": f"{estimate.rate:,.2f}",
        "fee": f"{estimate.fee:,.2f}",
    }
