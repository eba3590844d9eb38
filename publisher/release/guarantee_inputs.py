"""Everything that a guarantee is made from: definitions and the ledger, never a record."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publisher.definitions.period import Grain
    from publisher.definitions.source import Currency
    from publisher.release.manifest import Charge
    from publisher.workspace import DatasetFile


@dataclass(frozen=True)
class SourceAccount:
    """What all releases of one source together may spend on one window of one unit."""

    name: str
    unit: str
    """`record`, or the identifying column."""
    window: Grain
    currency: Currency
    budget: Fraction
    delta: Fraction = Fraction(0)
    span: int | None = None
    """The most windows that one cell of any of its tables spans (default: the most that any table could)."""


@dataclass(frozen=True)
class GuaranteeInputs:
    """One release. Losses are exact and in the source's currency."""

    dataset: DatasetFile
    period: str
    charge: Charge
    epsilon: float
    """ε of (ε, 10⁻⁶ + δ)-differential privacy for the loss; ε itself where the currency is pure."""
    others: tuple[SourceAccount, ...]
    """Every source of the same population, including this one."""
    spent: Fraction
    """The most that any block of this release has spent after this charge, by all releases."""
    vintage: int = 1
    """Which scheduled edition this is."""
    vintages: int = 1
    """How many are scheduled."""
    stand_in: bool = False
    """True if any record was generated."""
    organization: str = ""
    """Who publishes, for the registry; left out if not known."""
    jurisdiction: str = ""
    """Whose law applies, for the registry."""
    charged: str = ""
    """The day of the charge, such as 2026-01-31, for the registry."""

    def __post_init__(self) -> None:
        if self.dataset.source.name not in {each.name for each in self.others}:
            raise ValueError(f"the account of {self.dataset.source.name} itself is missing")

    @property
    def loss(self) -> Fraction:
        """What this release spends on each of its blocks."""
        return Fraction(self.charge.loss)

    @property
    def delta(self) -> Fraction:
        """δ of finding keys, in addition to the loss."""
        return Fraction(self.charge.delta)

    @property
    def account(self) -> SourceAccount:
        """This release's own source."""
        return next(each for each in self.others if each.name == self.dataset.source.name)
