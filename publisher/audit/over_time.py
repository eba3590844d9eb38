"""Totals over time: each is the sum of its periods' noisy numbers, costs nothing, and goes with any of its periods."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from publisher import run as running
from publisher.audit.finding import replaced
from publisher.definitions.period import Period, containing
from publisher.pipeline.session import locked
from publisher.pipeline.totals import refresh_totals, totals_of
from publisher.privacy.estimates import estimates_of
from publisher.release.table import kept_draw, read_published
from publisher.release.validation import Validation

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.audit.scratch import Scratch
    from publisher.definitions.totals import Span
    from publisher.pipeline.catalog import Catalog
    from publisher.pipeline.job import Job
    from publisher.pipeline.totals import TotalTable
    from publisher.release.judging import Judging
    from publisher.release.manifest import Release

MOST = 12
"""The most releases that are made for it."""


def faults_of_totals(scratch: Scratch, folder: Path) -> list[str] | str:
    """Release the periods of a quarter or a year in a separate state, and add up what it kept."""
    time = _time(scratch)
    periods = time.cut(scratch.dataset.definition.period)
    if len(periods) > MOST:
        return f"not looked at: it takes {len(periods)} releases, more than {MOST}"
    own = _paid(replace(scratch.copy(folder / "totals"), period=time), periods)
    with replaced(running, "check", _passed):
        report = own.run()
    if report.errors:
        return ["the periods of a total could not be released", *map(str, report.errors)]
    with locked(own.workspace) as catalog:
        faults = [fault for table in totals_of(catalog, own.dataset) for fault in _faults_of(table)]
        if len(catalog.ledger.entries("charge")) != len(catalog.store.releases(own.dataset.name)):
            faults.append("a total is charged")
        before = _bytes(own)
        refresh_totals(own.workspace, catalog, own.dataset)
        if _bytes(own) != before:
            faults.append("a total is written again although nothing changed")
        return faults + _faults_of_retracting(catalog, own)


def _time(scratch: Scratch) -> Period:
    """The year of the period, or the year before if it is not over; only a quarter if no total needs a year."""
    year = containing(scratch.period.start, "year")
    if year.end > scratch.dataset.source.today():
        year = Period(year.start.replace(year=year.start.year - 1), year.start, "year")
    quarters = all(total.grain == "quarter" for total in scratch.dataset.definition.totals)
    return year.cut("quarter")[0] if quarters else year


def _paid(scratch: Scratch, periods: tuple[Period, ...]) -> Scratch:
    """The dataset of these periods, with a budget that pays for all of them."""
    source, definition = scratch.dataset.source, scratch.dataset.definition
    privacy = source.definition.privacy
    budget = privacy.model_copy(update={"budget": privacy.budget * len(periods)})
    rich = replace(source, definition=source.definition.model_copy(update={"privacy": budget}))
    span = {"first": periods[0].label, "last": periods[-1].label}
    return replace(
        scratch, dataset=replace(scratch.dataset, source=rich, definition=definition.model_copy(update=span))
    )


def _faults_of(table: TotalTable) -> list[str]:
    made = {each.release.manifest.period: each.release for each in table.standings if each.status == "ready"}
    if not made or set(made) != {span.period.label for span in table.spans}:
        return [f"{table.table}: a total is missing"]
    return [fault for span in table.spans for fault in _unlike(table, span, made[span.period.label])]


def _unlike(table: TotalTable, span: Span, total: Release) -> list[str]:
    """Whether a published count or sum is not that of the unprojected estimates, cut at zero and rounded once."""
    import numpy as np

    definition, faults = table.dataset.definition, []
    published = read_published(total)
    draws = [kept_draw(table.dataset, table.current[each.label]) for each in span.addends]
    parts = [estimates_of(each, definition) for each in draws]
    for measure in definition.measures:
        if measure.kind not in ("count", "sum") or measure.name not in published.column_names:
            continue
        centers = [each[table.total.level, measure.name] for each in parts]
        wanted = np.maximum(sum(each.center[:, 0] for each in centers), centers[0].floor)
        column = published[measure.name]
        shown = ~column.is_null().to_numpy()
        steps = column.fill_null(0).to_numpy() / float(measure.resolution or 1)
        if (abs(steps - wanted)[shown] > 0.5 + 1e-6).any():
            faults.append(
                f"{measure.name} of {total.manifest.dataset} is not the sum of the noisy numbers of its periods"
            )
    return faults


def _faults_of_retracting(catalog: Catalog, scratch: Scratch) -> list[str]:
    """Without its last period no total is current, and none is computed."""
    last = catalog.current(scratch.dataset.name)[-1]
    catalog.retract(last, "retracted by the audit")
    refresh_totals(scratch.workspace, catalog, scratch.dataset)
    left = [
        each
        for table in totals_of(catalog, scratch.dataset)
        for each in table.standings
        if each.status == "ready" and last.manifest.name in each.release.manifest.added
    ]
    return ["a total of a retracted release is still current"] if left else []


def _passed(job: Job, release: Release, _: Judging) -> Validation:
    """A suite that every release meets."""
    passed = Validation(passed=True, failures=(), suite_sha256="0" * 64, checked_at="")
    job.catalog.keep(release, passed)
    return passed


def _bytes(scratch: Scratch) -> dict[str, bytes]:
    """Every file of every total."""
    root = scratch.workspace.public / "totals"
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
