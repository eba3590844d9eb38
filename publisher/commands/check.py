"""`publisher check`: checks every definition without reading a record, and whether the files fit them."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from publisher.cases.letters import check_letters
from publisher.commands.case_steps import LETTERS
from publisher.commands.preview import private_folder
from publisher.commands.terminal import print_json
from publisher.definitions.period import parse
from publisher.engine.guard import guarded
from publisher.engine.input import check_columns
from publisher.errors import DefinitionError, PublisherError, SourceError
from publisher.pipeline.job import jobs_of
from publisher.pipeline.session import opened
from publisher.planning.bins import wide_bins
from publisher.planning.chances import nothing_spent, odds_words, planned_odds, spent_before
from publisher.planning.raised import raised_budgets
from publisher.records.judgement import WIDTH
from publisher.records.stored_batches import refuse_open_to_all
from publisher.reference.doubts import doubts
from publisher.reference.files import FileCheck, check_dataset_files, check_source_files
from publisher.release.suite import read_suite, repeated, rules_of
from publisher.release.table import level_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.copies import LandedCopies
    from publisher.workspace import DatasetFile, Workspace


IN_ORDER = "everything is in order"


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
    for name in check_letters(workspace.root / LETTERS, LETTERS):
        yield f"{LETTERS}/{name}.txt: takes the place of publisher's own letter"
    if workspace.unfinished:
        raise DefinitionError("\n".join(words for each in workspace.unfinished.values() for words in each))
    yield IN_ORDER


def inspect_definitions(workspace: Workspace) -> Iterator[FileCheck]:
    """What `inspect_workspace` says, line by line, and last the fault that ended it."""
    try:
        for line in inspect_workspace(workspace):
            warning = line.startswith("warning: ")
            yield FileCheck("definitions", line.removeprefix("warning: ").strip(), "warning" if warning else "ok")
    except PublisherError as error:
        yield FileCheck("definitions", str(error), "wrong", error.exit_code)


def inspect_files(workspace: Workspace) -> Iterator[FileCheck]:
    """Whether the files in the data folder fit the definitions, as far as those can be read.

    Raises DefinitionError if no source can be read, SourceError if there is no data folder for files.
    """
    if not workspace.data.is_dir() and not all(source.definition.fetched for source in workspace.sources.values()):
        words = "set the folder of the raw files: PUBLISHER_DATA in the environment or `data` in publisher.toml"
        raise SourceError(f"{workspace.data}: there is no such folder: {words}")
    if workspace.copies is not None:
        yield _store(workspace.copies)
    with private_folder(workspace) as temporary:
        for source in workspace.sources.values():
            yield from check_source_files(workspace, source, temporary)
    try:
        datasets = workspace.datasets
    except DefinitionError:
        return  # what is wrong with them is said among the definitions
    for dataset in datasets.values():
        yield from check_dataset_files(workspace, dataset)


def _store(copies: LandedCopies) -> FileCheck:
    """Whether landed records can go to their store."""
    try:
        refuse_open_to_all(copies)
    except SourceError as error:
        return FileCheck("landed records", str(error), "wrong", error.exit_code)
    return FileCheck("landed records", f"{copies.address.url} can be written and read, with keys alone")


def print_checks(workspace: Workspace, *, data: bool, as_json: bool) -> int:
    """Print every finding about definitions and, with `data`, about files; gives the exit code.

    A wrong definition is told before wrong files, with its own exit code.
    """
    found = list(inspect_definitions(workspace))
    if data:
        try:
            found += inspect_files(workspace)
        except PublisherError as error:
            found.append(FileCheck("files", str(error), "wrong", error.exit_code))
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        for line in _lines(found):
            click.echo(line)
    return next((each.exit_code for each in found if each.exit_code), 0)


def _lines(found: list[FileCheck]) -> Iterator[str]:
    """Each finding in lines of at most 80 columns; of definitions that are in order only that they are."""
    for each in found:
        if (each.what, each.status) == ("definitions", "ok") and each.finding != IN_ORDER:
            continue
        for line in each.finding.splitlines():
            yield from textwrap.wrap(
                f"{each.status:<8}{each.what}: {line}",
                WIDTH,
                subsequent_indent=" " * 8,
                break_long_words=False,
                break_on_hyphens=False,
            )


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
