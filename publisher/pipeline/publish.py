"""How one release is made, from records to an immutable folder. The order of every line is part of the guarantee."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from publisher.encryption import write_file
from publisher.engine.guard import guarded
from publisher.errors import BudgetError, PurgedError, SourceError
from publisher.pipeline.charges import mechanisms_of, selection_of
from publisher.pipeline.counting import Counting
from publisher.pipeline.editions import write_edition
from publisher.pipeline.journaling import follow
from publisher.pipeline.reviews import refuse_unapproved
from publisher.privacy.estimates import settled, strays
from publisher.privacy.finish import finish
from publisher.privacy.mechanism import add_noise, saturated
from publisher.privacy.selection import select
from publisher.records.batch import basis
from publisher.records.secrets import derive
from publisher.records.shelves import receipts_of
from publisher.release.store import refuse_if_changed
from publisher.release.table import as_released, kept_draw
from publisher.stages import NoisyTable

if TYPE_CHECKING:
    from publisher.executors.protocol import Executor, Progress
    from publisher.pipeline.job import Job
    from publisher.privacy.ledger import Entry
    from publisher.release.judging import Judging
    from publisher.release.manifest import Release
    from publisher.release.validation import Validation


def afford(job: Job) -> None:
    """Raises PurgedError when its records are gone, ApprovalError when the definition is not approved, and BudgetError
    when the draw is not allowed, before any record is read.

    Either the budget cannot pay for it, or it would be added to a draw that kept other cells of each unit: together
    they would hold more of a unit than its bounds.
    """
    if job.purged:
        raise PurgedError(job.name)
    refuse_unapproved(job.workspace, job.catalog.ledger, job.identity)
    before = job.draws.get(job.number - 1) if job.adds else None
    if before is not None and before.manifest.order != job.order:
        versions = before.manifest.versions
        raise BudgetError(
            f"{job.name}: edition {before.manifest.edition} was drawn by publisher {versions.get('publisher', '?')} "
            f"with DuckDB {versions.get('duckdb', '?')}, which keep other cells of a unit than this version, so "
            "nothing can be added to it. It stays as it is; nothing was charged. Finish this period with those "
            "versions, or set the dataset's `first` to a later period."
        )
    job.catalog.ledger.afford(job.request)


def draw(job: Job, executor: Executor, progress: Progress = lambda _: None) -> Release:
    """Records -> bounded aggregate -> charge -> noise -> release. Raises BudgetError and SourceError.

    Where vintages add up, the noisy numbers of the one before are read first and what is new is added to them.
    """
    before = job.draws[job.number - 1] if job.adds else None
    counted = _measurements(job, before) if before is not None else None
    counting = _counting(job, executor, progress)
    stand_in = counting.landed.generated
    if job.dataset.definition.discovered is not None:
        job = _discover(job, counting)
        counting = replace(counting, dataset=job.dataset)
    bounded = counting.tables()
    casts = counting.cast_failures()
    _report(job, casts)
    entry = _charge(job)  # durable when it returns; only now may noise be drawn
    noisy = add_noise(bounded, mechanisms_of(job.dataset, job.workspace.settings))
    if before is not None and counted is not None:
        noisy, stand_in = _added(counted, noisy), stand_in or before.manifest.stand_in
    return _released(job, noisy, entry, stand_in=stand_in, order=job.order)


def refinish(job: Job, before: Release) -> Release:
    """The same draw with another threshold or other columns: post-processing, which costs nothing.

    A retracted draw stays retracted. Raises SourceError when the files were changed after they were written.
    """
    if job.catalog.standing(before).status == "retracted":
        return before
    job = replace(job, dataset=as_released(job.dataset, before))
    noisy, says = _measurements(job, before), before.manifest
    if strays(noisy, job.dataset.definition):
        raise SourceError(f"{says.name}: its whole numbers are not those of its draw: restore them from a backup")
    made = job.catalog.ledger.charges(job.dataset.name, job.period.label)
    draw = says.statistical_hash, says.vintage
    charge = [each for each in made if (each.payload["statistical_hash"], each.payload.get("vintage", 1)) == draw]
    if not charge:
        raise BudgetError(f"{says.name}: the ledger does not have its charge: run `publisher verify`")
    return _released(job, noisy, charge[0], stand_in=says.stand_in, order=says.order)


def check(job: Job, release: Release, judging: Judging) -> Validation:
    """Validate a release against what is expected of it and store the result; it is never drawn again to pass."""
    job.catalog.refuse_if_changed(release)
    before = job.catalog.before(job.dataset.name, job.period.label)
    validation = judging.judge(release, job.dataset, job.workspace.suite, before)
    job.catalog.keep(release, validation)
    return validation


def _measurements(job: Job, release: Release) -> NoisyTable:
    """The unbiased noisy numbers of a release, with every draw in them. Raises SourceError when they were changed."""
    refuse_if_changed(release)
    return kept_draw(job.dataset, release)


def _added(before: NoisyTable, new: NoisyTable) -> NoisyTable:
    """Draws over disjoint records, added up: unbiased still, and their noise adds up too."""
    tables = {name: saturated(table, new.tables[name]) for name, table in before.tables.items()}
    return NoisyTable(new.levels, tables, (*before.mechanisms, *new.mechanisms))


def _discover(job: Job, counting: Counting) -> Job:
    """The job with the keys that enough units share. The charge is durable before they are looked for with noise."""
    selection = selection_of(job.dataset)
    if selection is None:
        return job
    counts = counting.candidates()
    _charge(job)
    return replace(job, dataset=job.dataset.discovering(select(counts, selection)))


def _charge(job: Job) -> Entry:
    """The charge. What is landed from now on, whatever its name says, was received after the vintage's cutoff."""
    if job.vintage is not None:
        source = job.dataset.source
        own, copies = basis(source.definition), job.workspace.copies
        receipts_of(job.workspace.private, source.name, own, copies=copies).close(job.vintage.cutoff)
    entry = job.catalog.ledger.charge(job.request)
    follow(job.catalog.journal, job.catalog.ledger, settle=False)
    return entry


def _counting(job: Job, executor: Executor, progress: Progress) -> Counting:
    """The landed records, to be counted."""
    private, source, copies = job.workspace.private, job.dataset.source, job.workspace.copies
    key = int.from_bytes(derive(private, f"ordering:{source.name}")[:8])
    return Counting(executor, private, job.dataset, job.period, guarded(source), key, job.vintage, progress, copies)


def _report(job: Job, casts: dict[str, int]) -> None:
    """Exact counts of values that did not cast, for the private report only; there is none where all did."""
    folder = job.workspace.private / "reports" / job.dataset.source.name
    path = folder / f"casts-{job.dataset.name}-{job.period.label}.json"
    content = json.dumps({"dataset": job.dataset.name, "period": job.period.label, "did_not_cast": casts}, indent=2)
    if any(casts.values()):
        write_file(path, content.encode() + b"\n")
    else:
        path.unlink(missing_ok=True)  # of an earlier edition


def _released(job: Job, noisy: NoisyTable, entry: Entry, *, stand_in: bool, order: str) -> Release:
    """Finish the draw, write it as the period's next edition and record it in the ledger."""
    noisy = settled(noisy, job.dataset.definition)
    tables = finish(noisy, job.dataset.definition)
    release = write_edition(job, noisy, tables, entry, stand_in=stand_in, order=order)
    job.catalog.enter(release)
    return release
