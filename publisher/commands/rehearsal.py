"""`publisher run --rehearse`: a whole run on generated records, with its own ledger, which is thrown away."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from publisher.definitions.feed import FileFeed, accept_all
from publisher.durable import writing
from publisher.errors import SourceError
from publisher.records.secrets import create_key
from publisher.run import PeriodSelection
from publisher.sample.stand_in import write_stand_in

FOLDER = "stand-in feeds"
"""Where the generated files are in the data folder: no list of addresses or places has that name."""

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from publisher.workspace import DatasetFile, SourceFile, Workspace


def rehearsed(asked: PeriodSelection) -> PeriodSelection:
    """The periods that are rehearsed: those asked for, or the newest one of each dataset, which tells enough."""
    return replace(asked, newest=True) if asked == PeriodSelection() else asked


def rehearsal_of(workspace: Workspace, datasets: Sequence[DatasetFile], asked: PeriodSelection) -> Workspace:
    """The same definitions with stand-in feeds of the periods, in a state folder that starts empty. Raises SourceError.

    Boundaries and address lists are copied from the real data folder; nothing else in it is read.
    """
    state = workspace.private / "rehearsal"  # address lists are as private as records
    data = state / "data"
    sources = {dataset.source.name: dataset.source for dataset in datasets}
    with writing(str(state)):
        shutil.rmtree(state, ignore_errors=True)
        create_key(workspace.private)
        (data / FOLDER).mkdir(parents=True)
        for source in sources.values():
            for _, path in source.definition.reference_files():
                _copy(workspace.data, data, path)
    for source in sources.values():
        wanted = [dataset for dataset in workspace.datasets.values() if dataset.source.name == source.name]
        target = data / FOLDER / f"{source.name}.csv"
        write_stand_in(source, wanted, data, target, _span(source, datasets, asked))
    (data / "SAMPLE.json").write_text('{"generated_by": "publisher"}\n', encoding="utf-8")
    feeds = {name: _feed(source) for name, source in sources.items()}
    return replace(workspace, data=data, state=state, feeds=feeds)


def _span(source: SourceFile, datasets: Sequence[DatasetFile], asked: PeriodSelection) -> tuple[date, date] | None:
    """The days of the periods that are rehearsed; None if none is due."""
    named = [each for each in datasets if each.source.name == source.name]
    periods = [period for each in named for period in asked.periods(each)]
    return (min(each.start for each in periods), max(each.end for each in periods)) if periods else None


def _feed(source: SourceFile) -> FileFeed:
    definition = source.definition
    return FileFeed(
        path=f"{FOLDER}/{source.name}.csv", nulls=definition.feed.nulls, accept=accept_all(definition.landed)
    )


def _copy(data: Path, target: Path, path: str) -> None:
    if not (data / path).is_file():
        raise SourceError(f"{path}: is not in {data}: put it there; a rehearsal needs the boundaries and address lists")
    (target / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(data / path, target / path)
