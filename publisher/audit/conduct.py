"""How a release is made: the charge before the noise, the noise once, and only noisy numbers after that.

All of it is watched in scratch states, on generated records, with the product's own `publisher run`.
"""

from __future__ import annotations

import io
import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from publisher import run as running
from publisher.audit.finding import replaced
from publisher.errors import BudgetError, HeldError
from publisher.executors.opening import executor_of
from publisher.pipeline import publish
from publisher.pipeline.job import Job
from publisher.pipeline.session import locked
from publisher.privacy import mechanism
from publisher.privacy.finish import finish
from publisher.privacy.ledger import open_ledger
from publisher.records.places import boundaries_fingerprint
from publisher.release.failure import Failure
from publisher.release.manifest import MANIFEST, csv_file
from publisher.release.store import ReleaseStore
from publisher.release.table import as_released, measured_of, published_table
from publisher.release.validation import Validation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.audit.scratch import Scratch
    from publisher.release.judging import Judging
    from publisher.release.manifest import Release
    from publisher.stages import Integers, Mechanism, NoisyTable, Table


class Interrupted(BaseException):
    """A simulated power outage at the first draw."""


@dataclass
class Draws:
    """What was drawn, and whether the charge was there each time; exact values are not kept."""

    scratch: Scratch
    noise: list[tuple[str, str]] = field(default_factory=list)
    selections: int = 0
    unpaid: int = 0

    def seen(self) -> None:
        """Read the ledger with a separate connection, which sees only what is committed."""
        private, public = self.scratch.workspace.private, self.scratch.workspace.public
        ledger = open_ledger(private, public / "ledger.head")
        try:
            self.unpaid += not ledger.charges(self.scratch.dataset.name, self.scratch.period.label)
        finally:
            ledger.close()

    @property
    def any(self) -> bool:
        """Whether anything random was released."""
        return bool(self.noise or self.selections)


def faults_of_charging(scratch: Scratch) -> list[str]:
    """If the ledger refuses, nothing is drawn; if it agrees, its entry is there before the first draw."""
    faults = []
    with _watched(scratch) as draws:
        refused = [scratch.run(scratch.poor()).errors, _drawn_past_the_first_look(scratch)]
    if not all(errors and all(isinstance(error, BudgetError) for error in errors) for errors in refused):
        faults.append("a draw that the budget does not allow is not refused")
    if draws.any:
        faults.append("noise is drawn although the ledger refuses")
    if _releases(scratch) or _charges(scratch):
        faults.append("a refused draw leaves something behind")
    with _watched(scratch, interrupt=True) as draws:
        try:
            scratch.run()
        except Interrupted:
            pass
        else:
            faults.append("noise is drawn in a way that the audit does not see")
    if draws.unpaid:
        faults.append("noise is drawn before the ledger holds its charge")
    if _releases(scratch):
        faults.append("a release became visible before its noise was drawn")
    return faults


def faults_of_repeating(scratch: Scratch) -> list[str]:
    """After the interrupted draw: one charge, one draw; another run, a failed check and a new finish draw nothing."""
    faults, charged = [], _charges(scratch)
    with _watched(scratch) as draws:
        report = scratch.run()
    if not report.errors or not all(isinstance(error, HeldError) for error in report.errors):
        return ["a release that fails its suite is not held", *map(str, report.errors)]
    if _charges(scratch)[: len(charged)] != charged or len(_charges(scratch)) != len(_releases(scratch)):
        faults.append("a draw is charged twice, or not at all")
    if draws.unpaid:
        faults.append("noise is drawn before the ledger holds its charge")
    if len(draws.noise) != len(set(draws.noise)) * len(_releases(scratch)):
        faults.append("noise is drawn more than once for one release")
    before, charged = _bytes(scratch), _charges(scratch)
    loose = scratch.dataset.definition.suppression
    loose = loose.model_copy(update={"threshold": loose.threshold + 1})
    other = scratch.dataset.definition.model_copy(update={"suppression": loose})
    with _watched(scratch) as draws:
        scratch.run()
        if _bytes(scratch) != before:
            faults.append("running again makes another release")
        scratch.run(replace(scratch.dataset, definition=other))
    if draws.any:
        faults.append("noise is drawn again for an existing release")
    if _charges(scratch) != charged:
        faults.append("running again is charged again")
    if any(_measurements(each) != _measurements(_releases(scratch)[-1]) for each in _releases(scratch)[-2:]):
        faults.append("another threshold gives other noisy numbers")
    return faults


