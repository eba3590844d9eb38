"""A published dataset: what is counted, by which public keys, at which privacy loss, and how it is shown."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from publisher.definitions import period as civil
from publisher.definitions.model import Exact, Model, Name, RuleError, Slug, Text, Wording
from publisher.definitions.schedule import Schedule
from publisher.definitions.source import Boundaries
from publisher.definitions.totals import TotalOverTime, check_totals

if TYPE_CHECKING:
    from datetime import date

Kind = Literal["count", "count_units", "sum", "mean", "histogram", "quantile"]
PeriodName = Annotated[str, AfterValidator(lambda text: civil.parse(text).label)]

MOST_STEPS = 10**11
"""The widest clamp: ninety million units of that size still add up in 64 bits."""

LEAST_SHARE = Fraction(1, 1000)
"""The least share of the dataset's own table: with less, floats cannot tell its noise from that of its rollups."""

WIDER = "_wider"
"""The level of the totals within wider bounds: one number for each measure whose share that counts is measured."""

LEAST_LOSS = Decimal("0.000000001")
"""The least loss of any one table: with less, even a count of single records has noise above ten thousand."""

RESERVED = ("id", "period", "period_start", "edition")
"""Columns that every dataset has."""


class Loss(Model):
    """The privacy cost per block of one release: ρ (zCDP) or ε (pure), never both."""

    rho: Exact | None = Field(None, gt=0, le=1000)
    """For a source with a budget in ρ."""
    epsilon: Exact | None = Field(None, gt=0, le=1000)
    """For a source with a budget in ε."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.rho is None) == (self.epsilon is None):
            raise ValueError("give one of rho (zCDP) or epsilon (pure)")
        if self.amount < Fraction(LEAST_LOSS):
            raise RuleError(("rho" if self.rho is not None else "epsilon",), f"must be at least {LEAST_LOSS:f}")
        return self

    @property
    def amount(self) -> Fraction:
        """The loss as an exact rational, in the currency of `currency`."""
        return Fraction(self.rho if self.rho is not None else self.epsilon or 0)

    @property
    def currency(self) -> Literal["zcdp", "pure"]:
        """`zcdp` if rho is given, `pure` if epsilon is."""
        return "zcdp" if self.rho is not None else "pure"


class Bounds(Model):
    """How much one unit in one window can contribute to one release."""

    max_groups: int = Field(1, ge=1, le=100_000)
    """k: the most cells of the finest table."""
    max_per_group: int = Field(1, ge=1, le=1_000_000)
    """c: the most records in one cell."""
    coverage_share: Exact | None = Field(None, gt=0, lt=1)
    """The share of the release's loss that measures how much of each bounded total counts. Default: none, and then
    nobody knows how much the bounds cut."""
    wider_groups: int | None = Field(None, ge=1, le=100_000)
    """With coverage_share, k': of what one unit has in at most so many cells is the share. Default: max_groups."""
    wider_per_group: int | None = Field(None, ge=1, le=1_000_000)
    """With coverage_share, c': with at most so many records in each. Default: max_per_group."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for wider, bound in (("wider_groups", "max_groups"), ("wider_per_group", "max_per_group")):
            given = getattr(self, wider)
            if given is not None and self.coverage_share is None:
                raise RuleError((wider,), "is for the share that counts: give coverage_share too")
            if given is not None and given < getattr(self, bound):
                raise RuleError((wider,), f"must be at least {bound}")
        return self

    @property
    def wider(self) -> Bounds:
        """The bounds of what the share that counts is a share of."""
        return Bounds(
            max_groups=self.wider_groups or self.max_groups, max_per_group=self.wider_per_group or self.max_per_group
        )


class Discover(Model):
    """Keys that no public list can name. Partition selection finds those that enough units share, with noise."""

    share: Exact = Field(gt=0, lt=1)
    """The share of the release's loss spent on finding them; the measures share the rest."""
    delta: Exact = Field(gt=0, le=Decimal("0.0001"))
    """The chance of showing a key that one unit alone could have brought in; charged in addition to ρ."""


