"""Everything that a guarantee is made from: definitions and the ledger, never a record."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.definitions.period import Grain
    from publisher.definitions.source import Currency
    from publisher.release.manifest import Charge
    from publisher.workspace import DatasetFile


class WindowSpending(NamedTuple):
    """What is spent on one window."""

    loss: Fraction
    delta: Fraction


NOTHING = WindowSpending(Fraction(0), Fraction(0))


@dataclass(frozen=True)
class SourceAccount:
    """What all releases of one source together may spend on one window of one unit."""

    name: str
    unit: str
    """`record`, or the identifying column."""
    window: Grain
    currency: Currency
    budget: Fraction
    """The declared budget, or what a window has spent if that is more, because the budget was lowered afterwards."""
    delta: Fraction = Fraction(0)
    span: int | None = None
    """The most windows that one cell of any of its tables spans (default: the most that any table could)."""
    declared: WindowSpending | None = None
    """The declared budget, if a window has spent more than it."""


@dataclass(frozen=True)
class Decision:
    """A decision that the ledger keeps."""

    kind: Literal["amendment", "allowance"]
    at: str
    """The day, such as 2026-01-31."""
    reason: str


@dataclass(frozen=True)
class Tuning:
    """A measurement of how much units contribute, drawn with noise to choose a dataset's bounds by."""

    entry: int
    """The number of its charge in the ledger."""
    period: str
    loss: Fraction
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class GuaranteeInputs:
    """One release. Losses are exact and in the source's currency."""

    dataset: DatasetFile
    period: str
    charge: Charge
    epsilon: float
    """ε of (ε, 10⁻⁶ + δ)-differential privacy for the loss; ε itself where the currency is pure."""
    others: tuple[SourceAccount, ...]
    """Every source that counts as about the same people, including this one."""
    spent: Fraction
    """The most that any block of this release has spent after this charge, by all releases."""
    apart: Mapping[str, str] = field(default_factory=dict)
    """The sources over the same files that are declared to be about other people, and why."""
    earlier: WindowSpending = NOTHING
    """The most that earlier definitions of this dataset, and measurements for its bounds, have spent on any block of
    this release."""
    edited: WindowSpending = NOTHING
    """The same for any block that this definition spends on."""
    dataset_spent: WindowSpending = NOTHING
    """The most that this dataset has spent on any block, by all of these."""
    tunings: tuple[Tuning, ...] = ()
    """The measurements for its bounds."""
    redefined: bool = True
    """Whether earlier definitions are among what was spent earlier."""
    one_definition: bool = False
    """Whether every release of this dataset, of any period, is of this definition."""
    decisions: tuple[Decision, ...] = ()
    """What people recorded about the source's budget and dates, oldest first."""
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
    def drawn(self) -> WindowSpending:
        """What this dataset has spent on each block of this release: all draws together."""
        return WindowSpending(self.loss + self.earlier.loss, self.delta + self.earlier.delta)

    @property
    def tuned(self) -> bool:
        """Whether a block of this release was measured for the dataset's bounds."""
        return any(set(each.blocks) & set(self.charge.blocks) for each in self.tunings)

    @property
    def before(self) -> tuple[Fraction, ...] | None:
        """The losses of the measurements for its bounds that this dataset has drawn of the release's windows; None if
        an earlier definition was drawn, too."""
        if not any(self.earlier):
            return ()
        here = set(self.charge.blocks)
        found = tuple(each.loss for each in self.tunings if here.intersection(each.blocks))
        return None if self.redefined or not found else found

    @property
    def account(self) -> SourceAccount:
        """This release's own source."""
        return next(each for each in self.others if each.name == self.dataset.source.name)
