"""The metadata that the publisher sends with a dataset: shape, guarantee, license, limitations, stand-in, and more."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from publisher.portal.base.bounds import BoundFacts as BoundFacts  # noqa: PLC0414 -- a part of the contract
from publisher.portal.base.bounds import CountedShare as CountedShare  # noqa: PLC0414
from publisher.portal.base.differences import (
    NoiseLaw,
    NoisyDifference,
    Published,
    change,
    difference,
    extreme,
    total,
    widest,
)
from publisher.portal.base.licenses import address_of, name_of
from publisher.portal.base.schedule import (
    MEANINGS,
    REASONS,
    STATES,
    PeriodFacts,
    PeriodReason,
    PeriodState,
    ScheduleFacts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markdown_it import MarkdownIt

    from publisher.portal.base.model import PortalDataset

__all__ = ["NoiseLaw", "NoisyDifference", "Published", "change", "difference", "extreme", "total", "widest"]
__all__ += ["MEANINGS", "REASONS", "STATES", "PeriodFacts", "PeriodReason", "PeriodState", "ScheduleFacts"]

ADDITIVE = frozenset({"count", "sum"})
"""The kinds of measures whose cells can be added up; distinct units and means cannot."""

ELSEWHERE = "elsewhere"
"""The property with the name of a polygon that has no row in the table, such as a park."""


class FrozenModel(BaseModel):
    """A part of the publisher's metadata; frozen because parts are shared."""

    model_config = ConfigDict(frozen=True)


def markdown_reader() -> MarkdownIt:
    """The Markdown reader for texts and guarantees: no raw HTML, an image becomes its text, a wide table scrolls.

    A table gets a label if the `meta` of its opening token has a `section`.
    """
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("image", lambda _self, tokens, at, _options, _env: escape(tokens[at].content))
    reader.add_render_rule("table_open", lambda _self, tokens, at, _options, _env: _table_open(tokens[at].meta))
    reader.add_render_rule("table_close", lambda *_: "</table>\n</div>\n")
    return reader


def _table_open(meta: dict[str, str]) -> str:
    if "section" not in meta:
        return '<div class="wide" tabindex="0">\n<table>\n'
    label = escape(f"Table: {meta['section']}")
    return f'<div class="wide" role="region" tabindex="0" aria-label="{label}">\n<table>\n'


class ShapeKey(FrozenModel):
    """A key column, which tells cells apart; `names` is the column with the readable names of its values."""

    name: str
    label: str
    names: str | None = None
    standard: str | None = None
    """The public standard that its values follow, for joining other data."""
    other: str | None = None
    """The value of everything that has none of the others, such as Unknown; it has no place in an order."""


class ShapeMeasure(FrozenModel):
    """A measure: a number in each cell, with the columns of its margin and status."""

    name: str
    label: str
    kind: str = "count"
    unit: str = ""
    low: str | None = None
    high: str | None = None
    status: str | None = None
    range: str | None = None
    """For a quantile: the column with its range in words."""
    reason: str | None = None
    """The column that says why a cell is suppressed."""
    margin_percent: str | None = None
    """The column with half the margin in percent of the value, rounded up."""
    bounds: BoundFacts | None = None
    """What bounds leave out of it; None if nothing."""
    noise: NoiseLaw | None = None
    """For counts and sums: what decides whether two numbers differ."""

    @property
    def fields(self) -> list[str]:
        """The measure's columns."""
        names = (self.name, self.low, self.high, self.status, self.range, self.reason, self.margin_percent)
        return [name for name in names if name]


class TableShape(FrozenModel):
    """The roles of a dataset's columns: time, period, place, keys, and measures."""

    time: str
    period: str
    place: str | None = None
    keys: list[ShapeKey] = []
    measures: list[ShapeMeasure] = []
    headline: str = ""
    """The measure that leads, if it is not the first."""

    @property
    def leading(self) -> ShapeMeasure:
        """The measure that leads on the page, on the card, in the chart and on the map."""
        return next((each for each in self.measures if each.name == self.headline), self.measures[0])

    @property
    def fields(self) -> set[str]:
        """All columns that have a role."""
        keys = {name for key in self.keys for name in (key.name, key.names) if name}
        return {self.time, self.period} | keys | {name for measure in self.measures for name in measure.fields}


class SourceColumn(FrozenModel):
    """A column of the source, with its legal classification."""

    name: str
    classification: str
    authority: str
    """The statute or rule behind the classification."""
    read: bool = False
    """False if the column never reached the landed records."""
    identifier: bool = False
    """True if it was replaced by a keyed hash when landed."""
    description: str = ""


