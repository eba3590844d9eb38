"""A published dataset: what is counted by which public keys, at which privacy loss, and how it is shown."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from publisher.definitions import period as civil
from publisher.definitions.model import Exact, Model, Name, RuleError, Slug, Text

PeriodName = Annotated[str, AfterValidator(lambda text: civil.parse(text).label)]

MOST_STEPS = 10**11
"""The widest clamp: ninety million units of that size still add up in 64 bits."""

RESERVED = ("id", "period", "period_start", "edition")
"""Columns that every dataset has."""


class Loss(Model):
    """What one release spends on each block it touches: ρ (zCDP) or ε (pure), never both."""

    rho: Exact | None = Field(None, gt=0, le=1000)
    epsilon: Exact | None = Field(None, gt=0, le=1000)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.rho is None) == (self.epsilon is None):
            raise ValueError("give one of rho (zCDP) or epsilon (pure)")
        return self

    @property
    def amount(self) -> Fraction:
        """The loss as an exact rational, in the currency of `currency`."""
        return Fraction(self.rho if self.rho is not None else self.epsilon or 0)

    @property
    def currency(self) -> Literal["zcdp", "pure"]:
        """`zcdp` where rho is given, `pure` where epsilon is."""
        return "zcdp" if self.rho is not None else "pure"


class Bounds(Model):
    """What one unit in one window can contribute to one release."""

    max_groups: int = Field(1, ge=1, le=100_000)
    """k: cells of the finest table."""
    max_per_group: int = Field(1, ge=1, le=1_000_000)
    """c: records in one cell."""


class Key(Model):
    """One key column and the public keys that get a row each."""

    name: Name
    """A place level of the source or a column of its SELECT."""
    title: Text
    keyset: Slug
    other: Text
    """The key that takes in everything the keyset does not list: Other, or Unknown for places."""
    description: Text | None = None


class Measure(Model):
    """One published number per cell. Counts and sums are measured with noise; a mean is read off two of them."""

    name: Name
    title: Text
    kind: Literal["count", "count_units", "sum", "mean"]
    unit: Text
    """What one of it is: requests, litres, US dollars, days."""
    description: Text | None = None
    column: Name | None = None
    """sum: the column of the SELECT that is added up."""
    lower: Exact | None = None
    """sum: a unit's total in one cell is raised to this."""
    upper: Exact | None = None
    """sum: a unit's total in one cell is cut to this."""
    resolution: Exact | None = Field(None, gt=0)
    """sum: the smallest step, in `unit`; sums are whole multiples of it."""
    share: Exact | None = Field(None, gt=0, le=1)
    """The part of the release's loss spent on this table; equal parts unless said."""
    sum_: Name | None = Field(None, alias="sum")
    """mean: the sum it divides."""
    count: Name | None = None
    """mean: the count it divides by."""
    publish: bool = True
    """False keeps a table that only a mean needs out of the published columns."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        needed = {"sum": ("column", "lower", "upper", "resolution"), "mean": ("sum_", "count")}.get(self.kind, ())
        for field in ("column", "lower", "upper", "resolution", "sum_", "count"):
            given = getattr(self, field) is not None
            if given != (field in needed):
                say = "is needed for" if field in needed else "has no meaning for"
                raise RuleError((field.rstrip("_"),), f"{say} a {self.kind}")
        if self.kind == "mean" and self.share is not None:
            raise RuleError(("share",), "a mean is read off its sum and count and spends nothing: delete share")
        if self.lower is not None and self.upper is not None and self.resolution is not None:
            self._check_clamps(self.lower, self.upper, self.resolution)
        return self

    def _check_clamps(self, lower: Decimal, upper: Decimal, resolution: Decimal) -> None:
        if lower >= upper:
            raise RuleError(("lower",), "must lie below upper")
        for name, clamp in (("lower", lower), ("upper", upper)):
            steps = Fraction(clamp) / Fraction(resolution)
            if steps.denominator != 1:
                raise RuleError((name,), "must be a whole multiple of the resolution")
            if abs(steps) > MOST_STEPS:
                raise RuleError((name,), f"lies more than {MOST_STEPS:,} steps of the resolution from zero")

    @property
    def measured(self) -> bool:
        """Whether noise is drawn for it."""
        return self.kind != "mean"

    @property
    def clamps(self) -> tuple[int, int]:
        """A sum's (lower, upper) in steps of its resolution."""
        if self.lower is None or self.upper is None or self.resolution is None:
            raise ValueError(f"{self.name} is a {self.kind}, not a sum")
        step = Fraction(self.resolution)
        return int(Fraction(self.lower) / step), int(Fraction(self.upper) / step)


