"""The path of one release, from records to an immutable folder. Every line's order here is part of the promise."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from importlib.metadata import version
from typing import TYPE_CHECKING

from publisher import __version__
from publisher.duck import connect
from publisher.durable import write_file
from publisher.engine.aggregate import RecordSource, bound_and_aggregate, cast_failures
from publisher.engine.guard import guarded
from publisher.errors import BudgetError
from publisher.privacy.finish import finish
from publisher.privacy.ledger import ChargeRequest
from publisher.privacy.mechanism import add_noise, epsilon_of, mechanism_for
from publisher.privacy.sensitivity import sensitivity_of
from publisher.records.landed import raw
from publisher.records.secrets import derive
from publisher.release.guarantee import TINY, guarantee, statement
from publisher.release.identity import finishing_hash, statistical_hash
from publisher.release.manifest import MEASUREMENTS, Charge, LedgerHead, Manifest, Release, TableCharge
from publisher.release.store import Contents, refuse_if_changed
from publisher.release.suite import expected_of
from publisher.release.table import cell_ids, measurements_table, published_table
from publisher.release.validation import Validation, validate
from publisher.stages import Mechanism, NoisyTable

if TYPE_CHECKING:
    from publisher.catalogue import Catalogue
    from publisher.definitions.period import Period
    from publisher.privacy.ledger import Entry
    from publisher.stages import FinishedTable
    from publisher.workspace import DatasetFile, Workspace


@dataclass(frozen=True)
class Job:
    """One dataset and period to be released; `fingerprint` is that of the files that decide places."""

    workspace: Workspace
    catalogue: Catalogue
    dataset: DatasetFile
    period: Period
    fingerprint: str

    @property
    def name(self) -> str:
        """The dataset and period, for people."""
        return f"{self.dataset.name} {self.period.label}"

    def editions(self) -> list[Release]:
        """The releases of this period so far."""
        return self.catalogue.store.editions(self.dataset.name, self.period.label)


def released(job: Job) -> Release | None:
    """The newest edition, if it is what this definition asks for: the same draw with the same finish."""
    wanted = (statistical_hash(job.dataset, job.fingerprint), finishing_hash(job.dataset))
    newest = job.editions()[-1:]
    return next(
        (each for each in newest if (each.manifest.statistical_hash, each.manifest.finishing_hash) == wanted), None
    )


def drawn(job: Job) -> Release | None:
    """The latest release whose draw serves this definition too: only what is done after the noise has changed."""
    wanted = statistical_hash(job.dataset, job.fingerprint)
    found = [each for each in job.editions() if each.manifest.statistical_hash == wanted]
    return found[-1] if found else None


def afford(job: Job) -> None:
    """Raises BudgetError when the draw could not be paid, before any record is read."""
    job.catalogue.ledger.afford(_request(job, _mechanisms(job)))


def draw(job: Job) -> Release:
    """Records -> bounded aggregate -> charge -> noise -> release. Raises BudgetError and SourceError."""
    ledger, mechanisms = job.catalogue.ledger, _mechanisms(job)
    ordering_key = int.from_bytes(derive(job.workspace.private, f"ordering:{job.dataset.source.name}")[:8])
    with connect(job.workspace.settings.engine, job.workspace.private / "tmp") as connection:
        records, stand_in = _read(job)
        bounded = bound_and_aggregate(connection, records, job.dataset, job.period, ordering_key)
        casts = cast_failures(connection, records, job.dataset, job.period)
    _report(job, casts)
    entry = ledger.charge(_request(job, mechanisms))  # durable when it returns; only now may noise be drawn
    noisy = add_noise(bounded, mechanisms)
    release = _write(job, noisy, finish(noisy, job.dataset.definition), entry, stand_in=stand_in)
    job.catalogue.enter(release)
    return release


def refinish(job: Job, before: Release) -> Release:
    """The same draw with another threshold or other columns: post-processing, which costs nothing.

    A draw that people have withdrawn stays withdrawn. Raises SourceError when the files are not as they were written.
    """
    import pyarrow.parquet

    if job.catalogue.standing(before).status == "withdrawn":
        return before
    refuse_if_changed(before)
    grid = job.dataset.grid(job.period)
    table = pyarrow.parquet.read_table(before.folder / MEASUREMENTS)
    mechanisms = tuple(
        Mechanism(each.measure, each.mechanism, each.scale, each.sensitivity, Fraction(each.loss), "")
        for each in before.manifest.charge.tables
    )
    noisy = NoisyTable(grid, {each.measure: table[each.measure].to_numpy() for each in mechanisms}, mechanisms)
    made = job.catalogue.ledger.charges(job.dataset.name, job.period.label)
    charge = [each for each in made if each.payload["statistical_hash"] == before.manifest.statistical_hash]
    if not charge:
        raise BudgetError(f"{before.manifest.name}: the ledger does not hold its charge; see `publisher ledger verify`")
    finished = finish(noisy, job.dataset.definition)
    release = _write(job, noisy, finished, charge[0], stand_in=before.manifest.stand_in)
    job.catalogue.enter(release)
    return release


def check(job: Job, release: Release) -> Validation:
    """Validates a release against its suite and keeps the result; it is never drawn again to pass."""
    before = job.catalogue.before(job.dataset.name, job.period.label)
    expected = expected_of(job.dataset, job.period, cell_ids(job.dataset.grid(job.period)), before)
    validation = validate(release, job.workspace.suite(job.dataset.name), expected=expected)
    job.catalogue.keep(release, validation)
    return validation


def _read(job: Job) -> tuple[RecordSource, bool]:
    source = job.dataset.source
    landed = raw(source, job.workspace.private, job.period.start, job.period.end)
    return RecordSource(landed.sql, tuple(landed.parameters), guarded(source)), landed.generated


def _report(job: Job, casts: dict[str, int]) -> None:
    """Exact counts of values that did not cast: for the private report alone."""
    folder = job.workspace.private / "reports" / job.dataset.source.name
    content = json.dumps({"dataset": job.dataset.name, "period": job.period.label, "did_not_cast": casts}, indent=2)
    write_file(folder / f"casts-{job.dataset.name}-{job.period.label}.json", content.encode() + b"\n", mode=0o600)


def _mechanisms(job: Job) -> tuple[Mechanism, ...]:
    definition = job.dataset.definition
    return tuple(
        mechanism_for(
            measure.name,
            definition.loss.currency,
            sensitivity_of(measure, definition.bounds),
            definition.loss_of(measure),
        )
        for measure in definition.measured
    )


def _request(job: Job, mechanisms: tuple[Mechanism, ...]) -> ChargeRequest:
    source = job.dataset.source.definition
    privacy = source.privacy
    return ChargeRequest(
        source=job.dataset.source.name,
        dataset=job.dataset.name,
        period=job.period.label,
        statistical_hash=statistical_hash(job.dataset, job.fingerprint),
        currency=privacy.currency,
        unit=privacy.unit,
        window=privacy.window,
        loss=job.dataset.definition.loss.amount,
        budget=Fraction(privacy.budget),
        blocks=tuple(block.label for block in job.period.cut(privacy.window)),
        measurements=tuple(each.serialized for each in mechanisms),
        event=f"{source.event.column} in {source.timezone}",
        records=f"{', '.join(source.record_id) or 'whole rows'}; missing {privacy.missing}",
    )


def _write(job: Job, noisy: NoisyTable, finished: FinishedTable, entry: Entry, *, stand_in: bool) -> Release:
    editions = job.editions()
    edition = editions[-1].manifest.edition + 1 if editions else 1
    published = published_table(finished, job.dataset, edition)
    charge = _charge(noisy, entry)
    loss = Fraction(charge.loss)
    epsilon = epsilon_of(loss, TINY) if charge.currency == "zcdp" else float(loss)
    manifest = Manifest(
        dataset=job.dataset.name,
        source=job.dataset.source.name,
        period=job.period.label,
        edition=edition,
        statistical_hash=statistical_hash(job.dataset, job.fingerprint),
        finishing_hash=finishing_hash(job.dataset),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        stand_in=stand_in,
        rows=finished.grid.size,
        suppressed=int(finished.suppressed.sum()),
        unreliable=int(finished.measures[0].unreliable.sum()),
        columns=published.columns,
        shape=published.shape,
        charge=charge,
        ledger=LedgerHead(sequence=entry.sequence, hash=entry.hash),
        versions={"publisher": __version__, "python": platform.python_version()}
        | {package: version(package) for package in ("opendp", "duckdb", "numpy", "pyarrow")},
        files={},
    )
    words = (job.dataset, job.period.label, charge, epsilon)
    contents = Contents(
        published,
        measurements_table(noisy),
        guarantee(*words, stand_in=stand_in),
        statement(*words, stand_in=stand_in),
    )
    return job.catalogue.store.write(manifest, contents)


def _charge(noisy: NoisyTable, entry: Entry) -> Charge:
    return Charge(
        currency=entry.payload["currency"],
        loss=entry.payload["loss"],
        blocks=tuple(entry.payload["blocks"]),
        tables=tuple(
            TableCharge(
                measure=each.measure,
                mechanism=each.kind,
                scale=each.scale,
                sensitivity=each.sensitivity,
                loss=str(each.loss),
            )
            for each in noisy.mechanisms
        ),
    )