class SourceFacts(FrozenModel):
    """What a source collects about people, as the data inventory shows it."""

    name: str
    title: str
    purpose: str = ""
    unit: str = ""
    """What the guarantee protects: `record`, or the column that identifies the privacy unit."""
    window: str = ""
    """A day, week, month, quarter, year, or lifetime."""
    retention: str = ""
    """How long records are kept, such as "36 months"."""
    minors: bool = False
    """True if the records are about minors: half of the budget at most, and no keys found in the records."""
    columns: list[SourceColumn] = []


Reason = Literal["", "late records", "new definition", "new finish"]
"""late records: the period was counted again; new definition: drawn again; new finish: the same draw with another
threshold, other measures, or other names."""


class DecisionFacts(FrozenModel):
    """What people decided about an edition after it was made."""

    what: Literal["accepted", "retracted", "restored"]
    """accepted: published although it did not meet what people expect."""
    at: str
    """In ISO 8601."""
    reason: str = ""
    although: list[str] = []
    """What was not as expected."""


class ReleaseFacts(FrozenModel):
    """One edition of one period."""

    period: str
    edition: int
    created: str
    """In ISO 8601."""
    rows: int
    suppressed: int
    unreliable: int
    caution: int = 0
    """Zero in releases made before this grade was added."""
    final: bool = True
    """False while another count of the same period is planned."""
    current: bool = True
    """False if a later edition replaced it, or it was retracted."""
    retracted: bool = False
    """True if it was retracted."""
    reason: Reason = ""
    """Why this edition was made, if it follows an earlier one."""
    decisions: list[DecisionFacts] = Field(default_factory=list)
    """Oldest first."""
    sha256: str = ""
    """SHA-256 of the edition's CSV file, as the publisher keeps it."""
    entry: int = 0
    """The number of the publisher's ledger entry that paid for it; zero if it was published before this was told."""
    entry_hash: str = ""
    """The hash of that entry: a publisher whose ledger has lost it may not publish here."""


class Odds(FrozenModel):
    """The guarantee as odds: for someone who was half sure of one fact, after reading everything of this dataset."""

    unit: str
    """What is protected: `record`, or the column that identifies the privacy unit."""
    period: str
    """What one guarantee covers, such as "a day"."""
    before: float = 0.5
    after: float
    """How often they guess right at most."""
    household_units: int = 0
    """The units of a household for which the next number is told; zero if it is not."""
    household: float = 0.0
    """The same for a household with that many units."""
    source: float = 0.0
    """The same for one unit once all releases of the source have spent the whole budget; zero if it is not told."""
    posterior_bound: float = 1.0
    """How sure they can become at most, whatever they read, except with probability `exception`."""
    exception: float = 0.0
    loss: str
    """The privacy loss with its currency, such as "ρ = 0.1"."""


def percent(probability: float) -> Decimal:
    """The probability in percent, rounded up to tenths so that it never looks smaller than it is."""
    return Decimal(math.ceil(round(probability * 1000, 6))) / 10


class CoverageFacts(FrozenModel):
    """The area that the dataset covers, by a public standard such as the Census Bureau's GEOID."""

    name: str
    id: str
    standard: str = "GEOID"


class BoundariesFacts(FrozenModel):
    """The boundary polygons of a place column, attached to the dataset as GeoJSON in WGS 84."""

    key: str
    """The column whose values are in the features' property."""
    property: str
    filename: str
    source: str = ""
    """Who made them, and under which license."""


class MeasuredFacts(FrozenModel):
    """A column of unbiased measurements, with the noise of the newest release."""

    column: str
    label: str
    unit: str
    distribution: str
    """discrete gaussian or discrete laplace; several draws that were added up are joined by +."""
    scale: str
    """The parameter of each draw, in `unit`."""


class MeasurementsFacts(FrozenModel):
    """A file with unbiased measurements that is attached to the dataset, and the one that says what is in it."""

    filename: str
    about: str
    measures: tuple[MeasuredFacts, ...]


class Companion(FrozenModel):
    """Another table of the same release."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class PublisherMetadata:
    """The metadata under `custom_fields.Publisher`; what is missing is empty."""

    name: str = ""
    """The dataset's name in the publisher's own files."""
    shape: TableShape | None = None
    guarantee: str = ""
    """As it was published with the newest release, in English."""
    stand_in: bool = False
    contact: str = ""
    limitations: tuple[str, ...] = ()
    license: str = ""
    license_address: str = ""
    companions: tuple[Companion, ...] = ()
    over_time: str = ""
    """What each row of a table of totals over time adds up, such as year; empty for the tables of releases."""
    source: SourceFacts | None = None
    releases: tuple[ReleaseFacts, ...] = ()
    """The latest first."""
    odds: Odds | None = None
    boundaries: BoundariesFacts | None = None
    coverage: CoverageFacts | None = None
    measurements: tuple[MeasurementsFacts, ...] = ()
    bounds: str = ""
    """What bounds leave out, as it stands at the end of the description."""
    counted: tuple[CountedShare, ...] = ()
    """How much they let count, where it was measured."""
    translations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By language, what each of the publisher's own texts is in it."""
    schedule: ScheduleFacts | None = None
    """When its releases come out, and what happened to each period; only the dataset's own table has it."""
    unpublished: tuple[ScheduleFacts, ...] = ()
    """The same of the publisher's datasets that have no page here."""
    unfinished: bool = False
    """True while the publisher is changing the rows, which then may not match `releases`."""
    guarantees: Mapping[str, str] = field(default_factory=dict)
    """By language, the same guarantee in it."""