class KeyBoundaries(Boundaries):
    """Polygons for the portal's map, in a GeoJSON file in the data folder. They do not place any record."""

    mapping: Slug | None = None
    """`datasets/keysets/<mapping>.csv`: each polygon's key and its key here, if several polygons share one key."""


class Key(Model):
    """One key column and its public keys; each key gets a row."""

    name: Name
    """A place level of the source, or a column of its SELECT."""
    title: Wording
    """Its name for readers."""
    keyset: Slug | None = None
    """The public keys, `datasets/keysets/<keyset>.csv`."""
    discover: Discover | None = None
    """Only if no public keyset can exist: find the keys by a charged, noisy selection."""
    other: Wording
    """The key for everything that the keyset does not list: Other, or Unknown for places."""
    description: Wording | None = None
    """What it says, for the data dictionary."""
    standard: Text | None = None
    """The public standard that its keys follow, such as GEOID of census tracts. The data dictionary shows it."""
    boundaries: KeyBoundaries | None = None
    """Polygons of its keys for the portal's map. Default: those of the source's place of the same name."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.keyset is None) == (self.discover is None):
            words = (
                "name a public keyset: keys taken from the records would reveal who is in them. If no public list can"
            )
            raise RuleError(("keyset",), f"{words} exist, [keys.discover] finds the keys with noise and charges for it")
        return self


class CoarserKey(Model):
    """A key column that only rollups use. Each key of a finer column belongs to exactly one of its keys."""

    name: Name
    """The name of the key column."""
    title: Wording
    """Its name for readers."""
    of: Name
    """The finer key column, or another coarser one."""
    mapping: Slug
    """`datasets/keysets/<mapping>.csv`: two columns, the finer key and the coarser one."""
    keyset: Slug
    """The coarser keys, in order, with their labels."""
    other: Wording
    """The coarser key for finer keys that the mapping does not list."""
    description: Wording | None = None
    """What it says, for the data dictionary."""
    standard: Text | None = None
    """The public standard that its keys follow."""


class Rollup(Model):
    """A coarser table of the same bounded records, measured with its own share and reconciled with the finer ones."""

    name: Slug
    """Its table is published as <dataset>-<name>."""
    title: Wording
    """The title of its table."""
    keys: tuple[Name, ...] = ()
    """Its key columns, from [[keys]] and [[coarser]]; none for the whole city."""
    grain: civil.Grain | None = None
    """Its time step. Default: that of the dataset's cells."""
    share: Exact | None = Field(None, gt=0, lt=1)
    """The share of each measure's loss that is spent on this table. Default: equal shares for all tables."""
    publish: bool = True
    """False: it is measured, so that the other tables become more accurate, but has no table of its own."""


