"""A finished draw as the next edition of its period: tables, manifest and guarantee, written as one folder."""

from __future__ import annotations

import platform
from collections import defaultdict
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from publisher import __version__
from publisher.definitions.dataset import WIDER
from publisher.grades import CAUTION, UNRELIABLE
from publisher.pipeline.accounts import SourceAccounts
from publisher.pipeline.charges import charge_of
from publisher.pipeline.public_ledger import proof_of
from publisher.portal.contract import CountedShare
from publisher.privacy.coverage import coverages
from publisher.privacy.distribution import Noise
from publisher.privacy.mechanism import epsilon_of
from publisher.release.bounds import within
from publisher.release.guarantee import guarantee
from publisher.release.guarantee_inputs import GuaranteeInputs
from publisher.release.guarantee_page import page
from publisher.release.manifest import LedgerHead, Manifest
from publisher.release.measurements import published_measurements
from publisher.release.odds import TINY
from publisher.release.statement import statement
from publisher.release.store import Contents
from publisher.release.table import measurements_table, published_table, rollup_table, whole_table, wider_table

if TYPE_CHECKING:
    import pyarrow as pa

    from publisher.pipeline.job import Job
    from publisher.privacy.ledger import Entry
    from publisher.release.manifest import Charge, Release
    from publisher.stages import FinishedTable, NoisyTable, Table
    from publisher.workspace import DatasetFile


def write_edition(
    job: Job, noisy: NoisyTable, tables: tuple[FinishedTable, ...], entry: Entry, *, stand_in: bool, order: str
) -> Release:
    """Write the complete folder; one rename makes it visible."""
    edition = max(job.catalog.store.numbers(job.dataset.name, job.period.label), default=0) + 1
    published = {each.level: published_table(each, job.dataset, edition) for each in tables}
    charge = charge_of(job.dataset, noisy.mechanisms, entry)
    finest = tables[-1]
    discovered = job.dataset.definition.discovered
    manifest = Manifest(
        dataset=job.dataset.name,
        source=job.dataset.source.name,
        period=job.period.label,
        edition=edition,
        statistical_hash=job.statistical_hash,
        finishing_hash=job.finishing_hash,
        parts=job.parts,
        order=order,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        stand_in=stand_in,
        rows=finest.grid.size,
        suppressed=int(finest.suppressed.sum()),
        caution=int(finest.measures[0].has(CAUTION).sum()),
        unreliable=int(finest.measures[0].has(UNRELIABLE).sum()),
        columns=published[""].columns,
        shape=published[""].shape,
        rollups=tuple(rollup_table(each, published[each.level], job.dataset) for each in tables[:-1]),
        discovered={discovered.name: next(axis.keys for axis in finest.grid.axes if axis.name == discovered.name)}
        if discovered
        else {},
        charge=charge,
        ledger=LedgerHead(sequence=entry.sequence, hash=entry.hash),
        proof=proof_of(job.catalog.ledger, entry),
        versions=_versions(),
        files={},
        vintage=job.number,
        final=job.vintage is None or job.vintage.final,
        counted=_counted(job, noisy, entry.at[:10]),
    )
    facts = _facts(job, charge, entry.at[:10], stand_in=stand_in)
    words = statement(facts)
    contents = Contents(
        published=published,
        measurements={level.name: measurements_table(noisy, level) for level in noisy.levels}
        | ({WIDER: wider} if (wider := wider_table(noisy, job.period.label)) is not None else {}),
        guarantee=guarantee(facts),
        statement=words,
        page=page(facts, words),
        whole=whole_table(noisy),
        unbiased=unbiased(job.dataset, noisy, edition),
    )
    return job.catalog.store.write(manifest, contents)


@cache
def _versions() -> dict[str, str]:
    """What drew and wrote it."""
    packages = {package: version(package) for package in ("opendp", "duckdb", "numpy", "pyarrow")}
    return {"publisher": __version__, "python": platform.python_version()} | packages


def _counted(job: Job, noisy: NoisyTable, day: str) -> tuple[CountedShare, ...]:
    """The shares that the bounds let count, of what lies within the wider ones."""
    definition = job.dataset.definition
    measures = {each.name: each for each in definition.covered}
    return tuple(
        CountedShare(
            measure=each.measure,
            low=each.low,
            high=each.high,
            period=job.period.label,
            at=day,
            share=each.share,
            within=within(job.dataset, measures[each.measure]),
        )
        for each in coverages(noisy, definition)
    )


def unbiased(dataset: DatasetFile, noisy: NoisyTable, edition: int) -> dict[str, pa.Table]:
    """What is published of the measurements: nothing unless the dataset asks. Several draws of a table were added up,
    and so are their variances."""
    if not dataset.definition.publish_measurements:
        return {}
    variances: dict[Table, float] = defaultdict(float)
    for each in noisy.mechanisms:
        variances[each.table] += Noise(((each.kind, each.scale),)).variance
    return {level.name: published_measurements(noisy, level, dataset, variances, edition) for level in noisy.levels}


def _facts(job: Job, charge: Charge, charged: str, *, stand_in: bool) -> GuaranteeInputs:
    """What the guarantee is made from: only the definition and the ledger."""
    loss, source = Fraction(charge.loss), job.dataset.source
    accounts = SourceAccounts(job.workspace, job.catalog.ledger)
    spent = accounts.spent(source)
    draws = accounts.draws(job.dataset, job.hashes, charge.blocks)
    return GuaranteeInputs(
        dataset=job.dataset,
        period=job.period.label,
        charge=charge,
        epsilon=epsilon_of(loss, float(TINY)) if charge.currency == "zcdp" else float(loss),
        others=tuple(accounts.account(each) for each in job.workspace.same_people(source)),
        apart={
            each.name: reason
            for each in job.workspace.sources.values()
            for reason in [source.apart_from(each) or each.apart_from(source)]
            if reason is not None and each not in job.workspace.same_people(source)
        },
        spent=max((spent[block].loss for block in charge.blocks if block in spent), default=loss),
        decisions=accounts.decisions(source),
        earlier=draws.earlier,
        edited=draws.edited,
        dataset_spent=draws.most,
        tunings=draws.tunings,
        redefined=draws.redefined,
        one_definition=draws.one_definition,
        vintage=job.number,
        vintages=len(job.vintage.cutoffs) if job.vintage is not None else 1,
        stand_in=stand_in,
        organization=job.workspace.settings.organization,
        jurisdiction=job.workspace.settings.jurisdiction,
        charged=charged,
    )
