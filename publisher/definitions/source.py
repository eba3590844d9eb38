"""A source: where records come from, the legal class of their columns, and who is protected."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, model_validator

from publisher.definitions.ceilings import most_a_block
from publisher.definitions.feed import DataPath, Feed, TableFeed
from publisher.definitions.model import Exact, Model, Name, RuleError, Slug, Text
from publisher.definitions.period import Grain

Class = Literal["public", "private", "confidential", "nonpublic", "protected-nonpublic"]
Currency = Literal["zcdp", "pure"]


@cache
def _zones() -> frozenset[str]:
    """Every name; Python looks for them in folders each time."""
    return frozenset(available_timezones())


def _zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(f"{name!r} is not a time zone name such as America/Chicago")
    return name


def _form(form: str) -> str:
    unknown = re.findall(r"%(?!-?[aAbBcdfgGHIjmMnpSuUVwWxXyYzZ%]).?", form)
    if unknown or "%" not in form:
        raise ValueError(f"{form!r} is not a strptime format such as %Y-%m-%d %H:%M:%S")
    return form


Zone = Annotated[str, AfterValidator(_zone)]
Form = Annotated[Text, AfterValidator(_form)]


class Privacy(Model):
    """Who the guarantee protects, and how much may ever be spent on them."""

    unit: Text
    """`record`, or the column that identifies the person, account or parcel."""
    window: Grain
    """Neighbors differ by all records of one unit inside one window; budget blocks are windows."""
    budget: Exact = Field(gt=0)
    """What all releases together may spend on one block: ρ for zcdp, ε for pure."""
    delta: Exact = Field(Decimal(0), ge=0, le=Decimal("0.001"))
    """zcdp: what all releases together may spend of δ on one block, for discovered keys."""
    currency: Currency = "zcdp"
    """zcdp: losses are ρ, the noise is Gaussian; pure: losses are ε, the noise is Laplace."""
    missing: Literal["own-unit", "drop"] | None = None
    """A row without an identifier is a unit of its own by record id, or not counted. Required unless unit is record."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.currency == "pure" and self.delta:
            raise RuleError(("delta",), "a pure-ε budget has no δ: delete it")
        if self.unit == "record" and self.missing is not None:
            raise RuleError(("missing",), "does not apply if the unit is record: delete it")
        if self.unit != "record" and self.missing is None:
            raise ValueError('set what a row without an identifier is: missing = "own-unit" or "drop"')
        if self.unit != "record" and self.window == "day":
            raise RuleError(
                ("window",), "a day works only if the unit is record; use a month or longer for other units"
            )
        return self


class Event(Model):
    """The event time of a record. It decides the window, block and period of the record."""

    column: Text
    """The raw column with the time."""
    formats: tuple[Form, ...] = Field(min_length=1)
    """strptime formats, tried in order."""
    zone: Zone | None = None
    """The time zone of the feed's times, if it differs from the source's."""


class Column(Model):
    """A raw column: its legal class, and whether it is read at all."""

    class_: Class = Field(alias="class")
    """Its class under your open records law."""
    statute: Text
    """The legal authority for the class."""
    read: bool = True
    """False: the column never reaches the landed records."""
    identifier: bool = False
    """True: replaced by a pseudonym (a keyed hash) when landed."""
    description: Text | None = None
    """What it holds, for readers of the data inventory."""


class Point(Model):
    """Coordinates in two raw columns."""

    x: Text
    """The raw column with the easting or longitude."""
    y: Text
    """The raw column with the northing or latitude."""
    crs: Text = "EPSG:4326"
    """Any name that pyproj knows; x is easting or longitude, y is northing or latitude."""
    unknown: tuple[tuple[Exact, Exact], ...] = ()
    """Exact coordinates that mean no location: the geocoder's default point, null islands."""


class AddressList(Model):
    """A file in the data folder that gives coordinates to addresses, from a public source and never from records."""

    path: DataPath
    """The list, a file in the data folder."""
    source: Text
    """The public source of the list, and its license. A list made of records would let one record locate others."""
    address: Text
    """Its address column; case, punctuation and repeated spaces are ignored."""
    x: Text
    """Its column with the easting or longitude."""
    y: Text
    """Its column with the northing or latitude."""
    crs: Text = "EPSG:4326"
    """The coordinate system of its points."""
    nulls: tuple[str, ...] = ()
    """Texts in it that mean missing."""


class Address(Model):
    """An address column, located through a list."""

    column: Text
    """The raw column with the address."""
    list_: AddressList = Field(alias="list")
    """The list that locates it."""


class Boundaries(Model):
    """Polygons in a GeoJSON file in the data folder."""

    path: DataPath
    """The GeoJSON file, in the data folder."""
    key: Text
    """The property that names the place; whole numbers are compared without decimals."""
    label: Text | None = None
    """The property with the names of polygons that have no row in the table, such as parks; default: `key`."""
    crs: Text = "OGC:CRS84"
    """The coordinate system of the file."""
    source: Text | None = None
    """Who made them, and under which license; required in a source. Shown next to the portal's map."""