_TRANSLATED = "guarantee_"
"""What the field of a guarantee in another language begins with; the rest is the language."""
Said = TypeVar("Said")
_COMPANIONS = TypeAdapter(tuple[Companion, ...])
_SOURCE = TypeAdapter(SourceFacts)
_RELEASES = TypeAdapter(tuple[ReleaseFacts, ...])
_ODDS = TypeAdapter(Odds)
_BOUNDARIES = TypeAdapter(BoundariesFacts)
_COVERAGE = TypeAdapter(CoverageFacts)
_MEASUREMENTS = TypeAdapter(tuple[MeasurementsFacts, ...])
_COUNTED = TypeAdapter(tuple[CountedShare, ...])
_SCHEDULE = TypeAdapter(ScheduleFacts)
_SCHEDULES = TypeAdapter(tuple[ScheduleFacts, ...])
_TRANSLATIONS: TypeAdapter[Mapping[str, Mapping[str, str]]] = TypeAdapter(dict[str, dict[str, str]])


def about(dataset: PortalDataset) -> PublisherMetadata:
    """Read the publisher's metadata; a dataset without it, or whose shape does not fit its columns, has no chart."""
    fields = dataset.metadata.get("custom_fields")
    own = fields.get("Publisher") if isinstance(fields, dict) else None
    said = {name: str(value) for name, value in own.items()} if isinstance(own, dict) else {}
    address = said.get("license_url", "")
    return PublisherMetadata(
        said.get("dataset", ""),
        _shape(dataset, said.get("shape", ""), said.get("headline", "")),
        said.get("guarantee", ""),
        said.get("stand_in", "").lower() == "true",
        said.get("contact", ""),
        tuple(line for line in said.get("limitations", "").splitlines() if line.strip()),
        said.get("license") or name_of(dataset.license_id),
        address if address.startswith("https://") else address_of(dataset.license_id),
        _read(_COMPANIONS, said.get("companions", "")) or (),
        said.get("over_time", ""),
        _read(_SOURCE, said.get("source", "")),
        _read(_RELEASES, said.get("releases", "")) or (),
        _read(_ODDS, said.get("odds", "")),
        _read(_BOUNDARIES, said.get("boundaries", "")),
        _read(_COVERAGE, said.get("coverage", "")),
        _read(_MEASUREMENTS, said.get("measurements", "")) or (),
        said.get("bounds", ""),
        _read(_COUNTED, said.get("counted", "")) or (),
        _read(_TRANSLATIONS, said.get("translations", "")) or {},
        _read(_SCHEDULE, said.get("schedule", "")),
        _read(_SCHEDULES, said.get("unpublished", "")) or (),
        said.get("unfinished", "") == "true",
        {name.removeprefix(_TRANSLATED): text for name, text in said.items() if name.startswith(_TRANSLATED)},
    )


_EMAIL = re.compile(r"[\w.-]+@[\w.-]+\.[\w.-]+")


def email_of(dataset: PortalDataset) -> str:
    """The publisher's contact if it is an email address; otherwise empty."""
    whom = about(dataset).contact.removeprefix("mailto:")
    return whom if _EMAIL.fullmatch(whom) else ""


def _read(adapter: TypeAdapter[Said], text: str) -> Said | None:
    """Parse the JSON text; None if it is missing or does not fit."""
    found: Said | None = _parsed(adapter, text) if text else None
    return found


@lru_cache(maxsize=512)
def _parsed(adapter: TypeAdapter[Any], text: str) -> Any:
    """Parse once per text: the history of a dataset grows, and every page reads it."""
    try:
        return adapter.validate_json(text)
    except ValidationError:
        return None


def _shape(dataset: PortalDataset, text: str, headline: str) -> TableShape | None:
    try:
        shape = TableShape.model_validate_json(text)
    except ValidationError:
        return None
    there = {column.field for column in dataset.columns}
    known = shape.measures and shape.fields <= there
    return shape.model_copy(update={"headline": headline}) if known else None
