"""`publisher tune`: a charged, noisy measurement of how much units contribute.

It is drawn and written once; asking again, even with another `--keep`, reads the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from publisher.definitions.model import Model
from publisher.durable import write_file
from publisher.engine.guard import guarded
from publisher.errors import BudgetError, DefinitionError, SourceError
from publisher.executors.opening import executor_of
from publisher.pipeline.counting import Counting
from publisher.pipeline.job import Identity
from publisher.pipeline.journaling import follow, tell_reading
from publisher.pipeline.landed import land_source
from publisher.pipeline.measurement import measurement
from publisher.pipeline.reviews import refuse_unapproved
from publisher.pipeline.session import locked
from publisher.privacy.mechanism import with_noise
from publisher.privacy.tuning import NoisyHistogram
from publisher.release.manifest import LedgerHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.engine.contributions import ContributionQuestion
    from publisher.pipeline.measurement import Measurement
    from publisher.privacy.ledger import Ledger
    from publisher.stages import Integers, Mechanism
    from publisher.workspace import DatasetFile, Workspace


class TuneResult(Model):
    """The noisy result as it is kept, `tuning/<statistical hash>.json`."""

    format: Literal[1] = 1
    source: str
    dataset: str
    period: str
    statistical_hash: str
    currency: Literal["zcdp", "pure"]
    loss: str
    blocks: tuple[str, ...]
    ledger: LedgerHead
    """The charge."""
    stand_in: bool
    histograms: tuple[NoisyHistogram, ...]


def measured(asked: Measurement, progress: Callable[[str], None] | None = None) -> TuneResult:
    """The noisy result: the stored one, or a new, charged one. Raises BudgetError and SourceError."""
    with locked(asked.workspace) as catalog:
        ledger = catalog.ledger
        kept = _kept(asked, ledger)
        if kept is not None:
            return kept
        mechanisms = asked.mechanisms()
        request = asked.request(mechanisms)
        refuse_unapproved(asked.workspace, ledger, Identity(asked.dataset, asked.fingerprint))
        ledger.afford(request)  # before any record is read
        source = asked.dataset.source.name
        tell_reading(asked.workspace, "tune", source=source, dataset=asked.dataset.name, period=asked.period.label)
        exact, stand_in = _exact(asked, progress)
        entry = ledger.charge(request)  # durable when it returns; only now may noise be drawn
        follow(catalog.journal, ledger, settle=False)
        found = TuneResult(
            source=request.source,
            dataset=asked.dataset.name,
            period=request.period,
            statistical_hash=request.statistical_hash,
            currency=asked.dataset.source.definition.privacy.currency,
            loss=str(request.loss),
            blocks=request.blocks,
            ledger=LedgerHead(sequence=entry.sequence, hash=entry.hash),
            stand_in=stand_in,
            histograms=tuple(map(_noisy, asked.questions, exact, mechanisms)),
        )
        write_file(asked.path, found.model_dump_json(indent=2).encode() + b"\n", mode=0o600)
        _enter(asked, ledger, entry.hash)
        return found


def _kept(asked: Measurement, ledger: Ledger) -> TuneResult | None:
    """The result that was drawn before. Raises SourceError when it is gone or was changed: it is never drawn again."""
    facts = [entry.payload for entry in ledger.entries("tuning")]
    known = next((fact for fact in facts if fact["statistical_hash"] == asked.statistical_hash), None)
    if not asked.path.is_file():
        if known is None:
            return None
        raise SourceError(
            f"{asked.path} was drawn before, but is missing: restore it from a backup; it is never drawn again"
        )
    content = asked.path.read_bytes()
    if known is not None and known["sha256"] != hashlib.sha256(content).hexdigest():
        raise SourceError(f"{asked.path} was changed after it was written: restore it from a backup")
    found = TuneResult.model_validate_json(content)
    if not ledger.holds(found.ledger.sequence, found.ledger.hash):
        raise BudgetError(
            f"{asked.path} was paid for by a ledger that is no longer here: restore the newest copy of that ledger"
        )
    if known is None:  # a crash came between the file and its entry
        _enter(asked, ledger, found.ledger.hash)
    return found


@dataclass(frozen=True)
class Tuned:
    """A result that was drawn before, and the day of its draw."""

    found: TuneResult
    at: str


def newest(workspace: Workspace, ledger: Ledger, dataset: DatasetFile) -> Tuned | None:
    """The newest result for the dataset as it is defined, or None. Reads no record and charges nothing."""
    for entry in reversed(ledger.entries("tuning")):
        path = workspace.private / "tuning" / f"{entry.payload['statistical_hash']}.json"
        if entry.payload["dataset"] != dataset.name or not path.is_file():
            continue
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == entry.payload["sha256"]:
            found = TuneResult.model_validate_json(content)
            if _still_asked(workspace, dataset, found):
                return Tuned(found, entry.at[:10])
    return None


def _still_asked(workspace: Workspace, dataset: DatasetFile, found: TuneResult) -> bool:
    """Whether the same question today is the one that was answered: same keys, SELECT, unit and sums."""
    loss = Fraction(found.loss)
    amount = f"{Decimal(loss.numerator) / Decimal(loss.denominator):f}"
    given = {"rho" if found.currency == "zcdp" else "epsilon": amount}
    try:
        asked = measurement(workspace, dataset.source.name, period=found.period, dataset=dataset.name, **given)
    except (DefinitionError, SourceError):
        return False
    return asked.statistical_hash == found.statistical_hash


def _enter(asked: Measurement, ledger: Ledger, drawn: str) -> None:
    """Record a result in the ledger once its file exists; `drawn` is the hash of its charge."""
    ledger.record(
        "tuning",
        {
            "dataset": asked.dataset.name,
            "period": asked.period.label,
            "statistical_hash": asked.statistical_hash,
            "sha256": hashlib.sha256(asked.path.read_bytes()).hexdigest(),
        },
        drawn=drawn,
    )


def _exact(asked: Measurement, progress: Callable[[str], None] | None) -> tuple[tuple[Integers, ...], bool]:
    """The exact histograms, in memory only, and whether records are stand-ins. Lands what has not been landed."""
    workspace, source = asked.workspace, asked.dataset.source
    with executor_of(workspace.settings.engine, workspace.scratch, workspace.copies) as executor:
        land_source(workspace, source, progress, executor)
        period, query, copies = asked.period, guarded(source), workspace.copies
        counting = Counting(executor, workspace.private, asked.tuned, period, query, copies=copies)
        return counting.contributions(asked.questions), counting.landed.generated


def _noisy(question: ContributionQuestion, exact: Integers, mechanism: Mechanism) -> NoisyHistogram:
    return NoisyHistogram(
        quantity=question.quantity,
        measure=question.measure,
        tops=question.tops,
        counts=tuple(with_noise(exact, mechanism).tolist()),
        mechanism=mechanism.kind,
        scale=mechanism.scale,
        loss=str(mechanism.loss),
    )
