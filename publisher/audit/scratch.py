"""The audit's own state: worst-case records under the dataset's definition, with a ledger that is thrown away."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from publisher import encryption
from publisher.audit.worst import RECORD, TIME, TIME_FORM, UNIT, worst_of
from publisher.definitions.feed import FileFeed, accept_all
from publisher.definitions.source import Column, Event
from publisher.definitions.vintage import vintages_of
from publisher.durable import private_files, writing
from publisher.errors import LockedError
from publisher.records.landing import land
from publisher.run import PeriodSelection, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from publisher.audit.worst import Worst
    from publisher.definitions.period import Period
    from publisher.definitions.source import Source
    from publisher.errors import PublisherError
    from publisher.pipeline.report import RunReport
    from publisher.records.landing import Landing
    from publisher.workspace import DatasetFile, SourceFile, Workspace

FOLDER = "audit"
FEED = "worst"


@dataclass(frozen=True)
class Scratch:
    """A workspace in the audit's folder; its only source has generated records."""

    workspace: Workspace
    dataset: DatasetFile
    period: Period
    worst: Worst

    def land(self) -> None:
        """Land the records with the product's own code."""
        source = self.dataset.source
        engine = self.workspace.settings.engine
        received = source.today()
        land(source, data=self.workspace.data, private=self.workspace.private, engine=engine, received=received)

    def run(self, dataset: DatasetFile | None = None) -> RunReport:
        """Run `publisher run --no-push` for the period."""
        chosen = [dataset or self.dataset]
        return run(self.workspace, chosen, PeriodSelection(self.period.start, self.period.end), _Silent(), push=False)

    def copy(self, folder: Path) -> Scratch:
        """The same records in a state of its own, in which nothing was charged."""
        shutil.copytree(self.workspace.root, folder, ignore=shutil.ignore_patterns("private", "public"))
        own = replace(self.workspace, root=folder, data=folder / "data", state=folder)
        return replace(self, workspace=own)

    def poor(self) -> DatasetFile:
        """The dataset of a source whose budget is half of what one release costs."""
        source = self.dataset.source
        privacy = source.definition.privacy
        loss = self.dataset.definition.loss
        less = privacy.model_copy(update={"budget": (loss.rho or loss.epsilon or Decimal(0)) / 2})
        poor = source.definition.model_copy(update={"privacy": less})
        return replace(self.dataset, source=replace(source, definition=poor))


class _Silent:
    def total(self, steps: int) -> None:
        """Show nothing."""

    def step(self, words: str) -> None:
        """Show nothing."""

    def doing(self, words: str) -> None:
        """Show nothing."""

    def landed(self, source: SourceFile, landing: Landing) -> None:
        """Show nothing."""

    def agree(self, question: str) -> bool:  # noqa: ARG002 -- a scratch folder spends nobody's budget
        """Always."""
        return True

    def note(self, words: str) -> None:
        """Show nothing."""

    def warn(self, error: PublisherError) -> None:
        """Show nothing; the report has it."""


@contextmanager
def scratch_folder(workspace: Workspace) -> Iterator[Path]:
    """An empty folder, mode 0700, inside the private one; removed afterward. Raises LockedError and SourceError."""
    folder = workspace.private / FOLDER
    with writing(folder), private_files():
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LockedError(f"another audit is running in {folder}: wait until it ends") from None
    try:
        _empty(folder)
        encryption.empty_scratch(folder)
        with private_files():
            yield folder
    finally:
        _empty(folder)
        encryption.empty_scratch(folder)
        folder.rmdir()
        os.close(descriptor)


def scratch_of(
    workspace: Workspace, dataset: DatasetFile, period: Period, folder: Path, *, only: int | None = None
) -> Scratch:
    """Write the records, all or those of one unit, into a separate workspace under the folder."""
    source = _source(dataset.source)
    late = source.definition.late
    cutoffs = vintages_of(late, period)[-1].cutoffs if late is not None else ()
    worst = worst_of(replace(dataset, source=source), period, max(len(cutoffs), 1))
    source = replace(source, definition=_declared(source.definition, worst), sql=_select(worst))
    days = [cutoff - timedelta(days=1) for cutoff in cutoffs] or [period.start]
    with writing(folder):
        _write(worst, [folder / "data" / FEED / f"{day.isoformat()}.csv" for day in days], only)
        for part in ("pipelines", "datasets/keysets"):  # what a guarantee says about the population's other sources
            if (workspace.root / part).is_dir():
                shutil.copytree(workspace.root / part, folder / part)
    feeds = {source.name: source.definition.feed}
    own = replace(workspace, root=folder, data=folder / "data", state=folder, feeds=feeds)
    return Scratch(own, replace(dataset, source=source), period, worst)


def _source(source: SourceFile) -> SourceFile:
    """The source with the same unit, window, register and clock. Of policies for late records only `increment` changes
    what the engine does."""
    late = source.definition.late
    late = (
        late.model_copy(update={"received": "%Y-%m-%d.csv"})
        if late is not None and late.policy == "increment"
        else None
    )
    return replace(source, lookups={}, definition=source.definition.model_copy(update={"late": late}))


def _declared(definition: Source, worst: Worst) -> Source:
    people = definition.privacy.unit != "record"
    read = Column.model_validate({"class": "private", "statute": "generated records"})
    columns = dict.fromkeys([*worst.columns["keys"], *worst.columns["amounts"], RECORD, TIME], read)
    if people:
        columns[UNIT] = read.model_copy(update={"identifier": True})
    unit = UNIT if people else "record"
    return definition.model_copy(
        update={
            "columns": columns,
            "places": {},
            "lookups": (),
            "delivery": "append",
            "record_id": (RECORD,),
            "event": Event(column=TIME, formats=(TIME_FORM,)),
            "feed": FileFeed(path=FEED, accept=accept_all(columns)),
            "privacy": definition.privacy.model_copy(update={"unit": unit}),
        }
    )


def _select(worst: Worst) -> str:
    names = (*worst.columns["keys"], *worst.columns["amounts"]) or (RECORD,)  # a SELECT has a column
    return "SELECT " + ", ".join(f'raw."{name}"' for name in names) + " FROM raw\n"


def _write(worst: Worst, paths: Sequence[Path], only: int | None) -> None:
    """One file for each vintage."""
    import pyarrow.compute as pc
    import pyarrow.csv

    rows = worst.rows()
    if only is not None:
        rows = rows.filter(pc.starts_with(pc.field(RECORD), f"{only:05d}-"))
    columns = [name for name in rows.column_names if name != "vintage"]
    paths[0].parent.mkdir(parents=True)
    for number, path in enumerate(paths, 1):
        pyarrow.csv.write_csv(rows.filter(pc.field("vintage") == number).select(columns), path)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
