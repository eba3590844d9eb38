"""What the publisher says of a dataset: its shape, guarantee, license and limits, and whether it is a stand-in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from publisher.portal.base.licenses import address_of, name_of

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

    from publisher.portal.base.model import PortalDataset

ADDITIVE = frozenset({"count", "sum"})
"""The kinds of measures whose cells add up to something; distinct units and means do not."""


class FrozenModel(BaseModel):
    """A part of what the publisher says; parts are shared, so nobody changes one."""

    model_config = ConfigDict(frozen=True)


def markdown_reader() -> MarkdownIt:
    """How texts and guarantees are read: no raw HTML, an image is its words, a wide table scrolls.

    A table is named by the `section` in the `meta` of its opening token, where it has one.
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
    """A column that tells cells apart; `names` is the column with its values' names for people."""

    name: str
    label: str
    names: str | None = None
    standard: str | None = None
    """the public standard that its values follow, by which other data can be joined"""


class ShapeMeasure(FrozenModel):
    """A number that each cell has, with the columns of its margin and status."""

    name: str
    label: str
    kind: str = "count"
    unit: str = ""
    low: str | None = None
    high: str | None = None
    status: str | None = None
    range: str | None = None
    """of a quantile: the column that has its range in words"""

    @property
    def fields(self) -> list[str]:
        """Its columns."""
        return [name for name in (self.name, self.low, self.high, self.status, self.range) if name]


class TableShape(FrozenModel):
    """How the columns of a dataset belong together."""

    time: str
    period: str
    place: str | None = None
    keys: list[ShapeKey] = []
    measures: list[ShapeMeasure] = []

    @property
    def fields(self) -> set[str]:
        """Every column it speaks of."""
        keys = {name for key in self.keys for name in (key.name, key.names) if name}
        return {self.time, self.period} | keys | {name for measure in self.measures for name in measure.fields}


class SourceColumn(FrozenModel):
    """A column of the source from which a dataset is made, with its class in law."""

    name: str
    classification: str
    authority: str
    """the statute or rule behind the class"""
    read: bool = False
    """False where the column never reached the landed records"""
    identifier: bool = False
    """True where it was replaced by a keyed hash when landed"""
    description: str = ""


class SourceFacts(FrozenModel):
    """What is collected about people, as the data inventory shows it."""

    name: str
    title: str
    purpose: str = ""
    unit: str = ""
    """whom the guarantee protects: `record`, or the column that identifies them"""
    window: str = ""
    """a day, week, month, quarter, year or lifetime"""
    retention: str = ""
    """how long records are kept, e.g. "36 months" """
    columns: list[SourceColumn] = []


Reason = Literal["", "late records", "new definition", "new finish"]
"""late records: the period was counted again; new definition: drawn anew; new finish: the same draw with another
threshold, measures or names."""


class ReleaseFacts(FrozenModel):
    """One edition of one period."""

    period: str
    edition: int
    created: str
    """ISO 8601"""
    rows: int
    suppressed: int
    unreliable: int
    final: bool = True
    """False while a later count of the same period is to come"""
    current: bool = True
    """False where a later edition took its place, or it was retracted"""
    retracted: bool = False
    """True where people took it back"""
    reason: Reason = ""
    """why this edition was made, where it follows an earlier one"""
    sha256: str = ""
    """of the edition's CSV file, as the publisher keeps it"""


class Odds(FrozenModel):
    """The guarantee as odds: of someone who was half sure of one fact, once everything of this dataset is read."""

    unit: str
    """what is protected: `record`, or the column that identifies who is"""
    period: str
    """what one guarantee covers, e.g. "a day" """
    before: float = 0.5
    after: float
    """how often they guess right at most"""
    posterior_bound: float = 1.0
    """how sure they can become at most, whatever they read, except with probability `exception`"""
    exception: float = 0.0
    loss: str
    """the privacy loss with its currency, e.g. "ρ = 0.1" """


