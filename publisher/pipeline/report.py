"""The outcomes of a run, for people and for machines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from publisher.errors import (
    REFUSED,
    ApprovalError,
    BudgetError,
    DefinitionError,
    HeldError,
    PortalError,
    PublisherError,
    PurgedError,
    RefusedAtLandingError,
    SourceError,
)
from publisher.privacy.distribution import Noise
from publisher.privacy.finish import CONFIDENCE
from publisher.privacy.ledger import decimal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction

    from publisher.definitions.period import Period
    from publisher.release.manifest import Release
    from publisher.release.validation import Validation
    from publisher.workspace import DatasetFile


@dataclass(frozen=True)
class Outcome:
    """What happened to one dataset's period; the fields of `publisher run --json`."""

    dataset: str
    period: str
    edition: int | None
    final: bool | None
    """Whether no other edition is scheduled; a provisional one is false."""
    release: str | None
    status: str
    """published, ready (not pushed), waiting for approval, rejected, held, retracted, superseded, refused (budget),
    refused at landing, definition not approved, or failed."""
    cells: int
    suppressed: int
    loss: str
    margin: str
    portal_url: str | None


@dataclass(frozen=True)
class RunReport:
    """All outcomes, and the exit code of the most serious one."""

    outcomes: tuple[Outcome, ...]
    errors: tuple[PublisherError, ...]

    @property
    def exit_code(self) -> int:
        """0, or the code of the first of source, budget, portal, held, definition that happened."""
        return most_serious(error.exit_code for error in self.errors)


def most_serious(codes: Iterable[int]) -> int:
    """The exit code of several faults: that of the first kind of source, budget, portal, held, definition; 0 for
    none."""
    found = set(codes)
    kinds = (SourceError, BudgetError, PortalError, HeldError, DefinitionError)
    return next((kind.exit_code for kind in kinds if kind.exit_code in found), 0)


def outcome_of(dataset: DatasetFile, release: Release, status: str) -> Outcome:
    """The outcome for a release that exists."""
    says = release.manifest
    return Outcome(
        dataset=says.dataset,
        period=says.period,
        edition=says.edition,
        final=says.final,
        release=says.name,
        status=status,
        cells=says.rows,
        suppressed=says.suppressed,
        loss=loss_words(dataset),
        margin=margin_words(dataset, release),
        portal_url=None,
    )


def failure_of(dataset: DatasetFile, period: Period, error: PublisherError) -> Outcome:
    """The outcome when no release was made."""
    return Outcome(
        dataset=dataset.name,
        period=period.label,
        edition=None,
        final=None,
        release=None,
        status=_status(error),
        cells=dataset.grid(period).size,
        suppressed=0,
        loss=loss_words(dataset),
        margin="",
        portal_url=None,
    )


def _status(error: PublisherError) -> str:
    """Why there is no release. A refusal at landing depends on records, so no more than its one wording is said."""
    if isinstance(error, RefusedAtLandingError):
        return REFUSED
    if isinstance(error, ApprovalError):
        return "definition not approved"
    if isinstance(error, PurgedError):
        return "not released"
    return "refused" if isinstance(error, BudgetError) else "failed"


def next_step(name: str, validation: Validation) -> str:
    """What people can do about a held release; `name` is its dataset and period."""
    if not validation.acceptable:
        return "It cannot be accepted: fix what is wrong, then run `publisher revalidate`."
    return (
        f'If the numbers are right, run `publisher accept {name} --reason "..."`; if the expectations are wrong, fix '
        f"them and run `publisher revalidate`."
    )


def loss_words(dataset: DatasetFile) -> str:
    """The privacy cost per block of one release, such as ρ 0.1."""
    loss = dataset.definition.loss
    return _loss_words(loss.currency, loss.amount)


@lru_cache(maxsize=256)
def _loss_words(currency: str, amount: Fraction) -> str:
    """Said for every period, and every time the same."""
    return f"{'ρ' if currency == 'zcdp' else 'ε'} {decimal(amount)}"


def margin_words(dataset: DatasetFile, release: Release) -> str:
    """The margin of the first published count or sum, such as ±5 requests, with the noise of all draws together.

    It is the same for every cell; if rollups are reconciled with the table, it is smaller.
    """
    definition = dataset.definition
    measure = next((each for each in definition.measured if each.shown), definition.measured[0])
    tables = [each for each in release.manifest.charge.tables if (each.level, each.measure) == ("", measure.name)]
    if not tables:
        return ""
    noise = Noise(tuple((each.mechanism, each.scale) for each in tables))
    width = noise.half_width(CONFIDENCE) * (measure.resolution or 1)
    return f"±{width:,} {measure.unit}"