class Place(Model):
    """One level of place. Every record gets exactly one place, or none (then it counts as Unknown)."""

    code: Text | None = None
    """A raw column that holds the place's key."""
    point: Point | None = None
    """Coordinates, located in the boundaries."""
    address: Address | None = None
    """An address, located through a list and then in the boundaries."""
    boundaries: Boundaries | None = None
    """The polygons of the places, for a point or an address."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if [self.code, self.point, self.address].count(None) != 2:
            raise ValueError("give exactly one of code, point, address")
        if (self.code is None) != (self.boundaries is not None):
            raise ValueError("a point or an address needs boundaries, a code has none")
        if self.boundaries is not None and self.boundaries.source is None:
            raise RuleError(("boundaries", "source"), "is missing: say who made the boundaries, under which license")
        return self


class Register(Model):
    """Turns cumulative readings (water, electricity) into differences within one unit and window."""

    reading: Name
    """The column of the pipeline's SELECT that holds the reading."""
    consumption: Name
    """The column for the difference from the unit's previous reading."""


class Late(Model):
    """How late records are handled: those that arrive or are corrected after their period was released."""

    policy: Literal["freeze", "increment", "charge"]
    """freeze: a record counts on the day it was received; increment: later editions add only what is new; charge:
    later editions count everything again and are charged again."""
    received: Form | None = None
    """The strptime format of the file name that gives the day it was received. Default: the day of landing."""
    after_days: tuple[Annotated[int, Field(ge=0, le=3660)], ...] = Field((0,), min_length=1, max_length=12)
    """When editions are due, in days after the period's end; all but the last are provisional."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(b <= a for a, b in pairwise(self.after_days)):
            raise RuleError(("after_days",), "must be in rising order")
        if self.policy == "freeze" and self.after_days != (0,):
            raise RuleError(("after_days",), "a frozen period has one edition: delete after_days")
        return self


class Retention(Model):
    """How records are purged when they are beyond `retention_months`."""

    automatic: bool = False
    """True: `publisher run` purges by itself. False: only `publisher purge` does."""
    deadline_months: int | None = Field(None, gt=0, le=12_000)
    """How long records wait for a release that is still due; then they are purged, and its period is not released.
    Default: until it is released."""
    reports_months: int | None = Field(None, gt=0, le=12_000)
    """How long private reports are kept. Default: they are not purged."""


class LegalHold(Model):
    """An order to keep records: as long as it lasts, nothing of the source is purged."""

    reason: Text
    """Why, such as a case or a request number. `publisher status` shows it."""
    since: date
    """The first day of the hold."""
    until: date | None = None
    """The last day. Default: until it is deleted here."""

    def holds(self, day: date) -> bool:
        """Whether it is in force on that day."""
        return self.since <= day and (self.until is None or day <= self.until)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.until is not None and self.until < self.since:
            raise RuleError(("until",), "must not be before `since`")
        return self


class OtherPeople(Model):
    """A decision that another source, which reads the same files, is about other people."""

    source: Slug
    """The other source."""
    reason: Text
    """Shown in the guarantee of every release."""


class Source(Model):
    """`pipelines/<source>.toml`; its row-level SELECT is next to it in `<source>.sql`."""

    title: Text
    """The name of the source for readers."""
    description: Text
    """What its records are."""
    purpose: Text
    """Why the city collects the records, and why it publishes numbers about them."""
    population: Slug
    """Sources of the same population add up for a household, and so do sources that read the same files."""
    apart: tuple[OtherPeople, ...] = ()
    """Sources that read the same files but are about other people, by a decision with a reason."""
    timezone: Zone
    """Where days and periods are cut, such as America/Chicago."""
    retention_months: int = Field(gt=0, le=12_000)
    """How long records are kept by your records schedule, after the month of their date. The data inventory shows it;
    `publisher purge` deletes what is beyond it."""
    retention: Retention = Retention()
    """How records are purged."""
    hold: tuple[LegalHold, ...] = ()
    """Legal holds, which stop purging."""
    delivery: Literal["append", "snapshot", "changes"] = "append"
    """append: files hold new rows; snapshot: each file holds everything; changes: later rows replace earlier."""
    privacy: Privacy
    """Who is protected, and how much may ever be spent on them."""
    minors: bool = False
    """True: the records are about minors. A block may spend at most ρ 0.25 or ε 0.5, a release ρ 0.05 or ε 0.225, and
    no keys are discovered."""
    feed: Feed
    """The raw files, and how they are written."""
    record_id: tuple[Text, ...] = ()
    """The raw columns that identify a record; rows of one unit that share them are one record. Empty: the whole row."""
    event: Event
    """The time of a record."""
    columns: dict[str, Column] = Field(min_length=1)
    """Every raw column, in the order of the file."""
    places: dict[Name, Place] = Field(default_factory=dict)
    """Levels of place, such as a neighborhood; the name of a level can be a key of datasets."""
    lookups: tuple[Slug, ...] = ()
    """Keyset files that the SQL may join to, each by its unique first column."""
    register_: Register | None = Field(None, alias="register")
    """Only for cumulative meters: turns readings into differences."""
    late: Late | None = None
    """Default: a period is released once, and late records count only in what is drawn after they arrived."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.late is not None and self.late.policy == "increment":
            self._check_increment()
        self._check_feed()
        self._check_minors()
        deadline = self.retention.deadline_months
        if deadline is not None and deadline < self.retention_months:
            raise RuleError(("retention", "deadline_months"), "must be at least retention_months")
        for what, column in self.references():
            if column not in self.columns:
                raise RuleError(
                    tuple(what.split(".")), f"names the column {column!r}, which [columns] does not declare"
                )
            if not self.columns[column].read:
                raise RuleError(tuple(what.split(".")), f"names the column {column!r}, which is declared read = false")
        unit = self.privacy.unit
        if unit != "record" and not self.columns[unit].identifier:
            raise RuleError(("columns", unit), "the privacy unit's column must be declared identifier = true")
        if self.register_ is not None and unit == "record":
            raise RuleError(("register",), "needs an identifier as privacy unit, such as the account")
        return self

    def _check_minors(self) -> None:
        """Check that records about minors keep to half of the ceilings."""
        if not self.minors:
            return
        most = most_a_block(self.privacy.currency, minors=True)
        if Fraction(self.privacy.budget) > most:
            words = f"is more than {float(most):g}, the most for a source about minors: lower it"
            raise RuleError(("privacy", "budget"), words)
        if self.privacy.delta:
            words = "is for discovered keys, which a source about minors must not have: delete it"
            raise RuleError(("privacy", "delta"), words)

    def _check_feed(self) -> None:
        """Check what a feed that publisher fetches asks of the rest."""
        feed = self.feed
        if self.delivery not in feed.deliveries:
            allowed = " or ".join(f'"{each}"' for each in feed.deliveries)
            raise RuleError(("delivery",), f"a feed of kind {feed.kind} needs delivery = {allowed}")
        if not isinstance(feed, TableFeed):
            return
        if self.delivery == "changes" and not self.record_id:
            raise RuleError(("record_id",), f"is missing: what a {feed.kind} feed sends again is known by it")
        if self.late is not None and self.late.received is not None:
            words = "is for the names of files: delete it; records are received on the day they are fetched and landed"
            raise RuleError(("late", "received"), words)
        for column in self.landed:
            if not re.fullmatch(feed.names, column):
                raise RuleError(("columns", column), f"is not a field name of {feed.kind}: see how its API names it")
            if feed.never.intersection(column.split(".")):
                words = "is about a person, a picture or free text, which publisher never fetches: set read = false"
                raise RuleError(("columns", column), words)

    def _check_increment(self) -> None:
        if not self.record_id:
            raise RuleError(
                ("late", "policy"), "increment needs record_id, so that a corrected record keeps its identity"
            )
        if self.privacy.unit != "record" and self.delivery != "append":
            raise RuleError(("late", "policy"), 'increment for identifier units needs delivery = "append"')
        if self.register_ is not None:
            raise RuleError(("late", "policy"), "increment does not work for differences of a register")

    def reference_files(self) -> list[tuple[tuple[str, ...], str]]:
        """Every (setting, path) of a file in the data folder that decides where records are."""
        found: list[tuple[tuple[str, ...], str]] = []
        for level, place in self.places.items():
            if place.boundaries is not None:
                found.append((("places", level, "boundaries", "path"), place.boundaries.path))
            if place.address is not None:
                found.append((("places", level, "address", "list", "path"), place.address.list_.path))
        return found

    def references(self) -> list[tuple[str, str]]:
        """Every (setting, raw column) by which this definition names a column."""
        named = [("record_id", column) for column in self.record_id]
        accepted = (*self.feed.accept.empty, *self.feed.accept.payment) if self.feed.accept else ()
        named += [("feed.accept", column) for column in accepted]
        named.append(("event.column", self.event.column))
        if self.privacy.unit != "record":
            named.append(("privacy.unit", self.privacy.unit))
        for level, place in self.places.items():
            named += [(f"places.{level}", column) for column in place_columns(place)]
        return named

    @property
    def fetched(self) -> bool:
        """Whether publisher fetches the raw files itself: they are private then, and deleted once they are landed."""
        return self.feed.kind != "files"

    @property
    def delivered(self) -> tuple[str, ...]:
        """The raw columns of a file, in order: every declared one, or those that are read if publisher writes it."""
        return self.landed if isinstance(self.feed, TableFeed) else tuple(self.columns)

    @property
    def landed(self) -> tuple[str, ...]:
        """The raw columns that are read, in file order."""
        return tuple(name for name, column in self.columns.items() if column.read)


def place_columns(place: Place) -> tuple[str, ...]:
    """The raw columns that decide a place."""
    if place.point is not None:
        return (place.point.x, place.point.y)
    if place.address is not None:
        return (place.address.column,)
    return (place.code,) if place.code is not None else ()