class Measure(Model):
    """One published number per cell. Counts, sums and histograms are measured with noise; means and quantiles are
    computed from them."""

    name: Name
    """The name of its column in files and the API."""
    title: Wording
    """Its name for readers."""
    kind: Kind
    """What is computed. The keys below say which kinds need them."""
    unit: Wording
    """What it counts: requests, liters, US dollars, days."""
    description: Wording | None = None
    """What it says, for the data dictionary."""
    column: Name | None = None
    """sum, histogram: the column of the SELECT that is added up or sorted into bins."""
    lower: Exact | None = None
    """sum: a smaller total of a unit in one cell counts as this."""
    upper: Exact | None = None
    """sum: a larger total of a unit in one cell counts as this."""
    wider_upper: Exact | None = None
    """sum, with bounds.coverage_share: the upper clamp of what the share that counts is a share of. Default: upper."""
    resolution: Exact | None = Field(None, gt=0)
    """sum: the smallest step, in `unit`; sums are whole multiples of it. quantile: the step in which values come, such
    as 1 for whole days; without one they may lie anywhere between the bins' edges."""
    share: Exact | None = Field(None, gt=0, le=1)
    """The share of the release's loss spent on this measure. Default: equal shares."""
    sum_: Name | None = Field(None, alias="sum")
    """mean: the sum it divides."""
    count: Name | None = None
    """mean: the count it divides by."""
    bins: tuple[Exact, ...] | None = Field(None, min_length=2, max_length=200)
    """histogram: where its bins begin, in rising order. Smaller values count in the first bin; the last is open."""
    histogram: Name | None = None
    """quantile: the histogram that it is computed from."""
    probability: Exact | None = Field(None, gt=0, lt=1)
    """quantile: 0.5 for the median, 0.9 for the value that nine in ten are below."""
    publish: bool = True
    """False leaves a measure that only a mean needs out of the published columns. A histogram is never published."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        needed = _NEEDED.get(self.kind, ())
        for field in sorted({field for fields in _NEEDED.values() for field in fields}):
            given = getattr(self, field) is not None
            if given != (field in needed) and not (given and (self.kind, field) in _OPTIONAL):
                say = "is required for" if field in needed else "does not apply to"
                raise RuleError((field.rstrip("_"),), f"{say} a {self.kind}")
        if not self.measured and self.share is not None:
            raise RuleError(
                ("share",), f"a {self.kind} is computed from other measures and spends nothing: delete share"
            )
        if self.bins is not None and any(b <= a for a, b in pairwise(self.bins)):
            raise RuleError(("bins",), "must be in rising order")
        if self.lower is not None and self.upper is not None and self.resolution is not None:
            self._check_clamps(self.lower, self.upper, self.resolution)
        return self

    def _check_clamps(self, lower: Decimal, upper: Decimal, resolution: Decimal) -> None:
        if lower >= upper:
            raise RuleError(("lower",), "must be less than upper")
        if self.wider_upper is not None and self.wider_upper < upper:
            raise RuleError(("wider_upper",), "must be at least upper")
        for name, clamp in (("lower", lower), ("upper", upper), ("wider_upper", self.wider_upper or upper)):
            steps = Fraction(clamp) / Fraction(resolution)
            if steps.denominator != 1:
                raise RuleError((name,), "must be a whole multiple of the resolution")
            if abs(steps) > MOST_STEPS:
                raise RuleError((name,), f"is more than {MOST_STEPS:,} steps of the resolution away from zero")

    @property
    def measured(self) -> bool:
        """Whether noise is drawn for it."""
        return self.kind not in ("mean", "quantile")

    @property
    def shown(self) -> bool:
        """Whether it has published columns."""
        return self.publish and self.kind != "histogram"

    @property
    def width(self) -> int:
        """How many numbers one cell holds: the bins of a histogram, otherwise one."""
        return len(self.bins) if self.bins is not None else 1

    def reach(self, bounds: Bounds) -> int:
        """The most that one unit changes one cell of the finest table, in steps: its whole total comes or goes."""
        if self.kind == "count_units":
            return 1
        return max(map(abs, self.clamps)) if self.kind == "sum" else bounds.max_per_group

    @property
    def wider(self) -> Measure:
        """The same with the clamps of what the share that counts is a share of."""
        return self.model_copy(update={"upper": self.wider_upper or self.upper})

    @property
    def clamps(self) -> tuple[int, int]:
        """A sum's (lower, upper) in steps of its resolution."""
        if self.lower is None or self.upper is None or self.resolution is None:
            raise ValueError(f"{self.name} is a {self.kind}, not a sum")
        step = Fraction(self.resolution)
        return int(Fraction(self.lower) / step), int(Fraction(self.upper) / step)


_NEEDED: dict[str, tuple[str, ...]] = {
    "sum": ("column", "lower", "upper", "resolution"),
    "mean": ("sum_", "count"),
    "histogram": ("column", "bins"),
    "quantile": ("histogram", "probability"),
}
"""The settings that only some kinds of measure have."""
_OPTIONAL = {("quantile", "resolution"), ("sum", "wider_upper")}
"""Those that a kind may have."""