def percent(probability: float) -> Decimal:
    """In tenths of a percent, never said smaller than it is."""
    return Decimal(math.ceil(round(probability * 1000, 6))) / 10


class CoverageFacts(FrozenModel):
    """The area that the dataset covers, by a public standard such as the census' GEOID."""

    name: str
    id: str
    standard: str = "GEOID"


class BoundariesFacts(FrozenModel):
    """The polygons of a place column, attached to the dataset as GeoJSON in WGS 84."""

    key: str
    """the column whose values the features' property names"""
    property: str
    filename: str
    source: str = ""
    """who drew them, and under which license"""


class Companion(FrozenModel):
    """Another table of the same release."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class PublisherMetadata:
    """What stands in the metadata under `custom_fields.Publisher`; what is not there is empty."""

    name: str = ""
    """the dataset's name in the publisher's own files"""
    shape: TableShape | None = None
    guarantee: str = ""
    stand_in: bool = False
    contact: str = ""
    limitations: tuple[str, ...] = ()
    license: str = ""
    license_address: str = ""
    companions: tuple[Companion, ...] = ()
    source: SourceFacts | None = None
    releases: tuple[ReleaseFacts, ...] = ()
    """the latest first"""
    odds: Odds | None = None
    boundaries: BoundariesFacts | None = None
    coverage: CoverageFacts | None = None
    unfinished: bool = False
    """True while the publisher changes the rows, which then may not be those of `releases`"""


Said = TypeVar("Said")
_COMPANIONS = TypeAdapter(tuple[Companion, ...])
_SOURCE = TypeAdapter(SourceFacts)
_RELEASES = TypeAdapter(tuple[ReleaseFacts, ...])
_ODDS = TypeAdapter(Odds)
_BOUNDARIES = TypeAdapter(BoundariesFacts)
_COVERAGE = TypeAdapter(CoverageFacts)


def about(dataset: PortalDataset) -> PublisherMetadata:
    """Read it; a dataset without it, or whose shape does not fit its columns, has no chart."""
    fields = dataset.metadata.get("custom_fields")
    own = fields.get("Publisher") if isinstance(fields, dict) else None
    said = {name: str(value) for name, value in own.items()} if isinstance(own, dict) else {}
    address = said.get("license_url", "")
    return PublisherMetadata(
        said.get("dataset", ""),
        _shape(dataset, said.get("shape", "")),
        said.get("guarantee", ""),
        said.get("stand_in", "").lower() == "true",
        said.get("contact", ""),
        tuple(line for line in said.get("limitations", "").splitlines() if line.strip()),
        said.get("license") or name_of(dataset.license_id),
        address if address.startswith("https://") else address_of(dataset.license_id),
        _read(_COMPANIONS, said.get("companions", "")) or (),
        _read(_SOURCE, said.get("source", "")),
        _read(_RELEASES, said.get("releases", "")) or (),
        _read(_ODDS, said.get("odds", "")),
        _read(_BOUNDARIES, said.get("boundaries", "")),
        _read(_COVERAGE, said.get("coverage", "")),
        said.get("unfinished", "") == "true",
    )


def _read(adapter: TypeAdapter[Said], text: str) -> Said | None:
    """What the JSON text says, or None where it is missing or says something else."""
    found: Said | None = _parsed(adapter, text) if text else None
    return found


@lru_cache(maxsize=512)
def _parsed(adapter: TypeAdapter[Any], text: str) -> Any:
    """The same for the same text: the history of a dataset grows, and every page asks for it."""
    try:
        return adapter.validate_json(text)
    except ValidationError:
        return None


def _shape(dataset: PortalDataset, text: str) -> TableShape | None:
    try:
        shape = TableShape.model_validate_json(text)
    except ValidationError:
        return None
    there = {column.field for column in dataset.columns}
    return shape if shape.measures and shape.fields <= there else None