class Suppression(Model):
    """Which noisy cells are withheld or marked. Decided on noisy values alone; the guarantee does not rest on it."""

    measure: Name
    """The count that is compared with the threshold."""
    threshold: int = Field(ge=0)
    """Cells whose noisy count lies below are suppressed."""
    unreliable: Exact = Field(Decimal("0.5"), gt=0)
    """A value is unreliable when half its margin is wider than this part of it."""
    customers: int | None = Field(None, ge=1)
    """15/15 rule: the count less its margin must reach this ..."""
    largest_share: Exact | None = Field(None, gt=0, le=1)
    """... and every sum's upper clamp be at most this part of the sum less its margin."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.customers is None) != (self.largest_share is None):
            raise ValueError("customers and largest_share belong together, such as 15 and 0.15")
        return self


class Portal(Model):
    """How the portal lists the dataset."""

    category: Text
    tags: tuple[Text, ...] = ()


class Dataset(Model):
    """`datasets/<dataset>.toml`."""

    title: Text
    description: Text
    source: Slug
    period: civil.Grain
    """One release covers one such period."""
    grain: civil.Grain | None = None
    """The time step of the cells; the period itself unless said."""
    first: PeriodName
    """The first period to release: written down, never looked up in the records."""
    last: PeriodName | None = None
    """The last one; without it, every period that has ended."""
    loss: Loss
    bounds: Bounds = Bounds.model_construct(max_groups=1, max_per_group=1)
    keys: tuple[Key, ...] = Field(min_length=1)
    measures: tuple[Measure, ...] = Field(min_length=1)
    suppression: Suppression
    portal: Portal
    limitations: tuple[Text, ...] = ()
    """What a reader should know about the data, a sentence each."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_time()
        self._check_names()
        self._check_shares()
        return self

    def _check_time(self) -> None:
        if self.period == "lifetime":
            raise RuleError(("period",), "a release covers a day, week, month, quarter or year")
        if self.cell_grain not in civil.NESTS[self.period]:
            raise RuleError(("grain",), f"a {self.period} is not cut into {self.cell_grain}s without remainder")
        for name in ("first", "last"):
            text = getattr(self, name)
            if text is not None and civil.parse(text).grain != self.period:
                raise RuleError((name,), f"{text!r} is not a {self.period}")
        if self.last is not None and civil.parse(self.last) < civil.parse(self.first):
            raise RuleError(("last",), "lies before first")

    def _check_names(self) -> None:
        names = [*RESERVED, *(key.name for key in self.keys), *(f"{key.name}_name" for key in self.keys)]
        names += [f"{m.name}{end}" for m in self.measures for end in ("", "_low", "_high", "_status")]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two columns would be called {', '.join(sorted(twice))}")
        kinds = {measure.name: measure.kind for measure in self.measures}
        for n, measure in enumerate(self.measures):
            if measure.sum_ is not None and kinds.get(measure.sum_) != "sum":
                raise RuleError(("measures", n, "sum"), f"there is no sum called {measure.sum_!r}")
            if measure.count is not None and kinds.get(measure.count) not in ("count", "count_units"):
                raise RuleError(("measures", n, "count"), f"there is no count called {measure.count!r}")
        if kinds.get(self.suppression.measure) not in ("count", "count_units"):
            raise RuleError(("suppression", "measure"), f"{self.suppression.measure!r} is not a count of this dataset")

    def _check_shares(self) -> None:
        if not any(measure.publish for measure in self.measures):
            raise RuleError(("measures",), "publish at least one measure")
        given = [measure.share for measure in self.measured]
        if not given:
            raise RuleError(("measures",), "measure at least one count or sum")
        if any(share is not None for share in given) and sum(share or 0 for share in given) != 1:
            raise RuleError(("measures",), "give every count and sum its share, and let the shares add up to exactly 1")

    @property
    def cell_grain(self) -> civil.Grain:
        """The time step of the cells."""
        return self.grain or self.period

    @property
    def measured(self) -> tuple[Measure, ...]:
        """The measures for which noise is drawn."""
        return tuple(measure for measure in self.measures if measure.measured)

    def loss_of(self, measure: Measure) -> Fraction:
        """The exact loss spent on one measured table."""
        share = Fraction(measure.share) if measure.share is not None else Fraction(1, len(self.measured))
        return self.loss.amount * share