class Suppression(Model):
    """Which noisy cells are suppressed or marked. Decided only on noisy values; the guarantee does not depend on it."""

    measure: Name
    """The count that is compared with the threshold."""
    threshold: int = Field(ge=0, le=MOST_STEPS)
    """Cells whose noisy count is below this are suppressed."""
    customers: int | None = Field(None, ge=1, le=MOST_STEPS)
    """15/15 rule: the count less its margin must reach this ..."""
    largest_share: Exact | None = Field(None, gt=0, le=1)
    """... and every sum's upper clamp must be at most this share of the sum less its margin."""
    complementary: bool = False
    """If one cell of a family is suppressed and the family's rollup is shown, suppress the smallest other one too."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.customers is None) != (self.largest_share is None):
            raise ValueError("give customers and largest_share together, such as 15 and 0.15")
        return self


class Coverage(Model):
    """The area that the whole dataset covers, by a public standard, so that analysts can join the city's totals."""

    name: Wording
    """Its name for people, such as St. Louis, Missouri."""
    id: Text
    """Its identifier, such as 2965000."""
    standard: Text = "GEOID"
    """The standard of the identifier. Default: that of the US census."""


class PortalListing(Model):
    """How the portal lists the dataset."""

    category: Wording
    """The category of its pages, such as City services."""
    tags: tuple[Text, ...] = ()
    """Words that readers may search for."""
    coverage: Coverage | None = None
    """The place that the data is about."""
    headline: Name | None = None
    """The measure that leads: on the page and its card, in the chart and on the map. Default: the first."""


class AutomaticApproval(Model):
    """When releases need no reviewer. It counts once the definition that has it is approved; the first release, and one
    that a person accepted although it did not meet its expectations, always need one."""

    most_change: Exact = Field(gt=0, le=1000)
    """No number may differ from the last release by more than so many margins of the difference."""
    most_withheld: Exact = Field(ge=0, le=1)
    """No larger share of the numbers of any of its tables may be withheld."""