def faults_of_blocks(scratch: Scratch, folder: Path) -> list[str]:
    """Every charge names every window of the period, by the calendar; one block that cannot pay refuses the draw."""
    wanted, faults = calendar(scratch), []
    ledger = open_ledger(scratch.workspace.private, scratch.workspace.public / "ledger.head")
    try:
        charges = [set(entry.payload["blocks"]) for entry in ledger.entries("charge")]
        spent = {each.block for each in ledger.spending() if each.spent}
    finally:
        ledger.close()
    if not charges or any(blocks != set(wanted) for blocks in charges) or spent != set(wanted):
        faults.append("a release does not charge exactly the windows that its period touches")
    for number, block in enumerate(dict.fromkeys((wanted[0], wanted[len(wanted) // 2], wanted[-1]))):
        short = scratch.copy(folder / f"short-{number}")
        with locked(short.workspace) as catalog:
            request = _job(short, catalog).request
            most = request.budget - request.loss / 2
            catalog.ledger.charge(replace(request, dataset="audit", loss=most, blocks=(block,)))
        with _watched(short) as draws:
            errors = short.run().errors
        if draws.any or not errors or not all(isinstance(error, BudgetError) for error in errors):
            faults.append("a draw is not refused although one of its blocks cannot pay")
    return faults


def calendar(scratch: Scratch) -> list[str]:
    """The names of the windows that the period touches, from its days alone."""
    window = scratch.dataset.source.definition.privacy.window
    days = [scratch.period.start + timedelta(days=n) for n in range((scratch.period.end - scratch.period.start).days)]
    names = {
        "day": lambda day: day.isoformat(),
        "week": lambda day: day.strftime("%G-W%V"),
        "month": lambda day: day.isoformat()[:7],
        "quarter": lambda day: f"{day.year:04d}-Q{(day.month + 2) // 3}",
        "year": lambda day: day.isoformat()[:4],
        "lifetime": lambda _: "lifetime",
    }
    return list(dict.fromkeys(map(names[window], days)))


def faults_of_finishing(scratch: Scratch) -> list[str]:
    """Every published table is `finish` of the noisy numbers on disk, byte for byte, and has every cell."""
    faults, alike = [], 0
    for release in _releases(scratch):
        with locked(scratch.workspace) as catalog:
            job = replace(_job(scratch, catalog), dataset=as_released(scratch.dataset, release))
            noisy = publish._measurements(job, release)
            if release.manifest.finishing_hash != job.finishing_hash:
                continue  # finished with another threshold, by the audit itself
        faults += _unlike(job, release, noisy)
        alike += 1
    return faults if alike else ["no release was made"]


def faults_of_dependence(full: Scratch, empty: Scratch) -> list[str]:
    """Neighbors, and even unrelated records, publish the same bytes if their noisy numbers are the same."""
    found = []
    for scratch in (full, empty):
        with _watched(scratch, fixed=True):
            scratch.run()
        found.append([(_published(each), _said(each)) for each in _releases(scratch)])
    if not found[0] or not all(files for files, _ in found[0]):
        return ["no release was made"]
    files, says = ([[each[n] for each in side] for side in found] for n in (0, 1))
    faults = []
    if files[0] != files[1]:
        faults.append("with the same noisy numbers, the records still decide what is published")
    if says[0] != says[1]:
        faults.append("with the same noisy numbers, the manifest says something of the records")
    return faults


@contextmanager
def _watched(scratch: Scratch, *, interrupt: bool = False, fixed: bool = False) -> Iterator[Draws]:
    """The product with each draw watched. `fixed` puts the same numbers into every table, whatever it has."""
    draws = Draws(scratch)

    def noise(values: Integers, each: Mechanism) -> Integers:
        draws.seen()
        draws.noise.append(each.table)
        if interrupt:
            raise Interrupted
        made: Integers = _fixed(values, scratch) if fixed else drawn(values, each)
        return made

    def selection(counts: dict[str, int], each: Any) -> tuple[str, ...]:
        draws.seen()
        draws.selections += 1
        if interrupt:
            raise Interrupted
        keys: tuple[str, ...] = ("found 0", "found 1") if fixed else select(counts, each)
        return keys

    with ExitStack() as stack:
        drawn = stack.enter_context(replaced(mechanism, "with_noise", noise))
        select = stack.enter_context(replaced(publish, "select", selection))
        stack.enter_context(replaced(running, "check", _held))
        yield draws


def _held(job: Job, release: Release, _: Judging) -> Validation:
    """A suite that every release fails."""
    failed = Validation(
        passed=False, failures=(Failure(words="held by the audit"),), suite_sha256="0" * 64, checked_at=""
    )
    job.catalog.keep(release, failed)
    return failed


def _fixed(values: Integers, scratch: Scratch) -> Integers:
    """Numbers on both sides of the threshold."""
    import numpy as np

    top = 2 * scratch.dataset.definition.suppression.threshold + 2
    return np.arange(len(values), dtype=np.int64) % (top + 1)


def _drawn_past_the_first_look(scratch: Scratch) -> tuple[BaseException, ...]:
    """The draw itself, without the budget check that a run begins with."""
    scratch.land()
    workspace = scratch.workspace
    with locked(workspace) as catalog, executor_of(workspace.settings.engine, workspace.scratch) as executor:
        try:
            publish.draw(replace(_job(scratch, catalog), dataset=scratch.poor()), executor)
        except BudgetError as error:
            return (error,)
    return ()


def _job(scratch: Scratch, catalog: Any) -> Job:
    from publisher.definitions.vintage import due_vintages

    source = scratch.dataset.source
    places = boundaries_fingerprint(source, scratch.workspace.data)
    vintage = due_vintages(source.definition.late, scratch.period, source.today())[0]
    return Job(scratch.workspace, catalog, scratch.dataset, scratch.period, places, vintage)


def _releases(scratch: Scratch) -> list[Release]:
    return _store(scratch).releases(scratch.dataset.name)


def _store(scratch: Scratch) -> ReleaseStore:
    return ReleaseStore(scratch.workspace.public, scratch.workspace.private)


def _charges(scratch: Scratch) -> list[str]:
    """The hashes of all charges."""
    ledger = open_ledger(scratch.workspace.private, scratch.workspace.public / "ledger.head")
    try:
        return [entry.hash for entry in ledger.entries("charge")]
    finally:
        ledger.close()


def _bytes(scratch: Scratch) -> dict[str, str]:
    """Every file of every release."""
    root = _store(scratch).root
    folders = (root, _store(scratch).kept(root))
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


def _published(release: Release) -> dict[str, str]:
    """Every public file except the manifest, which has the time and the charge."""
    files = [path for path in sorted(release.folder.iterdir()) if path.name != MANIFEST]
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in files}


def _said(release: Release) -> dict[str, Any]:
    """The manifest but for when it was written, for the entry of the ledger, of which what it says is looked at but not
    its time and place, and for the hashes of private files, which have a salt."""
    says: dict[str, Any] = json.loads((release.folder / MANIFEST).read_bytes())
    says["files"] = {name: value for name, value in says["files"].items() if (release.folder / name).is_file()}
    charge = json.loads(says["proof"]["payload"])
    says["proof"] = {name: value for name, value in charge.items() if name not in {"owner", "token"}}
    return {name: value for name, value in says.items() if name not in {"created", "ledger"}}


def _measurements(release: Release) -> dict[Table, list[int]]:
    """The noisy numbers of all levels."""
    return {name: table.tolist() for name, table in measured_of(release).items()}


def _unlike(job: Job, release: Release, noisy: NoisyTable) -> list[str]:
    import pyarrow.csv

    faults = []
    for table in finish(noisy, job.dataset.definition):
        made = published_table(table, job.dataset, release.manifest.edition)
        content = io.BytesIO()
        pyarrow.csv.write_csv(made.table, content)
        if content.getvalue() != (release.folder / csv_file(table.level)).read_bytes():
            faults.append(f"the table {table.level or 'of the dataset'} is not what its noisy numbers give")
        if made.table.num_rows != table.grid.size:
            faults.append(f"the table {table.level or 'of the dataset'} has too few cells")
    return faults
