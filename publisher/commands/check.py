"""`publisher check`: checks every definition without reading a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.definitions.period import parse
from publisher.engine.guard import guarded
from publisher.engine.input import check_columns
from publisher.errors import DefinitionError
from publisher.pipeline.job import jobs_of
from publisher.pipeline.session import opened
from publisher.planning.bins import wide_bins
from publisher.planning.chances import nothing_spent, odds_words, planned_odds, spent_before
from publisher.planning.raised import raised_budgets
from publisher.reference.doubts import doubts
from publisher.release.suite import read_suite, repeated, rules_of
from publisher.release.table import level_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.workspace import DatasetFile, Workspace


def inspect_workspace(workspace: Workspace) -> Iterator[str]:
    """A line for each valid definition. Raises DefinitionError for one that is not."""
    for source in workspace.sources.values():
        guarded(source)
        definition = source.definition
        withheld = sum(not column.read for column in definition.columns.values())
        yield (
            f"source {source.name}: {len(definition.landed)} columns read, {withheld} never read; "
            f"unit {definition.privacy.unit}, window {definition.privacy.window}"
        )
    for dataset in workspace.datasets.values():
        check_columns(dataset, guarded(dataset.source))
        for level in level_names(dataset.definition):
            yield from _suite(workspace, dataset, level)
        measures = ", ".join(measure.name for measure in dataset.definition.measures)
        named = [f"{each.name}{'' if each.publish else ' (not published)'}" for each in dataset.definition.rollups]
        also = f"; rolled up to {', '.join(named)}" if named else ""
        totals = [total.name for total in dataset.definition.totals]
        also += f"; totals over time: {', '.join(totals)}" if totals else ""
        keys = ", ".join(key.name for key in dataset.definition.keys)
        yield f"dataset {dataset.name}: {measures} {f'by {keys}' if keys else 'in one cell'}{also}"
        yield f"  {_odds(workspace, dataset)}"
        yield from (f"warning: {words}" for words in wide_bins(dataset))
        yield from (f"warning: {words}" for words in doubts(dataset, workspace.data))
    if not workspace.datasets:
        raise DefinitionError(
            f"{workspace.shown(workspace.root / 'datasets')}: no dataset is defined yet: write <dataset>.toml there, "
            f"and its source in pipelines/<source>.toml and .sql"
        )
    yield from _raised(workspace)
    yield from _strays(workspace)
    yield "everything is in order"


def _odds(workspace: Workspace, dataset: DatasetFile) -> str:
    """The odds that its guarantees will state. Raises BudgetError when the ledger was begun under other terms than the
    definition has now."""
    before = nothing_spent(workspace, dataset)
    if workspace.private.is_dir():
        with opened(workspace) as catalog:
            for job in jobs_of(workspace, catalog, dataset, [parse(dataset.definition.first)]):
                catalog.ledger.check_terms(job.request)
            before = spent_before(workspace, catalog, dataset)
    return odds_words(dataset, planned_odds(workspace, dataset, before))


def _raised(workspace: Workspace) -> Iterator[str]:
    """A line for each budget that was raised after its source was first charged."""
    if workspace.private.is_dir():
        with opened(workspace) as catalog:
            for words in raised_budgets(workspace.sources.values(), catalog.ledger):
                yield f"warning: {words}"


def _suite(workspace: Workspace, dataset: DatasetFile, level: str) -> Iterator[str]:
    """Say what a suite repeats of the definition. Raises DefinitionError when it cannot be read as expectations."""
    path = workspace.suite(dataset.named(level))
    rules_of(dataset, level, path)
    again, every = repeated(dataset, level, path), len(read_suite(path))
    if again:
        rest = "delete the file" if again == every else f"delete them and keep the other {every - again}"
        yield f"{workspace.shown(path)}: {again} of {every} expectations follow from the definition anyway: {rest}"


def _strays(workspace: Workspace) -> Iterator[str]:
    """Suites that no table has."""
    tables = {
        dataset.named(level) for dataset in workspace.datasets.values() for level in level_names(dataset.definition)
    }
    for path in sorted((workspace.root / "expectations").glob("*.json")):
        if path.stem not in tables:
            yield f"{workspace.shown(path)}: there is no table {path.stem}, so nothing reads it: rename or delete it"