class Dataset(Model):
    """`datasets/<dataset>.toml`."""

    title: Wording
    """The title of its page."""
    description: Wording
    """What is counted, and who uses it for what. Readers see it first."""
    source: Slug
    """The name of the source, as in `pipelines/<source>.toml`."""
    period: civil.Grain
    """One release covers one such period."""
    grain: civil.Grain | None = None
    """The time step of the cells. Default: the period itself."""
    first: PeriodName
    """The first period to release. People choose it; it is never looked up in the records."""
    last: PeriodName | None = None
    """The last period to release. Default: every period that has ended."""
    schedule: Schedule | None = None
    """When its releases come out. Default: as soon as they are due and someone runs `publisher run`."""
    loss: Loss
    """What one release spends on each block that it covers."""
    bounds: Bounds = Bounds.model_construct(max_groups=1, max_per_group=1)
    """How much one unit can contribute in one window."""
    keys: tuple[Key, ...] = ()
    """The key columns of its own table. Without any, it has one number for each period."""
    coarser: tuple[CoarserKey, ...] = ()
    """Key columns that only rollups have."""
    rollups: tuple[Rollup, ...] = ()
    """Coarser tables: any sets of key columns, such as by place and by category. All of them add up."""
    totals: tuple[TotalOverTime, ...] = ()
    """Totals over time, such as by year, computed from the noisy numbers of released periods at no cost."""
    measures: tuple[Measure, ...] = Field(min_length=1)
    """The numbers of each cell."""
    suppression: Suppression
    """Which numbers are left out, by their noisy counts."""
    publish_measurements: bool = False
    """Offer every cell's noisy number before it was reconciled, cut or suppressed as a download: it shows suppressed
    cells, and sums of it are unbiased."""
    automatic_approval: AutomaticApproval | None = None
    """When a release needs no reviewer, where publisher.toml asks for review. Default: never."""
    portal: PortalListing
    """How the portal lists it."""
    limitations: tuple[Wording, ...] = ()
    """What a reader should know about the data, one sentence each."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_time()
        self._check_names()
        self._check_measures()
        self._check_shares()
        self._check_discovery()
        self._check_coverage()
        self._check_coarser()
        self._check_rollups()
        check_totals(self)
        self._check_losses()
        return self

    def _check_time(self) -> None:
        if self.period == "lifetime":
            raise RuleError(("period",), "a release covers a day, week, month, quarter or year")
        if self.cell_grain not in civil.NESTS[self.period]:
            raise RuleError(("grain",), f"a {self.period} cannot be divided into whole {self.cell_grain}s")
        for name in ("first", "last"):
            text = getattr(self, name)
            if text is not None and civil.parse(text).grain != self.period:
                raise RuleError((name,), f"{text!r} is not a {self.period}")
        if self.last is not None and civil.parse(self.last) < civil.parse(self.first):
            raise RuleError(("last",), "is before first")

    def _check_names(self) -> None:
        keys = [*(key.name for key in self.keys), *(key.name for key in self.coarser)]
        names = [*RESERVED, *keys, *(f"{key}_name" for key in keys)]
        ends = ("", "_low", "_high", "_status", "_reason", "_margin_percent")
        names += [f"{m.name}{end}" for m in self.measures for end in ends]
        names += [f"{m.name}_range" for m in self.measures if m.kind == "quantile"]
        names += [f"{m.name}_{n}" for m in self.measures if m.kind == "histogram" for n in range(m.width)]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two columns would have the name {', '.join(sorted(twice))}: rename a key or a measure")
        rollups = [rollup.name for rollup in self.rollups]
        if len(set(rollups)) != len(rollups):
            raise RuleError(("rollups",), "two have the same name: rename one")

    def _check_measures(self) -> None:
        kinds = {measure.name: measure.kind for measure in self.measures}
        for n, measure in enumerate(self.measures):
            if measure.sum_ is not None and kinds.get(measure.sum_) != "sum":
                raise RuleError(("measures", n, "sum"), f"this dataset has no sum {measure.sum_!r}")
            if measure.count is not None and kinds.get(measure.count) not in ("count", "count_units"):
                raise RuleError(("measures", n, "count"), f"this dataset has no count {measure.count!r}")
            if measure.histogram is not None and kinds.get(measure.histogram) != "histogram":
                raise RuleError(("measures", n, "histogram"), f"this dataset has no histogram {measure.histogram!r}")
            if measure.kind == "quantile" and measure.resolution is not None:
                self._check_steps(n, measure.resolution, measure.histogram)
        if self.portal.headline not in (None, *(measure.name for measure in self.measures if measure.shown)):
            words = f"{self.portal.headline!r} is not a published measure of this dataset"
            raise RuleError(("portal", "headline"), words)
        if kinds.get(self.suppression.measure) not in ("count", "count_units"):
            raise RuleError(("suppression", "measure"), f"{self.suppression.measure!r} is not a count of this dataset")

    def _check_steps(self, n: int, step: Decimal, histogram: str | None) -> None:
        """A bin whose edge is between two steps would end before its last value."""
        edges = next(measure.bins or () for measure in self.measures if measure.name == histogram)
        if any((Fraction(edge) / Fraction(step)).denominator != 1 for edge in edges):
            raise RuleError(("measures", n, "resolution"), f"the bins of {histogram} must be whole multiples of it")

    def _check_shares(self) -> None:
        if not any(measure.shown for measure in self.measures):
            raise RuleError(("measures",), "publish at least one measure")
        given = [measure.share for measure in self.measured]
        if not given:
            raise RuleError(("measures",), "measure at least one count or sum")
        if any(share is not None for share in given) and sum(share or 0 for share in given) != 1:
            raise RuleError(("measures",), "give every count and sum a share; the shares must add up to exactly 1")

    def _check_losses(self) -> None:
        levels = ("", *(rollup.name for rollup in self.rollups))
        losses = [self.loss_of(measure, level) for measure in self.measured for level in levels]
        losses += [self.loss_of(measure, WIDER) for measure in self.covered]
        if min([*losses, *([self.selection_loss] if self.discovered else [])]) < Fraction(LEAST_LOSS):
            raise RuleError(("loss",), f"gives a table less than {LEAST_LOSS:f}: increase it, or the smallest share")

    def _check_discovery(self) -> None:
        found = [n for n, key in enumerate(self.keys) if key.discover is not None]
        if len(found) > 1:
            raise RuleError(("keys", found[1], "discover"), "only one key column of a dataset can be discovered")
        if found and self.loss.currency == "pure":
            raise RuleError(("keys", found[0], "discover"), "charges δ, which a pure-ε budget does not have")
        if found and self.rollups:
            raise RuleError(("rollups",), "need public keys, but this dataset discovers some")

    def _check_coverage(self) -> None:
        share = self.bounds.coverage_share
        for n, measure in enumerate(self.measures):
            if measure.wider_upper is not None and share is None:
                words = "is for the share that counts: give bounds.coverage_share too"
                raise RuleError(("measures", n, "wider_upper"), words)
        if share is None:
            return
        setting = ("bounds", "coverage_share")
        if self.discovered is not None:
            raise RuleError(setting, "needs public keys, but this dataset discovers some")
        if not self.covered:
            words = "has nothing to measure: give wider bounds (wider_groups, wider_per_group, or wider_upper of a sum"
            raise RuleError(setting, f"{words} whose lower is 0 or more)")

    def _check_coarser(self) -> None:
        known = {key.name for key in self.keys}
        for n, key in enumerate(self.coarser):
            if key.of not in known:
                raise RuleError(("coarser", n, "of"), f"names {key.of!r}, which is not a key column defined above")
            known.add(key.name)

    def _check_rollups(self) -> None:
        own = {key.name for key in self.keys}
        tables = [(own, self.cell_grain)]
        for n, rollup in enumerate(self.rollups):
            keys, grain = set(rollup.keys), rollup.grain or self.cell_grain
            for m, key in enumerate(rollup.keys):
                if not own.intersection(self.path(key)):
                    raise RuleError(
                        ("rollups", n, "keys", m), f"{key!r} is not a key of the dataset, nor coarser than one"
                    )
            # Between the two, every time step divides all longer ones: weeks and months never meet.
            if grain not in civil.NESTS[self.period] or self.cell_grain not in civil.NESTS[grain]:
                raise RuleError(
                    ("rollups", n, "grain"), f"a {grain} is not between the cells' time step and the period"
                )
            if (keys, grain) in tables:
                raise RuleError(("rollups", n), "has the same cells as another table")
            tables.append((keys, grain))
        self._check_rollup_shares()
        self._check_hidden_rollups()

    def _check_rollup_shares(self) -> None:
        given = [rollup.share for rollup in self.rollups]
        if None in given and any(share is not None for share in given):
            raise RuleError(("rollups",), "give every rollup a share, or none of them")
        if sum(share or 0 for share in given) >= 1:
            raise RuleError(
                ("rollups",), "their shares must add up to less than 1: the rest is for the dataset's own table"
            )
        if self.share_of("") < LEAST_SHARE:
            raise RuleError(
                ("rollups",), f"leave at least {float(LEAST_SHARE)} of the loss for the dataset's own table"
            )

    def _check_hidden_rollups(self) -> None:
        several = [measure.title for measure in self.measures if measure.kind == "count_units"]
        for n, rollup in enumerate(self.rollups):
            if not rollup.publish and several and self.bounds.max_groups > 1:
                words = f"{several[0]} do not add up, so they help no other table: publish this one, or delete it"
                raise RuleError(("rollups", n, "publish"), words)
        if self.suppression.complementary and not self.chained:
            words = "needs rollups that each divide the one before, from the coarsest to the finest"
            raise RuleError(("suppression", "complementary"), words)

    def periods_until(self, day: date) -> tuple[civil.Period, ...]:
        """Its periods that have ended by that day, from the first to the last; never looked up in the records."""
        first = civil.parse(self.first)
        end = min(day, civil.parse(self.last).end) if self.last is not None else day
        periods = civil.Period(first.start, max(first.start, end), self.period).cut(self.period)
        return tuple(period for period in periods if period.end <= end)

    def path(self, key: str) -> tuple[str, ...]:
        """The key column and the finer ones that it is made of, starting with itself."""
        above = {coarser.name: coarser.of for coarser in self.coarser}
        path = [key]
        while path[-1] in above:
            path.append(above[path[-1]])
        return tuple(path)

    @property
    def chained(self) -> bool:
        """Whether every rollup's cells fall into those of the one before, and the finest cells into the last one's."""
        tables = [*((rollup.keys, rollup.grain or self.cell_grain) for rollup in self.rollups)]
        tables.append((tuple(key.name for key in self.keys), self.cell_grain))
        return all(
            fine_grain in civil.NESTS[grain] and all(set(fine).intersection(self.path(key)) for key in keys)
            for (keys, grain), (fine, fine_grain) in pairwise(tables)
        )

    @property
    def companions(self) -> tuple[Rollup, ...]:
        """The rollups that are published."""
        return tuple(rollup for rollup in self.rollups if rollup.publish)

    def shows(self, level: str) -> bool:
        """Whether the table of that level is published; `level` is a rollup's name, or "" for the finest."""
        return all(rollup.publish for rollup in self.rollups if rollup.name == level)

    @property
    def cell_grain(self) -> civil.Grain:
        """The time step of the cells."""
        return self.grain or self.period

    @property
    def measured(self) -> tuple[Measure, ...]:
        """The measures for which noise is drawn."""
        return tuple(measure for measure in self.measures if measure.measured)

    @property
    def discovered(self) -> Key | None:
        """The key column whose keys are found by partition selection, if there is one."""
        return next((key for key in self.keys if key.discover is not None), None)

    def adds_up(self, measure: Measure) -> bool:
        """Whether the cells of a coarser table are exact sums of the finer ones; distinct units only if k = 1."""
        return measure.kind in ("count", "sum", "histogram") or (
            measure.kind == "count_units" and self.bounds.max_groups == 1
        )

    def share_of(self, level: str) -> Fraction:
        """The share of each measure's loss that one table gets; `level` is a rollup's name, or "" for the finest."""
        if not self.rollups:
            return Fraction(1)
        equal = Fraction(1, len(self.rollups) + 1)
        shares = {each.name: Fraction(each.share) if each.share is not None else equal for each in self.rollups}
        return shares[level] if level else 1 - sum(shares.values(), Fraction(0))

    def loss_of(self, measure: Measure, level: str = "") -> Fraction:
        """The exact loss spent on one measured table of one level, or on the total within wider bounds."""
        if level == WIDER:
            return self.coverage_loss / len(self.covered)
        share = Fraction(measure.share) if measure.share is not None else Fraction(1, len(self.measured))
        return (self.loss.amount - self.selection_loss - self.coverage_loss) * share * self.share_of(level)

    @property
    def coverage_loss(self) -> Fraction:
        """The loss that measures how much of each bounded total counts."""
        return self.loss.amount * Fraction(self.bounds.coverage_share or 0)

    @property
    def covered(self) -> tuple[Measure, ...]:
        """The counts and sums of which the share that counts is measured: wider bounds let more of them count. With
        totals below zero there is no such share."""
        bounds, wider = self.bounds, self.bounds.wider
        if bounds.coverage_share is None:
            return ()
        return tuple(
            each
            for each in self.measured
            if (each.kind in ("count", "count_units") or (each.kind == "sum" and each.clamps[0] >= 0))
            and (wider.max_groups > bounds.max_groups or each.wider.reach(wider) > each.reach(bounds))
        )

    @property
    def selection_loss(self) -> Fraction:
        """The loss that finding keys spends; zero if all keys are public."""
        key = self.discovered
        return self.loss.amount * Fraction(key.discover.share) if key and key.discover else Fraction(0)

    @property
    def delta(self) -> Fraction:
        """The δ that finding keys spends in addition to ρ."""
        key = self.discovered
        return Fraction(key.discover.delta) if key and key.discover else Fraction(0)
